//! Comparing a copy with the file it was made of, and with what was added to it.
//!
//! What was added, and all of obs, var and the embeddings, is read again and compared value by value. Of everything
//! else form, size and place in the file are compared, and its bytes at three places: the copy holds them because they
//! were copied, and HDF5 writes nothing there.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::frame::{Column, Frame, Values};
use super::store::{Kind, Store, open_file};
use super::write_back::as_stored;
use super::{AnnData, identify};
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

/// Bytes compared at each place.
const SAMPLE_BYTES: u64 = 1 << 16;
/// Groups in groups deeper than this are links in a circle.
const DEEPEST: usize = 32;

/// Compares the copy at `draft`, shown as `path`, with its source and with what was added.
pub(super) fn check_copy(
    source: &AnnData,
    draft: &Path,
    path: &Path,
    columns: &[Column],
    provenance: &str,
    watch: &Watch,
) -> Result<()> {
    let differs = |element: &str, found: &str| {
        Err(Error::anndata(
            Problem::new(
                element,
                found,
                "what was written",
                "Nothing was put in place. Check the drive, then write the copy again.",
            )
            .in_file(path),
        ))
    };
    let quiet = watch.quiet();
    let copy = AnnData::open(draft, &quiet)?;
    for column in columns {
        let element = format!("obs/{}", column.name);
        match copy.obs.column(&column.name) {
            Some(found) if same(&found.values, &as_stored(&column.values)) => {}
            Some(_) => return differs(&element, "other values"),
            None => return differs(&element, "nothing that can be read"),
        }
    }
    if copy.provenance_before().as_deref() != Some(provenance) {
        return differs("uns/cell2text/provenance", "another text");
    }
    let ours = |name: &str| columns.iter().any(|column| column.name == name);
    if let Some(element) = frame_difference(&source.obs, &copy.obs, ours) {
        return differs(&format!("obs/{element}"), "other values than in the source");
    }
    if let Some(element) = frame_difference(&source.var, &copy.var, |_| false) {
        return differs(&format!("var/{element}"), "other values than in the source");
    }
    if source.matrices != copy.matrices || source.obsm_names != copy.obsm_names {
        return differs("file", "other matrices or embeddings than in the source");
    }
    for name in &source.obsm_names {
        watch.check()?;
        let bits = |data: &AnnData| {
            data.obsm(name).map(|values| values.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>()).ok()
        };
        if bits(source) != bits(&copy) {
            return differs(&format!("obsm/{name}"), "other values than in the source");
        }
    }
    drop(copy);
    check_places(source.path(), draft, path, source.store.prefix(), columns, watch)
}

/// Whether two columns are equal, missing values as well.
fn same(a: &Values, b: &Values) -> bool {
    match (a, b) {
        (Values::Number(a), Values::Number(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
        }
        (a, b) => a == b,
    }
}

/// The first column, or the index, in which the tables differ, but for those that were written.
fn frame_difference(source: &Frame, copy: &Frame, written: impl Fn(&str) -> bool) -> Option<String> {
    if source.index != copy.index {
        return Some(source.index_name.clone());
    }
    let mut before = source.columns.iter().filter(|column| !written(&column.name));
    let mut after = copy.columns.iter().filter(|column| !written(&column.name));
    loop {
        match (before.next(), after.next()) {
            (None, None) => return None,
            (Some(a), Some(b)) if a.name == b.name && same(&a.values, &b.values) => {}
            (Some(column), _) | (None, Some(column)) => return Some(column.name.clone()),
        }
    }
}

/// Compares form, size and place of every element but what was written.
fn check_places(
    source: &Path,
    draft: &Path,
    path: &Path,
    prefix: &str,
    columns: &[Column],
    watch: &Watch,
) -> Result<()> {
    let open = |at: &Path, shown: &Path| {
        open_file(at).map(|file| Store::new(file, shown)).map_err(|e| identify::cannot_open(shown, &e))
    };
    let unreadable = |e| Error::io("read", path, e);
    let mut pair = Pair {
        before: open(source, source)?,
        after: open(draft, path)?,
        bytes_before: File::open(source).map_err(unreadable)?,
        bytes_after: File::open(draft).map_err(unreadable)?,
        written: columns
            .iter()
            .flat_map(|c| [format!("{prefix}obs/{}", c.name), format!("{prefix}obs/__categories/{}", c.name)])
            .chain([format!("{prefix}uns/cell2text")])
            .collect(),
        watch,
    };
    match pair.difference("", 0)? {
        None => Ok(()),
        Some((element, found)) => Err(Error::anndata(
            Problem::new(
                element,
                found,
                "the same as in the source",
                "Nothing was put in place. Check the drive, then write the copy again.",
            )
            .in_file(path),
        )),
    }
}

/// Two files compared element by element.
struct Pair<'a> {
    before: Store,
    after: Store,
    bytes_before: File,
    bytes_after: File,
    written: Vec<String>,
    watch: &'a Watch,
}

