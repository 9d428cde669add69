//! Principal components of sparse cells, without a dense matrix of cells × genes.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::variable::SparseCells;
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

const WHAT: &str = "Computing principal components";
/// Genes whose products are summed together: a block of the covariance that stays in the cache.
const GENES_TOGETHER: usize = 64;
/// Cells between two looks at the stop flag.
const CELLS_PER_CHECK: usize = 1024;
/// Columns of one block of the Krylov basis, and blocks of it.
const KRYLOV_BLOCK: usize = 32;
const KRYLOV_STEPS: usize = 20;

/// Points in some dimensions, one a cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Points {
    pub n_dims: usize,
    /// Row after row, `[cells * n_dims]`.
    pub values: Vec<f32>,
}

impl Points {
    pub(super) fn len(&self) -> usize {
        self.values.len() / self.n_dims.max(1)
    }

    pub(super) fn row(&self, cell: usize) -> &[f32] {
        &self.values[cell * self.n_dims..(cell + 1) * self.n_dims]
    }
}

/// Principal components of cells.
#[derive(Debug, Clone)]
pub(super) struct Pca {
    /// The cells on the components, `[cells, components]`.
    pub scores: Points,
    /// Variance along each component, falling.
    pub variance: Vec<f64>,
    /// The same as a share of all variance.
    pub variance_ratio: Vec<f64>,
}

/// The `n_components` directions of highest variance of `cells`, genes centred, not scaled: scanpy's `pp.pca`.
///
/// The covariance `[genes, genes]` is summed from the sparse rows, and its leading eigenvectors are found in a block
/// Krylov space (Musco and Musco 2015) that starts from `seed`. The larger loading of each component points up.
///
/// # Errors
/// [`Error::Request`] where the values cannot be taken apart; [`Error::Cancelled`].
pub(super) fn pca(cells: &SparseCells, n_components: usize, seed: u64, watch: &Watch) -> Result<Pca> {
    watch.step(WHAT, 0, None)?;
    let n_components =
        n_components.min(cells.n_genes.saturating_sub(1)).min(cells.n_cells().saturating_sub(1));
    let (covariance, means) = covariance(cells, watch)?;
    let total = (0..cells.n_genes).map(|gene| covariance[(gene, gene)]).sum::<f64>();
    let (variance, mut components) = leading(&covariance, n_components, seed, watch)?;
    for component in 0..n_components {
        let column = components.col_as_slice_mut(component);
        let largest = column.iter().copied().max_by(|x, y| x.abs().total_cmp(&y.abs())).unwrap_or(0.0);
        if largest < 0.0 {
            column.iter_mut().for_each(|loading| *loading = -*loading);
        }
    }
    let scores = project(cells, &components, &means, watch)?;
    let variance_ratio = variance.iter().map(|v| if total > 0.0 { v / total } else { 0.0 }).collect();
    Ok(Pca { scores, variance, variance_ratio })
}

/// The covariance of the genes, `[genes, genes]`, and their means. Each block of genes is summed by one thread, cell
/// after cell, so that the result does not depend on the number of threads.
fn covariance(cells: &SparseCells, watch: &Watch) -> Result<(Mat<f64>, Vec<f64>)> {
    let (n_cells, n_genes) = (cells.n_cells(), cells.n_genes);
    let mut sums = vec![0.0f64; n_genes];
    for cell in 0..n_cells {
        let (genes, values) = cells.row(cell);
        for (gene, value) in genes.iter().zip(values) {
            sums[usize::from(*gene)] += f64::from(*value);
        }
    }
    let mut products = vec![0.0f64; n_genes * n_genes];
    products.par_chunks_mut(GENES_TOGETHER * n_genes).enumerate().try_for_each(|(block, products)| {
        let low = block * GENES_TOGETHER;
        let high = low + GENES_TOGETHER;
        for cell in 0..n_cells {
            if cell % CELLS_PER_CHECK == 0 {
                watch.check()?;
            }
            let (genes, values) = cells.row(cell);
            let from = genes.partition_point(|gene| usize::from(*gene) < low);
            for at in from..genes.len() {
                let gene = usize::from(genes[at]);
                if gene >= high {
                    break;
                }
                let row = &mut products[(gene - low) * n_genes..(gene - low + 1) * n_genes];
                let value = f64::from(values[at]);
                // Each pair once: the other half follows from symmetry.
                for (other, of_other) in genes[at..].iter().zip(&values[at..]) {
                    row[usize::from(*other)] += value * f64::from(*of_other);
                }
            }
        }
        Ok::<_, Error>(())
    })?;
    let n = n_cells as f64;
    let means = sums.iter().map(|sum| sum / n).collect::<Vec<_>>();
    let covariance = Mat::from_fn(n_genes, n_genes, |i, j| {
        let (low, high) = (i.min(j), i.max(j));
        (products[low * n_genes + high] - n * means[i] * means[j]) / (n - 1.0).max(1.0)
    });
    Ok((covariance, means))
}

