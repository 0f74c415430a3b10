//! Clients that play while nodes change places, and wait for what they hear.

use std::sync::Arc;
use std::thread::{ScopedJoinHandle, sleep};
use std::time::Duration;

use loadgen::ear::Ear;
use loadgen::live::Live;
use loadgen::run::Outcome;

/// So often it looks: figures are as coarse as this.
const LOOK: Duration = Duration::from_micros(100);

/// Clients that play on a thread of their own.
pub(crate) struct Clients<'a> {
    pub(crate) live: Arc<Live>,
    pub(crate) playing: ScopedJoinHandle<'a, Outcome>,
}

impl Clients<'_> {
    /// Waits until they have sent so many messages.
    pub(crate) fn wait_for(&self, sent: u64) {
        while self.live.sent_so_far() < sent {
            assert!(!self.playing.is_finished(), "they end before anything has happened");
            sleep(LOOK);
        }
    }

    /// Listens until that is so, and one that lost its connection had a reply.
    pub(crate) fn listen_until(&self, ear: &mut Ear<'_>, is_so: impl Fn() -> bool) {
        while !ear.has_reply || !is_so() {
            let is_over = self.playing.is_finished();
            assert!(!is_over || ear.has_reply, "clients end and never came back");
            ear.listen();
            sleep(LOOK);
        }
    }

    /// Their figures, at the end.
    pub(crate) fn end(self) -> Outcome {
        self.playing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
