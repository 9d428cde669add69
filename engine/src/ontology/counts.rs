//! How many cells stand under each term.

use std::collections::BTreeMap;

use super::graph::Ontology;

/// Cells of one term.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CellCounts {
    /// Cells of exactly this term.
    pub own: u64,
    /// Cells of this term and of all its kinds, each counted once.
    pub with_kinds: u64,
}

impl Ontology {
    /// The cells under every term that has any, from groups of cells of the same terms.
    ///
    /// A cell may have several terms, as one by its file and one by its description; under what is above both it
    /// counts once. Deprecated terms count as those that replaced them; unknown ones are passed over.
    pub fn cell_counts<'a, T>(
        &self,
        groups: impl IntoIterator<Item = (T, u64)>,
    ) -> BTreeMap<String, CellCounts>
    where
        T: IntoIterator<Item = &'a str>,
    {
        let mut counts = vec![CellCounts::default(); self.len()];
        for (terms, cells) in groups {
            let mut above = vec![false; self.len()];
            let mut direct: Vec<usize> =
                terms.into_iter().filter_map(|id| self.at(&self.current(id)?.id)).collect();
            direct.sort_unstable();
            direct.dedup();
            for at in direct {
                counts[at].own += cells;
                for (at, _) in self.upwards(at) {
                    above[at] = true;
                }
            }
            for (count, _) in counts.iter_mut().zip(above).filter(|(_, above)| *above) {
                count.with_kinds += cells;
            }
        }
        self.terms()
            .iter()
            .zip(counts)
            .filter(|(_, count)| count.with_kinds > 0)
            .map(|(term, count)| (term.id.clone(), count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monocyte, classical monocyte (a kind of it), T cell.
    const MONOCYTE: &str = "CL:0000576";
    const CLASSICAL: &str = "CL:0000860";
    const T_CELL: &str = "CL:0000084";
    const LEUKOCYTE: &str = "CL:0000738";

    #[test]
    fn cells_count_under_their_term_and_under_all_above() {
        let ontology = Ontology::builtin().unwrap();
        let counts = ontology.cell_counts([([MONOCYTE], 5), ([CLASSICAL], 3), ([T_CELL], 2), (["CL:x"], 9)]);
        assert_eq!(counts[MONOCYTE], CellCounts { own: 5, with_kinds: 8 });
        assert_eq!(counts[CLASSICAL], CellCounts { own: 3, with_kinds: 3 });
        assert_eq!(counts[LEUKOCYTE], CellCounts { own: 0, with_kinds: 10 });
        assert_eq!(counts["CL:0000000"].with_kinds, 10);
        assert!(!counts.contains_key("CL:0000540"), "no neuron among them");
    }

    #[test]
    fn a_cell_of_two_terms_counts_once_under_what_is_above_both() {
        let ontology = Ontology::builtin().unwrap();
        let counts = ontology.cell_counts([([MONOCYTE, CLASSICAL], 4), ([MONOCYTE, T_CELL], 1)]);
        assert_eq!(counts[MONOCYTE], CellCounts { own: 5, with_kinds: 5 });
        assert_eq!(counts[T_CELL], CellCounts { own: 1, with_kinds: 1 });
        assert_eq!(counts[LEUKOCYTE].with_kinds, 5);
    }

    #[test]
    fn a_deprecated_term_counts_as_its_successor() {
        let ontology = Ontology::builtin().unwrap();
        let counts = ontology.cell_counts([(["CL:0000003"], 2)]);
        assert_eq!(counts["CL:0000000"].own, 2);
    }
}
