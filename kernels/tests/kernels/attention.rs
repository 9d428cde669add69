//! Attention against its definition.

use burn::tensor::{Device, Tensor};
use kernels::{Attention, Variant, attention, attention_by, subgroup_lanes};

use crate::support::{device, draw, skipped, tensor};

/// One call, its sizes and settings.
#[derive(Clone, Copy)]
struct Case<'a> {
    batch: usize,
    heads: usize,
    key_heads: usize,
    queries: usize,
    keys: usize,
    width: usize,
    settings: Attention<'a>,
}

impl Case<'_> {
    /// What query `i` of row `b` sees.
    fn sees(&self, b: usize, i: usize, j: usize) -> bool {
        let own = i + self.keys - self.queries.min(self.keys);
        let Attention { lengths, causal, window, .. } = self.settings;
        lengths.is_none_or(|all| j < all[b]) && (!causal || (j <= own && window.is_none_or(|n| j + n > own)))
    }

    /// The definition in float64, of query `i` of head `h` of row `b`.
    fn exact(&self, q: &[f32], k: &[f32], v: &[f32], [b, h, i]: [usize; 3]) -> Vec<f64> {
        let Case { heads, key_heads, queries, keys, width, settings, .. } = *self;
        let scale = settings.scale.unwrap_or(1.0 / (width as f64).sqrt());
        let query = &q[((b * heads + h) * queries + i) * width..][..width];
        let from = (b * key_heads + h / (heads / key_heads)) * keys;
        let at = |x: &[f32], j: usize, d: usize| f64::from(x[(from + j) * width + d]);
        let scores: Vec<(usize, f64)> = (0..keys)
            .filter(|&j| self.sees(b, i, j))
            .map(|j| {
                let score =
                    scale * query.iter().enumerate().map(|(d, x)| f64::from(*x) * at(k, j, d)).sum::<f64>();
                (j, settings.soft_cap.map_or(score, |cap| cap * (score / cap).tanh()))
            })
            .collect();
        let top = scores.iter().map(|(_, s)| *s).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|(_, s)| (s - top).exp()).sum();
        let mut out = vec![0.0; width];
        for (j, score) in scores {
            let weight = (score - top).exp() / total;
            for (d, out) in out.iter_mut().enumerate() {
                *out += weight * at(v, j, d);
            }
        }
        out
    }

    /// Compares both variants with the definition, in every row where they are few, else in some.
    fn check(&self) {
        let Some(device) = device() else { return };
        let Case { batch, heads, key_heads, queries, keys, width, .. } = *self;
        let [q, k, v] =
            [(heads, queries, 1), (key_heads, keys, 2), (key_heads, keys, 3)].map(|(heads, n, seed)| {
                draw(batch * heads * n * width, seed).into_iter().map(|x| 3.0 * x).collect()
            });
        let [q, k, v]: [Vec<f32>; 3] = [q, k, v];
        // What lies behind a row's length must not matter.
        let spoilt = |x: &[f32]| -> Vec<f32> {
            let lengths = self.settings.lengths;
            let beyond = |at: usize| {
                let (position, b) = (at / width % keys, at / width / keys / key_heads);
                lengths.is_some_and(|all| position >= all[b])
            };
            x.iter().enumerate().map(|(at, &x)| if beyond(at) { f32::NAN } else { x }).collect()
        };
        // Laid in memory position by position, as linear maps leave them.
        let lay = |x: Vec<f32>, heads: usize, n: usize| {
            let swapped = tensor(x, [batch, heads, n, width], &device).swap_dims(1, 2);
            let [b, n, h, w] = swapped.dims();
            swapped.reshape([b, n, h * w]).reshape([b, n, h, w]).swap_dims(1, 2)
        };
        let (tq, tk, tv) = (
            lay(q.clone(), heads, queries),
            lay(spoilt(&k), key_heads, keys),
            lay(spoilt(&v), key_heads, keys),
        );
        let name = format!("{batch}×{heads}({key_heads})×{queries}×{keys}×{width} {:?}", self.settings);
        for variant in [Variant::Portable, Variant::Subgroup] {
            let Some(mixed) = attention_by(variant, &tq, &tk, &tv, &self.settings) else {
                let lanes = subgroup_lanes(&device);
                assert_eq!(variant, Variant::Subgroup, "{name}");
                assert!(lanes.is_none_or(|n| n < 32), "{name}: not by subgroups of {lanes:?}");
                skipped(&format!("subgroups of {lanes:?} for heads of {width}"));
                continue;
            };
            assert_eq!(mixed.dims(), [batch, heads, queries, width]);
            let got: Vec<f32> = mixed.try_into_vec_as().unwrap();
            let rows = batch * heads * queries;
            for row in (0..rows).step_by(rows / 300 + 1).chain([rows - 1]) {
                let (b, h, i) = (row / queries / heads, row / queries % heads, row % queries);
                let expected = self.exact(&q, &k, &v, [b, h, i]);
                for (d, expected) in expected.iter().enumerate() {
                    let got = f64::from(got[row * width + d]);
                    assert!(
                        (got - expected).abs() < 2e-5,
                        "{variant:?} {name}: {b} {h} {i} {d}: {got} {expected}"
                    );
                }
            }
        }
    }
}

fn full(batch: usize, heads: usize, tokens: usize, width: usize) -> Case<'static> {
    Case {
        batch,
        heads,
        key_heads: heads,
        queries: tokens,
        keys: tokens,
        width,
        settings: Attention::default(),
    }
}

