//! A bar with a rate and the time left, on a terminal; nothing elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far long work is.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Counts something up to a total, from where it begins.
    pub(super) fn new(what: &str, from: u64, total: u64) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let style =
            format!("{{bar:40}} {{human_pos}} of {{human_len}} {what}, {{per_sec}}, {{eta}} left");
        let style = ProgressStyle::with_template(&style);
        let bar = ProgressBar::with_draw_target(Some(total), target)
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            .with_position(from);
        // What was there before was not done in no time: it counts for no rate.
        bar.tick();
        bar.reset_eta();
        Self(bar)
    }

    /// It is there now.
    pub(super) fn reached(&self, position: u64) {
        self.0.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_at_the_beginning_is_no_speed() {
        let Progress(bar) = &Progress::new("commands", 900_000_000, 1_000_000_000);
        assert_eq!((bar.position(), bar.length()), (900_000_000, Some(1_000_000_000)));
        let rate = bar.per_sec();
        assert!(rate.is_nan() || rate <= 0.0, "{rate} commands a second, and nothing was done");
    }
}
