//! The entries of a matrix by cells, block by block in the order of genes.
//!
//! A block is up to 256 cells, so that one byte tells a cell and all that is needed to order it stays in a core's own
//! cache. Genes wait in two bytes where there are few enough of them, values in one: counts are small. What is larger,
//! or no whole number, is kept aside; a block in which that is usual keeps all its values in full.

use crate::entries::finite_sum;
use crate::numbers::{self, Number};

/// Cells of a block at most.
pub const BLOCK_CELLS: usize = 256;
/// Stands for a value that does not fit into a byte.
pub(crate) const OTHER: u8 = 255;
/// Genes ordered at a time where the genes of each cell rise.
const GENES_TOGETHER: usize = 256;
/// Room for the entries of one gene, which has at most one in each cell. The rest keeps the rooms of different genes
/// from falling onto the same places of a cache.
const ROOM: usize = BLOCK_CELLS + 16;
/// Numbers brought from a file's bytes at a time.
const NUMBERS_TOGETHER: usize = 1024;
/// A block keeps its values in full where more than one in so many does not fit into a byte.
const OTHERS_ARE_RARE: usize = 8;

/// Entries that wait to be ordered, as they follow each other in the matrix.
#[derive(Debug)]
pub struct Waiting {
    genes: Genes,
    values: Vec<u8>,
    /// Values that do not fit, with their places among those that wait.
    others: Vec<(u32, f32)>,
    n_genes: usize,
    /// Numbers on their way.
    places: Vec<u32>,
    floats: Vec<f32>,
    /// Where genes are gathered, [`ROOM`] each.
    small_rooms: Vec<[u8; 2]>,
    full_rooms: Vec<[u8; 5]>,
}

#[derive(Debug)]
enum Genes {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

/// The entries of some cells, ordered by gene and then by cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    pub(crate) n_cells: usize,
    /// Where each gene begins, `[genes + 1]`.
    pub(crate) starts: Vec<u32>,
    pub(crate) is_full: bool,
    /// Cell and value, [`OTHER`] for one of `others`.
    pub(crate) small: Vec<[u8; 2]>,
    /// Gene and value, in the same order.
    pub(crate) others: Vec<(u32, f32)>,
    /// Where the block keeps its values in full: cell and the four bytes of the value.
    pub(crate) full: Vec<[u8; 5]>,
}

impl Waiting {
    /// For a matrix of `n_genes`.
    pub fn new(n_genes: usize) -> Self {
        let narrow = n_genes <= 1 << 16;
        Self {
            genes: if narrow { Genes::Narrow(Vec::new()) } else { Genes::Wide(Vec::new()) },
            values: Vec::new(),
            others: Vec::new(),
            n_genes,
            places: Vec::new(),
            floats: Vec::new(),
            small_rooms: Vec::new(),
            full_rooms: Vec::new(),
        }
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        match &mut self.genes {
            Genes::Narrow(genes) => genes.clear(),
            Genes::Wide(genes) => genes.clear(),
        }
        self.values.clear();
        self.others.clear();
    }

    /// How many entries wait with their gene, and how many with their value.
    pub fn len(&self) -> (usize, usize) {
        let genes = match &self.genes {
            Genes::Narrow(genes) => genes.len(),
            Genes::Wide(genes) => genes.len(),
        };
        (genes, self.values.len())
    }

    /// Adds the genes of entries as they lie in a file. `None` where one is none of the matrix: then all is to be
    /// forgotten.
    pub fn add_genes(&mut self, bytes: &[u8], number: Number) -> Option<()> {
        if let (Number::I32 | Number::U32, Genes::Narrow(genes)) = (number, &mut self.genes) {
            let numbers = bytes.as_chunks::<4>().0;
            genes.reserve(numbers.len());
            let mut largest = 0;
            // Each number is looked at twice, the second time in the nearest cache.
            for some in numbers.chunks(NUMBERS_TOGETHER) {
                largest = some.iter().map(|b| u32::from_le_bytes(*b)).fold(largest, u32::max);
                genes.extend(some.iter().map(|b| u32::from_le_bytes(*b) as u16));
            }
            return ((largest as usize) < self.n_genes || numbers.is_empty()).then_some(());
        }
        let mut places = std::mem::take(&mut self.places);
        places.resize(bytes.len() / number.width(), 0);
        numbers::places(bytes, number, &mut places);
        let added = self.add_places(&places);
        self.places = places;
        added
    }

