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
    /// each row of the batch.
    pub(super) fn run_on_host(
        &self,
        hidden: &mut Vec<f32>,
        [tokens, width]: [usize; 2],
        lengths: &[usize],
        room: &mut Room,
    ) {
        let Room { kept, projected, mixed, state, inner } = room;
        let maps = [&self.query, &self.key, &self.value];
        LinearMap::apply_all_into(maps, &HostRows::new(hidden, width), projected);
        let [query, key, value] = projected;
        let row = (tokens * width).max(1);
        mixed.clear();
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
        self.attention_output.apply_into(&HostRows::new(mixed, width), state);
        add(state, hidden);
        apply_layer_norm(&self.attention_norm, self.epsilon, state);
        self.intermediate.apply_into(&HostRows::new(state, width), inner);
        bend(inner, Bend::Relu, None);
        let inner_width = inner.len().checked_div(state.len() / width.max(1)).unwrap_or(0);
        self.output.apply_into(&HostRows::new(inner, inner_width), hidden);
        add(hidden, state);
        apply_layer_norm(&self.output_norm, self.epsilon, hidden);
    }

    /// Room to work on rows of `tokens` tokens of `width`.
    pub(super) fn room(&self, [tokens, width]: [usize; 2]) -> Room {
        let kept = KeysAndValues::new(self.heads, width / self.heads.max(1), tokens);
        Room {
            kept,
            projected: [const { Vec::new() }; 3],
            mixed: Vec::new(),
            state: Vec::new(),
            inner: Vec::new(),
        }
    }
}

/// What layers work in one after the other: room that is found once is not cleared again in each.
pub(super) struct Room {
    /// Keys and values of one row of the batch.
    kept: KeysAndValues,
    /// Queries, keys and values.
    projected: [Vec<f32>; 3],
    /// What attention gives.
    mixed: Vec<f32>,
    /// The state between attention and what follows it.
    state: Vec<f32>,
    /// The wide part.
    inner: Vec<f32>,
}
