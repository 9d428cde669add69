//! One dataset of the file: what it holds, whether its claims can be believed, and its values.

use std::ops::Range;
use std::sync::Arc;

use hdf5::types::{TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Dataset, Selection};

use super::store::{Store, read_texts, text_of};
use super::zarr::{Array, FromZarr};
use super::{heaps, text_claims};
use crate::progress::Watch;
use crate::{Error, Result};

/// Rows of text read at a time, so that a stop is heard.
const TEXT_BLOCK: usize = 1 << 16;
/// What any element may hold whatever the file stores for it: small claims need no proof.
const FREE_BYTES: u64 = 64 << 20;
/// Deflate cannot pack more than 1032 to 1; a claim beyond that is not backed by the file.
const LARGEST_PACKING: u64 = 1100;
/// Fixed-length text wider than this in all is refused: one column must never fill the memory.
const TEXT_BYTES: u64 = 2 << 30;

/// A dataset of the file, opened for reading.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) body: Body,
    pub(super) element: String,
    pub(super) shape: Vec<usize>,
    pub(super) store: Store,
}

/// Where it lies.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Hdf5(Dataset),
    Zarr(Arc<Array>),
}

/// What a dataset holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Boolean,
    Integer,
    Unsigned64,
    Float,
    Text,
    /// Numbers with a name each.
    Named(Vec<(i64, String)>),
    Compound,
    Other(String),
}

