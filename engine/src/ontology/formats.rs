//! The files an ontology comes in.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use serde::Deserialize;

use super::graph::Term;
use crate::error::Problem;
use crate::{Error, Result};

/// The whole of CL, UBERON and MONDO are below this, unpacked.
const MAX_BYTES: u64 = 512 << 20;

/// What stands at the head of the table that ships with the program.
const TABLE_MARK: &str = "#cell ontology\t";

/// An ontology as read, its relations not yet checked.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) version: String,
    pub(super) terms: Vec<Term>,
}

type Parsed<T> = std::result::Result<T, Problem>;

/// The bytes of a file, within [`MAX_BYTES`].
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).map_err(|error| Error::io("open the ontology", path, error))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read the ontology", path, error))?;
    Ok(bytes)
}

/// An ontology from its bytes; `file_name` may name the release where the content does not.
pub(super) fn parse(bytes: &[u8], file_name: Option<&str>) -> Parsed<Source> {
    let bytes = unpack(bytes)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| unknown("bytes that are no text"))?;
    let text = text.trim_start_matches('\u{feff}');
    let source = if text.starts_with(TABLE_MARK) {
        from_table(text)?
    } else if text.trim_start().starts_with('{') {
        from_json(text, file_name)?
    } else if text.starts_with("format-version:") || text.lines().any(|line| line.trim() == "[Term]") {
        from_obo(text, file_name)?
    } else {
        return Err(unknown("none of the known formats"));
    };
    if source.terms.is_empty() { Err(unknown("no term")) } else { Ok(source) }
}

fn unknown(found: &str) -> Problem {
    Problem::new(
        "the ontology",
        found,
        "OBO, or the JSON of CELLxGENE's ontology guide",
        "Choose cl.obo or cl-basic.obo of a Cell Ontology release.",
    )
}

