//! Files that ship inside the program, by name.
//!
//! They are compiled in, so that a single downloaded binary works offline from any folder.

use tempfile::TempPath;

use crate::{Error, Result};

/// The gene table: see `cargo xtask assets`.
pub const GENES_TSV_GZ: &[u8] = include_bytes!("../../assets/genes/human.tsv.gz");
/// Gene programmes of dividing and of stressed cells: `programme \t gene gene …` rows.
pub const PROGRAMMES_TSV: &str = include_str!("../../assets/genes/programmes.tsv");
/// The Cell Ontology facts table: see `cargo xtask assets`.
pub const CELL_ONTOLOGY_TSV_GZ: &[u8] = include_bytes!("../../assets/ontology/cl.tsv.gz");
/// The 700-cell PBMC sample of scanpy's package, as published.
pub const SAMPLE_H5AD: &[u8] = include_bytes!("../../assets/sample/pbmc68k_reduced.h5ad");
/// The 50 Hallmark gene sets, as `name \t gene gene …` rows.
pub const HALLMARK_TSV_GZ: &[u8] = include_bytes!("../../assets/pathways/hallmark.tsv.gz");
/// Our own one-sentence definitions of cell types: `CL id \t definition`.
pub const CELL_TYPE_TEXTS_TSV: &str = include_str!("../../assets/texts/cell_types.tsv");
/// Our own one-sentence descriptions of pathways: `set name \t description`.
pub const PATHWAY_TEXTS_TSV: &str = include_str!("../../assets/texts/pathways.tsv");
macro_rules! model_files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../assets/model/", $name)))),*]
    };
}

/// The built-in model's files, by path in its bundle.
pub const BUILTIN_MODEL: &[(&str, &[u8])] = model_files![
    "cell2text.toml",
    "genes.tsv",
    "grammar.json",
    "signatures.tsv",
    "taught.json",
    "encoder/config.json",
    "encoder/model.safetensors",
    "adapter/model.safetensors",
    "decoder/config.json",
    "decoder/model.safetensors",
    "decoder/tokenizer.json",
    "decoder/chat_template.jinja",
];

/// Writes the sample to a file of its own, where a reader can open it; it goes with what is returned.
pub(crate) fn write_sample() -> Result<TempPath> {
    let failed = |e| Error::io("write the built-in sample", std::env::temp_dir(), e);
    let mut file =
        tempfile::Builder::new().prefix("cell2text-sample-").suffix(".h5ad").tempfile().map_err(failed)?;
    std::io::Write::write_all(&mut file, SAMPLE_H5AD).map_err(failed)?;
    Ok(file.into_temp_path())
}
