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
/// Between two rows of a layer.
const BELOW: f32 = 13.0;
/// Between two lines that lead down beside the rows.
const TRUNK: f32 = 9.0;
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

/// The rows of a layer that holds more terms than stand side by side.
#[derive(Debug, Default)]
struct Rows {
    /// How many; 1 where the layer is not divided.
    count: usize,
    /// Row of each of its terms, and its middle from left to right.
    of: BTreeMap<usize, (usize, f32)>,
    /// The left and the right end of all rows.
    span: (f32, f32),
}

/// Where layers and their terms stand before lines are drawn.
struct Grid<'a> {
    picture: &'a Neighbourhood,
    /// The topmost layer that is shown.
    first: usize,
    /// Between layers.
    gap: f32,
    /// The left end of the first column.
    left: f32,
    rows: Vec<Rows>,
    /// The upper end of every layer.
    tops: Vec<f32>,
}

impl<'a> Grid<'a> {
    fn new(picture: &'a Neighbourhood, first: usize, gap: f32, columns: usize) -> Self {
        let nodes = &picture.nodes;
        // Nodes left out above leave no empty columns behind.
        let shown = nodes.iter().filter(|n| n.layer >= first).map(|n| n.position[0]);
        let left = shown.fold(f32::INFINITY, f32::min);
        let left = if left.is_finite() { left } else { 0.0 };
        let rows = rows(picture, columns.max(2), left);
        let mut tops = Vec::with_capacity(rows.len());
        let mut top = 0.0;
        for (layer, rows) in rows.iter().enumerate() {
            tops.push(top);
            if layer >= first {
                top += height_of(rows.count) + gap;
            }
        }
        Self { picture, first, gap, left, rows, tops }
    }

    fn top(&self, layer: usize) -> f32 {
        self.tops.get(layer).copied().unwrap_or(0.0)
    }

    fn bottom(&self, layer: usize) -> f32 {
        self.top(layer) + height_of(self.rows.get(layer).map_or(1, |rows| rows.count))
    }

    /// The rows of a layer, where it is divided.
    fn divided(&self, layer: usize) -> Option<&Rows> {
        self.rows.get(layer).filter(|rows| rows.count > 1)
    }

    /// The middle of a term from left to right, and its upper end.
    fn place(&self, at: usize) -> (f32, f32) {
        let Some(node) = self.picture.nodes.get(at) else { return (0.0, 0.0) };
        match self.divided(node.layer).and_then(|rows| rows.of.get(&at)) {
            Some((row, x)) => (*x, self.top(node.layer) + *row as f32 * (NODE.y + BELOW)),
            None => (column_x(node.position[0], self.left), self.top(node.layer)),
        }
    }

    /// Where a line passes a layer between its ends.
    fn bend(&self, layer: usize, column: f32, line: usize) -> f32 {
        match self.divided(layer) {
            // Beside the rows, which leave no way between them.
            Some(rows) => rows.span.1 + TRUNK * (1.0 + (line % 6) as f32),
            None => column_x(column, self.left),
        }
    }
}

/// The middle of a column.
fn column_x(column: f32, left: f32) -> f32 {
    (column - left) * (NODE.x + BESIDE) + NODE.x / 2.0
}

/// The height of so many rows.
fn height_of(rows: usize) -> f32 {
    rows as f32 * NODE.y + rows.saturating_sub(1) as f32 * BELOW
}

/// Divides layers of more than `columns` terms into rows. Only layers of terms with nothing below them are divided, the
/// one with the shown term included: that stands in the last row, from which its kinds hang.
fn rows(picture: &Neighbourhood, columns: usize, left: f32) -> Vec<Rows> {
    let nodes = &picture.nodes;
    let focus = nodes.iter().position(|n| n.role == Role::Focus);
    let focus_x = focus.and_then(|at| nodes.get(at)).map_or(0.0, |n| column_x(n.position[0], left));
    let has_kinds = |at: usize| picture.edges.iter().any(|(_, parent)| *parent == at);
    (0..layers(picture))
        .map(|layer| {
            let mut members: Vec<usize> = (0..nodes.len()).filter(|at| nodes[*at].layer == layer).collect();
            members.sort_by(|a, b| nodes[*a].position[0].total_cmp(&nodes[*b].position[0]));
            let middle = members.iter().position(|at| Some(*at) == focus);
            let others = members.iter().filter(|at| Some(**at) != focus);
            if members.len() <= columns || others.clone().any(|at| has_kinds(*at)) {
                return Rows { count: 1, ..Rows::default() };
            }
            // The last row has the shown term in its middle, with those that stood nearest to it.
            let last = middle.map(|middle| {
                let from = middle.saturating_sub(columns / 2).min(members.len() - columns);
                members.drain(from..from + columns).collect::<Vec<_>>()
            });
            let count = members.len().div_ceil(columns);
            let per_row = members.len().div_ceil(count.max(1)).max(1);
            let chunks = members.chunks(per_row).map(<[usize]>::to_vec).chain(last);
            let mut rows = Rows { count: 0, of: BTreeMap::new(), span: (focus_x, focus_x) };
            for (row, members) in chunks.enumerate() {
                let width = members.len() as f32 * (NODE.x + BESIDE) - BESIDE;
                // The row with the shown term leaves it where its column is.
                let own = members.iter().position(|at| Some(*at) == focus);
                let begin = match own {
                    Some(at) => focus_x - at as f32 * (NODE.x + BESIDE) - NODE.x / 2.0,
                    None => focus_x - width / 2.0,
                };
                for (at, member) in members.iter().enumerate() {
                    let x = begin + at as f32 * (NODE.x + BESIDE) + NODE.x / 2.0;
                    rows.of.insert(*member, (row, x));
                }
                rows.span = (rows.span.0.min(begin), rows.span.1.max(begin + width));
                rows.count = row + 1;
            }
            rows
        })
        .collect()
}

