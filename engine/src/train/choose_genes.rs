//! Which genes the encoder reads: those that tell cell types apart in any study.

use std::collections::BTreeMap;

use super::corpus::{LabelledRow, SourceRows};
use super::sources::SourceForm;

/// Profiles of one type: of each study how many there are, and their sum.
type Studies = BTreeMap<Option<usize>, (f64, Vec<f64>)>;

/// The numbers of all `n_genes` genes, first those that differ between cell types more than between studies of one type, by
/// the profiles among `sources`.
///
/// Profiles are taken as ln(1 + counts per 10,000). A gene's merit is the variance of its means over types, each the mean
/// over the studies that saw the type, less the mean variance between studies of a type that several saw. What varies for
/// the sake of one study's ways would be taken for a sign of that study's types, of which most were seen by no other.
pub(super) fn by_types(sources: &[SourceRows], n_genes: usize) -> Vec<u32> {
    let profiles = sources.iter().filter(|s| s.form == SourceForm::Profiles).flat_map(|s| &s.rows);
    let mut types: BTreeMap<usize, Studies> = BTreeMap::new();
    for row in profiles {
        let (rows, sum) = types
            .entry(row.cell_type)
            .or_default()
            .entry(row.study)
            .or_insert_with(|| (0.0, vec![0.0; n_genes]));
        *rows += 1.0;
        add_logged(sum, row);
    }
    let (mut of_types, mut within, mut seen_by_several) = (Moments::new(n_genes), vec![0.0; n_genes], 0.0);
    for studies in types.values() {
        let mut of_studies = Moments::new(n_genes);
        for (rows, sum) in studies.values() {
            of_studies.add(sum.iter().map(|of_gene| of_gene / rows));
        }
        of_types.add((0..n_genes).map(|gene| of_studies.mean(gene)));
        if studies.len() > 1 {
            seen_by_several += 1.0;
            let unbiased = studies.len() as f64 / (studies.len() - 1) as f64;
            for (gene, within) in within.iter_mut().enumerate() {
                *within += of_studies.variance(gene) * unbiased;
            }
        }
    }
    let merit: Vec<f64> = within
        .iter()
        .enumerate()
        .map(|(gene, within)| of_types.variance(gene) - within / f64::max(seen_by_several, 1.0))
        .collect();
    let merit_of = |gene: u32| merit.get(gene as usize).copied().unwrap_or(f64::NEG_INFINITY);
    let mut order: Vec<u32> = (0..n_genes as u32).collect();
    order.sort_by(|&a, &b| merit_of(b).total_cmp(&merit_of(a)).then(a.cmp(&b)));
    order
}

fn add_logged(sum: &mut [f64], row: &LabelledRow) {
    let unit = 1e4 / row.values.total().max(f64::MIN_POSITIVE);
    for (gene, value) in row.values.iter() {
        if let Some(sum) = sum.get_mut(gene as usize) {
            *sum += (f64::from(value) * unit).ln_1p();
        }
    }
}

/// Mean and variance of every gene over what was added.
struct Moments {
    count: f64,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn new(n_genes: usize) -> Self {
        Self { count: 0.0, sums: vec![0.0; n_genes], squares: vec![0.0; n_genes] }
    }

    fn add(&mut self, values: impl Iterator<Item = f64>) {
        self.count += 1.0;
        for ((sum, square), value) in self.sums.iter_mut().zip(&mut self.squares).zip(values) {
            *sum += value;
            *square += value * value;
        }
    }

    fn mean(&self, gene: usize) -> f64 {
        self.sums.get(gene).map_or(0.0, |sum| sum / self.count.max(1.0))
    }

    /// Of all that was added, with nothing left out for the mean.
    fn variance(&self, gene: usize) -> f64 {
        let mean = self.mean(gene);
        self.squares.get(gene).map_or(0.0, |square| square / self.count.max(1.0) - mean * mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::SparseRow;

    fn row(study: usize, cell_type: usize, values: &[f32]) -> LabelledRow {
        let values = SparseRow { columns: (0..values.len() as u32).collect(), values: values.to_vec() };
        LabelledRow { values, cell_type, tissue: 0, disease: 0, study: Some(study), stage: None, sex: None }
    }

    fn source(rows: Vec<LabelledRow>) -> SourceRows {
        SourceRows { form: SourceForm::Profiles, weight: 1.0, rows, by_type: Vec::new() }
    }

    #[test]
    fn a_gene_that_only_studies_differ_in_comes_last_however_much_it_varies() {
        // The first gene tells the types apart in both studies, the second the studies; the third is much the same
        // everywhere and takes up what is left.
        let rows = vec![
            row(0, 0, &[20.0, 1.0, 979.0]),
            row(0, 1, &[60.0, 1.0, 939.0]),
            row(1, 0, &[20.0, 400.0, 580.0]),
            row(1, 1, &[60.0, 400.0, 540.0]),
        ];
        assert_eq!(by_types(&[source(rows)], 3), [0, 2, 1]);
    }

    #[test]
    fn several_profiles_of_a_type_in_a_study_count_as_one() {
        let mut rows = vec![row(0, 0, &[10.0, 90.0]), row(1, 0, &[90.0, 10.0]), row(1, 1, &[50.0, 50.0])];
        let once = by_types(&[source(rows.clone())], 2);
        rows.extend([row(0, 0, &[10.0, 90.0]), row(0, 0, &[10.0, 90.0])]);
        assert_eq!(by_types(&[source(rows)], 2), once);
    }

    #[test]
    fn without_a_type_that_two_studies_saw_the_variance_between_types_decides() {
        let rows = vec![row(0, 0, &[10.0, 500.0, 490.0]), row(1, 1, &[500.0, 510.0, 10.0])];
        let order = by_types(&[source(rows)], 3);
        assert_eq!(order.last(), Some(&1));
        assert_eq!(by_types(&[], 3), [0, 1, 2]);
    }
}
