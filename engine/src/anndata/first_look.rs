//! The first look at a file: one map and one column to colour it by, before anything else is read.
//!
//! All names of cells and genes, the other columns, the matrices: an open file has them, and the map does not need them.
//! A look is had where today's encoding allows it at once; any other file is shown when it is open.

use super::colours::read_colours_of;
use super::columns::{index_name, read_frame_column};
use super::frame::{Column, Values};
use super::obsm::{DenseF32, obsm_shape};
use super::store::{Content, Kind, Store};
use crate::progress::Watch;

/// Columns with as many different values are taken for labels.
pub const FEW_LABELS: std::ops::RangeInclusive<usize> = 2..=60;

/// What the first look shows.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstLook {
    /// The number of cells.
    pub n_obs: usize,
    /// The key of the embedding in obsm.
    pub embedding: String,
    /// Its first two columns, `[n_obs, 2]`.
    pub positions: DenseF32,
    /// The column that cells are coloured by, `[n_obs]`; none where obs has no columns.
    pub column: Option<Column>,
    /// The colours of its categories, as [`super::AnnData::category_colours`] gives them.
    pub colours: Option<Vec<[u8; 3]>>,
}

/// The column that cells are coloured by at first: a cell type if there is one, else clusters, else the first of few
/// values, else the first. `names` are the columns in their order, `usable` says which has few values.
pub fn first_label<'a>(names: &[&'a str], mut usable: impl FnMut(&str) -> bool) -> Option<&'a str> {
    /// Words in the names of columns that label cells, the best first.
    const WORDS: [&[&str]; 4] = [
        &["cell_type", "celltype", "cell type"],
        &["label", "annotation", "cell_ontology_class", "subclass"],
        &["leiden", "louvain", "cluster", "seurat_clusters"],
        &["type", "class", "group"],
    ];
    for words in WORDS {
        // A column of exactly this name before one that only holds the word.
        let same = |name: &&&str| words.contains(&name.to_lowercase().as_str());
        let holds = |name: &&&str| {
            let lower = name.to_lowercase();
            !lower.contains("ontology_term_id") && words.iter().any(|w| lower.contains(w))
        };
        let first = names.iter().filter(same).find(|name| usable(name));
        if let Some(name) = first.or_else(|| names.iter().filter(holds).find(|name| usable(name))) {
            return Some(name);
        }
    }
    names.iter().find(|name| usable(name)).or_else(|| names.first()).copied()
}

/// How soon an embedding is shown: UMAP, then t-SNE, then the others.
pub fn rank_of_embedding(name: &str) -> u8 {
    let name = name.to_lowercase();
    if name.contains("umap") {
        0
    } else if name.contains("tsne") || name.contains("t-sne") {
        1
    } else {
        2
    }
}

/// The first look at an AnnData file; `None` where it needs more than a moment, or something is odd: that is told when
/// the file is opened.
pub(super) fn first_look(store: &Store, watch: &Watch) -> Option<FirstLook> {
    if store.kind("obs") != Kind::Group || store.kind("obsm") != Kind::Group {
        return None;
    }
    let index = store.dataset(&format!("obs/{}", index_name(store, "obs").ok()?)).ok()?;
    let n_obs = index.column_len().ok().filter(|n| *n > 0)?;
    let (embedding, positions) = first_embedding(store, n_obs)?;
    let names = store.attr_texts("obs", "column-order")?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut unclear = false;
    let chosen = first_label(&names, |name| {
        let few = has_few_labels(store, name);
        unclear |= few.is_none();
        few.unwrap_or(false)
    });
    if unclear {
        return None;
    }
    let column = match chosen {
        None => None,
        Some(name) => {
            let (values, _) = read_frame_column(store, "obs", name, watch).ok()?;
            // Another reading of the column would give another colour.
            (values.len() == n_obs).then_some(())?;
            Some(Column { name: name.to_owned(), values })
        }
    };
    let colours = column.as_ref().and_then(|column| read_colours_of(store, &column.name)?.ok());
    Some(FirstLook { n_obs, embedding, positions, column, colours: colours.filter(|list| !list.is_empty()) })
}

