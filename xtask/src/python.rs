//! Python in `target/tools/python`: a virtual environment of our own, for CMake and for the tests that read our
//! files back with the field's own tools. The user's Python is never changed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::terminal::{self, say};

/// What to install CMake as, where the system's is too old. Debian 12 has 3.25.1; HDF5 asks for 3.26.
const CMAKE_REQUIREMENT: &str = "cmake==4.4.4";

/// The oldest CMake that HDF5 builds with.
const CMAKE_MINIMUM: (u32, u32) = (3, 26);

/// The oldest Python that the packages of `tests/python/requirements.txt` run on.
pub const TEST_PYTHON_MINIMUM: (u32, u32) = (3, 11);

/// A Python in PATH that can make virtual environments, of version `minimum` or newer.
pub fn find(minimum: (u32, u32)) -> Option<PathBuf> {
    // Distributions that keep an older `python3` offer newer ones by number.
    let mut names = vec!["python3".to_owned(), "python".to_owned()];
    names.extend((11..=16).rev().map(|minor| format!("python3.{minor}")));
    names
        .iter()
        .filter_map(terminal::find_program)
        .find(|python| version_of(python, "import venv, ensurepip").is_some_and(|version| version >= minimum))
}

/// The version of `python`, where it runs and `imports` succeed in it.
fn version_of(python: &Path, imports: &str) -> Option<(u32, u32)> {
    let program = format!("{imports}\nimport sys\nprint(sys.version_info[0], sys.version_info[1])");
    let output = terminal::output(Command::new(python).args(["-c", &program]))?;
    let (major, minor) = output.split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The virtual environment of the chores.
#[derive(Debug)]
pub struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// The one in `target_dir`, whether or not it is there yet.
    pub fn in_target(target_dir: &Path) -> Self {
        Self { folder: target_dir.join("tools").join("python") }
    }

    /// The one with scanpy, which only the benchmarks need.
    pub fn with_scanpy(target_dir: &Path) -> Self {
        Self { folder: target_dir.join("tools").join("scanpy") }
    }

    /// The one with llama.cpp and torch, which only the benchmarks need.
    pub fn with_peers(target_dir: &Path) -> Self {
        Self { folder: target_dir.join("tools").join("peers") }
    }

    fn program(&self, name: &str) -> PathBuf {
        let folder = if cfg!(windows) { "Scripts" } else { "bin" };
        self.folder.join(folder).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    /// Its Python.
    pub fn python(&self) -> PathBuf {
        self.program("python")
    }

    /// Its CMake, where one is installed and new enough.
    pub fn cmake(&self) -> Option<PathBuf> {
        let cmake = self.program("cmake");
        (cmake.is_file() && is_cmake_new_enough(cmake.as_os_str())).then_some(cmake)
    }

    /// Installs CMake into it.
    ///
    /// # Errors
    /// When there is no Python, or pip fails.
    pub fn install_cmake(&self) -> Result<PathBuf> {
        self.create((3, 8))?;
        self.pip(&[CMAKE_REQUIREMENT.as_ref()], &[]).with_context(|| {
            format!(
                "HDF5 is built with CMake {}.{} or newer, and PATH has none; put one there, or set CMAKE to it",
                CMAKE_MINIMUM.0, CMAKE_MINIMUM.1
            )
        })?;
        self.cmake().context("the CMake that pip installed does not run")
    }

    /// Installs the packages listed in `requirements`, unless these very ones were installed before.
    ///
    /// # Errors
    /// When there is no Python new enough, or pip fails.
    pub fn install_requirements(&self, requirements: &Path) -> Result<()> {
        self.install_requirements_with(requirements, &[])
    }

    /// The same, with some variables set for packages that are built here.
    ///
    /// # Errors
    /// As [`Environment::install_requirements`].
    pub fn install_requirements_with(&self, requirements: &Path, variables: &[(&str, &str)]) -> Result<()> {
        let wanted = std::fs::read_to_string(requirements)
            .with_context(|| format!("could not read {}", requirements.display()))?;
        let marker = self.folder.join("installed-requirements.txt");
        if self.is_usable(TEST_PYTHON_MINIMUM)
            && std::fs::read_to_string(&marker).is_ok_and(|had| had == wanted)
        {
            return Ok(());
        }
        self.create(TEST_PYTHON_MINIMUM)?;
        self.pip(&["--requirement".as_ref(), requirements.as_os_str()], variables).context(
            "some tests read files back with Python; set CELL2TEXT_PYTHON to a Python that has the packages of \
             tests/python/requirements.txt to use that instead",
        )?;
        std::fs::write(&marker, wanted).with_context(|| format!("could not write {}", marker.display()))
    }

    fn is_usable(&self, minimum: (u32, u32)) -> bool {
        version_of(&self.python(), "import pip").is_some_and(|version| version >= minimum)
    }

    /// Makes the environment, or makes it anew where its Python is gone or too old.
    fn create(&self, minimum: (u32, u32)) -> Result<()> {
        if self.is_usable(minimum) {
            return Ok(());
        }
        let Some(python) = find(minimum) else {
            bail!(
                "Python {}.{} or newer with its venv module is needed and none was found in PATH",
                minimum.0,
                minimum.1
            );
        };
        say(&format!("Making a Python environment in {}", self.folder.display()));
        terminal::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&self.folder))
    }

    fn pip(&self, what: &[&OsStr], variables: &[(&str, &str)]) -> Result<()> {
        let words: Vec<_> = what.iter().map(|word| word.to_string_lossy()).collect();
        say(&format!("Installing into {}: {}", self.folder.display(), words.join(" ")));
        let mut command = Command::new(self.python());
        command
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-input"])
            .args(what)
            .envs(variables.iter().copied());
        terminal::run(&mut command).context(
            "pip could not install it: this needs the Python package index, over the network or by the mirror that \
             pip is configured with (PIP_INDEX_URL)",
        )
    }
}

/// Whether `cmake` runs and is new enough for HDF5.
pub fn is_cmake_new_enough(cmake: &OsStr) -> bool {
    terminal::output(Command::new(cmake).arg("--version"))
        .and_then(|text| cmake_version(&text))
        .is_some_and(|version| version >= CMAKE_MINIMUM)
}

/// Major and minor version from what `cmake --version` prints.
fn cmake_version(text: &str) -> Option<(u32, u32)> {
    let version = text.lines().next()?.strip_prefix("cmake version ")?;
    let mut parts = version.split(['.', '-', ' ']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cmake_says_its_version_in_the_first_line() {
        assert_eq!(cmake_version("cmake version 3.25.1\n\nCMake suite maintained by Kitware"), Some((3, 25)));
        assert_eq!(cmake_version("cmake version 4.4.4"), Some((4, 4)));
        assert_eq!(cmake_version("cmake version 3.30-rc1"), Some((3, 30)));
        assert_eq!(cmake_version("something else"), None);
        assert!(cmake_version("cmake version 3.25.1") < Some(CMAKE_MINIMUM));
    }

    #[test]
    fn a_program_that_is_not_there_is_not_a_new_enough_cmake() {
        assert!(!is_cmake_new_enough(OsStr::new("no-such-program-anywhere")));
    }
}
