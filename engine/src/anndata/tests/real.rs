//! Files of the field, compared with what Python's anndata reads from them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::anndata::{AnnData, Column, Frame, Layout, MatrixKey, Scale};
use crate::assets;
use crate::files::sha256_hex;
use crate::progress::Watch;
use crate::test_support::{say, shared_file, skipped};

fn open(path: &Path) -> crate::Result<AnnData> {
    AnnData::open(path, &Watch::silent())
}

pub(super) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let is_data = |path: &PathBuf| {
        path.extension().and_then(|e| e.to_str()).is_some_and(|e| matches!(e, "h5ad" | "h5" | "loom"))
    };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(is_data).collect();
    files.sort();
    files
}

#[test]
fn no_odd_or_broken_file_makes_the_reader_panic_or_hang() {
    let Some(folder) = shared_file("data/h5ad_zoo") else { return };
    let files = files_in(&folder);
    assert!(files.len() >= 90, "{}", files.len());
    let mut opened = 0;
    for path in files {
        let start = Instant::now();
        match open(&path) {
            Ok(data) => {
                opened += 1;
                let _ = data.choose_matrix();
                for key in data.matrices() {
                    if let Ok(matrix) = data.matrix(key) {
                        let _ = (matrix.row(0), matrix.column(0, &Watch::silent()));
                    }
                }
                for name in data.obsm_names() {
                    let _ = data.obsm(name);
                }
            }
            Err(error) => {
                let remedy = error.problem().map(|p| p.remedy.clone()).unwrap_or_default();
                assert!(!remedy.is_empty(), "{}: {error}", path.display());
            }
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{} took {:?}", path.display(), start.elapsed());
    }
    assert!(opened >= 75, "{opened} opened");
}

/// A Python with anndata: `CELL2TEXT_PYTHON`, or `python3` if it has the package.
pub(super) fn python() -> Option<String> {
    let python = std::env::var("CELL2TEXT_PYTHON").unwrap_or_else(|_| "python3".into());
    let found =
        Command::new(&python).args(["-c", "import anndata"]).output().is_ok_and(|o| o.status.success());
    if !found {
        skipped(&format!("{python} has no anndata; set CELL2TEXT_PYTHON to a Python that has it"));
    }
    found.then_some(python)
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-5 * expected.abs().max(1.0) || found == expected
}

fn check_names(names: &[String], expected: &Value, what: &str) {
    assert_eq!(names.len() as u64, expected["len"].as_u64().unwrap(), "{what}");
    for (name, expected) in names.iter().zip(expected["first"].as_array().unwrap()) {
        assert_eq!(name, expected.as_str().unwrap(), "{what}");
    }
    assert_eq!(sha256_hex(names.join("\n").as_bytes()), expected["sha256"].as_str().unwrap(), "{what}");
}

fn check_value(column: &Column, row: usize, expected: &Value, what: &str) {
    if expected.is_null() {
        assert_eq!(column.text(row), None, "{what}");
    } else if let Some(text) = expected["text"].as_str() {
        assert_eq!(column.text(row).as_deref(), Some(text), "{what}");
    } else {
        let number: f64 = expected["number"].as_str().unwrap().parse().unwrap();
        let found = column.number(row).unwrap_or_else(|| panic!("{what}: no number"));
        assert!(close(found, number), "{what}: {found} for {number}");
    }
}

fn check_columns(frame: &Frame, expected: &Value, what: &str) -> usize {
    let expected = expected.as_object().unwrap();
    for (name, expected) in expected {
        let what = format!("{what}/{name}");
        // SeuratDisk stores labels beside the codes without the attribute that Python follows: Python shows codes.
        if what.starts_with("soma__pbmc-small__") && frame.column(name).is_some_and(Column::is_categorical) {
            continue;
        }
        let column = frame.column(name).unwrap_or_else(|| panic!("{what}: not read"));
        assert_eq!(column.missing() as u64, expected["missing"].as_u64().unwrap(), "{what}");
        check_value(column, 0, &expected["first"], &what);
        check_value(column, column.len() - 1, &expected["last"], &what);
    }
    expected.len()
}

fn check_matrices(data: &AnnData, expected: &Value, what: &str) -> usize {
    let expected = expected.as_object().unwrap();
    let mut names: Vec<String> = data.matrices().iter().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(names, expected.keys().cloned().collect::<Vec<_>>(), "{what}");
    for (name, expected) in expected {
        let what = format!("{what} {name}");
        let matrix = data.matrix(&name.parse().unwrap()).unwrap();
        assert_eq!(serde_json::json!([matrix.n_rows(), matrix.n_cols()]), expected["shape"], "{what}");
        for row in expected["rows"].as_array().unwrap() {
            let found = matrix.row(row[0].as_u64().unwrap() as usize).unwrap().total();
            assert!(close(found, row[1].as_f64().unwrap()), "{what}: row {row}: {found}");
        }
        if let Some(column) = expected["column"].as_array() {
            let values = matrix.column(column[0].as_u64().unwrap() as usize, &Watch::silent()).unwrap();
            let found: f64 = values.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v)).sum();
            assert!(close(found, column[1].as_f64().unwrap()), "{what}: column {column:?}: {found}");
        }
    }
    expected.len()
}

fn check_obsm(data: &AnnData, expected: &Value, what: &str) {
    for (name, expected) in expected.as_object().unwrap() {
        let what = format!("{what} obsm/{name}");
        let found = data.obsm(name).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(found.cols as u64, expected["cols"].as_u64().unwrap(), "{what}");
        for (found, expected) in found.row(0).iter().zip(expected["first"].as_array().unwrap()) {
            match expected.as_f64() {
                Some(expected) => {
                    assert!(close(f64::from(*found), expected), "{what}: {found} for {expected}");
                }
                None => assert!(!found.is_finite(), "{what}"),
            }
        }
    }
}

