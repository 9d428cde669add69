//! Assembling the data set that faces see from an open file, and noticing what its user should know.

use super::command::DataSource;
use super::event::{Dataset, Embedding, Finding, FirstLook};
use crate::Result;
use crate::anndata::{
    AnnData, DenseF32, Frame, MatrixChoice, MatrixKey, Scale, rank_of_embedding, symbol_column,
};
use crate::genes::{GeneTable, ResolvedGenes, Species};
use crate::progress::Watch;

/// Below this many known genes, or this share of all genes, descriptions rest on too little.
const FEW_KNOWN_GENES: usize = 200;
const LOW_KNOWN_SHARE: f64 = 0.2;

/// The name of a source for titles.
pub(super) fn short_name(source: &DataSource) -> String {
    match source {
        DataSource::Sample => "PBMC sample".to_owned(),
        DataSource::File(path) => {
            path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
        }
    }
}

/// Flags that hold for every described cell of this data set, as they stand in tables.
pub(super) fn flags(dataset: &Dataset) -> Vec<&'static str> {
    let mut flags = Vec::new();
    if dataset.species.is_some_and(|species| species != Species::Human) {
        flags.push("species_mismatch");
    }
    if few_known(dataset.known_genes, dataset.genes.len()) {
        flags.push("few_known_genes");
    }
    flags
}

fn few_known(known: usize, total: usize) -> bool {
    known < FEW_KNOWN_GENES || low_share(known, total)
}

fn low_share(known: usize, total: usize) -> bool {
    (known as f64) < LOW_KNOWN_SHARE * total as f64
}

/// Puts together what faces see of `anndata`, with `matrix` as the cells' counts.
///
/// # Errors
/// What reading fails with; [`crate::Error::Cancelled`] when stopped. An embedding that cannot be read is a finding.
pub(super) fn assemble(
    source: DataSource,
    name: String,
    anndata: &AnnData,
    matrix: MatrixChoice,
    watch: &Watch,
) -> Result<Dataset> {
    let mut findings = anndata
        .findings()
        .iter()
        .map(|note| finding(&note.element, note.message.clone(), false))
        .collect::<Vec<_>>();
    let var = anndata.var(&matrix.key);
    let var_path = if matrix.key == MatrixKey::Raw { "raw/var" } else { "var" };

    watch.step("Recognising genes", 0, Some(var.index.len() as u64))?;
    let table = GeneTable::builtin()?;
    let resolved = anndata.resolve_genes(table, &matrix.key);
    let known_genes = resolved.ids.iter().flatten().count();
    findings.extend(gene_findings(&resolved, known_genes, var, var_path));
    findings.extend(matrix_finding(&matrix));

    watch.step("Reading embeddings", 0, Some(anndata.obsm_names().len() as u64))?;
    let (embeddings, of_embeddings) = embeddings(anndata, watch)?;
    findings.extend(of_embeddings);
    for (element, count) in [("obs", anndata.n_obs()), (var_path, var.index.len())] {
        if count == 0 {
            findings.retain(|finding| finding.element != element);
            findings.push(finding(element, "It is empty: there is nothing to show or to describe.", true));
        }
    }

    Ok(Dataset {
        source,
        name,
        n_obs: anndata.n_obs(),
        obs: anndata.shared_obs(),
        genes: shown_names(table, &resolved, var),
        gene_names_in_file: var.index.clone(),
        ensembl_ids: resolved.ids.iter().map(|id| id.map(|id| table.ensembl_id(id).to_owned())).collect(),
        embeddings,
        matrix,
        matrices: anndata.matrices().to_vec(),
        category_colours: anndata.category_colours().clone(),
        species: resolved.species,
        known_genes,
        findings: in_order_of_weight(findings),
    })
}

pub(super) fn finding(element: &str, message: impl Into<String>, serious: bool) -> Finding {
    Finding { element: element.to_owned(), message: message.into(), serious }
}

/// Serious ones first, else in the order noticed.
pub(super) fn in_order_of_weight(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| !finding.serious);
    findings
}

/// What each gene is called on screen: the table's symbol, else the file's own symbol, else its name in the index.
fn shown_names(table: &GeneTable, resolved: &ResolvedGenes, var: &Frame) -> Vec<String> {
    let symbols = symbol_column(var);
    resolved
        .ids
        .iter()
        .zip(&var.index)
        .enumerate()
        .map(|(row, (id, name))| match id {
            Some(id) => table.symbol(*id).to_owned(),
            None => symbols
                .and_then(|column| column.text(row))
                .filter(|symbol| !symbol.is_empty())
                .unwrap_or_else(|| name.clone()),
        })
        .collect()
}

