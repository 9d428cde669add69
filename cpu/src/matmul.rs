//! Products of float32 matrices.

use std::ops::Range;

use rayon::prelude::*;

use crate::level::{Level, Work, dispatch};
use crate::panel::{Kernel, PANEL, Row, times};
use crate::rows::join_columns;

/// Rows of a panel that stay in the second cache while rows pass over them.
const DEPTH: usize = 1152;
/// Rows that one core takes at a time: what it reads of them stays in its second cache.
const ROWS: usize = 96;
/// Rows that pass over a panel together at most.
const TOGETHER: usize = 12;
/// Multiplications below which handing work to other cores costs more than it saves.
const SMALL: usize = 1 << 17;

/// A matrix `[depth, width]` in panels of 32 columns, the last filled up with zeros.
#[derive(Debug, Clone)]
pub struct Panels {
    depth: usize,
    width: usize,
    /// Panel by panel, each `[depth, 32]`.
    rows: Vec<Row>,
}

impl Panels {
    /// Panels of `values`, `[depth, width]` row by row; `None` where they are not as many.
    pub fn new(values: &[f32], depth: usize, width: usize) -> Option<Self> {
        if values.len() != depth.checked_mul(width)? {
            return None;
        }
        let mut rows = vec![Row::ZERO; width.div_ceil(PANEL) * depth];
        rows.par_chunks_mut(depth.max(1)).enumerate().for_each(|(p, panel)| {
            let columns = p * PANEL..((p + 1) * PANEL).min(width);
            for (row, values) in panel.iter_mut().zip(values.chunks_exact(width)) {
                row.0[..columns.len()].copy_from_slice(&values[columns.clone()]);
            }
        });
        Some(Self { depth, width, rows })
    }

    /// [`Panels::new`] of `values` turned round: `[width, depth]` row by row.
    pub fn of_turned(values: &[f32], depth: usize, width: usize) -> Option<Self> {
        if values.len() != depth.checked_mul(width)? {
            return None;
        }
        let mut rows = vec![Row::ZERO; width.div_ceil(PANEL) * depth];
        let depth_or_one = depth.max(1);
        let panels = rows.par_chunks_mut(depth_or_one).zip(values.par_chunks(PANEL * depth_or_one));
        panels.for_each(|(panel, columns)| {
            for (lane, column) in columns.chunks_exact(depth_or_one).enumerate() {
                for (row, value) in panel.iter_mut().zip(column) {
                    row.0[lane] = *value;
                }
            }
        });
        Some(Self { depth, width, rows })
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        [self.depth, self.width]
    }

    /// All numbers turned round, `[width, depth]` row by row.
    pub fn turned(&self) -> Vec<f32> {
        let column = |j: usize| {
            let panel = &self.rows[j / PANEL * self.depth..][..self.depth];
            panel.iter().map(move |row| row.0[j % PANEL])
        };
        (0..self.width).flat_map(column).collect()
    }
}

/// `x` `[n, depth]` times `matrix` `[depth, width]` plus `bias` `[width]`: `[n, width]`. What does not fit gives nothing.
pub fn matmul(x: &[f32], matrix: &Panels, bias: Option<&[f32]>) -> Vec<f32> {
    let mut out = Vec::new();
    matmul_by(Level::best(), x, matrix, bias, &mut out);
    out
}

/// [`matmul`] into `out`, whatever it held: room that is used again need not be found and cleared.
pub fn matmul_into(x: &[f32], matrix: &Panels, bias: Option<&[f32]>, out: &mut Vec<f32>) {
    matmul_by(Level::best(), x, matrix, bias, out);
}

