//! Everything the user can ask for.
//!
//! [`Command`] is the one list behind the menus, the command palette and the keyboard shortcuts. [`Action`] is
//! what panels hand to the app: a command, or a change that needs a value. Actions run at the end of the frame.

use std::path::PathBuf;

use eframe::egui::{Key, KeyboardShortcut, Modifiers};
use engine::anndata::MatrixKey;
use engine::session::{DataSource, JobId};

use super::dock::Pane;
use super::document::Edit;
use super::map::{Camera, NumberRange, Step};
use super::panels::{CompareSpec, GeneList, PlotSettings};
use super::selection::Combine;
use super::state::{ColourBy, ColourStyle};

/// A request without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // `text` and `tooltip` say what each does.
pub enum Command {
    Open,
    OpenSample,
    ExportCsv,
    ExportOntologySvg,
    ExportOntologyCsv,
    ExportLabels,
    WriteCopy,
    OpenFolder,
    OpenSession,
    SaveSession,
    ClearRecent,
    Quit,
    FitMap,
    ZoomIn,
    ZoomOut,
    NextEmbedding,
    ComputeMap,
    ShowMap,
    ShowCellList,
    FindGene,
    ShowAllCategories,
    ToggleLabels,
    ToggleDataPanel,
    ToggleCellPanel,
    ToggleOntology,
    BrowseOntology,
    WholeOntology,
    ThemeSystem,
    ThemeLight,
    ThemeDark,
    LargerText,
    SmallerText,
    NormalText,
    DescribeCell,
    Stop,
    AnnotateAll,
    CopyDescription,
    ClearSelection,
    WalkLeft,
    WalkRight,
    WalkUp,
    WalkDown,
    Undo,
    Redo,
    ShowHistory,
    NewLabels,
    LabelCells,
    UnlabelCells,
    PanTool,
    LassoTool,
    BoxTool,
    SelectAllCells,
    SelectNoCells,
    InvertSelection,
    PasteCellNames,
    SaveSet,
    ShowSets,
    ShowLabels,
    ShowCell,
    ShowPalette,
    ShowShortcuts,
    ShowHint,
    About,
    ShowHistogram,
    ShowViolin,
    ShowDotPlot,
    ShowHeatmap,
    ShowScatter,
    ShowComposition,
    ShowGeneMaps,
    ShowComparison,
    ShowGeneLists,
    ResetLayout,
    ExportFigure,
    ExportComparison,
}

/// The menus, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Menu {
    /// Files.
    File,
    /// Undo, redo and labels given by hand.
    Edit,
    /// Which cells are selected.
    Select,
    /// What is seen, and how.
    View,
    /// Plots and other panels beside the map.
    Panels,
    /// The selected cell and descriptions.
    Cell,
    /// Help.
    Help,
}

impl Menu {
    /// All menus, in order.
    pub const ALL: [Self; 7] =
        [Self::File, Self::Edit, Self::Select, Self::View, Self::Panels, Self::Cell, Self::Help];

    /// Its title.
    pub fn text(self) -> &'static str {
        match self {
            Self::File => "File",
            Self::Edit => "Edit",
            Self::Select => "Select",
            Self::View => "View",
            Self::Panels => "Panels",
            Self::Cell => "Cell",
            Self::Help => "Help",
        }
    }
}

/// What the app is in, as far as commands care.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Situation {
    /// A data set is open.
    pub has_data: bool,
    /// It has at least one embedding.
    pub has_map: bool,
    /// It has more than one embedding.
    pub has_other_embedding: bool,
    /// A cell is selected.
    pub has_selection: bool,
    /// The selected cell has a description, whole or in part.
    pub has_description: bool,
    /// At least one cell was described.
    pub has_annotations: bool,
    /// Work is running that can be stopped.
    pub is_working: bool,
    /// Some categories are hidden.
    pub has_hidden: bool,
    /// Files were opened before.
    pub has_recent: bool,
    /// Two sets of cells were compared.
    pub has_comparison: bool,
    /// A term of the Cell Ontology is shown.
    pub has_term: bool,
    /// Cells are selected, as a set.
    pub has_selected_cells: bool,
    /// The lasso or the box is in hand.
    pub has_tool: bool,
    /// There is a step to take back.
    pub can_undo: bool,
    /// There is a step to do again.
    pub can_redo: bool,
    /// There is a column of labels given by hand.
    pub has_labels: bool,
}

