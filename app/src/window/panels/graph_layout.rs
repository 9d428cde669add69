//! Where the terms of a neighbourhood and the lines between them stand: the same on the screen and in a picture.

use std::collections::{BTreeMap, BTreeSet};

use eframe::egui::{Pos2, Rect, Vec2, pos2, vec2};
use engine::ontology::{Neighbourhood, Role};

/// A node's size.
pub const NODE: Vec2 = vec2(188.0, 26.0);
/// Between two nodes of a layer.
const BESIDE: f32 = 16.0;
/// Between two layers, at least and at most.
pub const GAP: std::ops::RangeInclusive<f32> = 20.0..=44.0;
/// How far a line goes on that leads to a term above the first layer.
pub const BEYOND: f32 = 8.0;
/// How round the corners of lines are.
const ROUND: f32 = 6.0;

/// A neighbourhood with places, in points; its upper left corner is the origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Of every node its box; `None` for those above the first layer shown.
    pub boxes: Vec<Option<Rect>>,
    /// The lines, each from the kind up to what it is a kind of.
    pub lines: Vec<Line>,
    /// Nodes above the first layer shown.
    pub hidden_above: usize,
    /// The size of all of it.
    pub size: Vec2,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The kind, a node.
    pub child: usize,
    /// What it is a kind of; not shown where the line ends above the first layer.
    pub parent: usize,
    /// Its corners, upwards.
    pub corners: Vec<Pos2>,
}

/// The number of layers of a neighbourhood.
pub fn layers(picture: &Neighbourhood) -> usize {
    picture.nodes.iter().map(|n| n.layer + 1).max().unwrap_or(0)
}

/// Lays out the layers from `first` on, `gap` apart.
pub fn plan(picture: &Neighbourhood, first: usize, gap: f32) -> Plan {
    let nodes = &picture.nodes;
    let shown = |at: usize| nodes.get(at).is_some_and(|n| n.layer >= first);
    let step = vec2(NODE.x + BESIDE, NODE.y + gap);
    // Nodes left out above leave no empty columns behind.
    let least = |values: &mut dyn Iterator<Item = f32>| values.fold(f32::INFINITY, f32::min);
    let left = least(&mut nodes.iter().filter(|n| n.layer >= first).map(|n| n.position[0]));
    let left = if left.is_finite() { left } else { 0.0 };
    let x = |column: f32| (column - left) * step.x + NODE.x / 2.0;
    let top = |layer: f32| (layer - first as f32) * step.y;
    let boxes: Vec<Option<Rect>> = nodes
        .iter()
        .map(|n| {
            let corner = pos2(x(n.position[0]) - NODE.x / 2.0, top(n.layer as f32));
            (n.layer >= first).then(|| Rect::from_min_size(corner, NODE))
        })
        .collect();
    let lines = lines(picture, first, &x, &top, gap);
    let size = boxes.iter().flatten().fold(Vec2::ZERO, |size, rect| size.max(rect.max.to_vec2()));
    let hidden_above = (0..nodes.len()).filter(|at| !shown(*at)).count();
    Plan { boxes, lines, hidden_above, size }
}

/// One piece of a line, between two neighbouring layers.
struct Piece {
    /// Which line.
    line: usize,
    /// Where it leaves the upper layer and where it enters the lower.
    upper: f32,
    lower: f32,
    /// Pieces of one of these run in one lane: they come from the same term.
    from: (usize, u32),
}

