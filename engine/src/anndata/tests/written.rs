//! What the reader makes of files whose content the test knows.

use super::fixtures::{Fixture, Table, put, put_texts, set_attr, text};
use crate::anndata::{AnnData, Frame, Layout, Matrix, MatrixKey, Scale, Values};
use crate::progress::{Cancel, Watch};

fn check(matrix: &Matrix, table: &Table) {
    let what = format!("{} {:?}", matrix.key(), matrix.layout());
    assert_eq!((matrix.n_rows(), matrix.n_cols()), (table.n_rows, table.n_cols), "{what}");
    let rows = matrix.rows(0..table.n_rows).unwrap();
    for (at, row) in rows.iter().enumerate() {
        let mut dense = vec![0.0; table.n_cols];
        for (column, value) in row.iter() {
            dense[column as usize] = value;
        }
        assert_eq!(dense, table.dense[at * table.n_cols..(at + 1) * table.n_cols], "{what} row {at}");
        assert!(row.columns.is_sorted() && !row.values.contains(&0.0), "{what} row {at}");
    }
    let last = table.n_rows - 1;
    assert_eq!(matrix.row(last).unwrap(), rows[last], "{what}");
    for column in 0..table.n_cols {
        assert_eq!(matrix.column(column, &Watch::silent()).unwrap(), table.column(column), "{what}");
    }
}

#[test]
fn every_type_of_number_in_every_layout_gives_the_same_answer() {
    let table = Table::new(13, 9);
    macro_rules! each {
        ($($number:ty),*) => {$(
            let fixture = Fixture::new(13, 9);
            fixture.file.create_group("layers").unwrap();
            let dense: Vec<$number> = table.dense.iter().map(|v| *v as $number).collect();
            fixture.dense("X", [13, 9], &dense, None);
            fixture.dense("layers/chunked", [13, 9], &dense, Some([4, 3]));
            for (name, by_columns) in [("csr", false), ("csc", true)] {
                let (data, indices, indptr) = table.parts(by_columns);
                let data: Vec<$number> = data.iter().map(|v| *v as $number).collect();
                let encoding = format!("{name}_matrix");
                fixture.compressed(&format!("layers/{name}64"), &encoding, [13, 9], (&data, &indices, &indptr));
                let narrow = |v: &[i64]| v.iter().map(|i| *i as i32).collect::<Vec<_>>();
                let (indices, indptr) = (narrow(&indices), narrow(&indptr));
                fixture.compressed(&format!("layers/{name}32"), &encoding, [13, 9], (&data, &indices, &indptr));
                let unsigned = |v: &[i32]| v.iter().map(|i| *i as u32).collect::<Vec<_>>();
                let (indices, indptr) = (unsigned(&indices), unsigned(&indptr));
                fixture.compressed(&format!("layers/{name}u32"), &encoding, [13, 9], (&data, &indices, &indptr));
            }
            let written = fixture.finish();
            let data = written.open().unwrap();
            assert_eq!(data.findings(), [], "{}", stringify!($number));
            assert_eq!(data.matrices().len(), 8, "{}", stringify!($number));
            for key in data.matrices() {
                check(&data.matrix(key).unwrap(), &table);
            }
        )*};
    }
    each!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);
}

#[test]
fn truth_values_count_as_zero_and_one() {
    let fixture = Fixture::new(2, 3);
    fixture.dense("X", [2, 3], &[true, false, true, false, false, false], None);
    let data = fixture.finish();
    let data = data.open().unwrap();
    let row = data.matrix(&MatrixKey::X).unwrap().row(0).unwrap();
    assert_eq!((row.columns, row.values), (vec![0, 2], vec![1.0, 1.0]));
}

#[test]
fn unsorted_indices_duplicates_and_explicit_zeros_are_put_in_order() {
    let fixture = Fixture::new(2, 4);
    let parts =
        ([5.0f32, 0.0, 1.0, 2.0, 7.0].as_slice(), [3i32, 1, 0, 3, 2].as_slice(), [0i32, 4, 5].as_slice());
    fixture.compressed("X", "csr_matrix", [2, 4], parts);
    let written = fixture.finish();
    let matrix = written.open().unwrap().matrix(&MatrixKey::X).unwrap();
    let row = matrix.row(0).unwrap();
    assert_eq!((row.columns, row.values), (vec![0, 3], vec![1.0, 7.0]));
    assert_eq!(matrix.column(3, &Watch::silent()).unwrap(), [7.0, 0.0]);
    assert_eq!(matrix.column(1, &Watch::silent()).unwrap(), [0.0, 0.0]);
}

