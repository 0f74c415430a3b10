//! Both rings, every gate, and the positions: the architecture in a few lines.

use disruptor::{
    BusySpin, EventPoller, MultiConsumerBarrier, SingleConsumerBarrier, SingleProducer,
    SingleProducerBarrier, build_single_producer,
};

pub use positions::{Positions, Progress, Waiting};

use crate::slot::Slot;

mod positions;

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
