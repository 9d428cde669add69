//! The two sets of a comparison, checked.

use super::CompareRequest;
use crate::error::Problem;
use crate::{Error, Result};

/// Fewest cells of a set: below, nothing can be said of how values vary.
const FEWEST: usize = 2;

/// Which set each cell is in.
#[derive(Debug)]
pub(super) struct Sets {
    /// 0 for the first set, 1 for the second, [`Sets::NEITHER`], `[n_obs]`.
    pub of: Vec<u8>,
    /// Cells of the first set.
    pub n_a: usize,
    /// Cells of the second set.
    pub n_b: usize,
}

impl Sets {
    pub(super) const NEITHER: u8 = u8::MAX;

    /// # Errors
    /// [`Error::Request`] where a set is too small, names a cell beyond `n_obs`, or shares one with the other.
    pub(super) fn new(request: &CompareRequest, n_obs: usize) -> Result<Self> {
        let rest = if request.b.is_none() { 1 } else { Self::NEITHER };
        let mut of = vec![rest; n_obs];
        let mut put = |cell: usize, set: u8| -> Result<()> {
            let Some(place) = of.get_mut(cell) else {
                return Err(Error::request(Problem::new(
                    format!("cell {cell}"),
                    "no such row of obs",
                    format!("a row below {n_obs}"),
                    "Choose cells of the open data set.",
                )));
            };
            if set == 1 && *place == 0 {
                return Err(Error::request(Problem::new(
                    "the two sets of cells",
                    format!("cell {cell} in both"),
                    "no cell in both",
                    "Take the cells they share out of one of them.",
                )));
            }
            *place = set;
            Ok(())
        };
        for cell in request.a.iter() {
            put(*cell, 0)?;
        }
        for cell in request.b.iter().flat_map(|b| b.iter()) {
            put(*cell, 1)?;
        }
        let n_a = of.iter().filter(|set| **set == 0).count();
        let n_b = of.iter().filter(|set| **set == 1).count();
        for (name, n) in [("the first set of cells", n_a), ("the second set of cells", n_b)] {
            if n < FEWEST {
                return Err(Error::request(Problem::new(
                    name,
                    if n == 0 { "no cell".to_owned() } else { "a single cell".to_owned() },
                    format!("at least {FEWEST}"),
                    "Choose more cells.",
                )));
            }
        }
        Ok(Self { of, n_a, n_b })
    }

    /// The set of a cell.
    pub(super) fn set_of(&self, cell: usize) -> Option<usize> {
        match self.of.get(cell) {
            Some(0) => Some(0),
            Some(1) => Some(1),
            _ => None,
        }
    }
}
