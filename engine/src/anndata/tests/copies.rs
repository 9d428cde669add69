//! Copies with columns more: what was written, that nothing else changed, and what is refused.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::fixtures::{Fixture, Written, put, set_attr};
use super::real::{files_in, python};
use crate::anndata::{AnnData, Column, Values};
use crate::files::sha256_of_file;
use crate::progress::{Cancel, Watch};
use crate::test_support::{shared_file, skipped};

const PROVENANCE: &str = r#"{"format":"cell2text-provenance-1","note":"φ"}"#;

/// Reads both files with h5py and compares every element but those named, then the added columns with anndata.
const COMPARE: &str = r#"
import sys, warnings
import anndata, h5py, numpy as np
warnings.simplefilter("ignore")

def of(value):
    if isinstance(value, h5py.Reference):
        return "a reference"
    return value.tobytes() if isinstance(value, np.ndarray) and value.dtype.kind not in "OV" else repr(value)

def elements(path, added):
    found = {}
    def visit(name, item):
        if any(name == a or name.startswith(a + "/") for a in added):
            return
        attrs = {k: of(v) for k, v in item.attrs.items() if (name, k) != ("obs", "column-order")}
        if isinstance(item, h5py.Dataset):
            try:
                value = item[()]
                value = of(value) if not isinstance(value, h5py.Empty) else "empty"
            except OSError:
                value = "unreadable"
            found[name] = (str(item.dtype), item.shape, item.chunks, item.compression, attrs, value)
        else:
            found[name] = attrs
    with h5py.File(path) as file:
        file.visititems(visit)
    return found

def read(path):
    try:
        return anndata.read_h5ad(path)
    except Exception:
        return None

for line in sys.stdin:
    source, copy = line.rstrip("\n").split("\t")
    added = ["obs/added_label", "obs/added_text", "obs/added_score", "obs/__categories/added_label", "uns/cell2text"]
    before, after = elements(source, added), elements(copy, added)
    made = {"uns", "obs/__categories"}
    assert before == {k: v for k, v in after.items() if k in before or k not in made}, source
    a, b = read(source), read(copy)
    if a is None:
        continue
    assert b is not None, f"anndata reads {source} but not its copy"
    label = b.obs["added_label"].astype(object)
    expected = [["β", None, "a"][i % 3] for i in range(b.n_obs)]
    assert [None if x != x or x is None else x for x in label] == expected, (source, list(label)[:5])
    assert str(b.obs["added_label"].dtype) == "category" or b.n_obs == 0, (source, b.obs["added_label"].dtype)
    assert list(b.obs["added_text"].astype(str)) == [f"cell {i}" for i in range(b.n_obs)], source
    score = b.obs["added_score"].to_numpy()
    assert score.dtype == np.float64 and np.array_equal(score, [i / 4 if i % 2 == 0 else np.nan for i in range(b.n_obs)], equal_nan=True), source
    assert list(b.obs.columns[: len(a.obs.columns)]) == list(a.obs.columns), source
    assert b.uns["cell2text"]["provenance"].startswith('{"format"'), source
    assert list(b.uns["cell2text"]["columns"]) == ["added_label", "added_text", "added_score"], source
    print("compared")
"#;

fn added(n: usize) -> Vec<Column> {
    let column = |name: &str, values| Column { name: name.to_owned(), values };
    vec![
        column(
            "added_label",
            Values::Categorical {
                codes: (0..n).map(|i| [1, -1, 0][i % 3]).collect(),
                categories: vec!["a".into(), "β".into()],
                ordered: false,
            },
        ),
        column("added_text", Values::Text((0..n).map(|i| Some(format!("cell {i}"))).collect())),
        column(
            "added_score",
            Values::Number((0..n).map(|i| if i % 2 == 0 { i as f64 / 4.0 } else { f64::NAN }).collect()),
        ),
    ]
}

fn open(path: &Path) -> AnnData {
    AnnData::open(path, &Watch::silent()).unwrap()
}

fn copy(data: &AnnData, to: &Path) -> crate::Result<()> {
    let columns = added(data.n_obs());
    data.check_additions(&columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>(), false)?;
    data.begin_copy(to, &Watch::silent())?.finish(&columns, PROVENANCE, &Watch::silent())
}

fn hash(path: &Path) -> String {
    sha256_of_file(path, &Watch::silent()).unwrap()
}

fn small() -> Written {
    let fixture = Fixture::new(4, 2);
    put(&fixture.obs(), "n", &[1i32, 2, 3, 4]);
    let names: Vec<hdf5::types::VarLenUnicode> = vec![super::fixtures::text("n")];
    fixture
        .obs()
        .new_attr::<hdf5::types::VarLenUnicode>()
        .shape([1])
        .create("column-order")
        .unwrap()
        .write_raw(&names)
        .unwrap();
    fixture.dense("X", [4, 2], &[1.0f32; 8], None);
    fixture.finish()
}

