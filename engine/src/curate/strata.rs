//! Which cells a data set takes: the paper's shares over tissue, cell type, disease and donor.
//!
//! Public data are dominated by a few tissues, types and diseases. The paper (arXiv 2509.24840, Appendix A.1) draws a
//! cohort of several parts, each with its own aim; the shares and caps here are those of its public code. Where that
//! says no more than a cap, a part is spread as evenly over its categories as the cap and the cells that there are
//! allow.
//!
//! A cell is taken once: each part draws from the cells that those before it left. Within a category every cell has a
//! lot, computed from the seed, the part and the cell's number, and the lowest lots are taken, so that the same files,
//! in the same order, and the same seed give the same cells on every machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::labels::NORMAL;
use super::survey::{Cells, Survey, Words};
use crate::Result;
use crate::progress::Watch;

/// The paper's shares of all cells. They add up to 1.
const SHARES: [(Part, f64); 5] = [
    (Part::Distribution, 0.30),
    (Part::CellType, 0.25),
    (Part::Disease, 0.20),
    (Part::Donor, 0.15),
    (Part::RareTissue, 0.10),
];
/// Most of the first part that brain and blood may have.
const TISSUE_CAPS: [(&str, f64); 2] = [("brain", 0.20), ("blood", 0.15)];
/// Most of its part that one cell type may have.
const CELL_TYPE_CAP: f64 = 0.03;
/// Of the disease part: normal donors, COVID-19, and the most that any other disease may have.
const NORMAL_SHARE: f64 = 0.70;
const COVID: &str = "COVID-19";
const COVID_SHARE: f64 = 0.05;
const OTHER_DISEASE_CAP: f64 = 0.03;
/// Most of its part that one donor may have.
const DONOR_CAP: f64 = 0.02;
/// The tenth of tissues with the fewest cells are rare.
const RARE_TISSUES: f64 = 0.10;

/// What a part of the cohort is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Tissues as frequent as they are, brain and blood capped.
    Distribution,
    /// Cell types alike.
    CellType,
    /// Normal donors, COVID-19, other diseases.
    Disease,
    /// Donors alike.
    Donor,
    /// The rarest tissues.
    RareTissue,
    /// What the others could not fill: cells at random.
    Rest,
}

/// What a part asked for and got.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PartReport {
    /// The part.
    pub part: Part,
    /// Its share of the cells asked for.
    pub share: f64,
    /// Cells asked for.
    pub asked: u64,
    /// Cells taken.
    pub taken: u64,
}

/// Chooses `wanted` of the surveyed cells: their numbers, rising. All are taken where there are no more.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(super) fn choose(
    survey: &Survey,
    wanted: usize,
    seed: u64,
    watch: &Watch,
) -> Result<(Vec<u32>, Vec<PartReport>)> {
    let n = survey.cells.len();
    if wanted >= n {
        return Ok(((0..n as u32).collect(), Vec::new()));
    }
    let mut drawing = Drawing { cells: &survey.cells, seed, taken: vec![false; n], n_taken: 0 };
    let mut reports = Vec::new();
    let mut asked_so_far = 0;
    let mut share_so_far = 0.0;
    for (part, share) in SHARES {
        watch.step("Choosing cells", drawing.n_taken as u64, Some(wanted as u64))?;
        // Whole numbers that add up to what is wanted.
        share_so_far += share;
        let asked = (share_so_far * wanted as f64).round() as usize - asked_so_far;
        asked_so_far += asked;
        let before = drawing.n_taken;
        match part {
            Part::Distribution => drawing.distribution(asked, &survey.tissues),
            Part::CellType => {
                drawing.evenly(part, &survey.cells.cell_type, asked, capped(CELL_TYPE_CAP, asked));
            }
            Part::Disease => drawing.disease(asked, &survey.diseases),
            Part::Donor => drawing.evenly(part, &survey.cells.donor, asked, capped(DONOR_CAP, asked)),
            Part::RareTissue => drawing.rare_tissues(asked, survey.tissues.len()),
            Part::Rest => {}
        }
        let taken = (drawing.n_taken - before) as u64;
        reports.push(PartReport { part, share, asked: asked as u64, taken });
    }
    let missing = wanted - drawing.n_taken;
    let everything = vec![0; n];
    drawing.evenly(Part::Rest, &everything, missing, missing);
    reports.push(PartReport {
        part: Part::Rest,
        share: 0.0,
        asked: missing as u64,
        taken: (drawing.n_taken + missing - wanted) as u64,
    });
    let chosen = (0u32..).zip(&drawing.taken).filter(|(_, taken)| **taken).map(|(cell, _)| cell).collect();
    Ok((chosen, reports))
}

