//! Tests over real files, and over files written for the purpose.

mod copies;
pub(crate) mod fixtures;
mod foreign;
mod mtx;
mod mutants;
mod real;
mod refused;
mod written;
mod zarr;
