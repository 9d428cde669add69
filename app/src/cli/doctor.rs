//! `cell2text doctor`: a look through a whole file.

use std::path::PathBuf;

use clap::Args;
use engine::session::{Examined, examine};
use serde_json::json;

use super::failure::Failure;
use super::interrupt;
use super::output::Output;
use super::progress::watched;

/// Looks through a file and lists everything that is odd in it, with what it means
///
/// Some cells of every matrix are read, or all with --thorough. The file is never changed.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The h5ad file
    file: PathBuf,
    /// Read every cell of every matrix
    #[arg(long)]
    thorough: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl DoctorArgs {
    /// Looks through the file and prints what it found.
    ///
    /// # Errors
    /// [`Failure::BadInput`] where the file cannot be opened at all.
    pub fn run(&self) -> Result<(), Failure> {
        interrupt::listen()?;
        let (bar, watch) = watched();
        let result = examine(&self.file, self.thorough, &watch);
        bar.finish_and_clear();
        let examined = result?;
        let mut out = Output::new();
        if self.json { out.json(&as_json(&examined)) } else { print(&examined, &mut out) }
    }
}

fn as_json(examined: &Examined) -> serde_json::Value {
    json!({
        "name": examined.dataset.name,
        "n_obs": examined.dataset.n_obs,
        "n_vars": examined.dataset.genes.len(),
        "matrices": examined
            .matrices
            .iter()
            .map(|m| {
                json!({
                    "key": m.key.to_string(),
                    "shape": [m.shape.0, m.shape.1],
                    "stored_values": m.n_stored,
                    "cells_read": m.cells_read,
                })
            })
            .collect::<Vec<_>>(),
        "findings": examined
            .findings
            .iter()
            .map(|f| json!({ "element": f.element, "message": f.message, "serious": f.serious }))
            .collect::<Vec<_>>(),
    })
}

fn print(examined: &Examined, out: &mut Output) -> Result<(), Failure> {
    out.line(format_args!(
        "{}: {} cells, {} genes",
        examined.dataset.name,
        examined.dataset.n_obs,
        examined.dataset.genes.len()
    ))?;
    for matrix in &examined.matrices {
        out.line(format_args!(
            "  {}: {} x {}, {} stored values, {} cells read",
            matrix.key, matrix.shape.0, matrix.shape.1, matrix.n_stored, matrix.cells_read
        ))?;
    }
    if examined.findings.is_empty() {
        return out.line("nothing odd was found");
    }
    for finding in &examined.findings {
        let weight = if finding.serious { "warning" } else { "note" };
        out.line(format_args!("{weight}: {}: {}", finding.element, finding.message))?;
    }
    Ok(())
}
