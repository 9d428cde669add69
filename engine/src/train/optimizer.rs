//! Adam with decoupled weight decay (AdamW where the decay is above zero), whose state can be written and read.
//!
//! Kingma and Ba (arXiv 1412.6980), Loshchilov and Hutter (arXiv 1711.05101). burn has both, but restores their state
//! on its default device, which on a machine without a graphics card is one that does not exist.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use crate::error::Problem;
use crate::nn::Named;
use crate::{Error, Result};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Running means of one parameter's gradient and of its square, flat.
#[derive(Debug, Clone)]
struct Moments {
    first: Tensor<1>,
    second: Tensor<1>,
    steps: u64,
}

/// The optimiser's state. Parameters are known by their order in the module, which its type fixes.
#[derive(Debug, Default)]
pub(super) struct Adam {
    moments: BTreeMap<usize, Moments>,
}

impl Adam {
    /// Moves every parameter that has a gradient. Gradients are `loss_scale` times too long; those whose common length
    /// then exceeds `clip_norm` are scaled to it.
    ///
    /// Returns the module and the length of the gradient before clipping. Where that is no number, nothing has moved.
    pub(super) fn step<M: Module>(
        &mut self,
        module: M,
        mut gradients: GradientsParams,
        loss_scale: f64,
        learning_rate: f64,
        weight_decay: f64,
        clip_norm: f64,
    ) -> (M, f64) {
        let mut length = SquaredLength { gradients: &gradients, sum: 0.0 };
        module.visit(&mut length);
        let norm = length.sum.sqrt() / loss_scale;
        if !norm.is_finite() {
            return (module, norm);
        }
        let scale = if norm > clip_norm { clip_norm / norm } else { 1.0 } / loss_scale;
        let mut mover = Mover {
            moments: &mut self.moments,
            gradients: &mut gradients,
            learning_rate,
            weight_decay,
            scale,
            index: 0,
        };
        (module.map(&mut mover), norm)
    }

    /// The state as named tensors.
    ///
    /// # Errors
    /// [`Error::Device`] when values cannot be read back.
    pub(super) fn export(&self) -> Result<Vec<Named>> {
        let mut out = Vec::new();
        for (index, m) in &self.moments {
            for (name, tensor) in [("first", &m.first), ("second", &m.second)] {
                let values: Vec<f32> = tensor.try_to_vec_as().map_err(|e| {
                    Error::device(Problem::new(
                        name,
                        e.to_string(),
                        "the optimiser's state",
                        "Try --device cpu.",
                    ))
                })?;
                out.push(Named { name: format!("{index:05}.{name}"), shape: vec![values.len()], values });
            }
            // A count of steps as a float is exact up to 16 million.
            out.push(Named {
                name: format!("{index:05}.steps"),
                shape: vec![1],
                values: vec![m.steps as f32],
            });
        }
        Ok(out)
    }

    /// Reads what [`Adam::export`] wrote.
    ///
    /// # Errors
    /// [`Error::Train`] when a tensor is missing.
    pub(super) fn import(files: &crate::nn::WeightFiles, device: &Device) -> Result<Self> {
        let mut moments = BTreeMap::new();
        for name in files.names() {
            let Some(index) = name.strip_suffix(".steps").and_then(|i| i.parse::<usize>().ok()) else {
                continue;
            };
            let read = |part: &str| files.read(&format!("{index:05}.{part}"));
            let tensor = |part: &str| -> Result<Tensor<1>> {
                let (shape, values) = read(part)?;
                Ok(Tensor::from_data(TensorData::new(values, shape), device))
            };
            let steps = read("steps")?.1.first().copied().unwrap_or(0.0) as u64;
            moments.insert(index, Moments { first: tensor("first")?, second: tensor("second")?, steps });
        }
        Ok(Self { moments })
    }
}

struct SquaredLength<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for SquaredLength<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sum += f64::from(gradient.square().sum().into_scalar::<f32>());
        }
    }
}

struct Mover<'a> {
    moments: &'a mut BTreeMap<usize, Moments>,
    gradients: &'a mut GradientsParams,
    learning_rate: f64,
    weight_decay: f64,
    scale: f64,
    index: usize,
}

