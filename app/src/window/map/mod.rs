//! The map of the cells: what is drawn, where, and which cell is under the pointer.

mod camera;
mod colouring;
#[cfg(test)]
mod frame_times;
mod gestures;
mod gpu;
mod in_words;
mod labels;
mod order;
mod picking;
mod pipelines;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use eframe::egui;
use engine::anndata::{Frame, MatrixChoice, MatrixKey, Scale, first_label, has_few_values};
use engine::session::{Dataset, FirstLook, GeneColour};

pub use camera::{Bounds, Camera};
pub use colouring::{Category, Colouring, Look, Meaning, NumberRange, Words};
pub use gestures::Tool;
pub use gpu::{cells_while_moving, install, max_cells};
pub use in_words::{grouped, number};
pub use labels::Anchor;
pub use picking::Step;
pub use view::{MapView, focus_key, map_ui};

use super::annotating::LabelColumn;
use super::background::{Poll, Task};
use super::selection::CellSet;
use super::state::ColourBy;
use super::theme::Tokens;
use gpu::{DIM, Drawing, Versioned};
use picking::CellIndex;

/// Cells up to which colours are worked out at once; above, on another thread.
const AT_ONCE: usize = 60_000;

/// The places of the cells in one embedding.
#[derive(Debug)]
pub struct Scene {
    dataset: Arc<Dataset>,
    embedding: usize,
    gpu: Arc<Versioned<[f32; 2]>>,
    index: Option<CellIndex>,
    unplaced: usize,
    /// The share of the box around all cells in which there are any.
    occupied: f32,
}

impl Scene {
    fn new(dataset: Arc<Dataset>, embedding: usize) -> Self {
        let positions = dataset.embeddings.get(embedding).map_or(&[][..], |e| &e.positions);
        let index = CellIndex::new(positions);
        // The GPU never draws a cell without a place, but may read it.
        let gpu = positions.iter().map(|p| if p[0].is_finite() && p[1].is_finite() { *p } else { [0.0; 2] });
        let gpu = Versioned::new(gpu.collect());
        let unplaced = positions.iter().filter(|p| !(p[0].is_finite() && p[1].is_finite())).count();
        let occupied = index.as_ref().map_or(1.0, CellIndex::occupied);
        Self { dataset, embedding, gpu, index, unplaced, occupied }
    }

    /// x and y of every cell.
    pub fn positions(&self) -> &[[f32; 2]] {
        self.dataset.embeddings.get(self.embedding).map_or(&[][..], |e| &e.positions)
    }

    /// The data set whose cells these are.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// The box around all cells.
    pub fn bounds(&self) -> Option<Bounds> {
        self.index.as_ref().map(CellIndex::bounds)
    }

    /// Cells without a place.
    pub fn unplaced(&self) -> usize {
        self.unplaced
    }
}

struct Prepared {
    scene: Arc<Scene>,
    colouring: Arc<Colouring>,
    order: Arc<Versioned<[u32; 2]>>,
    sample: Arc<Versioned<[u32; 2]>>,
    anchors: Vec<Anchor>,
}

/// What the cells are coloured by, with the values.
#[derive(Debug, Clone)]
pub enum Source {
    /// One colour.
    Nothing,
    /// A column of obs.
    Column(String),
    /// A gene that was read.
    Gene(GeneColour),
    /// Categories worked out elsewhere.
    Words(Words),
    /// Numbers worked out elsewhere.
    Numbers {
        /// Above the legend.
        title: String,
        /// Values, NaN where missing.
        values: Arc<[f32]>,
        /// What the values are.
        unit: String,
    },
    /// Labels given by hand.
    Labels(Arc<LabelColumn>),
    /// Nothing that could be coloured by, and why.
    Unusable {
        /// Above the legend.
        title: String,
        /// Why, for the user.
        why: String,
    },
}

/// Everything drawn on the map, made anew when the embedding or the colours change.
pub struct Map {
    scene: Option<Arc<Scene>>,
    colouring: Arc<Colouring>,
    order: Arc<Versioned<[u32; 2]>>,
    sample: Arc<Versioned<[u32; 2]>>,
    anchors: Vec<Anchor>,
    table: Arc<Versioned<[u8; 4]>>,
    /// What the table was made from: the look, dark, the colouring's order.
    table_of: Option<(Look, bool, u64)>,
    task: Option<Task<Prepared>>,
    drawing: Arc<Drawing>,
    /// Cells drawn while the map moves.
    while_moving: usize,
    /// The cells drawn as selected, and the version of the order that was marked with them.
    selected: Option<(Arc<CellSet>, u64)>,
    /// The drawing order with the cells outside of the selection marked; `order` itself where none is selected.
    drawn: Arc<Versioned<[u32; 2]>>,
    /// The sample in the same way.
    drawn_sample: Arc<Versioned<[u32; 2]>>,
}

