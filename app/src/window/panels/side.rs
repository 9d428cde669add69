//! The panel at the right: one cell, the sets, the labels, one tab each.

use eframe::egui::{self, Button, Margin, ScrollArea, Ui};

use super::super::theme::{Tokens, space};
use super::widgets::{panel_frame, side_widths};
use super::{Local, Out, Scope, Side, cell, labels, sets};

/// Paints the panel and returns its width.
pub fn side_panel_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) -> f32 {
    let t = Tokens::of(ui);
    egui::Panel::right("cell panel")
        .default_size(scope.saved.cell_panel_width)
        .size_range(side_widths(ui, 280.0, 640.0))
        .frame(panel_frame(t, Margin { left: 14, right: 4, top: 8, bottom: 0 }))
        .show(ui, |ui| {
            tabs_ui(ui, scope, local);
            ui.add_space(space::XS);
            match local.side {
                Side::Cell => cell::cell_ui(ui, scope, local, out),
                Side::Sets => scrolled(ui, "sets", |ui| sets::sets_ui(ui, scope, local, out)),
                Side::Labels => scrolled(ui, "labels", |ui| labels::labels_ui(ui, scope, local, out)),
            }
        })
        .response
        .rect
        .width()
}

fn tabs_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        let counted = |name: &str, n: usize| if n == 0 { name.to_owned() } else { format!("{name} {n}") };
        for (side, text, name) in [
            (Side::Cell, "Cell".to_owned(), "Cell tab"),
            (Side::Sets, counted("Sets", scope.work.sets.named.len()), "Sets tab"),
            (Side::Labels, counted("Labels", scope.work.labels.len()), "Labels tab"),
        ] {
            let button = Button::selectable(local.side == side, text);
            let response = ui.add(button).on_hover_text(side.command().tooltip()).accessible_name(name);
            if response.clicked() {
                local.side = side;
            }
        }
    });
}

fn scrolled(ui: &mut Ui, id: &str, content: impl FnOnce(&mut Ui)) {
    ScrollArea::vertical().id_salt(id).auto_shrink([false, false]).show(ui, |ui| {
        egui::Frame::new().inner_margin(Margin { right: 10, bottom: 16, ..Margin::ZERO }).show(ui, content);
    });
}
