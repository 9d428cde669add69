//! Session files, what is saved by itself, and the table of labels.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui;
use engine::session::{Command as Request, DataSource, Dataset};
use serde_json::json;

use super::super::annotating::{self, LabelColumn};
use super::super::autosave;
use super::super::background::{Poll, Task};
use super::super::command::Action;
use super::super::dialogs::Purpose;
use super::super::document::Document;
use super::super::map;
use super::super::session_file::{self, EXTENSION, Identity, SessionFile};
use super::super::state::{ColourBy, View};
use super::super::workspace::{Severity, file_name};
use super::App;

/// Seconds from a change to its saving; a change is safe within three, the writing included.
const SAVE_AFTER_SECS: f64 = 1.0;

/// What is known of an opened data set after its cells were looked at on another thread.
struct Begun {
    source: DataSource,
    identity: Identity,
    found: Found,
}

enum Found {
    Nothing,
    /// The session that was asked for, and what was saved by itself before.
    Session(Box<Result<(Document, View), String>>, PathBuf, Option<Box<Document>>),
    /// What was saved by itself.
    Autosaved(Box<Document>),
}

/// A session that was read, and where its data are, where they were found.
type Read = (SessionFile, Option<DataSource>);

/// A session whose data set is on its way.
struct Waiting {
    session: SessionFile,
    /// `None` while the user is asked for the data.
    source: Option<DataSource>,
}

/// The state of sessions and of saving by itself.
#[derive(Default)]
pub(super) struct Sessions {
    folder: Option<PathBuf>,
    identity: Option<Identity>,
    beginning: Option<Task<Begun>>,
    reading: Option<Task<Result<Read, String>>>,
    waiting: Option<Waiting>,
    writing: Option<Task<Result<(PathBuf, String), String>>>,
    /// What is in the file that is saved by itself.
    safe: Option<Document>,
    changed_at: Option<f64>,
    saving: Option<Task<Result<(), String>>>,
    /// Whether the user was told that nothing can be saved.
    told: bool,
}

impl Sessions {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, ..Self::default() }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.beginning.is_some()
            || self.reading.is_some()
            || self.writing.is_some()
            || self.saving.is_some()
            || self.changed_at.is_some()
    }
}

/// Whether a path is that of a session file.
pub(super) fn is_session(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().ends_with(EXTENSION))
}

impl App {
    /// Looks at the cells of a data set that was just opened: is there a session for it, was something saved?
    pub(super) fn begin_session(&mut self, ctx: &egui::Context, dataset: &Arc<Dataset>) {
        let sessions = &mut self.sessions;
        sessions.identity = None;
        sessions.safe = None;
        sessions.changed_at = None;
        let waiting = sessions.waiting.take().filter(|w| w.source.as_ref() == Some(&dataset.source));
        let folder = sessions.folder.clone();
        let dataset = dataset.clone();
        sessions.beginning = Some(Task::start(ctx, "session", move || {
            let identity = Identity::of(&dataset);
            let saved = folder.and_then(|folder| autosave::load(&folder, &identity));
            let saved = saved.filter(|document| !document.is_blank()).map(Box::new);
            let found = match waiting {
                Some(Waiting { session, .. }) => {
                    let read = session.document(&identity).map_err(|e| e.to_string());
                    let read = Box::new(read.map(|document| (document, session.view())));
                    Found::Session(read, session.path().to_path_buf(), saved)
                }
                None => saved.map_or(Found::Nothing, Found::Autosaved),
            };
            Begun { source: dataset.source.clone(), identity, found }
        }));
    }

