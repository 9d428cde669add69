//! Decoders: causal transformers that write text. One transformer, described by its configuration.
//!
//! Llama, Gemma 3 (its text part), Gemma 2, GPT-NeoX and GPT-2 are read, with the tensor names that Hugging Face
//! transformers gives them; how they differ stands in [`design`].

mod config;
mod design;
mod host;
mod layer;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

pub use config::{DecoderConfig, EosTokens, RopeEntry, RopeParameters};
pub use layer::Positions;

use crate::error::Problem;
use crate::nn::{KvCache, LinearMap, Norm, ParamSink, Params, Rotary, RotarySettings, Stored, Table};
use crate::{Error, Result};
use design::Design;
use layer::DecoderLayer;

/// A decoder of any family.
#[derive(Module, Debug)]
pub struct Decoder {
    words: Table,
    /// Learned vectors of positions, `[positions, hidden]`.
    positions: Option<Param<Tensor<2>>>,
    layers: Vec<DecoderLayer>,
    norm: Norm,
    /// The output matrix; the token table where it is tied.
    head: Option<LinearMap>,
    #[module(skip)]
    shape: DecoderShape,
}

#[derive(Debug, Clone, Copy)]
struct DecoderShape {
    design: Design,
    kv_heads: usize,
    head_width: usize,
    rotary: Option<[RotarySettings; 2]>,
    max_positions: usize,
    soft_cap: Option<f64>,
}

impl Decoder {
    /// Builds a decoder from `params` in the names of its family, as they are or after a prefix of published
    /// checkpoints.
    ///
    /// # Errors
    /// [`Error::Model`] when a tensor is missing or of another shape.
    pub fn new(config: &DecoderConfig, params: &mut Params<'_>) -> Result<Self> {
        config.check()?;
        let design = Design::of(config)?;
        let names = &design.names;
        params.find_prefix(names.prefixes, &format!("{}.weight", names.words));
        let width = config.hidden_size;
        let layers = (0..config.num_hidden_layers)
            .map(|i| DecoderLayer::read(config, &design, i, params))
            .collect::<Result<_>>()?;
        Ok(Self {
            words: Table::read(params, names.words, config.vocab_size, width)?,
            positions: if design.learned_positions {
                let name = format!("{}.weight", names.positions);
                Some(params.matrix(&name, [config.max_position_embeddings, width])?)
            } else {
                None
            },
            layers,
            norm: Norm::read(params, names.norm, width, config.rms_norm_eps, design.norm)?,
            head: if config.tie_word_embeddings {
                None
            } else {
                let shape = [width, config.vocab_size];
                Some(LinearMap::read(params, names.head, shape, false, Stored::OutputFirst)?)
            },
            shape: DecoderShape {
                design,
                kv_heads: config.num_key_value_heads,
                head_width: config.head_width(),
                rotary: config.rotary()?,
                max_positions: config.max_position_embeddings,
                soft_cap: config.final_logit_softcapping,
            },
        })
    }

    /// The device it lies on.
    pub fn device(&self) -> Device {
        self.words.device()
    }

    /// Longest sequence, in tokens.
    pub fn max_positions(&self) -> usize {
        self.shape.max_positions
    }

    /// Vectors of tokens `[batch, tokens]`: `[batch, tokens, hidden]`.
    pub fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let words = self.words.forward(tokens);
        match self.shape.design.word_scale {
            Some(scale) => words.mul_scalar(scale),
            None => words,
        }
    }

    /// An empty cache for `batch` texts of at most `capacity` tokens.
    pub fn new_cache(&self, batch: usize, capacity: usize) -> KvCache {
        let DecoderShape { kv_heads, head_width, .. } = self.shape;
        if self.is_on_host() {
            return self.host_cache(batch, capacity);
        }
        KvCache::new(self.layers.len(), batch, kv_heads, capacity, head_width, &self.device().inner())
    }

    /// Rotary tables for `n_positions` positions on this decoder's device.
    pub fn positions(&self, n_positions: usize) -> Positions {
        let device = self.device();
        let table = |settings: RotarySettings| Rotary::new(&settings, n_positions, &device);
        Positions {
            tables: self.shape.rotary.map(|[full, local]| {
                let of_all = table(full);
                let of_local = if local == full { of_all.clone() } else { table(local) };
                [of_all, of_local]
            }),
        }
    }

    /// The last hidden state of a whole text, after the final norm: `[batch, tokens, hidden]` in and out.
    pub fn hidden(&self, vectors: Tensor<3>, positions: &Positions) -> Tensor<3> {
        let first = self.first_state(vectors, 0);
        self.norm
            .forward(self.layers.iter().fold(first, |hidden, layer| layer.forward(hidden, positions, None)))
    }

    /// The last hidden state of the next `vectors` of a text whose beginning is in `cache`, which takes them in.
    ///
    /// # Errors
    /// [`Error::Model`] when the cache is full, or the text longer than the decoder can read.
    pub fn hidden_cached(
        &self,
        vectors: Tensor<3>,
        positions: &Positions,
        cache: &mut KvCache,
    ) -> Result<Tensor<3>> {
        let [_, tokens, _] = vectors.dims();
        cache.reserve(tokens)?;
        let end = cache.len() + tokens;
        if self.positions.is_some() && end > self.shape.max_positions {
            return Err(Error::model(Problem::new(
                "text",
                format!("{end} tokens"),
                format!("at most the {} positions that the decoder learned", self.shape.max_positions),
                "Show fewer genes, or ask for fewer new tokens.",
            )));
        }
        let mut hidden = self.first_state(vectors, cache.len());
        if cache.is_on_host() {
            let hidden = self.run_on_host(hidden, positions, cache);
            cache.advance(tokens);
            return Ok(hidden);
        }
        for (i, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(hidden, positions, Some((&mut *cache, i)));
        }
        cache.advance(tokens);
        Ok(self.norm.forward(hidden))
    }

    /// What the first layer reads of `vectors` whose first stands at `start`.
    fn first_state(&self, vectors: Tensor<3>, start: usize) -> Tensor<3> {
        let [_, tokens, width] = vectors.dims();
        match &self.positions {
            Some(table) => vectors + table.val().narrow(0, start, tokens).reshape([1, tokens, width]),
            None => vectors,
        }
    }

    /// Scores of every token: `[batch, tokens, hidden]` to `[batch, tokens, vocab]`.
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        let scores = match &self.head {
            Some(head) => head.forward(hidden),
            None => self.words.scores(hidden),
        };
        match self.shape.soft_cap {
            Some(cap) => scores.div_scalar(cap).tanh().mul_scalar(cap),
            None => scores,
        }
    }

    /// Writes the parameters in the names that [`Decoder::new`] reads.
    ///
    /// # Errors
    /// [`Error::Device`] when values cannot be read back.
    pub fn export(&self, sink: &mut ParamSink) -> Result<()> {
        let design = &self.shape.design;
        let names = &design.names;
        self.words.export(sink, names.words)?;
        if let Some(positions) = &self.positions {
            sink.add(&format!("{}.weight", names.positions), positions.val())?;
        }
        for (i, layer) in self.layers.iter().enumerate() {
            layer.export(design, i, sink)?;
        }
        self.norm.export(sink, names.norm, design.norm)?;
        match &self.head {
            Some(head) => head.export(sink, names.head, Stored::OutputFirst),
            None => Ok(()),
        }
    }
}
