//! GGUF, the file of ggml's programs: a model's settings, tokens and weights in one.
//!
//! The layout is that of the specification in the ggml repository (`docs/gguf.md`), versions 2 and 3.

mod blocks;
mod weights;

use std::collections::BTreeMap;

pub(in crate::nn) use blocks::Kind;
pub(in crate::nn) use weights::GgufWeights;

/// A setting of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A truth.
    Bool(bool),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// Numbers.
    Numbers(Vec<f64>),
    /// A list that is not read.
    Other,
}

/// A tensor of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::nn) struct Entry {
    pub(in crate::nn) kind: Kind,
    /// Rows first, as in other files.
    pub(in crate::nn) shape: Vec<usize>,
    /// Bytes from the beginning of the file.
    pub(in crate::nn) start: usize,
    pub(in crate::nn) bytes: usize,
}

/// Settings and tensors of a file; the numbers stay in it.
#[derive(Debug)]
pub(in crate::nn) struct Gguf {
    pub(in crate::nn) settings: BTreeMap<String, Setting>,
    pub(in crate::nn) tensors: BTreeMap<String, Entry>,
}

/// Lists within lists, at most.
const MAX_DEPTH: usize = 3;

impl Gguf {
    /// Whether `file` begins as such files do.
    pub(in crate::nn) fn is_one(file: &[u8]) -> bool {
        file.starts_with(b"GGUF")
    }

    /// Reads settings and the list of tensors.
    ///
    /// # Errors
    /// What was found in place of them.
    pub(in crate::nn) fn open(file: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { file, at: 4 };
        let version = reader.u32()?;
        if !(2..=3).contains(&version) {
            return Err(format!("GGUF version {version}"));
        }
        let (n_tensors, n_settings) = (reader.u64()?, reader.u64()?);
        let mut settings = BTreeMap::new();
        for _ in 0..n_settings {
            let (name, kind) = (reader.text()?, reader.u32()?);
            let value = reader.setting(kind, 0)?;
            settings.insert(name, value);
        }
        let mut listed = Vec::new();
        for _ in 0..n_tensors {
            let name = reader.text()?;
            let dims = reader.u32()?;
            if dims > 4 {
                return Err(format!("{name:?} of {dims} dimensions"));
            }
            let mut shape = Vec::new();
            for _ in 0..dims {
                shape.push(reader.size()?);
            }
            shape.reverse();
            let number = reader.u32()?;
            let start = reader.size()?;
            listed.push((name, shape, number, start));
        }
        let alignment = match settings.get("general.alignment") {
            Some(Setting::Int(n)) => {
                usize::try_from(*n).ok().filter(|n| *n > 0).ok_or("a wrong alignment")?
            }
            _ => 32,
        };
        let data = reader.at.checked_next_multiple_of(alignment).ok_or("a wrong alignment")?;
        let mut tensors = BTreeMap::new();
        for (name, shape, number, offset) in listed {
            let Some(kind) = Kind::numbered(number) else {
                return Err(format!(
                    "{name:?} stored as ggml type {number}; F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K are read"
                ));
            };
            let wrong = || format!("{name:?} of shape {shape:?} beyond the end of the file");
            let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(wrong)?;
            let (numbers, width) = kind.block();
            if !shape.last().copied().unwrap_or(1).is_multiple_of(numbers) {
                return Err(format!("{name:?} of shape {shape:?} in blocks of {numbers}"));
            }
            let bytes = (count / numbers).checked_mul(width).ok_or_else(wrong)?;
            let start = data.checked_add(offset).ok_or_else(wrong)?;
            if start.checked_add(bytes).is_none_or(|end| end > file.len()) {
                return Err(wrong());
            }
            tensors.insert(name, Entry { kind, shape, start, bytes });
        }
        Ok(Self { settings, tensors })
    }

    /// The bytes of a tensor.
    pub(in crate::nn) fn bytes<'a>(&self, file: &'a [u8], entry: &Entry) -> &'a [u8] {
        file.get(entry.start..entry.start + entry.bytes).unwrap_or_default()
    }

    /// The numbers of a tensor as float32.
    pub(in crate::nn) fn values(&self, file: &[u8], entry: &Entry) -> Vec<f32> {
        entry.kind.values(self.bytes(file, entry))
    }
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.file.len());
        let end = end.ok_or_else(|| format!("the end of the file at byte {}", self.at))?;
        let taken = self.file.get(self.at..end).unwrap_or_default();
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u64, String> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(self.number(4)? as u32)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.number(8)
    }

    fn size(&mut self) -> Result<usize, String> {
        usize::try_from(self.u64()?).map_err(|_| "a length beyond memory".to_owned())
    }

    fn text(&mut self) -> Result<String, String> {
        let len = self.size()?;
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }

    fn setting(&mut self, kind: u32, depth: usize) -> Result<Setting, String> {
        Ok(match kind {
            0 => Setting::Int(self.number(1)? as i64),
            1 => Setting::Int(i64::from(self.number(1)? as u8 as i8)),
            2 => Setting::Int(self.number(2)? as i64),
            3 => Setting::Int(i64::from(self.number(2)? as u16 as i16)),
            4 => Setting::Int(i64::from(self.u32()?)),
            5 => Setting::Int(i64::from(self.u32()? as i32)),
            6 => Setting::Float(f64::from(f32::from_bits(self.u32()?))),
            7 => Setting::Bool(self.number(1)? != 0),
            8 => Setting::Text(self.text()?),
            9 if depth < MAX_DEPTH => {
                let (of, len) = (self.u32()?, self.u64()?);
                let (mut texts, mut numbers, mut other) = (Vec::new(), Vec::new(), false);
                for _ in 0..len {
                    match self.setting(of, depth + 1)? {
                        Setting::Text(text) => texts.push(text),
                        Setting::Int(n) => numbers.push(n as f64),
                        Setting::Float(n) => numbers.push(n),
                        Setting::Bool(b) => numbers.push(f64::from(u8::from(b))),
                        _ => other = true,
                    }
                }
                match (other, of) {
                    (true, _) => Setting::Other,
                    (false, 8) => Setting::Texts(texts),
                    _ => Setting::Numbers(numbers),
                }
            }
            10 | 11 => Setting::Int(self.u64()? as i64),
            12 => Setting::Float(f64::from_bits(self.u64()?)),
            other => return Err(format!("a setting of type {other}")),
        })
    }
}

#[cfg(test)]
mod tests;
