//! Parameters by name: read from files of weights, or drawn at random for a model to be trained.
//!
//! Modules are built from a [`Params`] and written back through a [`ParamSink`], both in the names and
//! orientations of Hugging Face checkpoints (`[out, in]` for linear maps), so a folder that we write is one
//! that we, and others, can read.

use std::borrow::Cow;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal};
use safetensors::tensor::{Dtype, TensorView};

use super::host::is_host;
use super::maps::Stored;
use super::quant::{Bits, Blocks};
use super::weights::WeightFiles;
use crate::error::Problem;
use crate::progress::Watch;
use crate::{Error, Result};

/// Changes weights while they are read, as an adapter does.
pub trait WeightPatch: std::fmt::Debug {
    /// Changes the weight `name` (as the module asks for it, without the files' prefix) of `shape`, in file order.
    ///
    /// # Errors
    /// [`Error::Model`] where it does not fit.
    fn patch(&self, name: &str, shape: &[usize], values: &mut [f32]) -> Result<()>;
}

enum Source<'a> {
    Files {
        files: &'a WeightFiles,
        prefix: String,
        renamed: (String, String),
        patch: Option<&'a dyn WeightPatch>,
    },
    Random {
        rng: Box<StdRng>,
        std: f32,
    },
}

/// The name of a parameter in the files.
fn full_name(prefix: &str, (from, to): &(String, String), name: &str) -> String {
    match name.strip_prefix(from.as_str()).filter(|_| !from.is_empty()) {
        Some(rest) => format!("{prefix}{to}{rest}"),
        None => format!("{prefix}{name}"),
    }
}

/// Where a module's parameters come from, and the device they go to.
pub struct Params<'a> {
    source: Source<'a>,
    device: Device,
    /// What maps and tables are brought to while they are read.
    bits: Option<Bits>,
    /// Whether names and shapes are looked at only.
    checking: bool,
    /// Who is told of each tensor that is read, and may stop it.
    loading: Option<Loading<'a>>,
}

/// How far reading is.
struct Loading<'a> {
    watch: &'a Watch,
    what: &'static str,
    done: u64,
    total: u64,
}

impl std::fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Params").field("device", &self.device).finish_non_exhaustive()
    }
}

impl<'a> Params<'a> {
    /// Parameters read from `files`, each name after `prefix`.
    pub fn from_files(files: &'a WeightFiles, prefix: &str, device: &Device) -> Self {
        Self {
            source: Source::Files {
                files,
                prefix: prefix.to_owned(),
                renamed: Default::default(),
                patch: None,
            },
            device: device.clone(),
            bits: None,
            checking: false,
            loading: None,
        }
    }

    /// The same parameters, telling `watch` of each tensor that is read as a step of `what`; it can stop them.
    #[must_use]
    pub fn watched(mut self, watch: &'a Watch, what: &'static str) -> Self {
        let total = match &self.source {
            Source::Files { files, .. } => files.names().count() as u64,
            Source::Random { .. } => 0,
        };
        self.loading = Some(Loading { watch, what, done: 0, total });
        self
    }

    /// Tells of one more tensor, and lets go of the bytes of those that were read.
    fn step(&mut self) -> Result<()> {
        if let Source::Files { files, .. } = &self.source {
            files.release();
        }
        let Some(loading) = &mut self.loading else { return Ok(()) };
        loading.done += 1;
        // What was counted are names: scales have some of their own, and a table may be read twice.
        loading.watch.step(loading.what, loading.done.min(loading.total), Some(loading.total))
    }

    /// For building a module that is never run, to learn whether `files` hold what it needs: names and shapes are
    /// checked, and no number is read.
    pub fn checking(files: &'a WeightFiles) -> Self {
        Self { checking: true, ..Self::from_files(files, "", &Device::flex()) }
    }

