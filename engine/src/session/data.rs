//! The data workers: one opens files, reads genes and writes tables, one reads single cells.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use serde_json::json;
use tempfile::TempPath;

use super::command::{Command, DataSource};
use super::computed::Computed;
use super::event::{CellRecord, Dataset, Event, TopGene};
use super::genes::{self, Twin};
use super::jobs::{JobContext, lock};
use super::run::Shared;
use super::{analysis, dataset, trial};
use crate::anndata::{AnnData, Matrix, MatrixKey, SparseRow, same_file};
use crate::annotate::{
    Annotation, CopyRequest, Export, HandLabels, InputFile, Run, Telling, write_copy, write_csv,
};
use crate::describe::Description;
use crate::error::Problem;
use crate::genes::GeneTable;
use crate::progress::Watch;
use crate::{Error, Result, assets};

/// Genes in a cell's record.
const TOP_GENES: usize = 30;

/// The open file and what was made of it.
pub(super) struct OpenData {
    pub dataset: Arc<Dataset>,
    pub matrix: Arc<Matrix>,
    file: Arc<OpenFile>,
    /// Row sums of the chosen matrix, `[n_obs]`; computed when first needed.
    pub(super) totals: OnceLock<Arc<[f64]>>,
    /// The same matrix ordered by gene, once it is there.
    pub(super) twin: Twin,
}

/// The part of [`OpenData`] that stays the same when another matrix is chosen.
struct OpenFile {
    anndata: AnnData,
    /// By the matrix that they were read from.
    annotations: Mutex<BTreeMap<MatrixKey, BTreeMap<usize, Annotation>>>,
    computed: Mutex<Option<Arc<Computed>>>,
    input: OnceLock<InputFile>,
    /// Size and time of the file when it was opened.
    stamp: Option<Stamp>,
    /// The sample's own file. It goes when the data set is closed, after `anndata`.
    _sample: Option<TempPath>,
}

/// Files up to this size are hashed before anybody asks: some seconds of one core.
const HASHED_AHEAD_BYTES: u64 = 4 << 30;

/// Size and time of last change of a file.
type Stamp = (u64, SystemTime);

fn stamp(source: &DataSource) -> Option<Stamp> {
    match source {
        DataSource::Sample => None,
        DataSource::File(path) => {
            let meta = path.metadata().ok()?;
            Some((meta.len(), meta.modified().ok()?))
        }
    }
}

impl OpenData {
    /// The cell's name, where there is such a cell.
    pub(super) fn cell_name(&self, cell: usize) -> Result<&str> {
        self.dataset.obs.index.get(cell).map(String::as_str).ok_or_else(|| {
            Error::request(Problem::new(
                format!("cell {cell}"),
                "no such row of obs",
                format!("a row below {}", self.dataset.n_obs),
                "Choose a cell of the open data set.",
            ))
        })
    }

    /// The cell's values in the chosen matrix.
    pub(super) fn row(&self, cell: usize, watch: &Watch) -> Result<SparseRow> {
        self.cell_name(cell)?;
        Ok(self.matrix.rows_watched(cell..cell + 1, watch)?.pop().unwrap_or_default())
    }

    /// The same open data set with a computed map more, which from now on stays with the file.
    pub(super) fn with_computed(&self, computed: Computed) -> Self {
        let computed = Arc::new(computed);
        let mut dataset = Dataset::clone(&self.dataset);
        let before = lock(&self.file.computed).replace(computed.clone());
        if let Some(before) = before {
            before.take_from(&mut dataset);
        }
        computed.add_to(&mut dataset);
        Self {
            dataset: Arc::new(dataset),
            matrix: self.matrix.clone(),
            file: self.file.clone(),
            totals: self.totals.clone(),
            twin: self.twin.clone(),
        }
    }

    /// The map computed last.
    pub(super) fn computed(&self) -> Option<Arc<Computed>> {
        lock(&self.file.computed).clone()
    }

