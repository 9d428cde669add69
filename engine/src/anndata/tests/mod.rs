//! Tests over real files, and over files written for the purpose.

pub(crate) mod fixtures;
mod foreign;
mod real;
mod refused;
mod written;
