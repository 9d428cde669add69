//! The ontology itself: terms and their `is_a` relations.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::OnceLock;

use super::formats;
use super::names::Names;
use crate::error::Problem;
use crate::{Error, Result, assets};

/// One term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Term {
    /// Its id, as `CL:0000576`.
    pub id: String,
    /// Its name.
    pub label: String,
    /// Other names for the same.
    pub synonyms: Vec<String>,
    /// Ids of the terms of which it is a kind, within this ontology.
    pub parents: Vec<String>,
    /// What it is, in the ontology's words; the built-in facts have none.
    pub definition: Option<String>,
    /// The term to use in its place, once deprecated.
    pub replaced_by: Option<String>,
    /// Whether the ontology no longer uses it.
    pub deprecated: bool,
}

/// The terms of one ontology and the `is_a` relations among them, which hold no circle.
#[derive(Debug)]
pub struct Ontology {
    version: String,
    terms: Vec<Term>,
    index: HashMap<String, usize>,
    parents: Vec<Vec<usize>>,
    children: Vec<Vec<usize>>,
    pub(super) names: Names,
}

impl Ontology {
    /// The facts that ship with the program, parsed once.
    ///
    /// # Errors
    /// [`Error::Ontology`] when the built-in table is damaged.
    pub fn builtin() -> Result<&'static Self> {
        static BUILTIN: OnceLock<std::result::Result<Ontology, Problem>> = OnceLock::new();
        BUILTIN
            .get_or_init(|| formats::parse(assets::CELL_ONTOLOGY_TSV_GZ, None).and_then(Self::assemble))
            .as_ref()
            .map_err(|problem| Error::ontology(problem.clone()))
    }

    /// Reads an ontology: OBO, the JSON of CELLxGENE's ontology guide, or the table that ships with the program;
    /// plain, gzipped or in zstd. What the file is, is told by its content.
    ///
    /// Of an OBO file, terms of the commonest id prefix and exact synonyms are taken.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Ontology`] when the file is no such ontology or its `is_a` relations run in a
    /// circle.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = formats::read_file(path)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        formats::parse(&bytes, name.as_deref())
            .and_then(Self::assemble)
            .map_err(|problem| Error::ontology(problem.in_file(path)))
    }

    pub(super) fn assemble(source: formats::Source) -> std::result::Result<Self, Problem> {
        let formats::Source { version, mut terms } = source;
        terms.sort_by(|a, b| a.id.cmp(&b.id));
        let index: HashMap<String, usize> =
            terms.iter().enumerate().map(|(at, term)| (term.id.clone(), at)).collect();
        if index.len() != terms.len() {
            let twice = terms.windows(2).find(|pair| pair[0].id == pair[1].id).map_or("", |pair| &pair[0].id);
            return Err(Problem::new(
                twice,
                "two terms",
                "one term for each id",
                "Take a released ontology file.",
            ));
        }
        let mut children = vec![Vec::new(); terms.len()];
        let mut parents = vec![Vec::new(); terms.len()];
        for (at, term) in terms.iter_mut().enumerate() {
            // Relations to terms of other ontologies, or to none, lead nowhere here.
            term.parents.sort_unstable();
            term.parents.dedup();
            term.parents.retain(|parent| index.contains_key(parent));
            parents[at] = term.parents.iter().filter_map(|parent| index.get(parent).copied()).collect();
            for parent in &parents[at] {
                children[*parent].push(at);
            }
        }
        let names = Names::new(&terms);
        let ontology = Self { version, terms, index, parents, children, names };
        ontology.without_circles()?;
        Ok(ontology)
    }

    fn without_circles(&self) -> std::result::Result<(), Problem> {
        let mut open: Vec<usize> = self.parents.iter().map(Vec::len).collect();
        let mut ready: Vec<usize> = (0..open.len()).filter(|at| open[*at] == 0).collect();
        while let Some(at) = ready.pop() {
            for child in &self.children[at] {
                open[*child] -= 1;
                if open[*child] == 0 {
                    ready.push(*child);
                }
            }
        }
        match open.iter().position(|open| *open > 0) {
            None => Ok(()),
            Some(at) => Err(Problem::new(
                format!("is_a of {}", self.terms[at].id),
                "a circle of relations",
                "kinds of kinds that end at a root",
                "Take a released ontology file.",
            )),
        }
    }

    /// The release, as `2025-07-30`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Terms, deprecated ones included.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether there is no term.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// All terms, in the order of their ids.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The term of an id.
    pub fn term(&self, id: &str) -> Option<&Term> {
        self.at(id).map(|at| &self.terms[at])
    }

    /// The term to use for an id: the one that replaced it where it is deprecated and its successor is here.
    pub fn current(&self, id: &str) -> Option<&Term> {
        let mut term = self.term(id)?;
        // A chain of replacements is short; a circle of them must end all the same.
        for _ in 0..8 {
            match term.replaced_by.as_deref().filter(|_| term.deprecated).and_then(|next| self.term(next)) {
                Some(next) => term = next,
                None => break,
            }
        }
        Some(term)
    }

    /// Ids of the terms of which `id` is directly a kind.
    pub fn parents(&self, id: &str) -> Vec<&str> {
        self.at(id).map(|at| self.ids(&self.parents[at])).unwrap_or_default()
    }

    /// Ids of the terms that are directly kinds of `id`.
    pub fn children(&self, id: &str) -> Vec<&str> {
        self.at(id).map(|at| self.ids(&self.children[at])).unwrap_or_default()
    }

    /// All terms of which `id` is a kind, with the least number of `is_a` steps to them; without `id` itself.
    pub fn ancestors(&self, id: &str) -> BTreeMap<&str, u32> {
        self.at(id)
            .map(|at| {
                self.walk(at, &self.parents).into_iter().skip(1).map(|(at, far)| (self.id(at), far)).collect()
            })
            .unwrap_or_default()
    }

    /// Ids of all terms that are kinds of `id`, nearest first; without `id` itself.
    pub fn descendants(&self, id: &str) -> Vec<&str> {
        self.at(id)
            .map(|at| self.walk(at, &self.children).into_iter().skip(1).map(|(at, _)| self.id(at)).collect())
            .unwrap_or_default()
    }

    /// Whether `id` is `ancestor` or a kind of it. An id that is not here is a kind of nothing.
    pub fn is_a(&self, id: &str, ancestor: &str) -> bool {
        match (self.at(id), self.at(ancestor)) {
            (Some(at), Some(ancestor)) => self.walk(at, &self.parents).iter().any(|(at, _)| *at == ancestor),
            _ => false,
        }
    }

    pub(super) fn at(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    pub(super) fn id(&self, at: usize) -> &str {
        &self.terms[at].id
    }

    pub(super) fn parents_of(&self, at: usize) -> &[usize] {
        &self.parents[at]
    }

    /// The direct kinds of a term that are in use.
    pub(super) fn children_of(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        self.children[at].iter().copied().filter(|child| !self.terms[*child].deprecated)
    }

    fn ids(&self, rows: &[usize]) -> Vec<&str> {
        rows.iter().map(|at| self.id(*at)).collect()
    }

    /// Everything reached from `start` along `next`, nearest first, `start` included.
    pub(super) fn walk(&self, start: usize, next: &[Vec<usize>]) -> Vec<(usize, u32)> {
        let mut seen = vec![false; self.terms.len()];
        let mut found = Vec::new();
        let mut queue = VecDeque::from([(start, 0)]);
        seen[start] = true;
        while let Some((at, far)) = queue.pop_front() {
            found.push((at, far));
            for next in &next[at] {
                if !std::mem::replace(&mut seen[*next], true) {
                    queue.push_back((*next, far + 1));
                }
            }
        }
        found
    }

    /// The ancestors of a term with their distance, nearest first, the term itself first.
    pub(super) fn upwards(&self, at: usize) -> Vec<(usize, u32)> {
        self.walk(at, &self.parents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_ontology_knows_monocytes() {
        let ontology = Ontology::builtin().unwrap();
        assert_eq!((ontology.version(), ontology.len()), ("2025-07-30", 3399));
        let term = ontology.term("CL:0000576").unwrap();
        assert_eq!(term.label, "monocyte");
        assert_eq!(ontology.parents("CL:0000576"), ["CL:0000113", "CL:0000766", "CL:0011026"]);
        let ancestors = ontology.ancestors("CL:0000576");
        assert_eq!((ancestors.len(), ancestors["CL:0000000"], ancestors["CL:0000325"]), (16, 3, 4));
        assert!(ontology.children("CL:0000576").contains(&"CL:0000860"));
        assert!(ontology.descendants("CL:0000000").len() > 3000);
        assert!(ontology.is_a("CL:0000860", "CL:0000576") && !ontology.is_a("CL:0000576", "CL:0000860"));
        assert!(ontology.is_a("CL:0000576", "CL:0000576") && !ontology.is_a("CL:x", "CL:x"));
        assert!(ontology.term("CL:9999999").is_none() && ontology.children("CL:9999999").is_empty());
    }

    #[test]
    fn a_deprecated_term_leads_to_its_successor() {
        let ontology = Ontology::builtin().unwrap();
        assert!(ontology.term("CL:0000003").unwrap().deprecated);
        assert_eq!(ontology.current("CL:0000003").unwrap().id, "CL:0000000");
        assert_eq!(ontology.current("CL:0000576").unwrap().id, "CL:0000576");
    }

    #[test]
    fn circles_and_doubled_ids_are_errors() {
        let term = |id: &str, parent: &str| Term {
            id: id.to_owned(),
            parents: vec![parent.to_owned()],
            ..Term::default()
        };
        let source = |terms| formats::Source { version: String::new(), terms };
        let circle =
            Ontology::assemble(source(vec![term("A:1", "A:2"), term("A:2", "A:1"), term("A:3", "X:9")]));
        assert!(circle.unwrap_err().found.contains("circle"));
        let twice = Ontology::assemble(source(vec![term("A:1", ""), term("A:1", "")]));
        assert_eq!(twice.unwrap_err().element, "A:1");
    }
}
