//! Arrays of a Zarr folder: their descriptions, and their chunks, each a file or a part of one.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hdf5::types::{FloatSize, IntSize, TypeDescriptor};
use serde_json::Value;
use unpack::numbers::{self, Number};
use unpack::{Filter, MOST_CHUNK_BYTES, Unpacker};

use super::codecs::{
    Codecs, Item, Shards, codecs_of_version_3, filter_of_numcodecs, item_of_numpy, item_of_version_3,
};
use crate::anndata::store::Content;
use crate::anndata::store::text_of;
use crate::progress::Watch;

/// Chunks kept unpacked, since rows that follow each other lie in one.
const CACHE_BYTES: usize = 32 << 20;
/// What any array may hold whatever is stored for it: small claims need no proof.
const FREE_BYTES: u64 = 64 << 20;
/// Zstandard packs a run of 128 KiB into 4 bytes; a claim beyond that is not backed by the files.
const LARGEST_PACKING: u64 = 40_000;
/// More files than this are not counted: by then enough is stored for any claim.
const MOST_COUNTED: usize = 1 << 20;
const MOST_DIMENSIONS: usize = 8;
/// One column must never fill the memory.
const MOST_TEXT_BYTES: usize = 2 << 30;

/// An array, its description read and checked.
#[derive(Debug)]
pub(in crate::anndata) struct Array {
    folder: PathBuf,
    shape: Vec<usize>,
    /// Shape of what is packed at once.
    chunk: Vec<usize>,
    /// Shape of what lies in one file, where that are several chunks.
    file: Vec<usize>,
    item: Item,
    codecs: Codecs,
    /// An item that was never written.
    fill: Vec<u8>,
    fill_text: String,
    /// Before the numbers in names of files, and between them.
    key: (&'static str, &'static str),
    cache: Mutex<Vec<Unpacked>>,
    stored_bytes: OnceLock<u64>,
}

/// A chunk, by its place, unpacked.
type Unpacked = (Vec<usize>, Arc<[u8]>);

/// A number that is read out of an array, converted where the array holds others.
pub(in crate::anndata) trait FromZarr: hdf5::H5Type + Copy + Default {
    /// Makes `out` of `bytes`.
    fn convert(bytes: &[u8], number: Number, out: &mut [Self]);
}

impl FromZarr for f32 {
    fn convert(bytes: &[u8], number: Number, out: &mut [Self]) {
        numbers::floats(bytes, number, out);
    }
}

impl FromZarr for f64 {
    fn convert(bytes: &[u8], number: Number, out: &mut [Self]) {
        numbers::doubles(bytes, number, out);
    }
}

impl FromZarr for i64 {
    fn convert(bytes: &[u8], number: Number, out: &mut [Self]) {
        numbers::integers(bytes, number, out);
    }
}

/// Through 64 bits, clipped to what fits.
macro_rules! clipped {
    ($($type:ty),*) => {$(
        impl FromZarr for $type {
            fn convert(bytes: &[u8], number: Number, out: &mut [Self]) {
                let mut wide = vec![0i64; out.len()];
                numbers::integers(bytes, number, &mut wide);
                for (place, value) in out.iter_mut().zip(wide) {
                    *place = Self::try_from(value).unwrap_or(if value < 0 { Self::MIN } else { Self::MAX });
                }
            }
        }
    )*};
}
clipped!(i32, u8);

impl FromZarr for u64 {
    fn convert(bytes: &[u8], number: Number, out: &mut [Self]) {
        if number == Number::U64 {
            for (place, b) in out.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *place = Self::from_le_bytes(*b);
            }
            return;
        }
        let mut wide = vec![0i64; out.len()];
        numbers::integers(bytes, number, &mut wide);
        for (place, value) in out.iter_mut().zip(wide) {
            *place = Self::try_from(value).unwrap_or(0);
        }
    }
}

