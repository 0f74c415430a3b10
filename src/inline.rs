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
}

impl<L: Logic, S: Storage> Inline<L, S> {
    /// Takes snapshots of what the processor holds.
    pub fn new(processor: Processor<L>, taker: Taker<S>) -> Self {
        Self { processor, taker }
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
        self.taker.worked(from, work > 0, now);
        Ok(work + self.taker.poll(self.processor.machine(), now))
    }
}
