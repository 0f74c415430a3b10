//! The shadow: a second machine that tails the journal and takes the snapshots, and whose state
//! others may look at, so that the first never pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;
use ringframe_journal::storage::Storage;
use ringframe_journal::{Error, Positions, Reader};

use crate::logic::Logic;
use crate::machine::Machine;
use crate::onlooker::{Look, Onlooker};
use crate::snapshot::schedule::Handle;
use crate::snapshot::taker::Taker;
use crate::stage::{Fault, Stage};
use crate::types::Nanos;

/// So many commands are applied in one poll.
const BATCH: u64 = 256;
/// And so many onlookers have their turn.
const LOOKS: usize = 16;

/// Finds the state to begin with: the start of the journal, or a snapshot, which may take long.
/// Once it is given up it ends soon, and what it says is not used. Asked again where the journal is
/// pruned before the shadow has come so far.
pub type Load<L> = Box<dyn FnMut(&AtomicBool) -> Result<Machine<L>, Fault> + Send>;

/// A stage for a thread of its own, with the lowest priority: loading a big state is one long poll,
/// writing and verifying a snapshot of it is another. What goes wrong with a snapshot is told by
/// its [`Handle`]; a journal that cannot be read, or that says another digest, is a fault of the
/// node.
pub struct Shadow<L: Logic, S: Storage> {
    load: Load<L>,
    /// From the first poll on.
    tail: Option<Tail<L, S>>,
    journal: S,
    commands: Arc<Positions>,
    taker: Taker<S>,
    onlooker: Onlooker<L>,
    looks: Receiver<Look<L>>,
    /// How many commands the last poll applied, where it did nothing else.
    applied: u64,
}

/// A machine, and the journal after its last command.
struct Tail<L: Logic, S: Storage> {
    machine: Machine<L>,
    reader: Reader<S>,
}

impl<L: Logic, S: Storage> Shadow<L, S> {
    /// Tails `journal`, which is as far as `commands` says, from where `load` begins.
    pub fn new(load: Load<L>, journal: S, commands: Arc<Positions>, taker: Taker<S>) -> Self {
        let (onlooker, looks) = Onlooker::channel();
        Self { load, tail: None, journal, commands, taker, onlooker, looks, applied: 0 }
    }

    /// Asks for snapshots, and shows what became of them.
    pub fn handle(&self) -> Handle {
        self.taker.handle()
    }

    /// Lets others look at the machine, once it is loaded.
    pub fn onlooker(&self) -> Onlooker<L> {
        self.onlooker.clone()
    }

    /// The machine, once it is loaded: at a poll's end nothing waits in it.
    pub fn machine(&self) -> Option<&Machine<L>> {
        self.tail.as_ref().map(|tail| &tail.machine)
    }

    /// Nothing comes of it where the node ends meanwhile, or the journal is pruned meanwhile.
    fn begin(&mut self) -> Result<Option<Tail<L, S>>, Fault> {
        let loaded = (self.load)(self.taker.given_up());
        if self.is_given_up() {
            return Ok(None);
        }
        let machine = loaded?;
        let next = machine.applied().sequence.next();
        match Reader::open(self.journal.clone(), next.0) {
            Ok(reader) => Ok(Some(Tail { machine, reader })),
            Err(error) if is_pruned(&error) => Ok(None),
            Err(error) => Err(Fault::Journal(error)),
        }
    }

    fn is_given_up(&self) -> bool {
        self.taker.given_up().load(Ordering::Relaxed)
    }
}

/// Whether the journal begins behind what was to be read.
fn is_pruned(error: &Error) -> bool {
    matches!(error, Error::OutOfRange { sequence, first, .. } if sequence < first)
}

impl<L: Logic, S: Storage> Tail<L, S> {
    /// Applies what the journal holds up to here, a batch at most; says how many commands.
    fn apply(&mut self, journaled: u64) -> Result<u64, Fault> {
        let from = self.machine.applied().sequence;
        let last = journaled.min(from.0 + BATCH);
        while self.reader.next_sequence() <= last
            && let Some(frame) = self.reader.next_frame().map_err(Fault::Journal)?
        {
            self.machine.take(&frame.frame())?;
        }
        self.machine.advance(0);
        self.machine.forget(self.machine.held());
        Ok(self.machine.applied().sequence.0 - from.0)
    }
}

impl<L: Logic, S: Storage> Stage for Shadow<L, S> {
    fn name(&self) -> &'static str {
        "shadow"
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        let Some(tail) = &mut self.tail else {
            self.applied = 0;
            if !self.is_given_up() {
                self.tail = self.begin()?;
            }
            return Ok(usize::from(self.tail.is_some()));
        };
        let applied = match tail.apply(self.commands.journaled()) {
            Err(Fault::Journal(error)) if is_pruned(&error) => {
                (self.tail, self.applied) = (None, 0);
                return Ok(1);
            }
            applied => applied?,
        };
        let saving = self.taker.poll(&tail.machine, now);
        let mut looks = 0;
        for look in self.looks.try_iter().take(LOOKS) {
            look(&tail.machine);
            looks += 1;
        }
        self.applied = if saving + looks == 0 { applied } else { 0 };
        Ok(applied as usize + saving + looks)
    }

    fn took(&mut self, nanos: u64) {
        self.taker.took(self.applied, nanos);
    }
}
