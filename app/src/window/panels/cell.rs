//! The selected cell: its description with evidence, and its record.

use eframe::egui::text::LayoutJob;
use eframe::egui::{
    self, Color32, Label, Margin, RichText, Role, ScrollArea, Spinner, Stroke, TextFormat, TextStyle, Ui,
    WidgetInfo, vec2,
};
use engine::anndata::Scale;
use engine::describe::{ClaimKind, Description};
use engine::session::{CellRecord, Dataset};

use super::super::command::{Action, Command};
use super::super::map::{grouped, number};
use super::super::state::ColourBy;
use super::super::theme::{Tokens, space};
use super::widgets::{
    bar_row, empty_state, key_number, key_value, muted, quiet_button, section, section_with, severity_mark,
};
use super::{Local, Out, Scope, claims};

/// Paints the selected cell.
pub fn cell_ui(ui: &mut Ui, scope: &Scope<'_>, local: &Local, out: Out<'_>) {
    let Some(dataset) = &scope.work.dataset else { return };
    let Some(cell) = local.selected else {
        ui.take_available_space();
        let rect = ui.max_rect();
        let top = rect.top() + rect.height() * 0.36;
        let middle = egui::Rect::from_min_max(
            egui::pos2(rect.left() + space::M, top),
            egui::pos2(rect.right() - space::M - 10.0, rect.bottom()),
        );
        ui.scope_builder(egui::UiBuilder::new().max_rect(middle), |ui| {
            empty_state(
                ui,
                "No cell selected",
                "Click a cell on the map. Its record and a description of what it is appear here.",
            );
        });
        return;
    };
    egui::Frame::new().inner_margin(Margin { right: 10, ..Margin::ZERO }).show(ui, |ui| {
        header_ui(ui, scope, dataset, cell);
    });
    let record = scope.work.record.as_ref().filter(|r| r.cell == cell);
    let Some(record) = record else {
        section_ui(ui, "description", |ui| description_ui(ui, scope, dataset, cell, out));
        return;
    };
    // Text that grows must not push the record about: from its beginning on it has a place of its own.
    let has_text = scope.work.description_text(cell).is_some();
    if !has_text {
        section_ui(ui, "record", |ui| {
            description_ui(ui, scope, dataset, cell, out);
            top_genes_ui(ui, dataset, record, out);
            obs_ui(ui, record);
        });
        return;
    }
    let height = ui.available_height();
    egui::Panel::bottom("record of the cell")
        .resizable(true)
        .default_size(height * 0.42)
        .size_range(60.0..=(height - 120.0).max(60.0))
        .frame(egui::Frame::new())
        .show(ui, |ui| {
            section_ui(ui, "record", |ui| {
                top_genes_ui(ui, dataset, record, out);
                obs_ui(ui, record);
            });
        });
    let running = scope.work.is_describing(cell);
    let area = ScrollArea::vertical().id_salt(("description", cell)).auto_shrink([false, false]);
    area.stick_to_bottom(running).show(ui, |ui| {
        egui::Frame::new().inner_margin(Margin { right: 10, bottom: 8, ..Margin::ZERO }).show(ui, |ui| {
            description_ui(ui, scope, dataset, cell, out);
        });
    });
}

/// A part of the panel that scrolls by itself.
fn section_ui(ui: &mut Ui, name: &str, add: impl FnOnce(&mut Ui)) {
    ScrollArea::vertical().id_salt(name).auto_shrink([false, false]).show(ui, |ui| {
        egui::Frame::new().inner_margin(Margin { right: 10, bottom: 16, ..Margin::ZERO }).show(ui, add);
    });
}

fn header_ui(ui: &mut Ui, scope: &Scope<'_>, dataset: &Dataset, cell: usize) {
    let t = Tokens::of(ui);
    muted(ui, format!("Cell {} of {}", grouped(cell as i64 + 1), grouped(dataset.n_obs as i64)));
    let name = dataset.obs.index.get(cell).map_or("", String::as_str);
    ui.add(Label::new(RichText::new(name).heading().color(t.text_strong)).truncate().selectable(true));
    match scope.work.record.as_ref().filter(|r| r.cell == cell) {
        Some(record) => {
            // The sum of logarithms or of scaled values says nothing of a cell.
            let total = if dataset.matrix.scale == Scale::Counts {
                format!(", {} counts", grouped(record.total.round() as i64))
            } else {
                String::new()
            };
            let matrix = &dataset.matrix.key;
            ui.label(
                RichText::new(format!("{} genes detected{total} in {matrix}", grouped(record.n_genes as i64)))
                    .color(t.text),
            )
            .on_hover_text(format!(
                "Counted in {matrix}, which holds {} genes. A number of genes recorded in the file may count others.",
                grouped(dataset.genes.len() as i64)
            ));
        }
        None if scope.work.record_job.is_some() => {
            ui.label(RichText::new("Reading the cell").color(t.text_muted));
        }
        None => {}
    }
}

