//! Whole data sets from generated studies with the columns of CELLxGENE's schema.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::*;
use crate::anndata::{Column, Frame, MatrixKey, NewAnnData, SparseRow, Values};
use crate::progress::{Cancel, Progress};
use crate::test_support::shared_file;

const GENES: usize = 900;

/// Ensembl ids: the genes of some Hallmark sets first, then others.
fn gene_ids() -> &'static [String] {
    static IDS: OnceLock<Vec<String>> = OnceLock::new();
    IDS.get_or_init(|| {
        let table = GeneTable::builtin().unwrap();
        let sets = GeneSets::hallmark().unwrap();
        let mut ids: Vec<String> = Vec::new();
        for set in ["HYPOXIA", "APOPTOSIS", "NOTCH_SIGNALING", "ANGIOGENESIS", "PEROXISOME"] {
            let genes = &sets.set(&format!("HALLMARK_{set}")).unwrap().genes;
            ids.extend(
                genes.iter().filter_map(|g| table.resolve(g)).map(|(id, _)| table.ensembl_id(id).to_owned()),
            );
        }
        ids.extend((0..GENES as u32).map(|i| table.ensembl_id(GeneId(i * 31)).to_owned()));
        let mut seen = BTreeSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        ids.truncate(GENES);
        ids
    })
}

/// One row of a study.
#[derive(Debug, Clone)]
struct Cell {
    cell_type: &'static str,
    tissue: &'static str,
    disease: &'static str,
    donor: String,
    assay: &'static str,
    primary: bool,
}

const TYPES: [(&str, &str); 6] = [
    ("CL:0000236", "B cell"),
    ("CL:0000084", "T cell"),
    ("CL:0000576", "monocyte"),
    ("CL:0000127", "astrocyte"),
    ("CL:0000128", "oligodendrocyte"),
    ("CL:0002328", "bronchial epithelial cell"),
];

/// `n` cells of 40 donors, most of them T cells of healthy blood.
fn cells(n: usize, seed: u64) -> Vec<Cell> {
    (0..n)
        .map(|i| {
            let lot = strata::mix(seed ^ i as u64);
            let donor = lot % 40;
            let (tissue, types) = match donor {
                0..25 => ("blood", [0, 1, 1, 1, 1, 2]),
                25..35 => ("brain", [3, 4, 4, 4, 4, 1]),
                35..38 => ("lung", [5, 5, 1, 2, 0, 5]),
                _ => ("spleen", [0, 0, 1, 2, 0, 0]),
            };
            Cell {
                cell_type: TYPES[types[(lot >> 8) as usize % 6]].0,
                tissue,
                disease: match donor {
                    1 | 2 => "COVID-19",
                    26 | 36 => "Alzheimer disease",
                    38 => "influenza",
                    _ => "normal",
                },
                donor: format!("{seed}-{donor}"),
                assay: if (lot >> 16).is_multiple_of(20) { "Smart-seq2" } else { "10x 3' v3" },
                primary: !(lot >> 24).is_multiple_of(25),
            }
        })
        .collect()
}

fn study(path: &Path, cells: &[Cell]) {
    let ids = gene_ids();
    let file = NewAnnData::create(path).unwrap();
    let mut rows = file.rows("X", ids.len()).unwrap();
    for (i, _) in cells.iter().enumerate() {
        let lot = strata::mix(77 ^ i as u64);
        let columns: Vec<u32> =
            (0..ids.len() as u32).filter(|g| strata::mix(lot ^ u64::from(*g)).is_multiple_of(6)).collect();
        let values =
            columns.iter().map(|g| (strata::mix(lot.wrapping_add(u64::from(*g))) % 9 + 1) as f32).collect();
        rows.push(&SparseRow { columns, values }).unwrap();
    }
    rows.finish().unwrap();
    let column = |name: &str, f: &dyn Fn(&Cell) -> String| Column {
        name: name.to_owned(),
        values: labels::categorical(&cells.iter().map(f).collect::<Vec<_>>()),
    };
    let label = |id: &str| TYPES.iter().find(|(t, _)| *t == id).map_or("", |(_, l)| l).to_owned();
    let obs = Frame {
        index_name: "_index".into(),
        index: (0..cells.len()).map(|i| format!("cell{i}")).collect(),
        columns: vec![
            column("cell_type_ontology_term_id", &|c| c.cell_type.to_owned()),
            column("cell_type", &|c| label(c.cell_type)),
            column("tissue", &|c| c.tissue.to_owned()),
            column("tissue_general", &|c| c.tissue.to_owned()),
            column("disease", &|c| c.disease.to_owned()),
            column("donor_id", &|c| c.donor.clone()),
            column("assay", &|c| c.assay.to_owned()),
            column("sex", &|c| if c.donor.len() % 2 == 0 { "male" } else { "female" }.to_owned()),
            column("development_stage", &|_| "35-year-old stage".to_owned()),
            column("suspension_type", &|_| "cell".to_owned()),
            Column {
                name: "is_primary_data".into(),
                values: Values::Boolean(cells.iter().map(|c| Some(c.primary)).collect()),
            },
        ],
    };
    file.frame("obs", &obs, &[]).unwrap();
    let var = Frame { index_name: "_index".into(), index: ids.to_vec(), columns: Vec::new() };
    file.frame("var", &var, &[]).unwrap();
    file.uns(&[("organism", "Homo sapiens")]).unwrap();
    file.finish().unwrap();
}

