//! The two pathways that a description tells: one function of a cell, for training, evaluation and evidence alike.
//!
//! It is the paper's (Appendix A.2; AUCell as pySCENIC computes it over 40,000 genes), made a function of what the cell
//! shows alone:
//!
//! - Ranks are counted among 40,000 genes, whatever the file lists. A gene that the file does not measure counts as one
//!   that the cell does not show, as in the paper's data, where all cells have the same genes.
//! - Genes of equal value share the mean of the ranks they would take. pySCENIC draws their order at random, so that
//!   this is the mean of its scores over all seeds. Most genes of a cell are equal: not seen at all.

use std::collections::{HashMap, HashSet};

use super::sets::{GeneSets, PAPER_SETS};
use crate::Result;
use crate::anndata::{SparseRow, sum_repeated};
use crate::genes::{GeneId, GeneTable};

/// Genes that ranks are counted among: as many as the paper keeps before it scores.
const RANKED_GENES: usize = 40_000;
/// The part of the ranking that is looked at.
const TOP_SHARE: f64 = 0.05;
/// Pathways that a description tells.
const TOLD: usize = 2;
/// A column whose gene is not known.
const UNKNOWN: u32 = u32::MAX;

/// Says which of the paper's 34 sets a cell of one file shows most.
#[derive(Debug, Clone)]
pub struct ToldPathways {
    names: Vec<String>,
    /// Genes of each set, measured or not.
    sizes: Vec<usize>,
    /// The first column of each column's gene; [`UNKNOWN`] without one.
    gene_of_column: Vec<u32>,
    /// Whether a gene has several columns.
    repeated: bool,
    /// The sets of each column's gene: `sets_of[starts[column]..starts[column + 1]]`.
    starts: Vec<u32>,
    sets_of: Vec<u32>,
    universe: usize,
}

impl ToldPathways {
    /// For a file whose columns are `genes`. Values of several columns of one gene are added, as in a cell's tokens;
    /// columns of unknown genes are left out.
    ///
    /// # Errors
    /// As [`GeneTable::builtin`] and [`GeneSets::hallmark`].
    pub fn new(genes: &[Option<GeneId>]) -> Result<Self> {
        Self::among(&GeneSets::hallmark()?.only(&PAPER_SETS), genes, RANKED_GENES)
    }

    fn among(sets: &GeneSets, genes: &[Option<GeneId>], universe: usize) -> Result<Self> {
        let table = GeneTable::builtin()?;
        let mut sets_of_gene: HashMap<GeneId, Vec<u32>> = HashMap::new();
        let mut sizes = Vec::with_capacity(sets.sets().len());
        for (number, set) in (0u32..).zip(sets.sets()) {
            let found: HashSet<GeneId> =
                set.genes.iter().filter_map(|name| table.resolve(name)).map(|(gene, _)| gene).collect();
            sizes.push(found.len());
            found.into_iter().for_each(|gene| sets_of_gene.entry(gene).or_default().push(number));
        }
        let mut first_column: HashMap<GeneId, u32> = HashMap::new();
        let (mut starts, mut sets_of, mut repeated) = (vec![0], Vec::new(), false);
        let gene_of_column = (0u32..)
            .zip(genes)
            .map(|(column, gene)| {
                let Some(gene) = gene else {
                    starts.push(sets_of.len() as u32);
                    return UNKNOWN;
                };
                sets_of.extend(sets_of_gene.get(gene).into_iter().flatten());
                starts.push(sets_of.len() as u32);
                let first = *first_column.entry(*gene).or_insert(column);
                repeated |= first != column;
                first
            })
            .collect();
        let names = sets.sets().iter().map(|set| set.name.clone()).collect();
        Ok(Self { names, sizes, gene_of_column, repeated, starts, sets_of, universe })
    }

    /// The names of the sets, in the order of the scores.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The scores of one cell of linear values, `[sets]`, each 0…1. A set of which the cell shows no gene scores 0.
    ///
    /// With `c = round(0.05 · 40000) - 1`, a gene of rank `r`, from 0, is worth `max(c - r, 0)`, and a set scores
    /// the mean over all its genes of their worth, divided by `c + 1`.
    pub fn scores(&self, row: &SparseRow) -> Vec<f32> {
        let seen = self.seen(row);
        let cut = ((TOP_SHARE * self.universe as f64).round_ties_even() as usize).saturating_sub(1);
        // The worth of the first `n` ranks together.
        let worth_of = |n: usize| {
            let n = n.min(cut) as f64;
            n * cut as f64 - n * (n - 1.0) / 2.0
        };
        let mut sums = vec![0.0_f64; self.names.len()];
        let mut shown = vec![0_usize; self.names.len()];
        let mut rank = 0;
        for equal in seen.chunk_by(|a, b| a.1 == b.1) {
            if rank >= cut {
                break;
            }
            let worth = (worth_of(rank + equal.len()) - worth_of(rank)) / equal.len() as f64;
            for set in equal.iter().flat_map(|(column, _)| self.sets_of(*column)) {
                if let (Some(sum), Some(n)) = (sums.get_mut(*set as usize), shown.get_mut(*set as usize)) {
                    *sum += worth;
                    *n += 1;
                }
            }
            rank += equal.len();
        }
        let unseen = self.universe.saturating_sub(seen.len());
        let worth_unseen =
            if unseen > 0 { (worth_of(self.universe) - worth_of(seen.len())) / unseen as f64 } else { 0.0 };
        sums.iter()
            .zip(&shown)
            .zip(&self.sizes)
            .map(|((sum, shown), size)| {
                if *shown == 0 {
                    return 0.0;
                }
                let all = sum + worth_unseen * size.saturating_sub(*shown) as f64;
                (all / ((cut + 1) as f64 * *size as f64)) as f32
            })
            .collect()
    }

