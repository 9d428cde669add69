//! The faces of Cell2Text: the window and the command line. No biology and no tensors here.
// Tests may panic; that is how they fail.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cli;
mod models;
pub mod window;
