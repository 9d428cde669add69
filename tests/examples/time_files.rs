//! Times what a large file costs: `cargo run --workspace --example time_files -- STEP FILE FOLDER`. Prints `name value`
//! lines; `cargo xtask bench atlas` runs it step by step, each in a process of its own, beside Python's anndata.
// An example stops at its first error, and prints.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::anndata::{AnnData, CacheFolder};
use engine::annotate::HandLabels;
use engine::progress::Watch;
use engine::session::{Command, DataSource, Dataset, Event, JobId, Session, Settings};

/// Longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Times that a twin is made.
const BUILDS: usize = 5;

fn main() {
    let mut args = std::env::args_os().skip(1);
    let mut next = || args.next().expect("STEP FILE FOLDER");
    let (step, file, folder) = (next(), PathBuf::from(next()), PathBuf::from(next()));
    match step.to_str() {
        Some("look") => look(&file),
        Some("open") => open_and_colour(&file),
        Some("build") => build(&file, &folder),
        Some("cached") => cached(&file, &folder),
        Some("write") => write(&file, &folder),
        _ => panic!("no such step"),
    }
    print("peak_mb", peak_mb());
}

fn print(name: &str, value: f64) {
    println!("{name} {value:.6}");
}

/// Takes events until `job` is over; `on_event` sees each.
fn finish(session: &Session, job: JobId, mut on_event: impl FnMut(&Event)) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let Some(event) = session.next_timeout(Duration::from_millis(50)) else { continue };
        on_event(&event);
        match event {
            Event::Finished { job: over } if over == job => return,
            Event::Failed { job: over, error } if over == job => panic!("{error}"),
            _ => {}
        }
    }
    panic!("a step takes too long");
}

fn open(session: &Session, file: &Path) -> Arc<Dataset> {
    let mut opened = None;
    finish(session, session.send(Command::Open(DataSource::File(file.to_path_buf()))), |event| {
        if let Event::Opened { dataset, .. } = event {
            opened = Some(dataset.clone());
        }
    });
    opened.expect("the file opens")
}

/// Seconds of one command.
fn timed(session: &Session, command: Command) -> f64 {
    let begun = Instant::now();
    finish(session, session.send(command), |_| {});
    begun.elapsed().as_secs_f64()
}

/// Until the places of all cells and the labels that colour them are in the hands of whoever draws them, and until all of
/// the data set is.
fn look(file: &Path) {
    let begun = Instant::now();
    let session = Session::start(Settings::default()).expect("the engine starts");
    let mut seen = None;
    let mut opened = None;
    finish(&session, session.send(Command::Open(DataSource::File(file.to_path_buf()))), |event| {
        let now = (begun.elapsed().as_secs_f64(), cpu_secs());
        match event {
            Event::FirstLook { look, .. } => {
                let column = look.column.as_ref().expect("a column");
                assert!(look.embedding.positions.len() == look.n_obs && column.len() == look.n_obs);
                seen = Some(now);
            }
            Event::Opened { dataset, .. } => {
                assert!(!dataset.embeddings.is_empty() && !dataset.obs.columns.is_empty());
                opened = Some(now);
            }
            _ => {}
        }
    });
    // A file without a first look is drawn when it is open.
    let opened = opened.expect("the file opens");
    let seen = seen.unwrap_or(opened);
    for (name, value) in [("look", seen.0), ("look_cpu", seen.1), ("open", opened.0), ("open_cpu", opened.1)]
    {
        print(name, value);
    }
}

fn open_and_colour(file: &Path) {
    let session = Session::start(Settings::default()).expect("the engine starts");
    let dataset = open(&session, file);
    assert!(!dataset.embeddings.is_empty() && !dataset.obs.columns.is_empty());
    print("cell", timed(&session, Command::ReadCell { cell: dataset.n_obs * 2 / 3 }));
    print("next_cell", timed(&session, Command::ReadCell { cell: dataset.n_obs / 3 }));
    let (begun, cpu) = (Instant::now(), cpu_secs());
    let mut first = None;
    finish(&session, session.send(Command::ColourByGene { gene: 4321 }), |event| {
        if matches!(event, Event::GeneColouring { .. }) {
            first.get_or_insert_with(|| begun.elapsed().as_secs_f64());
        }
    });
    print("gene", begun.elapsed().as_secs_f64());
    print("gene_cpu", cpu_secs() - cpu);
    print("gene_first_picture", first.unwrap_or_else(|| begun.elapsed().as_secs_f64()));
    print("next_gene", timed(&session, Command::ColourByGene { gene: 777 }));
    let genes: Arc<[usize]> = (0..10).map(|i| 100 + 77 * i).collect();
    print("ten_genes", timed(&session, Command::ReadGenes { genes }));
}

