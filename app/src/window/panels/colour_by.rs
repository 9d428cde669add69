//! Choosing what the cells are coloured by: a column of obs or a gene.

use eframe::egui::{self, Button, Key, Label, RichText, Spinner, TextEdit, Ui};
use engine::anndata::Values;
use engine::session::Dataset;

use super::super::command::{Action, Command};
use super::super::gene_names::GeneIndex;
use super::super::map::grouped;
use super::super::quality::QualityFigure;
use super::super::state::{ColourBy, Said};
use super::super::theme::{Tokens, space};
use super::plots::picker::gene_row_ui;
use super::{Local, Out, Scope};

/// Genes proposed.
const MAX_GENES: usize = 6;

/// Paints the choice.
pub fn colour_by_ui(ui: &mut Ui, scope: &Scope<'_>, dataset: &Dataset, local: &mut Local, out: Out<'_>) {
    let width = ui.available_width();
    let selected = match &scope.view.colour_by {
        ColourBy::Nothing => "Choose a column".to_owned(),
        ColourBy::Column(name) => name.clone(),
        ColourBy::Gene { symbol, .. } => format!("Gene {symbol}"),
        ColourBy::GeneSet { name, .. } => format!("Mean of {name}"),
        ColourBy::Quality(figure) => figure.text().to_owned(),
        ColourBy::Said(said) => said.text().to_owned(),
        ColourBy::Labels(name) => name.clone(),
    };
    ui.name_inputs("Column to colour by", |ui| {
        egui::ComboBox::from_id_salt("column").selected_text(selected).width(width).truncate().show_ui(
            ui,
            |ui| {
                for column in &scope.work.labels {
                    let chosen =
                        matches!(&scope.view.colour_by, ColourBy::Labels(name) if *name == column.name);
                    let button = Button::selectable(chosen, column.name.as_str())
                        .right_text(RichText::new("by hand").small().weak());
                    if ui.add(button).clicked() {
                        out.push(Action::ColourBy(ColourBy::Labels(column.name.clone())));
                    }
                }
                for column in &dataset.obs.columns {
                    let chosen =
                        matches!(&scope.view.colour_by, ColourBy::Column(name) if *name == column.name);
                    let button = Button::selectable(chosen, column.name.as_str())
                        .right_text(RichText::new(kind_words(&column.values)).small().weak());
                    if ui.add(button).clicked() {
                        out.push(Action::ColourBy(ColourBy::Column(column.name.clone())));
                    }
                }
                ui.separator();
                for figure in QualityFigure::ALL {
                    let chosen = scope.view.colour_by == ColourBy::Quality(figure);
                    let button = Button::selectable(chosen, figure.text())
                        .right_text(RichText::new("quality").small().weak());
                    if ui.add(button).clicked() {
                        out.push(Action::ColourBy(ColourBy::Quality(figure)));
                    }
                }
                if !scope.work.descriptions.is_empty() {
                    ui.separator();
                    for said in Said::ALL {
                        let chosen = scope.view.colour_by == ColourBy::Said(said);
                        let button = Button::selectable(chosen, said.text())
                            .right_text(RichText::new("described").small().weak());
                        if ui.add(button).clicked() {
                            out.push(Action::ColourBy(ColourBy::Said(said)));
                        }
                    }
                }
                if dataset.obs.columns.is_empty() {
                    ui.label(RichText::new("This file has no columns in obs.").weak());
                }
            },
        )
    });
    ui.add_space(space::XS);
    gene_field_ui(ui, scope, dataset, local, out);
}

fn kind_words(values: &Values) -> &'static str {
    match values {
        Values::Categorical { .. } => "categories",
        Values::Text(_) => "text",
        Values::Number(_) | Values::Integer(_) => "numbers",
        Values::Boolean(_) => "yes or no",
    }
}

