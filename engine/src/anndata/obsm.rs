//! Embeddings: the members of obsm, a group today and one compound dataset before anndata 0.7.

use super::foreign::Foreign;
use super::store::{Content, Kind, Stored};
use super::{AnnData, Note, legacy};
use crate::error::Problem;
use crate::{Error, Result};

/// A table of numbers as stored in obsm.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseF32 {
    /// Rows (cells).
    pub rows: usize,
    /// Columns (dimensions).
    pub cols: usize,
    /// Row after row, `[rows * cols]`. NaN and infinite values are as in the file.
    pub values: Vec<f32>,
}

impl DenseF32 {
    /// The values of one row; empty beyond the last.
    pub fn row(&self, row: usize) -> &[f32] {
        let start = row.saturating_mul(self.cols);
        self.values.get(start..start.saturating_add(self.cols)).unwrap_or_default()
    }
}

impl AnnData {
    /// The names of the embeddings: members of obsm with a number of columns of 2 or more, by name.
    pub fn obsm_names(&self) -> &[String] {
        &self.obsm_names
    }

    /// Reads an embedding, `[n_obs, dimensions]`.
    ///
    /// # Errors
    /// [`Error::Request`] when there is none of this name; [`Error::AnnData`] when it cannot be read.
    pub fn obsm(&self, name: &str) -> Result<DenseF32> {
        if !self.obsm_names.iter().any(|known| known == name) {
            return Err(Error::request(
                Problem::new(
                    format!("obsm/{name}"),
                    "no such embedding",
                    format!("one of: {}", self.obsm_names.join(", ")),
                    "Choose an embedding that the file has.",
                )
                .in_file(self.path()),
            ));
        }
        let group = self.obsm_element();
        if self.store.kind(group) == Kind::Dataset {
            let table = self.store.dataset(group)?;
            let fields = legacy::obsm_fields(&table)?;
            let cols = fields.iter().find(|(field, _)| field == name).map_or(0, |(_, cols)| *cols);
            return legacy::read_obsm_field(&table, name, cols);
        }
        let stored = self.store.dataset(&format!("{group}/{name}"))?;
        let (rows, cols) = obsm_shape(&stored, self.n_obs()).map_err(|why| {
            self.store.problem(&stored.element, why, "numbers, one row a cell", "Choose another embedding.")
        })?;
        stored.check_readable()?;
        Ok(DenseF32 { rows, cols, values: stored.read_rows(0..rows, 0..cols)? })
    }

    fn obsm_element(&self) -> &'static str {
        if self.foreign == Some(Foreign::Loom) {
            return "col_attrs";
        }
        if self.store.kind("obsm") == Kind::Missing { "smpm" } else { "obsm" }
    }

    pub(super) fn list_obsm(&mut self) {
        let group = self.obsm_element();
        let n_obs = self.n_obs();
        let noted = self.findings.len();
        let mut skip = |name: &str, why: String| {
            let message = format!("It is not offered as an embedding: {why}.");
            self.findings.push(Note { element: format!("{group}/{name}"), message });
        };
        let mut names = Vec::new();
        if self.store.kind(group) == Kind::Dataset {
            match self
                .store
                .dataset(group)
                .and_then(|table| Ok((legacy::obsm_fields(&table)?, table.column_len()?)))
            {
                Ok((fields, rows)) if rows == n_obs => {
                    for (name, cols) in fields {
                        match cols {
                            0 => skip(&name, "it holds no numbers".into()),
                            1 => skip(&name, "it has one column".into()),
                            _ => names.push(name),
                        }
                    }
                }
                Ok((_, rows)) => skip("", format!("it has {rows} rows for {n_obs} cells")),
                Err(error) => skip("", error.to_string()),
            }
        } else {
            for name in self.store.members(group) {
                let element = format!("{group}/{name}");
                match self.store.kind(&element) {
                    Kind::Dataset => match self.store.dataset(&element) {
                        Ok(stored) => match obsm_shape(&stored, n_obs) {
                            Ok((_, 2..)) => names.push(name),
                            Ok(_) => skip(&name, "it has one column".into()),
                            Err(why) => skip(&name, why),
                        },
                        Err(error) => skip(&name, error.to_string()),
                    },
                    Kind::Group => {
                        let kind = self.store.attr_text(&element, "encoding-type");
                        skip(&name, format!("it is stored as {}", kind.as_deref().unwrap_or("a group")));
                    }
                    Kind::Missing => skip(&name, "it links to nothing".into()),
                }
            }
        }
        names.sort_unstable();
        self.obsm_names = names;
        if self.foreign.is_some() {
            // Most attributes of a loom file are columns, and nothing is odd about that.
            self.findings.truncate(noted);
        }
    }
}

/// The shape of a member of obsm, or why it is no embedding.
pub(super) fn obsm_shape(stored: &Stored, n_obs: usize) -> Result<(usize, usize), String> {
    let shape = match stored.shape.as_slice() {
        [rows] => (*rows, 1),
        [rows, cols] => (*rows, *cols),
        shape => return Err(format!("it has {} dimensions", shape.len())),
    };
    if shape.0 != n_obs {
        return Err(format!("it has {} rows for {n_obs} cells", shape.0));
    }
    match stored.content() {
        Content::Float | Content::Integer | Content::Unsigned64 => Ok(shape),
        _ => Err("it holds no numbers".into()),
    }
}
