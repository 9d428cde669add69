//! Linear maps and tables of vectors, in full or in blocks of few bits.
//!
//! In full they are burn's own, with gradients; on the CPU, where nothing is learnt, they lie as our products take them. In
//! blocks they lie, packed, in the memory of the CPU or of a GPU that takes our kernels, and are computed there.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::nn::{Embedding, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::layers::{embedding, export_embedding, export_linear, linear};
use super::params::{ParamSink, Params};
use super::quant::{Bits, Blocks};
use crate::Result;
use cpu::{Panels, Tiles, Vectors, matmul};
use kernels::Packed;

/// How checkpoints store a map's weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stored {
    /// `[output, input]`.
    #[default]
    OutputFirst,
    /// `[input, output]`, as GPT-2's.
    InputFirst,
}

/// A linear map with or without bias.
#[derive(Module, Debug)]
pub enum LinearMap {
    /// float32 on any device.
    Full(Linear),
    /// float32 on the CPU, without gradients.
    Panels(PanelMap),
    /// Blocks on the CPU, or on a GPU.
    Blocks(BlockMap),
}

/// A matrix in blocks, where it is computed.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// In the memory of the CPU.
    Host(Arc<Tiles>),
    /// In the memory of a GPU.
    Device(Arc<Packed>, Device),
}

impl Held {
    /// Brings `blocks` to `device`; with `bias`, where it is a GPU.
    fn new(blocks: &Blocks, bias: Option<&[f32]>, device: &Device) -> Result<Self> {
        let (dims, bits) = ([blocks.rows(), blocks.columns()], usize::from(u8::from(blocks.bits())));
        Ok(match Packed::new(device, dims, bits, blocks.numbers(), blocks.scales(), bias) {
            Some(packed) => Self::Device(Arc::new(packed), device.clone()),
            None => Self::Host(Arc::new(blocks.tiles()?)),
        })
    }

    fn dims(&self) -> [usize; 2] {
        match self {
            Self::Host(tiles) => [tiles.rows(), tiles.columns()],
            Self::Device(packed, _) => packed.dims(),
        }
    }

    /// The device that it is computed on.
    fn device(&self) -> Device {
        match self {
            Self::Host(_) => Device::flex(),
            Self::Device(_, device) => device.clone(),
        }
    }

    /// All of it as float32, row by row. A GPU that gives nothing back gives no number that could be taken for one.
    fn values(&self) -> Vec<f32> {
        match self {
            Self::Host(tiles) => tiles.values(),
            Self::Device(packed, _) => {
                let [rows, columns] = packed.dims();
                let bits = if packed.bits() == 4 { Bits::Four } else { Bits::Eight };
                packed
                    .read()
                    .and_then(|(numbers, scales)| Blocks::from_parts(rows, columns, bits, numbers, scales))
                    .map_or_else(|| vec![f32::NAN; rows * columns], |blocks| blocks.values())
            }
        }
    }

    /// `x` `[batch, tokens, columns]` times the matrix turned round, plus `bias`, the one it was brought with:
    /// `[batch, tokens, rows]`.
    fn product(&self, x: Tensor<3>, bias: Option<&[f32]>) -> Tensor<3> {
        let ([batch, tokens, _], device) = (x.dims(), x.device());
        match self {
            Self::Host(tiles) => {
                let out = cpu::product(tiles, &Vectors::new(&host_values(x), tiles.columns()), bias);
                Tensor::from_data(TensorData::new(out, [batch, tokens, tiles.rows()]), &device)
            }
            Self::Device(packed, _) => packed.product(&x).unwrap_or_else(|| {
                // Vectors that the kernels do not take, of another device or with gradients.
                full_map(self, bias, &device).forward(x)
            }),
        }
    }
}

/// What `linear` gives. Where its weight is of fewer bits than `x`, as it is in training in mixed precision, so are the
/// products; what is given has the bits of `x`.
fn in_full(linear: &Linear, x: Tensor<3>) -> Tensor<3> {
    let (bits_of_weight, bits) = (linear.weight.base().dtype(), x.dtype());
    if bits_of_weight == bits {
        return linear.forward(x);
    }
    let out = x.cast(bits_of_weight).matmul(linear.weight.val().unsqueeze()).cast(bits);
    match &linear.bias {
        Some(bias) => out + bias.val().unsqueeze(),
        None => out,
    }
}

/// `weight` and `bias` in full.
fn full_map(weight: &Held, bias: Option<&[f32]>, device: &Device) -> Linear {
    linear_of(weight.values(), weight.dims(), bias, device)
}

