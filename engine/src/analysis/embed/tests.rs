//! Maps of real cells against scanpy, umap-learn and leidenalg.

use std::collections::BTreeSet;

use serde_json::Value;

use super::neighbours::{Neighbours, squared_distance};
use super::pca::{Pca, Points};
use super::*;
use crate::anndata::{AnnData, Matrix, MatrixKey, Scale};
use crate::progress::Cancel;
use crate::test_support::{say, shared_file};

/// Made by tests/python/analysis_expectations.py.
fn expected() -> Value {
    serde_json::from_str(include_str!("../../../../tests/expected/embed_pbmc3k.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn pbmc3k() -> Option<Matrix> {
    let data = AnnData::open(&shared_file("data/cells/pbmc3k_seurat.h5ad")?, &Watch::silent()).unwrap();
    Some(data.matrix(&MatrixKey::X).unwrap())
}

fn components(matrix: &Matrix) -> (Vec<usize>, Pca) {
    let values = LogNormalised::new(matrix, Scale::Counts, None).unwrap();
    let genes = variable::highly_variable(&values, 2_000, &Watch::silent()).unwrap();
    let cells = variable::gather(&values, &genes, &Watch::silent()).unwrap();
    (genes, pca::pca(&cells, 50, 0, &Watch::silent()).unwrap())
}

fn recall(found: &Neighbours, exact: &Neighbours) -> f64 {
    let hits = (0..exact.len())
        .map(|cell| {
            let wanted = exact.row(cell).0;
            found.row(cell).0.iter().filter(|id| wanted.contains(id)).count()
        })
        .sum::<usize>();
    hits as f64 / exact.ids.len() as f64
}

/// scikit-learn's `trustworthiness`: how far from each cell its `k` neighbours on the map truly are.
fn trustworthiness(points: &Points, map: &[[f32; 2]], k: usize) -> f64 {
    let n = points.len();
    let flat = Points { n_dims: 2, values: map.as_flattened().to_vec() };
    let on_map = neighbours::exact(&flat, k + 1, &Watch::silent()).unwrap();
    let penalty = (0..n)
        .map(|cell| {
            let from = points.row(cell);
            let mut order = (0..n as u32)
                .filter(|id| *id as usize != cell)
                .map(|id| (squared_distance(from, points.row(id as usize)), id))
                .collect::<Vec<_>>();
            order.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
            let mut rank = vec![0usize; n];
            for (at, (_, id)) in order.iter().enumerate() {
                rank[*id as usize] = at + 1;
            }
            let near = &on_map.row(cell).0[1..];
            near.iter().map(|id| rank[*id as usize].saturating_sub(k)).sum::<usize>()
        })
        .sum::<usize>() as f64;
    let (n, k) = (n as f64, k as f64);
    1.0 - penalty * 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0))
}

#[test]
fn variable_genes_and_their_components_are_scanpys() {
    let Some(matrix) = pbmc3k() else { return };
    let expected = expected();
    let (genes, found) = components(&matrix);
    let theirs = expected["highly_variable"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize);
    let theirs = theirs.collect::<BTreeSet<_>>();
    let shared = genes.iter().filter(|gene| theirs.contains(gene)).count();
    assert_eq!(genes.len(), 2_000);
    assert!(shared as f64 >= 0.98 * theirs.len() as f64, "{shared} of {}", theirs.len());
    for (ours, theirs) in [
        (&found.variance, &expected["explained_variance"]),
        (&found.variance_ratio, &expected["explained_variance_ratio"]),
    ] {
        let theirs = numbers(theirs);
        assert_eq!(ours.len(), 50);
        for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            assert!((ours / theirs - 1.0).abs() < 1e-3, "component {at}: {ours} {theirs}");
        }
    }
    // Scores have the variance that is said of them.
    for component in [0, 10, 49] {
        let column = (0..found.scores.len()).map(|cell| f64::from(found.scores.row(cell)[component]));
        let square = column.map(|x| x * x).sum::<f64>() / (found.scores.len() - 1) as f64;
        assert!((square / found.variance[component] - 1.0).abs() < 1e-4, "{component}");
    }
}

