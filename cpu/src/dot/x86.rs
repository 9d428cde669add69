//! The same with the instructions of x86-64: AVX-512, with and without VNNI, and AVX2.

use std::arch::x86_64::{__m128i, __m256, __m256i, __m512, __m512i};

use bytemuck::cast;
use pulp::x86::{V3, V4};

use super::{HEIGHT, Kernel, Step};
use crate::level::{Avx512, V4Vnni};

/// How sums of products are added up with AVX-512.
pub(crate) trait Sums: Copy {
    fn add_products(self, simd: V4, sums: __m512i, words: __m512i, pair: __m512i) -> __m512i;
}

/// By two instructions.
impl Sums for () {
    #[inline(always)]
    fn add_products(self, simd: V4, sums: __m512i, words: __m512i, pair: __m512i) -> __m512i {
        simd.avx512f._mm512_add_epi32(sums, simd.avx512bw._mm512_madd_epi16(words, pair))
    }
}

/// By one.
impl Sums for V4Vnni {
    #[inline(always)]
    fn add_products(self, _: V4, sums: __m512i, words: __m512i, pair: __m512i) -> __m512i {
        V4Vnni::add_products(self, sums, words, pair)
    }
}

impl<S: Sums> Kernel for Avx512<S> {
    type Words = __m512i;
    type Ints = __m512i;
    type Floats = __m512;
    const MOST: usize = 12;

    #[inline(always)]
    fn signed(self, step: &Step) -> __m512i {
        self.0.avx512bw._mm512_cvtepi8_epi16(cast(*step))
    }

    #[inline(always)]
    fn bytes(self, step: &Step) -> __m512i {
        self.0.avx512bw._mm512_cvtepu8_epi16(cast(*step))
    }

    #[inline(always)]
    fn low(self, bytes: __m512i) -> __m512i {
        self.0.avx512f._mm512_and_si512(bytes, self.0.avx512f._mm512_set1_epi32(0x000f_000f))
    }

    #[inline(always)]
    fn high(self, bytes: __m512i) -> __m512i {
        self.0.avx512bw._mm512_srli_epi16::<4>(bytes)
    }

    #[inline(always)]
    fn ints(self, value: i32) -> __m512i {
        self.0.avx512f._mm512_set1_epi32(value)
    }

    #[inline(always)]
    fn add_products(self, sums: __m512i, words: __m512i, pair: i32) -> __m512i {
        self.1.add_products(self.0, sums, words, self.0.avx512f._mm512_set1_epi32(pair))
    }

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        self.0.avx512f._mm512_add_epi32(a, b)
    }

    #[inline(always)]
    fn zero(self) -> __m512 {
        self.0.avx512f._mm512_set1_ps(0.0)
    }

    #[inline(always)]
    fn scales(self, bits: &[u16; HEIGHT]) -> __m512 {
        self.0.avx512f._mm512_cvtph_ps(cast(*bits))
    }

    #[inline(always)]
    fn add_scaled(self, sums: __m512, ints: __m512i, scales: __m512, scale: f32) -> __m512 {
        let f = self.0.avx512f;
        let factors = f._mm512_mul_ps(scales, f._mm512_set1_ps(scale));
        f._mm512_fmadd_ps(f._mm512_cvtepi32_ps(ints), factors, sums)
    }

    #[inline(always)]
    fn rows(self, floats: __m512) -> [f32; HEIGHT] {
        cast(floats)
    }
}

impl Kernel for V3 {
    type Words = [__m256i; 2];
    type Ints = [__m256i; 2];
    type Floats = [__m256; 2];
    const MOST: usize = 4;

    #[inline(always)]
    fn signed(self, step: &Step) -> [__m256i; 2] {
        let [a, b]: [__m128i; 2] = cast(*step);
        [self.avx2._mm256_cvtepi8_epi16(a), self.avx2._mm256_cvtepi8_epi16(b)]
    }

    #[inline(always)]
    fn bytes(self, step: &Step) -> [__m256i; 2] {
        let [a, b]: [__m128i; 2] = cast(*step);
        [self.avx2._mm256_cvtepu8_epi16(a), self.avx2._mm256_cvtepu8_epi16(b)]
    }

    #[inline(always)]
    fn low(self, [a, b]: [__m256i; 2]) -> [__m256i; 2] {
        let mask = self.avx._mm256_set1_epi32(0x000f_000f);
        [self.avx2._mm256_and_si256(a, mask), self.avx2._mm256_and_si256(b, mask)]
    }

    #[inline(always)]
    fn high(self, [a, b]: [__m256i; 2]) -> [__m256i; 2] {
        [self.avx2._mm256_srli_epi16::<4>(a), self.avx2._mm256_srli_epi16::<4>(b)]
    }

    #[inline(always)]
    fn ints(self, value: i32) -> [__m256i; 2] {
        [self.avx._mm256_set1_epi32(value); 2]
    }

    #[inline(always)]
    fn add_products(self, [a, b]: [__m256i; 2], words: [__m256i; 2], pair: i32) -> [__m256i; 2] {
        let pair = self.avx._mm256_set1_epi32(pair);
        [
            self.avx2._mm256_add_epi32(a, self.avx2._mm256_madd_epi16(words[0], pair)),
            self.avx2._mm256_add_epi32(b, self.avx2._mm256_madd_epi16(words[1], pair)),
        ]
    }

    #[inline(always)]
    fn add(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        [self.avx2._mm256_add_epi32(a[0], b[0]), self.avx2._mm256_add_epi32(a[1], b[1])]
    }

    #[inline(always)]
    fn zero(self) -> [__m256; 2] {
        [self.avx._mm256_setzero_ps(); 2]
    }

    #[inline(always)]
    fn scales(self, bits: &[u16; HEIGHT]) -> [__m256; 2] {
        // As `tiles::half_to_f32`, eight at once.
        let [a, b]: [__m128i; 2] = cast(*bits);
        let (avx, avx2) = (self.avx, self.avx2);
        let (sign, rest) = (avx._mm256_set1_epi32(0x8000), avx._mm256_set1_epi32(0x7fff));
        let factor = avx._mm256_set1_ps(f32::from_bits((127 + 112) << 23));
        let mut out = [factor; 2];
        for (out, half) in out.iter_mut().zip([a, b]) {
            let wide = avx2._mm256_cvtepu16_epi32(half);
            let signs = avx2._mm256_slli_epi32::<16>(avx2._mm256_and_si256(wide, sign));
            let rests = avx2._mm256_slli_epi32::<13>(avx2._mm256_and_si256(wide, rest));
            *out = avx._mm256_mul_ps(cast(avx2._mm256_or_si256(signs, rests)), factor);
        }
        out
    }

    #[inline(always)]
    fn add_scaled(
        self,
        sums: [__m256; 2],
        ints: [__m256i; 2],
        scales: [__m256; 2],
        scale: f32,
    ) -> [__m256; 2] {
        let (avx, fma) = (self.avx, self.fma);
        let scale = avx._mm256_set1_ps(scale);
        [
            fma._mm256_fmadd_ps(
                avx._mm256_cvtepi32_ps(ints[0]),
                avx._mm256_mul_ps(scales[0], scale),
                sums[0],
            ),
            fma._mm256_fmadd_ps(
                avx._mm256_cvtepi32_ps(ints[1]),
                avx._mm256_mul_ps(scales[1], scale),
                sums[1],
            ),
        ]
    }

    #[inline(always)]
    fn rows(self, floats: [__m256; 2]) -> [f32; HEIGHT] {
        cast(floats)
    }
}
