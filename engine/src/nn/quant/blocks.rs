//! Numbers in blocks: to and from float32.

use std::fmt;

use cpu::Tiles;
use half::f16;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::{Error, Result};

/// Numbers in a block.
pub const BLOCK: usize = 32;

/// Bits a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Bits {
    /// 4 bits: −8 to 7 scales.
    Four,
    /// 8 bits: −127 to 127 scales.
    Eight,
}

impl Bits {
    /// Bytes that the numbers of a block take.
    pub fn bytes_per_block(self) -> usize {
        match self {
            Self::Four => BLOCK / 2,
            Self::Eight => BLOCK,
        }
    }
}

impl From<Bits> for u8 {
    fn from(bits: Bits) -> Self {
        match bits {
            Bits::Four => 4,
            Bits::Eight => 8,
        }
    }
}

impl TryFrom<u8> for Bits {
    type Error = String;

    fn try_from(bits: u8) -> std::result::Result<Self, String> {
        match bits {
            4 => Ok(Self::Four),
            8 => Ok(Self::Eight),
            other => Err(format!("{other} bits a number; 4 or 8 are possible")),
        }
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bits", u8::from(*self))
    }
}

/// A matrix `[rows, columns]` in blocks along its rows; the last block of a row is filled up with zeros.
#[derive(Clone, PartialEq)]
pub struct Blocks {
    rows: usize,
    columns: usize,
    bits: Bits,
    /// The blocks' numbers, row by row. Of 4 bits, a byte's low half is a number of the block's first half, and its high
    /// half the number 16 further on; 8 stands for zero.
    numbers: Vec<u8>,
    /// One scale a block, float16 as it is stored.
    scales: Vec<u16>,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blocks([{}, {}], {})", self.rows, self.columns, self.bits)
    }
}

impl Blocks {
    /// Blocks of `values`, `[rows, columns]` row by row; values that are missing count as zero.
    pub fn quantise(values: &[f32], rows: usize, columns: usize, bits: Bits) -> Self {
        let per_row = columns.div_ceil(BLOCK);
        let mut numbers = vec![0; rows * per_row * bits.bytes_per_block()];
        let mut scales = vec![0; rows * per_row];
        numbers
            .par_chunks_exact_mut((per_row * bits.bytes_per_block()).max(1))
            .zip(scales.par_chunks_exact_mut(per_row.max(1)))
            .zip(values.par_chunks(columns.max(1)))
            .for_each(|((numbers, scales), row)| {
                let blocks = numbers.chunks_exact_mut(bits.bytes_per_block());
                for ((numbers, scale), values) in blocks.zip(scales).zip(row.chunks(BLOCK)) {
                    let mut padded = [0f32; BLOCK];
                    for (to, from) in padded.iter_mut().zip(values) {
                        *to = *from;
                    }
                    *scale = match bits {
                        Bits::Four => four_bits(&padded, numbers),
                        Bits::Eight => eight_bits(&padded, numbers),
                    };
                }
            });
        Self { rows, columns, bits, numbers, scales }
    }

    /// A matrix from parts as they are stored; `None` where their lengths do not fit.
    pub fn from_parts(
        rows: usize,
        columns: usize,
        bits: Bits,
        numbers: Vec<u8>,
        scales: Vec<u16>,
    ) -> Option<Self> {
        let blocks = rows.checked_mul(columns.div_ceil(BLOCK))?;
        let fits = scales.len() == blocks && numbers.len() == blocks.checked_mul(bits.bytes_per_block())?;
        fits.then_some(Self { rows, columns, bits, numbers, scales })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bits a number.
    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.numbers.len() + 2 * self.scales.len()
    }

    /// The numbers as they are stored.
    pub fn numbers(&self) -> &[u8] {
        &self.numbers
    }

    /// The scales as they are stored: the bits of one float16 a block.
    pub fn scales(&self) -> &[u16] {
        &self.scales
    }

    /// The same numbers in the order in which the CPU multiplies with them.
    ///
    /// # Errors
    /// [`Error::Model`] where the parts do not fit each other, which none of the ways to blocks allows.
    pub fn tiles(&self) -> Result<Tiles> {
        let bits = usize::from(u8::from(self.bits));
        Tiles::new(self.rows, self.columns, bits, &self.numbers, &self.scales).ok_or_else(|| {
            Error::model(Problem::new(
                "weights in blocks",
                format!("{} bytes, {} scales", self.numbers.len(), self.scales.len()),
                format!("those of {} × {}", self.rows, self.columns),
                "Report this as a bug.",
            ))
        })
    }

    /// Blocks in a row.
    fn per_row(&self) -> usize {
        self.columns.div_ceil(BLOCK)
    }

    /// Numbers and scales of row `row`; nothing of a row that is not there.
    fn row(&self, row: usize) -> (&[u8], &[u16]) {
        let (per_row, width) = (self.per_row(), self.bits.bytes_per_block());
        let part = |from: usize, n: usize| from..from + n;
        (
            self.numbers.get(part(row * per_row * width, per_row * width)).unwrap_or_default(),
            self.scales.get(part(row * per_row, per_row)).unwrap_or_default(),
        )
    }

