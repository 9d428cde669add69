//! The encoder: BERT over rank value encoded genes, and over words.
//!
//! Architecture and tensor names follow Hugging Face's `BertForMaskedLM`, as Geneformer's checkpoints use it
//! (post-norm, learned absolute positions, ReLU); source: huggingface.co/ctheodoris/Geneformer. BERT and RoBERTa, whose
//! vectors of words BERTScore compares, are the same with other entries in their configuration.

mod host;
#[cfg(test)]
mod tests;

use burn::module::{Module, Param};
use burn::nn::{Embedding, LayerNorm};
use burn::tensor::activation::{gelu, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::wrong_config;
use crate::error::Problem;
use crate::nn::{
    Causality, LinearMap, ParamSink, Params, Stored, Table, attend, embedding, export_embedding,
    export_layer_norm, host_values, is_host, layer_norm,
};
use crate::{Error, Result};

/// What `config.json` of an encoder says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderConfig {
    /// `bert` or `roberta`.
    #[serde(default = "bert")]
    pub model_type: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Rows of the token-type table; type 0 is always used.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// `relu` or `gelu`.
    #[serde(default = "relu_name")]
    pub hidden_act: String,
    /// Added to variances.
    #[serde(default = "layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// The padding token.
    #[serde(default)]
    pub pad_token_id: u32,
}

fn bert() -> String {
    "bert".to_owned()
}
fn two() -> usize {
    2
}
fn relu_name() -> String {
    "relu".to_owned()
}
fn layer_norm_eps() -> f64 {
    1e-12
}

impl EncoderConfig {
    /// The row of the table of positions that belongs to the first token. RoBERTa counts from that after the number of
    /// its padding token.
    pub fn first_position(&self) -> usize {
        if self.model_type == "roberta" { self.pad_token_id as usize + 1 } else { 0 }
    }

    /// Longest sequence that the table of positions has room for, in tokens.
    pub fn longest(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.first_position())
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// [`Error::Model`] naming the entry.
    pub fn check(&self) -> Result<()> {
        if !matches!(self.model_type.as_str(), "bert" | "roberta") {
            return wrong_config("encoder model_type", self.model_type.clone(), "bert or roberta");
        }
        if self.num_attention_heads == 0 || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let found = format!("{} heads over {}", self.num_attention_heads, self.hidden_size);
            return wrong_config("encoder num_attention_heads", found, "a divisor of hidden_size");
        }
        if !matches!(self.hidden_act.as_str(), "relu" | "gelu") {
            return wrong_config("encoder hidden_act", self.hidden_act.clone(), "relu or gelu");
        }
        Ok(())
    }
}

/// What the names of tensors begin with here.
const BASE: &str = "bert.";
/// What stands before them in the checkpoints of Cell2Text and Prot2Text-V2.
const PREFIXES: [&str; 4] = ["", "cell_encoder.geneformer_model.", "cell_encoder.", "esm_encoder."];

#[derive(Module, Debug)]
struct EncoderLayer {
    query: LinearMap,
    key: LinearMap,
    value: LinearMap,
    attention_output: LinearMap,
    attention_norm: LayerNorm,
    intermediate: LinearMap,
    output: LinearMap,
    output_norm: LayerNorm,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    use_gelu: bool,
    /// Of the norms.
    #[module(skip)]
    epsilon: f64,
}

impl EncoderLayer {
    fn forward(&self, hidden: Tensor<3>, mask: &Causality) -> Tensor<3> {
        self.forward_among(hidden.clone(), hidden, mask)
    }

    /// The next states of `hidden`, which see `all`.
    fn forward_among(&self, hidden: Tensor<3>, all: Tensor<3>, mask: &Causality) -> Tensor<3> {
        let split = |x: Tensor<3>| {
            let [batch, tokens, width] = x.dims();
            x.reshape([batch, tokens, self.heads, width / self.heads]).swap_dims(1, 2)
        };
        let mixed = attend(
            split(self.query.forward(hidden.clone())),
            split(self.key.forward(all.clone())),
            split(self.value.forward(all)),
            mask,
        );
        let mixed = mixed.swap_dims(1, 2).reshape(hidden.dims());
        let hidden = self.attention_norm.forward(self.attention_output.forward(mixed) + hidden);
        let inner = activate(self.intermediate.forward(hidden.clone()), self.use_gelu);
        self.output_norm.forward(self.output.forward(inner) + hidden)
    }
}

