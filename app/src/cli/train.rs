//! `cell2text train`: a model from labelled files.

use std::path::PathBuf;

use clap::Args;
use engine::nn::DevicePreference;
use engine::train::{Recipe, TrainReport, TrainSettings, train};
use serde_json::json;

use super::failure::Failure;
use super::input::at_least_one_u64;
use super::interrupt;
use super::output::Output;
use super::progress::watched;

/// Trains a model by a recipe, or goes on with a run that was stopped
///
/// The folder named by --out takes the checkpoints, a log of every step and, when all stages are done, the bundle
/// that --model reads. The same command goes on after a stop, with the same result as without one.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    /// The recipe: data, sizes and stages, in TOML
    recipe: PathBuf,
    /// The folder that the recipe's files lie in
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Steps between checkpoints
    #[arg(long, value_name = "N", default_value = "500", value_parser = at_least_one_u64)]
    checkpoint_steps: u64,
    /// Stop after this many steps in all, to try a recipe
    #[arg(long, value_name = "N", value_parser = at_least_one_u64)]
    max_steps: Option<u64>,
    /// Where to compute: auto, wgpu, cuda or cpu
    #[arg(long, default_value_t, value_name = "DEVICE")]
    device: DevicePreference,
    /// Print one JSON object when done
    #[arg(long)]
    json: bool,
}

impl TrainArgs {
    /// Trains.
    ///
    /// # Errors
    /// What reading the recipe and the data, or training, fails with.
    pub fn run(&self) -> Result<(), Failure> {
        let recipe = Recipe::read(&self.recipe).map_err(|e| Failure::BadInput(e.into()))?;
        let settings = TrainSettings {
            recipe,
            data: self.data.clone(),
            out: self.out.clone(),
            checkpoint_steps: self.checkpoint_steps,
            device: self.device,
            max_steps: self.max_steps,
        };
        interrupt::listen()?;
        let (bar, watch) = watched();
        let result = train(&settings, &watch);
        bar.finish_and_clear();
        let report = result.map_err(|error| {
            if error.is_cancelled() {
                return Failure::Interrupted(format!(
                    "stopped; a checkpoint is in {}, and the same command goes on from there",
                    self.out.display()
                ));
            }
            error.into()
        })?;
        self.print(&report)
    }

    fn print(&self, report: &TrainReport) -> Result<(), Failure> {
        let mut out = Output::new();
        if self.json {
            return out.json(&json!({
                "bundle": report.bundle,
                "steps": report.steps,
                "loss": report.last.as_ref().map(|step| step.loss),
                "accuracy": report.last.as_ref().map(|step| step.accuracy),
                "cell_types": report.cell_types,
                "precision": report.precision,
            }));
        }
        out.line(format_args!("{} steps, {} cell types", report.steps, report.cell_types.len()))?;
        if report.precision != "single" {
            out.line(format_args!("precision: {}", report.precision))?;
        }
        if let Some(last) = &report.last {
            out.line(format_args!("last step: loss {:.4}, {:.1} % right", last.loss, last.accuracy * 100.0))?;
        }
        match &report.bundle {
            Some(bundle) => out.line(format_args!("model: {}", bundle.display())),
            None => out.line("not finished; the same command without --max-steps goes on"),
        }
    }
}