/// What makes any description doubtful, where the description stands.
fn warnings_ui(ui: &mut Ui, dataset: &Dataset) {
    let t = Tokens::of(ui);
    let mut serious = dataset.findings.iter().filter(|f| f.serious).peekable();
    if serious.peek().is_none() {
        return;
    }
    egui::Frame::new().fill(t.warn_soft).corner_radius(8).inner_margin(Margin::same(10)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = space::XS;
        for finding in serious {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = space::XS;
                severity_mark(ui, true);
                // The first sentence says what is wrong; the data panel has the rest.
                let first = finding.message.split_inclusive(". ").next().unwrap_or_default().trim_end();
                let label = Label::new(RichText::new(first).small().color(t.text)).wrap();
                ui.add(label).on_hover_text(&finding.message);
            });
        }
    });
    ui.add_space(space::XS);
}

fn description_ui(ui: &mut Ui, scope: &Scope<'_>, dataset: &Dataset, cell: usize, out: Out<'_>) {
    let t = Tokens::of(ui);
    let work = scope.work;
    let running = work.is_describing(cell);
    let text = work.description_text(cell).unwrap_or_default();
    let complete =
        work.descriptions.get(&cell).filter(|_| work.streaming.as_ref().is_none_or(|s| s.cell != cell));
    section_with(ui, "Description", |ui| {
        if !text.is_empty()
            && quiet_button(ui, "Copy").on_hover_text(Command::CopyDescription.tooltip()).clicked()
        {
            out.push(Action::Run(Command::CopyDescription));
        }
        if running {
            if let Some(streaming) = &work.streaming
                && quiet_button(ui, "Stop").on_hover_text(Command::Stop.tooltip()).clicked()
            {
                out.push(Action::CancelJob(streaming.job));
            }
        } else if complete.is_some_and(|d| d.n_context_cells == 0) && work.context.is_some() {
            let hover = "This cell was judged alone, before the file was looked over. Describe it with the other cells \
                         in mind.";
            if quiet_button(ui, "Describe again").on_hover_text(hover).clicked() {
                out.push(Action::Run(Command::DescribeCell));
            }
        } else if complete.is_none() {
            let words = if dataset.is_of_another_species() { "Describe anyway" } else { "Describe" };
            if quiet_button(ui, words).on_hover_text(Command::DescribeCell.tooltip()).clicked() {
                out.push(Action::Run(Command::DescribeCell));
            }
        }
    });
    warnings_ui(ui, dataset);
    if text.is_empty() {
        if running {
            ui.horizontal(|ui| {
                ui.add(Spinner::new().size(14.0).color(t.text_muted));
                let loads = work.choosing.as_ref().is_some_and(|choosing| choosing.load);
                let what =
                    if loads || work.model.is_none() { "Loading the model" } else { "Reading the cell" };
                ui.label(RichText::new(what).color(t.text_muted));
            });
        } else {
            ui.label(RichText::new("Not described yet.").color(t.text_muted));
        }
        return;
    }
    text_ui(ui, text, complete.map(|d| &**d), running);
    match complete {
        Some(description) => {
            ui.add_space(space::XS);
            if !description.well_formed {
                muted(
                    ui,
                    "The text does not follow the form the model was trained on. Read it with caution.",
                );
            }
            let made = format!(
                "{} tokens in {:.2} s",
                grouped(description.n_tokens as i64),
                description.duration_secs
            );
            muted(
                ui,
                format!(
                    "Written from {} genes by a language model. Check it against the evidence.",
                    grouped(description.n_genes_read as i64)
                ),
            )
            .on_hover_text(made);
            claims::claims_ui(ui, scope, description, out);
        }
        None if !running => {
            muted(ui, "Stopped. The text is not complete.");
        }
        None => {}
    }
}

