//! Predictions and labels as columns of obs in a copy of the file they were made for.
//!
//! The columns are those of the table ([`super::write_csv`]): a copy holds what joining the table to obs gives. Labels
//! become categoricals, the score a number, long texts texts; a cell that was not described has missing values, and
//! empty texts.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::entries::{COLUMNS, Entry, UNASSIGNED, UNKNOWN, entries, meanings_of_flags};
use super::provenance::{InputFile, Runs, crate_version, utc};
use super::table::Annotation;
use crate::anndata::{AnnData, Column, Values, same_file};
use crate::error::Problem;
use crate::ontology::Ontology;
use crate::progress::Watch;
use crate::{Error, Result};

/// Columns of long or mostly different texts.
const LONG: [&str; 4] = ["c2t_other_cell_types", "c2t_pathways", "c2t_description", "c2t_evidence_genes"];

/// A column of labels given by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandLabels {
    /// Its name; in obs it becomes `annotation_<name>`.
    pub name: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// The term of the Cell Ontology of each label, where one was chosen.
    pub terms: Vec<Option<String>>,
    /// The label of each cell, `[n_obs]`.
    pub codes: Vec<Option<u32>>,
}

/// What [`write_copy`] writes.
#[derive(Debug)]
pub struct CopyRequest<'a> {
    /// The described cells, by row of obs.
    pub annotations: &'a BTreeMap<usize, Annotation>,
    /// Labels given by hand.
    pub labels: &'a [HandLabels],
    /// Whether columns of the same names are written over in the copy.
    pub replace: bool,
    /// Flags that hold for every described cell.
    pub flags: &'a [&'a str],
    /// What else the provenance should say of the data.
    pub data: Value,
    /// The path of the source as the user knows it; `None` for the built-in sample.
    pub source: Option<&'a Path>,
}

/// Copies the file behind `data` to `path` with the annotations in it; see [`crate::anndata::FileCopy`]. Returns the
/// number of columns written.
///
/// # Errors
/// [`Error::Request`] where there is nothing to write, or where a column of the same name is there;
/// what copying and writing fail with; [`Error::Cancelled`]. Then nothing is at `path` that was not there before.
pub fn write_copy(path: &Path, data: &AnnData, request: &CopyRequest<'_>, watch: &Watch) -> Result<usize> {
    if path.is_dir() {
        return Err(Error::request(
            Problem::new("the copy to write", "a folder", "a file", "Give a file name, as cells.h5ad.")
                .in_file(path),
        ));
    }
    let labels = label_columns(request.labels);
    let described = if request.annotations.is_empty() { &[][..] } else { &COLUMNS[..] };
    let names: Vec<String> = described
        .iter()
        .map(|name| (*name).to_owned())
        .chain(labels.iter().map(|c| c.name.clone()))
        .collect();
    if names.is_empty() {
        return Err(Error::request(Problem::new(
            "the copy",
            "neither a described cell nor a label",
            "at least one",
            "Describe or label some cells first.",
        )));
    }
    data.check_additions(&names, request.replace)?;
    let copy = data.begin_copy(path, watch)?;
    let input = match request.source {
        // What was copied is a conversion of it, in a file that goes again.
        Some(source) if !same_file(source, data.path()) => InputFile::hash(source, watch)?,
        _ => InputFile {
            path: request.source.map(Path::to_path_buf),
            sha256: copy.source_sha256().to_owned(),
            bytes: copy.source_bytes(),
            modified: data.path().metadata().and_then(|m| m.modified()).ok().map(utc),
        },
    };
    let mut runs = Runs::default();
    let mut columns = described_columns(request, data.n_obs(), &input, &mut runs)?;
    columns.extend(labels);
    let before = data.provenance_before().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let provenance = json!({
        "format": "cell2text-provenance-1",
        "program": { "name": "cell2text", "version": crate_version() },
        "created": utc(SystemTime::now()),
        "command": std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        "copy": {
            "file": path.file_name().map(|name| name.to_string_lossy().into_owned()),
            "columns": names,
            "described_cells": request.annotations.len(),
            "flags": meanings_of_flags(),
        },
        "input": input.describe(),
        "data": request.data,
        "runs": runs.describe(),
        "before": before,
    });
    copy.finish(&columns, &provenance.to_string(), watch)?;
    Ok(columns.len())
}

