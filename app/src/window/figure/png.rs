//! A scene as PNG: the window's own shapes, turned into pixels without a graphics adapter.

use std::collections::HashMap;

use eframe::egui::epaint::{ImageData, Primitive, Vertex};
use eframe::egui::{self, Color32, Pos2, Rect, TextureId};
use image::ImageEncoder as _;

use super::scene::{Raster, Scene};
use super::{FigureError, Provenance, paint};

/// Most pixels along one side.
pub const MAX_SIDE: usize = 12_000;

/// The scene as the bytes of a PNG of `dpi` dots an inch, with what it rests on in its text chunks.
///
/// # Errors
/// Where the picture is too large or cannot be encoded.
pub fn write(scene: &Scene, dpi: f32, provenance: &Provenance) -> Result<Vec<u8>, FigureError> {
    encode(&rasterise(scene, dpi / 72.0)?, &provenance.texts(), Some(dpi))
}

/// The scene in pixels, `pixels_per_point` along each side of a point.
///
/// # Errors
/// Where that is too large.
pub fn rasterise(scene: &Scene, pixels_per_point: f32) -> Result<Raster, FigureError> {
    let [width, height] = scene.size.map(|v| (v * pixels_per_point).round().max(1.0) as usize);
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(FigureError::TooLarge { width, height });
    }
    let ctx = egui::Context::default();
    super::super::theme::install(&ctx);
    ctx.global_style_mut(|style| style.animation_time = 0.0);
    ctx.tessellation_options_mut(|options| {
        options.coarse_tessellation_culling = false;
        options.prerasterized_discs = false;
    });
    let mut input = egui::RawInput {
        screen_rect: Some(Rect::from_min_size(Pos2::ZERO, egui::Vec2::from(scene.size))),
        max_texture_side: Some(MAX_SIDE.next_power_of_two()),
        ..Default::default()
    };
    if let Some(viewport) = input.viewports.get_mut(&egui::ViewportId::ROOT) {
        viewport.native_pixels_per_point = Some(pixels_per_point);
    }
    let mut handles = Vec::new();
    let mut output = ctx.run_ui(input, |ui| {
        let ctx = ui.ctx().clone();
        handles = paint::textures(&ctx, scene);
        let painter = ctx.layer_painter(egui::LayerId::background());
        paint::paint(&painter, scene, Pos2::ZERO, &handles);
    });
    let textures = take_textures(&mut output.textures_delta);
    let primitives = ctx.tessellate(output.shapes, output.pixels_per_point);
    let mut canvas = Canvas { width, height, pixels: vec![[0.0; 4]; width * height] };
    for primitive in &primitives {
        if let Primitive::Mesh(mesh) = &primitive.primitive {
            let texture = textures.get(&mesh.texture_id);
            for triangle in mesh.indices.chunks_exact(3) {
                let corners = [0, 1, 2].map(|i| mesh.vertices[triangle[i] as usize]);
                canvas.triangle(corners, output.pixels_per_point, texture);
            }
        }
    }
    Ok(canvas.finish())
}

struct Texture {
    width: usize,
    height: usize,
    pixels: Vec<Color32>,
}

impl Texture {
    /// The colour between the four nearest pixels, premultiplied, 0 to 255.
    fn sample(&self, u: f32, v: f32) -> [f32; 4] {
        let (x, y) = (u * self.width as f32 - 0.5, v * self.height as f32 - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (x - left, y - top);
        let mut out = [0.0; 4];
        for (dx, dy, share) in [
            (0.0, 0.0, (1.0 - fx) * (1.0 - fy)),
            (1.0, 0.0, fx * (1.0 - fy)),
            (0.0, 1.0, (1.0 - fx) * fy),
            (1.0, 1.0, fx * fy),
        ] {
            if share <= 0.0 {
                continue;
            }
            let column = (left + dx).clamp(0.0, self.width as f32 - 1.0) as usize;
            let row = (top + dy).clamp(0.0, self.height as f32 - 1.0) as usize;
            let pixel = self.pixels.get(row * self.width + column).copied().unwrap_or_default();
            for (out, channel) in out.iter_mut().zip(pixel.to_array()) {
                *out += share * f32::from(channel);
            }
        }
        out
    }
}

fn take_textures(delta: &mut egui::TexturesDelta) -> HashMap<TextureId, Texture> {
    let mut textures: HashMap<TextureId, Texture> = HashMap::new();
    for (id, deltas) in delta.set.drain() {
        for delta in deltas {
            let ImageData::Color(image) = &delta.image;
            let [width, height] = image.size;
            match (delta.pos, textures.get_mut(&id)) {
                (Some([x, y]), Some(whole)) => {
                    for row in 0..height {
                        let from = row * width;
                        let to = (y + row) * whole.width + x;
                        if let (Some(target), Some(source)) =
                            (whole.pixels.get_mut(to..to + width), image.pixels.get(from..from + width))
                        {
                            target.copy_from_slice(source);
                        }
                    }
                }
                _ => {
                    textures.insert(id, Texture { width, height, pixels: image.pixels.clone() });
                }
            }
        }
    }
    delta.free.clear();
    textures
}

/// Pixels with premultiplied colours, 0 to 255, blended in sRGB as egui does.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<[f32; 4]>,
}

