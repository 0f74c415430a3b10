//! What `archive`, `prune` and `repair` share: a progress bar on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// Segments done, of how many, and the time left.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(what: &'static str) -> Self {
        // It draws on standard error, and only if that is a terminal.
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        Self(bar)
    }

    pub(super) fn on_progress(&mut self) -> impl FnMut(usize, usize) {
        |done, total| {
            self.0.set_length(total as u64);
            self.0.set_position(done as u64);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
