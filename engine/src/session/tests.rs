//! The session as a face meets it: order of events, stopping, failing, going away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::testing::{PATIENCE, failure, finish, open, run, sample};
use super::{Command, DataSource, Event, Session, Settings};
use crate::anndata::MatrixKey;
use crate::annotate::Telling;
use crate::describe::GenerationSettings;

#[test]
fn a_file_that_does_not_open_leaves_the_one_before_and_the_thread_at_work() {
    let (session, _) = sample();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.h5ad");
    std::fs::write(&path, "these are notes").unwrap();
    let events = run(&session, Command::Open(DataSource::File(path)));
    assert!(matches!(events.first(), Some(Event::Started { what, .. }) if what == "Opening notes.h5ad"));
    assert!(failure(&events).contains("notes.h5ad"), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, Event::Opened { .. })));
    let events = run(&session, Command::ReadCell { cell: 0 });
    assert!(matches!(events.last(), Some(Event::Finished { .. })), "{events:?}");
    assert_eq!(open(&session, DataSource::Sample).n_obs, 700);
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let session = Session::start(Settings::default()).unwrap();
    assert!(failure(&run(&session, Command::ReadCell { cell: 0 })).contains("none open"));
    let settings = GenerationSettings::default();
    let describe = |cell| Command::Describe { cell, settings: settings.clone() };
    assert!(failure(&run(&session, describe(0))).contains("none open"));
    open(&session, DataSource::Sample);
    assert!(failure(&run(&session, Command::ReadCell { cell: 700 })).contains("row below 700"));
    assert!(failure(&run(&session, describe(700))).contains("row below 700"));
    assert!(failure(&run(&session, Command::ColourByGene { gene: usize::MAX })).contains("row below"));
    let key = MatrixKey::Layer("nothing".to_owned());
    assert!(failure(&run(&session, Command::UseMatrix(key))).contains("nothing"));
    let folder = tempfile::tempdir().unwrap();
    let export = Command::ExportCsv { path: folder.path().join("out.csv") };
    assert!(failure(&run(&session, export)).contains("no described cell"));
}

#[test]
fn a_description_streams_the_text_that_it_ends_with() {
    let (session, _) = sample();
    let settings = GenerationSettings::default();
    let events = run(&session, Command::Describe { cell: 5, settings });
    let mut streamed = String::new();
    let mut described = None;
    for event in &events {
        match event {
            Event::DescriptionText { text, .. } => {
                assert!(described.is_none(), "no text after the whole");
                streamed += text;
            }
            Event::Described { description, .. } => described = Some(description.clone()),
            _ => {}
        }
    }
    let described = described.unwrap();
    assert_eq!(described.cell, 5);
    assert!(!streamed.is_empty());
    assert_eq!(streamed.trim(), described.text.trim());
    let loads = events.iter().filter(|event| matches!(event, Event::ModelLoaded { .. })).count();
    assert_eq!(loads, 1);
    assert!(matches!(events.first(), Some(Event::Started { .. })));
    assert!(matches!(events.last(), Some(Event::Finished { .. })));
}

#[test]
fn a_new_description_stops_the_one_before() {
    let (session, _) = sample();
    let settings = GenerationSettings::default();
    let first = session.send(Command::Describe { cell: 1, settings: settings.clone() });
    let second = session.send(Command::Describe { cell: 2, settings });
    let events = finish(&session, second);
    let closing = |job| events.iter().find(|event| event.job() == job && event.is_closing());
    assert!(matches!(closing(first), Some(Event::Stopped { .. })), "{events:?}");
    assert!(matches!(closing(second), Some(Event::Finished { .. })), "{events:?}");
}

