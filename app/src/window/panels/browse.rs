//! All terms of the Cell Ontology: searched by name, or walked through from the top, with the user's own cells.

use std::collections::BTreeSet;

use eframe::egui::{
    self, Align2, Key, Role, ScrollArea, Sense, Shape, Spinner, Stroke, TextEdit, TextStyle, Ui, WidgetInfo,
    pos2, vec2,
};
use engine::ontology::Ontology;

use super::super::command::{Action, Command};
use super::super::map::grouped;
use super::super::terms::Counts;
use super::super::theme::{Tokens, space};
use super::graph::cell_words;
use super::ontology::{Mode, OntologyLocal, list_frame, source_ui};
use super::widgets::{elided, muted, row_rect};
use super::{Local, Out, Scope};

const ROW_HEIGHT: f32 = 24.0;
/// Terms found that are listed.
const MANY: usize = 60;
/// The term above all others.
const ROOT: &str = "CL:0000000";
/// From the left of one level to that of the next.
const INDENT: f32 = 16.0;
/// Terms that are expanded on their own, so that the first look is not endless.
const FIRST_LOOK: usize = 40;

/// One line of the tree.
#[derive(Debug, Clone, PartialEq)]
struct Row<'a> {
    id: &'a str,
    depth: usize,
    /// Kinds below it that would be listed.
    kinds: usize,
    expanded: bool,
}

/// Paints search field and terms into the rest of `ui`.
pub fn browse_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    let Some(ontology) = scope.terms.ontology() else {
        ui.add(Spinner::new().size(16.0).color(t.text_muted));
        return;
    };
    let counts = scope.terms.counts().clone();
    let state = &mut local.ontology;
    search_ui(ui, ontology, &counts, state, out);
    let query = state.query.trim().to_owned();
    if query.is_empty() {
        tree_ui(ui, scope, ontology, &counts, state, out);
        return;
    }
    if state.found.as_ref().is_none_or(|(searched, _)| *searched != query) {
        state.found = Some((query.clone(), scope.terms.search(&query, MANY)));
    }
    let hits = state.found.as_ref().map_or(&[][..], |(_, hits)| hits.as_slice());
    if hits.is_empty() {
        muted(ui, format!("The Cell Ontology has no term like “{query}”."));
        return;
    }
    let mut chosen = None;
    list_frame(t).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink([false, false]).show_rows(
            ui,
            ROW_HEIGHT,
            hits.len(),
            |ui, rows| {
                for hit in hits.get(rows).unwrap_or_default() {
                    let beside = if hit.matched.eq_ignore_ascii_case(&hit.label) || hit.matched == hit.id {
                        hit.id.clone()
                    } else {
                        format!("{}, also “{}”", hit.id, hit.matched)
                    };
                    if term_row(ui, &hit.label, &beside, 0.0, &hit.id, &counts, out) {
                        chosen = Some(hit.id.clone());
                    }
                }
            },
        );
    });
    if let Some(id) = chosen {
        show(state, id, out);
    }
}

fn search_ui(ui: &mut Ui, ontology: &Ontology, counts: &Counts, state: &mut OntologyLocal, out: Out<'_>) {
    ui.horizontal(|ui| {
        let width = (ui.available_width() - 160.0).clamp(120.0, 320.0);
        let response = ui
            .name_inputs("Search the Cell Ontology", |ui| {
                let field = TextEdit::singleline(&mut state.query)
                    .id(egui::Id::unique("ontology search"))
                    .hint_text("Cell type, synonym or CL id")
                    .desired_width(width)
                    .char_limit(80);
                ui.add(field)
            })
            .on_hover_text(Command::BrowseOntology.tooltip());
        if std::mem::take(&mut state.focus_search) {
            response.request_focus();
        }
        if response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter)) {
            let first = ontology.search(&state.query, 1).into_iter().next();
            if let Some(hit) = first {
                show(state, hit.id, out);
            }
        }
        if !counts.cells.is_empty() {
            ui.checkbox(&mut state.only_own, "Only my cells")
                .on_hover_text("Leave out terms that none of your cells belongs to");
        }
    });
    ui.add_space(2.0);
}

/// Shows a term; where the browser has the panel to itself, the graph takes its place.
fn show(state: &mut OntologyLocal, id: String, out: Out<'_>) {
    if !state.whole {
        state.mode = Mode::Graph;
    }
    out.push(Action::ShowTerm(id));
}

