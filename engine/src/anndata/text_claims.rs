//! A check that HDF5 lacks: a text of variable length is stored as its length and the place of its bytes, and the
//! library sets that length aside (up to 4 GiB) before it looks whether the bytes are there; many may share the bytes of
//! one. On the way the blocks that hold the bytes are checked ([`super::heaps`]).

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use unpack::numbers::Number;

use super::chunks::Chunks;
use super::heaps;
use super::store::Stored;
use crate::progress::Watch;
use crate::{Error, Result};

/// A length (4 bytes), the address of a heap (8) and a place in it (4): HDF5 file format specification, section
/// VIII.C, with the usual 8-byte addresses.
const REFERENCE_BYTES: usize = 16;
/// One column must never fill the memory.
const MOST_TEXT_BYTES: u64 = 2 << 30;
const REFERENCES_AT_A_TIME: usize = 1 << 12;

/// Refuses a dataset of texts one of which claims more bytes than the file has, or that claim more than memory should hold
/// together. What lies in a way that is not known here is left to the library.
///
/// # Errors
/// [`Error::AnnData`]; [`Error::Io`] where the file cannot be read; [`Error::Cancelled`].
pub(super) fn check(stored: &Stored, watch: &Watch) -> Result<()> {
    let path = stored.store().path();
    let failed = |e| Error::io("read the cell file", path, e);
    let Ok(dataset) = stored.hdf5() else { return Ok(()) };
    let mut file = File::open(path).map_err(failed)?;
    let file_bytes = file.metadata().map_err(failed)?.len();
    let heap = File::open(path).map_err(failed)?;
    let mut claims = Claims { stored, path, heap, file_bytes, last: 0, total: 0 };
    let mut signature = [0; 4];
    // Behind a user block addresses count from elsewhere.
    if file.read_exact(&mut signature).is_err() || signature != *b"\x89HDF" {
        return Ok(());
    }
    if dataset.is_chunked() {
        let Some(references) = Chunks::of_items(stored, Number::U8, REFERENCE_BYTES) else { return Ok(()) };
        return (0..references.n_chunks()).try_for_each(|i| {
            watch.check()?;
            references.with_handle(|handle| match references.bytes(i, handle) {
                Ok(block) => claims.take(block, references.range(i).start),
                Err(_) => Ok(()), // HDF5 says this better
            })
        });
    }
    let Some(offset) = dataset.offset() else { return Ok(()) };
    if dataset.storage_size() != stored.len() as u64 * REFERENCE_BYTES as u64 {
        return Ok(());
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut file = BufReader::new(file);
    let mut block = vec![0; REFERENCE_BYTES * REFERENCES_AT_A_TIME];
    for start in (0..stored.len()).step_by(REFERENCES_AT_A_TIME) {
        watch.check()?;
        let n = REFERENCES_AT_A_TIME.min(stored.len() - start);
        let Some(block) = block.get_mut(..n * REFERENCE_BYTES) else { return Ok(()) };
        if file.read_exact(block).is_err() {
            return Ok(()); // HDF5 says this better
        }
        claims.take(block, start)?;
    }
    Ok(())
}

/// What the texts looked at so far claim.
struct Claims<'a> {
    stored: &'a Stored,
    path: &'a Path,
    heap: File,
    file_bytes: u64,
    /// The block that was checked last.
    last: u64,
    /// Bytes of all.
    total: u64,
}

impl Claims<'_> {
    /// Looks at `references`, those of the rows from `first` on.
    fn take(&mut self, references: &[u8], first: usize) -> Result<()> {
        // Texts of one block follow each other.
        for address in references.chunks_exact(REFERENCE_BYTES).filter_map(|r| r.get(4..)?.first_chunk::<8>())
        {
            let address = u64::from_le_bytes(*address);
            if address != self.last && address != 0 {
                heaps::check_block(&mut self.heap, address, self.path)?;
                self.last = address;
            }
        }
        let refused = |found, expected, remedy| {
            Err(self.stored.store().problem(&self.stored.element, found, expected, remedy))
        };
        let lengths = references.chunks_exact(REFERENCE_BYTES).filter_map(|r| r.first_chunk::<4>());
        for (row, length) in (first..).zip(lengths.map(|bytes| u32::from_le_bytes(*bytes))) {
            if u64::from(length) > self.file_bytes {
                return refused(
                    format!("a text of {length} bytes at row {row}, in a file of {} bytes", self.file_bytes),
                    "texts that the file holds",
                    "The file is damaged: get it again from its source.",
                );
            }
            self.total += u64::from(length);
            if self.total > MOST_TEXT_BYTES {
                return refused(
                    format!("more than {} GiB of text in its first {} rows", MOST_TEXT_BYTES >> 30, row + 1),
                    "at most 2 GiB of text in a column",
                    "The file is damaged or was made to mislead: get it again from its source.",
                );
            }
        }
        Ok(())
    }
}
