//! The neighbourhood of a cell type in the Cell Ontology.

use eframe::egui::{self, Align, Layout, Margin, RichText, Spinner, Ui};

use engine::describe::ClaimKind;

use super::super::command::{Action, Command};
use super::super::theme::{Tokens, space};
use super::super::workspace::cell_type_term;
use super::widgets::{chip, chip_style, empty_state, heading, panel_frame, quiet_button};
use super::{Local, Out, Scope, graph};

/// Paints the panel below the map and returns its height.
pub fn ontology_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) -> f32 {
    let t = Tokens::of(ui);
    let most = (ui.available_height() * 0.7).max(140.0);
    egui::Panel::bottom("ontology panel")
        .resizable(true)
        .default_size(scope.saved.ontology_height.min(most))
        .size_range(140.0..=most)
        .frame(panel_frame(t, Margin { left: 12, right: 8, top: 8, bottom: 0 }))
        .show(ui, |ui| {
            header_ui(ui, scope, local, out);
            ui.add_space(space::XS);
            let term = scope.terms.shown();
            match term {
                Some(term) => graph::graph_ui(ui, term, &mut local.graph_pan, out),
                None if scope.terms.is_busy() => {
                    ui.centered_and_justified(|ui| ui.add(Spinner::new().size(16.0).color(t.text_muted)));
                }
                None => {
                    ui.take_available_space();
                    let rect = ui.max_rect();
                    let top = rect.top() + rect.height() * 0.36;
                    let middle = egui::Rect::from_min_max(egui::pos2(rect.left(), top), rect.max);
                    ui.scope_builder(egui::UiBuilder::new().max_rect(middle), |ui| match scope.terms.error() {
                        Some(error) => empty_state(ui, "This term cannot be shown", error),
                        None => match said_type(scope, local) {
                            Some(said) => empty_state(
                                ui,
                                "No such term",
                                &format!("The Cell Ontology has no cell type called “{said}”."),
                            ),
                            None => empty_state(
                                ui,
                                "Where a cell type stands",
                                "When a cell is described, its type appears here with its parents, siblings and \
                                 subtypes.",
                            ),
                        },
                    });
                }
            }
        })
        .response
        .rect
        .height()
}

/// The cell type that the selected cell's description names.
fn said_type(scope: &Scope<'_>, local: &Local) -> Option<String> {
    let description = scope.work.descriptions.get(&local.selected?)?;
    description.claim(ClaimKind::CellType).map(|c| c.value.clone())
}

fn header_ui(ui: &mut Ui, scope: &Scope<'_>, local: &Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    ui.horizontal(|ui| {
        heading(ui, "Cell Ontology");
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if quiet_button(ui, "Hide").on_hover_text(Command::ToggleOntology.tooltip()).clicked() {
                out.push(Action::Run(Command::ToggleOntology));
            }
            let own = local
                .selected
                .and_then(|cell| scope.work.descriptions.get(&cell))
                .and_then(|d| cell_type_term(d));
            if let (Some(own), Some(shown)) = (own, scope.terms.shown())
                && own != shown.id
                && quiet_button(ui, "Back to this cell's type").clicked()
            {
                out.push(Action::ShowTerm(own));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                if let Some(term) = scope.terms.shown() {
                    ui.label(RichText::new(&term.label).color(t.text));
                    let copy = ui.scope(|ui| {
                        chip_style(ui);
                        chip(ui, &term.id, "Copy the term's id").clicked()
                    });
                    if copy.inner {
                        out.push(Action::Copy(term.id.clone()));
                    }
                    if let Some(definition) = &term.definition {
                        let text = RichText::new(definition).small().color(t.text_muted);
                        ui.add(egui::Label::new(text).truncate());
                    }
                }
            });
        });
    });
}
