//! One file: its bytes, its damages, whose it is, and how long it stays.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ringframe::codec::StateError;
use ringframe::control::Control;
use ringframe::journal::storage::{Storage, StorageFile};
use ringframe::journal::{Frame, Refusals, Refused, SimulatedStorage, Survival};
use ringframe::logic::{Emit, Logic, Moment};
use ringframe::machine::Machine;
use ringframe::record::Record;
use ringframe::snapshot::{self, Info, SnapshotError};
use ringframe::types::Sequence;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Add, Counter, Counter1, Zero, counted, newest, run, same};

/// In hex: a line of sixteen bytes, as `docs/FORMATS.md` counts them.
fn hex(bytes: &[u8]) -> String {
    let line = |bytes: &[u8]| {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.concat() + "\n"
    };
    bytes.chunks(16).map(line).collect()
}

const NONE: [u64; 0] = [];

fn names(infos: &[Info]) -> Vec<u64> {
    infos.iter().map(|info| info.sequence().map_or(0, |sequence| sequence.0)).collect()
}

fn written<L: Logic>(disk: &SimulatedStorage, machine: &Machine<L>) -> Info {
    snapshot::write(disk, machine).expect("room")
}

fn refusal<L: Logic>(disk: &SimulatedStorage, info: &Info) -> SnapshotError {
    snapshot::load::<L, _>(disk, info).err().expect("it is refused")
}

#[test]
fn a_snapshot_is_these_bytes() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/snapshot/format-1.txt");
    let mut machine: Machine<Counter1> = Machine::default();
    activate(&mut machine, 1);
    run(&mut machine, &[Add(258), Add(0), Add(1)]);
    let disk = SimulatedStorage::new();
    let info = written(&disk, &machine);
    let found = hex(&disk.contents(&info.name).expect("it is there"));
    if std::env::var_os("RINGFRAME_BLESS").is_some() {
        std::fs::write(golden, &found).expect("written");
    }
    assert_eq!(found, std::fs::read_to_string(golden).expect("it is in the tree"));
}

/// The command by which a version of the logic becomes active.
fn activate<L: Logic>(machine: &mut Machine<L>, version: u32) {
    let control = Control::Activate { version };
    let mut payload = [0; Control::BYTES_MAX];
    let length = control.encode(&mut payload);
    let frame = Frame {
        sequence: machine.taken().next().0,
        timestamp: 5,
        epoch: 1,
        kind: control.kind(),
        schema: Control::VERSION,
        payload: &payload[..length],
    };
    machine.take(&frame).expect("a version it has");
}

#[test]
fn after_any_damage_the_older_one_is_used() {
    let disk = SimulatedStorage::new();
    let mut older: Machine<Counter1> = counted(3);
    written(&disk, &older);
    let newer = written(&disk, &counted::<1, 1, 1>(5));
    let good = disk.contents(&newer.name).expect("it is there");
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        disk.edit(&newer.name, |bytes| {
            bytes.clone_from(&good);
            change(bytes);
        });
        let found = newest::<Counter1>(&disk).expect("the older one");
        assert_eq!(found.applied(), older.applied());
    };
    for at in 0..good.len() {
        damaged(&|bytes| bytes[at] ^= 1 << (at % 8));
        damaged(&|bytes| bytes[at] ^= 0xFF);
        damaged(&|bytes| bytes.truncate(at));
    }
    damaged(&|bytes| bytes.push(0));
    damaged(&|bytes| bytes.fill(0));
    damaged(&|bytes| bytes.fill(0xFF));
    let mut found = newest::<Counter1>(&disk).expect("the older one");
    same(&mut found, &mut older, &[Add(4)]);
}