#[test]
fn a_stopped_job_ends_soon_and_says_so_once() {
    let (session, dataset) = sample();
    let cells = (0..dataset.n_obs).collect::<Vec<_>>();
    let settings = GenerationSettings::default();
    let job = session.send(Command::Annotate { cells: cells.into(), settings });
    // Once a batch is done it is surely generating.
    while !matches!(session.next_timeout(PATIENCE), Some(Event::Annotated { .. })) {}
    session.cancel(job);
    let asked = Instant::now();
    let events = finish(&session, job);
    assert!(matches!(events.last(), Some(Event::Stopped { .. })), "{events:?}");
    // The promise is 100 ms; the rest is for a machine that does much else at the time.
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    session.cancel(job);
    assert!(session.next_timeout(Duration::from_millis(50)).is_none());
}

#[test]
fn a_description_is_slipped_in_between_batches() {
    let (session, dataset) = sample();
    let cells = (0..dataset.n_obs).collect::<Vec<_>>();
    let settings = GenerationSettings::default();
    let all = session.send(Command::Annotate { cells: cells.into(), settings: settings.clone() });
    let one = session.send(Command::Describe { cell: 3, settings });
    let events = finish(&session, one);
    assert!(matches!(events.last(), Some(Event::Finished { .. })), "{events:?}");
    assert!(!events.iter().any(|event| event.job() == all && event.is_closing()), "{events:?}");
    session.cancel(all);
    assert!(matches!(finish(&session, all).last(), Some(Event::Stopped { .. })));
}

#[test]
fn opening_stops_the_jobs_of_the_data_set_before() {
    let (session, dataset) = sample();
    let cells = (0..dataset.n_obs).collect::<Vec<_>>();
    let settings = GenerationSettings::default();
    let old = session.send(Command::Annotate { cells: cells.into(), settings: settings.clone() });
    let opening = session.send(Command::Open(DataSource::Sample));
    let new = session.send(Command::Describe { cell: 0, settings });
    let events = finish(&session, new);
    let closing = |job| events.iter().find(|event| event.job() == job && event.is_closing());
    assert!(matches!(closing(old), Some(Event::Stopped { .. })), "{events:?}");
    assert!(matches!(closing(opening), Some(Event::Finished { .. })), "{events:?}");
    assert!(matches!(closing(new), Some(Event::Finished { .. })), "{events:?}");
}

#[test]
fn every_job_closes_once_and_nothing_follows_its_end() {
    let (session, _) = sample();
    let jobs = (0..40).map(|cell| session.send(Command::ReadCell { cell })).collect::<Vec<_>>();
    let mut closed = std::collections::BTreeMap::new();
    while closed.len() < jobs.len() {
        let event = session.next_timeout(PATIENCE).unwrap();
        assert!(!closed.contains_key(&event.job()), "{event:?} after the end");
        if event.is_closing() {
            closed.insert(event.job(), matches!(event, Event::Finished { .. }));
        }
    }
    assert!(closed.keys().eq(&jobs));
    assert_eq!(closed.values().next_back(), Some(&true), "the newest read is never dropped");
}

#[test]
fn a_session_that_nobody_listens_to_can_be_dropped() {
    let session = Session::start_with(Settings::default(), 2).unwrap();
    session.send(Command::Open(DataSource::Sample));
    for cell in 0..20 {
        session.send(Command::ReadCell { cell });
        session.send(Command::Describe { cell, settings: GenerationSettings::default() });
    }
    std::thread::sleep(Duration::from_millis(100));
    let (done, over) = crossbeam_channel::bounded(1);
    std::thread::spawn(move || {
        drop(session);
        let _ = done.send(());
    });
    over.recv_timeout(PATIENCE).expect("dropping must not hang");
}

#[test]
fn the_waker_is_called_for_every_event() {
    let session = Session::start(Settings::default()).unwrap();
    let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = calls.clone();
    session.set_waker(move || {
        seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    });
    let events = run(&session, Command::Open(DataSource::Sample));
    // The last call may come a moment after its event.
    let begun = Instant::now();
    while calls.load(std::sync::atomic::Ordering::SeqCst) < events.len() && begun.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), events.len());
}

