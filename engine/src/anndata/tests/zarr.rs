//! Zarr folders: those that Python writes, compared with the same data in HDF5, and ones that mislead.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::fixtures::Table;
use super::real::python;
use crate::anndata::{AnnData, Layout, MatrixKey, files_of};
use crate::progress::Watch;
use crate::test_support::skipped;

fn open(path: &Path) -> crate::Result<AnnData> {
    AnnData::open(path, &Watch::silent())
}

/// Everything that is read of `found` is that of `expected`.
fn check_same(found: &AnnData, expected: &AnnData, what: &str) {
    assert_eq!(found.findings(), [], "{what}");
    // NaN is not equal to itself: as text it is.
    let shown = |frame: &crate::anndata::Frame| format!("{frame:?}");
    assert_eq!(shown(found.obs()), shown(expected.obs()), "{what}");
    assert_eq!(found.obsm_names(), expected.obsm_names(), "{what}");
    for name in expected.obsm_names() {
        assert_eq!(found.obsm(name).unwrap(), expected.obsm(name).unwrap(), "{what} {name}");
    }
    assert_eq!(found.category_colours(), expected.category_colours(), "{what}");
    assert_eq!(found.organism(), expected.organism(), "{what}");
    assert_eq!(found.matrices(), expected.matrices(), "{what}");
    for key in expected.matrices() {
        let what = format!("{what} {key}");
        assert_eq!(shown(found.var(key)), shown(expected.var(key)), "{what}");
        let (ours, theirs) = (found.matrix(key).unwrap(), expected.matrix(key).unwrap());
        assert_eq!(ours.layout(), theirs.layout(), "{what}");
        let n = theirs.n_rows();
        assert_eq!(ours.rows(0..n).unwrap(), theirs.rows(0..n).unwrap(), "{what}");
        assert_eq!(ours.row(n / 2).unwrap(), theirs.row(n / 2).unwrap(), "{what}");
        for gene in [0, 7, theirs.n_cols() - 1] {
            let column = |matrix: &crate::anndata::Matrix| matrix.column(gene, &Watch::silent()).unwrap();
            assert_eq!(column(&ours), column(&theirs), "{what} gene {gene}");
        }
    }
    assert_eq!(found.choose_matrix().unwrap(), expected.choose_matrix().unwrap(), "{what}");
}

#[test]
fn what_python_writes_in_zarr_and_in_hdf5_is_read_alike() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/python/zarr_files.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = open(&folder.path().join("plain.h5ad")).unwrap();
    assert_eq!((expected.n_obs(), expected.obs().columns.len()), (700, 10));
    let (mut folders, mut files) = (0, 0);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        check_same(&open(&path).unwrap(), &expected, &path.display().to_string());
        if path.is_dir() {
            folders += 1;
            // Whoever cannot choose a folder chooses a file in it.
            let inside = ["zarr.json", ".zgroup"].map(|name| path.join(name));
            let data = open(inside.iter().find(|path| path.is_file()).unwrap()).unwrap();
            assert_eq!(data.n_obs(), 700);
            assert!(files_of(&path).unwrap().len() > 20);
            let error = data.begin_copy(&folder.path().join("copy.h5ad"), &Watch::silent()).unwrap_err();
            assert!(error.to_string().contains("read_zarr"), "{error}");
        } else {
            files += 1;
        }
    }
    assert_eq!(folders, 10);
    if files < 5 {
        skipped("Python has no hdf5plugin: HDF5 files packed with Blosc were not read");
    }
}

/// A small folder of version 2 or 3 with a CSR matrix, packed with nothing.
struct Folder {
    folder: tempfile::TempDir,
    version: u8,
}

