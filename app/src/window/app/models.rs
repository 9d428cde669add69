//! Choosing the model that describes cells.

use std::path::PathBuf;

use eframe::egui;
use engine::session::{Command as Request, ModelReport};

use super::super::panels::Dialog;
use super::super::workspace::{Choosing, Severity};
use super::App;

impl App {
    /// Takes the model that was chosen last, before it is needed. Whether it is still there, the engine finds out.
    pub(super) fn take_saved_model(&mut self) {
        if let Some(folder) = self.saved.model.clone() {
            self.choose_model(Some(folder), false);
        }
    }

    /// Shows the models to choose from.
    pub(super) fn show_models(&mut self, ctx: &egui::Context) {
        self.look_for_models(ctx);
        self.local.dialog = Some(Dialog::Models);
    }

    pub(super) fn look_for_models(&mut self, ctx: &egui::Context) {
        let mut elsewhere = self.saved.models.clone();
        // What the command line named is there to be seen, even where it cannot be loaded.
        elsewhere.extend(self.work.model_folder.clone());
        self.models.look(ctx, &elsewhere);
    }

    /// Lists the model in a folder from now on.
    pub(super) fn add_model(&mut self, ctx: &egui::Context, folder: PathBuf) {
        self.saved.remember_model(folder);
        self.show_models(ctx);
    }

    /// Lists the model in a folder no more.
    pub(super) fn forget_model(&mut self, ctx: &egui::Context, folder: &std::path::Path) {
        self.saved.models.retain(|known| known != folder);
        self.look_for_models(ctx);
    }

    /// Has cells described by another model.
    pub(super) fn choose_model(&mut self, folder: Option<PathBuf>, load: bool) {
        let job = self.send(Request::UseModel { folder: folder.clone(), load });
        self.work.choosing = Some(Choosing { job, folder, load });
    }

    /// Remembers a model that is loaded now, and keeps the choice of it.
    pub(super) fn model_loaded(&mut self, ctx: &egui::Context, model: &ModelReport, chosen: bool) {
        if let Some(folder) = model.folder.clone().filter(|folder| !self.models.is_installed(folder)) {
            self.saved.remember_model(folder);
        }
        if !chosen {
            return;
        }
        self.saved.model.clone_from(&model.folder);
        let text = "What was described before stays as it was.";
        self.work.notify(Severity::Done, format!("{} describes cells from now on", model.name), text);
        // It took some of the memory, and the one before gave its own back.
        if self.local.dialog == Some(Dialog::Models) {
            self.look_for_models(ctx);
        }
    }

    /// Goes back to the built-in model where the one chosen last cannot be used.
    pub(super) fn model_gone(&mut self, why: &str) {
        self.saved.model = None;
        let text = format!("The built-in model describes cells instead. {why}");
        self.work.notify(Severity::Warning, "The model chosen last cannot be used", text);
    }
}
