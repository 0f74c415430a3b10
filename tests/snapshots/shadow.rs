//! The shadow beside a journal and an event log, both on simulated disks and polled by hand.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringframe::control::{Control, DIGEST_EVERY};
use ringframe::journal::segment::file_name;
use ringframe::journal::storage::Storage;
use ringframe::journal::{
    Append, Frame, Journal, Options, SegmentInfo, SimulatedStorage, Survival, survey,
};
use ringframe::machine::Machine;
use ringframe::record::Record;
use ringframe::shadow::Shadow;
use ringframe::snapshot::schedule::{Due, RETRY_NANOS, Triggers};
use ringframe::snapshot::taker::{Durable, PATIENCE_NANOS, Taker};
use ringframe::snapshot::{self, SnapshotError};
use ringframe::stage::{Fault, Stage};
use ringframe::types::{Nanos, Sequence};

use crate::{Add, Counter1, newest};

const NONE: [u64; 0] = [];

type Disk = SimulatedStorage;

/// A primary: its journal, its event log, and its machine.
struct Primary {
    journal: Journal<Disk>,
    events: Journal<Disk>,
    machine: Machine<Counter1>,
    /// The disks: journal, events, snapshots.
    disks: [Disk; 3],
    now: Nanos,
}

fn open(disk: &Disk, name: &str) -> Journal<Disk> {
    let segment_bytes = Options::SEGMENT_BYTES_MIN;
    let options = Options { segment_bytes, ..Options::new(name, 1) };
    Journal::open(disk.clone(), options).expect("it opens")
}

fn append(journal: &mut Journal<Disk>, frame: &Frame<'_>) {
    while journal.writer.append(frame).expect("no fault") == Append::Wait {
        journal.writer.publish().expect("no fault");
        journal.syncer.poll(0).expect("no fault");
        journal.keeper.poll(0).expect("no fault");
    }
}

impl Primary {
    fn new() -> Self {
        let disks: [Disk; 3] = std::array::from_fn(|_| Disk::new());
        let (journal, events) = (open(&disks[0], "counter"), open(&disks[1], "counter events"));
        let (machine, now) = (Machine::default(), Nanos(Nanos::SECOND));
        Self { journal, events, machine, disks, now }
    }

    /// One command that the node or a client gives.
    fn command<R: Record>(&mut self, record: &R) {
        let mut payload = [0; 24];
        let length = record.encode(&mut payload[..R::BYTES_MAX]);
        let sequence = self.journal.writer.next_sequence();
        let frame = Frame {
            sequence,
            timestamp: sequence,
            epoch: 1,
            kind: record.kind(),
            schema: R::VERSION,
            payload: &payload[..length],
        };
        append(&mut self.journal, &frame);
        self.journal.writer.publish().expect("no fault");
        if self.machine.take(&frame).is_err() {
            return; // The shadow shall find that as well.
        }
        self.machine.advance(0);
        while self.machine.hand_on(|event| append(&mut self.events, event)).is_some() {}
        self.events.writer.publish().expect("no fault");
    }

    fn commands(&mut self, count: u64) {
        (0..count).for_each(|number| self.command(&Add(number % 3)));
    }

    fn sync(&mut self) {
        self.journal.syncer.poll(self.now.0).expect("no fault");
        self.events.syncer.poll(self.now.0).expect("no fault");
    }

    fn last(&self) -> u64 {
        self.machine.applied().sequence.0
    }

    fn shadow(&self, machine: Machine<Counter1>, triggers: Triggers) -> Shadow<Counter1, Disk> {
        self.shadow_of([machine], triggers)
    }

    /// One that begins with the first of these machines, and again with the next.
    fn shadow_of<const N: usize>(
        &self,
        machines: [Machine<Counter1>; N],
        triggers: Triggers,
    ) -> Shadow<Counter1, Disk> {
        let commands = Arc::clone(self.journal.writer.positions());
        let events = Arc::clone(self.events.writer.positions());
        let durable = Durable { commands: Arc::clone(&commands), events };
        let from = machines[0].applied().sequence;
        let taker = Taker::open(self.disks[2].clone(), durable, triggers, 2, from);
        let mut machines = VecDeque::from(machines);
        let load = move |_: &AtomicBool| Ok(machines.pop_front().expect("no more loads"));
        let taker = taker.expect("it opens");
        let mut shadow = Shadow::new(Box::new(load), self.disks[0].clone(), commands, taker);
        assert_eq!(poll(&mut shadow, Nanos(0)), 1, "it loads");
        shadow
    }

    fn snapshots(&self) -> Vec<u64> {
        let infos = snapshot::list(&self.disks[2]).expect("a directory");
        infos.iter().map(|info| info.sequence().expect("a good one").0).collect()
    }
}

