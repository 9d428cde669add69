//! The model worker: loads the model when first needed, describes cells.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::command::Command;
use super::data::OpenData;
use super::event::{ContextReport, DeviceReport, Event, ModelReport};
use super::jobs::{Job, JobContext};
use super::run::Shared;
use crate::anndata::Matrix;
use crate::annotate::{Annotation, Batches, Run, Telling, annotate_cells};
use crate::describe::{CellReader, Describer, Description, GenerationSettings, LookOver};
use crate::error::Problem;
use crate::model::Bundle;
use crate::progress::Watch;
use crate::{Error, Result};

/// How long nothing was asked of the model before a data set is looked over: opening and one click after another come
/// first.
const QUIET_BEFORE_LOOKING: Duration = Duration::from_millis(1500);
/// How long work that stands back sleeps before it looks again.
const PAUSE: Duration = Duration::from_millis(20);
/// Cells looked over at once in the background: few, since a description that comes in between throws them away.
const LOOKED_OVER_AT_ONCE: usize = 8;
/// The same where someone waits for it.
const LOOKED_OVER_AT_ONCE_IN_FRONT: usize = 32;

/// What the model worker keeps from job to job.
pub(super) struct ModelWorker {
    shared: Arc<Shared>,
    queue: Queue,
    /// Folder of the model in use, loaded or not; `None` is the built-in one.
    chosen: Option<PathBuf>,
    loaded: Loaded,
}

/// The model, and the last data set's genes as it reads them.
#[derive(Default)]
struct Loaded {
    describer: Option<Describer>,
    reader: Option<(Weak<Matrix>, CellReader)>,
    /// The data set that is being looked over.
    looking: Option<(Weak<Matrix>, LookOver)>,
    /// The data set that is not to be looked over: the user stopped it, or there is nothing to find.
    left_alone: Option<Weak<Matrix>>,
}

/// The jobs to come. One that was taken from the channel too early waits in front.
struct Queue {
    jobs: Receiver<Job>,
    put_back: RefCell<VecDeque<Job>>,
}

impl Queue {
    fn next(&self) -> Option<Job> {
        let first = self.put_back.borrow_mut().pop_front();
        first.or_else(|| self.jobs.recv().ok())
    }

    /// The next job, where it is a description of the data set of `epoch`.
    fn next_description(&self, epoch: u64) -> Option<Job> {
        // Behind a job that was put back all others wait, or they would overtake it.
        if !self.put_back.borrow().is_empty() {
            return None;
        }
        let job = self.jobs.try_recv().ok()?;
        if job.epoch == epoch && matches!(job.command, Command::Describe { .. }) {
            return Some(job);
        }
        self.put_back.borrow_mut().push_back(job);
        None
    }

    fn is_empty(&self) -> bool {
        self.put_back.borrow().is_empty() && self.jobs.is_empty()
    }
}

/// All that describing a cell takes, ready.
struct Ready<'a> {
    describer: &'a Describer,
    reader: &'a CellReader,
    open: &'a OpenData,
}

impl ModelWorker {
    pub(super) fn new(shared: Arc<Shared>, jobs: Receiver<Job>) -> Self {
        let queue = Queue { jobs, put_back: RefCell::default() };
        let chosen = shared.settings.model.clone();
        Self { shared, queue, chosen, loaded: Loaded::default() }
    }

    /// Works until the session goes away.
    pub(super) fn serve(mut self) {
        let hub = self.shared.hub.clone();
        while let Some(job) = self.queue.next() {
            let describes = matches!(job.command, Command::Describe { .. });
            if hub.run(job, |ctx, command| self.work(ctx, &command)) {
                // A panic may have left the model half changed: load it afresh.
                self.loaded = Loaded::default();
            }
            if describes && self.shared.open_data().is_ok_and(|open| self.loaded.is_to_look_over(&open)) {
                self.shared.look_over();
            }
        }
    }

    fn work(&mut self, ctx: &JobContext, command: &Command) -> Result<()> {
        if let Command::UseModel { folder, load } = command {
            return self.use_model(ctx, folder.as_deref(), *load);
        }
        let open = self.shared.data_of(ctx.epoch, &ctx.watch)?;
        match command {
            Command::Describe { cell, settings } => {
                ctx.started(format!("Describing {}", open.cell_name(*cell)?))?;
                self.ready(ctx, &open)?.describe(ctx, *cell, settings)
            }
            Command::Annotate { cells, settings } => {
                for cell in cells.iter() {
                    open.cell_name(*cell)?;
                }
                ctx.started(format!("Describing {} cells", cells.len()))?;
                self.ready(ctx, &open)?;
                if !settings.alone {
                    self.loaded.look_over(ctx, &open, LOOKED_OVER_AT_ONCE_IN_FRONT, &ctx.watch)?;
                }
                let ready =
                    self.loaded.ready_with(&self.shared, self.chosen.as_deref(), ctx, &open, &ctx.watch)?;
                annotate(&self.shared, &self.queue, &ready, ctx, cells, settings)
            }
            Command::LookOver => {
                let done = self.look_over(ctx, &open);
                // What a description puts off goes on after it, and what another file was to end where that does not open; what
                // the user stopped does not.
                let stopped = self.queue.is_empty() && !self.shared.hub.is_giving_way(ctx.epoch);
                if matches!(done, Err(Error::Cancelled)) && stopped {
                    self.loaded.left_alone = Some(Arc::downgrade(&open.matrix));
                }
                done
            }
            _ => Err(Error::request(Problem::new(
                "a command",
                "the worker that runs the model",
                "the worker that reads files",
                "This is a fault of the program. Please report it.",
            ))),
        }
    }
}

