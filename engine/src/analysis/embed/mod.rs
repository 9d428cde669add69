//! A map and clusters of the cells, from the chosen matrix alone.
//!
//! The steps and their defaults are scanpy's: log-normalised values, highly variable genes, principal components,
//! nearest neighbours, UMAP, Leiden. Every random choice comes from one seed, and no result depends on the number of
//! threads: the same file, settings and program give the same map.

mod clusters;
mod descent;
mod graph;
mod layout;
mod neighbours;
mod pca;
mod random;
#[cfg(test)]
mod tests;
mod variable;

pub use neighbours::Neighbours;

use super::LogNormalised;
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

/// Fewest cells of which a map says anything.
const FEWEST_CELLS: usize = 4;

/// How a map is computed.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedSettings {
    /// Highly variable genes to go by.
    pub n_top_genes: usize,
    /// Principal components to keep.
    pub n_components: usize,
    /// Neighbours of each cell, itself among them.
    pub n_neighbours: usize,
    /// How fine the clusters are: more and smaller ones above 1.
    pub resolution: f64,
    /// Decides every random choice.
    pub seed: u64,
}

impl Default for EmbedSettings {
    fn default() -> Self {
        Self { n_top_genes: 2_000, n_components: 50, n_neighbours: 15, resolution: 1.0, seed: 0 }
    }
}

/// A map and clusters of all cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The UMAP, `[n_obs]`.
    pub positions: Vec<[f32; 2]>,
    /// The first two principal components, `[n_obs]`.
    pub components: Vec<[f32; 2]>,
    /// The cluster of each cell, `[n_obs]`; 0 is the largest.
    pub clusters: Vec<u32>,
    /// Clusters.
    pub n_clusters: usize,
    /// Modularity of the clusters.
    pub modularity: f64,
    /// Columns of the matrix that were gone by, rising.
    pub variable_genes: Vec<usize>,
    /// Variance along each principal component, falling.
    pub variance: Vec<f64>,
    /// The same as a share of all variance of these genes.
    pub variance_ratio: Vec<f64>,
}

/// Computes a map and clusters.
///
/// # Cost
/// Two passes over the matrix. In memory: the values of the variable genes (6 bytes for each that is not zero), their
/// covariance (32 MB for 2,000), and some hundred bytes for each cell and neighbour.
///
/// # Errors
/// [`Error::Request`] where there are too few cells or no gene varies, or a setting makes no sense; what reading fails
/// with; [`Error::Cancelled`].
pub fn embed(values: &LogNormalised<'_>, settings: &EmbedSettings, watch: &Watch) -> Result<Embedded> {
    let (variable_genes, pca::Pca { scores, variance, variance_ratio }) =
        components(values, settings, watch)?;
    let neighbours = neighbours::neighbours(&scores, settings.n_neighbours, settings.seed, watch)?;
    let graph = graph::fuzzy_union(&neighbours);
    drop(neighbours);
    let positions = layout::lay_out(&graph, &scores, settings.seed, watch)?;
    let clusters = clusters::leiden(&graph, settings.resolution, settings.seed, watch)?;
    let first_two = |cell: usize| {
        let row = scores.row(cell);
        [row.first().copied().unwrap_or(0.0), row.get(1).copied().unwrap_or(0.0)]
    };
    Ok(Embedded {
        positions,
        components: (0..scores.len()).map(first_two).collect(),
        clusters: clusters.of,
        n_clusters: clusters.count,
        modularity: clusters.modularity,
        variable_genes,
        variance,
        variance_ratio,
    })
}

/// Which cells are alike.
#[derive(Debug, Clone)]
pub struct Alike {
    /// Of each cell the nearest ones, itself the first.
    pub nearest: Neighbours,
    /// For each resolution that was asked for the cluster of each cell, `[resolutions][n_obs]`.
    pub clusters: Vec<Vec<u32>>,
}

/// Finds the cells that are alike: the nearest neighbours along the principal components of the most variable genes, and
/// their clusters at each of `resolutions` (in place of that of `settings`). It is what [`embed`] does without the map.
///
/// # Errors
/// As [`embed`].
pub fn alike_cells(
    values: &LogNormalised<'_>,
    settings: &EmbedSettings,
    resolutions: &[f64],
    watch: &Watch,
) -> Result<Alike> {
    let (_, pca::Pca { scores, .. }) = components(values, settings, watch)?;
    let nearest = neighbours::neighbours(&scores, settings.n_neighbours, settings.seed, watch)?;
    drop(scores);
    let graph = graph::fuzzy_union(&nearest);
    let at = |resolution: &f64| clusters::leiden(&graph, *resolution, settings.seed, watch);
    let clusters = resolutions.iter().map(|resolution| Ok(at(resolution)?.of)).collect::<Result<Vec<_>>>()?;
    Ok(Alike { nearest, clusters })
}

/// The most variable genes, and the principal components of their values.
fn components(
    values: &LogNormalised<'_>,
    settings: &EmbedSettings,
    watch: &Watch,
) -> Result<(Vec<usize>, pca::Pca)> {
    check(values, settings)?;
    let variable_genes = variable::highly_variable(values, settings.n_top_genes, watch)?;
    let cells = variable::gather(values, &variable_genes, watch)?;
    let components = pca::pca(&cells, settings.n_components, settings.seed, watch)?;
    Ok((variable_genes, components))
}

fn check(values: &LogNormalised<'_>, settings: &EmbedSettings) -> Result<()> {
    let n_cells = values.n_cells();
    if n_cells < FEWEST_CELLS {
        return Err(Error::request(Problem::new(
            "obs",
            format!("{n_cells} cells"),
            format!("at least {FEWEST_CELLS}"),
            "So few cells need no map: look at them in the list.",
        )));
    }
    let wrong = |name: &str, found: String, expected: &str| {
        Err(Error::request(Problem::new(name, found, expected, "Change the setting.")))
    };
    if settings.n_top_genes < 3 {
        return wrong("the number of variable genes", settings.n_top_genes.to_string(), "at least 3");
    }
    if settings.n_components < 2 {
        return wrong("the number of principal components", settings.n_components.to_string(), "at least 2");
    }
    if !(2..=200).contains(&settings.n_neighbours) {
        return wrong("the number of neighbours", settings.n_neighbours.to_string(), "2 to 200");
    }
    if !settings.resolution.is_finite() || settings.resolution <= 0.0 {
        return wrong("the resolution of clusters", settings.resolution.to_string(), "a number above 0");
    }
    Ok(())
}
