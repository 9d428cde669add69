//! What cells all over a file tell of each one: found out in the background, and never in the way of a click.

use app::window::{Action, WindowOptions};
use engine::session::{DataSource, Settings};

use super::driver::window;
use super::mapping::MADE_UP;

#[test]
fn a_cell_clicked_at_once_is_judged_alone_and_later_ones_with_the_file_in_mind() {
    let mut window = window(WindowOptions {
        open: Some(DataSource::File(MADE_UP.into())),
        settings: Settings { look_over: true, ..Settings::default() },
        ..WindowOptions::default()
    });
    window.act(Action::SelectCell(20));
    let alone = window.app().description(20).expect("described at once").clone();
    assert_eq!(alone.n_context_cells, 0);
    window.assert_shows(&["Judged from this cell alone"]);

    window.step_while(|w| !w.shows("going by 60 cells"));
    window.assert_shows(&["Judged from this cell alone, before the file was looked over."]);
    window.press("Describe again");
    let again = window.app().description(20).unwrap().clone();
    assert_eq!(again.n_context_cells, 60);
    window.assert_shows(&["Judged with 60 cells all over the file in mind."]);
    window.act(Action::SelectCell(30));
    assert_eq!(window.app().description(30).unwrap().n_context_cells, 60);
}