    /// Descriptions that the model and matrix of `run` made of other cells than `cells` (rising or not), each by itself.
    pub(super) fn described_alone(&self, cells: &[usize], run: &Run) -> Vec<Arc<Description>> {
        let cells: HashSet<usize> = cells.iter().copied().collect();
        let kept = lock(&self.file.annotations);
        let alike =
            |of: &Run| of.model_id == run.model_id && of.matrix == run.matrix && of.settings == run.settings;
        let of_matrix = kept.get(&self.dataset.matrix.key);
        of_matrix
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|kept| alike(&kept.run) && kept.description.around.is_none())
            .filter(|kept| kept.description.n_tokens > 0 && !cells.contains(&kept.description.cell))
            .map(|kept| kept.description.clone())
            .collect()
    }

    /// Keeps descriptions for the export, with the matrix that they were read from; a newer one of the same cell replaces the
    /// older.
    pub(super) fn keep(&self, annotations: impl Iterator<Item = Annotation>) {
        let mut kept = lock(&self.file.annotations);
        let of_matrix = kept.entry(self.dataset.matrix.key.clone()).or_default();
        of_matrix.extend(annotations.map(|annotation| (annotation.description.cell, annotation)));
    }

    /// What was kept of the matrix in use: another matrix gives other tokens, and what was said by it no longer holds.
    fn kept(&self) -> BTreeMap<usize, Annotation> {
        lock(&self.file.annotations).get(&self.dataset.matrix.key).cloned().unwrap_or_default()
    }
}

/// What the data workers do with each command.
pub(super) struct DataWorker {
    shared: Arc<Shared>,
}

