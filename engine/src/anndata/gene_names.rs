//! Where a file names its genes: the index of var, and columns that go by many names.

use super::{AnnData, Column, Frame, MatrixKey, Values};
use crate::genes::{GeneTable, ResolvedGenes, resolve_genes};

/// Columns of var that hold names for people, best first; compared without case.
const SYMBOL_COLUMNS: [&str; 12] = [
    "feature_name",
    "gene_symbols",
    "gene_symbol",
    "gene_name",
    "gene_names",
    "symbol",
    "symbols",
    "gene_short_name",
    "hgnc_symbol",
    "external_gene_name",
    "genesymbol",
    "genename",
];
/// Further columns of var that hold ids of genes; compared without case.
const ID_COLUMNS: [&str; 11] = [
    "ensembl_id",
    "gene_ids",
    "gene_id",
    "ensembl_ids",
    "ensembl",
    "ensemblid",
    "ensembl_gene_id",
    "ensembl.id",
    "feature_id",
    "accession",
    "gene_ids_ensembl",
];

impl AnnData {
    /// The genes of the columns of `matrix`, by the index of its var and by every column of it that may hold names or
    /// ids.
    pub fn resolve_genes(&self, table: &GeneTable, matrix: &MatrixKey) -> ResolvedGenes {
        let var = self.var(matrix);
        let var_path = if *matrix == MatrixKey::Raw { "raw/var" } else { "var" };
        let columns = named_columns(var, &ID_COLUMNS)
            .into_iter()
            .chain(named_columns(var, &SYMBOL_COLUMNS))
            .map(|column| (format!("{var_path}/{}", column.name), texts(column)))
            .collect::<Vec<_>>();
        let index = format!("{var_path} index");
        let candidates = std::iter::once((index.as_str(), var.index.as_slice()))
            .chain(columns.iter().map(|(name, values)| (name.as_str(), values.as_slice())))
            .collect::<Vec<_>>();
        resolve_genes(table, &candidates, self.organism().as_deref())
    }
}

/// The column of `var` that names genes for people, where it has one.
pub fn symbol_column(var: &Frame) -> Option<&Column> {
    named_columns(var, &SYMBOL_COLUMNS).into_iter().next()
}

/// The text columns of `var` called one of `names`, in the order of `names`.
fn named_columns<'a>(var: &'a Frame, names: &[&str]) -> Vec<&'a Column> {
    names
        .iter()
        .flat_map(|name| var.columns.iter().filter(|column| column.name.eq_ignore_ascii_case(name)))
        .filter(|column| matches!(column.values, Values::Categorical { .. } | Values::Text(_)))
        .collect()
}

fn texts(column: &Column) -> Vec<String> {
    (0..column.len()).map(|row| column.text(row).unwrap_or_default()).collect()
}
