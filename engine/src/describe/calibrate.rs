//! Temperatures that make the probabilities of a model's claims agree with how often they are right.
//!
//! One number for a kind of claim, fitted on labelled cells of studies that the model was not trained on, by the cross
//! entropy of "right" (Guo et al. 2017, arXiv 1706.04599). It never changes what is said, only how surely.

use std::collections::BTreeMap;

use super::claims::ClaimKind;
use super::describer::{CellReader, Describer};
use super::parse::read_description;
use super::template::Phrases;
use crate::Result;
use crate::anndata::SparseRow;
use crate::model::Generated;
use crate::ontology::Ontology;
use crate::progress::Watch;

/// A cell whose type and tissue are known.
#[derive(Debug, Clone)]
pub struct LabelledCell {
    /// Row of obs.
    pub cell: usize,
    /// Its values.
    pub row: SparseRow,
    /// Its type, as a Cell Ontology id.
    pub cell_type: String,
    /// Its tissue, where it is one that the model could name.
    pub tissue: Option<String>,
}

/// What a claim was decided by, and whether it was right.
#[derive(Debug, Clone)]
struct Verdict {
    text: Generated,
    /// The words that decide it; `None` where its alternatives were weighed.
    decision: Option<std::ops::Range<usize>>,
    right: bool,
}

impl Verdict {
    /// The probability of the claim with its scores divided by `temperature`.
    fn probability(&self, temperature: f64) -> f32 {
        match &self.decision {
            Some(decision) => self.text.probability_among_known(decision, temperature),
            None => self.text.weights_at(temperature).first().map_or(0.0, |(_, likeliest)| *likeliest),
        }
    }
}

/// Claims on cells whose truth is known. Studies weigh alike, however many cells they have.
#[derive(Debug, Default)]
pub struct Calibration {
    studies: Vec<BTreeMap<&'static str, Vec<Verdict>>>,
}

/// Cells described at once.
const BATCH: usize = 64;
/// Below this many claims of a kind no temperature is fitted.
const LEAST_CLAIMS: usize = 20;
/// Temperatures tried, evenly spaced on the log scale.
const RANGE: (f64, f64) = (0.3, 10.0);
const STEPS: usize = 70;
/// A probability of nought would make one wrong claim outweigh all others.
const LEAST_PROBABILITY: f64 = 1e-4;

impl Calibration {
    /// Has `describer` describe the cells of one study and notes what was right. A type is right when it is the true one
    /// or a kind of it.
    ///
    /// # Errors
    /// As [`Describer::describe_batch`].
    pub fn add_study(
        &mut self,
        describer: &Describer,
        reader: &CellReader,
        cells: &[LabelledCell],
        watch: &Watch,
    ) -> Result<()> {
        let (ontology, phrases) = (Ontology::builtin()?, Phrases::builtin()?);
        let mut study: BTreeMap<&'static str, Vec<Verdict>> = BTreeMap::new();
        for (i, batch) in cells.chunks(BATCH).enumerate() {
            watch.step("Calibrating probabilities", (i * BATCH) as u64, Some(cells.len() as u64))?;
            let rows: Vec<(usize, SparseRow)> = batch.iter().map(|c| (c.cell, c.row.clone())).collect();
            for (cell, text) in batch.iter().zip(describer.write(reader, &rows, watch)?) {
                let reading = read_description(&text.text, ontology, phrases);
                for said in reading.statements {
                    let right = match said.kind {
                        ClaimKind::CellType => {
                            said.term.as_deref().is_some_and(|id| ontology.is_a(id, &cell.cell_type))
                        }
                        ClaimKind::Tissue => match &cell.tissue {
                            Some(tissue) => text.text.get(said.span.clone()) == Some(tissue.as_str()),
                            None => continue,
                        },
                        _ => continue,
                    };
                    let weighed = said.kind == ClaimKind::CellType && !text.weights.is_empty();
                    let decision = (!weighed).then_some(said.decision);
                    let verdict = Verdict { text: text.clone(), decision, right };
                    study.entry(said.kind.name()).or_default().push(verdict);
                }
            }
        }
        self.studies.push(study);
        Ok(())
    }

    /// The best temperature for each kind of claim that there are enough of.
    pub fn temperatures(&self) -> BTreeMap<String, f64> {
        [ClaimKind::CellType, ClaimKind::Tissue]
            .into_iter()
            .filter_map(|kind| {
                let studies: Vec<&Vec<Verdict>> =
                    self.studies.iter().filter_map(|s| s.get(kind.name())).collect();
                let enough = studies.iter().map(|s| s.len()).sum::<usize>() >= LEAST_CLAIMS;
                enough.then(|| (kind.name().to_owned(), best_temperature(&studies)))
            })
            .collect()
    }
}

fn best_temperature(studies: &[&Vec<Verdict>]) -> f64 {
    let entropy = |temperature: f64| -> f64 {
        let of_study = |study: &Vec<Verdict>| {
            let sum: f64 = study
                .iter()
                .map(|v| {
                    let p = f64::from(v.probability(temperature));
                    let of_truth = if v.right { p } else { 1.0 - p };
                    -of_truth.max(LEAST_PROBABILITY).ln()
                })
                .sum();
            sum / study.len().max(1) as f64
        };
        studies.iter().map(|s| of_study(s)).sum()
    };
    let (least, most) = RANGE;
    let tried = (0..=STEPS).map(|i| least * (most / least).powf(i as f64 / STEPS as f64));
    let best = tried.map(|t| (entropy(t), t)).min_by(|a, b| a.0.total_cmp(&b.0));
    // Two digits say all that a few hundred cells can.
    best.map_or(1.0, |(_, t)| (t * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(margin: f32, right: bool) -> Verdict {
        let text = Generated {
            text: "x".into(),
            tokens: vec![0],
            log_probabilities: vec![0.0],
            choices: vec![vec![margin, 0.0]],
            spans: std::iter::once(0..1).collect(),
            ended: true,
            ..Generated::default()
        };
        Verdict { text, decision: Some(0..1), right }
    }

    #[test]
    fn the_temperature_makes_claims_as_sure_as_they_are_right() {
        // Sure to 98 % (a margin of 4) and right three times in four: ln 3 ÷ 4 of the margin is what holds.
        let study: Vec<Verdict> = (0..200).map(|i| verdict(4.0, i % 4 != 0)).collect();
        let t = best_temperature(&[&study]);
        let p = study[0].text.probability_among_known(&(0..1), t);
        assert!((p - 0.75).abs() < 0.02 && (t - 4.0 / 3f64.ln()).abs() < 0.2, "{t}: {p}");
    }

    #[test]
    fn a_claim_whose_alternatives_were_weighed_is_as_sure_as_the_likeliest_of_them() {
        let text = Generated { weights: vec![(3, 0.8), (0, 0.2)], ..Generated::default() };
        let verdict = Verdict { text, decision: None, right: true };
        assert!((verdict.probability(1.0) - 0.8).abs() < 1e-6);
        assert!((verdict.probability(2.0) - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn studies_weigh_alike_however_large() {
        let right: Vec<Verdict> = (0..900).map(|_| verdict(2.0, true)).collect();
        let wrong: Vec<Verdict> = (0..30).map(|_| verdict(2.0, false)).collect();
        let p = right[0].text.probability_among_known(&(0..1), best_temperature(&[&right, &wrong]));
        // Half right on the whole, as far as the range of temperatures goes.
        assert!(p < 0.6, "{p}");
        assert!(Calibration::default().temperatures().is_empty());
    }
}
