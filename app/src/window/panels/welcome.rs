//! What stands in the window before a file is open.

use eframe::egui::{self, Align, Button, Layout, RichText, Spinner, Stroke, Ui, vec2};
use engine::session::DataSource;

use super::super::command::{Action, Command};
use super::super::theme::{Tokens, space, title_style};
use super::super::workspace::file_name;
use super::widgets::{muted, primary_button};
use super::{Out, Scope};

/// Paints the first page.
pub fn welcome_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    let t = Tokens::of(ui);
    let width = 440.0_f32.min(ui.available_width() - 2.0 * space::M);
    let n_recent = scope.saved.recent.len().min(5);
    let height = 260.0 + if n_recent > 0 { 40.0 + 44.0 * n_recent as f32 } else { 0.0 };
    let area = ui.available_rect_before_wrap();
    let top = (area.height() - height).max(0.0) * 0.42;
    let column = egui::Rect::from_min_size(
        egui::pos2(area.center().x - width / 2.0, area.top() + top),
        vec2(width, area.height() - top),
    );
    ui.scope_builder(egui::UiBuilder::new().max_rect(column).layout(Layout::top_down(Align::Min)), |ui| {
        ui.label(RichText::new("Cell2Text").text_style(title_style()).color(t.text_strong));
        ui.add_space(space::XS);
        ui.label(
            RichText::new("See your cells, click one, and read what it is and on what evidence.")
                .color(t.text_muted),
        );
        ui.add_space(space::L);
        if let Some((_, source)) = &scope.work.opening {
            opening_ui(ui, scope, source, out);
            return;
        }
        ui.horizontal(|ui| {
            if primary_button(ui, "Open an h5ad file…").on_hover_text(Command::Open.tooltip()).clicked() {
                out.push(Action::Run(Command::Open));
            }
            let sample = Button::new(Command::OpenSample.text()).min_size(vec2(0.0, 32.0));
            if ui.add(sample).on_hover_text(Command::OpenSample.tooltip()).clicked() {
                out.push(Action::Run(Command::OpenSample));
            }
        });
        ui.add_space(space::S);
        muted(ui, "Or drop a file on this window. Files are only read, and nothing leaves this computer.");
        if n_recent > 0 {
            ui.add_space(space::L);
            ui.label(RichText::new("Recent").color(t.text_strong));
            ui.add_space(space::XS);
            for path in scope.saved.recent.iter().take(n_recent) {
                let folder = path.parent().map(|p| p.display().to_string()).unwrap_or_default();
                let button = Button::new((
                    RichText::new(file_name(path)).color(t.text),
                    RichText::new(folder).small().color(t.text_muted),
                ))
                .truncate()
                .fill(t.raised)
                .stroke(Stroke::new(1.0, t.line))
                .min_size(vec2(width, 34.0));
                if ui.add(button).on_hover_text(path.display().to_string()).clicked() {
                    out.push(Action::OpenSource(DataSource::File(path.clone())));
                }
            }
        }
    });
}

fn opening_ui(ui: &mut Ui, scope: &Scope<'_>, source: &DataSource, out: Out<'_>) {
    let t = Tokens::of(ui);
    let name = match source {
        DataSource::Sample => "the PBMC sample".to_owned(),
        DataSource::File(path) => file_name(path),
    };
    ui.horizontal(|ui| {
        ui.add(Spinner::new().size(16.0).color(t.text_muted));
        ui.label(RichText::new(format!("Opening {name}")).color(t.text));
    });
    let job = scope.work.opening.as_ref().map(|(job, _)| *job);
    if let Some(progress) =
        scope.work.jobs.iter().find(|j| Some(j.id) == job).and_then(|j| j.progress.as_ref())
    {
        muted(ui, progress.what.clone());
    }
    ui.add_space(space::S);
    if let Some(job) = job
        && ui.button("Stop").clicked()
    {
        out.push(Action::CancelJob(job));
    }
}
