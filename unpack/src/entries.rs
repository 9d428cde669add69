//! The entries of a matrix by cells, as they follow each other: each a gene and a value.

use crate::runs;

/// Entries looked at together: those of a block without a hit are only compared.
const TOGETHER: usize = 64;

/// Adds to `hits` where in `genes` the gene `wanted` stands, and gives the largest gene.
pub fn find_one(genes: &[u32], wanted: u32, hits: &mut Vec<(u32, u32)>) -> u32 {
    let mut largest = 0;
    let mut start = 0;
    for block in genes.chunks(TOGETHER) {
        let mut any = false;
        for gene in block {
            largest = largest.max(*gene);
            any |= *gene == wanted;
        }
        if any {
            let found = block.iter().enumerate().filter(|(_, gene)| **gene == wanted);
            hits.extend(found.map(|(at, _)| (start + at as u32, 0)));
        }
        start += TOGETHER as u32;
    }
    largest
}

/// Adds to `hits` where in `genes` a gene stands that has a slot other than `u32::MAX`, with the slot, and gives the
/// largest gene.
pub fn find_several(genes: &[u32], slots: &[u32], hits: &mut Vec<(u32, u32)>) -> u32 {
    let mut largest = 0;
    for (at, gene) in (0u32..).zip(genes) {
        largest = largest.max(*gene);
        match slots.get(*gene as usize) {
            Some(slot) if *slot != u32::MAX => hits.push((at, *slot)),
            _ => {}
        }
    }
    largest
}

/// The sum of the values, but for those that are not finite.
pub fn finite_sum(values: &[f32]) -> f64 {
    // In four parts, so that the additions need not wait for each other.
    let mut sums = [0.0f64; 4];
    let (fours, rest) = values.as_chunks::<4>();
    for four in fours {
        for (sum, value) in sums.iter_mut().zip(four) {
            *sum += f64::from(*value);
        }
    }
    let sum = sums.iter().sum::<f64>() + rest.iter().map(|value| f64::from(*value)).sum::<f64>();
    if sum.is_finite() {
        return sum;
    }
    values.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value)).sum()
}

/// Orders the entries of some cells by gene, as runs, in memory that is used again.
///
/// The entries are gone through twice: to know how long each run becomes, and to write it where it belongs. Thousands of
/// runs grow side by side, so that what counts is how few bytes of each are touched at a time.
#[derive(Debug, Default)]
pub struct ByGene {
    genes: Vec<Growth>,
}

/// The run of one gene.
#[derive(Debug, Clone, Copy, Default)]
struct Growth {
    /// The last cell.
    cell: u32,
    /// Bytes of the distances; later, where the next entry is written.
    at: u32,
    /// Bytes of the values, were they all whole.
    values: u32,
    /// Entries; later, whether values are kept whole.
    n: u32,
}

/// Set in the number of entries where a value is no whole number.
const BROKEN: u32 = 1 << 31;

