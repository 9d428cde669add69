//! Geneformer's rank value encoding.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::dictionary::GeneDictionary;
use crate::anndata::{SparseRow, sum_repeated};

/// The two ways in which Geneformer's models expect their input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Gene tokens alone.
    V1,
    /// `<cls>`, gene tokens, `<eos>`.
    V2,
}

/// How often a cell is read, each time without other genes ([`RankEncoder::readings`]): once, as a whole, to eight times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Readings(u8);

impl Readings {
    /// More take long and tell nothing more.
    const MOST: u8 = 8;

    /// The number.
    pub fn count(self) -> usize {
        usize::from(self.0)
    }

    /// Whether a cell is read as a whole.
    pub fn is_one(&self) -> bool {
        self.0 == 1
    }
}

impl Default for Readings {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for Readings {
    type Error = String;

    fn try_from(count: u8) -> Result<Self, String> {
        let allowed = 1..=Self::MOST;
        if allowed.contains(&count) {
            Ok(Self(count))
        } else {
            Err(format!("{count} readings, not 1 to {}", Self::MOST))
        }
    }
}

impl From<Readings> for u8 {
    fn from(readings: Readings) -> Self {
        readings.0
    }
}

/// Counts are brought to this sum before the medians divide them.
const TARGET_SUM: f64 = 10_000.0;

/// No gene of the vocabulary.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Gene {
    token: u32,
    median: f64,
    /// The first of the file's columns that are this gene.
    column: u32,
}

/// The encoder of one file's cells.
#[derive(Debug, Clone)]
pub struct RankEncoder {
    /// The gene of each column, as an index into `genes`; [`NONE`] where the column is not in the vocabulary.
    gene_of_column: Vec<u32>,
    /// The vocabulary's genes in the file, in the order of their first columns.
    genes: Vec<Gene>,
    repeated: bool,
    max_len: usize,
    first: Option<u32>,
    last: Option<u32>,
}

impl RankEncoder {
    /// An encoder for a file whose columns are the genes `ensembl_ids`.
    ///
    /// Columns with the same id are summed. Columns without id, or whose id has no token or no median in
    /// `dictionary`, are left out. The encoding has at most `max_len` tokens, specials included; for
    /// [`TokenKind::V2`] the specials come from the dictionary, and one that it lacks is left out.
    pub fn new(
        dictionary: &GeneDictionary,
        kind: TokenKind,
        max_len: usize,
        ensembl_ids: &[Option<&str>],
    ) -> Self {
        let mut slots: HashMap<u32, u32> = HashMap::new();
        let mut genes = Vec::new();
        let mut repeated = false;
        let gene_of_column = ensembl_ids
            .iter()
            .enumerate()
            .map(|(column, id)| {
                let Some((token, median)) = id.and_then(|id| dictionary.token_and_median(id)) else {
                    return NONE;
                };
                let next = genes.len() as u32;
                let slot = *slots.entry(token).or_insert(next);
                if slot == next {
                    genes.push(Gene { token, median, column: column as u32 });
                } else {
                    repeated = true;
                }
                slot
            })
            .collect();
        let (first, last) = match kind {
            TokenKind::V1 => (None, None),
            TokenKind::V2 => (dictionary.special().cls, dictionary.special().eos),
        };
        Self { gene_of_column, genes, repeated, max_len, first, last }
    }

    /// The tokens of one cell, `[tokens]`: its genes by `count / n_counts × 10,000 / median`, highest first, ties
    /// in the order of the columns.
    ///
    /// `n_counts` is the cell's sum over **all** genes of the file, also those outside the vocabulary; without it,
    /// or where it is not a positive number, it is the sum of `row`. What is zero, negative or not a number is no
    /// count and is left out.
    pub fn encode(&self, row: &SparseRow, n_counts: Option<f64>) -> Vec<u32> {
        self.tokens_of(self.rank(row, n_counts).into_iter())
    }

