//! `cell2text evaluate`: how good a model is on labelled cells.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use engine::describe::GenerationSettings;
use engine::evaluate::{
    Confusion, Estimate, EvaluateSettings, Figures, MEASURES, Method, Report, TextPair, TrainingCells,
    evaluate,
};
use engine::progress::{Cancel, Progress, Watch};
use engine::train::Recipe;
use indicatif::{ProgressBar, ProgressDrawTarget};

use super::failure::Failure;
use super::input::{EngineArgs, at_least_one};
use super::interrupt;
use super::output::{Output, check_target, tell};
use super::progress::show;

/// Confusions listed in the terminal, a file.
const CONFUSIONS: usize = 10;
/// The word that stands for the built-in sample.
const SAMPLE: &str = "sample";

/// Measures a model on labelled files: text, cell types, tissues, diseases, pathways, calibration
///
/// Every labelled cell is described, the text is taken apart, and what it says is compared with the labels. Simple
/// labellers run beside the model: marker scores always, and a linear head and gradient boosting on the encoder's
/// vectors where --train or --recipe says what they learn from. docs/evaluation.md explains every measure.
#[derive(Debug, Clone, Args)]
pub struct EvaluateArgs {
    /// h5ad files with labels, or the word "sample" for the built-in sample
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Column of obs with the true cell types: Cell Ontology ids, or names that the ontology knows
    #[arg(long, value_name = "COLUMN", default_value = "cell_type_ontology_term_id")]
    label: String,
    /// Evaluate at most N cells of each file, drawn at random
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    limit: Option<usize>,
    /// Seed of everything random: drawn cells, resamples, baselines
    #[arg(long, default_value_t = GenerationSettings::default().seed)]
    seed: u64,
    /// Most tokens of a description
    #[arg(long, default_value_t = GenerationSettings::default().max_new_tokens, value_parser = at_least_one)]
    max_tokens: usize,
    /// Write everything to this JSON file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write one row a file, method and measure to this CSV table
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a page with plots to this HTML file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write each generated text beside its reference to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
    /// Judge each cell by itself: without what its file says of its tissue, and the cells most like it of its type
    #[arg(long)]
    alone: bool,
    /// Do not run the simple labellers
    #[arg(long, conflicts_with_all = ["train", "recipe"])]
    no_baselines: bool,
    /// Labelled h5ad files that the fitted baselines learn from
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "recipe")]
    train: Vec<PathBuf>,
    /// A training recipe: the fitted baselines learn from cells drawn by it
    #[arg(long, value_name = "TOML", requires = "data")]
    recipe: Option<PathBuf>,
    /// The folder that the recipe's files lie in
    #[arg(long, value_name = "DIR", requires = "recipe")]
    data: Option<PathBuf>,
    /// Cells that the fitted baselines learn from at most
    #[arg(long, value_name = "N", default_value = "6000", value_parser = at_least_one)]
    draws: usize,
    /// Folder of a BERT or RoBERTa in the Hugging Face layout, for BERTScore
    #[arg(long, value_name = "DIR")]
    bert: Option<PathBuf>,
    /// Its hidden state to compare, 0 the embeddings; otherwise the one that the bert-score package takes
    #[arg(long, value_name = "N", requires = "bert")]
    bert_layer: Option<usize>,
    #[command(flatten)]
    engine: EngineArgs,
}

impl EvaluateArgs {
    /// Evaluates.
    ///
    /// # Errors
    /// What opening, describing, fitting or writing fails with.
    pub fn run(&self) -> Result<(), Failure> {
        let settings = self.settings()?;
        for path in [&self.json, &self.csv, &self.html, &self.texts].into_iter().flatten() {
            check_target(path)?;
        }
        interrupt::listen()?;
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let mut texts = Texts::create(self.texts.as_deref())?;
        let result = evaluate(&settings, &watch(bar.clone()), &mut |pair| texts.write(pair));
        bar.finish_and_clear();
        let report = result.map_err(|error| {
            if error.is_cancelled() {
                return Failure::Interrupted("interrupted; nothing was written".to_owned());
            }
            Failure::from(error)
        })?;
        texts.finish()?;
        if let Some(path) = &self.json {
            let mut bytes = serde_json::to_vec_pretty(&report)?;
            bytes.push(b'\n');
            engine::files::write_atomically(path, &bytes)?;
        }
        if let Some(path) = &self.csv {
            let bytes = report.to_csv().map_err(|e| Failure::Other(e.into()))?;
            engine::files::write_atomically(path, &bytes)?;
        }
        if let Some(path) = &self.html {
            engine::files::write_atomically(path, report.to_html().as_bytes())?;
        }
        print(&report)?;
        for path in [&self.json, &self.csv, &self.html, &self.texts].into_iter().flatten() {
            tell(format_args!("written: {}", path.display()));
        }
        Ok(())
    }

