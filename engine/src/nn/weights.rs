//! Files of weights: safetensors, and what torch saved, looked up by the names of tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors};

use super::gguf::{Gguf, GgufWeights, Setting};
use super::quant::{BLOCK, Bits, Blocks};
use super::torch::TorchFile;
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
    /// What it lists, where it is no safetensors file.
    list: List,
}

/// How a file lists its tensors.
#[derive(Debug)]
enum List {
    /// At its head.
    Safetensors,
    /// In a pickle.
    Torch(TorchFile),
    /// As programs on ggml do.
    Gguf(GgufWeights),
}

/// Files in which torch saves a model's weights.
const TORCH: [&str; 5] =
    ["pytorch_model_full.bin", "pytorch_model.bin", "checkpoint.pt", "model.pt", "model.pth"];
/// The name of a GGUF file in a folder of weights.
pub const GGUF_NAME: &str = "model.gguf";

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

    /// Lets go of the pages that were read so far; what is read again comes from the file again.
    fn release(&self) {
        #[cfg(unix)]
        if let Self::Mapped(map) = self {
            #[expect(
                unsafe_code,
                reason = "the map is read-only and of a file: pages that are dropped are read from it again, the same"
            )]
            // A system that does not take the advice keeps the pages, which is what it did before.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}

/// How large a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Numbers that it learned.
    pub parameters: u64,
    /// Bytes of them in memory on the CPU: blocks stay as they are, all else becomes float32.
    pub bytes_in_memory: u64,
}

