//! The Cell Ontology beside the window: loaded and searched on another thread.

use std::sync::Arc;

use eframe::egui;
use engine::ontology::{Limits, Neighbourhood, Ontology};

use super::background::{Poll, Task};

/// A term with its neighbours.
#[derive(Debug)]
pub struct TermView {
    /// Its id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Its definition, where the ontology holds one.
    pub definition: Option<String>,
    /// Its neighbours, laid out.
    pub neighbourhood: Neighbourhood,
}

/// The term shown, or on its way.
#[derive(Debug, Default)]
pub struct Terms {
    asked: Option<(String, Task<Result<TermView, String>>)>,
    shown: Option<Arc<TermView>>,
    /// Why the last term could not be shown.
    error: Option<String>,
}

impl Terms {
    /// Asks for a term by its id; what is shown stays until the answer is there.
    pub fn ask(&mut self, ctx: &egui::Context, id: &str) {
        if self.asked.as_ref().is_some_and(|(asked, _)| asked == id)
            || (self.asked.is_none() && self.shown.as_ref().is_some_and(|t| t.id == id))
        {
            return;
        }
        let wanted = id.to_owned();
        let task = Task::start(ctx, "ontology", move || look_up(&wanted));
        self.asked = Some((id.to_owned(), task));
    }

    /// Forgets what is shown.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes up an answer. Called every frame.
    pub fn update(&mut self) {
        let Some((_, task)) = &self.asked else { return };
        match task.poll() {
            Poll::Running => return,
            Poll::Done(Ok(term)) => {
                self.shown = Some(Arc::new(term));
                self.error = None;
            }
            Poll::Done(Err(error)) => self.error = Some(error),
            Poll::Lost => self.error = Some("The Cell Ontology could not be read.".into()),
        }
        self.asked = None;
    }

    /// Whether an answer is on its way.
    pub fn is_busy(&self) -> bool {
        self.asked.is_some()
    }

    /// The term shown.
    pub fn shown(&self) -> Option<&Arc<TermView>> {
        self.shown.as_ref()
    }

    /// Why there is none.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

fn look_up(id: &str) -> Result<TermView, String> {
    let ontology = Ontology::builtin().map_err(|e| e.to_string())?;
    let neighbourhood = ontology.neighbourhood(id, Limits::default()).map_err(|e| e.to_string())?;
    let term = ontology.term(id);
    Ok(TermView {
        id: id.to_owned(),
        label: term.map_or_else(|| id.to_owned(), |t| t.label.clone()),
        definition: term.and_then(|t| t.definition.clone()),
        neighbourhood,
    })
}
