//! Builds a bundle out of folders and files as their publishers ship them.
//!
//! A model in Cell2Text's manner comes in pieces: Geneformer with its two dictionaries, a decoder, and a checkpoint with
//! the adapter, which may hold an encoder or a decoder trained further, or a LoRA adapter in a folder of its own. Each
//! piece is checked against the configuration beside it before the bundle is called one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::adapter::{Adapter, AdapterConfig, AdapterKind};
use super::bundle::{
    AdapterEntry, Bundle, DecoderEntry, EncoderEntry, GenesEntry, Manifest, ModelFiles, Prompt,
};
use super::cell2text::Prompter;
use super::decoder::{Decoder, DecoderConfig};
use super::decoder_folder::DecoderFolder;
use super::encoder::{Encoder, EncoderConfig, HiddenState};
use super::lora::Lora;
use super::quantise::{make_folder_of, require_empty};
use crate::error::Problem;
use crate::files::{sha256_of_file, write_atomically};
use crate::nn::{GGUF_NAME, Params, WeightFiles, Writing, WritingKind, write_streamed};
use crate::progress::Watch;
use crate::tokens::{GeneDictionary, Readings, TokenKind};
use crate::{Error, Result};

/// How a model is asked: which of the published prompts it was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PromptStyle {
    /// That of the Cell2Text paper.
    #[default]
    Paper,
    /// That of the published code.
    Code,
}

impl PromptStyle {
    fn messages(self) -> [&'static str; 2] {
        match self {
            Self::Paper => [
                "You are a scientific assistant specialized in cell description predictions. Given the cell sentence \
                 embeddings, describe it clearly and concisely in professional language.",
                "Sequence embeddings: ",
            ],
            Self::Code => [
                "You are a scientific assistant specialized in analyzing single-cell gene expression data. Given the \
                 gene expression profile, describe the cell type and its characteristics clearly and concisely in \
                 professional language.",
                "Gene expression embeddings: ",
            ],
        }
    }
}

/// What to build a bundle of.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// Name for people.
    pub name: String,
    /// Licence of the weights.
    pub licence: String,
    /// Folder of the encoder: Geneformer as it is published.
    pub encoder: PathBuf,
    /// Geneformer's dictionaries: tokens, medians.
    pub genes: [PathBuf; 2],
    /// Folder of the decoder, with its tokenizer.
    pub decoder: PathBuf,
    /// What was trained: a file of weights, or a folder with one and, in `adapter`, perhaps a LoRA adapter.
    pub checkpoint: PathBuf,
    /// The encoder's state that the adapter was trained on.
    pub hidden_state: HiddenState,
    /// The prompt that it was trained with.
    pub prompt: PromptStyle,
    /// The token that stands for a gene.
    pub placeholder: String,
    /// Gene vectors shown at most.
    pub top_k: usize,
    /// What the template is told about today.
    pub date: String,
    /// The folder to write to; new or empty.
    pub out: PathBuf,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The bundle.
    pub folder: PathBuf,
    /// Its id.
    pub id: String,
    /// Bytes of all weights.
    pub bytes: u64,
    /// The layout of its adapter.
    pub adapter: AdapterKind,
    /// Weights that a LoRA adapter changes; none without one.
    pub lora_weights: usize,
    /// Whether the checkpoint brought an encoder of its own.
    pub own_encoder: bool,
    /// Whether the checkpoint brought a decoder of its own.
    pub own_decoder: bool,
}

