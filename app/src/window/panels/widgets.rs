//! Small parts that several panels share.

use eframe::egui::{
    self, Align, Align2, Button, Color32, FontId, Frame, Layout, Margin, Pos2, Rect, Response, RichText,
    Role, Sense, Shape, Stroke, TextStyle, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use super::super::theme::{Tokens, space, strong_style};

/// The heading of a section, with room above it.
pub fn section(ui: &mut Ui, title: &str) {
    ui.add_space(space::L - space::XS);
    heading(ui, title);
    ui.add_space(space::XS);
}

/// A heading of the size of running text.
pub fn heading(ui: &mut Ui, title: &str) -> Response {
    let t = Tokens::of(ui);
    ui.label(RichText::new(title).text_style(strong_style()).color(t.text_strong))
}

/// A heading with buttons at the right end of its line.
pub fn section_with(ui: &mut Ui, title: &str, right: impl FnOnce(&mut Ui)) {
    ui.add_space(space::L - space::XS);
    ui.horizontal(|ui| {
        heading(ui, title);
        ui.with_layout(Layout::right_to_left(Align::Center), right);
    });
    ui.add_space(space::XS);
}

/// Quiet small text.
pub fn muted(ui: &mut Ui, text: impl Into<String>) -> Response {
    let t = Tokens::of(ui);
    ui.label(RichText::new(text).small().color(t.text_muted))
}

/// The one button that matters most in its place.
pub fn primary_button(ui: &mut Ui, text: &str) -> Response {
    let t = Tokens::of(ui);
    let text = RichText::new(text).color(t.on_accent);
    ui.add(Button::new(text).fill(t.accent).stroke(Stroke::NONE).min_size(vec2(0.0, 32.0)))
}

/// The same in a row of fields, as high as they are.
pub fn primary_in_row(ui: &mut Ui, text: &str, enabled: bool) -> Response {
    let t = Tokens::of(ui);
    let text = RichText::new(text).color(t.on_accent);
    let button = Button::new(text).fill(t.accent).stroke(Stroke::NONE).wrap_mode(egui::TextWrapMode::Extend);
    ui.add_enabled(enabled, button)
}

/// A small button without weight, for the end of a heading.
pub fn quiet_button(ui: &mut Ui, text: &str) -> Response {
    // Not in a scope: in a row that wraps, a scope takes what is left of the line instead of going to the next.
    let before = (ui.spacing().button_padding, ui.spacing().interact_size.y);
    ui.spacing_mut().button_padding = vec2(8.0, 1.0);
    ui.spacing_mut().interact_size.y = 22.0;
    let button = Button::new(RichText::new(text).small()).wrap_mode(egui::TextWrapMode::Extend);
    let response = ui.add(button);
    (ui.spacing_mut().button_padding, ui.spacing_mut().interact_size.y) = before;
    response
}

/// Sets the size of chips for what is added to `ui` from here on.
pub fn chip_style(ui: &mut Ui) {
    ui.spacing_mut().item_spacing = vec2(space::XS, space::XS);
    ui.spacing_mut().button_padding = vec2(7.0, 0.0);
    ui.spacing_mut().interact_size.y = 20.0;
}

/// A chip that can be clicked: a gene, a term. The caller has set [`chip_style`].
pub fn chip(ui: &mut Ui, text: &str, hover: &str) -> Response {
    let t = Tokens::of(ui);
    let text = RichText::new(text).small().color(t.text);
    let button =
        Button::new(text).corner_radius(10).stroke(Stroke::NONE).wrap_mode(egui::TextWrapMode::Extend);
    ui.add(button).on_hover_text(hover)
}

/// A triangle that warns, or a dot that tells.
pub fn severity_mark(ui: &mut Ui, serious: bool) {
    let t = Tokens::of(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(12.0, 14.0), Sense::hover());
    let c = rect.center();
    if serious {
        warning_triangle(ui, c, t.warn);
    } else {
        ui.painter().circle_filled(c, 3.0, t.text_muted);
    }
}

/// A small filled triangle around `c`.
pub fn warning_triangle(ui: &Ui, c: Pos2, colour: Color32) {
    let points = vec![c + vec2(0.0, -5.0), c + vec2(5.5, 4.5), c + vec2(-5.5, 4.5)];
    ui.painter().add(Shape::convex_polygon(points, colour, Stroke::NONE));
}

/// A row: a bar of `share` (0 to 1) between a name and a value. The whole row can be clicked.
pub fn bar_row(ui: &mut Ui, name: &str, value: &str, share: f32, name_width: f32) -> Response {
    let t = Tokens::of(ui);
    let size = vec2(ui.available_width(), 20.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    if ui.is_rect_visible(rect) {
        let painter = ui.painter();
        if response.hovered() || response.has_focus() {
            painter.rect_filled(rect.expand2(vec2(4.0, 0.0)), 4.0, t.control);
        }
        let font = TextStyle::Body.resolve(ui.style());
        let small = TextStyle::Small.resolve(ui.style());
        elided(ui, rect.left_center(), name_width - space::S, name, &font, t.text);
        painter.text(rect.right_center(), Align2::RIGHT_CENTER, value, small, t.text_muted);
        let full = Rect::from_min_max(
            pos2(rect.left() + name_width, rect.center().y - 3.5),
            pos2(rect.right() - 44.0, rect.center().y + 3.5),
        );
        if full.width() > 8.0 {
            painter.rect_filled(full, 2.0, t.line);
            let mut filled = full;
            filled.set_width(full.width() * share.clamp(0.0, 1.0));
            painter.rect_filled(filled, 2.0, t.bar);
        }
    }
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{name} {value}")));
    response
}

/// A name before its value, cut where it is too long.
fn key_ui(ui: &mut Ui, key: &str, width: f32) {
    let (rect, response) = ui.allocate_exact_size(vec2(width, 18.0), Sense::hover());
    let font = TextStyle::Small.resolve(ui.style());
    let colour = Tokens::of(ui).text_muted;
    if elided(ui, rect.left_center(), width - 4.0, key, &font, colour) {
        response.on_hover_text(key);
    } else {
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, key));
    }
}

