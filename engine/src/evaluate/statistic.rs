//! Measures as functions of how often each cell counts, so that one piece of code gives the figure and its bootstrap.

use std::sync::Arc;

use super::calibration::Reliability;
use super::text::{BleuSums, TextScore};

/// Stands for "none" among numbers of labels.
pub(super) const NONE: u32 = u32::MAX;

/// An average over cells and the average over classes of their averages.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Averages {
    /// Over cells; for F1 weighted by the classes' cells.
    pub(super) average: Option<f64>,
    /// Over classes, each counting alike however many cells it has.
    pub(super) macro_average: Option<f64>,
}

/// The class of each cell, `[cells]`; [`NONE`] where it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Classes {
    pub(super) of: Vec<u32>,
    pub(super) count: usize,
}

impl Classes {
    pub(super) fn new(of: Vec<u32>) -> Arc<Self> {
        let count = of.iter().filter(|c| **c != NONE).max().map_or(0, |c| *c as usize + 1);
        Arc::new(Self { of, count })
    }

    fn at(&self, cell: usize) -> Option<usize> {
        self.of.get(cell).filter(|c| **c != NONE).map(|c| *c as usize)
    }
}

/// One measure over the cells of a file.
#[derive(Debug, Clone)]
pub(super) enum Statistic {
    /// The mean of a number a cell; NaN where a cell has none. Its macro average is over the cells' true classes.
    Mean {
        /// `[cells]`.
        values: Vec<f32>,
        /// The true classes.
        classes: Arc<Classes>,
    },
    /// F1 of labels, of which each cell has one. Classes are those of the truth, as scikit-learn's `f1_score` with
    /// `labels=unique(truth)`; another label said in their place counts against them, as does none.
    F1 {
        /// The true classes; cells without are left out.
        truth: Arc<Classes>,
        /// What was said, in the same numbers.
        said: Vec<u32>,
    },
    /// F1 of sets of labels.
    SetF1 {
        /// The true sets; cells with an empty one are left out.
        truth: Vec<Vec<u32>>,
        /// What was said.
        said: Vec<Vec<u32>>,
        /// Labels.
        count: usize,
    },
    /// Corpus BLEU; its macro average is over the true cell types.
    Bleu {
        /// Longest run of words.
        order: usize,
        /// `[cells]`.
        scores: Arc<Vec<TextScore>>,
        /// The true classes.
        classes: Arc<Classes>,
    },
    /// Expected calibration error; it has no macro average.
    Calibration {
        /// What the model gave as the probability of its answer, `[cells]`; NaN where it gave no answer.
        probability: Vec<f32>,
        /// Whether the answer was right.
        right: Vec<bool>,
    },
}

impl Statistic {
    /// Its averages where cell `i` counts `weights[i]` times.
    pub(super) fn averages(&self, weights: &[u32]) -> Averages {
        match self {
            Self::Mean { values, classes } => mean(values, classes, weights),
            Self::F1 { truth, said } => f1(truth, said, weights),
            Self::SetF1 { truth, said, count } => set_f1(truth, said, *count, weights),
            Self::Bleu { order, scores, classes } => bleu(*order, scores, classes, weights),
            Self::Calibration { probability, right } => Averages {
                average: Reliability::of(probability, right, Some(weights)).expected_calibration_error(),
                macro_average: None,
            },
        }
    }

    /// Cells that it is taken over.
    pub(super) fn cells(&self) -> usize {
        match self {
            Self::Mean { values, .. } => values.iter().filter(|v| !v.is_nan()).count(),
            Self::F1 { truth, .. } => truth.of.iter().filter(|c| **c != NONE).count(),
            Self::SetF1 { truth, .. } => truth.iter().filter(|set| !set.is_empty()).count(),
            Self::Bleu { scores, .. } => scores.len(),
            Self::Calibration { probability, .. } => probability.iter().filter(|p| !p.is_nan()).count(),
        }
    }
}

