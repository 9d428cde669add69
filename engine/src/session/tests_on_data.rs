//! The session on real files: what it shows of them, and what it says about odd ones.

use std::path::PathBuf;
use std::sync::Arc;

use super::testing::{failure, open, run};
use super::{CellRecord, Command, DataSource, Dataset, Event, Finding, GeneColour, Session, Settings};
use crate::anndata::tests::fixtures::{Fixture, put, put_texts, text};
use crate::anndata::{MatrixKey, Scale};
use crate::genes::Species;
use crate::test_support::shared_file;

fn open_file(path: PathBuf) -> (Session, Arc<Dataset>) {
    let session = Session::start(Settings::default()).unwrap();
    let dataset = open(&session, DataSource::File(path));
    (session, dataset)
}

fn colour(session: &Session, gene: usize) -> GeneColour {
    let events = run(session, Command::ColourByGene { gene });
    events
        .into_iter()
        .find_map(|event| match event {
            Event::GeneColoured { colour, .. } => Some(colour),
            _ => None,
        })
        .unwrap()
}

fn read(session: &Session, cell: usize) -> Arc<CellRecord> {
    let events = run(session, Command::ReadCell { cell });
    events
        .into_iter()
        .find_map(|event| match event {
            Event::CellRead { record, .. } => Some(record),
            _ => None,
        })
        .unwrap()
}

fn finding<'a>(dataset: &'a Dataset, word: &str) -> &'a Finding {
    dataset
        .findings
        .iter()
        .find(|finding| finding.message.contains(word))
        .unwrap_or_else(|| panic!("no finding with \"{word}\" in {:?}", dataset.findings))
}

#[test]
fn the_sample_shows_its_map_its_labels_and_its_scale() {
    let session = Session::start(Settings::default()).unwrap();
    let dataset = open(&session, DataSource::Sample);
    assert_eq!((dataset.n_obs, dataset.genes.len()), (700, 765));
    assert_eq!(dataset.embeddings.first().map(|view| view.name.as_str()), Some("X_umap"));
    assert!(dataset.obs.column("bulk_labels").is_some_and(crate::anndata::Column::is_categorical));
    assert_eq!((&dataset.matrix.key, dataset.matrix.scale), (&MatrixKey::Raw, Scale::Log1p));
    assert_eq!(dataset.species, Some(Species::Human));
    assert!(dataset.known_genes > 700, "{}", dataset.known_genes);
    assert!(finding(&dataset, "log-normalised").message.contains("exp(x) - 1"));
    assert!(!dataset.findings.iter().any(|finding| finding.serious), "{:?}", dataset.findings);
    let lyz = dataset.genes.iter().position(|gene| gene == "LYZ").unwrap();
    let colour = colour(&session, lyz);
    assert_eq!((colour.values.len(), colour.unit), (700, "log1p as in the file"));
}

#[test]
fn several_genes_are_read_in_the_order_asked_for_and_as_for_colouring() {
    let session = Session::start(Settings::default()).unwrap();
    let dataset = open(&session, DataSource::Sample);
    let wanted = [400, 3, 764];
    let read = run(&session, Command::ReadGenes { genes: wanted.into() })
        .into_iter()
        .filter_map(|event| match event {
            Event::GeneRead { colour, .. } => Some(colour),
            _ => None,
        })
        .collect::<Vec<_>>();
    assert!(read.iter().map(|colour| colour.gene).eq(wanted));
    for one in &read {
        let alone = colour(&session, one.gene);
        assert_eq!((&one.symbol, one.unit), (&dataset.genes[one.gene], alone.unit));
        assert_eq!(one.values, alone.values);
    }
    let events = run(&session, Command::ReadGenes { genes: [1, 765].into() });
    assert!(failure(&events).contains("row below 765"));
    assert!(!events.iter().any(|event| matches!(event, Event::GeneRead { .. })));
}

