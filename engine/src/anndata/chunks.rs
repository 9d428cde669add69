//! The chunks of a one-dimensional dataset, read and unpacked on all cores.
//!
//! The HDF5 library reads one thing at a time, whatever thread asks. A gene of a CSR matrix needs a pass over all of
//! it, which is mostly unpacking. So the library is asked once where the chunks lie, and they are read past it: by
//! plain reads of the file, unpacked by the crate `unpack`. What a dataset needs beyond that (other filters, other
//! types) stays with the library, and so does everything else. The chunks of a Zarr array are files of their own.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hdf5::datatype::ByteOrder;
use hdf5::types::{FloatSize, IntSize, TypeDescriptor};
use unpack::numbers::{self, Number};
use unpack::{Filter, MOST_CHUNK_BYTES, Unpacker};

use super::filters;
use super::store::Stored;
use super::zarr::Array;
use crate::files::read_exact_at;
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
    source: Source,
    stored: Stored,
    number: Number,
    width: usize,
    len: usize,
    /// Values of every chunk but the last.
    chunk: usize,
    n_chunks: usize,
    /// Handles that nobody uses just now.
    idle: Mutex<Vec<Handle>>,
}

#[derive(Debug)]
enum Source {
    File { path: Arc<Path>, places: Vec<Place>, filters: Vec<Filter> },
    Zarr(Arc<Array>),
}

/// What one thread reads with: the open file, and buffers.
#[derive(Debug, Default)]
pub(super) struct Handle {
    file: Option<File>,
    unpacker: Unpacker,
}

impl Chunks {
    /// Lists the chunks; `None` where the dataset must be read through HDF5.
    pub(super) fn of(stored: &Stored) -> Option<Self> {
        let [len] = *stored.shape.as_slice() else { return None };
        if let Some(array) = stored.zarr() {
            let number = array.number()?;
            let chunk = *array.chunk().first()?;
            let source = Source::Zarr(array.clone());
            let n_chunks = len.div_ceil(chunk.max(1));
            let width = number.width();
            let idle = Mutex::default();
            return (chunk > 0 && len > 0 && n_chunks <= MOST_CHUNKS).then(|| Self {
                source,
                stored: stored.clone(),
                number,
                width,
                len,
                chunk,
                n_chunks,
                idle,
            });
        }
        let dtype = stored.hdf5().ok()?.dtype().ok()?;
        let number = number_of(&dtype.to_descriptor().ok()?)?;
        let width = number.width();
        if dtype.size() != width || (width > 1 && dtype.byte_order() != ByteOrder::LittleEndian) {
            return None;
        }
        let chunks = Self::of_items(stored, number, width)?;
        chunks.agrees_with_hdf5().then_some(chunks)
    }

