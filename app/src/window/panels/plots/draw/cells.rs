//! Every cell as a point, and groups divided by another column.

use std::sync::Arc;

use super::super::super::super::figure::scene::{Across, Item, Paint, Raster, Scene};
use super::super::super::super::map::{grouped, number};
use super::super::aggregate::{Group, Groups, Pairs};
use super::{
    Axis, Drawn, Spot, Style, TEXT, bottom_axis, left_axis, legend, legend_width, short, strong, widest,
};

/// Two values of every cell against each other.
pub struct Scatter<'a> {
    /// The cells, their ranges and correlation.
    pub pairs: &'a Pairs,
    /// Cells that are drawn behind, in grey.
    pub behind: &'a Pairs,
    /// Values across, of all cells.
    pub x: &'a [f32],
    /// Values up, of all cells.
    pub y: &'a [f32],
    /// What is across and up.
    pub names: [&'a str; 2],
    /// The colours.
    pub groups: &'a Groups,
    /// Most points that are drawn one by one; more become pixels.
    pub max_points: usize,
    /// Pixels a point of the pixels.
    pub pixels_per_point: f32,
}

/// Draws a scatter plot.
pub fn scatter(style: &Style, size: [f32; 2], data: &Scatter<'_>) -> Drawn {
    let groups = &data.groups.groups;
    let many = groups.len() > 1;
    let (left, top, bottom) = (64.0, 14.0, 64.0);
    let right = if many { legend_width(groups) + 16.0 } else { 20.0 };
    let size = [
        size[0].max(left + right + 180.0),
        size[1].max(240.0).max(if many { 40.0 + 18.0 * groups.len() as f32 } else { 0.0 }),
    ];
    let mut scene = Scene::new(size);
    let frame_bottom = size[1] - bottom;
    let pad = |[low, high]: [f32; 2]| {
        let room = 0.03 * (high - low).max(f32::MIN_POSITIVE);
        if low < high { [low - room, high + room] } else { [low - 0.5, high + 0.5] }
    };
    // The frame spans all cells drawn, so that it stays where it is while cells are selected in it.
    let both = |a: [f32; 2], b: [f32; 2]| [a[0].min(b[0]), a[1].max(b[1])];
    let [x_low, x_high] = pad(both(data.pairs.x, data.behind.x));
    let [y_low, y_high] = pad(both(data.pairs.y, data.behind.y));
    let x = Axis { low: x_low, high: x_high, from: left, to: size[0] - right };
    let y = Axis { low: y_low, high: y_high, from: frame_bottom, to: top };
    left_axis(&mut scene, style, y, left, x.to, 5);
    bottom_axis(&mut scene, style, x, top, frame_bottom, 6);
    scene.line([left, frame_bottom], [x.to, frame_bottom], 1.0, style.line);
    scene.line([left, top], [left, frame_bottom], 1.0, style.line);
    let place = |cell: u32| {
        let cell = cell as usize;
        (data.x.get(cell).zip(data.y.get(cell))).map(|(vx, vy)| [x.at(*vx), y.at(*vy)])
    };
    let paint = |cell: u32| {
        let group = data.groups.of_cell.get(cell as usize).copied().unwrap_or_default();
        let of_group = groups.get(group as usize).map_or(style.bar, |g| g.paint);
        if many { of_group } else { style.bar }
    };
    // The same shuffled order every time, so that no group covers the others by its place in the file.
    let shuffled = |cells: &[u32]| {
        let mut order = cells.to_vec();
        order.sort_unstable_by_key(|cell| cell.wrapping_mul(0x9E37_79B9).rotate_left(13));
        order
    };
    let order: Vec<(u32, Paint)> = shuffled(&data.behind.cells)
        .into_iter()
        .map(|cell| (cell, style.missing))
        .chain(shuffled(&data.pairs.cells).into_iter().map(|cell| (cell, paint(cell))))
        .collect();
    let n = order.len();
    let radius = if n > 5_000 { 1.2 } else { 2.2 };
    let opacity = if n > 2_000 { 0.6 } else { 0.8 };
    if n <= data.max_points {
        for (cell, paint) in order {
            if let Some(centre) = place(cell) {
                let fill = Some(paint.with_opacity(opacity));
                scene.items.push(Item::Disc { centre, radius, fill, line: None });
            }
        }
    } else {
        let scale = data.pixels_per_point;
        let points = order.iter().filter_map(|(cell, paint)| {
            place(*cell).map(|[px, py]| ([(px - left) * scale, (py - top) * scale], *paint))
        });
        let raster = discs(
            [((x.to - left) * scale) as usize, ((frame_bottom - top) * scale) as usize],
            points,
            radius * scale,
            opacity,
        );
        scene.items.push(Item::Image {
            min: [left, top],
            max: [x.to, frame_bottom],
            raster: Arc::new(raster),
        });
    }
    let middle = 0.5 * (x.from + x.to);
    scene.text([middle, frame_bottom + 30.0], Across::Centre, TEXT, style.text, data.names[0]);
    scene.turned_text([14.0, 0.5 * (y.from + y.to)], Across::Centre, TEXT, style.text, -90.0, data.names[1]);
    let correlation = if data.pairs.correlation.is_finite() {
        format!("Pearson's r {:.3}", data.pairs.correlation)
    } else {
        "no correlation: a value does not vary".to_owned()
    };
    let foot = format!("{correlation}; both above zero in {} cells", grouped(data.pairs.both as i64));
    scene.text([middle, frame_bottom + 50.0], Across::Centre, TEXT - 1.0, style.muted, foot);
    if many {
        legend(&mut scene, style, [x.to + 20.0, top + 8.0], "", groups);
    }
    Drawn { scene, spots: Vec::new(), frame: Some([x, y]) }
}

