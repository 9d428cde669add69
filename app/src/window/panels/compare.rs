//! Comparing two sets of cells: which cells, which test, and the genes that differ as a table and as a volcano plot.

use std::sync::Arc;

use eframe::egui::{
    self, Align2, Button, Frame, Label, Margin, RichText, Role, ScrollArea, Sense, TextEdit, TextStyle,
    TextureHandle, Ui, WidgetInfo, pos2, vec2,
};
use engine::analysis::{CompareRequest, Comparison, GeneComparison, Test};
use engine::session::Dataset;
use serde::{Deserialize, Serialize};

use super::super::annotating::LabelColumn;
use super::super::command::{Action, Command};
use super::super::dock::Pane;
use super::super::figure::{Scene, paint};
use super::super::map::{Meaning, grouped};
use super::super::selection::Sets;
use super::super::state::ColourBy;
use super::super::theme::{Tokens, space};
use super::plots::compute::grouping;
use super::plots::draw::{Style, volcano};
use super::plots::picker::{group_columns, stays_open};
use super::widgets::{elided, empty_state, muted, primary_button, quiet_button, row_rect};
use super::{Local, Out, Scope};

const ROW: f32 = 24.0;

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompareSide {
    /// The selected cells.
    #[default]
    Selection,
    /// A named set.
    Named(String),
    /// The cells of one category.
    Category {
        /// The column of obs.
        column: String,
        /// The category.
        name: String,
    },
    /// All cells that are not on the first side.
    Others,
}

impl CompareSide {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Selection => "Selected cells".to_owned(),
            Self::Named(name) => name.clone(),
            Self::Category { column, name } => format!("{name} ({column})"),
            Self::Others => "All other cells".to_owned(),
        }
    }
}

/// What is compared with what, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CompareSpec {
    /// The first set.
    pub a: CompareSide,
    /// The second set.
    pub b: CompareSide,
    /// Whether the test is Welch's t, not Wilcoxon's.
    pub welch: bool,
}

impl Default for CompareSpec {
    fn default() -> Self {
        Self { a: CompareSide::Selection, b: CompareSide::Others, welch: false }
    }
}

/// The cells of one side.
fn cells(
    side: &CompareSide,
    dataset: &Dataset,
    sets: &Sets,
    labels: &[Arc<LabelColumn>],
) -> Result<Arc<[usize]>, String> {
    let found: Vec<usize> = match side {
        CompareSide::Selection => sets.current.iter().collect(),
        CompareSide::Named(name) => {
            let set = sets.named.iter().find(|s| s.name == *name);
            set.ok_or_else(|| format!("There is no set {name} any more. Choose another."))?
                .cells
                .iter()
                .collect()
        }
        CompareSide::Category { column, name } => {
            let found = grouping(column, dataset, labels);
            let found =
                found.ok_or_else(|| format!("There is no column {column} any more. Choose another."))?;
            match &found.meaning {
                Meaning::Categories { categories, codes, .. } => {
                    let row = categories.iter().position(|c| c.name == *name);
                    let row = row.ok_or_else(|| format!("{column} has no category {name}."))? as u32;
                    codes.iter().enumerate().filter(|(_, c)| **c == row).map(|(cell, _)| cell).collect()
                }
                _ => return Err(format!("{column} holds no categories.")),
            }
        }
        CompareSide::Others => Vec::new(),
    };
    Ok(found.into())
}

/// What the engine is asked for.
///
/// # Errors
/// Where the sets cannot be compared: what is missing, and what to do.
pub fn request(
    spec: &CompareSpec,
    dataset: &Dataset,
    sets: &Sets,
    labels: &[Arc<LabelColumn>],
) -> Result<CompareRequest, String> {
    let a = cells(&spec.a, dataset, sets, labels)?;
    let few = |n: usize, side: &CompareSide| match (n, side) {
        (0, CompareSide::Selection) => {
            Err("No cells are selected. Select some on the map, or choose a category.".to_owned())
        }
        (0 | 1, side) => Err(format!("{} holds fewer than two cells. Choose a larger set.", side.words())),
        _ => Ok(()),
    };
    few(a.len(), &spec.a)?;
    let b = match &spec.b {
        CompareSide::Others => {
            if dataset.n_obs.saturating_sub(a.len()) < 2 {
                return Err("The first set holds all cells: nothing is left to compare with.".to_owned());
            }
            None
        }
        side => {
            let b = cells(side, dataset, sets, labels)?;
            few(b.len(), side)?;
            if spec.a == spec.b {
                return Err("Both sides are the same cells. Choose another second set.".to_owned());
            }
            Some(b)
        }
    };
    Ok(CompareRequest { a, b, test: if spec.welch { Test::WelchT } else { Test::Wilcoxon } })
}

