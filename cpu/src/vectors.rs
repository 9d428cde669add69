//! Vectors as products with blocks take them: 16 bits a number, with one scale for every 32.
//!
//! What a vector loses so is a hundredth of what weights of 8 bits lost.

use rayon::prelude::*;

use crate::level::{Level, Portable, Work, dispatch};
use crate::tiles::BLOCK;

/// Numbers of a block, two of 16 bits in each of 32.
pub(crate) type Pairs = [i32; BLOCK / 2];

/// Vectors whose blocks stand side by side, where there are that many. Vectors of 2,048 numbers one after the other
/// would push each other out of the first cache, in which numbers 4 KiB apart have one place.
pub(crate) const GROUP: usize = 4;

/// Numbers below which handing work to other cores costs more than it saves.
const SMALL: usize = 1 << 16;

/// Vectors of one length, ready for products.
#[derive(Debug)]
pub struct Vectors {
    n: usize,
    columns: usize,
    /// [`GROUP`], or one. The last group is filled up with zeros.
    group: usize,
    /// Group by group and in it block by block: the block of each vector.
    numbers: Vec<Pairs>,
    /// One a block.
    scales: Vec<f32>,
    /// −8 times the sum of a block's numbers: what numbers of 4 bits, whose zero is 8, are off by.
    shifts: Vec<i32>,
}

/// Groups of `V` vectors each.
#[derive(Clone, Copy)]
pub(crate) struct Group<'a, const V: usize> {
    pub(crate) numbers: &'a [[Pairs; V]],
    pub(crate) scales: &'a [[f32; V]],
    pub(crate) shifts: &'a [[i32; V]],
}

impl Vectors {
    /// From `values`, `[n, columns]` row by row. A block that holds what is no number gives products that are none.
    pub fn new(values: &[f32], columns: usize) -> Self {
        Self::by(Level::best(), values, columns)
    }

    fn by(level: Level, values: &[f32], columns: usize) -> Self {
        let n = values.len().checked_div(columns).unwrap_or(0);
        let per_row = columns.div_ceil(BLOCK);
        let group = if n >= GROUP { GROUP } else { 1 };
        let blocks = n.next_multiple_of(group) * per_row;
        let mut made = Self {
            n,
            columns,
            group,
            numbers: vec![[0; BLOCK / 2]; blocks],
            scales: vec![0.0; blocks],
            shifts: vec![0; blocks],
        };
        if blocks == 0 {
            return made;
        }
        // Whole groups to a share.
        let share = if n * columns < SMALL {
            n.next_multiple_of(group)
        } else {
            n.div_ceil(4 * rayon::current_num_threads()).next_multiple_of(group)
        };
        let pack = |(((numbers, scales), shifts), values): (((&mut [_], &mut [_]), &mut [_]), &[f32])| {
            dispatch!(level, Pack { values, columns, group, numbers, scales, shifts });
        };
        if share >= n {
            pack((((&mut made.numbers, &mut made.scales), &mut made.shifts), values));
            return made;
        }
        made.numbers
            .par_chunks_mut(share * per_row)
            .zip(made.scales.par_chunks_mut(share * per_row))
            .zip(made.shifts.par_chunks_mut(share * per_row))
            .zip(values.par_chunks(share * columns))
            .for_each(pack);
        made
    }

    /// Vectors.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Numbers of a vector.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Vectors that stand in one group.
    pub(crate) fn group(&self) -> usize {
        self.group
    }

    /// Group `index`, which must be there and be of `V` vectors.
    #[inline(always)]
    pub(crate) fn of_group<const V: usize>(&self, index: usize) -> Group<'_, V> {
        let per_row = self.columns.div_ceil(BLOCK);
        let range = index * per_row..(index + 1) * per_row;
        Group {
            numbers: &self.numbers.as_chunks().0[range.clone()],
            scales: &self.scales.as_chunks().0[range.clone()],
            shifts: &self.shifts.as_chunks().0[range],
        }
    }
}

/// Some vectors and where they go.
struct Pack<'a> {
    values: &'a [f32],
    columns: usize,
    group: usize,
    numbers: &'a mut [Pairs],
    scales: &'a mut [f32],
    shifts: &'a mut [i32],
}

impl<K: Kernel> Work<K> for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn on(self, kernel: K) {
        let per_row = self.columns.div_ceil(BLOCK);
        for (i, row) in self.values.chunks_exact(self.columns).enumerate() {
            let first = i / self.group * self.group * per_row + i % self.group;
            for (b, block) in row.chunks(BLOCK).enumerate() {
                let padded = match block.as_array() {
                    Some(whole) => *whole,
                    None => {
                        let mut padded = [0f32; BLOCK];
                        padded[..block.len()].copy_from_slice(block);
                        padded
                    }
                };
                let at = first + b * self.group;
                (self.numbers[at], self.scales[at], self.shifts[at]) = kernel.pack(&padded);
            }
        }
    }
}