fn matmul_by(level: Level, x: &[f32], matrix: &Panels, bias: Option<&[f32]>, out: &mut Vec<f32>) {
    let Panels { depth, width, .. } = *matrix;
    if depth == 0 || width == 0 || !x.len().is_multiple_of(depth) {
        return out.clear();
    }
    let (n, n_panels) = (x.len() / depth, width.div_ceil(PANEL));
    let bias = bias.filter(|bias| bias.len() == width);
    out.resize(n * width, 0.0);
    let run = |x: &[f32], panels: Range<usize>, out: &mut [f32]| {
        dispatch!(level, Share { x, matrix, panels, bias, out });
    };
    let cores = rayon::current_num_threads().max(1);
    if cores == 1 || n * depth * width < SMALL {
        let shares = out.chunks_mut(ROWS * width).zip(x.chunks(ROWS * depth));
        return shares.for_each(|(out, x)| run(x, 0..n_panels, out));
    }
    if n >= 2 * cores * TOGETHER {
        let share = n.div_ceil(2 * cores).min(ROWS).next_multiple_of(TOGETHER);
        let shares = out.par_chunks_mut(share * width).zip(x.par_chunks(share * depth));
        return shares.for_each(|(out, x)| run(x, 0..n_panels, out));
    }
    // Too few rows to part: each core takes some columns of all of them.
    let share = n_panels.div_ceil(2 * cores);
    let panels = |i: usize| i * share..((i + 1) * share).min(n_panels);
    if n == 1 {
        let shares = out.par_chunks_mut(share * PANEL).enumerate();
        return shares.for_each(|(i, out)| run(x, panels(i), out));
    }
    let mut apart = vec![0f32; n * width];
    apart.par_chunks_mut(share * PANEL * n).enumerate().for_each(|(i, out)| run(x, panels(i), out));
    join_columns(&apart, n, share * PANEL, out);
}

/// Some rows, some panels, and where their products go: `[rows, columns of the panels]`.
struct Share<'a> {
    x: &'a [f32],
    matrix: &'a Panels,
    panels: Range<usize>,
    bias: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl<K: Kernel> Work<K> for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn on(mut self, kernel: K) {
        let depth = self.matrix.depth;
        let n = self.x.len() / depth;
        let mut room = vec![0f32; n * DEPTH.min(depth)];
        for from in (0..depth).step_by(DEPTH) {
            let of = from..(from + DEPTH).min(depth);
            let packed = &mut room[..n * of.len()];
            self.pack::<K>(packed, of.clone());
            for p in self.panels.clone() {
                let panel = &self.matrix.rows[p * depth..][of.clone()];
                let mut at = 0;
                while at < n {
                    let place = Place { row: at, panel: p, is_first: from == 0 };
                    let own = &packed[at * panel.len()..];
                    at += match together::<K>(n - at) {
                        12 => self.block::<K, 12>(kernel, own, panel, place),
                        4 => self.block::<K, 4>(kernel, own, panel, place),
                        2 => self.block::<K, 2>(kernel, own, panel, place),
                        _ => self.block::<K, 1>(kernel, own, panel, place),
                    };
                }
            }
        }
    }
}

/// How many of `left` rows pass over a panel together.
#[inline(always)]
fn together<K: Kernel>(left: usize) -> usize {
    let most = if K::MOST >= TOGETHER { [TOGETHER, 4, 2] } else { [2; 3] };
    most.into_iter().find(|m| *m <= left).unwrap_or(1)
}

/// Where a product belongs.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    panel: usize,
    /// Whether nothing was summed up for it yet.
    is_first: bool,
}

impl Share<'_> {
    /// The numbers `of` of all rows, those that pass over panels together side by side.
    #[inline(always)]
    fn pack<K: Kernel>(&self, packed: &mut [f32], of: Range<usize>) {
        let depth = self.matrix.depth;
        let n = self.x.len() / depth;
        let mut at = 0;
        while at < n {
            let m = together::<K>(n - at);
            let to = &mut packed[at * of.len()..][..m * of.len()];
            for i in 0..m {
                let row = &self.x[(at + i) * depth..][of.clone()];
                for (to, x) in to.chunks_exact_mut(m).zip(row) {
                    to[i] = *x;
                }
            }
            at += m;
        }
    }

    /// Adds `M` rows, packed in `own`, times `panel`. Gives `M`.
    #[inline(always)]
    fn block<K: Kernel, const M: usize>(
        &mut self,
        kernel: K,
        own: &[f32],
        panel: &[Row],
        place: Place,
    ) -> usize {
        let begin = self.panels.start * PANEL;
        let width = (self.panels.end * PANEL).min(self.matrix.width) - begin;
        let column = place.panel * PANEL - begin;
        let columns = PANEL.min(width - column);
        let mut sums = [[0f32; PANEL]; M];
        for (m, sums) in sums.iter_mut().enumerate() {
            if !place.is_first {
                copy(&self.out[(place.row + m) * width + column..][..columns], sums);
            } else if let Some(bias) = self.bias {
                copy(&bias[place.panel * PANEL..][..columns], sums);
            }
        }
        times(kernel, own.as_chunks::<M>().0, panel, &mut sums);
        for (m, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(place.row + m) * width + column..][..columns];
            match out.as_mut_array::<PANEL>() {
                Some(whole) => *whole = *sums,
                None => out.copy_from_slice(&sums[..columns]),
            }
        }
        M
    }
}

