//! The session: two workers and the face's handle to them.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::command::{Command, JobId};
use super::data::{DataWorker, OpenData};
use super::event::Event;
use super::jobs::{COMMANDS_WAITING, EVENTS_WAITING, Hub, Job, Kind, Lane, Outlet, lock};
use super::model::ModelWorker;
use crate::error::Problem;
use crate::nn::DevicePreference;
use crate::progress::Watch;
use crate::{Error, Result};

/// How long a worker that waits for the data set sleeps before it looks at its stop flag again.
const DATA_WAIT: Duration = Duration::from_millis(20);
/// Stack of a worker: reading nested HDF5 groups and building compute graphs go deeper than the default allows for.
const STACK_BYTES: usize = 16 << 20;

/// How a session runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where models compute.
    pub device: DevicePreference,
    /// Folder of a model bundle; `None` is the built-in model.
    pub model: Option<PathBuf>,
}

/// What both workers share: the hub and the open data set.
pub(super) struct Shared {
    pub hub: Arc<Hub>,
    pub settings: Settings,
    data: Mutex<DataState>,
    settled: Condvar,
}

#[derive(Default)]
struct DataState {
    /// The last data-changing command that is over, whether it worked or not.
    epoch: u64,
    open: Option<Arc<OpenData>>,
}

impl Shared {
    /// The data set open now.
    pub(super) fn open_data(&self) -> Result<Arc<OpenData>> {
        lock(&self.data).open.clone().ok_or_else(nothing_open)
    }

    /// The data set of `epoch`, once it is there.
    pub(super) fn data_of(&self, epoch: u64, watch: &Watch) -> Result<Arc<OpenData>> {
        let mut data = lock(&self.data);
        while data.epoch < epoch {
            watch.check()?;
            data = self
                .settled
                .wait_timeout(data, DATA_WAIT)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
        data.open.clone().ok_or_else(nothing_open)
    }

    /// Puts another data set in the place of the one open.
    pub(super) fn set_data(&self, open: OpenData) {
        let before = lock(&self.data).open.replace(Arc::new(open));
        // Closing a file takes its time: not under the lock.
        drop(before);
    }

    fn settle(&self, epoch: u64) {
        let mut data = lock(&self.data);
        data.epoch = data.epoch.max(epoch);
        drop(data);
        self.settled.notify_all();
    }
}

fn nothing_open() -> Error {
    Error::request(Problem::new(
        "the data set",
        "none open",
        "an open h5ad file",
        "Open a file, or the built-in sample, first.",
    ))
}

/// A running engine. Dropping it stops all work and ends its threads.
pub struct Session {
    shared: Arc<Shared>,
    outlet: Outlet,
    data_queue: Option<Sender<Job>>,
    model_queue: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Session {
    /// Starts the workers. The model is loaded when the first description needs it.
    ///
    /// # Errors
    /// [`Error::Request`] where the system gives no thread.
    pub fn start(settings: Settings) -> Result<Self> {
        Self::start_with(settings, EVENTS_WAITING)
    }

    fn start_with(settings: Settings, events_waiting: usize) -> Result<Self> {
        let (hub, outlet) = Hub::new(events_waiting);
        let shared = Arc::new(Shared { hub, settings, data: Mutex::default(), settled: Condvar::new() });
        let (data_queue, data_jobs) = bounded(COMMANDS_WAITING);
        let (model_queue, model_jobs) = bounded(COMMANDS_WAITING);
        // Built at once, so that a failed start of the second thread still ends the first.
        let mut session = Self {
            shared: shared.clone(),
            outlet,
            data_queue: Some(data_queue),
            model_queue: Some(model_queue),
            threads: Vec::new(),
        };
        let data_shared = shared.clone();
        session.spawn("cell2text-data", move || serve_data(&data_shared, &data_jobs))?;
        session.spawn("cell2text-model", move || ModelWorker::new(shared, model_jobs).serve())?;
        Ok(session)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread =
            std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(work).map_err(
                |e| {
                    Error::request(Problem::new(
                        "the engine",
                        format!("no thread to be had ({e})"),
                        "two threads",
                        "Close other programs and try again.",
                    ))
                },
            )?;
        self.threads.push(thread);
        Ok(())
    }

    /// Asks for something. Returns at once with the number that all its events will carry. When too many commands
    /// wait already, the job ends with [`Event::Failed`].
    pub fn send(&self, command: Command) -> JobId {
        let queue = match Kind::of(&command).lane() {
            Lane::Data => &self.data_queue,
            Lane::Model => &self.model_queue,
        };
        match queue {
            Some(queue) => self.shared.hub.send(command, queue),
            // The queues are taken only by `drop`.
            None => JobId(0),
        }
    }

    /// Stops a job: at once where it still waits, else within 100 ms. It ends with [`Event::Stopped`], unless it was
    /// over before.
    pub fn cancel(&self, job: JobId) {
        self.shared.hub.stop(job);
    }

    /// Stops every job.
    pub fn cancel_all(&self) {
        self.shared.hub.stop_all();
    }

    /// The next event, where one waits.
    pub fn try_next(&self) -> Option<Event> {
        self.outlet.try_next()
    }

    /// The next event, waiting for it up to `timeout`.
    pub fn next_timeout(&self, timeout: Duration) -> Option<Event> {
        self.outlet.next_timeout(timeout)
    }

    /// Has `waker` called after each event, from the thread that made it. It must return soon and must not call the
    /// session.
    pub fn set_waker(&self, waker: impl Fn() + Send + Sync + 'static) {
        self.shared.hub.set_waker(Arc::new(waker));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.data_queue = None;
        self.model_queue = None;
        self.shared.hub.close();
        for thread in self.threads.drain(..) {
            // A worker catches the panics of its jobs; one that panicked all the same is gone, which is all we want.
            let _ = thread.join();
        }
    }
}

fn serve_data(shared: &Arc<Shared>, jobs: &Receiver<Job>) {
    let worker = DataWorker::new(shared.clone());
    for job in jobs {
        let settles = Kind::of(&job.command).changes_data().then_some(job.epoch);
        shared.hub.run(job, |ctx, command| worker.work(ctx, command));
        if let Some(epoch) = settles {
            shared.settle(epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::anndata::MatrixKey;
    use crate::describe::GenerationSettings;
    use crate::session::{DataSource, Dataset};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Takes events until `job` is over.
    fn finish(session: &Session, job: JobId) -> Vec<Event> {
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

    fn run(session: &Session, command: Command) -> Vec<Event> {
        let job = session.send(command);
        finish(session, job)
    }

    fn open(session: &Session, source: DataSource) -> Arc<Dataset> {
        let events = run(session, Command::Open(source));
        events
            .iter()
            .find_map(|event| match event {
                Event::Opened { dataset, .. } => Some(dataset.clone()),
                _ => None,
            })
            .unwrap_or_else(|| panic!("not opened: {events:?}"))
    }

    fn sample() -> (Session, Arc<Dataset>) {
        let session = Session::start(Settings { device: DevicePreference::Cpu, model: None }).unwrap();
        let dataset = open(&session, DataSource::Sample);
        (session, dataset)
    }

    fn failure(events: &[Event]) -> String {
        match events.last() {
            Some(Event::Failed { error, .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

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
        let (done, over) = bounded(1);
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
        assert_eq!(provenance["runs"].as_object().unwrap().len(), 1);
    }
}