    /// The two sets that score highest, best first, as indices into [`ToldPathways::names`]; fewer where the cell shows
    /// no gene of the others. Ties keep the order of the sets.
    pub fn told(&self, row: &SparseRow) -> Vec<usize> {
        let scores = self.scores(row);
        let mut best: Vec<(usize, f32)> =
            scores.into_iter().enumerate().filter(|(_, score)| *score > 0.0).collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1));
        best.into_iter().take(TOLD).map(|(set, _)| set).collect()
    }

    /// Genes above zero by falling value, each by its first column.
    fn seen(&self, row: &SparseRow) -> Vec<(u32, f32)> {
        let mut seen: Vec<(u32, f32)> = row
            .iter()
            .filter(|(_, value)| *value > 0.0 && value.is_finite())
            .filter_map(|(column, value)| self.gene_of_column.get(column as usize).map(|gene| (*gene, value)))
            .filter(|(gene, _)| *gene != UNKNOWN)
            .collect();
        if self.repeated {
            sum_repeated(&mut seen);
        }
        seen.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        seen
    }

    fn sets_of(&self, column: u32) -> &[u32] {
        let column = column as usize;
        let range = self.starts.get(column).zip(self.starts.get(column + 1));
        range.and_then(|(from, to)| self.sets_of.get(*from as usize..*to as usize)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::pathways::{Dialect, PathwayScorer};

    fn columns(n: usize) -> Vec<Option<GeneId>> {
        (0..n).map(|gene| Some(GeneId(gene as u32 * 3))).collect()
    }

    fn sets(of: &[std::ops::Range<usize>]) -> GeneSets {
        let table = GeneTable::builtin().unwrap();
        let lines = of.iter().enumerate().map(|(number, set)| {
            let genes: Vec<&str> =
                set.clone().map(|gene| table.ensembl_id(GeneId(gene as u32 * 3))).collect();
            format!("S{number}\t\t{}\n", genes.join("\t"))
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sets.gmt");
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        GeneSets::read_gmt(&path).unwrap()
    }

    #[test]
    fn scores_are_pyscenics_averaged_over_its_random_orders() {
        let n = 600;
        let sets = sets(&[0..30, 20..60, 300..340]);
        let mut rng = StdRng::seed_from_u64(8);
        // Fewer genes are seen than ranks are looked at, and most of them once.
        let row = SparseRow {
            columns: (0..24).map(|i| i * 4).collect(),
            values: (0..24).map(|_| if rng.random::<f64>() < 0.6 { 1.0 } else { 2.0 }).collect(),
        };
        let ours = ToldPathways::among(&sets, &columns(n), n).unwrap().scores(&row);
        let plain = PathwayScorer::new(&sets, &columns(n), Dialect::PySceNic).unwrap();
        let orders = 3000;
        let mut sums = [0.0_f64; 3];
        for _ in 0..orders {
            let mut order: Vec<u32> = (0..n as u32).collect();
            order.shuffle(&mut rng);
            let scores = plain.clone().with_tie_order(order).unwrap().score(&row);
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += f64::from(score));
        }
        for (set, (ours, sum)) in ours.iter().zip(&sums).enumerate().take(2) {
            let mean = sum / f64::from(orders);
            assert!((f64::from(*ours) - mean).abs() < 0.01 * mean, "set {set}: {ours} and not {mean}");
        }
        // Of the third set nothing is seen: what zeros bring it by chance is not told.
        assert_eq!(ours[2], 0.0);
    }

    #[test]
    fn what_the_file_does_not_measure_and_how_it_is_ordered_make_no_difference() {
        let genes = columns(4000);
        let row = SparseRow {
            columns: (0..300).map(|i| i * 13).collect(),
            values: (0..300).map(|i| (i % 5) as f32).collect(),
        };
        let whole = ToldPathways::new(&genes).unwrap();
        // Only the cell's own genes, backwards, with an unknown one among them that is read past.
        let mut own: Vec<(Option<GeneId>, f32)> =
            row.iter().map(|(column, value)| (genes[column as usize], value)).collect();
        own.reverse();
        own.insert(7, (None, 50.0));
        let panel = ToldPathways::new(&own.iter().map(|(gene, _)| *gene).collect::<Vec<_>>()).unwrap();
        let cut = SparseRow {
            columns: (0..own.len() as u32).collect(),
            values: own.iter().map(|(_, value)| *value).collect(),
        };
        assert_eq!(whole.scores(&row), panel.scores(&cut));
        assert_eq!(whole.told(&row).len(), 2);
        assert_eq!(whole.names().len(), 34);
    }

    #[test]
    fn columns_of_one_gene_are_added_and_an_empty_cell_tells_nothing() {
        let sets = sets(&[0..6, 6..12]);
        let gene = |i: u32| Some(GeneId(i * 3));
        let once = ToldPathways::among(&sets, &[gene(0), gene(7), gene(8)], 400).unwrap();
        let twice = ToldPathways::among(&sets, &[gene(0), gene(7), gene(8), gene(0)], 400).unwrap();
        let row = |values: &[f32]| SparseRow {
            columns: (0..values.len() as u32).collect(),
            values: values.to_vec(),
        };
        assert_eq!(once.scores(&row(&[5.0, 2.0, 1.0])), twice.scores(&row(&[1.0, 2.0, 1.0, 4.0])));
        assert!(once.told(&row(&[])).is_empty() && once.told(&row(&[f32::NAN, -1.0, 0.0])).is_empty());
        assert_eq!(once.told(&row(&[1.0, 0.0, 0.0])), [0]);
    }
}
