//! No command: the window. And its picture, taken off screen.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use engine::session::{DataSource, Session, Settings};

use super::failure::Failure;
use super::input::{EngineArgs, source};
use crate::window::offscreen::{Picture, render_to_png};
use crate::window::{Action, ThemeChoice, WindowOptions};

/// How to open the window.
#[derive(Debug, Args)]
pub struct WindowArgs {
    /// An h5ad file to open, or the word "sample" for the built-in sample
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Colours of the window, instead of those chosen last
    #[arg(long, value_enum)]
    theme: Option<ThemeArg>,
    /// Draw with the processor, where the graphics driver does not work as it should
    #[arg(long)]
    software: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ThemeArg {
    /// As the system has it
    System,
    /// Dark on light
    Light,
    /// Light on dark
    Dark,
}

impl From<ThemeArg> for ThemeChoice {
    fn from(theme: ThemeArg) -> Self {
        match theme {
            ThemeArg::System => Self::System,
            ThemeArg::Light => Self::Light,
            ThemeArg::Dark => Self::Dark,
        }
    }
}

impl WindowArgs {
    /// Opens the window and stays until it is closed.
    ///
    /// # Errors
    /// Where there is no display, or no way to draw on it.
    pub fn run(&self) -> Result<(), Failure> {
        Ok(crate::window::run(WindowOptions {
            open: self.file.as_deref().map(source),
            settings: Settings {
                gene_caches: super::cache::folder(),
                // Files are tried by another process of the same program.
                trial: std::env::current_exe().ok(),
                look_over: true,
                ..(&self.engine).into()
            },
            theme: self.theme.map(Into::into),
            software: self.software,
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
    session: Session,
    source: DataSource,
    cell: Option<usize>,
    engine: &EngineArgs,
) -> Result<(), Failure> {
    let options = WindowOptions {
        open: Some(source),
        settings: engine.into(),
        theme: Some(ThemeChoice::Light),
        remember: false,
        ..WindowOptions::default()
    };
    let actions = cell.map(Action::SelectCell).into_iter().collect();
    Ok(render_to_png(to, session, options, Picture { actions, ..Picture::default() })?)
}
