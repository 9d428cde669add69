//! The inner loops: rows of blocks times vectors of 16-bit numbers.

use super::blocks::{BLOCK, Bits, Blocks};

/// The vectors of a product in 16 bits, with one scale for every 32 numbers.
pub(super) struct Vectors {
    per_row: usize,
    numbers: Vec<[i16; BLOCK]>,
    scales: Vec<f32>,
}

impl Vectors {
    /// From `values`, rows of `columns`.
    pub(super) fn new(values: &[f32], columns: usize) -> Self {
        let per_row = columns.div_ceil(BLOCK);
        let n = values.len() / columns.max(1) * per_row;
        let (mut numbers, mut scales) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for row in values.chunks_exact(columns.max(1)) {
            for block in row.chunks(BLOCK) {
                let top = block.iter().fold(0f32, |top, v| top.max(v.abs()));
                let inverse = if top > 0.0 { 32767.0 / top } else { 0.0 };
                let mut out = [0i16; BLOCK];
                for (to, value) in out.iter_mut().zip(block) {
                    *to = (value * inverse).round_ties_even() as i16;
                }
                numbers.push(out);
                scales.push(top / 32767.0);
            }
        }
        Self { per_row, numbers, scales }
    }

    /// Numbers and scales of row `row`.
    fn row(&self, row: usize) -> Vector<'_> {
        let range = row * self.per_row..(row + 1) * self.per_row;
        Vector {
            numbers: self.numbers.get(range.clone()).unwrap_or_default(),
            scales: self.scales.get(range).unwrap_or_default(),
        }
    }
}

#[derive(Clone, Copy)]
struct Vector<'a> {
    numbers: &'a [[i16; BLOCK]],
    scales: &'a [f32],
}

/// Vectors that a row of the matrix meets while it is at hand.
const GROUP: usize = 4;
/// Vectors whose 16-bit numbers stay in the second cache while some rows of the matrix pass over them.
const TILE: usize = 32;

/// Products of the rows of `matrix` from `first` on with all `vectors`: `out` is `[rows, n_vectors]`.
pub(super) fn rows(matrix: &Blocks, first: usize, vectors: &Vectors, n_vectors: usize, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        struct Rows<'a>(pulp::x86::V3, &'a Blocks, usize, &'a Vectors, usize, &'a mut [f32]);
        impl pulp::NullaryFnOnce for Rows<'_> {
            type Output = ();

            #[inline(always)]
            fn call(self) {
                let Self(simd, matrix, first, vectors, n_vectors, out) = self;
                tiles(Avx2(simd), matrix, first, vectors, n_vectors, out);
            }
        }
        simd.vectorize(Rows(simd, matrix, first, vectors, n_vectors, out));
        return;
    }
    tiles(Portable, matrix, first, vectors, n_vectors, out);
}

#[inline(always)]
fn tiles<K: Kernel>(
    kernel: K,
    matrix: &Blocks,
    first: usize,
    vectors: &Vectors,
    n_vectors: usize,
    out: &mut [f32],
) {
    for tile in (0..n_vectors).step_by(TILE) {
        let end = (tile + TILE).min(n_vectors);
        for (i, out) in out.chunks_exact_mut(n_vectors).enumerate() {
            let row = matrix.row(first + i);
            let mut at = tile;
            while at + GROUP <= end {
                let four: [Vector<'_>; GROUP] = std::array::from_fn(|k| vectors.row(at + k));
                let sums = one_row(kernel, matrix.bits(), row, four);
                if let Some(out) = out.get_mut(at..at + GROUP) {
                    out.copy_from_slice(&sums);
                }
                at += GROUP;
            }
            for (at, out) in out.iter_mut().enumerate().take(end).skip(at) {
                let [sum] = one_row(kernel, matrix.bits(), row, [vectors.row(at)]);
                *out = sum;
            }
        }
    }
}

#[inline(always)]
fn one_row<K: Kernel, const N: usize>(
    kernel: K,
    bits: Bits,
    (numbers, scales): (&[u8], &[u16]),
    vectors: [Vector<'_>; N],
) -> [f32; N] {
    match bits {
        Bits::Eight => kernel.eight(numbers.as_chunks().0, scales, vectors),
        Bits::Four => kernel.four(numbers.as_chunks().0, scales, vectors),
    }
}

/// A float16 that is a number, as float32: shifting its bits into place leaves an exponent that is 112 too small.
#[inline(always)]
fn scale(bits: u16) -> f32 {
    let (sign, rest) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff) << 13);
    f32::from_bits(sign | rest) * f32::from_bits((127 + 112) << 23)
}

