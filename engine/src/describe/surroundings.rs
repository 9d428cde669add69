//! What the cells most like a cell say of its type.
//!
//! Cells of one type lie together, and a model errs on each of them for other reasons; so the type that most cells of a
//! cluster claim, each as surely as it does, is right more often than the cell's own claim (CellTypist's majority voting
//! and the smoothing over neighbours of others rest on the same). Clusters and neighbours are found in the expression
//! itself, not in what the model makes of it: there its errors would be neighbours too. docs/evaluation.md has what each
//! part is worth.

use serde::Serialize;

use crate::analysis::Alike;

/// Cells that are asked about one, itself among them.
const CELLS_ASKED: usize = 15;
/// How much the vote of the nearest cells counts, where that of a cluster counts 1: they keep a small group of cells of
/// another type from being outvoted by the large cluster that it hangs on.
const WEIGHT_OF_NEAREST: f64 = 0.5;
/// Where the nearest cells agree with at least this share of their votes, no cluster overrules them: a rare type is a small
/// part of the cluster that a large data set puts it into.
const UNANIMOUS: f64 = 0.9;
/// Fewer nearest cells than this agree too easily.
const FEWEST_UNANIMOUS: usize = 10;
/// How fine the clusters are that vote, beside the nearest cells: coarse ones settle errors that a part of a type shares.
pub(super) const RESOLUTIONS: [f64; 2] = [0.5, 1.0];
/// Fewer than this tell nothing that the cell did not.
const FEWEST_ASKED: usize = 3;
/// Cells described together for each that is asked: in a small group of cells the nearest ones are soon of another type.
const CELLS_FOR_EACH_ASKED: usize = 20;

/// What the cells around one were asked, and said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Surroundings {
    /// Nearest cells asked, itself among them.
    pub cells: usize,
    /// Those of them that claim the type which it was given.
    pub agreeing: usize,
    /// Cells of its cluster, itself among them, that claim any type.
    pub cells_of_cluster: usize,
    /// Those of them that claim the type which it was given.
    pub agreeing_of_cluster: usize,
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
    /// The nearest cells.
    pub nearest: Count,
    /// The cells of the finest cluster.
    pub cluster: Count,
}

/// How many cells claim a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count {
    /// Cells that claim any type.
    pub cells: usize,
    /// Those that claim this one.
    pub agreeing: usize,
}

/// The votes of a group of cells: each votes for its type with the probability of its claim.
#[derive(Debug, Clone, Default)]
struct Ballot {
    /// Cells that voted.
    cells: usize,
    /// Sum of all probabilities.
    sum: f64,
    /// Type, sum of probabilities, cells; in the order of the first vote for each.
    votes: Vec<(usize, f64, usize)>,
}

impl Ballot {
    fn add(&mut self, (cell_type, probability): TypeClaim) {
        let probability = f64::from(probability);
        self.cells += 1;
        self.sum += probability;
        match self.votes.iter_mut().find(|(of, ..)| *of == cell_type) {
            Some((_, sum, n)) => (*sum, *n) = (*sum + probability, *n + 1),
            None => self.votes.push((cell_type, probability, 1)),
        }
    }

    /// The mean probability of the claims.
    fn mean(&self) -> f64 {
        if self.cells == 0 { 0.0 } else { self.sum / self.cells as f64 }
    }

    /// The type that nearly all votes are for, where there are enough to say so.
    fn unanimous(&self) -> Option<usize> {
        let (of, ..) = self.votes.iter().find(|(_, sum, _)| *sum >= UNANIMOUS * self.sum)?;
        (self.cells >= FEWEST_UNANIMOUS).then_some(*of)
    }

    fn count(&self, cell_type: usize) -> Count {
        let agreeing = self.votes.iter().find(|(of, ..)| *of == cell_type).map_or(0, |(_, _, n)| *n);
        Count { cells: self.cells, agreeing }
    }
}

