//! Choosing what a plot shows: genes one by one or as a list, a gene or a column, a column of groups.

use std::collections::BTreeMap;

use eframe::egui::{
    self, Button, Key, Label, PopupCloseBehavior, RichText, ScrollArea, TextEdit, Ui,
    containers::menu::{MenuButton, MenuConfig},
};
use engine::session::Dataset;

use super::super::super::gene_names::{Resolved, is_list, names_in};
use super::super::super::map::grouped;
use super::super::super::quality::QualityFigure;
use super::super::super::theme::{Tokens, space};
use super::super::widgets::{chip, chip_style, muted, quiet_button};
use super::super::{Local, Scope, colour_by};
use super::settings::{Measure, PlotSettings};

/// Genes proposed for what was typed.
const MAX_FOUND: usize = 8;
/// Names of misses that are listed; the rest are counted.
const MAX_MISSES: usize = 12;

/// What was typed where, and what came of it.
#[derive(Debug, Default)]
pub struct Entries(BTreeMap<String, Entry>);

impl Entries {
    /// Names that a field did not find, until they are put away.
    pub fn misses_ui(&mut self, ui: &mut Ui, id: &str) {
        let Some(entry) = self.0.get_mut(id) else { return };
        let Some(report) = entry.report.as_ref().filter(|r| !r.missing.is_empty()) else { return };
        let mut seen = false;
        ui.horizontal_wrapped(|ui| {
            report_ui(ui, report);
            seen = quiet_button(ui, "Dismiss").clicked();
        });
        if seen {
            entry.report = None;
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    text: String,
    /// Genes found for a text.
    found: (String, Vec<usize>),
    /// What came of the last list.
    report: Option<Resolved>,
}

/// A menu that stays open while one clicks in it.
pub fn stays_open<R>(
    ui: &mut Ui,
    text: String,
    name: &str,
    contents: impl FnOnce(&mut Ui) -> R,
) -> Option<R> {
    let config = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    let button = Button::new(text).right_text(RichText::new("▼").size(8.0)).truncate();
    let (response, inner) = MenuButton::from_button(button).config(config).ui(ui, contents);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, name));
    inner.map(|inner| inner.inner)
}

/// Words on what a list held: how many genes were found, and which names were not.
pub fn report_ui(ui: &mut Ui, report: &Resolved) {
    let t = Tokens::of(ui);
    if report.missing.is_empty() {
        return;
    }
    let mut names: Vec<&str> = report.missing.iter().take(MAX_MISSES).map(String::as_str).collect();
    let rest = report.missing.len().saturating_sub(MAX_MISSES);
    let more = format!("and {rest} more");
    if rest > 0 {
        names.push(&more);
    }
    let text =
        format!("{} found. Not in this data set: {}.", grouped(report.genes.len() as i64), names.join(", "));
    ui.add(Label::new(RichText::new(text).small().color(t.warn)).wrap().selectable(true));
}

/// A field for one gene or a list of them. Chosen genes are added to `genes`.
pub fn gene_entry_ui(
    ui: &mut Ui,
    scope: &Scope<'_>,
    entries: &mut Entries,
    id: &str,
    genes: &mut Vec<String>,
) {
    let Some(dataset) = &scope.work.dataset else { return };
    let t = Tokens::of(ui);
    let entry = entries.0.entry(id.to_owned()).or_default();
    let width = ui.available_width().min(360.0);
    let response = ui
        .add(
            TextEdit::singleline(&mut entry.text)
                .id(ui.scope_id().with(("gene entry", id)))
                .hint_text("Symbol, Ensembl id, or a pasted list")
                .desired_width(width)
                .char_limit(200_000),
        )
        .accessible_name("Genes to add");
    let entered = response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
    if response.changed() {
        entry.report = None;
    }
    let query = entry.text.trim().to_owned();
    let mut chosen = None;
    if is_list(&query) {
        let names = names_in(&query);
        let add = quiet_button(ui, &format!("Add {} genes", names.len())).clicked();
        if add || entered {
            let resolved = scope.work.gene_names.resolve(names);
            add_rows(dataset, &resolved.genes, genes);
            entry.report = Some(resolved);
            entry.text.clear();
        }
    } else if !query.is_empty() {
        if entry.found.0 != query {
            let found = colour_by::find_genes(dataset, &scope.work.gene_names, &query, MAX_FOUND);
            entry.found = (query.clone(), found);
        }
        if entered {
            chosen = entry.found.1.first().copied();
            if chosen.is_none() {
                entry.report = Some(Resolved { missing: vec![query], ..Resolved::default() });
                entry.text.clear();
            }
        }
        for &row in &entry.found.1 {
            if gene_row_ui(ui, dataset, row, width).clicked() {
                chosen = Some(row);
            }
        }
        if entry.found.1.is_empty() {
            let text = format!("None of the {} genes has this name.", grouped(dataset.genes.len() as i64));
            ui.label(RichText::new(text).small().color(t.warn));
        }
    }
    if let Some(row) = chosen {
        add_rows(dataset, &[row], genes);
        entry.text.clear();
        response.request_focus();
    }
    if let Some(report) = &entry.report {
        report_ui(ui, report);
    }
}

