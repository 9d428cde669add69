//! Describing many cells, and the table that comes of it.
//!
//! [`annotate_cells`] describes cells in batches and hands over each batch as it is done. [`write_csv`] writes
//! what was described as one CSV with a provenance file beside it, so that every row can be traced to the input,
//! the model and the settings that made it. [`write_copy`] puts the same columns into a copy of the file itself.

mod batch;
mod choose;
mod entries;
mod labels_file;
mod provenance;
mod sheet;
mod table;
mod write_copy;

pub use batch::{Batches, Telling, annotate_cells};
pub use choose::{find_cells, sample_cells};
pub use labels_file::read_labels;
pub use provenance::{InputFile, Run, provenance_path};
pub use sheet::{Field, Sheet, write_sheet};
pub use table::{Annotation, Export, index_label, write_csv};
pub use write_copy::{CopyRequest, HandLabels, check_copy, write_copy};
