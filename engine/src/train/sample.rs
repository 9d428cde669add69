//! Drawn cells with their labels in words, for whoever else learns from the same data.

use std::path::Path;

use rayon::prelude::*;

use super::corpus::{Corpus, Vocabulary};
use super::draw::Drawer;
use super::recipe::Recipe;
use crate::Result;
use crate::anndata::SparseRow;
use crate::genes::GeneId;
use crate::progress::Watch;

/// A cell as training sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledDraw {
    /// Linear values over the genes handed over with it.
    pub values: SparseRow,
    /// Cell Ontology id.
    pub cell_type: String,
    /// The words for its tissue.
    pub tissue: String,
    /// The words for its disease; empty for a normal donor.
    pub disease: String,
}

/// Cells handed over at once.
const BLOCK: u64 = 64;
/// Sets these cells apart from those that training and gene medians see.
const SERIES: u64 = 1 << 61;

/// Who takes drawn cells, some at a time, with the genes that their values stand for.
pub type Taker<'a> = &'a mut dyn FnMut(&[GeneId], Vec<LabelledDraw>) -> Result<()>;

/// Draws `count` cells as `recipe` draws them for training, but other ones, and hands them over in blocks with the
/// genes of their columns.
///
/// # Errors
/// What reading the recipe's files gives; what `each` gives; [`crate::Error::Cancelled`].
pub fn draw_labelled(recipe: &Recipe, data: &Path, count: u64, watch: &Watch, each: Taker<'_>) -> Result<()> {
    let corpus = Corpus::read(recipe, data, watch)?;
    let drawer = Drawer::new(&corpus, &recipe.cells, recipe.seed)?;
    let word = |words: &Vocabulary, number: usize| words.words().get(number).cloned().unwrap_or_default();
    for first in (0..count).step_by(BLOCK as usize) {
        watch.step("Drawing training cells", first, Some(count))?;
        let drawn = (first..(first + BLOCK).min(count))
            .into_par_iter()
            .map(|number| {
                let cell = drawer.draw(number | SERIES);
                LabelledDraw {
                    cell_type: word(&corpus.cell_types, cell.row.cell_type),
                    tissue: word(&corpus.tissues, cell.row.tissue),
                    disease: word(&corpus.diseases, cell.row.disease),
                    values: cell.values,
                }
            })
            .collect();
        each(&corpus.genes, drawn)?;
    }
    Ok(())
}
