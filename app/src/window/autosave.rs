//! Labels, sets and colours saved by themselves, so that a crash takes nothing along.
//!
//! Each data set has one file in the user's data folder, in the form of a session file, and up to ten older ones
//! beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::Result;

use super::document::Document;
use super::session_file::{self, EXTENSION, Identity};

/// Older files kept.
const BACKUPS: usize = 10;
/// The time from one backup to the next: ten saves in a row must not push out what was there an hour ago.
pub const BACKUP_EVERY: Duration = Duration::from_secs(300);

/// The folder for it, in the user's data folder.
pub fn default_folder() -> Option<PathBuf> {
    Some(directories::ProjectDirs::from("org", "Cell2Text", "Cell2Text")?.data_dir().join("autosave"))
}

fn file(folder: &Path, key: &str, backup: usize) -> PathBuf {
    let number = if backup == 0 { String::new() } else { format!(".{backup}") };
    folder.join(format!("{key}{number}{EXTENSION}"))
}

/// Saves `text` for the data set of this key; the file before becomes a backup where the last backup is older than
/// `backup_every`.
///
/// # Errors
/// [`engine::Error::Io`].
pub fn store(folder: &Path, key: &str, text: &str, backup_every: Duration) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| engine::Error::io("make the folder", folder, e))?;
    let newest = file(folder, key, 1);
    let age = std::fs::metadata(&newest).and_then(|m| m.modified()).ok().and_then(|m| m.elapsed().ok());
    let current = file(folder, key, 0);
    if current.exists() && (!newest.exists() || age.is_none_or(|age| age >= backup_every)) {
        for older in (1..BACKUPS).rev() {
            // One that is not there leaves its place free.
            let _ = std::fs::rename(file(folder, key, older), file(folder, key, older + 1));
        }
        if let Err(error) = std::fs::copy(&current, &newest) {
            tracing::warn!("{}: could not be kept as a backup: {error}", current.display());
        }
    }
    engine::files::write_atomically(&current, text.as_bytes())
}

/// What was saved for this data set: the newest file that can be read. `None` where nothing was saved or nothing of
/// it would be missed.
pub fn load(folder: &Path, data: &Identity) -> Option<Document> {
    let key = data.key();
    (0..=BACKUPS).map(|backup| file(folder, &key, backup)).filter(|path| path.exists()).find_map(|path| {
        match session_file::read(&path).and_then(|session| session.document(data)) {
            Ok(document) => Some(document),
            Err(error) => {
                tracing::warn!("what was saved by itself cannot be read: {error}");
                None
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::document::Edit;
    use super::super::state::View;
    use super::*;

    fn identity() -> Identity {
        Identity { name: "a".into(), path: None, bytes: None, n_obs: 3, obs_index_sha256: "00".into() }
    }

    fn with_set(name: &str) -> Document {
        let mut document = Document::new(3);
        document.apply(&Edit::SaveSet(name.into())).unwrap();
        document
    }

    fn save(folder: &Path, name: &str, every: Duration) {
        let text = session_file::to_text(identity(), &with_set(name), &View::default());
        store(folder, &identity().key(), &text, every).unwrap();
    }

    #[test]
    fn ten_older_files_are_kept_and_a_damaged_one_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path(), &identity()), None);
        for i in 0..15 {
            save(folder.path(), &i.to_string(), Duration::ZERO);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1 + BACKUPS);
        assert_eq!(load(folder.path(), &identity()), Some(with_set("14")));
        std::fs::write(file(folder.path(), &identity().key(), 0), "{").unwrap();
        assert_eq!(load(folder.path(), &identity()), Some(with_set("13")));
        let other = Identity { name: "b".into(), ..identity() };
        assert_eq!(load(folder.path(), &other), None);
    }

    #[test]
    fn saves_in_a_row_make_one_backup() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..6 {
            save(folder.path(), &i.to_string(), BACKUP_EVERY);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
