//! Both rings, every gate, and the positions: the architecture in a few lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use disruptor::{
    BusySpin, EventPoller, MultiConsumerBarrier, SingleConsumerBarrier, SingleProducer,
    SingleProducerBarrier, build_single_producer,
};

use crate::slot::Slot;
use crate::types::{Nanos, Sequence};

/// Where commands go in. It cannot be cloned: whoever holds it decides the order.
pub type CommandPublisher = SingleProducer<Slot, SingleConsumerBarrier>;
/// Where released events go in.
pub type EventPublisher = SingleProducer<Slot, MultiConsumerBarrier>;
/// Sees a slot as soon as it is published.
pub type SlotReader = EventPoller<Slot, SingleProducerBarrier>;
/// Sees a slot only after the reader before it is done with it.
pub type GatedReader = EventPoller<Slot, SingleConsumerBarrier>;

/// The ring of commands: published ─► journaled ─► processed.
pub struct CommandRing {
    /// For the sequencer, or on a standby for the follower.
    pub publisher: CommandPublisher,
    /// Copies commands to the journal …
    pub journaler: SlotReader,
    /// … and only what is journaled is applied.
    pub processor: GatedReader,
}

impl CommandRing {
    /// An empty ring; `slots` is a power of two.
    pub fn new(slots: usize) -> Self {
        let ring = build_single_producer(slots, Slot::default, BusySpin);
        let (journaler, ring) = ring.new_event_poller();
        let (processor, ring) = ring.and_then().new_event_poller();
        Self { publisher: ring.build(), journaler, processor }
    }
}

/// The ring of events. The processor publishes an event once its command is released, so no reader
/// has a gate of its own.
pub struct EventRing {
    /// For the processor.
    pub publisher: EventPublisher,
    /// Winds events onto their log.
    pub event_log: SlotReader,
    /// Carries them to whoever asked.
    pub egress: SlotReader,
}

impl EventRing {
    /// An empty ring; `slots` is a power of two.
    pub fn new(slots: usize) -> Self {
        let ring = build_single_producer(slots, Slot::default, BusySpin).with_multi_consumer();
        let (event_log, ring) = ring.new_event_poller();
        let (egress, ring) = ring.new_event_poller();
        Self { publisher: ring.build(), event_log, egress }
    }
}

/// How far the node is. Each word has one writer; all are inclusive.
#[derive(Debug)]
pub struct Positions {
    /// The journal's own: `synced ≤ journaled`.
    pub journal: Arc<ringframe_journal::Positions>,
    /// The event log's, in numbers of events.
    pub events: Arc<ringframe_journal::Positions>,
    published: CachePadded<AtomicU64>,
    processor: CachePadded<Processed>,
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
        journal: Arc<ringframe_journal::Positions>,
        events: Arc<ringframe_journal::Positions>,
        progress: Progress,
    ) -> Self {
        let positions = Self {
            published: CachePadded::new(AtomicU64::new(journal.journaled())),
            journal,
            events,
            processor: CachePadded::default(),
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

    /// What the processor said last. The words are read one by one.
    pub fn progress(&self) -> Progress {
        let read = |word: &AtomicU64| word.load(Ordering::Acquire);
        let wakes_at = self.wakes_at();
        Progress {
            // Read in the order that keeps `released ≤ applied`.
            released: Sequence(read(&self.processor.released)),
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
