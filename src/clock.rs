//! The only reader of time. Everyone else takes `now` as an argument.
#![expect(clippy::disallowed_methods, reason = "it is the clock")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::types::Nanos;

/// Nanoseconds since 1970 that never go back: the system's time is asked once, when the clock is
/// made; from there on a monotonic source counts. Copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Nanos,
    anchor: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that goes on from the system's time.
    pub fn new() -> Self {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = Nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
        Self { started, anchor: Instant::now() }
    }

    /// The time: no system call, about 25 ns.
    #[inline]
    pub fn now(&self) -> Nanos {
        self.started.after(self.anchor.elapsed().as_nanos() as u64)
    }
}

/// A time as logs have it.
pub(crate) fn written(time: Nanos) -> String {
    let written = jiff::Timestamp::from_nanosecond(i128::from(time.0));
    written.map_or_else(|_| time.0.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_at_the_system_s_time_and_never_goes_back() {
        let clock = Clock::new();
        let copy = clock;
        let mut last = clock.now();
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        assert!(system.abs_diff(last.0) < Nanos::SECOND, "{last:?} is not near {system}");
        for _ in 0..10_000 {
            let now = copy.now();
            assert!(now >= last);
            last = now;
        }
        assert!(last > clock.started);
    }
}