    /// Takes up what was read and written. Called every frame.
    pub(super) fn update_sessions(&mut self, ctx: &egui::Context) {
        if let Some(answer) = take(&mut self.sessions.beginning) {
            match answer {
                // The data set may have got a new map or matrix since: its cells are the same.
                Some(begun) if self.work.dataset.as_ref().is_some_and(|d| d.source == begun.source) => {
                    self.begun(ctx, begun);
                }
                _ => {}
            }
        }
        if let Some(Some(answer)) = take(&mut self.sessions.reading) {
            match answer {
                Ok((session, source)) => self.open_data_of(ctx, session, source),
                Err(why) => self.work.notify(Severity::Error, "The session cannot be opened", why),
            }
        }
        if let Some(Some(answer)) = take(&mut self.sessions.writing) {
            match answer {
                Ok((path, what)) => {
                    let title = format!("{what} to {}", file_name(&path));
                    self.work.notify(Severity::Done, title, path.display().to_string());
                }
                Err(why) => self.work.notify(Severity::Error, "The file could not be written", why),
            }
        }
        if let Some(answer) = take(&mut self.sessions.saving) {
            let failed = match answer {
                Some(Ok(())) => None,
                Some(Err(why)) => Some(why),
                None => Some("The thread that saves could not be started.".into()),
            };
            if let Some(why) = failed.filter(|_| !self.sessions.told) {
                self.sessions.told = true;
                let title = "Your labels are not saved by themselves";
                self.work.notify(Severity::Error, title, format!("{why} Save a session to keep them."));
            }
        }
    }

    fn begun(&mut self, ctx: &egui::Context, begun: Begun) {
        self.sessions.identity = Some(begun.identity);
        match begun.found {
            Found::Nothing => {}
            Found::Session(read, path, saved) => match *read {
                Ok((document, view)) => {
                    let opened = "Opened the session";
                    match saved.filter(|saved| **saved != document) {
                        // Labels that the session does not hold come back with Undo.
                        Some(saved) => {
                            self.work.begin_document("As it was", *saved);
                            self.work.history.record(opened.to_owned(), None, document.clone());
                            self.work.set_document(document);
                        }
                        None => self.work.begin_document(opened, document),
                    }
                    self.apply_view(ctx, view);
                    let title = format!("Opened the session {}", file_name(&path));
                    self.work.notify(Severity::Done, title, "");
                }
                Err(why) => self.work.notify(Severity::Error, "The session does not fit", why),
            },
            Found::Autosaved(document) => self.restore(ctx, *document),
        }
        self.sessions.safe = Some(self.work.document());
    }

    /// Brings back what was saved by itself. What the user did in the meantime is not thrown away.
    fn restore(&mut self, ctx: &egui::Context, mut document: Document) {
        let now = self.work.document();
        let sets = counted(document.sets.named.len(), "set", "sets");
        let labels = counted(document.labels.len(), "column of labels", "columns of labels");
        let is_untouched = self.work.history.at() == 0;
        let only_selected = now.labels.is_empty() && now.sets.named.is_empty() && now.colours.is_empty();
        if is_untouched {
            self.work.begin_document("Restored", document);
        } else if only_selected {
            document.sets.current = now.sets.current;
            self.work.history.record("Restored".to_owned(), None, document.clone());
            self.work.set_document(document);
        } else {
            let text = format!(
                "{labels} and {sets} of an earlier time stay among the backups, for others were made meanwhile."
            );
            self.work.notify(Severity::Warning, "Earlier work on this file is not shown", text);
            return;
        }
        let text = format!("{labels} and {sets} were saved when it was open before.");
        self.work.notify(Severity::Done, "Your work on this file is back", text);
        self.recolour(ctx);
    }

    fn apply_view(&mut self, ctx: &egui::Context, view: View) {
        let Some(dataset) = self.work.dataset.clone() else { return };
        let known = match &view.colour_by {
            ColourBy::Nothing => true,
            ColourBy::Column(name) => dataset.obs.column(name).is_some(),
            ColourBy::Gene { gene, symbol } => dataset.genes.get(*gene) == Some(symbol),
            ColourBy::Quality(_) => true,
            ColourBy::Labels(name) => self.work.labels.iter().any(|c| c.name == *name),
            ColourBy::GeneSet { genes, .. } => genes.iter().any(|g| self.work.gene_names.find(g).is_some()),
            // Descriptions are not part of a session.
            ColourBy::Said(_) => false,
        };
        let by = if known { view.colour_by.clone() } else { map::first_colour(&dataset) };
        let has_embedding = dataset.embeddings.iter().any(|e| e.name == view.embedding);
        let embedding = if has_embedding { view.embedding.clone() } else { self.view.embedding.clone() };
        let camera = view.camera.filter(|_| has_embedding);
        // The rows of one legend mean nothing in another.
        let hidden = if known { view.hidden.clone() } else { Default::default() };
        self.legend_rows = None;
        self.view = View { colour_by: by.clone(), embedding, camera, hidden, ..view };
        self.actions.push(Action::ColourBy(by));
        ctx.request_repaint();
    }

