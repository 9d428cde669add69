//! Judging the cells of a data set together, once each was described.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::claims::{ClaimKind, Description, OtherType};
use super::context::TaughtTexts;
use super::describer::{CellReader, Describer};
use super::surroundings::{Agreement, RESOLUTIONS, Surroundings, TypeClaim, Votes, agree, cells_asked};
use crate::analysis::{EmbedSettings, LogNormalised, alike_cells};
use crate::anndata::Matrix;
use crate::model::{GenerationSettings, Guidance, TextForm};
use crate::progress::Watch;
use crate::{Error, Result};

/// Cells told anew at once.
const BATCH: usize = 32;
/// Descriptions handed over at once that keep their text.
const KEPT_AT_ONCE: usize = 4096;

/// How long to wait before looking again whether other work is done.
const PAUSE: Duration = Duration::from_millis(10);

/// Who gets descriptions that took the cells around into account. It is also called without any, again and again, while
/// the cells that are alike are being found: whoever needs the model meanwhile need not wait for that.
pub type Told<'a> = dyn FnMut(Vec<Arc<Description>>) -> Result<()> + 'a;

impl Describer {
    /// Asks the cells around each of `described` about its type ([`Surroundings`]), and hands over its description anew:
    /// with another text where they agree on another type, with their surety in any case. Nothing is handed over where
    /// the cells are too few, the matrix allows no neighbours, or the model's texts keep to no grammar.
    ///
    /// # Errors
    /// What reading, describing or `on_told` fails with; [`Error::Cancelled`].
    pub fn describe_together(
        &self,
        reader: &CellReader,
        matrix: &Matrix,
        described: &[Arc<Description>],
        settings: &GenerationSettings,
        watch: &Watch,
        on_told: &mut Told<'_>,
    ) -> Result<()> {
        let (Some(taught), Some(grammar)) = (self.taught(), self.grammar()) else { return Ok(()) };
        let claimed: Vec<_> = described
            .iter()
            .filter_map(|description| Some((description, votes(taught, description)?)))
            .collect();
        let Some(asked) = cells_asked(claimed.len()).filter(|_| settings.form == TextForm::Known) else {
            return Ok(());
        };
        let cells: Vec<usize> = claimed.iter().map(|(description, _)| description.cell).collect();
        let values = match LogNormalised::new(matrix, reader.scale(), None) {
            Ok(values) => values.among(&cells),
            // Standard scores, which have lost what neighbours are found by.
            Err(_) => return Ok(()),
        };
        let embed = EmbedSettings { n_neighbours: asked, ..EmbedSettings::default() };
        let alike = beside(|| alike_cells(&values, &embed, &RESOLUTIONS, watch), || on_told(Vec::new()));
        let alike = match alike {
            // Nothing varies.
            Err(Error::Request(_)) => return Ok(()),
            alike => alike?,
        };
        let (claimed, votes): (Vec<_>, Vec<_>) =
            claimed.into_iter().map(|(description, votes)| ((description, votes.own.0), Some(votes))).unzip();
        let mut kept = Vec::new();
        let mut anew: BTreeMap<usize, Vec<(usize, Agreement)>> = BTreeMap::new();
        for (at, agreement) in agree(&votes, &alike, taught.families()).into_iter().enumerate() {
            let (Some(agreement), Some((description, own))) = (agreement, claimed.get(at)) else {
                continue;
            };
            if agreement.cell_type == *own {
                let others = self.other_types(&agreement.others);
                kept.push(Arc::new(judged(Description::clone(description), &agreement, others, None)));
            } else {
                anew.entry(agreement.cell_type).or_default().push((at, agreement));
            }
        }
        for chunk in kept.chunks(KEPT_AT_ONCE) {
            on_told(chunk.to_vec())?;
        }
        drop(kept);
        let (total, mut done) = (anew.values().map(Vec::len).sum::<usize>() as u64, 0);
        let quiet = watch.quiet();
        for (cell_type, members) in anew {
            let mut leaning = grammar.told(taught.cell_type_slot(), cell_type);
            let context = reader.context_for(settings);
            if let Some(context) = context {
                leaning = leaning.with(&context.leaning);
            }
            for batch in members.chunks(BATCH) {
                watch.step("Telling cells as those around them", done, Some(total))?;
                let numbers: Vec<usize> =
                    batch.iter().filter_map(|(at, _)| cells.get(*at).copied()).collect();
                let rows = matrix.rows_at(&numbers, &quiet)?;
                let guidance =
                    Guidance { leaning: Some(&leaning), weighed: None, settled: taught.pathway_slots() };
                let told = self.describe_batch_in(reader, &rows, context, guidance, settings, &quiet)?;
                let told = told.into_iter().zip(batch).map(|(description, (at, agreement))| {
                    let alone = claimed.get(*at).map(|(alone, _)| &***alone);
                    let others = self.other_types(&agreement.others);
                    Arc::new(judged(description, agreement, others, alone))
                });
                on_told(told.collect())?;
                done += batch.len() as u64;
            }
        }
        watch.step("Telling cells as those around them", done, Some(total))
    }
}

