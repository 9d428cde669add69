//! The folder of gene-major twins: found by content, bounded in size, the longest unused going first.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::gene_cache::{GeneCache, is_of_another_version};
use super::matrix::Matrix;
use crate::error::Problem;
use crate::files::write_atomically;
use crate::progress::Watch;
use crate::{Error, Result};

/// Bytes that all twins may take together, unless the user says otherwise.
const USUAL_BUDGET_BYTES: u64 = 20 << 30;
/// Memory for building one.
const BUILD_BYTES: usize = 256 << 20;
/// What an entry of a matrix of counts takes on disk, about.
const BYTES_PER_ENTRY: u64 = 3;
const EXTENSION: &str = "genes";
const SETTINGS: &str = "settings.json";

/// A folder that holds gene-major twins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFolder {
    folder: PathBuf,
}

/// One twin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// Its file.
    pub path: PathBuf,
    /// The file it was made of, where that is known.
    pub source: Option<PathBuf>,
    /// The matrix of that file.
    pub matrix: Option<String>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Cells of the matrix.
    pub n_cells: usize,
    /// Genes of the matrix.
    pub n_genes: usize,
    /// Cells that are in it; all of them where it is whole.
    pub cells_done: usize,
    /// When it was last used.
    pub used: SystemTime,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct About {
    source: Option<PathBuf>,
    matrix: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Settings {
    budget_bytes: u64,
}

impl CacheFolder {
    /// The twins in `folder`, which need not exist yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Bytes that all twins may take together.
    pub fn budget_bytes(&self) -> u64 {
        let text = std::fs::read(self.folder.join(SETTINGS)).unwrap_or_default();
        serde_json::from_slice::<Settings>(&text).map_or(USUAL_BUDGET_BYTES, |settings| settings.budget_bytes)
    }

    /// Sets what all twins may take together, and removes those for which that is too little.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written.
    pub fn set_budget_bytes(&self, budget_bytes: u64) -> Result<()> {
        self.make()?;
        let text = serde_json::to_vec(&Settings { budget_bytes }).unwrap_or_default();
        write_atomically(&self.folder.join(SETTINGS), &text)?;
        self.make_room(0, None)
    }

    /// All twins, the last used first.
    pub fn entries(&self) -> Vec<CacheEntry> {
        let mut entries: Vec<CacheEntry> = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|found| found.path().extension().is_some_and(|extension| extension == EXTENSION))
            .filter_map(|found| {
                let (path, meta) = (found.path(), found.metadata().ok()?);
                let extent = GeneCache::extent(&path)?;
                let about = std::fs::read(path.with_extension("json")).unwrap_or_default();
                let About { source, matrix } = serde_json::from_slice(&about).unwrap_or_default();
                Some(CacheEntry {
                    path,
                    source,
                    matrix,
                    bytes: meta.len(),
                    n_cells: extent.n_cells,
                    n_genes: extent.n_genes,
                    cells_done: extent.cells_done,
                    used: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                })
            })
            .collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        entries
    }

    /// Removes one twin.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be removed.
    pub fn remove(&self, entry: &CacheEntry) -> Result<()> {
        let _ = std::fs::remove_file(entry.path.with_extension("json"));
        std::fs::remove_file(&entry.path).map_err(|e| Error::io("remove", &entry.path, e))
    }

    /// The twin of `matrix`, where a whole one is there.
    ///
    /// # Errors
    /// [`Error::AnnData`] and [`Error::Io`] where matrix or twin cannot be read.
    pub fn open(&self, matrix: &Matrix) -> Result<Option<GeneCache>> {
        let Some(key) = matrix.content_key()? else { return Ok(None) };
        let path = self.file(&key);
        let cache = GeneCache::open(&path, &key, matrix.n_rows(), matrix.n_cols())?;
        if cache.is_some() {
            touch(&path);
        }
        Ok(cache)
    }

    /// The twin of `matrix`, built where it is not there or not whole. `None` where the matrix needs none: it is not by
    /// cells, or genes are read from it in a blink.
    ///
    /// # Errors
    /// [`Error::Request`] where it would take more than the budget, or another program builds it;
    /// [`Error::Cancelled`], after which another call goes on; [`Error::Io`]; what reading the matrix gives.
    pub fn build(&self, matrix: &Matrix, source: &Path, watch: &Watch) -> Result<Option<GeneCache>> {
        if !matrix.profits_from_gene_cache() {
            return Ok(None);
        }
        if let Some(cache) = self.open(matrix)? {
            return Ok(Some(cache));
        }
        let Some(key) = matrix.content_key()? else { return Ok(None) };
        let path = self.file(&key);
        self.make()?;
        self.make_room(matrix.n_stored() * BYTES_PER_ENTRY, Some(&path))?;
        let about = About { source: Some(source.to_path_buf()), matrix: Some(matrix.key().to_string()) };
        write_atomically(&path.with_extension("json"), &serde_json::to_vec(&about).unwrap_or_default())?;
        let built = matrix.gene_cache(&path, BUILD_BYTES, self.budget_bytes(), watch);
        if built.is_err() && path.metadata().is_ok_and(|meta| meta.len() > self.budget_bytes()) {
            // A part of it that takes more than all may, is of no use to anyone.
            let _ = std::fs::remove_file(path.with_extension("json"));
            let _ = std::fs::remove_file(&path);
        }
        let built = built?;
        self.make_room(0, Some(&path))?;
        Ok(built)
    }

    /// Removes twins of other versions of this program, which nobody reads any more.
    fn remove_outdated(&self) {
        for found in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = found.path();
            if path.extension().is_some_and(|e| e == EXTENSION) && is_of_another_version(&path) {
                let _ = std::fs::remove_file(path.with_extension("json"));
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    fn file(&self, key: &[u8; 32]) -> PathBuf {
        let name: String = key.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name).with_extension(EXTENSION)
    }

    fn make(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::io("make the cache folder", &self.folder, e))
    }

    /// Removes the longest unused twins until `wanted` bytes more fit into the budget; `keep` stays.
    fn make_room(&self, wanted: u64, keep: Option<&Path>) -> Result<()> {
        let budget = self.budget_bytes();
        if wanted > budget {
            return Err(Error::request(
                Problem::new(
                    "the gene cache",
                    format!("a matrix that needs about {} MB", wanted >> 20),
                    format!("at most {} MB, the budget of all gene caches", budget >> 20),
                    "Genes are read from the file itself, which takes longer. Allow for more: cell2text cache --budget \
                     50GB.",
                )
                .in_file(&self.folder),
            ));
        }
        self.remove_outdated();
        let entries = self.entries();
        // What the one that stays has already is part of what it wants.
        let others = || entries.iter().filter(|entry| keep != Some(&*entry.path));
        let kept = entries.iter().find(|entry| keep == Some(&*entry.path)).map_or(0, |entry| entry.bytes);
        let mut total = others().map(|entry| entry.bytes).sum::<u64>() + wanted.max(kept);
        for entry in others().collect::<Vec<_>>().into_iter().rev() {
            if total <= budget {
                break;
            }
            self.remove(entry)?;
            total -= entry.bytes;
        }
        Ok(())
    }
}

