//! The measures of the shipped font: which glyph a character has and how wide it is.
//!
//! Figures are laid out away from the window and written to files that embed the font, so that they need the same
//! measures as the window without its font cache. Source: the OpenType specification, tables `cmap` (format 4),
//! `hhea`, `hmtx` and `head`.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Two weights of one typeface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weight {
    /// Running text.
    Regular,
    /// Headings.
    Semibold,
}

/// The measures of one font file.
#[derive(Debug)]
pub struct Face {
    /// The file.
    pub bytes: &'static [u8],
    units_per_em: f32,
    /// Height of the line above the baseline, in em.
    pub ascent: f32,
    /// Depth below the baseline, in em, below zero.
    pub descent: f32,
    advances: Vec<u16>,
    glyphs: HashMap<char, u16>,
}

impl Weight {
    /// Its measures.
    pub fn face(self) -> &'static Face {
        static REGULAR: OnceLock<Face> = OnceLock::new();
        static SEMIBOLD: OnceLock<Face> = OnceLock::new();
        match self {
            Self::Regular => {
                REGULAR.get_or_init(|| Face::new(include_bytes!("../fonts/SourceSansPro-Regular.ttf")))
            }
            Self::Semibold => {
                SEMIBOLD.get_or_init(|| Face::new(include_bytes!("../fonts/SourceSansPro-Semibold.ttf")))
            }
        }
    }

    /// The width of a line of text at a size, both in points.
    pub fn width(self, text: &str, size: f32) -> f32 {
        let face = self.face();
        text.chars().map(|c| face.advance(face.glyph(c))).sum::<f32>() * size
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl Face {
    fn new(bytes: &'static [u8]) -> Self {
        // A font without these tables is drawn with measures that are about right.
        Self::parse(bytes).unwrap_or_else(|| Self {
            bytes,
            units_per_em: 1000.0,
            ascent: 0.98,
            descent: -0.27,
            advances: vec![500],
            glyphs: HashMap::new(),
        })
    }

    fn parse(bytes: &'static [u8]) -> Option<Self> {
        let n_tables = u16_at(bytes, 4)? as usize;
        let table = |tag: &[u8; 4]| {
            (0..n_tables)
                .map(|i| 12 + 16 * i)
                .find(|&at| bytes.get(at..at + 4) == Some(tag))
                .and_then(|at| bytes.get(u32_at(bytes, at + 8)? as usize..))
        };
        let (head, hhea, hmtx, cmap) = (table(b"head")?, table(b"hhea")?, table(b"hmtx")?, table(b"cmap")?);
        let units_per_em = f32::from(u16_at(head, 18)?.max(1));
        let signed = |at: usize| u16_at(hhea, at).map(|v| f32::from(v as i16) / units_per_em);
        let n_advances = u16_at(hhea, 34)? as usize;
        let advances = (0..n_advances).map(|i| u16_at(hmtx, 4 * i)).collect::<Option<Vec<_>>>()?;
        Some(Self {
            bytes,
            units_per_em,
            ascent: signed(4)?,
            descent: signed(6)?,
            advances,
            glyphs: glyphs(cmap)?,
        })
    }

    /// The number of a character's glyph; 0, an empty box, where the font has none.
    pub fn glyph(&self, c: char) -> u16 {
        self.glyphs.get(&c).copied().unwrap_or(0)
    }

    /// How far a glyph moves the pen, in em.
    pub fn advance(&self, glyph: u16) -> f32 {
        let advance = self.advances.get(glyph as usize).or(self.advances.last()).copied().unwrap_or(500);
        f32::from(advance) / self.units_per_em
    }
}

/// The characters of the Basic Multilingual Plane with their glyphs.
fn glyphs(cmap: &[u8]) -> Option<HashMap<char, u16>> {
    let n = u16_at(cmap, 2)? as usize;
    let format4 = (0..n)
        .filter_map(|i| cmap.get(u32_at(cmap, 8 + 8 * i)? as usize..))
        .find(|sub| u16_at(sub, 0) == Some(4))?;
    let segments = u16_at(format4, 6)? as usize / 2;
    let (ends, starts) = (14, 16 + 2 * segments);
    let (deltas, offsets) = (starts + 2 * segments, starts + 4 * segments);
    let mut glyphs = HashMap::new();
    for s in 0..segments {
        let (end, start) = (u16_at(format4, ends + 2 * s)?, u16_at(format4, starts + 2 * s)?);
        let (delta, offset) = (u16_at(format4, deltas + 2 * s)?, u16_at(format4, offsets + 2 * s)?);
        for code in start..=end {
            let glyph = if offset == 0 {
                code.wrapping_add(delta)
            } else {
                let at = offsets + 2 * s + offset as usize + 2 * (code - start) as usize;
                match u16_at(format4, at) {
                    Some(0) | None => 0,
                    Some(glyph) => glyph.wrapping_add(delta),
                }
            };
            if let Some(c) = char::from_u32(u32::from(code)).filter(|_| glyph != 0 && code != 0xFFFF) {
                glyphs.insert(c, glyph);
            }
        }
    }
    Some(glyphs)
}

/// `text` cut with … to a width.
pub fn elide(text: &str, weight: Weight, size: f32, width: f32) -> String {
    if weight.width(text, size) <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        out.push(c);
        if weight.width(&out, size) + weight.width("…", size) > width {
            out.pop();
            break;
        }
    }
    out + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_knows_the_letters_that_names_of_cells_and_genes_use() {
        for weight in [Weight::Regular, Weight::Semibold] {
            for c in "AZaz09 .,-–…+/()éγδ×≥".chars() {
                assert!(weight.face().glyph(c) != 0, "{c}");
            }
            assert!(weight.face().ascent > 0.6 && weight.face().descent < 0.0);
        }
    }

    #[test]
    fn widths_are_those_that_the_window_measures() {
        use eframe::egui;
        let ctx = egui::Context::default();
        crate::window::theme::install(&ctx);
        let mut output = ctx.run_ui(egui::RawInput::default(), |ui| {
            for text in ["CD14+ Monocyte", "MS4A1", "12,345 cells"] {
                let font = egui::FontId::proportional(100.0);
                let seen = ui.painter().layout_no_wrap(text.into(), font, egui::Color32::WHITE).size().x;
                let here = Weight::Regular.width(text, 100.0);
                // The window also kerns pairs of letters.
                assert!((seen - here).abs() < 0.03 * seen, "{text}: {seen} and {here}");
            }
        });
        // Nothing is painted.
        output.textures_delta.clear();
    }

    #[test]
    fn what_is_too_wide_is_cut_and_what_fits_is_not() {
        assert_eq!(elide("CD4", Weight::Regular, 12.0, 100.0), "CD4");
        let cut = elide("CD4+/CD45RA+/CD25- Naive T", Weight::Regular, 12.0, 60.0);
        assert!(cut.ends_with('…') && Weight::Regular.width(&cut, 12.0) <= 60.0);
    }
}