impl ModuleMapper for Mover<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let index = self.index;
        self.index += 1;
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let (id, tensor, mapper) = param.consume();
        let tracked = tensor.is_require_grad();
        let value = tensor.inner();
        let n = value.shape().num_elements();
        let gradient = gradient.mul_scalar(self.scale).reshape([n]);
        let zeros = || Tensor::<1>::zeros([n], &gradient.device());
        let old = self.moments.remove(&index).unwrap_or_else(|| Moments {
            first: zeros(),
            second: zeros(),
            steps: 0,
        });
        let steps = old.steps + 1;
        let first = old.first.mul_scalar(BETA_1) + gradient.clone().mul_scalar(1.0 - BETA_1);
        let second = old.second.mul_scalar(BETA_2) + gradient.square().mul_scalar(1.0 - BETA_2);
        let correction_1 = 1.0 - BETA_1.powf(steps as f64);
        let correction_2 = 1.0 - BETA_2.powf(steps as f64);
        let spread = second.clone().div_scalar(correction_2).sqrt().add_scalar(EPSILON);
        let change =
            (first.clone() / spread).mul_scalar(self.learning_rate / correction_1).reshape(value.shape());
        // Norms and biases are one-dimensional; decaying them has no use.
        let kept = if D > 1 { 1.0 - self.learning_rate * self.weight_decay } else { 1.0 };
        let value = value.mul_scalar(kept) - change;
        self.moments.insert(index, Moments { first, second, steps });
        let tensor = Tensor::from_inner(value).set_require_grad(tracked);
        Param::from_mapped_value(id, tensor, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};

    /// One linear map pulled towards a target; returns the weight after `steps`.
    fn run(steps: usize, resume_at: Option<usize>, decay: f64) -> Vec<f32> {
        run_scaled(steps, resume_at, decay, 1.0)
    }

    /// The same by the gradients of a loss that is `scale` times larger, which the optimiser is told.
    fn run_scaled(steps: usize, resume_at: Option<usize>, decay: f64, scale: f64) -> Vec<f32> {
        let device = Device::flex().autodiff();
        let mut layer: Linear = LinearConfig::new(2, 1).with_bias(false).init(&device);
        layer.weight =
            Param::from_tensor(Tensor::from_data(TensorData::new(vec![1f32, -1.0], [2, 1]), &device));
        let mut adam = Adam::default();
        for step in 0..steps {
            if resume_at == Some(step) {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("state.safetensors");
                crate::nn::write_safetensors(&path, &adam.export().unwrap(), false).unwrap();
                let files = crate::nn::WeightFiles::open(&[path]).unwrap();
                adam = Adam::import(&files, &Device::flex()).unwrap();
            }
            let x = Tensor::<2>::from_data(TensorData::new(vec![1f32, 2.0], [1, 2]), &device);
            let loss = (layer.forward(x) - 3.0).square().sum();
            let gradients = GradientsParams::from_grads(loss.mul_scalar(scale).backward(), &layer);
            (layer, _) = adam.step(layer, gradients, scale, 0.1, decay, 1.0);
        }
        layer.weight.val().inner().try_into_vec_as().unwrap()
    }

    #[test]
    fn the_first_step_is_the_learning_rate_whatever_the_gradient() {
        // Gradient −8 and −16, clipped to length one: the bias-corrected ratio is the sign.
        let w = run(1, None, 0.0);
        assert!((w[0] - 1.1).abs() < 1e-5 && (w[1] + 0.9).abs() < 1e-5, "{w:?}");
        let decayed = run(1, None, 0.5);
        assert!((decayed[0] - (1.0 * 0.95 + 0.1)).abs() < 1e-5, "{decayed:?}");
    }

    #[test]
    fn a_run_that_stops_and_goes_on_ends_where_it_would_have() {
        assert_eq!(run(7, None, 0.01), run(7, Some(4), 0.01));
    }

    #[test]
    fn a_loss_that_is_scaled_moves_weights_as_one_that_is_not_and_one_that_is_no_number_none() {
        assert_eq!(run_scaled(7, None, 0.01, 1024.0), run(7, None, 0.01));
        assert_eq!(run_scaled(3, None, 0.01, f64::INFINITY), [1.0, -1.0]);
    }
}
