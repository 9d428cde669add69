//! A file with labels: which cells have one, and the description that each should get.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use tempfile::TempPath;

use crate::anndata::{AnnData, Column, Frame, Matrix, MatrixChoice, SparseRow, Values};
use crate::annotate::{InputFile, sample_cells};
use crate::assets;
use crate::describe::{CellFacts, Phrases, stage_of_life};
use crate::error::Problem;
use crate::genes::{GeneId, GeneTable, Species};
use crate::ontology::Ontology;
use crate::progress::Watch;
use crate::{Error, Result};

/// What the built-in sample is called.
const SAMPLE: &str = "sample";
/// Columns of obs that tell what else a description says, best first.
const TISSUE_COLUMNS: [&str; 2] = ["tissue", "tissue_general"];
const DISEASE_COLUMNS: [&str; 1] = ["disease"];
const STAGE_COLUMNS: [&str; 1] = ["development_stage"];
const SEX_COLUMNS: [&str; 1] = ["sex"];
/// Words for "not told" in CELLxGENE's columns and in our own.
const UNTOLD: [&str; 5] = ["", "unknown", "na", "nan", "mixed"];
/// A column counts as one of cell types when this share of its distinct values are such.
const LABEL_SHARE: f64 = 0.2;
/// Distinct values of a column looked at when candidates are sought.
const LOOKED_AT: usize = 500;

/// An open file with labels.
#[derive(Debug)]
pub(super) struct LabelledFile {
    pub(super) name: String,
    pub(super) input: InputFile,
    pub(super) n_obs: usize,
    pub(super) choice: MatrixChoice,
    pub(super) matrix: Matrix,
    /// The gene of each column.
    pub(super) genes: Vec<Option<GeneId>>,
    /// What each column is called in the file.
    pub(super) gene_names: Vec<String>,
    pub(super) not_human: bool,
    /// Rows of obs with a usable label, in file order.
    pub(super) cells: Vec<usize>,
    /// Values of the label column that are no cell type, and how many cells have them; no label is `""`.
    pub(super) unknown_labels: BTreeMap<String, usize>,
    labels: Vec<Option<u32>>,
    ids: Vec<String>,
    obs: Frame,
    _file: AnnData,
    _sample: Option<TempPath>,
}

/// What is true of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CellTruth {
    /// Cell Ontology id.
    pub(super) cell_type: String,
    pub(super) tissue: Option<String>,
    /// `normal`, or the disease.
    pub(super) disease: Option<String>,
    pub(super) stage: Option<String>,
    pub(super) sex: Option<String>,
}

impl CellTruth {
    /// What the description of the cell says: the words of training.
    pub(super) fn facts(&self, ontology: &Ontology, phrases: &Phrases, pathways: &[&str]) -> CellFacts {
        CellFacts {
            cell_type: ontology
                .term(&self.cell_type)
                .map_or_else(|| self.cell_type.clone(), |t| t.label.clone()),
            definition: phrases.cell_type(&self.cell_type).map(str::to_owned),
            tissue: self.tissue.clone(),
            disease: self.disease.clone().filter(|d| d != "normal"),
            sex: self.sex.clone(),
            stage: self.stage.clone(),
            pathways: pathways.iter().map(|set| phrases.pathway(set).unwrap_or(set).to_owned()).collect(),
        }
    }
}

