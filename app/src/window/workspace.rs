//! What the engine has told the window: the data set, the jobs, the cell, the descriptions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use engine::analysis::{Comparison, Quality};
use engine::describe::{ClaimKind, Description};
use engine::progress::Progress;
use engine::session::{
    CellRecord, ContextReport, DataSource, Dataset, Event, FirstLook, GeneColour, JobId, ModelReport,
};

use super::annotating::LabelColumn;
use super::descriptions::Descriptions;
use super::document::{CategoryColours, Document};
use super::gene_names::GeneIndex;
use super::history::History;
use super::selection::Sets;

/// A job that is running.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What it does.
    pub what: String,
    /// How far it is.
    pub progress: Option<Progress>,
}

impl Job {
    /// Whether it is done behind all else, and nobody waits for it.
    pub fn is_behind(&self) -> bool {
        self.what.starts_with(LOOKING_OVER)
    }
}

/// So many descriptions are not made again at a click.
const MISSED: usize = 30;
/// How the engine's words for looking a data set over begin.
const LOOKING_OVER: &str = "Looking over ";

/// The mean of a set of genes on its way. Only the sum is kept, so that a set may be of any size.
#[derive(Debug, Clone, Default)]
pub struct SetReading {
    /// The job; `None` before it was sent.
    pub job: Option<JobId>,
    /// The set's name.
    pub name: String,
    /// Its genes, as rows of the gene list.
    pub genes: Vec<usize>,
    sum: Vec<f32>,
    n_read: usize,
    unit: &'static str,
}

impl SetReading {
    /// A set to be read.
    pub fn new(name: String, genes: Vec<usize>) -> Self {
        Self { name, genes, ..Self::default() }
    }

    fn add(&mut self, gene: &GeneColour) {
        self.sum.resize(gene.values.len(), 0.0);
        for (sum, value) in self.sum.iter_mut().zip(gene.values.iter()) {
            *sum += value;
        }
        self.n_read += 1;
        self.unit = gene.unit;
    }

    /// The mean, as a colour; of the genes, `gene` names none.
    fn mean(self) -> GeneColour {
        let n = self.n_read.max(1) as f32;
        GeneColour {
            gene: usize::MAX,
            symbol: self.name,
            values: self.sum.into_iter().map(|sum| sum / n).collect(),
            unit: self.unit,
        }
    }
}

/// A description on its way.
#[derive(Debug, Clone)]
pub struct Streaming {
    /// The job.
    pub job: JobId,
    /// The cell.
    pub cell: usize,
    /// The text so far.
    pub text: String,
    /// Whether it still comes.
    pub running: bool,
}

/// What differs between two sets of cells.
#[derive(Debug, Clone)]
pub struct Compared {
    /// The genes.
    pub result: Arc<Comparison>,
    /// The sets, in words as they were when it was asked for.
    pub sides: [String; 2],
}

/// How a notice is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something was done.
    Done,
    /// Something works, but not as well as it could.
    Warning,
    /// Something failed.
    Error,
}

/// A word to the user.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Its number.
    pub id: u64,
    /// How it is meant.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// The rest.
    pub detail: String,
}

/// What followed from an event, for the app to act on.
#[derive(Debug, Clone)]
pub enum Change {
    /// A first look at the data set on its way.
    FirstLook(Arc<FirstLook>),
    /// A data set was opened; `fresh` unless only its matrix was changed.
    Opened {
        /// Whether it is another data set than before.
        fresh: bool,
    },
    /// Values of the cells were read, or are known not to be had.
    GeneRead,
    /// The data set has computed maps and clusters more.
    Extended {
        /// The map to show.
        embedding: Option<String>,
    },
    /// The description of this cell is complete and names this cell type.
    Described {
        /// The cell.
        cell: usize,
        /// Its type in the Cell Ontology.
        term: Option<String>,
    },
    /// These cells are told as another type than before, or for the first time.
    Told(Vec<usize>),
    /// A file could not be opened.
    OpenFailed(PathBuf),
    /// A model is loaded.
    ModelLoaded {
        /// The model.
        model: ModelReport,
        /// Whether the user chose it just now.
        chosen: bool,
    },
    /// The model that was chosen the last time cannot be used, and why.
    ModelGone(String),
}