/// Two studies, written once.
fn studies() -> &'static [PathBuf] {
    static STUDIES: OnceLock<(tempfile::TempDir, Vec<PathBuf>)> = OnceLock::new();
    &STUDIES
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let files = [("one.h5ad", 2200, 1), ("two.h5ad", 1300, 2)].map(|(name, n, seed)| {
                let path = folder.path().join(name);
                study(&path, &cells(n, seed));
                path
            });
            (folder, files.to_vec())
        })
        .1
}

fn request(out: &Path) -> DatasetRequest {
    DatasetRequest {
        files: studies().to_vec(),
        out: out.to_path_buf(),
        cells: Some(1000),
        seed: 42,
        gene_sets: None,
        dialect: Dialect::PySceNic,
        keep: KeptSets::Paper,
    }
}

/// The data set of [`request`], built once.
fn built() -> (&'static Path, &'static DatasetReport) {
    static BUILT: OnceLock<(tempfile::TempDir, DatasetReport)> = OnceLock::new();
    let (folder, report) = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let report = build_dataset(&request(folder.path()), &Watch::silent()).unwrap();
        (folder, report)
    });
    (folder.path(), report)
}

/// The bytes of all files of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn a_data_set_holds_the_cells_asked_for_with_counts_labels_and_descriptions() {
    let (folder, report) = built();
    assert_eq!(report.splits.values().map(|s| s.cells).sum::<u64>(), 1000);
    let sources: HashMap<String, AnnData> = studies()
        .iter()
        .map(|path| (file_name(path), AnnData::open(path, &Watch::silent()).unwrap()))
        .collect();
    for (split, of_split) in &report.splits {
        assert!(of_split.cells > 0, "{split:?}");
        let data = AnnData::open(&folder.join(&of_split.file), &Watch::silent()).unwrap();
        assert_eq!(data.n_obs() as u64, of_split.cells);
        let choice = data.choose_matrix().unwrap();
        assert_eq!((choice.key, choice.scale), (MatrixKey::X, crate::anndata::Scale::Counts));
        let matrix = data.matrix(&MatrixKey::X).unwrap();
        let genes = &data.var(&MatrixKey::X).index;
        let text = |name: &str, row: usize| data.obs().column(name).unwrap().text(row).unwrap();
        for row in (0..data.n_obs()).step_by(97) {
            // The counts are those of the source, by gene.
            let (name, number) = data.obs().index[row].rsplit_once('-').unwrap();
            let source_name = text("source_file", row);
            assert_eq!(number, if source_name == "one.h5ad" { "1" } else { "2" });
            let source = &sources[&source_name];
            let at = source.obs().index.iter().position(|n| n == name).unwrap();
            let original = source.matrix(&MatrixKey::X).unwrap().row(at).unwrap();
            let by_gene = |row: &SparseRow, genes: &[String]| -> BTreeMap<String, String> {
                row.iter().map(|(c, v)| (genes[c as usize].clone(), v.to_string())).collect()
            };
            let original = by_gene(&original, &source.var(&MatrixKey::X).index);
            assert_eq!(by_gene(&matrix.row(row).unwrap(), genes), original);
            for column in ["cell_type_ontology_term_id", "disease", "donor_id", "assay", "suspension_type"] {
                assert_eq!(text(column, row), source.obs().column(column).unwrap().text(at).unwrap());
            }
            // The text says what the columns say.
            let described = text("description", row);
            assert!(described.starts_with("This sample consists of a"), "{described}");
            assert!(described.contains(&format!(" {}", text("cell_type", row))), "{described}");
            assert!(described.contains(&format!(" the {} of a", text("tissue", row))), "{described}");
            assert!(described.contains(" during adulthood. This cell is associated with "), "{described}");
            assert_eq!(text("pathways", row), format!("{}|{}", text("pathway1", row), text("pathway2", row)));
            assert!(PAPER_SETS.contains(&text("pathway1", row).as_str()));
        }
        assert!(genes.is_sorted());
    }
    let names: Vec<String> = contents(folder).into_keys().collect();
    assert_eq!(
        names,
        [
            "dataset.json",
            "diversity.svg",
            "gene_lengths.svg",
            "test.h5ad",
            "text_lengths.svg",
            "train.h5ad",
            "valid.h5ad"
        ]
    );
}

