//! The second pass: the chosen cells are read, brought to one list of genes and scored, block by block, into a folder
//! of work that a later run goes on from.
//!
//! A block holds up to 1,024 cells of one file. It is written whole and then entered into the journal with its hash;
//! a run that was killed loses at most the block it was at. What a block holds depends on the plan alone, so that a
//! run in pieces gives the same bytes as one in one go.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::labels::kept_values;
use super::survey::{Survey, gene_ids_of};
use crate::anndata::{AnnData, Matrix, SparseRow};
use crate::error::Problem;
use crate::files::{sha256_hex, write_atomically};
use crate::pathways::{PathwayScorer, active_sets};
use crate::progress::Watch;
use crate::{Error, Result};

/// Cells of a block.
const BLOCK_CELLS: usize = 1024;
/// Highest sets kept of each cell: all of the Hallmark sets.
const BEST_SETS: usize = 64;
/// The journal's name.
const JOURNAL: &str = "journal.jsonl";

/// One chosen cell, read and scored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BlockCell {
    /// Its number in the survey.
    pub(super) cell: u32,
    /// Its name in its file.
    pub(super) name: String,
    /// Its values in the kept columns.
    pub(super) values: Vec<String>,
    /// Linear values over the survey's genes.
    pub(super) row: SparseRow,
    /// The sets active in it.
    pub(super) active: Vec<u32>,
    /// The highest sets, the highest first.
    pub(super) best: Vec<(u32, f32)>,
}

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    Plan { plan: String },
    Block { block: usize, sha256: String },
}

/// The folder of work.
#[derive(Debug)]
pub(super) struct Work {
    folder: PathBuf,
    /// Hashes of the blocks that are done.
    done: BTreeMap<usize, String>,
}

impl Work {
    /// Opens or begins the work for `plan` in `folder`.
    ///
    /// # Errors
    /// [`Error::Request`] where the folder holds work for another plan; [`Error::Io`].
    pub(super) fn open(folder: &Path, plan: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder of work", folder, e))?;
        let mut work = Self { folder: folder.to_path_buf(), done: BTreeMap::new() };
        let journal = work.journal();
        if !journal.exists() {
            work.note(&Entry::Plan { plan: plan.to_owned() })?;
            return Ok(work);
        }
        let text =
            std::fs::read_to_string(&journal).map_err(|e| Error::io("read the journal", &journal, e))?;
        // A line cut short by a crash ends the journal.
        let mut entries = text.split_inclusive('\n').map_while(|line| {
            line.strip_suffix('\n').and_then(|line| serde_json::from_str::<Entry>(line).ok())
        });
        match entries.next() {
            Some(Entry::Plan { plan: found }) if found == plan => {}
            // The crash came before the first line was out.
            None => {}
            Some(_) => {
                return Err(Error::request(
                    Problem::new(
                        JOURNAL,
                        "work begun for other files or settings",
                        "work for this very data set",
                        "Repeat the command as it was, choose another folder, or remove this one.",
                    )
                    .in_file(folder),
                ));
            }
        }
        let mut kept = String::new();
        for entry in entries {
            if let Entry::Block { block, sha256 } = entry {
                kept.push_str(&line(&Entry::Block { block, sha256: sha256.clone() })?);
                work.done.insert(block, sha256);
            }
        }
        // What is appended must not continue half a line.
        let head = line(&Entry::Plan { plan: plan.to_owned() })?;
        write_atomically(&journal, format!("{head}{kept}").as_bytes())?;
        Ok(work)
    }

    fn journal(&self) -> PathBuf {
        self.folder.join(JOURNAL)
    }

    fn note(&self, entry: &Entry) -> Result<()> {
        let path = self.journal();
        let write = |text: String| {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()
        };
        write(line(entry)?).map_err(|e| Error::io("write the journal", &path, e))
    }

    fn block_path(&self, block: usize) -> PathBuf {
        self.folder.join(format!("block-{block:06}.gz"))
    }