    /// Reads a session file.
    pub(super) fn open_session(&mut self, ctx: &egui::Context, path: PathBuf) {
        self.sessions.reading = Some(Task::start(ctx, "session file", move || {
            let session = session_file::read(&path).map_err(|e| e.to_string())?;
            let source = session.find_data();
            Ok((session, source))
        }));
    }

    fn open_data_of(&mut self, ctx: &egui::Context, session: SessionFile, source: Option<DataSource>) {
        if source.is_none() {
            let data = session.data();
            let was = data.path.as_ref().map_or_else(String::new, |p| format!(" It was {}.", p.display()));
            let title = format!("Where is {}?", data.name.chars().take(80).collect::<String>());
            let text =
                format!("The data file of the session is not where it was, nor beside the session.{was}");
            self.work.notify(Severity::Error, title, text);
            self.ask(ctx, Purpose::DataOfSession);
        }
        self.sessions.waiting = Some(Waiting { session, source: source.clone() });
        if let Some(source) = source {
            self.actions.push(Action::OpenSource(source));
        }
    }

    /// The user said where the data of the session are, or said nothing.
    pub(super) fn found_data(&mut self, path: Option<PathBuf>) {
        match (path, self.sessions.waiting.as_mut()) {
            (Some(path), Some(waiting)) => {
                let source = DataSource::File(path);
                waiting.source = Some(source.clone());
                self.actions.push(Action::OpenSource(source));
            }
            // A dialog that was put away may have been another one.
            _ => self.sessions.waiting = self.sessions.waiting.take().filter(|w| w.source.is_some()),
        }
    }

    /// Saves the session to `path`.
    pub(super) fn save_session(&mut self, ctx: &egui::Context, path: &Path) {
        let Some(dataset) = self.work.dataset.clone() else { return };
        let path = with_ending(path, EXTENSION);
        let (document, view) = (self.work.document(), self.view.clone());
        let identity = self.sessions.identity.clone();
        self.sessions.writing = Some(Task::start(ctx, "save session", move || {
            refuse_source(&path, &dataset)?;
            let identity = identity.unwrap_or_else(|| Identity::of(&dataset));
            let text = session_file::to_text(identity, &document, &view);
            engine::files::write_atomically(&path, text.as_bytes()).map_err(|e| e.to_string())?;
            Ok((path, "Saved the session".to_owned()))
        }));
    }

    /// Writes the labels to `path`, and where they come from beside it.
    pub(super) fn export_labels(&mut self, ctx: &egui::Context, path: &Path) {
        let Some(dataset) = self.work.dataset.clone() else { return };
        let path = if path.extension().is_some() { path.to_path_buf() } else { path.with_extension("csv") };
        let labels = self.work.labels.clone();
        let identity = self.sessions.identity.clone();
        self.sessions.writing = Some(Task::start(ctx, "export labels", move || {
            refuse_source(&path, &dataset)?;
            let identity = identity.unwrap_or_else(|| Identity::of(&dataset));
            write_labels(&path, &dataset, &labels, &identity).map_err(|e| e.to_string())?;
            let cells = counted(dataset.n_obs, "cell", "cells");
            Ok((path, format!("Wrote the labels of {cells}")))
        }));
    }

    /// Has the engine write a copy of the data file with descriptions and labels to `path`.
    pub(super) fn write_copy(&mut self, path: PathBuf) {
        let Some(dataset) = &self.work.dataset else { return };
        let path = if path.extension().is_some() { path } else { path.with_extension("h5ad") };
        let labels = self.work.labels.iter().map(|column| column.for_engine(dataset.n_obs)).collect();
        self.send(Request::WriteCopy { path, labels, replace: false });
    }

    /// Saves by itself what is not yet safe. Called every frame.
    pub(super) fn save_by_itself(&mut self, ctx: &egui::Context) {
        let sessions = &mut self.sessions;
        let (Some(folder), Some(identity), Some(safe)) =
            (&sessions.folder, &sessions.identity, &sessions.safe)
        else {
            return;
        };
        let document = self.work.document();
        // A selection alone is not worth a file.
        if document == *safe || (document.is_blank() && safe.is_blank()) {
            sessions.changed_at = None;
            return;
        }
        let now = ctx.time();
        let since = *sessions.changed_at.get_or_insert(now);
        let left = SAVE_AFTER_SECS - (now - since);
        if left > 0.0 || sessions.saving.is_some() {
            ctx.request_repaint_after_secs(left.max(0.1) as f32);
            return;
        }
        sessions.changed_at = None;
        sessions.safe = Some(document.clone());
        let (folder, identity) = (folder.clone(), identity.clone());
        sessions.saving = Some(Task::start(ctx, "autosave", move || {
            let key = identity.key();
            let text = session_file::to_text(identity, &document, &View::default());
            autosave::store(&folder, &key, &text, autosave::BACKUP_EVERY).map_err(|e| e.to_string())
        }));
    }

