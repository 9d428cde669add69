//! Choosing the model that describes cells: what the list says of each, loading one, and coming back to it.

use std::path::{Path, PathBuf};

use app::window::{Action, Command, Dialogs, Saved, ThemeChoice, WindowOptions};
use eframe::egui::{Key, Modifiers, Role};
use engine::describe::ClaimKind;
use engine::model::{Bundle, CELL_TYPE_PROMPT, SentenceImport, import_sentence, quantise};
use engine::nn::quant::Bits;
use engine::progress::Watch;
use engine::session::DataSource;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use super::driver::{Window, lonely_cells, window};

/// Bytes that the made-up machine has free.
pub const FREE_BYTES: u64 = 8_000_000_000;
/// Width of the small decoder, and the tokens it knows.
const WIDTH: usize = 32;
const TOKENS: usize = 5;

/// Lays a folder of models into `root`: one that names every cell a natural killer cell, the built-in one at 8 bits, and
/// one far too large, whose weights are a hole in a file.
pub fn lay_out(root: &Path) -> PathBuf {
    let models = root.join("models");
    let silent = Watch::silent();
    quantise(&Bundle::builtin().unwrap(), &models.join("built-in-8"), Bits::Eight, &silent).unwrap();
    let decoder = root.join("decoder");
    decoder_that_says("natural killer cell", &decoder);
    import_sentence(
        &SentenceImport {
            name: "Cell sentences, small".into(),
            licence: "CC BY 4.0".into(),
            decoder,
            genes: 20,
            organism: "Homo sapiens".into(),
            prompt: CELL_TYPE_PROMPT.into(),
            out: models.join("sentences"),
        },
        &silent,
    )
    .unwrap();
    far_too_large(&models.join("too-large"));
    models
}

/// A decoder whose layer adds nothing and whose tokens each lead to the next: after any prompt it says `name.`
fn decoder_that_says(name: &str, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let write = |file: &str, text: String| std::fs::write(folder.join(file), text).unwrap();
    write(
        "config.json",
        json!({
            "model_type": "llama", "hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 1, "intermediate_size": WIDTH, "vocab_size": TOKENS,
            "max_position_embeddings": 2048, "tie_word_embeddings": false, "eos_token_id": 1,
        })
        .to_string(),
    );
    let special = |id: usize, text: &str| {
        json!({ "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    write(
        "tokenizer.json",
        json!({
            "version": "1.0", "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "added_tokens": [special(0, "<s>"), special(1, "</s>")],
            "model": { "type": "BPE", "vocab": { "<s>": 0, "</s>": 1, "?": 2, name: 3, ".": 4 }, "merges": [],
                       "unk_token": "?", "fuse_unk": true },
        })
        .to_string(),
    );
    let matrix = |rows: usize, ones: &[(usize, usize)]| {
        let mut values = vec![0f32; rows * WIDTH];
        ones.iter().for_each(|(row, column)| values[row * WIDTH + column] = 10.0);
        values
    };
    let layer = "model.layers.0";
    let words: Vec<(usize, usize)> = (0..TOKENS).map(|token| (token, token)).collect();
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![TOKENS, WIDTH], matrix(TOKENS, &words)),
        ("lm_head.weight".to_owned(), vec![TOKENS, WIDTH], matrix(TOKENS, &[(3, 2), (4, 3), (1, 4)])),
        ("model.norm.weight".to_owned(), vec![WIDTH], vec![1.0; WIDTH]),
    ];
    for norm in ["input_layernorm", "post_attention_layernorm"] {
        tensors.push((format!("{layer}.{norm}.weight"), vec![WIDTH], vec![1.0; WIDTH]));
    }
    let maps = [
        ("self_attn.q_proj", WIDTH),
        ("self_attn.k_proj", WIDTH / 2),
        ("self_attn.v_proj", WIDTH / 2),
        ("self_attn.o_proj", WIDTH),
        ("mlp.gate_proj", WIDTH),
        ("mlp.up_proj", WIDTH),
        ("mlp.down_proj", WIDTH),
    ];
    for (map, rows) in maps {
        tensors.push((format!("{layer}.{map}.weight"), vec![rows, WIDTH], matrix(rows, &[])));
    }
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A bundle of seven billion numbers, none of which is on the disk.
fn far_too_large(folder: &Path) {
    let decoder = folder.join("decoder");
    std::fs::create_dir_all(&decoder).unwrap();
    let config = json!({
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 14_336, "vocab_size": 128_256,
        "max_position_embeddings": 8192, "eos_token_id": 1,
    });
    std::fs::write(decoder.join("config.json"), config.to_string()).unwrap();
    let (rows, columns) = (1_750_000u64, 4096u64);
    let bytes = rows * columns * 2;
    let head = json!({ "model.embed_tokens.weight":
        { "dtype": "F16", "shape": [rows, columns], "data_offsets": [0, bytes] } })
    .to_string();
    let path = decoder.join("model.safetensors");
    std::fs::write(&path, [&(head.len() as u64).to_le_bytes()[..], head.as_bytes()].concat()).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(8 + head.len() as u64 + bytes).unwrap();
    let manifest = [
        "format = 1",
        "name = \"Llama 7B, full\"",
        "licence = \"Llama 3.2\"",
        "description = \"\"",
        "[decoder]",
        "folder = \"decoder\"",
        "[sentence]",
        "genes = 200",
        "organism = \"Homo sapiens\"",
        "prompt = \"{cell_sentence}\"",
    ]
    .join("\n");
    std::fs::write(folder.join("cell2text.toml"), manifest).unwrap();
}

/// A window on the sample with these models, on a machine with a known amount of free memory.
pub fn with_models(models: &Path, theme: ThemeChoice, saved: &Saved) -> Window {
    let own = models.join("window");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("window.json"), saved.to_json()).unwrap();
    window(WindowOptions {
        open: Some(DataSource::Sample),
        models: Some(models.to_path_buf()),
        free_memory: Some(FREE_BYTES),
        theme: Some(theme),
        state_file: Some(own.join("window.json")),
        autosave: Some(own),
        ..WindowOptions::default()
    })
}