#[test]
fn every_copy_of_an_odd_file_differs_only_by_what_was_added() {
    let Some(zoo) = shared_file("data/h5ad_zoo") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut pairs, mut refused) = (Vec::new(), 0);
    for path in files_in(&zoo) {
        let Ok(data) = AnnData::open(&path, &Watch::silent()) else { continue };
        let to = folder.path().join(path.file_name().unwrap());
        let before = hash(&path);
        match copy(&data, &to) {
            Ok(()) => {
                let written = open(&to);
                assert_eq!(written.obs().column("added_text").unwrap().len(), data.n_obs());
                pairs.push((path.clone(), to));
            }
            Err(error) => {
                let problem = error.problem().unwrap_or_else(|| panic!("{}: {error}", path.display()));
                assert!(!problem.remedy.contains("fault of the program"), "{error}");
                assert!(!to.exists());
                refused += 1;
            }
        }
        assert_eq!(hash(&path), before);
    }
    assert!(pairs.len() >= 60, "{} copied, {refused} refused", pairs.len());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        pairs.len(),
        "nothing is left beside the copies"
    );
    compare_in_python(&pairs, 50);
}

fn compare_in_python(pairs: &[(PathBuf, PathBuf)], at_least: usize) {
    let Some(python) = python() else { return };
    let list: String = pairs.iter().map(|(a, b)| format!("{}\t{}\n", a.display(), b.display())).collect();
    let input = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&input, list).unwrap();
    let output = Command::new(python).args(["-c", COMPARE]).stdin(input.reopen().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let compared = String::from_utf8_lossy(&output.stdout).lines().count();
    assert!(compared >= at_least, "{compared} compared");
}

#[test]
fn a_column_of_the_same_name_is_refused_unless_it_is_ours_or_may_go() {
    let folder = tempfile::tempdir().unwrap();
    let written = small();
    let data = open(&written.path);
    let names = |name: &str| [name.to_owned()];
    for (name, word) in [("n", "--replace"), ("_index", "names of the cells"), ("a/b", "slash")] {
        let error = data.check_additions(&names(name), false).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains(&format!("obs/{name}")), "{error}");
    }
    data.check_additions(&names("n"), true).unwrap();
    assert!(data.check_additions(&names("_index"), true).is_err());
    // What we wrote ourselves is written anew, once.
    let (first, second) = (folder.path().join("first.h5ad"), folder.path().join("second.h5ad"));
    copy(&data, &first).unwrap();
    let data = open(&first);
    assert_eq!(data.provenance_before().as_deref(), Some(PROVENANCE));
    copy(&data, &second).unwrap();
    let data = open(&second);
    let columns: Vec<&str> = data.obs().columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(columns, ["n", "added_label", "added_text", "added_score"]);
}

#[test]
fn the_source_is_never_the_target_and_a_changed_one_is_refused() {
    let written = small();
    let data = open(&written.path);
    let before = hash(&written.path);
    let error = copy(&data, &written.path).unwrap_err().to_string();
    assert!(error.contains("never overwritten"), "{error}");
    let to = written.path.with_file_name("copy.h5ad");
    std::fs::write(&to, "older").unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    std::fs::File::options().append(true).open(&written.path).unwrap().set_modified(later).unwrap();
    let error = copy(&data, &to).unwrap_err().to_string();
    assert!(error.contains("changed") && error.contains("Open it again"), "{error}");
    assert_eq!(std::fs::read(&to).unwrap(), b"older");
    assert_eq!(hash(&written.path), before);
    assert_eq!(std::fs::read_dir(written.path.parent().unwrap()).unwrap().count(), 2);
}

#[test]
fn a_file_is_hashed_once_and_by_what_it_was_when_it_was_opened() {
    let written = small();
    let data = open(&written.path);
    let to = written.path.with_file_name("copy.h5ad");
    let first = data.begin_copy(&to, &Watch::silent()).unwrap();
    assert_eq!(first.source_sha256(), hash(&written.path));
    // Stopped before it would be read: the hash is there already.
    let stopped = Cancel::new();
    stopped.cancel();
    assert_eq!(data.sha256(&Watch::new(stopped, |_| {})).unwrap(), hash(&written.path));
    let second = data.begin_copy(&to, &Watch::silent()).unwrap();
    assert_eq!(second.source_sha256(), first.source_sha256());
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    std::fs::File::options().append(true).open(&written.path).unwrap().set_modified(later).unwrap();
    assert!(data.sha256(&Watch::silent()).unwrap_err().to_string().contains("changed"));
}

