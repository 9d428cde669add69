//! Selecting cells, labelling them, and the history of both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use eframe::egui;
use engine::anndata::{Column, Values};
use engine::ontology::Ontology;
use engine::session::Dataset;

use super::super::annotating::LabelColumn;
use super::super::background::{Poll, Task};
use super::super::command::Action;
use super::super::dock::Pane;
use super::super::document::{Document, Edit, RANGE};
use super::super::map::{self, Tool, grouped};
use super::super::panels::Side;
use super::super::selection::{CellSet, Combine};
use super::super::state::ColourBy;
use super::super::workspace::{Severity, cell_type_term};
use super::App;

/// Names of cells that were not found, listed in a notice.
const LISTED: usize = 12;

/// Cells that were looked for on another thread.
pub(super) struct Found {
    what: String,
    cells: CellSet,
    combine: Combine,
    /// What to say of it: title and detail.
    note: Option<(String, String)>,
}

/// A search for cells that is running.
pub(super) type Search = Task<Result<Found, (String, String)>>;

impl App {
    /// Does `edit` as a step of the history.
    pub(super) fn edit(&mut self, ctx: &egui::Context, edit: &Edit) {
        if self.work.dataset.is_none() {
            return;
        }
        let before = self.work.document();
        let mut after = before.clone();
        if let Err(why) = self.check_column_name(edit).and_then(|()| after.apply(edit)) {
            self.work.notify(Severity::Error, format!("Could not {}", edit.name(&before)), why);
            return;
        }
        if after == before {
            return;
        }
        self.work.history.record(edit.name(&before), edit.drag(), after.clone());
        self.change_document(ctx, &before, after);
        if matches!(edit, Edit::NewColumn(_)) {
            self.local.labels_at = self.work.labels.len().saturating_sub(1);
        }
    }

    /// A column of labels called as one of the file could not be told from it in menus, plots and comparisons.
    fn check_column_name(&self, edit: &Edit) -> Result<(), String> {
        let (Edit::NewColumn(name) | Edit::RenameColumn(_, name)) = edit else { return Ok(()) };
        match self.work.dataset.as_ref().and_then(|dataset| dataset.obs.column(name.trim())) {
            Some(_) => Err(format!("The file has a column called “{}”. Choose another name.", name.trim())),
            None => Ok(()),
        }
    }

    /// Goes to the step before or after, or to any.
    pub(super) fn travel(
        &mut self,
        ctx: &egui::Context,
        go: impl FnOnce(&mut super::super::history::History) -> Option<Document>,
    ) {
        let before = self.work.document();
        if let Some(after) = go(&mut self.work.history) {
            self.change_document(ctx, &before, after);
        }
    }

    /// Puts `after` in the place of `before` and draws what follows from it.
    pub(super) fn change_document(&mut self, ctx: &egui::Context, before: &Document, after: Document) {
        let labels_changed = before.labels != after.labels;
        self.work.set_document(after);
        if !labels_changed {
            return;
        }
        if let ColourBy::Labels(name) = &self.view.colour_by {
            let at = before.labels.iter().position(|c| c.name == *name);
            if self.work.labels.iter().all(|c| c.name != *name) {
                // Renamed, or gone.
                let same_place = at.filter(|_| before.labels.len() == self.work.labels.len());
                let by = same_place
                    .and_then(|at| self.work.labels.get(at))
                    .map(|c| ColourBy::Labels(c.name.clone()));
                let dataset = self.work.dataset.clone();
                let by = by.or_else(|| dataset.as_ref().map(|d| map::first_colour(d))).unwrap_or_default();
                self.actions.push(Action::ColourBy(by));
            } else {
                self.recolour(ctx);
            }
        }
    }

    pub(super) fn select_area(
        &mut self,
        ctx: &egui::Context,
        what: &'static str,
        area: &[[f32; 2]],
        combine: Combine,
    ) {
        if let Some(cells) = self.map.cells_inside(area, &self.view.hidden) {
            self.select_cells(ctx, what, cells, combine);
        }
    }

    pub(super) fn select_cells(&mut self, ctx: &egui::Context, what: &str, cells: CellSet, combine: Combine) {
        self.edit(ctx, &Edit::Select { what: what.to_owned(), cells: Arc::new(cells), combine });
    }

