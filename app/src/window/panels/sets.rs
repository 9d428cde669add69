//! The selection, a range of numbers to select by, and the named sets.

use eframe::egui::{
    self, Align2, DragValue, Label, RichText, Role, Sense, TextEdit, TextStyle, Ui, WidgetInfo, pos2, vec2,
};

use super::super::command::{Action, Command};
use super::super::document::Edit;
use super::super::map::{Meaning, grouped, number};
use super::super::selection::Combine;
use super::super::theme::{Tokens, space};
use super::rename::rename_ui;
use super::widgets::{elided, heading, muted, quiet_button, row_rect, section};
use super::{Local, Out, Scope};

/// How many cells are selected, in words.
pub fn selected_words(scope: &Scope<'_>) -> String {
    let current = &scope.work.sets.current;
    format!("{} of {} cells selected", grouped(current.len() as i64), grouped(current.n_obs() as i64))
}

/// Paints the tab.
pub fn sets_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    ui.add_space(space::S);
    heading(ui, "Selection");
    let t = Tokens::of(ui);
    if scope.now.has_selected_cells {
        ui.label(RichText::new(selected_words(scope)).color(t.text));
    } else {
        let text = "No cells are selected. Draw around them with the lasso (S) or the box (B), or choose a label, a \
                    range or names. Shift adds, Alt takes away.";
        ui.add(Label::new(RichText::new(text).small().color(t.text_muted)).wrap());
    }
    ui.add_space(space::XS);
    for row in [
        &[
            ("All", Command::SelectAllCells),
            ("None", Command::SelectNoCells),
            ("Invert", Command::InvertSelection),
            ("By name…", Command::PasteCellNames),
        ][..],
        &[("Save as a set", Command::SaveSet), ("Label…", Command::LabelCells)],
    ] {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            for (text, command) in row {
                let enabled = command.is_enabled(scope.now);
                let response = ui.add_enabled_ui(enabled, |ui| quiet_button(ui, text)).inner;
                let name = command.text().trim_end_matches('…');
                if response.on_hover_text(command.tooltip()).accessible_name(name).clicked() {
                    out.push(Action::Run(*command));
                }
            }
        });
    }
    range_ui(ui, scope, local, out);
    section(ui, "Named sets");
    if scope.work.sets.named.is_empty() {
        muted(ui, "Save the selection as a set to keep it here.");
    }
    ui.spacing_mut().item_spacing.y = 0.0;
    for i in 0..scope.work.sets.named.len() {
        set_ui(ui, scope, local, i, out);
    }
    if !scope.work.sets.named.is_empty() {
        ui.add_space(space::XS);
        muted(ui, "Click selects, with Shift adds, with Alt takes away.");
    }
}

/// From and to, where the cells are coloured by a number.
fn range_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let colouring = scope.map.colouring();
    let Meaning::Numbers { low, high, unit, .. } = &colouring.meaning else { return };
    section(ui, &format!("By {}", colouring.title));
    let of_this = local.range.as_ref().is_some_and(|(title, ..)| *title == colouring.title);
    if !of_this {
        local.range = Some((colouring.title.clone(), *low, *high));
    }
    let Some((_, from, to)) = &mut local.range else { return };
    let speed = f64::from((high - low) / 200.0).max(1e-6);
    ui.horizontal(|ui| {
        let mut changed = false;
        for (name, value, range) in [("From", &mut *from, *low..=*high), ("To", &mut *to, *low..=*high)] {
            muted(ui, name);
            let drag = DragValue::new(value)
                .speed(speed)
                .range(range)
                .max_decimals(4)
                .custom_formatter(|v, _| number(v as f32));
            changed |= ui.add(drag).accessible_name(format!("{name}, {}", colouring.title)).changed();
        }
        let asked = quiet_button(ui, "Select").on_hover_text("Select the cells in this range").clicked();
        if changed || asked {
            out.push(Action::SelectRange(*from, *to));
        }
    });
    let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
    muted(ui, format!("The values go from {} to {}{unit}. Drag or type.", number(*low), number(*high)));
}

fn set_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, i: usize, out: Out<'_>) {
    let Some(set) = scope.work.sets.named.get(i) else { return };
    let key = format!("set {i}");
    if local.renames(&key) {
        let width = ui.available_width();
        if let Some(name) = rename_ui(ui, local, width, "Name of the set")
            && name != set.name
        {
            out.push(Action::Edit(Edit::RenameSet(i, name)));
        }
        ui.add_space(space::XS);
        return;
    }
    let is_selected = set.cells == scope.work.sets.current;
    let response = entry_ui(ui, &set.name, set.cells.len(), is_selected, |ui| {
        menu_ui(ui, scope, local, i, &key, out);
    });
    if response.clicked() {
        out.push(Action::SelectSet(i, Combine::of(ui.input(|i| i.modifiers))));
    }
}

