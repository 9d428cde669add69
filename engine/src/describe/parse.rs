//! From the text of a description back to what it says: the inverse of [`super::template`].
//!
//! The text comes from a model and may break off or stray anywhere; whatever is not there is simply not claimed.

use std::ops::Range;

use super::claims::ClaimKind;
use super::template::{
    FIRST_PATHWAY_CLAUSE, ORIGIN_CLAUSE, Phrases, SECOND_PATHWAY_CLAUSE, STAGE_CLAUSE, TYPE_CLAUSE,
};
use crate::ontology::Ontology;

/// A statement found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) kind: ClaimKind,
    /// The bytes of the text that say it.
    pub(super) span: Range<usize>,
    /// The bytes whose words decide it among all that could be said there.
    pub(super) decision: Range<usize>,
    /// Its ontology term or gene set, where recognised.
    pub(super) term: Option<String>,
}

/// What a text says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reading {
    pub(super) statements: Vec<Statement>,
    /// Whether every clause of the pattern was there and type and pathways are known.
    pub(super) well_formed: bool,
}

/// Share of words that a stated pathway must have in common with a known description to be taken for it.
const PATHWAY_LIKENESS: f64 = 0.8;

/// Reads `text`.
pub(super) fn read_description(text: &str, ontology: &Ontology, phrases: &Phrases) -> Reading {
    let mut reader = Reader { text, statements: Vec::new() };
    let origin = text.find(ORIGIN_CLAUSE);
    let type_known = reader.read_type(origin.unwrap_or(text.len()), ontology);
    let pathways_start = text.find(FIRST_PATHWAY_CLAUSE).unwrap_or(text.len());
    let place_known = origin.is_some_and(|at| reader.read_origin(at + ORIGIN_CLAUSE.len(), pathways_start));
    let pathways_known = reader.read_pathways(pathways_start, phrases);
    let well_formed = type_known && place_known && pathways_known && text.ends_with('.');
    Reading { statements: reader.statements, well_formed }
}

/// Reads the first clause of `text`, which tells the type.
pub(super) fn read_type(text: &str, ontology: &Ontology) -> Vec<Statement> {
    let mut reader = Reader { text, statements: Vec::new() };
    reader.read_type(text.find(ORIGIN_CLAUSE).unwrap_or(text.len()), ontology);
    reader.statements
}

/// Reads `text` as the name of a cell type alone, as models that read sentences write it.
pub(super) fn read_name(text: &str, ontology: &Ontology) -> Reading {
    let line = text.trim_start();
    let start = text.len() - line.len();
    let line = line.lines().next().unwrap_or_default().trim_end();
    let name = line.trim_end_matches('.');
    if name.is_empty() {
        return Reading::default();
    }
    let span = start..start + name.len();
    let term = ontology.by_name(name).map(|term| term.id.clone());
    let well_formed = term.is_some();
    let decision = span.start..start + line.len();
    Reading { statements: vec![Statement { kind: ClaimKind::CellType, span, decision, term }], well_formed }
}

struct Reader<'a> {
    text: &'a str,
    statements: Vec<Statement>,
}

impl Reader<'_> {
    fn state(&mut self, kind: ClaimKind, span: Range<usize>, term: Option<String>) {
        // What follows a name decides that it is not the beginning of a longer one.
        let decision = span.start..span.end + 1;
        self.state_decided(kind, span, decision, term);
    }

    fn state_decided(
        &mut self,
        kind: ClaimKind,
        span: Range<usize>,
        decision: Range<usize>,
        term: Option<String>,
    ) {
        if self.text.get(span.clone()).is_some_and(|s| !s.trim().is_empty()) {
            self.statements.push(Statement { kind, span, decision, term });
        }
    }

    fn part(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).unwrap_or("")
    }

    /// The end of a clause that starts at `from`: where it ends, less the full stop of the last.
    fn clause_end(&self, from: usize, to: usize) -> usize {
        let part = self.part(from, to);
        from + part.trim_end_matches('.').len()
    }

    fn read_type(&mut self, end: usize, ontology: &Ontology) -> bool {
        if !self.text.starts_with(TYPE_CLAUSE) {
            return false;
        }
        let after = TYPE_CLAUSE.len();
        let clause = self.part(after, end);
        let article = if clause.starts_with("an ") {
            3
        } else if clause.starts_with("a ") {
            2
        } else {
            0
        };
        let start = after + article;
        let end = self.clause_end(start, end);
        let said = self.part(start, end);
        // Labels may hold commas themselves, as "CD4-positive, alpha-beta T cell": the longest known one counts.
        let known = std::iter::once(said.len())
            .chain(said.rmatch_indices(", ").map(|(i, _)| i))
            .find_map(|cut| ontology.by_name(&said[..cut]).map(|term| (cut, term.id.clone())));
        let (cut, term) = match known {
            Some((cut, id)) => (cut, Some(id)),
            None => (said.find(", ").unwrap_or(said.len()), None),
        };
        let definition = start + cut + 2;
        let is_known = term.is_some();
        // The article belongs to it, and no two types have the same definition.
        self.state_decided(ClaimKind::CellType, start..start + cut, after..end, term);
        if definition < end {
            self.state(ClaimKind::Definition, definition..end, None);
        }
        is_known
    }

    fn read_origin(&mut self, start: usize, end: usize) -> bool {
        let end = self.clause_end(start, end);
        let clause = self.part(start, end);
        let mut at = start;
        let mut has_tissue = false;
        if let (true, Some(of)) = (clause.starts_with(" the "), clause.find(" of a")) {
            self.state(ClaimKind::Tissue, start + 5..start + of, None);
            at = start + of + 3;
            has_tissue = true;
        }
        let stage = self.part(at, end).rfind(STAGE_CLAUSE).map(|i| at + i);
        let donor_end = stage.unwrap_or(end);
        let donor = self.part(at, donor_end);
        let mut has_donor = false;
        if let Some(normal) = donor.find("normal") {
            let span = at + normal..at + normal + "normal".len();
            self.state_decided(ClaimKind::Disease, span.clone(), at..span.end, None);
            has_donor = true;
        } else if let Some(with) = donor.find(" with ") {
            self.state_decided(ClaimKind::Disease, at + with + 6..donor_end, at..donor_end + 1, None);
            has_donor = true;
        }
        if let Some(stage) = stage {
            self.state_decided(ClaimKind::Stage, stage + STAGE_CLAUSE.len()..end, stage..end + 1, None);
        }
        has_tissue && has_donor
    }

    fn read_pathways(&mut self, start: usize, phrases: &Phrases) -> bool {
        if start >= self.text.len() {
            return false;
        }
        let first = start + FIRST_PATHWAY_CLAUSE.len();
        let second = self.text.find(SECOND_PATHWAY_CLAUSE);
        let spans = [
            Some(first..self.clause_end(first, second.unwrap_or(self.text.len()))),
            second.map(|at| {
                at + SECOND_PATHWAY_CLAUSE.len()
                    ..self.clause_end(at + SECOND_PATHWAY_CLAUSE.len(), self.text.len())
            }),
        ];
        let mut known = 0;
        for span in spans.into_iter().flatten() {
            let term = nearest_pathway(self.part(span.start, span.end), phrases);
            known += usize::from(term.is_some());
            self.state(ClaimKind::Pathway, span, term);
        }
        known == 2
    }
}