/// A name and its value; long values wrap under themselves.
pub fn key_value(ui: &mut Ui, key: &str, value: Option<&str>, key_width: f32) {
    let t = Tokens::of(ui);
    ui.horizontal_top(|ui| {
        key_ui(ui, key, key_width);
        match value {
            Some(value) => {
                ui.add(egui::Label::new(RichText::new(value).color(t.text)).wrap().selectable(true))
            }
            None => ui.label(RichText::new("missing").color(t.text_muted)),
        };
    });
}

/// A name and a number; what is shown of the number is short, and its exact value appears under the pointer and is
/// what a screen reader says.
pub fn key_number(ui: &mut Ui, key: &str, exact: &str, short: &str, key_width: f32) {
    let t = Tokens::of(ui);
    ui.horizontal_top(|ui| {
        key_ui(ui, key, key_width);
        let value = ui.add(egui::Label::new(RichText::new(short).color(t.text)).selectable(true));
        value.widget_info(|| WidgetInfo::labeled(Role::Label, true, exact));
        value.on_hover_text(exact);
    });
}

/// One line of text, cut with … where it does not fit. Whether it was cut.
pub fn elided(ui: &Ui, left_centre: Pos2, width: f32, text: &str, font: &FontId, colour: Color32) -> bool {
    let mut job = egui::text::LayoutJob::simple_singleline(text.to_owned(), font.clone(), colour);
    job.wrap = egui::text::TextWrapping::truncate_at_width(width.max(1.0));
    let galley = ui.painter().layout_job(job);
    let cut = galley.elided;
    let place = pos2(left_centre.x, left_centre.y - galley.size().y / 2.0);
    ui.painter().galley(place, galley, colour);
    cut
}

/// The frame of a side panel or bar.
pub fn panel_frame(t: &Tokens, margin: Margin) -> Frame {
    Frame::new().fill(t.panel).inner_margin(margin)
}

/// A title and a sentence in the middle of an empty place.
pub fn empty_state(ui: &mut Ui, title: &str, text: &str) {
    let t = Tokens::of(ui);
    ui.vertical_centered(|ui| {
        ui.label(RichText::new(title).heading().color(t.text_strong));
        ui.add_space(space::XS);
        ui.scope(|ui| {
            ui.set_max_width(420.0_f32.min(ui.available_width()));
            ui.add(egui::Label::new(RichText::new(text).color(t.text_muted)).wrap());
        });
    });
}

/// How narrow and how wide a panel at a side may be: in a small window, or with large text, narrower than it likes, so
/// that the map keeps a third of the width.
pub fn side_widths(ui: &Ui, least: f32, most: f32) -> std::ops::RangeInclusive<f32> {
    let window = ui.ctx().content_rect().width();
    let share = if least < 250.0 { 0.29 } else { 0.38 };
    let least = least.min(window * share);
    least..=most.min(window * share).max(least)
}

/// Keys as a keyboard shows them.
pub fn keys(ui: &mut Ui, text: &str) {
    let t = Tokens::of(ui);
    Frame::new()
        .fill(t.control)
        .corner_radius(4)
        .inner_margin(Margin::symmetric(6, 1))
        .show(ui, |ui| ui.label(RichText::new(text).small().color(t.text)));
}

/// A round swatch, filled or, for what is hidden, as a ring.
pub fn swatch(ui: &Ui, centre: Pos2, colour: Color32, shown: bool) {
    if shown {
        ui.painter().circle_filled(centre, 5.0, colour);
    } else {
        ui.painter().circle_stroke(centre, 4.5, Stroke::new(1.0, Tokens::of(ui).text_muted));
    }
}

/// A shortcut as it stands on the keys: signs as signs, other keys by name.
pub fn shortcut_words(ctx: &egui::Context, shortcut: &egui::KeyboardShortcut) -> String {
    let words = ctx.format_shortcut(shortcut);
    let name = shortcut.logical_key.name();
    let sign = match shortcut.logical_key {
        egui::Key::Period => ".",
        egui::Key::Plus => "+",
        egui::Key::Minus => "−",
        egui::Key::Equals => "=",
        egui::Key::Questionmark => "?",
        egui::Key::Escape => "Esc",
        _ => return words,
    };
    words.strip_suffix(name).map_or_else(|| words.clone(), |before| format!("{before}{sign}"))
}

/// Room for a row of a given height over the whole width.
pub fn row_rect(ui: &mut Ui, height: f32, sense: Sense) -> (Rect, Response) {
    ui.allocate_exact_size(Vec2::new(ui.available_width(), height), sense)
}