/// Lines of straight pieces: down from a term, along a lane between the layers, down to its kind. The lines of one
/// term share a lane, those of different terms that would run over one another have different ones.
fn lines(
    picture: &Neighbourhood,
    first: usize,
    x: &dyn Fn(f32) -> f32,
    top: &dyn Fn(f32) -> f32,
    gap: f32,
) -> Vec<Line> {
    let nodes = &picture.nodes;
    let mut pieces: BTreeMap<usize, Vec<Piece>> = BTreeMap::new();
    let mut lines = Vec::new();
    for (at, &(child, parent)) in picture.edges.iter().enumerate() {
        let (Some(from), Some(to)) = (nodes.get(child), nodes.get(parent)) else { continue };
        if from.layer < first || to.layer >= from.layer {
            continue;
        }
        let line = lines.len();
        lines.push(Line { child, parent, corners: Vec::new() });
        let mut lower = x(from.position[0]);
        let bends = picture.bends.get(at).map_or(&[][..], Vec::as_slice);
        for (up, upper_layer) in (to.layer..from.layer).rev().enumerate() {
            if upper_layer < first {
                break;
            }
            let upper = bends.get(up).map_or_else(|| x(to.position[0]), |bend| x(bend[0]));
            // At a bend a line has its lane for itself; at its term all lines of the term share one.
            let from = if bends.get(up).is_some() { (usize::MAX, line as u32) } else { (parent, 0) };
            pieces.entry(upper_layer).or_default().push(Piece { line, upper, lower, from });
            lower = upper;
        }
    }
    for (layer, pieces) in &pieces {
        let lanes = lanes(pieces);
        let count = lanes.values().copied().max().map_or(1, |most| most + 1);
        let bottom = top(*layer as f32) + NODE.y;
        for piece in pieces {
            let lane = lanes.get(&piece.from).copied().unwrap_or(0);
            let y = bottom + gap * (lane + 1) as f32 / (count + 1) as f32;
            let corners = [
                pos2(piece.lower, bottom + gap),
                pos2(piece.lower, y),
                pos2(piece.upper, y),
                pos2(piece.upper, bottom),
            ];
            if let Some(line) = lines.get_mut(piece.line) {
                line.corners.extend(corners);
            }
        }
    }
    for line in &mut lines {
        // Pieces came layer by layer from above; a line goes upwards.
        let mut upwards: Vec<Pos2> = line.corners.chunks(4).rev().flatten().copied().collect();
        // What leads to a term above the first layer goes a little beyond it.
        let is_hidden = nodes.get(line.parent).is_some_and(|n| n.layer < first);
        if let (true, Some(child)) = (is_hidden, nodes.get(line.child)) {
            let end = upwards.last().map_or_else(|| x(child.position[0]), |end| end.x);
            if upwards.is_empty() {
                upwards.push(pos2(end, top(first as f32)));
            }
            upwards.push(pos2(end, top(first as f32) - BEYOND));
        }
        upwards.dedup_by(|a, b| a.distance(*b) < 0.01);
        line.corners = upwards;
    }
    lines
}

/// A lane for each origin, 0 the uppermost, so that lanes of different origins that overlap differ.
fn lanes(pieces: &[Piece]) -> BTreeMap<(usize, u32), usize> {
    let mut spans: BTreeMap<(usize, u32), (f32, f32)> = BTreeMap::new();
    for piece in pieces {
        let (low, high) = (piece.upper.min(piece.lower), piece.upper.max(piece.lower));
        let span = spans.entry(piece.from).or_insert((low, high));
        *span = (span.0.min(low), span.1.max(high));
    }
    // Short ones first: they are cheapest to keep near their term.
    let mut order: Vec<_> = spans.iter().collect();
    order.sort_by(|a, b| (a.1.1 - a.1.0).total_cmp(&(b.1.1 - b.1.0)).then(a.0.cmp(b.0)));
    let mut lanes: Vec<Vec<(f32, f32)>> = Vec::new();
    let mut found = BTreeMap::new();
    for (from, &(low, high)) in order {
        const APART: f32 = 8.0;
        let free = |lane: &Vec<(f32, f32)>| lane.iter().all(|(l, h)| high + APART < *l || *h + APART < low);
        let lane = lanes.iter().position(free).unwrap_or_else(|| {
            lanes.push(Vec::new());
            lanes.len() - 1
        });
        if let Some(lane) = lanes.get_mut(lane) {
            lane.push((low, high));
        }
        found.insert(*from, lane);
    }
    found
}

/// A line with its corners made round.
pub fn rounded(corners: &[Pos2]) -> Vec<Pos2> {
    const STEPS: usize = 4;
    let mut out = Vec::with_capacity(corners.len() * STEPS);
    for (i, &corner) in corners.iter().enumerate() {
        let (Some(before), Some(after)) = (i.checked_sub(1).and_then(|j| corners.get(j)), corners.get(i + 1))
        else {
            out.push(corner);
            continue;
        };
        let (to, from) = (*before - corner, *after - corner);
        let reach = ROUND.min(to.length() / 2.0).min(from.length() / 2.0);
        let (a, b) = (corner + to.normalized() * reach, corner + from.normalized() * reach);
        // A quadratic curve from one side to the other with the corner as its handle.
        for step in 0..=STEPS {
            let t = step as f32 / STEPS as f32;
            let (left, right) = (a.lerp(corner, t), corner.lerp(b, t));
            out.push(left.lerp(right, t));
        }
    }
    out
}

/// Terms to the left and to the right of what is seen.
pub fn beside(plan: &Plan, seen: Rect) -> (usize, usize) {
    let boxes = || plan.boxes.iter().flatten();
    (boxes().filter(|b| b.max.x <= seen.min.x).count(), boxes().filter(|b| b.min.x >= seen.max.x).count())
}

