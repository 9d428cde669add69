//! Grouped-query attention, bidirectional or causal: by our own kernels where they run, else by burn's operators.

use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Int, Tensor};

/// A score low enough to weigh nothing and finite, so that a fully masked row stays a number.
const MASKED_SCORE: f32 = -1e9;

/// Which keys a query may see.
#[derive(Debug, Clone)]
pub enum Causality {
    /// All keys.
    Full,
    /// All keys of each row's own length, from [`Causality::padded`].
    Padded(Box<Padding>),
    /// Keys up to the query's own position; queries are the last of the keys.
    Causal,
}

/// The lengths of rows of a batch, which are filled up to the same number of keys.
#[derive(Debug, Clone)]
pub struct Padding {
    lengths: Vec<usize>,
    /// What burn's operators add to the scores, `[batch, 1, 1, keys]`.
    bias: Tensor<4>,
}

impl Causality {
    /// The mask of rows whose valid keys number `lengths`, of `keys` in all. [`Causality::Full`] when none is padded.
    pub fn padded(lengths: &[usize], keys: usize, device: &Device) -> Self {
        if lengths.iter().all(|&n| n == keys) {
            return Self::Full;
        }
        let bias: Vec<f32> = lengths
            .iter()
            .flat_map(|&n| (0..keys).map(move |k| if k < n { 0.0 } else { MASKED_SCORE }))
            .collect();
        let data = burn::tensor::TensorData::new(bias, [lengths.len(), 1, 1, keys]);
        Self::Padded(Box::new(Padding { lengths: lengths.to_vec(), bias: Tensor::from_data(data, device) }))
    }
}

/// What some decoders do to the scores before the softmax; by default nothing but dividing by √d.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scoring {
    /// Factor of the scores in place of 1 ÷ √d.
    pub scale: Option<f64>,
    /// Scores are bent to stay within ± this: `cap · tanh(score ÷ cap)`.
    pub soft_cap: Option<f64>,
    /// A causal query sees this many keys at most, its own position the last.
    pub window: Option<usize>,
}

/// softmax(q kᵀ / √d) v with fewer key heads than query heads allowed.
///
/// # Shapes
/// - `query`: `[batch, heads, queries, head_dim]`
/// - `key`, `value`: `[batch, kv_heads, keys, head_dim]`, `kv_heads` a divisor of `heads`
/// - returns `[batch, heads, queries, head_dim]`
pub fn attend(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, causality: &Causality) -> Tensor<4> {
    attend_with(query, key, value, causality, Scoring::default())
}

/// [`attend`] with another treatment of the scores.
pub fn attend_with(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    causality: &Causality,
    scoring: Scoring,
) -> Tensor<4> {
    if let Some(mixed) = by_kernel(&query, &key, &value, causality, scoring) {
        return mixed;
    }
    by_operators(query, key, value, causality, scoring)
}

/// [`attend_with`] by our kernels; `None` where they do not run.
fn by_kernel(
    query: &Tensor<4>,
    key: &Tensor<4>,
    value: &Tensor<4>,
    causality: &Causality,
    Scoring { scale, soft_cap, window }: Scoring,
) -> Option<Tensor<4>> {
    let lengths = match causality {
        Causality::Padded(padding) => Some(padding.lengths.as_slice()),
        Causality::Full | Causality::Causal => None,
    };
    let causal = matches!(causality, Causality::Causal);
    kernels::attention(query, key, value, &kernels::Attention { lengths, causal, window, soft_cap, scale })
}

