//! A gene-major twin of a matrix by cells, kept in a cache folder.
//!
//! In a CSR file one gene lies scattered over all of it. The twin holds the same values ordered by gene, so that
//! colouring by a gene is a handful of short reads. It is written in one pass and one direction:
//!
//! ```text
//! head    "C2TGENES", version, key of the content, cells, genes
//! parts   each: first and last row, blocks, bytes, how each block lies, where each gene begins, the genes' entries,
//!         the sum of each row
//! ```
//!
//! A part holds some thousands of cells, as many as the memory budget allows, with their entries ordered by gene. A
//! gene's column is its run in every part, one after the other. A part is whole or it is not there: after a stop or
//! a crash the next build goes on behind the last whole one. How a run and its blocks of cells lie is said in
//! [`unpack::runs`]; [`super::gene_build`] makes them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use unpack::runs::{BlockHead, decode};

use crate::error::Problem;
use crate::files::read_exact_at;
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"C2TGENES";
const VERSION: u32 = 3;
pub(super) const HEAD_BYTES: u64 = 8 + 4 + 32 + 8 + 8;
pub(super) const PART_MAGIC: &[u8; 8] = b"PARTHEAD";
pub(super) const PART_END: &[u8; 8] = b"PART-END";
pub(super) const PART_HEAD_BYTES: u64 = 8 + 8 + 8 + 8 + 8;

/// Names the content that a cache was made of.
pub type CacheKey = [u8; 32];

/// A matrix ordered by gene, open for reading.
#[derive(Debug)]
pub struct GeneCache {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) n_cells: usize,
    pub(super) n_genes: usize,
    pub(super) parts: Vec<Part>,
}

/// How far a cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) n_cells: usize,
    pub(super) n_genes: usize,
    pub(super) cells_done: usize,
}

/// One part of the file.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) rows: Range<usize>,
    /// How the blocks of cells lie, `[blocks]`.
    pub(super) blocks: Vec<BlockHead>,
    /// Where the table of beginnings lies, `[genes + 1]` of four bytes.
    pub(super) table: u64,
    /// Bytes of the genes' entries, which follow the table.
    pub(super) bytes: u64,
}

impl Part {
    fn body(&self, n_genes: usize) -> u64 {
        self.table + 4 * (n_genes as u64 + 1)
    }

    fn sums(&self, n_genes: usize) -> u64 {
        self.body(n_genes) + self.bytes
    }

    pub(super) fn end(&self, n_genes: usize) -> u64 {
        // Damage may claim any number of rows.
        let sums = (self.rows.len() as u64).saturating_mul(8);
        self.sums(n_genes).saturating_add(sums).saturating_add(PART_END.len() as u64)
    }
}

impl GeneCache {
    /// Opens the cache at `path` for the content `key`; `None` where there is none, or one of other content, or one
    /// that is not finished.
    ///
    /// # Errors
    /// [`Error::Io`] where a file that is there cannot be read.
    pub fn open(path: &Path, key: &CacheKey, n_cells: usize, n_genes: usize) -> Result<Option<Self>> {
        let Some(cache) = Self::open_parts(path, key, n_cells, n_genes)? else { return Ok(None) };
        Ok((cache.rows_done() == n_cells).then_some(cache))
    }

    /// The whole parts of the cache at `path`.
    pub(super) fn open_parts(
        path: &Path,
        key: &CacheKey,
        n_cells: usize,
        n_genes: usize,
    ) -> Result<Option<Self>> {
        let failed = |e| Error::io("read the gene cache", path, e);
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let length = file.metadata().map_err(failed)?.len();
        let mut head = [0; HEAD_BYTES as usize];
        if file.read_exact(&mut head).is_err() || head != head_bytes(key, n_cells, n_genes) {
            return Ok(None);
        }
        let mut parts: Vec<Part> = Vec::new();
        let mut at = HEAD_BYTES;
        while let Some(part) = read_part(&mut file, at, length, n_genes) {
            let expected = parts.last().map_or(0, |p| p.rows.end);
            if part.rows.start != expected || part.rows.end <= expected || part.rows.end > n_cells {
                break;
            }
            at = part.end(n_genes);
            parts.push(part);
        }
        Ok(Some(Self { path: path.to_owned(), file, n_cells, n_genes, parts }))
    }

    pub(super) fn rows_done(&self) -> usize {
        self.parts.last().map_or(0, |part| part.rows.end)
    }

    /// Where the last whole part ends.
    pub(super) fn end(&self) -> u64 {
        self.parts.last().map_or(HEAD_BYTES, |part| part.end(self.n_genes))
    }

