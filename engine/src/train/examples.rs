//! From drawn cells to what the model is shown: gene tokens, labels, the words of the description.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer, TokenizerBuilder};

use super::choose_genes;
use super::corpus::{Corpus, LabelledRow};
use super::draw::Drawer;
use super::recipe::{GeneChoice, Recipe};
use crate::describe::{KnownWords, Phrases, Taught};
use crate::error::Problem;
use crate::genes::{GeneId, GeneTable};
use crate::model::TextTokenizer;
use crate::pathways::ToldPathways;
use crate::progress::Watch;
use crate::tokens::{GeneDictionary, RankEncoder, SpecialTokens, TokenKind};
use crate::{Error, Result};

/// One cell as the model sees it in training.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Example {
    /// Its place in the endless series.
    pub(super) number: u64,
    /// Rank value encoding.
    pub(super) tokens: Vec<u32>,
    /// The description's tokens, the end token included.
    pub(super) text: Vec<u32>,
    /// Number of the cell type.
    pub(super) cell_type: usize,
    /// Number of the tissue.
    pub(super) tissue: usize,
    /// Number of the disease.
    pub(super) disease: usize,
    /// The two most enriched gene sets.
    pub(super) pathways: [usize; 2],
}

/// Makes examples by number.
#[derive(Debug)]
pub(super) struct ExampleMaker<'a> {
    corpus: &'a Corpus,
    drawer: Drawer<'a>,
    encoder: RankEncoder,
    pathways: ToldPathways,
    phrases: &'static Phrases,
    pathway_texts: Vec<String>,
    /// Types that are never told, by Cell Ontology id.
    untold: &'a [String],
    tokenizer: TextTokenizer,
    end_of_text: u32,
    /// Shorter encodings are not shown.
    least_tokens: usize,
    /// Whether encodings end with a token of their own.
    has_end: bool,
}

/// How often another cell is drawn in place of one with too few genes.
const REDRAWS: u64 = 20;

impl<'a> ExampleMaker<'a> {
    /// Prepares the dictionary and the tokenizer where they are not given, as they are when a run goes on.
    ///
    /// # Errors
    /// [`Error::Train`] when the corpus cannot give them.
    pub(super) fn new(
        corpus: &'a Corpus,
        recipe: &'a Recipe,
        given: (Option<GeneDictionary>, Option<TextTokenizer>),
        watch: &Watch,
    ) -> Result<(Self, GeneDictionary)> {
        let drawer = Drawer::new(corpus, &recipe.cells, recipe.seed)?;
        let table = GeneTable::builtin()?;
        let columns: Vec<Option<GeneId>> = corpus.genes.iter().copied().map(Some).collect();
        let pathways = ToldPathways::new(&columns)?;
        let phrases = Phrases::builtin()?;
        let pathway_texts: Vec<String> = pathways
            .names()
            .iter()
            .map(|n| phrases.pathway(n).map_or_else(|| n.clone(), str::to_owned))
            .collect();
        let dictionary = match given.0 {
            Some(dictionary) => dictionary,
            None => build_dictionary(corpus, &drawer, recipe, watch)?,
        };
        let tokenizer = match given.1 {
            Some(tokenizer) => tokenizer,
            None => {
                watch.step("Building the tokenizer", 0, None)?;
                build_tokenizer(corpus, recipe, phrases, &pathway_texts)?
            }
        };
        let end_of_text = tokenizer.token(&recipe.decoder.end_of_text).ok_or_else(|| {
            Error::train(Problem::new(
                "decoder.end_of_text",
                recipe.decoder.end_of_text.clone(),
                "a token of the tokenizer",
                "Start the run again in an empty folder.",
            ))
        })?;
        let ids: Vec<Option<&str>> = corpus.genes.iter().map(|&g| Some(table.ensembl_id(g))).collect();
        let encoder = RankEncoder::new(&dictionary, recipe.genes.kind, recipe.genes.max_len, &ids);
        let least_tokens = recipe.genes.least.unwrap_or(recipe.prompt.top_k);
        let maker = Self {
            corpus,
            drawer,
            encoder,
            pathways,
            phrases,
            pathway_texts,
            untold: &recipe.cells.untold,
            tokenizer,
            end_of_text,
            least_tokens,
            has_end: recipe.genes.kind == TokenKind::V2 && dictionary.special().eos.is_some(),
        };
        Ok((maker, dictionary))
    }

