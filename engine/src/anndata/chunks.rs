//! The chunks of a one-dimensional dataset, read and unpacked on all cores.
//!
//! The HDF5 library reads one thing at a time, whatever thread asks. A gene of a CSR matrix needs a pass over all of
//! it, which is mostly unpacking. So the library is asked once where the chunks lie, and they are read past it: by
//! plain reads of the file, unpacked by [`super::filters`]. What a dataset needs beyond that (other filters, other
//! types) stays with the library, and so does everything else.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use hdf5::datatype::ByteOrder;
use hdf5::types::{FloatSize, IntSize, TypeDescriptor};

use super::filters::{Filter, MOST_CHUNK_BYTES};
use super::store::Stored;
use crate::{Error, Result};

/// Values of a contiguous dataset that are read at a time.
const CONTIGUOUS_VALUES: usize = 1 << 18;
/// More chunks than this are not listed: 32 bytes each.
const MOST_CHUNKS: usize = 1 << 24;

/// Where one chunk lies in the file.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    address: u64,
    /// Bytes as stored; none where the chunk was never written.
    bytes: u64,
    /// Bit `i` set: filter `i` was not applied.
    skipped: u32,
}

/// The chunks of a dataset `[len]` of plain numbers.
#[derive(Debug)]
pub(super) struct Chunks {
    path: Arc<Path>,
    stored: Stored,
    number: TypeDescriptor,
    width: usize,
    len: usize,
    /// Values of every chunk but the last.
    chunk: usize,
    places: Vec<Place>,
    filters: Vec<Filter>,
}

/// An open file of one thread.
pub(super) type Handle = Option<File>;

impl Chunks {
    /// Lists the chunks; `None` where the dataset must be read through HDF5.
    pub(super) fn of(stored: &Stored) -> Option<Self> {
        let dataset = &stored.dataset;
        let [len] = *stored.shape.as_slice() else { return None };
        let dtype = dataset.dtype().ok()?;
        let number = dtype.to_descriptor().ok()?;
        let width = number.size();
        let plain = matches!(
            number,
            TypeDescriptor::Integer(_)
                | TypeDescriptor::Unsigned(_)
                | TypeDescriptor::Float(FloatSize::U4 | FloatSize::U8)
        );
        if !plain || dtype.size() != width || (width > 1 && dtype.byte_order() != ByteOrder::LittleEndian) {
            return None;
        }
        let filters = dataset.filters();
        let filters: Option<Vec<Filter>> = filters.iter().map(|f| Filter::known(f.id(), width)).collect();
        let filters = filters?;
        let (chunk, places) = if dataset.is_chunked() {
            let chunk = *dataset.chunk()?.first()?;
            (chunk, chunk_places(stored, len, chunk)?)
        } else {
            let address = dataset.offset()?;
            let place = |first: usize| Place {
                address: address + (first * width) as u64,
                bytes: ((len - first).min(CONTIGUOUS_VALUES) * width) as u64,
                skipped: 0,
            };
            (CONTIGUOUS_VALUES, (0..len).step_by(CONTIGUOUS_VALUES).map(place).collect())
        };
        if chunk == 0 || chunk.checked_mul(width)? > MOST_CHUNK_BYTES {
            return None;
        }
        let path = stored.store().path().into();
        let chunks = Self { path, stored: stored.clone(), number, width, len, chunk, places, filters };
        chunks.agrees_with_hdf5().then_some(chunks)
    }

    /// Reads the ends of the dataset both ways. Files can differ in what they count addresses from.
    fn agrees_with_hdf5(&self) -> bool {
        if self.len == 0 {
            return false;
        }
        let mut handle = None;
        let n = self.places.len();
        [0, n / 2, n.saturating_sub(1)].iter().all(|&i| {
            let range = self.range(i);
            let some = range.start..range.end.min(range.start + 16);
            let (Ok(theirs), Ok(ours)) = (self.stored.read::<f64>(some), self.floats(i, &mut handle)) else {
                return false;
            };
            theirs.iter().zip(&ours).all(|(a, b)| (*a as f32).to_bits() == b.to_bits())
        })
    }

    /// How many chunks there are.
    pub(super) fn n_chunks(&self) -> usize {
        self.places.len()
    }

    /// The values of chunk `i`.
    pub(super) fn range(&self, i: usize) -> Range<usize> {
        let start = (i * self.chunk).min(self.len);
        start..self.len.min(start + self.chunk)
    }

