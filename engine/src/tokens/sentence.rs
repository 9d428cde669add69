//! Cell sentences: a cell as the symbols of its genes, highest first, and the way back from a sentence to values.
//!
//! After Cell2Sentence (Levine et al. 2024, and its code): counts are brought to the median total and to log10(1 + x), a
//! sentence lists symbols by falling value, and values come back from the places by a line over log10(1 + place).

use std::collections::{BTreeMap, HashMap};
use std::f64::consts::LN_10;

use crate::anndata::SparseRow;

/// The symbols of the `n_genes` highest genes of a cell, in upper case and separated by blanks.
///
/// `symbols` names every column of the file; columns without a name are passed over. Ties keep the order of the
/// columns, so that a cell always gives the same sentence (Cell2Sentence itself breaks ties at random).
pub fn cell_sentence(row: &SparseRow, symbols: &[String], n_genes: usize) -> String {
    let named = |column: u32| symbols.get(column as usize).map(|symbol| symbol.trim().to_uppercase());
    sentence_columns(row, symbols).into_iter().take(n_genes).filter_map(named).collect::<Vec<_>>().join(" ")
}

/// The columns of a cell's sentence in its order: those above zero that have a symbol, highest first.
pub fn sentence_columns(row: &SparseRow, symbols: &[String]) -> Vec<u32> {
    let named = |column: u32| symbols.get(column as usize).is_some_and(|symbol| !symbol.trim().is_empty());
    let mut genes: Vec<(f32, u32)> = row
        .columns
        .iter()
        .zip(&row.values)
        .filter(|(column, value)| **value > 0.0 && value.is_finite() && named(**column))
        .map(|(column, value)| (*value, *column))
        .collect();
    genes.sort_by(|a, b| b.0.total_cmp(&a.0));
    genes.into_iter().map(|(_, column)| column).collect()
}

/// Brings a cell's linear values to what Cell2Sentence orders and writes: log10(1 + value × `target` ÷ the cell's total),
/// where `target` is the median total of the data set's cells ([`median_total`]).
pub fn sentence_values(row: &SparseRow, total: f64, target: f64) -> SparseRow {
    let factor = if total > 0.0 { target / total } else { 0.0 };
    SparseRow {
        columns: row.columns.clone(),
        values: row
            .values
            .iter()
            .map(|&value| ((f64::from(value) * factor).ln_1p() / LN_10) as f32)
            .collect(),
    }
}

/// The median of the totals above zero; zero where there is none.
pub fn median_total(totals: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = totals.iter().copied().filter(|total| *total > 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => at(n / 2),
        n => (at(n / 2 - 1) + at(n / 2)) / 2.0,
    }
}

/// Genes at places from this power of ten on say nothing of the line: their values are all alike.
const LONGEST_LOG_PLACE: f64 = 3.0;

/// How the value of a gene follows from its place in a cell sentence: `intercept` + `slope` × log10(1 + place), places
/// counted from 0. Sentences are turned back into values with it (Cell2Sentence, inverse transform).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlaceLine {
    /// Change of the value when the place grows tenfold.
    pub slope: f64,
    /// Value of the first gene.
    pub intercept: f64,
}

impl PlaceLine {
    /// The line of Cell2Sentence's tutorial, fitted on its immune cells.
    pub const TUTORIAL: Self = Self { slope: -0.67569, intercept: 2.23785 };

    /// The least-squares line through the genes above zero of cells with [`sentence_values`]. `None` where they lie at
    /// fewer than two places.
    pub fn fit<'a>(cells: impl IntoIterator<Item = &'a SparseRow>) -> Option<Self> {
        // Sums of x, y, x² and xy over all points.
        let (mut n, mut sums) = (0f64, [0f64; 4]);
        for cell in cells {
            let mut values: Vec<f32> = cell.values.iter().copied().filter(|v| *v > 0.0).collect();
            values.sort_by(|a, b| b.total_cmp(a));
            for (place, value) in values.into_iter().enumerate() {
                let (x, y) = (log_place(place), f64::from(value));
                if x >= LONGEST_LOG_PLACE {
                    break;
                }
                n += 1.0;
                for (sum, term) in sums.iter_mut().zip([x, y, x * x, x * y]) {
                    *sum += term;
                }
            }
        }
        let [x, y, xx, xy] = sums;
        let spread = n * xx - x * x;
        if n < 2.0 || spread <= 0.0 {
            return None;
        }
        let slope = (n * xy - x * y) / spread;
        Some(Self { slope, intercept: (y - slope * x) / n })
    }

    /// The values that the genes of a sentence stand for; `columns` are their columns in the order of the sentence, `None`
    /// a word that is no gene, which keeps its place. Genes that the sentence does not name are zero.
    pub fn values(self, columns: &[Option<u32>]) -> SparseRow {
        let mut entries: Vec<(u32, f32)> = columns
            .iter()
            .enumerate()
            .filter_map(|(place, column)| {
                Some(((*column)?, (self.intercept + self.slope * log_place(place)) as f32))
            })
            .collect();
        entries.sort_by_key(|(column, _)| *column);
        SparseRow {
            columns: entries.iter().map(|(column, _)| *column).collect(),
            values: entries.iter().map(|(_, value)| *value).collect(),
        }
    }
}

fn log_place(place: usize) -> f64 {
    (1.0 + place as f64).log10()
}

