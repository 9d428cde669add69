//! One matrix of the file, read by cells or by gene without ever being loaded.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::MatrixKey;
use super::compressed::Compressed;
use super::csc_rows::CscRows;
use super::gene_cache::{CacheKey, GeneCache};
use super::header::{Form, Header};
use super::rows::SparseRow;
use super::scan::Gathered;
use super::store::Stored;
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

/// Values read at a time from a dense matrix: 16 MB.
const DENSE_BLOCK: usize = 4 << 20;
/// Rows read at a time for one column of a dense matrix, so that a stop is heard.
const DENSE_COLUMN_ROWS: usize = 1024;
/// Entries above which a gene-major twin is worth its disk: below, a pass takes a blink.
const WORTH_CACHING: u64 = 4 << 20;

/// How a matrix lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Compressed rows: a cell is read at once, a gene by a pass over the file.
    Csr,
    /// Compressed columns: a gene is read at once, cells by a pass over the file.
    Csc,
    /// Every value stored.
    Dense,
}

/// A matrix `[cells, genes]` of an open file. `Send + Sync`; reads go to the file.
///
/// # Cost
/// Rows of CSR and dense matrices and columns of CSC and dense matrices read only the chunks that hold them. A column
/// of a CSR matrix streams its indices once. Rows of a CSC matrix are served from a window of rows transposed in at
/// most 256 MB: one pass over the indices and one over the entries build it, and while the whole matrix fits, once is
/// enough. In a larger one, rows in order cost a pass for each window and rows at random a pass each.
///
/// # Memory
/// 8 bytes for each row (CSR) or column (CSC), a block of about 4 MB, HDF5's chunk cache (at most 32 MB for each of
/// data, indices and indptr), and the window of a CSC matrix. Never a function of the number of entries.
#[derive(Debug)]
pub struct Matrix {
    key: MatrixKey,
    n_rows: usize,
    n_cols: usize,
    body: Body,
    left_out: AtomicU64,
}

#[derive(Debug)]
enum Body {
    Csr(Compressed),
    Csc(Compressed, CscRows),
    Dense(Stored),
    /// Stored `[genes, cells]`.
    DenseByGenes(Stored),
}

impl Matrix {
    pub(super) fn open(key: MatrixKey, header: Header) -> Result<Self> {
        let Header { n_rows, n_cols, form } = header;
        let body = match form {
            Form::Dense(stored) => Body::Dense(stored),
            Form::DenseByGenes(stored) => Body::DenseByGenes(stored),
            Form::Compressed { layout: Layout::Csc, data, indices, indptr } => {
                Body::Csc(Compressed::open(data, indices, &indptr, n_cols, n_rows)?, CscRows::default())
            }
            Form::Compressed { data, indices, indptr, .. } => {
                Body::Csr(Compressed::open(data, indices, &indptr, n_rows, n_cols)?)
            }
        };
        Ok(Self { key, n_rows, n_cols, body, left_out: AtomicU64::new(0) })
    }

    /// The number of cells.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The number of genes.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Which matrix of the file this is.
    pub fn key(&self) -> &MatrixKey {
        &self.key
    }

    /// How it lies in the file.
    pub fn layout(&self) -> Layout {
        match self.body {
            Body::Csr(_) => Layout::Csr,
            Body::Csc(..) => Layout::Csc,
            Body::Dense(_) | Body::DenseByGenes(_) => Layout::Dense,
        }
    }

    /// The number of stored entries of a sparse matrix, of all values of a dense one.
    pub fn n_stored(&self) -> u64 {
        match &self.body {
            Body::Csr(c) | Body::Csc(c, _) => c.n_entries(),
            Body::Dense(_) | Body::DenseByGenes(_) => self.n_rows as u64 * self.n_cols as u64,
        }
    }

