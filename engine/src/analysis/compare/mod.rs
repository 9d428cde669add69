//! Differential expression between two sets of cells.

use std::sync::Arc;

use crate::anndata::MatrixKey;

/// How two sets of values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Test {
    /// Wilcoxon rank-sum test by its normal approximation, corrected for ties.
    #[default]
    Wilcoxon,
    /// Welch's t-test.
    WelchT,
}

impl Test {
    /// In words, for a heading.
    pub fn label(self) -> &'static str {
        match self {
            Self::Wilcoxon => "Wilcoxon rank-sum",
            Self::WelchT => "Welch's t",
        }
    }
}

/// Which cells to compare, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompareRequest {
    /// Rows of obs of the first set.
    pub a: Arc<[usize]>,
    /// Rows of obs of the second set; `None` is all other cells.
    pub b: Option<Arc<[usize]>>,
    /// The test.
    pub test: Test,
}

/// What differs between two sets of cells, gene by gene.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The matrix that was read.
    pub matrix: MatrixKey,
    /// What the compared values are.
    pub unit: &'static str,
    /// The test.
    pub test: Test,
    /// Cells of the first set.
    pub n_a: usize,
    /// Cells of the second set.
    pub n_b: usize,
    /// Every gene of the matrix, by falling score; genes of equal score in file order.
    pub genes: Vec<GeneComparison>,
}

/// How one gene differs between two sets of cells.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneComparison {
    /// Row of [`crate::session::Dataset::genes`].
    pub gene: usize,
    /// The symbol.
    pub symbol: String,
    /// The test's statistic: z of the Wilcoxon test, t of Welch's. Above zero where the gene is higher in the first set.
    pub score: f64,
    /// log2 of the ratio of the sets' linear means, as scanpy computes it:
    /// `log2((exp(mean_a) - 1 + 1e-9) / (exp(mean_b) - 1 + 1e-9))`.
    pub log_fold_change: f64,
    /// Two-sided.
    pub p_value: f64,
    /// After Benjamini and Hochberg, over all genes.
    pub p_adjusted: f64,
    /// Share of the first set's cells with a value other than zero.
    pub share_a: f64,
    /// Share of the second set's cells with a value other than zero.
    pub share_b: f64,
    /// Mean of the first set.
    pub mean_a: f64,
    /// Mean of the second set.
    pub mean_b: f64,
}
