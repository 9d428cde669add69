//! Jobs: their numbers, their stop flags, and the way out for their events.
//!
//! A job is either waiting in its worker's queue, running on the worker, or over. A waiting job that is
//! stopped is over at once; a running one is asked to stop through its [`Cancel`] flag. Either way exactly one
//! closing event leaves.

#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded, unbounded};

use super::command::{Command, JobId};
use super::event::Event;
use crate::error::Problem;
use crate::progress::{Cancel, Watch};
use crate::{Error, Result};

/// Commands that may wait for one worker.
pub(super) const COMMANDS_WAITING: usize = 256;
/// Events that may wait for the face.
pub(super) const EVENTS_WAITING: usize = 1024;
/// How long a worker that cannot hand over an event sleeps before it looks at its stop flag again.
const FULL_WAIT: Duration = Duration::from_millis(10);
/// Least time between two progress events of one job.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// Locks; a panic elsewhere while the lock was held leaves data that are still whole here.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The worker that a command belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Opens files, reads genes over all cells, writes tables.
    Data,
    /// Reads single cells, which takes milliseconds and must not wait for a gene.
    Cell,
    /// Compares and judges cells and computes maps, which takes long.
    Analysis,
    /// Orders matrices by gene, behind all else.
    Background,
    /// Runs the model.
    Model,
}

/// What a command asks for, without its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    UseMatrix,
    ColourByGene,
    ReadGenes,
    ReadCell,
    OrderGenes,
    Describe,
    LookOver,
    UseModel,
    Annotate,
    Compare,
    ReadQuality,
    Embed,
    ExportComparison,
    ExportMap,
    ExportCsv,
    WriteCopy,
}

impl Kind {
    pub(super) fn of(command: &Command) -> Self {
        match command {
            Command::Open(_) => Self::Open,
            Command::UseMatrix(_) => Self::UseMatrix,
            Command::ColourByGene { .. } => Self::ColourByGene,
            Command::ReadGenes { .. } => Self::ReadGenes,
            Command::ReadCell { .. } => Self::ReadCell,
            Command::OrderGenes => Self::OrderGenes,
            Command::Describe { .. } => Self::Describe,
            Command::LookOver => Self::LookOver,
            Command::UseModel { .. } => Self::UseModel,
            Command::Annotate { .. } => Self::Annotate,
            Command::Compare(_) => Self::Compare,
            Command::ReadQuality => Self::ReadQuality,
            Command::Embed(_) => Self::Embed,
            Command::ExportComparison { .. } => Self::ExportComparison,
            Command::ExportMap { .. } => Self::ExportMap,
            Command::ExportCsv { .. } => Self::ExportCsv,
            Command::WriteCopy { .. } => Self::WriteCopy,
        }
    }

    pub(super) fn lane(self) -> Lane {
        match self {
            Self::Describe | Self::Annotate | Self::LookOver | Self::UseModel => Lane::Model,
            Self::ReadCell => Lane::Cell,
            Self::OrderGenes => Lane::Background,
            Self::Compare | Self::ReadQuality | Self::Embed => Lane::Analysis,
            Self::Open
            | Self::UseMatrix
            | Self::ColourByGene
            | Self::ReadGenes
            | Self::ExportComparison
            | Self::ExportMap
            | Self::ExportCsv
            | Self::WriteCopy => Lane::Data,
        }
    }

    /// Whether the commands after it speak of other data than those before it.
    pub(super) fn changes_data(self) -> bool {
        matches!(self, Self::Open | Self::UseMatrix)
    }

    /// Whether it writes a file that the user asked for.
    fn writes(self) -> bool {
        matches!(self, Self::ExportCsv | Self::ExportComparison | Self::ExportMap | Self::WriteCopy)
    }

