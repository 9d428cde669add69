//! Plain sums over cells for drawing: means, shares, quantiles, densities, counts. No frame waits for them: they run
//! on a thread of their own and know nothing of the window.
//!
//! The numbers are compared with numpy's and scipy's in the tests (`tests/python/plots.py`).

use std::sync::Arc;

use super::super::super::figure::scene::Paint;

/// The group of a cell that does not count.
pub const LEFT_OUT: u32 = u32::MAX;
/// Bins of the values that a density is computed from.
const DENSITY_BINS: usize = 1024;
/// Places at which a density is drawn.
pub const DENSITY_STEPS: usize = 65;

/// One group of cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its colour.
    pub paint: Paint,
    /// Cells in it.
    pub n: usize,
}

/// Cells in groups; a cell is in one group or counts nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// The groups, none of them empty.
    pub groups: Vec<Group>,
    /// The group of every cell, `[n_obs]`, or [`LEFT_OUT`].
    pub of_cell: Arc<[u32]>,
}

impl Groups {
    /// Groups of the cells for which `counts` is true, from a number for every cell. Groups without a cell are left
    /// out, the others keep their order.
    pub fn new(
        n_obs: usize,
        names: &[(String, Paint)],
        code: impl Fn(usize) -> Option<u32>,
        counts: impl Fn(usize) -> bool,
    ) -> Self {
        let mut n = vec![0usize; names.len()];
        let codes: Vec<u32> = (0..n_obs)
            .map(|cell| match code(cell).filter(|c| (*c as usize) < names.len() && counts(cell)) {
                Some(code) => {
                    n[code as usize] += 1;
                    code
                }
                None => LEFT_OUT,
            })
            .collect();
        let mut rows = vec![LEFT_OUT; names.len()];
        let mut groups = Vec::new();
        for (i, (name, paint)) in names.iter().enumerate() {
            if n[i] > 0 {
                rows[i] = groups.len() as u32;
                groups.push(Group { name: name.clone(), paint: *paint, n: n[i] });
            }
        }
        let of_cell = codes.into_iter().map(|c| rows.get(c as usize).copied().unwrap_or(LEFT_OUT)).collect();
        Self { groups, of_cell }
    }

    /// Cells that count.
    pub fn n_cells(&self) -> usize {
        self.groups.iter().map(|g| g.n).sum()
    }

    /// The finite values of every group, `[groups][cells of the group]`.
    pub fn split(&self, values: &[f32]) -> Vec<Vec<f32>> {
        let mut out: Vec<Vec<f32>> = self.groups.iter().map(|g| Vec::with_capacity(g.n)).collect();
        for (value, group) in values.iter().zip(self.of_cell.iter()) {
            if let Some(of_group) = out.get_mut(*group as usize).filter(|_| value.is_finite()) {
                of_group.push(*value);
            }
        }
        out
    }
}

/// Values of one group in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Cells with a value.
    pub n: usize,
    /// The mean; NaN without a value.
    pub mean: f32,
    /// The share of values above zero, 0 to 1.
    pub share: f32,
}

/// Mean and share above zero of every group.
pub fn summaries(values: &[f32], groups: &Groups) -> Vec<Summary> {
    let mut sums = vec![(0usize, 0.0f64, 0usize); groups.groups.len()];
    for (value, group) in values.iter().zip(groups.of_cell.iter()) {
        if let Some((n, sum, above)) = sums.get_mut(*group as usize).filter(|_| value.is_finite()) {
            *n += 1;
            *sum += f64::from(*value);
            *above += usize::from(*value > 0.0);
        }
    }
    sums.into_iter()
        .map(|(n, sum, above)| Summary {
            n,
            mean: (sum / n as f64) as f32,
            share: if n == 0 { f32::NAN } else { above as f32 / n as f32 },
        })
        .collect()
}

