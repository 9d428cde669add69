//! Whole runs of a very small recipe on real profiles.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::*;
use crate::describe::KnownWords;
use crate::model::Bundle;
use crate::nn::{DevicePreference, choose_device};
use crate::progress::{Cancel, Watch};
use crate::test_support::shared_file;

/// The shipped recipe, shrunk until a run takes seconds.
fn tiny_recipe() -> Recipe {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../training/builtin.toml");
    let mut recipe = Recipe::read(&path).unwrap();
    recipe.genes = GeneRecipe { count: 300, max_len: 24, median_cells: 64, ..recipe.genes };
    recipe.encoder =
        EncoderRecipe { hidden_size: 16, layers: 1, heads: 2, intermediate_size: 16, ..recipe.encoder };
    recipe.adapter.hidden_size = 16;
    recipe.decoder = DecoderRecipe {
        hidden_size: 16,
        layers: 1,
        heads: 2,
        kv_heads: 1,
        intermediate_size: 16,
        vocab_size: 400,
        max_positions: 768,
        ..recipe.decoder
    };
    recipe.prompt.top_k = 4;
    recipe.cells.panel_share = 0.0;
    recipe.sources.truncate(1);
    recipe.calibration.clear();
    // One stage of each kind; the shipped recipe may have more of them.
    let stage = |objective| recipe.stages.iter().find(|s| s.objective == objective).cloned();
    let labels = stage(Objective::Labels).unwrap();
    let description = stage(Objective::Description).unwrap();
    recipe.stages = vec![labels, description];
    for (stage, steps) in recipe.stages.iter_mut().zip([2, 3]) {
        stage.max_len = None;
        stage.reading = Reading::Full;
        stage.steps = steps;
        stage.batch = 2;
        stage.accumulate = 2;
        stage.warmup_steps = 1;
        stage.epoch_steps = 1;
    }
    recipe
}

fn settings(data: &Path, out: PathBuf, max_steps: Option<u64>) -> TrainSettings {
    let recipe = tiny_recipe();
    TrainSettings {
        recipe,
        data: data.to_path_buf(),
        out,
        checkpoint_steps: 100,
        device: DevicePreference::Cpu,
        max_steps,
    }
}

/// Stage, step, loss, accuracy and length of the gradient of each step of the run in `out`.
fn logged(out: &Path) -> Vec<Vec<f64>> {
    let log = std::fs::read_to_string(out.join("metrics.csv")).unwrap();
    let of_line = |line: &str| line.split(',').take(5).map(|figure| figure.parse().unwrap()).collect();
    log.lines().skip(1).map(of_line).collect()
}

fn data_folder() -> Option<PathBuf> {
    shared_file("data/profiles/cpl_human_profiles.h5ad")?;
    shared_file("data")
}

#[test]
fn a_run_that_stops_twice_ends_with_the_very_weights_of_one_that_does_not() {
    let Some(data) = data_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let straight = folder.path().join("straight");
    let report = train(&settings(&data, straight.clone(), None), &Watch::silent()).unwrap();
    assert_eq!(report.steps, 5);
    let bundle = report.bundle.unwrap();
    Bundle::open(&bundle).unwrap().verify().unwrap();

    let halting = folder.path().join("halting");
    for (most, steps) in [(Some(1), 1), (Some(4), 3), (None, 1)] {
        let report = train(&settings(&data, halting.clone(), most), &Watch::silent()).unwrap();
        assert_eq!(report.steps, steps);
        assert_eq!(report.bundle.is_some(), most.is_none());
    }
    for part in ["encoder", "adapter", "decoder"] {
        let weights =
            |run: &Path| std::fs::read(run.join("bundle").join(part).join("model.safetensors")).unwrap();
        assert_eq!(weights(&straight), weights(&halting), "{part}");
    }
    let log = |run: &Path| -> Vec<String> {
        let text = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
        text.lines().map(|l| l.rsplit_once(',').map_or(l, |(figures, _secs)| figures).to_owned()).collect()
    };
    assert_eq!(log(&straight), log(&halting));
}

