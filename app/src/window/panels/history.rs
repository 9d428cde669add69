//! The list of steps: any of them can be gone back to.

use eframe::egui::{RichText, Role, ScrollArea, Sense, TextStyle, Ui, WidgetInfo, pos2};

use super::super::command::Action;
use super::super::theme::{Tokens, space};
use super::widgets::{elided, muted, row_rect};
use super::{Out, Scope};

/// Paints the list, the newest step first.
pub fn history_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    let t = Tokens::of(ui);
    let history = &scope.work.history;
    ui.set_width(420.0);
    ui.label(RichText::new("History").heading().color(t.text_strong));
    muted(
        ui,
        "Click a step to go back to it. Steps above the current one can be done again until something else is changed.",
    );
    ui.add_space(space::S);
    let height = (ui.ctx().content_rect().height() - 260.0).max(120.0);
    let names: Vec<&str> = history.names().collect();
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical().max_height(height).auto_shrink([false, true]).show_rows(
        ui,
        26.0,
        names.len(),
        |ui, rows| {
            for row in rows {
                // A long history is read from its end.
                let step = names.len() - 1 - row;
                let name = sentence(names.get(step).copied().unwrap_or_default());
                let is_current = step == history.at();
                let (rect, response) = row_rect(ui, 26.0, Sense::click());
                if is_current {
                    ui.painter().rect_filled(rect, 5.0, t.accent_soft);
                } else if response.hovered() || response.has_focus() {
                    ui.painter().rect_filled(rect, 5.0, t.control_hover);
                }
                let colour = if step > history.at() { t.text_muted } else { t.text };
                let font = TextStyle::Body.resolve(ui.style());
                elided(
                    ui,
                    pos2(rect.left() + 10.0, rect.center().y),
                    rect.width() - 20.0,
                    &name,
                    &font,
                    colour,
                );
                response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_current, &name));
                if response.clicked() {
                    out.push(Action::GoToStep(step));
                }
            }
        },
    );
}

/// A step's name with a capital first letter.
fn sentence(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
