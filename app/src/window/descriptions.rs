//! What was said of the cells so far, and whether that changed since somebody looked.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use engine::describe::Description;
use engine::session::Annotations;

use super::workspace::cell_type_term;

/// The descriptions of the matrix in use, by row of obs.
#[derive(Debug, Default)]
pub struct Descriptions {
    of_cells: Annotations,
    /// Cells that a model described which is not in use any more.
    outdated: BTreeSet<usize>,
    /// Cells told since all were last written to a file.
    unsaved: BTreeSet<usize>,
    revision: u64,
}

impl Descriptions {
    /// They are in a file as they are.
    pub fn saved(&mut self) {
        self.unsaved.clear();
    }

    /// How many are in no file.
    pub fn n_unsaved(&self) -> usize {
        self.unsaved.len()
    }

    /// Another number after every change: cells are told again, so that their count alone says nothing.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Takes up descriptions; those of the same cells before go. Returns the cells whose type in the Cell Ontology is another one
    /// than before, or the first.
    pub fn extend(&mut self, descriptions: impl IntoIterator<Item = Arc<Description>>) -> Vec<usize> {
        self.revision += 1;
        let mut changed = Vec::new();
        for description in descriptions {
            let cell = description.cell;
            let term = cell_type_term(&description);
            self.outdated.remove(&cell);
            self.unsaved.insert(cell);
            let before = self.of_cells.insert(cell, description);
            if before.is_none_or(|before| cell_type_term(&before) != term) {
                changed.push(cell);
            }
        }
        changed
    }

    /// Forgets what was said of a cell.
    pub fn remove(&mut self, cell: usize) {
        self.revision += 1;
        self.of_cells.remove(&cell);
        self.outdated.remove(&cell);
        self.unsaved.remove(&cell);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.revision += 1;
        self.of_cells.clear();
        self.outdated.clear();
        self.unsaved.clear();
    }

    /// Another model is in use: what was said stays, and can be told anew.
    pub fn outdate(&mut self) {
        self.outdated = self.of_cells.keys().copied().collect();
    }

    /// Those of `n_obs` cells that the model in use has not described.
    pub fn missing(&self, n_obs: usize) -> Vec<usize> {
        let told = |cell: &usize| self.of_cells.contains_key(cell) && !self.outdated.contains(cell);
        (0..n_obs).filter(|cell| !told(cell)).collect()
    }
}

impl Deref for Descriptions {
    type Target = Annotations;

    fn deref(&self) -> &Annotations {
        &self.of_cells
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::description;
    use super::*;

    fn described(cell: usize) -> Arc<Description> {
        Arc::new(description(cell))
    }

    #[test]
    fn cells_are_described_anew_once_another_model_is_in_use() {
        let mut said = Descriptions::default();
        assert_eq!(said.extend([described(1), described(2)]), [1, 2]);
        let before = said.revision();
        assert!(said.extend([described(1)]).is_empty(), "the same type as before");
        assert_ne!(said.revision(), before);
        assert_eq!(said.missing(4), [0, 3]);
        said.outdate();
        assert_eq!((said.missing(4), said.len()), (vec![0, 1, 2, 3], 2));
        said.extend([described(2)]);
        assert_eq!(said.missing(4), [0, 1, 3]);
        assert_eq!(said.n_unsaved(), 2);
        said.saved();
        said.extend([described(3)]);
        assert_eq!(said.n_unsaved(), 1);
    }
}
