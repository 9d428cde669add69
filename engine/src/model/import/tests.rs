use serde_json::json;
use tokenizers::Tokenizer;

use super::*;
use crate::model::{CELL_TYPE_PROMPT, Cell2Text, Guidance, SentenceImport, import_sentence};
use crate::nn::{Named, ParamSink, write_safetensors};
use burn::tensor::Device;

const ENCODER: &str = r#"{"model_type":"bert","hidden_size":32,"num_hidden_layers":2,"num_attention_heads":2,
    "intermediate_size":64,"max_position_embeddings":12,"vocab_size":8}"#;
const DECODER: &str = r#"{"model_type":"llama","hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4,
    "num_key_value_heads":2,"intermediate_size":64,"vocab_size":8,"max_position_embeddings":512,
    "tie_word_embeddings":true,"eos_token_id":1}"#;

/// The parts as publishers would lay them into `root`.
fn lay_out(root: &Path) -> ImportRequest {
    let device = Device::flex();
    let write = |path: &str, bytes: &[u8]| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let tensors = |prefix: &str, export: &dyn Fn(&mut ParamSink)| -> Vec<Named> {
        let mut sink = ParamSink::default();
        export(&mut sink);
        let mut all = sink.into_tensors();
        all.iter_mut().for_each(|t| t.name = format!("{prefix}{}", t.name));
        all
    };
    write("geneformer/config.json", ENCODER.as_bytes());
    let config: EncoderConfig = serde_json::from_str(ENCODER).unwrap();
    let encoder = Encoder::new(&config, &mut Params::random(1, 0.2, &device)).unwrap();
    let all = tensors("", &|sink| encoder.export(sink, true).unwrap());
    write_safetensors(&root.join("geneformer/model.safetensors"), &all, false).unwrap();

    write("llama/config.json", DECODER.as_bytes());
    write("llama/generation_config.json", br#"{"eos_token_id":[1,2]}"#);
    let config: DecoderConfig = serde_json::from_str(DECODER).unwrap();
    let decoder = Decoder::new(&config, &mut Params::random(2, 0.2, &device)).unwrap();
    let all = tensors("", &|sink| decoder.export(sink).unwrap());
    write_safetensors(&root.join("llama/model.safetensors"), &all, false).unwrap();
    let special = |id: u32, text: &str| {
        json!({ "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    let tokenizer = json!({
        "version": "1.0", "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "added_tokens": [special(0, "<s>"), special(1, "</s>"), special(3, "<gene>")],
        "model": { "type": "BPE", "vocab": { "<s>": 0, "</s>": 1, "a": 2, "<gene>": 3, "b": 4, "c": 5 },
                   "merges": [], "unk_token": "a", "fuse_unk": true },
    });
    write("llama/tokenizer.json", tokenizer.to_string().as_bytes());
    let settings = json!({
        "bos_token": "<s>",
        "chat_template": "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}",
    });
    write("llama/tokenizer_config.json", settings.to_string().as_bytes());
    Tokenizer::from_bytes(tokenizer.to_string()).unwrap();

    let config =
        AdapterConfig { kind: AdapterKind::Projection, input_size: 32, hidden_size: 48, output_size: 32 };
    let adapter = Adapter::new(&config, &mut Params::random(3, 0.2, &device)).unwrap();
    std::fs::create_dir_all(root.join("trained/adapter")).unwrap();
    let all = tensors("cell_to_embedding.", &|sink| adapter.export(sink).unwrap());
    write_safetensors(&root.join("trained/model.safetensors"), &all, false).unwrap();
    write("trained/adapter/adapter_config.json", br#"{"peft_type":"LORA","r":1,"lora_alpha":2}"#);
    let name = "base_model.model.llama.model.layers.1.self_attn.q_proj";
    let pair = [("A", [1, 32]), ("B", [32, 1])].map(|(part, shape)| Named {
        name: format!("{name}.lora_{part}.weight"),
        shape: shape.to_vec(),
        values: vec![0.1; 32],
    });
    write_safetensors(&root.join("trained/adapter/adapter_model.safetensors"), &pair, false).unwrap();

    // The tokens <pad>, <mask>, <cls>, <eos> and two genes, and the genes' medians, as pickles.
    let pickle = |entries: &[(&str, u8)]| {
        let mut out = b"\x80\x02}(".to_vec();
        for (name, value) in entries {
            out.push(b'X');
            out.extend((name.len() as u32).to_le_bytes());
            out.extend(name.as_bytes());
            out.extend([b'K', *value]);
        }
        out.extend(b"u.");
        out
    };
    let genes = [("ENSG00000000001", 4), ("ENSG00000000002", 5)];
    let special = [("<pad>", 0), ("<mask>", 1), ("<cls>", 2), ("<eos>", 3)];
    write("tokens.pkl", &pickle(&[&special[..], &genes[..]].concat()));
    write("medians.pkl", &pickle(&genes));
    ImportRequest {
        name: "Small".into(),
        licence: "none".into(),
        encoder: root.join("geneformer"),
        genes: [root.join("tokens.pkl"), root.join("medians.pkl")],
        decoder: root.join("llama"),
        checkpoint: root.join("trained"),
        hidden_state: HiddenState(-2),
        prompt: PromptStyle::Paper,
        placeholder: "<gene>".into(),
        top_k: 4,
        date: "26 Jul 2024".into(),
        out: root.join("bundle"),
    }
}

#[test]
fn published_parts_become_a_bundle_that_loads_and_writes() {
    let root = tempfile::tempdir().unwrap();
    let request = lay_out(root.path());
    let silent = Watch::silent();
    let report = import(&request, &silent).unwrap();
    assert_eq!((report.adapter, report.lora_weights), (AdapterKind::Projection, 1));
    assert!(!report.own_encoder && !report.own_decoder);
    let bundle = Bundle::open(&request.out).unwrap();
    bundle.verify().unwrap();
    assert_eq!(bundle.id(), report.id);
    assert_eq!(bundle.manifest.genes.as_ref().unwrap().kind, TokenKind::V2);
    assert_eq!(bundle.manifest.adapter.as_ref().unwrap().hidden_size, 48);
    let model = Cell2Text::load(&bundle, &Device::flex(), &silent).unwrap();
    assert!(model.decoder_config.eos_token_id.contains(2));
    let settings = crate::model::GenerationSettings { max_new_tokens: 5, ..Default::default() };
    let cell: &[Vec<u32>] = &[vec![2, 4, 5, 3]];
    let mut streamed = String::new();
    let said = model
        .generate(&[cell], &[0], Guidance::default(), &settings, &silent, &mut |piece| {
            streamed.push_str(&piece.text);
        })
        .unwrap();
    assert_eq!(said[0].text, streamed);
    // The same at 8 bits, the adapter merged.
    let small = root.path().join("small");
    crate::model::quantise(&bundle, &small, crate::nn::quant::Bits::Eight, &silent).unwrap();
    assert!(!small.join("decoder/adapter").exists());
    Cell2Text::load(&Bundle::open(&small).unwrap(), &Device::flex(), &silent).unwrap();
}

#[test]
fn what_is_missing_or_does_not_fit_is_named_and_nothing_is_left() {
    let root = tempfile::tempdir().unwrap();
    let request = lay_out(root.path());
    let refused = |change: &dyn Fn(&mut ImportRequest)| {
        let mut request = request.clone();
        change(&mut request);
        import(&request, &Watch::silent()).unwrap_err().to_string()
    };
    let other = |name: &str| root.path().join(name);
    assert!(
        refused(&|r| r.checkpoint = other("geneformer")).contains("cell_to_embedding.projection.0.weight")
    );
    assert!(refused(&|r| r.placeholder = "<none>".into()).contains("prompt.placeholder"));
    assert!(refused(&|r| r.hidden_state = HiddenState(7)).contains("hidden_state"));
    assert!(refused(&|r| r.genes[1] = other("no.pkl")).contains("no.pkl"));
    let wide = ENCODER.replace(r#""intermediate_size":64"#, r#""intermediate_size":65"#);
    std::fs::write(other("geneformer/config.json"), wide).unwrap();
    assert!(
        refused(&|_| {}).contains("bert.encoder.layer.0.intermediate.dense.weight: found shape [64, 32]")
    );
    std::fs::write(other("geneformer/config.json"), ENCODER).unwrap();
    std::fs::remove_file(other("llama/tokenizer_config.json")).unwrap();
    assert!(refused(&|_| {}).contains("chat_template"));
    assert!(!request.out.exists());
}

#[test]
fn a_checkpoint_of_the_whole_model_brings_its_own_parts() {
    let root = tempfile::tempdir().unwrap();
    let request = lay_out(root.path());
    let mut all = Vec::new();
    for (folder, prefix) in
        [("geneformer", "cell_encoder.geneformer_model."), ("trained", ""), ("llama", "decoder.llama.")]
    {
        let files = WeightFiles::open_folder(&root.path().join(folder)).unwrap();
        for name in files.names() {
            let (shape, values) = files.read(name).unwrap();
            all.push(Named { name: format!("{prefix}{name}"), shape, values });
        }
    }
    let whole = root.path().join("whole/model.safetensors");
    std::fs::create_dir_all(whole.parent().unwrap()).unwrap();
    write_safetensors(&whole, &all, false).unwrap();
    let request = ImportRequest { checkpoint: whole, ..request };
    let report = import(&request, &Watch::silent()).unwrap();
    assert!(report.own_encoder && report.own_decoder && report.lora_weights == 0);
    let bundle = Bundle::open(&request.out).unwrap();
    assert!(bundle.files.weights("decoder").unwrap().contains("model.embed_tokens.weight"));
    Cell2Text::load(&bundle, &Device::flex(), &Watch::silent()).unwrap();
}

#[test]
fn a_decoder_alone_becomes_a_bundle_that_reads_sentences() {
    let root = tempfile::tempdir().unwrap();
    let parts = lay_out(root.path());
    std::fs::remove_file(root.path().join("llama/tokenizer_config.json")).unwrap();
    let silent = Watch::silent();
    let request = SentenceImport {
        name: "Sentences".into(),
        licence: "none".into(),
        decoder: parts.decoder,
        genes: 2,
        organism: "Homo sapiens".into(),
        prompt: CELL_TYPE_PROMPT.into(),
        out: root.path().join("sentences"),
    };
    let (id, bytes) = import_sentence(&request, &silent).unwrap();
    let bundle = Bundle::open(&request.out).unwrap();
    bundle.verify().unwrap();
    assert_eq!((bundle.id(), bundle.manifest.weight_folders()), (id, vec!["decoder"]));
    assert!(bytes > 0);
    let model = Cell2Text::load(&bundle, &Device::flex(), &silent).unwrap();
    let crate::model::Input::Sentence(prompter) = &model.input else { panic!("no sentence") };
    let tokens = prompter.tokens("CD3D CD8A", 2).unwrap();
    let settings = crate::model::GenerationSettings { max_new_tokens: 3, ..Default::default() };
    let said = model
        .generate(
            &[std::slice::from_ref(&tokens)],
            &[0],
            Guidance::default(),
            &settings,
            &silent,
            &mut |_| {},
        )
        .unwrap();
    assert!(said[0].tokens.len() <= 3);
    assert_eq!(model.cell_vectors(&[&tokens], &silent).unwrap()[0].len(), 32);
    let wrong = SentenceImport { prompt: "no place".into(), out: root.path().join("other"), ..request };
    assert!(import_sentence(&wrong, &silent).unwrap_err().to_string().contains("{cell_sentence}"));
}
