//! What the user makes of a data set, and every way to change it.
//!
//! A [`Document`] is all that undo covers, that is saved by itself, and that a session file holds: sets of cells, labels
//! given by hand, and colours of categories. An [`Edit`] is one change; it is refused with a sentence for the user, or
//! it is done whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::annotating::{self, LabelCategory, LabelColumn};
use super::map::grouped;
use super::selection::{CellSet, Combine, NamedSet, Sets};

/// Letters of a name.
pub const MAX_NAME: usize = 200;

/// Colours the user gave to categories of obs, by column and category.
pub type CategoryColours = BTreeMap<String, BTreeMap<String, [u8; 3]>>;

/// What the user made of the data set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    /// The selection and the named sets.
    pub sets: Sets,
    /// Columns of labels given by hand, in the order they were made.
    pub labels: Vec<Arc<LabelColumn>>,
    /// Colours of the categories of obs, where the user chose them.
    pub colours: Arc<CategoryColours>,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Selects cells. `what` names the step, as "lasso".
    Select {
        /// How they were chosen.
        what: String,
        /// They.
        cells: Arc<CellSet>,
        /// How they are joined with the selection.
        combine: Combine,
    },
    /// Selects what was not selected.
    Invert,
    /// Keeps the selection as a named set.
    SaveSet(String),
    /// Gives a named set another name.
    RenameSet(usize, String),
    /// Puts the selection in the place of a named set's cells.
    ReplaceSet(usize),
    /// Forgets a named set.
    DeleteSet(usize),
    /// Begins a column of labels.
    NewColumn(String),
    /// Gives a column of labels another name.
    RenameColumn(usize, String),
    /// Forgets a column of labels.
    DeleteColumn(usize),
    /// Begins a category.
    NewCategory {
        /// Number of the column.
        column: usize,
        /// Its name.
        name: String,
        /// Its term in the Cell Ontology, where one was chosen.
        term: Option<String>,
    },
    /// Gives a category another name, and the term that goes with it.
    RenameCategory {
        /// Number of the column.
        column: usize,
        /// Number of the category.
        category: usize,
        /// The name.
        name: String,
        /// The term, where one was chosen.
        term: Option<String>,
    },
    /// Gives a category of labels another colour.
    ColourLabel {
        /// Number of the column.
        column: usize,
        /// Number of the category.
        category: usize,
        /// The colour, sRGB.
        colour: [u8; 3],
    },
    /// Moves the cells of one category into another and forgets the first.
    Merge {
        /// Number of the column.
        column: usize,
        /// The category that goes.
        from: usize,
        /// The category that stays.
        into: usize,
    },
    /// Forgets a category; its cells have no label then.
    DeleteCategory {
        /// Number of the column.
        column: usize,
        /// Number of the category.
        category: usize,
    },
    /// Gives the selected cells a label, or none.
    Assign {
        /// Number of the column.
        column: usize,
        /// Number of the category; `None` takes the label away.
        category: Option<usize>,
    },
    /// Gives a category of obs another colour; `None` gives its own back.
    ColourCategory {
        /// Name of the column.
        column: String,
        /// Name of the category.
        category: String,
        /// The colour, sRGB.
        colour: Option<[u8; 3]>,
    },
}

/// Why an edit was not done, for the user.
pub type Refusal = String;

impl Edit {
    /// The key under which changes of one drag become one step.
    pub fn drag(&self) -> Option<String> {
        match self {
            Self::Select { what, .. } if what == RANGE => Some(what.clone()),
            Self::ColourLabel { column, category, .. } => Some(format!("label {column} {category}")),
            Self::ColourCategory { column, category, colour: Some(_) } => {
                Some(format!("colour {column}\u{0}{category}"))
            }
            _ => None,
        }
    }

