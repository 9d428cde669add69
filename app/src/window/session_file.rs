//! Session files: what the user made of a data set and how it was looked at. State, not data.
//!
//! A session names its data by path, size and a hash of the cell names, so that a moved file is found again and
//! another file is told apart. What is read is not trusted: every size, number and name is checked, and nothing is
//! allocated by what the file says of itself.

mod cells;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::error::Problem;
use engine::session::{DataSource, Dataset};
use engine::{Error, Result};
use serde::{Deserialize, Serialize};

use super::annotating::{LabelCategory, LabelColumn, UNASSIGNED};
use super::document::{Document, usable_name};
use super::selection::{CellSet, NamedSet, Sets};
use super::state::View;
use cells::{decode, encode, shortened};

/// How the names of session files end.
pub const EXTENSION: &str = ".cell2text.json";
const FORMAT: &str = "cell2text session";
const VERSION: u32 = 1;
/// Larger files are no sessions.
const MAX_BYTES: u64 = 512 << 20;
const MAX_SETS: usize = 2_000;
const MAX_COLUMNS: usize = 200;
const MAX_CATEGORIES: usize = 2_000;
const MAX_COLOURS: usize = 20_000;
/// Bytes that the sets of one session may take in memory.
const MAX_SET_BYTES: usize = 2 << 30;

/// What tells one data set from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The file's name, or that of the sample.
    pub name: String,
    /// Where the file was; `None` for the built-in sample.
    pub path: Option<PathBuf>,
    /// Its size.
    pub bytes: Option<u64>,
    /// Its cells.
    pub n_obs: u64,
    /// SHA-256 of the names of its cells, each ended by a line break.
    pub obs_index_sha256: String,
}

impl Identity {
    /// Of an open data set. Reads all names: not for the window's own thread.
    pub fn of(dataset: &Dataset) -> Self {
        let mut names = String::new();
        for name in &dataset.obs.index {
            names.push_str(name);
            names.push('\n');
        }
        let (name, path) = match &dataset.source {
            DataSource::Sample => ("PBMC sample".to_owned(), None),
            DataSource::File(path) => (super::workspace::file_name(path), Some(path.clone())),
        };
        // JSON knows only text: a path that is none is found beside the session, or asked for.
        let path = path.map(|p| PathBuf::from(p.to_string_lossy().into_owned()));
        let bytes = path.as_ref().and_then(|p| std::fs::metadata(p).ok()).map(|m| m.len());
        Self {
            name,
            path,
            bytes,
            n_obs: dataset.n_obs as u64,
            obs_index_sha256: engine::files::sha256_hex(names.as_bytes()),
        }
    }

    /// Whether both have the same cells in the same order.
    pub fn has_cells_of(&self, other: &Self) -> bool {
        self.n_obs == other.n_obs && self.obs_index_sha256 == other.obs_index_sha256
    }

