//! What is done once per stored number: undoing what numbers are packed with, making numbers of bytes, searching and
//! ordering the entries of a sparse matrix.
//!
//! A matrix has hundreds of millions of entries. This is a crate of its own so that the dev profile can optimise it
//! fully and leave the engine, which takes minutes to compile, as it is. Nothing here is generic over what is called
//! per number, since generic code is compiled, and optimised, where it is used. Nothing here knows of files.
// Tests may panic; that is how they fail.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod blocks;
mod blosc;
pub mod entries;
mod filters;
pub mod numbers;
pub mod runs;
pub mod texts;

pub use blosc::unpack_blosc;
pub use filters::{Filter, MOST_CHUNK_BYTES, Unpacker, unpack_lzf, unpack_zstd};
