//! One small map a gene or a column of obs, side by side: all with the camera, the selection and the hidden categories of the large map.
//!
//! Each is a picture that is drawn beside the window: any number of cells and of maps costs the window one textured
//! rectangle each. While a picture is drawn anew, the one before is moved and stretched to where it belongs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use eframe::egui::{
    self, Align2, ColorImage, Frame, Margin, Rect, Role, ScrollArea, Sense, TextureHandle, TextureOptions,
    Ui, WidgetInfo, pos2, vec2,
};
use engine::session::GeneColour;

use super::super::background::{Poll, Task};
use super::super::command::Action;
use super::super::dock::Pane;
use super::super::figure::scene::{Paint, Raster};
use super::super::map::{Camera, Colouring, Look, Meaning, Scene, grouped, number};
use super::super::palette;
use super::super::selection::CellSet;
use super::super::state::ColourBy;
use super::super::theme::Tokens;
use super::maps_table::{MapColumn, MapValues, maps_table_ui};
use super::plots::PlotSettings;
use super::plots::draw::discs;
use super::plots::picker::{genes_menu_ui, stays_open};
use super::plots::{no_genes_ui, wanted_genes};
use super::widgets::{empty_state, muted, swatch};
use super::{Local, Out, Scope};

/// Columns that are shown at most.
const MOST_COLUMNS: usize = 24;
/// The narrowest map.
const NARROWEST: f32 = 190.0;

/// The pictures of the small maps.
#[derive(Default)]
pub struct GeneMaps {
    maps: BTreeMap<Shown, SmallMap>,
}

/// What a small map is coloured by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    /// A gene, as a row of the data set's genes.
    Gene(usize),
    /// A column of obs.
    Column(String),
}

impl std::fmt::Debug for GeneMaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.maps.keys()).finish()
    }
}

#[derive(Default)]
struct SmallMap {
    wanted: Option<Key>,
    task: Option<(Key, Task<Raster>)>,
    shown: Option<(Key, TextureHandle)>,
    column: Option<Arc<ColumnColours>>,
}

/// The colours of the cells by a column; worked out beside the window, with the first picture.
struct ColumnColours {
    scene: Arc<Scene>,
    name: String,
    look: Look,
    /// The colours, and the cells in drawing order with their entries in the table of colours.
    cells: OnceLock<(Colouring, Vec<[u32; 2]>)>,
}

impl ColumnColours {
    fn cells(&self) -> &(Colouring, Vec<[u32; 2]>) {
        self.cells.get_or_init(|| {
            let dataset = self.scene.dataset();
            let column = dataset.obs.column(&self.name);
            let plain = column.map_or_else(Colouring::plain, |column| Colouring::by_column(dataset, column));
            let colouring = plain.restyled(&self.look);
            let order = colouring.drawing_order(self.scene.positions());
            (colouring, order)
        })
    }

    /// What the colours mean, in a few words; nothing before they were worked out.
    fn words(&self) -> Option<String> {
        let (colouring, _) = self.cells.get()?;
        Some(match &colouring.meaning {
            Meaning::Categories { categories, .. } if categories.len() == 1 => "1 category".to_owned(),
            Meaning::Categories { categories, .. } => format!("{} categories", categories.len()),
            Meaning::Numbers { low, high, .. } => format!("{} to {}", number(*low), number(*high)),
            Meaning::Plain => "not in this file".to_owned(),
            Meaning::Unusable(why) => why.clone(),
        })
    }
}

/// Where the colours of a picture come from.
#[derive(Clone)]
enum Colours {
    Gene(Arc<[f32]>),
    Column(Arc<ColumnColours>),
}

impl PartialEq for Colours {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gene(a), Self::Gene(b)) => Arc::ptr_eq(a, b),
            (Self::Column(a), Self::Column(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// What a picture is made of.
#[derive(Clone)]
struct Key {
    scene: Arc<Scene>,
    colours: Colours,
    colouring: Arc<Colouring>,
    hidden: BTreeSet<usize>,
    selection: Arc<CellSet>,
    camera: Camera,
    /// Pixels.
    size: [usize; 2],
    pixels_per_point: f32,
    dark: bool,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.scene, &other.scene)
            && self.colours == other.colours
            && Arc::ptr_eq(&self.colouring, &other.colouring)
            && self.hidden == other.hidden
            && Arc::ptr_eq(&self.selection, &other.selection)
            && self.camera == other.camera
            && self.size == other.size
            && self.pixels_per_point == other.pixels_per_point
            && self.dark == other.dark
    }
}

