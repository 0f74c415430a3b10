//! Archive, restore, prune: what is kept comes back byte for byte, and nothing goes too early.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::logic;
use crate::disks::{Home, SEGMENTS, copy_of, frames, grow, journal, names, quiet};
use ringframe_journal::storage::{Access, Storage};
use ringframe_journal::{
    Error, Fate, MappedStorage, NeededFrom, Reader, Refusal, SimulatedStorage, Survival, archive,
    prune, restore, segment, survey, truncate, verify_archive,
};

#[test]
fn what_is_archived_comes_back_byte_for_byte() {
    let home = Home::new();
    let storage = journal(SEGMENTS);
    let archived = archive(&storage, &home.create(), &mut quiet).unwrap();
    assert!(archived.len() >= 4 && archived.iter().all(|segment| segment.copied));
    assert!(archived.iter().all(|segment| segment.manifest.compressed_bytes > 0));

    let empty = SimulatedStorage::new();
    let restored = restore(&home.open(), None, &empty, &mut quiet).unwrap();
    assert_eq!(restored.len(), archived.len());
    for number in restored {
        let name = segment::file_name(number);
        assert!(empty.contents(&name) == storage.contents(&name), "{name}");
    }
    // Again, and over what is there: the same. Over something else: refused.
    restore(&home.open(), Some(2..=3), &empty, &mut quiet).unwrap();
    empty.flip(&segment::file_name(2), 5000, 1);
    let refused = restore(&home.open(), Some(2..=3), &empty, &mut quiet);
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    let lacking = restore(&home.open(), Some(2..=99), &SimulatedStorage::new(), &mut quiet);
    assert!(matches!(lacking, Err(Error::Archive { .. })), "{lacking:?}");
}

#[test]
fn real_directories_do_the_same() {
    let home = Home::new();
    let directory = tempfile::tempdir().unwrap();
    let storage = MappedStorage::new(directory.path().join("one"));
    grow(&storage, SEGMENTS);
    archive(&storage, &home.create(), &mut quiet).unwrap();
    let other = MappedStorage::new(directory.path().join("two"));
    let restored = restore(&home.open(), None, &other, &mut quiet).unwrap();
    for number in restored {
        let name = segment::file_name(number);
        let read = |storage: &MappedStorage| std::fs::read(storage.path(&name)).unwrap();
        assert!(read(&storage) == read(&other), "{name}");
    }
    let pruned = prune(&storage, &home.open(), NeededFrom(u64::MAX), false, &mut quiet).unwrap();
    assert_eq!(pruned[0].fate, Fate::Deleted);
    assert!(!storage.path(&segment::file_name(1)).exists());
    grow(&storage, SEGMENTS + 100);
}

#[test]
fn an_interrupted_archive_goes_on() {
    let home = Home::new();
    let storage = journal(SEGMENTS);
    let all = archive(&storage, &home.create(), &mut quiet).unwrap();
    // Killed between an object and its manifest, and in the middle of the next object.
    home.remove("0000000003.segment.json");
    home.remove("0000000004.segment.json");
    home.edit("0000000004.segment.zst", |bytes| bytes.truncate(bytes.len() / 2));
    let verified = verify_archive(&home.open(), &mut quiet).unwrap();
    let bad: Vec<u64> =
        verified.iter().filter(|one| one.problem.is_some()).map(|one| one.number).collect();
    assert_eq!(bad, [3, 4]);

    let again = archive(&storage, &home.open(), &mut quiet).unwrap();
    let copied: Vec<u64> =
        again.iter().filter(|one| one.copied).map(|one| one.manifest.number).collect();
    assert_eq!(copied, [3, 4]);
    let manifests = |list: &[ringframe_journal::archive::Archived]| {
        list.iter().map(|one| one.manifest.clone()).collect::<Vec<_>>()
    };
    assert_eq!(manifests(&again), manifests(&all));
    let verified = verify_archive(&home.open(), &mut quiet).unwrap();
    assert!(verified.iter().all(|one| one.problem.is_none()), "{verified:?}");
}

