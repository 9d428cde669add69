//! Clusters of cells: communities of the graph.

use std::collections::VecDeque;

use super::graph::Graph;
use super::random::Random;
use crate::Result;
use crate::progress::Watch;

const WHAT: &str = "Finding clusters";
/// Most rounds over the whole; each starts from the clusters of the round before.
const ROUNDS: u64 = 10;
/// A round that gains less ends the search.
const SMALL_GAIN: f64 = 1e-6;
/// Nodes moved between two looks at the stop flag.
const NODES_PER_CHECK: usize = 4096;

/// Clusters of the nodes of a graph.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clusters {
    /// The cluster of each node; 0 is the largest.
    pub of: Vec<u32>,
    pub count: usize,
    /// How much more weight lies within clusters than chance would have it.
    pub modularity: f64,
}

/// A graph whose nodes may stand for several.
struct Network {
    starts: Vec<usize>,
    ends: Vec<u32>,
    weights: Vec<f64>,
    /// Sum of each node's edges, loops twice.
    degrees: Vec<f64>,
    /// Twice the weight of all edges.
    total: f64,
}

impl Network {
    fn of(graph: &Graph) -> Self {
        let rows = (0..graph.n_nodes())
            .map(|node| graph.edges(node).map(|(end, weight)| (end, f64::from(weight))).collect::<Vec<_>>());
        let degrees = (0..graph.n_nodes())
            .map(|node| graph.edges(node).map(|(_, weight)| f64::from(weight)).sum())
            .collect();
        Self::from_rows(rows, degrees)
    }

    fn from_rows(rows: impl Iterator<Item = Vec<(u32, f64)>>, degrees: Vec<f64>) -> Self {
        let (mut starts, mut ends, mut weights) = (vec![0], Vec::new(), Vec::new());
        for row in rows {
            for (end, weight) in row {
                ends.push(end);
                weights.push(weight);
            }
            starts.push(ends.len());
        }
        let total = degrees.iter().sum();
        Self { starts, ends, weights, degrees, total }
    }

    fn len(&self) -> usize {
        self.degrees.len()
    }

    /// Edges to other nodes.
    fn edges(&self, node: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let span = self.starts[node]..self.starts[node + 1];
        self.ends[span.clone()].iter().map(|end| *end as usize).zip(self.weights[span].iter().copied())
    }
}

/// Leiden's communities (Traag, Waltman and van Eck 2019) of highest modularity at a `resolution`: nodes move to where
/// they gain most, communities are split where they hang together loosely, and what is left is moved as a whole.
///
/// Of several equal moves the same is always taken; `seed` decides the order of the nodes.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(super) fn leiden(graph: &Graph, resolution: f64, seed: u64, watch: &Watch) -> Result<Clusters> {
    let whole = Network::of(graph);
    let mut of = (0..whole.len()).collect::<Vec<_>>();
    let mut best = modularity(&whole, &of, resolution);
    for round in 0..ROUNDS {
        watch.step(WHAT, round, Some(ROUNDS))?;
        let found = one_round(&whole, of.clone(), resolution, &mut Random::new(seed, round, 0), watch)?;
        let quality = modularity(&whole, &found, resolution);
        let gain = quality - best;
        if gain > 0.0 {
            (of, best) = (found, quality);
        }
        if gain < SMALL_GAIN {
            break;
        }
    }
    let (of, count) = by_size(&of);
    Ok(Clusters { of, count, modularity: best })
}

/// Moves, splits and merges until nothing moves any more.
fn one_round(
    whole: &Network,
    start: Vec<usize>,
    resolution: f64,
    random: &mut Random,
    watch: &Watch,
) -> Result<Vec<usize>> {
    // The node of the current level that each cell is part of.
    let mut node_of = (0..whole.len()).collect::<Vec<_>>();
    let mut merged: Option<Network> = None;
    let mut community = start;
    loop {
        let network = merged.as_ref().unwrap_or(whole);
        move_nodes(network, &mut community, resolution, random, watch)?;
        let parts = split(network, &community, resolution, random, watch)?;
        let (parts, n_parts) = numbered(&parts);
        if n_parts == network.len() {
            return Ok(node_of.iter().map(|node| community[*node]).collect());
        }
        let mut of_part = vec![0; n_parts];
        for (node, part) in parts.iter().enumerate() {
            of_part[*part] = community[node];
        }
        let next = merge(network, &parts, n_parts);
        node_of.iter_mut().for_each(|node| *node = parts[*node]);
        community = numbered(&of_part).0;
        merged = Some(next);
    }
}

/// Weights from one node to the communities around it.
struct Around {
    weights: Vec<f64>,
    seen: Vec<usize>,
}

impl Around {
    fn new(n: usize) -> Self {
        Self { weights: vec![0.0; n], seen: Vec::new() }
    }