/// `layers` one after the other on slices.
fn run_on_host(
    layers: &[EncoderLayer],
    embedded: Tensor<3>,
    lengths: &[usize],
    device: &Device,
) -> Tensor<3> {
    let shape = embedded.dims();
    let [_, tokens, width] = shape;
    let Some(first) = layers.first() else { return embedded };
    let (mut hidden, mut room) = (host_values(embedded), first.room([tokens, width]));
    for layer in layers {
        layer.run_on_host(&mut hidden, [tokens, width], lengths, &mut room);
    }
    Tensor::from_data(TensorData::new(hidden, shape), device)
}

fn activate<const D: usize>(x: Tensor<D>, use_gelu: bool) -> Tensor<D> {
    if use_gelu { gelu(x) } else { relu(x) }
}

/// The head that guesses masked genes; its output matrix is the token table.
#[derive(Module, Debug)]
struct MaskedHead {
    transform: LinearMap,
    norm: LayerNorm,
    bias: Param<Tensor<1>>,
}

/// An encoder.
#[derive(Module, Debug)]
pub struct Encoder {
    words: Table,
    positions: Embedding,
    token_types: Embedding,
    embedding_norm: LayerNorm,
    layers: Vec<EncoderLayer>,
    masked_head: Option<MaskedHead>,
    #[module(skip)]
    use_gelu: bool,
    /// The row of the table of positions that belongs to the first token.
    #[module(skip)]
    first_position: usize,
}

/// Hidden states asked for of an encoder, counted as Hugging Face does: 0 is the embeddings, `n_layers` the last;
/// negative numbers count from the end, so that Geneformer's `emb_layer = -1` is −2 here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HiddenState(pub i32);

impl HiddenState {
    /// Layers to run for this state, of `n_layers`.
    ///
    /// # Errors
    /// [`Error::Model`] when there is no such state.
    pub fn layers_to_run(self, n_layers: usize) -> Result<usize> {
        let states = n_layers as i64 + 1;
        let index = if self.0 < 0 { states + i64::from(self.0) } else { i64::from(self.0) };
        if (0..states).contains(&index) {
            return Ok(index as usize);
        }
        Err(Error::model(Problem::new(
            "encoder hidden_state",
            self.0.to_string(),
            format!("{} to {n_layers}", -states),
            "Choose a layer that the encoder has.",
        )))
    }
}

