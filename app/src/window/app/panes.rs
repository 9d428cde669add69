//! What panes ask of the app: genes, comparisons, figures, lists of genes.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui;
use engine::session::Command as Request;

use super::super::background::{Poll, Task};
use super::super::dock::Pane;
use super::super::figure::{self, MapFigure, Provenance, Scene, Sheet};
use super::super::map::{Colouring, Look};
use super::super::panels::plots::draw::{Style, volcano};
use super::super::panels::{GeneList, compare_request, gene_lists_csv, parse_gene_lists, plots};
use super::super::state::{ColourBy, Layout};
use super::super::theme::Tokens;
use super::super::workspace::{Compared, SetReading, Severity, file_name};
use super::App;
use super::actions::with_extension;

/// Bytes of genes that are kept for panels beyond those on show.
const GENE_BUDGET_BYTES: usize = 512 << 20;
/// Bytes of a file of gene lists that is read.
const MAX_LIST_BYTES: u64 = 64 << 20;
/// Lists that are kept.
const MAX_LISTS: usize = super::super::panels::MAX_LISTS;

/// Work beside the window that ended with something to say.
pub enum Chore {
    /// A figure was written, or not.
    Figure(Result<PathBuf, String>),
    /// Lists of genes were read, or not.
    GeneLists(Result<Vec<GeneList>, String>),
    /// Lists of genes were written, or not.
    Written(Result<PathBuf, String>),
}

/// What draws a figure, what it is called, and where it comes from.
type FigureWork = (Box<dyn FnOnce() -> Scene + Send>, String, Vec<(String, String)>);

impl App {
    /// Takes up finished work of panes and asks for the genes that they lack. Called every frame.
    pub(super) fn update_panes(&mut self, ctx: &egui::Context) {
        self.local.plots.update();
        self.local.gene_maps.update(ctx);
        for chore in std::mem::take(&mut self.chores) {
            match chore.poll() {
                Poll::Running => self.chores.push(chore),
                Poll::Done(done) => self.take_chore(done),
                Poll::Lost => {}
            }
        }
        self.read_wanted_genes();
        let shown = self.saved.dock.in_front();
        if self.work.dataset.is_some()
            && shown.iter().any(|pane| plots::wants_quality(*pane, &self.view.plots))
        {
            self.judge_quality();
        }
        // The list counts as shown where the map is not in front.
        let shown = self.saved.dock.in_front();
        if shown.contains(&Pane::Map) {
            self.view.layout = Layout::Map;
        } else if shown.contains(&Pane::List) {
            self.view.layout = Layout::List;
        }
    }

    fn take_chore(&mut self, chore: Chore) {
        match chore {
            Chore::Figure(Ok(path)) => {
                let title = format!("Saved the figure as {}", file_name(&path));
                self.work.notify(Severity::Done, title, path.display().to_string());
            }
            Chore::Figure(Err(why)) => self.work.notify(Severity::Error, "The figure was not saved", why),
            Chore::GeneLists(Ok(lists)) => {
                let n = lists.len();
                self.save_gene_lists(lists);
                let text = if n == 1 {
                    "Loaded 1 list of genes".to_owned()
                } else {
                    format!("Loaded {n} lists of genes")
                };
                self.work.notify(Severity::Done, text, "");
            }
            Chore::GeneLists(Err(why)) => {
                self.work.notify(Severity::Error, "The lists of genes were not loaded", why);
            }
            Chore::Written(Ok(path)) => {
                let title = format!("Saved the lists of genes as {}", file_name(&path));
                self.work.notify(Severity::Done, title, path.display().to_string());
            }
            Chore::Written(Err(why)) => {
                self.work.notify(Severity::Error, "The lists of genes were not saved", why);
            }
        }
    }

    pub(super) fn open_pane(&mut self, pane: Pane) {
        let middle = self.local.middle_width.unwrap_or(f32::INFINITY);
        self.saved.dock.open_within(pane, middle);
        match pane {
            Pane::Map => self.view.layout = Layout::Map,
            Pane::List => self.view.layout = Layout::List,
            _ => {}
        }
    }

    /// Asks for the genes of the panes in front that were not read. One such job runs at a time.
    fn read_wanted_genes(&mut self) {
        if self.work.read_job.is_some() || self.work.dataset.is_none() {
            return;
        }
        if let Some(set) = self.work.set_reading.as_ref().filter(|set| set.job.is_none()) {
            let genes: Arc<[usize]> = set.genes.clone().into();
            let job = self.send(Request::ReadGenes { genes });
            self.work.read_job = Some(job);
            if let Some(set) = &mut self.work.set_reading {
                set.job = Some(job);
            }
            return;
        }
        let shown = self.saved.dock.in_front();
        let wanted: Vec<usize> =
            shown.iter().flat_map(|pane| plots::wanted_genes(*pane, &self.view.plots, &self.work)).collect();
        let mut missing = Vec::new();
        for gene in &wanted {
            // A gene that could not be read is not asked for again.
            if !self.work.genes.contains_key(gene) && self.work.genes_asked.insert(*gene) {
                missing.push(*gene);
            }
        }
        if !missing.is_empty() {
            let job = self.send(Request::ReadGenes { genes: missing.into() });
            self.work.read_job = Some(job);
            return;
        }
        let n_obs = self.work.dataset.as_ref().map_or(0, |d| d.n_obs);
        if self.work.genes.len() * n_obs * size_of::<f32>() > GENE_BUDGET_BYTES {
            self.work.genes.retain(|gene, _| wanted.contains(gene));
            self.work.genes_asked.retain(|gene| wanted.contains(gene));
        }
    }