impl Canvas {
    /// Fills a triangle. A pixel on the border of two triangles belongs to one of them (the rule of top and left
    /// edges, as on a GPU), so that nothing is blended twice.
    fn triangle(&mut self, mut corners: [Vertex; 3], scale: f32, texture: Option<&Texture>) {
        let place = |v: &Vertex| [f64::from(v.pos.x * scale), f64::from(v.pos.y * scale)];
        let edge = |a: [f64; 2], b: [f64; 2], p: [f64; 2]| {
            (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
        };
        let area = edge(place(&corners[0]), place(&corners[1]), place(&corners[2]));
        if area == 0.0 || !area.is_finite() {
            return;
        }
        if area < 0.0 {
            corners.swap(1, 2);
        }
        let area = area.abs();
        let [a, b, c] = corners.each_ref().map(place);
        let range = |values: [f64; 3], size: usize| {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min).floor().max(0.0) as usize;
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil().max(0.0) as usize;
            low.min(size)..high.min(size)
        };
        let owns = |from: [f64; 2], to: [f64; 2]| {
            let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
            dy < 0.0 || (dy == 0.0 && dx > 0.0)
        };
        let owned = [owns(b, c), owns(c, a), owns(a, b)];
        for y in range([a[1], b[1], c[1]], self.height) {
            for x in range([a[0], b[0], c[0]], self.width) {
                let p = [x as f64 + 0.5, y as f64 + 0.5];
                let sides = [edge(b, c, p), edge(c, a, p), edge(a, b, p)];
                if sides.iter().zip(owned).any(|(s, owned)| *s < 0.0 || (*s == 0.0 && !owned)) {
                    continue;
                }
                let share = sides.map(|s| (s / area) as f32);
                self.blend(x, y, &corners, share, texture);
            }
        }
    }

    fn blend(
        &mut self,
        x: usize,
        y: usize,
        corners: &[Vertex; 3],
        share: [f32; 3],
        texture: Option<&Texture>,
    ) {
        let mut colour = [0.0f32; 4];
        let (mut u, mut v) = (0.0, 0.0);
        for (corner, share) in corners.iter().zip(share) {
            for (sum, channel) in colour.iter_mut().zip(corner.color.to_array()) {
                *sum += share * f32::from(channel);
            }
            u += share * corner.uv.x;
            v += share * corner.uv.y;
        }
        if let Some(texture) = texture {
            for (channel, of_texture) in colour.iter_mut().zip(texture.sample(u, v)) {
                *channel *= of_texture / 255.0;
            }
        }
        let pixel = &mut self.pixels[y * self.width + x];
        let through = 1.0 - colour[3] / 255.0;
        for (below, above) in pixel.iter_mut().zip(colour) {
            *below = *below * through + above;
        }
    }

    fn finish(self) -> Raster {
        let pixels = self
            .pixels
            .into_iter()
            .map(|[r, g, b, a]| {
                if a <= 0.0 {
                    return [0; 4];
                }
                let channel = |v: f32| (v * 255.0 / a).round().clamp(0.0, 255.0) as u8;
                [channel(r), channel(g), channel(b), a.round().clamp(0.0, 255.0) as u8]
            })
            .collect();
        Raster { width: self.width, height: self.height, pixels }
    }
}

/// Pixels as the bytes of a PNG, with text chunks and the resolution where given.
///
/// # Errors
/// Where the encoder fails.
pub fn encode(raster: &Raster, texts: &[(String, String)], dpi: Option<f32>) -> Result<Vec<u8>, FigureError> {
    let mut bytes = Vec::new();
    let (width, height) = (raster.width as u32, raster.height as u32);
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(raster.pixels.as_flattened(), width, height, image::ExtendedColorType::Rgba8)
        .map_err(|error| FigureError::Encode(error.to_string()))?;
    // Signature 8 bytes, IHDR 25: what is added goes before the pixels.
    const AFTER_HEADER: usize = 33;
    let mut added = Vec::new();
    if let Some(dpi) = dpi {
        let per_metre = (dpi / 0.0254).round() as u32;
        let mut data = [per_metre.to_be_bytes(), per_metre.to_be_bytes()].concat();
        data.push(1);
        chunk(&mut added, *b"pHYs", &data);
    }
    for (key, text) in texts {
        // iTXt holds UTF-8, which tEXt does not; where Latin-1 is enough, tEXt is what every reader knows.
        if text.is_ascii() {
            chunk(&mut added, *b"tEXt", &[key.as_bytes(), &[0], text.as_bytes()].concat());
        } else {
            chunk(&mut added, *b"iTXt", &[key.as_bytes(), &[0; 5], text.as_bytes()].concat());
        }
    }
    if bytes.len() < AFTER_HEADER {
        return Err(FigureError::Encode("the picture has no header".into()));
    }
    bytes.splice(AFTER_HEADER..AFTER_HEADER, added);
    Ok(bytes)
}

