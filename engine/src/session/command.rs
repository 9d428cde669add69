//! What a face may ask of the engine.

use std::path::PathBuf;
use std::sync::Arc;

use crate::analysis::{CompareRequest, Comparison, EmbedSettings};
use crate::anndata::MatrixKey;
use crate::annotate::HandLabels;
use crate::describe::GenerationSettings;

/// The number of one asked-for job, unique in its session. Every event about the job carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// Where cells come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataSource {
    /// The built-in 700-cell PBMC sample.
    Sample,
    /// An h5ad file.
    File(PathBuf),
}

/// One request. [`super::Session::send`] gives it a [`JobId`] and returns at once.
#[derive(Debug, Clone)]
pub enum Command {
    /// Opens a data set; answered by [`super::Event::Opened`]. The one open before is closed, its jobs stopped.
    Open(DataSource),
    /// Uses another matrix as the cells' counts; answered by [`super::Event::Opened`] with the new choice.
    UseMatrix(MatrixKey),
    /// Reads one gene over all cells for colouring; answered by [`super::Event::GeneColoured`]. Where
    /// that takes long, [`super::Event::GeneColouring`] shows what there is.
    ColourByGene {
        /// Row of the chosen matrix's gene list ([`super::Dataset::genes`]).
        gene: usize,
    },
    /// Reads several genes over all cells, in as few passes as can be; answered by one [`super::Event::GeneRead`] a gene, in
    /// this order. A newer such command replaces an older one.
    ReadGenes {
        /// Rows of the chosen matrix's gene list ([`super::Dataset::genes`]).
        genes: Arc<[usize]>,
    },
    /// Orders the chosen matrix by gene, into the folder of [`super::Settings::gene_caches`], so that genes are read at
    /// once. The session sends it to itself after each [`super::Event::Opened`]; it stands back behind all else.
    OrderGenes,
    /// Reads the record of one cell; answered by [`super::Event::CellRead`].
    ReadCell {
        /// Row of obs.
        cell: usize,
    },
    /// Describes one cell, streaming; a description already running is stopped first.
    Describe {
        /// Row of obs.
        cell: usize,
        /// How to generate.
        settings: GenerationSettings,
    },
    /// Finds out from cells all over the data set where its cells come from, so that each is judged with that in mind;
    /// answered by [`super::Event::LookedOver`] where there is something to find. The session sends it to itself where
    /// [`super::Settings::look_over`] says so; it stands back behind all else, and a description puts it off.
    LookOver,
    /// Describes cells with another model from now on; answered by [`super::Event::ModelLoaded`]. The model in use stays
    /// until the other one is ready, and for good where that fails or is stopped. What was described stays as it was. A newer
    /// one replaces an older.
    UseModel {
        /// Its folder; `None` is the built-in one.
        folder: Option<PathBuf>,
        /// Whether it is loaded now, rather than when a description needs it.
        load: bool,
    },
    /// Describes many cells in batches; answered by [`super::Event::Annotated`] after each batch.
    Annotate {
        /// Rows of obs, in the order wanted.
        cells: Arc<[usize]>,
        /// How to generate.
        settings: GenerationSettings,
    },
    /// Compares two sets of cells in every gene; answered by [`super::Event::Compared`]. A newer one replaces an older.
    Compare(Arc<CompareRequest>),
    /// Judges the quality of every cell in the chosen matrix; answered by [`super::Event::QualityRead`]. A newer one
    /// replaces an older.
    ReadQuality,
    /// Computes a map and clusters from the chosen matrix; answered by [`super::Event::Extended`]. A newer one replaces
    /// an older.
    Embed(EmbedSettings),
    /// Writes the map and the clusters computed last to a CSV with its provenance beside it.
    ExportMap {
        /// The CSV to write; replaced atomically where it exists.
        path: PathBuf,
    },
    /// Writes a comparison to a CSV with its provenance beside it.
    ExportComparison {
        /// The comparison.
        result: Arc<Comparison>,
        /// The CSV to write; replaced atomically where it exists.
        path: PathBuf,
    },
    /// Writes all cells described so far to a CSV with its provenance beside it.
    ExportCsv {
        /// The CSV to write; replaced atomically where it exists.
        path: PathBuf,
    },
    /// Writes all cells described so far, and labels, as columns of obs into a copy of the open file; answered by
    /// [`super::Event::Exported`], whose rows are columns. The file itself is never changed.
    WriteCopy {
        /// The copy to write; replaced atomically where it exists.
        path: PathBuf,
        /// Labels given by hand.
        labels: Arc<[HandLabels]>,
        /// Whether columns that the file has under these names are written over in the copy.
        replace: bool,
    },
}