    pub(super) fn select_category(&mut self, ctx: &egui::Context, row: usize) {
        let colouring = self.map.colouring().clone();
        if let (Some(cells), map::Meaning::Categories { categories, .. }) =
            (colouring.cells_of(row), &colouring.meaning)
        {
            let name = categories.get(row).map_or("", |c| c.name.as_str());
            let combine = Combine::of(ctx.input(|i| i.modifiers));
            self.select_cells(ctx, &format!("select {name}"), cells, combine);
        }
    }

    pub(super) fn select_range(&mut self, ctx: &egui::Context, low: f32, high: f32) {
        if let Some(cells) = self.map.colouring().cells_between(low, high) {
            self.select_cells(ctx, RANGE, cells, Combine::Replace);
        }
    }

    pub(super) fn select_set(&mut self, ctx: &egui::Context, number: usize, combine: Combine) {
        let Some(set) = self.work.sets.named.get(number) else { return };
        let verb = match combine {
            Combine::Replace => "select",
            Combine::Add => "add",
            Combine::Subtract => "subtract",
            Combine::Intersect => "intersect with",
        };
        let edit = Edit::Select { what: format!("{verb} {}", set.name), cells: set.cells.clone(), combine };
        self.edit(ctx, &edit);
    }

    pub(super) fn select_names(&mut self, ctx: &egui::Context, text: String) {
        let Some(dataset) = self.work.dataset.clone() else { return };
        self.search = Some(Task::start(ctx, "cell names", move || Ok(cells_named(&dataset, &text))));
    }

    pub(super) fn select_term(&mut self, ctx: &egui::Context, term: String) {
        let Some(dataset) = self.work.dataset.clone() else { return };
        let said: Vec<(usize, String)> =
            self.work.descriptions.iter().filter_map(|(cell, d)| Some((*cell, cell_type_term(d)?))).collect();
        let labels = self.work.labels.clone();
        // The cells that the ontology panel counts, also those that the file gives by name alone.
        let counted = CellSet::from_cells(dataset.n_obs, self.terms.cells_of(&term, &self.work));
        let label = self.terms.ontology().and_then(|o| o.current(&term)).map(|t| t.label.clone());
        let combine = Combine::of(ctx.input(|i| i.modifiers));
        self.search = Some(Task::start(ctx, "cells of a term", move || {
            let (label, cells) = match (cells_of_term(&dataset, &said, &labels, &term), label) {
                (Ok((label, cells)), _) => (label, cells.union(&counted)),
                (Err(_), Some(label)) if !counted.is_empty() => (label, counted),
                (Err(why), _) => return Err(why),
            };
            Ok(Found { what: format!("select {label}"), cells, combine, note: None })
        }));
    }

    /// Takes up what was searched for on another thread.
    pub(super) fn update_search(&mut self, ctx: &egui::Context) {
        match self.search.as_ref().map(Task::poll) {
            Some(Poll::Done(answer)) => {
                self.search = None;
                match answer {
                    Ok(found) => {
                        if let Some((title, detail)) = found.note {
                            self.work.notify(Severity::Error, title, detail);
                        }
                        if !found.cells.is_empty() && found.cells.n_obs() == self.work.sets.current.n_obs() {
                            self.select_cells(ctx, &found.what, found.cells, found.combine);
                        }
                    }
                    Err((title, detail)) => self.work.notify(Severity::Error, title, detail),
                }
            }
            Some(Poll::Lost) => self.search = None,
            Some(Poll::Running) | None => {}
        }
    }

    /// Escape: puts the tool away, else lets the cell go, else the selected cells.
    pub(super) fn let_go(&mut self, ctx: &egui::Context) {
        if self.local.tool != Tool::Pan {
            self.local.tool = Tool::Pan;
        } else if self.local.selected.is_some() {
            self.clear_selection();
        } else {
            self.select_none(ctx);
        }
    }

    pub(super) fn select_none(&mut self, ctx: &egui::Context) {
        let none = CellSet::none(self.work.sets.current.n_obs());
        self.select_cells(ctx, "clear selection", none, Combine::Replace);
    }

    pub(super) fn take_tool(&mut self, tool: Tool) {
        self.local.tool = tool;
        // The map may lie behind another tab.
        self.open_pane(Pane::Map);
    }

