//! Everything the user can ask for.
//!
//! [`Command`] is the one list behind the menus, the command palette and the keyboard shortcuts. [`Action`] is
//! what panels hand to the app: a command, or a change that needs a value. Actions run at the end of the frame.

mod action;
mod shortcuts;
mod words;

use super::dock::Pane;
use super::map::Step;

pub use action::Action;

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
    ShowModels,
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
    /// All cells are being described.
    pub is_annotating: bool,
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

impl Command {
    /// All commands, in the order of the menus.
    pub const ALL: [Self; 76] = [
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
        Self::ShowModels,
        Self::WalkLeft,
        Self::WalkRight,
        Self::WalkUp,
        Self::WalkDown,
        Self::ClearSelection,
        Self::ShowShortcuts,
        Self::ShowHint,
        Self::About,
    ];

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
            | Self::ShowModels
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
            Self::AnnotateAll => now.has_data && !now.is_annotating,
            Self::ShowCellList | Self::FindGene | Self::ComputeMap => now.has_data,
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
            | Self::ShowModels
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_list_holds_every_command_once() {
        let names: BTreeSet<Command> = Command::ALL.into_iter().collect();
        assert_eq!(names.len(), Command::ALL.len());
        let texts: BTreeSet<&str> = Command::ALL.iter().map(|c| c.text()).collect();
        assert_eq!(texts.len(), Command::ALL.len());
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
