use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::*;
use crate::model::Decoder;
use crate::nn::{ParamSink, Params};

/// Writes GGUF files, for tests alone.
#[derive(Default)]
struct Writer {
    settings: Vec<u8>,
    n_settings: u64,
    tensors: Vec<(String, Vec<usize>, u32, Vec<u8>)>,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl Writer {
    fn setting(&mut self, name: &str, kind: u32, value: &[u8]) {
        text(&mut self.settings, name);
        self.settings.extend(kind.to_le_bytes());
        self.settings.extend(value);
        self.n_settings += 1;
    }

    fn int(&mut self, name: &str, value: u32) {
        self.setting(name, 4, &value.to_le_bytes());
    }

    fn text(&mut self, name: &str, value: &str) {
        let mut bytes = Vec::new();
        text(&mut bytes, value);
        self.setting(name, 8, &bytes);
    }

    fn list(&mut self, name: &str, kind: u32, n: usize, items: &[u8]) {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend((n as u64).to_le_bytes());
        bytes.extend(items);
        self.setting(name, 9, &bytes);
    }

    fn texts(&mut self, name: &str, texts: &[&str]) {
        let mut bytes = Vec::new();
        texts.iter().for_each(|item| text(&mut bytes, item));
        self.list(name, 8, texts.len(), &bytes);
    }

    fn write(&self, path: &Path) {
        let mut out = b"GGUF\x03\x00\x00\x00".to_vec();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend(self.n_settings.to_le_bytes());
        out.extend(&self.settings);
        let mut at = 0u64;
        for (name, shape, kind, bytes) in &self.tensors {
            text(&mut out, name);
            out.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|&n| out.extend((n as u64).to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(at.to_le_bytes());
            at += bytes.len().next_multiple_of(32) as u64;
        }
        out.resize(out.len().next_multiple_of(32), 0);
        for (_, _, _, bytes) in &self.tensors {
            out.extend(bytes);
            out.resize(out.len().next_multiple_of(32), 0);
        }
        std::fs::write(path, out).unwrap();
    }
}

/// As the converter orders the rows of queries and keys: partners of a rotation beside each other.
fn turned(values: &[f32], rows: usize, columns: usize, heads: usize) -> Vec<f32> {
    let per_head = rows / heads;
    let mut out = vec![0.0; values.len()];
    for head in 0..heads {
        for i in 0..per_head / 2 {
            for part in 0..2 {
                let from = head * per_head + part * per_head / 2 + i;
                let to = head * per_head + 2 * i + part;
                out[to * columns..(to + 1) * columns]
                    .copy_from_slice(&values[from * columns..(from + 1) * columns]);
            }
        }
    }
    out
}

const TOKENS: [&str; 8] = ["<s>", "</s>", "a", "b", "ab", "Ġ", "Ġab", "c"];

fn settings(writer: &mut Writer) {
    writer.text("general.architecture", "llama");
    for (name, value) in [
        ("embedding_length", 32),
        ("block_count", 2),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("feed_forward_length", 64),
        ("context_length", 64),
    ] {
        writer.int(&format!("llama.{name}"), value);
    }
    writer.setting("llama.rope.freq_base", 6, &10_000f32.to_le_bytes());
    writer.text("tokenizer.ggml.model", "gpt2");
    writer.text("tokenizer.ggml.pre", "llama-bpe");
    writer.texts("tokenizer.ggml.tokens", &TOKENS);
    writer.texts("tokenizer.ggml.merges", &["a b", "Ġ ab"]);
    let kinds: Vec<u8> = [3i32, 3, 1, 1, 1, 1, 1, 1].iter().flat_map(|k| k.to_le_bytes()).collect();
    writer.list("tokenizer.ggml.token_type", 5, TOKENS.len(), &kinds);
    writer.int("tokenizer.ggml.bos_token_id", 0);
    writer.int("tokenizer.ggml.eos_token_id", 1);
    writer.text("tokenizer.chat_template", "{{ bos_token }}{{ messages[0].content }}");
}

#[test]
fn a_llama_in_a_gguf_file_computes_what_its_safetensors_do() {
    let mut writer = Writer::default();
    settings(&mut writer);
    let config: DecoderConfig = serde_json::from_value(json!({
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 64, "vocab_size": 8, "max_position_embeddings": 64, "tie_word_embeddings": true,
    }))
    .unwrap();
    let device = Device::flex();
    let decoder = Decoder::new(&config, &mut Params::random(5, 0.3, &device)).unwrap();
    let mut sink = ParamSink::default();
    decoder.export(&mut sink).unwrap();
    for tensor in sink.into_tensors() {
        let mut name = tensor.name.replace("model.layers.", "blk.");
        for (from, to) in [
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.o_proj", "attn_output"),
            ("post_attention_layernorm", "ffn_norm"),
            ("input_layernorm", "attn_norm"),
            ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
            ("model.embed_tokens", "token_embd"),
            ("model.norm", "output_norm"),
        ] {
            name = name.replace(from, to);
        }
        let heads = if name.contains("attn_q") { 4 } else { 2 };
        let values = match tensor.shape.as_slice() {
            &[rows, columns] if name.contains("attn_q") || name.contains("attn_k") => {
                turned(&tensor.values, rows, columns, heads)
            }
            _ => tensor.values,
        };
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        writer.tensors.push((name, tensor.shape, 0, bytes));
    }
    let folder = tempfile::tempdir().unwrap();
    writer.write(&folder.path().join("model.gguf"));
    let weights = WeightFiles::open_folder(folder.path()).unwrap();
    let read = GgufDecoder::read(&weights).unwrap().unwrap();
    assert_eq!(read.config.head_width(), 8);
    assert!(read.config.tie_word_embeddings && read.config.eos_token_id.contains(1));
    let again = Decoder::new(&read.config, &mut Params::from_files(&weights, "", &device)).unwrap();
    let logits = |decoder: &Decoder| -> Vec<f32> {
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(vec![0i64, 4, 7, 2], [1, 4]), &device);
        decoder
            .logits(decoder.hidden(decoder.embed(tokens), &decoder.positions(4)))
            .try_into_vec_as()
            .unwrap()
    };
    let (a, b) = (logits(&decoder), logits(&again));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");

    assert_eq!(read.first_token, "<s>");
    assert_eq!(read.chat_template.as_deref(), Some("{{ bos_token }}{{ messages[0].content }}"));
    assert_eq!(read.tokenizer.encode("<s>ab abc</s>").unwrap(), [0, 4, 6, 7, 1]);
    assert_eq!(read.tokenizer.decode(&[0, 4, 6, 7, 1]), "ab abc");
}

#[test]
fn a_sentencepiece_vocabulary_merges_by_its_scores() {
    let tokens: Vec<String> = ["<unk>", "▁", "a", "b", "ab", "▁a"].map(str::to_owned).to_vec();
    let merges = merges_of(&tokens, &[0.0, -1.0, -2.0, -3.0, -10.0, -9.0]);
    assert_eq!(merges, [json!(["▁", "a"]), json!(["a", "b"])]);
    let mut own = Settings::new();
    own.insert("tokenizer.ggml.model".into(), Setting::Text("llama".into()));
    own.insert("tokenizer.ggml.scores".into(), Setting::Numbers(vec![0.0, -1.0, -2.0, -3.0, -10.0, -9.0]));
    own.insert("tokenizer.ggml.unknown_token_id".into(), Setting::Int(0));
    own.insert("tokenizer.ggml.add_space_prefix".into(), Setting::Bool(false));
    let json = tokenizer(&own, &tokens).unwrap().to_string();
    let tokenizer = TextTokenizer::from_json(json.as_bytes()).unwrap();
    assert_eq!(tokenizer.encode("ab ab").unwrap(), [4, 5, 3]);
    assert_eq!(tokenizer.decode(&[4, 5, 3]), "ab ab");
}

#[test]
fn what_the_file_does_not_say_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::default();
    writer.text("general.architecture", "llama");
    writer.write(&folder.path().join("model.gguf"));
    let weights = WeightFiles::open_folder(folder.path()).unwrap();
    let message = GgufDecoder::read(&weights).unwrap_err().to_string();
    assert!(message.contains("llama.attention.head_count"), "{message}");
    let mut other = Writer::default();
    other.text("general.architecture", "mamba");
    other.write(&folder.path().join("model.gguf"));
    assert!(WeightFiles::open_folder(folder.path()).unwrap_err().to_string().contains("mamba"));
}