    /// The same parameters, with maps and tables brought to `bits` as they are read; tables of tokens to 8 bits at
    /// least. The CPU and GPUs that take our kernels compute with them: for another device, and for learning, they stay
    /// as they are.
    #[must_use]
    pub fn quantised(mut self, bits: Bits) -> Self {
        self.bits = Some(bits);
        self
    }

    /// Reads names after the first of `prefixes` under which the files hold `name`; after the one set before, if there
    /// is none. Says whether one was found; fresh parameters have every name.
    pub fn find_prefix(&mut self, prefixes: &[&str], name: &str) -> bool {
        let Source::Files { files, prefix, .. } = &mut self.source else { return true };
        match prefixes.iter().find(|p| files.contains(&format!("{p}{name}"))) {
            Some(found) => {
                *prefix = (*found).to_owned();
                true
            }
            None => false,
        }
    }

    /// The same parameters, each changed by `patch` as it is read. Fresh parameters stay as they are.
    #[must_use]
    pub fn patched(mut self, by: &'a dyn WeightPatch) -> Self {
        if let Source::Files { patch, .. } = &mut self.source {
            *patch = Some(by);
        }
        self
    }

    /// Reads names that begin with `from` as if they began with `to`: checkpoints of one architecture carry it under
    /// several names.
    pub fn rename(&mut self, from: &str, to: &str) {
        if let Source::Files { renamed, .. } = &mut self.source {
            *renamed = (from.to_owned(), to.to_owned());
        }
    }

