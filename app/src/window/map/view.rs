//! The map on the screen: drawing, dragging, zooming, pointing and clicking.

use std::collections::BTreeSet;

use eframe::egui::{self, Align2, FontId, Rect, Role, Sense, Stroke, Ui, WidgetInfo, vec2};
use eframe::egui_wgpu;

use super::super::command::{Action, Command};
use super::super::theme::{Tokens, space};
use super::gestures::{Tool, area_ui, tools_ui};
use super::gpu::{PointsCallback, Uniforms};
use super::{Camera, Map, Scene, embedding_title, grouped, labels};

/// How far from a cell's centre the pointer may be, in points, beyond the drawn radius.
const REACH: f32 = 5.0;

/// What the map needs to know.
#[derive(Debug, Clone, Copy)]
pub struct MapView<'a> {
    /// Where it looks; `None` fits all cells.
    pub camera: Option<Camera>,
    /// Hidden categories.
    pub hidden: &'a BTreeSet<usize>,
    /// The selected cell.
    pub selected: Option<usize>,
    /// Whether the selected cell is to be brought into view.
    pub reveal: bool,
    /// A zoom about the middle that was asked for.
    pub zoom: Option<f32>,
    /// What dragging does.
    pub tool: Tool,
    /// Cells that the GPU can hold; 0 without a GPU.
    pub max_cells: usize,
    /// Whether categories are named on the map.
    pub labels: bool,
}

/// Where the id of the map's widget is kept, for who asks whether the map has the keyboard.
pub fn focus_key() -> egui::Id {
    egui::Id::unique("the map's widget")
}

/// Paints the map into the rest of `ui`.
pub fn map_ui(ui: &mut Ui, map: &Map, view: MapView<'_>, out: &mut Vec<Action>) {
    let t = Tokens::of(ui);
    let rect = ui.available_rect_before_wrap();
    let response = ui.allocate_rect(rect, Sense::click_and_drag());
    ui.painter().rect_filled(rect, 0.0, t.canvas);
    let Some(scene) = map.scene().cloned() else {
        response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, "Map"));
        return;
    };
    let Some(bounds) = scene.bounds() else { return };
    let colouring = map.colouring().clone();
    let fitted = Camera::fit(bounds, rect);
    let mut camera = view.camera.unwrap_or(fitted);
    let before = camera;

    // Move and zoom.
    let pans = match view.tool {
        Tool::Pan => response.dragged(),
        // With a tool in hand the middle button moves the map.
        Tool::Lasso | Tool::Box => response.dragged_by(egui::PointerButton::Middle),
    };
    if pans {
        camera.pan(response.drag_delta());
    }
    if response.contains_pointer()
        && let Some(pointer) = ui.ctx().pointer_hover_pos()
    {
        let (scroll, pinch) = ui.input(|i| (i.smooth_scroll_delta().y, i.zoom_delta()));
        let factor = (scroll * 0.004).exp() * pinch;
        if factor != 1.0 {
            camera.zoom(rect, pointer, factor, &fitted);
        }
    }
    if let Some(factor) = view.zoom {
        camera.zoom(rect, rect.center(), factor, &fitted);
    }
    if response.double_clicked() && view.tool == Tool::Pan {
        out.push(Action::Run(Command::FitMap));
    }
    if view.reveal
        && let Some(p) = view.selected.and_then(|cell| scene.positions().get(cell))
        && p[0].is_finite()
    {
        camera.reveal(rect, *p);
    }
    if camera != before {
        out.push(Action::SetCamera(camera));
    }

    // Point and click.
    let zoom = camera.points_per_unit / fitted.points_per_unit;
    let radius = point_radius(scene.positions().len(), rect, zoom);
    let pick = |place: egui::Pos2| {
        scene.index.as_ref()?.nearest(
            scene.positions(),
            camera.to_cells(rect, place),
            (radius + REACH) / camera.points_per_unit,
            |cell| colouring.shows(cell, view.hidden),
        )
    };
    let hovered = response.hover_pos().filter(|_| !response.dragged()).and_then(pick);
    if response.clicked() {
        response.request_focus();
        if let Some(cell) = response.interact_pointer_pos().and_then(pick) {
            out.push(Action::SelectCell(cell));
        }
    }
    ui.ctx().data_mut(|d| d.insert_temp(focus_key(), response.id));
    if response.has_focus() {
        // The arrow keys walk from cell to cell here and must not move the focus.
        let filter =
            egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..Default::default() };
        ui.memory_mut(|m| m.set_focus_lock_filter(response.id, filter));
    }
    if hovered.is_some() {
        ui.ctx().set_cursor_icon(egui::CursorIcon::PointingHand);
    } else if response.dragged() {
        ui.ctx().set_cursor_icon(egui::CursorIcon::Grabbing);
    } else if response.hovered() {
        ui.ctx().set_cursor_icon(egui::CursorIcon::Default);
    }

    // Paint.
    let painter = ui.painter_at(rect);
    let n = scene.positions().len();
    if n <= view.max_cells {
        let pixels = ui.pixels_per_point();
        let per_unit = vec2(2.0 / rect.width(), 2.0 / rect.height()) * camera.points_per_unit;
        let callback = PointsCallback {
            rect,
            uniforms: Uniforms {
                scale: [per_unit.x, per_unit.y],
                offset: [-camera.centre[0] * per_unit.x, -camera.centre[1] * per_unit.y],
                viewport: [rect.width() * pixels, rect.height() * pixels],
                radius: radius * pixels,
                opacity: opacity(&scene, &fitted, radius, zoom),
                rim: if radius >= 2.5 { 0.22 } else { 0.0 },
                dim: u32::from_le_bytes(t.missing.to_array()),
                ..Uniforms::default()
            },
            positions: scene.gpu.clone(),
            order: map.drawn().clone(),
            sample: map.drawn_sample().clone(),
            colours: map.table.clone(),
            drawing: map.drawing.clone(),
        };
        painter.add(egui_wgpu::Callback::new_paint_callback(rect, callback));
        if !map.is_drawn() {
            labels::corner_note(ui, rect, &map.moving_words());
            // The next frames draw the rest.
            ui.ctx().request_repaint();
        }
    } else {
        let text = if view.max_cells == 0 {
            "No graphics adapter can draw the map.\nUse the list of cells, or update the graphics driver."
                .to_owned()
        } else {
            format!("The graphics adapter can draw {} cells.", grouped(view.max_cells as i64))
        };
        painter.text(rect.center(), Align2::CENTER_CENTER, text, FontId::proportional(14.0), t.text_muted);
    }
    let ring = |cell: usize, width: f32, colour: egui::Color32| {
        if let Some(p) = scene.positions().get(cell).filter(|p| p[0].is_finite() && p[1].is_finite()) {
            let centre = camera.to_screen(rect, *p);
            painter.circle_stroke(centre, radius + 4.0, Stroke::new(width + 2.5, t.canvas));
            painter.circle_stroke(centre, radius + 4.0, Stroke::new(width, colour));
        }
    };
    if let Some(cell) = hovered.filter(|c| Some(*c) != view.selected) {
        ring(cell, 1.5, t.text_muted);
    }
    if let Some(cell) = view.selected {
        ring(cell, 2.5, t.text_strong);
    }
    if view.labels {
        labels::labels_ui(ui, map, &camera, rect, |row| !view.hidden.contains(&row), out);
    }
    if response.has_focus() {
        painter.rect_stroke(rect.shrink(1.0), 0.0, Stroke::new(1.0, t.accent), egui::StrokeKind::Inside);
    }

    area_ui(ui, &response, rect, &camera, view.tool, out);
    tools_ui(ui, response.id, rect, view.tool, out);

    // Say.
    if let Some(cell) = hovered {
        tooltip(ui, &response, map, cell, camera.to_screen(rect, scene.positions()[cell]), radius);
    }
    let label = summary(map, view.selected);
    response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, &label));
}

