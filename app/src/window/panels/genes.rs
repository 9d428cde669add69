//! Lists of genes: pasted, saved under a name, loaded from GMT and CSV, shown in the panels, coloured by their mean.

use eframe::egui::{
    self, Button, Frame, Label, Margin, RichText, ScrollArea, Sense, TextEdit, TextStyle, Ui, pos2, vec2,
};
use serde::{Deserialize, Serialize};

use super::super::command::{Action, Command};
use super::super::gene_names::{Resolved, names_in};
use super::super::map::grouped;
use super::super::state::ColourBy;
use super::super::theme::{Tokens, space};
use super::plots::picker::report_ui;
use super::widgets::{elided, heading, muted, primary_in_row, row_rect};
use super::{Local, Out, Scope};

/// Lists that are kept; a collection of thousands is searched better elsewhere.
pub const MAX_LISTS: usize = 500;
/// Genes of a list that are kept.
const MAX_GENES: usize = 5_000;

/// A list of genes with a name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GeneList {
    /// Its name, unique.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub description: String,
    /// The names of its genes as they were given.
    pub genes: Vec<String>,
}

/// What is written in the panel.
#[derive(Debug, Default)]
pub struct GeneListPanel {
    name: String,
    text: String,
    /// The list that was taken up from the saved ones.
    chosen: Option<String>,
    /// What the text was resolved to.
    resolved: Option<(String, Resolved)>,
}

/// Paints the panel.
pub fn gene_lists_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    let panel = &mut local.gene_list_panel;
    ui.painter().rect_filled(ui.max_rect(), 0.0, t.panel);
    Frame::new().inner_margin(Margin::same(12)).show(ui, |ui| {
        let wide = ui.available_width() > 480.0;
        if wide {
            let height = ui.available_height();
            ui.horizontal_top(|ui| {
                ui.vertical(|ui| {
                    ui.set_width(190.0);
                    ui.set_height(height);
                    saved_ui(ui, scope, panel, out);
                });
                ui.add_space(space::M);
                ui.vertical(|ui| editor_ui(ui, scope, panel, out));
            });
        } else {
            ScrollArea::vertical().show(ui, |ui| {
                editor_ui(ui, scope, panel, out);
                ui.add_space(space::L);
                saved_ui(ui, scope, panel, out);
            });
        }
    });
}

fn saved_ui(ui: &mut Ui, scope: &Scope<'_>, panel: &mut GeneListPanel, out: Out<'_>) {
    let t = Tokens::of(ui);
    heading(ui, "Saved lists");
    ui.horizontal(|ui| {
        if ui.button("Load…").on_hover_text("Load lists from a GMT, CSV or text file").clicked() {
            out.push(Action::AskGeneLists);
        }
        let can = !scope.saved.gene_lists.is_empty();
        let export = ui.add_enabled(can, Button::new("Export…"));
        if export.on_hover_text("Write all lists as CSV or GMT").clicked() {
            out.push(Action::AskExportGeneLists);
        }
    });
    ui.add_space(space::XS);
    if scope.saved.gene_lists.is_empty() {
        let text = "None yet. Paste genes and give them a name, or load a file.";
        ui.add(Label::new(RichText::new(text).small().color(t.text_muted)).wrap());
        return;
    }
    ui.spacing_mut().item_spacing.y = 0.0;
    let n = scope.saved.gene_lists.len();
    ScrollArea::vertical().id_salt("saved lists").max_height(ui.available_height().max(120.0)).show_rows(
        ui,
        26.0,
        n,
        |ui, rows| {
            for list in scope.saved.gene_lists.get(rows).unwrap_or_default() {
                let (rect, response) = row_rect(ui, 26.0, Sense::click());
                let chosen = panel.chosen.as_deref() == Some(list.name.as_str());
                if chosen || response.hovered() || response.has_focus() {
                    ui.painter().rect_filled(rect, 4.0, if chosen { t.accent_soft } else { t.control });
                }
                let body = TextStyle::Body.resolve(ui.style());
                let small = TextStyle::Small.resolve(ui.style());
                let count = list.genes.len().to_string();
                ui.painter().text(
                    rect.right_center() - vec2(6.0, 0.0),
                    egui::Align2::RIGHT_CENTER,
                    &count,
                    small,
                    t.text_muted,
                );
                elided(
                    ui,
                    pos2(rect.left() + 6.0, rect.center().y),
                    rect.width() - 48.0,
                    &list.name,
                    &body,
                    t.text,
                );
                let words = format!("{}, {count} genes", list.name);
                response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, chosen, &words));
                if response.clicked() {
                    panel.chosen = Some(list.name.clone());
                    panel.name.clone_from(&list.name);
                    panel.text = list.genes.join("\n");
                }
                if !list.description.is_empty() {
                    response.on_hover_text(&list.description);
                }
            }
        },
    );
}

