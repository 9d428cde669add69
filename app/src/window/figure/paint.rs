//! A scene as shapes of egui: what the window shows and what becomes a PNG.

use eframe::egui::epaint::TextShape;
use eframe::egui::{
    self, Color32, ColorImage, FontFamily, FontId, Mesh, Painter, Pos2, Rect, Shape, Stroke, StrokeKind,
    TextureHandle, TextureOptions, Vec2, emath::Rot2, pos2, vec2,
};

use super::font::Weight;
use super::scene::{Across, Item, Line, Paint, Point, Scene};

/// The pixels of a scene as textures, in the order of its images.
pub fn textures(ctx: &egui::Context, scene: &Scene) -> Vec<TextureHandle> {
    scene
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Image { raster, .. } => {
                let pixels: Vec<Color32> = raster
                    .pixels
                    .iter()
                    .map(|[r, g, b, a]| Color32::from_rgba_unmultiplied(*r, *g, *b, *a))
                    .collect();
                let image = ColorImage::new([raster.width, raster.height], pixels);
                Some(ctx.load_texture("figure", image, TextureOptions::LINEAR))
            }
            _ => None,
        })
        .collect()
}

fn colour(paint: Paint) -> Color32 {
    let [r, g, b, a] = paint.0;
    Color32::from_rgba_unmultiplied(r, g, b, a)
}

fn stroke(line: Option<Line>) -> Stroke {
    line.map_or(Stroke::NONE, |line| Stroke::new(line.width, colour(line.paint)))
}

/// Paints a scene with its upper left at `origin`. `textures` are those of [`textures`].
pub fn paint(painter: &Painter, scene: &Scene, origin: Pos2, textures: &[TextureHandle]) {
    let at = |p: Point| origin + vec2(p[0], p[1]);
    if let Some(paint) = scene.background {
        painter.rect_filled(Rect::from_min_size(origin, Vec2::from(scene.size)), 0.0, colour(paint));
    }
    let mut textures = textures.iter();
    for item in &scene.items {
        match item {
            Item::Box { min, max, fill, line } => {
                let rect = Rect::from_min_max(at(*min), at(*max));
                let fill = fill.map_or(Color32::TRANSPARENT, colour);
                painter.rect(rect, 0.0, fill, stroke(*line), StrokeKind::Middle);
            }
            Item::Disc { centre, radius, fill, line } => {
                let fill = fill.map_or(Color32::TRANSPARENT, colour);
                painter.circle(at(*centre), *radius, fill, stroke(*line));
            }
            Item::Path { points, line } => match points[..] {
                [from, to] => {
                    painter.line_segment([at(from), at(to)], stroke(Some(*line)));
                }
                _ => {
                    painter.line(points.iter().map(|p| at(*p)).collect(), stroke(Some(*line)));
                }
            },
            Item::Band { one, other, fill } => {
                let mut mesh = Mesh::default();
                for (i, (a, b)) in one.iter().zip(other).enumerate() {
                    mesh.colored_vertex(at(*a), colour(*fill));
                    mesh.colored_vertex(at(*b), colour(*fill));
                    if i > 0 {
                        let k = 2 * i as u32;
                        mesh.add_triangle(k - 2, k - 1, k);
                        mesh.add_triangle(k - 1, k, k + 1);
                    }
                }
                painter.add(Shape::mesh(mesh));
            }
            Item::Text(text) => {
                let family = match text.weight {
                    Weight::Regular => FontFamily::Proportional,
                    Weight::Semibold => FontFamily::Name("strong".into()),
                };
                let galley = painter.layout_no_wrap(
                    text.text.clone(),
                    FontId::new(text.size, family),
                    colour(text.paint),
                );
                let width = galley.size().x;
                let left = match text.across {
                    Across::Left => 0.0,
                    Across::Centre => -0.5 * width,
                    Across::Right => -width,
                };
                let top = text.baseline_shift() - text.weight.face().ascent * text.size;
                let angle = text.angle_degrees.to_radians();
                let corner = at(text.place) + Rot2::from_angle(angle) * vec2(left, top);
                painter.add(TextShape::new(corner, galley, colour(text.paint)).with_angle(angle));
            }
            Item::Image { min, max, .. } => {
                if let Some(texture) = textures.next() {
                    let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
                    let rect = Rect::from_min_max(at(*min), at(*max));
                    painter.image(texture.id(), rect, whole, Color32::WHITE);
                }
            }
        }
    }
}
