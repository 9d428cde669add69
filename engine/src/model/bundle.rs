//! Bundles: one folder with all parts of a model and a manifest, `cell2text.toml`, that names and hashes them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::adapter::AdapterKind;
use super::decoder::DecoderConfig;
use super::encoder::HiddenState;
use super::lora::Lora;
use super::sampler::GenerationSettings;
use super::sentence::SentenceEntry;
use crate::error::Problem;
use crate::files::sha256_hex;
use crate::nn::WeightFiles;
use crate::nn::quant::Bits;
use crate::tokens::{Readings, TokenKind};
use crate::{Error, Result, assets};

/// The manifest's name in a bundle.
pub(super) const MANIFEST: &str = "cell2text.toml";
/// The format this program writes and reads.
const FORMAT: u32 = 1;

/// What `cell2text.toml` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the manifest's own format.
    pub format: u32,
    /// Name for people.
    pub name: String,
    /// Licence of the weights.
    pub licence: String,
    /// What it is and what it saw, in a sentence or two.
    pub description: String,
    /// File of the genes that set each cell type apart, where the model has one: the evidence shown beside its claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<String>,
    /// File of the texts that the model may write, where it lists them: a JSON list of slots, each a list of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grammar: Option<String>,
    /// File that says how often it was taught each cell type from each tissue, in places of the grammar's slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taught: Option<String>,
    /// Bits a number of its maps, where they are in blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<Bits>,
    /// Temperatures that make the probabilities of claims agree with how often they are right, by kind of claim.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub temperatures: BTreeMap<String, f64>,
    /// The genes it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genes: Option<GenesEntry>,
    /// The encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderEntry>,
    /// The adapter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterEntry>,
    /// The decoder.
    pub decoder: DecoderEntry,
    /// How it is asked with vectors of genes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Prompt>,
    /// How it is asked with cell sentences, in place of the four.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<SentenceEntry>,
    /// SHA-256 of every file but this one, by path in the bundle.
    #[serde(default)]
    pub hashes: BTreeMap<String, String>,
}

/// Tokens of a prompt beside the genes, and of a gene's symbol, that are reckoned with before the tokenizer was read.
const PROMPT_TOKENS: usize = 160;
const SYMBOL_TOKENS: usize = 5;

/// How a model gets to know of a cell.
#[derive(Debug, Clone, Copy)]
pub enum CellInput<'a> {
    /// Vectors of genes, out of an encoder and an adapter.
    Vectors {
        /// The genes.
        genes: &'a GenesEntry,
        /// The encoder.
        encoder: &'a EncoderEntry,
        /// The adapter.
        adapter: &'a AdapterEntry,
        /// How the decoder is asked.
        prompt: &'a Prompt,
    },
    /// A sentence of gene symbols.
    Sentence(&'a SentenceEntry),
}

impl Manifest {
    /// Folders that hold weights.
    pub fn weight_folders(&self) -> Vec<&str> {
        let encoder = self.encoder.iter().map(|part| part.folder.as_str());
        let adapter = self.adapter.iter().map(|part| part.folder.as_str());
        encoder.chain(adapter).chain([self.decoder.folder.as_str()]).collect()
    }

    /// Bytes of the keys and values that a decoder of this configuration keeps of one cell, at the longest prompt and text;
    /// how many tokens a symbol has is reckoned.
    pub fn cache_bytes(&self, decoder: &DecoderConfig) -> u64 {
        let shown = match (&self.genes, &self.prompt, &self.sentence) {
            (_, _, Some(sentence)) => {
                sentence.genes.saturating_mul(SYMBOL_TOKENS).saturating_add(sentence.prompt.len() / 3)
            }
            (Some(genes), Some(prompt), _) => genes.max_len.min(prompt.top_k),
            _ => 0,
        };
        let readings = self.genes.as_ref().map_or(1, |genes| genes.readings.count()) as u64;
        let text = PROMPT_TOKENS + GenerationSettings::default().max_new_tokens;
        let one = decoder.cache_bytes(shown.saturating_add(text).min(decoder.max_position_embeddings));
        one.saturating_mul(readings)
    }

