//! A gene-major twin of a matrix by cells, kept in a cache folder.
//!
//! In a CSR file one gene lies scattered over all of it. The twin holds the same values ordered by gene, so that
//! colouring by a gene is a handful of short reads. It is written in one pass and one direction:
//!
//! ```text
//! head    "C2TGENES", version, key of the content, cells, genes
//! parts   each: first and last row, bytes, where each gene begins, the genes' entries, the sum of each row
//! ```
//!
//! A part holds some thousands of cells, as many as the memory budget allows, with their entries ordered by gene. A
//! gene's column is its run in every part, one after the other. A part is whole or it is not there: after a stop or
//! a crash the next build goes on behind the last whole one.
//! How a run lies is said in [`super::gene_runs`].

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::prelude::*;

use super::compressed::Compressed;
use super::gene_runs::{decode, encode};
use super::scan;
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"C2TGENES";
const VERSION: u32 = 2;
const HEAD_BYTES: u64 = 8 + 4 + 32 + 8 + 8;
const PART_MAGIC: &[u8; 8] = b"PARTHEAD";
const PART_END: &[u8; 8] = b"PART-END";
const PART_HEAD_BYTES: u64 = 8 + 8 + 8 + 8;
/// Memory for one entry while a part is made: index, value, and both again in order.
const BYTES_PER_ENTRY: usize = 16;

/// Names the content that a cache was made of.
pub type CacheKey = [u8; 32];

/// A matrix ordered by gene, open for reading.
#[derive(Debug)]
pub struct GeneCache {
    path: PathBuf,
    file: Mutex<File>,
    n_cells: usize,
    n_genes: usize,
    parts: Vec<Part>,
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
struct Part {
    rows: Range<usize>,
    /// Where the table of beginnings lies.
    table: u64,
    /// Bytes of the genes' entries, which follow the table.
    bytes: u64,
}

impl Part {
    fn body(&self, n_genes: usize) -> u64 {
        self.table + 8 * (n_genes as u64 + 1)
    }

    fn sums(&self, n_genes: usize) -> u64 {
        self.body(n_genes) + self.bytes
    }

    fn end(&self, n_genes: usize) -> u64 {
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
    fn open_parts(path: &Path, key: &CacheKey, n_cells: usize, n_genes: usize) -> Result<Option<Self>> {
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
        Ok(Some(Self { path: path.to_owned(), file: Mutex::new(file), n_cells, n_genes, parts }))
    }

    fn rows_done(&self) -> usize {
        self.parts.last().map_or(0, |part| part.rows.end)
    }

    /// Where the last whole part ends.
    fn end(&self) -> u64 {
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
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut run = Vec::new();
        for part in &self.parts {
            let read = |file: &mut File, at: u64, bytes: &mut [u8]| {
                file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(bytes))
            };
            let failed = |e| Error::io("read the gene cache", &self.path, e);
            let mut ends = [0; 16];
            read(&mut file, part.table + 8 * gene as u64, &mut ends).map_err(failed)?;
            let (start, end) = (number(&ends, 0), number(&ends, 8));
            if start > end || end > part.bytes {
                return Err(self.damaged(gene));
            }
            run.resize((end - start) as usize, 0);
            read(&mut file, part.body(self.n_genes) + start, &mut run).map_err(failed)?;
            let rows = dense.get_mut(part.rows.clone()).ok_or_else(|| self.damaged(gene))?;
            decode(&run, rows).ok_or_else(|| self.damaged(gene))?;
        }
        for value in &mut dense {
            if value.is_infinite() {
                *value = f32::NAN;
            }
        }
        Ok(dense)
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
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut totals = Vec::with_capacity(self.n_cells);
        for part in &self.parts {
            let mut bytes = vec![0; 8 * part.rows.len()];
            file.seek(SeekFrom::Start(part.sums(self.n_genes)))
                .and_then(|_| file.read_exact(&mut bytes))
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

    /// Builds the cache, or goes on where an earlier build stopped.
    ///
    /// # Memory
    /// `budget_bytes`, but never less than one row takes. On disk, `most_bytes` and one part more at most.
    ///
    /// # Errors
    /// [`Error::Request`] where it grows beyond `most_bytes`; [`Error::Cancelled`], after which the next call goes on; [`Error::Io`] where the folder cannot be written;
    /// what reading the matrix gives.
    pub(super) fn build(
        matrix: &Compressed,
        path: &Path,
        key: &CacheKey,
        budget_bytes: usize,
        most_bytes: u64,
        watch: &Watch,
    ) -> Result<Self> {
        let (n_cells, n_genes) = (matrix.n_majors(), matrix.n_minor());
        let failed = |e| Error::io("write the gene cache", path, e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        // Two programs may have the same file open; one of them builds.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::request(
                    Problem::new(
                        "the gene cache",
                        "that another program builds it",
                        "nobody at it",
                        "Wait for it.",
                    )
                    .in_file(path),
                ));
            }
            // A drive without locks: then nobody else is told either.
            Err(TryLockError::Error(_)) => {}
        }
        let found = Self::open_parts(path, key, n_cells, n_genes)?;
        let (mut parts, end) = match found {
            Some(found) => {
                let end = found.end();
                (found.parts, end)
            }
            None => {
                file.set_len(0).map_err(failed)?;
                file.write_all(&head_bytes(key, n_cells, n_genes)).map_err(failed)?;
                (Vec::new(), HEAD_BYTES)
            }
        };
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(failed)?;
        let mut at = end;
        let most = (budget_bytes / BYTES_PER_ENTRY).max(1);
        let mut row = parts.last().map_or(0, |part: &Part| part.rows.end);
        while row < n_cells {
            let first = matrix.span(row).start;
            watch.step("Ordering the matrix by gene", first as u64, Some(matrix.n_entries()))?;
            let mut last = row + 1;
            while last < n_cells && matrix.span(last).end - first <= most {
                last += 1;
            }
            let rows = row..last;
            let Ordered { table, body, sums } = ordered(matrix, rows.clone(), watch)?;
            let mut head = Vec::with_capacity(PART_HEAD_BYTES as usize + 8 * table.len());
            head.extend_from_slice(PART_MAGIC);
            for value in [rows.start as u64, rows.end as u64, body.iter().map(|b| b.len() as u64).sum()] {
                head.extend_from_slice(&value.to_le_bytes());
            }
            for start in &table {
                head.extend_from_slice(&start.to_le_bytes());
            }
            file.write_all(&head).map_err(failed)?;
            for piece in &body {
                watch.check()?;
                file.write_all(piece).map_err(failed)?;
            }
            let sums: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
            file.write_all(&sums).and_then(|()| file.write_all(PART_END)).map_err(failed)?;
            let bytes = table.last().copied().unwrap_or(0);
            let part = Part { rows, table: at + PART_HEAD_BYTES, bytes };
            at = part.end(n_genes);
            parts.push(part);
            row = last;
            if at > most_bytes && row < n_cells {
                return Err(too_large(path, at, most_bytes));
            }
        }
        file.sync_all().and_then(|()| file.unlock()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), n_cells, n_genes, parts })
    }
}

