//! Passes over a compressed matrix on all cores: one gene of a matrix by cells, and all entries of some rows.

use std::ops::Range;

use rayon::prelude::*;

use super::chunks::{Chunks, Handle};
use super::compressed::{BLOCK_ENTRIES, Compressed};
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

/// The indices and values of the entries `range`, unpacked on all cores where the file allows it. Every index lies
/// within the matrix.
pub(super) fn entries(
    matrix: &Compressed,
    range: Range<usize>,
    watch: &Watch,
) -> Result<(Vec<u32>, Vec<f32>)> {
    let Some((data, indices)) = matrix.chunks() else {
        let (mut places, mut values) = (Vec::with_capacity(range.len()), Vec::with_capacity(range.len()));
        for start in range.clone().step_by(BLOCK_ENTRIES) {
            watch.check()?;
            let end = range.end.min(start + BLOCK_ENTRIES);
            places.extend(matrix.indices(start..end)?);
            values.extend(matrix.values(start..end)?);
        }
        return Ok((places, values));
    };
    let places = gathered(indices, &range, watch, Chunks::places)?;
    if let Some(bad) = places.par_iter().position_first(|i| *i as usize >= matrix.n_minor()) {
        return Err(matrix.bad_index(range.start + bad));
    }
    Ok((places, gathered(data, &range, watch, Chunks::floats)?))
}

/// What `read` makes of the values `range`.
fn gathered<T: Copy + Default + Send + Sync>(
    chunks: &Chunks,
    range: &Range<usize>,
    watch: &Watch,
    read: impl Fn(&Chunks, usize, &mut Handle) -> Result<Vec<T>> + Sync,
) -> Result<Vec<T>> {
    let mut all = vec![T::default(); range.len()];
    // The room of each chunk within the range.
    let mut rest = all.as_mut_slice();
    let mut rooms = Vec::new();
    for chunk in chunks.holding(range) {
        let whole = chunks.range(chunk);
        let here = whole.start.max(range.start)..whole.end.min(range.end);
        let (room, behind) = rest.split_at_mut(here.len().min(rest.len()));
        rest = behind;
        rooms.push((chunk, here.start - whole.start, room));
    }
    rooms.into_par_iter().try_for_each_init(Handle::default, |handle, (chunk, skip, room)| {
        watch.check()?;
        let values = read(chunks, chunk, handle)?;
        for (place, value) in room.iter_mut().zip(values.iter().skip(skip)) {
            *place = *value;
        }
        Ok(())
    })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use hdf5::H5Type;

    use super::*;
    use crate::anndata::store::{Store, open_file};
    use crate::anndata::tests::fixtures::{Fixture, Table, Written, put};

    /// A CSR matrix whose data and indices lie in chunks of these lengths; 0 is one piece.
    fn written<T: H5Type, I: H5Type>(
        table: &Table,
        data: &[T],
        indices: &[I],
        chunks: [usize; 2],
    ) -> Written {
        let fixture = Fixture::new(table.n_rows, table.n_cols);
        let group = fixture.group("X", "csr_matrix");
        let (_, _, indptr) = table.parts(false);
        put(&group, "indptr", &indptr);
        match chunks[0] {
            0 => put(&group, "data", data),
            n => {
                let made = group.new_dataset::<T>().chunk([n]).shuffle().deflate(4).shape([data.len()]);
                let made = made.create("data").unwrap();
                made.write_raw(data).unwrap();
                made
            }
        };
        match chunks[1] {
            0 => put(&group, "indices", indices),
            n => {
                let made = group.new_dataset::<I>().chunk([n]).deflate(1).shape([indices.len()]);
                let made = made.create("indices").unwrap();
                made.write_raw(indices).unwrap();
                made
            }
        };
        fixture.finish()
    }

    fn opened(written: &Written, table: &Table) -> Compressed {
        let store = Store::new(open_file(&written.path).unwrap(), &written.path);
        let part = |name: &str| store.dataset(&format!("X/{name}")).unwrap();
        Compressed::open(part("data"), part("indices"), &part("indptr"), table.n_rows, table.n_cols).unwrap()
    }

    fn check(written: &Written, table: &Table) {
        let matrix = opened(written, table);
        let (data, indices) = matrix.chunks().expect("plain numbers in chunks are read past HDF5");
        for gene in 0..table.n_cols {
            let found = minor(&matrix, data, indices, gene as u32, &Watch::silent()).unwrap();
            assert_eq!(found, table.column(gene), "gene {gene}");
        }
    }

    #[test]
    fn a_gene_read_on_all_cores_is_the_gene_whatever_the_chunks_and_types() {
        let table = Table::new(300, 7);
        let (data, indices, _) = table.parts(false);
        let narrow: Vec<i32> = indices.iter().map(|i| *i as i32).collect();
        let bytes: Vec<u8> = data.iter().map(|v| *v as u8).collect();
        let doubles: Vec<f64> = data.iter().map(|v| f64::from(*v)).collect();
        for chunks in [[0, 0], [64, 64], [100, 37], [0, 50], [1000, 1]] {
            check(&written(&table, &data, &indices, chunks), &table);
            check(&written(&table, &bytes, &narrow, chunks), &table);
            check(&written(&table, &doubles, &narrow, chunks), &table);
        }
    }

    #[test]
    fn an_index_outside_of_the_matrix_is_told_with_its_place() {
        let table = Table::new(60, 7);
        let (data, mut indices, _) = table.parts(false);
        indices[45] = -1;
        let written = written(&table, &data, &indices, [16, 16]);
        let matrix = opened(&written, &table);
        let (data, indices) = matrix.chunks().unwrap();
        let error = minor(&matrix, data, indices, 0, &Watch::silent()).unwrap_err().to_string();
        assert!(error.contains("index -1 at entry 45") && error.contains("X/indices"), "{error}");
    }

    #[test]
    fn a_damaged_chunk_is_an_error_that_names_its_values() {
        let table = Table::new(200, 7);
        let (data, indices, _) = table.parts(false);
        let written = written(&table, &data, &indices, [0, 100]);
        let matrix = opened(&written, &table);
        let (data, chunks) = matrix.chunks().unwrap();
        let place = chunks.address(2);
        let mut bytes = std::fs::read(&written.path).unwrap();
        bytes[place as usize + 4..place as usize + 12].fill(0xff);
        std::fs::write(&written.path, bytes).unwrap();
        let error = minor(&matrix, data, chunks, 0, &Watch::silent()).unwrap_err().to_string();
        assert!(error.contains("values 200 to 299"), "{error}");
    }
}
