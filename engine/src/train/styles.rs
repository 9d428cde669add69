//! How studies differ in what they see of the same cell types, and moving a profile from one study to another.
//!
//! Most types were profiled by one study alone, so that a model could tell them by how that study sees genes. Types that
//! two studies share show how the two differ: the mean change of their profiles is carried over to other types.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;

use super::corpus::{LabelledRow, SourceRows};
use crate::anndata::SparseRow;

/// Fewest cell types that two studies must share for their difference to be known.
const FEWEST_SHARED: usize = 3;
/// Added to counts per 10,000 before logarithms, so that what is hardly seen changes little.
const FLOOR: f32 = 0.05;
/// Furthest that a gene moves, as a natural logarithm.
const FURTHEST: f32 = 3.0;

/// What moves profiles of one source from study to study.
#[derive(Debug, Clone, Default)]
pub(super) struct Styles {
    /// Logarithm of the change of every gene, one entry for each ordered pair of studies that share enough types.
    changes: Vec<Vec<f32>>,
    /// For each study the changes that begin at it.
    of_study: BTreeMap<usize, Vec<usize>>,
}

impl Styles {
    /// The differences between the studies of `source`, over `n_genes` genes.
    pub(super) fn new(source: &SourceRows, n_genes: usize) -> Self {
        let mut profiles: BTreeMap<usize, BTreeMap<usize, (f32, Vec<f32>)>> = BTreeMap::new();
        for row in &source.rows {
            let Some(study) = row.study else { continue };
            let types = profiles.entry(study).or_default();
            let (rows, sum) = types.entry(row.cell_type).or_insert_with(|| (0.0, vec![0.0; n_genes]));
            let unit = (1e4 / row.values.total().max(f64::MIN_POSITIVE)) as f32;
            for (gene, value) in row.values.iter() {
                // Above the floor's own logarithm, which every gene of every study has and no difference shows.
                sum[gene as usize] += (value * unit / FLOOR).ln_1p();
            }
            *rows += 1.0;
        }
        let mut styles = Self::default();
        for (&from, own) in &profiles {
            for (_, others) in profiles.iter().filter(|(to, _)| **to != from) {
                let shared: Vec<_> = own.iter().filter_map(|(of, a)| Some((a, others.get(of)?))).collect();
                if shared.len() < FEWEST_SHARED {
                    continue;
                }
                let mut change = vec![0f32; n_genes];
                for ((rows, sum), (other_rows, other_sum)) in &shared {
                    for ((change, a), b) in change.iter_mut().zip(sum).zip(other_sum) {
                        *change += (b / other_rows - a / rows) / shared.len() as f32;
                    }
                }
                change.iter_mut().for_each(|of_gene| *of_gene = of_gene.clamp(-FURTHEST, FURTHEST));
                styles.of_study.entry(from).or_default().push(styles.changes.len());
                styles.changes.push(change);
            }
        }
        styles
    }

    /// The profile of `row` as another study might have seen it: moved by a random part of a random change. A study that
    /// shares too little with any takes the change between two others.
    pub(super) fn moved(&self, row: &LabelledRow, rng: &mut StdRng) -> SparseRow {
        let of_study = row.study.and_then(|study| self.of_study.get(&study));
        let n = of_study.map_or(self.changes.len(), Vec::len);
        let (place, part) = (rng.random_range(0..n.max(1)), rng.random::<f32>());
        let chosen = of_study.map_or(Some(place), |changes| changes.get(place).copied());
        let Some(change) = chosen.and_then(|chosen| self.changes.get(chosen)) else {
            return row.values.clone();
        };
        let values = row.values.iter().map(|(gene, value)| {
            let of_gene = change.get(gene as usize).copied().unwrap_or(0.0);
            value * (part * of_gene).exp()
        });
        SparseRow { columns: row.values.columns.clone(), values: values.collect() }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::train::SourceForm;

    fn row(study: usize, cell_type: usize, values: &[f32]) -> LabelledRow {
        let values = SparseRow { columns: (0..values.len() as u32).collect(), values: values.to_vec() };
        LabelledRow { values, cell_type, tissue: 0, disease: 0, study: Some(study), stage: None, sex: None }
    }

    /// Study 1 sees the first gene four times as well as study 0 in every type; study 2 shares no type with them.
    fn source() -> SourceRows {
        let mut rows: Vec<LabelledRow> = Vec::new();
        for of in 0..3 {
            rows.push(row(0, of, &[10.0, 40.0, 50.0]));
            rows.push(row(1, of, &[40.0, 40.0, 50.0]));
        }
        rows.push(row(2, 9, &[10.0, 40.0, 50.0]));
        SourceRows { form: SourceForm::Profiles, weight: 1.0, rows, by_type: Vec::new() }
    }

    #[test]
    fn a_profile_moves_towards_the_other_study_and_never_beyond_it() {
        let (source, mut rng) = (source(), StdRng::seed_from_u64(1));
        let styles = Styles::new(&source, 3);
        let ratio = |row: &SparseRow| f64::from(row.value(0)) / f64::from(row.value(1));
        let (own, other) = (ratio(&source.rows[0].values), ratio(&source.rows[1].values));
        let moved: Vec<f64> = (0..50).map(|_| ratio(&styles.moved(&source.rows[0], &mut rng))).collect();
        assert!(moved.iter().all(|r| (own * 0.999..other * 1.001).contains(r)), "{moved:?}");
        let furthest = moved.iter().fold(0f64, |a, b| a.max(*b));
        assert!(furthest > 0.8 * other, "{furthest} of {other}");
    }

    #[test]
    fn a_study_without_common_types_takes_the_change_between_others_and_a_lone_one_stays() {
        let (source, mut rng) = (source(), StdRng::seed_from_u64(2));
        let styles = Styles::new(&source, 3);
        let stranger = &source.rows[6];
        let moved = styles.moved(stranger, &mut rng);
        assert_ne!(moved, stranger.values);
        let alone = SourceRows { rows: vec![stranger.clone()], ..source };
        assert_eq!(Styles::new(&alone, 3).moved(stranger, &mut rng), stranger.values);
    }
}
