//! What a cell's own genes say for or against a claim.

use std::collections::{BTreeMap, HashMap};

use super::claims::EvidenceGene;
use crate::anndata::SparseRow;
use crate::error::Problem;
use crate::genes::{GeneId, GeneTable};
use crate::pathways::{GeneSets, PAPER_SETS, ToldPathways};
use crate::{Error, Result};

/// Genes that set each cell type apart, computed from the training profiles and shipped with a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signatures {
    by_type: BTreeMap<String, Vec<String>>,
}

impl Signatures {
    /// Signatures from pairs of Cell Ontology id and Ensembl ids, the most telling first.
    pub fn new(by_type: BTreeMap<String, Vec<String>>) -> Self {
        Self { by_type }
    }

    /// Reads rows of `CL id`, tab, Ensembl ids separated by blanks.
    ///
    /// # Errors
    /// [`Error::Model`] naming the line.
    pub fn read_tsv(text: &str) -> Result<Self> {
        let by_type = text
            .lines()
            .enumerate()
            .map(|(i, line)| match line.split_once('\t') {
                Some((id, genes)) => {
                    Ok((id.to_owned(), genes.split_whitespace().map(str::to_owned).collect()))
                }
                None => Err(Error::model(Problem::new(
                    format!("signatures.tsv, line {}", i + 1),
                    "no tab",
                    "a Cell Ontology id, a tab, Ensembl ids",
                    "Get the model again.",
                ))),
            })
            .collect::<Result<_>>()?;
        Ok(Self { by_type })
    }

    /// Writes what [`Signatures::read_tsv`] reads.
    pub fn write_tsv(&self) -> String {
        self.by_type.iter().map(|(id, genes)| format!("{id}\t{}\n", genes.join(" "))).collect()
    }

    /// All types with their genes, as Ensembl ids.
    pub fn types(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.by_type.iter().map(|(id, genes)| (id.as_str(), genes.as_slice()))
    }

    /// The genes of a cell type, as Ensembl ids.
    pub fn genes(&self, cell_type: &str) -> Option<&[String]> {
        self.by_type.get(cell_type).map(Vec::as_slice)
    }
}

/// Genes named as evidence of one claim at most.
const NAMED_GENES: usize = 8;
/// A type is supported when its genes are found in the cell this many times as often as genes are in general, …
const ENRICHMENT: f64 = 1.5;
/// … and at least this many of them.
const LEAST_GENES: usize = 2;
/// A pathway is supported when it is among this many of the highest in the cell.
const PATHWAY_RANK: usize = 5;

/// One data set's columns, ready to be asked for evidence.
#[derive(Debug)]
pub(super) struct EvidenceReader {
    columns: HashMap<String, u32>,
    symbols: Vec<String>,
    n_known: usize,
    sets: GeneSets,
    pathways: ToldPathways,
    set_columns: BTreeMap<String, Vec<u32>>,
}

/// The evidence for one claim.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    pub(super) genes: Vec<EvidenceGene>,
    pub(super) supported: Option<bool>,
}

/// One cell, ranked.
#[derive(Debug)]
pub(super) struct RankedCell<'a> {
    /// Columns as the model ranks them, highest first.
    pub(super) columns: &'a [u32],
    /// Linear values.
    pub(super) row: &'a SparseRow,
}

impl EvidenceReader {
    pub(super) fn new(ensembl_ids: &[Option<&str>], symbols: &[String]) -> Result<Self> {
        let table = GeneTable::builtin()?;
        let genes: Vec<Option<GeneId>> =
            ensembl_ids.iter().map(|id| id.and_then(|id| table.by_ensembl(id))).collect();
        let columns: HashMap<String, u32> =
            ensembl_ids.iter().zip(0u32..).filter_map(|(id, i)| id.map(|id| (id.to_owned(), i))).collect();
        let by_symbol: HashMap<&str, u32> =
            genes.iter().zip(0u32..).filter_map(|(g, i)| g.map(|g| (table.symbol(g), i))).collect();
        let sets = GeneSets::hallmark()?.only(&PAPER_SETS);
        let set_columns = sets
            .sets()
            .iter()
            .map(|s| {
                (s.name.clone(), s.genes.iter().filter_map(|g| by_symbol.get(g.as_str()).copied()).collect())
            })
            .collect();
        let pathways = ToldPathways::new(&genes)?;
        let n_known = columns.len();
        Ok(Self { columns, symbols: symbols.to_vec(), n_known, sets, pathways, set_columns })
    }

