//! `cell2text import`: a model out of published parts.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use engine::model::{
    CELL_TYPE_PROMPT, HiddenState, ImportRequest, PromptStyle, SentenceImport, import, import_sentence,
};
use serde_json::json;

use super::failure::Failure;
use super::input::at_least_one;
use super::interrupt;
use super::models::{self, size};
use super::output::Output;
use super::progress::watched;

/// Builds a model out of Geneformer, a decoder and a trained checkpoint, as their publishers ship them
///
/// Every tensor is checked against the configurations; what is missing is named. Weights may be safetensors or what
/// torch saved; of the latter nothing is run. A LoRA adapter in the checkpoint's folder `adapter` is taken along.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// Name of the model, for people
    #[arg(long)]
    name: String,
    /// Folder of Geneformer: config.json and weights
    #[arg(long, value_name = "DIR", required_unless_present = "sentence")]
    encoder: Option<PathBuf>,
    /// Geneformer's dictionaries: tokens and medians, as pickles
    #[arg(
        long, value_names = ["TOKENS", "MEDIANS"], num_args = 2, required_unless_present = "sentence"
    )]
    genes: Vec<PathBuf>,
    /// Folder of the decoder: config.json, weights, tokenizer.json and chat template
    #[arg(long, value_name = "DIR")]
    decoder: PathBuf,
    /// What was trained: a file of weights, or a folder with one
    #[arg(long, value_name = "PATH", required_unless_present = "sentence")]
    checkpoint: Option<PathBuf>,
    /// The decoder is all: it reads cell sentences, as those of Cell2Sentence
    #[arg(
        long,
        conflicts_with_all = ["encoder", "genes", "checkpoint", "prompt", "placeholder", "top_k", "hidden_state", "date"]
    )]
    sentence: bool,
    /// Genes in a cell sentence at most
    #[arg(long, value_name = "N", default_value = "200", value_parser = at_least_one, requires = "sentence")]
    sentence_genes: usize,
    /// The organism that the prompt of a cell sentence names
    #[arg(long, default_value = "Homo sapiens", requires = "sentence")]
    organism: String,
    /// The prompt of a cell sentence, with {num_genes}, {organism} and {cell_sentence} in their places
    #[arg(long, value_name = "TEXT", default_value = CELL_TYPE_PROMPT, requires = "sentence")]
    sentence_prompt: String,
    /// The folder to write to; without it, one among the models
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The prompt that it was trained with: the paper's, or that of the published code
    #[arg(long, value_enum, default_value_t = Asked::Paper)]
    prompt: Asked,
    /// The token that stands for a gene
    #[arg(long, value_name = "TOKEN", default_value = "<|reserved_special_token_1|>")]
    placeholder: String,
    /// Genes that the decoder is shown at most; the encoder reads all
    #[arg(long, value_name = "N", default_value = "4096", value_parser = at_least_one)]
    top_k: usize,
    /// The encoder's state that the adapter reads: 0 the embeddings, -1 the last, -2 the one before it
    #[arg(long, value_name = "N", default_value_t = -2, allow_negative_numbers = true)]
    hidden_state: i32,
    /// Licence of the weights
    #[arg(long, default_value = "unknown")]
    licence: String,
    /// What the chat template is told about today
    #[arg(long, value_name = "TEXT", default_value = "26 Jul 2024")]
    date: String,
    /// Print one JSON object when done
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Asked {
    Paper,
    Code,
}

impl ImportArgs {
    /// Builds the model.
    ///
    /// # Errors
    /// Where a part is missing or does not fit, or the folder cannot be written.
    pub fn run(&self) -> Result<(), Failure> {
        let out = match (&self.output, models::folder()) {
            (Some(out), _) => out.clone(),
            (None, Some(folder)) => folder.join(folder_name(&self.name)),
            (None, None) => return Err(Failure::Usage("name a folder with --output".to_owned())),
        };
        if self.sentence {
            return self.run_sentence(&out);
        }
        let (Some(encoder), [tokens, medians], Some(checkpoint)) =
            (&self.encoder, self.genes.as_slice(), &self.checkpoint)
        else {
            return Err(Failure::Usage("--encoder, --genes and --checkpoint are needed".to_owned()));
        };
        let request = ImportRequest {
            name: self.name.clone(),
            licence: self.licence.clone(),
            encoder: encoder.clone(),
            genes: [tokens.clone(), medians.clone()],
            decoder: self.decoder.clone(),
            checkpoint: checkpoint.clone(),
            hidden_state: HiddenState(self.hidden_state),
            prompt: match self.prompt {
                Asked::Paper => PromptStyle::Paper,
                Asked::Code => PromptStyle::Code,
            },
            placeholder: self.placeholder.clone(),
            top_k: self.top_k,
            date: self.date.clone(),
            out,
        };
        interrupt::listen()?;
        let (bar, watch) = watched();
        let result = import(&request, &watch);
        bar.finish_and_clear();
        let report = result.map_err(|error| {
            if error.is_cancelled() { error.into() } else { Failure::BadInput(error.into()) }
        })?;
        let mut out = Output::new();
        if self.json {
            return out.json(&json!(report));
        }
        let lora = match report.lora_weights {
            0 => String::new(),
            n => format!(", a LoRA adapter on {n} weights"),
        };
        out.line(format_args!("{} ({}): {}{lora}", report.folder.display(), report.id, size(report.bytes)))
    }
}

impl ImportArgs {
    fn run_sentence(&self, out: &Path) -> Result<(), Failure> {
        let request = SentenceImport {
            name: self.name.clone(),
            licence: self.licence.clone(),
            decoder: self.decoder.clone(),
            genes: self.sentence_genes,
            organism: self.organism.clone(),
            prompt: self.sentence_prompt.clone(),
            out: out.to_path_buf(),
        };
        interrupt::listen()?;
        let (bar, watch) = watched();
        let result = import_sentence(&request, &watch);
        bar.finish_and_clear();
        let (id, bytes) = result.map_err(|error| {
            if error.is_cancelled() { error.into() } else { Failure::BadInput(error.into()) }
        })?;
        let mut to = Output::new();
        if self.json {
            return to.json(&json!({ "folder": out, "id": id, "bytes": bytes }));
        }
        to.line(format_args!("{} ({id}): {}", out.display(), size(bytes)))
    }
}

/// A folder's name made of a model's: letters and digits, the rest dashes.
fn folder_name(name: &str) -> String {
    let dashed: String =
        name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let parts: Vec<&str> = dashed.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "model".to_owned() } else { parts.join("-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_becomes_a_plain_folder() {
        assert_eq!(folder_name("Cell2Text: Llama 1B (paper)"), "cell2text-llama-1b-paper");
        assert_eq!(folder_name("../.."), "model");
    }
}
