//! Reading AnnData files (.h5ad) out of core, and writing them.
//!
//! [`AnnData::open`] reads what grows with the number of cells or genes: obs, var and the names of everything else.
//! Matrices stay in the file and are read by rows or by column ([`Matrix`]). Today's encoding is read, and the
//! layouts of anndata before 0.8 and before 0.7, which still ship with packages of the field.
//!
//! ```no_run
//! use engine::anndata::AnnData;
//! use engine::progress::Watch;
//!
//! let data = AnnData::open("cells.h5ad".as_ref(), &Watch::silent())?;
//! let choice = data.choose_matrix()?;
//! let counts = data.matrix(&choice.key)?;
//! let cell = counts.row(0)?;
//! assert!(cell.total() >= 0.0, "{}", choice.reason);
//! # Ok::<(), engine::Error>(())
//! ```
//!
//! What a file lacks or holds in an unknown form is noted in [`AnnData::findings`] and the rest still opens. The file
//! is opened read-only and never written.

mod cache_folder;
mod choose;
mod chunks;
mod colours;
mod columns;
mod compressed;
mod csc_rows;
mod encode;
mod filters;
mod first_look;
mod foreign;
mod frame;
mod gene_build;
mod gene_cache;
mod gene_names;
mod header;
mod heaps;
mod identify;
mod legacy;
mod matrix;
mod mtx;
mod obsm;
mod packed;
mod rows;
mod scan;
mod store;
mod stored;
mod survey;
#[cfg(test)]
pub(crate) mod tests;
mod text_claims;
mod verify;
mod write;
mod write_back;
mod zarr;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;

pub use cache_folder::{CacheEntry, CacheFolder};
pub use choose::{MatrixChoice, Scale};
pub use colours::parse_colour;
pub use encode::TextWriter;
pub use first_look::{FirstLook, first_label, has_few_values, rank_of_embedding};
pub use frame::{Column, Frame, LabelCodes, SharedFrame, Values};
pub use gene_cache::{CacheKey, GeneCache};
pub use gene_names::symbol_column;
pub use matrix::{Layout, Matrix};
pub use mtx::files_of;
pub use obsm::DenseF32;
pub use rows::{SparseRow, sum_repeated};
pub use scan::Gathered;
pub use write::{NewAnnData, RowWriter};
pub use write_back::FileCopy;

use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};
use foreign::Foreign;
use header::Header;
use store::{Kind, Store};
use zarr::Zarr;

/// Rows that may be numbered when a file names none.
const MOST_NUMBERED: usize = 20_000_000;

/// Names a matrix of the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatrixKey {
    /// `X`.
    X,
    /// `raw/X`, with its own genes.
    Raw,
    /// `layers/<name>`, with the genes of `X`.
    Layer(String),
}

impl fmt::Display for MatrixKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X => f.write_str("X"),
            Self::Raw => f.write_str("raw/X"),
            Self::Layer(name) => write!(f, "layers/{name}"),
        }
    }
}

impl FromStr for MatrixKey {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes; `raw` and `raw.X` stand for `raw/X`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "X" => Ok(Self::X),
            "raw/X" | "raw.X" | "raw" => Ok(Self::Raw),
            _ => match text.strip_prefix("layers/") {
                Some(name) if !name.is_empty() => Ok(Self::Layer(name.to_owned())),
                _ => Err(Error::request(Problem::new(
                    "matrix",
                    format!("`{text}`"),
                    "X, raw/X or layers/<name>",
                    "Name one of the matrices that the file has.",
                ))),
            },
        }
    }
}

/// Who is shown the first look at a file.
type OnLook<'a> = Option<&'a mut dyn FnMut(Option<FirstLook>) -> Result<()>>;

/// Something noticed while opening a file, which still opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The element it is about, as `obs/batch`.
    pub element: String,
    /// What was noticed and what it means.
    pub message: String,
}

