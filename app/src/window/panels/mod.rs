//! What the window shows, one panel a file. Panels read the state and hand back actions; they change nothing.

mod browse;
mod cell;
mod cell_list;
mod centre;
mod claims;
mod colour_by;
mod compare;
mod data;
mod figure_dialog;
mod gene_maps;
mod genes;
mod graph;
mod graph_export;
mod graph_layout;
mod history;
mod labels;
mod legend;
mod maps_table;
mod menu;
mod models;
mod ontology;
mod overlays;
mod palette;
pub mod plots;
mod rename;
mod sets;
mod side;
mod status;
mod tab;
mod term_table;
mod welcome;
mod widgets;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::session::DataSource;

use super::background::Task;
use super::command::{Action, Command, Situation};
use super::dock::Pane;
use super::map::{Map, Tool};
use super::models::Models;
use super::state::{Saved, View};
use super::terms::Terms;
use super::workspace::Workspace;

pub use centre::{centre_ui, first_map_ui};
pub use compare::{ComparePanel, CompareSide, CompareSpec, request as compare_request};
pub use data::data_panel_ui;
pub use figure_dialog::figure_dialog_ui;
pub use gene_maps::GeneMaps;
pub use genes::{GeneList, GeneListPanel, MAX_LISTS, gene_lists_csv, parse_gene_lists};
pub use graph_export::{ontology_csv, ontology_svg};
pub use menu::top_bar_ui;
pub use ontology::{OntologyLocal, whole_ontology_ui};
pub use overlays::{dialogs_ui, drop_overlay_ui, notices_ui};
pub use palette::palette_ui;
pub use plots::{Measure, PlotSettings, Plots};
pub use rename::Renaming;
pub use side::side_panel_ui;
pub use status::status_bar_ui;
pub use welcome::welcome_ui;

/// What panels read.
pub struct Scope<'a> {
    /// What is saved between starts.
    pub saved: &'a Saved,
    /// The view of the data set.
    pub view: &'a View,
    /// What the engine has told.
    pub work: &'a Workspace,
    /// The map.
    pub map: &'a Map,
    /// The Cell Ontology.
    pub terms: &'a Terms,
    /// The models to choose from.
    pub models: &'a Models,
    /// What commands can do now.
    pub now: Situation,
    /// Cells that the GPU can hold.
    pub max_cells: usize,
    /// The graphics adapter.
    pub renderer: &'a str,
    /// Panes that are in front.
    pub shown: &'a BTreeSet<Pane>,
}

/// A dialog of the window's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialog {
    /// The steps of the history.
    History,
    /// A list of cell names to select.
    CellNames,
    /// All shortcuts.
    Shortcuts,
    /// Version and licence.
    About,
    /// How the figure of a pane is written.
    Figure(Pane),
    /// The models to choose from.
    Models,
    /// Whether descriptions that are in no file shall be left behind.
    Leave,
}

/// What the user is about to do that ends the open data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// Open another one.
    Open(DataSource),
    /// Close the window.
    Quit,
}

/// The tabs at the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// The selected cell.
    #[default]
    Cell,
    /// The selection and the named sets.
    Sets,
    /// Labels given by hand.
    Labels,
}

impl Side {
    /// The command that shows it.
    fn command(self) -> Command {
        match self {
            Self::Cell => Command::ShowCell,
            Self::Sets => Command::ShowSets,
            Self::Labels => Command::ShowLabels,
        }
    }
}

/// The command palette while it is open.
#[derive(Debug, Clone, Default)]
pub struct PaletteState {
    /// What was typed.
    pub query: String,
    /// The row that Enter runs.
    pub cursor: usize,
    /// Genes found for the query they were searched with.
    pub genes: (String, Vec<usize>),
}

/// The state of fields and popups: never saved, and of no meaning outside the panels.
#[derive(Debug, Default)]
pub struct Local {
    /// The selected cell.
    pub selected: Option<usize>,
    /// The tab at the right.
    pub side: Side,
    /// What dragging on the map does.
    pub tool: Tool,
    /// The column of labels shown.
    pub labels_at: usize,
    /// What was typed in the field for labels.
    pub label_query: String,
    /// Whether that field shall take the keyboard.
    pub focus_label_field: bool,
    /// Terms offered for what was typed.
    pub terms_offered: labels::Offered,
    /// What is being renamed.
    pub renaming: Option<Renaming>,
    /// Names of cells that were pasted.
    pub cell_names: String,
    /// The range of numbers to select, and of what.
    pub range: Option<(String, f32, f32)>,
    /// Whether the map shall bring the selected cell into view.
    pub reveal: bool,
    /// A zoom about the middle of the map that was asked for.
    pub zoom: Option<f32>,
    /// What was typed in the gene field.
    pub gene_query: String,
    /// Whether the gene field shall take the keyboard.
    pub focus_gene_field: bool,
    /// Genes found for the query they were searched with.
    pub genes_found: Option<(String, Vec<usize>)>,
    /// The palette, while it is open.
    pub palette: Option<PaletteState>,
    /// The dialog, while one is open.
    pub dialog: Option<Dialog>,
    /// What the user was asked about before it is done.
    pub leaving: Option<Leaving>,
    /// What was typed above the list of cells.
    pub list_query: String,
    /// Rows of the list for the query they were searched with.
    pub list_found: Option<(String, Vec<usize>)>,
    /// A search for cells that is running, and what it searches.
    pub list_task: Option<(String, Task<Vec<usize>>)>,
    /// The ontology panel.
    pub ontology: OntologyLocal,
    /// What was typed above the legend.
    pub legend_query: String,
    /// Whether all findings are shown, or the first few.
    pub all_findings: bool,
    /// Whether all rows of the legend are shown, or the first many.
    pub all_categories: bool,
    /// Where the large map was last drawn.
    pub map_rect: Option<eframe::egui::Rect>,
    /// How wide the middle of the window was in the last frame.
    pub middle_width: Option<f32>,
    /// The plots.
    pub plots: Plots,
    /// The small maps.
    pub gene_maps: GeneMaps,
    /// The panel of gene lists.
    pub gene_list_panel: GeneListPanel,
    /// The panel of comparisons.
    pub compare_panel: ComparePanel,
    /// When notices were first shown, in seconds of the window's clock.
    pub notice_times: BTreeMap<u64, f64>,
}

/// Where panels put what they want done.
pub type Out<'a> = &'a mut Vec<Action>;

/// How long a word about something done stays.
pub const NOTICE_TIME: Duration = Duration::from_secs(8);
