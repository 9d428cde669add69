//! The program from the command line: results on standard output, exit codes, and the same result as anywhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::{Run, cell2text, python, shared};

fn run(args: &[&str]) -> Run {
    Run::of(&mut cell2text(args))
}

fn run_on(command: &str, file: &Path, args: &[&str]) -> Run {
    Run::of(cell2text([command]).arg(file).args(args))
}

/// The run must have failed with `code`, said each of `words`, and printed no result.
#[track_caller]
fn fails(run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, Some(code), "{run:?}");
    assert!(run.out.is_empty(), "{run:?}");
    assert!(run.err.contains("error: "), "{run:?}");
    for word in words {
        assert!(run.err.contains(word), "no \"{word}\" in {run:?}");
    }
    assert!(!run.err.contains("panicked"), "{run:?}");
}

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    value.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap()).collect()
}

#[test]
fn info_tells_what_the_sample_holds() {
    let info = run(&["info", "sample", "--json"]).json();
    assert_eq!((info["n_obs"].as_u64(), info["n_vars"].as_u64()), (Some(700), Some(765)));
    assert_eq!(info["species"], "human");
    assert_eq!(info["matrix"]["key"], "raw/X");
    assert_eq!(info["embeddings"][0], "X_umap");
    assert!(texts(&info["obs"], "name").contains(&"bulk_labels"));
    let labels = info["obs"].as_array().unwrap().iter().find(|c| c["name"] == "bulk_labels").unwrap();
    assert_eq!((labels["kind"].as_str(), labels["categories"].as_u64()), (Some("categorical"), Some(10)));
    // Results only: no progress, no notes.
    let plain = run(&["info", "--sample"]);
    assert!(plain.err.is_empty(), "{plain:?}");
    assert!(plain.ok().contains("cells       700"));
}

#[test]
fn another_matrix_can_be_asked_for() {
    let info = run(&["info", "sample", "--matrix", "X", "--json"]).json();
    assert_eq!(
        (info["matrix"]["key"].as_str(), info["matrix"]["scale"].as_str()),
        (Some("X"), Some("scaled"))
    );
    assert_eq!(info["matrix"]["chosen_by_user"], true);
    fails(&run(&["info", "sample", "--matrix", "layers/none"]), 3, &["layers/none"]);
}

#[test]
fn a_description_is_the_same_streamed_and_as_json_and_every_time() {
    let args = ["describe", "sample", "--random", "2", "--seed", "7", "--device", "cpu"];
    let first = run(&args).ok();
    assert_eq!(run(&args).ok().replace(char::is_numeric, ""), first.replace(char::is_numeric, ""));
    let json = run(&[&args[..], &["--json"]].concat()).ok();
    let described = json.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
    assert_eq!(described.len(), 2);
    for cell in &described {
        let text = cell["description"]["text"].as_str().unwrap();
        assert!(!text.is_empty());
        assert!(first.contains(text.trim()), "{text:?} not in {first:?}");
        assert!(first.contains(cell["name"].as_str().unwrap()));
        assert!(!cell["model"]["id"].as_str().unwrap().is_empty());
        for claim in cell["description"]["claims"].as_array().unwrap() {
            let at = |end: &str| usize::try_from(claim["span"][end].as_u64().unwrap()).unwrap();
            assert!(text.get(at("start")..at("end")).is_some_and(|said| !said.is_empty()), "{claim}");
        }
    }
}

#[test]
fn a_table_says_of_a_cell_what_describe_says_and_where_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("cells.csv");
    let done = Run::of(
        cell2text(["annotate", "sample", "--limit", "3", "--json", "--device", "cpu", "-o"]).arg(&table),
    )
    .json();
    assert_eq!(done["rows"], 3);
    let text = std::fs::read_to_string(&table).unwrap();
    assert!(text.starts_with("\"index\",\"c2t_cell_type\",\"c2t_cell_type_ontology_term_id\","), "{text}");
    assert!(!text.contains('\r'));
    let provenance: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("cells.provenance.json")).unwrap()).unwrap();
    assert_eq!(provenance["table"]["rows"], 3);
    assert_eq!(provenance["input"]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(provenance["command"][1], "annotate");
    let runs = provenance["runs"].as_object().unwrap();
    assert_eq!(runs.len(), 1);
    assert!(text.contains(runs.keys().next().unwrap()));
    let name = text.lines().nth(1).unwrap().split('"').nth(1).unwrap();
    let alone = run(&["describe", "sample", "--cell", name, "--json", "--device", "cpu"]).json();
    let said = alone["description"]["text"].as_str().unwrap();
    assert!(text.contains(&said.replace('"', "\"\"")), "{said:?} not in {text}");
}