    /// The same for genes that were read.
    pub fn add_places(&mut self, places: &[u32]) -> Option<()> {
        let largest = places.iter().copied().max().unwrap_or(0);
        match &mut self.genes {
            Genes::Narrow(genes) => genes.extend(places.iter().map(|gene| *gene as u16)),
            Genes::Wide(genes) => genes.extend_from_slice(places),
        }
        ((largest as usize) < self.n_genes || places.is_empty()).then_some(())
    }

    /// Adds the values of entries as they lie in a file.
    pub fn add_values(&mut self, bytes: &[u8], number: Number) {
        if number == Number::F32 {
            let numbers = bytes.as_chunks::<4>().0;
            let before = self.values.len();
            self.values.extend(numbers.iter().map(|b| small(f32::from_le_bytes(*b))));
            self.keep_others(before, |at| numbers.get(at).map(|b| f32::from_le_bytes(*b)));
            return;
        }
        let mut floats = std::mem::take(&mut self.floats);
        floats.resize(bytes.len() / number.width(), 0.0);
        numbers::floats(bytes, number, &mut floats);
        self.add_floats(&floats);
        self.floats = floats;
    }

    /// The same for values that were read.
    pub fn add_floats(&mut self, floats: &[f32]) {
        let before = self.values.len();
        self.values.extend(floats.iter().map(|value| small(*value)));
        self.keep_others(before, |at| floats.get(at).copied());
    }

    /// Keeps the values aside that do not fit into a byte, of those from `before` on.
    fn keep_others(&mut self, before: usize, value: impl Fn(usize) -> Option<f32>) {
        let added = self.values.get(before..).unwrap_or_default();
        for at in memchr::memchr_iter(OTHER, added) {
            if let Some(value) = value(at) {
                self.others.push(((before + at) as u32, value));
            }
        }
    }

    /// Orders the first entries that wait into `block`, whatever it held before, and lets go of them; `ends` says where
    /// those of each cell end, for at most [`BLOCK_CELLS`]. Adds to `sums` the sum of each cell, but for values that are
    /// not finite. `None` where so many do not wait, or the ends fall.
    pub fn order(&mut self, ends: &[u32], block: &mut Block, sums: &mut Vec<f64>) -> Option<()> {
        let n = ends.last().map_or(0, |end| *end as usize);
        if ends.len() > BLOCK_CELLS || self.len().0 < n || self.len().1 < n || !ends.is_sorted() {
            return None;
        }
        let values = self.values.get(..n)?;
        let n_others = self.others.partition_point(|(at, _)| (*at as usize) < n);
        let others = self.others.get(..n_others)?;
        block.n_cells = ends.len();
        block.is_full = n_others > n / OTHERS_ARE_RARE;
        block.others.clear();
        let floats = &mut self.floats;
        if block.is_full {
            in_full(values, others, floats);
            for span in spans(ends) {
                sums.push(finite_sum(floats.get(span)?));
            }
        } else {
            add_sums(values, others, ends, sums)?;
        }
        let rooms = (&mut self.small_rooms, &mut self.full_rooms);
        match &mut self.genes {
            Genes::Narrow(genes) => {
                fill(genes.get(..n)?, (values, others, floats), ends, self.n_genes, rooms, block)?;
                genes.drain(..n);
            }
            Genes::Wide(genes) => {
                fill(genes.get(..n)?, (values, others, floats), ends, self.n_genes, rooms, block)?;
                genes.drain(..n);
            }
        }
        self.values.drain(..n);
        self.others.drain(..n_others);
        self.others.iter_mut().for_each(|(at, _)| *at -= n as u32);
        Some(())
    }
}

/// A value in one byte, or [`OTHER`].
fn small(value: f32) -> u8 {
    // Added to so large a number, a whole one lies in the lowest bits. A conversion, which heeds what does not fit, is
    // not done for several at once.
    const LARGE: f32 = 8_388_608.0;
    let byte = (value + LARGE).to_bits() as u8;
    if f32::from(byte) == value { byte } else { OTHER }
}

fn spans(ends: &[u32]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let starts = std::iter::once(&0).chain(ends);
    starts.zip(ends).map(|(start, end)| *start as usize..*end as usize)
}

/// All values as they were.
fn in_full(values: &[u8], others: &[(u32, f32)], floats: &mut Vec<f32>) {
    floats.clear();
    floats.extend(values.iter().map(|value| f32::from(*value)));
    for (at, value) in others {
        if let Some(place) = floats.get_mut(*at as usize) {
            *place = *value;
        }
    }
}

