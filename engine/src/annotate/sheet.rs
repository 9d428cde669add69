//! Other results as tables: the same CSV and the same provenance beside it as those of described cells.

use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::provenance::{InputFile, crate_version, provenance_path, utc};
use super::table::{Draft, quoted, record, refuse_bad_target};
use crate::Result;
use crate::progress::Watch;

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    /// Text, written in quotes.
    Text(&'a str),
    /// A number, written with seven digits; left empty where it is not finite.
    Number(f64),
}

impl Field<'_> {
    fn text(self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(value) => number(value),
        }
    }
}

/// What [`write_sheet`] writes.
#[derive(Debug)]
pub struct Sheet<'a> {
    /// The names of the columns.
    pub columns: &'a [&'a str],
    /// Rows in all.
    pub rows: usize,
    /// What was computed and how, for the provenance.
    pub analysis: Value,
    /// The file it comes from.
    pub input: &'a InputFile,
    /// What else the provenance should say of the data.
    pub data: Value,
}

/// Writes a table to `path` and its provenance beside it, each atomically. `row` gives the fields of each row by its
/// number. Returns the number of data rows.
///
/// # Errors
/// [`crate::Error::Request`] where `path` is the input file itself or a folder; [`crate::Error::Io`] where writing
/// fails; [`crate::Error::Cancelled`] when stopped, and then nothing is replaced.
pub fn write_sheet<'a>(
    path: &Path,
    sheet: &Sheet<'_>,
    mut row: impl FnMut(usize) -> Vec<Field<'a>>,
    watch: &Watch,
) -> Result<usize> {
    refuse_bad_target(path, sheet.input)?;
    let mut draft = Draft::new(path)?;
    draft.write(record(sheet.columns.iter().map(|name| quoted(name))).as_bytes())?;
    for at in 0..sheet.rows {
        if at % 1024 == 0 {
            watch.step("Writing the table", at as u64, Some(sheet.rows as u64))?;
        }
        draft.write(record(row(at).into_iter().map(Field::text)).as_bytes())?;
    }
    let provenance = json!({
        "format": "cell2text-provenance-1",
        "program": { "name": "cell2text", "version": crate_version() },
        "created": utc(SystemTime::now()),
        "command": std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        "table": {
            "file": path.file_name().map(|name| name.to_string_lossy().into_owned()),
            "sha256": draft.sha256(),
            "rows": sheet.rows,
        },
        "input": sheet.input.describe(),
        "data": sheet.data,
        "analysis": sheet.analysis,
    });
    let mut beside = Draft::new(&provenance_path(path))?;
    beside.write(format!("{provenance:#}\n").as_bytes())?;
    watch.check()?;
    // The table comes last: where it stands, its provenance stands too.
    beside.finish()?;
    draft.finish()?;
    Ok(sheet.rows)
}

/// Seven digits, as `0.25`, `-12.5` or `1.234567e-200`.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    let rounded = format!("{value:.6e}").parse().unwrap_or(value);
    if rounded == 0.0 {
        return "0".to_owned();
    }
    if (1e-4..1e15).contains(&f64::abs(rounded)) { format!("{rounded}") } else { format!("{rounded:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_seven_digits_and_every_reader_knows_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.25, "0.25"),
            (-12.345_678_91, "-12.34568"),
            (1.234_567_89e-200, "1.234568e-200"),
            (2_638.0, "2638"),
            (f64::NAN, ""),
            (f64::INFINITY, ""),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_sheet_has_one_header_and_its_provenance_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("genes.csv");
        let input = InputFile::sample(b"abc");
        let sheet = Sheet {
            columns: &["gene", "score"],
            rows: 2,
            analysis: json!({ "kind": "a test" }),
            input: &input,
            data: Value::Null,
        };
        let row = |at: usize| {
            vec![Field::Text(if at == 0 { "A \"1\"" } else { "NA" }), Field::Number(at as f64 / 8.0)]
        };
        assert_eq!(write_sheet(&path, &sheet, row, &Watch::silent()).unwrap(), 2);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "\"gene\",\"score\"\n\"A \"\"1\"\"\",0\n\"NA\",0.125\n"
        );
        let provenance: Value =
            serde_json::from_slice(&std::fs::read(provenance_path(&path)).unwrap()).unwrap();
        assert_eq!(provenance["analysis"]["kind"], "a test");
        assert_eq!(provenance["table"]["rows"], 2);
        let text = std::fs::read(&path).unwrap();
        assert_eq!(provenance["table"]["sha256"], crate::files::sha256_hex(&text));
    }
}
