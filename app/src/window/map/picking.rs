//! Which cell is where: a grid over the positions, searched exactly.

use super::camera::Bounds;

/// The four directions of walking from cell to cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Towards smaller x.
    Left,
    /// Towards larger x.
    Right,
    /// Towards larger y.
    Up,
    /// Towards smaller y.
    Down,
}

impl Step {
    fn direction(self) -> [f32; 2] {
        match self {
            Self::Left => [-1.0, 0.0],
            Self::Right => [1.0, 0.0],
            Self::Up => [0.0, 1.0],
            Self::Down => [0.0, -1.0],
        }
    }
}

/// Cells by place. Built once an embedding, about 8 bytes a cell.
#[derive(Debug)]
pub struct CellIndex {
    bounds: Bounds,
    /// Boxes a side, `[x, y]`.
    shape: [usize; 2],
    /// Where each box begins in `cells`, `[boxes + 1]`.
    starts: Vec<u32>,
    /// Rows of obs, box by box.
    cells: Vec<u32>,
}

impl CellIndex {
    /// Sorts the cells with finite positions into boxes, about four a box.
    pub fn new(positions: &[[f32; 2]]) -> Option<Self> {
        let bounds = Bounds::of(positions)?;
        let side = ((positions.len() as f32 / 4.0).sqrt().ceil() as usize).clamp(1, 2048);
        let mut index =
            Self { bounds, shape: [side, side], starts: vec![0; side * side + 1], cells: Vec::new() };
        let boxes: Vec<Option<usize>> = positions.iter().map(|p| index.box_of(*p)).collect();
        for b in boxes.iter().flatten() {
            index.starts[b + 1] += 1;
        }
        for i in 1..index.starts.len() {
            index.starts[i] += index.starts[i - 1];
        }
        let mut next = index.starts.clone();
        index.cells = vec![0; next[side * side] as usize];
        for (cell, b) in boxes.iter().enumerate() {
            if let Some(b) = b {
                index.cells[next[*b] as usize] = cell as u32;
                next[*b] += 1;
            }
        }
        Some(index)
    }

    /// The box around all cells.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The share of the boxes in which there is a cell.
    pub fn occupied(&self) -> f32 {
        let filled = self.starts.windows(2).filter(|w| w[1] > w[0]).count();
        (filled as f32 / (self.shape[0] * self.shape[1]).max(1) as f32).clamp(1e-3, 1.0)
    }

    fn column(&self, axis: usize, v: f32) -> usize {
        let span = (self.bounds.max[axis] - self.bounds.min[axis]).max(f32::MIN_POSITIVE);
        let share = ((v - self.bounds.min[axis]) / span).clamp(0.0, 1.0);
        ((share * self.shape[axis] as f32) as usize).min(self.shape[axis] - 1)
    }

    fn box_of(&self, p: [f32; 2]) -> Option<usize> {
        (p[0].is_finite() && p[1].is_finite())
            .then(|| self.column(1, p[1]) * self.shape[0] + self.column(0, p[0]))
    }

    /// The cell nearest to `place`, no farther than `radius`, among those that `shown` lets through.
    pub fn nearest(
        &self,
        positions: &[[f32; 2]],
        place: [f32; 2],
        radius: f32,
        shown: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if !(place[0].is_finite() && place[1].is_finite() && radius >= 0.0) {
            return None;
        }
        let (x0, x1) = (self.column(0, place[0] - radius), self.column(0, place[0] + radius));
        let (y0, y1) = (self.column(1, place[1] - radius), self.column(1, place[1] + radius));
        let mut best: Option<(f32, usize)> = None;
        for y in y0..=y1 {
            // The boxes of one row follow each other.
            let from = self.starts[y * self.shape[0] + x0] as usize;
            let to = self.starts[y * self.shape[0] + x1 + 1] as usize;
            for &cell in &self.cells[from..to] {
                let cell = cell as usize;
                let Some(p) = positions.get(cell) else { continue };
                let squared = (p[0] - place[0]).powi(2) + (p[1] - place[1]).powi(2);
                if squared <= radius * radius && best.is_none_or(|(b, _)| squared < b) && shown(cell) {
                    best = Some((squared, cell));
                }
            }
        }
        best.map(|(_, cell)| cell)
    }

