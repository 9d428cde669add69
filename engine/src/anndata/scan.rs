//! Passes over a compressed matrix on all cores: genes of a matrix by cells, and all entries of some rows.

use std::ops::Range;

use rayon::prelude::*;

use super::chunks::{Chunks, Handle};
use super::compressed::{BLOCK_ENTRIES, Compressed};
use crate::Result;
use crate::progress::Watch;

/// Entries between two looks at the stop flag: some 20 ms of work for each core.
const WINDOW_ENTRIES: usize = 1 << 22;

/// What a pass has gathered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gathered {
    /// The columns asked for, each `[n_rows]`; 0 in rows not yet read.
    pub columns: Vec<Vec<f32>>,
    /// Row sums, `[n_rows]`, where asked for and where a pass by rows gives them. Values that are not finite are left
    /// out.
    pub totals: Option<Vec<f64>>,
    /// Rows read.
    pub rows_done: usize,
}

/// Some minors over all majors, and the sums of the majors where wanted, by one pass. `so_far` is shown what there is
/// after each window.
///
/// # Memory
/// The result, a chunk of each kind for each core, 16 bytes for every hit in a window, and with sums 16 MB more.
pub(super) fn pass(
    matrix: &Compressed,
    (data, indices): (&Chunks, &Chunks),
    minors: &[u32],
    with_totals: bool,
    watch: &Watch,
    so_far: &mut dyn FnMut(&Gathered) -> Result<()>,
) -> Result<Gathered> {
    let n_majors = matrix.n_majors();
    let mut gathered = Gathered {
        columns: vec![vec![0.0f32; n_majors]; minors.len()],
        totals: with_totals.then(|| vec![0.0; n_majors]),
        rows_done: 0,
    };
    let what = match minors {
        [] => "Summing each cell's counts",
        [_] => "Reading a gene",
        _ => "Reading genes",
    };
    let wanted = Wanted::of(minors, matrix.n_minor());
    let total = matrix.n_entries() as usize;
    let mut next = 0;
    while next < indices.n_chunks() && indices.range(next).start < total {
        let start = indices.range(next).start;
        watch.step(what, start as u64, Some(total as u64))?;
        let mut last = next + 1;
        while last < indices.n_chunks() && indices.range(last).start < (start + WINDOW_ENTRIES).min(total) {
            last += 1;
        }
        let end = indices.range(last - 1).end.min(total);
        let hits =
            if minors.is_empty() { Vec::new() } else { hits(matrix, indices, next..last, &wanted, total)? };
        let values = match &mut gathered.totals {
            Some(totals) => {
                let window = gathered_values(data, &(start..end), watch)?;
                add_to_sums(matrix, start, &window, totals);
                hits.iter().map(|(at, _)| window.get(at - start).copied().unwrap_or(f32::NAN)).collect()
            }
            None => values(data, &hits)?,
        };
        for ((at, slot), value) in hits.into_iter().zip(values) {
            let column = gathered.columns.get_mut(slot as usize);
            if let Some(sum) = column.and_then(|column| column.get_mut(matrix.major_of(at))) {
                *sum += value;
            }
        }
        gathered.rows_done = if end >= total { n_majors } else { matrix.major_of(end) };
        if end < total {
            so_far(&gathered)?;
        }
        next = last;
    }
    gathered.rows_done = n_majors;
    Ok(gathered)
}

fn gathered_values(data: &Chunks, range: &Range<usize>, watch: &Watch) -> Result<Vec<f32>> {
    gathered(data, range, watch, Chunks::floats)
}

/// Adds the entries that begin at `start` to the sums of their majors.
fn add_to_sums(matrix: &Compressed, start: usize, values: &[f32], totals: &mut [f64]) {
    let end = start + values.len();
    let mut major = matrix.major_of(start);
    while let Some(total) = totals.get_mut(major) {
        let span = matrix.span(major);
        if span.start >= end {
            return;
        }
        let here = span.start.max(start) - start..span.end.min(end).max(start) - start;
        *total += values
            .get(here)
            .unwrap_or_default()
            .iter()
            .filter(|v| v.is_finite())
            .map(|v| f64::from(*v))
            .sum::<f64>();
        major += 1;
    }
}

/// The minors looked for.
enum Wanted {
    One(u32),
    /// Of each minor its place among those wanted, or `u32::MAX`.
    Several(Vec<u32>),
}

