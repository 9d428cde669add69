//! A look through a whole file: what opens, what does not, and what its user should know before trusting it.

use std::path::Path;

use super::command::DataSource;
use super::dataset::{self, finding, in_order_of_weight};
use super::event::{Dataset, Finding};
use crate::Result;
use crate::anndata::{AnnData, Column, Matrix, MatrixKey, SparseRow, Values};
use crate::progress::Watch;

/// Cells looked at, spread over the file, where not all are asked for.
const SOME_CELLS: usize = 2_000;
/// Rows read at a time.
const BLOCK_ROWS: usize = 256;
/// Below this many genes a cell says little of its kind.
const FEW_GENES: usize = 200;

/// What the look gave.
#[derive(Debug)]
pub struct Examined {
    /// The file as it opens, with the findings that opening gave.
    pub dataset: Dataset,
    /// All findings, serious ones first.
    pub findings: Vec<Finding>,
    /// Every matrix that can be read.
    pub matrices: Vec<ExaminedMatrix>,
}

/// What was seen of one matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct ExaminedMatrix {
    /// Which one.
    pub key: MatrixKey,
    /// Cells and genes.
    pub shape: (usize, usize),
    /// Stored values.
    pub n_stored: u64,
    /// Cells whose values were read.
    pub cells_read: usize,
}

/// Opens `path` and looks at everything that the program would use: obs, var, embeddings, colours, and of every
/// matrix some cells (all, where `thorough`) and one gene.
///
/// # Errors
/// As [`AnnData::open`], where the file cannot be opened at all; [`crate::Error::Cancelled`]. Whatever is wrong with a
/// part of it is a finding.
pub fn examine(path: &Path, thorough: bool, watch: &Watch) -> Result<Examined> {
    let anndata = AnnData::open(path, watch)?;
    let choice = anndata.choose_matrix()?;
    let source = DataSource::File(path.to_owned());
    let name = dataset::short_name(&source);
    let dataset = dataset::assemble(source, name, &anndata, choice, watch)?;
    let mut findings = dataset.findings.clone();
    findings.extend(dataset.obs.columns.iter().filter_map(missing_values));
    findings.extend(dataset.obs.columns.iter().filter_map(|column| colours(&dataset, column)));
    findings.extend(antibodies(&anndata, &dataset.matrix.key));
    let mut matrices = Vec::new();
    for key in anndata.matrices() {
        match look_at(&anndata, key, *key == dataset.matrix.key, thorough, watch) {
            Ok((matrix, found)) => {
                matrices.push(matrix);
                findings.extend(found);
            }
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => {
                let serious = *key == dataset.matrix.key;
                findings.push(finding(&key.to_string(), format!("It cannot be read: {error}"), serious));
            }
        }
    }
    Ok(Examined { findings: in_order_of_weight(findings), dataset, matrices })
}

fn missing_values(column: &Column) -> Option<Finding> {
    let missing = column.missing();
    (missing > 0).then(|| {
        let values = if missing == 1 { "missing value" } else { "missing values" };
        let message = format!("{missing} {values} of {}; shown as a group of their own.", column.len());
        finding(&format!("obs/{}", column.name), message, false)
    })
}

fn colours(dataset: &Dataset, column: &Column) -> Option<Finding> {
    let colours = dataset.category_colours.get(&column.name)?;
    let Values::Categorical { categories, .. } = &column.values else { return None };
    (colours.len() != categories.len()).then(|| {
        let message = format!(
            "{} colours for {} categories of obs/{}: those without one get a colour of the program's own.",
            colours.len(),
            categories.len(),
            column.name
        );
        finding(&format!("uns/{}_colors", column.name), message, false)
    })
}

/// Rows of var that are no genes, as files with protein counts have them.
fn antibodies(anndata: &AnnData, key: &MatrixKey) -> Option<Finding> {
    let column = anndata.var(key).columns.iter().find(|column| {
        ["feature_types", "feature_type"].iter().any(|name| column.name.eq_ignore_ascii_case(name))
    })?;
    let is_other = |row: &usize| {
        let kind = column.text(*row).unwrap_or_default().to_lowercase();
        ["antibody", "protein", "hash", "crispr", "custom", "peaks"].iter().any(|word| kind.contains(word))
    };
    let others = (0..column.len()).filter(is_other).count();
    (others > 0).then(|| {
        let message = format!(
            "{others} of {} rows are no genes (antibody or other features). They have no gene tokens and are left out \
             of descriptions, but count in a cell's total: open a file of gene expression alone for exact ranks.",
            column.len()
        );
        finding(&format!("var/{}", column.name), message, false)
    })
}

