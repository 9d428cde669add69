//! One tab over the panes: its name and the cross that closes it, both with a name for screen readers.
//!
//! egui_tiles paints tabs by itself, but calls every cross "Close", so that one cannot hear what would be closed.

use eframe::egui::{
    Align2, CursorIcon, FontSelection, Id, Rect, Response, Role, Sense, Stroke, TextStyle, TextWrapMode, Ui,
    Vec2, WidgetInfo, WidgetText, vec2,
};

use super::super::theme::Tokens;

/// Left and right of the title.
const BESIDE: f32 = 12.0;
/// Between the title and the cross.
const GAP: f32 = 4.0;
/// The side of the square in which the cross is clicked, and what of it stays free around the cross.
const CROSS: f32 = 12.0;
const AROUND: f32 = 2.0;

/// What became of a tab.
pub struct Tab {
    /// The tab, which is clicked and dragged.
    pub response: Response,
    /// Whether it is to be closed.
    pub close: bool,
}

/// Paints a tab called `title`.
pub fn tab_ui(ui: &mut Ui, id: Id, title: &str, active: bool, dragged: bool, closable: bool) -> Tab {
    let t = Tokens::of(ui);
    let font = FontSelection::from(TextStyle::Button);
    let galley = WidgetText::from(title).into_galley(ui, Some(TextWrapMode::Extend), f32::INFINITY, font);
    let width = galley.size().x + 2.0 * BESIDE + f32::from(u8::from(closable)) * (GAP + CROSS);
    let (_, rect) = ui.allocate_space(vec2(width, ui.available_height()));
    let response = ui.interact(rect, id, Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::selected(Role::Button, ui.is_enabled(), active, title));
    let mut close = false;
    // Where it is dragged there is a gap.
    if ui.is_rect_visible(rect) && !dragged {
        if active {
            ui.painter().rect_filled(rect.shrink(0.5), 0.0, t.panel);
            // It goes over into what lies below it.
            ui.painter().hline(rect.x_range(), rect.bottom(), Stroke::new(1.0, t.panel));
        }
        if response.has_focus() {
            let line = Stroke::new(1.0, t.accent);
            ui.painter().rect_stroke(rect.shrink(1.5), 3.0, line, eframe::egui::StrokeKind::Inside);
        }
        let inner = rect.shrink(BESIDE);
        let place = Align2::LEFT_CENTER.align_size_within_rect(galley.size(), inner).min;
        ui.painter().galley(place, galley, if active { t.text_strong } else { t.text_muted });
        if closable {
            let place = Align2::RIGHT_CENTER.align_size_within_rect(Vec2::splat(CROSS), inner);
            close = cross_ui(ui, id, place, title) || response.middle_clicked();
        }
    }
    Tab { response, close }
}

/// The cross. Whether it was clicked.
fn cross_ui(ui: &Ui, tab: Id, place: Rect, title: &str) -> bool {
    let name = format!("Close {title}");
    let cross = ui.interact(place, tab.with("close"), Sense::click_and_drag());
    cross.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), &name));
    let visuals = ui.style().interact(&cross);
    let rect = place.shrink(AROUND).expand(visuals.expansion);
    ui.painter().line_segment([rect.left_top(), rect.right_bottom()], visuals.fg_stroke);
    ui.painter().line_segment([rect.right_top(), rect.left_bottom()], visuals.fg_stroke);
    let clicked = cross.clicked();
    cross.on_hover_cursor(CursorIcon::Default).on_hover_text(name);
    clicked
}
