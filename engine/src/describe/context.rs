//! What the other cells of a data set say about each one: cells of a sample come from one place, or from few.
//!
//! A model is taught many tissues; a file holds one, or a handful. Which is found from the model's own claims on cells all
//! over the file: the shares of a mixture under which they are likeliest, by expectation maximisation (Dempster, Laird and
//! Rubin 1977). A claim counts as the model made it, what it was taught often included: dividing that out, as for classes
//! met in other shares than taught, lets tissues win that were taught rarely and resemble a common one (peripheral blood
//! became bone marrow). Each cell's tissue is then judged with these shares. Its type is not: weighing down types that are
//! not met in the tissues found made types worse wherever the tissue was one that the model was not taught.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::claims::{ClaimKind, Description};
use super::parse::read_type;
use super::surroundings::TypeClaim;
use super::template::{FIRST_PATHWAY_CLAUSE, ORIGIN_CLAUSE, SECOND_PATHWAY_CLAUSE, TYPE_CLAUSE};
use crate::error::Problem;
use crate::model::{Grammar, Leaning};
use crate::ontology::{Ontology, lineage};
use crate::{Error, Result};

/// Cells spread over a data set that its context is found from, where it holds as many.
pub(super) const CONTEXT_CELLS: usize = 192;
/// Fewer cells say too little.
pub(super) const LEAST_CONTEXT_CELLS: usize = 48;
/// Share of the taught frequencies that stays mixed in, so that no tissue is ever ruled out.
const TAUGHT_SHARE: f64 = 0.02;
/// Tissues of smaller shares are not told.
const LEAST_SHARE_TOLD: f64 = 0.01;
/// Rounds of expectation maximisation; it settles in far fewer.
const ROUNDS: usize = 100;

/// How often a model was taught each cell type from each tissue: a part of its bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Taught {
    /// The slot of the model's grammar that tells the cell type.
    pub cell_type_slot: usize,
    /// The slot that tells the tissue.
    pub tissue_slot: usize,
    /// Place of a text in the slot of cell types, place in the slot of tissues, share of the taught cells.
    pub shares: Vec<(usize, usize, f64)>,
}

/// A model's grammar with the shares that it was taught.
#[derive(Debug, Clone)]
pub(super) struct TaughtTexts {
    taught: Taught,
    cell_types: Vec<String>,
    named_types: Vec<NamedType>,
    /// Of each type the number of its lineage.
    families: Vec<usize>,
    tissues: Vec<String>,
    /// The slots that tell pathways.
    pathway_slots: Vec<usize>,
    /// Share of each tissue.
    of_tissue: Vec<f64>,
}

/// A cell type by its name and its term, where the ontology knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedType {
    pub(super) name: String,
    pub(super) term: Option<String>,
}

/// What is known of the cells of a data set before their genes are looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// The tissues found, as their texts in the model's grammar, with their shares; the commonest first.
    pub tissues: Vec<(String, f64)>,
    /// Cells that it was found from.
    pub n_cells: usize,
    pub(super) leaning: Leaning,
}

impl Context {
    /// The tissues that matter, in words, with their shares; the commonest first.
    pub fn told(&self) -> Vec<(String, f64)> {
        let told = self.tissues.iter().filter(|(_, share)| *share >= LEAST_SHARE_TOLD);
        told.map(|(text, share)| (in_words(text).to_owned(), *share)).collect()
    }

    /// What goes into the provenance of an export.
    pub fn provenance(&self) -> serde_json::Value {
        let tissues: serde_json::Map<String, serde_json::Value> = self
            .tissues
            .iter()
            .filter(|(_, share)| *share >= LEAST_SHARE_TOLD)
            .map(|(text, share)| (text.trim().to_owned(), ((share * 1e3).round() / 1e3).into()))
            .collect();
        serde_json::json!({ "cells": self.n_cells, "tissues": tissues })
    }
}

