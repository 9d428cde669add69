//! Values as they are shown and compared: log1p of counts per 10,000.

use std::ops::Range;

use crate::anndata::{Layout, Matrix, Scale, SparseRow};
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

/// Rows read between two looks at the stop flag.
pub(super) const ROWS_PER_BLOCK: usize = 512;

/// `ln(1 + 10,000 · value / total)`, scanpy's `normalize_total(target_sum=1e4)` and `log1p`; 0 for an empty cell.
pub(crate) fn log1p_cp10k(value: f32, total: f64) -> f32 {
    if total > 0.0 { (f64::from(value) / total * 1e4).ln_1p() as f32 } else { 0.0 }
}

/// Sums every row: row by row where rows lie together in the file, column by column where columns do.
pub(crate) fn row_totals(matrix: &Matrix, watch: &Watch) -> Result<Vec<f64>> {
    const WHAT: &str = "Summing each cell's counts";
    let (n_rows, n_cols) = (matrix.n_rows(), matrix.n_cols());
    // A large matrix by rows is read on all cores.
    if matrix.profits_from_gene_cache()
        && let Some(totals) = matrix.gather(&[], true, watch, &mut |_| Ok(()))?.totals
    {
        return Ok(totals);
    }
    let mut totals = vec![0.0; n_rows];
    let quiet = watch.quiet();
    if matrix.layout() == Layout::Csc {
        for column in 0..n_cols {
            watch.step(WHAT, column as u64, Some(n_cols as u64))?;
            for (total, value) in totals.iter_mut().zip(matrix.column(column, &quiet)?) {
                // A missing value must not make the whole cell missing.
                *total += if value.is_finite() { f64::from(value) } else { 0.0 };
            }
        }
        return Ok(totals);
    }
    for (block, sums) in totals.chunks_mut(ROWS_PER_BLOCK).enumerate() {
        let first = block * ROWS_PER_BLOCK;
        watch.step(WHAT, first as u64, Some(n_rows as u64))?;
        let rows = matrix.rows_watched(first..first + sums.len(), &quiet)?;
        for (total, row) in sums.iter_mut().zip(rows) {
            *total = row.total();
        }
    }
    Ok(totals)
}

/// A matrix read on the scale of log1p of counts per 10,000, without being changed or loaded.
///
/// Counts and linear values are divided by the cell's total, multiplied by 10,000 and logged; logs are taken as they
/// are. Missing and infinite values count as zero.
#[derive(Debug, Clone, Copy)]
pub struct LogNormalised<'a> {
    matrix: &'a Matrix,
    /// Row sums where values are to be normalised by columns, `[n_obs]`.
    totals: Option<&'a [f64]>,
    normalises: bool,
    /// The cells that are looked at, where not all are.
    cells: Option<&'a [usize]>,
}

impl<'a> LogNormalised<'a> {
    /// A view of `matrix`, whose values are of this `scale`. `totals` are its row sums, `[n_obs]`: wanted only where
    /// [`LogNormalised::needs_totals`] says so.
    ///
    /// # Errors
    /// [`Error::Request`] for scaled values, which have lost what is compared.
    pub fn new(matrix: &'a Matrix, scale: Scale, totals: Option<&'a [f64]>) -> Result<Self> {
        if scale == Scale::Scaled {
            return Err(Error::request(Problem::new(
                matrix.key().to_string(),
                "scaled values (z-scores)",
                "counts, normalised values or logarithms",
                "Choose another matrix, in the data panel or with --matrix; where the file has none, add the counts to \
                 it as layers/counts or raw/X.",
            )));
        }
        Ok(Self { matrix, totals, normalises: matches!(scale, Scale::Counts | Scale::Linear), cells: None })
    }

    /// The same view of `cells` (rows of the matrix) alone, for what goes block by block: the first of them is then
    /// cell 0.
    #[must_use]
    pub fn among(self, cells: &'a [usize]) -> Self {
        Self { cells: Some(cells), ..self }
    }

