//! Labels given by hand, saved by themselves, exported; and session files.

use std::path::{Path, PathBuf};

use app::window::{Action, Command, Dialogs, Edit, WindowOptions};
use eframe::egui::{Key, Role};
use engine::session::{DataSource, Settings};

use super::driver::{Window, sample, window};

/// A window on the sample that saves by itself into `folder` and answers dialogs.
fn with_folder(folder: &Path, answers: (Option<PathBuf>, Option<PathBuf>)) -> Window {
    window(WindowOptions {
        open: Some(DataSource::Sample),
        autosave: Some(folder.to_path_buf()),
        dialogs: Dialogs::Answers { open: answers.0, save: answers.1 },
        settings: Settings { model: Some("no-such-model".into()), ..Settings::default() },
        ..WindowOptions::default()
    })
}

/// Types a label for the selected cells.
fn label(window: &mut Window, text: &str) {
    window.run(Command::LabelCells);
    window.type_in(text);
    window.key(Key::Enter);
}

/// Labels and how many cells each has.
fn labels(window: &Window) -> Vec<(String, usize)> {
    let document = window.app().document();
    document.labels[0].categories.iter().map(|c| (c.name.clone(), c.cells.len())).collect()
}

#[test]
fn cells_are_labelled_with_names_of_the_ontology_and_coloured_by_them() {
    let mut window = sample();
    window.run(Command::ShowLabels);
    window.assert_shows(&["No labels yet"]);
    window.press("Begin labels");
    assert_eq!(window.map(), "UMAP, 700 cells, coloured by cell_type_by_hand");
    window.act(Action::SelectCategory(0));
    assert_eq!(window.app().document().sets.current.len(), 700, "every cell is unassigned yet");
    window.act(Action::ColourBy(app::window::ColourBy::Column("bulk_labels".into())));
    window.act(Action::SelectCategory(5));
    // The ontology offers its names as one types.
    window.run(Command::LabelCells);
    window.type_in("classical mono");
    window.assert_shows(&["classical monocyte CL:0000860"]);
    let rows = window.names(Role::Button);
    let row = rows.iter().find(|name| name.starts_with("classical monocyte")).unwrap().clone();
    window.press(&row);
    assert_eq!(labels(&window), [("classical monocyte".to_owned(), 129)]);
    assert_eq!(window.app().document().labels[0].categories[0].term.as_deref(), Some("CL:0000860"));
    // A name of one's own, and one whose term is known by the name.
    window.act(Action::SelectCategory(6));
    label(&mut window, "mystery");
    window.act(Action::SelectCategory(8));
    label(&mut window, "Natural killer cell");
    let document = window.app().document();
    let terms: Vec<_> = document.labels[0].categories.iter().map(|c| c.term.as_deref()).collect();
    assert_eq!(terms, [Some("CL:0000860"), None, Some("CL:0000623")]);
    window.assert_shows(&["255 of 700 cells labelled"]);
    // A label given again takes the cells along.
    window.act(Action::SelectCategory(6));
    label(&mut window, "natural killer CELL");
    assert_eq!(labels(&window)[1..], [("mystery".to_owned(), 0), ("Natural killer cell".to_owned(), 126)]);
    window.press("Colour by cell_type_by_hand");
    assert!(window.map().contains("coloured by cell_type_by_hand"));
    let legend = window.names(Role::CheckBox);
    assert!(legend.contains(&"Natural killer cell, 126 cells".to_owned()), "{legend:?}");
    assert!(legend.contains(&"unassigned, 445 cells".to_owned()), "{legend:?}");
}

