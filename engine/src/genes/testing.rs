//! Where tests find the data and references that do not ship with the project.

use std::path::{Path, PathBuf};

/// `relative` in the folder of shared data, or `None`, said aloud, where it is missing.
pub(crate) fn shared(relative: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CELL2TEXT_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    present(folder.join(relative))
}

/// `relative` in the folder of reference outputs, or `None`, said aloud, where it is missing.
pub(crate) fn reference(relative: &str) -> Option<PathBuf> {
    match std::env::var_os("CELL2TEXT_REFERENCE") {
        Some(folder) => present(PathBuf::from(folder).join(relative)),
        None => shared(&format!("reference/{relative}")),
    }
}

#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn present(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is missing", path.display());
    None
}

/// A column of text of `var` in an h5ad file, read with HDF5 alone.
pub(crate) fn var_column(path: &Path, column: &str) -> Vec<String> {
    let file = hdf5::File::open(path).unwrap();
    let names =
        file.dataset(&format!("var/{column}")).unwrap().read_raw::<hdf5::types::VarLenUnicode>().unwrap();
    names.iter().map(ToString::to_string).collect()
}
