//! Texts of a known pattern: slots one after the other, each filled by one of a list of alternatives.
//!
//! While a text is written, only tokens are chosen whose bytes keep it the beginning of such a text. The pattern is
//! kept in bytes, not in tokens, so that it fits any tokenizer. The probabilities of the tokens that remain are
//! brought to a sum of one; multiplied along a slot they are the model's probability of that alternative among all.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::text::TextTokenizer;
use crate::error::Problem;
use crate::{Error, Result};

/// Weight of a text that is not to be told: no score of a model makes up for it.
const BARRED: f64 = 1e-20;

/// A trie of bytes.
#[derive(Debug, Clone, Default)]
struct Node {
    children: BTreeMap<u8, usize>,
    /// Whether an alternative ends here.
    ends: bool,
}

/// The texts that a model may write.
#[derive(Debug, Clone)]
pub struct Grammar {
    slots: Vec<Vec<Node>>,
    /// The same as they were given.
    texts: Vec<Vec<String>>,
}

/// How far a text has come: every place in the pattern that it may be at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place(Vec<(usize, usize)>);

/// What is known of a text beside its writer's scores: for places in a grammar, the logarithm of how much likelier it is
/// that a text passes there. See [`Grammar::leaning`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Leaning {
    slots: BTreeMap<usize, Vec<f32>>,
}

impl Leaning {
    /// To be added to the score of a token that leads to `place`.
    pub fn towards(&self, place: &Place) -> f32 {
        let at = |&(slot, node): &(usize, usize)| {
            // The beginning of a slot is every text's.
            (node > 0).then(|| self.slots.get(&slot)?.get(node).copied()).flatten()
        };
        place.0.iter().filter_map(at).reduce(f32::max).unwrap_or(0.0)
    }

    /// This leaning, and that of `other` for the slots that it speaks of.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.slots.extend(other.slots.iter().map(|(slot, scores)| (*slot, scores.clone())));
        self
    }
}

impl Grammar {
    /// The texts that take one of the alternatives of each of `slots`, in order. An empty alternative leaves a slot out.
    ///
    /// # Errors
    /// [`Error::Model`] when there is no slot or one has no alternative.
    pub fn new<S: AsRef<str>>(slots: &[Vec<S>]) -> Result<Self> {
        if slots.is_empty() || slots.iter().any(Vec::is_empty) {
            return Err(Error::model(Problem::new(
                "grammar",
                "no text",
                "slots with at least one text each",
                "Get the model again.",
            )));
        }
        let texts = slots.iter().map(|of| of.iter().map(|text| text.as_ref().to_owned()).collect()).collect();
        let slots = slots
            .iter()
            .map(|texts| {
                let mut nodes = vec![Node::default()];
                for text in texts {
                    let mut at = 0;
                    for &byte in text.as_ref().as_bytes() {
                        let next = nodes.len();
                        at = *nodes[at].children.entry(byte).or_insert(next);
                        if at == next {
                            nodes.push(Node::default());
                        }
                    }
                    nodes[at].ends = true;
                }
                nodes
            })
            .collect();
        Ok(Self { slots, texts })
    }

