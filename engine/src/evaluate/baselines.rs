//! Labellers on the same encoder's vectors, fitted in the same run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::boosting::Boosting;
use super::features::Standardiser;
use super::logistic::LogisticRegression;
use super::outcome::{Method, Names, plain};
use super::truth::LabelledFile;
use crate::anndata::{Scale, SparseRow};
use crate::describe::{CellReader, Describer};
use crate::error::Problem;
use crate::genes::{GeneId, GeneTable};
use crate::pathways::ToldPathways;
use crate::progress::Watch;
use crate::train::{LabelledDraw, Recipe, draw_labelled};
use crate::{Error, Result};

/// Cells read from a training file at once.
const BLOCK: usize = 64;

/// Where the baselines' training cells come from.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainingCells {
    /// Labelled files, with the same column of labels as those evaluated.
    Files {
        /// The files.
        files: Vec<PathBuf>,
        /// Cells taken of all of them together at most.
        most: usize,
    },
    /// Cells drawn as a recipe draws them for the model.
    Recipe {
        /// The recipe.
        recipe: Box<Recipe>,
        /// The folder that its files lie in.
        data: PathBuf,
        /// Cells drawn.
        draws: usize,
    },
}

/// What a baseline says of a cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    pub(super) cell_type: Option<String>,
    pub(super) probability: f32,
    pub(super) tissue: Option<String>,
    pub(super) disease: Option<String>,
    pub(super) pathways: Vec<String>,
}

/// Both baselines, fitted.
#[derive(Debug)]
pub(super) struct Baselines {
    standard: Standardiser,
    heads: Vec<(Method, Heads)>,
    /// Cells that they learnt from.
    pub(super) cells: usize,
    /// Cell types that they know.
    pub(super) cell_types: usize,
}

/// A classifier for each kind of label.
#[derive(Debug)]
struct Heads {
    cell_type: Head,
    tissue: Head,
    disease: Head,
    pathways: Head,
}

#[derive(Debug)]
struct Head {
    names: Vec<String>,
    /// `None` where the training cells have no such label.
    classifier: Option<Classifier>,
}

#[derive(Debug)]
enum Classifier {
    Linear(LogisticRegression),
    Boosting(Boosting),
}

impl Classifier {
    /// Probabilities `[rows, classes]`, each row scaled to a sum of 1.
    fn probabilities(&self, features: &[f64], n_classes: usize) -> Vec<f64> {
        let mut p = match self {
            Self::Linear(model) => model.probabilities(features),
            Self::Boosting(model) => model.probabilities(features),
        };
        for row in p.chunks_exact_mut(n_classes.max(1)) {
            let sum: f64 = row.iter().sum();
            if sum > 0.0 {
                row.iter_mut().for_each(|p| *p /= sum);
            }
        }
        p
    }
}

/// Vectors of training cells with their labels.
#[derive(Debug, Default)]
struct Gathered {
    features: Vec<f32>,
    width: usize,
    cell_types: (Names, Vec<Vec<u32>>),
    tissues: (Names, Vec<Vec<u32>>),
    diseases: (Names, Vec<Vec<u32>>),
    pathways: (Names, Vec<Vec<u32>>),
}

impl Gathered {
    fn add(&mut self, vector: Vec<f32>, answer: &Answer) {
        self.width = vector.len();
        self.features.extend(vector);
        let push = |(names, rows): &mut (Names, Vec<Vec<u32>>), words: &[String]| {
            rows.push(words.iter().map(|word| names.number(word)).collect());
        };
        push(&mut self.cell_types, answer.cell_type.as_slice());
        push(&mut self.tissues, answer.tissue.as_slice());
        push(&mut self.diseases, answer.disease.as_slice());
        push(&mut self.pathways, &answer.pathways);
    }
}

/// The gene sets that the description of a cell of linear values tells.
pub(super) fn told_pathways(pathways: &ToldPathways, row: &SparseRow) -> Vec<String> {
    pathways.told(row).into_iter().filter_map(|set| pathways.names().get(set).cloned()).collect()
}

