//! The nearest neighbours of every cell.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::descent;
use super::pca::Points;
use crate::progress::Watch;
use crate::{Error, Result};

pub(super) const WHAT: &str = "Finding neighbours";
/// Up to this many cells every pair is looked at; beyond, neighbours are found by descent.
pub(super) const EXACT_UP_TO: usize = 20_000;
/// Cells whose distances are computed by one matrix product, and cells they are compared with at a time.
const QUERIES: usize = 128;
const AGAINST: usize = 1024;

/// The nearest neighbours of every cell, itself first.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Neighbours of each cell, with itself.
    pub(super) k: usize,
    /// Row after row, nearest first, `[cells * k]`.
    pub(super) ids: Vec<u32>,
    /// Euclidean distances of the same, `[cells * k]`.
    pub(super) distances: Vec<f32>,
}

impl Neighbours {
    /// The nearest neighbours of `cell`, itself first; none for a cell that is not there.
    pub fn of(&self, cell: usize) -> &[u32] {
        self.ids.chunks_exact(self.k.max(1)).nth(cell).unwrap_or_default()
    }

    /// From the numbers of the neighbours of each cell, `k` each, nearest first and the cell itself among them. Their
    /// distances count as zero.
    #[cfg(test)]
    pub(crate) fn from_ids(k: usize, ids: Vec<u32>) -> Self {
        Self { k, distances: vec![0.0; ids.len()], ids }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len() / self.k.max(1)
    }

    pub(super) fn row(&self, cell: usize) -> (&[u32], &[f32]) {
        let span = cell * self.k..(cell + 1) * self.k;
        (&self.ids[span.clone()], &self.distances[span])
    }

    /// From lists of squared distances without the cells themselves.
    pub(super) fn from_lists(lists: &[Vec<Near>], k: usize) -> Self {
        let mut ids = Vec::with_capacity(lists.len() * k);
        let mut distances = Vec::with_capacity(lists.len() * k);
        for (cell, list) in (0u32..).zip(lists) {
            ids.push(cell);
            distances.push(0.0);
            ids.extend(list.iter().take(k - 1).map(|near| near.id));
            distances.extend(list.iter().take(k - 1).map(|near| near.squared.sqrt()));
        }
        Self { k, ids, distances }
    }
}

/// A cell near another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    /// Squared distance.
    pub squared: f32,
    pub id: u32,
}

impl Near {
    /// Nearer first; of equally near ones the first in the file.
    pub(super) fn before(&self, other: &Self) -> bool {
        (self.squared, self.id) < (other.squared, other.id)
    }
}

/// Puts `near` into `list`, which holds the `room` nearest, nearest first. Whether it was near enough.
pub(super) fn insert(list: &mut Vec<Near>, room: usize, near: Near) -> bool {
    if list.len() == room && list.last().is_none_or(|last| !near.before(last)) {
        return false;
    }
    let at = list.partition_point(|held| held.before(&near));
    if list.len() == room {
        list.pop();
    }
    list.insert(at, near);
    true
}