/// The embedding that is shown first.
fn first_embedding(store: &Store, n_obs: usize) -> Option<(String, DenseF32)> {
    let mut names = store.members("obsm");
    names.sort_by_key(|name| rank_of_embedding(name));
    for name in names {
        let element = format!("obsm/{name}");
        if store.kind(&element) != Kind::Dataset {
            continue;
        }
        let stored = store.dataset(&element).ok()?;
        match obsm_shape(&stored, n_obs) {
            Ok((rows, 2..)) => {
                stored.check_readable().ok()?;
                let values = stored.read_rows(0..rows, 0..2).ok()?;
                return Some((name, DenseF32 { rows, cols: 2, values }));
            }
            _ => continue,
        }
    }
    None
}

/// Whether a column of obs has a few different values; `None` where only reading it would tell.
fn has_few_labels(store: &Store, name: &str) -> Option<bool> {
    let element = format!("obs/{name}");
    match store.kind(&element) {
        Kind::Missing => Some(false),
        Kind::Group => {
            let categories = store.dataset(&format!("{element}/categories")).ok()?;
            let is_coded = store.kind(&format!("{element}/codes")) == Kind::Dataset;
            is_coded.then_some(FEW_LABELS.contains(&categories.len()))
        }
        Kind::Dataset => {
            // In files of anndata 0.7 labels lie apart.
            if store.kind(&format!("obs/__categories/{name}")) != Kind::Missing
                || store.referenced(&element, "categories").is_some()
            {
                return None;
            }
            match store.dataset(&element).ok()?.content() {
                Content::Boolean => Some(true),
                Content::Integer | Content::Unsigned64 | Content::Float => Some(false),
                _ => None,
            }
        }
    }
}