impl Default for Map {
    fn default() -> Self {
        Self {
            scene: None,
            colouring: Arc::new(Colouring::plain()),
            order: Versioned::new(Vec::new()),
            sample: Versioned::new(Vec::new()),
            anchors: Vec::new(),
            table: Versioned::new(Vec::new()),
            table_of: None,
            task: None,
            drawing: Drawing::new(),
            while_moving: usize::MAX,
            selected: None,
            drawn: Versioned::new(Vec::new()),
            drawn_sample: Versioned::new(Vec::new()),
        }
    }
}

impl Map {
    /// A map of which at most `while_moving` cells are drawn while it moves.
    pub fn new(while_moving: usize) -> Self {
        Self { while_moving, ..Self::default() }
    }

    /// Another, empty map for the same screen.
    pub fn another(&self) -> Self {
        Self::new(self.while_moving)
    }

    /// Shows an embedding of a data set, coloured by `source` over the part `range` of its numbers. What is shown stays
    /// until the new is ready.
    pub fn show(
        &mut self,
        ctx: &egui::Context,
        dataset: &Arc<Dataset>,
        embedding: usize,
        source: Source,
        range: NumberRange,
    ) {
        let same =
            self.scene.clone().filter(|s| Arc::ptr_eq(&s.dataset, dataset) && s.embedding == embedding);
        let dataset = dataset.clone();
        let n_obs = dataset.n_obs;
        let while_moving = self.while_moving;
        let work = move || {
            let scene = same.unwrap_or_else(|| Arc::new(Scene::new(dataset.clone(), embedding)));
            let colouring = match &source {
                Source::Nothing => Colouring::plain(),
                Source::Column(name) => dataset.obs.column(name).map_or_else(Colouring::plain, |column| {
                    Colouring::by_column_over(&dataset, column, range)
                }),
                Source::Gene(gene) => Colouring::by_gene_over(gene, range),
                Source::Words(words) => Colouring::by_words(words.clone()),
                Source::Numbers { title, values, unit } => {
                    Colouring::by_numbers(title.clone(), values.clone(), unit.clone(), range)
                }
                Source::Labels(column) => Colouring::by_labels(column, dataset.n_obs),
                Source::Unusable { title, why } => {
                    Colouring { title: title.clone(), meaning: Meaning::Unusable(why.clone()) }
                }
            };
            let order = Versioned::new(colouring.drawing_order(scene.positions()));
            let sample = if order.data.len() <= while_moving {
                order.clone()
            } else {
                Versioned::new(colouring.sample(&order.data, while_moving))
            };
            let anchors = labels::anchors(&colouring, scene.positions());
            Prepared { scene, colouring: Arc::new(colouring), order, sample, anchors }
        };
        if n_obs <= AT_ONCE {
            self.task = None;
            self.take(work());
        } else {
            // A task started before and not yet done is forgotten: its answer is no longer wanted.
            self.task = Some(Task::start(ctx, "colours", work));
        }
        // egui drops a paint callback in the first frame of a new area; a second frame draws it.
        ctx.request_repaint();
    }

    /// Shows nothing.
    pub fn clear(&mut self) {
        *self = Self::new(self.while_moving);
    }

    fn take(&mut self, prepared: Prepared) {
        self.scene = Some(prepared.scene);
        self.colouring = prepared.colouring;
        self.order = prepared.order;
        self.sample = prepared.sample;
        self.anchors = prepared.anchors;
    }

    /// Takes up finished work. Called every frame.
    pub fn update(&mut self) {
        match self.task.as_ref().map(Task::poll) {
            Some(Poll::Done(prepared)) => {
                self.task = None;
                self.take(prepared);
            }
            Some(Poll::Lost) => self.task = None,
            Some(Poll::Running) | None => {}
        }
    }

    /// Whether colours are being worked out.
    pub fn is_busy(&self) -> bool {
        self.task.is_some()
    }

    /// The colours and what they mean.
    pub fn colouring(&self) -> &Arc<Colouring> {
        &self.colouring
    }

    /// Where the names of categories stand, the largest category first.
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// Whether every cell with a place is in the picture that was last painted.
    pub fn is_drawn(&self) -> bool {
        self.drawing.is_complete()
    }

    /// What to say while not every cell is drawn: one of how many is, and that small groups are whole.
    fn moving_words(&self) -> String {
        let (all, some) = (self.order.data.len(), self.sample.data.len().max(1));
        let one_of = ((all as f64 / some as f64).round() as usize).max(2);
        format!("Showing 1 of {one_of} cells while moving, small groups whole")
    }

    /// The places of the cells.
    pub fn scene(&self) -> Option<&Arc<Scene>> {
        self.scene.as_ref()
    }

