//! The claims of a description: what, how sure, on which genes.

use eframe::egui::{
    Align, Align2, Label, Layout, Rect, RichText, Role, Sense, TextStyle, Ui, WidgetInfo, pos2, vec2,
};
use engine::describe::{Claim, ClaimKind, Description, OtherType};

use super::super::command::Action;
use super::super::map::grouped;
use super::super::theme::{Tokens, space, strong_style};
use super::cell::colour_by_symbol;
use super::widgets::{chip, chip_style, section, warning_triangle};
use super::{Out, Scope};

/// Width of the column that names the kind.
const KIND_WIDTH: f32 = 58.0;
/// Width of the column with the probability.
const PROBABILITY_WIDTH: f32 = 88.0;
/// Height of one line of a claim.
const ROW_HEIGHT: f32 = 20.0;

/// Paints the claims.
pub fn claims_ui(ui: &mut Ui, scope: &Scope<'_>, description: &Description, out: Out<'_>) {
    // The definition stands in the text word for word; a row would only repeat it.
    let claims: Vec<&Claim> = description.claims.iter().filter(|c| c.kind != ClaimKind::Definition).collect();
    section(ui, "Claims and evidence");
    if claims.is_empty() {
        let t = Tokens::of(ui);
        ui.add(Label::new(RichText::new("No claim was recognised in this text.").color(t.warn)).wrap());
        return;
    }
    for claim in claims {
        claim_ui(ui, scope, claim, out);
        match claim.kind {
            ClaimKind::CellType => {
                others_ui(ui, description);
                around_ui(ui, description);
            }
            ClaimKind::Tissue => context_ui(ui, scope, description),
            _ => {}
        }
        ui.add_space(space::S);
    }
}

fn kind_words(kind: ClaimKind) -> &'static str {
    match kind {
        ClaimKind::CellType => "Cell type",
        ClaimKind::Definition => "Definition",
        ClaimKind::Tissue => "Tissue",
        ClaimKind::Disease => "Disease",
        ClaimKind::Stage => "Stage",
        ClaimKind::Pathway => "Pathway",
    }
}

fn claim_ui(ui: &mut Ui, scope: &Scope<'_>, claim: &Claim, out: Out<'_>) {
    let t = Tokens::of(ui);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let kind = RichText::new(kind_words(claim.kind)).small().color(t.text_muted);
        ui.allocate_ui_with_layout(
            vec2(KIND_WIDTH, ROW_HEIGHT),
            Layout::left_to_right(Align::Center),
            |ui| {
                ui.set_min_size(vec2(KIND_WIDTH, ROW_HEIGHT));
                ui.label(kind);
            },
        );
        let width = (ui.available_width() - PROBABILITY_WIDTH - space::S).max(60.0);
        ui.allocate_ui_with_layout(vec2(width, ROW_HEIGHT), Layout::top_down(Align::Min), |ui| {
            ui.set_width(width);
            value_ui(ui, claim);
        });
        let size = vec2(PROBABILITY_WIDTH, ROW_HEIGHT);
        ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
            probability_ui(ui, claim.probability);
        });
    });
    if claim.supported == Some(false) || (claim.supported == Some(true) && claim.evidence.is_empty()) {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            ui.add_space(KIND_WIDTH + space::S);
            support_ui(ui, claim);
        });
    }
    if (claim.kind == ClaimKind::CellType && claim.term.is_some()) || !claim.evidence.is_empty() {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            ui.add_space(KIND_WIDTH + space::S);
            let size = vec2(ui.available_width(), ROW_HEIGHT);
            let layout = Layout::left_to_right(Align::Center).with_main_wrap(true);
            ui.allocate_ui_with_layout(size, layout, |ui| chips_ui(ui, scope, claim, out));
        });
    }
}

/// What else the cell may be.
fn others_ui(ui: &mut Ui, description: &Description) {
    // Where cells voted, the nearest may have settled it: then lineages say nothing.
    let alone = description.claim(ClaimKind::CellType).filter(|_| description.around.is_none());
    let told = alone.map_or(1.0, |claim| claim.probability);
    if let Some(words) = others_words(told, &description.other_types) {
        note_ui(
            ui,
            words,
            "The next of all types that the model can name, where they are likelier than one in twenty. Told is the \
             likeliest type of the lineage that is likeliest as a whole: a type of another lineage may be likelier by \
             itself.",
        );
    }
}

/// The types beside one that was told with probability `told`, in a sentence.
fn others_words(told: f32, others: &[OtherType]) -> Option<String> {
    let word = |other: &OtherType| {
        let why = if other.probability > told { " (of a less likely lineage)" } else { "" };
        format!("{} {:.0} %{why}", other.name, other.probability * 100.0)
    };
    let words: Vec<String> = others.iter().map(word).collect();
    (!words.is_empty()).then(|| format!("It may also be: {}.", words.join(", ")))
}