/// One row's products with `N` vectors.
trait Kernel: Copy {
    fn eight<const N: usize>(
        self,
        numbers: &[[u8; BLOCK]],
        scales: &[u16],
        vectors: [Vector<'_>; N],
    ) -> [f32; N];

    fn four<const N: usize>(
        self,
        numbers: &[[u8; BLOCK / 2]],
        scales: &[u16],
        vectors: [Vector<'_>; N],
    ) -> [f32; N];
}

/// Plain Rust, in loops that compilers turn into vector instructions.
#[derive(Clone, Copy)]
struct Portable;

impl Portable {
    #[inline(always)]
    fn sum<const N: usize>(
        sums: &mut [f32; N],
        weights: &[i16; BLOCK],
        weight_scale: f32,
        block: usize,
        vectors: &[Vector<'_>; N],
    ) {
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            let (Some(numbers), Some(scale)) = (vector.numbers.get(block), vector.scales.get(block)) else {
                continue;
            };
            let product: i32 = weights.iter().zip(numbers).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
            *sum += product as f32 * (weight_scale * scale);
        }
    }
}

impl Kernel for Portable {
    #[inline(always)]
    fn eight<const N: usize>(
        self,
        numbers: &[[u8; BLOCK]],
        scales: &[u16],
        vectors: [Vector<'_>; N],
    ) -> [f32; N] {
        let mut sums = [0f32; N];
        for (block, (numbers, bits)) in numbers.iter().zip(scales).enumerate() {
            let weights = numbers.map(|n| i16::from(n as i8));
            Self::sum(&mut sums, &weights, scale(*bits), block, &vectors);
        }
        sums
    }

    #[inline(always)]
    fn four<const N: usize>(
        self,
        numbers: &[[u8; BLOCK / 2]],
        scales: &[u16],
        vectors: [Vector<'_>; N],
    ) -> [f32; N] {
        let mut sums = [0f32; N];
        for (block, (numbers, bits)) in numbers.iter().zip(scales).enumerate() {
            let mut weights = [0i16; BLOCK];
            let (low, high) = weights.split_at_mut(BLOCK / 2);
            for ((low, high), n) in low.iter_mut().zip(high).zip(numbers) {
                *low = i16::from(n & 0x0f) - 8;
                *high = i16::from(n >> 4) - 8;
            }
            Self::sum(&mut sums, &weights, scale(*bits), block, &vectors);
        }
        sums
    }
}

/// AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx2(pulp::x86::V3);

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{__m128i, __m256, __m256i};

    use bytemuck::cast;

    use super::{Avx2, BLOCK, Kernel, Vector, scale};

    impl Avx2 {
        /// 32 numbers of 8 bits as two registers of 16 bits.
        #[inline(always)]
        fn wide(self, low: __m128i, high: __m128i) -> [__m256i; 2] {
            let simd = self.0.avx2;
            [simd._mm256_cvtepi8_epi16(low), simd._mm256_cvtepi8_epi16(high)]
        }

        #[inline(always)]
        fn sum<const N: usize>(
            self,
            sums: &mut [__m256; N],
            [low, high]: [__m256i; 2],
            weight_scale: f32,
            block: usize,
            vectors: &[Vector<'_>; N],
        ) {
            let (avx, avx2, fma) = (self.0.avx, self.0.avx2, self.0.fma);
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                let [first, second]: [__m256i; 2] = cast(vector.numbers[block]);
                let products = avx2._mm256_add_epi32(
                    avx2._mm256_madd_epi16(low, first),
                    avx2._mm256_madd_epi16(high, second),
                );
                let factor = avx._mm256_set1_ps(weight_scale * vector.scales[block]);
                *sum = fma._mm256_fmadd_ps(avx._mm256_cvtepi32_ps(products), factor, *sum);
            }
        }

        #[inline(always)]
        fn totals<const N: usize>(self, sums: [__m256; N]) -> [f32; N] {
            sums.map(|sum| {
                let [a, b, c, d, e, f, g, h]: [f32; 8] = cast(sum);
                ((a + e) + (b + f)) + ((c + g) + (d + h))
            })
        }

        /// The vectors cut to `blocks`, so that no access to one of them needs a check; shorter ones count as none.
        #[inline(always)]
        fn cut<'a, const N: usize>(vectors: [Vector<'a>; N], blocks: usize) -> Option<[Vector<'a>; N]> {
            let long = vectors.iter().all(|v| v.numbers.len() >= blocks && v.scales.len() >= blocks);
            long.then(|| {
                vectors.map(|v| Vector { numbers: &v.numbers[..blocks], scales: &v.scales[..blocks] })
            })
        }
    }

    impl Kernel for Avx2 {
        #[inline(always)]
        fn eight<const N: usize>(
            self,
            numbers: &[[u8; BLOCK]],
            scales: &[u16],
            vectors: [Vector<'_>; N],
        ) -> [f32; N] {
            let blocks = numbers.len().min(scales.len());
            let mut sums = [self.0.avx._mm256_setzero_ps(); N];
            let Some(vectors) = Self::cut(vectors, blocks) else { return [0.0; N] };
            for (block, (numbers, bits)) in numbers.iter().zip(scales).enumerate() {
                let [low, high]: [__m128i; 2] = cast(*numbers);
                self.sum(&mut sums, self.wide(low, high), scale(*bits), block, &vectors);
            }
            self.totals(sums)
        }

        #[inline(always)]
        fn four<const N: usize>(
            self,
            numbers: &[[u8; BLOCK / 2]],
            scales: &[u16],
            vectors: [Vector<'_>; N],
        ) -> [f32; N] {
            let blocks = numbers.len().min(scales.len());
            let sse2 = self.0.sse2;
            let mut sums = [self.0.avx._mm256_setzero_ps(); N];
            let Some(vectors) = Self::cut(vectors, blocks) else { return [0.0; N] };
            let (mask, eight) = (sse2._mm_set1_epi8(0x0f), sse2._mm_set1_epi8(8));
            for (block, (numbers, bits)) in numbers.iter().zip(scales).enumerate() {
                let both: __m128i = cast(*numbers);
                let low = sse2._mm_sub_epi8(sse2._mm_and_si128(both, mask), eight);
                let shifted = sse2._mm_srli_epi16::<4>(both);
                let high = sse2._mm_sub_epi8(sse2._mm_and_si128(shifted, mask), eight);
                self.sum(&mut sums, self.wide(low, high), scale(*bits), block, &vectors);
            }
            self.totals(sums)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn scales_are_read_exactly() {
        for value in [0.0, 1.0, -0.5, 6e-8, -6e-5, 0.000_123, 65504.0] {
            let stored = f16::from_f32(value);
            assert_eq!(scale(stored.to_bits()), stored.to_f32());
        }
    }

    #[test]
    fn the_portable_loops_and_the_machines_own_agree() {
        for bits in [Bits::Four, Bits::Eight] {
            let (n_rows, columns, n) = (5, 100, 7);
            let value = |i: usize| ((i * 7919 % 1000) as f32 / 500.0 - 1.0) * (1 + i % 3) as f32;
            let weights: Vec<f32> = (0..n_rows * columns).map(value).collect();
            let vectors: Vec<f32> = (0..n * columns).map(|i| value(i * 31 + 5)).collect();
            let matrix = Blocks::quantise(&weights, n_rows, columns, bits);
            let vectors = Vectors::new(&vectors, columns);
            let mut own = vec![0f32; 3 * n];
            rows(&matrix, 2, &vectors, n, &mut own);
            let mut portable = vec![0f32; 3 * n];
            tiles(Portable, &matrix, 2, &vectors, n, &mut portable);
            for (a, b) in own.iter().zip(&portable) {
                assert!((a - b).abs() < 1e-4, "{bits}: {a} and {b}");
            }
        }
    }
}