#[test]
fn what_is_no_snapshot_is_listed_as_such() {
    let disk = SimulatedStorage::new();
    let first = written(&disk, &counted::<1, 1, 1>(1));
    let second = written(&disk, &counted::<1, 1, 1>(2));
    disk.rename(&second.name, "00000000000000000009.snapshot").expect("renamed");
    for name in ["notes.txt", "7.snapshot", "00000000000000000005.snapshot"] {
        disk.create(name).expect("a new file").write_at(0, b"hello").expect("room");
    }
    let infos = snapshot::list(&disk).expect("a directory");
    let found: Vec<_> =
        infos.iter().map(|info| (info.name.as_str(), info.header.clone().err())).collect();
    let no_name = "its name is not a snapshot's";
    let renamed = "it holds the snapshot of sequence 2, and was renamed";
    let expected = [
        ("00000000000000000009.snapshot", Some(renamed.to_owned())),
        ("00000000000000000005.snapshot", Some("its 5 bytes are too few for a snapshot".into())),
        (first.name.as_str(), None),
        ("7.snapshot", Some(no_name.to_owned())),
        ("notes.txt", Some(no_name.to_owned())),
    ];
    assert_eq!(found, expected);
    let why = refusal::<Counter1>(&disk, &infos[0]).to_string();
    assert_eq!(
        why,
        format!(
            "simulated/00000000000000000009.snapshot: {renamed}; use an older snapshot, the \
             journal holds what came after it"
        )
    );
}

#[test]
fn only_what_the_journal_and_the_event_log_reach_is_a_candidate() {
    let disk = SimulatedStorage::new();
    let mut machine: Machine<Counter1> = Machine::default();
    for _ in 0..3 {
        // Every second command emits nothing but a refusal, which is an event too.
        run(&mut machine, &[Add(1), Add(0)]);
        written(&disk, &machine);
    }
    let names = |journal, events| {
        names(&snapshot::candidates(&disk, journal, events).expect("a directory"))
    };
    assert_eq!(names(6, 6), [6, 4, 2]);
    assert_eq!(names(5, 6), [4, 2]);
    assert_eq!(names(6, 3), [2]);
    assert_eq!(names(1, 6), NONE);
}

#[test]
fn others_are_refused_by_name() {
    let disk = SimulatedStorage::new();
    let mut machine: Machine<Counter<2>> = counted(3);
    activate(&mut machine, 2);
    let info = written(&disk, &machine);

    let newer = refusal::<Counter1>(&disk, &info);
    assert!(matches!(newer, SnapshotError::Newer { found: 2, newest: 1, .. }), "{newer:?}");
    assert_eq!(
        newer.to_string(),
        "simulated/00000000000000000004.snapshot: written by version 2 of 'counter', this build \
         is version 1; start the newer build, or use an older snapshot"
    );
    let schema = refusal::<Counter<2, 2>>(&disk, &info);
    let other = |error: &SnapshotError| match error {
        SnapshotError::State { error, .. } => error.clone(),
        error => panic!("{error:?}"),
    };
    assert!(matches!(other(&schema), StateError::OtherVersion { schema: 1, .. }), "{schema:?}");
    let active = refusal::<Counter<4, 1, 3>>(&disk, &info);
    assert!(matches!(active, SnapshotError::Active { active: 2, oldest: 3, .. }), "{active:?}");
    let logic = refusal::<ringframe::exchange::Exchange>(&disk, &info);
    assert!(matches!(other(&logic), StateError::OtherLogic { .. }), "{logic:?}");
}

#[test]
fn an_older_state_is_migrated_and_knows_what_is_active() {
    let disk = SimulatedStorage::new();
    let mut machine: Machine<Counter1> = counted(3);
    activate(&mut machine, 1);
    let info = written(&disk, &machine);
    let migrated: Machine<Counter<3>> = snapshot::load(&disk, &info).expect("it is known how");
    assert_eq!(*migrated.logic(), Counter { sum: 6, active: 1, numbers: vec![1, 2, 3] });
    assert_eq!((migrated.applied(), migrated.digest()), (machine.applied(), machine.digest()));
}

