//! The ontology neighbourhood as a graph in layers, painted by hand.

use eframe::egui::{
    self, Align2, Color32, FontFamily, FontId, Rect, Role, Sense, Shape, Stroke, StrokeKind, Ui, Vec2,
    WidgetInfo, emath::TSTransform, pos2, vec2,
};
use engine::ontology::{Node, Role as Place};

use super::super::command::{Action, Command};
use super::super::map::grouped;
use super::super::terms::{Counts, TermView};
use super::super::theme::{Tokens, space};
use super::Out;
use super::graph_layout::{self, GAP, Plan, plan, rounded};
use super::widgets::{elided, quiet_button};

/// How small terms are made on their own so that more of them fit.
const LEAST_FITTED: f32 = 0.85;
/// The height of a canvas from which on layers may be divided into rows.
const LEAST_HEIGHT_FOR_ROWS: f32 = 420.0;
/// How small and how large the user can make them.
const ZOOM: std::ops::RangeInclusive<f32> = 0.35..=2.0;

/// The size of what says that there are more terms to a side, and how far it moves at a time to cover none.
const HINT: Vec2 = vec2(46.0, 22.0);
const HINT_STEP: f32 = 3.0;

/// Where the graph looks: kept while its term and the size of its canvas stay.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GraphView {
    /// The term, the canvas and the number of terms it was fitted for.
    fitted: Option<(String, Vec2, usize)>,
    /// From the plan to the canvas, whose upper left corner is the origin.
    scale: f32,
    shift: Vec2,
    first_layer: usize,
    gap: f32,
    /// Terms side by side, beyond which a layer is divided into rows.
    columns: usize,
}

impl GraphView {
    /// Looks at the whole height of the graph with the term in the middle.
    fn fit(&mut self, term: &TermView, size: Vec2) {
        let picture = &term.neighbourhood;
        let height = size.y - 2.0 * space::S;
        self.first_layer = graph_layout::first_layer(picture, height, LEAST_FITTED);
        // On a low canvas rows would push the terms above out of sight.
        self.columns = if size.y >= LEAST_HEIGHT_FOR_ROWS {
            graph_layout::columns_in(size.x / LEAST_FITTED)
        } else {
            usize::MAX
        };
        let rows = graph_layout::layers(picture).saturating_sub(self.first_layer).max(1) as f32;
        let terms = graph_layout::height_of_layers(picture, self.first_layer, self.columns);
        // At full size with as much room between layers as there is; where that is too little, smaller.
        let gap = if rows > 1.0 { (height - terms) / (rows - 1.0) } else { *GAP.end() };
        self.gap = gap.clamp(*GAP.start(), *GAP.end());
        let plan = plan(picture, self.first_layer, self.gap, self.columns);
        let by_width = if self.columns == usize::MAX { 1.0 } else { size.x / plan.size.x.max(1.0) };
        self.scale = (height / plan.size.y.max(1.0)).min(by_width).clamp(LEAST_FITTED, 1.0);
        let content = plan.size * self.scale;
        let focus = plan.boxes.first().copied().flatten().map_or(plan.size / 2.0, |b| b.center().to_vec2())
            * self.scale;
        let place = |content: f32, size: f32, focus: f32| {
            if content <= size {
                (size - content) / 2.0
            } else {
                (size / 2.0 - focus).clamp(size - content - space::S, space::S)
            }
        };
        let x = place(content.x, size.x, focus.x);
        // What does not fit in height begins at the top, or with rows shows the term in the middle.
        let y = match self.columns {
            usize::MAX if content.y > size.y => space::S,
            _ => place(content.y, size.y, focus.y),
        };
        self.shift = vec2(x, y);
        self.fitted = Some((term.id.clone(), size, picture.nodes.len()));
    }

    /// Keeps a part of the graph on the canvas.
    fn keep_in_sight(&mut self, plan: &Plan, size: Vec2) {
        let content = plan.size * self.scale;
        let keep = |shift: f32, content: f32, size: f32| {
            let least = (size - content - space::S).min((size - content) / 2.0);
            let most = space::S.max((size - content) / 2.0);
            shift.clamp(least, most)
        };
        self.shift = vec2(keep(self.shift.x, content.x, size.x), keep(self.shift.y, content.y, size.y));
    }

