//! Vectors of cells brought to one scale.

/// Features shifted to mean 0 and scaled to standard deviation 1, as scikit-learn's `StandardScaler`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Standardiser {
    means: Vec<f64>,
    scales: Vec<f64>,
}

impl Standardiser {
    /// Learns means and deviations of `features`, `[rows, width]` row by row.
    pub(super) fn fit(features: &[f32], width: usize) -> Self {
        let rows = (features.len() / width.max(1)).max(1) as f64;
        let mut means = vec![0.0; width];
        for row in features.chunks_exact(width.max(1)) {
            means.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x) / rows);
        }
        let mut variances = vec![0.0; width];
        for row in features.chunks_exact(width.max(1)) {
            for ((v, x), m) in variances.iter_mut().zip(row).zip(&means) {
                *v += (f64::from(*x) - m).powi(2) / rows;
            }
        }
        // A feature that is always the same says nothing; it must not become infinite.
        let scales = variances.into_iter().map(|v| if v > 1e-20 { 1.0 / v.sqrt() } else { 0.0 }).collect();
        Self { means, scales }
    }

    /// Features of a row.
    pub(super) fn width(&self) -> usize {
        self.means.len()
    }

    /// The features of `[rows, width]` on the learnt scale.
    pub(super) fn apply(&self, features: &[f32]) -> Vec<f64> {
        let mut scaled = Vec::with_capacity(features.len());
        for row in features.chunks_exact(self.means.len().max(1)) {
            scaled.extend(
                row.iter().zip(&self.means).zip(&self.scales).map(|((x, m), s)| (f64::from(*x) - m) * s),
            );
        }
        scaled
    }
}

/// `[rows, width]` turned from row by row to column by column.
pub(super) fn columns(features: &[f64], width: usize) -> Vec<f64> {
    let rows = features.len() / width.max(1);
    let mut columns = Vec::with_capacity(features.len());
    for column in 0..width {
        columns.extend((0..rows).map(|row| features[row * width + column]));
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_come_out_with_mean_zero_and_deviation_one() {
        let rows = [1.0, 5.0, 3.0, 5.0];
        let scaled = Standardiser::fit(&rows, 2).apply(&rows);
        assert_eq!(scaled, [-1.0, 0.0, 1.0, 0.0]);
        assert_eq!(columns(&scaled, 2), [-1.0, 1.0, 0.0, 0.0]);
    }
}
