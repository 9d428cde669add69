//! `cargo xtask bench atlas [CELLS]`: a large generated file, stored by cells, beside Python's anndata in the same run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{Setup, Wants};
use crate::terminal::{self, say};

/// Cells of the file, unless another number is asked for.
const CELLS: usize = 200_000;

/// Openings of each side.
const TURNS: usize = 7;
/// A file without packing is made up to this many cells: 12 KB each.
const MOST_PLAIN_CELLS: usize = 250_000;

/// Measures and prints.
///
/// # Errors
/// When the machine cannot be made ready, or one of the programs fails.
pub(super) fn run(root: &Path, cells: Option<&str>) -> Result<()> {
    let cells = match cells {
        Some(cells) => cells.replace('_', "").parse().context("the number of cells is no number")?,
        None => CELLS,
    };
    let setup = Setup::prepare(root, Wants { build: true, test_python: true, ..Wants::default() })?;
    let python = setup.python().context("the Python of the tests was not set up")?;
    let folder = setup.target_dir().join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    let file = folder.join(format!("atlas_{cells}.h5ad"));
    let generate = |file: &Path, more: &[&str]| -> Result<()> {
        if file.is_file() {
            return Ok(());
        }
        say(&format!("writing {} (some minutes)", file.display()));
        let draft = file.with_extension("draft");
        let mut command = Command::new(python);
        command
            .arg(root.join("tests/python/generate_atlas.py"))
            .arg(&draft)
            .arg(cells.to_string())
            .args(more);
        terminal::run(&mut command)?;
        std::fs::rename(&draft, file).context("could not put the file in its place")
    };
    generate(&file, &[])?;
    terminal::run(&mut setup.cargo(&[
        "build",
        "--workspace",
        "--exclude",
        "xtask",
        "--example",
        "time_files",
    ]))?;
    let timer = setup
        .dev_program()
        .with_file_name("examples")
        .join(format!("time_files{}", std::env::consts::EXE_SUFFIX));
    let caches = folder.join("genes");
    let _ = std::fs::remove_dir_all(&caches);

    let mut times: BTreeMap<String, f64> = BTreeMap::new();
    let step = |step: &str, file: &Path, place: &Path| {
        let mut command = Command::new(&timer);
        command.arg(step).arg(file).arg(place);
        command
    };
    let python_step = |more: &[&str]| {
        let mut command = Command::new(python);
        command.arg(root.join("tests/python/time_atlas.py")).arg(&file).args(more);
        command
    };
    collect(&mut python_step(&[]), "", &mut times)?;
    // In turn, so that both have the same weather; the fastest counts.
    for _ in 0..TURNS {
        for mut command in [step("look", &file, &caches), python_step(&["look"])] {
            let mut once = BTreeMap::new();
            collect(&mut command, "look", &mut once)?;
            for (name, value) in once {
                times.entry(name).and_modify(|best| *best = best.min(value)).or_insert(value);
            }
        }
    }
    for name in ["open", "build", "cached", "write"] {
        let place = if name == "write" { folder.join("copies") } else { PathBuf::from(&caches) };
        collect(&mut step(name, &file, &place), name, &mut times)?;
    }
    let _ = std::fs::remove_dir_all(&caches);
    if cells <= MOST_PLAIN_CELLS {
        // The same matrix without packing shows what of the building is not inflating.
        let plain = folder.join(format!("atlas_{cells}_plain.h5ad"));
        generate(&plain, &["20000", "1500", "plain"])?;
        let mut once = BTreeMap::new();
        collect(&mut step("build", &plain, &caches), "build", &mut once)?;
        times.extend(once.into_iter().map(|(name, value)| (format!("plain_{name}"), value)));
        let _ = std::fs::remove_dir_all(&caches);
    }
    print(&file, cells, &times);
    Ok(())
}

/// Adds what `command` prints; the peak of memory under the name of its step.
fn collect(command: &mut Command, step: &str, times: &mut BTreeMap<String, f64>) -> Result<()> {
    let text = terminal::output(command).context("a step failed")?;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(' ') else { continue };
        let name = if name == "peak_mb" { format!("{step}_peak_mb") } else { name.to_owned() };
        times.insert(name, value.trim().parse().with_context(|| format!("no number: {line}"))?);
    }
    Ok(())
}

fn print(file: &Path, cells: usize, times: &BTreeMap<String, f64>) {
    let of = |name: &str| times.get(name).copied().unwrap_or(f64::NAN);
    let build_rate = of("file_mb") / of("build") / of("threads");
    let build_cpu_rate = of("file_mb") / of("build_cpu");
    // Only files up to a size are made without packing.
    let not_packed = if times.contains_key("plain_build") {
        format!(
            "| the same matrix not packed | {:.1} s, processor time {:.1} s ({:.1} s of packed) | | |\n",
            of("plain_build"),
            of("plain_build_cpu"),
            of("build_cpu"),
        )
    } else {
        String::new()
    };
    terminal::print(&format!(
        "\n{} ({cells} cells, {:.0} MB)\n\n\
         | work | cell2text | Python's anndata, backed | ratio |\n\
         | --- | --- | --- | --- |\n\
         | open to first coloured map | {:.3} s | {:.3} s | {:.2} |\n\
         | the same, processor time | {:.3} s | {:.3} s | {:.2} |\n\
         | open to the whole data set | {:.3} s, processor time {:.3} s | | |\n\
         | one cell's row, cold | {:.1} ms | {:.1} ms | {:.2} |\n\
         | colour by gene, no cache | {:.2} s, first picture {:.2} s, next gene {:.2} s | {:.2} s | {:.1} times faster |\n\
         | the same, processor time | {:.2} s | {:.2} s | {:.1} times less |\n\
         | ten genes in one pass | {:.2} s | | |\n\
         | colour by gene, cached | {:.1} ms (the first {:.1} ms) | | |\n\
         | building the cache | {:.1} s, {:.0} MB/s of file a core, {:.0} MB a second of processor time, {:.0} MB on disk, peak memory {:.0} MB | | |\n\
         {not_packed}\
         | write-back of 10 columns | {:.2} s, {:.2} s where the file was not hashed before | a file copy: {:.2} s | {:.2} |\n\
         | peak memory, opening and uncached genes | {:.0} MB | | |\n",
        file.display(),
        of("file_mb"),
        of("look"),
        of("python_open"),
        of("look") / of("python_open"),
        of("look_cpu"),
        of("python_open_cpu"),
        of("look_cpu") / of("python_open_cpu"),
        of("open"),
        of("open_cpu"),
        of("cell") * 1e3,
        of("python_cell") * 1e3,
        of("cell") / of("python_cell"),
        of("gene"),
        of("gene_first_picture"),
        of("next_gene"),
        of("python_gene"),
        of("python_gene") / of("gene"),
        of("gene_cpu"),
        of("python_gene_cpu"),
        of("python_gene_cpu") / of("gene_cpu"),
        of("ten_genes"),
        of("cached_gene") * 1e3,
        of("cached_first_gene") * 1e3,
        of("build"),
        build_rate,
        build_cpu_rate,
        of("cache_mb"),
        of("build_peak_mb"),
        of("write"),
        of("first_write"),
        of("plain_copy"),
        of("write") / of("plain_copy"),
        of("open_peak_mb"),
    ));
}
