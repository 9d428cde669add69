//! Maps as figures: the cells as shapes where they are few and as pixels where they are many, with their legend.

use std::sync::Arc;

use eframe::egui::{Rect, pos2, vec2};

use super::super::map::{Camera, Colouring, Look, Meaning, Scene as Cells, embedding_title};
use super::super::palette;
use super::super::panels::plots::aggregate::Group;
use super::super::panels::plots::draw::{self, Style};
use super::scene::{Across, Item, Paint, Point, Scene};
use super::{MAX_POINTS, Settings};

/// A map to be written. Built beside the window.
#[derive(Clone)]
pub struct MapFigure {
    /// The places of the cells.
    pub cells: Arc<Cells>,
    /// The colours.
    pub colouring: Arc<Colouring>,
    /// How the colours are chosen, and which categories are hidden.
    pub look: Look,
    /// Where the window looks; `None` shows all cells.
    pub camera: Option<Camera>,
    /// Where the map lies in the window, for what is in sight.
    pub window: Option<Rect>,
    /// The key of the embedding.
    pub embedding: String,
}

/// One figure of one or several maps.
pub struct Sheet {
    /// The maps, row by row.
    pub maps: Vec<MapFigure>,
    /// Whether each has its colouring's name above it.
    pub titled: bool,
}

impl Sheet {
    /// The maps side by side, in rows.
    pub fn draw(&self, settings: &Settings, style: &Style) -> Scene {
        let size = settings.size();
        let n = self.maps.len().max(1);
        // As many columns as make the maps most nearly square.
        let columns = (1..=n)
            .min_by(|a, b| {
                let odd = |c: usize| {
                    let (w, h) = (size[0] / c as f32, size[1] / n.div_ceil(c) as f32);
                    (w / h - 1.3).abs() + (c * n.div_ceil(c) - n) as f32
                };
                odd(*a).total_cmp(&odd(*b))
            })
            .unwrap_or(1);
        let one = [size[0] / columns as f32, size[1] / n.div_ceil(columns) as f32];
        let mut scene = Scene::new(size);
        for (i, map) in self.maps.iter().enumerate() {
            let at = [one[0] * (i % columns) as f32, one[1] * (i / columns) as f32];
            scene.place(map.draw(one, settings, style, self.titled), at);
        }
        scene
    }
}

