//! A decoder out of one GGUF file: its configuration, tokenizer and chat template, from the file's settings.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::decoder::DecoderConfig;
use super::text::TextTokenizer;
use crate::error::Problem;
use crate::nn::{Setting, WeightFiles};
use crate::{Error, Result};

type Settings = BTreeMap<String, Setting>;

/// How text is cut before its pieces are joined, as Llama 3's tokenizer does.
const LLAMA_3_PIECES: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What a decoder's folder holds in several files, read from one.
#[derive(Debug)]
pub struct GgufDecoder {
    /// Its configuration.
    pub config: DecoderConfig,
    /// Its tokenizer.
    pub tokenizer: TextTokenizer,
    /// Its chat template, where the file has one.
    pub chat_template: Option<String>,
    /// The token that opens a text, as it is spelled; empty where there is none.
    pub first_token: String,
}

impl GgufDecoder {
    /// Reads the settings of the GGUF file in `weights`; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Model`] naming the setting that is missing or not known here.
    pub fn read(weights: &WeightFiles) -> Result<Option<Self>> {
        let Some(settings) = weights.gguf_settings() else { return Ok(None) };
        let config = config(settings, weights)?;
        let tokens = texts(settings, "tokenizer.ggml.tokens")?;
        let tokenizer = TextTokenizer::from_json(tokenizer(settings, tokens)?.to_string().as_bytes())?;
        let chat_template = match settings.get("tokenizer.chat_template") {
            Some(Setting::Text(template)) => Some(template.clone()),
            _ => None,
        };
        let first = int(settings, "tokenizer.ggml.bos_token_id").and_then(|id| tokens.get(id));
        Ok(Some(Self { config, tokenizer, chat_template, first_token: first.cloned().unwrap_or_default() }))
    }
}

/// The configuration alone of the GGUF file in `weights`; `None` where there is none.
///
/// # Errors
/// As [`GgufDecoder::read`].
pub(super) fn gguf_config(weights: &WeightFiles) -> Result<Option<DecoderConfig>> {
    weights.gguf_settings().map(|settings| config(settings, weights)).transpose()
}

fn int(settings: &Settings, name: &str) -> Option<usize> {
    match settings.get(name) {
        Some(Setting::Int(n)) => usize::try_from(*n).ok(),
        _ => None,
    }
}

fn float(settings: &Settings, name: &str) -> Option<f64> {
    match settings.get(name) {
        Some(Setting::Float(n)) => Some(*n),
        Some(Setting::Int(n)) => Some(*n as f64),
        _ => None,
    }
}

fn texts<'a>(settings: &'a Settings, name: &str) -> Result<&'a [String]> {
    match settings.get(name) {
        Some(Setting::Texts(texts)) => Ok(texts),
        _ => Err(missing(name)),
    }
}

fn missing(name: &str) -> Error {
    let remedy = "Use a file that llama.cpp's converter made of a decoder.";
    Error::model(Problem::new(name, "no such setting in the GGUF file", "one", remedy))
}