/// Loses something on its way through a snapshot.
#[derive(Default, Serialize, Deserialize)]
struct Forgetful {
    #[serde(deserialize_with = "forget")]
    kept: u64,
}

fn forget<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    u64::deserialize(from).map(|_| 0)
}

impl Logic for Forgetful {
    const NAME: &'static str = "forgetful";
    const VERSION: u32 = 1;
    type Command = Add;
    type Event = Zero;
    type Reject = Zero;
    type Checked = u64;

    fn check(&self, command: &Add, _at: &Moment) -> Result<u64, Zero> {
        Ok(command.0)
    }

    fn apply(&mut self, checked: u64, _at: &Moment, _emit: &mut Emit<'_, Zero>) {
        self.kept = checked;
    }
}

#[test]
fn a_state_that_does_not_come_back_is_never_a_snapshot() {
    let disk = SimulatedStorage::new();
    let mut machine = Machine::<Forgetful>::default();
    run(&mut machine, &[Add(3)]);
    let error = snapshot::write(&disk, &machine).expect_err("it is another state");
    assert!(matches!(error, SnapshotError::Differs { sequence: Sequence(1), .. }), "{error:?}");
    assert_eq!(disk.list().expect("a directory"), Vec::<String>::new());
}

#[test]
fn a_full_or_broken_disk_costs_nothing_but_the_new_one() {
    let disk = SimulatedStorage::new();
    let older = written(&disk, &counted::<1, 1, 1>(3));
    let machine: Machine<Counter1> = counted(1000);
    disk.limit_free_bytes(100);
    let full = snapshot::write(&disk, &machine).expect_err("no room");
    let SnapshotError::Io { source, .. } = &full else { panic!("{full:?}") };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    assert!(full.to_string().contains("free some space or keep fewer snapshots"), "{full}");
    assert_eq!(disk.list().expect("a directory"), std::slice::from_ref(&older.name));
    disk.limit_free_bytes(u64::MAX);
    let disk = disk.copy();
    disk.fail_syncs_at(0);
    let broken = snapshot::write(&disk, &machine).expect_err("EIO");
    assert!(matches!(broken, SnapshotError::Io { operation: "write", .. }), "{broken:?}");
    assert_eq!(disk.list().expect("a directory"), std::slice::from_ref(&older.name));
    disk.fail_syncs_at(u64::MAX);
    // A name that a loss of power may take is none that anybody prunes by.
    let prepared = snapshot::prepare(&disk, &machine, &AtomicBool::new(false)).expect("room");
    disk.fail_syncs_at(0);
    let broken = prepared.publish().expect_err("EIO");
    assert!(matches!(broken, SnapshotError::Io { operation: "sync", .. }), "{broken:?}");
    assert_eq!(disk.list().expect("a directory"), [older.name]);
    disk.fail_syncs_at(u64::MAX);
    assert_eq!(written(&disk, &machine).sequence(), Some(Sequence(1000)));
}

/// A writer makes a name durable right behind the rename; who prunes may come in between.
#[test]
fn who_prunes_by_a_snapshot_makes_its_name_durable() {
    let disk = SimulatedStorage::new();
    let info = written(&disk, &counted::<1, 1, 1>(3));
    disk.rename(&info.name, "aside").and_then(|()| disk.sync_directory()).expect("a rename");
    disk.rename("aside", &info.name).expect("a rename");
    let oldest = snapshot::oldest_good(&disk).expect("a directory").expect("one is there");
    assert_eq!(Some(oldest.sequence), info.sequence());
    let left = disk.after_crash(Survival::Nothing);
    assert_eq!(snapshot::oldest_good(&left).expect("a directory"), Some(oldest));
}

