//! Checkpoints of a whole model in one file, as Cell2Text's and Prot2Text-V2's published code save them.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::json;

use super::*;
use crate::nn::{Named, ParamSink, Params, WeightFiles, write_safetensors};

fn configs(kind: AdapterKind) -> (EncoderConfig, AdapterConfig, DecoderConfig) {
    let encoder = json!({
        "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 12, "vocab_size": 20,
    });
    let decoder = json!({
        "model_type": "llama", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 24, "vocab_size": 40, "max_position_embeddings": 64,
        "tie_word_embeddings": true,
    });
    let adapter = AdapterConfig { kind, input_size: 16, hidden_size: 24, output_size: 16 };
    (serde_json::from_value(encoder).unwrap(), adapter, serde_json::from_value(decoder).unwrap())
}

/// What the three parts of the model in `params` make of a few tokens.
fn results(kind: AdapterKind, params: &mut dyn FnMut() -> Params<'static>) -> Vec<f32> {
    let (encoder, adapter, decoder) = configs(kind);
    let encoder = Encoder::new(&encoder, &mut params()).unwrap();
    let adapter = Adapter::new(&adapter, &mut params()).unwrap();
    let decoder = Decoder::new(&decoder, &mut params()).unwrap();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(vec![3i64, 7, 11], [1, 3]), &Device::flex());
    let genes = adapter.forward(encoder.hidden_state(tokens, &[3], HiddenState(-2)).unwrap());
    let hidden = decoder.hidden(genes, &decoder.positions(3));
    decoder.logits(hidden).try_into_vec_as().unwrap()
}

fn part(prefix: &str, export: impl Fn(&mut ParamSink) -> crate::Result<()>) -> Vec<Named> {
    let mut sink = ParamSink::default();
    export(&mut sink).unwrap();
    let mut tensors = sink.into_tensors();
    for tensor in &mut tensors {
        tensor.name = format!("{prefix}{}", tensor.name);
    }
    tensors
}

fn write(kind: AdapterKind, prefixes: [&str; 3], path: &Path) {
    let (encoder, adapter, decoder) = configs(kind);
    let device = Device::flex();
    let encoder = Encoder::new(&encoder, &mut Params::random(1, 0.3, &device)).unwrap();
    let adapter = Adapter::new(&adapter, &mut Params::random(2, 0.3, &device)).unwrap();
    let decoder = Decoder::new(&decoder, &mut Params::random(3, 0.3, &device)).unwrap();
    let [of_encoder, of_adapter, of_decoder] = prefixes;
    let mut tensors = part(of_encoder, |sink| encoder.export(sink, true));
    tensors.extend(part(of_adapter, |sink| adapter.export(sink)));
    tensors.extend(part(of_decoder, |sink| decoder.export(sink)));
    write_safetensors(path, &tensors, false).unwrap();
}

#[test]
fn each_part_finds_its_tensors_under_the_prefixes_of_published_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, prefixes) in [
        (AdapterKind::Projection, ["cell_encoder.geneformer_model.", "cell_to_embedding.", "decoder.llama."]),
        (AdapterKind::Prot2text, ["esm_encoder.", "adapter.", "llama_decoder."]),
    ] {
        let read = |prefixes: [&str; 3]| {
            let path = folder.path().join("model.safetensors");
            write(kind, prefixes, &path);
            let files: &'static WeightFiles = Box::leak(Box::new(WeightFiles::open(&[path]).unwrap()));
            results(kind, &mut || Params::from_files(files, "", &Device::flex()))
        };
        let (plain, wrapped) = (read(["", "", ""]), read(prefixes));
        assert_eq!(plain, wrapped, "{kind:?}");
        assert!(plain.iter().all(|v| v.is_finite()) && plain.iter().any(|v| *v != 0.0));
    }
}
