//! What the colours mean. Rows of categories can be switched off and on.

use std::collections::BTreeSet;

use eframe::egui::{
    self, Align2, Label, Mesh, Rect, RichText, Role, Sense, Shape, Spinner, TextStyle, Ui, WidgetInfo, pos2,
    vec2,
};

use super::super::command::{Action, Command};
use super::super::map::{Category, Meaning, grouped, number};
use super::super::palette;
use super::super::theme::{Tokens, space};
use super::widgets::{elided, muted, quiet_button, row_rect, section, section_with, swatch};
use super::{Local, Out, Scope};

/// Rows shown before "Show all".
const MANY: usize = 24;

/// Paints the legend.
pub fn legend_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let colouring = scope.map.colouring();
    let title = if colouring.title.is_empty() { "Legend" } else { colouring.title.as_str() };
    match &colouring.meaning {
        Meaning::Plain => {
            if scope.map.is_busy() {
                section(ui, title);
                ui.add(Spinner::new().size(14.0));
            }
        }
        Meaning::Unusable(why) => {
            section(ui, title);
            let t = Tokens::of(ui);
            ui.add(Label::new(RichText::new(why).small().color(t.warn)).wrap());
        }
        Meaning::Categories { categories, .. } => {
            section_with(ui, title, |ui| {
                if !scope.view.hidden.is_empty() && quiet_button(ui, "Show all").clicked() {
                    out.push(Action::Run(Command::ShowAllCategories));
                }
            });
            categories_ui(ui, categories, &scope.view.hidden, local, out);
        }
        Meaning::Numbers { low, high, unit, missing, .. } => {
            section(ui, title);
            scale_ui(ui, title, *low, *high, unit);
            if *missing > 0 {
                missing_ui(ui, *missing);
            }
        }
    }
}

fn categories_ui(
    ui: &mut Ui,
    categories: &[Category],
    hidden: &BTreeSet<usize>,
    local: &mut Local,
    out: Out<'_>,
) {
    let shown = if local.all_categories { categories.len() } else { MANY };
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for (i, category) in categories.iter().enumerate().take(shown) {
            let response = category_ui(ui, category, !hidden.contains(&i));
            if response.double_clicked() {
                out.push(Action::IsolateCategory(i));
            } else if response.clicked() {
                out.push(Action::ToggleCategory(i));
            }
        }
    });
    ui.add_space(space::XS);
    if categories.len() > MANY {
        let text = if local.all_categories {
            "Show fewer".to_owned()
        } else {
            format!("Show all {}", categories.len())
        };
        if ui.link(text).clicked() {
            local.all_categories = !local.all_categories;
        }
    }
    muted(ui, "Click hides or shows, double-click shows only that one.");
}

fn category_ui(ui: &mut Ui, category: &Category, shown: bool) -> egui::Response {
    let t = Tokens::of(ui);
    let (rect, response) = row_rect(ui, 22.0, Sense::click());
    if ui.is_rect_visible(rect) {
        if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect.expand2(vec2(4.0, 0.0)), 4.0, t.control);
        }
        let colour = if category.is_missing { t.missing } else { category.colour };
        swatch(ui, pos2(rect.left() + 6.0, rect.center().y), colour, shown);
        let body = TextStyle::Body.resolve(ui.style());
        let small = TextStyle::Small.resolve(ui.style());
        let text = if shown { t.text } else { t.text_muted };
        let count = ui.painter().text(
            rect.right_center(),
            Align2::RIGHT_CENTER,
            grouped(category.count as i64),
            small,
            t.text_muted,
        );
        let left = pos2(rect.left() + 20.0, rect.center().y);
        if elided(ui, left, count.left() - left.x - space::S, &category.name, &body, text) {
            response.clone().on_hover_text(&category.name);
        }
    }
    let cells = if category.count == 1 { "cell" } else { "cells" };
    let label = format!("{}, {} {cells}", category.name, grouped(category.count as i64));
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, shown, &label));
    response
}

fn scale_ui(ui: &mut Ui, title: &str, low: f32, high: f32, unit: &str) {
    let t = Tokens::of(ui);
    let (rect, response) = row_rect(ui, 12.0, Sense::hover());
    const STEPS: usize = 48;
    let mut mesh = Mesh::default();
    for i in 0..=STEPS {
        let share = i as f32 / STEPS as f32;
        let x = rect.left() + share * rect.width();
        let colour = palette::scale(share, t.dark);
        mesh.colored_vertex(pos2(x, rect.top()), colour);
        mesh.colored_vertex(pos2(x, rect.bottom()), colour);
        if i > 0 {
            let k = 2 * i as u32;
            mesh.add_triangle(k - 2, k - 1, k);
            mesh.add_triangle(k - 1, k, k + 1);
        }
    }
    ui.painter().add(Shape::mesh(mesh));
    ui.painter().rect_stroke(rect, 0.0, egui::Stroke::new(1.0, t.line), egui::StrokeKind::Outside);
    let label = format!("Scale of {title} from {} to {} {unit}", number(low), number(high));
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, label.trim_end()));
    let (row, _) = row_rect(ui, 16.0, Sense::hover());
    let small = TextStyle::Small.resolve(ui.style());
    ui.painter().text(row.left_center(), Align2::LEFT_CENTER, number(low), small.clone(), t.text);
    ui.painter().text(row.right_center(), Align2::RIGHT_CENTER, number(high), small, t.text);
    if !unit.is_empty() {
        muted(ui, unit);
    }
}

fn missing_ui(ui: &mut Ui, missing: usize) {
    let t = Tokens::of(ui);
    let (rect, _) = row_rect(ui, 22.0, Sense::hover());
    swatch(ui, pos2(rect.left() + 6.0, rect.center().y), t.missing, true);
    let cells = if missing == 1 { "cell" } else { "cells" };
    let text = format!("missing in {} {cells}", grouped(missing as i64));
    let area = Rect::from_min_max(pos2(rect.left() + 20.0, rect.top()), rect.max);
    ui.put(area, Label::new(RichText::new(text).color(t.text_muted)).halign(egui::Align::Min));
}
