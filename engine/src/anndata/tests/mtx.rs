//! Folders of 10x Genomics, in all the forms in which people have them.

use std::io::Write as _;
use std::path::Path;

use super::fixtures::Table;
use crate::anndata::{AnnData, Layout, MatrixKey, files_of};
use crate::progress::Watch;

/// The entries of `table` as 10x writes them: genes by cells, cell by cell.
fn market(table: &Table, by_cell: bool) -> String {
    let mut lines = Vec::new();
    for cell in 0..table.n_rows {
        for gene in 0..table.n_cols {
            let value = table.at(cell, gene);
            if value != 0.0 {
                lines.push((cell, gene, value));
            }
        }
    }
    if !by_cell {
        lines.sort_by_key(|(cell, gene, _)| (*gene, *cell));
    }
    let mut text = "%%MatrixMarket matrix coordinate integer general\n%metadata_json: {}\n".to_owned();
    text += &format!("{} {} {}\n", table.n_cols, table.n_rows, lines.len());
    for (cell, gene, value) in lines {
        text += &format!("{} {} {value}\n", gene + 1, cell + 1);
    }
    text
}

fn put(folder: &Path, name: &str, text: &str) {
    if name.ends_with(".gz") {
        let file = std::fs::File::create(folder.join(name)).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap();
    } else {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

fn write(folder: &Path, prefix: &str, end: &str, features: &str, table: &Table, by_cell: bool) {
    let line = |i: usize| match features {
        "genes" => format!("ENSG{i:011}\tG{i}\n"),
        _ => format!("ENSG{i:011}\tG{i}\tGene Expression\n"),
    };
    let genes: String = (0..table.n_cols).map(line).collect();
    let cells: String = (0..table.n_rows).map(|i| format!("AAAC{i}-1\n")).collect();
    put(folder, &format!("{prefix}matrix.mtx{end}"), &market(table, by_cell));
    put(folder, &format!("{prefix}{features}.tsv{end}"), &genes);
    put(folder, &format!("{prefix}barcodes.tsv{end}"), &cells);
}

fn open(path: &Path) -> crate::Result<AnnData> {
    AnnData::open(path, &Watch::silent())
}

#[test]
fn a_10x_folder_opens_like_any_file_whatever_its_age_and_order() {
    let table = Table::new(60, 11);
    for (prefix, end, features, by_cell) in [
        ("", ".gz", "features", true),
        ("", "", "genes", true),
        ("GSM1_", ".gz", "features", true),
        ("", "", "features", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), prefix, end, features, &table, by_cell);
        let matrix_file = folder.path().join(format!("{prefix}matrix.mtx{end}"));
        for path in [folder.path(), &matrix_file] {
            let data = open(path).unwrap();
            assert_eq!((data.n_obs(), data.obs().index[2].as_str()), (60, "AAAC2-1"));
            let var = data.var(&MatrixKey::X);
            assert_eq!((var.len(), var.index[3].as_str()), (11, "G3"));
            assert_eq!(var.column("gene_ids").unwrap().text(3).unwrap(), "ENSG00000000003");
            assert_eq!(var.column("feature_types").is_some(), features == "features");
            let matrix = data.matrix(&MatrixKey::X).unwrap();
            assert_eq!(matrix.layout(), Layout::Csr);
            for gene in 0..table.n_cols {
                assert_eq!(matrix.column(gene, &Watch::silent()).unwrap(), table.column(gene));
            }
            let unpacked = data.path().to_path_buf();
            assert!(unpacked.exists() && !unpacked.starts_with(folder.path()));
            drop((matrix, data));
            assert!(!unpacked.exists(), "the temporary file goes with the data set");
        }
        assert_eq!(files_of(folder.path()).unwrap().len(), 3);
    }
}

#[test]
fn a_damaged_10x_folder_is_refused_with_the_line_or_the_part_that_is_missing() {
    let table = Table::new(20, 5);
    let refused = |change: &dyn Fn(&Path), words: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "", "", "features", &table, true);
        change(folder.path());
        let error = open(folder.path()).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "no {word:?} in {error}");
        }
    };
    let edit = |folder: &Path, change: &dyn Fn(String) -> String| {
        let file = folder.join("matrix.mtx");
        std::fs::write(&file, change(std::fs::read_to_string(&file).unwrap())).unwrap();
    };
    refused(&|f| std::fs::remove_file(f.join("barcodes.tsv")).unwrap(), &["barcodes.tsv", "Put the missing"]);
    refused(&|f| std::fs::remove_file(f.join("features.tsv")).unwrap(), &["features.tsv", "genes.tsv.gz"]);
    refused(&|f| edit(f, &|t| t[..t.len() / 2].to_owned()), &["matrix.mtx", "cut short"]);
    refused(&|f| edit(f, &|t| t.replacen("integer", "complex", 1)), &["line 1", "complex"]);
    refused(&|f| edit(f, &|t| t.replacen("5 20 ", "5 21 ", 1)), &["line 3", "5 genes by 20 cells"]);
    refused(
        &|f| edit(f, &|t| format!("{}9 1 1\n", &t[..t.trim_end().rfind('\n').unwrap() + 1])),
        &["gene 9"],
    );
    refused(
        &|f| edit(f, &|t| format!("{}x y z\n", &t[..t.trim_end().rfind('\n').unwrap() + 1])),
        &["no entry"],
    );
    refused(&|f| write(f, "b_", "", "features", &table, true), &["several matrices", "b_matrix.mtx"]);
    let empty = tempfile::tempdir().unwrap();
    assert!(open(empty.path()).unwrap_err().to_string().contains("matrix.mtx"));
}
