//! Matrices in blocks of 8 or 4 bits, laid out for the processor.
//!
//! A block is 32 neighbouring numbers of a row with one scale. 16 rows form a tile, in which their blocks stand side by
//! side: two numbers of the first row, two of the second, and so on, then the next two of each. A register then holds
//! two columns of all 16 rows, meets two numbers of a vector, and the sums of the rows stay apart in its lanes.

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

/// Numbers in a block.
pub const BLOCK: usize = 32;
/// Rows of a tile.
pub(crate) const HEIGHT: usize = 16;
/// Numbers of a row that stand together.
const PAIR: usize = 2;

/// What is read at once, where it begins with a line of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 64]);

/// Bits a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bits {
    Four,
    Eight,
}

impl Bits {
    /// Bytes of a block of one row.
    fn bytes(self) -> usize {
        match self {
            Self::Four => BLOCK / 2,
            Self::Eight => BLOCK,
        }
    }

    /// Lines of a block of all rows of a tile.
    pub(crate) fn lines(self) -> usize {
        self.bytes() * HEIGHT / size_of::<Line>()
    }
}

/// A matrix `[rows, columns]` in blocks along its rows, in tiles.
#[derive(Clone, PartialEq)]
pub struct Tiles {
    rows: usize,
    columns: usize,
    bits: Bits,
    /// The numbers, tile by tile and in it block by block. Of 4 bits, a byte's low half is a number of the block's first
    /// half, and its high half the number 16 further on; 8 stands for zero.
    numbers: Vec<Line>,
    /// The scales of a tile's rows, tile by tile and in it block by block, as the bits of float16.
    scales: Vec<[u16; HEIGHT]>,
}

impl std::fmt::Debug for Tiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tiles([{}, {}], {:?})", self.rows, self.columns, self.bits)
    }
}

impl Tiles {
    /// Tiles of a matrix whose blocks stand row by row: `numbers` of `bits` (8: −127 to 127; 4: two to a byte, the low half
    /// of byte `i` being number `i` of the block and the high half number `i + 16`, 8 standing for zero), and the bits of one
    /// float16 a block in `scales`. The last block of a row is filled up. `None` where the lengths do not fit or `bits` is
    /// neither 8 nor 4.
    pub fn new(rows: usize, columns: usize, bits: usize, numbers: &[u8], scales: &[u16]) -> Option<Self> {
        let bits = match bits {
            4 => Bits::Four,
            8 => Bits::Eight,
            _ => return None,
        };
        let (per_row, width) = (columns.div_ceil(BLOCK), bits.bytes());
        let blocks = rows.checked_mul(per_row)?;
        if scales.len() != blocks || numbers.len() != blocks.checked_mul(width)? {
            return None;
        }
        let tiles = rows.div_ceil(HEIGHT);
        let mut of_tiles = vec![Line::zeroed(); tiles * per_row * bits.lines()];
        let mut scales_of_tiles = vec![[0; HEIGHT]; tiles * per_row];
        of_tiles
            .par_chunks_exact_mut((per_row * bits.lines()).max(1))
            .zip(scales_of_tiles.par_chunks_exact_mut(per_row.max(1)))
            .enumerate()
            .for_each(|(tile, (lines, tile_scales))| {
                for row in 0..HEIGHT.min(rows - tile * HEIGHT) {
                    let at = (tile * HEIGHT + row) * per_row;
                    let blocks = numbers[at * width..].chunks_exact(width).zip(&scales[at..]);
                    let places = lines.chunks_exact_mut(bits.lines()).zip(&mut *tile_scales);
                    for ((numbers, scale), (lines, scales)) in blocks.zip(places) {
                        scales[row] = *scale;
                        let bytes: &mut [u8] = bytemuck::cast_slice_mut(lines);
                        for (pair, step) in
                            numbers.chunks_exact(PAIR).zip(bytes.chunks_exact_mut(PAIR * HEIGHT))
                        {
                            step[row * PAIR..][..PAIR].copy_from_slice(pair);
                        }
                    }
                }
            });
        Some(Self { rows, columns, bits, numbers: of_tiles, scales: scales_of_tiles })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bits a number: 8 or 4.
    pub fn bits(&self) -> usize {
        match self.bits {
            Bits::Four => 4,
            Bits::Eight => 8,
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.numbers.as_slice()) + size_of_val(self.scales.as_slice())
    }

    pub(crate) fn width(&self) -> Bits {
        self.bits
    }

    /// Blocks in a row.
    pub(crate) fn per_row(&self) -> usize {
        self.columns.div_ceil(BLOCK)
    }

    /// Tiles.
    pub(crate) fn tiles(&self) -> usize {
        self.rows.div_ceil(HEIGHT)
    }

    /// Numbers and scales of tile `tile`; nothing of one that is not there.
    pub(crate) fn tile(&self, tile: usize) -> (&[Line], &[[u16; HEIGHT]]) {
        let (per_row, lines) = (self.per_row(), self.per_row() * self.bits.lines());
        (
            self.numbers.get(tile * lines..(tile + 1) * lines).unwrap_or_default(),
            self.scales.get(tile * per_row..(tile + 1) * per_row).unwrap_or_default(),
        )
    }

    /// Writes row `row` as float32 into `out`; nothing of a row that is not there.
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        let (lines, scales) = self.tile(row / HEIGHT);
        let row = row % HEIGHT;
        let blocks = lines.chunks_exact(self.bits.lines()).zip(scales);
        for ((lines, scales), out) in blocks.zip(out.chunks_mut(BLOCK)) {
            let scale = half_to_f32(scales[row]);
            let bytes: &[u8] = bytemuck::cast_slice(lines);
            let own = bytes.chunks_exact(PAIR * HEIGHT).flat_map(|step| &step[row * PAIR..][..PAIR]);
            match self.bits {
                Bits::Eight => {
                    for (out, number) in out.iter_mut().zip(own) {
                        *out = scale * f32::from(*number as i8);
                    }
                }
                Bits::Four => {
                    let halves = own.clone().map(|n| n & 0x0f).chain(own.map(|n| n >> 4));
                    for (out, number) in out.iter_mut().zip(halves) {
                        *out = scale * (f32::from(number) - 8.0);
                    }
                }
            }
        }
    }

