//! Genes over groups of cells: dot plots and heatmaps.

use serde::{Deserialize, Serialize};

use super::super::super::super::figure::scene::{Across, Item, Line, Paint, Scene};
use super::super::super::super::map::{grouped, number};
use super::super::aggregate::{Group, Summary, z_scores};
use super::{Drawn, Spot, Style, TEXT, colour_bar, short, strong, turned_height, widest};

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// The mean, on one scale for all genes.
    #[default]
    Mean,
    /// The mean, from each gene's lowest to its highest group.
    PerGene,
    /// Distance from the gene's mean over groups, in standard deviations.
    ZScore,
}

impl Scaling {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Mean, Self::PerGene, Self::ZScore];

    /// Its name.
    pub fn text(self) -> &'static str {
        match self {
            Self::Mean => "Mean",
            Self::PerGene => "0 to 1 per gene",
            Self::ZScore => "z-score per gene",
        }
    }
}

/// The values that colours show, `[genes][groups]`, with their range.
pub fn scaled(summaries: &[Vec<Summary>], scaling: Scaling) -> (Vec<Vec<f32>>, [f32; 2]) {
    let means = summaries.iter().map(|gene| gene.iter().map(|s| s.mean).collect::<Vec<_>>());
    let range = |values: &[f32]| {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        [finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max)]
    };
    match scaling {
        Scaling::Mean => {
            let values: Vec<Vec<f32>> = means.collect();
            let [low, high] = range(&values.concat());
            // A scale of expression begins at zero unless values are centred.
            let low = if low > 0.0 { 0.0 } else { low };
            (values, if low < high { [low, high] } else { [0.0, 1.0] })
        }
        Scaling::PerGene => {
            let values = means.map(|gene| {
                let [low, high] = range(&gene);
                gene.iter().map(|v| if high > low { (v - low) / (high - low) } else { 0.0 * v }).collect()
            });
            (values.collect(), [0.0, 1.0])
        }
        Scaling::ZScore => {
            let values: Vec<Vec<f32>> = means.map(|gene| z_scores(&gene)).collect();
            let [low, high] = range(&values.concat());
            let most = low.abs().max(high.abs());
            let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
            (values, [-most, most])
        }
    }
}

/// The colour of a share of the range: viridis, or blue over grey to red for what lies on both sides of zero.
fn paint_of(style: &Style, scaling: Scaling, share: f32) -> Paint {
    if !share.is_finite() {
        return style.missing;
    }
    if scaling != Scaling::ZScore {
        return style.scale(share);
    }
    let middle = if style.dark { [66.0, 70.0, 76.0] } else { [243.0, 243.0, 243.0] };
    let (end, part) = if share < 0.5 {
        ([44.0, 123.0, 200.0], 1.0 - 2.0 * share)
    } else {
        ([214.0, 73.0, 55.0], 2.0 * share - 1.0)
    };
    let mix = |i: usize| (middle[i] + (end[i] - middle[i]) * part.clamp(0.0, 1.0)).round() as u8;
    Paint([mix(0), mix(1), mix(2), 255])
}

/// Where rows and columns stand, with their names already drawn.
struct Grid {
    left: f32,
    top: f32,
    cell: [f32; 2],
    legend_x: f32,
}

fn grid(scene: &mut Scene, style: &Style, size: [f32; 2], genes: &[String], groups: &[Group]) -> Grid {
    const LEGEND: f32 = 132.0;
    let left = widest(groups.iter().map(|g| g.name.as_str())) + 18.0;
    let top = turned_height(genes.iter().map(String::as_str)) + 6.0;
    let last = genes.last().map_or(0.0, |g| super::width(&short(g)) * std::f32::consts::FRAC_1_SQRT_2);
    let n = [genes.len().max(1) as f32, groups.len().max(1) as f32];
    let wide = (size[0] - left - LEGEND - 12.0) / n[0];
    let high = (size[1] - top - 12.0) / n[1];
    let cell = [wide.clamp(22.0, 44.0), high.clamp(20.0, 34.0)];
    let right = left + cell[0] * n[0];
    let legend_x = right.max(right - 0.5 * cell[0] + last) + 20.0;
    scene.size = [legend_x + LEGEND - 20.0, (top + cell[1] * n[1] + 12.0).max(top + 210.0)];
    for (i, gene) in genes.iter().enumerate() {
        let place = [left + cell[0] * (i as f32 + 0.5) + 2.0, top - 8.0];
        scene.turned_text(place, Across::Left, TEXT, style.text, -45.0, short(gene));
    }
    for (i, group) in groups.iter().enumerate() {
        let y = top + cell[1] * (i as f32 + 0.5);
        scene.text([left - 10.0, y], Across::Right, TEXT, style.text, short(&group.name));
    }
    Grid { left, top, cell, legend_x }
}

