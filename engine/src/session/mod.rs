//! The engine thread: commands in, events out.
//!
//! A [`Session`] owns the open data set and the loaded model on threads of its own. A face (the window, the
//! command line) sends [`Command`]s and drains [`Event`]s; it never waits for either.

mod command;
mod event;

pub use command::{Command, DataSource, JobId};
pub use event::{
    Annotations, CellRecord, Dataset, DeviceReport, Embedding, Event, Finding, GeneColour, ModelReport, TopGene,
};