const fn plain(key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(Modifiers::NONE, key))
}
const fn ctrl(key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(Modifiers::COMMAND, key))
}
const fn ctrl_shift(key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), key))
}

impl Command {
    /// All commands, in the order of the menus.
    pub const ALL: [Self; 75] = [
        Self::Open,
        Self::OpenFolder,
        Self::OpenSample,
        Self::ClearRecent,
        Self::ExportCsv,
        Self::WriteCopy,
        Self::ExportFigure,
        Self::ExportOntologySvg,
        Self::ExportOntologyCsv,
        Self::ExportLabels,
        Self::OpenSession,
        Self::SaveSession,
        Self::Quit,
        Self::Undo,
        Self::Redo,
        Self::ShowHistory,
        Self::NewLabels,
        Self::LabelCells,
        Self::UnlabelCells,
        Self::PanTool,
        Self::LassoTool,
        Self::BoxTool,
        Self::SelectAllCells,
        Self::SelectNoCells,
        Self::InvertSelection,
        Self::PasteCellNames,
        Self::SaveSet,
        Self::ShowPalette,
        Self::FitMap,
        Self::ZoomIn,
        Self::ZoomOut,
        Self::NextEmbedding,
        Self::ComputeMap,
        Self::ShowMap,
        Self::ShowCellList,
        Self::FindGene,
        Self::ShowAllCategories,
        Self::ToggleLabels,
        Self::ToggleDataPanel,
        Self::ToggleCellPanel,
        Self::ToggleOntology,
        Self::BrowseOntology,
        Self::WholeOntology,
        Self::ShowCell,
        Self::ShowSets,
        Self::ShowLabels,
        Self::ThemeSystem,
        Self::ThemeLight,
        Self::ThemeDark,
        Self::LargerText,
        Self::SmallerText,
        Self::NormalText,
        Self::ShowHistogram,
        Self::ShowViolin,
        Self::ShowDotPlot,
        Self::ShowHeatmap,
        Self::ShowScatter,
        Self::ShowComposition,
        Self::ShowGeneMaps,
        Self::ShowComparison,
        Self::ExportComparison,
        Self::ShowGeneLists,
        Self::ResetLayout,
        Self::DescribeCell,
        Self::Stop,
        Self::CopyDescription,
        Self::AnnotateAll,
        Self::WalkLeft,
        Self::WalkRight,
        Self::WalkUp,
        Self::WalkDown,
        Self::ClearSelection,
        Self::ShowShortcuts,
        Self::ShowHint,
        Self::About,
    ];

