//! The one instruction that pulp has no name for. The only place of this crate with `unsafe`.
//!
//! The compiler makes such an instruction of an addition and a sum of products by itself, and takes it apart again where it
//! takes the sums for the longest chain of a loop, which they are not here. It leaves the one whose sums do not wrap around
//! alone; the sums here stay within 32 bits in any case.
#![allow(unsafe_code)]

use std::arch::x86_64::{__m512i, _mm512_dpwssds_epi32};

use crate::level::V4Vnni;

impl V4Vnni {
    /// `sums` and, for each of them, the products of two numbers of 16 bits in `a` with those in `b`.
    #[inline(always)]
    pub(crate) fn add_products(self, sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: a `V4Vnni` is made by `try_new` alone, which gives one only where the processor has the instruction.
        unsafe { _mm512_dpwssds_epi32(sums, a, b) }
    }
}