    /// Sees to it that the cells' quality is judged. Whether it already is, or cannot be.
    pub(super) fn judge_quality(&mut self) -> bool {
        if self.work.quality.is_none() && self.work.quality_job.is_none() {
            self.work.quality_job = Some(self.send(Request::ReadQuality));
        }
        self.work.quality.is_some()
    }

    /// Sees to it that the mean of a set of genes is read. Whether it already is.
    pub(super) fn read_gene_set(&mut self, name: String, genes: &[String]) -> bool {
        let rows = self.work.gene_names.resolve(genes.iter().map(String::as_str)).genes;
        if rows.is_empty() {
            let text = format!("None of the {} genes of {name} is in this data set.", genes.len());
            self.work.notify(Severity::Error, "No gene found", text);
            return false;
        }
        if let Some((read, colour)) = &mut self.work.gene_set
            && *read == rows
        {
            colour.symbol = name;
            return true;
        }
        if let Some(job) = self.work.set_reading.as_ref().and_then(|set| set.job) {
            self.session.cancel(job);
        }
        self.work.set_reading = Some(SetReading::new(name, rows));
        false
    }

    pub(super) fn save_gene_lists(&mut self, lists: Vec<GeneList>) {
        for list in lists {
            match self.saved.gene_lists.iter_mut().find(|l| l.name == list.name) {
                Some(old) => *old = list,
                None => self.saved.gene_lists.push(list),
            }
        }
        if self.saved.gene_lists.len() > MAX_LISTS {
            let left = self.saved.gene_lists.len() - MAX_LISTS;
            self.saved.gene_lists.truncate(MAX_LISTS);
            let text = format!("{left} lists were left out: {MAX_LISTS} are kept. Remove some to make room.");
            self.work.notify(Severity::Error, "Not all lists were kept", text);
        }
    }

    pub(super) fn import_gene_lists(&mut self, ctx: &egui::Context, path: PathBuf) {
        self.chores.push(Task::start(ctx, "gene lists", move || {
            let read = || {
                let bytes = std::fs::metadata(&path).map_err(|e| e.to_string())?.len();
                if bytes > MAX_LIST_BYTES {
                    return Err(format!(
                        "it has {} MB; at most {} are read",
                        bytes >> 20,
                        MAX_LIST_BYTES >> 20
                    ));
                }
                let text = std::fs::read(&path).map_err(|e| e.to_string())?;
                Ok(String::from_utf8_lossy(&text).into_owned())
            };
            let name = file_name(&path);
            let text = read().map_err(|why| format!("{}: {why}.", path.display()));
            Chore::GeneLists(text.and_then(|text| parse_gene_lists(&text, &name)))
        }));
    }

    pub(super) fn export_gene_lists(&mut self, ctx: &egui::Context, path: PathBuf) {
        let path = with_extension(path, "csv");
        let lists = self.saved.gene_lists.clone();
        self.chores.push(Task::start(ctx, "gene lists", move || {
            let as_gmt = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gmt"));
            let text = gene_lists_csv(&lists, as_gmt);
            let written = engine::files::write_atomically(&path, text.as_bytes());
            Chore::Written(written.map(|()| path).map_err(|error| error.to_string()))
        }));
    }

    pub(super) fn compare(&mut self) {
        let Some(dataset) = self.work.dataset.clone() else { return };
        let spec = &self.view.comparison;
        match compare_request(spec, &dataset, &self.work.sets, &self.work.labels) {
            Ok(request) => {
                self.work.compared_sides = [spec.a.words(), spec.b.words()];
                if let Some(job) = self.work.compare_job.take() {
                    self.session.cancel(job);
                }
                self.work.compare_job = Some(self.send(Request::Compare(Arc::new(request))));
            }
            Err(why) => self.work.notify(Severity::Error, "These cells cannot be compared", why),
        }
    }

    pub(super) fn export_comparison(&mut self, path: PathBuf) {
        if let Some(Compared { result, .. }) = self.work.comparison.clone() {
            self.send(Request::ExportComparison { result, path: with_extension(path, "csv") });
        }
    }

