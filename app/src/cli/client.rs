//! The command line's hold of the engine: the same session that the window uses, one job at a time.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::analysis::{CompareRequest, Comparison, EmbedSettings};
use engine::annotate::{HandLabels, Telling};
use engine::describe::{Description, GenerationSettings};
use engine::progress::Progress;
use engine::session::{Command, DataSource, Dataset, Event, ModelReport, Session};
use indicatif::{ProgressBar, ProgressDrawTarget};

use super::failure::Failure;
use super::input::{EngineArgs, InputArgs};
use super::interrupt;
use super::progress::show;

/// How often Ctrl-C is looked for while waiting for the engine.
const POLL: Duration = Duration::from_millis(30);

/// A session with a progress bar.
pub struct Client {
    session: Session,
    bar: ProgressBar,
    model: RefCell<Option<ModelReport>>,
}

impl Client {
    /// Starts the engine.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn new(engine: &EngineArgs) -> Result<Self, Failure> {
        interrupt::listen()?;
        let session = Session::start(engine.into())?;
        // Draws on standard error, and only where that is a terminal.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Ok(Self { session, bar, model: RefCell::new(None) })
    }

    /// The session, with what it has open and loaded.
    pub fn into_session(self) -> Session {
        self.session
    }

    /// The model, once one was needed.
    pub fn model(&self) -> Option<ModelReport> {
        self.model.borrow().clone()
    }

    /// Opens the input, with the matrix asked for.
    ///
    /// # Errors
    /// [`Failure::BadInput`] where it cannot be used.
    pub fn open(&self, input: &InputArgs) -> Result<Arc<Dataset>, Failure> {
        let dataset = self.open_source(input.source())?;
        match &input.matrix {
            Some(key) => self.dataset_of(Command::UseMatrix(key.clone())),
            None => Ok(dataset),
        }
    }

    /// Opens a source.
    ///
    /// # Errors
    /// [`Failure::BadInput`] where it cannot be used.
    pub fn open_source(&self, source: DataSource) -> Result<Arc<Dataset>, Failure> {
        self.dataset_of(Command::Open(source)).map_err(|failure| match failure {
            // Whatever stands in the way of opening, it is the input that cannot be used.
            Failure::Engine(error) => Failure::BadInput(error),
            other => other,
        })
    }

    fn dataset_of(&self, command: Command) -> Result<Arc<Dataset>, Failure> {
        let mut opened = None;
        self.run(command, |event| {
            if let Event::Opened { dataset, .. } = event {
                opened = Some(dataset);
            }
            Ok(())
        })?;
        opened.ok_or_else(|| Failure::Other(anyhow::anyhow!("the engine opened nothing")))
    }

    /// Describes one cell, with its text as it comes.
    ///
    /// # Errors
    /// What describing or `on_text` fails with.
    pub fn describe(
        &self,
        cell: usize,
        settings: &GenerationSettings,
        mut on_text: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<Arc<Description>, Failure> {
        let mut described = None;
        self.run(Command::Describe { cell, settings: settings.clone() }, |event| {
            match event {
                Event::DescriptionText { text, .. } => {
                    // The bar and the text would share the last line of the terminal.
                    self.bar.finish_and_clear();
                    on_text(&text)?;
                }
                Event::Described { description, .. } => described = Some(description),
                _ => {}
            }
            Ok(())
        })?;
        described.ok_or_else(|| Failure::Other(anyhow::anyhow!("the engine described nothing")))
    }

    /// Describes many cells. `done` grows with each batch, and tells how far it came even if it fails.
    ///
    /// # Errors
    /// What describing fails with.
    pub fn annotate(
        &self,
        cells: &[usize],
        settings: &GenerationSettings,
        done: &mut usize,
    ) -> Result<(), Failure> {
        self.run(Command::Annotate { cells: cells.into(), settings: settings.clone() }, |event| {
            if let Event::Annotated { telling: Telling::First, descriptions, .. } = event {
                *done += descriptions.len();
            }
            Ok(())
        })
    }

    /// Writes what was described so far. Returns the number of rows.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn export(&self, path: &Path) -> Result<usize, Failure> {
        self.written(Command::ExportCsv { path: path.to_path_buf() })
    }

    /// Writes what was described so far, and labels, into a copy of the file. Returns the number of columns.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_copy(
        &self,
        path: &Path,
        labels: Arc<[HandLabels]>,
        replace: bool,
    ) -> Result<usize, Failure> {
        self.written(Command::WriteCopy { path: path.to_path_buf(), labels, replace })
    }

    /// The rows that a command writes.
    fn written(&self, command: Command) -> Result<usize, Failure> {
        let mut written = 0;
        self.run(command, |event| {
            if let Event::Exported { rows, .. } = event {
                written = rows;
            }
            Ok(())
        })?;
        Ok(written)
    }

    /// Compares two sets of cells.
    ///
    /// # Errors
    /// What comparing fails with.
    pub fn compare(&self, request: CompareRequest) -> Result<Arc<Comparison>, Failure> {
        let mut compared = None;
        self.run(Command::Compare(Arc::new(request)), |event| {
            if let Event::Compared { result, .. } = event {
                compared = Some(result);
            }
            Ok(())
        })?;
        compared.ok_or_else(|| Failure::Other(anyhow::anyhow!("the engine compared nothing")))
    }

    /// Computes a map and clusters of the open data set.
    ///
    /// # Errors
    /// What computing fails with.
    pub fn embed(&self, settings: &EmbedSettings) -> Result<Arc<Dataset>, Failure> {
        let mut extended = None;
        self.run(Command::Embed(settings.clone()), |event| {
            if let Event::Extended { dataset, .. } = event {
                extended = Some(dataset);
            }
            Ok(())
        })?;
        extended.ok_or_else(|| Failure::Other(anyhow::anyhow!("the engine computed no map")))
    }

    /// Writes the map computed last. Returns the number of rows.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn export_map(&self, path: &Path) -> Result<usize, Failure> {
        self.written(Command::ExportMap { path: path.to_path_buf() })
    }

    /// Writes a comparison. Returns the number of rows.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn export_comparison(&self, result: &Arc<Comparison>, path: &Path) -> Result<usize, Failure> {
        self.written(Command::ExportComparison { result: result.clone(), path: path.to_path_buf() })
    }

    /// Sends a command and sees it through: progress to the bar, Ctrl-C to the job, results to `on_event`.
    fn run(
        &self,
        command: Command,
        mut on_event: impl FnMut(Event) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let job = self.session.send(command);
        self.bar.reset();
        let mut stopping = false;
        let result = loop {
            if interrupt::pressed() && !stopping {
                self.session.cancel(job);
                stopping = true;
            }
            let Some(event) = self.session.next_timeout(POLL) else {
                self.bar.tick();
                continue;
            };
            if event.job() != job {
                continue;
            }
            let handled = match event {
                Event::Started { what, .. } => {
                    show(&self.bar, &Progress { what, done: 0, total: None });
                    Ok(())
                }
                Event::Progressed { progress, .. } => {
                    show(&self.bar, &progress);
                    Ok(())
                }
                Event::ModelLoaded { model, .. } => {
                    *self.model.borrow_mut() = Some(model);
                    Ok(())
                }
                Event::Finished { .. } => break Ok(()),
                Event::Stopped { .. } => break Err(Failure::Interrupted("interrupted".to_owned())),
                Event::Failed { error, .. } => break Err(error.into()),
                other => on_event(other),
            };
            if let Err(failure) = handled {
                self.session.cancel(job);
                break Err(failure);
            }
        };
        self.bar.finish_and_clear();
        result
    }
}
