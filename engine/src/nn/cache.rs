//! The KV cache: keys and values of the tokens already read, in buffers allocated once.

use burn::tensor::{Device, Int, Tensor, TensorData};
use cpu::KeysAndValues;

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
    /// Where the CPU computes on slices: of each layer, what each row of the batch holds. There are no tensors then.
    on_host: Option<Vec<Vec<KeysAndValues>>>,
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
        Self { layers, on_host: None, capacity, len: 0 }
    }

    /// An empty cache for layers that compute on slices, with room for `capacity` tokens.
    pub fn on_host(n_layers: usize, batch: usize, kv_heads: usize, capacity: usize, head_dim: usize) -> Self {
        let layer = || (0..batch).map(|_| KeysAndValues::new(kv_heads, head_dim, capacity)).collect();
        Self { layers: Vec::new(), on_host: Some((0..n_layers).map(|_| layer()).collect()), capacity, len: 0 }
    }

    /// What each row of the batch holds in `layer`, where this cache is one of [`KvCache::on_host`].
    pub fn held(&mut self, layer: usize) -> Option<&mut [KeysAndValues]> {
        self.on_host.as_mut()?.get_mut(layer).map(Vec::as_mut_slice)
    }

    /// Whether this is a cache of [`KvCache::on_host`].
    pub fn is_on_host(&self) -> bool {
        self.on_host.is_some()
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

    /// A cache of the texts `rows` of this one, in their order, with room for `capacity` tokens or for those that there are;
    /// a text may stand several times, to be gone on with in several ways.
    #[must_use]
    pub fn select(&self, rows: &[usize], capacity: usize) -> Self {
        let capacity = capacity.max(self.len);
        let chosen = |from: &Tensor<4>| {
            let numbers: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
            let (n, [_, heads, _, width]) = (rows.len(), from.dims());
            let numbers = Tensor::<1, Int>::from_data(TensorData::new(numbers, [n]), &from.device());
            let held = from.clone().narrow(2, 0, self.len).select(0, numbers);
            if capacity == self.len {
                return held;
            }
            let room = Tensor::zeros([n, heads, capacity - self.len, width], &from.device());
            Tensor::cat(vec![held, room], 2)
        };
        let layers = self
            .layers
            .iter()
            .map(|layer| LayerCache { keys: chosen(&layer.keys), values: chosen(&layer.values) })
            .collect();
        let held = |layer: &Vec<KeysAndValues>| {
            rows.iter().filter_map(|row| Some(layer.get(*row)?.copy_of(self.len, capacity))).collect()
        };
        let on_host = self.on_host.as_ref().map(|layers| layers.iter().map(held).collect());
        Self { layers, on_host, capacity, len: self.len }
    }

    /// Counts `tokens` as read by every layer.
    pub fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_cache_can_be_gone_on_with_in_several_ways() {
        let device = Device::flex();
        let mut cache = KvCache::new(1, 2, 1, 4, 1, &device);
        let values =
            |of: &[f32]| Tensor::<4>::from_data(TensorData::new(of.to_vec(), [of.len(), 1, 1, 1]), &device);
        cache.append(0, values(&[1.0, 2.0]), values(&[10.0, 20.0]));
        cache.advance(1);
        assert_eq!(cache.select(&[0], 0).capacity(), 1, "what is held stays");
        let mut chosen = cache.select(&[1, 0, 1], 3);
        assert_eq!((chosen.len(), chosen.capacity()), (1, 3));
        let (keys, held) = chosen.append(0, values(&[3.0, 4.0, 5.0]), values(&[30.0, 40.0, 50.0]));
        let read = |tensor: Tensor<4>| tensor.try_into_vec_as::<f32>().unwrap();
        assert_eq!(read(keys), [2.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(read(held), [20.0, 30.0, 10.0, 40.0, 20.0, 50.0]);
        let host = KvCache::on_host(2, 2, 1, 4, 1).select(&[0, 0, 1], 4);
        assert_eq!(
            host.on_host.as_ref().map(|layers| layers.iter().map(Vec::len).collect::<Vec<_>>()),
            Some(vec![3, 3])
        );
    }
}
