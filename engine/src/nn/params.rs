//! Parameters by name: read from safetensors, or drawn at random for a model to be trained.
//!
//! Modules are built from a [`Params`] and written back through a [`ParamSink`], both in the names and
//! orientations of Hugging Face checkpoints (`[out, in]` for linear maps), so a folder that we write is one
//! that we, and others, can read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};
use memmap2::Mmap;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Normal};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::Problem;
use crate::{Error, Result};

/// One or more safetensors files, looked up by tensor name.
#[derive(Debug)]
pub struct WeightFiles {
    shards: Vec<Shard>,
    shard_of: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Shard {
    label: PathBuf,
    bytes: ShardBytes,
}

#[derive(Debug)]
enum ShardBytes {
    Mapped(Mmap),
    Static(&'static [u8]),
}

impl ShardBytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
        }
    }
}

impl WeightFiles {
    /// Opens `model.safetensors` of `folder`, or the shards that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// [`Error::Model`] when neither is there or a file is damaged; [`Error::Io`] when one cannot be read.
    pub fn open_folder(folder: &Path) -> Result<Self> {
        let single = folder.join("model.safetensors");
        if single.is_file() {
            return Self::open(&[single]);
        }
        let index_path = folder.join("model.safetensors.index.json");
        if !index_path.is_file() {
            return Err(Error::model(
                Problem::new(
                    "model.safetensors",
                    "no such file",
                    "model.safetensors or model.safetensors.index.json",
                    "Download the safetensors weights of the model; pickled weights (.bin, .pt) are not read.",
                )
                .in_file(folder),
            ));
        }
        let text = std::fs::read_to_string(&index_path)
            .map_err(|e| Error::io("read the list of shards", &index_path, e))?;
        let bad_index = |found: String| {
            Error::model(
                Problem::new(
                    "weight_map",
                    found,
                    "an object of tensor name to file name",
                    "Download the file again.",
                )
                .in_file(&index_path),
            )
        };
        let index: serde_json::Value = serde_json::from_str(&text).map_err(|e| bad_index(e.to_string()))?;
        let map = index
            .get("weight_map")
            .and_then(serde_json::Value::as_object)
            .ok_or_else(|| bad_index("no such entry".to_owned()))?;
        let mut files: Vec<PathBuf> = Vec::new();
        for value in map.values() {
            let name = value.as_str().ok_or_else(|| bad_index(format!("{value}")))?;
            // A shard lies beside its index: a name with folders in it could point anywhere.
            if Path::new(name).components().count() != 1 || name.contains("..") {
                return Err(bad_index(format!("the file name {name:?}")));
            }
            let file = folder.join(name);
            if !files.contains(&file) {
                files.push(file);
            }
        }
        Self::open(&files)
    }

    /// Opens safetensors files by memory map.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Model`], naming the file.
    pub fn open(files: &[PathBuf]) -> Result<Self> {
        let mut shards = Vec::with_capacity(files.len());
        for path in files {
            let file = std::fs::File::open(path).map_err(|e| Error::io("open the weights", path, e))?;
            #[expect(
                unsafe_code,
                reason = "a map of weights that another program truncates while we read ends this process; \
                          reading gigabytes into memory instead would double the cost of every load"
            )]
            let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("map the weights", path, e))?;
            shards.push(Shard { label: path.clone(), bytes: ShardBytes::Mapped(map) });
        }
        Self::index(shards)
    }

    /// Weights that are compiled in; `label` names them in messages.
    ///
    /// # Errors
    /// [`Error::Model`] when the bytes are no safetensors file.
    pub fn from_static(label: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::index(vec![Shard { label: label.into(), bytes: ShardBytes::Static(bytes) }])
    }

    fn index(shards: Vec<Shard>) -> Result<Self> {
        let mut shard_of = BTreeMap::new();
        for (i, shard) in shards.iter().enumerate() {
            for name in parse(shard)?.names() {
                shard_of.insert(name.to_owned(), i);
            }
        }
        Ok(Self { shards, shard_of })
    }

    /// Whether a tensor of this name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.shard_of.contains_key(name)
    }

    /// All tensor names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.shard_of.keys().map(String::as_str)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|s| s.bytes.as_slice().len() as u64).sum()
    }

    /// The tensor `name` as float32 values in file order, with its shape.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing or of a type that is not floating point.
    pub fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let Some(shard) = self.shard_of.get(name).and_then(|&i| self.shards.get(i)) else {
            let file = self.shards.first().map(|s| s.label.clone()).unwrap_or_default();
            return Err(Error::model(
                Problem::new(
                    name,
                    "no such tensor",
                    "a tensor of this name",
                    "Check that the folder holds this kind of model.",
                )
                .in_file(file),
            ));
        };
        let tensors = parse(shard)?;
        let view = tensors.tensor(name).map_err(|e| damaged(shard, &e))?;
        let bytes = view.data();
        let values = match view.dtype() {
            Dtype::F32 => {
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            Dtype::BF16 => {
                bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
            }
            other => {
                return Err(Error::model(
                    Problem::new(
                        name,
                        format!("values of type {other:?}"),
                        "F32, F16 or BF16",
                        "Convert the weights.",
                    )
                    .in_file(&shard.label),
                ));
            }
        };
        Ok((view.shape().to_vec(), values))
    }
}

