//! Rotary position embedding, of whole heads or of their first part, with Llama 3's and linear scaling.
//!
//! Sources: RoFormer (arXiv 2104.09864) for the rotation; the Llama 3.1 release for its scaling, as restated in
//! Hugging Face transformers' `rope_type: llama3`. Pairs are (i, i + d/2), the layout of Hugging Face weights.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

/// How frequencies are stretched beyond the trained context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// All are divided by this factor.
    Linear(f64),
    /// Llama 3's: low ones only.
    Llama3(Llama3Scaling),
}

/// The four numbers of Llama 3's scaling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Llama3Scaling {
    /// Wavelengths past the low cut are divided by this.
    pub factor: f64,
    /// Low cut: original context ÷ this.
    pub low_freq_factor: f64,
    /// High cut: original context ÷ this; shorter wavelengths stay as they are.
    pub high_freq_factor: f64,
    /// Context of the original training, in tokens.
    pub original_max_position_embeddings: usize,
}

/// What defines a rotary embedding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RotarySettings {
    /// Width that is rotated: that of a head, or of its first part.
    pub head_dim: usize,
    /// Base of the frequencies.
    pub theta: f64,
    /// Scaling, where the model has it.
    pub scaling: Option<RopeScaling>,
}

impl RotarySettings {
    /// The angular frequency of each pair, `[head_dim / 2]`, in float64.
    pub fn inverse_frequencies(&self) -> Vec<f64> {
        (0..self.head_dim / 2)
            .map(|i| {
                let plain = self.theta.powf(-2.0 * i as f64 / self.head_dim as f64);
                match self.scaling {
                    None => plain,
                    Some(RopeScaling::Linear(factor)) => plain / factor,
                    Some(RopeScaling::Llama3(s)) => scaled(plain, &s),
                }
            })
            .collect()
    }
}

