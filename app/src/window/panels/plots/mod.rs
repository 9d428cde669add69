//! The plots: what they show, computed beside the window, painted from a scene, with their numbers as a table.

pub mod aggregate;
pub mod compute;
pub mod draw;
mod gating;
pub mod picker;
mod settings;
pub mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eframe::egui::{
    self, Align, Frame, Layout, Margin, Rect, Role, ScrollArea, Sense, Spinner, Stroke, StrokeKind,
    TextureHandle, Ui, WidgetInfo, vec2,
};

use super::super::background::{Poll, Task};
use super::super::command::Action;
use super::super::dock::Pane;
use super::super::figure::{self, paint};
use super::super::map;
use super::super::state::ColourBy;
use super::super::theme::{Tokens, space};
use super::super::workspace::Workspace;
use super::widgets::{empty_state, muted, quiet_button};
use super::{Local, Out, Scope};
use compute::{Inputs, Numbers, Outcome, compute};
use draw::{Drawn, Scaling, Style};
use picker::{genes_menu_ui, group_box_ui, measure_menu_ui};

pub use settings::{Measure, PlotSettings};

/// Points that are painted one by one in the window; more become pixels.
const MAX_LIVE_POINTS: usize = 4_000;
/// Room that the buttons of a plot take.
const BUTTONS: f32 = 200.0;

/// What the plots keep between frames.
#[derive(Default)]
pub struct Plots {
    slots: BTreeMap<Pane, Slot>,
    /// Panes that show their numbers as a table.
    tables: BTreeSet<Pane>,
    /// What was typed in fields for genes.
    pub entries: picker::Entries,
}

impl std::fmt::Debug for Plots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plots").field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// One plot.
#[derive(Default)]
struct Slot {
    inputs: Option<Inputs>,
    task: Option<Task<Outcome>>,
    outcome: Option<Arc<Outcome>>,
    drawn: Option<Painted>,
    table: Option<(Arc<Outcome>, table::Table)>,
}

/// A plot as it was last laid out.
struct Painted {
    outcome: Arc<Outcome>,
    settings: PlotSettings,
    size: [u32; 2],
    dark: bool,
    plot: Drawn,
    textures: Vec<TextureHandle>,
}

impl Plots {
    /// Whether numbers are being worked out.
    pub fn is_busy(&self) -> bool {
        self.slots.values().any(|slot| slot.task.is_some())
    }

    /// Takes up finished work. Called every frame.
    pub fn update(&mut self) {
        for slot in self.slots.values_mut() {
            match slot.task.as_ref().map(Task::poll) {
                Some(Poll::Done(outcome)) => {
                    slot.task = None;
                    slot.outcome = Some(Arc::new(outcome));
                }
                Some(Poll::Lost) => slot.task = None,
                Some(Poll::Running) | None => {}
            }
        }
    }

    /// The plot of a pane at a size and in colours of its own, for a figure.
    ///
    /// What is returned draws it, which may take longer than a frame.
    pub fn figure(
        &self,
        pane: Pane,
        size: [f32; 2],
        style: Style,
        dpi: f32,
    ) -> Option<impl FnOnce() -> figure::Scene + Send + use<>> {
        let slot = self.slots.get(&pane)?;
        let outcome = slot.outcome.clone()?;
        let settings = slot.inputs.as_ref()?.settings.clone();
        outcome.numbers.as_ref().ok()?;
        let detail = Detail { max_points: figure::MAX_POINTS, pixels_per_point: dpi / 72.0 };
        Some(move || match &outcome.numbers {
            Ok(numbers) => draw_of(pane, numbers, &settings, size, &style, detail).scene,
            Err(_) => figure::Scene::new(size),
        })
    }

    /// What a plot shows and of which cells, in words.
    pub fn words(&self, pane: Pane) -> Option<(String, String)> {
        let outcome = self.slots.get(&pane)?.outcome.as_ref()?;
        Some((outcome.numbers.as_ref().ok()?.words(), outcome.cells.clone()))
    }
}

/// The genes that a pane needs, as rows of the gene list.
pub fn wanted_genes(pane: Pane, settings: &PlotSettings, work: &Workspace) -> Vec<usize> {
    let of = |measure: &Option<Measure>| match measure {
        Some(Measure::Gene(name)) => work.gene_names.find(name),
        _ => None,
    };
    match pane {
        Pane::Violin | Pane::DotPlot | Pane::Heatmap | Pane::GeneMaps => {
            settings.genes.iter().filter_map(|name| work.gene_names.find(name)).collect()
        }
        Pane::Histogram => of(&settings.measure).into_iter().collect(),
        Pane::Scatter => of(&settings.x).into_iter().chain(of(&settings.y)).collect(),
        Pane::Map | Pane::List | Pane::Composition | Pane::Comparison | Pane::Genes => Vec::new(),
    }
}

