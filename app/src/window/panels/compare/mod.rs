//! Comparing two sets of cells: which cells, which test, and the genes that differ as a table and as a volcano plot.

mod sides;
mod table;

use std::sync::Arc;

use eframe::egui::{
    self, Frame, Label, Margin, RichText, Role, Sense, TextEdit, TextureHandle, Ui, WidgetInfo,
};
use engine::analysis::{Comparison, Test};

use super::super::command::{Action, Command};
use super::super::dock::Pane;
use super::super::figure::{Scene, paint};
use super::super::map::grouped;
use super::super::state::ColourBy;
use super::super::theme::{Tokens, space};
use super::super::workspace::Compared;
use super::plots::draw::{Style, volcano};
use super::widgets::{empty_state, muted, primary_in_row, quiet_button};
use super::{Local, Out, Scope};
use sides::side_ui;
use table::{GeneTable, adjusted_words, fold_words};

pub use sides::{CompareSide, CompareSpec, request};

/// What the panel keeps between frames.
#[derive(Default)]
pub struct ComparePanel {
    table: GeneTable,
    as_volcano: bool,
    plot: Option<Plot>,
}

/// The result, the size, dark or light, and what was drawn of them.
type Plot = (Arc<Comparison>, [u32; 2], bool, Scene, Vec<TextureHandle>);

impl std::fmt::Debug for ComparePanel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComparePanel").field("as_volcano", &self.as_volcano).finish_non_exhaustive()
    }
}

/// Paints the panel.
pub fn comparison_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    let Some(dataset) = &scope.work.dataset else { return };
    ui.painter().rect_filled(ui.max_rect(), 0.0, t.canvas);
    let before = &scope.view.comparison;
    let mut spec = before.clone();
    let problem = request(&spec, dataset, &scope.work.sets, &scope.work.labels).err();
    let running = scope.work.compare_job;
    Frame::new().fill(t.panel).inner_margin(Margin::symmetric(10, 6)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            muted(ui, "A");
            side_ui(ui, "First set", &mut spec.a, scope, dataset, false);
            muted(ui, "against B");
            side_ui(ui, "Second set", &mut spec.b, scope, dataset, true);
            ui.name_inputs("Test", |ui| {
                let text = if spec.welch { Test::WelchT } else { Test::Wilcoxon }.label();
                egui::ComboBox::from_id_salt("test").selected_text(text).width(136.0).show_ui(ui, |ui| {
                    ui.selectable_value(&mut spec.welch, false, Test::Wilcoxon.label());
                    ui.selectable_value(&mut spec.welch, true, Test::WelchT.label());
                })
            });
            if let Some(job) = running {
                if ui.button("Stop").on_hover_text("Stop comparing").clicked() {
                    out.push(Action::CancelJob(job));
                }
                ui.add(egui::Spinner::new().size(14.0).color(t.text_muted));
            } else {
                if primary_in_row(ui, "Compare", problem.is_none()).clicked() {
                    out.push(Action::Compare);
                }
            }
        });
    });
    if spec != *before {
        out.push(Action::SetComparison(spec.clone()));
    }
    Frame::new().inner_margin(Margin { left: 12, right: 12, top: 6, bottom: 0 }).show(ui, |ui| {
        if let Some(problem) = problem.as_ref().filter(|_| scope.work.comparison.is_some()) {
            ui.add(Label::new(RichText::new(problem).small().color(t.warn)).wrap());
        }
        match &scope.work.comparison {
            Some(compared) => result_ui(ui, scope, &mut local.compare_panel, compared, out),
            None if running.is_some() => {
                ui.add_space(space::L);
                empty_state(ui, "Comparing", "Every gene of the matrix is read once. The window can be used meanwhile.");
            }
            None => {
                ui.add_space(space::L);
                let text = problem.unwrap_or_else(|| {
                    "Choose two sets of cells above and press Compare: every gene of the matrix is tested, and the \
                     genes that differ most come first."
                        .to_owned()
                });
                empty_state(ui, "No comparison yet", &text);
            }
        }
    });
}

