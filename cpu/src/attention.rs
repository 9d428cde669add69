//! Attention without a matrix of scores: queries pass over the keys tile by tile, and what was summed up so far is rescaled
//! whenever a higher score turns up (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135).

use std::ops::Range;

use rayon::prelude::*;

use crate::level::{Level, Work, dispatch};
use crate::panel::{Kernel, LANES, PANEL, Row, exp, highest_of, sum_of, tanh, times, times_apart};

/// Keys that a group of queries meets at a time.
const TILE: usize = 256;
/// Rows that pass over the keys together.
const ROWS: usize = 12;
/// Rows of a head that one core takes at a time.
const SHARE: usize = 8 * ROWS;
/// A score low enough to weigh nothing and finite, so that a row without any key gives a number.
const MASKED: f32 = -1e30;

/// Keys and values of some heads in room that is allocated once, laid out as products take them.
#[derive(Debug, Clone)]
pub struct KeysAndValues {
    heads: usize,
    width: usize,
    /// Tokens that there is room for.
    capacity: usize,
    /// Head by head, in each 32 tokens together: their first number, their second, and so on.
    keys: Vec<Row>,
    /// Head by head, in each 32 columns together: of the first token, of the second, and so on.
    values: Vec<Row>,
}

impl KeysAndValues {
    /// Room for `capacity` tokens of `heads` heads of `width` numbers.
    pub fn new(heads: usize, width: usize, capacity: usize) -> Self {
        let keys = vec![Row::ZERO; heads * capacity.div_ceil(PANEL) * width];
        let values = vec![Row::ZERO; heads * width.div_ceil(PANEL) * capacity];
        Self { heads, width, capacity, keys, values }
    }

    /// Tokens that there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The first `tokens` tokens of this, with room for `capacity` tokens, or for those that there are.
    #[must_use]
    pub fn copy_of(&self, tokens: usize, capacity: usize) -> Self {
        let tokens = tokens.min(self.capacity);
        let mut copy = Self::new(self.heads, self.width, capacity.max(tokens));
        let (width, used) = (self.width, tokens.div_ceil(PANEL) * self.width);
        let (of_keys, own) = (self.capacity.div_ceil(PANEL) * width, copy.capacity.div_ceil(PANEL) * width);
        for (from, to) in self.keys.chunks_exact(of_keys.max(1)).zip(copy.keys.chunks_exact_mut(own.max(1))) {
            to[..used].copy_from_slice(&from[..used]);
        }
        let panels = self.values.chunks_exact(self.capacity.max(1));
        for (from, to) in panels.zip(copy.values.chunks_exact_mut(copy.capacity.max(1))) {
            to[..tokens].copy_from_slice(&from[..tokens]);
        }
        copy
    }

    /// Writes `keys` and `values`, each `[tokens, heads, width]`, as those of the tokens from `start` on. What there is no room for
    /// is left out.
    pub fn write(&mut self, start: usize, keys: &[f32], values: &[f32]) {
        let (width, panels, capacity) = (self.width, self.capacity.div_ceil(PANEL), self.capacity);
        let row = self.heads * width;
        if row == 0 {
            return;
        }
        let tokens = (keys.len() / row).min(values.len() / row).min(capacity.saturating_sub(start));
        let write_keys = |(head, own): (usize, &mut [Row])| {
            for t in 0..tokens {
                let (panel, lane) = ((start + t) / PANEL, (start + t) % PANEL);
                let from = &keys[t * row + head * width..][..width];
                for (to, from) in own[panel * width..][..width].iter_mut().zip(from) {
                    to.0[lane] = *from;
                }
            }
        };
        let write_values = |(head, own): (usize, &mut [Row])| {
            for t in 0..tokens {
                let from = &values[t * row + head * width..][..width];
                for (p, from) in from.chunks(PANEL).enumerate() {
                    own[p * capacity + start + t].0[..from.len()].copy_from_slice(from);
                }
            }
        };
        let (of_keys, of_values) = (panels * width, width.div_ceil(PANEL) * capacity);
        if tokens < PANEL {
            self.keys.chunks_exact_mut(of_keys).enumerate().for_each(write_keys);
            self.values.chunks_exact_mut(of_values).enumerate().for_each(write_values);
        } else {
            self.keys.par_chunks_exact_mut(of_keys).enumerate().for_each(write_keys);
            self.values.par_chunks_exact_mut(of_values).enumerate().for_each(write_values);
        }
    }
}

