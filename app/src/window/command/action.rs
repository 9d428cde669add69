//! What panels ask of the app.

use std::path::PathBuf;

use engine::anndata::MatrixKey;
use engine::session::{DataSource, JobId};

use super::super::dock::Pane;
use super::super::document::Edit;
use super::super::figure;
use super::super::map::{Camera, NumberRange};
use super::super::panels::{CompareSpec, GeneList, Leaving, PlotSettings};
use super::super::selection::Combine;
use super::super::state::{ColourBy, ColourStyle};
use super::Command;

/// What a panel hands to the app.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A command.
    Run(Command),
    /// Open this.
    OpenSource(DataSource),
    /// Do this, though descriptions that are in no file are lost by it.
    Leave(Leaving),
    /// Write the CSV here.
    ExportTo(PathBuf),
    /// Select a cell, read its record and describe it.
    SelectCell(usize),
    /// Colour the cells by this.
    ColourBy(ColourBy),
    /// Show the embedding of this number.
    SetEmbedding(usize),
    /// Look here on the map.
    SetCamera(Camera),
    /// Show or hide one category.
    ToggleCategory(usize),
    /// Show only this category; a second time, all.
    IsolateCategory(usize),
    /// Give this row of the legend a colour of the user's; `None` gives its own one back.
    SetCategoryColour(usize, Option<[u8; 3]>),
    /// Choose and explain colours like this.
    SetColourStyle(ColourStyle),
    /// Span this part of the range of numbers by colours.
    SetRange(NumberRange),
    /// Read counts from this matrix.
    UseMatrix(MatrixKey),
    /// Show the neighbourhood of this term.
    ShowTerm(String),
    /// Write the terms shown to this SVG or CSV.
    ExportOntologyTo(PathBuf),
    /// Select the cells inside an area of the map, given by its corners.
    SelectArea {
        /// The name of the step.
        what: &'static str,
        /// The corners in the coordinates of the embedding.
        area: Vec<[f32; 2]>,
        /// How they are joined with the selection.
        combine: Combine,
    },
    /// Select the cells of this row of the legend; Shift adds, Alt subtracts.
    SelectCategory(usize),
    /// Select the cells whose number lies from the first to the second, both included.
    SelectRange(f32, f32),
    /// Select the cells named in this text.
    SelectNames(String),
    /// Select the cells whose type is this term of the Cell Ontology or a kind of it.
    SelectTerm(String),
    /// Join the cells of a named set with the selection.
    SelectSet(usize, Combine),
    /// Change the selection, sets, labels or colours, as one step of the history.
    Edit(Edit),
    /// Go to this step of the history.
    GoToStep(usize),
    /// Write the labels given by hand here.
    ExportLabelsTo(PathBuf),
    /// Write a copy of the data file with descriptions and labels here.
    WriteCopyTo(PathBuf),
    /// Save the session here.
    SaveSessionTo(PathBuf),
    /// Open this session file.
    OpenSessionFile(PathBuf),
    /// Stop one job.
    CancelJob(JobId),
    /// Remove one notice.
    DismissNotice(u64),
    /// Put text on the clipboard.
    Copy(String),
    /// Never show the first hint again.
    DismissHint,
    /// Take a file off the list of recent ones.
    ForgetRecent(PathBuf),
    /// Open a pane, or bring it to the front.
    OpenPane(Pane),
    /// Close a pane.
    ClosePane(Pane),
    /// Show this in the plots.
    SetPlots(Box<PlotSettings>),
    /// Read the genes that panels wait for, though reading them was stopped.
    ReadGenesAgain,
    /// Ask how the figure of a pane shall be written.
    AskFigure(Pane),
    /// Ask where the figure shall be written, in the way chosen.
    ChooseFigureFile(Pane),
    /// Write the figure of a pane here.
    WriteFigure(Pane, PathBuf),
    /// Change how figures are written.
    SetFigure(figure::Settings),
    /// Keep a list of genes, in place of one of the same name.
    SaveGeneList(GeneList),
    /// Forget the list of genes of this name.
    RemoveGeneList(String),
    /// Read lists of genes from a file.
    ImportGeneLists(PathBuf),
    /// Ask for a file with lists of genes.
    AskGeneLists,
    /// Ask where to write all lists of genes.
    AskExportGeneLists,
    /// Write all lists of genes here.
    ExportGeneLists(PathBuf),
    /// Change what is compared with what.
    SetComparison(CompareSpec),
    /// Compare.
    Compare,
    /// Write the comparison here.
    ExportComparisonTo(PathBuf),
    /// Have cells described by the model in this folder; `None` is the built-in one.
    UseModel(Option<PathBuf>),
    /// Ask for the folder of a model.
    AskModelFolder,
    /// List the model in this folder.
    AddModel(PathBuf),
    /// List the model in this folder no more.
    ForgetModel(PathBuf),
}
