//! What a matrix of the file is, before anything of it is read: its layout, its shape and its parts, all checked.

use super::matrix::Layout;
use super::store::{Content, Kind, Store, Stored};
use crate::{Error, Result};

/// More columns than this are no genes.
const LARGEST_SIDE: usize = 1 << 31;

/// What can be known of a matrix without reading its values.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) n_rows: usize,
    pub(super) n_cols: usize,
    pub(super) form: Form,
}

/// The datasets of a matrix. One is made for each matrix and taken apart at once, so that its size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub(super) enum Form {
    Dense(Stored),
    DenseByGenes(Stored),
    Compressed { layout: Layout, data: Stored, indices: Stored, indptr: Stored },
}

/// Whether `element` is absent or stands for nothing (`null` since anndata 0.12).
pub(super) fn is_absent(store: &Store, element: &str) -> bool {
    match store.kind(element) {
        Kind::Missing => true,
        Kind::Group => store.attr_text(element, "encoding-type").as_deref() == Some("null"),
        Kind::Dataset => {
            store.attr_text(element, "encoding-type").as_deref() == Some("null")
                || store.dataset(element).is_ok_and(|d| d.shape == [0])
        }
    }
}

impl Header {
    /// Reads the layout and shape of `element`; `n_rows` and `n_cols` are the lengths of obs and var where known.
    ///
    /// # Errors
    /// [`Error::AnnData`] when it is no matrix, is incomplete, or has another shape than obs and var.
    pub(super) fn open(
        store: &Store,
        element: &str,
        n_rows: Option<usize>,
        n_cols: Option<usize>,
    ) -> Result<Self> {
        let header = match store.kind(element) {
            Kind::Missing => {
                return Err(store.problem(element, "nothing there", "a matrix", "Choose another matrix."));
            }
            Kind::Dataset => Self::open_dense(store, element)?,
            Kind::Group => Self::open_compressed(store, element, (n_rows, n_cols))?,
        };
        check_sides(store, element, (header.n_rows, header.n_cols), (n_rows, n_cols))?;
        if header.n_rows >= LARGEST_SIDE || header.n_cols >= LARGEST_SIDE {
            return Err(store.problem(
                element,
                format!("shape {} x {}", header.n_rows, header.n_cols),
                "fewer than 2^31 rows and columns",
                "The file is damaged: get it again from its source.",
            ));
        }
        Ok(header)
    }

    fn open_dense(store: &Store, element: &str) -> Result<Self> {
        let stored = store.dataset(element)?;
        let (n_rows, n_cols) = match stored.shape.as_slice() {
            [rows, cols] => (*rows, *cols),
            [rows] => (*rows, 1),
            shape => {
                return Err(store.problem(
                    element,
                    format!("shape {shape:?}"),
                    "a matrix of cells by genes",
                    "Write the file again with anndata.",
                ));
            }
        };
        stored.check_readable()?;
        check_numeric(&stored)?;
        Ok(Self { n_rows, n_cols, form: Form::Dense(stored) })
    }

    /// A matrix of genes by cells stored whole, as loom files hold it.
    ///
    /// # Errors
    /// [`Error::AnnData`] when it is no matrix of this shape.
    pub(super) fn dense_by_genes(
        store: &Store,
        element: &str,
        n_cells: usize,
        n_genes: usize,
    ) -> Result<Self> {
        let stored = store.dataset(element)?;
        if stored.shape != [n_genes, n_cells] {
            return Err(store.problem(
                element,
                format!("shape {:?}", stored.shape),
                format!("{n_genes} genes by {n_cells} cells"),
                "The file is damaged: get it again from its source.",
            ));
        }
        stored.check_readable()?;
        check_numeric(&stored)?;
        Ok(Self { n_rows: n_cells, n_cols: n_genes, form: Form::DenseByGenes(stored) })
    }

    /// A matrix compressed by cells whose shape is known, as 10x files hold it.
    ///
    /// # Errors
    /// [`Error::AnnData`] when a part is missing or of another length.
    pub(super) fn by_cells(store: &Store, element: &str, n_cells: usize, n_genes: usize) -> Result<Self> {
        let [data, indices, indptr] = compressed_parts(store, element)?;
        check_indptr(store, element, &indptr, n_cells, "cells")?;
        let form = Form::Compressed { layout: Layout::Csr, data, indices, indptr };
        Ok(Self { n_rows: n_cells, n_cols: n_genes, form })
    }

