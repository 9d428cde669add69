//! Nearest neighbours of many cells: a neighbour of a neighbour is likely a neighbour.
//!
//! Nearest-neighbour descent (Dong, Moses and Li 2011) on a start from random projection trees, as pynndescent does it.
//! Here every cell gathers its candidates from the lists of the round before and changes only its own list: the result
//! is the same whatever the number of threads.

use rayon::prelude::*;

use super::neighbours::{Near, Neighbours, WHAT, insert, squared_distance};
use super::pca::Points;
use super::random::Random;
use crate::progress::Watch;
use crate::{Error, Result};

/// Trees of the start, and most cells of a leaf.
const TREES: u64 = 6;
const LEAF: usize = 24;
/// Most rounds.
const ROUNDS: u64 = 12;
/// Descent ends when a smaller share of all entries than this changed in a round.
const SMALL_CHANGE: f64 = 0.002;
/// Most cells that name a cell as neighbour and are asked in turn.
const MOST_REVERSE: usize = 20;
/// Cells worked on between two looks at the stop flag.
const CELLS_TOGETHER: usize = 64;

/// An entry of a list, and whether it came in the last round.
#[derive(Debug, Clone, Copy)]
struct Entry {
    near: Near,
    new: bool,
}

/// The `k` nearest of each point, itself first, nearly all of them.
///
/// # Errors
/// [`Error::Cancelled`].
pub(super) fn descend(points: &Points, k: usize, seed: u64, watch: &Watch) -> Result<Neighbours> {
    let n = points.len();
    let k = k.min(n).max(1);
    // Some more than asked for make the descent surer.
    let room = (k + 4).min(n.saturating_sub(1));
    let steps = 1 + ROUNDS;
    watch.step(WHAT, 0, Some(steps))?;
    let trees = (0..TREES)
        .into_par_iter()
        .map(|tree| Tree::grow(points, seed, tree, watch))
        .collect::<Result<Vec<_>>>()?;
    let none = vec![Vec::new(); n];
    let mut lists = improve(points, &none, room, watch, |cell, candidates| {
        for tree in &trees {
            candidates.extend_from_slice(tree.leaf_of(cell));
        }
    })?;
    drop(trees);
    for round in 0..ROUNDS {
        watch.step(WHAT, 1 + round, Some(steps))?;
        let reverse = reverse(&lists);
        let next = improve(points, &lists, room, watch, |cell, candidates| {
            let ask = |candidates: &mut Vec<u32>, id: u32, new: bool| {
                let list = &lists[id as usize];
                // Of two entries that were both there in the last round, nothing can be learnt again.
                candidates.extend(list.iter().filter(|entry| new || entry.new).map(|entry| entry.near.id));
            };
            for entry in &lists[cell] {
                ask(candidates, entry.near.id, entry.new);
            }
            for (id, new) in &reverse[cell] {
                candidates.push(*id);
                ask(candidates, *id, *new);
            }
        })?;
        lists = next;
        let changed = lists.iter().flatten().filter(|entry| entry.new).count();
        if (changed as f64) < SMALL_CHANGE * (n * room) as f64 {
            break;
        }
    }
    let nearest =
        lists.iter().map(|list| list.iter().map(|entry| entry.near).collect::<Vec<_>>()).collect::<Vec<_>>();
    Ok(Neighbours::from_lists(&nearest, k))
}

/// Each cell's list with the nearest of its candidates; what came new is marked.
fn improve(
    points: &Points,
    lists: &[Vec<Entry>],
    room: usize,
    watch: &Watch,
    gather: impl Fn(usize, &mut Vec<u32>) + Sync,
) -> Result<Vec<Vec<Entry>>> {
    let mut improved = vec![Vec::new(); lists.len()];
    improved.par_chunks_mut(CELLS_TOGETHER).enumerate().try_for_each(|(block, improved)| {
        watch.check()?;
        let mut candidates = Vec::new();
        for (cell, improved) in (block * CELLS_TOGETHER..).zip(improved) {
            candidates.clear();
            gather(cell, &mut candidates);
            candidates.sort_unstable();
            candidates.dedup();
            let old = &lists[cell];
            let mut list = old.iter().map(|entry| entry.near).collect::<Vec<_>>();
            for &id in &candidates {
                if id as usize == cell || old.iter().any(|entry| entry.near.id == id) {
                    continue;
                }
                let squared = squared_distance(points.row(cell), points.row(id as usize));
                insert(&mut list, room, Near { squared, id });
            }
            *improved = list
                .into_iter()
                .map(|near| Entry { near, new: !old.iter().any(|entry| entry.near.id == near.id) })
                .collect();
        }
        Ok::<_, Error>(())
    })?;
    Ok(improved)
}

/// For each cell some of those that name it, the nearest lists' places first, and whether the entry is new.
fn reverse(lists: &[Vec<Entry>]) -> Vec<Vec<(u32, bool)>> {
    let mut reverse: Vec<Vec<(u32, bool)>> = vec![Vec::new(); lists.len()];
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    for place in 0..longest {
        for (cell, list) in (0u32..).zip(lists) {
            if let Some(entry) = list.get(place) {
                let of = &mut reverse[entry.near.id as usize];
                if of.len() < MOST_REVERSE {
                    of.push((cell, entry.new));
                }
            }
        }
    }
    reverse
}

/// Cells in leaves of neighbouring ones: halved again and again across the line between two of them.
struct Tree {
    /// All cells, leaf after leaf.
    cells: Vec<u32>,
    /// Start and end of each cell's leaf in `cells`.
    leaves: Vec<(u32, u32)>,
}

impl Tree {
    fn grow(points: &Points, seed: u64, tree: u64, watch: &Watch) -> Result<Self> {
        let n = points.len();
        let mut random = Random::new(seed, tree, 0);
        let mut cells = (0..n as u32).collect::<Vec<_>>();
        let mut leaves = vec![(0, 0); n];
        let mut open = std::iter::once(0..n).collect::<Vec<_>>();
        let mut along: Vec<(f32, u32)> = Vec::new();
        while let Some(span) = open.pop() {
            watch.check()?;
            if span.len() <= LEAF {
                for cell in &cells[span.clone()] {
                    leaves[*cell as usize] = (span.start as u32, span.end as u32);
                }
                continue;
            }
            let pick = |random: &mut Random| cells[span.start + random.below(span.len())] as usize;
            let (from, to) = (pick(&mut random), pick(&mut random));
            let direction =
                points.row(from).iter().zip(points.row(to)).map(|(x, y)| y - x).collect::<Vec<_>>();
            along.clear();
            along.extend(cells[span.clone()].iter().map(|cell| {
                let place =
                    points.row(*cell as usize).iter().zip(&direction).map(|(x, d)| x * d).sum::<f32>();
                (place, *cell)
            }));
            let middle = span.len() / 2;
            // Where two picked cells coincide all places are equal, and the halves are by number.
            along.select_nth_unstable_by(middle, |x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
            for (cell, (_, sorted)) in cells[span.clone()].iter_mut().zip(&along) {
                *cell = *sorted;
            }
            open.push(span.start..span.start + middle);
            open.push(span.start + middle..span.end);
        }
        Ok(Self { cells, leaves })
    }

    fn leaf_of(&self, cell: usize) -> &[u32] {
        let (start, end) = self.leaves[cell];
        &self.cells[start as usize..end as usize]
    }
}