    /// Genes of `signature` that the cell shows, and whether they are many for such a cell.
    pub(super) fn for_type(&self, signature: &[String], cell: &RankedCell<'_>) -> Evidence {
        let measured: Vec<u32> = signature.iter().filter_map(|id| self.columns.get(id).copied()).collect();
        let genes = self.named(&measured, cell);
        if measured.len() < LEAST_GENES || self.n_known == 0 {
            return Evidence { genes, supported: None };
        }
        let shown = measured.iter().filter(|&&c| cell.row.value(c) > 0.0).count();
        let share = shown as f64 / measured.len() as f64;
        let share_of_all = cell.columns.len() as f64 / self.n_known as f64;
        // Where a cell shows most of the file's genes no share can be far above the rest.
        let needed = (ENRICHMENT * share_of_all).min(0.5 * (1.0 + share_of_all));
        Evidence { genes, supported: Some(shown >= LEAST_GENES && share >= needed) }
    }

    /// Genes of a pathway that the cell shows, and whether the pathway is among its highest.
    pub(super) fn for_pathway(&self, set: &str, cell: &RankedCell<'_>) -> Evidence {
        let genes = self.set_columns.get(set).map(|columns| self.named(columns, cell)).unwrap_or_default();
        let place = self.sets.sets().iter().position(|s| s.name == set);
        // A file with hardly a gene of the set gives no verdict.
        let measured = self.set_columns.get(set).map_or(0, Vec::len);
        let supported = place.filter(|_| measured >= LEAST_GENES).map(|place| {
            let scores = self.pathways.scores(cell.row);
            let own = scores.get(place).copied().unwrap_or(0.0);
            own > 0.0 && scores.iter().filter(|&&s| s > own).count() < PATHWAY_RANK
        });
        Evidence { genes, supported }
    }

    /// The highest ranked of `columns` in the cell.
    fn named(&self, columns: &[u32], cell: &RankedCell<'_>) -> Vec<EvidenceGene> {
        cell.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| columns.contains(column))
            .take(NAMED_GENES)
            .map(|(i, &column)| EvidenceGene {
                symbol: self.symbols.get(column as usize).cloned().unwrap_or_default(),
                rank: i + 1,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> (EvidenceReader, Vec<String>) {
        let table = GeneTable::builtin().unwrap();
        let symbols: Vec<String> = [
            "LYZ", "CD14", "S100A8", "FCN1", "CD3D", "CD3E", "IL7R", "MS4A1", "CD79A", "ACTB", "GAPDH",
            "MALAT1",
        ]
        .map(str::to_owned)
        .to_vec();
        let ids: Vec<String> =
            symbols.iter().map(|s| table.ensembl_id(table.resolve(s).unwrap().0).to_owned()).collect();
        let refs: Vec<Option<&str>> = ids.iter().map(|i| Some(i.as_str())).collect();
        (EvidenceReader::new(&refs, &symbols).unwrap(), ids)
    }

    #[test]
    fn a_type_whose_genes_the_cell_shows_is_supported_and_another_is_not() {
        let (reader, ids) = reader();
        let row = SparseRow { columns: vec![0, 1, 2, 9, 10], values: vec![9., 4., 6., 2., 1.] };
        let cell = RankedCell { columns: &[0, 2, 1, 9, 10], row: &row };
        let monocyte = reader.for_type(&ids[..4], &cell);
        assert_eq!(monocyte.supported, Some(true));
        let named: Vec<(&str, usize)> = monocyte.genes.iter().map(|g| (g.symbol.as_str(), g.rank)).collect();
        assert_eq!(named, [("LYZ", 1), ("S100A8", 2), ("CD14", 3)]);
        let t_cell = reader.for_type(&ids[4..7], &cell);
        assert_eq!((t_cell.supported, t_cell.genes.len()), (Some(false), 0));
        assert_eq!(reader.for_type(&["ENSG00000000000".to_owned()], &cell).supported, None);
    }

    #[test]
    fn signatures_survive_being_written_and_read() {
        let signatures =
            Signatures::new([("CL:0000576".to_owned(), vec!["ENSG1".to_owned(), "ENSG2".to_owned()])].into());
        assert_eq!(Signatures::read_tsv(&signatures.write_tsv()).unwrap(), signatures);
        assert!(Signatures::read_tsv("CL:0000576 ENSG1").is_err());
    }
}
