//! Describing cells: the sentence pattern, generating, and taking the text apart into claims with evidence.

#[cfg(test)]
mod builtin_tests;
mod calibrate;
mod claims;
mod context;
mod describer;
mod evidence;
mod look_over;
mod parse;
#[cfg(test)]
mod sentence_tests;
mod surroundings;
mod template;
mod together;

pub use crate::model::{GenerationSettings, TextForm};
pub use calibrate::{Calibration, LabelledCell};
pub use claims::{Claim, ClaimKind, Description, EvidenceGene, OtherType};
pub use context::{Context, Taught};
pub use describer::{CellReader, Describer, DescriberReport};
pub use evidence::Signatures;
pub use look_over::LookOver;
pub use surroundings::Surroundings;
pub use template::{CellFacts, KnownWords, Phrases, stage_of_life};
pub use together::Told;
