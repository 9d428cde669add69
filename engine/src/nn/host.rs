//! Linear maps on slices, where the CPU computes.
//!
//! burn's operators take some microseconds each, whatever they work on: more than the arithmetic of a layer on one token.

use std::cell::OnceCell;

use burn::tensor::{Device, Tensor, TensorData};
use cpu::{Panels, Vectors, matmul, matmul_into};

use super::maps::{Held, LinearMap, host_values};

/// Rows from which on bringing a matrix into panels costs little beside the product.
const ROWS_FOR_PANELS: usize = 256;

/// Whether `device` is the CPU, without gradients: what is computed on slices gives none.
pub fn is_host(device: &Device) -> bool {
    // A device with gradients equals the one without.
    *device == Device::flex() && !device.is_autodiff()
}

/// Rows of numbers that maps read, `[n, width]`. For maps in blocks they are brought to 16 bits once.
#[derive(Debug)]
pub struct HostRows<'a> {
    values: &'a [f32],
    width: usize,
    packed: OnceCell<Vectors>,
}

impl<'a> HostRows<'a> {
    /// Rows of `width` numbers each.
    pub fn new(values: &'a [f32], width: usize) -> Self {
        Self { values, width, packed: OnceCell::new() }
    }

    /// The rows in 16 bits.
    fn packed(&self) -> &Vectors {
        self.packed.get_or_init(|| Vectors::new(self.values, self.width))
    }
}

impl LinearMap {
    /// Whether [`LinearMap::apply`] computes it.
    pub fn is_on_host(&self) -> bool {
        match self {
            Self::Full(linear) => is_host(&linear.weight.val().device()),
            Self::Panels(_) => true,
            Self::Blocks(map) => matches!(map.weight, Held::Host(_)),
        }
    }

    /// The map of `rows` `[n, input]`, `[n, output]`, on the CPU.
    pub fn apply(&self, rows: &HostRows<'_>) -> Vec<f32> {
        match self {
            Self::Panels(map) => matmul(rows.values, &map.weight, map.bias()),
            Self::Blocks(map) => match &map.weight {
                Held::Host(tiles) => cpu::product(tiles, rows.packed(), map.bias()),
                Held::Device(..) => self.by_operators(rows),
            },
            Self::Full(linear) => {
                let n = rows.values.len().checked_div(rows.width).unwrap_or(0);
                if n < ROWS_FOR_PANELS {
                    return self.by_operators(rows);
                }
                let weight = linear.weight.val();
                let [input, output] = weight.dims();
                let bias = linear.bias.as_ref().map(|bias| host_values(bias.val()));
                Panels::new(&host_values(weight), input, output)
                    .map_or_else(Vec::new, |panels| matmul(rows.values, &panels, bias.as_deref()))
            }
        }
    }

    /// [`LinearMap::apply`] into `out`, whatever it held, in the room that it has where that can be.
    pub fn apply_into(&self, rows: &HostRows<'_>, out: &mut Vec<f32>) {
        match self {
            Self::Panels(map) => matmul_into(rows.values, &map.weight, map.bias(), out),
            _ => *out = self.apply(rows),
        }
    }

    /// [`LinearMap::apply`] of several maps that read the same rows.
    pub fn apply_all<const N: usize>(maps: [&Self; N], rows: &HostRows<'_>) -> [Vec<f32>; N] {
        let mut out = [const { Vec::new() }; N];
        Self::apply_all_into(maps, rows, &mut out);
        out
    }

    /// [`LinearMap::apply_into`] of several maps that read the same rows.
    pub fn apply_all_into<const N: usize>(maps: [&Self; N], rows: &HostRows<'_>, out: &mut [Vec<f32>; N]) {
        let mut in_blocks = Vec::with_capacity(N);
        for map in maps {
            if let Self::Blocks(map) = map
                && let Held::Host(tiles) = &map.weight
            {
                in_blocks.push((tiles.as_ref(), map.bias()));
            }
        }
        if in_blocks.len() == N
            && let Ok(all) = cpu::products(&in_blocks, rows.packed()).try_into()
        {
            *out = all;
            return;
        }
        for (map, out) in maps.into_iter().zip(out) {
            map.apply_into(rows, out);
        }
    }

    fn by_operators(&self, rows: &HostRows<'_>) -> Vec<f32> {
        let n = rows.values.len().checked_div(rows.width).unwrap_or(0);
        let data = TensorData::new(rows.values.to_vec(), [1, n, rows.width]);
        host_values(self.forward(Tensor::from_data(data, &Device::flex())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::quant::Bits;
    use super::super::{Params, Stored};
    use super::*;

    #[test]
    fn what_gives_gradients_is_not_computed_on_slices() {
        assert!(is_host(&Device::flex()));
        let learning = Device::flex().autodiff();
        assert!(!is_host(&learning));
        let mut params = Params::random(3, 0.3, &learning);
        let map = LinearMap::read(&mut params, "map", [4, 4], false, Stored::OutputFirst).unwrap();
        assert!(!map.is_on_host());
    }

    #[test]
    fn a_map_gives_on_slices_what_it_gives_on_tensors() {
        let device = Device::flex();
        for bits in [None, Some(Bits::Eight), Some(Bits::Four)] {
            let mut params = Params::random(3, 0.3, &device);
            if let Some(bits) = bits {
                params = params.quantised(bits);
            }
            let map = LinearMap::read(&mut params, "m", [40, 70], true, Stored::OutputFirst).unwrap();
            assert!(map.is_on_host());
            for n in [1, 5, 300] {
                let values: Vec<f32> = (0..n * 40).map(|i| (i % 37) as f32 / 18.0 - 1.0).collect();
                let tensor = Tensor::<3>::from_data(TensorData::new(values.clone(), [1, n, 40]), &device);
                let expected = host_values(match &map {
                    LinearMap::Panels(map) => map.in_full().forward(tensor),
                    _ => map.forward(tensor),
                });
                let got = map.apply(&HostRows::new(&values, 40));
                assert_eq!(got.len(), expected.len());
                assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{bits:?}, {n} rows");
                let rows = HostRows::new(&values, 40);
                assert_eq!(LinearMap::apply_all([&map, &map], &rows), [got.clone(), got]);
            }
        }
    }
}