    fn zoom(&mut self, factor: f32, about: Vec2) {
        let scale = (self.scale * factor).clamp(*ZOOM.start(), *ZOOM.end());
        self.shift = about + (self.shift - about) * (scale / self.scale);
        self.scale = scale;
    }
}

/// Paints the graph into the rest of `ui`.
pub fn graph_ui(ui: &mut Ui, term: &TermView, counts: &Counts, view: &mut GraphView, out: Out<'_>) {
    let t = Tokens::of(ui);
    let room = ui.available_rect_before_wrap();
    // A panel is as high as what is in it: all of the room is taken, or it would shrink from frame to frame.
    ui.expand_to_include_rect(room);
    let canvas = room.with_max_x(room.right() - space::XS).with_max_y(room.bottom() - space::XS);
    if canvas.width() < 40.0 || canvas.height() < 30.0 {
        return;
    }
    let response = ui.allocate_rect(canvas, Sense::click_and_drag());
    let picture = &term.neighbourhood;
    let fits = view.fitted.as_ref().is_some_and(|(id, size, n)| {
        *id == term.id && (*size - canvas.size()).length() < 1.0 && *n == picture.nodes.len()
    });
    if !fits || response.double_clicked() {
        view.fit(term, canvas.size());
    }
    if response.dragged() {
        view.shift += response.drag_delta();
        ui.ctx().set_cursor_icon(egui::CursorIcon::Grabbing);
    } else if response.hovered() {
        ui.ctx().set_cursor_icon(egui::CursorIcon::Grab);
    }
    if response.contains_pointer()
        && let Some(pointer) = ui.ctx().pointer_hover_pos()
    {
        let (scroll, pinch) = ui.input(|i| (i.smooth_scroll_delta().y, i.zoom_delta()));
        let factor = (scroll * 0.004).exp() * pinch;
        if factor != 1.0 {
            view.zoom(factor, pointer - canvas.min);
        }
    }
    let plan = plan(picture, view.first_layer, view.gap, view.columns);
    view.keep_in_sight(&plan, canvas.size());
    let to_screen = TSTransform::new(canvas.min.to_vec2() + view.shift, view.scale);

    let painter = ui.painter_at(canvas);
    painter.rect_filled(canvas, 6.0, t.canvas);
    let focus = picture.nodes.iter().position(|n| n.role == Place::Focus);
    // Lines of the term itself over the others.
    for near in [false, true] {
        for line in plan.lines.iter().filter(|l| (Some(l.child) == focus || Some(l.parent) == focus) == near)
        {
            let stroke = if near { Stroke::new(1.5, t.text_muted) } else { Stroke::new(1.0, t.outline) };
            let points = rounded(&line.corners).into_iter().map(|p| to_screen * p).collect();
            painter.add(Shape::line(points, stroke));
        }
    }
    for (i, (node, rect)) in picture.nodes.iter().zip(&plan.boxes).enumerate() {
        if let Some(rect) = rect {
            let place = to_screen * *rect;
            node_ui(ui, &response, canvas, place, view.scale, (i, node), counts, out);
        }
    }
    hints_ui(ui, canvas, &plan, to_screen, view);
    let label = format!("Neighbourhood of {} in the Cell Ontology", term.label);
    response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, &label));
}