/// A model on its way.
#[derive(Debug, Clone)]
pub struct Choosing {
    /// The job.
    pub job: JobId,
    /// The model's folder; `None` is the built-in one.
    pub folder: Option<PathBuf>,
    /// Whether it is loaded, rather than noted for later.
    pub load: bool,
}

/// Everything the engine has told.
#[derive(Debug, Default)]
pub struct Workspace {
    /// The open data set.
    pub dataset: Option<Arc<Dataset>>,
    /// Selected cells and named sets of the open data set.
    pub sets: Sets,
    /// Labels given by hand to cells of the open data set.
    pub labels: Vec<Arc<LabelColumn>>,
    /// Colours that the user gave to categories of obs.
    pub colours: Arc<CategoryColours>,
    /// The steps that led to the selection, the sets, the labels and the colours.
    pub history: History,
    /// The data set on its way.
    pub opening: Option<(JobId, DataSource)>,
    /// Jobs sent that have not ended.
    pub outstanding: BTreeSet<JobId>,
    /// Jobs that run, oldest first.
    pub jobs: Vec<Job>,
    /// The selected cell.
    pub record: Option<Arc<CellRecord>>,
    /// The description on its way, or stopped half way.
    pub streaming: Option<Streaming>,
    /// What was said of the cells.
    pub descriptions: Descriptions,
    /// The gene last read.
    pub gene: Option<GeneColour>,
    /// Genes read for panels, by row of the data set's genes.
    pub genes: BTreeMap<usize, GeneColour>,
    /// The genes by any of their names.
    pub gene_names: Arc<GeneIndex>,
    /// Genes that were asked for, and are not asked for again where they cannot be read.
    pub genes_asked: BTreeSet<usize>,
    /// The job that reads genes for panels or for a set.
    pub read_job: Option<JobId>,
    /// The set of genes whose mean is being read.
    pub set_reading: Option<SetReading>,
    /// The set of genes whose mean was read, with its rows.
    pub gene_set: Option<(Vec<usize>, GeneColour)>,
    /// The job that compares two sets.
    pub compare_job: Option<JobId>,
    /// The sets that it was asked to compare, in words.
    pub compared_sides: [String; 2],
    /// What was compared last.
    pub comparison: Option<Compared>,
    /// The job that judges the cells' quality.
    pub quality_job: Option<JobId>,
    /// The quality of the cells in the chosen matrix, or why there is none; `None` until it was asked for.
    pub quality: Option<Result<Arc<Quality>, String>>,
    /// The job that describes all cells.
    pub annotate_job: Option<JobId>,
    /// The job that reads the gene wanted.
    pub gene_job: Option<JobId>,
    /// The job that reads the record wanted.
    pub record_job: Option<JobId>,
    /// What cells all over the data set say of where its cells come from, once it was looked over.
    pub context: Option<Arc<ContextReport>>,
    /// The model in use, once it is loaded.
    pub model: Option<ModelReport>,
    /// The folder of the model in use, loaded or not; `None` is the built-in one.
    pub model_folder: Option<PathBuf>,
    /// The model that is to take its place.
    pub choosing: Option<Choosing>,
    /// Words to the user, oldest first.
    pub notices: Vec<Notice>,
    next_notice: u64,
}