fn tree_ui(
    ui: &mut Ui,
    scope: &Scope<'_>,
    ontology: &'static Ontology,
    counts: &Counts,
    state: &mut OntologyLocal,
    out: Out<'_>,
) {
    let t = Tokens::of(ui);
    if !state.began {
        state.began = true;
        state.only_own = !counts.cells.is_empty();
        state.expanded = first_look(ontology, counts);
    }
    source_ui(ui, scope);
    let rows = rows(ontology, counts, &state.expanded, state.only_own);
    let shown = scope.terms.shown().map(|t| t.id.clone());
    let (mut turned, mut chosen) = (None, None);
    list_frame(t).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink([false, false]).show_rows(
            ui,
            ROW_HEIGHT,
            rows.len(),
            |ui, seen| {
                for (line, row) in seen.clone().zip(rows.get(seen).unwrap_or_default()) {
                    let label = ontology.term(row.id).map_or(row.id, |t| t.label.as_str());
                    let indent = row.depth as f32 * INDENT;
                    let top = ui.cursor().min;
                    let is_shown = shown.as_deref() == Some(row.id);
                    if is_shown {
                        let rect = egui::Rect::from_min_size(top, vec2(ui.available_width(), ROW_HEIGHT));
                        ui.painter().rect_filled(rect, 4.0, t.accent_soft);
                    }
                    if term_row(ui, label, row.id, indent + 18.0, row.id, counts, out) {
                        chosen = Some(row.id.to_owned());
                    }
                    if row.kinds > 0 {
                        let place =
                            egui::Rect::from_min_size(top + vec2(indent, 0.0), vec2(18.0, ROW_HEIGHT));
                        if turn_ui(ui, place, line, label, row) {
                            turned = Some(row.id.to_owned());
                        }
                    }
                }
            },
        );
    });
    if let Some(id) = turned
        && !state.expanded.remove(&id)
    {
        state.expanded.insert(id);
    }
    if let Some(id) = chosen {
        show(state, id, out);
    }
}

/// The triangle that lists or hides the kinds of a term.
fn turn_ui(ui: &mut Ui, place: egui::Rect, line: usize, label: &str, row: &Row<'_>) -> bool {
    let t = Tokens::of(ui);
    let response = ui.interact(place, ui.scope_id().with(("turn", line)), Sense::click());
    let c = place.center();
    let points = if row.expanded {
        vec![c + vec2(-4.5, -2.5), c + vec2(4.5, -2.5), c + vec2(0.0, 3.5)]
    } else {
        vec![c + vec2(-2.5, -4.5), c + vec2(3.5, 0.0), c + vec2(-2.5, 4.5)]
    };
    let hot = response.hovered() || response.has_focus();
    let colour = if hot { t.text_strong } else { t.text_muted };
    ui.painter().add(Shape::convex_polygon(points, colour, Stroke::NONE));
    let verb = if row.expanded { "Close" } else { "Open" };
    let name = format!("{verb} {label}, {} kinds", row.kinds);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, row.expanded, &name));
    response.clicked()
}

/// One term with the user's cells at its end. Whether it was clicked.
fn term_row(
    ui: &mut Ui,
    label: &str,
    beside: &str,
    indent: f32,
    id: &str,
    counts: &Counts,
    out: Out<'_>,
) -> bool {
    let t = Tokens::of(ui);
    let (rect, response) = row_rect(ui, ROW_HEIGHT, Sense::click());
    let cells = counts.of(id);
    let (body, small) = (TextStyle::Body.resolve(ui.style()), TextStyle::Small.resolve(ui.style()));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 4.0, t.control);
    }
    let mut right = rect.right() - space::XS;
    if cells > 0 {
        let words = grouped(cells as i64);
        let galley = ui.painter().layout_no_wrap(words, small.clone(), t.text_strong);
        let size = vec2(galley.size().x + 14.0, 18.0);
        let place = Align2::RIGHT_CENTER.anchor_size(pos2(right, rect.center().y), size);
        let select = ui.interact(place, response.id.with("select"), Sense::click());
        let hot = select.hovered() || select.has_focus();
        ui.painter().rect_filled(place, 9.0, if hot { t.accent } else { t.accent_soft });
        let text = if hot { t.on_accent } else { t.text_strong };
        let at = Align2::CENTER_CENTER.anchor_size(place.center(), galley.size()).min;
        ui.painter().galley_with_override_text_color(at, galley, text);
        let words = format!("Select {} of {label}", cell_words(cells));
        select.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
        if select.clicked() {
            out.push(Action::SelectTerm(id.to_owned()));
        }
        select.on_hover_text(words);
        right = place.left() - space::S;
    }
    let left = rect.left() + indent;
    let colour = if cells > 0 { t.text_strong } else { t.text };
    let label_width = ui.painter().layout_no_wrap(label.to_owned(), body.clone(), colour).size().x;
    let room = right - left;
    elided(ui, pos2(left, rect.center().y), room, label, &body, colour);
    if label_width + 60.0 < room {
        let left = left + label_width + space::S;
        elided(ui, pos2(left, rect.center().y), right - left, beside, &small, t.text_muted);
    }
    let words = if cells > 0 { format!("{label}, {}", cell_words(cells)) } else { label.to_owned() };
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
    response.clicked()
}

