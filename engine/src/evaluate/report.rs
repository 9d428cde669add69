//! What an evaluation found, as it is written and shown.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::bootstrap::Estimate;
use super::calibration::Reliability;
use super::measures::MEASURES;
use super::outcome::Method;
use super::relation::Relation;

/// One measure of one method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The average over cells (of F1: weighted by the classes' cells) with its interval.
    #[serde(flatten)]
    pub average: Estimate,
    /// The average over classes, each counting alike; over a file's true cell types, tissues and so on. Calibration has
    /// none.
    #[serde(rename = "macro")]
    pub macro_average: Option<Estimate>,
    /// Cells that it is taken over; in the mean over files, of all of them together.
    pub cells: usize,
}

/// Measures by their keys.
pub type Figures = BTreeMap<&'static str, Figure>;

/// Cells of one true type of which one type was said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// Cell Ontology id of what is true.
    pub truth: String,
    /// Its label.
    pub truth_label: String,
    /// What was said; empty where no type was.
    pub said: String,
    /// Its label.
    pub said_label: String,
    /// How many cells.
    pub cells: usize,
    /// How what was said stands to the truth.
    pub relation: Relation,
    /// Steps along `is_a` by their nearest common ancestor.
    pub distance: Option<u32>,
}

/// The cells of one true type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TypeReport {
    /// Cell Ontology id.
    pub cell_type: String,
    /// Its label.
    pub label: String,
    /// Cells of it.
    pub cells: usize,
    /// Share of them of which the very type was said.
    pub exact: f64,
    /// Share of them of which the type or a kind of it was said.
    pub exact_or_below: f64,
    /// Mean PageRank similarity of what was said.
    pub pagerank_similarity: f64,
    /// Share of them of which a type of the same lineage was said.
    pub lineage: f64,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Path, hash and size.
    pub input: Value,
    /// Cells that it holds.
    pub n_obs: usize,
    /// Cells that were evaluated.
    pub cells: usize,
    /// True cell types among them.
    pub cell_types: usize,
    /// The matrix that was read.
    pub matrix: String,
    /// What the file as a whole told the model about each cell; `None` where each was judged by itself.
    pub context: Option<Value>,
    /// Labels that are no cell type, and how many cells have them; those cells are left out.
    pub unknown_labels: BTreeMap<String, usize>,
    /// What to know before trusting the figures.
    pub notes: Vec<String>,
    /// Figures by method.
    pub methods: BTreeMap<&'static str, Figures>,
    /// Reliability curves by method, of those that give a probability.
    pub reliability: BTreeMap<&'static str, Reliability>,
    /// The same where a kind of the true type counts as right too.
    pub reliability_below: BTreeMap<&'static str, Reliability>,
    /// What the model said of which type, the most frequent first.
    pub confusions: Vec<Confusion>,
    /// The true types, the most frequent first.
    pub by_type: Vec<TypeReport>,
    /// The resamples behind the intervals, for the mean over files.
    #[serde(skip)]
    pub(super) resampled: BTreeMap<(&'static str, &'static str), Resampled>,
}

/// The resamples of one figure: of its average and of its macro average.
pub(super) type Resampled = (Vec<f64>, Vec<f64>);

/// How the evaluation was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportSettings {
    /// The column of labels.
    pub label: String,
    /// Cells evaluated of a file at most.
    pub limit: Option<usize>,
    /// Whether each cell was judged by itself.
    pub alone: bool,
    /// Seed of drawn cells and resamples.
    pub seed: u64,
    /// Resamples behind each interval.
    pub resamples: usize,
    /// Tokens of a description at most.
    pub max_new_tokens: usize,
    /// The device, as shown.
    pub device: String,
    /// Where the baselines' cells came from, in words; `None` where none was fitted.
    pub baselines: Option<String>,
    /// The BERT of BERTScore.
    pub bert: Option<String>,
}

/// An evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Version of this layout.
    pub format: u32,
    /// Version of the program.
    pub program: String,
    /// Release of the Cell Ontology.
    pub ontology: String,
    /// Name, hashes and licence of the model.
    pub model: Value,
    /// How it was made.
    pub settings: ReportSettings,
    /// The files.
    pub files: Vec<FileReport>,
    /// The mean over the files, by method.
    pub mean: BTreeMap<&'static str, Figures>,
    /// Wall time in seconds.
    pub duration_secs: f64,
}

