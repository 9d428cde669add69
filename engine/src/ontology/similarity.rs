//! How near two cell types are: the personalised PageRank similarity of the Cell2Text paper.
//!
//! `is_a` relations among the terms in use are taken as an undirected graph. The PageRank of all terms is computed
//! for a walker who returns to the source term with probability 0.1 at each step; the similarity is
//! `ln(1 + rank / 1e-4)`, brought to 0…1 over the whole matrix, with 1 on the diagonal. The iteration is
//! networkx's `pagerank`: uniform start, an end when the ranks change by less than 1e-6 a node in sum.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::prelude::*;

use super::graph::Ontology;
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

/// The probability of walking on.
const DAMPING: f64 = 0.9;
/// Ranks below this hardly count.
const TAU: f64 = 1e-4;
/// The change in ranks, a node, at which the iteration ends.
const TOLERANCE: f64 = 1e-6;
const MAX_STEPS: usize = 100;
/// Sources walked together: the graph is read once for all of them.
const LANES: usize = 16;
/// Rows of the matrix that are kept, of 25 kB each for the Cell Ontology.
const MAX_ROWS: usize = 512;

/// The similarity of all pairs of terms of one ontology; rows are computed when asked for.
#[derive(Debug)]
pub struct PageRankSimilarity {
    node_of: HashMap<String, usize>,
    graph: Graph,
    /// The least and the greatest value of `ln(1 + rank / tau)` over the whole matrix.
    range: (f64, f64),
    rows: Mutex<HashMap<usize, Arc<[f64]>>>,
}

/// The distribution of the similarity over all ordered pairs, as Table 6 of the paper gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Table6 {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub median: f64,
    /// The standard deviation.
    pub sd: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// The undirected graph, by neighbours.
#[derive(Debug)]
struct Graph {
    starts: Vec<usize>,
    neighbours: Vec<u32>,
    /// One over the number of neighbours.
    share: Vec<f64>,
}

