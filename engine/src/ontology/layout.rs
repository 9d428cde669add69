//! Columns for nodes in layers: few crossings, neighbours near one another, nothing on top of anything.
//!
//! The method is Sugiyama's: relations over several layers are divided by bends, the order in each layer is
//! improved by barycentres until crossings no longer lessen, and the columns follow the order.

/// Sweeps down and up through the layers while the order may still improve.
const ORDER_SWEEPS: usize = 12;
/// Sweeps that draw nodes towards their neighbours.
const COLUMN_SWEEPS: usize = 16;

/// Where everything stands.
pub(super) struct Places {
    /// The column of each node, the leftmost 0.
    pub columns: Vec<f32>,
    /// Of each edge the columns in which it passes the layers between its ends, from the lower to the upper.
    pub bends: Vec<Vec<f32>>,
}

struct Layered {
    /// The nodes of each layer, in their order; bends have numbers from `real` on.
    order: Vec<Vec<usize>>,
    /// Of each node the neighbours in the layer above.
    above: Vec<Vec<usize>>,
    /// Of each node the neighbours in the layer below.
    below: Vec<Vec<usize>>,
    /// Of each edge its bends, from the upper end to the lower.
    bends: Vec<Vec<usize>>,
}

/// Columns for nodes and for the bends of edges. `edges` lead from the lower node to the upper; nodes of one layer
/// begin in the order in which `start` names them.
pub(super) fn places(layers: &[usize], edges: &[(usize, usize)], start: &[usize]) -> Places {
    let real = layers.len();
    let mut graph = Layered::new(layers, edges, start);
    graph.reduce_crossings();
    let mut places = graph.places(real);
    graph.keep_bends_beside_nodes(real, &mut places);
    let least = (0..real).map(|node| places[node]).fold(f64::INFINITY, f64::min);
    let column = |node: usize| (places[node] - least) as f32;
    Places {
        columns: (0..real).map(column).collect(),
        bends: graph
            .bends
            .iter()
            .map(|bends| bends.iter().rev().map(|bend| column(*bend)).collect())
            .collect(),
    }
}

impl Layered {
    fn new(layers: &[usize], edges: &[(usize, usize)], start: &[usize]) -> Self {
        let depth = layers.iter().copied().max().map_or(0, |deepest| deepest + 1);
        let mut graph = Self {
            order: vec![Vec::new(); depth],
            above: vec![Vec::new(); layers.len()],
            below: vec![Vec::new(); layers.len()],
            bends: Vec::with_capacity(edges.len()),
        };
        for node in start {
            graph.order[layers[*node]].push(*node);
        }
        for (lower, upper) in edges {
            let mut from = *upper;
            let mut bends = Vec::new();
            for layer in layers[*upper] + 1..layers[*lower] {
                let bend = graph.above.len();
                graph.above.push(Vec::new());
                graph.below.push(Vec::new());
                graph.order[layer].push(bend);
                graph.join(from, bend);
                bends.push(bend);
                from = bend;
            }
            graph.join(from, *lower);
            graph.bends.push(bends);
        }
        graph
    }

    fn join(&mut self, upper: usize, lower: usize) {
        self.below[upper].push(lower);
        self.above[lower].push(upper);
    }

