//! Who saves a node's state in the random schedules, and deletes what is saved.

use std::collections::BTreeMap;

use fastrand::Rng;
use ringframe::exchange::Exchange;
use ringframe::journal::storage::Storage;
use ringframe::journal::{
    ArchiveHome, Error, Fate, SimulatedStorage, Snapshotted, archive, prune, segment,
};
use ringframe::node::{Node, Stores};
use ringframe::shadow::Shadow;
use ringframe::snapshot;
use ringframe::snapshot::schedule::{Handle, Triggers};
use ringframe::snapshot::taker::Taker;
use ringframe::stage::{Fault, Stage};
use ringframe::types::Nanos;
use tempfile::TempDir;

/// Saves, archives and prunes.
pub(super) struct Saver {
    who: Who,
    handle: Handle,
    pub(super) kept: Kept,
}

enum Who {
    Shadow(Box<Shadow<Exchange, SimulatedStorage>>),
    /// The processor's owner polls it between two polls of the processor.
    Inline(Box<Taker<SimulatedStorage>>),
}

/// What outlives the node.
pub(super) struct Kept {
    home: ArchiveHome,
    _directory: TempDir,
    /// Segments that were deleted.
    pruned: BTreeMap<String, Vec<u8>>,
    /// How many snapshots counted.
    pub(super) taken: usize,
}

impl Kept {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = ArchiveHome::create(directory.path().to_str().unwrap()).unwrap();
        Self { home, _directory: directory, pruned: BTreeMap::new(), taken: 0 }
    }

    pub(super) fn segments_pruned(&self) -> usize {
        self.pruned.len()
    }

    /// The journal as it would be if nothing had been pruned.
    pub(super) fn whole(&self, journal: &SimulatedStorage) -> SimulatedStorage {
        let whole = journal.copy();
        for (name, contents) in &self.pruned {
            if whole.contents(name).is_none() {
                whole.create(name).unwrap();
                whole.edit(name, |bytes| bytes.clone_from(contents));
            }
        }
        whole
    }
}

impl Saver {
    pub(super) fn open(
        node: &Node<Exchange, SimulatedStorage>,
        stores: &Stores<SimulatedStorage>,
        rng: &mut Rng,
        kept: Kept,
    ) -> Self {
        let every_commands = rng.bool().then(|| rng.u64(20..500));
        let triggers = Triggers { every_commands, ..Triggers::default() };
        let taker = node.taker(stores, triggers, rng.usize(1..4)).unwrap();
        let handle = taker.handle();
        let who = if rng.bool() {
            Who::Shadow(Box::new(node.shadow(stores, taker).unwrap()))
        } else {
            Who::Inline(Box::new(taker))
        };
        Self { who, handle, kept }
    }

    pub(super) fn poll(
        &mut self,
        node: &Node<Exchange, SimulatedStorage>,
        now: Nanos,
    ) -> Result<(), Fault> {
        let taken = |handle: &Handle| handle.status().taken.map(|taken| taken.info);
        let before = taken(&self.handle);
        match &mut self.who {
            Who::Shadow(shadow) => drop(shadow.poll(now)?),
            Who::Inline(taker) => drop(taker.poll(node.processor.machine(), now)),
        }
        self.kept.taken += usize::from(taken(&self.handle) != before);
        Ok(())
    }

    pub(super) fn request(&self) {
        drop(self.handle.request());
    }

    /// Deletes what the newest snapshot makes superfluous.
    pub(super) fn prune(&mut self, stores: &Stores<SimulatedStorage>) -> Result<(), Error> {
        let newest = snapshot::list(&stores.snapshots).unwrap().into_iter().next();
        let Some(below) = newest.and_then(|info| info.sequence()) else { return Ok(()) };
        let journal = &stores.journal;
        archive(journal, &self.kept.home, &mut |_, _| ())?;
        let contents = |name: String| Some((name.clone(), journal.contents(&name)?));
        let before: Vec<_> = journal.list().unwrap().into_iter().filter_map(contents).collect();
        for segment in prune(journal, &self.kept.home, Snapshotted(below.0), false, &mut |_, _| ())?
        {
            if segment.fate == Fate::Deleted {
                let name = segment::file_name(segment.number);
                let contents = before.iter().find(|(found, _)| *found == name).unwrap().1.clone();
                self.kept.pruned.insert(name, contents);
            }
        }
        Ok(())
    }
}