/// [`attend_with`] by burn's operators, which every device has.
fn by_operators(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    causality: &Causality,
    scoring: Scoring,
) -> Tensor<4> {
    let [batch, heads, queries, width] = query.dims();
    let [_, kv_heads, keys, _] = key.dims();
    let window = scoring.window.filter(|&n| n < keys && matches!(causality, Causality::Causal));
    if let Some(n) = window.filter(|_| queries == 1) {
        // One query sees the last keys alone: the others need no scores.
        let last = |x: Tensor<4>| x.narrow(2, keys - n, n);
        let scoring = Scoring { window: None, ..scoring };
        return by_operators(query, last(key), last(value), causality, scoring);
    }
    // burn's fused attention saves the score matrix; it knows neither groups nor our padding, and under autodiff it
    // falls back to the same products as below.
    if kv_heads == heads && !query.is_autodiff() && scoring == Scoring::default() {
        let options = |is_causal| AttentionModuleOptions { scale: None, softcap: None, is_causal };
        match causality {
            Causality::Full => return attention(query, key, value, None, None, options(false)),
            Causality::Causal if queries > 1 => {
                return attention(query, key, value, None, None, options(true));
            }
            _ => {}
        }
    }
    let group = heads / kv_heads;
    let scale = scoring.scale.unwrap_or_else(|| 1.0 / (width as f64).sqrt());
    // The queries of one key head stand under each other, so that keys are never repeated in memory.
    let stacked = query.mul_scalar(scale).reshape([batch, kv_heads, group * queries, width]);
    let scores = stacked.matmul(key.swap_dims(2, 3));
    let scores = match scoring.soft_cap {
        Some(cap) => scores.div_scalar(cap).tanh().mul_scalar(cap),
        None => scores,
    };
    let scores = match causality {
        Causality::Full => scores,
        Causality::Padded(padding) => scores + padding.bias.clone(),
        Causality::Causal if queries == 1 => scores,
        Causality::Causal => {
            let unseen = unseen_mask(queries, keys, window, &scores.device());
            scores
                .reshape([batch * kv_heads, group, queries, keys])
                .mask_fill(unseen.expand([batch * kv_heads, group, queries, keys]), MASKED_SCORE)
                .reshape([batch, kv_heads, group * queries, keys])
        }
    };
    let mixed = if scores.is_autodiff() {
        // Under autodiff a softmax is taken apart, and every pass over the scores is made again on the way back. The
        // sum divides the mixed values instead of the weights, which are longer; the highest score cancels out.
        let top = scores.clone().detach().max_dim(3);
        let weights = (scores - top).exp();
        let total = weights.clone().sum_dim(3);
        weights.matmul(value).div(total)
    } else {
        softmax(scores, 3).matmul(value)
    };
    mixed.reshape([batch, heads, queries, width])
}

/// True where key k lies after query q, or `window` or more before it, the queries being the last of the keys.
/// `[1, 1, queries, keys]`
fn unseen_mask(queries: usize, keys: usize, window: Option<usize>, device: &Device) -> Tensor<4, Bool> {
    let offset = (keys - queries) as i64;
    let q = Tensor::<1, Int>::arange(offset..offset + queries as i64, device).reshape([queries, 1]);
    let k = Tensor::<1, Int>::arange(0..keys as i64, device).reshape([1, keys]);
    let (q, k) = (q.expand([queries, keys]), k.expand([queries, keys]));
    let future = k.clone().greater(q.clone());
    let unseen = match window {
        Some(n) => future.bool_or(k.lower_equal(q.sub_scalar(n as i64))),
        None => future,
    };
    unseen.reshape([1, 1, queries, keys])
}

#[cfg(test)]
mod tests {
    use super::super::{DevicePreference, choose_device};
    use super::*;
    use crate::test_support::skipped;
    use burn::tensor::{Distribution, TensorData};

    /// The definition, in float64 on the host.
    fn reference(
        q: &[f32],
        k: &[f32],
        v: &[f32],
        dims: [usize; 6],
        scoring: Scoring,
        allowed: impl Fn(usize, usize, usize) -> bool,
    ) -> Vec<f32> {
        let [batch, heads, kv_heads, queries, keys, width] = dims;
        let scale = scoring.scale.unwrap_or(1.0 / (width as f64).sqrt());
        let mut out = vec![0f32; batch * heads * queries * width];
        for b in 0..batch {
            for h in 0..heads {
                let kv = h / (heads / kv_heads);
                for i in 0..queries {
                    let qi = ((b * heads + h) * queries + i) * width;
                    let scores: Vec<f64> = (0..keys)
                        .map(|j| {
                            if !allowed(b, i, j) {
                                return f64::NEG_INFINITY;
                            }
                            let kj = ((b * kv_heads + kv) * keys + j) * width;
                            let product: f64 =
                                (0..width).map(|d| f64::from(q[qi + d]) * f64::from(k[kj + d])).sum();
                            let score = product * scale;
                            scoring.soft_cap.map_or(score, |cap| cap * (score / cap).tanh())
                        })
                        .collect();
                    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
                    let sum: f64 = weights.iter().sum();
                    for d in 0..width {
                        let mixed: f64 = (0..keys)
                            .map(|j| {
                                weights[j] / sum * f64::from(v[((b * kv_heads + kv) * keys + j) * width + d])
                            })
                            .sum();
                        out[qi + d] = mixed as f32;
                    }
                }
            }
        }
        out
    }

    fn check(dims: [usize; 6], causality: &Causality, allowed: impl Fn(usize, usize, usize) -> bool) {
        check_with(dims, causality, Scoring::default(), allowed);
    }

