//! Comparisons against scanpy, and against themselves by another way of reading.

use serde_json::Value;

use super::*;
use crate::anndata::tests::fixtures::{Fixture, Table, Written};
use crate::anndata::{AnnData, Matrix, Scale};
use crate::progress::Cancel;
use crate::test_support::shared_file;

/// Made by tests/python/analysis_expectations.py.
fn expected() -> Value {
    serde_json::from_str(include_str!("../../../../tests/expected/compare_pbmc3k.json")).unwrap()
}

fn pbmc3k() -> Option<(AnnData, Matrix)> {
    let data = AnnData::open(&shared_file("data/cells/pbmc3k_seurat.h5ad")?, &Watch::silent()).unwrap();
    let matrix = data.matrix(&MatrixKey::X).unwrap();
    Some((data, matrix))
}

fn cells_of(data: &AnnData, label: &str) -> Arc<[usize]> {
    let column = data.obs().column("cell_type_author").unwrap();
    (0..data.n_obs()).filter(|row| column.text(*row).as_deref() == Some(label)).collect()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap()
}

#[test]
fn scores_agree_with_scanpy_on_real_cells() {
    let Some((data, matrix)) = pbmc3k() else { return };
    let values = LogNormalised::new(&matrix, Scale::Counts, None).unwrap();
    let symbols = &data.var(&MatrixKey::X).index;
    for case in expected()["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let request = CompareRequest {
            a: cells_of(&data, case["group"].as_str().unwrap()),
            b: case["reference"].as_str().map(|label| cells_of(&data, label)),
            test: if case["method"] == "t-test" { Test::WelchT } else { Test::Wilcoxon },
        };
        let ties = if case["tie_correct"] == true { Ties::Corrected } else { Ties::Ignored };
        let result =
            compare_with(&values, symbols, &request, ties, Budget::default(), &Watch::silent()).unwrap();
        assert_eq!(result.genes.len(), 13_714);
        let top = case["top"].as_array().unwrap();
        let ours = result
            .genes
            .iter()
            .take(50)
            .map(|g| g.symbol.as_str())
            .collect::<std::collections::BTreeSet<_>>();
        let theirs = top.iter().take(50).map(|g| g["gene"].as_str().unwrap()).collect();
        assert_eq!(ours, theirs, "{name}");
        // The 50 first and a spread over all others.
        for expected in top.iter().chain(case["others"].as_array().unwrap()) {
            let symbol = expected["gene"].as_str().unwrap();
            let gene = result.genes.iter().find(|g| g.symbol == symbol).unwrap();
            let near = |found: f64, key: &str, tolerance: f64| {
                let wanted = number(expected, key);
                assert!(
                    (found - wanted).abs() <= tolerance * (1.0 + wanted.abs()),
                    "{name} {symbol} {key}: {found} {wanted}"
                );
            };
            // scanpy keeps scores with 32 bits.
            assert!((gene.score - number(expected, "score")).abs() < 1e-3, "{name} {gene:?} {expected}");
            near(gene.log_fold_change, "log_fold_change", 1e-4);
            near(gene.share_a, "share_a", 1e-9);
            near(gene.share_b, "share_b", 1e-9);
            for (found, key) in [(gene.p_value, "p_value"), (gene.p_adjusted, "p_adjusted")] {
                let wanted = number(expected, key);
                if wanted > 1e-290 {
                    assert!(
                        (found.ln() - wanted.ln()).abs() < 0.05,
                        "{name} {symbol} {key}: {found} {wanted}"
                    );
                }
            }
        }
    }
}

/// A matrix of counts with ties, zeros and a gene that no cell shows, written in both layouts.
fn both_layouts() -> (Written, [MatrixKey; 2]) {
    let mut table = Table::new(60, 9);
    for (at, value) in table.dense.iter_mut().enumerate() {
        *value = if at % 9 == 4 { 0.0 } else { (*value % 6.0).floor() };
    }
    let fixture = Fixture::new(60, 9);
    fixture.group("layers", "dict");
    for (name, encoding, by_columns) in [("X", "csr_matrix", false), ("layers/by_gene", "csc_matrix", true)] {
        let (data, indices, indptr) = table.parts(by_columns);
        fixture.compressed(name, encoding, [60, 9], (&data, &indices, &indptr));
    }
    (fixture.finish(), [MatrixKey::X, MatrixKey::Layer("by_gene".into())])
}

#[test]
fn rows_columns_and_a_small_budget_give_the_same() {
    let (written, keys) = both_layouts();
    let data = written.open().unwrap();
    let symbols = &data.var(&MatrixKey::X).index;
    for test in [Test::Wilcoxon, Test::WelchT] {
        let request = CompareRequest { a: (0..25).collect(), b: Some((30..60).collect()), test };
        let mut results = Vec::new();
        for key in &keys {
            let matrix = data.matrix(key).unwrap();
            let totals = crate::analysis::row_totals(&matrix, &Watch::silent()).unwrap();
            let values = LogNormalised::new(&matrix, Scale::Counts, Some(&totals)).unwrap();
            for bytes in [1 << 20, 64] {
                let budget = Budget { bytes };
                let result =
                    compare_with(&values, symbols, &request, Ties::Corrected, budget, &Watch::silent());
                results.push(result.unwrap().genes);
            }
        }
        assert_eq!(results[0].len(), 9);
        for other in &results[1..] {
            assert_eq!(&results[0], other, "{test:?}");
        }
        let empty = results[0].iter().find(|gene| gene.symbol == "g4").unwrap();
        assert_eq!((empty.score, empty.p_value, empty.log_fold_change), (0.0, 1.0, 0.0));
    }
}

#[test]
fn sets_that_cannot_be_compared_are_refused_with_the_reason() {
    let (written, _) = both_layouts();
    let data = written.open().unwrap();
    let matrix = data.matrix(&MatrixKey::X).unwrap();
    let values = LogNormalised::new(&matrix, Scale::Counts, None).unwrap();
    let symbols = &data.var(&MatrixKey::X).index;
    let refused = |a: &[usize], b: Option<&[usize]>| {
        let request = CompareRequest { a: a.into(), b: b.map(Into::into), test: Test::Wilcoxon };
        compare(&values, symbols, &request, &Watch::silent()).unwrap_err().to_string()
    };
    assert!(refused(&[], None).contains("first set of cells: found no cell"));
    assert!(refused(&[3], None).contains("a single cell"));
    assert!(refused(&[1, 2, 3], Some(&[3, 4])).contains("cell 3 in both"));
    assert!(refused(&[1, 60], None).contains("below 60"));
    assert!(refused(&(0..60).collect::<Vec<_>>(), None).contains("second set of cells: found no cell"));
    let scaled = LogNormalised::new(&matrix, Scale::Scaled, None).unwrap_err().to_string();
    assert!(scaled.contains("scaled values") && scaled.contains("Choose another matrix"), "{scaled}");
}

#[test]
fn a_stop_is_heard() {
    let Some((data, matrix)) = pbmc3k() else { return };
    let values = LogNormalised::new(&matrix, Scale::Counts, None).unwrap();
    let cancel = Cancel::new();
    let stopped = cancel.clone();
    let watch = Watch::new(cancel, move |progress| {
        if progress.what == "Ranking genes" {
            stopped.cancel();
        }
    });
    let request = CompareRequest { a: cells_of(&data, "B"), b: None, test: Test::Wilcoxon };
    let result = compare(&values, &data.var(&MatrixKey::X).index, &request, &watch);
    assert!(result.unwrap_err().is_cancelled());
}
