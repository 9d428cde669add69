//! The Cell2Text engine: everything that needs no screen.
//!
//! It opens h5ad files out of core, turns cells into Geneformer tokens, runs the encoder, adapter and
//! decoder that describe a cell in words, checks the words against the data and the Cell Ontology, and
//! trains such models. The window and the command line are two faces of it.
//!
//! The modules form floors; none imports from a floor above its own:
//!
//! | floor | modules |
//! | --- | --- |
//! | 7 | [`session`] |
//! | 6 | [`annotate`], [`curate`], [`train`], [`evaluate`] |
//! | 5 | [`describe`] |
//! | 4 | [`model`] |
//! | 3 | [`nn`] |
//! | 2 | [`tokens`], [`analysis`] |
//! | 1 | [`anndata`], [`ontology`], [`pathways`] |
//! | 0 | [`genes`], [`error`], [`progress`], [`files`], [`assets`] |
// Tests may panic; that is how they fail.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod analysis;
pub mod anndata;
pub mod annotate;
pub mod assets;
pub mod curate;
pub mod describe;
pub mod error;
pub mod evaluate;
pub mod files;
pub mod genes;
pub mod model;
pub mod nn;
pub mod ontology;
pub mod pathways;
pub mod progress;
pub mod session;
#[cfg(test)]
mod test_support;
pub mod tokens;
pub mod train;

pub use error::{Error, Result};
