//! Data sets to learn from: which cells of many files, split by donor, described in words.
//!
//! The way of the Cell2Text paper (arXiv 2509.24840, Appendix A), from h5ad files with the columns of CELLxGENE's
//! schema: unusable cells and unwanted assays are left out, a cohort is drawn over tissue, cell type, disease and
//! donor, donors are divided into training, validation and test, pathways are scored by AUCell, and each cell gets its
//! description. Three files of counts with descriptions come out, and `dataset.json`, which says how they were made.
//!
//! Of the input no more is held than the labels of one file's cells and 28 bytes for each usable cell of all files;
//! matrices are read block by block. Work is kept in a folder beside the result, so that a run that was stopped or
//! killed goes on where it was and ends with the same bytes. docs/datasets.md tells the user's side.

mod assemble;
mod blocks;
mod describe_cell;
mod figures;
mod labels;
mod report;
mod split;
mod strata;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::json;

pub use figures::{Diversity, LengthReport, normalised_shannon};
pub use labels::{EXCLUDED_ASSAYS, EXCLUDED_DATA_SETS, Exclusion};
pub use report::{DatasetReport, PathwayReport, SetReport, SplitReport, StratumReport};
pub use split::Split;
pub use strata::{Part, PartReport};
pub use survey::SourceReport;

use crate::anndata::AnnData;
use crate::error::Problem;
use crate::files::{sha256_hex, sha256_of_file, write_atomically};
use crate::genes::{GeneId, GeneTable};
use crate::pathways::{Dialect, GeneSets, PAPER_SETS, PathwayScorer};
use crate::progress::Watch;
use crate::{Error, Result};

use assemble::{Assembled, Parts, Tally};
use blocks::Work;
use figures::{diversity_svg, histogram_svg};
use labels::file_name;
use survey::{HashCache, Survey};

/// The name of the report in a data set's folder.
pub const REPORT: &str = "dataset.json";
/// The folder of work inside a data set's folder, while there is some left to do.
pub const UNFINISHED: &str = ".unfinished";
const FORMAT: &str = "cell2text-dataset-1";
const HASHES: &str = "hashes.json";
/// Widths of the bins of genes and of tokens or words.
const GENE_BIN: u32 = 100;
const TEXT_BIN: u32 = 5;

/// Which gene sets a description may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeptSets {
    /// The 34 of the paper.
    #[default]
    Paper,
    /// Those active in more than 0.5 % of the cells taken: the rule that gave the paper its 34.
    Active,
    /// All.
    All,
}

impl fmt::Display for KeptSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paper => "paper",
            Self::Active => "active",
            Self::All => "all",
        })
    }
}

impl FromStr for KeptSets {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "paper" => Ok(Self::Paper),
            "active" => Ok(Self::Active),
            "all" => Ok(Self::All),
            _ => Err(Error::request(Problem::new(
                "kept gene sets",
                format!("`{text}`"),
                "paper, active or all",
                "Name one of the three.",
            ))),
        }
    }
}

/// What data set is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetRequest {
    /// The files, in order. The order is part of what decides which cells are drawn.
    pub files: Vec<PathBuf>,
    /// The folder to write to; made where it is not there.
    pub out: PathBuf,
    /// Cells wanted; all that can be used where `None`.
    pub cells: Option<usize>,
    /// Seed of every draw.
    pub seed: u64,
    /// Gene sets of the user's; the built-in Hallmark sets otherwise.
    pub gene_sets: Option<PathBuf>,
    /// Whose AUCell.
    pub dialect: Dialect,
    /// Which sets descriptions may name.
    pub keep: KeptSets,
}

