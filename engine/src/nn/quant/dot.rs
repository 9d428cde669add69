//! The inner loops: rows of blocks times vectors of 16-bit numbers.

use std::ops::Range;

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

/// Vectors that rows of the matrix meet while they are at hand: the vectors' numbers stay in the first cache meanwhile.
const GROUP: usize = 4;
/// Rows that a group of vectors meets at once.
const PAIR: usize = 2;
/// Rows whose numbers stay in the second cache while all vectors pass over them.
const ROWS: usize = 64;

/// Some rows of a matrix times some vectors, and where the products go.
pub(super) struct Task<'a> {
    pub(super) matrix: &'a Blocks,
    pub(super) rows: Range<usize>,
    pub(super) vectors: &'a Vectors,
    pub(super) of_vectors: Range<usize>,
    pub(super) out: &'a mut [f32],
    /// Places in `out` from one row's product to the next row's, and from one vector's to the next vector's.
    pub(super) steps: [usize; 2],
}

impl Task<'_> {
    /// Computes all products.
    pub(super) fn run(self) {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            struct OnAvx2<'a>(pulp::x86::V3, Task<'a>);
            impl pulp::NullaryFnOnce for OnAvx2<'_> {
                type Output = ();

                #[inline(always)]
                fn call(self) {
                    self.1.run_on(Avx2(self.0));
                }
            }
            simd.vectorize(OnAvx2(simd, self));
            return;
        }
        self.run_on(Portable);
    }

    #[inline(always)]
    fn run_on<K: Kernel>(mut self, kernel: K) {
        for rows in self.rows.clone().step_by(ROWS) {
            let rows = rows..(rows + ROWS).min(self.rows.end);
            let mut at = self.of_vectors.start;
            while at + GROUP <= self.of_vectors.end {
                self.group::<K, GROUP>(kernel, rows.clone(), at);
                at += GROUP;
            }
            for at in at..self.of_vectors.end {
                self.group::<K, 1>(kernel, rows.clone(), at);
            }
        }
    }

    #[inline(always)]
    fn group<K: Kernel, const N: usize>(&mut self, kernel: K, rows: Range<usize>, at: usize) {
        let vectors: [Vector<'_>; N] = std::array::from_fn(|k| self.vectors.row(at + k));
        let mut row = rows.start;
        while row + PAIR <= rows.end {
            self.together::<K, N, PAIR>(kernel, row, at, vectors);
            row += PAIR;
        }
        if row < rows.end {
            self.together::<K, N, 1>(kernel, row, at, vectors);
        }
    }

    #[inline(always)]
    fn together<K: Kernel, const N: usize, const R: usize>(
        &mut self,
        kernel: K,
        row: usize,
        at: usize,
        vectors: [Vector<'_>; N],
    ) {
        let stored: [(&[u8], &[u16]); R] = std::array::from_fn(|r| self.matrix.row(row + r));
        let scales = stored.map(|(_, scales)| scales);
        let sums = match self.matrix.bits() {
            Bits::Eight => kernel.eight(stored.map(|(numbers, _)| numbers.as_chunks().0), scales, vectors),
            Bits::Four => kernel.four(stored.map(|(numbers, _)| numbers.as_chunks().0), scales, vectors),
        };
        let [row_step, vector_step] = self.steps;
        for (r, sums) in sums.iter().enumerate() {
            for (k, sum) in sums.iter().enumerate() {
                let place =
                    (row - self.rows.start + r) * row_step + (at - self.of_vectors.start + k) * vector_step;
                if let Some(out) = self.out.get_mut(place) {
                    *out = *sum;
                }
            }
        }
    }
}

/// A float16 that is a number, as float32: shifting its bits into place leaves an exponent that is 112 too small.
#[inline(always)]
fn scale(bits: u16) -> f32 {
    let (sign, rest) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff) << 13);
    f32::from_bits(sign | rest) * f32::from_bits((127 + 112) << 23)
}

