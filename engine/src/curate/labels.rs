//! What the CELLxGENE columns of one file say of its cells, and which cells cannot be used.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::anndata::{AnnData, Column, Frame, Values};
use crate::describe::stage_of_life;
use crate::error::Problem;
use crate::genes::Species;
use crate::ontology::Ontology;
use crate::{Error, Result};

/// Why a cell is left out of a data set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// Of another species.
    NotHuman,
    /// `is_primary_data` is false: the same cell is in another file.
    NotPrimary,
    /// Of one of the data sets that the paper leaves out.
    DataSet,
    /// Measured with an assay that the paper leaves out.
    Assay,
    /// No cell type that the Cell Ontology knows.
    CellType,
    /// No tissue.
    Tissue,
    /// No disease, and not said to be normal.
    Disease,
    /// `donor_id` is missing, unknown or a pool: such a cell may come from a donor of any part.
    Donor,
    /// No gene with a count; found out when the cell is read.
    NoGenes,
}

impl Exclusion {
    /// In words.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotHuman => "not human",
            Self::NotPrimary => "not primary data: in another file as well",
            Self::DataSet => "of a data set that the paper leaves out",
            Self::Assay => "of an assay that the paper leaves out",
            Self::CellType => "cell type unknown",
            Self::Tissue => "tissue unknown",
            Self::Disease => "disease unknown",
            Self::Donor => "donor unknown or pooled",
            Self::NoGenes => "no gene with a count",
        }
    }
}

/// The assays that the paper leaves out, as the beginnings of their lower-case labels: full-length, targeted, rare or
/// proprietary protocols, and fixed RNA profiling.
pub const EXCLUDED_ASSAYS: [&str; 7] = [
    "smart-seq",
    "quartz-seq",
    "mars-seq",
    "sort-seq",
    "gexscope",
    "bd rhapsody targeted",
    "10x gene expression flex",
];

/// The data sets that the paper's code leaves out, as the beginnings of their ids.
pub const EXCLUDED_DATA_SETS: [&str; 4] = ["1b9d8702", "fe52003e", "b6579ac6", "e47f2480"];

/// Columns of obs that go into the data set as they are, where a file has them.
pub(super) const KEPT_COLUMNS: [&str; 18] = [
    "cell_type",
    "cell_type_ontology_term_id",
    "tissue",
    "tissue_ontology_term_id",
    "tissue_general",
    "tissue_general_ontology_term_id",
    "tissue_type",
    "disease",
    "disease_ontology_term_id",
    "donor_id",
    "sex",
    "development_stage",
    "development_stage_ontology_term_id",
    "self_reported_ethnicity",
    "assay",
    "assay_ontology_term_id",
    "suspension_type",
    "is_primary_data",
];

/// Coarse stages of life, by which donors are kept for training (never told in a text).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum StageGroup {
    Unknown,
    Prenatal,
    Infant,
    Child,
    YoungAdult,
    Adult,
    Aged,
}

impl StageGroup {
    pub(super) fn of(label: Option<&str>) -> Self {
        let Some(words) = label.and_then(stage_of_life) else { return Self::Unknown };
        match words.as_str() {
            "early embryonic stage" | "late embryonic stage" | "fetal stage" => Self::Prenatal,
            "infancy" => Self::Infant,
            "early childhood" | "childhood" => Self::Child,
            "adolescence" | "young adulthood" => Self::YoungAdult,
            "adulthood" | "middle age" => Self::Adult,
            "elderly stage" | "advanced elderly stage" => Self::Aged,
            _ => Self::Unknown,
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Prenatal => "prenatal",
            Self::Infant => "infant",
            Self::Child => "child",
            Self::YoungAdult => "young adult",
            Self::Adult => "adult",
            Self::Aged => "aged",
        }
    }
}

/// The labels of one usable cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CellLabels {
    /// Cell Ontology id.
    pub(super) cell_type: String,
    /// `tissue_general`, else `tissue`.
    pub(super) tissue: String,
    /// The disease's label; `normal` where there is none.
    pub(super) disease: String,
    pub(super) donor: String,
    pub(super) stage: StageGroup,
}

/// The label of cells of donors without a disease.
pub(super) const NORMAL: &str = "normal";