impl GeneMaps {
    /// Whether pictures are being drawn.
    pub fn is_busy(&self) -> bool {
        self.maps.values().any(|map| map.task.is_some())
    }

    /// Takes up finished pictures. Called every frame.
    pub fn update(&mut self, ctx: &egui::Context) {
        for map in self.maps.values_mut() {
            let Some((key, task)) = map.task.take() else { continue };
            match task.poll() {
                Poll::Running => map.task = Some((key, task)),
                Poll::Done(raster) => {
                    let pixels = raster.pixels.as_flattened();
                    let image = ColorImage::from_rgba_unmultiplied([raster.width, raster.height], pixels);
                    map.shown = Some((key, ctx.load_texture("gene map", image, TextureOptions::LINEAR)));
                }
                Poll::Lost => {}
            }
            // One picture at a time: while the camera moves, only the latest place is drawn next.
            if map.task.is_none()
                && let Some(wanted) = map.wanted.clone()
                && map.shown.as_ref().is_none_or(|(key, _)| *key != wanted)
            {
                map.task = Some(start(ctx, wanted));
            }
        }
    }
}

fn start(ctx: &egui::Context, key: Key) -> (Key, Task<Raster>) {
    let of = key.clone();
    (key, Task::start(ctx, "gene map", move || picture(&of)))
}

/// The radius of a point in points: smaller the more cells there are.
fn radius(n_cells: usize, size: [usize; 2], pixels_per_point: f32) -> f32 {
    let area = size[0] as f32 * size[1] as f32 / (pixels_per_point * pixels_per_point);
    ((area / n_cells.max(1) as f32).sqrt() * 0.22).clamp(0.5, 2.6)
}

/// The cells in their colours; with a selection, the others faint.
fn picture(key: &Key) -> Raster {
    match &key.colours {
        Colours::Gene(values) => points(key, by_values(key, values)),
        Colours::Column(column) => points(key, by_column(key, column)),
    }
}

/// The cells in the colours of a column, in drawing order.
fn by_column(key: &Key, column: &ColumnColours) -> Vec<(u32, Paint)> {
    let t = Tokens::for_dark(key.dark);
    let (colouring, order) = column.cells();
    let table = colouring.table(&column.look, key.dark, t.missing, t.bar);
    let missing: Paint = t.missing.into();
    let paint = |entry: u32| table.get(entry as usize).map_or(missing, |colour| Paint(*colour));
    order
        .iter()
        .filter(|[cell, _]| key.colouring.shows(*cell as usize, &key.hidden))
        .map(|[cell, entry]| (*cell, paint(*entry)))
        .collect()
}

/// The cells coloured by values, the highest on top.
fn by_values(key: &Key, values: &[f32]) -> Vec<(u32, Paint)> {
    let positions = key.scene.positions();
    let most = values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f32::max);
    let table: Vec<Paint> = (0..=255).map(|i| palette::scale(i as f32 / 255.0, key.dark).into()).collect();
    let missing: Paint = Tokens::for_dark(key.dark).missing.into();
    let mut cells: Vec<(u32, f32)> = (0..positions.len())
        .filter(|cell| key.colouring.shows(*cell, &key.hidden))
        .filter(|cell| positions[*cell].iter().all(|v| v.is_finite()))
        .map(|cell| (cell as u32, values.get(cell).copied().unwrap_or(f32::NAN)))
        .collect();
    let order = |v: f32| if v.is_nan() { f32::NEG_INFINITY } else { v };
    cells.sort_unstable_by(|a, b| {
        order(a.1)
            .total_cmp(&order(b.1))
            .then(a.0.wrapping_mul(0x9E37_79B9).cmp(&b.0.wrapping_mul(0x9E37_79B9)))
    });
    let paint = |v: f32| {
        let share = if most > 0.0 { (v / most).clamp(0.0, 1.0) } else { 0.0 };
        if v.is_nan() { missing } else { table[(share * 255.0) as usize] }
    };
    cells.into_iter().map(|(cell, v)| (cell, paint(v))).collect()
}