/// A block in 16 bits a number, its scale, and −8 times the sum of its numbers.
#[inline(always)]
fn pack(block: &[f32; BLOCK]) -> (Pairs, f32, i32) {
    // Added to a number of 16 bits, its last bits become those of the number, rounded to even.
    const ROUND: f32 = 12_582_912.0;
    let top = block.iter().fold(0u32, |top, v| top.max(v.to_bits() & 0x7fff_ffff));
    let (inverse, scale) = scales(top);
    let mut numbers = [0i16; BLOCK];
    let mut sum = 0i32;
    for i in 0..BLOCK {
        let whole = (block[i] * inverse + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
        numbers[i] = whole as i16;
        sum = sum.wrapping_add(whole);
    }
    (bytemuck::cast(numbers), scale, sum.wrapping_mul(-8))
}

/// What a block's numbers are multiplied with, and what gives them back, out of the highest of their bits without the sign:
/// the higher number has the higher bits; infinity is above all of them, and what is no number above that. Whole numbers,
/// since their maximum is found in any order.
#[inline(always)]
fn scales(top: u32) -> (f32, f32) {
    let top = f32::from_bits(top);
    (if top > 0.0 { 32767.0 / top } else { 0.0 }, if top.is_finite() { top / 32767.0 } else { f32::NAN })
}

/// How a processor brings blocks to 16 bits.
trait Kernel: Copy {
    /// A block in 16 bits a number, its scale, and −8 times the sum of its numbers.
    #[inline(always)]
    fn pack(self, block: &[f32; BLOCK]) -> (Pairs, f32, i32) {
        pack(block)
    }
}

impl Kernel for Portable {}

#[cfg(target_arch = "x86_64")]
impl Kernel for pulp::x86::V3 {}

#[cfg(target_arch = "x86_64")]
impl<S: Copy> Kernel for crate::level::Avx512<S> {
    #[inline(always)]
    fn pack(self, block: &[f32; BLOCK]) -> (Pairs, f32, i32) {
        use std::arch::x86_64::__m512;
        let f = self.0.avx512f;
        let [a, b]: [__m512; 2] = bytemuck::cast(*block);
        let unsigned = f._mm512_set1_epi32(0x7fff_ffff);
        let bits_of_a = f._mm512_and_si512(f._mm512_castps_si512(a), unsigned);
        let bits_of_b = f._mm512_and_si512(f._mm512_castps_si512(b), unsigned);
        let (inverse, scale) = scales(f._mm512_reduce_max_epu32(f._mm512_max_epu32(bits_of_a, bits_of_b)));
        let inverse = f._mm512_set1_ps(inverse);
        let a = f._mm512_cvtps_epi32(f._mm512_mul_ps(a, inverse));
        let b = f._mm512_cvtps_epi32(f._mm512_mul_ps(b, inverse));
        let numbers = [f._mm512_cvtepi32_epi16(a), f._mm512_cvtepi32_epi16(b)];
        let sum = f._mm512_reduce_add_epi32(f._mm512_add_epi32(a, b));
        (bytemuck::cast(numbers), scale, sum.wrapping_mul(-8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_kept_to_a_part_in_65_thousand_of_its_blocks_highest_number() {
        let columns = 75;
        for n in [1, 3, 4, 6] {
            let values: Vec<f32> = (0..n * columns).map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0).collect();
            for level in Level::all() {
                let vectors = Vectors::by(level, &values, columns);
                assert_eq!((vectors.len(), vectors.columns()), (n, columns));
                for (i, row) in values.chunks(columns).enumerate() {
                    let first = i / vectors.group * vectors.group * 3 + i % vectors.group;
                    for (b, block) in row.chunks(BLOCK).enumerate() {
                        let at = first + b * vectors.group;
                        let numbers: [i16; BLOCK] = bytemuck::cast(vectors.numbers[at]);
                        let top = block.iter().fold(0f32, |top, v| top.max(v.abs()));
                        for (value, number) in block.iter().zip(numbers) {
                            let back = f32::from(number) * vectors.scales[at];
                            assert!(
                                (value - back).abs() <= top / 65_000.0,
                                "{level:?}: {value} became {back}"
                            );
                        }
                        let sum: i32 = numbers.iter().map(|n| i32::from(*n)).sum();
                        assert_eq!(vectors.shifts[at], -8 * sum);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_does_not_become_one() {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [1f32; 64];
            values[40] = wrong;
            let vectors = Vectors::new(&values, 64);
            assert!(vectors.scales[0].is_finite());
            assert!(!vectors.scales[1].is_finite());
        }
        assert!(Vectors::new(&[], 0).is_empty());
    }
}
