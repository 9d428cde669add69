//! The table of described cells: one CSV that spreadsheets, pandas and R read alike, and its provenance.
//!
//! One header row; the first column is the index of obs under its own name; text is always quoted (RFC 4180),
//! numbers never; UTF-8; lines end in LF. A label is never a word that pandas takes for a missing value.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::entries::{COLUMNS, Entry, entries, meanings_of_flags};
use super::provenance::{InputFile, Run, Runs, crate_version, provenance_path, utc};
use crate::anndata::is_part_of;
use crate::describe::Description;
use crate::error::Problem;
use crate::ontology::Ontology;
use crate::progress::Watch;
use crate::{Error, Result};

/// One described cell and the run that described it.
#[derive(Debug, Clone)]
pub struct Annotation {
    /// The description.
    pub description: Arc<Description>,
    /// What made it.
    pub run: Arc<Run>,
}

/// What [`write_csv`] writes.
#[derive(Debug)]
pub struct Export<'a> {
    /// The name of obs's index.
    pub index_name: &'a str,
    /// Cell names, `[n_obs]`.
    pub names: &'a [String],
    /// The described cells, by row of obs.
    pub annotations: &'a BTreeMap<usize, Annotation>,
    /// Flags that hold for every row, as "species_mismatch".
    pub flags: &'a [&'a str],
    /// The file they come from.
    pub input: &'a InputFile,
    /// What else the provenance should say of the data: cells, genes known, findings.
    pub data: Value,
}

/// Writes the table to `path` and its provenance beside it, each atomically: a reader sees the old file or the
/// whole new one. Returns the number of data rows.
///
/// # Errors
/// [`Error::Request`] where `path` is the input file itself or a folder; [`Error::Io`] where writing fails;
/// [`Error::Cancelled`] when stopped, and then nothing is replaced.
pub fn write_csv(path: &Path, export: &Export<'_>, watch: &Watch) -> Result<usize> {
    refuse_bad_target(path, export.input)?;
    let ontology = Ontology::builtin()?;
    let rows = export.annotations.len();
    let mut draft = Draft::new(path)?;
    let mut runs = Runs::default();
    let header = std::iter::once(quoted(index_label(export.index_name))).chain(COLUMNS.map(quoted));
    draft.write(record(header).as_bytes())?;
    for (done, (&cell, annotation)) in export.annotations.iter().enumerate() {
        if done % 1024 == 0 {
            watch.step("Writing the table", done as u64, Some(rows as u64))?;
        }
        let name = export.names.get(cell).ok_or_else(|| {
            Error::request(Problem::new(
                format!("cell {cell}"),
                "a described cell that the data set does not have",
                format!("a row below {}", export.names.len()),
                "Describe the cells again.",
            ))
        })?;
        let run_id = runs.id(&annotation.run, export.input);
        let row = row(name, annotation, export.flags, &run_id, ontology);
        draft.write(record(row).as_bytes())?;
    }
    let mut beside = Draft::new(&provenance_path(path))?;
    let provenance = provenance(path, export, &draft.sha256(), &runs);
    beside.write(format!("{provenance:#}\n").as_bytes())?;
    watch.check()?;
    // The table comes last: where it stands, its provenance stands too.
    beside.finish()?;
    draft.finish()?;
    Ok(rows)
}

/// The heading of a column of cell names: obs's own name for its index. anndata writes `_index` where it has none.
pub fn index_label(name: &str) -> &str {
    if name.is_empty() || name == "_index" { "index" } else { name }
}

fn row(
    name: &str,
    annotation: &Annotation,
    data_flags: &[&str],
    run_id: &str,
    ontology: &Ontology,
) -> impl Iterator<Item = String> {
    let entries = entries(annotation, data_flags, run_id, ontology);
    std::iter::once(quoted(name)).chain(entries.map(|entry| match entry {
        Entry::Text(text) => quoted(&text),
        Entry::Score(Some(score)) => number(score),
        Entry::Score(None) => String::new(),
    }))
}

/// A finite number with four decimals, else nothing.
fn number(value: f32) -> String {
    if value.is_finite() { format!("{value:.4}") } else { String::new() }
}

/// A text field. It is quoted whatever it holds, so that a cell called `1e5` or `nan` stays text for readers that
/// look at the quotes. NUL, which no CSV reader agrees on, is dropped.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\0', "").replace('"', "\"\""))
}

