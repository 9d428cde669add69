//! How long a frame of the map takes. Not a test of anything: `cargo test --workspace --release --lib frame_times --
//! --ignored --nocapture` prints the table that stands in `docs/benchmarks.md`. `CELL2TEXT_CELLS` names other numbers
//! of cells, with commas between.

// What is measured is printed; that is the point of it.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::egui;
use engine::anndata::{Column, Values};
use engine::describe::GenerationSettings;
use engine::session::{Command as Request, DataSource, Dataset, Embedding, Event, Session, Settings};

use super::super::canvas::Canvas;
use super::super::command::Action;
use super::super::offscreen::Offscreen;
use super::super::testing::dataset;
use super::super::{WindowOptions, adapter_words, theme};
use super::*;

const SIZE: [u32; 2] = [1280, 800];
const FRAMES: usize = 90;
/// Kinds of cell, the common first; the last are rare.
const KINDS: usize = 40;

/// Random numbers that are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }

    /// About normal: the sum of twelve, less six.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.next()).sum::<f32>() - 6.0
    }
}

/// Cells in clouds, a kind a cloud, each kind three quarters as common as the one before.
fn cells(n: usize) -> Dataset {
    let mut random = Random(7);
    let centres: Vec<[f32; 2]> =
        (0..KINDS).map(|_| [20.0 * random.next() - 10.0, 20.0 * random.next() - 10.0]).collect();
    let mut data = dataset();
    let (mut codes, mut positions) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for _ in 0..n {
        let kind = ((random.next().ln() / 0.75_f32.ln()) as usize).min(KINDS - 1);
        let [x, y] = centres[kind];
        codes.push(kind as i32);
        positions.push([x + 0.9 * random.normal(), y + 0.9 * random.normal()]);
    }
    data.n_obs = n;
    data.obs.index = Vec::new();
    data.obs.columns = vec![Column {
        name: "kind".into(),
        values: Values::Categorical {
            codes,
            categories: (0..KINDS).map(|k| format!("kind {k}")).collect(),
            ordered: false,
        },
    }];
    data.embeddings = vec![Embedding { name: "X_umap".into(), positions }];
    data
}

struct Bench {
    ctx: egui::Context,
    canvas: Canvas,
    began: Instant,
}

impl Bench {
    fn new() -> Self {
        let canvas = Canvas::new(SIZE).unwrap();
        install(&canvas.state);
        let ctx = egui::Context::default();
        theme::install(&ctx);
        Self { ctx, canvas, began: Instant::now() }
    }

    /// One frame, from the input to the last pixel.
    fn frame(&self, map: &mut Map, camera: Option<Camera>) -> Duration {
        let begun = Instant::now();
        let input = egui::RawInput {
            screen_rect: Some(egui::Rect::from_min_size(
                egui::Pos2::ZERO,
                egui::vec2(SIZE[0] as f32, SIZE[1] as f32),
            )),
            time: Some(self.began.elapsed().as_secs_f64()),
            ..Default::default()
        };
        let hidden = BTreeSet::new();
        let mut output = self.ctx.run_ui(input, |ui| {
            map.update();
            map.update_table(&Look::default(), Tokens::of(ui));
            let view = MapView {
                camera,
                hidden: &hidden,
                selected: None,
                reveal: false,
                zoom: None,
                tool: Tool::Pan,
                max_cells: usize::MAX,
                labels: true,
            };
            egui::CentralPanel::no_frame().show(ui, |ui| map_ui(ui, map, view, &mut Vec::new()));
        });
        let primitives = self.ctx.tessellate(output.shapes, output.pixels_per_point);
        self.canvas.paint(&primitives, &mut output.textures_delta, output.pixels_per_point, |_, _| {});
        let wait = wgpu::PollType::Wait { submission_index: None, timeout: None };
        self.canvas.state.device.poll(wait).unwrap();
        begun.elapsed()
    }
}

/// Median and 99th percentile in milliseconds.
fn words(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    format!("{:.1} / {:.1}", at(0.5), at(0.99))
}