#[test]
fn values_that_are_not_finite_stay_out_of_sums_and_are_counted() {
    let fixture = Fixture::new(2, 3);
    fixture.dense("X", [2, 3], &[1.0f32, f32::NAN, 2.0, f32::INFINITY, 0.0, 4.0], None);
    let written = fixture.finish();
    let data = written.open().unwrap();
    let matrix = data.matrix(&MatrixKey::X).unwrap();
    assert_eq!(matrix.row(0).unwrap().total(), 3.0);
    assert_eq!(matrix.row(1).unwrap().total(), 4.0);
    assert_eq!(matrix.non_finite(), 2);
    let column = matrix.column(0, &Watch::silent()).unwrap();
    assert!(column[0] == 1.0 && column[1].is_nan(), "{column:?}");
    assert!(data.choose_matrix().unwrap().reason.contains("2 values looked at are NaN"));
}

#[test]
fn a_row_or_column_that_does_not_exist_is_an_error_and_no_panic() {
    let fixture = Fixture::new(2, 3);
    fixture.dense("X", [2, 3], &[0.0f32; 6], None);
    let written = fixture.finish();
    let matrix = written.open().unwrap().matrix(&MatrixKey::X).unwrap();
    assert!(matrix.row(2).unwrap_err().to_string().contains("row 2"));
    assert!(matrix.row(usize::MAX).is_err());
    assert!(matrix.rows(1..3).is_err());
    assert!(matrix.rows(2..2).unwrap().is_empty());
    assert!(matrix.column(3, &Watch::silent()).is_err());
}

#[test]
fn a_stopped_column_ends_as_cancelled() {
    let fixture = Fixture::new(2, 3);
    let parts = ([1.0f32].as_slice(), [0i32].as_slice(), [0i32, 1, 1].as_slice());
    fixture.compressed("X", "csr_matrix", [2, 3], parts);
    let written = fixture.finish();
    let matrix = written.open().unwrap().matrix(&MatrixKey::X).unwrap();
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(matrix.column(0, &Watch::new(cancel.clone(), |_| {})).unwrap_err().is_cancelled());
    assert!(AnnData::open(&written.path, &Watch::new(cancel, |_| {})).unwrap_err().is_cancelled());
}

#[test]
fn an_open_file_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<AnnData>();
    shared::<Matrix>();
}

fn column<'a>(frame: &'a Frame, name: &str) -> &'a Values {
    &frame.column(name).unwrap_or_else(|| panic!("{name}")).values
}

