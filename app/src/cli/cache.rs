//! `cell2text cache`: the copies ordered by gene that make colouring by a gene quick.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::anndata::{AnnData, CacheEntry, CacheFolder};
use engine::progress::Watch;
use serde_json::json;

use super::failure::Failure;
use super::interrupt;
use super::output::{Output, tell};
use super::progress::watched;

/// Lists, builds and removes gene caches: copies of large matrices ordered by gene, which make colouring quick
///
/// The window builds them by itself, in the background, for files whose matrix is stored by cells (as all of CELLxGENE
/// are) and has more than 4 million values. Smaller ones need none. The longest unused go when the budget is full.
#[derive(Debug, Clone, Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// What all of them may take together from now on, as 500MB or 50GB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    budget: Option<u64>,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// List them (the default)
    List,
    /// Build that of a file now
    Build {
        /// The h5ad file
        file: PathBuf,
    },
    /// Remove that of a file, or all
    Remove {
        /// The h5ad file; without it, all are removed
        file: Option<PathBuf>,
        /// Remove all
        #[arg(long, conflicts_with = "file", required_unless_present = "file")]
        all: bool,
    },
}

/// The folder of gene caches: `CELL2TEXT_CACHE` where that is set, else in the user's cache folder.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("CELL2TEXT_CACHE").map(PathBuf::from).or_else(|| {
        Some(directories::ProjectDirs::from("org", "Cell2Text", "Cell2Text")?.cache_dir().join("genes"))
    })
}

impl CacheArgs {
    /// Does what is asked.
    ///
    /// # Errors
    /// Where a file cannot be read, or the folder not be written.
    pub fn run(&self) -> Result<(), Failure> {
        let folder = folder().ok_or_else(|| {
            Failure::Usage("this system names no cache folder; set CELL2TEXT_CACHE to one".to_owned())
        })?;
        let folder = CacheFolder::new(&folder);
        if let Some(budget) = self.budget {
            folder.set_budget_bytes(budget)?;
        }
        match &self.what {
            None | Some(What::List) => self.list(&folder),
            Some(What::Build { file }) => self.build(&folder, file),
            Some(What::Remove { file, .. }) => self.remove(&folder, file.as_deref()),
        }
    }

    fn list(&self, folder: &CacheFolder) -> Result<(), Failure> {
        let entries = folder.entries();
        let total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let mut out = Output::new();
        if self.json {
            return out.json(&json!({
                "folder": folder.path(),
                "budget_bytes": folder.budget_bytes(),
                "bytes": total,
                "caches": entries.iter().map(as_json).collect::<Vec<_>>(),
            }));
        }
        for entry in &entries {
            let of = entry.source.as_ref().map_or("unknown file".to_owned(), |s| s.display().to_string());
            let matrix = entry.matrix.as_deref().unwrap_or("?");
            let state = match entry.cells_done * 100 / entry.n_cells.max(1) {
                100 => "whole".to_owned(),
                percent => format!("{percent} % built"),
            };
            out.line(format_args!(
                "{:>9}  {} x {}  {state}  {matrix} of {of}",
                megabytes(entry.bytes),
                entry.n_cells,
                entry.n_genes,
            ))?;
        }
        out.line(format_args!(
            "{} of at most {} in {}",
            megabytes(total),
            megabytes(folder.budget_bytes()),
            folder.path().display()
        ))
    }

    fn build(&self, folder: &CacheFolder, file: &Path) -> Result<(), Failure> {
        interrupt::listen()?;
        let (bar, watch) = watched();
        let built = build(folder, file, &watch);
        bar.finish_and_clear();
        let bytes = built?;
        let mut out = Output::new();
        match (bytes, self.json) {
            (bytes, true) => out.json(&json!({ "file": file, "bytes": bytes })),
            (Some(bytes), false) => out.line(format_args!("{}: {}", file.display(), megabytes(bytes))),
            (None, false) => out.line(format_args!(
                "{}: needs none; its genes are read at once from the file",
                file.display()
            )),
        }
    }

    fn remove(&self, folder: &CacheFolder, file: Option<&Path>) -> Result<(), Failure> {
        let same = |entry: &CacheEntry| {
            file.is_none_or(|file| {
                let made_of = entry.source.as_deref().and_then(|source| source.canonicalize().ok());
                made_of.is_some() && made_of == file.canonicalize().ok()
                    || entry.source.as_deref() == Some(file)
            })
        };
        let entries: Vec<CacheEntry> = folder.entries().into_iter().filter(same).collect();
        for entry in &entries {
            folder.remove(entry)?;
        }
        let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        if entries.is_empty() {
            tell("there was none to remove");
        }
        let mut out = Output::new();
        if self.json {
            out.json(&json!({ "removed": entries.len(), "bytes": bytes }))
        } else {
            out.line(format_args!("removed {}, {}", entries.len(), megabytes(bytes)))
        }
    }
}

/// Bytes of the cache of the file's chosen matrix; `None` where it needs none.
fn build(folder: &CacheFolder, file: &Path, watch: &Watch) -> Result<Option<u64>, engine::Error> {
    let data = AnnData::open(file, watch)?;
    let matrix = data.matrix(&data.choose_matrix()?.key)?;
    let source = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    Ok(folder.build(&matrix, &source, watch)?.map(|cache| cache.bytes()))
}

fn as_json(entry: &CacheEntry) -> serde_json::Value {
    json!({
        "path": entry.path,
        "source": entry.source,
        "matrix": entry.matrix,
        "bytes": entry.bytes,
        "n_obs": entry.n_cells,
        "n_vars": entry.n_genes,
        "cells_done": entry.cells_done,
    })
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        10_000_000..10_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// `500MB`, `50GB` or plain bytes.
fn size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_lowercase();
    let (digits, unit) = match (lower.strip_suffix("gb"), lower.strip_suffix("mb")) {
        (Some(digits), _) => (digits, 1e9),
        (_, Some(digits)) => (digits, 1e6),
        _ => (lower.as_str(), 1.0),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number >= 0.0 && (number * unit) < 1e18 => Ok((number * unit) as u64),
        _ => Err("expected a size as 500MB or 50GB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size("50GB"), Ok(50_000_000_000));
        assert_eq!(size("1.5 mb"), Ok(1_500_000));
        assert_eq!(size("0"), Ok(0));
        assert!(size("much").is_err() && size("-1GB").is_err() && size("1e40").is_err());
    }
}