/// Builds the bundle that `request` describes.
///
/// # Errors
/// [`Error::Model`] or [`Error::Tokens`] naming the tensor, entry or file that is missing or does not fit;
/// [`Error::Request`] where the folder holds something; [`Error::Io`]; [`Error::Cancelled`].
pub fn import(request: &ImportRequest, watch: &Watch) -> Result<ImportReport> {
    require_empty(&request.out)?;
    let total = Some(5);
    watch.step("Reading the parts", 0, total)?;
    let encoder_files = ModelFiles::Folder(request.encoder.clone());
    let encoder_config: EncoderConfig = encoder_files.json("config.json")?;
    let decoder_files = ModelFiles::Folder(request.decoder.clone());
    let decoder = DecoderFolder::open(&decoder_files, "")?;
    let template = decoder.template(&request.decoder)?;
    let DecoderFolder { config: decoder_config, weights, tokenizer, first_token, is_gguf, .. } = decoder;
    let genes = GeneDictionary::read(&request.genes[0], &request.genes[1])?;
    if genes.vocabulary_size() > encoder_config.vocab_size {
        return Err(Error::model(Problem::new(
            "gene dictionary",
            format!("{} tokens", genes.vocabulary_size()),
            format!("at most the {} of the encoder", encoder_config.vocab_size),
            "Name the dictionaries that belong to this Geneformer.",
        )));
    }
    let checkpoint = open_checkpoint(&request.checkpoint)?;
    let (kind, adapter) = adapter_of(&checkpoint, &encoder_config, &decoder_config, &request.checkpoint)?;
    let own_encoder = brings(&checkpoint, ".embeddings.word_embeddings.weight");
    let own_decoder = brings(&checkpoint, ".embed_tokens.weight")
        || brings(&checkpoint, ".wte.weight")
        || brings(&checkpoint, ".embed_in.weight");
    let lora = lora_of(&request.checkpoint);

    watch.step("Checking the encoder", 1, total)?;
    let encoder_weights = if own_encoder { None } else { Some(encoder_files.weights("")?) };
    let from = encoder_weights.as_ref().unwrap_or(&checkpoint);
    let encoder = Encoder::new(&encoder_config, &mut Params::checking(from))?;
    request.hidden_state.layers_to_run(encoder.n_layers())?;

    watch.step("Checking the decoder", 2, total)?;
    let from = if own_decoder { &checkpoint } else { &weights };
    let mut params = Params::checking(from);
    Decoder::new(&decoder_config, &mut params)?;
    let adapter_folder = lora.as_deref();
    let lora = adapter_folder.map(Lora::open).transpose()?;
    if own_decoder && is_gguf {
        return Err(Error::model(
            Problem::new(
                "decoder",
                "a GGUF file, and a checkpoint with a decoder of its own",
                "the decoder's folder as it was published, with config.json",
                "Name that folder.",
            )
            .in_file(&request.decoder),
        ));
    }
    if let (Some(lora), false) = (&lora, own_decoder) {
        lora.check_fits(from)?;
    }
    let [system, user] = request.prompt.messages().map(str::to_owned);
    let prompt = Prompt {
        system,
        user,
        placeholder: request.placeholder.clone(),
        bos: first_token,
        top_k: request.top_k,
        date: request.date.clone(),
    };
    // A template that does not take this prompt is found now and not at the first cell.
    let tokenizer_json = tokenizer.to_json()?;
    Prompter::new(prompt.clone(), template.clone(), tokenizer)?.tokens(2)?;

    watch.step("Writing the encoder and the adapter", 3, total)?;
    let mut writer = Writer::new(&request.out, watch);
    writer.text("genes.tsv", &genes.write_tsv())?;
    writer.text("encoder/config.json", &encoder_files.read("config.json")?)?;
    let from = if own_encoder { None } else { Some(&request.encoder) };
    writer.weights("encoder", from, &checkpoint, |name| {
        let own = name.contains("bert.") || ENCODER.iter().any(|prefix| name.starts_with(prefix));
        own.then(|| plain(name, &ENCODER))
    })?;
    let of_adapter = Adapter::names(&checkpoint, kind);
    writer.weights("adapter", None, &checkpoint, |name| {
        of_adapter.iter().any(|own| own == name).then(|| plain(name, &ADAPTER))
    })?;
    watch.step("Writing the decoder", 4, total)?;
    writer.text("decoder/chat_template.jinja", template.as_bytes())?;
    if !is_gguf {
        for file in ["config.json", "generation_config.json"] {
            if decoder_files.holds(file) {
                writer.text(&format!("decoder/{file}"), &decoder_files.read(file)?)?;
            }
        }
        writer.text("decoder/tokenizer.json", tokenizer_json.as_bytes())?;
    }
    let from = if own_decoder { None } else { Some(&request.decoder) };
    writer.weights("decoder", from, &checkpoint, |name| {
        let own = DECODER.iter().any(|prefix| name.starts_with(prefix)) && !name.contains("lora_");
        own.then(|| plain(name, &DECODER))
    })?;
    if let (Some(lora), true) = (&lora, own_decoder) {
        lora.check_fits(&ModelFiles::Folder(request.out.clone()).weights("decoder")?)?;
    }
    if let Some(folder) = adapter_folder {
        writer.copy_adapter(folder)?;
    }
    let manifest = Manifest {
        format: 0,
        name: request.name.clone(),
        licence: request.licence.clone(),
        description: String::new(),
        signatures: None,
        grammar: None,
        taught: None,
        temperatures: Default::default(),
        bits: None,
        genes: Some(GenesEntry {
            dictionary: "genes.tsv".into(),
            kind: if genes.special().cls.is_some() { TokenKind::V2 } else { TokenKind::V1 },
            max_len: encoder_config.longest(),
            readings: Readings::default(),
        }),
        encoder: Some(EncoderEntry { folder: "encoder".into(), hidden_state: request.hidden_state }),
        adapter: Some(AdapterEntry { folder: "adapter".into(), kind, hidden_size: adapter.hidden_size }),
        decoder: DecoderEntry { folder: "decoder".into() },
        prompt: Some(prompt),
        sentence: None,
        hashes: Default::default(),
    };
    Bundle::write_hashed(&request.out, &Manifest { hashes: writer.hashes()?, ..manifest })?;
    let bundle = Bundle::open(&request.out)?;
    let mut bytes = 0;
    for folder in bundle.manifest.weight_folders() {
        bytes += bundle.files.weights(folder)?.bytes();
    }
    Ok(ImportReport {
        folder: request.out.clone(),
        id: bundle.id(),
        bytes,
        adapter: kind,
        lora_weights: lora.as_ref().map_or(0, Lora::len),
        own_encoder,
        own_decoder,
    })
}

