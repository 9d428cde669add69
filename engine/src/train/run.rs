//! The training run: stages, steps, checkpoints and the metrics log.

mod bundle;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Device;

use super::checkpoint::{CheckpointFolder, Position, read_state, read_vocabularies};
use super::corpus::Corpus;
use super::examples::{Example, ExampleMaker};
use super::gene_vectors::principal_components;
use super::mixed::Half;
use super::optimizer::Adam;
use super::plot::draw_losses;
use super::pretrained::Pretrained;
use super::recipe::{GeneVectors, Objective, Precision, Recipe, Stage};
use super::trainee::{Configs, INITIAL_STD, LabelCounts, Outcome, Trainee};
use crate::error::Problem;
use crate::model::{Encoder, Prompter};
use crate::nn::{DevicePreference, choose_devices};
use crate::progress::Watch;
use crate::tokens::GeneDictionary;
use crate::{Error, Result};

/// What a run is asked for beside its recipe.
#[derive(Debug, Clone)]
pub struct TrainSettings {
    /// The recipe.
    pub recipe: Recipe,
    /// The folder that the recipe's files lie in.
    pub data: PathBuf,
    /// The folder for checkpoints, the log and the finished bundle.
    pub out: PathBuf,
    /// Steps between checkpoints.
    pub checkpoint_steps: u64,
    /// Where to compute.
    pub device: DevicePreference,
    /// Stop after this many steps in all, a checkpoint written; for trying a recipe.
    pub max_steps: Option<u64>,
}

/// One step, as logged.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Stage, from 0.
    pub stage: usize,
    /// Step of that stage, from 1.
    pub step: u64,
    /// Mean loss of the step's batches.
    pub loss: f64,
    /// Mean share of right answers.
    pub accuracy: f64,
    /// Length of the gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Wall time of the step in seconds.
    pub duration_secs: f64,
}

/// What a run gave.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainReport {
    /// The bundle, when all stages are done.
    pub bundle: Option<PathBuf>,
    /// Steps done in this call.
    pub steps: u64,
    /// The last step.
    pub last: Option<StepReport>,
    /// Cell types that the model was taught, as Cell Ontology ids.
    pub cell_types: Vec<String>,
    /// What numbers were multiplied in.
    pub precision: String,
}

/// Trains a model, or goes on with the run that `settings.out` holds.
///
/// # Errors
/// [`Error::Train`] for data or a checkpoint that do not fit the recipe; [`Error::Cancelled`] after writing a
/// checkpoint; what files and device give.
pub fn train(settings: &TrainSettings, watch: &Watch) -> Result<TrainReport> {
    let devices =
        choose_devices(settings.device)?.into_iter().map(|chosen| chosen.device).collect::<Vec<_>>();
    train_on(settings, &devices, watch)
}