/// The columns of one file, ready to be asked row by row.
#[derive(Debug)]
pub(super) struct LabelReader<'a> {
    obs: &'a Frame,
    file_is_human: Option<bool>,
    /// Every cell is of this donor, where the file names none.
    one_donor: Option<String>,
    cell_types: Option<Coded<'a>>,
    type_names: Option<Coded<'a>>,
    /// Answers by category of `cell_types` and `type_names`.
    known_types: BTreeMap<String, Option<String>>,
}

/// A column read by label; categories are looked at once.
#[derive(Debug, Clone, Copy)]
struct Coded<'a>(&'a Column);

impl Coded<'_> {
    fn label(&self, row: usize) -> Option<String> {
        self.0.text(row).map(|t| t.trim().to_owned()).filter(|t| !is_unknown(t))
    }
}

/// Whether a label says that nothing is known.
fn is_unknown(label: &str) -> bool {
    matches!(
        label.to_lowercase().as_str(),
        "" | "unknown" | "na" | "n/a" | "nan" | "none" | "null" | "unassigned"
    )
}

impl<'a> LabelReader<'a> {
    /// `file_tag` names the file, for the donor of a file that names none.
    ///
    /// # Errors
    /// [`Error::AnnData`] naming the columns of cell types or tissues where both are missing.
    pub(super) fn new(data: &'a AnnData, file_tag: &str) -> Result<Self> {
        let obs = data.obs();
        let coded = |name: &str| obs.column(name).map(Coded);
        let (cell_types, type_names) = (coded("cell_type_ontology_term_id"), coded("cell_type"));
        let missing = |names: &str| {
            Error::anndata(
                Problem::new(
                    format!("obs/{names}"),
                    "no such column",
                    "the columns of CELLxGENE's schema",
                    "Add the column, or leave the file out.",
                )
                .in_file(data.path()),
            )
        };
        if cell_types.is_none() && type_names.is_none() {
            return Err(missing("cell_type_ontology_term_id"));
        }
        if coded("tissue").is_none() && coded("tissue_general").is_none() {
            return Err(missing("tissue"));
        }
        let file_is_human = match obs.column("organism") {
            Some(_) => None,
            None => data.organism().and_then(|o| Species::from_organism(&o)).map(|s| s == Species::Human),
        };
        let one_donor = obs.column("donor_id").is_none().then(|| format!("of {file_tag}"));
        Ok(Self { obs, file_is_human, one_donor, cell_types, type_names, known_types: BTreeMap::new() })
    }

    /// Whether the whole file counts as one donor.
    pub(super) fn names_no_donor(&self) -> bool {
        self.one_donor.is_some()
    }

    fn text(&self, column: &str, row: usize) -> Option<String> {
        Coded(self.obs.column(column)?).label(row)
    }

    /// The labels of `row`, or the first reason why it cannot be used.
    pub(super) fn read(&mut self, row: usize) -> std::result::Result<CellLabels, Exclusion> {
        let human = match self.file_is_human {
            Some(human) => human,
            None => self
                .text("organism", row)
                .and_then(|o| Species::from_organism(&o))
                .is_none_or(|species| species == Species::Human),
        };
        if !human {
            return Err(Exclusion::NotHuman);
        }
        if self.text("is_primary_data", row).is_some_and(|t| t.eq_ignore_ascii_case("false")) {
            return Err(Exclusion::NotPrimary);
        }
        if self.text("dataset_id", row).is_some_and(|id| EXCLUDED_DATA_SETS.iter().any(|d| id.starts_with(d)))
        {
            return Err(Exclusion::DataSet);
        }
        if self.text("assay", row).is_some_and(|assay| is_excluded_assay(&assay)) {
            return Err(Exclusion::Assay);
        }
        let cell_type = self.cell_type(row).ok_or(Exclusion::CellType)?;
        let tissue =
            self.text("tissue_general", row).or_else(|| self.text("tissue", row)).ok_or(Exclusion::Tissue)?;
        let disease = self.disease(row).ok_or(Exclusion::Disease)?;
        let donor = match &self.one_donor {
            Some(donor) => donor.clone(),
            None => self
                .text("donor_id", row)
                .filter(|donor| !donor.to_lowercase().starts_with("pooled"))
                .ok_or(Exclusion::Donor)?,
        };
        let stage = StageGroup::of(self.text("development_stage", row).as_deref());
        Ok(CellLabels { cell_type, tissue, disease, donor, stage })
    }

