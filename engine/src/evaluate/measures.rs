//! The measures: their names, and how they come from what became of the cells.

use std::sync::Arc;

use super::organ::organ;
use super::outcome::{Labels, Method, Outcomes, jaccard, same_set};
use super::relation::{Compared, Comparer};
use super::statistic::{Classes, NONE, Statistic};

/// A measure's place in tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// Its name in files.
    pub key: &'static str,
    /// What it measures, as the heading of its rows.
    pub group: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// Whether a lower figure is better.
    pub lower_is_better: bool,
}

const fn measure(key: &'static str, group: &'static str, label: &'static str) -> Measure {
    Measure { key, group, label, lower_is_better: false }
}

/// All measures, in the order of tables.
pub const MEASURES: [Measure; 27] = [
    measure("text.exact_match", "text", "exact match"),
    measure("text.bleu_2", "text", "BLEU-2"),
    measure("text.bleu_4", "text", "BLEU-4"),
    measure("text.rouge_1", "text", "ROUGE-1"),
    measure("text.rouge_2", "text", "ROUGE-2"),
    measure("text.rouge_l", "text", "ROUGE-L"),
    measure("text.bert_precision", "text", "BERTScore precision"),
    measure("text.bert_recall", "text", "BERTScore recall"),
    measure("text.bert_f1", "text", "BERTScore F1"),
    measure("text.well_formed", "text", "well formed"),
    measure("cell_type.accuracy", "cell type", "exact"),
    measure("cell_type.exact_or_below", "cell type", "exact or below"),
    measure("cell_type.f1", "cell type", "F1"),
    measure("cell_type.pagerank_similarity", "cell type", "PageRank similarity"),
    measure("cell_type.lineage", "cell type", "lineage"),
    Measure {
        key: "cell_type.calibration_error",
        group: "cell type",
        label: "calibration error",
        lower_is_better: true,
    },
    Measure {
        key: "cell_type.calibration_error_below",
        group: "cell type",
        label: "calibration error, or below",
        lower_is_better: true,
    },
    measure("tissue.accuracy", "tissue", "exact"),
    measure("tissue.organ", "tissue", "same organ"),
    measure("tissue.f1", "tissue", "F1"),
    measure("disease.accuracy", "disease", "exact"),
    measure("disease.f1", "disease", "F1"),
    measure("stage.accuracy", "stage of life", "exact"),
    measure("stage.f1", "stage of life", "F1"),
    measure("pathways.subset_accuracy", "pathways", "both right"),
    measure("pathways.jaccard", "pathways", "Jaccard"),
    measure("pathways.f1", "pathways", "F1"),
];

/// The measure of a key.
pub fn measure_of(key: &str) -> Option<&'static Measure> {
    MEASURES.iter().find(|m| m.key == key)
}

/// What `method` can be measured by on these cells, in the order of [`MEASURES`].
pub(super) fn statistics(
    outcomes: &Outcomes,
    method: Method,
    comparer: &mut Comparer<'_>,
) -> Vec<(&'static str, Statistic)> {
    let Some(said) = outcomes.said.get(&method) else { return Vec::new() };
    let classes_by = |of: fn(&Labels) -> u32| Classes::new(outcomes.truth.iter().map(of).collect());
    let types = classes_by(|l| l.cell_type);
    let mut all = Vec::new();
    if method == Method::Model {
        text_statistics(outcomes, &types, &mut all);
    }
    type_statistics(outcomes, said, &types, comparer, &mut all);
    // A method that says nothing of a label is not measured by it.
    let says = |of: fn(&Labels) -> u32| said.iter().any(|l| of(l) != NONE);
    let tissue: fn(&Labels) -> u32 = |l| l.tissue;
    let disease: fn(&Labels) -> u32 = |l| l.disease;
    let stage: fn(&Labels) -> u32 = |l| l.stage;
    if says(tissue) || method == Method::Model {
        label_statistics(outcomes, said, tissue, ["tissue.accuracy", "tissue.f1"], &mut all);
        all.push(("tissue.organ", organ_statistic(outcomes, said)));
    }
    if says(disease) || method == Method::Model {
        label_statistics(outcomes, said, disease, ["disease.accuracy", "disease.f1"], &mut all);
    }
    if says(stage) || method == Method::Model {
        label_statistics(outcomes, said, stage, ["stage.accuracy", "stage.f1"], &mut all);
    }
    if said.iter().any(|l| !l.pathways.is_empty()) || method == Method::Model {
        pathway_statistics(outcomes, said, &types, &mut all);
    }
    let place = |key: &str| MEASURES.iter().position(|m| m.key == key);
    all.retain(|(_, statistic)| statistic.cells() > 0);
    all.sort_by_key(|(key, _)| place(key));
    all
}

