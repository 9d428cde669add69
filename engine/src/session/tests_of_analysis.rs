//! Comparing and mapping through the session: what comes back, what stays, what is written.

use std::sync::Arc;

use super::testing::{failure, finish, open, run, sample};
use super::{Command, DataSource, Dataset, Event, Session, Settings};
use crate::analysis::{CompareRequest, Comparison, EmbedSettings, Test};
use crate::anndata::MatrixKey;
use crate::describe::GenerationSettings;
use crate::test_support::shared_file;

fn cells_of(dataset: &Dataset, column: &str, label: &str) -> Arc<[usize]> {
    let column = dataset.obs.column(column).unwrap();
    (0..dataset.n_obs).filter(|row| column.text(*row).as_deref() == Some(label)).collect()
}

fn compared(events: &[Event]) -> Arc<Comparison> {
    events
        .iter()
        .find_map(|event| match event {
            Event::Compared { result, .. } => Some(result.clone()),
            _ => None,
        })
        .unwrap_or_else(|| panic!("not compared: {events:?}"))
}

fn extended(events: &[Event]) -> Arc<Dataset> {
    events
        .iter()
        .find_map(|event| match event {
            Event::Extended { dataset, .. } => Some(dataset.clone()),
            _ => None,
        })
        .unwrap_or_else(|| panic!("not extended: {events:?}"))
}

fn quick() -> EmbedSettings {
    EmbedSettings { n_top_genes: 300, n_components: 10, ..EmbedSettings::default() }
}

fn names(dataset: &Dataset) -> Vec<&str> {
    dataset.embeddings.iter().map(|view| view.name.as_str()).collect()
}

#[test]
fn monocytes_differ_by_their_markers_and_the_table_says_so() {
    let (session, dataset) = sample();
    let a = cells_of(&dataset, "bulk_labels", "CD14+ Monocyte");
    let request = CompareRequest { a, b: None, test: Test::Wilcoxon };
    let result = compared(&run(&session, Command::Compare(Arc::new(request))));
    assert_eq!((result.n_a, result.n_b, result.genes.len()), (129, 571, 765));
    assert_eq!((&result.matrix, result.unit), (&MatrixKey::Raw, "log1p as in the file"));
    let highest = result.genes.iter().take(10).map(|gene| gene.symbol.as_str()).collect::<Vec<_>>();
    assert!(highest.contains(&"TYROBP") && highest.contains(&"LST1"), "{highest:?}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("genes.csv");
    let events = run(&session, Command::ExportComparison { result: result.clone(), path: path.clone() });
    assert!(
        events.iter().any(|e| matches!(e, Event::Exported { rows: 765, unit: "genes", .. })),
        "{events:?}"
    );
    let table = std::fs::read_to_string(&path).unwrap();
    let first = table.lines().nth(1).unwrap();
    assert!(first.starts_with(&format!("\"{}\",", result.genes[0].symbol)), "{first}");
    assert!(first.contains("\"ENSG"), "{first}");
    let provenance: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path.with_extension("provenance.json")).unwrap()).unwrap();
    assert_eq!(provenance["analysis"]["matrix"], "raw/X");
    assert_eq!(provenance["input"]["file"], "built-in sample");
}

#[test]
fn scaled_values_are_not_compared() {
    let (session, _) = sample();
    run(&session, Command::UseMatrix(MatrixKey::X));
    let request = CompareRequest { a: [0, 1, 2].into(), b: None, test: Test::WelchT };
    let message = failure(&run(&session, Command::Compare(Arc::new(request))));
    assert!(message.contains("scaled values"), "{message}");
    let message = failure(&run(&session, Command::Embed(quick())));
    assert!(message.contains("scaled values"), "{message}");
}

#[test]
fn a_file_without_a_map_gets_one_and_nothing_else_changes() {
    let Some(path) = shared_file("data/cells/mouse_kidney_tabulamuris215.h5ad") else { return };
    let session = Session::start(Settings::default()).unwrap();
    let before = open(&session, DataSource::File(path));
    let after = extended(&run(&session, Command::Embed(quick())));
    assert_eq!(names(&after), ["X_umap", "X_pca_cell2text"]);
    assert_eq!(after.embeddings[0].positions.len(), 215);
    let (last, others) = after.obs.columns.split_last().unwrap();
    assert_eq!((last.name.as_str(), last.len()), ("c2t_cluster", 215));
    assert_eq!(others, before.obs.columns);
    assert_eq!((&after.genes, &after.matrix), (&before.genes, &before.matrix));
    assert!(!after.findings.iter().any(|finding| finding.message.contains("no map can be drawn")));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.csv");
    let events = run(&session, Command::ExportMap { path: path.clone() });
    assert!(events.iter().any(|event| matches!(event, Event::Exported { rows: 215, .. })), "{events:?}");
    let table = std::fs::read_to_string(&path).unwrap();
    assert!(table.starts_with("\"index\",\"umap_1\",\"umap_2\",\"cluster\"\n"), "{}", &table[..80]);
}