impl Stored {
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The number of values: all of them, whatever the shape.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).unwrap_or(usize::MAX)
    }

    fn failed(&self, error: &hdf5::Error) -> Error {
        self.store.failed(&self.element, error)
    }

    /// The dataset of an HDF5 file.
    ///
    /// # Errors
    /// [`Error::AnnData`] for an element of a Zarr folder: what asks for it reads layouts that only HDF5 has.
    pub(super) fn hdf5(&self) -> Result<&Dataset> {
        match &self.body {
            Body::Hdf5(dataset) => Ok(dataset),
            Body::Zarr(_) => Err(self.store.problem(
                &self.element,
                "a Zarr array",
                "a plain column or matrix",
                "Write it again in Python: anndata.read_zarr(\"in.zarr\").write_zarr(\"out.zarr\").",
            )),
        }
    }

    /// The array of a Zarr folder.
    pub(super) fn zarr(&self) -> Option<&Arc<Array>> {
        match &self.body {
            Body::Hdf5(_) => None,
            Body::Zarr(array) => Some(array),
        }
    }

    /// Rows of a chunk, where there are any.
    pub(super) fn chunk_rows(&self) -> Option<usize> {
        match &self.body {
            Body::Hdf5(dataset) => dataset.chunk()?.first().copied(),
            Body::Zarr(array) => array.chunk().first().copied(),
        }
    }

    pub(super) fn descriptor(&self) -> Option<TypeDescriptor> {
        match &self.body {
            Body::Hdf5(dataset) => dataset.dtype().ok()?.to_descriptor().ok(),
            Body::Zarr(array) => array.descriptor(),
        }
    }

    fn zarr_failed(&self, found: String) -> Error {
        self.store.problem(
            &self.element,
            found,
            "an undamaged array",
            "The folder may be damaged or incomplete: copy or download it again.",
        )
    }

    pub(super) fn content(&self) -> Content {
        let dataset = match &self.body {
            Body::Hdf5(dataset) => dataset,
            Body::Zarr(array) => return array.content(),
        };
        let dtype = match dataset.dtype() {
            Ok(dtype) => dtype,
            Err(error) => return Content::Other(error.to_string()),
        };
        match dtype.to_descriptor() {
            Ok(TypeDescriptor::Boolean) => Content::Boolean,
            Ok(TypeDescriptor::Unsigned(size)) if size as usize == 8 => Content::Unsigned64,
            Ok(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_)) => Content::Integer,
            Ok(TypeDescriptor::Float(_)) => Content::Float,
            Ok(
                TypeDescriptor::FixedAscii(_)
                | TypeDescriptor::FixedUnicode(_)
                | TypeDescriptor::VarLenAscii
                | TypeDescriptor::VarLenUnicode,
            ) => Content::Text,
            Ok(TypeDescriptor::Enum(names)) => {
                let bits = 8 * names.size as u32;
                let value = |raw: u64| {
                    let up = 64u32.saturating_sub(bits);
                    if names.signed { ((raw << up) as i64) >> up } else { raw as i64 }
                };
                Content::Named(names.members.iter().map(|m| (value(m.value), m.name.clone())).collect())
            }
            Ok(TypeDescriptor::Compound(_)) => Content::Compound,
            Ok(other) => Content::Other(other.to_string()),
            // Half-precision floats have no descriptor, but HDF5 converts them like any other.
            Err(_) if dtype.conv_to::<f32>().is_some() => Content::Float,
            Err(error) => Content::Other(error.to_string()),
        }
    }

    /// Refuses, before memory is set aside, claims that the file's own bytes cannot back, and data packed with a
    /// filter that this program lacks.
    pub(super) fn check_readable(&self) -> Result<()> {
        let dataset = match &self.body {
            Body::Hdf5(dataset) => dataset,
            Body::Zarr(array) => return array.check_readable().map_err(|found| self.zarr_failed(found)),
        };
        if let Some(filter) = dataset.filters().iter().find(|filter| !filter.is_available()) {
            let name = match filter.id() {
                307 => "bzip2".to_owned(),
                32004 => "LZ4".to_owned(),
                32008 => "Bitshuffle".to_owned(),
                32026 => "Blosc2".to_owned(),
                other => format!("number {other}"),
            };
            return Err(self.store.problem(
                &self.element,
                format!("data packed with the {name} filter"),
                "gzip, LZF, Blosc, Zstandard or no compression",
                "Write the file again with anndata's write_h5ad(path, compression=\"gzip\").",
            ));
        }
        let width = dataset.dtype().map_err(|e| self.failed(&e))?.size() as u64;
        let claimed = self
            .shape
            .iter()
            .try_fold(width, |n, d| n.checked_mul(*d as u64))
            .filter(|bytes| *bytes < (1 << 62));
        let stored = dataset.storage_size();
        let backed = stored.saturating_mul(LARGEST_PACKING).max(FREE_BYTES);
        match claimed {
            Some(bytes) if bytes <= backed => Ok(()),
            _ => Err(self.store.problem(
                &self.element,
                format!("shape {:?} of {width} bytes each, with {stored} bytes stored", self.shape),
                "no more values than the file can hold",
                "The file is damaged or was made to mislead: get it again from its source.",
            )),
        }
    }

    /// The length of a column: `[n]`, or `[n, 1]` as anndata 0.12.1 wrote some.
    pub(super) fn column_len(&self) -> Result<usize> {
        match self.shape.as_slice() {
            [n] | [n, 1] => Ok(*n),
            shape => Err(self.store.problem(
                &self.element,
                format!("shape {shape:?}"),
                "one value a row",
                "Drop the column, or write it as a plain column with anndata.",
            )),
        }
    }

    /// Values `range` of a column, converted by HDF5.
    pub(super) fn read<T: FromZarr>(&self, range: Range<usize>) -> Result<Vec<T>> {
        match &self.body {
            _ if range.is_empty() => Ok(Vec::new()),
            Body::Hdf5(dataset) => self.read_hdf5(dataset, range),
            Body::Zarr(array) => array.read(range, 0..1).map_err(|found| self.zarr_failed(found)),
        }
    }

    fn read_hdf5<T: hdf5::H5Type>(&self, dataset: &Dataset, range: Range<usize>) -> Result<Vec<T>> {
        let selection: Selection = if self.shape.len() == 2 { (range, 0usize).into() } else { range.into() };
        let values = dataset.read_slice_1d::<T, _>(selection).map_err(|e| self.failed(&e))?;
        Ok(values.into_raw_vec_and_offset().0)
    }

    /// A whole column of numbers.
    pub(super) fn read_column<T: FromZarr>(&self) -> Result<Vec<T>> {
        let n = self.column_len()?;
        self.check_readable()?;
        self.read(0..n)
    }

    /// Rows `rows` and all columns of a `[rows, columns]` dataset, row after row.
    pub(super) fn read_rows(&self, rows: Range<usize>, cols: Range<usize>) -> Result<Vec<f32>> {
        if rows.is_empty() || cols.is_empty() {
            return Ok(Vec::new());
        }
        if self.shape.len() == 1 {
            return self.read(rows);
        }
        match &self.body {
            Body::Hdf5(dataset) => {
                let values = dataset.read_slice_2d::<f32, _>((rows, cols)).map_err(|e| self.failed(&e))?;
                Ok(values.into_raw_vec_and_offset().0)
            }
            Body::Zarr(array) => array.read(rows, cols).map_err(|found| self.zarr_failed(found)),
        }
    }

    /// The text of variable length at `row`, as the library reads it.
    pub(super) fn text_at(&self, row: usize) -> Option<String> {
        let dataset = self.hdf5().ok()?;
        match self.descriptor()? {
            TypeDescriptor::VarLenUnicode => {
                let read = self.read_hdf5::<VarLenUnicode>(dataset, row..row + 1).ok()?;
                read.first().map(|text| text_of(text.as_bytes()))
            }
            _ => {
                let read = self.read_hdf5::<VarLenAscii>(dataset, row..row + 1).ok()?;
                read.first().map(|text| text_of(text.as_bytes()))
            }
        }
    }

    /// All texts of a column, or the one of a scalar.
    pub(super) fn texts(&self, watch: &Watch) -> Result<Vec<String>> {
        let failed = |e: hdf5::Error| self.failed(&e);
        self.check_readable()?;
        let dataset = match &self.body {
            Body::Hdf5(dataset) => dataset,
            Body::Zarr(array) => {
                if !self.shape.is_empty() {
                    self.column_len()?;
                }
                return array.texts(watch)?.map_err(|found| self.zarr_failed(found));
            }
        };
        let layout = self.descriptor();
        if matches!(layout, Some(TypeDescriptor::VarLenUnicode | TypeDescriptor::VarLenAscii)) {
            if let Some(texts) = heaps::texts(self, watch)? {
                return Ok(texts);
            }
            text_claims::check(self, watch)?;
        }
        if self.len() == 0 {
            return Ok(Vec::new());
        }
        if self.shape.is_empty() {
            return read_texts(dataset).map_err(failed);
        }
        let n = self.column_len()?;
        let mut texts = Vec::with_capacity(n);
        match layout {
            Some(TypeDescriptor::FixedAscii(width) | TypeDescriptor::FixedUnicode(width)) => {
                if (n as u64).saturating_mul(width as u64) > TEXT_BYTES {
                    return Err(self.store.problem(
                        &self.element,
                        format!("{n} texts of {width} bytes each"),
                        "at most 2 GiB of text in a column",
                        "Write the column with variable-length text (anndata 0.8 or later does).",
                    ));
                }
                return read_texts(dataset).map_err(failed);
            }
            Some(TypeDescriptor::VarLenUnicode) => {
                for start in (0..n).step_by(TEXT_BLOCK) {
                    watch.check()?;
                    let block = self.read_hdf5::<VarLenUnicode>(dataset, start..n.min(start + TEXT_BLOCK))?;
                    texts.extend(block.iter().map(|t| text_of(t.as_bytes())));
                }
            }
            Some(TypeDescriptor::VarLenAscii) => {
                for start in (0..n).step_by(TEXT_BLOCK) {
                    watch.check()?;
                    let block = self.read_hdf5::<VarLenAscii>(dataset, start..n.min(start + TEXT_BLOCK))?;
                    texts.extend(block.iter().map(|t| text_of(t.as_bytes())));
                }
            }
            other => {
                return Err(self.store.problem(
                    &self.element,
                    other.map_or_else(|| "data of an unknown type".to_owned(), |t| t.to_string()),
                    "text",
                    "Drop the element, or write it as text with anndata.",
                ));
            }
        }
        Ok(texts)
    }
}