/// The columns of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Column {
    Gene,
    #[default]
    Score,
    Fold,
    Adjusted,
    ShareA,
    ShareB,
    MeanA,
    MeanB,
}

impl Column {
    const ALL: [Self; 8] = [
        Self::Gene,
        Self::Score,
        Self::Fold,
        Self::Adjusted,
        Self::ShareA,
        Self::ShareB,
        Self::MeanA,
        Self::MeanB,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Gene => "Gene",
            Self::Score => "Score",
            Self::Fold => "log2 fold",
            Self::Adjusted => "Adjusted p",
            Self::ShareA => "% in A",
            Self::ShareB => "% in B",
            Self::MeanA => "Mean A",
            Self::MeanB => "Mean B",
        }
    }

    fn value(self, g: &GeneComparison) -> f64 {
        match self {
            Self::Gene => 0.0,
            Self::Score => g.score,
            Self::Fold => g.log_fold_change,
            Self::Adjusted => g.p_adjusted,
            Self::ShareA => g.share_a * 100.0,
            Self::ShareB => g.share_b * 100.0,
            Self::MeanA => g.mean_a,
            Self::MeanB => g.mean_b,
        }
    }

    fn text(self, g: &GeneComparison) -> String {
        let v = self.value(g);
        match self {
            Self::Gene => g.symbol.clone(),
            Self::Adjusted if v > 0.0 && v < 0.001 => format!("{v:.1e}"),
            Self::Adjusted => format!("{v:.3}"),
            Self::ShareA | Self::ShareB => format!("{v:.1}"),
            _ if !v.is_finite() => "–".to_owned(),
            _ => format!("{v:.2}"),
        }
    }
}

/// What the panel keeps between frames.
#[derive(Default)]
pub struct ComparePanel {
    filter: String,
    sort: Column,
    /// Rising; the score falls at first.
    rising: bool,
    as_volcano: bool,
    /// Rows of the table for what they were sorted and filtered by.
    rows: Option<Rows>,
    plot: Option<Plot>,
    /// The sides of the comparison that is shown, in words.
    pub sides: [String; 2],
}

/// The result, the size, dark or light, and what was drawn of them.
type Plot = (Arc<Comparison>, [u32; 2], bool, Scene, Vec<TextureHandle>);

/// The result, the filter, the column, rising, and the rows in order.
type Rows = (Arc<Comparison>, String, Column, bool, Vec<u32>);

impl std::fmt::Debug for ComparePanel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComparePanel").field("sides", &self.sides).finish_non_exhaustive()
    }
}

impl ComparePanel {
    fn update_rows(&mut self, result: &Arc<Comparison>) {
        let fresh = self.rows.as_ref().is_some_and(|(of, filter, sort, rising, _)| {
            Arc::ptr_eq(of, result) && *filter == self.filter && *sort == self.sort && *rising == self.rising
        });
        if !fresh {
            let rows = sorted(&result.genes, &self.filter, self.sort, self.rising);
            self.rows = Some((result.clone(), self.filter.clone(), self.sort, self.rising, rows));
        }
    }
}

