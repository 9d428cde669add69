//! The engine threads: commands in, events out.
//!
//! A [`Session`] owns the open data set and the loaded model on threads of its own. A face (the window, the
//! command line) sends [`Command`]s and drains [`Event`]s; it never waits for either.
//!
//! Five workers serve one session, so that looking never waits for describing, nor a click for a whole gene:
//!
//! | worker | commands |
//! | --- | --- |
//! | data | [`Command::Open`], [`Command::UseMatrix`], [`Command::ColourByGene`], [`Command::ReadGenes`], [`Command::ExportCsv`], [`Command::WriteCopy`], [`Command::ExportComparison`], [`Command::ExportMap`] |
//! | cell | [`Command::ReadCell`] |
//! | analysis | [`Command::Compare`], [`Command::ReadQuality`], [`Command::Embed`] |
//! | background | [`Command::OrderGenes`] |
//! | model | [`Command::Describe`], [`Command::Annotate`], [`Command::LookOver`], [`Command::UseModel`] |
//!
//! Each worker takes its commands in the order sent; a description asked for during an annotate job is slipped in
//! between two batches. A command always speaks of the data set of the last [`Command::Open`] or
//! [`Command::UseMatrix`] sent before it: it waits until that one is there and is stopped when it fails.
//!
//! ```no_run
//! use std::time::Duration;
//! use engine::session::{Command, DataSource, Event, Session, Settings};
//!
//! let session = Session::start(Settings::default())?;
//! let opening = session.send(Command::Open(DataSource::Sample));
//! while let Some(event) = session.next_timeout(Duration::from_secs(60)) {
//!     match event {
//!         Event::Opened { dataset, .. } => assert_eq!(dataset.n_obs, 700),
//!         Event::Finished { job } if job == opening => break,
//!         _ => {}
//!     }
//! }
//! # Ok::<(), engine::Error>(())
//! ```

mod analysis;
mod command;
mod computed;
mod data;
mod dataset;
mod doctor;
mod event;
mod genes;
mod jobs;
mod model;
mod run;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_analysis;
#[cfg(test)]
mod tests_of_context;
#[cfg(test)]
mod tests_of_genes;
#[cfg(test)]
mod tests_of_models;
#[cfg(test)]
mod tests_on_data;
mod trial;

pub use crate::nn::DevicePreference;
pub use command::{Command, DataSource, JobId};
pub use doctor::{Examined, ExaminedMatrix, examine};
pub use event::{
    Annotations, CellRecord, ContextReport, Dataset, DeviceReport, Embedding, Event, Finding, FirstLook,
    GeneColour, ModelReport, TopGene,
};
pub use run::{Session, Settings};
pub use trial::try_file;