    /// Whether a new command of this kind puts an end to `older`, which is `running` or still waits.
    fn supersedes(self, older: Self, running: bool) -> bool {
        match self {
            Self::UseModel => [Self::UseModel, Self::LookOver].contains(&older),
            // A model serves any data set.
            _ if older == Self::UseModel => false,
            // What is being written is written to its end first: nobody meant to give it up by looking elsewhere.
            Self::Open => !older.writes(),
            Self::UseMatrix => !older.writes() && older != Self::Open,
            // A running read ends within milliseconds; stopping it would starve a face that asks on every hover.
            Self::ReadCell => older == Self::ReadCell && !running,
            // Who asks for other genes has no more use for those before.
            Self::ReadGenes => older == Self::ReadGenes,
            Self::Compare => older == Self::Compare,
            Self::ReadQuality => older == Self::ReadQuality,
            Self::Embed => older == Self::Embed,
            // Who waits for a description waits for nothing else; the worker goes on looking afterwards.
            Self::Describe => [Self::Describe, Self::LookOver].contains(&older),
            Self::Annotate | Self::LookOver => older == Self::LookOver,
            Self::OrderGenes => older == Self::OrderGenes,
            _ => false,
        }
    }
}

/// A command on its way through a worker's queue.
#[derive(Debug)]
pub(super) struct Job {
    pub id: JobId,
    /// Which data set it speaks of: the number of data-changing commands sent up to and including it.
    pub epoch: u64,
    pub command: Command,
    cancel: Cancel,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    epoch: u64,
    cancel: Cancel,
    running: bool,
}

#[derive(Debug, Default)]
struct Registry {
    last_id: u64,
    epoch: u64,
    live: BTreeMap<JobId, Entry>,
}

type Waker = Arc<dyn Fn() + Send + Sync>;

/// What the face and both workers share: the register of live jobs and the channels for events.
pub(super) struct Hub {
    registry: Mutex<Registry>,
    events: Sender<Event>,
    /// Closing events of jobs that never ran. They are sent by the face's own thread, which must not wait for
    /// itself, so this channel has no bound; it holds at most one event a command.
    aside: Sender<Event>,
    waker: Mutex<Option<Waker>>,
    closing: AtomicBool,
}

/// The face's end of a hub.
pub(super) struct Outlet {
    events: Receiver<Event>,
    aside: Receiver<Event>,
}

impl Outlet {
    /// The next event, where one waits.
    pub(super) fn try_next(&self) -> Option<Event> {
        self.aside.try_recv().or_else(|_| self.events.try_recv()).ok()
    }

    /// The next event, waiting for one up to `timeout`.
    pub(super) fn next_timeout(&self, timeout: Duration) -> Option<Event> {
        crossbeam_channel::select_biased! {
            recv(self.aside) -> event => event.ok(),
            recv(self.events) -> event => event.ok(),
            default(timeout) => None,
        }
    }
}

impl Hub {
    /// A hub whose event channel holds `events_waiting`.
    pub(super) fn new(events_waiting: usize) -> (Arc<Self>, Outlet) {
        let (events, events_out) = bounded(events_waiting);
        let (aside, aside_out) = unbounded();
        let hub = Self {
            registry: Mutex::default(),
            events,
            aside,
            waker: Mutex::new(None),
            closing: AtomicBool::new(false),
        };
        (Arc::new(hub), Outlet { events: events_out, aside: aside_out })
    }

    pub(super) fn set_waker(&self, waker: Waker) {
        *lock(&self.waker) = Some(waker);
    }

    fn wake(&self) {
        let waker = lock(&self.waker).clone();
        if let Some(waker) = waker {
            waker();
        }
    }

