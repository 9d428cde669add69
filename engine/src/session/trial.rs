//! Files are tried in a process of their own before they are opened here: the library that reads HDF5 can crash on
//! damaged ones, and a crash must not take unsaved work along.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::command::DataSource;
use super::dataset::assemble;
use super::run::Settings;
use crate::anndata::AnnData;
use crate::error::Problem;
use crate::files::{sha256_hex, write_atomically};
use crate::progress::Watch;
use crate::{Error, Result};

/// How often the other process is looked at.
const POLL: Duration = Duration::from_millis(5);
/// Files that are remembered as harmless.
const MOST_REMEMBERED: usize = 1000;
const REMEMBERED: &str = "tried.txt";

/// Reads `path` as opening it and looking at its first cells would, and all that the library goes by when it reads the
/// others: groups, descriptions, lists of chunks. What goes wrong in order is told when it is opened.
pub fn try_file(path: &Path) {
    let _ = read(path);
}

fn read(path: &Path) -> Result<()> {
    let watch = Watch::silent();
    let data = AnnData::open(path, &watch)?;
    let choice = data.choose_matrix()?;
    let key = choice.key.clone();
    assemble(DataSource::File(path.to_path_buf()), String::new(), &data, choice, &watch)?;
    data.survey(&watch)?;
    let matrix = data.matrix(&key)?;
    let n = matrix.n_rows();
    if matrix.rows_are_cheap() && n > 0 {
        for row in [0, n / 2, n - 1] {
            matrix.row(row)?;
        }
    }
    Ok(())
}

/// Has another process read `path` first, where the settings name one and the file is not known to be harmless.
///
/// # Errors
/// [`Error::AnnData`] where that process crashed; [`Error::Cancelled`].
pub(super) fn try_apart(settings: &Settings, path: &Path, watch: &Watch) -> Result<()> {
    let Some(program) = settings.trial.as_ref().filter(|_| may_be_hdf5(path)) else { return Ok(()) };
    let memory = settings.gene_caches.as_ref().map(|folder| folder.join(REMEMBERED));
    let name = name_of(path);
    let known = memory.as_ref().and_then(|memory| std::fs::read_to_string(memory).ok()).unwrap_or_default();
    if name.as_ref().is_some_and(|name| known.lines().any(|line| line == name)) {
        return Ok(());
    }
    watch.step("Trying the file", 0, None)?;
    let started = Command::new(program)
        .arg("try")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut process = match started {
        Ok(process) => process,
        Err(error) => {
            // Without a second process the file is opened as it always was.
            tracing::warn!("files are opened untried, because {}: {error}", program.display());
            return Ok(());
        }
    };
    let status = loop {
        match process.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {}
            Err(error) => return Err(Error::io("try", path, error)),
        }
        if let Err(stopped) = watch.check() {
            let _ = process.kill();
            let _ = process.wait();
            return Err(stopped);
        }
        std::thread::sleep(POLL);
    };
    // An end in order has a small code; a crash has a signal's, or on Windows a large one.
    if !status.code().is_some_and(|code| (0..256).contains(&code)) {
        return Err(Error::anndata(
            Problem::new(
                "file",
                format!("damage that makes the HDF5 library crash ({status})"),
                "an undamaged HDF5 file",
                "Nothing was opened, and what you have open is safe. Get the file again from its source.",
            )
            .in_file(path),
        ));
    }
    if let (Some(memory), Some(name)) = (memory, name) {
        remember(&memory, &known, &name);
    }
    Ok(())
}

/// Whether the library has to read `path`: folders, and the text files of a 10x folder, are read without it. A copy of their
/// matrix would be made in vain, and left behind where the trial is stopped.
fn may_be_hdf5(path: &Path) -> bool {
    let begins_with = |beginnings: &[&[u8]]| {
        let mut first = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(16).read_to_end(&mut first));
        read.is_ok() && beginnings.iter().any(|beginning| first.starts_with(beginning))
    };
    !path.is_dir() && !begins_with(&[b"\x1f\x8b", b"%%MatrixMarket"])
}

