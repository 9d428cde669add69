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
#[derive(Debug, Clone, Copy)]
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

/// What a plot of genes over groups shows.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// The genes.
    pub genes: &'a [String],
    /// What their values are.
    pub unit: &'a str,
    /// Means and shares, `[genes][groups]`.
    pub summaries: &'a [Vec<Summary>],
    /// The groups.
    pub groups: &'a [Group],
    /// What colours stand for.
    pub scaling: Scaling,
}

/// A plot of genes over groups while it is drawn.
struct Sheet<'a> {
    style: &'a Style,
    data: &'a Means<'a>,
    scene: Scene,
    spots: Vec<Spot>,
    grid: Grid,
    /// The values of colours, `[genes][groups]`, and their range.
    values: Vec<Vec<f32>>,
    range: [f32; 2],
}

impl<'a> Sheet<'a> {
    fn new(style: &'a Style, size: [f32; 2], data: &'a Means<'a>) -> Self {
        let mut scene = Scene::new(size);
        let grid = grid(&mut scene, style, size, data.genes, data.groups);
        let (values, range) = scaled(data.summaries, data.scaling);
        Self { style, data, scene, spots: Vec::new(), grid, values, range }
    }

    /// Draws one mark for each gene and group, in the colour of its value, and says what it stands for.
    fn marks(&mut self, mark: impl Fn(&mut Scene, [f32; 2], [f32; 2], &Summary, Paint)) {
        let Means { genes, summaries, groups, scaling, .. } = *self.data;
        let [low, high] = self.range;
        for (g, ((gene, of_gene), values)) in genes.iter().zip(summaries).zip(&self.values).enumerate() {
            for (i, ((group, summary), value)) in groups.iter().zip(of_gene).zip(values).enumerate() {
                let (min, max) = self.grid.rect(g, i);
                let paint = paint_of(self.style, scaling, (value - low) / (high - low));
                mark(&mut self.scene, min, max, summary, paint);
                let mut spot = Spot::new(min, max, words(gene, group, summary, scaling, *value));
                spot.gene = Some(gene.clone());
                self.spots.push(spot);
            }
        }
    }

    /// Draws the scale of the colours and returns where it ends.
    fn legend(&mut self) -> f32 {
        let scaling = self.data.scaling;
        let title = scale_title(scaling, self.data.unit);
        let at = [self.grid.legend_x, self.grid.top];
        colour_bar(&mut self.scene, self.style, at, &title, self.range, |share| {
            paint_of(self.style, scaling, share)
        })
    }

    fn done(self) -> Drawn {
        Drawn { scene: self.scene, spots: self.spots, frame: None }
    }
}

/// A dot plot: groups down, genes across; colour is the mean, size the share of cells above zero.
pub fn dot_plot(style: &Style, size: [f32; 2], data: &Means<'_>) -> Drawn {
    let mut sheet = Sheet::new(style, size, data);
    let Grid { left, top, cell, legend_x } = sheet.grid;
    let most = 0.5 * cell[0].min(cell[1]) - 2.0;
    for i in 0..=data.groups.len() {
        let y = top + cell[1] * i as f32;
        sheet.scene.line([left, y], [left + cell[0] * data.genes.len() as f32, y], 1.0, style.grid);
    }
    sheet.marks(|scene, min, max, summary, paint| {
        if summary.share > 0.0 {
            scene.items.push(Item::Disc {
                centre: [0.5 * (min[0] + max[0]), 0.5 * (min[1] + max[1])],
                // The area is in proportion to the share.
                radius: (most * summary.share.sqrt()).max(0.8),
                fill: Some(paint),
                line: Some(Line { width: 0.5, paint: style.line }),
            });
        }
    });
    let mut y = sheet.legend() + 8.0;
    let scene = &mut sheet.scene;
    scene.text([legend_x, y], Across::Left, TEXT - 1.0, style.muted, "Cells above zero");
    y += 18.0;
    for share in [0.25f32, 0.5, 0.75, 1.0] {
        scene.items.push(Item::Disc {
            centre: [legend_x + most, y],
            radius: most * share.sqrt(),
            fill: Some(style.muted.with_opacity(0.55)),
            line: None,
        });
        let place = [legend_x + 2.0 * most + 10.0, y];
        scene.text(place, Across::Left, TEXT - 1.0, style.text, format!("{:.0} %", share * 100.0));
        y += (2.0 * most).max(16.0) + 3.0;
    }
    scene.size[1] = scene.size[1].max(y);
    sheet.done()
}

/// A heatmap of means: groups down, genes across.
pub fn heatmap(style: &Style, size: [f32; 2], data: &Means<'_>) -> Drawn {
    let mut sheet = Sheet::new(style, size, data);
    sheet.marks(|scene, min, max, _, paint| {
        scene.fill([min[0] + 0.5, min[1] + 0.5], [max[0] - 0.5, max[1] - 0.5], paint);
    });
    // The groups' colours beside their rows, as on the map.
    let left = sheet.grid.left;
    for (i, group) in data.groups.iter().enumerate() {
        let (min, max) = sheet.grid.rect(0, i);
        sheet.scene.fill([left - 6.0, min[1] + 0.5], [left - 2.0, max[1] - 0.5], group.paint);
    }
    sheet.legend();
    if data.summaries.iter().flatten().any(|s| s.n == 0) {
        let place = [sheet.grid.legend_x, sheet.grid.top + 80.0];
        strong(&mut sheet.scene, place, Across::Left, style.missing, "■ no cell");
    }
    sheet.done()
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
        let data = Means {
            genes: &genes,
            unit: "log",
            summaries: &summaries,
            groups: &groups,
            scaling: Scaling::Mean,
        };
        for draw in [dot_plot, heatmap] {
            let drawn = draw(&style, [400.0, 300.0], &data);
            assert!(drawn.scene.size[0] > 660.0 && drawn.scene.size[1] > 800.0);
            let words = drawn.scene.words();
            assert!(genes.iter().all(|g| words.contains(&g.as_str())));
            assert!(groups.iter().all(|g| words.contains(&g.name.as_str())));
            assert_eq!(drawn.spots.len(), 1200);
            assert!(drawn.spots[0].words.starts_with("GENE0 in type 0, 3 cells"));
        }
    }
}