#[test]
fn every_kind_of_column_is_read() {
    let fixture = Fixture::new(3, 1);
    let obs = fixture.obs();
    put(&obs, "float", &[1.5f64, f64::NAN, 2.0]);
    put(&obs, "int", &[1i32, -2, 3]);
    put(&obs, "large", &[1u64, 2, u64::MAX]);
    put(&obs, "bool", &[true, false, true]);
    put_texts(&obs, "text", &["é", "", "φ"]);
    put(&obs, "fixed", &["ab", "c", ""].map(|t| hdf5::types::FixedAscii::<2>::from_ascii(t).unwrap()));
    let wide = obs.new_dataset::<f64>().shape([3, 1]).create("wide").unwrap();
    wide.write_raw(&[1.0, 2.0, 3.0]).unwrap();
    for (name, kind) in
        [("ni", "nullable-integer"), ("nb", "nullable-boolean"), ("ns", "nullable-string-array")]
    {
        let group = fixture.group(&format!("obs/{name}"), kind);
        match name {
            "ni" => put(&group, "values", &[4i64, 5, 6]),
            "nb" => put(&group, "values", &[true, false, true]),
            _ => put_texts(&group, "values", &["x", "y", "z"]),
        };
        put(&group, "mask", &[false, true, false]);
    }
    let group = fixture.group("obs/cat", "categorical");
    put(&group, "codes", &[1i8, -1, 0]);
    put_texts(&group, "categories", &["a", "b", "unused"]);
    group.new_attr::<bool>().create("ordered").unwrap().write_scalar(&true).unwrap();
    let group = fixture.group("obs/numbered", "categorical");
    put(&group, "codes", &[1u8, 0, 9]);
    put(&group, "categories", &[10i64, 20]);
    // Categories apart from their codes, as anndata 0.7 writes them.
    put(&obs, "old", &[0i16, 1, -1]);
    let apart = obs.create_group("__categories").unwrap();
    put(&apart, "old", &[0.5f64, 1.0]);
    let written = fixture.finish();

    let data = written.open().unwrap();
    let obs = data.obs();
    assert_eq!(obs.index, ["c0", "c1", "c2"]);
    assert_eq!(column(obs, "int"), &Values::Integer(vec![Some(1), Some(-2), Some(3)]));
    assert_eq!(column(obs, "large"), &Values::Number(vec![1.0, 2.0, u64::MAX as f64]));
    assert_eq!(column(obs, "bool"), &Values::Boolean(vec![Some(true), Some(false), Some(true)]));
    let texts = |t: [&str; 3]| Values::Text(t.map(|t| Some(t.to_owned())).to_vec());
    assert_eq!(column(obs, "text"), &texts(["é", "", "φ"]));
    assert_eq!(column(obs, "fixed"), &texts(["ab", "c", ""]));
    assert_eq!(column(obs, "wide"), &Values::Number(vec![1.0, 2.0, 3.0]));
    assert_eq!(column(obs, "ni"), &Values::Integer(vec![Some(4), None, Some(6)]));
    assert_eq!(column(obs, "nb"), &Values::Boolean(vec![Some(true), None, Some(true)]));
    assert_eq!(column(obs, "ns"), &Values::Text(vec![Some("x".into()), None, Some("z".into())]));
    let label = |name: &str| (0..3).map(|row| obs.column(name).unwrap().text(row)).collect::<Vec<_>>();
    let some = |t: &str| Some(t.to_owned());
    assert_eq!(label("cat"), [some("b"), None, some("a")]);
    assert!(matches!(column(obs, "cat"), Values::Categorical { ordered: true, .. }));
    assert_eq!(label("numbered"), [some("20"), some("10"), None]);
    assert_eq!(label("old"), [some("0.5"), some("1.0"), None]);
    assert_eq!(label("float"), [some("1.5"), None, some("2.0")]);
    assert_eq!(obs.column("float").unwrap().missing(), 1);
    let notes: Vec<&str> = data.findings().iter().map(|note| note.element.as_str()).collect();
    assert_eq!(notes, ["obs/numbered"], "a code without a label is remarked on");
}

#[test]
fn the_order_of_columns_and_names_with_a_slash_are_kept() {
    let fixture = Fixture::new(1, 1);
    let obs = fixture.obs();
    put(&obs, "z", &[1i64]);
    obs.create_group("a").unwrap();
    put(&obs, "a/b", &[2i64]);
    let order = [text("z"), text("a/b"), text("lost")];
    obs.new_attr::<hdf5::types::VarLenUnicode>()
        .shape([3])
        .create("column-order")
        .unwrap()
        .write_raw(&order)
        .unwrap();
    let written = fixture.finish();
    let data = written.open().unwrap();
    let names: Vec<&str> = data.obs().columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["z", "a/b"]);
    assert_eq!(data.findings().len(), 1);
    assert_eq!(data.findings()[0].element, "obs/lost");
}

#[test]
fn bytes_that_are_not_utf8_are_read_as_latin1() {
    // "Kölliker" as an old Windows program stores it: HDF5 writes ASCII, and one byte is changed in the file.
    let fixture = Fixture::new(1, 1);
    put(&fixture.obs(), "who", &[hdf5::types::FixedAscii::<8>::from_ascii("K#lliker").unwrap()]);
    let written = fixture.finish();
    let mut bytes = std::fs::read(&written.path).unwrap();
    let at = bytes.windows(8).position(|w| w == b"K#lliker").unwrap();
    bytes[at + 1] = 0xf6;
    std::fs::write(&written.path, bytes).unwrap();
    let data = written.open().unwrap();
    assert_eq!(data.obs().column("who").unwrap().text(0).as_deref(), Some("Kölliker"));
}