/// The gene set whose description is meant by `said`: the same words, or nearly all of them.
fn nearest_pathway(said: &str, phrases: &Phrases) -> Option<String> {
    let words = |s: &str| {
        s.to_lowercase().split_whitespace().map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let said = words(said);
    phrases
        .pathways()
        .map(|(set, description)| {
            let known = words(description);
            let common = said.intersection(&known).count() as f64;
            (common / said.union(&known).count().max(1) as f64, set)
        })
        .filter(|(likeness, _)| *likeness >= PATHWAY_LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, set)| set.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::template::CellFacts;
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Reading {
        read_description(text, Ontology::builtin().unwrap(), Phrases::builtin().unwrap())
    }

    fn said<'a>(text: &'a str, reading: &Reading, kind: ClaimKind) -> Vec<&'a str> {
        reading.statements.iter().filter(|s| s.kind == kind).map(|s| &text[s.span.clone()]).collect()
    }

    #[test]
    fn every_type_and_pathway_that_can_be_composed_is_read_back() {
        let phrases = Phrases::builtin().unwrap();
        let ontology = Ontology::builtin().unwrap();
        let pathways: Vec<(&str, &str)> = phrases.pathways().collect();
        for (i, (id, definition)) in phrases.cell_types().enumerate() {
            let Some(term) = ontology.term(id) else { continue };
            let (first, second) = (pathways[i % 50], pathways[(i + 7) % 50]);
            let facts = CellFacts {
                cell_type: term.label.clone(),
                definition: Some(definition.to_owned()),
                tissue: Some("skin of body".into()),
                disease: (i % 2 == 0).then(|| "COVID-19".to_owned()),
                sex: (i % 3 == 0).then(|| "female".to_owned()),
                stage: (i % 5 != 0).then(|| "early embryonic stage".to_owned()),
                pathways: vec![first.1.to_owned(), second.1.to_owned()],
            };
            let text = facts.compose();
            let reading = read(&text);
            assert!(reading.well_formed, "{text}");
            assert_eq!(reading.statements[0].term.as_deref(), Some(id), "{text}");
            assert_eq!(said(&text, &reading, ClaimKind::CellType), [&facts.cell_type]);
            assert_eq!(said(&text, &reading, ClaimKind::Definition), [definition]);
            assert_eq!(said(&text, &reading, ClaimKind::Tissue), ["skin of body"]);
            assert_eq!(
                said(&text, &reading, ClaimKind::Disease),
                [facts.disease.as_deref().unwrap_or("normal")]
            );
            assert_eq!(said(&text, &reading, ClaimKind::Stage).first().copied(), facts.stage.as_deref());
            let terms: Vec<_> = reading
                .statements
                .iter()
                .filter(|s| s.kind == ClaimKind::Pathway)
                .map(|s| s.term.as_deref())
                .collect();
            assert_eq!(terms, [Some(first.0), Some(second.0)]);
        }
    }

    #[test]
    fn a_text_that_breaks_off_claims_what_it_got_to() {
        let text = "This sample consists of a monocyte, large cell. It originates from the blo";
        let reading = read(text);
        assert!(!reading.well_formed);
        assert_eq!(said(text, &reading, ClaimKind::CellType), ["monocyte"]);
        assert!(said(text, &reading, ClaimKind::Tissue).is_empty());
    }

    #[test]
    fn an_unknown_type_is_claimed_without_a_term() {
        let text = "This sample consists of a purple cell, thing. It originates from the blood of a normal individual.";
        let reading = read(text);
        assert_eq!(said(text, &reading, ClaimKind::CellType), ["purple cell"]);
        assert!(reading.statements[0].term.is_none() && !reading.well_formed);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(This sample consists of an? )?[a-zé, .]{0,40}(\\. It originates from)?( the | of a| during )?[a-z ,.é]{0,30}(\\. This cell is associated with )?[a-z. ]{0,20}") {
            let reading = read(&text);
            for s in reading.statements {
                prop_assert!(text.get(s.span).is_some());
            }
        }
    }
}
