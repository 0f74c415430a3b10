//! What clients hear, as another thread sees it while nodes change places.

use std::sync::Arc;
use std::thread::{ScopedJoinHandle, sleep};
use std::time::{Duration, Instant};

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

    /// Their figures, at the end.
    pub(crate) fn end(self) -> Outcome {
        self.playing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Listens since it was made.
pub(crate) struct Ear<'a> {
    clients: &'a Clients<'a>,
    reconnected: u64,
    answered: u64,
    heard: Instant,
    is_back: bool,
    /// The longest time in which no client had an answer.
    pub(crate) silence: Duration,
    /// When one had an answer again that had lost its connection.
    pub(crate) replied: Option<Instant>,
}

impl<'a> Ear<'a> {
    pub(crate) fn new(clients: &'a Clients<'a>) -> Self {
        let live = &clients.live;
        Self {
            reconnected: live.reconnected_so_far(),
            answered: live.answered_so_far(),
            heard: Instant::now(),
            is_back: false,
            silence: Duration::ZERO,
            replied: None,
            clients,
        }
    }

    fn listen(&mut self) {
        // An answer counts that came after somebody was seen to be back.
        let was_back = self.is_back;
        self.is_back |= self.clients.live.reconnected_so_far() > self.reconnected;
        let (answered, now) = (self.clients.live.answered_so_far(), Instant::now());
        if answered > self.answered {
            self.silence = self.silence.max(now - self.heard);
            (self.answered, self.heard) = (answered, now);
            if was_back {
                self.replied.get_or_insert(now);
            }
        }
    }

    /// Listens until that is so, and a client that lost its connection had a reply.
    pub(crate) fn listen_until(&mut self, is_so: impl Fn() -> bool) {
        while self.replied.is_none() || !is_so() {
            let is_over = self.clients.playing.is_finished();
            assert!(!is_over || self.replied.is_some(), "clients end and never came back");
            self.listen();
            sleep(LOOK);
        }
    }
}
