//! The system's file dialogs, on a thread of their own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use eframe::egui;

use super::background::{Poll, Task};
use super::wait::wait_for;

/// How the names of files with lists of genes end.
pub const GENE_LIST_ENDINGS: [&str; 4] = ["gmt", "csv", "tsv", "txt"];

/// Who answers the file dialogs.
#[derive(Debug, Clone, Default)]
pub enum Dialogs {
    /// The user.
    #[default]
    Native,
    /// Nobody is asked: these are the answers. For tests and for recordings.
    Answers {
        /// The file to open.
        open: Option<PathBuf>,
        /// The file to save.
        save: Option<PathBuf>,
    },
}

/// What a dialog is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An h5ad file to open.
    Open,
    /// A folder of 10x Genomics or Zarr to open.
    OpenFolder,
    /// A model's folder to list.
    ModelFolder,
    /// The CSV to write.
    Export,
    /// A figure to write.
    Figure(super::figure::Format, super::dock::Pane),
    /// Lists of genes to read.
    GeneLists,
    /// Lists of genes to write.
    ExportGeneLists,
    /// A comparison to write.
    ExportComparison,
    /// The picture of the ontology to write.
    OntologySvg,
    /// The table of the ontology to write.
    OntologyCsv,
    /// The CSV of labels to write.
    Labels,
    /// The copy of the data file to write.
    Copy,
    /// A session file to open.
    OpenSession,
    /// The session file to write.
    SaveSession,
    /// The data file of a session, which was not found.
    DataOfSession,
}

impl Purpose {
    /// Whether a file is chosen that is there.
    fn opens(self) -> bool {
        matches!(
            self,
            Self::Open
                | Self::OpenFolder
                | Self::ModelFolder
                | Self::GeneLists
                | Self::OpenSession
                | Self::DataOfSession
        )
    }
}

/// A dialog's end.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The user chose this.
    Chosen(Purpose, PathBuf),
    /// The user chose nothing.
    None,
    /// The dialog ended at once: the system most likely has none.
    Unavailable,
}

/// A dialog that is open.
#[derive(Debug)]
pub struct OpenDialog {
    purpose: Purpose,
    since: Instant,
    task: Task<Option<PathBuf>>,
}

/// A person needs longer than this to close a dialog.
const AT_ONCE: Duration = Duration::from_millis(250);

impl Dialogs {
    /// Opens the dialog for `purpose`, with `name` as the proposed file name.
    pub fn open(&self, ctx: &egui::Context, purpose: Purpose, name: &str) -> OpenDialog {
        let since = Instant::now();
        let task = match self {
            Self::Answers { open, save } => {
                let answer = if purpose.opens() { open.clone() } else { save.clone() };
                Task::start(ctx, "file dialog", move || answer)
            }
            Self::Native => {
                // macOS wants the dialog to be made on the main thread; the waiting is done on another everywhere.
                let dialog = rfd::AsyncFileDialog::new();
                let future: std::pin::Pin<Box<dyn Future<Output = Option<rfd::FileHandle>> + Send>> =
                    match purpose {
                        Purpose::Open => Box::pin(
                            dialog
                                .set_title("Open an h5ad file")
                                .add_filter("AnnData (h5ad)", &["h5ad"])
                                .add_filter("All files", &["*"])
                                .pick_file(),
                        ),
                        Purpose::OpenFolder => Box::pin(
                            dialog.set_title("Open a folder: 10x Genomics, or AnnData in Zarr").pick_folder(),
                        ),
                        Purpose::ModelFolder => Box::pin(
                            dialog
                                .set_title("Choose a model's folder, with its cell2text.toml")
                                .pick_folder(),
                        ),
                        Purpose::Copy => Box::pin(
                            dialog
                                .set_title("Write annotations into a copy")
                                .add_filter("AnnData (h5ad)", &["h5ad"])
                                .set_file_name(name)
                                .save_file(),
                        ),
                        Purpose::Export => Box::pin(
                            dialog
                                .set_title("Export the described cells")
                                .add_filter("CSV", &["csv"])
                                .set_file_name(name)
                                .save_file(),
                        ),
                        Purpose::Figure(format, _) => Box::pin(
                            dialog
                                .set_title("Export the figure")
                                .add_filter(format.text(), &[format.extension()])
                                .set_file_name(name)
                                .save_file(),
                        ),
                        Purpose::GeneLists => Box::pin(
                            dialog
                                .set_title("Load lists of genes")
                                .add_filter("Gene sets (GMT, CSV, text)", &GENE_LIST_ENDINGS)
                                .add_filter("All files", &["*"])
                                .pick_file(),
                        ),
                        Purpose::ExportGeneLists => Box::pin(
                            dialog
                                .set_title("Export the lists of genes")
                                .add_filter("CSV or GMT", &["csv", "gmt"])
                                .set_file_name(name)
                                .save_file(),
                        ),
                        Purpose::ExportComparison => Box::pin(
                            dialog
                                .set_title("Export the comparison")
                                .add_filter("CSV", &["csv"])
                                .set_file_name(name)
                                .save_file(),
                        ),
                        Purpose::OntologySvg => Box::pin(
                            dialog
                                .set_title("Export the ontology terms shown")
                                .add_filter("SVG", &["svg"])
                                .set_file_name(name)
                                .save_file(),
                        ),
                        Purpose::OntologyCsv => Box::pin(
                            dialog
                                .set_title("Export the ontology terms shown")
                                .add_filter("CSV", &["csv"])
                                .set_file_name(name)
                                .save_file(),
                        ),
                        Purpose::Labels => Box::pin(
                            dialog
                                .set_title("Export labels")
                                .add_filter("CSV", &["csv"])
                                .set_file_name(name)
                                .save_file(),
                        ),
                        Purpose::OpenSession => Box::pin(
                            dialog
                                .set_title("Open a session")
                                .add_filter("Cell2Text session", &["json"])
                                .add_filter("All files", &["*"])
                                .pick_file(),
                        ),
                        Purpose::SaveSession => Box::pin(
                            dialog
                                .set_title("Save the session")
                                .add_filter("Cell2Text session", &["json"])
                                .set_file_name(name)
                                .save_file(),
                        ),
                        Purpose::DataOfSession => Box::pin(
                            dialog
                                .set_title("Where is the data file of this session?")
                                .add_filter("AnnData (h5ad)", &["h5ad"])
                                .add_filter("All files", &["*"])
                                .pick_file(),
                        ),
                    };
                Task::start(ctx, "file dialog", move || {
                    wait_for(future).map(|file| file.path().to_path_buf())
                })
            }
        };
        OpenDialog { purpose, since, task }
    }
}

impl OpenDialog {
    /// The answer, once there is one.
    pub fn poll(&self) -> Option<Answer> {
        Some(match self.task.poll() {
            Poll::Running => return None,
            Poll::Done(Some(path)) => Answer::Chosen(self.purpose, path),
            Poll::Done(None) if self.since.elapsed() > AT_ONCE => Answer::None,
            Poll::Done(None) | Poll::Lost => Answer::Unavailable,
        })
    }
}