/// The `wanted` highest eigenvalues of a symmetric matrix, falling, and their vectors as columns.
fn leading(matrix: &Mat<f64>, wanted: usize, seed: u64, watch: &Watch) -> Result<(Vec<f64>, Mat<f64>)> {
    let n = matrix.nrows();
    let room = KRYLOV_BLOCK * KRYLOV_STEPS;
    if n <= room {
        return eigen(matrix.as_ref(), wanted);
    }
    let par = Par::rayon(0);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut block: Mat<f64> = Mat::from_fn(n, KRYLOV_BLOCK, |_, _| StandardNormal.sample(&mut rng));
    let mut basis = Mat::<f64>::zeros(n, room);
    let mut images = Mat::<f64>::zeros(n, room);
    for step in 0..KRYLOV_STEPS {
        watch.step(WHAT, step as u64, Some(KRYLOV_STEPS as u64))?;
        let first = step * KRYLOV_BLOCK;
        // Twice: where little is left of the block, the first round leaves rounding errors along the basis.
        for _ in 0..2 {
            let before = basis.subcols(0, first);
            let mut along = Mat::<f64>::zeros(first, KRYLOV_BLOCK);
            matmul(along.as_mut(), Accum::Replace, before.transpose(), block.as_ref(), 1.0, par);
            matmul(block.as_mut(), Accum::Add, before, along.as_ref(), -1.0, par);
            block = block.qr().compute_thin_Q();
        }
        basis.subcols_mut(first, KRYLOV_BLOCK).copy_from(&block);
        let mut image = Mat::<f64>::zeros(n, KRYLOV_BLOCK);
        matmul(image.as_mut(), Accum::Replace, matrix.as_ref(), block.as_ref(), 1.0, par);
        images.subcols_mut(first, KRYLOV_BLOCK).copy_from(&image);
        block = image;
    }
    let mut small = Mat::<f64>::zeros(room, room);
    matmul(small.as_mut(), Accum::Replace, basis.transpose(), images.as_ref(), 1.0, par);
    let (values, vectors) = eigen(small.as_ref(), wanted)?;
    let mut whole = Mat::<f64>::zeros(n, values.len());
    matmul(whole.as_mut(), Accum::Replace, basis.as_ref(), vectors.as_ref(), 1.0, par);
    Ok((values, whole))
}

/// The `wanted` highest eigenvalues of a small symmetric matrix, falling, and their vectors as columns.
fn eigen(matrix: MatRef<'_, f64>, wanted: usize) -> Result<(Vec<f64>, Mat<f64>)> {
    let failed = |_| {
        Error::request(Problem::new(
            "the principal components",
            "values that cannot be taken apart",
            "finite values that vary from cell to cell",
            "Choose another matrix.",
        ))
    };
    let found = matrix.self_adjoint_eigen(Side::Lower).map_err(failed)?;
    let (values, vectors) = (found.S().column_vector(), found.U());
    let n = matrix.nrows();
    // They come rising.
    let falling = (0..n).rev().take(wanted).collect::<Vec<_>>();
    let highest = falling.iter().map(|at| values[*at].max(0.0)).collect();
    Ok((highest, Mat::from_fn(n, falling.len(), |row, column| vectors[(row, falling[column])])))
}

