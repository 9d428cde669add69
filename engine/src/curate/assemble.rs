//! The last pass: from blocks of work to the three files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::blocks::{BlockCell, Work};
use super::describe_cell::{Told, description};
use super::figures::Lengths;
use super::labels::{KEPT_COLUMNS, categorical};
use super::split::Split;
use super::survey::Survey;
use crate::Result;
use crate::anndata::{Column, Frame, NewAnnData, Values};
use crate::genes::GeneTable;
use crate::model::{Bundle, TextTokenizer};
use crate::ontology::Ontology;
use crate::pathways::ActivityCount;
use crate::progress::Watch;

/// Special tokens around the genes of Geneformer V2, and its longest encoding.
const SPECIAL_TOKENS: u32 = 2;
const LONGEST_ENCODING: u32 = 4096;
/// Different texts whose length is remembered; more are counted anew.
const KNOWN_TEXTS: usize = 1 << 16;

/// What all blocks together show.
#[derive(Debug, Default)]
pub(super) struct Overview {
    pub(super) activity: ActivityCount,
    pub(super) gene_lengths: Lengths,
    /// Cells of each split that have genes.
    pub(super) cells: BTreeMap<Split, usize>,
    /// Chosen cells without a gene.
    pub(super) empty: Vec<u32>,
}

/// Looks once through all blocks.
///
/// # Errors
/// Where a block cannot be read; [`crate::Error::Cancelled`].
pub(super) fn overview(
    n_blocks: usize,
    n_sets: usize,
    split_of: &HashMap<u32, Split>,
    work: &Work,
    watch: &Watch,
) -> Result<Overview> {
    let mut all = Overview { activity: ActivityCount::new(n_sets), ..Overview::default() };
    for block in 0..n_blocks {
        watch.step("Counting active pathways", block as u64, Some(n_blocks as u64))?;
        for cell in work.read(block)? {
            if cell.row.is_empty() {
                all.empty.push(cell.cell);
                continue;
            }
            all.activity.add(&cell.active);
            all.gene_lengths.add((cell.row.len() as u32 + SPECIAL_TOKENS).min(LONGEST_ENCODING));
            if let Some(split) = split_of.get(&cell.cell) {
                *all.cells.entry(*split).or_default() += 1;
            }
        }
    }
    Ok(all)
}

/// A column under construction: each distinct text once.
#[derive(Debug, Default)]
struct Growing {
    words: Vec<String>,
    numbers: HashMap<String, u32>,
    codes: Vec<u32>,
}

impl Growing {
    fn push(&mut self, word: &str) {
        let number = match self.numbers.get(word) {
            Some(number) => *number,
            None => {
                let number = self.words.len() as u32;
                self.words.push(word.to_owned());
                self.numbers.insert(word.to_owned(), number);
                number
            }
        };
        self.codes.push(number);
    }

    fn at(&self, row: usize) -> &str {
        self.codes.get(row).and_then(|code| self.words.get(*code as usize)).map_or("", String::as_str)
    }

    fn is_empty(&self) -> bool {
        self.words.iter().all(String::is_empty)
    }

    /// Truth values from their spelling in Python.
    fn truth_values(&self) -> Values {
        let truth = |word: &String| match word.to_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        let of_words: Vec<Option<bool>> = self.words.iter().map(truth).collect();
        Values::Boolean(self.codes.iter().map(|c| of_words.get(*c as usize).copied().flatten()).collect())
    }

    /// As categories in the order of the alphabet.
    fn values(&self) -> Values {
        let Values::Categorical { codes: of_words, categories, ordered } = categorical(&self.words) else {
            return Values::Text(Vec::new());
        };
        let codes = self.codes.iter().map(|c| of_words.get(*c as usize).copied().unwrap_or(-1)).collect();
        Values::Categorical { codes, categories, ordered }
    }
}

/// What is learnt while writing.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) text_lengths: Lengths,
    pub(super) text_words: Lengths,
    /// Cells whose first and second set each set is.
    pub(super) first: Vec<u64>,
    pub(super) second: Vec<u64>,
    tokenizer: TextTokenizer,
    known: HashMap<String, (u32, u32)>,
}

