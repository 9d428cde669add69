//! In which order cells are drawn, in which colour of the table, and which of them while the map moves.

use super::super::palette;
use super::colouring::{Colouring, Meaning};

/// Number of colour in the table that is neither a category nor a step of the scale: for cells without a value.
const MISSING: u32 = 0;

impl Colouring {
    /// The cells in drawing order, each with its entry in the colour table.
    ///
    /// High values are drawn last, so that they are not covered; categories are drawn in a shuffled order that is
    /// always the same, so that none covers the others by its place in the file. Cells without a place are left out.
    pub fn drawing_order(&self, positions: &[[f32; 2]]) -> Vec<[u32; 2]> {
        // What comes first in the upper half, a shuffle in the lower: one number a cell sorts fastest.
        let keyed = |cell: u32, key: u32| (u64::from(key) << 32) | u64::from(scramble(cell));
        let placed = positions.iter().enumerate().filter(|(_, p)| p[0].is_finite() && p[1].is_finite());
        let mut keys: Vec<u64> = placed
            .map(|(cell, _)| {
                let key = match &self.meaning {
                    Meaning::Numbers { values, .. } => rising(values.get(cell).copied().unwrap_or(f32::NAN)),
                    Meaning::Categories { categories, codes } => {
                        let row = codes.get(cell).and_then(|&c| categories.get(c as usize));
                        u32::from(row.is_some_and(|c| !c.is_missing))
                    }
                    Meaning::Plain | Meaning::Unusable(_) => 0,
                };
                keyed(cell as u32, key)
            })
            .collect();
        keys.sort_unstable();
        keys.into_iter()
            .map(|key| {
                let cell = unscramble(key as u32);
                [cell, self.entry(cell as usize)]
            })
            .collect()
    }

    /// A fair sample of `order`, about `wanted` cells of it, in the same order: what is drawn while the map moves.
    ///
    /// Of every category, and of every tenth of the range of numbers, the same share is taken, but at least
    /// [`KEPT_WHOLE`] cells: what is rare is drawn whole.
    pub fn sample(&self, order: &[[u32; 2]], wanted: usize) -> Vec<[u32; 2]> {
        if order.len() <= wanted {
            return order.to_vec();
        }
        const TENTHS: usize = 10;
        let group_of = |entry: u32| match &self.meaning {
            Meaning::Numbers { .. } if entry != MISSING => {
                1 + (entry as usize - 1) * TENTHS / palette::SCALE_STEPS
            }
            _ => entry as usize,
        };
        let mut sizes: Vec<usize> = Vec::new();
        for [_, entry] in order {
            let group = group_of(*entry);
            if group >= sizes.len() {
                sizes.resize(group + 1, 0);
            }
            sizes[group] += 1;
        }
        // The share that leaves room for the small groups: found by halving, since the sum rises with it.
        let taken = |share: f64| -> f64 { sizes.iter().map(|&n| share_of(n, share) * n as f64).sum() };
        let (mut low, mut high) = (0.0_f64, 1.0_f64);
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if taken(middle) > wanted as f64 {
                high = middle;
            } else {
                low = middle;
            }
        }
        let limits: Vec<u64> =
            sizes.iter().map(|&n| (share_of(n, low) * (f64::from(u32::MAX) + 1.0)) as u64).collect();
        // Another shuffle than that of the order, or the cells drawn first would be the ones kept.
        let kept = |cell: u32, entry: u32| {
            limits.get(group_of(entry)).is_some_and(|limit| u64::from(scramble(!cell)) < *limit)
        };
        order.iter().copied().filter(|[cell, entry]| kept(*cell, *entry)).collect()
    }

    /// The entry of a cell in the colour table.
    pub(super) fn entry(&self, cell: usize) -> u32 {
        match &self.meaning {
            Meaning::Plain | Meaning::Unusable(_) => 1,
            Meaning::Categories { codes, .. } => codes.get(cell).map_or(MISSING, |c| c + 1),
            Meaning::Numbers { values, low, high, log, .. } => match values.get(cell) {
                Some(v) if !v.is_nan() => {
                    1 + (share(*v, *low, *high, *log) * (palette::SCALE_STEPS - 1) as f32).round() as u32
                }
                _ => MISSING,
            },
        }
    }
}

/// Cells of a group up to which all of them are drawn while the map moves.
pub const KEPT_WHOLE: usize = 2_000;

/// The share of a group of `n` that is sampled where groups give `share` of theirs.
fn share_of(n: usize, share: f64) -> f64 {
    share.max(KEPT_WHOLE as f64 / n.max(1) as f64).min(1.0)
}

/// Where a value stands between the ends of the scale, 0 to 1.
fn share(v: f32, low: f32, high: f32, log: bool) -> f32 {
    let scaled = |v: f32| if log { v.max(0.0).ln_1p() } else { v };
    let (v, low, high) = (scaled(v), scaled(low), scaled(high));
    let span = high - low;
    if span > 0.0 { ((v - low) / span).clamp(0.0, 1.0) } else { 0.0 }
}

