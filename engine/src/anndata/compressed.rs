//! Sparse matrices in the file: entries of one side ("major": the rows of CSR, the columns of CSC) lie together.

use std::ops::Range;
use std::sync::OnceLock;

use hdf5::types::{IntSize, TypeDescriptor};
use sha2::{Digest, Sha256};

use super::chunks::Chunks;
use super::gene_cache::CacheKey;
use super::rows::SparseRow;
use super::scan::{self, Gathered};
use super::store::Stored;
use crate::progress::Watch;
use crate::{Error, Result};

/// Entries read at a time: 4 MB of indices and values, well under 50 ms with gzip.
pub(super) const BLOCK_ENTRIES: usize = 1 << 19;

/// A compressed matrix, open for reading. `indptr` is held in memory and has been checked.
#[derive(Debug)]
pub(super) struct Compressed {
    data: Stored,
    indices: Stored,
    indptr: Vec<u64>,
    minor: usize,
    narrow: bool,
    /// The chunks of data and indices, where they can be read on all cores; looked up at the first pass.
    chunks: OnceLock<Option<(Chunks, Chunks)>>,
}

impl Compressed {
    /// # Errors
    /// `Error::AnnData` naming `indptr` when it does not rise from 0 to at most the number of entries.
    pub(super) fn open(
        data: Stored,
        indices: Stored,
        indptr: &Stored,
        major: usize,
        minor: usize,
    ) -> Result<Self> {
        let pointers = indptr.read_column::<i64>()?;
        let wrong = |found: String| {
            indptr.store().problem(
                &indptr.element,
                found,
                format!("{} numbers that never fall, from 0 to at most {}", major + 1, data.len()),
                "The file is damaged: write it again with anndata, or get it again from its source.",
            )
        };
        // A row lists a column twice at the very most in practice; a longer one would only fill the memory.
        let most = 4 * minor as i64 + 1024;
        if pointers.first() != Some(&0) {
            return Err(wrong(format!("a first value of {}", pointers.first().copied().unwrap_or_default())));
        }
        for (at, pair) in pointers.windows(2).enumerate() {
            let [low, high] = pair else { continue };
            if high < low {
                return Err(wrong(format!("{high} after {low} at position {}", at + 1)));
            }
            if high - low > most {
                return Err(wrong(format!("{} entries at position {at}, for a side of {minor}", high - low)));
            }
        }
        if pointers.last().is_some_and(|last| *last > data.len() as i64) {
            return Err(wrong(format!("a last value of {}", pointers.last().copied().unwrap_or_default())));
        }
        let narrow = matches!(
            indices.descriptor(),
            Some(
                TypeDescriptor::Integer(IntSize::U1 | IntSize::U2 | IntSize::U4)
                    | TypeDescriptor::Unsigned(IntSize::U1 | IntSize::U2)
            )
        );
        let indptr = pointers.into_iter().map(i64::cast_unsigned).collect();
        Ok(Self { data, indices, indptr, minor, narrow, chunks: OnceLock::new() })
    }

    pub(super) fn n_entries(&self) -> u64 {
        self.indptr.last().copied().unwrap_or(0)
    }

    pub(super) fn n_minor(&self) -> usize {
        self.minor
    }

    /// Where the entries of `major` lie.
    pub(super) fn span(&self, major: usize) -> Range<usize> {
        let at = |i: usize| self.indptr.get(i).copied().unwrap_or(0) as usize;
        at(major)..at(major + 1)
    }

    /// The indices of entries `range`, each checked to lie within the matrix.
    pub(super) fn indices(&self, range: Range<usize>) -> Result<Vec<u32>> {
        let start = range.start;
        // A negative number becomes one of 2^31 or more, which no side of a matrix reaches.
        let indices: Vec<u32> = if self.narrow {
            self.indices.read::<i32>(range)?.into_iter().map(i32::cast_unsigned).collect()
        } else {
            self.indices
                .read::<i64>(range)?
                .into_iter()
                .map(|i| u32::try_from(i).unwrap_or(u32::MAX))
                .collect()
        };
        if let Some(at) = indices.iter().position(|index| *index as usize >= self.minor) {
            return Err(self.bad_index(start + at));
        }
        Ok(indices)
    }

    pub(super) fn values(&self, range: Range<usize>) -> Result<Vec<f32>> {
        self.data.read::<f32>(range)
    }

    /// The entries of the majors `range` as rows, read in blocks.
    pub(super) fn majors(
        &self,
        range: Range<usize>,
        watch: &Watch,
        left_out: &mut u64,
    ) -> Result<Vec<SparseRow>> {
        let mut rows = Vec::with_capacity(range.len());
        let mut next = range.start;
        while next < range.end {
            watch.check()?;
            let first = self.span(next).start;
            let mut last = next + 1;
            while last < range.end && self.span(last).end - first <= BLOCK_ENTRIES {
                last += 1;
            }
            let end = self.span(last - 1).end;
            let (indices, values) = (self.indices(first..end)?, self.values(first..end)?);
            for major in next..last {
                let span = self.span(major);
                let span = span.start - first..span.end - first;
                let pairs = match (indices.get(span.clone()), values.get(span)) {
                    (Some(i), Some(v)) => i.iter().copied().zip(v.iter().copied()).collect(),
                    _ => Vec::new(),
                };
                rows.push(SparseRow::from_pairs(pairs, left_out));
            }
            next = last;
        }
        Ok(rows)
    }