/// Lays out the layers from `first` on, `gap` apart. Layers of more than `columns` terms are divided into rows where
/// they can be.
pub fn plan(picture: &Neighbourhood, first: usize, gap: f32, columns: usize) -> Plan {
    let nodes = &picture.nodes;
    let grid = Grid::new(picture, first, gap, columns);
    let mut boxes: Vec<Option<Rect>> = (0..nodes.len())
        .map(|at| {
            let (x, y) = grid.place(at);
            let is_shown = nodes.get(at).is_some_and(|n| n.layer >= first);
            is_shown.then(|| Rect::from_min_size(pos2(x - NODE.x / 2.0, y), NODE))
        })
        .collect();
    let mut lines = lines(&grid);
    // Rows and lines beside them may begin left of the first column.
    let ends = boxes.iter().flatten().map(|b| b.min.x);
    let least = ends.chain(lines.iter().flat_map(|l| l.corners.iter().map(|c| c.x))).fold(0.0, f32::min);
    let shift = vec2(-least, 0.0);
    boxes.iter_mut().flatten().for_each(|b| *b = b.translate(shift));
    lines.iter_mut().flat_map(|l| &mut l.corners).for_each(|c| *c += shift);
    let corners = lines.iter().flat_map(|l| &l.corners).fold(0.0, |most: f32, c| most.max(c.x));
    let size = boxes.iter().flatten().fold(vec2(corners, 0.0), |size, rect| size.max(rect.max.to_vec2()));
    let hidden_above = nodes.iter().filter(|n| n.layer < first).count();
    Plan { boxes, lines, hidden_above, size }
}

/// Terms that stand side by side in `width`, with the lines beside them.
pub fn columns_in(width: f32) -> usize {
    (((width - 6.0 * TRUNK + BESIDE) / (NODE.x + BESIDE)) as usize).max(2)
}

