//! A picture that egui paints into, in place of a window: for screenshots and for measuring frames.

use anyhow::Context as _;
use eframe::{egui, egui_wgpu};

use super::wait::wait_for;
use super::{Adapters, wgpu_options};

/// A texture of the size of a window, and what paints into it.
pub struct Canvas {
    /// The graphics adapter and egui's renderer on it.
    pub state: egui_wgpu::RenderState,
    /// Pixels, `[width, height]`.
    pub size: [u32; 2],
    target: wgpu::Texture,
}

impl Canvas {
    /// A canvas of about these pixels: no larger than the adapter allows.
    ///
    /// # Errors
    /// Where no graphics adapter works, not even a software one.
    pub fn new([width, height]: [u32; 2]) -> anyhow::Result<Self> {
        let config = wgpu_options(Adapters::All);
        let state = wait_for(async {
            let instance = config.wgpu_setup.new_instance().await;
            egui_wgpu::RenderState::create(&config, &instance, None, egui_wgpu::RendererOptions::PREDICTABLE)
                .await
        })
        .context("no graphics adapter works here; a software one is in the package mesa-vulkan-drivers")?;
        let most = state.device.limits().max_texture_dimension_2d;
        let size = [width.clamp(16, most), height.clamp(16, most)];
        let target = state.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("canvas"),
            size: extent(size),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: state.target_format,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        Ok(Self { state, size, target })
    }

    /// Paints one frame of egui, in the order of a window's frame: textures, buffers, shapes. `after` may add to the
    /// commands before they are sent, as a copy of the picture.
    pub fn paint(
        &self,
        primitives: &[egui::ClippedPrimitive],
        textures: &mut egui::TexturesDelta,
        pixels_per_point: f32,
        after: impl FnOnce(&mut wgpu::CommandEncoder, &wgpu::Texture),
    ) {
        let (device, queue) = (&self.state.device, &self.state.queue);
        let screen = egui_wgpu::ScreenDescriptor { size_in_pixels: self.size, pixels_per_point };
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut renderer = self.state.renderer.write();
        for (id, deltas) in textures.set.drain() {
            for delta in deltas {
                renderer.update_texture(device, queue, id, &delta);
            }
        }
        let own = renderer.update_buffers(device, queue, &mut encoder, primitives, &screen);
        {
            let view = self.target.create_view(&wgpu::TextureViewDescriptor::default());
            let mut pass = encoder
                .begin_render_pass(&wgpu::RenderPassDescriptor {
                    label: Some("canvas"),
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
            renderer.render(&mut pass, primitives, &screen);
        }
        after(&mut encoder, &self.target);
        queue.submit(own.into_iter().chain([encoder.finish()]));
        for id in textures.free.drain() {
            renderer.free_texture(&id);
        }
    }
}

/// The extent of a picture of these pixels.
pub fn extent([width, height]: [u32; 2]) -> wgpu::Extent3d {
    wgpu::Extent3d { width, height, depth_or_array_layers: 1 }
}