impl Grid {
    fn rect(&self, gene: usize, group: usize) -> ([f32; 2], [f32; 2]) {
        let min = [self.left + self.cell[0] * gene as f32, self.top + self.cell[1] * group as f32];
        (min, [min[0] + self.cell[0], min[1] + self.cell[1]])
    }
}

fn words(gene: &str, group: &Group, s: &Summary, scaling: Scaling, value: f32) -> String {
    let mut out = format!(
        "{gene} in {}, {} cells\nmean {}, above zero in {:.0} %",
        group.name,
        grouped(s.n as i64),
        number(s.mean),
        s.share * 100.0
    );
    if scaling != Scaling::Mean {
        out += &format!("\n{}: {}", scaling.text(), number(value));
    }
    out
}

fn scale_title(scaling: Scaling, unit: &str) -> Vec<&str> {
    match scaling {
        Scaling::Mean => vec!["Mean of", unit],
        Scaling::PerGene => vec!["Mean, from lowest", "to highest group"],
        Scaling::ZScore => vec!["z-score of means", "over groups"],
    }
}

/// A dot plot: groups down, genes across; colour is the mean, size the share of cells above zero.
pub fn dot_plot(
    style: &Style,
    size: [f32; 2],
    genes: &[String],
    unit: &str,
    summaries: &[Vec<Summary>],
    groups: &[Group],
    scaling: Scaling,
) -> Drawn {
    let mut scene = Scene::new(size);
    let mut spots = Vec::new();
    let grid = grid(&mut scene, style, size, genes, groups);
    let (values, [low, high]) = scaled(summaries, scaling);
    let most = 0.5 * grid.cell[0].min(grid.cell[1]) - 2.0;
    for i in 0..=groups.len() {
        let y = grid.top + grid.cell[1] * i as f32;
        scene.line([grid.left, y], [grid.left + grid.cell[0] * genes.len() as f32, y], 1.0, style.grid);
    }
    for (g, (gene, of_gene)) in genes.iter().zip(summaries).enumerate() {
        for (i, (group, s)) in groups.iter().zip(of_gene).enumerate() {
            let (min, max) = grid.rect(g, i);
            let value = values[g][i];
            if s.share > 0.0 {
                scene.items.push(Item::Disc {
                    centre: [0.5 * (min[0] + max[0]), 0.5 * (min[1] + max[1])],
                    // The area is in proportion to the share.
                    radius: (most * s.share.sqrt()).max(0.8),
                    fill: Some(paint_of(style, scaling, (value - low) / (high - low))),
                    line: Some(Line { width: 0.5, paint: style.line }),
                });
            }
            let mut spot = Spot::new(min, max, words(gene, group, s, scaling, value));
            spot.gene = Some(gene.clone());
            spots.push(spot);
        }
    }
    let x = grid.legend_x;
    let title = scale_title(scaling, unit);
    let mut y = colour_bar(&mut scene, style, [x, grid.top], &title, [low, high], |share| {
        paint_of(style, scaling, share)
    });
    y += 8.0;
    scene.text([x, y], Across::Left, TEXT - 1.0, style.muted, "Cells above zero");
    y += 18.0;
    for share in [0.25f32, 0.5, 0.75, 1.0] {
        scene.items.push(Item::Disc {
            centre: [x + most, y],
            radius: most * share.sqrt(),
            fill: Some(style.muted.with_opacity(0.55)),
            line: None,
        });
        scene.text(
            [x + 2.0 * most + 10.0, y],
            Across::Left,
            TEXT - 1.0,
            style.text,
            format!("{:.0} %", share * 100.0),
        );
        y += (2.0 * most).max(16.0) + 3.0;
    }
    scene.size[1] = scene.size[1].max(y);
    Drawn { scene, spots }
}