impl DataWorker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn work(&self, ctx: &JobContext, command: Command) -> Result<()> {
        match command {
            Command::Open(source) => self.open(ctx, source).inspect_err(|_| self.go_on()),
            Command::UseMatrix(key) => self.use_matrix(ctx, &key).inspect_err(|_| self.go_on()),
            Command::ColourByGene { gene } => genes::colour(&self.shared, ctx, gene),
            Command::ReadGenes { genes } => genes::read_genes(&self.shared, ctx, &genes),
            Command::ReadCell { cell } => self.read_cell(ctx, cell),
            Command::OrderGenes => genes::order_genes(&self.shared, ctx),
            Command::Compare(request) => analysis::compare_sets(&self.shared, ctx, &request),
            Command::ReadQuality => analysis::judge_cells(&self.shared, ctx),
            Command::Embed(settings) => analysis::embed_cells(&self.shared, ctx, settings),
            Command::ExportMap { path } => analysis::export_map(&self.shared, ctx, &path),
            Command::ExportComparison { result, path } => {
                analysis::export_comparison(&self.shared, ctx, &result, &path)
            }
            Command::ExportCsv { path } => self.export(ctx, &path),
            Command::WriteCopy { path, labels, replace } => self.write_copy(ctx, &path, &labels, replace),
            Command::Describe { .. }
            | Command::Annotate { .. }
            | Command::LookOver
            | Command::UseModel { .. } => Err(Error::request(Problem::new(
                "a description",
                "the worker that reads files",
                "the worker that runs the model",
                "This is a fault of the program. Please report it.",
            ))),
        }
    }

    /// The data set that was to give way stays: what was done behind its back was stopped, and goes on.
    fn go_on(&self) {
        if self.shared.open_data().is_ok() {
            self.shared.order_genes();
            self.shared.look_over();
        }
    }

    fn open(&self, ctx: &JobContext, source: DataSource) -> Result<()> {
        let name = dataset::short_name(&source);
        ctx.started(format!("Opening {name}"))?;
        let stamp = stamp(&source);
        let mut on_look = |look: Option<_>| {
            if let Some(look) = look {
                let look = dataset::first_look(source.clone(), name.clone(), look);
                ctx.emit(Event::FirstLook { job: ctx.id, look: Arc::new(look) })?;
            }
            // The table of genes is unpacked, once, while the rest of the file is read.
            std::thread::spawn(|| GeneTable::builtin().map(drop));
            Ok(())
        };
        let (anndata, sample) = match &source {
            DataSource::File(path) => {
                trial::try_apart(&self.shared.settings, path, &ctx.watch)?;
                (AnnData::open_looking(path, &ctx.watch, &mut on_look)?, None)
            }
            DataSource::Sample => {
                let path = assets::write_sample()?;
                (AnnData::open_looking(&path, &ctx.watch, &mut on_look)?, Some(path))
            }
        };
        let choice = anndata.choose_matrix()?;
        let dataset = dataset::assemble(source, name, &anndata, choice, &ctx.watch)?;
        let file = OpenFile {
            anndata,
            annotations: Mutex::default(),
            computed: Mutex::default(),
            input: OnceLock::new(),
            stamp,
            _sample: sample,
        };
        self.publish(ctx, dataset, Arc::new(file))
    }

    fn use_matrix(&self, ctx: &JobContext, key: &MatrixKey) -> Result<()> {
        let open = self.shared.open_data()?;
        ctx.started(format!("Reading {key}"))?;
        let choice = open.file.anndata.choose_by_user(key)?;
        let old = &open.dataset;
        let dataset =
            dataset::assemble(old.source.clone(), old.name.clone(), &open.file.anndata, choice, &ctx.watch)?;
        self.publish(ctx, dataset, open.file.clone())
    }

    /// Makes a data set the open one and says so.
    fn publish(&self, ctx: &JobContext, mut dataset: Dataset, file: Arc<OpenFile>) -> Result<()> {
        if let Some(computed) = &*lock(&file.computed) {
            computed.add_to(&mut dataset);
        }
        let matrix = Arc::new(file.anndata.matrix(&dataset.matrix.key)?);
        let dataset = Arc::new(dataset);
        // From here on the job counts as done, even if it is stopped: engine and face must not disagree.
        ctx.watch.check()?;
        let open = OpenData {
            dataset: dataset.clone(),
            matrix,
            file,
            totals: OnceLock::new(),
            twin: Twin::default(),
        };
        let kept: Vec<_> = open.kept().into_values().map(|annotation| annotation.description).collect();
        self.shared.set_data(open);
        ctx.emit_done(Event::Opened { job: ctx.id, dataset })?;
        if !kept.is_empty() {
            ctx.emit_done(Event::Annotated { job: ctx.id, telling: Telling::Again, descriptions: kept })?;
        }
        self.shared.order_genes();
        self.shared.look_over();
        Ok(())
    }

    fn read_cell(&self, ctx: &JobContext, cell: usize) -> Result<()> {
        let open = self.shared.data_of(ctx.epoch, &ctx.watch)?;
        let dataset = &open.dataset;
        let name = open.cell_name(cell)?.to_owned();
        ctx.started(format!("Reading {name}"))?;
        let row = open.row(cell, &ctx.watch)?;
        let mut genes = row.iter().filter(|(_, value)| *value > 0.0).collect::<Vec<_>>();
        let n_genes = genes.len();
        // The sort is stable: genes of equal value stay in file order.
        genes.sort_by(|a, b| b.1.total_cmp(&a.1));
        genes.truncate(TOP_GENES);
        let record = CellRecord {
            cell,
            name,
            obs: dataset.obs.columns.iter().map(|column| (column.name.clone(), column.text(cell))).collect(),
            total: row.total(),
            n_genes,
            top_genes: genes
                .into_iter()
                .filter_map(|(column, value)| {
                    Some(TopGene { symbol: dataset.genes.get(column as usize)?.clone(), value })
                })
                .collect(),
        };
        ctx.emit(Event::CellRead { job: ctx.id, record: Arc::new(record) })
    }

    fn export(&self, ctx: &JobContext, path: &Path) -> Result<()> {
        let open = self.shared.data_of(ctx.epoch, &ctx.watch)?;
        let dataset = &open.dataset;
        let annotations = open.kept();
        if annotations.is_empty() {
            return Err(Error::request(Problem::new(
                "the table",
                "no described cell",
                "at least one",
                "Describe a cell, or annotate some, first.",
            )));
        }
        ctx.started(format!("Writing {}", path.display()))?;
        let input = open.input(&ctx.watch)?;
        let export = Export {
            index_name: &dataset.obs.index_name,
            names: &dataset.obs.index,
            annotations: &annotations,
            flags: &dataset::flags(dataset),
            input: &input,
            data: open.provenance(),
        };
        let rows = write_csv(path, &export, &ctx.watch)?;
        ctx.emit_done(Event::Exported { job: ctx.id, path: path.to_path_buf(), rows, unit: "cells" })
    }

    fn write_copy(&self, ctx: &JobContext, path: &Path, labels: &[HandLabels], replace: bool) -> Result<()> {
        let open = self.shared.data_of(ctx.epoch, &ctx.watch)?;
        let dataset = &open.dataset;
        let annotations = open.kept();
        ctx.started(format!("Writing {}", path.display()))?;
        let request = CopyRequest {
            annotations: &annotations,
            labels,
            replace,
            flags: &dataset::flags(dataset),
            data: open.provenance(),
            source: match &dataset.source {
                DataSource::Sample => None,
                DataSource::File(path) => Some(path),
            },
        };
        let rows = write_copy(path, &open.file.anndata, &request, &ctx.watch)?;
        ctx.emit_done(Event::Exported { job: ctx.id, path: path.to_path_buf(), rows, unit: "columns" })
    }
}

