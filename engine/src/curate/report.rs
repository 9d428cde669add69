//! `dataset.json`: what a data set is, where it came from and how it was made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::figures::{Diversity, LengthReport};
use super::labels::Exclusion;
use super::split::Split;
use super::strata::PartReport;
use super::survey::SourceReport;

/// What `dataset.json` says. The same files and settings give the same report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetReport {
    /// `cell2text-dataset-1`.
    pub format: String,
    /// Version of the program.
    pub program: String,
    /// SHA-256 of everything that decides what the data set holds.
    pub plan_sha256: String,
    /// Cells asked for; `None` is all.
    pub cells_asked: Option<u64>,
    /// Seed of every draw.
    pub seed: u64,
    /// The files, in the order given.
    pub sources: Vec<SourceReport>,
    /// Cells left out, by reason.
    pub exclusions: BTreeMap<Exclusion, u64>,
    /// Cells left out because of their assay, by assay.
    pub excluded_assays: BTreeMap<String, u64>,
    /// What each part of the cohort asked for and got; empty where all cells were taken.
    pub parts: Vec<PartReport>,
    /// The parts to learn from and to be judged by.
    pub splits: BTreeMap<Split, SplitReport>,
    /// Donors with cells in more than one split. Always 0; checked before anything is written, and in what was.
    pub donors_in_several_splits: usize,
    /// Shannon diversity by variable.
    pub diversity: BTreeMap<String, Diversity>,
    /// Cells by category of each variable.
    pub strata: BTreeMap<String, Vec<StratumReport>>,
    /// How pathways were found.
    pub pathways: PathwayReport,
    /// Genes with a count a cell and special tokens, cut at the encoder's 4,096 (the paper's Figure 2).
    pub gene_lengths: LengthReport,
    /// Tokens of each description, by the built-in model's tokenizer (the paper's Figure 3, there by Llama's).
    pub text_lengths: LengthReport,
    /// Words of each description.
    pub text_words: LengthReport,
    /// What a reader should know.
    pub warnings: Vec<String>,
}

/// One of the three files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitReport {
    /// The file's name in the folder; empty where the split has no cells and no file was written.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its cells.
    pub cells: u64,
    /// Their donors.
    pub donors: u64,
    /// Their cell types.
    pub cell_types: u64,
}

/// One category of a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StratumReport {
    /// Its label.
    pub label: String,
    /// Its usable cells.
    pub usable: u64,
    /// Its cells taken.
    pub taken: u64,
}

/// How pathways were found, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathwayReport {
    /// The gene sets: `MSigDB Hallmark, built in`, or the name of a GMT file.
    pub sets: String,
    /// SHA-256 of names and genes of the sets.
    pub sha256: String,
    /// `pyscenic` or `decoupler`.
    pub dialect: String,
    /// Which sets were kept: `paper`, `active` or `all`.
    pub keep: String,
    /// Set by set.
    pub by_set: Vec<SetReport>,
}

/// One gene set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetReport {
    /// Its name.
    pub name: String,
    /// Its genes among those of the data set.
    pub genes_present: usize,
    /// Share of the cells in which it is active.
    pub active_share: f64,
    /// Whether descriptions may name it.
    pub kept: bool,
    /// Cells whose most enriched set it is.
    pub first: u64,
    /// Cells whose second it is.
    pub second: u64,
}
