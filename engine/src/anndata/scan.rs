//! Passes over a compressed matrix on all cores: genes of a matrix by cells, and all entries of some rows.

use std::ops::Range;

use rayon::prelude::*;
use unpack::blocks::Waiting;
use unpack::entries::{find_one, find_several, finite_sum};

use super::chunks::{Chunks, Handle};
use super::compressed::{BLOCK_ENTRIES, Compressed};
use crate::Result;
use crate::progress::Watch;

/// Entries of a block, the work of one core at a time: some milliseconds, and a cache holds it.
const TASK_ENTRIES: usize = 1 << 17;
/// Blocks for each core between two looks at the stop flag: some 20 ms of work.
const TASKS_PER_CORE: usize = 16;

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
/// The result, some chunks of each kind for each core, and 12 bytes for every hit in a window.
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
    // A block ends where chunks do, so that none is unpacked twice.
    let longest = data.chunk_len().max(indices.chunk_len());
    let block = longest.saturating_mul((TASK_ENTRIES / longest).max(1));
    let window = block.saturating_mul(TASKS_PER_CORE * rayon::current_num_threads());
    for start in (0..total).step_by(window) {
        watch.step(what, start as u64, Some(total as u64))?;
        let end = total.min(start.saturating_add(window));
        let blocks: Vec<Range<usize>> =
            (start..end).step_by(block).map(|first| first..end.min(first.saturating_add(block))).collect();
        let found: Result<Vec<Found>> = blocks
            .into_par_iter()
            .map_init(Scratch::default, |scratch, range| {
                watch.check()?;
                data.with_handle(|values_from| {
                    indices.with_handle(|places_from| {
                        let from = (values_from, places_from);
                        look_through(matrix, (data, indices), from, &wanted, with_totals, range, scratch)
                    })
                })
            })
            .collect();
        for found in found? {
            for (major, slot, value) in found.hits {
                let column = gathered.columns.get_mut(slot as usize);
                if let Some(sum) = column.and_then(|column| column.get_mut(major as usize)) {
                    *sum += value;
                }
            }
            let totals = gathered.totals.as_mut().and_then(|totals| totals.get_mut(found.first_major..));
            for (total, sum) in totals.unwrap_or_default().iter_mut().zip(found.sums) {
                *total += sum;
            }
        }
        gathered.rows_done = if end >= total { n_majors } else { matrix.major_of(end) };
        if end < total {
            so_far(&gathered)?;
        }
    }
    data.rest();
    indices.rest();
    gathered.rows_done = n_majors;
    Ok(gathered)
}

/// Buffers of one core.
#[derive(Default)]
struct Scratch {
    places: Vec<u32>,
    values: Vec<f32>,
    at: Vec<(u32, u32)>,
}

/// What a block holds of what is wanted.
struct Found {
    /// Major, place among the minors wanted, value.
    hits: Vec<(u32, u32, f32)>,
    /// The sums of the block's entries by major, from `first_major` on.
    first_major: usize,
    sums: Vec<f64>,
}

/// Searches the entries `range`.
fn look_through(
    matrix: &Compressed,
    (data, indices): (&Chunks, &Chunks),
    (values_from, places_from): (&mut Handle, &mut Handle),
    wanted: &Wanted,
    with_sums: bool,
    range: Range<usize>,
    scratch: &mut Scratch,
) -> Result<Found> {
    let Scratch { places, values, at } = scratch;
    at.clear();
    if !matches!(wanted, Wanted::Nothing) {
        places.resize(range.len(), 0);
        indices.each_in(&range, |chunk, skip, room| {
            indices.places(chunk, skip, places.get_mut(room).unwrap_or_default(), places_from)
        })?;
        let largest = match wanted {
            Wanted::Nothing => 0,
            Wanted::One(minor) => find_one(places, *minor, at),
            Wanted::Several(slots) => find_several(places, slots, at),
        };
        if largest as usize >= matrix.n_minor() {
            let bad = places.iter().position(|i| *i as usize >= matrix.n_minor()).unwrap_or(0);
            return Err(matrix.bad_index(range.start + bad));
        }
    }
    values.resize(range.len(), 0.0);
    data.each_in(&range, |chunk, skip, room| {
        // Values of which none is asked for stay packed.
        let hit = at.partition_point(|(at, _)| (*at as usize) < room.start);
        if !with_sums && at.get(hit).is_none_or(|(at, _)| *at as usize >= room.end) {
            return Ok(());
        }
        data.floats(chunk, skip, values.get_mut(room).unwrap_or_default(), values_from)
    })?;
    let first_major = matrix.major_of(range.start);
    let mut hits = Vec::with_capacity(at.len());
    let mut major = first_major;
    for (at, slot) in at.iter() {
        let at = *at as usize;
        while matrix.span(major).end <= range.start + at && major + 1 < matrix.n_majors() {
            major += 1;
        }
        hits.push((major as u32, *slot, values.get(at).copied().unwrap_or(f32::NAN)));
    }
    let mut sums = Vec::new();
    let mut major = first_major;
    while with_sums && major < matrix.n_majors() && matrix.span(major).start < range.end {
        let span = matrix.span(major);
        let here = span.start.max(range.start) - range.start..span.end.min(range.end) - range.start;
        sums.push(finite_sum(values.get(here).unwrap_or_default()));
        major += 1;
    }
    Ok(Found { hits, first_major, sums })
}