fn mean(values: &[f32], classes: &Classes, weights: &[u32]) -> Averages {
    let (mut sums, mut counts) = (vec![0.0; classes.count], vec![0.0; classes.count]);
    let (mut sum, mut count) = (0.0, 0.0);
    for (cell, (value, weight)) in values.iter().zip(weights).enumerate() {
        if value.is_nan() || *weight == 0 {
            continue;
        }
        let (value, weight) = (f64::from(*value), f64::from(*weight));
        sum += value * weight;
        count += weight;
        if let Some(class) = classes.at(cell) {
            sums[class] += value * weight;
            counts[class] += weight;
        }
    }
    Averages { average: ratio(sum, count), macro_average: mean_of_ratios(&sums, &counts) }
}

/// True, said and both, of each class.
struct Hits {
    both: Vec<f64>,
    truth: Vec<f64>,
    said: Vec<f64>,
}

impl Hits {
    fn new(count: usize) -> Self {
        Self { both: vec![0.0; count], truth: vec![0.0; count], said: vec![0.0; count] }
    }

    /// F1 of each class is `2 both / (truth + said)`.
    fn averages(&self) -> Averages {
        let (mut weighted, mut total, mut sum, mut classes) = (0.0, 0.0, 0.0, 0.0);
        for ((both, truth), said) in self.both.iter().zip(&self.truth).zip(&self.said) {
            if *truth > 0.0 {
                let f1 = 2.0 * both / (truth + said);
                weighted += f1 * truth;
                total += truth;
                sum += f1;
                classes += 1.0;
            }
        }
        Averages { average: ratio(weighted, total), macro_average: ratio(sum, classes) }
    }
}

fn f1(truth: &Classes, said: &[u32], weights: &[u32]) -> Averages {
    let mut hits = Hits::new(truth.count);
    for (cell, (said, weight)) in said.iter().zip(weights).enumerate() {
        let Some(class) = truth.at(cell).filter(|_| *weight > 0) else { continue };
        let weight = f64::from(*weight);
        hits.truth[class] += weight;
        if let Some(count) = hits.said.get_mut(*said as usize) {
            *count += weight;
        }
        if *said as usize == class {
            hits.both[class] += weight;
        }
    }
    hits.averages()
}

fn set_f1(truth: &[Vec<u32>], said: &[Vec<u32>], count: usize, weights: &[u32]) -> Averages {
    let mut hits = Hits::new(count);
    for ((truth, said), weight) in truth.iter().zip(said).zip(weights) {
        if truth.is_empty() || *weight == 0 {
            continue;
        }
        let weight = f64::from(*weight);
        let add = |counts: &mut Vec<f64>, label: u32| {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += weight;
            }
        };
        for label in truth {
            add(&mut hits.truth, *label);
        }
        for label in said {
            add(&mut hits.said, *label);
            if truth.contains(label) {
                add(&mut hits.both, *label);
            }
        }
    }
    hits.averages()
}

fn bleu(order: usize, scores: &[TextScore], classes: &Classes, weights: &[u32]) -> Averages {
    let mut all = BleuSums::default();
    let mut of_class = vec![(BleuSums::default(), false); classes.count];
    for (cell, (score, weight)) in scores.iter().zip(weights).enumerate() {
        if *weight == 0 {
            continue;
        }
        all.add(score, *weight);
        if let Some((sums, seen)) = classes.at(cell).and_then(|class| of_class.get_mut(class)) {
            sums.add(score, *weight);
            *seen = true;
        }
    }
    let seen: Vec<f64> =
        of_class.iter().filter(|(_, seen)| *seen).map(|(sums, _)| sums.bleu(order)).collect();
    Averages {
        average: (!scores.is_empty()).then(|| all.bleu(order)),
        macro_average: ratio(seen.iter().sum(), seen.len() as f64),
    }
}

fn ratio(sum: f64, count: f64) -> Option<f64> {
    (count > 0.0).then(|| sum / count)
}