    pub(super) fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    /// Gene sets that pathways are counted among.
    pub(super) fn n_pathways(&self) -> usize {
        self.pathway_texts.len()
    }

    /// Every word that a description of this corpus may hold.
    pub(super) fn known_words(&self) -> KnownWords {
        let pathways = self.pathway_texts.iter().cloned().collect();
        let mut words = KnownWords { pathways, ..KnownWords::default() };
        let id = |row: &LabelledRow| self.corpus.cell_types.words().get(row.cell_type);
        let told = |row: &&LabelledRow| id(row).is_none_or(|id| !self.untold.contains(id));
        for row in self.corpus.sources.iter().flat_map(|s| &s.rows).filter(told) {
            words.add(&self.corpus.facts(row, self.phrases));
        }
        words
    }

    /// How often each type is drawn from each tissue, in places of the slots of the known words.
    pub(super) fn taught(&self) -> Taught {
        let words = self.known_words();
        let mut shares: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for (row, share) in self.drawer.row_shares() {
            if let Some(places) = words.places(&self.corpus.facts(row, self.phrases)) {
                *shares.entry(places).or_default() += share;
            }
        }
        Taught {
            cell_type_slot: KnownWords::CELL_TYPE_SLOT,
            tissue_slot: KnownWords::TISSUE_SLOT,
            shares: shares
                .into_iter()
                .map(|((cell_type, tissue), share)| (cell_type, tissue, share))
                .collect(),
        }
    }

    /// Examples `first..first + n` of the endless series, made on all cores, their genes cut to `max_len` tokens.
    ///
    /// # Errors
    /// [`Error::Train`] when cells have too few genes of the dictionary.
    pub(super) fn batch(&self, first: u64, n: usize, max_len: Option<usize>) -> Result<Vec<Example>> {
        (first..first + n as u64).into_par_iter().map(|number| self.example(number, max_len)).collect()
    }

    fn example(&self, number: u64, max_len: Option<usize>) -> Result<Example> {
        for attempt in 0..REDRAWS {
            // The upper bits tell redraws apart; no run has 2⁵⁶ examples.
            let cell = self.drawer.draw(number | (attempt << 56));
            let mut tokens = self.encoder.encode(&cell.values, None);
            if tokens.len() < self.least_tokens {
                continue;
            }
            if let Some(most) = max_len.filter(|&most| most < tokens.len()) {
                // The end token, where the encoding has one, ends the shorter reading too.
                let kept = most.saturating_sub(usize::from(self.has_end));
                let cut = kept..tokens.len() - usize::from(self.has_end);
                tokens.drain(cut);
            }
            let told = self.pathways.told(&cell.values);
            let at = |i: usize| told.get(i).copied().unwrap_or(0);
            let pathways = [at(0), at(1)];
            let mut facts = self.corpus.facts(cell.row, self.phrases);
            facts.pathways = pathways.iter().filter_map(|&p| self.pathway_texts.get(p).cloned()).collect();
            let mut text = self.tokenizer.encode(&facts.compose())?;
            text.push(self.end_of_text);
            let (cell_type, tissue, disease) = (cell.row.cell_type, cell.row.tissue, cell.row.disease);
            return Ok(Example { number, tokens, text, cell_type, tissue, disease, pathways });
        }
        Err(Error::train(Problem::new(
            "cells",
            "cells with almost no gene of the dictionary",
            format!("at least {} genes", self.least_tokens),
            "Raise genes.count or cells.panel_genes in the recipe.",
        )))
    }
}

/// Most values of one gene that its median is taken from.
const MEDIAN_VALUES: usize = 400;
/// Genes seen less often than this take the median of all such rare genes.
const RARE: usize = 5;

