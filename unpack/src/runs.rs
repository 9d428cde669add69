//! Runs of a gene-major twin: the entries of one gene over the cells of some blocks.
//!
//! A run begins with the number of entries in each block, a byte each, or 255 and four bytes. Then come the blocks'
//! entries: cell and value, a byte each, 255 for a value of the list of four-byte values that follows; or, where a
//! block keeps its values in full, cells with a value of four bytes each. A gene without entries has no byte.

use crate::blocks::{BLOCK_CELLS, Block, OTHER};

/// Stands for a number of entries that takes four bytes.
const MANY: u8 = 255;

/// How a block lies, for whoever reads a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHead {
    /// Cells.
    pub n_cells: usize,
    /// Whether all values take four bytes.
    pub full: bool,
}

impl BlockHead {
    /// In two bytes.
    pub fn to_bytes(self) -> [u8; 2] {
        let cells = self.n_cells.saturating_sub(1).min(BLOCK_CELLS - 1) as u16;
        (cells | u16::from(self.full) << 15).to_le_bytes()
    }

    /// `None` for what is none.
    pub fn from_bytes(bytes: [u8; 2]) -> Option<Self> {
        let number = u16::from_le_bytes(bytes);
        let n_cells = usize::from(number & 0x7fff) + 1;
        (n_cells <= BLOCK_CELLS).then_some(Self { n_cells, full: number >> 15 == 1 })
    }
}

impl Block {
    /// How it lies.
    pub fn head(&self) -> BlockHead {
        BlockHead { n_cells: self.n_cells, full: self.is_full }
    }
}

/// Appends to `body` the runs of all genes over `blocks`, gene by gene. Gives where in it each gene's run begins,
/// `[genes + 1]`; `None` where it grows beyond 2^32 bytes.
pub fn runs(blocks: &[Block], n_genes: usize, body: &mut Vec<u8>) -> Option<Vec<u32>> {
    let bytes = |block: &Block| match block.is_full {
        false => 2 * block.small.len() + 4 * block.others.len(),
        true => 5 * block.full.len(),
    };
    body.reserve(blocks.iter().map(bytes).sum::<usize>() + n_genes * blocks.len());
    let mut table = Vec::with_capacity(n_genes + 1);
    // Of each block: where the gene's entries are, and where its list of other values is.
    let mut spans = vec![(0usize, 0usize); blocks.len()];
    let mut next = vec![0usize; blocks.len()];
    for gene in 0..n_genes {
        table.push(u32::try_from(body.len()).ok()?);
        let mut any = 0;
        for (block, span) in blocks.iter().zip(&mut spans) {
            let [start, end, ..] = *block.starts.get(gene..)? else { return None };
            *span = (start as usize, end as usize);
            any |= end.checked_sub(start)?;
        }
        if any == 0 {
            continue;
        }
        for (start, end) in &spans {
            match u8::try_from(end - start) {
                Ok(n) if n != MANY => body.push(n),
                _ => {
                    body.push(MANY);
                    body.extend_from_slice(&((end - start) as u32).to_le_bytes());
                }
            }
        }
        for ((block, (start, end)), next) in blocks.iter().zip(&spans).zip(&mut next) {
            if block.is_full {
                body.extend_from_slice(block.full.get(*start..*end)?.as_flattened());
                continue;
            }
            copy(block.small.get(*start..)?, end - start, body)?;
            while let Some((_, value)) = block.others.get(*next).filter(|(of, _)| *of as usize == gene) {
                body.extend_from_slice(&value.to_le_bytes());
                *next += 1;
            }
        }
    }
    table.push(u32::try_from(body.len()).ok()?);
    Some(table)
}

/// Appends the first `n` of `pairs`.
#[inline(always)]
fn copy(pairs: &[[u8; 2]], n: usize, body: &mut Vec<u8>) -> Option<()> {
    /// Most runs are this short in a block. So many are copied whatever is wanted, since a copy of fixed length needs no
    /// call.
    const SHORT: usize = 32;
    match pairs.first_chunk::<SHORT>() {
        Some(some) if n <= SHORT => {
            let end = body.len() + 2 * n;
            body.extend_from_slice(some.as_flattened());
            body.truncate(end);
        }
        _ => body.extend_from_slice(pairs.get(..n)?.as_flattened()),
    }
    Some(())
}