#[test]
fn a_source_that_is_written_to_while_it_is_copied_is_refused() {
    for length in [0, 5] {
        let written = small();
        let data = open(&written.path);
        let to = written.path.with_file_name("copy.h5ad");
        let source = written.path.clone();
        // As another program would: in place, or at the end.
        let watch = Watch::new(Cancel::new(), move |progress| {
            if progress.what == "Copying the file" && progress.done == 0 {
                let mut file = std::fs::File::options().write(true).open(&source).unwrap();
                let end = std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
                let at = if length == 0 { end / 2 } else { end };
                std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(at)).unwrap();
                std::io::Write::write_all(&mut file, b"other").unwrap();
            }
        });
        let error = data.begin_copy(&to, &watch).unwrap_err().to_string();
        assert!(error.contains("changed") && error.contains("Nothing was written"), "{error}");
        assert_eq!(std::fs::read_dir(written.path.parent().unwrap()).unwrap().count(), 1, "no copy is left");
    }
}

#[test]
fn a_copy_that_was_stopped_or_cannot_be_written_leaves_what_was_there() {
    let written = small();
    let data = open(&written.path);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("copy.h5ad");
    std::fs::write(&to, "older").unwrap();
    for stop_at in ["Copying the file", "Writing columns", "Comparing the copy"] {
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let watch = Watch::new(cancel, move |progress| {
            if progress.what == stop_at {
                stop.cancel();
            }
        });
        let stopped =
            data.begin_copy(&to, &watch).and_then(|copy| copy.finish(&added(4), PROVENANCE, &watch));
        assert!(stopped.unwrap_err().is_cancelled(), "{stop_at}");
        assert_eq!(std::fs::read(&to).unwrap(), b"older");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{stop_at}");
    }
    assert!(copy(&data, &folder.path().join("none/copy.h5ad")).is_err());
    copy(&data, &to).unwrap();
    assert_eq!(open(&to).obs().columns.len(), 4);
}

#[test]
fn files_whose_obs_takes_no_columns_are_refused_with_the_way_to_convert_them() {
    let folder = tempfile::tempdir().unwrap();
    let tenx = folder.path().join("tenx.h5");
    let file = hdf5::File::create(&tenx).unwrap();
    let group = file.create_group("matrix").unwrap();
    super::fixtures::put_texts(&group, "barcodes", &["c0", "c1"]);
    put(&group, "data", &[1i32]);
    put(&group, "indices", &[0i64]);
    put(&group, "indptr", &[0i64, 1, 1]);
    put(&group, "shape", &[1i64, 2]);
    let features = group.create_group("features").unwrap();
    super::fixtures::put_texts(&features, "name", &["g"]);
    super::fixtures::put_texts(&features, "id", &["ENSG00000000001"]);
    file.close().unwrap();
    let error = copy(&open(&tenx), &folder.path().join("copy.h5ad")).unwrap_err().to_string();
    assert!(error.contains("read_10x_h5") && error.contains("CSV"), "{error}");
    if let Some(old) = shared_file("data/h5ad_zoo/scanpy_pbmc68k_reduced_old.h5ad") {
        let data = open(&old);
        if let Err(error) = copy(&data, &folder.path().join("copy.h5ad")) {
            assert!(error.to_string().contains("before version 0.7"), "{error}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn labels_of_an_old_table_are_written_as_it_writes_them() {
    let fixture = Fixture::new(4, 2);
    set_attr(&fixture.obs(), "encoding-version", "0.1.0");
    fixture.dense("X", [4, 2], &[1.0f32; 8], None);
    let written = fixture.finish();
    let to = written.path.with_file_name("copy.h5ad");
    copy(&open(&written.path), &to).unwrap();
    let file = hdf5::File::open(&to).unwrap();
    assert_eq!(file.dataset("obs/__categories/added_label").unwrap().size(), 2);
    assert!(file.dataset("obs/added_label").unwrap().attr("categories").is_ok());
}

#[test]
fn the_copy_of_a_file_that_keeps_to_the_schema_of_cellxgene_keeps_to_it() {
    let Some(schema) = std::env::var_os("CELL2TEXT_CELLXGENE_SCHEMA") else {
        skipped("CELL2TEXT_CELLXGENE_SCHEMA names no cellxgene-schema");
        return;
    };
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [source, to] = ["source.h5ad", "copy.h5ad"].map(|name| folder.path().join(name));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/python/cellxgene_source.py");
    assert!(Command::new(python).arg(script).arg(&source).status().unwrap().success());
    copy(&open(&source), &to).unwrap();
    for path in [source, to] {
        let output = Command::new(&schema).arg("validate").arg(&path).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("is_valid=True"), "{}: {told}", path.display());
    }
}
