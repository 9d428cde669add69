//! A plain labeller: the cell type whose signature genes stand highest in the cell.

use std::collections::HashMap;

use crate::anndata::SparseRow;
use crate::describe::Signatures;

/// Types with fewer signature genes in the file are not considered.
const LEAST_GENES: usize = 3;

/// A standardised value above this counts as this, as in scanpy's `scale(max_value=10)`: one molecule of a gene that
/// hardly any cell shows must not decide.
const MOST: f64 = 10.0;

/// Signatures over the columns of one file.
///
/// A type's score is `Σ w z / sqrt(Σ w²)` over its signature genes in the file, as ScType's (Ianevski et al. 2022): `z` is
/// `ln(1 + counts per 10,000)` brought to mean 0 and deviation 1 over the file's cells, `w` is
/// `ln(types / types whose signature holds the gene)`, since a gene that many types share says little.
#[derive(Debug, Clone)]
pub(super) struct MarkerLabeller {
    types: Vec<String>,
    /// What the score of each type is where a cell shows none of its genes, filled by [`MarkerLabeller::learn`].
    base: Vec<f64>,
    columns: HashMap<u32, Marker>,
    learnt: f64,
}

/// A signature gene of the file.
#[derive(Debug, Clone, Default)]
struct Marker {
    /// The types that it speaks for, with its weight over the norm of the type's weights.
    types: Vec<(usize, f64)>,
    sum: f64,
    squares: f64,
    mean: f64,
    deviation: f64,
}

impl MarkerLabeller {
    /// Brings `signatures` to a file's columns. `None` where no type has enough genes there.
    pub(super) fn new(signatures: &Signatures, ensembl_ids: &[Option<&str>]) -> Option<Self> {
        let column_of: HashMap<&str, u32> =
            ensembl_ids.iter().zip(0..).filter_map(|(id, column)| id.map(|id| (id, column))).collect();
        let mut holders: HashMap<&str, usize> = HashMap::new();
        let mut n_types = 0;
        for (_, genes) in signatures.types() {
            n_types += 1;
            for gene in genes {
                *holders.entry(gene).or_default() += 1;
            }
        }
        let weight = |gene: &str| (f64::from(n_types) / holders.get(gene).copied().unwrap_or(1) as f64).ln();
        let mut types = Vec::new();
        let mut columns: HashMap<u32, Marker> = HashMap::new();
        for (id, genes) in signatures.types() {
            let found: Vec<(u32, f64)> = genes
                .iter()
                .filter_map(|gene| column_of.get(gene.as_str()).map(|column| (*column, weight(gene))))
                .filter(|(_, weight)| *weight > 0.0)
                .collect();
            let norm = found.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
            if found.len() < LEAST_GENES {
                continue;
            }
            for (column, weight) in found {
                columns.entry(column).or_default().types.push((types.len(), weight / norm));
            }
            types.push(id.to_owned());
        }
        (!types.is_empty()).then(|| Self { base: vec![0.0; types.len()], types, columns, learnt: 0.0 })
    }

    /// Takes cells of linear values into the means and deviations of the genes.
    pub(super) fn learn<'a>(&mut self, rows: impl Iterator<Item = &'a SparseRow>) {
        for row in rows {
            self.learnt += 1.0;
            let unit = unit(row);
            for (column, value) in row.iter() {
                if let Some(marker) = self.columns.get_mut(&column) {
                    let x = (f64::from(value) * unit).ln_1p();
                    marker.sum += x;
                    marker.squares += x * x;
                }
            }
        }
        let n = self.learnt.max(1.0);
        self.base.fill(0.0);
        for marker in self.columns.values_mut() {
            marker.mean = marker.sum / n;
            marker.deviation = (marker.squares / n - marker.mean * marker.mean).max(0.0).sqrt();
            if marker.deviation > 0.0 {
                for (at, weight) in &marker.types {
                    self.base[*at] -= weight * marker.mean / marker.deviation;
                }
            }
        }
    }

    /// The best type of a cell of linear values; `None` where it shows no signature gene.
    pub(super) fn label(&self, row: &SparseRow) -> Option<&str> {
        let unit = unit(row);
        let mut scores = self.base.clone();
        let mut shown = false;
        for (column, value) in row.iter() {
            let Some(marker) = self.columns.get(&column).filter(|marker| marker.deviation > 0.0) else {
                continue;
            };
            shown |= value > 0.0;
            let z = ((f64::from(value) * unit).ln_1p() - marker.mean) / marker.deviation;
            let over_none = z.min(MOST) + marker.mean / marker.deviation;
            for (at, weight) in &marker.types {
                scores[*at] += weight * over_none;
            }
        }
        let (best, _) = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        shown.then(|| self.types[best].as_str())
    }
}

/// What brings a cell's values to counts per 10,000.
fn unit(row: &SparseRow) -> f64 {
    1e4 / row.total().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_whose_own_genes_stand_high_is_said() {
        let genes = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let signatures = Signatures::new(
            [
                ("CL:0000084".to_owned(), genes(&["a", "b", "c", "shared"])),
                ("CL:0000236".to_owned(), genes(&["d", "e", "f", "shared"])),
                ("CL:0000576".to_owned(), genes(&["g", "h", "shared"])),
            ]
            .into(),
        );
        let ids = ["a", "b", "c", "d", "e", "f", "shared", "g"].map(Some);
        let mut labeller = MarkerLabeller::new(&signatures, &ids).unwrap();
        assert_eq!(labeller.types.len(), 2, "a type with two genes in the file is left out");
        let t_cell = SparseRow { columns: vec![0, 1, 6], values: vec![3.0, 2.0, 20.0] };
        let b_cell = SparseRow { columns: vec![0, 3, 4, 6], values: vec![2.0, 3.0, 3.0, 90.0] };
        labeller.learn([&t_cell, &b_cell, &t_cell, &b_cell].into_iter());
        assert_eq!(labeller.label(&t_cell), Some("CL:0000084"));
        assert_eq!(labeller.label(&b_cell), Some("CL:0000236"));
        assert_eq!(labeller.label(&SparseRow { columns: vec![7], values: vec![9.0] }), None);
        assert!(MarkerLabeller::new(&signatures, &[None, Some("a")]).is_none());
    }
}