#[test]
fn what_cannot_be_read_is_no_wrong_state() {
    let disk = SimulatedStorage::new();
    let info = written(&disk, &counted::<1, 1, 1>(3));
    let refusals = Arc::new(Refusals::default());
    let bad = disk.refusing(&refusals);
    let mut looks = 0;
    loop {
        refusals.begin(Refused::Reads, looks);
        let Err(error) = snapshot::load::<Counter1, _>(&bad, &info) else { break };
        let SnapshotError::Io { source, .. } = &error else { panic!("look {looks}: {error}") };
        assert_eq!(source.raw_os_error(), Some(5), "look {looks}: {error}");
        looks += 1;
    }
    assert!(looks > 2, "it opens, checks, and reads: {looks} looks");
}

#[test]
fn two_do_not_write_at_once() {
    let disk = SimulatedStorage::new();
    let machine: Machine<Counter1> = counted(3);
    let prepared = snapshot::prepare(&disk, &machine, &AtomicBool::new(false)).expect("room");
    let busy = snapshot::write(&disk, &machine).expect_err("the first is not done");
    assert!(matches!(busy, SnapshotError::Busy { .. }), "{busy:?}");
    assert_eq!(snapshot::list(&disk).expect("a directory"), [], "it does not count yet");
    prepared.discard().expect("removed");
    assert_eq!(disk.list().expect("a directory"), Vec::<String>::new());
    written(&disk, &machine);
}

#[test]
fn one_that_is_given_up_leaves_nothing() {
    let disk = SimulatedStorage::new();
    let older = written(&disk, &counted::<1, 1, 1>(3));
    let machine: Machine<Counter1> = counted(5);
    let given_up = snapshot::prepare(&disk, &machine, &AtomicBool::new(true)).err();
    assert!(matches!(given_up, Some(SnapshotError::GivenUp)), "{given_up:?}");
    assert_eq!(disk.list().expect("a directory"), [older.name]);
    assert_eq!(written(&disk, &machine).sequence(), Some(Sequence(5)));
}

#[test]
fn the_newest_good_ones_stay_and_one_always() {
    let disk = SimulatedStorage::new();
    for last in 1..=6 {
        written(&disk, &counted::<1, 1, 1>(last));
    }
    disk.create("notes.txt").expect("a new file");
    let retain = |disk: &SimulatedStorage, keep, needed: Option<u64>| {
        snapshot::retain::<Counter1, _>(disk, keep, needed.map(Sequence)).expect("a directory");
        assert!(disk.contents("notes.txt").is_some(), "it is not ours");
        names(&snapshot::candidates(disk, u64::MAX, u64::MAX).expect("a directory"))
    };
    assert_eq!(retain(&disk.copy(), 2, None), [6, 5]);
    assert_eq!(retain(&disk.copy(), 9, None), [6, 5, 4, 3, 2, 1]);
    assert_eq!(retain(&disk.copy(), 0, None), [6], "the last good one");
    assert_eq!(retain(&disk.copy(), 2, Some(3)), [6, 5, 3]);
    assert_eq!(retain(&disk.copy(), 2, Some(6)), [6, 5]);
    assert_eq!(retain(&disk.copy(), 2, Some(0)), [6, 5]);

    let last = |sequence| snapshot::file_name(Sequence(sequence));
    disk.flip(&last(6), 250, 1);
    disk.flip(&last(5), 270, 1);
    // 6 has a damaged header, 5 a damaged state: neither counts, neither is the reason to delete.
    assert_eq!(retain(&disk.copy(), 1, None), [0, 5, 4]);
    let only = disk.copy();
    for sequence in 2..=4 {
        only.flip(&last(sequence), 270, 1);
    }
    assert_eq!(retain(&only, 1, None), [0, 5, 4, 3, 2, 1]);
    // A build that cannot load them deletes none of them.
    snapshot::retain::<Counter<2>, _>(&disk, 1, None).expect("a directory");
    let left = snapshot::candidates(&disk, 9, 9).expect("a directory");
    assert_eq!(names(&left), [0, 5, 4, 3, 2, 1]);
}