impl MapFigure {
    /// What stands in the legend, and whether it is a scale.
    fn groups(&self, style: &Style) -> Vec<Group> {
        match &self.colouring.meaning {
            Meaning::Categories { categories, .. } => categories
                .iter()
                .enumerate()
                .filter(|(i, _)| !self.look.hidden.contains(i))
                .map(|(_, c)| Group {
                    name: c.name.clone(),
                    paint: if c.is_missing { style.missing } else { c.colour.into() },
                    n: c.count,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    fn draw(&self, size: [f32; 2], settings: &Settings, style: &Style, titled: bool) -> Scene {
        let mut scene = Scene::new(size);
        let groups = self.groups(style);
        let is_scale = matches!(self.colouring.meaning, Meaning::Numbers { .. });
        // A long legend is made smaller until it fits the height.
        let rows = groups.len() as f32 * 18.0 + 40.0;
        let legend_scale = (size[1] / rows).min(1.0);
        let legend = if !settings.legend {
            0.0
        } else if is_scale {
            124.0
        } else if groups.is_empty() {
            0.0
        } else {
            draw::legend_width(&groups) * legend_scale + 8.0
        };
        let top = if titled { 24.0 } else { 8.0 };
        let area =
            Rect::from_min_max(pos2(8.0, top), pos2((size[0] - legend - 8.0).max(40.0), size[1] - 8.0));
        if titled {
            scene.text(
                [area.left() + 4.0, 12.0],
                Across::Left,
                13.0,
                style.strong,
                self.colouring.title.as_str(),
            );
        }
        self.cells_in(&mut scene, area, settings, style);
        self.axes(&mut scene, area, style);
        if settings.legend {
            let at: Point = [area.right() + 12.0, top + 10.0];
            if let Meaning::Numbers { low, high, unit, .. } = &self.colouring.meaning {
                let title = [self.colouring.title.as_str(), unit.as_str()];
                let skip = usize::from(titled);
                draw::colour_bar(&mut scene, style, at, &title[skip..], [*low, *high], |share| {
                    palette::scale_of(self.look.scale, share, style.dark).into()
                });
            } else if !groups.is_empty() {
                let mut key = Scene::new([0.0; 2]);
                draw::legend(&mut key, style, [0.0, 0.0], &self.colouring.title, &groups);
                scene.place(key.scaled(legend_scale), at);
            }
        }
        scene
    }

    fn cells_in(&self, scene: &mut Scene, area: Rect, settings: &Settings, style: &Style) {
        let Some(bounds) = self.cells.bounds() else { return };
        let fitted = Camera::fit(bounds, area);
        let camera = self.camera.map_or(fitted, |camera| {
            let in_window = self.window.map_or(fitted, |window| Camera::fit(bounds, window));
            Camera {
                centre: camera.centre,
                points_per_unit: fitted.points_per_unit * camera.points_per_unit / in_window.points_per_unit,
            }
        });
        let positions = self.cells.positions();
        let colour = |paint: Paint| {
            let [r, g, b, a] = paint.0;
            eframe::egui::Color32::from_rgba_unmultiplied(r, g, b, a)
        };
        let table = self.colouring.table(&self.look, style.dark, colour(style.missing), colour(style.bar));
        let order = self.colouring.drawing_order(positions);
        let zoom = camera.points_per_unit / fitted.points_per_unit;
        let room = (area.area() / positions.len().max(1) as f32).sqrt();
        let radius = (room * 0.17).clamp(0.35, 2.6) * zoom.max(0.2).powf(0.33).clamp(0.7, 3.0);
        let opacity = if positions.len() > 20_000 { 0.8 } else { 0.95 };
        let seen: Vec<(Point, Paint)> = order
            .iter()
            .filter_map(|[cell, entry]| {
                let paint = Paint(*table.get(*entry as usize)?);
                let place = camera.to_screen(area, *positions.get(*cell as usize)?);
                (paint.0[3] > 0 && area.contains(place)).then_some(([place.x, place.y], paint))
            })
            .collect();
        if seen.len() <= MAX_POINTS {
            scene.items.extend(seen.into_iter().map(|(centre, paint)| Item::Disc {
                centre,
                radius,
                fill: Some(paint.with_opacity(opacity)),
                line: None,
            }));
            return;
        }
        let scale = settings.dpi / 72.0;
        let points = seen
            .into_iter()
            .map(|([x, y], paint)| ([(x - area.left()) * scale, (y - area.top()) * scale], paint));
        let size = [(area.width() * scale) as usize, (area.height() * scale) as usize];
        let raster = draw::discs(size, points, radius * scale, opacity);
        let (min, max) = ([area.left(), area.top()], [area.right(), area.bottom()]);
        scene.items.push(Item::Image { min, max, raster: Arc::new(raster) });
    }

    /// Two short lines with the embedding's name, as is usual where the axes have no unit.
    fn axes(&self, scene: &mut Scene, area: Rect, style: &Style) {
        const LENGTH: f32 = 34.0;
        let corner = area.left_bottom() + vec2(10.0, -14.0);
        let name = embedding_title(&self.embedding);
        scene.line([corner.x, corner.y], [corner.x + LENGTH, corner.y], 1.0, style.muted);
        scene.line([corner.x, corner.y], [corner.x, corner.y - LENGTH], 1.0, style.muted);
        scene.text([corner.x, corner.y + 8.0], Across::Left, 9.0, style.muted, format!("{name} 1"));
        scene.turned_text(
            [corner.x - 7.0, corner.y],
            Across::Left,
            9.0,
            style.muted,
            -90.0,
            format!("{name} 2"),
        );
    }
}