/// Which keys count, and what is done to the scores.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Heads of the queries, a multiple of those of the keys: as many follow each other as share a head of keys.
    pub heads: usize,
    /// Keys in all.
    pub keys: usize,
    /// Of causal attention, the position of the first query: a query sees the keys up to its own position.
    pub start: Option<usize>,
    /// A causal query sees this many keys at most, its own position the last.
    pub window: Option<usize>,
    /// Factor of the scores.
    pub scale: f32,
    /// Scores are bent to stay within ± this: `cap · tanh(score ÷ cap)`.
    pub soft_cap: Option<f32>,
}

impl Attention {
    /// softmax(q kᵀ · scale) v of `queries` `[tokens, heads, width]`, in the same shape. What does not fit gives nothing.
    pub fn attend(&self, queries: &[f32], kept: &KeysAndValues) -> Vec<f32> {
        self.attend_by(Level::best(), queries, kept)
    }

    fn attend_by(&self, level: Level, queries: &[f32], kept: &KeysAndValues) -> Vec<f32> {
        let (width, row) = (kept.width, self.heads * kept.width);
        let fits = row > 0
            && kept.heads > 0
            && self.heads.is_multiple_of(kept.heads)
            && queries.len().is_multiple_of(row)
            && self.keys <= kept.capacity;
        if !fits || queries.is_empty() {
            return Vec::new();
        }
        let (group, tokens) = (self.heads / kept.heads, queries.len() / row);
        // Rows of one head of keys: the queries of the first token that share it, of the second, and so on.
        let of_head = tokens * group;
        let mut apart = vec![0f32; queries.len()];
        let shares = of_head.div_ceil(SHARE);
        let run = |head: usize, share: usize, out: &mut [f32]| {
            let rows = share * SHARE..share * SHARE + out.len() / width;
            dispatch!(level, Share { attention: self, queries, kept, group, head, rows, out });
        };
        if rayon::current_num_threads() < 2 || of_head * kept.heads * self.keys * width < 1 << 15 {
            for (head, out) in apart.chunks_mut(of_head * width).enumerate() {
                out.chunks_mut(SHARE * width).enumerate().for_each(|(share, out)| run(head, share, out));
            }
        } else {
            apart.par_chunks_mut(of_head * width).enumerate().for_each(|(head, out)| {
                if shares < 2 {
                    run(head, 0, out);
                } else {
                    out.par_chunks_mut(SHARE * width)
                        .enumerate()
                        .for_each(|(share, out)| run(head, share, out));
                }
            });
        }
        if tokens == 1 {
            return apart;
        }
        let mut out = vec![0f32; queries.len()];
        let join = |(token, out): (usize, &mut [f32])| {
            for (head, out) in out.chunks_exact_mut(group * width).enumerate() {
                out.copy_from_slice(&apart[(head * of_head + token * group) * width..][..group * width]);
            }
        };
        if tokens < SHARE {
            out.chunks_exact_mut(row).enumerate().for_each(join);
        } else {
            out.par_chunks_exact_mut(row).enumerate().for_each(join);
        }
        out
    }

    /// Keys that the query of token `token` sees.
    fn seen(&self, token: usize) -> Range<usize> {
        let Some(start) = self.start else { return 0..self.keys };
        let end = (start + token + 1).min(self.keys);
        self.window.map_or(0, |n| end.saturating_sub(n))..end
    }
}

/// Some rows of one head of keys.
struct Share<'a> {
    attention: &'a Attention,
    queries: &'a [f32],
    kept: &'a KeysAndValues,
    group: usize,
    head: usize,
    rows: Range<usize>,
    out: &'a mut [f32],
}

impl<K: Kernel> Work<K> for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn on(mut self, kernel: K) {
        let mut room = Room {
            queries: vec![0.0; ROWS * self.kept.width],
            mixed: vec![[[0.0; PANEL]; ROWS]; self.kept.width.div_ceil(PANEL)],
        };
        let mut at = self.rows.start;
        if K::MOST >= ROWS {
            while at + ROWS <= self.rows.end {
                self.together::<K, ROWS>(kernel, at, &mut room);
                at += ROWS;
            }
            while at + 4 <= self.rows.end {
                self.together::<K, 4>(kernel, at, &mut room);
                at += 4;
            }
        }
        while at + 2 <= self.rows.end {
            self.together::<K, 2>(kernel, at, &mut room);
            at += 2;
        }
        if at < self.rows.end {
            self.together::<K, 1>(kernel, at, &mut room);
        }
    }
}

