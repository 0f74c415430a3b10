//! The machine's own stalls: a thread that wants nothing but to look at the clock, on time.
//!
//! It shares the cores with the run, so it looks rarely: what it sees is a sample, and it costs the
//! run a few microseconds each time.
#![expect(clippy::disallowed_methods, reason = "sleeping is all that it does")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::latency::{Latencies, Summary};
use crate::schedule::nanos;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(5);

/// Looks until `over`, and says when it came late and by how much.
pub(crate) fn watch(clock: Clock, over: &AtomicBool) -> Vec<(u64, u64)> {
    let mut late = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let due = clock.now() + nanos(LOOK);
        std::thread::sleep(LOOK);
        let now = clock.now();
        late.push((now, now.saturating_sub(due)));
    }
    late
}

/// The hiccups in seven numbers.
pub(crate) fn summary(hiccups: &[(u64, u64)]) -> Summary {
    let mut latencies = Latencies::new();
    for (_, late) in hiccups {
        latencies.record(*late);
    }
    latencies.summary()
}