impl Encoder {
    /// Builds an encoder from `params` in the names of `BertForMaskedLM`, of a model of its kind saved alone, or after
    /// the prefix of a checkpoint of Cell2Text. The head for masked genes is built where its tensors are there.
    ///
    /// # Errors
    /// [`Error::Model`] when a tensor is missing or of another shape.
    pub fn new(config: &EncoderConfig, params: &mut Params<'_>) -> Result<Self> {
        config.check()?;
        // Saved with its head the names begin with the kind of model, saved alone they do not.
        let own = format!("{}.", config.model_type);
        for base in [BASE, own.as_str(), ""] {
            if params.find_prefix(&PREFIXES, &format!("{base}embeddings.word_embeddings.weight")) {
                params.rename(BASE, base);
                break;
            }
        }
        let (width, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let use_gelu = config.hidden_act == "gelu";
        let e = "bert.embeddings";
        let map = |params: &mut Params<'_>, name: String, shape: [usize; 2]| {
            LinearMap::read(params, &name, shape, true, Stored::OutputFirst)
        };
        let layers = (0..config.num_hidden_layers)
            .map(|i| {
                let l = format!("bert.encoder.layer.{i}");
                Ok(EncoderLayer {
                    query: map(params, format!("{l}.attention.self.query"), [width, width])?,
                    key: map(params, format!("{l}.attention.self.key"), [width, width])?,
                    value: map(params, format!("{l}.attention.self.value"), [width, width])?,
                    attention_output: map(params, format!("{l}.attention.output.dense"), [width, width])?,
                    attention_norm: layer_norm(
                        params,
                        &format!("{l}.attention.output.LayerNorm"),
                        width,
                        eps,
                    )?,
                    intermediate: map(params, format!("{l}.intermediate.dense"), [width, inner])?,
                    output: map(params, format!("{l}.output.dense"), [inner, width])?,
                    output_norm: layer_norm(params, &format!("{l}.output.LayerNorm"), width, eps)?,
                    heads: config.num_attention_heads,
                    use_gelu,
                    epsilon: eps,
                })
            })
            .collect::<Result<_>>()?;
        let h = "cls.predictions";
        let masked_head = if params.contains(&format!("{h}.bias")) {
            Some(MaskedHead {
                transform: map(params, format!("{h}.transform.dense"), [width, width])?,
                norm: layer_norm(params, &format!("{h}.transform.LayerNorm"), width, eps)?,
                bias: params.vector(&format!("{h}.bias"), config.vocab_size, 0.0)?,
            })
        } else {
            None
        };
        Ok(Self {
            words: Table::read(params, &format!("{e}.word_embeddings"), config.vocab_size, width)?,
            positions: embedding(
                params,
                &format!("{e}.position_embeddings"),
                config.max_position_embeddings,
                width,
            )?,
            token_types: embedding(
                params,
                &format!("{e}.token_type_embeddings"),
                config.type_vocab_size,
                width,
            )?,
            embedding_norm: layer_norm(params, &format!("{e}.LayerNorm"), width, eps)?,
            layers,
            masked_head,
            use_gelu,
            first_position: config.first_position(),
        })
    }

    /// Layers.
    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// The device it lies on.
    pub fn device(&self) -> Device {
        self.words.device()
    }

    /// The hidden state `state` of `tokens`, `[batch, tokens, hidden]`; rows are valid up to their `lengths`.
    ///
    /// # Errors
    /// [`Error::Model`] when the encoder has no such state.
    pub fn hidden_state(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        state: HiddenState,
    ) -> Result<Tensor<3>> {
        let n = state.layers_to_run(self.layers.len())?;
        let layers = self.layers.get(..n).unwrap_or_default();
        let [_, width] = tokens.dims();
        let device = tokens.device();
        let embedded = self.embed(tokens);
        if is_host(&device) && layers.iter().all(EncoderLayer::is_on_host) {
            return Ok(run_on_host(layers, embedded, lengths, &device));
        }
        let mask = Causality::padded(lengths, width, &device);
        Ok(layers.iter().fold(embedded, |hidden, layer| layer.forward(hidden, &mask)))
    }

    /// The states `state` of the first `n` tokens, `[batch, n, hidden]`, as an encoder would find them that keeps no other
    /// after its first layer: those see all tokens there, and each other from then on. This takes a fraction of the time of
    /// [`Encoder::hidden_state`], gives other values, and trains the same parameters. No row may be shorter than `n`.
    ///
    /// # Errors
    /// [`Error::Model`] when the encoder has no such state.
    pub fn first_states(
        &self,
        tokens: Tensor<2, Int>,
        lengths: &[usize],
        state: HiddenState,
        n: usize,
    ) -> Result<Tensor<3>> {
        let n_layers = state.layers_to_run(self.layers.len())?;
        let [_, width] = tokens.dims();
        let mask = Causality::padded(lengths, width, &tokens.device());
        let embedded = self.embed(tokens);
        let states = embedded.clone().narrow(1, 0, n.min(width));
        Ok(match self.layers.get(..n_layers).unwrap_or_default() {
            [] => states,
            [first, others @ ..] => {
                let states = first.forward_among(states, embedded, &mask);
                others.iter().fold(states, |states, layer| layer.forward(states, &Causality::Full))
            }
        })
    }

    /// Every hidden state, the embeddings first.
    pub fn hidden_states(&self, tokens: Tensor<2, Int>, lengths: &[usize]) -> Vec<Tensor<3>> {
        let [_, width] = tokens.dims();
        let device = tokens.device();
        let mask = Causality::padded(lengths, width, &device);
        let mut states = vec![self.embed(tokens)];
        for layer in &self.layers {
            let Some(last) = states.last().cloned() else { break };
            states.push(if is_host(&device) && layer.is_on_host() {
                run_on_host(std::slice::from_ref(layer), last, lengths, &device)
            } else {
                layer.forward(last, &mask)
            });
        }
        states
    }

