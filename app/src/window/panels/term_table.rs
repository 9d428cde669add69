//! The neighbourhood of a term as a table: the twin of the graph for who cannot use it.

use eframe::egui::{Rect, Role, ScrollArea, Sense, TextStyle, Ui, WidgetInfo, pos2, vec2};

use super::super::command::Action;
use super::super::map::grouped;
use super::super::terms::{Counts, TermView};
use super::super::theme::{Tokens, space};
use super::Out;
use super::graph::{cells_words, role_words};
use super::graph_layout::parents_of;
use super::ontology::list_frame;
use super::widgets::{elided, row_rect};

const ROW_HEIGHT: f32 = 24.0;
/// The columns and the share of the width that each has.
const COLUMNS: [(&str, f32); 6] = [
    ("Term", 0.30),
    ("Id", 0.13),
    ("Place", 0.12),
    ("Is a", 0.25),
    ("Your cells", 0.10),
    ("Described", 0.10),
];

/// Paints the table into the rest of `ui`; a click on a row shows its term.
pub fn table_ui(ui: &mut Ui, term: &TermView, counts: &Counts, out: Out<'_>) {
    let t = Tokens::of(ui);
    let picture = &term.neighbourhood;
    // From the top of the graph to its bottom.
    let mut order: Vec<usize> = (0..picture.nodes.len()).collect();
    order.sort_by_key(|at| picture.nodes.get(*at).map(|n| (n.layer, n.label.clone())));
    list_frame(t).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        let small = TextStyle::Small.resolve(ui.style());
        let (head, _) = row_rect(ui, ROW_HEIGHT, Sense::hover());
        for (column, (title, _)) in COLUMNS.iter().enumerate() {
            let cell = span(head, column);
            let response = ui.interact(cell, ui.scope_id().with(("heading", column)), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, *title));
            elided(ui, cell.left_center(), cell.width(), title, &small, t.text_muted);
        }
        ui.painter().hline(head.x_range(), head.bottom() - 0.5, (1.0, t.outline));
        ScrollArea::vertical().auto_shrink([false, false]).show_rows(
            ui,
            ROW_HEIGHT,
            order.len(),
            |ui, rows| {
                for at in order.get(rows).unwrap_or_default() {
                    let Some(node) = picture.nodes.get(*at) else { continue };
                    let (rect, response) = row_rect(ui, ROW_HEIGHT, Sense::click());
                    let is_shown = node.id == picture.focus;
                    if is_shown || response.hovered() || response.has_focus() {
                        ui.painter().rect_filled(rect, 4.0, if is_shown { t.accent_soft } else { t.control });
                    }
                    let label_of =
                        |id: &str| picture.nodes.iter().find(|n| n.id == id).map(|n| n.label.as_str());
                    let parents: Vec<&str> =
                        parents_of(picture, *at).into_iter().filter_map(label_of).collect();
                    let number =
                        |cells: u64| if cells > 0 { grouped(cells as i64) } else { "–".to_owned() };
                    let texts = [
                        node.label.clone(),
                        node.id.clone(),
                        role_words(node.role).to_owned(),
                        parents.join(", "),
                        number(counts.of(&node.id)),
                        number(counts.described_as(&node.id)),
                    ];
                    let body = TextStyle::Body.resolve(ui.style());
                    for (column, text) in texts.iter().enumerate() {
                        let cell = span(rect, column);
                        let colour = if column == 0 { t.text_strong } else { t.text };
                        elided(ui, cell.left_center(), cell.width(), text, &body, colour);
                    }
                    let above =
                        if parents.is_empty() { "nothing shown".to_owned() } else { parents.join(", ") };
                    let words = format!(
                        "{}, {}, {}, is a {above}, {}",
                        node.label,
                        node.id,
                        role_words(node.role),
                        cells_words(counts, &node.id)
                    );
                    response.widget_info(|| WidgetInfo::selected(Role::Row, true, is_shown, &words));
                    if response.clicked() && !is_shown {
                        out.push(Action::ShowTerm(node.id.clone()));
                    }
                }
            },
        );
    });
}

/// Where a column of a row is.
fn span(row: Rect, column: usize) -> Rect {
    let before: f32 = COLUMNS.iter().take(column).map(|(_, share)| share).sum();
    let share = COLUMNS.get(column).map_or(0.0, |(_, share)| *share);
    let left = row.left() + space::XS + before * row.width();
    Rect::from_min_size(pos2(left, row.top()), vec2(share * row.width() - space::S, row.height()))
}
