//! The bar at the bottom: running work, the model and where it runs, the renderer.

use eframe::egui::{self, Align, Layout, Margin, ProgressBar, RichText, Sense, Spinner, Ui, vec2};

use super::super::command::Action;
use super::super::is_software;
use super::super::map::grouped;
use super::super::theme::{Tokens, space};
use super::widgets::{panel_frame, quiet_button, warning_triangle};
use super::{Out, Scope};

/// Paints the bar.
pub fn status_bar_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    let t = Tokens::of(ui);
    egui::Panel::bottom("status bar").frame(panel_frame(t, Margin::symmetric(12, 4))).show(ui, |ui| {
        ui.set_min_height(22.0);
        ui.horizontal(|ui| {
            work_ui(ui, scope, out);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let quiet = |ui: &mut Ui, text: &str, hover: &str| {
                    let label = egui::Label::new(RichText::new(text).small().color(t.text_muted)).truncate();
                    ui.add(label).on_hover_text(hover);
                };
                let is_software = is_software(scope.renderer);
                let hover = if is_software {
                    "No graphics card draws this window: the processor does. Everything works, large maps move less \
                     smoothly. A graphics driver would help."
                } else {
                    "The graphics adapter that draws this window"
                };
                quiet(ui, &format!("Drawn by {}", scope.renderer), hover);
                if is_software {
                    let (rect, mark) = ui.allocate_exact_size(vec2(12.0, 14.0), Sense::hover());
                    warning_triangle(ui, rect.center(), t.warn);
                    mark.on_hover_text(hover);
                }
                if let Some(model) = &scope.work.model {
                    ui.separator();
                    quiet(ui, &model.device.name, &format!("Where the model runs. {}", model.device.reason));
                    ui.separator();
                    let hover =
                        format!("Model {}, {} MB, weights {}", model.name, model.bytes / 1_000_000, model.id);
                    quiet(ui, &model.name, &hover);
                }
                let selected = scope.work.sets.current.len();
                if selected > 0 {
                    ui.separator();
                    quiet(
                        ui,
                        &super::sets::selected_words(scope),
                        "Save it as a set, label it, or let it go in the tabs at the right",
                    );
                }
                let described = scope.work.descriptions.len();
                if described > 0 {
                    ui.separator();
                    quiet(
                        ui,
                        &format!("{} described", grouped(described as i64)),
                        "Cells described so far; Export CSV writes them",
                    );
                }
            });
        });
    });
}

/// How to use the map, once. It stands here because here it covers no cell and moves none when it goes.
fn hint_ui(ui: &mut Ui, out: Out<'_>) {
    let t = Tokens::of(ui);
    let text = "Click a cell to read what it is. Drag to move, scroll to zoom.";
    ui.label(RichText::new(text).color(t.text_strong));
    if quiet_button(ui, "Got it").clicked() {
        out.push(Action::DismissHint);
    }
}

fn work_ui(ui: &mut Ui, scope: &Scope<'_>, out: Out<'_>) {
    let t = Tokens::of(ui);
    // Work that nobody waits for takes no hint away, and stands behind what somebody does wait for.
    let in_front = scope.work.jobs.iter().rev().find(|job| !job.is_behind());
    if in_front.is_none() && scope.now.has_map && !scope.saved.hint_seen {
        hint_ui(ui, out);
        return;
    }
    let Some(job) = in_front.or(scope.work.jobs.last()) else {
        ui.label(RichText::new("Ready").small().color(t.text_muted));
        return;
    };
    ui.spacing_mut().item_spacing.x = space::S;
    ui.add(Spinner::new().size(12.0).color(t.text_muted));
    ui.label(RichText::new(&job.what).small().color(t.text));
    if let Some(progress) = &job.progress {
        match progress.total.filter(|total| *total > 0) {
            Some(total) => {
                let share = progress.done as f32 / total as f32;
                let bar = ProgressBar::new(share).desired_width(120.0).desired_height(6.0).fill(t.accent);
                let name = format!("{} {:.0} %", progress.what, share * 100.0);
                ui.add(bar).on_hover_text(&progress.what).accessible_name(name);
                let text = format!("{} of {}", grouped(progress.done as i64), grouped(total as i64));
                ui.label(RichText::new(text).small().color(t.text_muted));
            }
            None => {
                let text = format!("{} {}", progress.what, grouped(progress.done as i64));
                ui.label(RichText::new(text).small().color(t.text_muted));
            }
        }
    }
    if quiet_button(ui, "Stop").on_hover_text("Stop this. What is done stays.").clicked() {
        out.push(Action::CancelJob(job.id));
    }
    let others = scope.work.jobs.len() - 1;
    if others > 0 {
        let names: Vec<&str> =
            scope.work.jobs.iter().rev().filter(|j| j.id != job.id).map(|j| j.what.as_str()).collect();
        ui.label(RichText::new(format!("and {others} more")).small().color(t.text_muted))
            .on_hover_text(names.join("\n"));
    }
}
