//! Cell sentences: a cell as the symbols of its genes, highest first.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_the_highest_genes_first_and_keeps_ties_in_order() {
        let symbols: Vec<String> = ["a", "B", "", "d", "e"].iter().map(|s| (*s).to_owned()).collect();
        let row =
            SparseRow { columns: vec![0, 1, 2, 3, 4, 9], values: vec![1.0, 2.0, 8.0, 2.0, f32::NAN, 3.0] };
        assert_eq!(cell_sentence(&row, &symbols, 10), "B D A");
        assert_eq!(cell_sentence(&row, &symbols, 2), "B D");
        assert_eq!(cell_sentence(&row, &symbols, 0), "");
    }
}