/// Refuses a file whose copy could not take the columns of described cells; better known before hours of work.
///
/// # Errors
/// As [`write_copy`].
pub fn check_copy(source: &Path, replace: bool) -> Result<()> {
    let data = AnnData::open(source, &Watch::silent())?;
    data.check_additions(&COLUMNS.map(str::to_owned), replace)
}

/// The columns of the table over all cells.
fn described_columns(
    request: &CopyRequest<'_>,
    n_obs: usize,
    input: &InputFile,
    runs: &mut Runs,
) -> Result<Vec<Column>> {
    if request.annotations.is_empty() {
        return Ok(Vec::new());
    }
    let ontology = Ontology::builtin()?;
    let mut columns: Vec<Growing> = COLUMNS.iter().map(|name| Growing::new(name, n_obs)).collect();
    for (cell, annotation) in request.annotations {
        let run_id = runs.id(&annotation.run, input);
        let entries = entries(annotation, request.flags, &run_id, ontology);
        for (column, entry) in columns.iter_mut().zip(entries) {
            column.set(*cell, entry);
        }
    }
    Ok(columns.into_iter().zip(COLUMNS).map(|(column, name)| column.finish(name)).collect())
}

/// A column being filled.
enum Growing {
    Labels { codes: Vec<i32>, categories: Vec<String>, places: HashMap<String, i32> },
    Texts(Vec<Option<String>>),
    Scores(Vec<f64>),
}

impl Growing {
    fn new(name: &str, n_obs: usize) -> Self {
        if LONG.contains(&name) {
            Self::Texts(vec![Some(String::new()); n_obs])
        } else if name.ends_with("_score") {
            Self::Scores(vec![f64::NAN; n_obs])
        } else {
            Self::Labels { codes: vec![-1; n_obs], categories: Vec::new(), places: HashMap::new() }
        }
    }

    fn set(&mut self, cell: usize, entry: Entry) {
        match (self, entry) {
            (Self::Labels { codes, categories, places }, Entry::Text(text)) => {
                let next = categories.len() as i32;
                let code = *places.entry(text).or_insert_with_key(|text| {
                    categories.push(text.clone());
                    next
                });
                if let Some(place) = codes.get_mut(cell) {
                    *place = code;
                }
            }
            (Self::Texts(texts), Entry::Text(text)) => {
                if let Some(place) = texts.get_mut(cell) {
                    *place = Some(text);
                }
            }
            (Self::Scores(scores), Entry::Score(Some(score))) => {
                if let Some(place) = scores.get_mut(cell) {
                    *place = f64::from(score);
                }
            }
            _ => {}
        }
    }

    fn finish(self, name: &str) -> Column {
        let values = match self {
            Self::Labels { codes, categories, .. } => in_alphabetical_order(&codes, &categories),
            Self::Texts(texts) => Values::Text(texts),
            Self::Scores(scores) => Values::Number(scores),
        };
        Column { name: name.to_owned(), values }
    }
}

/// Categories in the order of the alphabet, as pandas makes them.
fn in_alphabetical_order(codes: &[i32], categories: &[String]) -> Values {
    let mut order: Vec<usize> = (0..categories.len()).collect();
    order.sort_by(|a, b| categories.get(*a).cmp(&categories.get(*b)));
    let mut place = vec![-1; categories.len()];
    for (new, old) in (0i32..).zip(&order) {
        if let Some(place) = place.get_mut(*old) {
            *place = new;
        }
    }
    let of = |code: &i32| usize::try_from(*code).ok().and_then(|code| place.get(code).copied()).unwrap_or(-1);
    Values::Categorical {
        codes: codes.iter().map(of).collect(),
        categories: order.iter().filter_map(|at| categories.get(*at).cloned()).collect(),
        ordered: false,
    }
}