    /// All of it as float32, row by row.
    pub fn values(&self) -> Vec<f32> {
        let mut out = vec![0f32; self.rows * self.columns];
        out.par_chunks_exact_mut(self.columns.max(1))
            .enumerate()
            .for_each(|(row, out)| self.read_row(row, out));
        out
    }
}

/// A float16 that is a number, as float32: shifting its bits into place leaves an exponent that is 112 too small.
#[inline(always)]
pub(crate) fn half_to_f32(bits: u16) -> f32 {
    let (sign, rest) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff) << 13);
    f32::from_bits(sign | rest) * f32::from_bits((127 + 112) << 23)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Blocks row by row of made-up numbers, and the float32 that they stand for.
    pub(crate) fn made_up(rows: usize, columns: usize, bits: usize) -> (Tiles, Vec<f32>) {
        let per_row = columns.div_ceil(BLOCK);
        let width = BLOCK * bits / 8;
        let mut state = 12345u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let mut numbers: Vec<u8> = (0..rows * per_row * width).map(|_| next() as u8).collect();
        if bits == 8 {
            numbers.iter_mut().filter(|n| **n == 128).for_each(|n| *n = 129);
        }
        // From 2^-8 to 2^-5, of both signs.
        let scales: Vec<u16> = (0..rows * per_row)
            .map(|_| ((next() as u16 & 0x8fff) % 0x0c00 + 0x1c00) | (next() as u16 & 0x8000))
            .collect();
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            for column in 0..columns {
                let (block, i) = (row * per_row + column / BLOCK, column % BLOCK);
                let number = if bits == 8 {
                    f32::from(numbers[block * width + i] as i8)
                } else {
                    let byte = numbers[block * width + i % 16];
                    f32::from(if i < 16 { byte & 15 } else { byte >> 4 }) - 8.0
                };
                values.push(number * half_to_f32(scales[block]));
            }
        }
        (Tiles::new(rows, columns, bits, &numbers, &scales).unwrap(), values)
    }

    #[test]
    fn a_matrix_comes_back_out_of_its_tiles() {
        for (rows, columns) in [(1, 1), (3, 64), (16, 32), (17, 33), (50, 100), (0, 5)] {
            for bits in [4, 8] {
                let (tiles, values) = made_up(rows, columns, bits);
                assert_eq!(tiles.values(), values, "{rows} × {columns}, {bits} bits");
                assert_eq!((tiles.rows(), tiles.columns(), tiles.bits()), (rows, columns, bits));
            }
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        assert!(Tiles::new(2, 48, 4, &[0; 64], &[0; 4]).is_some());
        assert!(Tiles::new(2, 48, 4, &[0; 63], &[0; 4]).is_none());
        assert!(Tiles::new(2, 48, 5, &[0; 64], &[0; 4]).is_none());
        assert!(Tiles::new(usize::MAX, 64, 8, &[], &[]).is_none());
    }

    #[test]
    fn scales_are_read_exactly() {
        for (bits, value) in [(0, 0.0), (0x3c00, 1.0), (0xb800, -0.5), (0x7bff, 65504.0), (1, 5.960_464_5e-8)]
        {
            assert_eq!(half_to_f32(bits), value);
        }
    }
}