/// The map of `weight` `[output, input]`.
fn linear_of(weight: Vec<f32>, [output, input]: [usize; 2], bias: Option<&[f32]>, device: &Device) -> Linear {
    let weight = Tensor::<2>::from_data(TensorData::new(weight, [output, input]), device).transpose();
    let mut layer = LinearConfig::new(input, output).with_bias(false).init(device);
    layer.weight = Param::from_tensor(weight);
    layer.bias = bias
        .map(|bias| Param::from_tensor(Tensor::from_data(TensorData::new(bias.to_vec(), [output]), device)));
    layer
}

/// A linear map as products on the CPU take it.
#[derive(Module, Debug)]
pub struct PanelMap {
    /// `[input, output]`.
    #[module(skip)]
    pub(super) weight: Arc<Panels>,
    #[module(skip)]
    bias: Option<Arc<Vec<f32>>>,
}

/// A linear map in blocks.
#[derive(Module, Debug)]
pub struct BlockMap {
    /// `[output, input]`.
    #[module(skip)]
    pub(super) weight: Held,
    #[module(skip)]
    bias: Option<Arc<Vec<f32>>>,
}

impl LinearMap {
    /// Reads `name.weight`, and `name.bias` where `bias` is set.
    ///
    /// # Errors
    /// [`crate::Error::Model`] when a tensor is missing or of another shape.
    pub fn read(
        params: &mut Params<'_>,
        name: &str,
        [input, output]: [usize; 2],
        bias: bool,
        stored: Stored,
    ) -> Result<Self> {
        let weight = format!("{name}.weight");
        if let Some(blocks) = params.blocks(&weight, [output, input], stored)? {
            let bias = if bias {
                Some(Arc::new(params.values(&format!("{name}.bias"), &[output], None)?))
            } else {
                None
            };
            let weight = Held::new(&blocks, bias.as_ref().map(|bias| bias.as_slice()), params.device())?;
            return Ok(Self::Blocks(BlockMap { weight, bias }));
        }
        if params.computes_panels()
            && let Some(weight) = match stored {
                Stored::OutputFirst => {
                    Panels::of_turned(&params.values(&weight, &[output, input], None)?, input, output)
                }
                Stored::InputFirst => {
                    Panels::new(&params.values(&weight, &[input, output], None)?, input, output)
                }
            }
        {
            let bias = match bias {
                true => Some(Arc::new(params.values(&format!("{name}.bias"), &[output], Some(0.0))?)),
                false => None,
            };
            return Ok(Self::Panels(PanelMap { weight: Arc::new(weight), bias }));
        }
        if stored == Stored::OutputFirst {
            return linear(params, name, input, output, bias).map(Self::Full);
        }
        let mut layer = LinearConfig::new(input, output).with_bias(false).init(params.device());
        layer.weight = params.matrix(&weight, [input, output])?;
        layer.bias = if bias { Some(params.vector(&format!("{name}.bias"), output, 0.0)?) } else { None };
        Ok(Self::Full(layer))
    }

    /// `[batch, tokens, input]` to `[batch, tokens, output]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Full(linear) => in_full(linear, x),
            Self::Panels(map) => map.forward(x),
            Self::Blocks(map) => map.forward(x),
        }
    }

    /// Writes what [`LinearMap::read`] reads.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when values cannot be read back.
    pub fn export(&self, sink: &mut ParamSink, name: &str, stored: Stored) -> Result<()> {
        match (self, stored) {
            (Self::Full(layer), Stored::OutputFirst) => export_linear(sink, name, layer),
            (Self::Full(layer), Stored::InputFirst) => {
                sink.add(&format!("{name}.weight"), layer.weight.val())?;
                layer.bias.as_ref().map_or(Ok(()), |bias| sink.add(&format!("{name}.bias"), bias.val()))
            }
            (Self::Panels(map), _) => Self::Full(map.in_full()).export(sink, name, stored),
            (Self::Blocks(map), _) => map.unpacked().export(sink, name, stored),
        }
    }
}

impl PanelMap {
    pub(super) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_ref().map(|bias| bias.as_slice())
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let ([batch, tokens, _], [_, output]) = (x.dims(), self.weight.dims());
        let device = x.device();
        let out = matmul(&host_values(x), &self.weight, self.bias());
        Tensor::from_data(TensorData::new(out, [batch, tokens, output]), &device)
    }

    /// The same as burn has it.
    pub(super) fn in_full(&self) -> Linear {
        let [input, output] = self.weight.dims();
        linear_of(self.weight.turned(), [output, input], self.bias(), &Device::flex())
    }
}