impl OpenData {
    /// The file as tables name it; its hash is computed at the first export.
    pub(super) fn input(&self, watch: &Watch) -> Result<InputFile> {
        if let Some(input) = self.file.input.get() {
            return Ok(input.clone());
        }
        let input = match &self.dataset.source {
            DataSource::Sample => InputFile::sample(assets::SAMPLE_H5AD),
            // One that was changed is named as it is now, which the provenance says.
            DataSource::File(path) => match self.hash_of_one_file(path, watch) {
                Some(Ok(sha256)) => InputFile::hashed(path, sha256)?,
                Some(Err(error)) if error.is_cancelled() => return Err(error),
                _ => InputFile::hash(path, watch)?,
            },
        };
        Ok(self.file.input.get_or_init(|| input).clone())
    }

    /// The hash of the file at `path`, where the data set is that file itself and not made of it.
    fn hash_of_one_file(&self, path: &Path, watch: &Watch) -> Option<Result<String>> {
        let data = &self.file.anndata;
        (path.is_file() && same_file(path, data.path())).then(|| data.sha256(watch).map(str::to_owned))
    }

    /// Hashes the file where that is quickly done, so that what is written later need not wait for it.
    pub(super) fn hash_ahead(&self, watch: &Watch) {
        let DataSource::File(path) = &self.dataset.source else { return };
        if self.file.stamp.is_some_and(|(bytes, _)| bytes <= HASHED_AHEAD_BYTES) {
            // What fails here fails again, and is told, where the hash is needed.
            let _ = self.hash_of_one_file(path, watch);
        }
    }

    /// What tables say of the data set in their provenance.
    pub(super) fn provenance(&self) -> serde_json::Value {
        let dataset = &*self.dataset;
        json!({
            "changed_since_opened": stamp(&dataset.source) != self.file.stamp,
            "n_obs": dataset.n_obs,
            "n_vars": dataset.genes.len(),
            "known_genes": dataset.known_genes,
            "species": dataset.species.map(|species| species.label()),
            "findings": dataset
                .findings
                .iter()
                .map(|f| json!({ "element": f.element, "message": f.message, "serious": f.serious }))
                .collect::<Vec<_>>(),
        })
    }
}
