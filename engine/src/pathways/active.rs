//! Which sets count as active in a cell, and which are worth keeping for a data set.
//!
//! The rule of the Cell2Text paper's data set: in each cell the sets whose score reaches the 95th percentile of that
//! cell's own scores are active; sets active in more than 0.5 % of the cells are kept. On the paper's cells that left
//! the 34 of [`super::PAPER_SETS`].

/// The percentile of a cell's scores that an active set reaches, as a share.
const ACTIVE_QUANTILE: f64 = 0.95;
/// The share of cells above which a set is kept.
const KEPT_SHARE: f64 = 0.005;

/// The sets that are active in a cell with these scores, `[sets]`, as indices.
///
/// Percentiles are interpolated linearly between neighbours, as numpy does. Sets that score 0 are never active: in a
/// cell without any score the paper's rule alone would call all of them so.
pub fn active_sets(scores: &[f32]) -> Vec<u32> {
    let mut sorted: Vec<f64> = scores.iter().map(|score| f64::from(*score)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return Vec::new() };
    let at = ACTIVE_QUANTILE * last as f64;
    let below = sorted.get(at.floor() as usize).copied().unwrap_or(0.0);
    let above = sorted.get(at.ceil() as usize).copied().unwrap_or(below);
    let threshold = below + (above - below) * at.fract();
    let reaches = |score: f32| score > 0.0 && f64::from(score) >= threshold;
    (0u32..).zip(scores).filter(|(_, score)| reaches(**score)).map(|(set, _)| set).collect()
}

/// Counts in how many cells each set is active.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityCount {
    cells: u64,
    active: Vec<u64>,
}

impl ActivityCount {
    /// A count over `n_sets` sets.
    pub fn new(n_sets: usize) -> Self {
        Self { cells: 0, active: vec![0; n_sets] }
    }

    /// Takes in one cell by its active sets, as [`active_sets`] gives them.
    pub fn add(&mut self, active: &[u32]) {
        self.cells += 1;
        for set in active {
            if let Some(count) = self.active.get_mut(*set as usize) {
                *count += 1;
            }
        }
    }

    /// Cells taken in.
    pub fn cells(&self) -> u64 {
        self.cells
    }

    /// The share of cells in which each set is active, `[sets]`.
    pub fn shares(&self) -> Vec<f64> {
        self.active.iter().map(|count| *count as f64 / self.cells.max(1) as f64).collect()
    }

    /// The sets that are active in more than 0.5 % of the cells, as indices.
    pub fn kept(&self) -> Vec<u32> {
        let shares = self.shares();
        (0u32..).zip(&shares).filter(|(_, share)| **share > KEPT_SHARE).map(|(set, _)| set).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_highest_of_fifty_sets_are_active() {
        // np.percentile(range(50), 95) is 46.55.
        let scores: Vec<f32> = (0..50).map(|i| i as f32).collect();
        assert_eq!(active_sets(&scores), [47, 48, 49]);
        // Scores equal to the threshold are active too.
        let mut tied = vec![0.5_f32; 50];
        tied[3] = 0.1;
        assert_eq!(active_sets(&tied).len(), 49);
        assert_eq!(active_sets(&[0.0; 50]), [0_u32; 0]);
        assert_eq!(active_sets(&[]), [0_u32; 0]);
        assert_eq!(active_sets(&[0.2]), [0]);
    }

    #[test]
    fn sets_active_in_more_than_one_cell_in_two_hundred_are_kept() {
        let mut count = ActivityCount::new(50);
        for cell in 0..400 {
            let mut scores = vec![0.0_f32; 50];
            scores[0] = 1.0;
            // Set 1 is active in 2 of 400 cells, exactly 0.5 %, set 2 in 3.
            scores[1] = f32::from(u8::from(cell < 2));
            scores[2] = f32::from(u8::from(cell < 3));
            count.add(&active_sets(&scores));
        }
        assert_eq!(count.cells(), 400);
        assert_eq!(count.kept(), [0, 2]);
        assert!((count.shares()[1] - 0.005).abs() < 1e-12);
    }
}
