//! How far a figure may lie off by the chance of which cells are in the file.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use serde::Serialize;

use crate::Result;
use crate::progress::Watch;

/// A figure with its 95 % bootstrap interval: the 2.5th and 97.5th percentile over resamples of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Estimate {
    /// `value` with the interval of `resampled`, which may hold NaN where a resample gave no figure.
    pub(super) fn new(value: f64, resampled: &[f64]) -> Self {
        let mut sorted: Vec<f64> = resampled.iter().copied().filter(|v| !v.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| percentile(&sorted, share).unwrap_or(value);
        Self { value, low: at(0.025), high: at(0.975) }
    }
}

/// The percentile of sorted values, interpolated between neighbours as numpy does.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted.get(at.floor() as usize)?, sorted.get(at.ceil() as usize)?);
    Some(low + (high - low) * at.fract())
}

/// `figures` over `count` resamples of `n` cells drawn with replacement; the same seed gives the same resamples.
/// Returned as `[figures][resamples]`. `figures` is told how often each cell was drawn.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(super) fn resample(
    n: usize,
    count: usize,
    seed: u64,
    watch: &Watch,
    figures: &(dyn Fn(&[u32]) -> Vec<f64> + Sync),
) -> Result<Vec<Vec<f64>>> {
    const WHAT: &str = "Resampling cells";
    /// Resamples between two looks at the watch.
    const BLOCK: usize = 50;
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(count);
    while rows.len() < count {
        watch.step(WHAT, rows.len() as u64, Some(count as u64))?;
        let block: Vec<Vec<f64>> = (rows.len()..(rows.len() + BLOCK).min(count))
            .into_par_iter()
            .map(|number| {
                let mut rng =
                    StdRng::seed_from_u64(seed ^ (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
                let mut drawn = vec![0u32; n];
                for _ in 0..n {
                    drawn[rng.random_range(0..n)] += 1;
                }
                figures(&drawn)
            })
            .collect();
        rows.extend(block);
    }
    let width = rows.first().map_or(0, Vec::len);
    Ok((0..width).map(|i| rows.iter().map(|row| row[i]).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_of_first_half(drawn: &[u32]) -> Vec<f64> {
        let half: u32 = drawn[..drawn.len() / 2].iter().sum();
        vec![f64::from(half) / drawn.iter().sum::<u32>() as f64]
    }

    #[test]
    fn the_interval_of_a_share_is_that_of_the_binomial() {
        // A share of 1/2 over 400 cells has a standard error of .025: the interval is near .5 ± .049.
        let drawn = resample(400, 1000, 5, &Watch::silent(), &share_of_first_half).unwrap();
        let estimate = Estimate::new(0.5, &drawn[0]);
        assert!(
            (estimate.low - 0.451).abs() < 0.008 && (estimate.high - 0.549).abs() < 0.008,
            "{estimate:?}"
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_another_does_not() {
        let with = |seed| resample(50, 100, seed, &Watch::silent(), &share_of_first_half).unwrap();
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn percentiles_lie_between_neighbours_and_nan_is_left_out() {
        let estimate = Estimate::new(2.0, &[3.0, 1.0, f64::NAN, 2.0]);
        assert!((estimate.low - 1.05).abs() < 1e-12 && (estimate.high - 2.95).abs() < 1e-12, "{estimate:?}");
        assert_eq!(Estimate::new(2.0, &[f64::NAN]), Estimate { value: 2.0, low: 2.0, high: 2.0 });
    }
}
