//! How the families of decoders differ, as one description.
//!
//! Names and forms follow Hugging Face transformers' `LlamaForCausalLM`, `Gemma3ForCausalLM`, `Gemma2ForCausalLM`,
//! `GPTNeoXForCausalLM` and `GPT2LMHeadModel`.

use half::bf16;

use super::config::DecoderConfig;
use crate::Result;
use crate::model::wrong_config;
use crate::nn::{NormKind, Stored};

/// The families known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Llama,
    Gemma3,
    Gemma2,
    GptNeox,
    Gpt2,
}

impl Family {
    pub(super) fn named(model_type: &str) -> Option<Self> {
        Some(match model_type {
            "llama" => Self::Llama,
            "gemma3" | "gemma3_text" => Self::Gemma3,
            "gemma2" => Self::Gemma2,
            "gpt_neox" => Self::GptNeox,
            "gpt2" => Self::Gpt2,
            _ => return None,
        })
    }
}

/// What bends the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Silu,
    Gelu,
    GeluTanh,
    Relu,
}

/// How queries, keys and values come out of one map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fused {
    /// Head by head, each query, key, value.
    ByHead,
    /// All queries, all keys, all values.
    ByKind,
}

/// Names of tensors; those of a layer stand after its own name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) words: &'static str,
    pub(super) positions: &'static str,
    /// What stands before a layer's number.
    pub(super) layers: &'static str,
    pub(super) norm: &'static str,
    pub(super) head: &'static str,
    pub(super) input_norm: &'static str,
    pub(super) query: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    pub(super) fused: &'static str,
    pub(super) output: &'static str,
    pub(super) query_norm: &'static str,
    pub(super) key_norm: &'static str,
    /// The norm of what attention gives, before it is added.
    pub(super) after_attention: &'static str,
    /// The norm before the feed-forward part.
    pub(super) feed_norm: &'static str,
    pub(super) gate: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    /// The norm of what the feed-forward part gives, before it is added.
    pub(super) after_feed: &'static str,
    /// What stands before all names in some checkpoints.
    pub(super) prefixes: &'static [&'static str],
}

/// Prefixes of the checkpoints of Cell2Text and Prot2Text-V2, and of those with a vision part.
const WRAPPED: [&str; 7] = [
    "",
    "decoder.llama.",
    "llama_decoder.",
    "decoder.",
    "language_model.",
    "model.language_model.",
    "llama.",
];

const LLAMA: Names = Names {
    words: "model.embed_tokens",
    positions: "",
    layers: "model.layers",
    norm: "model.norm",
    head: "lm_head",
    input_norm: "input_layernorm",
    query: "self_attn.q_proj",
    key: "self_attn.k_proj",
    value: "self_attn.v_proj",
    fused: "",
    output: "self_attn.o_proj",
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    after_attention: "",
    feed_norm: "post_attention_layernorm",
    gate: "mlp.gate_proj",
    up: "mlp.up_proj",
    down: "mlp.down_proj",
    after_feed: "",
    prefixes: &WRAPPED,
};

const GEMMA: Names = Names {
    after_attention: "post_attention_layernorm",
    feed_norm: "pre_feedforward_layernorm",
    after_feed: "post_feedforward_layernorm",
    ..LLAMA
};

const GPT_NEOX: Names = Names {
    words: "gpt_neox.embed_in",
    layers: "gpt_neox.layers",
    norm: "gpt_neox.final_layer_norm",
    head: "embed_out",
    fused: "attention.query_key_value",
    output: "attention.dense",
    up: "mlp.dense_h_to_4h",
    down: "mlp.dense_4h_to_h",
    prefixes: &["", "decoder."],
    ..LLAMA
};

const GPT_2: Names = Names {
    words: "transformer.wte",
    positions: "transformer.wpe",
    layers: "transformer.h",
    norm: "transformer.ln_f",
    input_norm: "ln_1",
    fused: "attn.c_attn",
    output: "attn.c_proj",
    feed_norm: "ln_2",
    up: "mlp.c_fc",
    down: "mlp.c_proj",
    prefixes: &["", "decoder."],
    ..LLAMA
};

/// A decoder's family and what its configuration leaves open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Design {
    pub(super) names: Names,
    pub(super) norm: NormKind,
    pub(super) activation: Activation,
    /// Whether the feed-forward part has a gate.
    pub(super) gated: bool,
    pub(super) fused: Option<Fused>,
    pub(super) stored: Stored,
    /// Whether the maps have biases.
    pub(super) attention_bias: bool,
    pub(super) feed_bias: bool,
    /// Whether queries and keys are normed head by head.
    pub(super) head_norms: bool,
    /// Whether what attention and feed-forward part give is normed.
    pub(super) inner_norms: bool,
    /// Whether both read the same state.
    pub(super) parallel: bool,
    /// Whether positions are learned vectors.
    pub(super) learned_positions: bool,
    /// Factor of the vectors of words; what stands in for words is read as it is.
    pub(super) word_scale: Option<f32>,
}

impl Design {
    /// The design that `config` describes.
    ///
    /// # Errors
    /// [`crate::Error::Model`] for an activation that is not known here.
    pub(super) fn of(config: &DecoderConfig) -> Result<Self> {
        let family = config.family()?;
        let activation = match (config.hidden_act.as_deref(), family) {
            (Some("silu" | "swish"), _) | (None, Family::Llama) => Activation::Silu,
            // Gemma's first files say gelu and mean its approximation.
            (_, Family::Gemma2 | Family::Gemma3) => Activation::GeluTanh,
            (Some("gelu"), _) | (None, Family::GptNeox) => Activation::Gelu,
            (Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast"), _) | (None, Family::Gpt2) => {
                Activation::GeluTanh
            }
            (Some("relu"), _) => Activation::Relu,
            (Some(other), _) => {
                return wrong_config("decoder hidden_act", other.to_owned(), "silu, gelu, gelu_new or relu");
            }
        };
        let plain = Self {
            names: LLAMA,
            norm: NormKind::Rms,
            activation,
            gated: true,
            fused: None,
            stored: Stored::OutputFirst,
            attention_bias: config.attention_bias.unwrap_or(false),
            feed_bias: false,
            head_norms: false,
            inner_norms: false,
            parallel: false,
            learned_positions: false,
            word_scale: None,
        };
        let root = (config.hidden_size as f32).sqrt();
        // The factor was rounded like the weights while they were trained.
        let root =
            if config.dtype.as_deref() == Some("bfloat16") { bf16::from_f32(root).to_f32() } else { root };
        let gemma = Self { names: GEMMA, norm: NormKind::RmsPlusOne, inner_norms: true, ..plain };
        let gpt = Self {
            norm: NormKind::Layer,
            gated: false,
            attention_bias: config.attention_bias.unwrap_or(true),
            feed_bias: true,
            ..plain
        };
        Ok(match family {
            Family::Llama => plain,
            Family::Gemma3 => Self { head_norms: true, word_scale: Some(root), ..gemma },
            Family::Gemma2 => Self { word_scale: Some(root), ..gemma },
            Family::GptNeox => Self {
                names: GPT_NEOX,
                fused: Some(Fused::ByHead),
                parallel: config.use_parallel_residual.unwrap_or(true),
                ..gpt
            },
            Family::Gpt2 => Self {
                names: GPT_2,
                fused: Some(Fused::ByKind),
                stored: Stored::InputFirst,
                learned_positions: true,
                ..gpt
            },
        })
    }
}
