//! Selecting cells: lasso, box, legend, range, names, terms, sets, and the steps back.

use app::window::{Action, CellSet, ColourBy, Combine, Command, Edit, Tool};
use eframe::egui::{Event, Key, Modifiers, Pos2, Role, pos2};
use egui_kittest::kittest::Queryable as _;

use super::driver::{Window, difference, lonely_cells, sample};

/// Presses the pointer at the first place, moves over the others and lets go, with keys held.
pub fn draw(window: &mut Window, places: &[Pos2], modifiers: Modifiers) {
    window.0.event(Event::ModifiersChanged(modifiers));
    window.0.hover_at(places[0]);
    window.0.step();
    window.0.drag_at(places[0]);
    window.0.step();
    for place in &places[1..] {
        window.0.hover_at(*place);
        window.0.step();
    }
    window.0.drop_at(places[places.len() - 1]);
    window.0.step();
    window.0.event(Event::ModifiersChanged(Modifiers::NONE));
    window.settle();
}

/// Opposite corners of the right part of the map, which holds some of the cells.
fn corners(window: &Window) -> (Pos2, Pos2) {
    let map = window.map_rect();
    (pos2(map.center().x, map.top() + 4.0), pos2(map.right() - 4.0, map.bottom() - 4.0))
}

pub fn selected(window: &Window) -> Vec<usize> {
    window.app().document().sets.current.iter().collect()
}

/// The cells whose place on the screen lies between two corners.
fn inside(window: &Window, a: Pos2, b: Pos2) -> Vec<usize> {
    let (data, map) = (window.data(), window.map_rect());
    let camera = window.app().view().camera.unwrap();
    let area = eframe::egui::Rect::from_two_pos(a, b);
    let places = data.embeddings[0].positions.iter().enumerate();
    places.filter(|(_, p)| area.contains(camera.to_screen(map, **p))).map(|(cell, _)| cell).collect()
}

/// Looks at all cells with a camera that is known.
fn with_camera(window: &mut Window) {
    let data = window.data();
    let positions = &data.embeddings[0].positions;
    let middle = [0, 1].map(|k| positions.iter().map(|p| p[k]).sum::<f32>() / positions.len() as f32);
    window.act(Action::SetCamera(app::window::Camera { centre: middle, points_per_unit: 30.0 }));
}

#[test]
fn a_box_selects_the_cells_inside_shift_adds_and_alt_takes_away() {
    let mut window = sample();
    with_camera(&mut window);
    let before = window.app().view().camera;
    let (a, b) = corners(&window);
    window.press("Box");
    draw(&mut window, &[a, b], Modifiers::NONE);
    let right = inside(&window, a, b);
    assert!(right.len() > 50 && right.len() < 650, "{}", right.len());
    assert_eq!(selected(&window), right);
    assert_eq!(window.app().view().camera, before, "the map stays where it is");
    window.assert_shows(&[&format!("{} of 700 cells selected", right.len())]);
    assert!(window.map().ends_with(&format!("; {} selected", right.len())), "{}", window.map());

    let map = window.map_rect();
    let left = (pos2(map.left() + 60.0, map.top() + 4.0), pos2(map.center().x, map.bottom() - 4.0));
    draw(&mut window, &[left.0, left.1], Modifiers::SHIFT);
    let both = selected(&window);
    assert!(both.len() > right.len());
    draw(&mut window, &[left.0, left.1], Modifiers::ALT);
    let rest: Vec<usize> =
        both.into_iter().filter(|c| !inside(&window, left.0, left.1).contains(c)).collect();
    assert_eq!(selected(&window), rest);

    // Escape puts the tool away first, and only then lets the cells go.
    window.key(Key::Escape);
    assert!(!selected(&window).is_empty() && !window.app().situation().has_tool);
    window.key(Key::Escape);
    assert!(selected(&window).is_empty());
    window.assert_hides(&["cells selected"]);
    window.ctrl(Key::Z);
    assert_eq!(selected(&window), rest, "letting go is a step, too");
}

