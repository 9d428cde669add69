//! Labels that the user gives to cells by hand, and the table they are exported as.

use std::sync::Arc;

use eframe::egui::Color32;
use engine::annotate::HandLabels;

use super::document::{Refusal, gone, usable_name};
use super::palette;
use super::selection::CellSet;

/// The label of a cell that was given none; CellTypist's word, which pandas does not take for a missing value.
pub const UNASSIGNED: &str = "unassigned";
/// The term of a category without one; the word of CELLxGENE's schema.
const UNKNOWN: &str = "unknown";

/// One label and the cells that have it.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelCategory {
    /// Its name, unique in the column.
    pub name: String,
    /// Its colour, sRGB.
    pub colour: [u8; 3],
    /// Its term in the Cell Ontology, as `CL:0000084`, where one was chosen.
    pub term: Option<String>,
    /// Its cells. No cell is in two categories of one column.
    pub cells: Arc<CellSet>,
}

/// A column of labels.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelColumn {
    /// Its name, unique in the session.
    pub name: String,
    /// Its labels, in the order they were made.
    pub categories: Vec<LabelCategory>,
}

impl LabelColumn {
    /// The label of a cell.
    pub fn label(&self, cell: usize) -> Option<&LabelCategory> {
        self.categories.iter().find(|c| c.cells.contains(cell))
    }

    /// Cells with a label.
    pub fn labelled(&self) -> usize {
        self.categories.iter().map(|c| c.cells.len()).sum()
    }

    /// Of each cell the number of its category, `[n_obs]`.
    pub fn codes(&self, n_obs: usize) -> Vec<Option<u32>> {
        let mut codes = vec![None; n_obs];
        for (number, category) in self.categories.iter().enumerate() {
            for cell in category.cells.iter() {
                if let Some(code) = codes.get_mut(cell) {
                    *code = Some(number as u32);
                }
            }
        }
        codes
    }

    /// The column as the engine writes it into a copy of the file.
    pub fn for_engine(&self, n_obs: usize) -> HandLabels {
        HandLabels {
            name: self.name.clone(),
            labels: self.categories.iter().map(|category| category.name.clone()).collect(),
            terms: self.categories.iter().map(|category| category.term.clone()).collect(),
            codes: self.codes(n_obs),
        }
    }

    /// `name`, where no other category has it.
    pub(super) fn free_name(&self, name: &str, but: Option<usize>) -> Result<String, Refusal> {
        let name = usable_name(name, "label")?;
        if name == UNASSIGNED {
            return Err(format!("“{UNASSIGNED}” stands for cells without a label. Choose another name."));
        }
        let taken = self.categories.iter().enumerate().any(|(i, c)| c.name == name && Some(i) != but);
        if taken {
            Err(format!("There is a label called “{name}” already. Merge the two, or choose another name."))
        } else {
            Ok(name)
        }
    }

    /// The first colour of the palette that no category has.
    pub(super) fn next_colour(&self) -> [u8; 3] {
        let rgb = |c: Color32| [c.r(), c.g(), c.b()];
        let colours = palette::categorical(self.categories.len() + 1);
        let fresh = colours.iter().map(|c| rgb(*c)).find(|c| self.categories.iter().all(|k| k.colour != *c));
        fresh.or_else(|| colours.last().map(|c| rgb(*c))).unwrap_or_default()
    }

    /// Gives `cells` a label, or takes theirs away.
    pub(super) fn assign(&mut self, cells: &CellSet, category: Option<usize>) -> Result<(), Refusal> {
        if category.is_some_and(|k| k >= self.categories.len()) {
            return Err(gone());
        }
        for (number, found) in self.categories.iter_mut().enumerate() {
            let after = if Some(number) == category {
                found.cells.union(cells)
            } else {
                found.cells.difference(cells)
            };
            // What does not change stays shared with the steps before.
            if after != *found.cells {
                found.cells = Arc::new(after);
            }
        }
        Ok(())
    }

    /// Moves all cells of `from` into `into` and forgets `from`.
    pub(super) fn merge(&mut self, from: usize, into: usize) -> Result<(), Refusal> {
        if from == into {
            return Err("A label cannot be merged with itself.".into());
        }
        let cells = self.categories.get(from).ok_or_else(gone)?.cells.clone();
        let kept = self.categories.get_mut(into).ok_or_else(gone)?;
        kept.cells = Arc::new(kept.cells.union(&cells));
        self.categories.remove(from);
        Ok(())
    }
}

/// Whether pandas or R take `name` for a missing value when they read a table.
pub fn reads_as_missing(name: &str) -> bool {
    const WORDS: [&str; 15] = [
        "", "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan", "<na>", "n/a",
        "na", "nan", "null", "none",
    ];
    WORDS.contains(&name.trim().to_lowercase().as_str())
}

