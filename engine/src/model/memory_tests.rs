//! How much memory models of true shapes take that are loaded from files at 4 bits; run by name, as docs/benchmarks.md says.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::json;

use super::quantise::kind_of;
use super::speed_tests::{geneformer_316m, llama_1b, number};
use super::*;
use crate::nn::quant::Bits;
use crate::nn::{Params, WeightFiles, Writing, write_streamed};
use crate::test_support::{say, skipped};

/// The folder that the models lie in, or go to.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("CELL2TEXT_SPEED_MODELS").map(PathBuf::from);
    if folder.is_none() {
        skipped("CELL2TEXT_SPEED_MODELS names no folder");
    }
    folder
}

fn encoder() -> EncoderConfig {
    geneformer_316m(number("ENCODER_LAYERS", 18))
}

fn decoder() -> DecoderConfig {
    llama_1b(number("DECODER_LAYERS", 16))
}

/// Writes tensors of these names and shapes, filled with numbers that follow no order.
fn write(folder: &Path, tensors: Vec<(String, Vec<usize>)>) {
    std::fs::create_dir_all(folder).unwrap();
    let plan: Vec<Writing> = tensors
        .into_iter()
        .map(|(name, shape)| Writing { kind: kind_of(&name, &shape, Bits::Four), name, shape })
        .collect();
    let sizes: std::collections::BTreeMap<String, usize> =
        plan.iter().map(|tensor| (tensor.name.clone(), tensor.shape.iter().product())).collect();
    let mut state = 1u32;
    write_streamed(&folder.join("model.safetensors"), &plan, |name| {
        let numbers = (0..sizes[name]).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 * 0.07 - 0.035
        });
        Ok(numbers.collect())
    })
    .unwrap();
}

#[test]
#[ignore = "writes 1 GB; the figures of memory are taken from it"]
fn both_models_at_4_bits_are_written() {
    let Some(folder) = folder() else { return };
    let (config, mut tensors) = (encoder(), Vec::new());
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let mut add = |name: String, shape: &[usize]| tensors.push((name, shape.to_vec()));
    add("bert.embeddings.word_embeddings.weight".to_owned(), &[config.vocab_size, width]);
    add("bert.embeddings.position_embeddings.weight".to_owned(), &[config.max_position_embeddings, width]);
    add("bert.embeddings.token_type_embeddings.weight".to_owned(), &[2, width]);
    let mut norms = vec!["bert.embeddings.LayerNorm".to_owned()];
    for i in 0..config.num_hidden_layers {
        let layer = format!("bert.encoder.layer.{i}");
        for (name, shape) in [
            ("attention.self.query", [width, width]),
            ("attention.self.key", [width, width]),
            ("attention.self.value", [width, width]),
            ("attention.output.dense", [width, width]),
            ("intermediate.dense", [inner, width]),
            ("output.dense", [width, inner]),
        ] {
            add(format!("{layer}.{name}.weight"), &shape);
            add(format!("{layer}.{name}.bias"), &shape[..1]);
        }
        norms
            .extend(["attention.output.LayerNorm", "output.LayerNorm"].map(|name| format!("{layer}.{name}")));
    }
    for norm in norms {
        add(format!("{norm}.weight"), &[width]);
        add(format!("{norm}.bias"), &[width]);
    }
    write(&folder.join("encoder"), tensors);
    let (config, mut tensors) = (decoder(), Vec::new());
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let keys = config.num_key_value_heads * config.head_width();
    let mut add = |name: String, shape: &[usize]| tensors.push((name, shape.to_vec()));
    add("model.embed_tokens.weight".to_owned(), &[config.vocab_size, width]);
    add("model.norm.weight".to_owned(), &[width]);
    for i in 0..config.num_hidden_layers {
        for (name, shape) in [
            ("self_attn.q_proj", vec![width, width]),
            ("self_attn.k_proj", vec![keys, width]),
            ("self_attn.v_proj", vec![keys, width]),
            ("self_attn.o_proj", vec![width, width]),
            ("mlp.gate_proj", vec![inner, width]),
            ("mlp.up_proj", vec![inner, width]),
            ("mlp.down_proj", vec![width, inner]),
            ("input_layernorm", vec![width]),
            ("post_attention_layernorm", vec![width]),
        ] {
            add(format!("model.layers.{i}.{name}.weight"), &shape);
        }
    }
    write(&folder.join("decoder"), tensors);
    say("SPEED {}");
}

#[test]
#[ignore = "needs what the test before writes, and prints figures"]
fn both_models_at_4_bits_take_this_much_memory() {
    let Some(folder) = folder() else { return };
    let device = Device::flex();
    let decoder = {
        let files = WeightFiles::open_folder(&folder.join("decoder")).unwrap();
        Decoder::new(&decoder(), &mut Params::from_files(&files, "", &device)).unwrap()
    };
    let encoder = {
        let files = WeightFiles::open_folder(&folder.join("encoder")).unwrap();
        Encoder::new(&encoder(), &mut Params::from_files(&files, "", &device)).unwrap()
    };
    let loaded = peak_bytes();
    let tokens = |n: usize| {
        let ids: Vec<i64> = (0..n as i64).map(|i| i * 97 % 20_000).collect();
        Tensor::<2, Int>::from_data(TensorData::new(ids, [1, n]), &device)
    };
    let (genes, prompt, new) = (number("GENES", 2048), number("PROMPT", 512), number("NEW", 48));
    let hidden = encoder.hidden_state(tokens(genes), &[genes], HiddenState(-2)).unwrap();
    let top: f32 = hidden.abs().max().into_scalar();
    assert!(top.is_finite());
    let (positions, mut cache) = (decoder.positions(prompt + new), decoder.new_cache(1, prompt + new));
    for n in std::iter::once(prompt).chain(std::iter::repeat_n(1, new)) {
        let hidden = decoder.hidden_cached(decoder.embed(tokens(n)), &positions, &mut cache).unwrap();
        let logits: Vec<f32> = decoder.logits(hidden.narrow(1, n - 1, 1)).try_into_vec_as().unwrap();
        assert!(logits.iter().all(|x| x.is_finite()));
    }
    let (Some(loaded), Some(peak)) = (loaded, peak_bytes()) else {
        return skipped("this system does not tell how much memory a process took");
    };
    say(&format!(
        "Geneformer 316M and Llama 1B shapes at 4 bits: {:.2} GB at most, {:.2} GB of it once loaded",
        peak as f64 / 1e9,
        loaded as f64 / 1e9
    ));
    say(&format!("SPEED {}", json!({ "peak_bytes": peak })));
}

/// The most memory that this process had so far, in bytes, where the system tells.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
