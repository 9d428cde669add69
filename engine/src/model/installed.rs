//! The models that lie in one folder, each in a folder of its own.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::bundle::{Bundle, MANIFEST};
use super::decoder_folder::DecoderFolder;
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
    /// Whether it reads cells as sentences of symbols, without an encoder.
    pub reads_sentences: bool,
    /// Numbers that it learned.
    pub parameters: u64,
    /// Bytes of its weights as they are stored.
    pub bytes: u64,
    /// Bytes that they take in memory: blocks stay as they are, all else becomes float32.
    pub bytes_in_memory: u64,
    /// Bytes of keys and values that the decoder keeps of one cell, at the longest prompt and text.
    pub cache_bytes: u64,
}

impl InstalledModel {
    /// What `bundle` tells of itself, out of its manifest, its configurations and the heads of its weights: no weight is
    /// read.
    ///
    /// # Errors
    /// [`Error::Model`] or [`Error::Io`] where its weights cannot be opened.
    pub fn of(bundle: &Bundle, folder: Option<&Path>) -> Result<Self> {
        let Bundle { files, manifest } = bundle;
        let (mut bytes, mut parameters, mut bytes_in_memory, mut cache_bytes) = (0, 0, 0, 0);
        for part in manifest.weight_folders() {
            let weights = files.weights(part)?;
            let sizes = weights.sizes()?;
            bytes += weights.bytes();
            parameters += sizes.parameters;
            bytes_in_memory += sizes.bytes_in_memory;
            if part == manifest.decoder.folder {
                let config = DecoderFolder::config(files, part, &weights)?;
                cache_bytes = manifest.cache_bytes(&config);
            }
        }
        Ok(Self {
            folder: folder.map(Path::to_path_buf),
            name: manifest.name.clone(),
            id: bundle.id(),
            licence: manifest.licence.clone(),
            bits: manifest.bits,
            reads_sentences: manifest.sentence.is_some(),
            parameters,
            bytes,
            bytes_in_memory,
            cache_bytes,
        })
    }

    /// Bytes of memory that describing a cell takes, of the machine or of the GPU that computes.
    pub fn needs(&self) -> u64 {
        self.bytes_in_memory.saturating_add(self.cache_bytes)
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
        assert_eq!(full.bytes_in_memory, 4 * full.parameters);
        assert_eq!(full.needs(), full.bytes_in_memory + full.cache_bytes);
        // Keys and values in float32, of every layer, for prompt, genes and text.
        let config: crate::model::DecoderConfig = bundle.files.json("decoder/config.json").unwrap();
        let a_token =
            8 * (config.num_hidden_layers * config.num_key_value_heads * config.head_width()) as u64;
        assert!(full.cache_bytes.is_multiple_of(a_token) && full.cache_bytes >= 256 * a_token);
        quantise(&bundle, &models.join("a"), Bits::Eight, &Watch::silent()).unwrap();
        std::fs::create_dir_all(models.join("b")).unwrap();
        std::fs::write(models.join("b").join(MANIFEST), "format = 1").unwrap();
        std::fs::create_dir_all(models.join("no model")).unwrap();
        let found = installed(&models).unwrap();
        assert_eq!(found.len(), 2);
        let small = found[0].1.as_ref().unwrap();
        assert_eq!((small.bits, small.folder.as_deref()), (Some(Bits::Eight), Some(&*models.join("a"))));
        assert!(small.bytes_in_memory < full.bytes_in_memory / 2, "{small:?} {full:?}");
        assert_eq!((small.parameters, small.cache_bytes), (full.parameters, full.cache_bytes));
        assert!(!small.reads_sentences);
        assert!(found[1].1.as_ref().unwrap_err().to_string().contains("cell2text.toml"));
    }
}