    /// Shows one of the tabs at the right.
    pub(super) fn show_side(&mut self, side: Side) {
        self.local.side = side;
        self.saved.cell_panel_open = true;
    }

    pub(super) fn save_set(&mut self, ctx: &egui::Context) {
        let name = self.work.document().new_set_name();
        self.edit(ctx, &Edit::SaveSet(name));
        self.show_side(Side::Sets);
        // The name can be typed over at once.
        let last = self.work.sets.named.len().saturating_sub(1);
        self.local.renaming =
            self.work.sets.named.get(last).map(|set| panels_renaming(format!("set {last}"), &set.name));
    }

    pub(super) fn new_labels(&mut self, ctx: &egui::Context) {
        let name = self.work.document().new_column_name();
        self.edit(ctx, &Edit::NewColumn(name.clone()));
        self.show_side(Side::Labels);
        self.actions.push(Action::ColourBy(ColourBy::Labels(name)));
        self.local.focus_label_field = true;
    }

    pub(super) fn label_cells(&mut self, ctx: &egui::Context) {
        if self.work.labels.is_empty() {
            self.new_labels(ctx);
        }
        self.show_side(Side::Labels);
        self.local.focus_label_field = true;
    }
}

fn panels_renaming(key: String, name: &str) -> super::super::panels::Renaming {
    super::super::panels::Renaming { key, text: name.to_owned(), begun: false }
}

/// The cells that `text` names, one a line or parted by commas, semicolons or tabs.
fn cells_named(dataset: &Dataset, text: &str) -> Found {
    let mut wanted: HashMap<&str, bool> = HashMap::new();
    let mut order = Vec::new();
    for name in text.split(['\n', '\r', ',', ';', '\t']) {
        let name = name.trim().trim_matches(['"', '\'']).trim();
        if !name.is_empty() && wanted.insert(name, false).is_none() {
            order.push(name);
        }
    }
    let mut cells = Vec::new();
    for (cell, name) in dataset.obs.index.iter().enumerate() {
        if let Some(found) = wanted.get_mut(name.as_str()) {
            *found = true;
            cells.push(cell);
        }
    }
    let missing: Vec<&str> =
        order.iter().filter(|name| wanted.get(**name) == Some(&false)).copied().collect();
    let note = (!missing.is_empty() || order.is_empty()).then(|| {
        let title = if order.is_empty() {
            "The list names no cell".to_owned()
        } else {
            format!(
                "{} of {} names were not found",
                grouped(missing.len() as i64),
                grouped(order.len() as i64)
            )
        };
        let mut detail = missing.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
        if missing.len() > LISTED {
            detail += &format!(" and {} more", grouped((missing.len() - LISTED) as i64));
        }
        let example = dataset.obs.index.first().map_or("", String::as_str);
        if !detail.is_empty() {
            detail += ". ";
        }
        detail += &format!("Cells of this file are named like {example}.");
        (title, detail)
    });
    Found {
        what: "select by name".into(),
        cells: CellSet::from_cells(dataset.n_obs, cells),
        combine: Combine::Replace,
        note,
    }
}

/// The cells whose type is `term` or a kind of it, and the term's label: by columns of obs that hold Cell Ontology ids,
/// by labels given by hand with a term, and by what descriptions say.
fn cells_of_term(
    dataset: &Dataset,
    said: &[(usize, String)],
    labels: &[Arc<LabelColumn>],
    term: &str,
) -> Result<(String, CellSet), (String, String)> {
    let failed = |why: String| ("The cells of this term cannot be selected".to_owned(), why);
    let ontology = Ontology::builtin().map_err(|e| failed(e.to_string()))?;
    let Some(found) = ontology.current(term) else {
        return Err(failed(format!("The Cell Ontology has no term {term}.")));
    };
    let mut wanted: HashSet<&str> = ontology.descendants(&found.id).into_iter().collect();
    wanted.insert(&found.id);
    let is_wanted = |id: &str| ontology.current(id).is_some_and(|t| wanted.contains(t.id.as_str()));
    let mut cells = CellSet::from_cells(
        dataset.n_obs,
        said.iter().filter(|(_, term)| is_wanted(term)).map(|(cell, _)| *cell),
    );
    for column in dataset.obs.columns.iter().filter(|column| holds_terms(column)) {
        cells = cells.union(&cells_where(column, dataset.n_obs, is_wanted));
    }
    for category in labels.iter().flat_map(|column| &column.categories) {
        if category.term.as_deref().is_some_and(is_wanted) {
            cells = cells.union(&category.cells);
        }
    }
    if cells.is_empty() {
        return Err((
            format!("No cell is known to be {}", with_article(&found.label)),
            "Cells count whose description, whose label by hand or whose column of Cell Ontology ids names this term \
             or one below it. Describe cells first."
                .into(),
        ));
    }
    Ok((found.label.clone(), cells))
}