#[test]
fn the_map_keeps_neighbours_as_well_as_umap_learn_and_the_clusters_are_as_good_as_leidenalgs() {
    let Some(matrix) = pbmc3k() else { return };
    let expected = expected();
    let (_, Pca { scores, .. }) = components(&matrix);
    let exact = neighbours::exact(&scores, 15, &Watch::silent()).unwrap();
    let by_descent = descent::descend(&scores, 15, 0, &Watch::silent()).unwrap();
    let share = recall(&by_descent, &exact);
    assert!(share >= 0.95, "recall {share}");

    let graph = graph::fuzzy_union(&exact);
    let theirs = &expected["connectivities"];
    let weights = graph.weights().iter().copied().map(f64::from).sum::<f64>();
    assert!((weights / theirs["sum"].as_f64().unwrap() - 1.0).abs() < 1e-3, "{weights} {theirs}");
    assert!((graph.weights().len() as f64 / theirs["entries"].as_f64().unwrap() - 1.0).abs() < 1e-3);

    let map = layout::lay_out(&graph, &scores, 0, &Watch::silent()).unwrap();
    let found = trustworthiness(&scores, &map, 15);
    let theirs = numbers(&expected["trustworthiness_umap_learn"]);
    let best = theirs.iter().copied().fold(0.0, f64::max);
    say(&format!("trustworthiness {found:.4}, umap-learn {theirs:.4?}; recall of descent {share:.4}"));
    assert!(found > best - 0.01, "{found}, umap-learn {theirs:?}");

    let clusters = clusters::leiden(&graph, 1.0, 0, &Watch::silent()).unwrap();
    let theirs = expected["leiden_modularity"].as_f64().unwrap();
    say(&format!(
        "modularity {:.4} in {} clusters, leidenalg {theirs:.4} in {}",
        clusters.modularity, clusters.count, expected["leiden_clusters"]
    ));
    assert!(clusters.modularity > theirs - 0.01, "{} {theirs}", clusters.modularity);
}

#[test]
fn the_same_components_are_laid_out_as_trustworthily_as_by_umap_learn() {
    // Components that stand in the file: both programs begin with the very same numbers.
    let Some(path) = shared_file("data/cells/breast_visium_hbca2504.h5ad") else { return };
    let data = AnnData::open(&path, &Watch::silent()).unwrap();
    let read = data.obsm("X_pca").unwrap();
    // Made by tests/python/umap_expectations.py.
    let expected = include_str!("../../../../tests/expected/umap_breast_visium.json");
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(serde_json::json!([read.rows, read.cols]), expected["shape"]);
    let sizes = read.values.iter().map(|v| f64::from(v.abs())).sum::<f64>();
    assert!((sizes / expected["sum_of_sizes"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    let points = Points { n_dims: read.cols, values: read.values };

    let exact = neighbours::exact(&points, 15, &Watch::silent()).unwrap();
    let share = recall(&descent::descend(&points, 15, 0, &Watch::silent()).unwrap(), &exact);
    assert!(share >= 0.95, "recall {share}");
    let graph = graph::fuzzy_union(&exact);
    let map = layout::lay_out(&graph, &points, 0, &Watch::silent()).unwrap();
    let found = trustworthiness(&points, &map, 15);
    let theirs = numbers(&expected["trustworthiness_umap_learn"]);
    let best = theirs.iter().copied().fold(0.0, f64::max);
    say(&format!("trustworthiness {found:.4}, umap-learn {theirs:.4?}; recall of descent {share:.4}"));
    assert!(found > best - 0.01, "{found}, umap-learn {theirs:?}");
}

#[test]
fn a_map_is_the_same_every_time_and_stops_when_told() {
    let Some(path) = shared_file("data/cells/mouse_kidney_tabulamuris215.h5ad") else { return };
    let data = AnnData::open(&path, &Watch::silent()).unwrap();
    let matrix = data.matrix(&MatrixKey::X).unwrap();
    let values = LogNormalised::new(&matrix, Scale::Counts, None).unwrap();
    let settings = EmbedSettings { n_top_genes: 500, n_components: 20, ..EmbedSettings::default() };
    let once = embed(&values, &settings, &Watch::silent()).unwrap();
    assert_eq!(once, embed(&values, &settings, &Watch::silent()).unwrap());
    assert_eq!((once.positions.len(), once.clusters.len()), (215, 215));
    assert!(once.positions.iter().flatten().all(|x| x.is_finite()));
    // Three types of cells lie in this file.
    assert!((2..10).contains(&once.n_clusters), "{}", once.n_clusters);

    for step in [
        "Finding variable genes",
        "Reading variable genes",
        "Computing principal components",
        "Finding neighbours",
        "Laying out the map",
        "Finding clusters",
    ] {
        let cancel = Cancel::new();
        let stopped = cancel.clone();
        let watch = Watch::new(cancel, move |progress| {
            if progress.what == step {
                stopped.cancel();
            }
        });
        assert!(embed(&values, &settings, &watch).is_err_and(|e| e.is_cancelled()), "{step}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let Some(matrix) = pbmc3k() else { return };
    let values = LogNormalised::new(&matrix, Scale::Counts, None).unwrap();
    let sound = EmbedSettings::default();
    for (settings, word) in [
        (EmbedSettings { n_components: 1, ..sound.clone() }, "components"),
        (EmbedSettings { n_neighbours: 1, ..sound.clone() }, "neighbours"),
        (EmbedSettings { resolution: f64::NAN, ..sound.clone() }, "resolution"),
        (EmbedSettings { n_top_genes: 0, ..sound }, "variable genes"),
    ] {
        let error = embed(&values, &settings, &Watch::silent()).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