/// An open AnnData file. `Send + Sync`; the file stays open, read-only.
#[derive(Debug)]
pub struct AnnData {
    store: Store,
    /// How the file lies, where it is no AnnData.
    foreign: Option<Foreign>,
    obs: SharedFrame,
    var: Frame,
    raw_var: Option<Frame>,
    matrices: Vec<MatrixKey>,
    obsm_names: Vec<String>,
    colours: BTreeMap<String, Vec<[u8; 3]>>,
    organism: Option<String>,
    findings: Vec<Note>,
    /// Size and time of the file when it was opened.
    stamp: Option<write_back::Stamp>,
    /// Its SHA-256, once somebody asked for it.
    sha256: OnceLock<String>,
    /// The temporary file that a folder was turned into. It goes when the data set is closed, after `store`.
    unpacked: Option<tempfile::TempPath>,
}

impl AnnData {
    /// Opens `path` and reads obs, var and the names of matrices and embeddings.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::AnnData`] when it is no AnnData file (with what it is
    /// instead) or has no cells to speak of; [`Error::Cancelled`].
    pub fn open(path: &Path, watch: &Watch) -> Result<Self> {
        Self::open_with(path, watch, None)
    }

    /// The same; `on_look` is called once before all of that is read, with one map and the labels that colour it where
    /// the file has them at hand.
    ///
    /// # Errors
    /// As [`AnnData::open`], and what `on_look` fails with.
    pub fn open_looking(
        path: &Path,
        watch: &Watch,
        on_look: &mut dyn FnMut(Option<FirstLook>) -> Result<()>,
    ) -> Result<Self> {
        Self::open_with(path, watch, Some(on_look))
    }

    fn open_with(path: &Path, watch: &Watch, on_look: OnLook<'_>) -> Result<Self> {
        if let Some(zarr) = Zarr::find(path)? {
            let store = Store::of_zarr(zarr, path);
            return Self::open_store(store, write_back::stamp(path), watch, on_look);
        }
        let Some(parts) = mtx::find(path)? else { return Self::open_file(path, None, watch, on_look) };
        let unpacked = mtx::convert(&parts, watch)?;
        let mut data = Self::open_file(&unpacked, Some(path), watch, on_look)?;
        data.unpacked = Some(unpacked);
        Ok(data)
    }

    /// Opens the HDF5 file at `path`, called `shown` in messages.
    fn open_file(path: &Path, shown: Option<&Path>, watch: &Watch, on_look: OnLook<'_>) -> Result<Self> {
        let stamp = write_back::stamp(path);
        identify::check_is_hdf5(path)?;
        heaps::check_file(path)?;
        let file = store::open_file(path).map_err(|e| identify::cannot_open(path, &e))?;
        let store = Store::new(file, path);
        let store = match shown {
            Some(shown) => store.shown_as(shown),
            None => store,
        };
        Self::open_store(store, stamp, watch, on_look)
    }

    fn open_store(
        store: Store,
        stamp: Option<write_back::Stamp>,
        watch: &Watch,
        on_look: OnLook<'_>,
    ) -> Result<Self> {
        let mut findings = Vec::new();
        let (store, foreign) = foreign::recognise(store, &mut findings)?;

        watch.step("Reading cells", 0, None)?;
        if let Some(on_look) = on_look {
            on_look(if foreign.is_none() { first_look::first_look(&store, watch) } else { None })?;
        }
        let obs_element = if store.kind("obs") == Kind::Missing && store.kind("smp") != Kind::Missing {
            "smp" // the name before anndata 0.5
        } else {
            "obs"
        };
        let obs = match &foreign {
            Some(foreign) => foreign.obs(&store, watch, &mut findings)?,
            None => frame_or_numbers(&store, obs_element, "X", Side::Rows, watch, &mut findings)?,
        };
        watch.step("Reading genes", 0, None)?;
        let var = match &foreign {
            Some(foreign) => foreign.var(&store, watch, &mut findings)?,
            None => frame_or_numbers(&store, "var", "X", Side::Columns, watch, &mut findings)?,
        };
        let raw = raw_elements(&store);
        let raw_var = match raw {
            Some((x, var)) if !header::is_absent(&store, x) => {
                match frame_or_numbers(&store, var, x, Side::Columns, watch, &mut findings) {
                    Ok(frame) => Some(frame),
                    Err(Error::Cancelled) => return Err(Error::Cancelled),
                    Err(error) => {
                        findings.push(note(var, &error));
                        None
                    }
                }
            }
            _ => None,
        };
        for (element, frame, what) in [("obs", &obs, "cells"), ("var", &var, "genes")] {
            if frame.is_empty() {
                findings
                    .push(Note { element: element.into(), message: format!("The file holds no {what}.") });
            }
            let repeated = unpack::texts::n_repeated(&frame.index);
            if repeated > 0 {
                findings.push(Note {
                    element: format!("{element}/{}", frame.index_name),
                    message: format!(
                        "{repeated} names of {what} occur more than once; {what} are told apart by their row."
                    ),
                });
            }
        }

        let mut data = Self {
            store,
            foreign,
            obs: obs.into(),
            var,
            raw_var,
            matrices: Vec::new(),
            obsm_names: Vec::new(),
            colours: BTreeMap::new(),
            organism: None,
            findings,
            stamp,
            sha256: OnceLock::new(),
            unpacked: None,
        };
        data.list_matrices();
        watch.step("Reading embeddings", 0, None)?;
        data.list_obsm();
        data.colours = colours::read_colours(&data.store, &mut data.findings);
        data.organism = data.find_organism();
        Ok(data)
    }

