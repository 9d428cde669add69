//! Looking a data set over: what cells all over it say of its tissues, before each is judged.

use super::claims::Description;
use super::context::{CONTEXT_CELLS, LEAST_CONTEXT_CELLS};
use super::describer::{CellReader, Describer};
use crate::Result;
use crate::anndata::{Matrix, SparseRow};
use crate::model::{GenerationSettings, Guidance};
use crate::progress::Watch;

/// Cells described at once.
const BATCH: usize = 32;

/// A data set that is being looked over. Work that was stopped half way goes on from where it was.
#[derive(Debug)]
pub struct LookOver {
    cells: Vec<(usize, SparseRow)>,
    alone: Vec<Description>,
}

impl Describer {
    /// Has `reader` judge cells with what those all over its data set, the rows of `matrix`, say together, unless it does
    /// so already. Nothing changes where there are too few of them, or where the model's bundle does not say how often it
    /// was taught what.
    ///
    /// # Errors
    /// What reading rows and describing give.
    pub fn look_over(&self, reader: &mut CellReader, matrix: &Matrix, watch: &Watch) -> Result<()> {
        match self.begin_look_over(reader, matrix, watch)? {
            Some(mut begun) => self.go_on_looking(reader, &mut begun, BATCH, watch),
            None => Ok(()),
        }
    }

    /// Chooses and reads the cells from which [`Describer::go_on_looking`] finds what `reader` judges cells with. `None`
    /// where nothing is to be found: it was, or there are too few cells, or the model does not say what it was taught.
    ///
    /// # Errors
    /// What reading rows gives; [`crate::Error::Cancelled`].
    pub fn begin_look_over(
        &self,
        reader: &CellReader,
        matrix: &Matrix,
        watch: &Watch,
    ) -> Result<Option<LookOver>> {
        if reader.context.is_some() || self.taught().is_none() || self.grammar().is_none() {
            return Ok(None);
        }
        let n = matrix.n_rows();
        let spread: Vec<usize> = (0..n).step_by(n.div_ceil(CONTEXT_CELLS).max(1)).collect();
        let mut cells = matrix.rows_at(&spread, watch)?;
        cells.retain(|(_, row)| reader.can_read(row));
        Ok((cells.len() >= LEAST_CONTEXT_CELLS).then_some(LookOver { cells, alone: Vec::new() }))
    }

    /// Describes the cells of `begun`, `at_once` of them at a time, and has `reader` judge cells with what they say
    /// together. Stopped half way, it can be called again with the same `begun`: at most `at_once` cells are done anew.
    ///
    /// # Errors
    /// As [`Describer::describe_batch`].
    pub fn go_on_looking(
        &self,
        reader: &mut CellReader,
        begun: &mut LookOver,
        at_once: usize,
        watch: &Watch,
    ) -> Result<()> {
        let (Some(taught), Some(grammar)) = (self.taught(), self.grammar()) else { return Ok(()) };
        let settings = GenerationSettings::default();
        let (total, quiet) = (Some(begun.cells.len() as u64), watch.quiet());
        while let Some(rest) = begun.cells.get(begun.alone.len()..).filter(|rest| !rest.is_empty()) {
            watch.step("Looking over the data set", begun.alone.len() as u64, total)?;
            let batch = rest.get(..at_once.max(1)).unwrap_or(rest);
            begun.alone.extend(self.describe_batch_in(
                reader,
                batch,
                None,
                // Only tissues are asked for: types need no weighing.
                Guidance::default(),
                &settings,
                &quiet,
            )?);
        }
        reader.context = Some(taught.context(&begun.alone, grammar));
        Ok(())
    }
}
