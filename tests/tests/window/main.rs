//! Journeys through the window: the real app, drawn by a real renderer (software Vulkan where the tests are run by
//! `cargo xtask test`), driven by pointer and keys, and read as a screen reader reads it.
//!
//! What the model says is never compared with stored words: a model that is trained anew says other things. What
//! must hold for any model is tested: it streams, it stops, its claims stand beside it, its type is in the ontology.
//!
//! - this file: from the sample to the exported table
//! - [`mapping`]: the map; [`context`]: what the cells of a file tell of each one
//! - [`choosing`]: the model that describes cells
//! - [`colours`]: colours, legend and names on the map
//! - [`habits`]: what one does every day
//! - [`ontology`]: the Cell Ontology with the user's own cells
//! - [`files`]: files that cannot be opened or described, and a whole real study
//! - [`panels`]: plots, lists of genes, comparisons and figures beside the map
//! - [`selecting`]: choosing cells and going back; [`labelling`]: labels by hand and sessions
//! - [`pictures`]: pictures of the window, compared with the stored ones
//! - [`driver`]: how all of them drive the window
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod choosing;
mod colours;
mod context;
mod driver;
mod files;
mod habits;
mod labelling;
mod mapping;
mod ontology;
mod panels;
mod pictures;
mod selecting;

use std::collections::BTreeSet;

use app::window::{Action, ColourBy, Command, Dialogs, Layout, ThemeChoice, WindowOptions};
use driver::{Window, difference, lonely_cells, sample, window};
use eframe::egui::{Event, Key, Role, vec2};
use egui_kittest::kittest::Queryable as _;
use engine::describe::ClaimKind;
use engine::ontology::Ontology;
use engine::session::{DataSource, Settings};

/// The labels of the sample and how many cells each has, counted with pandas.
const LABELS: [(&str, usize); 10] = [
    ("CD4+/CD25 T Reg", 68),
    ("CD4+/CD45RA+/CD25- Naive T", 8),
    ("CD4+/CD45RO+ Memory", 19),
    ("CD8+ Cytotoxic T", 54),
    ("CD8+/CD45RA+ Naive Cytotoxic", 43),
    ("CD14+ Monocyte", 129),
    ("CD19+ B", 95),
    ("CD34+", 13),
    ("CD56+ NK", 31),
    ("Dendritic", 240),
];

/// Monocytes of the sample that nothing covers.
fn monocytes(window: &Window) -> Vec<usize> {
    lonely_cells(&window.data(), "bulk_labels", "CD14+ Monocyte")
}

#[test]
fn the_first_page_opens_the_sample_in_its_labels_and_colours() {
    let mut window = window(WindowOptions::default());
    window.assert_shows(&["Open an h5ad file…", "nothing leaves this computer"]);
    window.press("Open the PBMC sample");
    window.assert_shows(&["PBMC sample", "700 cells × 765 genes", "No cell selected"]);
    assert_eq!(window.map(), "UMAP, 700 cells, coloured by bulk_labels");
    let legend = LABELS.map(|(name, cells)| format!("{name}, {cells} cells"));
    assert_eq!(window.names(Role::CheckBox), legend);
    // The file's own colours, on the screen: a point lets a twentieth of the ground through.
    let data = window.data();
    let colours = &data.category_colours["bulk_labels"];
    for (i, (name, _)) in LABELS.iter().enumerate() {
        let cell = lonely_cells(&data, "bulk_labels", name)[0];
        let seen = window.colour_of(cell);
        assert!(difference(seen, colours[i]) < 14, "{name}: {seen:?} for {:?}", colours[i]);
    }
}

#[test]
fn a_click_in_the_legend_hides_a_label_and_a_double_click_leaves_only_one() {
    let mut window = sample();
    let cell = monocytes(&window)[0];
    let shown = window.colour_of(cell);
    window.0.get_by_label("CD14+ Monocyte, 129 cells").click();
    window.settle();
    assert!(difference(window.colour_of(cell), shown) > 60, "the cell is still seen");
    window.click_cell(cell);
    window.settle();
    assert_eq!(window.app().selected_cell(), None, "what is hidden cannot be clicked");
    window.press("Show all");
    assert_eq!(window.colour_of(cell), shown);
    let row = window.0.get_by_label("CD14+ Monocyte, 129 cells").rect().center();
    window.click_at(row);
    window.click_at(row);
    window.settle();
    let hidden = &window.app().view().hidden;
    assert_eq!(hidden.len(), LABELS.len() - 1);
    assert_eq!(window.colour_of(cell), shown);
}