impl LabelledFile {
    /// Opens the file at `path`, or the built-in sample, with the cell types in obs column `label`: Cell Ontology ids,
    /// or names that the ontology knows.
    ///
    /// # Errors
    /// What opening fails with; [`Error::AnnData`] naming the column where it is missing or holds no cell type, with
    /// the columns that do.
    pub(super) fn open(path: Option<&Path>, label: &str, watch: &Watch) -> Result<Self> {
        let sample = path.is_none().then(assets::write_sample).transpose()?;
        let place: &Path = match (&sample, path) {
            (Some(sample), _) => sample,
            (None, Some(path)) => path,
            (None, None) => return Err(Error::Cancelled),
        };
        let input = match path {
            Some(path) => InputFile::hash(path, watch)?,
            None => InputFile::sample(assets::SAMPLE_H5AD),
        };
        let name = match path {
            Some(path) => path
                .file_name()
                .map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned()),
            None => SAMPLE.to_owned(),
        };
        let file = AnnData::open(place, watch)?;
        let read = Labels::read(&file, path, label)?;
        let choice = file.choose_matrix()?;
        let matrix = file.matrix(&choice.key)?;
        matrix.prepare_rows(watch)?;
        let var = file.var(&choice.key);
        let resolved = file.resolve_genes(GeneTable::builtin()?, &choice.key);
        Ok(Self {
            name,
            input,
            n_obs: file.n_obs(),
            matrix,
            genes: resolved.ids,
            gene_names: var.index.clone(),
            not_human: resolved.species.is_some_and(|species| species != Species::Human),
            cells: read.cells(),
            unknown_labels: read.unknown,
            labels: read.places,
            ids: read.ids,
            obs: file.obs().clone(),
            choice,
            _file: file,
            _sample: sample,
        })
    }

    /// Keeps `count` of the labelled cells, drawn by `seed`, in file order.
    pub(super) fn draw(&mut self, count: usize, seed: u64) {
        let drawn = sample_cells(self.cells.len(), count, seed);
        self.cells = drawn.into_iter().filter_map(|at| self.cells.get(at).copied()).collect();
    }

    /// Ensembl ids of the columns.
    pub(super) fn ensembl_ids(&self) -> Result<Vec<Option<&'static str>>> {
        let table = GeneTable::builtin()?;
        Ok(self.genes.iter().map(|gene| gene.map(|gene| table.ensembl_id(gene))).collect())
    }

    /// What is true of one of [`LabelledFile::cells`].
    pub(super) fn truth(&self, cell: usize) -> Option<CellTruth> {
        let id = (*self.labels.get(cell)?)? as usize;
        let told = |columns: &[&str]| {
            columns
                .iter()
                .find_map(|name| self.obs.column(name))
                .and_then(|column| column.text(cell))
                .map(|text| text.trim().to_owned())
                .filter(|text| !UNTOLD.contains(&text.to_lowercase().as_str()))
        };
        let disease = told(&DISEASE_COLUMNS).map(|d| if is_normal(&d) { "normal".to_owned() } else { d });
        Some(CellTruth {
            cell_type: self.ids.get(id)?.clone(),
            tissue: told(&TISSUE_COLUMNS),
            disease,
            stage: told(&STAGE_COLUMNS).and_then(|label| stage_of_life(&label)),
            sex: told(&SEX_COLUMNS).filter(|sex| sex == "male" || sex == "female"),
        })
    }

    /// The rows of `cells`, neighbours in the file by one read.
    pub(super) fn rows(&self, cells: &[usize], watch: &Watch) -> Result<Vec<(usize, SparseRow)>> {
        self.matrix.rows_at(cells, watch)
    }
}

/// As the training data words a healthy donor.
fn is_normal(label: &str) -> bool {
    let label = label.to_lowercase();
    label.starts_with("normal") || label == "healthy" || label == "control"
}

/// Checks that the file at `path`, or the built-in sample, has usable labels in obs column `label`, without reading more
/// than its obs and var.
///
/// # Errors
/// As [`LabelledFile::open`].
pub(super) fn check_labels(path: Option<&Path>, label: &str, watch: &Watch) -> Result<()> {
    let sample = path.is_none().then(assets::write_sample).transpose()?;
    match sample.as_deref().or(path) {
        Some(place) => Labels::read(&AnnData::open(place, watch)?, path, label).map(|_| ()),
        None => Ok(()),
    }
}

/// The labels of a file.
struct Labels {
    /// The cell type of each row, as a place in `ids`.
    places: Vec<Option<u32>>,
    ids: Vec<String>,
    /// How many rows have each value that is no cell type.
    unknown: BTreeMap<String, usize>,
}

impl Labels {
    fn read(file: &AnnData, path: Option<&Path>, label: &str) -> Result<Self> {
        let ontology = Ontology::builtin()?;
        let wrong = |found: String, expected: &str| {
            let advice = advice(file.obs(), ontology);
            let problem = Problem::new(format!("obs/{label}"), found, expected, advice);
            Error::anndata(problem.in_file(path.unwrap_or_else(|| Path::new(SAMPLE))))
        };
        let Some(column) = file.obs().column(label) else {
            return Err(wrong(
                "no such column".to_owned(),
                "a column of cell types: Cell Ontology ids, or names that the ontology knows",
            ));
        };
        let labels = Self::of(column, ontology);
        if labels.cells().is_empty() {
            let found = match labels.unknown.keys().find(|value| !value.is_empty()) {
                Some(example) => format!("no cell type; a value is {example:?}"),
                None => "no value".to_owned(),
            };
            return Err(wrong(
                found,
                "Cell Ontology ids as CL:0000576, or names that the ontology knows, as monocyte",
            ));
        }
        Ok(labels)
    }

    fn of(column: &Column, ontology: &Ontology) -> Self {
        let mut known: HashMap<String, Option<u32>> = HashMap::new();
        let (mut ids, mut unknown): (Vec<String>, BTreeMap<String, usize>) = Default::default();
        let places = (0..column.len())
            .map(|row| {
                let value = column.text(row).unwrap_or_default();
                let place = *known.entry(value.clone()).or_insert_with(|| {
                    let id = cell_type(&value, ontology)?;
                    let place = ids.iter().position(|known| known == id).unwrap_or_else(|| {
                        ids.push(id.to_owned());
                        ids.len() - 1
                    });
                    Some(place as u32)
                });
                if place.is_none() {
                    *unknown.entry(value).or_default() += 1;
                }
                place
            })
            .collect();
        Self { places, ids, unknown }
    }