/// How high the layers from `first` on are without what lies between them.
pub fn height_of_layers(picture: &Neighbourhood, first: usize, columns: usize) -> f32 {
    let grid = Grid::new(picture, first, 0.0, columns);
    grid.rows.iter().skip(first).map(|rows| height_of(rows.count)).sum()
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
/// term share a lane, those of different terms that would run over one another have different ones. To the lower rows of
/// a divided layer a line leads down beside the rows, and along above the row.
fn lines(grid: &Grid<'_>) -> Vec<Line> {
    let (picture, first, gap) = (grid.picture, grid.first, grid.gap);
    let nodes = &picture.nodes;
    let mut pieces: BTreeMap<usize, Vec<Piece>> = BTreeMap::new();
    let mut lines = Vec::new();
    // How a line begins at a term of a lower row, and for each divided layer the origins of such lines.
    let mut beginnings: BTreeMap<usize, (usize, (usize, u32))> = BTreeMap::new();
    let mut origins: BTreeMap<usize, Vec<(usize, u32)>> = BTreeMap::new();
    for (at, &(child, parent)) in picture.edges.iter().enumerate() {
        let (Some(from), Some(to)) = (nodes.get(child), nodes.get(parent)) else { continue };
        if from.layer < first || to.layer >= from.layer {
            continue;
        }
        let line = lines.len();
        lines.push(Line { child, parent, corners: Vec::new() });
        let mut lower = grid.place(child).0;
        let bends = picture.bends.get(at).map_or(&[][..], Vec::as_slice);
        for (up, upper_layer) in (to.layer..from.layer).rev().enumerate() {
            if upper_layer < first {
                break;
            }
            let bend = bends.get(up);
            let upper = bend.map_or_else(|| grid.place(parent).0, |b| grid.bend(upper_layer, b[0], line));
            // At a bend a line has its lane for itself; at its term all lines of the term share one.
            let origin = if bend.is_some() { (usize::MAX, line as u32) } else { (parent, 0) };
            let row =
                grid.divided(from.layer).and_then(|rows| rows.of.get(&child)).map_or(0, |(row, _)| *row);
            if up == 0 && row > 0 {
                let known = origins.entry(from.layer).or_default();
                if !known.contains(&origin) {
                    known.push(origin);
                }
                beginnings.insert(line, (from.layer, origin));
                lower = f32::NAN;
            }
            pieces.entry(upper_layer).or_default().push(Piece { line, upper, lower, from: origin });
            lower = upper;
        }
    }
    // The way beside the rows of each origin.
    let trunk = |layer: usize, origin: (usize, u32)| {
        let at = origins.get(&layer).and_then(|all| all.iter().position(|o| *o == origin)).unwrap_or(0);
        grid.divided(layer).map_or(0.0, |rows| rows.span.0) - TRUNK * (at + 1) as f32
    };
    for (line, (layer, origin)) in &beginnings {
        let x = trunk(*layer, *origin);
        for piece in pieces.values_mut().flatten().filter(|p| p.line == *line && p.lower.is_nan()) {
            piece.lower = x;
        }
    }
    for (layer, pieces) in &pieces {
        let lanes = lanes(pieces);
        let count = lanes.values().copied().max().map_or(1, |most| most + 1);
        let bottom = grid.bottom(*layer);
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
    for (number, line) in lines.iter_mut().enumerate() {
        // Pieces came layer by layer from above; a line goes upwards.
        let mut upwards: Vec<Pos2> = line.corners.chunks(4).rev().flatten().copied().collect();
        if let Some((layer, origin)) = beginnings.get(&number) {
            let (x, y) = grid.place(line.child);
            let known = origins.get(layer).map_or(&[][..], Vec::as_slice);
            let at = known.iter().position(|o| o == origin).unwrap_or(0);
            let lane = y - BELOW * (at + 1) as f32 / (known.len() + 1) as f32;
            let beside = trunk(*layer, *origin);
            upwards.splice(0..0, [pos2(x, y), pos2(x, lane), pos2(beside, lane)]);
        }
        // What leads to a term above the first layer goes a little beyond it.
        let is_hidden = nodes.get(line.parent).is_some_and(|n| n.layer < first);
        if is_hidden {
            let end = upwards.last().map_or_else(|| grid.place(line.child).0, |end| end.x);
            if upwards.is_empty() {
                upwards.push(pos2(end, grid.top(first)));
            }
            upwards.push(pos2(end, grid.top(first) - BEYOND));
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
        let limits = Limits { ancestors: 60, siblings: 40, children: 80 };
        Ontology::builtin().unwrap().neighbourhood(id, limits).unwrap()
    }

    #[test]
    fn nothing_overlaps_and_no_line_runs_through_a_term() {
        for id in ["CL:0000576", "CL:0000084", "CL:0000540", "CL:0000738", "CL:0000066"] {
            let picture = wide(id);
            assert!(picture.nodes.len() > 20, "{id}");
            for columns in [usize::MAX, 6, 5, 4] {
                assert_clear(id, &picture, &plan(&picture, 0, 40.0, columns));
            }
        }
    }

    /// No term lies on another, and no line on a term that it does not lead to.
    #[track_caller]
    fn assert_clear(id: &str, picture: &Neighbourhood, plan: &Plan) {
        {
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
    fn a_hundred_terms_stand_in_rows_that_a_screen_holds() {
        let ontology = Ontology::builtin().unwrap();
        let most = ["CL:0000066", "CL:0000057", "CL:0000151", "CL:0000540"]
            .into_iter()
            .map(|id| (id, wide(id)))
            .max_by_key(|(_, picture)| picture.nodes.len())
            .unwrap();
        let (id, picture) = most;
        assert!(picture.nodes.len() >= 90, "{id}: {}", picture.nodes.len());
        let (flat, rows) = (plan(&picture, 0, 20.0, usize::MAX), plan(&picture, 0, 20.0, 6));
        assert!(flat.size.x > 4_000.0, "{:?}", flat.size);
        assert!(rows.size.x < 8.0 * (NODE.x + BESIDE), "{:?}", rows.size);
        assert_eq!(rows.boxes.iter().flatten().count(), picture.nodes.len());
        assert!(ontology.term(id).is_some());
    }

    #[test]
    fn lines_lead_from_a_term_up_to_what_it_is_a_kind_of() {
        for (id, columns) in [("CL:0000576", usize::MAX), ("CL:0000540", 5), ("CL:0000066", 4)] {
            let picture = wide(id);
            assert_lead_up(&picture, &plan(&picture, 0, 30.0, columns));
        }
    }

    #[track_caller]
    fn assert_lead_up(picture: &Neighbourhood, plan: &Plan) {
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
        for (id, columns) in [("CL:0000576", usize::MAX), ("CL:0000540", 5), ("CL:0000066", 4)] {
            assert_lanes(&plan(&wide(id), 0, 40.0, columns));
        }
    }

    #[track_caller]
    fn assert_lanes(plan: &Plan) {
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
        let plan = plan(&picture, first, 20.0, usize::MAX);
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