#[test]
fn pandas_reads_the_table_back() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("cells.csv");
    Run::of(cell2text(["annotate", "sample", "--random", "4", "--device", "cpu", "-o"]).arg(&table)).ok();
    let script = "\
import hashlib, json, sys
import pandas as pd
path = sys.argv[1]
frame = pd.read_csv(path, index_col=0)
assert frame.index.name == 'index', frame.index.name
assert frame.shape == (4, 13), frame.shape
assert all(isinstance(name, str) and '-' in name for name in frame.index), frame.index
labels = ['c2t_cell_type', 'c2t_cell_type_ontology_term_id', 'c2t_tissue', 'c2t_disease', 'c2t_stage']
assert frame[labels].notna().all().all(), frame[labels]
assert frame['c2t_cell_type_score'].dtype == float, frame.dtypes
assert frame['c2t_cell_type_score'].dropna().between(0, 1).all(), frame['c2t_cell_type_score']
assert frame['c2t_description'].str.len().gt(0).all()
assert frame['c2t_run_id'].nunique() == 1
provenance = json.load(open(path.replace('.csv', '.provenance.json')))
assert provenance['table']['sha256'] == hashlib.sha256(open(path, 'rb').read()).hexdigest()
assert list(provenance['runs']) == list(frame['c2t_run_id'].unique())
";
    Run::of(Command::new(python).args(["-c", script]).arg(&table)).ok();
}

#[test]
fn a_real_file_with_ensembl_ids_goes_the_whole_way() {
    let Some(file) = shared("data/cells/breast_visium_hbca2504.h5ad") else { return };
    let info = run_on("info", &file, &["--json"]).json();
    assert_eq!((info["n_obs"].as_u64(), info["n_vars"].as_u64()), (Some(2504), Some(36503)));
    assert!(info["known_genes"].as_u64() > Some(35_000), "{info}");
    let described = run_on("describe", &file, &["--random", "1", "--json"]).json();
    assert!(described["description"]["n_genes_read"].as_u64() > Some(0), "{described}");
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("breast.csv");
    let done = Run::of(cell2text(["annotate", "--limit", "2", "--json", "-o"]).arg(&table).arg(&file)).json();
    assert_eq!(done["rows"], 2);
    assert!(std::fs::read_to_string(table).unwrap().starts_with("\""));
}

#[test]
fn sets_of_cells_are_compared_and_the_table_says_by_what() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("genes.csv");
    let compare = |more: &[&str]| {
        let mut command = cell2text(["compare", "sample", "--column", "bulk_labels", "--json", "-o"]);
        Run::of(command.arg(&table).args(more))
    };
    for (test, name) in [("wilcoxon", "Wilcoxon rank-sum"), ("t", "Welch's t")] {
        let done = compare(&["--a", "CD14+ Monocyte", "--b", "CD19+ B", "--test", test]).json();
        assert_eq!((&done["rows"], &done["n_a"], &done["n_b"]), (&765.into(), &129.into(), &95.into()));
        assert_eq!(done["test"], name);
        assert!(done["highest"].as_array().unwrap().contains(&"LYZ".into()), "{done}");
        let text = std::fs::read_to_string(&table).unwrap();
        assert!(text.starts_with("\"gene\",\"gene_name_in_file\",\"ensembl_id\",\"score\","), "{text}");
        assert_eq!(text.lines().count(), 766);
        let provenance: Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("genes.provenance.json")).unwrap())
                .unwrap();
        assert_eq!(provenance["analysis"]["test"], name);
        assert_eq!(provenance["command"][1], "compare");
    }
    fails(&compare(&["--a", "Monocytes"]), 2, &["Monocytes", "CD14+ Monocyte"]);
    let scaled = compare(&["--a", "CD14+ Monocyte", "--matrix", "X"]);
    fails(&scaled, 1, &["scaled values", "Choose another matrix"]);
}

