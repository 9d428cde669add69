//! Writing into a copy of an open file: columns of obs and `uns/cell2text` more, all else as it was.
//!
//! The copy is made beside its place, byte by byte. Then HDF5 adds to it, and what was added is read again and
//! compared. Only then is it moved to its place. The source is never opened for writing, and whatever goes wrong on
//! the way leaves what stood at the place before.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crossbeam_channel::Sender;

use super::encode::{Elements, clean, failed};
use super::frame::{Column, Values};
use super::store::{Kind, Store};
use super::write::{draft_beside, settle};
use super::{AnnData, is_part_of, same_file};
use crate::error::Problem;
use crate::files::sha256_of_file;
use crate::progress::{Cancel, Watch};
use crate::{Error, Result};

/// Where the provenance and the list of our columns lie.
const OURS: &str = "uns/cell2text";
/// Written at a time.
const BLOCK: usize = 4 << 20;
/// Copied between two looks at the stop flag.
const PIECE: u64 = 64 << 20;
/// Room for groups and headers of what is added.
const SPARE_BYTES: usize = 1 << 20;

/// Size and time of last change of a file.
pub(super) type Stamp = (u64, SystemTime);

/// The stamp of the file at `path`.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let meta = path.metadata().ok()?;
    Some((meta.len(), meta.modified().ok()?))
}

/// How the columns of obs lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// anndata 0.8 and later.
    Today,
    /// anndata 0.7: labels in `__categories`.
    LabelsApart,
}

/// A copy under construction. Without [`FileCopy::finish`] nothing is left of it.
#[derive(Debug)]
pub struct FileCopy<'a> {
    source: &'a AnnData,
    draft: tempfile::TempPath,
    path: PathBuf,
    layout: Layout,
    sha256: String,
    bytes: u64,
    to_disk: ToDisk,
}

impl AnnData {
    /// Refuses what cannot be added to obs of a copy: a form of file or table without room for it, and names that are
    /// taken. Columns that this program added earlier (as `uns/cell2text` says) may be written anew, and with
    /// `replace` any.
    ///
    /// # Errors
    /// [`Error::Request`] with the way out.
    pub fn check_additions(&self, names: &[String], replace: bool) -> Result<()> {
        self.obs_layout()?;
        let ours = self.columns_added_before();
        for name in names {
            let element = format!("obs/{name}");
            if name.is_empty() || name.contains(['/', '\0']) || name == "__categories" {
                return Err(self.refused(
                    &element,
                    "a name with a slash, or none",
                    "a plain name",
                    "Rename it.",
                ));
            }
            let is_index = *name == self.obs.index_name || name == "_index";
            let taken = self.store.kind(&element) != Kind::Missing || self.obs.column(name).is_some();
            if is_index || (taken && !replace && !ours.contains(name)) {
                return Err(self.refused(
                    &element,
                    if is_index { "the names of the cells" } else { "a column of that name" },
                    "no such column, so that nothing of yours is replaced",
                    if is_index {
                        "Rename your labels."
                    } else {
                        "Rename your labels, or remove the column from the file first (in Python: del \
                         adata.obs[...]); on the command line, --replace writes over it in the copy."
                    },
                ));
            }
        }
        Ok(())
    }

