//! Streams a matrix and counts, gene by gene, what the tests need.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::Test;
use super::sets::Sets;
use super::stats::{Measured, Moments, Ranks};
use crate::Result;
use crate::analysis::LogNormalised;
use crate::anndata::Layout;
use crate::progress::Watch;

/// Genes ranked between two reports.
const GENES_PER_STEP: u64 = 64;

/// How much may be held of a matrix at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: 512 << 20 }
    }
}

/// Growing vectors take up to twice what they hold.
const BYTES_PER_ENTRY: u64 = 2 * size_of::<f32>() as u64;

/// Values of one gene that are not zero, by set.
type Entries = [Vec<f32>; 2];

/// Counts every gene of the matrix for `test`, `[genes]`.
pub(super) fn measure(
    values: &LogNormalised<'_>,
    sets: &Sets,
    test: Test,
    budget: Budget,
    watch: &Watch,
) -> Result<Vec<Measured>> {
    if values.matrix().layout() == Layout::Csc {
        return by_columns(values, sets, test, budget, watch);
    }
    let n_genes = values.matrix().n_cols();
    let ranked = test == Test::Wilcoxon;
    let at_once = ranked && values.matrix().n_stored().saturating_mul(BYTES_PER_ENTRY) <= budget.bytes;
    let mut entries = vec![Entries::default(); if at_once { n_genes } else { 0 }];
    let mut moments = vec![[Moments::default(); 2]; n_genes];
    values.for_each_block("Comparing cells", watch, |first, rows| {
        for (cell, row) in (first..).zip(rows) {
            let Some(set) = sets.set_of(cell) else { continue };
            for (gene, value) in row.iter() {
                moments[gene as usize][set].add(value);
                if at_once && value != 0.0 {
                    entries[gene as usize][set].push(value);
                }
            }
        }
        Ok(())
    })?;
    let mut measured =
        moments.into_iter().map(|moments| Measured { moments, ..Measured::default() }).collect::<Vec<_>>();
    if at_once {
        rank(&mut measured, entries, sets, watch)?;
    } else if ranked {
        for genes in parts(&measured, budget) {
            let entries = gather(values, sets, &genes, &measured, watch)?;
            rank(&mut measured[genes], entries, sets, watch)?;
        }
    }
    Ok(measured)
}

/// Runs of genes whose entries fit into the budget; at least one gene each.
fn parts(measured: &[Measured], budget: Budget) -> Vec<Range<usize>> {
    let room = budget.bytes / size_of::<f32>() as u64;
    let mut parts = Vec::new();
    let (mut start, mut held) = (0, 0);
    for (gene, of) in measured.iter().enumerate() {
        let entries = of.moments[0].nonzero + of.moments[1].nonzero;
        if gene > start && held + entries > room {
            parts.push(start..gene);
            (start, held) = (gene, 0);
        }
        held += entries;
    }
    if start < measured.len() {
        parts.push(start..measured.len());
    }
    parts
}

/// The entries of the genes `wanted`, by one pass over the rows.
fn gather(
    values: &LogNormalised<'_>,
    sets: &Sets,
    wanted: &Range<usize>,
    counted: &[Measured],
    watch: &Watch,
) -> Result<Vec<Entries>> {
    let mut entries = counted[wanted.clone()]
        .iter()
        .map(|of| of.moments.map(|moments| Vec::with_capacity(moments.nonzero as usize)))
        .collect::<Vec<_>>();
    let what = format!("Reading genes {} to {}", wanted.start + 1, wanted.end);
    values.for_each_block(&what, watch, |first, rows| {
        for (cell, row) in (first..).zip(rows) {
            let Some(set) = sets.set_of(cell) else { continue };
            let from = row.columns.partition_point(|gene| (*gene as usize) < wanted.start);
            for (gene, value) in row.columns[from..].iter().zip(&row.values[from..]) {
                match entries.get_mut(*gene as usize - wanted.start) {
                    Some(of) if *value != 0.0 => of[set].push(*value),
                    Some(_) => {}
                    None => break,
                }
            }
        }
        Ok(())
    })?;
    Ok(entries)
}

/// Ranks each gene's entries, in parallel over genes.
fn rank(measured: &mut [Measured], entries: Vec<Entries>, sets: &Sets, watch: &Watch) -> Result<()> {
    let total = measured.len() as u64;
    let done = AtomicU64::new(0);
    measured.par_iter_mut().zip(entries).try_for_each(|(of, mut entries)| {
        let before = done.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(GENES_PER_STEP) {
            watch.step("Ranking genes", before, Some(total))?;
        }
        watch.check()?;
        let zeros = [sets.n_a - entries[0].len(), sets.n_b - entries[1].len()];
        let [a, b] = &mut entries;
        of.ranks = Ranks::of(a, b, zeros);
        Ok(())
    })
}

/// Counts a matrix stored by columns: some genes are read, then counted in parallel.
fn by_columns(
    values: &LogNormalised<'_>,
    sets: &Sets,
    test: Test,
    budget: Budget,
    watch: &Watch,
) -> Result<Vec<Measured>> {
    let (n_cells, n_genes) = (values.matrix().n_rows(), values.matrix().n_cols());
    // A column is held twice: as read, and split by set.
    let column_bytes = 2 * BYTES_PER_ENTRY * n_cells.max(1) as u64;
    let together = usize::try_from(budget.bytes / column_bytes).unwrap_or(1).clamp(1, 256);
    let quiet = watch.quiet();
    let mut measured = Vec::with_capacity(n_genes);
    for first in (0..n_genes).step_by(together) {
        let mut columns = Vec::with_capacity(together);
        for gene in first..n_genes.min(first + together) {
            watch.step("Comparing genes", gene as u64, Some(n_genes as u64))?;
            columns.push(values.column(gene, &quiet)?);
        }
        measured.par_extend(columns.into_par_iter().map(|column| count(&column, sets, test)));
    }
    Ok(measured)
}

/// Counts one gene, given over all cells.
fn count(column: &[f32], sets: &Sets, test: Test) -> Measured {
    let mut measured = Measured::default();
    let mut entries = Entries::default();
    for (cell, value) in column.iter().enumerate().filter(|(_, value)| **value != 0.0) {
        let Some(set) = sets.set_of(cell) else { continue };
        measured.moments[set].add(*value);
        entries[set].push(*value);
    }
    if test == Test::Wilcoxon {
        let zeros = [sets.n_a - entries[0].len(), sets.n_b - entries[1].len()];
        let [a, b] = &mut entries;
        measured.ranks = Ranks::of(a, b, zeros);
    }
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genes_are_parted_by_what_they_hold() {
        let gene = |nonzero| Measured {
            moments: [Moments { nonzero, ..Moments::default() }, Moments::default()],
            ..Measured::default()
        };
        let genes = [3, 3, 9, 0, 1, 2].map(gene);
        assert_eq!(parts(&genes, Budget { bytes: 4 * 6 }), [0..2, 2..3, 3..6]);
        assert!(parts(&[], Budget { bytes: 1 }).is_empty());
    }
}