impl Baselines {
    /// Gathers training cells and fits both.
    ///
    /// # Errors
    /// What reading the cells fails with; [`Error::Request`] where they are too few; [`Error::Cancelled`].
    pub(super) fn fit(
        training: &TrainingCells,
        label: &str,
        describer: &Describer,
        seed: u64,
        watch: &Watch,
    ) -> Result<Self> {
        let mut gathered = Gathered::default();
        match training {
            TrainingCells::Files { files, most } => {
                let each = most.div_ceil(files.len().max(1));
                for file in files {
                    gather_file(file, label, each, seed, describer, &mut gathered, watch)?;
                }
            }
            TrainingCells::Recipe { recipe, data, draws } => {
                gather_draws(recipe, data, *draws, describer, &mut gathered, watch)?;
            }
        }
        let cells = gathered.cell_types.1.len();
        let cell_types = gathered.cell_types.0.words().len();
        if cell_types < 2 {
            return Err(Error::request(Problem::new(
                "training cells of the baselines",
                format!("{cells} cells of {cell_types} types"),
                "cells of at least two types",
                "Name labelled files with --train, or a recipe with --recipe and --data.",
            )));
        }
        let standard = Standardiser::fit(&gathered.features, gathered.width);
        let features = standard.apply(&gathered.features);
        let mut heads = Vec::new();
        for method in [Method::Linear, Method::Boosting] {
            let fit = |labels: &(Names, Vec<Vec<u32>>)| {
                Head::fit(method, &features, gathered.width, labels, seed, watch)
            };
            let fitted = Heads {
                cell_type: fit(&gathered.cell_types)?,
                tissue: fit(&gathered.tissues)?,
                disease: fit(&gathered.diseases)?,
                pathways: fit(&gathered.pathways)?,
            };
            heads.push((method, fitted));
        }
        Ok(Self { standard, heads, cells, cell_types })
    }

    /// What each baseline says of cells with these vectors, `[cells, width]` row by row.
    pub(super) fn answers(&self, vectors: &[f32]) -> Vec<(Method, Vec<Answer>)> {
        let features = self.standard.apply(vectors);
        let rows = features.len() / self.standard.width().max(1);
        self.heads.iter().map(|(method, heads)| (*method, heads.answers(&features, rows))).collect()
    }
}

impl Heads {
    fn answers(&self, features: &[f64], rows: usize) -> Vec<Answer> {
        let types = self.cell_type.best(features, rows, 1);
        let tissues = self.tissue.best(features, rows, 1);
        let diseases = self.disease.best(features, rows, 1);
        let pathways = self.pathways.best(features, rows, 2);
        let first = |best: &[(String, f64)]| best.first().map(|(name, _)| name.clone());
        (0..rows)
            .map(|row| Answer {
                cell_type: first(&types[row]),
                probability: types[row].first().map_or(f32::NAN, |(_, p)| *p as f32),
                tissue: first(&tissues[row]),
                disease: first(&diseases[row]),
                pathways: pathways[row].iter().map(|(name, _)| name.clone()).collect(),
            })
            .collect()
    }
}

impl Head {
    fn fit(
        method: Method,
        features: &[f64],
        width: usize,
        (names, targets): &(Names, Vec<Vec<u32>>),
        seed: u64,
        watch: &Watch,
    ) -> Result<Self> {
        let names = names.words().to_vec();
        if names.is_empty() {
            return Ok(Self { names, classifier: None });
        }
        // Rows without this label teach nothing about it.
        let (mut rows, mut known) = (Vec::new(), Vec::new());
        for (row, targets) in features.chunks_exact(width.max(1)).zip(targets) {
            if !targets.is_empty() {
                rows.extend_from_slice(row);
                known.push(targets.clone());
            }
        }
        let n = names.len();
        let classifier = match method {
            Method::Boosting => Classifier::Boosting(Boosting::fit(&rows, width, &known, n, seed, watch)?),
            _ => Classifier::Linear(LogisticRegression::fit(&rows, width, &known, n, watch)?),
        };
        Ok(Self { names, classifier: Some(classifier) })
    }

    /// The `k` likeliest classes of each row with their probabilities.
    fn best(&self, features: &[f64], rows: usize, k: usize) -> Vec<Vec<(String, f64)>> {
        let n = self.names.len();
        let Some(classifier) = &self.classifier else { return vec![Vec::new(); rows] };
        let p = classifier.probabilities(features, n);
        p.chunks_exact(n.max(1))
            .map(|row| {
                let mut order: Vec<usize> = (0..n).collect();
                order.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
                order.into_iter().take(k).map(|at| (self.names[at].clone(), row[at])).collect()
            })
            .collect()
    }
}