/// What stands before the names of each part in the checkpoints of Cell2Text and Prot2Text-V2.
const ENCODER: [&str; 3] = ["cell_encoder.geneformer_model.", "cell_encoder.", "esm_encoder."];
const ADAPTER: [&str; 3] = ["cell_to_embedding.", "adapter.", "projector."];
const DECODER: [&str; 3] = ["decoder.llama.", "llama_decoder.", "decoder."];

/// `name` without the first of `prefixes` that it begins with.
fn plain(name: &str, prefixes: &[&str]) -> String {
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name).to_owned()
}

/// The weights of a checkpoint that is a file, or the folder of one.
fn open_checkpoint(path: &Path) -> Result<WeightFiles> {
    if path.is_file() { WeightFiles::open(&[path.to_path_buf()]) } else { WeightFiles::open_folder(path) }
}

/// Whether a checkpoint holds a part of the model, told by the end of a name that the part has under any prefix.
fn brings(checkpoint: &WeightFiles, end: &str) -> bool {
    checkpoint.names().any(|name| name.ends_with(end) && !name.contains("lora_"))
}

/// The folder of the LoRA adapter that lies in or beside a checkpoint.
fn lora_of(checkpoint: &Path) -> Option<PathBuf> {
    let folder = if checkpoint.is_file() { checkpoint.parent()? } else { checkpoint };
    [folder.join("adapter"), folder.to_path_buf()]
        .into_iter()
        .find(|place| place.join("adapter_config.json").is_file())
}

