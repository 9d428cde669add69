//! Labels given by hand: the columns, their labels, and a field that offers names of the Cell Ontology.

use eframe::egui::{self, Button, Key, Label, RichText, TextEdit, Ui, vec2};
use engine::ontology::{Hit, Ontology};

use super::super::annotating::LabelColumn;
use super::super::background::{Poll, Task};
use super::super::command::{Action, Command};
use super::super::document::{Edit, MAX_NAME};
use super::super::map::grouped;
use super::super::selection::Combine;
use super::super::state::ColourBy;
use super::super::theme::{Tokens, space};
use super::rename::rename_ui;
use super::sets::{entry_ui, selected_words};
use super::widgets::{empty_state, muted, primary_button, quiet_button, section};
use super::{Local, Out, Scope};

/// Terms offered.
const MAX_TERMS: usize = 7;

/// Terms of the Cell Ontology that fit what was typed, looked up beside the window.
#[derive(Debug, Default)]
pub struct Offered {
    searched: String,
    found: Vec<Hit>,
    task: Option<Task<Vec<Hit>>>,
}

impl Offered {
    /// The terms for `query`; those for the query before until they are found.
    fn update(&mut self, ctx: &egui::Context, query: &str) {
        if let Some(answer) = self.task.as_ref().map(Task::poll) {
            match answer {
                Poll::Running => return,
                Poll::Done(found) => self.found = found,
                Poll::Lost => self.found.clear(),
            }
            self.task = None;
        }
        if self.searched != query {
            query.clone_into(&mut self.searched);
            if query.is_empty() {
                self.found.clear();
                return;
            }
            let query = query.to_owned();
            self.task = Some(Task::start(ctx, "ontology search", move || {
                Ontology::builtin().map(|o| o.search(&query, MAX_TERMS)).unwrap_or_default()
            }));
        }
    }

    /// Whether terms are being looked up.
    pub fn is_busy(&self) -> bool {
        self.task.is_some()
    }
}

/// Paints the tab.
pub fn labels_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    ui.add_space(space::S);
    let columns = &scope.work.labels;
    if columns.is_empty() {
        let room = ui.max_rect().height().min(600.0) * 0.28;
        ui.add_space(room);
        empty_state(
            ui,
            "No labels yet",
            "Name cells yourself: begin a column of labels, select cells on the map and give them a label.",
        );
        ui.add_space(space::M);
        ui.vertical_centered(|ui| {
            if primary_button(ui, "Begin labels").on_hover_text(Command::NewLabels.tooltip()).clicked() {
                out.push(Action::Run(Command::NewLabels));
            }
        });
        return;
    }
    local.labels_at = local.labels_at.min(columns.len() - 1);
    let at = local.labels_at;
    let Some(column) = columns.get(at) else { return };
    column_ui(ui, scope, local, at, column, out);
    field_ui(ui, scope, local, at, column, out);
    list_ui(ui, scope, local, at, column, out);
}

/// Which column, and what can be done with it.
fn column_ui(
    ui: &mut Ui,
    scope: &Scope<'_>,
    local: &mut Local,
    at: usize,
    column: &LabelColumn,
    out: Out<'_>,
) {
    let key = format!("column {at}");
    if local.renames(&key) {
        let width = ui.available_width();
        if let Some(name) = rename_ui(ui, local, width, "Name of the labels")
            && name != column.name
        {
            out.push(Action::Edit(Edit::RenameColumn(at, name)));
        }
    } else {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            let width = ui.available_width() - 96.0;
            ui.name_inputs("Column of labels", |ui| {
                egui::ComboBox::from_id_salt("column of labels")
                    .selected_text(column.name.as_str())
                    .width(width)
                    .truncate()
                    .show_ui(ui, |ui| {
                        for (i, other) in scope.work.labels.iter().enumerate() {
                            if ui.selectable_label(i == at, other.name.as_str()).clicked() {
                                local.labels_at = i;
                                out.push(Action::ColourBy(ColourBy::Labels(other.name.clone())));
                            }
                        }
                    })
            });
            let new = ui.button("New").on_hover_text(Command::NewLabels.tooltip());
            if new.accessible_name("New labels").clicked() {
                out.push(Action::Run(Command::NewLabels));
            }
            let more = ui.menu_button("…", |ui| {
                ui.set_min_width(180.0);
                if ui.button("Rename").clicked() {
                    local.rename(key.clone(), &column.name);
                    ui.close();
                }
                if ui.button("Delete").clicked() {
                    out.push(Action::Edit(Edit::DeleteColumn(at)));
                    ui.close();
                }
                ui.separator();
                if ui.button("Export labels…").on_hover_text(Command::ExportLabels.tooltip()).clicked() {
                    out.push(Action::Run(Command::ExportLabels));
                    ui.close();
                }
            });
            more.response.accessible_name(format!("More for {}", column.name));
        });
    }
    ui.add_space(space::XS);
    let n_obs = scope.work.sets.current.n_obs();
    ui.horizontal(|ui| {
        let text =
            format!("{} of {} cells labelled", grouped(column.labelled() as i64), grouped(n_obs as i64));
        muted(ui, text);
        let is_shown = matches!(&scope.view.colour_by, ColourBy::Labels(name) if *name == column.name);
        if !is_shown {
            let button = quiet_button(ui, "Colour by it").on_hover_text("Colour the map by these labels");
            if button.accessible_name(format!("Colour by {}", column.name)).clicked() {
                out.push(Action::ColourBy(ColourBy::Labels(column.name.clone())));
            }
        }
    });
}

