//! A GGUF file's tensors under the names, and in the order of rows, that their publishers gave them.
//!
//! The converter of llama.cpp renames tensors, orders the rows of Llama's queries and keys for rotation by neighbours,
//! and adds one to Gemma's norms; all of it is undone here.

use std::collections::BTreeMap;

use super::super::quant::{BLOCK, Bits, Blocks};
use super::{Entry, Gguf, Kind, Setting};

/// A file's tensors by published name.
#[derive(Debug)]
pub(in crate::nn) struct GgufWeights {
    gguf: Gguf,
    by_name: BTreeMap<String, (String, Treatment)>,
}

/// What was done to a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    None,
    /// Rows of this many heads were ordered for rotation by neighbours.
    Turned(usize),
    /// One was added.
    PlusOne,
}

impl GgufWeights {
    /// Reads the list of tensors in `file`.
    ///
    /// # Errors
    /// What was found in place of one, or the kind of model where it is not read here.
    pub(in crate::nn) fn open(file: &[u8]) -> Result<Self, String> {
        let gguf = Gguf::open(file)?;
        let family = match gguf.settings.get("general.architecture") {
            Some(Setting::Text(family)) => family.clone(),
            _ => return Err("no general.architecture".to_owned()),
        };
        if !matches!(family.as_str(), "llama" | "gemma2" | "gemma3") {
            return Err(format!("a model of the kind {family:?}; llama, gemma2 and gemma3 are read"));
        }
        let count = |name: &str| match gguf.settings.get(&format!("{family}.attention.{name}")) {
            Some(Setting::Int(n)) => usize::try_from(*n).ok(),
            _ => None,
        };
        let heads = count("head_count").unwrap_or(1);
        let kv_heads = count("head_count_kv").unwrap_or(heads);
        let mut by_name = BTreeMap::new();
        for own in gguf.tensors.keys() {
            let Some(name) = published(&family, own) else { continue };
            let treatment = match own.rsplit('.').nth(1) {
                Some("attn_q") if family == "llama" => Treatment::Turned(heads),
                Some("attn_k") if family == "llama" => Treatment::Turned(kv_heads),
                Some(part) if family != "llama" && part.ends_with("norm") => Treatment::PlusOne,
                _ => Treatment::None,
            };
            by_name.insert(name, (own.clone(), treatment));
        }
        Ok(Self { gguf, by_name })
    }

    /// Settings of the file.
    pub(in crate::nn) fn settings(&self) -> &BTreeMap<String, Setting> {
        &self.gguf.settings
    }

    /// The factors of rotary frequencies, where the file has some.
    pub(in crate::nn) fn rope_factors(&self, file: &[u8]) -> Option<Vec<f32>> {
        Some(self.gguf.values(file, self.gguf.tensors.get("rope_freqs.weight")?))
    }

    /// Names of all tensors.
    pub(in crate::nn) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The shape of a tensor.
    pub(in crate::nn) fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(&self.entry(name)?.0.shape)
    }

    fn entry(&self, name: &str) -> Option<(&Entry, Treatment)> {
        let (own, treatment) = self.by_name.get(name)?;
        Some((self.gguf.tensors.get(own)?, *treatment))
    }

    /// A tensor as float32, with its shape.
    pub(in crate::nn) fn read(&self, file: &[u8], name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let (entry, treatment) = self.entry(name)?;
        let mut values = self.gguf.values(file, entry);
        match treatment {
            Treatment::None => {}
            Treatment::PlusOne => values.iter_mut().for_each(|v| *v -= 1.0),
            Treatment::Turned(heads) => {
                let columns = entry.shape.last().copied().unwrap_or(1);
                values = turned_back(&values, columns, heads);
            }
        }
        Some((entry.shape.clone(), values))
    }

    /// The bits in which a tensor is computed with, where it is a map in blocks.
    pub(in crate::nn) fn bits(&self, name: &str) -> Option<Bits> {
        let (entry, _) = self.entry(name)?;
        if entry.shape.len() != 2 {
            return None;
        }
        match entry.kind {
            Kind::Q4_0 => Some(Bits::Four),
            Kind::Q8_0 | Kind::Q4K | Kind::Q6K => Some(Bits::Eight),
            Kind::F32 | Kind::F16 | Kind::Bf16 => None,
        }
    }

    /// A tensor whose blocks are those computed with here, as they are.
    pub(in crate::nn) fn blocks(&self, file: &[u8], name: &str) -> Option<Blocks> {
        let (entry, treatment) = self.entry(name)?;
        let bits = match entry.kind {
            Kind::Q8_0 => Bits::Eight,
            Kind::Q4_0 => Bits::Four,
            Kind::Q4K | Kind::Q6K => {
                // These have scales within scales: at 8 bits little of them is lost.
                let (shape, values) = self.read(file, name)?;
                let &[rows, columns] = shape.as_slice() else { return None };
                return Some(Blocks::quantise(&values, rows, columns, Bits::Eight));
            }
            Kind::F32 | Kind::F16 | Kind::Bf16 => return None,
        };
        let &[rows, columns] = entry.shape.as_slice() else { return None };
        let (mut numbers, mut scales) = (Vec::new(), Vec::new());
        for block in self.gguf.bytes(file, entry).chunks_exact(2 + bits.bytes_per_block()) {
            scales.push(u16::from_le_bytes([block[0], block[1]]));
            numbers.extend_from_slice(&block[2..]);
        }
        if let Treatment::Turned(heads) = treatment {
            let per_row = columns / BLOCK;
            numbers = turned_back(&numbers, per_row * bits.bytes_per_block(), heads);
            scales = turned_back(&scales, per_row, heads);
        }
        Blocks::from_parts(rows, columns, bits, numbers, scales)
    }
}

/// Rows in their published order: of each head first those that rotation takes first, then their partners.
fn turned_back<T: Copy>(values: &[T], width: usize, heads: usize) -> Vec<T> {
    let rows: Vec<&[T]> = values.chunks_exact(width.max(1)).collect();
    let per_head = rows.len() / heads.max(1);
    let half = per_head / 2;
    let mut out = Vec::with_capacity(values.len());
    for head in rows.chunks(per_head.max(1)) {
        for part in 0..2 {
            for i in 0..half {
                out.extend_from_slice(head.get(2 * i + part).copied().unwrap_or_default());
            }
        }
    }
    out
}

/// The published name of a tensor of a GGUF file.
fn published(family: &str, own: &str) -> Option<String> {
    let fixed = match own {
        "token_embd.weight" => Some("model.embed_tokens.weight"),
        "output_norm.weight" => Some("model.norm.weight"),
        "output.weight" => Some("lm_head.weight"),
        _ => None,
    };
    if let Some(name) = fixed {
        return Some(name.to_owned());
    }
    let (layer, part) = own.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let gemma = family != "llama";
    let name = match part.strip_suffix(".weight")? {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "post_attention_norm" => "post_attention_layernorm",
        "ffn_norm" if gemma => "pre_feedforward_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "post_ffw_norm" => "post_feedforward_layernorm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{name}.weight"))
}
