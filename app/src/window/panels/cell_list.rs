//! The cells as a list: the twin of the map for files without one, and for who cannot use it.

use eframe::egui::{Role, ScrollArea, Sense, TextEdit, TextStyle, Ui, WidgetInfo, pos2, vec2};

use super::super::command::Action;
use super::super::map::grouped;
use super::super::theme::{Tokens, space};
use super::super::workspace::Workspace;
use super::widgets::{elided, muted, row_rect};
use super::{Local, Out, Scope};

const ROW_HEIGHT: f32 = 26.0;

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
    );
    let query = local.list_query.trim().to_lowercase();
    let key = format!("{}\u{0}{query}", scope.map.colouring().title);
    if local.list_found.as_ref().is_none_or(|(searched, _)| *searched != key) {
        let colouring = scope.map.colouring();
        let found = (0..dataset.n_obs)
            .filter(|&cell| {
                query.is_empty()
                    || dataset.obs.index.get(cell).is_some_and(|name| name.to_lowercase().contains(&query))
                    || colouring.text(cell).is_some_and(|value| value.to_lowercase().contains(&query))
            })
            .collect();
        local.list_found = Some((key, found));
    }
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
    ScrollArea::vertical().auto_shrink([false, false]).show_rows(ui, ROW_HEIGHT, found.len(), |ui, rows| {
        for &cell in found.get(rows).unwrap_or_default() {
            let name = dataset.obs.index.get(cell).map_or("", String::as_str);
            let value = scope.map.colouring().text(cell).unwrap_or_default();
            let said = predicted(scope.work, cell);
            let (rect, response) = row_rect(ui, ROW_HEIGHT, Sense::click());
            let chosen = local.selected == Some(cell);
            if chosen || response.hovered() || response.has_focus() {
                let fill = if chosen { t.accent_soft } else { t.panel };
                ui.painter().rect_filled(rect, 4.0, fill);
            }
            let body = TextStyle::Body.resolve(ui.style());
            let inner = rect.shrink2(vec2(space::S, 0.0));
            let third = inner.width() / 3.0;
            elided(ui, inner.left_center(), third - space::S, name, &body, t.text);
            let second = pos2(inner.left() + third, inner.center().y);
            elided(ui, second, third - space::S, &value, &body, t.text_muted);
            let third_column = pos2(inner.left() + 2.0 * third, inner.center().y);
            elided(ui, third_column, third, &said, &body, t.text_strong);
            ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, t.line));
            response.widget_info(|| {
                WidgetInfo::selected(Role::Button, true, chosen, format!("{name} {value} {said}").trim())
            });
            if response.clicked() {
                out.push(Action::SelectCell(cell));
            }
        }
    });
}

/// The cell type that a description names.
fn predicted(work: &Workspace, cell: usize) -> String {
    work.descriptions
        .get(&cell)
        .and_then(|d| d.claim(engine::describe::ClaimKind::CellType))
        .map(|c| c.value.clone())
        .unwrap_or_default()
}
