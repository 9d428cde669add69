//! Describing cells.
mod claims;
pub use claims::{Claim, ClaimKind, Description, EvidenceGene, GenerationSettings};
