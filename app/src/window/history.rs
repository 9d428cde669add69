//! Undo and redo: every change of the document is a step with a name, and any step can be gone back to.
//!
//! A step holds the whole document after it. Sets of cells and columns are shared between steps, so that a step costs
//! what it changed: for a selection among a million cells 125 kB, for a new name a few bytes.

use super::document::Document;

/// One step and the document after it.
#[derive(Debug, Clone)]
struct Step {
    name: String,
    document: Document,
    /// Changes of one drag have the same key and become one step.
    drag: Option<String>,
}

/// The steps since the data set was opened.
#[derive(Debug, Clone, Default)]
pub struct History {
    steps: Vec<Step>,
    /// The step whose document is the current one.
    at: usize,
}

impl History {
    /// A history that begins with `document`, which came about by what `name` says.
    pub fn new(name: &str, document: Document) -> Self {
        Self { steps: vec![Step { name: name.to_owned(), document, drag: None }], at: 0 }
    }

    /// Adds a step; steps that were undone are forgotten. While a drag goes on, its changes stay one step.
    pub fn record(&mut self, name: String, drag: Option<String>, document: Document) {
        self.steps.truncate(self.at + 1);
        match self.steps.last_mut() {
            Some(last) if drag.is_some() && last.drag == drag => {
                last.document = document;
                last.name = name;
            }
            _ => self.steps.push(Step { name, document, drag }),
        }
        self.at = self.steps.len().saturating_sub(1);
    }

    /// Ends the drag that goes on: the next change is a step of its own.
    pub fn end_drag(&mut self) {
        if let Some(last) = self.steps.last_mut() {
            last.drag = None;
        }
    }

    /// The name of the step that undo takes back.
    pub fn undo_name(&self) -> Option<&str> {
        if self.at == 0 { None } else { self.steps.get(self.at).map(|s| s.name.as_str()) }
    }

    /// The name of the step that redo does again.
    pub fn redo_name(&self) -> Option<&str> {
        self.steps.get(self.at + 1).map(|s| s.name.as_str())
    }

    /// Goes to a step and returns the document after it; `None` where there is no such step.
    pub fn go_to(&mut self, step: usize) -> Option<Document> {
        let found = self.steps.get(step)?.document.clone();
        self.at = step;
        self.end_drag();
        Some(found)
    }

    /// Takes the last step back.
    pub fn undo(&mut self) -> Option<Document> {
        self.go_to(self.at.checked_sub(1)?)
    }

    /// Does the next step again.
    pub fn redo(&mut self) -> Option<Document> {
        self.go_to(self.at + 1)
    }

    /// The names of all steps, oldest first; the first is how it began.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.steps.iter().map(|s| s.name.as_str())
    }

    /// The number of the current step.
    pub fn at(&self) -> usize {
        self.at
    }
}