fn every(commands: u64) -> Triggers {
    Triggers { every_commands: Some(commands), ..Triggers::default() }
}

fn standing(shadow: &Shadow<Counter1, Disk>) -> &Machine<Counter1> {
    shadow.machine().expect("it is loaded")
}

fn poll(shadow: &mut Shadow<Counter1, Disk>, now: Nanos) -> usize {
    shadow.poll(now).expect("no fault")
}

/// Polls until there is nothing to do.
fn settle(shadow: &mut Shadow<Counter1, Disk>, now: Nanos) {
    while poll(shadow, now) > 0 {}
}

#[test]
fn a_snapshot_counts_when_all_that_it_tells_of_is_durable() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), every(10));
    primary.commands(9);
    assert_eq!(poll(&mut shadow, primary.now), 9);
    settle(&mut shadow, primary.now);
    assert_eq!(primary.disks[2].contents("snapshot.tmp"), None, "nine are not ten");
    primary.commands(16);
    let (digest, applied) = (primary.machine.digest(), primary.machine.applied());
    settle(&mut shadow, primary.now);
    assert!(primary.disks[2].contents("snapshot.tmp").is_some());
    assert_eq!(primary.snapshots(), NONE, "neither is durable");

    primary.commands(5);
    primary.journal.syncer.poll(primary.now.0).expect("no fault");
    settle(&mut shadow, primary.now);
    assert_eq!(primary.snapshots(), NONE, "the events are not durable");
    assert_eq!(standing(&shadow).applied(), primary.machine.applied(), "it goes on meanwhile");
    primary.events.syncer.poll(primary.now.0).expect("no fault");
    assert_eq!(poll(&mut shadow, primary.now), 1);
    assert_eq!(primary.snapshots(), [25]);
    let found = newest::<Counter1>(&primary.disks[2]).expect("a good one");
    assert_eq!((found.digest(), found.applied()), (digest, applied));
    settle(&mut shadow, primary.now);
    let taken = shadow.handle().status().taken.expect("it is told");
    assert_eq!((taken.due, taken.info.sequence()), (Due::Commands, Some(Sequence(25))));

    // After a power cut the journal and the event log reach the snapshot.
    let disks = primary.disks.each_ref().map(|disk| disk.after_crash(Survival::Nothing));
    let journal = open(&disks[0], "counter").recovery.next - 1;
    let events = open(&disks[1], "counter events").recovery.next - 1;
    assert_eq!(snapshot::candidates(&disks[2], journal, events).expect("a directory").len(), 1);
    assert_eq!(snapshot::candidates(&disks[2], 24, events).expect("a directory").len(), 0);

    settle(&mut shadow, primary.now);
    assert_eq!(standing(&shadow).digest(), primary.machine.digest(), "it goes on");
}

#[test]
fn a_request_gets_what_was_journaled_by_then() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), Triggers::default());
    let handle = shadow.handle();
    primary.commands(1000);
    primary.sync();
    let outcome = handle.request().expect("room");
    assert_eq!(poll(&mut shadow, primary.now), 256, "a bounded batch");
    primary.commands(7);
    primary.sync();
    settle(&mut shadow, primary.now);
    assert_eq!(primary.snapshots(), [1007]);
    let info = outcome.try_recv().expect("an answer").expect("taken");
    assert_eq!(info.sequence(), Some(Sequence(1007)));
    assert_eq!(standing(&shadow).applied(), primary.machine.applied());
    drop(handle.request().expect("room"));
    settle(&mut shadow, primary.now);
    primary.sync();
    settle(&mut shadow, primary.now);
    assert_eq!(primary.snapshots(), [1007]);
}

#[test]
fn what_never_becomes_durable_is_dropped_and_tried_again() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), every(10));
    primary.commands(10);
    settle(&mut shadow, primary.now);
    primary.commands(1);
    let late = primary.now.after(PATIENCE_NANOS);
    assert_eq!(poll(&mut shadow, Nanos(late.0 - 1)), 1, "it goes on");
    assert_eq!(poll(&mut shadow, Nanos(late.0 - 1)), 0);
    assert_eq!(poll(&mut shadow, late), 1);
    assert_eq!(primary.disks[2].contents("snapshot.tmp"), None);
    let failed = shadow.handle().status().failed.expect("it is told");
    assert!(matches!(failed.error, SnapshotError::NotSynced { commands: 0, .. }), "{failed:?}");
    assert_eq!(
        failed.error.to_string(),
        "the snapshot of sequence 10, event 10 was dropped: the journal is durable up to 0, the \
         event log up to 0, for too long: nothing is released while a promised standby is away \
         (`ringframe status` says so), or a disk is slow or has failed"
    );
    primary.sync();
    settle(&mut shadow, late);
    assert_eq!(primary.snapshots(), NONE);
    settle(&mut shadow, late.after(RETRY_NANOS));
    assert_eq!(primary.snapshots(), [11]);
}