/// The columns of the genes that a written sentence names, in its order; `None` for a word that is no gene of
/// `symbols`.
///
/// A gene that is named several times stands once, at the mean of its places rounded down, as Cell2Sentence puts it: gene by
/// gene in the order in which they first come, each time counting places in what the genes before have left.
pub fn read_sentence(text: &str, symbols: &[String]) -> Vec<Option<u32>> {
    let column_of: HashMap<String, u32> = symbols
        .iter()
        .enumerate()
        .rev()
        .map(|(i, symbol)| (symbol.trim().to_uppercase(), i as u32))
        .collect();
    let mut words: Vec<Option<u32>> =
        text.split_whitespace().map(|word| column_of.get(&word.to_uppercase()).copied()).collect();
    let mut seen = BTreeMap::<u32, usize>::new();
    let mut first_come = Vec::new();
    for column in words.iter().flatten() {
        let count = seen.entry(*column).or_default();
        *count += 1;
        if *count == 1 {
            first_come.push(*column);
        }
    }
    for column in first_come {
        if seen.get(&column).copied().unwrap_or(0) < 2 {
            continue;
        }
        let places: Vec<usize> = words
            .iter()
            .enumerate()
            .filter(|(_, word)| **word == Some(column))
            .map(|(place, _)| place)
            .collect();
        let mean = places.iter().sum::<usize>() / places.len().max(1);
        words.retain(|word| *word != Some(column));
        words.insert(mean.min(words.len()), Some(column));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(symbols: &[&str]) -> Vec<String> {
        symbols.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn a_sentence_names_the_highest_genes_first_and_keeps_ties_in_order() {
        let symbols = names(&["a", "B", "", "d", "e"]);
        let row =
            SparseRow { columns: vec![0, 1, 2, 3, 4, 9], values: vec![1.0, 2.0, 8.0, 2.0, f32::NAN, 3.0] };
        assert_eq!(cell_sentence(&row, &symbols, 10), "B D A");
        assert_eq!(cell_sentence(&row, &symbols, 2), "B D");
        assert_eq!(cell_sentence(&row, &symbols, 0), "");
    }

    /// What `tests/python/sentence_expectations.py` wrote with scanpy and numpy.
    #[derive(serde::Deserialize)]
    struct Expected {
        counts: Vec<Vec<f32>>,
        values: Vec<Vec<f64>>,
        sentences: Vec<String>,
        slope: f64,
        intercept: f64,
        back: Vec<Vec<f64>>,
    }

    fn dense(row: &SparseRow, width: usize) -> Vec<f64> {
        let mut out = vec![0.0; width];
        row.columns
            .iter()
            .zip(&row.values)
            .for_each(|(&column, &value)| out[column as usize] = f64::from(value));
        out
    }

    #[test]
    fn values_sentences_and_the_way_back_agree_with_scanpy_and_numpy() {
        let expected: Expected =
            serde_json::from_str(include_str!("../../../tests/expected/cell_sentences.json")).unwrap();
        let width = expected.counts[0].len();
        let symbols: Vec<String> = (0..width).map(|i| format!("g{i}")).collect();
        let rows: Vec<SparseRow> = expected
            .counts
            .iter()
            .map(|counts| {
                let entries = || counts.iter().zip(0u32..).filter(|(value, _)| **value > 0.0);
                SparseRow {
                    columns: entries().map(|(_, column)| column).collect(),
                    values: entries().map(|(value, _)| *value).collect(),
                }
            })
            .collect();
        let total = |row: &SparseRow| row.values.iter().map(|v| f64::from(*v)).sum::<f64>();
        let target = median_total(&rows.iter().map(total).collect::<Vec<_>>());
        let transformed: Vec<SparseRow> =
            rows.iter().map(|row| sentence_values(row, total(row), target)).collect();
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-6);
        for (i, row) in transformed.iter().enumerate() {
            assert!(close(&dense(row, width), &expected.values[i]), "cell {i}");
            // The order is that of the counts themselves.
            assert_eq!(cell_sentence(row, &symbols, width), expected.sentences[i]);
            assert_eq!(cell_sentence(&rows[i], &symbols, width), expected.sentences[i]);
        }
        let line = PlaceLine::fit(&transformed).unwrap();
        assert!((line.slope - expected.slope).abs() < 1e-6, "{line:?}");
        assert!((line.intercept - expected.intercept).abs() < 1e-6, "{line:?}");
        for (sentence, back) in expected.sentences.iter().zip(&expected.back) {
            let row = line.values(&read_sentence(sentence, &symbols));
            assert!(close(&dense(&row, width), back), "{sentence}");
        }
        assert_eq!(PlaceLine::fit(&[SparseRow { columns: vec![3], values: vec![1.0] }]), None);
        // By hand: the tenth gene of a sentence, one place below ten.
        let tenth = PlaceLine::TUTORIAL.values(&[vec![None; 9], vec![Some(0)]].concat());
        assert!((f64::from(tenth.values[0]) - (2.23785 - 0.67569)).abs() < 1e-6);
    }

    #[test]
    fn a_gene_named_twice_stands_once_at_the_mean_of_its_places() {
        let symbols = names(&["A", "B", "C"]);
        let read = |text: &str| read_sentence(text, &symbols);
        // A at 0 and 3: mean 1 of what is left, "b zz c".
        assert_eq!(read("A b zz a c"), [Some(1), Some(0), None, Some(2)]);
        // A at 0, 2, 4 stands at 2 of "B C"; then B, at 0 alone, stays.
        assert_eq!(read(" A B A C A"), [Some(1), Some(2), Some(0)]);
        assert!(read("").is_empty());
    }

    #[test]
    fn the_median_total_leaves_out_cells_of_nothing() {
        assert_eq!(median_total(&[0.0, 4.0, 1.0, 3.0]), 3.0);
        assert_eq!(median_total(&[2.0, 4.0]), 3.0);
        assert_eq!(median_total(&[0.0]), 0.0);
    }
}
