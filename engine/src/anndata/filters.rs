//! Undoing the filters that HDF5 data are packed with: shuffle, gzip, LZF and Zstandard.
//!
//! Formats: HDF5's registered filters 1 (deflate), 2 (shuffle), 32000 (LZF, h5py's) and 32015 (Zstandard). The first
//! two are part of the HDF5 library; the others are registered with it here, so that every element of a file reads
//! alike. [`super::chunks`] calls the same functions from many threads, which the library cannot do.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// A chunk is never larger than this when unpacked; HDF5's own limit is 4 GiB, and files of the field use a few MB.
pub(super) const MOST_CHUNK_BYTES: usize = 256 << 20;

/// One step of a filter pipeline, in the order in which it was applied when the data were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// The bytes of all values by significance; values of this many bytes.
    Shuffle(usize),
    /// zlib.
    Deflate,
    /// LZF.
    Lzf,
    /// Zstandard.
    Zstd,
}

/// HDF5's number of LZF.
pub(super) const LZF_ID: i32 = 32000;
/// HDF5's number of Zstandard.
pub(super) const ZSTD_ID: i32 = 32015;

impl Filter {
    /// The filter of HDF5's number `id` over values of `width` bytes; `None` for one that is not known here.
    pub(super) fn known(id: i32, width: usize) -> Option<Self> {
        match id {
            1 => Some(Self::Deflate),
            2 => Some(Self::Shuffle(width)),
            LZF_ID => Some(Self::Lzf),
            ZSTD_ID => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Undoes the filter; `size` is how many bytes the whole chunk has. `None` for damaged data.
    pub(super) fn undo(self, packed: Vec<u8>, size: usize) -> Option<Vec<u8>> {
        match self {
            Self::Shuffle(width) => Some(unshuffle(packed, width)),
            Self::Deflate => read_all(ZlibDecoder::new(packed.as_slice()), size),
            Self::Lzf => unpack_lzf(&packed, size),
            Self::Zstd => unpack_zstd(&packed, size),
        }
    }
}

/// Everything that `reader` gives, at most `size` bytes.
fn read_all(reader: impl Read, size: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(size.min(MOST_CHUNK_BYTES));
    // One byte more is asked for, so that too long data are noticed.
    reader.take(size as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= size).then_some(bytes)
}

/// Unpacks Zstandard frames, at most `size` bytes.
pub(super) fn unpack_zstd(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    read_all(ruzstd::decoding::StreamingDecoder::new(packed).ok()?, size)
}

/// Brings the bytes of each value of `width` together again; what is left over at the end stays as it is.
fn unshuffle(bytes: Vec<u8>, width: usize) -> Vec<u8> {
    let n = bytes.len().checked_div(width).unwrap_or(0);
    if width < 2 || n == 0 {
        return bytes;
    }
    let mut whole = vec![0; bytes.len()];
    for (place, plane) in bytes.chunks_exact(n).take(width).enumerate() {
        for (value, byte) in whole.chunks_exact_mut(width).zip(plane) {
            value[place] = *byte;
        }
    }
    let end = n * width;
    whole[end..].copy_from_slice(&bytes[end..]);
    whole
}

/// Unpacks LZF, at most `size` bytes.
///
/// A control byte below 32 is followed by that many plus one literal bytes. Any other holds, in its upper three bits,
/// the length less two of a copy (seven: the next byte adds to it) and, in its lower five with the byte after, how far
/// back it begins, less one.
pub(super) fn unpack_lzf(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::with_capacity(size.min(MOST_CHUNK_BYTES));
    let mut rest = packed;
    while let Some((control, behind)) = rest.split_first() {
        let control = usize::from(*control);
        rest = behind;
        if control < 32 {
            let (literal, behind) = rest.split_at_checked(control + 1)?;
            if out.len() + literal.len() > size {
                return None;
            }
            out.extend_from_slice(literal);
            rest = behind;
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
        let length = length + 2;
        let start = out.len().checked_sub(back)?;
        if out.len() + length > size {
            return None;
        }
        // The copy may reach into what it writes itself: that is how runs are packed.
        for at in start..start + length {
            out.push(*out.get(at)?);
        }
    }
    Some(out)
}

pub(super) use registered::register;

/// The filters that HDF5 itself lacks, handed to it.
mod registered {
    #![allow(unsafe_code)] // HDF5 takes a filter as a C function

    use std::ffi::{c_uint, c_void};
    use std::panic::catch_unwind;
    use std::sync::Once;

    use hdf5_sys::h5::{H5allocate_memory, H5free_memory};
    use hdf5_sys::h5z::{H5Z_CLASS_T_VERS, H5Z_FLAG_REVERSE, H5Z_class2_t, H5Zregister};

    use super::{LZF_ID, MOST_CHUNK_BYTES, ZSTD_ID, unpack_lzf, unpack_zstd};

    type Unpack = fn(&[u8], usize) -> Option<Vec<u8>>;

    /// Makes LZF and Zstandard known to the HDF5 library of this process, for reading. Later calls do nothing.
    pub(in crate::anndata) fn register() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let lzf = class(LZF_ID, c"lzf".as_ptr(), lzf);
            let zstd = class(ZSTD_ID, c"zstd".as_ptr(), zstd);
            hdf5::sync::sync(|| {
                // SAFETY: HDF5 copies the class; its name and functions are static. A refusal leaves the filter
                // unknown, which is told when an element needs it.
                unsafe {
                    H5Zregister((&raw const lzf).cast());
                    H5Zregister((&raw const zstd).cast());
                }
            });
        });
    }

