//! A check that HDF5 lacks: the blocks that hold texts of variable length are walked from object to object, and an
//! object that claims no bytes at all lets the library go round forever.
//!
//! Such a block ("global heap collection", HDF5 file format specification, section III.E) begins with `GCOL`, a version
//! and its size; each object has a number (2 bytes), a count (2), 4 bytes of nothing, its size (8) and its bytes, filled
//! up to a multiple of 8. Number 0 is the room left, whose size counts its own head.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use unpack::numbers::Number;
use unpack::texts::{Blocks, REFERENCE_BYTES, find_all};

use super::chunks::Chunks;
use super::store::Stored;
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

const SIGNATURE: &[u8; 4] = b"GCOL";
const HEAD_BYTES: usize = 16;
/// So much of a file is searched for blocks: all of small ones. The texts of larger ones are checked when they are read.
const SEARCHED_BYTES: u64 = 16 << 20;
const WINDOW_BYTES: usize = 1 << 20;
/// A block is never larger in practice; one that claims to be is left to HDF5.
const LARGEST_BLOCK: u64 = 64 << 20;
/// Texts of a column that are longer in all are left to the library, and refused before it reads them.
const MOST_TEXT_BYTES: usize = 2 << 30;
/// Most blocks are of this size, the library's smallest.
const USUAL_BLOCK: usize = 4096;

/// Refuses a file one of whose blocks, as far as they are searched for, would never end.
///
/// # Errors
/// [`Error::AnnData`]; [`Error::Io`] where the file cannot be read.
pub(super) fn check_file(path: &Path) -> Result<()> {
    let failed = |e| Error::io("read the cell file", path, e);
    let mut file = File::open(path).map_err(failed)?;
    let mut block_file = None;
    let mut window = vec![0; WINDOW_BYTES];
    let (mut start, mut kept) = (0u64, 0);
    while start < SEARCHED_BYTES {
        let read = file.read(window.get_mut(kept..).unwrap_or_default()).map_err(failed)?;
        let filled = window.get(..kept + read).unwrap_or_default();
        if read == 0 {
            return Ok(());
        }
        for at in find_all(filled, SIGNATURE) {
            let (address, here) = (start + at as u64, filled.get(at..).unwrap_or_default());
            let size = size_of(here).and_then(|size| usize::try_from(size).ok());
            match size.and_then(|size| here.get(..size)) {
                // Nearly all blocks lie in the window as a whole.
                Some(block) if never_ends(block) => return Err(refused(path, address)),
                Some(_) => {}
                None => {
                    let file = match &mut block_file {
                        Some(file) => file,
                        None => block_file.insert(File::open(path).map_err(failed)?),
                    };
                    check_block(file, address, path)?;
                }
            }
        }
        // A signature may lie across two windows.
        let next = filled.len().saturating_sub(SIGNATURE.len() - 1);
        kept = filled.len() - next;
        start += next as u64;
        window.copy_within(next..next + kept, 0);
    }
    Ok(())
}

/// Refuses a block at `address` that would never end.
///
/// # Errors
/// As [`check_file`].
pub(super) fn check_block(file: &mut File, address: u64, path: &Path) -> Result<()> {
    let mut block = vec![0; HEAD_BYTES];
    if file.seek(SeekFrom::Start(address)).and_then(|_| file.read_exact(&mut block)).is_err() {
        return Ok(()); // HDF5 says this better.
    }
    let Some(size) = size_of(&block).filter(|size| *size <= LARGEST_BLOCK) else { return Ok(()) };
    let read = file.take(size - HEAD_BYTES as u64).read_to_end(&mut block);
    if read.is_ok() && never_ends(&block) { Err(refused(path, address)) } else { Ok(()) }
}

/// The texts of a one-dimensional dataset, read past the library, which takes several times as long; `None` where it
/// must read them: the references lie in an unknown way, or something does not hold together.
///
/// # Errors
/// [`Error::Cancelled`].
pub(super) fn texts(stored: &Stored, watch: &Watch) -> Result<Option<Vec<String>>> {
    // What the references are made of does not matter, only their width.
    let references = Chunks::of_items(stored, Number::U8, REFERENCE_BYTES);
    let Some((references, file)) = references.zip(File::open(stored.store().path()).ok()) else {
        return Ok(None);
    };
    let mut file = file;
    let mut read = |address: u64, block: &mut Vec<u8>| read_block(&mut file, address, block).is_some();
    let mut blocks = Blocks::new(MOST_TEXT_BYTES);
    let mut texts = Vec::with_capacity(stored.len().min(1 << 24));
    for i in 0..references.n_chunks() {
        watch.check()?;
        let added = references.with_handle(|handle| {
            let bytes = references.bytes(i, handle).ok()?;
            blocks.texts(bytes, &mut read, &mut texts)
        });
        if added.is_none() {
            return Ok(None);
        }
    }
    // Files differ in what they count addresses from, and in how wide these are.
    let n = stored.len();
    let agree = texts.len() == n
        && [0, n / 2, n.saturating_sub(1)].iter().all(|row| texts.get(*row) == stored.text_at(*row).as_ref());
    Ok(agree.then_some(texts))
}