fn text_statistics(outcomes: &Outcomes, types: &Arc<Classes>, all: &mut Vec<(&'static str, Statistic)>) {
    let scores = Arc::new(outcomes.texts.clone());
    let mean = |values: Vec<f32>| Statistic::Mean { values, classes: types.clone() };
    for (order, key) in [(2, "text.bleu_2"), (4, "text.bleu_4")] {
        all.push((key, Statistic::Bleu { order, scores: scores.clone(), classes: types.clone() }));
    }
    all.push(("text.exact_match", mean(scores.iter().map(|s| share(s.exact)).collect())));
    all.push(("text.rouge_1", mean(scores.iter().map(|s| s.rouge_1 as f32).collect())));
    all.push(("text.rouge_2", mean(scores.iter().map(|s| s.rouge_2 as f32).collect())));
    all.push(("text.rouge_l", mean(scores.iter().map(|s| s.rouge_l as f32).collect())));
    all.push(("text.well_formed", mean(outcomes.well_formed.iter().map(|w| share(*w)).collect())));
    for (i, key) in ["text.bert_precision", "text.bert_recall", "text.bert_f1"].into_iter().enumerate() {
        if !outcomes.bert.is_empty() {
            all.push((key, mean(outcomes.bert.iter().map(|b| b[i]).collect())));
        }
    }
}

fn type_statistics(
    outcomes: &Outcomes,
    said: &[Labels],
    types: &Arc<Classes>,
    comparer: &mut Comparer<'_>,
    all: &mut Vec<(&'static str, Statistic)>,
) {
    let compared: Vec<_> = outcomes
        .truth
        .iter()
        .zip(said)
        .map(|(truth, said)| comparer.compare(&outcomes.cell_types, said.cell_type, truth.cell_type))
        .collect();
    let mean = |values: Vec<f32>| Statistic::Mean { values, classes: types.clone() };
    let right: Vec<bool> = outcomes.truth.iter().zip(said).map(|(t, s)| t.cell_type == s.cell_type).collect();
    all.push(("cell_type.accuracy", mean(right.iter().map(|r| share(*r)).collect())));
    all.push((
        "cell_type.exact_or_below",
        mean(compared.iter().map(|c| share(c.is_exact_or_below())).collect()),
    ));
    all.push(("cell_type.pagerank_similarity", mean(compared.iter().map(|c| c.similarity as f32).collect())));
    all.push(("cell_type.lineage", mean(compared.iter().map(|c| share(c.same_lineage)).collect())));
    let answers = said.iter().map(|l| l.cell_type).collect();
    all.push(("cell_type.f1", Statistic::F1 { truth: types.clone(), said: answers }));
    let probability: Vec<f32> = said.iter().map(|l| l.probability).collect();
    let below = compared.iter().map(Compared::is_exact_or_below).collect();
    for (key, right) in [("cell_type.calibration_error", right), ("cell_type.calibration_error_below", below)]
    {
        all.push((key, Statistic::Calibration { probability: probability.clone(), right }));
    }
}

fn label_statistics(
    outcomes: &Outcomes,
    said: &[Labels],
    of: fn(&Labels) -> u32,
    [accuracy, f1]: [&'static str; 2],
    all: &mut Vec<(&'static str, Statistic)>,
) {
    let truth = Classes::new(outcomes.truth.iter().map(of).collect());
    let answers: Vec<u32> = said.iter().map(of).collect();
    let values = truth
        .of
        .iter()
        .zip(&answers)
        .map(|(t, s)| if *t == NONE { f32::NAN } else { share(t == s) })
        .collect();
    all.push((accuracy, Statistic::Mean { values, classes: truth.clone() }));
    all.push((f1, Statistic::F1 { truth, said: answers }));
}

fn organ_statistic(outcomes: &Outcomes, said: &[Labels]) -> Statistic {
    let organs: Vec<String> = outcomes.tissues.words().iter().map(|t| organ(t)).collect();
    let organ_of = |tissue: u32| organs.get(tissue as usize);
    let classes = Classes::new(outcomes.truth.iter().map(|l| l.tissue).collect());
    let values = outcomes
        .truth
        .iter()
        .zip(said)
        .map(|(truth, said)| match organ_of(truth.tissue) {
            Some(organ) => share(organ_of(said.tissue) == Some(organ)),
            None => f32::NAN,
        })
        .collect();
    Statistic::Mean { values, classes }
}

fn pathway_statistics(
    outcomes: &Outcomes,
    said: &[Labels],
    types: &Arc<Classes>,
    all: &mut Vec<(&'static str, Statistic)>,
) {
    let sets = |labels: &[Labels]| labels.iter().map(|l| l.pathways.clone()).collect::<Vec<_>>();
    let (truth, answers) = (sets(&outcomes.truth), sets(said));
    let mean = |value: fn(&[u32], &[u32]) -> f32| Statistic::Mean {
        values: truth
            .iter()
            .zip(&answers)
            .map(|(t, s)| if t.is_empty() { f32::NAN } else { value(t, s) })
            .collect(),
        classes: types.clone(),
    };
    all.push(("pathways.subset_accuracy", mean(|t, s| share(same_set(t, s)))));
    all.push(("pathways.jaccard", mean(jaccard)));
    let count = outcomes.pathways.words().len();
    all.push(("pathways.f1", Statistic::SetF1 { truth: truth.clone(), said: answers, count }));
}

fn share(is: bool) -> f32 {
    f32::from(u8::from(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_begin_with_a_group() {
        for (i, m) in MEASURES.iter().enumerate() {
            assert!(m.key.contains('.') && measure_of(m.key) == Some(m));
            assert!(MEASURES[..i].iter().all(|other| other.key != m.key), "{}", m.key);
        }
        assert_eq!(measure_of("none"), None);
    }
}
