//! The cells on the GPU: a paint callback of egui.
//!
//! Positions are written once an embedding, drawing order and colour numbers once a colouring (8 bytes a cell), the
//! colour table when the legend or the theme changes, and 48 bytes of uniforms a frame.
//!
//! The points are drawn into a picture of the map's size, and the picture into the window. While the map moves, one
//! draw fills the picture with a sample of the cells; once it rests, all cells are drawn, in as many frames as that
//! takes, into a second picture that then takes the place of the first. A map at rest costs one quad a frame, however
//! many cells there are.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use eframe::egui::{PaintCallbackInfo, Rect};
use eframe::egui_wgpu::{CallbackResources, CallbackTrait, RenderState, ScreenDescriptor};
use wgpu::util::DeviceExt as _;

use super::pipelines::{PICTURE_FORMAT, Pipelines};

/// Cells a row of the position texture.
const POSITIONS_WIDTH: u32 = 2048;
/// Colours a row of the table.
const COLOURS_WIDTH: u32 = 256;
/// A map that was not painted for so many paintings of maps gives its memory back.
const FORGET_AFTER: u64 = 600;
/// Cells drawn in the first frame of rest; then as many as a frame has time for.
const FIRST_STEP: u32 = 200_000;
/// Fewer are never drawn in one frame of rest.
const LEAST_STEP: u32 = 20_000;

/// Something to upload, with a number that changes when it does.
#[derive(Debug)]
pub struct Versioned<T> {
    /// The number; no two uploads of one program share it.
    pub version: u64,
    /// The content.
    pub data: Vec<T>,
}

impl<T> Versioned<T> {
    /// New content.
    pub fn new(data: Vec<T>) -> Arc<Self> {
        Arc::new(Self { version: unique(), data })
    }
}

/// A number that no other call gives.
fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What the shader is told every frame; the layout of `View` in `points.wgsl`.
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Uniforms {
    /// Device coordinates of one unit.
    pub scale: [f32; 2],
    /// Device coordinates of the origin.
    pub offset: [f32; 2],
    /// Pixels of the map.
    pub viewport: [f32; 2],
    /// Radius of a point in pixels.
    pub radius: f32,
    /// Opacity of a point.
    pub opacity: f32,
    /// Set when uploading.
    pub positions_width: u32,
    /// Set when uploading.
    pub colours_width: u32,
    /// How much the rim is darkened.
    pub rim: f32,
    /// The colour of cells outside of the selection, red in the lowest byte.
    pub dim: u32,
}

/// How far the drawing of one map is; shared between the window and the callback.
#[derive(Debug)]
pub struct Drawing {
    /// Which map.
    key: u64,
    complete: AtomicBool,
}

impl Drawing {
    /// Of a new map.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { key: unique(), complete: AtomicBool::new(true) })
    }

    /// Whether the picture last painted showed every cell.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }
}

/// Set in the number of a cell's colour where the cell is outside of the selection.
pub const DIM: u32 = 1 << 31;

/// One frame of the map.
pub struct PointsCallback {
    /// Where the map is, in points.
    pub rect: Rect,
    /// This frame's numbers.
    pub uniforms: Uniforms,
    /// Positions of all cells, zero where a cell has none.
    pub positions: Arc<Versioned<[f32; 2]>>,
    /// Cells to draw, in order, each with its entry in the colour table.
    pub order: Arc<Versioned<[u32; 2]>>,
    /// Those of them that are drawn while the map moves; the same as `order` where all are.
    pub sample: Arc<Versioned<[u32; 2]>>,
    /// The colour table, sRGB.
    pub colours: Arc<Versioned<[u8; 4]>>,
    /// Which map this is, and how far it is drawn.
    pub drawing: Arc<Drawing>,
}

struct Resources {
    pipelines: Pipelines,
    maps: HashMap<u64, MapOnGpu>,
    /// Paintings so far, of all maps.
    paintings: u64,
}

struct MapOnGpu {
    uniforms: wgpu::Buffer,
    uploaded: Option<Uploaded>,
    front: Picture,
    back: Option<Picture>,
    /// What the front was painted from.
    shows: Option<Shows>,
    /// Cells already in the back, and how many the next frame adds.
    in_back: u32,
    step: u32,
    last_step: Instant,
    last_used: u64,
}

/// Everything that a picture depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shows {
    uniforms: Uniforms,
    versions: [u64; 4],
}

#[derive(Clone)]
struct Instances {
    version: u64,
    buffer: wgpu::Buffer,
    count: u32,
}

struct Uploaded {
    positions: (u64, wgpu::Texture),
    order: Instances,
    sample: Instances,
    colours: (u64, wgpu::Texture),
    group: wgpu::BindGroup,
}

struct Picture {
    size: [u32; 2],
    view: wgpu::TextureView,
    group: wgpu::BindGroup,
}

