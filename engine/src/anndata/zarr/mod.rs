//! Zarr folders, versions 2 and 3: groups, attributes and arrays as AnnData writes them.
//!
//! A group or array is a folder with its description in it: `.zgroup`, `.zarray` and `.zattrs` in version 2,
//! `zarr.json` in version 3 (Zarr specifications, versions 2 and 3.1). Names come from the folder, which may come from
//! anywhere: no path leads out of it, and only plain files are read.

mod array;
mod codecs;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(super) use array::{Array, FromZarr};

use super::store::Kind;
use crate::error::Problem;
use crate::{Error, Result};

/// Files whose presence makes a folder a Zarr folder. `.zattrs` is opened by people who look for something to open.
const MARKS: [&str; 2] = [".zgroup", "zarr.json"];
const OPENED: [&str; 4] = [".zgroup", "zarr.json", ".zattrs", ".zmetadata"];
/// Descriptions are small; those that gather all others are not read.
const MOST_DESCRIPTION_BYTES: u64 = 64 << 20;
/// More members than this are no group of AnnData.
const MOST_MEMBERS: usize = 1 << 17;

/// A Zarr folder.
#[derive(Debug)]
pub(super) struct Zarr {
    /// Without links in it.
    root: PathBuf,
}

impl Zarr {
    /// The Zarr folder that `path` names, itself or by one of the files in it that describe it.
    ///
    /// # Errors
    /// [`Error::AnnData`] where it is a Zarr array, [`Error::Io`] where it cannot be read.
    pub(super) fn find(path: &Path) -> Result<Option<Self>> {
        let folder = match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if OPENED.contains(&name) && path.is_file() => path.parent().unwrap_or(path),
            _ => path,
        };
        if !folder.is_dir() {
            return Ok(None);
        }
        if !MARKS.iter().any(|name| folder.join(name).is_file()) {
            if !folder.join(".zarray").is_file() {
                return Ok(None);
            }
            return Err(not_anndata(path));
        }
        let root = folder.canonicalize().map_err(|e| Error::io("open the cell folder", path, e))?;
        let zarr = Self { root };
        if zarr.kind_of(&zarr.root) != Kind::Group {
            return Err(not_anndata(path));
        }
        Ok(Some(zarr))
    }

    /// The folder of `element`; `None` for a name that leads out, or to nothing.
    fn folder(&self, element: &str) -> Option<PathBuf> {
        let mut folder = self.root.clone();
        for part in element.split('/').filter(|part| !part.is_empty()) {
            if part == "." || part == ".." || part.contains(['\\', '\0', ':']) {
                return None;
            }
            folder.push(part);
        }
        let whole = folder.canonicalize().ok()?;
        (whole.starts_with(&self.root) && whole.is_dir()).then_some(whole)
    }

    fn kind_of(&self, folder: &Path) -> Kind {
        if let Some(json) = description(&folder.join("zarr.json")) {
            return match json.get("node_type").and_then(Value::as_str) {
                Some("group") => Kind::Group,
                Some("array") => Kind::Dataset,
                _ => Kind::Missing,
            };
        }
        if is_plain(&folder.join(".zarray")) {
            Kind::Dataset
        } else if is_plain(&folder.join(".zgroup")) {
            Kind::Group
        } else {
            Kind::Missing
        }
    }

    pub(super) fn kind(&self, element: &str) -> Kind {
        self.folder(element).map_or(Kind::Missing, |folder| self.kind_of(&folder))
    }

    /// The names of the groups and arrays in a group, sorted.
    pub(super) fn members(&self, element: &str) -> Vec<String> {
        let Some(entries) = self.folder(element).and_then(|folder| std::fs::read_dir(folder).ok()) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .take(MOST_MEMBERS)
            .flatten()
            .filter(|entry| entry.path().is_dir() && self.kind_of(&entry.path()) != Kind::Missing)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        names
    }

    fn attribute(&self, element: &str, name: &str) -> Option<Value> {
        let folder = self.folder(element)?;
        let mut attributes = match description(&folder.join("zarr.json")) {
            Some(mut json) => json.get_mut("attributes")?.take(),
            None => description(&folder.join(".zattrs"))?,
        };
        attributes.get_mut(name).map(Value::take)
    }

    /// An attribute of `element` as texts; a single text gives one.
    pub(super) fn attr_texts(&self, element: &str, name: &str) -> Option<Vec<String>> {
        match self.attribute(element, name)? {
            Value::String(text) => Some(vec![text]),
            Value::Array(values) => {
                values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect()
            }
            _ => None,
        }
    }

    /// A whole-number attribute of `element`; a truth value counts as 0 or 1.
    pub(super) fn attr_integers(&self, element: &str, name: &str) -> Option<Vec<i64>> {
        let integer = |value: &Value| value.as_i64().or_else(|| value.as_bool().map(i64::from));
        match self.attribute(element, name)? {
            Value::Array(values) => values.iter().map(integer).collect(),
            value => integer(&value).map(|value| vec![value]),
        }
    }

    /// The array at `element`, or what is wrong with it.
    pub(super) fn array(&self, element: &str) -> std::result::Result<std::sync::Arc<Array>, String> {
        let folder = self.folder(element).ok_or("nothing there")?;
        if let Some(json) = description(&folder.join("zarr.json")) {
            return Array::of_version_3(folder, &json).map(Into::into);
        }
        let json = description(&folder.join(".zarray")).ok_or("a description that cannot be read")?;
        Array::of_version_2(folder, &json).map(Into::into)
    }
}

/// All plain files of the Zarr folder at `path`, by name; `None` for what is no such folder.
pub(super) fn files_of(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    let Some(zarr) = Zarr::find(path)? else { return Ok(None) };
    let mut files = Vec::new();
    let mut folders = vec![zarr.root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|e| Error::io("list the folder", &folder, e))?;
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort_unstable();
    Ok(Some(files))
}

fn not_anndata(path: &Path) -> Error {
    Error::anndata(
        Problem::new(
            "file",
            "a Zarr array",
            "the folder of an AnnData file in Zarr, with obs and var in it",
            "Open the folder that it lies in.",
        )
        .in_file(path),
    )
}

fn is_plain(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_file())
}

/// All bytes of a plain file of at most `most` bytes; `Ok(None)` where there is none.
fn plain_bytes(path: &Path, most: u64, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() && meta.len() <= most => {}
        Ok(_) => return Err(std::io::Error::other("no plain file, or too large a one")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    bytes.clear();
    File::open(path)?.take(most).read_to_end(bytes)?;
    Ok(true)
}

/// A description as JSON. Python writes `NaN` and `Infinity` into some, which are no JSON: they become texts.
fn description(path: &Path) -> Option<Value> {
    let mut bytes = Vec::new();
    if !plain_bytes(path, MOST_DESCRIPTION_BYTES, &mut bytes).ok()? {
        return None;
    }
    serde_json::from_slice(&bytes).ok().or_else(|| {
        let text = String::from_utf8(bytes).ok()?;
        let text = text.replace(": NaN", ": \"NaN\"").replace(": Infinity", ": \"Infinity\"");
        serde_json::from_str(&text.replace(": -Infinity", ": \"-Infinity\"")).ok()
    })
}
