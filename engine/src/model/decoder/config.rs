//! What `config.json` of a decoder says, whichever family wrote it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::design::Family;
use crate::error::Problem;
use crate::model::wrong_config;
use crate::nn::{Llama3Scaling, RopeScaling, RotarySettings};
use crate::{Error, Result};

/// What `config.json` of a decoder says.
///
/// Entries are Llama's; those of other families are read under their own names. A configuration inside another, as that
/// of Gemma 3's text part, is found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct DecoderConfig {
    /// `llama`, `gemma3_text`, `gemma2`, `gpt_neox` or `gpt2`.
    #[serde(default = "llama")]
    pub model_type: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; a divisor of the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head; hidden size ÷ query heads where not given.
    #[serde(default)]
    pub head_dim: Option<usize>,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Added to mean squares, or to variances.
    #[serde(default = "norm_eps")]
    pub rms_norm_eps: f64,
    /// Whether the output matrix is the token table.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Base of the rotary frequencies, in the older place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// Scaling of the rotary frequencies, in the older place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeEntry>,
    /// Base and scaling, in the newer place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// Base of the rotary frequencies of layers that see a window, in the older place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_local_base_freq: Option<f64>,
    /// Share of a head that is rotated, in the older place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotary_pct: Option<f64>,
    /// What bends the feed-forward part; each family has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_act: Option<String>,
    /// Scores are divided by the root of this, in place of the width of a head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_pre_attn_scalar: Option<f64>,
    /// Keys that a query of a local layer sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<usize>,
    /// `sliding_attention` or `full_attention` for each layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_types: Option<Vec<String>>,
    /// Every so manieth layer sees all keys, where the layers are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding_window_pattern: Option<usize>,
    /// Attention scores stay within ± this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attn_logit_softcapping: Option<f64>,
    /// Scores of tokens stay within ± this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_logit_softcapping: Option<f64>,
    /// Whether attention and feed-forward part read the same state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_parallel_residual: Option<bool>,
    /// Whether the maps of attention have a bias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention_bias: Option<bool>,
    /// Type of the published weights: some constants are rounded to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// Token or tokens that end a text.
    #[serde(default)]
    pub eos_token_id: EosTokens,
}

/// Rotary settings as `config.json` spells them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RopeEntry {
    /// `llama3`, `linear` or `default`; `type` in old files.
    #[serde(default = "default_rope", alias = "type")]
    pub rope_type: String,
    /// Base of the frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// Frequencies, or low ones, are divided by this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Low cut of llama3: original context ÷ this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_freq_factor: Option<f64>,
    /// High cut of llama3: original context ÷ this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_freq_factor: Option<f64>,
    /// Context of the original training, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_max_position_embeddings: Option<usize>,
    /// Share of a head that is rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_rotary_factor: Option<f64>,
}

/// Rotary settings of all layers, or by the kind of layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RopeParameters {
    /// Of layers that see all keys, and of those that see a window.
    ByLayer {
        /// Of layers that see all keys.
        full_attention: RopeEntry,
        /// Of layers that see a window.
        sliding_attention: RopeEntry,
    },
    /// Of all layers.
    All(RopeEntry),
}

/// One end token or several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EosTokens {
    /// One.
    One(u32),
    /// Several.
    Several(Vec<u32>),
    /// None given.
    #[default]
    None,
}

impl EosTokens {
    /// Whether `token` ends a text.
    pub fn contains(&self, token: u32) -> bool {
        match self {
            Self::One(id) => *id == token,
            Self::Several(ids) => ids.contains(&token),
            Self::None => false,
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let ids: &[u32] = match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Several(ids) => ids.as_slice(),
            Self::None => &[],
        };
        ids.iter().copied()
    }

    /// These and `others`.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let mut all: Vec<u32> = self.iter().chain(others.iter()).collect();
        all.sort_unstable();
        all.dedup();
        match all.as_slice() {
            [] => Self::None,
            [one] => Self::One(*one),
            _ => Self::Several(all),
        }
    }
}

fn llama() -> String {
    "llama".to_owned()
}
fn default_rope() -> String {
    "default".to_owned()
}
fn norm_eps() -> f64 {
    1e-5
}

