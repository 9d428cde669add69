//! Files of other formats are read where they hold the same things.

use super::fixtures::{Fixture, Table, Written, put, put_texts};
use crate::anndata::{AnnData, Layout, MatrixKey, Values};
use crate::progress::Watch;
use crate::test_support::shared_file;

fn matrix_is(data: &AnnData, table: &Table) {
    let matrix = data.matrix(&MatrixKey::X).unwrap();
    assert_eq!((matrix.n_rows(), matrix.n_cols()), (table.n_rows, table.n_cols));
    for (row, found) in matrix.rows(0..table.n_rows).unwrap().iter().enumerate() {
        for col in 0..table.n_cols {
            assert_eq!(found.value(col as u32), table.at(row, col), "{row} {col}");
        }
    }
    for col in 0..table.n_cols {
        assert_eq!(matrix.column(col, &Watch::silent()).unwrap(), table.column(col), "{col}");
    }
}

fn bare() -> Fixture {
    let fixture = Fixture::new(0, 0);
    for name in ["obs", "var"] {
        fixture.file.unlink(name).unwrap();
    }
    fixture
}

fn names(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{prefix}{i}")).collect()
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn tenx_part(fixture: &Fixture, group: &str, table: &Table) {
    let group = fixture.file.create_group(group).unwrap();
    let (data, indices, indptr) = table.parts(false);
    put(&group, "data", &data.iter().map(|v| *v as i32).collect::<Vec<_>>());
    put(&group, "indices", &indices);
    put(&group, "indptr", &indptr);
    put_texts(&group, "barcodes", &strs(&names("AAAC-", table.n_rows)));
}

#[test]
fn a_10x_file_opens_with_barcodes_symbols_and_ids() {
    let table = Table::new(9, 5);
    let fixture = bare();
    tenx_part(&fixture, "matrix", &table);
    let features = fixture.file.create_group("matrix/features").unwrap();
    put_texts(&features, "name", &strs(&names("GENE", 5)));
    put_texts(&features, "id", &strs(&names("ENSG0000000000", 5)));
    put_texts(&features, "feature_type", &["Gene Expression"; 5]);
    let data = fixture.finish().open().unwrap();
    assert_eq!((data.n_obs(), data.obs().index[8].as_str()), (9, "AAAC-8"));
    let var = data.var(&MatrixKey::X);
    assert_eq!(var.index[4], "GENE4");
    assert_eq!(var.column("gene_ids").unwrap().text(4).unwrap(), "ENSG00000000004");
    assert_eq!(data.matrix(&MatrixKey::X).unwrap().layout(), Layout::Csr);
    matrix_is(&data, &table);
}

#[test]
fn of_several_genomes_the_one_with_most_cells_is_read_and_that_is_said() {
    let (small, large) = (Table::new(3, 4), Table::new(8, 6));
    let fixture = bare();
    for (group, table) in [("hg19", &small), ("mm10", &large)] {
        tenx_part(&fixture, group, table);
        let group = fixture.file.group(group).unwrap();
        put_texts(&group, "gene_names", &strs(&names("G", table.n_cols)));
        put_texts(&group, "genes", &strs(&names("E", table.n_cols)));
    }
    let data = fixture.finish().open().unwrap();
    matrix_is(&data, &large);
    assert!(data.findings().iter().any(|f| f.message.contains("hg19 are not read")), "{:?}", data.findings());
}

#[test]
fn a_loom_file_opens_with_its_attributes_layers_and_embedding() {
    let table = Table::new(7, 4);
    let fixture = bare();
    let by_genes: Vec<f32> = (0..4).flat_map(|gene| table.column(gene)).collect();
    fixture.dense("matrix", [4, 7], &by_genes, Some([2, 3]));
    fixture.file.create_group("layers").unwrap();
    let doubled: Vec<f32> = by_genes.iter().map(|v| 2.0 * v).collect();
    fixture.dense("layers/spliced", [4, 7], &doubled, None);
    let rows = fixture.file.create_group("row_attrs").unwrap();
    put_texts(&rows, "Gene", &strs(&names("G", 4)));
    put_texts(&rows, "Accession", &strs(&names("ENSG", 4)));
    let cols = fixture.file.create_group("col_attrs").unwrap();
    put_texts(&cols, "CellID", &strs(&names("c", 7)));
    put_texts(&cols, "ClusterName", &["a", "b", "a", "a", "b", "a", "b"]);
    put(&cols, "nUMI", &[1i32, 2, 3, 4, 5, 6, 7]);
    let places: Vec<f32> = (0..14).map(|v| v as f32).collect();
    fixture.dense("col_attrs/X_umap", [7, 2], &places, None);
    let data = fixture.finish().open().unwrap();
    matrix_is(&data, &table);
    let layer = data.matrix(&MatrixKey::Layer("spliced".into())).unwrap();
    assert_eq!(
        layer.row(3).unwrap().total(),
        2.0 * data.matrix(&MatrixKey::X).unwrap().row(3).unwrap().total()
    );
    assert_eq!(data.obs().index[6], "c6");
    let numbers = &data.obs().column("nUMI").unwrap().values;
    assert_eq!(*numbers, Values::Integer((1..8).map(Some).collect()));
    assert_eq!(data.obsm_names(), ["X_umap"]);
    assert_eq!(data.obsm("X_umap").unwrap().row(2), [4.0, 5.0]);
    assert_eq!(data.var(&MatrixKey::X).column("Accession").unwrap().text(1).unwrap(), "ENSG1");
}

fn mudata(parts: &[&str]) -> Written {
    let table = Table::new(6, 5);
    let fixture = Fixture::new(6, 5);
    let (data, indices, indptr) = table.parts(false);
    fixture.compressed("X", "csr_matrix", [6, 5], (&data, &indices, &indptr));
    fixture.file.create_group("mod").unwrap();
    for (at, part) in parts.iter().enumerate() {
        let group = fixture.file.create_group(&format!("mod/{part}")).unwrap();
        if at == 0 {
            for name in ["obs", "var", "X"] {
                fixture.file.relink(name, &format!("mod/{part}/{name}")).unwrap();
            }
        } else {
            group.create_group("obs").unwrap();
        }
    }
    fixture.finish()
}

#[test]
fn of_a_mudata_file_the_rna_part_is_read_and_the_others_are_named() {
    let written = mudata(&["rna", "prot"]);
    let data = written.open().unwrap();
    matrix_is(&data, &Table::new(6, 5));
    assert!(data.findings().iter().any(|f| f.message.contains("prot are not read")), "{:?}", data.findings());
    assert!(mudata(&["cells"]).open().is_ok(), "a single part is the one");
    let error = mudata(&["first", "second"]).open().unwrap_err().to_string();
    assert!(error.contains("first, second") && error.contains("rna"), "{error}");
}

#[test]
fn errors_in_a_part_of_a_mudata_file_name_the_part() {
    let written = mudata(&["rna"]);
    hdf5::File::open_rw(&written.path).unwrap().unlink("mod/rna/X/indptr").unwrap();
    let data = written.open().unwrap();
    assert!(data.choose_matrix().unwrap_err().to_string().contains("mod/rna/X/indptr"));
}

#[test]
fn real_10x_and_loom_files_open() {
    for (name, cells) in [
        ("tenx_v1.2_filtered_gene_bc.h5", 12),
        ("tenx_v1.2_multiple_genomes.h5", 10),
        ("scp_test_loom.loom", 5),
    ] {
        let Some(path) = shared_file(&format!("data/h5ad_zoo/{name}")) else { continue };
        let data = AnnData::open(&path, &Watch::silent()).unwrap();
        assert!(data.n_obs() >= cells, "{name}: {}", data.n_obs());
        let matrix = data.matrix(&MatrixKey::X).unwrap();
        let total: f64 = matrix.rows(0..matrix.n_rows()).unwrap().iter().map(|row| row.total()).sum();
        let columns: f64 = (0..matrix.n_cols())
            .flat_map(|gene| matrix.column(gene, &Watch::silent()).unwrap())
            .map(f64::from)
            .sum();
        assert!(total > 0.0 && (total - columns).abs() < 1e-3 * total, "{name}: {total} {columns}");
    }
}
