//! Who saves a node's state in the random schedules, and deletes what is saved.

use std::collections::BTreeMap;

use fastrand::Rng;
use ringframe::exchange::Exchange;
use ringframe::journal::storage::Storage;
use ringframe::journal::{
    ArchiveHome, Error, Fate, NeededFrom, SimulatedStorage, archive, prune, segment,
};
use ringframe::node::{Node, Stores};
use ringframe::shadow::Shadow;
use ringframe::snapshot::schedule::{Handle, Triggers};
use ringframe::snapshot::taker::Taker;
use ringframe::snapshot::{self, Info};
use ringframe::stage::{Fault, Stage};
use ringframe::types::Nanos;
use tempfile::TempDir;

/// Saves, archives and prunes.
pub(super) struct Saver {
    /// Nobody where the processor saves its state itself.
    shadow: Option<Shadow<Exchange, SimulatedStorage>>,
    handle: Handle,
    /// The last snapshot that was seen to count.
    last: Option<Info>,
    pub(super) kept: Kept,
}

/// What outlives the node.
pub(super) struct Kept {
    home: ArchiveHome,
    _directory: TempDir,
    /// Segments that were deleted.
    pruned: BTreeMap<String, Vec<u8>>,
    /// How many snapshots counted, of the shadow …
    pub(super) taken: usize,
    /// … and of the processor.
    pub(super) taken_inline: usize,
}

impl Kept {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = ArchiveHome::create(directory.path().to_str().unwrap()).unwrap();
        Self { home, _directory: directory, pruned: BTreeMap::new(), taken: 0, taken_inline: 0 }
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
    /// Either the shadow takes snapshots, or the processor is to get what takes them.
    pub(super) fn open(
        node: &Node<Exchange, SimulatedStorage>,
        stores: &Stores<SimulatedStorage>,
        rng: &mut Rng,
        kept: Kept,
    ) -> (Self, Option<Taker<SimulatedStorage>>) {
        let every_commands = rng.bool().then(|| rng.u64(20..500));
        let triggers = Triggers { every_commands, ..Triggers::default() };
        let taker = node.taker(stores, triggers, rng.usize(1..4)).unwrap();
        let handle = taker.handle();
        let (shadow, taker) =
            if rng.bool() { (Some(node.shadow(stores, taker)), None) } else { (None, Some(taker)) };
        (Self { shadow, handle, last: None, kept }, taker)
    }

    pub(super) fn poll(&mut self, now: Nanos) -> Result<(), Fault> {
        if let Some(shadow) = &mut self.shadow {
            shadow.poll(now)?;
        }
        let last = self.handle.status().taken.map(|taken| taken.info);
        if last != self.last {
            let inline = self.shadow.is_none();
            let Kept { taken, taken_inline, .. } = &mut self.kept;
            *(if inline { taken_inline } else { taken }) += 1;
            self.last = last;
        }
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
        for segment in prune(journal, &self.kept.home, NeededFrom(below.0), false, &mut |_, _| ())?
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