    /// Saves at once what is not yet safe: at the end, and before another data set takes the place of this one.
    pub(super) fn save_at_once(&mut self) {
        let sessions = &self.sessions;
        let (Some(folder), Some(identity), Some(safe)) =
            (&sessions.folder, &sessions.identity, &sessions.safe)
        else {
            return;
        };
        let document = self.work.document();
        if document != *safe && !(document.is_blank() && safe.is_blank()) {
            let text = session_file::to_text(identity.clone(), &document, &View::default());
            if let Err(error) = autosave::store(folder, &identity.key(), &text, autosave::BACKUP_EVERY) {
                tracing::warn!("labels could not be saved: {error}");
            }
        }
    }
}

/// The answer of a task that has ended; the inner `None` where it has none.
fn take<T: Send + 'static>(task: &mut Option<Task<T>>) -> Option<Option<T>> {
    let answer = match task.as_ref()?.poll() {
        Poll::Running => return None,
        Poll::Done(answer) => Some(answer),
        Poll::Lost => None,
    };
    *task = None;
    Some(answer)
}

fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", map::grouped(n as i64), if n == 1 { one } else { many })
}

/// `path` with this ending, where it has another.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let name = file_name(path);
    if name.to_lowercase().ends_with(ending) {
        return path.to_path_buf();
    }
    let stem = name.strip_suffix(".json").unwrap_or(&name);
    path.with_file_name(format!("{stem}{ending}"))
}

/// The data file is never written.
fn refuse_source(path: &Path, dataset: &Dataset) -> Result<(), String> {
    let DataSource::File(source) = &dataset.source else { return Ok(()) };
    let same = match (path.canonicalize(), source.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => path == source,
    };
    if same {
        Err(format!(
            "{} is the data file itself, which is never written. Choose another name.",
            path.display()
        ))
    } else {
        Ok(())
    }
}

fn write_labels(
    path: &Path,
    dataset: &Dataset,
    labels: &[Arc<LabelColumn>],
    identity: &Identity,
) -> engine::Result<()> {
    let table = annotating::labels_csv(&dataset.obs.index_name, &dataset.obs.index, labels);
    let columns: Vec<_> = labels
        .iter()
        .map(|column| {
            let categories: Vec<_> = column
                .categories
                .iter()
                .map(|c| json!({ "label": c.name, "ontology_term_id": c.term, "cells": c.cells.len() }))
                .collect();
            json!({ "column": format!("annotation_{}", column.name), "labels": categories })
        })
        .collect();
    let provenance = json!({
        "program": format!("cell2text {}", env!("CARGO_PKG_VERSION")),
        "what": "labels given to cells by hand",
        "input": identity,
        "cells": dataset.n_obs,
        "columns": columns,
        "ontology_release": engine::ontology::Ontology::builtin()?.version(),
        "table_sha256": engine::files::sha256_hex(table.as_bytes()),
    });
    engine::files::write_atomically(path, table.as_bytes())?;
    let beside = path.with_extension("provenance.json");
    engine::files::write_atomically(&beside, format!("{provenance:#}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_files_are_known_by_their_ending_and_get_it() {
        assert!(is_session(Path::new("a/pbmc.cell2text.json")) && is_session(Path::new("A.CELL2TEXT.JSON")));
        assert!(!is_session(Path::new("pbmc.json")) && !is_session(Path::new("pbmc.h5ad")));
        for (typed, name) in [
            ("f/a", "f/a.cell2text.json"),
            ("a.json", "a.cell2text.json"),
            ("a.cell2text.json", "a.cell2text.json"),
            ("v1.2", "v1.2.cell2text.json"),
        ] {
            assert_eq!(with_ending(Path::new(typed), EXTENSION), Path::new(name));
        }
    }
}
