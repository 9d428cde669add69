//! A training recipe: data, sizes and stages, read from TOML.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::sources::{CalibrationStudy, CellRecipe, Source};
use crate::error::Problem;
use crate::model::{AdapterKind, HiddenState, Prompt};
use crate::nn::quant::Bits;
use crate::tokens::{Readings, TokenKind};
use crate::{Error, Result};

/// All that decides what a training run gives, but the data themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the model.
    pub name: String,
    /// Licence of its weights.
    pub licence: String,
    /// What it is, for its manifest.
    pub description: String,
    /// Seed of initial weights and of every drawn cell.
    pub seed: u64,
    /// Bits that the finished weights are rounded to, so that quantising them to as many changes no more. They are written
    /// in half precision all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounded_to_bits: Option<Bits>,
    /// What numbers are multiplied in while the model learns.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// Genes read.
    pub genes: GeneRecipe,
    /// Sizes of the encoder.
    pub encoder: EncoderRecipe,
    /// Sizes of the adapter.
    pub adapter: AdapterRecipe,
    /// Sizes of the decoder.
    pub decoder: DecoderRecipe,
    /// How the decoder is asked.
    pub prompt: Prompt,
    /// The chat template, in Jinja; where it is empty, that of the folder `decoder.from`.
    #[serde(default)]
    pub chat_template: String,
    /// How cells are drawn.
    pub cells: CellRecipe,
    /// Where cells come from.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// What is learnt, one after the other.
    #[serde(rename = "stage")]
    pub stages: Vec<Stage>,
    /// Studies, none of them a source, that tell how sure the finished model may sound.
    #[serde(default)]
    pub calibration: Vec<CalibrationStudy>,
}

/// Which genes get a token, and how cells are encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneRecipe {
    /// Genes with a token. An encoder that is trained already has its own.
    #[serde(default)]
    pub count: usize,
    /// Which genes these are.
    #[serde(default, skip_serializing_if = "GeneChoice::is_default")]
    pub chosen_by: GeneChoice,
    /// Kind of the encoding.
    pub kind: TokenKind,
    /// Longest encoding, special tokens counted.
    pub max_len: usize,
    /// How often the finished model reads a cell, each time without other genes; learning reads cells as wholes.
    #[serde(default, skip_serializing_if = "Readings::is_one")]
    pub readings: Readings,
    /// Cells drawn to find each gene's median.
    #[serde(default)]
    pub median_cells: usize,
    /// The dictionaries of the encoder's genes below the data folder, tokens and medians, where `encoder.from` is no
    /// bundle that holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dictionary: Option<[String; 2]>,
    /// Tokens of a cell below which another is drawn in its place; `prompt.top_k` where not given, so that all cells
    /// show as many genes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<usize>,
}

/// What numbers are multiplied in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    Single,
    /// 16 bits in linear maps where all devices compute in them, 32 bits in all else.
    Mixed,
}

impl Precision {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// By what the genes that get a token are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneChoice {
    /// Those that vary most between the profiles.
    #[default]
    Variance,
    /// Those that differ between cell types more than between studies of one type.
    CellTypes,
}

impl GeneChoice {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Sizes of the encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderRecipe {
    /// A trained encoder to begin from: a folder in the layout of Hugging Face, or a bundle, below the data folder. Its
    /// sizes and its genes are then its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Width.
    #[serde(default)]
    pub hidden_size: usize,
    /// Layers.
    #[serde(default)]
    pub layers: usize,
    /// Attention heads.
    #[serde(default)]
    pub heads: usize,
    /// Width of the feed-forward part.
    #[serde(default)]
    pub intermediate_size: usize,
    /// The state that the adapter reads.
    pub hidden_state: HiddenState,
    /// What the vectors of genes are before anything is learnt.
    #[serde(default)]
    pub gene_vectors: GeneVectors,
}

/// Where the vectors of genes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneVectors {
    /// At random.
    #[default]
    Random,
    /// At each gene's loadings on the principal components of the mean profiles, so that genes of the same cells lie
    /// near each other from the first step.
    PrincipalComponents,
}

/// Sizes of the adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterRecipe {
    /// Its layout.
    pub kind: AdapterKind,
    /// Width in its middle.
    pub hidden_size: usize,
}

/// Sizes of the decoder and its tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderRecipe {
    /// A trained decoder to begin from, with its tokenizer: a folder in the layout of Hugging Face, or a bundle, below
    /// the data folder. Its sizes are then its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Small matrices to learn in place of the decoder's own weights; all of it learns where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraRecipe>,
    /// Width.
    #[serde(default)]
    pub hidden_size: usize,
    /// Layers.
    #[serde(default)]
    pub layers: usize,
    /// Query heads.
    #[serde(default)]
    pub heads: usize,
    /// Key and value heads.
    #[serde(default)]
    pub kv_heads: usize,
    /// Width of the feed-forward part.
    #[serde(default)]
    pub intermediate_size: usize,
    /// Longest prompt and text, in tokens.
    #[serde(default)]
    pub max_positions: usize,
    /// Tokens of the tokenizer, special ones counted.
    #[serde(default)]
    pub vocab_size: usize,
    /// The token that ends a text.
    pub end_of_text: String,
    /// Special tokens, the end token among them, in the order of their ids.
    #[serde(default)]
    pub special_tokens: Vec<String>,
}