impl Workspace {
    /// Takes up one event.
    pub fn apply(&mut self, event: Event) -> Option<Change> {
        match event {
            Event::Started { job, what } => {
                self.jobs.push(Job { id: job, what, progress: None });
                None
            }
            Event::Progressed { job, progress } => {
                if let Some(running) = self.jobs.iter_mut().find(|j| j.id == job) {
                    running.progress = Some(progress);
                }
                None
            }
            Event::FirstLook { job, look } => {
                let wanted = self.opening.as_ref().is_some_and(|(opening, _)| *opening == job);
                wanted.then_some(Change::FirstLook(look))
            }
            Event::Opened { job, dataset } => {
                let is_open_job = self.opening.as_ref().is_some_and(|(opening, _)| *opening == job);
                let fresh = is_open_job || self.dataset.as_ref().is_none_or(|d| d.source != dataset.source);
                self.record = None;
                self.gene = None;
                self.genes.clear();
                self.genes_asked.clear();
                self.gene_set = None;
                self.set_reading = None;
                self.gene_names = Arc::new(GeneIndex::new(&dataset));
                self.comparison = None;
                self.quality = None;
                self.quality_job = None;
                self.streaming = None;
                // Another matrix gives other tokens: what was said of the cells no longer holds.
                self.descriptions.clear();
                self.context = None;
                if fresh {
                    self.begin_document("Opened", Document::new(dataset.n_obs));
                }
                self.dataset = Some(dataset);
                if is_open_job {
                    self.opening = None;
                }
                Some(Change::Opened { fresh })
            }
            Event::GeneColoured { job, colour } | Event::GeneColouring { job, colour } => {
                if self.gene_job != Some(job) {
                    return None;
                }
                self.gene = Some(colour);
                Some(Change::GeneRead)
            }
            Event::GeneRead { job, colour } => {
                match self.set_reading.as_mut().filter(|set| set.job == Some(job)) {
                    Some(set) => set.add(&colour),
                    None => {
                        self.genes.insert(colour.gene, colour);
                    }
                }
                None
            }
            Event::CellRead { job, record } => {
                if self.record_job == Some(job) {
                    self.record = Some(record);
                }
                None
            }
            Event::ModelLoaded { job, model } => {
                if self.model.as_ref().is_some_and(|before| before.id != model.id) {
                    // What the whole data set says was said by the model before.
                    self.context = None;
                    self.descriptions.outdate();
                }
                self.model_folder.clone_from(&model.folder);
                self.model = Some(model.clone());
                let chosen = self.choosing.take_if(|choosing| choosing.job == job).is_some();
                Some(Change::ModelLoaded { model, chosen })
            }
            Event::LookedOver { report, .. } => {
                self.context = Some(report);
                None
            }
            Event::DescriptionText { job, text, .. } => {
                if let Some(streaming) = self.streaming.as_mut().filter(|s| s.job == job) {
                    streaming.text.push_str(&text);
                }
                // What came before the text, as the loading of the model, is over.
                if let Some(running) = self.jobs.iter_mut().find(|j| j.id == job) {
                    running.progress = None;
                }
                None
            }
            Event::Described { job, description } => {
                if self.streaming.as_ref().is_some_and(|s| s.job == job) {
                    self.streaming = None;
                }
                let change = Change::Described { cell: description.cell, term: cell_type_term(&description) };
                self.descriptions.extend([description]);
                Some(change)
            }
            Event::Annotated { descriptions, .. } => {
                Some(Change::Told(self.descriptions.extend(descriptions)))
            }
            Event::Compared { job, result } => {
                if self.compare_job == Some(job) {
                    self.comparison = Some(Compared { result, sides: self.compared_sides.clone() });
                }
                None
            }
            Event::QualityRead { job, quality } => {
                if self.quality_job != Some(job) {
                    return None;
                }
                self.quality = Some(Ok(quality));
                Some(Change::GeneRead)
            }
            Event::Extended { dataset, .. } => {
                let known = |name: &str| {
                    self.dataset.as_ref().is_some_and(|d| d.embeddings.iter().any(|e| e.name == name))
                };
                let names = || dataset.embeddings.iter().map(|e| &e.name);
                // A map computed anew has the name of the one before.
                let embedding = names()
                    .find(|name| !known(name))
                    .or_else(|| {
                        names().find(|name| name.starts_with("X_umap") && name.ends_with("cell2text"))
                    })
                    .or_else(|| names().next())
                    .cloned();
                self.dataset = Some(dataset);
                Some(Change::Extended { embedding })
            }
            Event::Exported { path, rows, unit, .. } => {
                // A table of cells, or a copy with columns: both hold all that was said.
                if unit == "cells" || unit == "columns" {
                    self.descriptions.saved();
                }
                let cells = if rows == 1 { unit.trim_end_matches('s') } else { unit };
                self.notify(
                    Severity::Done,
                    format!("Wrote {rows} {cells} to {}", file_name(&path)),
                    path.display().to_string(),
                );
                None
            }
            Event::Finished { job } => {
                if let Some(choosing) = self.choosing.take_if(|choosing| choosing.job == job) {
                    self.model_folder = choosing.folder;
                }
                let done = self.set_reading.take_if(|set| set.job == Some(job));
                self.end(job);
                let set = done?;
                self.gene_set = Some((set.genes.clone(), set.mean()));
                Some(Change::GeneRead)
            }
            Event::Stopped { job } => {
                self.end(job);
                None
            }
            Event::Failed { job, error } => {
                let what = self.jobs.iter().find(|j| j.id == job).map(|j| j.what.clone());
                let failed = self.opening.clone().filter(|(opening, _)| *opening == job);
                let noted =
                    self.choosing.as_ref().is_some_and(|choosing| choosing.job == job && !choosing.load);
                let judged = self.quality_job == Some(job) && !error.is_cancelled();
                self.end(job);
                if noted {
                    return Some(Change::ModelGone(error.to_string()));
                }
                if judged {
                    // Said where the colours are explained, which is where it was asked for.
                    self.quality = Some(Err(error.to_string()));
                    return Some(Change::GeneRead);
                }
                if !error.is_cancelled() {
                    let title =
                        what.map_or_else(|| "Something failed".to_owned(), |what| format!("{what} failed"));
                    self.notify(Severity::Error, title, error.to_string());
                }
                match failed {
                    Some((_, DataSource::File(path))) => Some(Change::OpenFailed(path)),
                    _ => None,
                }
            }
        }
    }

