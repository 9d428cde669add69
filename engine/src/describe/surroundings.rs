//! What the cells most like a cell say of its type.
//!
//! Cells of one type lie together, and a model errs on each of them for other reasons; so the type that most cells of a
//! cluster claim, each as surely as it does, is right more often than the cell's own claim (CellTypist's majority voting
//! and the smoothing over neighbours of others rest on the same). Clusters and neighbours are found in the expression
//! itself, not in what the model makes of it: there its errors would be neighbours too. docs/evaluation.md has what each
//! part is worth.

use std::collections::BTreeMap;

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
/// Types behind the first that are kept of a vote.
const OTHERS_KEPT: usize = 4;
/// How fine the clusters are that vote, beside the nearest cells: coarse ones settle errors that a part of a type shares, fine ones
/// keep types apart that lie together.
pub(super) const RESOLUTIONS: [f64; 3] = [1.0, 2.0, 4.0];
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

/// What a cell says of its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Votes {
    /// The type that it claims.
    pub own: TypeClaim,
    /// The types that it may be, each with its probability; the claimed one alone where no other is known.
    pub types: Vec<TypeClaim>,
}

impl Votes {
    /// How likely it holds `cell_type` to be.
    fn of(&self, cell_type: usize) -> f64 {
        self.types
            .iter()
            .find(|(of, _)| *of == cell_type)
            .map_or(0.0, |(_, probability)| f64::from(*probability))
    }
}

/// What the cells around one agree on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Agreement {
    /// The place of the type among those that the model can name.
    pub cell_type: usize,
    /// How sure they are, 0 to 1.
    pub probability: f32,
    /// The types that got the next highest shares, the highest first, on the same scale.
    pub others: Vec<TypeClaim>,
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

/// The votes of a group of cells: each votes for the types that it may be with their probabilities.
#[derive(Debug, Clone, Default)]
struct Ballot {
    /// Cells that voted.
    cells: usize,
    /// Sum of all probabilities.
    sum: f64,
    /// Of each type the sum of its probabilities.
    shares: BTreeMap<usize, f64>,
    /// Of each type how many cells claim it.
    claims: BTreeMap<usize, usize>,
}

impl Ballot {
    fn add(&mut self, votes: &Votes) {
        self.cells += 1;
        *self.claims.entry(votes.own.0).or_default() += 1;
        for &(cell_type, probability) in &votes.types {
            self.sum += f64::from(probability);
            *self.shares.entry(cell_type).or_default() += f64::from(probability);
        }
    }

    /// The type that nearly all cells claim, where there are enough to say so.
    fn unanimous(&self) -> Option<usize> {
        let (of, _) = self.claims.iter().find(|(_, n)| **n as f64 >= UNANIMOUS * self.cells as f64)?;
        (self.cells >= FEWEST_UNANIMOUS).then_some(*of)
    }

    fn count(&self, cell_type: usize) -> Count {
        Count { cells: self.cells, agreeing: self.claims.get(&cell_type).copied().unwrap_or(0) }
    }
}

/// For each cell the type that the cells around it agree on: the shares that types got in its clusters and among its
/// nearest cells are added up, and of the family of types with the greatest sum that type is chosen which has the greatest
/// share. Of equal ones that wins which the cell claims itself. `votes` and `alike` are in the same order, `families` has the
/// number of each type's family; a cell that claims nothing gets none.
pub(super) fn agree(votes: &[Option<Votes>], alike: &Alike, families: &[usize]) -> Vec<Option<Agreement>> {
    let votes_of = |cell: usize| votes.get(cell).and_then(Option::as_ref);
    let of_clusters = alike.clusters.iter().map(|of| {
        let mut ballots = vec![Ballot::default(); of.iter().max().map_or(0, |last| *last as usize + 1)];
        for (cell, cluster) in of.iter().enumerate() {
            if let (Some(votes), Some(ballot)) = (votes_of(cell), ballots.get_mut(*cluster as usize)) {
                ballot.add(votes);
            }
        }
        (of, ballots)
    });
    let of_clusters = of_clusters.collect::<Vec<_>>();
    let of_cell = |cell: usize| {
        let own = votes_of(cell)?;
        let mut nearest = Ballot::default();
        let ids = alike.nearest.of(cell).iter();
        ids.filter_map(|id| votes_of(*id as usize)).for_each(|votes| nearest.add(votes));
        let clusters = of_clusters.iter().filter_map(|(of, ballots)| ballots.get(*of.get(cell)? as usize));
        let clusters = clusters.collect::<Vec<_>>();
        let ballots = || clusters.iter().map(|ballot| (1.0, *ballot)).chain([(WEIGHT_OF_NEAREST, &nearest)]);
        let all = ballots().map(|(weight, _)| weight).sum::<f64>();
        let mut shares: BTreeMap<usize, f64> = BTreeMap::new();
        for (weight, ballot) in ballots() {
            for (cell_type, sum) in &ballot.shares {
                *shares.entry(*cell_type).or_default() +=
                    weight / all * sum / ballot.sum.max(f64::MIN_POSITIVE);
            }
        }
        let (cell_type, share) = match nearest.unanimous() {
            Some(of) => (of, nearest.shares.get(&of).map_or(0.0, |sum| sum / nearest.sum)),
            None => most_voted(&shares, families, own.own.0)?,
        };
        let probability = surety(share, own.of(cell_type));
        Some(Agreement {
            cell_type,
            probability,
            nearest: nearest.count(cell_type),
            cluster: clusters.last().map_or_else(Count::default, |ballot| ballot.count(cell_type)),
            others: others(shares, cell_type, probability),
        })
    };
    (0..votes.len()).map(of_cell).collect()
}

