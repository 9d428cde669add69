//! Kernels for GPUs, written in WGSL (the folder `shaders/`): attention without a matrix of scores, and products with
//! weights that stay packed in blocks of 8 or 4 bits; norms and rotary positions in one launch each.
//!
//! They run where burn computes through wgpu with the WGSL compiler, on float32 without gradients. Everything here
//! answers `None` elsewhere, and the caller takes burn's own operators. Each kernel has a portable variant, and one in
//! which threads of a subgroup speak to each other directly; the device decides which is taken.
//!
//! ```no_run
//! use burn::tensor::{Device, DeviceKind, Distribution, Tensor};
//! use kernels::{Attention, attention};
//!
//! let device = Device::wgpu(DeviceKind::DefaultDevice);
//! let draw = || Tensor::<4>::random([1, 4, 300, 64], Distribution::Default, &device);
//! // Of 300 positions, the first 200 are a cell's.
//! let mixed = attention(&draw(), &draw(), &draw(), &Attention { lengths: Some(&[200]), ..Attention::default() });
//! ```

mod attention;
mod gpu;
mod packed;
mod rows;

pub use attention::{Attention, attention, attention_by};
pub use gpu::{Variant, available, subgroup_lanes};
pub use packed::{Arithmetic, Packed};
pub use rows::{rms_norm, rotary};
