//! What one does every day: annotate all and stop, another matrix, a file held over the window, larger text, files
//! opened before, copying a description, a cell of another species.

use app::window::{Action, Command, WindowOptions};
use eframe::egui::{HoveredFile, Key, OutputCommand, Role};
use egui_kittest::kittest::Queryable as _;
use engine::anndata::MatrixKey;
use engine::session::DataSource;
use tests::shared;

use super::driver::{Window, lonely_cells, opened, sample, window};

fn monocyte(window: &Window) -> usize {
    lonely_cells(&window.data(), "bulk_labels", "CD14+ Monocyte")[0]
}

#[test]
fn annotating_all_cells_is_shown_and_stopped_and_what_is_done_stays() {
    let mut window = sample();
    window.0.state_mut().queue(Action::Run(Command::AnnotateAll));
    window.step_while(|w| !w.words().iter().any(|words| words.ends_with(" described")));
    window.assert_shows(&["Stop"]);
    window.0.state_mut().queue(Action::Run(Command::Stop));
    window.settle();
    let described = (0..700).filter(|cell| window.app().description(*cell).is_some()).count();
    assert!(described > 0 && described < 700, "{described}");
    window.assert_shows(&[&format!("{described} described")]);
    window.assert_hides(&[" failed"]);
}

#[test]
fn another_matrix_is_chosen_and_named_where_genes_are_counted() {
    let mut window = sample();
    let cell = monocyte(&window);
    window.act(Action::SelectCell(cell));
    window.assert_shows(&["genes detected in raw/X"]);
    assert!(window.app().description(cell).is_some());
    window.act(Action::UseMatrix(MatrixKey::X));
    window.assert_shows(&["genes detected in X"]);
    assert_eq!(window.data().matrix.key, MatrixKey::X);
}

#[test]
fn a_file_held_over_the_window_shows_where_it_would_go() {
    let mut window = sample();
    window
        .0
        .input_mut()
        .hovered_files
        .push(HoveredFile { path: Some("/data/lung.h5ad".into()), ..Default::default() });
    window.0.step();
    window.0.step();
    let picture = window.0.render().unwrap();
    let [r, g, b, _] = picture.get_pixel(25, 400).0;
    window.0.input_mut().hovered_files.clear();
    window.settle();
    let after = window.0.render().unwrap();
    assert_ne!([r, g, b], after.get_pixel(25, 400).0[..3], "something lies over the window");
}

#[test]
fn text_grows_and_shrinks_and_everything_stays_in_reach() {
    let mut window = sample();
    let before = window.map_rect();
    for _ in 0..5 {
        window.run(Command::LargerText);
    }
    let scale = window.0.ctx.zoom_factor();
    assert!((scale - 1.1_f32.powi(5)).abs() < 1e-3, "{scale}");
    window.assert_shows(&["PBMC sample", "Options", "No cell selected"]);
    window.run(Command::NormalText);
    assert_eq!(window.0.ctx.zoom_factor(), 1.0);
    assert_eq!(window.map_rect().height(), before.height());
}

#[test]
fn a_file_opened_before_stands_in_the_menu_until_the_list_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.h5ad");
    std::fs::write(&path, engine::assets::SAMPLE_H5AD).unwrap();
    let mut window = opened(&path);
    window.run(Command::OpenSample);
    assert_eq!(window.data().source, DataSource::Sample);
    window.choose("File", "again.h5ad");
    assert_eq!(window.data().source, DataSource::File(path));
    window.choose("File", "Clear recent files");
    window.press("File");
    window.assert_hides(&["again.h5ad - "]);
    let lines = window.names(Role::Button);
    assert!(!lines.contains(&"again.h5ad".to_owned()), "{lines:?}");
}

