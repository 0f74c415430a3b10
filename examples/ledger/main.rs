//! A logic of one's own on a whole node: a ledger that is journaled, saved, and started again.
//! `cargo run --example ledger` prints each command and what comes of it; `ledger.rs` is the logic,
//! `tests.rs` shows what the test kit does for it.
#![expect(unreachable_pub, reason = "`ledger` stands as it would in a library")]
#![allow(clippy::print_stdout, reason = "the ledger's story is the output")]

use std::path::Path;
use std::time::Duration;

use ringframe::clock::Clock;
use ringframe::embed::{AtEnd, Embedded, Outcome, Saving};
use ringframe::host::Host;
use ringframe::layout::{Layout, groups};
use ringframe::machine::Machine;
use ringframe::node::{Node, NodeOptions, Stores};
use ringframe::recovery::{self, Cores, Nobody};
use ringframe::runner::Idle;
use ringframe::snapshot::schedule::{Handle, Triggers};
use ringframe::stage::{Fault, Stage};
use ringframe::types::{Nanos, Sequence};

use ledger::{Command, Ledger, Limit, Order};

mod ledger;
#[cfg(test)]
mod tests;

const BANK: u32 = 1;
const ALICE: u32 = 2;
const BOB: u32 = 3;
const HOTEL: u32 = 4;
/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn main() -> Result<(), Fault> {
    let directory = tempfile::tempdir().map_err(|error| Fault::Node(error.to_string()))?;
    let data = directory.path();

    println!("The first day.\n");
    let mut node = start(data)?;
    for command in first_day() {
        tell(&mut node, command)?;
    }
    println!(
        "\nNobody posts or voids the last one: the node sends a tick when its time is over.\n"
    );
    let outcome = next(&mut node)?;
    println!("{:>2}  (a tick)\n            {:?}", outcome.cause.0, outcome.result);

    println!("\nThe shadow saves the state, nobody waits for it, and a node starts from there.\n");
    let saved = node.snapshots().and_then(Handle::request).expect("the shadow is there");
    let saved = saved.recv_timeout(PATIENCE).map_err(|error| Fault::Node(error.to_string()))?;
    let saved = saved.map_err(|error| Fault::Snapshot(error.to_string()))?;
    node.finish(PATIENCE, AtEnd::Nothing, |_| ())?;
    println!("saved: {} bytes", saved.bytes);
    let mut node = start(data)?;
    let origin = node.started().from.snapshot;
    println!("it starts from the snapshot at command {}\n", origin.0);
    for command in second_day() {
        tell(&mut node, command)?;
    }
    node.finish(PATIENCE, AtEnd::Nothing, |_| ())?;

    println!("\naccount  version  debits (pending)  credits (pending)");
    let end = replayed(data)?;
    for (id, account) in end.logic().accounts() {
        let (debits, credits) = (account.debits, account.credits);
        println!(
            "{id:>7}  {:>7}  {:>6} {:>9}  {:>7} {:>9}",
            account.version, debits.posted, debits.pending, credits.posted, credits.pending
        );
    }
    println!("\ndigest of everything emitted: {}", end.digest());
    Ok(())
}

/// A node on a directory, with the stages on threads as this machine allows.
fn start(data: &Path) -> Result<Embedded<Ledger>, Fault> {
    let clock = Clock::new();
    let options = NodeOptions {
        segment_bytes: 1 << 20,
        event_segment_bytes: 1 << 20,
        ..NodeOptions::default()
    };
    let node = Node::open(&Stores::mapped(data), &options, clock.now(), &mut |_, _| ())?;
    let host = Host::look().map_err(|error| Fault::Node(error.to_string()))?;
    let on_threads = |stages: Vec<Box<dyn Stage>>| {
        let names: Vec<_> = stages.iter().map(|stage| stage.name()).collect();
        let places = Layout::Auto.resolve(&names, &host).map_err(Fault::Node)?;
        Ok(groups(&places, stages, &host, options.release))
    };
    let stores = Stores::mapped(data);
    let shadow = node.shadow(&stores, node.taker(&stores, Triggers::default(), 3)?);
    Embedded::start(node, Saving::Shadow(Box::new(shadow)), on_threads, Idle::Polite, clock)
}

/// Submits a command and prints what came of it. Each here has one event or one refusal.
fn tell(node: &mut Embedded<Ledger>, command: Command) -> Result<(), Fault> {
    let text = format!("{command:?}");
    node.submit(command);
    let outcome = next(node)?;
    println!("{:>2}  {text}", outcome.cause.0);
    match outcome.result {
        Ok(event) => println!("            {event:?}"),
        Err(reject) => println!("            refused: {reject:?}"),
    }
    Ok(())
}

fn next(node: &mut Embedded<Ledger>) -> Result<Outcome<Ledger>, Fault> {
    node.next(PATIENCE)?.ok_or_else(|| Fault::Node("no answer".into()))
}

/// The state that the journal gives.
fn replayed(data: &Path) -> Result<Machine<Ledger>, Fault> {
    let journal = &Stores::mapped(data).journal;
    let mut machine = Machine::default();
    let last = recovery::last_sequence(journal)?.unwrap_or(Sequence(0));
    recovery::replay(journal, &mut machine, last, Cores::One, &mut Nobody)?;
    Ok(machine)
}

fn order(debit: u32, credit: u32, amount: u64) -> Order {
    Order { debit, credit, amount, expect_version: None }
}

/// Alice is paid, pays Bob, and checks in at a hotel.
fn first_day() -> Vec<Command> {
    let open = |account, limit| Command::Open { account, currency: *b"EUR", limit };
    let dated = |version, order| Order { expect_version: Some(version), ..order };
    let reserve = |order, nanos| Command::Reserve { order, lifetime: nanos };
    vec![
        open(BANK, Limit::None),
        open(ALICE, Limit::DebitsWithinCredits),
        open(BOB, Limit::DebitsWithinCredits),
        open(HOTEL, Limit::DebitsWithinCredits),
        Command::Transfer(order(BANK, ALICE, 1_000)),
        // Bob has nothing yet.
        Command::Transfer(order(BOB, ALICE, 1)),
        // Decided by a look at version 1 of Alice's account: the second one comes too late.
        Command::Transfer(dated(1, order(ALICE, BOB, 300))),
        Command::Transfer(dated(1, order(ALICE, BOB, 300))),
        // The hotel sets 500 aside, so Alice has 200 left to spend.
        reserve(order(ALICE, HOTEL, 500), 3_600 * Nanos::SECOND),
        Command::Transfer(order(ALICE, BOB, 201)),
        reserve(order(ALICE, BOB, 50), Nanos::SECOND / 2),
    ]
}

/// The hotel takes what the stay cost; it can do so once. A transfer's number is its command's, and
/// the first command of every journal is the node's own.
fn second_day() -> Vec<Command> {
    const STAY: u64 = 10;
    vec![
        Command::Post { transfer: STAY, amount: 420 },
        Command::Void { transfer: STAY },
        Command::Transfer(order(ALICE, BOB, 201)),
    ]
}
