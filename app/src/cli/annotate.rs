//! `cell2text annotate`: many cells into one table.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use engine::annotate::provenance_path;
use engine::describe::GenerationSettings;
use serde_json::json;

use super::client::Client;
use super::failure::Failure;
use super::input::{EngineArgs, GenerationArgs, InputArgs, at_least_one, cells};
use super::interrupt;
use super::output::{Output, check_target, tell, tell_findings};

/// Describes many cells and writes them as a CSV table, with a provenance file beside it
///
/// All cells are described unless --limit, --random or --cells says otherwise. After Ctrl-C the cells described so
/// far are written to NAME.partial.csv.
#[derive(Debug, Clone, Args)]
pub struct AnnotateArgs {
    #[command(flatten)]
    input: InputArgs,
    /// The table to write; an older one is replaced
    #[arg(short, long, value_name = "CSV")]
    output: PathBuf,
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
        check_target(&self.output)?;
        let client = Client::new(&self.engine)?;
        let dataset = client.open(&self.input)?;
        let cells = cells(&dataset, &self.cells, self.random, self.limit, self.generation.seed)?;
        if cells.is_empty() {
            return Err(Failure::Usage("no cell to describe: the file has none".to_owned()));
        }
        tell_findings(&dataset.findings);
        let settings = GenerationSettings::from(&self.generation);
        let begun = Instant::now();
        let mut done = 0;
        match client.annotate(&cells, &settings, &mut done) {
            Ok(()) => {}
            Err(Failure::Interrupted(_)) if done > 0 => {
                return Err(self.save_partial(&client, done, cells.len()));
            }
            Err(failure) => return Err(failure),
        }
        let seconds = begun.elapsed().as_secs_f64();
        let rows = client.export(&self.output)?;
        let mut out = Output::new();
        if self.json {
            out.json(&json!({
                "table": self.output,
                "provenance": provenance_path(&self.output),
                "rows": rows,
                "seconds": seconds,
            }))
        } else {
            out.line(format_args!("{rows} cells described in {seconds:.1} s: {}", self.output.display()))
        }
    }

    /// Hours of work are not thrown away because someone stops them; nor do they pass for the whole.
    fn save_partial(&self, client: &Client, done: usize, wanted: usize) -> Failure {
        let partial = self.output.with_extension("partial.csv");
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