    fn settings(&self) -> Result<EvaluateSettings, Failure> {
        let training = match (&self.recipe, &self.data) {
            (Some(recipe), Some(data)) => Some(TrainingCells::Recipe {
                recipe: Box::new(Recipe::read(recipe).map_err(|e| Failure::BadInput(e.into()))?),
                data: data.clone(),
                draws: self.draws,
            }),
            _ if !self.train.is_empty() => {
                Some(TrainingCells::Files { files: self.train.clone(), most: self.draws })
            }
            _ => None,
        };
        let files = self.files.iter().map(|f| (f.as_os_str() != SAMPLE).then(|| f.clone())).collect();
        Ok(EvaluateSettings {
            model: self.engine.model.clone(),
            device: self.engine.device,
            label: self.label.clone(),
            limit: self.limit,
            alone: self.alone,
            seed: self.seed,
            max_new_tokens: self.max_tokens,
            baselines: !self.no_baselines,
            training,
            bert: self.bert.clone(),
            bert_layer: self.bert_layer,
            ..EvaluateSettings::new(files)
        })
    }
}

/// A watch that draws the bar and hands Ctrl-C on.
fn watch(bar: ProgressBar) -> Watch {
    let cancel = Cancel::new();
    let stop = cancel.clone();
    // The engine looks at the flag between tokens, and at this closure only between batches.
    std::thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.is_cancelled() {
                if interrupt::pressed() {
                    stop.cancel();
                }
                std::thread::sleep(std::time::Duration::from_millis(30));
            }
        }
    });
    Watch::new(cancel, move |progress: &Progress| {
        if interrupt::pressed() {
            stop.cancel();
        }
        show(&bar, progress);
    })
}

/// Where the texts go, if anywhere. Written as they come: there may be many.
struct Texts {
    file: Option<(PathBuf, BufWriter<File>)>,
}

impl Texts {
    fn create(path: Option<&Path>) -> Result<Self, Failure> {
        let file = match path {
            Some(path) => {
                let file = File::create(path).map_err(|e| engine::Error::io("write", path, e))?;
                Some((path.to_path_buf(), BufWriter::new(file)))
            }
            None => None,
        };
        Ok(Self { file })
    }