/// The cells as points, the last on top.
fn points(key: &Key, cells: Vec<(u32, Paint)>) -> Raster {
    let positions = key.scene.positions();
    let missing: Paint = Tokens::for_dark(key.dark).missing.into();
    let rect = Rect::from_min_size(
        pos2(0.0, 0.0),
        vec2(key.size[0] as f32, key.size[1] as f32) / key.pixels_per_point,
    );
    let some_selected = !key.selection.is_empty();
    let points = cells.into_iter().map(|(cell, paint)| {
        let place = key.camera.to_screen(rect, positions[cell as usize]) * key.pixels_per_point;
        let faint = some_selected && !key.selection.contains(cell as usize);
        ([place.x, place.y], if faint { missing.with_opacity(0.35) } else { paint })
    });
    discs(
        key.size,
        points,
        radius(positions.len(), key.size, key.pixels_per_point) * key.pixels_per_point,
        0.9,
    )
}

/// Paints the maps.
pub fn gene_maps_ui(ui: &mut Ui, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    ui.painter().rect_filled(ui.max_rect(), 0.0, t.canvas);
    let before = &scope.view.plots;
    let mut settings = before.clone();
    let mut as_table = false;
    Frame::new().fill(t.panel).inner_margin(Margin::symmetric(10, 6)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal(|ui| {
            genes_menu_ui(ui, scope, local, Pane::GeneMaps.title(), &mut settings);
            columns_menu_ui(ui, scope, &mut settings);
            let about = "Show the values of these maps, one row a cell";
            as_table = local.plots.as_table_ui(ui, Pane::GeneMaps, about);
            let selected = scope.work.sets.current.len();
            let words = if selected > 0 {
                format!("{} selected cells stand out", grouped(selected as i64))
            } else {
                "One camera for all: drag to move, Ctrl and scroll to zoom".to_owned()
            };
            // Cut where there is no room: a bar that is wider than the pane would make the maps so, too.
            ui.add(egui::Label::new(egui::RichText::new(words).small().color(t.text_muted)).truncate());
        });
    });
    if settings != *before {
        out.push(Action::SetPlots(Box::new(settings.clone())));
    }
    let Some(scene) = scope.map.scene().cloned() else { return };
    if settings.genes.is_empty() && settings.map_columns.is_empty() {
        no_genes_ui(ui, Pane::GeneMaps, scope, local, &settings, out);
        return;
    }
    let genes = wanted_genes(Pane::GeneMaps, &settings, scope.work).into_iter().map(Shown::Gene);
    // A view of another file may name columns that this one has not.
    let columns = settings.map_columns.iter().filter(|name| scene.dataset().obs.column(name).is_some());
    let rows: Vec<Shown> = columns.take(MOST_COLUMNS).cloned().map(Shown::Column).chain(genes).collect();
    local.gene_maps.maps.retain(|shown, _| rows.contains(shown));
    if as_table {
        let columns: Vec<MapColumn> = rows.iter().map(|shown| table_column(shown, scope)).collect();
        Frame::new().inner_margin(Margin::symmetric(12, 4)).show(ui, |ui| {
            maps_table_ui(ui, scope, local, &columns, out);
        });
        return;
    }
    let Some(bounds) = scene.bounds() else {
        empty_state(ui, "No cell has a place here", "This embedding holds no numbers. Choose another.");
        return;
    };
    let room = ui.available_size() - vec2(12.0, 4.0);
    let columns = ((room.x / NARROWEST) as usize).clamp(1, rows.len().max(1));
    let width = room.x / columns as f32;
    let n_rows = rows.len().div_ceil(columns).max(1);
    let height = (room.y / n_rows as f32).clamp(160.0, width.max(160.0));
    let mut wanted_camera = None;
    ScrollArea::vertical().id_salt("gene maps").auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing = vec2(0.0, 0.0);
        for chunk in rows.chunks(columns) {
            ui.horizontal(|ui| {
                for shown in chunk {
                    let (rect, response) =
                        ui.allocate_exact_size(vec2(width, height), Sense::click_and_drag());
                    let moved = small_map_ui(ui, rect, &response, shown, &scene, bounds, scope, local, out);
                    wanted_camera = wanted_camera.or(moved);
                }
            });
        }
    });
    if let Some(camera) = wanted_camera {
        out.push(Action::SetCamera(camera));
    }
}

