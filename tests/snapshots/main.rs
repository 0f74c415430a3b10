//! Snapshots: what was written is what is loaded, or it is refused by name; a crash at any moment
//! leaves the older ones; the shadow takes them when they are due, and only of what is durable.

use ringframe::codec::{SerdeRecord, decode, state_digest};
use ringframe::journal::{Frame, SimulatedStorage};
use ringframe::logic::{Emit, Logic, Moment};
use ringframe::machine::Machine;
use ringframe::record::Record;
use ringframe::snapshot;
use serde::{Deserialize, Serialize};

mod crash;
mod files;
mod logics;
mod schedule;
mod shadow;
mod start;

/// Adds up, and remembers every number: small, and of any size wanted. `V` is its version, `S` its
/// schema, `O` the oldest version it can go back to.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Counter<const V: u32, const S: u32 = 1, const O: u32 = 1> {
    sum: u64,
    active: u32,
    numbers: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Add(u64);
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sum(u64);
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Zero;

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
impl SerdeRecord for Zero {
    const NAME: &'static str = "zero";
    const VERSION: u16 = 1;
    const BYTES_MAX: usize = 8;
}

impl<const V: u32, const S: u32, const O: u32> Logic for Counter<V, S, O> {
    const NAME: &'static str = "counter";
    const VERSION: u32 = V;
    const OLDEST: u32 = O;
    const SCHEMA: u32 = S;
    type Command = Add;
    type Event = Sum;
    type Reject = Zero;
    type Checked = u64;

    fn check(&self, command: &Add, _at: &Moment) -> Result<u64, Zero> {
        if command.0 == 0 { Err(Zero) } else { Ok(command.0) }
    }

    fn apply(&mut self, checked: u64, _at: &Moment, emit: &mut Emit<'_, Sum>) {
        self.sum += checked;
        self.numbers.push(checked);
        emit.event(&Sum(self.sum));
    }

    fn activate(&mut self, version: u32) {
        self.active = version;
    }

    /// Version 1 did not know which version is active.
    fn migrate(version: u32, schema: u32, bytes: &[u8]) -> Option<Self> {
        let (sum, _, numbers): (u64, u32, Vec<u64>) = decode(bytes)?;
        ((version, schema) == (1, 1) && V == 3).then_some(Self { sum, active: 0, numbers })
    }
}

type Counter1 = Counter<1>;

/// Applies the commands after the machine's last one, each a millisecond after the one before, and
/// says what they emitted.
fn run<L: Logic>(machine: &mut Machine<L>, commands: &[L::Command]) -> Vec<Vec<u8>> {
    let mut bytes = vec![0; L::Command::BYTES_MAX];
    for command in commands {
        let length = command.encode(&mut bytes);
        let sequence = machine.taken().next().0;
        let frame = Frame {
            sequence,
            timestamp: sequence * 1_000_000,
            epoch: 1,
            kind: command.kind(),
            schema: L::Command::VERSION,
            payload: &bytes[..length],
        };
        machine.take(&frame).expect("a command");
    }
    machine.advance(0);
    std::iter::from_fn(|| machine.hand_on(|event| event.payload.to_vec())).collect()
}

/// The machine after the numbers from 1 to `last`.
fn counted<const V: u32, const S: u32, const O: u32>(last: u64) -> Machine<Counter<V, S, O>> {
    let mut machine = Machine::default();
    run(&mut machine, &(1..=last).map(Add).collect::<Vec<_>>());
    machine
}

/// The two stand at the same place, and emit the same from there on.
fn same<L: Logic>(one: &mut Machine<L>, other: &mut Machine<L>, next: &[L::Command]) {
    for _ in 0..2 {
        assert_eq!(one.applied(), other.applied());
        assert_eq!(one.digest(), other.digest());
        assert_eq!(state_digest(one.logic()), state_digest(other.logic()));
        assert_eq!(run(one, next), run(other, next));
    }
}

/// What a start takes: the newest that loads.
fn newest<L: Logic>(disk: &SimulatedStorage) -> Option<Machine<L>> {
    let infos = snapshot::candidates(disk, u64::MAX, u64::MAX).expect("a directory");
    infos.iter().find_map(|info| snapshot::load(disk, info).ok())
}
