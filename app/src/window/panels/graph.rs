//! The ontology neighbourhood as a graph in layers, painted by hand.

use eframe::egui::{
    self, Align2, Color32, Mesh, Rect, Role, Sense, Shape, Stroke, TextStyle, Ui, Vec2, WidgetInfo,
    epaint::CubicBezierShape, pos2, vec2,
};
use engine::ontology::{Node, Role as Place};

use super::super::command::Action;
use super::super::terms::TermView;
use super::super::theme::{Tokens, space};
use super::Out;
use super::widgets::elided;

/// A node's height.
const NODE_HEIGHT: f32 = 24.0;
/// A node's largest width.
const NODE_WIDTH: f32 = 168.0;
/// Between the tops of two layers, at least.
const LAYER_STEP: f32 = 36.0;
/// Between the centres of two columns.
const COLUMN_STEP: f32 = NODE_WIDTH + 12.0;

/// Paints the graph into the rest of `ui`. `pan` keeps how far it was dragged, for the term it was dragged on.
pub fn graph_ui(ui: &mut Ui, term: &TermView, pan: &mut (String, Vec2), out: Out<'_>) {
    let t = Tokens::of(ui);
    let canvas =
        ui.available_rect_before_wrap().with_max_x(ui.available_rect_before_wrap().right() - space::XS);
    let response = ui.allocate_rect(canvas, Sense::drag());
    if pan.0 != term.id {
        *pan = (term.id.clone(), Vec2::ZERO);
    }
    if response.dragged() {
        pan.1 += response.drag_delta();
        ui.ctx().set_cursor_icon(egui::CursorIcon::Grabbing);
    }
    let nodes = &term.neighbourhood.nodes;
    let Some(places) = places(nodes, canvas, &mut pan.1) else { return };
    let painter = ui.painter_at(canvas);
    let focus = nodes.iter().position(|n| n.role == Place::Focus);

    for &(child, parent) in &term.neighbourhood.edges {
        let (Some(from), Some(to)) = (places.get(child), places.get(parent)) else { continue };
        let near = Some(child) == focus || Some(parent) == focus;
        let colour = if near { t.text_muted } else { t.outline };
        let (a, b) = (from.center_top(), to.center_bottom());
        let bend = vec2(0.0, ((a.y - b.y) * 0.5).max(8.0));
        painter.add(Shape::CubicBezier(CubicBezierShape::from_points_stroke(
            [a, a - bend, b + bend, b],
            false,
            Color32::TRANSPARENT,
            Stroke::new(if near { 1.5 } else { 1.0 }, colour),
        )));
    }

    let font = TextStyle::Small.resolve(ui.style());
    for (i, (node, rect)) in nodes.iter().zip(&places).enumerate() {
        let id = response.id.with((&node.id, i));
        let seen = rect.intersect(canvas);
        if !seen.is_positive() {
            continue;
        }
        let click = ui.interact(seen, id, Sense::click());
        let is_focus = node.role == Place::Focus;
        let hot = click.hovered() || click.has_focus();
        let (fill, text, stroke) = if is_focus {
            (t.accent, t.on_accent, Stroke::new(1.0, t.accent))
        } else {
            let fill = if hot { t.control_hover } else { t.raised };
            (fill, t.text, Stroke::new(1.0, if hot { t.accent } else { t.outline }))
        };
        painter.rect(*rect, 6.0, fill, stroke, egui::StrokeKind::Inside);
        let more = (node.hidden_children > 0).then(|| format!("+{}", node.hidden_children));
        let more_width = more.as_ref().map_or(0.0, |more| {
            let at = pos2(rect.right() - 8.0, rect.center().y);
            let colour = if is_focus { t.on_accent } else { t.text_muted };
            painter.text(at, Align2::RIGHT_CENTER, more, font.clone(), colour).width() + 6.0
        });
        let inner = rect.shrink2(vec2(8.0, 0.0));
        let clip = ui.clip_rect();
        ui.set_clip_rect(canvas);
        elided(ui, inner.left_center(), inner.width() - more_width, &node.label, &font, text);
        ui.set_clip_rect(clip);
        let role = place_words(node.role);
        let label = format!("{}, {role}", node.label);
        click.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
        if click.clicked() && !is_focus {
            out.push(Action::ShowTerm(node.id.clone()));
        }
        click.on_hover_ui(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.label(egui::RichText::new(&node.label).color(t.text_strong));
            ui.label(egui::RichText::new(format!("{}, {role}", node.id)).small().color(t.text_muted));
            if node.hidden_children > 0 {
                let text = format!("{} more subtypes are not drawn", node.hidden_children);
                ui.label(egui::RichText::new(text).small().color(t.text_muted));
            }
        });
    }
    fade_edges(&painter, canvas, t.panel);
    let label = format!("Neighbourhood of {} in the Cell Ontology, {} terms", term.label, nodes.len());
    response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, &label));
}

/// Lets what is cut off at the edges fade, so that it reads as going on.
fn fade_edges(painter: &egui::Painter, canvas: Rect, ground: Color32) {
    const DEPTH: f32 = 18.0;
    let clear = Color32::TRANSPARENT;
    let mut mesh = Mesh::default();
    let mut strip = |outer: [egui::Pos2; 2], inner: [egui::Pos2; 2]| {
        let k = mesh.vertices.len() as u32;
        for (place, colour) in [(outer[0], ground), (outer[1], ground), (inner[0], clear), (inner[1], clear)]
        {
            mesh.colored_vertex(place, colour);
        }
        mesh.add_triangle(k, k + 1, k + 2);
        mesh.add_triangle(k + 1, k + 2, k + 3);
    };
    let inner = canvas.shrink(DEPTH);
    strip(
        [canvas.left_top(), canvas.left_bottom()],
        [pos2(inner.left(), canvas.top()), pos2(inner.left(), canvas.bottom())],
    );
    strip(
        [canvas.right_top(), canvas.right_bottom()],
        [pos2(inner.right(), canvas.top()), pos2(inner.right(), canvas.bottom())],
    );
    strip(
        [canvas.left_top(), canvas.right_top()],
        [pos2(canvas.left(), canvas.top() + 10.0), pos2(canvas.right(), canvas.top() + 10.0)],
    );
    strip(
        [canvas.left_bottom(), canvas.right_bottom()],
        [pos2(canvas.left(), canvas.bottom() - 10.0), pos2(canvas.right(), canvas.bottom() - 10.0)],
    );
    painter.add(Shape::mesh(mesh));
}

