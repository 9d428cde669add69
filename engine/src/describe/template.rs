//! The sentence pattern of every description, and the words that fill it.
//!
//! The pattern is that of the Cell2Text paper's data set (arXiv 2509.24840, Appendix A): cell type with its
//! definition, tissue, disease and sex, stage of life, and the two most enriched pathways. Articles follow English
//! ("an astrocyte"), where the paper's own code always writes "a".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::error::Problem;
use crate::{Error, Result, assets};

/// What is known of a cell, to be put into words. Empty options leave their clause out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CellFacts {
    /// Cell type, as labelled by the Cell Ontology.
    pub cell_type: String,
    /// One sentence fragment that says what that type is.
    pub definition: Option<String>,
    /// Tissue.
    pub tissue: Option<String>,
    /// Disease; `None` is a normal donor.
    pub disease: Option<String>,
    /// `male` or `female`.
    pub sex: Option<String>,
    /// Stage of life, as [`stage_of_life`] words it.
    pub stage: Option<String>,
    /// Descriptions of pathways, the most enriched first; at most two are told.
    pub pathways: Vec<String>,
}

/// Opens every description.
pub(super) const TYPE_CLAUSE: &str = "This sample consists of ";
/// Opens the clause on tissue, disease and stage.
pub(super) const ORIGIN_CLAUSE: &str = ". It originates from";
/// Opens the clause on the stage of life.
pub(super) const STAGE_CLAUSE: &str = " during ";
/// Opens the clause on the first pathway.
pub(super) const FIRST_PATHWAY_CLAUSE: &str = ". This cell is associated with ";
/// Opens the clause on the second pathway.
pub(super) const SECOND_PATHWAY_CLAUSE: &str = ". Additionally, it involves ";

impl CellFacts {
    /// The description.
    pub fn compose(&self) -> String {
        let mut text = format!(
            "{TYPE_CLAUSE}{}{ORIGIN_CLAUSE}{}{}{}",
            type_words(&self.cell_type, self.definition.as_deref()),
            tissue_words(self.tissue.as_deref()),
            donor_words(self.disease.as_deref(), self.sex.as_deref()),
            stage_words(self.stage.as_deref())
        );
        for (clause, pathway) in [FIRST_PATHWAY_CLAUSE, SECOND_PATHWAY_CLAUSE].iter().zip(&self.pathways) {
            text.push_str(clause);
            text.push_str(pathway);
        }
        text.push('.');
        text
    }
}

/// Words that descriptions are made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownWords {
    /// Cell types with their definitions.
    pub cell_types: BTreeSet<(String, Option<String>)>,
    /// Tissues; `None` leaves the clause out.
    pub tissues: BTreeSet<Option<String>>,
    /// Disease and sex of donors.
    pub donors: BTreeSet<(Option<String>, Option<String>)>,
    /// Stages of life; `None` leaves the clause out.
    pub stages: BTreeSet<Option<String>>,
    /// Descriptions of pathways.
    pub pathways: BTreeSet<String>,
}

impl KnownWords {
    /// Takes up the words of `facts`, bar its pathways.
    pub fn add(&mut self, facts: &CellFacts) {
        self.cell_types.insert((facts.cell_type.clone(), facts.definition.clone()));
        self.tissues.insert(facts.tissue.clone());
        self.donors.insert((facts.disease.clone(), facts.sex.clone()));
        self.stages.insert(facts.stage.clone());
    }

    /// The slot that tells the cell type, and that of the tissue.
    pub const CELL_TYPE_SLOT: usize = 1;
    /// See [`KnownWords::CELL_TYPE_SLOT`].
    pub const TISSUE_SLOT: usize = 3;

    /// Places of a cell's type and tissue in their slots.
    pub fn places(&self, facts: &CellFacts) -> Option<(usize, usize)> {
        let cell_type = (facts.cell_type.clone(), facts.definition.clone());
        let cell_type = self.cell_types.iter().position(|known| *known == cell_type)?;
        Some((cell_type, self.tissues.iter().position(|known| *known == facts.tissue)?))
    }

