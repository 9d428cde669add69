//! Journeys through the real window, drawn on software Vulkan and driven by what a screen reader sees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use app::window::{Action, App, ColourBy, Dialogs, ThemeChoice, WindowOptions};
use eframe::egui::{Event, Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use engine::describe::ClaimKind;
use engine::session::{DataSource, Session, Settings};
use tests::shared;

/// Nothing in a test takes this long; a window that hangs fails instead of hanging the tests.
const HANG: Duration = Duration::from_secs(120);

type Window = Harness<'static, App>;

fn window(options: WindowOptions) -> Window {
    let session = Session::start(Settings::default()).unwrap();
    let options = WindowOptions { remember: false, ..options };
    let mut window = Harness::builder()
        .with_size([1280.0, 800.0])
        .with_step_dt(0.05)
        .wgpu()
        .build_eframe(|cc| App::new(cc, session, options));
    settle(&mut window);
    window
}

fn sample() -> Window {
    window(WindowOptions { open: Some(DataSource::Sample), ..WindowOptions::default() })
}

/// Runs frames until the engine and the window have nothing left to do.
fn settle(window: &mut Window) {
    let begun = Instant::now();
    let mut quiet_frames = 0;
    while quiet_frames < 3 {
        window.step();
        if window.state().is_idle() {
            quiet_frames += 1;
        } else {
            quiet_frames = 0;
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(begun.elapsed() < HANG, "the window does not come to rest");
    }
}

fn act(window: &mut Window, action: Action) {
    window.state_mut().queue(action);
    settle(window);
}

fn type_in(window: &mut Window, text: &str) {
    window.event(Event::Text(text.to_owned()));
    settle(window);
}

fn shows(window: &Window, text: &str) -> bool {
    window.query_all_by_label_contains(text).next().is_some()
}

fn assert_shows(window: &Window, texts: &[&str]) {
    for text in texts {
        assert!(shows(window, text), "the window does not say {text:?}");
    }
}

#[test]
fn the_first_window_offers_the_sample_and_opens_it() {
    let mut window = window(WindowOptions { theme: Some(ThemeChoice::Light), ..WindowOptions::default() });
    window.check_accessibility();
    window.snapshot("welcome_light");
    window.get_by_label("Open the PBMC sample").click();
    settle(&mut window);
    assert_eq!(window.state().dataset().unwrap().n_obs, 700);
    assert_shows(&window, &["700 cells", "UMAP, 700 cells, coloured by bulk_labels", "CD14+ Monocyte"]);
    window.check_accessibility();
    window.snapshot("sample_light");
}

#[test]
fn the_dark_window_shows_the_sample_too() {
    let options = WindowOptions {
        open: Some(DataSource::Sample),
        theme: Some(ThemeChoice::Dark),
        ..WindowOptions::default()
    };
    let mut window = window(options);
    window.snapshot("sample_dark");
}

#[test]
fn a_click_on_the_map_describes_a_cell_and_export_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("cells.csv");
    let mut window = window(WindowOptions {
        open: Some(DataSource::Sample),
        dialogs: Dialogs::Answers { open: None, save: Some(csv.clone()) },
        ..WindowOptions::default()
    });
    window.get_by_label_contains("UMAP, 700 cells").click();
    settle(&mut window);
    window.key_press(Key::ArrowRight);
    settle(&mut window);
    let cell = window.state().selected_cell().expect("the arrow key walks to a cell");
    let name = window.state().dataset().unwrap().obs.index[cell].clone();
    let description = window.state().description(cell).expect("the selected cell is described").clone();
    let cell_type = description.claim(ClaimKind::CellType).unwrap();
    assert_shows(&window, &[&name, "Claims and evidence", "Cell Ontology", &cell_type.value]);
    window.check_accessibility();

    window.get_by_label("File").click();
    settle(&mut window);
    window.get_by_label("Export CSV…").click();
    settle(&mut window);
    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(text.lines().count() >= 2 && text.contains(&name), "{text}");
    assert!(text.contains(&description.text.replace('"', "\"\"")), "{text}");
    let provenance = std::fs::read_to_string(folder.path().join("cells.provenance.json")).unwrap();
    assert!(provenance.contains("sha256"), "{provenance}");
}

#[test]
fn a_gene_is_found_by_symbol_by_ensembl_id_and_a_missing_one_is_said() {
    let mut window = sample();
    for query in ["lyz", "ENSG00000090382"] {
        act(&mut window, Action::ColourBy(ColourBy::Column("bulk_labels".into())));
        window.key_press_modifiers(Modifiers::COMMAND, Key::P);
        settle(&mut window);
        type_in(&mut window, query);
        window.key_press(Key::Enter);
        settle(&mut window);
        let ColourBy::Gene { symbol, .. } = &window.state().view().colour_by else {
            panic!("{query} does not colour by a gene");
        };
        assert_eq!(symbol, "LYZ", "{query}");
    }
    assert_shows(&window, &["UMAP, 700 cells, coloured by LYZ"]);
    window.check_accessibility();
    act(&mut window, Action::Run(app::window::Command::FindGene));
    type_in(&mut window, "xyzzy");
    assert_shows(&window, &["xyzzy"]);
    assert!(matches!(&window.state().view().colour_by, ColourBy::Gene { symbol, .. } if symbol == "LYZ"));
}

#[test]
fn a_description_can_be_stopped_and_another_cell_asked_for_instead() {
    let mut window = sample();
    window.state_mut().queue(Action::SelectCell(10));
    window.step();
    window.state_mut().queue(Action::Run(app::window::Command::Stop));
    window.step();
    act(&mut window, Action::SelectCell(20));
    assert_eq!(window.state().selected_cell(), Some(20));
    assert!(window.state().description(20).is_some());
}

#[test]
fn a_real_study_with_ensembl_ids_goes_the_whole_way() {
    let Some(path) = shared("data/cells/breast_visium_hbca2504.h5ad") else { return };
    let mut window = window(WindowOptions { open: Some(DataSource::File(path)), ..WindowOptions::default() });
    let dataset = window.state().dataset().expect("the file opens").clone();
    assert_eq!(dataset.n_obs, 2504);
    assert!(dataset.genes.iter().any(|g| g == "EPCAM"), "genes are shown by symbol");
    assert!(dataset.known_genes > 30_000, "{}", dataset.known_genes);
    let gene = dataset.genes.iter().position(|g| g == "EPCAM").unwrap();
    act(&mut window, Action::ColourBy(ColourBy::Gene { gene, symbol: "EPCAM".into() }));
    act(&mut window, Action::SelectCell(100));
    assert!(window.state().description(100).unwrap().text.starts_with("This sample consists of"));
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("spots.csv");
    act(&mut window, Action::ExportTo(csv.clone()));
    assert!(std::fs::read_to_string(csv).unwrap().contains(&dataset.obs.index[100]));
}

fn opened(path: &Path) -> Window {
    window(WindowOptions { open: Some(DataSource::File(path.to_path_buf())), ..WindowOptions::default() })
}

#[test]
fn files_that_cannot_be_opened_say_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let text_file = folder.path().join("notes.h5ad");
    std::fs::write(&text_file, "these are notes").unwrap();
    let cut_off = folder.path().join("cut.h5ad");
    let sample = engine::assets::SAMPLE_H5AD;
    std::fs::write(&cut_off, &sample[..sample.len() / 2]).unwrap();
    let mut cases: Vec<(PathBuf, &str)> = vec![(text_file, "HDF5"), (cut_off, "cut.h5ad")];
    if let Some(path) = shared("data/h5ad_zoo/hdf5_not_anndata.h5ad") {
        cases.push((path, "AnnData"));
    }
    for (path, expected) in cases {
        let window = opened(&path);
        assert!(window.state().dataset().is_none(), "{}", path.display());
        assert_shows(&window, &[expected]);
        window.check_accessibility();
    }
}

#[test]
fn a_file_without_an_embedding_lists_its_cells_and_describes_them() {
    let Some(path) = shared("data/cells/pbmc_indrops_scannotate644.h5ad") else { return };
    let mut window = opened(&path);
    assert!(window.state().dataset().unwrap().embeddings.is_empty());
    window.check_accessibility();
    act(&mut window, Action::SelectCell(3));
    assert!(window.state().description(3).is_some());
}

#[test]
fn cells_of_a_mouse_are_noticed_before_anything_is_described() {
    let Some(path) = shared("data/cells/mouse_kidney_tabulamuris215.h5ad") else { return };
    let window = opened(&path);
    let dataset = window.state().dataset().unwrap();
    assert!(dataset.findings.iter().any(|f| f.serious), "{:?}", dataset.findings);
    assert!(shows(&window, "mouse") || shows(&window, "Mouse"));
}