fn add_sums(values: &[u8], others: &[(u32, f32)], ends: &[u32], sums: &mut Vec<f64>) -> Option<()> {
    let mut others = others.iter().peekable();
    for span in spans(ends) {
        let end = span.end as u32;
        let mut sum = f64::from(values.get(span)?.iter().map(|value| u32::from(*value)).sum::<u32>());
        while let Some((_, value)) = others.next_if(|(at, _)| *at < end) {
            sum += if value.is_finite() { f64::from(*value) } else { 0.0 } - f64::from(OTHER);
        }
        sums.push(sum);
    }
    Some(())
}

fn fill<G: Gene>(
    genes: &[G],
    (values, others, floats): (&[u8], &[(u32, f32)], &[f32]),
    ends: &[u32],
    n_genes: usize,
    (small_rooms, full_rooms): (&mut Vec<[u8; 2]>, &mut Vec<[u8; 5]>),
    block: &mut Block,
) -> Option<()> {
    let Block { starts, small, full, .. } = block;
    if block.is_full {
        return place(genes, floats, ends, n_genes, full_rooms, (full, starts), |cell, value| {
            let [a, b, c, d] = value.to_le_bytes();
            [cell, a, b, c, d]
        });
    }
    place(genes, values, ends, n_genes, small_rooms, (small, starts), |cell, value| [cell, value])?;
    for (at, value) in others {
        block.others.push((genes.get(*at as usize)?.place() as u32, *value));
    }
    block.others.sort_by_key(|(gene, _)| *gene);
    Some(())
}

trait Gene: Copy {
    fn place(self) -> usize;
}

impl Gene for u16 {
    fn place(self) -> usize {
        self.into()
    }
}

impl Gene for u32 {
    fn place(self) -> usize {
        self as usize
    }
}

/// Whether the genes of each cell rise, so that none comes twice.
fn rise<G: Gene>(genes: &[G], ends: &[u32]) -> bool {
    // Steps that do not rise are counted all over, which goes for several at once, and then those from one cell to the
    // next.
    let next = genes.get(1..).unwrap_or_default();
    let falls = genes.iter().zip(next).map(|(a, b)| u32::from(b.place() <= a.place())).sum::<u32>();
    let mut between = 0;
    let mut before = 0;
    for end in ends.iter().map(|end| *end as usize) {
        // Cells without entries share an end.
        if end > before
            && let Some([a, b, ..]) = genes.get(end - 1..)
        {
            between += u32::from(b.place() <= a.place());
        }
        before = end;
    }
    // Behind the last end nothing is counted: `genes` ends there.
    falls == between
}

/// Puts the entries in the order of genes, each as `made` of cell and value. Gives where each gene begins, `[genes + 1]`.
fn place<G: Gene, V: Copy, T: Copy + Default>(
    genes: &[G],
    values: &[V],
    ends: &[u32],
    n_genes: usize,
    rooms: &mut Vec<T>,
    (ordered, starts): (&mut Vec<T>, &mut Vec<u32>),
    made: impl Fn(u8, V) -> T + Copy,
) -> Option<()> {
    starts.clear();
    if rise(genes, ends) {
        rooms.resize(GENES_TOGETHER * ROOM, T::default());
        place_some_by_some(genes, values, ends, n_genes, rooms, (ordered, starts), made)?;
    } else {
        place_at_once(genes, values, ends, n_genes, (ordered, starts), made)?;
    }
    (starts.len() == n_genes + 1 && starts.last() == Some(&(genes.len() as u32))).then_some(())
}

/// Some hundred genes at a time, each into a room of its own, so that what is written to stays in the nearest cache and
/// nothing is counted before; the genes of each cell rise.
#[inline(always)]
fn place_some_by_some<G: Gene, V: Copy, T: Copy + Default>(
    genes: &[G],
    values: &[V],
    ends: &[u32],
    n_genes: usize,
    rooms: &mut [T],
    (ordered, starts): (&mut Vec<T>, &mut Vec<u32>),
    made: impl Fn(u8, V) -> T,
) -> Option<()> {
    ordered.clear();
    ordered.reserve(genes.len());
    let rooms = rooms.as_chunks_mut::<ROOM>().0.first_chunk_mut::<GENES_TOGETHER>()?;
    let mut cells: Vec<std::ops::Range<usize>> = spans(ends).collect();
    for first in (0..n_genes).step_by(GENES_TOGETHER) {
        let mut filled = [0u16; GENES_TOGETHER];
        for (cell, left) in (0..=u8::MAX).zip(&mut cells) {
            let mut placed = 0;
            for (gene, value) in genes.get(left.clone())?.iter().zip(values.get(left.clone())?) {
                // Genes that rise are none of those before.
                let gene = gene.place().wrapping_sub(first);
                let Some(n) = filled.get_mut(gene) else { break };
                // There are no more cells than that.
                rooms[gene][usize::from(*n) % BLOCK_CELLS] = made(cell, *value);
                *n += 1;
                placed += 1;
            }
            left.start += placed;
        }
        for (n, room) in filled.iter().zip(rooms.iter()).take(n_genes - first) {
            starts.push(ordered.len() as u32);
            ordered.extend_from_slice(room.get(..usize::from(*n))?);
        }
    }
    starts.push(ordered.len() as u32);
    Some(())
}

