//! Making a gene-major twin: one pass over the matrix, on all cores.
//!
//! Each core makes a part of its own: it unpacks chunk after chunk, orders block after block of some hundred cells while
//! they are in its cache, and puts the blocks' runs of each gene behind each other. One more thread writes.

use std::fs::{OpenOptions, TryLockError};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use unpack::blocks::{BLOCK_CELLS, Block, Waiting};
use unpack::runs::{BlockHead, runs};

use super::compressed::Compressed;
use super::gene_cache::{
    CacheKey, GeneCache, HEAD_BYTES, PART_END, PART_HEAD_BYTES, PART_MAGIC, Part, head_bytes,
};
use super::scan::Feed;
use crate::error::Problem;
use crate::files::LargeWriter;
use crate::progress::Watch;
use crate::{Error, Result};

/// Memory for one entry while a part is made: where its values are kept in full, five bytes in a block and in a run,
/// and another run that waits to be written while this one is made.
const BYTES_PER_ENTRY: usize = 16;
/// A run is at most this long: 32 bits count its bytes.
const MOST_PART_ENTRIES: usize = 1 << 26;
/// Entries of a block, but for one of a single cell: with what orders them, a core's own cache holds them.
const BLOCK_ENTRIES: usize = 1 << 19;
/// A part holds this many chunks of the matrix where the budget allows: chunks that parts share are unpacked twice.
const CHUNKS_PER_PART: usize = 16;
/// Parts on their way for each one that is being made: another waits to be written.
const PARTS_AHEAD: usize = 2;
/// Of the budget, the share of the tables that say where each gene begins in each block.
const TABLES_SHARE: usize = 4;

impl GeneCache {
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
        if end > most_bytes && found_rows(&parts) < n_cells {
            return Err(too_large(path, end, most_bytes));
        }
        file.set_len(end).map_err(failed)?;
        let most = (budget_bytes / BYTES_PER_ENTRY).clamp(1, MOST_PART_ENTRIES);
        let longest = matrix.chunks().map_or(0, |(data, indices)| data.chunk_len().max(indices.chunk_len()));
        let at_once = rayon::current_num_threads().min(most / (CHUNKS_PER_PART * longest).max(1)).max(1);
        let most = most / at_once;
        let tables = budget_bytes / TABLES_SHARE / at_once;
        let most_blocks = (tables / (4 * n_genes + 4)).max(1);
        let ahead = PARTS_AHEAD * at_once;
        let spans = Spans::new(matrix, found_rows(&parts), most, most_blocks, ahead);
        let idle = Idle::default();
        let file_from_end = LargeWriter::new(&file, path, end).map_err(failed)?;
        let mut writer = Writer { file: file_from_end, path, n_genes, parts: &mut parts, most_bytes };
        // One thread writes while all others make the next parts, each at its own pace.
        std::thread::scope(|scope| {
            let (sender, receiver) = crossbeam_channel::bounded::<(usize, Ordered)>(0);
            let (spans, idle) = (&spans, &idle);
            let writing = scope.spawn(move || {
                let _last = Last(spans);
                // Those made before one that comes first.
                let mut early: Vec<(usize, Ordered)> = Vec::new();
                let mut next = 0;
                for made in &receiver {
                    early.push(made);
                    while let Some(at) = early.iter().position(|(number, _)| *number == next) {
                        let (_, part) = early.swap_remove(at);
                        writer.write(&part, part.rows.end == n_cells)?;
                        lock(&idle.bodies).push(part.body);
                        next += 1;
                        spans.written(next);
                    }
                }
                Ok(())
            });
            let make = || {
                let _last = Last(spans);
                while let Some((number, blocks, first)) = spans.next() {
                    watch.step("Ordering the matrix by gene", first, Some(matrix.n_entries()))?;
                    if sender.send((number, ordered(matrix, &blocks, idle, watch)?)).is_err() {
                        break; // The writer says why.
                    }
                }
                Ok(())
            };
            let made: Result<()> = (0..at_once).into_par_iter().with_max_len(1).map(|_| make()).collect();
            drop(sender);
            let written = writing.join().unwrap_or_else(|_| Err(thread_lost(path)));
            // What was written stays and is gone on with, whatever stopped the making.
            made.and(written)
        })?;
        if let Some((data, indices)) = matrix.chunks() {
            data.rest();
            indices.rest();
        }
        file.sync_all().and_then(|()| file.unlock()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, n_cells, n_genes, parts })
    }
}

