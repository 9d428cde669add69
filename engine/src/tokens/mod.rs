//! Cells as tokens: Geneformer's rank value encoding, and cell sentences.
//!
//! A [`GeneDictionary`] gives each gene its token and the median by which its counts are divided; a
//! [`RankEncoder`] bound to one file's columns turns rows of counts into token ids, highest first.
//!
//! ```
//! # fn main() -> engine::Result<()> {
//! use engine::anndata::SparseRow;
//! use engine::tokens::{GeneDictionary, RankEncoder, SpecialTokens, TokenKind};
//!
//! let genes = vec![("ENSG00000000001".to_owned(), 2, 1.0_f32), ("ENSG00000000002".to_owned(), 3, 4.0)];
//! let dictionary = GeneDictionary::from_parts(genes, SpecialTokens { pad: 0, mask: 1, cls: None, eos: None })?;
//! let columns = [Some("ENSG00000000002"), None, Some("ENSG00000000001")];
//! let encoder = RankEncoder::new(&dictionary, TokenKind::V1, 2048, &columns);
//! let row = SparseRow { columns: vec![0, 1, 2], values: vec![6.0, 9.0, 2.0] };
//! assert_eq!(encoder.encode(&row, None), [2, 3]);
//! # Ok(())
//! # }
//! ```

mod dictionary;
mod pickle;
mod rank;
mod sentence;

pub use dictionary::{GeneDictionary, SpecialTokens};
pub use rank::{RankEncoder, Readings, TokenKind};
pub use sentence::{
    PlaceLine, cell_sentence, median_total, read_sentence, sentence_columns, sentence_values,
};