/// Builds the data set, or goes on with one that was begun. Returns what `dataset.json` says; where the data set is
/// already complete, nothing is done but to check it.
///
/// # Errors
/// [`Error::AnnData`] for a file that cannot be used; [`Error::Pathways`] for gene sets that cannot be read;
/// [`Error::Request`] where the folder holds another data set or a donor would be in two splits; [`Error::Io`];
/// [`Error::Cancelled`], and then the same request goes on from there.
pub fn build_dataset(request: &DatasetRequest, watch: &Watch) -> Result<DatasetReport> {
    check_request(request)?;
    let unfinished = request.out.join(UNFINISHED);
    let report_path = request.out.join(REPORT);
    let (sets, sets_name) = gene_sets(request)?;

    let mut cache = read_cache(&unfinished.join(HASHES));
    let keep_hashes = |cache: &HashCache| {
        // Of a data set that is complete only the report is wanted.
        if report_path.exists() { Ok(()) } else { write_cache(&unfinished, cache) }
    };
    let survey = survey::survey(&request.files, &mut cache, keep_hashes, watch)?;
    let sets_hash = hash_of_sets(&sets);
    let plan = plan_hash(request, &survey, &sets_hash);
    if report_path.exists() {
        return finished(&request.out, &report_path, &plan, watch);
    }

    let wanted = request.cells.unwrap_or(usize::MAX);
    let (chosen, parts) = strata::choose(&survey, wanted, request.seed, watch)?;
    let splits = split::split(&survey, &chosen, request.seed);
    let donor_of =
        |cell: &u32| survey.cells.donor.get(*cell as usize).map_or("", |donor| survey.donors.word(*donor));
    split::check_no_leak(chosen.iter().map(donor_of).zip(splits.iter().copied()))?;

    let scorer = scorer(&sets, &survey, request)?;
    let mut work = Work::open(&unfinished, &plan)?;
    let ranges = blocks::block_ranges(&survey, &chosen);
    blocks::read_blocks(&survey, &chosen, &ranges, &scorer, &mut work, watch)?;

    let split_of: HashMap<u32, Split> = chosen.iter().copied().zip(splits).collect();
    let overview = assemble::overview(ranges.len(), sets.sets().len(), &split_of, &work, watch)?;
    let kept: HashSet<u32> = match request.keep {
        KeptSets::All => (0..sets.sets().len() as u32).collect(),
        KeptSets::Active => overview.activity.kept().into_iter().collect(),
        KeptSets::Paper => (0u32..)
            .zip(sets.sets())
            .filter(|(_, s)| PAPER_SETS.contains(&s.name.as_str()))
            .map(|(i, _)| i)
            .collect(),
    };
    let mut tally = Tally::new(sets.sets().len())?;
    let parts_of_file = Parts {
        survey: &survey,
        n_blocks: ranges.len(),
        split_of: &split_of,
        work: &work,
        sets: scorer.names(),
        kept: &kept,
        plan: &plan,
    };
    let mut written: BTreeMap<Split, Assembled> = BTreeMap::new();
    for split in Split::ALL {
        if overview.cells.get(&split).copied().unwrap_or(0) > 0 {
            // Finished in the folder of work, and only then moved: a run that is killed leaves no half file beside
            // whole ones.
            let path = unfinished.join(split_file(split));
            written.insert(split, assemble::write_split(&path, split, &parts_of_file, &mut tally, watch)?);
        }
    }
    check_written(&unfinished, &written, watch)?;

    let taken: Vec<u32> = {
        let empty: HashSet<u32> = overview.empty.iter().copied().collect();
        chosen.iter().copied().filter(|cell| !empty.contains(cell)).collect()
    };
    let mut exclusions = survey.exclusions.clone();
    if !overview.empty.is_empty() {
        exclusions.insert(Exclusion::NoGenes, overview.empty.len() as u64);
    }
    let strata = strata_reports(&survey, &taken);
    let report = DatasetReport {
        format: FORMAT.to_owned(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        plan_sha256: plan.clone(),
        cells_asked: request.cells.map(|n| n as u64),
        seed: request.seed,
        sources: source_reports(&survey, &taken),
        exclusions,
        excluded_assays: survey.excluded_assays.clone(),
        parts,
        splits: split_reports(&unfinished, &written, watch)?,
        donors_in_several_splits: 0,
        diversity: strata.iter().map(|(name, rows)| (name.clone(), diversity(rows))).collect(),
        pathways: PathwayReport {
            sets: sets_name,
            sha256: sets_hash,
            dialect: request.dialect.to_string(),
            keep: request.keep.to_string(),
            by_set: set_reports(&scorer, &overview.activity.shares(), &kept, &tally),
        },
        gene_lengths: overview.gene_lengths.report(GENE_BIN),
        text_lengths: tally.text_lengths.report(TEXT_BIN),
        text_words: tally.text_words.report(TEXT_BIN),
        warnings: warnings(&survey, &written, &kept),
        strata,
    };
    for split in written.keys() {
        let (from, to) = (unfinished.join(split_file(*split)), request.out.join(split_file(*split)));
        std::fs::rename(&from, &to).map_err(|e| Error::io("move into place", &to, e))?;
    }
    draw(&request.out, &report)?;
    // The report comes last: where it stands, the data set is complete.
    let text = serde_json::to_string_pretty(&report).map_err(|e| broken(&report_path, &e.to_string()))?;
    write_atomically(&report_path, format!("{text}\n").as_bytes())?;
    std::fs::remove_dir_all(&unfinished)
        .map_err(|e| Error::io("remove the finished work", &unfinished, e))?;
    Ok(report)
}

fn split_file(split: Split) -> String {
    format!("{}.h5ad", split.name())
}

fn check_request(request: &DatasetRequest) -> Result<()> {
    let out = request.out.canonicalize().unwrap_or_else(|_| request.out.clone());
    for file in &request.files {
        let file = file.canonicalize().unwrap_or_else(|_| file.clone());
        if Split::ALL.iter().any(|split| out.join(split_file(*split)) == file) {
            return Err(Error::request(
                Problem::new(
                    "output",
                    "a folder that holds a source file",
                    "another folder",
                    "Choose an empty folder.",
                )
                .in_file(&request.out),
            ));
        }
    }
    let begun = [REPORT, UNFINISHED].iter().any(|name| request.out.join(name).exists());
    if let Some(foreign) =
        Split::ALL.map(|s| request.out.join(split_file(s))).iter().find(|p| p.exists() && !begun)
    {
        return Err(Error::request(
            Problem::new(
                "output",
                "a file that no data set here accounts for",
                "an empty folder, or one with this data set",
                "Choose another folder.",
            )
            .in_file(foreign),
        ));
    }
    if request.files.is_empty() || request.cells == Some(0) {
        return Err(Error::request(Problem::new(
            "data set",
            "no file or no cell asked for",
            "at least one of each",
            "Name files and a number of cells.",
        )));
    }
    Ok(())
}

fn gene_sets(request: &DatasetRequest) -> Result<(GeneSets, String)> {
    match &request.gene_sets {
        Some(path) => Ok((GeneSets::read_gmt(path)?, file_name(path))),
        None => Ok((GeneSets::hallmark()?.clone(), "MSigDB Hallmark, built in".to_owned())),
    }
}

fn hash_of_sets(sets: &GeneSets) -> String {
    let text: String = sets.sets().iter().map(|s| format!("{}\t{}\n", s.name, s.genes.join("\t"))).collect();
    sha256_hex(text.as_bytes())
}

fn plan_hash(request: &DatasetRequest, survey: &Survey, sets_hash: &str) -> String {
    let plan = json!({
        "format": FORMAT,
        "program": env!("CARGO_PKG_VERSION"),
        "sources": survey.files.iter().map(|f| &f.report.sha256).collect::<Vec<_>>(),
        "names": survey.files.iter().map(|f| &f.report.file).collect::<Vec<_>>(),
        "cells": request.cells,
        "seed": request.seed,
        "sets": sets_hash,
        "dialect": request.dialect.to_string(),
        "keep": request.keep.to_string(),
    });
    sha256_hex(plan.to_string().as_bytes())
}

fn read_cache(path: &Path) -> HashCache {
    // A cache that is missing or damaged costs time, no more.
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn write_cache(unfinished: &Path, cache: &HashCache) -> Result<()> {
    std::fs::create_dir_all(unfinished).map_err(|e| Error::io("make the folder of work", unfinished, e))?;
    let path = unfinished.join(HASHES);
    let text = serde_json::to_vec(cache).map_err(|e| broken(&path, &e.to_string()))?;
    write_atomically(&path, &text)
}

fn broken(path: &Path, reason: &str) -> Error {
    Error::request(
        Problem::new("content", reason.to_owned(), "JSON of a data set", "Choose another folder.")
            .in_file(path),
    )
}

/// The report of a complete data set, once its files were found to be what it says.
fn finished(out: &Path, path: &Path, plan: &str, watch: &Watch) -> Result<DatasetReport> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read the report", path, e))?;
    let report: DatasetReport = serde_json::from_slice(&bytes).map_err(|e| broken(path, &e.to_string()))?;
    if report.plan_sha256 != plan {
        return Err(Error::request(
            Problem::new(
                REPORT,
                "a data set of other files or settings",
                "an empty folder, or this very data set",
                "Choose another folder.",
            )
            .in_file(out),
        ));
    }
    for split in report.splits.values().filter(|split| !split.file.is_empty()) {
        let file = out.join(&split.file);
        let found = sha256_of_file(&file, watch)?;
        if found != split.sha256 {
            return Err(Error::request(
                Problem::new(
                    "content",
                    format!("SHA-256 {found}"),
                    split.sha256.clone(),
                    format!("The file was changed. Remove it and {REPORT}, and repeat the command."),
                )
                .in_file(file),
            ));
        }
    }
    // A run that was killed at its very end leaves its work behind.
    let unfinished = out.join(UNFINISHED);
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)
            .map_err(|e| Error::io("remove the finished work", &unfinished, e))?;
    }
    Ok(report)
}

