//! A logic that grows up: what the first version journaled, the second replays as the first, and
//! behaves as the second only from the command on that says so.

use ringframe::codec::{SerdeRecord, decode, upcast};
use ringframe::journal::storage::Storage;
use ringframe::journal::{Frame, Options, SimulatedStorage};
use ringframe::logic::{Emit, Logic, Moment};
use ringframe::machine::Machine;
use ringframe::node::{Node, NodeOptions, Stores};
use ringframe::record::{Record, RecordError, Upcast};
use ringframe::recovery::{self, Cores, Watch};
use ringframe::snapshot;
use ringframe::stage::{Fault, Stage};
use ringframe::types::{Nanos, Sequence};
use serde::{Deserialize, Serialize};

use crate::disks::frames;

/// The first version: adds up.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tally1 {
    sum: u64,
}

/// The second: adds everything as often as it is told, and a bonus to that.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tally2<const OLDEST: u32> {
    sum: u64,
    version: u32,
}

/// A command of the first version …
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Add1 {
    amount: u32,
}
/// … and of the second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Add2 {
    amount: u32,
    times: u16,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sum(u64);
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Zero;

impl SerdeRecord for Add1 {
    const NAME: &'static str = "add";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 4;
}
impl SerdeRecord for Add2 {
    const NAME: &'static str = "add";
    const VERSION: u16 = 2;
    const BYTES_MAX: usize = 6;
    const OLDER: &'static [Upcast<Self>] = &[upcast::<Add1, Self>(1)];
}
impl From<Add1> for Add2 {
    fn from(Add1 { amount }: Add1) -> Self {
        Self { amount, times: 1 }
    }
}
impl SerdeRecord for Sum {
    const NAME: &'static str = "sum";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 8;
}
impl SerdeRecord for Zero {
    const NAME: &'static str = "zero";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 0;
}

impl Logic for Tally1 {
    const NAME: &'static str = "tally";
    const VERSION: u32 = 1;
    type Command = Add1;
    type Event = Sum;
    type Reject = Zero;
    type Checked = u64;

    fn check(&self, command: &Add1, _at: &Moment) -> Result<u64, Zero> {
        if command.amount == 0 { Err(Zero) } else { Ok(command.amount.into()) }
    }

    fn apply(&mut self, checked: u64, _at: &Moment, emit: &mut Emit<'_, Sum>) {
        self.sum += checked;
        emit.event(&Sum(self.sum));
    }
}

const BONUS: u64 = 1000;

impl<const O: u32> Logic for Tally2<O> {
    const NAME: &'static str = "tally";
    const VERSION: u32 = 2;
    const OLDEST: u32 = O;
    type Command = Add2;
    type Event = Sum;
    type Reject = Zero;
    type Checked = u64;

    fn check(&self, command: &Add2, _at: &Moment) -> Result<u64, Zero> {
        let Add2 { amount, times } = *command;
        match self.version {
            1 if amount == 0 => Err(Zero),
            1 => Ok(amount.into()),
            2 => Ok(u64::from(amount) * u64::from(times) + BONUS),
            version => panic!("version {version} was never activated"),
        }
    }

    fn apply(&mut self, checked: u64, _at: &Moment, emit: &mut Emit<'_, Sum>) {
        self.sum += checked;
        emit.event(&Sum(self.sum));
    }

    fn activate(&mut self, version: u32) {
        self.version = version;
    }

    fn migrate(version: u32, _schema: u32, bytes: &[u8]) -> Option<Self> {
        let Tally1 { sum } = decode(bytes).filter(|_| version == 1)?;
        Some(Self { sum, version: 0 })
    }
}

type Stored = Stores<SimulatedStorage>;

/// What is on the disks, for a node of its own.
fn copy(stores: &Stored) -> Stored {
    let Stores { journal, events, snapshots } = stores;
    Stores { journal: journal.copy(), events: events.copy(), snapshots: snapshots.copy() }
}

fn empty() -> Stored {
    let new = SimulatedStorage::new;
    Stores { journal: new(), events: new(), snapshots: new() }
}