/// The lines of the tree. A term that stands below several others is expanded in the first place only.
fn rows<'a>(
    ontology: &'a Ontology,
    counts: &Counts,
    expanded: &BTreeSet<String>,
    only_own: bool,
) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    let mut open = BTreeSet::new();
    // From the last to the first, since the last is taken next.
    let mut next = vec![(ROOT, 0)];
    while let Some((id, depth)) = next.pop() {
        let Some(id) = ontology.term(id).map(|t| t.id.as_str()) else { continue };
        let kinds = kinds(ontology, counts, id, only_own);
        let expand = expanded.contains(id) && open.insert(id);
        rows.push(Row { id, depth, kinds: kinds.len(), expanded: expand });
        if expand {
            next.extend(kinds.into_iter().rev().map(|kind| (kind, depth + 1)));
        }
    }
    rows
}

/// The direct kinds of a term: those with the most cells first, then by name.
fn kinds<'a>(ontology: &'a Ontology, counts: &Counts, id: &str, only_own: bool) -> Vec<&'a str> {
    let in_use = |kind: &&str| ontology.term(kind).is_some_and(|t| !t.deprecated);
    let mut kinds: Vec<&str> = ontology.children(id).into_iter().filter(in_use).collect();
    if only_own {
        kinds.retain(|kind| counts.of(kind) > 0);
    }
    let label = |kind: &str| ontology.term(kind).map_or("", |t| t.label.as_str());
    kinds.sort_by_key(|kind| (std::cmp::Reverse(counts.of(kind)), label(kind)));
    kinds
}

/// The terms expanded at first: down to where the user's cells begin to part.
fn first_look(ontology: &Ontology, counts: &Counts) -> BTreeSet<String> {
    let mut expanded = BTreeSet::from([ROOT.to_owned()]);
    let mut next = std::collections::VecDeque::from([ROOT]);
    while let Some(id) = next.pop_front() {
        if expanded.len() >= FIRST_LOOK {
            break;
        }
        for kind in kinds(ontology, counts, id, true) {
            let own = counts.cells.get(kind).map_or(0, |c| c.own);
            if counts.of(kind) > own && expanded.insert(kind.to_owned()) {
                next.push_back(kind);
            }
        }
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Counts {
        let ontology = Ontology::builtin().unwrap();
        let cells = ontology.cell_counts([(["CL:0000860"], 7), (["CL:0000084"], 3)]);
        Counts { cells, ..Counts::default() }
    }

    #[test]
    fn the_tree_opens_down_to_the_users_cells() {
        let ontology = Ontology::builtin().unwrap();
        let counts = counts();
        let expanded = first_look(ontology, &counts);
        let rows = rows(ontology, &counts, &expanded, true);
        assert_eq!((rows[0].id, rows[0].depth), (ROOT, 0));
        for id in ["CL:0000860", "CL:0000576", "CL:0000084"] {
            assert!(rows.iter().any(|r| r.id == id), "{id}");
        }
        assert!(rows.iter().all(|r| counts.of(r.id) > 0));
        let open: Vec<&str> = rows.iter().filter(|r| r.expanded).map(|r| r.id).collect();
        assert_eq!(open.iter().collect::<BTreeSet<_>>().len(), open.len(), "a term is expanded once");
    }

    #[test]
    fn without_cells_the_tree_lists_the_kinds_of_cell() {
        let ontology = Ontology::builtin().unwrap();
        let expanded = first_look(ontology, &Counts::default());
        let rows = rows(ontology, &Counts::default(), &expanded, false);
        assert_eq!(rows.len(), 1 + rows[0].kinds);
        assert!(rows[0].kinds > 20, "{}", rows[0].kinds);
    }
}