    /// Begins a copy of this file that will stand at `path`: all bytes, hashed on the way where that was not done before.
    ///
    /// # Errors
    /// [`Error::Request`] where `path` is the file itself or one of the folder that it was made of, or where the file was
    /// changed since it was opened;
    /// [`Error::Io`] where it cannot be copied; [`Error::Cancelled`].
    pub fn begin_copy(&self, path: &Path, watch: &Watch) -> Result<FileCopy<'_>> {
        let layout = self.obs_layout()?;
        if same_file(path, self.path()) || is_part_of(path, self.store.shown()) {
            return Err(Error::request(
                Problem::new(
                    "the copy to write",
                    "the very file that is open",
                    "another file",
                    "Your data are never overwritten: choose another name.",
                )
                .in_file(path),
            ));
        }
        self.check_unchanged()?;
        let draft = draft_beside(path)?;
        let known = self.sha256.get();
        let Copied { sha256, bytes, to_disk } = copy_file(self.path(), &draft, path, known, watch)?;
        // What was written to it while it was copied and hashed shows here.
        self.check_unchanged()?;
        let sha256 = self.sha256.get_or_init(|| sha256).clone();
        Ok(FileCopy { source: self, draft, path: path.to_path_buf(), layout, sha256, bytes, to_disk })
    }

    /// SHA-256 of the file as it was opened, in hexadecimal. It is computed once: the file is known not to change.
    ///
    /// # Errors
    /// [`Error::Request`] where it was changed since; [`Error::Io`] where it cannot be read; [`Error::Cancelled`].
    pub fn sha256(&self, watch: &Watch) -> Result<&str> {
        if let Some(known) = self.sha256.get() {
            self.check_unchanged()?;
            return Ok(known);
        }
        let sha256 = sha256_of_file(self.path(), watch)?;
        self.check_unchanged()?;
        Ok(self.sha256.get_or_init(|| sha256))
    }

    /// What this program wrote into `uns/cell2text` earlier, as JSON.
    pub fn provenance_before(&self) -> Option<String> {
        self.store.text(&format!("{OURS}/provenance"))
    }

    fn columns_added_before(&self) -> Vec<String> {
        let columns = self.store.dataset(&format!("{OURS}/columns"));
        columns.and_then(|stored| stored.texts(&Watch::silent())).unwrap_or_default()
    }

    fn check_unchanged(&self) -> Result<()> {
        if stamp(self.path()) == self.stamp {
            return Ok(());
        }
        Err(self.refused(
            "file",
            "that it was changed, or moved, since it was opened",
            "the file as it was opened",
            "Nothing was written. Open it again, then write the copy.",
        ))
    }

    fn obs_layout(&self) -> Result<Layout> {
        let convert = "Save it as today's h5ad first (in Python: anndata.read_h5ad(\"in.h5ad\").write_h5ad(\"out.h5ad\")) \
                       and open that, or write a table (CSV) instead.";
        if self.store.is_zarr() {
            return Err(self.refused(
                "obs",
                "a Zarr folder",
                "an .h5ad file, whose obs takes columns",
                "Convert it first (in Python: anndata.read_zarr(\"in.zarr\").write_h5ad(\"out.h5ad\")) and open that, or \
                 write a table (CSV) instead.",
            ));
        }
        if self.foreign.is_some() {
            return Err(self.refused(
                "obs",
                "another format than AnnData (10x Genomics or loom)",
                "an .h5ad file, whose obs takes columns",
                "Convert it first (in Python: scanpy.read_10x_h5 or anndata.read_loom, then write_h5ad) and open that, \
                 or write a table (CSV) instead.",
            ));
        }
        match self.store.kind("obs") {
            Kind::Group if self.store.kind("uns") == Kind::Dataset => {
                Err(self.refused("uns", "an array", "a group", convert))
            }
            Kind::Group
                if self.obs.index_name == "_index" && self.store.kind("obs/_index") == Kind::Missing =>
            {
                Err(self.refused("obs", "no names of cells", "a table with the names of its rows", convert))
            }
            Kind::Group => {
                let version = self.store.attr_text("obs", "encoding-version");
                let apart =
                    self.store.kind("obs/__categories") == Kind::Group || version.as_deref() == Some("0.1.0");
                Ok(if apart { Layout::LabelsApart } else { Layout::Today })
            }
            _ => Err(self.refused(
                "obs",
                "one table of records, as anndata wrote before version 0.7",
                "a group of columns",
                convert,
            )),
        }
    }

    fn refused(&self, element: &str, found: &str, expected: &str, remedy: &str) -> Error {
        Error::request(Problem::new(element, found, expected, remedy).in_file(self.path()))
    }
}

