//! The two pipelines of the map: points into a picture, and the picture into the window.

use std::num::NonZeroU64;

/// The format of the picture: sRGB values as they are, multiplied by their opacity.
pub const PICTURE_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// The pipelines and the layouts of what they read.
pub struct Pipelines {
    /// Draws cells into a picture.
    pub points: wgpu::RenderPipeline,
    /// Draws a picture into the window.
    pub picture: wgpu::RenderPipeline,
    points_layout: wgpu::BindGroupLayout,
    picture_layout: wgpu::BindGroupLayout,
}

impl Pipelines {
    /// Pipelines for a window of `target` format; `uniform_bytes` are told to the shader of the points.
    pub fn new(device: &wgpu::Device, target: wgpu::TextureFormat, uniform_bytes: u64) -> Self {
        let uniform = wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::VERTEX_FRAGMENT,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: false,
                min_binding_size: NonZeroU64::new(uniform_bytes),
            },
            count: None,
        };
        let points_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("points"),
            entries: &[
                uniform,
                texture_entry(1, wgpu::ShaderStages::VERTEX),
                texture_entry(2, wgpu::ShaderStages::VERTEX),
            ],
        });
        let picture_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("map"),
            entries: &[texture_entry(0, wgpu::ShaderStages::FRAGMENT)],
        });
        let points = pipeline(
            device,
            "points",
            include_str!("../../../../shaders/points.wgsl"),
            "fragment",
            &points_layout,
            &[Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<[u32; 2]>() as u64,
                step_mode: wgpu::VertexStepMode::Instance,
                attributes: &wgpu::vertex_attr_array![0 => Uint32x2],
            })],
            PICTURE_FORMAT,
        );
        // egui blends sRGB values as they are where the window's format stores them so.
        let fragment = if target.is_srgb() { "fragment_linear" } else { "fragment" };
        let picture = pipeline(
            device,
            "map",
            include_str!("../../../../shaders/picture.wgsl"),
            fragment,
            &picture_layout,
            &[],
            target,
        );
        Self { points, picture, points_layout, picture_layout }
    }

    /// What the shader of the points reads.
    pub fn points_group(
        &self,
        device: &wgpu::Device,
        uniforms: &wgpu::Buffer,
        positions: &wgpu::Texture,
        colours: &wgpu::Texture,
    ) -> wgpu::BindGroup {
        let view = |texture: &wgpu::Texture| texture.create_view(&wgpu::TextureViewDescriptor::default());
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("points"),
            layout: &self.points_layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: uniforms.as_entire_binding() },
                wgpu::BindGroupEntry {
                    binding: 1,
                    resource: wgpu::BindingResource::TextureView(&view(positions)),
                },
                wgpu::BindGroupEntry {
                    binding: 2,
                    resource: wgpu::BindingResource::TextureView(&view(colours)),
                },
            ],
        })
    }

    /// What the shader of the picture reads.
    pub fn picture_group(&self, device: &wgpu::Device, picture: &wgpu::TextureView) -> wgpu::BindGroup {
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("map"),
            layout: &self.picture_layout,
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::TextureView(picture),
            }],
        })
    }
}

fn texture_entry(binding: u32, visibility: wgpu::ShaderStages) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility,
        ty: wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        },
        count: None,
    }
}

fn pipeline(
    device: &wgpu::Device,
    label: &str,
    source: &str,
    fragment: &str,
    layout: &wgpu::BindGroupLayout,
    buffers: &[Option<wgpu::VertexBufferLayout<'_>>],
    format: wgpu::TextureFormat,
) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some(label),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("vertex"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers,
        },
        primitive: wgpu::PrimitiveState {
            topology: wgpu::PrimitiveTopology::TriangleStrip,
            ..Default::default()
        },
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some(fragment),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::ColorTargetState {
                format,
                blend: Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING),
                write_mask: wgpu::ColorWrites::ALL,
            })],
        }),
        multiview_mask: None,
        cache: None,
    })
}
