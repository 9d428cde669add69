//! Texts: those that HDF5 keeps in blocks, and names that repeat.

use std::collections::HashSet;

/// The head of a block, and of an object in it.
const HEAD_BYTES: usize = 16;
/// A text's length (4 bytes), the address of its block (8) and its number there (4).
pub const REFERENCE_BYTES: usize = 16;

/// Where `wanted` stands in `bytes`.
pub fn find_all(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    memchr::memmem::find_iter(bytes, wanted).collect()
}

/// How many of `names` stood before.
pub fn n_repeated(names: &[String]) -> usize {
    let mut seen: HashSet<&str> = HashSet::with_capacity(names.len());
    names.len() - names.iter().filter(|name| seen.insert(name)).count()
}

/// Bytes as text: UTF-8, or Latin-1 where they are not UTF-8, as files written on old systems are.
pub fn text_of(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes)
        .map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
}

/// Reads texts out of the blocks that HDF5 keeps them in ("global heap collection", HDF5 file format specification,
/// section III.E): objects of a number (2 bytes), a count (2), 4 bytes of nothing, a size (8) and as many bytes, filled
/// up to a multiple of 8.
#[derive(Debug)]
pub struct Blocks {
    /// Bytes that all texts may still take: many references may point to one long text.
    left: usize,
    address: u64,
    block: Vec<u8>,
    /// Where each object of the block lies, by number; an end of 0 where there is none.
    objects: Vec<(u32, u32)>,
}

impl Blocks {
    /// For texts of at most `most_bytes` together.
    pub fn new(most_bytes: usize) -> Self {
        Self { left: most_bytes, address: 0, block: Vec::new(), objects: Vec::new() }
    }

    /// Adds the texts that `references` point to. `read` fills its buffer with the block at an address and says whether
    /// one is there. `None` for what does not hold together.
    pub fn texts(
        &mut self,
        references: &[u8],
        read: &mut dyn FnMut(u64, &mut Vec<u8>) -> bool,
        texts: &mut Vec<String>,
    ) -> Option<()> {
        for reference in references.as_chunks::<REFERENCE_BYTES>().0 {
            let (length, rest) = reference.split_first_chunk::<4>()?;
            let (address, number) = rest.split_first_chunk::<8>()?;
            let length = u32::from_le_bytes(*length) as usize;
            if length == 0 {
                texts.push(String::new());
                continue;
            }
            let address = u64::from_le_bytes(*address);
            if address != self.address || self.block.is_empty() {
                self.block.clear();
                self.address = address;
                if !read(address, &mut self.block) {
                    return None;
                }
                self.list()?;
            }
            let number = u32::from_le_bytes(*number.first_chunk::<4>()?);
            let (start, end) = *self.objects.get(number as usize)?;
            let object = self.block.get(start as usize..end as usize)?.get(..length)?;
            self.left = self.left.checked_sub(length)?;
            // The library gives texts with a zero byte behind, so that one within ends them.
            let object = match memchr::memchr(0, object) {
                Some(end) => &object[..end],
                None => object,
            };
            texts.push(text_of(object));
        }
        Some(())
    }

    fn list(&mut self) -> Option<()> {
        self.objects.clear();
        let mut at = HEAD_BYTES;
        while let Some(head) = self.block.get(at..at + HEAD_BYTES) {
            let number = usize::from(u16::from_le_bytes(*head.first_chunk::<2>()?));
            let size = usize::try_from(u64::from_le_bytes(*head.last_chunk::<8>()?)).ok()?;
            if number == 0 {
                break;
            }
            let end = (at + HEAD_BYTES).checked_add(size).filter(|end| *end <= self.block.len())?;
            if self.objects.len() <= number {
                self.objects.resize(number + 1, (0, 0));
            }
            self.objects[number] = (u32::try_from(at + HEAD_BYTES).ok()?, u32::try_from(end).ok()?);
            at = end.next_multiple_of(8);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(objects: &[(u16, &str)]) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_BYTES];
        for (number, text) in objects {
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(&[0; 6]);
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes.resize(bytes.len() + 40, 0);
        bytes
    }

    fn reference(length: u32, address: u64, number: u32) -> Vec<u8> {
        [&length.to_le_bytes()[..], &address.to_le_bytes(), &number.to_le_bytes()].concat()
    }

    fn texts(references: &[Vec<u8>]) -> Option<Vec<String>> {
        let blocks = [block(&[(1, "one"), (2, "zwölf zwei")]), block(&[(7, "a\0b")])];
        let mut read = |address: u64, bytes: &mut Vec<u8>| {
            let found = blocks.get(address as usize / 100);
            bytes.extend_from_slice(found.map_or(&[], Vec::as_slice));
            found.is_some()
        };
        let mut texts = Vec::new();
        Blocks::new(20).texts(&references.concat(), &mut read, &mut texts)?;
        Some(texts)
    }

    #[test]
    fn texts_are_found_in_their_blocks() {
        let all = [reference(11, 0, 2), reference(3, 0, 1), reference(0, 0, 0), reference(3, 100, 7)];
        assert_eq!(texts(&all).unwrap(), ["zwölf zwei", "one", "", "a"]);
        assert_eq!(texts(&[reference(2, 0, 1)]).unwrap(), ["on"]);
        assert_eq!(texts(&[reference(11, 0, 2), reference(11, 0, 2)]), None, "more than 20 bytes in all");
    }

    #[test]
    fn references_that_lead_nowhere_are_refused() {
        for wrong in [reference(4, 0, 1), reference(1, 0, 3), reference(1, 200, 1), reference(u32::MAX, 0, 1)]
        {
            assert_eq!(texts(&[wrong]), None);
        }
    }

    #[test]
    fn repeated_names_are_counted_once_for_each_repetition() {
        let names: Vec<String> = ["a", "b", "a", "a", "c", "b"].map(str::to_owned).into();
        assert_eq!(n_repeated(&names), 3);
        assert_eq!(n_repeated(&[]), 0);
        assert_eq!(find_all(b"xGCOLyGCGCOL", b"GCOL"), [1, 8]);
    }
}