fn thread_lost(path: &Path) -> Error {
    Error::request(
        Problem::new(
            "the gene cache",
            "that the thread which writes it ended",
            "that it goes on",
            "Genes are read from the file itself, which takes longer.",
        )
        .in_file(path),
    )
}

/// The rows that these parts hold, from the first on.
fn found_rows(parts: &[Part]) -> usize {
    parts.last().map_or(0, |part| part.rows.end)
}

/// Puts parts behind each other.
struct Writer<'a> {
    file: LargeWriter,
    path: &'a Path,
    n_genes: usize,
    parts: &'a mut Vec<Part>,
    most_bytes: u64,
}

impl Writer<'_> {
    /// Writes a part; where it is not the last, there must be room for more.
    fn write(&mut self, ordered: &Ordered, last: bool) -> Result<()> {
        let Ordered { rows, blocks, table, body, sums } = ordered;
        let mut head = Vec::with_capacity(PART_HEAD_BYTES as usize + 2 * blocks.len() + 4 * table.len());
        head.extend_from_slice(PART_MAGIC);
        for value in [rows.start as u64, rows.end as u64, blocks.len() as u64, body.len() as u64] {
            head.extend_from_slice(&value.to_le_bytes());
        }
        head.extend(blocks.iter().flat_map(|block| block.to_bytes()));
        head.extend(table.iter().flat_map(|start| start.to_le_bytes()));
        let sums: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        let at = self.file.position();
        for piece in [&head, body, &sums, PART_END.as_slice()] {
            self.file.write_all(piece).map_err(|e| self.failed(e))?;
        }
        // A part that is in the file is not made again.
        self.file.flush().map_err(|e| self.failed(e))?;
        let table = at + PART_HEAD_BYTES + 2 * blocks.len() as u64;
        let part = Part { rows: rows.clone(), blocks: blocks.clone(), table, bytes: body.len() as u64 };
        let end = part.end(self.n_genes);
        self.parts.push(part);
        if end > self.most_bytes && !last {
            return Err(too_large(self.path, end, self.most_bytes));
        }
        Ok(())
    }

    fn failed(&self, e: std::io::Error) -> Error {
        Error::io("write the gene cache", self.path, e)
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

/// The entries of some rows by gene.
struct Ordered {
    rows: Range<usize>,
    /// How the blocks of rows lie.
    blocks: Vec<BlockHead>,
    /// Where each gene begins, `[genes + 1]`.
    table: Vec<u32>,
    /// The runs.
    body: Vec<u8>,
    /// The sum of each row, but for values that are not finite.
    sums: Vec<f64>,
}

/// The rows of each part, handed out one part after the other, but none far ahead of what is written.
struct Spans<'a> {
    matrix: &'a Compressed,
    most: usize,
    most_blocks: usize,
    ahead: usize,
    state: Mutex<SpansState>,
    more: Condvar,
}

/// The parts handed out and written, and the row at which the next begins.
struct SpansState {
    handed_out: usize,
    written: usize,
    row: usize,
}

impl<'a> Spans<'a> {
    fn new(matrix: &'a Compressed, row: usize, most: usize, most_blocks: usize, ahead: usize) -> Self {
        let state = Mutex::new(SpansState { handed_out: 0, written: 0, row });
        Self { matrix, most, most_blocks, ahead, state, more: Condvar::new() }
    }

