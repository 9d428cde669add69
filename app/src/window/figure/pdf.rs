//! A scene as PDF: text stays text in an embedded font, pixels are an image.

use std::collections::BTreeMap;
use std::io::Write as _;

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};

use super::font::Weight;
use super::scene::{Across, Item, Line, Paint, Point, Scene, Text};
use super::{FigureError, Provenance};

/// A disc is four cubic curves with handles of this share of the radius.
///
/// Source: the usual approximation, 4/3 (√2 − 1).
const HANDLE: f32 = 0.552_285;
/// A CID font's ordering when glyph numbers are used directly.
const IDENTITY: SystemInfo<'static> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// Numbers of the objects of the file.
struct Refs(i32);

impl Refs {
    fn next(&mut self) -> Ref {
        self.0 += 1;
        Ref::new(self.0)
    }
}

/// The scene as the bytes of a PDF with one page, and what it rests on in its information.
///
/// # Errors
/// Where the pixels cannot be packed.
pub fn write(scene: &Scene, provenance: &Provenance) -> Result<Vec<u8>, FigureError> {
    let mut refs = Refs(0);
    let [catalog, pages, page_id, contents, info] = [(); 5].map(|()| refs.next());
    let [width, height] = scene.size;
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([page_id]).count(1);
    let mut document = pdf.document_info(info);
    document.title(TextStr(&provenance.title));
    document.subject(TextStr(&provenance.sentence()));
    document.creator(TextStr(&provenance.software));
    document.producer(TextStr(&provenance.software));
    for (key, value) in &provenance.facts {
        let key: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
        document.pair(Name(key.as_bytes()), TextStr(value));
    }
    document.finish();

    let whole = |paint| Item::Box { min: [0.0, 0.0], max: [width, height], fill: Some(paint), line: None };
    let ground = scene.background.map(whole);
    let mut drawing = Drawing {
        content: Content::new(),
        height,
        opacities: BTreeMap::new(),
        glyphs: BTreeMap::new(),
        images: Vec::new(),
    };
    for item in ground.iter().chain(&scene.items) {
        drawing.item(item);
    }
    let Drawing { content, opacities, glyphs, images, .. } = drawing;

    let image_refs: Vec<(Ref, Ref)> = images.iter().map(|_| (refs.next(), refs.next())).collect();
    let opacity_refs: Vec<Ref> = opacities.values().map(|_| refs.next()).collect();
    let fonts: Vec<(Weight, Ref)> =
        [Weight::Regular, Weight::Semibold].into_iter().map(|w| (w, refs.next())).collect();
    let mut page = pdf.page(page_id);
    page.media_box(Rect::new(0.0, 0.0, width, height)).parent(pages).contents(contents);
    let mut resources = page.resources();
    let mut named = resources.fonts();
    for (weight, reference) in &fonts {
        named.pair(font_name(*weight), *reference);
    }
    named.finish();
    let mut named = resources.x_objects();
    for (i, (reference, _)) in image_refs.iter().enumerate() {
        named.pair(Name(format!("I{i}").as_bytes()), *reference);
    }
    named.finish();
    let mut named = resources.ext_g_states();
    for (name, reference) in opacities.values().zip(&opacity_refs) {
        named.pair(Name(name.as_bytes()), *reference);
    }
    named.finish();
    resources.finish();
    page.finish();
    let packed = pack(&content.finish())?;
    pdf.stream(contents, &packed).filter(Filter::FlateDecode);
    for (opacity, reference) in opacities.keys().zip(&opacity_refs) {
        let share = f32::from(*opacity) / 255.0;
        pdf.ext_graphics(*reference).non_stroking_alpha(share).stroking_alpha(share);
    }
    for (raster, (image, mask)) in images.iter().zip(&image_refs) {
        let colours: Vec<u8> = raster.pixels.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
        let opacity: Vec<u8> = raster.pixels.iter().map(|p| p[3]).collect();
        let (colours, opacity) = (pack(&colours)?, pack(&opacity)?);
        let (width, height) = (raster.width as i32, raster.height as i32);
        let mut object = pdf.image_xobject(*image, &colours);
        object.width(width).height(height).bits_per_component(8).s_mask(*mask);
        object.filter(Filter::FlateDecode);
        object.color_space().device_rgb();
        object.finish();
        let mut object = pdf.image_xobject(*mask, &opacity);
        object.width(width).height(height).bits_per_component(8);
        object.filter(Filter::FlateDecode);
        object.color_space().device_gray();
        object.finish();
    }
    for (weight, reference) in fonts {
        embed(&mut pdf, &mut refs, weight, reference, glyphs.get(font_name(weight).0))?;
    }
    Ok(pdf.finish())
}