/// The genes that the recipe chooses, with the median of their values above zero in drawn cells, in counts per 10,000, as
/// Geneformer's medians are defined. Ids follow the order of Ensembl ids, after the special tokens.
fn build_dictionary(
    corpus: &Corpus,
    drawer: &Drawer<'_>,
    recipe: &Recipe,
    watch: &Watch,
) -> Result<GeneDictionary> {
    let mut values: Vec<Vec<f32>> = vec![Vec::new(); corpus.genes.len()];
    let n = recipe.genes.median_cells as u64;
    for block in (0..n).step_by(256) {
        watch.step("Finding gene medians", block, Some(n))?;
        let cells: Vec<_> =
            (block..(block + 256).min(n)).into_par_iter().map(|i| drawer.draw(i | (1 << 62))).collect();
        for cell in cells {
            let unit = 1e4 / cell.values.total().max(f64::MIN_POSITIVE);
            for (gene, value) in cell.values.iter() {
                let seen = &mut values[gene as usize];
                if seen.len() < MEDIAN_VALUES {
                    seen.push((f64::from(value) * unit) as f32);
                }
            }
        }
    }
    let mut rare: Vec<f32> = values.iter().filter(|v| v.len() < RARE).flatten().copied().collect();
    let of_rare = median(&mut rare).unwrap_or(1.0);
    let table = GeneTable::builtin()?;
    let order = match recipe.genes.chosen_by {
        GeneChoice::Variance => Cow::Borrowed(drawer.genes_by_variance()),
        GeneChoice::CellTypes => Cow::Owned(choose_genes::by_types(&corpus.sources, corpus.genes.len())),
    };
    let mut chosen: Vec<(String, f32)> = order
        .iter()
        .take(recipe.genes.count)
        .map(|&g| {
            let seen = &mut values[g as usize];
            let m = if seen.len() < RARE { of_rare } else { median(seen).unwrap_or(of_rare) };
            (table.ensembl_id(corpus.genes[g as usize]).to_owned(), m)
        })
        .collect();
    chosen.sort_by(|a, b| a.0.cmp(&b.0));
    let special = SpecialTokens { pad: 0, mask: 1, cls: Some(2), eos: Some(3) };
    let entries = chosen.into_iter().zip(4u32..).map(|((id, m), token)| (id, token, m)).collect();
    GeneDictionary::from_parts(entries, special)
}

fn median(values: &mut [f32]) -> Option<f32> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

/// Byte-level BPE over every sentence the recipe's data can give.
fn build_tokenizer(
    corpus: &Corpus,
    recipe: &Recipe,
    phrases: &Phrases,
    pathways: &[String],
) -> Result<TextTokenizer> {
    let wrong = |e: tokenizers::Error| {
        Error::train(Problem::new(
            "tokenizer",
            e.to_string(),
            "one that can be trained",
            "Check decoder.vocab_size.",
        ))
    };
    let mut texts: Vec<String> =
        vec![recipe.prompt.system.clone(), recipe.prompt.user.clone(), "system user assistant".into()];
    for (i, row) in corpus.sources.iter().flat_map(|s| &s.rows).enumerate() {
        let mut facts = corpus.facts(row, phrases);
        facts.pathways =
            (0..2).filter_map(|k| pathways.get((i * 7 + k * 3) % pathways.len().max(1)).cloned()).collect();
        texts.push(facts.compose());
    }
    // Every type and pathway counts alike at first; the corpus then weighs what it repeats.
    texts.sort_unstable();
    texts.dedup();
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        tokenizers::normalizers::NormalizerWrapper,
        ByteLevel,
        ByteLevel,
        ByteLevelDecoder,
    >::default()
    .with_model(BPE::default())
    .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
    .with_post_processor(Some(ByteLevel::default()))
    .with_decoder(Some(ByteLevelDecoder::default()))
    .build()
    .map_err(wrong)?;
    let special: Vec<AddedToken> =
        recipe.decoder.special_tokens.iter().map(|t| AddedToken::from(t.as_str(), true)).collect();
    let mut trainer = BpeTrainer::builder()
        .vocab_size(recipe.decoder.vocab_size)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(special)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut trainer, texts.iter().map(String::as_str)).map_err(wrong)?;
    let json = tokenizer.to_string(false).map_err(wrong)?;
    Ok(TextTokenizer::new(json.parse::<Tokenizer>().map_err(wrong)?))
}
