//! No command: the window.

use std::path::{Path, PathBuf};

use clap::Args;
use engine::session::DataSource;

use super::failure::Failure;
use super::input::{EngineArgs, source};
use crate::window::WindowOptions;

/// How to open the window.
#[derive(Debug, Args)]
pub struct WindowArgs {
    /// An h5ad file to open, or the word "sample" for the built-in sample
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
}

impl WindowArgs {
    /// Opens the window and stays until it is closed.
    ///
    /// # Errors
    /// Where there is no display, or no way to draw on it.
    pub fn run(&self) -> Result<(), Failure> {
        Ok(crate::window::run(WindowOptions {
            source: self.file.as_deref().map(source),
            settings: (&self.engine).into(),
            ..WindowOptions::default()
        })?)
    }
}

/// Draws the window off screen, with `cell` of `source` described, into a PNG file.
///
/// # Errors
/// Where nothing can be drawn, or the file cannot be written.
pub fn picture(
    to: &Path,
    source: DataSource,
    cell: Option<usize>,
    engine: &EngineArgs,
) -> Result<(), Failure> {
    let options = WindowOptions { source: Some(source), settings: engine.into(), ..WindowOptions::default() };
    Ok(crate::window::offscreen::picture(options, cell, to)?)
}
