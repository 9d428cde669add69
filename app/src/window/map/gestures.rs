//! Choosing cells on the map: lasso and box, and the bar with the tools.

use eframe::egui::{
    self, Color32, CursorIcon, Id, Pos2, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui, Vec2,
    WidgetInfo, pos2, vec2,
};

use super::super::command::{Action, Command};
use super::super::selection::Combine;
use super::super::theme::Tokens;
use super::Camera;

/// What dragging on the map does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tool {
    /// Moves the map.
    #[default]
    Pan,
    /// Draws a line around cells.
    Lasso,
    /// Draws a box around cells.
    Box,
}

impl Tool {
    /// All tools, in the order of the bar.
    const ALL: [Self; 3] = [Self::Pan, Self::Lasso, Self::Box];

    fn command(self) -> Command {
        match self {
            Self::Pan => Command::PanTool,
            Self::Lasso => Command::LassoTool,
            Self::Box => Command::BoxTool,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Pan => "Move",
            Self::Lasso => "Lasso",
            Self::Box => "Box",
        }
    }
}

/// How far the pointer moves, in points, until the lasso gets a corner.
const CORNER_EVERY: f32 = 3.0;

/// The line drawn so far, in the coordinates of the cells, so that it keeps its place when the map is zoomed.
#[derive(Debug, Clone, Default)]
struct Line(Vec<[f32; 2]>);

/// Follows the pointer while an area is drawn, paints it, and hands it on when the pointer is released.
pub fn area_ui(ui: &Ui, response: &Response, rect: Rect, camera: &Camera, tool: Tool, out: &mut Vec<Action>) {
    let key = response.id.with("area");
    if tool == Tool::Pan {
        ui.ctx().data_mut(|d| d.remove_temp::<Line>(key));
        return;
    }
    if response.hovered() {
        ui.ctx().set_cursor_icon(CursorIcon::Crosshair);
    }
    let primary = egui::PointerButton::Primary;
    let pointer = response.interact_pointer_pos();
    let mut line = ui.ctx().data(|d| d.get_temp::<Line>(key)).unwrap_or_default();
    if response.drag_started_by(primary) {
        let start = ui.input(|i| i.pointer.press_origin()).or(pointer);
        line = Line(start.map(|p| camera.to_cells(rect, p)).into_iter().collect());
    }
    if let (true, Some(pointer)) = (response.dragged_by(primary) && !line.0.is_empty(), pointer) {
        let place = camera.to_cells(rect, pointer);
        match tool {
            Tool::Box => {
                line.0.truncate(1);
                line.0.push(place);
            }
            _ => {
                let last = line.0.last().map(|p| camera.to_screen(rect, *p));
                if last.is_none_or(|last| last.distance(pointer) >= CORNER_EVERY) {
                    line.0.push(place);
                }
            }
        }
    }
    let area = corners(&line, tool);
    if response.drag_stopped_by(primary) {
        line.0.clear();
        if area.len() > 2 {
            let what = if tool == Tool::Box { "box" } else { "lasso" };
            let combine = Combine::of(ui.input(|i| i.modifiers));
            out.push(Action::SelectArea { what, area, combine });
        }
    } else if !area.is_empty() {
        let t = Tokens::of(ui);
        let places: Vec<Pos2> = area.iter().map(|p| camera.to_screen(rect, *p)).collect();
        paint(ui, rect, &places, tool, t);
    }
    ui.ctx().data_mut(|d| {
        if line.0.is_empty() {
            d.remove_temp::<Line>(key);
        } else {
            d.insert_temp(key, line);
        }
    });
}

/// The corners of the area.
fn corners(line: &Line, tool: Tool) -> Vec<[f32; 2]> {
    match (tool, line.0.as_slice()) {
        (Tool::Box, [a, b]) => vec![*a, [b[0], a[1]], *b, [a[0], b[1]]],
        (Tool::Box, _) => Vec::new(),
        (_, line) => line.to_vec(),
    }
}