/// Does `work` on a thread of its own and calls `meanwhile` until it is done, or until that fails.
fn beside<T: Send>(
    work: impl FnOnce() -> Result<T> + Send,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<T> {
    std::thread::scope(|scope| {
        let working = scope.spawn(work);
        let mut met = Ok(());
        while !working.is_finished() {
            if met.is_ok() {
                met = meanwhile();
            }
            std::thread::sleep(PAUSE);
        }
        let done = working.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
        met.and(done)
    })
}

/// What `description` votes for, where it claims a type that the model can name.
fn votes(taught: &TaughtTexts, description: &Description) -> Option<Votes> {
    let own = taught.type_claim(description)?;
    let types: Vec<TypeClaim> =
        description.type_weights.iter().map(|&(place, weight)| (usize::from(place), weight)).collect();
    Some(Votes { own, types: if types.is_empty() { vec![own] } else { types } })
}

/// `description` as sure of its type as the cells around it are, with the `others` that they find likely; `alone` is what it
/// was before, where it tells another type.
fn judged(
    mut description: Description,
    agreement: &Agreement,
    others: Vec<OtherType>,
    alone: Option<&Description>,
) -> Description {
    let of_type =
        |d: &Description| d.claim(ClaimKind::CellType).map(|claim| (claim.value.clone(), claim.probability));
    let (value, alone_probability) = alone.map_or_else(|| of_type(&description), of_type).unwrap_or_default();
    description.around = Some(Surroundings {
        cells: agreement.nearest.cells,
        agreeing: agreement.nearest.agreeing,
        cells_of_cluster: agreement.cluster.cells,
        agreeing_of_cluster: agreement.cluster.agreeing,
        alone: alone.map(|_| value),
        alone_probability,
    });
    description.other_types = others;
    if let Some(claim) = description.claims.iter_mut().find(|claim| claim.kind == ClaimKind::CellType) {
        claim.probability = agreement.probability;
    }
    description
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_served_while_long_work_runs_and_a_failure_of_theirs_is_not_lost() {
        let (ready, wait) = std::sync::mpsc::channel();
        let mut served = 0;
        let serve = || {
            served += 1;
            if served == 3 {
                ready.send(()).unwrap();
            }
            Ok(())
        };
        // The work ends only after it was waited for.
        assert_eq!(beside(move || Ok(wait.recv().map_or(0, |()| 7)), serve).unwrap(), 7);
        assert!(served >= 3);
        let mut calls = 0;
        let fail = || {
            calls += 1;
            Err(Error::Cancelled)
        };
        let (more, wait) = std::sync::mpsc::channel::<()>();
        let slow = move || {
            let _ = wait.recv_timeout(Duration::from_millis(60));
            Ok(())
        };
        assert!(beside(slow, fail).unwrap_err().is_cancelled());
        assert_eq!(calls, 1, "who failed is not asked again");
        drop(more);
    }
}
