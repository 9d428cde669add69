//! Genes of a matrix large enough for a gene-major twin.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::testing::{PATIENCE, finish, open, run};
use super::{Command, DataSource, DevicePreference, Event, GeneColour, Session, Settings};
use crate::anndata::tests::fixtures::{Fixture, Written};
use crate::anndata::{CacheFolder, Gathered, MatrixKey};
use crate::progress::Watch;

const CELLS: usize = 3000;
const GENES: usize = 2000;
const VALUES: usize = 1500;

/// The column of entry `at` of `cell`: different, rising.
fn column(cell: usize, at: usize) -> usize {
    at + (cell * 7) % (GENES - VALUES)
}

fn value(cell: usize, at: usize) -> f32 {
    (1 + (cell * 13 + at * 5) % 9) as f32
}

/// 4.5 million entries, by cells.
fn large() -> Written {
    let cells = || (0..CELLS).flat_map(|cell| (0..VALUES).map(move |at| (cell, at)));
    let data: Vec<f32> = cells().map(|(cell, at)| value(cell, at)).collect();
    let indices: Vec<i32> = cells().map(|(cell, at)| column(cell, at) as i32).collect();
    let indptr: Vec<i32> = (0..=CELLS).map(|cell| (cell * VALUES) as i32).collect();
    let fixture = Fixture::new(CELLS, GENES);
    fixture.compressed("X", "csr_matrix", [CELLS as i64, GENES as i64], (&data, &indices, &indptr));
    fixture.finish()
}

fn total(cell: usize) -> f64 {
    (0..VALUES).map(|at| f64::from(value(cell, at))).sum()
}

/// What colouring by a gene shows.
fn expected(gene: usize) -> Vec<f32> {
    (0..CELLS)
        .map(|cell| {
            let found = (0..VALUES).find(|at| column(cell, *at) == gene);
            found.map_or(0.0, |at| (f64::from(value(cell, at)) / total(cell) * 1e4).ln_1p() as f32)
        })
        .collect()
}

fn session(caches: Option<&Path>) -> Session {
    let gene_caches = caches.map(Path::to_path_buf);
    Session::start(Settings { device: DevicePreference::Cpu, gene_caches, ..Settings::default() }).unwrap()
}

/// What the work in the background says until it is over.
fn ordered(session: &Session) -> Vec<Event> {
    // The session asks for it itself; whichever comes first does the work and the other finds it done.
    let job = session.send(Command::OrderGenes);
    finish(session, job)
}

fn colours(events: Vec<Event>) -> Vec<GeneColour> {
    events
        .into_iter()
        .filter_map(|event| match event {
            Event::GeneColoured { colour, .. } | Event::GeneRead { colour, .. } => Some(colour),
            _ => None,
        })
        .collect()
}

fn check(session: &Session) {
    let genes = [3usize, 1999, 700];
    let asked: Arc<[usize]> = genes.into();
    let read = colours(run(session, Command::ReadGenes { genes: asked }));
    assert_eq!(read.iter().map(|colour| colour.gene).collect::<Vec<_>>(), genes);
    let coloured = colours(run(session, Command::ColourByGene { gene: 42 }));
    for colour in read.iter().chain(&coloured) {
        assert_eq!(&colour.values[..], expected(colour.gene), "gene {}", colour.gene);
        assert_eq!(colour.unit, "log1p of counts per 10,000");
    }
}

#[test]
fn a_gene_is_the_same_from_the_file_and_from_the_twin_made_in_the_background() {
    let written = large();
    let place = tempfile::tempdir().unwrap();
    let source = || DataSource::File(written.path.clone());
    let plain = session(None);
    open(&plain, source());
    check(&plain);
    drop(plain);

    let first = session(Some(place.path()));
    open(&first, source());
    ordered(&first);
    let caches = CacheFolder::new(place.path());
    let entries = caches.entries();
    let [twin] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(
        (twin.cells_done, twin.n_genes, twin.source.clone()),
        (CELLS, GENES, Some(written.path.clone()))
    );
    check(&first);
    drop(first);

    // Another session finds it, and one that was damaged is not used.
    let second = session(Some(place.path()));
    open(&second, source());
    let began = |events: &[Event]| {
        events.iter().any(|event| matches!(event, Event::Started { what, .. } if what.contains("by gene")))
    };
    assert!(!began(&ordered(&second)));
    check(&second);
    let bytes = std::fs::read(&twin.path).unwrap();
    std::fs::write(&twin.path, &bytes[..bytes.len() / 3]).unwrap();
    check(&second);
}

#[test]
fn work_in_the_background_stands_back_and_stops_with_its_data_set() {
    let written = large();
    let place = tempfile::tempdir().unwrap();
    let session = session(Some(place.path()));
    open(&session, DataSource::File(written.path));
    // Opening another data set stops it, wherever it is; the session goes on.
    let dataset = open(&session, DataSource::Sample);
    assert_eq!(dataset.n_obs, 700);
    assert!(CacheFolder::new(place.path()).entries().iter().all(|twin| twin.cells_done <= CELLS));
    let begun = std::time::Instant::now();
    drop(session);
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_pass_shows_what_it_has_before_it_is_over() {
    let written = large();
    let matrix = written.open().unwrap().matrix(&MatrixKey::X).unwrap();
    let mut shown: Vec<Gathered> = Vec::new();
    let mut so_far = |gathered: &Gathered| {
        shown.push(gathered.clone());
        Ok(())
    };
    // A pass shows what it has after each window, and many threads take larger ones.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut pass = || matrix.gather(&[10, 1600], true, &Watch::silent(), &mut so_far).unwrap();
    let whole = pool.install(&mut pass);
    assert_eq!(whole.rows_done, CELLS);
    assert_eq!(whole.totals.as_ref().unwrap(), &(0..CELLS).map(total).collect::<Vec<_>>());
    let part = shown.first().expect("a window is smaller than the matrix");
    let done = part.rows_done;
    assert!((1..CELLS).contains(&done), "{done}");
    for (of_part, of_whole) in part.columns.iter().zip(&whole.columns) {
        assert_eq!(of_part[..done], of_whole[..done]);
    }
    assert_eq!(part.totals.as_ref().unwrap()[..done], whole.totals.as_ref().unwrap()[..done]);
}

#[test]
fn files_are_tried_by_another_process_where_the_settings_name_one() {
    let written = Fixture::new(3, 2);
    written.dense("X", [3, 2], &[1.0f32; 6], None);
    let written = written.finish();
    // A program that ends in order whatever it is told.
    let trial = Some(PathBuf::from("true"));
    let settings = Settings { device: DevicePreference::Cpu, trial, ..Settings::default() };
    let session = Session::start(settings).unwrap();
    assert_eq!(open(&session, DataSource::File(written.path)).n_obs, 3);
}
