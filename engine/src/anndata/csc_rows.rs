//! Rows of a matrix stored by columns: a window of rows is transposed into memory, within a budget.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::compressed::{BLOCK_ENTRIES, Compressed};
use super::rows::SparseRow;
use crate::Result;
use crate::progress::Watch;

/// What a window may hold.
const BUDGET_BYTES: u64 = 256 << 20;
/// Entries placed at a time: they go to places all over the window, which costs more than reading them.
const FILL_ENTRIES: usize = BLOCK_ENTRIES / 16;
/// A column and a value.
const ENTRY_BYTES: u64 = 8;

/// The window, and how many entries each row has.
#[derive(Debug)]
pub(super) struct CscRows {
    budget_entries: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: Option<Vec<u32>>,
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    rows: Range<usize>,
    /// Where the entries of each row of the window begin, and where the last end.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

impl Default for CscRows {
    fn default() -> Self {
        Self::with_budget(BUDGET_BYTES)
    }
}

impl CscRows {
    fn with_budget(bytes: u64) -> Self {
        Self { budget_entries: bytes / ENTRY_BYTES, state: Mutex::default() }
    }

    /// Whether a matrix of so many entries fits the window whole.
    pub(super) fn holds_all(&self, n_entries: u64) -> bool {
        n_entries <= self.budget_entries
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn prepare(&self, matrix: &Compressed, watch: &Watch) -> Result<()> {
        let mut state = self.state();
        if state.window.is_none() {
            self.fill(&mut state, matrix, 0, watch)?;
        }
        Ok(())
    }

    pub(super) fn rows(
        &self,
        matrix: &Compressed,
        rows: Range<usize>,
        watch: &Watch,
        left_out: &mut u64,
    ) -> Result<Vec<SparseRow>> {
        let mut state = self.state();
        let mut result = Vec::with_capacity(rows.len());
        for row in rows {
            if !state.window.as_ref().is_some_and(|window| window.rows.contains(&row)) {
                self.fill(&mut state, matrix, row, watch)?;
            }
            let pairs = state.window.as_ref().map(|window| window.pairs(row)).unwrap_or_default();
            result.push(SparseRow::from_pairs(pairs, left_out));
        }
        Ok(result)
    }

    /// Transposes the rows from `first` on, as many as the budget holds.
    fn fill(&self, state: &mut State, matrix: &Compressed, first: usize, watch: &Watch) -> Result<()> {
        let total = matrix.n_entries() as usize;
        state.window = None; // its memory is free before the next is set aside
        let counts = match state.counts.take() {
            Some(counts) => counts,
            None => count_rows(matrix, total, watch)?,
        };
        // A matrix that fits is taken whole, wherever the reader begins.
        let first = if self.holds_all(total as u64) { 0 } else { first };
        let mut starts = vec![0usize];
        let mut held = 0usize;
        for count in counts.iter().skip(first) {
            let more = held + *count as usize;
            if more as u64 > self.budget_entries && starts.len() > 1 {
                break;
            }
            held = more;
            starts.push(held);
        }
        let rows = first..first + starts.len() - 1;
        state.counts = Some(counts);

        let mut next: Vec<usize> = starts.iter().take(rows.len()).copied().collect();
        let (mut columns, mut values) = (vec![0u32; held], vec![0f32; held]);
        let mut column = 0;
        for start in (0..total).step_by(FILL_ENTRIES) {
            watch.step("Arranging the matrix by cells", (total + start) as u64, Some(2 * total as u64))?;
            let end = total.min(start + FILL_ENTRIES);
            let entries = matrix.indices(start..end)?.into_iter().zip(matrix.values(start..end)?);
            for (at, (row, value)) in (start..).zip(entries) {
                while matrix.span(column).end <= at {
                    column += 1;
                }
                let row = row as usize;
                if !rows.contains(&row) {
                    continue;
                }
                if let Some(place) = next.get_mut(row - first) {
                    if let (Some(c), Some(v)) = (columns.get_mut(*place), values.get_mut(*place)) {
                        (*c, *v) = (column as u32, value);
                    }
                    *place += 1;
                }
            }
        }
        state.window = Some(Window { rows, starts, columns, values });
        Ok(())
    }
}

fn count_rows(matrix: &Compressed, total: usize, watch: &Watch) -> Result<Vec<u32>> {
    let mut counts = vec![0u32; matrix.n_minor()];
    for start in (0..total).step_by(BLOCK_ENTRIES) {
        watch.step("Arranging the matrix by cells", start as u64, Some(2 * total as u64))?;
        for row in matrix.indices(start..total.min(start + BLOCK_ENTRIES))? {
            if let Some(count) = counts.get_mut(row as usize) {
                *count += 1;
            }
        }
    }
    Ok(counts)
}

impl Window {
    fn pairs(&self, row: usize) -> Vec<(u32, f32)> {
        let at = row - self.rows.start;
        let span = match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(start), Some(end)) => *start..*end,
            _ => return Vec::new(),
        };
        match (self.columns.get(span.clone()), self.values.get(span)) {
            (Some(columns), Some(values)) => columns.iter().copied().zip(values.iter().copied()).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::store::{Store, open_file};
    use crate::anndata::tests::fixtures::{Fixture, Table};

    #[test]
    fn rows_are_the_same_however_small_the_window() {
        let table = Table::new(40, 11);
        let (data, indices, indptr) = table.parts(true);
        let fixture = Fixture::new(40, 11);
        fixture.compressed("X", "csc_matrix", [40, 11], (&data, &indices, &indptr));
        let written = fixture.finish();
        let store = Store::new(open_file(&written.path).unwrap(), &written.path);
        let part = |name: &str| store.dataset(&format!("X/{name}")).unwrap();
        let matrix = Compressed::open(part("data"), part("indices"), &part("indptr"), 11, 40).unwrap();
        let read = |rows: &CscRows, range: Range<usize>| {
            rows.rows(&matrix, range, &Watch::silent(), &mut 0).unwrap()
        };
        let whole = CscRows::default();
        assert!(whole.holds_all(matrix.n_entries()));
        let expected = read(&whole, 0..40);
        assert_eq!(expected[3].columns.len(), (0..11).filter(|c| table.at(3, *c) != 0.0).count());
        for entries in [0, 1, 7, 50, 1000] {
            let small = CscRows::with_budget(entries * ENTRY_BYTES);
            assert_eq!(read(&small, 0..40), expected, "{entries}");
            assert_eq!(read(&small, 31..33), expected[31..33], "{entries}");
            assert_eq!(read(&small, 2..3), expected[2..3], "{entries}");
        }
    }
}
