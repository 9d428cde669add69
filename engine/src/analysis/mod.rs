//! Analysis of the chosen matrix: what differs between two sets of cells, how good each cell is, and a map where the file
//! has none.
//!
//! Comparing and mapping work on log-normalised values ([`LogNormalised`]): counts are brought to 10,000 a cell and logged, logs
//! are taken as they are. The matrix stays in the file and is read by rows in blocks; what is held in memory is bounded
//! by a stated budget or grows with the number of cells, never with cells × genes.

mod compare;
mod embed;
mod normalise;
mod quality;

pub use compare::{CompareRequest, Comparison, GeneComparison, Test, compare};
pub use embed::{Alike, EmbedSettings, Embedded, Neighbours, alike_cells, embed};
pub use normalise::LogNormalised;
pub(crate) use normalise::{log1p_cp10k, row_totals};
pub use quality::{Quality, mitochondrial_genes, quality};
