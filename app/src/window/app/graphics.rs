//! What draws the window: said where it is not a graphics card, or where it failed.

use std::sync::{Arc, Mutex};

use eframe::egui;

use super::super::is_software;
use super::super::workspace::Severity;
use super::App;

/// An error that the graphics driver reported, from any thread.
pub(super) type Slot = Arc<Mutex<Option<String>>>;

impl App {
    /// Says at the start what is wrong with the graphics card, or that there is none; not to who `asked` for software.
    pub(super) fn tell_what_draws(&mut self, failure: Option<&str>, asked: bool) {
        if let Some(why) = failure {
            self.work.notify(
                Severity::Error,
                "The graphics card cannot be used: the processor draws this window",
                format!(
                    "Everything works, but large maps move less smoothly. Updating the graphics driver may help. The \
                     driver said: {why}."
                ),
            );
        } else if self.remember
            && let Some((title, detail)) = software_words(&self.renderer, asked, self.saved.software_seen)
        {
            // Said once: from then on the bar at the bottom says it.
            self.saved.software_seen = true;
            self.work.notify(Severity::Warning, title, detail);
        }
    }

    /// Tells of the first error of the graphics driver; those that follow say no more.
    pub(super) fn tell_graphics_error(&mut self) {
        let error = self.graphics_error.lock().ok().and_then(|mut error| error.take());
        if let Some(error) = error.filter(|_| !self.graphics_error_told) {
            self.graphics_error_told = true;
            let said = error.lines().next().unwrap_or_default().trim_end_matches('.');
            self.work.notify(
                Severity::Error,
                "The graphics card reported an error: the map may not be whole",
                format!(
                    "Your work is saved by itself. Start the program with --software to draw with the processor, or \
                     update the graphics driver. It said: {said}."
                ),
            );
        }
    }
}

/// Has errors of the graphics driver told to the user, where by default they end the program.
pub(super) fn hear_errors(device: &wgpu::Device, ctx: &egui::Context, slot: &Slot) {
    let (slot, waker) = (slot.clone(), ctx.clone());
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        tracing::error!("graphics: {error}");
        if let Ok(mut slot) = slot.lock() {
            slot.get_or_insert_with(|| error.to_string());
        }
        waker.request_repaint();
    }));
}

/// What is said where the processor draws though nobody asked for it, unless it was said before.
fn software_words(renderer: &str, asked: bool, seen: bool) -> Option<(&'static str, &'static str)> {
    (is_software(renderer) && !asked && !seen).then_some((
        "No graphics card was found: the processor draws this window",
        "Everything works, but large maps move less smoothly. A graphics driver may help. The bar at the bottom says \
         what draws.",
    ))
}

#[cfg(test)]
mod tests {
    use super::software_words;

    #[test]
    fn drawing_with_the_processor_is_said_once_and_not_to_who_asked_for_it() {
        let said = |renderer, asked, seen| software_words(renderer, asked, seen).is_some();
        assert!(said("llvmpipe (software, Vulkan)", false, false));
        assert!(said("llvmpipe (software, OpenGL)", false, false));
        assert!(!said("llvmpipe (software, Vulkan)", true, false));
        assert!(!said("llvmpipe (software, Vulkan)", false, true));
        assert!(!said("NVIDIA H200 (Vulkan)", false, false));
    }
}
