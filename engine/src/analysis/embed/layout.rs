//! The map: points that lie near each other where the graph ties them.

use rayon::prelude::*;

use super::graph::Graph;
use super::pca::Points;
use super::random::Random;
use crate::progress::Watch;
use crate::{Error, Result};

const WHAT: &str = "Laying out the map";
/// The curve `1 / (1 + a d^2b)` that fits a least distance of 0.5 and a spread of 1, scanpy's defaults: what
/// umap-learn's `find_ab_params(1.0, 0.5)` gives.
const A: f32 = 0.583_030;
const B: f32 = 1.334_167;
/// Rounds: more for few cells, as in umap-learn.
const ROUNDS_FOR_FEW: usize = 500;
const ROUNDS: usize = 200;
const FEW_CELLS: usize = 10_000;
/// Points pushed away for each point drawn near.
const PUSHES: f32 = 5.0;
/// No step of one coordinate is longer.
const LONGEST_STEP: f32 = 4.0;
/// The start fills a square of this side.
const SIDE: f32 = 10.0;
/// Cells moved by one thread between two looks at the stop flag.
const CELLS_TOGETHER: usize = 256;

/// An edge as the layout uses it.
#[derive(Debug, Clone, Copy)]
struct Spring {
    to: u32,
    /// Rounds from one use to the next: 1 for the strongest.
    every: f32,
    /// The round of the next use.
    next: f32,
    /// The round up to which points were pushed away for it.
    next_push: f32,
}

/// Some cells in a row and their springs.
struct Block {
    springs: Vec<Spring>,
    /// Where each cell's springs begin, `[cells + 1]`.
    starts: Vec<usize>,
}

/// Two coordinates for each node: UMAP's stochastic gradient descent on the fuzzy cross entropy (McInnes, Healy and
/// Melville 2018, section 3.2) from the first two principal components.
///
/// In each round a cell moves itself alone, and sees the others where the last round left them. So the map depends on
/// graph, start and seed, not on the number of threads.
///
/// # Errors
/// [`Error::Cancelled`].
pub(super) fn lay_out(graph: &Graph, start: &Points, seed: u64, watch: &Watch) -> Result<Vec<[f32; 2]>> {
    let n = graph.n_nodes();
    let rounds = if n <= FEW_CELLS { ROUNDS_FOR_FEW } else { ROUNDS };
    let mut blocks = springs(graph, rounds);
    let mut before = start_positions(start, seed);
    let mut after = before.clone();
    for round in 0..rounds {
        watch.step(WHAT, round as u64, Some(rounds as u64))?;
        let step = 1.0 - round as f32 / rounds as f32;
        let moved = after.par_chunks_mut(CELLS_TOGETHER).zip(&mut blocks).enumerate();
        moved.try_for_each(|(number, (positions, block))| {
            watch.check()?;
            for (at, position) in positions.iter_mut().enumerate() {
                let cell = number * CELLS_TOGETHER + at;
                let mut random = Random::new(seed, cell as u64, round as u64);
                let springs = &mut block.springs[block.starts[at]..block.starts[at + 1]];
                *position = moved_cell(cell, &before, springs, round as f32, step, &mut random);
            }
            Ok::<_, Error>(())
        })?;
        std::mem::swap(&mut before, &mut after);
    }
    Ok(before)
}

/// Where a cell goes in one round.
fn moved_cell(
    cell: usize,
    others: &[[f32; 2]],
    springs: &mut [Spring],
    round: f32,
    step: f32,
    random: &mut Random,
) -> [f32; 2] {
    let mut own = others[cell];
    for spring in springs.iter_mut().filter(|spring| spring.next <= round) {
        // The edge counts once for each of its directions, and each time both ends move. The other end moves itself;
        // here it is only followed.
        let mut other = others[spring.to as usize];
        for _ in 0..2 {
            let (dx, dy) = (own[0] - other[0], own[1] - other[1]);
            let pull = pull(dx * dx + dy * dy);
            let (x, y) = (bounded(pull * dx) * step, bounded(pull * dy) * step);
            own = [own[0] + x, own[1] + y];
            other = [other[0] - x, other[1] - y];
        }
        spring.next += spring.every;
        let every_push = spring.every / PUSHES;
        let pushes = ((round - spring.next_push) / every_push).max(0.0).floor();
        for _ in 0..pushes as usize {
            let other = random.below(others.len());
            if other == cell {
                continue;
            }
            let (dx, dy) = (own[0] - others[other][0], own[1] - others[other][1]);
            let push = push(dx * dx + dy * dy);
            own = [own[0] + bounded(push * dx) * step, own[1] + bounded(push * dy) * step];
        }
        spring.next_push += pushes * every_push;
    }
    own
}

/// The gradient of the attraction over the difference, by squared distance.
fn pull(squared: f32) -> f32 {
    if squared <= 0.0 {
        return 0.0;
    }
    let power = power(squared);
    -2.0 * A * B * power / squared / (A * power + 1.0)
}

/// The gradient of the repulsion over the difference, by squared distance.
fn push(squared: f32) -> f32 {
    if squared <= 0.0 {
        return 0.0;
    }
    2.0 * B / ((0.001 + squared) * (A * power(squared) + 1.0))
}

