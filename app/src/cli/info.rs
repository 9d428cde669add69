//! `cell2text info`: what a file holds and how it would be read.

use clap::Args;
use engine::anndata::{Column, Values};
use engine::session::{DataSource, Dataset};
use serde_json::{Value, json};

use super::client::Client;
use super::failure::Failure;
use super::input::{EngineArgs, InputArgs};
use super::output::Output;

/// Shows what a file holds, which matrix is read for counts and why, and what to look out for
#[derive(Debug, Clone, Args)]
pub struct InfoArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl InfoArgs {
    /// Opens the file and prints what it holds.
    ///
    /// # Errors
    /// [`Failure::BadInput`] where the file cannot be used.
    pub fn run(&self) -> Result<(), Failure> {
        let client = Client::new(&EngineArgs::default())?;
        let dataset = client.open(&self.input)?;
        let mut out = Output::new();
        if self.json { out.json(&as_json(&dataset)) } else { print(&dataset, &mut out) }
    }
}

fn as_json(dataset: &Dataset) -> Value {
    let file = match &dataset.source {
        DataSource::Sample => None,
        DataSource::File(path) => Some(path.display().to_string()),
    };
    json!({
        "name": dataset.name,
        "file": file,
        "n_obs": dataset.n_obs,
        "n_vars": dataset.genes.len(),
        "known_genes": dataset.known_genes,
        "species": dataset.species.map(|species| species.label()),
        "matrix": {
            "key": dataset.matrix.key.to_string(),
            "scale": dataset.matrix.scale.label(),
            "reason": dataset.matrix.reason,
            "chosen_by_user": dataset.matrix.chosen_by_user,
        },
        "matrices": dataset.matrices.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "obs_index": dataset.obs.index_name,
        "obs": dataset
            .obs
            .columns
            .iter()
            .map(|column| {
                json!({
                    "name": column.name,
                    "kind": kind(column),
                    "categories": categories(column),
                    "missing": column.missing(),
                })
            })
            .collect::<Vec<_>>(),
        "embeddings": dataset.embeddings.iter().map(|view| &view.name).collect::<Vec<_>>(),
        "findings": dataset
            .findings
            .iter()
            .map(|f| json!({ "element": f.element, "message": f.message, "serious": f.serious }))
            .collect::<Vec<_>>(),
    })
}

fn print(dataset: &Dataset, out: &mut Output) -> Result<(), Failure> {
    let genes = dataset.genes.len();
    let known = dataset.known_genes;
    let percent = match (known * 100).checked_div(genes) {
        Some(0) if known > 0 => "under 1".to_owned(),
        percent => percent.unwrap_or(0).to_string(),
    };
    let others = dataset.matrices.iter().filter(|key| **key != dataset.matrix.key);
    let list = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    out.line(&dataset.name)?;
    out.line(format_args!("  cells       {}", dataset.n_obs))?;
    out.line(format_args!("  genes       {genes}, of which {known} are known ({percent} %)"))?;
    out.line(format_args!(
        "  species     {}",
        dataset.species.map_or("not recognised", engine::genes::Species::label)
    ))?;
    out.line(format_args!("  matrix      {} ({})", dataset.matrix.key, dataset.matrix.scale.label()))?;
    out.line(format_args!("              {}", dataset.matrix.reason))?;
    out.line(format_args!("  others      {}", list(others.map(ToString::to_string).collect())))?;
    out.line(format_args!(
        "  embeddings  {}",
        list(dataset.embeddings.iter().map(|view| view.name.clone()).collect())
    ))?;
    if !dataset.obs.columns.is_empty() {
        out.line("obs")?;
    }
    let width =
        dataset.obs.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0).min(40);
    for column in &dataset.obs.columns {
        let mut about = kind(column).to_owned();
        if let Some(categories) = categories(column) {
            about = format!("{about}, {categories} categories");
        }
        if column.missing() > 0 {
            about = format!("{about}, {} missing", column.missing());
        }
        out.line(format_args!("  {:width$}  {about}", column.name))?;
    }
    for finding in &dataset.findings {
        let weight = if finding.serious { "warning" } else { "note" };
        out.line(format_args!("{weight}: {}: {}", finding.element, finding.message))?;
    }
    Ok(())
}

fn kind(column: &Column) -> &'static str {
    match &column.values {
        Values::Categorical { ordered: false, .. } => "categorical",
        Values::Categorical { ordered: true, .. } => "categorical, ordered",
        Values::Text(_) => "text",
        Values::Number(_) => "number",
        Values::Integer(_) => "integer",
        Values::Boolean(_) => "boolean",
    }
}

fn categories(column: &Column) -> Option<usize> {
    match &column.values {
        Values::Categorical { categories, .. } => Some(categories.len()),
        _ => None,
    }
}
