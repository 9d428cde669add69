//! The app: session, state, and the queue of actions.

mod actions;
mod colours;
mod editing;
mod first_look;
mod graphics;
mod hidden;
mod models;
mod panes;
mod sessions;
mod startup;

use std::path::PathBuf;
use std::sync::Arc;

use eframe::{egui, egui_wgpu};
use engine::session::{Command as Request, DataSource, Event, JobId, Session};

use super::autosave;
use super::background::Task;
use super::command::{Action, Command, Situation};
use super::dialogs::{Answer, Dialogs, GENE_LIST_ENDINGS, OpenDialog, Purpose};
use super::document::Document;
use super::map::{self, Look, Map};
use super::models::{Models, Places};
use super::panels::{self, Local, Scope};
use super::state::{self, ColourStyle, Saved, View};
use super::terms::Terms;
use super::theme::{self, Tokens};
use super::workspace::{Change, Severity, Workspace, cell_type_term};
use super::{WindowOptions, adapter_words};
use hidden::LegendRows;

/// Seconds between a change of the state and its saving.
const SAVE_AFTER_SECS: f64 = 2.0;

/// The window's content and state.
pub struct App {
    session: Session,
    dialogs: Dialogs,
    remember: bool,
    /// Where the state is kept between starts.
    state_file: Option<PathBuf>,
    generation: engine::describe::GenerationSettings,
    saved: Saved,
    stored: Saved,
    changed_at: Option<f64>,
    view: View,
    work: Workspace,
    map: Map,
    /// The map of the data set on its way, until that is open.
    first: Option<Map>,
    /// Descriptions that the colours show, and when they were drawn.
    said_drawn: (u64, f64),
    /// Whether the window may close though descriptions are in no file.
    may_quit: bool,
    /// The legend that the hidden rows of the view belong to.
    legend_rows: Option<LegendRows>,
    /// A file that the window writes itself: what to say of it, or why it failed.
    writing: Option<Task<Result<(String, String), String>>>,
    terms: Terms,
    local: Local,
    dialog: Option<OpenDialog>,
    chores: Vec<Task<panes::Chore>>,
    search: Option<editing::Search>,
    sessions: sessions::Sessions,
    models: Models,
    actions: Vec<Action>,
    renderer: String,
    max_cells: usize,
    /// What the graphics driver said went wrong, until it is told.
    graphics_error: graphics::Slot,
    graphics_error_told: bool,
    startup: startup::Startup,
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
        let state_file = options.state_file.or_else(state::default_path).filter(|_| options.remember);
        let mut saved = state_file.as_deref().map_or_else(Saved::default, state::load);
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
        let graphics_error = graphics::Slot::default();
        if let Some(state) = render_state {
            map::install(state);
            // In tests an error of the driver shall end the program, as it does by default.
            if options.remember {
                graphics::hear_errors(&state.device, ctx, &graphics_error);
            }
        }
        let mut app = Self {
            session,
            dialogs: options.dialogs,
            remember: options.remember,
            state_file,
            generation: engine::describe::GenerationSettings::default(),
            stored: saved.clone(),
            saved,
            changed_at: None,
            view: View::default(),
            work: Workspace::default(),
            map: Map::new(render_state.map_or(usize::MAX, map::cells_while_moving)),
            first: None,
            said_drawn: (0, 0.0),
            may_quit: false,
            legend_rows: None,
            writing: None,
            terms: Terms::default(),
            local: Local::default(),
            dialog: None,
            chores: Vec::new(),
            search: None,
            sessions: sessions::Sessions::new(
                options.autosave.or_else(|| options.remember.then(autosave::default_folder).flatten()),
            ),
            models: Models::new(Places {
                folder: options.models.or_else(|| options.remember.then(crate::models::folder).flatten()),
                device: options.settings.device,
                free_bytes: options.free_memory,
            }),
            actions: Vec::new(),
            renderer: render_state
                .map_or_else(|| "no graphics adapter".into(), |s| adapter_words(&s.adapter)),
            max_cells: render_state.map_or(0, map::max_cells),
            graphics_error,
            graphics_error_told: false,
            startup: startup::Startup::new(options.started),
        };
        app.tell_what_draws(options.graphics_failure.as_deref(), options.software);
        match options.settings.model {
            // What the command line names goes before what was chosen last.
            Some(folder) => app.work.model_folder = Some(folder),
            None => app.take_saved_model(),
        }
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
            && self.first.is_none()
            && !self.terms.is_working()
            && self.writing.is_none()
            && self.dialog.is_none()
            && self.chores.is_empty()
            && !self.local.plots.is_busy()
            && !self.local.gene_maps.is_busy()
            && self.search.is_none()
            && !self.sessions.is_busy()
            && !self.models.is_busy()
            && !self.local.terms_offered.is_busy()
    }

    /// The open data set.
    pub fn dataset(&self) -> Option<&Arc<engine::session::Dataset>> {
        self.work.dataset.as_ref()
    }

    /// The selected cell.
    pub fn selected_cell(&self) -> Option<usize> {
        self.local.selected
    }

    /// The description of a cell, once it is complete.
    pub fn description(&self, cell: usize) -> Option<&Arc<engine::describe::Description>> {
        self.work.descriptions.get(&cell)
    }

    /// What cells all over the data set say of where its cells come from, once it was looked over.
    pub fn context(&self) -> Option<&engine::session::ContextReport> {
        self.work.context.as_deref()
    }

    /// How the colours on the map are chosen.
    fn look(&self) -> Look {
        let title = &self.map.colouring().title;
        Look {
            hidden: self.view.hidden.clone(),
            scale: self.saved.colours.scale,
            from_file: self.saved.colours.from_file,
            own: self.work.colours.get(title).cloned().unwrap_or_default(),
        }
    }

    /// Whether the picture last painted shows every cell of the map.
    pub fn is_drawn(&self) -> bool {
        self.map.is_drawn()
    }

    /// The selected cells and the named sets.
    pub fn sets(&self) -> &super::selection::Sets {
        &self.work.sets
    }

    /// How the colours are chosen and explained.
    pub fn colour_style(&self) -> ColourStyle {
        self.saved.colours
    }

    /// The view of the data set.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What is kept from one start to the next.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// The selection, the named sets, the labels and the colours of the user.
    pub fn document(&self) -> Document {
        self.work.document()
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
            is_annotating: self.work.annotate_job.is_some(),
            has_hidden: !self.view.hidden.is_empty(),
            has_recent: !self.saved.recent.is_empty(),
            has_comparison: self.work.comparison.is_some(),
            has_term: self.terms.shown().is_some(),
            has_selected_cells: !self.work.sets.current.is_empty(),
            has_tool: self.local.tool != map::Tool::Pan,
            can_undo: self.work.history.undo_name().is_some(),
            can_redo: self.work.history.redo_name().is_some(),
            has_labels: !self.work.labels.is_empty(),
        }
    }

    /// Takes up what other threads have done. Never waits.
    pub fn update(&mut self, ctx: &egui::Context) {
        while let Some(event) = self.session.try_next() {
            if matches!(event, Event::Opened { .. }) {
                self.save_at_once();
            }
            match self.work.apply(event) {
                Some(Change::FirstLook(look)) => self.look_first(ctx, &look),
                Some(Change::Opened { fresh }) => self.opened(ctx, fresh),
                Some(Change::GeneRead) => self.recolour(ctx),
                Some(Change::Extended { embedding }) => self.extended(ctx, embedding),
                Some(Change::Described { cell, term }) if self.local.selected == Some(cell) => {
                    self.show_term_of_cell(ctx, term.as_deref());
                }
                Some(Change::Told(cells)) => {
                    let selected = self.local.selected.filter(|cell| cells.contains(cell));
                    if let Some(told) = selected.and_then(|cell| self.work.descriptions.get(&cell)) {
                        let term = cell_type_term(told);
                        self.show_term_of_cell(ctx, term.as_deref());
                    }
                }
                Some(Change::OpenFailed(path)) => self.saved.recent.retain(|p| *p != path),
                Some(Change::ModelLoaded { model, chosen }) => self.model_loaded(ctx, &model, chosen),
                Some(Change::ModelGone(why)) => self.model_gone(&why),
                Some(Change::Described { .. }) | None => {}
            }
        }
        self.hold_back_quitting(ctx);
        self.map.update();
        self.follow_hidden();
        self.update_first();
        self.tell_graphics_error();
        self.update_panes(ctx);
        self.terms.update(ctx, &self.work);
        self.recolour_said(ctx);
        self.take_written();
        self.update_search(ctx);
        self.update_sessions(ctx);
        self.models.update();
        match self.dialog.as_ref().and_then(OpenDialog::poll) {
            Some(Answer::Chosen(Purpose::Open | Purpose::OpenFolder, path)) => {
                self.actions.push(Action::OpenSource(DataSource::File(path)));
            }
            Some(Answer::Chosen(Purpose::ModelFolder, path)) => self.actions.push(Action::AddModel(path)),
            Some(Answer::Chosen(Purpose::Export, path)) => self.actions.push(Action::ExportTo(path)),
            Some(Answer::Chosen(Purpose::Figure(_, pane), path)) => {
                self.actions.push(Action::WriteFigure(pane, path));
            }
            Some(Answer::Chosen(Purpose::GeneLists, path)) => {
                self.actions.push(Action::ImportGeneLists(path));
            }
            Some(Answer::Chosen(Purpose::ExportGeneLists, path)) => {
                self.actions.push(Action::ExportGeneLists(path));
            }
            Some(Answer::Chosen(Purpose::ExportComparison, path)) => {
                self.actions.push(Action::ExportComparisonTo(path));
            }
            Some(Answer::Chosen(Purpose::OntologySvg | Purpose::OntologyCsv, path)) => {
                self.actions.push(Action::ExportOntologyTo(path));
            }
            Some(Answer::Chosen(Purpose::Labels, path)) => self.actions.push(Action::ExportLabelsTo(path)),
            Some(Answer::Chosen(Purpose::Copy, path)) => self.actions.push(Action::WriteCopyTo(path)),
            Some(Answer::Chosen(Purpose::OpenSession, path)) => {
                self.actions.push(Action::OpenSessionFile(path));
            }
            Some(Answer::Chosen(Purpose::SaveSession, path)) => {
                self.actions.push(Action::SaveSessionTo(path));
            }
            Some(Answer::Chosen(Purpose::DataOfSession, path)) => self.found_data(Some(path)),
            Some(Answer::Unavailable) => self.work.notify(
                Severity::Error,
                "The file dialog could not be shown",
                "Drop the file on this window, or start the program with it: cell2text FILE.",
            ),
            Some(Answer::None) => self.found_data(None),
            None => return,
        }
        self.dialog = None;
    }

    /// One frame: takes up events, paints everything, runs the actions.
    pub fn frame_ui(&mut self, ui: &mut egui::Ui) {
        let ctx = ui.ctx().clone();
        self.startup.note(self.map.scene().is_some() || self.first_map().is_some());
        self.update(&ctx);
        self.take_dropped(&ctx);
        self.take_shortcuts(&ctx);
        let tokens = Tokens::of(ui);
        let look = self.look();
        self.map.update_table(&look, tokens);
        self.map.update_selection(&self.work.sets.current);
        self.style_first(&look, tokens);
        self.panels_ui(ui);
        self.run_actions(&ctx);
        if !ctx.input(|i| i.pointer.any_down()) {
            self.work.history.end_drag();
        }
        self.save_later(&ctx);
        self.save_by_itself(&ctx);
    }

    fn panels_ui(&mut self, ui: &mut egui::Ui) {
        let now = self.situation();
        let mut dock = std::mem::take(&mut self.saved.dock);
        let shown = dock.in_front();
        let scope = Scope {
            shown: &shown,
            saved: &self.saved,
            view: &self.view,
            work: &self.work,
            map: &self.map,
            terms: &self.terms,
            models: &self.models,
            now,
            max_cells: self.max_cells,
            renderer: &self.renderer,
        };
        let (local, out) = (&mut self.local, &mut self.actions);
        let mut sizes =
            (scope.saved.data_panel_width, scope.saved.cell_panel_width, scope.saved.ontology_height);
        panels::top_bar_ui(ui, &scope, out);
        panels::status_bar_ui(ui, &scope, out);
        let first = self.first.as_ref().filter(|map| map.scene().is_some());
        // What is on its way takes the place of what is open, of which nothing can be asked any more.
        let has_data = scope.work.dataset.is_some() && first.is_none();
        let whole = has_data && local.ontology.whole;
        if has_data && !whole {
            if scope.saved.data_panel_open {
                sizes.0 = panels::data_panel_ui(ui, &scope, local, out);
            }
            if scope.saved.cell_panel_open {
                sizes.1 = panels::side_panel_ui(ui, &scope, local, out);
            }
        }
        let middle = ui.available_rect_before_wrap();
        let tokens = Tokens::of(ui);
        egui::CentralPanel::no_frame().show(ui, |ui| {
            if whole {
                panels::whole_ontology_ui(ui, &scope, local, out);
            } else if let Some(first) = first {
                panels::first_map_ui(ui, &scope, first);
            } else if has_data {
                sizes.2 = panels::centre_ui(ui, &scope, local, &mut dock, out);
            } else {
                ui.painter().rect_filled(ui.max_rect(), 0.0, tokens.canvas);
                panels::welcome_ui(ui, &scope, out);
            }
        });
        // Notices stand above the ontology, not on it.
        let above = local.ontology.height * f32::from(u8::from(has_data && scope.saved.ontology_open));
        let middle = middle.with_max_y((middle.bottom() - above).max(middle.top() + 120.0));
        panels::notices_ui(ui, middle, &scope, local, out);
        panels::palette_ui(ui, &scope, local, out);
        panels::dialogs_ui(ui, &scope, local, out);
        panels::drop_overlay_ui(ui);
        self.saved.dock = dock;
        (self.saved.data_panel_width, self.saved.cell_panel_width, self.saved.ontology_height) = sizes;
    }

    fn take_dropped(&mut self, ctx: &egui::Context) {
        let dropped: Vec<_> =
            ctx.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_path_buf()).collect());
        if let Some(path) = dropped.into_iter().next() {
            // A list of genes dropped on open data is meant for them; as data it could not be opened.
            let is_list =
                path.extension().is_some_and(|e| GENE_LIST_ENDINGS.iter().any(|l| e.eq_ignore_ascii_case(l)));
            self.actions.push(if is_list && self.work.dataset.is_some() {
                Action::ImportGeneLists(path)
            } else {
                Action::OpenSource(DataSource::File(path))
            });
        }
    }

    fn take_shortcuts(&mut self, ctx: &egui::Context) {
        // Dialogs and menus have the keys for themselves; each closes on Escape by itself.
        if self.local.palette.is_some() || self.local.dialog.is_some() || egui::Popup::is_any_open(ctx) {
            return;
        }
        // Escape leaves the whole-window ontology before it lets go of a cell.
        if self.local.ontology.whole
            && ctx.input_mut(|i| i.consume_key(egui::Modifiers::NONE, egui::Key::Escape))
        {
            self.actions.push(Action::Run(Command::WholeOntology));
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
            // A text field has its own undo.
            let is_of_fields = matches!(command, Command::Undo | Command::Redo);
            if ((plain || is_of_fields) && typing) || (plain && is_of_widgets && on_widget) {
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

    fn save_later(&mut self, ctx: &egui::Context) {
        let Some(path) = self.state_file.clone() else { return };
        if let Some(DataSource::File(file)) = self.work.dataset.as_ref().map(|d| &d.source) {
            let same = self.saved.last_view.as_ref().is_some_and(|(p, v)| p == file && *v == self.view);
            if !same {
                self.saved.last_view = Some((file.clone(), self.view.clone()));
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
            std::thread::spawn(move || state::store(&saved, &path));
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
        self.save_at_once();
        if let Some(path) = self.state_file.as_deref().filter(|_| self.saved != self.stored) {
            state::store(&self.saved, path);
        }
    }
}
