//! A look at every element of a file without reading its values: what the HDF5 library goes by later is read once.
//!
//! The library can crash on a damaged file. A process that nobody misses ([`crate::session::try_file`]) opens the file
//! first; what it has walked through will not end the program later: groups, descriptions of datasets, attributes, and
//! the lists of chunks. What is left are the chunks themselves, which are unpacked with bounds.

use super::AnnData;
use super::store::{Kind, Store};
use crate::Result;
use crate::progress::Watch;

/// Groups may contain themselves.
const DEEPEST: usize = 12;
const MOST_ELEMENTS: usize = 100_000;

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
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
}
