//! One block of counters per stage: written by the thread that polls it, read by anyone.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

/// What one stage did so far, shared. The owner alone writes, so plain loads and stores do.
#[derive(Debug)]
pub struct Counters {
    stage: &'static str,
    /// On cache lines of its own: the stages' owners are on different cores.
    words: CachePadded<Words>,
}

#[derive(Debug, Default)]
struct Words {
    polls: AtomicU64,
    worked: AtomicU64,
    items: AtomicU64,
    largest: AtomicU64,
    took: Spread,
    ages: Spread,
}

/// A power of two of nanoseconds is cut into so many buckets: an age is known to a quarter.
const STEPS_LOG2: u32 = 2;
const BUCKETS: usize = 64 << STEPS_LOG2;

/// How long things took: all together, and how many of them by their length.
#[derive(Debug)]
struct Spread {
    nanos: AtomicU64,
    counts: [AtomicU64; BUCKETS],
}

impl Default for Spread {
    fn default() -> Self {
        Self { nanos: AtomicU64::new(0), counts: array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Spread {
    #[inline]
    fn add(&self, nanos: u64) {
        add(&self.nanos, nanos);
        add(&self.counts[bucket(nanos)], 1);
    }

    fn read(&self) -> Lengths {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let some = counts.enumerate().filter(|(_, count)| *count > 0);
        Lengths {
            counts: some.map(|(bucket, count)| (greatest(bucket), count)).collect(),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

/// Lengths of time at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// A length, and how many were no longer, and longer than the one before; to a quarter.
    pub counts: Vec<(u64, u64)>,
    /// All together.
    pub nanos: u64,
}

/// Below eight each age has a bucket of its own, above each power of two has four.
#[inline]
fn bucket(nanos: u64) -> usize {
    let shift = (nanos | ((2 << STEPS_LOG2) - 1)).ilog2() - STEPS_LOG2;
    ((shift as usize) << STEPS_LOG2) + (nanos >> shift) as usize
}

/// The greatest age of a bucket.
fn greatest(bucket: usize) -> u64 {
    let shift = (bucket >> STEPS_LOG2).saturating_sub(1);
    let above = ((bucket - (shift << STEPS_LOG2)) as u128 + 1) << shift;
    u64::try_from(above - 1).unwrap_or(u64::MAX)
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How often it was polled …
    pub polls: u64,
    /// … and how often it found something to do.
    pub worked: u64,
    /// How many items it did, all in all …
    pub items: u64,
    /// … and in one poll, at most.
    pub largest: u64,
    /// The time spent in polls that did something; 0 where the stage is polled by hand.
    pub busy_nanos: u64,
}

impl Counters {
    pub(crate) fn new(stage: &'static str) -> Self {
        Self { stage, words: CachePadded::default() }
    }

    /// Whose they are.
    pub fn stage(&self) -> &'static str {
        self.stage
    }

    /// Reads them. Each is right by itself; together they may be a poll apart.
    pub fn read(&self) -> Counts {
        let Words { polls, worked, items, largest, took, ages: _ } = &*self.words;
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        Counts {
            polls: read(polls),
            worked: read(worked),
            items: read(items),
            largest: read(largest),
            busy_nanos: read(&took.nanos),
        }
    }

    /// How old the oldest command of a batch was when the stage was done with it, since its place
    /// in the order was decided.
    pub fn ages(&self) -> Lengths {
        self.words.ages.read()
    }

    /// How long those polls took that did something.
    pub fn took(&self) -> Lengths {
        self.words.took.read()
    }

    /// The oldest command of a batch was so old.
    #[inline]
    pub(crate) fn aged(&self, nanos: u64) {
        self.words.ages.add(nanos);
    }

    /// A poll that found nothing to do.
    #[inline]
    pub(crate) fn idle(&self) {
        add(&self.words.polls, 1);
    }

    /// A poll that did so many items in this time.
    #[inline]
    pub(crate) fn worked(&self, items: u64, nanos: u64) {
        let words = &*self.words;
        add(&words.polls, 1);
        add(&words.worked, 1);
        add(&words.items, items);
        words.took.add(nanos);
        if items > words.largest.load(Ordering::Relaxed) {
            words.largest.store(items, Ordering::Relaxed);
        }
    }
}

/// By the owner only: no locked instruction.
#[inline]
fn add(word: &AtomicU64, more: u64) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_is_in_a_bucket_that_ends_a_quarter_above_it_at_most() {
        let ages = (0..5_000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX - 1, u64::MAX]);
        for nanos in ages {
            let end = greatest(bucket(nanos));
            assert!(nanos <= end && end - nanos <= nanos / 4, "{nanos} {end}");
            assert!(nanos == 0 || greatest(bucket(nanos) - 1) < nanos, "{nanos}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn ages_are_counted_by_their_buckets() {
        let counters = Counters::new("it");
        for nanos in [5, 5, 1_000, 1_001] {
            counters.aged(nanos);
        }
        let counts = vec![(5, 2), (1_023, 2)];
        assert_eq!(counters.ages(), Lengths { counts, nanos: 2_011 });
    }
}
