//! Undoing the filters that data are packed with: shuffle, zlib and gzip, LZF, Zstandard, Blosc.
//!
//! Each whole piece is unpacked at once into a buffer that is used again for the next one.

use std::io::Read;

use libdeflater::Decompressor;

use crate::blosc::unpack_blosc_with;

/// A chunk is never larger than this when unpacked; HDF5's own limit is 4 GiB, and files of the field use a few MB.
pub const MOST_CHUNK_BYTES: usize = 256 << 20;

/// One step of a filter pipeline, in the order in which it was applied when the data were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The bytes of all values by significance; values of this many bytes.
    Shuffle(usize),
    /// zlib.
    Deflate,
    /// gzip, one member.
    Gzip,
    /// LZF.
    Lzf,
    /// Zstandard.
    Zstd,
    /// Blosc, the first generation.
    Blosc,
    /// Four bytes of CRC-32C behind the data, which are taken off. They are not compared: what is behind is unpacked
    /// with its own checks.
    Checksum,
}

/// Unpacks pieces one after the other, in two buffers that grow to the largest of them.
pub struct Unpacker {
    deflate: Decompressor,
    bytes: Vec<u8>,
    spare: Vec<u8>,
}

impl Default for Unpacker {
    fn default() -> Self {
        Self { deflate: Decompressor::new(), bytes: Vec::new(), spare: Vec::new() }
    }
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unpacker({} bytes)", self.bytes.len())
    }
}

impl Unpacker {
    /// Room for the next piece, `len` bytes to be overwritten.
    pub fn room(&mut self, len: usize) -> &mut [u8] {
        self.bytes.resize(len, 0);
        &mut self.bytes
    }

