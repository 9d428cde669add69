//! Agreement with Hugging Face transformers, on the CPU and on software Vulkan.

use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::*;
use crate::nn::quant::Bits;
use crate::nn::{DevicePreference, Params, WeightFiles, choose_device};
use crate::test_support::{reference_file, say, skipped};

/// The tolerance of the reference set: share of the largest reference magnitude.
const TOLERANCE: f32 = 2e-4;

struct Reference {
    folder: PathBuf,
    io: WeightFiles,
    raw: Vec<u8>,
}

impl Reference {
    fn open(model: &str) -> Option<Self> {
        let io_path = reference_file(&format!("models/{model}/io.safetensors"))?;
        let folder = io_path.parent().unwrap().to_path_buf();
        let raw = std::fs::read(&io_path).unwrap();
        Some(Self { folder, io: WeightFiles::open(&[io_path]).unwrap(), raw })
    }

    fn ints(&self, name: &str) -> (Vec<usize>, Vec<i64>) {
        let tensors = safetensors::SafeTensors::deserialize(&self.raw).unwrap();
        let view = tensors.tensor(name).unwrap();
        let values = view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect();
        (view.shape().to_vec(), values)
    }

    fn tokens(&self, name: &str, device: &Device) -> Tensor<2, Int> {
        let (shape, values) = self.ints(name);
        Tensor::from_data(TensorData::new(values, [shape[0], shape[1]]), device)
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.io.read(name).unwrap().1
    }

    fn config<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&std::fs::read(self.folder.join("config.json")).unwrap()).unwrap()
    }
}

/// The CPU, and wgpu where an adapter is there.
fn test_devices() -> Vec<(String, Device)> {
    let mut all = vec![("cpu".to_owned(), Device::flex())];
    match choose_device(DevicePreference::Wgpu) {
        Ok(chosen) => all.push((chosen.name, chosen.device)),
        Err(e) => skipped(&format!("on wgpu: {e}")),
    }
    all
}

fn assert_close(what: &str, got: &[f32], expected: &[f32], counts: impl Fn(usize) -> bool) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let top = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    let worst = got
        .iter()
        .zip(expected)
        .enumerate()
        .filter(|(i, _)| counts(*i))
        .map(|(_, (a, b))| (a - b).abs())
        .fold(0f32, f32::max);
    assert!(worst <= TOLERANCE * top, "{what}: differs by {worst}, allowed {}", TOLERANCE * top);
}

#[test]
fn reference_geneformer_hidden_states_and_logits_agree_with_transformers() {
    let Some(reference) = Reference::open("geneformer") else { return };
    let config: EncoderConfig = reference.config();
    let weights = WeightFiles::open_folder(&reference.folder).unwrap();
    let (shape, mask) = reference.ints("attention_mask");
    let lengths: Vec<usize> = mask.chunks(shape[1]).map(|row| row.iter().sum::<i64>() as usize).collect();
    for (name, device) in test_devices() {
        let encoder = Encoder::new(&config, &mut Params::from_files(&weights, "", &device)).unwrap();
        let tokens = reference.tokens("input_ids", &device);
        let states = encoder.hidden_states(tokens.clone(), &lengths);
        assert_eq!(states.len(), config.num_hidden_layers + 1);
        for (k, state) in states.iter().enumerate() {
            let width = config.hidden_size;
            let got: Vec<f32> = state.try_to_vec_as().unwrap();
            let expected = reference.floats(&format!("hidden_{k}"));
            assert_close(&format!("{name}, hidden_{k}"), &got, &expected, |i| mask[i / width] == 1);
            let one = encoder.hidden_state(tokens.clone(), &lengths, HiddenState(k as i32)).unwrap();
            assert_eq!(one.try_into_vec_as::<f32>().unwrap(), got, "{name}: state {k} asked for alone");
        }
        let logits: Vec<f32> =
            encoder.masked_gene_logits(states.last().unwrap().clone()).unwrap().try_into_vec_as().unwrap();
        assert_close(&format!("{name}, logits"), &logits, &reference.floats("logits"), |i| {
            mask[i / config.vocab_size] == 1
        });
    }
}

/// BERT and RoBERTa as saved alone, without a head and with no name of their own before those of their tensors.
#[test]
fn reference_bert_and_roberta_hidden_states_agree_with_transformers() {
    for model in ["bert", "roberta"] {
        let Some(reference) = Reference::open(model) else { return };
        let config: EncoderConfig = reference.config();
        let weights = WeightFiles::open_folder(&reference.folder).unwrap();
        let (shape, mask) = reference.ints("attention_mask");
        let lengths: Vec<usize> = mask.chunks(shape[1]).map(|row| row.iter().sum::<i64>() as usize).collect();
        for (name, device) in devices_of(model) {
            let encoder = Encoder::new(&config, &mut Params::from_files(&weights, "", &device)).unwrap();
            let states = encoder.hidden_states(reference.tokens("input_ids", &device), &lengths);
            for (k, state) in states.iter().enumerate() {
                let width = config.hidden_size;
                let got: Vec<f32> = state.try_to_vec_as().unwrap();
                let expected = reference.floats(&format!("hidden_{k}"));
                assert_close(&format!("{name}, {model}, hidden_{k}"), &got, &expected, |i| {
                    mask[i / width] == 1
                });
            }
        }
    }
}

