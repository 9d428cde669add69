//! Drawing a box in a plot of two values selects the cells inside, on the map and everywhere.

use std::sync::Arc;

use eframe::egui::{CursorIcon, PointerButton, Pos2, Rect, Response, Stroke, StrokeKind, Ui, Vec2};

use super::super::super::command::Action;
use super::super::super::document::Edit;
use super::super::super::selection::{CellSet, Combine};
use super::super::super::theme::Tokens;
use super::super::Out;
use super::aggregate::Pairs;
use super::draw::Axis;

/// What is said of the keys that are held while a box is drawn.
pub const HINT: &str = "Shift adds the cells in the box to those selected, Alt takes them away.";

/// The values of every cell, and the cells that are drawn.
pub struct Gated<'a> {
    /// What is across and up.
    pub names: &'a [String; 2],
    /// Values across, `[n_obs]`.
    pub x: &'a [f32],
    /// Values up, `[n_obs]`.
    pub y: &'a [f32],
    /// Cells that are drawn.
    pub drawn: [&'a Pairs; 2],
}

/// Follows the pointer while a box is drawn, paints it, and selects the cells inside when the pointer is released.
/// `origin` is where the plot's own coordinates begin.
pub fn box_ui(
    ui: &Ui,
    response: &Response,
    origin: Pos2,
    [across, up]: [Axis; 2],
    gated: &Gated<'_>,
    out: Out<'_>,
) {
    let shift = Vec2::new(origin.x, origin.y);
    let corner = |x: f32, y: f32| Pos2::new(x, y) + shift;
    let frame = Rect::from_two_pos(corner(across.from, up.from), corner(across.to, up.to));
    let key = response.id.with("box");
    if response.hover_pos().is_some_and(|p| frame.contains(p)) {
        ui.ctx().set_cursor_icon(CursorIcon::Crosshair);
    }
    if response.drag_started_by(PointerButton::Primary)
        && let Some(start) = ui.input(|i| i.pointer.press_origin()).filter(|p| frame.contains(*p))
    {
        ui.ctx().data_mut(|d| d.insert_temp(key, start));
    }
    let Some(start) = ui.ctx().data(|d| d.get_temp::<Pos2>(key)) else { return };
    let Some(end) = response.interact_pointer_pos().or_else(|| ui.ctx().pointer_hover_pos()) else { return };
    let drawn = Rect::from_two_pos(start, end).intersect(frame);
    if response.drag_stopped_by(PointerButton::Primary) {
        ui.ctx().data_mut(|d| d.remove_temp::<Pos2>(key));
        let place = drawn.translate(-shift);
        let ranges = [
            [across.value_at(place.left()), across.value_at(place.right())],
            [up.value_at(place.bottom()), up.value_at(place.top())],
        ];
        let cells = Arc::new(inside(gated, ranges));
        let combine = Combine::of(ui.input(|i| i.modifiers));
        let what = format!("box in {} by {}", short(&gated.names[1]), short(&gated.names[0]));
        out.push(Action::Edit(Edit::Select { what, cells, combine }));
    } else if response.dragged() {
        let t = Tokens::of(ui);
        let painter = ui.painter_at(response.rect);
        painter.rect_filled(drawn, 0.0, t.accent.gamma_multiply(0.12));
        painter.rect_stroke(drawn, 0.0, Stroke::new(1.5, t.accent), StrokeKind::Middle);
    } else if !ui.input(|i| i.pointer.any_down()) {
        // The pointer was released elsewhere.
        ui.ctx().data_mut(|d| d.remove_temp::<Pos2>(key));
    }
}

/// A name without its unit.
fn short(name: &str) -> &str {
    name.split(", ").next().unwrap_or(name)
}

/// The cells drawn whose values lie in both ranges, ends included.
fn inside(gated: &Gated<'_>, [x, y]: [[f32; 2]; 2]) -> CellSet {
    let within =
        |range: [f32; 2], value: Option<&f32>| value.is_some_and(|v| (range[0]..=range[1]).contains(v));
    let cells = gated.drawn.iter().flat_map(|pairs| pairs.cells.iter().map(|cell| *cell as usize));
    let chosen = cells.filter(|cell| within(x, gated.x.get(*cell)) && within(y, gated.y.get(*cell)));
    CellSet::from_cells(gated.x.len(), chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(cells: &[u32]) -> Pairs {
        Pairs { cells: cells.to_vec(), x: [0.0, 1.0], y: [0.0, 1.0], correlation: 0.0, both: 0 }
    }

    #[test]
    fn a_box_holds_the_drawn_cells_in_both_ranges_and_no_others() {
        let names = ["LYZ, log".to_owned(), "CD3E, log".to_owned()];
        let x = [0.0, 1.0, 2.0, 3.0, 2.0, f32::NAN];
        let y = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let (shown, behind) = (pairs(&[0, 1, 2]), pairs(&[3]));
        // Cell 4 is hidden, cell 5 has no value.
        let gated = Gated { names: &names, x: &x, y: &y, drawn: [&shown, &behind] };
        let found = |ranges| inside(&gated, ranges).iter().collect::<Vec<_>>();
        assert_eq!(found([[1.0, 3.0], [0.5, 2.0]]), [1, 2, 3]);
        assert_eq!(found([[2.5, 9.0], [0.0, 1.0]]), [3]);
        assert!(found([[4.0, 9.0], [0.0, 1.0]]).is_empty());
        assert_eq!(short(&names[0]), "LYZ");
    }
}