/// What stands for the file as it is now.
fn name_of(path: &Path) -> Option<String> {
    let meta = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let path: PathBuf = path.canonicalize().ok()?;
    let modified = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos();
    Some(sha256_hex(format!("{} {} {modified}", path.display(), meta.len()).as_bytes()))
}

/// Adds a file to those known to be harmless. Where that fails it is tried again next time.
fn remember(memory: &Path, known: &str, name: &str) {
    let lines: Vec<&str> = known.lines().chain([name]).collect();
    let last = lines.get(lines.len().saturating_sub(MOST_REMEMBERED)..).unwrap_or_default();
    let folder = memory.parent().map_or(Ok(()), std::fs::create_dir_all);
    if folder.is_ok() {
        let _ = write_atomically(memory, format!("{}\n", last.join("\n")).as_bytes());
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::progress::Cancel;

    fn settings(script: &str, folder: &Path) -> Settings {
        use std::os::unix::fs::PermissionsExt as _;
        let program = folder.join("program");
        std::fs::write(&program, format!("#!/bin/sh\necho >> \"$0.runs\"\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Settings { trial: Some(program), gene_caches: Some(folder.join("cache")), ..Settings::default() }
    }

    fn runs(folder: &Path) -> usize {
        std::fs::read_to_string(folder.join("program.runs")).map_or(0, |text| text.lines().count())
    }

    #[test]
    fn what_the_library_does_not_read_is_not_tried() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings("kill -SEGV $$", folder.path());
        let (text, packed) = (folder.path().join("matrix.mtx"), folder.path().join("matrix.mtx.gz"));
        std::fs::write(&text, "%%MatrixMarket matrix coordinate integer general\n").unwrap();
        std::fs::write(&packed, b"\x1f\x8b\x08").unwrap();
        for path in [folder.path(), &text, &packed] {
            try_apart(&settings, path, &Watch::silent()).unwrap();
        }
        assert_eq!(runs(folder.path()), 0);
    }

    #[test]
    fn a_file_that_makes_the_reader_crash_is_refused_and_tried_again_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.h5ad");
        std::fs::write(&file, "x").unwrap();
        let settings = settings("kill -SEGV $$", folder.path());
        for _ in 0..2 {
            let error = try_apart(&settings, &file, &Watch::silent()).unwrap_err().to_string();
            assert!(error.contains("a.h5ad") && error.contains("crash") && error.contains("safe"), "{error}");
        }
        assert_eq!(runs(folder.path()), 2);
    }

    #[test]
    fn a_harmless_file_is_tried_once_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.h5ad");
        std::fs::write(&file, "x").unwrap();
        // A refusal in order is told by the one who opens the file.
        let settings = settings("test \"$1\" = try && exit 3", folder.path());
        for expected in [1, 1] {
            try_apart(&settings, &file, &Watch::silent()).unwrap();
            assert_eq!(runs(folder.path()), expected);
        }
        std::fs::write(&file, "xy").unwrap();
        try_apart(&settings, &file, &Watch::silent()).unwrap();
        assert_eq!(runs(folder.path()), 2);
    }

    #[test]
    fn a_trial_that_hangs_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.h5ad");
        std::fs::write(&file, "x").unwrap();
        let settings = settings("exec sleep 600", folder.path());
        let cancel = Cancel::new();
        let watch = Watch::new(cancel.clone(), move |_| {});
        let stop = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            cancel.cancel();
        });
        assert!(try_apart(&settings, &file, &watch).unwrap_err().is_cancelled());
        stop.join().unwrap();
    }

    #[test]
    fn without_a_second_process_files_open_as_always() {
        let none = Settings::default();
        try_apart(&none, Path::new("a.h5ad"), &Watch::silent()).unwrap();
        let gone = Settings { trial: Some("no such program".into()), ..Settings::default() };
        try_apart(&gone, Path::new("a.h5ad"), &Watch::silent()).unwrap();
    }
}