    /// The slots of every description that these words can fill, as a model's grammar lists them.
    pub fn slots(&self) -> Vec<Vec<String>> {
        let one = |text: &str| vec![text.to_owned()];
        let pathways: Vec<String> = self.pathways.iter().cloned().collect();
        vec![
            one(TYPE_CLAUSE),
            self.cell_types
                .iter()
                .map(|(name, definition)| type_words(name, definition.as_deref()))
                .collect(),
            one(ORIGIN_CLAUSE),
            self.tissues.iter().map(|tissue| tissue_words(tissue.as_deref())).collect(),
            self.donors.iter().map(|(ill, sex)| donor_words(ill.as_deref(), sex.as_deref())).collect(),
            self.stages.iter().map(|stage| stage_words(stage.as_deref())).collect(),
            one(FIRST_PATHWAY_CLAUSE),
            pathways.clone(),
            one(SECOND_PATHWAY_CLAUSE),
            pathways,
            one("."),
        ]
    }
}

fn type_words(name: &str, definition: Option<&str>) -> String {
    let definition = definition.map(|d| format!(", {d}")).unwrap_or_default();
    format!("{} {name}{definition}", article(name))
}

fn tissue_words(tissue: Option<&str>) -> String {
    tissue.map(|t| format!(" the {t} of")).unwrap_or_default()
}

fn donor_words(disease: Option<&str>, sex: Option<&str>) -> String {
    let person = sex.unwrap_or("individual");
    match disease {
        None => format!(" a normal {person}"),
        Some(disease) => format!(" {} {person} with {disease}", article(person)),
    }
}

fn stage_words(stage: Option<&str>) -> String {
    stage.map(|s| format!("{STAGE_CLAUSE}{s}")).unwrap_or_default()
}

/// "a" or "an", by the sound that the noun begins with, as far as spelling tells.
fn article(noun: &str) -> &'static str {
    let mut letters = noun.chars();
    let first = letters.next().unwrap_or(' ');
    let second_is_lower = letters.next().is_some_and(char::is_lowercase);
    // A lone capital is spelled out: "an L5 neuron", but "a T cell".
    if first.is_uppercase() && !second_is_lower {
        return if "AEFHILMNORSX".contains(first) { "an" } else { "a" };
    }
    let lower = noun.to_lowercase();
    let sounds_like_you = ["uni", "eu", "ur", "ut"].iter().any(|p| lower.starts_with(p));
    if "aeiou".contains(first.to_ascii_lowercase()) && !sounds_like_you { "an" } else { "a" }
}

/// The words for a CELLxGENE development stage label, as the paper buckets ages; `None` for an unknown stage.
pub fn stage_of_life(label: &str) -> Option<String> {
    let label = label.trim().to_lowercase();
    if label.is_empty() || label == "unknown" || label == "na" {
        return None;
    }
    let words = |s: &str| Some(s.to_owned());
    if let Some(weeks) = number_before(&label, "week post-fertilization") {
        return words(if weeks < 17.0 { "early embryonic stage" } else { "late embryonic stage" });
    }
    if ["carnegie", "blastula", "organogenesis", "embryonic"].iter().any(|w| label.contains(w)) {
        return words("early embryonic stage");
    }
    if let Some(months) = number_before(&label, "month-old") {
        return words(age_bucket(months / 12.0));
    }
    if let Some(years) = number_before(&label, "year-old") {
        return words(age_bucket(years));
    }
    let decades = [
        ("third", 25.0),
        ("fourth", 35.0),
        ("fifth", 45.0),
        ("sixth", 55.0),
        ("seventh", 65.0),
        ("eighth", 75.0),
        ("ninth", 85.0),
    ];
    if let Some((_, years)) = decades.iter().find(|(d, _)| label.contains(&format!("{d} decade"))) {
        return words(age_bucket(*years));
    }
    let named = [
        (&["newborn", "infant", "postnatal"][..], "infancy"),
        (&["child 1-4", "young child"], "early childhood"),
        (&["juvenile", "pediatric", "child"], "childhood"),
        (&["adolescent"], "adolescence"),
        (&["young adult"], "young adulthood"),
        (&["middle aged", "middle age"], "middle age"),
        (&["late adult", "elderly"], "elderly stage"),
        (&["adult", "mature"], "adulthood"),
        (&["fetal"], "fetal stage"),
    ];
    match named.iter().find(|(keys, _)| keys.iter().any(|k| label.contains(k))) {
        Some((_, stage)) => words(stage),
        None => words(label.trim_end_matches("stage").trim()),
    }
}

