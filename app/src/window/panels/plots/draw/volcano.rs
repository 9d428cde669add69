//! Compared genes: how much they differ against how sure that is.

use engine::analysis::GeneComparison;

use super::super::super::super::figure::scene::{Across, Item, Scene};
use super::{Axis, Drawn, Style, TEXT, bottom_axis, left_axis, width};

/// Adjusted p below which a gene is drawn as different.
const SURE: f64 = 0.05;
/// −log10 of the smallest p that is told apart; below it numbers of the file end.
const MOST_SURE: f32 = 310.0;
/// Genes with a name, on each side.
const NAMED: usize = 8;

/// Where a gene stands: log2 fold change and −log10 of the adjusted p; `None` where they are no numbers.
fn values(g: &GeneComparison) -> Option<[f32; 2]> {
    let sure = (-g.p_adjusted.log10()) as f32;
    (g.log_fold_change.is_finite() && !sure.is_nan())
        .then(|| [g.log_fold_change as f32, sure.clamp(0.0, MOST_SURE)])
}

/// The axes of a plot of this size. Genes with a mean of zero on one side have folds beyond all others: the axis ends
/// at the largest fold of the genes that occur on both sides, and those stand at its ends.
fn axes(size: [f32; 2], genes: &[GeneComparison]) -> [Axis; 2] {
    let on_both = |g: &&GeneComparison| g.mean_a > 0.0 && g.mean_b > 0.0;
    let fold = |g: &GeneComparison| values(g).map_or(0.0, |v| v[0].abs());
    let most = genes.iter().filter(on_both).map(fold).fold(0.0, f32::max).clamp(1.0, 40.0) * 1.08;
    let sure = genes.iter().filter_map(values).map(|v| v[1]).fold(2.0, f32::max) * 1.06;
    [
        Axis { low: -most, high: most, from: 60.0, to: size[0] - 20.0 },
        Axis { low: 0.0, high: sure, from: size[1] - 54.0, to: 12.0 },
    ]
}

fn place([x, y]: [Axis; 2], g: &GeneComparison) -> Option<[f32; 2]> {
    let [fold, sure] = values(g)?;
    Some([x.at(fold.clamp(x.low, x.high)), y.at(sure)])
}

/// The gene nearest to a place, within reach of the pointer.
pub fn volcano_gene(size: [f32; 2], genes: &[GeneComparison], at: [f32; 2]) -> Option<&GeneComparison> {
    const REACH: f32 = 7.0;
    let axes = axes(size, genes);
    genes
        .iter()
        .filter_map(|g| place(axes, g).map(|p| ((p[0] - at[0]).hypot(p[1] - at[1]), g)))
        .filter(|(distance, _)| *distance < REACH)
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, g)| g)
}

