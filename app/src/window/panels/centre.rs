//! The middle of the window: the panes, and the ontology below them.

use std::collections::BTreeSet;

use eframe::egui::style::ScrollAnimation;
use eframe::egui::{
    self, Align, Button, CentralPanel, Color32, CursorIcon, Frame, Id, Layout, Margin, Response, Spinner,
    Stroke, Ui, Visuals, WidgetText, vec2,
};
use egui_tiles::{Behavior, SimplificationOptions, TabState, Tabs, TileId, Tiles, UiResponse};

use super::super::command::{Action, Command};
use super::super::dock::{Dock, Pane, SIMPLIFICATION};
use super::super::map::{Map, MapView, Tool, embedding_title, grouped, map_ui};
use super::super::theme::{Tokens, space};
use super::widgets::{empty_state, muted, panel_frame, primary_button, quiet_button};
use super::{Local, Out, Scope, cell_list, compare, gene_maps, genes, ontology, plots, tab};

/// The width below which the embeddings and the list stand in one menu of the bar over the map.
const LEAST_BAR: f32 = 240.0;
/// The width below which the buttons of the camera do so, too.
const LEAST_CAMERA: f32 = 168.0;
/// Letters of the name of an embedding that such a menu shows.
const MENU_LETTERS: usize = 8;
/// The buttons of the camera.
const CAMERA: [(&str, Command); 3] =
    [("−", Command::ZoomOut), ("+", Command::ZoomIn), ("Fit", Command::FitMap)];
/// Frames over which a tab that came to the front is brought into view.
const FRAMES_BROUGHT_IN: usize = 4;
/// What the engine calls the job that computes a map.
const MAP_JOB: &str = "Computing a map";

/// Paints the middle and returns the height of the ontology panel.
pub fn centre_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, dock: &mut Dock, out: Out<'_>) -> f32 {
    let mut height = scope.saved.ontology_height;
    if scope.saved.ontology_open {
        height = ontology::ontology_ui(ui, scope, local, out);
    }
    CentralPanel::no_frame().show(ui, |ui| {
        local.middle_width = Some(ui.available_width());
        let single = dock.is_single();
        let mut panes = Panes { scope, local, out, single, tokens: Tokens::of(ui) };
        dock.tree().ui(&mut panes, ui);
    });
    height
}

/// How the panes are painted.
struct Panes<'a, 'b> {
    scope: &'a Scope<'b>,
    local: &'a mut Local,
    out: Out<'a>,
    /// Whether there is one pane, which needs no tab.
    single: bool,
    tokens: &'static Tokens,
}

impl Behavior<Pane> for Panes<'_, '_> {
    fn pane_ui(&mut self, ui: &mut Ui, _tile: TileId, pane: &mut Pane) -> UiResponse {
        let (scope, local, out) = (self.scope, &mut *self.local, &mut *self.out);
        match *pane {
            Pane::Map => map_pane_ui(ui, scope, local, out),
            Pane::List => list_pane_ui(ui, scope, local, out),
            Pane::Comparison => compare::comparison_ui(ui, scope, local, out),
            Pane::GeneMaps => gene_maps::gene_maps_ui(ui, scope, local, out),
            Pane::Genes => genes::gene_lists_ui(ui, scope, local, out),
            Pane::Histogram
            | Pane::Violin
            | Pane::DotPlot
            | Pane::Heatmap
            | Pane::Scatter
            | Pane::Composition => plots::plot_ui(ui, *pane, scope, local, out),
        }
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, pane: &Pane) -> WidgetText {
        pane.title().into()
    }

    fn is_tab_closable(&self, _tiles: &Tiles<Pane>, _tile: TileId) -> bool {
        !self.single
    }

    fn on_tab_close(&mut self, tiles: &mut Tiles<Pane>, tile: TileId) -> bool {
        // The layout changes with all else, at the end of the frame.
        if let Some(pane) = tiles.get_pane(&tile) {
            self.out.push(Action::ClosePane(*pane));
        }
        false
    }

    fn is_tab_bar_visible(&self, _tile: TileId, _tabs: &Tabs) -> bool {
        !self.single
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SIMPLIFICATION
    }

    fn tab_ui(
        &mut self,
        tiles: &mut Tiles<Pane>,
        ui: &mut Ui,
        id: Id,
        tile: TileId,
        state: &TabState,
    ) -> Response {
        let title = self.tab_title_for_tile(tiles, tile);
        let tab = tab::tab_ui(ui, id, title.text(), state.active, state.is_being_dragged, state.closable);
        if tab.close {
            self.on_tab_close(tiles, tile);
        }
        // One that was opened or chosen elsewhere may lie behind the arrows of the bar; those take their room a frame later.
        let in_front = ui.data(|d| d.get_temp::<usize>(id)).unwrap_or(0);
        if state.active && in_front < FRAMES_BROUGHT_IN {
            ui.scroll_to_rect_animation(tab.response.rect, None, ScrollAnimation::none());
            ui.ctx().request_repaint();
        }
        ui.data_mut(|d| d.insert_temp(id, if state.active { in_front.saturating_add(1) } else { 0 }));
        tab.response.on_hover_cursor(CursorIcon::Default)
    }