/// The text, with what the cell's genes do not support underlined, and a caret while it still comes.
fn text_ui(ui: &mut Ui, text: &str, description: Option<&Description>, running: bool) {
    let t = Tokens::of(ui);
    let font = egui::FontId::new(15.0, egui::FontFamily::Proportional);
    let plain = TextFormat { font_id: font, color: t.text, line_height: Some(21.0), ..TextFormat::default() };
    let mut job = LayoutJob::default();
    job.wrap.max_width = ui.available_width();
    let mut at = 0;
    let claims = description.map_or(&[][..], |d| &d.claims);
    for claim in claims {
        let (from, to) = (claim.span.start, claim.span.end);
        // Spans come from the text itself; one that does not fit is passed over rather than trusted.
        let (Some(before), Some(said)) = (text.get(at..from), text.get(from..to)) else { continue };
        job.append(before, 0.0, plain.clone());
        let mut format = plain.clone();
        if claim.kind != ClaimKind::Definition {
            format.color = t.text_strong;
        }
        if claim.supported == Some(false) {
            format.color = t.warn;
            format.underline = Stroke::new(1.0, t.warn);
        } else if claim.kind == ClaimKind::CellType && claim.supported == Some(true) {
            format.underline = Stroke::new(1.0, t.good);
        }
        job.append(said, 0.0, format);
        at = to;
    }
    job.append(text.get(at..).unwrap_or_default(), 0.0, plain);
    let (place, galley, response) = Label::new(job).selectable(true).layout_in_ui(ui);
    // `Label` does this where it paints itself; a screen reader must have the text also while it comes.
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
    if running {
        let end = galley.pos_from_cursor(galley.end());
        let top = place + vec2(end.right() + 2.0, end.top() + 3.0);
        let caret = egui::Rect::from_min_size(top, vec2(2.0, (end.height() - 6.0).max(10.0)));
        ui.painter().rect_filled(caret, 1.0, t.accent);
    }
    if running {
        ui.painter().galley(place, galley, Color32::PLACEHOLDER);
    } else {
        egui::text_selection::LabelSelectionState::label_text_selection(
            ui,
            &response,
            place,
            galley,
            t.text,
            Stroke::NONE,
        );
    }
}

fn top_genes_ui(ui: &mut Ui, dataset: &Dataset, record: &CellRecord, out: Out<'_>) {
    if record.top_genes.is_empty() {
        return;
    }
    section(ui, "Highest genes");
    let highest = record.top_genes.iter().map(|g| g.value).fold(f32::MIN_POSITIVE, f32::max);
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for gene in record.top_genes.iter().take(12) {
            let row = bar_row(ui, &gene.symbol, &number(gene.value), gene.value / highest, 92.0);
            if row.on_hover_text("Colour the map by this gene").clicked()
                && let Some(action) = colour_by_symbol(dataset, &gene.symbol)
            {
                out.push(action);
            }
        }
    });
}

/// Colours by the gene of this symbol, where the data set has it.
pub fn colour_by_symbol(dataset: &Dataset, symbol: &str) -> Option<Action> {
    let gene = dataset.genes.iter().position(|g| g == symbol)?;
    Some(Action::ColourBy(ColourBy::Gene { gene, symbol: symbol.to_owned() }))
}

fn obs_ui(ui: &mut Ui, record: &CellRecord) {
    if record.obs.is_empty() {
        return;
    }
    section(ui, "Recorded in the file");
    let font = TextStyle::Small.resolve(ui.style());
    let longest = record
        .obs
        .iter()
        .map(|(name, _)| ui.painter().layout_no_wrap(name.clone(), font.clone(), Color32::WHITE).size().x)
        .fold(0.0, f32::max);
    let key_width = (longest + space::S).clamp(72.0, ui.available_width() * 0.45);
    for (name, value) in &record.obs {
        match value.as_deref().and_then(|exact| Some((exact, shortened(exact)?))) {
            Some((exact, short)) => key_number(ui, name, exact, &short, key_width),
            None => key_value(ui, name, value.as_deref(), key_width),
        }
    }
}

/// A number of many digits in six that matter; `None` for what is short enough or no number.
fn shortened(text: &str) -> Option<String> {
    const DIGITS: i32 = 6;
    let digits = text.chars().filter(char::is_ascii_digit).count() as i32;
    if digits <= DIGITS || !text.contains('.') {
        return None;
    }
    let value: f64 = text.parse().ok().filter(|v: &f64| v.is_finite())?;
    let size = value.abs();
    let trimmed = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        return Some(format!("{value:.5e}"));
    }
    // Digits before the point; less than one where zeros follow it.
    let before = if size > 0.0 { size.log10().floor() as i32 + 1 } else { 1 };
    let decimals = (DIGITS - before).clamp(0, 12) as usize;
    let short = trimmed(format!("{value:.decimals$}"));
    (short.len() < text.len()).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn numbers_of_the_file_are_shown_in_six_digits() {
        for (exact, short) in [
            ("-0.17993157", Some("-0.179932")),
            ("0.0081919255", Some("0.00819193")),
            ("3418.0", None),
            ("1234567.875", Some("1234568")),
            ("0.1", None),
            ("1.2345678e-07", Some("1.23457e-7")),
            ("CD4.123456789", None),
            ("12345678", None),
            ("0.30000000000000004", Some("0.3")),
        ] {
            assert_eq!(shortened(exact).as_deref(), short, "{exact}");
        }
    }
}