#[test]
fn a_lasso_selects_what_it_surrounds_and_dims_the_rest() {
    let mut window = sample();
    let data = window.data();
    let cell = lonely_cells(&data, "bulk_labels", "CD14+ Monocyte")[0];
    let other = lonely_cells(&data, "bulk_labels", "CD19+ B")[0];
    let (inside_before, outside_before) = (window.colour_of(cell), window.colour_of(other));
    window.look_at(cell);
    window.key(Key::S);
    let c = window.map_rect().center();
    let ring: Vec<Pos2> = (0..=24)
        .map(|i| i as f32 / 24.0 * std::f32::consts::TAU)
        .map(|a| pos2(c.x + 20.0 * a.cos(), c.y + 20.0 * a.sin()))
        .collect();
    draw(&mut window, &ring, Modifiers::NONE);
    assert_eq!(selected(&window), [cell]);
    window.key(Key::H);
    assert!(difference(window.colour_of(cell), inside_before) < 6, "a selected cell keeps its colour");
    assert!(difference(window.colour_of(other), outside_before) > 40, "the others are dimmed");
    window.key(Key::I);
    assert_eq!(selected(&window).len(), 699);
    window.key(Key::D);
    assert_eq!(window.colour_of(other), outside_before);
    window.key(Key::A);
    assert_eq!(selected(&window).len(), 700);
}

#[test]
fn a_click_with_a_tool_in_hand_still_reads_a_cell_and_hidden_cells_are_not_selected() {
    let mut window = sample();
    let data = window.data();
    let cell = lonely_cells(&data, "bulk_labels", "CD14+ Monocyte")[0];
    window.key(Key::B);
    window.click_cell(cell);
    window.settle();
    assert_eq!(window.app().selected_cell(), Some(cell));
    let c = window.map_rect().center();
    window.act(Action::ToggleCategory(5));
    draw(&mut window, &[pos2(c.x - 20.0, c.y - 20.0), pos2(c.x + 20.0, c.y + 20.0)], Modifiers::NONE);
    assert!(!selected(&window).contains(&cell));
}

#[test]
fn labels_ranges_names_and_terms_select_their_cells() {
    let mut window = sample();
    window.act(Action::SelectCategory(5));
    assert_eq!(selected(&window).len(), 129);
    assert_eq!(window.app().document().sets.current.len(), 129);

    // The expression of a gene: counted with h5py on raw.X.
    window.run(Command::FindGene);
    window.type_in("LYZ");
    window.key(Key::Enter);
    window.run(Command::ShowSets);
    window.assert_shows(&["By LYZ", "Select the cells in this range"].map(|s| &s[..6]));
    window.act(Action::SelectRange(0.001, 100.0));
    let some = selected(&window).len();
    assert!(some > 200 && some < 700, "{some}");
    window.act(Action::SelectRange(-1.0, 0.0));
    assert_eq!(selected(&window).len(), 700 - some);

    // Names, two of them unknown.
    let data = window.data();
    let names = format!("{}, \"{}\"\nnobody\tnothing", data.obs.index[3], data.obs.index[44]);
    window.key(Key::D);
    window.run(Command::PasteCellNames);
    window.0.get_by_label("Names of cells").focus();
    window.settle();
    window.type_in(&names);
    window.press("Select these cells");
    assert_eq!(selected(&window), [3, 44]);
    window
        .assert_shows(&["2 of 4 names were not found", "nobody, nothing. Cells of this file are named like"]);
    window.press("Dismiss");

    // A term: the labels given by hand count, also for the terms above.
    window.act(Action::SelectTerm("CL:0002319".into()));
    window.assert_shows(&["No cell is known to be a neural cell"]);
    window.press("Dismiss");
    window.act(Action::Edit(Edit::NewColumn("type".into())));
    let term = Some("CL:0000540".into());
    window.act(Action::Edit(Edit::NewCategory { column: 0, name: "N".into(), term }));
    window.act(Action::Edit(Edit::Assign { column: 0, category: Some(0) }));
    window.key(Key::D);
    window.act(Action::SelectTerm("CL:0002319".into()));
    assert_eq!(selected(&window), [3, 44]);
}