#[test]
fn no_donor_is_in_two_splits_and_training_has_every_category() {
    let (folder, report) = built();
    let mut donors: BTreeMap<String, BTreeSet<Split>> = BTreeMap::new();
    let mut seen: BTreeMap<Split, BTreeSet<String>> = BTreeMap::new();
    for (split, of_split) in &report.splits {
        let data = AnnData::open(&folder.join(&of_split.file), &Watch::silent()).unwrap();
        for row in 0..data.n_obs() {
            let text = |name: &str| data.obs().column(name).unwrap().text(row).unwrap();
            donors.entry(text("donor_id")).or_default().insert(*split);
            for column in ["cell_type_ontology_term_id", "tissue_general", "disease"] {
                seen.entry(*split).or_default().insert(format!("{column} {}", text(column)));
            }
        }
    }
    assert!(donors.values().all(|splits| splits.len() == 1), "{donors:?}");
    assert_eq!(donors.len() as u64, report.splits.values().map(|s| s.donors).sum::<u64>());
    assert_eq!(report.donors_in_several_splits, 0);
    let (train, valid, test) = (&seen[&Split::Train], &seen[&Split::Valid], &seen[&Split::Test]);
    assert!(valid.is_subset(train) && test.is_subset(train));
    for split in [Split::Valid, Split::Test] {
        let cells = report.splits[&split].cells;
        assert!((60..=110).contains(&cells), "{split:?}: {cells}");
    }
}

#[test]
fn unusable_cells_are_left_out_and_counted_by_reason() {
    let (_, report) = built();
    let all: Vec<Cell> = cells(2200, 1).into_iter().chain(cells(1300, 2)).collect();
    let count = |f: &dyn Fn(&&Cell) -> bool| all.iter().filter(f).count() as u64;
    assert_eq!(report.exclusions[&Exclusion::NotPrimary], count(&|c| !c.primary));
    let by_assay = count(&|c| c.primary && c.assay == "Smart-seq2");
    assert_eq!(report.exclusions[&Exclusion::Assay], by_assay);
    assert_eq!(report.excluded_assays, [("Smart-seq2".to_owned(), by_assay)].into());
    assert_eq!(report.exclusions.len(), 2);
    let usable: u64 = report.sources.iter().map(|s| s.usable).sum();
    assert_eq!(usable, count(&|c| c.primary && c.assay != "Smart-seq2"));
    for rows in report.strata.values() {
        assert_eq!(rows.iter().map(|r| r.usable).sum::<u64>(), usable);
        assert_eq!(rows.iter().map(|r| r.taken).sum::<u64>(), 1000);
    }
}