/// Source: the PNG specification, "Chunk layout".
fn chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(kind);
    out.extend(data);
    out.extend(crc32(kind.iter().chain(data)).to_be_bytes());
}

/// Source: the PNG specification, annex "Sample CRC implementation".
fn crc32<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Across, Item, Line, Paint};
    use super::*;

    const RED: Paint = Paint([200, 30, 30, 255]);

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32(b"IEND".iter()), 0xAE42_6082);
    }

    #[test]
    fn a_box_fills_its_pixels_and_no_others() {
        let mut scene = Scene::new([20.0, 10.0]);
        scene.fill([5.0, 2.0], [15.0, 8.0], RED);
        let raster = rasterise(&scene, 2.0).unwrap();
        assert_eq!((raster.width, raster.height), (40, 20));
        assert_eq!(raster.pixels[10 * 40 + 20], [200, 30, 30, 255]);
        assert_eq!(raster.pixels[10 * 40 + 5], [0, 0, 0, 0]);
        let full = raster.pixels.iter().filter(|p| **p == [200, 30, 30, 255]).count();
        assert!((200..=240).contains(&full), "{full}");
    }

    #[test]
    fn half_seen_triangles_that_touch_are_not_blended_twice() {
        let mut scene = Scene::new([40.0, 40.0]);
        let one = vec![[3.0, 3.0], [20.0, 11.0], [37.0, 4.0]];
        let other = vec![[4.0, 36.0], [21.0, 30.0], [36.0, 37.0]];
        scene.items.push(Item::Band { one, other, fill: RED.with_opacity(0.5) });
        let raster = rasterise(&scene, 3.0).unwrap();
        let opacities: std::collections::BTreeSet<u8> = raster.pixels.iter().map(|p| p[3]).collect();
        assert_eq!(opacities.into_iter().collect::<Vec<_>>(), [0, 128]);
    }

    #[test]
    fn text_lines_and_pixels_leave_their_marks() {
        let mut scene = Scene::new([60.0, 30.0]);
        scene.background = Some(Paint([255; 4]));
        scene.text([30.0, 8.0], Across::Centre, 10.0, RED, "CD14+");
        scene.items.push(Item::Path {
            points: vec![[5.0, 20.0], [30.0, 26.0], [55.0, 20.0]],
            line: Line { width: 1.0, paint: RED },
        });
        let raster = std::sync::Arc::new(Raster { width: 1, height: 1, pixels: vec![[0, 0, 255, 255]] });
        scene.items.push(Item::Image { min: [0.0, 0.0], max: [4.0, 4.0], raster });
        let picture = rasterise(&scene, 2.0).unwrap();
        assert_eq!(picture.pixels[2 * 120 + 2], [0, 0, 255, 255]);
        let red = |rows: std::ops::Range<usize>| {
            rows.flat_map(|y| (20..100).map(move |x| y * 120 + x))
                .filter(|i| picture.pixels[*i][1] < 120)
                .count()
        };
        assert!(red(8..24) > 30, "text: {}", red(8..24));
        assert!(red(38..56) > 40, "line: {}", red(38..56));
    }

    #[test]
    fn the_file_tells_its_resolution_and_what_it_rests_on() {
        let raster = Raster { width: 2, height: 1, pixels: vec![[1, 2, 3, 255], [4, 5, 6, 0]] };
        let texts =
            [("Software".to_owned(), "Cell2Text".to_owned()), ("Title".to_owned(), "γδ T".to_owned())];
        let bytes = encode(&raster, &texts, Some(300.0)).unwrap();
        let again = image::load_from_memory(&bytes).unwrap().to_rgba8();
        assert_eq!(again.get_pixel(0, 0).0, [1, 2, 3, 255]);
        let holds = |what: &[u8]| bytes.windows(what.len()).any(|w| w == what);
        assert!(holds(b"tEXtSoftware\0Cell2Text"));
        assert!(holds("iTXtTitle\0\0\0\0\0γδ T".as_bytes()));
        assert!(holds(&[b"pHYs".as_slice(), &11811u32.to_be_bytes()].concat()));
    }

    #[test]
    fn a_picture_that_no_program_would_open_is_refused() {
        let scene = Scene::new([100_000.0, 10.0]);
        assert!(matches!(rasterise(&scene, 1.0), Err(FigureError::TooLarge { .. })));
    }
}