    /// Whether any of these genes was asked for, was not read, and is not on its way.
    pub fn is_left_unread(&self, genes: &[usize]) -> bool {
        let missing = |gene: &usize| !self.genes.contains_key(gene) && self.genes_asked.contains(gene);
        self.read_job.is_none() && genes.iter().any(missing)
    }

    /// Whether descriptions would be lost that took a while to make.
    pub fn would_be_missed(&self) -> bool {
        self.annotate_job.is_some() || self.descriptions.n_unsaved() >= MISSED
    }

    /// What the user made of the data set.
    pub fn document(&self) -> Document {
        Document { sets: self.sets.clone(), labels: self.labels.clone(), colours: self.colours.clone() }
    }

    /// Puts `document` in the place of what is there.
    pub fn set_document(&mut self, document: Document) {
        self.sets = document.sets;
        self.labels = document.labels;
        self.colours = document.colours;
    }

    /// Begins a new history with `document`.
    pub fn begin_document(&mut self, step: &str, document: Document) {
        self.history = History::new(step, document.clone());
        self.set_document(document);
    }

    fn end(&mut self, job: JobId) {
        self.outstanding.remove(&job);
        self.jobs.retain(|j| j.id != job);
        if let Some(streaming) = self.streaming.as_mut().filter(|s| s.job == job) {
            streaming.running = false;
        }
        if self.opening.as_ref().is_some_and(|(opening, _)| *opening == job) {
            self.opening = None;
        }
        self.set_reading.take_if(|set| set.job == Some(job));
        self.choosing.take_if(|choosing| choosing.job == job);
        for wanted in [
            &mut self.gene_job,
            &mut self.record_job,
            &mut self.annotate_job,
            &mut self.compare_job,
            &mut self.read_job,
            &mut self.quality_job,
        ] {
            if *wanted == Some(job) {
                *wanted = None;
            }
        }
    }

    /// Adds a word to the user. The newest few are kept.
    pub fn notify(&mut self, severity: Severity, title: impl Into<String>, detail: impl Into<String>) {
        const MAX_NOTICES: usize = 4;
        self.next_notice += 1;
        self.notices.push(Notice {
            id: self.next_notice,
            severity,
            title: title.into(),
            detail: detail.into(),
        });
        if self.notices.len() > MAX_NOTICES {
            self.notices.remove(0);
        }
    }

    /// The text of a cell's description, whole or as far as it came.
    pub fn description_text(&self, cell: usize) -> Option<&str> {
        match &self.streaming {
            Some(streaming) if streaming.cell == cell => Some(&streaming.text),
            _ => self.descriptions.get(&cell).map(|d| d.text.as_str()),
        }
    }

    /// Whether the data set is being looked over.
    pub fn is_looking_over(&self) -> bool {
        self.jobs.iter().any(Job::is_behind)
    }

    /// Whether this cell is being described now.
    pub fn is_describing(&self, cell: usize) -> bool {
        self.streaming.as_ref().is_some_and(|s| s.cell == cell && s.running)
    }
}