#[test]
fn the_cells_are_coloured_by_any_column_of_the_file() {
    let mut window = sample();
    for (column, kind) in [("louvain", "categories"), ("percent_mito", "numbers")] {
        window.0.get_by_role_and_label(Role::ComboBox, "Column to colour by").click();
        window.settle();
        let is_row = |words: &str| words.starts_with(column) && words.ends_with(kind);
        let words = window.names(Role::Button);
        let row = words.iter().find(|words| is_row(words)).unwrap_or_else(|| panic!("{column} in {words:?}"));
        window.press(&row.clone());
        assert_eq!(window.map(), format!("UMAP, 700 cells, coloured by {column}"));
    }
    assert!(window.names(Role::Image).iter().any(|name| name.starts_with("Scale of percent_mito from")));
}

#[test]
fn a_gene_is_found_by_its_symbol_and_by_its_ensembl_id() {
    let mut window = sample();
    for query in ["lyz", "ENSG00000090382"] {
        window.act(Action::ColourBy(ColourBy::Column("bulk_labels".into())));
        window.key(Key::G);
        window.type_in(query);
        window.key(Key::Enter);
        assert_eq!(window.map(), "UMAP, 700 cells, coloured by LYZ", "{query}");
    }
    // The largest value of raw.X, read with h5py, and a scale that begins at nothing.
    let scales = window.names(Role::Image);
    assert!(scales.iter().any(|name| name.starts_with("Scale of LYZ from 0 to 5.36")), "{scales:?}");
    // Cell 685 has that value; B cells have next to none.
    let high = window.colour_of(685);
    let without = lonely_cells(&window.data(), "bulk_labels", "CD19+ B")[0];
    assert!(difference(high, window.colour_of(without)) > 60);

    window.ctrl(Key::P);
    window.type_in("cd79a");
    window.assert_shows(&["Colour by gene CD79A"]);
    window.key(Key::Enter);
    assert_eq!(window.map(), "UMAP, 700 cells, coloured by CD79A");
}

#[test]
fn a_gene_that_the_file_does_not_hold_is_said_to_be_missing() {
    let mut window = sample();
    window.run(Command::FindGene);
    window.type_in("XYZZY1");
    window.assert_shows(&[
        "None of the 765 genes is called “XYZZY1”.",
        "This file names its genes like HES4, TNFRSF4, SSU72.",
    ]);
    window.key(Key::Enter);
    assert_eq!(window.map(), "UMAP, 700 cells, coloured by bulk_labels");
}

#[test]
fn the_map_zooms_at_the_pointer_moves_with_a_drag_and_fits_again() {
    let mut window = sample();
    let map = window.map_rect();
    assert!(window.app().view().camera.is_none(), "a fresh map fits");
    let place = map.center() + vec2(60.0, -40.0);
    window.0.hover_at(place);
    window.0.event(Event::MouseWheel {
        unit: eframe::egui::MouseWheelUnit::Line,
        delta: vec2(0.0, 5.0),
        modifiers: Default::default(),
        phase: eframe::egui::TouchPhase::Move,
        source: eframe::egui::MouseWheelSource::Wheel,
    });
    window.settle();
    let zoomed = window.app().view().camera.expect("the wheel zooms");
    let held = zoomed.to_cells(map, place);
    window.0.drag_at(place);
    window.0.hover_at(place + vec2(50.0, 20.0));
    window.0.drop_at(place + vec2(50.0, 20.0));
    window.settle();
    let moved = window.app().view().camera.unwrap();
    assert_eq!(moved.points_per_unit, zoomed.points_per_unit);
    assert!(
        moved.to_screen(map, held).distance(place + vec2(50.0, 20.0)) < 1.0,
        "the map follows the pointer"
    );
    assert_eq!(window.app().selected_cell(), None, "a drag is no click");
    window.key(Key::F);
    assert!(window.app().view().camera.is_none());
    window.press("PCA");
    assert_eq!(window.map(), "PCA, 700 cells, coloured by bulk_labels");
}

