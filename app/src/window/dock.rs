//! The panes in the middle of the window: which there are, and where they lie.
//!
//! The places are kept by egui_tiles: panes can be dragged by their tabs into other tabs and beside each other, and
//! made larger and smaller. What is saved between starts is read as untrusted: a damaged layout gives the first one.

use std::collections::BTreeSet;

use egui_tiles::{Container, Linear, LinearDir, SimplificationOptions, Tile, TileId, Tiles, Tree};
use serde::{Deserialize, Serialize};

/// What a pane shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pane {
    /// The map of the cells.
    Map,
    /// The cells as a list.
    List,
    /// How the values of a gene or a column are spread.
    Histogram,
    /// Genes over groups of cells, with their densities.
    Violin,
    /// Genes over groups of cells: mean and share.
    DotPlot,
    /// Genes over groups of cells: means.
    Heatmap,
    /// One gene against another.
    Scatter,
    /// One column divided by another.
    Composition,
    /// What differs between two sets of cells.
    Comparison,
    /// One small map a gene or a column.
    GeneMaps,
    /// Lists of genes.
    Genes,
}

impl Pane {
    /// All panes.
    pub const ALL: [Self; 11] = [
        Self::Map,
        Self::List,
        Self::Histogram,
        Self::Violin,
        Self::DotPlot,
        Self::Heatmap,
        Self::Scatter,
        Self::Composition,
        Self::GeneMaps,
        Self::Comparison,
        Self::Genes,
    ];

    /// Its name on its tab.
    pub fn title(self) -> &'static str {
        match self {
            Self::Map => "Map",
            Self::List => "List",
            Self::Histogram => "Histogram",
            Self::Violin => "Violin plot",
            Self::DotPlot => "Dot plot",
            Self::Heatmap => "Heatmap",
            Self::Scatter => "Gene by gene",
            Self::Composition => "Composition",
            Self::Comparison => "Comparison",
            Self::GeneMaps => "Small maps",
            Self::Genes => "Gene lists",
        }
    }
}

/// Where the panes lie.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dock {
    tree: Tree<Pane>,
}

impl std::fmt::Debug for Dock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.panes()).finish()
    }
}

impl Default for Dock {
    fn default() -> Self {
        Self { tree: Tree::new_tabs(tree_id(), vec![Pane::Map]) }
    }
}

fn tree_id() -> eframe::egui::Id {
    eframe::egui::Id::unique("dock")
}

/// Points that two panes need to lie side by side.
const LEAST_SPLIT: f32 = 400.0;
/// How far a tree may be nested; a person does not come near.
const MAX_TILES: usize = 128;

/// Every pane has a tab, so that it can be dragged and closed.
pub const SIMPLIFICATION: SimplificationOptions = SimplificationOptions {
    prune_empty_tabs: true,
    prune_empty_containers: true,
    prune_single_child_tabs: true,
    prune_single_child_containers: true,
    all_panes_must_have_tabs: true,
    join_nested_linear_containers: true,
    flatten_tabs_in_tabs: true,
};

impl Dock {
    /// The tree for painting.
    pub fn tree(&mut self) -> &mut Tree<Pane> {
        &mut self.tree
    }

    /// The panes that are open, each once.
    pub fn panes(&self) -> BTreeSet<Pane> {
        self.tree
            .tiles
            .tiles()
            .filter_map(|tile| match tile {
                Tile::Pane(pane) => Some(*pane),
                Tile::Container(_) => None,
            })
            .collect()
    }

    /// The panes that are not behind another tab.
    pub fn in_front(&self) -> BTreeSet<Pane> {
        self.tree.active_tiles().iter().filter_map(|tile| self.tree.tiles.get_pane(tile)).copied().collect()
    }

    /// Whether a pane is open and not behind another tab.
    pub fn shows(&self, pane: Pane) -> bool {
        let place = self.tree.tiles.find_pane(&pane);
        place.is_some_and(|place| self.tree.active_tiles().contains(&place))
    }

    /// Whether no tab needs to be seen: there is one pane only.
    pub fn is_single(&self) -> bool {
        self.panes().len() <= 1
    }

    /// Opens a pane, or brings it to the front.
    ///
    /// The list takes the place of the map, as a tab; the first plot lies beside them, and further ones become tabs
    /// of it. A person moves them from there.
    pub fn open(&mut self, pane: Pane) {
        self.open_within(pane, f32::INFINITY);
    }

    /// The same where the middle of the window is `width` points wide: where there is no room for two panes side by
    /// side, the new one becomes a tab of what is there.
    pub fn open_within(&mut self, pane: Pane, width: f32) {
        if self.tree.tiles.find_pane(&pane).is_none() {
            self.insert(pane, width >= LEAST_SPLIT);
        }
        self.tree.make_active(|_, tile| matches!(tile, Tile::Pane(p) if *p == pane));
    }

    fn insert(&mut self, pane: Pane, beside: bool) {
        let new = self.tree.tiles.insert_pane(pane);
        let is_cells = |p: Pane| matches!(p, Pane::Map | Pane::List);
        // The tabs that hold panes of the same kind.
        let home = self.tree.tiles.iter().find_map(|(id, tile)| match tile {
            Tile::Container(Container::Tabs(tabs)) => {
                let mut panes = tabs.children.iter().filter_map(|c| self.tree.tiles.get_pane(c));
                panes.any(|p| is_cells(*p) == is_cells(pane)).then_some(*id)
            }
            _ => None,
        });
        let any_tabs = || {
            let is_tabs = |tile: &Tile<Pane>| matches!(tile, Tile::Container(Container::Tabs(_)));
            self.tree.tiles.iter().find(|(_, tile)| !beside && is_tabs(tile)).map(|(id, _)| *id)
        };
        if let Some(home) = home.or_else(any_tabs) {
            if let Some(Tile::Container(container)) = self.tree.tiles.get_mut(home) {
                container.add_child(new);
            }
            return;
        }
        let tabs = self.tree.tiles.insert_tab_tile(vec![new]);
        self.tree.root = Some(match self.tree.root {
            None => tabs,
            Some(root) => {
                let share = 0.5;
                let pair = if is_cells(pane) { [tabs, root] } else { [root, tabs] };
                self.tree.tiles.insert_new(Tile::Container(Container::Linear(Linear::new_binary(
                    LinearDir::Horizontal,
                    pair,
                    share,
                ))))
            }
        });
    }