/// [`train`] on `devices`: the first holds weights and optimiser, and all of them work on the batches of a step, which are
/// few where the recipe's stages say so (`accumulate`).
///
/// # Errors
/// As [`train`].
pub(super) fn train_on(settings: &TrainSettings, devices: &[Device], watch: &Watch) -> Result<TrainReport> {
    let recipe = &settings.recipe;
    recipe.check()?;
    std::fs::create_dir_all(&settings.out).map_err(|e| Error::io("make the folder", &settings.out, e))?;
    let folder = CheckpointFolder::new(&settings.out);
    let recipe_hash = CheckpointFolder::recipe_hash(recipe)?;
    let pretrained = Pretrained::open(recipe, &settings.data, watch)?;
    let found = folder.newest(&recipe_hash, &pretrained)?;
    let corpus = Corpus::read(recipe, &settings.data, watch)?;
    let given = match &found {
        Some((path, _)) => {
            let (dictionary, tokenizer) = read_vocabularies(path)?;
            (Some(dictionary), Some(tokenizer))
        }
        None => (pretrained.dictionary.clone(), pretrained.tokenizer.clone()),
    };
    let (maker, genes) = ExampleMaker::new(&corpus, recipe, given, watch)?;
    let labels = LabelCounts {
        cell_types: corpus.cell_types.len(),
        tissues: corpus.tissues.len(),
        diseases: corpus.diseases.len(),
        pathways: maker.n_pathways(),
    };
    let configs = Configs::new(recipe, &genes, maker.tokenizer(), labels, &pretrained);
    let workers: Vec<Device> = match devices {
        // Most steps of a small model are too short to be worth sharing out among the threads of a processor.
        [only] if *only == Device::flex() => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            vec![only.clone().autodiff(); threads]
        }
        all => all.iter().map(|device| device.clone().autodiff()).collect(),
    };
    let Some(device) = workers.first().cloned() else {
        return Err(Error::device(Problem::new("devices", "none", "at least one", "Use --device cpu.")));
    };
    let half = match recipe.precision {
        Precision::Single => None,
        Precision::Mixed => Half::of(&workers),
    };
    let (trainee, adam, position) = match found {
        Some((path, position)) => {
            let (trainee, adam) = read_state(&path, &configs, &pretrained, &device)?;
            (trainee, adam, position)
        }
        None => {
            let start = Position {
                stage: 0,
                step: 0,
                examples: 0,
                recipe: recipe_hash,
                pretrained: pretrained.hashes.clone(),
            };
            let mut trainee = Trainee::fresh(&configs, recipe.seed, &device, &pretrained)?;
            if recipe.encoder.gene_vectors == GeneVectors::PrincipalComponents {
                watch.step("Finding principal components", 0, None)?;
                let width = configs.encoder.hidden_size;
                let vectors = principal_components(&corpus, &genes, width, INITIAL_STD, recipe.seed)?;
                trainee.encoder.set_gene_vectors(vectors)?;
            }
            (trainee, Adam::default(), start)
        }
    };
    let prompter =
        Prompter::new(recipe.prompt.clone(), chat_template(recipe, &pretrained)?, maker.tokenizer().clone())?;
    let mut run = Run {
        settings,
        configs,
        pretrained: &pretrained,
        corpus: &corpus,
        maker: &maker,
        genes: &genes,
        prompter,
        device,
        workers,
        half,
        folder,
        trainee,
        adam,
        position,
    };
    let (steps, last) = run.all_stages(watch)?;
    let finished = run.position.stage >= recipe.stages.len();
    let bundle = finished.then(|| run.write_bundle(watch)).transpose()?;
    let precision = match (half, recipe.precision) {
        (Some(half), _) => format!("mixed, with {}", half.name()),
        (None, Precision::Mixed) => "single: not every device computes with 16 bits".to_owned(),
        (None, Precision::Single) => "single".to_owned(),
    };
    Ok(TrainReport { bundle, steps, last, cell_types: corpus.cell_types.words().to_vec(), precision })
}

/// What one batch of a step gives.
struct Part {
    loss: f64,
    accuracy: f64,
    gradients: GradientsParams,
}

/// Who works on a batch.
struct Worker<'a> {
    trainee: &'a Trainee,
    /// The encoder where it does not learn.
    frozen: Option<&'a Encoder>,
}

struct Run<'a> {
    settings: &'a TrainSettings,
    configs: Configs,
    pretrained: &'a Pretrained,
    corpus: &'a Corpus,
    maker: &'a ExampleMaker<'a>,
    genes: &'a GeneDictionary,
    prompter: Prompter,
    /// Where weights and optimiser are.
    device: Device,
    /// Where the batches of a step are worked on side by side, each by a thread of its own; several may be one device.
    workers: Vec<Device>,
    /// What maps multiply in, where that is not single precision.
    half: Option<Half>,
    folder: CheckpointFolder,
    trainee: Trainee,
    adam: Adam,
    position: Position,
}

/// The log of every step.
const METRICS: &str = "metrics.csv";
/// Batches made ahead of the step that needs them.
const BATCHES_AHEAD: usize = 4;

