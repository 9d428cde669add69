//! From numbers to scenes: the shapes of every plot, the same in the window and in a figure.

mod cells;
mod matrix;
mod spread;
mod volcano;

use super::super::super::figure::font::{Weight, elide};
use super::super::super::figure::scene::{Across, Item, Paint, Point, Scene, Text};
use super::super::super::map::number;
use super::super::super::palette;
use super::super::super::theme::Tokens;
use super::aggregate::Group;

pub use cells::{Scatter, composition, discs, scatter};
pub use matrix::{Means, Scaling, dot_plot, heatmap};
pub use spread::{histogram, violin};
pub use volcano::{volcano, volcano_gene};

/// The size of text in a plot, in points.
pub const TEXT: f32 = 12.0;
/// The widest name beside an axis.
const WIDEST_NAME: f32 = 170.0;

/// Colours of a plot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    /// Whether the ground is dark.
    pub dark: bool,
    /// Names and values.
    pub text: Paint,
    /// Ticks and notes.
    pub muted: Paint,
    /// Titles.
    pub strong: Paint,
    /// Axes and frames.
    pub line: Paint,
    /// The grid.
    pub grid: Paint,
    /// What the plot stands on.
    pub ground: Paint,
    /// Bars of one colour.
    pub bar: Paint,
    /// What stands out.
    pub accent: Paint,
    /// Cells without a value.
    pub missing: Paint,
}

impl Style {
    /// The colours of a theme.
    pub fn of(t: &Tokens) -> Self {
        Self {
            dark: t.dark,
            text: t.text.into(),
            muted: t.text_muted.into(),
            strong: t.text_strong.into(),
            line: t.outline.into(),
            grid: t.line.into(),
            ground: t.canvas.into(),
            bar: t.bar.into(),
            accent: t.accent.into(),
            missing: t.missing.into(),
        }
    }

    /// The colour of a share of the scale of numbers, 0 to 1.
    pub fn scale(&self, share: f32) -> Paint {
        palette::scale(share, self.dark).into()
    }
}

/// A part of a plot that says something when pointed at.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// Upper left.
    pub min: Point,
    /// Lower right.
    pub max: Point,
    /// What it says.
    pub words: String,
    /// The gene that a click colours the map by.
    pub gene: Option<String>,
}

impl Spot {
    fn new(min: Point, max: Point, words: String) -> Self {
        Self { min, max, words, gene: None }
    }
}

/// A plot that was laid out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drawn {
    /// Its shapes. It may be larger than was asked for: then it is scrolled.
    pub scene: Scene,
    /// What can be pointed at, from the back to the front.
    pub spots: Vec<Spot>,
    /// The axes across and up of a plot in which a box can be drawn around cells.
    pub frame: Option<[Axis; 2]>,
}

/// Round numbers between `low` and `high`, about `wanted` of them.
///
/// Source: Heckbert, "Nice numbers for graph labels", Graphics Gems (1990).
pub fn ticks(low: f32, high: f32, wanted: usize) -> Vec<f32> {
    let span = f64::from(high) - f64::from(low);
    if !span.is_finite() || span <= 0.0 {
        return if low.is_finite() { vec![low] } else { Vec::new() };
    }
    let rough = span / wanted.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * power).find(|s| *s >= rough).unwrap_or(power);
    let first = (f64::from(low) / step).ceil() as i64;
    let last = (f64::from(high) / step + 1e-9).floor() as i64;
    (first..=last.min(first + 50)).map(|i| (i as f64 * step) as f32).collect()
}

/// A part of a line of numbers on the paper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    /// The value at `from`.
    pub low: f32,
    /// The value at `to`.
    pub high: f32,
    /// The place of the lowest value.
    pub from: f32,
    /// The place of the highest value.
    pub to: f32,
}

impl Axis {
    /// The value that stands at a place; the nearest end's for a place outside.
    pub fn value_at(&self, place: f32) -> f32 {
        let share = (place - self.from) / (self.to - self.from);
        self.low + share.clamp(0.0, 1.0) * (self.high - self.low)
    }

    /// Where a value stands.
    pub fn at(&self, value: f32) -> f32 {
        let span = self.high - self.low;
        let share = if span > 0.0 { (value - self.low) / span } else { 0.5 };
        self.from + share * (self.to - self.from)
    }
}

/// An axis at the left with its ticks and grid lines from `left` to `right`.
fn left_axis(scene: &mut Scene, style: &Style, axis: Axis, left: f32, right: f32, wanted: usize) {
    for tick in ticks(axis.low, axis.high, wanted) {
        let y = axis.at(tick);
        scene.line([left, y], [right, y], 1.0, style.grid);
        scene.text([left - 6.0, y], Across::Right, TEXT - 1.0, style.muted, number(tick));
    }
}