    fn tab_bar_height(&self, _style: &egui::Style) -> f32 {
        30.0
    }

    fn gap_width(&self, _style: &egui::Style) -> f32 {
        2.0
    }

    fn min_size(&self) -> f32 {
        160.0
    }

    fn tab_bar_color(&self, _visuals: &Visuals) -> Color32 {
        if self.tokens.dark { self.tokens.canvas } else { self.tokens.control }
    }

    fn tab_bar_hline_stroke(&self, _visuals: &Visuals) -> Stroke {
        Stroke::NONE
    }
}

fn map_pane_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    egui::Panel::top("map bar")
        .show_separator_line(false)
        .frame(panel_frame(t, Margin::symmetric(12, 6)))
        .show(ui, |ui| bar_ui(ui, scope, out));
    CentralPanel::no_frame().show(ui, |ui| {
        if scope.now.has_map {
            map_area_ui(ui, scope, local, out);
        } else {
            list_frame_ui(ui, |ui| {
                no_map_ui(ui, scope, out);
                cell_list::cell_list_ui(ui, scope, local, out);
            });
        }
    });
}

fn list_pane_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    list_frame_ui(ui, |ui| cell_list::cell_list_ui(ui, scope, local, out));
}

fn list_frame_ui(ui: &mut Ui, contents: impl FnOnce(&mut Ui)) {
    let t = Tokens::of(ui);
    ui.painter().rect_filled(ui.max_rect(), 0.0, t.canvas);
    Frame::new().fill(t.canvas).inner_margin(Margin::same(12)).show(ui, |ui| {
        ui.take_available_width();
        contents(ui);
    });
}

fn bar_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    let Some(dataset) = &scope.work.dataset else { return };
    // As many embeddings as there is room for; the rest is a menu.
    let room = ui.available_width();
    let inline = (((room - 190.0) / 72.0) as usize).clamp(0, 6);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        let on_map = scope.now.has_map;
        for (i, embedding) in dataset.embeddings.iter().enumerate().take(inline) {
            let chosen = on_map && embedding.name == scope.view.embedding;
            let button = Button::selectable(chosen, embedding_title(&embedding.name));
            if ui.add(button).on_hover_text(format!("obsm/{}", embedding.name)).clicked() {
                out.push(Action::SetEmbedding(i));
                out.push(Action::Run(Command::ShowMap));
            }
        }
        let narrow = room < LEAST_BAR && on_map;
        if dataset.embeddings.len() > inline || narrow {
            // Where none stands beside it, the menu says which is shown.
            let title = match inline {
                0 => shortened(&embedding_title(&scope.view.embedding)),
                _ => "More".to_owned(),
            };
            let menu = ui.menu_button(title, |ui| {
                for (i, embedding) in dataset.embeddings.iter().enumerate().skip(inline) {
                    if ui.button(embedding_title(&embedding.name)).clicked() {
                        out.push(Action::SetEmbedding(i));
                        out.push(Action::Run(Command::ShowMap));
                        ui.close();
                    }
                }
                if narrow {
                    ui.separator();
                    let camera = CAMERA.into_iter().filter(|_| room < LEAST_CAMERA);
                    for (text, command) in [("List", Command::ShowCellList)].into_iter().chain(camera) {
                        let text = if command == Command::ShowCellList { text } else { command.text() };
                        if ui.button(text).clicked() {
                            out.push(Action::Run(command));
                            ui.close();
                        }
                    }
                }
            });
            menu.response.on_hover_text("Which map is shown");
        }
        if narrow {
            if room >= LEAST_CAMERA {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| camera_ui(ui, out));
            }
            return;
        }
        let listed = scope.shown.contains(&Pane::List) || !on_map;
        let list = ui.add(Button::selectable(listed, "List")).on_hover_text(Command::ShowCellList.tooltip());
        if list.clicked() {
            out.push(Action::Run(Command::ShowCellList));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            if on_map {
                camera_ui(ui, out);
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

/// The buttons of the camera, from right to left.
fn camera_ui(ui: &mut Ui, out: Out<'_>) {
    ui.spacing_mut().item_spacing.x = space::XS;
    for (text, command) in CAMERA.into_iter().rev() {
        let button = Button::new(text).min_size(vec2(26.0, 0.0));
        let response = ui.add(button).on_hover_text(command.tooltip()).accessible_name(command.text());
        if response.clicked() {
            out.push(Action::Run(command));
        }
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(MENU_LETTERS) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or(name)),
        None => name.to_owned(),
    }
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
    local.map_rect = Some(rect);
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

/// The map of a data set on its way: it can be looked at, and nothing can be asked of it yet.
pub fn first_map_ui(ui: &mut Ui, scope: &Scope<'_>, map: &Map) {
    let view = MapView {
        camera: None,
        hidden: &BTreeSet::new(),
        selected: None,
        reveal: false,
        zoom: None,
        tool: Tool::Pan,
        max_cells: scope.max_cells,
        labels: scope.saved.colours.labels,
    };
    map_ui(ui, map, view, &mut Vec::new());
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
