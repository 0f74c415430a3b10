//! A node inside a program: what it can be asked while it runs, and how it ends.
#![expect(clippy::disallowed_methods, reason = "a test may wait and look at the clock")]

use std::marker::PhantomData;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ringframe::clock::Clock;
use ringframe::codec::SerdeRecord;
use ringframe::embed::{AtEnd, Embedded, Saving};
use ringframe::journal::SimulatedStorage;
use ringframe::journal::storage::Storage;
use ringframe::logic::{Emit, Logic, Moment};
use ringframe::machine::Machine;
use ringframe::node::{Node, NodeOptions, Stores};
use ringframe::pipeline::Waiting;
use ringframe::recovery::{self, Cores, Nobody};
use ringframe::runner::{Group, Idle};
use ringframe::snapshot::schedule::Triggers;
use ringframe::snapshot::{self, SnapshotError};
use ringframe::stage::{Fault, Stage};
use ringframe::types::{Nanos, Sequence};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nothing here takes longer, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const QUICK: Duration = Duration::from_millis(5);

/// Adds up; its second version adds everything twice. What it says of itself on the way to disk is
/// `B`'s affair.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(bound = "B: Bulk")]
struct Tally<const VERSION: u32, B: Bulk> {
    sum: u64,
    version: u32,
    bulk: PhantomBulk<B>,
}

/// How big a state is.
trait Bulk: Default + Send + 'static {
    const PIECES: u64;
}
#[derive(Debug, Default)]
struct Small;
impl Bulk for Small {
    const PIECES: u64 = 1;
}
/// Without being given up its snapshot takes ten minutes.
#[derive(Debug, Default)]
struct Endless;
impl Bulk for Endless {
    const PIECES: u64 = 120_000;
}

#[derive(Debug, Default)]
struct PhantomBulk<B>(PhantomData<fn(B)>);

impl<B: Bulk> Serialize for PhantomBulk<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pieces = (0..B::PIECES).map(|piece| {
            if piece > 0 {
                sleep(Duration::from_millis(5));
            }
            vec![piece; 4 << 10]
        });
        serializer.collect_seq(pieces)
    }
}

impl<'de, B: Bulk> Deserialize<'de> for PhantomBulk<B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Vec<u64>>::deserialize(deserializer)?;
        Ok(Self(PhantomData))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Add(u64);
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sum(u64);
impl SerdeRecord for Add {
    const NAME: &'static str = "add";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 8;
}
impl SerdeRecord for Sum {
    const NAME: &'static str = "sum";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 8;
}

impl<const V: u32, B: Bulk> Logic for Tally<V, B> {
    const NAME: &'static str = "tally";
    const VERSION: u32 = V;
    const OLDEST: u32 = 1;
    type Command = Add;
    type Event = Sum;
    type Reject = Sum;
    type Checked = u64;

    fn check(&self, command: &Add, _at: &Moment) -> Result<u64, Sum> {
        Ok(command.0 * u64::from(self.version))
    }

    fn apply(&mut self, checked: u64, _at: &Moment, emit: &mut Emit<'_, Sum>) {
        self.sum += checked;
        emit.event(&Sum(self.sum));
    }

    fn activate(&mut self, version: u32) {
        self.version = version;
    }
}

type Stored = Stores<SimulatedStorage>;

fn empty() -> Stored {
    let new = SimulatedStorage::new;
    Stores { journal: new(), events: new(), snapshots: new() }
}

fn open<L: Logic>(stores: &Stored) -> Result<Node<L, SimulatedStorage>, Fault> {
    let options = NodeOptions { ring_slots: 4096, ..NodeOptions::default() };
    Node::open(stores, &options, Nanos(1), &mut |_, _| ())
}

/// The shadow by itself, all others together.
fn groups(stages: Vec<Box<dyn Stage>>) -> Vec<Group> {
    let (shadow, others): (Vec<_>, Vec<_>) =
        stages.into_iter().partition(|stage| stage.name() == "shadow");
    let groups = [others, shadow].into_iter().filter(|stages| !stages.is_empty());
    groups.map(Group::new).collect()
}

fn start<L: Logic>(stores: &Stored, saves: bool) -> Embedded<L> {
    let node = open::<L>(stores).unwrap();
    let saving = if saves {
        let taker = node.taker(stores, Triggers::default(), 3).unwrap();
        Saving::Shadow(Box::new(node.shadow(stores, taker)))
    } else {
        Saving::Off
    };
    Embedded::start(node, saving, |stages| Ok(groups(stages)), Idle::Polite, Clock::new()).unwrap()
}

/// Submits so many, and says what came of them.
fn adds<L: Logic<Command = Add, Event = Sum>>(node: &mut Embedded<L>, count: u64) -> Vec<u64> {
    (1..=count).for_each(|amount| assert!(node.submit(Add(amount))));
    let next = |_| {
        let outcome = node.next(PATIENCE).unwrap().expect("an event");
        outcome.result.unwrap_or_else(|_| panic!("a reject")).0
    };
    (0..count).map(next).collect()
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what} never happened");
        sleep(QUICK);
    }
}

