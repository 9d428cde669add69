//! The progress bar: on standard error, and only where that is a terminal.

use engine::progress::{Cancel, Progress, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::interrupt;

/// A bar, and a watch that draws it and hands Ctrl-C on.
pub fn watched() -> (ProgressBar, Watch) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let cancel = Cancel::new();
    let (stop, drawn) = (cancel.clone(), bar.clone());
    let watch = Watch::new(cancel, move |progress: &Progress| {
        if interrupt::pressed() {
            stop.cancel();
        }
        show(&drawn, progress);
    });
    (bar, watch)
}

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
