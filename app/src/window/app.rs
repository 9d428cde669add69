//! The app: session, state, and the queue of actions.

use eframe::{egui, egui_wgpu};
use engine::session::{Command as Request, DataSource, JobId, Session};

use super::command::{Action, Command, Situation};
use super::dialogs::{Answer, Dialogs, OpenDialog, Purpose};
use super::map::{self, Map, Source};
use super::panels::{self, Dialog, Local, PaletteState, Scope};
use super::state::{self, ColourBy, Layout, Saved, View};
use super::terms::Terms;
use super::theme::{self, ThemeChoice, Tokens};
use super::workspace::{Change, Severity, Streaming, Workspace, cell_type_term};
use super::{WindowOptions, adapter_words};

/// Seconds between a change of the state and its saving.
const SAVE_AFTER_SECS: f64 = 2.0;

/// The window's content and state.
pub struct App {
    session: Session,
    dialogs: Dialogs,
    remember: bool,
    generation: engine::describe::GenerationSettings,
    saved: Saved,
    stored: Saved,
    changed_at: Option<f64>,
    view: View,
    work: Workspace,
    map: Map,
    terms: Terms,
    local: Local,
    dialog: Option<OpenDialog>,
    actions: Vec<Action>,
    renderer: String,
    max_cells: usize,
}

impl App {
    /// An app in a window that eframe makes.
    pub fn new(cc: &eframe::CreationContext<'_>, session: Session, options: WindowOptions) -> Self {
        Self::with_context(&cc.egui_ctx, cc.wgpu_render_state.as_ref(), session, options)
    }

    /// An app that is painted by whoever calls [`App::frame_ui`].
    pub fn with_context(
        ctx: &egui::Context,
        render_state: Option<&egui_wgpu::RenderState>,
        session: Session,
        options: WindowOptions,
    ) -> Self {
        let mut saved = if options.remember { state::load() } else { Saved::default() };
        if let Some(theme) = options.theme {
            saved.theme = theme;
        }
        theme::install(ctx);
        if options.remember || options.theme.is_some() {
            ctx.set_theme(saved.theme.preference());
        }
        ctx.set_zoom_factor(saved.scale);
        let waker = ctx.clone();
        session.set_waker(move || waker.request_repaint());
        if let Some(state) = render_state {
            map::install(state);
        }
        let mut app = Self {
            session,
            dialogs: options.dialogs,
            remember: options.remember,
            generation: engine::describe::GenerationSettings::default(),
            stored: saved.clone(),
            saved,
            changed_at: None,
            view: View::default(),
            work: Workspace::default(),
            map: Map::default(),
            terms: Terms::default(),
            local: Local::default(),
            dialog: None,
            actions: Vec::new(),
            renderer: render_state
                .map_or_else(|| "no graphics adapter".into(), |s| adapter_words(&s.adapter)),
            max_cells: render_state.map_or(0, map::max_cells),
        };
        if let Some(source) = options.open {
            app.actions.push(Action::OpenSource(source));
            app.run_actions(ctx);
        }
        app
    }

    fn send(&mut self, request: Request) -> JobId {
        let job = self.session.send(request);
        self.work.outstanding.insert(job);
        job
    }

