//! Writing files so that no reader ever sees half of one, and naming their content by hash.

mod large;

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::progress::Watch;
use crate::{Error, Result};

pub use large::LargeWriter;

/// Read at a time for a hash: a core's own cache holds it.
const BLOCK: usize = 1 << 18;

/// Writes `bytes` to `path` through a temporary file beside it, so that a crash leaves the old content or the new.
///
/// # Errors
/// [`Error::Io`] naming `path`.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole(path, |file| file.write_all(bytes).map_err(|e| Error::io("write", path, e)))
}

/// Has `content` write `path` piece by piece, in the same way.
///
/// # Errors
/// [`Error::Io`] naming `path`, and what `content` fails with: then nothing is left.
pub fn write_whole(path: &Path, content: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let failed = |e: std::io::Error| Error::io("write", path, e);
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
    {
        let mut buffered = BufWriter::new(file.as_file_mut());
        content(&mut buffered)?;
        buffered.flush().map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    // A temporary file is private to its owner; a result is not.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(open).map_err(failed)?;
    }
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Fills `bytes` with what `file` holds from `at` on. Several threads may read one file so.
///
/// # Errors
/// Where it cannot be read or ends before.
pub fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
    }
    #[cfg(windows)]
    {
        let (mut bytes, mut at) = (bytes, at);
        while !bytes.is_empty() {
            let n = std::os::windows::fs::FileExt::seek_read(file, bytes, at)?;
            if n == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            bytes = bytes.get_mut(n..).unwrap_or_default();
            at += n as u64;
        }
        Ok(())
    }
}

/// SHA-256 of `bytes`, as 64 hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of the file at `path`, as 64 hex digits, read in blocks.
///
/// # Errors
/// [`Error::Io`] or [`Error::Cancelled`].
pub fn sha256_of_file(path: &Path, watch: &Watch) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let total = file.metadata().ok().map(|m| m.len());
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut done = 0;
    loop {
        let n = file.read(&mut block).map_err(|e| Error::io("read", path, e))?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&block[..n]);
        done += n as u64;
        watch.step("Hashing the file", done, total)?;
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_is_read_where_it_lies_and_not_beyond_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "abcdef").unwrap();
        let file = File::open(&path).unwrap();
        let mut bytes = [0; 3];
        for (at, found) in [(2, b"cde"), (0, b"abc"), (3, b"def")] {
            read_exact_at(&file, &mut bytes, at).unwrap();
            assert_eq!(&bytes, found);
        }
        assert!(read_exact_at(&file, &mut bytes, 4).is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_and_hashes_as_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"abc").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(
            sha256_of_file(&path, &Watch::silent()).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
