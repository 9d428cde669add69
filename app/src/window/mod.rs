//! The window: the map of the cells, the selected cell and its description, the Cell Ontology.
//!
//! An [`App`] is the engine's session, the state, and a queue of actions. Panels read the state and push actions;
//! actions run at the end of the frame. Everything long runs on the engine's threads or on one of the window's own,
//! and wakes the window when it is done: no frame waits. There is no biology here and no tensor.
//!
//! The same [`App`] runs in a native window ([`run`]), off screen into an image ([`offscreen`]), and under test.

mod annotating;
mod app;
mod autosave;
mod background;
mod canvas;
mod command;
mod descriptions;
mod dialogs;
mod dock;
mod document;
mod figure;
mod fuzzy;
mod gene_names;
mod history;
mod map;
mod models;
pub mod offscreen;
mod palette;
mod panels;
mod quality;
mod said;
mod selection;
mod session_file;
mod state;
mod terms;
#[cfg(test)]
mod testing;
mod theme;
mod wait;
mod workspace;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Context as _;
use eframe::{egui, egui_wgpu};
use engine::session::{DataSource, Session, Settings};

pub use annotating::{LabelCategory, LabelColumn};
pub use app::App;
pub use command::{Action, Command, Menu, Situation};
pub use dialogs::Dialogs;
pub use dock::{Dock, Pane};
pub use document::{Document, Edit};
pub use map::{Camera, NumberRange, Step, Tool};
pub use palette::Scale;
pub use panels::{CompareSide, CompareSpec, GeneList, Measure, PlotSettings};
pub use quality::QualityFigure;
pub use selection::{CellSet, Combine, NamedSet, Sets};
pub use state::{ColourBy, ColourStyle, Layout, LegendOrder, Said, Saved, View};
pub use theme::ThemeChoice;

/// How the window starts.
#[derive(Debug, Clone)]
pub struct WindowOptions {
    /// What to open at once.
    pub open: Option<DataSource>,
    /// The engine's settings.
    pub settings: Settings,
    /// Light or dark, in place of what was saved.
    pub theme: Option<ThemeChoice>,
    /// Whether the state is read from and saved to the user's configuration folder.
    pub remember: bool,
    /// The file in which it lies, in place of that folder.
    pub state_file: Option<PathBuf>,
    /// Who answers the file dialogs.
    pub dialogs: Dialogs,
    /// Where labels and sets are saved by themselves; the user's data folder where it is `None` and the window
    /// remembers, else nowhere.
    pub autosave: Option<PathBuf>,
    /// Whether the processor draws the window even where there is a graphics card.
    pub software: bool,
    /// Why the graphics card is not used, where it failed: said to the user at the start.
    pub graphics_failure: Option<String>,
    /// Where models lie; the user's folder of models where it is `None` and the window remembers, else nowhere.
    pub models: Option<PathBuf>,
    /// Bytes of memory taken as free, in place of what the system says. For tests.
    pub free_memory: Option<u64>,
    /// When the program was started: the log says how long the first frame and the first map took.
    pub started: Instant,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self {
            open: None,
            settings: Settings::default(),
            theme: None,
            remember: true,
            state_file: None,
            dialogs: Dialogs::Native,
            autosave: None,
            software: false,
            graphics_failure: None,
            models: None,
            free_memory: None,
            started: Instant::now(),
        }
    }
}

/// Opens the window and runs it until it is closed.
///
/// # Errors
/// Where there is no display, or no graphics adapter can draw the window; the message says what to do.
pub fn run(options: WindowOptions) -> anyhow::Result<()> {
    let session = Session::start(options.settings.clone()).context("the engine could not start")?;
    let adapters = if options.software { Adapters::Software } else { Adapters::All };
    // eframe calls the creator at most once, but its type does not say so.
    let parts = Arc::new(Mutex::new(Some((session, options))));
    let shown = match show(&parts, adapters) {
        // A driver that is there and does not work: the processor can draw in its place, with the same session.
        Err(eframe::Error::Wgpu(error))
            if adapters == Adapters::All && fall_back(&parts, &error.to_string()) =>
        {
            tracing::warn!("drawing in software, because: {error}");
            show(&parts, Adapters::Software).map_err(|_| eframe::Error::Wgpu(error))
        }
        other => other,
    };
    shown.map_err(|error| anyhow::anyhow!("{}", explain(&error)))
}

/// What the window is made of, until it is made.
type Parts = Arc<Mutex<Option<(Session, WindowOptions)>>>;

/// Notes that the graphics card failed, for the window to say. Whether the window was not made yet, so that it can be
/// tried again.
fn fall_back(parts: &Parts, error: &str) -> bool {
    match parts.lock().ok().as_deref_mut() {
        Some(Some((_, options))) => {
            options.graphics_failure = Some(reason(error).to_owned());
            true
        }
        _ => false,
    }
}