/// The labels as CSV: one header row, the first column is the index of obs under its own name, all text quoted
/// (RFC 4180), lines end in LF.
///
/// A column of labels called `x` becomes `annotation_x` and, where any label has a term of the Cell Ontology,
/// `annotation_x_ontology_term_id`.
pub fn labels_csv(index_name: &str, names: &[String], columns: &[Arc<LabelColumn>]) -> String {
    let index_name = if index_name.is_empty() || index_name == "_index" { "index" } else { index_name };
    let has_terms: Vec<bool> =
        columns.iter().map(|c| c.categories.iter().any(|k| k.term.is_some())).collect();
    let codes: Vec<Vec<Option<u32>>> = columns.iter().map(|c| c.codes(names.len())).collect();
    let mut header = vec![quoted(index_name)];
    for (column, terms) in columns.iter().zip(&has_terms) {
        header.push(quoted(&format!("annotation_{}", column.name)));
        if *terms {
            header.push(quoted(&format!("annotation_{}_ontology_term_id", column.name)));
        }
    }
    let mut text = header.join(",");
    text.push('\n');
    for (cell, name) in names.iter().enumerate() {
        text += &quoted(name);
        for ((column, codes), terms) in columns.iter().zip(&codes).zip(&has_terms) {
            let code = codes.get(cell).copied().flatten();
            let category = code.and_then(|code| column.categories.get(code as usize));
            text.push(',');
            text += &quoted(category.map_or(UNASSIGNED, |c| c.name.as_str()));
            if *terms {
                text.push(',');
                text += &quoted(category.and_then(|c| c.term.as_deref()).unwrap_or(UNKNOWN));
            }
        }
        text.push('\n');
    }
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\0', "").replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(name: &str, term: Option<&str>, cells: &[usize]) -> LabelCategory {
        LabelCategory {
            name: name.into(),
            colour: [0; 3],
            term: term.map(str::to_owned),
            cells: Arc::new(CellSet::from_cells(4, cells.iter().copied())),
        }
    }

    #[test]
    fn a_cell_has_one_label_and_the_last_one_given_counts() {
        let mut column = LabelColumn {
            name: "x".into(),
            categories: vec![category("a", None, &[0, 1]), category("b", None, &[2])],
        };
        column.assign(&CellSet::from_cells(4, [1, 3]), Some(1)).unwrap();
        assert_eq!(column.codes(4), [Some(0), Some(1), Some(1), Some(1)]);
        assert_eq!(column.label(3).unwrap().name, "b");
        column.assign(&CellSet::from_cells(4, [0, 3]), None).unwrap();
        assert_eq!(column.codes(4), [None, Some(1), Some(1), None]);
        assert_eq!(column.labelled(), 2);
        column.merge(1, 0).unwrap();
        assert_eq!(column.codes(4), [None, Some(0), Some(0), None]);
        assert!(column.merge(0, 0).is_err() && column.merge(0, 7).is_err());
        assert!(column.assign(&CellSet::all(4), Some(9)).is_err());
    }

    #[test]
    fn new_labels_get_colours_of_their_own() {
        let mut column = LabelColumn { name: "x".into(), categories: Vec::new() };
        for i in 0..30 {
            let colour = column.next_colour();
            assert!(column.categories.iter().all(|c| c.colour != colour), "{i}");
            column.categories.push(LabelCategory { colour, ..category(&i.to_string(), None, &[]) });
        }
    }

    #[test]
    fn the_table_has_every_cell_all_text_quoted_and_terms_where_there_are_any() {
        let names: Vec<String> = ["c1", "c\"2", "c,3", "c4"].iter().map(|s| (*s).to_owned()).collect();
        let columns = [
            Arc::new(LabelColumn {
                name: "type".into(),
                categories: vec![
                    category("T, \"helper\"", Some("CL:0000912"), &[0]),
                    category("odd", None, &[1]),
                ],
            }),
            Arc::new(LabelColumn { name: "batch".into(), categories: vec![category("1", None, &[3])] }),
        ];
        assert_eq!(
            labels_csv("_index", &names, &columns),
            "\"index\",\"annotation_type\",\"annotation_type_ontology_term_id\",\"annotation_batch\"\n\
             \"c1\",\"T, \"\"helper\"\"\",\"CL:0000912\",\"unassigned\"\n\
             \"c\"\"2\",\"odd\",\"unknown\",\"unassigned\"\n\
             \"c,3\",\"unassigned\",\"unknown\",\"unassigned\"\n\
             \"c4\",\"unassigned\",\"unknown\",\"1\"\n"
        );
        assert!(labels_csv("barcode", &names, &[]).starts_with("\"barcode\"\n\"c1\"\n"));
    }
}
