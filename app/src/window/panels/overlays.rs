//! What lies over the window: notices, the drop target, the list of shortcuts, and about.

use eframe::egui::{
    self, Align, Align2, Area, Button, Frame, Grid, Id, Label, Layout, Margin, Modal, Order, Rect, RichText,
    ScrollArea, Stroke, Ui, vec2,
};

use super::super::command::{Action, Command, Menu};
use super::super::map::grouped;
use super::super::theme::{Tokens, space, title_style};
use super::super::workspace::Severity;
use super::widgets::{heading, keys, muted, quiet_button, shortcut_words, warning_triangle};
use super::{Dialog, Leaving, Local, NOTICE_TIME, Out, Scope, figure_dialog_ui, history, models, sets};

/// Paints the notices in the lower right corner of `area`.
pub fn notices_ui(ui: &Ui, area: Rect, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    local.notice_times.retain(|id, _| scope.work.notices.iter().any(|n| n.id == *id));
    if scope.work.notices.is_empty() {
        return;
    }
    let now = ui.ctx().time();
    let width = 400.0_f32.min(area.width() - 2.0 * space::M);
    Area::new(Id::unique("notices"))
        .order(Order::Foreground)
        .pivot(Align2::RIGHT_BOTTOM)
        .fixed_pos(area.right_bottom() - vec2(space::M, space::M))
        .constrain_to(area)
        .show(ui.ctx(), |ui| {
            ui.spacing_mut().item_spacing.y = space::S;
            for notice in &scope.work.notices {
                let since = *local.notice_times.entry(notice.id).or_insert(now);
                if notice.severity == Severity::Done {
                    // What went well goes away by itself; an error stays until it was read.
                    let left = NOTICE_TIME.as_secs_f64() - (now - since);
                    if left <= 0.0 {
                        out.push(Action::DismissNotice(notice.id));
                        continue;
                    }
                    ui.ctx().request_repaint_after_secs(left as f32);
                }
                Frame::new()
                    .fill(t.raised)
                    .stroke(Stroke::new(1.0, t.outline))
                    .corner_radius(8)
                    .shadow(ui.visuals().popup_shadow)
                    .inner_margin(Margin::same(12))
                    .show(ui, |ui| {
                        ui.set_width(width - 24.0);
                        notice_ui(ui, notice, out);
                    });
            }
        });
}

fn notice_ui(ui: &mut Ui, notice: &super::super::workspace::Notice, out: Out<'_>) {
    let t = Tokens::of(ui);
    ui.horizontal(|ui| {
        let mark = match notice.severity {
            Severity::Done => None,
            Severity::Warning => Some(t.warn),
            Severity::Error => Some(t.error),
        };
        if let Some(colour) = mark {
            let (rect, _) = ui.allocate_exact_size(vec2(14.0, 16.0), egui::Sense::hover());
            warning_triangle(ui, rect.center(), colour);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if quiet_button(ui, "Dismiss").clicked() {
                out.push(Action::DismissNotice(notice.id));
            }
            if !notice.detail.is_empty()
                && quiet_button(ui, "Copy").on_hover_text("Copy this message").clicked()
            {
                out.push(Action::Copy(format!("{}\n{}", notice.title, notice.detail)));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(Label::new(RichText::new(&notice.title).color(t.text_strong)).truncate());
            });
        });
    });
    if !notice.detail.is_empty() {
        ui.add_space(2.0);
        ScrollArea::vertical().id_salt(notice.id).max_height(160.0).show(ui, |ui| {
            ui.add(Label::new(RichText::new(&notice.detail).small().color(t.text)).wrap().selectable(true));
        });
    }
}

/// Paints the drop target while a file is held over the window.
pub fn drop_overlay_ui(ui: &Ui) {
    let held = ui.input(|i| i.raw.hovered_files.first().map(|f| f.path.clone()));
    let Some(path) = held else { return };
    let t = Tokens::of(ui);
    let rect = ui.ctx().content_rect();
    let painter = ui.ctx().layer_painter(egui::LayerId::new(Order::Foreground, Id::unique("drop target")));
    painter.rect_filled(rect, 0.0, t.canvas.gamma_multiply(0.9));
    let inner = rect.shrink(24.0);
    painter.rect_stroke(inner, 12.0, Stroke::new(2.0, t.accent), egui::StrokeKind::Inside);
    let name = path.as_deref().map(super::super::workspace::file_name);
    let text = name.map_or_else(|| "Drop to open".to_owned(), |name| format!("Drop to open {name}"));
    painter.text(rect.center(), Align2::CENTER_CENTER, text, egui::FontId::proportional(22.0), t.text_strong);
}

