//! The Cell Ontology: counts of the user's own cells, the browser, the table, the whole window, exports.

use app::window::{Action, Command, Dialogs, WindowOptions};
use eframe::egui::{Key, Role};
use egui_kittest::kittest::Queryable as _;
use engine::ontology::Ontology;
use engine::session::DataSource;

use super::driver::{Window, sample, window};

const MONOCYTE: &str = "CL:0000576";
const B_CELL: &str = "CL:0000236";

/// The number in the first button that begins with "Select " and ends with " of NAME".
fn cells_of(window: &Window, name: &str) -> Option<usize> {
    let end = format!(" of {name}");
    let words =
        window.names(Role::Button).into_iter().find(|n| n.starts_with("Select ") && n.ends_with(&end))?;
    words.split(' ').nth(1)?.replace(',', "").parse().ok()
}

#[test]
fn an_empty_ontology_takes_one_line_and_opens_with_a_term() {
    let mut window = sample();
    let slim = window.map_rect();
    window.assert_shows(&["The type of a described cell appears here."]);
    window.act(Action::ShowTerm(MONOCYTE.into()));
    let open = window.map_rect();
    window.settle();
    assert_eq!(window.map_rect(), open, "the panel keeps its height");
    assert!(slim.height() > open.height() + 100.0, "{slim:?} {open:?}");
    window.assert_shows(&["Neighbourhood of monocyte in the Cell Ontology", "monocyte, shown term"]);
    // The top of the graph is in sight.
    let graph =
        window.0.get_by_role_and_label(Role::Canvas, "Neighbourhood of monocyte in the Cell Ontology").rect();
    let ontology = Ontology::builtin().unwrap();
    for parent in ontology.parents(MONOCYTE) {
        let label = &ontology.term(parent).unwrap().label;
        let node = window.0.query_all_by_label(&format!("{label}, ancestor")).next().map(|n| n.rect());
        if let Some(node) = node {
            assert!(node.top() >= graph.top(), "{label}: {node:?} in {graph:?}");
        }
    }
}

#[test]
fn terms_carry_the_cells_of_the_file_and_select_them() {
    let mut window = sample();
    window.act(Action::ShowTerm(B_CELL.into()));
    // The sample names its cells "CD19+ B", "Dendritic" and so on: those that the ontology knows are counted.
    window.press("Your types");
    window.assert_shows(&["Counted: ", "by the names in obs/bulk_labels"]);
    window.key(Key::Escape);
    let types = window.names(Role::Button);
    assert!(!types.is_empty());
    window.act(Action::ShowTerm("CL:0000451".into()));
    let dendritic = cells_of(&window, "dendritic cell").expect("dendritic cells are counted");
    assert!(dendritic >= 240, "{dendritic}");
    window.act(Action::SelectTerm("CL:0000451".into()));
    assert_eq!(window.app().sets().current.len(), dendritic);
}

#[test]
fn the_browser_searches_by_synonym_and_walks_by_opening_terms() {
    let mut window = sample();
    window.run(Command::BrowseOntology);
    window.assert_shows(&["Counted: "]);
    window.type_in("T lymphocyte");
    window.assert_shows(&["T cell"]);
    window.key(Key::Enter);
    window.assert_shows(&["Neighbourhood of T cell in the Cell Ontology"]);
    window.press("Browse");
    for _ in 0.."T lymphocyte".len() {
        window.0.key_press(Key::Backspace);
    }
    window.settle();
    let open =
        window.names(Role::Button).into_iter().find(|n| n.starts_with("Close cell, ")).expect("a tree");
    window.press(&open);
    let open = window.names(Role::Button).into_iter().find(|n| n.starts_with("Open cell, ")).expect("closed");
    window.press(&open);
}

#[test]
fn the_graph_has_a_table_as_its_twin() {
    let mut window = sample();
    window.act(Action::ShowTerm(MONOCYTE.into()));
    window.press("Table");
    let headings = window.names(Role::ColumnHeader);
    assert_eq!(headings, ["Term", "Id", "Place", "Is a", "Your cells", "Described"]);
    let rows = window.names(Role::Row);
    // From the top of the graph downwards; what is out of sight is not laid out.
    assert!(rows[0].starts_with("cell, CL:0000000, ancestor, "), "{rows:?}");
    let second = rows[1].clone();
    let label = second.split(", ").next().unwrap().to_owned();
    window.0.get_by_role_and_label(Role::Row, &second).click();
    window.settle();
    let is_shown = |r: &String| r.starts_with(&format!("{label}, ")) && r.contains(", shown term, ");
    assert!(window.names(Role::Row).iter().any(is_shown));
    window.press("Graph");
    window.assert_shows(&[&format!("Neighbourhood of {label} in the Cell Ontology")]);
}

#[test]
fn the_ontology_takes_the_whole_window_and_gives_it_back_on_escape() {
    let mut window = sample();
    window.act(Action::ShowTerm(MONOCYTE.into()));
    let few = window.names(Role::Button).iter().filter(|n| n.ends_with(", subtype")).count();
    window.press("Whole window");
    window.assert_shows(&["Back to the map", "Counted: "]);
    assert!(window.names(Role::Canvas).iter().all(|n| !n.contains(" cells")), "the map makes room");
    let more = window.names(Role::Button).iter().filter(|n| n.ends_with(", subtype")).count();
    assert!(more >= few);
    window.key(Key::Escape);
    assert_eq!(window.map(), "UMAP, 700 cells, coloured by bulk_labels");
}

#[test]
fn the_terms_shown_are_written_as_a_picture_and_as_a_table() {
    let folder = tempfile::tempdir().unwrap();
    for (command, name, begins) in [
        (Command::ExportOntologySvg, "monocyte.svg", "<svg "),
        (Command::ExportOntologyCsv, "monocyte.csv", "\"term_id\",\"label\","),
    ] {
        let path = folder.path().join(name);
        let mut window = window(WindowOptions {
            open: Some(DataSource::Sample),
            dialogs: Dialogs::Answers { open: None, save: Some(path.clone()) },
            ..WindowOptions::default()
        });
        window.run(command);
        assert!(!path.exists(), "there is no term yet");
        window.act(Action::ShowTerm(MONOCYTE.into()));
        window.run(command);
        window.assert_shows(&[&format!(" terms to {name}")]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(begins) && text.contains("leukocyte"), "{text}");
    }
}
