//! Draws the pictures of README.md: `cargo run --workspace --example readme_pictures`.
// An example stops at its first error.
#![allow(clippy::expect_used)]

use app::window::offscreen::{Picture, render_to_png};
use app::window::{Action, ThemeChoice, WindowOptions};
use engine::session::{DataSource, Session, Settings};

/// A monocyte of the sample, whose description names genes that a reader knows.
const CELL: usize = 93;

fn main() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for (theme, name) in [(ThemeChoice::Light, "window-light.png"), (ThemeChoice::Dark, "window-dark.png")] {
        let session = Session::start(Settings::default()).expect("the engine starts");
        let options = WindowOptions {
            open: Some(DataSource::Sample),
            theme: Some(theme),
            remember: false,
            ..WindowOptions::default()
        };
        let picture =
            Picture { size: [1440, 900], actions: vec![Action::SelectCell(CELL)], ..Picture::default() };
        render_to_png(&docs.join(name), session, options, picture).expect("the picture is drawn");
    }
}
