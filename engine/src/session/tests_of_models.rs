//! One model in the place of another: the one before stays until the other is ready, and where that fails.

use std::path::PathBuf;

use super::testing::{failure, finish, open, run, sample};
use super::{Command, DataSource, DevicePreference, Event, ModelReport, Session, Settings};
use crate::describe::GenerationSettings;
use crate::model::{Bundle, quantise};
use crate::nn::quant::Bits;
use crate::progress::Watch;

/// The built-in model at 8 bits, as a bundle in a folder.
fn another(folder: &tempfile::TempDir) -> PathBuf {
    let out = folder.path().join("small");
    quantise(&Bundle::builtin().unwrap(), &out, Bits::Eight, &Watch::silent()).unwrap();
    out
}

fn use_model(folder: Option<PathBuf>) -> Command {
    Command::UseModel { folder, load: true }
}

fn describe(cell: usize) -> Command {
    Command::Describe { cell, settings: GenerationSettings::default() }
}

fn loaded(events: &[Event]) -> Vec<&ModelReport> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::ModelLoaded { model, .. } => Some(model),
            _ => None,
        })
        .collect()
}

#[test]
fn another_model_takes_over_once_it_is_ready_and_the_way_back_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let small = another(&folder);
    // No data set is needed, and one that is opened meanwhile does not stop it.
    let session = Session::start(Settings { device: DevicePreference::Cpu, ..Settings::default() }).unwrap();
    let job = session.send(use_model(Some(small.clone())));
    let opening = session.send(Command::Open(DataSource::Sample));
    let mut events = finish(&session, opening);
    if !events.iter().any(|event| event.job() == job && event.is_closing()) {
        events.extend(finish(&session, job));
    }
    let own: Vec<&Event> = events.iter().filter(|event| event.job() == job).collect();
    assert!(matches!(own.first(), Some(Event::Started { what, .. }) if what == "Loading small"), "{own:?}");
    assert!(own.iter().any(|e| matches!(e, Event::Progressed { progress, .. } if progress.total > Some(1))));
    assert!(matches!(own.last(), Some(Event::Finished { .. })), "{own:?}");
    let [report] = loaded(&events)[..] else { panic!("{events:?}") };
    assert_eq!(report.folder.as_ref(), Some(&small));
    let small_id = report.id.clone();

    let described = run(&session, describe(5));
    assert!(loaded(&described).is_empty(), "it is loaded already");
    assert!(described.iter().any(|event| matches!(event, Event::Described { .. })));
    let back = run(&session, use_model(None));
    let [report] = loaded(&back)[..] else { panic!("{back:?}") };
    assert_eq!(report.folder, None);
    assert_ne!(report.id, small_id);
}

#[test]
fn a_model_that_cannot_be_loaded_leaves_the_one_in_use() {
    let (session, _) = sample();
    assert_eq!(loaded(&run(&session, describe(3))).len(), 1);
    let nowhere = run(&session, use_model(Some("/no/such/model".into())));
    assert!(matches!(nowhere.first(), Some(Event::Started { what, .. }) if what == "Loading model"));
    assert!(failure(&nowhere).contains("cell2text.toml"), "{nowhere:?}");
    // One whose weights are of another shape fails half way.
    let folder = tempfile::tempdir().unwrap();
    let broken = another(&folder);
    let config = broken.join("encoder/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replacen("\"intermediate_size\"", "\"intermediate_size\": 7, \"was\"", 1))
        .unwrap();
    assert!(failure(&run(&session, use_model(Some(broken)))).contains("shape"));
    let again = run(&session, describe(3));
    assert!(loaded(&again).is_empty(), "the one before is still there: {again:?}");
    assert!(matches!(again.last(), Some(Event::Finished { .. })));
}

#[test]
fn loading_stops_when_told_and_a_newer_choice_replaces_an_older() {
    let (session, _) = sample();
    let folder = tempfile::tempdir().unwrap();
    let small = another(&folder);
    let stopped = session.send(use_model(Some(small.clone())));
    session.cancel(stopped);
    let events = finish(&session, stopped);
    assert!(matches!(events.last(), Some(Event::Stopped { .. })), "{events:?}");
    assert!(loaded(&events).is_empty());

    let older = session.send(use_model(Some(small)));
    let newer = session.send(use_model(None));
    let events = finish(&session, newer);
    let end = |job| events.iter().find(|event| event.job() == job && event.is_closing());
    assert!(matches!(end(older), Some(Event::Stopped { .. })), "{events:?}");
    assert!(matches!(end(newer), Some(Event::Finished { .. })));
}

#[test]
fn a_choice_for_later_is_loaded_by_the_first_description() {
    let folder = tempfile::tempdir().unwrap();
    let small = another(&folder);
    let session = Session::start(Settings { device: DevicePreference::Cpu, ..Settings::default() }).unwrap();
    let choice = run(&session, Command::UseModel { folder: Some(small.clone()), load: false });
    assert!(matches!(choice.as_slice(), [Event::Finished { .. }]), "{choice:?}");
    open(&session, DataSource::Sample);
    let described = run(&session, describe(5));
    let [report] = loaded(&described)[..] else { panic!("{described:?}") };
    assert_eq!(report.folder.as_ref(), Some(&small));
}
