//! `cell2text demo`: the whole journey without a screen.

use std::path::PathBuf;

use clap::Args;
use engine::annotate::sample_cells;
use engine::describe::GenerationSettings;
use engine::session::DataSource;

use super::client::Client;
use super::describe::stream;
use super::failure::Failure;
use super::input::{EngineArgs, GenerationArgs, source};
use super::output::{Output, tell_findings};
use super::window::picture as draw;

/// Cells that the demo describes.
const CELLS: usize = 5;

/// Takes the journey in the terminal: opens the sample, describes five cells, writes the table and a picture
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Another h5ad file than the built-in sample
    file: Option<PathBuf>,
    /// Folder for what is written; made where it is missing
    #[arg(long, value_name = "DIR", default_value = "cell2text-demo")]
    out: PathBuf,
    #[command(flatten)]
    generation: GenerationArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

impl DemoArgs {
    /// Takes the journey.
    ///
    /// # Errors
    /// What any part of it fails with.
    pub fn run(&self) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.out)
            .map_err(|e| engine::Error::io("make the folder for the demo", &self.out, e))?;
        let client = Client::new(&self.engine)?;
        let source = self.file.as_deref().map_or(DataSource::Sample, source);
        let dataset = client.open_source(source.clone())?;
        let mut out = Output::new();
        out.line(format_args!(
            "{}: {} cells, {} genes, read from {} ({})",
            dataset.name,
            dataset.n_obs,
            dataset.genes.len(),
            dataset.matrix.key,
            dataset.matrix.scale.label()
        ))?;
        tell_findings(&dataset.findings);
        out.line("")?;
        let settings = GenerationSettings::from(&self.generation);
        let cells = sample_cells(dataset.n_obs, CELLS, settings.seed);
        for cell in &cells {
            stream(&client, &dataset, *cell, &settings, &mut out)?;
        }
        let table = self.out.join("cells.csv");
        let rows = client.export(&table)?;
        out.line(format_args!("{rows} cells: {}", table.display()))?;
        let picture = self.out.join("window.png");
        draw(&picture, client.into_session(), source, cells.first().copied(), &self.engine)?;
        out.line(format_args!("the window: {}", picture.display()))
    }
}
