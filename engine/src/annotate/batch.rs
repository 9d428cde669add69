//! Describing cells batch by batch, with the next rows read while a batch is described.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Result;
use crate::anndata::{Matrix, SparseRow};
use crate::describe::{CellReader, Describer, Description, GenerationSettings};
use crate::progress::Watch;

/// How many cells are described at once.
///
/// Bigger batches use the device better; smaller ones show results sooner and let a single description in
/// between. The size follows the time a batch takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    /// Cells of the first batch.
    pub first: usize,
    /// Most cells of any batch.
    pub most: usize,
    /// A batch that took less than half of this is followed by one twice as big, one that took more than twice
    /// this by one half as big.
    pub aim: Duration,
}

impl Default for Batches {
    fn default() -> Self {
        Self { first: 4, most: 32, aim: Duration::from_secs(2) }
    }
}

impl Batches {
    /// The size after a batch of `size` took `time`.
    fn next(self, size: usize, time: Duration) -> usize {
        let next = if time * 2 < self.aim {
            size * 2
        } else if time > self.aim * 2 {
            size / 2
        } else {
            size
        };
        next.clamp(1, self.most.max(1))
    }
}

/// Which telling of a cell a description is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// The first, from the cell's own genes.
    First,
    /// Another, after the cells around it were asked.
    Again,
}

/// Describes `cells` (rows of obs, in the order wanted) and hands over each batch as it is done; then, unless `settings`
/// have each cell judged by itself, those cells again that the cells around them say something of
/// ([`Describer::describe_together`]).
///
/// `earlier` are descriptions of other cells of the data set that were made before, each by itself: they vote too, and are
/// told again too.
///
/// `on_batch` is called with an empty batch now and then, while the cells most like each other are being found: a chance for
/// other work. The batches change nothing but the time. A cell that shows no gene known to the model gets an empty description.
/// Progress counts cells.
///
/// # Errors
/// Whatever reading, describing or `on_batch` fails with; [`crate::Error::Cancelled`] when stopped. Batches handed
/// over before stay valid.
#[allow(clippy::too_many_arguments)] // Each is a different thing; a struct would only name them again.
pub fn annotate_cells(
    describer: &Describer,
    reader: &CellReader,
    matrix: &Matrix,
    cells: &[usize],
    earlier: &[Arc<Description>],
    settings: &GenerationSettings,
    batches: Batches,
    watch: &Watch,
    on_batch: &mut dyn FnMut(Telling, Vec<Arc<Description>>) -> Result<()>,
) -> Result<()> {
    const WHAT: &str = "Describing cells";
    let total = cells.len() as u64;
    // The steps inside a batch would make the count of cells jump.
    let inner = watch.quiet();
    let mut size = batches.first.clamp(1, batches.most.max(1));
    let (mut now, mut later) = cells.split_at(size.min(cells.len()));
    let mut rows = matrix.rows_at(now, watch)?;
    let mut done = 0;
    let mut told = earlier.to_vec();
    watch.step(WHAT, 0, Some(total))?;
    while !now.is_empty() {
        let begun = Instant::now();
        let (next, rest) = later.split_at(size.min(later.len()));
        let batch = std::mem::take(&mut rows);
        let (described, read) = std::thread::scope(|scope| {
            let reading = scope.spawn(|| matrix.rows_at(next, &inner));
            let described = describe(describer, reader, batch, settings, &inner);
            (described, reading.join())
        });
        let described = described?;
        rows = read.unwrap_or_else(|payload| std::panic::resume_unwind(payload))?;
        done += described.len() as u64;
        let described: Vec<Arc<Description>> = described.into_iter().map(Arc::new).collect();
        if !settings.alone {
            told.extend(described.iter().cloned());
        }
        on_batch(Telling::First, described)?;
        watch.step(WHAT, done, Some(total))?;
        size = batches.next(size, begun.elapsed());
        (now, later) = (next, rest);
    }
    describer.describe_together(reader, matrix, &told, settings, watch, &mut |descriptions| {
        on_batch(Telling::Again, descriptions)
    })
}

/// Describes a batch, in its order. A cell without a gene that the model knows gets an empty description: one
/// empty droplet must not put an end to the work on a whole data set.
fn describe(
    describer: &Describer,
    reader: &CellReader,
    batch: Vec<(usize, SparseRow)>,
    settings: &GenerationSettings,
    watch: &Watch,
) -> Result<Vec<Description>> {
    let order = batch.iter().map(|(cell, _)| *cell).collect::<Vec<_>>();
    let readable = batch.into_iter().filter(|(_, row)| reader.can_read(row)).collect::<Vec<_>>();
    let mut described = describer.describe_batch(reader, &readable, settings, watch)?.into_iter().peekable();
    Ok(order
        .into_iter()
        .map(|cell| described.next_if(|description| description.cell == cell).unwrap_or_else(|| empty(cell)))
        .collect())
}

fn empty(cell: usize) -> Description {
    Description {
        cell,
        text: String::new(),
        claims: Vec::new(),
        well_formed: false,
        n_tokens: 0,
        n_genes_read: 0,
        n_context_cells: 0,
        duration_secs: 0.0,
        around: None,
        type_weights: Vec::new(),
        other_types: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_they_are_quick_and_shrink_when_they_are_slow() {
        let batches = Batches { first: 4, most: 16, aim: Duration::from_secs(2) };
        let time = Duration::from_millis;
        assert_eq!(batches.next(4, time(900)), 8);
        assert_eq!(batches.next(16, time(900)), 16);
        assert_eq!(batches.next(8, time(2500)), 8);
        assert_eq!(batches.next(8, time(4100)), 4);
        assert_eq!(batches.next(1, time(9000)), 1);
    }
}