fn unpack(bytes: &[u8]) -> Parsed<Vec<u8>> {
    let broken = |error: &dyn std::fmt::Display| unknown(&format!("a packed file that breaks off ({error})"));
    let mut plain = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut reader = MultiGzDecoder::new(bytes).take(MAX_BYTES + 1);
        reader.read_to_end(&mut plain).map_err(|error| broken(&error))?;
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let reader = StreamingDecoder::new(bytes).map_err(|error| broken(&error))?;
        reader.take(MAX_BYTES + 1).read_to_end(&mut plain).map_err(|error| broken(&error))?;
    } else {
        plain = bytes.to_vec();
    }
    if plain.len() as u64 > MAX_BYTES {
        return Err(unknown(&format!("more than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(plain)
}

/// The table of `cargo xtask assets`: id, label, synonyms, is_a, replaced_by, deprecated.
fn from_table(text: &str) -> Parsed<Source> {
    let split = |cell: &str| cell.split('|').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let mut lines = text.lines().enumerate();
    let version =
        lines.next().and_then(|(_, line)| line.strip_prefix(TABLE_MARK)).unwrap_or_default().to_owned();
    let mut terms = Vec::new();
    for (number, line) in lines.skip(1).filter(|(_, line)| !line.is_empty()) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [id, label, synonyms, parents, replaced_by, deprecated] = cells.as_slice() else {
            return Err(unknown(&format!("{} columns in line {}", cells.len(), number + 1)));
        };
        terms.push(Term {
            id: (*id).to_owned(),
            label: (*label).to_owned(),
            synonyms: split(synonyms),
            parents: split(parents),
            definition: None,
            replaced_by: Some((*replaced_by).to_owned()).filter(|id| !id.is_empty()),
            deprecated: *deprecated == "1",
        });
    }
    Ok(Source { version, terms })
}

/// One term in CELLxGENE's JSON; `ancestors` holds the distance to each, 1 being the parents.
#[derive(Deserialize)]
struct JsonTerm {
    label: String,
    description: Option<String>,
    #[serde(default)]
    synonyms: Vec<String>,
    #[serde(default)]
    ancestors: HashMap<String, u32>,
    #[serde(default)]
    deprecated: bool,
    replaced_by: Option<String>,
}

fn from_json(text: &str, file_name: Option<&str>) -> Parsed<Source> {
    let terms: BTreeMap<String, JsonTerm> =
        serde_json::from_str(text).map_err(|error| unknown(&format!("JSON that does not fit: {error}")))?;
    let terms = terms
        .into_iter()
        .map(|(id, term)| Term {
            id,
            label: term.label,
            synonyms: term.synonyms,
            parents: term
                .ancestors
                .into_iter()
                .filter(|(_, far)| *far == 1)
                .map(|(parent, _)| parent)
                .collect(),
            definition: term.description,
            replaced_by: term.replaced_by,
            deprecated: term.deprecated,
        })
        .collect();
    Ok(Source { version: release(file_name), terms: of_commonest_prefix(terms) })
}

/// The parts of OBO 1.2 and 1.4 that concern names and `is_a`.
fn from_obo(text: &str, file_name: Option<&str>) -> Parsed<Source> {
    let mut version = None;
    let mut terms: Vec<Term> = Vec::new();
    let mut in_term = false;
    let mut in_head = true;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            in_head = false;
            in_term = line == "[Term]";
            if in_term {
                terms.push(Term::default());
            }
            continue;
        }
        let Some((tag, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if in_head && tag == "data-version" {
            version = date_in(value).or_else(|| Some(value.to_owned()));
        }
        let (true, Some(term)) = (in_term, terms.last_mut()) else { continue };
        let quoted = || {
            quoted(value).ok_or_else(|| {
                unknown(&format!("a {tag} without its quotation marks in line {}", number + 1))
            })
        };
        match tag {
            "id" => term.id = first_word(value).to_owned(),
            "name" => term.label = unescape(value.split(" {").next().unwrap_or(value)),
            "def" => term.definition = Some(quoted()?.0),
            "synonym" => {
                let (name, rest) = quoted()?;
                if rest.split_whitespace().next() == Some("EXACT") {
                    term.synonyms.push(name);
                }
            }
            "is_a" => term.parents.push(first_word(value).to_owned()),
            "replaced_by" => term.replaced_by = Some(first_word(value).to_owned()),
            "is_obsolete" => term.deprecated = first_word(value) == "true",
            _ => {}
        }
    }
    terms.retain(|term| !term.id.is_empty());
    let version = version.unwrap_or_else(|| release(file_name));
    Ok(Source { version, terms: of_commonest_prefix(terms) })
}

/// The terms whose ids have the commonest prefix: what else a file holds are terms it borrows.
fn of_commonest_prefix(mut terms: Vec<Term>) -> Vec<Term> {
    let prefix = |id: &str| id.split_once(':').map(|(prefix, _)| prefix.to_owned()).unwrap_or_default();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for term in &terms {
        // The Cell Ontology's own files hold more of others' terms than of its own.
        *counts.entry(prefix(&term.id)).or_default() +=
            if term.id.starts_with("CL:") { terms.len() } else { 1 };
    }
    if let Some((commonest, _)) = counts.into_iter().max_by_key(|(_, count)| *count) {
        terms.retain(|term| prefix(&term.id) == commonest);
    }
    terms
}

fn release(file_name: Option<&str>) -> String {
    file_name.and_then(date_in).unwrap_or_else(|| "of unknown release".to_owned())
}

/// The first date (`2025-07-30`) in a text.
fn date_in(text: &str) -> Option<String> {
    let is_date = |window: &[u8]| {
        window.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    };
    let window = text.as_bytes().windows(10).find(|window| is_date(window))?;
    String::from_utf8(window.to_vec()).ok()
}

fn first_word(value: &str) -> &str {
    value.split([' ', '\t', '!', '{']).next().unwrap_or(value)
}

/// The text between quotation marks and what follows it.
fn quoted(value: &str) -> Option<(String, &str)> {
    let inner = value.strip_prefix('"')?;
    let mut escaped = false;
    for (at, letter) in inner.char_indices() {
        match letter {
            '"' if !escaped => return Some((unescape(inner.get(..at)?), inner.get(at + 1..)?)),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => plain.push('\n'),
                Some('t') => plain.push('\t'),
                Some('W') => plain.push(' '),
                Some(other) => plain.push(other),
                None => {}
            },
            other => plain.push(other),
        }
    }
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ontology::Ontology;
    use crate::test_support::shared_file;

    const OBO: &str = r#"format-version: 1.2
data-version: cl/releases/2022-12-15/cl-basic.owl

[Term]
id: CL:0000001
name: thing {x="y"}
def: "A \"thing\"\nof sorts." [AB:cd]
synonym: "item" EXACT []
synonym: "broad item" BROAD []
is_a: CL:0000000 {xref="a"} ! cell
is_a: GO:0000001 ! other

[Term]
id: CL:0000000
name: cell
is_obsolete: true
replaced_by: CL:0000001

[Term]
id: GO:0000001
name: other

[Typedef]
id: part_of
name: part of
"#;

    #[test]
    fn obo_gives_names_relations_and_definitions() {
        let source = parse(OBO.as_bytes(), None).unwrap();
        assert_eq!(source.version, "2022-12-15");
        assert_eq!(source.terms.len(), 2);
        let term = &source.terms[0];
        assert_eq!(
            (term.label.as_str(), term.synonyms.as_slice()),
            ("thing", ["item".to_owned()].as_slice())
        );
        assert_eq!(term.definition.as_deref(), Some("A \"thing\"\nof sorts."));
        assert_eq!(term.parents, ["CL:0000000", "GO:0000001"]);
        assert!(source.terms[1].deprecated);
        assert_eq!(source.terms[1].replaced_by.as_deref(), Some("CL:0000001"));
    }

    #[test]
    fn what_is_no_ontology_is_said_to_be_none() {
        for text in ["", "hello", "{\"a\": 1}", "{", "format-version: 1.2\n", "[Term]\nid: A:1\ndef: x\n"] {
            assert!(parse(text.as_bytes(), None).is_err(), "{text}");
        }
        assert!(parse(b"\x1f\x8bxx", None).is_err() && parse(b"\x28\xb5\x2f\xfdxx", None).is_err());
        assert!(
            parse(b"\xff\xff", None).is_err() && parse(b"#cell ontology\tx\nh\nCL:1\tx\n", None).is_err()
        );
        let missing = Ontology::read(Path::new("no such file.obo")).unwrap_err();
        assert!(missing.to_string().contains("no such file.obo"));
    }

    #[test]
    fn the_builtin_table_and_cellxgenes_json_hold_the_same_facts() {
        let Some(path) = shared_file("data/ontology/CL-ontology-v2025-07-30.json.zst") else { return };
        let json = Ontology::read(&path).unwrap();
        let builtin = Ontology::builtin().unwrap();
        assert_eq!((json.version(), json.len()), (builtin.version(), builtin.len()));
        for (a, b) in json.terms().iter().zip(builtin.terms()) {
            let mut synonyms = a.synonyms.clone();
            synonyms.sort();
            synonyms.dedup();
            assert_eq!((&a.id, &a.label, &synonyms, &a.parents), (&b.id, &b.label, &b.synonyms, &b.parents));
            assert_eq!((&a.replaced_by, a.deprecated), (&b.replaced_by, b.deprecated));
        }
        assert!(json.term("CL:0000576").unwrap().definition.is_some());
    }

    #[test]
    fn a_released_obo_file_is_read() {
        let Some(path) = shared_file("data/ontology/cl-basic_2022-12-15.obo") else { return };
        let ontology = Ontology::read(&path).unwrap();
        assert_eq!(ontology.version(), "2022-12-15");
        assert!(ontology.len() > 2_000, "{}", ontology.len());
        assert_eq!(ontology.by_name("monocyte").unwrap().id, "CL:0000576");
        assert!(ontology.term("CL:0000002").unwrap().deprecated);
        assert!(ontology.term("CL:0000576").unwrap().definition.is_some());
        assert!(ontology.is_a("CL:0000576", "CL:0000000"));
    }

    proptest! {
        #[test]
        fn broken_obo_never_panics(at in 0_usize..600, insert in "[\\[\\]\":{}\\\\\n a-zé]{0,6}", end in 0_usize..600) {
            let cut = |mut at: usize| { at %= OBO.len(); while !OBO.is_char_boundary(at) { at -= 1 } at };
            let (a, b) = (cut(at), cut(end));
            let text = format!("{}{insert}{}", &OBO[..a], &OBO[b..]);
            let _ = parse(text.as_bytes(), Some("x")).and_then(Ontology::assemble);
        }
    }
}
