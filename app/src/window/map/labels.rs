//! The names of categories on the map: where each stands, and which can be shown without covering another.

use eframe::egui::{
    self, Align2, Color32, FontFamily, FontId, Painter, Pos2, Rect, Role, Sense, Stroke, StrokeKind, Ui,
    Vec2, WidgetInfo, vec2,
};

use super::super::command::Action;
use super::super::theme::Tokens;
use super::colouring::{Colouring, Meaning};
use super::in_words::grouped;
use super::{Camera, Map};

/// Cells of a category that its middle is worked out from; more do not move it.
const ENOUGH: usize = 20_000;
/// Names are shown for so many categories at most, the largest first.
const MOST: usize = 60;
/// Longer names are cut.
const MAX_LETTERS: usize = 32;

/// Where the name of a category stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// Row of the legend.
    pub row: usize,
    /// The place among the cells.
    pub position: [f32; 2],
    /// Cells of the category that have a place.
    pub count: usize,
}

/// The middles of all categories but the missing one, the largest first.
///
/// The middle is the cell nearest to the medians of x and y, so that the name of a category in two islands stands on
/// one of them and not between.
pub fn anchors(colouring: &Colouring, positions: &[[f32; 2]]) -> Vec<Anchor> {
    let Meaning::Categories { categories, codes } = &colouring.meaning else { return Vec::new() };
    let mut places: Vec<Vec<[f32; 2]>> = vec![Vec::new(); categories.len()];
    // Where there are very many cells, every so many of each category tell enough.
    let strides: Vec<usize> = categories.iter().map(|c| c.count.div_ceil(ENOUGH).max(1)).collect();
    let mut seen = vec![0usize; categories.len()];
    for (p, &code) in positions.iter().zip(codes.iter()) {
        let row = code as usize;
        let (Some(seen), Some(places), Some(stride)) =
            (seen.get_mut(row), places.get_mut(row), strides.get(row))
        else {
            continue;
        };
        if p[0].is_finite() && p[1].is_finite() {
            if seen.is_multiple_of(*stride) {
                places.push(*p);
            }
            *seen += 1;
        }
    }
    let mut anchors: Vec<Anchor> = categories
        .iter()
        .enumerate()
        .filter(|(_, c)| !c.is_missing)
        .filter_map(|(row, _)| {
            let position = middle(places.get(row)?)?;
            Some(Anchor { row, position, count: *seen.get(row)? })
        })
        .collect();
    anchors.sort_by_key(|a| (std::cmp::Reverse(a.count), a.row));
    anchors
}

/// The place nearest to the medians.
fn middle(places: &[[f32; 2]]) -> Option<[f32; 2]> {
    let median = |axis: usize| {
        let mut values: Vec<f32> = places.iter().map(|p| p[axis]).collect();
        let half = values.len() / 2;
        values.get(half)?;
        Some(*values.select_nth_unstable_by(half, f32::total_cmp).1)
    };
    let (x, y) = (median(0)?, median(1)?);
    let far = |p: &[f32; 2]| (p[0] - x).powi(2) + (p[1] - y).powi(2);
    places.iter().copied().min_by(|a, b| far(a).total_cmp(&far(b)))
}

/// Where names go that wish to stand around `wishes`, each of a size, the most important first; `None` for those that
/// would cover another or what is `taken`, or leave `area`.
fn arrange(area: Rect, mut taken: Vec<Rect>, wishes: &[(Pos2, Vec2)]) -> Vec<Option<Rect>> {
    wishes
        .iter()
        .map(|&(wish, size)| {
            if !area.contains(wish) {
                return None;
            }
            // On its place, else a little above or below, else beside.
            let steps =
                [(0.0, 0.0), (0.0, -1.0), (0.0, 1.0), (0.5, 0.6), (-0.5, 0.6), (0.5, -0.6), (-0.5, -0.6)];
            let free = steps.into_iter().map(|(x, y)| {
                let rect = Rect::from_center_size(wish + vec2(x * size.x, y * size.y), size);
                // A name at the border is moved in as far as it needs.
                let inner = area.shrink(2.0);
                let shift = (inner.min - rect.min).max(Vec2::ZERO) - (rect.max - inner.max).max(Vec2::ZERO);
                rect.translate(shift)
            });
            let rect = free.into_iter().find(|r| {
                area.contains_rect(*r) && !taken.iter().any(|other| other.intersects(r.expand(1.0)))
            })?;
            taken.push(rect);
            Some(rect)
        })
        .collect()
}