    /// Whether what is shown belongs to this data set and is what was asked for.
    pub fn shows(&self, dataset: &Arc<Dataset>) -> bool {
        self.scene.as_ref().is_some_and(|s| Arc::ptr_eq(&s.dataset, dataset))
    }

    /// Brings the colours in line with the theme and the look. Called every frame.
    pub fn update_table(&mut self, look: &Look, tokens: &Tokens) {
        let version = self.order.version;
        let same =
            self.table_of.as_ref().is_some_and(|(l, d, v)| l == look && *d == tokens.dark && *v == version);
        if !same {
            self.colouring = Arc::new(self.colouring.restyled(look));
            self.table = Versioned::new(self.colouring.table(look, tokens.dark, tokens.missing, tokens.bar));
            self.table_of = Some((look.clone(), tokens.dark, version));
        }
    }

    /// Draws these cells as selected. Called every frame; costs nothing where they are the same as before.
    pub fn update_selection(&mut self, cells: &Arc<CellSet>) {
        let version = self.order.version;
        if self.selected.as_ref().is_some_and(|(drawn, of)| Arc::ptr_eq(drawn, cells) && *of == version) {
            return;
        }
        self.drawn = if cells.is_empty() {
            self.order.clone()
        } else {
            Versioned::new(marked(&self.order.data, cells))
        };
        self.drawn_sample = if cells.is_empty() {
            self.sample.clone()
        } else if self.sample.version == version {
            self.drawn.clone()
        } else {
            Versioned::new(marked(&self.sample.data, cells))
        };
        self.selected = Some((cells.clone(), version));
    }

    /// The drawing order as it is to be drawn.
    fn drawn(&self) -> &Arc<Versioned<[u32; 2]>> {
        // An order that came since the last update is not marked yet.
        let is_marked = self.selected.as_ref().is_some_and(|(_, of)| *of == self.order.version);
        if is_marked { &self.drawn } else { &self.order }
    }

    /// The sample as it is to be drawn.
    fn drawn_sample(&self) -> &Arc<Versioned<[u32; 2]>> {
        let is_marked = self.selected.as_ref().is_some_and(|(_, of)| *of == self.order.version);
        if is_marked { &self.drawn_sample } else { &self.sample }
    }

    /// How many cells are drawn as selected.
    pub fn n_selected(&self) -> usize {
        self.selected.as_ref().map_or(0, |(cells, _)| cells.len())
    }

    /// The cells inside an area of the embedding shown that are neither hidden nor without a place.
    pub fn cells_inside(&self, area: &[[f32; 2]], hidden: &BTreeSet<usize>) -> Option<CellSet> {
        let scene = self.scene.as_ref()?;
        let positions = scene.positions();
        let mut cells = Vec::new();
        scene.index.as_ref()?.inside(positions, area, |cell| {
            if self.colouring.shows(cell, hidden) {
                cells.push(cell);
            }
        });
        Some(CellSet::from_cells(positions.len(), cells))
    }

    /// The cell that a walking step leads to: from the selected cell, or the one nearest to the middle.
    pub fn walk(
        &self,
        from: Option<usize>,
        step: Step,
        camera: &Camera,
        hidden: &BTreeSet<usize>,
    ) -> Option<usize> {
        let scene = self.scene.as_ref()?;
        let shown = |cell: usize| self.colouring.shows(cell, hidden);
        match from {
            Some(from) => picking::walk(scene.positions(), from, step, shown),
            None => {
                scene.index.as_ref()?.nearest(scene.positions(), camera.centre, f32::MAX.sqrt() / 4.0, shown)
            }
        }
    }
}

/// A drawing order with the cells outside of `selected` marked and drawn first, so that they cover none of the others.
fn marked(order: &[[u32; 2]], selected: &CellSet) -> Vec<[u32; 2]> {
    let is_in = |instance: &&[u32; 2]| selected.contains(instance[0] as usize);
    let mut out = Vec::with_capacity(order.len());
    out.extend(order.iter().filter(|i| !is_in(i)).map(|[cell, entry]| [*cell, entry | DIM]));
    out.extend(order.iter().filter(is_in));
    out
}

/// The column that cells are coloured by when a file is opened: a cell type if there is one, else clusters, else the
/// first column of few categories.
pub fn first_colour(dataset: &Dataset) -> ColourBy {
    let usable = |name: &str| dataset.obs.column(name).is_some_and(|column| has_few_values(&column.values));
    let names: Vec<&str> = dataset.obs.columns.iter().map(|c| c.name.as_str()).collect();
    first_label(&names, usable).map_or(ColourBy::Nothing, |name| ColourBy::Column(name.to_owned()))
}

