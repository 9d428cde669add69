//! `cell2text ontology`: a term of the Cell Ontology and where it stands.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use engine::ontology::{Ontology, Term};
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::Output;

/// Terms listed when the words asked for are no term.
const SUGGESTIONS: usize = 8;
/// Steps of indentation at most.
const DEEPEST: usize = 40;

/// Shows a term of the Cell Ontology: what it is, what it is called, what stands above and below it
#[derive(Debug, Clone, Args)]
pub struct OntologyArgs {
    /// Id ("CL:0000576"), name or synonym ("monocyte")
    term: String,
    /// Use this ontology (.obo, or the JSON of CELLxGENE), with its definitions, instead of the built-in one
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl OntologyArgs {
    /// Prints the term.
    ///
    /// # Errors
    /// Where the ontology cannot be read or has no such term.
    pub fn run(&self) -> Result<(), Failure> {
        let read;
        let ontology = match &self.file {
            Some(path) => {
                read = Ontology::read(path).map_err(|e| Failure::BadInput(e.into()))?;
                &read
            }
            None => Ontology::builtin()?,
        };
        let term = find(ontology, &self.term)?;
        let mut out = Output::new();
        if self.json { out.json(&as_json(ontology, term)) } else { print(ontology, term, &mut out) }
    }
}

fn find<'a>(ontology: &'a Ontology, asked: &str) -> Result<&'a Term, Failure> {
    if let Some(term) = ontology.term(asked).or_else(|| ontology.by_name(asked)) {
        return Ok(term);
    }
    let hits = ontology.search(asked, SUGGESTIONS);
    let near = if hits.is_empty() {
        "Check the spelling.".to_owned()
    } else {
        let hits = hits.iter().map(|hit| format!("{} {}", hit.id, hit.label)).collect::<Vec<_>>();
        format!("Near it are: {}.", hits.join(", "))
    };
    Err(Failure::Other(anyhow::anyhow!("\"{asked}\" is no term of this ontology. {near}")))
}

fn label<'a>(ontology: &'a Ontology, id: &str) -> &'a str {
    ontology.term(id).map_or("", |term| &term.label)
}

fn as_json(ontology: &Ontology, term: &Term) -> Value {
    let named = |ids: Vec<&str>| {
        ids.into_iter().map(|id| json!({ "id": id, "label": label(ontology, id) })).collect::<Vec<_>>()
    };
    json!({
        "id": term.id,
        "label": term.label,
        "definition": term.definition,
        "synonyms": term.synonyms,
        "deprecated": term.deprecated,
        "replaced_by": term.replaced_by,
        "parents": named(ontology.parents(&term.id)),
        "children": named(ontology.children(&term.id)),
        "ancestors": ontology
            .ancestors(&term.id)
            .into_iter()
            .map(|(id, distance)| json!({ "id": id, "label": label(ontology, id), "distance": distance }))
            .collect::<Vec<_>>(),
        "ontology": ontology.version(),
    })
}

fn print(ontology: &Ontology, term: &Term, out: &mut Output) -> Result<(), Failure> {
    out.line(format_args!("{} {}", term.id, term.label))?;
    if term.deprecated {
        let by = term.replaced_by.as_deref();
        out.line(format_args!(
            "deprecated{}",
            by.map(|id| format!(", replaced by {id} {}", label(ontology, id))).unwrap_or_default()
        ))?;
    }
    if let Some(definition) = &term.definition {
        out.line(definition)?;
    }
    if !term.synonyms.is_empty() {
        out.line(format_args!("synonyms: {}", term.synonyms.join("; ")))?;
    }
    print_above(ontology, term, out)?;
    let children = ontology.children(&term.id);
    if !children.is_empty() {
        out.line(format_args!("{} below it", children.len()))?;
        for child in children {
            out.line(format_args!("  {child} {}", label(ontology, child)))?;
        }
    }
    out.line(format_args!("from {}", ontology.version()))
}

/// All that the term is, each more general term one step further in. What was shown before is not unfolded again.
fn print_above(ontology: &Ontology, term: &Term, out: &mut Output) -> Result<(), Failure> {
    let mut waiting = Vec::new();
    let mut shown = HashSet::new();
    let unfold = |id, depth, waiting: &mut Vec<_>| {
        waiting.extend(ontology.parents(id).into_iter().rev().map(|parent| (parent, depth)));
    };
    unfold(&term.id, 1, &mut waiting);
    if !waiting.is_empty() {
        out.line("is a")?;
    }
    while let Some((id, depth)) = waiting.pop() {
        let again = !shown.insert(id);
        let mark = if again && !ontology.parents(id).is_empty() { " (see above)" } else { "" };
        out.line(format_args!("{}{id} {}{mark}", "  ".repeat(depth.min(DEEPEST)), label(ontology, id)))?;
        if !again {
            unfold(id, depth + 1, &mut waiting);
        }
    }
    Ok(())
}