/// Whether a pane needs the cells' quality figures.
pub fn wants_quality(pane: Pane, settings: &PlotSettings) -> bool {
    let is_one = |measure: &Option<Measure>| matches!(measure, Some(Measure::Quality(_)));
    match pane {
        Pane::Histogram => is_one(&settings.measure),
        Pane::Scatter => is_one(&settings.x) || is_one(&settings.y),
        _ => false,
    }
}

/// The settings with what a fresh pane would otherwise ask for.
fn with_defaults(scope: &Scope<'_>) -> PlotSettings {
    let mut settings = scope.view.plots.clone();
    let Some(dataset) = &scope.work.dataset else { return settings };
    let is_group = |name: &str| picker::group_columns(scope).any(|c| c == name);
    settings.group_by =
        settings.group_by.filter(|c| is_group(c)).or_else(|| match map::first_colour(dataset) {
            ColourBy::Column(name) if is_group(&name) => Some(name),
            _ => picker::group_columns(scope).next().map(str::to_owned),
        });
    settings.part_by = settings.part_by.filter(|c| is_group(c)).or_else(|| {
        let other = |c: &&str| Some(*c) != settings.group_by.as_deref();
        picker::group_columns(scope).find(other).map(str::to_owned)
    });
    if settings.measure.is_none() {
        settings.measure = match &scope.view.colour_by {
            ColourBy::Gene { symbol, .. } => Some(Measure::Gene(symbol.clone())),
            _ => dataset.obs.columns.iter().find(|c| c.is_numeric()).map(|c| Measure::Column(c.name.clone())),
        };
    }
    let gene = |i: usize| settings.genes.get(i).cloned().map(Measure::Gene);
    if settings.x.is_none() {
        settings.x = gene(0);
    }
    if settings.y.is_none() {
        settings.y = gene(1);
    }
    settings
}

/// Paints a plot with its controls.
pub fn plot_ui(ui: &mut Ui, pane: Pane, scope: &Scope<'_>, local: &mut Local, out: Out<'_>) {
    let t = Tokens::of(ui);
    let Some(dataset) = scope.work.dataset.clone() else { return };
    let before = with_defaults(scope);
    let mut settings = before.clone();
    ui.painter().rect_filled(ui.max_rect(), 0.0, t.canvas);
    Frame::new().fill(t.panel).inner_margin(Margin::symmetric(10, 6)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        controls_ui(ui, pane, scope, local, &mut settings);
        if !settings.genes.is_empty() {
            local.plots.entries.misses_ui(ui, pane.title());
        }
    });
    if settings != before {
        out.push(Action::SetPlots(Box::new(settings.clone())));
    }
    let rows = wanted_genes(pane, &settings, scope.work);
    let genes: Vec<_> = rows.iter().filter_map(|row| scope.work.genes.get(row).cloned()).collect();
    if matches!(pane, Pane::Violin | Pane::DotPlot | Pane::Heatmap) && settings.genes.is_empty() {
        no_genes_ui(ui, pane, scope, local, &settings, out);
        return;
    }
    if genes.len() < rows.len() {
        if scope.work.is_left_unread(&rows) {
            unread_ui(ui, rows.len() - genes.len(), out);
        } else {
            waiting_ui(ui, &format!("Reading {} of {} genes", genes.len() + 1, rows.len()));
        }
        return;
    }
    let quality = scope.work.quality.clone().filter(|_| wants_quality(pane, &settings));
    if quality.is_none() && wants_quality(pane, &settings) {
        waiting_ui(ui, "Counting in every cell");
        return;
    }
    let inputs = Inputs {
        pane,
        quality,
        dataset,
        colouring: scope.map.colouring().clone(),
        labels: scope.work.labels.clone(),
        hidden: scope.view.hidden.clone(),
        selection: scope.work.sets.current.clone(),
        group_by: settings.group_by.clone(),
        settings: settings.clone(),
        genes,
        paints: [t.bar.into(), t.missing.into()],
    };
    let slot = local.plots.slots.entry(pane).or_default();
    if slot.inputs.as_ref() != Some(&inputs) {
        slot.inputs = Some(inputs.clone());
        slot.task = Some(Task::start(ui.ctx(), "plot", move || compute(&inputs)));
    }
    let Some(outcome) = slot.outcome.clone() else {
        waiting_ui(ui, "Counting");
        return;
    };
    let as_table = local.plots.tables.contains(&pane);
    Frame::new().inner_margin(Margin { left: 12, right: 12, top: 6, bottom: 4 }).show(ui, |ui| {
        let text = match pane {
            Pane::Scatter => format!("Of {}. Drag a box to select cells.", outcome.cells),
            _ => format!("Of {}", outcome.cells),
        };
        let font = egui::TextStyle::Small.resolve(ui.style());
        let width = ui.painter().layout_no_wrap(text.clone(), font, t.text_muted).size().x;
        // The buttons stand at the right of the words where there is room, else below them.
        if width + BUTTONS < ui.available_width() {
            ui.horizontal(|ui| {
                words_ui(ui, pane, &text, slot.task.is_some());
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    buttons_ui(ui, pane, &outcome, &mut local.plots.tables, out);
                });
            });
        } else {
            ui.horizontal_wrapped(|ui| words_ui(ui, pane, &text, slot.task.is_some()));
            ui.horizontal_wrapped(|ui| buttons_ui(ui, pane, &outcome, &mut local.plots.tables, out));
        }
    });
    match &outcome.numbers {
        Err(why) => {
            ui.add_space(space::L);
            empty_state(ui, "Nothing to draw", why);
        }
        Ok(numbers) if as_table => {
            if slot.table.as_ref().is_none_or(|(of, _)| !Arc::ptr_eq(of, &outcome)) {
                slot.table = Some((outcome.clone(), numbers.table()));
            }
            if let Some((_, table)) = &slot.table {
                Frame::new().inner_margin(Margin::symmetric(12, 2)).show(ui, |ui| table::table_ui(ui, table));
            }
        }
        Ok(numbers) => painted_ui(ui, pane, slot, &outcome, numbers, &settings, scope, out),
    }
}

