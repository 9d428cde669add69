//! Small h5ad files, written with HDF5 as anndata lays them out.

use std::path::PathBuf;

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, File, Group, H5Type, Location};

use crate::anndata::AnnData;
use crate::progress::Watch;

/// A file under construction in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

/// A file that is complete, and the folder that holds it.
pub(crate) struct Written {
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Written {
    pub(crate) fn open(&self) -> crate::Result<AnnData> {
        AnnData::open(&self.path, &Watch::silent())
    }
}

pub(crate) fn text(value: &str) -> VarLenUnicode {
    value.parse().unwrap()
}

pub(crate) fn set_attr(at: &Location, name: &str, value: &str) {
    at.new_attr::<VarLenUnicode>().create(name).unwrap().write_scalar(&text(value)).unwrap();
}

pub(crate) fn put<T: H5Type>(group: &Group, name: &str, values: &[T]) -> Dataset {
    let dataset = group.new_dataset::<T>().shape([values.len()]).create(name).unwrap();
    dataset.write_raw(values).unwrap();
    dataset
}

pub(crate) fn put_texts(group: &Group, name: &str, values: &[&str]) -> Dataset {
    put(group, name, &values.iter().map(|v| text(v)).collect::<Vec<_>>())
}

impl Fixture {
    /// An AnnData file with `n_obs` cells `c0`… and `n_var` genes `g0`…, and nothing else.
    pub(crate) fn new(n_obs: usize, n_var: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fixture.h5ad");
        let file = File::create(&path).unwrap();
        set_attr(&file, "encoding-type", "anndata");
        set_attr(&file, "encoding-version", "0.1.0");
        for (name, prefix, n) in [("obs", "c", n_obs), ("var", "g", n_var)] {
            let group = file.create_group(name).unwrap();
            set_attr(&group, "encoding-type", "dataframe");
            set_attr(&group, "_index", "_index");
            let names: Vec<String> = (0..n).map(|i| format!("{prefix}{i}")).collect();
            put_texts(&group, "_index", &names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        Self { file, path, _folder: folder }
    }

    pub(crate) fn obs(&self) -> Group {
        self.file.group("obs").unwrap()
    }

    pub(crate) fn group(&self, name: &str, encoding: &str) -> Group {
        let group = self.file.create_group(name).unwrap();
        set_attr(&group, "encoding-type", encoding);
        group
    }

    /// A compressed matrix from its parts; `indptr` follows rows or columns by `encoding`.
    pub(crate) fn compressed<T: H5Type, I: H5Type>(
        &self,
        name: &str,
        encoding: &str,
        shape: [i64; 2],
        (data, indices, indptr): (&[T], &[I], &[I]),
    ) {
        let group = self.group(name, encoding);
        group.new_attr::<i64>().shape([2]).create("shape").unwrap().write_raw(&shape).unwrap();
        put(&group, "data", data);
        put(&group, "indices", indices);
        put(&group, "indptr", indptr);
    }

    /// A dense matrix, row after row, in chunks of `chunk` with gzip where given.
    pub(crate) fn dense<T: H5Type>(
        &self,
        name: &str,
        shape: [usize; 2],
        values: &[T],
        chunk: Option<[usize; 2]>,
    ) {
        let builder = self.file.new_dataset::<T>();
        let dataset = match chunk {
            Some(chunk) => builder.chunk(chunk).deflate(4).shape(shape).create(name),
            None => builder.shape(shape).create(name),
        };
        dataset.unwrap().write_raw(values).unwrap();
    }

    pub(crate) fn finish(self) -> Written {
        self.file.close().unwrap();
        Written { path: self.path, _folder: self._folder }
    }
}

/// A matrix with many zeros, and its CSR and CSC parts.
pub(crate) struct Table {
    pub(crate) n_rows: usize,
    pub(crate) n_cols: usize,
    /// Row after row.
    pub(crate) dense: Vec<f32>,
}

impl Table {
    /// Values 0 to 99, two of three zero, the same in every run.
    pub(crate) fn new(n_rows: usize, n_cols: usize) -> Self {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let dense = (0..n_rows * n_cols).map(|_| if next() % 3 == 0 { (next() % 100) as f32 } else { 0.0 });
        Self { n_rows, n_cols, dense: dense.collect() }
    }

    pub(crate) fn at(&self, row: usize, col: usize) -> f32 {
        self.dense[row * self.n_cols + col]
    }

    pub(crate) fn column(&self, col: usize) -> Vec<f32> {
        (0..self.n_rows).map(|row| self.at(row, col)).collect()
    }

    /// Data, indices and indptr by rows, or by columns.
    pub(crate) fn parts(&self, by_columns: bool) -> (Vec<f32>, Vec<i64>, Vec<i64>) {
        let (majors, minors) =
            if by_columns { (self.n_cols, self.n_rows) } else { (self.n_rows, self.n_cols) };
        let (mut data, mut indices, mut indptr) = (Vec::new(), Vec::new(), vec![0]);
        for major in 0..majors {
            for minor in 0..minors {
                let value = if by_columns { self.at(minor, major) } else { self.at(major, minor) };
                if value != 0.0 {
                    data.push(value);
                    indices.push(minor as i64);
                }
            }
            indptr.push(data.len() as i64);
        }
        (data, indices, indptr)
    }
}