impl FileCopy<'_> {
    /// SHA-256 of the source, in hexadecimal.
    pub fn source_sha256(&self) -> &str {
        &self.sha256
    }

    /// Bytes of the source.
    pub fn source_bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds `columns` to obs, each as long as it, and `provenance` (JSON) to `uns/cell2text`; reads all again,
    /// compares it, and moves the copy to its place.
    ///
    /// # Errors
    /// [`Error::AnnData`] or [`Error::Io`] where it cannot be written or is read back otherwise; [`Error::Cancelled`].
    /// Then nothing is at the place that was not there before.
    pub fn finish(self, columns: &[Column], provenance: &str, watch: &Watch) -> Result<()> {
        let Self { source, draft, path, layout, to_disk, .. } = self;
        for column in columns {
            if column.len() != source.n_obs() {
                let found = format!("{} values", column.len());
                return Err(source.refused(
                    &format!("obs/{}", column.name),
                    &found,
                    &format!("{}, one a cell", source.n_obs()),
                    "This is a fault of the program. Please report it.",
                ));
            }
        }
        reserve(&draft, &path, columns, provenance)?;
        watch.step("Writing columns", 0, Some(columns.len() as u64))?;
        let before = source.columns_added_before();
        add(&draft, &path, source.store.prefix(), layout, columns, &before, provenance, watch)?;
        to_disk.go_on();
        watch.step("Comparing the copy", 0, None)?;
        super::verify::check_copy(source, &draft, &path, columns, provenance, watch)?;
        watch.check()?;
        settle(draft, &path)
    }
}

/// What [`copy_file`] gives.
struct Copied {
    sha256: String,
    bytes: u64,
    to_disk: ToDisk,
}

/// A thread that has the system bring a file to the disk while more is written to it, so that little is left to wait for
/// at the end. It is only a head start: what must be on the disk is seen to by whoever settles the file.
#[derive(Debug)]
struct ToDisk(Option<Sender<()>>);

impl ToDisk {
    fn new(file: &File) -> Self {
        let Ok(file) = file.try_clone() else { return Self(None) };
        let (wake, waiting) = crossbeam_channel::bounded(1);
        let thread = std::thread::Builder::new().name("to disk".into());
        // It ends when the sender goes, or at a failure, which comes again where it is told.
        let started = thread.spawn(move || waiting.iter().try_for_each(|()| file.sync_data()));
        Self(started.is_ok().then_some(wake))
    }

    /// There is more to bring there.
    fn go_on(&self) {
        if let Some(wake) = &self.0 {
            let _ = wake.try_send(());
        }
    }
}

/// Copies `from` to `to` by the system's own means, piece by piece, while another thread reads it for its hash, where that is
/// not known, and a third brings the copy to the disk.
fn copy_file(from: &Path, to: &Path, shown: &Path, known: Option<&String>, watch: &Watch) -> Result<Copied> {
    let unread = |e| Error::io("read", from, e);
    let unwritten = |e| Error::io("write the copy", shown, e);
    let source = File::open(from).map_err(unread)?;
    // What is added meanwhile is not followed: it would be refused at the end, however much it is.
    let total = source.metadata().map_err(unread)?.len();
    let target = File::create(to).map_err(unwritten)?;
    let to_disk = ToDisk::new(&target);
    let ended = Cancel::new();
    let (sha256, bytes) = std::thread::scope(|scope| {
        let hashing = scope.spawn(|| match known {
            Some(known) => Ok(known.clone()),
            None => sha256_of_file(from, &Watch::new(ended.clone(), |_| {})),
        });
        let copy = || {
            let mut done = 0;
            loop {
                watch.step("Copying the file", done, Some(total))?;
                let mut next = (&source).take(PIECE.min(total.saturating_sub(done)));
                let piece = std::io::copy(&mut next, &mut &target).map_err(unwritten)?;
                if piece == 0 {
                    return Ok(done);
                }
                to_disk.go_on();
                done += piece;
            }
        };
        let copied: Result<u64> = copy();
        if copied.is_err() {
            ended.cancel();
        }
        let hash = hashing.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
        let copied = copied?;
        Ok::<_, Error>((hash?, copied))
    })?;
    Ok(Copied { sha256, bytes, to_disk })
}