impl Folder {
    fn new(version: u8, table: &Table) -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap(), version };
        made.group("", &json!({"encoding-type": "anndata", "encoding-version": "0.1.0"}));
        for (name, prefix, n) in [("obs", "c", table.n_rows), ("var", "g", table.n_cols)] {
            let kind = json!({"encoding-type": "dataframe", "_index": "_index", "column-order": []});
            made.group(name, &kind);
            let mut bytes = (n as u32).to_le_bytes().to_vec();
            for i in 0..n {
                let text = format!("{prefix}{i}");
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            made.array(&format!("{name}/_index"), None, n, &bytes);
        }
        let shape = [table.n_rows, table.n_cols];
        made.group("X", &json!({"encoding-type": "csr_matrix", "shape": shape}));
        let (data, indices, indptr) = table.parts(false);
        let bytes: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        made.array("X/data", Some(("float32", "<f4")), data.len(), &bytes);
        let bytes: Vec<u8> = indices.iter().flat_map(|v| v.to_le_bytes()).collect();
        made.array("X/indices", Some(("int64", "<i8")), indices.len(), &bytes);
        let bytes: Vec<u8> = indptr.iter().flat_map(|v| v.to_le_bytes()).collect();
        made.array("X/indptr", Some(("int64", "<i8")), indptr.len(), &bytes);
        made
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn group(&self, element: &str, attributes: &Value) {
        let at = |name: &str| if element.is_empty() { name.to_owned() } else { format!("{element}/{name}") };
        if self.version == 2 {
            self.put(&at(".zgroup"), b"{\"zarr_format\": 2}");
            self.put(&at(".zattrs"), attributes.to_string().as_bytes());
        } else {
            let json = json!({"zarr_format": 3, "node_type": "group", "attributes": attributes});
            self.put(&at("zarr.json"), json.to_string().as_bytes());
        }
    }

    /// An array in one chunk; texts where there is no type.
    fn array(&self, element: &str, kind: Option<(&str, &str)>, n: usize, bytes: &[u8]) {
        if self.version == 2 {
            let filters = kind.map_or(json!([{"id": "vlen-utf8"}]), |_| Value::Null);
            let json = json!({
                "zarr_format": 2, "shape": [n], "chunks": [n.max(1)], "dtype": kind.map_or("|O", |(_, name)| name),
                "compressor": null, "filters": filters, "fill_value": 0, "order": "C",
            });
            self.put(&format!("{element}/.zarray"), json.to_string().as_bytes());
            self.put(&format!("{element}/0"), bytes);
        } else {
            let codec = kind.map_or(
                json!({"name": "vlen-utf8"}),
                |_| json!({"name": "bytes", "configuration": {"endian": "little"}}),
            );
            let json = json!({
                "zarr_format": 3, "node_type": "array", "shape": [n], "fill_value": 0, "codecs": [codec],
                "data_type": kind.map_or("string", |(name, _)| name),
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [n.max(1)]}},
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            });
            self.put(&format!("{element}/zarr.json"), json.to_string().as_bytes());
            self.put(&format!("{element}/c/0"), bytes);
        }
    }

    fn open(&self) -> crate::Result<AnnData> {
        open(self.folder.path())
    }

    /// Changes the description of an array.
    fn change(&self, element: &str, change: impl FnOnce(&mut Value)) {
        let name = if self.version == 2 { ".zarray" } else { "zarr.json" };
        let path = self.folder.path().join(element).join(name);
        let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut json);
        std::fs::write(path, json.to_string()).unwrap();
    }
}

fn read_all(data: &AnnData) -> crate::Result<f32> {
    let matrix = data.matrix(&MatrixKey::X)?;
    let rows = matrix.rows(0..matrix.n_rows())?;
    let column = matrix.column(0, &Watch::silent())?;
    Ok(rows.iter().flat_map(|row| &row.values).sum::<f32>() + column.iter().sum::<f32>())
}

#[test]
fn both_versions_are_told_by_what_is_inside() {
    let table = Table::new(40, 6);
    for version in [2, 3] {
        let folder = Folder::new(version, &table);
        let data = folder.open().unwrap();
        assert_eq!(data.findings(), []);
        assert_eq!(data.obs().index[39], "c39");
        let matrix = data.matrix(&MatrixKey::X).unwrap();
        assert_eq!(matrix.layout(), Layout::Csr);
        for gene in 0..6 {
            assert_eq!(matrix.column(gene, &Watch::silent()).unwrap(), table.column(gene));
        }
    }
}