fn open<L: Logic>(stores: &Stored, activate: bool) -> Result<Node<L, SimulatedStorage>, Fault> {
    let options = NodeOptions {
        ring_slots: 64,
        segment_bytes: Options::SEGMENT_BYTES_MIN,
        event_segment_bytes: Options::SEGMENT_BYTES_MIN,
        activate,
        ..NodeOptions::default()
    };
    Node::open(stores, &options, Nanos(1), &mut |_, _| ())
}

/// Runs a node on what is on the disks until these commands are done; hands back what is on the
/// disks then.
fn ran<L: Logic>(before: &Stored, activate: bool, commands: &[L::Command]) -> Stored {
    let stores = copy(before);
    let mut node = open::<L>(&stores, activate).unwrap();
    let mut commands = commands.iter().peekable();
    for now in 0..1_000_000 {
        let now = Nanos(now * 1_000_000);
        if let Some(command) = commands.peek()
            && node.sequencer.offer(command, now).is_some()
        {
            commands.next();
        }
        let stages: [&mut dyn Stage; 7] = [
            &mut node.journaler,
            &mut node.processor,
            &mut node.event_log,
            &mut node.syncer,
            &mut node.keeper,
            &mut node.event_syncer,
            &mut node.event_keeper,
        ];
        for stage in stages {
            stage.poll(now).unwrap();
        }
        drop(node.egress.take(64).map(|mut events| (&mut events).count()));
        if commands.peek().is_none() && node.positions.is_quiet() {
            snapshot::write(&stores.snapshots, node.processor.machine()).unwrap();
            return copy(&stores);
        }
    }
    panic!("it does not end: {:?}", node.positions);
}

#[derive(Default)]
struct Collect(Vec<Vec<u8>>);

impl Watch for Collect {
    fn event(&mut self, event: &Frame<'_>) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        self.0.push(bytes);
        Ok(())
    }
}

/// The whole journal from its beginning: the events, and the end.
fn replayed<L: Logic>(stores: &Stored) -> Result<(Vec<Vec<u8>>, Machine<L>), Fault> {
    let (mut machine, mut collect) = (Machine::default(), Collect::default());
    let last = recovery::last_sequence(&stores.journal)?.unwrap_or_default();
    recovery::replay(&stores.journal, &mut machine, last, Cores::One, &mut collect)?;
    Ok((collect.0, machine))
}

/// The newest snapshot's sequence and the version that is active in it.
fn saved(stores: &Stored) -> (u64, u32) {
    let header = snapshot::list(&stores.snapshots).unwrap()[0].header.clone().unwrap();
    (header.applied.sequence.0, header.applied.version)
}

fn adds1(count: u32) -> Vec<Add1> {
    (0..count).map(|amount| Add1 { amount: amount % 7 }).collect()
}

fn adds2(count: u32) -> Vec<Add2> {
    (0..count).map(|amount| Add2 { amount: amount % 7, times: 3 }).collect()
}

/// What `adds1` and, as version 1 has it, `adds2` add up to.
fn sum1(count: u32) -> u64 {
    (0..count).map(|amount| u64::from(amount % 7)).sum()
}

/// As version 2 has it.
fn sum2(count: u32) -> u64 {
    3 * sum1(count) + BONUS * u64::from(count)
}

fn refused<L: Logic>(stores: &Stored) -> String {
    open::<L>(&copy(stores), false).err().expect("it is refused").to_string()
}

