//! What the window remembers: plain data, saved between starts and never required.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dock::Dock;
use super::figure;
use super::map::{Camera, NumberRange};
use super::palette;
use super::panels::{CompareSpec, GeneList, PlotSettings};
use super::quality::QualityFigure;
use super::theme::ThemeChoice;

/// Files kept in the list of recent ones.
const MAX_RECENT: usize = 8;

/// What the cells are coloured by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColourBy {
    /// One colour for all.
    #[default]
    Nothing,
    /// A column of obs, by name.
    Column(String),
    /// A gene.
    Gene {
        /// Row of the gene list of the data set.
        gene: usize,
        /// Its symbol.
        symbol: String,
    },
    /// The mean of a set of genes.
    GeneSet {
        /// The set's name.
        name: String,
        /// Its genes, by name.
        genes: Vec<String>,
    },
    /// A quality figure worked out here.
    Quality(QualityFigure),
    /// What the descriptions say of the cells.
    Said(Said),
    /// Labels given by hand, by name.
    Labels(String),
}

/// Something that descriptions say of cells, or how sure they are of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The cell type.
    CellType,
    /// The tissue.
    Tissue,
    /// The disease.
    Disease,
    /// The stage of life.
    Stage,
    /// The first pathway.
    Pathway,
    /// How probable the cell type was to the model.
    Probability,
    /// Whether the cell's genes support the cell type.
    Support,
}

impl Said {
    /// All of them, in the order of lists.
    pub const ALL: [Self; 7] = [
        Self::CellType,
        Self::Tissue,
        Self::Disease,
        Self::Stage,
        Self::Pathway,
        Self::Probability,
        Self::Support,
    ];

    /// Its name in lists and above the legend.
    pub fn text(self) -> &'static str {
        match self {
            Self::CellType => "Described cell type",
            Self::Tissue => "Described tissue",
            Self::Disease => "Described disease",
            Self::Stage => "Described stage",
            Self::Pathway => "Described pathway",
            Self::Probability => "Probability of the cell type",
            Self::Support => "Support of the cell type",
        }
    }
}

/// How rows of the legend are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegendOrder {
    /// As the file has them.
    #[default]
    File,
    /// By name, numbers within names by size.
    Name,
    /// The largest first.
    Count,
}

/// How colours are chosen and explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ColourStyle {
    /// The scale of numbers.
    pub scale: palette::Scale,
    /// Whether the file's own colours of categories are used.
    pub from_file: bool,
    /// Whether categories are named on the map.
    pub labels: bool,
    /// How the legend is sorted.
    pub order: LegendOrder,
}

impl Default for ColourStyle {
    fn default() -> Self {
        Self { scale: palette::Scale::default(), from_file: true, labels: true, order: LegendOrder::File }
    }
}

/// How the cells are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// On the map.
    #[default]
    Map,
    /// In a list.
    List,
}

/// The view of the open data set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct View {
    /// What the cells are coloured by.
    pub colour_by: ColourBy,
    /// The embedding shown, by its key in obsm.
    pub embedding: String,
    /// Where the map looks; `None` until it is fitted.
    pub camera: Option<Camera>,
    /// Map or list.
    pub layout: Layout,
    /// What the plots show.
    pub plots: PlotSettings,
    /// What is compared with what.
    pub comparison: CompareSpec,
    /// Which part of the range of numbers the colours span.
    pub range: NumberRange,
    /// Hidden categories of the current column, by number in the legend.
    #[serde(skip)]
    pub hidden: BTreeSet<usize>,
}

impl View {
    /// The same without numbers that show nothing: files may be damaged.
    #[must_use]
    pub fn sound(mut self) -> Self {
        self.camera = self.camera.filter(Camera::is_sound);
        self.range = self.range.sound();
        self
    }
}

/// What is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// Light, dark or system.
    pub theme: ThemeChoice,
    /// Files opened before, newest first.
    pub recent: Vec<PathBuf>,
    /// Width of the data panel in points.
    pub data_panel_width: f32,
    /// Width of the cell panel in points.
    pub cell_panel_width: f32,
    /// Height of the ontology panel in points.
    pub ontology_height: f32,
    /// Whether the data panel is open.
    pub data_panel_open: bool,
    /// Whether the cell panel is open.
    pub cell_panel_open: bool,
    /// Whether the ontology panel is open.
    pub ontology_open: bool,
    /// Size of everything, 1 is normal.
    pub scale: f32,
    /// Whether the first hint was put away.
    pub hint_seen: bool,
    /// Whether it was said that the processor draws the window.
    pub software_seen: bool,
    /// Where the panes lie.
    pub dock: Dock,
    /// Lists of genes.
    pub gene_lists: Vec<GeneList>,
    /// How figures are written.
    pub figure: figure::Settings,
    /// How colours are chosen and explained.
    pub colours: ColourStyle,
    /// The last file and how it was looked at.
    pub last_view: Option<(PathBuf, View)>,
    /// The folder of the model that describes cells; `None` is the built-in one.
    pub model: Option<PathBuf>,
    /// Folders of models elsewhere than in the folder of models, newest first.
    pub models: Vec<PathBuf>,
}

