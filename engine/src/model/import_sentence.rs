//! Builds a bundle of a model that reads cell sentences: a decoder alone, as Cell2Sentence publishes them.

use std::path::PathBuf;

use super::bundle::{Bundle, DecoderEntry, Manifest, ModelFiles};
use super::decoder::Decoder;
use super::decoder_folder::DecoderFolder;
use super::import::Writer;
use super::quantise::require_empty;
use super::sentence::{SentenceEntry, SentencePrompter};
use crate::Result;
use crate::nn::Params;
use crate::progress::Watch;

/// What to build such a bundle of.
#[derive(Debug, Clone)]
pub struct SentenceImport {
    /// Name for people.
    pub name: String,
    /// Licence of the weights.
    pub licence: String,
    /// Folder of the decoder, with its tokenizer.
    pub decoder: PathBuf,
    /// Genes in a sentence at most.
    pub genes: usize,
    /// The organism that the prompt names.
    pub organism: String,
    /// The prompt that it was trained with.
    pub prompt: String,
    /// The folder to write to; new or empty.
    pub out: PathBuf,
}

/// Builds the bundle that `request` describes; gives its id and the bytes of its weights.
///
/// # Errors
/// [`crate::Error::Model`] naming the tensor, entry or file that is missing or does not fit;
/// [`crate::Error::Request`] where the folder holds something; [`crate::Error::Io`]; [`crate::Error::Cancelled`].
pub fn import_sentence(request: &SentenceImport, watch: &Watch) -> Result<(String, u64)> {
    require_empty(&request.out)?;
    watch.step("Checking the decoder", 0, Some(2))?;
    let files = ModelFiles::Folder(request.decoder.clone());
    let decoder = DecoderFolder::open(&files, "")?;
    Decoder::new(&decoder.config, &mut Params::checking(&decoder.weights))?;
    // Llama and Gemma were trained with a token that opens each text; GPT-2 and Pythia have one by name and were not.
    let family = decoder.config.model_type.as_str();
    let bos = match family {
        "llama" => decoder.first_token.as_str(),
        _ if family.starts_with("gemma") && !decoder.first_token.is_empty() => decoder.first_token.as_str(),
        _ if family.starts_with("gemma") && decoder.tokenizer.token("<bos>").is_some() => "<bos>",
        _ => "",
    };
    let sentence = SentenceEntry {
        genes: request.genes,
        organism: request.organism.clone(),
        prompt: request.prompt.clone(),
        bos: bos.to_owned(),
    };
    let (template, tokenizer) = (decoder.chat_template.clone(), decoder.tokenizer.clone());
    let tokenizer_json = tokenizer.to_json()?;
    SentencePrompter::new(sentence.clone(), template.clone(), tokenizer)?.tokens("CD3D", 1)?;
    watch.step("Writing the decoder", 1, Some(2))?;
    let mut writer = Writer::new(&request.out, watch);
    for file in ["config.json", "generation_config.json"] {
        if files.holds(file) {
            writer.text(&format!("decoder/{file}"), &files.read(file)?)?;
        }
    }
    if !decoder.is_gguf {
        writer.text("decoder/tokenizer.json", tokenizer_json.as_bytes())?;
    }
    if let Some(template) = template {
        writer.text("decoder/chat_template.jinja", template.as_bytes())?;
    }
    writer.weights("decoder", Some(&request.decoder), &decoder.weights, |name| Some(name.to_owned()))?;
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
        genes: None,
        encoder: None,
        adapter: None,
        decoder: DecoderEntry { folder: "decoder".into() },
        prompt: None,
        sentence: Some(sentence),
        hashes: writer.hashes()?,
    };
    Bundle::write_hashed(&request.out, &manifest)?;
    let bundle = Bundle::open(&request.out)?;
    Ok((bundle.id(), bundle.files.weights("decoder")?.bytes()))
}
