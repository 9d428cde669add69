//! The cells as a list: the twin of the map for files without one, and for who cannot use it.

use std::sync::Arc;

use eframe::egui::{Context, Rect, Role, ScrollArea, Sense, TextEdit, TextStyle, Ui, WidgetInfo, pos2, vec2};
use engine::session::Dataset;

use super::super::background::{Poll, Task};
use super::super::command::Action;
use super::super::map::{Colouring, grouped};
use super::super::theme::{Tokens, space};
use super::super::workspace::Workspace;
use super::widgets::{elided, muted, row_rect};
use super::{Local, Out, Scope};

const ROW_HEIGHT: f32 = 26.0;
/// Cells up to which the search runs within a frame.
const AT_ONCE: usize = 20_000;

/// Paints the list.
pub fn cell_list_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    let Some(dataset) = &scope.work.dataset else { return };
    let width = 320.0_f32.min(ui.available_width());
    ui.add(
        TextEdit::singleline(&mut local.list_query)
            .hint_text("Find a cell by name or value")
            .desired_width(width)
            .char_limit(128),
    )
    .accessible_name("Find a cell by name or value");
    let query = local.list_query.trim().to_lowercase();
    let key = format!("{}\u{0}{query}", scope.map.colouring().title);
    update_found(ui.ctx(), scope, dataset, local, &key, &query);
    let found = local.list_found.as_ref().map_or(&[][..], |(_, found)| found.as_slice());
    ui.add_space(space::XS);
    muted(
        ui,
        match found.len() {
            0 => "No cell fits.".to_owned(),
            1 => "1 cell".to_owned(),
            n => format!("{} cells", grouped(n as i64)),
        },
    );
    ui.add_space(space::XS);
    ui.spacing_mut().item_spacing.y = 0.0;
    header_ui(ui, &scope.map.colouring().title);
    let chosen_row = local.selected.filter(|_| local.reveal).and_then(|cell| found.binary_search(&cell).ok());
    let mut area = ScrollArea::vertical().auto_shrink([false, false]);
    if let Some(row) = chosen_row {
        local.reveal = false;
        let middle = ui.available_height() / 2.0;
        area = area.vertical_scroll_offset((row as f32 * ROW_HEIGHT - middle).max(0.0));
    }
    let selected = local.selected;
    area.show_rows(ui, ROW_HEIGHT, found.len(), |ui, rows| {
        for &cell in found.get(rows).unwrap_or_default() {
            let name = dataset.obs.index.get(cell).map_or("", String::as_str);
            let value = scope.map.colouring().text(cell).unwrap_or_default();
            let said = predicted(scope.work, cell);
            let (rect, response) = row_rect(ui, ROW_HEIGHT, Sense::click());
            let chosen = selected == Some(cell);
            if chosen || response.hovered() || response.has_focus() {
                ui.painter().rect_filled(rect, 4.0, if chosen { t.accent_soft } else { t.control });
            }
            let body = TextStyle::Body.resolve(ui.style());
            for (column, (text, colour)) in
                [(name, t.text), (value.as_str(), t.text), (said.as_str(), t.text_strong)]
                    .into_iter()
                    .enumerate()
            {
                let (left, width) = column_span(rect, column);
                elided(ui, pos2(left, rect.center().y), width, text, &body, colour);
            }
            ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, t.line));
            let label = format!("{name} {value} {said}");
            response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, label.trim()));
            if response.clicked() {
                out.push(Action::SelectCell(cell));
            }
        }
    });
}

/// Searches the cells when the query has changed; beside the window where there are many.
fn update_found(
    ctx: &Context,
    scope: &Scope<'_>,
    dataset: &Arc<Dataset>,
    local: &mut Local,
    key: &str,
    query: &str,
) {
    if let Some((searched, task)) = &local.list_task {
        match task.poll() {
            Poll::Running => return,
            Poll::Done(found) => local.list_found = Some((searched.clone(), found)),
            Poll::Lost => {}
        }
        local.list_task = None;
    }
    if local.list_found.as_ref().is_some_and(|(searched, _)| searched == key) {
        return;
    }
    let (dataset, colouring, query) = (dataset.clone(), scope.map.colouring().clone(), query.to_owned());
    let n_obs = dataset.n_obs;
    let search = move || find_cells(&dataset, &colouring, &query);
    if n_obs <= AT_ONCE {
        local.list_found = Some((key.to_owned(), search()));
    } else {
        local.list_task = Some((key.to_owned(), Task::start(ctx, "find cells", search)));
    }
}

/// Cells whose name or shown value holds `query`, which is in small letters.
fn find_cells(dataset: &Dataset, colouring: &Colouring, query: &str) -> Vec<usize> {
    let holds = |text: &str| text.to_lowercase().contains(query);
    (0..dataset.n_obs)
        .filter(|&cell| {
            query.is_empty()
                || dataset.obs.index.get(cell).is_some_and(|name| holds(name))
                || colouring.text(cell).is_some_and(|value| holds(&value))
        })
        .collect()
}

fn header_ui(ui: &mut Ui, value: &str) {
    let t = Tokens::of(ui);
    let (rect, _) = row_rect(ui, ROW_HEIGHT, Sense::hover());
    let small = TextStyle::Small.resolve(ui.style());
    for (column, text) in ["Cell", value, "Described as"].into_iter().enumerate() {
        let (left, width) = column_span(rect, column);
        elided(ui, pos2(left, rect.center().y), width, text, &small, t.text_muted);
        let place = Rect::from_min_size(pos2(left, rect.top()), vec2(width, rect.height()));
        let heading = ui.interact(place, ui.scope_id().with(("heading", column)), Sense::hover());
        heading.widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, text));
    }
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, t.outline));
}

/// Where one of the three columns begins, and how wide it is.
fn column_span(row: Rect, column: usize) -> (f32, f32) {
    let inner = row.shrink2(vec2(space::S, 0.0));
    let third = inner.width() / 3.0;
    (inner.left() + column as f32 * third, third - space::S)
}

/// The cell type that a description names.
fn predicted(work: &Workspace, cell: usize) -> String {
    work.descriptions
        .get(&cell)
        .and_then(|d| d.claim(engine::describe::ClaimKind::CellType))
        .map(|c| c.value.clone())
        .unwrap_or_default()
}
