//! The bar at the top: menus made from the list of commands, and the way to the palette.

use eframe::egui::{
    self, Align, Align2, Button, Layout, Margin, MenuBar, Response, RichText, Role, Sense, Stroke, TextStyle,
    Ui, WidgetInfo, pos2, vec2,
};
use engine::session::DataSource;

use super::super::command::{Action, Command, Menu};
use super::super::theme::{ThemeChoice, Tokens, space};
use super::super::workspace::file_name;
use super::widgets::{elided, panel_frame, row_rect, shortcut_words};
use super::{Out, Scope};

/// Paints the bar.
pub fn top_bar_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    let t = Tokens::of(ui);
    egui::Panel::top("top bar").frame(panel_frame(t, Margin::symmetric(8, 6))).show(ui, |ui| {
        MenuBar::new().ui(ui, |ui| {
            ui.spacing_mut().button_padding = vec2(9.0, 3.0);
            for menu in Menu::ALL {
                ui.menu_button(menu.text(), |ui| menu_ui(ui, menu, scope, out));
            }
            // With the data panel open its name stands there.
            if let Some(dataset) = scope.work.dataset.as_ref().filter(|_| !scope.saved.data_panel_open) {
                ui.add_space(space::S);
                ui.label(RichText::new(&dataset.name).color(t.text_muted));
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let keys = Command::ShowPalette
                    .shortcuts()
                    .first()
                    .map(|s| shortcut_words(ui.ctx(), s))
                    .unwrap_or_default();
                let button = Button::new(RichText::new("Search commands, genes").color(t.text_muted))
                    .shortcut_text(RichText::new(keys).small().color(t.text_muted))
                    .fill(t.raised)
                    .stroke(Stroke::new(1.0, t.line))
                    .min_size(vec2(260.0, 0.0));
                if ui.add(button).on_hover_text(Command::ShowPalette.tooltip()).clicked() {
                    out.push(Action::Run(Command::ShowPalette));
                }
            });
        });
    });
}

fn menu_ui(ui: &mut Ui, menu: Menu, scope: &Scope<'_>, out: Out<'_>) {
    ui.set_width(248.0);
    ui.spacing_mut().item_spacing.y = 0.0;
    let mut first = true;
    for command in Command::ALL.into_iter().filter(|c| c.menu() == menu) {
        if command.starts_group() && !first {
            separator(ui);
        }
        first = false;
        let keys = command.shortcuts().first().map(|s| shortcut_words(ui.ctx(), s)).unwrap_or_default();
        // Undo and redo say what they take back or do again.
        let step = match command {
            Command::Undo => scope.work.history.undo_name(),
            Command::Redo => scope.work.history.redo_name(),
            _ => None,
        };
        let text = step.map_or_else(|| command.text().to_owned(), |s| format!("{} {s}", command.text()));
        let row = Row { text: &text, beside: &keys, chosen: is_chosen(command, scope) };
        if row.show(ui, command.is_enabled(scope.now), command.tooltip()).clicked() {
            out.push(Action::Run(command));
            ui.close();
        }
        if command == Command::OpenSample && scope.now.has_recent {
            recent_ui(ui, scope, out);
        }
    }
}

fn recent_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    separator(ui);
    for path in &scope.saved.recent {
        let name = file_name(path);
        let row = Row { text: &name, beside: "", chosen: None };
        if row.show(ui, true, &path.display().to_string()).clicked() {
            out.push(Action::OpenSource(DataSource::File(path.clone())));
            ui.close();
        }
    }
}

fn separator(ui: &mut Ui) {
    let t = Tokens::of(ui);
    let (rect, _) = row_rect(ui, 9.0, Sense::hover());
    ui.painter().hline(rect.x_range(), rect.center().y, (1.0, t.line));
}

/// One line of a menu: room for a tick, the text, the keys.
struct Row<'a> {
    text: &'a str,
    beside: &'a str,
    chosen: Option<bool>,
}

impl Row<'_> {
    fn show(&self, ui: &mut Ui, enabled: bool, tooltip: &str) -> Response {
        let t = Tokens::of(ui);
        let sense = if enabled { Sense::click() } else { Sense::hover() };
        let (rect, response) = row_rect(ui, 27.0, sense);
        if enabled && (response.hovered() || response.has_focus()) {
            ui.painter().rect_filled(rect, 5.0, t.control_hover);
        }
        if self.chosen == Some(true) {
            let c = pos2(rect.left() + 13.0, rect.center().y);
            let tick = vec![c + vec2(-4.0, 0.0), c + vec2(-1.0, 3.5), c + vec2(4.5, -3.5)];
            ui.painter().line(tick, Stroke::new(1.6, t.accent));
        }
        let (text, beside) = if enabled {
            (t.text, t.text_muted)
        } else {
            (ui.visuals().disable(t.text_muted), ui.visuals().disable(t.text_muted))
        };
        let body = TextStyle::Body.resolve(ui.style());
        let small = TextStyle::Small.resolve(ui.style());
        let keys = ui.painter().text(
            pos2(rect.right() - 8.0, rect.center().y),
            Align2::RIGHT_CENTER,
            self.beside,
            small,
            beside,
        );
        let left = rect.left() + 26.0;
        elided(ui, pos2(left, rect.center().y), keys.left() - left - space::S, self.text, &body, text);
        let info = || match self.chosen {
            Some(chosen) => WidgetInfo::selected(Role::Button, enabled, chosen, self.text),
            None => WidgetInfo::labeled(Role::Button, enabled, self.text),
        };
        response.widget_info(info);
        response.on_hover_text(tooltip)
    }
}

/// For commands that switch something: whether it is on.
fn is_chosen(command: Command, scope: &Scope<'_>) -> Option<bool> {
    Some(match command {
        Command::ThemeSystem => scope.saved.theme == ThemeChoice::System,
        Command::ThemeLight => scope.saved.theme == ThemeChoice::Light,
        Command::ThemeDark => scope.saved.theme == ThemeChoice::Dark,
        Command::ToggleDataPanel => scope.now.has_data && scope.saved.data_panel_open,
        Command::ToggleCellPanel => scope.now.has_data && scope.saved.cell_panel_open,
        Command::ToggleOntology => scope.now.has_data && scope.saved.ontology_open,
        Command::ToggleLabels => scope.now.has_map && scope.saved.colours.labels,
        _ => return command.pane().map(|pane| scope.now.has_data && scope.shown.contains(&pane)),
    })
}