#[allow(clippy::too_many_arguments)] // Where, what and how large: each is one thing.
fn node_ui(
    ui: &mut Ui,
    graph: &egui::Response,
    canvas: Rect,
    rect: Rect,
    scale: f32,
    (number, node): (usize, &Node),
    counts: &Counts,
    out: Out<'_>,
) {
    let t = Tokens::of(ui);
    let seen = rect.intersect(canvas);
    if !seen.is_positive() {
        return;
    }
    let painter = ui.painter_at(canvas);
    let click = ui.interact(seen, graph.id.with((&node.id, number)), Sense::click());
    let is_focus = node.role == Place::Focus;
    let hot = click.hovered() || click.has_focus();
    let cells = counts.of(&node.id);
    let (fill, text, stroke) = if is_focus {
        (t.accent, t.on_accent, Stroke::new(1.0, t.accent))
    } else {
        let fill = if hot { t.control_hover } else { t.raised };
        // What holds cells of the user's stands out from what does not.
        let text = if cells > 0 { t.text_strong } else { t.text_muted };
        (fill, text, Stroke::new(1.0, if hot { t.accent } else { t.outline }))
    };
    painter.rect(rect, 6.0 * scale, fill, stroke, StrokeKind::Inside);
    let font = FontId::new(12.5 * scale, FontFamily::Proportional);
    let mut right = rect.right() - 8.0 * scale;
    if cells > 0 {
        right = count_ui(ui, &click, canvas, rect, scale, node, cells, out) - 6.0 * scale;
    }
    if node.hidden_children > 0 {
        let colour = if is_focus { t.on_accent } else { t.text_muted };
        let more = format!("+{}", node.hidden_children);
        let at = pos2(right, rect.center().y);
        right -= painter.text(at, Align2::RIGHT_CENTER, more, font.clone(), colour).width() + 6.0 * scale;
    }
    let left = rect.left() + 8.0 * scale;
    let clip = ui.clip_rect();
    ui.set_clip_rect(canvas.intersect(clip));
    elided(ui, pos2(left, rect.center().y), right - left, &node.label, &font, text);
    ui.set_clip_rect(clip);
    let role = place_words(node.role);
    let label = format!("{}, {role}", node.label);
    click.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
    if click.clicked() && !is_focus {
        out.push(Action::ShowTerm(node.id.clone()));
    }
    click.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_ui(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.label(egui::RichText::new(&node.label).color(t.text_strong));
        let small = |text: String| egui::RichText::new(text).small().color(t.text_muted);
        ui.label(small(format!("{}, {role}", node.id)));
        if node.hidden_children > 0 {
            ui.label(small(format!("{} more kinds, not shown", grouped(node.hidden_children as i64))));
        }
        ui.label(small(cells_words(counts, &node.id)));
    });
}

/// The number of the user's cells in a term, at its right end: a click selects them. Where it begins.
#[allow(clippy::too_many_arguments)] // Where, what and how large: each is one thing.
fn count_ui(
    ui: &mut Ui,
    node_response: &egui::Response,
    canvas: Rect,
    rect: Rect,
    scale: f32,
    node: &Node,
    cells: u64,
    out: Out<'_>,
) -> f32 {
    let t = Tokens::of(ui);
    let painter = ui.painter_at(canvas);
    let font = FontId::new(12.0 * scale, FontFamily::Name("strong".into()));
    let galley = painter.layout_no_wrap(short_count(cells), font, Color32::PLACEHOLDER);
    let size = vec2(galley.size().x + 10.0 * scale, 18.0 * scale);
    let place = Align2::RIGHT_CENTER.anchor_size(pos2(rect.right() - 4.0 * scale, rect.center().y), size);
    let seen = place.intersect(canvas);
    if seen.is_positive() {
        let chip = ui.interact(seen, node_response.id.with("cells"), Sense::click());
        let hot = chip.hovered() || chip.has_focus();
        let (fill, text) = if hot { (t.accent, t.on_accent) } else { (t.accent_soft, t.text_strong) };
        painter.rect_filled(place, 9.0 * scale, fill);
        painter.galley_with_override_text_color(
            Align2::CENTER_CENTER.anchor_size(place.center(), galley.size()).min,
            galley,
            text,
        );
        let words = format!("Select {} of {}", cell_words(cells), node.label);
        chip.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
        if chip.clicked() {
            out.push(Action::SelectTerm(node.id.clone()));
        }
        chip.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(words);
    }
    place.left()
}

/// What says that there is more, and how to get there.
fn hints_ui(ui: &mut Ui, canvas: Rect, plan: &Plan, to_screen: TSTransform, view: &mut GraphView) {
    let (left, right) = graph_layout::beside(plan, to_screen.inverse() * canvas);
    if (left, right) == (0, 0) {
        return;
    }
    let boxes: Vec<Rect> = plan.boxes.iter().flatten().map(|b| to_screen * *b).collect();
    let step = canvas.width() * 0.7;
    for (count, words, at, by) in [
        (left, format!("◀ {left}"), canvas.left_center() + vec2(space::XS, 0.0), step),
        (right, format!("{right} ▶"), canvas.right_center() - vec2(space::XS, 0.0), -step),
    ] {
        if count == 0 {
            continue;
        }
        let align = if by > 0.0 { Align2::LEFT_CENTER } else { Align2::RIGHT_CENTER };
        let rect = beside_terms(align.anchor_size(at, HINT), canvas, &boxes);
        let side = if by > 0.0 { "left" } else { "right" };
        let name = format!("Show {count} more terms to the {side}");
        let clicked = over(ui, rect, |ui| {
            quiet_button(ui, &words).on_hover_text(&name).accessible_name(name.as_str()).clicked()
        });
        if clicked {
            view.shift.x += by;
        }
    }
}