    /// Lists the chunks of a dataset of items of `width` bytes, whatever they are. Nobody has looked whether they are
    /// read right.
    pub(super) fn of_items(stored: &Stored, number: Number, width: usize) -> Option<Self> {
        let dataset = stored.hdf5().ok()?;
        let [len] = *stored.shape.as_slice() else { return None };
        let filters: Option<Vec<Filter>> =
            dataset.filters().iter().map(|f| filters::known(f.id(), width)).collect();
        let filters = filters?;
        let (chunk, places) = if dataset.is_chunked() {
            let chunk = *dataset.chunk()?.first()?;
            (chunk, chunk_places(dataset, len, chunk)?)
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
        let n_chunks = places.len();
        let source = Source::File { path: stored.store().path().into(), places, filters };
        let idle = Mutex::default();
        Some(Self { source, stored: stored.clone(), number, width, len, chunk, n_chunks, idle })
    }

    /// Reads the ends of the dataset both ways. Files can differ in what they count addresses from.
    fn agrees_with_hdf5(&self) -> bool {
        if self.len == 0 {
            return false;
        }
        self.with_handle(|handle| {
            let n = self.n_chunks;
            [0, n / 2, n.saturating_sub(1)].iter().all(|&i| {
                let range = self.range(i);
                let some = range.start..range.end.min(range.start + 16);
                let mut ours = vec![0.0f32; some.len()];
                let (Ok(theirs), Ok(())) =
                    (self.stored.read::<f64>(some), self.floats(i, 0, &mut ours, handle))
                else {
                    return false;
                };
                theirs.iter().zip(&ours).all(|(a, b)| (*a as f32).to_bits() == b.to_bits())
            })
        })
    }

    /// Calls `work` with a handle that nobody else uses.
    pub(super) fn with_handle<T>(&self, work: impl FnOnce(&mut Handle) -> T) -> T {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut handle = idle().pop().unwrap_or_default();
        let result = work(&mut handle);
        idle().push(handle);
        result
    }

    /// Lets go of open files and buffers.
    pub(super) fn rest(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The size of every chunk as it lies in an HDF5 file.
    pub(super) fn packed_bytes(&self) -> impl Iterator<Item = u64> {
        let places = match &self.source {
            Source::File { places, .. } => places.as_slice(),
            Source::Zarr(_) => &[],
        };
        places.iter().map(|place| place.bytes)
    }

    /// Whether it lies in an HDF5 file as it is, so that its parts are read in no time.
    pub(super) fn is_plain(&self) -> bool {
        matches!(&self.source, Source::File { filters, .. } if filters.is_empty())
    }

    /// How many chunks there are.
    pub(super) fn n_chunks(&self) -> usize {
        self.n_chunks
    }

    /// Values of every chunk but the last.
    pub(super) fn chunk_len(&self) -> usize {
        self.chunk
    }

    /// The values of chunk `i`.
    pub(super) fn range(&self, i: usize) -> Range<usize> {
        let start = i.saturating_mul(self.chunk).min(self.len);
        start..self.len.min(start + self.chunk)
    }

    /// The chunks that hold the values `range`.
    pub(super) fn holding(&self, range: &Range<usize>) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        range.start / self.chunk..((range.end - 1) / self.chunk + 1).min(self.n_chunks)
    }

    /// Where chunk `i` lies in the file.
    #[cfg(test)]
    pub(super) fn address(&self, i: usize) -> u64 {
        match &self.source {
            Source::File { places, .. } => places[i].address,
            Source::Zarr(_) => 0,
        }
    }

    /// Chunk `i` unpacked: `range(i).len() * width` bytes.
    pub(super) fn bytes<'h>(&self, i: usize, handle: &'h mut Handle) -> Result<&'h [u8]> {
        let wanted = self.range(i).len() * self.width;
        match &self.source {
            Source::Zarr(array) => array
                .unpack(&[i], &mut handle.unpacker)
                .map_err(|found| self.damaged(i, &format!("cannot be read: {found}")))?,
            Source::File { path, places, filters } => {
                match places.get(i).filter(|place| place.bytes > 0) {
                    // Never written.
                    None => handle.unpacker.room(wanted).fill(0),
                    Some(place) => self.unpack(i, place, path, filters, handle)?,
                }
            }
        }
        handle.unpacker.bytes().get(..wanted).ok_or_else(|| self.damaged(i, "is shorter than it claims"))
    }

    fn unpack(
        &self,
        i: usize,
        place: &Place,
        path: &Path,
        filters: &[Filter],
        handle: &mut Handle,
    ) -> Result<()> {
        let Handle { file, unpacker } = handle;
        let file = match file {
            Some(file) => file,
            None => {
                let opened = File::open(path).map_err(|e| Error::io("read", path, e))?;
                // The library goes on with the file that it opened; another one may bear its name by now.
                self.stored.store().check_unchanged()?;
                file.insert(opened)
            }
        };
        let room = unpacker.room(place.bytes as usize);
        read_exact_at(file, room, place.address).map_err(|_| self.damaged(i, "ends before its data"))?;
        let whole = self.chunk * self.width;
        for (step, filter) in filters.iter().enumerate().rev() {
            if place.skipped >> step & 1 == 0 {
                unpacker.undo(*filter, whole).ok_or_else(|| self.damaged(i, "cannot be unpacked"))?;
            }
        }
        Ok(())
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

    /// The values of chunk `i` from its place `skip` on, as far as `out` reaches, as numbers for display and computing.
    pub(super) fn floats(&self, i: usize, skip: usize, out: &mut [f32], handle: &mut Handle) -> Result<()> {
        let bytes = self.bytes(i, handle)?;
        numbers::floats(bytes.get(skip * self.width..).unwrap_or_default(), self.number, out);
        Ok(())
    }

    /// The same as places in a row; what is below 0 or beyond 32 bits is larger than any side of a matrix.
    pub(super) fn places(&self, i: usize, skip: usize, out: &mut [u32], handle: &mut Handle) -> Result<()> {
        let bytes = self.bytes(i, handle)?;
        numbers::places(bytes.get(skip * self.width..).unwrap_or_default(), self.number, out);
        Ok(())
    }

    /// The values from `start` on that lie in one chunk, at most up to `end`.
    pub(super) fn from(&self, start: usize, end: usize) -> Range<usize> {
        let whole = self.range(start / self.chunk);
        start..whole.end.min(end).max(start + 1)
    }

    /// The values `here` of one chunk as they lie there, and what they are.
    pub(super) fn raw<'h>(&self, here: &Range<usize>, handle: &'h mut Handle) -> Result<(&'h [u8], Number)> {
        let chunk = here.start / self.chunk;
        let first = self.range(chunk).start;
        let within = (here.start - first) * self.width..(here.end - first) * self.width;
        let bytes = self.bytes(chunk, handle)?.get(within);
        Ok((bytes.ok_or_else(|| self.damaged(chunk, "is shorter than it claims"))?, self.number))
    }

    /// Calls `work` for each chunk that holds some of `range`: its number, how many of its values lie before the range,
    /// and where in the range those within it lie.
    pub(super) fn each_in(
        &self,
        range: &Range<usize>,
        mut work: impl FnMut(usize, usize, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        for chunk in self.holding(range) {
            let whole = self.range(chunk);
            let here = whole.start.max(range.start)..whole.end.min(range.end);
            if !here.is_empty() {
                work(chunk, here.start - whole.start, here.start - range.start..here.end - range.start)?;
            }
        }
        Ok(())
    }
}