fn result_ui(ui: &mut Ui, scope: &Scope<'_>, panel: &mut ComparePanel, compared: &Compared, out: Out<'_>) {
    let t = Tokens::of(ui);
    let Compared { result, sides: [a, b] } = compared;
    let text = format!(
        "A: {a}, {} cells. B: {b}, {} cells. {} on {}, {}; p adjusted after Benjamini and Hochberg over {} genes.",
        grouped(result.n_a as i64),
        grouped(result.n_b as i64),
        result.test.label(),
        result.matrix,
        result.unit,
        grouped(result.genes.len() as i64)
    );
    ui.add(Label::new(RichText::new(text).small().color(t.text_muted)).wrap());
    ui.add_space(space::XS);
    ui.horizontal_wrapped(|ui| {
        let field = TextEdit::singleline(&mut panel.table.filter)
            .hint_text("Find a gene")
            .desired_width(150.0)
            .char_limit(64);
        let response = ui.add(field);
        response.accessible_name("Find a compared gene");
        ui.selectable_value(&mut panel.as_volcano, false, "Genes");
        ui.selectable_value(&mut panel.as_volcano, true, "Volcano");
        if panel.as_volcano
            && quiet_button(ui, "Figure…").on_hover_text("Save this plot as PNG, SVG or PDF").clicked()
        {
            out.push(Action::AskFigure(Pane::Comparison));
        }
        if quiet_button(ui, "Export CSV…").on_hover_text(Command::ExportComparison.tooltip()).clicked() {
            out.push(Action::Run(Command::ExportComparison));
        }
        let top = quiet_button(ui, "Show top 10")
            .on_hover_text("Show the ten first genes of the table in the panels of genes");
        if top.clicked() {
            let mut plots = scope.view.plots.clone();
            plots.genes = panel.table.first(result, 10).map(|gene| gene.symbol.clone()).collect();
            out.push(Action::SetPlots(Box::new(plots)));
            out.push(Action::Run(Command::ShowDotPlot));
        }
    });
    ui.add_space(space::XS);
    panel.table.update(result);
    if panel.as_volcano {
        volcano_ui(ui, panel, result, out);
    } else {
        panel.table.show_ui(ui, result, out);
    }
}

fn volcano_ui(ui: &mut Ui, panel: &mut ComparePanel, result: &Arc<Comparison>, out: Out<'_>) {
    let t = Tokens::of(ui);
    let room = ui.available_size();
    let size = [room.x.max(200.0) as u32, room.y.max(160.0) as u32];
    let fresh = panel
        .plot
        .as_ref()
        .is_some_and(|(of, s, dark, ..)| Arc::ptr_eq(of, result) && *s == size && *dark == t.dark);
    if !fresh {
        let scene = volcano(&Style::of(t), size.map(|v| v as f32), &result.genes).scene;
        let textures = paint::textures(ui.ctx(), &scene);
        panel.plot = Some((result.clone(), size, t.dark, scene, textures));
    }
    let Some((.., scene, textures)) = &panel.plot else { return };
    let (rect, response) = ui.allocate_exact_size(egui::Vec2::from(scene.size), Sense::click());
    paint::paint(&ui.painter_at(rect), scene, rect.min, textures);
    let label = format!("Volcano plot of {} genes; the table holds the numbers", result.genes.len());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    let Some(pointer) = response.hover_pos() else { return };
    let place = [pointer.x - rect.left(), pointer.y - rect.top()];
    let Some(gene) = super::plots::draw::volcano_gene(size.map(|v| v as f32), &result.genes, place) else {
        return;
    };
    ui.ctx().set_cursor_icon(egui::CursorIcon::PointingHand);
    if response.clicked() {
        out.push(Action::ColourBy(ColourBy::Gene { gene: gene.gene, symbol: gene.symbol.clone() }));
    }
    response.on_hover_ui_at_pointer(|ui| {
        ui.label(RichText::new(&gene.symbol).color(t.text_strong));
        ui.label(format!("log2 fold change {}", fold_words(gene)));
        ui.label(format!("adjusted p {}", adjusted_words(gene)));
    });
}