fn editor_ui(ui: &mut Ui, scope: &Scope<'_>, panel: &mut GeneListPanel, out: Out<'_>) {
    let t = Tokens::of(ui);
    heading(ui, "Genes");
    let width = ui.available_width().min(420.0);
    let height = (ui.available_height() - 190.0).clamp(72.0, 320.0);
    ScrollArea::vertical().id_salt("pasted genes").max_height(height).show(ui, |ui| {
        let field = TextEdit::multiline(&mut panel.text)
            .hint_text("Paste genes: symbols, Ensembl ids or aliases, with any separators")
            .desired_width(width)
            .desired_rows((height / 20.0) as usize)
            .char_limit(400_000);
        let response = ui.add(field);
        response.accessible_name("Genes of the list");
    });
    if panel.resolved.as_ref().is_none_or(|(of, _)| *of != panel.text) {
        let resolved = scope.work.gene_names.resolve(names_in(&panel.text));
        panel.resolved = Some((panel.text.clone(), resolved));
    }
    let Some((_, resolved)) = &panel.resolved else { return };
    let symbols: Vec<String> = scope.work.dataset.as_ref().map_or_else(Vec::new, |d| {
        resolved.genes.iter().filter_map(|row| d.genes.get(*row).cloned()).collect()
    });
    if !panel.text.trim().is_empty() {
        let mut text = match symbols.len() {
            0 => "No gene of this data set".to_owned(),
            1 => "1 gene of this data set".to_owned(),
            n => format!("{} genes of this data set", grouped(n as i64)),
        };
        if resolved.repeated > 0 {
            text += &format!(", {} named more than once", resolved.repeated);
        }
        muted(ui, text);
        report_ui(ui, resolved);
    }
    ui.add_space(space::S);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(space::XS, space::XS);
        let can = !symbols.is_empty();
        let action = |ui: &mut Ui, text: &str, hover: &str| {
            ui.add_enabled(can, Button::new(text)).on_hover_text(hover).clicked()
        };
        let shown = |scope: &Scope<'_>| {
            let mut plots = scope.view.plots.clone();
            plots.genes.clone_from(&symbols);
            Action::SetPlots(Box::new(plots))
        };
        if action(ui, "Colour by mean", "Colour the map by the mean of these genes") {
            let name = if panel.name.trim().is_empty() { "pasted genes" } else { panel.name.trim() };
            let by = ColourBy::GeneSet { name: name.to_owned(), genes: symbols.clone() };
            out.push(Action::ColourBy(by));
        }
        for (text, command) in [
            ("Dot plot", Command::ShowDotPlot),
            ("Violin plot", Command::ShowViolin),
            ("Heatmap", Command::ShowHeatmap),
            ("Maps", Command::ShowGeneMaps),
        ] {
            if action(ui, text, command.tooltip()) {
                out.push(shown(scope));
                out.push(Action::Run(command));
            }
        }
    });
    ui.add_space(space::S);
    ui.horizontal(|ui| {
        let field = TextEdit::singleline(&mut panel.name)
            .hint_text("Name of the list")
            .desired_width(180.0)
            .char_limit(80);
        let response = ui.add(field);
        response.accessible_name("Name of the list");
        let name = panel.name.trim().to_owned();
        let genes: Vec<String> =
            names_in(&panel.text).into_iter().take(MAX_GENES).map(str::to_owned).collect();
        let can = !name.is_empty() && !genes.is_empty();
        if primary_in_row(ui, "Save list", can).clicked() {
            panel.chosen = Some(name.clone());
            out.push(Action::SaveGeneList(GeneList {
                name: name.clone(),
                description: String::new(),
                genes,
            }));
        }
        if scope.saved.gene_lists.iter().any(|l| l.name == name) {
            let button = Button::new(RichText::new("Remove").color(t.error));
            if ui.add(button).on_hover_text("Forget the saved list of this name").clicked() {
                panel.chosen = None;
                out.push(Action::RemoveGeneList(name));
            }
        }
    });
}