/// What the cells most like this one say of its type, where they were asked.
fn around_ui(ui: &mut Ui, description: &Description) {
    let Some(around) = &description.around else { return };
    let mut agree = format!("{} of the {} cells most like it agree", around.agreeing, around.cells);
    if around.cells_of_cluster > 1 {
        let counts = [around.agreeing_of_cluster, around.cells_of_cluster].map(|n| grouped(n as i64));
        agree += &format!(", and {} of the {} of its cluster", counts[0], counts[1]);
    }
    let words = match &around.alone {
        Some(alone) => {
            format!("{agree}. By itself: {alone}, {:.0} %.", around.alone_probability * 100.0)
        }
        None => format!("{agree}."),
    };
    note_ui(
        ui,
        words,
        "Cells of one type lie together. Where many cells are described at once, the cells of its cluster and the 15 \
         nearest by their genes, itself among them, vote on the type of each; the probability is that of the vote, and \
         of the cell by itself.",
    );
}

/// Whether the tissue was judged with other cells in mind.
fn context_ui(ui: &mut Ui, scope: &Scope<'_>, description: &Description) {
    let words = match (description.n_context_cells, &scope.work.context) {
        (0, Some(_)) => "Judged from this cell alone, before the file was looked over.".to_owned(),
        (0, None) if scope.work.is_looking_over() => {
            "Judged from this cell alone; the file is being looked over.".to_owned()
        }
        (0, None) => "Judged from this cell alone.".to_owned(),
        (n, _) => format!("Judged with {} cells all over the file in mind.", grouped(n as i64)),
    };
    note_ui(
        ui,
        words,
        "Cells of one sample come from one place, or from few. What a sample of its cells says settles doubts about the \
         tissue of each.",
    );
}

/// A line of small print under a claim.
fn note_ui(ui: &mut Ui, words: String, hover: &str) {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        ui.add_space(KIND_WIDTH + space::S);
        let t = Tokens::of(ui);
        let label = Label::new(RichText::new(words).small().color(t.text_muted)).wrap();
        ui.add(label).on_hover_text(hover);
    });
}

fn value_ui(ui: &mut Ui, claim: &Claim) {
    let t = Tokens::of(ui);
    let colour = if claim.supported == Some(false) { t.warn } else { t.text_strong };
    let mut text = RichText::new(&claim.value).color(colour);
    if claim.kind == ClaimKind::CellType {
        text = text.text_style(strong_style());
    }
    ui.add(Label::new(text).wrap());
}

/// A bar and a number: how probable the words were to the model.
fn probability_ui(ui: &mut Ui, probability: f32) {
    let t = Tokens::of(ui);
    let percent = format!("{:.0} %", probability * 100.0);
    // Painted, not laid out, so that the bars of all rows begin in one place.
    let (rect, response) = ui.allocate_exact_size(vec2(PROBABILITY_WIDTH, ROW_HEIGHT), Sense::hover());
    let font = TextStyle::Small.resolve(ui.style());
    ui.painter().text(rect.right_center(), Align2::RIGHT_CENTER, &percent, font, t.text);
    let track = Rect::from_min_size(
        pos2(rect.left() + 4.0, rect.center().y - 2.5),
        vec2(PROBABILITY_WIDTH - 46.0, 5.0),
    );
    ui.painter().rect_filled(track, 2.0, t.line);
    let mut filled = track;
    filled.set_width(track.width() * probability.clamp(0.0, 1.0));
    ui.painter().rect_filled(filled, 2.0, t.bar);
    let label = format!("Probability {percent}");
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
    response.on_hover_text("How probable this was to the model among all that it could say there");
}

/// Whether the cell's own genes speak for a claim, where no chip shows it.
fn support_ui(ui: &mut Ui, claim: &Claim) {
    let t = Tokens::of(ui);
    if claim.supported == Some(true) {
        ui.label(RichText::new("Supported by this cell's genes").small().color(t.good));
        return;
    }
    let (rect, _) = ui.allocate_exact_size(vec2(12.0, 14.0), Sense::hover());
    warning_triangle(ui, rect.center(), t.warn);
    // Genes named below a flat "not supported" would read as a contradiction.
    let words = if claim.evidence.is_empty() {
        "Not supported by this cell's genes"
    } else {
        "Weakly supported, by these genes only"
    };
    ui.add(Label::new(RichText::new(words).small().color(t.warn)).truncate());
}

fn chips_ui(ui: &mut Ui, scope: &Scope<'_>, claim: &Claim, out: Out<'_>) {
    chip_style(ui);
    if claim.kind == ClaimKind::CellType
        && let Some(term) = &claim.term
        && chip(ui, term, "Show it in the Cell Ontology").clicked()
    {
        out.push(Action::ShowTerm(term.clone()));
    }
    for gene in &claim.evidence {
        let hover = format!(
            "{} is gene {} by rank in this cell. Click to colour the map by it.",
            gene.symbol, gene.rank
        );
        if chip(ui, &gene.symbol, &hover).clicked()
            && let Some(action) = scope.work.dataset.as_ref().and_then(|d| colour_by_symbol(d, &gene.symbol))
        {
            out.push(action);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_is_likelier_than_the_one_that_was_told_is_explained() {
        let other = |name: &str, probability| OtherType { name: name.to_owned(), term: None, probability };
        let others = [other("hepatocyte", 0.34), other("B cell", 0.1)];
        assert_eq!(
            others_words(0.3, &others).as_deref(),
            Some("It may also be: hepatocyte 34 % (of a less likely lineage), B cell 10 %.")
        );
        assert_eq!(
            others_words(0.4, &others).as_deref(),
            Some("It may also be: hepatocyte 34 %, B cell 10 %.")
        );
        assert_eq!(others_words(0.4, &[]), None);
    }
}