fn place_words(place: Place) -> &'static str {
    match place {
        Place::Focus => "shown term",
        Place::Ancestor => "ancestor",
        Place::Sibling => "sibling",
        Place::Child => "subtype",
    }
}

/// Where the nodes stand. `pan` is kept so small that the graph never leaves the canvas.
fn places(nodes: &[Node], canvas: Rect, pan: &mut Vec2) -> Option<Vec<Rect>> {
    let focus = nodes.iter().find(|n| n.role == Place::Focus).or_else(|| nodes.first())?;
    let span = |axis: usize| {
        nodes.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), n| {
            (l.min(n.position[axis]), h.max(n.position[axis]))
        })
    };
    let ((left, right), (top, bottom)) = (span(0), span(1));
    if !(left.is_finite() && right.is_finite() && top.is_finite() && bottom.is_finite()) {
        return None;
    }
    // Layers spread over the height there is, columns stay as wide as their words need.
    let layers = (bottom - top).max(1.0);
    let free = canvas.height() - NODE_HEIGHT - 16.0;
    let step = vec2(COLUMN_STEP, (free / layers).clamp(LAYER_STEP, 64.0));
    let size = vec2((right - left) * step.x + NODE_WIDTH, (bottom - top) * step.y + NODE_HEIGHT);
    let room = canvas.shrink2(vec2(4.0, 8.0));
    // What fits is centred; what does not is centred on the term, as far as no room is left over at an end.
    let centred = |axis: usize, low: f32, high: f32| {
        let (size, room) = (size[axis], room.size()[axis]);
        if size <= room {
            return (low + high) / 2.0;
        }
        let half = if axis == 0 { NODE_WIDTH / 2.0 } else { NODE_HEIGHT / 2.0 };
        let margin = (room / 2.0 - half) / step[axis];
        focus.position[axis].clamp(low + margin, (high - margin).max(low + margin))
    };
    let middle = vec2(centred(0, left, right), centred(1, top, bottom));
    let at = |n: &Node| room.center() + (vec2(n.position[0], n.position[1]) - middle) * step;
    let edge = |axis: usize, low: f32, high: f32, pan: f32| {
        let half = if axis == 0 { NODE_WIDTH / 2.0 } else { NODE_HEIGHT / 2.0 };
        let begin = room.center()[axis] + (low - middle[axis]) * step[axis] - half;
        let end = room.center()[axis] + (high - middle[axis]) * step[axis] + half;
        let (least, most) = (room.max[axis] - end, room.min[axis] - begin);
        pan.clamp(least.min(0.0), most.max(0.0))
    };
    *pan = vec2(edge(0, left, right, pan.x), edge(1, top, bottom, pan.y));
    Some(nodes.iter().map(|n| Rect::from_center_size(at(n) + *pan, vec2(NODE_WIDTH, NODE_HEIGHT))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(x: f32, y: f32, role: Place) -> Node {
        Node {
            id: format!("CL:{x}{y}"),
            label: "cell".into(),
            role,
            layer: y as usize,
            position: [x, y],
            hidden_children: 0,
        }
    }

    const CANVAS: Rect = Rect { min: egui::Pos2 { x: 0.0, y: 0.0 }, max: egui::Pos2 { x: 600.0, y: 300.0 } };

    #[test]
    fn what_fits_is_all_in_sight_and_cannot_be_dragged_away() {
        let nodes =
            [node(0.0, 0.0, Place::Ancestor), node(1.0, 1.0, Place::Focus), node(2.0, 2.0, Place::Child)];
        let mut pan = vec2(5_000.0, -5_000.0);
        let places = places(&nodes, CANVAS, &mut pan).unwrap();
        assert!(places.iter().all(|r| CANVAS.contains_rect(*r)), "{places:?}");
    }

    #[test]
    fn what_is_larger_than_the_canvas_is_centred_on_the_term() {
        let mut nodes: Vec<Node> = (0..20).map(|i| node(i as f32, 1.0, Place::Sibling)).collect();
        nodes[15].role = Place::Focus;
        let mut pan = Vec2::ZERO;
        let found = places(&nodes, CANVAS, &mut pan).unwrap();
        assert!((found[15].center().x - CANVAS.center().x).abs() < 1.0);
        assert!(!found[0].intersects(CANVAS));
        let mut pan = vec2(1e6, 0.0);
        let found = places(&nodes, CANVAS, &mut pan).unwrap();
        assert!(CANVAS.contains_rect(found[0]), "the far end can be dragged into sight");
    }

    #[test]
    fn nodes_of_one_layer_do_not_overlap() {
        let nodes: Vec<Node> = (0..5).map(|i| node(i as f32, 0.0, Place::Sibling)).collect();
        let places = places(&nodes, CANVAS, &mut Vec2::ZERO.clone()).unwrap();
        for pair in places.windows(2) {
            assert!(!pair[0].intersects(pair[1]));
        }
        assert!(super::places(&[], CANVAS, &mut Vec2::ZERO.clone()).is_none());
    }
}