    /// Fresh parameters: matrices from a normal distribution of standard deviation `std`, norms one, biases zero.
    pub fn random(seed: u64, std: f32, device: &Device) -> Params<'static> {
        Params {
            source: Source::Random { rng: Box::new(StdRng::seed_from_u64(seed)), std },
            device: device.clone(),
            bits: None,
            checking: false,
            loading: None,
        }
    }

    /// The device that parameters go to.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether the source holds `name`; always true of fresh parameters.
    pub fn contains(&self, name: &str) -> bool {
        match &self.source {
            Source::Files { files, prefix, renamed, .. } => files.contains(&full_name(prefix, renamed, name)),
            Source::Random { .. } => true,
        }
    }

    /// A matrix as stored, `[rows, columns]`.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing or of another shape.
    pub fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Param<Tensor<2>>> {
        if self.checks(name, &shape)? {
            return Ok(Param::from_tensor(Tensor::zeros([1, 1], &self.device)));
        }
        let values = self.values(name, &shape, None)?;
        Ok(Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &self.device)))
    }

    /// A linear map stored `[output, input]`, returned as burn wants it, `[input, output]`.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing or of another shape.
    pub fn transposed(&mut self, name: &str, output: usize, input: usize) -> Result<Param<Tensor<2>>> {
        if self.checks(name, &[output, input])? {
            return Ok(Param::from_tensor(Tensor::zeros([1, 1], &self.device)));
        }
        let values = transpose(&self.values(name, &[output, input], None)?, output, input);
        Ok(Param::from_tensor(Tensor::from_data(TensorData::new(values, [input, output]), &self.device)))
    }

    /// A vector; fresh ones are filled with `fill`.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing or of another length.
    pub fn vector(&mut self, name: &str, len: usize, fill: f32) -> Result<Param<Tensor<1>>> {
        if self.checks(name, &[len])? {
            return Ok(Param::from_tensor(Tensor::zeros([1], &self.device)));
        }
        let values = self.values(name, &[len], Some(fill))?;
        Ok(Param::from_tensor(Tensor::from_data(TensorData::new(values, [len]), &self.device)))
    }

    /// The weight of a map of `[output, input]` in blocks, where it is stored so or is to be brought to few bits, and
    /// the device computes with blocks.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing or of another shape.
    pub(super) fn blocks(
        &mut self,
        name: &str,
        [output, input]: [usize; 2],
        stored: Stored,
    ) -> Result<Option<Blocks>> {
        if stored == Stored::OutputFirst {
            return self.blocks_of(name, [output, input], self.bits);
        }
        let (true, Some(bits)) = (self.computes_blocks(), self.bits) else { return Ok(None) };
        let turned = transpose(&self.values(name, &[input, output], None)?, input, output);
        Ok(Some(Blocks::quantise(&turned, output, input, bits)))
    }

    /// [`Params::blocks`] of a table of tokens, which lose more by few bits than maps do.
    ///
    /// # Errors
    /// As [`Params::blocks`].
    pub(super) fn table_blocks(&mut self, name: &str, shape: [usize; 2]) -> Result<Option<Blocks>> {
        self.blocks_of(name, shape, self.bits.map(|_| Bits::Eight))
    }

    fn blocks_of(&mut self, name: &str, shape: [usize; 2], bits: Option<Bits>) -> Result<Option<Blocks>> {
        if !self.computes_blocks() {
            return Ok(None);
        }
        let stored = match &self.source {
            Source::Files { files, prefix, renamed, .. } => {
                files.blocks(&full_name(prefix, renamed, name))?
            }
            Source::Random { .. } => None,
        };
        let Some(bits) = bits.or_else(|| stored.as_ref().map(Blocks::bits)) else { return Ok(None) };
        let patched = matches!(&self.source, Source::Files { patch: Some(_), .. });
        self.step()?;
        match stored {
            Some(blocks)
                if !patched && blocks.bits() == bits && [blocks.rows(), blocks.columns()] == shape =>
            {
                Ok(Some(blocks))
            }
            _ => {
                let values = self.values(name, &shape, None)?;
                Ok(Some(Blocks::quantise(&values, shape[0], shape[1], bits)))
            }
        }
    }

    /// Where names and shapes are looked at only, looks at them and says so.
    fn checks(&self, name: &str, shape: &[usize]) -> Result<bool> {
        if let (true, Source::Files { files, prefix, renamed, .. }) = (self.checking, &self.source) {
            let full_name = full_name(prefix, renamed, name);
            let found = files.shape(&full_name)?;
            return if found == shape { Ok(true) } else { Err(other_shape(full_name, &found, shape)) };
        }
        Ok(false)
    }

    /// Whether the device computes with panels: the CPU does, without gradients.
    pub(super) fn computes_panels(&self) -> bool {
        !self.checking && is_host(&self.device)
    }

    /// Whether the device computes with blocks: the CPU does, and a GPU that takes our kernels, without gradients.
    fn computes_blocks(&self) -> bool {
        !self.checking
            && !self.device.is_autodiff()
            && (self.device == Device::flex() || kernels::available(&self.device))
    }

    pub(super) fn values(&mut self, name: &str, shape: &[usize], fill: Option<f32>) -> Result<Vec<f32>> {
        self.step()?;
        match &mut self.source {
            Source::Files { files, prefix, renamed, patch } => {
                let full_name = full_name(prefix, renamed, name);
                let (found, mut values) = files.read(&full_name)?;
                if found != shape {
                    return Err(other_shape(full_name, &found, shape));
                }
                if let Some(patch) = patch {
                    patch.patch(name, shape, &mut values)?;
                }
                Ok(values)
            }
            Source::Random { rng, std } => {
                let len = shape.iter().product();
                Ok(match fill {
                    Some(value) => vec![value; len],
                    None => {
                        let normal = Normal::new(0.0, *std).map_err(|e| {
                            Error::model(Problem::new(
                                name,
                                e.to_string(),
                                "a finite deviation",
                                "Set another.",
                            ))
                        })?;
                        normal.sample_iter(rng).take(len).collect()
                    }
                })
            }
        }
    }
}

fn other_shape(name: String, found: &[usize], expected: &[usize]) -> Error {
    Error::model(Problem::new(
        name,
        format!("shape {found:?}"),
        format!("{expected:?}"),
        "The configuration beside the weights is of another model.",
    ))
}

fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for (r, row) in values.chunks_exact(columns.max(1)).enumerate() {
        for (c, &v) in row.iter().enumerate() {
            out[c * rows + r] = v;
        }
    }
    out
}

