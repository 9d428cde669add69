//! What befalls cells between tissue and matrix: two in one droplet, stress of taking the tissue apart, and division.
//!
//! Each is a share of the drawn cells in the recipe. A share of zero draws no random number, so that a recipe without
//! it gives the very cells that it gave before.

use rand::RngExt;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Exp1, Poisson};

use super::corpus::{Corpus, LabelledRow, SourceRows};
use super::sources::CellRecipe;
use crate::anndata::{SparseRow, sum_repeated};
use crate::assets;
use crate::genes::GeneTable;
use crate::{Error, Result, error::Problem};

/// Counts of the smaller cell of a doublet, as a share of the larger's, least and most.
const SMALLER: [f64; 2] = [0.2, 1.0];
/// Least and most share of a dividing cell's counts that its phase adds.
const PHASE_SHARE: [f64; 2] = [0.01, 0.04];
/// Least and most share of a stressed cell's counts that the stress adds.
const STRESS_SHARE: [f64; 2] = [0.02, 0.1];
/// Names of the programmes in the table.
const PHASES: [&str; 2] = ["S phase", "G2 and M phase"];
const STRESS: &str = "dissociation stress";

/// Genes of the programmes, by their number in the corpus.
#[derive(Debug, Clone, Default)]
pub(super) struct Disturbances {
    phases: [Vec<u32>; 2],
    stress: Vec<u32>,
}

impl Disturbances {
    /// The programmes' genes among those of `corpus`.
    ///
    /// # Errors
    /// [`Error::Train`] when the built-in table lacks a programme; as [`GeneTable::builtin`].
    pub(super) fn new(corpus: &Corpus) -> Result<Self> {
        let table = GeneTable::builtin()?;
        let genes_of = |programme: &str| -> Result<Vec<u32>> {
            let listed = assets::PROGRAMMES_TSV.lines().find_map(|line| {
                line.split_once('\t').filter(|(name, _)| *name == programme).map(|(_, genes)| genes)
            });
            let Some(listed) = listed else {
                return Err(Error::train(Problem::new(
                    "programmes.tsv",
                    format!("no {programme}"),
                    "its genes",
                    "Install the program again.",
                )));
            };
            let ids: Vec<_> =
                listed.split(' ').filter_map(|name| table.resolve(name)).map(|(id, _)| id).collect();
            Ok((0u32..).zip(&corpus.genes).filter(|(_, gene)| ids.contains(gene)).map(|(n, _)| n).collect())
        };
        let [s, g2m] = PHASES;
        Ok(Self { phases: [genes_of(s)?, genes_of(g2m)?], stress: genes_of(STRESS)? })
    }

    /// `values` of a cell drawn from `row` of `source`, with what chance lets befall it. Its label stays that of the
    /// larger cell. Values that are no counts stay as they are.
    pub(super) fn befall(
        &self,
        values: SparseRow,
        row: &LabelledRow,
        source: &SourceRows,
        recipe: &CellRecipe,
        rng: &mut StdRng,
    ) -> SparseRow {
        let mut values = values;
        let are_counts = values.values.iter().all(|v| v.fract() == 0.0);
        if happens(recipe.doublets, rng) && are_counts {
            values = with_neighbour(&values, row, source, rng);
        }
        if happens(recipe.dividing, rng) && are_counts {
            let [s, g2m] = &self.phases;
            let phase = if rng.random::<bool>() { s } else { g2m };
            values = with_programme(&values, phase, PHASE_SHARE, rng);
        }
        if happens(recipe.stressed, rng) && are_counts {
            values = with_programme(&values, &self.stress, STRESS_SHARE, rng);
        }
        values
    }
}

/// Whether what befalls this share of cells befalls one. A share of zero draws no random number.
pub(super) fn happens(share: f64, rng: &mut StdRng) -> bool {
    share > 0.0 && rng.random::<f64>() < share
}

/// A second cell of the same tissue in the same droplet.
fn with_neighbour(values: &SparseRow, row: &LabelledRow, source: &SourceRows, rng: &mut StdRng) -> SparseRow {
    let near: Vec<&LabelledRow> = source.rows.iter().filter(|other| other.tissue == row.tissue).collect();
    let place = rng.random_range(0..near.len().max(1));
    let Some(other) = near.get(place) else { return values.clone() };
    let counts = values.total() * between(SMALLER, rng);
    let unit = counts / other.values.total().max(f64::MIN_POSITIVE);
    add_counts(values, other.values.iter().map(|(gene, value)| (gene, f64::from(value) * unit)), rng)
}

/// The counts of a programme on top, a share of the cell's own, spread over its genes by chance.
fn with_programme(values: &SparseRow, genes: &[u32], share: [f64; 2], rng: &mut StdRng) -> SparseRow {
    let counts = values.total() * between(share, rng);
    let of_gene: Vec<f64> = genes
        .iter()
        .map(|_| {
            let weight: f64 = Exp1.sample(rng);
            weight * counts / genes.len() as f64
        })
        .collect();
    add_counts(values, genes.iter().copied().zip(of_gene), rng)
}

/// Adds Poisson counts of these means; genes rise.
fn add_counts(values: &SparseRow, means: impl Iterator<Item = (u32, f64)>, rng: &mut StdRng) -> SparseRow {
    let added = means.filter_map(|(gene, mean)| {
        let count = Poisson::new(mean).ok()?.sample(rng);
        (count > 0.0).then_some((gene, count as f32))
    });
    let mut all: Vec<(u32, f32)> = values.iter().chain(added).collect();
    sum_repeated(&mut all);
    let (columns, values) = all.into_iter().unzip();
    SparseRow { columns, values }
}

