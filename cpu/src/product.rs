//! Products of a matrix in blocks with vectors, over all cores.

use std::ops::Range;

use rayon::prelude::*;

use crate::dot::Task;
use crate::level::{Level, dispatch};
use crate::rows::join_columns;
use crate::tiles::{HEIGHT, Tiles};
use crate::vectors::Vectors;

/// Multiplications below which handing work to other cores costs more than it saves.
const SMALL: usize = 1 << 17;
/// Vectors that a core takes at least, where it takes all rows for some of them.
const VECTORS: usize = 24;
/// Bytes of vectors that stay in a core's second cache while the matrix passes by.
const CACHE: usize = 1 << 20;
/// Shares that each core's work is cut into, so that one that is held up does not hold up all.
const SHARES: usize = 4;

/// `vectors` `[n, columns]` times `matrix` `[rows, columns]` turned round, plus `bias`, one number a row of the matrix:
/// `[n, rows]`. Vectors of another length than the matrix's rows give nothing.
pub fn product(matrix: &Tiles, vectors: &Vectors, bias: Option<&[f32]>) -> Vec<f32> {
    product_by(Level::best(), matrix, vectors, bias)
}

/// Products of one lot of vectors with several matrices: the product with each, as [`product`] gives it. One vector passes over
/// all of them in one go, since handing work to the cores takes as long as some matrices.
pub fn products(matrices: &[(&Tiles, Option<&[f32]>)], vectors: &Vectors) -> Vec<Vec<f32>> {
    let level = Level::best();
    let cores = rayon::current_num_threads().max(1);
    let fit = matrices.iter().all(|(matrix, _)| matrix.columns() == vectors.columns());
    let tiles: usize = matrices.iter().map(|(matrix, _)| matrix.tiles()).sum();
    let work = tiles * HEIGHT * vectors.columns();
    if vectors.len() != 1 || !fit || cores == 1 || work < SMALL {
        return matrices.iter().map(|(matrix, bias)| product_by(level, matrix, vectors, *bias)).collect();
    }
    let share = tiles.div_ceil(cores * SHARES).max(1);
    let mut all: Vec<Vec<f32>> = matrices.iter().map(|(matrix, _)| vec![0f32; matrix.rows()]).collect();
    let mut tasks = Vec::with_capacity(cores * SHARES + matrices.len());
    for ((matrix, bias), out) in matrices.iter().zip(&mut all) {
        let bias = bias.filter(|bias| bias.len() == matrix.rows());
        for (i, out) in out.chunks_mut(share * HEIGHT).enumerate() {
            let tiles = i * share..(i * share + share).min(matrix.tiles());
            tasks.push(Task { matrix, tiles, vectors, of_vectors: 0..1, bias, out });
        }
    }
    tasks.into_par_iter().for_each(|task| dispatch!(level, task));
    all
}