/// For each cell the type that the cells around it agree on: the shares that types got in its clusters and among its
/// nearest cells are added up, and of equal sums that wins which the cell claims itself. `claims` and `alike` are in the
/// same order; a cell that claims nothing gets none.
pub(super) fn agree(claims: &[Option<TypeClaim>], alike: &Alike) -> Vec<Option<Agreement>> {
    let claim_of = |cell: usize| claims.get(cell).copied().flatten();
    let of_clusters = alike.clusters.iter().map(|of| {
        let mut ballots = vec![Ballot::default(); of.iter().max().map_or(0, |last| *last as usize + 1)];
        for (cell, cluster) in of.iter().enumerate() {
            if let (Some(claim), Some(ballot)) = (claim_of(cell), ballots.get_mut(*cluster as usize)) {
                ballot.add(claim);
            }
        }
        (of, ballots)
    });
    let of_clusters = of_clusters.collect::<Vec<_>>();
    let of_cell = |cell: usize| {
        let own = claim_of(cell)?;
        let mut nearest = Ballot::default();
        alike
            .nearest
            .of(cell)
            .iter()
            .filter_map(|id| claim_of(*id as usize))
            .for_each(|claim| nearest.add(claim));
        let clusters = of_clusters.iter().filter_map(|(of, ballots)| ballots.get(*of.get(cell)? as usize));
        let clusters = clusters.collect::<Vec<_>>();
        let ballots = || clusters.iter().map(|ballot| (1.0, *ballot)).chain([(WEIGHT_OF_NEAREST, &nearest)]);
        let weight = ballots().map(|(weight, _)| weight).sum::<f64>();
        // Its own type stands first, and only a higher share takes its place.
        let mut shares = vec![(own.0, 0.0)];
        for (weight, ballot) in ballots() {
            for (cell_type, sum, _) in &ballot.votes {
                let share = weight * sum / ballot.sum.max(f64::MIN_POSITIVE);
                match shares.iter_mut().find(|(of, _)| of == cell_type) {
                    Some((_, all)) => *all += share,
                    None => shares.push((*cell_type, share)),
                }
            }
        }
        let &(cell_type, share) =
            shares.iter().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        let mean = ballots().map(|(weight, ballot)| weight * ballot.mean()).sum::<f64>();
        let (cell_type, probability) = match nearest.unanimous().filter(|of| *of != cell_type) {
            Some(of) => (of, surety(UNANIMOUS, nearest.mean())),
            None => (cell_type, surety(share / weight, mean / weight)),
        };
        Some(Agreement {
            cell_type,
            probability,
            nearest: nearest.count(cell_type),
            cluster: clusters.last().map_or_else(Count::default, |ballot| ballot.count(cell_type)),
        })
    };
    (0..claims.len()).map(of_cell).collect()
}

