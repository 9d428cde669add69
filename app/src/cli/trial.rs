//! `cell2text try`: a file read in a process of its own, before the window opens it.
//!
//! The library that reads HDF5 can crash on damaged files. Here it takes nothing along but this process.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;

/// Reads a file as the window would and says nothing; it ends in order unless the file makes it crash
#[derive(Debug, Clone, Args)]
pub struct TrialArgs {
    /// The file
    file: PathBuf,
}

impl TrialArgs {
    /// Reads the file. What it is refused for is told by the window.
    ///
    /// # Errors
    /// Never; the type is that of the other commands.
    #[allow(clippy::unnecessary_wraps)]
    pub fn run(&self) -> Result<(), Failure> {
        engine::session::try_file(&self.file);
        Ok(())
    }
}