fn causal(heads: usize, key_heads: usize, queries: usize, keys: usize, width: usize) -> Case<'static> {
    let settings = Attention { causal: true, ..Attention::default() };
    Case { batch: 1, heads, key_heads, queries, keys, width, settings }
}

// A driver in software takes a second and more to compile a kernel, of which there is one for each width: widths are
// few here, and what does not change the kernel is varied.

#[test]
fn every_position_sees_every_other_whatever_the_width_of_heads() {
    for width in [20, 64, 96, 128, 256] {
        for tokens in [31, 33, 100] {
            full(1, 2, tokens, width).check();
        }
    }
    for tokens in [1, 3] {
        full(1, 2, tokens, 20).check();
    }
    full(1, 1, 4095, 16).check();
}

#[test]
fn what_lies_behind_a_rows_length_changes_nothing() {
    for (tokens, lengths) in [(1, [1, 0, 1]), (3, [0, 2, 3]), (33, [33, 1, 0]), (70, [31, 64, 65])] {
        let settings = Attention { lengths: Some(&lengths), ..Attention::default() };
        Case { settings, ..full(3, 2, tokens, 64) }.check();
    }
    let settings = Attention { lengths: Some(&[40, 0, 31]), ..Attention::default() };
    Case { settings, ..full(3, 2, 40, 256) }.check();
    let settings = Attention { lengths: Some(&[300, 257, 0]), ..Attention::default() };
    Case { settings, queries: 3, ..full(3, 2, 300, 64) }.check();
}

#[test]
fn a_batch_of_empty_rows_gives_zeros() {
    let Some(device) = device() else { return };
    for tokens in [2, 40] {
        let x = tensor(vec![f32::NAN; 2 * tokens * 16], [2, 1, tokens, 16], &device);
        let settings = Attention { lengths: Some(&[0, 0]), ..Attention::default() };
        let mixed = attention(&x, &x, &x, &settings).unwrap();
        assert!(mixed.try_into_vec_as::<f32>().unwrap().iter().all(|&x| x == 0.0));
    }
}

#[test]
fn causal_queries_share_keys_in_groups() {
    for (heads, key_heads) in [(4, 4), (4, 1), (6, 2)] {
        for (queries, keys) in [(31, 31), (33, 70), (5, 300), (1, 1), (1, 33)] {
            if queries > 1 || heads == 4 {
                causal(heads, key_heads, queries, keys, 64).check();
            }
        }
    }
    causal(4, 1, 33, 65, 256).check();
}

#[test]
fn windows_caps_and_scales_are_kept() {
    for (queries, keys) in [(1, 700), (33, 33), (40, 130)] {
        for window in [None, Some(1), Some(31), Some(100), Some(5000)] {
            for soft_cap in [None, Some(5.0)] {
                let settings =
                    Attention { causal: true, window, soft_cap, scale: Some(0.3), ..Attention::default() };
                Case { settings, ..causal(4, 2, queries, keys, 32) }.check();
            }
        }
    }
    let settings = Attention { causal: true, window: Some(50), soft_cap: Some(50.0), ..Attention::default() };
    Case { settings, ..causal(2, 1, 65, 65, 256) }.check();
}

#[test]
fn few_queries_see_many_keys() {
    for (queries, keys) in [(1, 255), (1, 256), (1, 257), (1, 1025), (2, 513), (1, 4095)] {
        causal(4, 1, queries, keys, 64).check();
    }
    // More rows of a key head than a workgroup has at hand.
    causal(40, 2, 1, 300, 64).check();
    causal(12, 1, 3, 300, 256).check();
}

#[test]
fn views_of_longer_tensors_are_read_in_place() {
    let Some(device) = device() else { return };
    let (heads, room, keys, width) = (2, 90, 37, 64);
    let held = |seed| tensor(draw(heads * room * width, seed), [1, heads, room, width], &device);
    let view = |x: Tensor<4>| x.narrow(2, 0, keys);
    let whole = |x: Tensor<4>| {
        let values: Vec<f32> = x.try_into_vec_as().unwrap();
        tensor(values, [1, heads, keys, width], &device)
    };
    let settings = Attention { causal: true, ..Attention::default() };
    for queries in [1, 20] {
        let q = tensor(draw(heads * queries * width, 9), [1, heads, queries, width], &device);
        let (k, v) = (view(held(1)), view(held(2)));
        let a: Vec<f32> = attention(&q, &k, &v, &settings).unwrap().try_into_vec_as().unwrap();
        let b: Vec<f32> = attention(&q, &whole(k), &whole(v), &settings).unwrap().try_into_vec_as().unwrap();
        assert_eq!(a, b);
    }
}

#[test]
fn what_the_kernels_cannot_do_is_left_to_burn() {
    let cpu = Device::flex();
    let x = Tensor::<4>::zeros([1, 1, 2, 16], &cpu);
    assert!(attention(&x, &x, &x, &Attention::default()).is_none());
    let Some(device) = device() else { return };
    for width in [6, 260] {
        let x = Tensor::<4>::zeros([1, 1, 2, width], &device);
        assert!(attention(&x, &x, &x, &Attention::default()).is_none(), "{width}");
    }
    let x = Tensor::<4>::zeros([1, 1, 2, 16], &device.clone().autodiff());
    assert!(attention(&x, &x, &x, &Attention::default()).is_none());
}
