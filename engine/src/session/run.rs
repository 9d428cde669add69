//! The session: its workers and the face's handle to them.

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
    /// Folder of gene-major twins, which are made in the background; `None` makes and uses none.
    pub gene_caches: Option<PathBuf>,
    /// This program, which is started as `PROGRAM try FILE` to try a file before it is opened here; `None` opens files
    /// untried.
    pub trial: Option<PathBuf>,
    /// Whether a data set is looked over in the background soon after it was opened, so that a cell asked for later is
    /// judged with the others in mind. It loads the built-in model; another one only where it is loaded already.
    pub look_over: bool,
}

/// What the workers share: the hub and the open data set.
pub(super) struct Shared {
    pub hub: Arc<Hub>,
    pub settings: Settings,
    data: Mutex<DataState>,
    settled: Condvar,
    /// The way in to the background worker; none once the session goes away.
    background: Mutex<Option<Sender<Job>>>,
    /// The way in to the worker of the model, in the same way.
    model: Mutex<Option<Sender<Job>>>,
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
        // A newer data set may be there by now; then this job was stopped.
        watch.check()?;
        data.open.clone().ok_or_else(nothing_open)
    }

    /// Puts another data set in the place of the one open.
    pub(super) fn set_data(&self, open: OpenData) {
        let before = lock(&self.data).open.replace(Arc::new(open));
        // Closing a file takes its time: not under the lock.
        drop(before);
    }

    /// Puts `open`, which is `of` with something more, in the place of `of`.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where `of` is no longer the open data set.
    pub(super) fn extend_data(&self, of: &Arc<OpenData>, open: OpenData) -> Result<()> {
        let mut data = lock(&self.data);
        if !data.open.as_ref().is_some_and(|now| Arc::ptr_eq(now, of)) {
            return Err(Error::Cancelled);
        }
        let before = data.open.replace(Arc::new(open));
        drop(data);
        drop(before);
        Ok(())
    }

    /// Has the open matrix ordered by gene in the background, where the settings ask for it.
    pub(super) fn order_genes(&self) {
        if self.settings.gene_caches.is_some()
            && let Some(queue) = &*lock(&self.background)
        {
            self.hub.send(Command::OrderGenes, queue);
        }
    }

    /// Has the open data set looked over, where the settings ask for it.
    pub(super) fn look_over(&self) {
        if self.settings.look_over
            && let Some(queue) = &*lock(&self.model)
        {
            self.hub.send(Command::LookOver, queue);
        }
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

/// The ways in to the workers.
struct Queues {
    data: Sender<Job>,
    cell: Sender<Job>,
    analysis: Sender<Job>,
    background: Sender<Job>,
    model: Sender<Job>,
}

/// A running engine. Dropping it stops all work and ends its threads.
pub struct Session {
    shared: Arc<Shared>,
    outlet: Outlet,
    queues: Option<Queues>,
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

    pub(super) fn start_with(settings: Settings, events_waiting: usize) -> Result<Self> {
        let (hub, outlet) = Hub::new(events_waiting);
        let (background, background_jobs) = bounded(COMMANDS_WAITING);
        let (model, model_jobs) = bounded(COMMANDS_WAITING);
        let shared = Arc::new(Shared {
            hub,
            settings,
            data: Mutex::default(),
            settled: Condvar::new(),
            background: Mutex::new(Some(background.clone())),
            model: Mutex::new(Some(model.clone())),
        });
        let (data, data_jobs) = bounded(COMMANDS_WAITING);
        let (cell, cell_jobs) = bounded(COMMANDS_WAITING);
        let (analysis, analysis_jobs) = bounded(COMMANDS_WAITING);
        // Built before its threads, so that a failed start of one still ends the others.
        let queues = Some(Queues { data, cell, analysis, background, model });
        let mut session = Self { shared: shared.clone(), outlet, queues, threads: Vec::new() };
        for (name, jobs) in [
            ("cell2text-data", data_jobs),
            ("cell2text-cell", cell_jobs),
            ("cell2text-analysis", analysis_jobs),
            ("cell2text-background", background_jobs),
        ] {
            let shared = shared.clone();
            session.spawn(name, move || serve_data(&shared, &jobs))?;
        }
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
                        "five threads",
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
        let queue = self.queues.as_ref().map(|queues| match Kind::of(&command).lane() {
            Lane::Data => &queues.data,
            Lane::Cell => &queues.cell,
            Lane::Analysis => &queues.analysis,
            Lane::Background => &queues.background,
            Lane::Model => &queues.model,
        });
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
        self.queues = None;
        *lock(&self.shared.background) = None;
        *lock(&self.shared.model) = None;
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
