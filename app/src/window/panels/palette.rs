//! The command palette: any command, column, embedding or gene by a few letters.

use eframe::egui::{
    self, Align2, Area, Frame, Id, Key, Margin, Modal, Modifiers, Role, ScrollArea, Sense, TextEdit,
    TextStyle, Ui, WidgetInfo, vec2,
};
use engine::session::DataSource;

use super::super::command::{Action, Command};
use super::super::fuzzy;
use super::super::map::embedding_title;
use super::super::quality::QualityFigure;
use super::super::state::{ColourBy, Said};
use super::super::theme::{Tokens, space};
use super::super::workspace::file_name;
use super::widgets::{elided, muted, row_rect, shortcut_words};
use super::{Local, Out, PaletteState, Scope, colour_by};

/// Genes proposed.
const MAX_GENES: usize = 8;

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What it says.
    pub text: String,
    /// What stands at its end.
    pub beside: String,
    /// What it does.
    pub action: Action,
    /// Whether it can be done now.
    pub enabled: bool,
}

/// The rows that fit `query`, best first.
pub fn entries(ctx: &egui::Context, scope: &Scope<'_>, state: &mut PaletteState) -> Vec<Entry> {
    let query = state.query.clone();
    let mut all: Vec<Entry> = Command::ALL
        .into_iter()
        .filter(|c| *c != Command::ShowPalette)
        .map(|command| Entry {
            text: command.text().to_owned(),
            beside: command.shortcuts().first().map(|s| shortcut_words(ctx, s)).unwrap_or_default(),
            action: Action::Run(command),
            enabled: command.is_enabled(scope.now),
        })
        .collect();
    all.sort_by_key(|e| !e.enabled);
    let entry = |text: String, beside: &str, action: Action| Entry {
        text,
        beside: beside.to_owned(),
        action,
        enabled: true,
    };
    if let Some(dataset) = &scope.work.dataset {
        all.extend(dataset.obs.columns.iter().map(|c| {
            let action = Action::ColourBy(ColourBy::Column(c.name.clone()));
            entry(format!("Colour by {}", c.name), "obs", action)
        }));
        all.extend(QualityFigure::ALL.into_iter().map(|figure| {
            let text = format!("Colour by {}", figure.text().to_lowercase());
            entry(text, "quality", Action::ColourBy(ColourBy::Quality(figure)))
        }));
        if !scope.work.descriptions.is_empty() {
            all.extend(Said::ALL.into_iter().map(|said| {
                let text = format!("Colour by {}", said.text().to_lowercase());
                entry(text, "described", Action::ColourBy(ColourBy::Said(said)))
            }));
        }
        all.extend(dataset.embeddings.iter().enumerate().map(|(i, e)| {
            entry(format!("Show {}", embedding_title(&e.name)), "obsm", Action::SetEmbedding(i))
        }));
    }
    all.extend(scope.saved.recent.iter().map(|path| {
        let action = Action::OpenSource(DataSource::File(path.clone()));
        entry(format!("Open {}", file_name(path)), "recent", action)
    }));
    let ranked = fuzzy::rank(&query, all, |e| e.text.clone());
    // A word that begins with what was typed fits better than letters here and there: genes of that beginning come
    // between the two, so that "cd" finds CD genes before "Copy description".
    let (mut found, scattered): (Vec<Entry>, Vec<Entry>) =
        ranked.into_iter().partition(|e| begins_word(&e.text, query.trim()));
    // Enter takes the first: one that can be done.
    found.sort_by_key(|e| !e.enabled);
    if let Some(dataset) = scope.work.dataset.as_ref().filter(|_| query.trim().len() > 1) {
        if state.genes.0 != query {
            let names = &scope.work.gene_names;
            state.genes = (query.clone(), colour_by::find_genes(dataset, names, query.trim(), MAX_GENES));
        }
        let genes = state.genes.1.iter().map(|&gene| {
            let symbol = dataset.genes.get(gene).cloned().unwrap_or_default();
            let action = Action::ColourBy(ColourBy::Gene { gene, symbol: symbol.clone() });
            entry(format!("Colour by gene {symbol}"), "gene", action)
        });
        // A gene of exactly this name is what was meant.
        let exact = |e: &Entry| e.text["Colour by gene ".len()..].eq_ignore_ascii_case(query.trim());
        let (first, others): (Vec<Entry>, Vec<Entry>) = genes.partition(exact);
        let (beginning, last): (Vec<Entry>, Vec<Entry>) =
            others.into_iter().partition(|e| begins_word(&e.text["Colour by gene ".len()..], query.trim()));
        found.splice(0..0, first);
        found.extend(beginning);
        found.extend(scattered);
        found.extend(last);
    } else {
        found.extend(scattered);
    }
    found
}

/// Whether `text` holds `query` at the beginning of a word, without regard to case.
fn begins_word(text: &str, query: &str) -> bool {
    let (text, query) = (text.to_lowercase(), query.to_lowercase());
    text.match_indices(&query).any(|(at, _)| {
        text.get(..at).and_then(|before| before.chars().next_back()).is_none_or(|c| !c.is_alphanumeric())
    })
}

/// Paints the palette while it is open.
pub fn palette_ui(ui: &Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let Some(mut state) = local.palette.take() else { return };
    let t = Tokens::of(ui);
    let screen = ui.ctx().content_rect();
    let width = 560.0_f32.min(screen.width() - 48.0);
    let id = Id::unique("palette");
    let area = Area::new(id)
        .kind(egui::UiKind::Modal)
        .sense(Sense::hover())
        .order(egui::Order::Foreground)
        .default_size(screen.size())
        .anchor(Align2::CENTER_TOP, vec2(0.0, (screen.height() * 0.12).min(96.0)));
    let frame = Frame::popup(ui.style()).inner_margin(Margin::same(8));
    let mut chosen = None;
    let response = Modal::new(id).area(area).frame(frame).show(ui.ctx(), |ui| {
        ui.set_width(width);
        chosen = contents_ui(ui, scope, &mut state, t);
    });
    if let Some(action) = chosen {
        out.push(action);
    } else if !response.should_close() {
        local.palette = Some(state);
    }
}

