//! Products of float32 matrices.

use rayon::prelude::*;

use crate::level::{Level, Work, dispatch};
use crate::panel::{Kernel, PANEL, times};

/// Rows of a panel that stay in the first cache while rows pass over them.
const DEPTH: usize = 256;
/// Rows that one core takes at a time: what it reads of them stays in its second cache.
const ROWS: usize = 192;
/// Multiplications below which handing work to other cores costs more than it saves.
const SMALL: usize = 1 << 17;

/// A matrix `[depth, width]` in panels of 32 columns, the last filled up with zeros.
#[derive(Debug, Clone)]
pub struct Panels {
    depth: usize,
    width: usize,
    /// Panel by panel, each `[depth, 32]`.
    rows: Vec<[f32; PANEL]>,
}

impl Panels {
    /// Panels of `values`, `[depth, width]` row by row; `None` where they are not as many.
    pub fn new(values: &[f32], depth: usize, width: usize) -> Option<Self> {
        if values.len() != depth.checked_mul(width)? {
            return None;
        }
        let mut rows = vec![[0f32; PANEL]; width.div_ceil(PANEL) * depth];
        rows.par_chunks_mut(depth.max(1)).enumerate().for_each(|(p, panel)| {
            let columns = p * PANEL..((p + 1) * PANEL).min(width);
            for (row, values) in panel.iter_mut().zip(values.chunks_exact(width)) {
                row[..columns.len()].copy_from_slice(&values[columns.clone()]);
            }
        });
        Some(Self { depth, width, rows })
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        [self.depth, self.width]
    }
}

/// `x` `[n, depth]` times `matrix` `[depth, width]` plus `bias` `[width]`: `[n, width]`. What does not fit gives nothing.
pub fn matmul(x: &[f32], matrix: &Panels, bias: Option<&[f32]>) -> Vec<f32> {
    matmul_by(Level::best(), x, matrix, bias)
}

fn matmul_by(level: Level, x: &[f32], matrix: &Panels, bias: Option<&[f32]>) -> Vec<f32> {
    let Panels { depth, width, .. } = *matrix;
    if depth == 0 || width == 0 || !x.len().is_multiple_of(depth) {
        return Vec::new();
    }
    let n = x.len() / depth;
    let bias = bias.filter(|bias| bias.len() == width);
    let mut out = vec![0f32; n * width];
    let run = |x: &[f32], out: &mut [f32]| dispatch!(level, Share { x, matrix, bias, out });
    let cores = rayon::current_num_threads().max(1);
    if cores == 1 || n * depth * width < SMALL {
        out.chunks_mut(ROWS * width).zip(x.chunks(ROWS * depth)).for_each(|(out, x)| run(x, out));
        return out;
    }
    let share = n.div_ceil(2 * cores).min(ROWS).next_multiple_of(12);
    out.par_chunks_mut(share * width).zip(x.par_chunks(share * depth)).for_each(|(out, x)| run(x, out));
    out
}

/// Some rows, and where their products go.
struct Share<'a> {
    x: &'a [f32],
    matrix: &'a Panels,
    bias: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl<K: Kernel> Work<K> for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn on(mut self, kernel: K) {
        let (depth, width) = (self.matrix.depth, self.matrix.width);
        if let Some(bias) = self.bias {
            for row in self.out.chunks_exact_mut(width) {
                row.copy_from_slice(bias);
            }
        }
        let n = self.x.len() / depth;
        for from in (0..depth).step_by(DEPTH) {
            let to = (from + DEPTH).min(depth);
            for (p, panel) in self.matrix.rows.chunks_exact(depth).enumerate() {
                let (panel, column) = (&panel[from..to], p * PANEL);
                let mut at = 0;
                if K::MOST >= 12 {
                    while at + 12 <= n {
                        self.block::<K, 12>(kernel, panel, at, from, column);
                        at += 12;
                    }
                }
                while at + 4 <= n {
                    if K::MOST >= 12 {
                        self.block::<K, 4>(kernel, panel, at, from, column);
                    } else {
                        self.block::<K, 2>(kernel, panel, at, from, column);
                        self.block::<K, 2>(kernel, panel, at + 2, from, column);
                    }
                    at += 4;
                }
                while at < n {
                    self.block::<K, 1>(kernel, panel, at, from, column);
                    at += 1;
                }
            }
        }
    }
}

impl Share<'_> {
    /// `M` rows from `at` on, their numbers from `from` on, times one panel that begins with `column`.
    #[inline(always)]
    fn block<K: Kernel, const M: usize>(
        &mut self,
        kernel: K,
        panel: &[[f32; PANEL]],
        at: usize,
        from: usize,
        column: usize,
    ) {
        let (depth, width) = (self.matrix.depth, self.matrix.width);
        let columns = PANEL.min(width - column);
        let rows: [&[f32]; M] = std::array::from_fn(|m| &self.x[(at + m) * depth + from..][..panel.len()]);
        let mut sums = [[0f32; PANEL]; M];
        // A whole panel is copied without asking how long it is.
        for (m, sums) in sums.iter_mut().enumerate() {
            let out = &self.out[(at + m) * width + column..][..columns];
            match out.as_array::<PANEL>() {
                Some(whole) => *sums = *whole,
                None => sums[..columns].copy_from_slice(out),
            }
        }
        times(kernel, rows, panel, &mut sums);
        for (m, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(at + m) * width + column..][..columns];
            match out.as_mut_array::<PANEL>() {
                Some(whole) => *whole = *sums,
                None => out.copy_from_slice(&sums[..columns]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_float64() {
        for (n, depth, width) in
            [(1, 1, 1), (3, 33, 31), (12, 64, 32), (29, 300, 65), (50, 257, 100), (200, 40, 33)]
        {
            let value = |i: usize| ((i * 7919 % 2003) as f32 - 1001.0) / 1001.0;
            let x: Vec<f32> = (0..n * depth).map(value).collect();
            let w: Vec<f32> = (0..depth * width).map(|i| value(i * 31 + 7)).collect();
            let bias: Vec<f32> = (0..width).map(|i| i as f32 / 3.0).collect();
            let matrix = Panels::new(&w, depth, width).unwrap();
            assert_eq!(matrix.dims(), [depth, width]);
            for level in Level::all() {
                for bias in [None, Some(bias.as_slice())] {
                    let got = matmul_by(level, &x, &matrix, bias);
                    for i in 0..n {
                        for j in 0..width {
                            let exact: f64 = (0..depth)
                                .map(|k| f64::from(x[i * depth + k]) * f64::from(w[k * width + j]))
                                .sum();
                            let exact = exact + bias.map_or(0.0, |bias| f64::from(bias[j]));
                            let apart = (f64::from(got[i * width + j]) - exact).abs();
                            assert!(
                                apart < 2e-6 * (depth as f64).sqrt() + 1e-6 * exact.abs() + 1e-6,
                                "{level:?}, {n} × {depth} × {width}: off by {apart}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_gives_nothing() {
        assert!(Panels::new(&[1.0; 5], 2, 3).is_none());
        let matrix = Panels::new(&[1.0; 6], 2, 3).unwrap();
        assert!(matmul(&[1.0; 3], &matrix, None).is_empty());
        assert!(matmul(&[], &matrix, None).is_empty());
    }
}
