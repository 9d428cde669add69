//! Pathways: gene sets and how active they are in a cell.
//!
//! ```
//! # fn main() -> engine::Result<()> {
//! use engine::anndata::SparseRow;
//! use engine::genes::GeneTable;
//! use engine::pathways::{Dialect, GeneSets, PathwayScorer};
//!
//! let table = GeneTable::builtin()?;
//! let genes: Vec<_> = ["STAT1", "IRF7", "ISG15", "ALB"].iter().map(|s| table.resolve(s).map(|(id, _)| id)).collect();
//! let scorer = PathwayScorer::new(GeneSets::hallmark()?, &genes, Dialect::Decoupler)?;
//! let scores = scorer.score(&SparseRow { columns: vec![0, 2], values: vec![3.0, 5.0] });
//! assert_eq!(scores.len(), GeneSets::hallmark()?.sets().len());
//! # Ok(())
//! # }
//! ```

mod active;
mod paper;
mod score;
mod sets;
mod ties;

pub use active::{ActivityCount, active_sets};
pub use paper::ToldPathways;
pub use score::{Dialect, PathwayScorer};
pub use sets::{GeneSet, GeneSets, PAPER_SETS};
pub use ties::{decoupler_order, pyscenic_order};