    /// Scores of every gene at every position, `[batch, tokens, vocab]`, from the last hidden state.
    ///
    /// # Errors
    /// [`Error::Model`] when the checkpoint has no head for masked genes.
    pub fn masked_gene_logits(&self, last_hidden: Tensor<3>) -> Result<Tensor<3>> {
        let head = self.masked_head.as_ref().ok_or_else(|| {
            Error::model(Problem::new(
                "cls.predictions",
                "no such tensors",
                "the head for masked genes",
                "Use a checkpoint saved as BertForMaskedLM.",
            ))
        })?;
        let x = head.norm.forward(activate(head.transform.forward(last_hidden), self.use_gelu));
        let scores = match &self.words {
            Table::Full(words) => x.matmul(words.weight.val().transpose().unsqueeze()),
            Table::Blocks(_) => self.words.scores(x),
        };
        Ok(scores + head.bias.val().unsqueeze())
    }

    /// Takes `values`, `[vocabulary, hidden]` row by row, as the vectors of genes.
    ///
    /// # Errors
    /// [`Error::Model`] when they are not as many as the table holds.
    pub fn set_gene_vectors(&mut self, values: Vec<f32>) -> Result<()> {
        let shape = self.words.dims();
        if values.len() != shape[0] * shape[1] {
            return Err(Error::model(Problem::new(
                "gene vectors",
                format!("{} numbers", values.len()),
                format!("{} × {}", shape[0], shape[1]),
                "Report this as a bug.",
            )));
        }
        let device = self.device();
        self.words = Table::of(values, shape, &device);
        Ok(())
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [_, n] = tokens.dims();
        let width = self.positions.weight.dims()[1];
        let positions = self.positions.weight.val().narrow(0, self.first_position, n).reshape([1, n, width]);
        let token_type = self.token_types.weight.val().narrow(0, 0, 1).reshape([1, 1, width]);
        self.embedding_norm.forward(self.words.forward(tokens) + positions + token_type)
    }

    /// Writes the parameters in the names that [`Encoder::new`] reads; without the head for masked genes where
    /// `with_head` is not set.
    ///
    /// # Errors
    /// [`Error::Device`] when values cannot be read back.
    pub fn export(&self, sink: &mut ParamSink, with_head: bool) -> Result<()> {
        let e = "bert.embeddings";
        let map =
            |sink: &mut ParamSink, name: &str, map: &LinearMap| map.export(sink, name, Stored::OutputFirst);
        self.words.export(sink, &format!("{e}.word_embeddings"))?;
        export_embedding(sink, &format!("{e}.position_embeddings"), &self.positions)?;
        export_embedding(sink, &format!("{e}.token_type_embeddings"), &self.token_types)?;
        export_layer_norm(sink, &format!("{e}.LayerNorm"), &self.embedding_norm)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let l = format!("bert.encoder.layer.{i}");
            map(sink, &format!("{l}.attention.self.query"), &layer.query)?;
            map(sink, &format!("{l}.attention.self.key"), &layer.key)?;
            map(sink, &format!("{l}.attention.self.value"), &layer.value)?;
            map(sink, &format!("{l}.attention.output.dense"), &layer.attention_output)?;
            export_layer_norm(sink, &format!("{l}.attention.output.LayerNorm"), &layer.attention_norm)?;
            map(sink, &format!("{l}.intermediate.dense"), &layer.intermediate)?;
            map(sink, &format!("{l}.output.dense"), &layer.output)?;
            export_layer_norm(sink, &format!("{l}.output.LayerNorm"), &layer.output_norm)?;
        }
        if let Some(head) = self.masked_head.as_ref().filter(|_| with_head) {
            map(sink, "cls.predictions.transform.dense", &head.transform)?;
            export_layer_norm(sink, "cls.predictions.transform.LayerNorm", &head.norm)?;
            sink.add("cls.predictions.bias", head.bias.val())?;
        }
        Ok(())
    }
}