/// A volcano plot.
pub fn volcano(style: &Style, size: [f32; 2], genes: &[GeneComparison]) -> Drawn {
    let mut scene = Scene::new(size);
    let [x, y] = axes(size, genes);
    left_axis(&mut scene, style, y, x.from, x.to, 5);
    bottom_axis(&mut scene, style, x, y.to, y.from, 7);
    scene.line([x.from, y.from], [x.to, y.from], 1.0, style.line);
    let zero = x.at(0.0);
    scene.line([zero, y.to], [zero, y.from], 1.0, style.line);
    let limit = y.at((-SURE.log10()) as f32);
    scene.line([x.from, limit], [x.to, limit], 1.0, style.muted.with_opacity(0.6));
    scene.text([x.from + 4.0, limit - 8.0], Across::Left, TEXT - 1.0, style.muted, "adjusted p 0.05");
    let is_sure = |g: &GeneComparison| g.p_adjusted < SURE;
    // The many that do not differ lie behind, in few places: one dot a pixel is enough.
    let mut taken = std::collections::BTreeSet::new();
    for g in genes.iter().filter(|g| !is_sure(g)) {
        if let Some(p) = place([x, y], g)
            && taken.insert([(p[0] * 1.5) as i32, (p[1] * 1.5) as i32])
        {
            let fill = Some(style.muted.with_opacity(0.35));
            scene.items.push(Item::Disc { centre: p, radius: 1.8, fill, line: None });
        }
    }
    let warm = super::super::super::super::figure::scene::Paint([214, 94, 60, 255]);
    let mut taken = std::collections::BTreeSet::new();
    for g in genes.iter().filter(|g| is_sure(g)) {
        if let Some(p) = place([x, y], g)
            && taken.insert([(p[0] * 1.5) as i32, (p[1] * 1.5) as i32])
        {
            let fill = Some(if g.log_fold_change > 0.0 { warm } else { style.accent }.with_opacity(0.8));
            scene.items.push(Item::Disc { centre: p, radius: 2.4, fill, line: None });
        }
    }
    // Names of the genes of highest and lowest score, where they do not cover each other.
    let named = |g: &&GeneComparison| is_sure(g);
    let up = genes.iter().filter(named).filter(|g| g.score > 0.0).take(NAMED);
    let down = genes.iter().rev().filter(named).filter(|g| g.score < 0.0).take(NAMED);
    let mut boxes: Vec<[f32; 4]> = Vec::new();
    for g in up.chain(down) {
        let Some(p) = place([x, y], g) else { continue };
        let w = width(&g.symbol);
        let right = p[0] + 6.0 + w < x.to;
        let (across, left) = if right { (Across::Left, p[0] + 6.0) } else { (Across::Right, p[0] - 6.0 - w) };
        let rect = [left, p[1] - 7.0, left + w, p[1] + 7.0];
        let free = |o: &[f32; 4]| rect[2] < o[0] || rect[0] > o[2] || rect[3] < o[1] || rect[1] > o[3];
        if boxes.iter().all(free) {
            boxes.push(rect);
            let at = if right { p[0] + 6.0 } else { p[0] - 6.0 };
            scene.text([at, p[1]], across, TEXT, style.text, g.symbol.as_str());
        }
    }
    scene.text(
        [0.5 * (x.from + x.to), y.from + 32.0],
        Across::Centre,
        TEXT,
        style.text,
        "log2 fold change, A over B",
    );
    scene.turned_text(
        [14.0, 0.5 * (y.from + y.to)],
        Across::Centre,
        TEXT,
        style.text,
        -90.0,
        "−log10 adjusted p",
    );
    Drawn { scene, spots: Vec::new(), frame: None }
}

#[cfg(test)]
mod tests {
    use super::super::super::super::super::theme::LIGHT;
    use super::*;

    #[test]
    fn the_genes_that_differ_most_are_named_and_found_under_the_pointer() {
        let gene = |symbol: &str, score: f64, fold: f64, p: f64| GeneComparison {
            gene: 0,
            symbol: symbol.into(),
            score,
            log_fold_change: fold,
            p_value: p,
            p_adjusted: p,
            share_a: 0.5,
            share_b: 0.5,
            mean_a: 1.0,
            mean_b: 1.0,
        };
        let genes = [
            gene("UP", 9.0, 3.0, 0.0),
            gene("SAME", 0.1, 0.1, 0.9),
            gene("ODD", 0.0, f64::NAN, f64::NAN),
            gene("DOWN", -9.0, -2.0, 1e-12),
        ];
        let size = [400.0, 300.0];
        let drawn = volcano(&Style::of(&LIGHT), size, &genes);
        let words = drawn.scene.words();
        assert!(words.contains(&"UP") && words.contains(&"DOWN") && !words.contains(&"SAME"));
        let at = place(axes(size, &genes), &genes[3]).unwrap();
        assert_eq!(volcano_gene(size, &genes, [at[0] + 2.0, at[1]]).unwrap().symbol, "DOWN");
        assert!(volcano_gene(size, &genes, [70.0, 20.0]).is_none());
    }
}