#[test]
fn sets_are_saved_renamed_joined_and_forgotten() {
    let mut window = sample();
    window.run(Command::ShowSets);
    window.assert_shows(&["No cells are selected.", "Save the selection as a set to keep it here."]);
    window.act(Action::SelectCategory(5));
    window.press("Save selection as a set");
    // The name can be typed at once.
    window.type_in("monocytes");
    window.key(Key::Enter);
    let names = |window: &Window| {
        window.app().document().sets.named.iter().map(|s| (s.name.clone(), s.cells.len())).collect::<Vec<_>>()
    };
    assert_eq!(names(&window), [("monocytes".to_owned(), 129)]);
    window.act(Action::SelectCategory(6));
    assert_eq!(selected(&window).len(), 95);
    window.press("More for monocytes");
    window.press("Add to the selection");
    assert_eq!(selected(&window).len(), 224);
    window.press("More for monocytes");
    window.press("Take from the selection");
    assert_eq!(selected(&window).len(), 95);
    window.act(Action::SelectSet(0, Combine::Intersect));
    assert!(selected(&window).is_empty());
    window.press("monocytes, 129 cells");
    assert_eq!(selected(&window).len(), 129);
    window.press("More for monocytes");
    window.press("Delete");
    assert!(names(&window).is_empty());
    window.ctrl(Key::Z);
    assert_eq!(names(&window), [("monocytes".to_owned(), 129)]);
    window.act(Action::Edit(Edit::SaveSet("monocytes".into())));
    window.assert_shows(&["There is a set called “monocytes” already."]);
}

#[test]
fn steps_have_names_are_taken_back_and_done_again_and_are_listed() {
    let mut window = sample();
    with_camera(&mut window);
    let (a, b) = corners(&window);
    window.key(Key::B);
    draw(&mut window, &[a, b], Modifiers::NONE);
    let first = selected(&window);
    window.key(Key::I);
    window.run(Command::SaveSet);
    window.key(Key::Escape);
    window.press("Edit");
    window.assert_shows(&["Undo save set Set 1"]);
    window.key(Key::Escape);
    window.ctrl(Key::Z);
    window.press("Edit");
    window.assert_shows(&["Undo invert selection", "Redo save set Set 1"]);
    window.press("Undo invert selection");
    assert_eq!(selected(&window), first);
    window.ctrl(Key::Z);
    assert!(selected(&window).is_empty() && !window.app().situation().can_undo);
    window.0.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    window.settle();
    assert_eq!(selected(&window), first);
    window.run(Command::ShowHistory);
    window.assert_shows(&["Opened", "Box", "Invert selection", "Save set Set 1"]);
    window.press("Save set Set 1");
    assert_eq!(window.app().document().sets.named.len(), 1);
    window.press("Opened");
    assert!(selected(&window).is_empty() && window.app().document().sets.named.is_empty());
    window.press("Close");
}

#[test]
fn the_selection_stays_while_embedding_and_colours_change() {
    let mut window = sample();
    window.act(Action::SelectCategory(2));
    let cells = selected(&window);
    window.press("PCA");
    window.act(Action::ColourBy(ColourBy::Column("louvain".into())));
    assert_eq!(selected(&window), cells);
    assert!(window.map().starts_with("PCA, 700 cells, coloured by louvain; 19 selected"), "{}", window.map());
    assert_eq!(window.app().document().sets.current.as_ref(), &CellSet::from_cells(700, cells));
    let tools =
        ["Move", "Lasso", "Box"].map(|name| window.0.get_by_role_and_label(Role::Button, name).rect());
    assert!(tools[0].bottom() <= tools[1].top() + 0.5);
    let _ = Tool::Pan;
}