    /// One gene over all cells, `[n_cells]`, as [`super::Matrix::column`] gives it.
    ///
    /// # Errors
    /// [`Error::Request`] when there is no such gene; [`Error::Io`] and [`Error::AnnData`] when the cache cannot be
    /// read: then remove it.
    pub fn column(&self, gene: usize) -> Result<Vec<f32>> {
        if gene >= self.n_genes {
            return Err(Error::request(Problem::new(
                "the gene cache",
                format!("gene {gene}"),
                format!("a number below {}", self.n_genes),
                "Ask for one that exists.",
            )));
        }
        let mut dense = vec![0.0; self.n_cells];
        let mut rest = dense.as_mut_slice();
        let mut pieces = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let (here, behind) = std::mem::take(&mut rest)
                .split_at_mut_checked(part.rows.len())
                .ok_or_else(|| self.damaged(gene))?;
            pieces.push((part, here));
            rest = behind;
        }
        // A drive gives many small pieces at a time as quickly as one.
        pieces.into_par_iter().try_for_each_init(Vec::new, |run, (part, rows)| {
            self.read_run(gene, part, run)?;
            decode(run, &part.blocks, rows).ok_or_else(|| self.damaged(gene))
        })?;
        for value in &mut dense {
            if value.is_infinite() {
                *value = f32::NAN;
            }
        }
        Ok(dense)
    }

    /// The bytes of a gene's run in `part`.
    fn read_run(&self, gene: usize, part: &Part, run: &mut Vec<u8>) -> Result<()> {
        let failed = |e| Error::io("read the gene cache", &self.path, e);
        let mut ends = [0; 8];
        read_exact_at(&self.file, &mut ends, part.table + 4 * gene as u64).map_err(failed)?;
        // Two numbers of four bytes each.
        let ends = u64::from_le_bytes(ends);
        let (start, end) = (ends & 0xffff_ffff, ends >> 32);
        if start > end || end > part.bytes {
            return Err(self.damaged(gene));
        }
        run.resize((end - start) as usize, 0);
        read_exact_at(&self.file, run, part.body(self.n_genes) + start).map_err(failed)
    }

    fn damaged(&self, gene: usize) -> Error {
        Error::anndata(
            Problem::new(
                format!("gene {gene}"),
                "damaged data",
                "a run of cells and values",
                "Remove this file: it only holds a copy and is made again.",
            )
            .in_file(&self.path),
        )
    }

    /// The sum of every row, `[n_cells]`.
    ///
    /// # Errors
    /// [`Error::Io`] when the cache cannot be read.
    pub fn totals(&self) -> Result<Vec<f64>> {
        let mut totals = Vec::with_capacity(self.n_cells);
        for part in &self.parts {
            let mut bytes = vec![0; 8 * part.rows.len()];
            read_exact_at(&self.file, &mut bytes, part.sums(self.n_genes))
                .map_err(|e| Error::io("read the gene cache", &self.path, e))?;
            totals.extend(bytes.as_chunks::<8>().0.iter().map(|sum| f64::from_le_bytes(*sum)));
        }
        Ok(totals)
    }

    /// What lies at `path`, whether whole or not: cells and genes of the matrix, and how many cells are there. `None`
    /// for what is no gene cache.
    pub(super) fn extent(path: &Path) -> Option<Extent> {
        let mut head = [0; HEAD_BYTES as usize];
        File::open(path).ok()?.read_exact(&mut head).ok()?;
        let key: CacheKey = head.get(12..44)?.try_into().ok()?;
        let n_cells = usize::try_from(number(&head, 44)).ok()?;
        let n_genes = usize::try_from(number(&head, 52)).ok()?;
        let found = Self::open_parts(path, &key, n_cells, n_genes).ok()??;
        Some(Extent { n_cells, n_genes, cells_done: found.rows_done() })
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.end()
    }
}

pub(super) fn head_bytes(key: &CacheKey, n_cells: usize, n_genes: usize) -> [u8; HEAD_BYTES as usize] {
    let mut head = [0; HEAD_BYTES as usize];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..44].copy_from_slice(key);
    head[44..52].copy_from_slice(&(n_cells as u64).to_le_bytes());
    head[52..60].copy_from_slice(&(n_genes as u64).to_le_bytes());
    head
}

