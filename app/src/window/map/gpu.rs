//! The cells on the GPU: a paint callback of egui.
//!
//! Positions are written once an embedding, drawing order and colour numbers once a colouring (8 bytes a cell), the
//! colour table when the legend or the theme changes, and 64 bytes of uniforms a frame.

use std::sync::Arc;

use eframe::egui::PaintCallbackInfo;
use eframe::egui_wgpu::{CallbackResources, CallbackTrait, RenderState, ScreenDescriptor};
use wgpu::util::DeviceExt as _;

/// Cells a row of the position texture.
const POSITIONS_WIDTH: u32 = 2048;
/// Colours a row of the table.
const COLOURS_WIDTH: u32 = 256;

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
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let version = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(Self { version, data })
    }
}

/// What the shader is told every frame; the layout of `View` in `points.wgsl`.
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
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
    pub linear_target: u32,
    /// Set when uploading.
    pub positions_width: u32,
    /// Set when uploading.
    pub colours_width: u32,
    /// How much the rim is darkened.
    pub rim: f32,
    /// The colour of cells outside of the selection, red in the lowest byte.
    pub dim: u32,
    /// Fills up to a whole number of vectors.
    pub padding: [u32; 3],
}

/// Set in the number of a cell's colour where the cell is outside of the selection.
pub const DIM: u32 = 1 << 31;

/// One frame of the map.
pub struct PointsCallback {
    /// This frame's numbers.
    pub uniforms: Uniforms,
    /// Positions of all cells, zero where a cell has none.
    pub positions: Arc<Versioned<[f32; 2]>>,
    /// Cells to draw, in order, each with its entry in the colour table.
    pub order: Arc<Versioned<[u32; 2]>>,
    /// The colour table, sRGB.
    pub colours: Arc<Versioned<[u8; 4]>>,
}

struct Resources {
    pipeline: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
    uniforms: wgpu::Buffer,
    linear_target: bool,
    uploaded: Option<Uploaded>,
}

struct Uploaded {
    positions: (u64, wgpu::Texture),
    order: (u64, wgpu::Buffer, u32),
    colours: (u64, wgpu::Texture),
    group: wgpu::BindGroup,
}

/// Most cells that the device can hold as positions; more cannot be drawn.
pub fn max_cells(state: &RenderState) -> usize {
    POSITIONS_WIDTH as usize * state.device.limits().max_texture_dimension_2d as usize
}

/// Prepares the pipeline. Called once a renderer.
pub fn install(state: &RenderState) {
    let device = &state.device;
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("points"),
        source: wgpu::ShaderSource::Wgsl(include_str!("../../../../shaders/points.wgsl").into()),
    });
    let texture = |binding| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::VERTEX,
        ty: wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        },
        count: None,
    };
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("points"),
        entries: &[
            wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::VERTEX_FRAGMENT,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Uniform,
                    has_dynamic_offset: false,
                    min_binding_size: std::num::NonZeroU64::new(size_of::<Uniforms>() as u64),
                },
                count: None,
            },
            texture(1),
            texture(2),
        ],
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("points"),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("points"),
        layout: Some(&pipeline_layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("vertex"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<[u32; 2]>() as u64,
                step_mode: wgpu::VertexStepMode::Instance,
                attributes: &wgpu::vertex_attr_array![0 => Uint32x2],
            })],
        },
        primitive: wgpu::PrimitiveState {
            topology: wgpu::PrimitiveTopology::TriangleStrip,
            ..Default::default()
        },
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("fragment"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::ColorTargetState {
                format: state.target_format,
                blend: Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING),
                write_mask: wgpu::ColorWrites::ALL,
            })],
        }),
        multiview_mask: None,
        cache: None,
    });
    let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("points"),
        size: size_of::<Uniforms>() as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    state.renderer.write().callback_resources.insert(Resources {
        pipeline,
        layout,
        uniforms,
        linear_target: state.target_format.is_srgb(),
        uploaded: None,
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

impl PointsCallback {
    fn upload(&self, resources: &mut Resources, device: &wgpu::Device, queue: &wgpu::Queue) {
        let before = resources.uploaded.take();
        let (positions, order, colours) = match before {
            Some(u) => (Some(u.positions), Some(u.order), Some((u.colours, u.group))),
            None => (None, None, None),
        };
        let same_positions = positions.filter(|(version, _)| *version == self.positions.version);
        let same_colours = colours.filter(|((version, _), _)| *version == self.colours.version);
        let order = order.filter(|(version, ..)| *version == self.order.version).unwrap_or_else(|| {
            let buffer = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("points order"),
                contents: bytemuck::cast_slice(&self.order.data),
                usage: wgpu::BufferUsages::VERTEX,
            });
            (self.order.version, buffer, self.order.data.len() as u32)
        });
        let new_positions = |data: &[[f32; 2]]| {
            upload_texture(
                device,
                queue,
                "points positions",
                wgpu::TextureFormat::Rg32Float,
                POSITIONS_WIDTH,
                8,
                bytemuck::cast_slice(data).to_vec(),
            )
        };
        let new_colours = |data: &[[u8; 4]]| {
            upload_texture(
                device,
                queue,
                "points colours",
                wgpu::TextureFormat::Rgba8Unorm,
                COLOURS_WIDTH,
                4,
                data.concat(),
            )
        };
        // The group names both textures: it is made anew when either is.
        let (positions, colours, group) = match (same_positions, same_colours) {
            (Some(positions), Some((colours, group))) => (positions, colours, Some(group)),
            (positions, colours) => {
                let positions = positions
                    .unwrap_or_else(|| (self.positions.version, new_positions(&self.positions.data)));
                let colours = colours.map_or_else(
                    || (self.colours.version, new_colours(&self.colours.data)),
                    |(texture, _)| texture,
                );
                (positions, colours, None)
            }
        };
        let group = group.unwrap_or_else(|| {
            let view = |texture: &wgpu::Texture| texture.create_view(&wgpu::TextureViewDescriptor::default());
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("points"),
                layout: &resources.layout,
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: resources.uniforms.as_entire_binding() },
                    wgpu::BindGroupEntry {
                        binding: 1,
                        resource: wgpu::BindingResource::TextureView(&view(&positions.1)),
                    },
                    wgpu::BindGroupEntry {
                        binding: 2,
                        resource: wgpu::BindingResource::TextureView(&view(&colours.1)),
                    },
                ],
            })
        });
        resources.uploaded = Some(Uploaded { positions, order, colours, group });
    }
}

impl CallbackTrait for PointsCallback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _screen: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(resources) = resources.get_mut::<Resources>() {
            self.upload(resources, device, queue);
            let uniforms = Uniforms {
                linear_target: u32::from(resources.linear_target),
                positions_width: POSITIONS_WIDTH,
                colours_width: COLOURS_WIDTH,
                ..self.uniforms
            };
            queue.write_buffer(&resources.uniforms, 0, bytemuck::bytes_of(&uniforms));
        }
        Vec::new()
    }

    fn paint(
        &self,
        _info: PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        let Some(resources) = resources.get::<Resources>() else { return };
        let Some(uploaded) = &resources.uploaded else { return };
        if uploaded.order.2 == 0 {
            return;
        }
        pass.set_pipeline(&resources.pipeline);
        pass.set_bind_group(0, &uploaded.group, &[]);
        pass.set_vertex_buffer(0, uploaded.order.1.slice(..));
        pass.draw(0..4, 0..uploaded.order.2);
    }
}
