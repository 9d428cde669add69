//! Drawing training cells: counts from mean profiles, real cells thinned, both cut to panels of genes at times.
//!
//! Every cell is a function of the seed and its number alone, so that a run that stops can go on exactly.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Gamma, Normal, Poisson};

use super::corpus::{Corpus, LabelledRow, SourceRows};
use super::disturb::{Disturbances, happens};
use super::sources::{CellRecipe, SourceForm};
use super::styles::Styles;
use crate::Result;
use crate::anndata::SparseRow;

/// A drawn cell.
#[derive(Debug, Clone)]
pub(super) struct DrawnCell<'a> {
    /// Counts, or linear values, over the corpus's genes.
    pub(super) values: SparseRow,
    /// The row it was drawn from.
    pub(super) row: &'a LabelledRow,
}

/// Draws cells of a corpus.
#[derive(Debug)]
pub(super) struct Drawer<'a> {
    corpus: &'a Corpus,
    recipe: &'a CellRecipe,
    seed: u64,
    /// Genes by falling variance between profiles.
    genes_by_variance: Vec<u32>,
    /// Mean profile of each tissue, counts per unit, dense over genes.
    ambient: Vec<Vec<f32>>,
    /// How often the rows of each tissue are drawn.
    tissue_weights: Vec<f64>,
    disturbances: Disturbances,
    /// For each source how its studies differ, where cells are to be restyled.
    styles: Vec<Styles>,
}

impl<'a> Drawer<'a> {
    /// A drawer whose cells all follow from `seed`.
    ///
    /// # Errors
    /// As [`Disturbances::new`].
    pub(super) fn new(corpus: &'a Corpus, recipe: &'a CellRecipe, seed: u64) -> Result<Self> {
        let n = corpus.genes.len();
        let mut ambient = vec![vec![0f32; n]; corpus.tissues.len()];
        let (mut sums, mut squares, mut count) = (vec![0f64; n], vec![0f64; n], 0f64);
        let profiles = corpus.sources.iter().filter(|s| s.form == SourceForm::Profiles);
        for row in profiles.flat_map(|s| &s.rows) {
            count += 1.0;
            let total = row.values.total().max(f64::MIN_POSITIVE);
            for (gene, value) in row.values.iter() {
                let share = f64::from(value) / total;
                let logged = (share * 1e4).ln_1p();
                sums[gene as usize] += logged;
                squares[gene as usize] += logged * logged;
                ambient[row.tissue][gene as usize] += share as f32;
            }
        }
        let variance = |g: usize| squares[g] / count - (sums[g] / count) * (sums[g] / count);
        let mut genes_by_variance: Vec<u32> = (0..n as u32).collect();
        genes_by_variance
            .sort_by(|&a, &b| variance(b as usize).total_cmp(&variance(a as usize)).then(a.cmp(&b)));
        for profile in &mut ambient {
            let total: f32 = profile.iter().sum();
            if total > 0.0 {
                profile.iter_mut().for_each(|v| *v /= total);
            }
        }
        let weight = |tissue: &String| recipe.tissue_weights.get(tissue).copied().unwrap_or(1.0);
        let tissue_weights = corpus.tissues.words().iter().map(weight).collect();
        let disturbances = Disturbances::new(corpus)?;
        let styles_of =
            |source| if recipe.restyled > 0.0 { Styles::new(source, n) } else { Styles::default() };
        let styles = corpus.sources.iter().map(styles_of).collect();
        Ok(Self { corpus, recipe, seed, genes_by_variance, ambient, tissue_weights, disturbances, styles })
    }

    /// Genes by falling variance between profiles.
    pub(super) fn genes_by_variance(&self) -> &[u32] {
        &self.genes_by_variance
    }