impl PageRankSimilarity {
    /// The similarity on the built-in ontology, prepared once.
    ///
    /// # Errors
    /// As [`Ontology::builtin`].
    pub fn builtin() -> Result<&'static Self> {
        static BUILTIN: OnceLock<PageRankSimilarity> = OnceLock::new();
        let ontology = Ontology::builtin()?;
        Ok(BUILTIN.get_or_init(|| Self::new(ontology)))
    }

    /// Prepares the similarity on `ontology`: walks from every term to learn the range over the whole matrix.
    /// About a second for the Cell Ontology.
    pub fn new(ontology: &Ontology) -> Self {
        Self::prepare(ontology, &Watch::silent()).unwrap_or_else(|_| Self::with_range(ontology, (0.0, 1.0)))
    }

    /// As [`PageRankSimilarity::new`], with progress.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn prepare(ontology: &Ontology, watch: &Watch) -> Result<Self> {
        let mut similarity = Self::with_range(ontology, (0.0, 1.0));
        let parts = similarity.graph.walk_all(watch, |_, ranks| {
            ranks.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |range, rank| {
                (range.0.min(*rank), range.1.max(*rank))
            })
        })?;
        let least = parts.iter().map(|range| range.0).fold(f64::INFINITY, f64::min);
        let greatest = parts.iter().map(|range| range.1).fold(f64::NEG_INFINITY, f64::max);
        if least.is_finite() && greatest.is_finite() {
            similarity.range = (scale(least), scale(greatest));
        }
        Ok(similarity)
    }

    /// The similarity with a range known from before (see [`PageRankSimilarity::range`]), without the walk over
    /// all terms.
    pub fn with_range(ontology: &Ontology, range: (f64, f64)) -> Self {
        let used = |at: usize| !ontology.terms()[at].deprecated;
        let mut pairs: Vec<(usize, usize)> = (0..ontology.len())
            .filter(|at| used(*at))
            .flat_map(|at| ontology.parents_of(at).iter().map(move |parent| (at, *parent)))
            .filter(|(_, parent)| used(*parent))
            .flat_map(|(a, b)| [(a, b), (b, a)])
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        // Terms without any relation are no part of the graph.
        let mut nodes: Vec<usize> = pairs.iter().map(|(a, _)| *a).collect();
        nodes.dedup();
        let number: HashMap<usize, usize> = nodes.iter().enumerate().map(|(node, at)| (*at, node)).collect();
        let mut starts = Vec::with_capacity(nodes.len() + 1);
        let mut neighbours = Vec::with_capacity(pairs.len());
        let mut last = None;
        for (a, b) in pairs {
            if last != Some(a) {
                starts.push(neighbours.len());
                last = Some(a);
            }
            neighbours.extend(number.get(&b).map(|b| *b as u32));
        }
        starts.push(neighbours.len());
        let share = starts.windows(2).map(|pair| 1.0 / (pair[1] - pair[0]) as f64).collect();
        Self {
            node_of: nodes.iter().enumerate().map(|(node, at)| (ontology.id(*at).to_owned(), node)).collect(),
            graph: Graph { starts, neighbours, share },
            range,
            rows: Mutex::default(),
        }
    }

    /// The least and the greatest logarithm over the whole matrix, by which the similarity is scaled.
    pub fn range(&self) -> (f64, f64) {
        self.range
    }

    /// Terms in the graph.
    pub fn len(&self) -> usize {
        self.node_of.len()
    }

    /// Whether the graph holds no term.
    pub fn is_empty(&self) -> bool {
        self.node_of.is_empty()
    }

    /// How near `prediction` comes to `target`, 0…1; the walk starts at the prediction. 1 for the same term, 0
    /// where one of them is not in the graph.
    pub fn similarity(&self, prediction: &str, target: &str) -> f64 {
        match (self.node_of.get(prediction), self.node_of.get(target)) {
            (Some(a), Some(b)) if a == b => 1.0,
            (Some(a), Some(b)) => self.row(*a).get(*b).map_or(0.0, |rank| self.scaled(*rank)),
            _ => 0.0,
        }
    }

    /// The PageRank of `term` for a walker who returns to `source`; `None` where one is not in the graph.
    pub fn rank(&self, source: &str, term: &str) -> Option<f64> {
        let (source, term) = (self.node_of.get(source)?, self.node_of.get(term)?);
        self.row(*source).get(*term).copied()
    }

    /// The distribution over all ordered pairs of terms, the diagonal included, with percentiles interpolated
    /// between neighbours. Holds the whole matrix in single precision (39 MB for the Cell Ontology) meanwhile.
    ///
    /// # Errors
    /// [`Error::Ontology`] when there are no pairs.
    pub fn summary(&self) -> Result<Table6> {
        let rows = self.graph.walk_all(&Watch::silent(), |source, ranks| {
            ranks
                .iter()
                .enumerate()
                .map(|(node, rank)| if node == source { 1.0 } else { self.scaled(*rank) as f32 })
                .collect::<Vec<f32>>()
        })?;
        let count = (self.len() * self.len()) as f64;
        let sum = |value: fn(f64) -> f64| {
            rows.iter().map(|row| row.iter().map(|x| value(f64::from(*x))).sum::<f64>()).sum::<f64>()
        };
        let mean = sum(|x| x) / count;
        let sd = (sum(|x| x * x) / count - mean * mean).max(0.0).sqrt();
        let mut values: Vec<f32> = rows.into_iter().flatten().collect();
        if values.is_empty() {
            return Err(Error::ontology(Problem::new(
                "the is_a relations",
                "none",
                "relations between terms",
                "Choose a Cell Ontology file.",
            )));
        }
        let mut percentile = |share: f64| {
            let at = share * (values.len() - 1) as f64;
            let (_, low, above) = values.select_nth_unstable_by(at.floor() as usize, f32::total_cmp);
            let low = f64::from(*low);
            let next = above.iter().copied().min_by(f32::total_cmp).map_or(low, f64::from);
            low + (next - low) * at.fract()
        };
        Ok(Table6 { mean, median: percentile(0.5), sd, p95: percentile(0.95), p99: percentile(0.99) })
    }

    fn scaled(&self, rank: f64) -> f64 {
        let (least, greatest) = self.range;
        if greatest > least { ((scale(rank) - least) / (greatest - least)).clamp(0.0, 1.0) } else { 0.0 }
    }

    fn row(&self, source: usize) -> Arc<[f64]> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get(&source) {
            return row.clone();
        }
        let row: Arc<[f64]> = self.graph.walk(&[source]).pop().unwrap_or_default().into();
        if rows.len() >= MAX_ROWS {
            rows.clear();
        }
        rows.insert(source, row.clone());
        row
    }
}

fn scale(rank: f64) -> f64 {
    (rank / TAU).ln_1p()
}

impl Graph {
    fn len(&self) -> usize {
        self.share.len()
    }

