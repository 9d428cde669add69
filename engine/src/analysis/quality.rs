//! How good each cell's measurement is: counts, genes seen, and the share of mitochondrial genes.

use std::sync::Arc;

use super::normalise::ROWS_PER_BLOCK;
use crate::anndata::{Layout, Matrix, MatrixKey, Scale};
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

const WHAT: &str = "Judging each cell's quality";

/// The quality figures of every cell, with scanpy's meanings (`sc.pp.calculate_qc_metrics`).
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// The matrix that was read.
    pub matrix: MatrixKey,
    /// What [`Quality::totals`] are, for a legend: "counts" only where the matrix holds them.
    pub total_unit: &'static str,
    /// Sum of the cell's values, logs undone, `[n_obs]`; scanpy's `total_counts` where the matrix holds counts.
    pub totals: Arc<[f32]>,
    /// Genes above zero, `[n_obs]`; scanpy's `n_genes_by_counts`.
    pub n_genes: Arc<[f32]>,
    /// Percent of the total in mitochondrial genes, `[n_obs]`, NaN for a cell without any value; scanpy's
    /// `pct_counts_mt`. `None` where the matrix has no such gene.
    pub percent_mitochondrial: Option<Arc<[f32]>>,
    /// The mitochondrial genes, as columns of the matrix.
    pub mitochondrial: Vec<usize>,
}

/// The mitochondrial genes among `symbols`: those whose name begins with `MT-`, in any case, as the mouse's do in small
/// letters. The nuclear pseudogenes (`MTND1P1`, …) have no hyphen there and do not count.
pub fn mitochondrial_genes(symbols: &[String]) -> Vec<usize> {
    let is_one = |name: &str| name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("mt-"));
    symbols.iter().enumerate().filter(|(_, name)| is_one(name)).map(|(gene, _)| gene).collect()
}

/// Judges every cell of `matrix`, whose values are of this `scale` and whose genes are called `symbols`, `[genes]`.
///
/// Of logs the logarithm is undone: the share of mitochondrial genes is then as of the counts, since dividing a cell by
/// its total changes no share within it.
///
/// # Cost
/// One pass over the matrix. Memory: three numbers a cell and one block of rows or one gene.
///
/// # Errors
/// [`Error::Request`] for scaled values, which have lost what is counted; what reading fails with;
/// [`Error::Cancelled`].
pub fn quality(matrix: &Matrix, scale: Scale, symbols: &[String], watch: &Watch) -> Result<Quality> {
    if scale == Scale::Scaled {
        return Err(Error::request(Problem::new(
            matrix.key().to_string(),
            "scaled values (z-scores)",
            "counts, normalised values or logarithms",
            "Choose another matrix, in the data panel or with --matrix; where the file has none, add the counts to it \
             as layers/counts or raw/X.",
        )));
    }
    let (n_rows, n_cols) = (matrix.n_rows(), matrix.n_cols());
    let genes = mitochondrial_genes(symbols);
    let mut is_mitochondrial = vec![false; n_cols];
    for gene in &genes {
        if let Some(is_one) = is_mitochondrial.get_mut(*gene) {
            *is_one = true;
        }
    }
    let mut sums = vec![Sums::default(); n_rows];
    let quiet = watch.quiet();
    if matrix.layout() == Layout::Csc {
        for (gene, is_mitochondrial) in is_mitochondrial.into_iter().enumerate() {
            watch.step(WHAT, gene as u64, Some(n_cols as u64))?;
            for (sums, value) in sums.iter_mut().zip(matrix.column(gene, &quiet)?) {
                sums.add(value, scale, is_mitochondrial);
            }
        }
    } else {
        for (block, sums) in sums.chunks_mut(ROWS_PER_BLOCK).enumerate() {
            let first = block * ROWS_PER_BLOCK;
            watch.step(WHAT, first as u64, Some(n_rows as u64))?;
            let rows = matrix.rows_watched(first..first + sums.len(), &quiet)?;
            for (sums, row) in sums.iter_mut().zip(&rows) {
                for (gene, value) in row.iter() {
                    sums.add(value, scale, is_mitochondrial.get(gene as usize) == Some(&true));
                }
            }
        }
    }
    Ok(Quality {
        matrix: matrix.key().clone(),
        total_unit: match scale {
            Scale::Counts => "counts",
            Scale::Log1p => "sum of values, logs undone",
            Scale::Linear | Scale::Scaled => "sum of values",
        },
        totals: sums.iter().map(|s| s.total as f32).collect(),
        n_genes: sums.iter().map(|s| s.n_genes as f32).collect(),
        percent_mitochondrial: (!genes.is_empty()).then(|| sums.iter().map(Sums::percent).collect()),
        mitochondrial: genes,
    })
}

/// What is summed over one cell.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    total: f64,
    mitochondrial: f64,
    n_genes: u32,
}

impl Sums {
    fn add(&mut self, value: f32, scale: Scale, is_mitochondrial: bool) {
        if !value.is_finite() || value == 0.0 {
            return;
        }
        let value = if scale == Scale::Log1p { f64::from(value).exp_m1() } else { f64::from(value) };
        self.total += value;
        self.n_genes += u32::from(value > 0.0);
        if is_mitochondrial {
            self.mitochondrial += value;
        }
    }