    /// Its name in menus and in the palette. It ends in … where a question follows.
    pub fn text(self) -> &'static str {
        match self {
            Self::Open => "Open…",
            Self::OpenSample => "Open the PBMC sample",
            Self::ExportCsv => "Export CSV…",
            Self::ExportLabels => "Export labels…",
            Self::WriteCopy => "Write annotations into a copy…",
            Self::OpenFolder => "Open 10x folder…",
            Self::OpenSession => "Open session…",
            Self::SaveSession => "Save session…",
            Self::Undo => "Undo",
            Self::Redo => "Redo",
            Self::ShowHistory => "History…",
            Self::NewLabels => "New labels…",
            Self::LabelCells => "Label selected cells…",
            Self::UnlabelCells => "Take labels from selected cells",
            Self::PanTool => "Move tool",
            Self::LassoTool => "Lasso tool",
            Self::BoxTool => "Box tool",
            Self::SelectAllCells => "Select all cells",
            Self::SelectNoCells => "Select no cells",
            Self::InvertSelection => "Invert selection",
            Self::PasteCellNames => "Select cells by name…",
            Self::SaveSet => "Save selection as a set",
            Self::ShowCell => "Cell tab",
            Self::ShowSets => "Sets tab",
            Self::ShowLabels => "Labels tab",
            Self::ClearRecent => "Clear recent files",
            Self::Quit => "Quit",
            Self::FitMap => "Fit map",
            Self::ZoomIn => "Zoom in",
            Self::ZoomOut => "Zoom out",
            Self::NextEmbedding => "Next embedding",
            Self::ComputeMap => "Compute a map",
            Self::ShowMap => "Show the map",
            Self::ShowCellList => "Show the list of cells",
            Self::FindGene => "Colour by gene…",
            Self::ShowAllCategories => "Show all categories",
            Self::ToggleDataPanel => "Data panel",
            Self::ToggleCellPanel => "Cell panel",
            Self::ToggleLabels => "Names on the map",
            Self::ToggleOntology => "Cell Ontology panel",
            Self::BrowseOntology => "Search the Cell Ontology",
            Self::WholeOntology => "Whole-window ontology",
            Self::ExportOntologySvg => "Export ontology as SVG…",
            Self::ExportOntologyCsv => "Export ontology as CSV…",
            Self::ThemeSystem => "System theme",
            Self::ThemeLight => "Light theme",
            Self::ThemeDark => "Dark theme",
            Self::LargerText => "Larger text",
            Self::SmallerText => "Smaller text",
            Self::NormalText => "Normal text size",
            Self::DescribeCell => "Describe cell",
            Self::Stop => "Stop",
            Self::AnnotateAll => "Annotate all cells",
            Self::CopyDescription => "Copy description",
            Self::ClearSelection => "Let go",
            Self::WalkLeft => "Nearest cell to the left",
            Self::WalkRight => "Nearest cell to the right",
            Self::WalkUp => "Nearest cell above",
            Self::WalkDown => "Nearest cell below",
            Self::ShowPalette => "Search commands",
            Self::ShowShortcuts => "Keyboard shortcuts",
            Self::ShowHint => "Show the first hint again",
            Self::About => "About Cell2Text",
            Self::ShowHistogram => "Histogram",
            Self::ShowViolin => "Violin plot",
            Self::ShowDotPlot => "Dot plot",
            Self::ShowHeatmap => "Heatmap",
            Self::ShowScatter => "Gene by gene",
            Self::ShowComposition => "Composition",
            Self::ShowGeneMaps => "Maps of genes",
            Self::ShowComparison => "Comparison",
            Self::ShowGeneLists => "Gene lists",
            Self::ResetLayout => "Reset layout",
            Self::ExportFigure => "Export figure…",
            Self::ExportComparison => "Export comparison…",
        }
    }

    /// One sentence on what it does.
    pub fn tooltip(self) -> &'static str {
        match self {
            Self::Open => "Open an h5ad file. The file is only read, never changed.",
            Self::OpenSample => "Open the 700 blood cells that ship with the program.",
            Self::ExportCsv => "Write all described cells to a CSV file, with its provenance beside it.",
            Self::ExportLabels => {
                "Write the labels given by hand to a CSV file, with its provenance beside it."
            }
            Self::WriteCopy => {
                "Write descriptions and labels as columns of obs into a copy of the file. The file itself stays as it is."
            }
            Self::OpenFolder => "Open a folder of 10x Genomics: matrix.mtx, barcodes and features.",
            Self::OpenSession => {
                "Open a session: the data with its sets, labels and view as they were saved."
            }
            Self::SaveSession => "Save sets, labels and view to a file. The data stay where they are.",
            Self::Undo => "Take the last change of selection, sets, labels or colours back.",
            Self::Redo => "Do again what was taken back.",
            Self::ShowHistory => "List all changes and go back to any of them.",
            Self::NewLabels => "Begin a column of labels that you give to cells by hand.",
            Self::LabelCells => "Give the selected cells a label.",
            Self::UnlabelCells => "Take the label of the shown column from the selected cells.",
            Self::PanTool => "Drag to move the map.",
            Self::LassoTool => "Draw a line around cells to select them. Shift adds, Alt takes away.",
            Self::BoxTool => "Draw a box around cells to select them. Shift adds, Alt takes away.",
            Self::SelectAllCells => "Select every cell of the data set.",
            Self::SelectNoCells => "Let the selected cells go.",
            Self::InvertSelection => "Select the cells that are not selected.",
            Self::PasteCellNames => "Select cells by a list of their names.",
            Self::SaveSet => "Keep the selected cells as a named set.",
            Self::ShowCell => "Show the record and the description of one cell.",
            Self::ShowSets => "Show the selection and the named sets.",
            Self::ShowLabels => "Show the labels given by hand.",
            Self::ClearRecent => "Forget which files were opened before.",
            Self::Quit => "Close the program.",
            Self::FitMap => "Show all cells.",
            Self::ZoomIn => "Look closer at the middle of the map.",
            Self::ZoomOut => "Step back from the middle of the map.",
            Self::NextEmbedding => "Show the next embedding of the file.",
            Self::ComputeMap => {
                "Compute a map (UMAP) and clusters (Leiden) of all cells from the chosen matrix."
            }
            Self::ShowMap => "Show the cells as a map.",
            Self::ShowCellList => "Show the cells as a list with names and values.",
            Self::FindGene => "Find a gene by symbol or Ensembl id and colour the cells by it.",
            Self::ShowAllCategories => "Show the categories that were hidden in the legend.",
            Self::ToggleDataPanel => "Show or hide the panel with the data set, colours and legend.",
            Self::ToggleCellPanel => "Show or hide the panel with the selected cell.",
            Self::ToggleOntology => "Show or hide the neighbourhood of the cell type in the Cell Ontology.",
            Self::ToggleLabels => "Name the categories on the map.",
            Self::BrowseOntology => {
                "Search and walk through the Cell Ontology, with counts of your own cells."
            }
            Self::WholeOntology => "Give the Cell Ontology the whole window, or take it back.",
            Self::ExportOntologySvg => "Write the ontology terms shown to a picture with text as text.",
            Self::ExportOntologyCsv => {
                "Write the ontology terms shown, their relations and your cells in them to a table."
            }
            Self::ThemeSystem => "Follow the system in light and dark.",
            Self::ThemeLight => "Dark text on a light ground.",
            Self::ThemeDark => "Light text on a dark ground.",
            Self::LargerText => "Make everything in the window larger.",
            Self::SmallerText => "Make everything in the window smaller.",
            Self::NormalText => "Go back to the normal size.",
            Self::DescribeCell => "Describe the selected cell.",
            Self::Stop => "Stop the running work. What is done stays.",
            Self::AnnotateAll => "Describe every cell that has no description yet.",
            Self::CopyDescription => "Copy the description of the selected cell.",
            Self::ClearSelection => "Put the tool away, then let the cell go, then the selected cells.",
            Self::WalkLeft => "Select the nearest cell to the left.",
            Self::WalkRight => "Select the nearest cell to the right.",
            Self::WalkUp => "Select the nearest cell above.",
            Self::WalkDown => "Select the nearest cell below.",
            Self::ShowPalette => "Find any command, column or gene by a few letters.",
            Self::ShowShortcuts => "List all keyboard shortcuts.",
            Self::ShowHint => "Show how to use the map.",
            Self::About => "Version, licence and model.",
            Self::ShowHistogram => "How the values of a gene or a column are spread.",
            Self::ShowViolin => "Genes over groups of cells, with their densities.",
            Self::ShowDotPlot => "Genes over groups of cells: mean and share of cells above zero.",
            Self::ShowHeatmap => "Genes over groups of cells: means.",
            Self::ShowScatter => "One gene or column against another, a point a cell.",
            Self::ShowComposition => "One column of categories divided by another.",
            Self::ShowGeneMaps => "One small map a gene, with one camera and one selection.",
            Self::ShowComparison => "Which genes differ between two sets of cells.",
            Self::ShowGeneLists => "Paste, save, load and show lists of genes.",
            Self::ResetLayout => "Close all panels but the map.",
            Self::ExportFigure => "Save the map or a plot as PNG, SVG or PDF.",
            Self::ExportComparison => "Write the compared genes to a CSV file.",
        }
    }

    /// Its shortcuts; menus show the first.
    pub fn shortcuts(self) -> Vec<KeyboardShortcut> {
        let (first, second) = match self {
            Self::Open => (ctrl(Key::O), None),
            Self::OpenSample => (ctrl_shift(Key::O), None),
            Self::ExportCsv => (ctrl(Key::E), None),
            Self::ExportLabels => (ctrl_shift(Key::E), None),
            Self::OpenSession => (ctrl(Key::L), None),
            Self::SaveSession => (ctrl(Key::S), None),
            Self::Undo => (ctrl(Key::Z), None),
            Self::Redo => (ctrl_shift(Key::Z), ctrl(Key::Y)),
            Self::ShowHistory => (ctrl_shift(Key::Y), None),
            Self::NewLabels => (ctrl_shift(Key::L), None),
            Self::LabelCells => (plain(Key::T), None),
            Self::UnlabelCells => (plain(Key::Delete), None),
            Self::PanTool => (plain(Key::H), None),
            Self::LassoTool => (plain(Key::S), None),
            Self::BoxTool => (plain(Key::B), None),
            Self::SelectAllCells => (plain(Key::A), None),
            Self::SelectNoCells => (plain(Key::D), None),
            Self::InvertSelection => (plain(Key::I), None),
            Self::PasteCellNames => (ctrl_shift(Key::V), None),
            Self::SaveSet => (ctrl_shift(Key::S), None),
            Self::ShowCell => (ctrl(Key::Num4), None),
            Self::ShowSets => (ctrl(Key::Num5), None),
            Self::ShowLabels => (ctrl(Key::Num6), None),
            Self::Quit => (ctrl(Key::Q), None),
            Self::FitMap => (plain(Key::F), plain(Key::Space)),
            Self::ZoomIn => (plain(Key::Plus), plain(Key::Equals)),
            Self::ZoomOut => (plain(Key::Minus), None),
            Self::NextEmbedding => (plain(Key::E), None),
            Self::ComputeMap => (ctrl_shift(Key::U), None),
            Self::ShowMap => (plain(Key::M), None),
            Self::ShowCellList => (plain(Key::L), None),
            Self::FindGene => (plain(Key::G), ctrl(Key::F)),
            Self::ShowAllCategories => (ctrl_shift(Key::H), None),
            Self::ToggleDataPanel => (ctrl(Key::Num1), None),
            Self::ToggleCellPanel => (ctrl(Key::Num2), None),
            Self::ToggleOntology => (ctrl(Key::Num3), None),
            Self::ToggleLabels => (plain(Key::N), None),
            Self::BrowseOntology => (ctrl_shift(Key::F), None),
            Self::WholeOntology => (ctrl_shift(Key::Num3), None),
            Self::LargerText => (ctrl(Key::Plus), ctrl(Key::Equals)),
            Self::SmallerText => (ctrl(Key::Minus), None),
            Self::NormalText => (ctrl(Key::Num0), None),
            Self::DescribeCell => (plain(Key::Enter), None),
            Self::Stop => (ctrl(Key::Period), None),
            Self::AnnotateAll => (ctrl_shift(Key::A), None),
            Self::CopyDescription => (ctrl_shift(Key::C), None),
            Self::ClearSelection => (plain(Key::Escape), None),
            Self::WalkLeft => (plain(Key::ArrowLeft), None),
            Self::WalkRight => (plain(Key::ArrowRight), None),
            Self::WalkUp => (plain(Key::ArrowUp), None),
            Self::WalkDown => (plain(Key::ArrowDown), None),
            Self::ShowPalette => (ctrl(Key::P), ctrl(Key::K)),
            Self::ShowShortcuts => (plain(Key::Questionmark), plain(Key::F1)),
            Self::ShowHistogram => (plain(Key::Num1), None),
            Self::ShowViolin => (plain(Key::Num2), None),
            Self::ShowDotPlot => (plain(Key::Num3), None),
            Self::ShowHeatmap => (plain(Key::Num4), None),
            Self::ShowScatter => (plain(Key::Num5), None),
            Self::ShowComposition => (plain(Key::Num6), None),
            Self::ShowGeneMaps => (plain(Key::Num7), None),
            Self::ShowComparison => (plain(Key::Num8), None),
            Self::ShowGeneLists => (plain(Key::Num9), None),
            Self::ResetLayout => (ctrl_shift(Key::R), None),
            Self::ExportFigure => (ctrl_shift(Key::G), None),
            Self::ClearRecent
            | Self::ExportComparison
            | Self::ExportOntologySvg
            | Self::ExportOntologyCsv
            | Self::ThemeSystem
            | Self::ThemeLight
            | Self::ThemeDark
            | Self::ShowHint
            | Self::WriteCopy
            | Self::OpenFolder
            | Self::About => (None, None),
        };
        first.into_iter().chain(second).collect()
    }

    /// The menu it stands in.
    pub fn menu(self) -> Menu {
        match self {
            Self::Open
            | Self::OpenSample
            | Self::ExportCsv
            | Self::ExportOntologySvg
            | Self::ExportOntologyCsv
            | Self::ClearRecent
            | Self::Quit
            | Self::ExportFigure => Menu::File,
            Self::ExportLabels | Self::OpenSession | Self::SaveSession => Menu::File,
            Self::WriteCopy | Self::OpenFolder => Menu::File,
            Self::Undo
            | Self::Redo
            | Self::ShowHistory
            | Self::NewLabels
            | Self::LabelCells
            | Self::UnlabelCells => Menu::Edit,
            Self::PanTool
            | Self::LassoTool
            | Self::BoxTool
            | Self::SelectAllCells
            | Self::SelectNoCells
            | Self::InvertSelection
            | Self::PasteCellNames
            | Self::SaveSet => Menu::Select,
            Self::ResetLayout | Self::ExportComparison => Menu::Panels,
            _ if self.pane().is_some_and(|p| !matches!(p, Pane::Map | Pane::List)) => Menu::Panels,
            Self::DescribeCell
            | Self::Stop
            | Self::AnnotateAll
            | Self::CopyDescription
            | Self::ClearSelection
            | Self::WalkLeft
            | Self::WalkRight
            | Self::WalkUp
            | Self::WalkDown => Menu::Cell,
            Self::ShowShortcuts | Self::ShowHint | Self::About => Menu::Help,
            _ => Menu::View,
        }
    }

    /// Whether a line stands above it in its menu.
    pub fn starts_group(self) -> bool {
        matches!(
            self,
            Self::ExportCsv
                | Self::OpenSession
                | Self::NewLabels
                | Self::SelectAllCells
                | Self::PasteCellNames
                | Self::ShowCell
                | Self::Quit
                | Self::FitMap
                | Self::ShowMap
                | Self::FindGene
                | Self::ToggleDataPanel
                | Self::ThemeSystem
                | Self::LargerText
                | Self::ShowComparison
                | Self::ResetLayout
                | Self::AnnotateAll
                | Self::WalkLeft
                | Self::ClearSelection
                | Self::About
        )
    }

    /// Whether it can be done now.
    pub fn is_enabled(self, now: Situation) -> bool {
        match self {
            Self::ExportCsv => now.has_annotations,
            Self::WriteCopy => now.has_annotations || now.has_labels,
            Self::ClearRecent => now.has_recent,
            Self::FitMap | Self::ZoomIn | Self::ZoomOut | Self::ShowMap => now.has_map,
            Self::NextEmbedding => now.has_other_embedding,
            Self::ShowCellList | Self::FindGene | Self::AnnotateAll | Self::ComputeMap => now.has_data,
            Self::ToggleDataPanel | Self::ToggleCellPanel | Self::ToggleOntology => now.has_data,
            Self::ShowAllCategories => now.has_hidden,
            Self::ToggleLabels => now.has_map,
            Self::BrowseOntology | Self::WholeOntology => now.has_data,
            Self::ExportOntologySvg | Self::ExportOntologyCsv => now.has_term,
            Self::DescribeCell => now.has_selection,
            Self::ClearSelection => now.has_selection || now.has_selected_cells || now.has_tool,
            Self::ExportLabels => now.has_labels,
            Self::SaveSession | Self::ShowHistory | Self::NewLabels => now.has_data,
            Self::Undo => now.can_undo,
            Self::Redo => now.can_redo,
            Self::LabelCells | Self::SaveSet | Self::SelectNoCells => now.has_selected_cells,
            Self::UnlabelCells => now.has_selected_cells && now.has_labels,
            Self::PanTool | Self::LassoTool | Self::BoxTool => now.has_map,
            Self::SelectAllCells | Self::InvertSelection | Self::PasteCellNames => now.has_data,
            Self::ShowCell | Self::ShowSets | Self::ShowLabels => now.has_data,
            Self::Stop => now.is_working,
            Self::ShowHistogram
            | Self::ShowViolin
            | Self::ShowDotPlot
            | Self::ShowHeatmap
            | Self::ShowScatter
            | Self::ShowComposition
            | Self::ShowComparison
            | Self::ShowGeneLists
            | Self::ResetLayout
            | Self::ExportFigure => now.has_data,
            Self::ShowGeneMaps => now.has_map,
            Self::ExportComparison => now.has_comparison,
            Self::CopyDescription => now.has_description,
            Self::WalkLeft | Self::WalkRight | Self::WalkUp | Self::WalkDown => now.has_map,
            Self::Open
            | Self::OpenFolder
            | Self::OpenSession
            | Self::OpenSample
            | Self::Quit
            | Self::ThemeSystem
            | Self::ThemeLight
            | Self::ThemeDark
            | Self::LargerText
            | Self::SmallerText
            | Self::NormalText
            | Self::ShowPalette
            | Self::ShowShortcuts
            | Self::ShowHint
            | Self::About => true,
        }
    }

    /// The pane that a command opens.
    pub fn pane(self) -> Option<Pane> {
        Some(match self {
            Self::ShowMap => Pane::Map,
            Self::ShowCellList => Pane::List,
            Self::ShowHistogram => Pane::Histogram,
            Self::ShowViolin => Pane::Violin,
            Self::ShowDotPlot => Pane::DotPlot,
            Self::ShowHeatmap => Pane::Heatmap,
            Self::ShowScatter => Pane::Scatter,
            Self::ShowComposition => Pane::Composition,
            Self::ShowGeneMaps => Pane::GeneMaps,
            Self::ShowComparison => Pane::Comparison,
            Self::ShowGeneLists => Pane::Genes,
            _ => return None,
        })
    }

    /// The step on the map of a walking command.
    pub fn step(self) -> Option<Step> {
        match self {
            Self::WalkLeft => Some(Step::Left),
            Self::WalkRight => Some(Step::Right),
            Self::WalkUp => Some(Step::Up),
            Self::WalkDown => Some(Step::Down),
            _ => None,
        }
    }
}