    /// Reads a JSON list of slots, each a list of texts.
    ///
    /// # Errors
    /// [`Error::Model`] when it is none.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let slots: Vec<Vec<String>> = serde_json::from_slice(json).map_err(|e| {
            Error::model(Problem::new(
                "grammar",
                e.to_string(),
                "a list of slots, each a list of texts",
                "Get the model again.",
            ))
        })?;
        Self::new(&slots)
    }

    /// Where a text begins.
    pub fn start(&self) -> Place {
        self.closed(vec![(0, 0)])
    }

    /// Where a text stands after `bytes` more, if it may go on so.
    pub fn after(&self, place: &Place, bytes: &[u8]) -> Option<Place> {
        let mut places = place.0.clone();
        for byte in bytes {
            let next: Vec<(usize, usize)> = places
                .iter()
                .filter_map(|&(slot, node)| Some((slot, self.child(slot, node, *byte)?)))
                .collect();
            if next.is_empty() {
                return None;
            }
            places = self.closed(next).0;
        }
        Some(Place(places))
    }

    /// Whether a text may end here.
    pub fn may_end(&self, place: &Place) -> bool {
        place.0.iter().any(|(slot, _)| *slot == self.slots.len())
    }

    /// Leans towards the alternatives of slot number `slot` as their places in `weights` say: an alternative of twice the
    /// weight is taken for twice as likely as a writer's own scores have it. `shares` are the weights that those scores
    /// rest on; a beginning common to several alternatives gets the mean weight of what may follow it.
    pub fn leaning(&self, slot: usize, texts: &[String], shares: &[f64], weights: &[f64]) -> Leaning {
        let nodes = self.slots.get(slot).map_or(&[][..], Vec::as_slice);
        let (mut before, mut after) = (vec![0f64; nodes.len()], vec![0f64; nodes.len()]);
        for ((text, share), weight) in texts.iter().zip(shares).zip(weights) {
            let mut at = 0;
            let mut path = vec![at];
            for &byte in text.as_bytes() {
                let Some(next) = self.child(slot, at, byte) else { break };
                at = next;
                path.push(at);
            }
            for node in path {
                before[node] += share;
                after[node] += share * weight;
            }
        }
        let log = |(b, a): (&f64, &f64)| if *b > 0.0 && *a > 0.0 { (a / b).ln() as f32 } else { 0.0 };
        Leaning { slots: BTreeMap::from([(slot, before.iter().zip(&after).map(log).collect())]) }
    }

    /// Makes a text tell the alternative at `place` of `slot`, whatever its writer's scores are.
    pub fn told(&self, slot: usize, place: usize) -> Leaning {
        let texts = self.texts.get(slot).map_or(&[][..], Vec::as_slice);
        let weights: Vec<f64> = (0..texts.len()).map(|at| if at == place { 1.0 } else { BARRED }).collect();
        self.leaning(slot, texts, &vec![1.0; texts.len()], &weights)
    }

    /// What every text begins with up to `slot`; `None` where texts differ before it.
    pub fn text_before(&self, slot: usize) -> Option<Vec<u8>> {
        let one = |texts: &Vec<String>| match texts.as_slice() {
            [only] => Some(only.as_bytes().to_vec()),
            _ => None,
        };
        Some(self.texts.get(..slot)?.iter().map(one).collect::<Option<Vec<_>>>()?.concat())
    }

    /// What is left of the text before `slot`, where a text stands within that and all texts are the same there.
    pub fn rest_before(&self, place: &Place, slot: usize) -> Option<Vec<u8>> {
        let (&[(at, node)], [only]) = (place.0.as_slice(), self.texts.get(slot.checked_sub(1)?)?.as_slice())
        else {
            return None;
        };
        // The nodes of a single text are numbered by its bytes.
        let rest = only.as_bytes().get(node..).filter(|rest| at + 1 == slot && !rest.is_empty())?;
        Some(rest.to_vec())
    }

    /// Whether two slots list the same alternatives in the same order.
    pub fn list_the_same(&self, slot: usize, other: usize) -> bool {
        self.texts.get(slot).is_some_and(|texts| self.texts.get(other) == Some(texts))
    }

    /// Those of the alternatives `among` of `slot`, by their places, that a text which begins with `text` tells or may still
    /// tell. `before` is [`Grammar::text_before`] of the slot, or what is left of that.
    pub fn alternatives_of(&self, slot: usize, before: &[u8], text: &[u8], among: &[usize]) -> Vec<usize> {
        let texts = self.texts.get(slot).map_or(&[][..], Vec::as_slice);
        let Some(begun) = text.strip_prefix(before) else { return among.to_vec() };
        let behind = self.closed(vec![(slot + 1, 0)]);
        let follows = |rest: &[u8]| self.after(&behind, rest).is_some();
        let may_be_told = |alternative: &[u8]| {
            alternative.starts_with(begun) || begun.strip_prefix(alternative).is_some_and(follows)
        };
        let told = |place: &&usize| texts.get(**place).is_some_and(|text| may_be_told(text.as_bytes()));
        among.iter().filter(told).copied().collect()
    }

    /// How many alternatives `slot` has.
    pub fn n_alternatives(&self, slot: usize) -> usize {
        self.texts.get(slot).map_or(0, Vec::len)
    }

    fn child(&self, slot: usize, node: usize, byte: u8) -> Option<usize> {
        self.slots.get(slot)?.get(node)?.children.get(&byte).copied()
    }

    /// `places` with the beginnings of the slots that may follow them at once.
    fn closed(&self, mut places: Vec<(usize, usize)>) -> Place {
        let mut i = 0;
        while let Some(&(slot, node)) = places.get(i) {
            let ends = self.slots.get(slot).and_then(|nodes| nodes.get(node)).is_some_and(|n| n.ends);
            if ends && !places.contains(&(slot + 1, 0)) {
                places.push((slot + 1, 0));
            }
            i += 1;
        }
        Place(places)
    }
}