/// The rows that hold `filter`, in order.
fn sorted(genes: &[GeneComparison], filter: &str, sort: Column, rising: bool) -> Vec<u32> {
    let filter = filter.trim().to_uppercase();
    let fits = |g: &GeneComparison| filter.is_empty() || g.symbol.to_uppercase().contains(&filter);
    let mut rows: Vec<u32> =
        genes.iter().enumerate().filter(|(_, g)| fits(g)).map(|(i, _)| i as u32).collect();
    let gene = |row: &u32| &genes[*row as usize];
    // Values that are no numbers come last in either direction.
    let key = |row: &u32| {
        let v = sort.value(gene(row));
        match (v.is_nan(), rising) {
            (true, _) => f64::INFINITY,
            (false, true) => v,
            (false, false) => -v,
        }
    };
    match sort {
        Column::Gene if rising => rows.sort_by(|a, b| gene(a).symbol.cmp(&gene(b).symbol)),
        Column::Gene => rows.sort_by(|a, b| gene(b).symbol.cmp(&gene(a).symbol)),
        _ => rows.sort_by(|a, b| key(a).total_cmp(&key(b))),
    }
    rows
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
                ui.add_enabled_ui(problem.is_none(), |ui| {
                    if primary_button(ui, "Compare").clicked() {
                        out.push(Action::Compare);
                    }
                });
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
            Some(result) => result_ui(ui, scope, &mut local.compare_panel, result, out),
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

/// A menu to choose the cells of one side.
fn side_ui(
    ui: &mut Ui,
    name: &str,
    side: &mut CompareSide,
    scope: &Scope<'_>,
    dataset: &Dataset,
    second: bool,
) {
    let words = side.words();
    ui.scope(|ui| {
        ui.set_max_width(190.0);
        stays_open(ui, words.clone(), &format!("{name}: {words}"), |ui| {
            ui.set_width(240.0);
            let mut row = |ui: &mut Ui, value: CompareSide, text: String| {
                let button = Button::selectable(*side == value, text).truncate().min_size(vec2(240.0, 0.0));
                if ui.add(button).clicked() {
                    *side = value;
                    ui.close();
                }
            };
            let n = scope.work.sets.current.len();
            row(ui, CompareSide::Selection, format!("Selected cells ({})", grouped(n as i64)));
            if second {
                row(ui, CompareSide::Others, "All other cells".to_owned());
            }
            for set in &scope.work.sets.named {
                let text = format!("{} ({})", set.name, grouped(set.cells.len() as i64));
                row(ui, CompareSide::Named(set.name.clone()), text);
            }
            ScrollArea::vertical().max_height(320.0).show(ui, |ui| {
                for column in group_columns(scope) {
                    ui.collapsing(column, |ui| {
                        let Some(found) = grouping(column, dataset, &scope.work.labels) else { return };
                        if let Meaning::Categories { categories, .. } = &found.meaning {
                            for category in categories {
                                let (column, name) = (column.to_owned(), category.name.clone());
                                let text = format!("{} ({})", category.name, grouped(category.count as i64));
                                row(ui, CompareSide::Category { column, name }, text);
                            }
                        }
                    });
                }
            });
        });
    });
}

fn result_ui(
    ui: &mut Ui,
    scope: &Scope<'_>,
    panel: &mut ComparePanel,
    result: &Arc<Comparison>,
    out: Out<'_>,
) {
    let t = Tokens::of(ui);
    let [a, b] = &panel.sides;
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
        let field = TextEdit::singleline(&mut panel.filter)
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
            if let Some((.., rows)) = &panel.rows {
                let names = rows.iter().take(10).filter_map(|r| result.genes.get(*r as usize));
                plots.genes = names.map(|g| g.symbol.clone()).collect();
                out.push(Action::SetPlots(Box::new(plots)));
                out.push(Action::Run(Command::ShowDotPlot));
            }
        }
    });
    ui.add_space(space::XS);
    panel.update_rows(result);
    if panel.as_volcano {
        volcano_ui(ui, panel, result, out);
    } else {
        genes_ui(ui, panel, result, out);
    }
}