impl TaughtTexts {
    /// Brings `taught` together with the `slots` of the same bundle's grammar.
    ///
    /// # Errors
    /// [`Error::Model`] when they do not fit.
    pub(super) fn new(taught: Taught, slots: &[Vec<String>], ontology: &Ontology) -> Result<Self> {
        let wrong = |found: String| {
            Error::model(Problem::new(
                "the shares that the model was taught",
                found,
                "places in the slots of its grammar with shares above zero",
                "Get the model again.",
            ))
        };
        let slot = |at: usize| slots.get(at).cloned().ok_or_else(|| wrong(format!("slot {at}")));
        let (cell_types, tissues) = (slot(taught.cell_type_slot)?, slot(taught.tissue_slot)?);
        let mut of_tissue = vec![0.0; tissues.len()];
        for &(cell_type, tissue, share) in &taught.shares {
            match of_tissue.get_mut(tissue) {
                Some(sum) if cell_type < cell_types.len() && share > 0.0 && share.is_finite() => {
                    *sum += share;
                }
                _ => return Err(wrong(format!("{cell_type}, {tissue}, {share}"))),
            }
        }
        if of_tissue.iter().all(|share| *share == 0.0) {
            return Err(wrong("no share".to_owned()));
        }
        let named_types: Vec<NamedType> = cell_types.iter().map(|text| named(text, ontology)).collect();
        let families = families(&named_types, ontology);
        let clauses = [FIRST_PATHWAY_CLAUSE, SECOND_PATHWAY_CLAUSE];
        let before = |texts: &[String]| matches!(texts, [only] if clauses.contains(&only.as_str()));
        let after = slots.windows(2).enumerate().filter(|(_, pair)| before(&pair[0]));
        let pathway_slots = after.map(|(at, _)| at + 1).collect();
        Ok(Self { taught, cell_types, named_types, families, tissues, pathway_slots, of_tissue })
    }

    /// The context of the data set that `descriptions`, made without any, are of.
    pub(super) fn context(&self, descriptions: &[Description], grammar: &Grammar) -> Context {
        let cells: Vec<Vec<f64>> = descriptions.iter().filter_map(|d| self.tissues_of(d)).collect();
        let shares = self.settle(&cells);
        let leaning = grammar.leaning(self.taught.tissue_slot, &self.tissues, &self.of_tissue, &shares);
        let mut tissues: Vec<(String, f64)> = self.tissues.iter().cloned().zip(shares).collect();
        tissues.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Context { tissues, n_cells: cells.len(), leaning }
    }

    /// The slot of the grammar that tells the cell type.
    pub(super) fn cell_type_slot(&self) -> usize {
        self.taught.cell_type_slot
    }

    /// Of each type that the model can name the number of its family, the lineage: the types of one are readily taken for each
    /// other, those of different ones hardly.
    pub(super) fn families(&self) -> &[usize] {
        &self.families
    }

    /// The slots of the grammar that tell pathways.
    pub(super) fn pathway_slots(&self) -> &[usize] {
        &self.pathway_slots
    }

    /// The type at `place` among those that the model can name.
    pub(super) fn cell_type(&self, place: usize) -> Option<&NamedType> {
        self.named_types.get(place)
    }

    /// The type that a description claims, as its place among those that the model can name.
    pub(super) fn type_claim(&self, description: &Description) -> Option<TypeClaim> {
        let claim = description.claims.iter().find(|c| c.kind == ClaimKind::CellType)?;
        let place = place_of(&self.cell_types, description.text.strip_prefix(TYPE_CLAUSE)?, ORIGIN_CLAUSE)?;
        Some((place, claim.probability))
    }

    /// How likely each tissue is for one cell as described alone: what the claim leaves over goes to the other tissues
    /// that the claimed type was taught from.
    fn tissues_of(&self, description: &Description) -> Option<Vec<f64>> {
        let text = &description.text;
        let cell_type = place_of(&self.cell_types, text.strip_prefix(TYPE_CLAUSE)?, ORIGIN_CLAUSE);
        let origin = text.find(ORIGIN_CLAUSE)? + ORIGIN_CLAUSE.len();
        let claimed = place_of(&self.tissues, text.get(origin..)?, "")?;
        let probability = description
            .claims
            .iter()
            .find(|c| c.kind == ClaimKind::Tissue)
            .map_or(0.5, |c| f64::from(c.probability).clamp(0.01, 0.999));
        let mut others = vec![0.0; self.tissues.len()];
        for &(of_type, tissue, share) in &self.taught.shares {
            if tissue != claimed && cell_type.is_none_or(|c| c == of_type) {
                others[tissue] += share;
            }
        }
        if others.iter().all(|share| *share == 0.0) {
            others.clone_from(&self.of_tissue);
            others[claimed] = 0.0;
        }
        let all: f64 = others.iter().sum();
        let mut likely: Vec<f64> = others
            .iter()
            .map(|share| if all > 0.0 { share / all * (1.0 - probability) } else { 0.0 })
            .collect();
        likely[claimed] = probability;
        Some(likely)
    }