/// A heatmap of means: groups down, genes across.
pub fn heatmap(
    style: &Style,
    size: [f32; 2],
    genes: &[String],
    unit: &str,
    summaries: &[Vec<Summary>],
    groups: &[Group],
    scaling: Scaling,
) -> Drawn {
    let mut scene = Scene::new(size);
    let mut spots = Vec::new();
    let grid = grid(&mut scene, style, size, genes, groups);
    let (values, [low, high]) = scaled(summaries, scaling);
    for (g, (gene, of_gene)) in genes.iter().zip(summaries).enumerate() {
        for (i, (group, s)) in groups.iter().zip(of_gene).enumerate() {
            let (min, max) = grid.rect(g, i);
            let value = values[g][i];
            let inner = ([min[0] + 0.5, min[1] + 0.5], [max[0] - 0.5, max[1] - 0.5]);
            scene.fill(inner.0, inner.1, paint_of(style, scaling, (value - low) / (high - low)));
            let mut spot = Spot::new(min, max, words(gene, group, s, scaling, value));
            spot.gene = Some(gene.clone());
            spots.push(spot);
        }
    }
    // The groups' colours beside their rows, as on the map.
    for (i, group) in groups.iter().enumerate() {
        let (min, max) = grid.rect(0, i);
        scene.fill([grid.left - 6.0, min[1] + 0.5], [grid.left - 2.0, max[1] - 0.5], group.paint);
    }
    let title = scale_title(scaling, unit);
    colour_bar(&mut scene, style, [grid.legend_x, grid.top], &title, [low, high], |share| {
        paint_of(style, scaling, share)
    });
    if summaries.iter().flatten().any(|s| s.n == 0) {
        strong(&mut scene, [grid.legend_x, grid.top + 80.0], Across::Left, style.missing, "■ no cell");
    }
    Drawn { scene, spots }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(mean: f32) -> Summary {
        Summary { n: 3, mean, share: 0.5 }
    }

    #[test]
    fn each_scaling_has_the_range_it_names() {
        let summaries = vec![vec![summary(1.0), summary(3.0)], vec![summary(10.0), summary(20.0)]];
        let (values, range) = scaled(&summaries, Scaling::Mean);
        assert_eq!((values[1][1], range), (20.0, [0.0, 20.0]));
        let (values, range) = scaled(&summaries, Scaling::PerGene);
        assert_eq!((values, range), (vec![vec![0.0, 1.0], vec![0.0, 1.0]], [0.0, 1.0]));
        let (values, range) = scaled(&summaries, Scaling::ZScore);
        assert_eq!((values, range), (vec![vec![-1.0, 1.0], vec![-1.0, 1.0]], [-1.0, 1.0]));
    }

    #[test]
    fn a_dot_plot_names_every_gene_and_group_and_grows_where_there_is_no_room() {
        use super::super::super::super::super::theme::LIGHT;
        let style = Style::of(&LIGHT);
        let genes: Vec<String> = (0..30).map(|i| format!("GENE{i}")).collect();
        let groups: Vec<Group> =
            (0..40).map(|i| Group { name: format!("type {i}"), paint: style.bar, n: 3 }).collect();
        let summaries = vec![vec![summary(1.0); 40]; 30];
        for draw in [dot_plot, heatmap] {
            let drawn = draw(&style, [400.0, 300.0], &genes, "log", &summaries, &groups, Scaling::Mean);
            assert!(drawn.scene.size[0] > 660.0 && drawn.scene.size[1] > 800.0);
            let words = drawn.scene.words();
            assert!(genes.iter().all(|g| words.contains(&g.as_str())));
            assert!(groups.iter().all(|g| words.contains(&g.name.as_str())));
            assert_eq!(drawn.spots.len(), 1200);
            assert!(drawn.spots[0].words.starts_with("GENE0 in type 0, 3 cells"));
        }
    }
}
