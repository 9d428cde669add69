//! Finding terms by their names.

use std::collections::HashMap;

use super::graph::{Ontology, Term};

/// A term found by [`Ontology::search`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The term's id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// The label, synonym or id that matched.
    pub matched: String,
}

/// The names of all terms, prepared for look-up.
#[derive(Debug)]
pub(super) struct Names {
    /// Names as written, but for case and blanks, to the best claimant.
    exact: HashMap<String, Claim>,
    /// Names without plural and without the word `cell` at their end.
    loose: HashMap<String, Claim>,
    /// For search: of each term the names in lower case, the label first.
    lower: Vec<Vec<String>>,
}

/// Who bears a name: terms in use before deprecated ones, labels before synonyms, then the order of the ids.
type Claim = (bool, bool, usize);

impl Names {
    pub(super) fn new(terms: &[Term]) -> Self {
        let mut exact: HashMap<String, Claim> = HashMap::new();
        let mut loose: HashMap<String, Claim> = HashMap::new();
        let mut lower = Vec::with_capacity(terms.len());
        for (at, term) in terms.iter().enumerate() {
            let names: Vec<String> = names_of(term).map(plain).collect();
            for (number, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
                let claim = (term.deprecated, number > 0, at);
                let held = exact.entry(name.clone()).or_insert(claim);
                *held = claim.min(*held);
                let held = loose.entry(stem(name)).or_insert(claim);
                *held = claim.min(*held);
            }
            lower.push(names);
        }
        Self { exact, loose, lower }
    }
}

/// How well a name matches, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Quality {
    Exact,
    Prefix,
    WordPrefix,
    /// Each word of the query begins some word of the name.
    Words,
    Substring,
}

impl Ontology {
    /// The term of a name: its label, else a synonym; case and blanks do not count, nor does the plural or the
    /// word `cell` at the end. Terms in use come before deprecated ones.
    pub fn by_name(&self, name: &str) -> Option<&Term> {
        let name = plain(name);
        let claim = self.names.exact.get(&name).or_else(|| self.names.loose.get(&stem(&name)))?;
        self.terms().get(claim.2)
    }

    /// Terms whose id, label or synonyms match `query`, the best first: names equal to it, names that begin with
    /// it, names of which a word begins with it, names with each of its words, names that contain it; at equal
    /// quality labels before synonyms and short labels before long. Deprecated terms are found by their id alone.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Hit> {
        let query = plain(query);
        if query.is_empty() || limit == 0 {
            return Vec::new();
        }
        let mut found: Vec<(Quality, bool, usize, &str, usize, usize)> = Vec::new();
        for (at, term) in self.terms().iter().enumerate() {
            if term.id.to_lowercase() == query
                || term.id.split_once(':').is_some_and(|(_, number)| number == query)
            {
                found.push((Quality::Exact, false, 0, &term.label, at, usize::MAX));
                continue;
            }
            if term.deprecated {
                continue;
            }
            let names = self.names.lower.get(at).map(Vec::as_slice).unwrap_or_default();
            let best = names
                .iter()
                .enumerate()
                .filter_map(|(number, name)| {
                    quality(name, &query).map(|quality| (quality, number > 0, number))
                })
                .min();
            if let Some((quality, synonym, number)) = best {
                found.push((quality, synonym, term.label.len(), &term.label, at, number));
            }
        }
        found.sort();
        found
            .into_iter()
            .take(limit)
            .filter_map(|(_, _, _, _, at, number)| {
                let term = self.terms().get(at)?;
                let matched = names_of(term).nth(number).unwrap_or(&term.id);
                Some(Hit { id: term.id.clone(), label: term.label.clone(), matched: matched.to_owned() })
            })
            .collect()
    }
}

fn quality(name: &str, query: &str) -> Option<Quality> {
    let words = || {
        name.split(|letter: char| !letter.is_alphanumeric() && letter != '+').filter(|word| !word.is_empty())
    };
    if name == query {
        return Some(Quality::Exact);
    }
    if name.starts_with(query) {
        return Some(Quality::Prefix);
    }
    if let Some(at) = name.find(query) {
        let begins_word =
            |at: usize| name[..at].chars().next_back().is_some_and(|letter| !letter.is_alphanumeric());
        let any = name.match_indices(query).any(|(at, _)| begins_word(at));
        return Some(if begins_word(at) || any { Quality::WordPrefix } else { Quality::Substring });
    }
    let mut asked = query.split(' ').filter(|word| !word.is_empty()).peekable();
    let all = asked.peek().is_some() && asked.all(|asked| words().any(|word| word.starts_with(asked)));
    all.then_some(Quality::Words)
}

/// The label, then the synonyms.
fn names_of(term: &Term) -> impl Iterator<Item = &str> {
    std::iter::once(term.label.as_str()).chain(term.synonyms.iter().map(String::as_str))
}

/// Lower case, blanks single.
fn plain(name: &str) -> String {
    name.split([' ', '\t', '\n', '\r', '_'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

/// A plain name without plural and without a last word `cell`.
fn stem(name: &str) -> String {
    let singular = match name.strip_suffix('s') {
        Some(rest) if !rest.ends_with(['s', 'u', 'i']) => rest,
        _ => name,
    };
    singular.strip_suffix(" cell").unwrap_or(singular).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whatever_their_case_number_or_last_word() {
        let ontology = Ontology::builtin().unwrap();
        let id = |name: &str| ontology.by_name(name).map(|term| term.id.as_str());
        for name in ["monocyte", "Monocytes", " MONOCYTE "] {
            assert_eq!(id(name), Some("CL:0000576"), "{name}");
        }
        for name in ["T cell", "t cells", "T  Cell", "T_cell", "T-cell", "T lymphocyte"] {
            assert_eq!(id(name), Some("CL:0000084"), "{name}");
        }
        for name in ["natural killer cell", "natural killer", "Natural killer cells"] {
            assert_eq!(id(name), Some("CL:0000623"), "{name}");
        }
        assert_eq!(id("cell"), Some("CL:0000000"));
        assert_eq!(id("no such thing"), None);
        assert_eq!(id(""), None);
    }

    #[test]
    fn search_ranks_whole_names_before_beginnings_before_parts() {
        let ontology = Ontology::builtin().unwrap();
        let labels =
            |query: &str| ontology.search(query, 2000).into_iter().map(|hit| hit.label).collect::<Vec<_>>();
        let found = labels("monocyte");
        assert_eq!(found[0], "monocyte");
        let at = |label: &str| found.iter().position(|found| found == label).unwrap();
        assert!(at("classical monocyte") < at("promonocyte"));
        assert_eq!(labels("CL:0000576")[0], "monocyte");
        assert_eq!(labels("0000576")[0], "monocyte");
        assert_eq!(labels("CL:0000003"), ["obsolete native cell"]);
        assert!(labels("CD8 memory").iter().any(|label| label.contains("CD8") && label.contains("memory")));
        assert!(labels("  ").is_empty() && ontology.search("cell", 0).is_empty());
        assert_eq!(ontology.search("cell", 5).len(), 5);
    }

    #[test]
    fn a_hit_by_synonym_says_so_and_comes_after_labels() {
        let ontology = Ontology::builtin().unwrap();
        let hit = &ontology.search("T lymphocyte", 1)[0];
        assert_eq!((hit.id.as_str(), hit.matched.as_str()), ("CL:0000084", "T lymphocyte"));
    }
}
