//! A decoder as it lies in a folder: configuration, weights, tokenizer and template, in several files or in one.

use std::path::Path;

use serde::Deserialize;

use super::bundle::ModelFiles;
use super::decoder::{DecoderConfig, EosTokens};
use super::gguf::{GgufDecoder, gguf_config};
use super::text::TextTokenizer;
use crate::error::Problem;
use crate::nn::WeightFiles;
use crate::{Error, Result};

/// All that a decoder is made of.
#[derive(Debug)]
pub struct DecoderFolder {
    /// Its configuration, with the end tokens that `generation_config.json` adds.
    pub config: DecoderConfig,
    /// Its weights.
    pub weights: WeightFiles,
    /// Its tokenizer.
    pub tokenizer: TextTokenizer,
    /// Its chat template, where it has one.
    pub chat_template: Option<String>,
    /// The token that opens a text; empty where none is named.
    pub first_token: String,
    /// Whether all of it is one GGUF file.
    pub is_gguf: bool,
}

/// What `generation_config.json` says, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
struct GenerationEntries {
    #[serde(default)]
    eos_token_id: EosTokens,
}

impl DecoderFolder {
    /// Reads the decoder in `folder` of `files`.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Model`] naming the file or entry that is missing or wrong.
    pub fn open(files: &ModelFiles, folder: &str) -> Result<Self> {
        let weights = files.weights(folder)?;
        let name = |file: &str| if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
        if let Some(gguf) = GgufDecoder::read(&weights)? {
            let own_template = name("chat_template.jinja");
            let chat_template = if files.holds(&own_template) {
                Some(files.text(&own_template)?)
            } else {
                gguf.chat_template
            };
            return Ok(Self {
                config: gguf.config,
                weights,
                tokenizer: gguf.tokenizer,
                chat_template,
                first_token: gguf.first_token,
                is_gguf: true,
            });
        }
        let mut config = Self::config(files, folder, &weights)?;
        if files.holds(&name("generation_config.json")) {
            let generation: GenerationEntries = files.json(&name("generation_config.json"))?;
            config.eos_token_id = config.eos_token_id.and(&generation.eos_token_id);
        }
        let settings: serde_json::Value = if files.holds(&name("tokenizer_config.json")) {
            files.json(&name("tokenizer_config.json"))?
        } else {
            serde_json::Value::Null
        };
        let chat_template = if files.holds(&name("chat_template.jinja")) {
            Some(files.text(&name("chat_template.jinja"))?)
        } else {
            settings.get("chat_template").and_then(serde_json::Value::as_str).map(str::to_owned)
        };
        let first = settings.get("bos_token");
        let first_token = first.and_then(|e| e.as_str().or_else(|| e.get("content")?.as_str()));
        Ok(Self {
            config,
            weights,
            tokenizer: TextTokenizer::from_json(&files.read(&name("tokenizer.json"))?)?,
            chat_template,
            first_token: first_token.unwrap_or_default().to_owned(),
            is_gguf: false,
        })
    }

    /// The configuration alone of the decoder in `folder` of `files`, whose weights these are.
    ///
    /// # Errors
    /// As [`DecoderFolder::open`].
    pub fn config(files: &ModelFiles, folder: &str, weights: &WeightFiles) -> Result<DecoderConfig> {
        if let Some(config) = gguf_config(weights)? {
            return Ok(config);
        }
        files.json(&if folder.is_empty() {
            "config.json".to_owned()
        } else {
            format!("{folder}/config.json")
        })
    }

    /// The chat template.
    ///
    /// # Errors
    /// [`Error::Model`] where there is none.
    pub fn template(&self, folder: &Path) -> Result<String> {
        self.chat_template.clone().ok_or_else(|| {
            Error::model(
                Problem::new(
                    "chat_template",
                    "none",
                    "chat_template.jinja, or an entry of tokenizer_config.json",
                    "Use the instruction-tuned decoder that the model was trained on.",
                )
                .in_file(folder),
            )
        })
    }
}