#[test]
fn embeddings_colours_and_organism_are_found_and_the_rest_is_noted() {
    let fixture = Fixture::new(2, 3);
    fixture.file.create_group("obsm").unwrap();
    fixture.dense("obsm/X_umap", [2, 2], &[1.0f64, 2.0, f64::NAN, 4.0], None);
    fixture.dense("obsm/grid", [2, 3], &[1i32, 2, 3, 4, 5, 6], None);
    fixture.dense("obsm/one", [2, 1], &[1.0f32, 2.0], None);
    fixture.dense("obsm/short", [1, 2], &[1.0f32, 2.0], None);
    fixture.group("obsm/table", "dataframe");
    let uns = fixture.group("uns", "dict");
    put_texts(&uns, "leiden_colors", &["#1f77b4", "Red", "#abc"]);
    put_texts(&uns, "bad_colors", &["#1f77b4", "reddish"]);
    fixture.dense("uns/rgb_colors", [1, 3], &[0.0f32, 0.5, 1.0], None);
    let organism = uns.new_dataset::<hdf5::types::VarLenUnicode>().create("organism").unwrap();
    organism.write_scalar(&text("Homo sapiens")).unwrap();
    let written = fixture.finish();
    let data = written.open().unwrap();
    assert_eq!(data.obsm_names(), ["X_umap", "grid"]);
    let umap = data.obsm("X_umap").unwrap();
    assert_eq!((umap.rows, umap.cols, umap.row(0)), (2, 2, [1.0f32, 2.0].as_slice()));
    assert!(umap.row(1)[0].is_nan());
    assert_eq!(data.obsm("grid").unwrap().row(1), [4.0, 5.0, 6.0]);
    assert!(data.obsm("one").unwrap_err().to_string().contains("X_umap, grid"));
    let colours = data.category_colours();
    assert_eq!(colours["leiden"], [[0x1f, 0x77, 0xb4], [255, 0, 0], [0xaa, 0xbb, 0xcc]]);
    assert_eq!(colours["rgb"], [[0, 128, 255]]);
    assert_eq!(data.organism().as_deref(), Some("Homo sapiens"));
    let mut notes: Vec<&str> = data.findings().iter().map(|note| note.element.as_str()).collect();
    notes.sort_unstable();
    assert_eq!(notes, ["obsm/one", "obsm/short", "obsm/table", "uns/bad_colors"]);
    assert!(data.choose_matrix().unwrap_err().to_string().contains("no matrix that can be read"));
}

#[test]
fn the_organism_of_obs_is_used_where_uns_has_none() {
    let fixture = Fixture::new(3, 1);
    let group = fixture.group("obs/organism_ontology_term_id", "categorical");
    put(&group, "codes", &[1i8, 1, -1]);
    put_texts(&group, "categories", &["NCBITaxon:10090", "NCBITaxon:9606"]);
    let written = fixture.finish();
    assert_eq!(written.open().unwrap().organism().as_deref(), Some("NCBITaxon:9606"));
}

/// A file with the given dense matrices of four cells and three genes.
fn with_matrices(matrices: &[(&str, [f32; 12])]) -> crate::Result<crate::anndata::MatrixChoice> {
    let fixture = Fixture::new(4, 3);
    fixture.file.create_group("layers").unwrap();
    fixture.file.create_group("raw").unwrap();
    for (name, values) in matrices {
        fixture.dense(name, [4, 3], values, None);
    }
    let var = fixture.file.create_group("raw/var").unwrap();
    set_attr(&var, "_index", "_index");
    put_texts(&var, "_index", &["g0", "g1", "g2"]);
    fixture.finish().open()?.choose_matrix()
}