    /// The pane whose figure is meant where none was named: the map where it is in front, else the first plot.
    pub(super) fn pane_of_figure(&self) -> Pane {
        let shown = self.saved.dock.in_front();
        let is_figure = |pane: &&Pane| !matches!(pane, Pane::List | Pane::Genes);
        shown.iter().find(is_figure).copied().unwrap_or(Pane::Map)
    }

    /// What draws the figure of a pane, to be run beside the window.
    fn figure_of(&self, pane: Pane) -> Option<FigureWork> {
        let settings = self.saved.figure;
        let style = Style::of(Tokens::for_dark(settings.ground == figure::Ground::Dark));
        let size = settings.size();
        match pane {
            Pane::Map | Pane::GeneMaps => {
                let cells = self.map.scene()?.clone();
                let map = |colouring: Arc<Colouring>, look: Look| MapFigure {
                    cells: cells.clone(),
                    colouring,
                    look,
                    camera: self.view.camera,
                    window: self.local.map_rect,
                    embedding: self.view.embedding.clone(),
                };
                let maps: Vec<MapFigure> = if pane == Pane::Map {
                    vec![map(self.map.colouring().clone(), self.look())]
                } else {
                    let dataset = cells.dataset();
                    let columns = self.view.plots.map_columns.iter().filter_map(|name| {
                        let look = Look {
                            hidden: std::collections::BTreeSet::new(),
                            own: self.work.colours.get(name).cloned().unwrap_or_default(),
                            ..self.look()
                        };
                        let colouring =
                            Colouring::by_column(dataset, dataset.obs.column(name)?).restyled(&look);
                        Some(map(Arc::new(colouring), look))
                    });
                    let rows = plots::wanted_genes(pane, &self.view.plots, &self.work);
                    let read = rows.iter().filter_map(|row| self.work.genes.get(row));
                    let genes = read.map(|gene| map(Arc::new(Colouring::by_gene(gene)), self.look()));
                    columns.chain(genes).collect()
                };
                let colours: Vec<String> = maps.iter().map(|m| m.colouring.title.clone()).collect();
                let facts = vec![
                    ("Embedding".to_owned(), self.view.embedding.clone()),
                    ("Coloured by".to_owned(), colours.join(", ")),
                ];
                let title = format!("{} coloured by {}", self.view.embedding, colours.join(", "));
                let sheet = Sheet { titled: maps.len() > 1, maps };
                Some((Box::new(move || sheet.draw(&settings, &style)), title, facts))
            }
            Pane::Comparison => {
                let Compared { result, sides: [a, b] } = self.work.comparison.clone()?;
                let facts = vec![
                    ("A".to_owned(), a.clone()),
                    ("B".to_owned(), b.clone()),
                    ("Test".to_owned(), result.test.label().to_owned()),
                ];
                let draw = move || volcano(&style, size, &result.genes).scene;
                Some((Box::new(draw), format!("{a} against {b}"), facts))
            }
            Pane::List | Pane::Genes => None,
            _ => {
                let (words, cells) = self.local.plots.words(pane)?;
                let draw = self.local.plots.figure(pane, size, style, settings.dpi)?;
                let facts = vec![("Shows".to_owned(), words.clone()), ("Cells".to_owned(), cells)];
                Some((Box::new(draw), words, facts))
            }
        }
    }

    pub(super) fn write_figure(&mut self, ctx: &egui::Context, pane: Pane, path: PathBuf) {
        let Some(dataset) = self.work.dataset.clone() else { return };
        let Some((draw, title, mut facts)) = self.figure_of(pane) else {
            let text = "There is nothing drawn in this panel yet.";
            self.work.notify(Severity::Error, "The figure was not saved", text);
            return;
        };
        facts.insert(0, ("Matrix".to_owned(), dataset.matrix.key.to_string()));
        let settings = self.saved.figure;
        if let ColourBy::GeneSet { name, genes } = &self.view.colour_by {
            facts.push((format!("Genes of {name}"), genes.join(" ")));
        }
        self.chores.push(Task::start(ctx, "figure", move || {
            let provenance = Provenance::new(title, &dataset.source, facts).with_hash(&dataset.source);
            let mut scene = draw();
            // A plot that needs more room than was given is made smaller.
            let [width, height] = settings.size();
            let factor = (width / scene.size[0]).min(height / scene.size[1]).min(1.0);
            if factor < 1.0 {
                scene = scene.scaled(factor);
            }
            let mut page = Scene::new([width, height]);
            let ground = Style::of(Tokens::for_dark(settings.ground == figure::Ground::Dark)).ground;
            page.background = (settings.ground != figure::Ground::Transparent).then_some(ground);
            let left = 0.5 * (width - scene.size[0]);
            page.place(scene, [left.max(0.0), 0.0]);
            let written = figure::write(&page, &settings, &provenance, &path);
            Chore::Figure(written.map_err(|error| error.to_string()))
        }));
    }
}