/// The value below which a share of the values lies, between two of them in proportion.
///
/// Source: Hyndman and Fan, "Sample quantiles in statistical packages" (1996), type 7, numpy's default. Reorders
/// `values`; NaN where there are none.
pub fn quantile(values: &mut [f32], share: f64) -> f32 {
    let Some(last) = values.len().checked_sub(1) else { return f32::NAN };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let (_, low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let low = f64::from(*low);
    let high = above.iter().copied().min_by(f32::total_cmp).map_or(low, f64::from);
    (low + (place - below as f64) * (high - low)) as f32
}

/// How the values of one group are spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Cells with a value.
    pub n: usize,
    /// Smallest value, quartiles and median, largest value.
    pub quartiles: [f32; 5],
    /// The mean.
    pub mean: f32,
    /// Standard deviation of the kernel; zero where all values are alike.
    pub bandwidth: f32,
    /// Value and density, from the smallest to the largest value; empty where all values are alike.
    pub density: Vec<[f32; 2]>,
}

/// Quartiles and density of some values.
///
/// The density is a sum of Gaussians with Scott's bandwidth, s n^(−1/5) with s the sample's standard deviation, as
/// scipy's `gaussian_kde`, from values that are first put into 1,024 bins in proportion.
pub fn spread(values: &mut [f32]) -> Spread {
    let n = values.len();
    let quartiles = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(values, share));
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
    let squares = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>();
    let deviation = if n > 1 { (squares / (n as f64 - 1.0)).sqrt() } else { 0.0 };
    let bandwidth = deviation * (n as f64).powf(-0.2);
    let [low, .., high] = quartiles.map(f64::from);
    let mut density = Vec::new();
    if bandwidth > 0.0 && high > low {
        let step = (high - low) / (DENSITY_BINS - 1) as f64;
        let mut bins = vec![0.0f64; DENSITY_BINS];
        for v in values.iter() {
            let place = (f64::from(*v) - low) / step;
            let bin = (place as usize).min(DENSITY_BINS - 2);
            let part = place - bin as f64;
            bins[bin] += 1.0 - part;
            bins[bin + 1] += part;
        }
        let scale = 1.0 / (n as f64 * bandwidth * std::f64::consts::TAU.sqrt());
        density = (0..DENSITY_STEPS)
            .map(|i| {
                let at = low + (high - low) * i as f64 / (DENSITY_STEPS - 1) as f64;
                let sum: f64 = bins
                    .iter()
                    .enumerate()
                    .filter(|(_, weight)| **weight > 0.0)
                    .map(|(b, weight)| {
                        let z = (low + b as f64 * step - at) / bandwidth;
                        weight * (-0.5 * z * z).exp()
                    })
                    .sum();
                [at as f32, (sum * scale) as f32]
            })
            .collect();
    }
    Spread { n, quartiles, mean: mean as f32, bandwidth: bandwidth as f32, density }
}

/// Counts of values in bins of one width.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Borders of the bins, one more than bins.
    pub edges: Vec<f32>,
    /// Counts, `[groups][bins]`.
    pub counts: Vec<Vec<usize>>,
    /// Cells that count and have no value.
    pub missing: usize,
    /// All groups together.
    pub all: Spread,
}

/// Counts of every group in `bins` bins between the smallest and the largest value; the last bin holds its upper
/// border, as numpy's.
pub fn histogram(values: &[f32], groups: &Groups, bins: usize) -> Histogram {
    let bins = bins.max(1);
    let mut all: Vec<f32> = groups.split(values).concat();
    let missing = groups.n_cells() - all.len();
    let all = spread(&mut all);
    let [low, .., high] = all.quartiles.map(f64::from);
    // All values alike still need a bin with a width.
    let (low, high) = match (low, high) {
        (l, h) if !l.is_finite() || !h.is_finite() => (0.0, 1.0),
        (l, h) if l == h => (l - 0.5, h + 0.5),
        range => range,
    };
    let width = (high - low) / bins as f64;
    let mut counts = vec![vec![0; bins]; groups.groups.len()];
    for (value, group) in values.iter().zip(groups.of_cell.iter()) {
        if let Some(of_group) = counts.get_mut(*group as usize).filter(|_| value.is_finite()) {
            let bin = ((f64::from(*value) - low) / width) as usize;
            of_group[bin.min(bins - 1)] += 1;
        }
    }
    let edges = (0..=bins).map(|i| (low + width * i as f64) as f32).collect();
    Histogram { edges, counts, missing, all }
}