/// What a panel hands to the app.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A command.
    Run(Command),
    /// Open this.
    OpenSource(DataSource),
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
    /// Ask how the figure of a pane shall be written.
    AskFigure(Pane),
    /// Ask where the figure shall be written, in the way chosen.
    ChooseFigureFile(Pane),
    /// Write the figure of a pane here.
    WriteFigure(Pane, PathBuf),
    /// Change how figures are written.
    SetFigure(super::figure::Settings),
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashMap};

    #[test]
    fn the_list_holds_every_command_once() {
        let names: BTreeSet<Command> = Command::ALL.into_iter().collect();
        assert_eq!(names.len(), Command::ALL.len());
        let texts: BTreeSet<&str> = Command::ALL.iter().map(|c| c.text()).collect();
        assert_eq!(texts.len(), Command::ALL.len());
    }

    #[test]
    fn no_two_commands_share_a_shortcut() {
        let mut seen = HashMap::new();
        for command in Command::ALL {
            for shortcut in command.shortcuts() {
                if let Some(other) = seen.insert(shortcut, command) {
                    panic!("{command:?} and {other:?} share {shortcut:?}");
                }
            }
        }
    }

    #[test]
    fn every_command_has_words_for_the_user() {
        for command in Command::ALL {
            assert!(!command.text().is_empty());
            assert!(command.tooltip().ends_with('.'), "{command:?}");
            assert!(!command.text().contains(':'), "{command:?}");
        }
    }

    #[test]
    fn every_menu_has_commands_and_no_line_at_its_top() {
        for menu in Menu::ALL {
            let first = Command::ALL.into_iter().find(|c| c.menu() == menu);
            assert!(first.is_some_and(|c| !c.starts_group() || menu == Menu::View), "{menu:?}");
        }
    }

    #[test]
    fn without_data_only_what_needs_none_is_enabled() {
        let now = Situation::default();
        assert!(Command::Open.is_enabled(now));
        assert!(Command::Quit.is_enabled(now));
        for command in
            [Command::ExportCsv, Command::FitMap, Command::DescribeCell, Command::Stop, Command::FindGene]
        {
            assert!(!command.is_enabled(now), "{command:?}");
        }
    }
}
