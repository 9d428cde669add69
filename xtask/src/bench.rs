//! `cargo xtask bench`: how long a file takes to open and a cell to describe, beside Python's anndata, measured in
//! one run on one machine.
//!
//! The program is the one of the dev profile, whose numeric crates are fully optimised (see `Cargo.toml`). Whole
//! processes are timed, since that is what a person waits for; for Python the reading alone is told apart, because
//! importing its packages takes longer than reading a small file. Comparing and mapping stand beside scanpy's.

mod analysis;
mod atlas;
mod models;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::setup::{Setup, Wants};
use crate::terminal::{self, say};

/// Runs of each, after one that warms the disk cache.
const RUNS: usize = 5;

/// Prints the seconds that reading takes without the start of Python.
const PYTHON_READ: &str = "\
import sys, time, warnings
warnings.simplefilter('ignore')
import anndata
start = time.perf_counter()
data = anndata.read_h5ad(sys.argv[1])
print(time.perf_counter() - start)
";

/// Measures and prints.
///
/// # Errors
/// When the machine cannot be made ready, or one of the programs fails.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    if let [what, cells @ ..] = arguments
        && what == "atlas"
    {
        return atlas::run(root, cells.first().map(String::as_str));
    }
    if let [what, size @ ..] = arguments
        && what == "models"
    {
        return models::run(root, size);
    }
    let file = match arguments {
        [] => sample(root)?,
        [file] => std::path::absolute(file).context("could not make the file's path absolute")?,
        _ => bail!("bench takes one file at most"),
    };
    let setup = Setup::prepare(root, Wants { build: true, test_python: true, ..Wants::default() })?;
    let python = setup.python().context("the Python of the tests was not set up")?;
    let program = setup.build_dev()?;

    let describe = ["describe", "--random", "1", "--seed", "42", "--device", "cpu"];
    let open = whole_runs(|| cell2text(&program, &["info"], &file))?;
    let described = whole_runs(|| cell2text(&program, &describe, &file))?;
    let mut readings = Vec::new();
    let read = whole_runs(|| {
        let mut command = Command::new(python);
        command.args(["-c", PYTHON_READ]).arg(&file);
        readings.push(
            terminal::output(&mut command)
                .and_then(|text| text.parse::<f64>().ok())
                .context("Python's anndata could not read the file")?,
        );
        Ok(())
    })?;
    readings.remove(0);
    let reading = Times::of(readings);

    say("");
    terminal::print(&format!(
        "{}\n\nmedian seconds of {RUNS} runs (fastest to slowest)\n\
         cell2text info             {open}\n\
         cell2text describe, 1 cell {described}\n\
         Python anndata, process    {read}\n\
         Python anndata, read alone {reading}\n\n\
         Opening takes {:.2} times as long as the Python process and {:.2} times as long as its reading alone.\n\
         A described cell from a cold start takes {:.2} times as long as the Python process that only reads.\n",
        file.display(),
        open.median / read.median,
        open.median / reading.median,
        described.median / read.median,
    ));
    analysis::run(root, &setup, &program)
}

/// The sample that ships inside the program.
fn sample(root: &Path) -> Result<PathBuf> {
    let folder = root.join("assets/sample");
    std::fs::read_dir(&folder)
        .with_context(|| format!("could not list {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "h5ad"))
        .with_context(|| format!("there is no h5ad file in {}", folder.display()))
}

fn cell2text(program: &Path, arguments: &[&str], file: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.args(&arguments[..1]).arg(file).args(&arguments[1..]).stdout(Stdio::null());
    terminal::run(&mut command)
}

/// The times of [`RUNS`] calls of `work`, after one that does not count.
fn whole_runs(mut work: impl FnMut() -> Result<()>) -> Result<Times> {
    work()?;
    let mut seconds = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        work()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(Times::of(seconds))
}

/// Several measurements of the same thing, in seconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    median: f64,
    fastest: f64,
    slowest: f64,
}

impl Times {
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let at = |index: usize| seconds.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(seconds.len() / 2), fastest: at(0), slowest: at(seconds.len().saturating_sub(1)) }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:8.3} ({:.3} to {:.3})", self.median, self.fastest, self.slowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_times() {
        let times = Times::of(vec![5.0, 1.0, 3.0]);
        assert_eq!((times.median, times.fastest, times.slowest), (3.0, 1.0, 5.0));
    }
}