    /// How the model gets to know of a cell.
    ///
    /// # Errors
    /// [`Error::Model`] where the entries of neither way are whole.
    pub fn cell_input(&self) -> Result<CellInput<'_>> {
        match (&self.genes, &self.encoder, &self.adapter, &self.prompt, &self.sentence) {
            (Some(genes), Some(encoder), Some(adapter), Some(prompt), None) => {
                Ok(CellInput::Vectors { genes, encoder, adapter, prompt })
            }
            (None, None, None, None, Some(sentence)) => Ok(CellInput::Sentence(sentence)),
            _ => Err(Error::model(Problem::new(
                MANIFEST,
                "entries of neither kind of model",
                "genes, encoder, adapter and prompt, or sentence alone",
                "Import the model again.",
            ))),
        }
    }
}

/// The gene dictionary and how cells become tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenesEntry {
    /// File with gene, token and median.
    pub dictionary: String,
    /// Geneformer's first or second kind of encoding.
    pub kind: TokenKind,
    /// Longest encoding, special tokens counted.
    pub max_len: usize,
    /// How often a cell is read; what it may be is the mean of what the readings say.
    #[serde(default, skip_serializing_if = "Readings::is_one")]
    pub readings: Readings,
}

/// Where the encoder lies and which of its states is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderEntry {
    /// Folder in the Hugging Face layout.
    pub folder: String,
    /// The state that the adapter reads.
    pub hidden_state: HiddenState,
}

/// Where the adapter lies and its layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterEntry {
    /// Folder with its safetensors.
    pub folder: String,
    /// Its layout.
    pub kind: AdapterKind,
    /// Width in its middle.
    pub hidden_size: usize,
}

/// Where the decoder lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecoderEntry {
    /// Folder in the Hugging Face layout, with `tokenizer.json` and `chat_template.jinja`.
    pub folder: String,
}

/// How the decoder is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// The system message.
    pub system: String,
    /// The user message; the placeholders follow it directly.
    pub user: String,
    /// The token that a gene vector replaces.
    pub placeholder: String,
    /// Text that opens every conversation, where the template asks for it.
    #[serde(default)]
    pub bos: String,
    /// Gene vectors shown at most; the encoder reads all genes.
    pub top_k: usize,
    /// What the template is told about today.
    #[serde(default)]
    pub date: String,
}

/// Files of a bundle, on disk or compiled in.
#[derive(Debug, Clone)]
pub enum ModelFiles {
    /// A folder.
    Folder(PathBuf),
    /// Files inside the program, by path in the bundle.
    Static(&'static [(&'static str, &'static [u8])]),
}

impl ModelFiles {
    /// The bytes of the file at `name`, a path inside the bundle.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Model`] when there is no such file.
    pub fn read(&self, name: &str) -> Result<Cow<'static, [u8]>> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                std::fs::read(&path)
                    .map(Cow::Owned)
                    .map_err(|e| Error::io("read a part of the model", path, e))
            }
            Self::Static(files) => {
                files.iter().find(|(n, _)| *n == name).map(|(_, b)| Cow::Borrowed(*b)).ok_or_else(|| {
                    Error::model(Problem::new(
                        name,
                        "no such file in this program",
                        "a part of the built-in model",
                        "Install the program again.",
                    ))
                })
            }
        }
    }

    /// Whether there is a file at `name`.
    pub fn holds(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(name).is_file(),
            Self::Static(files) => files.iter().any(|(n, _)| *n == name),
        }
    }

    /// The weights of a folder inside the bundle.
    ///
    /// # Errors
    /// As [`WeightFiles::open_folder`].
    pub fn weights(&self, folder: &str) -> Result<WeightFiles> {
        match self {
            Self::Folder(root) => WeightFiles::open_folder(&root.join(folder)),
            Self::Static(files) => {
                let name = format!("{folder}/model.safetensors");
                match files.iter().find(|(n, _)| *n == name) {
                    Some((_, bytes)) => WeightFiles::from_static(&name, bytes),
                    None => self.read(&name).and_then(|_| WeightFiles::open(&[])),
                }
            }
        }
    }

    /// The JSON file at `name`.
    ///
    /// # Errors
    /// As [`ModelFiles::read`], and [`Error::Model`] when it does not say what it must.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_slice(&self.read(name)?).map_err(|e| {
            Error::model(Problem::new(
                name,
                e.to_string(),
                "a complete configuration",
                "Download the file again.",
            ))
        })
    }

    /// The text file at `name`.
    ///
    /// # Errors
    /// As [`ModelFiles::read`], and [`Error::Model`] when it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<String> {
        String::from_utf8(self.read(name)?.into_owned()).map_err(|_| {
            Error::model(Problem::new(
                name,
                "bytes that are no text",
                "UTF-8 text",
                "Download the file again.",
            ))
        })
    }
}

