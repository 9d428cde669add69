//! One file judged: every cell described, taken apart and compared, then the figures of them all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::baselines::{Answer, Baselines, told_pathways};
use super::bertscore::BertScorer;
use super::bootstrap::{Estimate, resample};
use super::calibration::Reliability;
use super::markers::MarkerLabeller;
use super::measures::statistics;
use super::outcome::{Labels, Method, Outcomes, plain};
use super::relation::Comparer;
use super::report::{Confusion, Figure, Figures, FileReport, Resampled, TypeReport};
use super::run::{EvaluateSettings, TextPair};
use super::statistic::{NONE, Statistic};
use super::text::TextScore;
use super::truth::{CellTruth, LabelledFile};
use crate::Result;
use crate::anndata::SparseRow;
use crate::annotate::{Batches, Telling, annotate_cells};
use crate::describe::{CellReader, ClaimKind, Context, Describer, Description, GenerationSettings, Phrases};
use crate::ontology::{Ontology, PageRankSimilarity};
use crate::pathways::ToldPathways;
use crate::progress::Watch;

/// Resamples behind each interval.
pub(super) const RESAMPLES: usize = 1000;
/// Cells described at once.
const BATCH: usize = 32;
/// Cells that markers are standardised over at most.
const STANDARD_CELLS: usize = 1000;
/// Cells that the baselines answer for at once.
const ANSWERED: usize = 1024;

/// All that is needed to judge a file.
pub(super) struct Judge<'a> {
    pub(super) settings: &'a EvaluateSettings,
    pub(super) describer: &'a Describer,
    pub(super) baselines: Option<&'a Baselines>,
    pub(super) bert: Option<&'a BertScorer>,
    pub(super) ontology: &'static Ontology,
    pub(super) phrases: &'static Phrases,
}

/// What is bound to one file's columns.
struct Bound {
    reader: CellReader,
    pathways: ToldPathways,
    markers: Option<MarkerLabeller>,
}