#[test]
fn a_damaged_segment_is_not_archived() {
    let home = Home::new();
    let storage = journal(SEGMENTS);
    let name = segment::file_name(3);
    let end = storage.contents(&name).unwrap().len();
    // In the header, between it and the seal, in the seal, behind it, in a frame, behind the last.
    for place in [20, 300, 520, 4000, 9000, end - 1] {
        storage.flip(&name, place as u64, 0x10);
        let refused = archive(&storage, &home.create(), &mut quiet);
        let Err(Error::Damaged(range)) = refused else { panic!("{place}: {refused:?}") };
        assert_eq!(range.path, storage.path(&name));
        assert!((range.from..range.to).contains(&(place as u64)), "{place}: {range}");
        storage.flip(&name, place as u64, 0x10);
    }
    // Only unused zeros are gone.
    storage.edit(&name, |bytes| bytes.truncate(end - 8));
    let refused = archive(&storage, &home.create(), &mut quiet);
    assert!(matches!(refused, Err(Error::Damaged(_))), "{refused:?}");
    assert!(home.has("0000000002.segment.json") && !home.has("0000000003.segment.json"));
}

#[test]
fn two_journals_do_not_share_a_home() {
    let home = Home::new();
    archive(&journal(SEGMENTS), &home.create(), &mut quiet).unwrap();
    let other = crate::disks::journal_with(SEGMENTS, 7);
    let refused = archive(&other, &home.open(), &mut quiet);
    assert!(matches!(refused, Err(Error::Archive { .. })), "{refused:?}");
    // Nor does one continue where the other ends.
    home.remove("0000000002.segment.json");
    home.remove("0000000001.segment.json");
    home.remove("0000000003.segment.json");
    let refused = archive(&other, &home.open(), &mut quiet);
    assert!(matches!(refused, Err(Error::Archive { .. })), "{refused:?}");
}

#[test]
fn every_flipped_byte_of_an_object_is_seen() {
    let home = Home::new();
    archive(&journal(SEGMENTS), &home.create(), &mut quiet).unwrap();
    let (object, manifest) = ("0000000002.segment.zst", "0000000002.segment.json");
    let sizes = [(object, home.bytes(object).len()), (manifest, home.bytes(manifest).len())];
    for (name, size) in sizes {
        for offset in (0..size).step_by(size / 40 + 1) {
            home.edit(name, |bytes| bytes[offset] ^= 1);
            let verified = verify_archive(&home.open(), &mut quiet).unwrap();
            let ok = verified.iter().all(|one| one.problem.is_none());
            // A flipped space in the manifest's JSON may still be JSON; then it says the same.
            assert!(!ok || name == manifest, "{name}: byte {offset}");
            home.edit(name, |bytes| bytes[offset] ^= 1);
        }
    }
}

fn fates(storage: &SimulatedStorage, home: &Home, below: u64, dry_run: bool) -> Vec<Fate> {
    let pruned = prune(storage, &home.open(), NeededFrom(below), dry_run, &mut quiet).unwrap();
    pruned.into_iter().map(|one| one.fate).collect()
}

