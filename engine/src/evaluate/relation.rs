//! How an answer stands to the truth along the Cell Ontology.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::outcome::Names;
use super::statistic::NONE;
use crate::ontology::{Ontology, PageRankSimilarity, same_lineage};

/// How what was said stands to what is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The same term.
    Same,
    /// A kind of the truth.
    Descendant,
    /// More general than the truth.
    Ancestor,
    /// Both are directly kinds of one term.
    Sibling,
    /// None of these.
    Other,
    /// Nothing was said, or no known type.
    None,
}

impl Relation {
    /// The word for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Descendant => "more specific",
            Self::Ancestor => "more general",
            Self::Sibling => "sibling",
            Self::Other => "other",
            Self::None => "no type",
        }
    }
}

/// One pair of types compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Compared {
    pub(super) relation: Relation,
    /// `is_a` steps by the nearest common ancestor; `None` where there is none.
    pub(super) distance: Option<u32>,
    /// PageRank similarity.
    pub(super) similarity: f64,
    pub(super) same_lineage: bool,
}

impl Compared {
    const NOTHING_SAID: Self =
        Self { relation: Relation::None, distance: None, similarity: 0.0, same_lineage: false };

    /// Whether the answer is the truth or a kind of it.
    pub(super) fn is_exact_or_below(&self) -> bool {
        matches!(self.relation, Relation::Same | Relation::Descendant)
    }
}

/// Compares pairs of types, each pair once.
#[derive(Debug)]
pub(super) struct Comparer<'a> {
    ontology: &'a Ontology,
    similarity: &'a PageRankSimilarity,
    known: HashMap<(u32, u32), Compared>,
}

impl<'a> Comparer<'a> {
    pub(super) fn new(ontology: &'a Ontology, similarity: &'a PageRankSimilarity) -> Self {
        Self { ontology, similarity, known: HashMap::new() }
    }

    /// Compares what was `said` with the `truth`, both numbers in `names`.
    pub(super) fn compare(&mut self, names: &Names, said: u32, truth: u32) -> Compared {
        if said == NONE {
            return Compared::NOTHING_SAID;
        }
        if let Some(known) = self.known.get(&(said, truth)) {
            return *known;
        }
        let compared = match (names.word(said), names.word(truth)) {
            (Some(said), Some(truth)) => self.work_out(said, truth),
            _ => Compared::NOTHING_SAID,
        };
        self.known.insert((said, truth), compared);
        compared
    }

    fn work_out(&self, said: &str, truth: &str) -> Compared {
        let upwards = |id: &'a str| -> BTreeMap<&str, u32> {
            let mut up = self.ontology.ancestors(id);
            up.insert(id, 0);
            up
        };
        let (Some(a), Some(b)) = (self.ontology.term(said), self.ontology.term(truth)) else {
            return Compared::NOTHING_SAID;
        };
        let (a, b) = (upwards(&a.id), upwards(&b.id));
        let distance = a.iter().filter_map(|(id, up)| b.get(id).map(|other| up + other)).min();
        let shares_parent =
            || self.ontology.parents(said).iter().any(|p| self.ontology.parents(truth).contains(p));
        let relation = if said == truth {
            Relation::Same
        } else if a.contains_key(truth) {
            Relation::Descendant
        } else if b.contains_key(said) {
            Relation::Ancestor
        } else if shares_parent() {
            Relation::Sibling
        } else {
            Relation::Other
        };
        Compared {
            relation,
            distance,
            similarity: self.similarity.similarity(said, truth),
            same_lineage: same_lineage(self.ontology, said, truth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_types_stand_as_the_ontology_has_them() {
        let (ontology, similarity) = (
            Ontology::builtin().unwrap(),
            PageRankSimilarity::with_range(Ontology::builtin().unwrap(), (0.0, 1.0)),
        );
        let mut names = Names::default();
        let mut comparer = Comparer::new(ontology, &similarity);
        let mut compare = |said: &str, truth: &str| {
            let (said, truth) = (names.number(said), names.number(truth));
            let compared = comparer.compare(&names, said, truth);
            (compared.relation, compared.distance, compared.same_lineage)
        };
        let (t_cell, cd4, cd8, monocyte) = ("CL:0000084", "CL:0000624", "CL:0000625", "CL:0000576");
        assert_eq!(compare(t_cell, t_cell), (Relation::Same, Some(0), true));
        let (relation, distance, same) = compare(cd4, t_cell);
        assert!(relation == Relation::Descendant && distance.is_some_and(|d| d >= 1) && same);
        assert_eq!(compare(t_cell, cd4).0, Relation::Ancestor);
        assert_eq!(compare(t_cell, cd4).1, distance);
        assert_eq!(compare(cd4, cd8), (Relation::Sibling, Some(2), true));
        let (relation, distance, same) = compare(monocyte, cd4);
        assert!(relation == Relation::Other && distance.is_some_and(|d| d > 2) && !same);
        assert_eq!(comparer.compare(&names, NONE, 0), Compared::NOTHING_SAID);
    }
}