impl Tally {
    /// # Errors
    /// Where the built-in model's tokenizer is damaged.
    pub(super) fn new(n_sets: usize) -> Result<Self> {
        let bundle = Bundle::builtin()?;
        let folder = &bundle.manifest.decoder.folder;
        let tokenizer = TextTokenizer::from_json(&bundle.files.read(&format!("{folder}/tokenizer.json"))?)?;
        Ok(Self {
            text_lengths: Lengths::default(),
            text_words: Lengths::default(),
            first: vec![0; n_sets],
            second: vec![0; n_sets],
            tokenizer,
            known: HashMap::new(),
        })
    }

    fn count_text(&mut self, text: &str) -> Result<()> {
        let (tokens, words) = match self.known.get(text) {
            Some(known) => *known,
            None => {
                let counted =
                    (self.tokenizer.encode(text)?.len() as u32, text.split_whitespace().count() as u32);
                if self.known.len() >= KNOWN_TEXTS {
                    self.known.clear();
                }
                self.known.insert(text.to_owned(), counted);
                counted
            }
        };
        self.text_lengths.add(tokens);
        self.text_words.add(words);
        Ok(())
    }
}

/// What one file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Assembled {
    pub(super) cells: usize,
    pub(super) donors: usize,
    pub(super) cell_types: usize,
}

/// What [`write_split`] writes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) survey: &'a Survey,
    pub(super) n_blocks: usize,
    pub(super) split_of: &'a HashMap<u32, Split>,
    pub(super) work: &'a Work,
    /// Names of the gene sets.
    pub(super) sets: &'a [String],
    /// The sets that descriptions may name.
    pub(super) kept: &'a HashSet<u32>,
    /// Names these data.
    pub(super) plan: &'a str,
}

/// Writes the cells of one split to `path`: counts by rows, the kept columns of obs, pathways, descriptions.
///
/// # Errors
/// Where a block cannot be read or the file not be written; [`crate::Error::Cancelled`].
pub(super) fn write_split(
    path: &Path,
    split: Split,
    parts: &Parts<'_>,
    tally: &mut Tally,
    watch: &Watch,
) -> Result<Assembled> {
    let survey = parts.survey;
    let what = format!("Writing {}", split.name());
    let file = NewAnnData::create(path)?;
    let mut rows = file.rows("X", survey.genes.len())?;
    let mut names: Vec<String> = Vec::new();
    let mut columns: Vec<Growing> = KEPT_COLUMNS.iter().map(|_| Growing::default()).collect();
    let mut source = Growing::default();
    let mut pathways = [Growing::default(), Growing::default()];
    let mut both = Growing::default();
    for block in 0..parts.n_blocks {
        watch.step(&what, block as u64, Some(parts.n_blocks as u64))?;
        for cell in parts.work.read(block)? {
            if parts.split_of.get(&cell.cell) != Some(&split) || cell.row.is_empty() {
                continue;
            }
            rows.push(&cell.row)?;
            names.push(cell_name(survey, &cell));
            for ((column, name), value) in columns.iter_mut().zip(KEPT_COLUMNS).zip(&cell.values) {
                column.push(&settled(survey, cell.cell, name, value));
            }
            let number = survey.cells.file.get(cell.cell as usize).copied().unwrap_or(0);
            source.push(survey.files.get(number as usize).map_or("", |f| &f.report.file));
            let mut two = cell.best.iter().filter(|(set, _)| parts.kept.contains(set)).map(|(set, _)| *set);
            let two = [two.next(), two.next()];
            for (set, counts) in two.iter().zip([&mut tally.first, &mut tally.second]) {
                if let Some(set) = set
                    && let Some(count) = counts.get_mut(*set as usize)
                {
                    *count += 1;
                }
            }
            let words =
                two.map(|set| set.and_then(|set| parts.sets.get(set as usize)).map_or("", String::as_str));
            for (column, word) in pathways.iter_mut().zip(words) {
                column.push(word);
            }
            both.push(&words.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join("|"));
        }
    }
    let n = rows.finish()?;
    let mut frame = Frame { index_name: "_index".into(), index: names, columns: Vec::new() };
    let mut add = |name: &str, column: &Growing| {
        if !column.is_empty() {
            let values = if name == "is_primary_data" { column.truth_values() } else { column.values() };
            frame.columns.push(Column { name: name.to_owned(), values });
        }
    };
    for (column, name) in columns.iter().zip(KEPT_COLUMNS) {
        add(name, column);
    }
    add("source_file", &source);
    let [first, second] = &pathways;
    add("pathway1", first);
    add("pathway2", second);
    add("pathways", &both);
    file.frame("obs", &frame, &["description"])?;
    drop(frame);
    write_descriptions(&file, n, &columns, &pathways, tally, watch)?;
    file.frame("var", &genes(survey)?, &[])?;
    file.uns(&[("organism", "Homo sapiens"), ("cell2text_dataset", parts.plan), ("split", split.name())])?;
    file.finish()?;
    let distinct = |name: &str| {
        let column = KEPT_COLUMNS.iter().position(|n| *n == name).and_then(|at| columns.get(at));
        column.map_or(0, |c| c.words.len())
    };
    Ok(Assembled {
        cells: n,
        donors: distinct("donor_id"),
        cell_types: distinct("cell_type_ontology_term_id"),
    })
}

