//! `cell2text models`: which models there are, whether they are whole, and away with one.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::model::{Bundle, InstalledModel, installed};
use serde_json::json;

use super::failure::Failure;
use super::output::{Output, tell};
pub use crate::models::{folder, size};

/// Lists, verifies and removes models
///
/// Models lie in one folder, each in its own: the one that CELL2TEXT_MODELS names, else one among the user's data.
/// `cell2text import` puts them there, and --model takes their names.
#[derive(Debug, Clone, Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// List them (the default)
    List,
    /// Check every file of a model against its hash
    Verify {
        /// Its name in the list, or its folder; without it, the built-in one
        model: Option<PathBuf>,
    },
    /// Remove a model and its folder
    Remove {
        /// Its name in the list
        model: String,
    },
}

/// The folder that `model` names: itself where it is one, else that of the model of this name.
pub fn find(model: &Path) -> PathBuf {
    if model.join("cell2text.toml").is_file() || model.components().count() != 1 {
        return model.to_path_buf();
    }
    folder()
        .map(|folder| folder.join(model))
        .filter(|found| found.is_dir())
        .unwrap_or_else(|| model.to_path_buf())
}

impl ModelsArgs {
    /// Does what is asked.
    ///
    /// # Errors
    /// Where a model is not there or not whole, or the folder cannot be read or changed.
    pub fn run(&self) -> Result<(), Failure> {
        match &self.what {
            None | Some(What::List) => self.list(),
            Some(What::Verify { model }) => self.verify(model.as_deref()),
            Some(What::Remove { model }) => self.remove(model),
        }
    }

    fn list(&self) -> Result<(), Failure> {
        let folder = folder();
        let found = folder.as_deref().map(installed).transpose()?.unwrap_or_default();
        let mut usable = vec![InstalledModel::of(&Bundle::builtin()?, None)?];
        for (path, model) in found {
            match model {
                Ok(model) => usable.push(model),
                Err(error) => tell(format_args!("{}: {error}", path.display())),
            }
        }
        let mut out = Output::new();
        if self.json {
            return out.json(&json!({ "folder": folder, "models": usable }));
        }
        for model in &usable {
            let place = match &model.folder {
                Some(folder) => folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                None => "built-in".to_owned(),
            };
            let bits = model.bits.map_or("full".to_owned(), |bits| bits.to_string());
            out.line(format_args!(
                "{place:<24} {} {bits:>6}  {:>9} stored  {:>9} in memory  {} ({})",
                model.id,
                size(model.bytes),
                size(model.needs()),
                model.name,
                model.licence
            ))?;
        }
        match folder {
            Some(folder) => out.line(format_args!("more are looked for in {}", folder.display())),
            None => Ok(()),
        }
    }

    fn verify(&self, model: Option<&Path>) -> Result<(), Failure> {
        let bundle = match model {
            Some(model) => Bundle::open(&find(model))?,
            None => Bundle::builtin()?,
        };
        bundle.verify()?;
        let (id, files) = (bundle.id(), bundle.manifest.hashes.len());
        let mut out = Output::new();
        if self.json {
            return out.json(&json!({ "name": bundle.manifest.name, "id": id, "files": files }));
        }
        out.line(format_args!("{}: all {files} files are as they were ({id})", bundle.manifest.name))
    }

    fn remove(&self, model: &str) -> Result<(), Failure> {
        let folder = folder().ok_or_else(|| {
            Failure::Usage("this system names no data folder; set CELL2TEXT_MODELS to one".to_owned())
        })?;
        // A name, and no path: nothing outside the folder of models is ever removed.
        let mut parts = Path::new(model).components();
        let plain = matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None));
        let own = folder.join(model);
        if !plain || !own.join("cell2text.toml").is_file() {
            return Err(Failure::Usage(format!("there is no model {model:?} in {}", folder.display())));
        }
        std::fs::remove_dir_all(&own)
            .map_err(|error| Failure::Other(anyhow::anyhow!("remove {}: {error}", own.display())))?;
        let mut out = Output::new();
        if self.json {
            out.json(&json!({ "removed": own }))
        } else {
            out.line(format_args!("removed {}", own.display()))
        }
    }
}
