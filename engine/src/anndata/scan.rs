//! One gene of a matrix by cells: a pass over the whole matrix on all cores.

use std::ops::Range;

use rayon::prelude::*;

use super::chunks::{Chunks, Handle};
use super::compressed::Compressed;
use crate::Result;
use crate::progress::Watch;

/// Entries between two looks at the stop flag: some 20 ms of work for each core.
const WINDOW_ENTRIES: usize = 1 << 22;

/// One minor over all majors.
///
/// # Memory
/// A chunk of each kind for each core, and 12 bytes for every hit in a window.
pub(super) fn minor(
    matrix: &Compressed,
    data: &Chunks,
    indices: &Chunks,
    minor: u32,
    watch: &Watch,
) -> Result<Vec<f32>> {
    let mut dense = vec![0.0f32; matrix.n_majors()];
    let total = matrix.n_entries() as usize;
    let mut next = 0;
    while next < indices.n_chunks() && indices.range(next).start < total {
        let start = indices.range(next).start;
        watch.step("Reading a gene", start as u64, Some(total as u64))?;
        let mut last = next + 1;
        while last < indices.n_chunks() && indices.range(last).start < (start + WINDOW_ENTRIES).min(total) {
            last += 1;
        }
        let hits = hits(matrix, indices, next..last, minor, total)?;
        for (at, value) in hits.iter().zip(values(data, &hits)?) {
            if let Some(sum) = dense.get_mut(matrix.major_of(*at)) {
                *sum += value;
            }
        }
        next = last;
    }
    Ok(dense)
}

/// The entries of `minor` in these chunks of indices, rising.
fn hits(
    matrix: &Compressed,
    indices: &Chunks,
    chunks: Range<usize>,
    minor: u32,
    total: usize,
) -> Result<Vec<usize>> {
    let found: Result<Vec<Vec<usize>>> = chunks
        .into_par_iter()
        .map_init(Handle::default, |handle, chunk| {
            let start = indices.range(chunk).start;
            let mut found = Vec::new();
            let mut largest = 0;
            // What lies behind the last row belongs to none.
            for (at, index) in (start..total).zip(indices.places(chunk, handle)?) {
                largest = largest.max(index);
                if index == minor {
                    found.push(at);
                }
            }
            if largest as usize >= matrix.n_minor() {
                let places = indices.places(chunk, handle)?;
                let bad = places.iter().position(|i| *i as usize >= matrix.n_minor()).unwrap_or(0);
                return Err(matrix.bad_index(start + bad));
            }
            Ok(found)
        })
        .collect();
    Ok(found?.concat())
}

/// The values of the entries `at`, which rise.
fn values(data: &Chunks, at: &[usize]) -> Result<Vec<f32>> {
    let (Some(first), Some(last)) = (at.first(), at.last()) else { return Ok(Vec::new()) };
    let found: Result<Vec<Vec<f32>>> = data
        .holding(&(*first..last + 1))
        .into_par_iter()
        .map_init(Handle::default, |handle, chunk| {
            let range = data.range(chunk);
            let here = at.partition_point(|at| *at < range.start)..at.partition_point(|at| *at < range.end);
            let Some(here) = at.get(here).filter(|here| !here.is_empty()) else { return Ok(Vec::new()) };
            let values = data.floats(chunk, handle)?;
            Ok(here.iter().map(|at| values.get(at - range.start).copied().unwrap_or(f32::NAN)).collect())
        })
        .collect();
    Ok(found?.concat())
}