#[test]
fn a_computed_map_stands_beside_the_files_own_and_survives_another_matrix() {
    let (session, before) = sample();
    assert!(failure(&run(&session, Command::ExportMap { path: "map.csv".into() })).contains("Compute a map"));
    run(&session, Command::Describe { cell: 3, settings: GenerationSettings::default() });
    let once = extended(&run(&session, Command::Embed(quick())));
    let mut wanted = names(&before);
    wanted.push("X_pca_cell2text");
    let own_umap = wanted.iter().position(|name| *name == "X_umap").unwrap();
    wanted.insert(own_umap + 1, "X_umap_cell2text");
    assert_eq!(names(&once), wanted);
    // Another seed: the map computed before makes room.
    let settings = EmbedSettings { seed: 1, ..quick() };
    let twice = extended(&run(&session, Command::Embed(settings)));
    assert_eq!(names(&twice), wanted);
    assert_ne!(once.embeddings[own_umap + 1].positions, twice.embeddings[own_umap + 1].positions);
    assert_eq!(twice.obs.columns.len(), before.obs.columns.len() + 1);
    // Descriptions stay.
    let folder = tempfile::tempdir().unwrap();
    let events = run(&session, Command::ExportCsv { path: folder.path().join("cells.csv") });
    assert!(events.iter().any(|event| matches!(event, Event::Exported { rows: 1, .. })), "{events:?}");
    let events = run(&session, Command::UseMatrix(MatrixKey::X));
    let other = events.iter().find_map(|event| match event {
        Event::Opened { dataset, .. } => Some(dataset),
        _ => None,
    });
    let other = other.unwrap();
    assert_eq!(names(other), wanted);
    assert_eq!(other.obs.columns.last(), twice.obs.columns.last());
}

#[test]
fn the_quality_of_cells_is_that_of_their_records_and_scaled_values_have_none() {
    let (session, _) = sample();
    let events = run(&session, Command::ReadQuality);
    let found = events.iter().find_map(|event| match event {
        Event::QualityRead { quality, .. } => Some(quality.clone()),
        _ => None,
    });
    let found = found.unwrap_or_else(|| panic!("not judged: {events:?}"));
    assert_eq!((&found.matrix, found.totals.len()), (&MatrixKey::Raw, 700));
    let percent = found.percent_mitochondrial.as_ref().unwrap();
    assert!(percent.iter().all(|p| (0.0..100.0).contains(p)) && percent.iter().any(|p| *p > 0.0));
    for cell in [0, 350, 699] {
        let record = run(&session, Command::ReadCell { cell });
        let n_genes = record.iter().find_map(|event| match event {
            Event::CellRead { record, .. } => Some(record.n_genes),
            _ => None,
        });
        assert_eq!(Some(found.n_genes[cell] as usize), n_genes);
    }
    run(&session, Command::UseMatrix(MatrixKey::X));
    let message = failure(&run(&session, Command::ReadQuality));
    assert!(message.contains("scaled values"), "{message}");
}

#[test]
fn computing_a_map_keeps_nobody_waiting_and_stops_when_told() {
    let (session, _) = sample();
    let map = session.send(Command::Embed(EmbedSettings::default()));
    let cell = session.send(Command::ReadCell { cell: 0 });
    let events = finish(&session, cell);
    assert!(!events.iter().any(|event| event.job() == map && event.is_closing()), "{events:?}");
    session.cancel(map);
    let events = finish(&session, map);
    assert!(matches!(events.last(), Some(Event::Stopped { .. })), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Extended { .. })));
}

#[test]
fn a_newer_comparison_replaces_an_older_one() {
    let (session, _) = sample();
    let request = |a: std::ops::Range<usize>| {
        Command::Compare(Arc::new(CompareRequest { a: a.collect(), b: None, test: Test::Wilcoxon }))
    };
    // The first waits behind a map, so that it surely has not run.
    let map = session.send(Command::Embed(EmbedSettings::default()));
    let first = session.send(request(0..50));
    let second = session.send(request(50..90));
    session.cancel(map);
    let events = finish(&session, second);
    let closing = |job| events.iter().find(|event| event.job() == job && event.is_closing());
    assert!(matches!(closing(first), Some(Event::Stopped { .. })), "{events:?}");
    assert_eq!(compared(&events).n_a, 40);
}