/// Room for what rows need, allocated once.
struct Room {
    queries: Vec<f32>,
    mixed: Vec<[[f32; PANEL]; ROWS]>,
}

impl Share<'_> {
    #[inline(always)]
    fn together<K: Kernel, const M: usize>(&mut self, kernel: K, at: usize, room: &mut Room) {
        let (kept, attention) = (self.kept, self.attention);
        let (width, capacity) = (kept.width, kept.capacity);
        let place = |m: usize| {
            let (token, own) = ((at + m) / self.group, (at + m) % self.group);
            (token * attention.heads + self.head * self.group + own) * width
        };
        for m in 0..M {
            let from = &self.queries[place(m)..][..width];
            for (to, from) in room.queries.chunks_exact_mut(M).zip(from) {
                to[m] = from * attention.scale;
            }
        }
        let queries = room.queries[..M * width].as_chunks::<M>().0;
        let seen: [Range<usize>; M] = std::array::from_fn(|m| attention.seen((at + m) / self.group));
        let keys = &kept.keys[self.head * capacity.div_ceil(PANEL) * width..];
        let values = &kept.values[self.head * width.div_ceil(PANEL) * capacity..];
        let mixed = &mut room.mixed;
        for panel in mixed.iter_mut() {
            panel[..M].fill([0.0; PANEL]);
        }
        let (mut top, mut total) = ([MASKED; M], [0f32; M]);
        // Later rows see later keys, and none earlier than those that the first row sees.
        let (first, end) = (seen[0].start, seen[M - 1].end);
        let mut from = first / PANEL * PANEL;
        while from < end {
            let to = (from + TILE).min(end);
            let mut scores = [[0f32; TILE]; M];
            for at in (from..to).step_by(PANEL) {
                let mut sums = [[0f32; PANEL]; M];
                times(kernel, queries, &keys[at / PANEL * width..][..width], &mut sums);
                for m in 0..M {
                    scores[m][at - from..][..PANEL].copy_from_slice(&sums[m]);
                }
            }
            let mut factors = [0f32; M];
            for m in 0..M {
                let scores = &mut scores[m];
                if let Some(cap) = attention.soft_cap {
                    for score in scores.iter_mut() {
                        *score = cap * tanh(kernel, *score / cap);
                    }
                }
                let (begin, stop) =
                    (seen[m].start.clamp(from, to) - from, seen[m].end.clamp(from, to) - from);
                scores[..begin].fill(MASKED);
                scores[stop..].fill(MASKED);
                (factors[m], total[m]) = weigh(kernel, scores, &mut top[m], total[m]);
            }
            let rows: [&[f32]; M] = std::array::from_fn(|m| scores[m].as_slice());
            for (p, mixed) in mixed.iter_mut().enumerate() {
                let mut sums = [[0f32; PANEL]; M];
                for m in 0..M {
                    for i in 0..PANEL {
                        sums[m][i] = mixed[m][i] * factors[m];
                    }
                }
                times_apart(kernel, rows, &values[p * capacity + from..][..to - from], &mut sums);
                mixed[..M].copy_from_slice(&sums);
            }
            from = to;
        }
        for m in 0..M {
            let by = if total[m] > 0.0 { 1.0 / total[m] } else { 0.0 };
            let out = &mut self.out[(at - self.rows.start + m) * width..][..width];
            for (p, out) in out.chunks_mut(PANEL).enumerate() {
                for (out, value) in out.iter_mut().zip(&mixed[p][m]) {
                    *out = value * by;
                }
            }
        }
    }
}

