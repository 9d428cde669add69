//! Labelled files brought into one space of genes and one set of labels.

use std::collections::BTreeMap;
use std::path::Path;

use super::recipe::Recipe;
use super::sources::{Source, SourceForm};
use crate::anndata::{AnnData, Column, SparseRow};
use crate::describe::{CellFacts, Phrases, stage_of_life};
use crate::error::Problem;
use crate::genes::{GeneId, GeneTable};
use crate::ontology::Ontology;
use crate::progress::Watch;
use crate::{Error, Result};

/// A list of distinct words, each with its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Vocabulary {
    words: Vec<String>,
    numbers: BTreeMap<String, usize>,
}

impl Vocabulary {
    fn number(&mut self, word: &str) -> usize {
        if let Some(&n) = self.numbers.get(word) {
            return n;
        }
        self.words.push(word.to_owned());
        self.numbers.insert(word.to_owned(), self.words.len() - 1);
        self.words.len() - 1
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }
}

/// One row of a source with its labels as numbers.
#[derive(Debug, Clone)]
pub(super) struct LabelledRow {
    /// Linear values over the corpus's genes.
    pub(super) values: SparseRow,
    /// Number of the cell type.
    pub(super) cell_type: usize,
    /// Number of the tissue.
    pub(super) tissue: usize,
    /// Number of the disease; 0 is none.
    pub(super) disease: usize,
    /// Number of the study, where the source tells it.
    pub(super) study: Option<usize>,
    /// The words for the stage of life.
    pub(super) stage: Option<String>,
    /// The words for the sex.
    pub(super) sex: Option<String>,
}

/// The rows of one file.
#[derive(Debug)]
pub(super) struct SourceRows {
    pub(super) form: SourceForm,
    pub(super) weight: f64,
    pub(super) rows: Vec<LabelledRow>,
    /// Rows of each cell type that the file has.
    pub(super) by_type: Vec<(usize, Vec<usize>)>,
}

/// All sources together.
#[derive(Debug)]
pub(super) struct Corpus {
    /// The genes of all sources, by their number in the gene table.
    pub(super) genes: Vec<GeneId>,
    pub(super) sources: Vec<SourceRows>,
    /// Cell Ontology ids.
    pub(super) cell_types: Vocabulary,
    pub(super) tissues: Vocabulary,
    /// The first is the empty text: a normal donor.
    pub(super) diseases: Vocabulary,
    type_labels: Vec<String>,
}

impl Corpus {
    /// Reads all sources of `recipe` below `data`.
    ///
    /// # Errors
    /// [`Error::Train`] naming a file or column that is not as the recipe says; what reading the files gives.
    pub(super) fn read(recipe: &Recipe, data: &Path, watch: &Watch) -> Result<Self> {
        let table = GeneTable::builtin()?;
        let mut corpus = Self {
            genes: Vec::new(),
            sources: Vec::new(),
            cell_types: Vocabulary::default(),
            tissues: Vocabulary::default(),
            diseases: Vocabulary::default(),
            type_labels: Vec::new(),
        };
        corpus.diseases.number("");
        let mut gene_numbers: BTreeMap<GeneId, u32> = BTreeMap::new();
        let total = Some(recipe.sources.len() as u64);
        for (i, source) in recipe.sources.iter().enumerate() {
            watch.step("Reading training data", i as u64, total)?;
            let rows = corpus.read_source(source, recipe, data, table, &mut gene_numbers, watch)?;
            corpus.sources.push(rows);
        }
        let ontology = Ontology::builtin()?;
        corpus.type_labels = corpus
            .cell_types
            .words()
            .iter()
            .map(|id| ontology.term(id).map_or_else(|| id.clone(), |t| t.label.clone()))
            .collect();
        Ok(corpus)
    }