    /// The number of the next part, its blocks of rows, and its first entry; waits while enough parts are on their way.
    fn next(&self) -> Option<(usize, Vec<Range<usize>>, u64)> {
        let Self { matrix, most, most_blocks, .. } = *self;
        let n_cells = matrix.n_majors();
        let far =
            |state: &mut SpansState| state.row < n_cells && state.handed_out >= state.written + self.ahead;
        let mut state = self.more.wait_while(lock(&self.state), far).unwrap_or_else(PoisonError::into_inner);
        let start = state.row;
        if start >= n_cells {
            return None;
        }
        let first = matrix.span(start).start;
        let mut end = start + 1;
        while end < n_cells && matrix.span(end).end - first <= most {
            end += 1;
        }
        let blocks = blocks_of(matrix, start..end, most_blocks);
        state.row = blocks.last().map_or(end, |block| block.end);
        state.handed_out += 1;
        Some((state.handed_out - 1, blocks, first as u64))
    }

    /// The first `n` parts are written.
    fn written(&self, n: usize) {
        lock(&self.state).written = n;
        self.more.notify_all();
    }
}

/// Where one thread ends, because all is done or because it fails, no other begins or waits for another part.
struct Last<'a, 'm>(&'a Spans<'m>);

impl Drop for Last<'_, '_> {
    fn drop(&mut self) {
        lock(&self.0.state).row = self.0.matrix.n_majors();
        self.0.more.notify_all();
    }
}

/// The first rows of `rows`, in at most `most` blocks.
fn blocks_of(matrix: &Compressed, rows: Range<usize>, most: usize) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut row = rows.start;
    while row < rows.end && blocks.len() < most {
        let (start, first) = (row, matrix.span(row).start);
        row += 1;
        while row < rows.end && row - start < BLOCK_CELLS && matrix.span(row).end - first <= BLOCK_ENTRIES {
            row += 1;
        }
        blocks.push(start..row);
    }
    blocks
}

/// Buffers that nobody uses just now. Memory that is used again need not be handed out by the system page by page.
#[derive(Default)]
struct Idle {
    scratches: Mutex<Vec<Scratch>>,
    /// Runs that were written.
    bodies: Mutex<Vec<Vec<u8>>>,
}

struct Scratch {
    waiting: Waiting,
    blocks: Vec<Block>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Orders some blocks of rows that follow each other on the calling thread.
fn ordered(matrix: &Compressed, blocks: &[Range<usize>], idle: &Idle, watch: &Watch) -> Result<Ordered> {
    let rows = blocks.first().map_or(0, |block| block.start)..blocks.last().map_or(0, |block| block.end);
    let first = matrix.span(rows.start).start;
    let last = matrix.span(rows.end.saturating_sub(1)).end;
    let n_genes = matrix.n_minor();
    let new = || Scratch { waiting: Waiting::new(n_genes), blocks: Vec::new() };
    let mut scratch = lock(&idle.scratches).pop().unwrap_or_else(new);
    let Scratch { waiting, blocks: made } = &mut scratch;
    waiting.clear();
    made.resize(blocks.len(), Block::default());
    let mut feed = Feed::new(matrix, first..last);
    let mut sums = Vec::with_capacity(rows.len());
    let mut ends: Vec<u32> = Vec::with_capacity(BLOCK_CELLS);
    for (rows, block) in blocks.iter().zip(made.iter_mut()) {
        let begins = matrix.span(rows.start).start;
        feed.fill(matrix.span(rows.end - 1).end, waiting, watch)?;
        ends.clear();
        ends.extend(rows.clone().map(|row| (matrix.span(row).end - begins) as u32));
        // Every index was checked as it was read.
        waiting.order(&ends, block, &mut sums).ok_or_else(|| matrix.bad_index(begins))?;
    }
    watch.check()?;
    let mut body = lock(&idle.bodies).pop().unwrap_or_default();
    body.clear();
    let table = runs(made, n_genes, &mut body).ok_or_else(|| matrix.bad_index(first))?;
    let heads = made.iter().map(Block::head).collect();
    lock(&idle.scratches).push(scratch);
    Ok(Ordered { rows, blocks: heads, table, body, sums })
}