#[test]
fn the_first_look_comes_before_the_data_set_and_agrees_with_it() {
    let fixture = Fixture::new(4, 3);
    let labels = fixture.obs().create_group("cell_type").unwrap();
    put(&labels, "codes", &[0i8, 1, -1, 1]);
    put_texts(&labels, "categories", &["T", "B"]);
    let order = fixture.obs().new_attr::<hdf5::types::VarLenUnicode>().shape([1]);
    order.create("column-order").unwrap().write_raw(&[text("cell_type")]).unwrap();
    fixture.file.create_group("obsm").unwrap();
    let places = [0.0f32, 1.0, 2.0, 3.0, f32::NAN, 5.0, 6.0, 7.0];
    fixture.dense("obsm/X_umap", [4, 2], &places, None);
    fixture.dense("X", [4, 3], &[1.0f32; 12], None);
    let written = fixture.finish();
    let session = Session::start(Settings::default()).unwrap();
    let mut look = None;
    for event in run(&session, Command::Open(DataSource::File(written.path))) {
        match event {
            Event::FirstLook { look: seen, .. } => assert!(look.replace(seen).is_none(), "one look"),
            Event::Opened { dataset, .. } => {
                let look = look.take().unwrap();
                assert_eq!((&look.source, &look.name), (&dataset.source, &dataset.name));
                assert_eq!(look.n_obs, dataset.n_obs);
                let shown = &dataset.embeddings[0];
                assert_eq!(look.embedding.name, shown.name);
                let bits =
                    |places: &[[f32; 2]]| places.iter().map(|p| p.map(f32::to_bits)).collect::<Vec<_>>();
                assert_eq!(bits(&look.embedding.positions), bits(&shown.positions));
                let column = look.column.as_ref().unwrap();
                assert_eq!(Some(column), dataset.obs.column("cell_type"));
                assert_eq!(look.colours.as_ref(), dataset.category_colours.get("cell_type"));
                return;
            }
            _ => {}
        }
    }
    panic!("not opened");
}

#[test]
fn another_matrix_can_be_chosen_and_keeps_the_rest() {
    let session = Session::start(Settings::default()).unwrap();
    let first = open(&session, DataSource::Sample);
    let events = run(&session, Command::UseMatrix(MatrixKey::X));
    let second = events
        .iter()
        .find_map(|event| match event {
            Event::Opened { dataset, .. } => Some(dataset.clone()),
            _ => None,
        })
        .unwrap();
    assert_eq!((&second.matrix.key, second.matrix.scale), (&MatrixKey::X, Scale::Scaled));
    assert!(second.matrix.chosen_by_user);
    assert_eq!(second.name, first.name);
    assert!(finding(&second, "unreliable").serious);
}

/// Expected values: anndata 0.12 and numpy on the same file, `log1p(X[:, LYZ] / X.sum(1) * 1e4)`.
#[test]
fn colours_and_records_agree_with_numpy() {
    let Some(path) = shared_file("data/cells/pbmc3k_seurat.h5ad") else { return };
    let (session, dataset) = open_file(path);
    assert_eq!(dataset.matrix.scale, Scale::Counts);
    let lyz = dataset.gene_names_in_file.iter().position(|gene| gene == "LYZ").unwrap();
    assert_eq!(lyz, 8681);
    let colour = colour(&session, lyz);
    assert_eq!((&*colour.symbol, colour.unit), ("LYZ", "log1p of counts per 10,000"));
    for (value, expected) in colour.values.iter().zip([1.635_873_3, 1.962_725_5, 1.995_415_6, 4.521_175, 0.0])
    {
        assert!((value - expected).abs() < 1e-5, "{value} {expected}");
    }
    let sum = colour.values.iter().copied().map(f64::from).sum::<f64>();
    assert!((sum - 4_871.568_188_933_737_5).abs() < 1e-2, "{sum}");

    let record = read(&session, 0);
    assert_eq!((record.total, record.n_genes), (2_419.0, 779));
    let top = record.top_genes.iter().take(5).map(|gene| (&*gene.symbol, gene.value)).collect::<Vec<_>>();
    assert_eq!(top, [("B2M", 76.0), ("MALAT1", 49.0), ("TMSB4X", 47.0), ("RPS2", 44.0), ("RPL11", 41.0)]);
    let value =
        |name: &str| record.obs.iter().find(|(column, _)| column == name).and_then(|(_, v)| v.clone());
    assert_eq!(value("nCount_RNA").as_deref(), Some("2419"));
    assert_eq!(value("cell_type_ontology_term_id").as_deref(), Some("CL:0000897"));
}

