//! The statistics of one gene, from what is counted of it.

use statrs::function::beta::checked_beta_reg;
use statrs::function::erf::erfc;

/// Sums over the cells of one set that have a value other than zero.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Moments {
    pub nonzero: u64,
    pub sum: f64,
    pub sum_of_squares: f64,
}

impl Moments {
    pub(super) fn add(&mut self, value: f32) {
        if value != 0.0 {
            let value = f64::from(value);
            self.nonzero += 1;
            self.sum += value;
            self.sum_of_squares += value * value;
        }
    }

    /// The mean over all `n` cells of the set.
    pub(super) fn mean(&self, n: usize) -> f64 {
        self.sum / n as f64
    }

    /// The unbiased variance over all `n` cells of the set.
    pub(super) fn variance(&self, n: usize) -> f64 {
        let mean = self.mean(n);
        let n = n as f64;
        ((self.sum_of_squares - n * mean * mean) / (n - 1.0)).max(0.0)
    }
}

/// Ranks of the first set's values among those of both, and how many are tied.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Ranks {
    /// Sum of the first set's ranks, ties sharing their mean rank.
    pub sum: f64,
    /// Sum over groups of ties of t³ - t.
    pub ties: f64,
}

impl Ranks {
    /// Ranks `a` and `b`, the values of each set that are not zero, among the `zeros` of each. Sorts the values.
    pub(super) fn of(a: &mut [f32], b: &mut [f32], zeros: [usize; 2]) -> Self {
        a.sort_unstable_by(f32::total_cmp);
        b.sort_unstable_by(f32::total_cmp);
        let mut ranks = Self::default();
        let (mut at_a, mut at_b) = (0, 0);
        let mut before = 0.0; // values ranked so far
        let mut take = |of_a: usize, of_b: usize| {
            let tied = (of_a + of_b) as f64;
            ranks.sum += of_a as f64 * (before + (tied + 1.0) / 2.0);
            ranks.ties += tied * tied * tied - tied;
            before += tied;
        };
        let mut zeros_left = zeros[0] + zeros[1] > 0;
        loop {
            let next = match (a.get(at_a), b.get(at_b)) {
                (Some(x), Some(y)) => x.min(*y),
                (Some(x), None) => *x,
                (None, Some(y)) => *y,
                (None, None) => f32::INFINITY,
            };
            if zeros_left && next > 0.0 {
                take(zeros[0], zeros[1]);
                zeros_left = false;
                continue;
            }
            if next == f32::INFINITY {
                return ranks;
            }
            let run = |values: &[f32], from: usize| values[from..].iter().take_while(|v| **v == next).count();
            let (of_a, of_b) = (run(a, at_a), run(b, at_b));
            take(of_a, of_b);
            at_a += of_a;
            at_b += of_b;
        }
    }

    /// The normal approximation of the rank sum: how many standard deviations it lies above what chance gives. Mann
    /// and Whitney 1947; the correction for ties, `1 - Σ(t³ - t) / (N³ - N)`, is Lehmann's, Nonparametrics 1.3. 0 where all values
    /// are tied.
    pub(super) fn z(&self, n_a: usize, n_b: usize, tie_corrected: bool) -> f64 {
        let (n_a, n_b) = (n_a as f64, n_b as f64);
        let n = n_a + n_b;
        let correction = if tie_corrected { 1.0 - self.ties / (n * n * n - n) } else { 1.0 };
        let deviation = (correction * n_a * n_b * (n + 1.0) / 12.0).sqrt();
        let z = (self.sum - n_a * (n + 1.0) / 2.0) / deviation;
        if z.is_finite() { z } else { 0.0 }
    }
}

/// What is counted of one gene: sums of both sets, and ranks where they were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Measured {
    pub moments: [Moments; 2],
    pub ranks: Ranks,
}