    /// Rows with a cell type.
    fn cells(&self) -> Vec<usize> {
        self.places.iter().enumerate().filter(|(_, place)| place.is_some()).map(|(row, _)| row).collect()
    }
}

/// The Cell Ontology id meant by a label: an id, with the term that replaced it where it is deprecated, or a name.
fn cell_type<'a>(label: &str, ontology: &'a Ontology) -> Option<&'a str> {
    let label = label.trim();
    let term = match label.strip_prefix("CL_").or_else(|| label.strip_prefix("CL:")) {
        Some(number) => ontology.current(&format!("CL:{number}"))?,
        None => ontology.by_name(label)?,
    };
    (!term.deprecated).then_some(term.id.as_str())
}

/// What to do about a label column that is not one: the columns that are.
fn advice(obs: &Frame, ontology: &Ontology) -> String {
    let mut candidates: Vec<(f64, &str)> = obs
        .columns
        .iter()
        .filter_map(|column| share_of_types(column, ontology).map(|share| (share, column.name.as_str())))
        .filter(|(share, _)| *share >= LABEL_SHARE)
        .collect();
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    if candidates.is_empty() {
        let names: Vec<&str> = obs.columns.iter().map(|c| c.name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return format!(
            "No column of this file holds cell types (its columns: {names}). Add a column of Cell Ontology ids to obs \
             and name it with --label."
        );
    }
    let names: Vec<&str> = candidates.iter().map(|(_, name)| *name).collect();
    format!("Name another column with --label; these hold cell types: {}.", names.join(", "))
}

/// The share of a text column's distinct values that are cell types; `None` for numbers.
fn share_of_types(column: &Column, ontology: &Ontology) -> Option<f64> {
    let distinct: Vec<String> = match &column.values {
        Values::Categorical { categories, .. } => categories.iter().take(LOOKED_AT).cloned().collect(),
        Values::Text(texts) => {
            let mut texts: Vec<String> = texts.iter().flatten().cloned().collect();
            texts.sort_unstable();
            texts.dedup();
            texts.truncate(LOOKED_AT);
            texts
        }
        _ => return None,
    };
    let known = distinct.iter().filter(|value| cell_type(value, ontology).is_some()).count();
    (!distinct.is_empty()).then(|| known as f64 / distinct.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_ids_old_ids_and_names() {
        let ontology = Ontology::builtin().unwrap();
        assert_eq!(cell_type("CL:0000576", ontology), Some("CL:0000576"));
        assert_eq!(cell_type(" CL_0000576 ", ontology), Some("CL:0000576"));
        assert_eq!(cell_type("monocyte", ontology), Some("CL:0000576"));
        assert_eq!(cell_type("unknown", ontology), None);
        assert_eq!(cell_type("CL:9999999", ontology), None);
        assert_eq!(cell_type("", ontology), None);
    }

    #[test]
    fn a_column_that_is_not_there_is_named_with_those_that_would_do() {
        let error = LabelledFile::open(None, "cell_types", &Watch::silent()).unwrap_err().to_string();
        assert!(error.contains("obs/cell_types") && error.contains("no such column"), "{error}");
        assert!(error.contains("--label") && error.contains("bulk_labels"), "{error}");
    }

    #[test]
    fn a_column_without_cell_types_is_named_with_what_it_holds() {
        let error = LabelledFile::open(None, "phase", &Watch::silent()).unwrap_err().to_string();
        assert!(error.contains("obs/phase") && error.contains("G1"), "{error}");
    }

    #[test]
    fn the_samples_labels_make_references_in_the_words_of_training() {
        let file = LabelledFile::open(None, "bulk_labels", &Watch::silent()).unwrap();
        assert!(file.cells.len() > 100, "{} cells, unknown: {:?}", file.cells.len(), file.unknown_labels);
        let truth = file.truth(file.cells[0]).unwrap();
        let (ontology, phrases) = (Ontology::builtin().unwrap(), Phrases::builtin().unwrap());
        let text = truth.facts(ontology, phrases, &["HALLMARK_APOPTOSIS"]).compose();
        assert!(text.starts_with("This sample consists of a"), "{text}");
        assert!(text.contains(" a normal individual. This cell is associated with "), "{text}");
    }

    #[test]
    fn donors_are_normal_ill_or_untold() {
        assert!(is_normal("normal (IFN-beta stimulated)") && is_normal("Healthy") && !is_normal("melanoma"));
    }
}