#[test]
fn a_type_that_its_tissue_makes_more_exact_is_taught_as_that_one() {
    let Some(data) = data_folder() else { return };
    let corpus = corpus::Corpus::read(&tiny_recipe(), &data, &Watch::silent()).unwrap();
    let taught = |id: &str| corpus.cell_types.words().iter().any(|word| word == id);
    // Stem cells of ileum and rectum, which the file calls stem cells.
    assert!(taught("CL:0009017") && taught("CL:0009016") && !taught("CL:0000034"));
}

#[test]
fn a_type_that_is_never_told_is_learnt_and_no_text_can_name_it() {
    let Some(data) = data_folder() else { return };
    // Stromal cells.
    let mut recipe = tiny_recipe();
    recipe.cells.untold = vec!["CL:0000499".into()];
    let corpus = corpus::Corpus::read(&recipe, &data, &Watch::silent()).unwrap();
    assert!(corpus.cell_types.words().iter().any(|word| word == "CL:0000499"));
    let told = |recipe: &Recipe| {
        let made = examples::ExampleMaker::new(&corpus, recipe, (None, None), &Watch::silent()).unwrap();
        let types = made.0.known_words().slots().swap_remove(KnownWords::CELL_TYPE_SLOT);
        (types, made.0.taught())
    };
    let (without, taught) = told(&recipe);
    recipe.cells.untold.clear();
    let (with, all) = told(&recipe);
    let added: Vec<_> = with.iter().filter(|text| !without.contains(text)).collect();
    assert!(matches!(added.as_slice(), [one] if one.starts_with("a stromal cell")), "{added:?}");
    assert!(taught.shares.iter().all(|(cell_type, ..)| *cell_type < without.len()));
    assert!(taught.shares.len() < all.shares.len());
}