/// The field for a label, and what it offers.
fn field_ui(
    ui: &mut Ui,
    scope: &Scope<'_>,
    local: &mut Local,
    at: usize,
    column: &LabelColumn,
    out: Out<'_>,
) {
    let t = Tokens::of(ui);
    let has_cells = scope.now.has_selected_cells;
    section(ui, if has_cells { "Label the selected cells" } else { "New label" });
    let text = if has_cells {
        format!("{}.", selected_words(scope))
    } else {
        "Select cells to label them at once; a label can also be made first.".to_owned()
    };
    ui.add(Label::new(RichText::new(text).small().color(t.text_muted)).wrap());
    ui.add_space(space::XS);
    let width = ui.available_width();
    let field = TextEdit::singleline(&mut local.label_query)
        .id(egui::Id::unique("label field"))
        .hint_text("Cell type or any name")
        .desired_width(width)
        .char_limit(MAX_NAME);
    let response = ui.add(field).accessible_name("Label");
    if std::mem::take(&mut local.focus_label_field) {
        response.request_focus();
    }
    let query = local.label_query.trim().to_owned();
    local.terms_offered.update(ui.ctx(), &query);
    if query.is_empty() {
        return;
    }
    let entered = response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
    let mut chosen: Option<Chosen> = None;
    let same = |a: &str| a.to_lowercase() == query.to_lowercase();
    if entered {
        let known = column.categories.iter().position(|c| same(&c.name));
        let hit = local.terms_offered.found.iter().find(|hit| same(&hit.label) || same(&hit.matched));
        chosen = Some(match (known, hit) {
            (Some(number), _) => Chosen::Known(number),
            // The name as it was typed; the term that it names.
            (None, hit) => Chosen::New(query.clone(), hit.map(|h| h.id.clone())),
        });
    }
    ui.spacing_mut().item_spacing.y = 0.0;
    let row = |ui: &mut Ui, text: &str, beside: &str| {
        let button = Button::new(RichText::new(text).color(t.text))
            .right_text(RichText::new(beside).small().color(t.text_muted))
            .truncate()
            .frame_when_inactive(false)
            .min_size(vec2(width, 0.0));
        ui.add(button)
    };
    let fits = |name: &str| name.to_lowercase().contains(&query.to_lowercase());
    for (number, category) in column.categories.iter().enumerate().filter(|(_, c)| fits(&c.name)).take(5) {
        if row(ui, &category.name, "this label").clicked() {
            chosen = Some(Chosen::Known(number));
        }
    }
    let known = |name: &str| column.categories.iter().any(|c| c.name == name);
    for hit in local.terms_offered.found.iter().filter(|hit| !known(&hit.label)) {
        let response = row(ui, &hit.label, &hit.id);
        let response = if hit.matched == hit.label {
            response
        } else {
            response.on_hover_text(format!("Also {}", hit.matched))
        };
        if response.clicked() {
            chosen = Some(Chosen::New(hit.label.clone(), Some(hit.id.clone())));
        }
    }
    let offered = local.terms_offered.found.iter().any(|hit| same(&hit.label));
    if !offered
        && !column.categories.iter().any(|c| same(&c.name))
        && row(ui, &format!("“{query}”"), "new").clicked()
    {
        chosen = Some(Chosen::New(query.clone(), None));
    }
    let Some(chosen) = chosen else { return };
    local.label_query.clear();
    let category = match chosen {
        Chosen::Known(number) => number,
        Chosen::New(name, term) => {
            out.push(Action::Edit(Edit::NewCategory { column: at, name, term }));
            column.categories.len()
        }
    };
    if has_cells {
        out.push(Action::Edit(Edit::Assign { column: at, category: Some(category) }));
    }
}