    /// The cells that go block by block.
    pub fn n_cells(&self) -> usize {
        self.cells.map_or_else(|| self.matrix.n_rows(), <[usize]>::len)
    }

    /// Whether reading by columns needs the row sums.
    pub fn needs_totals(matrix: &Matrix, scale: Scale) -> bool {
        matrix.layout() == Layout::Csc && matches!(scale, Scale::Counts | Scale::Linear)
    }

    /// What the values are, for a legend.
    pub fn unit(&self) -> &'static str {
        if self.normalises { "log1p of counts per 10,000" } else { "log1p as in the file" }
    }

    /// The matrix behind it.
    pub fn matrix(&self) -> &'a Matrix {
        self.matrix
    }

    /// The rows `range`, as [`Matrix::rows_watched`] gives them, log-normalised.
    ///
    /// # Errors
    /// As [`Matrix::rows_watched`].
    pub fn rows(&self, range: Range<usize>, watch: &Watch) -> Result<Vec<SparseRow>> {
        let mut rows = self.matrix.rows_watched(range, watch)?;
        self.normalise(&mut rows);
        Ok(rows)
    }

    fn normalise(&self, rows: &mut [SparseRow]) {
        if self.normalises {
            for row in rows {
                let total = row.total();
                for value in &mut row.values {
                    *value = finite(log1p_cp10k(*value, total));
                }
            }
        }
    }

    /// One gene over all cells, `[n_obs]`, log-normalised. Cheap for CSC and dense matrices only.
    ///
    /// # Errors
    /// As [`Matrix::column`]; [`Error::Request`] where the totals are wanted and were not given.
    pub fn column(&self, gene: usize, watch: &Watch) -> Result<Vec<f32>> {
        let mut values = self.matrix.column(gene, watch)?;
        if !self.normalises {
            values.iter_mut().for_each(|value| *value = finite(*value));
            return Ok(values);
        }
        let Some(totals) = self.totals.filter(|totals| totals.len() == values.len()) else {
            return Err(Error::request(Problem::new(
                "the totals of the cells",
                "none",
                "one for each cell",
                "This is a fault of the program. Please report it.",
            )));
        };
        for (value, total) in values.iter_mut().zip(totals) {
            *value = finite(log1p_cp10k(*value, *total));
        }
        Ok(values)
    }

    /// Hands all rows, or those of [`LogNormalised::among`], in blocks and in order, to `each`: the number of the first
    /// cell and the block.
    ///
    /// # Errors
    /// What reading or `each` fails with; [`Error::Cancelled`].
    pub fn for_each_block(
        &self,
        what: &str,
        watch: &Watch,
        mut each: impl FnMut(usize, &[SparseRow]) -> Result<()>,
    ) -> Result<()> {
        let n_cells = self.n_cells();
        let quiet = watch.quiet();
        for first in (0..n_cells).step_by(ROWS_PER_BLOCK) {
            watch.step(what, first as u64, Some(n_cells as u64))?;
            let block = first..n_cells.min(first + ROWS_PER_BLOCK);
            let rows = match self.cells.and_then(|cells| cells.get(block.clone())) {
                Some(cells) => {
                    let read = self.matrix.rows_at(cells, &quiet)?;
                    let mut rows: Vec<SparseRow> = read.into_iter().map(|(_, row)| row).collect();
                    self.normalise(&mut rows);
                    rows
                }
                None => self.rows(block, &quiet)?,
            };
            each(first, &rows)?;
        }
        watch.step(what, n_cells as u64, Some(n_cells as u64))
    }
}

fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_brought_to_ten_thousand_and_logged() {
        // ln(1 + 10,000 · 3 / 12,000) = ln(3.5).
        assert!((log1p_cp10k(3.0, 12_000.0) - 1.252_763).abs() < 1e-6);
        assert_eq!(log1p_cp10k(3.0, 0.0), 0.0);
    }
}