/// A whole number that rises with `v`; missing values come first.
fn rising(v: f32) -> u32 {
    if v.is_nan() {
        return 0;
    }
    // Adding zero makes the negative zero a positive one.
    let bits = (v + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 0x8000_0000 } else { !bits }
}

/// A shuffle without a table: the same for every start and every data set.
///
/// Source: the finaliser of MurmurHash3.
fn scramble(cell: u32) -> u32 {
    let mut h = cell ^ 0x9E37_79B9;
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// The cell that [`scramble`] made `h` of: its steps undone, the last first.
fn unscramble(h: u32) -> u32 {
    // The factors are the inverses of those above modulo 2³².
    let h = (h ^ (h >> 16)).wrapping_mul(0x7ED1_B41D);
    let h = (h ^ (h >> 13) ^ (h >> 26)).wrapping_mul(0xA5CB_9243);
    (h ^ (h >> 16)) ^ 0x9E37_79B9
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::colouring::{NumberRange, Words};
    use super::*;

    fn categories(codes: &[i32], names: &[&str]) -> Colouring {
        Colouring::by_words(Words {
            title: "c".into(),
            codes: codes.iter().map(|&c| u32::try_from(c).ok()).collect(),
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            missing: "missing",
        })
    }

    fn gene(values: Arc<[f32]>) -> Colouring {
        Colouring::by_numbers("g".into(), values, String::new(), NumberRange::default())
    }

    #[test]
    fn a_shuffle_can_be_undone_and_numbers_keep_their_order_as_whole_numbers() {
        for cell in [0, 1, 2, 699, 1_000_000, u32::MAX] {
            assert_eq!(unscramble(scramble(cell)), cell);
        }
        let rise = [f32::NAN, f32::NEG_INFINITY, -3.5, -1e-9, 0.0, 1e-9, 2.0, f32::INFINITY].map(rising);
        assert!(rise.windows(2).all(|w| w[0] < w[1]), "{rise:?}");
        assert_eq!(rising(-0.0), rising(0.0));
    }

    #[test]
    fn what_is_drawn_while_moving_is_fair_and_holds_all_of_what_is_rare() {
        // 60,000 and 39,900 cells of two common types, 100 of a rare one.
        let codes: Vec<i32> = (0..100_000)
            .map(|i| match i {
                0..60_000 => 0,
                60_000..99_900 => 1,
                _ => 2,
            })
            .collect();
        let c = categories(&codes, &["common", "less", "rare"]);
        let order = c.drawing_order(&vec![[0.0; 2]; codes.len()]);
        let sample = c.sample(&order, 10_000);
        assert!((9_700..10_300).contains(&sample.len()), "{}", sample.len());
        let count = |row: u32| sample.iter().filter(|i| i[1] == row + 1).count();
        assert_eq!(count(2), 100);
        let fair = 9_900.0 * 60_000.0 / 99_900.0;
        assert!((count(0) as f64 - fair).abs() < 0.05 * fair, "{} of {fair}", count(0));
        assert_eq!(c.sample(&order, 100_000), order, "with room for all, all are drawn");
        // The sample keeps the order.
        let place: std::collections::HashMap<u32, usize> =
            order.iter().enumerate().map(|(i, [cell, _])| (*cell, i)).collect();
        assert!(sample.windows(2).all(|w| place[&w[0][0]] < place[&w[1][0]]));
    }

    #[test]
    fn the_few_high_values_of_a_gene_are_drawn_while_moving() {
        let values: Arc<[f32]> = (0..50_000).map(|i| if i % 1000 == 7 { 5.0 } else { 0.0 }).collect();
        let c = gene(values);
        let order = c.drawing_order(&vec![[0.0; 2]; 50_000]);
        let sample = c.sample(&order, 5_000);
        assert_eq!(sample.iter().filter(|i| i[1] == 256).count(), 50);
        assert!(sample.len() < 5_500);
    }

    #[test]
    fn high_values_are_drawn_last_and_cells_without_a_place_never() {
        let values: Arc<[f32]> = vec![3.0, 0.0, f32::NAN, 5.0, 1.0].into();
        let c = gene(values);
        let order = c.drawing_order(&[[0.0; 2], [0.0; 2], [0.0; 2], [0.0; 2], [f32::NAN, 0.0]]);
        assert_eq!(order, [[2, 0], [1, 1], [0, 1 + 153], [3, 256]]);
    }

    #[test]
    fn categories_are_drawn_in_a_shuffled_order_that_does_not_change() {
        let codes: Vec<i32> = (0..1000).map(|i| i / 500).collect();
        let positions = vec![[0.0; 2]; 1000];
        let c = categories(&codes, &["a", "b"]);
        let order = c.drawing_order(&positions);
        assert_eq!(order, c.drawing_order(&positions));
        let early = order[..500].iter().filter(|i| i[1] == 1).count();
        assert!((200..300).contains(&early), "{early}");
    }
}