fn number_before(label: &str, unit: &str) -> Option<f64> {
    // A range, as "60-79 year-old stage", counts by its middle.
    let before = &label[..label.find(unit)?];
    let numbers: Vec<f64> = before
        .split(|c: char| !c.is_ascii_digit())
        .filter(|s| !s.is_empty())
        .filter_map(|s| s.parse().ok())
        .collect();
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

fn age_bucket(years: f64) -> &'static str {
    match years {
        y if y < 2.0 => "infancy",
        y if y < 5.0 => "early childhood",
        y if y < 15.0 => "childhood",
        y if y < 20.0 => "adolescence",
        y if y < 30.0 => "young adulthood",
        y if y < 50.0 => "adulthood",
        y if y < 65.0 => "middle age",
        y if y < 80.0 => "elderly stage",
        _ => "advanced elderly stage",
    }
}

/// Our own definitions of cell types and descriptions of pathways.
#[derive(Debug, Clone, Default)]
pub struct Phrases {
    cell_types: BTreeMap<String, String>,
    pathways: BTreeMap<String, String>,
}

impl Phrases {
    /// Those that ship with the program.
    ///
    /// # Errors
    /// [`Error::Request`] when a shipped table is damaged.
    pub fn builtin() -> Result<&'static Self> {
        static PHRASES: OnceLock<std::result::Result<Phrases, Problem>> = OnceLock::new();
        PHRASES
            .get_or_init(|| {
                Ok(Self {
                    cell_types: read_pairs("texts/cell_types.tsv", assets::CELL_TYPE_TEXTS_TSV)?,
                    pathways: read_pairs("texts/pathways.tsv", assets::PATHWAY_TEXTS_TSV)?,
                })
            })
            .as_ref()
            .map_err(|p| Error::request(p.clone()))
    }

    /// The definition of a Cell Ontology term.
    pub fn cell_type(&self, id: &str) -> Option<&str> {
        self.cell_types.get(id).map(String::as_str)
    }

    /// The description of a gene set.
    pub fn pathway(&self, set: &str) -> Option<&str> {
        self.pathways.get(set).map(String::as_str)
    }

    /// All defined cell types: id and definition.
    pub fn cell_types(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cell_types.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// All described gene sets: name and description.
    pub fn pathways(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pathways.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

fn read_pairs(name: &str, table: &str) -> std::result::Result<BTreeMap<String, String>, Problem> {
    table
        .lines()
        .skip(1)
        .map(|line| match line.split_once('\t') {
            Some((key, value)) if !value.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(Problem::new(
                name,
                format!("the line {line:?}"),
                "a key, a tab, a text",
                "Install the program again.",
            )),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_follows_the_papers_pattern() {
        let facts = CellFacts {
            cell_type: "astrocyte".into(),
            definition: Some("glial cell of the brain".into()),
            tissue: Some("cerebral cortex".into()),
            stage: Some("adulthood".into()),
            pathways: vec!["low oxygen".into(), "cell division".into()],
            ..CellFacts::default()
        };
        assert_eq!(
            facts.compose(),
            "This sample consists of an astrocyte, glial cell of the brain. It originates from the cerebral cortex of a \
             normal individual during adulthood. This cell is associated with low oxygen. Additionally, it involves cell division."
        );
        let ill = CellFacts {
            cell_type: "T cell".into(),
            disease: Some("melanoma".into()),
            sex: Some("female".into()),
            ..CellFacts::default()
        };
        assert_eq!(
            ill.compose(),
            "This sample consists of a T cell. It originates from a female with melanoma."
        );
    }

    #[test]
    fn the_grammar_of_known_words_takes_every_description_made_of_them_and_no_other() {
        let facts = |cell_type: &str, disease: Option<&str>, stage: Option<&str>| CellFacts {
            cell_type: cell_type.into(),
            definition: Some(format!("what a {cell_type} is")),
            tissue: Some("lung".into()),
            disease: disease.map(str::to_owned),
            stage: stage.map(str::to_owned),
            pathways: vec!["low oxygen".into(), "cell division".into()],
            ..CellFacts::default()
        };
        let known = [facts("T cell", None, Some("adulthood")), facts("astrocyte", Some("melanoma"), None)];
        let mut words =
            KnownWords { pathways: known[0].pathways.iter().cloned().collect(), ..KnownWords::default() };
        known.iter().for_each(|f| words.add(f));
        let grammar = crate::model::Grammar::new(&words.slots()).unwrap();
        let takes = |text: &str| {
            grammar.after(&grammar.start(), text.as_bytes()).is_some_and(|place| grammar.may_end(&place))
        };
        for f in &known {
            assert!(takes(&f.compose()), "{}", f.compose());
        }
        assert!(takes(&facts("T cell", Some("melanoma"), None).compose()));
        assert!(!takes(&facts("B cell", None, None).compose()));
        assert!(!takes(&known[0].compose().replace("a T cell", "an T cell")));
    }

    #[test]
    fn articles_follow_the_sound() {
        for (noun, expected) in [
            ("B cell", "a"),
            ("L5 extratelencephalic neuron", "an"),
            ("NK cell", "an"),
            ("T cell", "a"),
            ("endothelial cell", "an"),
            ("unipolar brush cell", "a"),
            ("individual", "an"),
            ("CD4-positive, alpha-beta T cell", "a"),
        ] {
            assert_eq!(article(noun), expected, "{noun}");
        }
    }

    #[test]
    fn ages_fall_into_the_papers_buckets() {
        for (label, expected) in [
            ("human adult stage", Some("adulthood")),
            ("29-year-old stage", Some("young adulthood")),
            ("30-year-old stage", Some("adulthood")),
            ("60-79 year-old stage", Some("elderly stage")),
            ("80 year-old and over stage", Some("advanced elderly stage")),
            ("14-month-old stage", Some("infancy")),
            ("16th week post-fertilization stage", Some("early embryonic stage")),
            ("20th week post-fertilization stage", Some("late embryonic stage")),
            ("third decade stage", Some("young adulthood")),
            ("unknown", None),
        ] {
            assert_eq!(stage_of_life(label).as_deref(), expected, "{label}");
        }
    }

    #[test]
    fn more_than_200_cell_types_and_all_pathways_are_told_in_one_sentence() {
        let (phrases, ontology) =
            (Phrases::builtin().unwrap(), crate::ontology::Ontology::builtin().unwrap());
        assert!(phrases.cell_types().count() >= 200, "{}", phrases.cell_types().count());
        for (id, words) in phrases.cell_types() {
            assert!(ontology.term(id).is_some_and(|term| !term.deprecated), "{id}");
            assert!(words.split(' ').count() >= 5 && !words.contains(". "), "{id}: {words}");
        }
        let sets = crate::pathways::GeneSets::hallmark().unwrap().sets();
        let untold: Vec<&str> =
            sets.iter().map(|set| set.name.as_str()).filter(|name| phrases.pathway(name).is_none()).collect();
        assert!(untold.is_empty() && phrases.pathways().count() == sets.len(), "{untold:?}");
    }

    #[test]
    fn every_shipped_phrase_can_stand_in_the_pattern() {
        let phrases = Phrases::builtin().unwrap();
        assert!(phrases.cell_types().count() >= 225);
        assert_eq!(phrases.pathways().count(), 50);
        for (key, text) in phrases.cell_types().chain(phrases.pathways()) {
            assert!(text.is_ascii() && !text.contains([',', '.', ':']), "{key}: {text}");
        }
    }

    #[test]
    fn nearly_every_type_with_a_definition_has_a_lineage() {
        let (ontology, phrases) =
            (crate::ontology::Ontology::builtin().unwrap(), Phrases::builtin().unwrap());
        let ids: Vec<&str> = phrases.cell_types().map(|(id, _)| id).collect();
        let without: Vec<&str> =
            ids.iter().copied().filter(|id| crate::ontology::lineage(ontology, id).is_none()).collect();
        assert!(without.len() * 12 < ids.len(), "{} of {}: {without:?}", without.len(), ids.len());
    }
}
