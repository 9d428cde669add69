//! Describing cells: the sentence pattern, generating, and taking the text apart into claims with evidence.

mod claims;
mod template;

pub use claims::{Claim, ClaimKind, Description, EvidenceGene, GenerationSettings};
pub use template::{CellFacts, Phrases, stage_of_life};
