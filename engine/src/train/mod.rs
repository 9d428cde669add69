//! Training Cell2Text models from labelled files by a recipe.
//!
//! Every example is a function of the recipe's seed and its own number, and checkpoints hold weights, optimiser and
//! position: a run that stops and goes on gives the same weights as one that does not.

mod calibration;
mod checkpoint;
mod choose_genes;
mod corpus;
mod disturb;
mod draw;
mod examples;
mod gene_vectors;
mod low_rank;
mod mixed;
mod optimizer;
mod plot;
mod pretrained;
mod recipe;
mod run;
mod sample;
mod signatures;
mod sources;
mod styles;
#[cfg(test)]
mod tests;
mod trainee;

pub use recipe::{
    AdapterRecipe, DecoderRecipe, EncoderRecipe, GeneChoice, GeneRecipe, GeneVectors, LoraRecipe, Objective,
    Precision, Reading, Recipe, Stage,
};
pub use run::{StepReport, TrainReport, TrainSettings, train};
pub use sample::{LabelledDraw, draw_labelled};
pub use sources::{CalibrationStudy, CellRecipe, Source, SourceForm};
