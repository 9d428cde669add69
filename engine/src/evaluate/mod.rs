//! How good a model is: its descriptions of labelled cells against what the labels say, with baselines, intervals and
//! calibration. [`evaluate`] makes a [`Report`]; `docs/evaluation.md` says what each measure is.

mod baselines;
mod bertscore;
mod boosting;
mod bootstrap;
mod calibration;
mod features;
mod html;
mod judge;
mod logistic;
mod markers;
mod measures;
mod organ;
mod outcome;
mod plots;
mod relation;
mod report;
mod run;
mod statistic;
mod text;
mod truth;

pub use baselines::TrainingCells;
pub use bootstrap::Estimate;
pub use calibration::{Bin, Reliability};
pub use measures::{MEASURES, Measure, measure_of};
pub use outcome::Method;
pub use relation::Relation;
pub use report::{Confusion, Figure, Figures, FileReport, Report, ReportSettings, TypeReport};
pub use run::{EvaluateSettings, TextPair, evaluate};