impl BlockMap {
    pub(super) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_ref().map(|bias| bias.as_slice())
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.weight.product(x, self.bias())
    }

    /// The same in full.
    fn unpacked(&self) -> LinearMap {
        LinearMap::Full(full_map(&self.weight, self.bias(), &Device::flex()))
    }
}

/// Values of a tensor that lies on the CPU. One that cannot be read gives no number that could be taken for a result.
pub fn host_values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    let n = x.dims().iter().product();
    x.try_into_vec_as::<f32>().unwrap_or_else(|_| vec![f32::NAN; n])
}

/// A table of vectors, one a token.
#[derive(Module, Debug)]
pub enum Table {
    /// float32 on any device.
    Full(Embedding),
    /// Blocks on the CPU, or on a GPU.
    Blocks(BlockTable),
}

/// A table in blocks.
#[derive(Module, Debug)]
pub struct BlockTable {
    #[module(skip)]
    rows: Held,
}

impl Table {
    /// Reads `name.weight`, `[rows, width]`.
    ///
    /// # Errors
    /// As [`LinearMap::read`].
    pub fn read(params: &mut Params<'_>, name: &str, rows: usize, width: usize) -> Result<Self> {
        match params.table_blocks(&format!("{name}.weight"), [rows, width])? {
            Some(blocks) => Ok(Self::Blocks(BlockTable { rows: Held::new(&blocks, None, params.device())? })),
            None => embedding(params, name, rows, width).map(Self::Full),
        }
    }

    /// A table of `values`, `[rows, width]`, in full.
    pub fn of(values: Vec<f32>, [rows, width]: [usize; 2], device: &Device) -> Self {
        let mut layer = burn::nn::EmbeddingConfig::new(rows, width).init(device);
        layer.weight = Param::from_tensor(Tensor::from_data(TensorData::new(values, [rows, width]), device));
        Self::Full(layer)
    }

