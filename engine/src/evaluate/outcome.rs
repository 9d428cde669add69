//! What became of each cell: what it is, and what each method said of it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::statistic::NONE;
use super::text::TextScore;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The model, by the text it wrote.
    Model,
    /// A multinomial logistic regression on the encoder's vectors.
    Linear,
    /// Gradient boosting on the encoder's vectors.
    Boosting,
    /// The cell type whose signature genes stand highest.
    Markers,
}

impl Method {
    /// All, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Model, Self::Linear, Self::Boosting, Self::Markers];

    /// The name in files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Linear => "linear",
            Self::Boosting => "boosting",
            Self::Markers => "markers",
        }
    }

    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Linear => "encoder + linear head",
            Self::Boosting => "encoder + boosting",
            Self::Markers => "marker scores",
        }
    }
}

/// Distinct words, each with its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    words: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    /// The number of `word`, a new one where it is new.
    pub(super) fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = self.words.len() as u32;
        self.words.push(word.to_owned());
        self.numbers.insert(word.to_owned(), number);
        number
    }

    /// As [`Names::number`]; [`NONE`] for none.
    pub(super) fn number_of(&mut self, word: Option<&str>) -> u32 {
        word.map_or(NONE, |word| self.number(word))
    }

    /// The word of a number.
    pub(super) fn word(&self, number: u32) -> Option<&str> {
        self.words.get(number as usize).map(String::as_str)
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }
}

/// Labels of a cell, true or said, as numbers of [`Outcomes`]; [`NONE`] where there is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Labels {
    pub(super) cell_type: u32,
    pub(super) tissue: u32,
    pub(super) disease: u32,
    pub(super) stage: u32,
    /// At most two gene sets.
    pub(super) pathways: Vec<u32>,
    /// The probability of the cell type, for what is said; NaN where there is none.
    pub(super) probability: f32,
}

impl Default for Labels {
    fn default() -> Self {
        Self {
            cell_type: NONE,
            tissue: NONE,
            disease: NONE,
            stage: NONE,
            pathways: Vec::new(),
            probability: f32::NAN,
        }
    }
}

/// Recall, precision and F1 of a text's words against those of its reference, by their vectors.
pub(super) type BertScore = [f32; 3];

/// All cells of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcomes {
    /// Cell Ontology ids.
    pub(super) cell_types: Names,
    pub(super) tissues: Names,
    pub(super) diseases: Names,
    pub(super) stages: Names,
    /// Names of gene sets.
    pub(super) pathways: Names,
    /// `[cells]`.
    pub(super) truth: Vec<Labels>,
    /// The model's texts against the references, `[cells]`.
    pub(super) texts: Vec<TextScore>,
    /// Whether each text followed the pattern, `[cells]`.
    pub(super) well_formed: Vec<bool>,
    /// `[cells]` where a BERT was given.
    pub(super) bert: Vec<BertScore>,
    /// What each method said, `[cells]`.
    pub(super) said: BTreeMap<Method, Vec<Labels>>,
}

/// A label as it is compared: lower case, no blanks about it.
pub(super) fn plain(label: &str) -> String {
    label.trim().to_lowercase()
}

/// Whether two sets hold the same.
pub(super) fn same_set(a: &[u32], b: &[u32]) -> bool {
    a.len() == b.len() && a.iter().all(|x| b.contains(x))
}

/// `|a ∩ b| / |a ∪ b|`; 0 for two empty sets.
pub(super) fn jaccard(a: &[u32], b: &[u32]) -> f32 {
    let common = a.iter().filter(|x| b.contains(x)).count();
    let all = a.len() + b.len() - common;
    if all == 0 { 0.0 } else { common as f32 / all as f32 }
}
