//! Where the vectors of genes begin: their loadings on the principal components of the mean profiles.
//!
//! A fresh table of random vectors has to learn from single cells which genes go together; the profiles say so before
//! the first step. This is latent semantic analysis (Deerwester et al. 1990), with profiles for documents.

use faer::{Mat, Side};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal};

use super::corpus::Corpus;
use super::sources::SourceForm;
use crate::error::Problem;
use crate::genes::GeneTable;
use crate::tokens::GeneDictionary;
use crate::{Error, Result};

/// Added to each gene's standard deviation before it is divided by: genes that hardly vary stay small.
const SPREAD_FLOOR: f64 = 0.05;

/// Vectors of all tokens, `[vocabulary, width]` row by row, their standard deviation `std`.
///
/// Profiles are taken as ln(1 + counts per 10,000), each gene centred and divided by its spread over the profiles.
/// A component counts with the square root of its singular value. Tokens that are no gene of a profile, and components
/// beyond the number of profiles, are drawn from a normal distribution.
///
/// # Errors
/// [`Error::Train`] when the components cannot be found.
pub(super) fn principal_components(
    corpus: &Corpus,
    genes: &GeneDictionary,
    width: usize,
    std: f32,
    seed: u64,
) -> Result<Vec<f32>> {
    let wrong = |found: String| {
        Error::train(Problem::new(
            "encoder.gene_vectors",
            found,
            "mean profiles that differ",
            "Set gene_vectors = \"random\" in the recipe.",
        ))
    };
    let table = GeneTable::builtin()?;
    let token_of: Vec<Option<u32>> =
        corpus.genes.iter().map(|&g| genes.token_and_median(table.ensembl_id(g)).map(|(t, _)| t)).collect();
    let rows: Vec<_> = corpus
        .sources
        .iter()
        .filter(|s| s.form == SourceForm::Profiles)
        .flat_map(|s| &s.rows)
        .map(|r| &r.values)
        .collect();
    let vocabulary = genes.vocabulary_size();
    let mut logged = Mat::<f64>::zeros(rows.len(), vocabulary);
    for (i, row) in rows.iter().enumerate() {
        let unit = 1e4 / row.total().max(f64::MIN_POSITIVE);
        for (gene, value) in row.iter() {
            if let Some(Some(token)) = token_of.get(gene as usize) {
                logged[(i, *token as usize)] = (f64::from(value) * unit).ln_1p();
            }
        }
    }
    let n = rows.len().max(1) as f64;
    for token in 0..vocabulary {
        let mean = (0..rows.len()).map(|i| logged[(i, token)]).sum::<f64>() / n;
        let variance = (0..rows.len()).map(|i| (logged[(i, token)] - mean).powi(2)).sum::<f64>() / n;
        let unit = 1.0 / (variance.sqrt() + SPREAD_FLOOR);
        (0..rows.len()).for_each(|i| logged[(i, token)] = (logged[(i, token)] - mean) * unit);
    }
    // The left singular vectors, from the small matrix of products between profiles.
    let products = &logged * logged.transpose();
    let eigen = products.self_adjoint_eigen(Side::Lower).map_err(|e| wrong(format!("{e:?}")))?;
    let values = eigen.S().column_vector();
    let n_components = width.min(rows.len());
    let mut loadings = logged.transpose() * eigen.U();
    for k in 0..rows.len() {
        // Dividing by the singular value gives unit vectors; its square root is then their weight.
        let weight = values[k].max(0.0).powf(-0.25);
        (0..vocabulary).for_each(|t| loadings[(t, k)] *= if weight.is_finite() { weight } else { 0.0 });
    }
    let known: Vec<usize> = token_of.iter().flatten().map(|&t| t as usize).collect();
    // Eigenvalues come in rising order: the last are the first components.
    let component = |k: usize| rows.len() - 1 - k;
    let squares: f64 = known
        .iter()
        .map(|&t| (0..n_components).map(|k| loadings[(t, component(k))].powi(2)).sum::<f64>())
        .sum();
    let spread = (squares / (known.len() * n_components).max(1) as f64).sqrt();
    if !(spread > 0.0 && spread.is_finite()) {
        return Err(wrong(format!("a spread of {spread}")));
    }
    let mut rng = StdRng::seed_from_u64(seed);
    let normal = Normal::new(0.0, std).map_err(|e| wrong(e.to_string()))?;
    let mut vectors: Vec<f32> = (0..vocabulary * width).map(|_| normal.sample(&mut rng)).collect();
    for t in known {
        for k in 0..n_components {
            vectors[t * width + k] = (loadings[(t, component(k))] / spread) as f32 * std;
        }
    }
    Ok(vectors)
}