    /// Numbers a command, stops what it supersedes and queues it.
    pub(super) fn send(&self, command: Command, queue: &Sender<Job>) -> JobId {
        let kind = Kind::of(&command);
        let mut registry = lock(&self.registry);
        registry.last_id += 1;
        let id = JobId(registry.last_id);
        let epoch = registry.epoch + u64::from(kind.changes_data());
        let cancel = Cancel::new();
        // The lock is held while queueing, so that jobs stand in the queue in the order of their numbers.
        let rejected = match queue.try_send(Job { id, epoch, command, cancel: cancel.clone() }) {
            Ok(()) => None,
            Err(TrySendError::Full(_)) => Some(Problem::new(
                "the list of waiting work",
                format!("{COMMANDS_WAITING} jobs already waiting"),
                "room for one more",
                "Wait for some of them to end, or stop them.",
            )),
            Err(TrySendError::Disconnected(_)) => Some(Problem::new(
                "the engine",
                "a worker thread that has ended",
                "a running one",
                "Save what you need and start the program again.",
            )),
        };
        if let Some(problem) = rejected {
            drop(registry);
            self.set_aside(Event::Failed { job: id, error: Arc::new(Error::request(problem)) });
            return id;
        }
        registry.epoch = epoch;
        let superseded = registry
            .live
            .iter()
            .filter(|(_, e)| kind.supersedes(e.kind, e.running))
            .map(|(id, _)| *id)
            .collect::<Vec<_>>();
        let stopped = superseded.into_iter().flat_map(|id| registry.stop(id)).collect::<Vec<_>>();
        registry.live.insert(id, Entry { kind, epoch, cancel, running: false });
        drop(registry);
        self.report_stopped(stopped);
        id
    }

    /// Stops one job, whether it waits or runs; a job that is over stays over.
    pub(super) fn stop(&self, job: JobId) {
        let stopped = lock(&self.registry).stop(job);
        self.report_stopped(stopped);
    }

    /// Stops every job.
    pub(super) fn stop_all(&self) {
        let mut registry = lock(&self.registry);
        let all = registry.live.keys().copied().collect::<Vec<_>>();
        let stopped = all.into_iter().flat_map(|id| registry.stop(id)).collect();
        drop(registry);
        self.report_stopped(stopped);
    }

    /// Stops every job and lets workers leave even if nobody takes their events any more.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.stop_all();
    }

    fn report_stopped(&self, jobs: Vec<JobId>) {
        for job in jobs {
            self.set_aside(Event::Stopped { job });
        }
    }

    fn set_aside(&self, event: Event) {
        if self.aside.send(event).is_ok() {
            self.wake();
        }
    }

    /// Hands over an event, waiting while the channel is full until `give_up` says so.
    fn hand_over(&self, mut event: Event, give_up: impl Fn() -> bool) -> Result<()> {
        loop {
            if self.closing.load(Ordering::Relaxed) || give_up() {
                return Err(Error::Cancelled);
            }
            match self.events.send_timeout(event, FULL_WAIT) {
                Ok(()) => {
                    self.wake();
                    return Ok(());
                }
                Err(SendTimeoutError::Timeout(back)) => event = back,
                Err(SendTimeoutError::Disconnected(_)) => return Err(Error::Cancelled),
            }
        }
    }

    /// Whether anything is done that the user waits for: all but work in the background and long annotating.
    pub(super) fn user_waits(&self) -> bool {
        lock(&self.registry)
            .live
            .values()
            .any(|e| e.running && !matches!(e.kind, Kind::OrderGenes | Kind::LookOver | Kind::Annotate))
    }

    /// Whether another data set was asked for after that of `epoch`.
    pub(super) fn is_giving_way(&self, epoch: u64) -> bool {
        lock(&self.registry).epoch != epoch
    }

    /// Marks a job as running; `false` where it was stopped while it waited.
    fn begin(&self, job: JobId) -> bool {
        lock(&self.registry).live.get_mut(&job).map(|entry| entry.running = true).is_some()
    }

    /// Strikes a job off and sends its closing event.
    fn end(&self, job: JobId, result: Result<()>) {
        let mut registry = lock(&self.registry);
        let entry = registry.live.remove(&job);
        let mut orphans = Vec::new();
        if let Some(entry) = &entry
            && entry.kind.changes_data()
            && result.is_err()
        {
            orphans = registry.stop_followers(entry.epoch);
        }
        drop(registry);
        self.report_stopped(orphans);
        let event = match result {
            Ok(()) => Event::Finished { job },
            Err(Error::Cancelled) => Event::Stopped { job },
            // Work that fails while it is being stopped was stopped: the failure is a consequence.
            Err(_) if entry.is_some_and(|e| e.cancel.is_cancelled()) => Event::Stopped { job },
            Err(error) => Event::Failed { job, error: Arc::new(error) },
        };
        // Fails only when the session itself is going away; then nobody is there to be told.
        let _ = self.hand_over(event, || false);
    }

    /// Runs `work` as `job`, unless it was stopped while it waited. Whatever `work` does (return, fail, panic),
    /// the job ends with one closing event and the thread goes on. Returns whether it panicked.
    pub(super) fn run(
        self: &Arc<Self>,
        job: Job,
        work: impl FnOnce(&JobContext, Command) -> Result<()>,
    ) -> bool {
        let Job { id, epoch, command, cancel } = job;
        if !self.begin(id) {
            return false;
        }
        let ctx = JobContext { id, epoch, watch: self.watch(id, &cancel), hub: self.clone() };
        let caught = catch_unwind(AssertUnwindSafe(|| work(&ctx, command)));
        let panicked = caught.is_err();
        self.end(id, caught.unwrap_or_else(|payload| Err(internal_error(payload.as_ref()))));
        panicked
    }

    /// A watch that turns steps into progress events: rarely enough for a face, and never waiting for one.
    fn watch(self: &Arc<Self>, job: JobId, cancel: &Cancel) -> Watch {
        let hub = self.clone();
        let last: Mutex<Option<(Instant, String)>> = Mutex::new(None);
        Watch::new(cancel.clone(), move |progress| {
            let now = Instant::now();
            {
                let mut last = lock(&last);
                let due = last.as_ref().is_none_or(|(time, what)| {
                    *what != progress.what
                        || now.duration_since(*time) >= PROGRESS_INTERVAL
                        || progress.total == Some(progress.done)
                });
                if !due {
                    return;
                }
                *last = Some((now, progress.what.clone()));
            }
            if hub.events.try_send(Event::Progressed { job, progress: progress.clone() }).is_ok() {
                hub.wake();
            }
        })
    }
}

