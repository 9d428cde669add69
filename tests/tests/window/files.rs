//! Files: those that cannot be opened or described say so in the window and say what to do, and a real study goes
//! the whole way.

use std::path::PathBuf;

use app::window::{Action, Command, Dialogs, Layout, WindowOptions};
use eframe::egui::{Key, Role};
use egui_kittest::kittest::Queryable as _;
use engine::describe::ClaimKind;
use tests::shared;

use super::driver::{Window, lonely_cells, opened, sample, window};

/// The first cell of the list, clicked.
fn click_first_in_list(window: &mut Window) -> usize {
    if window.app().view().layout != Layout::List && window.app().situation().has_map {
        window.key(Key::L);
    }
    let name = window.data().obs.index[0].clone();
    let row = window.names(Role::Button).into_iter().find(|row| row.starts_with(&name)).expect("a list");
    window.press(&row);
    assert_eq!(window.app().selected_cell(), Some(0));
    0
}

#[test]
fn a_file_that_cannot_be_opened_says_why_and_what_to_do_and_leaves_the_open_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let whole = engine::assets::SAMPLE_H5AD;
    let mut cases: Vec<(PathBuf, &[&str])> = vec![
        (write("notes.h5ad", b"cell,type\nA,monocyte\n"), &["not HDF5", "Choose"]),
        (write("cut.h5ad", &whole[..whole.len() / 2]), &["cut short", "again"]),
        (write("empty.h5ad", b""), &["empty.h5ad"]),
        (folder.path().join("absent.h5ad"), &["No such file"]),
    ];
    if let Some(path) = shared("data/h5ad_zoo/hdf5_not_anndata.h5ad") {
        cases.push((path, &["not AnnData", "Choose"]));
    }
    let mut window = sample();
    for (path, words) in cases {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        window.drop_file(&path);
        window.assert_shows(&[&format!("Opening {name} failed")]);
        window.assert_shows(words);
        assert_eq!(window.map(), "UMAP, 700 cells, coloured by bulk_labels");
        window.press("Dismiss");
        window.assert_hides(&[&name]);
    }
}

#[test]
fn a_file_named_at_the_start_that_cannot_be_opened_leaves_the_first_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.h5ad");
    std::fs::write(&path, "these are notes").unwrap();
    let mut window = opened(path);
    window.assert_shows(&["Opening notes.h5ad failed", "not HDF5", "Open the PBMC sample"]);
    window.press("Open the PBMC sample");
    assert_eq!(window.data().n_obs, 700);
}

#[test]
fn without_an_embedding_the_cells_are_listed_and_described() {
    let Some(path) = shared("data/h5ad_zoo/no_umap.h5ad") else { return };
    let mut window = opened(path);
    window.assert_shows(&["This file has no map", "Compute a map"]);
    assert!(!window.app().situation().has_map);
    let cell = click_first_in_list(&mut window);
    let text = window.app().description(cell).expect("described without a map").text.clone();
    window.assert_shows(&[&text]);
}

#[test]
fn a_map_is_computed_at_a_button_and_shown() {
    let Some(path) = shared("data/cells/mouse_kidney_tabulamuris215.h5ad") else { return };
    let mut window = opened(path);
    window.press("Compute a map");
    assert!(window.app().situation().has_map);
    assert_eq!(window.map(), "UMAP, 215 cells, coloured by cell_type");
    let data = window.data();
    let names: Vec<_> = data.embeddings.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["X_umap", "X_pca_cell2text"]);
    assert!(data.obs.column("c2t_cluster").is_some_and(engine::anndata::Column::is_categorical));
    window.assert_hides(&["This file has no map", "no map can be drawn"]);
    // A cell is described on it as on any other map.
    let cell = lonely_cells(&data, "cell_type", "leukocyte")[0];
    window.click_cell(cell);
    assert_eq!(window.app().selected_cell(), Some(cell));
}

#[test]
fn without_a_known_gene_nothing_is_described_and_the_remedy_is_said() {
    let Some(path) = shared("data/h5ad_zoo/anndataR_example_1045k.h5ad") else { return };
    let mut window = opened(path);
    assert_eq!(window.data().known_genes, 0);
    assert!(window.data().findings.iter().any(|f| f.serious));
    let cell = click_first_in_list(&mut window);
    assert!(window.app().description(cell).is_none());
    window.assert_shows(&[" failed", "Gene000", "Ensembl ids", "feature_name", "Not described yet."]);
}

#[test]
fn another_species_is_warned_of_before_anything_is_described() {
    let Some(path) = shared("data/cells/mouse_kidney_tabulamuris215.h5ad") else { return };
    let window = opened(path);
    let data = window.data();
    let warning = data.findings.iter().find(|f| f.serious).expect("a warning");
    assert!(warning.message.contains("mouse"), "{warning:?}");
    window.assert_shows(&[&warning.message]);
}

#[test]
fn a_real_study_with_ensembl_ids_goes_from_the_dialog_to_the_table() {
    let Some(path) = shared("data/cells/breast_visium_hbca2504.h5ad") else { return };
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("spots.csv");
    let mut window = window(WindowOptions {
        dialogs: Dialogs::Answers { open: Some(path), save: Some(table.clone()) },
        ..WindowOptions::default()
    });
    window.press("Open an h5ad file…");
    window.assert_shows(&["2,504 cells × 36,503 genes"]);
    let data = window.data();
    assert_eq!(data.gene_names_in_file[0], "ENSG00000243485");
    assert!(data.genes.iter().any(|gene| gene == "EPCAM"), "genes are shown by symbol");

    // By symbol and by the file's own name; the largest value was read with h5py.
    for query in ["EPCAM", "ENSG00000119888"] {
        window.act(Action::ColourBy(app::window::ColourBy::Column("cell_type".into())));
        window.run(Command::FindGene);
        window.type_in(query);
        window.key(Key::Enter);
        let scales = window.names(Role::Image);
        assert!(scales.iter().any(|s| s.starts_with("Scale of EPCAM from 0 to 1.39")), "{query}: {scales:?}");
    }

    window.act(Action::ColourBy(app::window::ColourBy::Column("cell_type".into())));
    let names = window.names(Role::CheckBox);
    let category = names[0].rsplit_once(", ").unwrap().0;
    let cell = lonely_cells(&data, "cell_type", category)[0];
    window.click_cell(cell);
    window.settle();
    assert_eq!(window.app().selected_cell(), Some(cell));
    let description = window.app().description(cell).expect("described").clone();
    assert!(description.claim(ClaimKind::CellType).is_some(), "{description:?}");
    window.assert_shows(&[&data.obs.index[cell], &description.text, "Claims and evidence"]);
    assert!(window.0.query_all_by_label_contains("Neighbourhood of ").next().is_some());

    window.choose("File", "Export CSV…");
    window.assert_shows(&["Wrote 1 cell to spots.csv"]);
    let text = std::fs::read_to_string(table).unwrap();
    assert!(text.contains(&data.obs.index[cell]) && text.contains(&description.text), "{text}");
}