fn build(file: &Path, folder: &Path) {
    let data = AnnData::open(file, &Watch::silent()).expect("the file opens");
    let matrix = data.matrix(&data.choose_matrix().expect("a matrix").key).expect("the matrix opens");
    let folder = CacheFolder::new(folder);
    // The fastest of some: other work on the machine only ever slows it down.
    let mut best = (f64::INFINITY, f64::INFINITY);
    let mut cache = None;
    for _ in 0..BUILDS {
        for entry in folder.entries() {
            folder.remove(&entry).expect("a cache is removed");
        }
        let (begun, cpu) = (Instant::now(), cpu_secs());
        cache = folder.build(&matrix, file, &Watch::silent()).expect("a cache is built");
        best = (best.0.min(begun.elapsed().as_secs_f64()), best.1.min(cpu_secs() - cpu));
    }
    print("build", best.0);
    print("build_cpu", best.1);
    print("cache_mb", cache.expect("large enough").bytes() as f64 / 1e6);
    print("file_mb", file.metadata().expect("the file is there").len() as f64 / 1e6);
    print("threads", std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64));
}

fn cached(file: &Path, folder: &Path) {
    let settings = Settings { gene_caches: Some(folder.to_path_buf()), ..Settings::default() };
    let session = Session::start(settings).expect("the engine starts");
    open(&session, file);
    // The cache is found in the background: the session's own job, or this one, whichever comes first.
    finish(&session, session.send(Command::OrderGenes), |_| {});
    print("cached_first_gene", timed(&session, Command::ColourByGene { gene: 4321 }));
    let mut times: Vec<f64> =
        (0..9).map(|i| timed(&session, Command::ColourByGene { gene: 500 + 1111 * i })).collect();
    times.sort_by(f64::total_cmp);
    print("cached_gene", times.get(times.len() / 2).copied().unwrap_or(f64::NAN));
}

fn write(file: &Path, folder: &Path) {
    let session = Session::start(Settings::default()).expect("the engine starts");
    let dataset = open(&session, file);
    let labels: Arc<[HandLabels]> = (0..10)
        .map(|column: usize| HandLabels {
            name: format!("column {column}"),
            labels: (0..20).map(|label| format!("label {label}")).collect(),
            terms: vec![None; 20],
            codes: (0..dataset.n_obs).map(|cell| Some(((cell * 31 + column) % 20) as u32)).collect(),
        })
        .collect();
    std::fs::create_dir_all(folder).expect("the folder is made");
    let (plain, copy) = (folder.join("plain.h5ad"), folder.join("copy.h5ad"));
    let (mut plain_times, mut copy_times) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let begun = Instant::now();
        std::fs::copy(file, &plain).expect("a copy");
        std::fs::File::open(&plain).and_then(|f| f.sync_all()).expect("a copy on disk");
        plain_times.push(begun.elapsed().as_secs_f64());
        std::fs::remove_file(&plain).expect("it goes again");
        let command = Command::WriteCopy { path: copy.clone(), labels: labels.clone(), replace: false };
        copy_times.push(timed(&session, command));
        if copy_times.len() == 1 {
            // The file is hashed the first time.
            print("first_write", copy_times.iter().sum());
        }
        std::fs::remove_file(&copy).expect("it goes again");
    }
    for (name, times) in [("plain_copy", plain_times), ("write", copy_times)] {
        print(name, times.into_iter().fold(f64::INFINITY, f64::min));
    }
}

/// Processor time that this process has taken on all cores, where the system tells: hundredths of a second in the
/// fields 14 and 15, of which the first two end with a bracket.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
    if ticks.len() == 2 { ticks.iter().sum::<f64>() / 100.0 } else { f64::NAN }
}

/// The most memory that this process held, where the system tells.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok())
        .map_or(f64::NAN, |kb| kb / 1024.0)
}