fn paint(ui: &Ui, rect: Rect, places: &[Pos2], tool: Tool, t: &Tokens) {
    let painter = ui.painter_at(rect);
    let stroke = Stroke::new(1.5, t.accent);
    if tool == Tool::Box {
        let area = Rect::from_points(places);
        painter.rect_filled(area, 0.0, t.accent.gamma_multiply(0.12));
        painter.rect_stroke(area, 0.0, stroke, StrokeKind::Middle);
        return;
    }
    painter.add(Shape::line(places.to_vec(), stroke));
    if let (Some(first), Some(last)) = (places.first(), places.last()) {
        painter.extend(Shape::dashed_line(&[*last, *first], Stroke::new(1.0, t.accent), 4.0, 4.0));
        painter.circle_filled(*first, 3.0, t.accent);
    }
}

const BUTTON: Vec2 = vec2(30.0, 28.0);

/// The bar with the tools, in the upper left corner of the map.
pub fn tools_ui(ui: &mut Ui, id: Id, map: Rect, chosen: Tool, out: &mut Vec<Action>) {
    let t = Tokens::of(ui);
    let height = BUTTON.y * Tool::ALL.len() as f32 + 6.0;
    let bar = Rect::from_min_size(map.left_top() + vec2(12.0, 12.0), vec2(BUTTON.x + 6.0, height));
    if bar.right() > map.right() || bar.bottom() > map.bottom() {
        return;
    }
    ui.painter().rect(bar, 8.0, t.raised, Stroke::new(1.0, t.line), StrokeKind::Inside);
    for (i, tool) in Tool::ALL.into_iter().enumerate() {
        let place = bar.left_top() + vec2(3.0, 3.0 + BUTTON.y * i as f32);
        let rect = Rect::from_min_size(place, BUTTON);
        let response = ui.interact(rect, id.with(("tool", i)), Sense::click());
        let is_chosen = tool == chosen;
        if is_chosen {
            ui.painter().rect_filled(rect, 6.0, t.accent_soft);
        } else if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect, 6.0, t.control_hover);
        }
        if response.has_focus() {
            ui.painter().rect_stroke(rect, 6.0, Stroke::new(1.0, t.accent), StrokeKind::Inside);
        }
        sign(ui, rect.center(), tool, if is_chosen { t.accent } else { t.text_muted });
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_chosen, tool.title()));
        let command = tool.command();
        if response.clicked() {
            out.push(Action::Run(command));
        }
        let keys = command.shortcuts().first().map(|s| ui.ctx().format_shortcut(s)).unwrap_or_default();
        response.on_hover_text(format!("{} ({keys})", command.tooltip().trim_end_matches('.')));
    }
}

/// The sign of a tool around `c`.
fn sign(ui: &Ui, c: Pos2, tool: Tool, colour: Color32) {
    let painter = ui.painter();
    let stroke = Stroke::new(1.5, colour);
    match tool {
        Tool::Pan => {
            for d in [vec2(1.0, 0.0), vec2(-1.0, 0.0), vec2(0.0, 1.0), vec2(0.0, -1.0)] {
                let (tip, side) = (c + d * 7.5, vec2(d.y, d.x));
                painter.line_segment([c, tip], stroke);
                painter.line_segment([tip, tip - d * 2.8 + side * 2.8], stroke);
                painter.line_segment([tip, tip - d * 2.8 - side * 2.8], stroke);
            }
        }
        Tool::Lasso => {
            let loop_at = |i: usize| {
                let angle = i as f32 / 24.0 * std::f32::consts::TAU;
                c + vec2(7.5 * angle.cos(), 5.0 * angle.sin() - 2.0)
            };
            painter.add(Shape::closed_line((0..24).map(loop_at).collect(), stroke));
            painter.add(Shape::line(
                vec![c + vec2(-3.5, 2.5), c + vec2(-4.5, 5.5), c + vec2(-1.5, 7.5)],
                stroke,
            ));
        }
        Tool::Box => {
            let r = Rect::from_center_size(c, vec2(14.0, 12.0));
            let ring =
                [r.left_top(), r.right_top(), r.right_bottom(), r.left_bottom(), pos2(r.left(), r.top())];
            painter.extend(Shape::dashed_line(&ring, stroke, 3.0, 2.2));
        }
    }
}
