//! What the engine tells a face.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::command::{DataSource, JobId};
use crate::Error;
use crate::analysis::{Comparison, Quality};
use crate::anndata::{Column, MatrixChoice, MatrixKey, SharedFrame};
use crate::annotate::Telling;
use crate::describe::Description;
use crate::genes::Species;
use crate::progress::Progress;

/// The descriptions made so far, by row of obs.
pub type Annotations = BTreeMap<usize, Arc<Description>>;

/// Something noticed about the data that the user should know, with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The element it is about, as `obsm/X_umap`.
    pub element: String,
    /// What was noticed and what it means for the user.
    pub message: String,
    /// Whether descriptions cannot be trusted because of it.
    pub serious: bool,
}

/// One two-dimensional view of the cells.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// Its key in obsm, as `X_umap`.
    pub name: String,
    /// x and y of every cell, `[n_obs]`; NaN where the file has none.
    pub positions: Vec<[f32; 2]>,
}

/// A first look at a data set on its way: one map and what colours it.
#[derive(Debug, Clone)]
pub struct FirstLook {
    /// Where it comes from.
    pub source: DataSource,
    /// A short name for titles.
    pub name: String,
    /// Cells.
    pub n_obs: usize,
    /// The first of the views that the data set will have.
    pub embedding: Embedding,
    /// The column of obs that cells are coloured by at first; none where there is none.
    pub column: Option<Column>,
    /// The colours of its categories, where the file has some, as sRGB.
    pub colours: Option<Vec<[u8; 3]>>,
}

/// The open data set as the faces see it. Read-only and shared.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Where it came from.
    pub source: DataSource,
    /// A short name for titles.
    pub name: String,
    /// Cells.
    pub n_obs: usize,
    /// Cell names and the columns of obs.
    pub obs: SharedFrame,
    /// Genes of the chosen matrix, as shown: the symbol where known, else the file's own name. `[genes]`
    pub genes: Vec<String>,
    /// The file's own names of the same genes, `[genes]`.
    pub gene_names_in_file: Vec<String>,
    /// Ensembl ids of the same genes where known, `[genes]`.
    pub ensembl_ids: Vec<Option<String>>,
    /// Views with two or more columns; UMAP first, then t-SNE, then the others. May be empty.
    pub embeddings: Vec<Embedding>,
    /// Which matrix is read for counts, and why.
    pub matrix: MatrixChoice,
    /// The matrices that could be chosen instead.
    pub matrices: Vec<MatrixKey>,
    /// Colours of categories from `uns/<column>_colors`, as sRGB, by column name.
    pub category_colours: BTreeMap<String, Vec<[u8; 3]>>,
    /// The species noticed.
    pub species: Option<Species>,
    /// Genes recognised, of all genes of the chosen matrix.
    pub known_genes: usize,
    /// What the user should know.
    pub findings: Vec<Finding>,
}

impl Dataset {
    /// Whether the cells were noticed to be of another species than the models know.
    pub fn is_of_another_species(&self) -> bool {
        self.species.is_some_and(|species| species != Species::Human)
    }
}

/// One gene over all cells.
#[derive(Debug, Clone)]
pub struct GeneColour {
    /// Row of [`Dataset::genes`].
    pub gene: usize,
    /// The symbol.
    pub symbol: String,
    /// Values as shown, `[n_obs]`: log1p of counts per 10,000 where the matrix holds counts or linear values, the
    /// file's own values otherwise.
    pub values: Arc<[f32]>,
    /// What the values are, for the legend.
    pub unit: &'static str,
}

/// A gene among the highest of one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct TopGene {
    /// The symbol.
    pub symbol: String,
    /// The value in the chosen matrix.
    pub value: f32,
}

/// What is known of one cell.
#[derive(Debug, Clone)]
pub struct CellRecord {
    /// Row of obs.
    pub cell: usize,
    /// Its name.
    pub name: String,
    /// obs columns in file order, each with its value as text; `None` is a missing value.
    pub obs: Vec<(String, Option<String>)>,
    /// Sum of the cell's row in the chosen matrix.
    pub total: f64,
    /// Genes above zero.
    pub n_genes: usize,
    /// The genes of highest value, falling.
    pub top_genes: Vec<TopGene>,
}

/// The compute device in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceReport {
    /// As "CPU (2 threads)" or "NVIDIA RTX 4070 (Vulkan)".
    pub name: String,
    /// Why it was chosen.
    pub reason: String,
}

/// The model in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelReport {
    /// Its folder; none of the built-in one.
    pub folder: Option<PathBuf>,
    /// Its name from the bundle.
    pub name: String,
    /// Short hash of its weights, as recorded in exports.
    pub id: String,
    /// Bytes of weights in memory.
    pub bytes: u64,
    /// Where it runs.
    pub device: DeviceReport,
}

/// What cells all over the data set say of where its cells come from.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextReport {
    /// Cells asked.
    pub n_cells: usize,
    /// Tissues, as "bone marrow", with their shares, 0 to 1; the commonest first.
    pub tissues: Vec<(String, f64)>,
}