#[test]
fn counts_are_chosen_by_the_stated_rule() {
    let counts = [1.0, 0.0, 5.0, 2.0, 8.0, 0.0, 0.0, 3.0, 1.0, 9.0, 0.0, 40.0];
    let scaled = counts.map(|v| v / 10.0 - 0.2);
    let linear = counts.map(|v| v * 1.37);
    let mut logged = counts;
    for cell in logged.chunks_exact_mut(3) {
        let total: f32 = cell.iter().sum();
        cell.iter_mut().for_each(|v| *v = (*v / total * 10_000.0).ln_1p());
    }
    type Case<'a> = (&'a [(&'a str, [f32; 12])], MatrixKey, Scale);
    let layer = |name: &str| MatrixKey::Layer(name.into());
    let cases: [Case; 9] = [
        (&[("X", scaled), ("raw/X", logged), ("layers/counts", counts)], layer("counts"), Scale::Counts),
        (&[("X", counts), ("raw/X", counts), ("layers/a_counts", counts)], layer("a_counts"), Scale::Counts),
        (&[("X", counts), ("raw/X", counts), ("layers/counts", logged)], MatrixKey::Raw, Scale::Counts),
        (&[("X", counts), ("raw/X", logged)], MatrixKey::X, Scale::Counts),
        (&[("X", logged), ("layers/spliced", counts), ("layers/mine", counts)], layer("mine"), Scale::Counts),
        (&[("X", scaled), ("raw/X", logged)], MatrixKey::Raw, Scale::Log1p),
        (&[("X", logged), ("raw/X", linear)], MatrixKey::X, Scale::Log1p),
        (&[("X", linear), ("raw/X", scaled)], MatrixKey::X, Scale::Linear),
        (&[("X", scaled), ("raw/X", [0.0; 12])], MatrixKey::X, Scale::Scaled),
    ];
    for (matrices, key, scale) in cases {
        let names: Vec<&str> = matrices.iter().map(|(name, _)| *name).collect();
        let choice = with_matrices(matrices).unwrap();
        assert_eq!((&choice.key, choice.scale), (&key, scale), "{names:?}: {}", choice.reason);
        assert!(choice.reason.starts_with(&key.to_string()), "{}", choice.reason);
        assert!(!choice.chosen_by_user);
    }
    let choice = with_matrices(&[("X", logged)]).unwrap();
    assert!(choice.reason.contains("about 10000 in every cell"), "{}", choice.reason);
    assert!(choice.reason.contains("No matrix of the file holds counts"), "{}", choice.reason);
}

#[test]
fn the_users_choice_overrules_the_rule() {
    let fixture = Fixture::new(1, 2);
    fixture.file.create_group("layers").unwrap();
    fixture.dense("X", [1, 2], &[1.0f32, 2.0], None);
    fixture.dense("layers/z", [1, 2], &[1.0f32, -2.5], None);
    let written = fixture.finish();
    let choice = written.open().unwrap().choose_by_user(&"layers/z".parse().unwrap()).unwrap();
    assert!(choice.chosen_by_user && choice.scale == Scale::Scaled, "{choice:?}");
    assert!(choice.scale.caution().is_some());
}

#[test]
fn a_sparse_matrix_without_attributes_is_told_by_its_index() {
    let table = Table::new(5, 3);
    let (data, indices, indptr) = table.parts(true);
    let fixture = Fixture::new(5, 3);
    let group = fixture.file.create_group("X").unwrap();
    put(&group, "data", &data);
    put(&group, "indices", &indices);
    put(&group, "indptr", &indptr);
    let written = fixture.finish();
    let matrix = written.open().unwrap().matrix(&MatrixKey::X).unwrap();
    assert_eq!(matrix.layout(), Layout::Csc);
    check(&matrix, &table);
}

#[test]
fn names_of_matrices_read_back() {
    for name in ["X", "raw/X", "layers/counts", "layers/a/b"] {
        assert_eq!(name.parse::<MatrixKey>().unwrap().to_string(), name);
    }
    assert_eq!("raw".parse::<MatrixKey>().unwrap(), MatrixKey::Raw);
    assert!("layers/".parse::<MatrixKey>().is_err());
    assert!("obs".parse::<MatrixKey>().is_err());
}

#[test]
fn labels_that_lead_back_to_themselves_end_and_a_column_listed_again_and_again_is_read_once() {
    let fixture = Fixture::new(6, 2);
    let ring = fixture.group("obs/ring", "categorical");
    put(&ring, "codes", &[0i8; 6]);
    ring.link_hard("/obs/ring", "categories").unwrap();
    put(&fixture.obs(), "n", &[1i64, 2, 3, 4, 5, 6]);
    let listed = ["n", "ring", "n", "n"].map(text);
    let order = fixture
        .obs()
        .new_attr::<hdf5::types::VarLenUnicode>()
        .shape([listed.len()])
        .create("column-order")
        .unwrap();
    order.write_raw(&listed).unwrap();
    let written = fixture.finish();
    let data = written.open().unwrap();
    let names: Vec<&str> = data.obs().columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["n"]);
    assert!(
        data.findings()
            .iter()
            .any(|note| note.element == "obs/ring" && note.message.contains("a categorical"))
    );
}

#[test]
fn a_file_that_took_the_place_of_the_open_one_is_not_read_in_its_stead() {
    // So many entries that they are read past the library, which goes on with the file that it opened.
    const ROWS: usize = 300_000;
    let table = Table::new(ROWS, 7);
    let write = |table: &Table| {
        let (data, indices, indptr) = table.parts(false);
        let fixture = Fixture::new(ROWS, 7);
        fixture.compressed("X", "csr_matrix", [ROWS as i64, 7], (&data, &indices, &indptr));
        fixture.finish()
    };
    let (written, other) = (write(&table), write(&table));
    let data = written.open().unwrap();
    let matrix = data.matrix(&MatrixKey::X).unwrap();
    assert_eq!(matrix.column(3, &Watch::silent()).unwrap(), table.column(3));
    std::fs::rename(&other.path, &written.path).unwrap();
    let error = matrix.column(3, &Watch::silent()).unwrap_err().to_string();
    assert!(
        error.contains("changed, or moved, since it was opened") && error.contains("Open it again"),
        "{error}"
    );
}