#[test]
fn a_new_build_goes_on_as_the_old_version_until_the_new_one_is_activated() {
    let old = ran::<Tally1>(&empty(), false, &adds1(100));
    assert_eq!(saved(&old), (101, 1));
    let still = ran::<Tally2<1>>(&old, false, &adds2(50));
    assert_eq!(saved(&still), (151, 1), "no command of its own");
    let (_, machine) = replayed::<Tally2<1>>(&still).unwrap();
    assert_eq!((machine.logic().version, machine.logic().sum), (1, sum1(100) + sum1(50)));

    let new = ran::<Tally2<1>>(&still, true, &adds2(40));
    assert_eq!(saved(&new), (192, 2));
    let (events, machine) = replayed::<Tally2<1>>(&new).unwrap();
    let sum = sum1(100) + sum1(50) + sum2(40);
    assert_eq!((machine.logic().version, machine.logic().sum), (2, sum));
    assert!(events == frames(&new.events), "the log is what replay gives, on both sides");

    // Once is enough, and no start takes it back.
    for activate in [true, false] {
        let again = ran::<Tally2<1>>(&new, activate, &adds2(10));
        assert_eq!(saved(&again), (202, 2));
        assert_eq!(replayed::<Tally2<1>>(&again).unwrap().1.logic().sum, sum + sum2(10));
    }
    // From any snapshot, and from none: the digest and the state are the same.
    for keep in 0..=3 {
        let fewer = copy(&new);
        for info in snapshot::list(&fewer.snapshots).unwrap().iter().skip(keep) {
            fewer.snapshots.remove(&info.name).unwrap();
        }
        let node = open::<Tally2<1>>(&fewer, false).unwrap();
        let found = node.processor.machine();
        assert_eq!(node.start.from.snapshot.0, if keep == 0 { 0 } else { 192 });
        assert_eq!((found.digest(), found.applied()), (machine.digest(), machine.applied()));
        assert_eq!((found.logic().version, found.logic().sum), (2, sum));
    }
}

#[test]
fn a_snapshot_of_the_old_build_leads_over_the_activation() {
    let old = ran::<Tally1>(&empty(), false, &adds1(100));
    let still = ran::<Tally2<1>>(&old, false, &adds2(50));
    let new = ran::<Tally2<1>>(&still, true, &adds2(40));
    let whole = open::<Tally2<1>>(&copy(&new), false).unwrap();
    // Of the first build at 101, of the second with the first version active at 151.
    for (from, at) in [(&old, 101), (&still, 151)] {
        let before = Stores { snapshots: from.snapshots.copy(), ..copy(&new) };
        let node = open::<Tally2<1>>(&before, false).unwrap();
        assert_eq!(node.start.from.snapshot, Sequence(at), "{:?}", node.start.from.refused);
        let (found, whole) = (node.processor.machine(), whole.processor.machine());
        assert_eq!((found.digest(), found.applied()), (whole.digest(), whole.applied()));
        assert_eq!(found.logic().sum, whole.logic().sum);
        assert_eq!(found.logic().version, 2);
    }
}

#[test]
fn lost_events_are_produced_again_as_each_version_did() {
    let old = ran::<Tally1>(&empty(), false, &adds1(100));
    let new = ran::<Tally2<1>>(&old, true, &adds2(40));
    let lost = Stores { events: SimulatedStorage::new(), ..copy(&new) };
    let node = open::<Tally2<1>>(&lost, false).unwrap();
    assert_eq!(node.start.events_refilled, 140);
    drop(node);
    assert!(frames(&lost.events) == frames(&new.events));
}

#[test]
fn an_old_build_refuses_a_newer_journal_by_name_and_changes_nothing() {
    let old = ran::<Tally1>(&empty(), false, &adds1(100));
    // The second build began the journal, or only went on with a segment of the first.
    let begun = ran::<Tally2<1>>(&empty(), false, &adds2(5));
    assert!(refused::<Tally1>(&begun).contains("written by version 2 of 'tally'"));
    let went_on = ran::<Tally2<1>>(&old, false, &adds2(5));
    let said = refused::<Tally1>(&went_on);
    assert!(said.contains("command 102: add of schema version 2"), "{said}");
    let activated = ran::<Tally2<1>>(&old, true, &[]);
    let said = refused::<Tally1>(&activated);
    assert!(said.contains("command 102 activates version 2 of 'tally'"), "{said}");
    for stores in [begun, went_on, activated] {
        let tried = copy(&stores);
        assert!(open::<Tally1>(&tried, false).is_err());
        assert_eq!(frames(&tried.journal), frames(&stores.journal));
        assert_eq!(frames(&tried.events), frames(&stores.events));
        assert!(open::<Tally2<1>>(&copy(&tried), false).is_ok());
    }
}