/// The type of the greatest share in the family of the greatest, and its share; `own` stands before others of the same.
fn most_voted(shares: &BTreeMap<usize, f64>, families: &[usize], own: usize) -> Option<(usize, f64)> {
    let family = |of: usize| families.get(of).copied();
    let mut sums: BTreeMap<Option<usize>, f64> = BTreeMap::new();
    for (of, share) in shares {
        *sums.entry(family(*of)).or_default() += share;
    }
    let (best, _) = greatest(sums.into_iter(), &family(own))?;
    greatest(shares.iter().filter(|(of, _)| family(**of) == best).map(|(of, share)| (*of, *share)), &own)
}

/// The entry of the greatest share; that of `own` before others of the same.
fn greatest<T: PartialEq>(shares: impl Iterator<Item = (T, f64)>, own: &T) -> Option<(T, f64)> {
    shares.reduce(|best, next| {
        let more = next.1 > best.1 || (next.1 >= best.1 && next.0 == *own);
        if more { next } else { best }
    })
}

/// The powers of the share of votes and of the cell's own probability whose product is how sure a cell is.
const POWER_OF_VOTES: f64 = 0.15;
const POWER_OF_OWN: f64 = 0.26;
/// What a cell holds for so likely at least: less was not kept of it.
const LEAST_OWN: f64 = 0.005;

/// How sure to be of a type that got `share` of the votes around a cell which holds it for as likely as `own`. Votes are
/// spread over sister types that one could not tell apart, so that the share is too low a figure for cells that a model knows,
/// and not for others; and cells of a cluster all get the same share, whatever each is like. These powers suited `pbmc3k`; none
/// that suits it keeps votes from being too sure elsewhere (docs/evaluation.md).
fn surety(share: f64, own: f64) -> f32 {
    let own = own.clamp(LEAST_OWN, 1.0);
    (share.clamp(0.0, 1.0).powf(POWER_OF_VOTES) * own.powf(POWER_OF_OWN)) as f32
}

