//! Which genes set each cell type of a corpus apart from the others.

use std::collections::BTreeMap;

use super::corpus::Corpus;
use crate::Result;
use crate::describe::Signatures;
use crate::genes::GeneTable;

/// Genes of one signature.
const SIGNATURE_GENES: usize = 40;
/// A gene counts for a type only above this mean of ln(1 + counts per 10,000).
const LEAST_MEAN: f64 = 0.3;

/// For each type the genes whose mean over its rows, ln(1 + counts per 10,000), lies farthest above the mean over all
/// types.
pub(super) fn signatures(corpus: &Corpus) -> Result<Signatures> {
    let (n_types, n_genes) = (corpus.cell_types.len(), corpus.genes.len());
    let mut means = vec![vec![0f64; n_genes]; n_types];
    let mut counts = vec![0f64; n_types];
    for row in corpus.sources.iter().flat_map(|s| &s.rows) {
        let unit = 1e4 / row.values.total().max(f64::MIN_POSITIVE);
        counts[row.cell_type] += 1.0;
        for (gene, value) in row.values.iter() {
            means[row.cell_type][gene as usize] += (f64::from(value) * unit).ln_1p();
        }
    }
    for (mean, count) in means.iter_mut().zip(&counts) {
        mean.iter_mut().for_each(|v| *v /= count.max(1.0));
    }
    let overall: Vec<f64> =
        (0..n_genes).map(|g| means.iter().map(|m| m[g]).sum::<f64>() / n_types as f64).collect();
    let table = GeneTable::builtin()?;
    let by_type: BTreeMap<String, Vec<String>> = corpus
        .cell_types
        .words()
        .iter()
        .zip(&means)
        .map(|(id, mean)| {
            let mut genes: Vec<usize> = (0..n_genes).filter(|&g| mean[g] > LEAST_MEAN).collect();
            genes.sort_by(|&a, &b| (mean[b] - overall[b]).total_cmp(&(mean[a] - overall[a])).then(a.cmp(&b)));
            genes.truncate(SIGNATURE_GENES);
            (id.clone(), genes.into_iter().map(|g| table.ensembl_id(corpus.genes[g]).to_owned()).collect())
        })
        .collect();
    Ok(Signatures::new(by_type))
}
