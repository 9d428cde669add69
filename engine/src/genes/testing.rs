//! Names of real files, for tests.

use std::path::Path;

/// A column of text of `var` in an h5ad file, read with HDF5 alone: this floor is below the reader of such files.
pub(crate) fn var_column(path: &Path, column: &str) -> Vec<String> {
    let file = hdf5::File::open(path).unwrap();
    let names =
        file.dataset(&format!("var/{column}")).unwrap().read_raw::<hdf5::types::VarLenUnicode>().unwrap();
    names.iter().map(ToString::to_string).collect()
}