/// Most cells that the device can hold as positions; more cannot be drawn.
pub fn max_cells(state: &RenderState) -> usize {
    let limits = state.device.limits();
    let by_texture = POSITIONS_WIDTH as usize * limits.max_texture_dimension_2d as usize;
    by_texture.min((limits.max_buffer_size / size_of::<[u32; 2]>() as u64) as usize)
}

/// Cells that are drawn while the map moves: as many as the kind of adapter draws within a frame.
pub fn cells_while_moving(state: &RenderState) -> usize {
    match state.adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 4_000_000,
        wgpu::DeviceType::IntegratedGpu => 1_500_000,
        wgpu::DeviceType::VirtualGpu | wgpu::DeviceType::Other => 500_000,
        wgpu::DeviceType::Cpu => 100_000,
    }
}

/// Prepares the pipelines. Called once a renderer.
pub fn install(state: &RenderState) {
    let pipelines = Pipelines::new(&state.device, state.target_format, size_of::<Uniforms>() as u64);
    state.renderer.write().callback_resources.insert(Resources {
        pipelines,
        maps: HashMap::new(),
        paintings: 0,
    });
}

fn upload_texture(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    label: &str,
    format: wgpu::TextureFormat,
    width: u32,
    texel_bytes: u32,
    mut bytes: Vec<u8>,
) -> wgpu::Texture {
    let row_bytes = (width * texel_bytes) as usize;
    let rows = bytes.len().div_ceil(row_bytes).max(1);
    bytes.resize(rows * row_bytes, 0);
    let size = wgpu::Extent3d { width, height: rows as u32, depth_or_array_layers: 1 };
    device.create_texture_with_data(
        queue,
        &wgpu::TextureDescriptor {
            label: Some(label),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        },
        wgpu::util::TextureDataOrder::LayerMajor,
        &bytes,
    )
}

impl Picture {
    fn new(device: &wgpu::Device, pipelines: &Pipelines, [width, height]: [u32; 2]) -> Self {
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("map"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: PICTURE_FORMAT,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let group = pipelines.picture_group(device, &view);
        Self { size: [width, height], view, group }
    }

    /// Draws some instances, over what is there or over nothing.
    fn draw(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        pipelines: &Pipelines,
        group: &wgpu::BindGroup,
        cells: &Instances,
        range: std::ops::Range<u32>,
        clear: bool,
    ) {
        let load = if clear { wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT) } else { wgpu::LoadOp::Load };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("map"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.view,
                resolve_target: None,
                ops: wgpu::Operations { load, store: wgpu::StoreOp::Store },
                depth_slice: None,
            })],
            ..Default::default()
        });
        if !range.is_empty() {
            pass.set_pipeline(&pipelines.points);
            pass.set_bind_group(0, group, &[]);
            pass.set_vertex_buffer(0, cells.buffer.slice(..));
            pass.draw(0..4, range);
        }
    }
}

impl MapOnGpu {
    fn new(device: &wgpu::Device, pipelines: &Pipelines, size: [u32; 2]) -> Self {
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("points"),
            size: size_of::<Uniforms>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self {
            uniforms,
            uploaded: None,
            front: Picture::new(device, pipelines, size),
            back: None,
            shows: None,
            in_back: 0,
            step: FIRST_STEP,
            last_step: Instant::now(),
            last_used: 0,
        }
    }

    /// Draws what this frame needs; whether every cell is in the picture then.
    fn advance(
        &mut self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        pipelines: &Pipelines,
        wanted: Shows,
        size: [u32; 2],
    ) -> bool {
        let Some(uploaded) = &self.uploaded else { return true };
        let (all, some) = (&uploaded.order, &uploaded.sample);
        if self.shows != Some(wanted) || self.front.size != size {
            if self.front.size != size {
                self.front = Picture::new(device, pipelines, size);
                self.back = None;
            }
            self.front.draw(encoder, pipelines, &uploaded.group, some, 0..some.count, true);
            self.shows = Some(wanted);
            self.in_back = 0;
            self.last_step = Instant::now();
            return some.version == all.version;
        }
        if some.version == all.version || self.in_back >= all.count {
            return true;
        }
        // As many as a frame has time for, told by how long the last one took.
        let took = self.last_step.elapsed().as_millis();
        self.last_step = Instant::now();
        if took > 45 {
            self.step = (self.step / 2).max(LEAST_STEP);
        } else if took < 25 {
            self.step = self.step.saturating_mul(2);
        }
        let back = self.back.get_or_insert_with(|| Picture::new(device, pipelines, size));
        let range = self.in_back..self.in_back.saturating_add(self.step).min(all.count);
        back.draw(encoder, pipelines, &uploaded.group, all, range.clone(), range.start == 0);
        self.in_back = range.end;
        if self.in_back == all.count {
            std::mem::swap(&mut self.front, back);
            return true;
        }
        false
    }
}