#[test]
fn reads_every_real_file_as_pythons_anndata_does() {
    let folders = ["data/cells", "data/profiles", "data/h5ad_zoo"].map(shared_file);
    let folders: Vec<PathBuf> = folders.into_iter().flatten().collect();
    let (false, Some(python)) = (folders.is_empty(), python()) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/python/anndata_expectations.py");
    let output = Command::new(python).arg(script).args(&folders).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: Value = serde_json::from_slice(&output.stdout).unwrap();

    let (mut files, mut columns, mut matrices) = (0, 0, 0);
    for (path, expected) in expected.as_object().unwrap() {
        if !expected["error"].is_null() {
            continue;
        }
        let what = Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
        let data = open(Path::new(path)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            serde_json::json!([data.n_obs(), data.var(&MatrixKey::X).len()]),
            expected["shape"],
            "{what}"
        );
        check_names(&data.obs().index, &expected["obs_names"], &what);
        check_names(&data.var(&MatrixKey::X).index, &expected["var_names"], &what);
        if !expected["raw_var_names"].is_null() {
            check_names(&data.var(&MatrixKey::Raw).index, &expected["raw_var_names"], &what);
        }
        columns += check_columns(data.obs(), &expected["obs"], &format!("{what} obs"));
        columns += check_columns(data.var(&MatrixKey::X), &expected["var"], &format!("{what} var"));
        // Python reads broken indices without a word.
        if !what.contains("bad_indptr") && !what.contains("negative_index") {
            matrices += check_matrices(&data, &expected["matrices"], &what);
        }
        check_obsm(&data, &expected["obsm"], &what);
        files += 1;
    }
    say(&format!("{files} files, {columns} columns, {matrices} matrices agree"));
    assert!(files >= 90, "{files} files");
}

#[test]
fn what_zstandard_packed_is_what_gzip_packed() {
    let Some(zoo) = shared_file("data/h5ad_zoo") else { return };
    let read = |name: &str| {
        let data = open(&zoo.join(name)).unwrap();
        let matrix = data.matrix(&MatrixKey::X).unwrap();
        matrix.rows(0..matrix.n_rows()).unwrap()
    };
    assert_eq!(read("zstd.h5ad"), read("gzip_shuffle_chunk.h5ad"));
}

#[test]
fn pythons_anndata_reads_what_the_writer_wrote_as_we_do() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for n in [0, 2, 5000] {
        crate::anndata::write::tests::write(&folder.path().join(format!("written{n}.h5ad")), n);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/python/anndata_expectations.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut files = 0;
    for (path, expected) in expected.as_object().unwrap() {
        assert!(expected["error"].is_null(), "{path}: {}", expected["error"]);
        let data = open(Path::new(path)).unwrap();
        check_names(&data.obs().index, &expected["obs_names"], path);
        check_names(&data.var(&MatrixKey::X).index, &expected["var_names"], path);
        if !data.obs().is_empty() {
            assert_eq!(check_columns(data.obs(), &expected["obs"], path), 6);
        }
        assert_eq!(check_matrices(&data, &expected["matrices"], path), 1);
        files += 1;
    }
    assert_eq!(files, 3);
}

#[test]
fn the_sample_that_ships_opens_with_its_labels_counts_and_map() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.h5ad");
    std::fs::write(&path, assets::SAMPLE_H5AD).unwrap();
    let data = open(&path).unwrap();
    assert_eq!((data.n_obs(), data.var(&MatrixKey::X).len()), (700, 765));
    assert_eq!(data.findings(), []);
    assert_eq!(data.obsm_names(), ["X_pca", "X_umap"]);
    assert_eq!(data.obsm("X_umap").unwrap().values.len(), 1400);
    let labels = data.obs().column("bulk_labels").unwrap();
    assert!(labels.is_categorical());
    assert_eq!(labels.label_codes(20).unwrap().categories.len(), 10);
    let choice = data.choose_matrix().unwrap();
    assert_eq!((choice.key, choice.scale), (MatrixKey::Raw, Scale::Log1p), "{}", choice.reason);
    let matrix = data.matrix(&MatrixKey::Raw).unwrap();
    assert_eq!(matrix.layout(), Layout::Csr);
    assert!(matrix.row(0).unwrap().linearise(Scale::Log1p).total() > 100.0);
}

#[test]
fn counts_are_found_in_the_cells_of_published_studies() {
    let Some(folder) = shared_file("data/cells") else { return };
    let cases = [
        ("pbmc3k_seurat", Scale::Counts),
        ("pbmc_ifnb_kang_2800", Scale::Counts),
        ("pdac_moncada_card1926", Scale::Counts),
        ("pollen299", Scale::Counts),
        ("breast_visium_hbca2504", Scale::Log1p),
        ("fetal_intestine_visium344", Scale::Log1p),
        ("pancreas_xin_scclassify674", Scale::Log1p),
        ("marrow_he2020_scdiagnostics3230", Scale::Log1p),
        ("pbmc68k_reduced_scanpy700", Scale::Log1p),
        ("melanoma_chetah150", Scale::Log1p),
        ("pbmc_indrops_scannotate644", Scale::Log1p),
        ("mouse_kidney_tabulamuris215", Scale::Log1p),
        ("brain_oligodendroglioma_infercnv184", Scale::Linear),
        ("embryo_yan90", Scale::Linear),
    ];
    for (name, scale) in cases {
        let data = open(&folder.join(format!("{name}.h5ad"))).unwrap();
        let choice = data.choose_matrix().unwrap();
        assert_eq!(choice.scale, scale, "{name}: {}", choice.reason);
    }
}
