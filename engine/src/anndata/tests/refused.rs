//! What is no readable AnnData file is refused with what it is and what to do.

use super::fixtures::{Fixture, put, put_texts};
use crate::anndata::{AnnData, MatrixKey};
use crate::progress::Watch;

fn refusal(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let error = AnnData::open(&path, &Watch::silent()).unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(problem.file.as_deref(), Some(path.as_path()));
    assert!(!problem.remedy.is_empty());
    error.to_string()
}

#[test]
fn what_is_not_hdf5_is_named_with_a_remedy() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "empty file"),
        (&[0x1f, 0x8b, 8, 0, 0, 0], "packed with gzip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"%%MatrixMarket matrix coordinate", "barcodes.tsv"),
        (&[0x28, 0xb5, 0x2f, 0xfd, 1], "packed file"),
        (&[0; 4096], "zero bytes"),
        (b"cell,gene\na,b\n", "not HDF5"),
    ];
    let messages: Vec<String> = cases.iter().map(|(bytes, _)| refusal("f.h5ad", bytes)).collect();
    for ((_, expected), message) in cases.iter().zip(&messages) {
        assert!(message.contains(expected), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| AnnData::open(path, &Watch::silent()).unwrap_err().to_string();
    assert!(open(folder.path()).contains("a folder"));
    std::fs::write(folder.path().join(".zgroup"), "{}").unwrap();
    assert!(open(folder.path()).contains("it holds nothing"));
    std::fs::rename(folder.path().join(".zgroup"), folder.path().join(".zarray")).unwrap();
    assert!(open(folder.path()).contains("a Zarr array"));
    assert!(open(&folder.path().join("none.h5ad")).contains("could not open the cell file"));
}

#[test]
fn other_hdf5_formats_are_named_with_the_way_to_convert_them() {
    let cases: [(&[&str], &str); 3] = [
        (&["matrix/barcodes", "matrix/features"], "read_10x_h5"),
        (&["assays/RNA/x", "meta.data/x"], "h5Seurat"),
        (&["hello/x"], "it holds hello"),
    ];
    for (elements, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.h5");
        let file = hdf5::File::create(&path).unwrap();
        for element in elements {
            if let Some((group, _)) = element.rsplit_once('/')
                && !file.link_exists(group.split('/').next().unwrap())
            {
                let mut at = String::new();
                for part in group.split('/') {
                    at = format!("{at}/{part}");
                    file.create_group(&at).unwrap();
                }
            }
            put(&file, element, &[1i32]);
        }
        file.close().unwrap();
        let message = AnnData::open(&path, &Watch::silent()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_file_cut_at_any_point_is_an_error_or_opens_with_notes_and_never_panics() {
    let fixture = Fixture::new(50, 20);
    fixture.dense("X", [50, 20], &[1.0f32; 1000], Some([10, 20]));
    put(&fixture.obs(), "n", &[1i64; 50]);
    let written = fixture.finish();
    let whole = std::fs::read(&written.path).unwrap();
    let mut cut_short = 0;
    for part in 1..20 {
        std::fs::write(&written.path, &whole[..whole.len() * part / 20]).unwrap();
        match written.open() {
            Ok(data) => {
                let _ = data.choose_matrix();
            }
            Err(error) => cut_short += usize::from(error.to_string().contains("cut short")),
        }
    }
    assert!(cut_short >= 15, "{cut_short} of 19 said so");
}

#[test]
fn a_flipped_byte_anywhere_is_an_error_or_opens_and_never_panics() {
    let fixture = Fixture::new(20, 5);
    let (data, indices): (Vec<f32>, Vec<i32>) = (0..40).map(|i| (i as f32, i % 5)).unzip();
    let indptr: Vec<i32> = (0..=20).map(|i| 2 * i).collect();
    fixture.compressed("X", "csr_matrix", [20, 5], (&data, &indices, &indptr));
    let group = fixture.group("obs/cat", "categorical");
    put(&group, "codes", &[0i8; 20]);
    put_texts(&group, "categories", &["a"]);
    let written = fixture.finish();
    let whole = std::fs::read(&written.path).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 600) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&written.path, bytes).unwrap();
        if let Ok(data) = written.open()
            && let Ok(matrix) = data.matrix(&MatrixKey::X)
        {
            let _ = (matrix.row(0), matrix.column(0, &Watch::silent()), data.choose_matrix());
        }
    }
}

#[test]
fn a_broken_sparse_matrix_is_refused_by_the_name_of_its_part() {
    type Parts<'a> = ([i64; 2], &'a [f32], &'a [i32], &'a [i32], &'a str, &'a str);
    let cases: [Parts; 9] = [
        ([2, 3], &[1.0, 2.0], &[0, 1], &[0, 2, 1], "X/indptr", "1 after 2"),
        ([2, 3], &[1.0, 2.0], &[0, 1], &[1, 1, 2], "X/indptr", "a first value of 1"),
        ([2, 3], &[1.0, 2.0], &[0, 1], &[0, 1, 3], "X/indptr", "a last value of 3"),
        ([2, 3], &[1.0, 2.0], &[0, 1], &[0, 2], "X/indptr", "2 values"),
        ([2, 3], &[1.0, 2.0], &[0], &[0, 1, 2], "X/indices", "1 values"),
        ([2, 3], &[1.0, 2.0], &[-1, 1], &[0, 1, 2], "X/indices", "index -1 at entry 0"),
        ([2, 3], &[1.0, 2.0], &[0, 3], &[0, 1, 2], "X/indices", "index 3 at entry 1"),
        ([7, 3], &[1.0, 2.0], &[0, 1], &[0, 1, 2], "X:", "7 rows in its shape"),
        ([2, -3], &[1.0, 2.0], &[0, 1], &[0, 1, 2], "", ""),
    ];
    for (shape, data, indices, indptr, element, found) in cases {
        let fixture = Fixture::new(2, 3);
        fixture.compressed("X", "csr_matrix", shape, (data, indices, indptr));
        let written = fixture.finish();
        let open = written.open().unwrap();
        let chosen = open.choose_matrix();
        if element.is_empty() {
            // A negative side is no shape: the lengths of obs and var stand in for it.
            assert!(chosen.is_ok(), "{chosen:?}");
            continue;
        }
        let message = chosen.unwrap_err().to_string();
        assert!(message.contains(element) && message.contains(found), "{message}");
        let read = open.matrix(&MatrixKey::X).and_then(|m| m.rows(0..2));
        assert!(read.unwrap_err().to_string().contains(found));
    }
}

