//! `cargo xtask demo`: from nothing to the window on the built-in sample.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup::{Setup, Wants, is_env_set};
use crate::terminal::{self, say};

/// What the program calls its built-in sample.
const SAMPLE: &str = "sample";

/// Builds the program and shows it.
///
/// # Errors
/// When the machine cannot be made ready, the build fails, or the program does.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let mut no_window = false;
    let mut file = None;
    for argument in arguments {
        match argument.as_str() {
            "--no-window" => no_window = true,
            option if option.starts_with('-') => bail!("demo knows no option {option:?}, only --no-window"),
            _ if file.is_some() => bail!("demo takes one file"),
            path => {
                let path = std::path::absolute(path).context("could not make the file's path absolute")?;
                file = Some(path);
            }
        }
    }
    let window = has_display() && !no_window;
    let setup = Setup::prepare(root, Wants { build: true, drawing: true, window, ..Wants::default() })?;
    let program = setup.build_dev()?;
    let mut command = Command::new(&program);
    if window {
        say("Opening the window.");
        match file {
            Some(file) => command.arg(file),
            None => command.arg(SAMPLE),
        };
        terminal::run(&mut command).context(
            "the window did not end well; `cargo xtask demo --no-window` runs the journey in the terminal",
        )
    } else {
        let out = setup.target_dir().join("demo");
        std::fs::create_dir_all(&out)
            .with_context(|| format!("could not make the folder {}", out.display()))?;
        say("No window: the journey runs in the terminal.");
        command.arg("demo").arg("--out").arg(&out);
        if let Some(file) = file {
            command.arg(file);
        }
        terminal::run(&mut command)
    }
}

/// Whether a window can be opened here.
fn has_display() -> bool {
    cfg!(any(target_os = "macos", windows)) || is_env_set("DISPLAY") || is_env_set("WAYLAND_DISPLAY")
}
