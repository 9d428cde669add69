//! The models that lie in one folder, each in a folder of its own.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::bundle::{Bundle, MANIFEST};
use crate::nn::quant::Bits;
use crate::{Error, Result};

/// A model that can be loaded, as its manifest tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstalledModel {
    /// Its folder; none of the built-in one.
    pub folder: Option<PathBuf>,
    /// Its name for people.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its licence.
    pub licence: String,
    /// Bits a weight, where it is in few.
    pub bits: Option<Bits>,
    /// Bytes of its weights as they are stored.
    pub bytes: u64,
    /// Bytes that they take in memory on the CPU.
    pub bytes_in_memory: u64,
}

impl InstalledModel {
    /// What `bundle` tells of itself.
    ///
    /// # Errors
    /// [`Error::Model`] or [`Error::Io`] where its weights cannot be opened.
    pub fn of(bundle: &Bundle, folder: Option<&Path>) -> Result<Self> {
        let (mut bytes, mut bytes_in_memory) = (0, 0);
        for part in bundle.manifest.weight_folders() {
            let weights = bundle.files.weights(part)?;
            bytes += weights.bytes();
            bytes_in_memory += weights.bytes_in_memory()?;
        }
        Ok(Self {
            folder: folder.map(Path::to_path_buf),
            name: bundle.manifest.name.clone(),
            id: bundle.id(),
            licence: bundle.manifest.licence.clone(),
            bits: bundle.manifest.bits,
            bytes,
            bytes_in_memory,
        })
    }

    /// The model in `folder`.
    ///
    /// # Errors
    /// As [`Bundle::open`] and [`InstalledModel::of`].
    pub fn open(folder: &Path) -> Result<Self> {
        Self::of(&Bundle::open(folder)?, Some(folder))
    }
}

/// The models in `folder` with what each tells of itself, or why it cannot be used; in the order of their folders.
///
/// # Errors
/// [`Error::Io`] when the folder is there and cannot be read.
pub fn installed(folder: &Path) -> Result<Vec<(PathBuf, Result<InstalledModel>)>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("list the models in", folder, e))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.retain(|path| path.join(MANIFEST).is_file());
    folders.sort();
    Ok(folders.into_iter().map(|path| (path.clone(), InstalledModel::open(&path))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::quantise;
    use super::*;
    use crate::progress::Watch;

    #[test]
    fn models_are_listed_with_what_they_take_and_a_broken_one_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        assert!(installed(&models).unwrap().is_empty());
        let bundle = Bundle::builtin().unwrap();
        let full = InstalledModel::of(&bundle, None).unwrap();
        // float16 as stored, float32 in memory.
        assert!(full.bytes_in_memory > full.bytes * 3 / 2);
        quantise(&bundle, &models.join("a"), Bits::Eight, &Watch::silent()).unwrap();
        std::fs::create_dir_all(models.join("b")).unwrap();
        std::fs::write(models.join("b").join(MANIFEST), "format = 1").unwrap();
        std::fs::create_dir_all(models.join("no model")).unwrap();
        let found = installed(&models).unwrap();
        assert_eq!(found.len(), 2);
        let small = found[0].1.as_ref().unwrap();
        assert_eq!((small.bits, small.folder.as_deref()), (Some(Bits::Eight), Some(&*models.join("a"))));
        assert!(small.bytes_in_memory < full.bytes_in_memory / 2, "{small:?} {full:?}");
        assert!(found[1].1.as_ref().unwrap_err().to_string().contains("cell2text.toml"));
    }
}