#[test]
fn all_that_it_takes_is_told_and_waiting_is_not() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), every(10));
    primary.commands(10);
    let at = |nanos| primary.now.after(nanos);
    // The clock stands still within a poll: each is as long as the next one is late.
    assert_eq!(poll(&mut shadow, at(0)), 11, "written and verified");
    assert_eq!(poll(&mut shadow, at(5)), 1);
    assert_eq!(poll(&mut shadow, at(60)), 0, "nothing is durable");
    primary.sync();
    let at = |nanos| primary.now.after(nanos);
    assert_eq!(poll(&mut shadow, at(100)), 1, "named, and old ones deleted");
    assert_eq!(poll(&mut shadow, at(117)), 1);
    let taken = shadow.handle().status().taken.expect("it is told");
    assert_eq!((taken.took_nanos, taken.at), (5 + 17, at(117)));
}

#[test]
fn one_that_waits_is_given_up_at_the_end() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), Triggers::default());
    primary.commands(10);
    let handle = shadow.handle();
    let asked = handle.request().expect("room");
    settle(&mut shadow, primary.now);
    assert!(primary.disks[2].contents("snapshot.tmp").is_some());
    handle.give_up();
    settle(&mut shadow, primary.now);
    assert_eq!(primary.disks[2].contents("snapshot.tmp"), None);
    assert!(matches!(asked.try_recv(), Ok(Err(SnapshotError::GivenUp))));
    let later = handle.request().expect("room");
    primary.sync();
    settle(&mut shadow, primary.now);
    assert!(matches!(later.try_recv(), Ok(Err(SnapshotError::GivenUp))));
    assert_eq!(primary.snapshots(), NONE);
}

#[test]
fn a_full_disk_is_no_fault_of_the_node() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), every(10));
    primary.disks[2].limit_free_bytes(10);
    primary.commands(10);
    primary.sync();
    settle(&mut shadow, primary.now);
    let status = shadow.handle().status();
    assert!(matches!(status.failed.expect("it is told").error, SnapshotError::Io { .. }));
    assert_eq!((status.failures, primary.snapshots().len()), (1, 0));
    primary.commands(10);
    primary.sync();
    settle(&mut shadow, primary.now);
    assert_eq!(standing(&shadow).digest(), primary.machine.digest(), "it goes on");
    primary.disks[2].limit_free_bytes(u64::MAX);
    settle(&mut shadow, primary.now.after(RETRY_NANOS));
    assert_eq!(primary.snapshots(), [20]);
}

#[test]
fn so_many_are_kept_and_a_start_goes_on_from_the_newest() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), every(100));
    for _ in 0..4 {
        primary.commands(100);
        primary.sync();
        settle(&mut shadow, primary.now);
    }
    assert_eq!(primary.snapshots(), [400, 300]);
    primary.commands(50);
    drop(shadow);
    primary.disks[2].create_junk();
    let machine = newest::<Counter1>(&primary.disks[2]).expect("a good one");
    let mut shadow = primary.shadow(machine, every(100));
    assert_eq!(primary.disks[2].contents("snapshot.tmp"), None, "a start tidies up");
    assert_eq!(poll(&mut shadow, primary.now), 50);
    assert_eq!(standing(&shadow).digest(), primary.machine.digest());
    settle(&mut shadow, primary.now);
    assert_eq!(primary.snapshots(), [400, 300], "fifty are not a hundred");
}

#[test]
fn what_it_has_read_whole_once_is_not_read_again() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), every(100));
    for round in 1..=4 {
        primary.commands(100);
        primary.sync();
        settle(&mut shadow, primary.now);
        // That it is damaged now is found by who loads it, and is no reason to keep older ones.
        primary.disks[2].flip(&snapshot::file_name(Sequence(round * 100)), 270, 1);
    }
    assert_eq!(primary.snapshots(), [400, 300]);
    assert_eq!(shadow.handle().status().failures, 0);
}

