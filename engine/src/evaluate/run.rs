//! The evaluation itself: describe, take apart, compare, file by file.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::baselines::{Baselines, TrainingCells};
use super::bertscore::BertScorer;
use super::judge::{Judge, RESAMPLES};
use super::report::{Report, ReportSettings, mean_over_files};
use super::truth::{LabelledFile, check_labels};
use crate::describe::{Describer, GenerationSettings, Phrases};
use crate::error::Problem;
use crate::nn::DevicePreference;
use crate::ontology::Ontology;
use crate::progress::Watch;
use crate::{Error, Result};

/// What to evaluate, and how.
#[derive(Debug, Clone)]
pub struct EvaluateSettings {
    /// The labelled files; `None` is the built-in sample.
    pub files: Vec<Option<PathBuf>>,
    /// Folder of the model's bundle; the built-in model otherwise.
    pub model: Option<PathBuf>,
    /// Where to compute.
    pub device: DevicePreference,
    /// Column of obs with the true cell types: Cell Ontology ids, or names that the ontology knows.
    pub label: String,
    /// Cells evaluated of a file at most, drawn at random.
    pub limit: Option<usize>,
    /// Seed of drawn cells, of resamples and of the baselines.
    pub seed: u64,
    /// Whether each cell is judged by itself, without what its data set says.
    pub alone: bool,
    /// Tokens of a description at most.
    pub max_new_tokens: usize,
    /// Whether the baselines run at all.
    pub baselines: bool,
    /// Where the fitted baselines learn from; without it only the marker scores run.
    pub training: Option<TrainingCells>,
    /// Folder of a BERT for BERTScore.
    pub bert: Option<PathBuf>,
    /// Its hidden state to compare, 0 the embeddings; by default that of the `bert-score` package.
    pub bert_layer: Option<usize>,
}

impl EvaluateSettings {
    /// The settings for `files`, everything else as usual.
    pub fn new(files: Vec<Option<PathBuf>>) -> Self {
        Self {
            files,
            model: None,
            device: DevicePreference::default(),
            label: "cell_type_ontology_term_id".to_owned(),
            limit: None,
            alone: false,
            seed: GenerationSettings::default().seed,
            max_new_tokens: GenerationSettings::default().max_new_tokens,
            baselines: true,
            training: None,
            bert: None,
            bert_layer: None,
        }
    }
}

/// A generated description beside the one that the cell should have got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPair<'a> {
    /// The file.
    pub file: &'a str,
    /// The row of obs.
    pub cell: usize,
    /// What the model wrote.
    pub said: &'a str,
    /// What its labels and pathways say in the same pattern.
    pub reference: &'a str,
}

/// Evaluates a model on labelled files. `on_text` gets every pair of texts.
///
/// # Errors
/// What opening, describing or fitting fails with; [`Error::AnnData`] for a file without usable labels;
/// [`Error::Request`] where a file is trained on and evaluated; [`Error::Cancelled`].
pub fn evaluate(
    settings: &EvaluateSettings,
    watch: &Watch,
    on_text: &mut dyn FnMut(TextPair<'_>) -> Result<()>,
) -> Result<Report> {
    let begun = Instant::now();
    refuse_leaks(settings)?;
    // A file without labels is better found before an hour of work on the others.
    for file in &settings.files {
        check_labels(file.as_deref(), &settings.label, watch)?;
    }
    let describer = Describer::load(settings.model.as_deref(), settings.device, watch)?;
    let bert = match &settings.bert {
        Some(folder) => Some(BertScorer::load(folder, settings.bert_layer, settings.device)?),
        None => None,
    };
    let fitted = match (&settings.training, settings.baselines) {
        (Some(training), true) => {
            Some(Baselines::fit(training, &settings.label, &describer, settings.seed, watch)?)
        }
        _ => None,
    };
    let judge = Judge {
        settings,
        describer: &describer,
        baselines: fitted.as_ref(),
        bert: bert.as_ref(),
        ontology: Ontology::builtin()?,
        phrases: Phrases::builtin()?,
    };
    let mut files = Vec::new();
    for file in &settings.files {
        let mut open = LabelledFile::open(file.as_deref(), &settings.label, watch)?;
        if let Some(limit) = settings.limit {
            open.draw(limit, settings.seed);
        }
        files.push(judge.file(&open, watch, on_text)?);
    }
    let report = describer.report();
    Ok(Report {
        format: 1,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        ontology: judge.ontology.version().to_owned(),
        model: describer.provenance(),
        settings: ReportSettings {
            label: settings.label.clone(),
            limit: settings.limit,
            alone: settings.alone,
            seed: settings.seed,
            resamples: RESAMPLES,
            max_new_tokens: settings.max_new_tokens,
            device: report.device_name,
            baselines: fitted.as_ref().zip(settings.training.as_ref()).map(|(fitted, training)| {
                let source = match training {
                    TrainingCells::Files { files, .. } => {
                        files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
                    }
                    TrainingCells::Recipe { recipe, .. } => format!("the recipe of \"{}\"", recipe.name),
                };
                format!("{} cells of {} types from {source}", fitted.cells, fitted.cell_types)
            }),
            bert: settings.bert.as_ref().map(|folder| folder.display().to_string()),
        },
        mean: mean_over_files(&files),
        files,
        duration_secs: begun.elapsed().as_secs_f64(),
    })
}

/// A labeller that has seen the answers is no labeller.
fn refuse_leaks(settings: &EvaluateSettings) -> Result<()> {
    let trained: Vec<PathBuf> = match &settings.training {
        Some(TrainingCells::Files { files, .. }) => files.clone(),
        Some(TrainingCells::Recipe { recipe, data, .. }) => {
            recipe.sources.iter().map(|s| data.join(&s.file)).collect()
        }
        None => Vec::new(),
    };
    let real = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let trained: Vec<PathBuf> = trained.iter().map(real).collect();
    match settings.files.iter().flatten().find(|file| trained.contains(&real(file))) {
        Some(file) => Err(Error::request(
            Problem::new(
                "the file",
                "it is among the training data of the baselines as well",
                "a file that nothing was trained on",
                "Leave it out of the evaluation, or out of the training data.",
            )
            .in_file(file),
        )),
        None => Ok(()),
    }
}

impl TextPair<'_> {
    /// The pair as one line of JSON.
    pub fn to_json(&self) -> String {
        json!({ "file": self.file, "cell": self.cell, "said": self.said, "reference": self.reference })
            .to_string()
    }
}