#[test]
fn labels_are_renamed_merged_deleted_and_every_step_can_be_taken_back() {
    let mut window = sample();
    for (row, name) in [(0, "one"), (1, "two"), (2, "three")] {
        window.act(Action::ColourBy(app::window::ColourBy::Column("bulk_labels".into())));
        window.act(Action::SelectCategory(row));
        label(&mut window, name);
    }
    let begun = labels(&window);
    assert_eq!(begun, [("one".to_owned(), 68), ("two".to_owned(), 8), ("three".to_owned(), 19)]);
    window.press("More for one");
    window.press("Rename");
    window.type_in("first");
    window.key(Key::Enter);
    assert_eq!(labels(&window)[0].0, "first");
    window.press("More for two");
    window.press("Merge into");
    window.press("three");
    assert_eq!(labels(&window), [("first".to_owned(), 68), ("three".to_owned(), 27)]);
    window.press("More for first");
    window.press("Delete");
    window.key(Key::Delete);
    assert_eq!(labels(&window), [("three".to_owned(), 8)], "the selected cells have no label any more");
    for _ in 0..4 {
        window.ctrl(Key::Z);
    }
    assert_eq!(labels(&window), begun);
    window.act(Action::Edit(Edit::NewCategory { column: 0, name: "NA".into(), term: None }));
    window.assert_shows(&["would be read as a missing value by pandas and R"]);
}

#[test]
fn labels_are_back_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = with_folder(folder.path(), (None, None));
    first.act(Action::SelectCategory(3));
    label(&mut first, "killers");
    first.run(Command::SaveSet);
    let document = first.app().document();
    // No farewell: what was not written by itself is lost.
    std::mem::forget(first);

    let second = with_folder(folder.path(), (None, None));
    second.assert_shows(&["Your work on this file is back", "1 column of labels and 1 set"]);
    assert_eq!(second.app().document(), document);
    assert!(!second.app().situation().can_undo);
}

#[test]
fn labels_are_exported_as_a_table_of_all_cells() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("labels.csv");
    let mut window = with_folder(&folder.path().join("auto"), (None, Some(table.clone())));
    window.key(Key::Questionmark);
    window.assert_shows(&["Lasso tool", "Undo", "Export labels"]);
    window.press("Close");
    window.act(Action::SelectCategory(5));
    label(&mut window, "monocyte");
    window.choose("File", "Export labels…");
    window.assert_shows(&["Wrote the labels of 700 cells to labels.csv"]);
    let text = std::fs::read_to_string(&table).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next().unwrap(),
        "\"index\",\"annotation_cell_type_by_hand\",\"annotation_cell_type_by_hand_ontology_term_id\""
    );
    assert_eq!(lines.clone().count(), 700);
    assert_eq!(lines.clone().filter(|l| l.ends_with(",\"monocyte\",\"CL:0000576\"")).count(), 129);
    assert_eq!(lines.filter(|l| l.ends_with(",\"unassigned\",\"unknown\"")).count(), 571);
    let provenance = std::fs::read_to_string(folder.path().join("labels.provenance.json")).unwrap();
    assert!(provenance.contains("\"ontology_release\"") && provenance.contains("\"cells\": 129"));
}

#[test]
fn a_session_brings_sets_labels_and_view_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("work.cell2text.json");
    let mut first = with_folder(&folder.path().join("a"), (None, Some(path.clone())));
    first.press("PCA");
    first.act(Action::SelectCategory(3));
    label(&mut first, "killers");
    first.run(Command::SaveSet);
    first.key(Key::Escape);
    first.act(Action::ToggleCategory(1));
    first.choose("File", "Save session…");
    first.assert_shows(&["Saved the session to work.cell2text.json"]);
    let (document, view) = (first.app().document(), first.app().view().clone());
    drop(first);

    let mut second = window(WindowOptions {
        dialogs: Dialogs::Answers { open: Some(path.clone()), save: None },
        ..WindowOptions::default()
    });
    second.choose("File", "Open session…");
    second.assert_shows(&["Opened the session work.cell2text.json"]);
    assert_eq!(second.app().document(), document);
    assert_eq!(second.app().view(), &view);
    assert!(second.map().starts_with("PCA, 700 cells"));

    // Damaged, or not a session at all: said, and what is open stays.
    for (text, words) in [("{", "EOF"), ("{\"format\": \"x\"}", "expected cell2text session")] {
        std::fs::write(&path, text).unwrap();
        second.drop_file(&path);
        second.assert_shows(&["The session cannot be opened", words]);
        assert_eq!(second.app().document(), document);
    }
}