/// The cells on the components: `(x - mean) · component`, without filling in the zeros of `x`.
fn project(cells: &SparseCells, components: &Mat<f64>, means: &[f64], watch: &Watch) -> Result<Points> {
    let n_dims = components.ncols();
    // A cell reads the loadings of its genes one after the other.
    let loadings = (0..cells.n_genes)
        .flat_map(|gene| (0..n_dims).map(move |dim| components[(gene, dim)]))
        .collect::<Vec<_>>();
    let centre = (0..n_dims)
        .map(|dim| means.iter().zip(components.col_as_slice(dim)).map(|(m, l)| m * l).sum::<f64>())
        .collect::<Vec<_>>();
    let mut values = vec![0.0f32; cells.n_cells() * n_dims];
    values.par_chunks_mut((CELLS_PER_CHECK * n_dims).max(1)).enumerate().try_for_each(
        |(block, values)| {
            watch.check()?;
            for (cell, row) in (block * CELLS_PER_CHECK..).zip(values.chunks_exact_mut(n_dims)) {
                let mut score = centre.iter().map(|c| -c).collect::<Vec<_>>();
                let (genes, of_genes) = cells.row(cell);
                for (gene, value) in genes.iter().zip(of_genes) {
                    let gene = usize::from(*gene) * n_dims;
                    for (score, loading) in score.iter_mut().zip(&loadings[gene..gene + n_dims]) {
                        *score += f64::from(*value) * loading;
                    }
                }
                for (to, score) in row.iter_mut().zip(score) {
                    *to = score as f32;
                }
            }
            Ok::<_, Error>(())
        },
    )?;
    Ok(Points { n_dims, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix with known eigenvalues: a Householder reflection of a diagonal one.
    #[test]
    fn the_krylov_space_holds_the_leading_eigenvectors() {
        let n = 900;
        let direction = (0..n).map(|i| f64::from(i as u32 % 17) - 8.0).collect::<Vec<_>>();
        let length = direction.iter().map(|x| x * x).sum::<f64>();
        let reflect =
            |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * direction[i] * direction[j] / length;
        let value = |i: usize| 100.0 / (1.0 + i as f64);
        let half = Mat::from_fn(n, n, |i, j| reflect(i, j) * value(j));
        let other = Mat::from_fn(n, n, reflect);
        let mut matrix = Mat::<f64>::zeros(n, n);
        matmul(matrix.as_mut(), Accum::Replace, half.as_ref(), other.transpose(), 1.0, Par::rayon(0));
        let (values, vectors) = leading(&matrix, 50, 1, &Watch::silent()).unwrap();
        for (at, found) in values.iter().enumerate() {
            assert!((found / value(at) - 1.0).abs() < 1e-9, "{at}: {found}");
        }
        for at in [0, 1, 49] {
            let along = (0..n).map(|i| vectors[(i, at)] * reflect(i, at)).sum::<f64>();
            assert!((along.abs() - 1.0).abs() < 1e-6, "{at}: {along}");
        }
    }

    #[test]
    fn components_are_those_worked_out_by_hand() {
        // Four cells on a line in two genes, (0, 0) (1, 2) (2, 4) (3, 6), and a third gene that is always 1.
        let mut cells = SparseCells::new(3);
        for cell in 0..4u8 {
            let x = f32::from(cell);
            let entries = [(0, x), (1, 2.0 * x), (2, 1.0)];
            cells.push(entries.into_iter().filter(|(_, value)| *value != 0.0));
        }
        let found = pca(&cells, 50, 0, &Watch::silent()).unwrap();
        assert_eq!(found.variance.len(), 2);
        // The variance of 0, √5, 2√5, 3√5.
        assert!((found.variance[0] - 25.0 / 3.0).abs() < 1e-12, "{:?}", found.variance);
        assert!((found.variance_ratio[0] - 1.0).abs() < 1e-12);
        for (cell, offset) in [-1.5f32, -0.5, 0.5, 1.5].into_iter().enumerate() {
            assert!((found.scores.row(cell)[0] - offset * 5f32.sqrt()).abs() < 1e-5);
        }
    }
}