    /// Closes a pane. The last one stays.
    pub fn close(&mut self, pane: Pane) {
        if self.is_single() {
            return;
        }
        if let Some(place) = self.tree.tiles.find_pane(&pane) {
            self.tree.remove_recursively(place);
            self.tree.simplify(&SIMPLIFICATION);
        }
    }

    /// The same where it can be used, the first layout where it cannot: a pane twice, a tile that is not there or is
    /// in two places, none at all.
    pub fn sane(self) -> Self {
        let panes = self.tree.tiles.tiles().filter(|tile| tile.is_pane()).count();
        let sound = panes > 0
            && panes == self.panes().len()
            && self.tree.tiles.len() <= MAX_TILES
            && self.tree.root.is_some_and(|root| {
                let mut seen = BTreeSet::new();
                is_tree(&self.tree.tiles, root, &mut seen) && seen.len() == self.tree.tiles.len()
            });
        if !sound {
            return Self::default();
        }
        // The number of the next tile and the name of the tree come from the file as well: both are made anew.
        let mut tiles = self.tree.tiles;
        tiles.recompute_next_tile_id();
        let all: Vec<TileId> = tiles.tile_ids().collect();
        all.into_iter().for_each(|tile| tiles.set_visible(tile, true));
        match self.tree.root {
            Some(root) => Self { tree: Tree::new(tree_id(), root, tiles) },
            None => Self::default(),
        }
    }
}

/// Whether every tile under `at` is there and in one place only, and all shares are numbers.
fn is_tree(tiles: &Tiles<Pane>, at: TileId, seen: &mut BTreeSet<u64>) -> bool {
    if !seen.insert(at.0) {
        return false;
    }
    match tiles.get(at) {
        None => false,
        Some(Tile::Pane(_)) => true,
        Some(Tile::Container(container)) => {
            let shares_are_sound = match container {
                Container::Linear(linear) => linear.shares.iter().all(|(_, s)| s.is_finite() && *s >= 0.0),
                Container::Tabs(_) => true,
                // The window makes none, and its shares cannot be looked at.
                Container::Grid(_) => false,
            };
            shares_are_sound
                && container.num_children() > 0
                && container.children_vec().into_iter().all(|child| is_tree(tiles, child, seen))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_layout_is_the_map_alone() {
        let dock = Dock::default();
        assert!(dock.is_single() && dock.shows(Pane::Map));
    }

    #[test]
    fn the_list_takes_the_place_of_the_map_and_plots_lie_beside_it() {
        let mut dock = Dock::default();
        dock.open(Pane::List);
        assert!(dock.shows(Pane::List) && !dock.shows(Pane::Map));
        dock.open(Pane::Map);
        assert!(dock.shows(Pane::Map) && !dock.shows(Pane::List));
        dock.open(Pane::Violin);
        assert!(dock.shows(Pane::Map) && dock.shows(Pane::Violin));
        dock.open(Pane::Heatmap);
        assert!(dock.shows(Pane::Map) && dock.shows(Pane::Heatmap) && !dock.shows(Pane::Violin));
        assert_eq!(dock.panes().len(), 4);
        for pane in [Pane::Heatmap, Pane::Violin, Pane::Map, Pane::List] {
            dock.close(pane);
        }
        assert_eq!(dock.panes(), [Pane::List].into(), "the last one stays");
        dock.open(Pane::Map);
        assert!(dock.shows(Pane::Map));
    }

    #[test]
    fn where_there_is_no_room_beside_the_map_a_plot_becomes_a_tab() {
        let mut dock = Dock::default();
        dock.open_within(Pane::Violin, 212.0);
        assert!(dock.shows(Pane::Violin) && !dock.shows(Pane::Map));
        dock.open_within(Pane::Map, 212.0);
        assert!(dock.shows(Pane::Map) && !dock.shows(Pane::Violin));
        assert_eq!(dock.panes().len(), 2);
    }

    #[test]
    fn a_layout_comes_back_as_it_was_saved() {
        let mut dock = Dock::default();
        for pane in Pane::ALL {
            dock.open(pane);
        }
        let text = serde_json::to_string(&dock).unwrap();
        let again: Dock = serde_json::from_str(&text).unwrap();
        let again = again.sane();
        assert_eq!(again.panes(), Pane::ALL.into());
        assert_eq!(
            serde_json::to_value(&again).unwrap()["root"],
            serde_json::to_value(&dock).unwrap()["root"]
        );
    }

    #[test]
    fn a_damaged_layout_gives_the_first_one() {
        let mut dock = Dock::default();
        dock.open(Pane::Violin);
        let sound = serde_json::to_string(&dock).unwrap();
        let damaged = [
            sound.replace("violin", "map"),
            sound.replace(r#""root":"#, r#""root":null,"was":"#),
            sound.replace(r#""children":[1"#, r#""children":[77"#),
        ];
        for text in damaged {
            assert_ne!(text, sound);
            let Ok(dock) = serde_json::from_str::<Dock>(&text) else { continue };
            assert_eq!(dock.sane(), Dock::default(), "{text}");
        }
    }
}
