//! Parts of transformers on burn: weights by name, linear maps, rotary positions, attention, the KV cache.
//!
//! Everything here works on any burn device, with or without autodiff; nothing knows of cells or text.

mod attention;
mod cache;
mod device;
mod gguf;
mod host;
mod layers;
mod maps;
mod memory;
mod params;
pub mod quant;
mod rotary;
mod torch;
mod weights;
mod write;

pub use attention::{Causality, Scoring, attend, attend_with};
pub use cache::{KvCache, LayerCache};
pub use device::{ChosenDevice, DeviceInfo, DevicePreference, choose_device, choose_devices, devices};
pub use gguf::Setting;
pub use host::{HostRows, is_host};
pub use layers::{
    Norm, NormKind, apply_layer_norm, embedding, export_embedding, export_layer_norm, export_linear,
    export_rms_norm, layer_norm, linear, rms_norm,
};
pub use maps::{LinearMap, Stored, Table, host_values};
pub use memory::free_memory;
pub use params::{Named, ParamSink, Params, WeightPatch, write_safetensors};
pub use rotary::{Llama3Scaling, RopeScaling, Rotary, RotarySettings};
pub use weights::{GGUF_NAME, Sizes, WeightFiles};
pub use write::{Writing, WritingKind, write_streamed};
