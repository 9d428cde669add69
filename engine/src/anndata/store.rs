//! The open HDF5 file: elements by path, with every claim of the file checked before memory is set aside for it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hdf5::types::{TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Container, Dataset, Extents, H5Type, Location, LocationType, Selection};

use super::{filters, packed, text_claims};
use crate::error::Problem;
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

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Missing,
    Group,
    Dataset,
}

/// The open file. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Store {
    file: hdf5::File,
    /// The group that elements are looked for in: the whole file, or a part that is an AnnData file of its own.
    root: hdf5::Group,
    /// Its path in the file, with a slash behind; empty for the whole file.
    prefix: Arc<str>,
    path: Arc<Path>,
    /// The path in messages, where it is another: that of a folder of which the file is a copy.
    shown: Option<Arc<Path>>,
}

/// A dataset of the file, opened for reading.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) dataset: Dataset,
    pub(super) element: String,
    pub(super) shape: Vec<usize>,
    store: Store,
}

impl Store {
    pub(super) fn new(file: hdf5::File, path: &Path) -> Self {
        let root = (*file).clone();
        Self { file, root, prefix: "".into(), path: path.into(), shown: None }
    }

    /// The same file, called `path` in messages.
    pub(super) fn shown_as(self, path: &Path) -> Self {
        Self { shown: Some(path.into()), ..self }
    }