    /// Rows and width.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Full(table) => table.weight.dims(),
            Self::Blocks(table) => table.rows.dims(),
        }
    }

    /// The device it lies on.
    pub fn device(&self) -> Device {
        match self {
            Self::Full(table) => table.weight.val().device(),
            Self::Blocks(table) => table.rows.device(),
        }
    }

    /// Vectors of `tokens` `[batch, tokens]`: `[batch, tokens, width]`.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        match self {
            Self::Full(table) => table.forward(tokens),
            Self::Blocks(BlockTable { rows: Held::Host(rows) }) => {
                let [batch, n] = tokens.dims();
                let (device, width) = (tokens.device(), rows.columns());
                let ids = tokens.try_into_vec_as::<i64>().unwrap_or_else(|_| vec![-1; batch * n]);
                let mut out = vec![0f32; batch * n * width];
                for (id, out) in ids.into_iter().zip(out.chunks_exact_mut(width.max(1))) {
                    match usize::try_from(id) {
                        Ok(row) => rows.read_row(row, out),
                        Err(_) => out.fill(f32::NAN),
                    }
                }
                Tensor::from_data(TensorData::new(out, [batch, n, width]), &device)
            }
            Self::Blocks(BlockTable { rows: rows @ Held::Device(packed, _) }) => {
                packed.rows(&tokens).unwrap_or_else(|| {
                    // Tokens of another device: the table in full, there.
                    let full = Self::of(rows.values(), rows.dims(), &tokens.device());
                    full.forward(tokens)
                })
            }
        }
    }

    /// Scores of every row, the products with its vector: `[batch, tokens, width]` to `[batch, tokens, rows]`.
    pub fn scores(&self, hidden: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, width] = hidden.dims();
        match self {
            Self::Full(table) => {
                let table = table.weight.val();
                let [vocab, _] = table.dims();
                let rows = batch * tokens;
                if rows < vocab {
                    // A product with a table turned round copies the table; turning the few rows round copies little.
                    let rows_as_columns = hidden.reshape([rows, width]).transpose();
                    table.matmul(rows_as_columns).transpose().reshape([batch, tokens, vocab])
                } else {
                    hidden.matmul(table.transpose().unsqueeze())
                }
            }
            Self::Blocks(table) => table.rows.product(hidden, None),
        }
    }

    /// Writes what [`Table::read`] reads.
    ///
    /// # Errors
    /// As [`LinearMap::export`].
    pub fn export(&self, sink: &mut ParamSink, name: &str) -> Result<()> {
        match self {
            Self::Full(table) => export_embedding(sink, name, table),
            Self::Blocks(table) => {
                let full = Self::of(table.rows.values(), self.dims(), &Device::flex());
                full.export(sink, name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::super::quant::Bits;
    use super::super::{DevicePreference, Named, WeightFiles, choose_device, write_safetensors};
    use super::*;
    use crate::test_support::skipped;

    /// The CPU, and wgpu where an adapter is there.
    fn devices() -> Vec<Device> {
        let mut all = vec![Device::flex()];
        match choose_device(DevicePreference::Wgpu) {
            Ok(chosen) => all.push(chosen.device),
            Err(e) => skipped(&format!("on wgpu: {e}")),
        }
        all
    }

    fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.try_into_vec_as().unwrap()
    }

    fn worst(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_map_in_blocks_computes_what_the_full_one_does_and_is_written_alike() {
        devices().iter().for_each(a_map_in_blocks_is_as_the_full_one);
    }

    fn a_map_in_blocks_is_as_the_full_one(device: &Device) {
        let folder = tempfile::tempdir().unwrap();
        let random = |shape: [usize; 2]| values(Tensor::<2>::random(shape, Distribution::Default, device));
        let named = |name: &str, shape: &[usize], values: Vec<f32>| Named {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values,
        };
        let tensors = [
            named("m.weight", &[48, 70], random([48, 70])),
            named("m.bias", &[48], random([1, 48])),
            named("t.weight", &[70, 48], random([70, 48])),
            named("t.bias", &[48], random([1, 48])),
        ];
        write_safetensors(&folder.path().join("model.safetensors"), &tensors, false).unwrap();
        let files = WeightFiles::open_folder(folder.path()).unwrap();
        for (name, stored) in [("m", Stored::OutputFirst), ("t", Stored::InputFirst)] {
            let read = |bits: Option<Bits>| {
                let mut params = Params::from_files(&files, "", device);
                if let Some(bits) = bits {
                    params = params.quantised(bits);
                }
                LinearMap::read(&mut params, name, [70, 48], true, stored).unwrap()
            };
            let (full, blocks) = (read(None), read(Some(Bits::Eight)));
            let LinearMap::Blocks(map) = &blocks else { panic!("{blocks:?}") };
            assert_eq!(map.weight.device(), *device);
            for tokens in [1, 5] {
                let x = Tensor::<3>::random([2, tokens, 70], Distribution::Normal(0.0, 1.0), device);
                let apart = worst(&values(full.forward(x.clone())), &values(blocks.forward(x)));
                assert!(apart < 0.12, "{name}: {apart}");
            }
            let written = |map: &LinearMap| {
                let mut sink = ParamSink::default();
                map.export(&mut sink, name, stored).unwrap();
                sink.into_tensors()
            };
            for (a, b) in written(&full).iter().zip(&written(&blocks)) {
                assert_eq!((&a.name, &a.shape), (&b.name, &b.shape));
                assert!(worst(&a.values, &b.values) < 0.01, "{}", a.name);
            }
        }
    }

    #[test]
    fn a_table_in_blocks_gives_rows_and_scores() {
        devices().iter().for_each(a_table_in_blocks_is_as_the_full_one);
    }

    fn a_table_in_blocks_is_as_the_full_one(device: &Device) {
        let full = Table::of((0..64 * 33).map(|i| (i % 17) as f32).collect(), [33, 64], device);
        let rows = Blocks::quantise(
            &values(match &full {
                Table::Full(table) => table.weight.val(),
                Table::Blocks(_) => unreachable!(),
            }),
            33,
            64,
            Bits::Eight,
        );
        let blocks = Table::Blocks(BlockTable { rows: Held::new(&rows, None, device).unwrap() });
        assert_eq!(blocks.device(), *device);
        assert_eq!(full.dims(), blocks.dims());
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(vec![0i64, 32, 7], [1, 3]), device);
        let (a, b) = (full.forward(tokens.clone()), blocks.forward(tokens));
        assert!(worst(&values(a.clone()), &values(b)) < 0.1);
        let (a, b) = (values(full.scores(a.clone())), values(blocks.scores(a)));
        let top = a.iter().fold(0f32, |m, v| m.max(v.abs()));
        assert!(worst(&a, &b) < 0.01 * top);
    }
}