    /// The shares of tissues under which the cells are likeliest.
    fn settle(&self, cells: &[Vec<f64>]) -> Vec<f64> {
        if cells.is_empty() {
            return self.of_tissue.clone();
        }
        let mut shares = vec![1.0; self.of_tissue.len()];
        for _ in 0..ROUNDS {
            let mut next = vec![0.0; shares.len()];
            for cell in cells {
                let judged: Vec<f64> =
                    cell.iter().zip(&shares).map(|(likely, share)| likely * share).collect();
                let all: f64 = judged.iter().sum();
                if all > 0.0 {
                    next.iter_mut().zip(judged).for_each(|(sum, value)| *sum += value / all);
                }
            }
            let all: f64 = next.iter().sum();
            if all <= 0.0 {
                return shares;
            }
            shares = next
                .iter()
                .zip(&self.of_tissue)
                .map(|(sum, taught)| (1.0 - TAUGHT_SHARE) * sum / all + TAUGHT_SHARE * taught)
                .collect();
        }
        shares
    }
}

/// Numbers the lineages of `types`; a type above all lineages is one of its own.
fn families(types: &[NamedType], ontology: &Ontology) -> Vec<usize> {
    let mut numbers = BTreeMap::new();
    let number = |(place, named): (usize, &NamedType)| {
        let own = named.term.as_deref().and_then(|term| lineage(ontology, term));
        let next = numbers.len();
        *numbers.entry(own.ok_or(place)).or_insert(next)
    };
    types.iter().enumerate().map(number).collect()
}

/// The type of a text of the grammar, as "B cell" of "a B cell, lymphocyte that…".
fn named(text: &str, ontology: &Ontology) -> NamedType {
    let whole = format!("{TYPE_CLAUSE}{text}{ORIGIN_CLAUSE}");
    let mut statements = read_type(&whole, ontology).into_iter();
    match statements.find(|said| said.kind == ClaimKind::CellType) {
        Some(said) => NamedType { name: whole.get(said.span).unwrap_or(text).to_owned(), term: said.term },
        None => NamedType { name: text.to_owned(), term: None },
    }
}

/// The tissue of a text of the grammar, as "bone marrow" of " the bone marrow of".
fn in_words(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_suffix(" of").unwrap_or(text);
    text.strip_prefix("the ").unwrap_or(text).trim()
}