/// Paints the names; a click selects the category.
pub fn labels_ui(
    ui: &mut Ui,
    map: &Map,
    camera: &Camera,
    rect: Rect,
    shown: impl Fn(usize) -> bool,
    out: &mut Vec<Action>,
) {
    let t = Tokens::of(ui);
    let colouring = map.colouring().clone();
    let Meaning::Categories { categories, .. } = &colouring.meaning else { return };
    // One name over everything says nothing that the legend does not.
    if categories.len() < 2 {
        return;
    }
    let font = FontId::new(13.5, FontFamily::Name("strong".into()));
    let painter = ui.painter_at(rect);
    let named: Vec<_> = map
        .anchors()
        .iter()
        .filter(|a| shown(a.row))
        .take(MOST)
        .filter_map(|a| {
            let category = categories.get(a.row)?;
            let galley = painter.layout_no_wrap(cut(&category.name), font.clone(), t.text_strong);
            Some((a, category, galley))
        })
        .collect();
    // The tools stand in the upper left corner.
    let tools = Rect::from_min_size(rect.min, vec2(52.0, 108.0));
    let wishes: Vec<(Pos2, Vec2)> = named
        .iter()
        .map(|(a, _, galley)| (camera.to_screen(rect, a.position), galley.size() + vec2(4.0, 0.0)))
        .collect();
    for ((anchor, category, galley), place) in named.iter().zip(arrange(rect, vec![tools], &wishes)) {
        let Some(place) = place else { continue };
        let id = ui.scope_id().with(("category on the map", anchor.row));
        let response = ui.interact(place, id, Sense::click());
        let hot = response.hovered() || response.has_focus();
        let text = place.min + vec2(2.0, 0.0);
        halo(&painter, text, galley, t.canvas);
        painter.galley(text, galley.clone(), t.text_strong);
        if hot {
            let line = Stroke::new(2.0, category.colour);
            painter.hline(place.x_range(), place.bottom() - 1.0, line);
        }
        if response.has_focus() {
            painter.rect_stroke(place, 3.0, Stroke::new(1.0, t.accent), StrokeKind::Outside);
        }
        let cells = grouped(category.count as i64);
        let words = format!("Select {}, {cells} cells", category.name);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
        if response.clicked() {
            out.push(Action::SelectCategory(anchor.row));
        }
        response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(words);
    }
}

/// The ground around letters, so that they can be read over points of any colour.
fn halo(painter: &Painter, at: Pos2, galley: &std::sync::Arc<egui::Galley>, ground: Color32) {
    const AROUND: [(f32, f32); 8] = [
        (1.0, 0.0),
        (-1.0, 0.0),
        (0.0, 1.0),
        (0.0, -1.0),
        (0.7, 0.7),
        (-0.7, 0.7),
        (0.7, -0.7),
        (-0.7, -0.7),
    ];
    let faint = ground.gamma_multiply(0.9);
    for reach in [2.0, 1.2] {
        for (x, y) in AROUND {
            painter.galley_with_override_text_color(at + vec2(x, y) * reach, galley.clone(), faint);
        }
    }
}

fn cut(name: &str) -> String {
    if name.chars().count() <= MAX_LETTERS {
        name.to_owned()
    } else {
        name.chars().take(MAX_LETTERS - 1).chain(['…']).collect()
    }
}

/// A quiet word in the lower left corner of the map, on a ground of its own.
pub fn corner_note(ui: &Ui, rect: Rect, text: &str) {
    let t = Tokens::of(ui);
    let painter = ui.painter_at(rect);
    let galley = painter.layout_no_wrap(text.to_owned(), FontId::proportional(12.5), t.text);
    let place = Align2::LEFT_BOTTOM.anchor_size(rect.left_bottom() + vec2(10.0, -10.0), galley.size());
    painter.rect_filled(place.expand2(vec2(6.0, 3.0)), 4.0, t.canvas.gamma_multiply(0.85));
    painter.galley(place.min, galley, t.text);
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::dataset;
    use super::*;

    #[test]
    fn a_name_stands_on_a_cell_of_its_category_and_the_largest_comes_first() {
        let mut data = dataset();
        data.n_obs = 7;
        data.obs.columns[1].values = engine::anndata::Values::Categorical {
            codes: vec![0, 0, 0, 0, 1, 1, -1],
            categories: vec!["a".into(), "b".into()],
            ordered: false,
        };
        let column = data.obs.columns[1].clone();
        let colouring = Colouring::by_column(&data, &column);
        // Medians of a: 10 and 0; no cell is there, the nearest is the third.
        let positions =
            [[0.0, 0.0], [0.5, 9.0], [9.0, 0.0], [10.0, -3.0], [f32::NAN, 0.0], [2.0, 2.0], [5.0, 5.0]];
        let found = anchors(&colouring, &positions);
        assert_eq!(
            found,
            [
                Anchor { row: 0, position: [9.0, 0.0], count: 4 },
                Anchor { row: 1, position: [2.0, 2.0], count: 1 }
            ]
        );
        assert!(anchors(&Colouring::plain(), &positions).is_empty());
    }

    #[test]
    fn names_never_cover_one_another_and_stay_on_the_map() {
        let area = Rect::from_min_size(Pos2::ZERO, vec2(400.0, 300.0));
        let size = vec2(90.0, 18.0);
        let wishes: Vec<(Pos2, Vec2)> =
            (0..40).map(|i| (Pos2::new((i * 37 % 400) as f32, (i * 53 % 60) as f32), size)).collect();
        let places: Vec<Rect> = arrange(area, Vec::new(), &wishes).into_iter().flatten().collect();
        assert!(places.len() > 6, "{}", places.len());
        for (i, a) in places.iter().enumerate() {
            assert!(area.contains_rect(*a));
            assert!(places[..i].iter().all(|b| !a.intersects(*b)));
        }
        let outside = [(Pos2::new(500.0, 10.0), size)];
        assert_eq!(arrange(area, Vec::new(), &outside), [None]);
    }

    #[test]
    fn long_names_are_cut_at_a_letter() {
        assert_eq!(cut("T cell"), "T cell");
        assert_eq!(cut(&"é".repeat(50)).chars().count(), MAX_LETTERS);
    }
}