fn config(settings: &Settings, weights: &WeightFiles) -> Result<DecoderConfig> {
    let Some(Setting::Text(family)) = settings.get("general.architecture") else {
        return Err(missing("general.architecture"));
    };
    let own = |name: &str| format!("{family}.{name}");
    let need = |name: &str| int(settings, &own(name)).ok_or_else(|| missing(&own(name)));
    let heads = need("attention.head_count")?;
    let kind = if family == "gemma3" { "gemma3_text" } else { family.as_str() };
    // Shapes tell the number of tokens more surely than any setting.
    let vocab = weights.shape("model.embed_tokens.weight")?.first().copied().unwrap_or_default();
    let mut entries = json!({
        "model_type": kind,
        "hidden_size": need("embedding_length")?,
        "num_hidden_layers": need("block_count")?,
        "num_attention_heads": heads,
        "num_key_value_heads": int(settings, &own("attention.head_count_kv")).unwrap_or(heads),
        "intermediate_size": need("feed_forward_length")?,
        "max_position_embeddings": need("context_length")?,
        "vocab_size": vocab,
        "tie_word_embeddings": !weights.contains("lm_head.weight"),
        "rms_norm_eps": float(settings, &own("attention.layer_norm_rms_epsilon")).unwrap_or(1e-5),
    });
    let optional = [
        ("head_dim", int(settings, &own("attention.key_length")).map(Value::from)),
        ("rope_theta", float(settings, &own("rope.freq_base")).map(Value::from)),
        ("sliding_window", int(settings, &own("attention.sliding_window")).map(Value::from)),
        ("attn_logit_softcapping", float(settings, &own("attn_logit_softcapping")).map(Value::from)),
        ("final_logit_softcapping", float(settings, &own("final_logit_softcapping")).map(Value::from)),
        ("eos_token_id", Some(end_tokens(settings))),
        ("rope_scaling", rope_scaling(settings, family, weights)?),
    ];
    for (name, value) in optional {
        if let (Some(value), Some(entries)) = (value, entries.as_object_mut()) {
            entries.insert(name.to_owned(), value);
        }
    }
    serde_json::from_value(entries).map_err(|e| {
        Error::model(Problem::new("GGUF settings", e.to_string(), "those of a decoder", "Use another file."))
    })
}

/// The tokens that end a text or a turn.
fn end_tokens(settings: &Settings) -> Value {
    let ids: Vec<usize> = ["eos_token_id", "eot_token_id", "eom_token_id"]
        .iter()
        .filter_map(|name| int(settings, &format!("tokenizer.ggml.{name}")))
        .collect();
    json!(ids)
}

/// Linear scaling stands in the settings; Llama 3's stands as factors of each frequency in a tensor of the file.
fn rope_scaling(settings: &Settings, family: &str, weights: &WeightFiles) -> Result<Option<Value>> {
    if let (Some(Setting::Text(kind)), Some(factor)) = (
        settings.get(&format!("{family}.rope.scaling.type")),
        float(settings, &format!("{family}.rope.scaling.factor")),
    ) && kind == "linear"
    {
        return Ok(Some(json!({ "rope_type": "linear", "factor": factor })));
    }
    let Some(factors) = weights.gguf_rope_factors() else { return Ok(None) };
    let longest = factors.iter().copied().fold(1f32, f32::max);
    if (longest - 1.0).abs() < 1e-3 {
        return Ok(None);
    }
    // The factors of long waves are the factor itself; the other three numbers are those of every Llama 3.
    let (low, high, context) = (1.0, 4.0, 8192.0);
    let theta = float(settings, &format!("{family}.rope.freq_base")).unwrap_or(10_000.0);
    let n = factors.len() as f64;
    let fits = factors.iter().enumerate().all(|(i, &found)| {
        let wavelength = std::f64::consts::TAU * theta.powf(i as f64 / n);
        let factor = f64::from(longest);
        let expected = if wavelength < context / high {
            1.0
        } else if wavelength > context / low {
            factor
        } else {
            let smooth = (context / wavelength - low) / (high - low);
            1.0 / ((1.0 - smooth) / factor + smooth)
        };
        (f64::from(found) - expected).abs() < 1e-3 * expected
    });
    if !fits {
        return Err(Error::model(Problem::new(
            "rope_freqs.weight",
            "factors of another scaling",
            "those of Llama 3",
            "Use the safetensors of this model.",
        )));
    }
    Ok(Some(json!({
        "rope_type": "llama3", "factor": f64::from(longest), "low_freq_factor": low, "high_freq_factor": high,
        "original_max_position_embeddings": context as usize,
    })))
}