    /// The part of the file in `group`.
    pub(super) fn within(&self, group: &str) -> Result<Self> {
        let root = self.root.group(group).map_err(|e| self.failed(group, &e))?;
        let prefix = format!("{}{group}/", self.prefix).into();
        Ok(Self { file: self.file.clone(), root, prefix, path: self.path.clone(), shown: self.shown.clone() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path, in the file, of the part that elements are looked for in, with a slash behind; empty for all of it.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// An error about `element` of this file.
    pub(super) fn problem(
        &self,
        element: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Error {
        let element = format!("{}{}", self.prefix, element.into());
        let file = self.shown.as_ref().unwrap_or(&self.path);
        Error::anndata(Problem::new(element, found, expected, remedy).in_file(file))
    }

    /// What the HDF5 library said about `element`, in words.
    pub(super) fn failed(&self, element: &str, error: &hdf5::Error) -> Error {
        let reason = error.to_string();
        let lower = reason.to_lowercase();
        if lower.contains("filter") || lower.contains("plugin") {
            return self.problem(
                element,
                format!("data packed with a filter that cannot be undone here ({reason})"),
                "gzip, LZF, Zstandard, shuffle or no compression, undamaged",
                "Write the file again with anndata's write_h5ad(path, compression=\"gzip\").",
            );
        }
        self.problem(
            element,
            format!("data that HDF5 cannot read ({reason})"),
            "an undamaged element",
            "The file may be damaged or cut short: copy or download it again.",
        )
    }

    pub(super) fn kind(&self, element: &str) -> Kind {
        if !self.links_to(element) {
            return Kind::Missing;
        }
        match self.root.loc_type_by_name(element) {
            Ok(LocationType::Group) => Kind::Group,
            Ok(LocationType::Dataset) => Kind::Dataset,
            _ => Kind::Missing,
        }
    }

    /// Every step of the path must exist: HDF5 answers with an error, not with "no", when an earlier one is missing.
    fn links_to(&self, element: &str) -> bool {
        if element.is_empty() || element.contains('\0') {
            return false;
        }
        let mut end = 0;
        for part in element.split('/') {
            end += part.len();
            if !part.is_empty() && !element.get(..end).is_some_and(|path| self.root.link_exists(path)) {
                return false;
            }
            end += 1;
        }
        true
    }

    /// The names in a group, sorted; empty when there is no such group.
    pub(super) fn members(&self, element: &str) -> Vec<String> {
        let names = if element.is_empty() {
            self.root.member_names()
        } else if self.kind(element) == Kind::Group {
            self.root.group(element).and_then(|group| group.member_names())
        } else {
            return Vec::new();
        };
        let mut names = names.unwrap_or_default();
        names.sort_unstable();
        names
    }

    /// The dataset at `element`.
    pub(super) fn dataset(&self, element: &str) -> Result<Stored> {
        match self.kind(element) {
            Kind::Dataset => {}
            Kind::Missing => {
                return Err(self.problem(
                    element,
                    "nothing there",
                    "a dataset",
                    "The file is incomplete: write it again with anndata.",
                ));
            }
            Kind::Group => {
                return Err(self.problem(
                    element,
                    "a group",
                    "a dataset",
                    "Write the file again with anndata 0.8 or later.",
                ));
            }
        }
        let dataset = self.root.dataset(element).map_err(|e| self.failed(element, &e))?;
        self.stored(dataset, element)
    }

    fn stored(&self, dataset: Dataset, element: &str) -> Result<Stored> {
        let extents =
            dataset.space().and_then(|space| space.extents()).map_err(|e| self.failed(element, &e))?;
        let shape = match extents {
            Extents::Null => vec![0],
            Extents::Scalar => Vec::new(),
            Extents::Simple(simple) => simple.dims(),
        };
        Ok(Stored { dataset, element: element.to_owned(), shape, store: self.clone() })
    }

    /// The dataset that the object reference in attribute `name` of `element` points to.
    pub(super) fn referenced(&self, element: &str, name: &str) -> Option<Stored> {
        let location = self.location(element)?;
        let reference = location.attr(name).ok()?.read_scalar::<hdf5::ObjectReference1>().ok()?;
        match self.file.dereference(&reference).ok()? {
            hdf5::ReferencedObject::Dataset(dataset) => {
                self.stored(dataset, &format!("{element}@{name}")).ok()
            }
            _ => None,
        }
    }

    fn location(&self, element: &str) -> Option<Location> {
        if element.is_empty() {
            return Some((*self.root).clone());
        }
        match self.kind(element) {
            Kind::Group => self.root.group(element).ok().map(|group| (*group).clone()),
            Kind::Dataset => self.root.dataset(element).ok().map(|dataset| (**dataset).clone()),
            Kind::Missing => None,
        }
    }

    /// An attribute of `element` as texts; `None` when it is missing or no text. A scalar gives one.
    pub(super) fn attr_texts(&self, element: &str, name: &str) -> Option<Vec<String>> {
        let attr = self.location(element)?.attr(name).ok()?;
        if matches!(attr.space().ok()?.extents().ok()?, Extents::Null) || attr_size(&attr)? > (16 << 20) {
            return None;
        }
        read_texts(&attr).ok()
    }

    /// A text attribute of `element`.
    pub(super) fn attr_text(&self, element: &str, name: &str) -> Option<String> {
        self.attr_texts(element, name)?.into_iter().next()
    }

    /// A whole-number attribute of `element`; a truth value counts as 0 or 1.
    pub(super) fn attr_integers(&self, element: &str, name: &str) -> Option<Vec<i64>> {
        let attr = self.location(element)?.attr(name).ok()?;
        if matches!(attr.space().ok()?.extents().ok()?, Extents::Null) || attr_size(&attr)? > 4096 {
            return None;
        }
        attr.read_raw::<i64>().ok()
    }

    /// The single text at `element`, where there is one: a scalar or an array of one.
    pub(super) fn text(&self, element: &str) -> Option<String> {
        if self.kind(element) != Kind::Dataset {
            return None;
        }
        let stored = self.dataset(element).ok()?;
        let mut texts = (stored.len() == 1).then(|| stored.texts(&Watch::silent()).ok())??;
        texts.pop()
    }
}

fn attr_size(attr: &Container) -> Option<u64> {
    let elements = attr.shape().iter().try_fold(1u64, |n, d| n.checked_mul(*d as u64))?;
    elements.checked_mul(attr.dtype().ok()?.size() as u64)
}

/// All texts of a small container.
fn read_texts(container: &Container) -> hdf5::Result<Vec<String>> {
    let layout = container.dtype()?.to_descriptor()?;
    Ok(match layout {
        TypeDescriptor::VarLenUnicode => {
            container.read_raw::<VarLenUnicode>()?.iter().map(|t| text_of(t.as_bytes())).collect()
        }
        TypeDescriptor::VarLenAscii => {
            container.read_raw::<VarLenAscii>()?.iter().map(|t| text_of(t.as_bytes())).collect()
        }
        TypeDescriptor::FixedAscii(width) | TypeDescriptor::FixedUnicode(width) => {
            fixed_texts(&packed::read_packed(container, &layout)?, width)
        }
        _ => return Err("no text".into()),
    })
}

/// Texts of `width` bytes each, padded with zero bytes.
pub(super) fn fixed_texts(bytes: &[u8], width: usize) -> Vec<String> {
    bytes
        .chunks_exact(width.max(1))
        .map(|text| text_of(text.split(|byte| *byte == 0).next().unwrap_or_default()))
        .collect()
}

/// Bytes as text: UTF-8, or Latin-1 where they are not UTF-8, as files written on old systems are.
pub(super) fn text_of(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes)
        .map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
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

    pub(super) fn descriptor(&self) -> Option<TypeDescriptor> {
        self.dataset.dtype().ok()?.to_descriptor().ok()
    }

    pub(super) fn content(&self) -> Content {
        let dtype = match self.dataset.dtype() {
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
        if let Some(filter) = self.dataset.filters().iter().find(|filter| !filter.is_available()) {
            let name = match filter.id() {
                307 => "bzip2".to_owned(),
                32001 => "Blosc".to_owned(),
                32004 => "LZ4".to_owned(),
                32008 => "Bitshuffle".to_owned(),
                32026 => "Blosc2".to_owned(),
                other => format!("number {other}"),
            };
            return Err(self.store.problem(
                &self.element,
                format!("data packed with the {name} filter"),
                "gzip, LZF, Zstandard or no compression",
                "Write the file again with anndata's write_h5ad(path, compression=\"gzip\").",
            ));
        }
        let width = self.dataset.dtype().map_err(|e| self.failed(&e))?.size() as u64;
        let claimed = self
            .shape
            .iter()
            .try_fold(width, |n, d| n.checked_mul(*d as u64))
            .filter(|bytes| *bytes < (1 << 62));
        let stored = self.dataset.storage_size();
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
    pub(super) fn read<T: H5Type>(&self, range: Range<usize>) -> Result<Vec<T>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let selection: Selection = if self.shape.len() == 2 { (range, 0usize).into() } else { range.into() };
        let values = self.dataset.read_slice_1d::<T, _>(selection).map_err(|e| self.failed(&e))?;
        Ok(values.into_raw_vec_and_offset().0)
    }

    /// A whole column of numbers.
    pub(super) fn read_column<T: H5Type>(&self) -> Result<Vec<T>> {
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
        let values = self.dataset.read_slice_2d::<f32, _>((rows, cols)).map_err(|e| self.failed(&e))?;
        Ok(values.into_raw_vec_and_offset().0)
    }

    /// All texts of a column, or the one of a scalar.
    pub(super) fn texts(&self, watch: &Watch) -> Result<Vec<String>> {
        let failed = |e: hdf5::Error| self.failed(&e);
        self.check_readable()?;
        let layout = self.descriptor();
        if matches!(layout, Some(TypeDescriptor::VarLenUnicode | TypeDescriptor::VarLenAscii)) {
            text_claims::check(self, watch)?;
        }
        if self.len() == 0 {
            return Ok(Vec::new());
        }
        if self.shape.is_empty() {
            return read_texts(&self.dataset).map_err(failed);
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
                return read_texts(&self.dataset).map_err(failed);
            }
            Some(TypeDescriptor::VarLenUnicode) => {
                for start in (0..n).step_by(TEXT_BLOCK) {
                    watch.check()?;
                    let block = self.read::<VarLenUnicode>(start..n.min(start + TEXT_BLOCK))?;
                    texts.extend(block.iter().map(|t| text_of(t.as_bytes())));
                }
            }
            Some(TypeDescriptor::VarLenAscii) => {
                for start in (0..n).step_by(TEXT_BLOCK) {
                    watch.check()?;
                    let block = self.read::<VarLenAscii>(start..n.min(start + TEXT_BLOCK))?;
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

/// Where the file lies, for messages.
impl AsRef<Path> for Store {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Opens `path` read-only, with a chunk cache that fits the chunks of large files.
pub(super) fn open_file(path: &Path) -> hdf5::Result<hdf5::File> {
    // Chunks of 1 to 8 MB are common; the library's own cache of 1 MB would unpack a chunk again for every row.
    const CHUNK_CACHE_BYTES: usize = 32 << 20;
    let open = |locking: Option<bool>| {
        hdf5::File::with_options()
            .with_fapl(|p| {
                p.chunk_cache(4001, CHUNK_CACHE_BYTES, 0.75);
                if let Some(locking) = locking {
                    p.file_locking(locking);
                }
                p
            })
            .open(path)
    };
    filters::register();
    let path_text: PathBuf = path.into();
    open(None).or_else(|error| {
        // Some network drives know no locks at all; only "in use by another program" (EAGAIN) is a reason to stop.
        let text = error.to_string();
        if text.contains("lock") && !text.contains("errno = 11") && path_text.exists() {
            open(Some(false))
        } else {
            Err(error)
        }
    })
}
