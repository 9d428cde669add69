//! Folders of 10x Genomics: `matrix.mtx`, `barcodes.tsv` and `features.tsv` (or `genes.tsv`), each plain or gzipped.
//!
//! Text cannot be read by cells or by gene without going through all of it, so that the folder is first turned into a
//! temporary h5ad file, which goes when the data set is closed. Memory does not grow with the matrix: entries that are
//! not ordered by cell (as 10x writes them) are brought in order by reading the text several times.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::frame::{Column, Frame, Values};
use super::rows::SparseRow;
use super::write::NewAnnData;
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

const HEADER: &str = "%%matrixmarket";
/// Entries held while those of some cells are brought in order: 192 MB.
const HELD_ENTRIES: usize = 16 << 20;
/// Lines between two looks at the stop flag.
const LINES_PER_STEP: u64 = 1 << 16;
/// A line of such a file is never longer; what is, is no text.
const LONGEST_LINE: u64 = 1 << 16;
/// More rows or columns than this are damage.
const LARGEST_SIDE: usize = 1 << 28;

/// The files of such a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    matrix: PathBuf,
    barcodes: PathBuf,
    features: PathBuf,
}

/// The files behind a path that is opened as one: those of a 10x or Zarr folder, or the file itself.
///
/// # Errors
/// [`Error::AnnData`] where a 10x folder lacks a part.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if let Some(files) = super::zarr::files_of(path)? {
        return Ok(files);
    }
    Ok(match find(path)? {
        Some(parts) => vec![parts.matrix, parts.barcodes, parts.features],
        None => vec![path.to_path_buf()],
    })
}

/// The parts of the 10x folder at `path`, which is the folder or the matrix in it; `None` for anything else.
pub(super) fn find(path: &Path) -> Result<Option<Parts>> {
    let matrix = if path.is_dir() {
        let mut found: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(|e| Error::io("list the folder", path, e))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|file| stem(file).is_some_and(|name| name.ends_with(".mtx")) && is_matrix_market(file))
            .collect();
        found.sort();
        match found.as_slice() {
            [] => return Ok(None),
            [one] => one.clone(),
            several => {
                let names: Vec<_> = several.iter().filter_map(|p| p.file_name()?.to_str()).collect();
                return Err(refuse(
                    path,
                    "folder",
                    &format!("several matrices ({})", names.join(", ")),
                    "one matrix.mtx with its barcodes and features",
                    "Open the one you want: give its name instead of the folder's.",
                ));
            }
        }
    } else if path.is_file() && is_matrix_market(path) {
        path.to_path_buf()
    } else {
        return Ok(None);
    };
    // Archives put a prefix before all three names, as GSM4115868_matrix.mtx.gz.
    let name = stem(&matrix).unwrap_or_default();
    let prefix = name.strip_suffix(".mtx").and_then(|name| name.strip_suffix("matrix")).unwrap_or_default();
    let folder = matrix.parent().unwrap_or_else(|| Path::new("."));
    let part = |names: &[&str]| {
        let all = || names.iter().flat_map(|name| ["", ".gz"].map(|end| format!("{prefix}{name}{end}")));
        all().map(|name| folder.join(name)).find(|file| file.is_file()).ok_or_else(|| {
            let names: Vec<String> = all().collect();
            refuse(
                &matrix,
                "folder",
                &format!("a MatrixMarket matrix without {} beside it", names.first().map_or("", String::as_str)),
                &format!("one of {}", names.join(", ")),
                "Put the missing file into the folder: 10x Genomics writes matrix, barcodes and features together.",
            )
        })
    };
    let (barcodes, features) = (part(&["barcodes.tsv"])?, part(&["features.tsv", "genes.tsv"])?);
    Ok(Some(Parts { matrix, barcodes, features }))
}

/// The name of a file without `.gz`.
fn stem(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?;
    Some(name.strip_suffix(".gz").unwrap_or(name))
}

fn is_matrix_market(file: &Path) -> bool {
    let mut head = [0; HEADER.len()];
    let read = open(file)
        .and_then(|mut reader| reader.read_exact(&mut head).map_err(|e| Error::io("read", file, e)));
    read.is_ok() && head.to_ascii_lowercase() == HEADER.as_bytes()
}

/// A text file, unpacked where its first bytes are gzip's.
fn open(file: &Path) -> Result<Box<dyn BufRead + Send>> {
    let failed = |e| Error::io("read", file, e);
    let mut reader = BufReader::with_capacity(1 << 18, File::open(file).map_err(failed)?);
    if reader.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(reader))));
    }
    Ok(Box::new(reader))
}

fn refuse(file: &Path, element: &str, found: &str, expected: &str, remedy: &str) -> Error {
    Error::anndata(Problem::new(element, found, expected, remedy).in_file(file))
}