#[test]
fn zarr_that_misleads_is_refused_with_the_element_and_what_to_do() {
    let table = Table::new(40, 6);
    for version in [2, 3] {
        let refused = |what: &str, damage: &dyn Fn(&Folder), element: &str| {
            let folder = Folder::new(version, &table);
            damage(&folder);
            let error = folder.open().and_then(|data| read_all(&data)).unwrap_err();
            let problem = error.problem().unwrap_or_else(|| panic!("{what}: {error}"));
            assert!(problem.element.contains(element) && !problem.remedy.is_empty(), "{what}: {error}");
            assert!(error.to_string().len() < 2000, "{what}: {error}");
        };
        let chunk = if version == 2 { "X/data/0" } else { "X/data/c/0" };
        let sizes = |json: &mut Value, n: u64| {
            json["shape"] = json!([n]);
            json["chunks"] = json!([n]);
            json["chunk_grid"]["configuration"]["chunk_shape"] = json!([n]);
        };
        refused("an absurd shape", &|f| f.change("X/data", |json| sizes(json, u64::MAX)), "X");
        refused("an absurd length", &|f| f.change("X/data", |json| json["shape"] = json!([1u64 << 50])), "X");
        refused("no chunk length", &|f| f.change("X/indices", |json| sizes(json, 0)), "X");
        refused(
            "another type",
            &|f| {
                f.change("X/data", |json| {
                    (json["dtype"], json["data_type"]) = (json!("<M8[ns]"), json!("r24"))
                });
            },
            "X",
        );
        refused(
            "an unknown codec",
            &|f| {
                f.change("X/data", |json| {
                    (json["compressor"], json["codecs"]) = (json!({"id": "lzma"}), json!([{"name": "lzma"}]));
                });
            },
            "X/data",
        );
        refused("a chunk cut short", &|f| f.put(chunk, &[0; 7]), "X/data");
        refused(
            "a damaged chunk",
            &|f| {
                f.change("X/data", |json| {
                    let bytes = json!({"name": "bytes", "configuration": {"endian": "little"}});
                    (json["compressor"], json["codecs"]) =
                        (json!({"id": "zstd"}), json!([bytes, {"name": "zstd"}]));
                });
            },
            "X/data",
        );
        refused(
            "names that lead out",
            &|f| {
                f.group("obs", &json!({"encoding-type": "dataframe", "_index": "../../secret"}));
                f.group("X", &json!({"encoding-type": "csr_matrix", "shape": [41, 6]}));
                let index = f.folder.path().join("obs/_index");
                std::fs::remove_dir_all(index).unwrap();
            },
            "obs",
        );
        #[cfg(unix)]
        refused(
            "a link in the place of a chunk",
            &|f| {
                let path = f.folder.path().join(chunk);
                let elsewhere = f.folder.path().join("elsewhere");
                std::fs::rename(&path, &elsewhere).unwrap();
                std::os::unix::fs::symlink(elsewhere, path).unwrap();
            },
            "X/data",
        );
    }
}

#[test]
fn a_missing_chunk_is_what_it_was_filled_with() {
    let table = Table::new(40, 6);
    for (version, chunk) in [(2, "X/data/0"), (3, "X/data/c/0")] {
        let folder = Folder::new(version, &table);
        std::fs::remove_file(folder.folder.path().join(chunk)).unwrap();
        folder.change("X/data", |json| json["fill_value"] = json!(2.5));
        let column =
            folder.open().unwrap().matrix(&MatrixKey::X).unwrap().column(1, &Watch::silent()).unwrap();
        let expected: Vec<f32> = table.column(1).iter().map(|v| if *v == 0.0 { 0.0 } else { 2.5 }).collect();
        assert_eq!(column, expected);
    }
}

#[test]
fn damage_anywhere_in_a_zarr_folder_never_panics() {
    let table = Table::new(20, 4);
    for version in [2, 3] {
        let folder = Folder::new(version, &table);
        for path in files_of(folder.folder.path()).unwrap() {
            let good = std::fs::read(&path).unwrap();
            for at in (0..good.len()).step_by(1 + good.len() / 40) {
                for change in [0x01, 0x10, 0x80] {
                    let mut bad = good.clone();
                    bad[at] ^= change;
                    std::fs::write(&path, bad).unwrap();
                    let _ = folder.open().and_then(|data| read_all(&data));
                }
            }
            std::fs::write(&path, &good[..good.len() / 2]).unwrap();
            let _ = folder.open().and_then(|data| read_all(&data));
            std::fs::write(&path, good).unwrap();
        }
    }
}