/// A list of sizes.
pub(super) fn sizes(value: &Value) -> Option<Vec<usize>> {
    value.as_array()?.iter().map(|size| usize::try_from(size.as_u64()?).ok()).collect()
}

impl Array {
    pub(super) fn of_version_2(folder: PathBuf, json: &Value) -> Result<Self, String> {
        let part = |name: &str| json.get(name).filter(|value| !value.is_null());
        let listed = part("filters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let has_texts = listed.iter().any(|f| f.get("id").and_then(Value::as_str) == Some("vlen-utf8"));
        let named = part("dtype").and_then(Value::as_str).ok_or("data of a compound or unknown type")?;
        let (item, big_endian) =
            item_of_numpy(named, has_texts).ok_or_else(|| format!("data of type {named}"))?;
        let mut filters = Vec::new();
        for description in listed.iter().chain(part("compressor")) {
            let name = description.get("id").and_then(Value::as_str).unwrap_or("without a name");
            if name == "vlen-utf8" {
                continue;
            }
            let filter = filter_of_numcodecs(description);
            filters.push(filter.ok_or_else(|| format!("data packed with the codec {name}"))?);
        }
        let slashes = part("dimension_separator").and_then(Value::as_str) == Some("/");
        let codecs = Codecs {
            filters,
            big_endian,
            by_columns: part("order").and_then(Value::as_str) == Some("F"),
            shards: None,
        };
        let shape = part("shape").and_then(sizes).ok_or("no shape")?;
        let chunk = part("chunks").and_then(sizes).ok_or("no shape of chunks")?;
        let key = ("", if slashes { "/" } else { "." });
        Self::checked(folder, (shape, chunk.clone(), chunk), item, codecs, part("fill_value"), key)
    }

    pub(super) fn of_version_3(folder: PathBuf, json: &Value) -> Result<Self, String> {
        let data_type = json.get("data_type").unwrap_or(&Value::Null);
        let item = item_of_version_3(data_type).ok_or_else(|| format!("data of type {data_type}"))?;
        let shape = json.get("shape").and_then(sizes).ok_or("no shape")?;
        let grid = json.get("chunk_grid").unwrap_or(&Value::Null);
        if grid.get("name").and_then(Value::as_str) != Some("regular") {
            return Err("chunks of different shapes".into());
        }
        let file = grid.get("configuration").and_then(|c| c.get("chunk_shape")).and_then(sizes);
        let file = file.ok_or("no shape of chunks")?;
        let codecs = codecs_of_version_3(json.get("codecs").unwrap_or(&Value::Null), &file, 0)?;
        let chunk = codecs.shards.as_ref().map_or_else(|| file.clone(), |shards| shards.chunk.clone());
        let keys = json.get("chunk_key_encoding").unwrap_or(&Value::Null);
        let usual = keys.get("name").and_then(Value::as_str) != Some("v2");
        let separator = keys.get("configuration").and_then(|c| c.get("separator")).and_then(Value::as_str);
        let separator = match separator.unwrap_or(if usual { "/" } else { "." }) {
            "/" => "/",
            "." => ".",
            _ => return Err("names of chunks in an unknown form".into()),
        };
        let key = (if usual { "c" } else { "" }, separator);
        Self::checked(folder, (shape, chunk, file), item, codecs, json.get("fill_value"), key)
    }

    fn checked(
        folder: PathBuf,
        (shape, chunk, file): (Vec<usize>, Vec<usize>, Vec<usize>),
        item: Item,
        codecs: Codecs,
        fill: Option<&Value>,
        key: (&'static str, &'static str),
    ) -> Result<Self, String> {
        let odd = || format!("shape {shape:?} in chunks of {chunk:?}");
        if shape.len() != chunk.len() || shape.len() > MOST_DIMENSIONS || chunk.contains(&0) {
            return Err(odd());
        }
        let bytes = chunk.iter().try_fold(item.width(), |n, side| n.checked_mul(*side));
        if bytes.is_none_or(|bytes| bytes > MOST_CHUNK_BYTES) {
            return Err(odd());
        }
        if shape.iter().try_fold(8usize, |n, side| n.checked_mul((*side).max(1))).is_none() {
            return Err(odd());
        }
        // A file of several chunks lists them by 16 bytes each.
        let listed =
            file.iter().zip(&chunk).try_fold(16usize, |n, (file, chunk)| n.checked_mul(file / chunk));
        if listed.is_none_or(|bytes| i64::try_from(bytes).is_err()) {
            return Err(format!("files of {file:?} in chunks of {chunk:?}"));
        }
        let fill_text = fill.and_then(Value::as_str).unwrap_or_default().to_owned();
        let fill = fill_bytes(item, fill);
        Ok(Self {
            folder,
            shape,
            chunk,
            file,
            item,
            codecs,
            fill,
            fill_text,
            key,
            cache: Mutex::default(),
            stored_bytes: OnceLock::new(),
        })
    }

    pub(in crate::anndata) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Shape of what is unpacked at once.
    pub(in crate::anndata) fn chunk(&self) -> &[usize] {
        &self.chunk
    }

    /// The type of its numbers; truth values are 0 and 1.
    pub(in crate::anndata) fn number(&self) -> Option<Number> {
        match self.item {
            Item::Number(number) => Some(number),
            Item::Boolean => Some(Number::U8),
            _ => None,
        }
    }

    /// What HDF5 would say of it.
    pub(in crate::anndata) fn descriptor(&self) -> Option<TypeDescriptor> {
        Some(match self.item {
            Item::Boolean => TypeDescriptor::Boolean,
            Item::Text => TypeDescriptor::VarLenUnicode,
            Item::Bytes(width) => TypeDescriptor::FixedAscii(width),
            Item::Letters(width) => TypeDescriptor::FixedUnicode(width),
            Item::Number(number) => match number {
                Number::I8 => TypeDescriptor::Integer(IntSize::U1),
                Number::I16 => TypeDescriptor::Integer(IntSize::U2),
                Number::I32 => TypeDescriptor::Integer(IntSize::U4),
                Number::I64 => TypeDescriptor::Integer(IntSize::U8),
                Number::U8 => TypeDescriptor::Unsigned(IntSize::U1),
                Number::U16 => TypeDescriptor::Unsigned(IntSize::U2),
                Number::U32 => TypeDescriptor::Unsigned(IntSize::U4),
                Number::U64 => TypeDescriptor::Unsigned(IntSize::U8),
                Number::F16 => return None,
                Number::F32 => TypeDescriptor::Float(FloatSize::U4),
                Number::F64 => TypeDescriptor::Float(FloatSize::U8),
            },
        })
    }

    pub(in crate::anndata) fn content(&self) -> Content {
        match self.item {
            Item::Boolean => Content::Boolean,
            Item::Text | Item::Bytes(_) | Item::Letters(_) => Content::Text,
            Item::Number(Number::U64) => Content::Unsigned64,
            Item::Number(Number::F16 | Number::F32 | Number::F64) => Content::Float,
            Item::Number(_) => Content::Integer,
        }
    }

    /// Refuses, before memory is set aside, claims that the stored files cannot back.
    pub(in crate::anndata) fn check_readable(&self) -> Result<(), String> {
        let width = self.item.width() as u64;
        let claimed = self.shape.iter().try_fold(width, |n, side| n.checked_mul(*side as u64));
        if claimed.is_some_and(|bytes| bytes <= FREE_BYTES) {
            return Ok(());
        }
        let stored = *self.stored_bytes.get_or_init(|| stored_bytes(&self.folder));
        if claimed.is_some_and(|bytes| bytes <= stored.saturating_mul(LARGEST_PACKING)) {
            return Ok(());
        }
        Err(format!("shape {:?} of {width} bytes each, with {stored} bytes stored", self.shape))
    }

    /// The file that holds a chunk, and the chunk's place among those in it.
    fn file_of(&self, at: &[usize]) -> (PathBuf, usize) {
        let mut names = Vec::with_capacity(at.len());
        let mut place = 0;
        for ((at, chunk), file) in at.iter().zip(&self.chunk).zip(&self.file) {
            let along = (file / chunk).max(1);
            names.push((at / along).to_string());
            place = place * along + at % along;
        }
        let (first, separator) = self.key;
        let name = match (first, names.is_empty()) {
            ("", true) => "0".to_owned(),
            (first, true) => first.to_owned(),
            ("", false) => names.join(separator),
            (first, false) => format!("{first}{separator}{}", names.join(separator)),
        };
        (self.folder.join(name), place)
    }

    /// Unpacks the chunk `at`: its items row after row, little-endian. One that was never written is filled.
    pub(in crate::anndata) fn unpack(&self, at: &[usize], unpacker: &mut Unpacker) -> Result<(), String> {
        let n = self.chunk.iter().product::<usize>();
        let whole = n * self.item.width();
        let (path, place) = self.file_of(at);
        if !self.read_packed(&path, place, unpacker)? {
            let room = unpacker.room(if self.item == Item::Text { 0 } else { whole });
            for item in room.chunks_exact_mut(self.fill.len().max(1)) {
                item.copy_from_slice(&self.fill);
            }
            return Ok(());
        }
        let most = if self.item == Item::Text { MOST_CHUNK_BYTES } else { whole };
        for filter in self.codecs.filters.iter().rev() {
            // A checksum lies behind all of it.
            let most = if self.codecs.filters.contains(&Filter::Checksum) { most + 4 } else { most };
            unpacker.undo(*filter, most).ok_or_else(|| format!("{} cannot be unpacked", shown(&path)))?;
        }
        if self.item == Item::Text {
            return Ok(());
        }
        if unpacker.bytes().len() != whole {
            return Err(format!("{} has {} bytes for {whole}", shown(&path), unpacker.bytes().len()));
        }
        if self.codecs.big_endian {
            numbers::swap(unpacker.room(whole), self.item.swapped_width());
        }
        if let (true, [rows, cols]) = (self.codecs.by_columns, self.chunk.as_slice()) {
            let width = self.item.width();
            let bytes = unpacker.bytes();
            let mut turned = Vec::with_capacity(whole);
            for row in 0..*rows {
                for col in 0..*cols {
                    let from = (col * rows + row) * width;
                    turned.extend_from_slice(bytes.get(from..from + width).unwrap_or_default());
                }
            }
            unpacker.take(turned);
        } else if self.codecs.by_columns && self.chunk.len() > 2 {
            return Err("more than two dimensions, by columns".into());
        }
        Ok(())
    }

    /// Fills `unpacker` with the packed chunk; `false` where there is none.
    fn read_packed(&self, path: &Path, place: usize, unpacker: &mut Unpacker) -> Result<bool, String> {
        let failed = |error: std::io::Error| format!("{} cannot be read ({error})", shown(path));
        let meta = match path.symlink_metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        let inside = || path.parent()?.canonicalize().ok();
        if !meta.is_file() || !inside().is_some_and(|parent| parent.starts_with(&self.folder)) {
            return Err(format!("{} is no plain file", shown(path)));
        }
        let mut file = File::open(path).map_err(failed)?;
        let (start, length) = match &self.codecs.shards {
            None => (0, meta.len()),
            Some(shards) => match self.shard(shards, place, meta.len(), &mut file).map_err(failed)? {
                Some(part) => part,
                None => return Ok(false),
            },
        };
        if length > MOST_CHUNK_BYTES as u64 || start.checked_add(length).is_none_or(|end| end > meta.len()) {
            return Err(format!("{} claims {length} bytes at {start}", shown(path)));
        }
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        file.read_exact(unpacker.room(length as usize)).map_err(failed)?;
        Ok(true)
    }

    /// Where the chunk `place` lies in a file of several; `None` where it was never written.
    fn shard(
        &self,
        shards: &Shards,
        place: usize,
        file_bytes: u64,
        file: &mut File,
    ) -> std::io::Result<Option<(u64, u64)>> {
        let n: usize = self.file.iter().zip(&self.chunk).map(|(file, chunk)| file / chunk).product();
        let index = (16 * n + shards.index_checksum) as u64;
        let start = if shards.index_at_end { file_bytes.saturating_sub(index) } else { 0 };
        file.seek(SeekFrom::Start(start + 16 * place as u64))?;
        let (mut address, mut length) = ([0; 8], [0; 8]);
        file.read_exact(&mut address)?;
        file.read_exact(&mut length)?;
        let (address, length) = (u64::from_le_bytes(address), u64::from_le_bytes(length));
        Ok((address != u64::MAX || length != u64::MAX).then_some((address, length)))
    }

    /// The chunk `at`, unpacked now or a moment ago.
    fn cached(&self, at: &[usize]) -> Result<Arc<[u8]>, String> {
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = cache().iter().find(|(known, _)| known == at) {
            return Ok(bytes.clone());
        }
        let mut unpacker = Unpacker::default();
        self.unpack(at, &mut unpacker)?;
        let bytes: Arc<[u8]> = unpacker.bytes().into();
        let mut cache = cache();
        cache.push((at.to_vec(), bytes.clone()));
        while cache.len() > 1 && cache.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > CACHE_BYTES {
            cache.remove(0);
        }
        Ok(bytes)
    }

    /// Rows and columns of a matrix, row after row; a column has the columns `0..1`.
    pub(in crate::anndata) fn read<T: FromZarr>(
        &self,
        rows: Range<usize>,
        cols: Range<usize>,
    ) -> Result<Vec<T>, String> {
        let number = self.number().ok_or("texts")?;
        let width = number.width();
        let (chunk_rows, chunk_cols) = match self.chunk.as_slice() {
            [] => (1, 1),
            [rows] => (*rows, 1),
            [rows, cols] => (*rows, *cols),
            _ => return Err(format!("{} dimensions", self.shape.len())),
        };
        let mut values = vec![T::default(); rows.len() * cols.len()];
        for i in rows.start / chunk_rows..rows.end.div_ceil(chunk_rows) {
            for j in cols.start / chunk_cols..cols.end.div_ceil(chunk_cols) {
                let bytes = self.cached([i, j].get(..self.shape.len().min(2)).unwrap_or_default())?;
                let here = rows.start.max(i * chunk_rows)..rows.end.min((i + 1) * chunk_rows);
                let along = cols.start.max(j * chunk_cols)..cols.end.min((j + 1) * chunk_cols);
                // Whole rows of the chunk that are whole rows of what is asked for follow each other.
                let (step, run) = if along.len() == chunk_cols && along.len() == cols.len() {
                    (here.len().max(1), here.len() * along.len())
                } else {
                    (1, along.len())
                };
                for row in here.step_by(step) {
                    let from = ((row - i * chunk_rows) * chunk_cols + along.start - j * chunk_cols) * width;
                    let to = (row - rows.start) * cols.len() + along.start - cols.start;
                    let (Some(bytes), Some(room)) =
                        (bytes.get(from..from + run * width), values.get_mut(to..to + run))
                    else {
                        return Err("a chunk that is too short".into());
                    };
                    T::convert(bytes, number, room);
                }
            }
        }
        Ok(values)
    }

    /// All texts of a column, or the one of a scalar.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`]; within, what is wrong with the array.
    pub(in crate::anndata) fn texts(&self, watch: &Watch) -> crate::Result<Result<Vec<String>, String>> {
        let n: usize = self.shape.iter().product();
        let chunk = self.chunk.first().copied().unwrap_or(1);
        let mut unpacker = Unpacker::default();
        let mut texts = Vec::new();
        let mut total = 0usize;
        for i in 0..n.div_ceil(chunk) {
            watch.check()?;
            let at = [i, 0];
            if let Err(found) = self.unpack(at.get(..self.shape.len()).unwrap_or_default(), &mut unpacker) {
                return Ok(Err(found));
            }
            let wanted = chunk.min(n - i * chunk);
            // One that was never written is filled with the text that stands for it.
            let filled = if unpacker.bytes().is_empty() { self.fill_text.len() } else { 0 };
            total =
                total.saturating_add(unpacker.bytes().len()).saturating_add(filled.saturating_mul(wanted));
            if total > MOST_TEXT_BYTES {
                return Ok(Err(format!("more than {} GiB of text", MOST_TEXT_BYTES >> 30)));
            }
            let before = texts.len();
            if self.texts_of(unpacker.bytes(), wanted, &mut texts).is_none() || texts.len() != before + wanted
            {
                return Ok(Err(format!("a chunk that does not hold its {wanted} texts")));
            }
        }
        Ok(Ok(texts))
    }

    /// Adds the first `wanted` texts of a chunk.
    fn texts_of(&self, bytes: &[u8], wanted: usize, texts: &mut Vec<String>) -> Option<()> {
        match self.item {
            Item::Text if bytes.is_empty() => {
                texts.extend(std::iter::repeat_n(self.fill_text.clone(), wanted));
            }
            Item::Text => {
                let (n, mut rest) = bytes.split_first_chunk::<4>()?;
                for _ in 0..wanted.min(u32::from_le_bytes(*n) as usize) {
                    let (length, behind) = rest.split_first_chunk::<4>()?;
                    let (text, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                    texts.push(text_of(text));
                    rest = behind;
                }
            }
            Item::Bytes(width) => {
                let until_zero =
                    |text: &[u8]| text_of(text.split(|byte| *byte == 0).next().unwrap_or_default());
                texts.extend(bytes.chunks_exact(width).take(wanted).map(until_zero));
            }
            Item::Letters(width) => {
                let letters = |text: &[u8]| {
                    let codes = text.as_chunks::<4>().0.iter().map(|code| u32::from_le_bytes(*code));
                    let letter = |code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                    codes.take_while(|code| *code != 0).map(letter).collect::<String>()
                };
                texts.extend(bytes.chunks_exact(width).take(wanted).map(letters));
            }
            Item::Boolean | Item::Number(_) => return None,
        }
        Some(())
    }
}

/// The bytes of an item that was never written.
fn fill_bytes(item: Item, value: Option<&Value>) -> Vec<u8> {
    let number = match value {
        Some(Value::Bool(truth)) => f64::from(u8::from(*truth)),
        Some(Value::String(text)) => match text.as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => 0.0,
        },
        Some(value) => value.as_f64().unwrap_or(0.0),
        None => 0.0,
    };
    let whole = value.and_then(Value::as_i64).unwrap_or(number as i64);
    match item {
        Item::Boolean => vec![u8::from(number != 0.0)],
        Item::Number(Number::F16) => half::f16::from_f64(number).to_le_bytes().into(),
        Item::Number(Number::F32) => (number as f32).to_le_bytes().into(),
        Item::Number(Number::F64) => number.to_le_bytes().into(),
        Item::Number(Number::U64) => {
            value.and_then(Value::as_u64).unwrap_or(number as u64).to_le_bytes().into()
        }
        Item::Number(number) => whole.to_le_bytes().get(..number.width()).unwrap_or_default().to_vec(),
        item => vec![0; item.width()],
    }
}

/// Bytes of all files below `folder`, as far as they are counted.
fn stored_bytes(folder: &Path) -> u64 {
    let mut bytes = 0u64;
    let mut counted = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            counted += 1;
            if counted > MOST_COUNTED {
                return bytes;
            }
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => bytes = bytes.saturating_add(meta.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// The name of a chunk's file.
fn shown(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