    /// Cell `number` of the endless series.
    pub(super) fn draw(&self, number: u64) -> DrawnCell<'a> {
        let mut rng =
            StdRng::seed_from_u64(self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17));
        let (source, styles) = self.choose_source(&mut rng);
        let row = self.choose_row(source, &mut rng);
        let mut values = match source.form {
            SourceForm::Profiles => self.counts_from_profile(row, styles, &mut rng),
            SourceForm::Cells => self.thin(row, &mut rng),
        };
        values = self.disturbances.befall(values, row, source, self.recipe, &mut rng);
        if rng.random::<f64>() < self.recipe.panel_share {
            values = self.cut_to_panel(&values, &mut rng);
        }
        DrawnCell { values, row }
    }

    fn choose_source(&self, rng: &mut StdRng) -> (&'a SourceRows, &Styles) {
        let chosen = choose(&self.source_weights(), rng);
        (&self.corpus.sources[chosen], &self.styles[chosen])
    }

    fn choose_row(&self, source: &'a SourceRows, rng: &mut StdRng) -> &'a LabelledRow {
        let (_, rows) = &source.by_type[choose(&self.type_weights(source), rng)];
        &source.rows[rows[choose(&self.row_weights(source, rows), rng)]]
    }

    fn source_weights(&self) -> Vec<f64> {
        self.corpus.sources.iter().map(|s| s.weight).collect()
    }

    fn type_weights(&self, source: &SourceRows) -> Vec<f64> {
        source.by_type.iter().map(|(_, rows)| (rows.len() as f64).powf(self.recipe.type_balance)).collect()
    }

    fn row_weights(&self, source: &SourceRows, rows: &[usize]) -> Vec<f64> {
        rows.iter().map(|&row| self.tissue_weights[source.rows[row].tissue]).collect()
    }

    /// Every row with its share of the drawn cells.
    pub(super) fn row_shares(&self) -> Vec<(&'a LabelledRow, f64)> {
        let corpus: &'a Corpus = self.corpus;
        let mut shares = Vec::new();
        for (source, of_source) in corpus.sources.iter().zip(to_shares(self.source_weights())) {
            for ((_, rows), of_type) in source.by_type.iter().zip(to_shares(self.type_weights(source))) {
                for (&row, of_row) in rows.iter().zip(to_shares(self.row_weights(source, rows))) {
                    shares.push((&source.rows[row], of_source * of_type * of_row));
                }
            }
        }
        shares
    }

    /// Gamma–Poisson counts about a profile, with a share from the average of the tissue.
    fn counts_from_profile(&self, row: &LabelledRow, styles: &Styles, rng: &mut StdRng) -> SparseRow {
        let moved = happens(self.recipe.restyled, rng).then(|| styles.moved(row, rng));
        let profile = moved.as_ref().unwrap_or(&row.values);
        let depth = log_uniform(self.recipe.counts, rng);
        let ambient_share = self.recipe.ambient * rng.random::<f64>();
        let total = profile.total().max(f64::MIN_POSITIVE);
        let noise = Gamma::new(self.recipe.gamma_shape, 1.0 / self.recipe.gamma_shape).ok();
        let own = depth * (1.0 - ambient_share) / total;
        let mut means: Vec<f32> =
            self.ambient[row.tissue].iter().map(|a| a * (depth * ambient_share) as f32).collect();
        for (gene, value) in profile.iter() {
            let jitter = noise.as_ref().map_or(1.0, |g| g.sample(rng));
            means[gene as usize] += (f64::from(value) * own * jitter) as f32;
        }
        poisson_row(means.iter().enumerate().map(|(g, &m)| (g as u32, f64::from(m))), rng)
    }

    /// A real cell with part of its molecules lost.
    fn thin(&self, row: &LabelledRow, rng: &mut StdRng) -> SparseRow {
        if rng.random::<f64>() < 0.5 {
            return row.values.clone();
        }
        let kept = rng.random_range(0.4..1.0);
        let whole = row.values.values.iter().all(|v| v.fract() == 0.0);
        if whole {
            // Thinned counts are very nearly Poisson about their share, and exact thinning would teach nothing more.
            return poisson_row(row.values.iter().map(|(g, v)| (g, f64::from(v) * kept)), rng);
        }
        let (columns, values) = row.values.iter().filter(|_| rng.random::<f64>() < kept).unzip();
        SparseRow { columns, values }
    }

    /// Only the genes of a random panel that favours variable genes, as published files often hold no others.
    fn cut_to_panel(&self, values: &SparseRow, rng: &mut StdRng) -> SparseRow {
        let size = log_uniform(self.recipe.panel_genes, rng) as usize;
        let Ok(blur) = Normal::new(0.0f64, 0.8) else { return values.clone() };
        let mut keyed: Vec<(f64, u32)> = self
            .genes_by_variance
            .iter()
            .enumerate()
            .map(|(rank, &gene)| (((rank + 1) as f64).ln() + blur.sample(rng), gene))
            .collect();
        let size = size.min(keyed.len());
        if size < keyed.len() {
            keyed.select_nth_unstable_by(size, |a, b| a.0.total_cmp(&b.0));
        }
        let mut kept = vec![false; self.genes_by_variance.len()];
        keyed[..size].iter().for_each(|(_, gene)| kept[*gene as usize] = true);
        let (columns, values) = values.iter().filter(|(gene, _)| kept[*gene as usize]).unzip();
        SparseRow { columns, values }
    }
}

fn poisson_row(means: impl Iterator<Item = (u32, f64)>, rng: &mut StdRng) -> SparseRow {
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for (gene, mean) in means {
        // Most means are near zero: one uniform number settles those without the cost of a Poisson draw.
        if mean <= 0.0 || (mean < 0.05 && rng.random::<f64>() >= mean) {
            continue;
        }
        let count = if mean < 0.05 { 1.0 } else { Poisson::new(mean).map_or(0.0, |p| p.sample(rng)) };
        if count > 0.0 {
            columns.push(gene);
            values.push(count as f32);
        }
    }
    SparseRow { columns, values }
}

fn log_uniform([low, high]: [f64; 2], rng: &mut StdRng) -> f64 {
    (low.ln() + rng.random::<f64>() * (high / low).ln()).exp()
}

fn to_shares(mut weights: Vec<f64>) -> Vec<f64> {
    let all: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= all);
    weights
}

fn choose(weights: &[f64], rng: &mut StdRng) -> usize {
    let mut point = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (i, w) in weights.iter().enumerate() {
        point -= w;
        if point < 0.0 {
            return i;
        }
    }
    weights.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_counts_have_the_mean_asked_for_small_and_large() {
        let mut rng = StdRng::seed_from_u64(3);
        for mean in [0.01, 0.04, 0.5, 30.0] {
            let row = poisson_row((0..40_000).map(|g| (g, mean)), &mut rng);
            let seen = row.total() / 40_000.0;
            assert!((seen - mean).abs() < 0.06 * mean.max(0.05), "{mean}: {seen}");
        }
    }

    #[test]
    fn choosing_follows_the_weights() {
        let mut rng = StdRng::seed_from_u64(4);
        let seen = (0..8000).filter(|_| choose(&[1.0, 3.0], &mut rng) == 1).count();
        assert!((5800..6200).contains(&seen), "{seen}");
    }
}
