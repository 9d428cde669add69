//! How values are spread: histograms and violins.

use super::super::super::super::figure::scene::{Across, Item, Line, Paint, Scene};
use super::super::super::super::map::{grouped, number};
use super::super::aggregate::{Group, Histogram, Spread};
use super::{
    Axis, Drawn, Spot, Style, TEXT, bottom_axis, left_axis, legend, legend_width, must_turn, short, strong,
    turned_height, width,
};

/// A histogram; with several groups their bars stand on each other.
pub fn histogram(
    style: &Style,
    size: [f32; 2],
    title: &str,
    unit: &str,
    data: &Histogram,
    groups: &[Group],
    log: bool,
) -> Drawn {
    let many = groups.len() > 1;
    let (left, top, bottom) = (64.0, 14.0, 54.0);
    let right = if many { legend_width(groups) + 16.0 } else { 20.0 };
    let size = [
        size[0].max(left + right + 160.0),
        size[1].max(200.0).max(if many { 40.0 + 18.0 * groups.len() as f32 } else { 0.0 }),
    ];
    let mut scene = Scene::new(size);
    let mut spots = Vec::new();
    let n_bins = data.edges.len().saturating_sub(1);
    let totals: Vec<usize> = (0..n_bins).map(|b| data.counts.iter().map(|g| g[b]).sum()).collect();
    let most = totals.iter().copied().max().unwrap_or(0).max(1) as f32;
    // A logarithmic axis begins at nothing, so that a bar of one cell can be seen: log10(1 + n).
    let height = |n: usize| if log { (1.0 + n as f32).log10() } else { n as f32 };
    let frame_bottom = size[1] - bottom;
    let y = Axis { low: 0.0, high: height(most as usize) * 1.04, from: frame_bottom, to: top };
    let (low, high) = (data.edges.first().copied().unwrap_or(0.0), data.edges.last().copied().unwrap_or(1.0));
    let x = Axis { low, high, from: left, to: size[0] - right };
    if log {
        let mut power = 1usize;
        while power as f32 <= most {
            let at = y.at(height(power));
            scene.line([left, at], [x.to, at], 1.0, style.grid);
            scene.text([left - 6.0, at], Across::Right, TEXT - 1.0, style.muted, grouped(power as i64));
            power *= 10;
        }
    } else {
        left_axis(&mut scene, style, y, left, x.to, 5);
    }
    bottom_axis(&mut scene, style, x, frame_bottom, frame_bottom + 3.0, 6);
    for b in 0..n_bins {
        let (from, to) = (x.at(data.edges[b]), x.at(data.edges[b + 1]));
        // A hair of ground between bars, as far as there is room.
        let gap = if to - from > 4.0 { 0.5 } else { 0.0 };
        let mut below = 0usize;
        for (group, counts) in groups.iter().zip(&data.counts) {
            let n = counts[b];
            if n > 0 {
                let paint = if many { group.paint } else { style.bar };
                let (low, high) = (y.at(height(below)), y.at(height(below + n)));
                scene.fill([from + gap, high], [to - gap, low], paint);
            }
            below += n;
        }
        let mut words = format!(
            "{} to {}: {} cells",
            number(data.edges[b]),
            number(data.edges[b + 1]),
            grouped(totals[b] as i64)
        );
        if many {
            for (group, counts) in groups.iter().zip(&data.counts).filter(|(_, c)| c[b] > 0) {
                words += &format!("\n{}: {}", group.name, grouped(counts[b] as i64));
            }
        }
        spots.push(Spot::new([from, top], [to, frame_bottom], words));
    }
    scene.line([left, frame_bottom], [x.to, frame_bottom], 1.0, style.line);
    let median = data.all.quartiles[2];
    if median.is_finite() && data.all.bandwidth > 0.0 {
        let at = x.at(median);
        scene.line([at, top], [at, frame_bottom], 1.5, style.accent);
        let (place, across) =
            if at > x.to - 90.0 { (at - 6.0, Across::Right) } else { (at + 6.0, Across::Left) };
        scene.text(
            [place, top + 6.0],
            across,
            TEXT - 1.0,
            style.accent,
            format!("median {}", number(median)),
        );
    }
    let label = if unit.is_empty() { title.to_owned() } else { format!("{title}, {unit}") };
    scene.text([0.5 * (x.from + x.to), frame_bottom + 34.0], Across::Centre, TEXT, style.text, label);
    scene.turned_text([14.0, 0.5 * (y.from + y.to)], Across::Centre, TEXT, style.text, -90.0, "cells");
    if many {
        legend(&mut scene, style, [x.to + 20.0, top + 8.0], "", groups);
    }
    Drawn { scene, spots, frame: None }
}

