//! Multinomial logistic regression, the linear head on the encoder's vectors.
//!
//! The objective is scikit-learn's `LogisticRegression` with C = 1: the sum of the cross-entropies plus half the squared
//! norm of the weights, intercepts left out; classes of rows with several targets share the row evenly. Minimised by
//! L-BFGS (Nocedal & Wright 2006, algorithm 7.4) with backtracking.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use crate::Result;
use crate::progress::Watch;

/// Pairs of steps and gradients that the curvature is estimated from.
const MEMORY: usize = 10;
const MAX_STEPS: usize = 300;
/// Largest entry of the gradient, a row, at which the minimum counts as reached.
const TOLERANCE: f64 = 1e-6;
/// Armijo's constant.
const DECREASE: f64 = 1e-4;

/// A fitted regression.
#[derive(Debug, Clone)]
pub(super) struct LogisticRegression {
    /// `[features + 1, classes]`, the intercepts last.
    weights: Vec<f64>,
    n_features: usize,
    n_classes: usize,
}

impl LogisticRegression {
    /// Fits `features`, `[rows, n_features]` row by row, to the classes of each row.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`].
    pub(super) fn fit(
        features: &[f64],
        n_features: usize,
        targets: &[Vec<u32>],
        n_classes: usize,
        watch: &Watch,
    ) -> Result<Self> {
        let problem = Fit { features, n_features, targets, n_classes };
        let weights = minimise(&problem, watch)?;
        Ok(Self { weights, n_features, n_classes })
    }

    /// Probabilities `[rows, classes]`.
    pub(super) fn probabilities(&self, features: &[f64]) -> Vec<f64> {
        let rows = features.len() / self.n_features.max(1);
        let mut scores = scores(features, rows, self.n_features, self.n_classes, &self.weights);
        for row in scores.chunks_exact_mut(self.n_classes.max(1)) {
            softmax(row);
        }
        scores
    }
}

struct Fit<'a> {
    features: &'a [f64],
    n_features: usize,
    targets: &'a [Vec<u32>],
    n_classes: usize,
}

impl Fit<'_> {
    /// The objective, a row, and its gradient.
    fn at(&self, weights: &[f64]) -> (f64, Vec<f64>) {
        let (rows, width, classes) = (self.targets.len(), self.n_features, self.n_classes);
        let mut residuals = scores(self.features, rows, width, classes, weights);
        let mut loss = 0.0;
        for (row, targets) in residuals.chunks_exact_mut(classes.max(1)).zip(self.targets) {
            let log_sum = softmax(row);
            let share = 1.0 / targets.len().max(1) as f64;
            for target in targets {
                if let Some(p) = row.get_mut(*target as usize) {
                    loss -= share * (p.max(f64::MIN_POSITIVE)).ln();
                    *p -= share;
                }
            }
            debug_assert!(log_sum.is_finite());
        }
        let mut gradient = vec![0.0; weights.len()];
        let (of_weights, of_intercepts) = gradient.split_at_mut(width * classes);
        matmul(
            MatMut::from_row_major_slice_mut(of_weights, width, classes),
            Accum::Replace,
            MatRef::from_row_major_slice(self.features, rows, width).transpose(),
            MatRef::from_row_major_slice(&residuals, rows, classes),
            1.0,
            Par::rayon(0),
        );
        for row in residuals.chunks_exact(classes.max(1)) {
            for (sum, r) in of_intercepts.iter_mut().zip(row) {
                *sum += r;
            }
        }
        for (g, w) in of_weights.iter_mut().zip(weights) {
            *g += w;
            loss += 0.5 * w * w;
        }
        let n = rows.max(1) as f64;
        gradient.iter_mut().for_each(|g| *g /= n);
        (loss / n, gradient)
    }
}

/// `features · weights + intercepts`, `[rows, classes]`.
fn scores(features: &[f64], rows: usize, width: usize, classes: usize, weights: &[f64]) -> Vec<f64> {
    let (weights, intercepts) = weights.split_at(width * classes);
    let mut scores = Vec::with_capacity(rows * classes);
    for _ in 0..rows {
        scores.extend_from_slice(intercepts);
    }
    matmul(
        MatMut::from_row_major_slice_mut(&mut scores, rows, classes),
        Accum::Add,
        MatRef::from_row_major_slice(&features[..rows * width], rows, width),
        MatRef::from_row_major_slice(weights, width, classes),
        1.0,
        Par::rayon(0),
    );
    scores
}

