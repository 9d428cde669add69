//! Labels given by hand, read from the table that the window exports.

use std::collections::HashMap;
use std::path::Path;

use super::entries::{UNASSIGNED, UNKNOWN};
use super::write_copy::HandLabels;
use crate::error::Problem;
use crate::{Error, Result};

const TERMS: &str = "_ontology_term_id";
const PREFIX: &str = "annotation_";

/// Reads a table of labels: the first column names cells, each other one gives their labels, and one that ends in
/// `_ontology_term_id` the terms of those labels. `names` are the cells of the data set; those that the table leaves out
/// have no label.
///
/// # Errors
/// [`Error::Request`] where the table cannot be read, has no labels, or names a cell that is not there or not the only
/// one of its name.
pub fn read_labels(path: &Path, names: &[String]) -> Result<Vec<HandLabels>> {
    let refuse = |element: &str, found: String, expected: &str, remedy: &str| {
        Error::request(Problem::new(element, found, expected, remedy).in_file(path))
    };
    let unread = |e: csv::Error| {
        refuse(
            "the table of labels",
            e.to_string(),
            "a CSV table",
            "Export it with Export labels in the window.",
        )
    };
    let mut reader = csv::ReaderBuilder::new().from_path(path).map_err(unread)?;
    let header: Vec<String> = reader.headers().map_err(unread)?.iter().map(str::to_owned).collect();
    let mut columns: Vec<(usize, Option<usize>, HandLabels)> = Vec::new();
    for (at, name) in header.iter().enumerate().skip(1) {
        let is_terms = name.strip_suffix(TERMS).is_some_and(|of| header.iter().any(|other| other == of));
        if !is_terms {
            let terms = header.iter().position(|other| other.strip_suffix(TERMS) == Some(name));
            let name = name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
            let codes = vec![None; names.len()];
            columns.push((at, terms, HandLabels { name, labels: Vec::new(), terms: Vec::new(), codes }));
        }
    }
    if columns.is_empty() {
        return Err(refuse(
            "the table of labels",
            format!("{} columns", header.len()),
            "the cells' names and at least one column of labels",
            "Export it with Export labels in the window.",
        ));
    }
    let mut rows: HashMap<&str, Option<usize>> = HashMap::with_capacity(names.len());
    for (row, name) in names.iter().enumerate() {
        rows.entry(name).and_modify(|row| *row = None).or_insert(Some(row));
    }
    for (line, record) in reader.records().enumerate() {
        let record = record.map_err(unread)?;
        let name = record.get(0).unwrap_or_default();
        let row = match rows.get(name) {
            Some(Some(row)) => *row,
            // Cells of one name are told apart by their order, where the table has it.
            Some(None) if names.get(line).is_some_and(|at| at == name) => line,
            found => {
                return Err(refuse(
                    &format!("cell \"{name}\""),
                    if found.is_some() { "several cells of that name".into() } else { "no such cell".into() },
                    "a cell of the file",
                    "Check that the labels belong to this file.",
                ));
            }
        };
        for (at, terms, column) in &mut columns {
            let label = record.get(*at).unwrap_or_default();
            if label.is_empty() || label == UNASSIGNED {
                continue;
            }
            let term =
                terms.and_then(|at| record.get(at)).filter(|term| !term.is_empty() && *term != UNKNOWN);
            let known = column.labels.iter().position(|known| known == label);
            let code = known.unwrap_or_else(|| {
                column.labels.push(label.to_owned());
                column.terms.push(term.map(str::to_owned));
                column.labels.len() - 1
            });
            if let Some(place) = column.codes.get_mut(row) {
                *place = Some(code as u32);
            }
        }
    }
    Ok(columns.into_iter().map(|(_, _, column)| column).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, names: &[&str]) -> Result<Vec<HandLabels>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_labels(file.path(), &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_exported_table_is_read_back_whatever_its_order() {
        let text = "\"index\",\"annotation_type\",\"annotation_type_ontology_term_id\",\"batch\"\n\
                    \"c2\",\"T, \"\"helper\"\"\",\"CL:0000912\",\"unassigned\"\n\
                    \"c1\",\"odd\",\"unknown\",\"1\"\n";
        let found = read(text, &["c1", "c2", "c3"]).unwrap();
        let [labels, batch] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((labels.name.as_str(), batch.name.as_str()), ("type", "batch"));
        assert_eq!(labels.labels, ["T, \"helper\"", "odd"]);
        assert_eq!(labels.terms, [Some("CL:0000912".to_owned()), None]);
        assert_eq!(labels.codes, [Some(1), Some(0), None]);
        assert_eq!(batch.codes, [Some(0), None, None]);
    }

    #[test]
    fn labels_of_other_cells_and_tables_without_labels_are_refused() {
        for (text, word) in [
            ("i,x\nc9,a\n", "c9"),
            ("i,x\nd,a\n", "several cells"),
            ("i\nc1\n", "at least one column"),
            ("i,x\nc1,a,b\n", "CSV"),
        ] {
            let error = read(text, &["c1", "d", "d"]).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        // Where the order is that of the file, cells of one name are told apart.
        assert_eq!(
            read("i,x\nc1,a\nd,b\nd,a\n", &["c1", "d", "d"]).unwrap()[0].codes,
            [Some(0), Some(1), Some(0)]
        );
    }
}