#[test]
fn ensembl_ids_are_shown_as_symbols() {
    let Some(path) = shared_file("data/cells/breast_visium_hbca2504.h5ad") else { return };
    let (_, dataset) = open_file(path);
    assert_eq!(dataset.gene_names_in_file.first().map(String::as_str), Some("ENSG00000243485"));
    assert_eq!(dataset.genes.first().map(String::as_str), Some("MIR1302-2HG"));
    assert!(dataset.known_genes * 10 > dataset.genes.len() * 9, "{}", dataset.known_genes);
    let views = dataset.embeddings.iter().map(|view| view.name.as_str()).collect::<Vec<_>>();
    assert_eq!(views, ["X_umap", "X_pca", "X_spatial"]);
    assert!(!dataset.findings.iter().any(|finding| finding.serious), "{:?}", dataset.findings);
}

#[test]
fn a_mouse_is_noticed_and_a_missing_map_too() {
    let Some(path) = shared_file("data/cells/mouse_kidney_tabulamuris215.h5ad") else { return };
    let (session, dataset) = open_file(path);
    assert_eq!(dataset.species, Some(Species::Mouse));
    assert!(finding(&dataset, "orthologues").serious);
    assert!(dataset.embeddings.is_empty());
    let map = finding(&dataset, "no map can be drawn");
    assert!(!map.serious && map.message.contains("sc.tl.umap"));
    // Its cells can still be looked at.
    assert!(read(&session, 214).n_genes > 0);
}

/// Every file of the zoo either opens or says what is wrong with it; the session goes on either way.
#[test]
fn odd_files_open_or_fail_with_a_reason() {
    let Some(folder) = shared_file("data/h5ad_zoo") else { return };
    let session = Session::start(Settings::default()).unwrap();
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    let mut opened = 0;
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "h5ad")) {
        let events = run(&session, Command::Open(DataSource::File(path.clone())));
        if let Some(Event::Finished { .. }) = events.last() {
            opened += 1;
            let cells = events.iter().find_map(|event| match event {
                Event::Opened { dataset, .. } => Some(dataset.n_obs),
                _ => None,
            });
            if cells > Some(0) {
                let events = run(&session, Command::ReadCell { cell: 0 });
                assert!(matches!(events.last(), Some(Event::Finished { .. } | Event::Failed { .. })));
            }
        } else {
            let message = failure(&events);
            assert!(message.contains("expected") || message.contains("could not"), "{path:?}: {message}");
            assert!(!message.contains("internal fault"), "{path:?}: {message}");
        }
    }
    assert!(opened * 3 > files.len() * 2, "{opened} of {} open", files.len());
    assert_eq!(open(&session, DataSource::Sample).n_obs, 700);
}

#[test]
fn an_empty_cell_does_not_end_the_work_on_the_others() {
    let Some(path) = shared_file("data/h5ad_zoo/some_empty_cells.h5ad") else { return };
    let (session, dataset) = open_file(path);
    let cells = (0..dataset.n_obs).collect::<Vec<_>>();
    let empty = cells.iter().filter(|cell| read(&session, **cell).n_genes == 0).count();
    assert!(empty > 0 && empty < dataset.n_obs, "{empty}");
    let settings = crate::describe::GenerationSettings { max_new_tokens: 4, ..Default::default() };
    let events = run(&session, Command::Annotate { cells: cells.into(), settings });
    let described = events
        .iter()
        .filter_map(|event| match event {
            Event::Annotated { descriptions, .. } => Some(descriptions),
            _ => None,
        })
        .flatten()
        .collect::<Vec<_>>();
    assert!(described.iter().map(|description| description.cell).eq(0..dataset.n_obs), "{events:?}");
    let silent = described.iter().filter(|d| d.n_genes_read == 0 && d.text.is_empty()).count();
    assert_eq!(silent, empty);
}