fn font_name(weight: Weight) -> Name<'static> {
    match weight {
        Weight::Regular => Name(b"Regular"),
        Weight::Semibold => Name(b"Semibold"),
    }
}

fn pack(bytes: &[u8]) -> Result<Vec<u8>, FigureError> {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packer
        .write_all(bytes)
        .and_then(|()| packer.finish())
        .map_err(|error| FigureError::Encode(error.to_string()))
}

/// Writes a font with the characters that were used.
fn embed(
    pdf: &mut Pdf,
    refs: &mut Refs,
    weight: Weight,
    reference: Ref,
    used: Option<&BTreeMap<u16, char>>,
) -> Result<(), FigureError> {
    let face = weight.face();
    let [cid, descriptor, file, cmap_id] = [(); 4].map(|()| refs.next());
    let base = match weight {
        Weight::Regular => Name(b"SourceSansPro-Regular"),
        Weight::Semibold => Name(b"SourceSansPro-Semibold"),
    };
    pdf.type0_font(reference)
        .base_font(base)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(cid)
        .to_unicode(cmap_id);
    let mut font = pdf.cid_font(cid);
    font.subtype(CidFontType::Type2)
        .base_font(base)
        .system_info(IDENTITY)
        .font_descriptor(descriptor)
        .default_width(500.0)
        .cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = font.widths();
    for &glyph in used.into_iter().flat_map(BTreeMap::keys) {
        widths.consecutive(glyph, [face.advance(glyph) * 1000.0]);
    }
    widths.finish();
    font.finish();
    pdf.font_descriptor(descriptor)
        .name(base)
        .flags(FontFlags::SYMBOLIC)
        .bbox(Rect::new(-500.0, -300.0, 2000.0, 1000.0))
        .italic_angle(0.0)
        .ascent(face.ascent * 1000.0)
        .descent(face.descent * 1000.0)
        .cap_height(660.0)
        .stem_v(if weight == Weight::Semibold { 120.0 } else { 80.0 })
        .font_file2(file);
    let packed = pack(face.bytes)?;
    let mut stream = pdf.stream(file, &packed);
    stream.filter(Filter::FlateDecode);
    stream.pair(Name(b"Length1"), face.bytes.len() as i32);
    stream.finish();
    let mut cmap = UnicodeCmap::new(Name(b"Cell2Text"), IDENTITY);
    for (&glyph, &c) in used.into_iter().flatten() {
        cmap.pair(glyph, c);
    }
    let cmap = cmap.finish();
    pdf.stream(cmap_id, &cmap);
    Ok(())
}

struct Drawing<'a> {
    content: Content,
    height: f32,
    /// Names of the graphics states by opacity.
    opacities: BTreeMap<u8, String>,
    /// Characters used, by font and glyph.
    glyphs: BTreeMap<&'static [u8], BTreeMap<u16, char>>,
    images: Vec<&'a super::scene::Raster>,
}

impl<'a> Drawing<'a> {
    /// y of a PDF points up.
    fn at(&self, p: Point) -> (f32, f32) {
        (p[0], self.height - p[1])
    }

    fn opacity(&mut self, paint: Paint) {
        let opacity = paint.0[3];
        let name = self.opacities.entry(opacity).or_insert_with(|| format!("A{opacity}")).clone();
        self.content.set_parameters(Name(name.as_bytes()));
    }

    fn set_fill(&mut self, paint: Paint) {
        self.opacity(paint);
        let [r, g, b, _] = paint.0.map(|v| f32::from(v) / 255.0);
        self.content.set_fill_rgb(r, g, b);
    }

