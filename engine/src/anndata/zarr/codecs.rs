//! How the items of a Zarr array are packed: the codecs of version 3, and what version 2 calls compressor and filters.

use serde_json::Value;
use unpack::Filter;
use unpack::numbers::Number;

/// What an array holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// Truth values, a byte each.
    Boolean,
    Number(Number),
    /// Texts of any length: each its length (4 bytes) and its bytes, the number of texts before them.
    Text,
    /// Texts of so many bytes each, padded with zero bytes.
    Bytes(usize),
    /// Texts of so many bytes each, four a letter (UTF-32), padded with zeros.
    Letters(usize),
}

impl Item {
    /// Bytes of one; of texts of any length at least so many.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Boolean => 1,
            Self::Number(number) => number.width(),
            Self::Text => 4,
            Self::Bytes(width) | Self::Letters(width) => width,
        }
    }

    /// Of what a byte order has to be known, bytes of one number.
    pub(super) fn swapped_width(self) -> usize {
        match self {
            Self::Letters(_) => 4,
            Self::Number(number) => number.width(),
            _ => 1,
        }
    }
}

/// How a chunk is packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Codecs {
    /// As they were applied.
    pub(super) filters: Vec<Filter>,
    pub(super) big_endian: bool,
    /// Columns lie together, rather than rows.
    pub(super) by_columns: bool,
    /// Several chunks lie in one file.
    pub(super) shards: Option<Shards>,
}

/// The chunks of a file that holds several of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shards {
    /// Shape of one chunk.
    pub(super) chunk: Vec<usize>,
    /// Where they lie stands at the end of the file, or at its start.
    pub(super) index_at_end: bool,
    /// Bytes of a checksum behind the index.
    pub(super) index_checksum: usize,
}

/// An item by numpy's name, as `<f4`, and whether it is big-endian.
pub(super) fn item_of_numpy(name: &str, has_texts: bool) -> Option<(Item, bool)> {
    let order = name.get(..1)?;
    let big = order == ">";
    let kind = name.get(1..2)?;
    let size: usize =
        name.get(2..).filter(|size| !size.is_empty()).map_or(Some(0), |size| size.parse().ok())?;
    let number = match (kind, size) {
        ("i", 1) => Number::I8,
        ("i", 2) => Number::I16,
        ("i", 4) => Number::I32,
        ("i", 8) => Number::I64,
        ("u", 1) => Number::U8,
        ("u", 2) => Number::U16,
        ("u", 4) => Number::U32,
        ("u", 8) => Number::U64,
        ("f", 2) => Number::F16,
        ("f", 4) => Number::F32,
        ("f", 8) => Number::F64,
        ("b", 1) => return Some((Item::Boolean, false)),
        ("O", _) if has_texts => return Some((Item::Text, false)),
        ("S", 1..=65_536) => return Some((Item::Bytes(size), false)),
        ("U", 1..=16_384) => return Some((Item::Letters(4 * size), big)),
        _ => return None,
    };
    Some((Item::Number(number), big))
}

/// An item by its name in version 3.
pub(super) fn item_of_version_3(data_type: &Value) -> Option<Item> {
    let name = data_type.as_str().or_else(|| data_type.get("name")?.as_str())?;
    let bytes = || {
        let bytes = data_type.get("configuration")?.get("length_bytes")?.as_u64()?;
        usize::try_from(bytes).ok().filter(|bytes| (1..=65_536).contains(bytes))
    };
    Some(match name {
        "bool" => Item::Boolean,
        "int8" => Item::Number(Number::I8),
        "int16" => Item::Number(Number::I16),
        "int32" => Item::Number(Number::I32),
        "int64" => Item::Number(Number::I64),
        "uint8" => Item::Number(Number::U8),
        "uint16" => Item::Number(Number::U16),
        "uint32" => Item::Number(Number::U32),
        "uint64" => Item::Number(Number::U64),
        "float16" => Item::Number(Number::F16),
        "float32" => Item::Number(Number::F32),
        "float64" => Item::Number(Number::F64),
        "string" => Item::Text,
        "null_terminated_bytes" => Item::Bytes(bytes()?),
        "fixed_length_utf32" => Item::Letters(bytes().filter(|bytes| bytes.is_multiple_of(4))?),
        _ => return None,
    })
}

