//! The adapter: from the encoder's gene vectors to vectors that the decoder reads in place of words.

use burn::module::Module;
use burn::nn::LayerNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::{LinearMap, ParamSink, Params, Stored, WeightFiles, export_layer_norm, layer_norm};

/// The layouts of published code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterKind {
    /// `projection`: linear, layer norm, GELU, linear, layer norm (github.com/arismarkogi/cell2text).
    Projection,
    /// `fc`: linear, GELU, linear, GELU, each vector scaled to length one (Prot2Text-V2, and by its text the paper).
    Prot2text,
}

/// What defines an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// Its layout.
    pub kind: AdapterKind,
    /// Width of the encoder.
    pub input_size: usize,
    /// Width in the middle.
    pub hidden_size: usize,
    /// Width of the decoder.
    pub output_size: usize,
}

#[derive(Module, Debug)]
struct Norms {
    first: LayerNorm,
    second: LayerNorm,
}

/// An adapter of either layout.
#[derive(Module, Debug)]
pub struct Adapter {
    first: LinearMap,
    second: LinearMap,
    /// The two norms of the projection layout; without them the output is scaled to length one.
    norms: Option<Norms>,
}

/// What stands before the names in the checkpoints of Cell2Text and Prot2Text-V2.
const PREFIXES: [&str; 4] = ["", "cell_to_embedding.", "adapter.", "projector."];

impl AdapterKind {
    /// The name of the first map's weight.
    pub fn first_weight(self) -> &'static str {
        match self {
            Self::Projection => "projection.0.weight",
            Self::Prot2text => "fc1.weight",
        }
    }
}

/// Lengths below this are not divided by (as in torch's `normalize`).
const SMALLEST_LENGTH: f64 = 1e-12;

impl Adapter {
    /// Builds an adapter from `params` in the names of its published layout. In the projection layout the second
    /// linear map is `projection.4`, or `projection.3` in checkpoints trained without dropout.
    ///
    /// # Errors
    /// [`crate::Error::Model`] when a tensor is missing or of another shape.
    pub fn new(config: &AdapterConfig, params: &mut Params<'_>) -> Result<Self> {
        let AdapterConfig { kind, input_size, hidden_size, output_size } = *config;
        params.find_prefix(&PREFIXES, kind.first_weight());
        let linear = |params: &mut Params<'_>, name: &str, input: usize, output: usize, bias: bool| {
            LinearMap::read(params, name, [input, output], bias, Stored::OutputFirst)
        };
        match kind {
            AdapterKind::Projection => {
                let (second, last) = if params.contains("projection.5.weight") {
                    ("projection.4", "projection.5")
                } else {
                    ("projection.3", "projection.4")
                };
                Ok(Self {
                    first: linear(params, "projection.0", input_size, hidden_size, true)?,
                    second: linear(params, second, hidden_size, output_size, true)?,
                    norms: Some(Norms {
                        first: layer_norm(params, "projection.1", hidden_size, 1e-5)?,
                        second: layer_norm(params, last, output_size, 1e-5)?,
                    }),
                })
            }
            AdapterKind::Prot2text => Ok(Self {
                first: linear(params, "fc1", input_size, hidden_size, true)?,
                second: linear(params, "fc2", hidden_size, output_size, true)?,
                norms: None,
            }),
        }
    }

    /// The tensors of an adapter of `kind` among those of a checkpoint.
    pub fn names(checkpoint: &WeightFiles, kind: AdapterKind) -> Vec<String> {
        let parts: &[&str] = match kind {
            AdapterKind::Projection => &["projection."],
            AdapterKind::Prot2text => &["fc1.", "fc2."],
        };
        let own = |name: &&str| {
            PREFIXES
                .iter()
                .filter_map(|prefix| name.strip_prefix(prefix))
                .any(|rest| parts.iter().any(|part| rest.starts_with(part)))
        };
        checkpoint.names().filter(own).map(str::to_owned).collect()
    }

    /// Maps gene vectors `[batch, genes, input]` to `[batch, genes, output]`.
    pub fn forward(&self, genes: Tensor<3>) -> Tensor<3> {
        let x = self.first.forward(genes);
        match &self.norms {
            Some(norms) => norms.second.forward(self.second.forward(gelu(norms.first.forward(x)))),
            None => {
                let y = gelu(self.second.forward(gelu(x)));
                let length = y.clone().square().sum_dim(2).sqrt().clamp_min(SMALLEST_LENGTH);
                y / length
            }
        }
    }

    /// Writes the parameters in the names that [`Adapter::new`] reads.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when values cannot be read back.
    pub fn export(&self, sink: &mut ParamSink) -> Result<()> {
        let export_linear =
            |sink: &mut ParamSink, name: &str, map: &LinearMap| map.export(sink, name, Stored::OutputFirst);
        match &self.norms {
            Some(norms) => {
                export_linear(sink, "projection.0", &self.first)?;
                export_layer_norm(sink, "projection.1", &norms.first)?;
                export_linear(sink, "projection.4", &self.second)?;
                export_layer_norm(sink, "projection.5", &norms.second)
            }
            None => {
                export_linear(sink, "fc1", &self.first)?;
                export_linear(sink, "fc2", &self.second)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::write_safetensors;
    use burn::tensor::{Device, Distribution};

    fn adapter(kind: AdapterKind) -> (AdapterConfig, Adapter) {
        let config = AdapterConfig { kind, input_size: 6, hidden_size: 10, output_size: 8 };
        let adapter = Adapter::new(&config, &mut Params::random(1, 0.5, &Device::flex())).unwrap();
        (config, adapter)
    }

    #[test]
    fn the_prot2text_layout_gives_vectors_of_length_one() {
        let (_, adapter) = adapter(AdapterKind::Prot2text);
        let x = Tensor::<3>::random([2, 3, 6], Distribution::Normal(0.0, 1.0), &Device::flex());
        let lengths: Vec<f32> = adapter.forward(x).square().sum_dim(2).try_into_vec_as().unwrap();
        assert!(lengths.iter().all(|l| (l - 1.0).abs() < 1e-5), "{lengths:?}");
    }

    #[test]
    fn both_layouts_survive_being_written_and_read() {
        for kind in [AdapterKind::Projection, AdapterKind::Prot2text] {
            let (config, adapter) = adapter(kind);
            let folder = tempfile::tempdir().unwrap();
            let mut sink = ParamSink::default();
            adapter.export(&mut sink).unwrap();
            write_safetensors(&folder.path().join("model.safetensors"), &sink.into_tensors(), false).unwrap();
            let files = WeightFiles::open_folder(folder.path()).unwrap();
            let again = Adapter::new(&config, &mut Params::from_files(&files, "", &Device::flex())).unwrap();
            let x = Tensor::<3>::random([1, 4, 6], Distribution::Normal(0.0, 1.0), &Device::flex());
            let a: Vec<f32> = adapter.forward(x.clone()).try_into_vec_as().unwrap();
            let b: Vec<f32> = again.forward(x).try_into_vec_as().unwrap();
            assert_eq!(a, b);
        }
    }
}
