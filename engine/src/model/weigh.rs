//! How likely every alternative of a slot is for a cell, not only the one that its text takes.
//!
//! A text written greedily tells one alternative; those who compare, vote, or want to know what else it could be need the
//! others too. The tree of tokens that spell the alternatives is walked from its root, all cells together. A branch ends
//! where it leaves one alternative, or where it is too unlikely to matter: what it holds is then shared out evenly among
//! what could still follow.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor, TensorData};

use super::cell2text::{Cell2Text, last_scores};
use super::decoder::Positions;
use super::generated::tempered;
use super::grammar::{Place, TokenGrammar};
use crate::Result;
use crate::nn::KvCache;
use crate::progress::Watch;

/// Branches less likely than this are not followed.
const LEAST_FOLLOWED: f64 = 0.004;
/// Branches of one cell that are followed side by side at most, the likeliest.
const MOST_FOLLOWED: usize = 8;
/// Tokens that alternatives are told apart by at most, what stands before them included.
pub(super) const MOST_TOKENS: usize = 40;

/// The alternatives of a slot by their places in it, each with its probability; the likeliest first, unless it is said
/// otherwise.
pub type Weights = Vec<(usize, f32)>;

/// A slot whose every alternative is weighed, and which of them is told.
#[derive(Debug, Clone, Copy)]
pub struct Weighing<'a> {
    /// The slot.
    pub slot: usize,
    /// Of each alternative the family that it belongs to. The likeliest alternative of the family that is likeliest as a whole
    /// is told: alternatives that hardly differ share what their family is due, and would lose to one that stands alone.
    pub families: &'a [usize],
    /// What the scores of alternatives are divided by before families are compared.
    pub temperature: f64,
}

impl Weighing<'_> {
    /// Puts the alternative that is to be told before all others.
    pub(super) fn put_first(&self, weights: &mut Weights) {
        let family = |place: usize| self.families.get(place);
        let mut sums: BTreeMap<Option<&usize>, f32> = BTreeMap::new();
        for (place, weight) in tempered(weights, self.temperature) {
            *sums.entry(family(place)).or_default() += weight;
        }
        let best = sums.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
        let told = best.and_then(|(best, _)| weights.iter().position(|(place, _)| family(*place) == best));
        if let Some(told) = told {
            weights[..=told].rotate_right(1);
        }
    }
}

/// Two slots that list the same alternatives name a pair: how likely each is to be the other one beside the first of `first`,
/// which was told in the first place. `second` are the weights in the second place after that; an alternative that was likely
/// in the first place but not told is likely one of the pair too. The sum stays one.
pub(super) fn other_of_two(first: &Weights, second: &Weights) -> Weights {
    let Some((&(told, share), others)) = first.split_first() else { return second.clone() };
    let mut shares: BTreeMap<usize, f64> =
        others.iter().map(|&(place, weight)| (place, f64::from(weight))).collect();
    for &(place, weight) in second {
        *shares.entry(place).or_default() += f64::from(share) * f64::from(weight);
    }
    shares.remove(&told);
    in_order(shares)
}

/// How far a text has come that goes on with a slot to be weighed.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    /// Where it stands.
    pub(super) place: Place,
    /// What comes before the slot.
    pub(super) before: Vec<u8>,
}

/// A beginning of texts that several alternatives share.
struct Branch {
    cell: usize,
    /// What was added to the text that was begun.
    text: Vec<u8>,
    place: Place,
    share: f64,
    /// The alternatives that may follow.
    left: Vec<usize>,
}

/// A token that goes on from a branch.
struct Step {
    /// The row of the branch in the batch.
    row: usize,
    token: u32,
    /// What it leads to, where that is to be followed.
    to: Branch,
}

