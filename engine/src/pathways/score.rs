//! AUCell: how far up a cell's ranking the genes of a set stand.
//!
//! Genes are ranked by value, highest first; a set's score is the area under the curve of recovered genes over the
//! first 5 % of the ranking (Aibar et al. 2017). Two tools of the field compute it differently; both are here.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use super::sets::GeneSets;
use super::ties::{decoupler_order, pyscenic_order};
use crate::anndata::SparseRow;
use crate::error::Problem;
use crate::genes::{GeneId, GeneTable};
use crate::{Error, Result};

/// Whose formula is used.
///
/// In both, `N` is the number of columns, equal values rank in the order of the columns unless another is set
/// ([`PathwayScorer::with_tie_order`]), and genes of a value of zero rank too, below those above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// decoupler 2: ranks 1…`n` with `n = ceil(0.05 N)`, at least 2; the sum of `n - rank` over the set's genes,
    /// divided by the greatest sum that as many genes can reach. Sets with fewer than 5 genes in the file score 0.
    /// decoupler's front end shuffles the columns before ([`super::decoupler_order`]) and, unless told `empty=False`,
    /// leaves out empty ones.
    #[default]
    Decoupler,
    /// pySCENIC: ranks from 0 below `c = round(0.05 N) - 1`; the sum of `c - rank`, divided by `(c + 1)` times the
    /// number of the set's genes. Sets of which less than 80 % is in the file score 0. pySCENIC itself shuffles the
    /// columns before ([`super::pyscenic_order`]), with another seed each time unless one is given.
    PySceNic,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decoupler => "decoupler",
            Self::PySceNic => "pyscenic",
        })
    }
}

impl FromStr for Dialect {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "decoupler" => Ok(Self::Decoupler),
            "pyscenic" => Ok(Self::PySceNic),
            _ => Err(Error::pathways(Problem::new(
                "dialect",
                format!("`{text}`"),
                "pyscenic or decoupler",
                "Name one of the two.",
            ))),
        }
    }
}

/// Sets with fewer genes in the file say nothing: decoupler's usual minimum.
const MIN_GENES: usize = 5;
/// pySCENIC's share of a set that must be in the file.
const MIN_SHARE: f64 = 0.8;
/// The part of the ranking that is looked at.
const TOP_SHARE: f64 = 0.05;

/// Scores the cells of one file.
#[derive(Debug, Clone)]
pub struct PathwayScorer {
    names: Vec<String>,
    /// The sets of each column: `sets_of[starts[column]..starts[column + 1]]`.
    starts: Vec<u32>,
    sets_of: Vec<u32>,
    /// Genes of each set in the file.
    present: Vec<usize>,
    /// By how much a set's sum is divided; 0 where the set cannot be scored.
    divisors: Vec<f64>,
    dialect: Dialect,
    /// Ranks looked at.
    ranks: usize,
    /// How columns of equal value rank; `None` is the order of the columns.
    ties: Option<TieOrder>,
}

/// A permutation of the columns and its inverse.
#[derive(Debug, Clone)]
struct TieOrder {
    /// The column at each place.
    columns: Vec<u32>,
    /// The place of each column.
    places: Vec<u32>,
}

