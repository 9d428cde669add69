//! Matrices in blocks of 32 numbers of 8 or 4 bits with one scale each, and products with them on the CPU.
//!
//! A block's numbers lie along a row, so that a row's product with a vector is a sum over blocks of a sum of whole
//! numbers times two scales. The vector is brought to 16 bits a number first, block by block: with weights of 8 bits the
//! sums stay within 32, and what the vector loses is a hundredth of what the weights lost. The layouts and roundings of
//! 8 and 4 bits are those of `Q8_0` and `Q4_0` in the ggml library.

mod blocks;
mod dot;
mod product;

pub use blocks::{BLOCK, Bits, Blocks};
pub use product::product;