/// Makes the window and runs it.
fn show(parts: &Parts, adapters: Adapters) -> eframe::Result<()> {
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("Cell2Text")
            .with_app_id("cell2text")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([720.0, 480.0])
            .with_drag_and_drop(true),
        wgpu_options: wgpu_options(adapters),
        ..Default::default()
    };
    let parts = parts.clone();
    eframe::run_native(
        "Cell2Text",
        native,
        Box::new(move |cc| {
            let parts = parts.lock().ok().and_then(|mut parts| parts.take());
            let (session, options) = parts.ok_or("the window was made twice")?;
            Ok(Box::new(App::new(cc, session, options)))
        }),
    )
}

/// Which adapters may draw the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adapters {
    /// Any, real ones first.
    All,
    /// Those that draw with the processor.
    Software,
}

/// The graphics set-up: any backend, a real adapter before a software one.
pub(crate) fn wgpu_options(adapters: Adapters) -> egui_wgpu::WgpuConfiguration {
    let mut setup = egui_wgpu::WgpuSetupCreateNew::without_display_handle();
    setup.native_adapter_selector = Some(Arc::new(move |found, surface| {
        let usable = |a: &&wgpu::Adapter| {
            let is_software = a.get_info().device_type == wgpu::DeviceType::Cpu;
            surface.is_none_or(|s| a.is_surface_supported(s)) && (adapters == Adapters::All || is_software)
        };
        found
            .iter()
            .filter(usable)
            .min_by_key(|a| {
                let info = a.get_info();
                let kind = match info.device_type {
                    wgpu::DeviceType::DiscreteGpu => 0,
                    wgpu::DeviceType::IntegratedGpu => 1,
                    wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => 2,
                    wgpu::DeviceType::Cpu => 3,
                };
                // OpenGL is the last resort of each kind, and a real GPU over OpenGL comes before software.
                (kind, info.backend == wgpu::Backend::Gl)
            })
            .cloned()
            .ok_or_else(|| "no graphics adapter can draw to this window".to_owned())
    }));
    egui_wgpu::WgpuConfiguration { wgpu_setup: egui_wgpu::WgpuSetup::CreateNew(setup), ..Default::default() }
}

/// What went wrong when the window was made, and what to do.
fn explain(error: &eframe::Error) -> String {
    let remedy = match error {
        eframe::Error::Wgpu(_) => {
            "No graphics adapter works here. Update the graphics driver, or install a software one (on Debian and \
             Ubuntu the package mesa-vulkan-drivers). Without a window, use the command line: cell2text --help."
        }
        _ => "The window needs a display. Without one, use the command line: cell2text --help.",
    };
    format!("The window could not be opened: {}. {remedy}", reason(&error.to_string()))
}

/// What the system said, without the place in a library's source that said it.
fn reason(text: &str) -> &str {
    let after_place = text.rfind(".rs:").map_or(text, |at| {
        text.get(at + 4..)
            .unwrap_or(text)
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == ':' || c == ' ')
    });
    let bare = after_place.strip_prefix("WGPU error: ").unwrap_or(after_place);
    bare.trim_end_matches('.').trim_end_matches(": {}")
}

/// A graphics adapter in words.
pub(crate) fn adapter_words(adapter: &wgpu::Adapter) -> String {
    let info = adapter.get_info();
    let kind = if info.device_type == wgpu::DeviceType::Cpu { "software, " } else { "" };
    // Drivers add their build in brackets; the name before it says enough.
    let name = info.name.split(" (").next().unwrap_or_default();
    let backend = match info.backend {
        wgpu::Backend::Vulkan => "Vulkan".to_owned(),
        wgpu::Backend::Gl => "OpenGL".to_owned(),
        wgpu::Backend::Metal => "Metal".to_owned(),
        wgpu::Backend::Dx12 => "Direct3D 12".to_owned(),
        other => other.to_string(),
    };
    format!("{name} ({kind}{backend})")
}

/// Whether the adapter of these words draws with the processor.
pub(crate) fn is_software(adapter: &str) -> bool {
    adapter.contains("(software, ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_was_not_made_is_tried_again_and_will_say_why() {
        let session = Session::start(Settings::default()).unwrap();
        let parts: Parts = Arc::new(Mutex::new(Some((session, WindowOptions::default()))));
        assert!(fall_back(&parts, "device lost at /x/wgpu.rs:12: out of memory."));
        let (_, options) = parts.lock().unwrap().take().unwrap();
        assert_eq!(options.graphics_failure.as_deref(), Some("out of memory"));
        assert!(!fall_back(&parts, "again"), "a window that was made is not made a second time");
    }

    #[test]
    fn software_is_chosen_where_it_is_asked_for() {
        let configuration = wgpu_options(Adapters::Software);
        let egui_wgpu::WgpuSetup::CreateNew(setup) = configuration.wgpu_setup else { panic!() };
        let choose = setup.native_adapter_selector.unwrap();
        assert!(choose(&[], None).is_err(), "no adapter is an error, not a crash");
    }

    #[test]
    fn a_reason_names_no_line_of_a_library() {
        let said = "winit EventLoopError: os error at /home/a/winit-0.30.13/src/linux/mod.rs:765: no DISPLAY is set.";
        assert_eq!(reason(said), "no DISPLAY is set");
        assert_eq!(reason("no adapter"), "no adapter");
        assert_eq!(reason("WGPU error: Failed to create surface: {}"), "Failed to create surface");
        assert_eq!(reason("a.rs:"), "");
    }
}