/// The longest of `texts` that `rest` begins with and that `then` follows.
fn place_of(texts: &[String], rest: &str, then: &str) -> Option<usize> {
    texts
        .iter()
        .enumerate()
        .filter(|(_, text)| rest.strip_prefix(text.as_str()).is_some_and(|after| after.starts_with(then)))
        .max_by_key(|(_, text)| text.len())
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::Claim;

    fn slots() -> Vec<Vec<String>> {
        let slot = |texts: &[&str]| texts.iter().map(|&t| t.to_owned()).collect();
        vec![
            slot(&[TYPE_CLAUSE]),
            slot(&["a B cell", "a hepatocyte", "a pneumocyte"]),
            slot(&[ORIGIN_CLAUSE]),
            slot(&[" the blood of", " the liver of", " the lung of"]),
            slot(&[" a normal individual."]),
        ]
    }

    fn ontology() -> &'static Ontology {
        Ontology::builtin().unwrap()
    }

    fn texts() -> TaughtTexts {
        let shares = vec![(0, 0, 0.2), (0, 1, 0.1), (0, 2, 0.1), (1, 1, 0.3), (2, 2, 0.3)];
        TaughtTexts::new(Taught { cell_type_slot: 1, tissue_slot: 3, shares }, &slots(), ontology()).unwrap()
    }

    fn described(cell_type: &str, tissue: &str, probability: f32) -> Description {
        let text = format!("{TYPE_CLAUSE}{cell_type}{ORIGIN_CLAUSE} the {tissue} of a normal individual.");
        let start = text.find(tissue).unwrap();
        let claim = Claim {
            kind: ClaimKind::Tissue,
            value: tissue.to_owned(),
            term: None,
            span: start..start + tissue.len(),
            probability,
            evidence: Vec::new(),
            supported: None,
        };
        Description {
            cell: 0,
            text,
            claims: vec![claim],
            well_formed: true,
            n_tokens: 1,
            n_genes_read: 1,
            n_context_cells: 0,
            duration_secs: 0.0,
            around: None,
            type_weights: Vec::new(),
            other_types: Vec::new(),
        }
    }

    fn context(cells: &[Description]) -> Context {
        texts().context(cells, &Grammar::new(&slots()).unwrap())
    }

    #[test]
    fn doubtful_cells_of_one_tissue_are_drawn_together() {
        let mut cells = vec![described("a B cell", "blood", 0.6); 60];
        cells.extend(vec![described("a B cell", "liver", 0.4); 40]);
        let context = context(&cells);
        assert_eq!(context.n_cells, 100);
        assert_eq!(context.tissues[0].0, " the blood of");
        assert!(context.tissues[0].1 > 0.9, "{:?}", context.tissues);
        assert_eq!(context.told()[0].0, "blood");
    }

    #[test]
    fn sure_cells_of_two_tissues_stay_apart() {
        let mut cells = vec![described("a hepatocyte", "liver", 0.98); 50];
        cells.extend(vec![described("a pneumocyte", "lung", 0.98); 50]);
        let context = context(&cells);
        for (tissue, share) in &context.tissues {
            let expected = if tissue == " the blood of" { 0.0 } else { 0.5 };
            assert!((share - expected).abs() < 0.05, "{tissue} {share}");
        }
    }

    #[test]
    fn the_tissue_found_is_leant_to_and_types_are_left_alone() {
        let grammar = Grammar::new(&slots()).unwrap();
        let found = context(&vec![described("a B cell", "blood", 0.9); 80]);
        let towards = |text: &str| {
            let place = grammar.after(&grammar.start(), format!("{TYPE_CLAUSE}{text}").as_bytes()).unwrap();
            found.leaning.towards(&place)
        };
        assert_eq!((towards("a B cell"), towards("a hepatocyte")), (0.0, 0.0));
        let blood = towards(&format!("a B cell{ORIGIN_CLAUSE} the b"));
        let liver = towards(&format!("a B cell{ORIGIN_CLAUSE} the li"));
        assert!(blood > -0.1 && liver < -4.0, "{blood} {liver}");
    }

    #[test]
    fn a_type_is_claimed_by_its_place_and_told_by_it() {
        let (texts, grammar) = (texts(), Grammar::new(&slots()).unwrap());
        let mut cell = described("a hepatocyte", "liver", 0.9);
        cell.claims[0].kind = ClaimKind::CellType;
        assert_eq!(texts.type_claim(&cell), Some((1, 0.9)));
        let leaning = grammar.told(texts.cell_type_slot(), 2);
        let towards = |text: &str| {
            leaning
                .towards(&grammar.after(&grammar.start(), format!("{TYPE_CLAUSE}{text}").as_bytes()).unwrap())
        };
        assert!(towards("a p") - towards("a h") > 40.0);
        assert_eq!(towards(&format!("a pneumocyte{ORIGIN_CLAUSE} the")), 0.0);
    }

    #[test]
    fn types_are_named_without_article_and_definition() {
        let texts = texts();
        let first = texts.cell_type(0).unwrap();
        assert_eq!((first.name.as_str(), first.term.as_deref()), ("B cell", Some("CL:0000236")));
        let long = named("a CD4-positive, alpha-beta T cell, T cell that helps others", ontology());
        assert_eq!(
            (long.name.as_str(), long.term.as_deref()),
            ("CD4-positive, alpha-beta T cell", Some("CL:0000624"))
        );
        assert_eq!(texts.cell_type(3), None);
    }

    #[test]
    fn types_of_a_lineage_are_a_family_and_a_type_above_all_is_one_by_itself() {
        let named = |term: Option<&str>| NamedType { name: String::new(), term: term.map(str::to_owned) };
        // B cell, leukocyte, plasma cell, hepatocyte, one that the ontology does not know, motile cell.
        let terms = ["CL:0000236", "CL:0000738", "CL:0000786", "CL:0000182"].map(Some);
        let types: Vec<_> = terms.into_iter().chain([None, Some("CL:0000219")]).map(named).collect();
        assert_eq!(families(&types, ontology()), [0, 1, 0, 2, 3, 4]);
    }

    #[test]
    fn pathways_are_told_in_the_slots_after_their_clauses() {
        assert!(texts().pathway_slots().is_empty());
        let mut slots = slots();
        slots.extend(
            [FIRST_PATHWAY_CLAUSE, "cell division", SECOND_PATHWAY_CLAUSE, "cell division", "."]
                .map(|text| vec![text.to_owned()]),
        );
        let taught = Taught { cell_type_slot: 1, tissue_slot: 3, shares: vec![(0, 0, 1.0)] };
        assert_eq!(TaughtTexts::new(taught, &slots, ontology()).unwrap().pathway_slots(), [6, 8]);
    }

    #[test]
    fn shares_that_do_not_fit_the_grammar_are_refused() {
        for shares in [vec![], vec![(9, 0, 1.0)], vec![(0, 0, f64::NAN)], vec![(0, 9, 1.0)]] {
            let taught = Taught { cell_type_slot: 1, tissue_slot: 3, shares };
            assert!(TaughtTexts::new(taught, &slots(), ontology()).is_err());
        }
        let taught = Taught { cell_type_slot: 1, tissue_slot: 9, shares: vec![(0, 0, 1.0)] };
        assert!(TaughtTexts::new(taught, &slots(), ontology()).is_err());
    }
}