fn scaled(frequency: f64, s: &Llama3Scaling) -> f64 {
    let context = s.original_max_position_embeddings as f64;
    let wavelength = std::f64::consts::TAU / frequency;
    if wavelength < context / s.high_freq_factor {
        frequency
    } else if wavelength > context / s.low_freq_factor {
        frequency / s.factor
    } else {
        let smooth = (context / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
        (1.0 - smooth) * frequency / s.factor + smooth * frequency
    }
}

/// Tables of cosines and sines for a run of positions, on a device.
#[derive(Debug, Clone)]
pub struct Rotary {
    cos: Tensor<4>,
    sin: Tensor<4>,
    /// The same two tables for the CPU, where it is the device.
    on_host: Option<Arc<[Vec<f32>; 2]>>,
}

impl Rotary {
    /// Tables for positions `0..n_positions`, computed in float64 on the host.
    pub fn new(settings: &RotarySettings, n_positions: usize, device: &Device) -> Self {
        let frequencies = settings.inverse_frequencies();
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for position in 0..n_positions {
            for _half in 0..2 {
                for f in &frequencies {
                    let angle = position as f64 * f;
                    cos.push(angle.cos() as f32);
                    sin.push(angle.sin() as f32);
                }
            }
        }
        let shape = [1, 1, n_positions, frequencies.len() * 2];
        let on_host = (*device == Device::flex()).then(|| Arc::new([cos.clone(), sin.clone()]));
        Self {
            on_host,
            cos: Tensor::from_data(TensorData::new(cos, shape), device),
            sin: Tensor::from_data(TensorData::new(sin, shape), device),
        }
    }

    /// Positions covered.
    pub fn len(&self) -> usize {
        self.cos.dims()[2]
    }

    /// Whether no position is covered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rotates queries or keys `[batch, heads, tokens, head_dim]` whose first token stands at `start`. What is wider than
    /// the tables keeps its rest as it is.
    pub fn apply(&self, x: Tensor<4>, start: usize) -> Tensor<4> {
        kernels::rotary(&x, &self.cos, &self.sin, start).unwrap_or_else(|| self.by_operators(x, start))
    }

    /// [`Rotary::apply`] to `x` `[tokens, heads, head_dim]` on the CPU. Says whether the tables lie there.
    pub fn apply_on_host(&self, x: &mut [f32], heads: usize, head_dim: usize, start: usize) -> bool {
        let Some(tables) = &self.on_host else { return false };
        let [_, _, _, turned] = self.cos.dims();
        let [cos, sin] = tables.each_ref().map(|table| table.get(start * turned..).unwrap_or_default());
        cpu::rows::rotate(x, heads, head_dim, [cos, sin], turned);
        true
    }

    fn by_operators(&self, x: Tensor<4>, start: usize) -> Tensor<4> {
        let [_, _, tokens, whole] = x.dims();
        let [_, _, _, width] = self.cos.dims();
        if width < whole {
            let rest = x.clone().narrow(3, width, whole - width);
            return Tensor::cat(vec![self.by_operators(x.narrow(3, 0, width), start), rest], 3);
        }
        let cos = self.cos.clone().narrow(2, start, tokens);
        let sin = self.sin.clone().narrow(2, start, tokens);
        let first = x.clone().narrow(3, 0, width / 2);
        let second = x.clone().narrow(3, width / 2, width / 2);
        let turned = Tensor::cat(vec![second.neg(), first], 3);
        x * cos + turned * sin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_3_scaling_leaves_short_waves_and_divides_long_ones() {
        let scaling = RopeScaling::Llama3(Llama3Scaling {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        });
        let plain = RotarySettings { head_dim: 64, theta: 5e5, scaling: None }.inverse_frequencies();
        let scaled =
            RotarySettings { head_dim: 64, theta: 5e5, scaling: Some(scaling) }.inverse_frequencies();
        assert_eq!(plain[0], scaled[0]);
        assert!((plain[31] / scaled[31] - 32.0).abs() < 1e-9);
        assert!(scaled.windows(2).all(|w| w[1] < w[0]));
    }

    #[test]
    fn rotating_keeps_lengths_and_position_zero() {
        let device = Device::flex();
        let rotary = Rotary::new(&RotarySettings { head_dim: 4, theta: 1e4, scaling: None }, 3, &device);
        let x = Tensor::<4>::from_data(
            TensorData::new(vec![1f32, 2., 3., 4., 1., 2., 3., 4.], [1, 1, 2, 4]),
            &device,
        );
        let y: Vec<f32> = rotary.apply(x, 0).try_into_vec_as().unwrap();
        assert_eq!(y[..4], [1., 2., 3., 4.]);
        let norm: f32 = y[4..].iter().map(|v| v * v).sum();
        assert!((norm - 30.0).abs() < 1e-4);
    }

    #[test]
    fn the_cpus_own_rotation_is_the_one_by_operators() {
        let device = Device::flex();
        let rotary = Rotary::new(&RotarySettings { head_dim: 4, theta: 1e4, scaling: None }, 9, &device);
        // Three tokens of two heads of six, of which four are turned.
        let mut x: Vec<f32> = (0..36).map(|i| i as f32 / 7.0 - 2.0).collect();
        let tensor =
            Tensor::<4>::from_data(TensorData::new(x.clone(), [1, 3, 2, 6]), &device).swap_dims(1, 2);
        let expected: Vec<f32> = rotary.apply(tensor, 5).swap_dims(1, 2).try_into_vec_as().unwrap();
        assert!(rotary.apply_on_host(&mut x, 2, 6, 5));
        assert!(x.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{x:?} {expected:?}");
    }

    #[test]
    fn the_rest_of_a_head_wider_than_the_tables_stays_as_it_is() {
        let device = Device::flex();
        let rotary = Rotary::new(&RotarySettings { head_dim: 2, theta: 1e4, scaling: None }, 2, &device);
        let x = Tensor::<4>::from_data(TensorData::new(vec![1f32, 0., 3., 4.], [1, 1, 1, 4]), &device);
        let y: Vec<f32> = rotary.apply(x, 1).try_into_vec_as().unwrap();
        assert!((y[0] - 1f32.cos()).abs() < 1e-6 && (y[1] - 1f32.sin()).abs() < 1e-6, "{y:?}");
        assert_eq!(y[2..], [3., 4.]);
    }
}
