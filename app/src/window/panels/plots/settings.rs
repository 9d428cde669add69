//! What the plots show, as the user chose it. Plain data, saved with the view.

use serde::{Deserialize, Serialize};

use super::super::super::quality::QualityFigure;
use super::draw::Scaling;

/// A number of every cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The values of a gene, by name.
    Gene(String),
    /// A column of obs that holds numbers, by name.
    Column(String),
    /// A quality figure worked out here.
    Quality(QualityFigure),
}

impl Measure {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Gene(name) | Self::Column(name) => name,
            Self::Quality(figure) => figure.text(),
        }
    }
}

/// What the plots show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlotSettings {
    /// The genes of all panels that show several, by name.
    pub genes: Vec<String>,
    /// The columns of obs that small maps show beside the genes, by name.
    pub map_columns: Vec<String>,
    /// The column whose categories are the groups; `None` is the first that suits.
    pub group_by: Option<String>,
    /// The column that divides the groups of a composition.
    pub part_by: Option<String>,
    /// What a histogram shows.
    pub measure: Option<Measure>,
    /// Whether the bars of a histogram are divided by groups.
    pub split: bool,
    /// Whether the counts of a histogram are logged.
    pub log: bool,
    /// Bins of a histogram.
    pub bins: usize,
    /// What the colours of dot plot and heatmap stand for.
    pub scaling: Scaling,
    /// What a scatter plot shows across.
    pub x: Option<Measure>,
    /// What it shows up.
    pub y: Option<Measure>,
    /// Whether the points of a scatter plot have their groups' colours.
    pub coloured: bool,
    /// Whether a composition shows counts, not shares.
    pub as_counts: bool,
}

impl Default for PlotSettings {
    fn default() -> Self {
        Self {
            genes: Vec::new(),
            map_columns: Vec::new(),
            group_by: None,
            part_by: None,
            measure: None,
            split: false,
            log: false,
            bins: 40,
            scaling: Scaling::Mean,
            x: None,
            y: None,
            coloured: true,
            as_counts: false,
        }
    }
}
