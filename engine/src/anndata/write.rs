//! Writing AnnData files (.h5ad): frames, one matrix of compressed rows, texts.
//!
//! A file is built beside its place and moved there in one step, so that a reader sees the old file or the whole new
//! one. Rows and long texts are streamed: nothing of the size of the matrix is held. The same content gives the same
//! bytes, whenever it is written: HDF5's time stamps are turned off.
//!
//! The encoding is that of anndata 0.8 and later (its "file format specification").

use std::path::{Path, PathBuf};

use hdf5::{Dataset, Group, H5Type, Selection, SimpleExtents};

use super::encode::{CHUNK, Elements, GZIP, TextWriter, failed, miscounted};
use super::frame::Frame;
use super::rows::SparseRow;
use crate::error::Problem;
use crate::{Error, Result};

/// Entries of the matrix held before they go to the file: 8 MB.
const HELD_ENTRIES: usize = 1 << 20;

/// An h5ad file under construction. Without [`NewAnnData::finish`] nothing is left of it.
#[derive(Debug)]
pub struct NewAnnData {
    file: hdf5::File,
    elements: Elements,
    draft: tempfile::TempPath,
    path: PathBuf,
}

/// An empty file beside `path`, readable by all whom the umask allows, that is gone unless it is moved to its place.
pub(super) fn draft_beside(path: &Path) -> Result<tempfile::TempPath> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".cell2text-").suffix(".h5ad");
    #[cfg(unix)]
    {
        // A temporary file is private by default; a result is as readable as any new file (the umask holds).
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    Ok(builder.tempfile_in(folder).map_err(|e| Error::io("write", path, e))?.into_temp_path())
}

/// Moves a finished draft to `path`; what stood there before still stands where this fails.
pub(super) fn settle(draft: tempfile::TempPath, path: &Path) -> Result<()> {
    let io = |e| Error::io("write", path, e);
    std::fs::File::open(&draft).and_then(|f| f.sync_all()).map_err(io)?;
    draft.persist(path).map_err(|e| io(e.error))?;
    // The name is safe once its folder is; where a folder cannot be opened (Windows), the system sees to it.
    if let Some(folder) = path.parent().and_then(|folder| std::fs::File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
    Ok(())
}

impl NewAnnData {
    /// Begins a file that will stand at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] where its folder cannot be written to; [`Error::AnnData`] where HDF5 refuses.
    pub fn create(path: &Path) -> Result<Self> {
        let draft = draft_beside(path)?;
        // The draft is ours alone, and a lock would live on in any program started meanwhile.
        let file = hdf5::File::with_options()
            .with_fapl(|p| p.file_locking(false))
            .with_fcpl(|p| p.obj_track_times(false))
            .create(&draft)
            .map_err(|e| failed(path, "file", &e))?;
        let elements = Elements::new((*file).clone(), path);
        elements.encode(&file, "anndata", "0.1.0")?;
        Ok(Self { file, elements, draft, path: path.to_path_buf() })
    }

    /// Writes a table as `obs` or `var`. The `streamed` columns come after those of the frame, each written with
    /// [`NewAnnData::texts`].
    ///
    /// A missing text is written as an empty one; other missing values are kept as missing.
    ///
    /// # Errors
    /// [`Error::Request`] where a column is not as long as the index or has an unusable name; [`Error::AnnData`]
    /// where HDF5 refuses.
    pub fn frame(&self, element: &str, frame: &Frame, streamed: &[&str]) -> Result<()> {
        let group = self.elements.group(element, "dataframe", "0.2.0")?;
        let index = if frame.index_name.is_empty() { "_index" } else { &frame.index_name };
        self.elements.text_attr(&group, "_index", index)?;
        let names = frame.columns.iter().map(|c| c.name.as_str()).chain(streamed.iter().copied());
        self.elements.texts_attr(&group, "column-order", names)?;
        self.elements.text_dataset(&format!("{element}/{index}"), frame.index.iter().map(String::as_str))?;
        for column in &frame.columns {
            let name = format!("{element}/{}", column.name);
            if column.len() != frame.len() || column.name.is_empty() || column.name.contains(['/', '\0']) {
                return Err(Error::request(Problem::new(
                    name,
                    format!("{} values for {} rows", column.len(), frame.len()),
                    "a name without slash and a value for each row",
                    "Rename or repair the column.",
                )));
            }
            self.elements.column(&name, column)?;
        }
        Ok(())
    }

    /// Begins an array of `len` texts at `element`.
    ///
    /// # Errors
    /// [`Error::AnnData`] where HDF5 refuses.
    pub fn texts(&self, element: &str, len: usize) -> Result<TextWriter<'_>> {
        self.elements.texts(element, len)
    }

    /// Writes single texts as the members of `uns`.
    ///
    /// # Errors
    /// [`Error::AnnData`] where HDF5 refuses.
    pub fn uns(&self, texts: &[(&str, &str)]) -> Result<()> {
        self.elements.group("uns", "dict", "0.1.0")?;
        for (name, text) in texts {
            self.elements.text(&format!("uns/{name}"), text)?;
        }
        Ok(())
    }

    /// Begins the matrix at `element` (`X`, `layers/counts`), stored by rows, with `n_cols` columns.
    ///
    /// # Errors
    /// [`Error::AnnData`] where HDF5 refuses.
    pub fn rows(&self, element: &str, n_cols: usize) -> Result<RowWriter<'_>> {
        self.rows_packed(element, n_cols, true)
    }

    /// As [`NewAnnData::rows`], not packed: for files that go again soon.
    pub(super) fn unpacked_rows(&self, element: &str, n_cols: usize) -> Result<RowWriter<'_>> {
        self.rows_packed(element, n_cols, false)
    }

    fn rows_packed(&self, element: &str, n_cols: usize, packed: bool) -> Result<RowWriter<'_>> {
        let group = self.elements.group(element, "csr_matrix", "0.1.0")?;
        let data = self.growing::<f32>(&format!("{element}/data"), packed)?;
        let indices = self.growing::<i32>(&format!("{element}/indices"), packed)?;
        Ok(RowWriter {
            file: &self.elements,
            element: element.to_owned(),
            group,
            data,
            indices,
            n_cols,
            indptr: vec![0],
            written: 0,
            held_columns: Vec::new(),
            held_values: Vec::new(),
        })
    }

    fn growing<T: H5Type>(&self, element: &str, packed: bool) -> Result<Dataset> {
        let builder = self.elements.root.new_dataset::<T>().obj_track_times(false).chunk([CHUNK]);
        let builder = if packed { builder.shuffle().deflate(GZIP) } else { builder };
        builder
            .shape(SimpleExtents::resizable([0]))
            .create(element)
            .map_err(|e| self.elements.failed(element, &e))
    }

    /// Moves the file to its place.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::AnnData`]; what stood there before still stands then.
    pub fn finish(self) -> Result<()> {
        let Self { file, elements, draft, path } = self;
        drop(elements);
        file.close().map_err(|e| failed(&path, "file", &e))?;
        settle(draft, &path)
    }
}