impl Pair<'_> {
    fn difference(&mut self, group: &str, depth: usize) -> Result<Option<(String, String)>> {
        let path = |name: &str| if group.is_empty() { name.to_owned() } else { format!("{group}/{name}") };
        let members = |store: &Store| -> Vec<String> {
            let ours = |name: &String| !self.written.contains(&path(name));
            store.members(group).into_iter().filter(ours).collect()
        };
        let names = members(&self.before);
        // A group that had to be made for what was written is not in the source.
        let made = |name: &String| ["uns", "__categories"].contains(&name.as_str());
        let extra = members(&self.after).into_iter().find(|name| !names.contains(name) && !made(name));
        if let Some(name) = extra {
            return Ok(Some((path(&name), "an element more".to_owned())));
        }
        for name in names {
            self.watch.check()?;
            let element = path(&name);
            let (before, after) = (self.before.kind(&element), self.after.kind(&element));
            if before != after {
                return Ok(Some((element, "something else".to_owned())));
            }
            let found = match before {
                Kind::Group if depth < DEEPEST => self.difference(&element, depth + 1)?,
                Kind::Dataset => self.of_dataset(&element)?.map(|found| (element, found)),
                _ => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// In what a dataset differs.
    fn of_dataset(&mut self, element: &str) -> Result<Option<String>> {
        let (before, after) = (self.before.dataset(element)?, self.after.dataset(element)?);
        let (before_in, after_in) = (before.hdf5()?, after.hdf5()?);
        let types = before_in.dtype().ok().zip(after_in.dtype().ok());
        if before.shape != after.shape || types.is_some_and(|(a, b)| a != b) {
            return Ok(Some("another shape or type".to_owned()));
        }
        let places = |dataset: &hdf5::Dataset| {
            let mut places = Vec::new();
            if dataset.is_chunked() {
                // An error leaves the list short on one side, or on both alike.
                let _ = dataset.chunks_visit(|chunk| {
                    places.push((chunk.addr, chunk.size));
                    0
                });
            } else if let Some(start) = dataset.offset() {
                places.push((start, dataset.storage_size()));
            }
            places
        };
        let places = (places(before_in), places(after_in));
        if places.0 != places.1 {
            return Ok(Some("another place in the file".to_owned()));
        }
        let places = places.0;
        for at in [0, places.len() / 2, places.len().saturating_sub(1)] {
            let Some((start, bytes)) = places.get(at).copied() else { continue };
            for from in [start, start + bytes.saturating_sub(SAMPLE_BYTES)] {
                let length = bytes.min(SAMPLE_BYTES);
                if read_at(&mut self.bytes_before, from, length)
                    != read_at(&mut self.bytes_after, from, length)
                {
                    return Ok(Some("other bytes".to_owned()));
                }
            }
        }
        Ok(None)
    }
}

/// Up to `length` bytes from `start`.
fn read_at(file: &mut File, start: u64, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(start)).is_ok() {
        let _ = file.by_ref().take(length).read_to_end(&mut bytes);
    }
    bytes
}