/// What the table says of a small map.
fn table_column(shown: &Shown, scope: &Scope<'_>) -> MapColumn {
    match shown {
        Shown::Column(name) => MapColumn { name: name.clone(), values: MapValues::Column },
        Shown::Gene(gene) => {
            let names = scope.work.dataset.as_ref().map(|dataset| &dataset.genes);
            let name = names.and_then(|names| names.get(*gene)).cloned().unwrap_or_default();
            let read = scope.work.genes.get(gene).map(|read| read.values.clone());
            MapColumn { name, values: MapValues::Gene(read) }
        }
    }
}

/// The camera of a small map: the same place and share of the whole as the large one shows. The large map's own size
/// is not known here; its scale is taken as that of a map that the cells fit.
fn small_camera(large: Option<Camera>, fitted_large: f32, fitted_small: Camera) -> Camera {
    large.map_or(fitted_small, |camera| Camera {
        centre: camera.centre,
        points_per_unit: fitted_small.points_per_unit * camera.points_per_unit / fitted_large,
    })
}

#[allow(clippy::too_many_arguments)] // one map of a loop
fn small_map_ui(
    ui: &mut Ui,
    rect: Rect,
    response: &egui::Response,
    of: &Shown,
    scene: &Arc<Scene>,
    bounds: super::super::map::Bounds,
    scope: &Scope<'_>,
    local: &mut Local,
    out: Out<'_>,
) -> Option<Camera> {
    let t = Tokens::of(ui);
    let title_height = 22.0;
    let area = Rect::from_min_max(rect.min + vec2(4.0, title_height), rect.max - vec2(4.0, 4.0));
    let fitted = Camera::fit(bounds, area);
    let large_rect = local.map_rect.unwrap_or(area);
    let fitted_large = Camera::fit(bounds, large_rect);
    let camera = small_camera(scope.view.camera, fitted_large.points_per_unit, fitted);
    let Some(dataset) = &scope.work.dataset else { return None };
    let map = local.gene_maps.maps.entry(of.clone()).or_default();
    let (name, colours, about) = match of {
        Shown::Gene(gene) => {
            let name = dataset.genes.get(*gene).cloned().unwrap_or_default();
            let read = scope.work.genes.get(gene);
            let about = read
                .map(|read| format!("0 to {}", number(largest(read))))
                .or_else(|| scope.work.is_left_unread(&[*gene]).then(|| "not read".to_owned()));
            (name, read.map(|read| Colours::Gene(read.values.clone())), about)
        }
        Shown::Column(name) => {
            let column = column_colours(map, scope, scene, name);
            let about = column.words();
            (name.clone(), Some(Colours::Column(column)), about)
        }
    };
    let painter = ui.painter_at(rect);
    if response.hovered() {
        painter.rect_filled(rect.shrink(2.0), 4.0, t.control.gamma_multiply(0.5));
    }
    let font = egui::TextStyle::Body.resolve(ui.style());
    let small = egui::TextStyle::Small.resolve(ui.style());
    let at = pos2(area.left() + 4.0, rect.top() + 0.5 * title_height + 1.0);
    let drawn = painter.text(at, Align2::LEFT_CENTER, &name, font, t.text_strong);
    let about = about.unwrap_or_else(|| "reading".to_owned());
    painter.text(pos2(drawn.right() + 8.0, at.y), Align2::LEFT_CENTER, &about, small, t.text_muted);
    let words = match of {
        Shown::Gene(_) => format!("Map of {name}, values from {about}"),
        Shown::Column(_) => format!("Map of {name}, {about}"),
    };
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &words));
    if let Some(Colours::Column(column)) = &colours
        && let Some((colouring, _)) = column.cells.get()
    {
        response.clone().on_hover_ui(|ui| legend_ui(ui, colouring));
    }
    if let Some(colours) = colours {
        let pixels_per_point = ui.pixels_per_point();
        let key = Key {
            scene: scene.clone(),
            colours,
            colouring: scope.map.colouring().clone(),
            hidden: scope.view.hidden.clone(),
            selection: scope.work.sets.current.clone(),
            camera,
            size: [area.width(), area.height()].map(|v| (v * pixels_per_point).round().max(1.0) as usize),
            pixels_per_point,
            dark: t.dark,
        };
        if map.task.is_none() && map.shown.as_ref().is_none_or(|(shown, _)| *shown != key) {
            map.task = Some(start(ui.ctx(), key.clone()));
        }
        map.wanted = Some(key);
        if let Some((shown, texture)) = &map.shown {
            // Where the picture's corners are now.
            let then = Rect::from_min_size(
                pos2(0.0, 0.0),
                vec2(shown.size[0] as f32, shown.size[1] as f32) / shown.pixels_per_point,
            );
            let corner = |p: egui::Pos2| camera.to_screen(area, shown.camera.to_cells(then, p));
            let place = Rect::from_two_pos(corner(then.min), corner(then.max));
            let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            painter.with_clip_rect(area.intersect(painter.clip_rect())).image(
                texture.id(),
                place,
                whole,
                egui::Color32::WHITE,
            );
        }
    }
    if response.clicked() {
        out.push(Action::ColourBy(match of {
            Shown::Gene(gene) => ColourBy::Gene { gene: *gene, symbol: name },
            Shown::Column(_) => ColourBy::Column(name),
        }));
    }
    // The same moves as on the large map, in its scale.
    let mut moved = camera;
    if response.dragged() {
        moved.pan(response.drag_delta());
    }
    if response.contains_pointer()
        && let Some(pointer) = ui.ctx().pointer_hover_pos()
    {
        let pinch = ui.input(|i| i.zoom_delta());
        if pinch != 1.0 {
            moved.zoom(area, pointer, pinch, &fitted);
        }
    }
    (moved != camera).then(|| Camera {
        centre: moved.centre,
        points_per_unit: moved.points_per_unit * fitted_large.points_per_unit / fitted.points_per_unit,
    })
}

