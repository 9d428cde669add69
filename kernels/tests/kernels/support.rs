//! What tests share: the device, numbers drawn at random, and skipping aloud.

use std::io::Write;
use std::sync::OnceLock;

use burn::tensor::{Device, DeviceKind, Tensor, TensorData};

/// The device that tests compute on: the software driver, so that they are alike on every machine, or with
/// `CELL2TEXT_TEST_GPU` set the machine's own. `None`, said aloud, where there is none.
pub(crate) fn device() -> Option<Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    let found = DEVICE.get_or_init(|| {
        let kind = if std::env::var_os("CELL2TEXT_TEST_GPU").is_some() {
            DeviceKind::DefaultDevice
        } else {
            DeviceKind::Cpu
        };
        let device = std::panic::catch_unwind(|| Device::wgpu_options().device_kind(kind).init().ok());
        device.ok().flatten().filter(kernels::available)
    });
    if found.is_none() {
        skipped("no device that takes WGSL");
    }
    found.clone()
}

/// Says aloud that a test, or a part of it, is skipped.
pub(crate) fn skipped(why: &str) {
    say(&format!("SKIPPED: {why}"));
}

/// Prints a line. The test harness swallows what `println!` prints in a test that passes, but not this.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Numbers between −1 and 1, the same for the same `seed` (Steele et al. 2014, SplitMix64).
pub(crate) fn draw(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    (0..n)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
