//! A first pass over the files: their labels, which cells can be used, their genes. No matrix is read but for the look
//! that tells counts from logarithms.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::labels::{Exclusion, LabelReader, file_name};
use crate::anndata::{AnnData, MatrixKey, Scale};
use crate::error::Problem;
use crate::files::sha256_of_file;
use crate::genes::{GeneTable, ResolvedGenes, Species, resolve_genes};
use crate::progress::Watch;
use crate::{Error, Result};

/// Distinct words, each with its number in the order of first sight.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words {
    words: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Words {
    fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = self.words.len() as u32;
        self.words.push(word.to_owned());
        self.numbers.insert(word.to_owned(), number);
        number
    }

    /// The word of a number.
    pub(super) fn word(&self, number: u32) -> &str {
        self.words.get(number as usize).map_or("", String::as_str)
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    pub(super) fn find(&self, word: &str) -> Option<u32> {
        self.numbers.get(word).copied()
    }
}

/// The usable cells of all files, one entry a cell in the order of files and rows: 28 bytes each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cells {
    pub(super) file: Vec<u32>,
    pub(super) row: Vec<u32>,
    pub(super) cell_type: Vec<u32>,
    pub(super) tissue: Vec<u32>,
    pub(super) disease: Vec<u32>,
    pub(super) donor: Vec<u32>,
    pub(super) stage: Vec<u32>,
}

impl Cells {
    pub(super) fn len(&self) -> usize {
        self.file.len()
    }
}

/// One file, as the report tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Its name.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Cells in it.
    pub cells: u64,
    /// Cells that can be used.
    pub usable: u64,
    /// Cells taken.
    pub taken: u64,
    /// The matrix that counts are read from.
    pub matrix: String,
    /// What its numbers are.
    pub scale: String,
    /// Columns whose gene is known.
    pub genes_known: usize,
    /// Columns left out: their gene is not known.
    pub genes_unknown: usize,
}

/// One file, as the second pass needs it.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) matrix: MatrixKey,
    pub(super) scale: Scale,
    pub(super) report: SourceReport,
}

/// What the first pass found.
#[derive(Debug, Clone, Default)]
pub(super) struct Survey {
    pub(super) files: Vec<SourceFile>,
    pub(super) cells: Cells,
    pub(super) cell_types: Words,
    pub(super) tissues: Words,
    pub(super) diseases: Words,
    pub(super) donors: Words,
    /// Coarse stages of life.
    pub(super) stages: Words,
    /// Ensembl ids of the genes of all files, rising.
    pub(super) genes: Vec<String>,
    pub(super) exclusions: BTreeMap<Exclusion, u64>,
    /// Cells left out by assay.
    pub(super) excluded_assays: BTreeMap<String, u64>,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

/// What is known of a file from an earlier run: hashing terabytes twice would cost hours.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct HashCache {
    /// By path, size and time of the last change.
    pub(super) sha256: BTreeMap<String, String>,
}

impl HashCache {
    fn hash(&mut self, path: &Path, watch: &Watch) -> Result<(String, u64)> {
        let meta = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let changed = meta
            .modified()
            .ok()
            .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok())
            .map_or(0, |d| d.as_nanos());
        let key = format!("{} {} {changed}", path.display(), meta.len());
        let hash = match self.sha256.get(&key) {
            Some(known) => known.clone(),
            None => sha256_of_file(path, watch)?,
        };
        self.sha256.insert(key, hash.clone());
        Ok((hash, meta.len()))
    }
}

/// Rows between two looks at the watch.
const WATCHED_ROWS: usize = 4096;

/// Reads the labels of all `files`. `hashed` is called after each file was hashed, so that the hashes can be kept.
///
/// # Errors
/// [`Error::AnnData`] naming a file that cannot be used, or when no cell can be; [`Error::Request`] when a file is
/// named twice; [`Error::Cancelled`].
pub(super) fn survey(
    files: &[PathBuf],
    cache: &mut HashCache,
    mut hashed: impl FnMut(&HashCache) -> Result<()>,
    watch: &Watch,
) -> Result<Survey> {
    let mut survey = Survey::default();
    let mut genes: BTreeSet<String> = BTreeSet::new();
    for (number, path) in files.iter().enumerate() {
        watch.step("Reading labels", number as u64, Some(files.len() as u64))?;
        let (sha256, bytes) = cache.hash(path, watch)?;
        hashed(cache)?;
        if let Some(twin) = survey.files.iter().find(|f| f.report.sha256 == sha256) {
            return Err(Error::request(
                Problem::new(
                    "files",
                    format!("the same content as {}", twin.path.display()),
                    "each file once",
                    "Leave one of the two out.",
                )
                .in_file(path),
            ));
        }
        survey.add_file(number as u32, path, &sha256, bytes, &mut genes, watch)?;
    }
    survey.genes = genes.into_iter().collect();
    if survey.cells.len() == 0 {
        let reasons: Vec<String> =
            survey.exclusions.iter().map(|(why, n)| format!("{n} cells: {}", why.label())).collect();
        return Err(Error::anndata(Problem::new(
            "cells",
            format!("none that can be used ({})", reasons.join("; ")),
            "human cells with type, tissue, disease and donor",
            "Choose files with the columns of CELLxGENE's schema.",
        )));
    }
    Ok(survey)
}