#[test]
fn a_description_is_copied_whole() {
    let mut window = sample();
    let cell = monocyte(&window);
    window.act(Action::SelectCell(cell));
    let text = window.app().description(cell).unwrap().text.clone();
    window.0.state_mut().queue(Action::Run(Command::CopyDescription));
    let mut copied = None;
    for _ in 0..4 {
        window.0.step();
        let commands = window.0.output().platform_output.commands.clone();
        copied = copied.or_else(|| {
            commands.into_iter().find_map(|c| match c {
                OutputCommand::CopyText(text) => Some(text),
                _ => None,
            })
        });
    }
    assert_eq!(copied.as_deref(), Some(text.as_str()));
}

#[test]
fn a_cell_of_another_species_is_described_only_when_asked_again() {
    let Some(path) = shared("data/cells/mouse_kidney_tabulamuris215.h5ad") else { return };
    let mut window = opened(path);
    window.act(Action::SelectCell(0));
    assert!(window.app().description(0).is_none());
    window.assert_shows(&["Describe anyway", "Not described yet.", "seem not to be human but of mouse"]);
    window.press("Describe anyway");
    assert!(window.app().description(0).is_some());
}

#[test]
fn the_status_bar_does_not_count_while_text_comes() {
    let mut window = sample();
    let cell = monocyte(&window);
    window.0.state_mut().queue(Action::SelectCell(cell));
    window.step_while(|w| !w.app().situation().has_description && w.app().description(cell).is_none());
    assert!(!window.words().iter().any(|w| w == "3 of 3"));
    window.settle();
}

#[test]
fn the_record_stays_where_it_is_while_the_text_grows() {
    let mut window = sample();
    let cell = monocyte(&window);
    window.0.state_mut().queue(Action::SelectCell(cell));
    let mut places = Vec::new();
    window.step_while(|w| {
        if w.app().situation().has_description
            && let Some(heading) = w.0.query_by_label("Highest genes")
        {
            places.push(heading.rect().top());
        }
        w.app().description(cell).is_none()
    });
    window.settle();
    places.push(window.0.get_by_label("Highest genes").rect().top());
    // The first frame lays the panel out.
    let later = places.get(2..).unwrap_or_default();
    assert!(later.windows(2).all(|w| (w[0] - w[1]).abs() < 0.5), "{places:?}");
}

#[test]
fn the_first_hint_is_put_away_and_can_be_seen_again() {
    const HINT: &str = "Click a cell to read what it is.";
    let mut window = sample();
    window.assert_shows(&[HINT]);
    window.press("Got it");
    window.assert_hides(&[HINT]);
    window.run(Command::ShowHint);
    window.assert_shows(&[HINT]);
    // Who has clicked a cell knows.
    window.act(Action::SelectCell(0));
    window.assert_hides(&[HINT]);
}

#[test]
fn every_command_stands_in_the_list_of_shortcuts() {
    let mut window = sample();
    window.key(Key::F1);
    let words = window.words();
    for command in Command::ALL {
        assert!(words.iter().any(|w| w == command.text()), "{command:?}");
    }
    window.press("Close");
}

#[test]
fn a_graphics_card_that_failed_is_said_at_the_start() {
    let window = window(WindowOptions {
        open: Some(DataSource::Sample),
        graphics_failure: Some("out of memory".into()),
        ..WindowOptions::default()
    });
    window.assert_shows(&[
        "The graphics card cannot be used: the processor draws this window",
        "The driver said: out of memory.",
    ]);
    assert!(window.map().starts_with("UMAP, 700 cells"));
}

#[test]
fn the_list_has_headings_that_can_be_read() {
    let mut window = sample();
    window.key(Key::L);
    assert_eq!(window.names(Role::ColumnHeader), ["Cell", "bulk_labels", "Described as"]);
}

#[test]
fn at_twice_the_size_the_map_keeps_a_third_of_the_window() {
    let mut window = window(WindowOptions { open: Some(DataSource::Sample), ..WindowOptions::default() });
    for _ in 0..7 {
        window.run(Command::LargerText);
    }
    let map = window.map_rect();
    let width = window.0.ctx.content_rect().width();
    assert!(map.width() > 0.30 * width, "{map:?} of {width}");
}