/// Adds a run to the cells of its blocks; `None` where it is damaged.
pub fn decode(run: &[u8], blocks: &[BlockHead], cells: &mut [f32]) -> Option<()> {
    if run.is_empty() {
        return Some(());
    }
    let mut rest = run;
    let mut counts = Vec::with_capacity(blocks.len());
    for _ in blocks {
        let (count, behind) = rest.split_first()?;
        rest = behind;
        counts.push(if *count == MANY {
            let (count, behind) = rest.split_first_chunk::<4>()?;
            rest = behind;
            u32::from_le_bytes(*count) as usize
        } else {
            usize::from(*count)
        });
    }
    let mut cells = cells;
    for (block, count) in blocks.iter().zip(counts) {
        let here;
        (here, cells) = std::mem::take(&mut cells).split_at_mut_checked(block.n_cells)?;
        if block.full {
            let entries;
            (entries, rest) = rest.split_at_checked(count.checked_mul(5)?)?;
            for [cell, a, b, c, d] in entries.as_chunks::<5>().0 {
                *here.get_mut(usize::from(*cell))? += f32::from_le_bytes([*a, *b, *c, *d]);
            }
            continue;
        }
        let pairs;
        (pairs, rest) = rest.split_at_checked(count.checked_mul(2)?)?;
        for [cell, value] in pairs.as_chunks::<2>().0 {
            let place = here.get_mut(usize::from(*cell))?;
            if *value == OTHER {
                let (value, behind) = rest.split_first_chunk::<4>()?;
                rest = behind;
                *place += f32::from_le_bytes(*value);
            } else {
                *place += f32::from(*value);
            }
        }
    }
    rest.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blocks::Waiting;

    #[test]
    fn entries_come_in_the_order_of_genes_and_then_of_cells() {
        // Three cells: (1: 5, 0: 6), none, (1: 7).
        let mut waiting = Waiting::new(3);
        waiting.add_places(&[1, 0, 1]).unwrap();
        waiting.add_floats(&[5.0, 6.0, 7.0]);
        let (mut block, mut sums, mut bytes) = (Block::default(), Vec::new(), Vec::new());
        waiting.order(&[2, 2, 3], &mut block, &mut sums).unwrap();
        assert_eq!(sums, [11.0, 0.0, 7.0]);
        let table = runs(&[block], 3, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 0, 6, 2, 0, 5, 2, 7]);
        assert_eq!(table, [0, 3, 8, 8]);
    }

    #[test]
    fn a_gene_in_every_cell_and_twice_in_some_is_kept() {
        let mut waiting = Waiting::new(1);
        waiting.add_places(&[0; 300]).unwrap();
        waiting.add_floats(&[1.0; 300]);
        let ends: Vec<u32> =
            (0..256).map(|cell| if cell < 44 { 2 * (cell + 1) } else { 45 + cell }).collect();
        let (mut block, mut bytes) = (Block::default(), Vec::new());
        waiting.order(&ends, &mut block, &mut Vec::new()).unwrap();
        let head = block.head();
        runs(&[block], 1, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 5 + 600);
        let mut cells = vec![0.0; 256];
        decode(&bytes, &[head], &mut cells).unwrap();
        assert!(cells[..44].iter().all(|v| *v == 2.0) && cells[44..].iter().all(|v| *v == 1.0));
    }

    proptest! {
        #[test]
        fn runs_read_back_as_the_cells_they_were_made_of(
            cells in proptest::collection::vec(proptest::collection::vec((0u32..40, prop_oneof![
                30 => (0u32..9).prop_map(|v| v as f32), 1 => -5.0f32..5.0, 1 => Just(3e9), 1 => Just(255.0)
            ]), 0..30), 1..300),
            cells_a_block in 1usize..=256,
            wide in any::<bool>(),
            sorted in any::<bool>(),
        ) {
            let mut cells = cells;
            if sorted {
                cells.iter_mut().for_each(|cell| cell.sort_by_key(|(gene, _)| *gene));
            }
            let n_genes = if wide { 70_000 } else { 40 };
            let mut waiting = Waiting::new(n_genes);
            let (mut blocks, mut sums, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
            for block in cells.chunks(cells_a_block) {
                let entries: Vec<(u32, f32)> = block.iter().flatten().copied().collect();
                let genes: Vec<u8> = entries.iter().flat_map(|(gene, _)| gene.to_le_bytes()).collect();
                waiting.add_genes(&genes, crate::numbers::Number::I32).unwrap();
                waiting.add_floats(&entries.iter().map(|(_, value)| *value).collect::<Vec<_>>());
                let ends: Vec<u32> = block.iter().scan(0, |end, cell| { *end += cell.len() as u32; Some(*end) }).collect();
                let mut block = Block::default();
                waiting.order(&ends, &mut block, &mut sums).unwrap();
                blocks.push(block);
            }
            prop_assert_eq!(sums.len(), cells.len());
            let heads: Vec<BlockHead> =
                blocks.iter().map(|b| BlockHead::from_bytes(b.head().to_bytes()).unwrap()).collect();
            let table = runs(&blocks, n_genes, &mut bytes).unwrap();
            for gene in 0..40usize {
                let (mut found, mut expected) = (vec![0.0f32; cells.len()], vec![0.0f32; cells.len()]);
                for (place, cell) in expected.iter_mut().zip(&cells) {
                    cell.iter().filter(|(g, _)| *g as usize == gene).for_each(|(_, value)| *place += value);
                }
                let run = &bytes[table[gene] as usize..table[gene + 1] as usize];
                prop_assert!(decode(run, &heads, &mut found).is_some());
                prop_assert_eq!(&found, &expected);
                // Cut short, it is damaged.
                prop_assert!(run.is_empty() || decode(&run[..run.len() - 1], &heads, &mut found).is_none());
            }
        }
    }
}
