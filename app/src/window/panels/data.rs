//! The panel at the left: the data set, its matrix, its findings, the colours and their legend.

use eframe::egui::{self, Label, Margin, RichText, ScrollArea, Ui};
use engine::anndata::{MatrixChoice, Scale};
use engine::session::{ContextReport, Dataset, Finding};

use super::super::command::Action;
use super::super::map::grouped;
use super::super::theme::{Tokens, space};
use super::widgets::{muted, panel_frame, section, severity_mark, side_widths};
use super::{Local, Out, Scope, colour_by, legend};

/// Notes shown before "Show all".
const FEW_NOTES: usize = 3;

/// Tissues named above.
const FEW_TISSUES: usize = 2;

/// Paints the panel and returns its width.
pub fn data_panel_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) -> f32 {
    let t = Tokens::of(ui);
    let Some(dataset) = &scope.work.dataset else { return scope.saved.data_panel_width };
    egui::Panel::left("data panel")
        .default_size(scope.saved.data_panel_width)
        .size_range(side_widths(ui, 220.0, 480.0))
        .frame(panel_frame(t, Margin { left: 12, right: 4, top: 12, bottom: 0 }))
        .show(ui, |ui| {
            ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
                egui::Frame::new().inner_margin(Margin { right: 8, bottom: 16, ..Margin::ZERO }).show(
                    ui,
                    |ui| {
                        dataset_ui(ui, dataset);
                        if let Some(context) = &scope.work.context {
                            context_ui(ui, context);
                        }
                        serious_ui(ui, dataset);
                        section(ui, "Colour by");
                        colour_by::colour_by_ui(ui, scope, dataset, local, out);
                        legend::legend_ui(ui, scope, local, out);
                        section(ui, "Matrix");
                        matrix_ui(ui, dataset, out);
                        notes_ui(ui, dataset, local);
                    },
                );
            });
        })
        .response
        .rect
        .width()
}

fn dataset_ui(ui: &mut Ui, dataset: &Dataset) {
    let t = Tokens::of(ui);
    ui.add(Label::new(RichText::new(&dataset.name).heading().color(t.text_strong)).truncate());
    ui.label(
        RichText::new(format!(
            "{} cells × {} genes",
            grouped(dataset.n_obs as i64),
            grouped(dataset.genes.len() as i64)
        ))
        .color(t.text),
    );
    let species = dataset.species.map(|s| capitalised(s.label()));
    let known = format!(
        "{} of {} genes recognised",
        grouped(dataset.known_genes as i64),
        grouped(dataset.genes.len() as i64)
    );
    muted(ui, species.map_or_else(|| known.clone(), |species| format!("{species}, {known}")));
}

/// Where the cells come from, as cells all over the file suggest.
fn context_ui(ui: &mut Ui, context: &ContextReport) {
    let all = tissue_words(&context.tissues, usize::MAX);
    let few = tissue_words(&context.tissues, FEW_TISSUES);
    let cells = grouped(context.n_cells as i64);
    muted(ui, format!("{few}, going by {cells} cells")).on_hover_text(format!(
        "The model described {cells} cells spread over the file, each by itself. Together they suggest: {all}. The \
         tissue of every cell described from now on is judged with this in mind."
    ));
}

/// Tissues with their shares, the commonest `most` of them.
fn tissue_words(tissues: &[(String, f64)], most: usize) -> String {
    let words = tissues.iter().take(most).map(|(name, share)| {
        let percent = (share * 100.0).round();
        format!("{name} {percent} %")
    });
    capitalised(&words.collect::<Vec<_>>().join(", "))
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

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
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

/// What makes descriptions doubtful: at the top, in a box.
fn serious_ui(ui: &mut Ui, dataset: &Dataset) {
    let t = Tokens::of(ui);
    let mut serious = dataset.findings.iter().filter(|f| f.serious).peekable();
    if serious.peek().is_none() {
        return;
    }
    ui.add_space(space::M);
    egui::Frame::new().fill(t.warn_soft).corner_radius(8).inner_margin(Margin::same(10)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = space::S;
        for finding in serious {
            finding_ui(ui, finding, &finding.message);
        }
    });
}

fn notes_ui(ui: &mut Ui, dataset: &Dataset, local: &mut Local) {
    // The reason for the matrix stands above; a note that begins with it goes on from there.
    let reason = dataset.matrix.reason.trim_end_matches('.');
    let notes: Vec<(&Finding, &str)> = dataset
        .findings
        .iter()
        .filter(|f| !f.serious)
        .map(|f| {
            (f, f.message.strip_prefix(reason).unwrap_or(&f.message).trim_start_matches(['.', ';', ' ']))
        })
        .filter(|(_, message)| !message.is_empty())
        .collect();
    if notes.is_empty() {
        return;
    }
    section(ui, "Worth knowing");
    ui.spacing_mut().item_spacing.y = space::XS;
    let shown = if local.all_findings { notes.len() } else { FEW_NOTES };
    for (finding, message) in notes.iter().take(shown) {
        finding_ui(ui, finding, message);
    }
    if notes.len() > FEW_NOTES {
        let text =
            if local.all_findings { "Show fewer".to_owned() } else { format!("Show all {}", notes.len()) };
        if ui.link(text).clicked() {
            local.all_findings = !local.all_findings;
        }
    }
}

fn finding_ui(ui: &mut Ui, finding: &Finding, message: &str) {
    let t = Tokens::of(ui);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        severity_mark(ui, finding.serious);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            let colour = if finding.serious { t.warn } else { t.text_muted };
            ui.add(Label::new(RichText::new(&finding.element).small().color(colour)).truncate());
            ui.add(Label::new(RichText::new(message).small().color(t.text)).wrap());
        });
    });
}

#[cfg(test)]
mod tests {
    use super::{sentence, tissue_words};

    #[test]
    fn tissues_stand_with_their_shares() {
        let tissues =
            [("bone marrow".to_owned(), 0.714), ("blood".to_owned(), 0.25), ("lung".to_owned(), 0.02)];
        assert_eq!(tissue_words(&tissues, 2), "Bone marrow 71 %, blood 25 %");
        assert_eq!(tissue_words(&[], 2), "");
    }

    #[test]
    fn reasons_become_sentences_and_paths_keep_their_letters() {
        assert_eq!(sentence("chosen by you"), "Chosen by you.");
        assert_eq!(sentence("raw/X holds whole numbers."), "raw/X holds whole numbers.");
        assert_eq!(sentence(""), "");
    }
}
