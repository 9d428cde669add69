//! Files of other formats that hold the same things: 10x Genomics HDF5, loom, and the RNA part of MuData.
//!
//! | format | told by | cells | genes | matrix |
//! | --- | --- | --- | --- | --- |
//! | 10x, Cell Ranger 3 on | `matrix/barcodes` | `matrix/barcodes` | `matrix/features` | `matrix`, by cells |
//! | 10x, before | `<genome>/barcodes` | `<genome>/barcodes` | `<genome>/gene_names`, `genes` | `<genome>`, by cells |
//! | loom | `row_attrs`, `col_attrs` | `col_attrs` | `row_attrs` | `matrix`, `[genes, cells]`, and `layers` |
//! | MuData | `mod` | `mod/rna` is an AnnData file of its own | | |

use super::columns::{left_out, read_dataset, read_values};
use super::frame::{Column, Frame};
use super::header::Header;
use super::store::{Kind, Store};
use super::{MatrixKey, Note};
use crate::progress::Watch;
use crate::{Error, Result};

/// Names of the RNA part of a MuData file, compared without case, the usual first.
const RNA_NAMES: [&str; 6] = ["rna", "gex", "gene expression", "expression", "mrna", "transcriptome"];
/// Attributes of a loom file that name its cells and its genes, the usual first.
const LOOM_CELLS: [&str; 6] = ["CellID", "cell_id", "obs_names", "cell_names", "barcode", "Barcode"];
const LOOM_GENES: [&str; 6] = ["Gene", "gene", "var_names", "gene_names", "Accession", "accession"];

/// How a file that is no AnnData lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Foreign {
    /// 10x Genomics; the matrix lies in this group.
    TenX(String),
    /// loom.
    Loom,
}

/// The part of the file to read, and how it lies where it is no AnnData.
pub(super) fn recognise(store: Store, notes: &mut Vec<Note>) -> Result<(Store, Option<Foreign>)> {
    let present = |element: &str| store.kind(element) != Kind::Missing;
    if ["obs", "var", "smp"].iter().any(|name| present(name)) {
        return Ok((store, None));
    }
    let parts = store.members("mod");
    if !parts.is_empty() {
        let by_name = RNA_NAMES.iter().find_map(|name| parts.iter().find(|p| p.eq_ignore_ascii_case(name)));
        let Some(part) = by_name.or(if parts.len() == 1 { parts.first() } else { None }) else {
            return Err(store.problem(
                "mod",
                format!("parts called {}", parts.join(", ")),
                "one called rna",
                "Save the part with the gene expression: mudata.read(\"in.h5mu\").mod[NAME].write_h5ad(\"out.h5ad\").",
            ));
        };
        let others: Vec<&str> = parts.iter().filter(|p| *p != part).map(String::as_str).collect();
        if !others.is_empty() {
            let message =
                format!("A MuData file: its part {part} is shown; {} are not read.", others.join(", "));
            notes.push(Note { element: "mod".into(), message });
        }
        return Ok((store.within(&format!("mod/{part}"))?, None));
    }
    if present("row_attrs") && present("col_attrs") && present("matrix") {
        return Ok((store, Some(Foreign::Loom)));
    }
    let is_tenx = |group: &&String| {
        let has = |name: &str| present(&format!("{group}/{name}"));
        has("barcodes") && has("indptr") && (has("features") || has("genes") || has("gene_names"))
    };
    let members = store.members("");
    let groups: Vec<&String> = members.iter().filter(is_tenx).collect();
    let cells =
        |group: &&&String| store.dataset(&format!("{group}/barcodes")).map_or(0, |stored| stored.len());
    if let Some(group) = groups.iter().max_by_key(cells) {
        if groups.len() > 1 {
            let others: Vec<&str> = groups.iter().filter(|g| g != &group).map(|g| g.as_str()).collect();
            let message = format!(
                "A 10x file with several genomes: {group}, with the most cells, is shown; {} are not read.",
                others.join(", ")
            );
            notes.push(Note { element: (*group).clone(), message });
        }
        let group = (*group).clone();
        return Ok((store, Some(Foreign::TenX(group))));
    }
    super::identify::check_is_anndata(&store)?;
    Ok((store, None))
}

impl Foreign {
    /// The cells.
    pub(super) fn obs(&self, store: &Store, watch: &Watch, notes: &mut Vec<Note>) -> Result<Frame> {
        match self {
            Self::TenX(group) => {
                let index = texts(store, &format!("{group}/barcodes"), watch)?;
                Ok(Frame { index_name: "barcode".into(), index, columns: Vec::new() })
            }
            Self::Loom => attributes(store, "col_attrs", &LOOM_CELLS, 1, watch, notes),
        }
    }