fn gene_findings(resolved: &ResolvedGenes, known: usize, var: &Frame, var_path: &str) -> Vec<Finding> {
    let total = var.index.len();
    let mut findings = Vec::new();
    if let Some(species) = resolved.species
        && species != Species::Human
    {
        findings.push(finding(
            &resolved.source,
            format!(
                "The genes seem not to be human but of {} ({}). Models of human cells cannot read them: do not trust \
                 descriptions. Map the genes to their human orthologues first.",
                species.label(),
                resolved.species_reason
            ),
            true,
        ));
    }
    if total == 0 {
        return findings; // Said of var itself.
    }
    if known == 0 {
        let example = var.index.first().map_or("", String::as_str);
        findings.push(finding(
            var_path,
            format!(
                "None of the {total} genes is known (the first is \"{example}\"), so no cell can be described. Put \
                 human gene symbols or Ensembl ids into the index of var, or into a column called gene_ids or \
                 feature_name."
            ),
            true,
        ));
    } else if low_share(known, total) {
        findings.push(finding(
            &resolved.source,
            format!(
                "Only {known} of {total} genes are known: descriptions rest on these alone, do not trust them. Check \
                 that the index of var, or a column such as gene_ids, holds human gene symbols or Ensembl ids of all \
                 genes."
            ),
            true,
        ));
    } else if few_known(known, total) {
        findings.push(finding(
            var_path,
            format!(
                "The file has only {total} genes, of which {known} are known: too few for descriptions to be trusted. \
                 Open a file with all genes that were measured, not a selection."
            ),
            true,
        ));
    }
    findings
}

fn matrix_finding(matrix: &MatrixChoice) -> Option<Finding> {
    if matrix.scale == Scale::Counts {
        return None;
    }
    let caution = matrix.scale.caution().unwrap_or("Genes are ranked by the values as they are.");
    let message = format!("Read for counts, it holds {} values. {caution}", matrix.scale.label());
    Some(finding(&matrix.key.to_string(), message, matrix.scale == Scale::Scaled))
}

/// The two-dimensional views, UMAP first, then t-SNE, then the others in file order.
fn embeddings(anndata: &AnnData, watch: &Watch) -> Result<(Vec<Embedding>, Vec<Finding>)> {
    let (mut embeddings, mut findings) = (Vec::new(), Vec::new());
    let names = anndata.obsm_names();
    for (done, name) in names.iter().enumerate() {
        watch.step("Reading embeddings", done as u64, Some(names.len() as u64))?;
        let element = format!("obsm/{name}");
        let values = match anndata.obsm(name) {
            Ok(values) => values,
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => {
                findings.push(finding(&element, format!("It cannot be shown: {error}"), false));
                continue;
            }
        };
        if values.cols < 2 || values.rows != anndata.n_obs() {
            continue;
        }
        let positions = positions(&values);
        let without = positions.iter().filter(|[x, _]| x.is_nan()).count();
        if without > 0 {
            findings.push(finding(
                &element,
                format!("{without} of {} cells have no position and are not drawn.", positions.len()),
                false,
            ));
        }
        embeddings.push(Embedding { name: name.clone(), positions });
    }
    in_order_of_use(&mut embeddings);
    if embeddings.is_empty() && anndata.n_obs() > 0 {
        findings.push(finding(
            "obsm",
            "The file has no embedding with two or more columns, so no map can be drawn; cells can still be chosen by \
             name and described. Compute a map here (View, Compute a map), or in Python with sc.tl.umap(adata).",
            false,
        ));
    }
    Ok((embeddings, findings))
}

/// The first two columns; NaN for a cell where one of them is no number.
fn positions(values: &DenseF32) -> Vec<[f32; 2]> {
    let place = |row: &[f32]| match row {
        [x, y, ..] if x.is_finite() && y.is_finite() => [*x, *y],
        _ => [f32::NAN; 2],
    };
    values.values.chunks_exact(values.cols).map(place).collect()
}

/// What faces see of a first look.
pub(super) fn first_look(source: DataSource, name: String, look: crate::anndata::FirstLook) -> FirstLook {
    FirstLook {
        source,
        name,
        n_obs: look.n_obs,
        embedding: Embedding { positions: positions(&look.positions), name: look.embedding },
        column: look.column,
        colours: look.colours,
    }
}

/// UMAP first, then t-SNE, then the others; else as they are.
pub(super) fn in_order_of_use(embeddings: &mut [Embedding]) {
    embeddings.sort_by_key(|embedding| rank_of_embedding(&embedding.name));
}
