//! Highly variable genes, and their values alone.

use crate::Result;
use crate::analysis::LogNormalised;
use crate::error::Problem;
use crate::progress::Watch;

/// Bins of equal width over the genes' mean expression.
const BINS: usize = 20;
/// Most genes that may be chosen: their numbers are kept in 16 bits.
const MOST_GENES: usize = u16::MAX as usize;

/// Some genes of every cell, row after row, without zeros.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SparseCells {
    pub n_genes: usize,
    /// Where each cell's entries begin, `[cells + 1]`.
    starts: Vec<usize>,
    genes: Vec<u16>,
    values: Vec<f32>,
}

impl SparseCells {
    pub(super) fn new(n_genes: usize) -> Self {
        Self { n_genes, starts: vec![0], genes: Vec::new(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, entries: impl Iterator<Item = (u16, f32)>) {
        for (gene, value) in entries {
            self.genes.push(gene);
            self.values.push(value);
        }
        self.starts.push(self.genes.len());
    }

    pub(super) fn n_cells(&self) -> usize {
        self.starts.len() - 1
    }

    /// Genes, rising, and values of one cell.
    pub(super) fn row(&self, cell: usize) -> (&[u16], &[f32]) {
        let span = self.starts[cell]..self.starts[cell + 1];
        (&self.genes[span.clone()], &self.values[span])
    }
}

/// The `n_top` genes whose variance is highest for their mean, rising. Seurat's way (Satija et al. 2015) as scanpy's
/// `highly_variable_genes(flavor="seurat")` computes it: the log of variance over mean on the linear scale, standardised
/// within bins of the log mean. Genes that no cell shows are never chosen.
pub(super) fn highly_variable(values: &LogNormalised<'_>, n_top: usize, watch: &Watch) -> Result<Vec<usize>> {
    let n_genes = values.matrix().n_cols();
    let (mut sums, mut squares) = (vec![0.0f64; n_genes], vec![0.0f64; n_genes]);
    values.for_each_block("Finding variable genes", watch, |_, rows| {
        for (gene, value) in rows.iter().flat_map(crate::anndata::SparseRow::iter) {
            let linear = f64::from(value).exp_m1();
            sums[gene as usize] += linear;
            squares[gene as usize] += linear * linear;
        }
        Ok(())
    })?;
    let n = values.n_cells() as f64;
    let (means, dispersions): (Vec<f64>, Vec<f64>) = sums
        .iter()
        .zip(&squares)
        .map(|(sum, square)| {
            let mean = sum / n;
            let variance = (square - n * mean * mean) / (n - 1.0).max(1.0);
            // No dispersion where nothing varies: the log of zero.
            let dispersion = if variance > 0.0 { (variance / mean).ln() } else { f64::NAN };
            (mean.ln_1p(), dispersion)
        })
        .unzip();
    let standardised = standardise(&means, &dispersions);
    let mut order = (0..n_genes).filter(|gene| !standardised[*gene].is_nan()).collect::<Vec<_>>();
    // Stable: of equal genes the first in the file are taken.
    order.sort_by(|x, y| standardised[*y].total_cmp(&standardised[*x]));
    order.truncate(n_top.min(MOST_GENES));
    order.sort_unstable();
    if order.len() < 3 {
        return Err(crate::Error::request(Problem::new(
            values.matrix().key().to_string(),
            format!("{} genes that vary from cell to cell", order.len()),
            "at least 3",
            "Neither a map nor neighbours can be computed from this matrix: choose another one.",
        )));
    }
    Ok(order)
}

/// Each dispersion less the mean of its bin, over the standard deviation of its bin. Bins are those of `pandas.cut`. A
/// gene alone in its bin gets 1, as in scanpy.
fn standardise(means: &[f64], dispersions: &[f64]) -> Vec<f64> {
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = (high - low) / BINS as f64;
    // Bins are closed on the right; the first is widened so that it holds the lowest.
    let bin_of = |mean: f64| {
        let edges = (1..BINS).map(|edge| low + width * edge as f64);
        edges.take_while(|edge| mean > *edge).count()
    };
    let mut bins = vec![(0.0f64, 0.0f64, 0.0f64); BINS];
    let with_bin = || means.iter().zip(dispersions).map(|(mean, d)| (bin_of(*mean), *d));
    for (bin, d) in with_bin().filter(|(_, d)| !d.is_nan()) {
        bins[bin].0 += 1.0;
        bins[bin].1 += d;
    }
    for (bin, d) in with_bin().filter(|(_, d)| !d.is_nan()) {
        let mean = bins[bin].1 / bins[bin].0;
        bins[bin].2 += (d - mean) * (d - mean);
    }
    with_bin()
        .map(|(bin, d)| {
            let (count, sum, squares) = bins[bin];
            let mean = sum / count;
            if count < 2.0 { d / mean } else { (d - mean) / (squares / (count - 1.0)).sqrt() }
        })
        .collect()
}

/// The values of the genes `wanted` (rising) in every cell, by one pass.
pub(super) fn gather(values: &LogNormalised<'_>, wanted: &[usize], watch: &Watch) -> Result<SparseCells> {
    let mut place = vec![None; values.matrix().n_cols()];
    for (at, gene) in (0u16..).zip(wanted) {
        if let Some(place) = place.get_mut(*gene) {
            *place = Some(at);
        }
    }
    let mut cells = SparseCells::new(wanted.len());
    values.for_each_block("Reading variable genes", watch, |_, rows| {
        for row in rows {
            cells.push(row.iter().filter_map(|(gene, value)| Some((place[gene as usize]?, value))));
        }
        Ok(())
    })?;
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispersions_are_standardised_within_bins_of_the_mean() {
        // Bins of width 0.5: the first three genes share one, the fourth has none to share with, the last has nothing.
        let means = [0.0, 0.1, 0.5, 10.0, 0.2];
        let found = standardise(&means, &[1.0, 2.0, 3.0, 7.0, f64::NAN]);
        assert_eq!(found[..4], [-1.0, 0.0, 1.0, 1.0]);
        assert!(found[4].is_nan());
    }
}