/// Reads cells and one gene of a matrix.
fn look_at(
    anndata: &AnnData,
    key: &MatrixKey,
    is_chosen: bool,
    thorough: bool,
    watch: &Watch,
) -> Result<(ExaminedMatrix, Vec<Finding>)> {
    let matrix = anndata.matrix(key)?;
    let (n_rows, n_cols) = (matrix.n_rows(), matrix.n_cols());
    let mut seen = Seen::default();
    // Cells at random cost a pass each in a large matrix by genes: there only the first are read.
    let blocks = match (thorough || n_rows <= SOME_CELLS, matrix.rows_are_cheap()) {
        (true, _) => n_rows.div_ceil(BLOCK_ROWS),
        (false, true) => SOME_CELLS / BLOCK_ROWS,
        (false, false) => 1,
    };
    let stride =
        if blocks > 1 { (n_rows.saturating_sub(BLOCK_ROWS)) as f64 / (blocks - 1) as f64 } else { 0.0 };
    let all = blocks * BLOCK_ROWS >= n_rows;
    for block in 0..blocks {
        watch.step(&format!("Looking at {key}"), block as u64, Some(blocks as u64))?;
        let start = if all { block * BLOCK_ROWS } else { (block as f64 * stride) as usize };
        let rows = matrix.rows_watched(start..n_rows.min(start + BLOCK_ROWS), watch)?;
        rows.iter().for_each(|row| seen.take(row));
    }
    if n_cols > 0 {
        matrix.column(n_cols / 2, watch)?;
    }
    let examined = ExaminedMatrix {
        key: key.clone(),
        shape: (n_rows, n_cols),
        n_stored: matrix.n_stored(),
        cells_read: seen.cells,
    };
    Ok((examined, seen.findings(&matrix, is_chosen)))
}

/// What the cells read had in common.
#[derive(Default)]
struct Seen {
    cells: usize,
    empty: usize,
    poor: usize,
    negative: usize,
}

impl Seen {
    fn take(&mut self, row: &SparseRow) {
        self.cells += 1;
        self.empty += usize::from(row.is_empty());
        self.poor += usize::from(!row.is_empty() && row.len() < FEW_GENES);
        self.negative += usize::from(row.values.iter().any(|v| *v < 0.0));
    }

    fn findings(&self, matrix: &Matrix, is_chosen: bool) -> Vec<Finding> {
        let element = matrix.key().to_string();
        let of = format!("of {} cells read", self.cells);
        let mut findings = Vec::new();
        if matrix.non_finite() > 0 {
            let message = format!(
                "{} values are NaN or infinite; they count as missing in maps and are left out of descriptions.",
                matrix.non_finite()
            );
            findings.push(finding(&element, message, false));
        }
        if self.empty > 0 {
            let message = format!("{} {of} hold no value at all: nothing can be said of them.", self.empty);
            findings.push(finding(&element, message, self.empty == self.cells));
        }
        // A matrix of few genes is told of elsewhere.
        if is_chosen && self.poor * 2 > self.cells && matrix.n_cols() >= 10 * FEW_GENES {
            let message = format!(
                "{} {of} have fewer than {FEW_GENES} genes: their descriptions rest on little. Drop such cells, or \
                 read them with care.",
                self.poor
            );
            findings.push(finding(&element, message, false));
        }
        if is_chosen && self.negative > 0 {
            let message = format!("{} {of} have values below zero, so these are no counts.", self.negative);
            findings.push(finding(&element, message, false));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::tests::fixtures::{Fixture, put_texts};
    use crate::test_support::shared_file;

    fn messages(examined: &Examined) -> Vec<String> {
        examined.findings.iter().map(|f| format!("{}: {}", f.element, f.message)).collect()
    }

    #[test]
    fn oddities_are_told_and_the_rest_opens() {
        let fixture = Fixture::new(4, 3);
        let obs = fixture.obs();
        obs.unlink("_index").unwrap();
        put_texts(&obs, "_index", &["a", "b", "a", "c"]);
        let var = fixture.file.group("var").unwrap();
        put_texts(&var, "feature_types", &["Gene Expression", "Antibody Capture", "Gene Expression"]);
        let values = [1.0f32, 0.0, 2.0, f32::NAN, 1.0, 0.0, 0.0, 0.0, 0.0, 3.0, 1.0, 1.0];
        fixture.dense("X", [4, 3], &values, None);
        let written = fixture.finish();
        let examined = examine(&written.path, false, &Watch::silent()).unwrap();
        let found = messages(&examined).join("\n");
        for words in [
            "1 names of cells occur more than once",
            "X: 1 values are NaN or infinite",
            "X: 1 of 4 cells read hold no value",
            "var/feature_types: 1 of 3 rows are no genes",
        ] {
            assert!(found.contains(words), "{words}\n{found}");
        }
        assert_eq!(examined.matrices[0].shape, (4, 3));
    }

    #[test]
    fn every_odd_file_is_looked_through_or_refused_with_a_remedy() {
        let folder =
            std::env::var_os("CELL2TEXT_ZOO").map(Into::into).or_else(|| shared_file("data/h5ad_zoo"));
        let Some(folder) = folder else { return };
        let (mut opened, mut refused) = (0, 0);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e == "tsv" || e == "md") {
                continue;
            }
            match examine(&path, true, &Watch::silent()) {
                Ok(examined) => {
                    opened += 1;
                    assert!(examined.findings.iter().all(|f| !f.message.is_empty()), "{}", path.display());
                }
                Err(error) => {
                    refused += 1;
                    let problem = error.problem();
                    let told = problem.is_some_and(|p| !p.remedy.is_empty() && !p.element.is_empty());
                    assert!(told, "{}: {error}", path.display());
                }
            }
        }
        assert!(opened >= 80 && refused >= 3, "{opened} opened, {refused} refused");
    }
}
