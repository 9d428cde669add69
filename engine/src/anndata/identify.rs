//! Is this file an h5ad at all? Each thing that people open by mistake gets its own answer.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::store::{Kind, Store};
use crate::error::Problem;
use crate::{Error, Result};

const HDF5_SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

fn refuse(path: &Path, found: &str, remedy: &str) -> Error {
    Error::anndata(Problem::new("file", found, "an AnnData file (.h5ad, HDF5)", remedy).in_file(path))
}

/// Refuses what is no HDF5 file, by its first bytes.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::AnnData`] when it is something else.
pub(super) fn check_is_hdf5(path: &Path) -> Result<()> {
    let failed = |e| Error::io("open the cell file", path, e);
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(refuse(
            path,
            "a folder",
            "Choose the .h5ad file inside it, a Zarr folder, or a folder with matrix.mtx, barcodes.tsv and features.tsv.",
        ));
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut head = Vec::new();
    file.by_ref().take(512).read_to_end(&mut head).map_err(failed)?;
    if head.is_empty() {
        return Err(refuse(path, "an empty file", "The download or copy failed: get the file again."));
    }
    if head.starts_with(HDF5_SIGNATURE) {
        return Ok(());
    }
    // The signature may follow a user block: at 512 bytes and each doubling of that.
    let mut offset = 512u64;
    let mut signature = [0u8; 8];
    while offset + 8 <= metadata.len() && offset <= 1 << 30 {
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        if file.read_exact(&mut signature).is_ok() && signature == HDF5_SIGNATURE {
            return Ok(());
        }
        offset *= 2;
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let text = text.trim_start();
    let (found, remedy) = if head.starts_with(&[0x1f, 0x8b]) {
        (
            "a file packed with gzip",
            "Unpack it first (gunzip, or 7-Zip on Windows); if it is an R file (.rds), convert it with zellkonverter.",
        )
    } else if text.starts_with("version https://git-lfs") {
        (
            "a Git LFS pointer, the place-holder of a large file",
            "Fetch the file itself: run `git lfs pull`, or download it from the web page of the repository.",
        )
    } else if head.starts_with(b"PK\x03\x04") {
        ("a zip archive", "Unpack it and open the .h5ad file inside.")
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || head.starts_with(b"BZh")
        || head.starts_with(b"\xfd7zXZ")
    {
        ("a packed file (zstd, bzip2 or xz)", "Unpack it first.")
    } else if text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml") {
        ("a web page", "The download gave a page instead of the file: use the direct link.")
    } else if text.starts_with("%%matrixmarket") {
        ("a MatrixMarket text file", "Open the folder of 10x Genomics that it belongs to.")
    } else if head.iter().all(|byte| *byte == 0) {
        ("a file of zero bytes", "The download or copy failed: get the file again.")
    } else {
        (
            "a file that is not HDF5",
            "Choose an .h5ad file. Tables (CSV, TSV) can be converted with anndata.read_csv(...).write_h5ad(...).",
        )
    };
    Err(refuse(path, found, remedy))
}

/// The error for an HDF5 file that the library does not open.
pub(super) fn cannot_open(path: &Path, error: &hdf5::Error) -> Error {
    let reason = error.to_string();
    if reason.contains("truncated") {
        refuse(
            path,
            &format!("an HDF5 file that is cut short ({reason})"),
            "The download or copy did not finish: get the file again.",
        )
    } else if reason.contains("lock") {
        refuse(
            path,
            &format!("a file in use by another program ({reason})"),
            "Close the program that is writing it, or open a copy.",
        )
    } else {
        refuse(path, &format!("a damaged HDF5 file ({reason})"), "Get the file again from its source.")
    }
}

/// Refuses HDF5 files of other formats.
pub(super) fn check_is_anndata(store: &Store) -> Result<()> {
    let present = |name: &str| store.kind(name) != Kind::Missing;
    if present("obs") || present("var") || present("smp") {
        return Ok(());
    }
    if store.attr_text("", "encoding-type").as_deref() == Some("anndata") {
        return Err(store.problem(
            "obs",
            "nothing there",
            "a table of cells (obs) and one of genes (var)",
            "The file is incomplete: write it again with anndata.",
        ));
    }
    let members = store.members("");
    let tenx = |group: &String| {
        let has = |name: &str| present(&format!("{group}/{name}"));
        has("barcodes") && (has("gene_names") || has("features") || has("genes"))
    };
    let (found, remedy) = if present("matrix/barcodes") || members.iter().any(tenx) {
        (
            "a 10x Genomics file (.h5) without a matrix of counts".to_owned(),
            "Convert it: scanpy.read_10x_h5(\"in.h5\").write_h5ad(\"out.h5ad\").",
        )
    } else if present("assays") && (present("meta.data") || present("cell.names")) {
        (
            "a Seurat file (.h5Seurat)".to_owned(),
            "Convert it in R with anndataR::write_h5ad, or with SeuratDisk.",
        )
    } else {
        let names: Vec<&str> = members.iter().take(5).map(String::as_str).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        (
            format!(
                "{} that is not AnnData (it holds {names})",
                if store.is_zarr() { "a Zarr folder" } else { "an HDF5 file" }
            ),
            "Choose an .h5ad file, as written by scanpy or anndata.",
        )
    };
    Err(refuse(store.path(), &found, remedy))
}