/// A tensor with the name it has in a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values in row-major order.
    pub values: Vec<f32>,
}

/// Collects a module's parameters for writing.
#[derive(Debug, Default)]
pub struct ParamSink {
    tensors: Vec<Named>,
}

impl ParamSink {
    /// Adds a parameter as it is.
    ///
    /// # Errors
    /// [`Error::Device`] when it cannot be read back.
    pub fn add<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Result<()> {
        let shape = tensor.dims().to_vec();
        let values = read_back(name, tensor)?;
        self.tensors.push(Named { name: name.to_owned(), shape, values });
        Ok(())
    }

    /// Adds a tensor that was read back already.
    pub fn add_named(&mut self, tensor: Named) {
        self.tensors.push(tensor);
    }

    /// Adds a linear map held `[input, output]` as checkpoints store it, `[output, input]`.
    ///
    /// # Errors
    /// [`Error::Device`] when it cannot be read back.
    pub fn add_transposed(&mut self, name: &str, tensor: Tensor<2>) -> Result<()> {
        let [input, output] = tensor.dims();
        let values = transpose(&read_back(name, tensor)?, input, output);
        self.tensors.push(Named { name: name.to_owned(), shape: vec![output, input], values });
        Ok(())
    }

    /// What was collected.
    pub fn into_tensors(self) -> Vec<Named> {
        self.tensors
    }
}

fn read_back<const D: usize>(name: &str, tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|e| {
        Error::device(Problem::new(
            name,
            e.to_string(),
            "values read back from the device",
            "Try --device cpu.",
        ))
    })
}

/// Writes `tensors` as one safetensors file, in float16 where `half` is set. Replaces `path` atomically.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write_safetensors(path: &Path, tensors: &[Named], half: bool) -> Result<()> {
    let encoded: Vec<(&Named, Cow<'_, [u8]>)> = tensors
        .iter()
        .map(|t| {
            let bytes: Vec<u8> = if half {
                t.values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect()
            } else {
                t.values.iter().flat_map(|v| v.to_le_bytes()).collect()
            };
            (t, Cow::Owned(bytes))
        })
        .collect();
    let dtype = if half { Dtype::F16 } else { Dtype::F32 };
    let invalid = |e: safetensors::SafeTensorError| {
        Error::io("encode the weights", path, std::io::Error::other(e.to_string()))
    };
    let mut views = Vec::with_capacity(encoded.len());
    for (tensor, bytes) in &encoded {
        let view = TensorView::new(dtype, tensor.shape.clone(), bytes).map_err(invalid)?;
        views.push((tensor.name.as_str(), view));
    }
    let bytes = safetensors::serialize(views, None).map_err(invalid)?;
    crate::files::write_atomically(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_tensor_is_read_back_with_its_shape_and_name() {
        let folder = tempfile::tempdir().unwrap();
        let named =
            Named { name: "a.weight".into(), shape: vec![2, 3], values: vec![1., 2., 3., 4., 5., 6.5] };
        write_safetensors(&folder.path().join("model.safetensors"), std::slice::from_ref(&named), true)
            .unwrap();
        let files = WeightFiles::open_folder(folder.path()).unwrap();
        assert_eq!(files.read("a.weight").unwrap(), (named.shape, named.values));
    }

    #[test]
    fn a_tensor_of_another_shape_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let named = Named { name: "x.w".into(), shape: vec![2], values: vec![1., 2.] };
        write_safetensors(&folder.path().join("model.safetensors"), &[named], false).unwrap();
        let files = WeightFiles::open_folder(folder.path()).unwrap();
        let message =
            Params::from_files(&files, "x.", &Device::flex()).vector("w", 3, 0.0).unwrap_err().to_string();
        assert_eq!(
            message,
            "x.w: found shape [2]; expected [3]. The configuration beside the weights is of another model."
        );
    }
}