    fn percent(&self) -> f32 {
        if self.total > 0.0 { (100.0 * self.mitochondrial / self.total) as f32 } else { f32::NAN }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::anndata::AnnData;
    use crate::anndata::tests::fixtures::{Fixture, Table};
    use crate::progress::Cancel;
    use crate::test_support::shared_file;

    /// Made by tests/python/analysis_expectations.py.
    fn expected() -> Value {
        serde_json::from_str(include_str!("../../../tests/expected/quality_pbmc3k.json")).unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn mitochondrial_genes_begin_with_mt_and_a_hyphen() {
        let symbols = names(&["MT-ND1", "mt-Co1", "MTND1P1", "MTOR", "Mt-Nd2", "M", "", "AMT-1"]);
        assert_eq!(mitochondrial_genes(&symbols), [0, 1, 4]);
    }

    #[test]
    fn the_figures_of_real_cells_are_scanpys() {
        let Some(path) = shared_file("data/cells/pbmc3k_seurat.h5ad") else { return };
        let data = AnnData::open(&path, &Watch::silent()).unwrap();
        let matrix = data.matrix(&MatrixKey::X).unwrap();
        let found =
            quality(&matrix, Scale::Counts, &data.var(&MatrixKey::X).index, &Watch::silent()).unwrap();
        assert_eq!((found.mitochondrial.len(), found.total_unit), (13, "counts"));
        let expected = expected();
        let percent = found.percent_mitochondrial.unwrap();
        for row in expected["cells"].as_array().unwrap() {
            let cell = row["cell"].as_u64().unwrap() as usize;
            assert_eq!(f64::from(found.totals[cell]), row["total_counts"].as_f64().unwrap());
            assert_eq!(f64::from(found.n_genes[cell]), row["n_genes_by_counts"].as_f64().unwrap());
            let share = row["pct_counts_mt"].as_f64().unwrap();
            assert!((f64::from(percent[cell]) - share).abs() < 1e-4, "{cell}: {} {share}", percent[cell]);
        }
        let mean = percent.iter().map(|v| f64::from(*v)).sum::<f64>() / percent.len() as f64;
        assert!((mean - expected["mean_pct_counts_mt"].as_f64().unwrap()).abs() < 1e-4);
    }

    #[test]
    fn rows_and_columns_give_the_same_and_an_empty_cell_has_no_share() {
        let mut table = Table::new(40, 6);
        for (at, value) in table.dense.iter_mut().enumerate() {
            *value = if at / 6 == 7 { 0.0 } else { (*value % 6.0).floor() };
        }
        let fixture = Fixture::new(40, 6);
        fixture.group("layers", "dict");
        for (name, encoding, by_columns) in
            [("X", "csr_matrix", false), ("layers/by_gene", "csc_matrix", true)]
        {
            let (data, indices, indptr) = table.parts(by_columns);
            fixture.compressed(name, encoding, [40, 6], (&data, &indices, &indptr));
        }
        let written = fixture.finish();
        let data = written.open().unwrap();
        let symbols = names(&["A", "MT-ND1", "B", "C", "mt-nd2", "D"]);
        let of = |key: &MatrixKey, scale: Scale| {
            quality(&data.matrix(key).unwrap(), scale, &symbols, &Watch::silent()).unwrap()
        };
        let by_rows = of(&MatrixKey::X, Scale::Counts);
        let by_columns = of(&MatrixKey::Layer("by_gene".into()), Scale::Counts);
        assert_eq!((&by_rows.totals, &by_rows.n_genes), (&by_columns.totals, &by_columns.n_genes));
        let percent = by_rows.percent_mitochondrial.unwrap();
        assert!(percent[7].is_nan() && by_rows.totals[7] == 0.0);
        for (cell, percent) in percent.iter().enumerate().filter(|(cell, _)| *cell != 7) {
            let row = &table.dense[cell * 6..cell * 6 + 6];
            let (total, share) = (row.iter().sum::<f32>(), row[1] + row[4]);
            assert_eq!(by_rows.totals[cell], total);
            if total > 0.0 {
                assert!((percent - 100.0 * share / total).abs() < 1e-4, "{percent}, {share} of {total}");
            } else {
                assert!(percent.is_nan(), "{percent}");
            }
        }
        // Logs are undone.
        let logged = of(&MatrixKey::X, Scale::Log1p);
        let want: f32 = table.dense[..6].iter().map(|v| v.exp_m1()).sum();
        assert!((logged.totals[0] - want).abs() < 1e-3 * want);
        let refused =
            quality(&data.matrix(&MatrixKey::X).unwrap(), Scale::Scaled, &symbols, &Watch::silent());
        assert!(refused.unwrap_err().to_string().contains("scaled values"));
        let cancel = Cancel::new();
        cancel.cancel();
        let stopped = quality(
            &data.matrix(&MatrixKey::X).unwrap(),
            Scale::Counts,
            &symbols,
            &Watch::new(cancel, |_| {}),
        );
        assert!(stopped.unwrap_err().is_cancelled());
    }

    #[test]
    fn without_a_mitochondrial_gene_there_is_no_share() {
        let table = Table::new(4, 3);
        let fixture = Fixture::new(4, 3);
        let (data, indices, indptr) = table.parts(false);
        fixture.compressed("X", "csr_matrix", [4, 3], (&data, &indices, &indptr));
        let written = fixture.finish();
        let data = written.open().unwrap();
        let matrix = data.matrix(&MatrixKey::X).unwrap();
        let found = quality(&matrix, Scale::Counts, &names(&["MTOR", "A", "B"]), &Watch::silent()).unwrap();
        assert_eq!((found.percent_mitochondrial, found.mitochondrial.len()), (None, 0));
    }
}
