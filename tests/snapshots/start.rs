//! What a start hands to those who take snapshots: from where they count and go on, and how fast
//! the next start would be.

use ringframe::inline::Inline;
use ringframe::journal::SimulatedStorage;
use ringframe::node::{Node, NodeOptions, Stores};
use ringframe::recovery::Cores;
use ringframe::snapshot::schedule::Triggers;
use ringframe::snapshot::{self};
use ringframe::stage::Stage;
use ringframe::types::{Nanos, Sequence};

use crate::{Add, Counter1};

type Disks = Stores<SimulatedStorage>;

fn disks() -> Disks {
    let disk = SimulatedStorage::new;
    Stores { journal: disk(), events: disk(), snapshots: disk() }
}

fn open(disks: &Disks) -> Node<Counter1, SimulatedStorage> {
    let segment_bytes = 1 << 20;
    let options = NodeOptions {
        ring_slots: 1024,
        segment_bytes,
        event_segment_bytes: segment_bytes,
        cores: Cores::One,
        ..NodeOptions::default()
    };
    Node::open(disks, &options, Nanos(1), &mut |_, _| ()).expect("it opens")
}

/// One round of all stages but the processor, which is the caller's.
fn around(node: &mut Node<Counter1, SimulatedStorage>) {
    let now = Nanos(Nanos::SECOND);
    let stages: [&mut dyn Stage; 5] = [
        &mut node.event_log,
        &mut node.syncer,
        &mut node.keeper,
        &mut node.event_syncer,
        &mut node.event_keeper,
    ];
    for stage in stages {
        stage.poll(now).expect("no fault");
    }
    if let Ok(mut events) = node.egress.take(u64::MAX) {
        for _ in &mut events {}
    }
}

/// So many commands more, applied, released and durable.
fn run(node: &mut Node<Counter1, SimulatedStorage>, commands: u64) {
    for number in 1..=commands {
        node.sequencer.offer(&Add(number), Nanos(number)).expect("room");
        node.journaler.poll(Nanos(1)).expect("no fault");
        node.processor.poll(Nanos(1)).expect("no fault");
        around(node);
    }
    node.processor.poll(Nanos(1)).expect("no fault");
    around(node);
    node.journaler.close(Nanos(1)).expect("no fault");
    node.event_log.close(Nanos(1)).expect("no fault");
}

/// Snapshots at 11 and 21, and a journal up to 26: the node's own first command is one of them.
fn lived() -> Disks {
    let disks = disks();
    for commands in [10, 10, 5] {
        let mut node = open(&disks);
        run(&mut node, commands);
        if commands == 10 {
            snapshot::write(&disks.snapshots, node.processor.machine()).expect("room");
        }
    }
    disks
}

#[test]
fn a_snapshot_that_the_start_refused_is_none_to_count_from() {
    let disks = lived();
    disks.snapshots.flip(&snapshot::file_name(Sequence(21)), 270, 1);
    let node = open(&disks);
    assert_eq!(node.start.from.snapshot, Sequence(11));
    let triggers = Triggers { every_commands: Some(15), ..Triggers::default() };
    let mut taker = node.taker(&disks, triggers, 2).expect("it opens");
    assert_eq!(taker.poll(node.processor.machine(), Nanos(1)), 1, "15 commands are not in one");
}

#[test]
fn the_shadow_loads_when_it_is_polled_and_goes_on_from_where_the_start_did() {
    let disks = lived();
    let node = open(&disks);
    assert_eq!(node.start.from.snapshot, Sequence(21));
    let taker = node.taker(&disks, Triggers::default(), 2).expect("it opens");
    let mut shadow = node.shadow(&disks, taker);
    assert!(shadow.machine().is_none(), "the start does not wait for it");
    shadow.poll(Nanos(1)).expect("no fault");
    let sequence = |machine: Option<&ringframe::machine::Machine<Counter1>>| {
        machine.expect("it is loaded").applied().sequence
    };
    assert_eq!(sequence(shadow.machine()), Sequence(21));
    shadow.poll(Nanos(1)).expect("no fault");
    assert_eq!(sequence(shadow.machine()), Sequence(26));
}

#[test]
fn a_processor_that_saves_itself_takes_no_trickle_for_a_slow_start() {
    let disks = disks();
    let mut node = open(&disks);
    let taker = node.taker(&disks, Triggers::default(), 2).expect("it opens");
    let other = open(&self::disks()).processor;
    let mut inline = Inline::new(std::mem::replace(&mut node.processor, other), taker);
    let mut now = Nanos(1);
    let mut turn = |commands: u64, nanos: u64| {
        for number in 1..=commands {
            node.sequencer.offer(&Add(number), now).expect("room");
        }
        node.journaler.poll(now).expect("no fault");
        inline.poll(now).expect("no fault");
        inline.took(nanos);
        around(&mut node);
        inline.poll(now).expect("no fault");
        inline.took(1_000);
        now = now.after(Nanos::SECOND);
    };
    (0..1000).for_each(|_| turn(64, 6_400));
    (0..100).for_each(|_| turn(1, Nanos::SECOND / 2));
    let status = inline.handle().status();
    assert!((64_000..=64_101).contains(&status.commands_since), "{status:?}");
    let each = status.recovery_nanos / status.commands_since;
    assert!((99..=101).contains(&each), "{each} ns: {status:?}");
}
