//! What one does every day: annotate all and stop, another matrix, a file held over the window, larger text, files
//! opened before, copying a description, a cell of another species.

use app::window::{
    Action, ColourBy, Combine, Command, Dialogs, Edit, Layout, Pane, PlotSettings, ThemeChoice, WindowOptions,
};
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
fn descriptions_that_are_in_no_file_are_not_left_behind_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.csv");
    let mut window = window(WindowOptions {
        open: Some(DataSource::Sample),
        dialogs: Dialogs::Answers { open: None, save: Some(path.clone()) },
        ..WindowOptions::default()
    });
    let described =
        |window: &Window| (0..700).filter(|cell| window.app().description(*cell).is_some()).count();
    window.0.state_mut().queue(Action::Run(Command::AnnotateAll));
    window.step_while(|w| described(w) < 40);
    window.0.state_mut().queue(Action::Run(Command::Stop));
    window.settle();
    let made = described(&window);
    window.run(Command::OpenSample);
    window.assert_shows(&[&format!("{made} descriptions are in no file"), "Opening another data set"]);
    window.press("Stay");
    assert_eq!(described(&window), made);
    window.run(Command::OpenSample);
    window.press("Open without saving");
    assert_eq!(described(&window), 0);
    // A few are made again at a click, and what is in a file is not lost.
    window.act(Action::SelectCell(3));
    window.run(Command::OpenSample);
    window.assert_hides(&["in no file"]);
    window.0.state_mut().queue(Action::Run(Command::AnnotateAll));
    window.step_while(|w| described(w) < 40);
    window.0.state_mut().queue(Action::Run(Command::Stop));
    window.settle();
    window.run(Command::OpenSample);
    window.press("Export CSV…");
    assert!(path.exists());
    window.assert_shows(&["All descriptions are in a file"]);
    window.press("Stay");
    window.run(Command::OpenSample);
    window.assert_hides(&["in no file"]);
    assert_eq!(described(&window), 0);
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
fn a_gene_is_found_by_its_name_in_another_matrix_or_said_to_be_missing() {
    // X holds 20 genes of the 230 in raw, in another order.
    let Some(path) = shared("data/h5ad_zoo/soma__pbmc-small__842fc1.h5ad") else { return };
    let mut window = opened(path);
    window.act(Action::UseMatrix(MatrixKey::X));
    let few = window.data().genes.clone();
    window.act(Action::UseMatrix(MatrixKey::Raw));
    let colour = |window: &Window, symbol: &str| {
        let gene = window.data().genes.iter().position(|of| of == symbol).unwrap();
        ColourBy::Gene { gene, symbol: symbol.to_owned() }
    };
    let both = few.last().unwrap();
    window.act(Action::ColourBy(colour(&window, both)));
    window.act(Action::UseMatrix(MatrixKey::X));
    assert_eq!(window.app().view().colour_by, colour(&window, both));
    window.act(Action::UseMatrix(MatrixKey::Raw));
    assert_eq!(window.app().view().colour_by, colour(&window, both));
    let only = window.data().genes.iter().find(|gene| !few.contains(gene)).unwrap().clone();
    window.act(Action::ColourBy(colour(&window, &only)));
    window.act(Action::UseMatrix(MatrixKey::X));
    window.assert_shows(&["Gene not found", &format!("X does not hold {only}.")]);
    assert!(!matches!(window.app().view().colour_by, ColourBy::Gene { .. }));
}

#[test]
fn a_list_of_genes_dropped_on_open_data_is_kept_and_the_data_stay() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("mine.gmt");
    std::fs::write(&list, "Mine\t\tCD3D\tLYZ\n").unwrap();
    let mut window = sample();
    window.drop_file(&list);
    assert_eq!(window.data().source, DataSource::Sample);
    assert_eq!(window.app().saved().gene_lists.len(), 1);
    window.assert_hides(&[" failed"]);
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

#[test]
fn a_panel_is_taken_by_its_tab_to_another_place() {
    let mut window = sample();
    window.run(Command::ShowViolin);
    window.run(Command::ShowHeatmap);
    let in_front = |window: &Window| window.app().saved().dock.in_front();
    assert_eq!(in_front(&window), [Pane::Map, Pane::Heatmap].into(), "the violin plot is behind it");
    let tab = window.0.get_by_role_and_label(Role::Button, "Heatmap").rect().center();
    let map = window.map_rect();
    window.drag(tab, map.center_bottom() - eframe::egui::vec2(0.0, 12.0));
    assert_eq!(in_front(&window), [Pane::Map, Pane::Heatmap, Pane::Violin].into());
    let tab = window.0.get_by_role_and_label(Role::Button, "Heatmap").rect();
    assert!(window.map_rect().bottom() <= tab.top() && window.map_rect().height() < map.height());
    assert!(tab.center().x < map.right(), "it lies below the map, {tab:?}");
    // And back into the tabs it came from.
    let violin = window.0.get_by_role_and_label(Role::Button, "Violin plot").rect();
    window.drag(tab.center(), violin.center());
    assert_eq!(in_front(&window).len(), 2);
    assert_eq!(window.app().saved().dock.panes().len(), 3);
}

#[test]
fn what_was_set_is_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cells.h5ad");
    std::fs::write(&file, engine::assets::SAMPLE_H5AD).unwrap();
    let state_file = folder.path().join("state").join("window.json");
    let options = || WindowOptions {
        open: Some(DataSource::File(file.clone())),
        state_file: Some(state_file.clone()),
        autosave: Some(folder.path().join("autosaved")),
        ..WindowOptions::default()
    };
    let mut first = window(options());
    first.run(Command::ThemeDark);
    first.run(Command::LargerText);
    first.run(Command::ToggleDataPanel);
    first.run(Command::ShowDotPlot);
    first.act(Action::ColourBy(ColourBy::Column("phase".into())));
    first.act(Action::SetPlots(Box::new(PlotSettings {
        genes: vec!["LYZ".into(), "NKG7".into()],
        ..PlotSettings::default()
    })));
    first.look_at(12);
    first.act(Action::SelectCategory(0));
    first.act(Action::Edit(Edit::SaveSet("mine".into())));
    // It is written some seconds after the last change, beside the window.
    let until = first.0.ctx.time() + 4.0;
    first.step_while(|w| w.0.ctx.time() < until || !state_file.is_file());
    let (saved, view) = (first.app().saved().clone(), first.app().view().clone());
    let chosen = first.app().sets().current.len();
    assert!(chosen > 0);
    drop(first);

    let mut second = window(options());
    let again = second.app().saved();
    assert_eq!((again.theme, again.data_panel_open), (ThemeChoice::Dark, false));
    assert_eq!(again.dock, saved.dock);
    assert!(again.dock.shows(Pane::Map) && again.dock.shows(Pane::DotPlot));
    assert!((second.0.ctx.zoom_factor() - 1.1).abs() < 1e-3);
    assert_eq!(second.app().view().colour_by, view.colour_by);
    assert_eq!(second.app().view().plots, view.plots);
    assert_eq!(second.app().view().layout, Layout::Map);
    assert_eq!(second.app().view().camera, view.camera);
    // The set was saved by itself with the labels.
    second.act(Action::SelectSet(0, Combine::Replace));
    assert_eq!(second.app().sets().current.len(), chosen);
}
