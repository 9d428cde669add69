//! A text as a model makes it: its pieces, the probability of each word, and what else could have stood there.

use std::collections::BTreeMap;
use std::ops::Range;

use super::weigh::Weights;

/// A piece of text as it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Which of the cells asked for.
    pub cell: usize,
    /// Whole characters; may be empty.
    pub text: String,
}

/// A generated text with the probability of each of its tokens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Generated {
    /// The text.
    pub text: String,
    /// Tokens, the end token left out.
    pub tokens: Vec<u32>,
    /// Natural log probability of each token given all before it.
    pub log_probabilities: Vec<f32>,
    /// Scores of the tokens that each was chosen from, its own first; none where there was no choice, and none at all
    /// for a text that was written freely.
    pub choices: Vec<Vec<f32>>,
    /// Bytes of [`Generated::text`] that each token added.
    pub spans: Vec<Range<usize>>,
    /// The alternatives of the slot that was weighed, where one was: that to be told first, then the likeliest.
    pub weights: Weights,
    /// Of each slot that was settled, its alternatives in the same order.
    pub settled: BTreeMap<usize, Weights>,
    /// Whether the model ended the text itself, rather than the limit on new tokens.
    pub ended: bool,
}

impl Generated {
    /// Probability of the tokens that touch `span` of the text.
    pub fn probability(&self, span: &Range<usize>) -> f32 {
        let touches = |s: &Range<usize>| s.start < span.end && s.end > span.start;
        let sum: f32 =
            self.spans.iter().zip(&self.log_probabilities).filter(|(s, _)| touches(s)).map(|(_, p)| p).sum();
        sum.exp().clamp(0.0, 1.0)
    }

    /// Probability of what stands at `span` among the texts that could stand there, the scores divided by
    /// `temperature`. Where the text was written freely, this is [`Generated::probability`].
    pub fn probability_among_known(&self, span: &Range<usize>, temperature: f64) -> f32 {
        if self.choices.is_empty() {
            return self.probability(span);
        }
        let touches = |s: &Range<usize>| s.start < span.end && s.end > span.start;
        let log = |scores: &[f32]| -> f64 {
            let Some(&own) = scores.first() else { return 0.0 };
            let sum: f64 = scores.iter().map(|&s| (f64::from(s - own) / temperature).exp()).sum();
            -sum.ln()
        };
        let sum: f64 =
            self.spans.iter().zip(&self.choices).filter(|(s, _)| touches(s)).map(|(_, c)| log(c)).sum();
        (sum.exp() as f32).clamp(0.0, 1.0)
    }

    /// The weighed alternatives with their scores divided by `temperature`, in their order; none where no slot was weighed.
    pub fn weights_at(&self, temperature: f64) -> Weights {
        tempered(&self.weights, temperature)
    }
}

/// `weights` with their scores divided by `temperature`.
pub fn tempered(weights: &Weights, temperature: f64) -> Weights {
    let powers: Vec<(usize, f64)> =
        weights.iter().map(|&(place, p)| (place, f64::from(p).powf(1.0 / temperature))).collect();
    let sum: f64 = powers.iter().map(|(_, power)| power).sum();
    powers.into_iter().map(|(place, power)| (place, (power / sum.max(f64::MIN_POSITIVE)) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_temperature_brings_alternatives_nearer_to_each_other() {
        let text = Generated { weights: vec![(4, 0.8), (1, 0.2)], ..Generated::default() };
        assert_eq!(text.weights_at(1.0), [(4, 0.8), (1, 0.2)]);
        let [(4, first), (1, second)] = text.weights_at(2.0)[..] else { panic!("the order is kept") };
        assert!((first / second - 2.0).abs() < 1e-5 && (first + second - 1.0).abs() < 1e-6);
        assert!(Generated::default().weights_at(2.0).is_empty());
    }
}