#[test]
fn a_click_on_a_cell_shows_its_record_and_streams_its_description() {
    let mut window = sample();
    let cell = monocytes(&window)[0];
    let data = window.data();
    window.click_cell(cell);
    let mut seen = BTreeSet::new();
    window.step_while(|window| {
        if window.app().situation().has_description {
            seen.extend(window.words());
        }
        window.app().description(cell).is_none()
    });
    window.settle();
    assert_eq!(window.app().selected_cell(), Some(cell));
    let name = &data.obs.index[cell];
    let label = "UMAP, 700 cells, coloured by bulk_labels; selected cell ";
    assert_eq!(window.map(), format!("{label}{name}: CD14+ Monocyte"));

    // The record: every column of the file with its value, and the genes.
    let place = format!("Cell {} of 700", cell + 1);
    window.assert_shows(&[&place, name, " genes detected", "Highest genes", "Recorded in the file"]);
    for column in &data.obs.columns {
        let value = column.text(cell).unwrap();
        window.assert_shows(&[&column.name, &value]);
    }

    // The text came piece by piece, and each piece went on from the one before.
    let description = window.app().description(cell).unwrap().clone();
    let text = description.text.as_str();
    window.assert_shows(&[text, "Written from ", "genes by a language model"]);
    let pieces = seen.iter().filter(|s| s.len() > 3 && s.len() < text.len() && text.starts_with(s.as_str()));
    assert!(pieces.clone().count() > 2, "the text did not stream: {:?}", pieces.collect::<Vec<_>>());

    // Its claims, each with how sure the model was.
    window.assert_shows(&["Claims and evidence"]);
    let claims: Vec<_> = description.claims.iter().filter(|c| c.kind != ClaimKind::Definition).collect();
    assert!(!claims.is_empty());
    for claim in &claims {
        window.assert_shows(&[&claim.value]);
    }
    let sure = window.names(Role::Image).into_iter().filter(|name| name.starts_with("Probability "));
    assert_eq!(sure.count(), claims.len());

    // And what else it may be.
    if let Some(other) = description.other_types.first() {
        window.assert_shows(&[&format!("It may also be: {} ", other.name)]);
    }

    // The evidence leads back to the map.
    if let Some(gene) = claims.iter().flat_map(|c| &c.evidence).next() {
        let chips = window.0.query_all_by_role_and_label(Role::Button, &gene.symbol);
        chips.into_iter().next().expect("evidence is a button").click();
        window.settle();
        assert!(window.map().contains(&format!("coloured by {};", gene.symbol)));
    }
}

#[test]
fn the_type_of_the_cell_stands_in_the_ontology_and_its_parents_can_be_looked_at() {
    let mut window = sample();
    let ontology = Ontology::builtin().unwrap();
    // A type whose parent has few others: of many not all are drawn.
    let told = monocytes(&window).into_iter().find_map(|cell| {
        window.act(Action::SelectCell(cell));
        let description = window.app().description(cell).unwrap();
        let term = description.claim(ClaimKind::CellType).and_then(|c| c.term.clone());
        term.filter(|term| ontology.term(term).unwrap().label.contains("monocyte"))
    });
    let term = told.expect("a monocyte that is told as one");
    let label = &ontology.term(&term).unwrap().label;
    let graph = |label: &str| format!("Neighbourhood of {label} in the Cell Ontology");
    window.assert_shows(&[&graph(label), &format!("{label}, shown term")]);
    let parent = ontology.parents(&term)[0].to_owned();
    let parent_label = &ontology.term(&parent).unwrap().label;
    window.press(&format!("{parent_label}, ancestor"));
    window.assert_shows(&[&graph(parent_label), &format!("{label}, subtype"), &parent]);
    window.press("Back to this cell's type");
    window.assert_shows(&[&graph(label)]);
}

#[test]
fn a_description_stops_at_once_and_can_be_asked_for_again() {
    let mut window = sample();
    // A quick model may be done before the click: then the next cell.
    let stopped = monocytes(&window).into_iter().take(12).find(|&cell| {
        window.click_cell(cell);
        window.step_while(|w| !w.app().situation().has_description && w.app().description(cell).is_none());
        let stop = window.0.query_all_by_role_and_label(Role::Button, "Stop").next().map(|node| node.rect());
        if let Some(stop) = stop {
            window.click_at(stop.center());
        }
        window.settle();
        window.app().description(cell).is_none()
    });
    let cell = stopped.expect("a description that was stopped");
    window.assert_shows(&["Stopped. The text is not complete."]);
    window.assert_hides(&["Claims and evidence", " failed"]);
    window.press("Describe");
    assert!(window.app().description(cell).is_some());
    window.assert_hides(&["Stopped. The text is not complete."]);
}

#[test]
fn another_click_ends_the_description_before_and_describes_the_new_cell() {
    let mut window = sample();
    let cells = monocytes(&window);
    window.click_cell(cells[0]);
    window.step_while(|w| !w.app().situation().has_description);
    window.act(Action::SelectCell(cells[1]));
    assert_eq!(window.app().selected_cell(), Some(cells[1]));
    let text = &window.app().description(cells[1]).unwrap().text.clone();
    window.assert_shows(&[text]);
}

