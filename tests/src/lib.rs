//! What the tests over the whole share: the program's binary, the shared data, Python.
//!
//! What a test needs and the machine lacks is said aloud (`SKIPPED: …` on standard error), never passed over in
//! silence.
// A test that cannot go on panics; that is how it fails.
#![allow(clippy::expect_used, clippy::panic)]

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The program, built from the sources as they are now.
///
/// `cargo test --workspace` builds no binaries for this crate's tests, so that the first call in a process asks
/// cargo for it: a second or so where nothing changed. A test started without cargo takes the one that is there.
///
/// # Panics
/// Where it is not there, or does not build.
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build_binary).clone()
}

fn build_binary() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a file");
    let folder = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let binary = folder.join(format!("cell2text{}", std::env::consts::EXE_SUFFIX));
    if let (Some(cargo), Some(target)) = (std::env::var_os("CARGO"), folder.parent()) {
        let profile = match folder.file_name().and_then(OsStr::to_str) {
            None | Some("debug") => "dev",
            Some(name) => name,
        };
        // --workspace, or features are unified otherwise and nearly everything is built again.
        let built = Command::new(cargo)
            .args(["build", "--workspace", "--bin", "cell2text", "--profile", profile, "--target-dir"])
            .arg(target)
            .current_dir(root())
            .output()
            .expect("cargo starts");
        assert!(
            built.status.success(),
            "cell2text does not build:\n{}",
            String::from_utf8_lossy(&built.stderr)
        );
    }
    assert!(
        binary.exists(),
        "{} is not there: run `cargo build --workspace` with the same profile first",
        binary.display()
    );
    binary
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Run {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Run {
    /// Runs `command` to its end.
    ///
    /// # Panics
    /// Where it does not start, or prints what is not UTF-8.
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("the program starts"))
    }

    /// The standard output of a run that must have worked.
    ///
    /// # Panics
    /// Where it did not work.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The standard output of a run that must have worked, as one JSON value.
    ///
    /// # Panics
    /// Where it did not work, or printed something else.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e} in {out:?}"))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The program with `args`.
pub fn cell2text<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(binary());
    command.args(args);
    command
}

/// A file or folder of the shared test data, below `CELL2TEXT_SHARED` where that is set, else `../shared`. `None`,
/// said aloud, where it is missing.
pub fn shared(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CELL2TEXT_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        skipped(&format!("{} is missing", path.display()));
        return None;
    }
    Some(path)
}

/// A Python with pandas, named by `CELL2TEXT_PYTHON`. `None`, said aloud, where there is none.
pub fn python() -> Option<PathBuf> {
    let Some(python) = std::env::var_os("CELL2TEXT_PYTHON").map(PathBuf::from) else {
        skipped("CELL2TEXT_PYTHON names no Python with pandas");
        return None;
    };
    let import = Command::new(&python).args(["-c", "import pandas"]).output();
    if !import.is_ok_and(|output| output.status.success()) {
        skipped(&format!("{} cannot import pandas", python.display()));
        return None;
    }
    Some(python)
}

/// Says aloud that a test is skipped: the harness swallows what `eprintln!` prints in a test that passes, but not this.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