#[test]
fn prune_refuses_for_each_reason() {
    let home = Home::new();
    let storage = journal(SEGMENTS);
    let before = names(&storage);
    archive(&storage, &home.create(), &mut quiet).unwrap();
    let segments = survey(&storage).unwrap();
    let [second, third] = [1, 2].map(|at| segments[at].seal.good().unwrap().last_sequence);
    let sealed = segments.iter().filter(|info| info.seal.good().is_some()).count();

    let dry = fates(&storage, &home, u64::MAX, true);
    assert!(dry[..sealed - 1].iter().all(|fate| *fate == Fate::WouldDelete), "{dry:?}");
    let chained = Fate::Refused(Refusal::LastCovered);
    assert_eq!(dry[sealed - 1], chained);
    assert!(dry[sealed..].iter().all(|fate| *fate == Fate::Refused(Refusal::NotSealed)));
    let just_short = fates(&storage, &home, second, true);
    assert_eq!(just_short[..2], [chained.clone(), Fate::Refused(Refusal::StillNeeded)]);
    assert_eq!(fates(&storage, &home, second + 1, true)[..2], [Fate::WouldDelete, chained]);

    let manifest = home.remove("0000000002.segment.json");
    let missing = fates(&storage, &home, u64::MAX, true);
    let stays = Fate::Refused(Refusal::OlderStays(2));
    assert_eq!(missing[..3], [Fate::WouldDelete, Fate::Refused(Refusal::NotArchived), stays]);
    home.write("0000000002.segment.json", &home.bytes("0000000001.segment.json"));
    assert!(matches!(
        &fates(&storage, &home, u64::MAX, true)[1],
        Fate::Refused(Refusal::BadArchive(_))
    ));
    home.write("0000000002.segment.json", &manifest);
    home.edit("0000000002.segment.zst", |bytes| bytes[200] ^= 4);
    assert!(matches!(
        &fates(&storage, &home, u64::MAX, true)[1],
        Fate::Refused(Refusal::BadArchive(_))
    ));
    assert_eq!(names(&storage), before, "dry runs change nothing");

    // For real it stops at the broken copy, and goes on once that is mended.
    assert_eq!(fates(&storage, &home, u64::MAX, false)[0], Fate::Deleted);
    assert!(names(&storage).contains(&segment::file_name(2)));
    home.edit("0000000002.segment.zst", |bytes| bytes[200] ^= 4);
    assert_eq!(fates(&storage, &home, third + 1, false)[0], Fate::Deleted);
    assert!(names(&storage).contains(&segment::file_name(3)));
    let next = frames(&storage).last().unwrap().0 + 1;
    grow(&storage, next + 10);
}

#[test]
fn what_a_prune_leaves_can_be_cut_back_to_its_snapshot() {
    let home = Home::new();
    let whole = journal(SEGMENTS);
    archive(&whole, &home.create(), &mut quiet).unwrap();
    let segments = survey(&whole).unwrap();
    let ends = segments.iter().filter_map(|info| Some(info.seal.good()?.last_sequence));
    for end in ends {
        for below in [end - 1, end, end + 1] {
            let storage = copy_of(&whole);
            fates(&storage, &home, below, false);
            let cut = truncate(&storage, &logic("test", 1), below);
            assert!(matches!(cut, Ok(Some(_))), "cut back to {below}: {cut:?}");
        }
    }
}

#[test]
fn a_crash_at_any_step_of_a_prune_leaves_no_gap() {
    let home = Home::new();
    let whole = journal(SEGMENTS);
    archive(&whole, &home.create(), &mut quiet).unwrap();
    let all = frames(&whole);
    let counted = copy_of(&whole);
    let begun = counted.steps();
    fates(&counted, &home, u64::MAX, false);
    let steps = counted.steps() - begun;
    assert!(steps >= 6, "{steps} steps");
    for step in 0..steps {
        let storage = copy_of(&whole);
        storage.crash_at(storage.steps() + step);
        let pruned = prune(&storage, &home.open(), NeededFrom(u64::MAX), false, &mut quiet);
        assert!(pruned.is_err(), "step {step}");
        let classes = [Survival::Everything, Survival::Nothing, Survival::Random(step)];
        for survival in classes {
            let after = storage.after_crash(survival);
            let left = frames(&after);
            assert!(all.ends_with(&left) && !left.is_empty(), "step {step}, {survival:?}");
            grow(&after, all.len() as u64 + 5);
        }
    }
}