fn scorer(sets: &GeneSets, survey: &Survey, request: &DatasetRequest) -> Result<PathwayScorer> {
    let table = GeneTable::builtin()?;
    let genes: Vec<Option<GeneId>> = survey.genes.iter().map(|id| table.by_ensembl(id)).collect();
    // The tools' generators take 32 bits; a seed beyond that is folded.
    let seed = (request.seed ^ (request.seed >> 32)) as u32;
    PathwayScorer::new(sets, &genes, request.dialect)?.with_tool_order(seed)
}

/// Reads the files again: as many cells as were written, and no donor in two.
fn check_written(folder: &Path, written: &BTreeMap<Split, Assembled>, watch: &Watch) -> Result<()> {
    let mut donors: Vec<(String, Split)> = Vec::new();
    for (split, assembled) in written {
        let path = folder.join(split_file(*split));
        let data = AnnData::open(&path, watch)?;
        let wrong = |found: String, expected: String| {
            Err(Error::anndata(
                Problem::new("obs", found, expected, "Check the drive, and repeat the command.")
                    .in_file(&path),
            ))
        };
        if data.n_obs() != assembled.cells {
            return wrong(format!("{} cells", data.n_obs()), format!("the {} written", assembled.cells));
        }
        let Some(column) = data.obs().column("donor_id") else {
            return wrong("no column donor_id".to_owned(), "the donors written".to_owned());
        };
        let of_file: HashSet<String> =
            (0..column.len()).map(|row| column.text(row).unwrap_or_default()).collect();
        donors.extend(of_file.into_iter().map(|donor| (donor, *split)));
    }
    split::check_no_leak(donors.iter().map(|(donor, split)| (donor.as_str(), *split))).map(|_| ())
}