/// How sure cells are of a type that got `share` of their votes, when the probabilities of their claims are `mean` in the
/// mean. The share knows how far they agree and is too low where a type is told by halves as its sister; the mean knows how
/// sure they were and not that they agree. The powers are those that suited the studies of docs/evaluation.md best.
fn surety(share: f64, mean: f64) -> f32 {
    (share.max(0.0).sqrt() * mean.max(0.0).powf(0.25)).clamp(0.0, 1.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Neighbours;

    /// Cells on a line, each with the one before and the one after it, in the clusters that are given.
    fn line(n: u32, clusters: &[&[u32]]) -> Alike {
        let lists = (0..n).map(|cell| vec![cell, (cell + n - 1) % n, (cell + 1) % n]);
        Alike {
            nearest: Neighbours::from_ids(3, lists.flatten().collect()),
            clusters: clusters.iter().map(|of| of.to_vec()).collect(),
        }
    }

    #[test]
    fn a_cell_is_overruled_by_surer_cells_around_it() {
        let claims = vec![Some((7, 0.9)), Some((3, 0.6)), Some((7, 0.8)), Some((7, 0.9))];
        let agreed = agree(&claims, &line(4, &[]));
        let second = agreed[1].unwrap();
        assert_eq!((second.cell_type, second.nearest), (7, Count { cells: 3, agreeing: 2 }));
        let (share, mean): (f64, f64) = (1.7 / 2.3, 2.3 / 3.0);
        assert!((f64::from(second.probability) - share.sqrt() * mean.powf(0.25)).abs() < 1e-6);
        assert!(agreed.iter().all(|agreement| agreement.unwrap().cell_type == 7));
    }

    #[test]
    fn a_cluster_outvotes_the_nearest_cells() {
        // The cells 0 to 2 err alike and are each other's nearest; the cluster of nine says otherwise.
        let claims = [1, 1, 1, 2, 2, 2, 2, 2, 2].map(|of| Some((of, 0.8))).to_vec();
        let agreed = agree(&claims, &line(9, &[&[0; 9], &[0; 9]]));
        let second = agreed[1].unwrap();
        assert_eq!(second.cell_type, 2);
        assert_eq!((second.nearest.agreeing, second.cluster), (0, Count { cells: 9, agreeing: 6 }));
        // Two clusters gave 6/9 each, the nearest nothing.
        let share = (2.0 * 6.0 / 9.0) / 2.5;
        assert!((f64::from(second.probability) - f64::sqrt(share) * 0.8_f64.powf(0.25)).abs() < 1e-6);
    }

    #[test]
    fn a_small_group_keeps_its_type_where_the_finer_clusters_part_it_from_the_large_one() {
        let claims = [1, 1, 1, 2, 2, 2, 2].map(|of| Some((of, 0.8))).to_vec();
        let agreed = agree(&claims, &line(7, &[&[0; 7], &[1, 1, 1, 0, 0, 0, 0]]));
        assert_eq!(agreed[1].unwrap().cell_type, 1);
    }

    #[test]
    fn a_rare_type_whose_cells_all_agree_is_not_overruled_by_the_cluster_that_it_lies_in() {
        let n = 40;
        let nearest = |of: u32| if of < 10 { (0..10).collect::<Vec<u32>>() } else { (of - 10..of).collect() };
        let lists = (0..n).flat_map(|cell| {
            let mut list = nearest(cell);
            list.retain(|id| *id != cell);
            list.truncate(9);
            list.insert(0, cell);
            list
        });
        let alike =
            Alike { nearest: Neighbours::from_ids(10, lists.collect()), clusters: vec![vec![0; 40]; 2] };
        let mut claims = vec![Some((2, 0.9)); 40];
        claims[..10].fill(Some((1, 0.6)));
        let agreed = agree(&claims, &alike);
        assert!(agreed[..10].iter().all(|agreement| agreement.unwrap().cell_type == 1));
        let surety = agreed[0].unwrap().probability;
        assert!((f64::from(surety) - 0.9_f64.sqrt() * 0.6_f64.powf(0.25)).abs() < 1e-6);
        // One of ten may say otherwise, two may not.
        claims[3] = Some((2, 0.6));
        assert_eq!(agree(&claims, &alike)[0].unwrap().cell_type, 1);
        claims[4] = Some((2, 0.6));
        assert_eq!(agree(&claims, &alike)[0].unwrap().cell_type, 2, "the cluster decides again");
    }

    #[test]
    fn of_equal_votes_a_cell_keeps_its_own_type() {
        let claims = vec![Some((1, 0.5)), Some((2, 0.5)), Some((3, 0.5))];
        let agreed = agree(&claims, &line(3, &[&[0; 3]]));
        let types: Vec<usize> = agreed.into_iter().map(|a| a.unwrap().cell_type).collect();
        assert_eq!(types, [1, 2, 3]);
    }

    #[test]
    fn cells_without_a_type_are_not_asked_and_get_none() {
        let claims = vec![Some((1, 0.5)), None, Some((2, 0.9)), Some((2, 0.9))];
        let agreed = agree(&claims, &line(4, &[&[0; 4]]));
        assert_eq!(agreed[1], None);
        let first = agreed[0].unwrap();
        assert_eq!((first.cell_type, first.nearest.cells, first.cluster.cells), (2, 2, 3));
    }

    #[test]
    fn few_cells_ask_fewer_and_very_few_none() {
        assert_eq!(
            [10_000, 300, 200, 60, 59].map(cells_asked),
            [Some(15), Some(15), Some(10), Some(3), None]
        );
    }
}
