//! The values that tables and copies show of a described cell.

use serde_json::{Map, Value, json};

use super::table::Annotation;
use crate::describe::{ClaimKind, Description};
use crate::ontology::Ontology;

/// The columns after the index.
pub(super) const COLUMNS: [&str; 13] = [
    "c2t_cell_type",
    "c2t_cell_type_ontology_term_id",
    "c2t_cell_type_score",
    "c2t_other_cell_types",
    "c2t_tissue",
    "c2t_disease",
    "c2t_stage",
    "c2t_pathways",
    "c2t_description",
    "c2t_evidence_genes",
    "c2t_flags",
    "c2t_model_id",
    "c2t_run_id",
];
/// The label of a cell whose type was not recognised; CellTypist's word.
pub(super) const UNASSIGNED: &str = "unassigned";
/// The label of anything else not known; the word of CELLxGENE's schema.
pub(super) const UNKNOWN: &str = "unknown";
/// What pandas reads as a missing value, in lower case.
const MISSING_WORDS: [&str; 14] = [
    "", "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan", "<na>", "n/a", "na",
    "nan", "null",
];
/// What the flags mean; part of the provenance.
const FLAGS: [(&str, &str); 8] = [
    ("no_known_genes", "the cell shows no gene that the model knows; nothing was described"),
    ("low_genes", "fewer than 50 genes were read"),
    ("not_well_formed", "a clause of the description is missing, or the cell type is no known term"),
    ("cell_type_unsupported", "the cell's genes do not speak for the cell type"),
    (
        "type_of_cells_around",
        "the cell claims another type by itself; the cells most like it agree on this one",
    ),
    ("pathway_unsupported", "the cell's genes do not speak for one of the pathways"),
    ("species_mismatch", "the genes seem not to be human"),
    ("few_known_genes", "too few genes of the file were recognised"),
];
/// Genes read below which a description rests on little.
const FEW_GENES: usize = 50;

/// One value of a described cell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Text(String),
    Score(Option<f32>),
}

/// The values of a described cell, in the order of [`COLUMNS`].
pub(super) fn entries(
    annotation: &Annotation,
    data_flags: &[&str],
    run_id: &str,
    ontology: &Ontology,
) -> [Entry; 13] {
    let description = &*annotation.description;
    let value = |kind| description.claim(kind).map_or(UNKNOWN, |claim| label(&claim.value, UNKNOWN));
    let cell_type = description.claim(ClaimKind::CellType);
    let recognised = cell_type.and_then(|claim| claim.term.as_deref().map(|term| (claim, term)));
    let pathways = description
        .claims
        .iter()
        .filter(|claim| claim.kind == ClaimKind::Pathway)
        .map(|claim| claim.term.as_deref().unwrap_or(&claim.value));
    // The cell type's genes first: they are what a reader of the label asks for.
    let (of_type, of_others): (Vec<_>, Vec<_>) =
        description.claims.iter().partition(|claim| claim.kind == ClaimKind::CellType);
    let genes = of_type.iter().chain(&of_others).flat_map(|claim| &claim.evidence).map(|gene| &*gene.symbol);
    let others = description.other_types.iter().map(|other| {
        let name = other
            .term
            .as_deref()
            .and_then(|term| ontology.term(term))
            .map_or(&other.name, |term| &term.label);
        format!("{name} ({:.2})", other.probability)
    });
    let others: Vec<String> = others.collect();
    let text = |text: &str| Entry::Text(text.to_owned());
    [
        text(recognised.map_or(UNASSIGNED, |(claim, term)| {
            // One name a type, whatever words or plural the text uses.
            let name = ontology.term(term).map_or(&claim.value, |term| &term.label);
            label(name, UNASSIGNED)
        })),
        text(recognised.map_or(UNKNOWN, |(_, term)| term)),
        Entry::Score(cell_type.map(|claim| claim.probability)),
        Entry::Text(list(others.iter().map(String::as_str))),
        text(value(ClaimKind::Tissue)),
        text(value(ClaimKind::Disease)),
        text(value(ClaimKind::Stage)),
        Entry::Text(list(pathways)),
        text(&description.text),
        Entry::Text(list(genes)),
        Entry::Text(list(flags(description).into_iter().chain(data_flags.iter().copied()))),
        text(&annotation.run.model_id),
        text(run_id),
    ]
}

/// What the flags mean.
pub(super) fn meanings_of_flags() -> Map<String, Value> {
    FLAGS.into_iter().map(|(flag, meaning)| (flag.to_owned(), json!(meaning))).collect()
}

/// What a reader of this row should know before trusting it.
fn flags(description: &Description) -> Vec<&'static str> {
    if description.n_genes_read == 0 {
        return vec!["no_known_genes"];
    }
    let mut flags = Vec::new();
    if description.n_genes_read < FEW_GENES {
        flags.push("low_genes");
    }
    if !description.well_formed {
        flags.push("not_well_formed");
    }
    if description.claim(ClaimKind::CellType).is_some_and(|claim| claim.supported == Some(false)) {
        flags.push("cell_type_unsupported");
    }
    if description.around.as_ref().is_some_and(|around| around.alone.is_some()) {
        flags.push("type_of_cells_around");
    }
    if description.claims.iter().any(|c| c.kind == ClaimKind::Pathway && c.supported == Some(false)) {
        flags.push("pathway_unsupported");
    }
    flags
}

/// `value`, unless pandas would read it as missing.
fn label<'a>(value: &'a str, instead: &'a str) -> &'a str {
    let word = value.trim().to_lowercase();
    if word == "none" || MISSING_WORDS.contains(&word.as_str()) { instead } else { value }
}

/// Different entries, in order, joined by `|`.
fn list<'a>(entries: impl Iterator<Item = &'a str>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for entry in entries {
        let entry = entry.replace('|', "/");
        if !entry.is_empty() && !seen.contains(&entry) {
            seen.push(entry);
        }
    }
    seen.join("|")
}
