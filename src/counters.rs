//! One block of counters per stage: written by the thread that polls it, read by anyone.

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
    busy_nanos: AtomicU64,
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
        let Words { polls, worked, items, largest, busy_nanos } = &*self.words;
        let read = |word: &AtomicU64| word.load(Ordering::Relaxed);
        Counts {
            polls: read(polls),
            worked: read(worked),
            items: read(items),
            largest: read(largest),
            busy_nanos: read(busy_nanos),
        }
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
        add(&words.busy_nanos, nanos);
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