/// A line with a gene's symbol and its id.
pub fn gene_row_ui(ui: &mut Ui, dataset: &Dataset, row: usize, width: f32) -> egui::Response {
    let t = Tokens::of(ui);
    let symbol = dataset.genes.get(row).map_or("", String::as_str);
    let id = dataset.ensembl_ids.get(row).and_then(|id| id.as_deref());
    let own = dataset.gene_names_in_file.get(row).map(String::as_str);
    let beside = id.or(own).filter(|beside| *beside != symbol).unwrap_or_default();
    ui.add(
        Button::new(RichText::new(symbol).color(t.text))
            .right_text(RichText::new(beside).small().color(t.text_muted))
            .truncate()
            .frame_when_inactive(false)
            .min_size(egui::vec2(width, 0.0)),
    )
}

/// Adds the genes of rows that are not there yet.
pub fn add_rows(dataset: &Dataset, rows: &[usize], genes: &mut Vec<String>) {
    for row in rows {
        if let Some(symbol) = dataset.genes.get(*row)
            && !genes.contains(symbol)
        {
            genes.push(symbol.clone());
        }
    }
}

/// The genes that a panel shows, with everything to change them.
pub fn genes_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, id: &str, settings: &mut PlotSettings) {
    gene_entry_ui(ui, scope, &mut local.plots.entries, id, &mut settings.genes);
    suggestions_ui(ui, scope, settings);
    if settings.genes.is_empty() {
        return;
    }
    ui.add_space(space::XS);
    let mut removed = None;
    ScrollArea::vertical().max_height(160.0).show(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            chip_style(ui);
            for gene in &settings.genes {
                let response = chip(ui, &format!("{gene} ×"), "Take this gene out");
                if response.accessible_name(format!("Remove {gene}")).clicked() {
                    removed = Some(gene.clone());
                }
            }
        });
    });
    if let Some(removed) = removed {
        settings.genes.retain(|g| *g != removed);
    }
    if quiet_button(ui, "Remove all").clicked() {
        settings.genes.clear();
    }
}

/// Genes that lie at hand: saved lists, the gene on the map, the highest of the selected cell.
pub fn suggestions_ui(ui: &mut Ui, scope: &Scope<'_>, settings: &mut PlotSettings) {
    let Some(dataset) = &scope.work.dataset else { return };
    ui.add_space(space::XS);
    ui.horizontal_wrapped(|ui| {
        chip_style(ui);
        if let Some(record) = &scope.work.record {
            let hover = "Add the five highest genes of the selected cell";
            if chip(ui, "Highest of the selected cell", hover).clicked() {
                let names = record.top_genes.iter().take(5).map(|g| g.symbol.as_str());
                let rows = scope.work.gene_names.resolve(names).genes;
                add_rows(dataset, &rows, &mut settings.genes);
            }
        }
        for list in &scope.saved.gene_lists {
            let hover = format!("Show the {} genes of this list", list.genes.len());
            if chip(ui, &list.name, &hover).clicked() {
                let rows = scope.work.gene_names.resolve(list.genes.iter().map(String::as_str)).genes;
                settings.genes.clear();
                add_rows(dataset, &rows, &mut settings.genes);
            }
        }
    });
}