/// Violins of several genes, one row a gene, one slot a group.
pub fn violin(
    style: &Style,
    size: [f32; 2],
    genes: &[String],
    unit: &str,
    spreads: &[Vec<Spread>],
    groups: &[Group],
) -> Drawn {
    const NARROWEST: f32 = 30.0;
    let (left, right, top) = (48.0, 16.0, 8.0);
    let n_groups = groups.len().max(1) as f32;
    let slot = ((size[0] - left - right) / n_groups).clamp(NARROWEST, 140.0);
    let turn = must_turn(groups.iter().map(|g| g.name.as_str()), slot);
    let names = || groups.iter().map(|g| g.name.as_str());
    let bottom = if turn { turned_height(names()) + 6.0 } else { 28.0 };
    let row = ((size[1] - top - bottom - 18.0) / genes.len().max(1) as f32).clamp(80.0, 240.0);
    // Turned names reach to the left of their slot.
    let (left, slot) = if turn {
        let reach = |(i, g): (usize, &Group)| {
            width(&short(&g.name)) * std::f32::consts::FRAC_1_SQRT_2 - slot * (i as f32 + 0.5) + 8.0
        };
        let left = groups.iter().enumerate().map(reach).fold(left, f32::max);
        (left, ((size[0] - left - right) / n_groups).clamp(NARROWEST, slot))
    } else {
        (left, slot)
    };
    let mut scene =
        Scene::new([left + slot * n_groups + right, top + row * genes.len() as f32 + bottom + 18.0]);
    let mut spots = Vec::new();
    for (g, (gene, of_gene)) in genes.iter().zip(spreads).enumerate() {
        let row_top = top + row * g as f32;
        strong(&mut scene, [left, row_top + 10.0], Across::Left, style.strong, gene.as_str());
        let high = of_gene.iter().map(|s| s.quartiles[4]).filter(|v| v.is_finite()).fold(0.0, f32::max);
        let low = of_gene.iter().map(|s| s.quartiles[0]).filter(|v| v.is_finite()).fold(0.0, f32::min);
        let y = Axis {
            low,
            high: if high > low { high } else { low + 1.0 },
            from: row_top + row - 10.0,
            to: row_top + 26.0,
        };
        left_axis(&mut scene, style, y, left, left + slot * n_groups, 3);
        for (i, (group, s)) in groups.iter().zip(of_gene).enumerate() {
            let middle = left + slot * (i as f32 + 0.5);
            violin_of(&mut scene, style, y, middle, 0.42 * slot.min(90.0), s, group.paint);
            let words = format!(
                "{gene} in {}, {} cells\nmedian {}, quartiles {} to {}\nmean {}, largest {}\nbandwidth {}",
                group.name,
                grouped(s.n as i64),
                number(s.quartiles[2]),
                number(s.quartiles[1]),
                number(s.quartiles[3]),
                number(s.mean),
                number(s.quartiles[4]),
                number(s.bandwidth),
            );
            let mut spot = Spot::new(
                [middle - 0.5 * slot, row_top + 16.0],
                [middle + 0.5 * slot, row_top + row - 4.0],
                words,
            );
            spot.gene = Some(gene.clone());
            spots.push(spot);
        }
        scene.line([left, y.from], [left + slot * n_groups, y.from], 1.0, style.line);
    }
    let names_top = top + row * genes.len() as f32 - 2.0;
    for (i, group) in groups.iter().enumerate() {
        let middle = left + slot * (i as f32 + 0.5);
        if turn {
            let place = [middle + 3.0, names_top + 8.0];
            scene.turned_text(place, Across::Right, TEXT, style.text, -45.0, short(&group.name));
        } else {
            scene.text([middle, names_top + 10.0], Across::Centre, TEXT, style.text, short(&group.name));
        }
    }
    let foot = scene.size[1] - 10.0;
    let text = format!("{unit}; box: quartiles, dot: median; density with Scott's bandwidth");
    scene.text([left.min(48.0), foot], Across::Left, TEXT - 1.0, style.muted, text.trim_start_matches("; "));
    Drawn { scene, spots, frame: None }
}

fn violin_of(scene: &mut Scene, style: &Style, y: Axis, middle: f32, half: f32, s: &Spread, paint: Paint) {
    if s.n == 0 {
        scene.text([middle, y.from - 6.0], Across::Centre, TEXT - 1.0, style.muted, "–");
        return;
    }
    let peak = s.density.iter().map(|d| d[1]).fold(0.0, f32::max);
    if peak > 0.0 {
        let side = |sign: f32| -> Vec<[f32; 2]> {
            s.density.iter().map(|[v, d]| [middle + sign * half * d / peak, y.at(*v)]).collect()
        };
        let (one, other) = (side(-1.0), side(1.0));
        let line = Line { width: 1.0, paint };
        scene.items.push(Item::Band {
            one: one.clone(),
            other: other.clone(),
            fill: paint.with_opacity(if style.dark { 0.55 } else { 0.45 }),
        });
        scene.items.push(Item::Path { points: one, line });
        scene.items.push(Item::Path { points: other, line });
    } else {
        // All values alike: a line where they are.
        let at = y.at(s.quartiles[2]);
        scene.line([middle - half * 0.8, at], [middle + half * 0.8, at], 2.0, paint);
    }
    let [_, q1, median, q3, _] = s.quartiles;
    if q3 > q1 {
        let (a, b) = (y.at(q3), y.at(q1));
        scene.fill([middle - 2.5, a], [middle + 2.5, b], style.text);
    }
    scene.items.push(Item::Disc {
        centre: [middle, y.at(median)],
        radius: 2.8,
        fill: Some(style.ground),
        line: Some(Line { width: 1.2, paint: style.text }),
    });
}