fn genes_ui(ui: &mut Ui, panel: &mut ComparePanel, result: &Arc<Comparison>, out: Out<'_>) {
    let t = Tokens::of(ui);
    ui.spacing_mut().item_spacing.y = 0.0;
    let width = ui.available_width() - 10.0;
    // The name takes a share and a half of the width.
    let unit = width / (Column::ALL.len() as f32 + 0.5);
    let span = |c: usize| if c == 0 { (0.0, 1.5 * unit) } else { (unit * (c as f32 + 0.5), unit) };
    let small = TextStyle::Small.resolve(ui.style());
    let (head, _) = row_rect(ui, ROW, Sense::hover());
    for (c, column) in Column::ALL.into_iter().enumerate() {
        let (left, width) = span(c);
        let rect = egui::Rect::from_min_size(head.min + vec2(left, 0.0), vec2(width, ROW));
        let response = ui.interact(rect, ui.scope_id().with(("sort", c)), Sense::click());
        let chosen = panel.sort == column;
        let sign = match (chosen, panel.rising) {
            (true, true) => " ▲",
            (true, false) => " ▼",
            _ => "",
        };
        let colour = if chosen || response.hovered() { t.text_strong } else { t.text_muted };
        let text = format!("{}{sign}", column.title());
        if c == 0 {
            elided(ui, rect.left_center() + vec2(6.0, 0.0), width - 8.0, &text, &small, colour);
        } else {
            ui.painter().text(
                rect.right_center() - vec2(6.0, 0.0),
                Align2::RIGHT_CENTER,
                text,
                small.clone(),
                colour,
            );
        }
        let words = format!("Sort by {}", column.title());
        response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &words));
        if response.clicked() {
            panel.rising =
                if chosen { !panel.rising } else { matches!(column, Column::Gene | Column::Adjusted) };
            panel.sort = column;
        }
    }
    ui.painter().hline(head.x_range(), head.bottom() - 0.5, (1.0, t.outline));
    let rows = panel.rows.as_ref().map_or(&[][..], |(.., rows)| rows.as_slice());
    if rows.is_empty() {
        ui.add_space(space::S);
        muted(ui, "No gene has this in its name.");
    }
    let body = TextStyle::Body.resolve(ui.style());
    ScrollArea::vertical().id_salt("compared genes").auto_shrink([false, false]).show_rows(
        ui,
        ROW,
        rows.len(),
        |ui, range| {
            for row in rows.get(range).unwrap_or_default() {
                let Some(gene) = result.genes.get(*row as usize) else { continue };
                let (rect, response) = row_rect(ui, ROW, Sense::click());
                if response.hovered() || response.has_focus() {
                    ui.painter().rect_filled(rect, 4.0, t.control);
                }
                for (c, column) in Column::ALL.into_iter().enumerate() {
                    let (left, width) = span(c);
                    let text = column.text(gene);
                    if c == 0 {
                        elided(
                            ui,
                            pos2(rect.left() + 6.0, rect.center().y),
                            width - 8.0,
                            &text,
                            &body,
                            t.text_strong,
                        );
                    } else {
                        let right = pos2(rect.left() + left + width - 6.0, rect.center().y);
                        ui.painter().text(right, Align2::RIGHT_CENTER, text, body.clone(), t.text);
                    }
                }
                ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, (1.0, t.line));
                let words = format!(
                    "{}, score {}, log2 fold change {}, adjusted p {}",
                    gene.symbol,
                    Column::Score.text(gene),
                    Column::Fold.text(gene),
                    Column::Adjusted.text(gene)
                );
                response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
                if response.clicked() {
                    out.push(Action::ColourBy(ColourBy::Gene {
                        gene: gene.gene,
                        symbol: gene.symbol.clone(),
                    }));
                }
            }
        },
    );
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
        ui.label(format!("log2 fold change {}", Column::Fold.text(gene)));
        ui.label(format!("adjusted p {}", Column::Adjusted.text(gene)));
    });
}

#[cfg(test)]
mod tests {
    use super::super::super::selection::{CellSet, NamedSet};
    use super::super::super::testing::dataset;
    use super::*;

    fn gene(symbol: &str, score: f64, p: f64) -> GeneComparison {
        GeneComparison {
            gene: 0,
            symbol: symbol.into(),
            score,
            log_fold_change: score / 2.0,
            p_value: p,
            p_adjusted: p,
            share_a: 0.5,
            share_b: 0.25,
            mean_a: 1.0,
            mean_b: 0.5,
        }
    }

    #[test]
    fn the_table_is_sorted_and_filtered_and_what_is_no_number_comes_last() {
        let genes = [gene("CD3E", 2.0, 0.1), gene("LYZ", f64::NAN, 1.0), gene("CD79A", 9.0, 1e-9)];
        assert_eq!(sorted(&genes, "", Column::Score, false), [2, 0, 1]);
        assert_eq!(sorted(&genes, "", Column::Score, true), [0, 2, 1]);
        assert_eq!(sorted(&genes, "", Column::Gene, true), [0, 2, 1]);
        assert_eq!(sorted(&genes, " cd", Column::Adjusted, true), [2, 0]);
        assert!(sorted(&genes, "xyz", Column::Score, false).is_empty());
    }

    #[test]
    fn sides_become_cells_and_what_cannot_be_compared_is_said() {
        let data = dataset();
        let named = NamedSet { name: "mine".into(), cells: Arc::new(CellSet::from_cells(3, [0, 2])) };
        let mut sets = Sets { current: Arc::new(CellSet::none(3)), named: vec![named] };
        let mut spec = CompareSpec::default();
        assert!(request(&spec, &data, &sets, &[]).unwrap_err().contains("No cells are selected"));
        spec.a = CompareSide::Named("mine".into());
        assert!(request(&spec, &data, &sets, &[]).unwrap_err().contains("nothing is left"));
        spec.b = CompareSide::Category { column: "louvain".into(), name: "0".into() };
        assert!(request(&spec, &data, &sets, &[]).unwrap_err().contains("fewer than two"));
        spec.b = spec.a.clone();
        assert!(request(&spec, &data, &sets, &[]).unwrap_err().contains("the same cells"));
        sets.current = Arc::new(CellSet::from_cells(3, [1, 2]));
        spec.b = CompareSide::Selection;
        spec.welch = true;
        let asked = request(&spec, &data, &sets, &[]).unwrap();
        assert_eq!(
            (&asked.a[..], asked.b.as_deref(), asked.test),
            (&[0, 2][..], Some(&[1, 2][..]), Test::WelchT)
        );
    }
}