fn gather_file(
    path: &Path,
    label: &str,
    most: usize,
    seed: u64,
    describer: &Describer,
    gathered: &mut Gathered,
    watch: &Watch,
) -> Result<()> {
    const WHAT: &str = "Reading training cells";
    let mut file = LabelledFile::open(Some(path), label, watch)?;
    file.draw(most, seed);
    let reader = describer.bind(&file.ensembl_ids()?, &file.gene_names, file.choice.scale)?;
    let scorer = ToldPathways::new(&file.genes)?;
    let total = Some(file.cells.len() as u64);
    for (block, cells) in file.cells.chunks(BLOCK).enumerate() {
        watch.step(WHAT, (block * BLOCK) as u64, total)?;
        let rows = file.rows(cells, watch)?;
        let answers: HashMap<usize, Answer> = rows
            .iter()
            .filter_map(|(cell, row)| {
                let truth = file.truth(*cell)?;
                let pathways = told_pathways(&scorer, &row.linearise(file.choice.scale));
                Some((*cell, answer(&truth.cell_type, truth.tissue, truth.disease, pathways)))
            })
            .collect();
        add_rows(describer, &reader, rows, &answers, gathered, watch)?;
    }
    Ok(())
}

fn gather_draws(
    recipe: &Recipe,
    data: &Path,
    draws: usize,
    describer: &Describer,
    gathered: &mut Gathered,
    watch: &Watch,
) -> Result<()> {
    let table = GeneTable::builtin()?;
    let mut bound: Option<(CellReader, ToldPathways)> = None;
    draw_labelled(recipe, data, draws as u64, watch, &mut |genes: &[GeneId], drawn: Vec<LabelledDraw>| {
        if bound.is_none() {
            let ids: Vec<Option<&str>> = genes.iter().map(|g| Some(table.ensembl_id(*g))).collect();
            let names: Vec<String> = genes.iter().map(|g| table.symbol(*g).to_owned()).collect();
            let columns: Vec<Option<GeneId>> = genes.iter().copied().map(Some).collect();
            bound = Some((describer.bind(&ids, &names, Scale::Counts)?, ToldPathways::new(&columns)?));
        }
        let Some((reader, pathways)) = &bound else { return Ok(()) };
        let answers: HashMap<usize, Answer> = drawn
            .iter()
            .enumerate()
            .map(|(at, drawn)| {
                let disease = if drawn.disease.is_empty() { "normal" } else { &drawn.disease };
                let pathways = told_pathways(pathways, &drawn.values);
                let tissue = Some(drawn.tissue.clone());
                (at, answer(&drawn.cell_type, tissue, Some(disease.to_owned()), pathways))
            })
            .collect();
        let rows = drawn.into_iter().enumerate().map(|(at, drawn)| (at, drawn.values)).collect();
        add_rows(describer, reader, rows, &answers, gathered, watch)
    })
}

fn answer(cell_type: &str, tissue: Option<String>, disease: Option<String>, pathways: Vec<String>) -> Answer {
    Answer {
        cell_type: Some(cell_type.to_owned()),
        probability: 1.0,
        tissue: tissue.map(|t| plain(&t)),
        disease: disease.map(|d| plain(&d)),
        pathways,
    }
}

fn add_rows(
    describer: &Describer,
    reader: &CellReader,
    rows: Vec<(usize, SparseRow)>,
    answers: &HashMap<usize, Answer>,
    gathered: &mut Gathered,
    watch: &Watch,
) -> Result<()> {
    let readable: Vec<(usize, SparseRow)> =
        rows.into_iter().filter(|(cell, row)| answers.contains_key(cell) && reader.can_read(row)).collect();
    let vectors = describer.embed_batch(reader, &readable, watch)?;
    for ((cell, _), vector) in readable.iter().zip(vectors) {
        if let Some(answer) = answers.get(cell) {
            gathered.add(vector, answer);
        }
    }
    Ok(())
}
