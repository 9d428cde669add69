//! The genes of a comparison as a table: sorted by any column, found by name, fewer columns where there is little room.

use std::sync::Arc;

use eframe::egui::{self, Align2, Role, ScrollArea, Sense, TextStyle, Ui, WidgetInfo, pos2, vec2};
use engine::analysis::{Comparison, GeneComparison};

use super::super::super::command::Action;
use super::super::super::state::ColourBy;
use super::super::super::theme::{Tokens, space};
use super::super::Out;
use super::super::widgets::{elided, muted, row_rect};

const ROW: f32 = 24.0;
/// The narrowest column of numbers.
const NARROWEST: f32 = 66.0;

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

/// What the table shows, and in which order.
#[derive(Debug, Default)]
pub struct GeneTable {
    /// What was typed to find a gene.
    pub filter: String,
    sort: Column,
    /// Rising; the score falls at first.
    rising: bool,
    /// The rows in order, with all that they were sorted and filtered by.
    rows: Option<(Sorted, Vec<u32>)>,
}

/// What rows were made of.
#[derive(Debug, Clone)]
struct Sorted {
    of: Arc<Comparison>,
    filter: String,
    sort: Column,
    rising: bool,
}

impl GeneTable {
    /// Sorts the rows anew where that is needed.
    pub fn update(&mut self, result: &Arc<Comparison>) {
        let fresh = self.rows.as_ref().is_some_and(|(by, _)| {
            Arc::ptr_eq(&by.of, result)
                && by.filter == self.filter
                && by.sort == self.sort
                && by.rising == self.rising
        });
        if !fresh {
            let rows = sorted(&result.genes, &self.filter, self.sort, self.rising);
            let by = Sorted {
                of: result.clone(),
                filter: self.filter.clone(),
                sort: self.sort,
                rising: self.rising,
            };
            self.rows = Some((by, rows));
        }
    }

    fn rows(&self) -> &[u32] {
        self.rows.as_ref().map_or(&[], |(_, rows)| rows.as_slice())
    }

    /// The genes of the first rows.
    pub fn first<'a>(&'a self, result: &'a Comparison, n: usize) -> impl Iterator<Item = &'a GeneComparison> {
        self.rows().iter().take(n).filter_map(|row| result.genes.get(*row as usize))
    }

    /// Paints the table.
    pub fn show_ui(&mut self, ui: &mut Ui, result: &Arc<Comparison>, out: Out<'_>) {
        ui.spacing_mut().item_spacing.y = 0.0;
        let columns = Columns::new(ui.available_width() - 10.0);
        self.header_ui(ui, &columns);
        let rows = self.rows();
        if rows.is_empty() {
            ui.add_space(space::S);
            muted(ui, "No gene has this in its name.");
        }
        ScrollArea::vertical().id_salt("compared genes").auto_shrink([false, false]).show_rows(
            ui,
            ROW,
            rows.len(),
            |ui, range| {
                for row in rows.get(range).unwrap_or_default() {
                    if let Some(gene) = result.genes.get(*row as usize) {
                        row_ui(ui, &columns, gene, out);
                    }
                }
            },
        );
    }

    fn header_ui(&mut self, ui: &mut Ui, columns: &Columns) {
        let t = Tokens::of(ui);
        let small = TextStyle::Small.resolve(ui.style());
        let (head, _) = row_rect(ui, ROW, Sense::hover());
        for (column, left, width) in columns.places() {
            let rect = egui::Rect::from_min_size(head.min + vec2(left, 0.0), vec2(width, ROW));
            let response = ui.interact(rect, ui.scope_id().with(("sort", column.title())), Sense::click());
            let chosen = self.sort == column;
            let sign = match (chosen, self.rising) {
                (true, true) => " ▲",
                (true, false) => " ▼",
                _ => "",
            };
            let colour = if chosen || response.hovered() { t.text_strong } else { t.text_muted };
            let text = format!("{}{sign}", column.title());
            let painter = ui.painter_at(rect);
            if column == Column::Gene {
                let place = rect.left_center() + vec2(6.0, 0.0);
                painter.text(place, Align2::LEFT_CENTER, text, small.clone(), colour);
            } else {
                let place = rect.right_center() - vec2(6.0, 0.0);
                painter.text(place, Align2::RIGHT_CENTER, text, small.clone(), colour);
            }
            let words = format!("Sort by {}", column.title());
            response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &words));
            if response.clicked() {
                self.rising =
                    if chosen { !self.rising } else { matches!(column, Column::Gene | Column::Adjusted) };
                self.sort = column;
            }
        }
        ui.painter().hline(head.x_range(), head.bottom() - 0.5, (1.0, t.outline));
    }
}

/// Which columns there is room for, and how wide they are.
struct Columns {
    shown: &'static [Column],
    /// The width of a column of numbers; the name takes one and a half.
    unit: f32,
}

impl Columns {
    /// As many columns as fit, the first ones first; what is left out stands in the exported table.
    fn new(width: f32) -> Self {
        let fits = |n: usize| (n as f32 + 0.5) * NARROWEST <= width;
        let n = (3..=Column::ALL.len()).rev().find(|n| fits(*n)).unwrap_or(2);
        Self { shown: &Column::ALL[..n], unit: width.max(1.0) / (n as f32 + 0.5) }
    }

    /// Each column with where it begins and how wide it is.
    fn places(&self) -> impl Iterator<Item = (Column, f32, f32)> + '_ {
        self.shown.iter().enumerate().map(|(c, column)| match c {
            0 => (*column, 0.0, 1.5 * self.unit),
            c => (*column, self.unit * (c as f32 + 0.5), self.unit),
        })
    }
}

fn row_ui(ui: &mut Ui, columns: &Columns, gene: &GeneComparison, out: Out<'_>) {
    let t = Tokens::of(ui);
    let body = TextStyle::Body.resolve(ui.style());
    let (rect, response) = row_rect(ui, ROW, Sense::click());
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 4.0, t.control);
    }
    for (column, left, width) in columns.places() {
        let text = column.text(gene);
        if column == Column::Gene {
            let place = pos2(rect.left() + 6.0, rect.center().y);
            elided(ui, place, width - 8.0, &text, &body, t.text_strong);
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
        fold_words(gene),
        adjusted_words(gene)
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
    if response.clicked() {
        out.push(Action::ColourBy(ColourBy::Gene { gene: gene.gene, symbol: gene.symbol.clone() }));
    }
}

/// The log2 fold change as the table shows it.
pub fn fold_words(gene: &GeneComparison) -> String {
    Column::Fold.text(gene)
}

/// The adjusted p as the table shows it.
pub fn adjusted_words(gene: &GeneComparison) -> String {
    Column::Adjusted.text(gene)
}

#[cfg(test)]
mod tests {
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
    fn columns_of_a_narrow_table_are_left_out_before_they_touch() {
        for width in [60.0, 180.0, 250.0, 400.0, 560.0, 900.0] {
            let columns = Columns::new(width);
            assert_eq!(columns.shown[..2], [Column::Gene, Column::Score]);
            let mut end = 0.0;
            for (_, left, width) in columns.places() {
                assert!(left >= end - 0.01);
                end = left + width;
            }
            assert!((end - width).abs() < 0.01);
            assert!(columns.unit >= NARROWEST || columns.shown.len() == 2, "{width}");
        }
        assert_eq!(Columns::new(561.0).shown.len(), 8);
        assert_eq!(Columns::new(400.0).shown.len(), 5);
    }
}
