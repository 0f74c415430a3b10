//! Takes snapshots of a machine when they are due: for the shadow, and for a processor that takes
//! its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringframe_journal::Positions;
use ringframe_journal::storage::Storage;

use super::schedule::{Due, Handle, Schedule, Taken, Triggers};
use super::{Info, Prepared, SnapshotError, Verified, clean, list, prepare, retain_unless};
use crate::logic::Logic;
use crate::machine::Machine;
use crate::stage::Fault;
use crate::types::{Nanos, Sequence};

/// So long a snapshot waits for the journal and the event log to become durable.
pub const PATIENCE_NANOS: u64 = 60 * Nanos::SECOND;

/// How far what a snapshot tells of is durable.
#[derive(Clone, Debug)]
pub struct Durable {
    /// The journal of commands.
    pub commands: Arc<Positions>,
    /// The event log.
    pub events: Arc<Positions>,
}

/// Writes, verifies, waits until all that a snapshot tells of is durable, and only then lets it
/// count. What goes wrong is told by its [`Handle`] and tried again.
pub struct Taker<S: Storage> {
    snapshots: S,
    durable: Durable,
    keep: usize,
    verified: Verified,
    schedule: Schedule,
    phase: Phase<S>,
}

/// The snapshot that it is at.
#[derive(Clone, Copy)]
struct Job {
    due: Due,
    /// When the state was as it is in it.
    of: Nanos,
    took_nanos: u64,
}

/// What it is at.
enum Phase<S: Storage> {
    /// Nothing is due, …
    Resting,
    /// … a snapshot is due as soon as the machine has got so far, …
    Nearing { target: Sequence, due: Due },
    /// … it was written and verified in the last poll, …
    Written { prepared: Prepared<S>, job: Job },
    /// … waits, …
    Waiting { prepared: Prepared<S>, job: Job, since: Nanos },
    /// … and was given its name in the last poll.
    Published { info: Info, job: Job, began: Nanos },
}

impl<S: Storage> Taker<S> {
    /// Removes what a crash left unfinished in `snapshots`, and keeps the newest `keep` of those
    /// that are good. `from` is the one that the start went on from, or 0: a newer one that the
    /// start refused is none to count from.
    pub fn open(
        snapshots: S,
        durable: Durable,
        triggers: Triggers,
        keep: usize,
        from: Sequence,
    ) -> Result<Self, Fault> {
        let trouble = |error: SnapshotError| Fault::Snapshot(error.to_string());
        clean(&snapshots).map_err(trouble)?;
        let infos = list(&snapshots).map_err(trouble)?;
        let headers = infos.iter().filter_map(|info| info.header.as_ref().ok());
        let loaded = headers.clone().find(|header| header.applied.sequence == from);
        let mut verified = Verified::default();
        if let Some(header) = loaded {
            verified.note(header);
        }
        let time = loaded.map_or(Nanos(0), |header| header.applied.time);
        let behind = (durable.commands.journaled() > from.0).then_some(time);
        let schedule = Schedule::new(triggers, from, behind);
        Ok(Self { snapshots, durable, keep, verified, schedule, phase: Phase::Resting })
    }

    /// Asks for snapshots, and shows what became of them.
    pub fn handle(&self) -> Handle {
        self.schedule.handle()
    }

    /// Whether no snapshot is wanted any more.
    pub(crate) fn given_up(&self) -> &AtomicBool {
        self.schedule.given_up()
    }

    /// Notes how long a poll of the machine's owner took that did nothing but apply so many
    /// commands: from that it knows how long a start would take.
    #[inline]
    pub fn took(&mut self, commands: u64, nanos: u64) {
        self.schedule.took(commands, nanos);
    }

    /// Does what is due between two commands, and says how much.
    pub fn poll<L: Logic>(&mut self, machine: &Machine<L>, now: Nanos) -> usize {
        let applied = machine.applied().sequence;
        if matches!(self.phase, Phase::Resting)
            && let Some(due) = self.schedule.due(applied, now)
        {
            // Whoever asks wants what was journaled by then to be in it.
            let target = match due {
                Due::Requested => Sequence(self.durable.commands.journaled()),
                _ => applied,
            };
            self.phase = Phase::Nearing { target, due };
        }
        match std::mem::replace(&mut self.phase, Phase::Resting) {
            Phase::Resting => 0,
            Phase::Nearing { target, due } if applied < target => {
                self.phase = Phase::Nearing { target, due };
                0
            }
            Phase::Nearing { due, .. } => {
                self.prepare(machine, due, now);
                1
            }
            // The clock stands still within a poll, so the next one knows how long this one was.
            Phase::Written { prepared, job } => {
                let job = Job { took_nanos: now.0.saturating_sub(job.of.0), ..job };
                self.phase = Phase::Waiting { prepared, job, since: now };
                1
            }
            Phase::Waiting { prepared, job, since } => {
                if self.schedule.given_up().load(Ordering::Relaxed) {
                    self.drop_it(prepared, SnapshotError::GivenUp, now);
                } else if self.is_durable(&prepared) {
                    self.publish::<L>(prepared, job, now);
                } else if now >= since.after(PATIENCE_NANOS) {
                    let error = self.not_synced(&prepared);
                    self.drop_it(prepared, error, now);
                } else {
                    self.phase = Phase::Waiting { prepared, job, since };
                    return 0;
                }
                1
            }
            Phase::Published { info, job: Job { due, of, took_nanos }, began } => {
                let took_nanos = took_nanos + now.0.saturating_sub(began.0);
                self.schedule.done(Taken { info, due, of, at: now, took_nanos });
                1
            }
        }
    }

    fn prepare<L: Logic>(&mut self, machine: &Machine<L>, due: Due, now: Nanos) {
        match prepare(&self.snapshots, machine, self.schedule.given_up()) {
            Ok(prepared) => {
                self.phase = Phase::Written { prepared, job: Job { due, of: now, took_nanos: 0 } };
            }
            Err(error) => self.schedule.failed(error, now),
        }
    }

    fn is_durable(&self, prepared: &Prepared<S>) -> bool {
        let applied = prepared.applied();
        self.durable.commands.synced() >= applied.sequence.0
            && self.durable.events.synced() >= applied.events
    }

    fn publish<L: Logic>(&mut self, prepared: Prepared<S>, job: Job, now: Nanos) {
        match prepared.publish() {
            Ok(info) => {
                // It was read back when it was prepared.
                if let Ok(header) = &info.header {
                    self.verified.note(header);
                }
                let (verified, given_up) = (&mut self.verified, self.schedule.given_up());
                let retained =
                    retain_unless::<L, S>(&self.snapshots, self.keep, None, verified, given_up);
                if let Err(error) = retained {
                    self.schedule.complain(error, now);
                }
                self.schedule.answer(&Ok(info.clone()));
                self.phase = Phase::Published { info, job, began: now };
            }
            Err(error) => self.schedule.failed(error, now),
        }
    }

    fn not_synced(&self, prepared: &Prepared<S>) -> SnapshotError {
        SnapshotError::NotSynced {
            applied: prepared.applied(),
            commands: self.durable.commands.synced(),
            events: self.durable.events.synced(),
        }
    }

    fn drop_it(&mut self, prepared: Prepared<S>, error: SnapshotError, now: Nanos) {
        self.schedule.failed(error, now);
        if let Err(error) = prepared.discard() {
            self.schedule.complain(error, now);
        }
    }
}