    fn put(&mut self, block: usize, cells: &[BlockCell]) -> Result<()> {
        let path = self.block_path(block);
        let packed = pack(cells).map_err(|e| Error::io("pack a block", &path, e))?;
        write_atomically(&path, &packed)?;
        let sha256 = sha256_hex(&packed);
        self.note(&Entry::Block { block, sha256: sha256.clone() })?;
        self.done.insert(block, sha256);
        Ok(())
    }

    /// Whether a block is done and its file is the one that was written.
    fn has(&self, block: usize) -> bool {
        let Some(hash) = self.done.get(&block) else { return false };
        std::fs::read(self.block_path(block)).is_ok_and(|bytes| sha256_hex(&bytes) == *hash)
    }

    /// The cells of a block.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Request`] when the block is damaged.
    pub(super) fn read(&self, block: usize) -> Result<Vec<BlockCell>> {
        let path = self.block_path(block);
        let bytes = std::fs::read(&path).map_err(|e| Error::io("read a block of work", &path, e))?;
        unpack(&bytes).ok_or_else(|| {
            Error::request(
                Problem::new(
                    "block",
                    "damaged data",
                    "what was written",
                    "Remove the file and repeat the command.",
                )
                .in_file(&path),
            )
        })
    }
}

fn line(entry: &Entry) -> Result<String> {
    let text = serde_json::to_string(entry).map_err(|e| {
        Error::request(Problem::new(JOURNAL, e.to_string(), "a line of JSON", "Report this as a bug."))
    })?;
    Ok(format!("{text}\n"))
}

/// Where the blocks of `chosen` lie: none crosses from one file to another.
pub(super) fn block_ranges(survey: &Survey, chosen: &[u32]) -> Vec<Range<usize>> {
    let file = |cell: &u32| survey.cells.file.get(*cell as usize).copied();
    let mut ranges = Vec::new();
    let mut start = 0;
    for of_file in chosen.chunk_by(|a, b| file(a) == file(b)) {
        let end = start + of_file.len();
        while start < end {
            let next = end.min(start + BLOCK_CELLS);
            ranges.push(start..next);
            start = next;
        }
    }
    ranges
}

/// Reads and scores the blocks that are not done yet.
///
/// # Errors
/// What reading the files fails with; [`Error::Cancelled`], and then the blocks so far are kept.
pub(super) fn read_blocks(
    survey: &Survey,
    chosen: &[u32],
    ranges: &[Range<usize>],
    scorer: &PathwayScorer,
    work: &mut Work,
    watch: &Watch,
) -> Result<()> {
    let total = Some(chosen.len() as u64);
    let mut open: Option<(u32, OpenSource)> = None;
    for (block, range) in ranges.iter().enumerate() {
        watch.step("Reading and scoring cells", range.start as u64, total)?;
        if work.has(block) {
            continue;
        }
        let cells = chosen.get(range.clone()).unwrap_or_default();
        let Some(file) = cells.first().and_then(|cell| survey.cells.file.get(*cell as usize).copied()) else {
            continue;
        };
        if open.as_ref().is_none_or(|(number, _)| *number != file) {
            // The old file's labels go before the new one's come.
            drop(open.take());
            open = Some((file, OpenSource::open(survey, file, watch)?));
        }
        if let Some((_, source)) = &open {
            let cells = source.read(survey, cells, scorer, watch)?;
            work.put(block, &cells)?;
        }
    }
    watch.step("Reading and scoring cells", chosen.len() as u64, total)
}

/// One source file, with its columns brought to the survey's genes.
struct OpenSource {
    data: AnnData,
    matrix: Matrix,
    scale: crate::anndata::Scale,
    genes: Vec<Option<u32>>,
}