/// The adapter's layout and sizes, as its tensors say; each is checked.
fn adapter_of(
    checkpoint: &WeightFiles,
    encoder: &EncoderConfig,
    decoder: &DecoderConfig,
    path: &Path,
) -> Result<(AdapterKind, AdapterConfig)> {
    for kind in [AdapterKind::Projection, AdapterKind::Prot2text] {
        let first = kind.first_weight();
        let Some(name) = checkpoint.names().find(|n| *n == first || n.ends_with(&format!(".{first}"))) else {
            continue;
        };
        let shape = checkpoint.shape(name)?;
        let config = AdapterConfig {
            kind,
            input_size: encoder.hidden_size,
            hidden_size: shape.first().copied().unwrap_or_default(),
            output_size: decoder.hidden_size,
        };
        Adapter::new(&config, &mut Params::checking(checkpoint))?;
        return Ok((kind, config));
    }
    Err(Error::model(
        Problem::new(
            "adapter",
            "no tensor of one",
            "cell_to_embedding.projection.0.weight or adapter.fc1.weight",
            "Name the file or folder in which the training saved the adapter.",
        )
        .in_file(path),
    ))
}

/// Writes into the new bundle, and remembers what.
pub(super) struct Writer<'a> {
    out: &'a Path,
    files: Vec<String>,
    watch: &'a Watch,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a Path, watch: &'a Watch) -> Self {
        Self { out, files: Vec::new(), watch }
    }

    /// Hashes of all that was written, by name.
    pub(super) fn hashes(&self) -> Result<BTreeMap<String, String>> {
        let hash = |name: &String| Ok((name.clone(), sha256_of_file(&self.out.join(name), self.watch)?));
        self.files.iter().map(hash).collect()
    }

    fn path(&mut self, name: &str) -> Result<PathBuf> {
        let path = self.out.join(name);
        make_folder_of(&path)?;
        self.files.push(name.to_owned());
        Ok(path)
    }

    pub(super) fn text(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(name)?;
        write_atomically(&path, bytes)
    }

    /// The weights of the folder `from`, as they are where they are safetensors or GGUF; or the tensors of `checkpoint` for
    /// which `wanted` has a name, under that.
    pub(super) fn weights(
        &mut self,
        folder: &str,
        from: Option<&PathBuf>,
        checkpoint: &WeightFiles,
        wanted: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        if let Some(from) = from {
            if from.join(GGUF_NAME).is_file() && !from.join("model.safetensors").is_file() {
                let path = self.path(&format!("{folder}/{GGUF_NAME}"))?;
                return self.copy(&from.join(GGUF_NAME), &path);
            }
            let safetensors = safetensors_in(from)?;
            if !safetensors.is_empty() {
                for file in safetensors {
                    let path = self.path(&format!("{folder}/{file}"))?;
                    self.copy(&from.join(&file), &path)?;
                }
                return Ok(());
            }
            let all = WeightFiles::open_folder(from)?;
            return self.write(folder, &all, |name| Some(name.to_owned()));
        }
        self.write(folder, checkpoint, wanted)
    }

    fn write(
        &mut self,
        folder: &str,
        weights: &WeightFiles,
        wanted: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let (mut plan, mut sources) = (Vec::new(), BTreeMap::new());
        for source in weights.names() {
            let Some(name) = wanted(source) else { continue };
            sources.insert(name.clone(), source);
            plan.push(Writing { name, shape: weights.shape(source)?, kind: WritingKind::Float32 });
        }
        let path = self.path(&format!("{folder}/model.safetensors"))?;
        write_streamed(&path, &plan, |name| {
            self.watch.check()?;
            Ok(weights.read(sources.get(name).copied().unwrap_or(name))?.1)
        })
    }

    fn copy_adapter(&mut self, from: &Path) -> Result<()> {
        for file in ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"] {
            if from.join(file).is_file() {
                let path = self.path(&format!("decoder/adapter/{file}"))?;
                self.copy(&from.join(file), &path)?;
            }
        }
        Ok(())
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        self.watch.check()?;
        std::fs::copy(from, to).map(|_| ()).map_err(|e| Error::io("copy", from, e))
    }
}

/// The safetensors that `folder` is read from, with their index where there are several.
fn safetensors_in(folder: &Path) -> Result<Vec<String>> {
    if folder.join("model.safetensors").is_file() {
        return Ok(vec!["model.safetensors".to_owned()]);
    }
    let index = "model.safetensors.index.json";
    if !folder.join(index).is_file() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("list the folder", folder, e))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(".safetensors") && name.starts_with("model-"));
    names.push(index.to_owned());
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests;