/// Places whose ways on are kept: texts of one grammar pass by the same ones again and again, and no grammar is so large that
/// many more are met.
const MOST_KEPT: usize = 1 << 16;

/// The tokens that may follow a place, in the order of their ids, and where each leads to.
pub type WaysOn = Arc<[(u32, Place)]>;

/// A grammar with the tokens of a tokenizer, by the byte that each begins with.
#[derive(Debug, Clone)]
pub struct TokenGrammar {
    grammar: Grammar,
    tokens: Vec<Vec<u32>>,
    /// What was found so far.
    found: Arc<Mutex<HashMap<Place, WaysOn>>>,
}

impl TokenGrammar {
    /// Binds `grammar` to `tokenizer`.
    pub fn new(grammar: Grammar, tokenizer: &TextTokenizer) -> Self {
        let mut tokens = vec![Vec::new(); 256];
        for token in 0..tokenizer.vocab_size() as u32 {
            if let Some(&first) = tokenizer.bytes(token).first() {
                tokens[usize::from(first)].push(token);
            }
        }
        Self { grammar, tokens, found: Arc::default() }
    }

    /// The texts themselves.
    pub fn grammar(&self) -> &Grammar {
        &self.grammar
    }

    /// The tokens that may follow `place`, and where each leads to; end tokens do not count. `tokenizer` is the one that the
    /// grammar was bound to.
    pub fn ways_on(&self, place: &Place, tokenizer: &TextTokenizer) -> WaysOn {
        // Whoever panicked left whole entries.
        let kept = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept().get(place) {
            return Arc::clone(found);
        }
        let ways = self.find_ways_on(place, tokenizer);
        let mut kept = kept();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(place.clone(), Arc::clone(&ways));
        ways
    }