#[test]
fn a_build_that_forgot_the_old_version_refuses_it_by_name() {
    let old = ran::<Tally1>(&empty(), false, &adds1(100));
    let said = refused::<Tally2<2>>(&old);
    assert!(said.contains("command 1 activates version 1 of 'tally'"), "{said}");
    assert!(said.contains("this build has 2 to 2"), "{said}");
    // Also where a snapshot is all that is left of it.
    let still = ran::<Tally2<1>>(&old, false, &adds2(50));
    assert!(refused::<Tally2<2>>(&still).contains("version 1 of 'tally'"));
    // With the switch behind it, a snapshot after that is enough to start from.
    let new = ran::<Tally2<1>>(&still, true, &adds2(40));
    let node = open::<Tally2<2>>(&copy(&new), false).unwrap();
    assert_eq!(node.start.from.snapshot, Sequence(192));
    assert_eq!(node.processor.machine().logic().sum, sum1(100) + sum1(50) + sum2(40));
    assert!(replayed::<Tally2<2>>(&new).is_err(), "but not to begin from the beginning");
}

/// The first version in all it does, but it says its events otherwise.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Reshaped {
    sum: u64,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sum2(u64);
impl SerdeRecord for Sum2 {
    const NAME: &'static str = "sum";
    const VERSION: u16 = 2;
    const BYTES_MAX: usize = 8;
}

impl Logic for Reshaped {
    const NAME: &'static str = "tally";
    const VERSION: u32 = 1;
    type Command = Add1;
    type Event = Sum2;
    type Reject = Zero;
    type Checked = u64;

    fn check(&self, command: &Add1, _at: &Moment) -> Result<u64, Zero> {
        if command.amount == 0 { Err(Zero) } else { Ok(command.amount.into()) }
    }

    fn apply(&mut self, checked: u64, _at: &Moment, emit: &mut Emit<'_, Sum2>) {
        self.sum += checked;
        emit.event(&Sum2(self.sum));
    }
}

/// Also where nothing is replayed over the last event, because a snapshot stands behind it.
#[test]
fn a_build_that_says_events_otherwise_is_refused_before_it_changes_anything() {
    let old = ran::<Tally1>(&empty(), false, &adds1(100));
    let without = Stores { snapshots: SimulatedStorage::new(), ..copy(&old) };
    for stores in [&old, &without] {
        let tried = copy(stores);
        let fault = open::<Reshaped>(&tried, false).err().expect("it is refused");
        assert!(matches!(fault, Fault::EventSchema { logged: 1, written: 2, .. }), "{fault}");
        let said = fault.to_string();
        assert!(
            said.starts_with("event 100 of the log is sum of schema version 1, this"),
            "{said}"
        );
        assert!(said.contains("needs a kind of its own"), "{said}");
        assert!(frames(&tried.events) == frames(&old.events));
        assert!(open::<Tally1>(&tried, false).is_ok());
    }
}

#[test]
fn the_bytes_of_the_first_schema_are_read_for_good() {
    let encoded = |amount| {
        let mut bytes = [0; 4];
        let length = Add1 { amount }.encode(&mut bytes);
        bytes[..length].to_vec()
    };
    // What the first build has in its journals.
    let golden: [(u32, &[u8; 4]); 4] = [
        (0, &[0, 0, 0, 0]),
        (7, &[7, 0, 0, 0]),
        (0x1234_5678, &[0x78, 0x56, 0x34, 0x12]),
        (u32::MAX, &[0xFF, 0xFF, 0xFF, 0xFF]),
    ];
    for (amount, bytes) in golden {
        assert_eq!(encoded(amount), bytes);
        assert_eq!(Add2::decode(1, 1, bytes), Ok(Add2 { amount, times: 1 }));
    }
    let second = [7, 0, 0, 0, 3, 0];
    assert_eq!(Add2::decode(1, 2, &second), Ok(Add2 { amount: 7, times: 3 }));
    assert!(matches!(Add2::decode(1, 2, &second[..4]), Err(RecordError::Malformed { .. })));
    assert!(matches!(Add2::decode(1, 1, &second), Err(RecordError::Malformed { .. })));
    assert!(matches!(Add2::decode(1, 3, &second), Err(RecordError::UnknownVersion { .. })));
}
