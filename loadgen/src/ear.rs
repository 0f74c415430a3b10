//! What clients of a run hear, as another thread sees it while a server gives its place to another.

use crate::clock::Clock;
use crate::live::Live;

/// Listens to a run since it was made, as often as it is told to.
#[derive(Debug)]
pub struct Ear<'a> {
    live: &'a Live,
    clock: Clock,
    reconnected: u64,
    answered: u64,
    heard: u64,
    is_back: bool,
    /// The longest time in which no client had an answer.
    pub silence_ns: u64,
    /// Whether one had an answer again that had lost its connection.
    pub has_reply: bool,
}

impl<'a> Ear<'a> {
    /// From now on.
    pub fn new(live: &'a Live) -> Self {
        let clock = Clock::start();
        Self {
            live,
            clock,
            reconnected: live.reconnected_so_far(),
            answered: live.answered_so_far(),
            heard: clock.now(),
            is_back: false,
            silence_ns: 0,
            has_reply: false,
        }
    }

    /// Looks once.
    pub fn listen(&mut self) {
        // An answer counts that came after somebody was seen to be back.
        let was_back = self.is_back;
        self.is_back |= self.live.reconnected_so_far() > self.reconnected;
        let answered = self.live.answered_so_far();
        if answered > self.answered {
            let now = self.clock.now();
            self.silence_ns = self.silence_ns.max(now - self.heard);
            (self.answered, self.heard) = (answered, now);
            self.has_reply |= was_back;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_counts_once_a_client_was_seen_to_be_back() {
        let live = Live::default();
        live.reconnected();
        let mut ear = Ear::new(&live);
        let mut hears = |answers: usize, comes_back: bool| {
            (0..answers).for_each(|_| live.answered(1));
            if comes_back {
                live.reconnected();
            }
            ear.listen();
            ear.has_reply
        };
        assert!(!hears(1, false), "it came back before");
        assert!(!hears(1, true), "which of them was first nobody knows");
        assert!(!hears(0, false));
        assert!(hears(1, false));
        assert!(ear.silence_ns > 0);
    }
}