/// The layers that a canvas of `height` can show with the focus and all below it, and the first of them.
pub fn first_layer(picture: &Neighbourhood, height: f32, least_zoom: f32) -> usize {
    let all = layers(picture);
    let room = ((height / least_zoom + GAP.start()) / (NODE.y + GAP.start())).floor().max(1.0) as usize;
    let focus = picture.nodes.iter().find(|n| n.role == Role::Focus).map_or(0, |n| n.layer);
    // The term and one layer above it are always shown.
    all.saturating_sub(room).min(focus.saturating_sub(1))
}

/// Ids of what stands directly above each node, in the picture.
pub fn parents_of(picture: &Neighbourhood, at: usize) -> BTreeSet<&str> {
    let parents = picture.edges.iter().filter(|(child, _)| *child == at);
    parents.filter_map(|(_, parent)| picture.nodes.get(*parent)).map(|n| n.id.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use engine::ontology::{Limits, Ontology};

    use super::*;

    fn wide(id: &str) -> Neighbourhood {
        let limits = Limits { ancestors: 60, siblings: 20, children: 40 };
        Ontology::builtin().unwrap().neighbourhood(id, limits).unwrap()
    }

    #[test]
    fn nothing_overlaps_and_no_line_runs_through_a_term() {
        for id in ["CL:0000576", "CL:0000084", "CL:0000540", "CL:0000738", "CL:0000066"] {
            let picture = wide(id);
            assert!(picture.nodes.len() > 20, "{id}");
            let plan = plan(&picture, 0, 40.0);
            let boxes: Vec<Rect> = plan.boxes.iter().flatten().copied().collect();
            for (i, a) in boxes.iter().enumerate() {
                assert!(boxes[..i].iter().all(|b| !a.shrink(0.5).intersects(*b)), "{id}");
            }
            for line in &plan.lines {
                let ends = [line.child, line.parent];
                for pair in line.corners.windows(2) {
                    let piece = Rect::from_two_pos(pair[0], pair[1]).expand(0.1);
                    for (at, other) in plan.boxes.iter().enumerate().filter(|(at, _)| !ends.contains(at)) {
                        let other = other.unwrap().shrink(1.0);
                        assert!(!other.intersects(piece), "{id}: a line through {}", picture.nodes[at].label);
                    }
                }
            }
        }
    }

    #[test]
    fn lines_lead_from_a_term_up_to_what_it_is_a_kind_of() {
        let picture = wide("CL:0000576");
        let plan = plan(&picture, 0, 30.0);
        assert_eq!(plan.lines.len(), picture.edges.len());
        for line in &plan.lines {
            let (child, parent) = (plan.boxes[line.child].unwrap(), plan.boxes[line.parent].unwrap());
            assert!(line.corners[0].distance(child.center_top()) < 0.5);
            assert!(line.corners.last().unwrap().distance(parent.center_bottom()) < 0.5);
            assert!(line.corners.windows(2).all(|p| p[1].y <= p[0].y + 0.01), "{line:?}");
        }
    }

    #[test]
    fn lines_of_different_terms_never_share_a_lane() {
        let picture = wide("CL:0000576");
        let plan = plan(&picture, 0, 40.0);
        let mut runs: Vec<(usize, Rect)> = Vec::new();
        for line in &plan.lines {
            for pair in line.corners.windows(2).filter(|p| (p[0].y - p[1].y).abs() < 0.01) {
                runs.push((line.parent, Rect::from_two_pos(pair[0], pair[1])));
            }
        }
        for (i, (parent, run)) in runs.iter().enumerate() {
            for (other, beside) in &runs[..i] {
                let apart =
                    (run.min.y - beside.min.y).abs() > 1.0 || !run.x_range().intersects(beside.x_range());
                assert!(parent == other || apart, "{run:?} and {beside:?}");
            }
        }
    }

    #[test]
    fn a_low_canvas_shows_the_term_with_what_is_near_it() {
        let picture = wide("CL:0000576");
        let focus = picture.nodes[0].layer;
        assert_eq!(first_layer(&picture, 4_000.0, 0.8), 0);
        let first = first_layer(&picture, 150.0, 0.8);
        assert!(first > 0 && first < focus);
        let plan = plan(&picture, first, 20.0);
        assert!(plan.hidden_above > 0 && plan.boxes[0].is_some());
        assert_eq!(first_layer(&picture, 1.0, 0.8), focus - 1);
    }

    #[test]
    fn round_corners_begin_and_end_where_the_line_does() {
        let corners = [pos2(0.0, 0.0), pos2(0.0, 10.0), pos2(20.0, 10.0)];
        let round = rounded(&corners);
        assert_eq!((round[0], *round.last().unwrap()), (corners[0], corners[2]));
        assert!(round.iter().all(|p| p.distance(corners[1]) > 1.0));
        assert_eq!(rounded(&corners[..1]), corners[..1]);
    }
}