/// The `tokenizer.json` that the file's tokens make.
fn tokenizer(settings: &Settings, tokens: &[String]) -> Result<Value> {
    const CONTROL: f64 = 3.0;
    const USER_DEFINED: f64 = 4.0;
    let kinds = match settings.get("tokenizer.ggml.token_type") {
        Some(Setting::Numbers(kinds)) => kinds.as_slice(),
        _ => &[],
    };
    let added: Vec<Value> = tokens
        .iter()
        .zip(kinds)
        .enumerate()
        .filter(|(_, (_, kind))| **kind == CONTROL || **kind == USER_DEFINED)
        .map(|(id, (text, kind))| {
            json!({
                "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": *kind == CONTROL,
            })
        })
        .collect();
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, text)| (text.clone(), json!(id))).collect();
    let model = match settings.get("tokenizer.ggml.model") {
        Some(Setting::Text(model)) => model.as_str(),
        _ => return Err(missing("tokenizer.ggml.model")),
    };
    match model {
        "gpt2" => {
            let merges = texts(settings, "tokenizer.ggml.merges")?;
            let before = match settings.get("tokenizer.ggml.pre") {
                Some(Setting::Text(pre)) if matches!(pre.as_str(), "llama-bpe" | "llama3" | "llama-v3") => {
                    json!({
                        "type": "Sequence", "pretokenizers": [
                            { "type": "Split", "pattern": { "Regex": LLAMA_3_PIECES }, "behavior": "Isolated",
                              "invert": false },
                            byte_level(false),
                        ],
                    })
                }
                Some(Setting::Text(pre)) if !matches!(pre.as_str(), "default" | "gpt-2") => {
                    return Err(Error::model(Problem::new(
                        "tokenizer.ggml.pre",
                        pre.clone(),
                        "llama-bpe or gpt-2",
                        "Use the safetensors of this model.",
                    )));
                }
                _ => byte_level(true),
            };
            Ok(json!({
                "version": "1.0", "added_tokens": added, "normalizer": null, "pre_tokenizer": before,
                "post_processor": null, "decoder": byte_level(true),
                "model": { "type": "BPE", "vocab": vocab, "merges": merges, "ignore_merges": true },
            }))
        }
        "llama" => {
            let scores = match settings.get("tokenizer.ggml.scores") {
                Some(Setting::Numbers(scores)) => scores,
                _ => return Err(missing("tokenizer.ggml.scores")),
            };
            let space = settings.get("tokenizer.ggml.add_space_prefix") != Some(&Setting::Bool(false));
            let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
            let normalizer = if space {
                json!({ "type": "Sequence", "normalizers": [{ "type": "Prepend", "prepend": "▁" }, replace] })
            } else {
                replace
            };
            let unknown = int(settings, "tokenizer.ggml.unknown_token_id").and_then(|id| tokens.get(id));
            Ok(json!({
                "version": "1.0", "added_tokens": added, "normalizer": normalizer, "pre_tokenizer": null,
                "post_processor": null, "decoder": null,
                "model": {
                    "type": "BPE", "vocab": vocab, "merges": merges_of(tokens, scores), "byte_fallback": true,
                    "fuse_unk": true, "unk_token": unknown,
                },
            }))
        }
        other => Err(Error::model(Problem::new(
            "tokenizer.ggml.model",
            other,
            "gpt2 or llama",
            "Use the safetensors of this model.",
        ))),
    }
}

fn byte_level(cuts: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": cuts })
}

/// The merges that a SentencePiece vocabulary stands for: every pair of tokens that is a token, the highest score first.
fn merges_of(tokens: &[String], scores: &[f64]) -> Vec<Value> {
    let ids: HashMap<&str, usize> = tokens.iter().enumerate().map(|(id, text)| (text.as_str(), id)).collect();
    let mut merges: Vec<(f64, usize, usize, &str, &str)> = Vec::new();
    for (text, score) in tokens.iter().zip(scores) {
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let (Some(&l), Some(&r)) = (ids.get(left), ids.get(right)) {
                merges.push((*score, l, r, left, right));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    merges.into_iter().map(|(_, _, _, left, right)| json!([left, right])).collect()
}

#[cfg(test)]
mod tests;