/// A cap as a number of cells, at least one.
fn capped(share: f64, asked: usize) -> usize {
    ((share * asked as f64).floor() as usize).max(1)
}

struct Drawing<'a> {
    cells: &'a Cells,
    seed: u64,
    taken: Vec<bool>,
    n_taken: usize,
}

impl Drawing<'_> {
    /// The cells not yet taken, by category.
    fn free(&self, categories: &[u32]) -> BTreeMap<u32, Vec<u32>> {
        let mut free: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for ((cell, category), taken) in (0u32..).zip(categories).zip(&self.taken) {
            if !taken {
                free.entry(*category).or_default().push(cell);
            }
        }
        free
    }

    /// Takes the `count` cells with the lowest lots.
    fn take(&mut self, part: Part, mut cells: Vec<u32>, count: usize) {
        if count < cells.len() {
            let seed = mix(self.seed ^ mix(part as u64 + 1));
            cells.sort_by_cached_key(|cell| (mix(seed ^ u64::from(*cell)), *cell));
            cells.truncate(count);
        }
        for cell in cells {
            if let Some(taken) = self.taken.get_mut(cell as usize).filter(|taken| !**taken) {
                *taken = true;
                self.n_taken += 1;
            }
        }
    }

    /// `asked` cells spread over the categories as evenly as it goes, at most `cap` of each.
    fn evenly(&mut self, part: Part, categories: &[u32], asked: usize, cap: usize) {
        let free = self.free(categories);
        self.evenly_among(part, free, asked, cap);
    }

    fn evenly_among(&mut self, part: Part, free: BTreeMap<u32, Vec<u32>>, asked: usize, cap: usize) {
        let room: Vec<usize> = free.values().map(|cells| cells.len().min(cap)).collect();
        for (cells, quota) in free.into_values().zip(even_quotas(&room, asked)) {
            self.take(part, cells, quota);
        }
    }

    /// Tissues by their natural share, brain and blood capped.
    fn distribution(&mut self, asked: usize, tissues: &Words) {
        let free = self.free(&self.cells.tissue);
        let total: usize = free.values().map(Vec::len).sum();
        let weights: Vec<f64> = free
            .iter()
            .map(|(tissue, cells)| {
                let share = cells.len() as f64 / total.max(1) as f64;
                let cap = TISSUE_CAPS.iter().find(|(name, _)| *name == tissues.word(*tissue));
                cap.map_or(share, |(_, cap)| share.min(*cap))
            })
            .collect();
        let room: Vec<usize> = free.values().map(Vec::len).collect();
        for (cells, quota) in free.into_values().zip(weighted_quotas(&weights, &room, asked)) {
            self.take(Part::Distribution, cells, quota);
        }
    }

    /// Normal donors 70 %, COVID-19 5 %, the other diseases what is left, at most 3 % each.
    fn disease(&mut self, asked: usize, diseases: &Words) {
        let mut free = self.free(&self.cells.disease);
        let mut left = asked;
        for (label, share) in [(NORMAL, NORMAL_SHARE), (COVID, COVID_SHARE)] {
            let cells = diseases.find(label).and_then(|number| free.remove(&number)).unwrap_or_default();
            let quota = (share * asked as f64).round() as usize;
            left = left.saturating_sub(quota);
            self.take(Part::Disease, cells, quota);
        }
        self.evenly_among(Part::Disease, free, left, capped(OTHER_DISEASE_CAP, asked));
    }

    /// The tenth of the tissues with the fewest cells.
    fn rare_tissues(&mut self, asked: usize, n_tissues: usize) {
        let mut counts = vec![0usize; n_tissues];
        for tissue in &self.cells.tissue {
            if let Some(count) = counts.get_mut(*tissue as usize) {
                *count += 1;
            }
        }
        let mut order: Vec<u32> = (0..n_tissues as u32).collect();
        order.sort_by_key(|tissue| (counts.get(*tissue as usize).copied().unwrap_or(0), *tissue));
        order.truncate((RARE_TISSUES * n_tissues as f64).ceil() as usize);
        let mut free = self.free(&self.cells.tissue);
        free.retain(|tissue, _| order.contains(tissue));
        self.evenly_among(Part::RareTissue, free, asked, asked);
    }
}