fn with_article(label: &str) -> String {
    let article = if label.to_lowercase().starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {label}")
}

/// Whether a column holds ids of the Cell Ontology.
fn holds_terms(column: &Column) -> bool {
    let is_term = |text: &str| text.starts_with("CL:");
    match &column.values {
        Values::Categorical { categories, .. } => categories.iter().any(|c| is_term(c)),
        Values::Text(texts) => texts.iter().flatten().take(1000).any(|t| is_term(t)),
        _ => false,
    }
}

fn cells_where(column: &Column, n_obs: usize, is_wanted: impl Fn(&str) -> bool) -> CellSet {
    match &column.values {
        Values::Categorical { codes, categories, .. } => {
            let wanted: Vec<bool> = categories.iter().map(|c| is_wanted(c)).collect();
            CellSet::from_fn(n_obs, |cell| {
                let code = codes.get(cell).and_then(|c| usize::try_from(*c).ok());
                code.is_some_and(|code| wanted.get(code) == Some(&true))
            })
        }
        Values::Text(texts) => {
            let mut known: HashMap<&str, bool> = HashMap::new();
            let cells = texts.iter().enumerate().filter_map(|(cell, text)| {
                let text = text.as_deref()?;
                known.entry(text).or_insert_with(|| is_wanted(text)).then_some(cell)
            });
            CellSet::from_cells(n_obs, cells)
        }
        _ => CellSet::none(n_obs),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::dataset;
    use super::*;

    #[test]
    fn names_are_found_however_they_are_listed_and_misses_are_told() {
        let data = dataset();
        let found = cells_named(&data, " a,\"c\"\n\n c ;zz\tyy");
        assert_eq!(found.cells.iter().collect::<Vec<_>>(), [0, 2]);
        let (title, detail) = found.note.unwrap();
        assert_eq!(title, "2 of 4 names were not found");
        assert!(detail.starts_with("zz, yy. ") && detail.contains("like a."), "{detail}");
        assert!(cells_named(&data, "a b\nb").note.is_some());
        assert!(cells_named(&data, "a\r\nb").note.is_none());
        assert_eq!(cells_named(&data, " ,").note.unwrap().0, "The list names no cell");
    }

    #[test]
    fn a_term_selects_its_cells_and_those_of_all_terms_below() {
        let mut data = dataset();
        let cells = |data: &Dataset, said: &[(usize, String)], term: &str| {
            cells_of_term(data, said, &[], term)
                .map(|(label, cells)| (label, cells.iter().collect::<Vec<_>>()))
        };
        // A lymphocyte is neither; a T cell is a lymphocyte.
        let said = vec![(1, "CL:0000084".to_owned()), (2, "CL:0000576".to_owned())];
        assert_eq!(cells(&data, &said, "CL:0000542").unwrap(), ("lymphocyte".into(), vec![1]));
        assert!(cells(&data, &said, "CL:0000540").unwrap_err().0.contains("neuron"));
        assert!(cells(&data, &said, "CL:9999999").is_err());
        data.obs.columns.push(Column {
            name: "cell_type_ontology_term_id".into(),
            values: Values::Categorical {
                codes: vec![1, -1, 0],
                categories: vec!["unknown".into(), "CL:0000236".into()],
                ordered: false,
            },
        });
        assert_eq!(cells(&data, &said, "CL:0000542").unwrap().1, [0, 1]);
        data.obs.columns.last_mut().unwrap().values =
            Values::Text(vec![None, None, Some("CL:0000236".into())]);
        assert_eq!(cells(&data, &said, "CL:0000542").unwrap().1, [1, 2]);
    }
}