/// One thing that happened. Events of one job come in order and end with exactly one of
/// [`Event::Finished`], [`Event::Failed`] and [`Event::Stopped`].
#[derive(Debug)]
pub enum Event {
    /// A job has begun; `what` suits a status bar, as "Opening pbmc.h5ad".
    Started {
        /// The job.
        job: JobId,
        /// What it does.
        what: String,
    },
    /// A job is this far.
    Progressed {
        /// The job.
        job: JobId,
        /// How far.
        progress: Progress,
    },
    /// A file is being opened, and this much of it can be shown. Comes at most once, before [`Event::Opened`], and not
    /// for every file. Nothing can be asked of the data set yet.
    FirstLook {
        /// The job.
        job: JobId,
        /// What can be shown.
        look: Arc<FirstLook>,
    },
    /// A data set is open (or its matrix was changed).
    Opened {
        /// The job.
        job: JobId,
        /// What was opened.
        dataset: Arc<Dataset>,
    },
    /// A gene was read.
    GeneColoured {
        /// The job.
        job: JobId,
        /// Its values.
        colour: GeneColour,
    },
    /// A gene is being read, and this much of it is there; cells to come are missing (NaN).
    GeneColouring {
        /// The job.
        job: JobId,
        /// Its values so far.
        colour: GeneColour,
    },
    /// One of several genes was read.
    GeneRead {
        /// The job.
        job: JobId,
        /// Its values.
        colour: GeneColour,
    },
    /// A cell was read.
    CellRead {
        /// The job.
        job: JobId,
        /// Its record.
        record: Arc<CellRecord>,
    },
    /// A model is loaded, and describes cells from now on. Comes before the first description, and after
    /// [`super::Command::UseModel`].
    ModelLoaded {
        /// The job that needed it or asked for it.
        job: JobId,
        /// What was loaded.
        model: ModelReport,
    },
    /// More of a description: append `text`. Always whole UTF-8 characters.
    DescriptionText {
        /// The job.
        job: JobId,
        /// Row of obs.
        cell: usize,
        /// The next piece.
        text: String,
    },
    /// The data set was looked over: from now on the tissue of a cell is judged with what the others say.
    LookedOver {
        /// The job.
        job: JobId,
        /// What they say.
        report: Arc<ContextReport>,
    },
    /// A description is complete, with its claims.
    Described {
        /// The job.
        job: JobId,
        /// It.
        description: Arc<Description>,
    },
    /// More cells of an annotate job are done, or told again with the cells around them; or the matrix from which these were
    /// told before is in use again.
    Annotated {
        /// The job.
        job: JobId,
        /// Whether they were told before.
        telling: Telling,
        /// Their descriptions.
        descriptions: Vec<Arc<Description>>,
    },
    /// Two sets of cells were compared.
    Compared {
        /// The job.
        job: JobId,
        /// What differs.
        result: Arc<Comparison>,
    },
    /// The quality of every cell was judged.
    QualityRead {
        /// The job.
        job: JobId,
        /// The figures.
        quality: Arc<Quality>,
    },
    /// The data set has a computed map and clusters more: the embeddings `X_umap` (`X_umap_cell2text` where the file has
    /// its own) and `X_pca_cell2text`, and the column `c2t_cluster` of obs. All else is as before, descriptions too.
    Extended {
        /// The job.
        job: JobId,
        /// The data set with all that was computed of it.
        dataset: Arc<Dataset>,
    },
    /// A file was written.
    Exported {
        /// The job.
        job: JobId,
        /// The file.
        path: PathBuf,
        /// Data rows in it.
        rows: usize,
        /// What a row is, in the plural: "cells", "genes" or "columns".
        unit: &'static str,
    },
    /// The job is done.
    Finished {
        /// The job.
        job: JobId,
    },
    /// The job failed; the engine goes on.
    Failed {
        /// The job.
        job: JobId,
        /// Why.
        error: Arc<Error>,
    },
    /// The job was stopped on request.
    Stopped {
        /// The job.
        job: JobId,
    },
}

impl Event {
    /// The job it belongs to.
    pub fn job(&self) -> JobId {
        match self {
            Self::Started { job, .. }
            | Self::Progressed { job, .. }
            | Self::FirstLook { job, .. }
            | Self::Opened { job, .. }
            | Self::GeneColoured { job, .. }
            | Self::GeneColouring { job, .. }
            | Self::GeneRead { job, .. }
            | Self::CellRead { job, .. }
            | Self::ModelLoaded { job, .. }
            | Self::DescriptionText { job, .. }
            | Self::LookedOver { job, .. }
            | Self::Described { job, .. }
            | Self::Annotated { job, .. }
            | Self::Compared { job, .. }
            | Self::QualityRead { job, .. }
            | Self::Extended { job, .. }
            | Self::Exported { job, .. }
            | Self::Finished { job }
            | Self::Failed { job, .. }
            | Self::Stopped { job } => *job,
        }
    }

    /// Whether it is the last event of its job.
    pub fn is_closing(&self) -> bool {
        matches!(self, Self::Finished { .. } | Self::Failed { .. } | Self::Stopped { .. })
    }
}
