//! What the colours mean. Rows of categories can be switched off and on, sorted, found, recoloured and selected.

use std::cmp::Reverse;

use eframe::egui::{
    self, Align2, Button, Label, Mesh, Rect, RichText, Role, Sense, Shape, Spinner, TextEdit, TextStyle, Ui,
    WidgetInfo, pos2, vec2,
};

use super::super::command::{Action, Command};
use super::super::map::{Category, Meaning, NumberRange, grouped, number};
use super::super::palette::{self, Scale};
use super::super::state::{ColourBy, ColourStyle, LegendOrder};
use super::super::theme::{Tokens, space};
use super::widgets::{elided, muted, quiet_button, row_rect, section, section_with, swatch};
use super::{Local, Out, Scope};

/// Rows shown before "Show all".
const MANY: usize = 24;
/// Rows from which on a field finds them.
const FINDABLE: usize = 13;
/// Percentiles that are left out at the high end, as the choices offer them.
const CLIPS: [(f32, f32, &str); 4] = [
    (0.0, 100.0, "Whole range"),
    (0.0, 99.0, "0 to 99 %"),
    (1.0, 99.0, "1 to 99 %"),
    (5.0, 95.0, "5 to 95 %"),
];

/// Paints the legend.
pub fn legend_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let colouring = scope.map.colouring().clone();
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
                options_ui(ui, scope, out);
                if !scope.view.hidden.is_empty() && quiet_button(ui, "Show all").clicked() {
                    out.push(Action::Run(Command::ShowAllCategories));
                }
            });
            categories_ui(ui, categories, scope, local, out);
        }
        Meaning::Numbers { low, high, unit, missing, log, extremes, .. } => {
            section_with(ui, title, |ui| numbers_options_ui(ui, scope, *extremes, out));
            let scale = scope.saved.colours.scale;
            scale_ui(ui, title, scale, *low, *high, unit);
            let mut notes = Vec::new();
            if *log {
                notes.push("log scale".to_owned());
            }
            if *low > extremes[0] || *high < extremes[1] {
                notes.push(format!(
                    "clipped; the values run from {} to {}",
                    number(extremes[0]),
                    number(extremes[1])
                ));
            }
            if !notes.is_empty() {
                muted(ui, notes.join(", "));
            }
            if *missing > 0 {
                missing_ui(ui, *missing);
            }
        }
    }
}

/// A small menu at the end of the heading.
fn menu(ui: &mut Ui, text: &str, add: impl FnOnce(&mut Ui)) {
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = vec2(8.0, 1.0);
        ui.spacing_mut().interact_size.y = 22.0;
        ui.menu_button(RichText::new(text).small(), |ui| {
            ui.set_min_width(190.0);
            add(ui);
        });
    });
}

fn options_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    menu(ui, "Options", |ui| {
        let style = scope.saved.colours;
        let mut set = |ui: &mut Ui, style: ColourStyle| {
            out.push(Action::SetColourStyle(style));
            ui.close();
        };
        muted(ui, "Sort by");
        for (order, text) in [
            (LegendOrder::File, "Order of the file"),
            (LegendOrder::Name, "Name"),
            (LegendOrder::Count, "Number of cells"),
        ] {
            if ui.radio(style.order == order, text).clicked() {
                set(ui, ColourStyle { order, ..style });
            }
        }
        ui.separator();
        let mut labels = style.labels;
        if ui.checkbox(&mut labels, "Names on the map").clicked() {
            set(ui, ColourStyle { labels, ..style });
        }
        let column = match &scope.view.colour_by {
            ColourBy::Column(name) => Some(name),
            _ => None,
        };
        let has_own = scope
            .work
            .dataset
            .as_ref()
            .zip(column)
            .is_some_and(|(d, column)| d.category_colours.contains_key(column));
        if has_own {
            let mut from_file = style.from_file;
            let hover = "Off: colours that stay apart for colour-blind eyes";
            if ui.checkbox(&mut from_file, "Colours of the file").on_hover_text(hover).clicked() {
                set(ui, ColourStyle { from_file, ..style });
            }
        }
    });
}

fn numbers_options_ui(ui: &mut Ui, scope: &Scope<'_>, extremes: [f32; 2], out: Out<'_>) {
    menu(ui, "Options", |ui| {
        let (style, range) = (scope.saved.colours, scope.view.range);
        muted(ui, "Scale");
        for scale in Scale::ALL {
            if ui.radio(style.scale == scale, scale.text()).clicked() {
                out.push(Action::SetColourStyle(ColourStyle { scale, ..style }));
                ui.close();
            }
        }
        ui.separator();
        muted(ui, "Colours span");
        for (low_percent, high_percent, text) in CLIPS {
            let chosen = range.low_percent == low_percent && range.high_percent == high_percent;
            if ui.radio(chosen, text).clicked() {
                out.push(Action::SetRange(NumberRange { low_percent, high_percent, ..range }));
                ui.close();
            }
        }
        ui.separator();
        let mut log = range.log;
        let possible = extremes[0] >= 0.0;
        let hover = if possible {
            "Even steps of colour for even steps of ln(1 + value)"
        } else {
            "Some values are below zero: they have no logarithm"
        };
        let field = ui.add_enabled(possible, egui::Checkbox::new(&mut log, "Log scale"));
        if field.on_hover_text(hover).on_disabled_hover_text(hover).clicked() {
            out.push(Action::SetRange(NumberRange { log, ..range }));
            ui.close();
        }
    });
}

