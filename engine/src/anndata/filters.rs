//! The filters that HDF5 data are packed with: which of them are known here, and those that the HDF5 library lacks,
//! registered with it, so that every element of a file reads alike.
//!
//! Formats: HDF5's registered filters 1 (deflate), 2 (shuffle), 32000 (LZF, h5py's), 32001 (Blosc) and 32015
//! (Zstandard). [`super::chunks`] undoes the same filters on many threads, which the library cannot do.

use unpack::Filter;

/// HDF5's number of LZF.
const LZF_ID: i32 = 32000;
/// HDF5's number of Blosc.
const BLOSC_ID: i32 = 32001;
/// HDF5's number of Zstandard.
const ZSTD_ID: i32 = 32015;

/// The filter of HDF5's number `id` over values of `width` bytes; `None` for one that is not known here.
pub(super) fn known(id: i32, width: usize) -> Option<Filter> {
    match id {
        1 => Some(Filter::Deflate),
        2 => Some(Filter::Shuffle(width)),
        LZF_ID => Some(Filter::Lzf),
        BLOSC_ID => Some(Filter::Blosc),
        ZSTD_ID => Some(Filter::Zstd),
        _ => None,
    }
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

    use unpack::{MOST_CHUNK_BYTES, unpack_blosc, unpack_lzf, unpack_zstd};

    use super::{BLOSC_ID, LZF_ID, ZSTD_ID};

    type Unpack = fn(&[u8], usize) -> Option<Vec<u8>>;

    /// Makes LZF, Blosc and Zstandard known to the HDF5 library of this process, for reading. Later calls do nothing.
    pub(in crate::anndata) fn register() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let lzf = class(LZF_ID, c"lzf".as_ptr(), lzf);
            let zstd = class(ZSTD_ID, c"zstd".as_ptr(), zstd);
            let blosc = class(BLOSC_ID, c"blosc".as_ptr(), blosc);
            hdf5::sync::sync(|| {
                // SAFETY: HDF5 copies the class; its name and functions are static. A refusal leaves the filter
                // unknown, which is told when an element needs it.
                unsafe {
                    H5Zregister((&raw const lzf).cast());
                    H5Zregister((&raw const zstd).cast());
                    H5Zregister((&raw const blosc).cast());
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

    unsafe extern "C" fn blosc(
        flags: c_uint,
        _n_values: usize,
        _values: *const c_uint,
        n_bytes: usize,
        buffer_bytes: *mut usize,
        buffer: *mut *mut c_void,
    ) -> usize {
        // SAFETY: as HDF5 calls it.
        unsafe { undo(unpack_blosc, flags, n_bytes, buffer_bytes, buffer) }
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