#[test]
fn maintenance_is_for_one_at_a_time() {
    let home = Home::new();
    let storage = journal(SEGMENTS);
    let held = storage.lock("maintenance.lock").unwrap().unwrap();
    let refused = archive(&storage, &home.create(), &mut quiet);
    assert!(matches!(refused, Err(Error::Maintained { .. })), "{refused:?}");
    let below = NeededFrom(1);
    let refused = prune(&storage, &home.open(), below, false, &mut quiet);
    assert!(matches!(refused, Err(Error::Maintained { .. })), "{refused:?}");
    drop(held);
    // The writer's lock does not matter: both work beside a running node.
    let _writer = storage.lock("lock").unwrap().unwrap();
    archive(&storage, &home.open(), &mut quiet).unwrap();
    prune(&storage, &home.open(), NeededFrom(u64::MAX), false, &mut quiet).unwrap();
    let left = survey(&storage).unwrap();
    assert_eq!(left.iter().filter(|info| info.seal.good().is_some()).count(), 1);
}

/// A disk on which segments are pruned in the midst of what somebody does: when this one is opened
/// for the second time, after its header was looked at.
#[derive(Clone)]
struct Shrinking {
    disk: SimulatedStorage,
    at: String,
    opens: Arc<AtomicU64>,
    gone: Vec<String>,
}

impl Storage for Shrinking {
    type File = <SimulatedStorage as Storage>::File;
    type Lock = <SimulatedStorage as Storage>::Lock;

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
    fn lock(&self, name: &str) -> io::Result<Option<Self::Lock>> {
        self.disk.lock(name)
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn open(&self, name: &str, access: Access) -> io::Result<Self::File> {
        if name == self.at && self.opens.fetch_add(1, Ordering::Relaxed) == 1 {
            self.gone.iter().try_for_each(|name| self.disk.remove(name))?;
        }
        self.disk.open(name, access)
    }
    fn create(&self, name: &str) -> io::Result<Self::File> {
        self.disk.create(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

/// Its header was there a moment ago.
#[test]
fn what_is_pruned_between_two_looks_is_pruned() {
    let disk = journal(SEGMENTS);
    let segments = survey(&disk).unwrap();
    let name = |index: usize| segment::file_name(segments[index].number);
    let first = |index: usize| segments[index].header.good().unwrap().first_sequence;
    let shrinking =
        Shrinking { at: name(1), gone: vec![name(0), name(1)], disk, opens: Arc::default() };
    let mut reader = Reader::open(shrinking.clone(), 1).unwrap();
    shrinking.opens.store(0, Ordering::Relaxed);
    for _ in 1..first(1) {
        assert!(reader.next_frame().unwrap().is_some());
    }
    match reader.next_frame().map(|_| ()) {
        Err(Error::OutOfRange { sequence, first: begins, .. }) => {
            assert_eq!((sequence, begins), (first(1), first(2)));
        }
        other => panic!("{other:?}"),
    }
}

/// Pruned while somebody read: that is told as what it is, not as damage; a hole is damage.
#[test]
fn a_reader_knows_what_is_pruned_from_what_is_lost() {
    let whole = journal(SEGMENTS);
    let segments = survey(&whole).unwrap();
    let begins = |index: usize| segments[index].header.good().unwrap().first_sequence;
    assert!(segments.len() > 3);
    for (gone, is_pruned) in [(vec![0, 1], true), (vec![1], false)] {
        let disk = whole.copy();
        let mut reader = Reader::open(disk.clone(), 1).unwrap();
        for index in gone {
            disk.remove(&segment::file_name(segments[index].number)).unwrap();
        }
        // Its first segment is still open.
        for _ in 1..begins(1) {
            assert!(reader.next_frame().unwrap().is_some());
        }
        match reader.next_frame().map(|_| ()) {
            Err(Error::OutOfRange { sequence, first, .. }) => {
                assert_eq!((is_pruned, sequence, first), (true, begins(1), begins(2)));
            }
            Err(Error::Damaged(range)) => {
                let missing = (range.sequence_from, range.sequence_to);
                assert_eq!((is_pruned, missing), (false, (begins(1), begins(2) - 1)));
            }
            other => panic!("{other:?}"),
        }
    }
}
