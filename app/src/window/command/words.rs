//! What commands are called, and what is said of them.

use super::Command;

impl Command {
    /// Its name in menus and in the palette. It ends in … where a question follows.
    pub fn text(self) -> &'static str {
        match self {
            Self::Open => "Open…",
            Self::OpenSample => "Open the PBMC sample",
            Self::ExportCsv => "Export CSV…",
            Self::ExportLabels => "Export labels…",
            Self::WriteCopy => "Write annotations into a copy…",
            Self::OpenFolder => "Open 10x or Zarr folder…",
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
            Self::ShowGeneMaps => "Small maps",
            Self::ShowComparison => "Comparison",
            Self::ShowGeneLists => "Gene lists",
            Self::ResetLayout => "Reset layout",
            Self::ExportFigure => "Export figure…",
            Self::ExportComparison => "Export comparison…",
            Self::ShowModels => "Models…",
        }
    }

    /// One sentence on what it does.
    pub fn tooltip(self) -> &'static str {
        match self {
            Self::Open => "Open an h5ad file. The file is only read, never changed.",
            Self::OpenSample => "Open the 700 blood cells that ship with the program.",
            Self::ExportCsv => "Write all described cells to a CSV file, with its provenance beside it.",
            Self::WriteCopy => {
                "Write descriptions and labels as columns of obs into a copy of the file. The file itself stays as it is."
            }
            Self::OpenFolder => "Open a folder of 10x Genomics: matrix.mtx, barcodes and features.",
            Self::ExportLabels => {
                "Write the labels given by hand to a CSV file, with its provenance beside it."
            }
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
            Self::ShowGeneMaps => "One small map a gene or a column, with one camera and one selection.",
            Self::ShowComparison => "Which genes differ between two sets of cells.",
            Self::ShowGeneLists => "Paste, save, load and show lists of genes.",
            Self::ResetLayout => "Close all panels but the map.",
            Self::ExportFigure => "Save the map or a plot as PNG, SVG or PDF.",
            Self::ExportComparison => "Write the compared genes to a CSV file.",
            Self::ShowModels => "Choose the model that describes cells, and see what memory each one needs.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_words_for_the_user() {
        for command in Command::ALL {
            assert!(!command.text().is_empty());
            assert!(command.tooltip().ends_with('.'), "{command:?}");
            assert!(!command.text().contains(':'), "{command:?}");
        }
    }
}
