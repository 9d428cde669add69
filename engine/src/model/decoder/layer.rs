//! One layer of a decoder: attention and a feed-forward part, each added to what it read.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, gelu_approximate, relu, silu};

use super::config::DecoderConfig;
use super::design::{Activation, Design, Fused};
use crate::Result;
use crate::nn::{Causality, KvCache, LinearMap, Norm, ParamSink, Params, Rotary, Scoring, attend_with};

/// One layer.
#[derive(Module, Debug)]
pub(super) struct DecoderLayer {
    pub(super) input_norm: Norm,
    pub(super) attention: Attention,
    pub(super) after_attention: Option<Norm>,
    pub(super) feed_norm: Norm,
    pub(super) feed: FeedForward,
    pub(super) after_feed: Option<Norm>,
    #[module(skip)]
    pub(super) parallel: bool,
}

/// Queries, keys and values from one map each, or all from one.
#[derive(Module, Debug)]
pub(super) struct Attention {
    pub(super) query: Option<LinearMap>,
    pub(super) key: Option<LinearMap>,
    pub(super) value: Option<LinearMap>,
    pub(super) fused: Option<LinearMap>,
    pub(super) output: LinearMap,
    pub(super) query_norm: Option<Norm>,
    pub(super) key_norm: Option<Norm>,
    #[module(skip)]
    pub(super) shape: AttentionShape,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct AttentionShape {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_width: usize,
    pub(super) fused: Option<Fused>,
    pub(super) scoring: Scoring,
    /// Whether the layer sees a window only.
    pub(super) local: bool,
}

#[derive(Module, Debug)]
pub(super) struct FeedForward {
    pub(super) gate: Option<LinearMap>,
    pub(super) up: LinearMap,
    pub(super) down: LinearMap,
    #[module(skip)]
    pub(super) activation: Activation,
}

/// Rotary tables of the layers that see all keys, and of those that see a window; none where positions are learned.
#[derive(Debug, Clone)]
pub struct Positions {
    pub(super) tables: Option<[Rotary; 2]>,
}

impl Positions {
    pub(super) fn of(&self, local: bool) -> Option<&Rotary> {
        self.tables.as_ref().map(|[full, window]| if local { window } else { full })
    }
}

impl DecoderLayer {
    pub(super) fn read(
        config: &DecoderConfig,
        design: &Design,
        index: usize,
        params: &mut Params<'_>,
    ) -> Result<Self> {
        let n = &design.names;
        let name = |part: &str| format!("{}.{index}.{part}", n.layers);
        let width = config.hidden_size;
        let head_width = config.head_width();
        let (query_width, kv_width) =
            (config.num_attention_heads * head_width, config.num_key_value_heads * head_width);
        let norm = |params: &mut Params<'_>, part: &str, width: usize| {
            Norm::read(params, &name(part), width, config.rms_norm_eps, design.norm)
        };
        let map = |params: &mut Params<'_>, part: &str, shape: [usize; 2], bias: bool| {
            LinearMap::read(params, &name(part), shape, bias, design.stored)
        };
        let input_norm = norm(params, n.input_norm, width)?;
        let local = config.is_local(index);
        let bias = design.attention_bias;
        let (mut query, mut key, mut value, mut fused) = (None, None, None, None);
        if design.fused.is_some() {
            fused = Some(map(params, n.fused, [width, query_width + 2 * kv_width], bias)?);
        } else {
            query = Some(map(params, n.query, [width, query_width], bias)?);
            key = Some(map(params, n.key, [width, kv_width], bias)?);
            value = Some(map(params, n.value, [width, kv_width], bias)?);
        }
        let output = map(params, n.output, [query_width, width], bias)?;
        let (mut query_norm, mut key_norm) = (None, None);
        if design.head_norms {
            query_norm = Some(norm(params, n.query_norm, head_width)?);
            key_norm = Some(norm(params, n.key_norm, head_width)?);
        }
        let attention = Attention {
            query,
            key,
            value,
            fused,
            output,
            query_norm,
            key_norm,
            shape: AttentionShape {
                heads: config.num_attention_heads,
                kv_heads: config.num_key_value_heads,
                head_width,
                fused: design.fused,
                scoring: Scoring {
                    // By the width of a head where the files say no other: that is what burn's own attention knows.
                    scale: config
                        .query_pre_attn_scalar
                        .filter(|&by| by > 0.0 && by != head_width as f64)
                        .map(|by| 1.0 / by.sqrt()),
                    soft_cap: config.attn_logit_softcapping,
                    window: config.sliding_window.filter(|_| local),
                },
                local,
            },
        };
        let after_attention =
            if design.inner_norms { Some(norm(params, n.after_attention, width)?) } else { None };
        let feed_norm = norm(params, n.feed_norm, width)?;
        let inner = config.intermediate_size;
        let gate =
            if design.gated { Some(map(params, n.gate, [width, inner], design.feed_bias)?) } else { None };
        let feed = FeedForward {
            gate,
            up: map(params, n.up, [width, inner], design.feed_bias)?,
            down: map(params, n.down, [inner, width], design.feed_bias)?,
            activation: design.activation,
        };
        let after_feed = if design.inner_norms { Some(norm(params, n.after_feed, width)?) } else { None };
        Ok(Self {
            input_norm,
            attention,
            after_attention,
            feed_norm,
            feed,
            after_feed,
            parallel: design.parallel,
        })
    }

    pub(super) fn forward(
        &self,
        hidden: Tensor<3>,
        positions: &Positions,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<3> {
        let mixed = self.attention.forward(self.input_norm.forward(hidden.clone()), positions, cache);
        let mixed = normed(self.after_attention.as_ref(), mixed);
        if self.parallel {
            let fed = self.feed.forward(self.feed_norm.forward(hidden.clone()));
            return hidden + mixed + fed;
        }
        let hidden = hidden + mixed;
        let fed = self.feed.forward(self.feed_norm.forward(hidden.clone()));
        hidden + normed(self.after_feed.as_ref(), fed)
    }

    pub(super) fn export(&self, design: &Design, index: usize, sink: &mut ParamSink) -> Result<()> {
        let n = &design.names;
        let name = |part: &str| format!("{}.{index}.{part}", n.layers);
        let norm = |sink: &mut ParamSink, part: &str, norm: Option<&Norm>| {
            norm.map_or(Ok(()), |norm| norm.export(sink, &name(part), design.norm))
        };
        let map = |sink: &mut ParamSink, part: &str, map: Option<&LinearMap>| {
            map.map_or(Ok(()), |map| map.export(sink, &name(part), design.stored))
        };
        norm(sink, n.input_norm, Some(&self.input_norm))?;
        map(sink, n.query, self.attention.query.as_ref())?;
        map(sink, n.key, self.attention.key.as_ref())?;
        map(sink, n.value, self.attention.value.as_ref())?;
        map(sink, n.fused, self.attention.fused.as_ref())?;
        map(sink, n.output, Some(&self.attention.output))?;
        norm(sink, n.query_norm, self.attention.query_norm.as_ref())?;
        norm(sink, n.key_norm, self.attention.key_norm.as_ref())?;
        norm(sink, n.after_attention, self.after_attention.as_ref())?;
        norm(sink, n.feed_norm, Some(&self.feed_norm))?;
        map(sink, n.gate, self.feed.gate.as_ref())?;
        map(sink, n.up, Some(&self.feed.up))?;
        map(sink, n.down, Some(&self.feed.down))?;
        norm(sink, n.after_feed, self.after_feed.as_ref())
    }
}