/// A menu to choose the genes of a panel.
pub fn genes_menu_ui(
    ui: &mut Ui,
    scope: &Scope<'_>,
    local: &mut Local,
    id: &str,
    settings: &mut PlotSettings,
) {
    let text = match settings.genes.len() {
        0 => "Choose genes".to_owned(),
        1 => "1 gene".to_owned(),
        n => format!("{n} genes"),
    };
    stays_open(ui, text, "Genes of this panel", |ui| {
        ui.set_width(320.0);
        genes_ui(ui, scope, local, id, settings);
    });
}

/// A menu to choose a gene or a column of numbers.
pub fn measure_menu_ui(
    ui: &mut Ui,
    scope: &Scope<'_>,
    local: &mut Local,
    name: &str,
    chosen: &mut Option<Measure>,
) {
    let Some(dataset) = &scope.work.dataset else { return };
    let text = chosen.as_ref().map_or_else(|| "Choose".to_owned(), |m| m.name().to_owned());
    let entries = &mut local.plots.entries;
    let full_name = chosen.as_ref().map_or_else(|| name.to_owned(), |m| format!("{name}: {}", m.name()));
    stays_open(ui, text, &full_name, |ui| {
        ui.set_width(280.0);
        measure_ui(ui, scope, entries, dataset, name, chosen);
    });
}

/// A field for a gene with the columns of numbers below it.
pub fn measure_ui(
    ui: &mut Ui,
    scope: &Scope<'_>,
    entries: &mut Entries,
    dataset: &Dataset,
    name: &str,
    chosen: &mut Option<Measure>,
) {
    let mut genes = Vec::new();
    gene_entry_ui(ui, scope, entries, name, &mut genes);
    if let Some(gene) = genes.pop() {
        *chosen = Some(Measure::Gene(gene));
        ui.close();
    }
    muted(ui, "Quality of the cells");
    for figure in QualityFigure::ALL {
        let value = Measure::Quality(figure);
        let is_it = chosen.as_ref() == Some(&value);
        if ui.add(Button::selectable(is_it, figure.text()).min_size(egui::vec2(260.0, 0.0))).clicked() {
            *chosen = Some(value);
            ui.close();
        }
    }
    muted(ui, "Columns of numbers");
    ScrollArea::vertical().max_height(240.0).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for column in dataset.obs.columns.iter().filter(|c| c.is_numeric()) {
            let is_it = matches!(chosen, Some(Measure::Column(name)) if *name == column.name);
            let button = Button::selectable(is_it, column.name.as_str()).min_size(egui::vec2(260.0, 0.0));
            if ui.add(button).clicked() {
                *chosen = Some(Measure::Column(column.name.clone()));
                ui.close();
            }
        }
    });
}

/// Columns whose categories can be groups: of the file, and of labels given by hand.
pub fn group_columns<'a>(scope: &Scope<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    use engine::anndata::Values;
    let columns = scope.work.dataset.iter().flat_map(|d| &d.obs.columns);
    let of_file = columns.filter_map(|c| match &c.values {
        Values::Categorical { .. } | Values::Text(_) | Values::Boolean(_) => Some(c.name.as_str()),
        Values::Number(_) | Values::Integer(_) => None,
    });
    of_file.chain(scope.work.labels.iter().map(|l| l.name.as_str()))
}

/// A box to choose a column of groups.
pub fn group_box_ui(ui: &mut Ui, scope: &Scope<'_>, id: &str, name: &str, chosen: &mut Option<String>) {
    let text = chosen.as_deref().unwrap_or("Choose a column").to_owned();
    ui.name_inputs(name, |ui| {
        egui::ComboBox::from_id_salt((id, name)).selected_text(text).width(132.0).truncate().show_ui(
            ui,
            |ui| {
                for column in group_columns(scope) {
                    let is_it = chosen.as_deref() == Some(column);
                    if ui.selectable_label(is_it, column).clicked() {
                        *chosen = Some(column.to_owned());
                    }
                }
            },
        )
    });
}
