//! Sets of cells: the current selection and the named sets beside it.

use std::sync::Arc;

use eframe::egui::Modifiers;

/// How newly chosen cells are joined with those selected before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Combine {
    /// They take the place of the selection.
    #[default]
    Replace,
    /// They are added to it.
    Add,
    /// They are taken from it.
    Subtract,
    /// Only cells that are in both stay.
    Intersect,
}

impl Combine {
    /// What the keys that are held mean: Shift adds, Alt subtracts, both keep what is in both.
    pub fn of(modifiers: Modifiers) -> Self {
        match (modifiers.shift, modifiers.alt) {
            (false, false) => Self::Replace,
            (true, false) => Self::Add,
            (false, true) => Self::Subtract,
            (true, true) => Self::Intersect,
        }
    }

    /// The selection that follows from `before` and the cells chosen.
    pub fn join(self, before: &CellSet, chosen: &Arc<CellSet>) -> Arc<CellSet> {
        match self {
            Self::Replace => chosen.clone(),
            Self::Add => Arc::new(before.union(chosen)),
            Self::Subtract => Arc::new(before.difference(chosen)),
            Self::Intersect => Arc::new(before.intersection(chosen)),
        }
    }
}

/// A set of cells of one data set, one bit a cell.
///
/// Sets of different data sets must not be mixed: the operations look only at the cells that both have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CellSet {
    words: Vec<u64>,
    n_obs: usize,
    len: usize,
}

impl CellSet {
    /// No cell of `n_obs`.
    pub fn none(n_obs: usize) -> Self {
        Self { words: vec![0; n_obs.div_ceil(64)], n_obs, len: 0 }
    }

    /// Every cell of `n_obs`.
    pub fn all(n_obs: usize) -> Self {
        Self::none(n_obs).inverted()
    }

    /// The cells for which `chosen` is true.
    pub fn from_fn(n_obs: usize, chosen: impl Fn(usize) -> bool) -> Self {
        let words = (0..n_obs.div_ceil(64))
            .map(|w| {
                let cells = w * 64..((w + 1) * 64).min(n_obs);
                cells.fold(0u64, |word, cell| word | (u64::from(chosen(cell)) << (cell % 64)))
            })
            .collect();
        Self { words, n_obs, len: 0 }.counted()
    }

    /// The cells listed; numbers beyond `n_obs` are left out.
    pub fn from_cells(n_obs: usize, cells: impl IntoIterator<Item = usize>) -> Self {
        let mut set = Self::none(n_obs);
        for cell in cells.into_iter().filter(|&c| c < n_obs) {
            set.words[cell / 64] |= 1 << (cell % 64);
        }
        set.counted()
    }

    fn counted(mut self) -> Self {
        self.len = self.words.iter().map(|w| w.count_ones() as usize).sum();
        self
    }

    /// Cells of the data set, chosen or not.
    pub fn n_obs(&self) -> usize {
        self.n_obs
    }

    /// Cells in the set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no cell is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `cell` is in it.
    pub fn contains(&self, cell: usize) -> bool {
        self.words.get(cell / 64).is_some_and(|word| word >> (cell % 64) & 1 == 1)
    }

    /// Its cells, rising.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(w, &word)| {
            std::iter::successors((word != 0).then_some(word), |&left| {
                let left = left & (left - 1);
                (left != 0).then_some(left)
            })
            .map(move |left| w * 64 + left.trailing_zeros() as usize)
        })
    }

    /// One bit a cell, 64 cells a word, the lowest bit first; bits beyond `n_obs` are zero.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    fn merged(&self, other: &Self, merge: impl Fn(u64, u64) -> u64) -> Self {
        let theirs = other.words.iter().copied().chain(std::iter::repeat(0));
        let words = self.words.iter().zip(theirs).map(|(&a, b)| merge(a, b)).collect();
        Self { words, n_obs: self.n_obs, len: 0 }.trimmed()
    }

    /// Clears the bits beyond the last cell.
    fn trimmed(mut self) -> Self {
        let beyond = self.n_obs % 64;
        if beyond != 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << beyond) - 1;
        }
        self.counted()
    }

    /// Cells in either.
    pub fn union(&self, other: &Self) -> Self {
        self.merged(other, |a, b| a | b)
    }

    /// Cells in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.merged(other, |a, b| a & b)
    }

    /// Cells in this and not in `other`.
    pub fn difference(&self, other: &Self) -> Self {
        self.merged(other, |a, b| a & !b)
    }

    /// The cells of words as [`CellSet::words`] gives them; `None` where they do not fit `n_obs`.
    pub fn from_words(n_obs: usize, words: Vec<u64>) -> Option<Self> {
        let set = Self { words, n_obs, len: 0 }.counted();
        let fits = set.words.len() == n_obs.div_ceil(64);
        (fits && set.clone().trimmed() == set).then_some(set)
    }

    /// The runs of neighbouring cells in it, rising: where each begins and how many cells it has.
    pub fn runs(&self) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for cell in self.iter() {
            match runs.last_mut() {
                Some((start, len)) if *start + *len == cell => *len += 1,
                _ => runs.push((cell, 1)),
            }
        }
        runs
    }

    /// The cells of runs; what lies beyond `n_obs` is left out.
    pub fn from_runs(n_obs: usize, runs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut set = Self::none(n_obs);
        for (start, len) in runs {
            let end = start.saturating_add(len).min(n_obs);
            let mut cell = start.min(n_obs);
            while cell < end {
                // A word at a time: runs of a sorted file are long.
                let bit = cell % 64;
                let many = (64 - bit).min(end - cell);
                let mask = if many == 64 { u64::MAX } else { ((1u64 << many) - 1) << bit };
                set.words[cell / 64] |= mask;
                cell += many;
            }
        }
        set.counted()
    }

    /// Every cell that is not in it.
    pub fn inverted(&self) -> Self {
        Self { words: self.words.iter().map(|w| !w).collect(), n_obs: self.n_obs, len: 0 }.trimmed()
    }
}

