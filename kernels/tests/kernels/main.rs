//! The kernels against the definitions of what they compute, in float64, over odd sizes; and, ignored, their speed.
//!
//! In a crate of its own, so that it is built without the engine: `cargo test --workspace --test kernels`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // That is how tests fail.

mod attention;
mod bench;
mod packed;
mod rows;
mod support;