/// Squared Euclidean distance.
pub(super) fn squared_distance(x: &[f32], y: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0f32; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
    for (x, y) in xs.zip(ys) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += (x - y) * (x - y);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The `k` nearest of each point, itself among them: exactly up to [`EXACT_UP_TO`] points, by descent beyond. The same
/// points and seed give the same neighbours, whatever the number of threads.
///
/// # Errors
/// [`Error::Cancelled`].
pub(super) fn neighbours(points: &Points, k: usize, seed: u64, watch: &Watch) -> Result<Neighbours> {
    let k = k.min(points.len()).max(1);
    if points.len() <= EXACT_UP_TO {
        exact(points, k, watch)
    } else {
        descent::descend(points, k, seed, watch)
    }
}

/// Looks at every pair: blocks of inner products, then the distances of the nearest.
pub(super) fn exact(points: &Points, k: usize, watch: &Watch) -> Result<Neighbours> {
    let (n, n_dims) = (points.len(), points.n_dims);
    let k = k.min(n).max(1);
    let norms = (0..n).map(|cell| points.row(cell).iter().map(|x| x * x).sum::<f32>()).collect::<Vec<_>>();
    // Distances by products are rounded: some more are kept and looked at again.
    let room = (k + 8).min(n.saturating_sub(1));
    let done = AtomicUsize::new(0);
    let lists = (0..n.div_ceil(QUERIES))
        .into_par_iter()
        .map(|block| {
            let queries = block * QUERIES..n.min((block + 1) * QUERIES);
            let before = done.fetch_add(queries.len(), Ordering::Relaxed);
            watch.step(WHAT, before as u64, Some(n as u64))?;
            let mut lists = vec![Vec::with_capacity(room + 1); queries.len()];
            let rows = |range: std::ops::Range<usize>| {
                let values = &points.values[range.start * n_dims..range.end * n_dims];
                MatRef::from_row_major_slice(values, range.len(), n_dims)
            };
            let of_queries = rows(queries.clone());
            for start in (0..n).step_by(AGAINST) {
                watch.check()?;
                let against = start..n.min(start + AGAINST);
                // A column a query, so that one query's products lie together.
                let mut products = Mat::<f32>::zeros(against.len(), queries.len());
                let of_others = rows(against.clone());
                matmul(products.as_mut(), Accum::Replace, of_others, of_queries.transpose(), -2.0, Par::Seq);
                for ((column, cell), list) in queries.clone().enumerate().zip(&mut lists) {
                    let mut farthest = farthest_of(list, room);
                    for (other, product) in against.clone().zip(products.col_as_slice(column)) {
                        let squared = norms[other] + product;
                        if squared < farthest && other != cell {
                            insert(list, room, Near { squared, id: other as u32 });
                            farthest = farthest_of(list, room);
                        }
                    }
                }
            }
            for (cell, list) in queries.zip(&mut lists) {
                for near in &mut *list {
                    near.squared = squared_distance(points.row(cell), points.row(near.id as usize));
                }
                list.sort_by(|x, y| x.squared.total_cmp(&y.squared).then(x.id.cmp(&y.id)));
            }
            Ok(lists)
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(Neighbours::from_lists(&lists.into_iter().flatten().collect::<Vec<_>>(), k))
}

/// What a product must stay below to enter `list`. The query's own norm, the same for all, is left out of both.
fn farthest_of(list: &[Near], room: usize) -> f32 {
    match list.last() {
        Some(last) if list.len() == room => last.squared,
        _ => f32::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Cells in clumps, as cell types are.
    pub(crate) fn clumps(n: usize, n_dims: usize) -> Points {
        let mut rng = StdRng::seed_from_u64(3);
        let centres = (0..12 * n_dims).map(|_| rng.random::<f32>() * 8.0).collect::<Vec<_>>();
        let mut values = Vec::new();
        for cell in 0..n {
            for dim in 0..n_dims {
                values.push(centres[cell % 12 * n_dims + dim] + rng.random::<f32>() + rng.random::<f32>());
            }
        }
        Points { n_dims, values }
    }

    fn recall(found: &Neighbours, exact: &Neighbours) -> f64 {
        let hits = (0..exact.len())
            .map(|cell| {
                let (wanted, _) = exact.row(cell);
                found.row(cell).0.iter().filter(|id| wanted.contains(id)).count()
            })
            .sum::<usize>();
        hits as f64 / exact.ids.len() as f64
    }

    #[test]
    fn every_pair_is_looked_at() {
        let points = clumps(400, 11);
        let found = exact(&points, 15, &Watch::silent()).unwrap();
        for cell in [0, 127, 128, 399] {
            let mut all = (0..400u32)
                .map(|id| (squared_distance(points.row(cell), points.row(id as usize)), id))
                .collect::<Vec<_>>();
            all.sort_by(|x, y| x.partial_cmp(y).unwrap());
            let (ids, distances) = found.row(cell);
            assert!(all.iter().map(|(_, id)| id).take(15).eq(ids), "{cell}");
            assert_eq!((ids[0], distances[0]), (cell as u32, 0.0));
            assert!((distances[14] - all[14].0.sqrt()).abs() < 1e-5);
        }
    }

    #[test]
    fn descent_finds_nearly_all_that_an_exact_search_finds_and_always_the_same() {
        let points = clumps(3_000, 20);
        let exact = exact(&points, 15, &Watch::silent()).unwrap();
        let found = descent::descend(&points, 15, 5, &Watch::silent()).unwrap();
        let share = recall(&found, &exact);
        assert!(share > 0.97, "{share}");
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let again = alone.install(|| descent::descend(&points, 15, 5, &Watch::silent()).unwrap());
        assert_eq!(found, again, "one thread finds what two find");
    }

    #[test]
    fn fewer_cells_than_neighbours_are_neighbours_all() {
        let points = clumps(4, 3);
        let found = neighbours(&points, 15, 0, &Watch::silent()).unwrap();
        assert_eq!((found.k, found.len()), (4, 4));
        let (ids, _) = found.row(2);
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        assert_eq!(ids, [0, 1, 2, 3]);
    }
}
