//! `cell2text annotate`: many cells into one table, or into a copy of the file.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use engine::annotate::{check_copy, provenance_path, read_labels};
use engine::describe::GenerationSettings;
use engine::session::DataSource;
use serde_json::json;

use super::client::Client;
use super::failure::Failure;
use super::input::{EngineArgs, GenerationArgs, InputArgs, at_least_one, cells};
use super::interrupt;
use super::output::{Output, check_target, tell, tell_findings};

/// Describes many cells and writes them as a CSV table, with a provenance file beside it, or into a copy of the file
///
/// All cells are described unless --limit, --random or --cells says otherwise. After Ctrl-C the cells described so
/// far are written to NAME.partial.csv. With --into the same columns go into obs of a copy of the file, and where they
/// come from into its uns/cell2text; the file itself is never changed.
#[derive(Debug, Clone, Args)]
pub struct AnnotateArgs {
    #[command(flatten)]
    input: InputArgs,
    /// The table to write; an older one is replaced
    #[arg(short, long, value_name = "CSV", required_unless_present = "into")]
    output: Option<PathBuf>,
    /// The copy of the file to write, with the columns in its obs
    #[arg(long, value_name = "H5AD")]
    into: Option<PathBuf>,
    /// With --into: labels to write as well, a table as the window exports it
    #[arg(long, value_name = "CSV", requires = "into")]
    labels: Option<PathBuf>,
    /// With --labels: describe no cell, write the labels alone
    #[arg(long, requires = "labels", conflicts_with_all = ["output", "limit", "random", "cells"])]
    labels_only: bool,
    /// With --into: write over the copy where it is there, and over columns of the same names in it
    #[arg(long, requires = "into")]
    replace: bool,
    /// Describe the first N cells only
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    limit: Option<usize>,
    /// Describe N cells drawn at random
    #[arg(long, value_name = "N", conflicts_with = "limit", value_parser = at_least_one)]
    random: Option<usize>,
    /// Describe the cells of these names
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with_all = ["limit", "random"])]
    cells: Vec<String>,
    /// Print one JSON object when done
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    generation: GenerationArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

impl AnnotateArgs {
    /// Describes the cells asked for and writes the table.
    ///
    /// # Errors
    /// What opening, describing or writing fails with. [`Failure::Interrupted`] says what was written.
    pub fn run(&self) -> Result<(), Failure> {
        self.check_targets()?;
        let client = Client::new(&self.engine)?;
        let dataset = client.open(&self.input)?;
        let cells = cells(&dataset, &self.cells, self.random, self.limit, self.generation.seed)?;
        if cells.is_empty() {
            return Err(Failure::Usage("no cell to describe: the file has none".to_owned()));
        }
        let labels = match &self.labels {
            Some(path) => read_labels(path, &dataset.obs.index)?,
            None => Vec::new(),
        };
        tell_findings(&dataset.findings);
        let settings = GenerationSettings::from(&self.generation);
        let begun = Instant::now();
        let mut done = 0;
        let described = match self.labels_only {
            true => Ok(()),
            false => client.annotate(&cells, &settings, &mut done),
        };
        match described {
            Ok(()) => {}
            Err(Failure::Interrupted(_)) if done > 0 => {
                return Err(self.save_partial(&client, done, cells.len()));
            }
            Err(failure) => return Err(failure),
        }
        let seconds = begun.elapsed().as_secs_f64();
        // The table first: a copy that cannot be written then costs nothing.
        if let Some(table) = &self.output {
            client.export(table)?;
        }
        if let Some(copy) = &self.into {
            client.write_copy(copy, labels.into(), self.replace).map_err(|failure| match &self.output {
                Some(_) => failure,
                None => self.save_instead(&client, failure),
            })?;
        }
        let mut out = Output::new();
        if self.json {
            out.json(&json!({
                "table": self.output,
                "provenance": self.output.as_deref().map(provenance_path),
                "copy": self.into,
                "rows": done,
                "seconds": seconds,
            }))
        } else {
            let files: Vec<String> =
                self.output.iter().chain(&self.into).map(|path| path.display().to_string()).collect();
            out.line(format_args!("{done} cells described in {seconds:.1} s: {}", files.join(", ")))
        }
    }

    /// What can be known to fail at the end is better said before hours of work.
    fn check_targets(&self) -> Result<(), Failure> {
        for target in self.output.iter().chain(&self.into) {
            check_target(target)?;
        }
        match &self.into {
            Some(copy) if copy.exists() && !self.replace => Err(Failure::Usage(format!(
                "{}: is there already; choose another name, or add --replace to write over it",
                copy.display()
            ))),
            Some(_) => match self.input.source() {
                DataSource::File(path) => Ok(check_copy(&path, self.replace)?),
                DataSource::Sample => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// The table that holds what could not be finished.
    fn partial(&self) -> PathBuf {
        let target = self.output.as_ref().or(self.into.as_ref());
        target.map_or_else(|| PathBuf::from("cells.partial.csv"), |path| path.with_extension("partial.csv"))
    }

    /// The descriptions of a copy that could not be written go into a table.
    fn save_instead(&self, client: &Client, failure: Failure) -> Failure {
        let partial = self.partial();
        interrupt::forgive();
        if client.export(&partial).is_ok() {
            tell(format_args!("the copy was not written; the descriptions are in {}", partial.display()));
        }
        failure
    }

    /// Hours of work are not thrown away because someone stops them; nor do they pass for the whole.
    fn save_partial(&self, client: &Client, done: usize, wanted: usize) -> Failure {
        let partial = self.partial();
        tell(format_args!("interrupted; writing the {done} cells described so far (Ctrl-C again to leave)"));
        interrupt::forgive();
        match client.export(&partial) {
            Ok(rows) => Failure::Interrupted(format!(
                "interrupted after {rows} of {wanted} cells; they are in {}",
                partial.display()
            )),
            Err(failure) => Failure::Interrupted(format!(
                "interrupted after {done} of {wanted} cells, which could not be written{}",
                failure.message().map(|message| format!(": {message}")).unwrap_or_default()
            )),
        }
    }
}
