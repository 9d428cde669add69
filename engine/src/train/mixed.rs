//! Mixed precision (Micikevicius et al., arXiv 1710.03740): linear maps multiply numbers of 16 bits. Weights, sums,
//! norms, attention's scores, losses and the optimiser keep 32.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, Tensor};

/// What the loss is multiplied with where gradients pass through numbers that cannot be as small as those of 32 bits; the
/// gradients are divided by it again. Far from what would not fit: gradients of a loss of a few nats stay below one.
const LOSS_SCALE: f64 = 1024.0;

/// Numbers of 16 bits that maps multiply in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Half(FloatDType);

impl Half {
    /// What all of `devices` compute in: bfloat16, which is as wide as float32, else float16; `None` where there is neither.
    pub(super) fn of(devices: &[Device]) -> Option<Self> {
        let all = |dtype: FloatDType| devices.iter().all(|device| device.supports_dtype(dtype));
        [FloatDType::BF16, FloatDType::F16].into_iter().find(|&dtype| all(dtype)).map(Self)
    }

    /// Its name for people.
    pub(super) fn name(self) -> &'static str {
        if self.0 == FloatDType::BF16 { "bfloat16" } else { "float16" }
    }

    /// What the loss is multiplied with before gradients are taken.
    pub(super) fn loss_scale(self) -> f64 {
        if self.0 == FloatDType::BF16 { 1.0 } else { LOSS_SCALE }
    }

    /// `module` with the weights of its linear maps in half precision. They hang on the weights of `module`, to which their
    /// gradients go.
    pub(super) fn maps_of<M: Module>(self, module: M) -> M {
        module.map(&mut ToHalf { dtype: self.0, within_map: 0 })
    }
}

struct ToHalf {
    dtype: FloatDType,
    /// How many linear maps the parameter lies in: one or none.
    within_map: usize,
}

/// What burn calls the container of a [`crate::nn::LinearMap`].
const LINEAR_MAP: &str = "Enum:LinearMap";

impl ModuleMapper for ToHalf {
    fn enter_module(&mut self, _: &str, container_type: &str) {
        self.within_map += usize::from(container_type == LINEAR_MAP);
    }

    fn exit_module(&mut self, _: &str, container_type: &str) {
        self.within_map -= usize::from(container_type == LINEAR_MAP);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // Biases are added to sums, which stay in 32 bits.
        if self.within_map == 0 || D != 2 {
            return param;
        }
        // With what LoRA adds to it.
        Param::initialized(param.id, param.val().cast(self.dtype))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::nn::{DevicePreference, LinearMap, Params, Stored, choose_device};

    /// The map at `device` in full and in `dtype`: what it gives, and what its weight is taught.
    fn compare(device: &Device, dtypes: &[FloatDType]) {
        let device = device.clone().autodiff();
        let map =
            LinearMap::read(&mut Params::random(5, 0.5, &device), "map", [40, 7], true, Stored::OutputFirst)
                .unwrap();
        let values: Vec<f32> = (0..3 * 40).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        let x = Tensor::<3>::from_data(TensorData::new(values, [1, 3, 40]), &device);
        let full = map.forward(x.clone());
        let of_weight = |map: &LinearMap, out: Tensor<3>| -> Vec<f32> {
            let LinearMap::Full(linear) = map else { panic!("a map in full") };
            let gradients = out.square().sum().backward();
            linear.weight.val().grad(&gradients).unwrap().into_data().try_to_vec().unwrap()
        };
        let values = |x: &Tensor<3>| x.to_data().try_to_vec::<f32>().unwrap();
        let wanted = (values(&full), of_weight(&map, full));
        for dtype in dtypes {
            let half = Half(*dtype).maps_of(map.clone());
            let out = half.forward(x.clone());
            let found = (values(&out), of_weight(&map, out));
            for (wanted, found) in [(&wanted.0, &found.0), (&wanted.1, &found.1)] {
                let size = wanted.iter().fold(0.0f32, |size, value| size.max(value.abs()));
                let apart = wanted.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart > 0.0 && apart < 0.02 * size, "{dtype:?}: {apart} of {size}");
            }
        }
    }

    #[test]
    fn a_map_in_half_precision_multiplies_coarsely_and_teaches_the_weights_in_full() {
        compare(&Device::flex(), &[FloatDType::BF16, FloatDType::F16]);
    }

    #[test]
    fn a_graphics_card_multiplies_in_half_precision_as_the_processor_does_where_it_can() {
        let device = match choose_device(DevicePreference::Wgpu) {
            Ok(chosen) => chosen.device,
            Err(e) => return crate::test_support::skipped(&e.to_string()),
        };
        match Half::of(std::slice::from_ref(&device)) {
            Some(half) => compare(&device, &[half.0]),
            None => crate::test_support::skipped("the device computes in neither bfloat16 nor float16"),
        }
    }
}
