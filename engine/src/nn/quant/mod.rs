//! Matrices in blocks of 32 numbers of 8 or 4 bits with one scale each.
//!
//! A block's numbers lie along a row, so that a row's product with a vector is a sum over blocks of a sum of whole
//! numbers times two scales. The layouts and roundings of 8 and 4 bits are those of `Q8_0` and `Q4_0` in the ggml library.
//! The CPU computes with the same numbers in another order ([`Blocks::tiles`]).

mod blocks;

pub use blocks::{BLOCK, Bits, Blocks};