/// Two-sided p of a standard normal statistic.
pub(super) fn wilcoxon_p(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// Welch's t and its two-sided p, from mean, variance and number of each set. The degrees of freedom are
/// Welch and Satterthwaite's; p is the regularised incomplete beta function `I_{df / (df + t²)}(df / 2, 1 / 2)`.
pub(super) fn welch(a: (f64, f64, usize), b: (f64, f64, usize)) -> (f64, f64) {
    let (of_a, of_b) = (a.1 / a.2 as f64, b.1 / b.2 as f64);
    let t = (a.0 - b.0) / (of_a + of_b).sqrt();
    let df = (of_a + of_b).powi(2) / (of_a * of_a / (a.2 as f64 - 1.0) + of_b * of_b / (b.2 as f64 - 1.0));
    if t.is_nan() {
        return (0.0, 1.0);
    }
    if t.is_infinite() {
        return (t, 0.0);
    }
    let p = checked_beta_reg(df / 2.0, 0.5, df / (df + t * t)).unwrap_or(1.0);
    (t, p.clamp(0.0, 1.0))
}

/// log2 of the ratio of linear means, with scanpy's small number against zeros.
pub(super) fn log_fold_change(mean_a: f64, mean_b: f64) -> f64 {
    ((mean_a.exp_m1() + 1e-9) / (mean_b.exp_m1() + 1e-9)).log2()
}

/// p values adjusted for the false discovery rate: Benjamini and Hochberg 1995.
pub(super) fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order = (0..p.len()).collect::<Vec<_>>();
    order.sort_by(|x, y| p[*y].total_cmp(&p[*x]));
    let mut adjusted = vec![1.0; p.len()];
    let mut lowest = 1.0f64;
    for (above, at) in order.into_iter().enumerate() {
        let rank = (p.len() - above) as f64;
        lowest = lowest.min(p[at] * p.len() as f64 / rank);
        adjusted[at] = lowest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_ranked_by_number_and_ties_share_their_rank() {
        // a: -1 0 0 2 2 5; b: 0 2 3. Ranks: -1→1, three 0→3, three 2→6, 3→8, 5→9.
        let ranks = Ranks::of(&mut [5.0, 2.0, -1.0, 2.0], &mut [3.0, 2.0], [2, 1]);
        assert_eq!(ranks.sum, 1.0 + 3.0 + 3.0 + 6.0 + 6.0 + 9.0);
        assert_eq!(ranks.ties, 24.0 + 24.0);
    }

    #[test]
    fn without_values_every_rank_is_the_middle_one() {
        let ranks = Ranks::of(&mut [], &mut [], [4, 6]);
        assert_eq!(ranks.sum, 4.0 * 5.5);
        assert_eq!(ranks.z(4, 6, true), 0.0);
        assert_eq!(Ranks::of(&mut [], &mut [], [0, 0]), Ranks::default());
    }

    /// scipy.stats: `2 * norm.sf(3)`, `2 * norm.sf(30)`.
    #[test]
    fn p_of_z_agrees_with_scipy_far_into_the_tail() {
        assert!((wilcoxon_p(-3.0) / 0.002_699_796_063_260_188_6 - 1.0).abs() < 1e-9);
        assert!((wilcoxon_p(30.0) / 9.813_427_854_295_816e-198 - 1.0).abs() < 1e-9);
        assert_eq!(wilcoxon_p(0.0), 1.0);
    }

    /// scipy.stats.ttest_ind_from_stats(1.2, 0.5**0.5, 20, 0.7, 1.5, 35, equal_var=False).
    #[test]
    fn welch_agrees_with_scipy() {
        let (t, p) = welch((1.2, 0.5, 20), (0.7, 2.25, 35));
        assert!((t - 1.673_320_053_068_151).abs() < 1e-12, "{t}");
        assert!((p / 0.100_314_993_643_819_14 - 1.0).abs() < 1e-8, "{p}");
        assert_eq!(welch((0.0, 0.0, 5), (0.0, 0.0, 5)), (0.0, 1.0));
    }

    /// statsmodels: `multipletests([0.01, 0.04, 0.03, 0.5], method="fdr_bh")`.
    #[test]
    fn adjusted_p_never_falls_with_p() {
        let adjusted = benjamini_hochberg(&[0.01, 0.04, 0.03, 0.5]);
        for (found, expected) in adjusted.iter().zip([0.04, 0.053_333_333, 0.053_333_333, 0.5]) {
            assert!((found - expected).abs() < 1e-8, "{adjusted:?}");
        }
    }
}
