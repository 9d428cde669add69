//! Short work beside the window: a thread that answers once.

use std::sync::mpsc::{Receiver, TryRecvError, channel};

use eframe::egui;

/// One running piece of work.
#[derive(Debug)]
pub struct Task<T>(Receiver<T>);

/// How a task stands.
#[derive(Debug)]
pub enum Poll<T> {
    /// Not done.
    Running,
    /// Done.
    Done(T),
    /// It ended without an answer.
    Lost,
}

impl<T: Send + 'static> Task<T> {
    /// Starts `work` on a thread of its own; the window is painted again when it is done.
    pub fn start(ctx: &egui::Context, name: &str, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        let ctx = ctx.clone();
        let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // The receiver may be gone: then nobody wants the answer.
            let _ = sender.send(work());
            ctx.request_repaint();
        });
        if let Err(error) = started {
            tracing::warn!("could not start the thread {name}: {error}");
        }
        Self(receiver)
    }

    /// How it stands. Never waits.
    pub fn poll(&self) -> Poll<T> {
        match self.0.try_recv() {
            Ok(answer) => Poll::Done(answer),
            Err(TryRecvError::Empty) => Poll::Running,
            Err(TryRecvError::Disconnected) => Poll::Lost,
        }
    }
}