/// An axis at the bottom with its ticks; grid lines reach up to `top`.
fn bottom_axis(scene: &mut Scene, style: &Style, axis: Axis, top: f32, bottom: f32, wanted: usize) {
    for tick in ticks(axis.low, axis.high, wanted) {
        let x = axis.at(tick);
        scene.line([x, top], [x, bottom], 1.0, style.grid);
        scene.text([x, bottom + 11.0], Across::Centre, TEXT - 1.0, style.muted, number(tick));
    }
}

fn strong(scene: &mut Scene, place: Point, across: Across, paint: Paint, text: impl Into<String>) {
    scene.items.push(Item::Text(Text {
        place,
        text: text.into(),
        size: TEXT,
        paint,
        across,
        angle_degrees: 0.0,
        weight: Weight::Semibold,
    }));
}

fn width(text: &str) -> f32 {
    Weight::Regular.width(text, TEXT)
}

fn short(text: &str) -> String {
    elide(text, Weight::Regular, TEXT, WIDEST_NAME)
}

/// The widest of some names as they are shown.
fn widest<'a>(names: impl Iterator<Item = &'a str>) -> f32 {
    names.map(|name| width(&short(name))).fold(0.0, f32::max)
}

/// Whether names stand side by side in slots of this width, or must be turned.
fn must_turn<'a>(names: impl Iterator<Item = &'a str>, slot: f32) -> bool {
    widest(names) > slot - 6.0
}

/// The room that turned names need above or below their place.
fn turned_height<'a>(names: impl Iterator<Item = &'a str>) -> f32 {
    widest(names) * std::f32::consts::FRAC_1_SQRT_2 + 14.0
}

/// The room of a legend of groups.
pub fn legend_width(groups: &[Group]) -> f32 {
    widest(groups.iter().map(|g| g.name.as_str())) + 34.0
}

/// Swatches with names, downwards from `at`. Returns where it ends.
pub fn legend(scene: &mut Scene, style: &Style, at: Point, title: &str, groups: &[Group]) -> f32 {
    let [x, mut y] = at;
    if !title.is_empty() {
        strong(scene, [x, y], Across::Left, style.strong, elide(title, Weight::Semibold, TEXT, WIDEST_NAME));
        y += 20.0;
    }
    for group in groups {
        scene.items.push(Item::Disc {
            centre: [x + 5.0, y],
            radius: 5.0,
            fill: Some(group.paint),
            line: None,
        });
        scene.text([x + 16.0, y], Across::Left, TEXT, style.text, short(&group.name));
        y += 18.0;
    }
    y
}

/// A bar of the colours of a scale with its ends. Returns where it ends.
pub fn colour_bar(
    scene: &mut Scene,
    style: &Style,
    at: Point,
    title: &[&str],
    [low, high]: [f32; 2],
    paint: impl Fn(f32) -> Paint,
) -> f32 {
    const STEPS: usize = 40;
    const WIDTH: f32 = 104.0;
    let [x, mut y] = at;
    for line in title {
        scene.text([x, y], Across::Left, TEXT - 1.0, style.muted, *line);
        y += 15.0;
    }
    for i in 0..STEPS {
        let from = x + WIDTH * i as f32 / STEPS as f32;
        let to = x + WIDTH * (i + 1) as f32 / STEPS as f32;
        scene.fill([from, y], [to, y + 10.0], paint(i as f32 / (STEPS - 1) as f32));
    }
    y += 20.0;
    scene.text([x, y], Across::Left, TEXT - 1.0, style.text, number(low));
    scene.text([x + WIDTH, y], Across::Right, TEXT - 1.0, style.text, number(high));
    y + 20.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_on_an_axis_gives_back_its_value() {
        for axis in [
            Axis { low: -1.0, high: 3.0, from: 64.0, to: 500.0 },
            Axis { low: 0.0, high: 9.0, from: 300.0, to: 14.0 },
        ] {
            for value in [axis.low, 0.5, 2.75, axis.high] {
                assert!((axis.value_at(axis.at(value)) - value).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn ticks_are_round_and_within_the_range() {
        assert_eq!(ticks(0.0, 5.36, 4), [0.0, 2.0, 4.0]);
        assert_eq!(ticks(0.0, 1.0, 4), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(-3.0, 3.0, 6), [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(ticks(2.0, 2.0, 4), [2.0]);
        assert!(ticks(f32::NAN, 1.0, 4).is_empty());
    }
}