    /// Asks for something; it is done at the end of the next frame.
    pub fn queue(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Whether nothing runs: no job, no description, no work of the window's own.
    pub fn is_idle(&self) -> bool {
        self.actions.is_empty()
            && self.work.outstanding.is_empty()
            && !self.map.is_busy()
            && !self.terms.is_busy()
            && self.dialog.is_none()
    }

    /// The open data set.
    pub fn dataset(&self) -> Option<&std::sync::Arc<engine::session::Dataset>> {
        self.work.dataset.as_ref()
    }

    /// The selected cell.
    pub fn selected_cell(&self) -> Option<usize> {
        self.local.selected
    }

    /// The description of a cell, once it is complete.
    pub fn description(&self, cell: usize) -> Option<&std::sync::Arc<engine::describe::Description>> {
        self.work.descriptions.get(&cell)
    }

    /// The view of the data set.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What commands can do now.
    pub fn situation(&self) -> Situation {
        let dataset = self.work.dataset.as_ref();
        let selected = self.local.selected;
        Situation {
            has_data: dataset.is_some(),
            has_map: dataset.is_some_and(|d| !d.embeddings.is_empty()),
            has_other_embedding: dataset.is_some_and(|d| d.embeddings.len() > 1),
            has_selection: selected.is_some(),
            has_description: selected
                .is_some_and(|c| self.work.description_text(c).is_some_and(|t| !t.is_empty())),
            has_annotations: !self.work.descriptions.is_empty(),
            is_working: !self.work.jobs.is_empty(),
            has_hidden: !self.view.hidden.is_empty(),
            has_recent: !self.saved.recent.is_empty(),
        }
    }

    /// Takes up what other threads have done. Never waits.
    pub fn update(&mut self, ctx: &egui::Context) {
        while let Some(event) = self.session.try_next() {
            match self.work.apply(event) {
                Some(Change::Opened { fresh }) => self.opened(ctx, fresh),
                Some(Change::GeneRead) => self.recolour(ctx),
                Some(Change::Described { cell, term }) => {
                    if self.local.selected == Some(cell) {
                        self.show_term_of_cell(ctx, term.as_deref());
                    }
                }
                Some(Change::OpenFailed(path)) => self.saved.recent.retain(|p| *p != path),
                None => {}
            }
        }
        self.map.update();
        self.terms.update();
        match self.dialog.as_ref().and_then(OpenDialog::poll) {
            Some(Answer::Chosen(Purpose::Open, path)) => {
                self.actions.push(Action::OpenSource(DataSource::File(path)));
            }
            Some(Answer::Chosen(Purpose::Export, path)) => self.actions.push(Action::ExportTo(path)),
            Some(Answer::Unavailable) => self.work.notify(
                Severity::Error,
                "The file dialog could not be shown",
                "Drop the file on this window, or start the program with it: cell2text FILE.",
            ),
            Some(Answer::None) => {}
            None => return,
        }
        self.dialog = None;
    }

    /// One frame: takes up events, paints everything, runs the actions.
    pub fn frame_ui(&mut self, ui: &mut egui::Ui) {
        let ctx = ui.ctx().clone();
        self.update(&ctx);
        self.take_dropped(&ctx);
        self.take_shortcuts(&ctx);
        let tokens = Tokens::of(ui);
        self.map.update_table(&self.view.hidden, tokens);
        self.panels_ui(ui);
        self.run_actions(&ctx);
        self.save_later(&ctx);
    }

    fn panels_ui(&mut self, ui: &mut egui::Ui) {
        let now = self.situation();
        let scope = Scope {
            saved: &self.saved,
            view: &self.view,
            work: &self.work,
            map: &self.map,
            terms: &self.terms,
            now,
            max_cells: self.max_cells,
            renderer: &self.renderer,
        };
        let (local, out) = (&mut self.local, &mut self.actions);
        let mut sizes =
            (scope.saved.data_panel_width, scope.saved.cell_panel_width, scope.saved.ontology_height);
        panels::top_bar_ui(ui, &scope, out);
        panels::status_bar_ui(ui, &scope, out);
        let has_data = scope.work.dataset.is_some();
        if has_data {
            if scope.saved.data_panel_open {
                sizes.0 = panels::data_panel_ui(ui, &scope, local, out);
            }
            if scope.saved.cell_panel_open {
                sizes.1 = panels::cell_panel_ui(ui, &scope, local, out);
            }
        }
        let middle = ui.available_rect_before_wrap();
        let tokens = Tokens::of(ui);
        egui::CentralPanel::no_frame().show(ui, |ui| {
            if has_data {
                sizes.2 = panels::centre_ui(ui, &scope, local, out);
            } else {
                ui.painter().rect_filled(ui.max_rect(), 0.0, tokens.canvas);
                panels::welcome_ui(ui, &scope, out);
            }
        });
        panels::notices_ui(ui, middle, &scope, local, out);
        panels::palette_ui(ui, &scope, local, out);
        panels::dialogs_ui(ui, &scope, local);
        panels::drop_overlay_ui(ui);
        (self.saved.data_panel_width, self.saved.cell_panel_width, self.saved.ontology_height) = sizes;
    }

    fn take_dropped(&mut self, ctx: &egui::Context) {
        let dropped: Vec<_> =
            ctx.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_path_buf()).collect());
        if let Some(path) = dropped.into_iter().next() {
            self.actions.push(Action::OpenSource(DataSource::File(path)));
        }
    }

    fn take_shortcuts(&mut self, ctx: &egui::Context) {
        // Dialogs and menus have the keys for themselves; each closes on Escape by itself.
        if self.local.palette.is_some() || self.local.dialog.is_some() || egui::Popup::is_any_open(ctx) {
            return;
        }
        let now = self.situation();
        let typing = ctx.text_edit_focused();
        // Space, Enter and the arrows belong to a focused button; the map hands them on.
        let focused = ctx.memory(|m| m.focused());
        let on_widget = focused.is_some() && !self.map_has_focus(ctx);
        let mut shortcuts: Vec<(egui::KeyboardShortcut, Command)> =
            Command::ALL.into_iter().flat_map(|c| c.shortcuts().into_iter().map(move |s| (s, c))).collect();
        // The longest first: Ctrl+Shift+O would also fit Ctrl+O.
        shortcuts.sort_by_key(|(s, _)| !(s.modifiers.command && s.modifiers.shift));
        for (shortcut, command) in shortcuts {
            let plain = shortcut.modifiers.is_none();
            let is_of_widgets = matches!(
                shortcut.logical_key,
                egui::Key::Space
                    | egui::Key::Enter
                    | egui::Key::ArrowLeft
                    | egui::Key::ArrowRight
                    | egui::Key::ArrowUp
                    | egui::Key::ArrowDown
            );
            if (plain && typing) || (plain && is_of_widgets && on_widget) {
                continue;
            }
            if command.is_enabled(now) && ctx.input_mut(|i| i.consume_shortcut(&shortcut)) {
                self.actions.push(Action::Run(command));
            }
        }
    }

    fn map_has_focus(&self, ctx: &egui::Context) -> bool {
        let focused = ctx.memory(|m| m.focused());
        focused.is_some() && focused == ctx.data(|d| d.get_temp(map::focus_key()))
    }

    fn run_actions(&mut self, ctx: &egui::Context) {
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
            Action::OpenSource(source) => {
                let job = self.send(Request::Open(source.clone()));
                self.work.opening = Some((job, source));
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
            Action::UseMatrix(key) => {
                self.send(Request::UseMatrix(key));
            }
            Action::ShowTerm(term) => {
                self.saved.ontology_open = true;
                self.terms.ask(ctx, &term);
            }
            Action::CancelJob(job) => self.session.cancel(job),
            Action::DismissNotice(id) => self.work.notices.retain(|n| n.id != id),
            Action::Copy(text) => ctx.copy_text(text),
            Action::DismissHint => self.saved.hint_seen = true,
            Action::ForgetRecent(path) => self.saved.recent.retain(|p| *p != path),
        }
    }

    fn run_command(&mut self, ctx: &egui::Context, command: Command) {
        if !command.is_enabled(self.situation()) {
            return;
        }
        match command {
            Command::Open => self.ask(ctx, Purpose::Open),
            Command::ExportCsv => self.ask(ctx, Purpose::Export),
            Command::OpenSample => self.actions.push(Action::OpenSource(DataSource::Sample)),
            Command::ClearRecent => self.saved.recent.clear(),
            Command::Quit => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
            Command::FitMap => self.view.camera = None,
            Command::ZoomIn => self.zoom(1.4),
            Command::ZoomOut => self.zoom(1.0 / 1.4),
            Command::NextEmbedding => self.next_embedding(),
            Command::ShowMap => self.view.layout = Layout::Map,
            Command::ShowCellList => {
                self.view.layout = Layout::List;
                self.local.reveal = true;
            }
            Command::FindGene => {
                self.saved.data_panel_open = true;
                self.local.focus_gene_field = true;
            }
            Command::ShowAllCategories => self.view.hidden.clear(),
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
            Command::ClearSelection => self.clear_selection(),
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
        }
    }

    fn ask(&mut self, ctx: &egui::Context, purpose: Purpose) {
        if self.dialog.is_none() {
            let name = self.work.dataset.as_ref().map_or("cells", |d| d.name.as_str());
            let name = format!("{name}_described.csv").replace(['/', '\\', ' '], "_");
            self.dialog = Some(self.dialogs.open(ctx, purpose, &name));
        }
    }

    fn opened(&mut self, ctx: &egui::Context, fresh: bool) {
        let Some(dataset) = self.work.dataset.clone() else { return };
        if fresh {
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
            };
            if !known {
                self.view.colour_by = map::first_colour(&dataset);
            }
        } else {
            self.local.genes_found = None;
        }
        if !dataset.embeddings.iter().any(|e| e.name == self.view.embedding) {
            self.view.embedding = dataset.embeddings.first().map(|e| e.name.clone()).unwrap_or_default();
            self.view.camera = None;
        }
        let by = self.view.colour_by.clone();
        self.map.clear();
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

    fn colour_by(&mut self, ctx: &egui::Context, by: ColourBy) {
        if self.view.colour_by != by {
            self.view.hidden.clear();
        }
        self.view.colour_by = by;
        if let ColourBy::Gene { gene, symbol } = &self.view.colour_by {
            let n_genes = self.work.dataset.as_ref().map_or(0, |d| d.genes.len());
            if *gene >= n_genes {
                let text = format!("The genes of this matrix do not hold {symbol}.");
                self.work.notify(Severity::Error, "Gene not found", text);
                return;
            }
            let read = self.work.gene.as_ref().is_some_and(|g| g.gene == *gene);
            if !read {
                if let Some(job) = self.work.gene_job.take() {
                    self.session.cancel(job);
                }
                self.work.gene_job = Some(self.send(Request::ColourByGene { gene: *gene }));
                return;
            }
        }
        self.recolour(ctx);
    }

    /// Draws the cells anew in the colours that are there.
    fn recolour(&mut self, ctx: &egui::Context) {
        let Some(dataset) = &self.work.dataset else { return };
        let source = match &self.view.colour_by {
            ColourBy::Nothing => Source::Nothing,
            ColourBy::Column(name) => Source::Column(name.clone()),
            ColourBy::Gene { gene, .. } => match &self.work.gene {
                Some(read) if read.gene == *gene => Source::Gene(read.clone()),
                _ => Source::Nothing,
            },
        };
        let embedding = dataset.embeddings.iter().position(|e| e.name == self.view.embedding).unwrap_or(0);
        self.map.show(ctx, dataset, embedding, source);
    }

    fn select(&mut self, ctx: &egui::Context, cell: usize) {
        let Some(dataset) = &self.work.dataset else { return };
        if cell >= dataset.n_obs {
            return;
        }
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
            None => self.describe(),
        }
    }

    fn show_term_of_cell(&mut self, ctx: &egui::Context, term: Option<&str>) {
        match term {
            Some(term) => self.terms.ask(ctx, term),
            None => self.terms.clear(),
        }
    }

    fn describe(&mut self) {
        let Some(cell) = self.local.selected else { return };
        self.work.descriptions.remove(&cell);
        let job = self.send(Request::Describe { cell, settings: self.generation.clone() });
        self.work.streaming = Some(Streaming { job, cell, text: String::new(), running: true });
    }

    fn annotate_all(&mut self) {
        let n_obs = self.work.dataset.as_ref().map_or(0, |d| d.n_obs);
        let cells: Vec<usize> =
            (0..n_obs).filter(|cell| !self.work.descriptions.contains_key(cell)).collect();
        if cells.is_empty() {
            self.work.notify(Severity::Done, "Every cell is described", "Export CSV writes them to a file.");
        } else {
            self.send(Request::Annotate { cells: cells.into(), settings: self.generation.clone() });
        }
    }

    fn clear_selection(&mut self) {
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

    fn save_later(&mut self, ctx: &egui::Context) {
        if !self.remember {
            return;
        }
        if let Some(DataSource::File(path)) = self.work.dataset.as_ref().map(|d| &d.source) {
            let same = self.saved.last_view.as_ref().is_some_and(|(p, v)| p == path && *v == self.view);
            if !same {
                self.saved.last_view = Some((path.clone(), self.view.clone()));
            }
        }
        if self.saved == self.stored {
            self.changed_at = None;
            return;
        }
        let now = ctx.time();
        let since = *self.changed_at.get_or_insert(now);
        if now - since >= SAVE_AFTER_SECS {
            self.changed_at = None;
            self.stored = self.saved.clone();
            let saved = self.saved.clone();
            // A network home folder may be slow: not on this thread.
            std::thread::spawn(move || state::store(&saved));
        } else {
            ctx.request_repaint_after_secs((SAVE_AFTER_SECS - (now - since)) as f32 + 0.05);
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        // Also while the window is hidden, so that the engine never waits for room in its channel.
        self.update(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.frame_ui(ui);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        Tokens::for_dark(visuals.dark_mode).panel.to_normalized_gamma_f32()
    }

    fn on_exit(&mut self) {
        self.session.cancel_all();
        if self.remember && self.saved != self.stored {
            state::store(&self.saved);
        }
    }
}

/// `path` with an extension, where the user typed none.
fn with_extension(path: std::path::PathBuf, extension: &str) -> std::path::PathBuf {
    if path.extension().is_some() { path } else { path.with_extension(extension) }
}
