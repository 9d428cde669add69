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

/// Whether only the HDF5 library undoes the filter of number `id`: szip, n-bit, scale-offset, and those unknown to us.
/// Checksums (3) are looked at and not unpacked.
pub(super) fn only_of_the_library(id: i32) -> bool {
    const CHECKSUM_ID: i32 = 3;
    id != CHECKSUM_ID && known(id, 1).is_none()
}

pub(super) use registered::register;

/// The filters that HDF5 itself lacks, handed to it.
mod registered {
    #![allow(unsafe_code)] // HDF5 takes a filter as a C function

    use std::ffi::{CStr, c_uint, c_void};
    use std::panic::catch_unwind;
    use std::sync::Once;

    use hdf5_sys::h5::{H5allocate_memory, H5free_memory};
    use hdf5_sys::h5z::{H5Z_CLASS_T_VERS, H5Z_FLAG_REVERSE, H5Z_class2_t, H5Zregister};

    use unpack::{MOST_CHUNK_BYTES, unpack_blosc, unpack_lzf, unpack_zstd};

    use super::{BLOSC_ID, LZF_ID, ZSTD_ID};

    /// What the filter of HDF5's number `ID` packed.
    fn unpack<const ID: i32>(packed: &[u8]) -> Option<Vec<u8>> {
        match ID {
            LZF_ID => unpack_lzf(packed, MOST_CHUNK_BYTES),
            BLOSC_ID => unpack_blosc(packed, MOST_CHUNK_BYTES),
            ZSTD_ID => unpack_zstd(packed, MOST_CHUNK_BYTES),
            _ => None,
        }
    }

    /// Makes LZF, Blosc and Zstandard known to the HDF5 library of this process, for reading. Later calls do nothing.
    pub(in crate::anndata) fn register() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let lzf = class::<LZF_ID>(c"lzf");
            let zstd = class::<ZSTD_ID>(c"zstd");
            let blosc = class::<BLOSC_ID>(c"blosc");
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

    fn class<const ID: i32>(name: &'static CStr) -> H5Z_class2_t {
        H5Z_class2_t {
            version: H5Z_CLASS_T_VERS as _,
            id: ID,
            encoder_present: 0,
            decoder_present: 1,
            name: name.as_ptr(),
            can_apply: None,
            set_local: None,
            filter: Some(undo::<ID>),
        }
    }

    /// Unpacks `n_bytes` of the buffer into a new one, which takes its place. 0 tells HDF5 of a failure.
    ///
    /// # Safety
    /// `buffer` points to a pointer to `n_bytes` bytes that HDF5 allotted, and `buffer_bytes` to their number.
    unsafe extern "C" fn undo<const ID: i32>(
        flags: c_uint,
        _n_values: usize,
        _values: *const c_uint,
        n_bytes: usize,
        buffer_bytes: *mut usize,
        buffer: *mut *mut c_void,
    ) -> usize {
        if flags & H5Z_FLAG_REVERSE == 0 {
            return 0;
        }
        // SAFETY: the caller's promise.
        let packed = unsafe { std::slice::from_raw_parts((*buffer).cast::<u8>(), n_bytes) };
        let Ok(Some(whole)) = catch_unwind(|| unpack::<ID>(packed)) else { return 0 };
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