/// LoRA on the queries, keys, values and outputs of the decoder's attention.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraRecipe {
    /// Width of the small matrices.
    pub rank: usize,
    /// The change counts `alpha` ÷ `rank`.
    pub alpha: f64,
}

/// What a stage learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The encoder learns to guess genes that were masked, as Geneformer does.
    MaskedGenes,
    /// The encoder learns cell type, tissue, disease and pathways from the states that the adapter will read; the
    /// heads are thrown away.
    Labels,
    /// Adapter and decoder learn to write the description, the prompt masked.
    Description,
}

/// How the encoder reads cells in a label stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// As it will read them ever after.
    #[default]
    Full,
    /// All genes in its first layer, then only the states that the adapter will read: many more cells in the same time.
    Quick,
}

/// One stage of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What is learnt.
    pub objective: Objective,
    /// Optimiser steps.
    pub steps: u64,
    /// Cells of one forward pass.
    pub batch: usize,
    /// Forward passes summed for one step.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Tokens of a cell that are read at most, where fewer than `genes.max_len`: a shorter reading takes less time.
    #[serde(default)]
    pub max_len: Option<usize>,
    /// How cells are read where labels are learnt.
    #[serde(default)]
    pub reading: Reading,
    /// Learning rate after warming up.
    pub learning_rate: f64,
    /// Steps over which the rate rises from zero.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Steps after which the rate is multiplied by `gamma` (StepLR; an epoch of the paper).
    pub epoch_steps: u64,
    /// Factor per epoch.
    pub gamma: f64,
    /// Decoupled weight decay; above zero this is AdamW, at zero Adam.
    #[serde(default)]
    pub weight_decay: f64,
    /// Gradients longer than this, all parameters together, are scaled down to it.
    #[serde(default = "unclipped")]
    pub clip_norm: f64,
    /// Whether the encoder learns too (in a description stage; in a label stage it always does).
    #[serde(default)]
    pub train_encoder: bool,
}

fn one() -> usize {
    1
}
fn unclipped() -> f64 {
    f64::INFINITY
}

