//! What is printed, and where: results go to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use engine::session::Finding;
use serde::Serialize;

use super::failure::Failure;

/// Standard output, for results only.
#[derive(Debug)]
pub struct Output {
    to: io::StdoutLock<'static>,
}

impl Output {
    /// Takes standard output for as long as it lives.
    pub fn new() -> Self {
        Self { to: io::stdout().lock() }
    }

    /// Prints one line.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`] where nobody reads any more.
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        Ok(writeln!(self.to, "{text}")?)
    }

    /// Prints a piece of a line, to be seen at once.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`] where nobody reads any more.
    pub fn piece(&mut self, text: &str) -> Result<(), Failure> {
        self.to.write_all(text.as_bytes())?;
        Ok(self.to.flush()?)
    }

    /// Prints a value as one line of JSON.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`] where nobody reads any more.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value)?;
        self.line(text)
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells the user something that is no result. Where standard error is closed there is nobody to tell.
pub fn tell(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Tells what was noticed about the data.
pub fn tell_findings(findings: &[Finding]) {
    for finding in findings {
        let weight = if finding.serious { "warning" } else { "note" };
        tell(format_args!("{weight}: {}: {}", finding.element, finding.message));
    }
}

/// What can be known to fail at the end is better said before hours of work.
///
/// # Errors
/// [`Failure::Usage`] where no table can be written to `path`.
pub fn check_target(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::Usage(format!(
            "{}: is a folder; give a file name, as cells.csv",
            path.display()
        )));
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(Failure::Usage(format!("{}: there is no such folder; make it first", folder.display())))
        }
        _ => Ok(()),
    }
}