/// It began with less than there is a snapshot of: that one could not be read then.
#[test]
fn a_shadow_whose_commands_are_pruned_begins_again() {
    let mut primary = Primary::new();
    primary.commands(8_000);
    primary.sync();
    while primary.journal.keeper.poll(0).expect("no fault") > 0 {}
    let mut first = primary.shadow(Machine::default(), every(6_000));
    settle(&mut first, primary.now);
    let &[taken] = &primary.snapshots()[..] else { panic!("one snapshot") };
    drop(first);
    let info = snapshot::list(&primary.disks[2]).expect("a directory").remove(0);
    let later = snapshot::load::<Counter1, _>(&primary.disks[2], &info).expect("a good one");
    let mut shadow = primary.shadow_of([Machine::default(), later], Triggers::default());
    assert!(poll(&mut shadow, primary.now) > 0);
    let read = standing(&shadow).applied().sequence.0;
    let segments = survey(&primary.disks[0]).expect("segments");
    let is_pruned =
        |info: &&SegmentInfo| info.seal.good().is_some_and(|seal| seal.last_sequence < taken);
    let pruned: Vec<u64> = segments.iter().filter(is_pruned).map(|info| info.number).collect();
    assert!(read < 500 && pruned.len() > 2, "{read} commands, {pruned:?}");
    for number in pruned {
        primary.disks[0].remove(&file_name(number)).expect("it is there");
    }
    settle(&mut shadow, primary.now);
    primary.commands(10);
    settle(&mut shadow, primary.now);
    assert_eq!(standing(&shadow).applied(), primary.machine.applied());
}

#[test]
fn one_that_is_given_up_while_it_loads_is_no_fault() {
    let mut primary = Primary::new();
    primary.commands(10);
    let commands = Arc::clone(primary.journal.writer.positions());
    let events = Arc::clone(primary.events.writer.positions());
    let durable = Durable { commands: Arc::clone(&commands), events };
    let (snapshots, none) = (primary.disks[2].clone(), Triggers::default());
    let taker = Taker::open(snapshots, durable, none, 2, Sequence(0)).expect("it opens");
    let handle = taker.handle();
    let load = |given_up: &AtomicBool| {
        assert!(given_up.load(Ordering::Relaxed));
        Err(Fault::Snapshot("given up".into()))
    };
    let mut shadow: Shadow<Counter1, Disk> =
        Shadow::new(Box::new(load), primary.disks[0].clone(), commands, taker);
    let asked = handle.request().expect("room");
    handle.give_up();
    settle(&mut shadow, primary.now);
    assert!(shadow.machine().is_none());
    drop(shadow);
    assert!(asked.recv().is_err(), "nobody will answer");
}

/// What a crash leaves.
trait Junk {
    fn create_junk(&self);
}

impl Junk for Disk {
    fn create_junk(&self) {
        use ringframe::journal::storage::{Storage, StorageFile};
        let file = self.create("snapshot.tmp").expect("a new file");
        file.write_at(0, b"half a snapshot").expect("room");
    }
}

#[test]
fn another_digest_in_the_journal_is_a_fault() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), every(1));
    primary.commands(DIGEST_EVERY);
    let sequence = Sequence(primary.last());
    primary.command(&Control::Digest { sequence, value: primary.machine.digest().value() });
    primary.commands(1);
    primary.sync();
    settle(&mut shadow, primary.now);
    assert_eq!(standing(&shadow).applied(), primary.machine.applied());
    primary.commands(DIGEST_EVERY - 2);
    let sequence = Sequence(primary.last());
    primary.command(&Control::Digest { sequence, value: 1 });
    let fault = loop {
        primary.sync();
        if let Err(fault) = shadow.poll(primary.now) {
            break fault;
        }
    };
    assert!(matches!(fault, Fault::Diverged { differs, .. } if differs == sequence), "{fault}");
}

#[test]
fn a_journal_that_cannot_be_read_is_a_fault() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), Triggers::default());
    primary.commands(10);
    let Primary { journal, disks, now, .. } = primary;
    journal.close(now.0).expect("no fault");
    disks[0].flip("0000000001.segment", 4096 + 5 * 40 + 33, 1);
    let fault = shadow.poll(now).expect_err("a damaged frame");
    assert!(matches!(fault, Fault::Journal(_)), "{fault}");
}

#[test]
fn others_look_at_the_state_between_two_batches() {
    let mut primary = Primary::new();
    let mut shadow = primary.shadow(Machine::default(), Triggers::default());
    let onlooker = shadow.onlooker();
    primary.commands(7);
    let seen =
        onlooker.look(|machine| (machine.applied(), machine.digest())).expect("there is room");
    assert!(seen.try_recv().is_err(), "nothing is seen before the shadow has its turn");
    settle(&mut shadow, primary.now);
    let ours = (primary.machine.applied(), primary.machine.digest());
    assert_eq!(seen.try_recv(), Ok(ours));
    // Too many are told so, and so is who comes when there is nobody to ask any more.
    let asked: Vec<_> = std::iter::from_fn(|| onlooker.look(|_| ())).take(1000).collect();
    assert!(!asked.is_empty() && asked.len() < 1000, "{}", asked.len());
    settle(&mut shadow, primary.now);
    assert!(asked.iter().all(|asked| asked.try_recv().is_ok()), "each has its turn");
    drop(shadow);
    assert!(onlooker.look(|_| ()).is_none());
}
