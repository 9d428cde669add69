//! Looking a data set over in the background: never in the way of a description, and picked up where it was left.

use std::time::{Duration, Instant};

use super::testing::{PATIENCE, finish, open, run};
use super::{Command, DataSource, DevicePreference, Event, JobId, Session, Settings};
use crate::describe::GenerationSettings;

fn session(look_over: bool) -> Session {
    Session::start(Settings { device: DevicePreference::Cpu, look_over, ..Settings::default() }).unwrap()
}

fn describe(session: &Session, cell: usize) -> JobId {
    session.send(Command::Describe { cell, settings: GenerationSettings::default() })
}

/// Cells that were kept in mind.
fn context_of(events: &[Event]) -> usize {
    let described = events.iter().find_map(|event| match event {
        Event::Described { description, .. } => Some(description.n_context_cells),
        _ => None,
    });
    described.unwrap_or_else(|| panic!("not described: {events:?}"))
}

/// Takes events until one is as wanted.
fn until(session: &Session, wanted: impl Fn(&Event) -> bool) -> Event {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match session.next_timeout(Duration::from_millis(50)) {
            Some(event) if wanted(&event) => return event,
            _ => {}
        }
    }
    panic!("it does not come");
}

fn is_looking(event: &Event) -> bool {
    matches!(event, Event::Started { what, .. } if what.starts_with("Looking over "))
}

#[test]
fn a_description_goes_before_looking_over_which_then_goes_on_to_its_end() {
    let session = session(true);
    open(&session, DataSource::Sample);
    // Well under way: some cells are done.
    let under_way = |event: &Event| match event {
        Event::Progressed { progress, .. } => {
            progress.what == "Looking over the data set" && progress.done > 0
        }
        _ => false,
    };
    let looking = until(&session, under_way).job();
    let job = describe(&session, 5);
    let events = finish(&session, job);
    assert_eq!(context_of(&events), 0, "nobody waited for the rest");
    let stopped = events.iter().position(|e| matches!(e, Event::Stopped { job } if *job == looking)).unwrap();
    let begun =
        events.iter().position(|e| matches!(e, Event::Started { job: this, .. } if *this == job)).unwrap();
    assert!(stopped < begun, "{events:?}");

    let done = until(&session, |event| matches!(event, Event::LookedOver { .. }));
    let Event::LookedOver { report, .. } = done else { panic!() };
    assert!((100..=192).contains(&report.n_cells), "{report:?}");
    assert!(report.tissues.iter().all(|(name, share)| !name.is_empty() && (0.0..=1.0).contains(share)));
    assert!(report.tissues.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{report:?}");
    assert_eq!(context_of(&finish(&session, describe(&session, 5))), report.n_cells);
    // Once is enough, and a map computed on the way changes nothing.
    let settings =
        crate::analysis::EmbedSettings { n_top_genes: 300, n_components: 10, ..Default::default() };
    run(&session, Command::Embed(settings));
    assert_eq!(context_of(&finish(&session, describe(&session, 6))), report.n_cells);
    std::thread::sleep(Duration::from_millis(1800));
    while let Some(event) = session.try_next() {
        assert!(!is_looking(&event), "{event:?}");
    }
}

#[test]
fn what_the_user_stops_is_not_begun_again_for_this_file() {
    let session = session(true);
    open(&session, DataSource::Sample);
    let looking = until(&session, is_looking).job();
    session.cancel(looking);
    until(&session, |event| matches!(event, Event::Stopped { job } if *job == looking));
    assert_eq!(context_of(&finish(&session, describe(&session, 5))), 0);
    std::thread::sleep(Duration::from_millis(1800));
    while let Some(event) = session.try_next() {
        assert!(!is_looking(&event), "{event:?}");
    }
}

#[test]
fn nothing_is_looked_over_unasked() {
    let session = session(false);
    open(&session, DataSource::Sample);
    assert_eq!(context_of(&finish(&session, describe(&session, 5))), 0);
    std::thread::sleep(Duration::from_millis(1800));
    assert!(session.try_next().is_none());
}