/// Weighs the alternatives of `slot` for the cells of `prompt`, `[cells, tokens, hidden]`. Empty for each where the texts
/// before the slot are not the same for all.
///
/// # Errors
/// [`crate::Error::Model`], [`crate::Error::Device`] or [`crate::Error::Cancelled`].
pub(super) fn weigh_slot(
    model: &Cell2Text,
    grammar: &TokenGrammar,
    slot: usize,
    prompt: Tensor<3>,
    watch: &Watch,
) -> Result<Vec<Weights>> {
    let [n_cells, n_prompt, _] = prompt.dims();
    let Some(before) = grammar.grammar().text_before(slot) else { return Ok(vec![Vec::new(); n_cells]) };
    let decoder = &model.decoder;
    let room = decoder.max_positions().saturating_sub(n_prompt).min(MOST_TOKENS);
    let positions = decoder.positions(n_prompt + room);
    let mut cache = decoder.new_cache(n_cells, n_prompt + room);
    watch.check()?;
    let scores = last_scores(decoder, decoder.hidden_cached(prompt, &positions, &mut cache)?)?;
    let begun = vec![Begun { place: grammar.grammar().start(), before }; n_cells];
    Walk { model, grammar, slot, begun: &begun, positions: &positions }.weigh(cache, scores, watch)
}

/// Texts that go on with a slot whose alternatives are weighed.
pub(super) struct Walk<'a> {
    pub(super) model: &'a Cell2Text,
    pub(super) grammar: &'a TokenGrammar,
    pub(super) slot: usize,
    /// How far each text has come.
    pub(super) begun: &'a [Begun],
    pub(super) positions: &'a Positions,
}

impl Walk<'_> {
    /// The weights for each text, which `cache` holds with room to go on; `scores` are those of the token that follows.
    ///
    /// # Errors
    /// As [`weigh_slot`].
    pub(super) fn weigh(
        &self,
        mut cache: KvCache,
        mut scores: Vec<f32>,
        watch: &Watch,
    ) -> Result<Vec<Weights>> {
        let decoder = &self.model.decoder;
        let mut shares = vec![BTreeMap::new(); self.begun.len()];
        let start = |(cell, begun): (usize, &Begun)| Branch {
            cell,
            text: Vec::new(),
            place: begun.place.clone(),
            share: 1.0,
            left: (0..self.grammar.grammar().n_alternatives(self.slot)).collect(),
        };
        let mut branches: Vec<Branch> = self.begun.iter().enumerate().map(start).collect();
        while !branches.is_empty() {
            let mut steps = Vec::new();
            let rows = scores.chunks_exact(scores.len() / branches.len());
            for ((row, branch), scores) in branches.iter().enumerate().zip(rows) {
                steps.extend(self.ways_on(row, branch, scores));
            }
            let followed = follow(steps, &mut shares, cache.len() < cache.capacity());
            if followed.is_empty() {
                break;
            }
            watch.check()?;
            let n = followed.len();
            cache = cache.select(&followed.iter().map(|step| step.row).collect::<Vec<_>>(), cache.capacity());
            let tokens = followed.iter().map(|step| i64::from(step.token)).collect::<Vec<_>>();
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [n, 1]), &decoder.device());
            let hidden = decoder.hidden_cached(decoder.embed(tokens), self.positions, &mut cache)?;
            scores = last_scores(decoder, hidden)?;
            branches = followed.into_iter().map(|step| step.to).collect();
        }
        Ok(shares.into_iter().map(in_order).collect())
    }

    /// The tokens that may follow `branch`, with the share of each.
    fn ways_on(&self, row: usize, branch: &Branch, scores: &[f32]) -> Vec<Step> {
        let (grammar, tokenizer) = (self.grammar.grammar(), &self.model.tokenizer);
        let before = self.begun.get(branch.cell).map_or(&[][..], |begun| &begun.before);
        let ways = self.grammar.ways_on(&branch.place, tokenizer);
        let score = |token: u32| f64::from(scores.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY));
        let top = ways.iter().map(|(token, _)| score(*token)).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = ways.iter().map(|(token, _)| (score(*token) - top).exp()).sum();
        let step = |(token, place): &(u32, Place)| {
            let text = [&branch.text, tokenizer.bytes(*token)].concat();
            let left = grammar.alternatives_of(self.slot, before, &text, &branch.left);
            let share = branch.share * (score(*token) - top).exp() / sum;
            let share = if share.is_finite() { share } else { 0.0 };
            let to = Branch { cell: branch.cell, text, place: place.clone(), share, left };
            Step { row, token: *token, to }
        };
        ways.iter().map(step).collect()
    }
}

