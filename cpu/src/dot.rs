//! The inner loops of products with blocks: tiles of a matrix times vectors of 16-bit numbers.

use std::ops::Range;

use crate::level::{Portable, Work};
use crate::tiles::{BLOCK, Bits, HEIGHT, Line, Tiles};
use crate::vectors::{GROUP, Group, Vectors};

/// Bytes that hold two columns of a tile at 8 bits, and four at 4.
type Step = [u8; 2 * HEIGHT];

/// Tiles that all vectors pass over before the next ones: they stay in the second cache meanwhile.
const BAND: usize = 2;

/// Some tiles of a matrix times some vectors, and where the products go.
pub(crate) struct Task<'a> {
    pub(crate) matrix: &'a Tiles,
    pub(crate) tiles: Range<usize>,
    pub(crate) vectors: &'a Vectors,
    /// Beginning and ending with a group, or with the last vector.
    pub(crate) of_vectors: Range<usize>,
    /// Added to each product, one number a row of the matrix.
    pub(crate) bias: Option<&'a [f32]>,
    /// Products of the first vector with all rows of these tiles, then of the next.
    pub(crate) out: &'a mut [f32],
}

/// What a processor does with numbers of 16 rows at once.
pub(crate) trait Kernel: Copy {
    /// Two columns of 16 rows, 16 bits a number.
    type Words: Copy;
    /// One whole number a row.
    type Ints: Copy;
    /// One float32 a row.
    type Floats: Copy;
    /// Vectors whose sums fit the registers.
    const MOST: usize;

    /// Numbers of 8 bits.
    fn signed(self, step: &Step) -> Self::Words;
    /// Bytes.
    fn bytes(self, step: &Step) -> Self::Words;
    /// The low halves of bytes.
    fn low(self, bytes: Self::Words) -> Self::Words;
    /// The high halves of bytes.
    fn high(self, bytes: Self::Words) -> Self::Words;
    /// The same number for every row.
    fn ints(self, value: i32) -> Self::Ints;
    /// `sums` and the products of two columns with two numbers.
    fn add_products(self, sums: Self::Ints, words: Self::Words, pair: i32) -> Self::Ints;
    /// The sums.
    fn add(self, a: Self::Ints, b: Self::Ints) -> Self::Ints;
    /// Nothing.
    fn zero(self) -> Self::Floats;
    /// float16 that are numbers.
    fn scales(self, bits: &[u16; HEIGHT]) -> Self::Floats;
    /// `sums + ints × scales × scale`.
    fn add_scaled(
        self,
        sums: Self::Floats,
        ints: Self::Ints,
        scales: Self::Floats,
        scale: f32,
    ) -> Self::Floats;
    /// The rows' numbers.
    fn rows(self, floats: Self::Floats) -> [f32; HEIGHT];
}

impl<K: Kernel> Work<K> for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn on(mut self, kernel: K) {
        for first in self.tiles.clone().step_by(BAND) {
            let band = first..(first + BAND).min(self.tiles.end);
            let size = self.vectors.group();
            let (mut at, end) = (self.of_vectors.start / size, self.of_vectors.end.div_ceil(size));
            if size == 1 {
                while at < end {
                    self.band::<K, 1, 1, 4>(kernel, band.clone(), at);
                    at += 1;
                }
                continue;
            }
            if K::MOST >= 3 * GROUP {
                while at + 3 <= end {
                    self.band::<K, 3, GROUP, 1>(kernel, band.clone(), at);
                    at += 3;
                }
            }
            while at < end {
                self.band::<K, 1, GROUP, 1>(kernel, band.clone(), at);
                at += 1;
            }
        }
    }
}

impl Task<'_> {
    /// `G` groups of `V` vectors from group `at` on, each vector with `S` sums for every row: as many chains of additions
    /// as the processor can have under way.
    #[inline(always)]
    fn band<K: Kernel, const G: usize, const V: usize, const S: usize>(
        &mut self,
        kernel: K,
        tiles: Range<usize>,
        at: usize,
    ) {
        let groups: [Group<'_, V>; G] = std::array::from_fn(|g| self.vectors.of_group(at + g));
        let (first, end) = (self.tiles.start * HEIGHT, (self.tiles.end * HEIGHT).min(self.matrix.rows()));
        for tile in tiles {
            let (numbers, scales) = self.matrix.tile(tile);
            let sums = match self.matrix.width() {
                Bits::Four => four::<K, G, V, S>(kernel, numbers, scales, groups),
                Bits::Eight => eight::<K, G, V, S>(kernel, numbers, scales, groups),
            };
            let rows = tile * HEIGHT..((tile + 1) * HEIGHT).min(end);
            for (k, sums) in sums.into_iter().flatten().enumerate() {
                let vector = at * V + k;
                if vector >= self.of_vectors.end {
                    break;
                }
                let mut sums = kernel.rows(sums);
                if let Some(bias) = self.bias {
                    for (sum, bias) in sums.iter_mut().zip(&bias[rows.clone()]) {
                        *sum += bias;
                    }
                }
                let from = (vector - self.of_vectors.start) * (end - first) + rows.start - first;
                self.out[from..from + rows.len()].copy_from_slice(&sums[..rows.len()]);
            }
        }
    }
}