/// Base of the rotary frequencies of the first Llama, for files that name none.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;

impl<'de> Deserialize<'de> for DecoderConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let entries = Map::deserialize(deserializer)?;
        Self::deserialize(Value::Object(completed(entries))).map_err(serde::de::Error::custom)
    }
}

impl Serialize for DecoderConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// Names of other families, and what Llama calls the same.
const OTHER_NAMES: [(&str, &str); 12] = [
    ("n_embd", "hidden_size"),
    ("n_layer", "num_hidden_layers"),
    ("n_head", "num_attention_heads"),
    ("n_positions", "max_position_embeddings"),
    ("n_inner", "intermediate_size"),
    ("layer_norm_epsilon", "rms_norm_eps"),
    ("layer_norm_eps", "rms_norm_eps"),
    ("activation_function", "hidden_act"),
    ("hidden_activation", "hidden_act"),
    ("_sliding_window_pattern", "sliding_window_pattern"),
    ("rotary_emb_base", "rope_theta"),
    ("torch_dtype", "dtype"),
];

/// The entries in Llama's names, with what a family's own class in Hugging Face transformers fills in for entries that
/// its publishers leave out.
fn completed(outer: Map<String, Value>) -> Map<String, Value> {
    let mut entries = match outer.get("text_config") {
        Some(Value::Object(text)) => {
            let mut text = text.clone();
            for inherited in ["eos_token_id", "dtype", "torch_dtype", "tie_word_embeddings"] {
                if let (false, Some(value)) = (text.contains_key(inherited), outer.get(inherited)) {
                    text.insert(inherited.to_owned(), value.clone());
                }
            }
            if let (None, Some(Value::String(kind))) = (text.get("model_type"), outer.get("model_type")) {
                text.insert("model_type".to_owned(), json!(format!("{kind}_text")));
            }
            text
        }
        _ => outer,
    };
    for (theirs, ours) in OTHER_NAMES {
        let value = entries.remove(theirs).filter(|value| !value.is_null());
        if let Some(value) = value {
            entries.entry(ours.to_owned()).or_insert(value);
        }
    }
    let kind = entries.get("model_type").and_then(Value::as_str).unwrap_or("llama").to_owned();
    let defaults = match Family::named(&kind) {
        Some(Family::Gemma3) => json!({
            "vocab_size": 262_208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
            "max_position_embeddings": 131_072, "rms_norm_eps": 1e-6, "tie_word_embeddings": true,
            "query_pre_attn_scalar": 256, "sliding_window": 4096, "sliding_window_pattern": 6,
        }),
        Some(Family::Gemma2) => json!({
            "head_dim": 256, "max_position_embeddings": 8192, "rms_norm_eps": 1e-6, "tie_word_embeddings": true,
            "query_pre_attn_scalar": 256, "sliding_window": 4096, "sliding_window_pattern": 2,
            "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
        }),
        Some(Family::Gpt2) => {
            let width = entries.get("hidden_size").and_then(Value::as_u64).unwrap_or(768);
            json!({
                "tie_word_embeddings": true, "intermediate_size": 4 * width, "max_position_embeddings": 1024,
                "vocab_size": 50_257,
            })
        }
        _ => json!({}),
    };
    let heads = entries.get("num_attention_heads").cloned();
    for (name, value) in defaults.as_object().into_iter().flatten() {
        // An entry of `null` is one left out, but for the caps, which it turns off.
        let off = name.ends_with("softcapping") && entries.contains_key(name);
        if !off && entries.get(name).is_none_or(Value::is_null) {
            entries.insert(name.clone(), value.clone());
        }
    }
    if let (Some(heads), None) = (heads, entries.get("num_key_value_heads").filter(|v| !v.is_null())) {
        entries.insert("num_key_value_heads".to_owned(), heads);
    }
    entries
}

