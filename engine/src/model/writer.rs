//! One text being written: token after token chosen, spelt out and passed on.

use super::cell2text::Cell2Text;
use super::generated::{Generated, Piece};
use super::grammar::{Leaning, Place, TokenGrammar};
use super::sampler::{Choice, Sampler};
use super::text::Utf8Stream;
use super::weigh::{Begun, Weights, other_of_two};

/// One text being written.
pub(super) struct Writer {
    pub(super) cell: usize,
    sampler: Sampler,
    stream: Utf8Stream,
    bytes: usize,
    pub(super) text: Generated,
    /// Where it stands in the model's grammar, if it keeps to it.
    place: Option<Place>,
    leaning: Option<Leaning>,
    pub(super) done: bool,
}

impl Writer {
    pub(super) fn new(cell: usize, sampler: Sampler, place: Option<Place>, leaning: Option<Leaning>) -> Self {
        Self {
            cell,
            sampler,
            stream: Utf8Stream::default(),
            bytes: 0,
            text: Generated::default(),
            place,
            leaning,
            done: false,
        }
    }

    /// How far it has come, where its next token may begin `slot` and that is not settled.
    pub(super) fn before(&self, slot: usize, model: &Cell2Text, grammar: &TokenGrammar) -> Option<Begun> {
        let place = self.place.as_ref().filter(|_| !self.done && !self.text.settled.contains_key(&slot))?;
        let rest = grammar.grammar().rest_before(place, slot)?;
        let ways = grammar.ways_on(place, &model.tokenizer);
        let begins = ways.iter().any(|(token, _)| model.tokenizer.bytes(*token).len() >= rest.len());
        begins.then(|| Begun { place: place.clone(), before: rest })
    }

    /// Has it tell the first of `weights`, alternatives of `slot`, or, where an earlier slot lists the same, the one that
    /// [`other_of_two`] says.
    pub(super) fn settle(&mut self, slot: usize, mut weights: Weights, grammar: &TokenGrammar) {
        let earlier =
            self.text.settled.iter().find(|(other, _)| grammar.grammar().list_the_same(**other, slot));
        if let Some((_, first)) = earlier {
            weights = other_of_two(first, &weights);
        }
        if let Some(&(told, _)) = weights.first() {
            let told = grammar.grammar().told(slot, told);
            self.leaning = Some(self.leaning.take().unwrap_or_default().with(&told));
        }
        self.text.settled.insert(slot, weights);
    }

    /// Chooses the next token from `logits`, passes its text on, and returns it to be read by the model.
    pub(super) fn take(&mut self, logits: &[f32], model: &Cell2Text, on_piece: &mut dyn FnMut(Piece)) -> u32 {
        if self.done {
            return 0;
        }
        let choice = match (&model.grammar, self.place.take()) {
            (Some(grammar), Some(place)) => {
                let (choice, scores) = self.choose_known(logits, model, grammar, &place);
                self.place = grammar.grammar().after(&place, model.tokenizer.bytes(choice.token));
                if !model.decoder_config.eos_token_id.contains(choice.token) {
                    self.text.choices.push(scores);
                }
                choice
            }
            _ => self.sampler.choose(logits),
        };
        if model.decoder_config.eos_token_id.contains(choice.token) {
            self.text.ended = true;
            self.finish(on_piece);
            return choice.token;
        }
        let bytes = model.tokenizer.bytes(choice.token);
        self.text.tokens.push(choice.token);
        self.text.log_probabilities.push(choice.log_probability);
        self.text.spans.push(self.bytes..self.bytes + bytes.len());
        self.bytes += bytes.len();
        let text = self.stream.push(bytes);
        self.pass_on(text, on_piece);
        choice.token
    }

    /// Chooses among the tokens that keep to the grammar; gives their scores too, the chosen first, if there are several.
    fn choose_known(
        &mut self,
        logits: &[f32],
        model: &Cell2Text,
        grammar: &TokenGrammar,
        place: &Place,
    ) -> (Choice, Vec<f32>) {
        let leans = |to: &Place| self.leaning.as_ref().map_or(0.0, |leaning| leaning.towards(to));
        let score = |token: u32| logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        let ways = grammar.ways_on(place, &model.tokenizer);
        let mut allowed: Vec<(u32, f32)> =
            ways.iter().map(|(token, to)| (*token, score(*token) + leans(to))).collect();
        if grammar.grammar().may_end(place) {
            allowed.extend(model.decoder_config.eos_token_id.iter().map(|token| (token, score(token))));
        }
        match allowed.as_slice() {
            // A tokenizer that cannot spell the text: it goes on as the model likes.
            [] => (self.sampler.choose(logits), Vec::new()),
            [(only, _)] => (Choice { token: *only, log_probability: 0.0 }, Vec::new()),
            several => {
                let mut masked = vec![f32::NEG_INFINITY; logits.len()];
                for &(token, score) in several {
                    if let Some(slot) = masked.get_mut(token as usize) {
                        *slot = score;
                    }
                }
                let choice = self.sampler.choose(&masked);
                let (own, others): (Vec<_>, Vec<_>) =
                    several.iter().partition(|(token, _)| *token == choice.token);
                (choice, own.into_iter().chain(others).map(|(_, score)| score).collect())
            }
        }
    }

    pub(super) fn finish(&mut self, on_piece: &mut dyn FnMut(Piece)) {
        if !self.done {
            self.done = true;
            let rest = self.stream.finish();
            self.pass_on(rest, on_piece);
        }
    }

    fn pass_on(&mut self, text: String, on_piece: &mut dyn FnMut(Piece)) {
        if !text.is_empty() {
            self.text.text.push_str(&text);
            on_piece(Piece { cell: self.cell, text });
        }
    }
}