#[test]
fn of_a_file_of_the_old_layout_no_copy_is_written_and_the_way_out_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.h5ad");
    let mut window = with_folder(folder.path(), (None, Some(path.clone())));
    window.act(Action::SelectCategory(3));
    label(&mut window, "killers");
    window.choose("File", "Write annotations into a copy…");
    window.assert_shows(&["one table of records"]);
    assert!(!path.exists());
}

#[test]
fn labels_do_not_take_the_name_of_a_column_of_the_file() {
    let mut window = sample();
    window.act(Action::Edit(Edit::NewColumn("louvain".into())));
    window.assert_shows(&["The file has a column called “louvain”. Choose another name."]);
    assert!(window.app().document().labels.is_empty());
    window.act(Action::Edit(Edit::NewColumn("mine".into())));
    window.act(Action::Edit(Edit::RenameColumn(0, "louvain".into())));
    assert_eq!(window.app().document().labels[0].name, "mine");
}

#[test]
fn labels_that_an_opened_session_does_not_hold_come_back_with_undo() {
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("work.cell2text.json");
    let mut window = window(WindowOptions {
        open: Some(DataSource::Sample),
        autosave: Some(folder.path().join("autosave")),
        dialogs: Dialogs::Answers { open: Some(session.clone()), save: Some(session) },
        ..WindowOptions::default()
    });
    window.run(Command::SaveSession);
    window.act(Action::SelectCategory(3));
    window.act(Action::Edit(Edit::SaveSet("mine".into())));
    let document = window.app().document();
    window.run(Command::OpenSession);
    assert!(window.app().document().sets.named.is_empty());
    window.run(Command::Undo);
    assert_eq!(window.app().document(), document);
}

#[test]
fn a_session_finds_a_data_file_that_was_moved_and_asks_for_one_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    for folder in [&old, &new] {
        std::fs::create_dir(folder).unwrap();
    }
    let data = old.join("pbmc.h5ad");
    std::fs::write(&data, engine::assets::SAMPLE_H5AD).unwrap();
    let session = new.join("work.cell2text.json");
    let options = |open: Option<PathBuf>| WindowOptions {
        dialogs: Dialogs::Answers { open, save: Some(session.clone()) },
        ..WindowOptions::default()
    };
    let mut first = window(WindowOptions { open: Some(DataSource::File(data.clone())), ..options(None) });
    first.act(Action::SelectCategory(3));
    first.act(Action::Edit(Edit::SaveSet("mine".into())));
    first.run(Command::SaveSession);
    let document = first.app().document();
    drop(first);

    // Moved along with the session.
    std::fs::rename(&data, new.join("pbmc.h5ad")).unwrap();
    let mut second = window(options(Some(session.clone())));
    second.run(Command::OpenSession);
    assert_eq!(second.app().document(), document);
    drop(second);

    // Elsewhere: the user is asked, and may be wrong.
    let elsewhere = folder.path().join("renamed.h5ad");
    std::fs::rename(new.join("pbmc.h5ad"), &elsewhere).unwrap();
    let mut third = window(options(Some(elsewhere)));
    third.drop_file(&session);
    third.assert_shows(&["Where is pbmc.h5ad?"]);
    assert_eq!(third.app().document(), document);

    // Other data than those of the session are refused.
    let text = std::fs::read_to_string(&session).unwrap();
    let at = text.find("obs_index_sha256").unwrap() + 20;
    let changed = format!("{}{}{}", &text[..at], "00000000", &text[at + 8..]);
    std::fs::write(&session, changed).unwrap();
    third.drop_file(&session);
    third.assert_shows(&["The session does not fit", "with other cells"]);
    assert!(third.app().document().sets.named.is_empty());
}
