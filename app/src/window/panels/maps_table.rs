//! The values of the small maps as a table, one row a cell: their twin for who cannot see them.

use std::sync::Arc;

use eframe::egui::{Align2, Role, ScrollArea, Sense, TextStyle, Ui, WidgetInfo, pos2};
use engine::session::Dataset;

use super::super::command::Action;
use super::super::map::{grouped, number};
use super::super::selection::CellSet;
use super::super::theme::Tokens;
use super::widgets::{elided, muted, row_rect};
use super::{Local, Out, Scope};

const ROW_HEIGHT: f32 = 24.0;
/// The narrowest column.
const NARROWEST: f32 = 96.0;

/// What one small map shows.
pub struct MapColumn {
    /// The gene's or the column's name.
    pub name: String,
    /// Its values.
    pub values: MapValues,
}

/// Where the values of a small map come from.
pub enum MapValues {
    /// A gene that is read; `None` until it is.
    Gene(Option<Arc<[f32]>>),
    /// The column of obs of the same name.
    Column,
}

/// Paints the table: of the selected cells where some are selected, else of all.
pub fn maps_table_ui(ui: &mut Ui, scope: &Scope<'_>, local: &Local, columns: &[MapColumn], out: Out<'_>) {
    let Some(dataset) = &scope.work.dataset else { return };
    let selected = &scope.work.sets.current;
    let rows = if selected.is_empty() { dataset.n_obs } else { selected.len() };
    let words = match (selected.is_empty(), rows) {
        (true, n) => format!("{} cells", grouped(n as i64)),
        (false, 1) => "1 selected cell".to_owned(),
        (false, n) => format!("{} selected cells", grouped(n as i64)),
    };
    muted(ui, words);
    let t = Tokens::of(ui);
    let width = (ui.available_width() / (columns.len() + 1) as f32).max(NARROWEST);
    let body = TextStyle::Body.resolve(ui.style());
    let small = TextStyle::Small.resolve(ui.style());
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::horizontal().id_salt("maps table across").show(ui, |ui| {
        ui.set_min_width(width * (columns.len() + 1) as f32);
        let (rect, response) = row_rect(ui, ROW_HEIGHT, Sense::hover());
        let names = || std::iter::once("Cell").chain(columns.iter().map(|column| column.name.as_str()));
        for (at, name) in names().enumerate() {
            let left = rect.left() + width * at as f32;
            elided(ui, pos2(left + 4.0, rect.center().y), width - 12.0, name, &small, t.text_muted);
        }
        let heading = names().collect::<Vec<_>>().join(", ");
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &heading));
        ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, t.outline));
        let area = ScrollArea::vertical().id_salt("maps table down").auto_shrink([false, false]);
        area.show_rows(ui, ROW_HEIGHT, rows, |ui, shown| {
            for cell in cells_of(selected, dataset.n_obs, shown) {
                let (rect, response) = row_rect(ui, ROW_HEIGHT, Sense::click());
                let chosen = local.selected == Some(cell);
                if chosen || response.hovered() || response.has_focus() {
                    ui.painter().rect_filled(rect, 4.0, if chosen { t.accent_soft } else { t.control });
                }
                let name = dataset.obs.index.get(cell).map_or("", String::as_str);
                elided(ui, pos2(rect.left() + 4.0, rect.center().y), width - 12.0, name, &body, t.text);
                let mut said = name.to_owned();
                for (at, column) in columns.iter().enumerate() {
                    let text = text_of(dataset, column, cell);
                    let left = rect.left() + width * (at + 1) as f32;
                    if matches!(column.values, MapValues::Gene(_)) {
                        let right = pos2(left + width - 12.0, rect.center().y);
                        ui.painter().text(right, Align2::RIGHT_CENTER, &text, body.clone(), t.text);
                    } else {
                        elided(ui, pos2(left + 4.0, rect.center().y), width - 12.0, &text, &body, t.text);
                    }
                    said.push_str(", ");
                    said.push_str(&text);
                }
                ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, t.line));
                response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &said));
                if response.clicked() {
                    out.push(Action::SelectCell(cell));
                }
            }
        });
    });
}

/// The cells of some rows of the table.
fn cells_of(selected: &CellSet, n_obs: usize, rows: std::ops::Range<usize>) -> Vec<usize> {
    if selected.is_empty() {
        rows.filter(|cell| *cell < n_obs).collect()
    } else {
        selected.iter().skip(rows.start).take(rows.len()).collect()
    }
}

/// The value of a cell, as it is read on the map.
fn text_of(dataset: &Dataset, column: &MapColumn, cell: usize) -> String {
    match &column.values {
        MapValues::Gene(None) => "reading".to_owned(),
        MapValues::Gene(Some(values)) => match values.get(cell) {
            Some(value) if !value.is_nan() => number(*value),
            _ => "missing".to_owned(),
        },
        MapValues::Column => dataset
            .obs
            .column(&column.name)
            .and_then(|column| column.text(cell))
            .unwrap_or_else(|| "missing".to_owned()),
    }
}
