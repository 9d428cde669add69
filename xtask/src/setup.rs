//! Getting a machine ready: quick where all is there, and doing nothing twice.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::python::{self, Environment};
use crate::system::{self, Need};
use crate::terminal;

/// What a chore is about to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wants {
    /// Build the workspace.
    pub build: bool,
    /// Draw: off screen, or in a window.
    pub drawing: bool,
    /// Open a window on the display at hand.
    pub window: bool,
    /// Draw on software Vulkan, so that pictures are alike everywhere.
    pub software_drawing: bool,
    /// Run Python with the tests' packages.
    pub test_python: bool,
}

/// A machine that is ready.
#[derive(Debug)]
pub struct Setup {
    root: PathBuf,
    target_dir: PathBuf,
    /// The CMake to build with, where it is not simply the one in PATH.
    cmake: Option<PathBuf>,
    /// The Python with the tests' packages, where one was wanted.
    python: Option<PathBuf>,
}

impl Setup {
    /// Makes the machine ready for `wants`.
    ///
    /// # Errors
    /// When something is missing that may not be installed; the message says what to run.
    pub fn prepare(root: &Path, wants: Wants) -> Result<Self> {
        let target_dir = target_dir(root);
        let environment = Environment::in_target(&target_dir);
        let own_python =
            std::env::var_os("CELL2TEXT_PYTHON").filter(|value| !value.is_empty()).map(PathBuf::from);
        let known_cmake = if wants.build { find_cmake(&environment)? } else { None };

        let mut needs = Vec::new();
        if wants.build {
            needs.extend([Need::Compiler, Need::Make]);
        }
        let pip_needed =
            (wants.build && known_cmake.is_none()) || (wants.test_python && own_python.is_none());
        if pip_needed {
            needs.push(Need::Python);
        }
        if wants.drawing {
            needs.extend([Need::VulkanLoader, Need::VulkanDriver]);
        }
        if wants.software_drawing {
            needs.extend([Need::VulkanLoader, Need::SoftwareVulkan]);
        }
        if wants.window {
            needs.push(if is_env_set("WAYLAND_DISPLAY") { Need::Wayland } else { Need::X11 });
        }
        system::ensure(&needs)?;

        // The requirements come first: where the environment's Python is too old for them it is made anew, and a
        // CMake installed before would be lost.
        let python = if wants.test_python {
            Some(match own_python {
                Some(python) => check_own_python(python)?,
                None => {
                    environment.install_requirements(&root.join("tests/python/requirements.txt"))?;
                    environment.python()
                }
            })
        } else {
            None
        };
        let cmake = match known_cmake {
            _ if !wants.build => None,
            Some(Cmake::InPath) => None,
            Some(Cmake::At(path)) if path.is_file() => Some(path),
            Some(Cmake::At(_)) | None => Some(environment.install_cmake()?),
        };
        Ok(Self { root: root.to_path_buf(), target_dir, cmake, python })
    }

    /// The workspace's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds.
    pub fn target_dir(&self) -> &Path {
        &self.target_dir
    }

    /// The Python with the tests' packages, where one was wanted.
    pub fn python(&self) -> Option<&Path> {
        self.python.as_deref()
    }

    /// The variables that the build and the tests look at.
    pub fn exports(&self) -> Vec<(&'static str, &Path)> {
        let cmake = self.cmake.as_deref().map(|path| ("CMAKE", path));
        let python = self.python.as_deref().map(|path| ("CELL2TEXT_PYTHON", path));
        cmake.into_iter().chain(python).collect()
    }

    /// A call of cargo in the workspace, with those variables.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target_dir);
        command.envs(self.exports());
        command
    }

    /// The program built in the dev profile.
    pub fn dev_program(&self) -> PathBuf {
        self.target_dir.join("debug").join(program_file())
    }

    /// Builds all crates but this one (which is running) in the dev profile, and gives the program's path.
    ///
    /// The whole workspace is built, not the program alone: a crate built alone may get other features of its
    /// dependencies, and the tests would build them again.
    ///
    /// # Errors
    /// When the build fails.
    pub fn build_dev(&self) -> Result<PathBuf> {
        terminal::run(&mut self.cargo(&["build", "--workspace", "--exclude", "xtask"]))?;
        Ok(self.dev_program())
    }
}

/// The file name of the built program.
pub fn program_file() -> String {
    format!("cell2text{}", std::env::consts::EXE_SUFFIX)
}

/// Where cargo builds: `CARGO_TARGET_DIR` where set, else `target`.
fn target_dir(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
        Some(folder) => std::path::absolute(&folder).unwrap_or_else(|_| PathBuf::from(folder)),
        None => root.join("target"),
    }
}

/// Where a good CMake is.
#[derive(Debug)]
enum Cmake {
    /// In PATH, where the build finds it unaided.
    InPath,
    /// Elsewhere.
    At(PathBuf),
}

/// A CMake new enough: the user's choice, else the one installed here before, else the one in PATH.
///
/// The order keeps the choice the same from call to call, since another CMake would build HDF5 again.
fn find_cmake(environment: &Environment) -> Result<Option<Cmake>> {
    if let Some(chosen) = std::env::var_os("CMAKE").filter(|value| !value.is_empty()) {
        if !python::is_cmake_new_enough(&chosen) {
            bail!(
                "CMAKE is set to {}, which is no CMake of 3.26 or newer; unset it or correct it",
                chosen.display()
            );
        }
        return Ok(Some(Cmake::At(terminal::find_program(&chosen).unwrap_or_else(|| PathBuf::from(chosen)))));
    }
    if let Some(cmake) = environment.cmake() {
        return Ok(Some(Cmake::At(cmake)));
    }
    Ok(python::is_cmake_new_enough(OsStr::new("cmake")).then_some(Cmake::InPath))
}

/// The Python that the user chose, once it is known to have the tests' packages.
fn check_own_python(python: PathBuf) -> Result<PathBuf> {
    let mut command = Command::new(&python);
    command.args(["-c", "import anndata, h5py, pandas"]);
    let output = command
        .output()
        .with_context(|| format!("CELL2TEXT_PYTHON is set to {}, which does not start", python.display()))?;
    if !output.status.success() {
        bail!(
            "CELL2TEXT_PYTHON is set to {}, which cannot import anndata, h5py and pandas; unset it, or install \
             tests/python/requirements.txt there",
            python.display()
        );
    }
    Ok(python)
}

/// Whether `name` is in the environment and not empty.
pub fn is_env_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}
