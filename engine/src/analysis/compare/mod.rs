//! Differential expression between two sets of cells.
//!
//! ```no_run
//! use engine::analysis::{CompareRequest, LogNormalised, Test, compare};
//! use engine::anndata::AnnData;
//! use engine::progress::Watch;
//!
//! let data = AnnData::open("cells.h5ad".as_ref(), &Watch::silent())?;
//! let choice = data.choose_matrix()?;
//! let matrix = data.matrix(&choice.key)?;
//! let values = LogNormalised::new(&matrix, choice.scale, None)?;
//! let symbols = &data.var(&choice.key).index;
//! let request = CompareRequest { a: (0..100).collect(), b: None, test: Test::Wilcoxon };
//! let result = compare(&values, symbols, &request, &Watch::silent())?;
//! assert!(result.genes.iter().is_sorted_by(|x, y| x.score >= y.score));
//! # Ok::<(), engine::Error>(())
//! ```

mod gather;
mod sets;
mod stats;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::gather::{Budget, measure};
use self::sets::Sets;
use self::stats::{Measured, benjamini_hochberg, log_fold_change, welch, wilcoxon_p};
use super::LogNormalised;
use crate::anndata::MatrixKey;
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

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
    /// Row of [`crate::anndata::AnnData::var`], as in the data set's list of genes.
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

/// Compares two sets of cells in every gene. `symbols` are the names of the matrix's genes, `[genes]`.
///
/// The definitions are those of scanpy's `rank_genes_groups` with `tie_correct=True`; see [`Test`] and
/// [`GeneComparison`].
///
/// # Cost
/// One pass over the matrix where its entries fit into 512 MB, else one to count and one for each 512 MB; by columns
/// (CSC) one pass in all. Zeros are counted, only other values are sorted.
///
/// # Errors
/// [`Error::Request`] where a set has fewer than two cells, names a cell that does not exist, or shares one with the
/// other; what reading fails with; [`Error::Cancelled`].
pub fn compare(
    values: &LogNormalised<'_>,
    symbols: &[String],
    request: &CompareRequest,
    watch: &Watch,
) -> Result<Comparison> {
    compare_with(values, symbols, request, Ties::Corrected, Budget::default(), watch)
}

/// Whether the variance of a rank sum is corrected for ties. scanpy's default is not to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ties {
    Corrected,
    #[cfg(test)]
    Ignored,
}

fn compare_with(
    values: &LogNormalised<'_>,
    symbols: &[String],
    request: &CompareRequest,
    ties: Ties,
    budget: Budget,
    watch: &Watch,
) -> Result<Comparison> {
    let n_genes = values.matrix().n_cols();
    if symbols.len() != n_genes {
        return Err(Error::request(Problem::new(
            "the names of the genes",
            format!("{} names", symbols.len()),
            format!("{n_genes}, one for each gene of {}", values.matrix().key()),
            "This is a fault of the program. Please report it.",
        )));
    }
    let sets = Sets::new(request, values.matrix().n_rows())?;
    let measured = measure(values, &sets, request.test, budget, watch)?;
    let tested = measured.iter().map(|gene| score(gene, &sets, request.test, ties)).collect::<Vec<_>>();
    let adjusted = benjamini_hochberg(&tested.iter().map(|(_, p)| *p).collect::<Vec<_>>());
    let mut genes = measured
        .iter()
        .zip(tested)
        .zip(adjusted)
        .zip(symbols)
        .enumerate()
        .map(|(gene, (((measured, (score, p_value)), p_adjusted), symbol))| {
            let [a, b] = &measured.moments;
            let (mean_a, mean_b) = (a.mean(sets.n_a), b.mean(sets.n_b));
            GeneComparison {
                gene,
                symbol: symbol.clone(),
                score,
                log_fold_change: log_fold_change(mean_a, mean_b),
                p_value,
                p_adjusted,
                share_a: a.nonzero as f64 / sets.n_a as f64,
                share_b: b.nonzero as f64 / sets.n_b as f64,
                mean_a,
                mean_b,
            }
        })
        .collect::<Vec<_>>();
    // Stable: genes of equal score stay in file order.
    genes.sort_by(|x, y| y.score.total_cmp(&x.score));
    Ok(Comparison {
        matrix: values.matrix().key().clone(),
        unit: values.unit(),
        test: request.test,
        n_a: sets.n_a,
        n_b: sets.n_b,
        genes,
    })
}

/// The statistic and its two-sided p; 0 and 1 where nothing varies.
fn score(gene: &Measured, sets: &Sets, test: Test, ties: Ties) -> (f64, f64) {
    match test {
        Test::Wilcoxon => {
            let corrected = ties == Ties::Corrected;
            let z = gene.ranks.z(sets.n_a, sets.n_b, corrected);
            (z, wilcoxon_p(z))
        }
        Test::WelchT => {
            let [a, b] = &gene.moments;
            welch(
                (a.mean(sets.n_a), a.variance(sets.n_a), sets.n_a),
                (b.mean(sets.n_b), b.variance(sets.n_b), sets.n_b),
            )
        }
    }
}