/// The rows that fit `query`, sorted; missing values come last.
fn sorted_rows(categories: &[Category], order: LegendOrder, query: &str) -> Vec<usize> {
    let query = query.trim().to_lowercase();
    let fits = |c: &Category| query.is_empty() || c.name.to_lowercase().contains(&query);
    let mut rows: Vec<usize> =
        categories.iter().enumerate().filter(|(_, c)| fits(c)).map(|(row, _)| row).collect();
    let category = |row: &usize| categories.get(*row);
    match order {
        LegendOrder::File => {}
        LegendOrder::Name => {
            rows.sort_by_cached_key(|row| category(row).map(|c| (c.is_missing, natural(&c.name))));
        }
        LegendOrder::Count => rows.sort_by_key(|row| category(row).map(|c| (c.is_missing, Reverse(c.count)))),
    }
    rows
}

/// A name as a key by which "10" comes after "9": letters in small, numbers by size.
fn natural(name: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (word, after) = after.split_at(letters);
        parts.push((number.parse().unwrap_or(0), word.to_lowercase()));
        rest = after;
    }
    parts
}

fn categories_ui(ui: &mut Ui, categories: &[Category], scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    if categories.len() >= FINDABLE {
        let width = ui.available_width();
        ui.name_inputs("Find a category", |ui| {
            ui.add(
                TextEdit::singleline(&mut local.legend_query)
                    .hint_text("Find a category")
                    .desired_width(width)
                    .char_limit(80),
            )
        });
        ui.add_space(space::XS);
    } else {
        local.legend_query.clear();
    }
    let rows = sorted_rows(categories, scope.saved.colours.order, &local.legend_query);
    let shown = if local.all_categories { rows.len() } else { MANY };
    let hidden = &scope.view.hidden;
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for &row in rows.iter().take(shown) {
            let Some(category) = categories.get(row) else { continue };
            let response = category_ui(ui, category, !hidden.contains(&row));
            if response.double_clicked() {
                out.push(Action::IsolateCategory(row));
            } else if response.clicked() {
                out.push(if ui.input(|i| i.modifiers.command) {
                    Action::SelectCategory(row)
                } else {
                    Action::ToggleCategory(row)
                });
            }
            let name = format!("{}: more", category.name);
            let more = more_ui(ui, &response, &name);
            egui::Popup::context_menu(&response).show(|ui| row_menu_ui(ui, scope, row, category, out));
            if let Some(more) = more {
                egui::Popup::menu(&more).show(|ui| row_menu_ui(ui, scope, row, category, out));
            }
        }
    });
    if rows.is_empty() {
        muted(ui, "No category fits.");
    }
    ui.add_space(space::XS);
    if rows.len() > MANY {
        let text =
            if local.all_categories { "Show fewer".to_owned() } else { format!("Show all {}", rows.len()) };
        if ui.link(text).clicked() {
            local.all_categories = !local.all_categories;
        }
    }
    muted(ui, "Click hides or shows, double-click shows only that one, Ctrl-click selects its cells.");
}

/// A button with dots at the end of the row that is pointed at.
fn more_ui(ui: &mut Ui, row: &egui::Response, name: &str) -> Option<egui::Response> {
    let id = row.id.with("more");
    let is_open = egui::Popup::is_id_open(ui.ctx(), id.with("popup"));
    let pointed =
        ui.rect_contains_pointer(row.rect) || row.has_focus() || ui.memory(|m| m.has_focus(id)) || is_open;
    if !pointed {
        return None;
    }
    let t = Tokens::of(ui);
    let place = Rect::from_center_size(pos2(row.rect.right() - 10.0, row.rect.center().y), vec2(22.0, 18.0));
    let response = ui.interact(place, id, Sense::click());
    ui.painter().rect_filled(place, 4.0, if response.hovered() { t.control_hover } else { t.control });
    for x in [-5.0, 0.0, 5.0] {
        ui.painter().circle_filled(place.center() + vec2(x, 0.0), 1.4, t.text);
    }
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name));
    Some(response)
}