fn strata_reports(survey: &Survey, taken: &[u32]) -> BTreeMap<String, Vec<StratumReport>> {
    let count = |numbers: &[u32], n: usize| {
        let (mut usable, mut of_taken) = (vec![0u64; n], vec![0u64; n]);
        for number in numbers {
            if let Some(count) = usable.get_mut(*number as usize) {
                *count += 1;
            }
        }
        for cell in taken {
            let number = numbers.get(*cell as usize).copied().unwrap_or(u32::MAX);
            if let Some(count) = of_taken.get_mut(number as usize) {
                *count += 1;
            }
        }
        (usable, of_taken)
    };
    let cells = &survey.cells;
    [
        ("cell_type", &cells.cell_type, &survey.cell_types),
        ("tissue", &cells.tissue, &survey.tissues),
        ("disease", &cells.disease, &survey.diseases),
        ("donor", &cells.donor, &survey.donors),
        ("stage", &cells.stage, &survey.stages),
    ]
    .into_iter()
    .map(|(name, numbers, words)| {
        let (usable, of_taken) = count(numbers, words.len());
        let mut rows: Vec<StratumReport> = (0..words.len())
            .map(|number| StratumReport {
                label: words.word(number as u32).to_owned(),
                usable: usable.get(number).copied().unwrap_or(0),
                taken: of_taken.get(number).copied().unwrap_or(0),
            })
            .collect();
        rows.sort_by(|a, b| b.usable.cmp(&a.usable).then_with(|| a.label.cmp(&b.label)));
        (name.to_owned(), rows)
    })
    .collect()
}

