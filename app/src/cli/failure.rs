//! How a command fails, and the exit code that says so.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for something that makes no sense. Exit code 2, as for a wrong option.
    Usage(String),
    /// The input file, or its genes, cannot be used. Exit code 3.
    BadInput(Arc<engine::Error>),
    /// Anything else the engine refuses. Exit code 1.
    Engine(Arc<engine::Error>),
    /// Anything else. Exit code 1.
    Other(anyhow::Error),
    /// The user pressed Ctrl-C; with what came of it. Exit code 130.
    Interrupted(String),
    /// Whoever read our output has seen enough (`| head`). Exit code 0.
    ReaderGone,
}

impl Failure {
    /// What to print after `error: `; nothing where silence is right.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Usage(message) | Self::Interrupted(message) => Some(message.clone()),
            Self::BadInput(error) | Self::Engine(error) => Some(error.to_string()),
            Self::Other(error) => Some(format!("{error:#}")),
            Self::ReaderGone => None,
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Engine(_) | Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::BadInput(_) => 3,
            Self::Interrupted(_) => 130,
        }
    }
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        Self::from(failure.code())
    }
}

impl From<Arc<engine::Error>> for Failure {
    fn from(error: Arc<engine::Error>) -> Self {
        match &*error {
            engine::Error::AnnData(_) | engine::Error::Genes(_) => Self::BadInput(error),
            engine::Error::Cancelled => Self::Interrupted("interrupted".to_owned()),
            _ => Self::Engine(error),
        }
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        Arc::new(error).into()
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::ReaderGone } else { Self::Other(error.into()) }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}