fn write_descriptions(
    file: &NewAnnData,
    n: usize,
    columns: &[Growing],
    pathways: &[Growing; 2],
    tally: &mut Tally,
    watch: &Watch,
) -> Result<()> {
    let of = |name: &str, row: usize| {
        let column = KEPT_COLUMNS.iter().position(|n| *n == name).and_then(|at| columns.get(at));
        column.map_or("", |c| c.at(row))
    };
    let mut texts = file.texts("obs/description", n)?;
    for row in 0..n {
        if row % 1024 == 0 {
            watch.step("Writing descriptions", row as u64, Some(n as u64))?;
        }
        let tissue = of("tissue", row);
        let text = description(&Told {
            cell_type: of("cell_type_ontology_term_id", row),
            tissue: if tissue.is_empty() { of("tissue_general", row) } else { tissue },
            disease: of("disease", row),
            sex: of("sex", row),
            development_stage: of("development_stage", row),
            pathways: [pathways[0].at(row), pathways[1].at(row)],
        })?;
        tally.count_text(&text)?;
        texts.push(&text)?;
    }
    texts.finish()
}

/// A cell's name; told apart by its file where there are several.
fn cell_name(survey: &Survey, cell: &BlockCell) -> String {
    match survey.cells.file.get(cell.cell as usize) {
        Some(file) if survey.files.len() > 1 => format!("{}-{}", cell.name, file + 1),
        _ => cell.name.clone(),
    }
}

/// The value of a kept column: what the first pass made of it where that decided, else what the file says.
fn settled(survey: &Survey, cell: u32, column: &str, value: &str) -> String {
    let at = cell as usize;
    let of = |numbers: &[u32], words: &super::survey::Words| {
        numbers.get(at).map_or_else(String::new, |number| words.word(*number).to_owned())
    };
    let cells = &survey.cells;
    match column {
        "cell_type_ontology_term_id" => of(&cells.cell_type, &survey.cell_types),
        "cell_type" if value.is_empty() => {
            let id = of(&cells.cell_type, &survey.cell_types);
            Ontology::builtin().ok().and_then(|o| o.term(&id)).map_or_else(|| id.clone(), |t| t.label.clone())
        }
        "disease" => of(&cells.disease, &survey.diseases),
        "donor_id" => of(&cells.donor, &survey.donors),
        _ => value.to_owned(),
    }
}

fn genes(survey: &Survey) -> Result<Frame> {
    let table = GeneTable::builtin()?;
    let symbol = |id: &String| {
        let known = table.by_ensembl(id).map(|gene| table.symbol(gene).to_owned());
        Some(known.filter(|s| !s.is_empty()).unwrap_or_else(|| id.clone()))
    };
    let symbols = survey.genes.iter().map(symbol).collect();
    Ok(Frame {
        index_name: "_index".into(),
        index: survey.genes.clone(),
        columns: vec![Column { name: "feature_name".into(), values: Values::Text(symbols) }],
    })
}
