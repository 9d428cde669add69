//! `cell2text dataset`: files of cells into a data set to learn from.

use std::path::PathBuf;

use clap::Args;
use engine::curate::{DatasetReport, DatasetRequest, KeptSets, REPORT, Split, UNFINISHED, build_dataset};
use engine::pathways::Dialect;
use engine::progress::{Cancel, Progress, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::json;

use super::failure::Failure;
use super::input::at_least_one;
use super::interrupt;
use super::output::{Output, tell};
use super::progress::show;

/// Builds a data set to train on: cells chosen out of many files, split by donor, described in words
///
/// The files need the columns of CELLxGENE's schema. Cells are drawn over tissue, cell type, disease and donor as the
/// Cell2Text paper does. The folder gets train.h5ad, valid.h5ad and test.h5ad, dataset.json and three figures. The
/// same command goes on after a stop, with the same result as without one.
#[derive(Debug, Clone, Args)]
pub struct DatasetArgs {
    /// The h5ad files. Their order is part of what decides which cells are drawn
    #[arg(value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// The folder to write to
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// How many cells to draw; all that can be used otherwise
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    cells: Option<usize>,
    /// Seed of every draw
    #[arg(long, value_name = "S", default_value_t = 42)]
    seed: u64,
    /// Gene sets to score instead of the built-in Hallmark sets, as a GMT file
    #[arg(long, value_name = "FILE")]
    gmt: Option<PathBuf>,
    /// Whose AUCell scores the pathways: pyscenic, as in the paper, or decoupler
    #[arg(long, value_name = "TOOL", default_value_t = Dialect::PySceNic)]
    dialect: Dialect,
    /// Which gene sets descriptions may name: the paper's 34 (paper), those active in more than 0.5 % of the cells
    /// (active), or all. Without it, paper; with --gmt, active
    #[arg(long, value_name = "WHICH")]
    keep: Option<KeptSets>,
    /// Print one JSON object when done
    #[arg(long)]
    json: bool,
}

impl DatasetArgs {
    /// Builds the data set.
    ///
    /// # Errors
    /// What reading the files, choosing cells or writing fails with.
    pub fn run(&self) -> Result<(), Failure> {
        let usual = if self.gmt.is_some() { KeptSets::Active } else { KeptSets::Paper };
        let request = DatasetRequest {
            files: self.files.clone(),
            out: self.output.clone(),
            cells: self.cells,
            seed: self.seed,
            gene_sets: self.gmt.clone(),
            dialect: self.dialect,
            keep: self.keep.unwrap_or(usual),
        };
        interrupt::listen()?;
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let result = build_dataset(&request, &watch(bar.clone()));
        bar.finish_and_clear();
        let report = result.map_err(|error| {
            if error.is_cancelled() {
                return Failure::Interrupted(format!(
                    "stopped; the work so far is in {}, and the same command goes on from there",
                    self.output.join(UNFINISHED).display()
                ));
            }
            // A file of gene sets is an input like the others, and so is one that is not there.
            let inputs = || self.files.iter().chain(&self.gmt);
            let of_input = match &error {
                engine::Error::Pathways(_) => true,
                engine::Error::Io { path, .. } => inputs().any(|input| input == path),
                _ => false,
            };
            if of_input { Failure::BadInput(error.into()) } else { error.into() }
        })?;
        for warning in &report.warnings {
            tell(format_args!("note: {warning}"));
        }
        self.print(&report)
    }

    fn print(&self, report: &DatasetReport) -> Result<(), Failure> {
        let mut out = Output::new();
        let cells: u64 = report.splits.values().map(|split| split.cells).sum();
        if self.json {
            return out.json(&json!({
                "folder": self.output,
                "report": self.output.join(REPORT),
                "cells": cells,
                "splits": report.splits,
                "diversity": report.diversity,
                "exclusions": report.exclusions,
            }));
        }
        let usable: u64 = report.sources.iter().map(|source| source.usable).sum();
        let seen: u64 = report.sources.iter().map(|source| source.cells).sum();
        out.line(format_args!(
            "{cells} of {usable} usable cells taken, of {seen} in {} files",
            report.sources.len()
        ))?;
        for (why, n) in &report.exclusions {
            out.line(format_args!("  left out: {n:>9}  {}", why.label()))?;
        }
        for split in Split::ALL {
            if let Some(of) = report.splits.get(&split) {
                out.line(format_args!(
                    "{:>6}  {:>9} cells  {:>6} donors  {:>5} cell types",
                    split.name(),
                    of.cells,
                    of.donors,
                    of.cell_types
                ))?;
            }
        }
        for (name, diversity) in report.diversity.iter().filter(|(_, d)| d.categories_before > 1) {
            out.line(format_args!(
                "diversity of {name}: {:.4} before, {:.4} after",
                diversity.before, diversity.after
            ))?;
        }
        out.line(format_args!("data set: {}", self.output.join(REPORT).display()))
    }
}

/// A watch that draws the bar and hands Ctrl-C on.
fn watch(bar: ProgressBar) -> Watch {
    let cancel = Cancel::new();
    let stop = cancel.clone();
    Watch::new(cancel, move |progress: &Progress| {
        if interrupt::pressed() {
            stop.cancel();
        }
        show(&bar, progress);
    })
}