/// Points as pixels: discs with soft edges, later ones over earlier ones.
pub fn discs(
    [width, height]: [usize; 2],
    points: impl Iterator<Item = ([f32; 2], Paint)>,
    radius: f32,
    opacity: f32,
) -> Raster {
    let (width, height) = (width.max(1), height.max(1));
    // Premultiplied while blending.
    let mut canvas = vec![[0.0f32; 4]; width * height];
    for ([cx, cy], Paint([r, g, b, a])) in points {
        let reach = radius + 0.5;
        if cx < -reach || cy < -reach || cx > width as f32 + reach || cy > height as f32 + reach {
            continue;
        }
        let columns =
            ((cx - reach).floor().max(0.0) as usize)..((cx + reach).ceil().max(0.0) as usize).min(width);
        for py in
            ((cy - reach).floor().max(0.0) as usize)..((cy + reach).ceil().max(0.0) as usize).min(height)
        {
            for px in columns.clone() {
                let distance = (px as f32 + 0.5 - cx).hypot(py as f32 + 0.5 - cy);
                let cover = (radius + 0.5 - distance).clamp(0.0, 1.0) * opacity * f32::from(a) / 255.0;
                if cover > 0.0 {
                    let pixel = &mut canvas[py * width + px];
                    for (below, above) in pixel.iter_mut().zip([r, g, b, 255]) {
                        *below = *below * (1.0 - cover) + f32::from(above) * cover;
                    }
                }
            }
        }
    }
    let pixels = canvas
        .into_iter()
        .map(|[r, g, b, a]| {
            let channel = |v: f32| if a > 0.0 { (v * 255.0 / a).round().clamp(0.0, 255.0) as u8 } else { 0 };
            [channel(r), channel(g), channel(b), a.round().clamp(0.0, 255.0) as u8]
        })
        .collect();
    Raster { width, height, pixels }
}

/// Each group as a bar that is divided by another column.
pub fn composition(
    style: &Style,
    size: [f32; 2],
    counts: &[Vec<usize>],
    rows: &[Group],
    parts: &[Group],
    part_title: &str,
    as_counts: bool,
) -> Drawn {
    let left = widest(rows.iter().map(|g| g.name.as_str())) + 18.0;
    let right = legend_width(parts) + 76.0;
    let (top, bottom) = (10.0, 44.0);
    let bar = ((size[1] - top - bottom) / rows.len().max(1) as f32).clamp(20.0, 40.0);
    let size = [
        size[0].max(left + right + 160.0),
        (top + bar * rows.len() as f32 + bottom).max(40.0 + 18.0 * parts.len() as f32),
    ];
    let mut scene = Scene::new(size);
    let mut spots = Vec::new();
    let frame_bottom = top + bar * rows.len() as f32;
    let most = rows.iter().map(|g| g.n).max().unwrap_or(1).max(1) as f32;
    let high = if as_counts { most } else { 100.0 };
    let x = Axis { low: 0.0, high, from: left, to: size[0] - right };
    bottom_axis(&mut scene, style, x, top, frame_bottom, 5);
    for (i, (row, of_row)) in rows.iter().zip(counts).enumerate() {
        let (y0, y1) = (top + bar * i as f32 + 2.0, top + bar * (i + 1) as f32 - 2.0);
        let middle = 0.5 * (y0 + y1);
        scene.text([left - 10.0, middle], Across::Right, TEXT, style.text, short(&row.name));
        let total = of_row.iter().sum::<usize>();
        let mut below = 0usize;
        for (part, n) in parts.iter().zip(of_row) {
            if *n == 0 {
                continue;
            }
            let value = |n: usize| if as_counts { n as f32 } else { 100.0 * n as f32 / total.max(1) as f32 };
            let (from, to) = (x.at(value(below)), x.at(value(below + n)));
            scene.fill([from, y0], [to, y1], part.paint);
            let words = format!(
                "{} in {}: {} of {} cells, {:.1} %",
                part.name,
                row.name,
                grouped(*n as i64),
                grouped(total as i64),
                100.0 * *n as f32 / total.max(1) as f32
            );
            spots.push(Spot::new([from, y0], [to, y1], words));
            below += n;
        }
        let at = if as_counts { x.at(total as f32) } else { x.to };
        scene.text([at + 6.0, middle], Across::Left, TEXT - 1.0, style.muted, grouped(total as i64));
    }
    let label = if as_counts { "cells" } else { "% of the group's cells" };
    scene.text([0.5 * (x.from + x.to), frame_bottom + 30.0], Across::Centre, TEXT, style.text, label);
    legend(&mut scene, style, [x.to + 68.0, top + 8.0], part_title, parts);
    if rows.is_empty() {
        strong(&mut scene, [left, top], Across::Left, style.muted, number(0.0));
    }
    Drawn { scene, spots, frame: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_leaves_a_disc_of_its_colour() {
        let red = Paint([255, 0, 0, 255]);
        let raster = discs([20, 20], [([10.0, 10.0], red), ([500.0, 3.0], red)].into_iter(), 3.0, 1.0);
        assert_eq!(raster.pixels[10 * 20 + 10], [255, 0, 0, 255]);
        assert_eq!(raster.pixels[0], [0; 4]);
        let covered: f32 = raster.pixels.iter().map(|p| f32::from(p[3]) / 255.0).sum();
        assert!((covered - std::f32::consts::PI * 9.0).abs() < 2.0, "{covered}");
    }
}
