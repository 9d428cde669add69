//! Values as they are shown and compared: log1p of counts per 10,000.

use crate::Result;
use crate::anndata::{Layout, Matrix};
use crate::progress::Watch;

/// Rows read between two looks at the stop flag.
pub(crate) const ROWS_PER_BLOCK: usize = 512;

/// `ln(1 + 10,000 · value / total)`, scanpy's `normalize_total(target_sum=1e4)` and `log1p`; 0 for an empty cell.
pub(crate) fn log1p_cp10k(value: f32, total: f64) -> f32 {
    if total > 0.0 { (f64::from(value) / total * 1e4).ln_1p() as f32 } else { 0.0 }
}

/// Sums every row: row by row where rows lie together in the file, column by column where columns do.
pub(crate) fn row_totals(matrix: &Matrix, watch: &Watch) -> Result<Vec<f64>> {
    const WHAT: &str = "Summing each cell's counts";
    let (n_rows, n_cols) = (matrix.n_rows(), matrix.n_cols());
    let mut totals = vec![0.0; n_rows];
    let quiet = Watch::new(watch.cancel().clone(), |_| {});
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