impl Run<'_> {
    fn all_stages(&mut self, watch: &Watch) -> Result<(u64, Option<StepReport>)> {
        let recipe = &self.settings.recipe;
        let total: u64 = recipe.stages.iter().map(|s| s.steps).sum();
        let mut log = MetricsLog::open(&self.settings.out)?;
        let (mut steps, mut last) = (0, None);
        while let Some(stage) = recipe.stages.get(self.position.stage) {
            let done_before: u64 = recipe.stages.iter().take(self.position.stage).map(|s| s.steps).sum();
            let budget =
                self.settings.max_steps.map(|most| most.saturating_sub(done_before + self.position.step));
            let remaining = (stage.steps - self.position.step).min(budget.unwrap_or(u64::MAX));
            let (report, outcome) = self.one_stage(stage, remaining, (done_before, total), &mut log, watch);
            steps += report.0;
            last = report.1.or(last);
            if outcome.is_err() || self.position.step < stage.steps {
                // Stopped, by the user, an error or the limit: keep what was learnt.
                self.write_checkpoint()?;
                outcome?;
                return Ok((steps, last));
            }
            self.position.stage += 1;
            self.position.step = 0;
            self.adam = Adam::default();
            self.write_checkpoint()?;
        }
        Ok((steps, last))
    }

    /// Runs up to `remaining` steps; gives the steps done with the last report even where one failed.
    fn one_stage(
        &mut self,
        stage: &Stage,
        remaining: u64,
        (done_before, total): (u64, u64),
        log: &mut MetricsLog,
        watch: &Watch,
    ) -> ((u64, Option<StepReport>), Result<()>) {
        let frozen = (stage.objective == Objective::Description && !stage.train_encoder).then(|| {
            let encoder = self.trainee.encoder.valid();
            match self.half {
                Some(half) => half.maps_of(encoder),
                None => encoder,
            }
        });
        let per_step = (stage.batch * stage.accumulate) as u64;
        let first = self.position.examples;
        let maker = self.maker;
        let n_batches = remaining * stage.accumulate as u64;
        let (sender, batches) = mpsc::sync_channel::<Result<Vec<Example>>>(BATCHES_AHEAD);
        let mut progress = (0, None);
        let outcome = std::thread::scope(|scope| {
            // Owned here, so that a stage that stops early drops it and the maker of batches ends instead of waiting.
            let batches = batches;
            scope.spawn(move || {
                for i in 0..n_batches {
                    let batch = maker.batch(first + i * stage.batch as u64, stage.batch, stage.max_len);
                    // The receiver is gone once the stage has stopped.
                    if sender.send(batch).is_err() {
                        return;
                    }
                }
            });
            for i in 0..remaining {
                let started = Instant::now();
                let mut report = self.one_step(stage, frozen.as_ref(), &batches)?;
                report.duration_secs = started.elapsed().as_secs_f64();
                self.position.step += 1;
                self.position.examples += per_step;
                log.write(&report)?;
                let what = format!(
                    "Training, stage {} of {}: loss {:.3}, right {:.1} %",
                    report.stage + 1,
                    self.settings.recipe.stages.len(),
                    report.loss,
                    report.accuracy * 100.0
                );
                progress = (i + 1, Some(report));
                if self.position.step.is_multiple_of(self.settings.checkpoint_steps.max(1)) {
                    self.write_checkpoint()?;
                }
                watch.step(&what, done_before + self.position.step, Some(total))?;
            }
            Ok(())
        });
        (progress, outcome)
    }

    fn one_step(
        &mut self,
        stage: &Stage,
        frozen: Option<&Encoder>,
        batches: &mpsc::Receiver<Result<Vec<Example>>>,
    ) -> Result<StepReport> {
        let parts = (0..stage.accumulate)
            .map(|_| {
                batches.recv().map_err(|_| {
                    Error::train(Problem::new("cells", "no more of them", "a batch", "Report this as a bug."))
                })?
            })
            .collect::<Result<Vec<Vec<Example>>>>()?;
        let mut accumulator = GradientsAccumulator::new();
        let (mut loss_sum, mut accuracy_sum) = (0.0, 0.0);
        for part in
            self.side_by_side(&parts, frozen, |worker, examples| self.one_part(worker, stage, examples))?
        {
            loss_sum += part.loss;
            accuracy_sum += part.accuracy;
            accumulator.accumulate(&self.trainee, part.gradients);
        }
        let n = stage.accumulate as f64;
        let loss = loss_sum / n;
        let learning_rate = stage.learning_rate_at(self.position.step);
        let (trainee, gradient_norm) = self.adam.step(
            self.trainee.clone(),
            accumulator.grads(),
            self.half.map_or(1.0, Half::loss_scale),
            learning_rate,
            stage.weight_decay,
            stage.clip_norm,
        );
        // Such a gradient has moved nothing: the checkpoint that follows holds what was learnt before.
        if !loss.is_finite() || !gradient_norm.is_finite() {
            return Err(Error::train(Problem::new(
                "loss",
                format!("{loss}, with a gradient of length {gradient_norm}"),
                "numbers",
                "Lower the learning rate; with precision = \"mixed\", try \"single\".",
            )));
        }
        self.trainee = trainee;
        Ok(StepReport {
            stage: self.position.stage,
            step: self.position.step + 1,
            loss,
            accuracy: accuracy_sum / n,
            gradient_norm,
            learning_rate,
            duration_secs: 0.0,
        })
    }

    /// What `work` gives for each of `parts`, in their order, worked on side by side: one part a worker. Each worker reads
    /// a copy of the model on its own device, whose leaves are its own, since graphs with common leaves wait for each
    /// other; on one device the values are shared, not copied. Gradients come back to the device of the weights.
    fn side_by_side(
        &self,
        parts: &[Vec<Example>],
        frozen: Option<&Encoder>,
        work: impl Fn(&Worker<'_>, &[Example]) -> Result<Part> + Sync,
    ) -> Result<Vec<Part>> {
        if self.workers.len() == 1 || parts.len() == 1 {
            let worker = Worker { trainee: &self.trainee, frozen };
            return parts.iter().map(|part| work(&worker, part)).collect();
        }
        let next = AtomicUsize::new(0);
        let done: Vec<Result<Vec<(usize, Part)>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .workers
                .iter()
                .take(parts.len())
                .map(|device| {
                    // Not forked: a fork stays in the graph of the weight it was made of until that changes, and steps
                    // of a stage that leaves some weights alone would take longer and longer.
                    let trainee = self.trainee.valid().to_device(&device.clone().inner()).train();
                    let away = *device != self.device;
                    let moved = frozen.filter(|_| away).map(|encoder| encoder.clone().fork(device));
                    let (next, work) = (&next, &work);
                    scope.spawn(move || {
                        let worker = Worker { trainee: &trainee, frozen: moved.as_ref().or(frozen) };
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                        let pool = pool.map_err(|e| {
                            Error::io("start a thread", Path::new("training"), std::io::Error::other(e))
                        })?;
                        let mut own = Vec::new();
                        while let Some((number, part)) = {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            parts.get(number).map(|part| (number, part))
                        } {
                            let mut done = pool.install(|| work(&worker, part))?;
                            if away {
                                done.gradients = done.gradients.to_device(&self.device, &self.trainee);
                            }
                            own.push((number, done));
                        }
                        Ok(own)
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
        });
        let mut done: Vec<(usize, Part)> =
            done.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        // Summed in this order whatever thread came first, so that the same seed gives the same model.
        done.sort_by_key(|(number, _)| *number);
        Ok(done.into_iter().map(|(_, part)| part).collect())
    }

    /// Loss and gradients of one batch.
    fn one_part(&self, worker: &Worker<'_>, stage: &Stage, examples: &[Example]) -> Result<Part> {
        // Gradients go to the weights themselves, whatever is multiplied with.
        let halved = self.half.map(|half| half.maps_of(worker.trainee.clone()));
        let trainee = halved.as_ref().unwrap_or(worker.trainee);
        let Outcome { loss, accuracy } = match stage.objective {
            Objective::MaskedGenes => {
                trainee.masked_gene_loss(examples, &self.configs, self.settings.recipe.seed)?
            }
            Objective::Labels => trainee.label_loss(examples, &self.configs, stage.reading)?,
            Objective::Description => {
                let longest = examples.iter().map(|e| e.text.len()).max().unwrap_or(0);
                let (prompt, _) = self.prompter.tokens(self.prompter.prompt.top_k)?;
                let positions = trainee.decoder.positions(prompt.len() + longest);
                let (prompter, frozen) = (&self.prompter, worker.frozen);
                trainee.description_loss(examples, &self.configs, prompter, &positions, frozen)?
            }
        };
        let (loss_value, accuracy) = (loss.clone().into_scalar::<f32>(), accuracy.into_scalar::<f32>());
        let scale = self.half.map_or(1.0, Half::loss_scale);
        let gradients = loss.div_scalar(stage.accumulate as f64 / scale).backward();
        let gradients = GradientsParams::from_grads(gradients, worker.trainee);
        Ok(Part { loss: f64::from(loss_value), accuracy: f64::from(accuracy), gradients })
    }

    fn write_checkpoint(&self) -> Result<()> {
        let out = &self.settings.out;
        draw_losses(&out.join(METRICS), &out.join("loss.svg"))?;
        let model = (&self.trainee, &self.configs, self.pretrained);
        self.folder.write(model, &self.adam, self.genes, self.maker.tokenizer(), &self.position)
    }
}

/// The recipe's chat template, or that of the decoder it begins from.
fn chat_template(recipe: &Recipe, pretrained: &Pretrained) -> Result<String> {
    let own = Some(recipe.chat_template.clone()).filter(|template| !template.is_empty());
    own.or_else(|| pretrained.chat_template.clone()).ok_or_else(|| {
        Error::train(Problem::new(
            "chat_template",
            "none in the recipe and none in the decoder's folder",
            "a chat template in Jinja",
            "Write it into the recipe.",
        ))
    })
}

/// `metrics.csv`: one line a step; a run that goes on appends.
struct MetricsLog {
    path: PathBuf,
    file: std::fs::File,
}

impl MetricsLog {
    fn open(out: &Path) -> Result<Self> {
        let path = out.join(METRICS);
        let is_new = !path.exists();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut log = Self { file: file.map_err(|e| Error::io("open the log", &path, e))?, path };
        if is_new {
            log.line("stage,step,loss,accuracy,gradient_norm,learning_rate,duration_secs")?;
        }
        Ok(log)
    }

    fn write(&mut self, r: &StepReport) -> Result<()> {
        self.line(&format!(
            "{},{},{:.5},{:.5},{:.4},{:.3e},{:.3}",
            r.stage, r.step, r.loss, r.accuracy, r.gradient_norm, r.learning_rate, r.duration_secs
        ))
    }

    fn line(&mut self, text: &str) -> Result<()> {
        writeln!(self.file, "{text}").map_err(|e| Error::io("write the log", &self.path, e))
    }
}