/// Paints the dialog that is open.
pub fn dialogs_ui(ui: &Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let Some(dialog) = local.dialog else { return };
    let frame = Frame::window(ui.style()).inner_margin(Margin::same(20));
    let id = Id::unique("dialog");
    let area = Modal::default_area(id).default_size(ui.ctx().content_rect().size());
    let response = Modal::new(id).area(area).frame(frame).show(ui.ctx(), |ui| {
        match dialog {
            Dialog::Shortcuts => shortcuts_ui(ui),
            Dialog::About => about_ui(ui, scope),
            Dialog::Figure(pane) => figure_dialog_ui(ui, pane, scope, out),
            Dialog::History => history::history_ui(ui, scope, out),
            Dialog::CellNames => sets::cell_names_ui(ui, local),
            Dialog::Models => models::models_ui(ui, scope, out),
            Dialog::Leave => leave_ui(ui, scope, local, out),
        }
        ui.add_space(space::M);
        // In a row: the layout by itself would fill what an earlier, taller dialog left free.
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let selects = dialog == Dialog::CellNames && sets::select_names_ui(ui, local, out);
                // "Close" could mean the window.
                let words = if dialog == Dialog::Leave { "Stay" } else { "Close" };
                ui.button(words).clicked() || selects
            })
            .inner
        })
        .inner
    });
    if response.inner || response.should_close() {
        local.dialog = None;
    }
}

fn leave_ui(ui: &mut Ui, scope: &Scope<'_>, local: &Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    let Some(leaving) = &local.leaving else { return };
    ui.set_width(420.0);
    let described = scope.work.descriptions.len();
    let is_safe = !scope.work.would_be_missed();
    let title = if is_safe {
        "All descriptions are in a file".to_owned()
    } else if scope.work.annotate_job.is_some() {
        "Cells are being described".to_owned()
    } else {
        let unsaved = scope.work.descriptions.n_unsaved();
        format!("{} descriptions are in no file", grouped(unsaved as i64))
    };
    ui.label(RichText::new(title).heading().color(t.text_strong));
    let text = match leaving {
        _ if is_safe => "Nothing is lost by it now.",
        Leaving::Open(_) => "Opening another data set lets go of them. Export them first to keep them.",
        Leaving::Quit => "Quitting lets go of them. Export them first to keep them.",
    };
    ui.add(Label::new(RichText::new(text).color(t.text_muted)).wrap());
    ui.add_space(space::S);
    ui.horizontal(|ui| {
        if ui.add_enabled(described > 0 && !is_safe, Button::new("Export CSV…")).clicked() {
            out.push(Action::Run(Command::ExportCsv));
        }
        let words = match (leaving, is_safe) {
            (Leaving::Open(_), true) => "Open",
            (Leaving::Open(_), false) => "Open without saving",
            (Leaving::Quit, true) => "Quit",
            (Leaving::Quit, false) => "Quit without saving",
        };
        if ui.button(words).clicked() {
            out.push(Action::Leave(leaving.clone()));
        }
    });
}

fn shortcuts_ui(ui: &mut Ui) {
    let t = Tokens::of(ui);
    let screen = ui.ctx().content_rect();
    ui.set_width(680.0_f32.min(screen.width() - 88.0));
    ui.label(RichText::new("Keyboard shortcuts").heading().color(t.text_strong));
    ui.add_space(space::M);
    let height = (screen.height() - 220.0).max(160.0);
    ScrollArea::vertical().max_height(height).auto_shrink([false, true]).show(ui, |ui| {
        ui.columns(2, |columns| {
            if let [left, right] = columns {
                for menu in [Menu::View, Menu::Cell, Menu::Help] {
                    shortcuts_of(left, menu);
                }
                for menu in [Menu::File, Menu::Panels, Menu::Edit, Menu::Select] {
                    shortcuts_of(right, menu);
                }
            }
        });
    });
}

fn shortcuts_of(ui: &mut Ui, menu: Menu) {
    let t = Tokens::of(ui);
    heading(ui, menu.text());
    ui.add_space(2.0);
    ui.spacing_mut().interact_size.y = 20.0;
    Grid::new(menu.text()).num_columns(2).min_col_width(128.0).spacing([12.0, 3.0]).show(ui, |ui| {
        for command in Command::ALL.into_iter().filter(|c| c.menu() == menu) {
            let shortcuts = command.shortcuts();
            if shortcuts.is_empty() {
                continue;
            }
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = space::XS;
                for shortcut in &shortcuts {
                    keys(ui, &shortcut_words(ui.ctx(), shortcut));
                }
            });
            ui.label(RichText::new(command.text()).color(t.text));
            ui.end_row();
        }
    });
    ui.add_space(space::M);
}

fn about_ui(ui: &mut Ui, scope: &Scope<'_>) {
    let t = Tokens::of(ui);
    ui.set_width(420.0);
    ui.label(RichText::new("Cell2Text").text_style(title_style()).color(t.text_strong));
    muted(ui, format!("Version {}, MIT or Apache-2.0", env!("CARGO_PKG_VERSION")));
    ui.add_space(space::M);
    ui.label("Descriptions are written by a language model on this computer. They are hypotheses: check them against the evidence shown beside them.");
    ui.add_space(space::M);
    match &scope.work.model {
        Some(model) => {
            ui.label(format!("Model {}, weights {}", model.name, model.id));
            ui.label(format!("Runs on {}. {}", model.device.name, model.device.reason));
        }
        None => {
            ui.label("The model is loaded in the background, or when the first cell is described.");
        }
    }
    ui.label(format!("This window is drawn by {}.", scope.renderer));
}