fn diversity(rows: &[StratumReport]) -> Diversity {
    Diversity {
        before: normalised_shannon(rows.iter().map(|r| r.usable)),
        after: normalised_shannon(rows.iter().map(|r| r.taken)),
        categories_before: rows.iter().filter(|r| r.usable > 0).count(),
        categories_after: rows.iter().filter(|r| r.taken > 0).count(),
    }
}

fn source_reports(survey: &Survey, taken: &[u32]) -> Vec<SourceReport> {
    let mut counts = vec![0u64; survey.files.len()];
    for cell in taken {
        let file = survey.cells.file.get(*cell as usize).copied().unwrap_or(u32::MAX);
        if let Some(count) = counts.get_mut(file as usize) {
            *count += 1;
        }
    }
    survey
        .files
        .iter()
        .zip(counts)
        .map(|(file, taken)| SourceReport { taken, ..file.report.clone() })
        .collect()
}

fn split_reports(
    folder: &Path,
    written: &BTreeMap<Split, Assembled>,
    watch: &Watch,
) -> Result<BTreeMap<Split, SplitReport>> {
    Split::ALL
        .into_iter()
        .map(|split| {
            let report = match written.get(&split) {
                None => SplitReport::default(),
                Some(assembled) => SplitReport {
                    file: split_file(split),
                    sha256: sha256_of_file(&folder.join(split_file(split)), watch)?,
                    cells: assembled.cells as u64,
                    donors: assembled.donors as u64,
                    cell_types: assembled.cell_types as u64,
                },
            };
            Ok((split, report))
        })
        .collect()
}

fn set_reports(scorer: &PathwayScorer, shares: &[f64], kept: &HashSet<u32>, tally: &Tally) -> Vec<SetReport> {
    scorer
        .names()
        .iter()
        .zip(scorer.present())
        .enumerate()
        .map(|(set, (name, present))| SetReport {
            name: name.clone(),
            genes_present: *present,
            active_share: shares.get(set).copied().unwrap_or(0.0),
            kept: kept.contains(&(set as u32)),
            first: tally.first.get(set).copied().unwrap_or(0),
            second: tally.second.get(set).copied().unwrap_or(0),
        })
        .collect()
}

fn warnings(survey: &Survey, written: &BTreeMap<Split, Assembled>, kept: &HashSet<u32>) -> Vec<String> {
    let mut warnings = survey.warnings.clone();
    for split in [Split::Valid, Split::Test] {
        if !written.contains_key(&split) {
            warnings.push(format!(
                "{} has no cells: too few donors are left once each category has one for training",
                split.name()
            ));
        }
    }
    if kept.is_empty() {
        warnings.push("no gene set is kept; descriptions name no pathway".to_owned());
    }
    warnings
}

fn draw(out: &Path, report: &DatasetReport) -> Result<()> {
    let of = |name: &str| report.diversity.get(name).copied();
    let rows: Vec<(&str, Diversity)> =
        [("Cell type", of("cell_type")), ("Tissue", of("tissue")), ("Disease", of("disease"))]
            .into_iter()
            .filter_map(|(name, diversity)| diversity.map(|d| (name, d)))
            .collect();
    for (name, svg) in [
        ("diversity.svg", diversity_svg(&rows)),
        (
            "gene_lengths.svg",
            histogram_svg(
                "Length of gene encodings",
                "tokens: genes with a count, and two special ones",
                &report.gene_lengths,
            ),
        ),
        ("text_lengths.svg", histogram_svg("Length of descriptions", "tokens", &report.text_lengths)),
    ] {
        write_atomically(&out.join(name), svg.as_bytes())?;
    }
    Ok(())
}