impl Default for Saved {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            recent: Vec::new(),
            data_panel_width: 272.0,
            cell_panel_width: 352.0,
            ontology_height: 300.0,
            data_panel_open: true,
            cell_panel_open: true,
            ontology_open: true,
            scale: 1.0,
            hint_seen: false,
            software_seen: false,
            dock: Dock::default(),
            gene_lists: Vec::new(),
            figure: figure::Settings::default(),
            colours: ColourStyle::default(),
            last_view: None,
            model: None,
            models: Vec::new(),
        }
    }
}

impl Saved {
    /// What `text` says; the defaults for everything it does not say or says wrongly.
    pub fn from_json(text: &str) -> Self {
        let mut saved = Self::default();
        // Field by field, so that one damaged entry does not lose the others.
        let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else { return saved };
        for (name, value) in fields {
            let Ok(serde_json::Value::Object(mut whole)) = serde_json::to_value(&saved) else { continue };
            whole.insert(name, value);
            if let Ok(better) = serde_json::from_value(serde_json::Value::Object(whole)) {
                saved = better;
            }
        }
        saved.sanitise();
        saved
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    fn sanitise(&mut self) {
        let default = Self::default();
        let keep = |v: f32, range: std::ops::RangeInclusive<f32>, otherwise: f32| {
            if v.is_finite() { v.clamp(*range.start(), *range.end()) } else { otherwise }
        };
        self.data_panel_width = keep(self.data_panel_width, 140.0..=480.0, default.data_panel_width);
        self.cell_panel_width = keep(self.cell_panel_width, 180.0..=640.0, default.cell_panel_width);
        self.ontology_height = keep(self.ontology_height, 140.0..=640.0, default.ontology_height);
        self.scale = keep(self.scale, 0.5..=3.0, 1.0);
        self.recent.truncate(MAX_RECENT);
        self.models.truncate(MAX_RECENT);
        self.dock = std::mem::take(&mut self.dock).sane();
        self.figure = self.figure.sane();
        if let Some((_, view)) = &mut self.last_view {
            *view = std::mem::take(view).sound();
        }
    }

    /// Puts the model in `folder` at the top of those that lie elsewhere.
    pub fn remember_model(&mut self, folder: PathBuf) {
        self.models.retain(|known| *known != folder);
        self.models.insert(0, folder);
        self.models.truncate(MAX_RECENT);
    }

    /// Puts `path` at the top of the recent files.
    pub fn remember(&mut self, path: &Path) {
        self.recent.retain(|p| p != path);
        self.recent.insert(0, path.to_path_buf());
        self.recent.truncate(MAX_RECENT);
    }
}

/// The file in which [`Saved`] lies unless another is named, in the user's configuration folder.
pub fn default_path() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("org", "Cell2Text", "Cell2Text")?.config_dir().join("window.json"))
}

/// Reads what was saved in `path`; the defaults where nothing was or it cannot be read.
pub fn load(path: &Path) -> Saved {
    std::fs::read_to_string(path).map_or_else(|_| Saved::default(), |text| Saved::from_json(&text))
}

/// Saves in `path`. A failure is not worth a word to the user: the window only forgets its widths.
pub fn store(saved: &Saved, path: &Path) {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
        // Written beside and renamed, so that a full disk never leaves half a file.
        let beside = path.with_extension("json.new");
        std::fs::write(&beside, saved.to_json())?;
        std::fs::rename(&beside, path)
    });
    if let Err(error) = written {
        tracing::debug!("{}: could not save the window's state: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Saved {
        Saved {
            theme: ThemeChoice::Dark,
            recent: vec!["a.h5ad".into()],
            data_panel_width: 300.0,
            hint_seen: true,
            model: Some("models/small".into()),
            models: vec!["elsewhere".into()],
            last_view: Some((
                "a.h5ad".into(),
                View {
                    colour_by: ColourBy::Gene { gene: 3, symbol: "CD3E".into() },
                    embedding: "X_umap".into(),
                    camera: Some(Camera { centre: [1.0, 2.0], points_per_unit: 30.0 }),
                    ..View::default()
                },
            )),
            ..Saved::default()
        }
    }

    #[test]
    fn what_is_saved_comes_back() {
        assert_eq!(Saved::from_json(&some().to_json()), some());
        assert_eq!(Saved::from_json(&Saved::default().to_json()), Saved::default());
    }

    #[test]
    fn damage_costs_only_what_is_damaged() {
        for text in ["", "{", "[]", "null", "\u{0}"] {
            assert_eq!(Saved::from_json(text), Saved::default());
        }
        let saved = Saved::from_json(
            r#"{"theme": "purple", "recent": ["b.h5ad"], "data_panel_width": "wide", "scale": 1e30, "news": 1}"#,
        );
        assert_eq!(saved.theme, ThemeChoice::System);
        assert_eq!(saved.recent, [PathBuf::from("b.h5ad")]);
        assert_eq!(saved.data_panel_width, Saved::default().data_panel_width);
        assert_eq!(saved.scale, 3.0);
    }

    #[test]
    fn a_file_opened_again_moves_to_the_top_and_the_list_stays_short() {
        let mut saved = Saved::default();
        for i in 0..20 {
            saved.remember(Path::new(&format!("{i}.h5ad")));
        }
        saved.remember(Path::new("15.h5ad"));
        assert_eq!(saved.recent.len(), MAX_RECENT);
        assert_eq!(saved.recent[0], Path::new("15.h5ad"));
        assert_eq!(saved.recent.iter().filter(|p| *p == Path::new("15.h5ad")).count(), 1);
    }
}