impl WeightFiles {
    /// Opens `model.safetensors` of `folder`, or the shards that `model.safetensors.index.json` names; where there is
    /// neither, what torch saved.
    ///
    /// # Errors
    /// [`Error::Model`] when neither is there or a file is damaged; [`Error::Io`] when one cannot be read.
    pub fn open_folder(folder: &Path) -> Result<Self> {
        let single = folder.join("model.safetensors");
        if single.is_file() {
            return Self::open(&[single]);
        }
        let gguf = folder.join(GGUF_NAME);
        if gguf.is_file() {
            return Self::open(&[gguf]);
        }
        let torch = || TORCH.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let indices = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];
        let index_path = match indices.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
            Some(path) => path,
            None => match torch() {
                Some(path) => return Self::open(&[path]),
                None => {
                    return Err(Error::model(
                        Problem::new(
                            "model.safetensors",
                            "no such file",
                            "model.safetensors, model.safetensors.index.json or pytorch_model.bin",
                            "Download the weights of the model.",
                        )
                        .in_file(folder),
                    ));
                }
            },
        };
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

    /// Opens safetensors files, and files that torch saved, by memory map.
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
            let list = if TorchFile::is_one(&map) {
                List::Torch(TorchFile::open(&map).map_err(|found| not_torchs(path, found))?)
            } else if Gguf::is_one(&map) {
                List::Gguf(GgufWeights::open(&map).map_err(|found| not_ggufs(path, found))?)
            } else {
                List::Safetensors
            };
            shards.push(Shard { label: path.clone(), bytes: ShardBytes::Mapped(map), list });
        }
        Self::index(shards)
    }

    /// Weights that are compiled in; `label` names them in messages.
    ///
    /// # Errors
    /// [`Error::Model`] when the bytes are no safetensors file.
    pub fn from_static(label: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::index(vec![Shard {
            label: label.into(),
            bytes: ShardBytes::Static(bytes),
            list: List::Safetensors,
        }])
    }

    fn index(shards: Vec<Shard>) -> Result<Self> {
        let mut shard_of = BTreeMap::new();
        for (i, shard) in shards.iter().enumerate() {
            match &shard.list {
                List::Torch(torch) => shard_of.extend(torch.names().map(|name| (name.to_owned(), i))),
                List::Gguf(gguf) => shard_of.extend(gguf.names().map(|name| (name.to_owned(), i))),
                List::Safetensors => {
                    shard_of.extend(parse(shard)?.names().into_iter().map(|name| (name.to_owned(), i)));
                }
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

    /// Settings of the GGUF file among them, where there is one.
    pub fn gguf_settings(&self) -> Option<&BTreeMap<String, Setting>> {
        self.shards.iter().find_map(|shard| match &shard.list {
            List::Gguf(gguf) => Some(gguf.settings()),
            _ => None,
        })
    }

    /// The factors of rotary frequencies in the GGUF file among them, where it has some.
    pub fn gguf_rope_factors(&self) -> Option<Vec<f32>> {
        self.shards.iter().find_map(|shard| match &shard.list {
            List::Gguf(gguf) => gguf.rope_factors(shard.bytes.as_slice()),
            _ => None,
        })
    }

    /// Lets go of what was read so far, which would count as this process's memory beside what was made of it.
    pub fn release(&self) {
        self.shards.iter().for_each(|shard| shard.bytes.release());
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|s| s.bytes.as_slice().len() as u64).sum()
    }

    /// How large a model of these weights is, out of the heads of the files: no number is read.
    ///
    /// # Errors
    /// [`Error::Model`] when a file is damaged.
    pub fn sizes(&self) -> Result<Sizes> {
        let mut sizes = Sizes::default();
        let mut add = |numbers: u64, bytes: u64| {
            sizes.parameters = sizes.parameters.saturating_add(numbers);
            sizes.bytes_in_memory = sizes.bytes_in_memory.saturating_add(bytes);
        };
        let count = |shape: &[usize]| shape.iter().fold(1u64, |n, side| n.saturating_mul(*side as u64));
        for shard in &self.shards {
            match &shard.list {
                List::Safetensors => {
                    for (name, view) in parse(shard)?.iter() {
                        let (numbers, stored) = (count(view.shape()), view.data().len() as u64);
                        if name.strip_suffix(SCALES).is_some_and(|of| self.contains(of)) {
                            add(0, stored);
                        } else if self.contains(&format!("{name}{SCALES}")) {
                            // Of 4 bits there are two in a byte.
                            add(if view.dtype() == Dtype::U8 { 2 * numbers } else { numbers }, stored);
                        } else {
                            add(numbers, 4 * numbers);
                        }
                    }
                }
                List::Torch(torch) => {
                    for shape in torch.names().filter_map(|name| torch.shape(name)) {
                        add(count(shape), 4 * count(shape));
                    }
                }
                List::Gguf(gguf) => {
                    for name in gguf.names() {
                        let numbers = gguf.shape(name).map_or(0, &count);
                        let per_block = gguf.bits(name).map(|bits| bits.bytes_per_block() as u64 + 2);
                        add(numbers, per_block.map_or(4 * numbers, |bytes| numbers / BLOCK as u64 * bytes));
                    }
                }
            }
        }
        Ok(sizes)
    }

    /// The shape of the tensor `name`.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>> {
        let shard = self.shard(name)?;
        let listed = match &shard.list {
            List::Torch(torch) => torch.shape(name),
            List::Gguf(gguf) => gguf.shape(name),
            List::Safetensors => None,
        };
        if let Some(shape) = listed {
            return Ok(shape.to_vec());
        }
        if let Some(blocks) = self.blocks(name)? {
            return Ok(vec![blocks.rows(), blocks.columns()]);
        }
        let tensors = parse(shard)?;
        let view = tensors.tensor(name).map_err(|e| damaged(shard, &e))?;
        Ok(view.shape().to_vec())
    }

    /// The file that holds `name`.
    fn shard(&self, name: &str) -> Result<&Shard> {
        self.shard_of.get(name).and_then(|&i| self.shards.get(i)).ok_or_else(|| {
            let file = self.shards.first().map(|s| s.label.clone()).unwrap_or_default();
            Error::model(
                Problem::new(
                    name,
                    "no such tensor",
                    "a tensor of this name",
                    "Check that the folder holds this kind of model.",
                )
                .in_file(file),
            )
        })
    }

    /// The tensor `name` as float32 values in file order, with its shape.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing or of a type that is not floating point.
    pub fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let shard = self.shard(name)?;
        let bytes = shard.bytes.as_slice();
        let listed = match &shard.list {
            List::Torch(torch) => Some(torch.read(bytes, name)),
            List::Gguf(gguf) => Some(gguf.read(bytes, name).ok_or_else(|| "no such tensor".to_owned())),
            List::Safetensors => None,
        };
        if let Some(read) = listed {
            return read.map_err(|found| {
                let problem = Problem::new(name, found, "a tensor of numbers", "Download the file again.");
                Error::model(problem.in_file(&shard.label))
            });
        }
        if let Some(blocks) = self.blocks(name)? {
            return Ok((vec![blocks.rows(), blocks.columns()], blocks.values()));
        }
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

fn not_ggufs(path: &Path, found: String) -> Error {
    let expected = "a GGUF file of a decoder";
    Error::model(Problem::new("weights", found, expected, "Use another, or safetensors.").in_file(path))
}

fn not_torchs(path: &Path, found: String) -> Error {
    let expected = "a list of tensors in an archive that torch 1.6 or newer saved";
    let remedy = "Save the weights as safetensors, or download them so.";
    Error::model(Problem::new("weights", found, expected, remedy).in_file(path))
}

/// What follows the name of a tensor in the name of its scales, where it is stored in blocks.
pub(super) const SCALES: &str = ".scales";

impl WeightFiles {
    /// The tensor `name`, where it is stored in blocks: numbers of 8 bits `[rows, columns]`, or of 4 bits two a byte
    /// `[rows, columns ÷ 2]`, with `name.scales` in float16, `[rows, columns ÷ 32]`.
    ///
    /// # Errors
    /// [`Error::Model`] when numbers and scales do not fit each other.
    pub fn blocks(&self, name: &str) -> Result<Option<Blocks>> {
        let shard = |name: &str| self.shard_of.get(name).and_then(|&i| self.shards.get(i));
        if let Some(Shard { bytes, list: List::Gguf(gguf), .. }) = shard(name) {
            return Ok(gguf.blocks(bytes.as_slice(), name));
        }
        let scales_name = format!("{name}{SCALES}");
        let (Some(numbers_in), Some(scales_in)) = (shard(name), shard(&scales_name)) else { return Ok(None) };
        if !matches!((&numbers_in.list, &scales_in.list), (List::Safetensors, List::Safetensors)) {
            return Ok(None);
        }
        let (tensors, scale_tensors) = (parse(numbers_in)?, parse(scales_in)?);
        let numbers = tensors.tensor(name).map_err(|e| damaged(numbers_in, &e))?;
        let scales = scale_tensors.tensor(&scales_name).map_err(|e| damaged(scales_in, &e))?;
        let made = match (numbers.shape(), numbers.dtype(), scales.dtype()) {
            (&[rows, width], kind @ (Dtype::I8 | Dtype::U8), Dtype::F16) => {
                let (bits, columns) = if kind == Dtype::I8 {
                    (Bits::Eight, width)
                } else {
                    (Bits::Four, width.saturating_mul(2))
                };
                let scales =
                    scales.data().chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
                Blocks::from_parts(rows, columns, bits, numbers.data().to_vec(), scales)
            }
            _ => None,
        };
        match made {
            Some(blocks) => Ok(Some(blocks)),
            None => Err(Error::model(
                Problem::new(
                    name,
                    format!("numbers {:?} with scales {:?}", numbers.shape(), scales.shape()),
                    "rows of whole blocks of 32 with one scale each",
                    "Quantise the model again.",
                )
                .in_file(&numbers_in.label),
            )),
        }
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

#[cfg(test)]
mod tests {
    use super::super::{Named, write_safetensors};
    use super::*;

    #[test]
    fn what_was_let_go_is_read_again_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<f32> = (0..5000).map(|i| i as f32).collect();
        let named = Named { name: "a".into(), shape: vec![5000], values: values.clone() };
        write_safetensors(&folder.path().join("model.safetensors"), &[named], false).unwrap();
        let files = WeightFiles::open_folder(folder.path()).unwrap();
        for _ in 0..2 {
            assert_eq!(files.read("a").unwrap(), (vec![5000], values.clone()));
            files.release();
        }
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
}