    /// The Cell Ontology id: that of the column of ids, else that of the name.
    fn cell_type(&mut self, row: usize) -> Option<String> {
        let said = self
            .cell_types
            .and_then(|c| c.label(row))
            .or_else(|| self.type_names.and_then(|c| c.label(row)))?;
        if let Some(known) = self.known_types.get(&said) {
            return known.clone();
        }
        let ontology = Ontology::builtin().ok()?;
        let known = ontology.current(&said).or_else(|| ontology.by_name(&said)).map(|term| term.id.clone());
        self.known_types.insert(said, known.clone());
        known
    }

    /// The disease; `None` where the file has the columns but says nothing. A file without them is of normal donors.
    fn disease(&self, row: usize) -> Option<String> {
        let (label, id) = (self.obs.column("disease"), self.obs.column("disease_ontology_term_id"));
        if label.is_none() && id.is_none() {
            return Some(NORMAL.to_owned());
        }
        if self.text("disease_ontology_term_id", row).as_deref() == Some("PATO:0000461") {
            return Some(NORMAL.to_owned());
        }
        let label = self.text("disease", row)?;
        let lower = label.to_lowercase();
        Some(if lower == "normal" || lower == "healthy" { NORMAL.to_owned() } else { label })
    }
}

/// Whether the paper leaves out cells of this assay.
pub(super) fn is_excluded_assay(label: &str) -> bool {
    let label = label.trim().to_lowercase();
    EXCLUDED_ASSAYS.iter().any(|assay| label.starts_with(assay))
}

/// The values of the kept columns of `row`, in the order of [`KEPT_COLUMNS`]; empty where the file says nothing.
pub(super) fn kept_values(obs: &Frame, row: usize) -> Vec<String> {
    KEPT_COLUMNS.iter().map(|name| obs.column(name).and_then(|c| c.text(row)).unwrap_or_default()).collect()
}

/// Labels as categories in the order of the alphabet; empty labels are missing.
pub(super) fn categorical(values: &[String]) -> Values {
    let mut categories: Vec<String> = values.iter().filter(|v| !v.is_empty()).cloned().collect();
    categories.sort_unstable();
    categories.dedup();
    let code = |value: &String| categories.binary_search(value).map_or(-1, |at| at as i32);
    let codes = values.iter().map(code).collect();
    Values::Categorical { codes, categories, ordered: false }
}

/// A short name of a file for people: its name without folders.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_assays_are_left_out_and_droplet_assays_are_not() {
        for assay in [
            "Smart-seq",
            "Smart-seq2",
            "Smart-seq v4",
            "MARS-seq",
            "GEXSCOPE technology",
            "BD Rhapsody Targeted mRNA",
        ] {
            assert!(is_excluded_assay(assay), "{assay}");
        }
        for assay in
            ["10x 3' v3", "10x 5' v1", "sci-RNA-seq", "Drop-seq", "BD Rhapsody Whole Transcriptome Analysis"]
        {
            assert!(!is_excluded_assay(assay), "{assay}");
        }
    }

    #[test]
    fn stages_fall_into_six_groups() {
        for (label, expected) in [
            ("20th week post-fertilization stage", StageGroup::Prenatal),
            ("14-month-old stage", StageGroup::Infant),
            ("9-year-old stage", StageGroup::Child),
            ("29-year-old stage", StageGroup::YoungAdult),
            ("human adult stage", StageGroup::Adult),
            ("80 year-old and over stage", StageGroup::Aged),
            ("unknown", StageGroup::Unknown),
        ] {
            assert_eq!(StageGroup::of(Some(label)), expected, "{label}");
        }
    }

    #[test]
    fn labels_become_categories_and_empty_ones_are_missing() {
        let values = ["b", "", "a", "b"].map(str::to_owned);
        let Values::Categorical { codes, categories, .. } = categorical(&values) else { panic!() };
        assert_eq!((codes, categories), (vec![1, -1, 0, 1], vec!["a".to_owned(), "b".to_owned()]));
    }
}