/// Whether a column that was read has a few different values, as far as a look at some of its rows tells.
pub fn has_few_values(values: &Values) -> bool {
    const ROWS: usize = 5_000;
    match values {
        Values::Categorical { categories, .. } => FEW_LABELS.contains(&categories.len()),
        Values::Text(texts) => {
            let some = texts.iter().take(ROWS).flatten();
            FEW_LABELS.contains(&some.collect::<std::collections::BTreeSet<&String>>().len())
        }
        Values::Boolean(_) => true,
        Values::Number(_) | Values::Integer(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::AnnData;
    use crate::anndata::tests::fixtures::{Fixture, Written, put, put_texts, text};

    /// Six cells with these columns (name, codes, labels), a PCA of three columns and a map.
    fn file(columns: &[(&str, [i8; 6], &[&str])], then: impl FnOnce(&Fixture)) -> Written {
        let fixture = Fixture::new(6, 2);
        let obs = fixture.obs();
        for (name, codes, labels) in columns {
            let group = obs.create_group(name).unwrap();
            put(&group, "codes", codes);
            put_texts(&group, "categories", labels);
        }
        let names: Vec<_> = columns.iter().map(|(name, ..)| text(name)).collect();
        let order = obs.new_attr::<hdf5::types::VarLenUnicode>().shape([names.len()]);
        order.create("column-order").unwrap().write_raw(&names).unwrap();
        fixture.file.create_group("obsm").unwrap();
        fixture.dense("obsm/X_pca", [6, 3], &[9.0f32; 18], None);
        fixture.dense("obsm/X_umap", [6, 2], &std::array::from_fn::<f32, 12, _>(|i| i as f32), None);
        then(&fixture);
        fixture.finish()
    }

    fn look_at(written: &Written) -> (Option<FirstLook>, AnnData) {
        let mut seen = None;
        let data = AnnData::open_looking(&written.path, &Watch::silent(), &mut |look| {
            seen = look;
            Ok(())
        });
        (seen, data.unwrap())
    }

    #[test]
    fn the_first_look_is_what_the_open_file_holds() {
        let columns: [(&str, [i8; 6], &[&str]); 3] = [
            ("donor", [0, 1, 0, 1, 0, 1], &["d1", "d2"]),
            ("cell_type", [0, -1, 1, 2, 2, 0], &["T", "B", "NK"]),
            ("cell_type_ontology_term_id", [0, 1, 0, 1, 0, 1], &["CL:1", "CL:2"]),
        ];
        let written = file(&columns, |fixture| {
            let uns = fixture.file.create_group("uns").unwrap();
            put_texts(&uns, "cell_type_colors", &["#ff0000", "#00ff00", "#0000ff"]);
            put_texts(&uns, "donor_colors", &["#000000", "#111111"]);
        });
        let (look, data) = look_at(&written);
        let look = look.unwrap();
        assert_eq!((look.n_obs, look.embedding.as_str()), (6, "X_umap"));
        assert_eq!(look.positions, data.obsm("X_umap").unwrap());
        assert_eq!(look.column.as_ref(), data.obs().column("cell_type"));
        assert_eq!(look.colours.as_ref(), data.category_colours().get("cell_type"));
        assert_eq!(look.colours.unwrap().len(), 3);
    }

    #[test]
    fn of_an_embedding_of_many_columns_two_are_read() {
        let written = file(&[("leiden", [0, 1, 0, 1, 0, 1], &["0", "1"])], |fixture| {
            fixture.file.unlink("obsm/X_umap").unwrap();
        });
        let look = look_at(&written).0.unwrap();
        assert_eq!((look.embedding.as_str(), look.positions.cols), ("X_pca", 2));
        assert_eq!(look.positions.values, [9.0; 12]);
        assert_eq!(look.column.unwrap().name, "leiden");
    }

    #[test]
    fn what_only_the_whole_would_tell_is_left_to_the_whole() {
        let labels: (&str, [i8; 6], &[&str]) = ("louvain", [0, 1, 0, 1, 0, 1], &["0", "1"]);
        assert!(look_at(&file(&[labels], |_| {})).0.is_some());
        // Whether these are few different texts is seen once all are read.
        let texts = |fixture: &Fixture| {
            put_texts(&fixture.obs(), "cell_type", &["a", "b", "a", "b", "a", "b"]);
            let order = fixture.obs().attr("column-order").unwrap();
            drop(order);
            fixture.obs().delete_attr("column-order").unwrap();
            let order = fixture.obs().new_attr::<hdf5::types::VarLenUnicode>().shape([2]);
            let names = [text("louvain"), text("cell_type")];
            order.create("column-order").unwrap().write_raw(&names).unwrap();
        };
        let (look, data) = look_at(&file(&[labels], texts));
        assert!(look.is_none() && data.obs().column("cell_type").is_some());
        let no_map = |fixture: &Fixture| fixture.file.unlink("obsm").unwrap();
        assert!(look_at(&file(&[labels], no_map)).0.is_none());
        // Labels of another length than the table.
        let short = |fixture: &Fixture| {
            fixture.file.unlink("obs/louvain/codes").unwrap();
            put(&fixture.file.group("obs/louvain").unwrap(), "codes", &[0i8, 1]);
        };
        assert!(look_at(&file(&[labels], short)).0.is_none());
    }

    #[test]
    fn cells_are_coloured_by_their_type_before_all_else() {
        let all =
            ["n_counts", "kind_of_type", "leiden", "cell_type_ontology_term_id", "my_cell_type", "cell_type"];
        assert_eq!(first_label(&all, |_| true), Some("cell_type"));
        assert_eq!(first_label(&all[..5], |_| true), Some("my_cell_type"));
        assert_eq!(first_label(&all[..4], |_| true), Some("leiden"));
        assert_eq!(first_label(&all[..2], |_| true), Some("kind_of_type"));
        assert_eq!(first_label(&all, |name| name == "leiden"), Some("leiden"));
        assert_eq!(first_label(&all, |_| false), Some("n_counts"));
        assert_eq!(first_label(&[], |_| true), None);
    }
}
