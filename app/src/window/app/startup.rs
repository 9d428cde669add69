//! How long one waits for the window after starting the program: told to the log (`CELL2TEXT_LOG=info`).

use std::time::Instant;

/// What the start has come to.
#[derive(Debug)]
pub(super) struct Startup {
    begun: Instant,
    frames: u32,
    map_told: bool,
}

impl Startup {
    pub(super) fn new(begun: Instant) -> Self {
        Self { begun, frames: 0, map_told: false }
    }

    /// At the beginning of a frame: the one before it is on the screen.
    pub(super) fn note(&mut self, has_map: bool) {
        if self.map_told {
            return;
        }
        self.frames = self.frames.saturating_add(1);
        let waited = self.begun.elapsed().as_secs_f32();
        if self.frames == 2 {
            tracing::info!("the first frame was shown after {waited:.2} s");
        }
        if has_map && self.frames > 2 {
            self.map_told = true;
            tracing::info!("the first map was shown after {waited:.2} s");
        }
    }
}