/// Labels as columns: `annotation_<name>` and, where any label has a term, `annotation_<name>_ontology_term_id`. Cells
/// without a label are `unassigned`, labels without a term `unknown`.
fn label_columns(labels: &[HandLabels]) -> Vec<Column> {
    let mut columns = Vec::new();
    for given in labels {
        let column = |name: String, words: &[String], rest: &str| {
            let n = words.len() as i32;
            let is_partial = given.codes.iter().any(|code| code.is_none_or(|c| c as i32 >= n));
            let mut categories = words.to_vec();
            if is_partial {
                categories.push(rest.to_owned());
            }
            let codes =
                given.codes.iter().map(|code| code.map_or(n, |c| (c as i32).min(n))).collect::<Vec<_>>();
            let (codes, categories) = merged(&codes, &categories);
            Column { name, values: in_alphabetical_order(&codes, &categories) }
        };
        let name = format!("annotation_{}", given.name);
        columns.push(column(name.clone(), &given.labels, UNASSIGNED));
        if given.terms.iter().any(Option::is_some) {
            let terms: Vec<String> =
                given.terms.iter().map(|term| term.clone().unwrap_or_else(|| UNKNOWN.to_owned())).collect();
            columns.push(column(format!("{name}_ontology_term_id"), &terms, UNKNOWN));
        }
    }
    columns
}

/// The same labels with each word once: categories must differ.
fn merged(codes: &[i32], words: &[String]) -> (Vec<i32>, Vec<String>) {
    let mut categories: Vec<String> = Vec::new();
    let places: Vec<i32> = words
        .iter()
        .map(|word| match categories.iter().position(|known| known == word) {
            Some(at) => at as i32,
            None => {
                categories.push(word.clone());
                categories.len() as i32 - 1
            }
        })
        .collect();
    let of = |code: &i32| usize::try_from(*code).ok().and_then(|at| places.get(at).copied()).unwrap_or(-1);
    (codes.iter().map(of).collect(), categories)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_10x_folder_names_the_folder_and_overwrites_none_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let matrix = "%%MatrixMarket matrix coordinate integer general\n2 3 3\n1 1 5\n2 2 1\n1 3 2\n";
        std::fs::write(file("matrix.mtx"), matrix).unwrap();
        std::fs::write(file("features.tsv"), "ENSG00000167286\tCD3D\tx\nENSG00000090382\tLYZ\tx\n").unwrap();
        std::fs::write(file("barcodes.tsv"), "A-1\nB-1\nC-1\n").unwrap();
        let silent = Watch::silent();
        let data = AnnData::open(folder.path(), &silent).unwrap();
        let labels = [HandLabels {
            name: "mine".into(),
            labels: vec!["T cell".into()],
            terms: vec![None],
            codes: vec![Some(0), None, None],
        }];
        let request = CopyRequest {
            annotations: &BTreeMap::new(),
            labels: &labels,
            replace: false,
            flags: &[],
            data: Value::Null,
            source: Some(folder.path()),
        };
        let message = write_copy(&file("matrix.mtx"), &data, &request, &silent).unwrap_err().to_string();
        assert!(message.contains("never overwritten"), "{message}");
        assert_eq!(std::fs::read_to_string(file("matrix.mtx")).unwrap(), matrix);
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("copy.h5ad");
        write_copy(&path, &data, &request, &silent).unwrap();
        let copy = AnnData::open(&path, &silent).unwrap();
        let provenance: Value = serde_json::from_str(&copy.provenance_before().unwrap()).unwrap();
        let hash = InputFile::hash(folder.path(), &silent).unwrap();
        assert_eq!(provenance["input"]["sha256"], hash.sha256);
        assert_eq!(provenance["input"]["bytes"], hash.bytes);
    }
}