/// Groups cut to `blocks`, so that no access within the loops needs a check.
#[inline(always)]
fn cut<const G: usize, const V: usize>(groups: &mut [Group<'_, V>; G], blocks: usize) {
    for group in groups {
        group.numbers = &group.numbers[..blocks];
        group.scales = &group.scales[..blocks];
        group.shifts = &group.shifts[..blocks];
    }
}

// Plain loops: adaptors take closures, which might not be inlined where the instructions are allowed.
#[inline(always)]
fn four<K: Kernel, const G: usize, const V: usize, const S: usize>(
    kernel: K,
    numbers: &[Line],
    scales: &[[u16; HEIGHT]],
    mut groups: [Group<'_, V>; G],
) -> [[K::Floats; V]; G] {
    let numbers: &[[Step; BLOCK / 4]] = bytemuck::cast_slice(numbers);
    let blocks = numbers.len();
    let scales = &scales[..blocks];
    cut(&mut groups, blocks);
    let mut sums = [[kernel.zero(); V]; G];
    for b in 0..blocks {
        let mut ints = [[[kernel.ints(0); S]; V]; G];
        for (ints, group) in ints.iter_mut().zip(&groups) {
            for (ints, shift) in ints.iter_mut().zip(&group.shifts[b]) {
                ints[0] = kernel.ints(*shift);
            }
        }
        for i in 0..4 {
            for h in 0..2 {
                let step = 2 * i + h;
                let bytes = kernel.bytes(&numbers[b][step]);
                let (low, high) = (kernel.low(bytes), kernel.high(bytes));
                let (first, second) = ((2 * h) % S, (2 * h + 1) % S);
                for g in 0..G {
                    for v in 0..V {
                        let (pairs, ints) = (&groups[g].numbers[b][v], &mut ints[g][v]);
                        ints[first] = kernel.add_products(ints[first], low, pairs[step]);
                        ints[second] = kernel.add_products(ints[second], high, pairs[step + 8]);
                    }
                }
            }
        }
        finish(kernel, &mut sums, &ints, &scales[b], &groups, b);
    }
    sums
}

#[inline(always)]
fn eight<K: Kernel, const G: usize, const V: usize, const S: usize>(
    kernel: K,
    numbers: &[Line],
    scales: &[[u16; HEIGHT]],
    mut groups: [Group<'_, V>; G],
) -> [[K::Floats; V]; G] {
    let numbers: &[[Step; BLOCK / 2]] = bytemuck::cast_slice(numbers);
    let blocks = numbers.len();
    let scales = &scales[..blocks];
    cut(&mut groups, blocks);
    let mut sums = [[kernel.zero(); V]; G];
    for b in 0..blocks {
        let mut ints = [[[kernel.ints(0); S]; V]; G];
        for i in 0..4 {
            for h in 0..4 {
                let step = 4 * i + h;
                let words = kernel.signed(&numbers[b][step]);
                for g in 0..G {
                    for v in 0..V {
                        let (pairs, ints) = (&groups[g].numbers[b][v], &mut ints[g][v]);
                        ints[h % S] = kernel.add_products(ints[h % S], words, pairs[step]);
                    }
                }
            }
        }
        finish(kernel, &mut sums, &ints, &scales[b], &groups, b);
    }
    sums
}

/// Adds what block `b` gives to the sums.
#[inline(always)]
fn finish<K: Kernel, const G: usize, const V: usize, const S: usize>(
    kernel: K,
    sums: &mut [[K::Floats; V]; G],
    ints: &[[[K::Ints; S]; V]; G],
    scales: &[u16; HEIGHT],
    groups: &[Group<'_, V>; G],
    b: usize,
) {
    let scales = kernel.scales(scales);
    for g in 0..G {
        for v in 0..V {
            let mut all = ints[g][v][0];
            for more in &ints[g][v][1..] {
                all = kernel.add(all, *more);
            }
            sums[g][v] = kernel.add_scaled(sums[g][v], all, scales, groups[g].scales[b][v]);
        }
    }
}

impl Kernel for Portable {
    type Words = [i16; 2 * HEIGHT];
    type Ints = [i32; HEIGHT];
    type Floats = [f32; HEIGHT];
    const MOST: usize = 4;

    #[inline(always)]
    fn signed(self, step: &Step) -> Self::Words {
        step.map(|n| i16::from(n as i8))
    }

    #[inline(always)]
    fn bytes(self, step: &Step) -> Self::Words {
        step.map(i16::from)
    }

    #[inline(always)]
    fn low(self, bytes: Self::Words) -> Self::Words {
        bytes.map(|n| n & 0x0f)
    }

    #[inline(always)]
    fn high(self, bytes: Self::Words) -> Self::Words {
        bytes.map(|n| n >> 4)
    }

    #[inline(always)]
    fn ints(self, value: i32) -> Self::Ints {
        [value; HEIGHT]
    }

    #[inline(always)]
    fn add_products(self, mut sums: Self::Ints, words: Self::Words, pair: i32) -> Self::Ints {
        let [a, b]: [i16; 2] = bytemuck::cast(pair);
        for (row, sum) in sums.iter_mut().enumerate() {
            *sum += i32::from(words[2 * row]) * i32::from(a) + i32::from(words[2 * row + 1]) * i32::from(b);
        }
        sums
    }

    #[inline(always)]
    fn add(self, a: Self::Ints, b: Self::Ints) -> Self::Ints {
        std::array::from_fn(|row| a[row] + b[row])
    }

    #[inline(always)]
    fn zero(self) -> Self::Floats {
        [0.0; HEIGHT]
    }

    #[inline(always)]
    fn scales(self, bits: &[u16; HEIGHT]) -> Self::Floats {
        bits.map(crate::tiles::half_to_f32)
    }

    #[inline(always)]
    fn add_scaled(
        self,
        mut sums: Self::Floats,
        ints: Self::Ints,
        scales: Self::Floats,
        scale: f32,
    ) -> Self::Floats {
        for row in 0..HEIGHT {
            sums[row] += ints[row] as f32 * (scales[row] * scale);
        }
        sums
    }

    #[inline(always)]
    fn rows(self, floats: Self::Floats) -> [f32; HEIGHT] {
        floats
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;
