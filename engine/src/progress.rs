//! Progress and cancelling, the same for every long job.
//!
//! A long function takes a [`Watch`] and calls [`Watch::step`] often (at least every 50 ms of work): that one
//! call reports how far it is and returns [`Error::Cancelled`] when the user has asked for a stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{Error, Result};

/// A flag that asks one job to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag not yet raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the job to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// [`Error::Cancelled`] once a stop was asked for.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, as "Reading counts".
    pub what: String,
    /// Units done.
    pub done: u64,
    /// Units in all, where known.
    pub total: Option<u64>,
}

/// What a long function reports to and is stopped by.
#[derive(Clone)]
pub struct Watch {
    cancel: Cancel,
    report: Arc<dyn Fn(&Progress) + Send + Sync>,
    stand_back: Option<(Arc<dyn Fn() -> bool + Send + Sync>, Duration)>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::silent()
    }
}

impl Watch {
    /// A watch that hands every step to `report`.
    pub fn new(cancel: Cancel, report: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self { cancel, report: Arc::new(report), stand_back: None }
    }

    /// The same watch for work that others go before: at each step and check it sleeps, `pause` by `pause`, while
    /// `others_work` says so. Such work must not run on threads that the others need.
    #[must_use]
    pub fn standing_back(
        mut self,
        others_work: impl Fn() -> bool + Send + Sync + 'static,
        pause: Duration,
    ) -> Self {
        self.stand_back = Some((Arc::new(others_work), pause));
        self
    }

    /// The same watch, reporting to nobody.
    #[must_use]
    pub fn quiet(&self) -> Self {
        Self { report: Arc::new(|_| {}), ..self.clone() }
    }

    /// A watch that reports to nobody and is never stopped.
    pub fn silent() -> Self {
        Self::new(Cancel::new(), |_| {})
    }

    /// Reports `done` of `total` units of `what`.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once a stop was asked for.
    pub fn step(&self, what: &str, done: u64, total: Option<u64>) -> Result<()> {
        self.check()?;
        (self.report)(&Progress { what: what.to_owned(), done, total });
        Ok(())
    }

    /// [`Error::Cancelled`] once a stop was asked for; reports nothing.
    pub fn check(&self) -> Result<()> {
        if let Some((others_work, pause)) = &self.stand_back {
            while !self.cancel.is_cancelled() && others_work() {
                std::thread::sleep(*pause);
            }
        }
        self.cancel.check()
    }

    /// The flag that stops this job.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_after_the_stop_reports_nothing_and_says_so() {
        let steps = Arc::new(std::sync::Mutex::new(Vec::new()));
        let cancel = Cancel::new();
        let seen = steps.clone();
        let watch = Watch::new(cancel.clone(), move |p| seen.lock().unwrap().push(p.done));
        watch.step("Counting", 1, Some(2)).unwrap();
        cancel.cancel();
        assert!(watch.step("Counting", 2, Some(2)).unwrap_err().is_cancelled());
        assert_eq!(*steps.lock().unwrap(), [1]);
    }
}
