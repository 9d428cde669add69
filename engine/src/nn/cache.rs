//! The KV cache: keys and values of the tokens already read, in buffers allocated once.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::Problem;
use crate::{Error, Result};

/// Keys and values of one layer.
#[derive(Debug)]
pub struct LayerCache {
    keys: Tensor<4>,
    values: Tensor<4>,
}

/// Keys and values of all layers, `[batch, kv_heads, capacity, head_dim]` each.
///
/// A cache belongs to one generation: make a new one, or [`KvCache::clear`] it, for the next.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    capacity: usize,
    len: usize,
}

impl KvCache {
    /// An empty cache with room for `capacity` tokens.
    pub fn new(
        n_layers: usize,
        batch: usize,
        kv_heads: usize,
        capacity: usize,
        head_dim: usize,
        device: &Device,
    ) -> Self {
        let empty = || Tensor::zeros([batch, kv_heads, capacity, head_dim], device);
        let layers = (0..n_layers).map(|_| LayerCache { keys: empty(), values: empty() }).collect();
        Self { layers, capacity, len: 0 }
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens there is room for in all.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets all tokens; the buffers stay.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Checks that `tokens` more fit.
    ///
    /// # Errors
    /// [`Error::Model`] when they do not.
    pub fn reserve(&self, tokens: usize) -> Result<()> {
        if self.len + tokens <= self.capacity {
            return Ok(());
        }
        Err(Error::model(Problem::new(
            "KV cache",
            format!("{} tokens", self.len + tokens),
            format!("at most {}", self.capacity),
            "Ask for fewer new tokens.",
        )))
    }

    /// Appends `keys` and `values` `[batch, kv_heads, tokens, head_dim]` to `layer`; returns all that it holds now.
    ///
    /// Call [`KvCache::advance`] once after the last layer.
    pub fn append(&mut self, layer: usize, keys: Tensor<4>, values: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [batch, heads, tokens, width] = keys.dims();
        let (start, end) = (self.len, self.len + tokens);
        let region = [0..batch, 0..heads, start..end, 0..width];
        let cache = &mut self.layers[layer];
        cache.keys.inplace(|t| t.slice_assign(region.clone(), keys));
        cache.values.inplace(|t| t.slice_assign(region, values));
        (cache.keys.clone().narrow(2, 0, end), cache.values.clone().narrow(2, 0, end))
    }

    /// A cache of the texts `rows` of this one, in their order; one may stand several times, to be gone on with in several
    /// ways.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let chosen = |from: &Tensor<4>| {
            let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
            let n = rows.len();
            let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [n]), &from.device());
            from.clone().select(0, rows)
        };
        let layers = self
            .layers
            .iter()
            .map(|layer| LayerCache { keys: chosen(&layer.keys), values: chosen(&layer.values) })
            .collect();
        Self { layers, capacity: self.capacity, len: self.len }
    }

    /// Counts `tokens` as read by every layer.
    pub fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}