    fn set_line(&mut self, line: Line) {
        self.opacity(line.paint);
        let [r, g, b, _] = line.paint.0.map(|v| f32::from(v) / 255.0);
        self.content.set_stroke_rgb(r, g, b).set_line_width(line.width);
    }

    /// Fills and strokes an outline that `outline` draws.
    fn shape(&mut self, fill: Option<Paint>, line: Option<Line>, outline: impl Fn(&mut Content)) {
        if let Some(paint) = fill {
            self.set_fill(paint);
            outline(&mut self.content);
            self.content.fill_nonzero();
        }
        if let Some(line) = line {
            self.set_line(line);
            outline(&mut self.content);
            self.content.stroke();
        }
    }

    fn item(&mut self, item: &'a Item) {
        match item {
            Item::Box { min, max, fill, line } => {
                let (x, y) = self.at([min[0], max[1]]);
                let (width, height) = (max[0] - min[0], max[1] - min[1]);
                self.shape(*fill, *line, |content| {
                    content.rect(x, y, width, height);
                });
            }
            Item::Disc { centre, radius, fill, line } => {
                let ((x, y), r, h) = (self.at(*centre), *radius, radius * HANDLE);
                self.shape(*fill, *line, |content| {
                    content.move_to(x + r, y);
                    content.cubic_to(x + r, y + h, x + h, y + r, x, y + r);
                    content.cubic_to(x - h, y + r, x - r, y + h, x - r, y);
                    content.cubic_to(x - r, y - h, x - h, y - r, x, y - r);
                    content.cubic_to(x + h, y - r, x + r, y - h, x + r, y);
                    content.close_path();
                });
            }
            Item::Path { points, line } => {
                let points: Vec<_> = points.iter().map(|p| self.at(*p)).collect();
                self.shape(None, Some(*line), |content| through(content, &points));
            }
            Item::Band { one, other, fill } => {
                let points: Vec<_> = one.iter().chain(other.iter().rev()).map(|p| self.at(*p)).collect();
                self.shape(Some(*fill), None, |content| {
                    through(content, &points);
                    content.close_path();
                });
            }
            Item::Text(text) => self.text(text),
            Item::Image { min, max, raster } => {
                let name = format!("I{}", self.images.len());
                self.images.push(raster);
                let (x, y) = self.at([min[0], max[1]]);
                self.opacity(Paint([0, 0, 0, 255]));
                self.content.save_state();
                self.content.transform([max[0] - min[0], 0.0, 0.0, max[1] - min[1], x, y]);
                self.content.x_object(Name(name.as_bytes()));
                self.content.restore_state();
            }
        }
    }

    fn text(&mut self, text: &Text) {
        let face = text.weight.face();
        let used = self.glyphs.entry(font_name(text.weight).0).or_default();
        let mut bytes = Vec::with_capacity(2 * text.text.len());
        for c in text.text.chars() {
            let glyph = face.glyph(c);
            used.insert(glyph, c);
            bytes.extend(glyph.to_be_bytes());
        }
        let left = match text.across {
            Across::Left => 0.0,
            Across::Centre => -0.5 * text.width(),
            Across::Right => -text.width(),
        };
        // Clockwise on the screen is against the clock where y points up.
        let (sin, cos) = (-text.angle_degrees).to_radians().sin_cos();
        let (x, y) = self.at(text.place);
        let (dx, dy) = (left, -text.baseline_shift());
        self.set_fill(text.paint);
        self.content
            .begin_text()
            .set_font(font_name(text.weight), text.size)
            .set_text_matrix([cos, sin, -sin, cos, x + cos * dx - sin * dy, y + sin * dx + cos * dy])
            .show(Str(&bytes))
            .end_text();
    }
}

fn through(content: &mut Content, points: &[(f32, f32)]) {
    for (i, (x, y)) in points.iter().enumerate() {
        if i == 0 {
            content.move_to(*x, *y);
        } else {
            content.line_to(*x, *y);
        }
    }
}