    /// Its name in the history, as it follows the word Undo.
    pub fn name(&self, before: &Document) -> String {
        let set = |i: &usize| before.sets.named.get(*i).map_or("", |s| s.name.as_str()).to_owned();
        let column = |i: &usize| before.labels.get(*i).map_or("", |c| c.name.as_str()).to_owned();
        let category = |i: &usize, k: &usize| {
            before
                .labels
                .get(*i)
                .and_then(|c| c.categories.get(*k))
                .map_or("", |c| c.name.as_str())
                .to_owned()
        };
        match self {
            Self::Select { what, .. } => what.clone(),
            Self::Invert => "invert selection".into(),
            Self::SaveSet(name) => format!("save set {name}"),
            Self::RenameSet(i, name) => format!("rename set {} to {name}", set(i)),
            Self::ReplaceSet(i) => format!("replace set {}", set(i)),
            Self::DeleteSet(i) => format!("delete set {}", set(i)),
            Self::NewColumn(name) => format!("new labels {name}"),
            Self::RenameColumn(i, name) => format!("rename labels {} to {name}", column(i)),
            Self::DeleteColumn(i) => format!("delete labels {}", column(i)),
            Self::NewCategory { name, .. } => format!("new label {name}"),
            Self::RenameCategory { column, category: k, name, .. } => {
                format!("rename label {} to {name}", category(column, k))
            }
            Self::ColourLabel { column, category: k, .. } => format!("colour of {}", category(column, k)),
            Self::Merge { column, from, into } => {
                format!("merge {} into {}", category(column, from), category(column, into))
            }
            Self::DeleteCategory { column, category: k } => format!("delete label {}", category(column, k)),
            Self::Assign { column, category: Some(k) } => {
                let cells = grouped(before.sets.current.len() as i64);
                format!("label {cells} cells as {}", category(column, k))
            }
            Self::Assign { column: i, category: None } => format!("clear labels of {}", column(i)),
            Self::ColourCategory { category, .. } => format!("colour of {category}"),
        }
    }
}

/// The name of the step that selects by a range of numbers.
pub const RANGE: &str = "select range";

impl Document {
    /// Nothing selected, nothing labelled, among `n_obs` cells.
    pub fn new(n_obs: usize) -> Self {
        Self {
            sets: Sets { current: Arc::new(CellSet::none(n_obs)), named: Vec::new() },
            labels: Vec::new(),
            colours: Arc::default(),
        }
    }

    /// Whether there is nothing in it that would be missed; a selection alone would not.
    pub fn is_blank(&self) -> bool {
        self.sets.named.is_empty() && self.labels.is_empty() && self.colours.is_empty()
    }

