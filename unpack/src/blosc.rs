//! Blosc of the first generation, as HDF5's filter 32001 and Zarr's codec `blosc` use it.
//!
//! A head of 16 bytes (version, version of the packer, flags, bytes a value; then, 4 bytes each, bytes unpacked, bytes
//! of a block, bytes packed), the place of each block, and the blocks. A block may be split into one stream for each
//! byte of a value; a stream is its packed length and its bytes, kept as they are where packing did not pay. Each block
//! is shuffled, by bytes or by bits. Format: the README and `blosc.c` of c-blosc 1.21. Streams packed with Snappy,
//! which are not part of usual builds, are not read.

use libdeflater::Decompressor;

use crate::filters::{copy_back, copy_literal, unpack_zstd, unshuffle};

const HEAD_BYTES: usize = 16;
const SHUFFLED: u8 = 1;
const COPIED: u8 = 2;
const BIT_SHUFFLED: u8 = 4;
const NOT_SPLIT: u8 = 16;
/// Blocks of wider values are never split, nor are those with fewer values than that.
const MOST_STREAMS: usize = 16;
const FEWEST_SPLIT: usize = 128;

/// Unpacks what Blosc packed, at most `size` bytes; `None` for damaged data.
pub fn unpack_blosc(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    unpack_blosc_with(packed, size, &mut Decompressor::new())
}

pub(crate) fn unpack_blosc_with(packed: &[u8], size: usize, deflate: &mut Decompressor) -> Option<Vec<u8>> {
    let number =
        |at: usize| packed.get(at..at + 4)?.first_chunk::<4>().map(|b| u32::from_le_bytes(*b) as usize);
    let (flags, width) = (*packed.get(2)?, usize::from(*packed.get(3)?).max(1));
    let (unpacked, block) = (number(4)?, number(8)?);
    if unpacked > size {
        return None;
    }
    if unpacked == 0 {
        return Some(Vec::new());
    }
    if flags & COPIED != 0 {
        return packed.get(HEAD_BYTES..HEAD_BYTES.checked_add(unpacked)?).map(<[u8]>::to_vec);
    }
    if block == 0 {
        return None;
    }
    let mut out = vec![0; unpacked];
    let mut plain = Vec::new();
    for (i, room) in out.chunks_mut(block).enumerate() {
        let start = number(HEAD_BYTES + 4 * i)?;
        let streams = if flags & NOT_SPLIT == 0
            && width <= MOST_STREAMS
            && room.len() == block
            && block / width >= FEWEST_SPLIT
        {
            width
        } else {
            1
        };
        plain.clear();
        let mut at = start;
        for _ in 0..streams {
            let length = number(at)?;
            let stream = packed.get(at + 4..(at + 4).checked_add(length)?)?;
            at += 4 + length;
            let whole = room.len() / streams;
            if length == whole {
                plain.extend_from_slice(stream);
                continue;
            }
            let part = match flags >> 5 {
                0 => unpack_blosclz(stream, whole)?,
                1 => unpack_lz4(stream, whole)?,
                3 => {
                    let mut part = vec![0; whole];
                    let n = deflate.zlib_decompress(stream, &mut part).ok()?;
                    part.truncate(n);
                    part
                }
                4 => unpack_zstd(stream, whole)?,
                _ => return None,
            };
            if part.len() != whole {
                return None;
            }
            plain.extend_from_slice(&part);
        }
        // What a split leaves over is part of no stream; blocks are multiples of the width wherever that happens.
        if plain.len() != room.len() {
            return None;
        }
        if flags & SHUFFLED != 0 && width > 1 {
            unshuffle(&plain, width, room);
        } else if flags & BIT_SHUFFLED != 0 && room.len() >= width {
            unshuffle_bits(&plain, width, room);
        } else {
            room.copy_from_slice(&plain);
        }
    }
    Some(out)
}

/// Unpacks an LZ4 block, at most `size` bytes: a byte of two lengths, literals, how far back a copy begins, and so on
/// (LZ4 block format).
fn unpack_lz4(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(size);
    let mut rest = packed;
    while let Some((token, behind)) = rest.split_first() {
        rest = behind;
        let literals = longer(usize::from(token >> 4), 15, &mut rest)?;
        copy_literal(&mut out, &mut rest, literals, size)?;
        if rest.is_empty() {
            break;
        }
        let (back, behind) = rest.split_first_chunk::<2>()?;
        rest = behind;
        let length = longer(usize::from(token & 15), 15, &mut rest)? + 4;
        copy_back(&mut out, usize::from(u16::from_le_bytes(*back)), length, size)?;
    }
    Some(out)
}

/// A length that further bytes add to where it is `full`, up to one that is not 255.
fn longer(mut length: usize, full: usize, rest: &mut &[u8]) -> Option<usize> {
    if length == full {
        loop {
            let (byte, behind) = rest.split_first()?;
            *rest = behind;
            length = length.checked_add(usize::from(*byte))?;
            if *byte < 255 {
                break;
            }
        }
    }
    Some(length)
}

/// Unpacks BloscLZ, at most `size` bytes. As LZF, but lengths go on as long as bytes are 255, and a copy from farthest
/// back is followed by two bytes that take it farther.
fn unpack_blosclz(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    const FAR: usize = 8191;
    let mut out = Vec::with_capacity(size);
    let mut rest = packed;
    let mut first = true;
    while let Some((control, behind)) = rest.split_first() {
        rest = behind;
        let control = usize::from(if first { control & 31 } else { *control });
        first = false;
        if control < 32 {
            copy_literal(&mut out, &mut rest, control + 1, size)?;
            continue;
        }
        let length = longer((control >> 5) - 1, 6, &mut rest)? + 3;
        let (code, behind) = rest.split_first()?;
        rest = behind;
        let mut back = ((control & 31) << 8) + usize::from(*code);
        if *code == 255 && control & 31 == 31 {
            let (farther, behind) = rest.split_first_chunk::<2>()?;
            rest = behind;
            back = FAR + usize::from(u16::from_be_bytes(*farther));
        }
        copy_back(&mut out, back + 1, length, size)?;
    }
    Some(out)
}

/// Brings the bits of each value together again: bit `b` of all values lies in one row, eight values a byte. Where the
/// number of values is no multiple of eight nothing was shuffled; bytes of no value stay.
fn unshuffle_bits(bytes: &[u8], width: usize, whole: &mut [u8]) {
    let n = bytes.len() / width;
    if n == 0 || !n.is_multiple_of(8) {
        whole.copy_from_slice(bytes);
        return;
    }
    let (planes, left) = bytes.split_at(n * width);
    let (values, end) = whole.split_at_mut(n * width);
    end.copy_from_slice(left);
    values.fill(0);
    for (bit, row) in planes.chunks_exact(n / 8).enumerate() {
        for (eight, byte) in values.chunks_exact_mut(8 * width).zip(row) {
            if *byte != 0 {
                for (i, value) in eight.chunks_exact_mut(width).enumerate() {
                    value[bit / 8] |= (byte >> i & 1) << (bit % 8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