#[test]
fn described_cells_are_exported_with_their_provenance() {
    let (session, dataset) = sample();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let settings = GenerationSettings::default();
    let cells: Arc<[usize]> = [4, 2, 3].into();
    let events = run(&session, Command::Annotate { cells, settings: settings.clone() });
    let order = events
        .iter()
        .filter_map(|event| match event {
            Event::Annotated { descriptions, .. } => {
                Some(descriptions.iter().map(|d| d.cell).collect::<Vec<_>>())
            }
            _ => None,
        })
        .flatten()
        .collect::<Vec<_>>();
    assert_eq!(order, [4, 2, 3]);
    run(&session, Command::Describe { cell: 9, settings });
    let events = run(&session, Command::ExportCsv { path: path.clone() });
    assert!(events.iter().any(|event| matches!(event, Event::Exported { rows: 4, .. })), "{events:?}");
    let table = std::fs::read_to_string(&path).unwrap();
    let names = table.lines().skip(1).map(|line| line.split('"').nth(1).unwrap()).collect::<Vec<_>>();
    assert_eq!(names, [2, 3, 4, 9].map(|cell: usize| dataset.obs.index[cell].as_str()));
    let provenance: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path.with_extension("provenance.json")).unwrap()).unwrap();
    assert_eq!(provenance["input"]["file"], "built-in sample");
    assert_eq!(provenance["data"]["changed_since_opened"], false);
    assert_eq!(provenance["runs"].as_object().unwrap().len(), 1);
}

#[test]
fn a_cell_described_before_votes_with_the_others_and_is_told_again() {
    let (session, _) = sample();
    let settings = GenerationSettings::default();
    run(&session, Command::Describe { cell: 5, settings: settings.clone() });
    let cells: Arc<[usize]> = (0..700).step_by(8).filter(|cell| *cell != 5).collect();
    let asked = cells.len() + 1;
    let events = run(&session, Command::Annotate { cells, settings });
    let told = |telling: Telling| {
        let of = |event: &Event| match event {
            Event::Annotated { telling: of, descriptions, .. } if *of == telling => descriptions.clone(),
            _ => Vec::new(),
        };
        events.iter().flat_map(of).collect::<Vec<_>>()
    };
    assert_eq!(told(Telling::First).len(), asked - 1);
    let again = told(Telling::Again);
    assert_eq!(again.len(), asked);
    assert!(again.iter().any(|description| description.cell == 5));
    assert!(
        again.iter().all(|description| description.around.as_ref().is_some_and(|a| a.cells == asked / 20))
    );
}

#[test]
fn descriptions_belong_to_the_matrix_that_they_were_made_of() {
    let (session, dataset) = sample();
    let described = |cell| Command::Describe { cell, settings: GenerationSettings::default() };
    run(&session, described(5));
    let known = |events: &[Event]| {
        let of = |event: &Event| match event {
            Event::Annotated { descriptions, .. } => descriptions.iter().map(|d| d.cell).collect(),
            _ => Vec::new(),
        };
        events.iter().flat_map(of).collect::<Vec<_>>()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let rows = |path: &std::path::Path| {
        let events = run(&session, Command::ExportCsv { path: path.to_owned() });
        events.iter().find_map(|event| match event {
            Event::Exported { rows, .. } => Some(*rows),
            _ => None,
        })
    };
    assert_ne!(dataset.matrix.key, MatrixKey::X);
    assert!(known(&run(&session, Command::UseMatrix(MatrixKey::X))).is_empty());
    assert_eq!(rows(&path), None, "nothing was said of this matrix");
    run(&session, described(7));
    assert_eq!(rows(&path), Some(1));
    assert_eq!(known(&run(&session, Command::UseMatrix(dataset.matrix.key.clone()))), [5]);
    assert_eq!(rows(&path), Some(1));
}