/// Turns the scores of a row into weights against the highest score so far, `top`. Gives what earlier weights must be
/// multiplied with, and the sum of all weights, `total` being that of the earlier ones.
#[inline(always)]
fn weigh<K: Kernel>(kernel: K, scores: &mut [f32; TILE], top: &mut f32, total: f32) -> (f32, f32) {
    let mut tops = [*top; LANES];
    for part in scores.as_chunks::<LANES>().0 {
        for i in 0..LANES {
            tops[i] = if part[i] > tops[i] { part[i] } else { tops[i] };
        }
    }
    let (before, highest) = (*top, highest_of(tops));
    *top = highest;
    let mut sums = [0f32; LANES];
    for part in scores.as_chunks_mut::<LANES>().0 {
        for i in 0..LANES {
            part[i] = exp(kernel, part[i] - highest);
            sums[i] += part[i];
        }
    }
    let factor = exp(kernel, before - highest);
    (factor, total * factor + sum_of(sums))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(i: usize) -> f32 {
        ((i * 7919 % 2003) as f32 - 1001.0) / 500.0
    }

    /// The definition, in float64.
    fn reference(
        a: &Attention,
        queries: &[f32],
        [keys, values]: [&[f32]; 2],
        [kv, width]: [usize; 2],
    ) -> Vec<f64> {
        let (group, tokens) = (a.heads / kv, queries.len() / (a.heads * width));
        let mut out = Vec::new();
        for t in 0..tokens {
            for h in 0..a.heads {
                let q = &queries[(t * a.heads + h) * width..][..width];
                let seen = a.seen(t);
                let scores: Vec<f64> = seen
                    .clone()
                    .map(|j| {
                        let k = &keys[(j * kv + h / group) * width..][..width];
                        let dot: f64 = q.iter().zip(k).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        let score = dot * f64::from(a.scale);
                        a.soft_cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
                out.extend((0..width).map(|d| -> f64 {
                    let parts = seen.clone().zip(&scores).map(|(j, score)| {
                        (score - top).exp() / sum * f64::from(values[(j * kv + h / group) * width + d])
                    });
                    parts.sum()
                }));
            }
        }
        out
    }

    fn check(a: Attention, tokens: usize, kv: usize, width: usize) {
        let queries: Vec<f32> = (0..tokens * a.heads * width).map(value).collect();
        let keys: Vec<f32> = (0..a.keys * kv * width).map(|i| value(i * 13 + 5)).collect();
        let values: Vec<f32> = (0..a.keys * kv * width).map(|i| value(i * 29 + 11)).collect();
        let mut kept = KeysAndValues::new(kv, width, a.keys + 7);
        // In two parts, as a cache is filled.
        let cut = a.keys / 3 * kv * width;
        kept.write(0, &keys[..cut], &values[..cut]);
        kept.write(a.keys / 3, &keys[cut..], &values[cut..]);
        // Brought to another room half way.
        let mut kept = kept.copy_of(a.keys / 2, a.keys + 40);
        let rest = a.keys / 2 * kv * width;
        kept.write(a.keys / 2, &keys[rest..], &values[rest..]);
        let exact = reference(&a, &queries, [&keys, &values], [kv, width]);
        for level in Level::all() {
            let got = a.attend_by(level, &queries, &kept);
            assert_eq!(got.len(), exact.len());
            let worst = got.iter().zip(&exact).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-5, "{level:?}, {a:?}, {tokens} tokens, width {width}: off by {worst}");
        }
    }

    #[test]
    fn attention_agrees_with_its_definition_for_every_mask_and_grouping() {
        for (tokens, keys) in [(1, 1), (1, 70), (5, 5), (31, 33), (40, 300), (130, 530)] {
            for (heads, kv, width) in [(4, 4, 8), (4, 2, 40), (6, 1, 64)] {
                let plain = Attention { heads, keys, start: None, window: None, scale: 0.2, soft_cap: None };
                check(plain, tokens, kv, width);
                check(Attention { start: Some(keys - tokens), ..plain }, tokens, kv, width);
                let softly = Attention {
                    start: Some(keys - tokens),
                    window: Some(9),
                    soft_cap: Some(2.0),
                    scale: 0.7,
                    ..plain
                };
                check(softly, tokens, kv, width);
            }
        }
    }

    #[test]
    fn a_row_without_any_key_gives_numbers_and_what_does_not_fit_gives_nothing() {
        let a = Attention { heads: 2, keys: 0, start: None, window: None, scale: 1.0, soft_cap: None };
        let kept = KeysAndValues::new(2, 4, 8);
        assert_eq!(a.attend(&[1.0; 8], &kept), [0.0; 8]);
        assert!(Attention { keys: 9, ..a }.attend(&[1.0; 8], &kept).is_empty());
        assert!(a.attend(&[1.0; 7], &kept).is_empty());
    }
}
