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

    /// Spins until `at`, without giving up the core, and returns the time that it became: `at`, or
    /// as much later as the machine stalled.
    pub fn spin_until(&self, at: u64) -> u64 {
        loop {
            let now = self.now();
            if now >= at {
                return now;
            }
            std::hint::spin_loop();
        }
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
    fn spinning_ends_at_or_after_the_intended_time() {
        let clock = Clock::start();
        let at = clock.now() + 200_000;
        let became = clock.spin_until(at);
        assert!(became >= at);
        assert!(clock.now() >= became);
    }

    #[test]
    fn a_time_that_has_passed_is_not_waited_for() {
        let clock = Clock::start();
        let now = clock.spin_until(1);
        assert!(clock.spin_until(0) >= now);
    }

    #[test]
    fn copies_share_the_start() {
        let clock = Clock::start();
        clock.spin_until(1_000_000);
        let copy = clock;
        assert!(copy.now() >= 1_000_000);
    }
}