#[test]
fn a_quick_reading_teaches_an_encoder_of_one_layer_what_a_whole_one_does_and_a_deeper_one_something_else() {
    let Some(data) = data_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Loss, accuracy and length of the gradient of each step.
    let figures = |layers: usize, reading: Reading| -> Vec<f64> {
        let out = folder.path().join(format!("{layers}{reading:?}"));
        let mut asked = settings(&data, out.clone(), None);
        asked.recipe.encoder.layers = layers;
        asked.recipe.stages.truncate(1);
        asked.recipe.stages[0].reading = reading;
        train(&asked, &Watch::silent()).unwrap();
        logged(&out).iter().flat_map(|step| step[2..].to_vec()).collect()
    };
    let differ = |layers: usize| -> f64 {
        let (full, quick) = (figures(layers, Reading::Full), figures(layers, Reading::Quick));
        assert_eq!((full.len(), quick.len()), (6, 6));
        full.iter().zip(&quick).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    assert!(differ(1) < 1e-3);
    assert!(differ(2) > 1e-3);
}

#[test]
fn the_temperatures_of_the_model_that_ships_are_those_that_its_calibration_studies_give() {
    let Some(data) = data_folder() else { return };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../training/builtin.toml");
    let recipe = Recipe::read(&path).unwrap();
    let corpus = corpus::Corpus::read(&recipe, &data, &Watch::silent()).unwrap();
    let (tissues, device) = (corpus.tissues.words(), DevicePreference::Cpu);
    let found = calibration::temperatures(None, &recipe, tissues, &data, device, &Watch::silent()).unwrap();
    let shipped = Bundle::builtin().unwrap().manifest.temperatures;
    assert_eq!(found.keys().collect::<Vec<_>>(), shipped.keys().collect::<Vec<_>>());
    for (kind, temperature) in &found {
        // The next that is tried lies 5 % further on.
        assert!((temperature / shipped[kind] - 1.0).abs() < 0.06, "{found:?}, shipped {shipped:?}");
    }
}

#[test]
fn a_step_on_two_devices_is_the_step_on_one() {
    let Some(data) = data_folder() else { return };
    let other = match choose_device(DevicePreference::Wgpu) {
        Ok(chosen) => chosen.device,
        Err(e) => return crate::test_support::skipped(&e.to_string()),
    };
    let folder = tempfile::tempdir().unwrap();
    let figures_on = |name: &str, devices: &[Device]| -> Vec<f64> {
        let out = folder.path().join(name);
        run::train_on(&settings(&data, out.clone(), Some(1)), devices, &Watch::silent()).unwrap();
        logged(&out).swap_remove(0)
    };
    let one = figures_on("one", &[Device::flex()]);
    // The second device works on half of the step: its gradients come back, and the length of the sum shows them.
    let two = figures_on("two", &[Device::flex(), other]);
    for (one, two) in one.iter().zip(&two) {
        assert!((one - two).abs() <= 1e-3 * one.abs(), "{one} {two}");
    }
}

#[test]
fn a_run_in_mixed_precision_learns_what_one_in_single_does_and_keeps_weights_of_32_bits() {
    let Some(data) = data_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, precision: Precision| {
        let out = folder.path().join(name);
        let mut asked = settings(&data, out.clone(), None);
        asked.recipe.precision = precision;
        let report = train(&asked, &Watch::silent()).unwrap();
        (report.precision, logged(&out).concat(), out)
    };
    let (single, wanted, _) = run("single", Precision::Single);
    let (mixed, found, out) = run("mixed", Precision::Mixed);
    assert_eq!((single.as_str(), mixed.starts_with("mixed, with ")), ("single", true));
    assert_eq!(wanted.len(), found.len());
    let apart = wanted.iter().zip(&found).map(|(a, b)| (a - b).abs() / a.abs().max(0.1)).fold(0.0, f64::max);
    assert!(apart > 0.0 && apart < 0.03, "{apart}");
    let checkpoint = ["a", "b"].map(|name| out.join("checkpoint").join(name).join("model.safetensors"));
    let path = checkpoint.into_iter().find(|path| path.is_file()).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let header = String::from_utf8_lossy(&bytes[8..bytes.len().min(4000)]).into_owned();
    assert!(header.contains("\"F32\"") && !header.contains("F16"), "{header}");
}

#[test]
fn an_encoder_learns_from_masked_genes_and_from_the_start_that_the_profiles_give() {
    let Some(data) = data_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let encoder_after = |name: &str, steps: u64, gene_vectors: GeneVectors| {
        let out = folder.path().join(name);
        let mut asked = settings(&data, out.clone(), None);
        asked.recipe.encoder.gene_vectors = gene_vectors;
        asked.recipe.stages.truncate(1);
        asked.recipe.stages[0].objective = Objective::MaskedGenes;
        asked.recipe.stages[0].max_len = Some(12);
        asked.recipe.stages[0].steps = steps;
        let report = train(&asked, &Watch::silent()).unwrap();
        assert!(
            report.last.as_ref().is_none_or(|last| last.loss > 1.0 && last.loss < 12.0),
            "{:?}",
            report.last
        );
        assert!(std::fs::read_to_string(out.join("loss.svg")).unwrap().ends_with("</svg>\n"));
        std::fs::read(out.join("bundle/encoder/model.safetensors")).unwrap()
    };
    let random = encoder_after("random", 0, GeneVectors::Random);
    let profiles = encoder_after("profiles", 0, GeneVectors::PrincipalComponents);
    assert_ne!(random, profiles);
    assert_ne!(profiles, encoder_after("learnt", 2, GeneVectors::PrincipalComponents));
}

#[test]
fn a_study_that_is_trained_on_may_not_calibrate() {
    let mut recipe = tiny_recipe();
    recipe.calibration.push(CalibrationStudy {
        file: recipe.sources[0].file.clone(),
        most_cells: 5,
        cell_type_column: "cell_type_ontology_term_id".into(),
        tissue_column: "tissue".into(),
        tissues: Default::default(),
    });
    assert!(recipe.check().unwrap_err().to_string().contains("calibration.file"));
}

#[test]
fn a_frozen_encoder_stays_as_it_was_and_a_trained_one_does_not() {
    let Some(data) = data_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let encoder_after = |name: &str, train_encoder: bool, description_steps: u64| {
        let out = folder.path().join(name);
        let mut asked = settings(&data, out.clone(), None);
        asked.recipe.stages[1].train_encoder = train_encoder;
        asked.recipe.stages[1].steps = description_steps;
        train(&asked, &Watch::silent()).unwrap();
        std::fs::read(out.join("bundle/encoder/model.safetensors")).unwrap()
    };
    let before = encoder_after("before", false, 0);
    assert_eq!(before, encoder_after("frozen", false, 2));
    assert_ne!(before, encoder_after("trained", true, 2));
}

#[test]
fn a_stopped_run_keeps_what_it_learnt_and_another_recipe_may_not_go_on_with_it() {
    let Some(data) = data_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let watch = Watch::new(cancel, move |p| {
        if p.what.starts_with("Training") {
            stop.cancel();
        }
    });
    let mut asked = settings(&data, out, None);
    // More batches than are made ahead: who makes them must end too.
    asked.recipe.stages[0].steps = 12;
    assert!(train(&asked, &watch).unwrap_err().is_cancelled());
    asked.recipe.seed += 1;
    let error = train(&asked, &Watch::silent()).unwrap_err().to_string();
    assert!(error.contains("a run of another recipe"), "{error}");
    asked.recipe.seed -= 1;
    let report = train(&asked, &Watch::silent()).unwrap();
    assert!(report.bundle.is_some() && report.steps < 15, "{}", report.steps);
}

#[test]
fn a_missing_file_or_column_is_named() {
    let Some(data) = data_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut asked = settings(&data, folder.path().join("a"), None);
    asked.recipe.sources[0].tissue_column = "organ".into();
    assert!(train(&asked, &Watch::silent()).unwrap_err().to_string().contains("obs/organ"));
    asked.recipe.sources[0].file = "no_such.h5ad".into();
    assert!(train(&asked, &Watch::silent()).unwrap_err().to_string().contains("no_such.h5ad"));
}

/// A tiny bundle to begin from, and a recipe that does.
fn from_bundle(data: &Path, folder: &Path) -> (PathBuf, TrainSettings) {
    let bundle =
        train(&settings(data, folder.join("whole"), None), &Watch::silent()).unwrap().bundle.unwrap();
    let mut asked = settings(data, folder.join("run"), None);
    let recipe = &mut asked.recipe;
    // One part by its bundle, one by its own folder.
    recipe.encoder = EncoderRecipe {
        from: Some(bundle.to_string_lossy().into_owned()),
        hidden_size: 0,
        gene_vectors: GeneVectors::Random,
        ..recipe.encoder.clone()
    };
    recipe.decoder.from = Some(bundle.join("decoder").to_string_lossy().into_owned());
    recipe.chat_template.clear();
    recipe.genes = GeneRecipe { count: 0, median_cells: 0, ..recipe.genes.clone() };
    recipe.stages.remove(0);
    (bundle, asked)
}

#[test]
fn lora_learns_beside_a_frozen_model_and_goes_on_exactly_after_a_stop() {
    let Some(data) = data_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (base, mut asked) = from_bundle(&data, folder.path());
    asked.recipe.decoder.lora = Some(LoraRecipe { rank: 2, alpha: 4.0 });
    let straight = train(&asked, &Watch::silent()).unwrap().bundle.unwrap();
    let run = asked.out.clone();
    Bundle::open(&straight).unwrap().verify().unwrap();

    asked.out = folder.path().join("halting");
    asked.max_steps = Some(1);
    assert!(train(&asked, &Watch::silent()).unwrap().bundle.is_none());
    // What no stage changes is not in the checkpoint.
    let checkpoint = asked.out.join("checkpoint/a/model.safetensors");
    let kept = crate::nn::WeightFiles::open(&[checkpoint]).unwrap();
    assert!(kept.names().all(|name| !name.starts_with("bert.") && !name.starts_with("model.")));
    assert_eq!(kept.names().filter(|name| name.contains("lora_")).count(), 8);
    asked.max_steps = None;
    let halting = train(&asked, &Watch::silent()).unwrap().bundle.unwrap();
    let bytes = |path: PathBuf| std::fs::read(path).unwrap();
    for part in ["encoder", "adapter", "decoder"] {
        let weights = |bundle: &Path| bytes(bundle.join(part).join("model.safetensors"));
        assert_eq!(weights(&straight), weights(&halting), "{part}");
        assert_eq!(weights(&straight) == weights(&base), part == "encoder", "{part}");
    }
    let small = |run: &Path| bytes(run.join("lora/adapter_model.safetensors"));
    assert_eq!(small(&run), small(&asked.out));

    // The adapter with the decoder that it was trained on is the bundle's decoder.
    let device = Device::flex();
    let lora = crate::model::Lora::open(&run.join("lora")).unwrap();
    let config: crate::model::DecoderConfig =
        serde_json::from_slice(&bytes(base.join("decoder/config.json"))).unwrap();
    let tensors = |bundle: &Path, patch: Option<&crate::model::Lora>| {
        let files = crate::nn::WeightFiles::open_folder(&bundle.join("decoder")).unwrap();
        let params = crate::nn::Params::from_files(&files, "", &device);
        let mut params = match patch {
            Some(lora) => params.patched(lora),
            None => params,
        };
        let mut sink = crate::nn::ParamSink::default();
        crate::model::Decoder::new(&config, &mut params).unwrap().export(&mut sink).unwrap();
        sink.into_tensors()
    };
    for (merged, beside) in tensors(&straight, None).iter().zip(tensors(&base, Some(&lora))) {
        let worst = merged.values.iter().zip(&beside.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Bundles are in half precision.
        assert!(worst < 1e-3, "{}: {worst}", merged.name);
    }
}

#[test]
fn all_of_a_decoder_learns_beside_a_frozen_encoder_and_only_from_the_weights_it_began_with() {
    let Some(data) = data_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (base, mut asked) = from_bundle(&data, folder.path());
    // Prompts of several lengths in one batch.
    asked.recipe.genes.least = Some(5);
    asked.recipe.prompt.top_k = 12;
    asked.recipe.cells.panel_share = 1.0;
    asked.recipe.cells.panel_genes = [30.0, 3000.0];
    asked.max_steps = Some(2);
    train(&asked, &Watch::silent()).unwrap();
    let decoder = base.join("decoder/model.safetensors");
    let weights = std::fs::read(&decoder).unwrap();
    let mut damaged = weights.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&decoder, &damaged).unwrap();
    asked.max_steps = None;
    let message = train(&asked, &Watch::silent()).unwrap_err().to_string();
    assert!(message.contains("decoder.from") && message.contains("other weights"), "{message}");
    std::fs::write(&decoder, &weights).unwrap();
    let bundle = train(&asked, &Watch::silent()).unwrap().bundle.unwrap();
    let of = |bundle: &Path, part: &str| std::fs::read(bundle.join(part).join("model.safetensors")).unwrap();
    assert_eq!(of(&bundle, "encoder"), of(&base, "encoder"));
    assert_ne!(of(&bundle, "decoder"), of(&base, "decoder"));
    assert!(!asked.out.join("lora").exists());
}

#[test]
fn a_part_that_is_not_there_or_does_not_fit_is_named() {
    let Some(data) = data_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_, asked) = from_bundle(&data, folder.path());
    type Change = fn(&mut Recipe);
    let changes: [(Change, &str); 4] = [
        (|r| r.encoder.from = Some("no such folder".into()), "encoder.from"),
        (|r| r.genes.max_len = 400, "genes.max_len"),
        (|r| r.decoder.end_of_text = "<|end|>".into(), "decoder.end_of_text"),
        (|r| r.prompt.placeholder = "<|gene|>".into(), "prompt.placeholder"),
    ];
    for (change, element) in changes {
        let mut changed = TrainSettings { out: folder.path().join("other"), ..asked.clone() };
        change(&mut changed.recipe);
        let message = train(&changed, &Watch::silent()).unwrap_err().to_string();
        assert!(message.contains(element), "{message}");
    }
}
