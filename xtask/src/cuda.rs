//! `cargo xtask cuda`: the program with CUDA, where LLVM cannot be fetched.

use std::path::Path;

use anyhow::{Context, Result};

use crate::setup::{Setup, Wants, program_file};
use crate::terminal::{self, say};

/// Builds for release with the crate in `packaging/without-llvm` in the place of LLVM: NVIDIA's own compiler then makes all
/// kernels when the program runs.
///
/// # Errors
/// When the build fails or the lock file cannot be read or written.
pub fn run(root: &Path) -> Result<()> {
    let setup = Setup::prepare(root, Wants { build: true, ..Wants::default() })?;
    let lock = root.join("Cargo.lock");
    let kept = std::fs::read(&lock).with_context(|| format!("could not read {}", lock.display()))?;
    let stand_in = root.join("packaging/without-llvm");
    let patch = format!("patch.crates-io.cubecl-llvm.path={:?}", stand_in.display().to_string());
    let build = ["build", "--release", "--package", "app", "--features", "cuda-nvrtc", "--config", &patch];
    let built = terminal::run(&mut setup.cargo(&build));
    // Cargo writes the stand-in into the lock file; all other builds go without it.
    std::fs::write(&lock, kept).with_context(|| format!("could not write {}", lock.display()))?;
    built?;
    let program = setup.target_dir().join("release").join(program_file());
    say(&format!(
        "{}: try `cell2text devices`; libnvrtc must be where the system looks for libraries",
        program.display()
    ));
    Ok(())
}
