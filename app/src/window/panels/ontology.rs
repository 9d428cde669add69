//! The Cell Ontology: the neighbourhood of a term as a graph and as a table, and a browser of all terms.

use std::collections::BTreeSet;

use eframe::egui::{
    self, Align, Button, Frame, Layout, Margin, Panel, Rect, RichText, Spinner, Ui, UiBuilder, pos2,
};
use engine::describe::ClaimKind;
use engine::ontology::Hit;

use super::super::command::{Action, Command};
use super::super::theme::{Tokens, space};
use super::super::workspace::cell_type_term;
use super::graph::{GraphView, cell_words};
use super::widgets::{chip, chip_style, empty_state, heading, muted, panel_frame, quiet_button};
use super::{Local, Out, Scope, browse, graph, term_table};

/// Height of the panel while it has nothing to show.
const SLIM: f32 = 34.0;
/// Least height of the panel with a graph.
const LEAST: f32 = 170.0;
/// Types of the data set listed in the menu.
const MANY_TYPES: usize = 40;

/// What the panel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The neighbourhood of a term, as a graph.
    #[default]
    Graph,
    /// The same as a table.
    Table,
    /// All terms, to search and to walk through.
    Browse,
}

impl Mode {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Graph, "Graph", "The term with what stands above, beside and below it"),
        (Self::Table, "Table", "The same terms as a table"),
        (Self::Browse, "Browse", "All terms of the Cell Ontology, to search and to walk through"),
    ];
}

/// The state of the panel's fields; never saved.
#[derive(Debug, Default)]
pub struct OntologyLocal {
    /// What is shown.
    pub mode: Mode,
    /// Whether the panel has the whole window.
    pub whole: bool,
    /// What was typed in the search field.
    pub query: String,
    /// Whether the search field shall take the keyboard.
    pub focus_search: bool,
    /// Terms found, for the query they were searched with.
    pub found: Option<(String, Vec<Hit>)>,
    /// Terms whose kinds are listed.
    pub expanded: BTreeSet<String>,
    /// Whether terms were expanded for the first time.
    pub began: bool,
    /// Whether terms without cells of the user's are left out.
    pub only_own: bool,
    /// Where the graph looks.
    pub graph: GraphView,
    /// Whether a term was shown since a cell was selected: then the panel stays as high as it is.
    pub was_shown: bool,
    /// The height of the panel in the last frame.
    pub height: f32,
}

impl OntologyLocal {
    /// Opens the browser with the keyboard in its search field.
    pub fn open(&mut self) {
        self.mode = Mode::Browse;
        self.focus_search = true;
    }
}

/// Paints the panel below the map and returns the height it wishes to keep.
pub fn ontology_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) -> f32 {
    let t = Tokens::of(ui);
    if scope.terms.shown().is_some() {
        local.ontology.was_shown = true;
    } else if local.selected.is_none() {
        local.ontology.was_shown = false;
    }
    let has_content = scope.terms.shown().is_some() || scope.terms.error().is_some();
    let is_open = has_content || local.ontology.was_shown || local.ontology.mode == Mode::Browse;
    if !is_open {
        let response = Panel::bottom("slim ontology panel")
            .resizable(false)
            .exact_size(SLIM)
            .frame(panel_frame(t, Margin { left: 12, right: 8, top: 4, bottom: 4 }))
            .show(ui, |ui| slim_ui(ui, scope, local, out));
        local.ontology.height = response.response.rect.height();
        return scope.saved.ontology_height;
    }
    let most = (ui.available_height() * 0.7).max(LEAST);
    let response = Panel::bottom("ontology panel")
        .resizable(true)
        .default_size(scope.saved.ontology_height.min(most))
        .size_range(LEAST..=most)
        .frame(panel_frame(t, Margin { left: 12, right: 8, top: 6, bottom: 4 }))
        .show(ui, |ui| {
            header_ui(ui, scope, local, out);
            ui.add_space(space::XS);
            content_ui(ui, scope, local, out);
        });
    local.ontology.height = response.response.rect.height();
    response.response.rect.height()
}

/// Paints the ontology over the whole window: the browser at the left, graph or table at the right.
pub fn whole_ontology_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    local.ontology.height = 0.0;
    if local.ontology.mode == Mode::Browse {
        local.ontology.mode = Mode::Graph;
    }
    let wide = ui.available_width();
    if wide > 640.0 {
        Panel::left("ontology browser")
            .default_size(400.0_f32.min(wide * 0.4))
            .size_range(240.0..=wide * 0.5)
            .frame(panel_frame(t, Margin { left: 12, right: 8, top: 10, bottom: 8 }))
            .show(ui, |ui| browse::browse_ui(ui, scope, local, out));
    }
    egui::CentralPanel::no_frame().show(ui, |ui| {
        panel_frame(t, Margin { left: 12, right: 8, top: 10, bottom: 8 }).show(ui, |ui| {
            header_ui(ui, scope, local, out);
            ui.add_space(space::XS);
            content_ui(ui, scope, local, out);
        });
    });
}