#[test]
fn a_running_node_activates_a_version_from_one_sequence_on() {
    type Old = Tally<1, Small>;
    type New = Tally<2, Small>;
    let stores = empty();
    let mut node = start::<Old>(&stores, false);
    assert_eq!(adds(&mut node, 3), [1, 3, 6]);
    // The build that lacks it says so, and goes on.
    let submitter = node.take_submitter().unwrap();
    let refused = submitter.activate(2).unwrap_err().to_string();
    assert!(refused.contains("version 2 of 'tally' cannot be activated"), "{refused}");
    assert!(refused.contains("this build has 1 to 1"), "{refused}");
    assert!(submitter.submit(Add(4)));
    drop(submitter);
    let finished = node.finish(PATIENCE, AtEnd::Nothing, |_| ()).unwrap();
    assert_eq!((finished.last, finished.snapshot.is_none()), (Sequence(5), true));

    let mut node = start::<New>(&stores, false);
    assert_eq!(adds(&mut node, 2), [11, 13], "as the first version, still");
    let submitter = node.take_submitter().unwrap();
    assert_eq!(submitter.activate(2).unwrap(), Sequence(8));
    assert!([1, 5].into_iter().all(|amount| submitter.submit(Add(amount))));
    assert!(submitter.activate(3).unwrap_err().to_string().contains("this build has 1 to 2"));
    drop(submitter);
    let mut told = Vec::new();
    let finished = node.finish(PATIENCE, AtEnd::Nothing, |outcome| {
        told.push((outcome.cause.0, outcome.result.map(|sum| sum.0).ok()));
    });
    assert_eq!(finished.unwrap().last, Sequence(10));
    assert_eq!(told, [(9, Some(15)), (10, Some(25))], "twice from 8 on");

    let mut machine = Machine::<New>::default();
    recovery::replay(&stores.journal, &mut machine, Sequence(10), Cores::One, &mut Nobody).unwrap();
    assert_eq!((machine.logic().sum, machine.applied().version), (25, 2));
    let again = open::<New>(&stores).unwrap();
    assert_eq!(again.processor.machine().digest(), machine.digest());
    drop(again);
    let old = open::<Old>(&stores).err().expect("it is refused").to_string();
    assert!(old.contains("command 8 activates version 2 of 'tally'"), "{old}");
}

#[test]
fn the_rings_tell_how_much_waits_in_them() {
    /// As many outcomes wait for the program, behind the rings.
    const QUEUED: u64 = 4096;
    let mut node = start::<Tally<1, Small>>(&empty(), false);
    eventually("rest", || node.positions().waiting() == Waiting::default());
    (0..QUEUED + 700).for_each(|_| assert!(node.submit(Add(1))));
    let full = Waiting { commands: 0, events: 700 };
    eventually("a queue that is full", || node.positions().waiting() == full);
    for _ in 0..700 {
        assert!(node.next(PATIENCE).unwrap().is_some());
    }
    eventually("room", || node.positions().waiting() == Waiting::default());
    // With the processor stopped by a full event ring, commands wait in theirs.
    let submitter = node.take_submitter().unwrap();
    let submitting = std::thread::spawn(move || {
        (0..2 * QUEUED + 100).for_each(|_| assert!(submitter.submit(Add(1))));
    });
    eventually("a ring that is full", || node.positions().waiting().events == 4096);
    node.finish(PATIENCE, AtEnd::Nothing, |_| ()).map(drop).unwrap();
    submitting.join().unwrap();
}

#[test]
fn the_state_is_saved_at_the_end_where_that_is_asked_for() {
    let stores = empty();
    let mut node = start::<Tally<1, Small>>(&stores, true);
    adds(&mut node, 3);
    let finished = node.finish(PATIENCE, AtEnd::Snapshot, |_| ()).unwrap();
    let info = finished.snapshot.expect("it was asked for").expect("it was taken");
    assert_eq!((info.sequence(), finished.last), (Some(Sequence(4)), Sequence(4)));
    assert_eq!(open::<Tally<1, Small>>(&stores).unwrap().start.from.snapshot, Sequence(4));
    // Nobody takes any, or nobody asks.
    let node = start::<Tally<1, Small>>(&stores, false);
    assert!(node.finish(PATIENCE, AtEnd::Snapshot, |_| ()).unwrap().snapshot.is_none());
    let mut node = start::<Tally<1, Small>>(&stores, true);
    adds(&mut node, 1);
    assert!(node.finish(PATIENCE, AtEnd::Nothing, |_| ()).unwrap().snapshot.is_none());
    assert_eq!(snapshot::list(&stores.snapshots).unwrap().len(), 1);
}

#[test]
fn no_end_waits_for_a_snapshot_that_is_being_written() {
    let is_writing = |stores: &Stored| {
        stores.snapshots.list().unwrap().iter().any(|name| name == "snapshot.tmp")
    };
    for at_end in [Some(AtEnd::Nothing), Some(AtEnd::Snapshot), None] {
        let stores = empty();
        let mut node = start::<Tally<1, Endless>>(&stores, true);
        adds(&mut node, 3);
        let asked = node.snapshots().unwrap().request().unwrap();
        eventually("a snapshot", || is_writing(&stores));
        let begun = Instant::now();
        if let Some(at_end) = at_end {
            let longest = match at_end {
                AtEnd::Nothing | AtEnd::HandOver => PATIENCE,
                AtEnd::Snapshot => Duration::from_secs(1),
            };
            let finished = node.finish(longest, at_end, |_| ()).unwrap();
            assert_eq!(finished.last, Sequence(4), "all is done");
            let given_up = matches!(finished.snapshot, Some(Err(SnapshotError::GivenUp)));
            assert_eq!(given_up, at_end == AtEnd::Snapshot);
        } else {
            drop(node);
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        let told = asked.try_recv().expect("an answer").unwrap_err();
        assert!(told.to_string().contains("what was written of it is removed"), "{told}");
        assert!(!is_writing(&stores), "half a snapshot is left");
        assert_eq!(snapshot::list(&stores.snapshots).unwrap(), []);
        let again = open::<Tally<1, Endless>>(&stores).unwrap();
        assert_eq!(again.start.applied.sequence, Sequence(4));
    }
}