impl Wanted {
    fn of(minors: &[u32], n_minor: usize) -> Self {
        if let [minor] = minors {
            return Self::One(*minor);
        }
        let mut slots = vec![u32::MAX; n_minor];
        for (slot, minor) in (0u32..).zip(minors) {
            if let Some(place) = slots.get_mut(*minor as usize) {
                *place = slot;
            }
        }
        Self::Several(slots)
    }

    /// The place of `minor` among those wanted.
    fn slot(&self, minor: u32) -> Option<u32> {
        match self {
            Self::One(one) => (minor == *one).then_some(0),
            Self::Several(slots) => slots.get(minor as usize).copied().filter(|slot| *slot != u32::MAX),
        }
    }
}

/// The entries of the wanted minors in these chunks of indices, rising, each with the place of its minor.
fn hits(
    matrix: &Compressed,
    indices: &Chunks,
    chunks: Range<usize>,
    wanted: &Wanted,
    total: usize,
) -> Result<Vec<(usize, u32)>> {
    let found: Result<Vec<Vec<(usize, u32)>>> = chunks
        .into_par_iter()
        .map_init(Handle::default, |handle, chunk| {
            let start = indices.range(chunk).start;
            let mut found = Vec::new();
            let mut largest = 0;
            // What lies behind the last row belongs to none.
            for (at, index) in (start..total).zip(indices.places(chunk, handle)?) {
                largest = largest.max(index);
                if let Some(slot) = wanted.slot(index) {
                    found.push((at, slot));
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

/// The values of the entries `hits`, which rise.
fn values(data: &Chunks, hits: &[(usize, u32)]) -> Result<Vec<f32>> {
    let (Some((first, _)), Some((last, _))) = (hits.first(), hits.last()) else { return Ok(Vec::new()) };
    let found: Result<Vec<Vec<f32>>> = data
        .holding(&(*first..last + 1))
        .into_par_iter()
        .map_init(Handle::default, |handle, chunk| {
            let range = data.range(chunk);
            let before = |place: usize| hits.partition_point(|(at, _)| *at < place);
            let Some(here) = hits.get(before(range.start)..before(range.end)).filter(|here| !here.is_empty())
            else {
                return Ok(Vec::new());
            };
            let values = data.floats(chunk, handle)?;
            Ok(here.iter().map(|(at, _)| values.get(at - range.start).copied().unwrap_or(f32::NAN)).collect())
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

    fn gene(matrix: &Compressed, data: &Chunks, indices: &Chunks) -> Result<Gathered> {
        pass(matrix, (data, indices), &[0], false, &Watch::silent(), &mut |_| Ok(()))
    }

    fn check(written: &Written, table: &Table) {
        let matrix = opened(written, table);
        let (data, indices) = matrix.chunks().expect("plain numbers in chunks are read past HDF5");
        let ask = |genes: &[u32], with_totals| {
            pass(&matrix, (data, indices), genes, with_totals, &Watch::silent(), &mut |_| Ok(())).unwrap()
        };
        for gene in 0..table.n_cols {
            assert_eq!(ask(&[gene as u32], false).columns, [table.column(gene)], "gene {gene}");
        }
        let sums: Vec<f64> = (0..table.n_rows)
            .map(|row| (0..table.n_cols).map(|gene| f64::from(table.at(row, gene))).sum())
            .collect();
        let both = ask(&[5, 2], true);
        assert_eq!(both.columns, [table.column(5), table.column(2)]);
        assert_eq!(both.totals.as_ref(), Some(&sums));
        assert_eq!(ask(&[], true).totals, Some(sums));
    }

    #[test]
    fn a_gene_read_on_all_cores_is_the_gene_whatever_the_chunks_and_types() {
        let table = Table::new(300, 7);
        let (data, indices, _) = table.parts(false);
        let narrow: Vec<i32> = indices.iter().map(|i| *i as i32).collect();
        let bytes: Vec<u8> = data.iter().map(|v| *v as u8).collect();
        let doubles: Vec<f64> = data.iter().map(|v| f64::from(*v)).collect();
        for chunks in [[0, 0], [64, 64], [100, 37], [0, 50], [600, 1]] {
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
        let error = gene(&matrix, data, indices).unwrap_err().to_string();
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
        let error = gene(&matrix, data, chunks).unwrap_err().to_string();
        assert!(error.contains("values 200 to 299"), "{error}");
    }
}