impl ModelWorker {
    /// Puts another model in the place of the one in use, once it is ready.
    fn use_model(&mut self, ctx: &JobContext, folder: Option<&Path>, load: bool) -> Result<()> {
        if !load {
            if let Some(folder) = folder {
                Bundle::open(folder)?;
            }
            if self.chosen.as_deref() != folder {
                self.loaded = Loaded::default();
                self.chosen = folder.map(Path::to_path_buf);
            }
            return Ok(());
        }
        ctx.started(match folder {
            Some(folder) => {
                format!("Loading {}", folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy())
            }
            None => "Loading the built-in model".to_owned(),
        })?;
        let describer = Describer::load(folder, self.shared.settings.device, &ctx.watch)?;
        ctx.watch.check()?;
        let model = model_report(&describer, folder);
        // What was found out of the data set was found with the model before: it goes with it.
        self.loaded = Loaded { describer: Some(describer), ..Loaded::default() };
        self.chosen = folder.map(Path::to_path_buf);
        ctx.emit_done(Event::ModelLoaded { job: ctx.id, model })
    }

    /// Loads the model and brings it together with the data set, as far as that is still to be done.
    fn ready<'a>(&'a mut self, ctx: &JobContext, open: &'a Arc<OpenData>) -> Result<Ready<'a>> {
        self.loaded.ready_with(&self.shared, self.chosen.as_deref(), ctx, open, &ctx.watch)
    }

    /// Looks the data set over behind all that the user waits for.
    fn look_over(&mut self, ctx: &JobContext, open: &Arc<OpenData>) -> Result<()> {
        let dataset = &open.dataset;
        // A model of the user's may be large: it is not loaded before it is asked for.
        let may_load = self.chosen.is_none() || self.loaded.describer.is_some();
        if !may_load || dataset.known_genes == 0 || dataset.is_of_another_species() {
            return Ok(());
        }
        if !self.loaded.is_to_look_over(open) {
            return Ok(());
        }
        let hub = self.shared.hub.clone();
        let watch = ctx.watch.clone().standing_back(move || hub.user_waits(), PAUSE);
        let asked = Instant::now();
        while asked.elapsed() < QUIET_BEFORE_LOOKING {
            watch.check()?;
            std::thread::sleep(PAUSE);
        }
        // A click that comes while the model is loaded waits for it anyway: it must not begin again.
        self.loaded.ready_with(&self.shared, self.chosen.as_deref(), ctx, open, &Watch::silent())?;
        ctx.started(format!("Looking over {}", dataset.name))?;
        self.loaded.look_over(ctx, open, LOOKED_OVER_AT_ONCE, &watch)
    }
}

impl Loaded {
    /// Loads the model in the folder `chosen`, under the eyes of `loading`, and brings it together with the data set, as
    /// far as that is still to be done.
    fn ready_with<'a>(
        &'a mut self,
        shared: &Shared,
        chosen: Option<&Path>,
        ctx: &JobContext,
        open: &'a Arc<OpenData>,
        loading: &Watch,
    ) -> Result<Ready<'a>> {
        if open.dataset.known_genes == 0 {
            return Err(no_known_gene(open));
        }
        let describer = match &mut self.describer {
            Some(describer) => &*describer,
            empty => {
                let describer = Describer::load(chosen, shared.settings.device, loading)?;
                let model = model_report(&describer, chosen);
                ctx.emit_done(Event::ModelLoaded { job: ctx.id, model })?;
                &*empty.insert(describer)
            }
        };
        // A map computed on the way leaves the matrix, and all that was found out of it.
        let this = Arc::downgrade(&open.matrix);
        if self.reader.as_ref().is_none_or(|(of, _)| !of.ptr_eq(&this)) {
            let dataset = &open.dataset;
            let ids = dataset.ensembl_ids.iter().map(Option::as_deref).collect::<Vec<_>>();
            let reader = describer.bind(&ids, &dataset.genes, dataset.matrix.scale)?;
            self.reader = Some((this, reader));
        }
        match &self.reader {
            Some((_, reader)) => Ok(Ready { describer, reader, open }),
            None => Err(no_known_gene(open)),
        }
    }
}

