//! Comparing cells and computing a map, beside scanpy's same steps in the same run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{RUNS, cell2text, whole_runs};
use crate::python::Environment;
use crate::setup::Setup;
use crate::terminal::{self, say};

/// Where real cells lie, beside the repository.
const FILE: &str = "data/cells/pbmc3k_seurat.h5ad";

/// Times scanpy's steps twice in one process: the first time some of them are still being compiled. Prints the seconds
/// of reading, of comparing, and of the map, of both times.
const SCANPY: &str = "\
import sys, time, warnings
warnings.simplefilter('ignore')
import anndata
import scanpy as sc
def compare(path):
    data = anndata.read_h5ad(path)
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    sc.tl.rank_genes_groups(data, 'cell_type_author', groups=['B'], method='wilcoxon', tie_correct=True, pts=True)
def embed(path):
    data = anndata.read_h5ad(path)
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    sc.pp.highly_variable_genes(data, n_top_genes=2000)
    sc.pp.pca(data, n_comps=50)
    sc.pp.neighbors(data, n_neighbors=15)
    sc.tl.umap(data)
    sc.tl.leiden(data, resolution=1.0)
for work in (compare, compare, embed, embed):
    start = time.perf_counter()
    work(sys.argv[1])
    print(time.perf_counter() - start)
";

/// Measures and prints, where real cells and scanpy are at hand; says what is missing otherwise.
///
/// # Errors
/// When the program fails.
pub(super) fn run(root: &Path, setup: &Setup, program: &Path) -> Result<()> {
    let shared = std::env::var_os("CELL2TEXT_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let file = shared.join(FILE);
    if !file.is_file() {
        say(&format!("SKIPPED: comparing and mapping are timed on {}, which is not there", file.display()));
        return Ok(());
    }
    let Some(python) = python(root, setup) else {
        say("SKIPPED: comparing and mapping are timed beside scanpy, which could not be set up");
        return Ok(());
    };
    let folder = setup.target_dir().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    let table = folder.join("table.csv").to_string_lossy().into_owned();
    let compare = ["compare", "--column", "cell_type_author", "--a", "B", "-o", &table];
    let compared = whole_runs(|| cell2text(program, &compare, &file))?;
    let mapped = whole_runs(|| cell2text(program, &["embed", "-o", &table], &file))?;
    let mut command = Command::new(&python);
    command.args(["-c", SCANPY]).arg(&file);
    let text = terminal::output(&mut command).context("scanpy did not go through its steps")?;
    let theirs = text.lines().filter_map(|line| line.trim().parse().ok()).collect::<Vec<f64>>();
    let [compare_first, compare_again, embed_first, embed_again] = theirs[..] else {
        anyhow::bail!("scanpy's steps printed something else than four times: {text}");
    };
    terminal::print(&format!(
        "\n{}\n\nmedian seconds of {RUNS} runs of the whole process (fastest to slowest); scanpy's steps from reading the \
         file on, the first and the second time in one process, without its imports\n\
         cell2text compare, B against all others {compared}\n\
         scanpy, the same                        {compare_first:8.3}, {compare_again:.3}\n\
         cell2text embed                         {mapped}\n\
         scanpy, the same                        {embed_first:8.3}, {embed_again:.3}\n\n\
         Comparing takes {:.2} times as long as scanpy's second time, a map {:.2} times as long.\n",
        file.display(),
        compared.median / compare_again,
        mapped.median / embed_again,
    ));
    Ok(())
}

/// A Python with scanpy: the one that `CELL2TEXT_SCANPY_PYTHON` names, else one of our own.
fn python(root: &Path, setup: &Setup) -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("CELL2TEXT_SCANPY_PYTHON") {
        return Some(PathBuf::from(python));
    }
    let environment = Environment::with_scanpy(setup.target_dir());
    match environment.install_requirements(&root.join("tests/python/analysis_requirements.txt")) {
        Ok(()) => Some(environment.python()),
        Err(error) => {
            say(&format!("{error:#}"));
            None
        }
    }
}