    fn open_compressed(store: &Store, element: &str, known: (Option<usize>, Option<usize>)) -> Result<Self> {
        let encoding = store
            .attr_text(element, "encoding-type")
            .or_else(|| store.attr_text(element, "h5sparse_format"))
            .map(|text| text.to_lowercase());
        let named = match encoding.as_deref() {
            Some("csr_matrix" | "csr") => Some(Layout::Csr),
            Some("csc_matrix" | "csc") => Some(Layout::Csc),
            None => None,
            Some(other) => {
                return Err(store.problem(
                    format!("{element} (encoding-type)"),
                    format!("\"{other}\""),
                    "csr_matrix, csc_matrix or a dense array",
                    "Write the file again with anndata, with X as a scipy CSR matrix.",
                ));
            }
        };
        let [data, indices, indptr] = compressed_parts(store, element)?;
        let shape = ["shape", "h5sparse_shape"]
            .iter()
            .find_map(|name| store.attr_integers(element, name))
            .and_then(|shape| match shape.as_slice() {
                [rows, cols] => Some((usize::try_from(*rows).ok()?, usize::try_from(*cols).ok()?)),
                _ => None,
            })
            .or_else(|| known.0.zip(known.1));
        let Some((n_rows, n_cols)) = shape else {
            return Err(store.problem(
                format!("{element} (shape)"),
                "no shape",
                "an attribute with the numbers of rows and columns",
                "Write the file again with anndata.",
            ));
        };
        check_sides(store, element, (n_rows, n_cols), known)?;
        // Without a name the length of indptr tells rows from columns; a square matrix is taken as rows, the usual.
        let layout = named.unwrap_or(if indptr.len() == n_cols + 1 && n_cols != n_rows {
            Layout::Csc
        } else {
            Layout::Csr
        });
        let major = if layout == Layout::Csc { n_cols } else { n_rows };
        let side = if layout == Layout::Csc { "columns" } else { "rows" };
        check_indptr(store, element, &indptr, major, side)?;
        Ok(Self { n_rows, n_cols, form: Form::Compressed { layout, data, indices, indptr } })
    }
}

/// Data, indices and indptr of a compressed matrix.
fn compressed_parts(store: &Store, element: &str) -> Result<[Stored; 3]> {
    let part = |name: &str| {
        let stored = store.dataset(&format!("{element}/{name}"))?;
        stored.check_readable()?;
        stored.column_len()?;
        check_numeric(&stored)?;
        Ok::<_, Error>(stored)
    };
    let (data, indices, indptr) = (part("data")?, part("indices")?, part("indptr")?);
    if data.len() != indices.len() {
        return Err(store.problem(
            format!("{element}/indices"),
            format!("{} values", indices.len()),
            format!("{}, as many as {element}/data has", data.len()),
            "The file is damaged: write it again with anndata.",
        ));
    }
    Ok([data, indices, indptr])
}

/// Refuses an indptr that does not have one value more than there are majors; `side` is what these are called.
fn check_indptr(store: &Store, element: &str, indptr: &Stored, major: usize, side: &str) -> Result<()> {
    let expected = major.saturating_add(1);
    if indptr.len() == expected {
        return Ok(());
    }
    Err(store.problem(
        format!("{element}/indptr"),
        format!("{} values", indptr.len()),
        format!("{expected}, one more than there are {side}"),
        "The file is damaged: write it again with anndata.",
    ))
}

/// Refuses a shape other than the lengths of obs and var, where these are known.
fn check_sides(
    store: &Store,
    element: &str,
    found: (usize, usize),
    known: (Option<usize>, Option<usize>),
) -> Result<()> {
    for (side, found, known, table) in
        [("rows", found.0, known.0, "obs"), ("columns", found.1, known.1, "var")]
    {
        if let Some(known) = known.filter(|known| *known != found) {
            return Err(store.problem(
                element,
                format!("{found} {side} in its shape"),
                format!("{known}, as many as {table} has rows"),
                "The file is damaged or was changed by hand: write it again with anndata.",
            ));
        }
    }
    Ok(())
}

fn check_numeric(stored: &Stored) -> Result<()> {
    match stored.content() {
        Content::Boolean | Content::Integer | Content::Unsigned64 | Content::Float | Content::Named(_) => {
            Ok(())
        }
        other => Err(stored.store().problem(
            &stored.element,
            match other {
                Content::Text => "text".to_owned(),
                Content::Compound => "a table".to_owned(),
                Content::Other(found) => found,
                _ => "no numbers".to_owned(),
            },
            "numbers",
            "Write the file again with anndata, with numbers in the matrix.",
        )),
    }
}