    /// The entries of one major, spread over all minors.
    pub(super) fn major_dense(&self, major: usize, watch: &Watch) -> Result<Vec<f32>> {
        let mut dense = vec![0.0; self.minor];
        let span = self.span(major);
        for start in span.clone().step_by(BLOCK_ENTRIES) {
            watch.step("Reading a gene", (start - span.start) as u64, Some(span.len() as u64))?;
            let end = span.end.min(start + BLOCK_ENTRIES);
            for (index, value) in self.indices(start..end)?.into_iter().zip(self.values(start..end)?) {
                if let Some(sum) = dense.get_mut(index as usize) {
                    *sum += value;
                }
            }
        }
        Ok(dense)
    }

    /// The major that entry `at` belongs to.
    pub(super) fn major_of(&self, at: usize) -> usize {
        // The last of those that begin at or before it: majors without entries begin where the next one does.
        self.indptr.partition_point(|start| *start as usize <= at).saturating_sub(1)
    }

    /// Majors.
    pub(super) fn n_majors(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// The error for an index outside of the matrix, at entry `at`.
    pub(super) fn bad_index(&self, at: usize) -> Error {
        let found = self.indices.read::<i64>(at..at + 1).ok().and_then(|found| found.first().copied());
        self.indices.store().problem(
            &self.indices.element,
            format!("index {} at entry {at}", found.map_or("beyond reading".to_owned(), |i| i.to_string())),
            format!("numbers from 0 to {}", self.minor.saturating_sub(1)),
            "The file is damaged: write it again with anndata, or get it again from its source.",
        )
    }

    /// Names the content: both sides, where the majors begin, the entries at the start, the middle and the end, and what a
    /// change of any other entry would hardly leave as it is: the packed size of every chunk, or of what is not packed some
    /// entries all over it.
    pub(super) fn content_key(&self) -> Result<CacheKey> {
        const SAMPLE: usize = 4096;
        const SPREAD: usize = 512;
        const OF_EACH: usize = 16;
        let mut hash = Sha256::new();
        hash.update((self.minor as u64).to_le_bytes());
        self.indptr.iter().for_each(|start| hash.update(start.to_le_bytes()));
        let n = self.n_entries() as usize;
        for start in [0, n / 2, n.saturating_sub(SAMPLE)] {
            let range = start..n.min(start + SAMPLE);
            self.indices(range.clone())?.iter().for_each(|index| hash.update(index.to_le_bytes()));
            self.values(range)?.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        if let Some((data, indices)) = self.chunks() {
            for chunks in [data, indices] {
                chunks.packed_bytes().for_each(|bytes| hash.update(bytes.to_le_bytes()));
            }
            if data.is_plain() {
                for i in 0..SPREAD {
                    let start = n / SPREAD * i;
                    let some = self.values(start..n.min(start + OF_EACH))?;
                    some.iter().for_each(|value| hash.update(value.to_le_bytes()));
                }
            }
        }
        Ok(hash.finalize().into())
    }

    /// The chunks of data and indices, where they can be read on all cores.
    pub(super) fn chunks(&self) -> Option<&(Chunks, Chunks)> {
        self.chunks.get_or_init(|| Chunks::of(&self.data).zip(Chunks::of(&self.indices))).as_ref()
    }

    /// One minor over all majors, by a pass over the indices, on all cores where the file allows it.
    pub(super) fn minor(&self, minor: usize, watch: &Watch) -> Result<Vec<f32>> {
        match self.pass(&[minor as u32], false, watch, &mut |_| Ok(()))? {
            Some(mut gathered) => Ok(gathered.columns.pop().unwrap_or_default()),
            None => self.minor_in_order(minor, watch),
        }
    }

    /// Some minors, and the sums of the majors where wanted, by one pass on all cores; `None` where the file does not
    /// allow it or the matrix is not worth it.
    pub(super) fn pass(
        &self,
        minors: &[u32],
        with_totals: bool,
        watch: &Watch,
        so_far: &mut dyn FnMut(&Gathered) -> Result<()>,
    ) -> Result<Option<Gathered>> {
        // A small matrix is read before its chunks are looked up.
        if self.n_entries() as usize <= BLOCK_ENTRIES {
            return Ok(None);
        }
        let Some((data, indices)) = self.chunks() else { return Ok(None) };
        scan::pass(self, (data, indices), minors, with_totals, watch, so_far).map(Some)
    }

    /// One minor over all majors, block after block through HDF5. Values are read only where a block has hits.
    fn minor_in_order(&self, minor: usize, watch: &Watch) -> Result<Vec<f32>> {
        let n_majors = self.indptr.len().saturating_sub(1);
        let mut dense = vec![0.0f32; n_majors];
        let total = self.n_entries() as usize;
        let mut major = 0;
        for start in (0..total).step_by(BLOCK_ENTRIES) {
            watch.step("Reading a gene", start as u64, Some(total as u64))?;
            let end = total.min(start + BLOCK_ENTRIES);
            let indices = self.indices(start..end)?;
            let is_hit = |index: &u32| *index as usize == minor;
            let (Some(first), Some(last)) =
                (indices.iter().position(is_hit), indices.iter().rposition(is_hit))
            else {
                continue;
            };
            let values = self.values(start + first..start + last + 1)?;
            for (at, (index, value)) in (start + first..).zip(indices.iter().skip(first).zip(values)) {
                if !is_hit(index) {
                    continue;
                }
                while self.span(major).end <= at && major + 1 < n_majors {
                    major += 1;
                }
                if let Some(sum) = dense.get_mut(major) {
                    *sum += value;
                }
            }
        }
        Ok(dense)
    }
}