/// Numbers that add up to `asked`, or to all the room, as alike as the room allows.
fn even_quotas(room: &[usize], asked: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..room.len()).collect();
    order.sort_by_key(|at| (room.get(*at).copied().unwrap_or(0), *at));
    let mut quotas = vec![0; room.len()];
    let mut left = asked;
    // The smallest first: what they cannot take goes to the larger ones.
    for (done, at) in order.iter().enumerate() {
        let fair = left.div_ceil(room.len() - done);
        let quota = fair.min(room.get(*at).copied().unwrap_or(0));
        if let Some(slot) = quotas.get_mut(*at) {
            *slot = quota;
        }
        left -= quota;
    }
    quotas
}

/// Numbers by the weights, none above its room, that add up to `asked` by largest remainders where the room allows.
fn weighted_quotas(weights: &[f64], room: &[usize], asked: usize) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|w| w / total.max(f64::MIN_POSITIVE) * asked as f64).collect();
    let mut quotas: Vec<usize> =
        exact.iter().zip(room).map(|(x, room)| (x.floor() as usize).min(*room)).collect();
    let mut order: Vec<usize> = (0..quotas.len()).collect();
    let rest = |at: &usize| exact.get(*at).map_or(0.0, |x| x.fract());
    order.sort_by(|a, b| rest(b).total_cmp(&rest(a)).then(a.cmp(b)));
    let mut left = asked.saturating_sub(quotas.iter().sum());
    for at in order {
        if left == 0 {
            break;
        }
        if let (Some(quota), Some(room)) = (quotas.get_mut(at), room.get(at))
            && *quota < *room
        {
            *quota += 1;
            left -= 1;
        }
    }
    quotas
}

/// SplitMix64's finaliser (Steele, Lea and Flood 2014): a number for a number, with no pattern left.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_quotas_fill_small_categories_and_share_the_rest() {
        assert_eq!(even_quotas(&[10, 2, 10], 12), [5, 2, 5]);
        assert_eq!(even_quotas(&[10, 2, 10], 11), [5, 2, 4]);
        assert_eq!(even_quotas(&[1, 1], 9), [1, 1]);
        assert_eq!(even_quotas(&[], 9), [0_usize; 0]);
        assert_eq!(even_quotas(&[5, 5], 0), [0, 0]);
    }

    #[test]
    fn weighted_quotas_follow_the_weights_as_far_as_there_is_room() {
        assert_eq!(weighted_quotas(&[0.5, 0.25, 0.25], &[9, 9, 9], 10), [5, 3, 2]);
        assert_eq!(weighted_quotas(&[0.9, 0.1], &[3, 9], 10), [3, 2]);
        assert_eq!(weighted_quotas(&[], &[], 10), [0_usize; 0]);
    }

    #[test]
    fn lots_are_those_of_splitmix64() {
        // Steele, Lea and Flood's generator from the seed 0: its first two numbers.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }
}