    /// Writes row `row` as float32 into `out`.
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        let (numbers, scales) = self.row(row);
        let blocks = numbers.chunks_exact(self.bits.bytes_per_block());
        for ((numbers, scale), out) in blocks.zip(scales).zip(out.chunks_mut(BLOCK)) {
            let scale = f16::from_bits(*scale).to_f32();
            match self.bits {
                Bits::Eight => {
                    for (out, number) in out.iter_mut().zip(numbers) {
                        *out = scale * f32::from(*number as i8);
                    }
                }
                Bits::Four => {
                    let halves = numbers.iter().map(|n| n & 0x0f).chain(numbers.iter().map(|n| n >> 4));
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

/// Scale as float16, and what to multiply with before rounding: numbers are rounded to the scale that is stored.
fn scale_of(scale: f32) -> (u16, f32) {
    let stored = f16::from_f32(scale.clamp(-65504.0, 65504.0));
    let back = stored.to_f32();
    (stored.to_bits(), if back == 0.0 { 0.0 } else { 1.0 / back })
}

fn eight_bits(values: &[f32; BLOCK], numbers: &mut [u8]) -> u16 {
    let top = values.iter().fold(0f32, |top, v| top.max(v.abs()));
    let (scale, inverse) = scale_of(top / 127.0);
    for (number, value) in numbers.iter_mut().zip(values) {
        *number = (value * inverse).round().clamp(-127.0, 127.0) as i8 as u8;
    }
    scale
}

fn four_bits(values: &[f32; BLOCK], numbers: &mut [u8]) -> u16 {
    // The value furthest from zero becomes −8, which has no counterpart above.
    let top = values.iter().fold(0f32, |top, &v| if v.abs() > top.abs() { v } else { top });
    let (scale, inverse) = scale_of(top / -8.0);
    let code = |value: f32| (value * inverse + 8.0).round().clamp(0.0, 15.0) as u8;
    let (low, high) = values.split_at(BLOCK / 2);
    for ((number, low), high) in numbers.iter_mut().zip(low).zip(high) {
        *number = code(*low) | code(*high) << 4;
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn draw(n: usize) -> Vec<f32> {
        let mut rng = StdRng::seed_from_u64(5);
        (0..n).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
    }

    #[test]
    fn what_is_read_back_differs_by_half_a_step_at_most() {
        for (rows, columns) in [(3, 64), (2, 112), (1, 31), (4, 33), (5, 1)] {
            let values = draw(rows * columns);
            for (bits, steps) in [(Bits::Eight, 127.0), (Bits::Four, 8.0)] {
                let blocks = Blocks::quantise(&values, rows, columns, bits);
                let back = blocks.values();
                assert_eq!(back.len(), values.len());
                for (a, b) in values.iter().zip(&back) {
                    // Seven of eight steps lie on one side of zero at 4 bits: the other end may be a step off.
                    let allowed = if bits == Bits::Four { 1.0 } else { 0.51 };
                    assert!((a - b).abs() <= allowed / steps, "{bits}: {a} became {b}");
                }
            }
        }
    }

    #[test]
    fn a_row_of_zeros_and_one_of_whole_steps_come_back_exactly() {
        let mut values = vec![0f32; 32];
        values.extend((0..32).map(|i| (i as f32 - 16.0) / 2.0));
        let back = Blocks::quantise(&values, 2, 32, Bits::Four).values();
        assert_eq!(back[..32], [0f32; 32]);
        assert_eq!(back[32], -8.0);
        let values: Vec<f32> = (0..64).map(|i| (i as f32 - 31.0) * 127.0 / 32.0).collect();
        let blocks = Blocks::quantise(&values, 1, 64, Bits::Eight);
        assert_eq!(blocks.values()[63], 127.0);
        assert_eq!(blocks.bytes(), 64 + 4);
    }

    #[test]
    fn products_by_the_cpu_agree_with_float64_over_the_numbers_as_stored() {
        for (rows, columns, n) in [(1, 1, 1), (33, 33, 2), (130, 64, 31), (97, 130, 70), (300, 512, 1)] {
            let (weights, values) = (draw(rows * columns), draw(n * columns));
            for bits in [Bits::Four, Bits::Eight] {
                let blocks = Blocks::quantise(&weights, rows, columns, bits);
                let (stored, tiles) = (blocks.values(), blocks.tiles().unwrap());
                assert_eq!(tiles.values(), stored);
                let got = cpu::product(&tiles, &cpu::Vectors::new(&values, columns), None);
                assert_eq!(got.len(), n * rows);
                for (i, x) in values.chunks(columns).enumerate() {
                    for (j, w) in stored.chunks(columns).enumerate() {
                        let exact: f64 = w.iter().zip(x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        let (got, size) = (f64::from(got[i * rows + j]), (columns as f64).sqrt());
                        assert!((got - exact).abs() < 5e-5 * size, "{rows}×{columns}, {bits}: {got} {exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let blocks = Blocks::quantise(&draw(96), 2, 48, Bits::Four);
        let again = |n: usize| {
            Blocks::from_parts(2, 48, Bits::Four, blocks.numbers()[..n].to_vec(), blocks.scales().to_vec())
        };
        assert_eq!(again(64), Some(blocks.clone()));
        assert_eq!(again(63), None);
        assert_eq!(Blocks::from_parts(usize::MAX, 64, Bits::Eight, vec![], vec![]), None);
    }
}
