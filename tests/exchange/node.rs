//! The exchange on its node, polled by hand: whatever the order in which the stages are polled,
//! and wherever the node is stopped, crashes and starts again, the journal decides what happened,
//! and what was released stays so. The long form: `RINGFRAME_SEEDS=1000 cargo test --release --test
//! exchange node`.

use fastrand::Rng;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::Command;
use ringframe::journal::{Frame, Options, Reader, SimulatedStorage, Survival, SyncPolicy};
use ringframe::machine::Machine;
use ringframe::node::{Node, NodeOptions, Stores};
use ringframe::recovery::{self, Cores, Nobody, Watch};
use ringframe::release::ReleasePolicy;
use ringframe::snapshot;
use ringframe::stage::Fault;
use ringframe::types::{Nanos, Sequence};

use crate::random::Commands;
use parts::Parts;
use saver::{Kept, Saver};

mod parts;
mod saver;
mod seeds;

/// More polls than any schedule here needs.
const POLLS_MAX: usize = 2_000_000;

/// A frame with a payload of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    number: u64,
    time: u64,
    epoch: u32,
    kind: u16,
    schema: u16,
    payload: Vec<u8>,
}

impl From<Frame<'_>> for Told {
    fn from(frame: Frame<'_>) -> Self {
        Self {
            number: frame.sequence,
            time: frame.timestamp,
            epoch: frame.epoch,
            kind: frame.kind,
            schema: frame.schema,
            payload: frame.payload.to_vec(),
        }
    }
}

/// A node, its disks, its clients, and the dice.
struct World {
    rng: Rng,
    stores: Stores<SimulatedStorage>,
    options: NodeOptions,
    commands: std::iter::Take<Commands>,
    waiting: Option<(Command, Nanos)>,
    node: Parts,
    saver: Option<Saver>,
    now: Nanos,
    /// Everything that was released, ever.
    heard: Vec<Told>,
}

fn stores() -> Stores<SimulatedStorage> {
    let new = SimulatedStorage::new;
    Stores { journal: new(), events: new(), snapshots: new() }
}

/// Opens a node; with somewhere to keep things, also who saves its state.
fn open(
    stores: &Stores<SimulatedStorage>,
    options: &NodeOptions,
    rng: &mut Rng,
    kept: Option<Kept>,
) -> (Parts, Option<Saver>) {
    let node = Node::open(stores, options, Nanos(0), &mut |_, _| ()).expect("it opens");
    match kept {
        None => (Parts::new(node, None), None),
        Some(kept) => {
            let (saver, taker) = Saver::open(&node, stores, rng, kept);
            (Parts::new(node, taker), Some(saver))
        }
    }
}

impl World {
    fn new(seed: u64, commands: usize, release: ReleasePolicy) -> Self {
        Self::open(seed, commands, release, None)
    }

    /// With snapshots, an archive, and a journal that is pruned.
    fn saved(seed: u64, commands: usize, release: ReleasePolicy) -> Self {
        Self::open(seed, commands, release, Some(Kept::new()))
    }

    fn open(seed: u64, commands: usize, release: ReleasePolicy, kept: Option<Kept>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let stores = stores();
        let options = NodeOptions {
            release,
            ring_slots: 1 << rng.u32(3..10),
            segment_bytes: Options::SEGMENT_BYTES_MIN,
            event_segment_bytes: Options::SEGMENT_BYTES_MIN,
            sync: match release {
                ReleasePolicy::Journaled => SyncPolicy::PerSegment,
                _ => SyncPolicy::Always,
            },
            event_sync: [SyncPolicy::Always, SyncPolicy::PerSegment][rng.usize(0..2)],
            cores: [Cores::One, Cores::Two][rng.usize(0..2)],
            ..NodeOptions::default()
        };
        let (node, saver) = open(&stores, &options, &mut rng, kept);
        let commands = Commands::new(seed).take(commands);
        let (waiting, now, heard) = (None, Nanos(0), Vec::new());
        Self { rng, stores, options, commands, waiting, node, saver, now, heard }
    }