pub(super) fn record(fields: impl Iterator<Item = String>) -> String {
    let mut line = fields.collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

fn provenance(path: &Path, export: &Export<'_>, sha256: &str, runs: &Runs) -> Value {
    let command = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>();
    json!({
        "format": "cell2text-provenance-1",
        "program": { "name": "cell2text", "version": crate_version() },
        "created": utc(SystemTime::now()),
        "command": command,
        "table": {
            "file": path.file_name().map(|name| name.to_string_lossy().into_owned()),
            "sha256": sha256,
            "rows": export.annotations.len(),
            "flags": meanings_of_flags(),
        },
        "input": export.input.describe(),
        "data": export.data,
        "runs": runs.describe(),
    })
}

pub(super) fn refuse_bad_target(path: &Path, input: &InputFile) -> Result<()> {
    let refuse = |found: &str, remedy: &str| {
        Err(Error::request(
            Problem::new("the file to write", found, "a new file, or an older table to replace", remedy)
                .in_file(path),
        ))
    };
    if path.is_dir() {
        return refuse("a folder", "Give a file name, as cells.csv.");
    }
    if let Some(source) = &input.path
        && (is_part_of(path, source) || is_part_of(&provenance_path(path), source))
    {
        return refuse(
            "the very file that was described",
            "Your data are never overwritten: choose another name.",
        );
    }
    if provenance_path(path) == path {
        return refuse("the name of a provenance file", "Choose a name that ends in .csv.");
    }
    Ok(())
}

/// A file being written beside the one that it will replace.
pub(super) struct Draft {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    hash: Sha256,
}

impl Draft {
    pub(super) fn new(path: &Path) -> Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".cell2text-");
        #[cfg(unix)]
        {
            // A temporary file is private by default; a table is as readable as any new file (the umask holds).
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(|e| Error::io("write the table", path, e))?;
        Ok(Self { path: path.to_path_buf(), file: BufWriter::new(file), hash: Sha256::new() })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(|e| Error::io("write the table", &self.path, e))
    }

    pub(super) fn sha256(&self) -> String {
        format!("{:x}", self.hash.clone().finalize())
    }

    /// Puts the file in its place in one step.
    pub(super) fn finish(self) -> Result<()> {
        let Self { path, file, .. } = self;
        let failed = |source| Error::io("write the table", &path, source);
        let file = file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|e| failed(e.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::{MatrixChoice, MatrixKey, Scale};
    use crate::describe::{Claim, ClaimKind, EvidenceGene, GenerationSettings, OtherType};

    fn run(seed: u64) -> Arc<Run> {
        Arc::new(Run {
            matrix: MatrixChoice {
                key: MatrixKey::X,
                scale: Scale::Counts,
                reason: "whole numbers".to_owned(),
                chosen_by_user: false,
            },
            settings: GenerationSettings { seed, ..Default::default() },
            model_id: "m0".to_owned(),
            model: json!({ "weights_sha256": "00" }),
            device: "CPU".to_owned(),
        })
    }

    fn claim(kind: ClaimKind, value: &str, term: Option<&str>, evidence: &[&str]) -> Claim {
        Claim {
            kind,
            value: value.to_owned(),
            term: term.map(str::to_owned),
            span: 0..0,
            probability: 0.8125,
            evidence: evidence
                .iter()
                .zip(1..)
                .map(|(symbol, rank)| EvidenceGene { symbol: (*symbol).to_owned(), rank })
                .collect(),
            supported: (!evidence.is_empty()).then_some(true),
        }
    }

    fn annotation(cell: usize, text: &str, claims: Vec<Claim>, run: &Arc<Run>) -> (usize, Annotation) {
        let description = Description {
            cell,
            text: text.to_owned(),
            claims,
            well_formed: true,
            n_tokens: 9,
            n_genes_read: 800,
            n_context_cells: 0,
            duration_secs: 0.1,
            around: None,
            type_weights: Vec::new(),
            other_types: Vec::new(),
        };
        (cell, Annotation { description: Arc::new(description), run: run.clone() })
    }

    fn write(folder: &Path, annotations: &BTreeMap<usize, Annotation>) -> Result<(String, Value)> {
        let names = ["AAAC-1", "say \"hi\"", "1e5"].map(str::to_owned);
        let input = InputFile { path: Some(folder.join("in.h5ad")), ..InputFile::sample(b"abc") };
        let export = Export {
            index_name: "_index",
            names: &names,
            annotations,
            flags: &["species_mismatch"],
            input: &input,
            data: json!({ "n_obs": 3 }),
        };
        let path = folder.join("out.csv");
        assert_eq!(write_csv(&path, &export, &Watch::silent())?, annotations.len());
        let provenance = serde_json::from_slice(&std::fs::read(provenance_path(&path)).unwrap()).unwrap();
        Ok((std::fs::read_to_string(path).unwrap(), provenance))
    }

    #[test]
    fn rows_are_quoted_traced_and_free_of_missing_words() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(42);
        let claims = vec![
            claim(ClaimKind::Pathway, "interferon response", Some("HALLMARK_A"), &["STAT1", "CD14"]),
            claim(ClaimKind::CellType, "Monocytes", Some("CL:0000576"), &["CD14", "LYZ"]),
            claim(ClaimKind::Disease, "None", None, &[]),
            claim(ClaimKind::Tissue, "blood", None, &[]),
        ];
        let odd = vec![claim(ClaimKind::CellType, "thing", None, &[])];
        let (cell, mut monocyte) = annotation(0, "A monocyte.", claims, &run);
        let other = |name: &str, term: Option<&str>, probability| OtherType {
            name: name.to_owned(),
            term: term.map(str::to_owned),
            probability,
        };
        Arc::make_mut(&mut monocyte.description).other_types =
            vec![other("B cells, naive", Some("CL:0000788"), 0.121), other("plasmablast", None, 0.06)];
        let annotations = BTreeMap::from([annotation(2, "line\nbreak, \"q\"", odd, &run), (cell, monocyte)]);
        let (text, provenance) = write(folder.path(), &annotations).unwrap();
        let runs = provenance["runs"].as_object().unwrap();
        let id = runs.keys().next().unwrap();
        assert_eq!(runs.len(), 1);
        assert_eq!(
            text,
            format!(
                "\"index\",{}\n\
                 \"AAAC-1\",\"monocyte\",\"CL:0000576\",0.8125,\"naive B cell (0.12)|plasmablast (0.06)\",\
                 \"blood\",\"unknown\",\"unknown\",\"HALLMARK_A\",\
                 \"A monocyte.\",\"CD14|LYZ|STAT1\",\"species_mismatch\",\"m0\",\"{id}\"\n\
                 \"1e5\",\"unassigned\",\"unknown\",0.8125,\"\",\"unknown\",\"unknown\",\"unknown\",\"\",\
                 \"line\nbreak, \"\"q\"\"\",\"\",\"species_mismatch\",\"m0\",\"{id}\"\n",
                COLUMNS.map(quoted).join(",")
            )
        );
        assert_eq!(provenance["table"]["rows"], 2);
        assert_eq!(provenance["table"]["sha256"], json!(crate::files::sha256_hex(text.as_bytes())));
        assert_eq!(provenance["input"]["bytes"], 3);
        assert_eq!(runs[id]["generation"]["seed"], 42);
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 2, "no draft stays behind");
    }

    #[test]
    fn every_setting_that_changes_the_text_changes_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b, again) = (run(42), run(43), run(42));
        let annotations = BTreeMap::from([
            annotation(0, "a", vec![], &a),
            annotation(1, "b", vec![], &b),
            annotation(2, "c", vec![], &again),
        ]);
        let (text, provenance) = write(folder.path(), &annotations).unwrap();
        assert_eq!(provenance["runs"].as_object().unwrap().len(), 2);
        let ids = text.lines().skip(1).map(|line| line.rsplit(',').next().unwrap()).collect::<Vec<_>>();
        assert_eq!(ids[0], ids[2]);
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn the_described_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("in.h5ad");
        std::fs::write(&source, b"abc").unwrap();
        let input = InputFile::hash(&source, &Watch::silent()).unwrap();
        let export = Export {
            index_name: "cell",
            names: &[],
            annotations: &BTreeMap::new(),
            flags: &[],
            input: &input,
            data: Value::Null,
        };
        let indirect = folder.path().join(".").join("in.h5ad");
        let error = write_csv(&indirect, &export, &Watch::silent()).unwrap_err();
        assert!(error.to_string().contains("very file that was described"), "{error}");
        assert_eq!(std::fs::read(&source).unwrap(), b"abc");
        let error = write_csv(folder.path(), &export, &Watch::silent()).unwrap_err();
        assert!(error.to_string().contains("a folder"), "{error}");
    }

    #[test]
    fn a_stopped_export_leaves_the_older_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        std::fs::write(&path, "old").unwrap();
        let run = run(1);
        let annotations = BTreeMap::from([annotation(0, "a", vec![], &run)]);
        let watch = Watch::silent();
        watch.cancel().cancel();
        let input = InputFile::sample(b"abc");
        let names = ["a".to_owned()];
        let export = Export {
            index_name: "cell",
            names: &names,
            annotations: &annotations,
            flags: &[],
            input: &input,
            data: Value::Null,
        };
        assert!(write_csv(&path, &export, &watch).unwrap_err().is_cancelled());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