fn row_menu_ui(ui: &mut Ui, scope: &Scope<'_>, row: usize, category: &Category, out: Out<'_>) {
    ui.set_min_width(190.0);
    let is_hidden = scope.view.hidden.contains(&row);
    let mut choice = |ui: &mut Ui, text: &str, action: Action| {
        if ui.add(Button::new(text).frame_when_inactive(false)).clicked() {
            out.push(action);
            ui.close();
        }
    };
    choice(ui, &format!("Select {} cells", grouped(category.count as i64)), Action::SelectCategory(row));
    choice(ui, "Show only this", Action::IsolateCategory(row));
    choice(ui, if is_hidden { "Show" } else { "Hide" }, Action::ToggleCategory(row));
    ui.separator();
    colours_ui(ui, row, category, out);
    let title = &scope.map.colouring().title;
    if scope.work.colours.get(title).is_some_and(|own| own.contains_key(&category.name))
        && ui.add(Button::new("Give its own colour back").frame_when_inactive(false)).clicked()
    {
        out.push(Action::SetCategoryColour(row, None));
        ui.close();
    }
}

/// Colours to choose from: those that stay apart for colour-blind eyes, and any.
fn colours_ui(ui: &mut Ui, row: usize, category: &Category, out: Out<'_>) {
    const A_ROW: usize = 6;
    let t = Tokens::of(ui);
    muted(ui, "Colour");
    for colours in palette::categorical(2 * A_ROW).chunks(A_ROW) {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            for colour in colours {
                let (rect, response) = ui.allocate_exact_size(vec2(22.0, 22.0), Sense::click());
                ui.painter().circle_filled(rect.center(), 8.0, *colour);
                if response.hovered() || response.has_focus() || *colour == category.colour {
                    ui.painter().circle_stroke(rect.center(), 10.0, egui::Stroke::new(1.5, t.text));
                }
                let name = format!("Colour #{:02X}{:02X}{:02X}", colour.r(), colour.g(), colour.b());
                response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
                if response.clicked() {
                    out.push(Action::SetCategoryColour(row, Some([colour.r(), colour.g(), colour.b()])));
                    ui.close();
                }
            }
        });
    }
    ui.menu_button("Any colour", |ui| {
        let mut colour = category.colour;
        let alpha = egui::color_picker::Alpha::Opaque;
        if egui::color_picker::color_picker_color32(ui, &mut colour, alpha) {
            out.push(Action::SetCategoryColour(row, Some([colour.r(), colour.g(), colour.b()])));
        }
    });
}

fn category_ui(ui: &mut Ui, category: &Category, shown: bool) -> egui::Response {
    let t = Tokens::of(ui);
    let (rect, response) = row_rect(ui, 22.0, Sense::click());
    if ui.is_rect_visible(rect) {
        if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect.expand2(vec2(4.0, 0.0)), 4.0, t.control);
        }
        let is_grey = category.is_missing && category.colour == egui::Color32::GRAY;
        let colour = if is_grey { t.missing } else { category.colour };
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

fn scale_ui(ui: &mut Ui, title: &str, scale: Scale, low: f32, high: f32, unit: &str) {
    let t = Tokens::of(ui);
    let (rect, response) = row_rect(ui, 12.0, Sense::hover());
    const STEPS: usize = 48;
    let mut mesh = Mesh::default();
    for i in 0..=STEPS {
        let share = i as f32 / STEPS as f32;
        let x = rect.left() + share * rect.width();
        let colour = palette::scale_of(scale, share, t.dark);
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

#[cfg(test)]
mod tests {
    use eframe::egui::Color32;

    use super::super::super::map::Colouring;
    use super::super::super::testing::dataset;
    use super::*;

    fn categories(names: &[(&str, usize)]) -> Vec<Category> {
        let mut data = dataset();
        let codes = names.iter().enumerate().flat_map(|(i, (_, n))| std::iter::repeat_n(i as i32, *n));
        let codes: Vec<i32> = codes.chain([-1, -1, -1]).collect();
        data.n_obs = codes.len();
        let mut column = data.obs.columns.remove(1);
        column.values = engine::anndata::Values::Categorical {
            codes,
            categories: names.iter().map(|(name, _)| (*name).to_owned()).collect(),
            ordered: false,
        };
        match Colouring::by_column(&data, &column).meaning {
            Meaning::Categories { categories, .. } => categories,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_legend_is_sorted_and_found_as_asked_and_missing_values_stand_last() {
        let categories = categories(&[("10", 2), ("9", 5), ("b cell", 1), ("B Cell 2", 4)]);
        let names = |order, query: &str| -> Vec<String> {
            sorted_rows(&categories, order, query)
                .into_iter()
                .map(|row| categories[row].name.clone())
                .collect()
        };
        assert_eq!(names(LegendOrder::File, ""), ["10", "9", "b cell", "B Cell 2", "missing"]);
        assert_eq!(names(LegendOrder::Count, ""), ["9", "B Cell 2", "10", "b cell", "missing"]);
        assert_eq!(names(LegendOrder::Name, ""), ["b cell", "B Cell 2", "9", "10", "missing"]);
        assert_eq!(names(LegendOrder::File, " CELL "), ["b cell", "B Cell 2"]);
        assert!(categories.last().is_some_and(|c| c.is_missing && c.colour == Color32::GRAY));
    }
}