    /// The file that is read: for a 10x folder, the temporary one that it was turned into.
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    /// The number of cells.
    pub fn n_obs(&self) -> usize {
        self.obs.len()
    }

    /// Cell names and annotations.
    pub fn obs(&self) -> &Frame {
        &self.obs
    }

    /// The same, to be kept without being copied.
    pub fn shared_obs(&self) -> SharedFrame {
        self.obs.clone()
    }

    /// Gene names and annotations of the columns of a matrix: `raw/X` has its own.
    pub fn var(&self, key: &MatrixKey) -> &Frame {
        match (key, &self.raw_var) {
            (MatrixKey::Raw, Some(var)) => var,
            _ => &self.var,
        }
    }

    /// The matrices that can be read: X, raw, then layers by name.
    pub fn matrices(&self) -> &[MatrixKey] {
        &self.matrices
    }

    /// Opens a matrix. Its index of rows or columns is read and checked, its values are not.
    ///
    /// # Errors
    /// [`Error::AnnData`] naming the part that is missing or wrong, as `X/indptr`.
    pub fn matrix(&self, key: &MatrixKey) -> Result<Matrix> {
        Matrix::open(key.clone(), self.header(key)?)
    }

    fn header(&self, key: &MatrixKey) -> Result<Header> {
        if let Some(foreign) = &self.foreign {
            return foreign.header(&self.store, key, self.obs.len(), self.var.len());
        }
        let element = self.element(key);
        let var = match key {
            MatrixKey::Raw => self.raw_var.as_ref(),
            _ => Some(&self.var),
        };
        Header::open(&self.store, &element, Some(self.n_obs()), var.map(Frame::len))
    }

    /// Colours of categories by column of obs, from `uns/<column>_colors`, in the order of the categories. A list may
    /// be longer or shorter than the categories.
    pub fn category_colours(&self) -> &BTreeMap<String, Vec<[u8; 3]>> {
        &self.colours
    }

    /// The organism as the file names it (`Homo sapiens`, `NCBITaxon:9606`), from uns or obs; several are joined by
    /// commas.
    pub fn organism(&self) -> Option<String> {
        self.organism.clone()
    }

    /// Oddities noticed while opening.
    pub fn findings(&self) -> &[Note] {
        &self.findings
    }

    /// Why there is no matrix: what is wrong with the one that is there, or that there is none.
    fn no_matrix(&self) -> Error {
        for key in self.present_matrices() {
            if let Err(error) = self.header(&key) {
                return error;
            }
        }
        self.store.problem(
            "X",
            "no matrix that can be read",
            "expression values in X, raw/X or a layer",
            "Save the file with its counts: the cells can be looked at, but not described.",
        )
    }

    fn element(&self, key: &MatrixKey) -> String {
        if let Some(foreign) = &self.foreign {
            return foreign.element(key);
        }
        match key {
            MatrixKey::Raw => raw_elements(&self.store).map_or("raw/X", |(x, _)| x).to_owned(),
            key => key.to_string(),
        }
    }

