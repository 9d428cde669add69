//! Training, validation and test parts, by donor: no donor is in two of them.
//!
//! As the paper does: for each disease, cell type, tissue and stage group the donor with the fewest cells of those who
//! have it is kept for training, so that no category is missing there; then donors in a random order fill validation
//! and test up to a tenth of the cells each (a last donor may bring it to 1.1 times that); the others train.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::strata::mix;
use super::survey::Survey;
use crate::error::Problem;
use crate::{Error, Result};

/// The share of cells that validation and test each aim at.
const HELD_OUT: f64 = 0.10;
/// How far a last donor may overshoot it.
const OVERSHOOT: f64 = 1.1;

/// A part of the data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Learnt from.
    Train,
    /// Watched while learning.
    Valid,
    /// Looked at once, at the end.
    Test,
}

impl Split {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// Its name, also that of its file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

/// The part of each of the `chosen` cells, in their order.
pub(super) fn split(survey: &Survey, chosen: &[u32], seed: u64) -> Vec<Split> {
    let cells = &survey.cells;
    let donor_of = |cell: u32| cells.donor.get(cell as usize).copied().unwrap_or(u32::MAX);
    let mut sizes: HashMap<u32, usize> = HashMap::new();
    for cell in chosen {
        *sizes.entry(donor_of(*cell)).or_default() += 1;
    }
    let size = |donor: u32| sizes.get(&donor).copied().unwrap_or(0);
    // The smallest donor of each category; between equals the name decides, which no order of files changes.
    let mut smallest: BTreeMap<(u8, u32), (usize, &str, u32)> = BTreeMap::new();
    for cell in chosen {
        let at = *cell as usize;
        let donor = donor_of(*cell);
        let candidate = (size(donor), survey.donors.word(donor), donor);
        for (kind, value) in [
            (0, cells.disease.get(at).copied()),
            (1, cells.cell_type.get(at).copied()),
            (2, cells.tissue.get(at).copied()),
            (3, cells.stage.get(at).copied()),
        ] {
            if let Some(value) = value {
                let held = smallest.entry((kind, value)).or_insert(candidate);
                *held = (*held).min(candidate);
            }
        }
    }
    let reserved: BTreeSet<u32> = smallest.values().map(|(_, _, donor)| *donor).collect();
    let mut others: Vec<u32> = sizes.keys().copied().filter(|donor| !reserved.contains(donor)).collect();
    others.sort_by_cached_key(|donor| {
        let name = survey.donors.word(*donor);
        let lot = name.bytes().fold(mix(seed ^ 0x0005_b11d), |lot, byte| mix(lot ^ u64::from(byte)));
        (lot, name)
    });
    let aim = HELD_OUT * chosen.len() as f64;
    let mut parts: HashMap<u32, Split> = HashMap::new();
    let mut filled: BTreeMap<Split, usize> = BTreeMap::new();
    for donor in others {
        for part in [Split::Valid, Split::Test] {
            let held = filled.entry(part).or_default();
            if (*held as f64) < aim && (*held + size(donor)) as f64 <= OVERSHOOT * aim {
                *held += size(donor);
                parts.insert(donor, part);
                break;
            }
        }
    }
    chosen.iter().map(|cell| parts.get(&donor_of(*cell)).copied().unwrap_or(Split::Train)).collect()
}

/// Checks that no donor is in two parts. Knows nothing of how the parts were made.
///
/// # Errors
/// [`Error::Request`] naming the first donor that is.
pub(super) fn check_no_leak<'a>(cells: impl Iterator<Item = (&'a str, Split)>) -> Result<usize> {
    let mut parts: HashMap<&str, Split> = HashMap::new();
    for (donor, part) in cells {
        let first = *parts.entry(donor).or_insert(part);
        if first != part {
            return Err(Error::request(Problem::new(
                format!("donor {donor}"),
                format!("cells in {} and in {}", first.name(), part.name()),
                "all cells of a donor in one part",
                "Nothing was written. Report this as a bug.",
            )));
        }
    }
    Ok(parts.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_donor_in_two_parts_is_found() {
        let good = [("a", Split::Train), ("b", Split::Test), ("a", Split::Train)];
        assert_eq!(check_no_leak(good.into_iter()).unwrap(), 2);
        let bad = good.into_iter().chain([("b", Split::Valid)]);
        let message = check_no_leak(bad).unwrap_err().to_string();
        assert!(message.contains("donor b: found cells in test and in valid"), "{message}");
    }
}
