//! What the tests of the session share: driving it job by job.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Command, DataSource, Dataset, DevicePreference, Event, JobId, Session, Settings};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Takes events until `job` is over.
pub(super) fn finish(session: &Session, job: JobId) -> Vec<Event> {
    let mut events = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let Some(event) = session.next_timeout(Duration::from_millis(50)) else { continue };
        let over = event.job() == job && event.is_closing();
        events.push(event);
        if over {
            return events;
        }
    }
    panic!("job {job:?} does not end; seen: {events:?}");
}

pub(super) fn run(session: &Session, command: Command) -> Vec<Event> {
    let job = session.send(command);
    finish(session, job)
}

pub(super) fn open(session: &Session, source: DataSource) -> Arc<Dataset> {
    let events = run(session, Command::Open(source));
    events
        .iter()
        .find_map(|event| match event {
            Event::Opened { dataset, .. } => Some(dataset.clone()),
            _ => None,
        })
        .unwrap_or_else(|| panic!("not opened: {events:?}"))
}

pub(super) fn sample() -> (Session, Arc<Dataset>) {
    let session = Session::start(Settings { device: DevicePreference::Cpu, ..Settings::default() }).unwrap();
    let dataset = open(&session, DataSource::Sample);
    (session, dataset)
}

pub(super) fn failure(events: &[Event]) -> String {
    match events.last() {
        Some(Event::Failed { error, .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}