/// Which cells a plot is of.
fn words_ui(ui: &mut Ui, pane: Pane, text: &str, counting: bool) {
    let words = muted(ui, text);
    if pane == Pane::Scatter {
        words.on_hover_text(gating::HINT);
    }
    if counting {
        ui.add(Spinner::new().size(12.0).color(Tokens::of(ui).text_muted));
    }
}

/// What can be done with a plot.
fn buttons_ui(ui: &mut Ui, pane: Pane, outcome: &Outcome, tables: &mut BTreeSet<Pane>, out: Out<'_>) {
    if quiet_button(ui, "Figure…").on_hover_text("Save this plot as PNG, SVG or PDF").clicked() {
        out.push(Action::AskFigure(pane));
    }
    let Ok(numbers) = &outcome.numbers else { return };
    if quiet_button(ui, "Copy CSV").on_hover_text("Copy the numbers of this plot as CSV").clicked() {
        out.push(Action::Copy(numbers.table().csv()));
    }
    table_button_ui(ui, pane, tables, "Show the numbers of this plot");
}

/// The button that shows the numbers of a pane as a table in its place, or the pane again.
fn table_button_ui(ui: &mut Ui, pane: Pane, tables: &mut BTreeSet<Pane>, about: &str) {
    let shown = tables.contains(&pane);
    let button = egui::Button::selectable(shown, egui::RichText::new("Table").small());
    if ui.add(button).on_hover_text(about).clicked() && !tables.remove(&pane) {
        tables.insert(pane);
    }
}

impl Plots {
    /// The button that turns a pane which is no plot of this module into its table and back. Whether it is a table now.
    pub fn as_table_ui(&mut self, ui: &mut Ui, pane: Pane, about: &str) -> bool {
        table_button_ui(ui, pane, &mut self.tables, about);
        self.tables.contains(&pane)
    }
}

/// How finely points are drawn.
#[derive(Debug, Clone, Copy)]
struct Detail {
    max_points: usize,
    pixels_per_point: f32,
}