    /// The genes. Those of a 10x file are called by their symbols, as scanpy calls them, with the ids in `gene_ids`.
    pub(super) fn var(&self, store: &Store, watch: &Watch, notes: &mut Vec<Note>) -> Result<Frame> {
        let Self::TenX(group) = self else {
            return attributes(store, "row_attrs", &LOOM_GENES, 0, watch, notes);
        };
        let path = |name: &str| format!("{group}/{name}");
        let (names, ids) = if store.kind(&path("features")) == Kind::Group {
            (path("features/name"), path("features/id"))
        } else {
            (path("gene_names"), path("genes"))
        };
        let index = texts(store, &names, watch)?;
        let further = [
            ("gene_ids", ids),
            ("feature_types", path("features/feature_type")),
            ("genome", path("features/genome")),
        ];
        let mut columns = Vec::new();
        for (name, element) in further {
            if store.kind(&element) == Kind::Missing {
                continue;
            }
            let values = read_values(store, &element, watch)?;
            if values.len() == index.len() {
                columns.push(Column { name: name.into(), values });
            }
        }
        Ok(Frame { index_name: "gene".into(), index, columns })
    }

    /// The matrices that are there.
    pub(super) fn matrices(&self, store: &Store) -> Vec<MatrixKey> {
        let layers = match self {
            Self::TenX(_) => Vec::new(),
            Self::Loom => store.members("layers"),
        };
        // A loom file written by anndata names its main matrix "" among the layers.
        let layers = layers.into_iter().filter(|name| !name.is_empty()).map(MatrixKey::Layer);
        std::iter::once(MatrixKey::X).chain(layers).collect()
    }

    /// Where a matrix lies.
    pub(super) fn element(&self, key: &MatrixKey) -> String {
        match (self, key) {
            (Self::TenX(group), _) => group.clone(),
            (Self::Loom, MatrixKey::Layer(name)) => format!("layers/{name}"),
            (Self::Loom, _) => "matrix".into(),
        }
    }

    /// Layout and shape of a matrix of `n_cells` and `n_genes`.
    pub(super) fn header(
        &self,
        store: &Store,
        key: &MatrixKey,
        n_cells: usize,
        n_genes: usize,
    ) -> Result<Header> {
        let element = self.element(key);
        match self {
            // 10x keeps genes by cells, compressed by columns: cells by genes, compressed by rows.
            Self::TenX(_) => Header::by_cells(store, &element, n_cells, n_genes),
            Self::Loom => Header::dense_by_genes(store, &element, n_cells, n_genes),
        }
    }
}

/// The texts at `element`.
fn texts(store: &Store, element: &str, watch: &Watch) -> Result<Vec<String>> {
    store.dataset(element)?.texts(watch)
}

/// A frame of the one-dimensional members of a loom file's `row_attrs` or `col_attrs`. Without names among them, the
/// rows are numbered. `side` is the one of the matrix that they go along.
fn attributes(
    store: &Store,
    group: &str,
    names: &[&str],
    side: usize,
    watch: &Watch,
    notes: &mut Vec<Note>,
) -> Result<Frame> {
    let n = store.dataset("matrix")?.shape.get(side).copied().unwrap_or(0);
    let members = store.members(group);
    let index_name = names.iter().find(|name| members.iter().any(|member| member == *name));
    let index = match index_name {
        Some(name) => super::columns::labels(read_values(store, &format!("{group}/{name}"), watch)?),
        None => (0..n.min(super::MOST_NUMBERED)).map(|row| row.to_string()).collect(),
    };
    if index.len() != n {
        return Err(store.problem(
            format!("{group}/{}", index_name.unwrap_or(&"")),
            format!("{} names", index.len()),
            format!("{n}, as many as the matrix has there"),
            "The file is damaged: get it again from its source.",
        ));
    }
    let mut columns = Vec::new();
    for name in members.iter().filter(|name| index_name != Some(&name.as_str())) {
        let element = format!("{group}/{name}");
        let stored = match store.dataset(&element) {
            // Of more columns than one: an embedding, or nothing to be shown.
            Ok(stored) if stored.shape.len() != 1 => continue,
            Ok(stored) => stored,
            Err(error) => {
                notes.push(Note { element, message: left_out(&error) });
                continue;
            }
        };
        match read_dataset(&stored, watch) {
            Ok(values) if values.len() == n => columns.push(Column { name: name.clone(), values }),
            Ok(values) => notes.push(Note {
                message: format!("The column has {} values for {n} rows and is left out.", values.len()),
                element,
            }),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => notes.push(Note { element, message: left_out(&error) }),
        }
    }
    Ok(Frame { index_name: index_name.unwrap_or(&"_index").to_string(), index, columns })
}
