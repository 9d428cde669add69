//! Parts that a run begins from: an encoder or a decoder in the layout of Hugging Face, or those of a bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::recipe::Recipe;
use crate::error::Problem;
use crate::files::sha256_of_file;
use crate::model::{Bundle, DecoderConfig, EncoderConfig, Lora, ModelFiles, TextTokenizer};
use crate::nn::{Params, WeightFiles};
use crate::progress::Watch;
use crate::tokens::GeneDictionary;
use crate::{Error, Result};

/// What the recipe's `encoder.from` and `decoder.from` name.
#[derive(Debug, Default)]
pub(super) struct Pretrained {
    pub(super) encoder: Option<Part<EncoderConfig>>,
    pub(super) decoder: Option<Part<DecoderConfig>>,
    /// Genes of the encoder.
    pub(super) dictionary: Option<GeneDictionary>,
    /// Tokenizer of the decoder.
    pub(super) tokenizer: Option<TextTokenizer>,
    /// The decoder's chat template, where its folder holds one.
    pub(super) chat_template: Option<String>,
    /// Hashes of the weights, by the recipe's entry: a run goes on only from the weights that it began with.
    pub(super) hashes: BTreeMap<String, String>,
}

/// One part.
#[derive(Debug)]
pub(super) struct Part<C> {
    pub(super) config: C,
    weights: WeightFiles,
    lora: Option<Lora>,
}

impl<C> Part<C> {
    /// Its parameters.
    pub(super) fn params(&self, device: &Device) -> Params<'_> {
        let params = Params::from_files(&self.weights, "", device);
        match &self.lora {
            Some(lora) => params.patched(lora),
            None => params,
        }
    }
}

/// A folder of a part: in a bundle or alone.
struct Place {
    folder: PathBuf,
    /// The bundle's dictionary of genes.
    dictionary: Option<PathBuf>,
}

impl Pretrained {
    /// Opens what `recipe` names, below `data` where a path is not absolute.
    ///
    /// # Errors
    /// [`Error::Train`] naming the entry whose folder lacks something; what reading the files gives.
    pub(super) fn open(recipe: &Recipe, data: &Path, watch: &Watch) -> Result<Self> {
        let mut own = Self::default();
        if let Some(from) = &recipe.encoder.from {
            watch.step("Reading the encoder", 0, None)?;
            let place = Place::find("encoder.from", &data.join(from), |bundle| {
                bundle.manifest.encoder.as_ref().map(|part| part.folder.as_str())
            })?;
            own.dictionary = Some(match (&recipe.genes.dictionary, &place.dictionary) {
                (Some([tokens, medians]), _) => {
                    GeneDictionary::read(&data.join(tokens), &data.join(medians))?
                }
                (None, Some(path)) => GeneDictionary::read(path, path)?,
                (None, None) => {
                    return Err(missing(
                        "genes.dictionary",
                        "none",
                        "the two dictionaries of the encoder's genes: tokens and medians",
                        "Name both files, as Geneformer ships them.",
                    ));
                }
            });
            own.hash("encoder.from", &place.folder, watch)?;
            own.encoder = Some(place.part()?);
        }
        if let Some(from) = &recipe.decoder.from {
            watch.step("Reading the decoder", 0, None)?;
            let place = Place::find("decoder.from", &data.join(from), |bundle| {
                Some(bundle.manifest.decoder.folder.as_str())
            })?;
            let files = ModelFiles::Folder(place.folder.clone());
            own.tokenizer = Some(TextTokenizer::from_json(&files.read("tokenizer.json")?)?);
            own.chat_template = chat_template(&files, &place.folder)?;
            own.hash("decoder.from", &place.folder, watch)?;
            own.decoder = Some(place.part()?);
        }
        own.check(recipe)?;
        Ok(own)
    }

