//! The Cell Ontology: terms, names, relations, neighbourhoods, similarity.
//!
//! The facts of one release ship with the program; a user's own file (OBO, or the JSON of CELLxGENE's ontology
//! guide) takes their place and then brings definitions along.
//!
//! ```
//! # fn main() -> engine::Result<()> {
//! let ontology = engine::ontology::Ontology::builtin()?;
//! let monocyte = ontology.by_name("Monocytes").map(|term| term.id.as_str());
//! assert_eq!(monocyte, Some("CL:0000576"));
//! assert!(ontology.is_a("CL:0000576", "CL:0000000"));
//! # Ok(())
//! # }
//! ```

mod counts;
mod formats;
mod graph;
mod layout;
mod lineage;
mod names;
mod neighbourhood;
mod similarity;

pub use counts::CellCounts;
pub use graph::{Ontology, Term};
pub use lineage::{LINEAGES, lineage, same_lineage};
pub use names::Hit;
pub use neighbourhood::{Limits, Neighbourhood, Node, Role};
pub use similarity::{PageRankSimilarity, Table6};