fn gene_field_ui(ui: &mut Ui, scope: &Scope<'_>, dataset: &Dataset, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    let width = ui.available_width();
    let field = TextEdit::singleline(&mut local.gene_query)
        .id(egui::Id::unique("gene field"))
        .hint_text("Gene symbol or Ensembl id")
        .desired_width(width)
        .char_limit(64);
    let response = ui.add(field).on_hover_text(Command::FindGene.tooltip());
    if std::mem::take(&mut local.focus_gene_field) {
        response.request_focus();
    }
    let query = local.gene_query.trim().to_owned();
    if query.is_empty() {
        if scope.work.quality_job.is_some() && matches!(scope.view.colour_by, ColourBy::Quality(_)) {
            ui.horizontal(|ui| {
                ui.add(Spinner::new().size(12.0).color(t.text_muted));
                ui.label(RichText::new("Counting in every cell").small().color(t.text_muted));
            });
        }
        if scope.work.gene_job.is_some() || scope.work.set_reading.is_some() {
            ui.horizontal(|ui| {
                ui.add(Spinner::new().size(12.0).color(t.text_muted));
                ui.label(RichText::new("Reading genes").small().color(t.text_muted));
            });
        }
        return;
    }
    if local.genes_found.as_ref().is_none_or(|(searched, _)| *searched != query) {
        local.genes_found =
            Some((query.clone(), find_genes(dataset, &scope.work.gene_names, &query, MAX_GENES)));
    }
    let found = local.genes_found.as_ref().map_or(&[][..], |(_, found)| found.as_slice());
    let entered = response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
    let mut chosen = found.first().copied().filter(|_| entered);
    ui.spacing_mut().item_spacing.y = 0.0;
    for &gene in found {
        if gene_row_ui(ui, dataset, gene, width).clicked() {
            chosen = Some(gene);
        }
    }
    if found.is_empty() {
        let text = format!(
            "None of the {} genes is called “{query}”. {}",
            grouped(dataset.genes.len() as i64),
            example(dataset)
        );
        ui.add(Label::new(RichText::new(text).small().color(t.warn)).wrap());
    }
    if let Some(gene) = chosen {
        let symbol = dataset.genes.get(gene).cloned().unwrap_or_default();
        out.push(Action::ColourBy(ColourBy::Gene { gene, symbol }));
        local.gene_query.clear();
    }
}

fn example(dataset: &Dataset) -> String {
    let names: Vec<&str> = dataset.gene_names_in_file.iter().take(3).map(String::as_str).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("This file names its genes like {}.", names.join(", "))
    }
}

/// As [`search_genes`], and before all others the gene that `query` names in full: by an id with or without version,
/// a previous symbol or an alias.
pub fn find_genes(dataset: &Dataset, names: &GeneIndex, query: &str, limit: usize) -> Vec<usize> {
    let mut found = search_genes(dataset, query, limit);
    if let Some(row) = names.find(query) {
        found.retain(|r| *r != row);
        found.insert(0, row);
        found.truncate(limit);
    }
    found
}

/// Rows of the gene list that fit `query`: the same name first, then names that begin with it, then names that hold
/// it. Symbols, the file's own names and Ensembl ids are searched, without regard to case.
pub fn search_genes(dataset: &Dataset, query: &str, limit: usize) -> Vec<usize> {
    let query = query.to_uppercase();
    let fit = |name: &str| {
        let name = name.to_uppercase();
        if name == query {
            Some(0)
        } else if name.starts_with(&query) {
            Some(1)
        } else if name.contains(&query) {
            Some(2)
        } else {
            None
        }
    };
    let mut found: Vec<(u8, usize, usize)> = dataset
        .genes
        .iter()
        .enumerate()
        .filter_map(|(i, symbol)| {
            let own = dataset.gene_names_in_file.get(i).and_then(|n| fit(n));
            let id = dataset.ensembl_ids.get(i).and_then(|id| id.as_deref()).and_then(fit);
            let best = [fit(symbol), own, id].into_iter().flatten().min()?;
            Some((best, symbol.len(), i))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(limit).map(|(_, _, i)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::gene_names::GeneIndex;
    use super::super::super::testing::dataset;
    use super::{find_genes, search_genes};

    #[test]
    fn an_alias_and_an_id_with_a_version_find_their_gene_first() {
        let data = dataset();
        let names = GeneIndex::new(&data);
        assert_eq!(find_genes(&data, &names, "ENSG00000117877.4", 9), [2]);
        assert_eq!(find_genes(&data, &names, "CD20", 9), [3]);
        assert_eq!(find_genes(&data, &names, "cd3e", 9), [0, 2]);
    }

    #[test]
    fn genes_are_found_by_symbol_and_by_id_the_same_name_first() {
        let data = dataset();
        assert_eq!(search_genes(&data, "cd3e", 9), [0, 2]);
        assert_eq!(search_genes(&data, "ensg00000090382", 9), [1]);
        assert_eq!(search_genes(&data, "lysozyme", 9), [1]);
        assert_eq!(search_genes(&data, "ENSG", 1), [1]);
        assert!(search_genes(&data, "xyzzy", 9).is_empty());
    }
}