/// Writes the rows of a matrix one after the other. Holds 8 bytes a row and a buffer of 8 MB.
#[derive(Debug)]
pub struct RowWriter<'a> {
    file: &'a Elements,
    element: String,
    group: Group,
    data: Dataset,
    indices: Dataset,
    n_cols: usize,
    indptr: Vec<i64>,
    written: usize,
    held_columns: Vec<i32>,
    held_values: Vec<f32>,
}

impl RowWriter<'_> {
    /// Adds a row.
    ///
    /// # Errors
    /// [`Error::Request`] where a column lies beyond the matrix; [`Error::AnnData`] where HDF5 refuses.
    pub fn push(&mut self, row: &SparseRow) -> Result<()> {
        if let Some(beyond) = row.columns.iter().find(|column| **column as usize >= self.n_cols) {
            return Err(miscounted(&self.element, *beyond as usize + 1, self.n_cols));
        }
        self.held_columns.extend(row.columns.iter().map(|column| *column as i32));
        self.held_values.extend(&row.values);
        self.indptr.push((self.written + self.held_values.len()) as i64);
        if self.held_values.len() >= HELD_ENTRIES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let end = self.written + self.held_values.len();
        if end == self.written {
            return Ok(());
        }
        let place = || Selection::from(self.written..end);
        self.data
            .resize([end])
            .and_then(|()| self.data.write_slice(self.held_values.as_slice(), place()))
            .and_then(|()| self.indices.resize([end]))
            .and_then(|()| self.indices.write_slice(self.held_columns.as_slice(), place()))
            .map_err(|e| self.file.failed(&self.element, &e))?;
        self.written = end;
        self.held_columns.clear();
        self.held_values.clear();
        Ok(())
    }

    /// Ends the matrix. Returns the number of its rows.
    ///
    /// # Errors
    /// [`Error::AnnData`] where HDF5 refuses.
    pub fn finish(mut self) -> Result<usize> {
        self.flush()?;
        let n_rows = self.indptr.len() - 1;
        let indptr = format!("{}/indptr", self.element);
        let dataset = self.file.dataset::<i64>(&indptr, self.indptr.len())?;
        dataset.write_raw(&self.indptr).map_err(|e| self.file.failed(&indptr, &e))?;
        let shape = [n_rows as i64, self.n_cols as i64];
        self.group
            .new_attr::<i64>()
            .shape([2])
            .create("shape")
            .and_then(|attr| attr.write_raw(&shape))
            .map_err(|e| self.file.failed(&self.element, &e))?;
        Ok(n_rows)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::anndata::{AnnData, Column, MatrixKey, Values};
    use crate::progress::Watch;

    fn frame(n: usize) -> Frame {
        let column = |name: &str, values| Column { name: name.to_owned(), values };
        let labels = Values::Categorical {
            codes: (0..n).map(|i| i as i32 % 3 - 1).collect(),
            categories: vec!["B cell".into(), "β cell".into()],
            ordered: false,
        };
        Frame {
            index_name: "_index".into(),
            index: (0..n).map(|i| format!("cell-{i}")).collect(),
            columns: vec![
                column("cell_type", labels),
                column("note", Values::Text((0..n).map(|i| Some(format!("n{i}"))).collect())),
                column("score", Values::Number((0..n).map(|i| i as f64 / 2.0).collect())),
                column("age", Values::Integer((0..n).map(|i| (i % 2 == 0).then_some(i as i64)).collect())),
                column("kept", Values::Boolean((0..n).map(|i| Some(i % 3 == 0)).collect())),
            ],
        }
    }

    /// Writes a file with every kind of column and `n` rows.
    pub(in crate::anndata) fn write(path: &Path, n: usize) {
        let new = NewAnnData::create(path).unwrap();
        let mut rows = new.rows("X", 70_000).unwrap();
        for i in 0..n as u32 {
            let columns: Vec<u32> = (0..i % 40).map(|c| c * 1700 + i % 7).collect();
            let values = columns.iter().map(|c| (c % 9 + 1) as f32).collect();
            rows.push(&SparseRow { columns, values }).unwrap();
        }
        assert_eq!(rows.finish().unwrap(), n);
        new.frame("obs", &frame(n), &["description"]).unwrap();
        let mut texts = new.texts("obs/description", n).unwrap();
        for i in 0..n {
            texts.push(&format!("This sample is number {i}.")).unwrap();
        }
        texts.finish().unwrap();
        let var = Frame {
            index_name: "ensembl_id".into(),
            index: (0..70_000).map(|i| format!("ENSG{i:011}")).collect(),
            columns: Vec::new(),
        };
        new.frame("var", &var, &[]).unwrap();
        new.uns(&[("organism", "Homo sapiens")]).unwrap();
        new.finish().unwrap();
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for n in [0, 1, 5000] {
            let path = folder.path().join("a.h5ad");
            write(&path, n);
            let data = AnnData::open(&path, &Watch::silent()).unwrap();
            let mut expected = frame(n);
            expected.columns.push(Column {
                name: "description".into(),
                values: Values::Text((0..n).map(|i| Some(format!("This sample is number {i}."))).collect()),
            });
            assert_eq!(data.obs(), &expected);
            assert_eq!(data.var(&MatrixKey::X).len(), 70_000);
            assert_eq!(data.organism().as_deref(), Some("Homo sapiens"));
            let matrix = data.matrix(&MatrixKey::X).unwrap();
            assert_eq!((matrix.n_rows(), matrix.n_cols()), (n, 70_000));
            if n > 120 {
                let row = matrix.row(119).unwrap();
                assert_eq!((row.len(), row.columns[38], row.values[1]), (39, 38 * 1700, 9.0));
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the file");
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.h5ad"), folder.path().join("b.h5ad"));
        write(&a, 300);
        // Time stamps count whole seconds.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        write(&b, 300);
        assert!(std::fs::read(a).unwrap() == std::fs::read(b).unwrap());
    }

    #[test]
    fn a_file_not_finished_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5ad");
        std::fs::write(&path, "old").unwrap();
        drop(NewAnnData::create(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let new = NewAnnData::create(&folder.path().join("a.h5ad")).unwrap();
        let mut rows = new.rows("X", 3).unwrap();
        assert!(rows.push(&SparseRow { columns: vec![3], values: vec![1.0] }).is_err());
        let mut short = frame(4);
        short.index.pop();
        assert!(new.frame("obs", &short, &[]).is_err());
        assert!(new.texts("uns_text", 2).unwrap().finish().is_err());
        assert!(NewAnnData::create(&folder.path().join("no/a.h5ad")).is_err());
    }
}
