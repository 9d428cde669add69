//! How long a frame of the map takes. Not a test of anything: `cargo test --workspace --release --lib frame_times --
//! --ignored --nocapture` prints the table that stands in `docs/benchmarks.md`. `CELL2TEXT_CELLS` names other numbers
//! of cells, with commas between.

// What is measured is printed; that is the point of it.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::{egui, egui_wgpu};
use engine::anndata::{Column, Values};
use engine::describe::GenerationSettings;
use engine::session::{Command as Request, DataSource, Dataset, Embedding, Event, Session, Settings};

use super::super::testing::dataset;
use super::super::theme;
use super::super::wait::wait_for;
use super::super::{Adapters, adapter_words, wgpu_options};
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
    state: egui_wgpu::RenderState,
    target: wgpu::Texture,
    began: Instant,
}

impl Bench {
    fn new() -> Self {
        let config = wgpu_options(Adapters::All);
        let state = wait_for(async {
            let instance = config.wgpu_setup.new_instance().await;
            egui_wgpu::RenderState::create(&config, &instance, None, egui_wgpu::RendererOptions::PREDICTABLE)
                .await
        })
        .unwrap();
        install(&state);
        let ctx = egui::Context::default();
        theme::install(&ctx);
        let target = state.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("frames"),
            size: wgpu::Extent3d { width: SIZE[0], height: SIZE[1], depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: state.target_format,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        Self { ctx, state, target, began: Instant::now() }
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
        let (device, queue) = (&self.state.device, &self.state.queue);
        let screen = egui_wgpu::ScreenDescriptor { size_in_pixels: SIZE, pixels_per_point: 1.0 };
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut renderer = self.state.renderer.write();
        for (id, deltas) in output.textures_delta.set.drain() {
            for delta in deltas {
                renderer.update_texture(device, queue, id, &delta);
            }
        }
        output.textures_delta.clear();
        let own = renderer.update_buffers(device, queue, &mut encoder, &primitives, &screen);
        {
            let view = self.target.create_view(&wgpu::TextureViewDescriptor::default());
            let mut pass = encoder
                .begin_render_pass(&wgpu::RenderPassDescriptor {
                    label: Some("frames"),
                    color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                        view: &view,
                        resolve_target: None,
                        ops: wgpu::Operations {
                            load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                            store: wgpu::StoreOp::Store,
                        },
                        depth_slice: None,
                    })],
                    ..Default::default()
                })
                .forget_lifetime();
            renderer.render(&mut pass, &primitives, &screen);
        }
        queue.submit(own.into_iter().chain([encoder.finish()]));
        device.poll(wgpu::PollType::Wait { submission_index: None, timeout: None }).unwrap();
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

#[test]
#[ignore = "a measurement, not a test; it takes minutes"]
fn frame_times() {
    let bench = Bench::new();
    let named = std::env::var("CELL2TEXT_CELLS").unwrap_or_else(|_| "100000,1000000,10000000".into());
    println!("drawn by {}, {} x {} pixels", adapter_words(&bench.state.adapter), SIZE[0], SIZE[1]);
    println!("| cells | state | drawn while moving | moving, ms | at rest, ms | all drawn after, s |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for n in named.split(',').map(|n| n.trim().parse::<usize>().unwrap()) {
        let data = Arc::new(cells(n));
        for busy in [false, true] {
            let mut map = Map::new(cells_while_moving(&bench.state));
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