    /// As many encodings of one cell as `readings` says, `[readings][tokens]`: of `n` each leaves out every `n`-th gene of the
    /// order, the first one the first, the second one the second, and so on. Where one of them would have fewer than `least`
    /// tokens, or `n` is one, there is only that of [`RankEncoder::encode`].
    pub fn readings(&self, row: &SparseRow, readings: Readings, least: usize) -> Vec<Vec<u32>> {
        let n = readings.count();
        let ranked = self.rank(row, None);
        let without = |left_out: usize| {
            let seen = ranked.iter().enumerate().filter(move |(at, _)| at % n != left_out);
            self.tokens_of(seen.map(|(_, slot)| *slot))
        };
        if n > 1 {
            let readings: Vec<_> = (0..n).map(without).collect();
            if readings.iter().all(|reading| reading.len() >= least) {
                return readings;
            }
        }
        vec![self.tokens_of(ranked.into_iter())]
    }

    /// The tokens of the genes in `ranked`, as many as there is room for, and the specials around them.
    fn tokens_of(&self, ranked: impl Iterator<Item = u32>) -> Vec<u32> {
        let room =
            self.max_len.saturating_sub(usize::from(self.first.is_some()) + usize::from(self.last.is_some()));
        let genes = ranked.take(room).filter_map(|slot| self.genes.get(slot as usize)).map(|gene| gene.token);
        self.first.into_iter().chain(genes).chain(self.last).take(self.max_len).collect()
    }

    /// The same order as file columns, without the limit: what the model saw, for evidence. A gene that several
    /// columns share stands as the first of them.
    pub fn ranked_columns(&self, row: &SparseRow) -> Vec<u32> {
        let slots = self.rank(row, None);
        slots.iter().filter_map(|slot| self.genes.get(*slot as usize)).map(|gene| gene.column).collect()
    }

    /// Columns of the file that are in the vocabulary.
    pub fn known_columns(&self) -> usize {
        self.gene_of_column.iter().filter(|slot| **slot != NONE).count()
    }

    /// The most tokens an encoding can have, specials included.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    fn rank(&self, row: &SparseRow, n_counts: Option<f64>) -> Vec<u32> {
        let counts = || row.values.iter().map(|value| f64::from(*value)).filter(|count| is_count(*count));
        let n_counts = n_counts.filter(|sum| is_count(*sum)).unwrap_or_else(|| counts().sum());
        let mut found: Vec<(u32, f64)> = Vec::with_capacity(row.columns.len());
        for (column, value) in row.columns.iter().zip(&row.values) {
            match self.gene_of_column.get(*column as usize) {
                Some(slot) if *slot != NONE && is_count(f64::from(*value)) => {
                    found.push((*slot, f64::from(*value)));
                }
                _ => {}
            }
        }
        if self.repeated {
            sum_repeated(&mut found);
        }
        // In double precision and in this order of operations, as the tool of the paper does: it decides ties.
        for (slot, value) in &mut found {
            let median = self.genes.get(*slot as usize).map_or(1.0, |gene| gene.median);
            *value = *value / n_counts * TARGET_SUM / median;
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.into_iter().map(|(slot, _)| slot).collect()
    }
}