/// `x` to the power of [`B`], for `x` above zero, to within 1 in 10,000: what the layout spends most of its time on. The
/// logarithm of the mantissa and the power of the rest are interpolated at Chebyshev nodes.
fn power(x: f32) -> f32 {
    const LOG2: [f32; 6] = [-2.787_926, 5.047_855_4, -3.489_878_6, 1.589_474_3, -0.402_513_4, 0.043_004_96];
    const EXP2: [f32; 5] = [1.000_003_5, 0.692_972_9, 0.241_604_36, 0.051_745, 0.013_670_309];
    let polynomial =
        |coefficients: &[f32], x: f32| coefficients.iter().rev().fold(0.0f32, |sum, c| sum * x + c);
    let bits = x.to_bits();
    let exponent = (bits >> 23) as f32 - 127.0;
    let mantissa = f32::from_bits((bits & 0x007F_FFFF) | 0x3F80_0000);
    // Bounded so that what lies at almost no distance, or far away, still gives a number.
    let log = (B * (polynomial(&LOG2, mantissa) + exponent)).clamp(-126.0, 127.0);
    let whole = log.floor();
    polynomial(&EXP2, log - whole) * f32::from_bits(((whole + 127.0) as u32) << 23)
}

fn bounded(step: f32) -> f32 {
    step.clamp(-LONGEST_STEP, LONGEST_STEP)
}

/// The springs of all cells. Edges too weak to be used even once are left out.
fn springs(graph: &Graph, rounds: usize) -> Vec<Block> {
    let strongest = graph.weights().iter().copied().fold(0.0f32, f32::max);
    (0..graph.n_nodes())
        .step_by(CELLS_TOGETHER)
        .map(|first| {
            let mut block = Block { springs: Vec::new(), starts: vec![0] };
            for cell in first..graph.n_nodes().min(first + CELLS_TOGETHER) {
                let used = graph.edges(cell).filter(|(_, weight)| *weight >= strongest / rounds as f32);
                block.springs.extend(used.map(|(to, weight)| {
                    let every = strongest / weight;
                    Spring { to, every, next: every, next_push: every / PUSHES }
                }));
                block.starts.push(block.springs.len());
            }
            block
        })
        .collect()
}

/// The first two components, scaled to the square, each a little moved so that no two cells coincide.
fn start_positions(start: &Points, seed: u64) -> Vec<[f32; 2]> {
    let mut positions = (0..start.len())
        .map(|cell| {
            let row = start.row(cell);
            [row.first().copied().unwrap_or(0.0), row.get(1).copied().unwrap_or(0.0)]
        })
        .collect::<Vec<_>>();
    for dim in 0..2 {
        let low = positions.iter().map(|p| p[dim]).fold(f32::INFINITY, f32::min);
        let high = positions.iter().map(|p| p[dim]).fold(f32::NEG_INFINITY, f32::max);
        let scale = if high > low { SIDE / (high - low) } else { 0.0 };
        for (cell, position) in positions.iter_mut().enumerate() {
            let noise = Random::new(seed, cell as u64, u64::MAX - dim as u64).below(1 << 20) as f32;
            position[dim] = (position[dim] - low) * scale + (noise / (1 << 20) as f32 - 0.5) * 1e-3;
        }
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tied_lies_together_whatever_the_number_of_threads() {
        // Two cliques of 300 cells with one bridge.
        let n = 600usize;
        let mut rows = vec![Vec::new(); n];
        for (cell, row) in rows.iter_mut().enumerate() {
            let first = cell / 300 * 300;
            for step in 1..=8 {
                row.push(((first + (cell + step) % 300) as u32, 1.0f32));
                row.push(((first + (cell + 300 - step) % 300) as u32, 1.0));
            }
        }
        rows[0].push((300, 0.1));
        rows[300].push((0, 0.1));
        let graph = Graph::from_rows(rows);
        let values = (0..n).flat_map(|cell| [(cell * 37 % 101) as f32, (cell * 61 % 97) as f32]).collect();
        let start = Points { n_dims: 2, values };
        let lay = || lay_out(&graph, &start, 9, &Watch::silent()).unwrap();
        let found = lay();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(found, alone.install(lay));
        let distance = |x: usize, y: usize| (found[x][0] - found[y][0]).hypot(found[x][1] - found[y][1]);
        let near =
            (0..n).map(|cell| distance(cell, cell / 300 * 300 + (cell + 1) % 300)).sum::<f32>() / n as f32;
        let far = (0..300).map(|cell| distance(cell, cell + 300)).sum::<f32>() / 300.0;
        assert!(near * 5.0 < far, "{near} {far}");
    }

    #[test]
    fn powers_are_right_to_one_in_ten_thousand() {
        let mut x = 1e-8f32;
        while x < 1e8 {
            let exact = f64::from(x).powf(f64::from(B));
            assert!((f64::from(power(x)) / exact - 1.0).abs() < 1e-4, "{x}");
            x *= 1.013;
        }
        assert!(power(f32::MIN_POSITIVE / 8.0).is_finite() && power(f32::MAX).is_finite());
    }

    #[test]
    fn the_gradients_are_those_of_the_curve() {
        // The attraction is the derivative of ln(1 + a d^2b) along d, over d.
        let d = 1.3f32;
        let curve = |d: f32| (1.0 + A * d.powf(2.0 * B)).ln();
        let slope = (curve(d + 1e-3) - curve(d - 1e-3)) / 2e-3;
        assert!((pull(d * d) + slope / d).abs() < 1e-3);
        assert_eq!((pull(0.0), push(0.0)), (0.0, 0.0));
    }
}
