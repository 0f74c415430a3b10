//! The shadow: a second machine that tails the journal and takes the snapshots, so that the first
//! never pauses.

use std::sync::Arc;

use ringframe_journal::storage::Storage;
use ringframe_journal::{Positions, Reader};

use crate::logic::Logic;
use crate::machine::Machine;
use crate::snapshot::schedule::{Due, Handle, Schedule, Triggers};
use crate::snapshot::{self, Prepared, SnapshotError};
use crate::stage::{Fault, Stage};
use crate::types::{Nanos, Sequence};

/// So many commands are applied in one poll.
const BATCH: u64 = 256;
/// So long a snapshot waits for the journal and the event log to become durable.
pub const PATIENCE_NANOS: u64 = 60 * Nanos::SECOND;

/// What the shadow tails, and what a snapshot waits for.
#[derive(Clone, Debug)]
pub struct Tail<S> {
    /// The journal of commands.
    pub journal: S,
    /// How far it is.
    pub commands: Arc<Positions>,
    /// How far the event log is.
    pub events: Arc<Positions>,
}

/// A stage for a thread of its own, with the lowest priority: writing and verifying a snapshot of a
/// big state is one long poll. What goes wrong with a snapshot is told by its [`Handle`] and tried
/// again; a journal that cannot be read, or that says another digest, is a fault of the node.
pub struct Shadow<L: Logic, S: Storage> {
    machine: Machine<L>,
    reader: Reader<S>,
    tail: Tail<S>,
    snapshots: S,
    keep: usize,
    schedule: Schedule,
    phase: Phase<S>,
}

/// What the shadow is at.
enum Phase<S: Storage> {
    /// Applies what the journal holds, …
    Tailing,
    /// … up to the command that the snapshot which is due must hold, …
    Nearing { target: Sequence, due: Due, began: Nanos },
    /// … and waits, with the snapshot written and verified, until all that it tells of is durable.
    Waiting { prepared: Prepared<S>, due: Due, began: Nanos, since: Option<Nanos> },
}

impl<L: Logic, S: Storage> Shadow<L, S> {
    /// Tails from where `machine` stands: the start, or a snapshot that was loaded. Removes what a
    /// crash left unfinished in `snapshots`, and keeps the newest `keep` of those that are good.
    pub fn open(
        machine: Machine<L>,
        tail: Tail<S>,
        snapshots: S,
        triggers: Triggers,
        keep: usize,
    ) -> Result<Self, Fault> {
        let trouble = |error: SnapshotError| Fault::Snapshot(error.to_string());
        snapshot::clean(&snapshots).map_err(trouble)?;
        let next = machine.applied().sequence.next();
        let reader = Reader::open(tail.journal.clone(), next.0).map_err(Fault::Journal)?;
        let infos = snapshot::list(&snapshots).map_err(trouble)?;
        let newest = infos.iter().find_map(snapshot::Info::sequence).unwrap_or_default();
        let schedule = Schedule::new(triggers, newest);
        Ok(Self { machine, reader, tail, snapshots, keep, schedule, phase: Phase::Tailing })
    }

    /// Asks for snapshots, and shows what became of them.
    pub fn handle(&self) -> Handle {
        self.schedule.handle()
    }

    /// The machine: at a poll's end nothing waits in it.
    pub fn machine(&self) -> &Machine<L> {
        &self.machine
    }

    /// Applies up to `last` what the journal holds, a batch at most; says how many commands.
    fn apply(&mut self, last: u64, now: Nanos) -> Result<usize, Fault> {
        let from = self.machine.applied().sequence;
        let last = last.min(from.0 + BATCH);
        while self.reader.next_sequence() <= last
            && let Some(frame) = self.reader.next_frame().map_err(Fault::Journal)?
        {
            self.machine.take(&frame.frame())?;
        }
        self.machine.advance(0);
        self.machine.forget(self.machine.held());
        let applied = self.machine.applied().sequence.0 - from.0;
        self.schedule.worked(from, applied == BATCH, now);
        Ok(applied as usize)
    }

    /// Whoever asks for a snapshot wants what was journaled by then to be in it.
    fn is_due(&mut self, now: Nanos) -> bool {
        let applied = self.machine.applied().sequence;
        let Some(due) = self.schedule.due(applied, now) else { return false };
        let target = match due {
            Due::Requested => Sequence(self.tail.commands.journaled()),
            _ => applied,
        };
        self.phase = Phase::Nearing { target, due, began: now };
        true
    }

    fn prepare(&mut self, due: Due, began: Nanos, now: Nanos) {
        self.phase = match snapshot::prepare(&self.snapshots, &self.machine) {
            Ok(prepared) => Phase::Waiting { prepared, due, began, since: None },
            Err(error) => {
                self.schedule.failed(error, now);
                Phase::Tailing
            }
        };
    }

    fn is_durable(&self, prepared: &Prepared<S>) -> bool {
        let applied = prepared.applied();
        self.tail.commands.synced() >= applied.sequence.0
            && self.tail.events.synced() >= applied.events
    }

    fn publish(&mut self, prepared: Prepared<S>, due: Due, began: Nanos, now: Nanos) {
        match prepared.publish() {
            Ok(info) => {
                self.schedule.done(&info, due, began, now);
                if let Err(error) = snapshot::retain::<L, S>(&self.snapshots, self.keep, None) {
                    self.schedule.complain(error, now);
                }
            }
            Err(error) => self.schedule.failed(error, now),
        }
    }

    fn give_up(&mut self, prepared: Prepared<S>, now: Nanos) {
        let error = SnapshotError::NotSynced {
            applied: prepared.applied(),
            commands: self.tail.commands.synced(),
            events: self.tail.events.synced(),
        };
        self.schedule.failed(error, now);
        if let Err(error) = prepared.discard() {
            self.schedule.complain(error, now);
        }
    }
}

impl<L: Logic, S: Storage> Stage for Shadow<L, S> {
    fn name(&self) -> &'static str {
        "shadow"
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        match std::mem::replace(&mut self.phase, Phase::Tailing) {
            Phase::Tailing => {
                let applied = self.apply(self.tail.commands.journaled(), now)?;
                Ok(applied + usize::from(self.is_due(now)))
            }
            Phase::Nearing { target, due, began } => {
                let applied = self.apply(target.0, now)?;
                if self.machine.applied().sequence < target {
                    self.phase = Phase::Nearing { target, due, began };
                    return Ok(applied);
                }
                self.prepare(due, began, now);
                Ok(applied + 1)
            }
            Phase::Waiting { prepared, due, began, since } => {
                let began_waiting = since.unwrap_or(now);
                if self.is_durable(&prepared) {
                    self.publish(prepared, due, began, now);
                } else if now >= began_waiting.after(PATIENCE_NANOS) {
                    self.give_up(prepared, now);
                } else {
                    let since = Some(began_waiting);
                    self.phase = Phase::Waiting { prepared, due, began, since };
                    return Ok(0);
                }
                Ok(1)
            }
        }
    }
}
