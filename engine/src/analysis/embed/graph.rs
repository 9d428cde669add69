//! The weighted graph of neighbours that the map and the clusters are made of.

use rayon::prelude::*;

use super::neighbours::Neighbours;

/// Rounds of the search for a cell's bandwidth, and how near it must come.
const SEARCH_ROUNDS: usize = 64;
const SEARCH_TOLERANCE: f64 = 1e-5;
/// A bandwidth is at least this share of the mean distance.
const LEAST_BANDWIDTH: f64 = 1e-3;

/// A symmetric graph with weights from 0 to 1, without loops.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Graph {
    /// Where each node's edges begin, `[nodes + 1]`.
    starts: Vec<usize>,
    /// The other end of each edge, rising within a node.
    ends: Vec<u32>,
    weights: Vec<f32>,
}

impl Graph {
    /// A graph from every node's edges, which must name each other.
    pub(super) fn from_rows(rows: Vec<Vec<(u32, f32)>>) -> Self {
        let mut graph = Self { starts: vec![0], ..Self::default() };
        for row in rows {
            for (end, weight) in row {
                graph.ends.push(end);
                graph.weights.push(weight);
            }
            graph.starts.push(graph.ends.len());
        }
        graph
    }

    pub(super) fn n_nodes(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The other ends and the weights of a node's edges.
    pub(super) fn edges(&self, node: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let span = self.starts[node]..self.starts[node + 1];
        self.ends[span.clone()].iter().copied().zip(self.weights[span].iter().copied())
    }

    pub(super) fn weights(&self) -> &[f32] {
        &self.weights
    }
}

/// UMAP's fuzzy union of the cells' neighbourhoods (McInnes, Healy and Melville 2018, sections 3.1 and 4.1): a
/// neighbour weighs `exp(-(d - ρ) / σ)`, with ρ the distance of the nearest one and σ such that a cell's weights sum to
/// log2 of the number of its neighbours; two cells that name each other weigh `a + b - ab`.
pub(super) fn fuzzy_union(neighbours: &Neighbours) -> Graph {
    let n = neighbours.len();
    let mean_of = |distances: &[f32]| {
        distances.iter().copied().map(f64::from).sum::<f64>() / distances.len().max(1) as f64
    };
    let mean = mean_of(&neighbours.distances);
    let directed = (0..n)
        .into_par_iter()
        .map(|cell| {
            let (ids, distances) = neighbours.row(cell);
            let nearest = distances.iter().copied().find(|d| *d > 0.0).map_or(0.0, f64::from);
            let least = LEAST_BANDWIDTH * if nearest > 0.0 { mean_of(distances) } else { mean };
            let bandwidth = bandwidth(distances, nearest).max(least);
            let mut row = ids
                .iter()
                .zip(distances)
                .filter(|(id, _)| **id as usize != cell)
                .map(|(id, d)| (*id, weight(f64::from(*d) - nearest, bandwidth)))
                .filter(|(_, weight)| *weight > 0.0)
                .collect::<Vec<_>>();
            row.sort_unstable_by_key(|(id, _)| *id);
            row
        })
        .collect::<Vec<_>>();
    let mut reverse: Vec<Vec<(u32, f32)>> = vec![Vec::new(); n];
    for (cell, row) in (0u32..).zip(&directed) {
        for (id, weight) in row {
            reverse[*id as usize].push((cell, *weight));
        }
    }
    // Both lists rise: walk them side by side.
    let rows = directed
        .par_iter()
        .zip(&reverse)
        .map(|(out, back)| {
            let mut row = Vec::with_capacity(out.len() + back.len());
            let (mut at_out, mut at_back) = (0, 0);
            loop {
                match (out.get(at_out), back.get(at_back)) {
                    (Some(x), Some(y)) if x.0 == y.0 => {
                        row.push((x.0, x.1 + y.1 - x.1 * y.1));
                        at_out += 1;
                        at_back += 1;
                    }
                    (Some(x), Some(y)) if x.0 < y.0 => {
                        row.push(*x);
                        at_out += 1;
                    }
                    (Some(x), None) => {
                        row.push(*x);
                        at_out += 1;
                    }
                    (_, Some(y)) => {
                        row.push(*y);
                        at_back += 1;
                    }
                    (None, None) => return row,
                }
            }
        })
        .collect();
    Graph::from_rows(rows)
}

fn weight(beyond_nearest: f64, bandwidth: f64) -> f32 {
    if beyond_nearest <= 0.0 || bandwidth == 0.0 { 1.0 } else { (-beyond_nearest / bandwidth).exp() as f32 }
}

/// The σ at which the weights of the neighbours (all but the first, the cell itself) sum to log2 of their number with
/// the cell itself; by bisection.
fn bandwidth(distances: &[f32], nearest: f64) -> f64 {
    let target = (distances.len() as f64).log2();
    let (mut low, mut high, mut middle) = (0.0f64, f64::INFINITY, 1.0f64);
    for _ in 0..SEARCH_ROUNDS {
        let sum = distances
            .iter()
            .skip(1)
            .map(|d| f64::from(*d) - nearest)
            .map(|beyond| if beyond > 0.0 { (-beyond / middle).exp() } else { 1.0 })
            .sum::<f64>();
        if (sum - target).abs() < SEARCH_TOLERANCE {
            break;
        }
        if sum > target {
            high = middle;
            middle = f64::midpoint(low, high);
        } else {
            low = middle;
            middle = if high.is_infinite() { middle * 2.0 } else { f64::midpoint(low, high) };
        }
    }
    middle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_union_is_symmetric_and_the_nearest_weighs_all() {
        // Four cells on a line at 0, 1, 3 and 7, two neighbours each besides themselves.
        let neighbours = Neighbours {
            k: 3,
            ids: vec![0, 1, 2, 1, 0, 2, 2, 1, 0, 3, 2, 1],
            distances: vec![0.0, 1.0, 3.0, 0.0, 1.0, 2.0, 0.0, 2.0, 3.0, 0.0, 4.0, 6.0],
        };
        let graph = fuzzy_union(&neighbours);
        let weight = |x: usize, y: u32| graph.edges(x).find(|(end, _)| *end == y).map(|(_, weight)| weight);
        for x in 0..4 {
            for y in 0..4 {
                assert_eq!(weight(x, y as u32), weight(y, x as u32), "{x} {y}");
            }
            assert_eq!(weight(x, x as u32), None);
        }
        assert_eq!((weight(0, 1), weight(1, 2), weight(3, 2)), (Some(1.0), Some(1.0), Some(1.0)));
        // Each cell's weights sum to log2 3: the second neighbour of 3 weighs log2 3 - 1, and only it names the other.
        assert!((weight(3, 1).unwrap() - (3f32.log2() - 1.0)).abs() < 1e-4);
        // 0 and 2 name each other with log2 3 - 1 both: a + b - ab.
        let a = 3f32.log2() - 1.0;
        assert!((weight(0, 2).unwrap() - (2.0 * a - a * a)).abs() < 1e-4);
    }
}