    /// A name for files that belong to this data set: the same wherever the file lies.
    pub fn key(&self) -> String {
        let text = format!("{}\n{}\n{}", self.name, self.n_obs, self.obs_index_sha256);
        let mut key = engine::files::sha256_hex(text.as_bytes());
        key.truncate(24);
        key
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    format: String,
    version: u32,
    #[serde(default)]
    program: String,
    data: Identity,
    #[serde(default)]
    selected: String,
    #[serde(default)]
    sets: Vec<SetContent>,
    #[serde(default)]
    labels: Vec<ColumnContent>,
    #[serde(default)]
    colours: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    view: View,
    #[serde(default)]
    hidden: BTreeSet<usize>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SetContent {
    name: String,
    cells: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ColumnContent {
    name: String,
    #[serde(default)]
    labels: Vec<LabelContent>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LabelContent {
    name: String,
    colour: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    term: Option<String>,
    cells: String,
}

/// A session as it stands in its file. Cells are decoded when its data set is open.
#[derive(Debug)]
pub struct SessionFile {
    path: PathBuf,
    content: Content,
}

/// The session as text.
pub fn to_text(data: Identity, document: &Document, view: &View) -> String {
    let labels = document.labels.iter().map(|column| ColumnContent {
        name: column.name.clone(),
        labels: column
            .categories
            .iter()
            .map(|c| LabelContent {
                name: c.name.clone(),
                colour: hex_of(c.colour),
                term: c.term.clone(),
                cells: encode(&c.cells),
            })
            .collect(),
    });
    let named = document.sets.named.iter();
    let content = Content {
        format: FORMAT.into(),
        version: VERSION,
        program: env!("CARGO_PKG_VERSION").into(),
        data,
        selected: encode(&document.sets.current),
        sets: named.map(|s| SetContent { name: s.name.clone(), cells: encode(&s.cells) }).collect(),
        labels: labels.collect(),
        colours: document
            .colours
            .iter()
            .map(|(column, of)| (column.clone(), of.iter().map(|(k, c)| (k.clone(), hex_of(*c))).collect()))
            .collect(),
        view: view.clone(),
        hidden: view.hidden.clone(),
    };
    serde_json::to_string_pretty(&content).unwrap_or_default()
}

fn hex_of([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn colour_of(text: &str) -> Option<[u8; 3]> {
    let digits =
        text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let [_, r, g, b] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([r, g, b])
}

/// What the parser says, without the whole of a long text that it quotes.
fn brief(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Reads a session file.
///
/// # Errors
/// [`Error::Io`] or, where it is no session of this version, [`Error::Request`].
pub fn read(path: &Path) -> Result<SessionFile> {
    let file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut text = Vec::new();
    // The size in the directory may lie; what is read is counted.
    file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|e| Error::io("read", path, e))?;
    parse(&text, path)
}

/// The session in `text`, which was read from `path`.
///
/// # Errors
/// [`Error::Request`] naming the element that is wrong.
pub fn parse(text: &[u8], path: &Path) -> Result<SessionFile> {
    let wrong = |element: &str, found: String, expected: &str| {
        Error::request(
            Problem::new(element, found, expected, "Choose a session that Cell2Text saved.").in_file(path),
        )
    };
    if text.len() as u64 > MAX_BYTES {
        return Err(wrong("the file", "more than 512 MB".into(), "a session, which is much smaller"));
    }
    // What the file is, before what it holds: so that another JSON file is called that.
    let head: serde_json::Value =
        serde_json::from_slice(text).map_err(|e| wrong("the file", brief(&e), "JSON"))?;
    let said = head.get("format").and_then(serde_json::Value::as_str);
    if said != Some(FORMAT) {
        return Err(wrong("format", said.map_or_else(|| "nothing".into(), shortened), FORMAT));
    }
    match head.get("version").and_then(serde_json::Value::as_u64) {
        Some(1) => {}
        Some(later) if later > u64::from(VERSION) => {
            return Err(Error::request(
                Problem::new(
                    "version",
                    later.to_string(),
                    format!("{VERSION} at most"),
                    "It was saved by a newer Cell2Text: update the program.",
                )
                .in_file(path),
            ));
        }
        _ => return Err(wrong("version", "no version of sessions".into(), "1")),
    }
    let content: Content =
        serde_json::from_value(head).map_err(|e| wrong("the session", brief(&e), "its fields"))?;
    let too_many = |what: &str, n: usize, most: usize| {
        if n > most { Err(wrong(what, n.to_string(), &format!("{most} at most"))) } else { Ok(()) }
    };
    too_many("sets", content.sets.len(), MAX_SETS)?;
    too_many("labels", content.labels.len(), MAX_COLUMNS)?;
    for column in &content.labels {
        too_many(&format!("labels of {}", shortened(&column.name)), column.labels.len(), MAX_CATEGORIES)?;
    }
    too_many("colours", content.colours.values().map(BTreeMap::len).sum(), MAX_COLOURS)?;
    too_many("hidden", content.hidden.len(), MAX_COLOURS)?;
    Ok(SessionFile { path: path.to_path_buf(), content })
}

impl SessionFile {
    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its data set is.
    pub fn data(&self) -> &Identity {
        &self.content.data
    }

    /// Where its data set is now: where it was, or beside the session. `None` where it is in neither place.
    pub fn find_data(&self) -> Option<DataSource> {
        let Some(path) = &self.content.data.path else { return Some(DataSource::Sample) };
        let name = path.file_name().or_else(|| Path::new(&self.content.data.name).file_name())?;
        let beside = self.path.parent().map(|folder| folder.join(name));
        [Some(path.clone()), beside].into_iter().flatten().find(|p| p.exists()).map(DataSource::File)
    }

    /// How it was looked at.
    pub fn view(&self) -> View {
        let mut view = self.content.view.clone().sound();
        view.hidden.clone_from(&self.content.hidden);
        view
    }

    fn wrong(&self, element: String, found: impl Into<String>, expected: &str) -> Error {
        let remedy = "The session is damaged: choose another, or a backup of it.";
        Error::request(Problem::new(element, found, expected, remedy).in_file(&self.path))
    }

    fn cells(&self, element: &str, text: &str, n_obs: usize, bytes: &mut usize) -> Result<CellSet> {
        if !text.is_empty() {
            *bytes = bytes.saturating_add(n_obs / 8);
        }
        if *bytes > MAX_SET_BYTES {
            return Err(self.wrong(
                element.to_owned(),
                "more cells than fit in 2 GB",
                "fewer or smaller sets",
            ));
        }
        decode(text, n_obs).map_err(|found| self.wrong(element.to_owned(), found, "cells of this data set"))
    }

    fn name(&self, element: &str, name: &str, taken: &mut BTreeSet<String>) -> Result<String> {
        match usable_name(name, "entry") {
            Ok(usable) if usable == name => {}
            Ok(_) => return Err(self.wrong(element.to_owned(), "a name with blanks around it", "a name")),
            Err(why) => return Err(self.wrong(element.to_owned(), why.trim_end_matches('.'), "a name")),
        }
        if !taken.insert(name.to_owned()) {
            return Err(self.wrong(element.to_owned(), format!("the name {name} twice"), "each name once"));
        }
        Ok(name.to_owned())
    }

    /// What the user made of the data set, whose identity is `data`.
    ///
    /// # Errors
    /// [`Error::Request`] where it is another data set, or something in the session is wrong.
    pub fn document(&self, data: &Identity) -> Result<Document> {
        let of = &self.content.data;
        if !of.has_cells_of(data) {
            let found = if of.n_obs == data.n_obs {
                format!("{} with other cells", data.name)
            } else {
                format!("{} with {} cells", data.name, data.n_obs)
            };
            let expected = format!("{} with {} cells", shortened(&of.name), of.n_obs);
            let remedy = "Open the data file that the session was saved with.";
            return Err(Error::request(Problem::new("data", found, expected, remedy).in_file(&self.path)));
        }
        let n_obs = data.n_obs as usize;
        let mut bytes = 0;
        let current = Arc::new(self.cells("selected", &self.content.selected, n_obs, &mut bytes)?);
        let mut taken = BTreeSet::new();
        let mut named = Vec::new();
        for (i, set) in self.content.sets.iter().enumerate() {
            let element = format!("sets/{i}");
            let name = self.name(&element, &set.name, &mut taken)?;
            let cells = Arc::new(self.cells(&element, &set.cells, n_obs, &mut bytes)?);
            named.push(NamedSet { name, cells });
        }
        let mut labels = Vec::new();
        let mut taken = BTreeSet::new();
        for (i, column) in self.content.labels.iter().enumerate() {
            labels.push(Arc::new(self.column(i, column, n_obs, &mut taken, &mut bytes)?));
        }
        let mut colours = BTreeMap::new();
        for (column, of) in &self.content.colours {
            let mut chosen = BTreeMap::new();
            for (category, colour) in of {
                let element = format!("colours/{}", shortened(column));
                let colour = colour_of(colour)
                    .ok_or_else(|| self.wrong(element, shortened(colour), "a colour as #1f77b4"))?;
                chosen.insert(category.clone(), colour);
            }
            if !chosen.is_empty() {
                colours.insert(column.clone(), chosen);
            }
        }
        Ok(Document { sets: Sets { current, named }, labels, colours: Arc::new(colours) })
    }

    fn column(
        &self,
        number: usize,
        column: &ColumnContent,
        n_obs: usize,
        taken: &mut BTreeSet<String>,
        bytes: &mut usize,
    ) -> Result<LabelColumn> {
        let name = self.name(&format!("labels/{number}"), &column.name, taken)?;
        let none = Arc::new(CellSet::none(n_obs));
        let mut labelled = CellSet::none(n_obs);
        let mut names = BTreeSet::from([UNASSIGNED.to_owned()]);
        let mut categories = Vec::new();
        for (i, label) in column.labels.iter().enumerate() {
            let element = format!("labels/{number}/{i}");
            let name = self.name(&element, &label.name, &mut names)?;
            let colour = colour_of(&label.colour).ok_or_else(|| {
                self.wrong(element.clone(), shortened(&label.colour), "a colour as #1f77b4")
            })?;
            if let Some(term) = label.term.as_deref().filter(|term| !is_term(term)) {
                return Err(self.wrong(element, shortened(term), "a term as CL:0000084"));
            }
            let cells = self.cells(&element, &label.cells, n_obs, bytes)?;
            if !labelled.intersection(&cells).is_empty() {
                return Err(self.wrong(element, "a cell that has another label already", "one label a cell"));
            }
            labelled = labelled.union(&cells);
            let cells = if cells.is_empty() { none.clone() } else { Arc::new(cells) };
            categories.push(LabelCategory { name, colour, term: label.term.clone(), cells });
        }
        Ok(LabelColumn { name, categories })
    }
}

/// Whether `text` has the form of an id of an OBO ontology, as `CL:0000084`.
fn is_term(text: &str) -> bool {
    text.split_once(':').is_some_and(|(prefix, number)| {
        (2..=8).contains(&prefix.len())
            && prefix.bytes().all(|b| b.is_ascii_uppercase())
            && number.len() == 7
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::super::document::Edit;
    use super::super::map::Camera;
    use super::super::state::ColourBy;
    use super::*;
    use proptest::prelude::*;

    fn identity(n_obs: usize) -> Identity {
        Identity {
            name: "a.h5ad".into(),
            path: Some("folder/a.h5ad".into()),
            bytes: Some(12),
            n_obs: n_obs as u64,
            obs_index_sha256: "ab".repeat(32),
        }
    }

    fn some(n_obs: usize, cells: &[Vec<usize>]) -> Document {
        let mut document = Document::new(n_obs);
        document.apply(&Edit::NewColumn("type".into())).unwrap();
        let set = |cells: &Vec<usize>| Arc::new(CellSet::from_cells(n_obs, cells.iter().copied()));
        for (i, chosen) in cells.iter().enumerate() {
            let select = Edit::Select {
                what: "x".into(),
                cells: set(chosen),
                combine: super::super::Combine::Replace,
            };
            document.apply(&select).unwrap();
            document.apply(&Edit::SaveSet(format!("set {i}"))).unwrap();
            let term = (i % 2 == 0).then(|| "CL:0000084".to_owned());
            document.apply(&Edit::NewCategory { column: 0, name: format!("é {i}"), term }).unwrap();
            // Empty sets cannot be assigned.
            let _ = document.apply(&Edit::Assign { column: 0, category: Some(i) });
        }
        let colour =
            Edit::ColourCategory { column: "louvain".into(), category: "0".into(), colour: Some([1, 2, 3]) };
        document.apply(&colour).unwrap();
        document
    }

    fn view() -> View {
        View {
            colour_by: ColourBy::Labels("type".into()),
            embedding: "X_umap".into(),
            camera: Some(Camera { centre: [1.5, -2.0], points_per_unit: 31.0 }),
            hidden: BTreeSet::from([1, 3]),
            ..View::default()
        }
    }

    fn there_and_back(n_obs: usize, document: &Document) -> (Document, View) {
        let text = to_text(identity(n_obs), document, &view());
        let session = parse(text.as_bytes(), Path::new("s.cell2text.json")).unwrap();
        (session.document(&identity(n_obs)).unwrap(), session.view())
    }

    proptest! {
        #[test]
        fn what_is_saved_is_what_is_opened(
            n_obs in 1..400usize,
            cells in prop::collection::vec(prop::collection::vec(0..400usize, 0..200), 0..5),
        ) {
            let document = some(n_obs, &cells);
            prop_assert_eq!(there_and_back(n_obs, &document), (document, view()));
        }

        #[test]
        fn a_damaged_session_is_refused_or_read_and_never_worse(
            at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()
        ) {
            let mut text = to_text(identity(90), &some(90, &[vec![1, 2, 3], vec![70]]), &view()).into_bytes();
            let at = at.index(text.len());
            if cut { text.truncate(at) } else { text[at] = byte }
            if let Ok(session) = parse(&text, Path::new("s")) {
                let _ = session.view();
                if let Err(error) = session.document(&identity(90)) {
                    prop_assert!(error.to_string().len() < 600, "{}", error);
                }
            }
        }
    }

    /// The session with `from` replaced by `to`.
    fn changed(from: &str, to: &str) -> String {
        let text = to_text(identity(90), &some(90, &[vec![1, 2, 3], vec![70]]), &view());
        assert!(text.contains(from), "{text}");
        text.replacen(from, to, 1)
    }

    #[test]
    fn hostile_sessions_are_refused_with_the_element_that_is_wrong() {
        let open = |text: &str| {
            parse(text.as_bytes(), Path::new("s.cell2text.json")).and_then(|s| s.document(&identity(90)))
        };
        assert!(open(&changed("runs 1 3", "runs 1 3")).is_ok());
        for (from, to, words) in [
            ("runs 1 3", "runs 1 9999999999999999999999", "the number"),
            ("runs 1 3", "runs 18446744073709551615 2", "too long"),
            ("runs 1 3", "runs 80 11", "cell 90, but there are 90 cells"),
            ("runs 1 3", "runs 1", "without a length"),
            ("runs 1 3", "runs -1 3", "the number"),
            ("runs 1 3", "dots 1 3", "dots"),
            ("runs 1 3", "bits 00", "2 digits for 90 cells"),
            ("runs 1 3", "bits 0000000000000000ffffffffffffffff", "beyond the last"),
            ("\"set 0\"", "\"set 1\"", "twice"),
            ("\"set 0\"", "\"NA\"", "missing value"),
            ("\"é 0\"", "\"unassigned\"", "twice"),
            ("\"CL:0000084\"", "\"javascript:1\"", "CL:0000084"),
            ("#010203", "red", "colour"),
            ("\"version\": 1", "\"version\": 2", "newer Cell2Text"),
            ("\"version\": 1", "\"version\": -1", "no version"),
            ("cell2text session", "another", "another"),
            ("\"n_obs\": 90", "\"n_obs\": 18446744073709551615", "90 cells"),
            ("\"n_obs\": 90", "\"n_obs\": 1e99", "n"),
            ("31.0", "1e999", "out of range"),
            ("abab", "cdcd", "other cells"),
        ] {
            let error = open(&changed(from, to)).expect_err(to).to_string();
            assert!(error.contains(words) && error.starts_with("s.cell2text.json"), "{to}: {error}");
        }
        // A second label for a cell that has one.
        let text = changed("runs 70 1", "runs 70 1");
        let at = text.rfind("runs 70 1").unwrap();
        let twice = format!("{}runs 2 1{}", &text[..at], &text[at + 9..]);
        assert!(open(&twice).unwrap_err().to_string().contains("one label a cell"));
        for text in ["", "[]", "{}", "null", "\u{feff}{}", &"[".repeat(100_000)] {
            assert!(open(text).is_err());
        }
        assert!(parse(&[0xff, 0xfe, 0], Path::new("s")).is_err());
        let many = format!("[{}]", vec![r#"{"name": "x", "cells": ""}"#; MAX_SETS + 1].join(","));
        let flooded = changed("\"sets\": [", &format!("\"sets\": {many}, \"was\": ["));
        assert!(open(&flooded).unwrap_err().to_string().contains("2000 at most"));
    }

    #[test]
    fn a_camera_that_shows_nothing_is_not_taken() {
        let text = changed("31.0", "-31.0");
        let session = parse(text.as_bytes(), Path::new("s")).unwrap();
        assert_eq!(session.view().camera, None);
    }

    #[test]
    fn the_data_are_found_where_they_were_or_beside_the_session() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.cell2text.json");
        let session = |data: Identity| {
            std::fs::write(&path, to_text(data, &Document::new(3), &View::default())).unwrap();
            read(&path).unwrap().find_data()
        };
        let gone = Identity { path: Some(folder.path().join("far/a.h5ad")), ..identity(3) };
        assert_eq!(session(gone.clone()), None);
        let beside = folder.path().join("a.h5ad");
        std::fs::write(&beside, "").unwrap();
        assert_eq!(session(gone), Some(DataSource::File(beside.clone())));
        assert_eq!(
            session(Identity { path: Some(beside.clone()), ..identity(3) }),
            Some(DataSource::File(beside))
        );
        assert_eq!(session(Identity { path: None, ..identity(3) }), Some(DataSource::Sample));
    }
}
