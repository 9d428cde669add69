//! How much a vote for one cell type speaks for another.

use crate::ontology::PageRankSimilarity;

/// The power of the similarity: a vote speaks for near kin (a naive B cell and a B cell) and hardly for distant ones. Chosen
/// on the studies of docs/evaluation.md among 1, 2, 2.5, 3, 3.5, 4, 5, 6 and 8; from 3 to 5 it makes little difference.
const POWER: f64 = 4.0;

/// For all pairs of the types that a model can name, by their places: the fourth power of the PageRank similarity of the
/// voted type to the other (`[types, types]`, row after row). The walk starts at the voted type, so that general types,
/// where many walks pass, are backed a little more than their kinds back each other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kinship {
    n: usize,
    values: Vec<f32>,
}

impl Kinship {
    /// The kinship of types by their terms; one that the ontology does not know has no kin.
    pub(super) fn new(terms: &[Option<&str>], similarity: &PageRankSimilarity) -> Self {
        let of = |a: usize, b: usize| match (terms.get(a), terms.get(b)) {
            _ if a == b => 1.0,
            (Some(Some(a)), Some(Some(b))) => similarity.similarity(b, a).powf(POWER) as f32,
            _ => 0.0,
        };
        let n = terms.len();
        Self { n, values: (0..n * n).map(|pair| of(pair / n, pair % n)).collect() }
    }

    /// How much a vote for `voted` speaks for `cell_type`, 0 to 1.
    pub(super) fn of(&self, cell_type: usize, voted: usize) -> f32 {
        let known = cell_type < self.n && voted < self.n;
        let value = known.then(|| self.values.get(cell_type * self.n + voted).copied()).flatten();
        value.unwrap_or(if cell_type == voted { 1.0 } else { 0.0 })
    }

    /// Types without kin.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { n: 0, values: Vec::new() }
    }

    /// Types that are kin as `values` say, `[n, n]`.
    #[cfg(test)]
    pub(super) fn given(n: usize, values: &[f32]) -> Self {
        Self { n, values: values.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_speaks_for_near_kin_and_hardly_for_others() {
        let similarity = PageRankSimilarity::builtin().unwrap();
        // B cell, naive B cell, hepatocyte, and one that no ontology knows.
        let kinship =
            Kinship::new(&[Some("CL:0000236"), Some("CL:0000788"), Some("CL:0000182"), None], similarity);
        assert_eq!((kinship.of(0, 0), kinship.of(3, 3)), (1.0, 1.0));
        let (near, far) = (kinship.of(0, 1), kinship.of(0, 2));
        assert!(near > 0.02 && far < 0.01 * near, "{near} {far}");
        let expected = similarity.similarity("CL:0000788", "CL:0000236").powi(4) as f32;
        assert!((near - expected).abs() < 1e-6, "the walk starts at the voted type");
        assert!(near > kinship.of(1, 0), "a kind backs what it is a kind of more than the other way round");
        assert_eq!((kinship.of(0, 3), kinship.of(9, 9), kinship.of(9, 1)), (0.0, 1.0, 0.0));
    }
}