/// The radius of a point, in points: smaller the more cells there are, larger when zoomed in.
fn point_radius(n_cells: usize, rect: Rect, zoom: f32) -> f32 {
    let room = (rect.area() / n_cells.max(1) as f32).sqrt();
    (room * 0.19).clamp(0.8, 3.8) * zoom.max(0.2).powf(0.33).clamp(0.7, 3.0)
}

/// The opacity of a point: full while points lie side by side, less the more of them lie on one another.
fn opacity(scene: &Scene, fitted: &Camera, radius: f32, zoom: f32) -> f32 {
    const MOST: f32 = 0.95;
    const LEAST: f32 = 0.35;
    let Some(bounds) = scene.bounds() else { return MOST };
    let [width, height] = bounds.size();
    // The area in points on which there are cells, at this zoom.
    let area = width * height * (fitted.points_per_unit * zoom).powi(2) * scene.occupied;
    let covered = scene.positions().len() as f32 * std::f32::consts::PI * radius * radius;
    let layers = covered / area.max(1.0);
    if layers.is_finite() { (MOST * (3.0 / layers.max(3.0)).sqrt()).clamp(LEAST, MOST) } else { MOST }
}

fn tooltip(ui: &Ui, response: &egui::Response, map: &Map, cell: usize, centre: egui::Pos2, radius: f32) {
    let t = Tokens::of(ui);
    let Some(name) = map.scene().and_then(|s| s.dataset.obs.index.get(cell).cloned()) else { return };
    let anchor = Rect::from_center_size(centre, vec2(radius * 2.0 + 12.0, radius * 2.0 + 12.0));
    let id = response.id.with("cell under the pointer");
    egui::Tooltip::always_open(ui.ctx().clone(), ui.layer_id(), id, anchor).show(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.spacing_mut().interact_size.y = 0.0;
        ui.label(egui::RichText::new(name).color(t.text_strong));
        let colouring = map.colouring();
        if let Some(value) = colouring.text(cell) {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = space::XS;
                ui.label(egui::RichText::new(&colouring.title).small().color(t.text_muted));
                ui.label(egui::RichText::new(value).small().color(t.text));
            });
        }
    });
}

/// The map in words, for who cannot see it.
fn summary(map: &Map, selected: Option<usize>) -> String {
    let Some(scene) = map.scene() else { return "Map".into() };
    let title = scene
        .dataset
        .embeddings
        .get(scene.embedding)
        .map_or_else(|| "Map".into(), |e| embedding_title(&e.name));
    let colouring = map.colouring();
    let mut text = format!("{title}, {} cells", grouped(scene.positions().len() as i64));
    if !colouring.title.is_empty() {
        text += &format!(", coloured by {}", colouring.title);
    }
    if map.n_selected() > 0 {
        text += &format!("; {} selected", grouped(map.n_selected() as i64));
    }
    if let Some(cell) = selected {
        let name = scene.dataset.obs.index.get(cell).map_or("", String::as_str);
        text += &format!("; selected cell {name}");
        if let Some(value) = colouring.text(cell) {
            text += &format!(": {value}");
        }
    }
    text
}
