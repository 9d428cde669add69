//! The encoder's layers on slices, where the CPU computes.

use cpu::rows::{Bend, add, bend};
use cpu::{Attention, KeysAndValues};

use super::EncoderLayer;
use crate::nn::{HostRows, LinearMap, apply_layer_norm, is_host};

impl EncoderLayer {
    /// Whether [`EncoderLayer::run_on_host`] computes it.
    pub(super) fn is_on_host(&self) -> bool {
        let maps =
            [&self.query, &self.key, &self.value, &self.attention_output, &self.intermediate, &self.output];
        !self.use_gelu
            && is_host(&self.attention_norm.gamma.val().device())
            && maps.iter().all(|map| map.is_on_host())
    }

    /// [`EncoderLayer::forward`] of `hidden` `[batch, tokens, width]`, row by row, of which `lengths` tokens are valid in
    /// each row of the batch. `kept` is room for one row's keys and values.
    pub(super) fn run_on_host(
        &self,
        hidden: &mut Vec<f32>,
        [tokens, width]: [usize; 2],
        lengths: &[usize],
        kept: &mut KeysAndValues,
    ) {
        let maps = [&self.query, &self.key, &self.value];
        let [query, key, value] = LinearMap::apply_all(maps, &HostRows::new(hidden, width));
        let row = (tokens * width).max(1);
        let mut mixed = Vec::with_capacity(hidden.len());
        let of_batch = query.chunks_exact(row).zip(key.chunks_exact(row)).zip(value.chunks_exact(row));
        for (((query, key), value), &length) in of_batch.zip(lengths) {
            kept.write(0, key, value);
            let attention = Attention {
                heads: self.heads,
                keys: length.min(tokens),
                start: None,
                window: None,
                scale: 1.0 / (width as f32 / self.heads as f32).sqrt(),
                soft_cap: None,
            };
            mixed.extend(attention.attend(query, kept));
        }
        let mut state = self.attention_output.apply(&HostRows::new(&mixed, width));
        add(&mut state, hidden);
        apply_layer_norm(&self.attention_norm, self.epsilon, &mut state);
        let mut inner = self.intermediate.apply(&HostRows::new(&state, width));
        bend(&mut inner, Bend::Relu, None);
        let inner_width = inner.len().checked_div(state.len() / width.max(1)).unwrap_or(0);
        let mut out = self.output.apply(&HostRows::new(&inner, inner_width));
        add(&mut out, &state);
        apply_layer_norm(&self.output_norm, self.epsilon, &mut out);
        *hidden = out;
    }

    /// Room for the keys and values of a row of `tokens` tokens of `width`.
    pub(super) fn room(&self, [tokens, width]: [usize; 2]) -> KeysAndValues {
        KeysAndValues::new(self.heads, width / self.heads.max(1), tokens)
    }
}