    /// How many values of the rows read so far were NaN or infinite and were left out of them.
    pub fn non_finite(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Whether single rows are cheap: not so for a CSC matrix too large to be transposed in memory.
    pub fn rows_are_cheap(&self) -> bool {
        match &self.body {
            Body::Csc(c, rows) => rows.holds_all(c.n_entries()),
            _ => true,
        }
    }

    /// The values of one cell: zeros dropped, columns rising, duplicates summed, NaN and infinite values left out
    /// (and counted in [`Matrix::non_finite`]).
    ///
    /// # Errors
    /// [`Error::Request`] when there is no such row; [`Error::AnnData`] when the file cannot be read there.
    pub fn row(&self, row: usize) -> Result<SparseRow> {
        if row >= self.n_rows {
            return Err(self.beyond("cells", &format!("row {row}"), self.n_rows));
        }
        Ok(self.rows(row..row + 1)?.pop().unwrap_or_default())
    }

    /// The values of the cells `rows`, as [`Matrix::row`] gives them. The result is held in memory whole: ask for
    /// some thousands at a time.
    ///
    /// # Errors
    /// As [`Matrix::row`].
    pub fn rows(&self, rows: Range<usize>) -> Result<Vec<SparseRow>> {
        self.rows_watched(rows, &Watch::silent())
    }

    /// The rows of `cells`, each with its number, in their order; neighbours in the file are read at once.
    ///
    /// # Errors
    /// As [`Matrix::rows_watched`].
    pub fn rows_at(&self, cells: &[usize], watch: &Watch) -> Result<Vec<(usize, SparseRow)>> {
        let mut rows = Vec::with_capacity(cells.len());
        for run in cells.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                let read = self.rows_watched(*first..last.saturating_add(1), watch)?;
                rows.extend(run.iter().copied().zip(read));
            }
        }
        Ok(rows)
    }

    /// [`Matrix::rows`], reporting to `watch` and stopped by it. Only a CSC matrix takes long.
    ///
    /// # Errors
    /// As [`Matrix::row`], and [`Error::Cancelled`].
    pub fn rows_watched(&self, rows: Range<usize>, watch: &Watch) -> Result<Vec<SparseRow>> {
        if rows.start > rows.end || rows.end > self.n_rows {
            return Err(self.beyond("cells", &format!("rows {} to {}", rows.start, rows.end), self.n_rows));
        }
        let mut left_out = 0;
        let result = match &self.body {
            Body::Csr(c) => c.majors(rows, watch, &mut left_out),
            Body::Csc(c, window) => window.rows(c, rows, watch, &mut left_out),
            Body::Dense(stored) => self.dense_rows(stored, rows, watch, &mut left_out),
            Body::DenseByGenes(stored) => self.rows_of_columns(stored, rows, watch, &mut left_out),
        };
        self.left_out.fetch_add(left_out, Ordering::Relaxed);
        result
    }

    /// Builds what makes the first rows quick: the transposed window of a CSC matrix. Nothing for other layouts.
    ///
    /// # Errors
    /// [`Error::AnnData`] when the file cannot be read; [`Error::Cancelled`].
    pub fn prepare_rows(&self, watch: &Watch) -> Result<()> {
        match &self.body {
            Body::Csc(c, window) if self.n_rows > 0 => window.prepare(c, watch),
            _ => Ok(()),
        }
    }

    /// One gene over all cells, `[n_rows]`. NaN and infinite values are NaN here: missing, to be drawn as such.
    ///
    /// # Errors
    /// [`Error::Request`] when there is no such column; [`Error::AnnData`] when the file cannot be read;
    /// [`Error::Cancelled`].
    pub fn column(&self, column: usize, watch: &Watch) -> Result<Vec<f32>> {
        if column >= self.n_cols {
            return Err(self.beyond("genes", &format!("column {column}"), self.n_cols));
        }
        let mut values = match &self.body {
            Body::Csr(c) => c.minor(column, watch)?,
            Body::Csc(c, _) => c.major_dense(column, watch)?,
            Body::Dense(stored) => self.dense_column(stored, column, watch)?,
            Body::DenseByGenes(stored) => stored.read_rows(column..column + 1, 0..self.n_rows)?,
        };
        for value in &mut values {
            if value.is_infinite() {
                *value = f32::NAN;
            }
        }
        Ok(values)
    }

    /// Several genes over all cells, each as [`Matrix::column`] gives it. A matrix by cells is read once for all, and
    /// where it is large gives the row sums on the way, where wanted, and shows `so_far` what there is from time to
    /// time (infinite values not yet missing there).
    ///
    /// # Errors
    /// As [`Matrix::column`], and what `so_far` fails with.
    pub fn gather(
        &self,
        columns: &[usize],
        with_totals: bool,
        watch: &Watch,
        so_far: &mut dyn FnMut(&Gathered) -> Result<()>,
    ) -> Result<Gathered> {
        if let Some(beyond) = columns.iter().find(|column| **column >= self.n_cols) {
            return Err(self.beyond("genes", &format!("column {beyond}"), self.n_cols));
        }
        // One that is asked for twice is read once.
        let mut different: Vec<u32> = columns.iter().map(|column| *column as u32).collect();
        different.sort_unstable();
        different.dedup();
        if let Body::Csr(c) = &self.body
            && different.len() == columns.len()
            && let Some(mut gathered) = c.pass(
                &columns.iter().map(|column| *column as u32).collect::<Vec<_>>(),
                with_totals,
                watch,
                so_far,
            )?
        {
            for value in gathered.columns.iter_mut().flatten().filter(|value| value.is_infinite()) {
                *value = f32::NAN;
            }
            return Ok(gathered);
        }
        let columns = columns.iter().map(|column| self.column(*column, watch)).collect::<Result<_>>()?;
        Ok(Gathered { columns, totals: None, rows_done: self.n_rows })
    }

    /// Whether genes would be read faster from a [`GeneCache`]: a large matrix by cells.
    pub fn profits_from_gene_cache(&self) -> bool {
        matches!(&self.body, Body::Csr(c) if c.n_entries() >= WORTH_CACHING)
    }

    /// Names the content of the matrix, wherever its file lies: shape, the rows' beginnings, and samples of entries.
    /// `None` for a matrix that is not by cells.
    ///
    /// # Errors
    /// [`Error::AnnData`] when the file cannot be read.
    pub fn content_key(&self) -> Result<Option<CacheKey>> {
        match &self.body {
            Body::Csr(c) => c.content_key().map(Some),
            Body::Csc(..) | Body::Dense(_) | Body::DenseByGenes(_) => Ok(None),
        }
    }

    /// Builds the gene-major twin of a matrix by cells at `path`, or goes on where an earlier build stopped; opens it
    /// where it is whole. `None` for a matrix that is not by cells.
    ///
    /// # Memory
    /// `budget_bytes`, but never less than one row takes. On disk, about `most_bytes` at most.
    ///
    /// # Errors
    /// [`Error::Request`] where it would take more; [`Error::Cancelled`]; [`Error::Io`] where the file cannot be written; [`Error::AnnData`] when the matrix cannot
    /// be read.
    pub(super) fn gene_cache(
        &self,
        path: &Path,
        budget_bytes: usize,
        most_bytes: u64,
        watch: &Watch,
    ) -> Result<Option<GeneCache>> {
        let Body::Csr(c) = &self.body else { return Ok(None) };
        let key = c.content_key()?;
        if let Some(cache) = GeneCache::open(path, &key, self.n_rows, self.n_cols)? {
            return Ok(Some(cache));
        }
        GeneCache::build(c, path, &key, budget_bytes, most_bytes, watch).map(Some)
    }

    fn beyond(&self, what: &str, asked: &str, n: usize) -> Error {
        Error::request(Problem::new(
            self.key.to_string(),
            asked.to_owned(),
            format!("a place among its {n} {what}"),
            "Ask for one that exists.",
        ))
    }

    fn dense_rows(
        &self,
        stored: &Stored,
        rows: Range<usize>,
        watch: &Watch,
        left_out: &mut u64,
    ) -> Result<Vec<SparseRow>> {
        if self.n_cols == 0 {
            return Ok(rows.map(|_| SparseRow::default()).collect());
        }
        let step = (DENSE_BLOCK / self.n_cols).max(1);
        let mut result = Vec::with_capacity(rows.len());
        for start in rows.clone().step_by(step) {
            watch.check()?;
            let block = stored.read_rows(start..rows.end.min(start + step), 0..self.n_cols)?;
            for values in block.chunks_exact(self.n_cols) {
                let pairs = (0u32..).zip(values).filter(|(_, v)| **v != 0.0).map(|(c, v)| (c, *v)).collect();
                result.push(SparseRow::from_pairs(pairs, left_out));
            }
        }
        Ok(result)
    }

    /// Cells of a matrix stored `[genes, cells]`.
    fn rows_of_columns(
        &self,
        stored: &Stored,
        rows: Range<usize>,
        watch: &Watch,
        left_out: &mut u64,
    ) -> Result<Vec<SparseRow>> {
        let step = (DENSE_BLOCK / self.n_cols.max(1)).max(1);
        let mut result = Vec::with_capacity(rows.len());
        for start in rows.clone().step_by(step) {
            watch.check()?;
            let cells = start..rows.end.min(start + step);
            let block = stored.read_rows(0..self.n_cols, cells.clone())?;
            for cell in 0..cells.len() {
                let values = block.iter().skip(cell).step_by(cells.len());
                let pairs = (0u32..).zip(values).filter(|(_, v)| **v != 0.0).map(|(c, v)| (c, *v)).collect();
                result.push(SparseRow::from_pairs(pairs, left_out));
            }
        }
        Ok(result)
    }

    fn dense_column(&self, stored: &Stored, column: usize, watch: &Watch) -> Result<Vec<f32>> {
        let chunk_rows = stored.chunk_rows().unwrap_or(1).max(1);
        let step = chunk_rows * DENSE_COLUMN_ROWS.div_ceil(chunk_rows);
        let mut values = Vec::with_capacity(self.n_rows);
        for start in (0..self.n_rows).step_by(step) {
            watch.step("Reading a gene", start as u64, Some(self.n_rows as u64))?;
            values.extend(stored.read_rows(start..self.n_rows.min(start + step), column..column + 1)?);
        }
        Ok(values)
    }
}