/// Parts the steps that are to be followed from those whose share goes to `shares` now.
fn follow(mut steps: Vec<Step>, shares: &mut [BTreeMap<usize, f64>], go_on: bool) -> Vec<Step> {
    steps.sort_by(|a, b| a.to.cell.cmp(&b.to.cell).then(b.to.share.total_cmp(&a.to.share)));
    let mut followed: Vec<Step> = Vec::new();
    let mut of_cell = (usize::MAX, 0);
    for step in steps {
        if of_cell.0 != step.to.cell {
            of_cell = (step.to.cell, 0);
        }
        let undecided = step.to.left.len() > 1 && step.to.share >= LEAST_FOLLOWED;
        if go_on && undecided && of_cell.1 < MOST_FOLLOWED {
            of_cell.1 += 1;
            followed.push(step);
        } else if let Some(shares) = shares.get_mut(step.to.cell) {
            let each = step.to.share / step.to.left.len().max(1) as f64;
            step.to.left.iter().for_each(|place| *shares.entry(*place).or_default() += each);
        }
    }
    followed
}

pub(super) fn in_order(shares: BTreeMap<usize, f64>) -> Weights {
    let sum: f64 = shares.values().sum();
    let mut weights: Weights = shares
        .into_iter()
        .map(|(place, share)| (place, (share / sum.max(f64::MIN_POSITIVE)) as f32))
        .collect();
    weights.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Grammar;

    fn step(cell: usize, share: f64, left: &[usize]) -> Step {
        let place = Grammar::new(&[vec!["x"]]).unwrap().start();
        let left = left.to_vec();
        Step { row: cell, token: 0, to: Branch { cell, text: Vec::new(), place, share, left } }
    }

    #[test]
    fn what_is_decided_or_unlikely_is_shared_out_and_the_rest_is_followed() {
        let mut shares = vec![BTreeMap::new(); 2];
        let steps = vec![
            step(0, 0.5, &[1, 2]),
            step(0, 0.497, &[3]),
            step(0, 0.003, &[4, 5]),
            step(1, 1.0, &[1, 2, 3]),
        ];
        let followed = follow(steps, &mut shares, true);
        assert_eq!(
            followed.iter().map(|s| (s.row, s.to.left.clone())).collect::<Vec<_>>(),
            [(0, vec![1, 2]), (1, vec![1, 2, 3])]
        );
        assert_eq!(shares[0], BTreeMap::from([(3, 0.497), (4, 0.0015), (5, 0.0015)]));
        assert!(shares[1].is_empty());
    }

    #[test]
    fn the_other_of_a_pair_is_one_that_was_likely_in_either_place() {
        let first = vec![(4, 0.5), (1, 0.4), (2, 0.1)];
        let pair = other_of_two(&first, &vec![(2, 0.6), (1, 0.2), (3, 0.2)]);
        let expected = [(1, 0.5), (2, 0.4), (3, 0.1)];
        assert!(pair.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6), "{pair:?}");
        let told_again = other_of_two(&first, &vec![(4, 1.0)]);
        assert!(told_again.iter().all(|(place, _)| *place != 4), "{told_again:?}");
        assert_eq!(other_of_two(&Vec::new(), &first), first);
    }

    #[test]
    fn the_likeliest_of_the_likeliest_family_is_put_first() {
        let weighing = Weighing { slot: 1, families: &[0, 1, 1, 2], temperature: 1.0 };
        let mut weights = vec![(0, 0.4), (2, 0.35), (1, 0.2), (3, 0.05)];
        weighing.put_first(&mut weights);
        assert_eq!(weights, [(2, 0.35), (0, 0.4), (1, 0.2), (3, 0.05)]);
        // The sharper the scores, the less the weaker members of a family count.
        let sharp = Weighing { temperature: 0.2, ..weighing };
        sharp.put_first(&mut weights);
        assert_eq!(weights.first(), Some(&(0, 0.4)));
        let mut none = Vec::new();
        weighing.put_first(&mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn a_walk_that_must_end_leaves_nothing_out() {
        let mut shares = vec![BTreeMap::new()];
        assert!(follow(vec![step(0, 1.0, &[1, 2])], &mut shares, false).is_empty());
        assert_eq!(in_order(shares.remove(0)), [(1, 0.5), (2, 0.5)]);
    }
}