fn sample_with(models: &Path) -> Window {
    with_models(models, ThemeChoice::Light, &Saved::default())
}

fn built_in() -> String {
    Bundle::builtin().unwrap().manifest.name
}

#[test]
fn the_models_are_listed_with_what_each_needs_before_one_is_loaded() {
    let root = tempfile::tempdir().unwrap();
    let models = lay_out(root.path());
    std::fs::create_dir_all(models.join("broken")).unwrap();
    std::fs::write(models.join("broken/cell2text.toml"), "format = 1").unwrap();
    let mut window = sample_with(&models);
    window.0.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::M);
    window.settle();
    window.assert_shows(&[
        "Models",
        "8.00 GB of memory are free. Models run on the processor.",
        &built_in(),
        "8 bits · describes cells",
        "names cell types from gene symbols · licence CC BY 4.0",
        "In use",
        // 1,750,000 × 4,096 numbers in float32, and keys and values in the cache.
        "7.17 billion parameters, 32 bits",
        "Needs 29.0",
        "and 8.00 GB are free: loading may fail, or slow everything down",
        "broken",
        "cell2text.toml",
    ]);
    let buttons = window.names(Role::Button);
    let uses: Vec<&String> = buttons.iter().filter(|name| name.starts_with("Use ")).collect();
    assert_eq!(uses.len(), 3, "neither the one in use nor the broken one: {uses:?}");
    assert!(window.app().description(0).is_none(), "nothing was loaded for the list");
    window.press("Close");
    // The same from the menu.
    window.choose("Cell", "Models…");
    window.assert_shows(&["Add a folder…"]);
}