impl Judge<'_> {
    /// Evaluates one file.
    ///
    /// # Errors
    /// As [`super::evaluate`].
    pub(super) fn file(
        &self,
        file: &LabelledFile,
        watch: &Watch,
        on_text: &mut dyn FnMut(TextPair<'_>) -> Result<()>,
    ) -> Result<FileReport> {
        let ids = file.ensembl_ids()?;
        let bound = Bound {
            reader: self.reader(file, &ids, watch)?,
            pathways: ToldPathways::new(&file.genes)?,
            markers: if self.settings.baselines { self.markers(file, &ids, watch)? } else { None },
        };
        let outcomes = self.outcomes(file, &bound, watch, on_text)?;
        self.conclude(file, &outcomes, bound.reader.context().map(Context::provenance), watch)
    }

    fn reader(&self, file: &LabelledFile, ids: &[Option<&str>], watch: &Watch) -> Result<CellReader> {
        let mut reader = self.describer.bind(ids, &file.gene_names, file.choice.scale)?;
        if !self.settings.alone {
            self.describer.look_over(&mut reader, &file.matrix, watch)?;
        }
        Ok(reader)
    }

    /// The marker labeller with the genes' means over cells spread over the file.
    fn markers(
        &self,
        file: &LabelledFile,
        ids: &[Option<&str>],
        watch: &Watch,
    ) -> Result<Option<MarkerLabeller>> {
        let Some(mut markers) = MarkerLabeller::new(self.describer.signatures(), ids) else {
            return Ok(None);
        };
        let apart = file.cells.len().div_ceil(STANDARD_CELLS).max(1);
        let spread: Vec<usize> = file.cells.iter().copied().step_by(apart).collect();
        for (block, cells) in spread.chunks(BATCH).enumerate() {
            watch.step("Standardising markers", (block * BATCH) as u64, Some(spread.len() as u64))?;
            let rows: Vec<SparseRow> = file
                .rows(cells, watch)?
                .into_iter()
                .map(|(_, row)| row.linearise(file.choice.scale))
                .collect();
            markers.learn(rows.iter());
        }
        Ok(Some(markers))
    }

    fn outcomes(
        &self,
        file: &LabelledFile,
        bound: &Bound,
        watch: &Watch,
        on_text: &mut dyn FnMut(TextPair<'_>) -> Result<()>,
    ) -> Result<Outcomes> {
        let what = format!("Evaluating {}", file.name);
        let total = Some(file.cells.len() as u64);
        // The steps inside a batch would make the count of cells jump.
        let inner = watch.quiet();
        let settings = GenerationSettings {
            max_new_tokens: self.settings.max_new_tokens,
            seed: self.settings.seed,
            alone: self.settings.alone,
            ..GenerationSettings::default()
        };
        let mut described: HashMap<usize, Arc<Description>> = HashMap::new();
        let mut first = 0;
        annotate_cells(
            self.describer,
            &bound.reader,
            &file.matrix,
            &file.cells,
            &[],
            &settings,
            Batches { first: BATCH, ..Batches::default() },
            &inner,
            &mut |telling, descriptions| {
                if telling == Telling::First {
                    first += descriptions.len() as u64;
                    watch.step(&what, first, total)?;
                }
                described.extend(descriptions.into_iter().map(|d| (d.cell, d)));
                Ok(())
            },
        )?;
        let mut outcomes = Outcomes::default();
        let mut waiting = Waiting::default();
        for cells in file.cells.chunks(BATCH) {
            let rows = file.rows(cells, &inner)?;
            let mut vectors: HashMap<usize, Vec<f32>> = HashMap::new();
            if self.baselines.is_some() {
                let readable: Vec<(usize, SparseRow)> =
                    rows.iter().filter(|(_, row)| bound.reader.can_read(row)).cloned().collect();
                let embedded = self.describer.embed_batch(&bound.reader, &readable, &inner)?;
                vectors = readable.iter().map(|(cell, _)| *cell).zip(embedded).collect();
            }
            for (cell, row) in &rows {
                let Some(truth) = file.truth(*cell) else { continue };
                let linear = row.linearise(file.choice.scale);
                let description = described.remove(cell).filter(|description| description.n_tokens > 0);
                let reference = self.add_truth(&mut outcomes, &truth, &linear, &bound.pathways);
                let said = description.as_ref().map_or("", |d| d.text.as_str());
                outcomes.texts.push(TextScore::of(said, &reference));
                outcomes.well_formed.push(description.as_ref().is_some_and(|d| d.well_formed));
                if let Some(bert) = self.bert {
                    outcomes.bert.push(bert.score(said, &reference)?);
                }
                on_text(TextPair { file: &file.name, cell: *cell, said, reference: &reference })?;
                let labels =
                    description.as_ref().map_or_else(Labels::default, |d| model_labels(d, &mut outcomes));
                outcomes.said.entry(Method::Model).or_default().push(labels);
                if let Some(markers) = &bound.markers {
                    let labels = Labels {
                        cell_type: outcomes.cell_types.number_of(markers.label(&linear)),
                        ..Labels::default()
                    };
                    outcomes.said.entry(Method::Markers).or_default().push(labels);
                }
                waiting.push(vectors.remove(cell));
            }
            if waiting.cells.len() >= ANSWERED {
                self.answer(&mut waiting, &mut outcomes);
            }
        }
        self.answer(&mut waiting, &mut outcomes);
        Ok(outcomes)
    }

    /// Puts down what is true of a cell; returns the description that it should get.
    fn add_truth(
        &self,
        outcomes: &mut Outcomes,
        truth: &CellTruth,
        linear: &SparseRow,
        scorer: &ToldPathways,
    ) -> String {
        let pathways = told_pathways(scorer, linear);
        let names: Vec<&str> = pathways.iter().map(String::as_str).collect();
        let number = |word: &Option<String>| word.as_deref().map(plain);
        outcomes.truth.push(Labels {
            cell_type: outcomes.cell_types.number(&truth.cell_type),
            tissue: outcomes.tissues.number_of(number(&truth.tissue).as_deref()),
            disease: outcomes.diseases.number_of(number(&truth.disease).as_deref()),
            stage: outcomes.stages.number_of(number(&truth.stage).as_deref()),
            pathways: pathways.iter().map(|set| outcomes.pathways.number(set)).collect(),
            probability: f32::NAN,
        });
        truth.facts(self.ontology, self.phrases, &names).compose()
    }

    /// Lets the fitted baselines answer for the cells that wait.
    fn answer(&self, waiting: &mut Waiting, outcomes: &mut Outcomes) {
        let waiting = std::mem::take(waiting);
        let Some(baselines) = self.baselines else { return };
        for (method, answers) in baselines.answers(&waiting.vectors) {
            let mut answers = answers.into_iter();
            for has_vector in &waiting.cells {
                let answer = if *has_vector { answers.next() } else { None };
                let labels = answer.map_or_else(Labels::default, |a| baseline_labels(&a, outcomes));
                outcomes.said.entry(method).or_default().push(labels);
            }
        }
    }

    fn conclude(
        &self,
        file: &LabelledFile,
        outcomes: &Outcomes,
        context: Option<serde_json::Value>,
        watch: &Watch,
    ) -> Result<FileReport> {
        watch.step("Comparing cell types", 0, None)?;
        let mut comparer = Comparer::new(self.ontology, PageRankSimilarity::builtin()?);
        let mut methods: BTreeMap<&'static str, Figures> = BTreeMap::new();
        let (mut reliability, mut reliability_below) = (BTreeMap::new(), BTreeMap::new());
        let mut resampled = BTreeMap::new();
        for method in Method::ALL {
            let statistics = statistics(outcomes, method, &mut comparer);
            if statistics.is_empty() {
                continue;
            }
            let estimates = self.estimate(&statistics, outcomes.truth.len(), watch)?;
            for ((key, statistic), (average, macro_average, drawn)) in statistics.iter().zip(estimates) {
                if let Statistic::Calibration { probability, right } = statistic {
                    let curves = if *key == "cell_type.calibration_error" {
                        &mut reliability
                    } else {
                        &mut reliability_below
                    };
                    curves.insert(method.key(), Reliability::of(probability, right, None));
                }
                let figure = Figure { average, macro_average, cells: statistic.cells() };
                methods.entry(method.key()).or_default().insert(key, figure);
                resampled.insert((method.key(), *key), drawn);
            }
        }
        let mut notes = Vec::new();
        if file.not_human {
            notes.push("The genes seem not to be human: the model cannot read these cells.".to_owned());
        }
        let left_out: usize = file.unknown_labels.values().sum();
        if left_out > 0 {
            notes.push(format!(
                "{left_out} of {} cells have no known cell type and are left out.",
                file.n_obs
            ));
        }
        let (confusions, by_type) = self.confusions(outcomes, &mut comparer);
        Ok(FileReport {
            name: file.name.clone(),
            input: file.input.describe(),
            n_obs: file.n_obs,
            cells: outcomes.truth.len(),
            cell_types: by_type.len(),
            matrix: format!("{} ({})", file.choice.key, file.choice.scale.label()),
            context,
            unknown_labels: file.unknown_labels.clone(),
            notes,
            methods,
            reliability,
            reliability_below,
            confusions,
            by_type,
            resampled,
        })
    }

    /// Figures with their intervals, and the resamples behind them. All methods see the same resamples.
    fn estimate(
        &self,
        statistics: &[(&'static str, Statistic)],
        n: usize,
        watch: &Watch,
    ) -> Result<Vec<(Estimate, Option<Estimate>, Resampled)>> {
        let whole: Vec<_> = statistics.iter().map(|(_, s)| s.averages(&vec![1; n])).collect();
        let drawn = resample(n, RESAMPLES, self.settings.seed, watch, &|weights| {
            statistics
                .iter()
                .flat_map(|(_, s)| {
                    let averages = s.averages(weights);
                    [averages.average.unwrap_or(f64::NAN), averages.macro_average.unwrap_or(f64::NAN)]
                })
                .collect()
        })?;
        let mut drawn = drawn.into_iter();
        Ok(whole
            .into_iter()
            .map(|averages| {
                let of = (drawn.next().unwrap_or_default(), drawn.next().unwrap_or_default());
                let average = Estimate::new(averages.average.unwrap_or(f64::NAN), &of.0);
                let macro_average = averages.macro_average.map(|value| Estimate::new(value, &of.1));
                (average, macro_average, of)
            })
            .collect())
    }

    fn confusions(
        &self,
        outcomes: &Outcomes,
        comparer: &mut Comparer<'_>,
    ) -> (Vec<Confusion>, Vec<TypeReport>) {
        let mut pairs: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        let said = outcomes.said.get(&Method::Model).map_or(&[][..], Vec::as_slice);
        for (truth, said) in outcomes.truth.iter().zip(said) {
            *pairs.entry((truth.cell_type, said.cell_type)).or_default() += 1;
        }
        let id = |number: u32| outcomes.cell_types.word(number).unwrap_or_default().to_owned();
        let label = |id: &str| self.ontology.term(id).map_or_else(String::new, |t| t.label.clone());
        let mut types: BTreeMap<u32, TypeReport> = BTreeMap::new();
        let mut confusions: Vec<Confusion> = pairs
            .into_iter()
            .map(|((truth, said), cells)| {
                let compared = comparer.compare(&outcomes.cell_types, said, truth);
                let (truth_id, said_id) = (id(truth), if said == NONE { String::new() } else { id(said) });
                let own = types.entry(truth).or_insert_with(|| TypeReport {
                    label: label(&truth_id),
                    cell_type: truth_id.clone(),
                    cells: 0,
                    exact: 0.0,
                    exact_or_below: 0.0,
                    pagerank_similarity: 0.0,
                    lineage: 0.0,
                });
                // Sums for now; shares below.
                own.cells += cells;
                let n = cells as f64;
                own.exact += if said == truth { n } else { 0.0 };
                own.exact_or_below += if compared.is_exact_or_below() { n } else { 0.0 };
                own.lineage += if compared.same_lineage { n } else { 0.0 };
                own.pagerank_similarity += compared.similarity * n;
                Confusion {
                    truth_label: label(&truth_id),
                    said_label: label(&said_id),
                    truth: truth_id,
                    said: said_id,
                    cells,
                    relation: compared.relation,
                    distance: compared.distance,
                }
            })
            .collect();
        confusions.sort_by(|a, b| b.cells.cmp(&a.cells).then_with(|| a.truth.cmp(&b.truth)));
        let mut by_type: Vec<TypeReport> = types.into_values().collect();
        for own in &mut by_type {
            let n = own.cells.max(1) as f64;
            for sum in
                [&mut own.exact, &mut own.exact_or_below, &mut own.lineage, &mut own.pagerank_similarity]
            {
                *sum /= n;
            }
        }
        by_type.sort_by(|a, b| b.cells.cmp(&a.cells).then_with(|| a.cell_type.cmp(&b.cell_type)));
        (confusions, by_type)
    }
}

/// Cells whose baseline answers are still to come, in order.
#[derive(Default)]
struct Waiting {
    /// Whether each has a vector.
    cells: Vec<bool>,
    vectors: Vec<f32>,
}

impl Waiting {
    fn push(&mut self, vector: Option<Vec<f32>>) {
        self.cells.push(vector.is_some());
        self.vectors.extend(vector.unwrap_or_default());
    }
}

fn model_labels(description: &Description, outcomes: &mut Outcomes) -> Labels {
    let value = |kind| description.claim(kind).map(|claim| plain(&claim.value));
    let cell_type = description.claim(ClaimKind::CellType);
    let pathways = description
        .claims
        .iter()
        .filter(|claim| claim.kind == ClaimKind::Pathway)
        .filter_map(|claim| claim.term.as_deref())
        .take(2)
        .map(|set| outcomes.pathways.number(set))
        .collect();
    Labels {
        cell_type: outcomes.cell_types.number_of(cell_type.and_then(|claim| claim.term.as_deref())),
        tissue: outcomes.tissues.number_of(value(ClaimKind::Tissue).as_deref()),
        disease: outcomes.diseases.number_of(value(ClaimKind::Disease).as_deref()),
        stage: outcomes.stages.number_of(value(ClaimKind::Stage).as_deref()),
        pathways,
        probability: cell_type
            .filter(|claim| claim.term.is_some())
            .map_or(f32::NAN, |claim| claim.probability),
    }
}

fn baseline_labels(answer: &Answer, outcomes: &mut Outcomes) -> Labels {
    Labels {
        cell_type: outcomes.cell_types.number_of(answer.cell_type.as_deref()),
        tissue: outcomes.tissues.number_of(answer.tissue.as_deref()),
        disease: outcomes.diseases.number_of(answer.disease.as_deref()),
        stage: NONE,
        pathways: answer.pathways.iter().map(|set| outcomes.pathways.number(set)).collect(),
        probability: answer.probability,
    }
}