/// The colours by a column, the same as before while nothing has changed.
fn column_colours(
    map: &mut SmallMap,
    scope: &Scope<'_>,
    scene: &Arc<Scene>,
    name: &str,
) -> Arc<ColumnColours> {
    let look = Look {
        hidden: BTreeSet::new(),
        scale: scope.saved.colours.scale,
        from_file: scope.saved.colours.from_file,
        own: scope.work.colours.get(name).cloned().unwrap_or_default(),
    };
    match &map.column {
        Some(before) if Arc::ptr_eq(&before.scene, scene) && before.look == look => before.clone(),
        _ => {
            let fresh =
                ColumnColours { scene: scene.clone(), name: name.to_owned(), look, cells: OnceLock::new() };
            map.column.insert(Arc::new(fresh)).clone()
        }
    }
}

/// The categories of a column with their colours, as many as one reads in passing.
fn legend_ui(ui: &mut Ui, colouring: &Colouring) {
    const FEW: usize = 16;
    let Meaning::Categories { categories, .. } = &colouring.meaning else {
        ui.label(&colouring.title);
        return;
    };
    ui.spacing_mut().item_spacing.y = 2.0;
    for category in categories.iter().take(FEW) {
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(12.0, 14.0), Sense::hover());
            swatch(ui, rect.center(), category.colour, true);
            ui.label(egui::RichText::new(&category.name).small());
        });
    }
    if categories.len() > FEW {
        muted(ui, format!("and {} more", categories.len() - FEW));
    }
}

/// The menu of the columns that have a map.
fn columns_menu_ui(ui: &mut Ui, scope: &Scope<'_>, settings: &mut PlotSettings) {
    let Some(dataset) = &scope.work.dataset else { return };
    let chosen = &mut settings.map_columns;
    let text = match chosen.len() {
        0 => "Choose columns".to_owned(),
        1 => "1 column".to_owned(),
        n => format!("{n} columns"),
    };
    stays_open(ui, text, "Columns of this panel", |ui| {
        ui.set_width(260.0);
        ScrollArea::vertical().max_height(360.0).show(ui, |ui| {
            for column in &dataset.obs.columns {
                let mut is_chosen = chosen.contains(&column.name);
                if ui.checkbox(&mut is_chosen, &column.name).changed() {
                    chosen.retain(|name| *name != column.name);
                    if is_chosen {
                        chosen.push(column.name.clone());
                    }
                }
            }
        });
    });
}

fn largest(gene: &GeneColour) -> f32 {
    gene.values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f32::max)
}
