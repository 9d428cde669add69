//! How likely every alternative of a slot is for a cell, not only the one that its text takes.
//!
//! A text written greedily tells one alternative; those who compare, vote, or want to know what else it could be need the
//! others too. The tree of tokens that spell the alternatives is walked from its root, all cells together. A branch ends
//! where it leaves one alternative, or where it is too unlikely to matter: what it holds is then shared out evenly among
//! what could still follow.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor, TensorData};

use super::cell2text::{Cell2Text, read_scores};
use super::grammar::{Place, TokenGrammar};
use crate::Result;
use crate::progress::Watch;

/// Branches less likely than this are not followed.
const LEAST_FOLLOWED: f64 = 0.004;
/// Branches of one cell that are followed side by side at most, the likeliest.
const MOST_FOLLOWED: usize = 8;
/// Tokens that alternatives are told apart by at most, what stands before them included.
const MOST_TOKENS: usize = 40;

/// The alternatives of a slot by their places in it, each with its probability; the likeliest first.
pub type Weights = Vec<(usize, f32)>;

/// A beginning of texts that several alternatives share.
struct Branch {
    cell: usize,
    text: Vec<u8>,
    place: Place,
    share: f64,
}

/// A token that goes on from a branch.
struct Step {
    /// The row of the branch in the batch.
    row: usize,
    token: u32,
    /// What it leads to, where that is to be followed.
    to: Branch,
    /// The alternatives that may follow.
    left: Vec<usize>,
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
    let mut shares = vec![BTreeMap::new(); n_cells];
    let start = |cell| Branch { cell, text: Vec::new(), place: grammar.grammar().start(), share: 1.0 };
    let mut branches: Vec<Branch> = (0..n_cells).map(start).collect();
    watch.check()?;
    let mut hidden = decoder.hidden_cached(prompt, &positions, &mut cache)?;
    for tokens_left in (0..=room).rev() {
        let [rows, n, width] = hidden.dims();
        let last = hidden.narrow(1, n - 1, 1).reshape([rows, 1, width]);
        let scores = read_scores(decoder.logits(last))?;
        let mut steps = Vec::new();
        for ((row, branch), scores) in
            branches.iter().enumerate().zip(scores.chunks_exact(scores.len() / rows))
        {
            steps.extend(ways_on(model, grammar, slot, &before, row, branch, scores));
        }
        let followed = follow(steps, &mut shares, tokens_left > 0);
        if followed.is_empty() {
            break;
        }
        watch.check()?;
        let n = followed.len();
        cache = cache.select(&followed.iter().map(|step| step.row).collect::<Vec<_>>());
        let tokens = followed.iter().map(|step| i64::from(step.token)).collect::<Vec<_>>();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [n, 1]), &decoder.device());
        hidden = decoder.hidden_cached(decoder.embed(tokens), &positions, &mut cache)?;
        branches = followed.into_iter().map(|step| step.to).collect();
    }
    Ok(shares.into_iter().map(in_order).collect())
}

/// The tokens that may follow `branch`, with the share of each.
fn ways_on(
    model: &Cell2Text,
    grammar: &TokenGrammar,
    slot: usize,
    before: &[u8],
    row: usize,
    branch: &Branch,
    scores: &[f32],
) -> Vec<Step> {
    let allowed = grammar.allowed(&branch.place, &model.tokenizer);
    let score = |token: u32| f64::from(scores.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY));
    let top = allowed.iter().map(|token| score(*token)).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = allowed.iter().map(|token| (score(*token) - top).exp()).sum();
    let step = |&token: &u32| {
        let bytes = model.tokenizer.bytes(token);
        let place = grammar.grammar().after(&branch.place, bytes)?;
        let text = [&branch.text, bytes].concat();
        let left = grammar.grammar().alternatives_of(slot, before, &text);
        let share = branch.share * (score(token) - top).exp() / sum;
        let share = if share.is_finite() { share } else { 0.0 };
        Some(Step { row, token, to: Branch { cell: branch.cell, text, place, share }, left })
    };
    allowed.iter().filter_map(step).collect()
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
        let undecided = step.left.len() > 1 && step.to.share >= LEAST_FOLLOWED;
        if go_on && undecided && of_cell.1 < MOST_FOLLOWED {
            of_cell.1 += 1;
            followed.push(step);
        } else if let Some(shares) = shares.get_mut(step.to.cell) {
            let each = step.to.share / step.left.len().max(1) as f64;
            step.left.iter().for_each(|place| *shares.entry(*place).or_default() += each);
        }
    }
    followed
}

fn in_order(shares: BTreeMap<usize, f64>) -> Weights {
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
        Step { row: cell, token: 0, to: Branch { cell, text: Vec::new(), place, share }, left: left.to_vec() }
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
            followed.iter().map(|s| (s.row, s.left.clone())).collect::<Vec<_>>(),
            [(0, vec![1, 2]), (1, vec![1, 2, 3])]
        );
        assert_eq!(shares[0], BTreeMap::from([(3, 0.497), (4, 0.0015), (5, 0.0015)]));
        assert!(shares[1].is_empty());
    }

    #[test]
    fn a_walk_that_must_end_leaves_nothing_out() {
        let mut shares = vec![BTreeMap::new()];
        assert!(follow(vec![step(0, 1.0, &[1, 2])], &mut shares, false).is_empty());
        assert_eq!(in_order(shares.remove(0)), [(1, 0.5), (2, 0.5)]);
    }
}