impl PointsCallback {
    fn versions(&self) -> [u64; 4] {
        [self.positions.version, self.order.version, self.sample.version, self.colours.version]
    }

    /// Brings what is on the GPU in line. `elsewhere` are the positions that other maps hold.
    fn upload(
        &self,
        map: &mut MapOnGpu,
        elsewhere: Option<wgpu::Texture>,
        pipelines: &Pipelines,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
    ) {
        let before = map.uploaded.take();
        let (positions, order, sample, colours) = match before {
            Some(u) => (Some(u.positions), Some(u.order), Some(u.sample), Some((u.colours, u.group))),
            None => (None, None, None, None),
        };
        let instances = |cells: &Versioned<[u32; 2]>| {
            let bytes: &[u8] = bytemuck::cast_slice(&cells.data);
            // Written by the queue and not mapped: where the card has no room, this is an error and no panic.
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("points order"),
                size: bytes.len().max(size_of::<[u32; 2]>()) as u64,
                usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            if !bytes.is_empty() {
                queue.write_buffer(&buffer, 0, bytes);
            }
            Instances { version: cells.version, buffer, count: cells.data.len() as u32 }
        };
        let order =
            order.filter(|o| o.version == self.order.version).unwrap_or_else(|| instances(&self.order));
        let sample = if self.sample.version == order.version {
            order.clone()
        } else {
            sample.filter(|s| s.version == self.sample.version).unwrap_or_else(|| instances(&self.sample))
        };
        let same_positions = positions
            .filter(|(version, _)| *version == self.positions.version)
            .or_else(|| elsewhere.map(|texture| (self.positions.version, texture)));
        let kept_positions = same_positions.is_some();
        let positions = same_positions.unwrap_or_else(|| {
            let texture = upload_texture(
                device,
                queue,
                "points positions",
                wgpu::TextureFormat::Rg32Float,
                POSITIONS_WIDTH,
                8,
                bytemuck::cast_slice(&self.positions.data).to_vec(),
            );
            (self.positions.version, texture)
        });
        // The group names both textures: it is made anew when either is.
        let (colours, group) = match colours {
            Some(((version, texture), group)) if version == self.colours.version => {
                ((version, texture), Some(group).filter(|_| kept_positions))
            }
            _ => {
                let texture = upload_texture(
                    device,
                    queue,
                    "points colours",
                    wgpu::TextureFormat::Rgba8Unorm,
                    COLOURS_WIDTH,
                    4,
                    self.colours.data.concat(),
                );
                ((self.colours.version, texture), None)
            }
        };
        let group =
            group.unwrap_or_else(|| pipelines.points_group(device, &map.uniforms, &positions.1, &colours.1));
        map.uploaded = Some(Uploaded { positions, order, sample, colours, group });
    }
}

impl CallbackTrait for PointsCallback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        screen: &ScreenDescriptor,
        encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let info = PaintCallbackInfo {
            viewport: self.rect,
            clip_rect: self.rect,
            pixels_per_point: screen.pixels_per_point,
            screen_size_px: screen.size_in_pixels,
        };
        let pixels = info.viewport_in_pixels();
        let size = [pixels.width_px.max(0) as u32, pixels.height_px.max(0) as u32];
        let Some(resources) = resources.get_mut::<Resources>() else { return Vec::new() };
        if size.contains(&0) {
            return Vec::new();
        }
        resources.paintings += 1;
        let now = resources.paintings;
        resources.maps.retain(|_, map| now - map.last_used < FORGET_AFTER);
        let elsewhere = resources
            .maps
            .iter()
            .filter(|(key, _)| **key != self.drawing.key)
            .filter_map(|(_, map)| map.uploaded.as_ref())
            .find(|u| u.positions.0 == self.positions.version)
            .map(|u| u.positions.1.clone());
        let pipelines = &resources.pipelines;
        let map =
            resources.maps.entry(self.drawing.key).or_insert_with(|| MapOnGpu::new(device, pipelines, size));
        map.last_used = now;
        self.upload(map, elsewhere, pipelines, device, queue);
        let uniforms = Uniforms {
            viewport: size.map(|v| v as f32),
            positions_width: POSITIONS_WIDTH,
            colours_width: COLOURS_WIDTH,
            ..self.uniforms
        };
        queue.write_buffer(&map.uniforms, 0, bytemuck::bytes_of(&uniforms));
        let wanted = Shows { uniforms, versions: self.versions() };
        let complete = map.advance(device, encoder, pipelines, wanted, size);
        self.drawing.complete.store(complete, Ordering::Relaxed);
        Vec::new()
    }

    fn paint(
        &self,
        _info: PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        let Some(resources) = resources.get::<Resources>() else { return };
        let Some(map) = resources.maps.get(&self.drawing.key) else { return };
        pass.set_pipeline(&resources.pipelines.picture);
        pass.set_bind_group(0, &map.front.group, &[]);
        pass.draw(0..3, 0..1);
    }
}