/// A set with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSet {
    /// Its name, unique in the session.
    pub name: String,
    /// Its cells.
    pub cells: Arc<CellSet>,
}

/// The current selection and the named sets of the open data set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sets {
    /// What is selected now.
    pub current: Arc<CellSet>,
    /// The named sets, in the order they were made.
    pub named: Vec<NamedSet>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Two sets of cells of one data set, as plain sets of numbers.
    fn two() -> impl Strategy<Value = (usize, BTreeSet<usize>, BTreeSet<usize>)> {
        (0..300usize).prop_flat_map(|n| {
            let cells = move || prop::collection::btree_set(0..n.max(1), 0..=n);
            (Just(n), cells(), cells())
        })
    }

    proptest! {
        #[test]
        fn the_algebra_of_sets_is_that_of_sets_of_numbers((n, a, b) in two()) {
            let within = |cells: &BTreeSet<usize>| cells.iter().copied().filter(|c| *c < n).collect::<BTreeSet<_>>();
            let (a, b) = (within(&a), within(&b));
            let of = |cells: &BTreeSet<usize>| CellSet::from_cells(n, cells.iter().copied());
            let numbers = |set: &CellSet| set.iter().collect::<BTreeSet<usize>>();
            let (x, y) = (of(&a), of(&b));
            prop_assert_eq!(numbers(&x.union(&y)), &a | &b);
            prop_assert_eq!(numbers(&x.intersection(&y)), &a & &b);
            prop_assert_eq!(numbers(&x.difference(&y)), &a - &b);
            prop_assert_eq!(numbers(&x.inverted()), (0..n).filter(|c| !a.contains(c)).collect());
            prop_assert_eq!(&x.inverted().inverted(), &x);
            prop_assert_eq!(x.len(), a.len());
            prop_assert_eq!(x.union(&y).inverted(), x.inverted().intersection(&y.inverted()));
            let y = Arc::new(y);
            for (combine, want) in [
                (Combine::Replace, b.clone()),
                (Combine::Add, &a | &b),
                (Combine::Subtract, &a - &b),
                (Combine::Intersect, &a & &b),
            ] {
                prop_assert_eq!(numbers(&combine.join(&x, &y)), want);
            }
            prop_assert_eq!(&CellSet::from_runs(n, x.runs()), &x);
            prop_assert_eq!(CellSet::from_words(n, x.words().to_vec()), Some(x.clone()));
            prop_assert_eq!(CellSet::from_fn(n, |cell| a.contains(&cell)), x);
        }
    }

    #[test]
    fn a_set_holds_the_cells_it_was_made_of_and_no_others() {
        let set = CellSet::from_cells(130, [0, 63, 64, 129, 129, 500]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert_eq!(
            (set.len(), set.contains(64), set.contains(65), set.contains(10_000)),
            (4, true, false, false)
        );
        assert_eq!(set, CellSet::from_fn(130, |c| [0, 63, 64, 129].contains(&c)));
    }

    #[test]
    fn inverting_leaves_no_bit_beyond_the_last_cell() {
        for n_obs in [0, 1, 63, 64, 65, 130] {
            assert_eq!(CellSet::all(n_obs).len(), n_obs);
            assert!(CellSet::all(n_obs).inverted().is_empty());
        }
    }
}
