//! A decoder's layers on slices, where the CPU computes.

use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor, TensorData};
use cpu::KeysAndValues;
use cpu::rows::{Bend, add, bend};

use super::design::{Activation, Fused};
use super::layer::{Attention, AttentionShape, DecoderLayer, FeedForward, Positions};
use super::{Decoder, DecoderShape};
use crate::nn::{HostRows, KvCache, LinearMap, Norm, host_values, is_host};

impl Decoder {
    /// Whether its layers compute on slices.
    pub(super) fn is_on_host(&self) -> bool {
        is_host(&self.device()) && self.layers.iter().all(DecoderLayer::is_on_host)
    }

    /// An empty cache for that.
    pub(super) fn host_cache(&self, batch: usize, capacity: usize) -> KvCache {
        let DecoderShape { kv_heads, head_width, .. } = self.shape;
        KvCache::on_host(self.layers.len(), batch, kv_heads, capacity, head_width)
    }

    /// All layers and the final norm on `hidden`, whose first token stands at the end of `cache`.
    pub(super) fn run_on_host(
        &self,
        hidden: Tensor<3>,
        positions: &Positions,
        cache: &mut KvCache,
    ) -> Tensor<3> {
        let (shape, start) = (hidden.dims(), cache.len());
        let mut state = host_values(hidden);
        for (i, layer) in self.layers.iter().enumerate() {
            if let Some(held) = cache.held(i) {
                layer.run_on_host(&mut state, shape, start, positions, held);
            }
        }
        self.norm.apply(&mut state);
        Tensor::from_data(TensorData::new(state, shape), &Device::flex())
    }
}

impl DecoderLayer {
    fn is_on_host(&self) -> bool {
        let Attention { query, key, value, fused, output, .. } = &self.attention;
        let FeedForward { gate, up, down, .. } = &self.feed;
        let maps = [query.as_ref(), key.as_ref(), value.as_ref(), fused.as_ref(), gate.as_ref()];
        maps.into_iter().flatten().chain([output, up, down]).all(LinearMap::is_on_host)
    }

    fn run_on_host(
        &self,
        hidden: &mut [f32],
        shape: [usize; 3],
        start: usize,
        positions: &Positions,
        held: &mut [KeysAndValues],
    ) {
        let normed = normed(&self.input_norm, hidden.to_vec());
        let mut mixed = self.attention.run_on_host(&normed, shape, start, positions, held);
        if let Some(norm) = &self.after_attention {
            norm.apply(&mut mixed);
        }
        let [_, _, width] = shape;
        if self.parallel {
            let fed = self.feed.run_on_host(&self::normed(&self.feed_norm, hidden.to_vec()), width);
            add(hidden, &mixed);
            return add(hidden, &fed);
        }
        add(hidden, &mixed);
        let mut fed = self.feed.run_on_host(&self::normed(&self.feed_norm, hidden.to_vec()), width);
        if let Some(norm) = &self.after_feed {
            norm.apply(&mut fed);
        }
        add(hidden, &fed);
    }
}

fn normed(norm: &Norm, mut x: Vec<f32>) -> Vec<f32> {
    norm.apply(&mut x);
    x
}

impl Attention {
    fn run_on_host(
        &self,
        x: &[f32],
        [_, tokens, width]: [usize; 3],
        start: usize,
        positions: &Positions,
        held: &mut [KeysAndValues],
    ) -> Vec<f32> {
        let AttentionShape { heads, kv_heads, head_width, scoring, local, .. } = self.shape;
        let [mut query, mut key, value] = self.project_on_host(x, width);
        if let Some(norm) = &self.query_norm {
            norm.apply(&mut query);
        }
        if let Some(norm) = &self.key_norm {
            norm.apply(&mut key);
        }
        let (of_queries, of_keys) = (tokens * heads * head_width, tokens * kv_heads * head_width);
        let attention = cpu::Attention {
            heads,
            keys: start + tokens,
            start: Some(start),
            window: scoring.window,
            scale: scoring.scale.unwrap_or_else(|| 1.0 / (head_width as f64).sqrt()) as f32,
            soft_cap: scoring.soft_cap.map(|cap| cap as f32),
        };
        let mut mixed = Vec::with_capacity(query.len());
        let of_batch = query
            .chunks_exact_mut(of_queries.max(1))
            .zip(key.chunks_exact_mut(of_keys.max(1)))
            .zip(value.chunks_exact(of_keys.max(1)));
        for (((query, key), value), held) in of_batch.zip(held) {
            if let Some(rotary) = positions.of(local) {
                rotary.apply_on_host(query, heads, head_width, start);
                rotary.apply_on_host(key, kv_heads, head_width, start);
            }
            held.write(start, key, value);
            mixed.extend(attention.attend(query, held));
        }
        self.output.apply(&HostRows::new(&mixed, heads * head_width))
    }

    /// Queries, keys and values, each `[tokens, heads, head_width]`.
    fn project_on_host(&self, x: &[f32], width: usize) -> [Vec<f32>; 3] {
        let AttentionShape { heads, kv_heads, head_width, fused, .. } = self.shape;
        let rows = HostRows::new(x, width);
        if let (Some(query), Some(key), Some(value)) = (&self.query, &self.key, &self.value) {
            return LinearMap::apply_all([query, key, value], &rows);
        }
        let all = self.fused.as_ref().map_or_else(|| x.to_vec(), |map| map.apply(&rows));
        // What stands side by side in a row, or in each head of it.
        let widths = match fused {
            Some(Fused::ByHead) => [head_width; 3],
            _ => [heads * head_width, kv_heads * head_width, kv_heads * head_width],
        };
        let mut parts = [const { Vec::new() }; 3];
        for row in all.chunks_exact(widths.iter().sum::<usize>().max(1)) {
            let mut rest = row;
            for (part, width) in parts.iter_mut().zip(widths) {
                let (own, others) = rest.split_at(width.min(rest.len()));
                part.extend_from_slice(own);
                rest = others;
            }
        }
        parts
    }
}

impl FeedForward {
    fn run_on_host(&self, x: &[f32], width: usize) -> Vec<f32> {
        let rows = HostRows::new(x, width);
        let (mut inner, gated) = match &self.gate {
            Some(gate) => {
                let [gate, up] = LinearMap::apply_all([gate, &self.up], &rows);
                (gate, Some(up))
            }
            None => (self.up.apply(&rows), None),
        };
        let by = match self.activation {
            Activation::Silu => Some(Bend::Silu),
            Activation::GeluTanh => Some(Bend::GeluTanh),
            Activation::Relu => Some(Bend::Relu),
            Activation::Gelu => None,
        };
        match by {
            Some(by) => bend(&mut inner, by, gated.as_deref()),
            None => {
                // Gauss's own integral: burn has it.
                let n = inner.len();
                let data = TensorData::new(std::mem::take(&mut inner), [n]);
                inner = host_values(gelu(Tensor::<1>::from_data(data, &Device::flex())));
                if let Some(gated) = gated {
                    inner.iter_mut().zip(gated).for_each(|(x, gated)| *x *= gated);
                }
            }
        }
        let inner_width = inner.len().checked_div(x.len() / width.max(1)).unwrap_or(0);
        self.down.apply(&HostRows::new(&inner, inner_width))
    }
}