/// How many cells of each row are in each part, `[rows][parts]`.
pub fn composition(rows: &Groups, parts: &Groups) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; parts.groups.len()]; rows.groups.len()];
    for (row, part) in rows.of_cell.iter().zip(parts.of_cell.iter()) {
        if let Some(count) = counts.get_mut(*row as usize).and_then(|r| r.get_mut(*part as usize)) {
            *count += 1;
        }
    }
    counts
}

/// Values as distances from their mean in standard deviations of the whole, as scipy's `zscore`. All zero where all
/// values are alike.
pub fn z_scores(values: &[f32]) -> Vec<f32> {
    let n = values.iter().filter(|v| v.is_finite()).count().max(1) as f64;
    let finite = || values.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v));
    let mean = finite().sum::<f64>() / n;
    let deviation = (finite().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    values
        .iter()
        .map(|v| match v {
            v if !v.is_finite() => f32::NAN,
            _ if deviation == 0.0 => 0.0,
            v => ((f64::from(*v) - mean) / deviation) as f32,
        })
        .collect()
}

/// Two values of every cell that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Pairs {
    /// Cells with both values, in the order of the file.
    pub cells: Vec<u32>,
    /// Smallest and largest value across.
    pub x: [f32; 2],
    /// Smallest and largest value up.
    pub y: [f32; 2],
    /// Pearson's correlation; NaN where a value does not vary.
    pub correlation: f32,
    /// Cells with both values above zero.
    pub both: usize,
}