fn is_count(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use proptest::prelude::*;

    use super::super::pickle::{self, Scalar};
    use super::*;
    use crate::genes::testing;
    use crate::test_support::{reference_file, shared_file};
    use crate::tokens::SpecialTokens;

    fn dictionary(medians: &[f64]) -> GeneDictionary {
        let genes =
            medians.iter().enumerate().map(|(i, median)| (format!("ENSG{i:011}"), i as u32 + 4, *median));
        let special = SpecialTokens { pad: 0, mask: 1, cls: Some(2), eos: Some(3) };
        GeneDictionary::from_parts(genes.collect(), special).unwrap()
    }

    fn row(values: &[f32]) -> SparseRow {
        SparseRow { columns: (0..values.len() as u32).collect(), values: values.to_vec() }
    }

    #[test]
    fn genes_rank_by_count_over_median_and_ties_keep_the_order_of_columns() {
        let dictionary = dictionary(&[2.0, 1.0, 4.0, 1.0]);
        let ids: Vec<String> = (0..4).map(|i| format!("ENSG{i:011}")).collect();
        let columns: Vec<Option<&str>> = ids.iter().map(|id| Some(id.as_str())).collect();
        let encoder = RankEncoder::new(&dictionary, TokenKind::V1, 2048, &columns);
        assert_eq!(encoder.encode(&row(&[4.0, 2.0, 12.0, 0.0]), None), [6, 4, 5]);
        assert_eq!(encoder.ranked_columns(&row(&[4.0, 2.0, 12.0, 0.0])), [2, 0, 1]);
        let encoder = RankEncoder::new(&dictionary, TokenKind::V2, 4, &columns);
        assert_eq!(encoder.encode(&row(&[4.0, 2.0, 12.0, 0.0]), None), [2, 6, 4, 3]);
        assert_eq!(encoder.encode(&row(&[]), None), [2, 3]);
        assert_eq!(RankEncoder::new(&dictionary, TokenKind::V2, 1, &columns).encode(&row(&[1.0]), None), [2]);
    }

    #[test]
    fn readings_leave_out_every_third_gene_and_small_cells_are_read_as_wholes() {
        let dictionary = dictionary(&[1.0; 9]);
        let ids: Vec<String> = (0..9).map(|i| format!("ENSG{i:011}")).collect();
        let columns: Vec<Option<&str>> = ids.iter().map(|id| Some(id.as_str())).collect();
        let encoder = RankEncoder::new(&dictionary, TokenKind::V2, 6, &columns);
        let cell = row(&[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
        let three = Readings::try_from(3).unwrap();
        // The genes' tokens begin at 4; each reading has room for four beside the specials.
        assert_eq!(
            encoder.readings(&cell, three, 6),
            [[2, 5, 6, 8, 9, 3], [2, 4, 6, 7, 9, 3], [2, 4, 5, 7, 8, 3]]
        );
        assert_eq!(encoder.readings(&cell, Readings::default(), 6), [encoder.encode(&cell, None)]);
        let small = row(&[9.0, 8.0, 7.0, 6.0]);
        assert_eq!(encoder.readings(&small, three, 5), [encoder.encode(&small, None)]);
        assert_eq!(encoder.readings(&small, three, 4).len(), 3);
        let read = |json: &str| serde_json::from_str::<Readings>(json);
        assert_eq!(read("3").unwrap(), three);
        assert!(read("1").unwrap().is_one());
        for wrong in ["0", "9", "300", "-1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn columns_of_one_gene_are_summed_and_unknown_columns_left_out() {
        let dictionary = dictionary(&[1.0, 1.0]);
        let columns = [
            Some("ENSG00000000001"),
            None,
            Some("ENSG00000000000"),
            Some("ENSG9"),
            Some("ENSG00000000001.7"),
        ];
        let encoder = RankEncoder::new(&dictionary, TokenKind::V1, 2048, &columns);
        assert_eq!(encoder.known_columns(), 3);
        assert_eq!(encoder.encode(&row(&[1.0, 9.0, 1.5, 9.0, 1.0]), None), [5, 4]);
        assert_eq!(encoder.encode(&row(&[f32::NAN, 9.0, -1.5, 9.0, f32::INFINITY]), None), [0_u32; 0]);
        assert_eq!(encoder.ranked_columns(&row(&[0.0, 0.0, 1.5, 0.0, 2.0])), [0, 2]);
    }

    #[test]
    fn kinds_are_written_in_lower_case() {
        assert_eq!(serde_json::to_string(&TokenKind::V2).unwrap(), "\"v2\"");
    }

    #[test]
    fn reference_rank_encoding_agrees_with_geneformer_on_pbmc3k() {
        let (Some(reference), Some(h5ad), Some(folder)) = (
            reference_file("tokens_v1_pbmc3k.json"),
            shared_file("data/cells/pbmc3k_seurat.h5ad"),
            shared_file("data/geneformer"),
        ) else {
            return;
        };
        let reference: serde_json::Value =
            serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
        let dictionary = GeneDictionary::read(
            &folder.join("token_dictionary.pkl"),
            &folder.join("gene_median_dictionary.pkl"),
        )
        .unwrap();
        assert_eq!(dictionary.len(), 25_424);

        let names = pickle::read(&std::fs::read(folder.join("gene_name_id_dict.pkl")).unwrap()).unwrap();
        let names: HashMap<String, String> = names
            .into_iter()
            .filter_map(|pair| match pair {
                (Scalar::Text(name), Scalar::Text(id)) => Some((name.to_string(), id.to_string())),
                _ => None,
            })
            .collect();
        let symbols = testing::var_column(&h5ad, "gene_symbol");
        let mut seen = HashSet::new();
        let columns: Vec<Option<&str>> = symbols
            .iter()
            .map(|symbol| names.get(symbol).map(String::as_str).filter(|id| seen.insert(id.to_string())))
            .collect();
        let encoder = RankEncoder::new(&dictionary, TokenKind::V1, 2048, &columns);

        let file = hdf5::File::open(&h5ad).unwrap();
        let cells = file.dataset("obs/_index").unwrap().read_raw::<hdf5::types::VarLenUnicode>().unwrap();
        let rows: BTreeMap<&str, usize> =
            cells.iter().enumerate().map(|(row, name)| (name.as_str(), row)).collect();
        let starts = file.dataset("X/indptr").unwrap().read_raw::<i32>().unwrap();
        let indices = file.dataset("X/indices").unwrap().read_raw::<i32>().unwrap();
        let data = file.dataset("X/data").unwrap().read_raw::<f32>().unwrap();
        let mut agreeing = 0;
        for (cell, tokens) in reference["cells"].as_object().unwrap() {
            let at = rows[cell.as_str()];
            let range = starts[at] as usize..starts[at + 1] as usize;
            let mut entries: Vec<(u32, f32)> = indices[range.clone()]
                .iter()
                .map(|column| *column as u32)
                .zip(data[range].iter().copied())
                .collect();
            entries.sort_by_key(|(column, _)| *column);
            let (columns_of_row, values) = entries.into_iter().unzip();
            let row = SparseRow { columns: columns_of_row, values };
            let kept = row
                .columns
                .iter()
                .zip(&row.values)
                .filter(|(column, _)| columns[**column as usize].is_some());
            let n_counts = kept.map(|(_, value)| f64::from(*value)).sum();
            let expected: Vec<u32> =
                tokens.as_array().unwrap().iter().map(|token| token.as_u64().unwrap() as u32).collect();
            assert_eq!(encoder.encode(&row, Some(n_counts)), expected, "{cell}");
            agreeing += 1;
        }
        assert_eq!(agreeing, 60);
    }

    proptest! {
        #[test]
        fn an_encoding_is_sorted_distinct_and_within_its_limit(
            counts in prop::collection::vec(0_u16..50, 30),
            medians in prop::collection::vec(0.01_f64..100.0, 20),
            columns in prop::collection::vec(prop::option::of(0_usize..25), 30),
            max_len in 0_usize..20,
        ) {
            let dictionary = dictionary(&medians);
            let ids: Vec<Option<String>> = columns.iter().map(|gene| gene.map(|i| format!("ENSG{i:011}"))).collect();
            let ids: Vec<Option<&str>> = ids.iter().map(Option::as_deref).collect();
            let encoder = RankEncoder::new(&dictionary, TokenKind::V1, max_len, &ids);
            let row = row(&counts.iter().map(|count| f32::from(*count)).collect::<Vec<_>>());
            let tokens = encoder.encode(&row, None);
            prop_assert!(tokens.len() <= max_len);
            let mut sums = [0.0; 20];
            for (gene, count) in columns.iter().zip(&counts) {
                if let Some(sum) = gene.and_then(|gene| sums.get_mut(gene)) {
                    *sum += f64::from(*count);
                }
            }
            let values: Vec<f64> = tokens.iter().map(|token| {
                let gene = *token as usize - 4;
                sums[gene] / medians[gene]
            }).collect();
            prop_assert!(values.windows(2).all(|pair| pair[0] >= pair[1] * (1.0 - 1e-12)));
            prop_assert!(values.iter().all(|value| *value > 0.0));
            let expressed = sums.iter().filter(|sum| **sum > 0.0).count();
            prop_assert_eq!(tokens.len(), expressed.min(max_len));
            prop_assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), tokens.len());
            prop_assert_eq!(encoder.ranked_columns(&row).len(), expressed);
        }
    }
}
