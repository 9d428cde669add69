//! Models whose weights stay in blocks on a GPU compute what they do on the CPU.

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::json;

use super::*;
use crate::nn::quant::Bits;
use crate::nn::{DevicePreference, Params, choose_device};
use crate::test_support::skipped;

fn tokens(ids: std::ops::Range<i64>, device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = ids.map(|i| i * 97 % 331).collect();
    let n = ids.len();
    Tensor::from_data(TensorData::new(ids, [1, n]), device)
}

/// Scores of the last of 21 tokens, then of three more one by one, through the cache.
fn scores(bits: Bits, device: &Device) -> Vec<f32> {
    let config: DecoderConfig = serde_json::from_value(json!({
        "model_type": "llama", "hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 6,
        "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 200, "vocab_size": 331,
        "max_position_embeddings": 64, "tie_word_embeddings": true, "rope_theta": 10_000.0,
    }))
    .unwrap();
    let mut params = Params::random(4, 0.2, device).quantised(bits);
    let decoder = Decoder::new(&config, &mut params).unwrap();
    assert_eq!(decoder.device(), *device);
    let (positions, mut cache) = (decoder.positions(64), decoder.new_cache(1, 64));
    let mut all = Vec::new();
    for ids in [0..21, 21..22, 22..23, 23..24] {
        let n = (ids.end - ids.start) as usize;
        let hidden =
            decoder.hidden_cached(decoder.embed(tokens(ids, device)), &positions, &mut cache).unwrap();
        let logits = decoder.logits(hidden.narrow(1, n - 1, 1));
        all.extend(logits.try_into_vec_as::<f32>().unwrap());
    }
    all
}

#[test]
fn a_decoder_in_blocks_gives_the_same_scores_on_a_gpu_as_on_the_cpu() {
    let device = match choose_device(DevicePreference::Wgpu) {
        Ok(chosen) => chosen.device,
        Err(e) => return skipped(&e.to_string()),
    };
    for bits in [Bits::Eight, Bits::Four] {
        let (cpu, gpu) = (scores(bits, &Device::flex()), scores(bits, &device));
        assert_eq!(cpu.len(), gpu.len());
        let top = cpu.iter().fold(0f32, |top, x| top.max(x.abs()));
        let worst = cpu.iter().zip(&gpu).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        // The CPU brings vectors to 16 bits, the GPU does not.
        assert!(worst < 5e-4 * top, "{bits}: differs by {worst} where the highest is {top}");
    }
}
