//! The sync helper: makes the newest range durable, again and again, beside the appender.
//!
//! One sync covers all that was published meanwhile: group commit. A failed sync is final. The
//! kernel may have dropped the pages it could not write, so a later success would prove nothing.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::error::{Context, Error};
use crate::options::SyncPolicy;
use crate::planted::{Bug, is_planted};
use crate::position::{Head, Positions};
use crate::segment::{Closed, file_name};
use crate::storage::{Storage, StorageFile};
use crate::watermark::{Mark, MarkWriter};
use crate::writer::Rolled;

/// A mark becomes durable when the journal has been idle so long, …
const MARK_IDLE_NANOS: u64 = 1_000_000;
/// … or has been busy so long. Seldom, because it holds up one group commit.
const MARK_BUSY_NANOS: u64 = 100_000_000;

/// A durable segment on its way to the keeper, who seals it.
pub(crate) struct Complete<S: Storage> {
    pub(crate) number: u64,
    pub(crate) file: Arc<S::File>,
    pub(crate) closed: Closed,
}

/// Makes published frames durable when polled.
pub struct Syncer<S: Storage> {
    pub(crate) storage: S,
    pub(crate) policy: SyncPolicy,
    pub(crate) positions: Arc<Positions>,
    /// The segment being synced, and the end of what is durable in it.
    pub(crate) file: Arc<S::File>,
    pub(crate) durable: Head,
    pub(crate) rolled: Receiver<Rolled<S>>,
    pub(crate) complete: Sender<Complete<S>>,
    pub(crate) marks: MarkWriter<S>,
    pub(crate) mark: MarkState,
    pub(crate) last_sync: u64,
    pub(crate) _lock: Arc<S::Lock>,
}

/// How the watermark lags behind what it marks.
#[derive(Debug, Default)]
pub(crate) struct MarkState {
    unsynced: bool,
    written_at: u64,
    synced_at: u64,
}

impl<S: Storage> Syncer<S> {
    /// How far the journal is.
    pub fn positions(&self) -> &Arc<Positions> {
        &self.positions
    }

    /// Syncs what is due; returns how many frames became durable. After a fault, that fault.
    pub fn poll(&mut self, now: u64) -> Result<u64, Error> {
        if let Some(fault) = self.positions.fault() {
            return Err(fault.clone());
        }
        self.sync_due(now).inspect_err(|error| self.positions.fail(error.clone()))
    }

    /// Syncs everything published and makes the watermark durable: the end of a clean shutdown.
    pub fn finish(&mut self, now: u64) -> Result<(), Error> {
        self.policy = SyncPolicy::Always;
        self.poll(now)?;
        self.sync_mark(now).inspect_err(|error| self.positions.fail(error.clone()))
    }

    /// Whether a poll would find something to do now.
    pub(crate) fn has_work(&self) -> bool {
        self.policy == SyncPolicy::Always && self.positions.journaled() > self.positions.synced()
    }

    /// Whether a poll would find something to do a little later.
    pub(crate) fn is_settled(&self) -> bool {
        self.positions.journaled() == self.positions.synced() && !self.mark.unsynced
    }

    /// How long to sleep with something still to do: the policy's pause, if it is shorter.
    pub(crate) fn pause(&self, longest: Duration) -> Duration {
        match self.policy {
            SyncPolicy::Every(pause) => pause.min(longest),
            SyncPolicy::Always | SyncPolicy::PerSegment => longest,
        }
    }

    fn sync_due(&mut self, now: u64) -> Result<u64, Error> {
        let before = self.positions.synced();
        let (journaled, head) = self.positions.journaled_with_head();
        while self.durable.number < head.number {
            self.finish_segment(now)?;
        }
        let due = match self.policy {
            SyncPolicy::Always => true,
            SyncPolicy::Every(pause) => now >= self.last_sync + nanos(pause),
            SyncPolicy::PerSegment => false,
        };
        if due && head > self.durable {
            self.sync_to(head.offset)?;
        }
        let is_late = is_planted(Bug::CountLate);
        let journaled = if is_late { self.positions.journaled() } else { journaled };
        if due && journaled > self.positions.synced() {
            self.last_sync = now;
            self.reached(journaled, now)?;
        } else {
            let idle = now >= self.mark.written_at + MARK_IDLE_NANOS;
            let busy = now >= self.mark.synced_at + MARK_BUSY_NANOS;
            if self.mark.unsynced && (idle || busy) {
                self.sync_mark(now)?;
            }
        }
        Ok(self.positions.synced() - before)
    }

    /// Makes the rest of a full segment durable and goes on to the next.
    fn finish_segment(&mut self, now: u64) -> Result<(), Error> {
        let rolled = self.rolled.try_recv().expect("a roll is sent before it is published");
        let closed = rolled.closed;
        self.sync_to(closed.end)?;
        if closed.last_sequence > self.positions.synced() {
            self.reached(closed.last_sequence, now)?;
        }
        let number = self.durable.number;
        let file = std::mem::replace(&mut self.file, rolled.next);
        self.durable = Head { number: number + 1, offset: 0 };
        let complete = Complete { number, file, closed };
        // The keeper prepares a segment only after sealing, so few can wait here.
        self.complete.try_send(complete).unwrap_or_else(|_| panic!("the keeper's queue is full"));
        Ok(())
    }

    fn sync_to(&mut self, offset: u64) -> Result<(), Error> {
        let number = self.durable.number;
        let path = || self.storage.path(&file_name(number));
        if !is_planted(Bug::SkipSync) {
            let synced = self.file.sync_range(self.durable.offset, offset);
            let synced = synced.context_with("sync", path);
            if !is_planted(Bug::IgnoreFailedSync) {
                synced?;
            }
        }
        self.durable.offset = offset;
        Ok(())
    }

    fn reached(&mut self, sequence: u64, now: u64) -> Result<(), Error> {
        self.positions.set_synced(sequence);
        let Head { number, offset } = self.durable;
        let path = || self.storage.path(crate::watermark::FILE);
        self.marks.write(Mark { sequence, number, offset }).context_with("write", path)?;
        self.mark.unsynced = true;
        self.mark.written_at = now;
        if now >= self.mark.synced_at + MARK_BUSY_NANOS {
            self.sync_mark(now)?;
        }
        Ok(())
    }

    fn sync_mark(&mut self, now: u64) -> Result<(), Error> {
        let path = || self.storage.path(crate::watermark::FILE);
        self.marks.sync().context_with("sync", path)?;
        self.mark.unsynced = false;
        self.mark.synced_at = now;
        Ok(())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
