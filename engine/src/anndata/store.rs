//! The open HDF5 file: elements by path, with every claim of the file checked before memory is set aside for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hdf5::types::{TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Dataset, Extents, Location, LocationType};
pub(super) use unpack::texts::text_of;

use super::stored::Body;
pub(super) use super::stored::{Content, Stored};
use super::write_back::{Stamp, stamp};
use super::zarr::Zarr;
use super::{filters, packed};
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

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
    container: Container,
    /// The path, in the file, of the part that is an AnnData file of its own, with a slash behind; empty for the whole.
    prefix: Arc<str>,
    path: Arc<Path>,
    /// The path in messages, where it is another: that of a folder of which the file is a copy.
    shown: Option<Arc<Path>>,
    /// Size and time of the file when it was opened.
    stamp: Option<Stamp>,
}

/// What holds the elements.
#[derive(Debug, Clone)]
enum Container {
    /// An HDF5 file, and the group in it that elements are looked for in.
    Hdf5 { file: hdf5::File, root: hdf5::Group },
    /// A folder.
    Zarr(Arc<Zarr>),
}

impl Store {
    pub(super) fn new(file: hdf5::File, path: &Path) -> Self {
        let root = (*file).clone();
        let container = Container::Hdf5 { file, root };
        Self { container, prefix: "".into(), path: path.into(), shown: None, stamp: stamp(path) }
    }

    /// The Zarr folder `path`.
    pub(super) fn of_zarr(zarr: Zarr, path: &Path) -> Self {
        let container = Container::Zarr(zarr.into());
        Self { container, prefix: "".into(), path: path.into(), shown: None, stamp: None }
    }

    pub(super) fn is_zarr(&self) -> bool {
        matches!(self.container, Container::Zarr(_))
    }

    /// The same file, called `path` in messages.
    pub(super) fn shown_as(self, path: &Path) -> Self {
        Self { shown: Some(path.into()), ..self }
    }

