//! Damaged files: two thousand variants of good ones, each read to its first cells and one gene by another process,
//! which may refuse, but never panic, hang, fill the memory or crash in our code.
//!
//! The other process is this test itself, told by the environment what to read. It says aloud which variant it begins,
//! so that one that ends it is known.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::fixtures::{Fixture, Table, put};
use crate::anndata::{AnnData, MatrixKey};
use crate::progress::Watch;
use crate::test_support::{say, shared_file};

const VARIANTS: usize = 2000;
/// Processes side by side.
const SIDE_BY_SIDE: usize = 2;
/// A variant that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the other process may take; address space, of which most is never touched.
const MEMORY_KB: u64 = 6 << 20;
const TOLD: &str = "CELL2TEXT_MUTANTS";

/// Small good files: of our own making, and of the field where they are at hand.
fn originals(folder: &Path) -> Vec<PathBuf> {
    let table = Table::new(60, 12);
    let (data, indices, indptr) = table.parts(false);
    let mut paths = Vec::new();
    let mut keep = |written: super::fixtures::Written, name: &str| {
        let path = folder.join(name);
        std::fs::copy(&written.path, &path).unwrap();
        paths.push(path);
    };
    let fixture = Fixture::new(60, 12);
    fixture.compressed("X", "csr_matrix", [60, 12], (&data, &indices, &indptr));
    put(&fixture.obs(), "n", &(0..60).collect::<Vec<i64>>());
    keep(fixture.finish(), "csr.h5ad");
    let fixture = Fixture::new(60, 12);
    fixture.dense("X", [60, 12], &table.dense, Some([7, 5]));
    keep(fixture.finish(), "dense.h5ad");
    let path = folder.join("written.h5ad");
    crate::anndata::write::tests::write(&path, 40);
    paths.push(path);
    for name in [
        "x_int64.h5ad",
        "obs_categoricals.h5ad",
        "obs_nullable.h5ad",
        "anndata_v0.7.0_archive.h5ad",
        "unicode.h5ad",
    ] {
        paths.extend(shared_file(&format!("data/h5ad_zoo/{name}")));
    }
    paths
}

/// A damaged copy of `good`.
fn damaged(good: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut bytes = good.to_vec();
    // Structure lies near the beginning and around its signatures; most of a file is plain values.
    let marks: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, w)| {
            [b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"FRHP"]
                .contains(&<&[u8; 4]>::try_from(*w).unwrap())
        })
        .map(|(at, _)| at)
        .collect();
    let place = |rng: &mut StdRng, n: usize| {
        let near = match rng.random_range(0..4) {
            0 => rng.random_range(0..n),
            1 => rng.random_range(0..n.min(2048)),
            _ => marks
                .get(rng.random_range(0..marks.len().max(1)))
                .map_or(0, |at| at + rng.random_range(0..400)),
        };
        near.min(n.saturating_sub(9))
    };
    let n = bytes.len();
    match rng.random_range(0..6) {
        0 => bytes.truncate(rng.random_range(0..n)),
        1 => {
            for _ in 0..rng.random_range(1..16) {
                let at = place(&mut rng, n);
                bytes[at] ^= 1 << rng.random_range(0..8);
            }
        }
        // Offsets swapped.
        2 => {
            for _ in 0..rng.random_range(1..4) {
                let (a, b) = (place(&mut rng, n) & !7, place(&mut rng, n) & !7);
                for i in 0..8 {
                    bytes.swap(a + i, b + i);
                }
            }
        }
        // Absurd numbers, as shapes and sizes are.
        3 => {
            const ABSURD: [u64; 7] = [u64::MAX, i64::MAX as u64, 1 << 40, 1 << 31, u32::MAX as u64, 0, 1];
            for _ in 0..rng.random_range(1..4) {
                let at = place(&mut rng, n);
                let value = ABSURD[rng.random_range(0..ABSURD.len())];
                let width = [1, 2, 4, 8][rng.random_range(0..4)];
                bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
        }
        4 => {
            let (from, length) = (place(&mut rng, n), rng.random_range(1..512));
            let to = (from + length).min(n);
            bytes[from..to].fill(0);
        }
        _ => {
            let (from, to, length) = (place(&mut rng, n), place(&mut rng, n), rng.random_range(8..256));
            let length = length.min(n - from).min(n - to);
            bytes.copy_within(from..from + length, to);
        }
    }
    bytes
}