    fn write(&mut self, pair: TextPair<'_>) -> engine::Result<()> {
        match &mut self.file {
            Some((path, file)) => {
                writeln!(file, "{}", pair.to_json()).map_err(|e| engine::Error::io("write", path, e))
            }
            None => Ok(()),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        if let Some((path, mut file)) = self.file {
            file.flush().map_err(|e| engine::Error::io("write", path, e))?;
        }
        Ok(())
    }
}

fn print(report: &Report) -> Result<(), Failure> {
    let mut out = Output::new();
    let name = report.model.get("name").and_then(serde_json::Value::as_str).unwrap_or("the model");
    out.line(format_args!(
        "{name} on {}, labels from obs/{}",
        report.settings.device, report.settings.label
    ))?;
    match &report.settings.baselines {
        Some(source) => out.line(format_args!("baselines learnt from {source}"))?,
        None if report.methods().contains(&Method::Markers) => out.line(
            "only marker scores as a baseline: --train or --recipe says what a linear head and boosting learn from",
        )?,
        None => {}
    }
    for file in &report.files {
        out.line(format_args!(
            "{}: {} of {} cells, {} types, read from {}",
            file.name, file.cells, file.n_obs, file.cell_types, file.matrix
        ))?;
        for note in &file.notes {
            tell(format_args!("note: {}: {note}", file.name));
        }
    }
    match report.files.as_slice() {
        [only] => print_one(&only.methods, &mut out)?,
        _ => print_many(report, &mut out)?,
    }
    for file in &report.files {
        let wrong: Vec<&Confusion> = file
            .confusions
            .iter()
            .filter(|c| c.relation != engine::evaluate::Relation::Same)
            .take(CONFUSIONS)
            .collect();
        if wrong.is_empty() {
            continue;
        }
        out.line(format_args!("\nwhat was said of which type in {}, most frequent first", file.name))?;
        for c in wrong {
            let said = if c.said.is_empty() { "(no known type)" } else { &c.said_label };
            let steps = c
                .distance
                .map(|d| format!(", {d} step{}", if d == 1 { "" } else { "s" }))
                .unwrap_or_default();
            out.line(format_args!(
                "{:>7}  {} → {}  ({}{steps})",
                c.cells,
                c.truth_label,
                said,
                c.relation.label()
            ))?;
        }
    }
    Ok(())
}

/// One file: the model's averages with their intervals, and each baseline's average.
fn print_one(
    methods: &std::collections::BTreeMap<&'static str, Figures>,
    out: &mut Output,
) -> Result<(), Failure> {
    let others: Vec<Method> =
        Method::ALL.into_iter().filter(|m| *m != Method::Model && methods.contains_key(m.key())).collect();
    let mut head = format!("\n{:<40}{:<24}{:<24}", "", "average, 95 % interval", "macro, 95 % interval");
    for method in &others {
        head.push_str(&format!("{:<24}", method.label()));
    }
    out.line(head.trim_end())?;
    let with_interval = |e: &Estimate| format!("{:.3}  {:.3}–{:.3}", e.value, e.low, e.high);
    for measure in &MEASURES {
        let figure = |method: Method| methods.get(method.key()).and_then(|f| f.get(measure.key));
        let Some(own) = figure(Method::Model) else { continue };
        let mut line = format!(
            "{:<40}{:<24}{:<24}",
            format!("{}: {}", measure.group, measure.label),
            with_interval(&own.average),
            own.macro_average.as_ref().map(with_interval).unwrap_or_default()
        );
        for method in &others {
            let shown = figure(*method).map(|f| match &f.macro_average {
                Some(m) => format!("{:.3} (macro {:.3})", f.average.value, m.value),
                None => format!("{:.3}", f.average.value),
            });
            line.push_str(&format!("{:<24}", shown.unwrap_or_default()));
        }
        out.line(line.trim_end())?;
    }
    Ok(())
}

/// Several files: a table a method, a column a file, and the mean with its interval.
fn print_many(report: &Report, out: &mut Output) -> Result<(), Failure> {
    for method in report.methods() {
        let Some(mean) = report.mean.get(method.key()) else { continue };
        let names: Vec<String> = report
            .files
            .iter()
            .map(|f| f.name.trim_end_matches(".h5ad").chars().take(16).collect())
            .collect();
        let mut head = format!("\n{:<40}", method.label());
        for name in &names {
            head.push_str(&format!("{name:>18}"));
        }
        head.push_str(&format!("{:>26}{:>8}", "mean, 95 % interval", "macro"));
        out.line(head)?;
        for measure in &MEASURES {
            let Some(own) = mean.get(measure.key) else { continue };
            let mut line = format!("{:<40}", format!("{}: {}", measure.group, measure.label));
            for file in &report.files {
                let figure = file.methods.get(method.key()).and_then(|f| f.get(measure.key));
                let shown = figure.map(|f| format!("{:.3}", f.average.value)).unwrap_or_default();
                line.push_str(&format!("{shown:>18}"));
            }
            let e = &own.average;
            let interval = format!("{:.3}  {:.3}–{:.3}", e.value, e.low, e.high);
            let of_classes = own.macro_average.map(|m| format!("{:.3}", m.value)).unwrap_or_default();
            line.push_str(&format!("{interval:>26}{of_classes:>8}"));
            out.line(line)?;
        }
    }
    Ok(())
}
