//! A look at every element of a file without reading its values: what the HDF5 library goes by later is read once.
//!
//! The library can crash on a damaged file. A process that nobody misses ([`crate::session::try_file`]) opens the file
//! first; what it has walked through will not end the program later: groups, descriptions of datasets, attributes, and
//! the lists of chunks. What is left are the chunks themselves, which are unpacked with bounds; those that only the
//! library can unpack are all read here.

use super::AnnData;
use super::filters;
use super::store::{Kind, Store};
use super::stored::Stored;
use crate::Result;
use crate::progress::Watch;

/// Groups may contain themselves.
const DEEPEST: usize = 12;
const MOST_ELEMENTS: usize = 100_000;
/// Numbers read at a time.
const NUMBERS_AT_ONCE: usize = 1 << 20;

impl AnnData {
    /// Walks through the whole file. What cannot be read there is passed over: it is told when it is needed.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`].
    pub fn survey(&self, watch: &Watch) -> Result<()> {
        // Zarr folders are read without the library.
        if self.store.is_zarr() {
            return Ok(());
        }
        let mut left = MOST_ELEMENTS;
        walk(&self.store, "", 0, &mut left, watch)
    }
}

fn walk(store: &Store, group: &str, depth: usize, left: &mut usize, watch: &Watch) -> Result<()> {
    for name in store.members(group) {
        watch.check()?;
        let Some(fewer) = left.checked_sub(1) else { return Ok(()) };
        *left = fewer;
        let element = if group.is_empty() { name } else { format!("{group}/{name}") };
        match store.kind(&element) {
            Kind::Missing => {}
            Kind::Group => {
                let _ = store.attr_text(&element, "encoding-type");
                if depth < DEEPEST {
                    walk(store, &element, depth + 1, left, watch)?;
                }
            }
            Kind::Dataset => {
                let _ = store.attr_text(&element, "encoding-type");
                let Ok(stored) = store.dataset(&element) else { continue };
                let _ = (stored.content(), stored.check_readable());
                if let Ok(dataset) = stored.hdf5()
                    && dataset.is_chunked()
                {
                    let _ = dataset.chunks_visit(|_| 0);
                    let packings = dataset.filters();
                    if packings.iter().any(|filter| filters::only_of_the_library(filter.id())) {
                        read_through(&stored, &element, watch)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Reads numbers to their end, whatever they are.
fn read_through(stored: &Stored, element: &str, watch: &Watch) -> Result<()> {
    let (rows, columns) = match *stored.shape.as_slice() {
        [rows] => (rows, None),
        [rows, columns] => (rows, Some(columns)),
        _ => return Ok(()),
    };
    let at_once = (NUMBERS_AT_ONCE / columns.unwrap_or(1).max(1)).max(1);
    for first in (0..rows).step_by(at_once) {
        watch.step(&format!("Trying {element}"), first as u64, Some(rows as u64))?;
        let range = first..rows.min(first + at_once);
        match columns {
            Some(columns) => drop(stored.read_rows(range, 0..columns)),
            None => drop(stored.read::<f64>(range)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use hdf5::filters::ScaleOffset;

    use crate::anndata::tests::fixtures::{Fixture, Table};
    use crate::progress::{Cancel, Watch};

    #[test]
    fn a_survey_goes_through_a_file_whose_groups_contain_themselves() {
        let table = Table::new(30, 5);
        let fixture = Fixture::new(30, 5);
        fixture.dense("X", [30, 5], &table.dense, Some([7, 5]));
        fixture.file.create_group("uns").unwrap();
        fixture.file.link_hard("/", "uns/again").unwrap();
        let data = fixture.finish().open().unwrap();
        data.survey(&Watch::silent()).unwrap();
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(data.survey(&Watch::new(cancel, |_| {})).unwrap_err().is_cancelled());
    }

    #[test]
    fn what_only_the_library_can_unpack_is_read_to_its_end() {
        let table = Table::new(30, 5);
        let fixture = Fixture::new(30, 5);
        fixture.dense("X", [30, 5], &table.dense, Some([7, 5]));
        let numbers: Vec<i64> = (0..30).collect();
        let rare = fixture.file.new_dataset_builder().with_data(&numbers).chunk([8]);
        rare.scale_offset(ScaleOffset::Integer(0)).create("obs/rare").unwrap();
        let data = fixture.finish().open().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let watch = Watch::new(Cancel::new(), move |step| told.lock().unwrap().push(step.what.clone()));
        data.survey(&watch).unwrap();
        assert_eq!(*seen.lock().unwrap(), ["Trying obs/rare"], "and not X, whose chunks are unpacked here");
    }
}