impl Loaded {
    /// Lets the whole data set say what it knows of each of its cells, once. What was done of it before a stop is kept.
    fn look_over(&mut self, ctx: &JobContext, open: &OpenData, at_once: usize, watch: &Watch) -> Result<()> {
        let Self { describer: Some(describer), reader: Some((_, reader)), looking, left_alone } = self else {
            return Ok(());
        };
        if reader.context().is_some() {
            return Ok(());
        }
        let this = Arc::downgrade(&open.matrix);
        if looking.as_ref().is_none_or(|(of, _)| !of.ptr_eq(&this)) {
            let begun = describer.begin_look_over(reader, &open.matrix, watch)?;
            *looking = begun.map(|begun| (this.clone(), begun));
        }
        let Some((_, begun)) = looking else {
            *left_alone = Some(this);
            return Ok(());
        };
        describer.go_on_looking(reader, begun, at_once.min(describer.cells_at_once()), watch)?;
        *looking = None;
        let Some(context) = reader.context() else { return Ok(()) };
        let report = ContextReport { n_cells: context.n_cells, tissues: context.told() };
        ctx.emit_done(Event::LookedOver { job: ctx.id, report: Arc::new(report) })
    }

    /// Whether the data set was not yet looked over, and may be.
    fn is_to_look_over(&self, open: &OpenData) -> bool {
        let this = Arc::downgrade(&open.matrix);
        let is_this = |of: &Weak<Matrix>| of.ptr_eq(&this);
        !self.left_alone.as_ref().is_some_and(is_this)
            && !self.reader.as_ref().is_some_and(|(of, reader)| is_this(of) && reader.context().is_some())
    }
}

impl Ready<'_> {
    fn describe(&self, ctx: &JobContext, cell: usize, settings: &GenerationSettings) -> Result<()> {
        let row = self.open.row(cell, &ctx.watch)?;
        let mut on_text = |text: &str| {
            // Fails only when the job is stopped, and then generating stops by itself.
            let _ = ctx.emit(Event::DescriptionText { job: ctx.id, cell, text: text.to_owned() });
        };
        let description =
            self.describer.describe(self.reader, cell, &row, settings, &ctx.watch, &mut on_text)?;
        ctx.watch.check()?;
        let description = Arc::new(description);
        self.keep(std::slice::from_ref(&description), &self.run(settings));
        ctx.emit_done(Event::Described { job: ctx.id, description })
    }

    /// The model, and what it knew of the cell beside its genes.
    fn model_provenance(&self) -> serde_json::Value {
        let mut model = self.describer.provenance();
        if let (Some(context), Some(model)) = (self.reader.context(), model.as_object_mut()) {
            model.insert("context".to_owned(), context.provenance());
        }
        model
    }

    fn run(&self, settings: &GenerationSettings) -> Arc<Run> {
        let report = self.describer.report();
        Arc::new(Run {
            matrix: self.open.dataset.matrix.clone(),
            settings: settings.clone(),
            model_id: report.id,
            model: self.model_provenance(),
            device: report.device_name,
        })
    }

    fn keep(&self, descriptions: &[Arc<Description>], run: &Arc<Run>) {
        self.open.keep(
            descriptions
                .iter()
                .map(|description| Annotation { description: description.clone(), run: run.clone() }),
        );
    }
}

fn annotate(
    shared: &Shared,
    queue: &Queue,
    ready: &Ready<'_>,
    ctx: &JobContext,
    cells: &[usize],
    settings: &GenerationSettings,
) -> Result<()> {
    let run = ready.run(settings);
    let earlier = ready.open.described_alone(cells, &run);
    let mut on_batch = |telling: Telling, descriptions: Vec<Arc<Description>>| {
        if !descriptions.is_empty() {
            ready.keep(&descriptions, &run);
            ctx.emit_done(Event::Annotated { job: ctx.id, telling, descriptions })?;
        }
        // Who clicks on a cell meanwhile should not wait for the whole data set.
        while let Some(job) = queue.next_description(ctx.epoch) {
            shared.hub.run(job, |ctx, command| match command {
                Command::Describe { cell, settings } => {
                    ctx.started(format!("Describing {}", ready.open.cell_name(cell)?))?;
                    ready.describe(ctx, cell, &settings)
                }
                _ => Ok(()),
            });
        }
        Ok(())
    };
    annotate_cells(
        ready.describer,
        ready.reader,
        &ready.open.matrix,
        cells,
        &earlier,
        settings,
        Batches { most: ready.describer.cells_at_once(), ..Batches::default() },
        &ctx.watch,
        &mut on_batch,
    )
}

fn model_report(describer: &Describer, folder: Option<&Path>) -> ModelReport {
    let report = describer.report();
    ModelReport {
        folder: folder.map(Path::to_path_buf),
        name: report.name,
        id: report.id,
        bytes: report.bytes,
        device: DeviceReport { name: report.device_name, reason: report.device_reason },
    }
}

fn no_known_gene(open: &OpenData) -> Error {
    let dataset = &open.dataset;
    let example = dataset.gene_names_in_file.first().map_or("", String::as_str);
    Error::genes(Problem::new(
        "the genes of the file",
        format!("none of {} known (the first is \"{example}\")", dataset.genes.len()),
        "human gene symbols or Ensembl ids",
        "Put them into the index of var, or into a column of var called gene_ids or feature_name.",
    ))
}