impl OpenSource {
    fn open(survey: &Survey, file: u32, watch: &Watch) -> Result<Self> {
        let source = survey.files.get(file as usize).ok_or_else(|| {
            Error::request(Problem::new("file", file.to_string(), "a surveyed file", "Report this as a bug."))
        })?;
        let data = AnnData::open(&source.path, watch)?;
        let genes = gene_ids_of(&data, &source.matrix)?
            .into_iter()
            .map(|id| id.and_then(|id| survey.genes.binary_search(&id).ok()).map(|at| at as u32))
            .collect();
        let matrix = data.matrix(&source.matrix)?;
        Ok(Self { data, matrix, scale: source.scale, genes })
    }

    fn read(
        &self,
        survey: &Survey,
        cells: &[u32],
        scorer: &PathwayScorer,
        watch: &Watch,
    ) -> Result<Vec<BlockCell>> {
        let row_of = |cell: &u32| survey.cells.row.get(*cell as usize).map_or(0, |row| *row as usize);
        let mut rows: Vec<SparseRow> = Vec::with_capacity(cells.len());
        for run in cells.chunk_by(|a, b| row_of(a) + 1 == row_of(b)) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                rows.extend(self.matrix.rows_watched(row_of(first)..row_of(last) + 1, watch)?);
            }
        }
        let obs = self.data.obs();
        let read = |(cell, row): (&u32, SparseRow)| {
            let row = to_genes(&row.linearise(self.scale), &self.genes);
            let scores = scorer.score(&row);
            let active = active_sets(&scores);
            let at = row_of(cell);
            BlockCell {
                cell: *cell,
                name: obs.index.get(at).cloned().unwrap_or_default(),
                values: kept_values(obs, at),
                row,
                active,
                best: best(&scores),
            }
        };
        Ok(cells.par_iter().zip(rows).map(read).collect())
    }
}

/// The highest sets, the highest first, ties in the order of the sets; none that scores 0.
fn best(scores: &[f32]) -> Vec<(u32, f32)> {
    let mut best: Vec<(u32, f32)> = (0u32..).zip(scores.iter().copied()).filter(|(_, s)| *s > 0.0).collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    best.truncate(BEST_SETS);
    best
}

/// A row over other columns: those of one gene summed, those of none left out.
fn to_genes(row: &SparseRow, genes: &[Option<u32>]) -> SparseRow {
    let mut pairs: Vec<(u32, f32)> =
        row.iter().filter_map(|(column, value)| Some(((*genes.get(column as usize)?)?, value))).collect();
    pairs.sort_by_key(|(gene, _)| *gene);
    let mut columns: Vec<u32> = Vec::with_capacity(pairs.len());
    let mut values: Vec<f32> = Vec::with_capacity(pairs.len());
    for (gene, value) in pairs {
        match values.last_mut() {
            Some(sum) if columns.last() == Some(&gene) => *sum += value,
            _ => {
                columns.push(gene);
                values.push(value);
            }
        }
    }
    SparseRow { columns, values }
}

fn pack(cells: &[BlockCell]) -> std::io::Result<Vec<u8>> {
    let mut to = GzEncoder::new(Vec::new(), Compression::fast());
    let number = |to: &mut GzEncoder<Vec<u8>>, n: usize| to.write_all(&(n as u32).to_le_bytes());
    number(&mut to, cells.len())?;
    for cell in cells {
        number(&mut to, cell.cell as usize)?;
        number(&mut to, 1 + cell.values.len())?;
        for text in std::iter::once(&cell.name).chain(&cell.values) {
            number(&mut to, text.len())?;
            to.write_all(text.as_bytes())?;
        }
        number(&mut to, cell.row.len())?;
        for (column, value) in cell.row.iter() {
            to.write_all(&column.to_le_bytes())?;
            to.write_all(&value.to_le_bytes())?;
        }
        number(&mut to, cell.active.len())?;
        for set in &cell.active {
            number(&mut to, *set as usize)?;
        }
        number(&mut to, cell.best.len())?;
        for (set, score) in &cell.best {
            to.write_all(&set.to_le_bytes())?;
            to.write_all(&score.to_le_bytes())?;
        }
    }
    to.finish()
}