/// Products of `R` rows with `N` vectors.
trait Kernel: Copy {
    fn eight<const N: usize, const R: usize>(
        self,
        numbers: [&[[u8; BLOCK]]; R],
        scales: [&[u16]; R],
        vectors: [Vector<'_>; N],
    ) -> [[f32; N]; R];

    fn four<const N: usize, const R: usize>(
        self,
        numbers: [&[[u8; BLOCK / 2]]; R],
        scales: [&[u16]; R],
        vectors: [Vector<'_>; N],
    ) -> [[f32; N]; R];
}

/// Blocks that rows and vectors all have.
#[inline(always)]
fn common<const W: usize, const N: usize, const R: usize>(
    numbers: &[&[[u8; W]]; R],
    scales: &[&[u16]; R],
    vectors: &[Vector<'_>; N],
) -> usize {
    let of_rows = numbers.iter().zip(scales).map(|(n, s)| n.len().min(s.len())).min();
    let of_vectors = vectors.iter().map(|v| v.numbers.len().min(v.scales.len())).min();
    of_rows.unwrap_or(0).min(of_vectors.unwrap_or(0))
}

/// Plain Rust, in loops that compilers turn into vector instructions.
#[derive(Clone, Copy)]
struct Portable;

impl Portable {
    #[inline(always)]
    fn all<const W: usize, const N: usize, const R: usize>(
        numbers: [&[[u8; W]]; R],
        scales: [&[u16]; R],
        vectors: [Vector<'_>; N],
        wide: impl Fn(&[u8; W]) -> [i16; BLOCK],
    ) -> [[f32; N]; R] {
        let mut sums = [[0f32; N]; R];
        for block in 0..common(&numbers, &scales, &vectors) {
            for ((numbers, scales), sums) in numbers.iter().zip(&scales).zip(&mut sums) {
                let (weights, weight_scale) = (wide(&numbers[block]), scale(scales[block]));
                for (sum, vector) in sums.iter_mut().zip(&vectors) {
                    let pairs = weights.iter().zip(&vector.numbers[block]);
                    let product: i32 = pairs.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
                    *sum += product as f32 * (weight_scale * vector.scales[block]);
                }
            }
        }
        sums
    }
}

impl Kernel for Portable {
    #[inline(always)]
    fn eight<const N: usize, const R: usize>(
        self,
        numbers: [&[[u8; BLOCK]]; R],
        scales: [&[u16]; R],
        vectors: [Vector<'_>; N],
    ) -> [[f32; N]; R] {
        Self::all(numbers, scales, vectors, |numbers| numbers.map(|n| i16::from(n as i8)))
    }

    #[inline(always)]
    fn four<const N: usize, const R: usize>(
        self,
        numbers: [&[[u8; BLOCK / 2]]; R],
        scales: [&[u16]; R],
        vectors: [Vector<'_>; N],
    ) -> [[f32; N]; R] {
        Self::all(numbers, scales, vectors, |numbers| {
            let mut weights = [0i16; BLOCK];
            let (low, high) = weights.split_at_mut(BLOCK / 2);
            for ((low, high), n) in low.iter_mut().zip(high).zip(numbers) {
                *low = i16::from(n & 0x0f) - 8;
                *high = i16::from(n >> 4) - 8;
            }
            weights
        })
    }
}

/// AVX2 and FMA. Every function within is inlined where the instructions are allowed; closures might not be.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx2(pulp::x86::V3);

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{__m128i, __m256, __m256i};

    use bytemuck::cast;
    use pulp::x86::V3;

    use super::{Avx2, BLOCK, Kernel, Vector, common, scale};

    /// The numbers of a block as two registers of 16 bits a number.
    trait Wide<const W: usize>: Copy {
        fn wide(self, numbers: &[u8; W]) -> [__m256i; 2];
    }

    #[derive(Clone, Copy)]
    struct EightBits(V3);

    impl Wide<BLOCK> for EightBits {
        #[inline(always)]
        fn wide(self, numbers: &[u8; BLOCK]) -> [__m256i; 2] {
            let [low, high]: [__m128i; 2] = cast(*numbers);
            [self.0.avx2._mm256_cvtepi8_epi16(low), self.0.avx2._mm256_cvtepi8_epi16(high)]
        }
    }

    #[derive(Clone, Copy)]
    struct FourBits {
        simd: V3,
        mask: __m128i,
        eight: __m128i,
    }

    impl Wide<{ BLOCK / 2 }> for FourBits {
        #[inline(always)]
        fn wide(self, numbers: &[u8; BLOCK / 2]) -> [__m256i; 2] {
            let (avx2, sse2) = (self.simd.avx2, self.simd.sse2);
            let both: __m128i = cast(*numbers);
            let low = sse2._mm_sub_epi8(sse2._mm_and_si128(both, self.mask), self.eight);
            let shifted = sse2._mm_srli_epi16::<4>(both);
            let high = sse2._mm_sub_epi8(sse2._mm_and_si128(shifted, self.mask), self.eight);
            [avx2._mm256_cvtepi8_epi16(low), avx2._mm256_cvtepi8_epi16(high)]
        }
    }

    #[inline(always)]
    // Plain loops: adaptors take closures, which might not be inlined.
    fn all<const W: usize, const N: usize, const R: usize>(
        simd: V3,
        to: impl Wide<W>,
        numbers: [&[[u8; W]]; R],
        scales: [&[u16]; R],
        vectors: [Vector<'_>; N],
    ) -> [[f32; N]; R] {
        let (avx, avx2, fma) = (simd.avx, simd.avx2, simd.fma);
        // Cut to one length, so that no access within the loop needs a check.
        let blocks = common(&numbers, &scales, &vectors);
        let (mut numbers, mut scales, mut vectors) = (numbers, scales, vectors);
        for r in 0..R {
            numbers[r] = &numbers[r][..blocks];
            scales[r] = &scales[r][..blocks];
        }
        for vector in &mut vectors {
            vector.numbers = &vector.numbers[..blocks];
            vector.scales = &vector.scales[..blocks];
        }
        let zero = avx._mm256_setzero_ps();
        let mut sums = [[zero; N]; R];
        for block in 0..blocks {
            let mut weights = [[avx._mm256_setzero_si256(); 2]; R];
            let mut weight_scales = [0f32; R];
            for r in 0..R {
                weights[r] = to.wide(&numbers[r][block]);
                weight_scales[r] = scale(scales[r][block]);
            }
            for k in 0..N {
                let [first, second]: [__m256i; 2] = cast(vectors[k].numbers[block]);
                let vector_scale = vectors[k].scales[block];
                for r in 0..R {
                    let products = avx2._mm256_add_epi32(
                        avx2._mm256_madd_epi16(weights[r][0], first),
                        avx2._mm256_madd_epi16(weights[r][1], second),
                    );
                    let factor = avx._mm256_set1_ps(weight_scales[r] * vector_scale);
                    sums[r][k] = fma._mm256_fmadd_ps(avx._mm256_cvtepi32_ps(products), factor, sums[r][k]);
                }
            }
        }
        let mut out = [[0f32; N]; R];
        for r in 0..R {
            for k in 0..N {
                out[r][k] = total(sums[r][k]);
            }
        }
        out
    }

    #[inline(always)]
    fn total(sum: __m256) -> f32 {
        let [a, b, c, d, e, f, g, h]: [f32; 8] = cast(sum);
        ((a + e) + (b + f)) + ((c + g) + (d + h))
    }

    impl Kernel for Avx2 {
        #[inline(always)]
        fn eight<const N: usize, const R: usize>(
            self,
            numbers: [&[[u8; BLOCK]]; R],
            scales: [&[u16]; R],
            vectors: [Vector<'_>; N],
        ) -> [[f32; N]; R] {
            all(self.0, EightBits(self.0), numbers, scales, vectors)
        }

        #[inline(always)]
        fn four<const N: usize, const R: usize>(
            self,
            numbers: [&[[u8; BLOCK / 2]]; R],
            scales: [&[u16]; R],
            vectors: [Vector<'_>; N],
        ) -> [[f32; N]; R] {
            let sse2 = self.0.sse2;
            let (mask, eight) = (sse2._mm_set1_epi8(0x0f), sse2._mm_set1_epi8(8));
            all(self.0, FourBits { simd: self.0, mask, eight }, numbers, scales, vectors)
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
            let by = |run: &dyn Fn(Task<'_>)| {
                let mut out = vec![0f32; 3 * n];
                run(Task {
                    matrix: &matrix,
                    rows: 2..5,
                    vectors: &vectors,
                    of_vectors: 0..n,
                    out: &mut out,
                    steps: [n, 1],
                });
                out
            };
            let (own, portable) = (by(&|task| task.run()), by(&|task| task.run_on(Portable)));
            for (a, b) in own.iter().zip(&portable) {
                assert!((a - b).abs() < 1e-4, "{bits}: {a} and {b}");
            }
        }
    }
}
