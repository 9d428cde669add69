//! Writing large files without filling the system's cache with them.
//!
//! A twin or a copy of an atlas is written once and read sparsely, if at all. Through the cache each of its bytes would
//! be copied once more by the processor, and would push out what other programs, and this one, read again and again.
//! Linux takes whole blocks straight from memory (`O_DIRECT`); where a drive or a system does not, and for what is no
//! whole block, the file is written as any other.

use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::path::Path;

/// What drives read and write at a time divides this.
const BLOCK: usize = 4096;
/// Written at a time.
const ROOM: usize = 4 << 20;

/// Writes a file from some place on. What waits in memory is in the file after [`LargeWriter::flush`] only.
#[derive(Debug)]
pub struct LargeWriter {
    /// The file as the system's cache has it.
    cached: File,
    /// The same file past the cache; `None` where that does not go.
    direct: Option<File>,
    /// Holds [`ROOM`] bytes from the first whole block of memory on.
    memory: Vec<u8>,
    /// Where the room begins in `memory`.
    first: usize,
    /// Bytes that wait.
    waiting: usize,
    /// Where the room begins in the file, whole blocks from its beginning.
    at: u64,
}

impl LargeWriter {
    /// For the bytes from `at` on of `file`, which lies at `path` and is open for reading and writing. Those before stay as
    /// they are. A lock on `file` holds for what is written here.
    ///
    /// # Errors
    /// Where the file is shorter, or cannot be read.
    pub fn new(file: &File, path: &Path, at: u64) -> Result<Self> {
        let mut cached = file.try_clone()?;
        let mut memory = vec![0; ROOM + BLOCK];
        let first = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        let waiting = (at % BLOCK as u64) as usize;
        let at = at - waiting as u64;
        cached.seek(SeekFrom::Start(at))?;
        cached.read_exact(memory.get_mut(first..first + waiting).unwrap_or_default())?;
        Ok(Self { cached, direct: open_direct(path), memory, first, waiting, at })
    }

    /// Where the next byte comes to lie.
    pub fn position(&self) -> u64 {
        self.at + self.waiting as u64
    }

    /// Room for the next bytes, never none. [`Self::advance`] says how many were put there.
    fn room(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.first + self.waiting..self.first + ROOM).unwrap_or_default()
    }

    /// Takes the first `n` bytes of the room as the next of the file.
    fn advance(&mut self, n: usize) -> Result<()> {
        self.waiting = (self.waiting + n).min(ROOM);
        if self.waiting == ROOM {
            self.put(ROOM)?;
            self.at += ROOM as u64;
            self.waiting = 0;
        }
        Ok(())
    }

    /// Puts the first `n` bytes that wait into the file.
    fn put(&mut self, n: usize) -> Result<()> {
        let whole = n - n % BLOCK;
        let bytes = self.memory.get(self.first..self.first + n).unwrap_or_default();
        let (blocks, rest) = bytes.split_at(whole);
        let mut written = 0;
        if let Some(direct) = &mut self.direct {
            let done = direct.seek(SeekFrom::Start(self.at)).and_then(|_| direct.write_all(blocks));
            match done {
                Ok(()) => written = whole,
                // The drive wants otherwise shaped blocks, or none so. A full drive says so again below.
                Err(_) => self.direct = None,
            }
        }
        if written == 0 {
            self.cached.seek(SeekFrom::Start(self.at))?;
            self.cached.write_all(blocks)?;
        }
        self.cached.seek(SeekFrom::Start(self.at + whole as u64))?;
        self.cached.write_all(rest)
    }
}

impl Write for LargeWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let room = self.room();
        let n = bytes.len().min(room.len());
        room[..n].copy_from_slice(&bytes[..n]);
        self.advance(n)?;
        Ok(n)
    }

    /// Puts what waits into the file. It is not on the disk by that: [`File::sync_all`] sees to it.
    fn flush(&mut self) -> Result<()> {
        self.put(self.waiting)?;
        // The block that is not whole yet is written again with what follows.
        let whole = self.waiting - self.waiting % BLOCK;
        self.memory.copy_within(self.first + whole..self.first + self.waiting, self.first);
        self.at += whole as u64;
        self.waiting -= whole;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).custom_flags(libc::O_DIRECT).open(path).ok()
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &Path) -> Option<File> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(n: usize, seed: usize) -> Vec<u8> {
        (0..n).map(|i| ((i * 31 + seed) >> 3) as u8).collect()
    }

    #[test]
    fn what_is_written_in_pieces_of_any_size_is_in_the_file_after_each_flush() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        for direct in [true, false] {
            let mut expected = bytes(10_001, 5);
            std::fs::write(&path, &expected).unwrap();
            // From the middle on, over what stood there.
            expected.truncate(7_003);
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let mut writer = LargeWriter::new(&file, &path, 7_003).unwrap();
            if !direct {
                writer.direct = None;
            }
            for (i, n) in [1, 0, 4095, 4096, 5 << 20, 17, ROOM, 2 * ROOM + 1, 3].into_iter().enumerate() {
                let piece = bytes(n, i);
                writer.write_all(&piece).unwrap();
                expected.extend_from_slice(&piece);
                assert_eq!(writer.position(), expected.len() as u64);
                if i % 2 == 1 {
                    writer.flush().unwrap();
                    let found = std::fs::read(&path).unwrap();
                    assert!(found.get(..expected.len()) == Some(&*expected), "after piece {i}");
                }
            }
            writer.flush().unwrap();
            assert!(std::fs::read(&path).unwrap() == expected);
        }
    }

    #[test]
    fn a_file_that_is_shorter_than_where_it_should_go_on_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short");
        std::fs::write(&path, "short").unwrap();
        let file = File::open(&path).unwrap();
        assert!(LargeWriter::new(&file, &path, 5).is_ok());
        assert!(LargeWriter::new(&file, &path, 100).is_err());
    }
}