/// Copies a row of a panel, a whole one without asking how long it is.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32; PANEL]) {
    match from.as_array::<PANEL>() {
        Some(whole) => *to = *whole,
        None => to[..from.len()].copy_from_slice(from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks products of made-up numbers at all levels; `allowed` says how far off one may be, by its exact value and by the
    /// sum of the magnitudes that were added up.
    fn check([n, depth, width]: [usize; 3], allowed: impl Fn(f64, f64) -> f64) {
        let value = |i: usize| ((i * 7919 % 2003) as f32 - 1001.0) / 1001.0;
        let x: Vec<f32> = (0..n * depth).map(value).collect();
        let w: Vec<f32> = (0..depth * width).map(|i| value(i * 31 + 7)).collect();
        let bias: Vec<f32> = (0..width).map(|i| i as f32 / 3.0).collect();
        let matrix = Panels::new(&w, depth, width).unwrap();
        assert_eq!(matrix.dims(), [depth, width]);
        // Room that held something else.
        let mut got = vec![7.0; 5];
        for level in Level::all() {
            for bias in [None, Some(bias.as_slice())] {
                matmul_by(level, &x, &matrix, bias, &mut got);
                assert_eq!(got.len(), n * width);
                for (at, got) in got.iter().enumerate() {
                    let (i, j) = (at / width, at % width);
                    let (mut exact, mut magnitude) = (bias.map_or(0.0, |bias| f64::from(bias[j])), 0.0);
                    for k in 0..depth {
                        let product = f64::from(x[i * depth + k]) * f64::from(w[k * width + j]);
                        exact += product;
                        magnitude += product.abs();
                    }
                    let apart = (f64::from(*got) - exact).abs();
                    assert!(
                        apart < allowed(exact, magnitude),
                        "{level:?}, {n} × {depth} × {width}: off by {apart}"
                    );
                }
            }
        }
    }

    #[test]
    fn products_agree_with_float64() {
        for dims in [[1, 1, 1], [3, 33, 31], [12, 64, 32], [29, 300, 65], [50, 257, 100], [200, 40, 33]] {
            check(dims, |exact, _| 2e-6 * (dims[1] as f64).sqrt() + 1e-6 * exact.abs() + 1e-6);
        }
    }

    #[test]
    fn products_agree_with_float64_where_columns_or_depth_are_parted() {
        for dims in [[1, 1200, 200], [7, 1500, 300], [100, 2400, 40]] {
            check(dims, |_, magnitude| 1e-6 * magnitude);
        }
    }

    #[test]
    fn a_matrix_is_the_same_whichever_way_round_it_came() {
        for (depth, width) in [(1, 1), (5, 70), (40, 32)] {
            let values: Vec<f32> = (0..depth * width).map(|i| i as f32).collect();
            let matrix = Panels::new(&values, depth, width).unwrap();
            let turned = matrix.turned();
            assert!((0..depth * width).all(|i| turned[i % width * depth + i / width] == values[i]));
            assert_eq!(Panels::of_turned(&turned, depth, width).unwrap().turned(), turned);
        }
    }

    #[test]
    fn what_does_not_fit_gives_nothing() {
        assert!(Panels::new(&[1.0; 5], 2, 3).is_none() && Panels::of_turned(&[1.0; 5], 2, 3).is_none());
        let matrix = Panels::new(&[1.0; 6], 2, 3).unwrap();
        assert!(matmul(&[1.0; 3], &matrix, None).is_empty());
        assert!(matmul(&[], &matrix, None).is_empty());
    }
}