pub(crate) fn product_by(level: Level, matrix: &Tiles, vectors: &Vectors, bias: Option<&[f32]>) -> Vec<f32> {
    let (rows, columns, n) = (matrix.rows(), matrix.columns(), vectors.len());
    if n == 0 || rows == 0 || columns != vectors.columns() {
        return Vec::new();
    }
    let bias = bias.filter(|bias| bias.len() == rows);
    let run = |tiles: Range<usize>, of_vectors: Range<usize>, out: &mut [f32]| {
        dispatch!(level, Task { matrix, tiles, vectors, of_vectors, bias, out });
    };
    let (tiles, cores) = (matrix.tiles(), rayon::current_num_threads().max(1));
    let mut out = vec![0f32; n * rows];
    if cores == 1 || rows * columns * n < SMALL {
        // Whole groups of vectors, as a task must begin with one.
        let most = (CACHE / (2 * columns) / VECTORS * VECTORS).max(VECTORS);
        for (i, out) in out.chunks_mut(most * rows).enumerate() {
            run(0..tiles, i * most..i * most + out.len() / rows, out);
        }
        return out;
    }
    if n >= VECTORS * cores {
        // Each core takes some vectors and all rows.
        let share = n.div_ceil(cores).min(CACHE / (2 * columns)).next_multiple_of(VECTORS / 2).max(VECTORS);
        out.par_chunks_mut(share * rows)
            .enumerate()
            .for_each(|(i, out)| run(0..tiles, i * share..i * share + out.len() / rows, out));
        return out;
    }
    // Each core takes some rows and all vectors.
    let share = tiles.div_ceil(cores * SHARES).max(1);
    if n == 1 {
        out.par_chunks_mut(share * HEIGHT).enumerate().for_each(|(i, out)| {
            run(i * share..(i * share + share).min(tiles), 0..1, out);
        });
        return out;
    }
    let mut apart = vec![0f32; n * rows];
    apart.par_chunks_mut(share * HEIGHT * n).enumerate().for_each(|(i, out)| {
        run(i * share..(i * share + share).min(tiles), 0..n, out);
    });
    join_columns(&apart, n, share * HEIGHT, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::tests::made_up;

    #[test]
    fn products_agree_with_float64_over_the_numbers_as_stored() {
        for (rows, columns, n) in [
            (1, 1, 1),
            (3, 31, 1),
            (33, 33, 2),
            (130, 64, 31),
            (65, 257, 33),
            (300, 512, 5),
            (2, 4095, 1),
            (97, 130, 70),
            (700, 400, 1),
        ] {
            let values: Vec<f32> =
                (0..n * columns).map(|i| ((i * 7919 % 2003) as f32 - 1001.0) / 1001.0).collect();
            let bias: Vec<f32> = (0..rows).map(|i| i as f32 / 10.0).collect();
            for bits in [4, 8] {
                let (matrix, stored) = made_up(rows, columns, bits);
                let top = stored.iter().fold(0f32, |top, v| top.max(v.abs()));
                for level in Level::all() {
                    for bias in [None, Some(bias.as_slice())] {
                        let got = product_by(level, &matrix, &Vectors::new(&values, columns), bias);
                        assert_eq!(got.len(), n * rows);
                        for (i, x) in values.chunks(columns).enumerate() {
                            for (j, w) in stored.chunks(columns).enumerate() {
                                let exact: f64 =
                                    w.iter().zip(x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                                let exact = exact + bias.map_or(0.0, |bias| f64::from(bias[j]));
                                let got = f64::from(got[i * rows + j]);
                                let allowed =
                                    5e-5 * (columns as f64).sqrt() * f64::from(top) + 1e-6 * exact.abs();
                                assert!(
                                    (got - exact).abs() < allowed,
                                    "{level:?}, {rows} × {columns}, {bits} bits: {got} for {exact}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn one_core_takes_more_vectors_than_its_cache_holds() {
        let (columns, n) = (352, 1600);
        let values: Vec<f32> = (0..n * columns).map(|i| (i * 7919 % 2003) as f32 / 1001.0 - 1.0).collect();
        let (matrix, _) = made_up(3, columns, 8);
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let got = alone.install(|| product(&matrix, &Vectors::new(&values, columns), None));
        for first in [0, 1488, 1596] {
            let some = Vectors::new(&values[first * columns..(first + 4) * columns], columns);
            assert_eq!(product(&matrix, &some, None), got[first * 3..(first + 4) * 3], "from {first}");
        }
    }

    #[test]
    fn products_with_several_matrices_are_those_with_each() {
        let values: Vec<f32> = (0..2 * 300).map(|i| (i % 41) as f32 - 20.0).collect();
        let bias: Vec<f32> = (0..700).map(|i| i as f32).collect();
        let (a, b) = (made_up(700, 300, 4).0, made_up(33, 300, 8).0);
        for n in [1, 2] {
            let vectors = Vectors::new(&values[..n * 300], 300);
            let got = products(&[(&a, Some(&bias)), (&b, None)], &vectors);
            assert_eq!(got, [product(&a, &vectors, Some(&bias)), product(&b, &vectors, None)]);
        }
        let other = made_up(5, 4, 8).0;
        let got = products(&[(&a, None), (&other, None)], &Vectors::new(&values[..300], 300));
        assert_eq!(got[0].len(), 700);
        assert!(got[1].is_empty());
    }

    #[test]
    fn what_does_not_fit_gives_nothing() {
        let (matrix, _) = made_up(0, 4, 8);
        assert!(product(&matrix, &Vectors::new(&[1.0; 4], 4), None).is_empty());
        let (matrix, _) = made_up(5, 4, 8);
        assert!(product(&matrix, &Vectors::new(&[1.0; 3], 3), None).is_empty());
        assert!(product(&matrix, &Vectors::new(&[], 4), None).is_empty());
    }
}