    /// Every matrix that is there, whether it can be read or not.
    fn present_matrices(&self) -> Vec<MatrixKey> {
        if let Some(foreign) = &self.foreign {
            return foreign.matrices(&self.store);
        }
        let mut keys = vec![MatrixKey::X, MatrixKey::Raw];
        keys.extend(self.store.members("layers").into_iter().map(MatrixKey::Layer));
        keys.retain(|key| !header::is_absent(&self.store, &self.element(key)));
        keys
    }

    fn list_matrices(&mut self) {
        for key in self.present_matrices() {
            match self.header(&key) {
                Ok(_) => self.matrices.push(key),
                Err(error) => self.findings.push(note(&self.element(&key), &error)),
            }
        }
    }

    fn find_organism(&self) -> Option<String> {
        let names = ["organism", "organism_ontology_term_id", "species"];
        for name in names {
            if let Some(text) = self.store.text(&format!("uns/{name}")).filter(|text| !text.is_empty()) {
                return Some(text);
            }
        }
        for name in names {
            let Some(column) = self.obs.column(name) else { continue };
            let used: BTreeSet<String> = match &column.values {
                Values::Categorical { codes, categories, .. } => {
                    let used: BTreeSet<i32> = codes.iter().copied().collect();
                    used.iter()
                        .filter_map(|code| categories.get(usize::try_from(*code).ok()?).cloned())
                        .collect()
                }
                Values::Text(texts) => {
                    let used: HashSet<&String> = texts.iter().flatten().collect();
                    used.into_iter().cloned().collect()
                }
                _ => continue,
            };
            // More than a handful is no column of species.
            if (1..=8).contains(&used.len()) {
                return Some(used.into_iter().collect::<Vec<_>>().join(", "));
            }
        }
        None
    }
}

/// Whether two paths lead to one file.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Whether what is written to `path` would replace `source`, or a file of the folder that it is.
pub(crate) fn is_part_of(path: &Path, source: &Path) -> bool {
    // Mostly nothing is there yet: then no folder need be looked through.
    let Ok(path) = path.canonicalize() else { return false };
    let is_it = |of: &Path| of.canonicalize().is_ok_and(|of| of == path);
    is_it(source) || files_of(source).is_ok_and(|files| files.iter().any(|file| is_it(file)))
}

/// Where raw lies: in a group today, at the root before anndata 0.7.
fn raw_elements(store: &Store) -> Option<(&'static str, &'static str)> {
    if store.kind("raw/X") != Kind::Missing {
        Some(("raw/X", "raw/var"))
    } else if store.kind("raw.X") != Kind::Missing {
        Some(("raw.X", "raw.var"))
    } else {
        None
    }
}

fn note(element: &str, error: &Error) -> Note {
    match error.problem() {
        Some(p) => Note {
            element: p.element.clone(),
            message: format!("It cannot be used: found {}; expected {}. {}", p.found, p.expected, p.remedy),
        },
        None => Note { element: element.to_owned(), message: error.to_string() },
    }
}

#[derive(Clone, Copy)]
enum Side {
    Rows,
    Columns,
}

/// The table at `element`; where its names cannot be read, the rows or columns of the matrix are numbered, with a note.
fn frame_or_numbers(
    store: &Store,
    element: &str,
    matrix: &str,
    side: Side,
    watch: &Watch,
    findings: &mut Vec<Note>,
) -> Result<Frame> {
    let error = match columns::read_frame(store, element, watch, findings) {
        Err(error) if !error.is_cancelled() => error,
        result => return result,
    };
    let Ok(header) = Header::open(store, matrix, None, None) else { return Err(error) };
    let n = match side {
        Side::Rows => header.n_rows,
        Side::Columns => header.n_cols,
    };
    if n > MOST_NUMBERED {
        return Err(error);
    }
    let mut note = note(element, &error);
    note.message.push_str(" Its rows are numbered instead.");
    findings.push(note);
    Ok(Frame {
        index_name: "_index".into(),
        index: (0..n).map(|row| row.to_string()).collect(),
        columns: Vec::new(),
    })
}