    /// The clients' side: false when they have nothing more to say.
    fn intake(&mut self) -> bool {
        self.node.sequencer.poll(self.now);
        for _ in 0..self.rng.usize(1..40) {
            let next = || self.commands.next().map(|(command, at)| (command, at.time));
            let Some((command, time)) = self.waiting.take().or_else(next) else { return false };
            self.now = self.now.max(time);
            if self.node.sequencer.offer(&command, time).is_none() {
                self.waiting = Some((command, time));
                break;
            }
        }
        true
    }

    fn egress(&mut self) {
        let limit = self.rng.u64(1..100);
        if let Ok(mut events) = self.node.egress.take(limit) {
            self.heard.extend((&mut events).map(|slot| Told::from(slot.frame())));
        }
    }

    /// Polls one stage; false when the clients have nothing more to say.
    fn turn(&mut self) -> bool {
        let now = self.now;
        match self.rng.usize(0..if self.saver.is_some() { 10 } else { 9 }) {
            7 => return self.intake(),
            8 => self.egress(),
            9 => self.save(),
            stage => {
                let polled = self.node.stages()[stage].poll(now);
                if !self.has_crashed() {
                    polled.expect("no fault");
                }
            }
        }
        true
    }

    fn save(&mut self) {
        let saver = self.saver.as_mut().expect("there is one");
        let done = match self.rng.usize(0..100) {
            0 => saver.prune(&self.stores).map_err(Fault::Journal),
            1 => {
                saver.request();
                Ok(())
            }
            _ => saver.poll(self.now),
        };
        if !self.has_crashed() {
            done.expect("no fault");
        }
    }

    /// Whether one of the disks has stopped in the middle of something.
    fn has_crashed(&self) -> bool {
        let Stores { journal, events, snapshots } = &self.stores;
        [journal, events, snapshots].iter().any(|store| store.is_off())
    }

    /// The disks stop between two steps of one of them, some time from now.
    fn crash_soon(&mut self) {
        let Stores { journal, events, snapshots } = &self.stores;
        let disks = if self.saver.is_some() { 3 } else { 2 };
        let store = [journal, events, snapshots][self.rng.usize(0..disks)];
        store.crash_at(store.steps() + self.rng.u64(0..200));
    }

    /// Goes on until nothing is left to do.
    fn drain(&mut self) {
        for _ in 0..POLLS_MAX {
            let said_all = !self.turn();
            let last = self.heard.last().map_or(0, |told| told.number);
            let progress = self.node.positions.progress();
            if said_all && self.node.positions.is_quiet() && last == progress.emitted {
                return;
            }
        }
        panic!("it does not end: {:?}", self.node.positions);
    }

    /// Opens it again on what is there now.
    fn start_again(self, stores: Stores<SimulatedStorage>) -> Self {
        let Self { mut rng, options, commands, saver, now, heard, .. } = self;
        let (node, saver) = open(&stores, &options, &mut rng, saver.map(|saver| saver.kept));
        assert_eq!(node.start.from.refused, [""; 0], "a crash leaves no bad snapshot");
        Self { rng, stores, options, commands, waiting: None, node, saver, now, heard }
    }

    fn close(&mut self) {
        for stage in self.node.stages() {
            stage.close(self.now).expect("it closes");
        }
    }

    /// The event log is what replaying the journal gives, and all that was heard stands in it.
    fn check(&self) {
        let journal = &self.stores.journal;
        let whole = self.saver.as_ref().map(|saver| saver.kept.whole(journal));
        let (expected, machine) = replayed(whole.as_ref().unwrap_or(journal));
        let logged = logged(&self.stores.events);
        assert_eq!(logged.len(), expected.len(), "events in the log");
        assert!(logged == expected, "the log is not what replay gives");
        assert!(self.heard.len() <= logged.len());
        for (heard, logged) in self.heard.iter().zip(&logged) {
            assert_eq!(heard, logged);
        }
        assert_eq!(machine.digest(), self.node.machine().digest());
        let state = ringframe::codec::state_digest;
        assert_eq!(state(machine.logic()), state(self.node.machine().logic()));
    }
}

