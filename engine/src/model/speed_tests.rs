//! Figures of speed on random weights of true shapes; run by name, as docs/benchmarks.md says.
//!
//! Each test prints a line for people, and one for `cargo xtask bench models` that begins with `SPEED `. Smaller sizes are set
//! through the environment, to try whether all works.

use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::json;

use super::*;
use crate::nn::Params;
use crate::nn::quant::Bits;
use crate::test_support::say;

/// The number that the environment gives for `name`, or `otherwise`.
pub(super) fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(format!("CELL2TEXT_SPEED_{name}")).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

pub(super) fn llama_1b(layers: usize) -> DecoderConfig {
    serde_json::from_value(json!({
        "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": layers,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 8192,
        "vocab_size": 128_256, "max_position_embeddings": 131_072, "tie_word_embeddings": true,
        "rope_theta": 500_000.0,
    }))
    .unwrap()
}

pub(super) fn geneformer_316m(layers: usize) -> EncoderConfig {
    serde_json::from_value(json!({
        "model_type": "bert", "hidden_size": 1152, "num_hidden_layers": layers,
        "num_attention_heads": 18, "intermediate_size": 4608, "max_position_embeddings": 4096,
        "vocab_size": 20275,
    }))
    .unwrap()
}

fn time_a_decoder(bits: Bits) {
    let device = Device::flex();
    let (prompt, new) = (number("PROMPT", 512), number("NEW", 48));
    let mut params = Params::random(1, 0.02, &device).quantised(bits);
    let decoder = Decoder::new(&llama_1b(number("LAYERS", 16)), &mut params).unwrap();
    let capacity = prompt + new + 16;
    let positions = decoder.positions(capacity);
    let tokens = |n: usize| {
        let ids: Vec<i64> = (0..n as i64).map(|i| i * 97 % 128_000).collect();
        Tensor::<2, Int>::from_data(TensorData::new(ids, [1, n]), &device)
    };
    let mut cache = decoder.new_cache(1, capacity);
    decoder.hidden_cached(decoder.embed(tokens(8)), &positions, &mut cache).unwrap();
    cache.clear();
    let begun = Instant::now();
    let hidden = decoder.hidden_cached(decoder.embed(tokens(prompt)), &positions, &mut cache).unwrap();
    let _: Vec<f32> = decoder.logits(hidden.narrow(1, prompt - 1, 1)).try_into_vec_as().unwrap();
    let read = prompt as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    for _ in 0..new {
        let hidden = decoder.hidden_cached(decoder.embed(tokens(1)), &positions, &mut cache).unwrap();
        let _: Vec<f32> = decoder.logits(hidden).try_into_vec_as().unwrap();
    }
    let written = new as f64 / begun.elapsed().as_secs_f64();
    say(&format!("Llama 1B shape at {bits}: reads {read:.1} tokens/s, writes {written:.1} tokens/s"));
    say(&format!("SPEED {}", json!({ "read_tokens_per_sec": read, "written_tokens_per_sec": written })));
}

#[test]
#[ignore = "takes minutes and 8 GB, and prints figures"]
fn a_decoder_of_llama_1bs_shape_at_4_bits_reads_and_writes_this_fast() {
    time_a_decoder(Bits::Four);
}

#[test]
#[ignore = "takes minutes and 8 GB, and prints figures"]
fn a_decoder_of_llama_1bs_shape_at_8_bits_reads_and_writes_this_fast() {
    time_a_decoder(Bits::Eight);
}

fn time_an_encoder(bits: Option<Bits>) {
    let device = Device::flex();
    let config = geneformer_316m(number("LAYERS", 18));
    let mut params = Params::random(1, 0.02, &device);
    if let Some(bits) = bits {
        params = params.quantised(bits);
    }
    let encoder = Encoder::new(&config, &mut params).unwrap();
    let n = number("GENES", 2048);
    let ids: Vec<i64> = (0..n as i64).map(|i| i * 97 % 20_000).collect();
    let tokens = || Tensor::<2, Int>::from_data(TensorData::new(ids.clone(), [1, n]), &device);
    let once = || {
        let begun = Instant::now();
        // All layers, as the peer runs.
        let hidden = encoder.hidden_state(tokens(), &[n], HiddenState(-1)).unwrap();
        let _: Vec<f32> = hidden.try_into_vec_as().unwrap();
        begun.elapsed().as_secs_f64()
    };
    once();
    let secs = once();
    let bits = bits.map_or("float32".to_owned(), |bits| bits.to_string());
    say(&format!("Geneformer 316M shape at {bits}: {secs:.2} s a cell of {n} genes"));
    say(&format!("SPEED {}", json!({ "cell_secs": secs })));
}

#[test]
#[ignore = "takes minutes, and prints figures"]
fn an_encoder_of_geneformer_316ms_shape_in_full_reads_a_cell_this_fast() {
    time_an_encoder(None);
}

#[test]
#[ignore = "takes minutes, and prints figures"]
fn an_encoder_of_geneformer_316ms_shape_at_8_bits_reads_a_cell_this_fast() {
    time_an_encoder(Some(Bits::Eight));
}

#[test]
#[ignore = "takes minutes, and prints figures"]
fn an_encoder_of_geneformer_316ms_shape_at_4_bits_reads_a_cell_this_fast() {
    time_an_encoder(Some(Bits::Four));
}
