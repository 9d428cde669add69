//! How near a generated text comes to its reference: exact match, BLEU, ROUGE.
//!
//! BLEU is the corpus BLEU of Papineni et al. 2002 without smoothing, on the words of the `13a` tokenizer of NIST's
//! `mteval-v13a`, as sacrebleu and Hugging Face's `evaluate` compute it. ROUGE is that of the `rouge-score` package
//! without its stemmer (Lin 2004): the F-measure over words, word pairs, and the longest common subsequence.
//! `tests/python/text_metrics.py` compares all of them with those packages.

use std::collections::HashMap;

/// Longest run of words that BLEU looks at.
pub(super) const MAX_ORDER: usize = 4;

/// What the measures need to know of one pair of texts; the texts themselves are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct TextScore {
    /// Whether the two are the same to the last character.
    pub(super) exact: bool,
    /// Runs of 1…4 words that both hold.
    pub(super) matches: [u32; MAX_ORDER],
    /// Runs of 1…4 words in the generated text.
    pub(super) possible: [u32; MAX_ORDER],
    /// Words of the generated text.
    pub(super) said_words: u32,
    /// Words of the reference.
    pub(super) reference_words: u32,
    /// F-measure over words.
    pub(super) rouge_1: f64,
    /// F-measure over pairs of words.
    pub(super) rouge_2: f64,
    /// F-measure over the longest common subsequence.
    pub(super) rouge_l: f64,
}

impl TextScore {
    /// Compares a generated text with its reference.
    pub(super) fn of(said: &str, reference: &str) -> Self {
        let (mut matches, mut possible) = ([0; MAX_ORDER], [0; MAX_ORDER]);
        let (a, b) = (words_13a(said), words_13a(reference));
        for (i, (matched, all)) in matches.iter_mut().zip(&mut possible).enumerate() {
            *matched = common(&counts(&a, i + 1), &counts(&b, i + 1));
            *all = a.len().saturating_sub(i) as u32;
        }
        let (p, r) = (words_rouge(said), words_rouge(reference));
        let overlap = |n: usize| {
            let (p, r) = (counts(&p, n), counts(&r, n));
            f_measure(common(&p, &r), p.values().sum(), r.values().sum())
        };
        Self {
            exact: said == reference,
            matches,
            possible,
            said_words: a.len() as u32,
            reference_words: b.len() as u32,
            rouge_1: overlap(1),
            rouge_2: overlap(2),
            rouge_l: f_measure(longest_common(&p, &r), p.len() as u32, r.len() as u32),
        }
    }
}

/// What BLEU needs of many pairs together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BleuSums {
    matches: [u64; MAX_ORDER],
    possible: [u64; MAX_ORDER],
    said_words: u64,
    reference_words: u64,
}

impl BleuSums {
    /// Counts a pair `times` times.
    pub(super) fn add(&mut self, score: &TextScore, times: u32) {
        let times = u64::from(times);
        for i in 0..MAX_ORDER {
            self.matches[i] += u64::from(score.matches[i]) * times;
            self.possible[i] += u64::from(score.possible[i]) * times;
        }
        self.said_words += u64::from(score.said_words) * times;
        self.reference_words += u64::from(score.reference_words) * times;
    }

    /// BLEU over runs of 1…`order` words, 0…1: the geometric mean of the precisions times the brevity penalty.
    pub(super) fn bleu(&self, order: usize) -> f64 {
        let order = order.clamp(1, MAX_ORDER);
        let mut logs = 0.0;
        for i in 0..order {
            if self.matches[i] == 0 {
                return 0.0;
            }
            logs += (self.matches[i] as f64 / self.possible[i] as f64).ln();
        }
        let ratio = self.said_words as f64 / self.reference_words.max(1) as f64;
        let brevity = if ratio > 1.0 { 1.0 } else { (1.0 - 1.0 / ratio).exp() };
        brevity * (logs / order as f64).exp()
    }
}

fn counts(words: &[String], n: usize) -> HashMap<&[String], u32> {
    let mut counts = HashMap::new();
    for run in words.windows(n) {
        *counts.entry(run).or_insert(0) += 1;
    }
    counts
}

/// Runs in both, each as often as in the text that holds it less often.
fn common(a: &HashMap<&[String], u32>, b: &HashMap<&[String], u32>) -> u32 {
    a.iter().map(|(run, n)| (*n).min(b.get(run).copied().unwrap_or(0))).sum()
}