#[derive(Default)]
struct Collect(Vec<Told>);

impl Watch for Collect {
    fn event(&mut self, event: &Frame<'_>) -> Result<(), Fault> {
        self.0.push(Told::from(*event));
        Ok(())
    }
}

fn last(journal: &SimulatedStorage) -> Sequence {
    let mut reader = Reader::open_first(journal.clone()).unwrap();
    while reader.next_frame().unwrap().is_some() {}
    Sequence(reader.next_sequence() - 1)
}

fn replayed(journal: &SimulatedStorage) -> (Vec<Told>, Machine<Exchange>) {
    let mut machine = Machine::default();
    let mut collect = Collect::default();
    recovery::replay(journal, &mut machine, last(journal), Cores::One, &mut collect).unwrap();
    (collect.0, machine)
}

fn logged(events: &SimulatedStorage) -> Vec<Told> {
    let mut reader = Reader::open_first(events.clone()).unwrap();
    let mut told = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        told.push(Told::from(frame.frame()));
    }
    told
}

fn policy(seed: u64) -> ReleasePolicy {
    if seed.is_multiple_of(2) { ReleasePolicy::Synced } else { ReleasePolicy::Journaled }
}

#[test]
fn any_schedule_does_what_the_journal_says() {
    seeds::each(0..12, |seed| {
        let mut world = World::new(seed, 3000, policy(seed));
        world.drain();
        world.close();
        world.check();
        assert!(world.heard.len() > 2000, "{} events", world.heard.len());
        assert_eq!(world.heard, logged(&world.stores.events));
    });
}

#[test]
fn a_node_goes_on_where_it_was_closed() {
    seeds::each(20..26, |seed| {
        let mut world = World::new(seed, 3000, policy(seed));
        for _ in 0..5 {
            for _ in 0..world.rng.usize(0..4000) {
                world.turn();
            }
            // What had no place in the ring yet is lost with its client; the rest is finished.
            world.waiting = None;
            let rest = std::mem::replace(&mut world.commands, Commands::new(0).take(0));
            world.drain();
            world.close();
            world.check();
            world.commands = rest;
            let stores = Stores {
                journal: world.stores.journal.copy(),
                events: world.stores.events.copy(),
                snapshots: world.stores.snapshots.copy(),
            };
            world = world.start_again(stores);
            assert_eq!(world.node.start.events_refilled, 0);
        }
        world.drain();
        world.check();
    });
}

/// What happened in many worlds.
#[derive(Debug, Default)]
struct Counts {
    within: u32,
    lost_power: u32,
    cut: u32,
    from_snapshot: u32,
    taken: usize,
    taken_inline: usize,
    pruned: usize,
}

impl World {
    /// Six crashes, anywhere, with or without the loss of power; then to the end.
    fn crash_again_and_again(mut self, counts: &mut Counts) {
        let release = self.options.release;
        for _ in 0..6 {
            if self.rng.bool() {
                self.crash_soon();
            }
            for _ in 0..self.rng.usize(0..3000) {
                self.turn();
                if self.has_crashed() {
                    counts.within += 1;
                    break;
                }
            }
            let power = self.rng.bool();
            counts.lost_power += u32::from(power);
            let mut survival = || {
                let seed = self.rng.u64(..);
                if !power {
                    Survival::Everything
                } else if seed.is_multiple_of(2) {
                    Survival::Random(seed)
                } else {
                    Survival::Torn(seed)
                }
            };
            let stores = Stores {
                journal: self.stores.journal.after_crash(survival()),
                events: self.stores.events.after_crash(survival()),
                snapshots: self.stores.snapshots.after_crash(survival()),
            };
            self = self.start_again(stores);
            let there = logged(&self.stores.events);
            // Without power, `journaled` promises only that two histories never mix.
            if release == ReleasePolicy::Synced || !power {
                assert!(there.len() >= self.heard.len(), "released events are gone");
                assert!(self.heard == there[..self.heard.len()], "released events have changed");
            }
            counts.cut += u32::from(self.node.start.events_cut.is_some());
            counts.from_snapshot += u32::from(self.node.start.from.snapshot > Sequence(0));
            // Who reconnects is told the rest from the log.
            self.heard = there;
            self.check();
        }
        self.drain();
        self.check();
        if let Some(saver) = &self.saver {
            counts.taken += saver.kept.taken;
            counts.taken_inline += saver.kept.taken_inline;
            counts.pruned += saver.kept.segments_pruned();
        }
    }
}