/// One line in place of an empty panel.
fn slim_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    let room = ui.available_width();
    ui.horizontal(|ui| {
        heading(ui, "Cell Ontology");
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if quiet_button(ui, "Hide").on_hover_text(Command::ToggleOntology.tooltip()).clicked() {
                out.push(Action::Run(Command::ToggleOntology));
            }
            if room > 250.0
                && quiet_button(ui, "Browse").on_hover_text(Command::BrowseOntology.tooltip()).clicked()
            {
                out.push(Action::Run(Command::BrowseOntology));
            }
            if room > 330.0 {
                types_ui(ui, scope, out);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let words = match said_type(scope, local) {
                    Some(said) => format!("It has no cell type called “{said}”."),
                    None => "The type of a described cell appears here.".to_owned(),
                };
                ui.add(egui::Label::new(RichText::new(words).small().color(t.text_muted)).truncate());
            });
        });
    });
}

fn content_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    if local.ontology.mode == Mode::Browse {
        browse::browse_ui(ui, scope, local, out);
        return;
    }
    let Some(term) = scope.terms.shown() else {
        if scope.terms.is_busy() {
            ui.centered_and_justified(|ui| ui.add(Spinner::new().size(16.0).color(t.text_muted)));
        } else {
            empty_ui(ui, scope, local);
        }
        return;
    };
    match local.ontology.mode {
        Mode::Table => term_table::table_ui(ui, term, scope.terms.counts(), out),
        Mode::Graph | Mode::Browse => {
            graph::graph_ui(ui, term, scope.terms.counts(), &mut local.ontology.graph, out);
        }
    }
}

fn empty_ui(ui: &mut Ui, scope: &Scope<'_>, local: &Local) {
    let t = Tokens::of(ui);
    ui.take_available_space();
    let rect = ui.max_rect();
    let describing = local.selected.is_some_and(|cell| scope.work.is_describing(cell));
    let middle = Rect::from_min_max(pos2(rect.left(), rect.top() + rect.height() * 0.3), rect.max);
    ui.scope_builder(UiBuilder::new().max_rect(middle), |ui| {
        if let Some(error) = scope.terms.error() {
            empty_state(ui, "This term cannot be shown", error);
        } else if describing {
            ui.vertical_centered(|ui| {
                ui.label(RichText::new("The cell is being described.").color(t.text_muted));
            });
        } else if let Some(said) = said_type(scope, local) {
            let text = format!("The Cell Ontology has no cell type called “{said}”.");
            empty_state(ui, "No such term", &text);
        } else {
            empty_state(
                ui,
                "Where a cell type stands",
                "When a cell is described, its type appears here with its parents, siblings and subtypes.",
            );
        }
    });
}

/// The cell type that the selected cell's description names.
fn said_type(scope: &Scope<'_>, local: &Local) -> Option<String> {
    let description = scope.work.descriptions.get(&local.selected?)?;
    description.claim(ClaimKind::CellType).map(|c| c.value.clone())
}

fn header_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    // In a narrow panel the less needed makes room: it is in the menus as well.
    let width = ui.available_width();
    ui.horizontal(|ui| {
        if width > 420.0 {
            heading(ui, "Cell Ontology");
            ui.add_space(space::XS);
        }
        ui.spacing_mut().item_spacing.x = 2.0;
        for (mode, text, hover) in Mode::ALL {
            // Over the whole window the browser stands beside the graph.
            if local.ontology.whole && mode == Mode::Browse {
                continue;
            }
            let chosen = local.ontology.mode == mode;
            let button = Button::selectable(chosen, RichText::new(text).small());
            if ui.add(button).on_hover_text(hover).clicked() {
                if mode == Mode::Browse {
                    local.ontology.open();
                } else {
                    local.ontology.mode = mode;
                }
            }
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            if !local.ontology.whole
                && quiet_button(ui, "Hide").on_hover_text(Command::ToggleOntology.tooltip()).clicked()
            {
                out.push(Action::Run(Command::ToggleOntology));
            }
            let words = if local.ontology.whole { "Back to the map" } else { "Whole window" };
            if (width > 340.0 || local.ontology.whole)
                && quiet_button(ui, words).on_hover_text(Command::WholeOntology.tooltip()).clicked()
            {
                out.push(Action::Run(Command::WholeOntology));
            }
            if width > 560.0 {
                export_ui(ui, scope, out);
                types_ui(ui, scope, out);
            }
        });
    });
    if local.ontology.mode != Mode::Browse {
        term_ui(ui, scope, local, out);
    }
}