/// A bundle that was found and whose manifest was read; its weights are not loaded yet.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its files.
    pub files: ModelFiles,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Bundle {
    /// Reads the manifest of the bundle in `folder`.
    ///
    /// # Errors
    /// [`Error::Model`] when the folder holds none or it is wrong.
    pub fn open(folder: &Path) -> Result<Self> {
        if !folder.join(MANIFEST).is_file() {
            return Err(Error::model(
                Problem::new(
                    MANIFEST,
                    "no such file",
                    "the manifest of a model bundle",
                    "Name the folder that holds it.",
                )
                .in_file(folder),
            ));
        }
        let mut bundle = Self::from_files(ModelFiles::Folder(folder.to_path_buf()))?;
        // An adapter laid into the folder later makes another model, and must give it another id.
        for file in Lora::files_beside(folder, &bundle.manifest.decoder.folder) {
            if !bundle.manifest.hashes.contains_key(&file) {
                let hash = sha256_hex(&bundle.files.read(&file)?);
                bundle.manifest.hashes.insert(file, hash);
            }
        }
        Ok(bundle)
    }

    /// The model that ships inside the program.
    ///
    /// # Errors
    /// [`Error::Model`] when the program was built without it.
    pub fn builtin() -> Result<Self> {
        Self::from_files(ModelFiles::Static(assets::BUILTIN_MODEL))
    }

    fn from_files(files: ModelFiles) -> Result<Self> {
        let text = files.text(MANIFEST)?;
        let manifest: Manifest = toml::from_str(&text).map_err(|e| {
            Error::model(Problem::new(
                MANIFEST,
                e.message().to_owned(),
                "the entries of a bundle",
                "Import the model again.",
            ))
        })?;
        if manifest.format != FORMAT {
            return Err(Error::model(Problem::new(
                format!("{MANIFEST}: format"),
                manifest.format.to_string(),
                FORMAT.to_string(),
                "The bundle was made for another version of this program.",
            )));
        }
        manifest.cell_input()?;
        Ok(Self { files, manifest })
    }

    /// Names exactly these weights: the first 12 hex digits of the hash over all files' hashes.
    pub fn id(&self) -> String {
        let listing: String =
            self.manifest.hashes.iter().map(|(name, hash)| format!("{name} {hash}\n")).collect();
        sha256_hex(listing.as_bytes())[..12].to_owned()
    }

    /// Checks every file against its hash in the manifest.
    ///
    /// # Errors
    /// [`Error::Model`] naming the first file that differs.
    pub fn verify(&self) -> Result<()> {
        for (name, expected) in &self.manifest.hashes {
            let found = sha256_hex(&self.files.read(name)?);
            if found != *expected {
                return Err(Error::model(Problem::new(
                    name,
                    format!("content with hash {found}"),
                    expected.clone(),
                    "The file was changed or damaged; get the bundle again.",
                )));
            }
        }
        Ok(())
    }

    /// Writes the manifest of the bundle in `folder`, with the hashes of the `files` that are there already.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read or the manifest not be written.
    pub fn write_manifest(folder: &Path, manifest: &Manifest, files: &[&str]) -> Result<()> {
        let on_disk = ModelFiles::Folder(folder.to_path_buf());
        let hashes = files
            .iter()
            .map(|&name| Ok((name.to_owned(), sha256_hex(&on_disk.read(name)?))))
            .collect::<Result<_>>()?;
        Self::write_hashed(folder, &Manifest { hashes, ..manifest.clone() })
    }

    /// Writes the manifest of the bundle in `folder` with the hashes it has.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn write_hashed(folder: &Path, manifest: &Manifest) -> Result<()> {
        let manifest = Manifest { format: FORMAT, ..manifest.clone() };
        let text = toml::to_string_pretty(&manifest).map_err(|e| {
            Error::model(Problem::new(
                MANIFEST,
                e.to_string(),
                "entries that TOML can hold",
                "Report this as a bug.",
            ))
        })?;
        crate::files::write_atomically(&folder.join(MANIFEST), text.as_bytes())
    }
}