impl Survey {
    fn add_file(
        &mut self,
        number: u32,
        path: &Path,
        sha256: &str,
        bytes: u64,
        genes: &mut BTreeSet<String>,
        watch: &Watch,
    ) -> Result<()> {
        let data = AnnData::open(path, watch)?;
        let name = file_name(path);
        let choice = data.choose_matrix()?;
        let resolved = resolve(&data, &choice.key)?;
        let ids = gene_ids(&data, &choice.key, &resolved)?;
        let genes_known = ids.iter().flatten().count();
        let mut labels = LabelReader::new(&data, sha256.get(..12).unwrap_or(sha256))?;
        if labels.names_no_donor() {
            self.warnings.push(format!("{name}: no column donor_id; the whole file counts as one donor"));
        }
        if choice.scale != Scale::Counts {
            self.warnings.push(format!(
                "{name}: {} holds no counts ({}); the values are {}",
                choice.key,
                choice.scale.label(),
                if choice.scale == Scale::Log1p { "undone with exp(x) - 1" } else { "taken as they are" }
            ));
        }
        let scaled = choice.scale == Scale::Scaled;
        if scaled {
            return Err(Error::anndata(
                Problem::new(
                    choice.key.to_string(),
                    "scaled values (z-scores), whose original size is lost",
                    "counts, or logarithms of them",
                    "Add the counts to the file, as layers/counts or raw/X, or leave the file out.",
                )
                .in_file(path),
            ));
        }
        let mouse = resolved.species == Some(Species::Mouse);
        let mut usable = 0;
        for row in 0..data.n_obs() {
            if row % WATCHED_ROWS == 0 {
                watch.check()?;
            }
            let read = if mouse { Err(Exclusion::NotHuman) } else { labels.read(row) };
            match read {
                Ok(cell) => {
                    usable += 1;
                    self.cells.file.push(number);
                    self.cells.row.push(row as u32);
                    self.cells.cell_type.push(self.cell_types.number(&cell.cell_type));
                    self.cells.tissue.push(self.tissues.number(&cell.tissue));
                    self.cells.disease.push(self.diseases.number(&cell.disease));
                    self.cells.donor.push(self.donors.number(&cell.donor));
                    self.cells.stage.push(self.stages.number(cell.stage.label()));
                }
                Err(why) => {
                    if why == Exclusion::Assay {
                        let assay = data.obs().column("assay").and_then(|c| c.text(row)).unwrap_or_default();
                        *self.excluded_assays.entry(assay).or_default() += 1;
                    }
                    *self.exclusions.entry(why).or_default() += 1;
                }
            }
        }
        if usable > 0 {
            genes.extend(ids.iter().flatten().cloned());
        }
        self.files.push(SourceFile {
            path: path.to_path_buf(),
            matrix: choice.key.clone(),
            scale: choice.scale,
            report: SourceReport {
                file: name,
                sha256: sha256.to_owned(),
                bytes,
                cells: data.n_obs() as u64,
                usable,
                taken: 0,
                matrix: choice.key.to_string(),
                scale: choice.scale.label().to_owned(),
                genes_known,
                genes_unknown: ids.len() - genes_known,
            },
        });
        Ok(())
    }
}

/// The genes of a matrix's columns.
fn resolve(data: &AnnData, key: &MatrixKey) -> Result<ResolvedGenes> {
    let var = data.var(key);
    let texts: Vec<(&str, Vec<String>)> = var
        .columns
        .iter()
        .filter(|c| matches!(c.name.as_str(), "feature_name" | "ensembl_id" | "gene_ids" | "gene_symbols"))
        .map(|c| (c.name.as_str(), (0..c.len()).map(|row| c.text(row).unwrap_or_default()).collect()))
        .collect();
    let mut candidates = vec![(var.index_name.as_str(), var.index.as_slice())];
    candidates.extend(texts.iter().map(|(name, values)| (*name, values.as_slice())));
    Ok(resolve_genes(GeneTable::builtin()?, &candidates, data.organism().as_deref()))
}

/// The Ensembl id of each column of a matrix. Genes that the table lacks keep the id that the file gives them.
///
/// # Errors
/// As [`GeneTable::builtin`].
pub(super) fn gene_ids_of(data: &AnnData, key: &MatrixKey) -> Result<Vec<Option<String>>> {
    gene_ids(data, key, &resolve(data, key)?)
}

fn gene_ids(data: &AnnData, key: &MatrixKey, resolved: &ResolvedGenes) -> Result<Vec<Option<String>>> {
    let table = GeneTable::builtin()?;
    let own = |name: &String| {
        let bare = name.split('.').next().unwrap_or(name);
        bare.starts_with("ENSG").then(|| bare.to_owned())
    };
    let index = &data.var(key).index;
    Ok(resolved
        .ids
        .iter()
        .zip(index)
        .map(|(id, name)| id.map(|id| table.ensembl_id(id).to_owned()).or_else(|| own(name)))
        .collect())
}