/// Turns scores into probabilities; returns the log of their sum.
fn softmax(row: &mut [f64]) -> f64 {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = (*value - most).exp();
        sum += *value;
    }
    row.iter_mut().for_each(|value| *value /= sum);
    most + sum.ln()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn minimise(problem: &Fit<'_>, watch: &Watch) -> Result<Vec<f64>> {
    let mut x = vec![0.0; (problem.n_features + 1) * problem.n_classes];
    let (mut loss, mut gradient) = problem.at(&x);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    for step in 0..MAX_STEPS {
        watch.step("Fitting the linear head", step as u64, None)?;
        if gradient.iter().all(|g| g.abs() < TOLERANCE) {
            break;
        }
        let direction = downhill(&gradient, &pairs);
        let slope = dot(&direction, &gradient);
        let mut size = if pairs.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1e-12) } else { 1.0 };
        let mut found = None;
        for _ in 0..30 {
            let next: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + size * d).collect();
            let (next_loss, next_gradient) = problem.at(&next);
            if next_loss <= loss + DECREASE * size * slope {
                found = Some((next, next_loss, next_gradient));
                break;
            }
            size *= 0.5;
        }
        let Some((next, next_loss, next_gradient)) = found else { break };
        let moved: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let turned: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&moved, &turned);
        if curvature > 1e-14 {
            if pairs.len() == MEMORY {
                pairs.remove(0);
            }
            pairs.push((moved, turned, 1.0 / curvature));
        }
        (x, loss, gradient) = (next, next_loss, next_gradient);
    }
    Ok(x)
}

/// The two-loop recursion: minus the estimated inverse curvature times the gradient.
fn downhill(gradient: &[f64], pairs: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut shares = Vec::with_capacity(pairs.len());
    for (moved, turned, rho) in pairs.iter().rev() {
        let share = rho * dot(moved, &q);
        q.iter_mut().zip(turned).for_each(|(q, t)| *q -= share * t);
        shares.push(share);
    }
    if let Some((_, turned, rho)) = pairs.last() {
        let scale = 1.0 / (rho * dot(turned, turned));
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((moved, turned, rho), share) in pairs.iter().zip(shares.iter().rev()) {
        let back = share - rho * dot(turned, &q);
        q.iter_mut().zip(moved).for_each(|(q, m)| *q += back * m);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}

#[cfg(test)]
mod tests {
    use super::super::features::Standardiser;
    use super::*;

    #[test]
    fn probabilities_agree_with_scikit_learn() {
        // The rows of `logistic_figures` in tests/python/label_metrics.py.
        let expected: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/expected/label_metrics.json")).unwrap();
        let rows: Vec<f32> =
            (0..60).flat_map(|i| (0..4).map(move |j| ((i * 7 + j * 5 + i * j) % 11) as f32 - 5.0)).collect();
        let targets: Vec<Vec<u32>> = expected["logistic"]["classes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| vec![c.as_u64().unwrap() as u32])
            .collect();
        let standard = Standardiser::fit(&rows, 4);
        let features = standard.apply(&rows);
        let model = LogisticRegression::fit(&features, 4, &targets, 3, &Watch::silent()).unwrap();
        let own = model.probabilities(&features[..12 * 4]);
        let theirs = expected["logistic"]["probabilities"].as_array().unwrap();
        for (own, theirs) in own.chunks(3).zip(theirs) {
            for (own, theirs) in own.iter().zip(theirs.as_array().unwrap()) {
                assert!((own - theirs.as_f64().unwrap()).abs() < 1e-3, "{own} against {theirs}");
            }
        }
    }

    #[test]
    fn a_row_of_two_targets_gives_both_alike() {
        let features = [1.0, -1.0, 1.0, -1.0];
        let targets = [vec![0, 1], vec![2], vec![0, 1], vec![2]];
        let model = LogisticRegression::fit(&features, 1, &targets, 3, &Watch::silent()).unwrap();
        let p = model.probabilities(&[1.0]);
        assert!((p[0] - p[1]).abs() < 1e-6 && p[0] > p[2], "{p:?}");
    }

    #[test]
    fn a_stop_ends_the_fit() {
        let cancel = crate::progress::Cancel::new();
        cancel.cancel();
        let watch = Watch::new(cancel, |_| {});
        assert!(LogisticRegression::fit(&[1.0], 1, &[vec![0]], 2, &watch).unwrap_err().is_cancelled());
    }
}
