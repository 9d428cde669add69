//! What models compute per number on the CPU: products with weights of few bits, products of float32, attention, norms.
//!
//! Everything works on slices. Each kernel is written once in portable Rust and, where that pays, once more for AVX-512
//! and AVX2; which of them runs is found out where the program runs. This is a crate of its own so that the dev profile can
//! optimise it fully and leave the engine, which takes minutes to compile, as it is. Nothing here knows of cells, of models or
//! of files.
// Tests may panic; that is how they fail.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod attention;
mod dot;
mod level;
mod matmul;
mod panel;
mod product;
pub mod rows;
mod tiles;
mod vectors;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub use attention::{Attention, KeysAndValues};
pub use level::name as instructions;
pub use matmul::{Panels, matmul, matmul_into};
pub use product::{product, products};
pub use tiles::{BLOCK, Tiles};
pub use vectors::Vectors;
