//! What is done row by row: norms, rotations, what bends numbers.

use rayon::prelude::*;

use crate::level::{Level, Work, dispatch};
use crate::panel::{Kernel, LANES, exp, sum_of, tanh};

/// Numbers below which handing work to other cores costs more than it saves.
const SMALL: usize = 1 << 16;

/// What bends numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bend {
    /// `x · σ(x)`.
    Silu,
    /// Gauss's, by the hyperbolic tangent.
    GeluTanh,
    /// What is below zero becomes zero.
    Relu,
}

/// Divides each row of `width` by its root mean square and multiplies it with `weight`.
pub fn rms_norm(x: &mut [f32], weight: &[f32], epsilon: f32) {
    over_rows(x, weight.len(), |rows| {
        dispatch!(Level::best(), Norm { rows, weight, bias: None, epsilon });
    });
}

/// Takes its mean off each row of `width`, divides it by the root of its variance, multiplies it with `weight` and adds
/// `bias`, which is as long.
pub fn layer_norm(x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    over_rows(x, weight.len(), |rows| {
        dispatch!(Level::best(), Norm { rows, weight, bias: Some(bias), epsilon });
    });
}

/// Adds `other`, which is as long.
pub fn add(x: &mut [f32], other: &[f32]) {
    if x.len() < SMALL {
        return x.iter_mut().zip(other).for_each(|(x, other)| *x += other);
    }
    x.par_chunks_mut(SMALL / 4).zip(other.par_chunks(SMALL / 4)).for_each(|(x, other)| {
        x.iter_mut().zip(other).for_each(|(x, other)| *x += other);
    });
}

/// Bends `x`, and multiplies it with `gated`, which is as long, where there is one.
pub fn bend(x: &mut [f32], by: Bend, gated: Option<&[f32]>) {
    let run = |x: &mut [f32], gated: Option<&[f32]>| dispatch!(Level::best(), Bent { x, by, gated });
    if x.len() < SMALL / 8 {
        return run(x, gated);
    }
    let share = x.len().div_ceil(4 * rayon::current_num_threads()).max(LANES);
    match gated {
        Some(gated) => {
            x.par_chunks_mut(share).zip(gated.par_chunks(share)).for_each(|(x, gated)| run(x, Some(gated)));
        }
        None => x.par_chunks_mut(share).for_each(|x| run(x, None)),
    }
}

/// Rotates the heads of `x` `[tokens, heads, width]` by the angles whose cosines and sines are given, `[tokens, turned]` each: number
/// `i` of the first `turned` and number `i + turned / 2` are a pair.
pub fn rotate(x: &mut [f32], heads: usize, width: usize, [cos, sin]: [&[f32]; 2], turned: usize) {
    let half = turned / 2;
    if half == 0 || turned > width {
        return;
    }
    let one = |(x, (cos, sin)): (&mut [f32], (&[f32], &[f32]))| {
        for head in x.chunks_exact_mut(width) {
            let (first, rest) = head.split_at_mut(half);
            let pairs = first.iter_mut().zip(&mut rest[..half]);
            for ((a, b), (cos, sin)) in pairs.zip(cos[..half].iter().zip(&sin[..half])) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    };
    if x.len() < SMALL {
        let angles = cos.chunks_exact(turned).zip(sin.chunks_exact(turned));
        x.chunks_exact_mut(heads * width).zip(angles).for_each(one);
    } else {
        let angles = cos.par_chunks_exact(turned).zip(sin.par_chunks_exact(turned));
        x.par_chunks_exact_mut(heads * width).zip(angles).for_each(one);
    }
}

/// Whole rows of `width` to each core, or all to this one where they are few.
fn over_rows(x: &mut [f32], width: usize, run: impl Fn(&mut [f32]) + Sync + Send) {
    if width == 0 {
        return;
    }
    if x.len() < SMALL {
        return run(x);
    }
    let rows = (x.len() / width).div_ceil(4 * rayon::current_num_threads()).max(1);
    x.par_chunks_mut(rows * width).for_each(run);
}

struct Norm<'a> {
    rows: &'a mut [f32],
    weight: &'a [f32],
    /// Of a layer norm.
    bias: Option<&'a [f32]>,
    epsilon: f32,
}