#[test]
fn a_crash_takes_back_nothing_that_was_released() {
    let mut counts = Counts::default();
    let are_enough = seeds::each(100..140, |seed| {
        World::new(seed, 2000, policy(seed)).crash_again_and_again(&mut counts);
    });
    println!("{counts:?}");
    if !are_enough {
        return;
    }
    assert!(counts.cut > 10, "event logs that knew of commands which were lost: {counts:?}");
    assert!(counts.lost_power > 40, "{counts:?}");
    assert!(counts.within > 10, "crashes between two steps of a disk: {counts:?}");
}

#[test]
fn snapshots_and_pruning_change_nothing_whenever_it_crashes() {
    let mut counts = Counts::default();
    let are_enough = seeds::each(200..224, |seed| {
        World::saved(seed, 4000, policy(seed)).crash_again_and_again(&mut counts);
    });
    println!("{counts:?}");
    if !are_enough {
        return;
    }
    assert!(counts.taken > 50, "by the shadow: {counts:?}");
    assert!(counts.taken_inline > 50, "by the processor: {counts:?}");
    assert!(counts.from_snapshot > 50, "{counts:?}");
    assert!(counts.pruned > 20, "{counts:?}");
    assert!(counts.within > 15, "{counts:?}");
}

#[test]
fn replay_is_the_same_on_one_core_and_two() {
    let mut world = World::new(7, 3000, ReleasePolicy::Synced);
    world.drain();
    world.close();
    let journal = &world.stores.journal;
    let mut machine = Machine::<Exchange>::default();
    recovery::replay(journal, &mut machine, last(journal), Cores::Two, &mut Nobody).unwrap();
    assert_eq!(machine.digest(), replayed(journal).1.digest());
    assert_eq!(machine.applied(), world.node.machine().applied());
}

/// Stores of a node that ran, snapshot included.
fn ran(seed: u64) -> Stores<SimulatedStorage> {
    let mut world = World::new(seed, 600, ReleasePolicy::Synced);
    world.drain();
    world.close();
    snapshot::write(&world.stores.snapshots, world.node.machine()).expect("room");
    let Stores { journal, events, snapshots } = &world.stores;
    Stores { journal: journal.copy(), events: events.copy(), snapshots: snapshots.copy() }
}

fn refusal(stores: &Stores<SimulatedStorage>) -> String {
    match Node::<Exchange, _>::open(stores, &NodeOptions::default(), Nanos(0), &mut |_, _| ()) {
        Ok(_) => panic!("two histories would mix"),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn two_histories_never_mix() {
    let (one, other) = (ran(1), ran(2));
    let lost = Stores { journal: SimulatedStorage::new(), ..one.clone() };
    let why = refusal(&lost);
    assert!(why.contains("the journal was lost, or is another one"), "{why}");
    let no_snapshot = Stores { snapshots: SimulatedStorage::new(), ..lost };
    let why = refusal(&no_snapshot);
    assert!(why.contains("released events whose commands are gone"), "{why}");
    let alone = SimulatedStorage::new;
    let foreign = Stores { journal: one.journal, events: other.events, snapshots: alone() };
    let why = refusal(&foreign);
    assert!(why.contains("is not this journal's") || why.contains("commands are gone"), "{why}");
}