fn between([least, most]: [f64; 2], rng: &mut StdRng) -> f64 {
    least + rng.random::<f64>() * (most - least)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::train::SourceForm;

    fn row(tissue: usize, columns: std::ops::Range<u32>) -> LabelledRow {
        let values = vec![20.0; columns.len()];
        let values = SparseRow { columns: columns.collect(), values };
        LabelledRow { values, cell_type: tissue, tissue, disease: 0, study: None, stage: None, sex: None }
    }

    fn recipe(doublets: f64, dividing: f64, stressed: f64) -> CellRecipe {
        let text = format!(
            "counts = [1.0, 2.0]\ngamma_shape = 1.0\nambient = 0.0\npanel_share = 0.0\npanel_genes = [1.0, 2.0]\n\
             type_balance = 1.0\nvague = []\ndoublets = {doublets}\ndividing = {dividing}\nstressed = {stressed}\n"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_doublet_adds_at_most_as_many_counts_of_a_cell_of_the_same_tissue() {
        let rows = vec![row(0, 0..50), row(1, 60..90), row(0, 40..100)];
        let source = SourceRows { form: SourceForm::Cells, weight: 1.0, rows, by_type: Vec::new() };
        let own = source.rows[0].values.clone();
        let mut rng = StdRng::seed_from_u64(1);
        let disturb = Disturbances::default();
        let mut foreign = 0;
        for _ in 0..40 {
            let both =
                disturb.befall(own.clone(), &source.rows[0], &source, &recipe(1.0, 0.0, 0.0), &mut rng);
            let ratio = both.total() / own.total();
            assert!((1.1..2.2).contains(&ratio), "{ratio}");
            assert!(both.columns.is_sorted_by(|a, b| a < b));
            foreign += usize::from(both.columns.iter().any(|gene| *gene >= 90));
        }
        // The second cell is of either type of the tissue, never of the other tissue alone.
        assert!((8..=32).contains(&foreign), "{foreign}");
        let alone = row(5, 0..50);
        let none = SourceRows { form: SourceForm::Cells, weight: 1.0, rows: Vec::new(), by_type: Vec::new() };
        assert_eq!(disturb.befall(own.clone(), &alone, &none, &recipe(1.0, 0.0, 0.0), &mut rng), own);
    }

    #[test]
    fn programmes_add_their_share_to_their_own_genes_alone() {
        let rows = vec![row(0, 0..500)];
        let source = SourceRows { form: SourceForm::Cells, weight: 1.0, rows, by_type: Vec::new() };
        let own = source.rows[0].values.clone();
        let disturb =
            Disturbances { phases: [vec![500, 501, 502], vec![510, 511]], stress: vec![600, 601, 602, 603] };
        let mut rng = StdRng::seed_from_u64(2);
        let mut seen = [0; 2];
        for _ in 0..60 {
            let cell =
                disturb.befall(own.clone(), &source.rows[0], &source, &recipe(0.0, 1.0, 1.0), &mut rng);
            let of = |genes: std::ops::Range<u32>| genes.map(|gene| f64::from(cell.value(gene))).sum::<f64>();
            let (s, g2m, stress) = (of(500..510), of(510..600), of(600..700));
            assert!(s == 0.0 || g2m == 0.0);
            assert!(stress > 20.0 && s + g2m > 0.0, "{s} {g2m} {stress}");
            assert_eq!(of(0..500), own.total());
            seen[usize::from(g2m > 0.0)] += 1;
        }
        assert!(seen[0] > 10 && seen[1] > 10, "{seen:?}");
    }

    #[test]
    fn shares_of_zero_and_values_that_are_no_counts_change_nothing_and_draw_no_number() {
        let rows = vec![row(0, 0..20)];
        let source = SourceRows { form: SourceForm::Cells, weight: 1.0, rows, by_type: Vec::new() };
        let own = source.rows[0].values.clone();
        let (mut rng, mut untouched) = (StdRng::seed_from_u64(3), StdRng::seed_from_u64(3));
        let disturb = Disturbances { phases: [vec![1], vec![2]], stress: vec![3] };
        assert_eq!(
            disturb.befall(own.clone(), &source.rows[0], &source, &recipe(0.0, 0.0, 0.0), &mut rng),
            own
        );
        assert_eq!(rng.random::<u64>(), untouched.random::<u64>());
        let shares = SparseRow { columns: vec![1, 2], values: vec![0.5, 2.25] };
        let kept = disturb.befall(shares.clone(), &source.rows[0], &source, &recipe(1.0, 1.0, 1.0), &mut rng);
        assert_eq!(kept, shares);
    }

    #[test]
    fn the_builtin_programmes_are_all_of_known_genes() {
        let table = GeneTable::builtin().unwrap();
        for (programme, n) in PHASES.into_iter().chain([STRESS]).zip([43, 54, 30]) {
            let line = assets::PROGRAMMES_TSV.lines().find(|l| l.starts_with(programme)).unwrap();
            let genes: Vec<&str> = line.split_once('\t').unwrap().1.split(' ').collect();
            assert_eq!(genes.len(), n, "{programme}");
            assert!(genes.iter().all(|gene| table.resolve(gene).is_some()), "{programme}");
        }
    }
}