fn place_at_once<G: Gene, V: Copy, T: Copy + Default>(
    genes: &[G],
    values: &[V],
    ends: &[u32],
    n_genes: usize,
    (ordered, starts): (&mut Vec<T>, &mut Vec<u32>),
    made: impl Fn(u8, V) -> T,
) -> Option<()> {
    // Every place is written to, so that what stands there does not matter.
    ordered.resize(genes.len(), T::default());
    let mut next = vec![0u32; n_genes];
    for gene in genes {
        *next.get_mut(gene.place())? += 1;
    }
    let mut total = 0;
    for count in &mut next {
        starts.push(total);
        total += std::mem::replace(count, total);
    }
    starts.push(total);
    for (cell, span) in (0..=u8::MAX).zip(spans(ends)) {
        for (gene, value) in genes.get(span.clone())?.iter().zip(values.get(span)?) {
            let at = next.get_mut(gene.place())?;
            *ordered.get_mut(*at as usize)? = made(cell, *value);
            *at += 1;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_whole_numbers_become_a_byte() {
        for value in 0..=254u8 {
            assert_eq!(small(f32::from(value)), value);
        }
        for value in
            [255.0, 256.0, 1e9, -1.0, -254.0, 0.5, 253.999, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE]
        {
            assert_eq!(small(value), OTHER, "{value}");
        }
    }

    fn sums_of(floats: &[f32], ends: &[u32]) -> (Vec<f64>, bool) {
        let mut waiting = Waiting::new(3);
        waiting.add_places(&vec![1; floats.len()]).unwrap();
        waiting.add_floats(floats);
        let (mut block, mut sums) = (Block::default(), Vec::new());
        waiting.order(ends, &mut block, &mut sums).unwrap();
        (sums, block.is_full)
    }

    #[test]
    fn sums_leave_out_what_is_not_finite() {
        let mut floats = vec![1.0; 64];
        (floats[1], floats[3], floats[5]) = (300.0, f32::INFINITY, f32::NAN);
        assert_eq!(sums_of(&floats, &[2, 2, 8, 64]), (vec![301.0, 0.0, 4.0, 56.0], false));
        // So many others that all is kept in full.
        assert_eq!(sums_of(&floats, &[2, 2, 8]), (vec![301.0, 0.0, 4.0], true));
    }

    #[test]
    fn genes_are_known_to_rise_within_each_cell() {
        let rising = |genes: &[u16], ends: &[u32]| rise(genes, ends);
        assert!(rising(&[1, 2, 0, 3, 5, 5], &[2, 2, 5, 6]));
        assert!(!rising(&[1, 2, 0, 5, 3, 3], &[2, 2, 5, 6]));
        assert!(!rising(&[1, 2, 0, 5, 5, 3], &[2, 2, 5, 6]), "a gene comes twice");
        assert!(!rising(&[2, 1, 3], &[3]));
        assert!(rising(&[], &[0, 0]) && rising(&[7], &[1]) && rising(&[], &[]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut waiting = Waiting::new(3);
        assert!(waiting.add_places(&[0, 3]).is_none(), "a gene beyond the last");
        waiting.clear();
        assert!(waiting.add_genes(&(-1i32).to_le_bytes(), Number::I32).is_none());
        waiting.clear();
        waiting.add_places(&[0, 1, 2]).unwrap();
        waiting.add_floats(&[1.0, 2.0]);
        let mut order = |ends: &[u32]| waiting.order(ends, &mut Block::default(), &mut Vec::new());
        assert!(order(&[3]).is_none(), "a value that is not there yet");
        assert!(order(&[2, 1]).is_none(), "ends that fall");
        assert!(order(&[0; BLOCK_CELLS + 1]).is_none());
        assert!(order(&[2]).is_some());
        assert_eq!(waiting.len(), (1, 0));
        assert!(Waiting::new(70_000).add_places(&[69_999]).is_some());
        assert!(Waiting::new(65_536).add_places(&[65_536]).is_none());
    }
}