/// `hint` moved up or down to where it covers least of `boxes`, near its place.
fn beside_terms(hint: Rect, canvas: Rect, boxes: &[Rect]) -> Rect {
    let room = ((canvas.height() - hint.height()) / 2.0 - space::XS).max(0.0);
    let steps = (room / HINT_STEP) as i32;
    let covered = |place: Rect| -> f32 {
        let seen = boxes.iter().map(|b| b.intersect(place)).filter(Rect::is_positive);
        seen.map(|both| both.area()).sum()
    };
    // From the middle outwards, so that of places alike the first is taken.
    let places = (0..=steps).flat_map(|n| [n, -n]).map(|n| hint.translate(vec2(0.0, n as f32 * HINT_STEP)));
    places.min_by(|a, b| covered(*a).total_cmp(&covered(*b))).unwrap_or(hint)
}

/// The sizes of the graph and how to move it, for a row above it, from right to left.
pub fn controls_ui(ui: &mut Ui, term: &TermView, view: &mut GraphView, whole: bool, out: Out<'_>) {
    let t = Tokens::of(ui);
    let Some((_, size, _)) = view.fitted.clone() else { return };
    let fit = quiet_button(ui, "Fit").on_hover_text("Fit the graph to its panel");
    if fit.accessible_name("Fit the graph").clicked() {
        view.fit(term, size);
    }
    for (text, name, factor) in [("+", "Enlarge the graph", 1.25), ("−", "Shrink the graph", 0.8)] {
        if quiet_button(ui, text).on_hover_text(name).accessible_name(name).clicked() {
            view.zoom(factor, size / 2.0);
        }
    }
    let plan = plan(&term.neighbourhood, view.first_layer, view.gap, view.columns);
    if plan.hidden_above > 0 && !whole && ui.available_width() > 260.0 {
        let words = format!("{} more above", plan.hidden_above);
        let name = format!("{words}: show them over the whole window");
        if quiet_button(ui, &words).on_hover_text(&name).accessible_name(name.as_str()).clicked() {
            out.push(Action::Run(Command::WholeOntology));
        }
    }
    let more = plan.size.x * view.scale > size.x || plan.size.y * view.scale > size.y;
    if more && ui.available_width() > 420.0 {
        ui.label(egui::RichText::new("Drag to move, scroll to zoom").small().color(t.text_muted));
    }
}

/// Adds something at a place of its own.
fn over<R>(ui: &mut Ui, rect: Rect, add: impl FnOnce(&mut Ui) -> R) -> R {
    ui.scope_builder(egui::UiBuilder::new().max_rect(rect), add).inner
}

fn place_words(place: Place) -> &'static str {
    match place {
        Place::Focus => "shown term",
        Place::Ancestor => "ancestor",
        Place::Sibling => "sibling",
        Place::Child => "subtype",
    }
}

/// The role of a term in the table.
pub fn role_words(place: Place) -> &'static str {
    place_words(place)
}

/// "1 cell", "1,234 cells".
pub fn cell_words(cells: u64) -> String {
    if cells == 1 { "1 cell".to_owned() } else { format!("{} cells", grouped(cells as i64)) }
}

/// A count in few letters: 934, 12.3k, 4.5M.
fn short_count(cells: u64) -> String {
    match cells {
        0..10_000 => grouped(cells as i64),
        10_000..1_000_000 => format!("{:.0}k", cells as f64 / 1e3),
        _ => format!("{:.1}M", cells as f64 / 1e6),
    }
}