fn too_large(path: &Path, found: u64, most: u64) -> Error {
    Error::request(
        Problem::new(
            "the gene cache",
            format!("{} MB before it is whole", found >> 20),
            format!("at most {} MB", most >> 20),
            "Allow for more: cell2text cache --budget 50GB.",
        )
        .in_file(path),
    )
}

fn head_bytes(key: &CacheKey, n_cells: usize, n_genes: usize) -> [u8; HEAD_BYTES as usize] {
    let mut head = [0; HEAD_BYTES as usize];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..44].copy_from_slice(key);
    head[44..52].copy_from_slice(&(n_cells as u64).to_le_bytes());
    head[52..60].copy_from_slice(&(n_genes as u64).to_le_bytes());
    head
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
    let part = Part { rows, table: at + PART_HEAD_BYTES, bytes: number(&head, 24) };
    if part.bytes > length || part.end(n_genes) > length {
        return None;
    }
    let mut end = [0; 8];
    file.seek(SeekFrom::Start(part.end(n_genes) - 8)).ok()?;
    file.read_exact(&mut end).ok()?;
    (&end == PART_END).then_some(part)
}

/// The entries of some rows by gene.
struct Ordered {
    /// Where each gene begins, `[genes + 1]`.
    table: Vec<u64>,
    /// The runs, in pieces.
    body: Vec<Vec<u8>>,
    /// The sum of each row, but for values that are not finite.
    sums: Vec<f64>,
}

fn ordered(matrix: &Compressed, rows: Range<usize>, watch: &Watch) -> Result<Ordered> {
    let n_genes = matrix.n_minor();
    let first = matrix.span(rows.start).start;
    let last = matrix.span(rows.end - 1).end;
    let (genes, values) = scan::entries(matrix, first..last, watch)?;
    let mut starts = vec![0usize; n_genes + 1];
    for gene in &genes {
        starts[*gene as usize + 1] += 1;
    }
    watch.check()?;
    for gene in 0..n_genes {
        starts[gene + 1] += starts[gene];
    }
    let mut next = starts.clone();
    let mut by_gene = vec![(0u32, 0f32); genes.len()];
    let mut sums = Vec::with_capacity(rows.len());
    for (cell, row) in rows.enumerate() {
        if cell % 4096 == 0 {
            watch.check()?;
        }
        let span = matrix.span(row);
        let span = span.start - first..span.end - first;
        sums.push(values[span.clone()].iter().filter(|v| v.is_finite()).map(|v| f64::from(*v)).sum());
        for (gene, value) in genes[span.clone()].iter().zip(&values[span]) {
            let place = &mut next[*gene as usize];
            by_gene[*place] = (cell as u32, *value);
            *place += 1;
        }
    }
    drop((genes, values));
    // Genes in pieces of about the same number of entries, so that cores share the work.
    let most = (by_gene.len() / 64).max(1 << 14);
    let mut pieces = Vec::new();
    let mut gene = 0;
    while gene < n_genes {
        let mut end = gene + 1;
        while end < n_genes && starts[end + 1] - starts[gene] <= most {
            end += 1;
        }
        pieces.push(gene..end);
        gene = end;
    }
    let encoded: Vec<(Vec<u8>, Vec<u64>)> = pieces
        .into_par_iter()
        .map(|genes| {
            let (mut bytes, mut lengths) = (Vec::new(), Vec::with_capacity(genes.len()));
            for gene in genes {
                let before = bytes.len();
                encode(&by_gene[starts[gene]..starts[gene + 1]], &mut bytes);
                lengths.push((bytes.len() - before) as u64);
            }
            (bytes, lengths)
        })
        .collect();
    let mut table = Vec::with_capacity(n_genes + 1);
    let mut at = 0;
    table.push(at);
    for length in encoded.iter().flat_map(|(_, lengths)| lengths) {
        at += length;
        table.push(at);
    }
    Ok(Ordered { table, body: encoded.into_iter().map(|(bytes, _)| bytes).collect(), sums })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::tests::fixtures::{Fixture, Table, Written};
    use crate::anndata::{Matrix, MatrixKey};
    use crate::progress::Cancel;

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