    /// Walks from every node, in parallel, and gives what `of` makes of each source's ranks, in the order of the
    /// nodes.
    fn walk_all<T: Send>(&self, watch: &Watch, of: impl Fn(usize, &[f64]) -> T + Sync) -> Result<Vec<T>> {
        let sources: Vec<usize> = (0..self.len()).collect();
        let done = std::sync::atomic::AtomicU64::new(0);
        let parts: Vec<Vec<T>> = sources
            .par_chunks(LANES)
            .map(|sources| {
                let count = done.fetch_add(sources.len() as u64, std::sync::atomic::Ordering::Relaxed);
                watch.step("Comparing cell types", count, Some(self.len() as u64))?;
                Ok(sources
                    .iter()
                    .zip(self.walk(sources))
                    .map(|(source, ranks)| of(*source, &ranks))
                    .collect())
            })
            .collect::<Result<_>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// The ranks of all nodes for each of at most [`LANES`] sources.
    fn walk(&self, sources: &[usize]) -> Vec<Vec<f64>> {
        let nodes = self.len();
        let mut ranks = vec![[1.0 / nodes as f64; LANES]; nodes];
        let mut passed = vec![[0.0; LANES]; nodes];
        let mut next = ranks.clone();
        let mut results: Vec<Option<Vec<f64>>> = vec![None; sources.len()];
        for step in 1..=MAX_STEPS {
            for ((passed, ranks), share) in passed.iter_mut().zip(&ranks).zip(&self.share) {
                for lane in 0..LANES {
                    passed[lane] = ranks[lane] * share;
                }
            }
            let mut change = [0.0; LANES];
            for (node, next) in next.iter_mut().enumerate() {
                let mut sum = [0.0; LANES];
                for neighbour in &self.neighbours[self.starts[node]..self.starts[node + 1]] {
                    let passed = &passed[*neighbour as usize];
                    for lane in 0..LANES {
                        sum[lane] += passed[lane];
                    }
                }
                for lane in 0..LANES {
                    next[lane] = DAMPING * sum[lane];
                }
            }
            for (lane, source) in sources.iter().enumerate() {
                next[*source][lane] += 1.0 - DAMPING;
            }
            for (next, ranks) in next.iter().zip(&ranks) {
                for lane in 0..LANES {
                    change[lane] += (next[lane] - ranks[lane]).abs();
                }
            }
            std::mem::swap(&mut ranks, &mut next);
            for (lane, result) in results.iter_mut().enumerate() {
                if result.is_none() && (change[lane] < nodes as f64 * TOLERANCE || step == MAX_STEPS) {
                    *result = Some(ranks.iter().map(|ranks| ranks[lane]).collect());
                }
            }
            if results.iter().all(Option::is_some) {
                break;
            }
        }
        results.into_iter().map(Option::unwrap_or_default).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{reference_file, shared_file};

    fn reference() -> Option<(serde_json::Value, PageRankSimilarity)> {
        let reference = reference_file("ontology/pagerank.json")?;
        let ontology = shared_file("data/ontology/CL-ontology-v2025-07-30.json.zst")?;
        let reference = serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
        Some((reference, PageRankSimilarity::new(&Ontology::read(&ontology).unwrap())))
    }

    #[test]
    fn reference_pagerank_agrees_with_networkx() {
        let Some((reference, similarity)) = reference() else { return };
        assert_eq!(similarity.len() as u64, reference["nodes"].as_u64().unwrap());
        assert_eq!(similarity.graph.neighbours.len() as u64, 2 * reference["edges"].as_u64().unwrap());
        for (source, ranks) in reference["personalized_pagerank_top40"].as_object().unwrap() {
            for (term, rank) in ranks.as_object().unwrap() {
                let (ours, theirs) = (similarity.rank(source, term).unwrap(), rank.as_f64().unwrap());
                assert!((ours - theirs).abs() < 1e-9, "{source} {term}: {ours} {theirs}");
            }
        }
        for pair in reference["similarity_pairs"].as_array().unwrap() {
            let (a, b) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
            let (ours, theirs) = (similarity.similarity(a, b), pair[2].as_f64().unwrap());
            assert!((ours - theirs).abs() < 1e-5, "{a} {b}: {ours} {theirs}");
        }
    }

    #[test]
    fn reference_pagerank_distribution_reproduces_table_6_of_the_paper() {
        let Some((reference, similarity)) = reference() else { return };
        let table = similarity.summary().unwrap();
        let ours = [table.mean, table.median, table.sd, table.p95, table.p99];
        for (name, ours) in ["mean", "median", "sd", "p95", "p99"].into_iter().zip(ours) {
            let computed = reference["computed_table6"][name].as_f64().unwrap();
            let paper = reference["paper_table6"][name].as_f64().unwrap();
            assert!((ours - computed).abs() < 6e-5, "{name}: {ours} {computed}");
            assert!((ours - paper).abs() < 2e-3, "{name}: {ours} {paper}");
        }
    }

    #[test]
    fn similarity_is_1_for_the_same_term_0_for_unknown_ones_and_falls_with_distance() {
        let similarity = PageRankSimilarity::builtin().unwrap();
        assert_eq!(similarity.similarity("CL:0000576", "CL:0000576"), 1.0);
        assert_eq!(similarity.similarity("CL:0000576", "CL:x"), 0.0);
        assert_eq!(similarity.similarity("CL:x", "CL:x"), 0.0);
        let near = similarity.similarity("CL:0000576", "CL:0000860");
        let far = similarity.similarity("CL:0000576", "CL:0000540");
        assert!(near > 0.5 && far < 0.2 && near < 1.0 && far >= 0.0, "{near} {far}");
        let ontology = Ontology::builtin().unwrap();
        let cheap = PageRankSimilarity::with_range(ontology, similarity.range());
        assert_eq!(cheap.similarity("CL:0000576", "CL:0000860"), near);
    }

    #[test]
    fn preparing_stops_when_told_and_an_ontology_without_relations_has_no_pairs() {
        let watch = Watch::silent();
        watch.cancel().cancel();
        assert!(
            PageRankSimilarity::prepare(Ontology::builtin().unwrap(), &watch).unwrap_err().is_cancelled()
        );
        let terms = vec![crate::ontology::Term { id: "A:1".to_owned(), ..Default::default() }];
        let source = super::super::formats::Source { version: String::new(), terms };
        let alone = PageRankSimilarity::new(&Ontology::assemble(source).unwrap());
        assert!(alone.is_empty() && alone.summary().is_err());
    }
}