/// The types beside `chosen` that got the highest shares, as likely as what `probability` leaves over is divided among all
/// others by theirs.
fn others(shares: BTreeMap<usize, f64>, chosen: usize, probability: f32) -> Vec<TypeClaim> {
    let mut rest: Vec<(usize, f64)> = shares.into_iter().filter(|(of, _)| *of != chosen).collect();
    let all: f64 = rest.iter().map(|(_, share)| share).sum();
    rest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let left = f64::from(1.0 - probability) / all.max(f64::MIN_POSITIVE);
    rest.into_iter().take(OTHERS_KEPT).map(|(of, share)| (of, (share * left) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Neighbours;

    /// A cell that says nothing but its claim.
    fn sure(own: TypeClaim) -> Option<Votes> {
        Some(Votes { own, types: vec![own] })
    }

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
        let claims = [(7, 0.9), (3, 0.6), (7, 0.8), (7, 0.9)].map(sure).to_vec();
        let agreed = agree(&claims, &line(4, &[]), &[]);
        let second = agreed[1].clone().unwrap();
        assert_eq!((second.cell_type, second.nearest), (7, Count { cells: 3, agreeing: 2 }));
        let share: f64 = 1.7 / 2.3;
        // It holds type 7 for next to impossible itself.
        let probability = share.powf(0.15) * 0.005f64.powf(0.26);
        assert!((f64::from(second.probability) - probability).abs() < 1e-6);
        let &[(3, other)] = second.others.as_slice() else { panic!("{:?}", second.others) };
        assert!((f64::from(other) - (1.0 - probability)).abs() < 1e-6);
        assert!(agreed.iter().all(|agreement| agreement.as_ref().unwrap().cell_type == 7));
    }

    #[test]
    fn a_cluster_outvotes_the_nearest_cells() {
        // The cells 0 to 2 err alike and are each other's nearest; the cluster of nine says otherwise.
        let claims = [1, 1, 1, 2, 2, 2, 2, 2, 2].map(|of| sure((of, 0.8))).to_vec();
        let agreed = agree(&claims, &line(9, &[&[0; 9], &[0; 9]]), &[]);
        let second = agreed[1].clone().unwrap();
        assert_eq!(second.cell_type, 2);
        assert_eq!((second.nearest.agreeing, second.cluster), (0, Count { cells: 9, agreeing: 6 }));
        // Two clusters gave 6/9 each, the nearest nothing.
        let share = (2.0 * 6.0 / 9.0) / 2.5;
        let probability = f64::powf(share, 0.15) * 0.005f64.powf(0.26);
        assert!((f64::from(second.probability) - probability).abs() < 1e-6);
    }

    #[test]
    fn a_small_group_keeps_its_type_where_the_finer_clusters_part_it_from_the_large_one() {
        let claims = [1, 1, 1, 2, 2, 2, 2].map(|of| sure((of, 0.8))).to_vec();
        let agreed = agree(&claims, &line(7, &[&[0; 7], &[1, 1, 1, 0, 0, 0, 0]]), &[]);
        assert_eq!(agreed[1].clone().unwrap().cell_type, 1);
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
        let mut claims = vec![sure((2, 0.9)); 40];
        claims[..10].fill(sure((1, 0.6)));
        let agreed = agree(&claims, &alike, &[]);
        assert!(agreed[..10].iter().all(|agreement| agreement.as_ref().unwrap().cell_type == 1));
        let probability = agreed[0].clone().unwrap().probability;
        assert!((f64::from(probability) - 0.6f64.powf(0.26)).abs() < 1e-6, "all of the nearest agree");
        // One of ten may say otherwise, two may not.
        claims[3] = sure((2, 0.6));
        assert_eq!(agree(&claims, &alike, &[])[0].clone().unwrap().cell_type, 1);
        claims[4] = sure((2, 0.6));
        assert_eq!(agree(&claims, &alike, &[])[0].clone().unwrap().cell_type, 2, "the cluster decides again");
    }

    #[test]
    fn a_cell_votes_for_all_types_that_it_may_be() {
        // Each cell claims its own type and holds type 9 for nearly as likely.
        let votes = |of: usize| Some(Votes { own: (of, 0.5), types: vec![(of, 0.5), (9, 0.45)] });
        let agreed = agree(&[1, 2, 3, 4].map(votes), &line(4, &[&[0; 4]]), &[]);
        assert!(agreed.iter().all(|agreement| agreement.as_ref().unwrap().cell_type == 9));
        assert_eq!(agreed[0].as_ref().unwrap().nearest.agreeing, 0, "none claims it");
    }

    #[test]
    fn a_family_of_types_outvotes_a_type_that_stands_alone() {
        // Types 1 and 2 are of one family, 3 of another.
        let claims = [1, 1, 1, 2, 2, 2, 3, 3, 3, 3].map(|of| sure((of, 0.8))).to_vec();
        let alike = line(10, &[&[0; 10], &[0; 10]]);
        assert_eq!(agree(&claims, &alike, &[0, 1, 1, 2])[6].clone().unwrap().cell_type, 2);
        assert_eq!(agree(&claims, &alike, &[0, 1, 2, 3])[6].clone().unwrap().cell_type, 3);
    }

    #[test]
    fn of_equal_votes_a_cell_keeps_its_own_type() {
        let claims = [(1, 0.5), (2, 0.5), (3, 0.5)].map(sure).to_vec();
        let agreed = agree(&claims, &line(3, &[&[0; 3]]), &[]);
        let types: Vec<usize> = agreed.into_iter().map(|a| a.unwrap().cell_type).collect();
        assert_eq!(types, [1, 2, 3]);
    }

    #[test]
    fn cells_without_a_type_are_not_asked_and_get_none() {
        let claims = vec![sure((1, 0.5)), None, sure((2, 0.9)), sure((2, 0.9))];
        let agreed = agree(&claims, &line(4, &[&[0; 4]]), &[]);
        assert_eq!(agreed[1], None);
        let first = agreed[0].clone().unwrap();
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