#[test]
fn reference_geneformers_second_to_last_state_is_minus_two() {
    assert_eq!(HiddenState(-2).layers_to_run(18).unwrap(), 17);
    assert_eq!(HiddenState(-1).layers_to_run(18).unwrap(), 18);
    assert_eq!(HiddenState(0).layers_to_run(18).unwrap(), 0);
    assert!(HiddenState(19).layers_to_run(18).is_err());
    assert!(HiddenState(-20).layers_to_run(18).is_err());
}

/// Every family of decoders.
const DECODERS: [&str; 5] = ["llama", "gemma3", "gemma2", "gpt_neox", "gpt2"];

/// The devices that `model` is computed on: all for Llama; the CPU alone for the others, whose operators are the same, for
/// software Vulkan compiles each anew for every shape.
fn devices_of(model: &str) -> Vec<(String, Device)> {
    let mut all = test_devices();
    all.truncate(if model == "llama" { all.len() } else { 1 });
    all
}

#[test]
fn reference_decoders_logits_agree_with_transformers_for_words_and_for_spliced_vectors() {
    for model in DECODERS {
        let Some(reference) = Reference::open(model) else { return };
        let config: DecoderConfig = reference.config();
        let weights = WeightFiles::open_folder(&reference.folder).unwrap();
        for (name, device) in devices_of(model) {
            let what = |part: &str| format!("{model} on {name}, {part}");
            let decoder = Decoder::new(&config, &mut Params::from_files(&weights, "", &device)).unwrap();
            let positions = decoder.positions(64);
            let words = decoder.embed(reference.tokens("input_ids", &device));
            let logits: Vec<f32> =
                decoder.logits(decoder.hidden(words, &positions)).try_into_vec_as().unwrap();
            assert_close(&what("logits"), &logits, &reference.floats("logits"), |_| true);
            let (shape, vectors) = reference.io.read("inputs_embeds").unwrap();
            let vectors =
                Tensor::<3>::from_data(TensorData::new(vectors, [shape[0], shape[1], shape[2]]), &device);
            let expected = reference.floats("logits_embeds");
            let logits: Vec<f32> =
                decoder.logits(decoder.hidden(vectors.clone(), &positions)).try_into_vec_as().unwrap();
            assert_close(&what("logits_embeds"), &logits, &expected, |_| true);
            // The same, read through the cache in three pieces.
            let mut cache = decoder.new_cache(1, shape[1]);
            let mut pieces = Vec::new();
            for (from, n) in [(0, 5), (5, 1), (6, shape[1] - 6)] {
                let hidden = decoder
                    .hidden_cached(vectors.clone().narrow(1, from, n), &positions, &mut cache)
                    .unwrap();
                pieces.push(decoder.logits(hidden));
            }
            let logits: Vec<f32> = Tensor::cat(pieces, 1).try_into_vec_as().unwrap();
            assert_close(&what("logits_embeds by pieces"), &logits, &expected, |_| true);
            let full = decoder.hidden_cached(vectors.narrow(1, 0, 1), &positions, &mut cache);
            assert!(full.is_err(), "a full cache says so");
        }
    }
}

/// Greedy tokens after `prompt`, one at a time through `cache`, until there are `len` in all.
fn greedy(decoder: &Decoder, cache: &mut crate::nn::KvCache, prompt: &[i64], len: usize) -> Vec<i64> {
    let device = decoder.device();
    let positions = decoder.positions(len);
    let (mut tokens, mut next) = (prompt.to_vec(), prompt.to_vec());
    while tokens.len() < len {
        let n = next.len();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(next, [1, n]), &device);
        let hidden = decoder.hidden_cached(decoder.embed(ids), &positions, cache).unwrap();
        let logits: Vec<f32> = decoder.logits(hidden.narrow(1, n - 1, 1)).try_into_vec_as().unwrap();
        let token = i64::from(Sampler::new(&Default::default(), 0).choose(&logits).token);
        tokens.push(token);
        next = vec![token];
    }
    tokens
}

#[test]
fn reference_decoders_greedy_tokens_agree_with_transformers_token_by_token_through_the_cache() {
    for model in DECODERS {
        let Some(reference) = Reference::open(model) else { return };
        let config: DecoderConfig = reference.config();
        let weights = WeightFiles::open_folder(&reference.folder).unwrap();
        let (_, expected) = reference.ints("greedy");
        let (_, prompt) = reference.ints("input_ids");
        for (name, device) in devices_of(model) {
            let decoder = Decoder::new(&config, &mut Params::from_files(&weights, "", &device)).unwrap();
            let mut cache = decoder.new_cache(1, expected.len());
            // Twice through one cache: what the first text left behind must not show in the second.
            for round in 0..2 {
                cache.clear();
                let tokens = greedy(&decoder, &mut cache, &prompt, expected.len());
                assert_eq!(tokens, expected, "{model} on {name}, round {round}");
            }
        }
    }
}