fn draw_of(
    pane: Pane,
    numbers: &Numbers,
    settings: &PlotSettings,
    size: [f32; 2],
    style: &Style,
    detail: Detail,
) -> Drawn {
    match numbers {
        Numbers::Histogram { title, unit, data, groups } => {
            draw::histogram(style, size, title, unit, data, &groups.groups, settings.log)
        }
        Numbers::Spreads { genes, unit, spreads, groups } => {
            draw::violin(style, size, genes, unit, spreads, &groups.groups)
        }
        Numbers::Means { genes, unit, summaries, groups } => {
            let draw = if pane == Pane::Heatmap { draw::heatmap } else { draw::dot_plot };
            let scaling = settings.scaling;
            draw(style, size, &draw::Means { genes, unit, summaries, groups: &groups.groups, scaling })
        }
        Numbers::Scatter { names, x, y, pairs, behind, groups } => {
            let data = draw::Scatter {
                pairs,
                behind,
                x,
                y,
                names: [&names[0], &names[1]],
                groups,
                max_points: detail.max_points,
                pixels_per_point: detail.pixels_per_point,
            };
            draw::scatter(style, size, &data)
        }
        Numbers::Composition { titles, counts, rows, parts } => {
            let (rows, parts) = (&rows.groups, &parts.groups);
            draw::composition(style, size, counts, rows, parts, &titles[1], settings.as_counts)
        }
    }
}

#[allow(clippy::too_many_arguments)] // the parts of one slot, which the borrow checker wants apart
fn painted_ui(
    ui: &mut Ui,
    pane: Pane,
    slot: &mut Slot,
    outcome: &Arc<Outcome>,
    numbers: &Numbers,
    settings: &PlotSettings,
    scope: &Scope<'_>,
    out: Out<'_>,
) {
    let t = Tokens::of(ui);
    // Room for the scroll bars, which must not change the size of what they scroll.
    let room = ui.available_size() - vec2(18.0, 14.0);
    let size = [room.x.max(120.0) as u32, room.y.max(120.0) as u32];
    let fresh = slot.drawn.as_ref().is_some_and(|d| {
        Arc::ptr_eq(&d.outcome, outcome) && d.size == size && d.dark == t.dark && d.settings == *settings
    });
    if !fresh {
        let detail = Detail { max_points: MAX_LIVE_POINTS, pixels_per_point: ui.pixels_per_point() };
        let plot = draw_of(pane, numbers, settings, size.map(|v| v as f32), &Style::of(t), detail);
        let textures = paint::textures(ui.ctx(), &plot.scene);
        slot.drawn = Some(Painted {
            outcome: outcome.clone(),
            settings: settings.clone(),
            size,
            dark: t.dark,
            plot,
            textures,
        });
    }
    let Some(drawn) = &slot.drawn else { return };
    ScrollArea::both().id_salt(pane).auto_shrink([false, false]).show(ui, |ui| {
        let size = egui::Vec2::from(drawn.plot.scene.size);
        let sense = if drawn.plot.frame.is_some() { Sense::click_and_drag() } else { Sense::click() };
        let (rect, response) = ui.allocate_exact_size(size.max(room), sense);
        let origin = rect.min + vec2(6.0, 0.0);
        paint::paint(&ui.painter_at(rect), &drawn.plot.scene, origin, &drawn.textures);
        let label = format!("{}, of {}", numbers.words(), outcome.cells);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &label));
        if let (Some(frame), Numbers::Scatter { names, x, y, pairs, behind, .. }) =
            (drawn.plot.frame, numbers)
        {
            let gated = gating::Gated { names, x, y, drawn: [pairs, behind] };
            gating::box_ui(ui, &response, origin, frame, &gated, out);
        }
        let Some(pointer) = response.hover_pos() else { return };
        let place = pointer - origin;
        let inside = |min: [f32; 2], max: [f32; 2]| {
            place.x >= min[0] && place.x < max[0] && place.y >= min[1] && place.y < max[1]
        };
        let Some(spot) = drawn.plot.spots.iter().rev().find(|s| inside(s.min, s.max)) else { return };
        let area = Rect::from_min_max(
            origin + vec2(spot.min[0], spot.min[1]),
            origin + vec2(spot.max[0], spot.max[1]),
        );
        ui.painter().rect_stroke(area, 2.0, Stroke::new(1.0, t.text_muted), StrokeKind::Inside);
        if let Some(gene) = spot.gene.as_ref().and_then(|g| scope.work.gene_names.find(g)) {
            ui.ctx().set_cursor_icon(egui::CursorIcon::PointingHand);
            if response.clicked() {
                let symbol = spot.gene.clone().unwrap_or_default();
                out.push(Action::ColourBy(ColourBy::Gene { gene, symbol }));
            }
        }
        response.on_hover_ui_at_pointer(|ui| {
            for (i, line) in spot.words.lines().enumerate() {
                let colour = if i == 0 { t.text_strong } else { t.text };
                ui.label(egui::RichText::new(line).color(colour));
            }
        });
    });
}