fn parse(shard: &Shard) -> Result<SafeTensors<'_>> {
    SafeTensors::deserialize(shard.bytes.as_slice()).map_err(|e| damaged(shard, &e))
}

fn damaged(shard: &Shard, reason: &safetensors::SafeTensorError) -> Error {
    Error::model(
        Problem::new("header", reason.to_string(), "a whole safetensors file", "Download the file again.")
            .in_file(&shard.label),
    )
}

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

    /// The same, with names that begin with `from` read as if they began with `to`: checkpoints of one architecture
    /// carry it under several names.
    #[must_use]
    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        if let Source::Files { renamed, .. } = &mut self.source {
            *renamed = (from.to_owned(), to.to_owned());
        }
        self
    }

    /// Fresh parameters: matrices from a normal distribution of standard deviation `std`, norms one, biases zero.
    pub fn random(seed: u64, std: f32, device: &Device) -> Params<'static> {
        Params {
            source: Source::Random { rng: Box::new(StdRng::seed_from_u64(seed)), std },
            device: device.clone(),
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
        let values = self.values(name, &shape, None)?;
        Ok(Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &self.device)))
    }

    /// A linear map stored `[output, input]`, returned as burn wants it, `[input, output]`.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing or of another shape.
    pub fn transposed(&mut self, name: &str, output: usize, input: usize) -> Result<Param<Tensor<2>>> {
        let values = transpose(&self.values(name, &[output, input], None)?, output, input);
        Ok(Param::from_tensor(Tensor::from_data(TensorData::new(values, [input, output]), &self.device)))
    }

    /// A vector; fresh ones are filled with `fill`.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing or of another length.
    pub fn vector(&mut self, name: &str, len: usize, fill: f32) -> Result<Param<Tensor<1>>> {
        let values = self.values(name, &[len], Some(fill))?;
        Ok(Param::from_tensor(Tensor::from_data(TensorData::new(values, [len]), &self.device)))
    }

    fn values(&mut self, name: &str, shape: &[usize], fill: Option<f32>) -> Result<Vec<f32>> {
        match &mut self.source {
            Source::Files { files, prefix, renamed, patch } => {
                let full_name = full_name(prefix, renamed, name);
                let (found, mut values) = files.read(&full_name)?;
                if found != shape {
                    return Err(Error::model(Problem::new(
                        full_name,
                        format!("shape {found:?}"),
                        format!("{shape:?}"),
                        "The configuration beside the weights is of another model.",
                    )));
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
    fn shards_are_found_through_their_index_and_an_index_that_points_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (file, name) in [("one.safetensors", "a"), ("two.safetensors", "b")] {
            let named = Named { name: name.into(), shape: vec![1], values: vec![7.0] };
            write_safetensors(&folder.path().join(file), &[named], false).unwrap();
        }
        let index = folder.path().join("model.safetensors.index.json");
        std::fs::write(&index, r#"{"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#).unwrap();
        let files = WeightFiles::open_folder(folder.path()).unwrap();
        assert_eq!(files.names().collect::<Vec<_>>(), ["a", "b"]);
        std::fs::write(&index, r#"{"weight_map":{"a":"../one.safetensors"}}"#).unwrap();
        assert!(
            WeightFiles::open_folder(folder.path()).unwrap_err().to_string().contains("../one.safetensors")
        );
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
