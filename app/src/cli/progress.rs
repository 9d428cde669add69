//! The progress bar: on standard error, and only where that is a terminal.

use engine::progress::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Draws how far the work is.
pub fn show(bar: &ProgressBar, progress: &Progress) {
    if bar.is_finished() {
        return;
    }
    let template = if progress.total.is_some() {
        "{msg} {wide_bar} {human_pos}/{human_len} {eta}"
    } else {
        "{spinner} {msg}"
    };
    // A bar in the wrong style is still a bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    match progress.total {
        Some(total) => bar.set_length(total),
        None => bar.unset_length(),
    }
    bar.set_message(progress.what.clone());
    bar.set_position(progress.done);
}