    fn gather(&mut self, edges: impl Iterator<Item = (usize, f64)>) {
        for community in self.seen.drain(..) {
            self.weights[community] = 0.0;
        }
        for (community, weight) in edges {
            if self.weights[community] == 0.0 {
                self.seen.push(community);
            }
            self.weights[community] += weight;
        }
    }
}

/// Lets nodes move to the neighbouring community where they gain most, until none gains; whoever is left behind by a
/// neighbour is asked again.
fn move_nodes(
    network: &Network,
    community: &mut [usize],
    resolution: f64,
    random: &mut Random,
    watch: &Watch,
) -> Result<()> {
    let n = network.len();
    let mut degrees = vec![0.0; n];
    let mut sizes = vec![0usize; n];
    for (node, of) in community.iter().enumerate() {
        degrees[*of] += network.degrees[node];
        sizes[*of] += 1;
    }
    let mut empty = (0..n).filter(|of| sizes[*of] == 0).collect::<Vec<_>>();
    let mut order = (0..n).collect::<Vec<_>>();
    random.shuffle(&mut order);
    let mut queue = VecDeque::from(order);
    let mut queued = vec![true; n];
    let mut around = Around::new(n);
    let mut asked = 0usize;
    while let Some(node) = queue.pop_front() {
        if asked.is_multiple_of(NODES_PER_CHECK) {
            watch.check()?;
        }
        asked += 1;
        queued[node] = false;
        let own = community[node];
        let degree = network.degrees[node];
        around.gather(network.edges(node).map(|(end, weight)| (community[end], weight)));
        degrees[own] -= degree;
        sizes[own] -= 1;
        let gain = |of: usize, weight: f64| weight - resolution * degree * degrees[of] / network.total;
        let (mut best, mut best_gain) = (own, gain(own, around.weights[own]));
        for of in &around.seen {
            let gain = gain(*of, around.weights[*of]);
            if gain > best_gain + 1e-12 {
                (best, best_gain) = (*of, gain);
            }
        }
        // Alone it would gain nothing and lose nothing.
        if best_gain < -1e-12
            && let Some(of) = empty.pop()
        {
            best = of;
        }
        degrees[best] += degree;
        sizes[best] += 1;
        if best == own {
            continue;
        }
        if sizes[own] == 0 {
            empty.push(own);
        }
        community[node] = best;
        for (end, _) in network.edges(node) {
            if community[end] != best && !queued[end] {
                queued[end] = true;
                queue.push_back(end);
            }
        }
    }
    Ok(())
}

/// The parts of each community: nodes start alone and join the part of their community where they gain most, if node
/// and part are tied to the rest of the community well enough.
fn split(
    network: &Network,
    community: &[usize],
    resolution: f64,
    random: &mut Random,
    watch: &Watch,
) -> Result<Vec<usize>> {
    let n = network.len();
    let mut of_community = vec![0.0; n];
    for (node, of) in community.iter().enumerate() {
        of_community[*of] += network.degrees[node];
    }
    let mut part = (0..n).collect::<Vec<_>>();
    let mut degrees = network.degrees.clone();
    let mut sizes = vec![1usize; n];
    // Weight from each part to the rest of its community.
    let mut outward = (0..n)
        .map(|node| {
            let within = network.edges(node).filter(|(end, _)| community[*end] == community[node]);
            within.map(|(_, weight)| weight).sum::<f64>()
        })
        .collect::<Vec<_>>();
    let tied = |outward: f64, degree: f64, whole: f64| {
        outward >= resolution * degree * (whole - degree) / network.total
    };
    let mut order = (0..n).collect::<Vec<_>>();
    random.shuffle(&mut order);
    let mut around = Around::new(n);
    for (asked, node) in order.into_iter().enumerate() {
        if asked % NODES_PER_CHECK == 0 {
            watch.check()?;
        }
        let whole = of_community[community[node]];
        let degree = network.degrees[node];
        if sizes[part[node]] != 1 || !tied(outward[part[node]], degree, whole) {
            continue;
        }
        let within = network.edges(node).filter(|(end, _)| community[*end] == community[node]);
        around.gather(within.map(|(end, weight)| (part[end], weight)));
        let own = part[node];
        let (mut best, mut best_gain) = (own, 0.0);
        for of in &around.seen {
            let weight = around.weights[*of];
            let gain = weight - resolution * degree * degrees[*of] / network.total;
            if gain > best_gain + 1e-12 && tied(outward[*of], degrees[*of], whole) {
                (best, best_gain) = (*of, gain);
            }
        }
        if best == own {
            continue;
        }
        let between = around.weights[best];
        outward[best] += outward[own] - 2.0 * between;
        degrees[best] += degree;
        sizes[best] += 1;
        sizes[own] = 0;
        part[node] = best;
    }
    Ok(part)
}