/// The ontology term of the cell type that a description names.
pub fn cell_type_term(description: &Description) -> Option<String> {
    description.claim(ClaimKind::CellType).and_then(|c| c.term.clone())
}

/// A path's last part.
pub fn file_name(path: &std::path::Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::description;
    use super::*;
    use engine::Error;
    use engine::error::Problem;

    fn text(job: u64, cell: usize, text: &str) -> Event {
        Event::DescriptionText { job: JobId(job), cell, text: text.into() }
    }

    fn streaming(job: u64, cell: usize) -> Streaming {
        Streaming { job: JobId(job), cell, text: String::new(), running: true }
    }

    #[test]
    fn genes_whose_reading_was_stopped_are_said_to_be_unread_until_they_are_asked_for_again() {
        let mut w = Workspace { read_job: Some(JobId(3)), ..Workspace::default() };
        w.genes_asked.extend([4, 9]);
        assert!(!w.is_left_unread(&[4]), "they are on their way");
        w.apply(Event::Stopped { job: JobId(3) });
        assert!(w.is_left_unread(&[4, 9]));
        assert!(!w.is_left_unread(&[5]), "nobody asked for it");
    }

    #[test]
    fn text_of_a_job_that_is_no_longer_wanted_is_dropped() {
        let mut w = Workspace { streaming: Some(streaming(2, 5)), ..Workspace::default() };
        w.apply(text(1, 4, "old"));
        w.apply(text(2, 5, "A "));
        w.apply(text(2, 5, "cell"));
        assert_eq!(w.description_text(5), Some("A cell"));
        assert!(w.is_describing(5));
        assert_eq!(w.description_text(4), None);
    }

    #[test]
    fn the_progress_of_loading_ends_when_text_comes() {
        let mut w = Workspace { streaming: Some(streaming(2, 5)), ..Workspace::default() };
        w.apply(Event::Started { job: JobId(2), what: "Describing a cell".into() });
        let progress = Progress { what: "Loading the model".into(), done: 3, total: Some(3) };
        w.apply(Event::Progressed { job: JobId(2), progress });
        assert!(w.jobs[0].progress.is_some());
        w.apply(text(2, 5, "A "));
        assert!(w.jobs[0].progress.is_none());
    }

    #[test]
    fn a_stopped_description_keeps_its_text_and_a_finished_one_its_claims() {
        let mut w = Workspace { streaming: Some(streaming(1, 5)), ..Workspace::default() };
        w.apply(text(1, 5, "half"));
        w.apply(Event::Stopped { job: JobId(1) });
        assert_eq!(w.description_text(5), Some("half"));
        assert!(!w.is_describing(5));
        w.streaming = Some(streaming(2, 5));
        let change = w.apply(Event::Described { job: JobId(2), description: Arc::new(description(5)) });
        assert!(matches!(change, Some(Change::Described { cell: 5, term: None })));
        assert_eq!(w.description_text(5), Some("whole"));
    }

    #[test]
    fn a_failed_job_leaves_a_notice_and_ends() {
        let mut w = Workspace {
            opening: Some((JobId(3), DataSource::File("x.h5ad".into()))),
            ..Workspace::default()
        };
        w.apply(Event::Started { job: JobId(3), what: "Opening x.h5ad".into() });
        assert_eq!(w.jobs.len(), 1);
        let error = Error::anndata(Problem::new("X", "nothing", "a matrix", "Write it again."));
        let change = w.apply(Event::Failed { job: JobId(3), error: Arc::new(error) });
        assert!(matches!(change, Some(Change::OpenFailed(path)) if path == *"x.h5ad"));
        assert!(w.jobs.is_empty() && w.opening.is_none());
        assert_eq!(w.notices[0].title, "Opening x.h5ad failed");
        assert!(w.notices[0].detail.contains("Write it again."));
    }

    #[test]
    fn a_stop_is_no_error_and_old_notices_make_room() {
        let mut w = Workspace::default();
        w.apply(Event::Failed { job: JobId(1), error: Arc::new(Error::Cancelled) });
        assert!(w.notices.is_empty());
        for i in 0..9 {
            w.notify(Severity::Done, i.to_string(), "");
        }
        assert_eq!(w.notices.len(), 4);
        assert_eq!(w.notices[3].title, "8");
    }
}