/// The lists in a file: GMT (name, description, genes, between tabs), CSV with the columns of cellxgene's gene sets,
/// or any text, which is one list with the file's name.
///
/// # Errors
/// Where there is no list in it, in words.
pub fn parse_gene_lists(text: &str, file_name: &str) -> Result<Vec<GeneList>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    let mut lists: Vec<GeneList> = Vec::new();
    let rows = csv_rows(text, ',');
    let header: Vec<String> =
        rows.first().map_or_else(Vec::new, |r| r.iter().map(|f| f.trim().to_lowercase()).collect());
    let column = |name: &str| header.iter().position(|h| h == name);
    if let (Some(set), Some(gene)) = (column("gene_set_name"), column("gene_symbol")) {
        let about = column("gene_set_description");
        for row in rows.iter().skip(1) {
            let (Some(name), Some(gene)) = (row.get(set), row.get(gene)) else { continue };
            let (name, gene) = (name.trim(), gene.trim());
            if name.is_empty() {
                continue;
            }
            let at = lists.iter().position(|l| l.name == name).unwrap_or_else(|| {
                let description = about.and_then(|a| row.get(a)).map_or("", |d| d.trim()).to_owned();
                lists.push(GeneList { name: name.to_owned(), description, genes: Vec::new() });
                lists.len() - 1
            });
            if let Some(list) = lists.get_mut(at).filter(|_| !gene.is_empty()) {
                list.genes.push(gene.to_owned());
            }
        }
    } else if text.lines().any(|line| line.split('\t').filter(|f| !f.trim().is_empty()).count() >= 3) {
        for line in text.lines() {
            let mut fields = line.split('\t').map(str::trim);
            let (Some(name), Some(description)) = (fields.next(), fields.next()) else { continue };
            let genes: Vec<String> = fields.filter(|g| !g.is_empty()).map(str::to_owned).collect();
            if !name.is_empty() && !genes.is_empty() {
                lists.push(GeneList { name: name.to_owned(), description: description.to_owned(), genes });
            }
        }
    } else {
        let genes: Vec<String> = names_in(text).into_iter().map(str::to_owned).collect();
        if !genes.is_empty() {
            lists.push(GeneList { name: stem.to_owned(), description: String::new(), genes });
        }
    }
    for list in &mut lists {
        list.genes.truncate(MAX_GENES);
        list.name = list.name.chars().take(80).collect();
        list.description = list.description.chars().take(400).collect();
    }
    lists.retain(|l| !l.genes.is_empty());
    if lists.is_empty() {
        return Err(format!(
            "{file_name}: no list of genes was found. Expected is GMT (name, description and genes between tabs), CSV \
             with the columns gene_set_name and gene_symbol, or text with names of genes."
        ));
    }
    Ok(lists)
}

/// The fields of a CSV, quoted or not.
///
/// Source: RFC 4180.
fn csv_rows(text: &str, separator: char) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        let Some(row) = rows.last_mut() else { break };
        let Some(field) = row.last_mut() else { break };
        match c {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            c if c == separator && !quoted => row.push(String::new()),
            '\r' if !quoted => {}
            '\n' if !quoted => rows.push(vec![String::new()]),
            c => field.push(c),
        }
    }
    rows.retain(|row| row.iter().any(|f| !f.is_empty()));
    rows
}

/// All lists as CSV with cellxgene's columns, or as GMT.
pub fn gene_lists_csv(lists: &[GeneList], as_gmt: bool) -> String {
    let mut out = String::new();
    if as_gmt {
        let plain = |text: &str| text.replace(['\t', '\n', '\r'], " ");
        for list in lists {
            let genes: Vec<String> = list.genes.iter().map(|g| plain(g)).collect();
            out += &format!("{}\t{}\t{}\n", plain(&list.name), plain(&list.description), genes.join("\t"));
        }
        return out;
    }
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    out += "\"gene_set_name\",\"gene_set_description\",\"gene_symbol\",\"gene_description\"\n";
    for list in lists {
        for gene in &list.genes {
            out += &format!("{},{},{},\"\"\n", quoted(&list.name), quoted(&list.description), quoted(gene));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(lists: &[GeneList]) -> Vec<(String, usize)> {
        lists.iter().map(|l| (l.name.clone(), l.genes.len())).collect()
    }

    #[test]
    fn lists_are_read_from_gmt_from_csv_and_from_any_text() {
        let gmt = "T cells\tmarkers\tCD3D\tCD3E\t\nB cells\t\tMS4A1\tCD79A\tCD19\n";
        let lists = parse_gene_lists(gmt, "a.gmt").unwrap();
        assert_eq!(names(&lists), [("T cells".into(), 2), ("B cells".into(), 3)]);
        assert_eq!(lists[0].description, "markers");
        let csv = "gene_set_name,gene_set_description,gene_symbol,gene_description\r\n\
                   \"T, naive\",\"said \"\"so\"\"\",CCR7,\r\n\"T, naive\",,SELL,x\r\nB,,MS4A1,\r\n";
        let lists = parse_gene_lists(csv, "b.csv").unwrap();
        assert_eq!(names(&lists), [("T, naive".into(), 2), ("B".into(), 1)]);
        assert_eq!(lists[0].description, "said \"so\"");
        let lists = parse_gene_lists("LYZ, CST3\nS100A9", "monocytes.txt").unwrap();
        assert_eq!(names(&lists), [("monocytes".into(), 3)]);
        assert!(parse_gene_lists(" \n", "empty.gmt").unwrap_err().contains("empty.gmt"));
    }

    #[test]
    fn lists_that_were_written_are_read_again() {
        let lists = vec![
            GeneList {
                name: "T, \"naive\"".into(),
                description: "d".into(),
                genes: vec!["CCR7".into(), "SELL".into()],
            },
            GeneList { name: "B".into(), description: String::new(), genes: vec!["MS4A1".into()] },
        ];
        for (as_gmt, name) in [(false, "x.csv"), (true, "x.gmt")] {
            assert_eq!(parse_gene_lists(&gene_lists_csv(&lists, as_gmt), name).unwrap(), lists, "{name}");
        }
    }
}