/// Whether a gene cache of another version of this program lies at `path`.
pub(super) fn is_of_another_version(path: &Path) -> bool {
    let mut head = [0; 12];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head.starts_with(MAGIC) && !head.ends_with(&VERSION.to_le_bytes())
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The part at `at`, where a whole one is.
fn read_part(file: &mut File, at: u64, length: u64, n_genes: usize) -> Option<Part> {
    let mut head = [0; PART_HEAD_BYTES as usize];
    file.seek(SeekFrom::Start(at)).ok()?;
    file.read_exact(&mut head).ok()?;
    if &head[..8] != PART_MAGIC {
        return None;
    }
    let rows = usize::try_from(number(&head, 8)).ok()?..usize::try_from(number(&head, 16)).ok()?;
    let n_blocks = number(&head, 24);
    // Every block has a cell; damage may claim any number.
    if n_blocks > rows.len() as u64 || n_blocks > length {
        return None;
    }
    let mut heads = vec![0; 2 * n_blocks as usize];
    file.read_exact(&mut heads).ok()?;
    let blocks: Vec<BlockHead> =
        heads.as_chunks::<2>().0.iter().map(|head| BlockHead::from_bytes(*head)).collect::<Option<_>>()?;
    if blocks.iter().map(|block| block.n_cells).sum::<usize>() != rows.len() {
        return None;
    }
    let table = at + PART_HEAD_BYTES + 2 * n_blocks;
    let part = Part { rows, blocks, table, bytes: number(&head, 32) };
    if part.bytes > length || part.end(n_genes) > length {
        return None;
    }
    let mut end = [0; 8];
    file.seek(SeekFrom::Start(part.end(n_genes) - 8)).ok()?;
    file.read_exact(&mut end).ok()?;
    (&end == PART_END).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::tests::fixtures::{Fixture, Table, Written};
    use crate::anndata::{Matrix, MatrixKey};
    use crate::progress::{Cancel, Watch};

    fn csr(table: &Table) -> Written {
        let (data, indices, indptr) = table.parts(false);
        let fixture = Fixture::new(table.n_rows, table.n_cols);
        let shape = [table.n_rows as i64, table.n_cols as i64];
        fixture.compressed("X", "csr_matrix", shape, (&data, &indices, &indptr));
        fixture.finish()
    }

    fn matrix(written: &Written) -> Matrix {
        written.open().unwrap().matrix(&MatrixKey::X).unwrap()
    }

    fn check(cache: &GeneCache, table: &Table) {
        for gene in 0..table.n_cols {
            assert_eq!(cache.column(gene).unwrap(), table.column(gene), "gene {gene}");
        }
        let sum = |row: usize| (0..table.n_cols).map(|gene| f64::from(table.at(row, gene))).sum::<f64>();
        assert_eq!(cache.totals().unwrap(), (0..table.n_rows).map(sum).collect::<Vec<_>>());
    }

    #[test]
    fn a_gene_of_the_cache_is_the_gene_of_the_file_whatever_the_budget() {
        let table = Table::new(230, 9);
        let written = csr(&table);
        let matrix = matrix(&written);
        for budget in [1, 1000, 20_000, 1 << 26] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("genes");
            check(&matrix.gene_cache(&path, budget, u64::MAX, &Watch::silent()).unwrap().unwrap(), &table);
            let key = matrix.content_key().unwrap().unwrap();
            check(&GeneCache::open(&path, &key, 230, 9).unwrap().unwrap(), &table);
        }
    }

    #[test]
    fn a_build_that_was_stopped_or_cut_short_goes_on_to_the_same_bytes() {
        let table = Table::new(300, 9);
        let written = csr(&table);
        let matrix = matrix(&written);
        let key = matrix.content_key().unwrap().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let [whole, path] = ["whole", "stopped"].map(|name| folder.path().join(name));
        matrix.gene_cache(&whole, 4000, u64::MAX, &Watch::silent()).unwrap();
        let whole = std::fs::read(&whole).unwrap();
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let watch = Watch::new(cancel, move |progress| {
            if progress.done > 300 {
                stop.cancel();
            }
        });
        assert!(matrix.gene_cache(&path, 4000, u64::MAX, &watch).unwrap_err().is_cancelled());
        assert!(GeneCache::open(&path, &key, 300, 9).unwrap().is_none(), "half a cache is none");
        let half = std::fs::read(&path).unwrap();
        for cut in [half.len(), half.len() - 3, half.len() / 2, 70, 60, 10, 0] {
            std::fs::write(&path, &half[..cut]).unwrap();
            check(&matrix.gene_cache(&path, 4000, u64::MAX, &Watch::silent()).unwrap().unwrap(), &table);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_cache_of_other_content_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("genes");
        let [first, second] = [Table::new(50, 6), Table::new(50, 7)];
        for table in [&first, &second, &first] {
            let written = csr(table);
            check(
                &matrix(&written).gene_cache(&path, 1 << 20, u64::MAX, &Watch::silent()).unwrap().unwrap(),
                table,
            );
        }
    }

    #[test]
    fn damage_in_a_cache_is_told_with_the_file_and_never_believed() {
        let table = Table::new(100, 5);
        let written = csr(&table);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("genes");
        let matrix = matrix(&written);
        let key = matrix.content_key().unwrap().unwrap();
        matrix.gene_cache(&path, 1 << 20, u64::MAX, &Watch::silent()).unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            std::fs::write(&path, &bad).unwrap();
            let Some(cache) = GeneCache::open(&path, &key, 100, 5).unwrap() else { continue };
            for gene in 0..5 {
                if let Err(error) = cache.column(gene) {
                    assert!(error.to_string().contains("genes"), "{error}");
                }
            }
        }
    }
}