/// The cells of all groups with both values, their range and correlation.
pub fn pairs(x: &[f32], y: &[f32], groups: &Groups) -> Pairs {
    let mut cells = Vec::new();
    let (mut range_x, mut range_y) = ([f32::INFINITY, f32::NEG_INFINITY], [f32::INFINITY, f32::NEG_INFINITY]);
    let (mut sum_x, mut sum_y, mut both) = (0.0f64, 0.0f64, 0);
    for (cell, ((x, y), group)) in x.iter().zip(y).zip(groups.of_cell.iter()).enumerate() {
        if *group != LEFT_OUT && x.is_finite() && y.is_finite() {
            cells.push(cell as u32);
            range_x = [range_x[0].min(*x), range_x[1].max(*x)];
            range_y = [range_y[0].min(*y), range_y[1].max(*y)];
            sum_x += f64::from(*x);
            sum_y += f64::from(*y);
            both += usize::from(*x > 0.0 && *y > 0.0);
        }
    }
    let n = cells.len() as f64;
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for &cell in &cells {
        let (dx, dy) = (f64::from(x[cell as usize]) - mean_x, f64::from(y[cell as usize]) - mean_y);
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    Pairs { cells, x: range_x, y: range_y, correlation: (xy / (xx * yy).sqrt()) as f32, both }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: Paint = Paint([0, 0, 0, 255]);

    /// Numbers that the script in `tests/python` makes in the same way: zeros and a skewed rest.
    fn values(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let u = (state >> 33) as f64 / (1u64 << 31) as f64;
                if u < 0.4 { 0.0 } else { (3.0 * (u - 0.4) * (u - 0.4) + 0.5) as f32 }
            })
            .collect()
    }

    fn groups(n: usize) -> Groups {
        let names: Vec<_> = ["a", "never", "b", "c"].map(|n| (n.to_owned(), INK)).to_vec();
        let code = |cell: usize| [Some(0), Some(2), Some(3), None][cell % 4];
        Groups::new(n, &names, code, |cell| cell != 1)
    }

    fn expected() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../../../tests/expected/plots.json")).unwrap()
    }

    fn numbers(value: &serde_json::Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    #[track_caller]
    fn close(got: &[f32], want: &serde_json::Value, tolerance: f64) {
        let want = numbers(want);
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(&want) {
            assert!((f64::from(*g) - w).abs() <= tolerance * (1.0 + w.abs()), "{g} and {w}");
        }
    }

    #[test]
    fn groups_without_a_cell_are_left_out_and_the_rest_keep_their_order() {
        let g = groups(12);
        let names: Vec<_> = g.groups.iter().map(|g| (g.name.as_str(), g.n)).collect();
        assert_eq!(names, [("a", 3), ("b", 2), ("c", 3)]);
        assert_eq!(g.of_cell[..6], [0, LEFT_OUT, 2, LEFT_OUT, 0, 1]);
        assert_eq!(g.n_cells(), 8);
    }

    #[test]
    fn means_shares_and_quartiles_agree_with_numpy() {
        let (values, groups, want) = (values(2000, 7), groups(2000), &expected()["spread"]);
        let of_groups = summaries(&values, &groups);
        let split = groups.split(&values);
        for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
            let want = &want[name];
            let s = spread(&mut split[i].clone());
            close(&[of_groups[i].mean, of_groups[i].share, s.mean], &want["mean_share_mean"], 1e-6);
            close(&s.quartiles, &want["quartiles"], 1e-6);
        }
    }

    #[test]
    fn densities_agree_with_scipy() {
        let (values, groups, want) = (values(2000, 7), groups(2000), &expected()["spread"]);
        for (mut values, name) in groups.split(&values).into_iter().zip(["a", "b", "c"]) {
            let s = spread(&mut values);
            close(&[s.bandwidth], &serde_json::json!([want[name]["bandwidth"]]), 1e-6);
            let density: Vec<f32> = s.density.iter().map(|d| d[1]).collect();
            close(&density, &want[name]["density"], 1e-4);
        }
    }

    #[test]
    fn histograms_agree_with_numpy() {
        let (values, groups, want) = (values(2000, 7), groups(2000), &expected()["histogram"]);
        let h = histogram(&values, &groups, 25);
        close(&h.edges, &want["edges"], 1e-6);
        let all: Vec<f32> = (0..25).map(|b| h.counts.iter().map(|g| g[b]).sum::<usize>() as f32).collect();
        close(&all, &want["counts"], 0.0);
        assert_eq!(h.missing, 0);
    }

    #[test]
    fn correlation_and_z_scores_agree_with_numpy_and_scipy() {
        let (x, y, groups, want) = (values(2000, 7), values(2000, 11), groups(2000), expected());
        let p = pairs(&x, &y, &groups);
        close(&[p.correlation], &serde_json::json!([want["correlation"]]), 1e-5);
        assert_eq!(p.both as u64, want["both"].as_u64().unwrap());
        let means: Vec<f32> = summaries(&x, &groups).iter().map(|s| s.mean).collect();
        close(&z_scores(&means), &want["z_scores"], 1e-4);
    }

    #[test]
    fn values_that_are_all_alike_or_missing_make_no_density_and_no_panic() {
        let s = spread(&mut [0.0; 9]);
        assert_eq!((s.bandwidth, s.density.len(), s.quartiles), (0.0, 0, [0.0; 5]));
        let s = spread(&mut []);
        assert!(s.quartiles[2].is_nan() && s.density.is_empty());
        let g = groups(8);
        let h = histogram(&[f32::NAN; 8], &g, 4);
        assert_eq!((h.missing, h.counts[0].iter().sum::<usize>()), (5, 0));
        assert_eq!(histogram(&[2.0; 8], &g, 4).counts.iter().flatten().sum::<usize>(), 5);
        assert!(pairs(&[1.0; 8], &[2.0; 8], &g).correlation.is_nan());
        assert_eq!(z_scores(&[2.0, 2.0]), [0.0, 0.0]);
    }

    #[test]
    fn a_composition_counts_every_cell_once() {
        let rows = groups(400);
        let names: Vec<_> = ["x", "y"].map(|n| (n.to_owned(), INK)).to_vec();
        let parts = Groups::new(400, &names, |cell| Some((cell / 200) as u32), |_| true);
        let counts = composition(&rows, &parts);
        assert_eq!(counts, [[50, 50], [49, 50], [50, 50]]);
    }
}