fn f_measure(common: u32, said: u32, reference: u32) -> f64 {
    if common == 0 {
        return 0.0;
    }
    // 2PR/(P+R) with P = common/said and R = common/reference.
    2.0 * f64::from(common) / f64::from(said + reference)
}

/// Length of the longest common subsequence.
fn longest_common(a: &[String], b: &[String]) -> u32 {
    let mut row = vec![0u32; b.len() + 1];
    for word in a {
        let mut diagonal = 0;
        for (j, other) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if word == other { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The words of rouge-score: runs of `a-z0-9` of the lower-cased text.
fn words_rouge(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit()))
        .filter(|w| !w.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The words of mteval-v13a: punctuation stands apart, but for full stops and commas between digits, apostrophes, and
/// hyphens that do not follow a digit.
fn words_13a(text: &str) -> Vec<String> {
    let text = text
        .replace("<skipped>", "")
        .replace("-\n", "")
        .replace('\n', " ")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    let chars: Vec<char> = std::iter::once(' ').chain(text.chars()).chain(std::iter::once(' ')).collect();
    let mut spaced = String::with_capacity(text.len() + 16);
    for (i, &c) in chars.iter().enumerate() {
        let digit = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
        let (before, after) = (digit(i.checked_sub(1)), digit(Some(i + 1)));
        let apart = match c {
            '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/' => true,
            '.' | ',' => !(before && after),
            '-' => before,
            _ => false,
        };
        if apart {
            spaced.push(' ');
            spaced.push(c);
            spaced.push(' ');
        } else {
            spaced.push(c);
        }
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What `tests/python/text_metrics.py` computed on its own strings with the packages named there.
    const EXPECTED: &str = include_str!("../../../tests/expected/text_metrics.json");

    fn pairs(expected: &Value) -> Vec<(TextScore, &Value)> {
        let text = |pair: &Value, key: &str| pair[key].as_str().unwrap().to_owned();
        expected["pairs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (TextScore::of(&text(pair, "said"), &text(pair, "reference")), pair))
            .collect()
    }

    #[test]
    fn rouge_agrees_with_rouge_score() {
        let expected: Value = serde_json::from_str(EXPECTED).unwrap();
        for (score, pair) in pairs(&expected) {
            for (name, own) in
                [("rouge_1", score.rouge_1), ("rouge_2", score.rouge_2), ("rouge_l", score.rouge_l)]
            {
                let theirs = pair["rouge_score"][name].as_f64().unwrap();
                assert!((own - theirs).abs() < 1e-6, "{name}: {own} against {theirs} in {pair}");
            }
            assert_eq!(f64::from(u8::from(score.exact)), pair["exact_match"].as_f64().unwrap(), "{pair}");
        }
    }

    #[test]
    fn bleu_agrees_with_sacrebleu_evaluate_and_nltk() {
        let expected: Value = serde_json::from_str(EXPECTED).unwrap();
        let mut sums = BleuSums::default();
        for (score, pair) in pairs(&expected) {
            let mut alone = BleuSums::default();
            alone.add(&score, 1);
            sums.add(&score, 1);
            for (order, key) in [(2, "bleu_2"), (4, "bleu_4")] {
                let theirs = pair["evaluate"][key].as_f64().unwrap();
                assert!(
                    (alone.bleu(order) - theirs).abs() < 1e-6,
                    "{key}: {} against {theirs}",
                    alone.bleu(order)
                );
            }
        }
        for (order, key) in [(2, "bleu_2"), (4, "bleu_4")] {
            for package in ["evaluate", "sacrebleu", "nltk"] {
                let theirs = expected["corpus"][package][key].as_f64().unwrap();
                let own = sums.bleu(order);
                assert!((own - theirs).abs() < 1e-6, "{key} by {package}: {own} against {theirs}");
            }
        }
    }

    #[test]
    fn words_stand_apart_as_mteval_sets_them() {
        let words = |text: &str| words_13a(text).join("|");
        assert_eq!(words("CD4-positive, alpha-beta T cell."), "CD4|-|positive|,|alpha-beta|T|cell|.");
        assert_eq!(words("1,000.5 cells (of 2.)"), "1,000.5|cells|(|of|2|.|)");
        assert_eq!(words(""), "");
    }

    #[test]
    fn nothing_said_scores_nothing() {
        let score = TextScore::of("", "This sample consists of a T cell.");
        let mut sums = BleuSums::default();
        sums.add(&score, 1);
        assert_eq!((sums.bleu(2), score.rouge_1, score.rouge_l, score.exact), (0.0, 0.0, 0.0, false));
        assert_eq!(BleuSums::default().bleu(4), 0.0);
    }
}
