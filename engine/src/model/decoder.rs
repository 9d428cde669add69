//! The Llama decoder: causal transformer with grouped-query attention and rotary positions.
//!
//! Architecture and tensor names follow Hugging Face's `LlamaForCausalLM`.

use burn::module::Module;
use burn::nn::{Embedding, Linear, RmsNorm};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::wrong_config;
use crate::error::Problem;
use crate::nn::{
    Causality, KvCache, ParamSink, Params, RopeScaling, Rotary, RotarySettings, attend, embedding,
    export_embedding, export_linear, export_rms_norm, linear, rms_norm,
};
use crate::{Error, Result};

/// What `config.json` of a decoder says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// Always `llama` here.
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
    /// Added to mean squares.
    #[serde(default = "rms_norm_eps")]
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
    pub rope_parameters: Option<RopeEntry>,
    /// Token or tokens that end a text.
    #[serde(default)]
    pub eos_token_id: EosTokens,
}

/// Rotary settings as `config.json` spells them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeEntry {
    /// `llama3` or `default`; `type` in old files.
    #[serde(default = "default_rope", alias = "type")]
    pub rope_type: String,
    /// Base of the frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// The four numbers of llama3 scaling.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<RopeScaling>,
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
}

fn llama() -> String {
    "llama".to_owned()
}
fn default_rope() -> String {
    "default".to_owned()
}
fn rms_norm_eps() -> f64 {
    1e-5
}

/// Base of the rotary frequencies of the first Llama, for files that name none.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;

impl DecoderConfig {
    /// Width of one head.
    pub fn head_width(&self) -> usize {
        self.head_dim.unwrap_or_else(|| self.hidden_size / self.num_attention_heads.max(1))
    }