#[test]
fn choosing_by_the_papers_shares_makes_cell_types_and_diseases_more_even() {
    let (_, report) = built();
    for variable in ["cell_type", "tissue"] {
        let diversity = report.diversity[variable];
        assert!(diversity.after > diversity.before, "{variable}: {diversity:?}");
        assert_eq!(diversity.categories_after, diversity.categories_before);
    }
    let asked: Vec<u64> = report.parts.iter().map(|p| p.asked).collect();
    assert_eq!(asked[..5], [300, 250, 200, 150, 100]);
    assert_eq!(report.parts.iter().map(|p| p.taken).sum::<u64>(), 1000);
    // 3 % of 200 is the most of any other disease, 5 % is COVID-19's.
    let disease = report.parts[2];
    assert!(disease.taken <= 140 + 10 + 2 * 6, "{disease:?}");
    assert_eq!(report.gene_lengths.count, 1000);
    assert_eq!(report.text_lengths.count, 1000);
    assert!((100.0..200.0).contains(&report.gene_lengths.mean), "{}", report.gene_lengths.mean);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_other_cells() {
    let [again, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    build_dataset(&request(again.path()), &Watch::silent()).unwrap();
    let first = contents(built().0);
    assert!(first == contents(again.path()));
    build_dataset(&DatasetRequest { seed: 43, ..request(other.path()) }, &Watch::silent()).unwrap();
    assert!(first["train.h5ad"] != contents(other.path())["train.h5ad"]);
}

/// A watch that stops the work at its `at`th step.
fn stopping_at(at: u64) -> Watch {
    let (cancel, steps) = (Cancel::new(), Arc::new(AtomicU64::new(0)));
    let stop = cancel.clone();
    Watch::new(cancel, move |_: &Progress| {
        if steps.fetch_add(1, Ordering::Relaxed) + 1 == at {
            stop.cancel();
        }
    })
}

#[test]
fn a_run_stopped_anywhere_goes_on_and_ends_with_the_same_bytes() {
    let pieces = tempfile::tempdir().unwrap();
    let mut stops = 0;
    let mut blocks = BTreeSet::new();
    for at in (20..).step_by(13) {
        match build_dataset(&request(pieces.path()), &stopping_at(at)) {
            Ok(_) => break,
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
        stops += 1;
        assert!(!pieces.path().join(REPORT).exists());
        let unfinished = pieces.path().join(UNFINISHED);
        blocks.extend(std::fs::read_dir(unfinished).unwrap().map(|e| e.unwrap().file_name()));
    }
    assert!(stops >= 5, "{stops}");
    assert!(blocks.len() >= 3, "{blocks:?}");
    build_dataset(&request(pieces.path()), &Watch::silent()).unwrap();
    assert!(contents(built().0) == contents(pieces.path()));
    // Once complete, the same request only checks; another is refused.
    let again = build_dataset(&request(pieces.path()), &Watch::silent()).unwrap();
    assert_eq!(again.cells_asked, Some(1000));
    let other = DatasetRequest { seed: 1, ..request(pieces.path()) };
    let message = build_dataset(&other, &Watch::silent()).unwrap_err().to_string();
    assert!(message.contains("other files or settings"), "{message}");
    std::fs::write(pieces.path().join("test.h5ad"), "changed").unwrap();
    assert!(build_dataset(&request(pieces.path()), &Watch::silent()).is_err());
}

#[test]
fn all_cells_are_taken_where_none_are_asked_for_and_own_gene_sets_are_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let gmt = folder.path().join("sets.gmt");
    let ids = gene_ids();
    let line = |name: &str, genes: &[String]| format!("{name}\tx\t{}\n", genes.join("\t"));
    std::fs::write(&gmt, line("MY_FIRST", &ids[..40]) + &line("MY_SECOND", &ids[40..90])).unwrap();
    let out = folder.path().join("out");
    let request = DatasetRequest {
        cells: None,
        gene_sets: Some(gmt),
        dialect: Dialect::Decoupler,
        keep: KeptSets::Active,
        ..request(&out)
    };
    let report = build_dataset(&request, &Watch::silent()).unwrap();
    let usable: u64 = report.sources.iter().map(|s| s.usable).sum();
    assert_eq!(report.splits.values().map(|s| s.cells).sum::<u64>(), usable);
    assert!(report.parts.is_empty());
    assert!(report.pathways.by_set.iter().all(|set| set.kept), "{:?}", report.pathways.by_set);
    let data = AnnData::open(&out.join("train.h5ad"), &Watch::silent()).unwrap();
    let text = data.obs().column("description").unwrap().text(0).unwrap();
    assert!(text.contains("genes of the set my "), "{text}");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let twice = DatasetRequest { files: vec![studies()[0].clone(), studies()[0].clone()], ..request(&out) };
    let message = build_dataset(&twice, &Watch::silent()).unwrap_err().to_string();
    assert!(message.contains("the same content as"), "{message}");
    let path = folder.path().join("mouse.h5ad");
    let mut smart = cells(50, 9);
    smart.iter_mut().for_each(|c| c.assay = "Smart-seq2");
    study(&path, &smart);
    let alone = DatasetRequest { files: vec![path], ..request(&folder.path().join("other")) };
    let message = build_dataset(&alone, &Watch::silent()).unwrap_err().to_string();
    assert!(message.contains("of an assay that the paper leaves out"), "{message}");
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("train.h5ad"), "somebody's").unwrap();
    let message = build_dataset(&request(&taken), &Watch::silent()).unwrap_err().to_string();
    assert!(message.contains("train.h5ad"), "{message}");
    assert_eq!(std::fs::read(taken.join("train.h5ad")).unwrap(), b"somebody's");
}

#[test]
fn a_real_study_without_donors_counts_as_one_and_says_so() {
    let Some(path) = shared_file("data/cells/breast_visium_hbca2504.h5ad") else { return };
    let folder = tempfile::tempdir().unwrap();
    let request = DatasetRequest { files: vec![path], cells: Some(60), ..request(folder.path()) };
    let report = build_dataset(&request, &Watch::silent()).unwrap();
    assert_eq!((report.splits[&Split::Train].cells, report.splits[&Split::Test].cells), (60, 0));
    assert_eq!(report.splits[&Split::Train].donors, 1);
    assert!(report.warnings.iter().any(|w| w.contains("counts as one donor")), "{:?}", report.warnings);
    assert!(report.warnings.iter().any(|w| w.contains("holds no counts")), "{:?}", report.warnings);
    assert_eq!(report.strata["cell_type"].len(), 8);
    let data = AnnData::open(&folder.path().join("train.h5ad"), &Watch::silent()).unwrap();
    let text = data.obs().column("description").unwrap().text(0).unwrap();
    assert!(text.contains(" the breast of a normal female"), "{text}");
}
