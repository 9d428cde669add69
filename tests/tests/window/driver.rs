//! Driving the window: the real app, its frames, its pointer and keys, and what a screen reader finds in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use app::window::{Action, App, Camera, Command, ThemeChoice, WindowOptions};
use eframe::egui::{self, Event, Key, Modifiers, Pos2, Role, Theme};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use engine::anndata::Values;
use engine::session::{DataSource, Dataset, DevicePreference, Session, Settings};

/// Nothing in a test takes this long; a window that hangs fails instead of hanging the tests.
const HANG: Duration = Duration::from_secs(120);
/// Frames without work after which the window is at rest. Together they last longer than the time within which a
/// second click makes a double click.
const QUIET_FRAMES: usize = 8;
/// Seconds of the window's clock from one frame to the next.
const FRAME_SECS: f32 = 0.05;

/// The window under test.
pub struct Window(pub Harness<'static, App>);

/// A window with the model on the CPU, that remembers only where it is given a file for it.
pub fn window(options: WindowOptions) -> Window {
    let settings = Settings { device: DevicePreference::Cpu, ..options.settings.clone() };
    let session = Session::start(settings.clone()).unwrap();
    // The harness sets the theme after the app did.
    let theme = if options.theme == Some(ThemeChoice::Dark) { Theme::Dark } else { Theme::Light };
    let options = WindowOptions { remember: options.state_file.is_some(), settings, ..options };
    let harness = Harness::builder()
        .with_size([1280.0, 800.0])
        .with_theme(theme)
        .with_step_dt(FRAME_SECS)
        .with_render_cursor(false)
        .wgpu()
        .build_eframe(|cc| App::new(cc, session, options));
    let mut window = Window(harness);
    window.settle();
    window
}

/// A window on the built-in sample.
pub fn sample() -> Window {
    window(WindowOptions { open: Some(DataSource::Sample), ..WindowOptions::default() })
}

/// A window that was started with a file.
pub fn opened(path: impl Into<PathBuf>) -> Window {
    window(WindowOptions { open: Some(DataSource::File(path.into())), ..WindowOptions::default() })
}

impl Window {
    /// The app.
    pub fn app(&self) -> &App {
        self.0.state()
    }

    /// The open data set.
    #[track_caller]
    pub fn data(&self) -> Arc<Dataset> {
        self.app().dataset().expect("a data set is open").clone()
    }

    /// Runs frames while `goes_on` says so.
    #[track_caller]
    pub fn step_while(&mut self, mut goes_on: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while goes_on(self) {
            self.0.step();
            std::thread::sleep(Duration::from_millis(2));
            assert!(begun.elapsed() < HANG, "the window does not come to rest:\n{:#?}", self.0);
        }
    }

    /// Runs frames until the engine and the window have nothing left to do, and looks that every widget that can be
    /// acted on has a name.
    #[track_caller]
    pub fn settle(&mut self) {
        let mut quiet = 0;
        self.step_while(|window| {
            quiet = if window.app().is_idle() { quiet + 1 } else { 0 };
            quiet <= QUIET_FRAMES
        });
        self.0.check_accessibility();
    }

    /// Does what panels would ask for.
    #[track_caller]
    pub fn act(&mut self, action: Action) {
        self.0.state_mut().queue(action);
        self.settle();
    }

    /// Runs a command.
    #[track_caller]
    pub fn run(&mut self, command: Command) {
        self.act(Action::Run(command));
    }

    /// Clicks the one button of this name.
    #[track_caller]
    pub fn press(&mut self, name: &str) {
        self.0.get_by_role_and_label(Role::Button, name).click();
        self.settle();
    }

    /// Opens a menu and clicks a line of it.
    #[track_caller]
    pub fn choose(&mut self, menu: &str, line: &str) {
        self.press(menu);
        self.press(line);
    }

    /// Presses a key.
    #[track_caller]
    pub fn key(&mut self, key: Key) {
        self.0.key_press(key);
        self.settle();
    }

    /// Presses a key with Ctrl, or ⌘.
    #[track_caller]
    pub fn ctrl(&mut self, key: Key) {
        self.0.key_press_modifiers(Modifiers::COMMAND, key);
        self.settle();
    }

    /// Types into what has the keyboard.
    #[track_caller]
    pub fn type_in(&mut self, text: &str) {
        self.0.event(Event::Text(text.to_owned()));
        self.settle();
    }

    /// Drops a file on the window.
    #[track_caller]
    pub fn drop_file(&mut self, path: impl Into<PathBuf>) {
        self.0.input_mut().dropped_files.push(Arc::new(Dropped(path.into())));
        self.0.step();
        self.settle();
    }

    /// Everything a screen reader can read, in the order of the window.
    pub fn words(&self) -> Vec<String> {
        // What a widget is called, or what it says: a label's own text is its value.
        let words = |node: egui_kittest::Node<'_>| node.accesskit_node().label().or_else(|| node.value());
        self.0.root().children_recursive().filter_map(words).collect()
    }

    /// Whether some widget's words hold `text`.
    pub fn shows(&self, text: &str) -> bool {
        self.words().iter().any(|words| words.contains(text))
    }

    /// Each of `texts` must be said somewhere.
    #[track_caller]
    pub fn assert_shows(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.shows(text), "the window does not say {text:?}, but:\n{}", self.words().join("\n"));
        }
    }

    /// None of `texts` may be said anywhere.
    #[track_caller]
    pub fn assert_hides(&self, texts: &[&str]) {
        for text in texts {
            assert!(!self.shows(text), "the window says {text:?}");
        }
    }

    /// The names of all widgets of a role.
    pub fn names(&self, role: Role) -> Vec<String> {
        self.0.query_all_by_role(role).filter_map(|node| node.accesskit_node().label()).collect()
    }

    /// What the map says of itself.
    #[track_caller]
    pub fn map(&self) -> String {
        self.names(Role::Canvas).into_iter().find(|name| name.contains(" cells")).expect("the map is shown")
    }

    /// Where the map is.
    #[track_caller]
    pub fn map_rect(&self) -> egui::Rect {
        let is_map = |node: &egui_kittest::kittest::AccessKitNode<'_>| {
            node.role() == Role::Canvas && node.label().is_some_and(|name| name.contains(" cells"))
        };
        self.0.get_by(is_map).rect()
    }

    /// Looks closely at a cell, so that it stands in the middle of the map.
    #[track_caller]
    pub fn look_at(&mut self, cell: usize) {
        let data = self.data();
        let shown = data.embeddings.iter().find(|e| e.name == self.app().view().embedding).unwrap();
        self.act(Action::SetCamera(Camera { centre: shown.positions[cell], points_per_unit: 400.0 }));
    }

    /// Clicks a cell on the map, and no other that lies near it.
    #[track_caller]
    pub fn click_cell(&mut self, cell: usize) {
        self.look_at(cell);
        self.click_at(self.map_rect().center());
    }

    /// Presses and releases the pointer.
    pub fn click_at(&mut self, place: Pos2) {
        self.0.hover_at(place);
        self.0.drag_at(place);
        self.0.drop_at(place);
        self.0.step();
    }

    /// Takes what is at `from` to `to` with the pointer.
    #[track_caller]
    pub fn drag(&mut self, from: Pos2, to: Pos2) {
        self.0.hover_at(from);
        self.0.step();
        self.0.drag_at(from);
        self.0.step();
        for share in [0.25, 0.5, 0.75, 1.0, 1.0] {
            self.0.hover_at(from.lerp(to, share));
            self.0.step();
        }
        self.0.drop_at(to);
        self.settle();
    }

    /// The colour on the screen at a place, as sRGB.
    #[track_caller]
    pub fn colour_at(&mut self, place: Pos2) -> [u8; 3] {
        self.0.remove_cursor();
        self.0.step();
        let picture = self.0.render().unwrap();
        let [r, g, b, _] = picture.get_pixel(place.x as u32, place.y as u32).0;
        [r, g, b]
    }

    /// The colour in which a cell is drawn.
    #[track_caller]
    pub fn colour_of(&mut self, cell: usize) -> [u8; 3] {
        self.look_at(cell);
        self.colour_at(self.map_rect().center())
    }
}

#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|e| e.to_string())
    }
}

/// Cells of one category, those that stand farthest from all other cells first.
pub fn lonely_cells(data: &Dataset, column: &str, category: &str) -> Vec<usize> {
    let positions = &data.embeddings[0].positions;
    let Values::Categorical { codes, categories, .. } = &data.obs.column(column).unwrap().values else {
        panic!("{column} has no categories");
    };
    let code = categories.iter().position(|name| name == category).unwrap() as i32;
    let gap = |cell: usize| {
        let [x, y] = positions[cell];
        let others = positions.iter().enumerate().filter(|(other, _)| *other != cell);
        others.map(|(_, p)| (p[0] - x).hypot(p[1] - y)).fold(f32::INFINITY, f32::min)
    };
    let mut cells: Vec<usize> = (0..data.n_obs).filter(|&cell| codes[cell] == code).collect();
    cells.sort_by(|a, b| gap(*b).total_cmp(&gap(*a)));
    cells
}

/// How far two colours are from each other, as the largest difference of a channel.
pub fn difference(a: [u8; 3], b: [u8; 3]) -> u8 {
    a.into_iter().zip(b).map(|(a, b)| a.abs_diff(b)).max().unwrap_or_default()
}