    fn check_with(
        dims: [usize; 6],
        causality: &Causality,
        scoring: Scoring,
        allowed: impl Fn(usize, usize, usize) -> bool,
    ) {
        let [batch, heads, kv_heads, queries, keys, width] = dims;
        let device = Device::flex();
        let draw = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let (q, k, v) = (
            draw([batch, heads, queries, width]),
            draw([batch, kv_heads, keys, width]),
            draw([batch, kv_heads, keys, width]),
        );
        let flat = |t: &Tensor<4>| t.try_to_vec_as::<f32>().unwrap();
        let expected = reference(&flat(&q), &flat(&k), &flat(&v), dims, scoring, allowed);
        let got = flat(&attend_with(q, k, v, causality, scoring));
        let worst = expected.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst < 1e-5, "{dims:?}: {worst}");
    }

    #[test]
    fn attention_agrees_with_its_definition_for_every_mask_and_grouping() {
        for (queries, keys) in [(1, 1), (1, 7), (5, 5), (31, 33)] {
            for (heads, kv_heads) in [(4, 4), (4, 2), (6, 1)] {
                let dims = [2, heads, kv_heads, queries, keys, 8];
                check(dims, &Causality::Full, |_, _, _| true);
                check(dims, &Causality::Causal, |_, i, j| j <= i + keys - queries);
                let lengths = [keys, (keys / 2).max(1)];
                check(dims, &Causality::padded(&lengths, keys, &Device::flex()), |b, _, j| j < lengths[b]);
            }
        }
    }

    #[test]
    fn scores_may_be_scaled_bent_and_limited_to_a_window() {
        for (queries, keys) in [(1, 1), (1, 7), (5, 5), (31, 33)] {
            for (heads, kv_heads) in [(4, 4), (6, 1)] {
                let dims = [2, heads, kv_heads, queries, keys, 8];
                for window in [None, Some(1), Some(3), Some(64)] {
                    let scoring = Scoring { scale: Some(0.7), soft_cap: Some(2.0), window };
                    check_with(dims, &Causality::Causal, scoring, |_, i, j| {
                        let own = i + keys - queries;
                        j <= own && window.is_none_or(|n| j + n > own)
                    });
                }
            }
        }
    }

    #[test]
    fn the_kernels_give_what_burns_operators_give_on_the_same_gpu() {
        let device = match choose_device(DevicePreference::Wgpu) {
            Ok(chosen) => chosen.device,
            Err(e) => return skipped(&e.to_string()),
        };
        let draw = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        for (queries, keys) in [(1, 40), (7, 40), (40, 40)] {
            let (q, k, v) = (draw([2, 4, queries, 32]), draw([2, 2, keys, 32]), draw([2, 2, keys, 32]));
            let softly = Scoring { soft_cap: Some(3.0), window: Some(9), scale: Some(0.3) };
            for (causality, scoring) in [
                (Causality::Full, Scoring::default()),
                (Causality::padded(&[40, 11], 40, &device), Scoring::default()),
                (Causality::Causal, softly),
            ] {
                let Some(kernel) = by_kernel(&q, &k, &v, &causality, scoring) else {
                    return skipped("the device takes no WGSL");
                };
                let burn = by_operators(q.clone(), k.clone(), v.clone(), &causality, scoring);
                let worst: f32 = (kernel - burn).abs().max().into_scalar();
                assert!(worst < 1e-5, "{queries} queries, {causality:?}: {worst}");
            }
        }
    }

    #[test]
    fn attention_is_the_same_with_gradients_and_without() {
        let device = Device::flex();
        let draw = |heads| Tensor::<4>::random([2, heads, 5, 8], Distribution::Normal(0.0, 1.0), &device);
        let (q, k, v) = (draw(4), draw(2), draw(2));
        let plain: Vec<f32> =
            attend(q.clone(), k.clone(), v.clone(), &Causality::Causal).try_into_vec_as().unwrap();
        let tracked = |t: Tensor<4>| Tensor::from_inner(t).require_grad();
        let learning = attend(tracked(q), tracked(k), tracked(v), &Causality::Causal);
        let learning: Vec<f32> = learning.inner().try_into_vec_as().unwrap();
        let worst = plain.iter().zip(&learning).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(worst < 1e-5, "{worst}");
    }

    #[test]
    fn a_row_without_any_key_gives_numbers() {
        let device = Device::flex();
        let ones = || Tensor::<4>::from_data(TensorData::new(vec![1f32; 8], [1, 1, 2, 4]), &device);
        let out = attend(ones(), ones(), ones(), &Causality::padded(&[0], 2, &device));
        assert!(out.try_into_vec_as::<f32>().unwrap().iter().all(|v| v.is_finite()));
    }
}