fn contents_ui(ui: &mut Ui, scope: &Scope<'_>, state: &mut PaletteState, t: &Tokens) -> Option<Action> {
    // Before the field sees them: it would move its own cursor.
    let (down, up, enter) = ui.input_mut(|i| {
        (
            i.count_and_consume_key(Modifiers::NONE, Key::ArrowDown),
            i.count_and_consume_key(Modifiers::NONE, Key::ArrowUp),
            i.consume_key(Modifiers::NONE, Key::Enter),
        )
    });
    let field = ui.add(
        TextEdit::singleline(&mut state.query)
            .id(Id::unique("palette field"))
            .hint_text("Search commands, columns, genes")
            .desired_width(ui.available_width())
            .margin(Margin::symmetric(10, 8))
            .char_limit(128),
    );
    field.request_focus();
    if field.changed() {
        state.cursor = 0;
    }
    let found = entries(ui.ctx(), scope, state);
    let last = found.len().saturating_sub(1);
    state.cursor = (state.cursor + down).saturating_sub(up).min(last);
    ui.add_space(space::XS);
    let mut chosen = None;
    if found.is_empty() {
        muted(ui, "Nothing fits.");
    }
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical().max_height(380.0).auto_shrink([false, true]).show(ui, |ui| {
        for (i, entry) in found.iter().enumerate() {
            let (rect, response) = row_rect(ui, 30.0, Sense::click());
            let current = i == state.cursor;
            if current || response.hovered() {
                ui.painter().rect_filled(rect, 6.0, if current { t.accent_soft } else { t.control });
            }
            if current && (down > 0 || up > 0) {
                response.scroll_to_me(None);
            }
            if ui.is_rect_visible(rect) {
                let body = TextStyle::Body.resolve(ui.style());
                let small = TextStyle::Small.resolve(ui.style());
                let text = if entry.enabled { t.text } else { t.text_muted };
                let inner = rect.shrink2(vec2(10.0, 0.0));
                let beside = ui.painter().text(
                    inner.right_center(),
                    Align2::RIGHT_CENTER,
                    &entry.beside,
                    small,
                    t.text_muted,
                );
                elided(
                    ui,
                    inner.left_center(),
                    beside.left() - inner.left() - 12.0,
                    &entry.text,
                    &body,
                    text,
                );
            }
            response.widget_info(|| WidgetInfo::selected(Role::Button, entry.enabled, current, &entry.text));
            if entry.enabled && (response.clicked() || (enter && current)) {
                chosen = Some(entry.action.clone());
            }
        }
    });
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::super::command::Situation;
    use super::super::super::map::Map;
    use super::super::super::state::{Saved, View};
    use super::super::super::terms::Terms;
    use super::super::super::testing::dataset;
    use super::super::super::workspace::Workspace;
    use super::*;

    fn found(query: &str) -> Vec<Entry> {
        let mut work = Workspace::default();
        work.dataset = Some(std::sync::Arc::new(dataset()));
        work.gene_names = std::sync::Arc::new(super::super::super::gene_names::GeneIndex::new(&dataset()));
        let now = Situation { has_data: true, has_map: true, ..Situation::default() };
        let (saved, view, map, terms) = (Saved::default(), View::default(), Map::default(), Terms::default());
        let shown = std::collections::BTreeSet::new();
        let models = super::super::super::models::Models::default();
        let scope = Scope {
            shown: &shown,
            models: &models,
            saved: &saved,
            view: &view,
            work: &work,
            map: &map,
            terms: &terms,
            now,
            max_cells: 0,
            renderer: "",
        };
        let mut state = PaletteState { query: query.into(), ..PaletteState::default() };
        entries(&egui::Context::default(), &scope, &mut state)
    }

    #[test]
    fn every_command_is_found_by_its_own_name() {
        for command in Command::ALL.into_iter().filter(|c| *c != Command::ShowPalette) {
            let first = found(command.text()).into_iter().next().unwrap();
            assert_eq!(first.action, Action::Run(command), "{:?}", command.text());
        }
    }

    #[test]
    fn genes_that_begin_as_typed_come_before_letters_here_and_there() {
        let rows = found("cd");
        let place = |text: &str| rows.iter().position(|e| e.text == text).unwrap();
        assert!(place("Colour by gene CD3E") < place("Copy description"));
        assert_eq!(found("cd20")[0].text, "Colour by gene MS4A1");
        assert_eq!(found("copy")[0].text, "Copy description");
    }

    #[test]
    fn a_gene_of_the_name_typed_comes_first_and_columns_are_found() {
        assert_eq!(found("lyz")[0].text, "Colour by gene LYZ");
        assert_eq!(found("louvain")[0].text, "Colour by louvain");
        assert!(found("umap").iter().any(|e| e.action == Action::SetEmbedding(0)));
        assert!(found("qqqq").is_empty());
    }

    #[test]
    fn without_a_query_what_can_be_done_comes_first() {
        let all = found("");
        let first_disabled = all.iter().position(|e| !e.enabled).unwrap();
        let enabled_commands =
            all[first_disabled..].iter().filter(|e| e.enabled && matches!(e.action, Action::Run(_))).count();
        assert_eq!(enabled_commands, 0);
    }
}