/// The term that is shown: its name, its id, its cells.
fn term_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    let Some(term) = scope.terms.shown() else { return };
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let own = local
            .selected
            .and_then(|cell| scope.work.descriptions.get(&cell))
            .and_then(|d| cell_type_term(d))
            .filter(|own| *own != term.id);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            if local.ontology.mode == Mode::Graph {
                let whole = local.ontology.whole;
                graph::controls_ui(ui, term, &mut local.ontology.graph, whole, out);
                ui.add_space(space::XS);
            }
            if let Some(own) = own
                && quiet_button(ui, "Back to this cell's type").clicked()
            {
                out.push(Action::ShowTerm(own));
            }
            let cells = scope.terms.counts().of(&term.id);
            if cells > 0 && ui.available_width() > 180.0 {
                let words = format!("Select {}", cell_words(cells));
                let hover = "Select the cells of this term and of all its kinds";
                if quiet_button(ui, &words).on_hover_text(hover).clicked() {
                    out.push(Action::SelectTerm(term.id.clone()));
                }
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let id = ui.scope(|ui| {
                    chip_style(ui);
                    chip(ui, &term.id, "Copy the term's id").clicked()
                });
                if id.inner {
                    out.push(Action::Copy(term.id.clone()));
                }
                let name = egui::Label::new(RichText::new(&term.label).color(t.text_strong)).truncate();
                let name = ui.add(name);
                if let Some(definition) = &term.definition {
                    name.on_hover_text(definition);
                    let text = RichText::new(definition).small().color(t.text_muted);
                    ui.add(egui::Label::new(text).truncate());
                }
            });
        });
    });
}

/// The types of the data set, from which to go to each.
fn types_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    let types = scope.terms.counts().types();
    let Some(ontology) = scope.terms.ontology().filter(|_| !types.is_empty()) else { return };
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = egui::vec2(8.0, 1.0);
        ui.spacing_mut().interact_size.y = 22.0;
        let menu = ui.menu_button(RichText::new("Your types").small(), |ui| {
            ui.set_min_width(260.0);
            source_ui(ui, scope);
            egui::ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
                for (id, own) in types.iter().take(MANY_TYPES) {
                    let label = ontology.term(id).map_or(*id, |t| t.label.as_str());
                    let button =
                        Button::new(label).right_text(RichText::new(cell_words(*own)).small().weak());
                    if ui.add(button).clicked() {
                        out.push(Action::ShowTerm((*id).to_owned()));
                        ui.close();
                    }
                }
                if types.len() > MANY_TYPES {
                    muted(ui, format!("and {} more in Browse", types.len() - MANY_TYPES));
                }
            });
        });
        menu.response.on_hover_text("The types of your cells, by the file and by descriptions");
    });
}

/// Where the numbers of cells come from.
pub fn source_ui(ui: &mut Ui, scope: &Scope<'_>) {
    let file = scope.terms.file();
    let described = scope.work.descriptions.len();
    let of_file = file.column.as_ref().map(|column| {
        let known = file.of_cell.iter().filter(|row| **row != u32::MAX).count();
        let how = if file.by_id { "by the ids in" } else { "by the names in" };
        format!("{} {how} obs/{column}", cell_words(known as u64))
    });
    let said = (described > 0).then(|| format!("{} by description", cell_words(described as u64)));
    let words: Vec<String> = of_file.into_iter().chain(said).collect();
    let text = if words.is_empty() {
        "No cell of yours has a type yet.".to_owned()
    } else {
        format!("Counted: {}.", words.join(", "))
    };
    let t = Tokens::of(ui);
    ui.add(egui::Label::new(RichText::new(text).small().color(t.text_muted)).wrap());
}

fn export_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    if scope.terms.shown().is_none() {
        return;
    }
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = egui::vec2(8.0, 1.0);
        ui.spacing_mut().interact_size.y = 22.0;
        ui.menu_button(RichText::new("Export").small(), |ui| {
            for (text, command) in
                [("Picture (SVG)…", Command::ExportOntologySvg), ("Table (CSV)…", Command::ExportOntologyCsv)]
            {
                if ui.button(text).on_hover_text(command.tooltip()).clicked() {
                    out.push(Action::Run(command));
                    ui.close();
                }
            }
        });
    });
}

/// A frame for lists on a panel.
pub fn list_frame(t: &Tokens) -> Frame {
    Frame::new().fill(t.canvas).corner_radius(6).inner_margin(Margin::symmetric(6, 4))
}
