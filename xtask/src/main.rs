//! The project's chores: `cargo xtask demo | test | lint | bench | assets | package | cuda | env | help`.
//!
//! Every chore first sees to it that what it needs is there ([`setup`]), so that a machine with only Rust gets
//! from a fresh clone to the window, or to finished tests, by one command.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod assets;
mod bench;
mod checks;
mod cuda;
mod demo;
mod package;
mod python;
mod setup;
mod system;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::setup::{Setup, Wants};

const HELP: &str = "\
The chores of Cell2Text.

Usage: cargo xtask <CHORE> [ARGUMENTS]

  demo [--no-window] [FILE]  Build the program and open its window on the built-in sample, or on FILE.
                             Without a display (or with --no-window) the same journey runs in the terminal:
                             five cells described, a CSV, and a picture of the window in target/demo/.
  test [ARGUMENTS]           Run all tests. ARGUMENTS go to `cargo test`, as in: cargo xtask test -p engine genes
  lint                       Check formatting and run clippy, warnings being errors.
  bench [FILE]               Time opening a file and the first description, beside Python's anndata, here and now.
  bench atlas [CELLS]        Time what a large generated file costs (200,000 cells, 1 GB), beside anndata.
  bench models [small]       Time decoders and an encoder of true shapes, random weights, beside llama.cpp and torch.
  assets [ARGUMENTS]         Build the tables in assets/ from the published packages of the field.
  package                    Build for release and pack target/package/cell2text-<version>-<target>.tar.gz.
  cuda                       Build for release with CUDA beside wgpu, without LLVM (docs/building.md).
  env                        Print what to export before calling cargo by hand: eval \"$(cargo xtask env)\"
  help                       Print this.

What is missing is set up first. Python tools go into target/tools/python and touch nothing else. System packages
are installed on Debian and Ubuntu when you are root or sudo asks for no password, and named before they are; on
any other system the command to run is printed. CELL2TEXT_NO_INSTALL=1 never installs system packages.

  CARGO_TARGET_DIR           Where to build, when not in target/.
  CMAKE                      The CMake to build HDF5 with (3.26 or newer).
  CELL2TEXT_PYTHON           A Python of your own with the packages of tests/python/requirements.txt.
  CELL2TEXT_PEERS_PYTHON     A Python of your own with the packages of tests/python/time_models_requirements.txt.
  CELL2TEXT_TEST_GPU=1       Run the tests on this machine's graphics driver, not on software Vulkan.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        terminal::print(HELP);
        bail!("no chore was named");
    }
    let chore = arguments.remove(0);
    let root = root()?;
    match chore.as_str() {
        "demo" => demo::run(&root, &arguments),
        "test" => checks::test(&root, &arguments),
        "lint" => checks::lint(&root),
        "bench" => bench::run(&root, &arguments),
        "assets" => assets::run(&root, &arguments),
        "package" => package::run(&root),
        "cuda" => cuda::run(&root),
        "env" => print_env(&root),
        "help" | "--help" | "-h" => {
            terminal::print(HELP);
            Ok(())
        }
        other => bail!("there is no chore {other:?}; `cargo xtask help` lists them"),
    }
}

/// The workspace's root: the folder above this crate's.
fn root() -> Result<PathBuf> {
    // Cargo sets the variable when it runs the program; the compiled-in path serves a binary started by hand.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map(Path::to_path_buf).context("xtask must lie inside the workspace")
}

/// Prints the exports that plain cargo calls need.
fn print_env(root: &Path) -> Result<()> {
    let setup = Setup::prepare(root, Wants { build: true, test_python: true, ..Wants::default() })?;
    let mut lines = String::new();
    for (name, value) in setup.exports() {
        let value = value.display().to_string();
        lines.push_str(&if cfg!(windows) {
            format!("$env:{name} = '{}'\n", value.replace('\'', "''"))
        } else {
            format!("export {name}='{}'\n", value.replace('\'', "'\\''"))
        });
    }
    terminal::print(&lines);
    Ok(())
}