fn normed(norm: Option<&Norm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

impl Attention {
    fn forward(
        &self,
        x: Tensor<3>,
        positions: &Positions,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        let AttentionShape { scoring, local, .. } = self.shape;
        let [query, key, value] = self.project(x);
        let headwise = |x: Tensor<4>, norm: &Option<Norm>| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let start = cache.as_ref().map_or(0, |(c, _)| c.len());
        let turned = |x: Tensor<4>| match positions.of(local) {
            Some(rotary) => rotary.apply(x, start),
            None => x,
        };
        let query = turned(headwise(query, &self.query_norm));
        let key = turned(headwise(key, &self.key_norm));
        let (key, value) = match cache {
            Some((cache, layer)) => cache.append(layer, key, value),
            None => (key, value),
        };
        let mixed = attend_with(query, key, value, &Causality::Causal, scoring).swap_dims(1, 2);
        let [_, _, heads, width] = mixed.dims();
        self.output.forward(mixed.reshape([batch, tokens, heads * width]))
    }

    /// Queries, keys and values `[batch, heads, tokens, head_width]`.
    fn project(&self, x: Tensor<3>) -> [Tensor<4>; 3] {
        let [batch, tokens, _] = x.dims();
        let AttentionShape { heads, kv_heads, head_width, fused, .. } = self.shape;
        let split = |y: Tensor<3>| {
            let [_, _, width] = y.dims();
            y.reshape([batch, tokens, width / head_width, head_width]).swap_dims(1, 2)
        };
        if let (Some(query), Some(key), Some(value)) = (&self.query, &self.key, &self.value) {
            return [split(query.forward(x.clone())), split(key.forward(x.clone())), split(value.forward(x))];
        }
        let all = match &self.fused {
            Some(map) => map.forward(x),
            None => x,
        };
        if fused == Some(Fused::ByHead) {
            // `[query, key, value]` of each head stand together.
            let all = all.reshape([batch, tokens, heads, 3 * head_width]).swap_dims(1, 2);
            return [0, 1, 2].map(|i| all.clone().narrow(3, i * head_width, head_width));
        }
        let (query, kv) = (heads * head_width, kv_heads * head_width);
        [(0, query), (query, kv), (query + kv, kv)].map(|(from, n)| split(all.clone().narrow(2, from, n)))
    }
}

impl FeedForward {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let bend = |x: Tensor<3>| match self.activation {
            Activation::Silu => silu(x),
            Activation::Gelu => gelu(x),
            Activation::GeluTanh => gelu_approximate(x),
            Activation::Relu => relu(x),
        };
        let inner = match &self.gate {
            Some(gate) => bend(gate.forward(x.clone())) * self.up.forward(x),
            None => bend(self.up.forward(x)),
        };
        self.down.forward(inner)
    }
}