    /// Calls `take` with every cell inside the polygon `area`, which is closed by itself. Where it crosses itself, a
    /// place counts as inside when a ray from it crosses the line an odd number of times.
    ///
    /// Only cells in boxes that an edge may cross are looked at one by one, and in each row only with the edges that
    /// reach it: a long lasso costs little more than a box.
    pub fn inside(&self, positions: &[[f32; 2]], area: &[[f32; 2]], mut take: impl FnMut(usize)) {
        if area.len() < 3 || !area.iter().flatten().all(|v| v.is_finite()) {
            return;
        }
        let range = |axis: usize| {
            area.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), p| (l.min(p[axis]), h.max(p[axis])))
        };
        let ((left, right), (bottom, top)) = (range(0), range(1));
        if right < self.bounds.min[0]
            || left > self.bounds.max[0]
            || top < self.bounds.min[1]
            || bottom > self.bounds.max[1]
        {
            return;
        }
        let (x0, x1) = (self.column(0, left), self.column(0, right));
        let (y0, y1) = (self.column(1, bottom), self.column(1, top));
        let mut edges_of_row: Vec<Vec<([f32; 2], [f32; 2])>> = vec![Vec::new(); y1 - y0 + 1];
        for (i, a) in area.iter().enumerate() {
            let b = area[(i + 1) % area.len()];
            // The row of a place rises with its y, so that no cell between the ends lies in another row.
            let rows = self.column(1, a[1].min(b[1]))..=self.column(1, a[1].max(b[1]));
            for row in rows {
                edges_of_row[row - y0].push((*a, b));
            }
        }
        let is_inside = |p: &[f32; 2], edges: &[([f32; 2], [f32; 2])]| {
            let mut inside = false;
            for (a, b) in edges {
                if (a[1] > p[1]) != (b[1] > p[1])
                    && p[0] < (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1]) + a[0]
                {
                    inside = !inside;
                }
            }
            inside
        };
        let mut crossed = vec![false; x1 - x0 + 1];
        for (y, edges) in (y0..=y1).zip(&edges_of_row) {
            crossed.fill(false);
            for (a, b) in edges {
                let (from, to) = (self.column(0, a[0].min(b[0])), self.column(0, a[0].max(b[0])));
                crossed[from - x0..=to - x0].fill(true);
            }
            // Between two boxes that an edge may cross, all places are inside or none is: one cell tells of all.
            let mut between = None;
            for x in x0..=x1 {
                let number = y * self.shape[0] + x;
                let cells = &self.cells[self.starts[number] as usize..self.starts[number + 1] as usize];
                let place = |cell: u32| positions.get(cell as usize);
                if crossed[x - x0] {
                    between = None;
                    for &cell in cells {
                        if place(cell).is_some_and(|p| is_inside(p, edges)) {
                            take(cell as usize);
                        }
                    }
                } else if let Some(first) = cells.first().and_then(|c| place(*c))
                    && *between.get_or_insert_with(|| is_inside(first, edges))
                {
                    cells.iter().for_each(|&cell| take(cell as usize));
                }
            }
        }
    }
}

