//! What the cells most like a cell say of its type.
//!
//! Cells of one type lie together, and a model errs on each of them for other reasons; so the type that most of the
//! nearest cells claim, each as surely as it does, is right more often than the cell's own claim (CellTypist's majority
//! voting and the smoothing over neighbours of others rest on the same). Neighbours are found in the expression itself,
//! not in what the model makes of it: there its errors would be neighbours too.

use serde::Serialize;

use crate::analysis::Neighbours;

/// Cells that are asked about one, itself among them.
const CELLS_ASKED: usize = 15;
/// Fewer than this tell nothing that the cell did not.
const FEWEST_ASKED: usize = 3;
/// Cells described together for each that is asked: in a small group of cells the nearest ones are soon of another type.
const CELLS_FOR_EACH_ASKED: usize = 20;

/// What the cells around one were asked, and said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Surroundings {
    /// Cells asked, itself among them.
    pub cells: usize,
    /// Those of them that claim the type which it was given.
    pub agreeing: usize,
    /// The type that the cell claimed by itself, in its own words, where it is another one.
    pub alone: Option<String>,
    /// How sure it was of that type by itself, 0 to 1.
    pub alone_probability: f32,
}

/// How many of `n` cells described together are asked about each, itself among them; none where they are too few.
pub(super) fn cells_asked(n: usize) -> Option<usize> {
    Some(CELLS_ASKED.min(n / CELLS_FOR_EACH_ASKED)).filter(|asked| *asked >= FEWEST_ASKED)
}

/// A type that a cell claims: its place among those that the model can name, and the claim's probability.
pub(super) type TypeClaim = (usize, f32);

/// What the cells around one agree on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Agreement {
    /// The place of the type among those that the model can name.
    pub cell_type: usize,
    /// How sure they are, 0 to 1.
    pub probability: f32,
    /// Cells asked that claim any type.
    pub cells: usize,
    /// Those that claim this one.
    pub agreeing: usize,
}

/// For each cell the type that those nearest to it agree on: the sum of their probabilities decides, and of equal sums the
/// one that the cell claims itself. `claims` and `nearest` are in the same order; a cell that claims nothing gets none.
pub(super) fn agree(claims: &[Option<TypeClaim>], nearest: &Neighbours) -> Vec<Option<Agreement>> {
    let of_cell = |cell: usize| {
        let own = claims.get(cell).copied().flatten()?;
        let asked = nearest.of(cell).iter().filter_map(|&id| claims.get(id as usize).copied().flatten());
        let mut votes: Vec<(usize, f64, usize)> = vec![(own.0, 0.0, 0)];
        let mut cells = 0;
        for (cell_type, probability) in asked {
            let probability = f64::from(probability);
            cells += 1;
            match votes.iter_mut().find(|(of, ..)| *of == cell_type) {
                Some((_, sum, n)) => (*sum, *n) = (*sum + probability, *n + 1),
                None => votes.push((cell_type, probability, 1)),
            }
        }
        // The first of the highest: own first.
        let &(cell_type, sum, agreeing) =
            votes.iter().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        let probability = surety(sum, cells);
        Some(Agreement { cell_type, probability, cells, agreeing })
    };
    (0..claims.len()).map(of_cell).collect()
}

/// How sure `cells` are of a type when the probabilities of those that claim it sum up to `sum`: the geometric mean of the
/// share of the votes that it got, which is too sure where all err alike, and of the mean probability of all claims,
/// which does not know that the cells agree. Their product is `sum / cells`.
fn surety(sum: f64, cells: usize) -> f32 {
    if cells == 0 { 0.0 } else { (sum / cells as f64).sqrt().clamp(0.0, 1.0) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells on a line, each with the one before and the one after it.
    fn line(n: u32) -> Neighbours {
        let lists = (0..n).map(|cell| vec![cell, (cell + n - 1) % n, (cell + 1) % n]);
        Neighbours::from_ids(3, lists.flatten().collect())
    }

    #[test]
    fn a_cell_is_overruled_by_surer_cells_around_it() {
        let claims = vec![Some((7, 0.9)), Some((3, 0.6)), Some((7, 0.8)), Some((7, 0.9))];
        let agreed = agree(&claims, &line(4));
        let second = agreed[1].unwrap();
        assert_eq!((second.cell_type, second.cells, second.agreeing), (7, 3, 2));
        let (share, mean): (f64, f64) = (1.7 / 2.3, 2.3 / 3.0);
        assert!((f64::from(second.probability) - (share * mean).sqrt()).abs() < 1e-6);
        assert!(agreed.iter().all(|agreement| agreement.unwrap().cell_type == 7));
    }

    #[test]
    fn of_equal_votes_a_cell_keeps_its_own_type() {
        let claims = vec![Some((1, 0.5)), Some((2, 0.5)), Some((3, 0.5))];
        let types: Vec<usize> = agree(&claims, &line(3)).into_iter().map(|a| a.unwrap().cell_type).collect();
        assert_eq!(types, [1, 2, 3]);
    }

    #[test]
    fn cells_without_a_type_are_not_asked_and_get_none() {
        let claims = vec![Some((1, 0.5)), None, Some((2, 0.9)), Some((2, 0.9))];
        let agreed = agree(&claims, &line(4));
        assert_eq!(agreed[1], None);
        assert_eq!(agreed[0].map(|a| (a.cell_type, a.cells)), Some((2, 2)));
    }

    #[test]
    fn few_cells_ask_fewer_and_very_few_none() {
        assert_eq!(
            [10_000, 300, 200, 60, 59].map(cells_asked),
            [Some(15), Some(15), Some(10), Some(3), None]
        );
    }
}
