//! Gene identity and species.
//!
//! Files name their genes by Ensembl id, with or without version, by symbol, by a symbol of ten years ago or by
//! an alias. [`GeneTable`] brings all of these to one identity, [`resolve_genes`] does it for all columns of a
//! file at once and notices which species the names belong to.
//!
//! ```
//! # fn main() -> engine::Result<()> {
//! let table = engine::genes::GeneTable::builtin()?;
//! let gene = table.resolve("GRCh38_MS4A1").map(|(id, _)| table.ensembl_id(id));
//! assert_eq!(gene, Some("ENSG00000156738"));
//! # Ok(())
//! # }
//! ```

mod resolve;
mod species;
mod table;
#[cfg(test)]
pub(crate) mod testing;

pub use resolve::{ResolvedGenes, resolve_genes};
pub use species::Species;
pub use table::{GeneId, GeneTable, Matched};