    fn hash(&mut self, entry: &str, folder: &Path, watch: &Watch) -> Result<()> {
        let read = std::fs::read_dir(folder).map_err(|e| Error::io("list the folder", folder, e))?;
        let mut files: Vec<PathBuf> = read.flatten().map(|file| file.path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "safetensors"));
        files.sort();
        for path in files {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            self.hashes.insert(format!("{entry}/{name}"), sha256_of_file(&path, watch)?);
        }
        Ok(())
    }

    /// That the parts fit the recipe.
    fn check(&self, recipe: &Recipe) -> Result<()> {
        if let Some(Part { config, .. }) = &self.encoder {
            if recipe.genes.max_len > config.max_position_embeddings {
                return Err(missing(
                    "genes.max_len",
                    recipe.genes.max_len.to_string(),
                    format!("at most the {} positions of the encoder", config.max_position_embeddings),
                    "Lower it.",
                ));
            }
            let genes = self.dictionary.as_ref().map_or(0, GeneDictionary::vocabulary_size);
            if genes > config.vocab_size {
                return Err(missing(
                    "genes.dictionary",
                    format!("{genes} tokens"),
                    format!("the {} of the encoder", config.vocab_size),
                    "Name the dictionary that the encoder was trained with.",
                ));
            }
        }
        if let (Some(Part { config, .. }), Some(tokenizer)) = (&self.decoder, &self.tokenizer) {
            let found = tokenizer.token(&recipe.decoder.end_of_text);
            if !found.is_some_and(|token| config.eos_token_id.contains(token)) {
                return Err(missing(
                    "decoder.end_of_text",
                    recipe.decoder.end_of_text.clone(),
                    "a token that ends a text by the decoder's config.json",
                    "Name that token, as <|eot_id|> for Llama 3.",
                ));
            }
            let placeholder = tokenizer.token(&recipe.prompt.placeholder);
            if placeholder.is_none_or(|token| token as usize >= config.vocab_size) {
                return Err(missing(
                    "prompt.placeholder",
                    recipe.prompt.placeholder.clone(),
                    "a token of the decoder",
                    "Name a reserved one, as <|reserved_special_token_1|> for Llama 3.",
                ));
            }
        }
        Ok(())
    }
}

impl Place {
    /// `folder` itself, or the part of the bundle in it.
    fn find(entry: &str, folder: &Path, part: impl Fn(&Bundle) -> Option<&str>) -> Result<Self> {
        if folder.join("config.json").is_file() {
            return Ok(Self { folder: folder.to_path_buf(), dictionary: None });
        }
        if folder.join("cell2text.toml").is_file() {
            let bundle = Bundle::open(folder)?;
            let dictionary = bundle.manifest.genes.as_ref().map(|genes| folder.join(&genes.dictionary));
            let Some(own) = part(&bundle) else {
                return Err(missing(
                    entry,
                    "a bundle of a model that reads sentences",
                    "one with an encoder",
                    "Name another.",
                ));
            };
            return Ok(Self { folder: folder.join(own), dictionary });
        }
        Err(Error::train(
            Problem::new(
                entry,
                "a folder without config.json or cell2text.toml",
                "a model in the layout of Hugging Face, or a bundle",
                "Correct the recipe, or download the model there.",
            )
            .in_file(folder),
        ))
    }

    fn part<C: serde::de::DeserializeOwned>(&self) -> Result<Part<C>> {
        let files = ModelFiles::Folder(self.folder.clone());
        let weights = files.weights("")?;
        let lora = Lora::beside(&files, "")?;
        if let Some(lora) = &lora {
            lora.check_fits(&weights)?;
        }
        Ok(Part { config: files.json("config.json")?, weights, lora })
    }
}

/// The template beside the tokenizer: a file of its own, or an entry of its settings.
fn chat_template(files: &ModelFiles, folder: &Path) -> Result<Option<String>> {
    if folder.join("chat_template.jinja").is_file() {
        return files.text("chat_template.jinja").map(Some);
    }
    if !folder.join("tokenizer_config.json").is_file() {
        return Ok(None);
    }
    let settings: serde_json::Value = files.json("tokenizer_config.json")?;
    Ok(settings.get("chat_template").and_then(serde_json::Value::as_str).map(str::to_owned))
}

fn missing(element: &str, found: impl Into<String>, expected: impl Into<String>, remedy: &str) -> Error {
    Error::train(Problem::new(element, found, expected, remedy))
}