/// What stands in the place of a plot whose genes were not all read: the user stopped it, or it failed.
fn unread_ui(ui: &mut Ui, n_missing: usize, out: Out<'_>) {
    ui.add_space(space::L);
    let genes = if n_missing == 1 { "One gene was" } else { "Some genes were" };
    empty_state(ui, "Not drawn", &format!("{genes} not read to the end."));
    ui.add_space(space::S);
    ui.vertical_centered(|ui| {
        if ui.button("Read again").clicked() {
            out.push(Action::ReadGenesAgain);
        }
    });
}

fn waiting_ui(ui: &mut Ui, what: &str) {
    let t = Tokens::of(ui);
    ui.add_space(space::L);
    ui.vertical_centered(|ui| {
        ui.add(Spinner::new().size(18.0).color(t.text_muted));
        ui.label(egui::RichText::new(what).color(t.text_muted));
    });
}

/// What stands in a panel of genes before one was chosen.
pub fn no_genes_ui(
    ui: &mut Ui,
    pane: Pane,
    scope: &Scope<'_>,
    local: &mut Local,
    settings: &PlotSettings,
    out: Out<'_>,
) {
    ui.add_space(space::L);
    empty_state(ui, "No genes yet", "Type a gene and press Enter, or paste a list with any separators.");
    ui.add_space(space::M);
    let width = 340.0_f32.min(ui.available_width() - 24.0);
    let left = ui.available_rect_before_wrap();
    let middle = Rect::from_min_size(
        egui::pos2(left.center().x - 0.5 * width, left.top()),
        vec2(width, left.height()),
    );
    let mut changed = settings.clone();
    ui.scope_builder(egui::UiBuilder::new().max_rect(middle), |ui| {
        picker::gene_entry_ui(ui, scope, &mut local.plots.entries, pane.title(), &mut changed.genes);
        picker::suggestions_ui(ui, scope, &mut changed);
    });
    if changed != *settings {
        out.push(Action::SetPlots(Box::new(changed)));
    }
}

fn controls_ui(ui: &mut Ui, pane: Pane, scope: &Scope<'_>, local: &mut Local, settings: &mut PlotSettings) {
    let id = pane.title();
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        let groups_ui = |ui: &mut Ui, settings: &mut PlotSettings| {
            muted(ui, "by");
            group_box_ui(ui, scope, id, "Groups", &mut settings.group_by);
        };
        match pane {
            Pane::Histogram => {
                measure_menu_ui(ui, scope, local, "Value", &mut settings.measure);
                ui.checkbox(&mut settings.split, "Split");
                if settings.split {
                    groups_ui(ui, settings);
                }
                ui.checkbox(&mut settings.log, "Log counts");
                let bins = egui::DragValue::new(&mut settings.bins).range(5..=200).suffix(" bins");
                ui.name_inputs("Bins", |ui| ui.add(bins));
            }
            Pane::Violin => {
                genes_menu_ui(ui, scope, local, id, settings);
                groups_ui(ui, settings);
            }
            Pane::DotPlot | Pane::Heatmap => {
                genes_menu_ui(ui, scope, local, id, settings);
                groups_ui(ui, settings);
                ui.name_inputs("Colour", |ui| {
                    egui::ComboBox::from_id_salt((id, "scaling"))
                        .selected_text(settings.scaling.text())
                        .width(124.0)
                        .show_ui(ui, |ui| {
                            for scaling in Scaling::ALL {
                                ui.selectable_value(&mut settings.scaling, scaling, scaling.text());
                            }
                        })
                });
            }
            Pane::Scatter => {
                measure_menu_ui(ui, scope, local, "Across", &mut settings.x);
                muted(ui, "against");
                measure_menu_ui(ui, scope, local, "Up", &mut settings.y);
                ui.checkbox(&mut settings.coloured, "Colour");
                if settings.coloured {
                    groups_ui(ui, settings);
                }
            }
            Pane::Composition => {
                group_box_ui(ui, scope, id, "Groups", &mut settings.group_by);
                muted(ui, "divided by");
                group_box_ui(ui, scope, id, "Parts", &mut settings.part_by);
                ui.selectable_value(&mut settings.as_counts, false, "Shares");
                ui.selectable_value(&mut settings.as_counts, true, "Counts");
            }
            Pane::Map | Pane::List | Pane::Comparison | Pane::GeneMaps | Pane::Genes => {}
        }
    });
}
