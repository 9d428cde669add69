//! Where the rows of a table come from: the input file, the model, the settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::anndata::{MatrixChoice, files_of};
use crate::describe::GenerationSettings;
use crate::files::{sha256_hex, sha256_of_file};
use crate::progress::Watch;
use crate::{Error, Result};

/// What made a description, other than the cell: rows of one table may come from different runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The matrix that was read.
    pub matrix: MatrixChoice,
    /// How text was generated.
    pub settings: GenerationSettings,
    /// Short hash of the model's weights.
    pub model_id: String,
    /// Hashes and versions of the model and its parts.
    pub model: Value,
    /// The compute device, as shown.
    pub device: String,
}

impl Run {
    /// Everything that decides the text of a description, given the cell's data. The device is left out: its
    /// name may change without the text.
    fn deciding(&self) -> Value {
        let mut model = self.model.clone();
        if let Some(model) = model.as_object_mut() {
            model.remove("device");
        }
        json!({
            "matrix": self.matrix.key.to_string(),
            "matrix_scale": format!("{:?}", self.matrix.scale),
            "generation": self.settings,
            "model_id": self.model_id,
            "model": model,
            "program": crate_version(),
        })
    }

    /// A short name of this run on that input: the same input, model, matrix, settings and program version give
    /// the same name. 12 hexadecimal digits.
    pub fn id(&self, input: &InputFile) -> String {
        let mut id = sha256_hex(format!("{} {}", input.sha256, self.deciding()).as_bytes());
        id.truncate(12);
        id
    }

    /// What the provenance file says of this run.
    pub fn describe(&self) -> Value {
        let mut value = self.deciding();
        if let Some(object) = value.as_object_mut() {
            object.insert("matrix_reason".to_owned(), json!(self.matrix.reason));
            object.insert("matrix_chosen_by_user".to_owned(), json!(self.matrix.chosen_by_user));
            object.insert("device".to_owned(), json!(self.device));
        }
        value
    }
}

/// The version of this program.
pub(super) fn crate_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The file whose cells were described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it lay; `None` for the built-in sample.
    pub path: Option<PathBuf>,
    /// SHA-256 of its bytes, in hexadecimal; of a 10x folder, that of the hashes of matrix, barcodes and features.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last changed, UTC.
    pub modified: Option<String>,
}

impl InputFile {
    /// Hashes the file at `path`, block by block.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::Cancelled`] when stopped.
    pub fn hash(path: &Path, watch: &Watch) -> Result<Self> {
        let meta = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let files = files_of(path)?;
        let (mut hashes, mut bytes) = (Vec::new(), 0);
        for file in &files {
            hashes.push(sha256_of_file(file, watch)?);
            bytes += std::fs::metadata(file).map_err(|e| Error::io("read", file, e))?.len();
        }
        // Of several files, the hash of their hashes.
        let sha256 = match hashes.as_slice() {
            [one] => one.clone(),
            several => sha256_hex(several.join("\n").as_bytes()),
        };
        Ok(Self { path: Some(path.to_path_buf()), sha256, bytes, modified: meta.modified().ok().map(utc) })
    }

    /// The one file at `path`, whose hash is known.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be looked at.
    pub fn hashed(path: &Path, sha256: String) -> Result<Self> {
        let meta = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let modified = meta.modified().ok().map(utc);
        Ok(Self { path: Some(path.to_path_buf()), sha256, bytes: meta.len(), modified })
    }

    /// The built-in sample.
    pub fn sample(bytes: &[u8]) -> Self {
        Self { path: None, sha256: sha256_hex(bytes), bytes: bytes.len() as u64, modified: None }
    }

    /// What the provenance file says of the input.
    pub fn describe(&self) -> Value {
        json!({
            "file": self.path.as_ref().map_or_else(|| "built-in sample".to_owned(), |p| p.display().to_string()),
            "sha256": self.sha256,
            "bytes": self.bytes,
            "modified": self.modified,
        })
    }
}

/// The provenance file of a table: `cells.csv` has `cells.provenance.json` beside it.
pub fn provenance_path(csv: &Path) -> PathBuf {
    csv.with_extension("provenance.json")
}

/// A moment as `2026-11-21T09:30:00Z`. Days are turned into a date by the Gregorian calendar's cycle of 400 years
/// (146,097 days), counted from 1 March of year 0 so that leap days fall at the end of a year.
pub(super) fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let (cycle, day_of_cycle) = (days / 146_097, days % 146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The runs met so far, by name.
#[derive(Debug, Default)]
pub(super) struct Runs {
    by_id: BTreeMap<String, Arc<Run>>,
    known: Vec<(*const Run, String)>,
}

impl Runs {
    /// The name of a run on this input. A run is shared by many rows; its name is computed once.
    pub(super) fn id(&mut self, run: &Arc<Run>, input: &InputFile) -> String {
        let address = Arc::as_ptr(run);
        if let Some((_, id)) = self.known.iter().find(|(known, _)| *known == address) {
            return id.clone();
        }
        let id = run.id(input);
        self.by_id.insert(id.clone(), run.clone());
        self.known.push((address, id.clone()));
        id
    }

    /// What the provenance says of them.
    pub(super) fn describe(&self) -> Map<String, Value> {
        self.by_id.iter().map(|(id, run)| (id.clone(), run.describe())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_dates() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        // References: `date -u -d @N +%FT%TZ`.
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(at(1_767_225_599), "2025-12-31T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn a_file_is_hashed_as_sha256sum_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, b"abc").unwrap();
        let input = InputFile::hash(&path, &Watch::silent()).unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(input.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(input.bytes, 3);
        assert_eq!(InputFile::sample(b"abc").sha256, input.sha256);
    }

    #[test]
    fn the_provenance_lies_beside_the_table() {
        assert_eq!(provenance_path(Path::new("out/cells.csv")), Path::new("out/cells.provenance.json"));
        assert_eq!(provenance_path(Path::new("cells")), Path::new("cells.provenance.json"));
    }
}