/// The number that HDF5 describes so; `None` for what is no plain number.
fn number_of(descriptor: &TypeDescriptor) -> Option<Number> {
    Some(match descriptor {
        TypeDescriptor::Integer(IntSize::U1) => Number::I8,
        TypeDescriptor::Integer(IntSize::U2) => Number::I16,
        TypeDescriptor::Integer(IntSize::U4) => Number::I32,
        TypeDescriptor::Integer(IntSize::U8) => Number::I64,
        TypeDescriptor::Unsigned(IntSize::U1) => Number::U8,
        TypeDescriptor::Unsigned(IntSize::U2) => Number::U16,
        TypeDescriptor::Unsigned(IntSize::U4) => Number::U32,
        TypeDescriptor::Unsigned(IntSize::U8) => Number::U64,
        TypeDescriptor::Float(FloatSize::U4) => Number::F32,
        TypeDescriptor::Float(FloatSize::U8) => Number::F64,
        _ => return None,
    })
}

/// Where the chunks lie, by number.
fn chunk_places(dataset: &hdf5::Dataset, len: usize, chunk: usize) -> Option<Vec<Place>> {
    let n = len.div_ceil(chunk.max(1));
    if n > MOST_CHUNKS {
        return None;
    }
    let mut places = vec![Place::default(); n];
    let visited = dataset.chunks_visit(|info| {
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