/// A row with a name, a number of cells, and a menu at its end.
pub fn entry_ui(
    ui: &mut Ui,
    name: &str,
    cells: usize,
    is_chosen: bool,
    menu: impl FnOnce(&mut Ui),
) -> egui::Response {
    let t = Tokens::of(ui);
    let menu_width = 28.0;
    let (rect, _) = row_rect(ui, 26.0, Sense::hover());
    let row = rect.with_max_x(rect.right() - menu_width - 2.0);
    let response = ui.interact(row, ui.scope_id().with(("entry", name)), Sense::click());
    if is_chosen {
        ui.painter().rect_filled(row, 5.0, t.accent_soft);
    } else if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(row, 5.0, t.control);
    }
    let small = TextStyle::Small.resolve(ui.style());
    let body = TextStyle::Body.resolve(ui.style());
    let count = ui.painter().text(
        pos2(row.right() - 8.0, row.center().y),
        Align2::RIGHT_CENTER,
        grouped(cells as i64),
        small,
        t.text_muted,
    );
    let left = pos2(row.left() + 8.0, row.center().y);
    elided(ui, left, count.left() - left.x - space::S, name, &body, t.text);
    let label = format!("{name}, {} {}", grouped(cells as i64), if cells == 1 { "cell" } else { "cells" });
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, is_chosen, &label));
    let place = egui::Rect::from_min_max(
        pos2(rect.right() - menu_width, rect.top() + 2.0),
        rect.max - vec2(0.0, 2.0),
    );
    ui.scope_builder(egui::UiBuilder::new().max_rect(place), |ui| {
        ui.spacing_mut().button_padding = vec2(6.0, 0.0);
        ui.spacing_mut().interact_size.y = 22.0;
        let more = ui.menu_button("…", menu);
        more.response.accessible_name(format!("More for {name}"));
    });
    response.on_hover_text(label)
}

fn menu_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, i: usize, key: &str, out: Out<'_>) {
    ui.set_min_width(200.0);
    for (text, combine) in [
        ("Select", Combine::Replace),
        ("Add to the selection", Combine::Add),
        ("Take from the selection", Combine::Subtract),
        ("Keep only what is in both", Combine::Intersect),
    ] {
        if ui.button(text).clicked() {
            out.push(Action::SelectSet(i, combine));
            ui.close();
        }
    }
    ui.separator();
    if ui.button("Rename").clicked() {
        if let Some(set) = scope.work.sets.named.get(i) {
            local.rename(key.to_owned(), &set.name);
        }
        ui.close();
    }
    if ui.button("Replace with the selection").clicked() {
        out.push(Action::Edit(Edit::ReplaceSet(i)));
        ui.close();
    }
    if ui.button("Delete").clicked() {
        out.push(Action::Edit(Edit::DeleteSet(i)));
        ui.close();
    }
}

/// Paints the dialog in which names of cells are pasted.
pub fn cell_names_ui(ui: &mut Ui, local: &mut Local) {
    let t = Tokens::of(ui);
    ui.set_width(460.0);
    ui.label(RichText::new("Select cells by name").heading().color(t.text_strong));
    muted(ui, "Paste names, one a line or parted by commas. What is not found is told.");
    ui.add_space(space::S);
    egui::ScrollArea::vertical().max_height(280.0).show(ui, |ui| {
        let field = TextEdit::multiline(&mut local.cell_names)
            .desired_rows(10)
            .desired_width(f32::INFINITY)
            .hint_text("AAACATACAACCAC-1\nAAACATTGAGCTAC-1");
        let response = ui.add(field).accessible_name("Names of cells");
        if local.cell_names.is_empty() && ui.memory(|m| m.focused().is_none()) {
            response.request_focus();
        }
    });
}

/// The button of that dialog; whether it was clicked.
pub fn select_names_ui(ui: &mut Ui, local: &mut Local, out: Out<'_>) -> bool {
    let filled = !local.cell_names.trim().is_empty();
    let clicked = ui.add_enabled(filled, egui::Button::new("Select these cells")).clicked();
    if clicked {
        out.push(Action::SelectNames(std::mem::take(&mut local.cell_names)));
    }
    clicked
}