#[test]
fn a_map_is_computed_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let embed = |name: &str| {
        let table = folder.path().join(name);
        let done = Run::of(cell2text(["embed", "sample", "--json", "-o"]).arg(&table)).json();
        assert_eq!(done["rows"], 700);
        assert!(done["clusters"].as_u64().unwrap() > 2, "{done}");
        std::fs::read_to_string(table).unwrap()
    };
    let table = embed("once.csv");
    assert!(table.starts_with("\"index\",\"umap_1\",\"umap_2\",\"cluster\"\n"), "{table}");
    assert_eq!(table, embed("twice.csv"));
    let provenance: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("once.provenance.json")).unwrap()).unwrap();
    assert_eq!(provenance["analysis"]["seed"], 0);
    assert_eq!(provenance["analysis"]["matrix"], "raw/X");
}

#[test]
fn a_data_set_is_built_once_and_checked_the_second_time() {
    let Some(file) = shared("data/cells/breast_visium_hbca2504.h5ad") else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("set");
    let build = |args: &[&str]| Run::of(cell2text(["dataset"]).arg(&file).arg("-o").arg(&out).args(args));
    let built = build(&["--cells", "40", "--json"]).json();
    assert_eq!(built["cells"], 40);
    assert_eq!(built["splits"]["train"]["donors"], 1);
    let report = std::fs::read(out.join("dataset.json")).unwrap();
    let again = build(&["--cells", "40"]);
    assert!(again.err.contains("counts as one donor"), "{again:?}");
    assert!(again.ok().contains("40 of 2504 usable cells taken"));
    assert_eq!(std::fs::read(out.join("dataset.json")).unwrap(), report);
    fails(&build(&["--cells", "41"]), 1, &["other files or settings", "another folder"]);
    fails(&build(&["--gmt", "absent.gmt"]), 3, &["absent.gmt"]);
    fails(&run(&["dataset", "absent.h5ad", "-o", "never"]), 3, &["absent.h5ad"]);
    assert!(!Path::new("never").exists());
    let Some(python) = python() else { return };
    let script = "
import anndata, sys
data = anndata.read_h5ad(sys.argv[1])
assert data.shape[0] == 40 and data.X.format == 'csr' and data.var_names.is_unique
assert data.obs['description'].str.startswith('This sample consists of a').all()
assert str(data.obs['donor_id'].dtype) == 'category' and data.uns['organism'] == 'Homo sapiens'
";
    Run::of(Command::new(python).args(["-c", script]).arg(out.join("train.h5ad"))).ok();
}

#[test]
fn what_is_no_cell_file_is_named_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes.h5ad");
    std::fs::write(&notes, "cell,type\nA,monocyte\n").unwrap();
    fails(&run_on("info", &notes, &[]), 3, &["notes.h5ad", "not HDF5", "Choose"]);
    fails(&run_on("info", &folder.path().join("absent.h5ad"), &[]), 3, &["absent.h5ad", "No such file"]);
    fails(&run_on("describe", folder.path(), &["--random", "1"]), 3, &[]);
    let Some(other) = shared("data/h5ad_zoo/hdf5_not_anndata.h5ad") else { return };
    fails(&run_on("info", &other, &[]), 3, &["not AnnData", "Choose"]);
}

#[test]
fn a_truncated_file_is_called_truncated() {
    let Some(file) = shared("data/cells/pbmc3k_seurat.h5ad") else { return };
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.h5ad");
    let mut start = Vec::new();
    std::fs::File::open(file).unwrap().take(200_000).read_to_end(&mut start).unwrap();
    std::fs::write(&cut, start).unwrap();
    fails(&run_on("annotate", &cut, &["-o", "never.csv"]), 3, &["cut.h5ad", "cut short", "again"]);
    assert!(!Path::new("never.csv").exists());
}

#[test]
fn without_an_embedding_cells_are_still_described() {
    let Some(file) = shared("data/h5ad_zoo/no_umap.h5ad") else { return };
    let info = run_on("info", &file, &["--json"]).json();
    assert_eq!(info["embeddings"].as_array().map(Vec::len), Some(0));
    assert!(
        texts(&info["findings"], "message").iter().any(|m| m.contains("no map") && m.contains("sc.tl.umap"))
    );
    let described = run_on("describe", &file, &["--random", "1"]);
    assert!(described.err.contains("note: obsm: "), "{described:?}");
    assert!(!described.ok().is_empty());
}