/// Writes the folder as a temporary h5ad file.
pub(super) fn convert(parts: &Parts, watch: &Watch) -> Result<tempfile::TempPath> {
    watch.step("Reading cells and genes", 0, None)?;
    let tables = Tables::read(parts, watch)?;
    let failed = |e| Error::io("make a temporary copy of", &parts.matrix, e);
    let mut builder = tempfile::Builder::new();
    let place = builder.prefix("cell2text-10x-").suffix(".h5ad").tempfile().map_err(failed)?.into_temp_path();
    if !write_in_order(parts, &tables, &place, watch)? {
        write_sorted(parts, &tables, &place, watch)?;
    }
    Ok(place)
}

/// Cells and genes of the folder.
struct Tables {
    obs: Frame,
    var: Frame,
}

impl Tables {
    fn read(parts: &Parts, watch: &Watch) -> Result<Self> {
        let mut cells = columns_of(&parts.barcodes, 1, watch)?.into_iter();
        let mut genes = columns_of(&parts.features, 3, watch)?.into_iter();
        let ids = genes.next().unwrap_or_default();
        // A file of one column has names alone; older ones have ids and symbols.
        let symbols = genes.next().unwrap_or_else(|| ids.clone());
        let further = [("gene_ids", Some(ids)), ("feature_types", genes.next())];
        let columns = further.into_iter().filter_map(|(name, texts)| {
            let values = Values::Text(texts?.into_iter().map(Some).collect());
            Some(Column { name: name.to_owned(), values })
        });
        let frame = |name: &str, index, columns| Frame { index_name: name.to_owned(), index, columns };
        Ok(Self {
            obs: frame("barcode", cells.next().unwrap_or_default(), Vec::new()),
            var: frame("gene", symbols, columns.collect()),
        })
    }

    /// Begins the file with both tables.
    fn begin(&self, place: &Path) -> Result<NewAnnData> {
        let new = NewAnnData::create(place)?;
        new.frame("obs", &self.obs, &[])?;
        new.frame("var", &self.var, &[])?;
        Ok(new)
    }
}

/// Writes entries that come cell by cell. `false`, with nothing written, where they do not.
fn write_in_order(parts: &Parts, tables: &Tables, place: &Path, watch: &Watch) -> Result<bool> {
    let mut text = Entries::open(&parts.matrix, tables)?;
    let new = tables.begin(place)?;
    let mut rows = new.unpacked_rows("X", tables.var.len())?;
    let mut cell = 0;
    let mut pairs = Vec::new();
    while let Some(entry) = text.next(watch)? {
        if entry.cell < cell {
            return Ok(false);
        }
        while cell < entry.cell {
            rows.push(&SparseRow::from_pairs(std::mem::take(&mut pairs), &mut 0))?;
            cell += 1;
        }
        pairs.push((entry.gene, entry.value));
    }
    while cell < tables.obs.len() {
        rows.push(&SparseRow::from_pairs(std::mem::take(&mut pairs), &mut 0))?;
        cell += 1;
    }
    rows.finish()?;
    new.finish()?;
    Ok(true)
}

/// Writes entries in any order: those of some cells at a time, each time from the beginning of the text.
fn write_sorted(parts: &Parts, tables: &Tables, place: &Path, watch: &Watch) -> Result<()> {
    let n_cells = tables.obs.len();
    let mut counts = vec![0usize; n_cells];
    let mut text = Entries::open(&parts.matrix, tables)?;
    while let Some(entry) = text.next(watch)? {
        if let Some(count) = counts.get_mut(entry.cell) {
            *count += 1;
        }
    }
    let new = tables.begin(place)?;
    let mut rows = new.unpacked_rows("X", tables.var.len())?;
    let mut first = 0;
    while first < n_cells {
        let mut held = 0;
        let fit = counts.iter().skip(first).take_while(|count| {
            held += **count;
            held <= HELD_ENTRIES
        });
        let last = first + fit.count().max(1);
        let mut window: Vec<Vec<(u32, f32)>> =
            counts.iter().skip(first).take(last - first).map(|count| Vec::with_capacity(*count)).collect();
        let mut text = Entries::open(&parts.matrix, tables)?;
        while let Some(entry) = text.next(watch)? {
            if let Some(pairs) = entry.cell.checked_sub(first).and_then(|at| window.get_mut(at)) {
                pairs.push((entry.gene, entry.value));
            }
        }
        for pairs in window {
            rows.push(&SparseRow::from_pairs(pairs, &mut 0))?;
        }
        first = last;
    }
    rows.finish()?;
    new.finish()
}

/// The first columns of a table without a heading, at most `most`.
fn columns_of(file: &Path, most: usize, watch: &Watch) -> Result<Vec<Vec<String>>> {
    let mut reader = open(file)?;
    let mut columns: Vec<Vec<String>> = Vec::new();
    let mut line = Vec::new();
    let mut row = 0;
    while read_line(&mut *reader, &mut line, file)? {
        row += 1;
        if row % LINES_PER_STEP == 0 {
            watch.check()?;
        }
        let text = super::store::text_of(&line);
        let mut fields = text.trim_end_matches(['\r', '\n']).split('\t');
        if columns.is_empty() {
            let n = fields.clone().count().min(most);
            columns.resize_with(n, Vec::new);
        }
        for column in &mut columns {
            column.push(fields.next().unwrap_or_default().to_owned());
        }
    }
    Ok(columns)
}

