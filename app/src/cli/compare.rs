//! `cell2text compare`: what differs between two sets of cells, gene by gene.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use engine::analysis::{CompareRequest, Test};
use engine::annotate::provenance_path;
use engine::session::Dataset;
use serde_json::json;

use super::client::Client;
use super::failure::Failure;
use super::input::{EngineArgs, InputArgs};
use super::output::{Output, check_target, tell_findings};

/// Most labels named in an error.
const LABELS_NAMED: usize = 12;

/// How to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TestName {
    /// Wilcoxon rank-sum, corrected for ties
    Wilcoxon,
    /// Welch's t
    T,
}

/// Compares two sets of cells in every gene and writes the result as a CSV table, with a provenance file beside it
///
/// The sets are named by a column of obs: the cells with the value of --a against those with the value of --b, or
/// against all others. Values are log-normalised counts; p values are adjusted after Benjamini and Hochberg. Numbers
/// agree with scanpy's rank_genes_groups.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    input: InputArgs,
    /// The column of obs that names the sets
    #[arg(long, value_name = "NAME")]
    column: String,
    /// The value of the first set's cells
    #[arg(long, value_name = "VALUE")]
    a: String,
    /// The value of the second set's cells; without it, all other cells
    #[arg(long, value_name = "VALUE")]
    b: Option<String>,
    /// The test
    #[arg(long, value_enum, default_value = "wilcoxon")]
    test: TestName,
    /// The table to write; an older one is replaced
    #[arg(short, long, value_name = "CSV")]
    output: PathBuf,
    /// Print one JSON object when done
    #[arg(long)]
    json: bool,
}

impl CompareArgs {
    /// Compares and writes the table.
    ///
    /// # Errors
    /// What opening, comparing or writing fails with.
    pub fn run(&self) -> Result<(), Failure> {
        check_target(&self.output)?;
        let client = Client::new(&EngineArgs::default())?;
        let dataset = client.open(&self.input)?;
        let a = cells_with(&dataset, &self.column, &self.a)?;
        let b = self.b.as_ref().map(|value| cells_with(&dataset, &self.column, value)).transpose()?;
        tell_findings(&dataset.findings);
        let test = match self.test {
            TestName::Wilcoxon => Test::Wilcoxon,
            TestName::T => Test::WelchT,
        };
        let begun = Instant::now();
        let result = client.compare(CompareRequest { a, b, test })?;
        let seconds = begun.elapsed().as_secs_f64();
        let rows = client.export_comparison(&result, &self.output)?;
        let significant = result.genes.iter().filter(|gene| gene.p_adjusted < 0.05).count();
        let mut out = Output::new();
        if self.json {
            return out.json(&json!({
                "table": self.output,
                "provenance": provenance_path(&self.output),
                "rows": rows,
                "seconds": seconds,
                "test": test.label(),
                "matrix": result.matrix.to_string(),
                "values": result.unit,
                "n_a": result.n_a,
                "n_b": result.n_b,
                "adjusted_p_below_0.05": significant,
                "highest": result.genes.iter().take(10).map(|gene| &gene.symbol).collect::<Vec<_>>(),
            }));
        }
        out.line(format_args!(
            "{} cells against {}, {} on {} of {}: {significant} of {rows} genes differ (adjusted p below 0.05)",
            result.n_a,
            result.n_b,
            test.label(),
            result.unit,
            result.matrix,
        ))?;
        out.line(format_args!("written in {seconds:.1} s: {}", self.output.display()))
    }
}

/// The rows whose value in `column` reads `value`.
fn cells_with(dataset: &Dataset, column: &str, value: &str) -> Result<Arc<[usize]>, Failure> {
    let Some(found) = dataset.obs.column(column) else {
        let names = dataset.obs.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!("obs has no column \"{column}\"; it has: {names}")));
    };
    let cells =
        (0..dataset.n_obs).filter(|row| found.text(*row).as_deref() == Some(value)).collect::<Arc<[usize]>>();
    if cells.is_empty() {
        let labels = found.label_codes(10_000).map(|labels| labels.categories).unwrap_or_default();
        let mut named = labels
            .iter()
            .take(LABELS_NAMED)
            .map(|label| format!("\"{label}\""))
            .collect::<Vec<_>>()
            .join(", ");
        if labels.len() > LABELS_NAMED {
            named.push_str(", …");
        }
        return Err(Failure::Usage(format!("no cell has \"{value}\" in {column}; it holds: {named}")));
    }
    Ok(cells)
}