impl Report {
    /// Methods with figures, in the order of tables.
    pub fn methods(&self) -> Vec<Method> {
        Method::ALL.into_iter().filter(|m| self.mean.contains_key(m.key())).collect()
    }

    /// The report as one table: a row a file, method and measure, and the mean over files as a file called `mean`.
    ///
    /// # Errors
    /// What the writer gives.
    pub fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut out = csv::Writer::from_writer(Vec::new());
        out.write_record([
            "file",
            "method",
            "measure",
            "value",
            "low",
            "high",
            "macro",
            "macro_low",
            "macro_high",
            "cells",
        ])?;
        let files = self.files.iter().map(|f| (f.name.as_str(), &f.methods));
        for (file, methods) in files.chain(std::iter::once(("mean", &self.mean))) {
            for method in Method::ALL {
                let Some(figures) = methods.get(method.key()) else { continue };
                for measure in &MEASURES {
                    let Some(figure) = figures.get(measure.key) else { continue };
                    let numbers = |e: Option<&Estimate>| {
                        e.map_or_else(Default::default, |e| {
                            [e.value, e.low, e.high].map(|v| format!("{v:.6}"))
                        })
                    };
                    let [value, low, high] = numbers(Some(&figure.average));
                    let [m, m_low, m_high] = numbers(figure.macro_average.as_ref());
                    let cells = figure.cells.to_string();
                    out.write_record([
                        file,
                        method.key(),
                        measure.key,
                        &value,
                        &low,
                        &high,
                        &m,
                        &m_low,
                        &m_high,
                        &cells,
                    ])?;
                }
            }
        }
        out.into_inner().map_err(|e| csv::Error::from(e.into_error()))
    }
}

/// The mean over files of each figure: of those files that have it, with the interval of the means of their resamples.
pub(super) fn mean_over_files(files: &[FileReport]) -> BTreeMap<&'static str, Figures> {
    let mut mean: BTreeMap<&'static str, Figures> = BTreeMap::new();
    for method in Method::ALL {
        for measure in &MEASURES {
            let own: Vec<(&Figure, Option<&Resampled>)> = files
                .iter()
                .filter_map(|f| {
                    let figure = f.methods.get(method.key())?.get(measure.key)?;
                    Some((figure, f.resampled.get(&(method.key(), measure.key))))
                })
                .collect();
            if own.is_empty() {
                continue;
            }
            let average =
                mean_of(own.iter().map(|(f, r)| (Some(f.average.value), r.map(|r| r.0.as_slice()))));
            let macro_average = mean_of(
                own.iter().map(|(f, r)| (f.macro_average.map(|e| e.value), r.map(|r| r.1.as_slice()))),
            );
            if let Some(average) = average {
                let cells = own.iter().map(|(f, _)| f.cells).sum();
                mean.entry(method.key())
                    .or_default()
                    .insert(measure.key, Figure { average, macro_average, cells });
            }
        }
    }
    mean
}

fn mean_of<'a>(parts: impl Iterator<Item = (Option<f64>, Option<&'a [f64]>)>) -> Option<Estimate> {
    let known: Vec<(f64, &[f64])> =
        parts.filter_map(|(value, resampled)| value.map(|v| (v, resampled.unwrap_or_default()))).collect();
    if known.is_empty() {
        return None;
    }
    let n = known.len() as f64;
    let count = known.iter().map(|(_, r)| r.len()).min().unwrap_or(0);
    let resampled: Vec<f64> = (0..count).map(|i| known.iter().map(|(_, r)| r[i]).sum::<f64>() / n).collect();
    Some(Estimate::new(known.iter().map(|(v, _)| v).sum::<f64>() / n, &resampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_over_files_narrows_by_their_independence() {
        // Two files whose resamples move against each other: their mean does not move at all.
        let up: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let down: Vec<f64> = up.iter().rev().copied().collect();
        let mean =
            mean_of([(Some(0.5), Some(up.as_slice())), (Some(0.7), Some(down.as_slice()))].into_iter())
                .unwrap();
        assert!((mean.value - 0.6).abs() < 1e-12 && (mean.high - mean.low).abs() < 1e-9, "{mean:?}");
        assert_eq!(mean_of(std::iter::once((None, None))), None);
    }
}
