//! What a figure is made of, independent of where it is painted: the window, PNG, SVG and PDF show the same scene.

use std::sync::Arc;

use super::font::Weight;

/// x and y in points, y down, the origin at the upper left.
pub type Point = [f32; 2];

/// A colour as sRGB with opacity, not premultiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Paint(pub [u8; 4]);

impl Paint {
    /// The same colour with an opacity of 0 to 1.
    pub fn with_opacity(self, opacity: f32) -> Self {
        let [r, g, b, _] = self.0;
        Self([r, g, b, (opacity.clamp(0.0, 1.0) * 255.0).round() as u8])
    }
}

impl From<eframe::egui::Color32> for Paint {
    fn from(colour: eframe::egui::Color32) -> Self {
        Self(colour.to_srgba_unmultiplied())
    }
}

/// A line's width in points and its colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Points.
    pub width: f32,
    /// Its colour.
    pub paint: Paint,
}

/// Where a text stands across its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Across {
    /// It begins there.
    Left,
    /// Its middle is there.
    Centre,
    /// It ends there.
    Right,
}

/// One line of text.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// Where: across as `across` says, and the middle of its height.
    pub place: Point,
    /// What it says.
    pub text: String,
    /// Points.
    pub size: f32,
    /// Its colour.
    pub paint: Paint,
    /// Where it stands across its place.
    pub across: Across,
    /// Degrees, clockwise, about the place.
    pub angle_degrees: f32,
    /// Its weight.
    pub weight: Weight,
}

impl Text {
    /// How far the baseline lies below the middle of a line, in points, for text that looks centred: half the height
    /// of a capital.
    pub fn baseline_shift(&self) -> f32 {
        0.33 * self.size
    }

    /// Its width in points.
    pub fn width(&self) -> f32 {
        self.weight.width(&self.text, self.size)
    }
}

/// Pixels, row by row from above.
#[derive(Debug, Clone, PartialEq)]
pub struct Raster {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// sRGB with opacity, not premultiplied, `[height × width]`.
    pub pixels: Vec<[u8; 4]>,
}

/// One thing in a figure; later ones cover earlier ones.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A box.
    Box {
        /// Upper left.
        min: Point,
        /// Lower right.
        max: Point,
        /// Inside.
        fill: Option<Paint>,
        /// Border.
        line: Option<Line>,
    },
    /// A disc.
    Disc {
        /// Its middle.
        centre: Point,
        /// Points.
        radius: f32,
        /// Inside.
        fill: Option<Paint>,
        /// Border.
        line: Option<Line>,
    },
    /// A line through points.
    Path {
        /// The points.
        points: Vec<Point>,
        /// The line.
        line: Line,
    },
    /// What lies between two lines of as many points each.
    Band {
        /// One side.
        one: Vec<Point>,
        /// The other, in the same direction.
        other: Vec<Point>,
        /// Inside.
        fill: Paint,
    },
    /// Text.
    Text(Text),
    /// Pixels over a box.
    Image {
        /// Upper left.
        min: Point,
        /// Lower right.
        max: Point,
        /// The pixels.
        raster: Arc<Raster>,
    },
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scene {
    /// Width and height in points.
    pub size: [f32; 2],
    /// What it is painted on; `None` lets what lies behind show through.
    pub background: Option<Paint>,
    /// What it is made of, from the back to the front.
    pub items: Vec<Item>,
}

impl Scene {
    /// An empty figure.
    pub fn new(size: [f32; 2]) -> Self {
        Self { size, background: None, items: Vec::new() }
    }

    /// Adds a filled box.
    pub fn fill(&mut self, min: Point, max: Point, fill: Paint) {
        self.items.push(Item::Box { min, max, fill: Some(fill), line: None });
    }

    /// Adds a straight line.
    pub fn line(&mut self, from: Point, to: Point, width: f32, paint: Paint) {
        self.items.push(Item::Path { points: vec![from, to], line: Line { width, paint } });
    }

    /// Adds a line of text.
    pub fn text(&mut self, place: Point, across: Across, size: f32, paint: Paint, text: impl Into<String>) {
        self.turned_text(place, across, size, paint, 0.0, text);
    }

    /// Adds a line of text that is turned clockwise about its place.
    pub fn turned_text(
        &mut self,
        place: Point,
        across: Across,
        size: f32,
        paint: Paint,
        angle_degrees: f32,
        text: impl Into<String>,
    ) {
        self.items.push(Item::Text(Text {
            place,
            text: text.into(),
            size,
            paint,
            across,
            angle_degrees,
            weight: Weight::Regular,
        }));
    }

    /// The same in another size: all lengths times `factor`.
    pub fn scaled(mut self, factor: f32) -> Self {
        let scale = |p: &mut Point| *p = [p[0] * factor, p[1] * factor];
        scale(&mut self.size);
        for item in &mut self.items {
            match item {
                Item::Box { min, max, line, .. } => {
                    scale(min);
                    scale(max);
                    if let Some(line) = line {
                        line.width *= factor;
                    }
                }
                Item::Image { min, max, .. } => {
                    scale(min);
                    scale(max);
                }
                Item::Disc { centre, radius, line, .. } => {
                    scale(centre);
                    *radius *= factor;
                    if let Some(line) = line {
                        line.width *= factor;
                    }
                }
                Item::Path { points, line } => {
                    points.iter_mut().for_each(scale);
                    line.width *= factor;
                }
                Item::Band { one, other, .. } => {
                    one.iter_mut().for_each(scale);
                    other.iter_mut().for_each(scale);
                }
                Item::Text(text) => {
                    scale(&mut text.place);
                    text.size *= factor;
                }
            }
        }
        self
    }

    /// Puts `other` into this one with its upper left at `at`. Its background is left out.
    pub fn place(&mut self, other: Self, at: Point) {
        let shift = |p: &mut Point| {
            p[0] += at[0];
            p[1] += at[1];
        };
        for mut item in other.items {
            match &mut item {
                Item::Box { min, max, .. } | Item::Image { min, max, .. } => {
                    shift(min);
                    shift(max);
                }
                Item::Disc { centre, .. } => shift(centre),
                Item::Path { points, .. } => points.iter_mut().for_each(shift),
                Item::Band { one, other, .. } => {
                    one.iter_mut().for_each(shift);
                    other.iter_mut().for_each(shift);
                }
                Item::Text(text) => shift(&mut text.place),
            }
            self.items.push(item);
        }
    }

    /// All lines of text, in order.
    #[cfg(test)]
    pub fn words(&self) -> Vec<&str> {
        self.items
            .iter()
            .filter_map(|item| match item {
                Item::Text(text) => Some(text.text.as_str()),
                _ => None,
            })
            .collect()
    }
}