impl ByGene {
    /// The entries as runs, gene by gene, and where each gene's run begins, `[genes + 1]`; `ends` says where each cell's
    /// entries end. `None` for entries that are none: a gene beyond `n_genes`, or ends that fall or do not fit; and for
    /// more than 2^28 of them.
    pub fn runs(
        &mut self,
        ends: &[u32],
        genes: &[u32],
        values: &[f32],
        n_genes: usize,
    ) -> Option<(Vec<u64>, Vec<u8>)> {
        if genes.len() > 1 << 28 {
            return None;
        }
        self.genes.clear();
        self.genes.resize(n_genes, Growth::default());
        let mut start = 0;
        for (cell, end) in (0u32..).zip(ends) {
            let row = start..*end as usize;
            for (gene, value) in genes.get(row.clone())?.iter().zip(values.get(row)?) {
                let growth = self.genes.get_mut(*gene as usize)?;
                growth.at += runs::leb128_bytes(cell - growth.cell);
                growth.cell = cell;
                growth.values += runs::leb128_bytes(*value as u32);
                growth.n = (growth.n + 1) | if runs::is_whole(*value) { 0 } else { BROKEN };
            }
            start = *end as usize;
        }
        if start != genes.len() {
            return None;
        }
        let mut table = Vec::with_capacity(n_genes + 1);
        let mut total = 0u32;
        for growth in &mut self.genes {
            table.push(u64::from(total));
            let whole = growth.n & BROKEN == 0;
            let bytes = growth.at + if whole { growth.values } else { 4 * (growth.n & !BROKEN) };
            let begins = total;
            // An empty run is no byte at all.
            total = total.checked_add(bytes + u32::from(growth.n > 0))?;
            *growth = Growth { cell: 0, at: begins + 1, values: u32::from(growth.n > 0), n: u32::from(whole) };
        }
        table.push(u64::from(total));
        let mut bytes = vec![0u8; total as usize];
        for (growth, begins) in self.genes.iter().zip(&table).filter(|(growth, _)| growth.values > 0) {
            *bytes.get_mut(*begins as usize)? = growth.n as u8;
        }
        let mut start = 0;
        for (cell, end) in (0u32..).zip(ends) {
            let row = start..*end as usize;
            for (gene, value) in genes.get(row.clone())?.iter().zip(values.get(row)?) {
                let growth = self.genes.get_mut(*gene as usize)?;
                let distance = cell - growth.cell;
                growth.cell = cell;
                let at = growth.at as usize;
                let whole = *value as u32;
                if growth.n == 1 && distance < 128 && whole < 128 {
                    *bytes.get_mut(at..at + 2)?.first_chunk_mut()? = [distance as u8, whole as u8];
                    growth.at += 2;
                } else {
                    let mut room = bytes.get_mut(at..)?;
                    let before = room.len();
                    runs::put_leb128(distance, &mut room)?;
                    if growth.n == 1 {
                        runs::put_leb128(whole, &mut room)?;
                    } else {
                        let (four, rest) = room.split_first_chunk_mut::<4>()?;
                        *four = value.to_le_bytes();
                        room = rest;
                    }
                    growth.at += (before - room.len()) as u32;
                }
            }
            start = *end as usize;
        }
        Some((table, bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gene_is_found_wherever_it_stands_and_the_largest_is_told() {
        let mut genes = vec![7u32; 200];
        for at in [0, 63, 64, 130, 199] {
            genes[at] = 3;
        }
        genes[150] = 9;
        let mut hits = Vec::new();
        assert_eq!(find_one(&genes, 3, &mut hits), 9);
        assert_eq!(hits, [(0, 0), (63, 0), (64, 0), (130, 0), (199, 0)]);
        let mut slots = [u32::MAX; 8];
        (slots[3], slots[2]) = (1, 0);
        hits.clear();
        assert_eq!(find_several(&genes, &slots, &mut hits), 9);
        assert_eq!(hits.len(), 5);
        assert!(hits.iter().all(|(_, slot)| *slot == 1));
    }

    #[test]
    fn sums_leave_out_what_is_not_finite() {
        assert_eq!(finite_sum(&[1.0, 2.0, 3.0, 4.0, 5.0]), 15.0);
        assert_eq!(finite_sum(&[1.0, f32::NAN, 3.0, f32::INFINITY, 5.0]), 9.0);
        assert_eq!(finite_sum(&[]), 0.0);
    }

    #[test]
    fn entries_come_in_the_order_of_genes_and_then_of_cells() {
        // Three cells: (1: 5, 0: 6), none, (1: 7).
        let mut order = ByGene::default();
        for _ in 0..2 {
            let (table, bytes) = order.runs(&[2, 2, 3], &[1, 0, 1], &[5.0, 6.0, 7.0], 3).unwrap();
            let gene = |g: usize| {
                let mut cells = [0.0; 3];
                runs::decode(&bytes[table[g] as usize..table[g + 1] as usize], &mut cells).unwrap();
                cells
            };
            assert_eq!([gene(0), gene(1), gene(2)], [[6.0, 0.0, 0.0], [5.0, 0.0, 7.0], [0.0; 3]]);
        }
        assert_eq!(order.runs(&[1], &[3], &[1.0], 3), None);
        assert_eq!(order.runs(&[2], &[1], &[1.0], 3), None);
        assert_eq!(order.runs(&[1, 1], &[1, 0], &[1.0, 2.0], 3), None);
    }

    proptest! {
        #[test]
        fn runs_that_grow_side_by_side_are_those_made_one_by_one(
            cells in proptest::collection::vec(proptest::collection::vec((0u32..40, prop_oneof![
                4 => (0u32..300).prop_map(|v| v as f32), 1 => -5.0f32..5.0, 1 => Just(f32::NAN), 1 => Just(3e9)
            ]), 0..30), 0..300)
        ) {
            let mut ends = Vec::new();
            let (mut genes, mut values) = (Vec::new(), Vec::new());
            for cell in &cells {
                genes.extend(cell.iter().map(|(gene, _)| *gene));
                values.extend(cell.iter().map(|(_, value)| *value));
                ends.push(genes.len() as u32);
            }
            let (table, bytes) = ByGene::default().runs(&ends, &genes, &values, 40).unwrap();
            let mut expected = Vec::new();
            for gene in 0..40 {
                prop_assert_eq!(table[gene as usize], expected.len() as u64);
                let of_gene: Vec<(u32, f32)> = (0u32..)
                    .zip(&cells)
                    .flat_map(|(at, cell)| {
                        cell.iter().filter(|(g, _)| *g == gene).map(move |(_, value)| (at, *value))
                    })
                    .collect();
                runs::encode(&of_gene, &mut expected);
            }
            prop_assert_eq!(bytes, expected);
        }
    }
}
