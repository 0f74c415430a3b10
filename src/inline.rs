//! A processor that takes its own snapshots: for a machine with one core, or where a second state
//! for good is too much; there is one for as long as a snapshot is checked. Everyone waits
//! meanwhile; the snapshot's status tells how long.

use ringframe_journal::storage::Storage;

use crate::logic::Logic;
use crate::processor::Processor;
use crate::snapshot::schedule::Handle;
use crate::snapshot::taker::Taker;
use crate::stage::{Fault, Stage};
use crate::types::Nanos;

/// The stage that runs logic and saves it between two batches.
pub struct Inline<L: Logic, S: Storage> {
    processor: Processor<L>,
    taker: Taker<S>,
    /// How many commands the last poll applied, where it did nothing else.
    applied: u64,
}

impl<L: Logic, S: Storage> Inline<L, S> {
    /// Takes snapshots of what the processor holds.
    pub fn new(processor: Processor<L>, taker: Taker<S>) -> Self {
        Self { processor, taker, applied: 0 }
    }

    /// The processor, whose machine is what is saved.
    pub fn processor(&self) -> &Processor<L> {
        &self.processor
    }

    /// Asks for snapshots, and shows what became of them.
    pub fn handle(&self) -> Handle {
        self.taker.handle()
    }
}

impl<L: Logic, S: Storage> Stage for Inline<L, S> {
    fn name(&self) -> &'static str {
        self.processor.name()
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        let from = self.processor.machine().applied().sequence;
        let work = self.processor.poll(now)?;
        let applied = self.processor.machine().applied().sequence.0 - from.0;
        let saving = self.taker.poll(self.processor.machine(), now);
        self.applied = if saving == 0 { applied } else { 0 };
        Ok(work + saving)
    }

    fn oldest(&self) -> Option<Nanos> {
        self.processor.oldest()
    }

    fn took(&mut self, nanos: u64) {
        self.taker.took(self.applied, nanos);
    }
}
