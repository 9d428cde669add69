//! The window without a window: the same [`App`], painted by the same renderer into an image.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use eframe::egui;
use engine::session::Session;

use super::canvas::{Canvas, extent};
use super::{Action, App, ThemeChoice, WindowOptions};

/// Bytes that a row of a texture copy must be a multiple of.
const ROW_ALIGNMENT: u32 = wgpu::COPY_BYTES_PER_ROW_ALIGNMENT;

/// An app that is painted off screen.
pub struct Offscreen {
    ctx: egui::Context,
    canvas: Canvas,
    app: App,
    pixels_per_point: f32,
    began: Instant,
    textures: egui::TexturesDelta,
    events: Vec<egui::Event>,
}

impl Offscreen {
    /// An app of `width` × `height` pixels at `pixels_per_point`.
    ///
    /// # Errors
    /// Where no graphics adapter works, not even a software one.
    pub fn new(
        session: Session,
        options: WindowOptions,
        [width, height]: [u32; 2],
        pixels_per_point: f32,
    ) -> anyhow::Result<Self> {
        let canvas = Canvas::new([width, height])?;
        let ctx = egui::Context::default();
        // Without a window there is no system theme to follow.
        let theme = options.theme.filter(|t| *t != ThemeChoice::System).unwrap_or(ThemeChoice::Light);
        let options = WindowOptions { theme: Some(theme), remember: false, ..options };
        let app = App::with_context(&ctx, Some(&canvas.state), session, options);
        ctx.global_style_mut(|style| style.animation_time = 0.0);
        Ok(Self {
            ctx,
            canvas,
            app,
            pixels_per_point: pixels_per_point.clamp(0.5, 4.0),
            began: Instant::now(),
            textures: egui::TexturesDelta::default(),
            events: Vec::new(),
        })
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Asks the app for something in the next frame.
    pub fn queue(&mut self, action: Action) {
        self.app.queue(action);
    }

    /// Hands an input event, as a key or a move of the pointer, to the next frame.
    pub fn input(&mut self, event: egui::Event) {
        self.events.push(event);
    }

    /// Runs one frame.
    fn step(&mut self) -> egui::FullOutput {
        let [width, height] = self.canvas.size.map(|v| v as f32 / self.pixels_per_point);
        let mut input = egui::RawInput {
            screen_rect: Some(egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(width, height))),
            time: Some(self.began.elapsed().as_secs_f64()),
            max_texture_side: Some(self.canvas.state.device.limits().max_texture_dimension_2d as usize),
            events: std::mem::take(&mut self.events),
            ..Default::default()
        };
        if let Some(viewport) = input.viewports.get_mut(&egui::ViewportId::ROOT) {
            viewport.native_pixels_per_point = Some(self.pixels_per_point);
        }
        let app = &mut self.app;
        let mut output = self.ctx.run_ui(input, |ui| app.frame_ui(ui));
        self.textures.append(std::mem::take(&mut output.textures_delta));
        output
    }

    /// Runs frames until nothing is left to do, and two more for what is laid out a frame late.
    ///
    /// # Errors
    /// Where that takes longer than `limit`.
    pub fn settle(&mut self, limit: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + limit;
        let mut quiet = 0;
        while quiet < 3 {
            self.step();
            if self.app.is_idle() {
                quiet += 1;
            } else {
                quiet = 0;
                anyhow::ensure!(
                    Instant::now() < until,
                    "the window was not done after {} s",
                    limit.as_secs()
                );
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// Paints frames until every cell is on the map, and returns the last.
    ///
    /// # Errors
    /// Where the graphics adapter fails.
    pub fn paint(&mut self) -> anyhow::Result<image::RgbaImage> {
        loop {
            let was_drawn = self.app.is_drawn();
            let image = self.paint_frame()?;
            if was_drawn && self.app.is_drawn() {
                return Ok(image);
            }
        }
    }

    fn paint_frame(&mut self) -> anyhow::Result<image::RgbaImage> {
        let output = self.step();
        let primitives = self.ctx.tessellate(output.shapes, output.pixels_per_point);
        let (device, [width, height]) = (&self.canvas.state.device, self.canvas.size);
        let row_bytes = (width * 4).next_multiple_of(ROW_ALIGNMENT);
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("offscreen"),
            size: u64::from(row_bytes) * u64::from(height),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.canvas.paint(&primitives, &mut self.textures, output.pixels_per_point, |encoder, target| {
            encoder.copy_texture_to_buffer(
                target.as_image_copy(),
                wgpu::TexelCopyBufferInfo {
                    buffer: &buffer,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset: 0,
                        bytes_per_row: Some(row_bytes),
                        rows_per_image: None,
                    },
                },
                extent(self.canvas.size),
            );
        });
        read_back(device, &buffer, self.canvas.size, row_bytes, self.canvas.state.target_format)
    }
}

impl Drop for Offscreen {
    fn drop(&mut self) {
        // egui asks that what was not painted is cleared by hand.
        self.textures.clear();
    }
}

fn read_back(
    device: &wgpu::Device,
    buffer: &wgpu::Buffer,
    [width, height]: [u32; 2],
    row_bytes: u32,
    format: wgpu::TextureFormat,
) -> anyhow::Result<image::RgbaImage> {
    let (sender, receiver) = std::sync::mpsc::channel();
    buffer.slice(..).map_async(wgpu::MapMode::Read, move |mapped| {
        // The receiver waits below, unless an error has ended it.
        let _ = sender.send(mapped);
    });
    device
        .poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(30)) })
        .context("the graphics adapter did not finish")?;
    receiver.recv_timeout(Duration::from_secs(1)).context("the picture was not read back")??;
    let mapped = buffer.slice(..).get_mapped_range().context("the picture could not be read back")?;
    let mut pixels = Vec::with_capacity((width * height * 4) as usize);
    for row in mapped.chunks_exact(row_bytes as usize) {
        pixels.extend_from_slice(&row[..(width * 4) as usize]);
    }
    if matches!(format, wgpu::TextureFormat::Bgra8Unorm | wgpu::TextureFormat::Bgra8UnormSrgb) {
        for pixel in pixels.chunks_exact_mut(4) {
            pixel.swap(0, 2);
        }
    }
    image::RgbaImage::from_raw(width, height, pixels).context("the picture has the wrong size")
}

/// What a picture shows.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Pixels, `[width, height]`.
    pub size: [u32; 2],
    /// Pixels a point; 2 for a picture of high density.
    pub pixels_per_point: f32,
    /// What is done before the picture is taken, one after the other.
    pub actions: Vec<Action>,
    /// How long all of it may take.
    pub limit: Duration,
}

impl Default for Picture {
    fn default() -> Self {
        Self {
            size: [1280, 800],
            pixels_per_point: 1.0,
            actions: Vec::new(),
            limit: Duration::from_secs(120),
        }
    }
}

/// Opens what `options` say, does the actions of `picture`, and writes the window to a PNG.
///
/// # Errors
/// Where no graphics adapter works, the work does not end, or the file cannot be written.
pub fn render_to_png(
    path: &Path,
    session: Session,
    options: WindowOptions,
    picture: Picture,
) -> anyhow::Result<()> {
    let mut offscreen = Offscreen::new(session, options, picture.size, picture.pixels_per_point)?;
    offscreen.settle(picture.limit)?;
    for action in picture.actions {
        offscreen.queue(action);
        offscreen.settle(picture.limit)?;
    }
    let image = offscreen.paint()?;
    image
        .save_with_format(path, image::ImageFormat::Png)
        .with_context(|| format!("{}: could not write the picture", path.display()))
}