    type Function =
        unsafe extern "C" fn(c_uint, usize, *const c_uint, usize, *mut usize, *mut *mut c_void) -> usize;

    fn class(id: i32, name: *const std::ffi::c_char, filter: Function) -> H5Z_class2_t {
        H5Z_class2_t {
            version: H5Z_CLASS_T_VERS as _,
            id,
            encoder_present: 0,
            decoder_present: 1,
            name,
            can_apply: None,
            set_local: None,
            filter: Some(filter),
        }
    }

    unsafe extern "C" fn lzf(
        flags: c_uint,
        _n_values: usize,
        _values: *const c_uint,
        n_bytes: usize,
        buffer_bytes: *mut usize,
        buffer: *mut *mut c_void,
    ) -> usize {
        // SAFETY: as HDF5 calls it.
        unsafe { undo(unpack_lzf, flags, n_bytes, buffer_bytes, buffer) }
    }

    unsafe extern "C" fn zstd(
        flags: c_uint,
        _n_values: usize,
        _values: *const c_uint,
        n_bytes: usize,
        buffer_bytes: *mut usize,
        buffer: *mut *mut c_void,
    ) -> usize {
        // SAFETY: as HDF5 calls it.
        unsafe { undo(unpack_zstd, flags, n_bytes, buffer_bytes, buffer) }
    }

    /// Unpacks `n_bytes` of the buffer into a new one, which takes its place. 0 tells HDF5 of a failure.
    ///
    /// # Safety
    /// `buffer` points to a pointer to `n_bytes` bytes that HDF5 allotted, and `buffer_bytes` to their number.
    unsafe fn undo(
        unpack: Unpack,
        flags: c_uint,
        n_bytes: usize,
        buffer_bytes: *mut usize,
        buffer: *mut *mut c_void,
    ) -> usize {
        if flags & H5Z_FLAG_REVERSE == 0 {
            return 0;
        }
        // SAFETY: the caller's promise.
        let packed = unsafe { std::slice::from_raw_parts((*buffer).cast::<u8>(), n_bytes) };
        let Ok(Some(whole)) = catch_unwind(|| unpack(packed, MOST_CHUNK_BYTES)) else { return 0 };
        // SAFETY: new memory of HDF5's own allocator, filled before it takes the place of the old, which is freed by
        // the same allocator and not read again.
        unsafe {
            let new = H5allocate_memory(whole.len().max(1), 0);
            if new.is_null() {
                return 0;
            }
            std::ptr::copy_nonoverlapping(whole.as_ptr(), new.cast::<u8>(), whole.len());
            H5free_memory(*buffer);
            *buffer = new;
            *buffer_bytes = whole.len();
        }
        whole.len()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

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
        assert_eq!(unshuffle(vec![1, 3, 5, 2, 4, 6, 9], 2), [1, 2, 3, 4, 5, 6, 9]);
        assert_eq!(unshuffle(vec![1, 2, 3], 1), [1, 2, 3]);
        assert_eq!(unshuffle(vec![1], 4), [1]);
    }

    #[test]
    fn gzip_gives_what_was_packed_and_no_more_than_the_chunk_holds() {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(&[7; 1000]).unwrap();
        let packed = packer.finish().unwrap();
        assert_eq!(Filter::Deflate.undo(packed.clone(), 1000).unwrap(), [7; 1000]);
        assert_eq!(Filter::Deflate.undo(packed.clone(), 999), None);
        assert_eq!(Filter::Deflate.undo(packed[..10].to_vec(), 1000), None);
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
}
