//! The shadow: a second machine that tails the journal and takes the snapshots, so that the first
//! never pauses.

use std::sync::Arc;

use ringframe_journal::storage::Storage;
use ringframe_journal::{Positions, Reader};

use crate::logic::Logic;
use crate::machine::Machine;
use crate::snapshot::schedule::Handle;
use crate::snapshot::taker::Taker;
use crate::stage::{Fault, Stage};
use crate::types::Nanos;

/// So many commands are applied in one poll.
const BATCH: u64 = 256;

/// A stage for a thread of its own, with the lowest priority: writing and verifying a snapshot of a
/// big state is one long poll. What goes wrong with a snapshot is told by its [`Handle`]; a journal
/// that cannot be read, or that says another digest, is a fault of the node.
pub struct Shadow<L: Logic, S: Storage> {
    machine: Machine<L>,
    reader: Reader<S>,
    commands: Arc<Positions>,
    taker: Taker<S>,
}

impl<L: Logic, S: Storage> Shadow<L, S> {
    /// Tails `journal`, which is as far as `commands` says, from where `machine` stands: the start,
    /// or a snapshot that was loaded.
    pub fn open(
        machine: Machine<L>,
        journal: &S,
        commands: Arc<Positions>,
        taker: Taker<S>,
    ) -> Result<Self, Fault> {
        let next = machine.applied().sequence.next();
        let reader = Reader::open(journal.clone(), next.0).map_err(Fault::Journal)?;
        Ok(Self { machine, reader, commands, taker })
    }

    /// Asks for snapshots, and shows what became of them.
    pub fn handle(&self) -> Handle {
        self.taker.handle()
    }

    /// The machine: at a poll's end nothing waits in it.
    pub fn machine(&self) -> &Machine<L> {
        &self.machine
    }

    /// Applies what the journal holds, a batch at most; says how many commands.
    fn apply(&mut self, now: Nanos) -> Result<usize, Fault> {
        let from = self.machine.applied().sequence;
        let last = self.commands.journaled().min(from.0 + BATCH);
        while self.reader.next_sequence() <= last
            && let Some(frame) = self.reader.next_frame().map_err(Fault::Journal)?
        {
            self.machine.take(&frame.frame())?;
        }
        self.machine.advance(0);
        self.machine.forget(self.machine.held());
        let applied = self.machine.applied().sequence.0 - from.0;
        self.taker.worked(from, applied == BATCH, now);
        Ok(applied as usize)
    }
}

impl<L: Logic, S: Storage> Stage for Shadow<L, S> {
    fn name(&self) -> &'static str {
        "shadow"
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        let applied = self.apply(now)?;
        Ok(applied + self.taker.poll(&self.machine, now))
    }
}