/// Reads a file as `info` and colouring by a gene do.
fn read(path: &Path) -> crate::Result<()> {
    let watch = Watch::silent();
    let data = AnnData::open(path, &watch)?;
    for name in data.obsm_names() {
        let _ = data.obsm(name);
    }
    let key = data.choose_matrix().map_or(MatrixKey::X, |choice| choice.key);
    let matrix = data.matrix(&key)?;
    if matrix.n_rows() > 0 {
        let _ = (matrix.row(0), matrix.row(matrix.n_rows() - 1));
    }
    if matrix.n_cols() > 0 {
        let _ = matrix.column(matrix.n_cols() / 2, &watch);
    }
    Ok(())
}

/// The other process: reads variants `first..last`, saying which.
fn serve(told: &str) {
    let mut words = told.split(' ');
    let mut number = || words.next().unwrap().parse::<usize>().unwrap();
    let (first, last, folder) = (number(), number(), PathBuf::from(words.next().unwrap()));
    let goods: Vec<Vec<u8>> = originals(&folder).iter().map(|path| std::fs::read(path).unwrap()).collect();
    let path = folder.join("variant.h5ad");
    let mut out = std::io::stdout();
    for variant in first..last {
        std::fs::write(&path, damaged(&goods[variant % goods.len()], variant as u64)).unwrap();
        writeln!(out, "begin {variant}").unwrap();
        out.flush().unwrap();
        let end = match std::panic::catch_unwind(|| read(&path)) {
            Ok(Ok(())) => "opened",
            Ok(Err(_)) => "refused",
            Err(_) => "panicked",
        };
        writeln!(out, "{end} {variant}").unwrap();
        out.flush().unwrap();
    }
}

/// What became of some variants.
#[derive(Debug, Default)]
struct Outcome {
    opened: usize,
    refused: usize,
    /// Variants that ended the process, and how.
    crashed: Vec<(usize, String)>,
    hung: Vec<usize>,
    panicked: Vec<usize>,
}

fn run(first: usize, last: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut next = first;
    while next < last {
        let folder = tempfile::tempdir().unwrap();
        let test = std::env::current_exe().unwrap();
        let limited = format!("ulimit -v {MEMORY_KB}; ulimit -c 0; exec \"$0\" \"$@\"");
        let mut process = Command::new("sh")
            .args(["-c", &limited])
            .arg(test)
            .args([
                "--exact",
                "anndata::tests::mutants::no_damaged_file_does_more_than_be_refused",
                "--nocapture",
            ])
            .env(TOLD, format!("{next} {last} {}", folder.path().display()))
            .env("RAYON_NUM_THREADS", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let (said, heard) = channel();
        std::thread::spawn(move || lines.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        let mut at = None;
        loop {
            match heard.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let Some((word, number)) = line.rsplit_once(' ') else { continue };
                    let Ok(number) = number.parse::<usize>() else { continue };
                    // The harness may have begun a line of its own.
                    match word.rsplit(' ').next().unwrap_or_default() {
                        "begin" => at = Some(number),
                        "opened" => outcome.opened += 1,
                        "refused" => outcome.refused += 1,
                        "panicked" => outcome.panicked.push(number),
                        _ => continue,
                    }
                    if !word.ends_with("begin") {
                        (at, next) = (None, number + 1);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    process.kill().unwrap();
                    outcome.hung.push(at.unwrap_or(next));
                    next = at.unwrap_or(next) + 1;
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = process.wait().unwrap();
        if let Some(variant) = at.filter(|at| *at >= next) {
            outcome.crashed.push((variant, status.to_string()));
            next = variant + 1;
        } else if next < last && !outcome.hung.contains(&(next - 1)) {
            panic!("the other process ended without a word ({status})");
        }
    }
    outcome
}

#[test]
#[cfg(unix)]
fn no_damaged_file_does_more_than_be_refused() {
    if let Ok(told) = std::env::var(TOLD) {
        serve(&told);
        return;
    }
    let share = VARIANTS / SIDE_BY_SIDE;
    let runs: Vec<_> =
        (0..SIDE_BY_SIDE).map(|i| std::thread::spawn(move || run(i * share, (i + 1) * share))).collect();
    let outcomes: Vec<Outcome> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
    let list = |of: fn(&Outcome) -> &Vec<usize>| outcomes.iter().flat_map(of).copied().collect::<Vec<_>>();
    let crashed: Vec<_> = outcomes.iter().flat_map(|o| &o.crashed).collect();
    say(&format!(
        "{VARIANTS} damaged files: {} opened, {} refused, {} ended the process inside the HDF5 library: {crashed:?}",
        sum(|o| o.opened),
        sum(|o| o.refused),
        crashed.len(),
    ));
    assert_eq!(list(|o| &o.panicked), [0usize; 0], "panics");
    assert_eq!(list(|o| &o.hung), [0usize; 0], "hangs");
    assert_eq!(crashed.len(), 0);
}