impl RopeEntry {
    fn settings(&self, head_width: usize, theta: f64, share: f64) -> Result<RotarySettings> {
        let refused = || {
            Error::model(Problem::new(
                "decoder rope_type",
                self.rope_type.clone(),
                "default, linear with its factor, or llama3 with its four numbers",
                "This kind of decoder is not supported.",
            ))
        };
        let scaling = match self.rope_type.as_str() {
            "default" => None,
            "linear" => Some(RopeScaling::Linear(self.factor.filter(|f| *f > 0.0).ok_or_else(refused)?)),
            "llama3" => {
                let four = || {
                    Some(Llama3Scaling {
                        factor: self.factor?,
                        low_freq_factor: self.low_freq_factor?,
                        high_freq_factor: self.high_freq_factor?,
                        original_max_position_embeddings: self.original_max_position_embeddings?,
                    })
                };
                Some(RopeScaling::Llama3(four().ok_or_else(refused)?))
            }
            _ => return Err(refused()),
        };
        let share = self.partial_rotary_factor.unwrap_or(share);
        let head_dim = (head_width as f64 * share) as usize;
        if head_dim == 0 || head_dim > head_width || !head_dim.is_multiple_of(2) {
            let expected = format!("an even part of a head of {head_width}");
            return wrong_config("decoder rotary width", head_dim.to_string(), &expected);
        }
        Ok(RotarySettings { head_dim, theta: self.rope_theta.unwrap_or(theta), scaling })
    }
}

