//! A bit that flips in what a machine had on its device. The node takes that segment from the other
//! one, or refuses to start, or has not met it yet: what is wrong lies there until somebody looks.
//! What it never does is to tell it. One machine at a time, and only while the other one has all
//! that was released.

use fastrand::Rng;
use ringframe_journal::segment::file_number;
use ringframe_journal::storage::{Access, Storage, StorageFile};
use ringframe_journal::{Repair, SimulatedStorage, Source, repair, verify};

use crate::client::Wrong;
use crate::disks::Disks;
use crate::world::{Ending, MILLISECOND, World};

/// A byte that is another one.
#[derive(Clone, Debug)]
pub(crate) struct Flip {
    disk: usize,
    name: String,
    at: usize,
    was: u8,
    is: u8,
}

impl Flip {
    /// Of a file on this disk, if there is one with something in it.
    fn draw(disks: &Disks, disk: usize, seed: u64) -> Option<Self> {
        let mut rng = Rng::with_seed(seed);
        let store = disks.each()[disk];
        let mut names = store.list().unwrap_or_default();
        names.retain(|name| store.contents(name).is_some_and(|bytes| has_something(&bytes) > 0));
        if names.is_empty() {
            return None;
        }
        let name = names.swap_remove(rng.usize(0..names.len()));
        let bytes = store.contents(&name)?;
        let at = rng.usize(0..has_something(&bytes));
        Some(Self { disk, name, at, was: bytes[at], is: bytes[at] ^ (1 << rng.u8(0..8)) })
    }

    fn set(&self, disks: &Disks, from: u8, to: u8) -> bool {
        let store = disks.each()[self.disk];
        let mut byte = [to];
        let file = store.open(&self.name, Access::Read);
        let read = file.and_then(|file| file.read_at(self.at as u64, &mut byte));
        let is_there = read.is_ok() && byte == [from];
        if is_there {
            // What is not on the device yet may be shorter there.
            store.edit(&self.name, |bytes| {
                if let Some(byte) = bytes.get_mut(self.at) {
                    *byte = to;
                }
            });
        }
        is_there
    }

    fn spoil(&self, disks: &Disks) -> bool {
        self.set(disks, self.was, self.is)
    }

    fn restore(&self, disks: &Disks) -> bool {
        self.set(disks, self.is, self.was)
    }
}

/// Up to here there is something else than zeros.
fn has_something(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

impl World {
    /// Before a process begins: the bit flips that was to.
    pub(crate) fn flip(&mut self, who: usize) {
        let other = 1 - who;
        let may = self.fates.iter().all(|fate| fate.flip.is_none())
            && self.checker.must_have_all(other)
            && !self.is_closing;
        let Some((disk, seed)) = self.fates[who].flips.take().filter(|_| may) else { return };
        let disks = &self.nodes[who].disks;
        let Some(flip) = Flip::draw(disks, disk, seed).filter(|flip| flip.spoil(disks)) else {
            return;
        };
        self.say(|| format!("n{who}: a bit flips: {flip:?}"));
        self.fates[who].flip = Some(flip);
        // It may be in what only looks like the end of a torn journal.
        self.checker.on_damage(who, self.attested(who));
    }

    /// Up to which command a node's journal says that it was durable, damaged as it is.
    fn attested(&self, who: usize) -> u64 {
        let journal = &self.nodes[who].disks.stores.journal;
        verify(journal, 1, |_, _| ()).map_or(0, |verified| verified.synced)
    }

    /// Looks at what a node has as if nothing had flipped: it is the nodes that are to notice.
    pub(crate) fn unflipped<T>(&mut self, who: usize, look: impl FnOnce(&mut Self) -> T) -> T {
        let flip = self.fates[who].flip.take();
        let flip = flip.filter(|flip| flip.restore(&self.nodes[who].disks));
        let seen = look(self);
        if let Some(flip) = &flip {
            flip.spoil(&self.nodes[who].disks);
        }
        self.fates[who].flip = flip;
        seen
    }

    /// The operator looks at all that a machine has, where a bit has flipped, and mends it with
    /// what the other one has; true if there was anything to do.
    pub(crate) fn scrub(&mut self, who: usize) -> Result<bool, Wrong> {
        let Some(flip) = self.fates[who].flip.take() else { return Ok(false) };
        let disks = self.nodes[who].disks.clone();
        if !flip.restore(&disks) {
            self.say(|| format!("op: n{who} has no damage any more"));
            self.checker.on_mended(who);
            return Ok(false);
        }
        flip.spoil(&disks);
        self.end(who, Ending { power: None, back_nanos: 50 * MILLISECOND });
        let disks = self.nodes[who].disks.clone();
        let (store, donor) = (disks.each()[flip.disk], self.nodes[1 - who].disks.each()[flip.disk]);
        let mended = (flip.disk < 2 && file_number(&flip.name).is_some())
            .then(|| mend(store, donor))
            .flatten();
        if let Some(repair) = mended {
            self.say(|| format!("op: n{who} is mended with what the other one has"));
            let verified = verify(store, 1, |_, _| ()).map_err(|error| error.to_string())?;
            if let Some(finding) = verified.findings().next() {
                return Err(format!("n{who}: mended after {flip:?}, and still: {finding}"));
            }
            let is_torn = flip.disk == 0 && repair.cut.is_some();
            if is_torn {
                // It flipped behind what the mark attests: what follows looked like a torn tail.
                let last = verified.sequences().map_or(0, |(_, last)| last);
                self.checker.on_torn(who, last)?;
            }
            self.checker.on_mended(who);
            // With less than was released it would wait for the other one, and that one for it.
            if !is_torn || !self.is_behind(who) || self.is_behind(1 - who) {
                return Ok(true);
            }
        }
        if self.checker.must_have_all(1 - who) {
            self.say(|| format!("op: n{who} begins anew, from nothing"));
            self.nodes[who].wipe();
            self.checker.on_wipe(who);
        } else {
            self.say(|| format!("op: n{who} gets its file back from a backup"));
            flip.restore(&disks);
            self.checker.on_mended(who);
        }
        Ok(true)
    }
}

fn mend(store: &SimulatedStorage, donor: &SimulatedStorage) -> Option<Repair> {
    let donor = Source::Journal(donor.copy());
    let done = repair(store, Some(&donor), false, &mut |_, _| ()).ok()?;
    done.refused.is_none().then_some(done)
}
