//! Making a gene-major twin: one pass over the matrix, on all cores.
//!
//! Each core makes a part of its own: it unpacks chunk after chunk, orders block after block of some hundred cells while
//! they are in its cache, and puts the blocks' runs of each gene behind each other. One more thread writes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use unpack::blocks::{BLOCK_CELLS, Block, Waiting};
use unpack::runs::{BlockHead, runs};

use super::compressed::Compressed;
use super::gene_cache::{
    CacheKey, GeneCache, HEAD_BYTES, PART_END, PART_HEAD_BYTES, PART_MAGIC, Part, head_bytes,
};
use super::scan::Feed;
use crate::error::Problem;
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
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(failed)?;
        let most = (budget_bytes / BYTES_PER_ENTRY).clamp(1, MOST_PART_ENTRIES);
        let longest = matrix.chunks().map_or(0, |(data, indices)| data.chunk_len().max(indices.chunk_len()));
        let at_once = rayon::current_num_threads().min(most / (CHUNKS_PER_PART * longest).max(1)).max(1);
        let most = most / at_once;
        let tables = budget_bytes / TABLES_SHARE / at_once;
        let most_blocks = (tables / (4 * n_genes + 4)).max(1);
        let mut row = found_rows(&parts);
        let idle = Idle::default();
        let mut writer = Writer { file: &file, path, at: end, n_genes, parts: &mut parts, most_bytes };
        let written_bodies = &idle.bodies;
        // One thread writes while all make the next parts.
        std::thread::scope(|scope| {
            let (sender, receiver) = crossbeam_channel::bounded::<Vec<Ordered>>(0);
            let writing = scope.spawn(move || {
                receiver.iter().flatten().try_for_each(|part| {
                    writer.write(&part, part.rows.end == n_cells)?;
                    lock(written_bodies).push(part.body);
                    Ok(())
                })
            });
            let mut made = || {
                while row < n_cells {
                    let first = matrix.span(row).start as u64;
                    watch.step("Ordering the matrix by gene", first, Some(matrix.n_entries()))?;
                    let mut spans = Vec::with_capacity(at_once);
                    while spans.len() < at_once && row < n_cells {
                        let start = row;
                        let first = matrix.span(row).start;
                        row += 1;
                        while row < n_cells && matrix.span(row).end - first <= most {
                            row += 1;
                        }
                        let blocks = blocks_of(matrix, start..row, most_blocks);
                        row = blocks.last().map_or(row, |block| block.end);
                        spans.push(blocks);
                    }
                    let ordered: Result<Vec<Ordered>> =
                        spans.par_iter().map(|blocks| ordered(matrix, blocks, &idle, watch)).collect();
                    if sender.send(ordered?).is_err() {
                        break; // The writer says why.
                    }
                }
                Ok(())
            };
            let made: Result<()> = made();
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
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), n_cells, n_genes, parts })
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
    file: &'a File,
    path: &'a Path,
    at: u64,
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
        for piece in [&head, body, &sums, PART_END.as_slice()] {
            (&*self.file).write_all(piece).map_err(|e| Error::io("write the gene cache", self.path, e))?;
        }
        let table = self.at + PART_HEAD_BYTES + 2 * blocks.len() as u64;
        let part = Part { rows: rows.clone(), blocks: blocks.clone(), table, bytes: body.len() as u64 };
        self.at = part.end(self.n_genes);
        self.parts.push(part);
        if self.at > self.most_bytes && !last {
            return Err(too_large(self.path, self.at, self.most_bytes));
        }
        Ok(())
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