    /// The chunks that hold the values `range`.
    pub(super) fn holding(&self, range: &Range<usize>) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        range.start / self.chunk..((range.end - 1) / self.chunk + 1).min(self.places.len())
    }

    /// Where chunk `i` lies in the file.
    #[cfg(test)]
    pub(super) fn address(&self, i: usize) -> u64 {
        self.places[i].address
    }

    /// Chunk `i` unpacked: `range(i).len() * width` bytes.
    fn bytes(&self, i: usize, handle: &mut Handle) -> Result<Vec<u8>> {
        let wanted = self.range(i).len() * self.width;
        let Some(place) = self.places.get(i).filter(|place| place.bytes > 0) else {
            return Ok(vec![0; wanted]);
        };
        let file = match handle {
            Some(file) => file,
            None => handle.insert(File::open(&self.path).map_err(|e| Error::io("read", &*self.path, e))?),
        };
        let mut bytes = vec![0; place.bytes as usize];
        file.seek(SeekFrom::Start(place.address))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|_| self.damaged(i, "ends before its data"))?;
        let whole = self.chunk * self.width;
        for (step, filter) in self.filters.iter().enumerate().rev() {
            if place.skipped >> step & 1 == 0 {
                bytes = filter.undo(bytes, whole).ok_or_else(|| self.damaged(i, "cannot be unpacked"))?;
            }
        }
        if bytes.len() < wanted {
            return Err(self.damaged(i, "is shorter than it claims"));
        }
        bytes.truncate(wanted);
        Ok(bytes)
    }

    fn damaged(&self, i: usize, how: &str) -> Error {
        let range = self.range(i);
        self.stored.store().problem(
            &self.stored.element,
            format!("the piece with values {} to {} {how}", range.start, range.end.saturating_sub(1)),
            "an undamaged element",
            "The file may be damaged or cut short: copy or download it again.",
        )
    }

    /// Chunk `i` as numbers for display and computing.
    pub(super) fn floats(&self, i: usize, handle: &mut Handle) -> Result<Vec<f32>> {
        let bytes = self.bytes(i, handle)?;
        Ok(match self.number {
            TypeDescriptor::Float(FloatSize::U4) => each(&bytes, f32::from_le_bytes),
            TypeDescriptor::Float(_) => each(&bytes, |b| f64::from_le_bytes(b) as f32),
            TypeDescriptor::Integer(IntSize::U1) => each(&bytes, |b| f32::from(i8::from_le_bytes(b))),
            TypeDescriptor::Integer(IntSize::U2) => each(&bytes, |b| f32::from(i16::from_le_bytes(b))),
            TypeDescriptor::Integer(IntSize::U4) => each(&bytes, |b| i32::from_le_bytes(b) as f32),
            TypeDescriptor::Integer(IntSize::U8) => each(&bytes, |b| i64::from_le_bytes(b) as f32),
            TypeDescriptor::Unsigned(IntSize::U1) => each(&bytes, |b| f32::from(u8::from_le_bytes(b))),
            TypeDescriptor::Unsigned(IntSize::U2) => each(&bytes, |b| f32::from(u16::from_le_bytes(b))),
            TypeDescriptor::Unsigned(IntSize::U4) => each(&bytes, |b| u32::from_le_bytes(b) as f32),
            _ => each(&bytes, |b| u64::from_le_bytes(b) as f32),
        })
    }

    /// Chunk `i` as places in a row; what is below 0 or beyond 32 bits becomes `u32::MAX`.
    pub(super) fn places(&self, i: usize, handle: &mut Handle) -> Result<Vec<u32>> {
        let bytes = self.bytes(i, handle)?;
        let clip = |v: i64| u32::try_from(v).unwrap_or(u32::MAX);
        Ok(match self.number {
            TypeDescriptor::Integer(IntSize::U1) => each(&bytes, |b| clip(i8::from_le_bytes(b).into())),
            TypeDescriptor::Integer(IntSize::U2) => each(&bytes, |b| clip(i16::from_le_bytes(b).into())),
            // A negative number becomes one of 2^31 or more, which no side of a matrix reaches.
            TypeDescriptor::Integer(IntSize::U4) => each(&bytes, u32::from_le_bytes),
            TypeDescriptor::Integer(IntSize::U8) => each(&bytes, |b| clip(i64::from_le_bytes(b))),
            TypeDescriptor::Unsigned(IntSize::U1) => each(&bytes, |b| u8::from_le_bytes(b).into()),
            TypeDescriptor::Unsigned(IntSize::U2) => each(&bytes, |b| u16::from_le_bytes(b).into()),
            TypeDescriptor::Unsigned(IntSize::U4) => each(&bytes, u32::from_le_bytes),
            TypeDescriptor::Unsigned(_) => {
                each(&bytes, |b| u32::try_from(u64::from_le_bytes(b)).unwrap_or(u32::MAX))
            }
            TypeDescriptor::Float(FloatSize::U4) => each(&bytes, |b| clip(f32::from_le_bytes(b) as i64)),
            _ => each(&bytes, |b| clip(f64::from_le_bytes(b) as i64)),
        })
    }
}

/// The values of `N` bytes each.
fn each<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|b| value(*b)).collect()
}

/// Where the chunks lie, by number.
fn chunk_places(stored: &Stored, len: usize, chunk: usize) -> Option<Vec<Place>> {
    let n = len.div_ceil(chunk.max(1));
    if n > MOST_CHUNKS {
        return None;
    }
    let mut places = vec![Place::default(); n];
    let visited = stored.dataset.chunks_visit(|info| {
        let number = info.offset.first().map(|first| *first as usize / chunk.max(1));
        if let Some(place) = number.and_then(|number| places.get_mut(number)) {
            *place = Place { address: info.addr, bytes: info.size, skipped: info.filter_mask };
        }
        0
    });
    visited.ok()?;
    // A packed chunk larger than any chunk may be is damage, to be told by HDF5.
    places.iter().all(|place| place.bytes as usize <= MOST_CHUNK_BYTES).then_some(places)
}
