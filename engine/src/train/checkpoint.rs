//! Checkpoints: everything a run needs to go on exactly where it stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::optimizer::Adam;
use super::pretrained::Pretrained;
use super::trainee::{Configs, Trainee};
use crate::error::Problem;
use crate::files::{sha256_hex, write_atomically};
use crate::model::TextTokenizer;
use crate::nn::{ParamSink, Params, WeightFiles, write_safetensors};
use crate::tokens::GeneDictionary;
use crate::{Error, Result};

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Stage, from 0.
    pub(super) stage: usize,
    /// Steps of that stage done.
    pub(super) step: u64,
    /// Examples drawn so far.
    pub(super) examples: u64,
    /// Hash of the recipe, which must not change within a run.
    pub(super) recipe: String,
    /// Hashes of the weights that the run began from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) pretrained: BTreeMap<String, String>,
}

/// The folder of a run's checkpoints. Two take turns, so that one is whole whatever happens.
#[derive(Debug, Clone)]
pub(super) struct CheckpointFolder(PathBuf);

const CURRENT: &str = "current.json";

impl CheckpointFolder {
    pub(super) fn new(out: &Path) -> Self {
        Self(out.join("checkpoint"))
    }

    /// Hash of a recipe.
    pub(super) fn recipe_hash(recipe: &super::Recipe) -> Result<String> {
        let text = toml::to_string(recipe).map_err(|e| {
            Error::train(Problem::new(
                "recipe",
                e.to_string(),
                "entries that TOML can hold",
                "Correct the recipe.",
            ))
        })?;
        Ok(sha256_hex(text.as_bytes()))
    }

    /// The folder of the newest whole checkpoint, with its position.
    ///
    /// # Errors
    /// [`Error::Train`] when it was made by another recipe or is damaged.
    pub(super) fn newest(
        &self,
        recipe_hash: &str,
        pretrained: &Pretrained,
    ) -> Result<Option<(PathBuf, Position)>> {
        let pointer = self.0.join(CURRENT);
        if !pointer.is_file() {
            return Ok(None);
        }
        let damaged = |found: String| {
            Error::train(
                Problem::new(
                    "checkpoint",
                    found,
                    "a whole checkpoint",
                    "Remove the folder to start the run afresh.",
                )
                .in_file(&self.0),
            )
        };
        let name =
            std::fs::read_to_string(&pointer).map_err(|e| Error::io("read the checkpoint", &pointer, e))?;
        if name != "a" && name != "b" {
            return Err(damaged(format!("the name {name:?}")));
        }
        let folder = self.0.join(name);
        let state = folder.join("position.json");
        let text = std::fs::read(&state).map_err(|e| Error::io("read the checkpoint", &state, e))?;
        let position: Position = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if position.recipe != recipe_hash {
            return Err(Error::train(
                Problem::new(
                    "checkpoint",
                    "a run of another recipe",
                    "the same recipe as when the run began",
                    "Name another --out folder, or remove this one's checkpoint folder.",
                )
                .in_file(&self.0),
            ));
        }
        if position.pretrained != pretrained.hashes {
            return Err(Error::train(
                Problem::new(
                    "encoder.from, decoder.from",
                    "other weights than when the run began",
                    "the same",
                    "Put the same weights there, or name another --out folder.",
                )
                .in_file(&self.0),
            ));
        }
        Ok(Some((folder, position)))
    }

    /// Writes a checkpoint beside the newest and then makes it the newest.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Device`].
    pub(super) fn write(
        &self,
        (trainee, configs, pretrained): (&Trainee, &Configs, &Pretrained),
        adam: &Adam,
        genes: &GeneDictionary,
        tokenizer: &TextTokenizer,
        position: &Position,
    ) -> Result<()> {
        let pointer = self.0.join(CURRENT);
        let old = std::fs::read_to_string(&pointer).unwrap_or_default();
        let name = if old == "a" { "b" } else { "a" };
        let folder = self.0.join(name);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("make the folder", &folder, e))?;
        let mut sink = ParamSink::default();
        trainee.export(&mut sink, configs, pretrained)?;
        write_safetensors(&folder.join("model.safetensors"), &sink.into_tensors(), false)?;
        write_safetensors(&folder.join("optimizer.safetensors"), &adam.export()?, false)?;
        write_atomically(&folder.join("genes.tsv"), &genes.write_tsv())?;
        write_atomically(&folder.join("tokenizer.json"), tokenizer.to_json()?.as_bytes())?;
        let json = serde_json::to_vec_pretty(position).map_err(|e| {
            Error::train(Problem::new("position", e.to_string(), "a position", "Report this as a bug."))
        })?;
        write_atomically(&folder.join("position.json"), &json)?;
        write_atomically(&pointer, name.as_bytes())
    }
}

/// The dictionary and tokenizer of a checkpoint.
///
/// # Errors
/// As reading either.
pub(super) fn read_vocabularies(folder: &Path) -> Result<(GeneDictionary, TextTokenizer)> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|e| Error::io("read the checkpoint", path, e))
    };
    Ok((GeneDictionary::read_tsv(&read("genes.tsv")?)?, TextTokenizer::from_json(&read("tokenizer.json")?)?))
}

/// The model and optimiser of a checkpoint.
///
/// # Errors
/// As reading either.
pub(super) fn read_state(
    folder: &Path,
    configs: &Configs,
    pretrained: &Pretrained,
    device: &Device,
) -> Result<(Trainee, Adam)> {
    let weights = WeightFiles::open(&[folder.join("model.safetensors")])?;
    let trainee = Trainee::read(configs, &mut Params::from_files(&weights, "", device), pretrained)?;
    let state = WeightFiles::open(&[folder.join("optimizer.safetensors")])?;
    Ok((trainee, Adam::import(&state, &device.clone().inner())?))
}