    fn reduce_crossings(&mut self) {
        let mut best = (self.crossings(), self.order.clone());
        for sweep in 0..ORDER_SWEEPS {
            if best.0 == 0 {
                break;
            }
            let depth = self.order.len();
            if sweep % 2 == 0 {
                for layer in 1..depth {
                    let at = positions(&self.order[layer - 1], self.above.len());
                    sort_by_barycentre(&mut self.order[layer], &self.above, &at);
                }
            } else {
                for layer in (0..depth.saturating_sub(1)).rev() {
                    let at = positions(&self.order[layer + 1], self.above.len());
                    sort_by_barycentre(&mut self.order[layer], &self.below, &at);
                }
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.order.clone());
            }
        }
        self.order = best.1;
    }

    /// Crossings between all pairs of neighbouring layers.
    fn crossings(&self) -> usize {
        self.order
            .windows(2)
            .map(|pair| {
                let at = positions(&pair[1], self.above.len());
                let mut ends = Vec::new();
                for node in &pair[0] {
                    let mut here: Vec<f64> = self.below[*node].iter().map(|lower| at[*lower]).collect();
                    here.sort_by(f64::total_cmp);
                    ends.extend(here);
                }
                let later = |from: usize| ends[from + 1..].iter().filter(|end| **end < ends[from]).count();
                (0..ends.len()).map(later).sum::<usize>()
            })
            .sum()
    }

    /// Columns for nodes and bends: each is drawn to the middle of its neighbours, the order and the distance of
    /// one column between nodes (half a column beside bends) being kept.
    fn places(&self, real: usize) -> Vec<f64> {
        let mut places = vec![0.0; self.above.len()];
        for layer in &self.order {
            for (at, node) in layer.iter().enumerate() {
                places[*node] = at as f64 - (layer.len() as f64 - 1.0) / 2.0;
            }
        }
        for sweep in 0..COLUMN_SWEEPS {
            let last = sweep + 1 == COLUMN_SWEEPS;
            let layers: Vec<usize> = if sweep % 2 == 0 {
                (0..self.order.len()).collect()
            } else {
                (0..self.order.len()).rev().collect()
            };
            for layer in layers {
                let nodes = &self.order[layer];
                let wished: Vec<f64> = nodes
                    .iter()
                    .map(|node| {
                        let near: Vec<f64> = self.above[*node]
                            .iter()
                            .chain(&self.below[*node])
                            .map(|other| places[*other])
                            .collect();
                        if near.is_empty() {
                            places[*node]
                        } else {
                            near.iter().sum::<f64>() / near.len() as f64
                        }
                    })
                    .collect();
                let gaps: Vec<f64> = nodes
                    .windows(2)
                    .map(|pair| if pair.iter().all(|node| *node < real) { 1.0 } else { 0.5 })
                    .collect();
                for (node, place) in nodes.iter().zip(spread(&wished, &gaps)) {
                    places[*node] = place;
                }
            }
            if last {
                self.part_real_nodes(real, &mut places);
            }
        }
        places
    }

    /// Two nodes with a bend between them are a column apart as well: half a column on either side.
    fn part_real_nodes(&self, real: usize, places: &mut [f64]) {
        for layer in &self.order {
            let nodes: Vec<usize> = layer.iter().copied().filter(|node| *node < real).collect();
            let wished: Vec<f64> = nodes.iter().map(|node| places[*node]).collect();
            let gaps = vec![1.0; nodes.len().saturating_sub(1)];
            for (node, place) in nodes.iter().zip(spread(&wished, &gaps)) {
                places[*node] = place;
            }
        }
    }
}

impl Layered {
    /// Moves bends that came to lie under a node to the free column beside it.
    fn keep_bends_beside_nodes(&self, real: usize, places: &mut [f64]) {
        const BESIDE: f64 = 0.5;
        for layer in &self.order {
            for (at, bend) in layer.iter().enumerate().filter(|(_, node)| **node >= real) {
                let node = |node: &&usize| **node < real;
                let low = layer[..at].iter().rev().find(node).map(|left| places[*left] + BESIDE);
                let high = layer[at + 1..].iter().find(node).map(|right| places[*right] - BESIDE);
                places[*bend] = match (low, high) {
                    (Some(low), Some(high)) if low > high => 0.5 * (low + high),
                    (low, high) => places[*bend].max(low.unwrap_or(f64::MIN)).min(high.unwrap_or(f64::MAX)),
                };
            }
        }
    }
}

/// The place of each node of a layer in its order; other nodes have 0.
fn positions(layer: &[usize], nodes: usize) -> Vec<f64> {
    let mut at = vec![0.0; nodes];
    for (place, node) in layer.iter().enumerate() {
        at[*node] = place as f64;
    }
    at
}