/// A filter by the name that numcodecs gives it; `None` where it is not known.
pub(super) fn filter_of_numcodecs(description: &Value) -> Option<Filter> {
    Some(match description.get("id")?.as_str()? {
        "blosc" => Filter::Blosc,
        "zlib" => Filter::Deflate,
        "gzip" => Filter::Gzip,
        "zstd" => Filter::Zstd,
        "shuffle" => Filter::Shuffle(usize::try_from(description.get("elementsize")?.as_u64()?).ok()?),
        _ => return None,
    })
}

/// The codecs of version 3, or the name of one that is not known. `shape` is that of what they pack.
pub(super) fn codecs_of_version_3(list: &Value, shape: &[usize], depth: usize) -> Result<Codecs, String> {
    let mut codecs = Codecs::default();
    for codec in list.as_array().map(Vec::as_slice).unwrap_or_default() {
        let name = codec.get("name").and_then(Value::as_str).unwrap_or("without a name");
        let unknown = || format!("data packed with the codec {name}");
        let setting = |key: &str| codec.get("configuration").and_then(|settings| settings.get(key));
        match name {
            "bytes" => {
                codecs.big_endian = setting("endian").and_then(Value::as_str) == Some("big");
            }
            "vlen-utf8" => {}
            "transpose" => {
                let order: Option<Vec<u64>> = setting("order")
                    .and_then(Value::as_array)
                    .and_then(|order| order.iter().map(Value::as_u64).collect());
                match order.as_deref() {
                    Some([0] | [0, 1]) => {}
                    Some([1, 0]) => codecs.by_columns = true,
                    _ => return Err(unknown()),
                }
            }
            "gzip" => codecs.filters.push(Filter::Gzip),
            "zstd" => codecs.filters.push(Filter::Zstd),
            "blosc" => codecs.filters.push(Filter::Blosc),
            "crc32c" => codecs.filters.push(Filter::Checksum),
            "numcodecs.zlib" => codecs.filters.push(Filter::Deflate),
            "numcodecs.shuffle" => {
                let width = setting("elementsize").and_then(Value::as_u64).ok_or_else(unknown)?;
                codecs.filters.push(Filter::Shuffle(usize::try_from(width).map_err(|_| unknown())?));
            }
            "sharding_indexed" if depth == 0 && codecs == Codecs::default() => {
                let chunk = setting("chunk_shape").and_then(super::array::sizes).ok_or_else(unknown)?;
                let fits = chunk.len() == shape.len()
                    && chunk.iter().zip(shape).all(|(part, whole)| *part > 0 && whole.is_multiple_of(*part));
                if !fits {
                    return Err(format!("shards of {shape:?} in pieces of {chunk:?}"));
                }
                codecs = codecs_of_version_3(setting("codecs").unwrap_or(&Value::Null), &chunk, depth + 1)?;
                let index = setting("index_codecs").unwrap_or(&Value::Null);
                let index = codecs_of_version_3(index, &[], depth + 1)?;
                let index_checksum = match index.filters.as_slice() {
                    [] => 0,
                    [Filter::Checksum] => 4,
                    _ => return Err("a packed index of shards".into()),
                };
                if index.big_endian {
                    return Err("a big-endian index of shards".into());
                }
                let index_at_end = setting("index_location").and_then(Value::as_str) != Some("start");
                codecs.shards = Some(Shards { chunk, index_at_end, index_checksum });
            }
            _ => return Err(unknown()),
        }
    }
    Ok(codecs)
}