/// Reads a line; `false` at the end.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>, file: &Path) -> Result<bool> {
    line.clear();
    let read = reader.take(LONGEST_LINE).read_until(b'\n', line).map_err(|e| {
        refuse(
            file,
            "file",
            &format!("text that cannot be read ({e})"),
            "a whole file",
            "The download or copy failed: get the file again.",
        )
    })?;
    Ok(read > 0)
}

/// One entry of the matrix.
#[derive(Debug, Clone, Copy)]
struct Entry {
    cell: usize,
    gene: u32,
    value: f32,
}

/// The entries of a matrix in text, one after the other.
struct Entries {
    file: PathBuf,
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
    /// Cells and genes.
    sides: (usize, usize),
    /// Whether the columns of the text are cells, as 10x has them.
    by_columns: bool,
    done: u64,
    total: u64,
}

impl Entries {
    fn open(file: &Path, tables: &Tables) -> Result<Self> {
        let mut entries = Self {
            file: file.to_path_buf(),
            reader: open(file)?,
            line: Vec::new(),
            number: 0,
            sides: (tables.obs.len(), tables.var.len()),
            by_columns: true,
            done: 0,
            total: 0,
        };
        entries.next_line()?;
        let header = super::store::text_of(&entries.line).to_lowercase();
        let words: Vec<&str> = header.split_whitespace().collect();
        let readable = matches!(
            words.as_slice(),
            ["%%matrixmarket", "matrix", "coordinate", "integer" | "real", "general", ..]
        );
        if !readable {
            return Err(entries.wrong(
                &format!("the header \"{}\"", header.trim()),
                "%%MatrixMarket matrix coordinate integer (or real) general",
            ));
        }
        while entries.next_line()? && entries.line.first() == Some(&b'%') {}
        let mut numbers = entries.line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let mut next = || std::str::from_utf8(numbers.next()?).ok()?.parse::<u64>().ok();
        let (Some(rows), Some(columns), Some(total)) = (next(), next(), next()) else {
            return Err(entries.wrong("no three numbers", "the numbers of genes, cells and entries"));
        };
        let (n_cells, n_genes) = (entries.sides.0 as u64, entries.sides.1 as u64);
        entries.by_columns = (rows, columns) == (n_genes, n_cells);
        let is_turned = (rows, columns) == (n_cells, n_genes);
        if !(entries.by_columns || is_turned) || rows.max(columns) > LARGEST_SIDE as u64 {
            return Err(entries.wrong(
                &format!("{rows} rows and {columns} columns"),
                &format!("{n_genes} genes by {n_cells} cells, as features and barcodes have lines"),
            ));
        }
        entries.total = total;
        Ok(entries)
    }

    fn next_line(&mut self) -> Result<bool> {
        self.number += 1;
        read_line(&mut *self.reader, &mut self.line, &self.file)
    }

    /// The next entry; `None` behind the last.
    fn next(&mut self, watch: &Watch) -> Result<Option<Entry>> {
        if self.done.is_multiple_of(LINES_PER_STEP) {
            watch.step("Reading the matrix", self.done, Some(self.total))?;
        }
        if self.done == self.total {
            return Ok(None);
        }
        while self.next_line()? {
            let words = self.line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let mut words = words.map(|word| std::str::from_utf8(word).unwrap_or("?"));
            let Some(first) = words.next() else { continue };
            let place = |word: Option<&str>| word?.parse::<usize>().ok()?.checked_sub(1);
            let (row, column) = (place(Some(first)), place(words.next()));
            let value = words.next().and_then(|word| word.parse::<f32>().ok());
            let (Some(row), Some(column), Some(value)) = (row, column, value) else {
                return Err(self.wrong("no entry", "row, column and value, as \"31 1 4\""));
            };
            let (cell, gene) = if self.by_columns { (column, row) } else { (row, column) };
            if cell >= self.sides.0 || gene >= self.sides.1 {
                return Err(self.wrong(
                    &format!("gene {} of cell {}", gene + 1, cell + 1),
                    &format!("a place among {} genes and {} cells", self.sides.1, self.sides.0),
                ));
            }
            self.done += 1;
            return Ok(Some(Entry { cell, gene: gene as u32, value }));
        }
        Err(self.wrong(&format!("the end after {} entries", self.done), &format!("{} entries", self.total)))
    }

    fn wrong(&self, found: &str, expected: &str) -> Error {
        refuse(
            &self.file,
            &format!("line {}", self.number),
            found,
            expected,
            "The file is damaged or cut short: get it again from its source.",
        )
    }
}
