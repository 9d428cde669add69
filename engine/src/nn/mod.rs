//! Parts of transformers on burn: weights by name, linear maps, rotary positions, attention, the KV cache.
//!
//! Everything here works on any burn device, with or without autodiff; nothing knows of cells or text.

mod attention;
mod cache;
mod device;
mod layers;
mod params;
mod rotary;

pub use attention::{Causality, attend};
pub use cache::{KvCache, LayerCache};
pub use device::{ChosenDevice, DeviceInfo, DevicePreference, choose_device, choose_devices, devices};
pub use layers::{
    embedding, export_embedding, export_layer_norm, export_linear, export_rms_norm, layer_norm, linear,
    rms_norm,
};
pub use params::{Named, ParamSink, Params, WeightFiles, WeightPatch, write_safetensors};
pub use rotary::{RopeScaling, Rotary, RotarySettings};
