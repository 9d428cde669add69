//! Where the map looks.

use eframe::egui::{Pos2, Rect, Vec2, pos2, vec2};
use serde::{Deserialize, Serialize};

/// Free border around fitted cells, as a share of the map.
const FIT_MARGIN: f32 = 0.06;

/// The cells' coordinates at the middle of the map, and the scale. y of the cells points up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    /// The coordinates in the middle of the map.
    pub centre: [f32; 2],
    /// Points of the screen for one unit of the coordinates.
    pub points_per_unit: f32,
}

/// The smallest box around some positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Smallest x and y.
    pub min: [f32; 2],
    /// Largest x and y.
    pub max: [f32; 2],
}

impl Bounds {
    /// The box around the finite positions; `None` where there are none.
    pub fn of(positions: &[[f32; 2]]) -> Option<Self> {
        positions.iter().filter(|p| p[0].is_finite() && p[1].is_finite()).fold(None, |bounds, p| {
            let b = bounds.unwrap_or(Self { min: *p, max: *p });
            Some(Self {
                min: [b.min[0].min(p[0]), b.min[1].min(p[1])],
                max: [b.max[0].max(p[0]), b.max[1].max(p[1])],
            })
        })
    }

    /// Width and height.
    pub fn size(&self) -> [f32; 2] {
        [self.max[0] - self.min[0], self.max[1] - self.min[1]]
    }
}

impl Camera {
    /// The camera that shows all of `bounds` in `rect`.
    pub fn fit(bounds: Bounds, rect: Rect) -> Self {
        let [width, height] = bounds.size();
        let free = 1.0 - 2.0 * FIT_MARGIN;
        let scale = (rect.width() * free / width.max(f32::MIN_POSITIVE))
            .min(rect.height() * free / height.max(f32::MIN_POSITIVE));
        Self {
            centre: [bounds.min[0] + 0.5 * width, bounds.min[1] + 0.5 * height],
            // A single cell, or all cells in one place, have no size to fit.
            points_per_unit: if scale.is_finite() && scale > 0.0 && scale < 1e9 { scale } else { 1.0 },
        }
    }

    /// Whether it can be used.
    pub fn is_sound(&self) -> bool {
        self.centre.iter().all(|v| v.is_finite())
            && self.points_per_unit.is_finite()
            && self.points_per_unit > 0.0
    }

    /// Where `position` stands on the screen.
    pub fn to_screen(&self, rect: Rect, position: [f32; 2]) -> Pos2 {
        let c = rect.center();
        pos2(
            c.x + (position[0] - self.centre[0]) * self.points_per_unit,
            c.y - (position[1] - self.centre[1]) * self.points_per_unit,
        )
    }

    /// The coordinates under a place of the screen.
    pub fn to_cells(&self, rect: Rect, place: Pos2) -> [f32; 2] {
        let d = place - rect.center();
        [self.centre[0] + d.x / self.points_per_unit, self.centre[1] - d.y / self.points_per_unit]
    }

    /// Moves the map along with a drag.
    pub fn pan(&mut self, drag: Vec2) {
        self.centre[0] -= drag.x / self.points_per_unit;
        self.centre[1] += drag.y / self.points_per_unit;
    }

    /// Zooms by `factor`; what is under `place` stays there. `fitted` bounds how far.
    pub fn zoom(&mut self, rect: Rect, place: Pos2, factor: f32, fitted: &Self) {
        let range = (fitted.points_per_unit * 0.2)..=(fitted.points_per_unit * 400.0);
        let wanted = (self.points_per_unit * factor).clamp(*range.start(), *range.end());
        if !wanted.is_finite() {
            return;
        }
        let held = self.to_cells(rect, place);
        self.points_per_unit = wanted;
        let now = self.to_cells(rect, place);
        self.centre[0] += held[0] - now[0];
        self.centre[1] += held[1] - now[1];
    }

    /// Moves so far that `place` is in `rect`, with some border.
    pub fn reveal(&mut self, rect: Rect, position: [f32; 2]) {
        let inner = rect.shrink2(vec2(rect.width() * 0.06, rect.height() * 0.06));
        let place = self.to_screen(rect, position);
        let target = place.clamp(inner.min, inner.max);
        self.pan(target - place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECT: Rect = Rect { min: Pos2 { x: 100.0, y: 50.0 }, max: Pos2 { x: 900.0, y: 650.0 } };

    fn bounds() -> Bounds {
        Bounds { min: [-4.0, 2.0], max: [16.0, 8.0] }
    }

    #[test]
    fn a_fitted_camera_shows_all_cells_and_keeps_the_shape() {
        let camera = Camera::fit(bounds(), RECT);
        for p in [bounds().min, bounds().max] {
            assert!(RECT.contains(camera.to_screen(RECT, p)));
        }
        assert!((camera.points_per_unit - 800.0 * 0.88 / 20.0).abs() < 1e-3);
        assert_eq!(camera.to_screen(RECT, [6.0, 5.0]), RECT.center());
    }

    #[test]
    fn y_points_up() {
        let camera = Camera::fit(bounds(), RECT);
        assert!(camera.to_screen(RECT, [0.0, 8.0]).y < camera.to_screen(RECT, [0.0, 2.0]).y);
    }

    #[test]
    fn zoom_keeps_what_is_under_the_pointer() {
        let fitted = Camera::fit(bounds(), RECT);
        let mut camera = fitted;
        let pointer = pos2(233.0, 511.0);
        for factor in [1.5, 0.7, 3.0, 0.1, 1e9] {
            let before = camera.to_cells(RECT, pointer);
            camera.zoom(RECT, pointer, factor, &fitted);
            let after = camera.to_cells(RECT, pointer);
            assert!((before[0] - after[0]).abs() < 1e-3 && (before[1] - after[1]).abs() < 1e-3);
        }
        assert!(camera.points_per_unit <= fitted.points_per_unit * 400.0);
    }

    #[test]
    fn a_drag_moves_the_cells_with_the_pointer() {
        let mut camera = Camera::fit(bounds(), RECT);
        let before = camera.to_screen(RECT, [1.0, 3.0]);
        camera.pan(vec2(30.0, -12.0));
        let after = camera.to_screen(RECT, [1.0, 3.0]);
        assert!((after - before - vec2(30.0, -12.0)).length() < 1e-2);
    }

    #[test]
    fn places_without_size_can_be_fitted() {
        let one = Bounds::of(&[[3.0, 3.0], [f32::NAN, 1.0]]).unwrap();
        let camera = Camera::fit(one, RECT);
        assert!(camera.is_sound());
        assert_eq!(camera.to_screen(RECT, [3.0, 3.0]), RECT.center());
        assert_eq!(Bounds::of(&[[f32::NAN, 0.0], [f32::INFINITY, 0.0]]), None);
    }

    #[test]
    fn a_cell_out_of_sight_is_brought_into_view() {
        let mut camera = Camera { centre: [0.0, 0.0], points_per_unit: 100.0 };
        camera.reveal(RECT, [50.0, -20.0]);
        assert!(RECT.contains(camera.to_screen(RECT, [50.0, -20.0])));
        let still = camera;
        camera.reveal(RECT, [50.0, -20.0]);
        assert!((still.centre[0] - camera.centre[0]).abs() < 1e-3);
    }
}
