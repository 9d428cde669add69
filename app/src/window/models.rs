//! Which models there are to choose from, and what memory each needs, looked up beside the window.

use std::path::{Path, PathBuf};

use eframe::egui;
use engine::model::{Bundle, InstalledModel, installed};
use engine::nn::{DevicePreference, choose_device, free_memory};

use super::background::{Poll, Task};

/// A model that can be chosen, or why not.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its folder; `None` is the built-in one.
    pub folder: Option<PathBuf>,
    /// What it tells of itself.
    pub model: Result<InstalledModel, String>,
    /// Whether it was added by the user, and lies elsewhere than the others.
    pub added: bool,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The models: the built-in one, those in the folder of models, those added by the user.
    pub list: Vec<Listed>,
    /// Bytes of memory that are free, where the system tells.
    pub free_bytes: Option<u64>,
    /// Where models compute, in words.
    pub device: String,
    /// Whether that is a GPU, with a memory of its own.
    pub on_gpu: bool,
}

/// How a model's need compares with the memory there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It fits.
    Fits,
    /// It needs more than is free.
    TooLarge,
    /// Nobody knows how much is free.
    Unknown,
}

impl Found {
    /// Whether `model` fits into what is free. The one in use has its memory already.
    pub fn fit(&self, model: &InstalledModel) -> Fit {
        match self.free_bytes.filter(|_| !self.on_gpu) {
            Some(free) if model.needs() > free => Fit::TooLarge,
            Some(_) => Fit::Fits,
            None => Fit::Unknown,
        }
    }
}

/// Where to look, and what is taken as given.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The folder of models.
    pub folder: Option<PathBuf>,
    /// Where models compute.
    pub device: DevicePreference,
    /// Bytes taken as free in place of what the system says.
    pub free_bytes: Option<u64>,
}

/// The models to choose from, as last looked up.
#[derive(Debug, Default)]
pub struct Models {
    places: Places,
    found: Option<Found>,
    task: Option<Task<Found>>,
}

impl Models {
    /// Models in `places`; nothing is looked up yet.
    pub fn new(places: Places) -> Self {
        Self { places, found: None, task: None }
    }

    /// What was found; `None` until it was looked up.
    pub fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    /// Whether `folder` lies in the folder of models.
    pub fn is_installed(&self, folder: &Path) -> bool {
        self.places.folder.is_some() && folder.parent() == self.places.folder.as_deref()
    }

    /// Whether it is being looked up.
    pub fn is_busy(&self) -> bool {
        self.task.is_some()
    }

    /// Looks again, also for the models in the folders `added` by the user.
    pub fn look(&mut self, ctx: &egui::Context, added: &[PathBuf]) {
        let (places, added) = (self.places.clone(), added.to_vec());
        self.task = Some(Task::start(ctx, "models", move || look_up(&places, &added)));
    }

    /// Takes up what was found. Never waits.
    pub fn update(&mut self) {
        match self.task.as_ref().map(Task::poll) {
            None | Some(Poll::Running) => return,
            Some(Poll::Done(found)) => self.found = Some(found),
            Some(Poll::Lost) => {}
        }
        self.task = None;
    }
}

fn look_up(places: &Places, added: &[PathBuf]) -> Found {
    let said = |model: engine::Result<InstalledModel>| model.map_err(|error| error.to_string());
    let builtin = Bundle::builtin().and_then(|bundle| InstalledModel::of(&bundle, None));
    let mut list = vec![Listed { folder: None, model: said(builtin), added: false }];
    let in_folder = match places.folder.as_deref().map(installed) {
        Some(Ok(models)) => models,
        Some(Err(error)) => {
            tracing::warn!("could not list the models: {error}");
            Vec::new()
        }
        None => Vec::new(),
    };
    for (folder, model) in in_folder {
        list.push(Listed { folder: Some(folder), model: said(model), added: false });
    }
    for folder in added {
        if !list.iter().any(|listed| listed.folder.as_deref() == Some(folder.as_path())) {
            let model = said(InstalledModel::open(folder));
            list.push(Listed { folder: Some(folder.clone()), model, added: true });
        }
    }
    let (device, on_gpu) = match choose_device(places.device) {
        Ok(chosen) => (chosen.name.clone(), !chosen.is_cpu()),
        Err(_) => (String::new(), false),
    };
    Found { list, free_bytes: places.free_bytes.or_else(free_memory), device, on_gpu }
}

/// A model's name where only its folder is known.
pub fn folder_name(folder: Option<&Path>) -> String {
    match folder {
        Some(folder) => super::workspace::file_name(folder),
        None => "the built-in model".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_held_against_the_memory_that_is_free_and_on_a_gpu_against_none() {
        let model = InstalledModel::of(&Bundle::builtin().unwrap(), None).unwrap();
        let need = model.needs();
        let found = |free_bytes, on_gpu| Found { free_bytes, on_gpu, ..Found::default() };
        assert_eq!(found(Some(need), false).fit(&model), Fit::Fits);
        assert_eq!(found(Some(need - 1), false).fit(&model), Fit::TooLarge);
        assert_eq!(found(None, false).fit(&model), Fit::Unknown);
        assert_eq!(found(Some(0), true).fit(&model), Fit::Unknown);
    }

    #[test]
    fn the_built_in_model_comes_first_and_a_folder_that_is_none_says_why() {
        let empty = tempfile::tempdir().unwrap();
        let places = Places { device: DevicePreference::Cpu, free_bytes: Some(5), ..Places::default() };
        let found = look_up(&places, &[empty.path().to_path_buf()]);
        assert_eq!(found.list.len(), 2);
        assert!(found.list[0].folder.is_none() && found.list[0].model.is_ok());
        assert!(found.list[1].added);
        assert!(found.list[1].model.as_ref().unwrap_err().contains("cell2text.toml"));
        assert_eq!((found.free_bytes, found.on_gpu), (Some(5), false));
    }
}
