//! `cell2text evaluate` from the command line: its files, its numbers among themselves, its errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::{Run, cell2text, shared};

/// The built-in sample's labels name two types that the ontology knows: dendritic cells and B cells.
const ON_SAMPLE: [&str; 7] = ["evaluate", "sample", "--label", "bulk_labels", "--device", "cpu", "--limit"];

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The built-in sample as a file.
fn sample_file(folder: &Path) -> PathBuf {
    let path = folder.join("labelled.h5ad");
    std::fs::write(&path, engine::assets::SAMPLE_H5AD).unwrap();
    path
}

/// Every figure lies in its interval, and the interval in its range.
fn check_figures(figures: &Value) {
    for (key, figure) in figures.as_object().unwrap() {
        for estimate in [figure, &figure["macro"]] {
            let Some(value) = estimate["value"].as_f64() else { continue };
            let (low, high) = (estimate["low"].as_f64().unwrap(), estimate["high"].as_f64().unwrap());
            assert!((-1e-9..=1.0 + 1e-9).contains(&value) && low <= high, "{key}: {estimate}");
        }
        assert!(figure["cells"].as_u64().unwrap() > 0, "{key}");
    }
}

#[test]
fn a_labelled_file_gives_the_same_figures_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut command = cell2text(ON_SAMPLE);
    command.arg("24");
    for (option, name) in
        [("--json", "e.json"), ("--csv", "e.csv"), ("--html", "e.html"), ("--texts", "e.jsonl")]
    {
        command.arg(option).arg(at(name));
    }
    let out = Run::of(&mut command).ok();
    let report = json(&at("e.json"));
    let file = &report["files"][0];
    assert_eq!((file["cells"].as_u64(), file["n_obs"].as_u64()), (Some(24), Some(700)));
    assert_eq!(file["cell_types"], 2);
    assert!(file["unknown_labels"]["CD34+"].as_u64().unwrap() > 0);
    let model = &file["methods"]["model"];
    check_figures(model);
    check_figures(&file["methods"]["markers"]);
    for key in ["text.bleu_4", "cell_type.accuracy", "cell_type.calibration_error", "pathways.jaccard"] {
        let value = model[key]["value"].as_f64().unwrap_or_else(|| panic!("no {key} in {model}"));
        let row = format!("sample,model,{key},{value:.6},");
        let table = std::fs::read_to_string(at("e.csv")).unwrap();
        assert!(table.contains(&row), "{row} not in {table}");
        assert!(out.contains(&format!("{value:.3}")), "{value:.3} of {key} not in {out}");
    }
    // The figure is the one that the confusions give.
    let confusions = file["confusions"].as_array().unwrap();
    let cells = |c: &&Value| c["cells"].as_u64().unwrap();
    let same: u64 = confusions.iter().filter(|c| c["relation"] == "same").map(|c| cells(&c)).sum();
    assert_eq!(confusions.iter().map(|c| cells(&c)).sum::<u64>(), 24);
    assert!((same as f64 / 24.0 - model["cell_type.accuracy"]["value"].as_f64().unwrap()).abs() < 1e-6);
    // Each text stands beside its reference, in the pattern of all descriptions.
    let texts = std::fs::read_to_string(at("e.jsonl")).unwrap();
    assert_eq!(texts.lines().count(), 24);
    for line in texts.lines() {
        let pair: Value = serde_json::from_str(line).unwrap();
        assert!(pair["reference"].as_str().unwrap().starts_with("This sample consists of a"), "{line}");
    }
    well_formed_page(&std::fs::read_to_string(at("e.html")).unwrap());
}

/// Every element is closed by its own tag, and nothing is fetched from anywhere.
#[track_caller]
fn well_formed_page(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg"), "{page}");
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page needs {outside}");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
    let mut open: Vec<&str> = Vec::new();
    let body = &page[page.find("<html").unwrap()..];
    for piece in body.split('<').skip(1) {
        let tag = piece.split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closing {tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "still open: {open:?}");
}

#[test]
fn baselines_learn_from_labelled_files_in_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let train = sample_file(folder.path());
    let out = folder.path().join("e.json");
    let mut command = cell2text(ON_SAMPLE);
    command.args(["40", "--draws", "200", "--train"]).arg(&train).arg("--json").arg(&out);
    Run::of(&mut command).ok();
    let methods = &json(&out)["files"][0]["methods"];
    for method in ["linear", "boosting"] {
        check_figures(&methods[method]);
        // Seen cells of two types: whoever learns at all gets nearly all of them.
        let right = methods[method]["cell_type.accuracy"]["value"].as_f64().unwrap();
        assert!(right > 0.8, "{method}: {right}");
        assert!(methods[method]["text.bleu_4"].is_null());
    }
    // What is evaluated must not have been learnt from.
    let mut leak = cell2text(["evaluate"]);
    leak.arg(&train).args(["--label", "bulk_labels", "--train"]).arg(&train);
    let run = Run::of(&mut leak);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("labelled.h5ad") && run.err.contains("trained on"), "{run:?}");
}

#[test]
fn a_file_without_labels_is_refused_with_the_columns_that_would_do() {
    for (column, words) in [
        ("cell_type_ontology_term_id", ["no such column", "bulk_labels"]),
        ("phase", ["no cell type", "--label"]),
    ] {
        let run = Run::of(&mut cell2text(["evaluate", "sample", "--label", column]));
        assert_eq!(run.code, Some(3), "{run:?}");
        assert!(run.out.is_empty() && run.err.contains(&format!("obs/{column}")), "{run:?}");
        for word in words {
            assert!(run.err.contains(word), "no {word:?} in {run:?}");
        }
    }
}

#[test]
fn several_files_have_a_column_each_and_a_mean() {
    let Some(first) = shared("data/cells/pbmc3k_seurat.h5ad") else { return };
    let Some(second) = shared("data/cells/melanoma_chetah150.h5ad") else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("e.json");
    let mut command = cell2text(["evaluate", "--limit", "16", "--device", "cpu", "--no-baselines", "--json"]);
    let printed = Run::of(command.arg(&out).arg(&first).arg(&second)).ok();
    assert!(printed.contains("pbmc3k_seurat") && printed.contains("mean, 95 % interval"), "{printed}");
    let report = json(&out);
    let value = |of: &Value| of["model"]["cell_type.pagerank_similarity"]["value"].as_f64().unwrap();
    let files: Vec<f64> = report["files"].as_array().unwrap().iter().map(|f| value(&f["methods"])).collect();
    assert!((value(&report["mean"]) - (files[0] + files[1]) / 2.0).abs() < 1e-9);
    assert!(report["files"][0]["methods"]["markers"].is_null());
}