/// Sorts a layer by the mean place of each node's neighbours; a node without any keeps its place.
fn sort_by_barycentre(layer: &mut [usize], neighbours: &[Vec<usize>], at: &[f64]) {
    let mean = |node: usize| {
        let near = &neighbours[node];
        (!near.is_empty()).then(|| near.iter().map(|other| at[*other]).sum::<f64>() / near.len() as f64)
    };
    let movable: Vec<usize> = (0..layer.len()).filter(|place| mean(layer[*place]).is_some()).collect();
    let mut nodes: Vec<usize> = movable.iter().map(|place| layer[*place]).collect();
    nodes.sort_by(|a, b| mean(*a).unwrap_or_default().total_cmp(&mean(*b).unwrap_or_default()));
    for (place, node) in movable.into_iter().zip(nodes) {
        layer[place] = node;
    }
}

/// The places nearest to those wished for (by least squares) that keep the order and the gaps: isotonic
/// regression by pooling neighbours that violate it.
fn spread(wished: &[f64], gaps: &[f64]) -> Vec<f64> {
    let mut offsets = vec![0.0];
    for gap in gaps {
        offsets.push(offsets[offsets.len() - 1] + gap);
    }
    // Blocks of nodes that stand as close as they may: sum of wishes less offset, and their number.
    let mut blocks: Vec<(f64, usize)> = Vec::with_capacity(wished.len());
    for (wish, offset) in wished.iter().zip(&offsets) {
        blocks.push((wish - offset, 1));
        while let [.., (a, na), (b, nb)] = blocks.as_slice() {
            if a / *na as f64 <= b / *nb as f64 {
                break;
            }
            let pooled = (a + b, na + nb);
            blocks.truncate(blocks.len() - 2);
            blocks.push(pooled);
        }
    }
    let means = blocks.into_iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / count as f64, count));
    means.zip(offsets).map(|(mean, offset)| mean + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(layers: &[usize], edges: &[(usize, usize)], start: &[usize]) -> Vec<f32> {
        places(layers, edges, start).columns
    }

    #[test]
    fn an_edge_over_several_layers_passes_beside_the_nodes_between() {
        // 0 over 1 over 2, and an edge from 2 straight to 0.
        let places = places(&[0, 1, 2], &[(1, 0), (2, 1), (2, 0)], &[0, 1, 2]);
        assert!(places.bends[0].is_empty() && places.bends[1].is_empty());
        let [bend] = places.bends[2][..] else { panic!("{:?}", places.bends) };
        assert!((bend - places.columns[1]).abs() > 0.49, "{bend} {:?}", places.columns);
    }

    #[test]
    fn crossed_relations_are_uncrossed() {
        // Two above, two below, joined crosswise.
        let graph_layers = [0, 0, 1, 1];
        let edges = [(2, 1), (3, 0)];
        let columns = columns(&graph_layers, &edges, &[0, 1, 2, 3]);
        assert!((columns[0] < columns[1]) == (columns[3] < columns[2]), "{columns:?}");
    }

    #[test]
    fn a_parent_stands_over_the_middle_of_its_children() {
        let columns = columns(&[0, 1, 1, 1], &[(1, 0), (2, 0), (3, 0)], &[0, 1, 2, 3]);
        assert_eq!(columns, [1.0, 0.0, 1.0, 2.0]);
    }

    #[test]
    fn spreading_keeps_order_and_gaps_and_moves_no_more_than_needed() {
        assert_eq!(spread(&[0.0, 5.0], &[1.0]), [0.0, 5.0]);
        assert_eq!(spread(&[2.0, 2.0], &[1.0]), [1.5, 2.5]);
        assert_eq!(spread(&[3.0, 2.0, 1.0], &[1.0, 1.0]), [1.0, 2.0, 3.0]);
        assert!(spread(&[], &[]).is_empty());
    }

    #[test]
    fn nothing_to_lay_out_gives_nothing() {
        assert!(columns(&[], &[], &[]).is_empty());
    }
}