    /// The part of the file in `group`.
    pub(super) fn within(&self, group: &str) -> Result<Self> {
        let prefix = format!("{}{group}/", self.prefix).into();
        let container = match &self.container {
            Container::Hdf5 { file, root } => {
                let root = root.group(group).map_err(|e| self.failed(group, &e))?;
                Container::Hdf5 { file: file.clone(), root }
            }
            zarr @ Container::Zarr(_) => zarr.clone(),
        };
        Ok(Self { container, prefix, ..self.clone() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path that the user knows: that of the folder, where the file is a copy of one.
    pub(super) fn shown(&self) -> &Path {
        self.shown.as_ref().unwrap_or(&self.path)
    }

    /// The path, in the file, of the part that elements are looked for in, with a slash behind; empty for all of it.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Refuses a file that is not the one which was opened any more.
    ///
    /// # Errors
    /// [`Error::AnnData`].
    pub(super) fn check_unchanged(&self) -> Result<()> {
        if stamp(&self.path) == self.stamp {
            return Ok(());
        }
        Err(self.problem(
            "file",
            "that it was changed, or moved, since it was opened",
            "the file as it was opened",
            "Open it again.",
        ))
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
        Error::anndata(Problem::new(element, found, expected, remedy).in_file(self.shown()))
    }

    /// What the HDF5 library said about `element`, in words.
    pub(super) fn failed(&self, element: &str, error: &hdf5::Error) -> Error {
        let reason = error.to_string();
        let lower = reason.to_lowercase();
        if lower.contains("filter") || lower.contains("plugin") {
            return self.problem(
                element,
                format!("data packed with a filter that cannot be undone here ({reason})"),
                "gzip, LZF, Blosc, Zstandard, shuffle or no compression, undamaged",
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
        let root = match &self.container {
            Container::Hdf5 { root, .. } => root,
            Container::Zarr(zarr) => return zarr.kind(&self.whole(element)),
        };
        if !links_to(root, element) {
            return Kind::Missing;
        }
        match root.loc_type_by_name(element) {
            Ok(LocationType::Group) => Kind::Group,
            Ok(LocationType::Dataset) => Kind::Dataset,
            _ => Kind::Missing,
        }
    }

    /// The path of `element` in the whole file.
    fn whole(&self, element: &str) -> String {
        format!("{}{element}", self.prefix)
    }

    /// The names in a group, sorted; empty when there is no such group.
    pub(super) fn members(&self, element: &str) -> Vec<String> {
        let root = match &self.container {
            Container::Hdf5 { root, .. } => root,
            Container::Zarr(zarr) => return zarr.members(&self.whole(element)),
        };
        let names = if element.is_empty() {
            root.member_names()
        } else if self.kind(element) == Kind::Group {
            root.group(element).and_then(|group| group.member_names())
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
        match &self.container {
            Container::Hdf5 { root, .. } => {
                let dataset = root.dataset(element).map_err(|e| self.failed(element, &e))?;
                self.stored(dataset, element)
            }
            Container::Zarr(zarr) => {
                let array = zarr.array(&self.whole(element)).map_err(|found| {
                    self.problem(
                        element,
                        found,
                        "an array of numbers, truth values or texts, packed with gzip, zlib, Zstandard or Blosc",
                        "Write it again in Python: anndata.read_zarr(\"in.zarr\").write_zarr(\"out.zarr\").",
                    )
                })?;
                let shape = array.shape().to_vec();
                Ok(Stored {
                    body: Body::Zarr(array),
                    element: element.to_owned(),
                    shape,
                    store: self.clone(),
                })
            }
        }
    }

    fn stored(&self, dataset: Dataset, element: &str) -> Result<Stored> {
        let extents =
            dataset.space().and_then(|space| space.extents()).map_err(|e| self.failed(element, &e))?;
        let shape = match extents {
            Extents::Null => vec![0],
            Extents::Scalar => Vec::new(),
            Extents::Simple(simple) => simple.dims(),
        };
        Ok(Stored { body: Body::Hdf5(dataset), element: element.to_owned(), shape, store: self.clone() })
    }

    /// The dataset that the object reference in attribute `name` of `element` points to.
    pub(super) fn referenced(&self, element: &str, name: &str) -> Option<Stored> {
        let Container::Hdf5 { file, .. } = &self.container else { return None };
        let location = self.location(element)?;
        let reference = location.attr(name).ok()?.read_scalar::<hdf5::ObjectReference1>().ok()?;
        match file.dereference(&reference).ok()? {
            hdf5::ReferencedObject::Dataset(dataset) => {
                self.stored(dataset, &format!("{element}@{name}")).ok()
            }
            _ => None,
        }
    }

    fn location(&self, element: &str) -> Option<Location> {
        let Container::Hdf5 { root, .. } = &self.container else { return None };
        if element.is_empty() {
            return Some((**root).clone());
        }
        match self.kind(element) {
            Kind::Group => root.group(element).ok().map(|group| (*group).clone()),
            Kind::Dataset => root.dataset(element).ok().map(|dataset| (**dataset).clone()),
            Kind::Missing => None,
        }
    }

    /// An attribute of `element` as texts; `None` when it is missing or no text. A scalar gives one.
    pub(super) fn attr_texts(&self, element: &str, name: &str) -> Option<Vec<String>> {
        if let Container::Zarr(zarr) = &self.container {
            return zarr.attr_texts(&self.whole(element), name);
        }
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
        if let Container::Zarr(zarr) = &self.container {
            return zarr.attr_integers(&self.whole(element), name);
        }
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

/// Every step of the path must exist: HDF5 answers with an error, not with "no", when an earlier one is missing.
fn links_to(root: &hdf5::Group, element: &str) -> bool {
    if element.is_empty() || element.contains('\0') {
        return false;
    }
    let mut end = 0;
    for part in element.split('/') {
        end += part.len();
        if !part.is_empty() && !element.get(..end).is_some_and(|path| root.link_exists(path)) {
            return false;
        }
        end += 1;
    }
    true
}

fn attr_size(attr: &hdf5::Container) -> Option<u64> {
    let elements = attr.shape().iter().try_fold(1u64, |n, d| n.checked_mul(*d as u64))?;
    elements.checked_mul(attr.dtype().ok()?.size() as u64)
}

/// All texts of a small container.
pub(super) fn read_texts(container: &hdf5::Container) -> hdf5::Result<Vec<String>> {
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
