//! What actions and commands do.

use eframe::egui;
use engine::analysis::EmbedSettings;
use engine::session::{Command as Request, DataSource};

use super::super::background::{Poll, Task};
use super::super::command::{Action, Command};
use super::super::dialogs::Purpose;
use super::super::dock::{Dock, Pane};
use super::super::document::Edit;
use super::super::history::History;
use super::super::map::{self, Tool};
use super::super::panels::{self, Dialog, Leaving, Local, PaletteState, Side};
use super::super::selection::{CellSet, Combine};
use super::super::session_file::EXTENSION;
use super::super::state::{ColourBy, Layout, View};
use super::super::theme::ThemeChoice;
use super::super::workspace::{Severity, Streaming, cell_type_term, file_name};
use super::App;
use super::sessions::is_session;

impl App {
    /// Does what was asked for in this frame.
    pub(super) fn run_actions(&mut self, ctx: &egui::Context) {
        // Actions may ask for more; each round is finite because only commands do.
        for _ in 0..4 {
            let actions = std::mem::take(&mut self.actions);
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.run_action(ctx, action);
            }
            ctx.request_repaint();
        }
    }

    fn run_action(&mut self, ctx: &egui::Context, action: Action) {
        match action {
            Action::Run(command) => self.run_command(ctx, command),
            Action::OpenSource(DataSource::File(path)) if is_session(&path) => self.open_session(ctx, path),
            Action::SelectArea { what, area, combine } => self.select_area(ctx, what, &area, combine),
            Action::SelectCategory(row) => self.select_category(ctx, row),
            Action::SelectRange(low, high) => self.select_range(ctx, low, high),
            Action::SelectNames(text) => self.select_names(ctx, text),
            Action::SelectTerm(term) => self.select_term(ctx, term),
            Action::SelectSet(number, combine) => self.select_set(ctx, number, combine),
            Action::Edit(edit) => self.edit(ctx, &edit),
            Action::GoToStep(step) => self.travel(ctx, |history| history.go_to(step)),
            Action::ExportLabelsTo(path) => self.export_labels(ctx, &path),
            Action::WriteCopyTo(path) => self.write_copy(path),
            Action::SaveSessionTo(path) => self.save_session(ctx, &path),
            Action::OpenSessionFile(path) => self.open_session(ctx, path),
            Action::OpenSource(source) if self.work.would_be_missed() => {
                self.ask_before_leaving(Leaving::Open(source));
            }
            Action::OpenSource(source) | Action::Leave(Leaving::Open(source)) => {
                self.local.dialog = None;
                let job = self.send(Request::Open(source.clone()));
                self.work.opening = Some((job, source));
            }
            Action::Leave(Leaving::Quit) => {
                self.may_quit = true;
                ctx.send_viewport_cmd(egui::ViewportCommand::Close);
            }
            Action::ExportTo(path) => {
                self.send(Request::ExportCsv { path: with_extension(path, "csv") });
            }
            Action::SelectCell(cell) => self.select(ctx, cell),
            Action::ColourBy(by) => self.colour_by(ctx, by),
            Action::SetEmbedding(number) => {
                if let Some(dataset) = &self.work.dataset
                    && let Some(embedding) = dataset.embeddings.get(number)
                    && embedding.name != self.view.embedding
                {
                    self.view.embedding.clone_from(&embedding.name);
                    self.view.camera = None;
                    self.local.reveal = false;
                    self.recolour(ctx);
                }
            }
            Action::SetCamera(camera) => self.view.camera = Some(camera).filter(map::Camera::is_sound),
            Action::ToggleCategory(row) => {
                if !self.view.hidden.remove(&row) {
                    self.view.hidden.insert(row);
                }
            }
            Action::IsolateCategory(row) => {
                let rows = self.n_categories();
                let others = (0..rows).filter(|r| *r != row).collect();
                let all_hidden = self.view.hidden.len() == rows;
                self.view.hidden =
                    if all_hidden || self.view.hidden == others { Default::default() } else { others };
            }
            Action::SetCategoryColour(row, colour) => self.set_category_colour(ctx, row, colour),
            Action::SetColourStyle(style) => self.saved.colours = style,
            Action::SetRange(range) => {
                let range = range.sound();
                if self.view.range != range {
                    self.view.range = range;
                    self.recolour(ctx);
                }
            }
            Action::UseMatrix(key) => {
                self.send(Request::UseMatrix(key));
            }
            Action::ShowTerm(term) => {
                self.saved.ontology_open = true;
                self.terms.ask(ctx, &term);
            }
            Action::ExportOntologyTo(path) => self.export_ontology(ctx, &path),
            Action::CancelJob(job) => self.session.cancel(job),
            Action::DismissNotice(id) => self.work.notices.retain(|n| n.id != id),
            Action::Copy(text) => ctx.copy_text(text),
            Action::DismissHint => self.saved.hint_seen = true,
            Action::ForgetRecent(path) => self.saved.recent.retain(|p| *p != path),
            Action::OpenPane(pane) => self.open_pane(pane),
            Action::ClosePane(pane) => self.saved.dock.close(pane),
            Action::SetPlots(plots) => self.view.plots = *plots,
            Action::ReadGenesAgain => {
                let read = &self.work.genes;
                self.work.genes_asked.retain(|gene| read.contains_key(gene));
            }
            Action::AskFigure(pane) => self.local.dialog = Some(Dialog::Figure(pane)),
            Action::ChooseFigureFile(pane) => {
                self.local.dialog = None;
                self.ask(ctx, Purpose::Figure(self.saved.figure.format, pane));
            }
            Action::WriteFigure(pane, path) => self.write_figure(ctx, pane, path),
            Action::SetFigure(figure) => self.saved.figure = figure,
            Action::SaveGeneList(list) => self.save_gene_lists(vec![list]),
            Action::RemoveGeneList(name) => self.saved.gene_lists.retain(|l| l.name != name),
            Action::AskGeneLists => self.ask(ctx, Purpose::GeneLists),
            Action::AskExportGeneLists => self.ask(ctx, Purpose::ExportGeneLists),
            Action::ImportGeneLists(path) => self.import_gene_lists(ctx, path),
            Action::ExportGeneLists(path) => self.export_gene_lists(ctx, path),
            Action::SetComparison(spec) => self.view.comparison = spec,
            Action::Compare => self.compare(),
            Action::ExportComparisonTo(path) => self.export_comparison(path),
            Action::UseModel(folder) => self.choose_model(folder, true),
            Action::AskModelFolder => self.ask(ctx, Purpose::ModelFolder),
            Action::AddModel(folder) => self.add_model(ctx, folder),
            Action::ForgetModel(folder) => self.forget_model(ctx, &folder),
        }
    }

    fn run_command(&mut self, ctx: &egui::Context, command: Command) {
        if !command.is_enabled(self.situation()) {
            return;
        }
        match command {
            Command::Open => self.ask(ctx, Purpose::Open),
            Command::ExportCsv => self.ask(ctx, Purpose::Export),
            Command::ExportLabels => self.ask(ctx, Purpose::Labels),
            Command::WriteCopy => self.ask(ctx, Purpose::Copy),
            Command::OpenFolder => self.ask(ctx, Purpose::OpenFolder),
            Command::OpenSession => self.ask(ctx, Purpose::OpenSession),
            Command::SaveSession => self.ask(ctx, Purpose::SaveSession),
            Command::Undo => self.travel(ctx, History::undo),
            Command::Redo => self.travel(ctx, History::redo),
            Command::ShowHistory => self.local.dialog = Some(Dialog::History),
            Command::NewLabels => self.new_labels(ctx),
            Command::LabelCells => self.label_cells(ctx),
            Command::UnlabelCells => {
                let column = self.local.labels_at.min(self.work.labels.len().saturating_sub(1));
                self.edit(ctx, &Edit::Assign { column, category: None });
            }
            Command::PanTool => self.take_tool(Tool::Pan),
            Command::LassoTool => self.take_tool(Tool::Lasso),
            Command::BoxTool => self.take_tool(Tool::Box),
            Command::SelectAllCells => {
                let all = CellSet::all(self.work.sets.current.n_obs());
                self.select_cells(ctx, "select all", all, Combine::Replace);
            }
            Command::SelectNoCells => self.select_none(ctx),
            Command::InvertSelection => self.edit(ctx, &Edit::Invert),
            Command::PasteCellNames => self.local.dialog = Some(Dialog::CellNames),
            Command::SaveSet => self.save_set(ctx),
            Command::ShowCell => self.show_side(Side::Cell),
            Command::ShowSets => self.show_side(Side::Sets),
            Command::ShowLabels => self.show_side(Side::Labels),
            Command::OpenSample => self.actions.push(Action::OpenSource(DataSource::Sample)),
            Command::ClearRecent => self.saved.recent.clear(),
            Command::Quit => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
            Command::FitMap => self.view.camera = None,
            Command::ZoomIn => self.zoom(1.4),
            Command::ZoomOut => self.zoom(1.0 / 1.4),
            Command::NextEmbedding => self.next_embedding(),
            Command::ComputeMap => {
                self.send(Request::Embed(EmbedSettings::default()));
            }
            Command::ShowMap => self.open_pane(Pane::Map),
            Command::ShowCellList => {
                self.open_pane(Pane::List);
                self.local.reveal = true;
            }
            Command::ShowHistogram
            | Command::ShowViolin
            | Command::ShowDotPlot
            | Command::ShowHeatmap
            | Command::ShowScatter
            | Command::ShowComposition
            | Command::ShowGeneMaps
            | Command::ShowComparison
            | Command::ShowGeneLists => {
                if let Some(pane) = command.pane() {
                    self.open_pane(pane);
                }
            }
            Command::ResetLayout => {
                self.saved.dock = Dock::default();
                self.view.layout = Layout::Map;
            }
            Command::ExportFigure => self.local.dialog = Some(Dialog::Figure(self.pane_of_figure())),
            Command::ExportComparison => self.ask(ctx, Purpose::ExportComparison),
            Command::FindGene => {
                self.saved.data_panel_open = true;
                self.local.focus_gene_field = true;
            }
            Command::ShowAllCategories => self.view.hidden.clear(),
            Command::ToggleLabels => self.saved.colours.labels = !self.saved.colours.labels,
            Command::BrowseOntology => {
                self.saved.ontology_open = true;
                self.local.ontology.open();
            }
            Command::WholeOntology => {
                self.saved.ontology_open = true;
                self.local.ontology.whole = !self.local.ontology.whole;
                // The whole window has room for more.
                self.terms.widen(ctx, self.local.ontology.whole);
            }
            Command::ExportOntologySvg => self.ask(ctx, Purpose::OntologySvg),
            Command::ExportOntologyCsv => self.ask(ctx, Purpose::OntologyCsv),
            Command::ToggleDataPanel => self.saved.data_panel_open = !self.saved.data_panel_open,
            Command::ToggleCellPanel => self.saved.cell_panel_open = !self.saved.cell_panel_open,
            Command::ToggleOntology => self.saved.ontology_open = !self.saved.ontology_open,
            Command::ThemeSystem => self.set_theme(ctx, ThemeChoice::System),
            Command::ThemeLight => self.set_theme(ctx, ThemeChoice::Light),
            Command::ThemeDark => self.set_theme(ctx, ThemeChoice::Dark),
            Command::LargerText => self.set_scale(ctx, self.saved.scale * 1.1),
            Command::SmallerText => self.set_scale(ctx, self.saved.scale / 1.1),
            Command::NormalText => self.set_scale(ctx, 1.0),
            Command::DescribeCell => self.describe(),
            Command::Stop => self.session.cancel_all(),
            Command::AnnotateAll => self.annotate_all(),
            Command::CopyDescription => {
                if let Some(text) = self.local.selected.and_then(|c| self.work.description_text(c)) {
                    ctx.copy_text(text.to_owned());
                }
            }
            Command::ClearSelection => self.let_go(ctx),
            Command::WalkLeft | Command::WalkRight | Command::WalkUp | Command::WalkDown => {
                self.walk(ctx, command);
            }
            Command::ShowPalette => self.local.palette = Some(PaletteState::default()),
            Command::ShowShortcuts => self.local.dialog = Some(Dialog::Shortcuts),
            Command::ShowHint => {
                self.saved.hint_seen = false;
                self.clear_selection();
            }
            Command::About => self.local.dialog = Some(Dialog::About),
            Command::ShowModels => self.show_models(ctx),
        }
    }

    pub(super) fn ask(&mut self, ctx: &egui::Context, purpose: Purpose) {
        if self.dialog.is_none() {
            let name = self.work.dataset.as_ref().map_or("cells", |d| d.name.as_str());
            let term = self.terms.shown().map_or("ontology", |t| t.label.as_str());
            let name = match purpose {
                Purpose::Figure(format, pane) => {
                    format!("{name}_{}.{}", pane.title().to_lowercase(), format.extension())
                }
                Purpose::ExportGeneLists => "gene_lists.csv".to_owned(),
                Purpose::ExportComparison => format!("{name}_comparison.csv"),
                Purpose::OntologySvg => format!("{term}.svg"),
                Purpose::OntologyCsv => format!("{term}.csv"),
                Purpose::Labels => format!("{name}_labels.csv"),
                Purpose::Copy => format!("{}_annotated.h5ad", name.trim_end_matches(".h5ad")),
                Purpose::SaveSession => format!("{name}{EXTENSION}"),
                _ => format!("{name}_described.csv"),
            };
            let name = name.replace(['/', '\\', ' '], "_");
            self.dialog = Some(self.dialogs.open(ctx, purpose, &name));
        }
    }

    pub(super) fn opened(&mut self, ctx: &egui::Context, fresh: bool) {
        let Some(dataset) = self.work.dataset.clone() else { return };
        if fresh {
            self.begin_session(ctx, &dataset);
            self.local = Local::default();
            self.terms.clear();
            self.view = View::default();
            if let DataSource::File(path) = &dataset.source {
                self.saved.remember(path);
                if let Some((last, view)) = self.saved.last_view.clone()
                    && last == *path
                {
                    self.view = view;
                }
            }
            let known = match &self.view.colour_by {
                ColourBy::Nothing => false,
                ColourBy::Column(name) => dataset.obs.column(name).is_some(),
                ColourBy::Gene { gene, symbol } => dataset.genes.get(*gene) == Some(symbol),
                ColourBy::GeneSet { genes, .. } => {
                    genes.iter().any(|g| self.work.gene_names.find(g).is_some())
                }
                ColourBy::Quality(_) => true,
                // Nothing is described yet.
                ColourBy::Said(_) => false,
                ColourBy::Labels(name) => self.work.labels.iter().any(|c| c.name == *name),
            };
            self.open_pane(if self.view.layout == Layout::List { Pane::List } else { Pane::Map });
            if !known {
                self.view.colour_by = map::first_colour(&dataset);
                self.view.hidden.clear();
            }
            self.legend_rows = None;
        } else {
            self.local.genes_found = None;
            self.find_gene_again(&dataset);
        }
        if !dataset.embeddings.iter().any(|e| e.name == self.view.embedding) {
            self.view.embedding = dataset.embeddings.first().map(|e| e.name.clone()).unwrap_or_default();
            self.view.camera = None;
        }
        let by = self.view.colour_by.clone();
        self.take_first();
        self.colour_by(ctx, by);
        // The cells must be seen at once, also while a gene is still being read.
        if !self.map.shows(&dataset) && !self.map.is_busy() {
            self.recolour(ctx);
        }
        if let Some(cell) = self.local.selected {
            self.select(ctx, cell);
        }
        ctx.send_viewport_cmd(egui::ViewportCommand::Title(format!("{} – Cell2Text", dataset.name)));
    }

    /// Shows a map that was computed.
    pub(super) fn extended(&mut self, ctx: &egui::Context, embedding: Option<String>) {
        if let Some(embedding) = embedding {
            self.view.embedding = embedding;
            self.view.camera = None;
            self.view.layout = Layout::Map;
        }
        if self.view.colour_by == ColourBy::Nothing
            && let Some(dataset) = &self.work.dataset
        {
            self.view.colour_by = map::first_colour(dataset);
        }
        self.recolour(ctx);
        // The record of the selected cell names its cluster from now on.
        if let Some(cell) = self.local.selected {
            self.work.record_job = Some(self.send(Request::ReadCell { cell }));
        }
    }

    fn export_ontology(&mut self, ctx: &egui::Context, path: &std::path::Path) {
        let Some(term) = self.terms.shown().cloned() else { return };
        let as_svg = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("svg"));
        let path = if as_svg { path.to_path_buf() } else { with_extension(path.to_path_buf(), "csv") };
        let (counts, column) = (self.terms.counts().clone(), self.terms.file().column.clone());
        self.writing = Some(Task::start(ctx, "export", move || {
            let text = if as_svg {
                panels::ontology_svg(&term, &counts, column.as_deref())
            } else {
                panels::ontology_csv(&term, &counts)
            };
            engine::files::write_atomically(&path, text.as_bytes()).map_err(|e| e.to_string())?;
            let terms = term.neighbourhood.nodes.len();
            Ok((format!("Wrote {terms} terms to {}", file_name(&path)), path.display().to_string()))
        }));
    }

    /// Says what became of a file that the window wrote itself.
    pub(super) fn take_written(&mut self) {
        let (severity, title, detail) = match self.writing.as_ref().map(Task::poll) {
            None | Some(Poll::Running) => return,
            Some(Poll::Done(Ok((title, detail)))) => (Severity::Done, title, detail),
            Some(Poll::Done(Err(error))) => (Severity::Error, "Export failed".to_owned(), error),
            Some(Poll::Lost) => {
                (Severity::Error, "Export failed".to_owned(), "It ended without an answer.".to_owned())
            }
        };
        self.writing = None;
        self.work.notify(severity, title, detail);
    }

    fn select(&mut self, ctx: &egui::Context, cell: usize) {
        let Some(dataset) = self.work.dataset.clone() else { return };
        if cell >= dataset.n_obs {
            return;
        }
        self.local.side = Side::Cell;
        if self.local.selected != Some(cell) {
            // What stands there is said of another cell.
            self.terms.clear();
        }
        self.local.selected = Some(cell);
        self.local.reveal = true;
        self.saved.hint_seen = true;
        self.work.record_job = Some(self.send(Request::ReadCell { cell }));
        match self.work.descriptions.get(&cell).map(|d| cell_type_term(d)) {
            Some(term) => {
                self.show_term_of_cell(ctx, term.as_deref());
                // The one on its way was for another cell.
                if let Some(streaming) = self.work.streaming.take() {
                    self.session.cancel(streaming.job);
                }
            }
            None if self.work.is_describing(cell) => {}
            // A model of human cells has nothing to say of others: it is asked only by hand.
            None if dataset.is_of_another_species() => {
                if let Some(streaming) = self.work.streaming.take() {
                    self.session.cancel(streaming.job);
                }
            }
            None => self.describe(),
        }
    }

    pub(super) fn show_term_of_cell(&mut self, ctx: &egui::Context, term: Option<&str>) {
        match term {
            Some(term) => self.terms.ask(ctx, term),
            None => self.terms.clear(),
        }
    }

    fn describe(&mut self) {
        let Some(cell) = self.local.selected else { return };
        self.work.descriptions.remove(cell);
        let job = self.send(Request::Describe { cell, settings: self.generation.clone() });
        self.work.streaming = Some(Streaming { job, cell, text: String::new(), running: true });
    }

    fn ask_before_leaving(&mut self, leaving: Leaving) {
        self.local.leaving = Some(leaving);
        self.local.dialog = Some(Dialog::Leave);
    }

    /// Keeps the window open and asks, where it is to be closed with descriptions that are in no file.
    pub(super) fn hold_back_quitting(&mut self, ctx: &egui::Context) {
        let closing = ctx.input(|i| i.viewport().close_requested());
        if closing && !self.may_quit && self.work.would_be_missed() {
            ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
            self.ask_before_leaving(Leaving::Quit);
        }
    }

    fn annotate_all(&mut self) {
        let n_obs = self.work.dataset.as_ref().map_or(0, |d| d.n_obs);
        // The cells that a running job has still to describe are missing, too.
        if self.work.annotate_job.is_some() {
            return;
        }
        let cells = self.work.descriptions.missing(n_obs);
        if cells.is_empty() {
            self.work.notify(Severity::Done, "Every cell is described", "Export CSV writes them to a file.");
        } else {
            let request = Request::Annotate { cells: cells.into(), settings: self.generation.clone() };
            self.work.annotate_job = Some(self.send(request));
        }
    }

    pub(super) fn clear_selection(&mut self) {
        self.local.selected = None;
        self.work.record = None;
        self.work.record_job = None;
        self.terms.clear();
        if let Some(streaming) = self.work.streaming.take() {
            self.session.cancel(streaming.job);
        }
    }

    fn walk(&mut self, ctx: &egui::Context, command: Command) {
        let Some(step) = command.step() else { return };
        let bounds = self.map.scene().and_then(|s| s.bounds());
        let camera = self.view.camera.or_else(|| {
            // Only the middle matters for where a walk begins.
            bounds.map(|b| {
                map::Camera::fit(b, egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(1.0, 1.0)))
            })
        });
        let Some(camera) = camera else { return };
        if let Some(cell) = self.map.walk(self.local.selected, step, &camera, &self.view.hidden) {
            self.select(ctx, cell);
        }
    }

    fn zoom(&mut self, factor: f32) {
        self.local.zoom = Some(factor);
    }

    fn next_embedding(&mut self) {
        let Some(dataset) = &self.work.dataset else { return };
        let now = dataset.embeddings.iter().position(|e| e.name == self.view.embedding).unwrap_or(0);
        self.actions.push(Action::SetEmbedding((now + 1) % dataset.embeddings.len().max(1)));
    }

    fn n_categories(&self) -> usize {
        match &self.map.colouring().meaning {
            map::Meaning::Categories { categories, .. } => categories.len(),
            _ => 0,
        }
    }

    fn set_theme(&mut self, ctx: &egui::Context, theme: ThemeChoice) {
        self.saved.theme = theme;
        ctx.set_theme(theme.preference());
    }

    fn set_scale(&mut self, ctx: &egui::Context, scale: f32) {
        self.saved.scale = scale.clamp(0.5, 3.0);
        ctx.set_zoom_factor(self.saved.scale);
    }
}

/// `path` with an extension, where the user typed none.
pub(super) fn with_extension(path: std::path::PathBuf, extension: &str) -> std::path::PathBuf {
    if path.extension().is_some() { path } else { path.with_extension(extension) }
}
