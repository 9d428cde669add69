//! The analysis worker's part: comparing sets of cells, and what is written of it.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::computed::Computed;
use super::data::OpenData;
use super::event::{Dataset, Event};
use super::jobs::JobContext;
use super::run::Shared;
use crate::analysis::{CompareRequest, Comparison, EmbedSettings, LogNormalised, compare, embed, quality};
use crate::annotate::{Field, Sheet, index_label, write_sheet};
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

/// The columns of an exported comparison.
const COMPARISON_COLUMNS: [&str; 11] = [
    "gene",
    "gene_name_in_file",
    "ensembl_id",
    "score",
    "log2_fold_change",
    "p_value",
    "p_adjusted",
    "share_a",
    "share_b",
    "mean_a",
    "mean_b",
];

impl OpenData {
    /// The values that are compared and mapped: the chosen matrix, log-normalised. `f` gets them.
    fn with_log_normalised<T>(
        &self,
        watch: &Watch,
        f: impl FnOnce(&LogNormalised<'_>) -> Result<T>,
    ) -> Result<T> {
        let scale = self.dataset.matrix.scale;
        let totals = match LogNormalised::needs_totals(&self.matrix, scale) {
            true => Some(self.totals(watch)?),
            false => None,
        };
        f(&LogNormalised::new(&self.matrix, scale, totals.as_deref())?)
    }
}

pub(super) fn compare_sets(shared: &Shared, ctx: &JobContext, request: &CompareRequest) -> Result<()> {
    let open = shared.data_of(ctx.epoch, &ctx.watch)?;
    let n_b = request.b.as_ref().map_or(open.dataset.n_obs.saturating_sub(request.a.len()), |b| b.len());
    ctx.started(format!("Comparing {} cells with {n_b}", request.a.len()))?;
    let result = open.with_log_normalised(&ctx.watch, |values| {
        compare(values, &open.dataset.genes, request, &ctx.watch)
    })?;
    ctx.emit(Event::Compared { job: ctx.id, result: Arc::new(result) })
}

pub(super) fn judge_cells(shared: &Shared, ctx: &JobContext) -> Result<()> {
    let open = shared.data_of(ctx.epoch, &ctx.watch)?;
    ctx.started(format!("Judging the quality of {} cells", open.dataset.n_obs))?;
    let dataset = &open.dataset;
    let found = quality(&open.matrix, dataset.matrix.scale, &dataset.genes, &ctx.watch)?;
    ctx.emit(Event::QualityRead { job: ctx.id, quality: Arc::new(found) })
}

pub(super) fn export_comparison(
    shared: &Shared,
    ctx: &JobContext,
    result: &Comparison,
    path: &Path,
) -> Result<()> {
    let open = shared.data_of(ctx.epoch, &ctx.watch)?;
    ctx.started(format!("Writing {}", path.display()))?;
    let dataset = &*open.dataset;
    let input = open.input(&ctx.watch)?;
    let sheet = Sheet {
        columns: &COMPARISON_COLUMNS,
        rows: result.genes.len(),
        analysis: json!({
            "kind": "differential expression",
            "test": result.test.label(),
            "ties": "corrected",
            "p_adjusted": "Benjamini-Hochberg over all genes",
            "matrix": result.matrix.to_string(),
            "values": result.unit,
            "n_a": result.n_a,
            "n_b": result.n_b,
        }),
        input: &input,
        data: open.provenance(),
    };
    // Of another matrix the rows of var may mean other genes.
    let same_genes = dataset.matrix.key == result.matrix;
    let row = |at: usize| {
        let gene = &result.genes[at];
        let (name, id) = names(dataset, gene.gene, same_genes);
        vec![
            Field::Text(&gene.symbol),
            Field::Text(name),
            Field::Text(id),
            Field::Number(gene.score),
            Field::Number(gene.log_fold_change),
            Field::Number(gene.p_value),
            Field::Number(gene.p_adjusted),
            Field::Number(gene.share_a),
            Field::Number(gene.share_b),
            Field::Number(gene.mean_a),
            Field::Number(gene.mean_b),
        ]
    };
    let rows = write_sheet(path, &sheet, row, &ctx.watch)?;
    ctx.emit_done(Event::Exported { job: ctx.id, path: path.to_path_buf(), rows, unit: "genes" })
}

/// The file's own name of a gene and its Ensembl id; empty where not known.
fn names(dataset: &Dataset, gene: usize, known: bool) -> (&str, &str) {
    if !known {
        return ("", "");
    }
    let name = dataset.gene_names_in_file.get(gene).map_or("", String::as_str);
    let id = dataset.ensembl_ids.get(gene).and_then(Option::as_deref).unwrap_or("");
    (name, id)
}

pub(super) fn embed_cells(shared: &Shared, ctx: &JobContext, settings: EmbedSettings) -> Result<()> {
    let open = shared.data_of(ctx.epoch, &ctx.watch)?;
    ctx.started("Computing a map")?;
    let embedded = open.with_log_normalised(&ctx.watch, |values| embed(values, &settings, &ctx.watch))?;
    // From here on the job counts as done, even if it is stopped: engine and face must not disagree.
    ctx.watch.check()?;
    let extended = open.with_computed(Computed::new(embedded, settings, open.matrix.key().clone()));
    let dataset = extended.dataset.clone();
    shared.extend_data(&open, extended)?;
    ctx.emit_done(Event::Extended { job: ctx.id, dataset })
}

pub(super) fn export_map(shared: &Shared, ctx: &JobContext, path: &Path) -> Result<()> {
    let open = shared.data_of(ctx.epoch, &ctx.watch)?;
    let Some(computed) = open.computed() else {
        return Err(Error::request(Problem::new(
            "the computed map",
            "none",
            "a map that was computed here",
            "Compute a map first.",
        )));
    };
    ctx.started(format!("Writing {}", path.display()))?;
    let dataset = &*open.dataset;
    let input = open.input(&ctx.watch)?;
    let sheet = Sheet {
        columns: &[index_label(&dataset.obs.index_name), "umap_1", "umap_2", "cluster"],
        rows: dataset.n_obs,
        analysis: computed.describe(),
        input: &input,
        data: open.provenance(),
    };
    let row = |cell: usize| {
        let [x, y] = computed.map.positions[cell];
        vec![
            Field::Text(&dataset.obs.index[cell]),
            Field::Number(f64::from(x)),
            Field::Number(f64::from(y)),
            Field::Number(f64::from(computed.map.clusters[cell])),
        ]
    };
    let rows = write_sheet(path, &sheet, row, &ctx.watch)?;
    ctx.emit_done(Event::Exported { job: ctx.id, path: path.to_path_buf(), rows, unit: "cells" })
}
