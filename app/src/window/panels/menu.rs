//! The bar at the top: menus made from the list of commands, and the way to the palette.

use eframe::egui::{self, Align, Button, Layout, Margin, MenuBar, RichText, Stroke, Ui, vec2};
use engine::session::DataSource;

use super::super::command::{Action, Command, Menu};
use super::super::theme::{ThemeChoice, Tokens, space};
use super::super::workspace::file_name;
use super::widgets::panel_frame;
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
            if let Some(dataset) = &scope.work.dataset {
                ui.add_space(space::S);
                ui.label(RichText::new(&dataset.name).color(t.text_muted));
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let keys = ui.ctx().format_shortcut(&Command::ShowPalette.shortcuts()[0]);
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
    ui.set_min_width(240.0);
    let mut first = true;
    for command in Command::ALL.into_iter().filter(|c| c.menu() == menu) {
        if command.starts_group() && !first {
            ui.separator();
        }
        first = false;
        command_button(ui, command, scope, out);
        if command == Command::OpenSample && scope.now.has_recent {
            ui.menu_button("Open recent", |ui| recent_ui(ui, scope, out));
        }
    }
}

fn command_button(ui: &mut Ui, command: Command, scope: &Scope<'_>, out: Out<'_>) {
    let shortcut = command.shortcuts().first().map(|s| ui.ctx().format_shortcut(s)).unwrap_or_default();
    let mut button = Button::new(command.text()).shortcut_text(shortcut);
    if let Some(chosen) = is_chosen(command, scope) {
        button = button.selected(chosen);
    }
    let response = ui
        .add_enabled(command.is_enabled(scope.now), button)
        .on_hover_text(command.tooltip())
        .on_disabled_hover_text(command.tooltip());
    if response.clicked() {
        out.push(Action::Run(command));
        ui.close();
    }
}

/// For commands that switch something: whether it is on.
fn is_chosen(command: Command, scope: &Scope<'_>) -> Option<bool> {
    use super::super::state::Layout as Cells;
    Some(match command {
        Command::ThemeSystem => scope.saved.theme == ThemeChoice::System,
        Command::ThemeLight => scope.saved.theme == ThemeChoice::Light,
        Command::ThemeDark => scope.saved.theme == ThemeChoice::Dark,
        Command::ToggleDataPanel => scope.now.has_data && scope.saved.data_panel_open,
        Command::ToggleCellPanel => scope.now.has_data && scope.saved.cell_panel_open,
        Command::ToggleOntology => scope.now.has_data && scope.saved.ontology_open,
        Command::ShowMap => scope.now.has_map && scope.view.layout == Cells::Map,
        Command::ShowCellList => {
            scope.now.has_data && (scope.view.layout == Cells::List || !scope.now.has_map)
        }
        _ => return None,
    })
}

fn recent_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    ui.set_min_width(220.0);
    for path in &scope.saved.recent {
        if ui.button(file_name(path)).on_hover_text(path.display().to_string()).clicked() {
            out.push(Action::OpenSource(DataSource::File(path.clone())));
            ui.close();
        }
    }
}