fn mean_of_ratios(sums: &[f64], counts: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = sums.iter().zip(counts).filter_map(|(s, c)| ratio(*s, *c)).collect();
    ratio(ratios.iter().sum(), ratios.len() as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What `tests/python/label_metrics.py` computed on its own labels with scikit-learn.
    const EXPECTED: &str = include_str!("../../../tests/expected/label_metrics.json");

    fn numbers(value: &Value) -> Vec<u32> {
        value.as_array().unwrap().iter().map(|v| v.as_u64().map_or(NONE, |v| v as u32)).collect()
    }

    #[track_caller]
    fn agree(own: Option<f64>, theirs: &Value) {
        let (own, theirs) = (own.unwrap(), theirs.as_f64().unwrap());
        assert!((own - theirs).abs() < 1e-6, "{own} against {theirs}");
    }

    #[test]
    fn accuracy_and_f1_agree_with_scikit_learn() {
        let expected: Value = serde_json::from_str(EXPECTED).unwrap();
        let labels = &expected["labels"];
        let (truth, said) = (numbers(&labels["truth"]), numbers(&labels["said"]));
        let weights = numbers(&labels["weights"]);
        let values = truth.iter().zip(&said).map(|(a, b)| f32::from(u8::from(a == b))).collect();
        let classes = Classes::new(truth);
        let accuracy = Statistic::Mean { values, classes: classes.clone() };
        let f1 = Statistic::F1 { truth: classes, said };
        for (weights, key) in [(vec![1; weights.len()], "plain"), (weights, "weighted")] {
            let theirs = &labels[key];
            agree(accuracy.averages(&weights).average, &theirs["accuracy"]);
            agree(accuracy.averages(&weights).macro_average, &theirs["balanced_accuracy"]);
            agree(f1.averages(&weights).average, &theirs["f1_weighted"]);
            agree(f1.averages(&weights).macro_average, &theirs["f1_macro"]);
        }
    }

    #[test]
    fn sets_of_pathways_agree_with_scikit_learn() {
        let expected: Value = serde_json::from_str(EXPECTED).unwrap();
        let sets = &expected["sets"];
        let read = |key: &str| sets[key].as_array().unwrap().iter().map(numbers).collect::<Vec<_>>();
        let (truth, said) = (read("truth"), read("said"));
        let weights = vec![1; truth.len()];
        let share = |value: fn(&[u32], &[u32]) -> f64| {
            truth.iter().zip(&said).map(|(t, s)| value(t, s)).sum::<f64>() / truth.len() as f64
        };
        agree(
            Some(share(|t, s| f64::from(u8::from(super::super::outcome::same_set(t, s))))),
            &sets["subset_accuracy"],
        );
        agree(Some(share(|t, s| f64::from(super::super::outcome::jaccard(t, s)))), &sets["jaccard"]);
        let f1 = Statistic::SetF1 { truth: truth.clone(), said: said.clone(), count: 6 };
        agree(f1.averages(&weights).average, &sets["f1_weighted"]);
        agree(f1.averages(&weights).macro_average, &sets["f1_macro"]);
    }

    #[test]
    fn a_rare_class_counts_as_much_as_a_frequent_one_in_the_macro_average() {
        let classes = Classes::new(vec![0, 0, 0, 1]);
        let statistic = Statistic::Mean { values: vec![1.0, 1.0, 1.0, 0.0], classes };
        let averages = statistic.averages(&[1; 4]);
        assert_eq!((averages.average, averages.macro_average), (Some(0.75), Some(0.5)));
        // A class that a resample holds no cell of does not count.
        assert_eq!(statistic.averages(&[1, 1, 1, 0]).macro_average, Some(1.0));
    }

    #[test]
    fn what_no_cell_has_has_no_average() {
        let classes = Classes::new(vec![NONE; 2]);
        let statistic = Statistic::Mean { values: vec![f32::NAN; 2], classes: classes.clone() };
        assert_eq!((statistic.averages(&[1; 2]), statistic.cells()), (Averages::default(), 0));
        assert_eq!(Statistic::F1 { truth: classes, said: vec![0, 1] }.averages(&[1; 2]), Averages::default());
    }
}