impl PathwayScorer {
    /// A scorer of `sets` for a file whose columns are `genes`.
    ///
    /// The sets' genes are found by the names of the built-in table. Where several columns are one gene, the first
    /// counts. Columns of unknown genes take part in the ranking.
    ///
    /// # Errors
    /// As [`GeneTable::builtin`].
    pub fn new(sets: &GeneSets, genes: &[Option<GeneId>], dialect: Dialect) -> Result<Self> {
        let table = GeneTable::builtin()?;
        let mut column_of: HashMap<GeneId, usize> = HashMap::new();
        for (column, gene) in genes.iter().enumerate() {
            if let Some(gene) = gene {
                column_of.entry(*gene).or_insert(column);
            }
        }
        let n = genes.len();
        let ranks = match dialect {
            Dialect::Decoupler => ((TOP_SHARE * n as f64).ceil() as usize).max(2).min(n),
            Dialect::PySceNic => ((TOP_SHARE * n as f64).round_ties_even() as usize).saturating_sub(1),
        };
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); n];
        let mut present = Vec::with_capacity(sets.sets().len());
        let mut divisors = Vec::with_capacity(sets.sets().len());
        for (number, set) in sets.sets().iter().enumerate() {
            let found: HashSet<GeneId> =
                set.genes.iter().filter_map(|name| table.resolve(name)).map(|(gene, _)| gene).collect();
            let columns: Vec<usize> = found.iter().filter_map(|gene| column_of.get(gene).copied()).collect();
            for column in &columns {
                members[*column].push(number as u32);
            }
            let k = columns.len();
            present.push(k);
            divisors.push(match dialect {
                Dialect::Decoupler if k < MIN_GENES => 0.0,
                Dialect::Decoupler => {
                    let best = k.min(ranks.saturating_sub(1)) as f64;
                    best * ranks as f64 - best * (best + 1.0) / 2.0
                }
                Dialect::PySceNic if (k as f64) < MIN_SHARE * set.genes.len() as f64 => 0.0,
                Dialect::PySceNic => (ranks as f64 + 1.0) * k as f64,
            });
        }
        let mut starts = Vec::with_capacity(n + 1);
        let mut sets_of = Vec::new();
        for column in members {
            starts.push(sets_of.len() as u32);
            sets_of.extend(column);
        }
        starts.push(sets_of.len() as u32);
        let names = sets.sets().iter().map(|set| set.name.clone()).collect();
        Ok(Self { names, starts, sets_of, present, divisors, dialect, ranks, ties: None })
    }

    /// The same scorer, with columns of equal value ranking in the order given: `order[place]` is a column.
    ///
    /// Without it they rank in the order of the columns, so that in a cell with fewer genes than the part of the
    /// ranking that is looked at, sets whose genes come early in the file gain from zeros.
    ///
    /// # Errors
    /// [`Error::Pathways`] where `order` does not name each column once.
    pub fn with_tie_order(mut self, order: Vec<u32>) -> Result<Self> {
        let n = self.starts.len() - 1;
        let mut places = vec![u32::MAX; n];
        for (place, column) in (0u32..).zip(&order) {
            if let Some(slot) = places.get_mut(*column as usize) {
                *slot = place;
            }
        }
        if order.len() != n || places.contains(&u32::MAX) {
            return Err(Error::pathways(Problem::new(
                "tie order",
                format!("{} places that do not name each column once", order.len()),
                format!("a permutation of the {n} columns"),
                "Make the order for the genes of this file.",
            )));
        }
        self.ties = Some(TieOrder { columns: order, places });
        Ok(self)
    }

    /// The same scorer, with equal values ranking as they do in the tool itself: for pySCENIC in the order that
    /// `aucell(…, seed=seed)` shuffles its columns into, for decoupler in the one that it always uses.
    ///
    /// # Errors
    /// None where the file's columns can be counted with 32 bits.
    pub fn with_tool_order(self, seed: u32) -> Result<Self> {
        let n = self.starts.len() - 1;
        let order = match self.dialect {
            Dialect::Decoupler => decoupler_order(n),
            Dialect::PySceNic => pyscenic_order(seed, n),
        };
        self.with_tie_order(order)
    }

    /// The names of the sets, in the order of the scores.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many genes of each set are in the file.
    pub fn present(&self) -> &[usize] {
        &self.present
    }

    /// The scores of one cell, `[sets]`, each 0…1. Counts and any values in the same order give the same scores.
    ///
    /// The time grows as n log n with the number of the cell's genes, not with that of the file's.
    pub fn score(&self, row: &SparseRow) -> Vec<f32> {
        let mut sums = vec![0.0_f64; self.names.len()];
        self.ranked(row, |column, rank| {
            // decoupler counts ranks from 1, pySCENIC from 0; both leave `ranks - rank` to the gene.
            let rank = if self.dialect == Dialect::Decoupler { rank + 1 } else { rank };
            let worth = self.ranks.saturating_sub(rank) as f64;
            for set in self.sets_of_column(column) {
                if let Some(sum) = sums.get_mut(*set as usize) {
                    *sum += worth;
                }
            }
        });
        sums.iter()
            .zip(&self.divisors)
            .map(|(sum, divisor)| if *divisor > 0.0 { (sum / divisor) as f32 } else { 0.0 })
            .collect()
    }

    /// The `k` sets that score highest in a cell, as indices into [`PathwayScorer::names`] with their scores; sets
    /// that score 0 are left out, ties keep the order of the sets.
    pub fn enriched(&self, row: &SparseRow, k: usize) -> Vec<(usize, f32)> {
        let mut scores: Vec<(usize, f32)> =
            self.score(row).into_iter().enumerate().filter(|(_, score)| *score > 0.0).collect();
        scores.sort_by(|a, b| b.1.total_cmp(&a.1));
        scores.truncate(k);
        scores
    }

    /// Calls `take` with the columns of the first ranks and their ranks, from 0.
    fn ranked(&self, row: &SparseRow, mut take: impl FnMut(usize, usize)) {
        let columns = self.starts.len() - 1;
        let entries = || {
            let pairs = row.columns.iter().zip(&row.values).map(|(column, value)| (*column as usize, *value));
            pairs.filter(|(column, value)| *column < columns && !value.is_nan())
        };
        let place = |column: usize| match &self.ties {
            Some(ties) => ties.places.get(column).map_or(column, |place| *place as usize),
            None => column,
        };
        let by_value = |a: &(usize, f32), b: &(usize, f32)| {
            b.1.total_cmp(&a.1).then_with(|| place(a.0).cmp(&place(b.0)))
        };
        let mut above: Vec<(usize, f32)> = entries().filter(|(_, value)| *value > 0.0).collect();
        if above.len() > self.ranks && self.ranks > 0 {
            above.select_nth_unstable_by(self.ranks - 1, by_value);
            above.truncate(self.ranks);
        }
        above.sort_unstable_by(by_value);
        let mut rank = 0;
        for (column, _) in above.iter().take(self.ranks) {
            take(*column, rank);
            rank += 1;
        }
        if rank >= self.ranks {
            return;
        }
        // Below them the columns of value zero, in their order, then those below zero. A NaN counts as a zero.
        let is_zero = |column: usize| match row.columns.binary_search(&(column as u32)) {
            Ok(at) => row.values.get(at).is_none_or(|value| value.is_nan() || *value == 0.0),
            Err(_) => true,
        };
        for place in 0..columns {
            if rank >= self.ranks {
                return;
            }
            let column = match &self.ties {
                Some(ties) => ties.columns.get(place).map_or(place, |column| *column as usize),
                None => place,
            };
            if is_zero(column) {
                take(column, rank);
                rank += 1;
            }
        }
        let mut below: Vec<(usize, f32)> = entries().filter(|(_, value)| *value < 0.0).collect();
        below.sort_unstable_by(by_value);
        for (column, _) in below.iter().take(self.ranks - rank) {
            take(*column, rank);
            rank += 1;
        }
    }

    fn sets_of_column(&self, column: usize) -> &[u32] {
        let range = self.starts.get(column).zip(self.starts.get(column + 1));
        range.and_then(|(from, to)| self.sets_of.get(*from as usize..*to as usize)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::anndata::{AnnData, MatrixKey};
    use crate::genes::resolve_genes;
    use crate::progress::Watch;
    use crate::test_support::shared_file;

    /// A file of as many columns as there are genes here, and sets of some of them.
    fn genes(n: usize) -> Vec<Option<GeneId>> {
        (0..n).map(|gene| Some(GeneId(gene as u32 * 7))).collect()
    }

    fn sets(of: &[Vec<usize>]) -> GeneSets {
        let table = GeneTable::builtin().unwrap();
        let line = |(number, set): (usize, &Vec<usize>)| {
            let genes: Vec<&str> =
                set.iter().map(|gene| table.ensembl_id(GeneId(*gene as u32 * 7))).collect();
            format!("S{number}\t\t{}\n", genes.join("\t"))
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sets.gmt");
        std::fs::write(&path, of.iter().enumerate().map(line).collect::<String>()).unwrap();
        GeneSets::read_gmt(&path).unwrap()
    }

    /// Both formulas, plainly, on a dense row.
    fn plainly(values: &[f32], set: &[usize], dialect: Dialect) -> f64 {
        let n = values.len();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
        let rank = |gene: usize| order.iter().position(|other| *other == gene).unwrap();
        match dialect {
            Dialect::Decoupler => {
                let n_up = ((0.05 * n as f64).ceil() as usize).clamp(2, n);
                let mut x: Vec<usize> =
                    set.iter().map(|gene| rank(*gene) + 1).filter(|rank| *rank <= n_up).collect();
                x.sort_unstable();
                let area = |mut x: Vec<usize>| {
                    x.push(n_up);
                    x.windows(2).enumerate().map(|(i, pair)| (pair[1] - pair[0]) * (i + 1)).sum::<usize>()
                        as f64
                };
                area(x) / area((1..=set.len()).filter(|rank| *rank < n_up).collect())
            }
            Dialect::PySceNic => {
                let cutoff = (0.05 * n as f64).round_ties_even() - 1.0;
                let sum: f64 = set.iter().map(|gene| (cutoff - rank(*gene) as f64).max(0.0)).sum();
                sum / ((cutoff + 1.0) * set.len() as f64)
            }
        }
    }

    #[test]
    fn a_set_at_the_top_scores_1_and_one_below_the_cut_0() {
        let columns = genes(400);
        let sets = sets(&[(0..5).collect(), (100..105).collect(), (0..4).collect()]);
        let scorer = PathwayScorer::new(&sets, &columns, Dialect::Decoupler).unwrap();
        let row =
            SparseRow { columns: (0..60).collect(), values: (0..60).map(|i| 100.0 - i as f32).collect() };
        assert_eq!(scorer.score(&row), [1.0, 0.0, 0.0]);
        assert_eq!(scorer.enriched(&row, 2), [(0, 1.0)]);
        assert_eq!(scorer.present(), [5, 5, 4]);
        assert_eq!(scorer.names(), ["S0", "S1", "S2"]);
    }

    #[test]
    fn scores_of_real_cells_are_those_of_decoupler() {
        let Some(path) = shared_file("data/cells/pbmc3k_seurat.h5ad") else { return };
        let data = AnnData::open(&path, &Watch::silent()).unwrap();
        let names = &data.var(&MatrixKey::X).index;
        let genes = resolve_genes(GeneTable::builtin().unwrap(), &[("var index", names)], None);
        let sets = GeneSets::hallmark().unwrap();
        let scorer = PathwayScorer::new(sets, &genes.ids, Dialect::Decoupler).unwrap();
        let matrix = data.matrix(&MatrixKey::X).unwrap();
        // By `_func_aucell` of decoupler 2.2.0, on the columns in the order of the file.
        for (cell, expected) in [
            (0, [0.1249006, 0.0642453, 0.1169869, 0.0]),
            (61, [0.0874663, 0.0410981, 0.0481921, 0.0]),
            (99, [0.1141067, 0.1072953, 0.0978509, 0.0]),
        ] {
            let scores = scorer.score(&matrix.row(cell).unwrap());
            for (set, expected) in [
                "ALLOGRAFT_REJECTION",
                "INTERFERON_GAMMA_RESPONSE",
                "TNFA_SIGNALING_VIA_NFKB",
                "HEDGEHOG_SIGNALING",
            ]
            .into_iter()
            .zip(expected)
            {
                let at = scorer.names().iter().position(|name| *name == format!("HALLMARK_{set}")).unwrap();
                assert!(
                    (scores[at] - expected).abs() < 1e-6,
                    "cell {cell}, {set}: {} {expected}",
                    scores[at]
                );
            }
        }
    }

    /// Scores by decoupler and pySCENIC of eight cells: see `tests/python/aucell_expectations.py`.
    #[derive(serde::Deserialize)]
    struct Expected {
        cells: Vec<usize>,
        sets: Vec<String>,
        /// Scores `[cells, sets]`.
        scores: std::collections::BTreeMap<String, Vec<Vec<f64>>>,
    }

    #[test]
    fn both_dialects_give_the_scores_of_their_packages_on_real_cells() {
        let Some(path) = shared_file("data/cells/pbmc3k_seurat.h5ad") else { return };
        let expected: Expected =
            serde_json::from_str(include_str!("../../../tests/expected/aucell_pbmc3k.json")).unwrap();
        let data = AnnData::open(&path, &Watch::silent()).unwrap();
        let names = &data.var(&MatrixKey::X).index;
        let there: HashSet<&String> = names.iter().collect();
        let columns = resolve_genes(GeneTable::builtin().unwrap(), &[("var index", names)], None);
        // The script knows genes by their names in the file alone; so do these sets.
        let lines = GeneSets::hallmark().unwrap().sets().iter().map(|set| {
            let genes: Vec<&str> =
                set.genes.iter().filter(|gene| there.contains(gene)).map(String::as_str).collect();
            format!("{}\t\t{}\n", set.name, genes.join("\t"))
        });
        let folder = tempfile::tempdir().unwrap();
        let gmt = folder.path().join("sets.gmt");
        std::fs::write(&gmt, lines.collect::<String>()).unwrap();
        let sets = GeneSets::read_gmt(&gmt).unwrap();
        let matrix = data.matrix(&MatrixKey::X).unwrap();
        let mut compared = 0;
        for (run, dialect, seed) in [
            ("decoupler, columns in order", Dialect::Decoupler, None),
            ("decoupler", Dialect::Decoupler, Some(0)),
            ("pyscenic, columns in order", Dialect::PySceNic, None),
            ("pyscenic, seed 42", Dialect::PySceNic, Some(42)),
        ] {
            let plain = PathwayScorer::new(&sets, &columns.ids, dialect).unwrap();
            let scorer = match seed {
                Some(seed) => plain.with_tool_order(seed).unwrap(),
                None => plain,
            };
            for (cell, row) in expected.cells.iter().zip(&expected.scores[run]) {
                let scores = scorer.score(&matrix.row(*cell).unwrap());
                for (set, expected) in expected.sets.iter().zip(row) {
                    let at = scorer.names().iter().position(|name| name == set).unwrap();
                    let difference = (f64::from(scores[at]) - expected).abs();
                    assert!(
                        difference < 1e-6,
                        "{run}, cell {cell}, {set}: {} and not {expected}",
                        scores[at]
                    );
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, 4 * 8 * 50);
    }

    #[test]
    fn a_tie_order_must_name_each_column_once() {
        let scorer = PathwayScorer::new(&sets(&[(0..6).collect()]), &genes(40), Dialect::PySceNic).unwrap();
        assert!(scorer.clone().with_tie_order((0..40).rev().collect()).is_ok());
        for order in [vec![0; 40], (0..39).collect(), (1..41).collect()] {
            let message = scorer.clone().with_tie_order(order).unwrap_err().to_string();
            assert!(message.contains("a permutation of the 40 columns"), "{message}");
        }
        assert_eq!("pyscenic".parse::<Dialect>().unwrap(), Dialect::PySceNic);
        assert_eq!(Dialect::Decoupler.to_string().parse::<Dialect>().unwrap(), Dialect::Decoupler);
        assert!("R".parse::<Dialect>().is_err());
    }

    #[test]
    fn odd_files_and_rows_are_scored_without_harm() {
        let sets = sets(&[(0..6).collect()]);
        let row = SparseRow { columns: vec![0, 1, 900], values: vec![f32::NAN, 2.0, 3.0] };
        for n in [0, 1, 2, 19, 21, 400] {
            for dialect in [Dialect::Decoupler, Dialect::PySceNic] {
                let scorer = PathwayScorer::new(&sets, &genes(n), dialect).unwrap();
                let scores = scorer.score(&row);
                assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{n} {dialect:?} {scores:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn sparse_scoring_equals_the_plain_formulas(
            values in prop::collection::vec(prop_oneof![3 => Just(0_i8), 2 => 1_i8..6, 1 => -2_i8..0], 40..300),
            set in prop::collection::hash_set(0_usize..40, 5..30),
        ) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut set: Vec<usize> = set.into_iter().collect();
            set.sort_unstable();
            let columns = genes(values.len());
            let sets = sets(std::slice::from_ref(&set));
            let row = SparseRow {
                columns: (0..values.len() as u32).filter(|column| values[*column as usize] != 0.0).collect(),
                values: values.iter().copied().filter(|value| *value != 0.0).collect(),
            };
            let backwards: Vec<f32> = values.iter().rev().copied().collect();
            let set_backwards: Vec<usize> = set.iter().map(|gene| values.len() - 1 - gene).collect();
            for dialect in [Dialect::Decoupler, Dialect::PySceNic] {
                let scorer = PathwayScorer::new(&sets, &columns, dialect).unwrap();
                let ours = f64::from(scorer.score(&row)[0]);
                let plain = plainly(&values, &set, dialect);
                prop_assert!((ours - plain).abs() < 1e-6, "{:?}: {} {}", dialect, ours, plain);
                let reversed = scorer.with_tie_order((0..values.len() as u32).rev().collect()).unwrap();
                let (ours, plain) = (f64::from(reversed.score(&row)[0]), plainly(&backwards, &set_backwards, dialect));
                prop_assert!((ours - plain).abs() < 1e-6, "{:?}, backwards: {} {}", dialect, ours, plain);
            }
        }
    }
}