/// Fills `block` with that at `address`.
fn read_block(file: &mut File, address: u64, block: &mut Vec<u8>) -> Option<()> {
    block.resize(USUAL_BLOCK, 0);
    file.seek(SeekFrom::Start(address)).ok()?;
    let mut filled = 0;
    while filled < block.len() {
        match file.read(block.get_mut(filled..)?).ok()? {
            0 => break,
            n => filled += n,
        }
    }
    block.truncate(filled);
    let size = size_of(block).filter(|size| *size <= LARGEST_BLOCK)? as usize;
    if size > filled {
        block.resize(size, 0);
        file.read_exact(block.get_mut(filled..)?).ok()?;
    }
    block.truncate(size);
    (!never_ends(block)).then_some(())
}

/// The size that a block says it has; `None` for what is no block.
fn size_of(block: &[u8]) -> Option<u64> {
    let head = block.get(..HEAD_BYTES)?;
    let is_block = head.starts_with(SIGNATURE) && head.get(4..8) == Some(&[1, 0, 0, 0]);
    let size = u64::from_le_bytes(head.get(8..16)?.try_into().ok()?);
    (is_block && size >= HEAD_BYTES as u64).then_some(size)
}

/// Whether the library would go round forever in this block.
fn never_ends(block: &[u8]) -> bool {
    let mut at = HEAD_BYTES;
    while let Some(head) = block.get(at..at.saturating_add(HEAD_BYTES)) {
        let number = head.first_chunk::<2>().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        let size = head.last_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let step = match number {
            0 => size,
            // As the library counts, which does not notice when it goes round the largest number.
            _ => (size.wrapping_add(7) & !7).wrapping_add(HEAD_BYTES as u64),
        };
        if step == 0 {
            return true;
        }
        // Beyond the block, or so far that it comes back from the other side: the library looks at that itself.
        match usize::try_from(step).ok().and_then(|step| at.checked_add(step)) {
            Some(next) if step < 1 << 62 => at = next,
            _ => return step > u64::MAX - block.len() as u64,
        }
    }
    false
}

fn refused(path: &Path, address: u64) -> Error {
    Error::anndata(
        Problem::new(
            "file",
            format!("a block of texts, at byte {address}, that never ends"),
            "an undamaged HDF5 file",
            "The file is damaged: get it again from its source.",
        )
        .in_file(path),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::tests::fixtures::Fixture;

    /// A block of these objects (number, size), filled with zeros up to `size`.
    fn block(objects: &[(u16, u64)], size: usize) -> Vec<u8> {
        let mut bytes = [&SIGNATURE[..], &[1, 0, 0, 0], &(size as u64).to_le_bytes()].concat();
        for (number, length) in objects {
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(&[0; 6]);
            bytes.extend_from_slice(&length.to_le_bytes());
            if *number > 0 && *length < 1000 {
                bytes.resize(bytes.len() + (*length as usize).next_multiple_of(8), b'x');
            }
        }
        bytes.resize(size, 0);
        bytes
    }

    #[test]
    fn a_block_ends_unless_an_object_claims_nothing() {
        assert!(!never_ends(&block(&[(1, 5), (2, 16), (0, 200)], 280)));
        assert!(never_ends(&block(&[(1, 5), (0, 0)], 280)));
        assert!(never_ends(&block(&[(1, 5), (2, u64::MAX - 15)], 280)));
        assert!(!never_ends(&block(&[(1, 5), (2, 1 << 40)], 280)));
        assert!(!never_ends(&block(&[], 16)));
    }
    #[test]
    fn a_file_whose_texts_would_never_end_is_refused_at_once() {
        let written = Fixture::new(20, 3).finish();
        let mut bytes = std::fs::read(&written.path).unwrap();
        let at = bytes.windows(4).position(|found| found == SIGNATURE).unwrap();
        check_file(&written.path).unwrap();
        // The first object becomes room left, of no size.
        bytes[at + HEAD_BYTES..at + 2 * HEAD_BYTES].fill(0);
        std::fs::write(&written.path, &bytes).unwrap();
        let error = written.open().unwrap_err().to_string();
        assert!(error.contains("never ends") && error.contains(&at.to_string()), "{error}");
        let mut file = File::open(&written.path).unwrap();
        assert!(check_block(&mut file, at as u64, &written.path).is_err());
    }
}
