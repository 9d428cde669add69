//! Elements as anndata 0.8 and later encode them (its "file format specification"), written into an HDF5 group.

use std::path::{Path, PathBuf};

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, Group, H5Type, Location, ObjectReference1, Selection};

use super::frame::{Column, Values};
use crate::error::Problem;
use crate::{Error, Result};

/// Entries of a chunk: 256 kB of values.
pub(super) const CHUNK: usize = 1 << 16;
/// Texts held before they go to the file.
const HELD_TEXTS: usize = 1 << 12;
/// gzip's level, as anndata's own default.
pub(super) const GZIP: u8 = 4;

/// Writes elements below `root`.
#[derive(Debug)]
pub(super) struct Elements {
    pub(super) root: Group,
    /// The file in messages.
    path: PathBuf,
}

impl Elements {
    pub(super) fn new(root: Group, path: &Path) -> Self {
        Self { root, path: path.to_path_buf() }
    }

    pub(super) fn failed(&self, element: &str, error: &hdf5::Error) -> Error {
        failed(&self.path, element, error)
    }

    /// A new group with its encoding.
    pub(super) fn group(&self, element: &str, encoding: &str, version: &str) -> Result<Group> {
        let group = self.plain_group(element)?;
        self.encode(&group, encoding, version)?;
        Ok(group)
    }

    fn plain_group(&self, element: &str) -> Result<Group> {
        self.root
            .create_group_builder()
            .obj_track_times(false)
            .create(element)
            .map_err(|e| self.failed(element, &e))
    }

    /// Says how `at` is encoded.
    pub(super) fn encode(&self, at: &Location, encoding: &str, version: &str) -> Result<()> {
        self.text_attr(at, "encoding-type", encoding)?;
        self.text_attr(at, "encoding-version", version)
    }

    pub(super) fn text_attr(&self, at: &Location, name: &str, value: &str) -> Result<()> {
        at.new_attr::<VarLenUnicode>()
            .create(name)
            .and_then(|attr| attr.write_scalar(&vlen(value)))
            .map_err(|e| self.failed(name, &e))
    }

    /// An attribute of several texts; an older one of that name is replaced.
    pub(super) fn texts_attr<'a>(
        &self,
        at: &Location,
        name: &str,
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<()> {
        let texts: Vec<VarLenUnicode> = texts.map(vlen).collect();
        let write = || -> hdf5::Result<()> {
            if at.attr_names()?.iter().any(|found| found == name) {
                at.delete_attr(name)?;
            }
            let attr = at.new_attr::<VarLenUnicode>().shape([texts.len()]).create(name)?;
            if texts.is_empty() { Ok(()) } else { attr.write_raw(&texts) }
        };
        write().map_err(|e| self.failed(name, &e))
    }

    fn bool_attr(&self, at: &Location, name: &str, value: bool) -> Result<()> {
        at.new_attr::<bool>()
            .create(name)
            .and_then(|attr| attr.write_scalar(&value))
            .map_err(|e| self.failed(name, &e))
    }

    /// A column of a data frame.
    pub(super) fn column(&self, element: &str, column: &Column) -> Result<()> {
        match &column.values {
            Values::Categorical { codes, categories, ordered } => {
                let group = self.group(element, "categorical", "0.2.0")?;
                self.bool_attr(&group, "ordered", *ordered)?;
                self.text_dataset(&format!("{element}/categories"), categories.iter().map(String::as_str))?;
                self.codes(&format!("{element}/codes"), codes, categories.len())?;
                Ok(())
            }
            Values::Text(texts) => {
                self.text_dataset(element, texts.iter().map(|t| t.as_deref().unwrap_or_default()))
            }
            Values::Number(numbers) => self.numbers(element, numbers).map(drop),
            Values::Integer(values) => self.masked(element, "nullable-integer", values),
            Values::Boolean(values) => self.masked(element, "nullable-boolean", values),
        }
    }

    /// A column of the data frame `frame` as anndata 0.7 wrote it: the labels of a categorical lie apart, in
    /// `__categories`, and its codes point to them.
    pub(super) fn old_column(&self, frame: &str, column: &Column) -> Result<()> {
        let element = format!("{frame}/{}", column.name);
        let Values::Categorical { codes, categories, ordered } = &column.values else {
            return self.column(&element, column);
        };
        let folder = format!("{frame}/__categories");
        if !self.root.link_exists(&folder) {
            self.plain_group(&folder)?;
        }
        let labels = format!("{folder}/{}", column.name);
        self.text_dataset(&labels, categories.iter().map(String::as_str))?;
        let failed = |e: hdf5::Error| self.failed(&element, &e);
        self.bool_attr(&*self.root.dataset(&labels).map_err(failed)?, "ordered", *ordered)?;
        let codes = self.codes(&element, codes, categories.len())?;
        let reference = self.root.reference::<ObjectReference1>(&labels).map_err(failed)?;
        codes
            .new_attr::<ObjectReference1>()
            .create("categories")
            .and_then(|attr| attr.write_scalar(&reference))
            .map_err(failed)
    }