/// Marks a twin as used now. Where that fails it goes sooner.
fn touch(path: &Path) {
    let _ = std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|file| file.set_modified(SystemTime::now()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::MatrixKey;
    use crate::anndata::tests::fixtures::{Fixture, Table, Written};

    fn csr(n_rows: usize, n_cols: usize) -> (Written, Table) {
        let table = Table::new(n_rows, n_cols);
        let (data, indices, indptr) = table.parts(false);
        let fixture = Fixture::new(n_rows, n_cols);
        let shape = [n_rows as i64, n_cols as i64];
        fixture.compressed("X", "csr_matrix", shape, (&data, &indices, &indptr));
        (fixture.finish(), table)
    }

    /// A twin of a small matrix, which `build` would not make.
    fn make(folder: &CacheFolder, written: &Written) -> PathBuf {
        let matrix = written.open().unwrap().matrix(&MatrixKey::X).unwrap();
        let path = folder.file(&matrix.content_key().unwrap().unwrap());
        folder.make().unwrap();
        matrix.gene_cache(&path, 1 << 20, u64::MAX, &Watch::silent()).unwrap().unwrap();
        path
    }

    #[test]
    fn values_changed_anywhere_give_a_matrix_another_name() {
        let table = Table::new(9000, 16);
        let (mut data, indices, indptr) = table.parts(false);
        let key = |data: &[f32]| {
            let fixture = Fixture::new(9000, 16);
            fixture.compressed("X", "csr_matrix", [9000, 16], (data, &indices, &indptr));
            fixture.finish().open().unwrap().matrix(&MatrixKey::X).unwrap().content_key().unwrap().unwrap()
        };
        let before = key(&data);
        assert_eq!(key(&data), before);
        // Neither at the start nor in the middle nor at the end, which are looked at whole.
        let n = data.len();
        assert!(n > 40_000);
        data.iter_mut().skip(n / 4).take(200).for_each(|value| *value += 1.0);
        assert_ne!(key(&data), before);
    }

    #[test]
    fn a_twin_is_found_by_content_wherever_its_file_lies() {
        let place = tempfile::tempdir().unwrap();
        let folder = CacheFolder::new(&place.path().join("not yet"));
        assert!(folder.entries().is_empty());
        let (written, table) = csr(200, 9);
        let matrix = written.open().unwrap().matrix(&MatrixKey::X).unwrap();
        assert!(folder.open(&matrix).unwrap().is_none());
        make(&folder, &written);
        let elsewhere = place.path().join("moved.h5ad");
        std::fs::copy(&written.path, &elsewhere).unwrap();
        let moved = crate::anndata::AnnData::open(&elsewhere, &Watch::silent()).unwrap();
        let twin = folder.open(&moved.matrix(&MatrixKey::X).unwrap()).unwrap().unwrap();
        assert_eq!(twin.column(4).unwrap(), table.column(4));
        let entries = folder.entries();
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((entry.n_cells, entry.n_genes, entry.cells_done), (200, 9, 200));
        folder.remove(entry).unwrap();
        assert!(folder.entries().is_empty());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_when_the_budget_is_full() {
        let place = tempfile::tempdir().unwrap();
        let folder = CacheFolder::new(place.path());
        let paths: Vec<PathBuf> = [100, 101, 102].map(|n| make(&folder, &csr(n, 9).0)).to_vec();
        for (age, path) in [(30, &paths[0]), (10, &paths[1]), (20, &paths[2])] {
            let then = SystemTime::now() - std::time::Duration::from_secs(age);
            std::fs::File::options().append(true).open(path).unwrap().set_modified(then).unwrap();
        }
        let bytes = |path: &PathBuf| path.metadata().unwrap().len();
        let room_for_two = bytes(&paths[1]) + bytes(&paths[2]);
        folder.set_budget_bytes(room_for_two).unwrap();
        assert_eq!(folder.budget_bytes(), room_for_two);
        assert_eq!(paths.iter().map(|p| p.exists()).collect::<Vec<_>>(), [false, true, true]);
        folder.make_room(1, None).unwrap();
        assert_eq!(paths.iter().map(|p| p.exists()).collect::<Vec<_>>(), [false, true, false]);
        let error = folder.make_room(room_for_two + 1, None).unwrap_err().to_string();
        assert!(error.contains("--budget"), "{error}");
    }

    #[test]
    fn a_small_matrix_gets_no_twin() {
        let place = tempfile::tempdir().unwrap();
        let folder = CacheFolder::new(place.path());
        let (written, _) = csr(50, 9);
        let matrix = written.open().unwrap().matrix(&MatrixKey::X).unwrap();
        assert!(folder.build(&matrix, &written.path, &Watch::silent()).unwrap().is_none());
        assert!(folder.entries().is_empty());
    }
}
