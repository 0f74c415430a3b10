//! The stages that keep a journal going behind its writer: one makes frames durable, one prepares
//! and seals segments. Their polls may wait for the disk, so each has a thread of its own.

use ringframe_journal::storage::Storage;
use ringframe_journal::{Error, Keeper, Syncer};

use crate::stage::{Fault, Stage};
use crate::types::Nanos;

/// Makes frames durable.
pub struct Syncing<S: Storage> {
    name: &'static str,
    syncer: Syncer<S>,
    fault: fn(Error) -> Fault,
}

impl<S: Storage> Syncing<S> {
    /// For the journal of commands.
    pub fn commands(syncer: Syncer<S>) -> Self {
        Self { name: "syncer", syncer, fault: Fault::Journal }
    }

    /// For the event log.
    pub fn events(syncer: Syncer<S>) -> Self {
        Self { name: "event_syncer", syncer, fault: Fault::EventLog }
    }
}

impl<S: Storage> Stage for Syncing<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        let synced = self.syncer.poll(now.0).map_err(self.fault)?;
        Ok(usize::try_from(synced).unwrap_or(usize::MAX))
    }

    fn close(&mut self, now: Nanos) -> Result<(), Fault> {
        self.syncer.finish(now.0).map_err(self.fault)
    }
}

/// Prepares the next segment and seals the last.
pub struct Keeping<S: Storage> {
    name: &'static str,
    keeper: Keeper<S>,
    fault: fn(Error) -> Fault,
}

impl<S: Storage> Keeping<S> {
    /// For the journal of commands.
    pub fn commands(keeper: Keeper<S>) -> Self {
        Self { name: "keeper", keeper, fault: Fault::Journal }
    }

    /// For the event log.
    pub fn events(keeper: Keeper<S>) -> Self {
        Self { name: "event_keeper", keeper, fault: Fault::EventLog }
    }
}

impl<S: Storage> Stage for Keeping<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn poll(&mut self, now: Nanos) -> Result<usize, Fault> {
        self.keeper.poll(now.0).map_err(self.fault)
    }

    fn close(&mut self, _now: Nanos) -> Result<(), Fault> {
        self.keeper.finish().map_err(self.fault)
    }
}