impl Registry {
    /// Stops one job. Returns the jobs that thereby are over without having run.
    fn stop(&mut self, job: JobId) -> Vec<JobId> {
        let Some(entry) = self.live.get(&job) else { return Vec::new() };
        entry.cancel.cancel();
        if entry.running {
            return Vec::new();
        }
        let (changes_data, epoch) = (entry.kind.changes_data(), entry.epoch);
        self.live.remove(&job);
        let mut over = vec![job];
        if changes_data {
            over.extend(self.stop_followers(epoch));
        }
        over
    }

    /// Stops the jobs that counted on a data set that will not be there.
    fn stop_followers(&mut self, epoch: u64) -> Vec<JobId> {
        let followers = self
            .live
            .iter()
            .filter(|(_, e)| e.epoch == epoch && !e.kind.changes_data() && e.kind != Kind::UseModel)
            .map(|(id, _)| *id)
            .collect::<Vec<_>>();
        followers.into_iter().flat_map(|id| self.stop(id)).collect()
    }
}

/// What a running job has at hand.
pub(super) struct JobContext {
    pub id: JobId,
    /// The data set it speaks of, see [`Job::epoch`].
    pub epoch: u64,
    pub watch: Watch,
    hub: Arc<Hub>,
}

impl JobContext {
    /// Says that the job has begun.
    pub(super) fn started(&self, what: impl Into<String>) -> Result<()> {
        self.emit(Event::Started { job: self.id, what: what.into() })
    }

    /// Sends an event on the way; [`Error::Cancelled`] when the job is stopped meanwhile.
    pub(super) fn emit(&self, event: Event) -> Result<()> {
        self.hub.hand_over(event, || self.watch.cancel().is_cancelled())
    }

    /// Sends an event that tells of something already done: it arrives even if the job is stopped meanwhile.
    pub(super) fn emit_done(&self, event: Event) -> Result<()> {
        self.hub.hand_over(event, || false)
    }
}

fn internal_error(payload: &(dyn Any + Send)) -> Error {
    let message = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Error::request(Problem::new(
        "the engine",
        format!("an internal fault ({message})"),
        "none",
        "This is a fault of the program, not of your data. Please report it; other work can go on.",
    ))
}
