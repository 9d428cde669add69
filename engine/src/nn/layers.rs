//! Layers of burn, built from checkpoint names and written back under them.

use burn::module::{Module, Param};
use burn::nn::{
    Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, RmsNorm, RmsNormConfig,
};
use burn::tensor::Tensor;

use super::maps::host_values;
use super::params::{ParamSink, Params};
use crate::Result;

/// A linear map `name.weight` `[output, input]` with `name.bias` where `bias` is set.
///
/// # Errors
/// [`crate::Error::Model`] when a tensor is missing or of another shape.
pub fn linear(
    params: &mut Params<'_>,
    name: &str,
    input: usize,
    output: usize,
    bias: bool,
) -> Result<Linear> {
    let mut layer = LinearConfig::new(input, output).with_bias(false).init(params.device());
    layer.weight = params.transposed(&format!("{name}.weight"), output, input)?;
    layer.bias = if bias { Some(params.vector(&format!("{name}.bias"), output, 0.0)?) } else { None };
    Ok(layer)
}

/// An embedding table `name.weight` `[rows, width]`.
///
/// # Errors
/// As [`linear`].
pub fn embedding(params: &mut Params<'_>, name: &str, rows: usize, width: usize) -> Result<Embedding> {
    // burn's own initialiser is lazy: replaced before use, it draws nothing.
    let mut layer = EmbeddingConfig::new(rows, width).init(params.device());
    layer.weight = params.matrix(&format!("{name}.weight"), [rows, width])?;
    Ok(layer)
}

/// A layer norm with `name.weight` and `name.bias`.
///
/// # Errors
/// As [`linear`].
pub fn layer_norm(params: &mut Params<'_>, name: &str, width: usize, epsilon: f64) -> Result<LayerNorm> {
    let mut layer = LayerNormConfig::new(width).with_epsilon(epsilon).init(params.device());
    layer.gamma = params.vector(&format!("{name}.weight"), width, 1.0)?;
    layer.beta = Some(params.vector(&format!("{name}.bias"), width, 0.0)?);
    Ok(layer)
}

/// A root-mean-square norm with `name.weight`.
///
/// # Errors
/// As [`linear`].
pub fn rms_norm(params: &mut Params<'_>, name: &str, width: usize, epsilon: f64) -> Result<RmsNorm> {
    let mut layer = RmsNormConfig::new(width).with_epsilon(epsilon).init(params.device());
    layer.gamma = params.vector(&format!("{name}.weight"), width, 1.0)?;
    Ok(layer)
}

/// The norms of decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Root mean square, times the weight.
    Rms,
    /// Root mean square, times one and the weight (Gemma's).
    RmsPlusOne,
    /// Mean and variance, with weight and bias.
    Layer,
}

/// A norm of any of these kinds.
#[derive(Module, Debug)]
pub struct Norm {
    by: NormBy,
    #[module(skip)]
    epsilon: f64,
}

#[derive(Module, Debug)]
enum NormBy {
    /// By the root mean square.
    Rms(RmsNorm),
    /// By mean and variance.
    Layer(LayerNorm),
}

impl Norm {
    /// Reads a norm of `kind` over vectors of `width`.
    ///
    /// # Errors
    /// As [`linear`].
    pub fn read(
        params: &mut Params<'_>,
        name: &str,
        width: usize,
        epsilon: f64,
        kind: NormKind,
    ) -> Result<Self> {
        let by = match kind {
            NormKind::Layer => NormBy::Layer(layer_norm(params, name, width, epsilon)?),
            NormKind::Rms => NormBy::Rms(rms_norm(params, name, width, epsilon)?),
            NormKind::RmsPlusOne => {
                let mut layer = RmsNormConfig::new(width).with_epsilon(epsilon).init(params.device());
                let weight = params.vector(&format!("{name}.weight"), width, 0.0)?;
                layer.gamma = Param::from_tensor(weight.val().add_scalar(1.0));
                NormBy::Rms(layer)
            }
        };
        Ok(Self { by, epsilon })
    }

    /// Norms the last dimension.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match &self.by {
            NormBy::Rms(norm) => {
                kernels::rms_norm(&x, &norm.gamma.val(), norm.epsilon).unwrap_or_else(|| norm.forward(x))
            }
            NormBy::Layer(norm) => norm.forward(x),
        }
    }

    /// Norms rows one after the other, each as wide as the norm, on the CPU.
    pub fn apply(&self, rows: &mut [f32]) {
        match &self.by {
            NormBy::Rms(norm) => {
                cpu::rows::rms_norm(rows, &host_values(norm.gamma.val()), self.epsilon as f32);
            }
            NormBy::Layer(norm) => apply_layer_norm(norm, self.epsilon, rows),
        }
    }

    /// Writes what [`Norm::read`] reads.
    ///
    /// # Errors
    /// As [`export_linear`].
    pub fn export(&self, sink: &mut ParamSink, name: &str, kind: NormKind) -> Result<()> {
        match &self.by {
            NormBy::Layer(norm) => export_layer_norm(sink, name, norm),
            NormBy::Rms(norm) if kind == NormKind::RmsPlusOne => {
                sink.add(&format!("{name}.weight"), norm.gamma.val().sub_scalar(1.0))
            }
            NormBy::Rms(norm) => export_rms_norm(sink, name, norm),
        }
    }
}

/// What `norm` does, on rows of its width one after the other, on the CPU.
pub fn apply_layer_norm(norm: &LayerNorm, epsilon: f64, rows: &mut [f32]) {
    let weight = host_values(norm.gamma.val());
    let bias = norm.beta.as_ref().map_or_else(|| vec![0.0; weight.len()], |bias| host_values(bias.val()));
    cpu::rows::layer_norm(rows, &weight, &bias, epsilon as f32);
}

/// Writes what [`linear`] reads.
///
/// # Errors
/// [`crate::Error::Device`] when values cannot be read back.
pub fn export_linear(sink: &mut ParamSink, name: &str, layer: &Linear) -> Result<()> {
    sink.add_transposed(&format!("{name}.weight"), layer.weight.val())?;
    match &layer.bias {
        Some(bias) => sink.add(&format!("{name}.bias"), bias.val()),
        None => Ok(()),
    }
}

/// Writes what [`embedding`] reads.
///
/// # Errors
/// As [`export_linear`].
pub fn export_embedding(sink: &mut ParamSink, name: &str, layer: &Embedding) -> Result<()> {
    sink.add(&format!("{name}.weight"), layer.weight.val())
}

/// Writes what [`layer_norm`] reads.
///
/// # Errors
/// As [`export_linear`].
pub fn export_layer_norm(sink: &mut ParamSink, name: &str, layer: &LayerNorm) -> Result<()> {
    sink.add(&format!("{name}.weight"), layer.gamma.val())?;
    match &layer.beta {
        Some(beta) => sink.add(&format!("{name}.bias"), beta.val()),
        None => Ok(()),
    }
}

/// Writes what [`rms_norm`] reads.
///
/// # Errors
/// As [`export_linear`].
pub fn export_rms_norm(sink: &mut ParamSink, name: &str, layer: &RmsNorm) -> Result<()> {
    sink.add(&format!("{name}.weight"), layer.gamma.val())
}