    fn find_ways_on(&self, place: &Place, tokenizer: &TextTokenizer) -> WaysOn {
        let mut firsts: Vec<u8> = place
            .0
            .iter()
            .filter_map(|&(slot, node)| self.grammar.slots.get(slot)?.get(node))
            .flat_map(|node| node.children.keys().copied())
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        let tokens = firsts.into_iter().flat_map(|first| &self.tokens[usize::from(first)]);
        let mut ways: Vec<(u32, Place)> = tokens
            .filter_map(|&token| Some((token, self.grammar.after(place, tokenizer.bytes(token))?)))
            .collect();
        ways.sort_unstable_by_key(|(token, _)| *token);
        ways.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::Tokenizer;

    fn grammar() -> Grammar {
        Grammar::new(&[
            vec!["It is a "],
            vec!["B cell", "B cell, naive", "mast cell"],
            vec![" of blood", ""],
            vec!["."],
        ])
        .unwrap()
    }

    fn accepts(text: &str) -> bool {
        let g = grammar();
        g.after(&g.start(), text.as_bytes()).is_some_and(|p| g.may_end(&p))
    }

    #[test]
    fn a_text_is_taken_when_every_slot_is_filled_from_its_list() {
        for good in ["It is a B cell.", "It is a B cell, naive of blood.", "It is a mast cell of blood."] {
            assert!(accepts(good), "{good}");
        }
        for bad in [
            "It is a B cell",
            "It is a T cell.",
            "It is a B cell of blood. ",
            "",
            "It is a B cell, naive, naive.",
        ] {
            assert!(!accepts(bad), "{bad}");
        }
    }

    #[test]
    fn tokens_are_allowed_that_keep_a_text_possible_however_they_are_cut() {
        let vocabulary =
            r#"{"It is":0," a":1," ":2,"a ":3,"B":4,"mast cell":5," cell":6,",":7," of":8,".":9,"x":10}"#;
        let json = format!(
            r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
            "pre_tokenizer":null,"post_processor":null,"decoder":null,
            "model":{{"type":"WordLevel","vocab":{vocabulary},"unk_token":"x"}}}}"#
        );
        let tokenizer = TextTokenizer::new(json.parse::<Tokenizer>().unwrap());
        let tokens = TokenGrammar::new(grammar(), &tokenizer);
        let at = |text: &str| {
            let g = tokens.grammar();
            let place = g.after(&g.start(), text.as_bytes()).unwrap();
            let ways = tokens.ways_on(&place, &tokenizer);
            assert_eq!(ways, tokens.ways_on(&place, &tokenizer), "found and kept");
            for (token, to) in ways.iter() {
                assert_eq!(g.after(&place, tokenizer.bytes(*token)).as_ref(), Some(to));
            }
            ways.iter().map(|(token, _)| *token).collect::<Vec<_>>()
        };
        assert_eq!(at(""), [0]);
        assert_eq!(at("It is"), [1, 2]);
        assert_eq!(at("It is a "), [4, 5]);
        // One name is the beginning of another, and the clause after it may be left out.
        assert_eq!(at("It is a B cell"), [2, 7, 8, 9]);
        assert!(at("It is a B cell.").is_empty());
    }

    #[test]
    fn a_leaning_moves_beginnings_by_the_mean_of_what_may_follow() {
        let g = grammar();
        let texts = ["B cell", "B cell, naive", "mast cell"].map(str::to_owned);
        let leaning = g.leaning(1, &texts, &[0.5, 0.25, 0.25], &[1.0, 3.0, 0.1]);
        let at = |text: &str| leaning.towards(&g.after(&g.start(), text.as_bytes()).unwrap());
        let close = |a: f32, b: f64| assert!((f64::from(a) - b.ln()).abs() < 1e-6, "{a}");
        close(at("It is a B"), (0.5 + 0.75) / 0.75);
        close(at("It is a B cell, n"), 3.0);
        close(at("It is a mast"), 0.1);
        assert_eq!((at("It is a "), at("It is a mast cell of")), (0.0, 0.0));
    }

    #[test]
    fn a_text_tells_which_alternatives_it_leaves() {
        let g = grammar();
        let before = g.text_before(1).unwrap();
        let left = |text: &str| g.alternatives_of(1, &before, text.as_bytes(), &[0, 1, 2]);
        assert_eq!(before, b"It is a ");
        assert_eq!((left("It i"), left("It is a ")), (vec![0, 1, 2], vec![0, 1, 2]));
        assert_eq!(left("It is a B cell"), [0, 1]);
        // What follows the name shows that the name has ended.
        assert_eq!(
            (left("It is a B cell of"), left("It is a B cell, n"), left("It is a m")),
            (vec![0], vec![1], vec![2])
        );
        assert_eq!(g.alternatives_of(1, &before, b"It is a B cell", &[2, 1]), [1]);
        assert_eq!((g.n_alternatives(1), g.n_alternatives(9)), (3, 0));
        assert_eq!(g.text_before(2), None, "texts differ before it");
        assert_eq!(g.text_before(9), None);
    }

    #[test]
    fn what_is_left_before_a_slot_is_known_within_the_text_before_it() {
        let g = Grammar::new(&[vec!["a", "b"], vec![" with "], vec!["x", "xy"], vec!["."]]).unwrap();
        let rest = |text: &str, slot| g.rest_before(&g.after(&g.start(), text.as_bytes()).unwrap(), slot);
        assert_eq!(rest("a wi", 2), Some(b"th ".to_vec()));
        assert_eq!(rest("b", 2), None, "it may stand at the end of the slot before");
        assert_eq!((rest("", 2), rest("a with x", 2), rest("a with ", 2)), (None, None, None));
        assert!(g.list_the_same(2, 2) && !g.list_the_same(0, 2) && !g.list_the_same(8, 9));
        assert_eq!((rest("a wi", 1), rest("a wi", 3), rest("", 0), rest("", 9)), (None, None, None, None));
    }

    #[test]
    fn a_text_can_be_made_to_tell_one_alternative() {
        let g = grammar();
        let told = g.told(1, 2);
        let at = |text: &str| told.towards(&g.after(&g.start(), text.as_bytes()).unwrap());
        assert!(at("It is a m") - at("It is a B") > 40.0);
    }

    #[test]
    fn a_grammar_without_texts_is_refused() {
        assert!(Grammar::from_json(b"[]").is_err());
        assert!(Grammar::from_json(b"[[]]").is_err());
        assert!(Grammar::from_json(b"{}").is_err());
    }
}
