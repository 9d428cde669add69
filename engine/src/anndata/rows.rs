//! One cell's values.

use super::choose::Scale;

/// The values of one cell that are not zero, by column (gene).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SparseRow {
    /// Columns, rising, each once.
    pub columns: Vec<u32>,
    /// The value of each column; finite, never zero.
    pub values: Vec<f32>,
}

/// Brings entries in the order of their numbers; values of the same number become their sum.
pub fn sum_repeated<V: Copy + std::ops::AddAssign>(entries: &mut Vec<(u32, V)>) {
    entries.sort_by_key(|(number, _)| *number);
    entries.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
}

impl SparseRow {
    /// The sum of the values: the library size where they are counts.
    pub fn total(&self) -> f64 {
        self.values.iter().map(|v| f64::from(*v)).sum()
    }

    /// How many columns are not zero.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether every value is zero.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Columns and values, in column order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        self.columns.iter().copied().zip(self.values.iter().copied())
    }

    /// The value of `column`; 0 where the row has none.
    pub fn value(&self, column: u32) -> f32 {
        self.columns.binary_search(&column).ok().and_then(|at| self.values.get(at).copied()).unwrap_or(0.0)
    }

    /// The row on a linear scale, as rank value encoding needs it: logged values are undone (`exp(x) - 1`), counts
    /// and linear values stay, and of scaled values only those above zero are kept, since what they were before
    /// scaling is lost ([`Scale::caution`] says so to the user).
    #[must_use]
    pub fn linearise(&self, scale: Scale) -> Self {
        let undo = |value: f32| match scale {
            Scale::Counts | Scale::Linear => value,
            Scale::Log1p => f64::from(value).exp_m1().min(f64::from(f32::MAX)) as f32,
            Scale::Scaled => value.max(0.0),
        };
        let (columns, values) = self.iter().map(|(c, v)| (c, undo(v))).filter(|(_, v)| *v != 0.0).unzip();
        Self { columns, values }
    }

    /// A row from pairs in any order: sorted, equal columns summed, zeros dropped. Values that are not finite are
    /// left out and counted in `left_out`.
    pub(super) fn from_pairs(mut pairs: Vec<(u32, f32)>, left_out: &mut u64) -> Self {
        let before = pairs.len();
        pairs.retain(|(_, v)| v.is_finite());
        *left_out += (before - pairs.len()) as u64;
        if !pairs.is_sorted_by_key(|(c, _)| *c) {
            pairs.sort_by_key(|(c, _)| *c);
        }
        let mut row =
            Self { columns: Vec::with_capacity(pairs.len()), values: Vec::with_capacity(pairs.len()) };
        for (column, value) in pairs {
            match (row.columns.last(), row.values.last_mut()) {
                (Some(last), Some(sum)) if *last == column => *sum += value,
                _ => {
                    row.columns.push(column);
                    row.values.push(value);
                }
            }
        }
        if row.values.contains(&0.0) {
            let kept: Vec<(u32, f32)> = row.iter().filter(|(_, v)| *v != 0.0).collect();
            (row.columns, row.values) = kept.into_iter().unzip();
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_in_any_order_become_a_row() {
        let mut left_out = 0;
        let pairs = vec![(5, 1.0), (2, 3.0), (5, 0.5), (7, 0.0), (1, f32::NAN), (3, 2.0), (3, -2.0)];
        let row = SparseRow::from_pairs(pairs, &mut left_out);
        assert_eq!(row.columns, [2, 5]);
        assert_eq!(row.values, [3.0, 1.5]);
        assert_eq!(left_out, 1);
        assert_eq!(row.total(), 4.5);
        assert_eq!(row.value(5), 1.5);
        assert_eq!(row.value(6), 0.0);
    }

    #[test]
    fn linear_values_come_back_from_each_scale() {
        let row = SparseRow { columns: vec![0, 1, 2], values: vec![2.0, -1.0, 0.5] };
        assert_eq!(row.linearise(Scale::Counts), row);
        assert_eq!(row.linearise(Scale::Scaled).columns, [0, 2]);
        let logged = row.linearise(Scale::Log1p);
        assert!((logged.values[0] - 6.389_056).abs() < 1e-5, "{:?}", logged.values);
        assert!((logged.values[2] - 0.648_721_3).abs() < 1e-6, "{:?}", logged.values);
    }
}