    /// Takes `bytes` as the next piece.
    pub fn take(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    /// The piece as it is now.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Undoes a filter over the piece; `size` is the most that it may become. `None` for damaged data.
    pub fn undo(&mut self, filter: Filter, size: usize) -> Option<()> {
        match filter {
            Filter::Shuffle(width) => {
                if width < 2 || self.bytes.len() < width {
                    return Some(());
                }
                self.spare.resize(self.bytes.len(), 0);
                unshuffle(&self.bytes, width, &mut self.spare);
            }
            Filter::Deflate => {
                self.spare.resize(size, 0);
                let n = self.deflate.zlib_decompress(&self.bytes, &mut self.spare).ok()?;
                self.spare.truncate(n);
            }
            Filter::Gzip => {
                self.spare.resize(size, 0);
                let n = self.deflate.gzip_decompress(&self.bytes, &mut self.spare).ok()?;
                self.spare.truncate(n);
            }
            Filter::Lzf => self.spare = unpack_lzf(&self.bytes, size)?,
            Filter::Zstd => self.spare = unpack_zstd(&self.bytes, size)?,
            Filter::Blosc => self.spare = unpack_blosc_with(&self.bytes, size, &mut self.deflate)?,
            Filter::Checksum => {
                let n = self.bytes.len().checked_sub(4)?;
                self.bytes.truncate(n);
                return Some(());
            }
        }
        std::mem::swap(&mut self.bytes, &mut self.spare);
        Some(())
    }
}

/// Everything that `reader` gives, at most `size` bytes.
fn read_all(reader: impl Read, size: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(size.min(1 << 20));
    // One byte more is asked for, so that too long data are noticed.
    reader.take(size as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= size).then_some(bytes)
}

/// Unpacks a Zstandard frame, at most `size` bytes; `None` for damaged data.
pub fn unpack_zstd(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    read_all(ruzstd::decoding::StreamingDecoder::new(packed).ok()?, size)
}

/// Brings the bytes of each value of `width` together again; what is left over at the end stays as it is. Both slices
/// have one length.
pub(crate) fn unshuffle(bytes: &[u8], width: usize, whole: &mut [u8]) {
    let n = bytes.len().checked_div(width).unwrap_or(0);
    if let 4 = width
        && let (Some((a, rest)), Some((values, end))) =
            (bytes.split_at_checked(n), whole.split_at_mut_checked(4 * n))
        && let Some((b, rest)) = rest.split_at_checked(n)
        && let Some((c, rest)) = rest.split_at_checked(n)
        && let Some((d, left)) = rest.split_at_checked(n)
    {
        for ((((value, a), b), c), d) in values.as_chunks_mut::<4>().0.iter_mut().zip(a).zip(b).zip(c).zip(d)
        {
            *value = [*a, *b, *c, *d];
        }
        end.copy_from_slice(left);
        return;
    }
    if n > 0 {
        for (place, plane) in bytes.chunks_exact(n).take(width).enumerate() {
            for (value, byte) in whole.chunks_exact_mut(width).zip(plane) {
                value[place] = *byte;
            }
        }
    }
    let end = n * width;
    whole[end..].copy_from_slice(&bytes[end..]);
}

/// Unpacks LZF, at most `size` bytes; `None` for damaged data.
///
/// A control byte below 32 is followed by that many plus one literal bytes. Any other holds, in its upper three bits,
/// the length less two of a copy (seven: the next byte adds to it) and, in its lower five with the byte after, how far
/// back it begins, less one.
pub fn unpack_lzf(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::with_capacity(size.min(MOST_CHUNK_BYTES));
    let mut rest = packed;
    while let Some((control, behind)) = rest.split_first() {
        let control = usize::from(*control);
        rest = behind;
        if control < 32 {
            copy_literal(&mut out, &mut rest, control + 1, size)?;
            continue;
        }
        let mut next = || {
            let (byte, behind) = rest.split_first()?;
            rest = behind;
            Some(usize::from(*byte))
        };
        let mut length = control >> 5;
        if length == 7 {
            length += next()?;
        }
        let back = ((control & 31) << 8) + next()? + 1;
        copy_back(&mut out, back, length + 2, size)?;
    }
    Some(out)
}

/// Moves the first `length` bytes of `rest` to the end of `out`. `None` where there are not so many, or where the whole would
/// grow beyond `size`.
pub(crate) fn copy_literal(out: &mut Vec<u8>, rest: &mut &[u8], length: usize, size: usize) -> Option<()> {
    let (literal, behind) = rest.split_at_checked(length)?;
    if out.len() + length > size {
        return None;
    }
    out.extend_from_slice(literal);
    *rest = behind;
    Some(())
}

/// Appends `length` bytes that begin `back` before the end. The copy may reach into what it writes itself: that is how
/// runs are packed. `None` where there is no such place, or where the whole would grow beyond `size`.
pub(crate) fn copy_back(out: &mut Vec<u8>, back: usize, length: usize, size: usize) -> Option<()> {
    let start = out.len().checked_sub(back).filter(|_| back > 0)?;
    if out.len().checked_add(length)? > size {
        return None;
    }
    if back >= length {
        out.extend_from_within(start..start + length);
    } else {
        for at in start..start + length {
            out.push(*out.get(at)?);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use libdeflater::{CompressionLvl, Compressor};

    use super::*;

    fn undone(filter: Filter, packed: &[u8], size: usize) -> Option<Vec<u8>> {
        let mut unpacker = Unpacker::default();
        unpacker.room(packed.len()).copy_from_slice(packed);
        unpacker.undo(filter, size)?;
        Some(unpacker.bytes().to_vec())
    }

    #[test]
    fn lzf_literals_short_copies_long_copies_and_runs_come_back() {
        // "abc", then three back for five: "abcab"; then a run of 12 times the last byte, one back.
        let packed = [2, b'a', b'b', b'c', 3 << 5, 2, 7 << 5, 3, 0];
        assert_eq!(unpack_lzf(&packed, 100).unwrap(), b"abcabcabbbbbbbbbbbbb");
        assert_eq!(unpack_lzf(&packed, 20).unwrap().len(), 20);
    }

    #[test]
    fn damaged_lzf_is_refused_and_never_grows_beyond_its_size() {
        for packed in [&[5, b'a'][..], &[1 << 5], &[1 << 5, 9], &[7 << 5], &[0, b'a', 1 << 5, 1]] {
            assert_eq!(unpack_lzf(packed, 100), None, "{packed:?}");
        }
        let run = [[0, b'a', 7 << 5, 255, 0].to_vec(), [7 << 5, 255, 0].repeat(10)].concat();
        assert_eq!(unpack_lzf(&run, 1000), None);
    }

    #[test]
    fn shuffled_bytes_come_together_and_a_rest_stays() {
        let undone = |bytes: &[u8], width| undone(Filter::Shuffle(width), bytes, 0).unwrap();
        assert_eq!(undone(&[1, 3, 5, 2, 4, 6, 9], 2), [1, 2, 3, 4, 5, 6, 9]);
        assert_eq!(undone(&[1, 5, 2, 6, 3, 7, 4, 8, 9], 4), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(undone(&[1, 2, 3], 1), [1, 2, 3]);
        assert_eq!(undone(&[1], 4), [1]);
    }

    #[test]
    fn zlib_and_gzip_give_what_was_packed_and_no_more_than_the_chunk_holds() {
        let mut packer = Compressor::new(CompressionLvl::default());
        let mut packed = vec![0; 2000];
        let n = packer.zlib_compress(&[7; 1000], &mut packed).unwrap();
        assert_eq!(undone(Filter::Deflate, &packed[..n], 1000).unwrap(), [7; 1000]);
        assert_eq!(undone(Filter::Deflate, &packed[..n], 1001).unwrap(), [7; 1000]);
        assert_eq!(undone(Filter::Deflate, &packed[..n], 999), None);
        assert_eq!(undone(Filter::Deflate, &packed[..10], 1000), None);
        let n = packer.gzip_compress(&[7; 1000], &mut packed).unwrap();
        assert_eq!(undone(Filter::Gzip, &packed[..n], 1000).unwrap(), [7; 1000]);
        assert_eq!(undone(Filter::Gzip, &packed[..n], 999), None);
    }

    #[test]
    fn zstandard_gives_what_was_packed_and_no_more_than_the_chunk_holds() {
        let packed = ruzstd::encoding::compress_to_vec(
            [3u8; 5000].as_slice(),
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        assert_eq!(unpack_zstd(&packed, 5000).unwrap(), [3; 5000]);
        assert_eq!(unpack_zstd(&packed, 4999), None);
    }

    #[test]
    fn the_same_unpacker_takes_small_pieces_after_large_ones() {
        let mut packer = Compressor::new(CompressionLvl::default());
        let mut unpacker = Unpacker::default();
        for len in [5000usize, 10, 3000, 1] {
            let data: Vec<u8> = (0..len).map(|i| (i * i) as u8).collect();
            let mut packed = vec![0; 6000];
            let n = packer.zlib_compress(&data, &mut packed).unwrap();
            unpacker.room(n).copy_from_slice(&packed[..n]);
            unpacker.undo(Filter::Deflate, len).unwrap();
            assert_eq!(unpacker.bytes(), data);
        }
    }
}
