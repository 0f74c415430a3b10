//! The crate's only reader of time.
#![expect(clippy::disallowed_methods, reason = "the one place that reads a clock")]

use std::time::{Instant, SystemTime};

/// Counts nanoseconds from its start. Copies share the start, so that threads agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that shows 0 now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}

/// A time of day.
pub type WallTime = SystemTime;

/// The time of day: for names and headings, never for a latency.
pub fn time_of_day() -> WallTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_the_start() {
        let clock = Clock::start();
        while clock.now() < 1_000_000 {}
        let copy = clock;
        assert!(copy.now() >= 1_000_000);
    }
}
