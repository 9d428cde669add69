//! Gradient boosting on the encoder's vectors: one boosted ensemble a class against all others, by the `forust-ml` crate
//! (second-order boosting of histogram trees, as XGBoost).

use forust_ml::objective::ObjectiveType;
use forust_ml::{GradientBooster, Matrix};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rayon::prelude::*;

use super::features::columns;
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

/// Trees of one ensemble.
const TREES: usize = 40;
/// What each tree adds of what it would.
const LEARNING_RATE: f32 = 0.2;
/// Splits from root to leaf at most.
const DEPTH: usize = 4;
/// Share of the features that each tree may split by.
const FEATURE_SHARE: f64 = 0.5;
/// Bins of a feature.
const BINS: u16 = 63;
/// Rows of other classes shown for each row of a class, …
const OTHERS_PER_ROW: usize = 8;
/// … but at least these.
const LEAST_OTHERS: usize = 800;
/// Classes with fewer rows are never said.
const LEAST_ROWS: usize = 3;
/// Classes fitted between two looks at the watch.
const BLOCK: usize = 8;

/// An ensemble a class.
pub(super) struct Boosting {
    /// With the log of the share of other rows that it was shown; `None` for classes with too few rows.
    classes: Vec<Option<(GradientBooster, f64)>>,
    n_features: usize,
}

impl std::fmt::Debug for Boosting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Boosting").field("n_classes", &self.classes.len()).finish_non_exhaustive()
    }
}

impl Boosting {
    /// Fits `features`, `[rows, n_features]` row by row, to the classes of each row. The same seed gives the same
    /// ensembles.
    ///
    /// # Errors
    /// [`Error::Request`] where the crate refuses the data; [`Error::Cancelled`].
    pub(super) fn fit(
        features: &[f64],
        n_features: usize,
        targets: &[Vec<u32>],
        n_classes: usize,
        seed: u64,
        watch: &Watch,
    ) -> Result<Self> {
        let mut classes = Vec::with_capacity(n_classes);
        for first in (0..n_classes).step_by(BLOCK) {
            watch.step("Boosting", first as u64, Some(n_classes as u64))?;
            let block: Vec<Result<_>> = (first..(first + BLOCK).min(n_classes))
                .into_par_iter()
                .map(|class| one(features, n_features, targets, class as u32, seed))
                .collect();
            for fitted in block {
                classes.push(fitted?);
            }
        }
        Ok(Self { classes, n_features })
    }

    /// The odds of each class as a probability of its own, `[rows, classes]`; they need not add up to 1.
    pub(super) fn probabilities(&self, features: &[f64]) -> Vec<f64> {
        let rows = features.len() / self.n_features.max(1);
        let by_column = columns(features, self.n_features);
        let of_class: Vec<Option<Vec<f64>>> = self
            .classes
            .par_iter()
            .map(|class| {
                let (booster, log_share) = class.as_ref()?;
                let matrix = Matrix::new(&by_column, rows, self.n_features);
                let log_odds = booster.predict(&matrix, false);
                Some(log_odds.into_iter().map(|odds| 1.0 / (1.0 + (-(odds + log_share)).exp())).collect())
            })
            .collect();
        let mut probabilities = Vec::with_capacity(rows * self.classes.len());
        for row in 0..rows {
            probabilities.extend(of_class.iter().map(|class| class.as_ref().map_or(0.0, |p| p[row])));
        }
        probabilities
    }
}

fn one(
    features: &[f64],
    n_features: usize,
    targets: &[Vec<u32>],
    class: u32,
    seed: u64,
) -> Result<Option<(GradientBooster, f64)>> {
    let (own, others): (Vec<usize>, Vec<usize>) =
        (0..targets.len()).partition(|row| targets[*row].contains(&class));
    if own.len() < LEAST_ROWS || others.is_empty() {
        return Ok(None);
    }
    let wanted = (own.len() * OTHERS_PER_ROW).max(LEAST_OTHERS).min(others.len());
    let mut rng = StdRng::seed_from_u64(seed ^ u64::from(class));
    let mut rows: Vec<usize> = own
        .iter()
        .copied()
        .chain(rand::seq::index::sample(&mut rng, others.len(), wanted).into_iter().map(|at| others[at]))
        .collect();
    rows.sort_unstable();
    let shown: Vec<f64> = rows
        .iter()
        .flat_map(|row| features[row * n_features..(row + 1) * n_features].iter().copied())
        .collect();
    let by_column = columns(&shown, n_features);
    let truth: Vec<f64> =
        rows.iter().map(|row| f64::from(u8::from(targets[*row].contains(&class)))).collect();
    let mut booster = GradientBooster::default()
        .set_objective_type(ObjectiveType::LogLoss)
        .set_iterations(TREES)
        .set_learning_rate(LEARNING_RATE)
        .set_max_depth(DEPTH)
        .set_nbins(BINS)
        .set_colsample_bytree(FEATURE_SHARE)
        .set_initialize_base_score(true)
        // Classes are fitted side by side; within one there is no need to.
        .set_parallel(false)
        .set_seed(seed);
    booster.fit_unweighted(&Matrix::new(&by_column, rows.len(), n_features), &truth, None).map_err(|e| {
        Error::request(Problem::new(
            "gradient boosting",
            e.to_string(),
            "vectors of cells that differ",
            "Give more training cells, or leave the baselines out with --no-baselines.",
        ))
    })?;
    // Odds among all rows, not among those shown (King & Zeng 2001, prior correction).
    Ok(Some((booster, (wanted as f64 / others.len() as f64).ln())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_lie_apart_are_told_apart() {
        let rows = 240;
        let class = |row: usize| (row % 3) as u32;
        let features: Vec<f64> = (0..rows)
            .flat_map(|row| {
                let noise = ((row * 37) % 17) as f64 / 17.0;
                [f64::from(class(row)) * 2.0 + noise, noise, ((row * 7) % 5) as f64]
            })
            .collect();
        let targets: Vec<Vec<u32>> = (0..rows).map(|row| vec![class(row)]).collect();
        // A fourth class has no row and is never said.
        let model = Boosting::fit(&features, 3, &targets, 4, 1, &Watch::silent()).unwrap();
        let p = model.probabilities(&features);
        let right = (0..rows)
            .filter(|row| {
                let of = &p[row * 4..row * 4 + 4];
                of[3] == 0.0 && (0..4).all(|c| c == class(*row) as usize || of[c] < of[class(*row) as usize])
            })
            .count();
        assert!(right * 100 >= rows * 95, "{right} of {rows}");
    }
}
