//! `cell2text embed`: a map and clusters where the file has none.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use engine::analysis::EmbedSettings;
use engine::annotate::provenance_path;
use serde_json::json;

use super::client::Client;
use super::failure::Failure;
use super::input::{EngineArgs, InputArgs, at_least_one};
use super::output::{Output, check_target, tell_findings};

/// Computes a map (UMAP) and clusters (Leiden) of all cells and writes them as a CSV table, with a provenance file
/// beside it
///
/// Steps and defaults are scanpy's: counts per 10,000, logged; highly variable genes; principal components; nearest
/// neighbours; UMAP; Leiden. The same file, settings and version give the same table.
#[derive(Debug, Clone, Args)]
pub struct EmbedArgs {
    #[command(flatten)]
    input: InputArgs,
    /// The table to write, with the columns umap_1, umap_2 and cluster; an older one is replaced
    #[arg(short, long, value_name = "CSV")]
    output: PathBuf,
    /// Highly variable genes to go by
    #[arg(long, value_name = "N", default_value_t = EmbedSettings::default().n_top_genes, value_parser = at_least_one)]
    genes: usize,
    /// Principal components to keep
    #[arg(long, value_name = "N", default_value_t = EmbedSettings::default().n_components, value_parser = at_least_one)]
    components: usize,
    /// Neighbours of each cell, itself among them
    #[arg(long, value_name = "N", default_value_t = EmbedSettings::default().n_neighbours, value_parser = at_least_one)]
    neighbours: usize,
    /// How fine the clusters are: more and smaller ones above 1
    #[arg(long, value_name = "X", default_value_t = EmbedSettings::default().resolution)]
    resolution: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = EmbedSettings::default().seed)]
    seed: u64,
    /// Print one JSON object when done
    #[arg(long)]
    json: bool,
}

impl EmbedArgs {
    /// Computes the map and writes the table.
    ///
    /// # Errors
    /// What opening, computing or writing fails with.
    pub fn run(&self) -> Result<(), Failure> {
        check_target(&self.output)?;
        let client = Client::new(&EngineArgs::default())?;
        let dataset = client.open(&self.input)?;
        tell_findings(&dataset.findings);
        let settings = EmbedSettings {
            n_top_genes: self.genes,
            n_components: self.components,
            n_neighbours: self.neighbours,
            resolution: self.resolution,
            seed: self.seed,
        };
        let begun = Instant::now();
        let extended = client.embed(&settings)?;
        let seconds = begun.elapsed().as_secs_f64();
        let rows = client.export_map(&self.output)?;
        // The clusters are the last column: they came last.
        let labels = extended.obs.columns.last().and_then(|column| column.label_codes(usize::MAX));
        let clusters = labels.map_or(0, |labels| labels.categories.len());
        let mut out = Output::new();
        if self.json {
            return out.json(&json!({
                "table": self.output,
                "provenance": provenance_path(&self.output),
                "rows": rows,
                "clusters": clusters,
                "seconds": seconds,
                "matrix": extended.matrix.key.to_string(),
            }));
        }
        out.line(format_args!(
            "{rows} cells in {clusters} clusters, mapped in {seconds:.1} s: {}",
            self.output.display()
        ))
    }
}