/// The minors looked for.
enum Wanted {
    Nothing,
    One(u32),
    /// Of each minor its place among those wanted, or `u32::MAX`.
    Several(Vec<u32>),
}

impl Wanted {
    fn of(minors: &[u32], n_minor: usize) -> Self {
        match minors {
            [] => return Self::Nothing,
            [minor] => return Self::One(*minor),
            _ => {}
        }
        let mut slots = vec![u32::MAX; n_minor];
        for (slot, minor) in (0u32..).zip(minors) {
            if let Some(place) = slots.get_mut(*minor as usize) {
                *place = slot;
            }
        }
        Self::Several(slots)
    }
}

/// Entries of a matrix, read one after the other by the calling thread. Every chunk is unpacked once.
pub(super) struct Feed<'a> {
    matrix: &'a Compressed,
    /// The next of which the gene is not read, and the next of which the value is not read.
    genes: usize,
    values: usize,
    end: usize,
}

impl<'a> Feed<'a> {
    /// The entries `range`.
    pub(super) fn new(matrix: &'a Compressed, range: Range<usize>) -> Self {
        Self { matrix, genes: range.start, values: range.start, end: range.end }
    }

    /// Has all entries before `upto` wait in `waiting`, and those that lie in the same chunks.
    ///
    /// # Errors
    /// What reading gives, and [`crate::Error::AnnData`] for an index outside of the matrix.
    pub(super) fn fill(&mut self, upto: usize, waiting: &mut Waiting, watch: &Watch) -> Result<()> {
        let upto = upto.min(self.end);
        let Some((data, indices)) = self.matrix.chunks() else {
            return self.fill_in_order(upto, waiting, watch);
        };
        indices.with_handle(|handle| {
            while self.genes < upto {
                watch.check()?;
                let here = indices.from(self.genes, self.end);
                let (bytes, number) = indices.raw(&here, handle)?;
                if waiting.add_genes(bytes, number).is_none() {
                    return Err(self.bad_among(here));
                }
                self.genes = here.end;
            }
            Ok(())
        })?;
        data.with_handle(|handle| {
            while self.values < upto {
                watch.check()?;
                let here = data.from(self.values, self.end);
                let (bytes, number) = data.raw(&here, handle)?;
                waiting.add_values(bytes, number);
                self.values = here.end;
            }
            Ok(())
        })
    }

    /// The same through HDF5.
    fn fill_in_order(&mut self, upto: usize, waiting: &mut Waiting, watch: &Watch) -> Result<()> {
        while self.genes < upto {
            watch.check()?;
            let here = self.genes..self.end.min(self.genes + BLOCK_ENTRIES);
            if waiting.add_places(&self.matrix.indices(here.clone())?).is_none() {
                return Err(self.bad_among(here));
            }
            waiting.add_floats(&self.matrix.values(here.clone())?);
            (self.genes, self.values) = (here.end, here.end);
        }
        Ok(())
    }

    /// The error for an index outside of the matrix, somewhere in `range`.
    fn bad_among(&self, range: Range<usize>) -> crate::Error {
        // Reading them through HDF5 says where it is.
        match self.matrix.indices(range.clone()) {
            Err(error) => error,
            Ok(_) => self.matrix.bad_index(range.start),
        }
    }
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