#[test]
fn a_file_without_known_genes_is_refused_with_the_remedy() {
    let Some(file) = shared("data/h5ad_zoo/anndataR_example_1045k.h5ad") else { return };
    assert_eq!(run_on("info", &file, &["--json"]).json()["known_genes"], 0);
    fails(&run_on("describe", &file, &["--random", "1"]), 3, &["Gene000", "Ensembl ids", "feature_name"]);
}

#[test]
fn another_species_is_warned_of_and_flagged_in_the_table() {
    let Some(file) = shared("data/cells/mouse_kidney_tabulamuris215.h5ad") else { return };
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("mouse.csv");
    let done = Run::of(cell2text(["annotate", "--limit", "1", "-o"]).arg(&table).arg(&file));
    assert!(done.err.contains("warning: ") && done.err.contains("of mouse"), "{done:?}");
    done.ok();
    assert!(std::fs::read_to_string(table).unwrap().contains("species_mismatch"));
}

#[test]
fn exit_codes_tell_a_wrong_line_from_wrong_work() {
    fails(&run(&["describe", "sample"]), 2, &["--cell"]);
    fails(&run(&["annotate", "sample", "-o", "no/such/folder/out.csv"]), 2, &["no such folder"]);
    fails(&run(&["describe", "sample", "--cell", "nobody"]), 1, &["nobody", "no cell of that name"]);
    fails(&run(&["ontology", "no such thing at all"]), 1, &["no term"]);
    fails(&run(&["train", "absent.toml", "--data", ".", "--out", "never"]), 3, &["absent.toml"]);
    fails(
        &run(&["describe", "sample", "--random", "1", "--model", "no-such-folder"]),
        1,
        &["no-such-folder"],
    );
    assert!(run(&["--help"]).ok().contains("Exit codes:"));
}

#[test]
fn the_file_described_is_never_overwritten() {
    let Some(file) = shared("data/h5ad_zoo/no_umap.h5ad") else { return };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("mine.h5ad");
    std::fs::copy(&file, &copy).unwrap();
    let failed = Run::of(cell2text(["annotate", "--limit", "1", "-o"]).arg(&copy).arg(&copy));
    fails(&failed, 1, &["never overwritten"]);
    assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(file).unwrap());
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = cell2text(["describe", "sample", "--random", "3", "--device", "cpu"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // The reader is dropped here: what follows meets a closed pipe.
    let run = Run::from(child.wait_with_output().unwrap());
    assert!(!line.is_empty());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.err.contains("error"), "{run:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_what_was_described_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("cells.csv");
    // Standard error is no terminal here, so nothing tells how far it is: the first interrupt may come before the
    // first batch is done, and then there is nothing to save.
    let child = cell2text(["annotate", "sample", "--device", "cpu", "-o"])
        .arg(&table)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let run = Run::from(child.wait_with_output().unwrap());
    if run.code == Some(0) {
        return; // It was quicker than the interrupt.
    }
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(run.err.contains("interrupted"), "{run:?}");
    assert!(!table.exists(), "a part must not pass for the whole");
    let partial = folder.path().join("cells.partial.csv");
    if run.err.contains("they are in") {
        assert!(std::fs::read_to_string(partial).unwrap().lines().count() > 1);
    }
}

#[test]
fn the_ontology_answers_by_id_name_and_synonym() {
    let by_id = run(&["ontology", "CL:0000576", "--json"]).json();
    assert_eq!(by_id["label"], "monocyte");
    assert_eq!(run(&["ontology", "Monocytes", "--json"]).json(), by_id);
    assert!(texts(&by_id["parents"], "label").contains(&"myeloid leukocyte"));
    assert!(texts(&by_id["children"], "label").contains(&"classical monocyte"));
    assert!(texts(&by_id["ancestors"], "id").contains(&"CL:0000000"));
    let tree = run(&["ontology", "monocyte"]).ok();
    assert!(tree.starts_with("CL:0000576 monocyte\n"), "{tree}");
    assert!(tree.contains("\n  CL:0000766 myeloid leukocyte\n    CL:"), "{tree}");
}

#[test]
fn devices_always_offers_the_cpu() {
    let devices = run(&["devices", "--json"]).json();
    assert!(texts(&devices, "preference").iter().any(|name| name.eq_ignore_ascii_case("cpu")), "{devices}");
}

#[test]
fn the_demo_leaves_a_table_and_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let said = Run::of(cell2text(["demo", "--out"]).arg(&out)).ok();
    assert!(said.contains("700 cells"), "{said}");
    let table = std::fs::read_to_string(out.join("cells.csv")).unwrap();
    assert_eq!(table.lines().count(), 6);
    let picture = image::open(out.join("window.png")).unwrap();
    assert!(picture.width() >= 800 && picture.height() >= 500);
}