#[test]
fn reference_decoders_are_written_under_the_names_and_with_the_values_they_were_read_from() {
    for model in DECODERS {
        let Some(reference) = Reference::open(model) else { return };
        let config: DecoderConfig = reference.config();
        let weights = WeightFiles::open_folder(&reference.folder).unwrap();
        let decoder = Decoder::new(&config, &mut Params::from_files(&weights, "", &Device::flex())).unwrap();
        let mut sink = crate::nn::ParamSink::default();
        decoder.export(&mut sink).unwrap();
        let written = sink.into_tensors();
        assert_eq!(written.len(), weights.names().count(), "{model}");
        for tensor in written {
            let (shape, values) = weights.read(&tensor.name).unwrap();
            assert_eq!(shape, tensor.shape, "{model}: {}", tensor.name);
            let worst = values.iter().zip(&tensor.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-6, "{model}: {}: {worst}", tensor.name);
        }
    }
}

/// The cosine between the scores of the last position.
fn cosine_at_the_end(got: &[f32], expected: &[f32], vocab: usize) -> f64 {
    let end = |x: &[f32]| x[x.len() - vocab..].iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    let (a, b) = (end(got), end(expected));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

#[test]
fn reference_models_in_few_bits_keep_to_the_direction_of_their_scores() {
    for (bits, least) in [(Bits::Eight, 0.999), (Bits::Four, 0.92)] {
        for model in DECODERS {
            let Some(reference) = Reference::open(model) else { return };
            let config: DecoderConfig = reference.config();
            let weights = WeightFiles::open_folder(&reference.folder).unwrap();
            for (name, device) in devices_of(model) {
                let mut params = Params::from_files(&weights, "", &device).quantised(bits);
                let decoder = Decoder::new(&config, &mut params).unwrap();
                let words = decoder.embed(reference.tokens("input_ids", &device));
                let logits: Vec<f32> =
                    decoder.logits(decoder.hidden(words, &decoder.positions(64))).try_into_vec_as().unwrap();
                let cosine = cosine_at_the_end(&logits, &reference.floats("logits"), config.vocab_size);
                say(&format!("{model} at {bits}, {name}: {cosine:.5}"));
                assert!(cosine >= least, "{model} at {bits}, {name}: {cosine}");
            }
        }
        let Some(reference) = Reference::open("geneformer") else { return };
        let config: EncoderConfig = reference.config();
        let weights = WeightFiles::open_folder(&reference.folder).unwrap();
        let (shape, mask) = reference.ints("attention_mask");
        let lengths: Vec<usize> = mask.chunks(shape[1]).map(|row| row.iter().sum::<i64>() as usize).collect();
        for (name, device) in test_devices() {
            let mut params = Params::from_files(&weights, "", &device).quantised(bits);
            let encoder = Encoder::new(&config, &mut params).unwrap();
            let states = encoder.hidden_states(reference.tokens("input_ids", &device), &lengths);
            let last: Vec<f32> = states.last().unwrap().try_to_vec_as().unwrap();
            let expected = reference.floats(&format!("hidden_{}", config.num_hidden_layers));
            // The last position of the first row, which is as long as all.
            let row = shape[1] * config.hidden_size;
            let cosine = cosine_at_the_end(&last[..row], &expected[..row], config.hidden_size);
            say(&format!("geneformer at {bits}, {name}: {cosine:.5}"));
            assert!(cosine >= least, "geneformer at {bits}, {name}: {cosine}");
        }
    }
}

#[test]
fn reference_llama_with_a_lora_adapter_agrees_with_peft() {
    let (Some(base), Some(reference)) = (Reference::open("llama"), Reference::open("llama_lora")) else {
        return;
    };
    let config: DecoderConfig = base.config();
    let weights = WeightFiles::open_folder(&base.folder).unwrap();
    let lora = Lora::open(&reference.folder).unwrap();
    lora.check_fits(&weights).unwrap();
    // Queries, keys, values and outputs of each layer.
    assert_eq!(lora.len(), 4 * config.num_hidden_layers);
    for (name, device) in test_devices() {
        let logits = |params: Params<'_>| -> Vec<f32> {
            let decoder = Decoder::new(&config, &mut { params }).unwrap();
            let words = decoder.embed(reference.tokens("input_ids", &device));
            decoder.logits(decoder.hidden(words, &decoder.positions(64))).try_into_vec_as().unwrap()
        };
        let plain = Params::from_files(&weights, "", &device);
        let adapted = logits(Params::from_files(&weights, "", &device).patched(&lora));
        assert_close(&format!("{name}, logits"), &adapted, &reference.floats("logits"), |_| true);
        let without = logits(plain);
        assert!(
            adapted.iter().zip(&without).any(|(a, b)| (a - b).abs() > 0.01),
            "the adapter changes something"
        );
    }
}
