//! Products of a matrix in blocks with vectors, over all cores.

use rayon::prelude::*;

use super::blocks::Blocks;
use super::dot::{Task, Vectors};

/// Rows that one core takes at a time, where there are few vectors.
const ROWS: usize = 64;
/// Vectors that one core takes at a time, where there are many.
const VECTORS: usize = 32;
/// Multiplications below which handing work to other cores costs more than it saves.
const SMALL: usize = 1 << 17;

/// `values` `[n, columns]` times `matrix` `[rows, columns]` turned round: `[n, rows]`.
pub fn product(matrix: &Blocks, values: &[f32]) -> Vec<f32> {
    let (height, columns) = (matrix.rows(), matrix.columns());
    let n = values.len() / columns.max(1);
    if n == 0 || height == 0 {
        return Vec::new();
    }
    let vectors = &Vectors::new(values, columns);
    let mut out = vec![0f32; height * n];
    if height * columns * n < SMALL {
        let steps = [1, height];
        Task { matrix, rows: 0..height, vectors, of_vectors: 0..n, out: &mut out, steps }.run();
        return out;
    }
    // Only where that gives every core a share.
    if n >= VECTORS * rayon::current_num_threads().max(2) {
        out.par_chunks_mut(VECTORS * height).enumerate().for_each(|(i, out)| {
            let of_vectors = i * VECTORS..i * VECTORS + out.len() / height;
            Task { matrix, rows: 0..height, vectors, of_vectors, out, steps: [1, height] }.run();
        });
        return out;
    }
    // Each core fills rows of its own, `[rows, n]`.
    let mut turned = vec![0f32; height * n];
    turned.par_chunks_mut(ROWS * n).enumerate().for_each(|(i, out)| {
        let rows = i * ROWS..i * ROWS + out.len() / n;
        Task { matrix, rows, vectors, of_vectors: 0..n, out, steps: [n, 1] }.run();
    });
    if n == 1 {
        return turned;
    }
    for (row, products) in turned.chunks_exact(n).enumerate() {
        for (k, product) in products.iter().enumerate() {
            out[k * height + row] = *product;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::super::Bits;
    use super::*;

    #[test]
    fn products_agree_with_float64_over_the_numbers_as_stored() {
        let mut rng = StdRng::seed_from_u64(11);
        let mut draw = |n: usize| (0..n).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect::<Vec<_>>();
        for (height, columns, n) in [
            (1, 1, 1),
            (3, 31, 1),
            (33, 33, 2),
            (130, 64, 31),
            (65, 257, 33),
            (300, 512, 5),
            (2, 4095, 1),
            (97, 130, 70),
        ] {
            let (weights, values) = (draw(height * columns), draw(n * columns));
            for bits in [Bits::Four, Bits::Eight] {
                let matrix = Blocks::quantise(&weights, height, columns, bits);
                let stored = matrix.values();
                let got = product(&matrix, &values);
                assert_eq!(got.len(), n * height);
                for (i, x) in values.chunks(columns).enumerate() {
                    for (j, w) in stored.chunks(columns).enumerate() {
                        let exact: f64 = w.iter().zip(x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        let (got, size) = (f64::from(got[i * height + j]), (columns as f64).sqrt());
                        assert!(
                            (got - exact).abs() < 5e-5 * size,
                            "{height}×{columns}, {bits}: {got} {exact}"
                        );
                    }
                }
            }
        }
        assert!(product(&Blocks::quantise(&[], 0, 4, Bits::Eight), &[1.0; 4]).is_empty());
    }
}