impl Stage {
    /// The learning rate of step `step` (from 0) of this stage.
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        let warm = if step < self.warmup_steps { (step + 1) as f64 / self.warmup_steps as f64 } else { 1.0 };
        self.learning_rate * warm * self.gamma.powf((step / self.epoch_steps.max(1)) as f64)
    }
}

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Train`] naming the entry.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read the recipe", path, e))?;
        let recipe: Self = toml::from_str(&text).map_err(|e| {
            Error::train(
                Problem::new(
                    "recipe",
                    e.to_string(),
                    "the entries of a recipe",
                    "See training/builtin.toml.",
                )
                .in_file(path),
            )
        })?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Checks what types alone do not.
    ///
    /// # Errors
    /// [`Error::Train`] naming the entry.
    pub fn check(&self) -> Result<()> {
        let (encoder, decoder) = (&self.encoder, &self.decoder);
        if let Some(lora) = &decoder.lora {
            super::low_rank::check(lora)?;
        }
        let sizes = |from: &Option<String>, sizes: &[usize]| from.is_some() || sizes.iter().all(|n| *n > 0);
        let checks = [
            (!self.sources.is_empty(), "source", "none", "at least one"),
            (!self.stages.is_empty(), "stage", "none", "at least one"),
            (
                self.sources.iter().all(|s| s.weight > 0.0),
                "source.weight",
                "zero or less",
                "a number above zero",
            ),
            (
                self.stages.iter().all(|s| s.batch > 0 && s.accumulate > 0),
                "stage.batch",
                "zero",
                "at least one",
            ),
            (self.genes.max_len > 4, "genes.max_len", "too short", "more than 4 tokens"),
            (
                self.stages.iter().all(|s| s.max_len.is_none_or(|n| n >= self.prompt.top_k)),
                "stage.max_len",
                "fewer tokens than prompt.top_k",
                "at least as many",
            ),
            (
                self.stages.iter().all(|s| s.reading == Reading::Full || s.objective == Objective::Labels),
                "stage.reading",
                "\"quick\" where no labels are learnt",
                "\"full\", or none",
            ),
            (
                self.calibration.iter().all(|c| self.sources.iter().all(|s| s.file != c.file)),
                "calibration.file",
                "a source of training",
                "a study that the model does not see",
            ),
            (
                self.cells.tissue_weights.values().all(|w| *w > 0.0),
                "cells.tissue_weights",
                "zero or less",
                "numbers above zero",
            ),
            (
                [self.cells.doublets, self.cells.dividing, self.cells.stressed]
                    .iter()
                    .all(|share| (0.0..=1.0).contains(share)),
                "cells.doublets, cells.dividing, cells.stressed",
                "a share below 0 or above 1",
                "shares of the cells, 0 to 1",
            ),
            (
                self.sources
                    .iter()
                    .flat_map(|s| s.sharpen.values())
                    .all(|power| (0.1..=10.0).contains(power)),
                "source.sharpen",
                "a power that is far off",
                "0.1 to 10",
            ),
            (
                self.cells.counts[0] >= 1.0 && self.cells.counts[1] >= self.cells.counts[0],
                "cells.counts",
                "an empty range",
                "[least, most], at least 1",
            ),
            (
                self.cells.panel_genes[0] >= 1.0 && self.cells.panel_genes[1] >= self.cells.panel_genes[0],
                "cells.panel_genes",
                "an empty range",
                "[least, most], at least 1",
            ),
            (
                sizes(
                    &encoder.from,
                    &[
                        encoder.hidden_size,
                        encoder.layers,
                        encoder.heads,
                        encoder.intermediate_size,
                        self.genes.count,
                        self.genes.median_cells,
                    ],
                ),
                "encoder, genes",
                "no size",
                "the sizes of a new encoder, genes.count and genes.median_cells, or encoder.from",
            ),
            (
                sizes(
                    &decoder.from,
                    &[
                        decoder.hidden_size,
                        decoder.layers,
                        decoder.heads,
                        decoder.kv_heads,
                        decoder.intermediate_size,
                        decoder.max_positions,
                        decoder.vocab_size,
                    ],
                ),
                "decoder",
                "no size",
                "the sizes of a new decoder, or decoder.from",
            ),
            (
                decoder.from.is_some() || !self.chat_template.is_empty(),
                "chat_template",
                "none",
                "a chat template, or decoder.from",
            ),
            (
                decoder.lora.is_none() || decoder.from.is_some(),
                "decoder.lora",
                "no decoder.from",
                "a trained decoder: a new one learns all its weights",
            ),
            (
                encoder.from.is_none() || encoder.gene_vectors == GeneVectors::Random,
                "encoder.gene_vectors",
                "a start for an encoder that is trained already",
                "none",
            ),
            (
                decoder.from.is_some()
                    || self.decoder.special_tokens.contains(&self.decoder.end_of_text)
                        && self.decoder.special_tokens.contains(&self.prompt.placeholder),
                "decoder.special_tokens",
                "a list without the end token or the placeholder",
                "both in it",
            ),
        ];
        match checks.iter().find(|(ok, ..)| !ok) {
            Some((_, element, found, expected)) => {
                Err(Error::train(Problem::new(*element, *found, *expected, "Change the recipe.")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_recipes_are_recipes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../training");
        let mut names = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|end| end == "toml") {
                Recipe::read(&path).unwrap();
                names.push(path.file_stem().unwrap().to_string_lossy().into_owned());
            }
        }
        names.sort();
        assert_eq!(names, ["builtin", "paper_full", "paper_lora"]);
    }

    #[test]
    fn what_belongs_to_no_regime_is_refused() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../training/paper_lora.toml");
        let recipe = Recipe::read(&path).unwrap();
        type Change = fn(&mut Recipe);
        let changes: [(Change, &str); 6] = [
            (|r| r.decoder.from = None, "decoder: "),
            (|r| r.encoder.from = None, "encoder, genes: "),
            (|r| r.encoder.gene_vectors = GeneVectors::PrincipalComponents, "encoder.gene_vectors"),
            (|r| r.decoder.lora = Some(LoraRecipe { rank: 0, alpha: 1.0 }), "decoder.lora"),
            (|r| r.cells.doublets = 1.5, "cells.doublets"),
            (|r| r.stages.iter_mut().for_each(|stage| stage.reading = Reading::Quick), "stage.reading"),
        ];
        for (change, element) in changes {
            let mut changed = recipe.clone();
            change(&mut changed);
            let message = changed.check().unwrap_err().to_string();
            assert!(message.contains(element), "{message}");
        }
    }

    #[test]
    fn the_rate_warms_up_and_falls_by_gamma_each_epoch() {
        let stage = Stage {
            objective: Objective::Labels,
            steps: 30,
            batch: 1,
            accumulate: 1,
            max_len: None,
            reading: Reading::Full,
            learning_rate: 1.0,
            warmup_steps: 4,
            epoch_steps: 10,
            gamma: 0.5,
            weight_decay: 0.0,
            clip_norm: 1.0,
            train_encoder: false,
        };
        let rates: Vec<f64> = [0, 3, 9, 10, 29].iter().map(|&s| stage.learning_rate_at(s)).collect();
        assert_eq!(rates, [0.25, 1.0, 1.0, 0.5, 0.25]);
    }
}