/// What was chosen in the field.
enum Chosen {
    /// A label that is there.
    Known(usize),
    /// A new one, with its term where it has one.
    New(String, Option<String>),
}

/// The labels of the column.
fn list_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, at: usize, column: &LabelColumn, out: Out<'_>) {
    let t = Tokens::of(ui);
    if column.categories.is_empty() {
        return;
    }
    section(ui, "Labels");
    ui.spacing_mut().item_spacing.y = 2.0;
    for (number, category) in column.categories.iter().enumerate() {
        let key = format!("label {at} {number}");
        if local.renames(&key) {
            let width = ui.available_width();
            if let Some(name) = rename_ui(ui, local, width, "Name of the label")
                && name != category.name
            {
                let term = Ontology::builtin()
                    .ok()
                    .and_then(|o| o.by_name(&name))
                    .filter(|term| term.label.to_lowercase() == name.trim().to_lowercase())
                    .map(|term| term.id.clone());
                out.push(Action::Edit(Edit::RenameCategory { column: at, category: number, name, term }));
            }
            continue;
        }
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            let mut colour = category.colour;
            let button = ui.scope(|ui| {
                ui.spacing_mut().interact_size = vec2(20.0, 16.0);
                ui.color_edit_button_srgb(&mut colour)
            });
            button.inner.accessible_name(format!("Colour of {}", category.name));
            if colour != category.colour {
                out.push(Action::Edit(Edit::ColourLabel { column: at, category: number, colour }));
            }
            if scope.now.has_selected_cells {
                let give = quiet_button(ui, "Give").on_hover_text("Give the selected cells this label");
                if give.accessible_name(format!("Give {}", category.name)).clicked() {
                    out.push(Action::Edit(Edit::Assign { column: at, category: Some(number) }));
                }
            }
            let is_selected = category.cells == scope.work.sets.current && !category.cells.is_empty();
            let response = entry_ui(ui, &category.name, category.cells.len(), is_selected, |ui| {
                menu_ui(ui, local, at, number, column, out);
            });
            let response = match &category.term {
                Some(term) => {
                    response.on_hover_text(format!("{term} in the Cell Ontology. Click selects its cells."))
                }
                None => response.on_hover_text("Click selects its cells."),
            };
            if response.clicked() {
                out.push(Action::Edit(Edit::Select {
                    what: format!("select {}", category.name),
                    cells: category.cells.clone(),
                    combine: Combine::of(ui.input(|i| i.modifiers)),
                }));
            }
        });
    }
    ui.add_space(space::S);
    let hint =
        "Click selects the cells of a label. Undo takes back any change; everything is saved by itself.";
    ui.add(Label::new(RichText::new(hint).small().color(t.text_muted)).wrap());
}

fn menu_ui(ui: &mut Ui, local: &mut Local, at: usize, number: usize, column: &LabelColumn, out: Out<'_>) {
    let Some(category) = column.categories.get(number) else { return };
    ui.set_min_width(180.0);
    if ui.button("Rename").clicked() {
        local.rename(format!("label {at} {number}"), &category.name);
        ui.close();
    }
    if column.categories.len() > 1 {
        ui.menu_button("Merge into", |ui| {
            for (into, other) in column.categories.iter().enumerate().filter(|(i, _)| *i != number) {
                if ui.button(&other.name).clicked() {
                    out.push(Action::Edit(Edit::Merge { column: at, from: number, into }));
                    ui.close();
                }
            }
        });
    }
    if let Some(term) = &category.term
        && ui.button("Show in the Cell Ontology").clicked()
    {
        out.push(Action::ShowTerm(term.clone()));
        ui.close();
    }
    if ui.button("Delete").clicked() {
        out.push(Action::Edit(Edit::DeleteCategory { column: at, category: number }));
        ui.close();
    }
}