impl DecoderConfig {
    /// Width of one head.
    pub fn head_width(&self) -> usize {
        self.head_dim.unwrap_or_else(|| self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Bytes of the keys and values of a text of `tokens`, in float32.
    pub fn cache_bytes(&self, tokens: usize) -> u64 {
        let sides =
            [2 * size_of::<f32>(), self.num_hidden_layers, self.num_key_value_heads, self.head_width()];
        sides.into_iter().fold(tokens as u64, |bytes, side| bytes.saturating_mul(side as u64))
    }

    /// The family of the decoder.
    ///
    /// # Errors
    /// [`Error::Model`] for one that is not known here.
    pub(super) fn family(&self) -> Result<Family> {
        match Family::named(&self.model_type) {
            Some(family) => Ok(family),
            None => wrong_config(
                "decoder model_type",
                self.model_type.clone(),
                "llama, gemma3, gemma2, gpt_neox or gpt2",
            ),
        }
    }

    /// The rotary settings of layers that see all keys, and of those that see a window; none where positions are
    /// learned.
    ///
    /// # Errors
    /// [`Error::Model`] for a scaling that is not known here.
    pub fn rotary(&self) -> Result<Option<[RotarySettings; 2]>> {
        let family = self.family()?;
        if family == Family::Gpt2 {
            return Ok(None);
        }
        let plain = || RopeEntry { rope_type: default_rope(), ..RopeEntry::default() };
        let theta = self.rope_theta.unwrap_or(match family {
            Family::Gemma3 => 1e6,
            _ => DEFAULT_ROPE_THETA,
        });
        // GPT-NeoX rotates a quarter where its file is silent.
        let share = self.rotary_pct.unwrap_or(if family == Family::GptNeox { 0.25 } else { 1.0 });
        let (full, local) = match &self.rope_parameters {
            Some(RopeParameters::ByLayer { full_attention, sliding_attention }) => {
                (full_attention.clone(), sliding_attention.clone())
            }
            Some(RopeParameters::All(entry)) => (entry.clone(), entry.clone()),
            None => {
                let full = self.rope_scaling.clone().unwrap_or_else(plain);
                let local = if family == Family::Gemma3 {
                    let theta = self.rope_local_base_freq.unwrap_or(DEFAULT_ROPE_THETA);
                    RopeEntry { rope_theta: Some(theta), ..plain() }
                } else {
                    full.clone()
                };
                (full, local)
            }
        };
        let head = self.head_width();
        Ok(Some([full.settings(head, theta, share)?, local.settings(head, theta, share)?]))
    }

    /// Whether layer `index` sees a window of keys only.
    pub(super) fn is_local(&self, index: usize) -> bool {
        match (&self.layer_types, self.sliding_window_pattern) {
            (Some(kinds), _) => kinds.get(index).is_some_and(|kind| kind == "sliding_attention"),
            (None, Some(pattern)) => !(index + 1).is_multiple_of(pattern.max(1)),
            (None, None) => false,
        }
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// [`Error::Model`] naming the entry.
    pub fn check(&self) -> Result<()> {
        self.family()?;
        let (heads, kv) = (self.num_attention_heads, self.num_key_value_heads);
        if heads == 0 || kv == 0 || !heads.is_multiple_of(kv) {
            return wrong_config(
                "decoder num_key_value_heads",
                format!("{kv} for {heads} heads"),
                "a divisor of the heads",
            );
        }
        if self.head_width() == 0 || !self.head_width().is_multiple_of(2) {
            return wrong_config("decoder head_dim", self.head_width().to_string(), "an even width");
        }
        self.rotary().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> DecoderConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn gemma_3s_text_part_is_found_and_what_its_publisher_leaves_out_is_filled_in() {
        let config = read(json!({
            "model_type": "gemma3", "eos_token_id": [1, 106], "torch_dtype": "bfloat16",
            "text_config": {
                "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
                "num_hidden_layers": 34, "sliding_window": 1024,
                "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            },
            "vision_config": {"hidden_size": 1152},
        }));
        config.check().unwrap();
        assert_eq!(
            (config.num_attention_heads, config.num_key_value_heads, config.head_width()),
            (8, 4, 256)
        );
        assert_eq!((config.vocab_size, config.hidden_size), (262_208, 2560));
        assert!(config.eos_token_id.contains(106) && config.tie_word_embeddings);
        let [full, local] = config.rotary().unwrap().unwrap();
        assert_eq!((full.theta, full.scaling), (1e6, Some(RopeScaling::Linear(8.0))));
        assert_eq!((local.theta, local.scaling), (1e4, None));
        let global: Vec<usize> = (0..34).filter(|i| !config.is_local(*i)).collect();
        assert_eq!(global, [5, 11, 17, 23, 29]);
    }

    #[test]
    fn other_names_are_read_and_a_configuration_survives_being_written() {
        let gpt2 = read(json!({
            "model_type": "gpt2", "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 256, "n_inner": null,
            "vocab_size": 211, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "eos_token_id": null,
        }));
        assert_eq!((gpt2.intermediate_size, gpt2.num_key_value_heads), (256, 4));
        assert_eq!(gpt2.rotary().unwrap(), None);
        let neox = read(json!({
            "model_type": "gpt_neox", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
            "intermediate_size": 4096, "vocab_size": 50304, "max_position_embeddings": 2048, "rotary_pct": 0.25,
            "rotary_emb_base": 10000, "layer_norm_eps": 1e-5,
        }));
        assert_eq!(neox.rotary().unwrap().unwrap()[0].head_dim, 16);
        let gemma2 = read(json!({
            "model_type": "gemma2", "hidden_size": 2304, "num_hidden_layers": 26, "num_attention_heads": 8,
            "num_key_value_heads": 4, "intermediate_size": 9216, "vocab_size": 256000,
            "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
        }));
        assert!(gemma2.is_local(0) && !gemma2.is_local(1));
        assert_eq!(gemma2.attn_logit_softcapping, Some(50.0));
        for config in [gpt2, neox, gemma2] {
            let again: DecoderConfig =
                serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
            assert_eq!(again, config);
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let sizes = json!({
            "model_type": "mamba", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 8, "vocab_size": 8, "max_position_embeddings": 8,
        });
        assert!(read(sizes.clone()).check().unwrap_err().to_string().contains("mamba"));
        let mut yarn = sizes;
        yarn["model_type"] = json!("llama");
        yarn["rope_scaling"] = json!({"type": "yarn", "factor": 4.0});
        assert!(read(yarn).check().unwrap_err().to_string().contains("yarn"));
    }

    #[test]
    fn end_tokens_of_two_files_are_joined() {
        let both = EosTokens::One(1).and(&EosTokens::Several(vec![106, 1]));
        assert_eq!(both, EosTokens::Several(vec![1, 106]));
        assert_eq!(EosTokens::None.and(&EosTokens::None), EosTokens::None);
    }
}
