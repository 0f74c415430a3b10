//! How far a node is, in words that one writes and all read. `tests/loom_positions.rs` runs this
//! file in every order that the memory model allows.

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::journal;
use crate::sync::{AtomicU64, Ordering};
use crate::types::{Nanos, Sequence};

/// How far the node is. Each word has one writer; all are inclusive.
#[derive(Debug)]
pub struct Positions {
    /// The journal's own: `synced ≤ journaled`.
    pub journal: Arc<journal::Positions>,
    /// The event log's, in numbers of events.
    pub events: Arc<journal::Positions>,
    published: CachePadded<AtomicU64>,
    processor: CachePadded<Processed>,
    /// The last event that left by the egress.
    left: CachePadded<AtomicU64>,
    standby: CachePadded<Standby>,
}

/// What stands in the rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Commands that are published and not applied yet.
    pub commands: u64,
    /// Events that one of their readers, the log or the egress, does not have yet.
    pub events: u64,
}

/// How far the standby is, by its last word.
#[derive(Debug, Default)]
struct Standby {
    journaled: AtomicU64,
    synced: AtomicU64,
}

#[derive(Debug, Default)]
struct Processed {
    applied: AtomicU64,
    released: AtomicU64,
    emitted: AtomicU64,
    handed_on: AtomicU64,
    wakes_at: AtomicU64,
}

/// What the processor tells after each poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last command that was applied.
    pub applied: Sequence,
    /// The last whose events have all left, or that had none to leave.
    pub released: Sequence,
    /// The number of the last event there is …
    pub emitted: u64,
    /// … and of the last that is on the ring.
    pub handed_on: u64,
    /// When the logic wants to be told the time.
    pub wakes_at: Option<Nanos>,
}

impl Positions {
    /// The positions of a node whose processor stands there.
    pub fn new(
        journal: Arc<journal::Positions>,
        events: Arc<journal::Positions>,
        progress: Progress,
    ) -> Self {
        let positions = Self {
            published: CachePadded::new(AtomicU64::new(journal.journaled())),
            journal,
            events,
            processor: CachePadded::default(),
            left: CachePadded::new(AtomicU64::new(progress.handed_on)),
            standby: CachePadded::default(),
        };
        positions.set_progress(progress);
        positions
    }

    /// The last command in the ring.
    pub fn published(&self) -> Sequence {
        Sequence(self.published.load(Ordering::Acquire))
    }

    /// The last command in the mapped segment.
    pub fn journaled(&self) -> Sequence {
        Sequence(self.journal.journaled())
    }

    /// The last command on the device.
    pub fn synced(&self) -> Sequence {
        Sequence(self.journal.synced())
    }

    /// The last command in the standby's journal.
    pub fn replicated(&self) -> Sequence {
        Sequence(self.standby.journaled.load(Ordering::Acquire))
    }

    /// The last command on the standby's device.
    pub fn replicated_synced(&self) -> Sequence {
        Sequence(self.standby.synced.load(Ordering::Acquire))
    }

    /// The standby has said how far it is.
    pub fn set_replicated(&self, journaled: Sequence, synced: Sequence) {
        self.standby.synced.store(synced.0, Ordering::Release);
        self.standby.journaled.store(journaled.0, Ordering::Release);
    }

    /// What the processor said last. The words are read one by one.
    pub fn progress(&self) -> Progress {
        let read = |word: &AtomicU64| word.load(Ordering::Acquire);
        let wakes_at = self.wakes_at();
        Progress {
            // Read in the order that keeps `released ≤ applied`.
            released: self.released(),
            applied: self.applied(),
            handed_on: read(&self.processor.handed_on),
            emitted: read(&self.processor.emitted),
            wakes_at,
        }
    }

    /// The last command that was applied.
    #[inline]
    pub fn applied(&self) -> Sequence {
        Sequence(self.processor.applied.load(Ordering::Acquire))
    }

    /// The last command whose events have all been let out, or that had none.
    #[inline]
    pub fn released(&self) -> Sequence {
        Sequence(self.processor.released.load(Ordering::Acquire))
    }

    /// When the logic wants to be told the time.
    #[inline]
    pub fn wakes_at(&self) -> Option<Nanos> {
        let wakes_at = self.processor.wakes_at.load(Ordering::Acquire);
        (wakes_at != u64::MAX).then_some(Nanos(wakes_at))
    }

    /// Whether everything that was published is journaled, applied, released and logged.
    pub fn is_quiet(&self) -> bool {
        let published = self.published();
        let progress = self.progress();
        progress.released == published && self.events.journaled() == progress.emitted
    }

    /// How full the rings are: from the positions, so nobody counts for it. They are read one by
    /// one, and may be a poll apart.
    pub fn waiting(&self) -> Waiting {
        let slowest = self.events.journaled().min(self.left());
        let Progress { applied, handed_on, .. } = self.progress();
        Waiting {
            commands: self.published().0.saturating_sub(applied.0),
            events: handed_on.saturating_sub(slowest),
        }
    }

    /// The last event that left by the egress.
    #[inline]
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Acquire)
    }

    /// The egress let events out, up to this one.
    #[inline]
    pub fn set_left(&self, number: u64) {
        self.left.store(number, Ordering::Release);
    }

    #[inline]
    pub(crate) fn set_published(&self, sequence: Sequence) {
        self.published.store(sequence.0, Ordering::Release);
    }

    pub(crate) fn set_progress(&self, progress: Progress) {
        let write = |word: &AtomicU64, value| word.store(value, Ordering::Release);
        // First: whoever sees a tick applied sees what it made of the timers.
        write(&self.processor.wakes_at, progress.wakes_at.map_or(u64::MAX, |time| time.0));
        write(&self.processor.emitted, progress.emitted);
        write(&self.processor.handed_on, progress.handed_on);
        write(&self.processor.applied, progress.applied.0);
        write(&self.processor.released, progress.released.0);
    }
}
