//! Maps and clusters that were computed here: how they join the data set that faces see.

use std::iter::zip;

use serde_json::{Value, json};

use super::dataset::in_order_of_use;
use super::event::{Dataset, Embedding};
use crate::analysis::{EmbedSettings, Embedded};
use crate::anndata::{Column, MatrixKey, Values};

/// The name of a computed map, and where the file has one of that name.
const MAP: &str = "X_umap";
const MAP_BESIDE_ANOTHER: &str = "X_umap_cell2text";
/// The name of the first two principal components.
const COMPONENTS: &str = "X_pca_cell2text";
/// The name of the column of clusters.
const CLUSTERS: &str = "c2t_cluster";

/// A computed map and its clusters.
#[derive(Debug)]
pub(super) struct Computed {
    pub map: Embedded,
    settings: EmbedSettings,
    matrix: MatrixKey,
}

impl Computed {
    pub(super) fn new(map: Embedded, settings: EmbedSettings, matrix: MatrixKey) -> Self {
        Self { map, settings, matrix }
    }

    /// Adds map, components and clusters to a data set without any computed ones.
    pub(super) fn add_to(&self, dataset: &mut Dataset) {
        let taken = |name: &str| dataset.embeddings.iter().any(|embedding| embedding.name == name);
        let map = if taken(MAP) { MAP_BESIDE_ANOTHER } else { MAP };
        let added = [(map, &self.map.positions), (COMPONENTS, &self.map.components)];
        // A file that was saved with our own names keeps its own.
        let added = added.into_iter().filter(|(name, _)| !taken(name)).collect::<Vec<_>>();
        dataset.embeddings.extend(
            added
                .into_iter()
                .map(|(name, positions)| Embedding { name: name.to_owned(), positions: positions.clone() }),
        );
        in_order_of_use(&mut dataset.embeddings);
        let name = free_name(dataset);
        dataset.obs.columns.push(Column { name, values: self.labels() });
        // What was said of a file without a map holds no longer.
        dataset.findings.retain(|finding| finding.element != "obsm");
    }

    /// Takes away what [`Computed::add_to`] added.
    pub(super) fn take_from(&self, dataset: &mut Dataset) {
        let ours = [&self.map.positions, &self.map.components];
        let same = |positions: &[[f32; 2]], of: &[[f32; 2]]| {
            positions.len() == of.len() && zip(positions, of).all(|(x, y)| x == y)
        };
        dataset.embeddings.retain(|embedding| {
            let named = [MAP, MAP_BESIDE_ANOTHER, COMPONENTS].contains(&embedding.name.as_str());
            !(named && ours.iter().any(|of| same(&embedding.positions, of)))
        });
        let labels = self.labels();
        dataset.obs.columns.retain(|column| !(column.name.starts_with(CLUSTERS) && column.values == labels));
    }

    /// The clusters as a column: `0` is the largest.
    fn labels(&self) -> Values {
        Values::Categorical {
            codes: self.map.clusters.iter().map(|cluster| *cluster as i32).collect(),
            categories: (0..self.map.n_clusters).map(|cluster| cluster.to_string()).collect(),
            ordered: false,
        }
    }

    /// What the provenance says of it.
    pub(super) fn describe(&self) -> Value {
        json!({
            "kind": "map and clusters",
            "matrix": self.matrix.to_string(),
            "steps": [
                "log1p of counts per 10,000 (logs as in the file)",
                "highly variable genes, Seurat's way",
                "principal components, genes centred, not scaled",
                "nearest neighbours, Euclidean",
                "UMAP, least distance 0.5, spread 1, from the first two components",
                "Leiden, modularity",
            ],
            "variable_genes": self.map.variable_genes.len(),
            "components": self.map.variance_ratio.len(),
            "neighbours": self.settings.n_neighbours,
            "resolution": self.settings.resolution,
            "seed": self.settings.seed,
            "clusters": self.map.n_clusters,
            "modularity": self.map.modularity,
        })
    }
}

/// A name for the column of clusters that obs does not have.
fn free_name(dataset: &Dataset) -> String {
    let mut name = CLUSTERS.to_owned();
    let mut number = 2;
    while dataset.obs.column(&name).is_some() {
        name = format!("{CLUSTERS}_{number}");
        number += 1;
    }
    name
}
