//! Writes a file of weights tensor by tensor, so that never more than one lies in memory.

use std::io::Write;
use std::path::Path;

use half::f16;
use serde_json::{Map, Value, json};

use super::quant::{Bits, Blocks};
use super::weights::SCALES;
use crate::error::Problem;
use crate::{Error, Result};

/// How a tensor is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WritingKind {
    /// float32.
    Float32,
    /// float16.
    Float16,
    /// Blocks of whole rows; the tensor is a matrix.
    Blocks(Bits),
}

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How it is written.
    pub kind: WritingKind,
}

impl Writing {
    /// Names, types, shapes and bytes of what it becomes in the file.
    fn entries(&self) -> Vec<(String, &'static str, Vec<usize>, usize)> {
        let numbers: usize = self.shape.iter().product();
        let plain = |kind, width: usize| vec![(self.name.clone(), kind, self.shape.clone(), numbers * width)];
        match (self.kind, self.shape.as_slice()) {
            (WritingKind::Blocks(bits), &[rows, columns]) => {
                let per_row = columns.div_ceil(super::quant::BLOCK);
                let width = per_row * bits.bytes_per_block();
                let kind = if bits == Bits::Eight { "I8" } else { "U8" };
                vec![
                    (self.name.clone(), kind, vec![rows, width], rows * width),
                    (format!("{}{SCALES}", self.name), "F16", vec![rows, per_row], 2 * rows * per_row),
                ]
            }
            (WritingKind::Float16, _) => plain("F16", 2),
            _ => plain("F32", 4),
        }
    }

    fn write(&self, to: &mut dyn Write, values: &[f32]) -> std::io::Result<()> {
        match (self.kind, self.shape.as_slice()) {
            (WritingKind::Blocks(bits), &[rows, columns]) => {
                let blocks = Blocks::quantise(values, rows, columns, bits);
                to.write_all(blocks.numbers())?;
                blocks.scales().iter().try_for_each(|scale| to.write_all(&scale.to_le_bytes()))
            }
            (WritingKind::Float16, _) => {
                values.iter().try_for_each(|v| to.write_all(&f16::from_f32(*v).to_le_bytes()))
            }
            _ => values.iter().try_for_each(|v| to.write_all(&v.to_le_bytes())),
        }
    }
}

/// Writes the tensors of `plan` as one safetensors file, in its order; `read` gives the values of each by its name.
/// Replaces `path` atomically.
///
/// # Errors
/// What `read` fails with; [`Error::Model`] where it gives another number of values; [`Error::Io`].
pub fn write_streamed(
    path: &Path,
    plan: &[Writing],
    mut read: impl FnMut(&str) -> Result<Vec<f32>>,
) -> Result<()> {
    let mut header = Map::new();
    let mut at = 0;
    for (name, kind, shape, bytes) in plan.iter().flat_map(Writing::entries) {
        header.insert(name, json!({ "dtype": kind, "shape": shape, "data_offsets": [at, at + bytes] }));
        at += bytes;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    crate::files::write_whole(path, |to| {
        let failed = |e: std::io::Error| Error::io("write the weights", path, e);
        to.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
        to.write_all(&header).map_err(failed)?;
        for tensor in plan {
            let values = read(&tensor.name)?;
            let expected: usize = tensor.shape.iter().product();
            if values.len() != expected {
                return Err(Error::model(Problem::new(
                    tensor.name.clone(),
                    format!("{} numbers", values.len()),
                    expected.to_string(),
                    "Report this as a bug.",
                )));
            }
            tensor.write(to, &values).map_err(failed)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::super::WeightFiles;
    use super::*;

    #[test]
    fn what_is_written_piece_by_piece_is_read_back_with_shapes_and_within_its_precision() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let kinds = [
            WritingKind::Float32,
            WritingKind::Float16,
            WritingKind::Blocks(Bits::Eight),
            WritingKind::Blocks(Bits::Four),
        ];
        let plan: Vec<Writing> = kinds
            .into_iter()
            .enumerate()
            .map(|(i, kind)| Writing { name: format!("{i}.weight"), shape: vec![3, 64], kind })
            .collect();
        let values: Vec<f32> = (0..192).map(|i| (i as f32 - 96.0) / 96.0).collect();
        write_streamed(&path, &plan, |_| Ok(values.clone())).unwrap();
        let files = WeightFiles::open(&[path]).unwrap();
        for (tensor, allowed) in plan.iter().zip([0.0, 1e-3, 5e-3, 0.13]) {
            assert_eq!(files.shape(&tensor.name).unwrap(), [3, 64]);
            let (shape, back) = files.read(&tensor.name).unwrap();
            assert_eq!(shape, [3, 64]);
            let worst = values.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= allowed, "{}: {worst}", tensor.name);
        }
        assert!(files.blocks("0.weight").unwrap().is_none());
        assert_eq!(files.blocks("3.weight").unwrap().unwrap().bits(), Bits::Four);
        let other = folder.path().join("other.safetensors");
        assert!(write_streamed(&other, &plan, |_| Ok(vec![0.0])).is_err() && !other.exists());
    }
}