#[test]
fn the_keys_walk_describe_list_and_let_go() {
    let mut window = sample();
    window.key(Key::ArrowRight);
    let first = window.app().selected_cell().expect("the first step goes to the middle");
    window.key(Key::ArrowLeft);
    let second = window.app().selected_cell().unwrap();
    let positions = &window.data().embeddings[0].positions;
    assert!(positions[second][0] < positions[first][0], "left is left");
    window.key(Key::L);
    assert_eq!(window.app().view().layout, Layout::List);
    let name = window.data().obs.index[second].clone();
    let row = window.names(Role::Button).into_iter().find(|row| row.starts_with(&name)).expect("in the list");
    let said = window.app().description(second).unwrap().claim(ClaimKind::CellType).unwrap().value.clone();
    assert!(row.ends_with(&said), "{row}");
    window.key(Key::M);
    window.key(Key::Escape);
    assert_eq!(window.app().selected_cell(), None);
    window.assert_shows(&["No cell selected"]);
}

#[test]
fn the_menu_makes_the_window_light_and_dark() {
    let mut window = window(WindowOptions {
        open: Some(DataSource::Sample),
        theme: Some(ThemeChoice::Light),
        ..WindowOptions::default()
    });
    let corner = window.map_rect().left_top() + vec2(8.0, 8.0);
    assert!(window.colour_at(corner).iter().all(|v| *v > 220));
    window.choose("View", "Dark theme");
    assert!(window.colour_at(corner).iter().all(|v| *v < 40));
    window.choose("View", "Light theme");
    assert!(window.colour_at(corner).iter().all(|v| *v > 220));
}

#[test]
fn export_writes_the_described_cell_to_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("cells.csv");
    let mut window = window(WindowOptions {
        open: Some(DataSource::Sample),
        dialogs: Dialogs::Answers { open: None, save: Some(table.clone()) },
        ..WindowOptions::default()
    });
    window.ctrl(Key::E);
    assert!(!table.exists(), "there is nothing to write yet");
    let cell = monocytes(&window)[0];
    window.click_cell(cell);
    window.settle();
    window.choose("File", "Export CSV…");
    window.assert_shows(&["Wrote 1 cell to cells.csv"]);
    let text = std::fs::read_to_string(&table).unwrap();
    let name = &window.data().obs.index[cell];
    let description = window.app().description(cell).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.starts_with("\"index\",\"c2t_cell_type\","), "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with(&format!("\"{name}\",")), "{text}");
    assert!(text.contains(&description.text.replace('"', "\"\"")), "{text}");
    let provenance = std::fs::read(folder.path().join("cells.provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_slice(&provenance).unwrap();
    assert_eq!(provenance["table"]["rows"], 1);
    assert_eq!(provenance["input"]["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn a_model_that_is_not_there_is_said_and_the_cell_is_still_shown() {
    let mut window = window(WindowOptions {
        open: Some(DataSource::Sample),
        settings: Settings { model: Some("no-such-model".into()), ..Settings::default() },
        ..WindowOptions::default()
    });
    let cell = monocytes(&window)[0];
    window.click_cell(cell);
    window.settle();
    window.assert_shows(&["no-such-model", " failed", "Not described yet.", "Recorded in the file"]);
    window.press("Dismiss");
    window.assert_hides(&["no-such-model"]);
}

#[test]
fn what_is_painted_by_hand_has_a_name_and_a_role() {
    let mut window = sample();
    let cell = monocytes(&window)[0];
    window.click_cell(cell);
    window.settle();
    // Bars of the highest genes: the name with its value.
    let buttons = window.names(Role::Button);
    let genes = window.data().genes.clone();
    let is_bar = |words: &&String| {
        words.split_once(' ').is_some_and(|(gene, value)| {
            value.parse::<f32>().is_ok() && genes.iter().any(|known| known == gene)
        })
    };
    assert!(buttons.iter().filter(is_bar).count() >= 5, "{buttons:?}");
    assert!(window.names(Role::Canvas).iter().any(|name| name.starts_with("Neighbourhood of ")));
    // Buttons that show a sign say what they do.
    for name in ["Fit map", "Zoom in", "Zoom out"] {
        window.0.get_by_role_and_label(Role::Button, name);
    }
    // Every menu line and every line of the palette.
    for menu in app::window::Menu::ALL {
        window.press(menu.text());
        for command in Command::ALL.into_iter().filter(|c| c.menu() == menu) {
            assert!(
                window.0.query_all_by_role_and_label(Role::Button, command.text()).next().is_some(),
                "{command:?}"
            );
        }
        window.key(Key::Escape);
    }
    window.ctrl(Key::P);
    assert!(window.names(Role::Button).iter().any(|line| line == "Colour by louvain"));
    window.key(Key::Escape);
    assert_eq!(window.app().selected_cell(), Some(cell), "Escape closes the palette, and only that");
    window.key(Key::Questionmark);
    window.assert_shows(&["Keyboard shortcuts"]);
    window.press("Close");
}
