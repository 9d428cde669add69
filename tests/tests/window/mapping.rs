//! The map itself: cells under the pointer, cells without a place, any embedding, its buttons, and its stopping.

use app::window::{Action, Command, WindowOptions};
use eframe::egui::Role;
use egui_kittest::kittest::Queryable as _;
use engine::anndata::Values;
use engine::session::DataSource;
use tests::shared;

use super::driver::{Window, lonely_cells, opened, sample, window};

/// 60 made-up cells of which the first 7 have no place on the UMAP, made by tests/python/made_up_cells.py.
pub const MADE_UP: &str = "tests/window/made_up.h5ad";
const WITHOUT_PLACE: usize = 7;

#[test]
fn the_cell_under_the_pointer_says_its_name_and_what_it_is_coloured_by() {
    let mut window = sample();
    let data = window.data();
    let cell = lonely_cells(&data, "bulk_labels", "CD14+ Monocyte")[0];
    window.look_at(cell);
    let name = data.obs.index[cell].clone();
    window.assert_hides(&[&name]);
    window.0.hover_at(window.map_rect().center());
    window.settle();
    window.assert_shows(&[&name, "CD14+ Monocyte"]);
    assert_eq!(window.app().selected_cell(), None, "pointing is no clicking");
    window.0.remove_cursor();
    window.settle();
    window.assert_hides(&[&name]);
}

#[test]
fn cells_without_a_place_are_counted_never_drawn_and_still_listed_and_described() {
    let mut window = opened(MADE_UP);
    let data = window.data();
    assert_eq!(data.n_obs, 60);
    assert_eq!(window.map(), "UMAP, 60 cells, coloured by group");
    window.assert_shows(&[&format!("{WITHOUT_PLACE} cells have no place here")]);
    // Not by a box around everything, nor by a step of the arrow keys.
    let everywhere = vec![[-99.0, -99.0], [99.0, -99.0], [99.0, 99.0], [-99.0, 99.0]];
    let all = Action::SelectArea { what: "box", area: everywhere, combine: app::window::Combine::Replace };
    window.act(all.clone());
    let chosen: Vec<usize> = window.app().sets().current.iter().collect();
    assert_eq!(chosen, (WITHOUT_PLACE..60).collect::<Vec<_>>());
    // On another embedding, of three columns, all have one; the selection stays.
    window.run(Command::NextEmbedding);
    assert_eq!(window.app().view().embedding, "X_mds");
    window.assert_hides(&["have no place here"]);
    assert_eq!(window.app().sets().current.len(), 60 - WITHOUT_PLACE);
    window.act(all);
    assert_eq!(window.app().sets().current.len(), 60);
    // A missing label is a category of its own.
    let legend = window.names(Role::CheckBox);
    assert!(legend.contains(&"missing, 7 cells".to_owned()), "{legend:?}");
    let Values::Categorical { codes, .. } = &data.obs.column("group").unwrap().values else { panic!() };
    assert_eq!(codes.iter().filter(|c| **c < 0).count(), 7);
}

#[test]
fn the_buttons_of_the_camera_are_in_reach_however_narrow_the_map() {
    for size in [[1280.0, 800.0], [1000.0, 700.0], [720.0, 480.0]] {
        let mut window = window(WindowOptions { open: Some(DataSource::Sample), ..WindowOptions::default() });
        window.0.set_size(size.into());
        window.settle();
        for _ in 0..7 {
            window.run(Command::LargerText);
        }
        reach_camera(&mut window, size);
    }
}

/// Zooms in by a button or by a line of the menu in its place, and shows everything again.
#[track_caller]
fn reach_camera(window: &mut Window, size: [f32; 2]) {
    let whole = window.0.ctx.content_rect();
    let find = |window: &Window, name: &str| {
        window.0.query_all_by_role_and_label(Role::Button, name).next().map(|node| node.rect())
    };
    for command in [Command::ZoomIn, Command::FitMap] {
        let before = window.app().view().camera;
        if find(window, command.text()).is_none() {
            // The menu of embeddings has the name of the one shown.
            window.press("UMAP");
        }
        let button = find(window, command.text()).unwrap_or_else(|| panic!("{command:?} at {size:?}"));
        assert!(whole.contains_rect(button), "{command:?} at {size:?}: {button:?} in {whole:?}");
        window.press(command.text());
        assert_ne!(window.app().view().camera, before, "{command:?} at {size:?}");
    }
}

#[test]
fn computing_a_map_shows_how_far_it_is_and_stops_when_told() {
    let Some(path) = shared("data/cells/pbmc_ifnb_kang_2800.h5ad") else { return };
    let mut window = opened(path);
    window.0.state_mut().queue(Action::Run(Command::ComputeMap));
    window.step_while(|w| !w.shows("Computing a map"));
    let stop = window.0.query_all_by_role_and_label(Role::Button, "Stop").next().expect("a stop").rect();
    window.click_at(stop.center());
    window.settle();
    assert!(!window.app().situation().has_map);
    window.assert_shows(&["This file has no map", "Compute a map"]);
    window.assert_hides(&[" failed"]);
}