/// The user's cells in a term, in words.
pub fn cells_words(counts: &Counts, id: &str) -> String {
    let (cells, described) = (counts.of(id), counts.described_as(id));
    match (cells, described) {
        (0, _) => "None of your cells".to_owned(),
        (cells, 0) => format!("{} of yours", cell_words(cells)),
        (cells, described) => {
            format!("{} of yours, {} of them by description", cell_words(cells), grouped(described as i64))
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::ontology::{Limits, Ontology};

    use super::*;

    fn term(id: &str) -> TermView {
        let ontology = Ontology::builtin().unwrap();
        TermView {
            id: id.into(),
            label: ontology.term(id).unwrap().label.clone(),
            definition: None,
            neighbourhood: ontology.neighbourhood(id, Limits::default()).unwrap(),
        }
    }

    #[test]
    fn a_graph_opens_with_its_top_layer_and_its_term_in_sight() {
        for id in ["CL:0000576", "CL:0000084", "CL:0000540", "CL:0000738", "CL:0000000"] {
            for size in [vec2(640.0, 190.0), vec2(420.0, 240.0), vec2(1200.0, 640.0)] {
                let term = term(id);
                let mut view = GraphView::default();
                view.fit(&term, size);
                let plan = plan(&term.neighbourhood, view.first_layer, view.gap, view.columns);
                let canvas = Rect::from_min_size(egui::Pos2::ZERO, size);
                let place = |rect: Rect| TSTransform::new(view.shift, view.scale) * rect;
                let focus = place(plan.boxes[0].unwrap());
                assert!(canvas.expand(1.0).contains_rect(focus), "{id} {size:?}: {focus:?}");
                let top = plan.boxes.iter().flatten().map(|b| place(*b).top()).fold(f32::INFINITY, f32::min);
                assert!(top >= 0.0, "{id} {size:?}: {top}");
                let before = view.clone();
                view.keep_in_sight(&plan, size);
                assert!((view.shift - before.shift).length() < 1.0, "{id} {size:?}: a fitted graph stays");
            }
        }
    }

    #[test]
    fn a_graph_cannot_be_dragged_out_of_sight_and_zooms_about_the_pointer() {
        let term = term("CL:0000576");
        let size = vec2(600.0, 240.0);
        let mut view = GraphView::default();
        view.fit(&term, size);
        let plan = plan(&term.neighbourhood, view.first_layer, view.gap, view.columns);
        for far in [vec2(1e6, 1e6), vec2(-1e6, -1e6)] {
            view.shift = far;
            view.keep_in_sight(&plan, size);
            let seen = Rect::from_min_size((-view.shift / view.scale).to_pos2(), size / view.scale);
            assert!(plan.boxes.iter().flatten().any(|b| seen.contains_rect(*b)), "{far:?}");
        }
        let about = vec2(100.0, 50.0);
        let held = (about - view.shift) / view.scale;
        view.zoom(1.5, about);
        assert!(((about - view.shift) / view.scale - held).length() < 1e-2);
    }

    #[test]
    fn what_says_that_there_is_more_covers_no_term_where_there_is_room() {
        let canvas = Rect::from_min_size(pos2(10.0, 20.0), vec2(600.0, 200.0));
        let middle = Align2::LEFT_CENTER.anchor_size(canvas.left_center(), HINT);
        assert_eq!(beside_terms(middle, canvas, &[]), middle);
        let row = |top: f32| Rect::from_min_size(pos2(20.0, top), vec2(180.0, 24.0));
        let boxes = [row(68.0), row(110.0), row(152.0)];
        let free = |place: Rect, boxes: &[Rect]| boxes.iter().all(|b| !b.intersect(place).is_positive());
        assert!(!free(middle, &boxes));
        // Neither between the rows, which is too little, nor out of sight.
        let place = beside_terms(middle, canvas, &boxes);
        assert!(free(place, &boxes) && canvas.contains_rect(place), "{place:?}");
        let all: Vec<Rect> = (0..5).map(|i| row(26.0 + 42.0 * i as f32)).collect();
        assert!(canvas.contains_rect(beside_terms(middle, canvas, &all)));
    }

    #[test]
    fn counts_are_short() {
        let words = [3, 1_234, 45_600, 2_500_000].map(short_count);
        assert_eq!(words, ["3", "1,234", "46k", "2.5M"]);
    }
}
