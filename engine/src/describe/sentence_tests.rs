//! Cells described by a model that reads cell sentences: a decoder that says one thing, whatever it is shown.

use burn::tensor::Device;
use serde_json::json;

use super::*;
use crate::anndata::{Scale, SparseRow};
use crate::genes::GeneTable;
use crate::model::{CELL_TYPE_PROMPT, Decoder, DecoderConfig, SentenceImport, import_sentence};
use crate::nn::{DevicePreference, ParamSink, Params, write_safetensors};
use crate::progress::Watch;

/// Says `name` and a full stop after any prompt: no layer adds anything, and each token leads to the next.
fn decoder_that_says(name: &str, folder: &std::path::Path) {
    let config = json!({
        "model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "intermediate_size": 32, "vocab_size": 5, "max_position_embeddings": 400,
        "tie_word_embeddings": false, "eos_token_id": 1,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let config: DecoderConfig = serde_json::from_value(config).unwrap();
    let decoder = Decoder::new(&config, &mut Params::random(1, 0.2, &Device::flex())).unwrap();
    let mut sink = ParamSink::default();
    decoder.export(&mut sink).unwrap();
    let mut tensors = sink.into_tensors();
    for tensor in &mut tensors {
        let row_of = |tensor: &mut crate::nn::Named, row: usize, column: usize, value: f32| {
            tensor.values[row * 32 + column] = value;
        };
        if tensor.name.ends_with("o_proj.weight") || tensor.name.ends_with("down_proj.weight") {
            tensor.values.fill(0.0);
        } else if tensor.name.ends_with("embed_tokens.weight") {
            tensor.values.fill(0.0);
            (0..5).for_each(|token| row_of(tensor, token, token, 1.0));
        } else if tensor.name == "lm_head.weight" {
            tensor.values.fill(0.0);
            // Whatever stood in the prompt is followed by the name, that by the full stop, that by the end.
            [(3, 2), (4, 3), (1, 4)].into_iter().for_each(|(next, last)| row_of(tensor, next, last, 10.0));
        }
    }
    write_safetensors(&folder.join("model.safetensors"), &tensors, false).unwrap();
    let special = |id: u32, text: &str| {
        json!({ "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    let tokenizer = json!({
        "version": "1.0", "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "added_tokens": [special(0, "<s>"), special(1, "</s>")],
        "model": { "type": "BPE", "vocab": { "<s>": 0, "</s>": 1, "?": 2, name: 3, ".": 4 }, "merges": [],
                   "unk_token": "?", "fuse_unk": true },
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

struct Asked {
    describer: Describer,
    reader: CellReader,
    symbols: Vec<String>,
}

/// A model that says `name`, reading at most `genes` of five genes.
fn asked(name: &str, genes: usize) -> Asked {
    let folder = tempfile::tempdir().unwrap();
    decoder_that_says(name, folder.path());
    let request = SentenceImport {
        name: "Sentences".into(),
        licence: "none".into(),
        decoder: folder.path().to_path_buf(),
        genes,
        organism: "Homo sapiens".into(),
        prompt: CELL_TYPE_PROMPT.into(),
        out: folder.path().join("bundle"),
    };
    import_sentence(&request, &Watch::silent()).unwrap();
    let describer = Describer::load(Some(&request.out), DevicePreference::Cpu, &Watch::silent()).unwrap();
    let symbols: Vec<String> =
        ["GNLY", "NKG7", "CD79A", "LYZ", "PRF1"].iter().map(|s| (*s).to_owned()).collect();
    let table = GeneTable::builtin().unwrap();
    let ids: Vec<Option<&str>> =
        symbols.iter().map(|s| table.resolve(s).map(|(gene, _)| table.ensembl_id(gene))).collect();
    assert!(ids.iter().all(Option::is_some));
    let reader = describer.bind(&ids, &symbols, Scale::Counts).unwrap();
    Asked { describer, reader, symbols }
}

fn natural_killer_cell() -> SparseRow {
    SparseRow { columns: vec![0, 1, 3, 4], values: vec![9.0, 12.0, 1.0, 4.0] }
}

fn describe(asked: &Asked, row: &SparseRow) -> (Description, String) {
    let mut streamed = String::new();
    let settings = GenerationSettings::default();
    let description = asked
        .describer
        .describe(&asked.reader, 7, row, &settings, &Watch::silent(), &mut |piece| streamed.push_str(piece))
        .unwrap();
    (description, streamed)
}

#[test]
fn a_model_that_reads_sentences_claims_a_cell_type_with_its_term_and_its_genes() {
    let asked = asked("natural killer cell", 3);
    let (description, streamed) = describe(&asked, &natural_killer_cell());
    assert_eq!(
        (description.text.as_str(), streamed.as_str()),
        ("natural killer cell.", "natural killer cell.")
    );
    assert!(description.well_formed);
    assert_eq!((description.n_genes_read, asked.reader.known_columns()), (3, asked.symbols.len()));
    let [claim] = description.claims.as_slice() else { panic!("{description:?}") };
    assert_eq!((claim.kind, claim.value.as_str()), (ClaimKind::CellType, "natural killer cell"));
    assert_eq!(claim.term.as_deref(), Some("CL:0000623"));
    assert!(claim.probability > 0.99, "{}", claim.probability);
    // The genes of natural killer cells that ship with the program speak for it, the highest in the cell first.
    let genes: Vec<(&str, usize)> = claim.evidence.iter().map(|g| (g.symbol.as_str(), g.rank)).collect();
    assert!(genes.contains(&("NKG7", 1)) && genes.contains(&("GNLY", 2)), "{genes:?}");
    // The same in a batch.
    let rows = [(7, natural_killer_cell()), (8, natural_killer_cell())];
    let settings = GenerationSettings::default();
    let batch = asked.describer.describe_batch(&asked.reader, &rows, &settings, &Watch::silent()).unwrap();
    assert_eq!((batch[0].text.clone(), batch[1].cell), (description.text, 8));
    let vectors = asked.describer.embed_batch(&asked.reader, &rows, &Watch::silent()).unwrap();
    assert_eq!(vectors.iter().map(Vec::len).collect::<Vec<_>>(), [32, 32]);
}

#[test]
fn a_name_that_no_ontology_knows_is_a_claim_without_support() {
    let asked = asked("zorblax", 3);
    let (description, _) = describe(&asked, &natural_killer_cell());
    let [claim] = description.claims.as_slice() else { panic!("{description:?}") };
    assert_eq!((claim.value.as_str(), &claim.term, claim.supported), ("zorblax", &None, Some(false)));
    assert!(!description.well_formed);
}

#[test]
fn a_cell_without_genes_and_a_prompt_too_long_are_refused_with_a_remedy() {
    let asked = asked("B cell", 3);
    let settings = GenerationSettings::default();
    let mut on_text = |_: &str| {};
    let mut refused = |reader: &CellReader, row: &SparseRow| {
        let watch = Watch::silent();
        asked.describer.describe(reader, 1, row, &settings, &watch, &mut on_text).unwrap_err().to_string()
    };
    let nothing = refused(&asked.reader, &SparseRow::default());
    assert!(nothing.contains("cell 1") && nothing.contains("Choose another cell"), "{nothing}");
    // Each of these symbols is hundreds of tokens: the full stops in it are known to the tokenizer one by one.
    let long = vec![format!("A{}", ".A".repeat(300))];
    let reader = asked.describer.bind(&[None], &long, Scale::Counts).unwrap();
    let long = refused(&reader, &SparseRow { columns: vec![0], values: vec![1.0] });
    assert!(long.contains("400") && long.contains("sentence.genes"), "{long}");
}
