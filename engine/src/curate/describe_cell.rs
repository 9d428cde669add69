//! The description of a chosen cell, by the pattern that the models learn.

use crate::Result;
use crate::describe::{CellFacts, Phrases, stage_of_life};
use crate::ontology::Ontology;

use super::labels::NORMAL;

/// What a description is made of, as the data set's columns have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    /// Cell Ontology id.
    pub(super) cell_type: &'a str,
    pub(super) tissue: &'a str,
    pub(super) disease: &'a str,
    pub(super) sex: &'a str,
    pub(super) development_stage: &'a str,
    /// Names of the two most enriched sets, or fewer.
    pub(super) pathways: [&'a str; 2],
}

/// Words for a cell.
///
/// Definitions of cell types and pathways are the program's own; a set of the user's that has none is told by its
/// name.
///
/// # Errors
/// Where the built-in tables are damaged.
pub(super) fn description(told: &Told<'_>) -> Result<String> {
    let (ontology, phrases) = (Ontology::builtin()?, Phrases::builtin()?);
    let facts = CellFacts {
        cell_type: ontology
            .term(told.cell_type)
            .map_or_else(|| told.cell_type.to_owned(), |t| t.label.clone()),
        definition: phrases.cell_type(told.cell_type).map(str::to_owned),
        tissue: Some(plain(told.tissue)).filter(|t| !t.is_empty()),
        disease: (told.disease != NORMAL).then(|| plain(&told.disease.replace(" || ", " and "))),
        sex: Some(told.sex.to_owned()).filter(|sex| sex == "male" || sex == "female"),
        stage: stage_of_life(told.development_stage),
        pathways: told
            .pathways
            .iter()
            .filter(|set| !set.is_empty())
            .map(|set| pathway_words(set, phrases))
            .collect(),
    };
    Ok(facts.compose())
}

/// A label without what would break the pattern: cut at the first comma and after the last colon, as the paper does.
fn plain(label: &str) -> String {
    let label = label.split(',').next().unwrap_or(label);
    label.rsplit(':').next().unwrap_or(label).trim().to_owned()
}

fn pathway_words(set: &str, phrases: &Phrases) -> String {
    phrases.pathway(set).map_or_else(
        || format!("genes of the set {}", set.replace(['_', '.', ','], " ").trim().to_lowercase()),
        str::to_owned,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_told_with_its_labels_cut_as_the_paper_cuts_them() {
        let told = Told {
            cell_type: "CL:0000236",
            tissue: "lung parenchyma, upper lobe",
            disease: "COVID-19 || type 2 diabetes mellitus",
            sex: "female",
            development_stage: "67-year-old stage",
            pathways: ["HALLMARK_HYPOXIA", "MY_SET.1"],
        };
        let text = description(&told).unwrap();
        assert!(text.starts_with("This sample consists of a B cell, "), "{text}");
        assert!(
            text.contains(
                ". It originates from the lung parenchyma of a female with COVID-19 and type 2 diabetes mellitus \
                 during elderly stage. This cell is associated with genes switched on when oxygen runs low. \
                 Additionally, it involves genes of the set my set 1."
            ),
            "{text}"
        );
        let normal =
            Told { disease: NORMAL, sex: "unknown", development_stage: "", pathways: ["", ""], ..told };
        assert!(description(&normal).unwrap().ends_with("the lung parenchyma of a normal individual."));
    }
}