/// A data set of nothing but what a first look shows, to be drawn until the whole one is there.
pub fn dataset_of(look: &FirstLook) -> Dataset {
    let columns = look.column.iter().cloned().collect();
    let colours = look.column.iter().zip(&look.colours).map(|(c, list)| (c.name.clone(), list.clone()));
    Dataset {
        source: look.source.clone(),
        name: look.name.clone(),
        n_obs: look.n_obs,
        obs: Frame { columns, ..Frame::default() }.into(),
        genes: Vec::new(),
        gene_names_in_file: Vec::new(),
        ensembl_ids: Vec::new(),
        embeddings: vec![look.embedding.clone()],
        matrix: MatrixChoice {
            key: MatrixKey::X,
            scale: Scale::Counts,
            reason: "not chosen yet".to_owned(),
            chosen_by_user: false,
        },
        matrices: Vec::new(),
        category_colours: colours.collect(),
        species: None,
        known_genes: 0,
        findings: Vec::new(),
    }
}

/// An embedding's key in obsm as a person says it.
pub fn embedding_title(key: &str) -> String {
    let name = key.strip_prefix("X_").unwrap_or(key);
    match name.to_lowercase().as_str() {
        "umap" => "UMAP".into(),
        "tsne" => "t-SNE".into(),
        "pca" => "PCA".into(),
        _ => name.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::dataset;
    use super::*;

    #[test]
    fn cells_are_first_coloured_by_their_type() {
        let mut data = dataset();
        assert_eq!(first_colour(&data), ColourBy::Column("cell_type".into()));
        data.obs.columns.truncate(3);
        assert_eq!(first_colour(&data), ColourBy::Column("cell_type_author".into()));
        data.obs.columns.truncate(2);
        assert_eq!(first_colour(&data), ColourBy::Column("louvain".into()));
        data.obs.columns.truncate(1);
        assert_eq!(first_colour(&data), ColourBy::Column("n_counts".into()));
        data.obs.columns.clear();
        assert_eq!(first_colour(&data), ColourBy::Nothing);
    }

    #[test]
    fn a_map_shows_what_it_was_given_and_knows_who_has_no_place() {
        let ctx = egui::Context::default();
        let data = Arc::new(dataset());
        let mut map = Map::default();
        map.show(&ctx, &data, 0, Source::Column("louvain".into()), NumberRange::default());
        assert!(map.shows(&data) && !map.is_busy());
        assert_eq!(map.scene().unwrap().unplaced(), 1);
        assert_eq!(map.order.data.len(), 2);
        let camera = Camera { centre: [0.9, 0.9], points_per_unit: 1.0 };
        assert_eq!(map.walk(None, Step::Left, &camera, &BTreeSet::new()), Some(1));
        assert_eq!(map.walk(Some(1), Step::Left, &camera, &BTreeSet::new()), Some(0));
        assert_eq!(map.walk(None, Step::Left, &camera, &BTreeSet::from([1])), Some(0));
    }

    #[test]
    fn a_first_look_is_drawn_as_the_whole_will_be() {
        let ctx = egui::Context::default();
        let mut data = dataset();
        data.category_colours.insert("cell_type".into(), vec![[1, 2, 3], [4, 5, 6]]);
        let look = FirstLook {
            source: data.source.clone(),
            name: data.name.clone(),
            n_obs: data.n_obs,
            embedding: data.embeddings[0].clone(),
            column: data.obs.column("cell_type").cloned(),
            colours: data.category_colours.get("cell_type").cloned(),
        };
        let lean = dataset_of(&look);
        assert_eq!(first_colour(&lean), first_colour(&data));
        let [first, whole] = [lean, data].map(|data| {
            let mut map = Map::default();
            map.show(&ctx, &Arc::new(data), 0, Source::Column("cell_type".into()), NumberRange::default());
            map.update_table(&Look::default(), Tokens::for_dark(false));
            map
        });
        assert_eq!(first.colouring().meaning, whole.colouring().meaning);
        assert_eq!((&first.order.data, &first.table.data), (&whole.order.data, &whole.table.data));
        assert_eq!(first.scene().unwrap().positions()[..2], whole.scene().unwrap().positions()[..2]);
    }

    #[test]
    fn selected_cells_are_drawn_last_and_the_others_are_marked() {
        let order = [[2, 5], [0, 1], [1, 3]];
        let drawn = marked(&order, &CellSet::from_cells(3, [2, 1]));
        assert_eq!(drawn, [[0, 1 | DIM], [2, 5], [1, 3]]);
        assert_eq!(marked(&order, &CellSet::all(3)), order);
    }

    #[test]
    fn embeddings_have_the_names_people_use() {
        for (key, title) in
            [("X_umap", "UMAP"), ("X_tsne", "t-SNE"), ("spatial", "spatial"), ("X_scvi_mde", "scvi mde")]
        {
            assert_eq!(embedding_title(key), title);
        }
    }
}
