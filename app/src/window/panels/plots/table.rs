//! The numbers of a plot as a table: its twin for who cannot see it, and for who wants the numbers.

use eframe::egui::{self, Align2, Role, ScrollArea, Sense, TextStyle, Ui, WidgetInfo, pos2};

use super::super::super::theme::Tokens;
use super::super::widgets::{elided, row_rect};

/// Rows of text under a header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Names of the columns.
    pub header: Vec<String>,
    /// The rows, each as long as the header.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|h| (*h).to_owned()).collect(), rows: Vec::new() }
    }

    /// As CSV: RFC 4180, all text quoted, numbers as they are.
    pub fn csv(&self) -> String {
        let mut out = String::new();
        for row in std::iter::once(&self.header).chain(&self.rows) {
            for (i, field) in row.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                if field.parse::<f64>().is_ok_and(f64::is_finite) || field.is_empty() {
                    out.push_str(field);
                } else {
                    out.push('"');
                    out.push_str(&field.replace('"', "\"\""));
                    out.push('"');
                }
            }
            out.push('\n');
        }
        out
    }
}

const ROW: f32 = 24.0;

/// Paints a table; only the rows in sight are laid out.
pub fn table_ui(ui: &mut Ui, table: &Table) {
    let t = Tokens::of(ui);
    let n = table.header.len().max(1);
    let column = (ui.available_width() / n as f32).max(84.0);
    let body = TextStyle::Body.resolve(ui.style());
    let small = TextStyle::Small.resolve(ui.style());
    // Numbers stand at the right of their column, text at the left.
    let is_number: Vec<bool> = (0..n)
        .map(|c| {
            table
                .rows
                .iter()
                .take(20)
                .all(|r| r.get(c).is_some_and(|v| v.is_empty() || v.parse::<f64>().is_ok()))
        })
        .collect();
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::horizontal().id_salt("table across").show(ui, |ui| {
        ui.set_min_width(column * n as f32);
        let draw = |ui: &Ui, rect: egui::Rect, row: &[String], font: &egui::FontId, colour| {
            for (c, text) in row.iter().enumerate() {
                let left = rect.left() + column * c as f32;
                if is_number.get(c) == Some(&true) {
                    let right = pos2(left + column - 12.0, rect.center().y);
                    ui.painter().text(right, Align2::RIGHT_CENTER, text, font.clone(), colour);
                } else {
                    elided(ui, pos2(left + 4.0, rect.center().y), column - 12.0, text, font, colour);
                }
            }
        };
        let (rect, response) = row_rect(ui, ROW, Sense::hover());
        draw(ui, rect, &table.header, &small, t.text_muted);
        let words = table.header.join(", ");
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, t.outline));
        ScrollArea::vertical().id_salt("table down").auto_shrink([false, false]).show_rows(
            ui,
            ROW,
            table.rows.len(),
            |ui, rows| {
                for row in table.rows.get(rows).unwrap_or_default() {
                    let (rect, response) = row_rect(ui, ROW, Sense::hover());
                    draw(ui, rect, row, &body, t.text);
                    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, t.line));
                    let words = row.join(", ");
                    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_copied_as_csv_with_its_text_quoted() {
        let mut table = Table::new(&["group", "mean"]);
        table.rows.push(vec!["CD4+, \"naive\"".into(), "0.5".into()]);
        table.rows.push(vec!["NA".into(), String::new()]);
        assert_eq!(table.csv(), "\"group\",\"mean\"\n\"CD4+, \"\"naive\"\"\",0.5\n\"NA\",\n");
    }
}
