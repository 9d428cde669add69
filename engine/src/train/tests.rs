//! Whole runs of a very small recipe on real profiles.

use std::path::{Path, PathBuf};

use super::*;
use crate::model::Bundle;
use crate::nn::DevicePreference;
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