    /// Does `edit`.
    ///
    /// # Errors
    /// Where it cannot be done, with a sentence for the user; nothing is changed then.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), Refusal> {
        match edit {
            Edit::Select { cells, combine, .. } => {
                self.sets.current = combine.join(&self.sets.current, cells);
            }
            Edit::Invert => self.sets.current = Arc::new(self.sets.current.inverted()),
            Edit::SaveSet(name) => {
                let name = self.set_name(name, None)?;
                self.sets.named.push(NamedSet { name, cells: self.sets.current.clone() });
            }
            Edit::RenameSet(i, name) => {
                let name = self.set_name(name, Some(*i))?;
                self.sets.named.get_mut(*i).ok_or_else(gone)?.name = name;
            }
            Edit::ReplaceSet(i) => {
                let cells = self.sets.current.clone();
                self.sets.named.get_mut(*i).ok_or_else(gone)?.cells = cells;
            }
            Edit::DeleteSet(i) => {
                if *i >= self.sets.named.len() {
                    return Err(gone());
                }
                self.sets.named.remove(*i);
            }
            Edit::NewColumn(name) => {
                let name = self.column_name(name, None)?;
                self.labels.push(Arc::new(LabelColumn { name, categories: Vec::new() }));
            }
            Edit::RenameColumn(i, name) => {
                let name = self.column_name(name, Some(*i))?;
                self.column(*i)?.name = name;
            }
            Edit::DeleteColumn(i) => {
                if *i >= self.labels.len() {
                    return Err(gone());
                }
                self.labels.remove(*i);
            }
            Edit::NewCategory { column, name, term } => {
                let n_obs = self.sets.current.n_obs();
                let column = self.column(*column)?;
                let name = column.free_name(name, None)?;
                let colour = column.next_colour();
                let cells = Arc::new(CellSet::none(n_obs));
                column.categories.push(LabelCategory { name, colour, term: term.clone(), cells });
            }
            Edit::RenameCategory { column, category, name, term } => {
                let column = self.column(*column)?;
                let name = column.free_name(name, Some(*category))?;
                let found = column.categories.get_mut(*category).ok_or_else(gone)?;
                found.name = name;
                found.term.clone_from(term);
            }
            Edit::ColourLabel { column, category, colour } => {
                self.column(*column)?.categories.get_mut(*category).ok_or_else(gone)?.colour = *colour;
            }
            Edit::Merge { column, from, into } => self.column(*column)?.merge(*from, *into)?,
            Edit::DeleteCategory { column, category } => {
                let column = self.column(*column)?;
                if *category >= column.categories.len() {
                    return Err(gone());
                }
                column.categories.remove(*category);
            }
            Edit::Assign { column, category } => {
                let cells = self.sets.current.clone();
                if cells.is_empty() {
                    return Err(
                        "No cells are selected. Select cells first, for example with the lasso.".into()
                    );
                }
                self.column(*column)?.assign(&cells, *category)?;
            }
            Edit::ColourCategory { column, category, colour } => {
                let colours = Arc::make_mut(&mut self.colours);
                match colour {
                    Some(colour) => {
                        colours.entry(column.clone()).or_default().insert(category.clone(), *colour);
                    }
                    None => {
                        if let Some(of_column) = colours.get_mut(column) {
                            of_column.remove(category);
                            if of_column.is_empty() {
                                colours.remove(column);
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn column(&mut self, number: usize) -> Result<&mut LabelColumn, Refusal> {
        self.labels.get_mut(number).map(Arc::make_mut).ok_or_else(gone)
    }

    fn set_name(&self, name: &str, but: Option<usize>) -> Result<String, Refusal> {
        let name = usable_name(name, "set")?;
        let taken = self.sets.named.iter().enumerate().any(|(i, s)| s.name == name && Some(i) != but);
        if taken {
            Err(format!("There is a set called “{name}” already. Choose another name."))
        } else {
            Ok(name)
        }
    }

    fn column_name(&self, name: &str, but: Option<usize>) -> Result<String, Refusal> {
        let name = usable_name(name, "column of labels")?;
        let taken = self.labels.iter().enumerate().any(|(i, c)| c.name == name && Some(i) != but);
        if taken {
            Err(format!("There are labels called “{name}” already. Choose another name."))
        } else {
            Ok(name)
        }
    }

    /// A name for a new set that is not taken.
    pub fn new_set_name(&self) -> String {
        free("Set", |name| self.sets.named.iter().any(|s| s.name == name))
    }

    /// A name for a new column that is not taken.
    pub fn new_column_name(&self) -> String {
        free("cell_type_by_hand", |name| self.labels.iter().any(|c| c.name == name))
    }

    /// The cells of a column of labels called `name`.
    pub fn label_column(&self, name: &str) -> Option<&Arc<LabelColumn>> {
        self.labels.iter().find(|c| c.name == name)
    }
}

/// `stem`, or `stem 2`, or so on: the first that is not taken.
fn free(stem: &str, taken: impl Fn(&str) -> bool) -> String {
    let numbered = |i: usize| match (i, stem.contains('_')) {
        (1, true) => stem.to_owned(),
        (i, true) => format!("{stem}_{i}"),
        (i, false) => format!("{stem} {i}"),
    };
    (1..).map(numbered).find(|name| !taken(name)).unwrap_or_default()
}

/// What is said when something that an edit names is not there.
pub(super) fn gone() -> Refusal {
    "It is not there any more.".into()
}

/// `name` without blanks around it, where it can be used.
///
/// # Errors
/// Where it is empty or too long.
pub fn usable_name(name: &str, of: &str) -> Result<String, Refusal> {
    let name = name.trim();
    if name.is_empty() {
        Err(format!("The {of} needs a name."))
    } else if name.chars().count() > MAX_NAME {
        Err(format!("The name is longer than {MAX_NAME} letters. Choose a shorter one."))
    } else if name.chars().any(char::is_control) {
        Err("The name holds a line break or another sign that cannot be seen. Take it out.".into())
    } else if annotating::reads_as_missing(name) {
        Err(format!("“{name}” would be read as a missing value by pandas and R. Choose another name."))
    } else {
        Ok(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::History;
    use super::*;
    use proptest::prelude::*;

    const N: usize = 150;

    fn cells() -> impl Strategy<Value = Arc<CellSet>> {
        prop::collection::vec(0..N, 0..40).prop_map(|cells| Arc::new(CellSet::from_cells(N, cells)))
    }

    fn combine() -> impl Strategy<Value = Combine> {
        prop::sample::select(vec![Combine::Replace, Combine::Add, Combine::Subtract, Combine::Intersect])
    }

    fn name() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["T cell", "B cell", "a", "b", "", "NA"]).prop_map(str::to_owned)
    }

    fn edit() -> impl Strategy<Value = Edit> {
        let term = || prop::option::of(Just("CL:0000084".to_owned()));
        let colour = || any::<[u8; 3]>();
        prop_oneof![
            4 => (cells(), combine())
                .prop_map(|(cells, combine)| Edit::Select { what: "lasso".into(), cells, combine }),
            1 => cells()
                .prop_map(|cells| Edit::Select { what: RANGE.into(), cells, combine: Combine::Replace }),
            1 => Just(Edit::Invert),
            2 => name().prop_map(Edit::SaveSet),
            1 => (0..3usize, name()).prop_map(|(i, name)| Edit::RenameSet(i, name)),
            1 => (0..3usize).prop_map(Edit::ReplaceSet),
            1 => (0..3usize).prop_map(Edit::DeleteSet),
            3 => name().prop_map(Edit::NewColumn),
            1 => (0..2usize, name()).prop_map(|(i, name)| Edit::RenameColumn(i, name)),
            1 => (0..2usize).prop_map(Edit::DeleteColumn),
            4 => (0..2usize, name(), term())
                .prop_map(|(column, name, term)| Edit::NewCategory { column, name, term }),
            1 => (0..2usize, 0..3usize, name(), term())
                .prop_map(|(column, category, name, term)| Edit::RenameCategory { column, category, name, term }),
            2 => (0..2usize, 0..3usize, colour())
                .prop_map(|(column, category, colour)| Edit::ColourLabel { column, category, colour }),
            2 => (0..2usize, 0..3usize, 0..3usize)
                .prop_map(|(column, from, into)| Edit::Merge { column, from, into }),
            1 => (0..2usize, 0..3usize)
                .prop_map(|(column, category)| Edit::DeleteCategory { column, category }),
            4 => (0..2usize, prop::option::of(0..3usize))
                .prop_map(|(column, category)| Edit::Assign { column, category }),
            1 => (name(), name(), prop::option::of(colour()))
                .prop_map(|(column, category, colour)| Edit::ColourCategory { column, category, colour }),
        ]
    }

    /// No cell has two labels of one column, and no two things of a kind share a name.
    fn assert_sound(document: &Document) {
        let unique = |names: Vec<&str>| {
            let mut sorted = names.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), names.len(), "{names:?}");
        };
        unique(document.sets.named.iter().map(|s| s.name.as_str()).collect());
        unique(document.labels.iter().map(|c| c.name.as_str()).collect());
        for column in &document.labels {
            unique(column.categories.iter().map(|c| c.name.as_str()).collect());
            let together: usize = column.categories.iter().map(|c| c.cells.len()).sum();
            let any = column.categories.iter().fold(CellSet::none(N), |all, c| all.union(&c.cells));
            assert_eq!(any.len(), together, "a cell has two labels");
        }
    }

    proptest! {
        #[test]
        fn any_sequence_of_edits_undone_gives_the_state_before_and_redone_the_state_after(
            edits in prop::collection::vec((edit(), any::<bool>()), 0..40)
        ) {
            let mut document = Document::new(N);
            let mut history = History::new("opened", document.clone());
            // The documents that undo must lead through, the newest last.
            let mut states = vec![document.clone()];
            let mut drag = None;
            for (edit, released) in &edits {
                let before = document.clone();
                if document.apply(edit).is_err() {
                    prop_assert_eq!(&document, &before, "a refused edit changes nothing");
                    continue;
                }
                assert_sound(&document);
                if document == before {
                    continue;
                }
                let goes_on = edit.drag().is_some() && drag == edit.drag();
                history.record(edit.name(&before), edit.drag(), document.clone());
                if goes_on {
                    states.pop();
                }
                states.push(document.clone());
                drag = edit.drag();
                if *released {
                    history.end_drag();
                    drag = None;
                }
            }
            prop_assert_eq!(history.at() + 1, states.len());
            for state in states.iter().rev().skip(1) {
                prop_assert_eq!(&history.undo().unwrap(), state);
            }
            prop_assert!(history.undo().is_none() && history.undo_name().is_none());
            for state in states.iter().skip(1) {
                prop_assert_eq!(&history.redo().unwrap(), state);
            }
            prop_assert!(history.redo().is_none() && history.redo_name().is_none());
            for (i, state) in states.iter().enumerate() {
                prop_assert_eq!(&history.go_to(i).unwrap(), state);
            }
        }
    }

    #[test]
    fn a_step_after_an_undo_forgets_what_was_undone() {
        let mut document = Document::new(3);
        let mut history = History::new("opened", document.clone());
        for name in ["one", "two"] {
            document.apply(&Edit::SaveSet(name.into())).unwrap();
            history.record(format!("save set {name}"), None, document.clone());
        }
        document = history.undo().unwrap();
        assert_eq!((history.undo_name(), history.redo_name()), (Some("save set one"), Some("save set two")));
        document.apply(&Edit::SaveSet("three".into())).unwrap();
        history.record("save set three".into(), None, document);
        assert_eq!(history.names().collect::<Vec<_>>(), ["opened", "save set one", "save set three"]);
        assert_eq!(history.redo_name(), None);
    }

    #[test]
    fn a_dragged_slider_is_one_step() {
        let mut document = Document::new(9);
        let mut history = History::new("opened", document.clone());
        for n in 1..6 {
            let cells = Arc::new(CellSet::from_cells(9, 0..n));
            let edit = Edit::Select { what: RANGE.into(), cells, combine: Combine::Replace };
            let name = edit.name(&document);
            document.apply(&edit).unwrap();
            history.record(name, edit.drag(), document.clone());
        }
        assert_eq!(history.at(), 1);
        assert!(history.undo().unwrap().sets.current.is_empty());
        assert_eq!(history.redo().unwrap().sets.current.len(), 5);
    }

    #[test]
    fn names_that_other_programs_read_as_missing_are_refused() {
        for name in ["", "  ", "NA", "nan", "None", "null", "a\nb", &"x".repeat(MAX_NAME + 1)] {
            assert!(usable_name(name, "set").is_err(), "{name:?}");
        }
        assert_eq!(usable_name("  NK cell ", "set").unwrap(), "NK cell");
    }
}
