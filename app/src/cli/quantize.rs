//! `cell2text quantize`: a model in few bits.

use std::path::PathBuf;

use clap::Args;
use engine::model::{Bundle, quantise};
use engine::nn::quant::Bits;
use serde_json::json;

use super::failure::Failure;
use super::interrupt;
use super::output::Output;
use super::progress::watched;

/// Writes a model with 8 or 4 bits a weight: smaller, and faster on the CPU
///
/// At 8 bits nearly all descriptions stay the same; at 4 bits they differ more often. Vectors of words and genes keep 8
/// bits. A LoRA adapter beside the model is merged. On a GPU such a model takes as much memory as the full one.
#[derive(Debug, Clone, Args)]
pub struct QuantizeArgs {
    /// The model: its name among the models, or its folder; without it, the built-in one
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Bits a weight: 8 or 4
    #[arg(long, value_name = "N", default_value = "8", value_parser = bits)]
    bits: Bits,
    /// The folder to write to; new or empty
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Print one JSON object when done
    #[arg(long)]
    json: bool,
}

fn bits(text: &str) -> Result<Bits, String> {
    text.parse::<u8>().map_err(|e| e.to_string()).and_then(Bits::try_from)
}

impl QuantizeArgs {
    /// Writes the model.
    ///
    /// # Errors
    /// Where the model cannot be read, or the folder not be written.
    pub fn run(&self) -> Result<(), Failure> {
        let bundle = match &self.model {
            Some(model) => Bundle::open(&super::models::find(model)),
            None => Bundle::builtin(),
        };
        let bundle = bundle.map_err(|e| Failure::BadInput(e.into()))?;
        interrupt::listen()?;
        let (bar, watch) = watched();
        let result = quantise(&bundle, &self.output, self.bits, &watch);
        bar.finish_and_clear();
        let report = result?;
        let mut out = Output::new();
        if self.json {
            return out.json(&json!({ "bits": u8::from(self.bits), "report": report }));
        }
        out.line(format_args!(
            "{}: {:.1} MB, was {:.1} MB",
            report.folder.display(),
            report.bytes as f64 / 1e6,
            report.bytes_before as f64 / 1e6
        ))
    }
}
