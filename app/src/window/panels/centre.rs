//! The middle of the window: the map or the list of cells, and the ontology below.

use eframe::egui::{self, Align, Button, CentralPanel, Frame, Layout, Margin, Spinner, Ui, vec2};

use super::super::command::{Action, Command};
use super::super::map::{MapView, embedding_title, grouped, map_ui};
use super::super::state::Layout as Cells;
use super::super::theme::{Tokens, space};
use super::widgets::{empty_state, muted, panel_frame, primary_button, quiet_button};
use super::{Local, Out, Scope, cell_list, ontology};

/// What the engine calls the job that computes a map.
const MAP_JOB: &str = "Computing a map";

/// Paints the middle and returns the height of the ontology panel.
pub fn centre_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) -> f32 {
    let t = Tokens::of(ui);
    let mut height = scope.saved.ontology_height;
    if scope.saved.ontology_open {
        height = ontology::ontology_ui(ui, scope, local, out);
    }
    egui::Panel::top("map bar")
        .show_separator_line(false)
        .frame(panel_frame(t, Margin::symmetric(12, 6)))
        .show(ui, |ui| bar_ui(ui, scope, out));
    CentralPanel::no_frame().show(ui, |ui| {
        if scope.now.has_map && scope.view.layout == Cells::Map {
            map_area_ui(ui, scope, local, out);
        } else {
            Frame::new().fill(t.canvas).inner_margin(Margin::same(12)).show(ui, |ui| {
                ui.take_available_width();
                if !scope.now.has_map {
                    no_map_ui(ui, scope, out);
                }
                cell_list::cell_list_ui(ui, scope, local, out);
            });
        }
    });
    height
}

fn bar_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    let Some(dataset) = &scope.work.dataset else { return };
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        let on_map = scope.view.layout == Cells::Map && scope.now.has_map;
        for (i, embedding) in dataset.embeddings.iter().enumerate().take(6) {
            let chosen = on_map && embedding.name == scope.view.embedding;
            let button = Button::selectable(chosen, embedding_title(&embedding.name));
            if ui.add(button).on_hover_text(format!("obsm/{}", embedding.name)).clicked() {
                out.push(Action::SetEmbedding(i));
                out.push(Action::Run(Command::ShowMap));
            }
        }
        if dataset.embeddings.len() > 6 {
            ui.menu_button("More", |ui| {
                for (i, embedding) in dataset.embeddings.iter().enumerate().skip(6) {
                    if ui.button(embedding_title(&embedding.name)).clicked() {
                        out.push(Action::SetEmbedding(i));
                        out.push(Action::Run(Command::ShowMap));
                        ui.close();
                    }
                }
            });
        }
        let list = ui.add(Button::selectable(!on_map, "List")).on_hover_text(Command::ShowCellList.tooltip());
        if list.clicked() {
            out.push(Action::Run(Command::ShowCellList));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            if on_map {
                for (text, command) in
                    [("Fit", Command::FitMap), ("+", Command::ZoomIn), ("−", Command::ZoomOut)]
                {
                    let button = Button::new(text).min_size(vec2(26.0, 0.0));
                    let name = command.text();
                    let response = ui.add(button).on_hover_text(command.tooltip()).accessible_name(name);
                    if response.clicked() {
                        out.push(Action::Run(command));
                    }
                }
                if let Some(scene) = scope.map.scene() {
                    let missing = scene.unplaced();
                    if missing > 0 {
                        ui.add_space(space::S);
                        muted(ui, format!("{} cells have no place here", grouped(missing as i64)));
                    }
                }
            }
            if scope.map.is_busy() {
                ui.add(Spinner::new().size(14.0));
            }
        });
    });
}

fn map_area_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let rect = ui.available_rect_before_wrap();
    let empty = scope.map.scene().is_some_and(|s| s.bounds().is_none());
    if empty {
        let t = Tokens::of(ui);
        ui.painter().rect_filled(rect, 0.0, t.canvas);
        let middle = egui::Rect::from_min_max(egui::pos2(rect.left(), rect.center().y - 40.0), rect.max);
        ui.scope_builder(egui::UiBuilder::new().max_rect(middle), |ui| {
            empty_state(
                ui,
                "No cell has a place here",
                "This embedding holds no numbers. Choose another, or the list.",
            );
        });
        return;
    }
    let view = MapView {
        camera: scope.view.camera,
        hidden: &scope.view.hidden,
        selected: local.selected,
        reveal: std::mem::take(&mut local.reveal),
        zoom: local.zoom.take(),
        tool: local.tool,
        max_cells: scope.max_cells,
        labels: scope.saved.colours.labels,
    };
    map_ui(ui, scope.map, view, out);
}

fn no_map_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    let n_obs = scope.work.dataset.as_ref().map(|d| d.n_obs).unwrap_or_default();
    ui.add_space(space::L);
    empty_state(
        ui,
        "This file has no map",
        &format!(
            "It holds no embedding such as obsm/X_umap, so the {} cells cannot be drawn yet. Compute a map here, or \
             choose a cell from the list. The file itself is not changed.",
            grouped(n_obs as i64)
        ),
    );
    ui.add_space(space::M);
    ui.vertical_centered(|ui| {
        let computing = scope.work.jobs.iter().find(|job| job.what == MAP_JOB);
        match computing {
            Some(job) => {
                let step = job.progress.as_ref().map_or(MAP_JOB, |progress| progress.what.as_str());
                muted(ui, format!("{step}…"));
                if quiet_button(ui, "Stop").clicked() {
                    out.push(Action::CancelJob(job.id));
                }
            }
            None => {
                let button = primary_button(ui, Command::ComputeMap.text());
                if button.on_hover_text(Command::ComputeMap.tooltip()).clicked() {
                    out.push(Action::Run(Command::ComputeMap));
                }
            }
        }
    });
    ui.add_space(space::L);
}
