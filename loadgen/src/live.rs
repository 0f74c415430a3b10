//! What another thread may see of a run while it goes on: counts and a coarse histogram, written
//! by one thread with plain stores, so that watching costs the run nothing.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Clock;
use crate::table::duration;

/// A power of two is cut into so many buckets: percentiles are good to about 6 %.
const STEPS: usize = 16;
const BUCKETS: usize = 64 * STEPS;
/// How often the view changes on a terminal …
const LOOK: Duration = Duration::from_millis(250);
/// … and how many of those pass between two plain lines.
const LOOKS_A_LINE: u32 = 8;

/// Counters with one writer.
#[derive(Debug)]
pub struct Live {
    sent: AtomicU64,
    answered: AtomicU64,
    wrong: AtomicU64,
    reconnected: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Live {
    fn default() -> Self {
        Self {
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            reconnected: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

/// There is one writer: a load and a store are enough.
fn add_one(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

impl Live {
    #[inline]
    pub(crate) fn sent(&self) {
        add_one(&self.sent);
    }

    #[inline]
    pub(crate) fn answered(&self, latency_ns: u64) {
        add_one(&self.answered);
        add_one(&self.buckets[bucket(latency_ns)]);
    }

    pub(crate) fn wrong(&self) {
        add_one(&self.wrong);
    }

    pub(crate) fn reconnected(&self) {
        add_one(&self.reconnected);
    }

    /// How many messages went out, those of the warm-up not counted.
    pub fn sent_so_far(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// How many of those were answered.
    pub fn answered_so_far(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// How often a session got a new connection for a lost one.
    pub fn reconnected_so_far(&self) -> u64 {
        self.reconnected.load(Relaxed)
    }

    fn look(&self) -> Look {
        Look {
            sent: self.sent.load(Relaxed),
            answered: self.answered.load(Relaxed),
            wrong: self.wrong.load(Relaxed),
            buckets: self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect(),
        }
    }
}

/// Below 32 each value has its own, above each power of two has 16.
fn bucket(ns: u64) -> usize {
    let shift = (ns | 31).ilog2() as usize - 4;
    shift * STEPS + (ns >> shift) as usize
}

/// The lowest value of the next bucket.
fn above(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    ((bucket - shift * STEPS) as u64 + 1) << shift
}

/// The counts at one moment.
struct Look {
    sent: u64,
    answered: u64,
    wrong: u64,
    buckets: Vec<u64>,
}

impl Look {
    /// Of the answers since `before`; `None` of none, which is no latency of 0.
    fn percentile_since(&self, before: &Self, of_1000: u64) -> Option<u64> {
        let counts = || self.buckets.iter().zip(&before.buckets).map(|(now, then)| now - then);
        let wanted = (counts().sum::<u64>() * of_1000).div_ceil(1_000);
        let mut seen = 0;
        for (bucket, count) in counts().enumerate() {
            seen += count;
            if count > 0 && seen >= wanted {
                return Some(above(bucket));
            }
        }
        None
    }
}

impl Look {
    /// What happened in the `passed_ns` since `before`.
    fn line(&self, before: &Self, passed_ns: u64, rest_ns: u64) -> String {
        let per_second = (self.answered - before.answered) as f64 * 1e9 / passed_ns as f64;
        let [p50, p99, p100] = [500, 990, 1_000].map(|of_1000| {
            self.percentile_since(before, of_1000).map_or_else(|| "–".to_owned(), duration)
        });
        let Self { sent, answered, wrong, .. } = self;
        let left = match rest_ns {
            0 => "waiting for answers".to_owned(),
            _ if *sent == 0 => format!("{:.0} s left, warming up", rest_ns as f64 / 1e9),
            _ => format!("{:.0} s left", rest_ns as f64 / 1e9),
        };
        format!(
            "{per_second:.0}/s  p50 {p50}  p99 {p99}  max {p100}  sent {sent}  answered \
             {answered}  errors {wrong}  {left}"
        )
    }
}

/// What goes on in a second row of a terminal would stay there.
fn within(line: &str, columns: usize) -> String {
    line.chars().take(columns.saturating_sub(1)).collect()
}

/// Of the terminal; one that does not know has 80.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}

/// How a run is shown while it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Not at all.
    #[default]
    Quiet,
    /// A line on standard error every two seconds.
    Plain,
    /// One line on standard error that changes in place.
    InPlace,
}

impl View {
    /// In place on a terminal, plain lines elsewhere.
    pub fn fitting() -> Self {
        if std::io::stderr().is_terminal() { Self::InPlace } else { Self::Plain }
    }
}

/// Shows `live` until `over`. `length_ns` is what the run is about to take, for the ETA.
pub(crate) fn show(live: &Live, view: View, what: &str, length_ns: u64, over: &AtomicBool) {
    if view == View::Quiet {
        return;
    }
    let clock = Clock::start();
    let (mut before, mut then) = (live.look(), clock.now());
    let mut looks = 0;
    while !over.load(Relaxed) {
        std::thread::park_timeout(LOOK);
        looks += 1;
        if view == View::Plain && looks % LOOKS_A_LINE != 0 {
            continue;
        }
        let (look, now) = (live.look(), clock.now());
        let rest_ns = length_ns.saturating_sub(now);
        let line = format!("{what}: {}", look.line(&before, now - then, rest_ns));
        // Nobody who watches is worth stopping a measurement for.
        let _ = match view {
            View::InPlace => {
                write!(std::io::stderr(), "\r\x1b[2K{}", within(&line, columns()))
            }
            _ => writeln!(std::io::stderr(), "{line}"),
        };
        (before, then) = (look, now);
    }
    if view == View::InPlace {
        let _ = write!(std::io::stderr(), "\r\x1b[2K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_below_the_end_of_its_bucket_and_near_it() {
        for ns in (0..10_000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX >> 1]) {
            let end = above(bucket(ns));
            assert!(ns < end, "{ns} {end}");
            assert!((end - ns) <= 1 + ns / STEPS as u64, "{ns} {end}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn percentiles_are_of_what_came_since() {
        let live = Live::default();
        (0..100).for_each(|_| live.answered(1_000_000));
        let before = live.look();
        (0..98).for_each(|_| live.answered(1_000));
        (0..2).for_each(|_| live.answered(50_000));
        let look = live.look();
        let since = |of_1000| look.percentile_since(&before, of_1000).expect("some came");
        assert!((1_000..1_100).contains(&since(500)));
        assert!((50_000..54_000).contains(&since(990)));
        assert_eq!(look.percentile_since(&look, 500), None);
    }

    #[test]
    fn a_line_is_cut_to_its_row() {
        assert_eq!([5, 3, 0].map(|columns| within("µ–ab", columns)), ["µ–ab", "µ–", ""]);
    }

    #[test]
    fn a_line_never_takes_silence_for_speed() {
        let live = Live::default();
        let before = live.look();
        let line = before.line(&before, 1_000_000_000, 4_000_000_000);
        assert!(line.starts_with("0/s  p50 –  p99 –  max –"), "{line}");
        assert!(line.ends_with("4 s left, warming up"), "{line}");
        live.sent();
        live.answered(7);
        let line = live.look().line(&before, 500_000_000, 0);
        let expected = "2/s  p50 8 ns  p99 8 ns  max 8 ns  sent 1  answered 1  errors 0  \
                        waiting for answers";
        assert_eq!(line, expected);
    }
}