/// The cell to go to from `from` in a direction: the one of least distance among those that lie more along the
/// direction than across it. Distance across counts double, so that a walk keeps its line.
pub fn walk(positions: &[[f32; 2]], from: usize, step: Step, shown: impl Fn(usize) -> bool) -> Option<usize> {
    let start = positions.get(from)?;
    let d = step.direction();
    let mut best: Option<(f32, usize)> = None;
    for (cell, p) in positions.iter().enumerate() {
        let (dx, dy) = (p[0] - start[0], p[1] - start[1]);
        let along = dx * d[0] + dy * d[1];
        let across = (dx * d[1] - dy * d[0]).abs();
        // Not a number fails this test, too.
        if cell == from || !(along > 0.0 && along >= across) {
            continue;
        }
        let cost = along + 2.0 * across;
        if best.is_none_or(|(b, _)| cost < b) && shown(cell) {
            best = Some((cost, cell));
        }
    }
    best.map(|(_, cell)| cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions that look random and are the same each time.
    fn scattered(n: usize) -> Vec<[f32; 2]> {
        let mut state = 1u32;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 * 20.0 - 10.0
        };
        (0..n).map(|i| if i % 50 == 7 { [f32::NAN, next()] } else { [next(), next()] }).collect()
    }

    #[test]
    fn the_nearest_within_the_radius_is_found_as_by_looking_at_all() {
        let positions = scattered(3_000);
        let index = CellIndex::new(&positions).unwrap();
        for (i, place) in scattered(400).into_iter().enumerate() {
            let radius = 0.05 * (i % 12) as f32;
            let shown = |cell: usize| !cell.is_multiple_of(3);
            let want = positions
                .iter()
                .enumerate()
                .filter(|(cell, _)| shown(*cell))
                .map(|(cell, p)| ((p[0] - place[0]).powi(2) + (p[1] - place[1]).powi(2), cell))
                .filter(|(d, _)| *d <= radius * radius)
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, cell)| cell);
            assert_eq!(index.nearest(&positions, place, radius, shown), want, "{place:?} {radius}");
        }
    }

    #[test]
    fn the_cells_inside_an_area_are_those_that_a_test_of_every_cell_finds() {
        let positions = scattered(4_000);
        let index = CellIndex::new(&positions).unwrap();
        // A star crosses itself; a box has edges along the axes; a line has no inside.
        let star: Vec<[f32; 2]> =
            (0..5).map(|i| i as f32 * 2.0 * 1.2566).map(|a| [9.0 * a.cos(), 9.0 * a.sin()]).collect();
        let square = vec![[-3.0, -3.0], [30.0, -3.0], [30.0, 4.0], [-3.0, 4.0]];
        let far = vec![[50.0, 50.0], [60.0, 50.0], [60.0, 60.0]];
        let wild: Vec<[f32; 2]> = scattered(60).into_iter().filter(|p| p[0].is_finite()).collect();
        for area in [star, square, far, wild, vec![[0.0, 0.0], [1.0, 1.0]], vec![[f32::NAN; 2]; 4]] {
            let mut found = Vec::new();
            index.inside(&positions, &area, |cell| found.push(cell));
            found.sort_unstable();
            let crosses = |p: &[f32; 2], i: usize| {
                let (a, b) = (area[i], area[(i + 1) % area.len()]);
                (a[1] > p[1]) != (b[1] > p[1]) && p[0] < (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1]) + a[0]
            };
            let want: Vec<usize> = (0..positions.len())
                .filter(|&c| (0..area.len()).filter(|&i| crosses(&positions[c], i)).count() % 2 == 1)
                .collect();
            assert_eq!(found, want, "{area:?}");
        }
    }

    #[test]
    #[ignore = "a measurement, printed; run it by name"]
    fn measured_a_lasso_around_half_of_a_million_cells() {
        let positions = scattered(1_000_000);
        let index = CellIndex::new(&positions).unwrap();
        let area: Vec<[f32; 2]> = (0..600)
            .map(|i| i as f32 / 600.0 * std::f32::consts::TAU)
            .map(|a| [(7.0 + (9.0 * a).sin()) * a.cos(), (7.0 + (9.0 * a).sin()) * a.sin()])
            .collect();
        let mut times: Vec<f64> = (0..9)
            .map(|_| {
                let begun = std::time::Instant::now();
                let mut cells = Vec::new();
                index.inside(&positions, &area, |cell| cells.push(cell));
                let set = crate::window::CellSet::from_cells(positions.len(), cells);
                let words =
                    set.words().iter().flat_map(|w| [*w as u32, (*w >> 32) as u32]).collect::<Vec<_>>();
                assert!(set.len() > 300_000 && !words.is_empty());
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        panic!("median {:.1} ms, slowest {:.1} ms", times[4], times[8]);
    }

    #[test]
    fn far_from_every_cell_nothing_is_found() {
        let positions = scattered(100);
        let index = CellIndex::new(&positions).unwrap();
        assert_eq!(index.nearest(&positions, [500.0, 500.0], 3.0, |_| true), None);
        assert_eq!(index.nearest(&positions, [f32::NAN, 0.0], 3.0, |_| true), None);
    }

    #[test]
    fn cells_in_one_place_and_no_cells_at_all_are_no_trouble() {
        let positions = [[1.0, 1.0]; 5];
        let index = CellIndex::new(&positions).unwrap();
        assert_eq!(index.nearest(&positions, [1.0, 1.0], 0.5, |c| c > 2), Some(3));
        assert!(CellIndex::new(&[]).is_none());
        assert!(CellIndex::new(&[[f32::NAN, 0.0]]).is_none());
    }

    #[test]
    fn walking_goes_to_the_neighbour_in_that_direction() {
        let positions = [[0.0, 0.0], [1.0, 0.1], [3.0, 0.0], [0.1, 2.0], [-1.0, -0.2], [f32::NAN, 0.0]];
        assert_eq!(walk(&positions, 0, Step::Right, |_| true), Some(1));
        assert_eq!(walk(&positions, 0, Step::Right, |c| c != 1), Some(2));
        assert_eq!(walk(&positions, 0, Step::Up, |_| true), Some(3));
        assert_eq!(walk(&positions, 0, Step::Left, |_| true), Some(4));
        assert_eq!(walk(&positions, 0, Step::Down, |_| true), None);
        assert_eq!(walk(&positions, 99, Step::Up, |_| true), None);
    }
}
