//! What is done to each row or position by itself: norms, and rotary positions. One launch each, where burn's operators
//! need five and more.

use burn::tensor::Tensor;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use crate::gpu::{Buffer, GRID, Kernel, client, floats, launch, launchable, numbers, tensor_of};

const NORM: &[&str] = &[include_str!("../../shaders/rms_norm.wgsl")];
const ROTARY: &[&str] = &[include_str!("../../shaders/rotary.wgsl")];

/// The rows of `x`, each divided by its root mean square, times `weight`; `epsilon` is added to the mean of squares
/// (Zhang and Sennrich 2019, arXiv:1910.07467).
///
/// `None` where the kernels do not run, or where the width is no multiple of 4.
///
/// # Shapes
/// `x`: `[..., width]`; `weight`: `[width]`
pub fn rms_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, epsilon: f64) -> Option<Tensor<D>> {
    let client = client(&x.device())?;
    let dims = x.dims();
    let width = *dims.last()?;
    let all: usize = dims.iter().product();
    if all == 0 || width % 4 != 0 || weight.dims() != [width] {
        return None;
    }
    let rows = all / width;
    let x = floats(x).map(into_contiguous)?;
    let weight = floats(weight).map(into_contiguous)?;
    let beside = rows.min(GRID);
    let groups = [beside, rows.div_ceil(beside), 1];
    if !launchable(groups) {
        return None;
    }
    let kernel = Kernel { names: vec!["rms norm"], constants: Vec::new(), threads: 64, text: NORM };
    let out = client.empty(all * size_of::<f32>());
    let info =
        numbers(&client, &[rows as u32, (width / 4) as u32, beside as u32, (epsilon as f32).to_bits()]);
    let buffers =
        [Buffer::Read(&x.handle), Buffer::Read(&weight.handle), Buffer::Write(&out), Buffer::Read(&info)];
    launch(&client, kernel, groups, &buffers);
    Some(tensor_of(&x, out, dims))
}

/// Turns queries or keys by their positions, the first token's being `start`. What is wider than the tables keeps its
/// rest as it is.
///
/// `None` where the kernels do not run, or where the tables do not reach so far.
///
/// # Shapes
/// `x`: `[batch, heads, tokens, width]`; `cosines`, `sines`: `[1, 1, positions, turned]`, both halves of a row alike
pub fn rotary(x: &Tensor<4>, cosines: &Tensor<4>, sines: &Tensor<4>, start: usize) -> Option<Tensor<4>> {
    let client = client(&x.device())?;
    let [batch, heads, tokens, width] = x.dims();
    let [_, _, positions, turned] = cosines.dims();
    let groups = [(tokens * width).div_ceil(64), heads, batch];
    if turned > width || turned % 2 != 0 || start + tokens > positions || sines.dims() != cosines.dims() {
        return None;
    }
    let x = in_rows(floats(x)?);
    let (cosines, sines) = (floats(cosines).map(into_contiguous)?, floats(sines).map(into_contiguous)?);
    if !launchable(groups) {
        return None;
    }
    let strides = x.meta.strides();
    let info = [heads, tokens, width, turned, start, strides[0], strides[1], strides[2]].map(|n| n as u32);
    let info = numbers(&client, &info);
    let out = client.empty(batch * heads * tokens * width * size_of::<f32>());
    let kernel = Kernel { names: vec!["rotary"], constants: Vec::new(), threads: 64, text: ROTARY };
    let buffers = [
        Buffer::Read(&x.handle),
        Buffer::Read(&cosines.handle),
        Buffer::Read(&sines.handle),
        Buffer::Write(&out),
        Buffer::Read(&info),
    ];
    launch(&client, kernel, groups, &buffers);
    Some(tensor_of(&x, out, [batch, heads, tokens, width]))
}

/// The tensor so that the numbers of its last dimension lie together.
fn in_rows(tensor: CubeTensor) -> CubeTensor {
    let together = tensor.meta.strides().last() == Some(&1) && !tensor.meta.is_tiled();
    if together { tensor } else { into_contiguous(tensor) }
}