/// One node for each part.
fn merge(network: &Network, parts: &[usize], n_parts: usize) -> Network {
    let mut degrees = vec![0.0; n_parts];
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); n_parts];
    for (node, part) in parts.iter().enumerate() {
        degrees[*part] += network.degrees[node];
        members[*part].push(node);
    }
    let mut around = Around::new(n_parts);
    let rows = members.iter().enumerate().map(|(part, members)| {
        let edges = members.iter().flat_map(|node| network.edges(*node));
        around.gather(edges.map(|(end, weight)| (parts[end], weight)).filter(|(end, _)| *end != part));
        // A node's own loops count in its degree alone: they go wherever it goes.
        around.seen.iter().map(|end| (*end as u32, around.weights[*end])).collect()
    });
    Network::from_rows(rows, degrees)
}

/// The same groups, numbered in the order in which they come, and how many there are.
fn numbered(groups: &[usize]) -> (Vec<usize>, usize) {
    let mut number = vec![usize::MAX; groups.iter().copied().max().map_or(0, |most| most + 1)];
    let mut count = 0;
    let numbered = groups
        .iter()
        .map(|group| {
            if number[*group] == usize::MAX {
                number[*group] = count;
                count += 1;
            }
            number[*group]
        })
        .collect();
    (numbered, count)
}

/// The same groups, the largest first, as scanpy numbers them.
fn by_size(groups: &[usize]) -> (Vec<u32>, usize) {
    let (groups, count) = numbered(groups);
    let mut sizes = vec![0usize; count];
    groups.iter().for_each(|group| sizes[*group] += 1);
    let mut order = (0..count).collect::<Vec<_>>();
    order.sort_by_key(|group| std::cmp::Reverse(sizes[*group]));
    let mut rank = vec![0u32; count];
    for (at, group) in (0u32..).zip(&order) {
        rank[*group] = at;
    }
    (groups.iter().map(|group| rank[*group]).collect(), count)
}

/// Newman and Girvan's modularity at a resolution: the share of weight within communities, less `resolution` times what
/// chance would give with the same degrees.
fn modularity(network: &Network, community: &[usize], resolution: f64) -> f64 {
    if network.total <= 0.0 {
        return 0.0;
    }
    let mut degrees = vec![0.0; community.iter().copied().max().map_or(0, |most| most + 1)];
    let mut within = 0.0;
    for (node, of) in community.iter().enumerate() {
        degrees[*of] += network.degrees[node];
        within += network.edges(node).filter(|(end, _)| community[*end] == *of).map(|(_, w)| w).sum::<f64>();
    }
    let expected = degrees.iter().map(|d| (d / network.total).powi(2)).sum::<f64>();
    within / network.total - resolution * expected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rings of cliques: `n_cliques` of `size` nodes, each tied to the next by one edge.
    fn ring(n_cliques: usize, size: usize) -> Graph {
        let n = n_cliques * size;
        let mut rows = vec![Vec::new(); n];
        for clique in 0..n_cliques {
            for x in 0..size {
                for y in (0..size).filter(|y| *y != x) {
                    rows[clique * size + x].push(((clique * size + y) as u32, 1.0f32));
                }
            }
            let (from, to) = (clique * size, (clique + 1) % n_cliques * size + 1);
            rows[from].push((to as u32, 1.0));
            rows[to].push((from as u32, 1.0));
        }
        Graph::from_rows(rows)
    }

    #[test]
    fn cliques_are_clusters_and_modularity_is_that_worked_out_by_hand() {
        let found = leiden(&ring(8, 6), 1.0, 0, &Watch::silent()).unwrap();
        assert_eq!(found.count, 8);
        for clique in 0..8 {
            let of = &found.of[clique * 6..clique * 6 + 6];
            assert!(of.iter().all(|c| *c == of[0]), "{:?}", found.of);
        }
        // 15 of 16 edges a clique lie within; each clique holds an eighth of the degrees.
        assert!((found.modularity - (15.0 / 16.0 - 1.0 / 8.0)).abs() < 1e-12, "{}", found.modularity);
    }

    #[test]
    fn a_lower_resolution_gives_fewer_and_larger_clusters() {
        let graph = ring(30, 5);
        let count = |resolution| leiden(&graph, resolution, 0, &Watch::silent()).unwrap().count;
        assert!(count(0.1) < count(1.0), "{} {}", count(0.1), count(1.0));
        assert!(count(1.0) <= count(3.0));
    }

    #[test]
    fn nodes_without_edges_are_clusters_of_their_own() {
        let mut rows = vec![Vec::new(); 4];
        rows[0].push((1, 1.0f32));
        rows[1].push((0, 1.0));
        let found = leiden(&Graph::from_rows(rows), 1.0, 0, &Watch::silent()).unwrap();
        assert_eq!((found.of, found.count), (vec![0, 0, 1, 2], 3));
        assert_eq!(leiden(&Graph::from_rows(Vec::new()), 1.0, 0, &Watch::silent()).unwrap().count, 0);
    }
}
