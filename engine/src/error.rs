//! The engine's one error type.
//!
//! Every error says which part failed, on which element, what was expected there and what to do about it,
//! because the person who reads it is a biologist with a file, not a programmer with a debugger.

use std::fmt;
use std::path::{Path, PathBuf};

/// What the engine's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One thing that is not as it must be: where, what was found, what was expected, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file concerned, where there is one.
    pub file: Option<PathBuf>,
    /// The element: a path inside the file (`obs/cell_type`), a gene, a tensor, a setting.
    pub element: String,
    /// What was found there.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// What the user can do.
    pub remedy: String,
}

impl Problem {
    /// A problem with `element`: `found` something other than `expected`.
    pub fn new(
        element: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            file: None,
            element: element.into(),
            found: found.into(),
            expected: expected.into(),
            remedy: remedy.into(),
        }
    }

    /// The same problem, said of `file`.
    #[must_use]
    pub fn in_file(mut self, file: impl AsRef<Path>) -> Self {
        self.file = Some(file.as_ref().to_path_buf());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        write!(f, "{}: found {}; expected {}. {}", self.element, self.found, self.expected, self.remedy)
    }
}

/// Everything that can go wrong in the engine, by the room in which it did.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read or write.
    #[error("{}: could not {action}: {source}", path.display())]
    Io {
        /// What was being done, as "read the token dictionary".
        action: String,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A cell file is not a readable AnnData file, or an element inside it is not.
    #[error("{0}")]
    AnnData(Box<Problem>),
    /// Gene names cannot be used.
    #[error("{0}")]
    Genes(Box<Problem>),
    /// A token dictionary or an encoding is wrong.
    #[error("{0}")]
    Tokens(Box<Problem>),
    /// A model folder, tensor or configuration is wrong.
    #[error("{0}")]
    Model(Box<Problem>),
    /// An ontology file or term is wrong.
    #[error("{0}")]
    Ontology(Box<Problem>),
    /// A gene-set file or pathway is wrong.
    #[error("{0}")]
    Pathways(Box<Problem>),
    /// Training data, settings or a checkpoint are wrong.
    #[error("{0}")]
    Train(Box<Problem>),
    /// What was asked for cannot be done: an unknown cell, a missing model, a bad setting.
    #[error("{0}")]
    Request(Box<Problem>),
    /// The compute device failed.
    #[error("{0}")]
    Device(Box<Problem>),
    /// The user stopped the work.
    #[error("stopped")]
    Cancelled,
}

macro_rules! constructors {
    ($($name:ident => $variant:ident),* $(,)?) => {
        impl Error {
            $(
                #[doc = concat!("An [`Error::", stringify!($variant), "`] from its problem.")]
                pub fn $name(problem: Problem) -> Self {
                    Self::$variant(Box::new(problem))
                }
            )*
        }
    };
}

constructors! {
    anndata => AnnData, genes => Genes, tokens => Tokens, model => Model, ontology => Ontology,
    pathways => Pathways, train => Train, request => Request, device => Device,
}

impl Error {
    /// An [`Error::Io`]: `action` on `path` failed with `source`.
    pub fn io(action: impl Into<String>, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { action: action.into(), path: path.as_ref().to_path_buf(), source }
    }

    /// The problem behind this error, where it has one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::AnnData(p)
            | Self::Genes(p)
            | Self::Tokens(p)
            | Self::Model(p)
            | Self::Ontology(p)
            | Self::Pathways(p)
            | Self::Train(p)
            | Self::Request(p)
            | Self::Device(p) => Some(p),
            Self::Io { .. } | Self::Cancelled => None,
        }
    }

    /// Whether the user asked for the stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_where_what_expected_and_what_to_do() {
        let error = Error::anndata(
            Problem::new("X/indptr", "9 entries", "11, one more than cells", "Write the file again.")
                .in_file("a.h5ad"),
        );
        assert_eq!(
            error.to_string(),
            "a.h5ad: X/indptr: found 9 entries; expected 11, one more than cells. Write the file again."
        );
    }
}