    /// The rotary settings, from whichever place the file has them in.
    ///
    /// # Errors
    /// [`Error::Model`] for a scaling that is neither none nor llama3.
    pub fn rotary(&self) -> Result<RotarySettings> {
        let entry = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let theta = entry.and_then(|e| e.rope_theta).or(self.rope_theta).unwrap_or(DEFAULT_ROPE_THETA);
        let scaling = match entry {
            None => None,
            Some(e) if e.rope_type == "default" => None,
            Some(e) if e.rope_type == "llama3" && e.scaling.is_some() => e.scaling,
            Some(e) => {
                return Err(Error::model(Problem::new(
                    "decoder rope_type",
                    e.rope_type.clone(),
                    "default, or llama3 with its four numbers",
                    "This kind of decoder is not supported.",
                )));
            }
        };
        Ok(RotarySettings { head_dim: self.head_width(), theta, scaling })
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// [`Error::Model`] naming the entry.
    pub fn check(&self) -> Result<()> {
        if self.model_type != "llama" {
            return wrong_config("decoder model_type", self.model_type.clone(), "llama");
        }
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

#[derive(Module, Debug)]
struct DecoderLayer {
    input_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    post_attention_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    kv_heads: usize,
}

impl DecoderLayer {
    fn forward(&self, hidden: Tensor<3>, rotary: &Rotary, cache: Option<(&mut KvCache, usize)>) -> Tensor<3> {
        let [batch, tokens, _] = hidden.dims();
        let x = self.input_norm.forward(hidden.clone());
        let split = |y: Tensor<3>, heads: usize| {
            let [_, _, width] = y.dims();
            y.reshape([batch, tokens, heads, width / heads]).swap_dims(1, 2)
        };
        let start = cache.as_ref().map_or(0, |(c, _)| c.len());
        let query = rotary.apply(split(self.query.forward(x.clone()), self.heads), start);
        let key = rotary.apply(split(self.key.forward(x.clone()), self.kv_heads), start);
        let value = split(self.value.forward(x), self.kv_heads);
        let (key, value) = match cache {
            Some((cache, layer)) => cache.append(layer, key, value),
            None => (key, value),
        };
        let mixed = attend(query, key, value, &Causality::Causal).swap_dims(1, 2);
        let [_, _, heads, width] = mixed.dims();
        let hidden = hidden + self.output.forward(mixed.reshape([batch, tokens, heads * width]));
        let x = self.post_attention_norm.forward(hidden.clone());
        let inner = silu(self.gate.forward(x.clone())) * self.up.forward(x);
        hidden + self.down.forward(inner)
    }
}

/// A Llama decoder.
#[derive(Module, Debug)]
pub struct Decoder {
    words: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    /// The output matrix; the token table where it is tied.
    head: Option<Linear>,
    #[module(skip)]
    shape: DecoderShape,
}

#[derive(Debug, Clone, Copy)]
struct DecoderShape {
    kv_heads: usize,
    rotary: RotarySettings,
    max_positions: usize,
}

impl Decoder {
    /// Builds a decoder from `params` in the names of `LlamaForCausalLM`.
    ///
    /// # Errors
    /// [`Error::Model`] when a tensor is missing or of another shape.
    pub fn new(config: &DecoderConfig, params: &mut Params<'_>) -> Result<Self> {
        config.check()?;
        let (width, eps) = (config.hidden_size, config.rms_norm_eps);
        let head_width = config.head_width();
        let (query_width, kv_width) =
            (config.num_attention_heads * head_width, config.num_key_value_heads * head_width);
        let layers = (0..config.num_hidden_layers)
            .map(|i| {
                let l = format!("model.layers.{i}");
                Ok(DecoderLayer {
                    input_norm: rms_norm(params, &format!("{l}.input_layernorm"), width, eps)?,
                    query: linear(params, &format!("{l}.self_attn.q_proj"), width, query_width, false)?,
                    key: linear(params, &format!("{l}.self_attn.k_proj"), width, kv_width, false)?,
                    value: linear(params, &format!("{l}.self_attn.v_proj"), width, kv_width, false)?,
                    output: linear(params, &format!("{l}.self_attn.o_proj"), query_width, width, false)?,
                    post_attention_norm: rms_norm(
                        params,
                        &format!("{l}.post_attention_layernorm"),
                        width,
                        eps,
                    )?,
                    gate: linear(
                        params,
                        &format!("{l}.mlp.gate_proj"),
                        width,
                        config.intermediate_size,
                        false,
                    )?,
                    up: linear(params, &format!("{l}.mlp.up_proj"), width, config.intermediate_size, false)?,
                    down: linear(
                        params,
                        &format!("{l}.mlp.down_proj"),
                        config.intermediate_size,
                        width,
                        false,
                    )?,
                    heads: config.num_attention_heads,
                    kv_heads: config.num_key_value_heads,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            words: embedding(params, "model.embed_tokens", config.vocab_size, width)?,
            layers,
            norm: rms_norm(params, "model.norm", width, eps)?,
            head: if config.tie_word_embeddings {
                None
            } else {
                Some(linear(params, "lm_head", width, config.vocab_size, false)?)
            },
            shape: DecoderShape {
                kv_heads: config.num_key_value_heads,
                rotary: config.rotary()?,
                max_positions: config.max_position_embeddings,
            },
        })
    }

    /// The device it lies on.
    pub fn device(&self) -> Device {
        self.words.weight.val().device()
    }

    /// Longest sequence, in tokens.
    pub fn max_positions(&self) -> usize {
        self.shape.max_positions
    }

    /// Vectors of tokens `[batch, tokens]`: `[batch, tokens, hidden]`.
    pub fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.words.forward(tokens)
    }

    /// An empty cache for `batch` texts of at most `capacity` tokens.
    pub fn new_cache(&self, batch: usize, capacity: usize) -> KvCache {
        let DecoderShape { kv_heads, rotary, .. } = self.shape;
        KvCache::new(self.layers.len(), batch, kv_heads, capacity, rotary.head_dim, &self.device().inner())
    }

    /// Rotary tables for `n_positions` positions on this decoder's device.
    pub fn rotary(&self, n_positions: usize) -> Rotary {
        Rotary::new(&self.shape.rotary, n_positions, &self.device())
    }

    /// The last hidden state of a whole text, after the final norm: `[batch, tokens, hidden]` in and out.
    pub fn hidden(&self, vectors: Tensor<3>, rotary: &Rotary) -> Tensor<3> {
        let hidden = self.layers.iter().fold(vectors, |hidden, layer| layer.forward(hidden, rotary, None));
        self.norm.forward(hidden)
    }

    /// The last hidden state of the next `vectors` of a text whose beginning is in `cache`, which takes them in.
    ///
    /// # Errors
    /// [`Error::Model`] when the cache is full.
    pub fn hidden_cached(
        &self,
        vectors: Tensor<3>,
        rotary: &Rotary,
        cache: &mut KvCache,
    ) -> Result<Tensor<3>> {
        let [_, tokens, _] = vectors.dims();
        cache.reserve(tokens)?;
        let mut hidden = vectors;
        for (i, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(hidden, rotary, Some((&mut *cache, i)));
        }
        cache.advance(tokens);
        Ok(self.norm.forward(hidden))
    }

    /// Scores of every token: `[batch, tokens, hidden]` to `[batch, tokens, vocab]`.
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        match &self.head {
            Some(head) => head.forward(hidden),
            None => {
                let [batch, tokens, width] = hidden.dims();
                let table = self.words.weight.val();
                let [vocab, _] = table.dims();
                let rows = batch * tokens;
                if rows < vocab {
                    // A product with a table turned round copies the table; turning the few rows round copies little.
                    let rows_as_columns = hidden.reshape([rows, width]).transpose();
                    table.matmul(rows_as_columns).transpose().reshape([batch, tokens, vocab])
                } else {
                    hidden.matmul(table.transpose().unsqueeze())
                }
            }
        }
    }

    /// Writes the parameters in the names that [`Decoder::new`] reads.
    ///
    /// # Errors
    /// [`Error::Device`] when values cannot be read back.
    pub fn export(&self, sink: &mut ParamSink) -> Result<()> {
        export_embedding(sink, "model.embed_tokens", &self.words)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let l = format!("model.layers.{i}");
            export_rms_norm(sink, &format!("{l}.input_layernorm"), &layer.input_norm)?;
            export_linear(sink, &format!("{l}.self_attn.q_proj"), &layer.query)?;
            export_linear(sink, &format!("{l}.self_attn.k_proj"), &layer.key)?;
            export_linear(sink, &format!("{l}.self_attn.v_proj"), &layer.value)?;
            export_linear(sink, &format!("{l}.self_attn.o_proj"), &layer.output)?;
            export_rms_norm(sink, &format!("{l}.post_attention_layernorm"), &layer.post_attention_norm)?;
            export_linear(sink, &format!("{l}.mlp.gate_proj"), &layer.gate)?;
            export_linear(sink, &format!("{l}.mlp.up_proj"), &layer.up)?;
            export_linear(sink, &format!("{l}.mlp.down_proj"), &layer.down)?;
        }
        export_rms_norm(sink, "model.norm", &self.norm)?;
        match &self.head {
            Some(head) => export_linear(sink, "lm_head", head),
            None => Ok(()),
        }
    }
}