    fn read_source(
        &mut self,
        source: &Source,
        recipe: &Recipe,
        data: &Path,
        table: &GeneTable,
        gene_numbers: &mut BTreeMap<GeneId, u32>,
        watch: &Watch,
    ) -> Result<SourceRows> {
        let path = data.join(&source.file);
        let file = AnnData::open(&path, watch)?;
        let choice = file.choose_matrix()?;
        let matrix = file.matrix(&choice.key)?;
        let resolved = file.resolve_genes(table, &choice.key);
        let column_to_gene: Vec<Option<u32>> = resolved
            .ids
            .iter()
            .map(|id| {
                id.map(|id| {
                    let next = self.genes.len() as u32;
                    *gene_numbers.entry(id).or_insert_with(|| {
                        self.genes.push(id);
                        next
                    })
                })
            })
            .collect();
        let obs = file.obs();
        let column = |name: &str| -> Result<&Column> {
            obs.column(name).ok_or_else(|| {
                Error::train(
                    Problem::new(
                        format!("obs/{name}"),
                        "no such column",
                        "a column of labels",
                        "Correct the recipe.",
                    )
                    .in_file(&path),
                )
            })
        };
        let types = column(&source.cell_type_column)?;
        let tissues = column(&source.tissue_column)?;
        // These may be missing: then the donor is normal, of no stated stage and sex.
        let diseases = obs.column(&source.disease_column);
        let stages = obs.column(&source.stage_column);
        let sexes = obs.column("sex");
        let scales = obs.column("scale_guess");
        let studies = source.study_column.as_deref().map(column).transpose()?;
        let mut study_numbers = Vocabulary::default();
        let ontology = Ontology::builtin()?;
        let mut rows = Vec::new();
        for start in (0..matrix.n_rows()).step_by(BLOCK_ROWS) {
            watch.check()?;
            let end = (start + BLOCK_ROWS).min(matrix.n_rows());
            for (offset, row) in matrix.rows(start..end)?.into_iter().enumerate() {
                let at = start + offset;
                let Some(tissue) = tissues.text(at) else { continue };
                let exact = source.types_of_tissues.get(&tissue);
                let id = types.text(at).map(|id| exact.and_then(|of| of.get(&id)).cloned().unwrap_or(id));
                let Some(id) = id.filter(|id| ontology.term(id).is_some()) else { continue };
                if recipe.cells.vague.contains(&id) {
                    continue;
                }
                let told = |column: Option<&Column>, words: &BTreeMap<String, String>| {
                    let label = column.and_then(|c| c.text(at))?;
                    Some(words.get(&label).cloned().ok_or(label))
                };
                let disease = match told(diseases, &source.diseases) {
                    Some(Ok(listed)) => listed,
                    Some(Err(label)) if source.form == SourceForm::Cells && !is_normal(&label) => label,
                    _ => String::new(),
                };
                let stage = match told(stages, &source.stages) {
                    Some(Ok(words)) => Some(words),
                    Some(Err(label)) => stage_of_life(&label),
                    None => None,
                };
                let sex = sexes.and_then(|c| c.text(at)).filter(|s| s == "male" || s == "female");
                let of_type = source.tissues_of_types.get(&tissue).and_then(|types| types.get(&id));
                let tissue = of_type.or_else(|| source.tissues.get(&tissue)).cloned().unwrap_or(tissue);
                let mut values = to_genes(&row.linearise(choice.scale), &column_to_gene);
                if let Some(&power) = scales.and_then(|c| c.text(at)).and_then(|s| source.sharpen.get(&s)) {
                    // Their common factor is of no account: cells are drawn by shares of a profile.
                    values.values.iter_mut().for_each(|value| *value = value.max(0.0).powf(power as f32));
                }
                rows.push(LabelledRow {
                    values,
                    cell_type: self.cell_types.number(&id),
                    tissue: self.tissues.number(&tissue),
                    disease: self.diseases.number(&disease),
                    study: studies.and_then(|c| c.text(at)).map(|study| study_numbers.number(&study)),
                    stage,
                    sex,
                });
            }
        }
        if rows.is_empty() {
            return Err(Error::train(
                Problem::new(
                    "obs",
                    "no row with a usable label",
                    "Cell Ontology ids and tissues",
                    "Correct the recipe.",
                )
                .in_file(&path),
            ));
        }
        let mut by_type: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, row) in rows.iter().enumerate() {
            by_type.entry(row.cell_type).or_default().push(i);
        }
        Ok(SourceRows {
            form: source.form,
            weight: source.weight,
            rows,
            by_type: by_type.into_iter().collect(),
        })
    }

    /// What the description of `row` says, bar pathways.
    pub(super) fn facts(&self, row: &LabelledRow, phrases: &Phrases) -> CellFacts {
        let word = |v: &Vocabulary, n: usize| v.words.get(n).cloned().filter(|w| !w.is_empty());
        let id = self.cell_types.words.get(row.cell_type).map_or("", String::as_str);
        CellFacts {
            cell_type: self.type_labels.get(row.cell_type).cloned().unwrap_or_default(),
            definition: phrases.cell_type(id).map(str::to_owned),
            tissue: word(&self.tissues, row.tissue),
            disease: word(&self.diseases, row.disease),
            sex: row.sex.clone(),
            stage: row.stage.clone(),
            pathways: Vec::new(),
        }
    }
}

/// Rows read from a file at once.
const BLOCK_ROWS: usize = 256;

fn is_normal(label: &str) -> bool {
    label.is_empty() || label.starts_with("normal") || matches!(label, "healthy" | "mixed" | "unknown")
}

fn to_genes(row: &SparseRow, column_to_gene: &[Option<u32>]) -> SparseRow {
    let mut pairs: BTreeMap<u32, f32> = BTreeMap::new();
    for (column, value) in row.iter() {
        if let Some(Some(gene)) = column_to_gene.get(column as usize) {
            *pairs.entry(*gene).or_default() += value;
        }
    }
    let (columns, values) = pairs.into_iter().unzip();
    SparseRow { columns, values }
}
