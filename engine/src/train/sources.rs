//! What a recipe says of its data: files of labelled cells, and how training cells are drawn from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How cells are drawn from profiles and thinned from real cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellRecipe {
    /// Least and most counts of a cell; drawn evenly on the log scale.
    pub counts: [f64; 2],
    /// Shape of the gamma noise on each gene's mean; larger is less noise.
    pub gamma_shape: f64,
    /// Largest share of a cell's counts that comes from the average of its tissue.
    pub ambient: f64,
    /// Share of cells whose genes are cut to a panel.
    pub panel_share: f64,
    /// Least and most genes of a panel; drawn evenly on the log scale.
    pub panel_genes: [f64; 2],
    /// Cell types are drawn with their number of profiles to this power: 0 is all alike, 1 as they are.
    pub type_balance: f64,
    /// How often the rows of a tissue are drawn, relative to those of tissues not listed, which count one.
    #[serde(default)]
    pub tissue_weights: BTreeMap<String, f64>,
    /// Cell types too vague to be an answer, by Cell Ontology id; their cells are left out.
    pub vague: Vec<String>,
    /// Cell types that are learnt but never told, by Cell Ontology id: other studies have more exact names for their
    /// cells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<String>,
    /// Share of the cells drawn from profiles that are moved towards another study first, as far as the types that
    /// both studies have show how the two differ.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restyled: f64,
    /// Share of the cells that hold a second, no larger one of the same tissue; they are told by the larger.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub doublets: f64,
    /// Share of the cells that divide: the genes of S or of G2 and M phase are raised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dividing: f64,
    /// Share of the cells in which the genes that answer to taking a tissue apart are raised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stressed: f64,
}

/// Entries that are left out when zero keep the hash of recipes that do not have them.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// What a file's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceForm {
    /// Mean expression of a cell type, from which cells are drawn.
    Profiles,
    /// Real cells.
    Cells,
}

/// One h5ad file with labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Path below the data folder.
    pub file: String,
    /// What its rows are.
    pub form: SourceForm,
    /// Its share of the drawn cells, relative to the other sources.
    pub weight: f64,
    /// Column of Cell Ontology ids.
    #[serde(default = "cell_type_column")]
    pub cell_type_column: String,
    /// Column of tissues.
    #[serde(default = "tissue_column")]
    pub tissue_column: String,
    /// The words for each tissue of the file; those not listed are told as they are.
    #[serde(default)]
    pub tissues: BTreeMap<String, String>,
    /// For tissues whose label covers several: the words by label and Cell Ontology id, before `tissues` is asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tissues_of_types: BTreeMap<String, BTreeMap<String, String>>,
    /// For cell types that a tissue makes more exact: the Cell Ontology id to teach, by tissue label and by the id in the
    /// file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types_of_tissues: BTreeMap<String, BTreeMap<String, String>>,
    /// Column that tells the disease.
    #[serde(default = "disease_column")]
    pub disease_column: String,
    /// The words for each value of that column; an empty text is a normal donor, as are values not listed.
    #[serde(default)]
    pub diseases: BTreeMap<String, String>,
    /// Column that tells the study of a profile, for `cells.restyled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study_column: Option<String>,
    /// Column that tells the stage of life.
    #[serde(default = "stage_column")]
    pub stage_column: String,
    /// The words for each value of that column; those not listed go through the rule for CELLxGENE's labels.
    #[serde(default)]
    pub stages: BTreeMap<String, String>,
    /// Profiles averaged over values that were squeezed before, as logarithms are, look flatter than cells are: those
    /// with these values of obs `scale_guess` are raised to the power given. One leaves them as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sharpen: BTreeMap<String, f64>,
}

fn cell_type_column() -> String {
    "cell_type_ontology_term_id".to_owned()
}
fn tissue_column() -> String {
    "tissue".to_owned()
}
fn disease_column() -> String {
    "disease".to_owned()
}
fn stage_column() -> String {
    "development_stage".to_owned()
}

/// A labelled study that a model is not trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationStudy {
    /// Path below the data folder.
    pub file: String,
    /// Cells described at most.
    pub most_cells: usize,
    /// Column of Cell Ontology ids.
    #[serde(default = "cell_type_column")]
    pub cell_type_column: String,
    /// Column of tissues.
    #[serde(default = "tissue_column")]
    pub tissue_column: String,
    /// The model's words for tissues that the file words otherwise.
    #[serde(default)]
    pub tissues: BTreeMap<String, String>,
}