fn unpack(bytes: &[u8]) -> Option<Vec<BlockCell>> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).ok()?;
    let mut from = Reader(&plain);
    let n = from.number()?;
    let mut cells = Vec::with_capacity(n.min(BLOCK_CELLS));
    for _ in 0..n {
        let cell = from.number()? as u32;
        let texts: Option<Vec<String>> = (0..from.number()?).map(|_| from.text()).collect();
        let mut texts = texts?.into_iter();
        let name = texts.next()?;
        let pairs: Option<Vec<(u32, f32)>> = (0..from.number()?).map(|_| from.pair()).collect();
        let (columns, values) = pairs?.into_iter().unzip();
        let active: Option<Vec<u32>> = (0..from.number()?).map(|_| from.number().map(|n| n as u32)).collect();
        let best: Option<Vec<(u32, f32)>> = (0..from.number()?).map(|_| from.pair()).collect();
        cells.push(BlockCell {
            cell,
            name,
            values: texts.collect(),
            row: SparseRow { columns, values },
            active: active?,
            best: best?,
        });
    }
    from.0.is_empty().then_some(cells)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn word(&mut self) -> Option<[u8; 4]> {
        let (word, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(*word)
    }

    fn number(&mut self) -> Option<usize> {
        self.word().map(|word| u32::from_le_bytes(word) as usize)
    }

    fn pair(&mut self) -> Option<(u32, f32)> {
        Some((u32::from_le_bytes(self.word()?), f32::from_le_bytes(self.word()?)))
    }

    fn text(&mut self) -> Option<String> {
        let (text, rest) = {
            let len = self.number()?;
            self.0.split_at_checked(len)?
        };
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> Vec<BlockCell> {
        (0..3)
            .map(|i| BlockCell {
                cell: i,
                name: format!("cell {i}"),
                values: vec!["β".into(), String::new()],
                row: SparseRow {
                    columns: (0..i).collect(),
                    values: (0..i).map(|v| v as f32 + 0.5).collect(),
                },
                active: vec![i],
                best: vec![(i, 0.25)],
            })
            .collect()
    }

    #[test]
    fn a_block_is_read_as_it_was_written_and_half_of_one_is_refused() {
        let packed = pack(&cells()).unwrap();
        assert_eq!(unpack(&packed).unwrap(), cells());
        assert_eq!(packed, pack(&cells()).unwrap());
        assert!(unpack(&packed[..packed.len() / 2]).is_none());
        assert!(unpack(b"no block").is_none());
    }

    #[test]
    fn work_goes_on_after_a_line_cut_short_and_refuses_another_plan() {
        let folder = tempfile::tempdir().unwrap();
        let mut work = Work::open(folder.path(), "plan a").unwrap();
        work.put(0, &cells()).unwrap();
        work.put(1, &cells()).unwrap();
        let journal = folder.path().join(JOURNAL);
        let text = std::fs::read_to_string(&journal).unwrap();
        std::fs::write(&journal, &text[..text.len() - 5]).unwrap();
        let mut work = Work::open(folder.path(), "plan a").unwrap();
        assert!(work.has(0) && !work.has(1));
        work.put(1, &cells()).unwrap();
        assert_eq!(std::fs::read_to_string(&journal).unwrap(), text);
        std::fs::write(folder.path().join("block-000000.gz"), "damaged").unwrap();
        assert!(!Work::open(folder.path(), "plan a").unwrap().has(0));
        let message = Work::open(folder.path(), "plan b").unwrap_err().to_string();
        assert!(message.contains("begun for other files or settings"), "{message}");
    }

    #[test]
    fn columns_of_one_gene_are_summed_and_those_of_none_left_out() {
        let row = SparseRow { columns: vec![0, 1, 2, 3], values: vec![1.0, 2.0, 4.0, 8.0] };
        let mapped = to_genes(&row, &[Some(5), None, Some(1), Some(5)]);
        assert_eq!((mapped.columns, mapped.values), (vec![1, 5], vec![4.0, 9.0]));
    }
}
