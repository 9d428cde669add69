//! A small data set for tests.

use std::collections::BTreeMap;

use engine::anndata::{Column, Frame, MatrixChoice, MatrixKey, Scale, Values};
use engine::describe::Description;
use engine::session::{DataSource, Dataset, Embedding};

/// Three cells, four genes, a map.
pub fn dataset() -> Dataset {
    let texts = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let column = |name: &str, categories: &[&str]| Column {
        name: name.into(),
        values: Values::Categorical { codes: vec![0, 1, -1], categories: texts(categories), ordered: false },
    };
    Dataset {
        source: DataSource::Sample,
        name: "test".into(),
        n_obs: 3,
        obs: Frame {
            index_name: "index".into(),
            index: texts(&["a", "b", "c"]),
            columns: vec![
                Column { name: "n_counts".into(), values: Values::Number(vec![1.0, 2.0, f64::NAN]) },
                column("louvain", &["0", "1"]),
                column("cell_type_author", &["T", "B"]),
                column("cell_type", &["T cell", "B cell"]),
            ],
        }
        .into(),
        genes: texts(&["CD3E", "LYZ", "CD3EAP", "MS4A1"]),
        gene_names_in_file: texts(&["ENSG00000198851", "lysozyme", "ENSG00000117877", "MS4A1"]),
        ensembl_ids: vec![
            Some("ENSG00000198851".into()),
            Some("ENSG00000090382".into()),
            Some("ENSG00000117877".into()),
            None,
        ],
        embeddings: vec![Embedding {
            name: "X_umap".into(),
            positions: vec![[0.0, 0.0], [1.0, 1.0], [f32::NAN, 0.0]],
        }],
        matrix: MatrixChoice {
            key: MatrixKey::X,
            scale: Scale::Counts,
            reason: "X holds whole numbers".into(),
            chosen_by_user: false,
        },
        matrices: vec![MatrixKey::X],
        category_colours: BTreeMap::new(),
        species: None,
        known_genes: 3,
        findings: Vec::new(),
    }
}

/// A description of `cell` that claims nothing.
pub fn description(cell: usize) -> Description {
    Description {
        cell,
        text: "whole".into(),
        claims: Vec::new(),
        well_formed: true,
        n_tokens: 1,
        n_genes_read: 1,
        n_context_cells: 0,
        duration_secs: 0.1,
        around: None,
        type_weights: Vec::new(),
        other_types: Vec::new(),
    }
}