/// Makes sure that there is room for what will be added: the library takes a full disk badly.
fn reserve(draft: &Path, path: &Path, columns: &[Column], provenance: &str) -> Result<()> {
    let bytes = |column: &Column| match &column.values {
        Values::Categorical { codes, categories, .. } => {
            4 * codes.len() + categories.iter().map(|c| c.len() + 24).sum::<usize>()
        }
        Values::Text(texts) => texts.iter().map(|t| t.as_ref().map_or(0, String::len) + 40).sum(),
        Values::Number(_) | Values::Integer(_) => 9 * column.len(),
        Values::Boolean(_) => 2 * column.len(),
    };
    let wanted = columns.iter().map(bytes).sum::<usize>() + provenance.len() + SPARE_BYTES;
    // In a file of its own, which goes again: bringing this one to the disk does not wait for all of the copy.
    let room = draft_beside(path)?;
    let try_it = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).open(&room)?;
        let zeros = vec![0; BLOCK.min(wanted)];
        let mut left = wanted;
        while left > 0 {
            let n = left.min(zeros.len());
            file.write_all(zeros.get(..n).unwrap_or_default())?;
            left -= n;
        }
        file.sync_data()?;
        // A file may also be larger than the drive or the system lets one be.
        let copy = std::fs::OpenOptions::new().write(true).open(draft)?;
        let end = copy.metadata()?.len();
        copy.set_len(end + wanted as u64)?;
        copy.set_len(end)
    };
    try_it().map_err(|e| Error::io("make room for the copy", path, e))
}

/// Adds the columns and `uns/cell2text` to the HDF5 file at `draft`.
#[allow(clippy::too_many_arguments)] // Each is a different thing; a struct would only name them again.
fn add(
    draft: &Path,
    shown: &Path,
    prefix: &str,
    layout: Layout,
    columns: &[Column],
    before: &[String],
    provenance: &str,
    watch: &Watch,
) -> Result<()> {
    let refused = |e: hdf5::Error| failed(shown, "file", &e);
    let file =
        hdf5::File::with_options().with_fapl(|p| p.file_locking(false)).open_rw(draft).map_err(refused)?;
    let root = match prefix.trim_end_matches('/') {
        "" => (*file).clone(),
        part => file.group(part).map_err(refused)?,
    };
    let elements = Elements::new(root, shown);
    let obs = elements.root.group("obs").map_err(refused)?;
    for (done, column) in columns.iter().enumerate() {
        watch.step("Writing columns", done as u64, Some(columns.len() as u64))?;
        let name = format!("obs/{}", column.name);
        for older in [name.clone(), format!("obs/__categories/{}", column.name)] {
            let folder = older.rsplit_once('/').map_or("", |(folder, _)| folder);
            if elements.root.link_exists(folder) && elements.root.link_exists(&older) {
                elements.root.unlink(&older).map_err(refused)?;
            }
        }
        match layout {
            Layout::Today => elements.column(&name, column)?,
            Layout::LabelsApart => elements.old_column("obs", column)?,
        }
    }
    let store = Store::new(file.clone(), shown);
    let store = if prefix.is_empty() { store } else { store.within(prefix.trim_end_matches('/'))? };
    let new = || columns.iter().map(|column| column.name.as_str());
    if obs.attr_names().is_ok_and(|names| names.iter().any(|name| name == "column-order")) {
        let listed = store.attr_texts("obs", "column-order").unwrap_or_default();
        let added: Vec<&str> = new().filter(|name| !listed.iter().any(|old| old == name)).collect();
        elements.texts_attr(&obs, "column-order", listed.iter().map(String::as_str).chain(added))?;
    }
    if !elements.root.link_exists("uns") {
        elements.group("uns", "dict", "0.1.0")?;
    }
    if elements.root.link_exists(OURS) {
        elements.root.unlink(OURS).map_err(refused)?;
    }
    elements.group(OURS, "dict", "0.1.0")?;
    let older = before.iter().map(String::as_str).filter(|old| !new().any(|name| name == *old));
    let ours: Vec<&str> = older.chain(new()).collect();
    elements.text_dataset(&format!("{OURS}/columns"), ours.into_iter())?;
    elements.text(&format!("{OURS}/provenance"), provenance)?;
    drop((elements, obs, store));
    file.flush().map_err(refused)?;
    file.close().map_err(refused)
}

/// A column as it is read back: without the zero bytes that HDF5 does not hold, and missing texts as empty ones.
pub(super) fn as_stored(values: &Values) -> Values {
    match values {
        Values::Text(texts) => Values::Text(
            texts.iter().map(|text| Some(clean(text.as_deref().unwrap_or_default()).into_owned())).collect(),
        ),
        Values::Categorical { codes, categories, ordered } => Values::Categorical {
            codes: codes.clone(),
            categories: categories.iter().map(|label| clean(label).into_owned()).collect(),
            ordered: *ordered,
        },
        other => other.clone(),
    }
}
