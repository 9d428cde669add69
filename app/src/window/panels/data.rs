//! The panel at the left: the data set, its matrix, its findings, the colours and their legend.

use eframe::egui::{self, Label, Margin, RichText, ScrollArea, Ui};
use engine::anndata::{MatrixChoice, Scale};
use engine::session::Dataset;

use super::super::command::Action;
use super::super::map::grouped;
use super::super::theme::{Tokens, space};
use super::widgets::{muted, panel_frame, section, severity_mark};
use super::{Local, Out, Scope, colour_by, legend};

/// Findings shown before "Show all".
const FEW_FINDINGS: usize = 3;

/// Paints the panel and returns its width.
pub fn data_panel_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) -> f32 {
    let t = Tokens::of(ui);
    let Some(dataset) = &scope.work.dataset else { return scope.saved.data_panel_width };
    egui::Panel::left("data panel")
        .default_size(scope.saved.data_panel_width)
        .size_range(220.0..=480.0)
        .frame(panel_frame(t, Margin { left: 12, right: 4, top: 12, bottom: 0 }))
        .show(ui, |ui| {
            ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
                egui::Frame::new().inner_margin(Margin { right: 8, bottom: 16, ..Margin::ZERO }).show(ui, |ui| {
                    dataset_ui(ui, dataset, out);
                    findings_ui(ui, dataset, local);
                    section(ui, "Colour by");
                    colour_by::colour_by_ui(ui, scope, dataset, local, out);
                    legend::legend_ui(ui, scope, local, out);
                });
            });
        })
        .response
        .rect
        .width()
}

fn dataset_ui(ui: &mut Ui, dataset: &Dataset, out: Out<'_>) {
    let t = Tokens::of(ui);
    ui.add(Label::new(RichText::new(&dataset.name).heading().color(t.text_strong)).truncate());
    ui.label(
        RichText::new(format!("{} cells × {} genes", grouped(dataset.n_obs as i64), grouped(dataset.genes.len() as i64)))
            .color(t.text),
    );
    let species = dataset.species.map(|s| s.label().to_owned());
    let known = format!("{} of {} genes recognised", grouped(dataset.known_genes as i64), grouped(dataset.genes.len() as i64));
    muted(ui, species.map_or_else(|| known.clone(), |species| format!("{species}, {known}")));

    section(ui, "Counts");
    matrix_ui(ui, dataset, out);
}

fn matrix_ui(ui: &mut Ui, dataset: &Dataset, out: Out<'_>) {
    let MatrixChoice { key, scale, reason, .. } = &dataset.matrix;
    let width = ui.available_width();
    ui.name_inputs("Matrix that counts are read from", |ui| {
        egui::ComboBox::from_id_salt("matrix")
            .selected_text(format!("{key}, {}", scale_words(*scale)))
            .width(width)
            .truncate()
            .show_ui(ui, |ui| {
                for matrix in &dataset.matrices {
                    let chosen = matrix == key;
                    if ui.selectable_label(chosen, matrix.to_string()).clicked() && !chosen {
                        out.push(Action::UseMatrix(matrix.clone()));
                    }
                }
            })
    });
    ui.add_space(2.0);
    let t = Tokens::of(ui);
    ui.add(Label::new(RichText::new(sentence(reason)).small().color(t.text_muted)).wrap());
}

fn scale_words(scale: Scale) -> &'static str {
    match scale {
        Scale::Counts => "counts",
        Scale::Log1p => "log-normalised",
        Scale::Linear => "normalised",
        Scale::Scaled => "scaled",
    }
}

/// A reason as a sentence: a capital first letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let mut out: String = match letters.next() {
        // A path inside the file, as raw/X, keeps its letters.
        Some(first) if !text.split_whitespace().next().is_some_and(|word| word.contains('/')) => {
            first.to_uppercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    };
    if !out.is_empty() && !out.ends_with(['.', '!', '?']) {
        out.push('.');
    }
    out
}

fn findings_ui(ui: &mut Ui, dataset: &Dataset, local: &mut Local) {
    if dataset.findings.is_empty() {
        return;
    }
    let t = Tokens::of(ui);
    section(ui, "Worth knowing");
    // What makes descriptions doubtful comes first.
    let mut findings: Vec<_> = dataset.findings.iter().collect();
    findings.sort_by_key(|f| !f.serious);
    let shown = if local.all_findings { findings.len() } else { FEW_FINDINGS };
    for finding in findings.iter().take(shown) {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            severity_mark(ui, finding.serious);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                let colour = if finding.serious { t.warn } else { t.text_muted };
                ui.add(Label::new(RichText::new(&finding.element).small().color(colour)).truncate());
                ui.add(Label::new(RichText::new(&finding.message).small().color(t.text)).wrap());
            });
        });
        ui.add_space(2.0);
    }
    if findings.len() > FEW_FINDINGS {
        let text = if local.all_findings { "Show fewer".to_owned() } else { format!("Show all {}", findings.len()) };
        if ui.link(text).clicked() {
            local.all_findings = !local.all_findings;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn reasons_become_sentences_and_paths_keep_their_letters() {
        assert_eq!(sentence("chosen by you"), "Chosen by you.");
        assert_eq!(sentence("raw/X holds whole numbers."), "raw/X holds whole numbers.");
        assert_eq!(sentence(""), "");
    }
}
