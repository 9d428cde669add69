//! Weights that torch saved (`.bin`, `.pt`): a zip archive with a pickle that lists tensors, and their numbers.
//!
//! Nothing of it is run: [`pickle`] reads the list and refuses what is none.

mod pickle;
mod zip;

use std::collections::BTreeMap;
use std::ops::Range;

use half::{bf16, f16};

use pickle::{Entry, Kind, Pickle, Value};

/// What holds the parameters in files that hold more than them.
const STATES: [&str; 4] = ["model_state_dict", "state_dict", "model", "module"];

/// A file's tensors, by name; the numbers stay in the file.
#[derive(Debug)]
pub(super) struct TorchFile {
    entries: BTreeMap<String, Range<usize>>,
    /// What stands before all names of entries.
    root: String,
    tensors: BTreeMap<String, Entry>,
}

impl TorchFile {
    /// Whether `file` begins as torch's archives do.
    pub(super) fn is_one(file: &[u8]) -> bool {
        file.starts_with(b"PK\x03\x04")
    }

    /// Reads the list of tensors in `file`.
    ///
    /// # Errors
    /// What was found in place of one.
    pub(super) fn open(file: &[u8]) -> Result<Self, String> {
        let entries = zip::entries(file)?;
        let (name, range) = entries
            .iter()
            .find(|(name, _)| name.as_str() == "data.pkl" || name.ends_with("/data.pkl"))
            .ok_or("an archive without data.pkl")?;
        let root = name.strip_suffix("data.pkl").unwrap_or_default().to_owned();
        let order = entries.get(&format!("{root}byteorder")).and_then(|range| file.get(range.clone()));
        if order.is_some_and(|order| order != b"little") {
            return Err("numbers of a big-endian machine".to_owned());
        }
        let pickle = pickle::read(file.get(range.clone()).unwrap_or_default())?;
        let mut tensors = BTreeMap::new();
        for (name, value) in states(&pickle) {
            if let Value::Tensor(entry) = value {
                let plain = name.strip_prefix("module.").unwrap_or(name);
                tensors.insert(plain.to_owned(), Entry::clone(entry));
            }
        }
        if tensors.is_empty() {
            return Err("no tensor".to_owned());
        }
        Ok(Self { entries, root, tensors })
    }

    /// Names of all tensors.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of the tensor `name`.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The tensor `name` of `file` as float32 in row-major order, with its shape.
    ///
    /// # Errors
    /// What was found in place of one.
    pub(super) fn read(&self, file: &[u8], name: &str) -> Result<(Vec<usize>, Vec<f32>), String> {
        let entry = self.tensors.get(name).ok_or("no such tensor")?;
        let storage = format!("{}data/{}", self.root, entry.storage);
        let range = self.entries.get(&storage).ok_or_else(|| format!("no entry {storage:?}"))?;
        let bytes = file.get(range.clone()).ok_or("an entry beyond the end of the file")?;
        let width = match entry.kind {
            Kind::F16 | Kind::Bf16 => 2,
            Kind::F32 => 4,
            Kind::F64 => 8,
            Kind::Other => return Err("numbers that are no floating point".to_owned()),
        };
        let count =
            entry.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or("an endless shape")?;
        let last = entry
            .shape
            .iter()
            .zip(&entry.strides)
            .try_fold(entry.offset, |at, (&n, &stride)| {
                at.checked_add(n.saturating_sub(1).checked_mul(stride)?)
            })
            .filter(|last| count == 0 || *last < bytes.len() / width);
        if last.is_none() {
            return Err(format!("shape {:?} in {} numbers", entry.shape, bytes.len() / width));
        }
        // A tensor that repeats numbers could be far longer than the file that holds it.
        if count > bytes.len() / width {
            return Err(format!("{count} numbers of the {} stored", bytes.len() / width));
        }
        let number = |b: &[u8]| match entry.kind {
            Kind::F16 => f16::from_le_bytes([b[0], b[1]]).to_f32(),
            Kind::Bf16 => bf16::from_le_bytes([b[0], b[1]]).to_f32(),
            Kind::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            Kind::F64 | Kind::Other => {
                f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32
            }
        };
        let start = entry.offset * width;
        let in_order = row_major(&entry.shape) == entry.strides || count == 0;
        if let (true, Some(own)) = (in_order, bytes.get(start..start + count * width)) {
            return Ok((entry.shape.clone(), own.chunks_exact(width).map(number).collect()));
        }
        let mut values = Vec::with_capacity(count);
        let mut place = vec![0usize; entry.shape.len()];
        for _ in 0..count {
            let at = place.iter().zip(&entry.strides).fold(entry.offset, |at, (i, stride)| at + i * stride);
            values.push(bytes.get(at * width..(at + 1) * width).map_or(f32::NAN, number));
            for (i, n) in place.iter_mut().zip(&entry.shape).rev() {
                *i += 1;
                if *i < *n {
                    break;
                }
                *i = 0;
            }
        }
        Ok((entry.shape.clone(), values))
    }
}

/// The strides of a tensor whose numbers stand in the order of its places.
fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides: Vec<usize> = shape
        .iter()
        .rev()
        .scan(1usize, |step, &n| {
            let own = *step;
            *step = step.saturating_mul(n);
            Some(own)
        })
        .collect();
    strides.reverse();
    strides
}

/// Names and values of the dictionary that holds the parameters.
fn states(pickle: &Pickle) -> impl Iterator<Item = (&str, &Value)> {
    let dict = |value: &Value| match value {
        Value::Dict(index) => pickle.dicts.get(*index),
        _ => None,
    };
    let root = dict(&pickle.root);
    let inner = root.and_then(|root| {
        STATES.iter().find_map(|state| {
            let (_, value) = root.iter().find(|(key, _)| **key == **state)?;
            dict(value)
        })
    });
    inner.or(root).into_iter().flatten().map(|(key, value)| (&**key, value))
}

#[cfg(test)]
mod tests;