impl<K: Kernel> Work<K> for Norm<'_> {
    type Output = ();

    #[inline(always)]
    fn on(self, kernel: K) {
        let width = self.weight.len();
        for row in self.rows.chunks_exact_mut(width) {
            match self.bias {
                None => {
                    let by = 1.0 / (squares(kernel, row, 0.0) / width as f32 + self.epsilon).sqrt();
                    for (x, weight) in row.iter_mut().zip(self.weight) {
                        *x *= by * weight;
                    }
                }
                Some(bias) => {
                    let mean = sum(row) / width as f32;
                    let by = 1.0 / (squares(kernel, row, mean) / width as f32 + self.epsilon).sqrt();
                    for ((x, weight), bias) in row.iter_mut().zip(self.weight).zip(bias) {
                        *x = kernel.mul_add((*x - mean) * by, *weight, *bias);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn sum(row: &[f32]) -> f32 {
    let (parts, rest) = row.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for part in parts {
        for i in 0..LANES {
            sums[i] += part[i];
        }
    }
    sum_of(sums) + rest.iter().sum::<f32>()
}

/// Sum of the squares of what is left when `mean` is taken off.
#[inline(always)]
fn squares<K: Kernel>(kernel: K, row: &[f32], mean: f32) -> f32 {
    let (parts, rest) = row.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for part in parts {
        for i in 0..LANES {
            let apart = part[i] - mean;
            sums[i] = kernel.mul_add(apart, apart, sums[i]);
        }
    }
    sum_of(sums) + rest.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>()
}

struct Bent<'a> {
    x: &'a mut [f32],
    by: Bend,
    gated: Option<&'a [f32]>,
}

impl<K: Kernel> Work<K> for Bent<'_> {
    type Output = ();

    #[inline(always)]
    fn on(self, kernel: K) {
        match self.by {
            Bend::Silu => {
                for x in self.x.iter_mut() {
                    *x /= 1.0 + exp(kernel, -*x);
                }
            }
            Bend::GeluTanh => {
                for x in self.x.iter_mut() {
                    let inner = kernel.mul_add(0.044_715 * *x * *x, *x, *x);
                    let bent = tanh(kernel, 0.797_884_6 * inner);
                    *x = kernel.mul_add(0.5 * *x, bent, 0.5 * *x);
                }
            }
            Bend::Relu => {
                for x in self.x.iter_mut() {
                    // Not by `max`, which takes what is no number for zero.
                    *x = if *x < 0.0 { 0.0 } else { *x };
                }
            }
        }
        if let Some(gated) = self.gated {
            for (x, gated) in self.x.iter_mut().zip(gated) {
                *x *= gated;
            }
        }
    }
}

/// Brings shares of the columns of `n` rows, each share `[n, columns]` and of `wide` columns but for the last, to the rows of
/// `out`.
pub(crate) fn join_columns(shares: &[f32], n: usize, wide: usize, out: &mut [f32]) {
    let width = out.len() / n;
    for (i, share) in shares.chunks(wide * n).enumerate() {
        let own = share.len() / n;
        for (from, to) in share.chunks_exact(own).zip(out.chunks_exact_mut(width)) {
            to[i * wide..][..own].copy_from_slice(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_up(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 % 2003) as f32 - 900.0) / 300.0).collect()
    }

    fn close(got: f32, exact: f64) {
        assert!((f64::from(got) - exact).abs() < 2e-6 * (1.0 + exact.abs()), "{got} for {exact}");
    }

    #[test]
    fn norms_agree_with_float64() {
        for (n, width) in [(1, 1), (3, 33), (70, 1152)] {
            let (x, weight, bias) = (made_up(n * width), made_up(width), made_up(width));
            let (mut by_rms, mut by_both) = (x.clone(), x.clone());
            rms_norm(&mut by_rms, &weight, 1e-5);
            layer_norm(&mut by_both, &weight, &bias, 1e-5);
            for (r, row) in x.chunks(width).enumerate() {
                let exact: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
                let mean = exact.iter().sum::<f64>() / width as f64;
                let power = exact.iter().map(|x| x * x).sum::<f64>() / width as f64;
                let variance = exact.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                for (i, x) in exact.iter().enumerate() {
                    let (w, b) = (f64::from(weight[i]), f64::from(bias[i]));
                    close(by_rms[r * width + i], x / (power + 1e-5).sqrt() * w);
                    close(by_both[r * width + i], (x - mean) / (variance + 1e-5).sqrt() * w + b);
                }
            }
        }
    }

    #[test]
    fn what_bends_numbers_agrees_with_float64() {
        for n in [1, 17, 20_000] {
            let (x, gated) = (made_up(n), made_up(n + 3)[3..].to_vec());
            for (by, exact) in [
                (Bend::Silu, (|x: f64| x / (1.0 + (-x).exp())) as fn(f64) -> f64),
                (Bend::GeluTanh, |x| {
                    0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x.powi(3))).tanh())
                }),
                (Bend::Relu, |x| x.max(0.0)),
            ] {
                for gated in [None, Some(gated.as_slice())] {
                    let mut got = x.clone();
                    bend(&mut got, by, gated);
                    for i in 0..n {
                        let factor = gated.map_or(1.0, |gated| f64::from(gated[i]));
                        close(got[i], exact(f64::from(x[i])) * factor);
                    }
                }
            }
        }
        let mut far = [-200.0, 200.0, f32::NAN];
        bend(&mut far, Bend::Silu, None);
        assert!(far[0].abs() < 1e-30 && far[1] == 200.0 && far[2].is_nan(), "{far:?}");
    }

    #[test]
    fn rotating_turns_pairs_and_leaves_the_rest_of_a_head() {
        let angle = 0.3f32;
        let (cos, sin) = ([1.0, 1.0, angle.cos(), angle.cos()], [0.0, 0.0, angle.sin(), angle.sin()]);
        // Two tokens of two heads of three numbers, of which two are turned.
        let mut x = [1., 2., 9., 3., 4., 9., 1., 2., 9., 3., 4., 9.];
        rotate(&mut x, 2, 3, [&cos, &sin], 2);
        assert_eq!(x[..6], [1., 2., 9., 3., 4., 9.]);
        close(x[6], f64::from(angle.cos() - 2.0 * angle.sin()));
        close(x[7], f64::from(2.0 * angle.cos() + angle.sin()));
        assert_eq!((x[8], x[11]), (9.0, 9.0));
    }

    #[test]
    fn sums_are_those_of_all_numbers() {
        let mut x = made_up(150_000);
        let (before, other) = (x.clone(), made_up(150_000));
        add(&mut x, &other);
        assert!(x.iter().zip(before.iter().zip(&other)).all(|(x, (a, b))| *x == a + b));
    }
}