/// A copy of the sample's file, to be annotated into another copy.
/// The sample as today's anndata writes it: as published it has the old layout, which no copy is made of.
fn cells_file(folder: &Path) -> Option<std::path::PathBuf> {
    let file = folder.join("cells.h5ad");
    let script = "\
import sys, warnings
warnings.simplefilter('ignore')
import anndata
anndata.read_h5ad(sys.argv[1]).write_h5ad(sys.argv[2])
";
    let sample = tests::root().join("assets/sample/pbmc68k_reduced.h5ad");
    Run::of(Command::new(python()?).args(["-c", script]).args([&sample, &file])).ok();
    Some(file)
}

#[test]
fn annotations_go_into_a_copy_of_the_file_and_the_file_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let Some(file) = cells_file(folder.path()) else { return };
    let copy = folder.path().join("copy.h5ad");
    let before = std::fs::read(&file).unwrap();
    let args = ["annotate", "--random", "3", "--seed", "5", "--device", "cpu", "--json", "--into"];
    let done = Run::of(cell2text(args).arg(&copy).arg(&file)).json();
    assert_eq!((done["rows"].as_u64(), &done["table"]), (Some(3), &Value::Null));
    let info = run_on("info", &copy, &["--json"]).json();
    let column =
        |name: &str| info["obs"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap().clone();
    assert_eq!(column("c2t_cell_type")["missing"], 697);
    assert_eq!(column("c2t_cell_type")["kind"], "categorical");
    assert_eq!(column("c2t_cell_type_score")["kind"], "number");
    assert_eq!(column("c2t_description")["kind"], "text");
    assert!(std::fs::read(&file).unwrap() == before);
    // What is there is written over only where that is asked for; what we wrote before is written anew.
    let again = |target: &Path, source: &Path, more: &[&str]| {
        Run::of(cell2text(args).arg(target).arg(source).args(more))
    };
    fails(&again(&copy, &file, &[]), 2, &["copy.h5ad", "--replace"]);
    fails(&again(&file, &file, &["--replace"]), 1, &["never overwritten"]);
    let second = folder.path().join("second.h5ad");
    again(&second, &copy, &[]).json();
    again(&copy, &file, &["--replace"]).json();
    assert!(std::fs::read(&file).unwrap() == before);
    // Labels alone, as the window exports them.
    let (labels, third) = (folder.path().join("labels.csv"), folder.path().join("third.h5ad"));
    let name = info["obs_index"].as_str().unwrap();
    std::fs::write(&labels, format!("{name},annotation_mine\nAAAGCCTGGCTAAC-1,B\n")).unwrap();
    let mut command = cell2text(["annotate", "--labels-only", "--json", "--into"]);
    Run::of(command.arg(&third).arg("--labels").arg(&labels).arg(&file)).json();
    let info = run_on("info", &third, &["--json"]).json();
    assert!(texts(&info["obs"], "name").contains(&"annotation_mine"), "{info}");
    let Some(python) = python() else { return };
    let script = "\
import json, sys, warnings
warnings.simplefilter('ignore')
import anndata
source, copy = (anndata.read_h5ad(path) for path in sys.argv[1:])
said = copy.obs[copy.obs['c2t_cell_type'].notna()]
assert len(said) == 3, len(said)
assert said['c2t_cell_type_score'].between(0, 1).all(), said
assert said['c2t_description'].str.len().gt(0).all(), said
assert copy.obs['c2t_description'].str.len().gt(0).sum() == 3
assert list(copy.obs.columns[:len(source.obs.columns)]) == list(source.obs.columns)
assert (copy.raw.X != source.raw.X).nnz == 0 and (copy.X == source.X).all()
provenance = json.loads(copy.uns['cell2text']['provenance'])
assert list(provenance['runs']) == list(said['c2t_run_id'].unique())
assert provenance['copy']['described_cells'] == 3 and len(provenance['input']['sha256']) == 64
";
    Run::of(Command::new(python).args(["-c", script]).args([&file, &copy])).ok();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_leaves_the_old_copy_and_the_descriptions() {
    let folder = tempfile::tempdir().unwrap();
    let Some(file) = cells_file(folder.path()) else { return };
    let copy = folder.path().join("copy.h5ad");
    std::fs::write(&copy, "older").unwrap();
    let blocks = file.metadata().unwrap().len() / 512;
    // In the middle of copying, and when only the room for the columns is missing.
    for most in [blocks / 2, blocks + 8] {
        let limited = format!("trap '' XFSZ; ulimit -f {most}; exec \"$0\" \"$@\"");
        let run = Run::of(
            Command::new("sh")
                .args(["-c", &limited])
                .arg(tests::binary())
                .args(["annotate", "--limit", "1", "--device", "cpu", "--replace", "--into"])
                .args([&copy, &file]),
        );
        fails(&run, 1, &["could not", "copy.h5ad", "copy.partial.csv"]);
        assert_eq!(std::fs::read(&copy).unwrap(), b"older");
        let table = folder.path().join("copy.partial.csv");
        assert_eq!(std::fs::read_to_string(&table).unwrap().lines().count(), 2);
        std::fs::remove_file(table).unwrap();
        std::fs::remove_file(folder.path().join("copy.partial.provenance.json")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left over");
    }
}

#[test]
fn a_folder_of_10x_genomics_opens_like_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("matrix.mtx", "%%MatrixMarket matrix coordinate integer general\n%\n3 2 3\n1 1 4\n3 1 1\n2 2 7\n");
    put("barcodes.tsv", "AAAC-1\nAAAG-1\n");
    put(
        "features.tsv",
        "ENSG00000156738\tMS4A1\tGene Expression\nENSG00000090382\tLYZ\tGene Expression\nENSG00000115523\tGNLY\tGene Expression\n",
    );
    let info = run_on("info", folder.path(), &["--json"]).json();
    assert_eq!((&info["n_obs"], &info["n_vars"], &info["known_genes"]), (&2.into(), &3.into(), &3.into()));
    assert_eq!(info["matrix"]["scale"], "counts");
    let copy = folder.path().join("cells.h5ad");
    let described = ["annotate", "--device", "cpu", "--json", "--into"];
    Run::of(cell2text(described).arg(&copy).arg(folder.path())).json();
    assert_eq!(run_on("info", &copy, &["--json"]).json()["n_obs"], 2);
    std::fs::remove_file(folder.path().join("barcodes.tsv")).unwrap();
    fails(&run_on("info", folder.path(), &[]), 3, &["barcodes.tsv"]);
}

#[test]
fn gene_caches_are_listed_bounded_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = |args: &[&str]| {
        Run::of(cell2text(["cache", "--json"]).env("CELL2TEXT_CACHE", folder.path().join("genes")).args(args))
    };
    let list = cache(&[]).json();
    assert_eq!((&list["bytes"], &list["caches"]), (&0.into(), &serde_json::json!([])));
    let list = cache(&["--budget", "3GB"]).json();
    assert_eq!(list["budget_bytes"], 3_000_000_000u64);
    let Some(file) = cells_file(folder.path()) else { return };
    // A small file needs none.
    assert_eq!(cache(&["build", &file.to_string_lossy()]).json()["bytes"], Value::Null);
    assert_eq!(cache(&["remove", "--all"]).json()["removed"], 0);
    assert_eq!(cache(&["list"]).json()["budget_bytes"], 3_000_000_000u64);
}

#[test]
fn a_file_is_tried_in_silence_whatever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let Some(file) = cells_file(folder.path()) else { return };
    let bad = folder.path().join("bad.h5ad");
    std::fs::write(&bad, "no file at all").unwrap();
    for path in [file, bad, folder.path().join("none.h5ad")] {
        let run = run_on("try", &path, &[]);
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", ""), "{run:?}");
    }
}