    /// Codes in the narrowest type that holds all, as pandas does.
    fn codes(&self, element: &str, codes: &[i32], categories: usize) -> Result<Dataset> {
        if categories <= i8::MAX as usize {
            self.numbers(element, &codes.iter().map(|c| *c as i8).collect::<Vec<_>>())
        } else if categories <= i16::MAX as usize {
            self.numbers(element, &codes.iter().map(|c| *c as i16).collect::<Vec<_>>())
        } else {
            self.numbers(element, codes)
        }
    }

    /// Values as an array, or as values with a mask where some are missing.
    fn masked<T: H5Type + Copy + Default>(
        &self,
        element: &str,
        encoding: &str,
        values: &[Option<T>],
    ) -> Result<()> {
        let plain: Vec<T> = values.iter().map(|v| v.unwrap_or_default()).collect();
        if values.iter().all(Option::is_some) {
            return self.numbers(element, &plain).map(drop);
        }
        self.group(element, encoding, "0.1.0")?;
        self.numbers(&format!("{element}/values"), &plain)?;
        let mask: Vec<bool> = values.iter().map(Option::is_none).collect();
        self.numbers(&format!("{element}/mask"), &mask).map(drop)
    }

    fn numbers<T: H5Type>(&self, element: &str, values: &[T]) -> Result<Dataset> {
        let dataset = self.dataset::<T>(element, values.len())?;
        self.encode(&dataset, "array", "0.2.0")?;
        if !values.is_empty() {
            dataset.write_raw(values).map_err(|e| self.failed(element, &e))?;
        }
        Ok(dataset)
    }

    /// A dataset of a known length, gzipped.
    pub(super) fn dataset<T: H5Type>(&self, element: &str, len: usize) -> Result<Dataset> {
        let builder = self.root.new_dataset::<T>().obj_track_times(false);
        let created = if len == 0 {
            builder.shape([0]).create(element)
        } else {
            builder.chunk([len.min(CHUNK)]).shuffle().deflate(GZIP).shape([len]).create(element)
        };
        created.map_err(|e| self.failed(element, &e))
    }

    /// An array of texts.
    pub(super) fn text_dataset<'a>(
        &self,
        element: &str,
        texts: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<()> {
        let mut writer = self.texts(element, texts.len())?;
        for text in texts {
            writer.push(text)?;
        }
        writer.finish()
    }

    /// Begins an array of `len` texts.
    pub(super) fn texts(&self, element: &str, len: usize) -> Result<TextWriter<'_>> {
        // HDF5 keeps texts of varying length apart from the array, where no filter reaches them.
        let dataset = self
            .root
            .new_dataset::<VarLenUnicode>()
            .obj_track_times(false)
            .shape([len])
            .create(element)
            .map_err(|e| self.failed(element, &e))?;
        self.encode(&dataset, "string-array", "0.2.0")?;
        Ok(TextWriter { file: self, element: element.to_owned(), dataset, len, written: 0, held: Vec::new() })
    }

    /// A single text.
    pub(super) fn text(&self, element: &str, text: &str) -> Result<()> {
        let dataset = self
            .root
            .new_dataset::<VarLenUnicode>()
            .obj_track_times(false)
            .shape(())
            .create(element)
            .map_err(|e| self.failed(element, &e))?;
        self.encode(&dataset, "string", "0.2.0")?;
        dataset.write_scalar(&vlen(text)).map_err(|e| self.failed(element, &e))
    }
}

/// Writes texts one after the other.
#[derive(Debug)]
pub struct TextWriter<'a> {
    file: &'a Elements,
    element: String,
    dataset: Dataset,
    len: usize,
    written: usize,
    held: Vec<VarLenUnicode>,
}

impl TextWriter<'_> {
    /// Adds a text.
    ///
    /// # Errors
    /// [`Error::AnnData`] where HDF5 refuses.
    pub fn push(&mut self, text: &str) -> Result<()> {
        self.held.push(vlen(text));
        if self.held.len() >= HELD_TEXTS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let end = self.written + self.held.len();
        if self.held.is_empty() {
            return Ok(());
        }
        if end > self.len {
            return Err(miscounted(&self.element, end, self.len));
        }
        self.dataset
            .write_slice(self.held.as_slice(), Selection::from(self.written..end))
            .map_err(|e| self.file.failed(&self.element, &e))?;
        self.written = end;
        self.held.clear();
        Ok(())
    }

    /// Ends the array.
    ///
    /// # Errors
    /// [`Error::Request`] where fewer texts were given than announced; [`Error::AnnData`] where HDF5 refuses.
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        if self.written == self.len { Ok(()) } else { Err(miscounted(&self.element, self.written, self.len)) }
    }
}

pub(super) fn miscounted(element: &str, found: usize, expected: usize) -> Error {
    Error::request(Problem::new(
        element,
        found.to_string(),
        format!("{expected}, as announced"),
        "Report this as a bug.",
    ))
}

/// The error for what HDF5 does not write to `path`.
pub(super) fn failed(path: &Path, element: &str, error: &hdf5::Error) -> Error {
    Error::anndata(
        Problem::new(
            element,
            format!("that HDF5 cannot write it ({error})"),
            "a file that can be written",
            "Check that the drive has space and stays connected.",
        )
        .in_file(path),
    )
}

/// Text for HDF5, which ends texts at a zero byte.
fn vlen(text: &str) -> VarLenUnicode {
    clean(text).parse().unwrap_or_default()
}

/// `text` as it is stored: without zero bytes.
pub(super) fn clean(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "").into() } else { text.into() }
}