/// The model at work on the sample until dropped.
fn describing() -> Session {
    let session = Session::start(Settings::default()).unwrap();
    session.send(Request::Open(DataSource::Sample));
    loop {
        match session.try_next() {
            Some(Event::Opened { .. }) => break,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    let cells: Vec<usize> = (0..700).collect();
    session.send(Request::Annotate { cells: cells.into(), settings: GenerationSettings::default() });
    // Wait until the model is loaded and the first cells are done.
    loop {
        match session.try_next() {
            Some(Event::Annotated { .. }) => break,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    session
}

/// How long one waits from the order to open a file until every cell is on the map, in a window that is there already.
/// `CELL2TEXT_FILES` names the files, with commas between; without it the sample is opened.
#[test]
#[ignore = "a measurement, not a test"]
fn frame_times_open_to_first_map() {
    let named = std::env::var("CELL2TEXT_FILES").unwrap_or_default();
    let files: Vec<DataSource> =
        named.split(',').filter(|f| !f.is_empty()).map(|f| DataSource::File(f.into())).collect();
    let files = if files.is_empty() { vec![DataSource::Sample] } else { files };
    println!("| file | cells | open to first map, s: median / slowest of 5, the first not counted |");
    println!("| --- | --- | --- |");
    for source in files {
        let (mut times, mut n_obs) = (Vec::new(), 0);
        for run in 0..6 {
            let session = Session::start(Settings::default()).unwrap();
            let options = WindowOptions { remember: false, ..WindowOptions::default() };
            let mut window = Offscreen::new(session, options, SIZE, 1.0).unwrap();
            window.paint().unwrap();
            let begun = Instant::now();
            window.queue(Action::OpenSource(source.clone()));
            window.settle(Duration::from_secs(600)).unwrap();
            window.paint().unwrap();
            if run > 0 {
                times.push(begun.elapsed());
            }
            n_obs = window.app().dataset().unwrap().n_obs;
        }
        times.sort();
        let name = match &source {
            DataSource::Sample => "the sample".to_owned(),
            DataSource::File(path) => path.display().to_string(),
        };
        let [median, slowest] = [times[2], times[4]].map(|t| t.as_secs_f64());
        println!("| {name} | {} | {median:.2} / {slowest:.2} |", grouped(n_obs as i64));
    }
}

#[test]
#[ignore = "a measurement, not a test; it takes minutes"]
fn frame_times() {
    let bench = Bench::new();
    let named = std::env::var("CELL2TEXT_CELLS").unwrap_or_else(|_| "100000,1000000,10000000".into());
    println!("drawn by {}, {} x {} pixels", adapter_words(&bench.canvas.state.adapter), SIZE[0], SIZE[1]);
    println!("| cells | state | drawn while moving | moving, ms | at rest, ms | all drawn after, s |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for n in named.split(',').map(|n| n.trim().parse::<usize>().unwrap()) {
        let data = Arc::new(cells(n));
        for busy in [false, true] {
            let mut map = Map::new(cells_while_moving(&bench.canvas.state));
            map.show(&bench.ctx, &data, 0, Source::Column("kind".into()), NumberRange::default());
            while map.is_busy() {
                std::thread::sleep(Duration::from_millis(5));
                map.update();
            }
            let session = busy.then(describing);
            let drain = || {
                if let Some(session) = &session {
                    while session.try_next().is_some() {}
                }
            };
            let fitted = Camera::fit(
                map.scene().unwrap().bounds().unwrap(),
                egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(SIZE[0] as f32, SIZE[1] as f32)),
            );
            // The first frames upload.
            for _ in 0..3 {
                bench.frame(&mut map, Some(fitted));
            }
            let moving = (0..FRAMES)
                .map(|i| {
                    drain();
                    let t = i as f32 / FRAMES as f32;
                    let zoom = 1.0 + 2.0 * t;
                    let centre = [fitted.centre[0] + 3.0 * (6.0 * t).sin(), fitted.centre[1] + 2.0 * t];
                    let camera = Camera { centre, points_per_unit: fitted.points_per_unit * zoom };
                    bench.frame(&mut map, Some(camera))
                })
                .collect();
            let begun = Instant::now();
            bench.frame(&mut map, Some(fitted));
            while !map.is_drawn() {
                drain();
                bench.frame(&mut map, Some(fitted));
            }
            let complete = begun.elapsed().as_secs_f64();
            let resting = (0..FRAMES)
                .map(|_| {
                    drain();
                    bench.frame(&mut map, Some(fitted))
                })
                .collect();
            println!(
                "| {} | {} | {} | {} | {} | {complete:.2} |",
                grouped(n as i64),
                if busy { "describing" } else { "idle" },
                grouped(map.sample.data.len() as i64),
                words(moving),
                words(resting),
            );
        }
    }
}
