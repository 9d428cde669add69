//! Whether a probability means what it says.

use serde::Serialize;

/// Bins of the reliability curve.
const BINS: usize = 10;

/// Answers whose probability falls into one range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Above this probability, …
    pub from: f64,
    /// … up to this one.
    pub to: f64,
    /// Answers.
    pub cells: u64,
    /// Their mean probability; 0 where there are none.
    pub confidence: f64,
    /// The share of them that was right; 0 where there are none.
    pub accuracy: f64,
}

/// A reliability curve: ten bins of equal width (Guo et al. 2017, "On Calibration of Modern Neural Networks").
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reliability {
    /// The bins, the least probable first.
    pub bins: Vec<Bin>,
}

impl Reliability {
    /// The curve of answers with `probability` (NaN where there is no answer), each counting `weights` times.
    pub(super) fn of(probability: &[f32], right: &[bool], weights: Option<&[u32]>) -> Self {
        let mut sums = [(0u64, 0.0, 0u64); BINS];
        for (cell, (probability, right)) in probability.iter().zip(right).enumerate() {
            let weight = weights.map_or(1, |w| w.get(cell).copied().unwrap_or(0));
            if probability.is_nan() || weight == 0 {
                continue;
            }
            let p = f64::from(*probability).clamp(0.0, 1.0);
            // Bins are open below: 0.1 belongs to the first. Probabilities are f32, of which 0.1 lies a hair above.
            let bin = ((p * BINS as f64 - 1e-6).ceil() as usize).clamp(1, BINS) - 1;
            sums[bin].0 += u64::from(weight);
            sums[bin].1 += p * f64::from(weight);
            sums[bin].2 += u64::from(weight) * u64::from(*right);
        }
        let bins = sums
            .iter()
            .enumerate()
            .map(|(i, &(cells, confidence, right))| {
                let share = |x: f64| if cells > 0 { x / cells as f64 } else { 0.0 };
                Bin {
                    from: i as f64 / BINS as f64,
                    to: (i + 1) as f64 / BINS as f64,
                    cells,
                    confidence: share(confidence),
                    accuracy: share(right as f64),
                }
            })
            .collect();
        Self { bins }
    }

    /// The mean distance between what was promised and what came true: `Σ |bin|/n · |accuracy − confidence|`. `None`
    /// without answers.
    pub fn expected_calibration_error(&self) -> Option<f64> {
        let n: u64 = self.bins.iter().map(|b| b.cells).sum();
        let sum: f64 = self.bins.iter().map(|b| b.cells as f64 * (b.accuracy - b.confidence).abs()).sum();
        (n > 0).then(|| sum / n as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_the_mean_gap_between_promise_and_truth() {
        // Two answers at .8, one right; two at .3, none right: (2 · |.5 − .8| + 2 · |0 − .3|) / 4 = .3.
        let curve = Reliability::of(&[0.8, 0.8, 0.3, 0.3], &[true, false, false, false], None);
        assert!((curve.expected_calibration_error().unwrap() - 0.3).abs() < 1e-6);
        assert_eq!((curve.bins[7].cells, curve.bins[2].cells), (2, 2));
        assert!((curve.bins[7].accuracy - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_promise_that_is_kept_has_no_error() {
        let curve = Reliability::of(&[1.0, 1.0, 0.0, f32::NAN], &[true, true, false, true], None);
        assert_eq!(curve.expected_calibration_error(), Some(0.0));
        assert_eq!(Reliability::of(&[f32::NAN], &[true], None).expected_calibration_error(), None);
    }

    #[test]
    fn a_bound_belongs_to_the_bin_below_it_and_weights_repeat_cells() {
        let curve = Reliability::of(&[0.1, 0.2, 0.200_01], &[true; 3], Some(&[1, 2, 3]));
        let cells: Vec<u64> = curve.bins.iter().map(|b| b.cells).collect();
        assert_eq!(cells[..3], [1, 2, 3]);
    }
}