#[test]
fn a_missing_part_of_a_sparse_matrix_is_named() {
    for missing in ["data", "indices", "indptr"] {
        let fixture = Fixture::new(1, 1);
        fixture.compressed("X", "csr_matrix", [1, 1], (&[1.0f32], &[0i32], &[0i32, 1][..1]));
        fixture.file.group("X").unwrap().unlink(missing).unwrap();
        let written = fixture.finish();
        let open = written.open().unwrap();
        let message = open.choose_matrix().unwrap_err().to_string();
        assert!(message.contains(&format!("X/{missing}: found nothing there")), "{message}");
        assert_eq!(open.findings()[0].element, format!("X/{missing}"));
    }
}

#[test]
fn claims_that_the_file_cannot_back_are_refused_before_memory_is_set_aside() {
    let fixture = Fixture::new(2, 3);
    let group = fixture.group("X", "csr_matrix");
    group.new_attr::<i64>().shape([2]).create("shape").unwrap().write_raw(&[2i64, 3]).unwrap();
    for name in ["data", "indices"] {
        group.new_dataset::<f32>().chunk([1024]).shape([1usize << 40]).create(name).unwrap();
    }
    put(&group, "indptr", &[0i64, 1 << 39, 1 << 40]);
    fixture.obs().new_dataset::<i64>().chunk([1024]).shape([1usize << 40]).create("vast").unwrap();
    let written = fixture.finish();
    let data = written.open().unwrap();
    let message = data.choose_matrix().unwrap_err().to_string();
    assert!(
        message.contains("X/data") && message.contains("no more values than the file can hold"),
        "{message}"
    );
    assert!(data.findings().iter().any(|note| note.element == "obs/vast"), "{:?}", data.findings());
}

#[test]
fn a_text_longer_than_the_file_is_refused_before_memory_is_set_aside() {
    let fixture = Fixture::new(2, 3);
    let address = put_texts(&fixture.obs(), "label", &["a mark", "another"]).offset().unwrap() as usize;
    let written = fixture.finish();
    let mut bytes = std::fs::read(&written.path).unwrap();
    assert_eq!(bytes[address], 6, "the length of the first text");
    bytes[address + 3] = 0xff;
    std::fs::write(&written.path, bytes).unwrap();
    let data = written.open().unwrap();
    let note = &data.findings()[0];
    assert_eq!(note.element, "obs/label");
    assert!(note.message.contains("a text of 4278190086 bytes at row 0"), "{}", note.message);
}

#[test]
fn a_matrix_of_an_unknown_encoding_or_of_text_is_refused_and_the_file_opens() {
    let fixture = Fixture::new(1, 1);
    fixture.group("X", "future_matrix");
    let written = fixture.finish();
    let message = written.open().unwrap().choose_matrix().unwrap_err().to_string();
    assert!(message.contains("future_matrix"), "{message}");

    let fixture = Fixture::new(1, 1);
    put_texts(&fixture.file, "X", &["1"]);
    let written = fixture.finish();
    let message = written.open().unwrap().choose_matrix().unwrap_err().to_string();
    assert!(message.contains("X: found text; expected numbers"), "{message}");
}

#[test]
fn a_column_that_cannot_be_read_becomes_a_note() {
    let fixture = Fixture::new(2, 1);
    let obs = fixture.obs();
    put(&obs, "short", &[1i64]);
    put(&obs, "good", &[1i64, 2]);
    fixture.group("obs/ragged", "awkward-array");
    fixture.dense("obs/wide", [2, 2], &[1.0f32; 4], None);
    let written = fixture.finish();
    let data = written.open().unwrap();
    let names: Vec<&str> = data.obs().columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["good"]);
    let notes: Vec<&str> = data.findings().iter().map(|note| note.element.as_str()).collect();
    assert_eq!(notes, ["obs/ragged", "obs/short", "obs/wide"]);
    assert!(data.findings()[0].message.contains("awkward-array"), "{:?}", data.findings()[0]);
}

#[test]
fn cells_are_numbered_where_the_file_does_not_name_them() {
    let fixture = Fixture::new(3, 2);
    fixture.dense("X", [3, 2], &[1.0f32; 6], None);
    fixture.file.unlink("obs").unwrap();
    let written = fixture.finish();
    let data = written.open().unwrap();
    assert_eq!(data.obs().index, ["0", "1", "2"]);
    assert!(data.findings()[0].message.contains("numbered"), "{:?}", data.findings());

    let fixture = Fixture::new(3, 2);
    fixture.file.unlink("obs").unwrap();
    let written = fixture.finish();
    let message = written.open().unwrap_err().to_string();
    assert!(message.contains("obs: found nothing there"), "{message}");
}
