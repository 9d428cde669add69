//! What tests share: where the reference outputs and the real data lie, and skipping aloud without them.

use std::io::Write;
use std::path::PathBuf;

/// As the program has it, so that figures of speed and memory are its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A file of the reference outputs: below `CELL2TEXT_REFERENCE` where that is set, else `../shared/reference`.
pub(crate) fn reference_file(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CELL2TEXT_REFERENCE")
        .map_or_else(|| shared_root().join("reference"), PathBuf::from);
    existing(root.join(name))
}

/// A file of the shared test data, below `CELL2TEXT_SHARED` where that is set, else `../shared`.
pub(crate) fn shared_file(name: &str) -> Option<PathBuf> {
    existing(shared_root().join(name))
}

fn shared_root() -> PathBuf {
    std::env::var_os("CELL2TEXT_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from)
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    skipped(&format!("{} is not there", path.display()));
    None
}

/// Says aloud that a test is skipped.
pub(crate) fn skipped(why: &str) {
    say(&format!("SKIPPED: {why}"));
}

/// Prints a line. The test harness swallows what `println!` prints in a test that passes, but not this.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
