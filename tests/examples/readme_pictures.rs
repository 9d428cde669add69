//! Draws the pictures of README.md: `cargo run --package tests --example readme_pictures`.
// An example stops at its first error.
#![allow(clippy::expect_used)]

use std::time::{Duration, Instant};

use app::window::offscreen::Offscreen;
use app::window::{Action, ThemeChoice, WindowOptions};
use engine::session::{DataSource, Session, Settings};

/// A dendritic cell of the sample, whose description names genes that a reader knows.
const CELL: usize = 93;
/// Nothing here takes this long.
const LIMIT: Duration = Duration::from_secs(180);

fn main() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let cell = std::env::var("README_CELL").ok().and_then(|text| text.parse().ok()).unwrap_or(CELL);
    for (theme, name) in [(ThemeChoice::Light, "window-light.png"), (ThemeChoice::Dark, "window-dark.png")] {
        let settings = Settings { look_over: true, ..Settings::default() };
        let session = Session::start(settings).expect("the engine starts");
        let options = WindowOptions {
            open: Some(DataSource::Sample),
            theme: Some(theme),
            remember: false,
            ..WindowOptions::default()
        };
        let mut window = Offscreen::new(session, options, [1440, 900], 1.0).expect("an adapter draws");
        window.settle(LIMIT).expect("the sample opens");
        // As one finds it after a few seconds: the file was looked over.
        let begun = Instant::now();
        while window.app().context().is_none() && begun.elapsed() < LIMIT {
            window.settle(LIMIT).expect("the window goes on");
            std::thread::sleep(Duration::from_millis(50));
        }
        window.queue(Action::SelectCell(cell));
        window.settle(LIMIT).expect("the cell is described");
        let picture = window.paint().expect("the window is painted");
        picture.save(docs.join(name)).expect("the picture is written");
    }
}