#[test]
fn a_chosen_model_is_loaded_describes_the_next_cell_and_is_there_the_next_time() {
    let root = tempfile::tempdir().unwrap();
    let models = lay_out(root.path());
    let mut window = sample_with(&models);
    window.run(Command::ShowModels);
    window.press("Use Cell sentences, small");
    window.assert_shows(&["Cell sentences, small describes cells from now on", "Has "]);
    assert_eq!(window.app().saved().model, Some(models.join("sentences")));
    window.press("Close");
    let cell = lonely_cells(&window.data(), "bulk_labels", "CD56+ NK")[0];
    window.act(Action::SelectCell(cell));
    let description = window.app().description(cell).unwrap().clone();
    let claim = description.claim(ClaimKind::CellType).unwrap();
    assert_eq!((claim.value.as_str(), claim.term.as_deref()), ("natural killer cell", Some("CL:0000623")));
    assert!(!claim.evidence.is_empty(), "its genes speak for it: {claim:?}");
    // In the same panel, with its place in the ontology.
    window.assert_shows(&["natural killer cell", "CL:0000623", "Neighbourhood of natural killer cell"]);

    // The next time it is there before anything is loaded, and loaded by the first description.
    let saved = window.app().saved().clone();
    drop(window);
    let mut window = with_models(&models, ThemeChoice::Light, &saved);
    window.assert_hides(&["Cell sentences, small"]);
    window.act(Action::SelectCell(cell));
    assert_eq!(window.app().description(cell).unwrap().text, "natural killer cell.");
    // And back.
    window.run(Command::ShowModels);
    window.press(&format!("Use {}", built_in()));
    assert_eq!(window.app().saved().model, None);
    window.press("Close");
    window.run(Command::DescribeCell);
    assert!(window.app().description(cell).unwrap().claims.len() > 1);
}

#[test]
fn a_model_that_fails_to_load_is_told_and_the_one_in_use_stays() {
    let root = tempfile::tempdir().unwrap();
    let models = lay_out(root.path());
    // What the list reads is whole, what only loading reads is not.
    std::fs::write(models.join("sentences/decoder/tokenizer.json"), "{}").unwrap();
    let mut window = sample_with(&models);
    window.run(Command::ShowModels);
    window.press("Use Cell sentences, small");
    window.assert_shows(&["Loading sentences failed", "tokenizer.json"]);
    assert_eq!(window.app().saved().model, None);
    window.press("Close");
    let cell = lonely_cells(&window.data(), "bulk_labels", "CD19+ B")[0];
    window.act(Action::SelectCell(cell));
    assert!(window.app().description(cell).unwrap().claims.len() > 1, "the built-in model describes");
}

#[test]
fn a_model_that_is_gone_gives_way_to_the_built_in_one_with_a_word() {
    let root = tempfile::tempdir().unwrap();
    let saved = Saved { model: Some(root.path().join("gone")), ..Saved::default() };
    let mut window = with_models(root.path(), ThemeChoice::Light, &saved);
    window.assert_shows(&[
        "The model chosen last cannot be used",
        "The built-in model describes cells instead.",
    ]);
    assert_eq!(window.app().saved().model, None);
    let cell = lonely_cells(&window.data(), "bulk_labels", "CD19+ B")[0];
    window.act(Action::SelectCell(cell));
    assert!(window.app().description(cell).is_some());
}

#[test]
fn a_model_in_another_folder_is_listed_once_added_and_until_it_is_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let models = lay_out(root.path());
    let elsewhere = root.path().join("elsewhere");
    std::fs::rename(models.join("sentences"), &elsewhere).unwrap();
    let mut window = window(WindowOptions {
        models: Some(models),
        free_memory: Some(FREE_BYTES),
        dialogs: Dialogs::Answers { open: Some(elsewhere.clone()), save: None },
        ..WindowOptions::default()
    });
    // Without data too.
    window.run(Command::ShowModels);
    window.assert_hides(&["Cell sentences, small"]);
    window.press("Add a folder…");
    window.assert_shows(&["Cell sentences, small"]);
    assert_eq!(window.app().saved().models, [elsewhere]);
    window.press("Forget Cell sentences, small");
    window.assert_hides(&["Cell sentences, small"]);
    assert!(window.app().saved().models.is_empty());
}
