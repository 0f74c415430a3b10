//! One order on its way through a whole node, printed at every hop: on one thread, on a disk that
//! is memory. `cargo run --example one_order`.
#![allow(clippy::print_stdout, reason = "the hops are the output")]

use ringframe::embed::Outcome;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::{
    AddInstrument, ChangeState, Command, Enter, SetParticipant, SetSession, State, Terms,
};
use ringframe::exchange::ids::{Side, Symbol, Token};
use ringframe::journal::SimulatedStorage;
use ringframe::node::{Node, NodeOptions, Stores};
use ringframe::stage::{Fault, Stage};
use ringframe::types::Nanos;

/// 2026-01-02, 14:30 UTC: no stage reads a clock, so we are free to say what time it is.
const NOW: Nanos = Nanos(1_767_364_200 * Nanos::SECOND);

pub(crate) fn main() -> Result<(), Fault> {
    let memory = SimulatedStorage::new;
    let stores = Stores { journal: memory(), events: memory(), snapshots: memory() };
    let mut node: Node<Exchange, _> =
        Node::open(&stores, &NodeOptions::default(), NOW, &mut |_, _| ())?;

    println!("A market opens, and Bob offers 100 shares at 10.00.\n");
    let symbol = Symbol::new("AAPL").expect("a symbol");
    let order = |session, token, side, quantity| Enter {
        symbol,
        token: Token::number(token),
        session,
        side,
        price: 100_000,
        quantity,
        ..Enter::default()
    };
    for command in market(symbol).into_iter().chain([order(2, 1, Side::Sell, 100).into()]) {
        node.sequencer.offer(&command, NOW).expect("the ring has room");
    }
    while !node.positions.is_quiet() {
        let stages: [&mut dyn Stage; 4] =
            [&mut node.journaler, &mut node.syncer, &mut node.processor, &mut node.event_log];
        for stage in stages {
            stage.poll(NOW)?;
        }
        drop(node.egress.poll());
    }

    println!("Alice buys 30 of them. Her order, hop by hop:\n");
    let command = Command::from(order(1, 1, Side::Buy, 30));
    let sequence = node.sequencer.offer(&command, NOW).expect("the ring has room");
    println!("sequencer   command {} of all, at {} ns", sequence.0, NOW.0);
    show("published", node.positions.published().0);
    node.journaler.poll(NOW)?;
    println!("journaler   a frame in the mapped segment: it survives this process");
    show("journaled", node.positions.journaled().0);
    node.processor.poll(NOW)?;
    println!("processor   checked and applied; what it emitted waits for its release");
    let progress = node.positions.progress();
    show("applied", progress.applied.0);
    show("released", progress.released.0);
    node.syncer.poll(NOW)?;
    println!("syncer      on the device: it survives a loss of power");
    show("synced", node.positions.synced().0);
    node.processor.poll(NOW)?;
    println!("processor   released onto the ring of events");
    show("released", node.positions.progress().released.0);
    node.event_log.poll(NOW)?;
    println!(
        "event log   {} events, numbered, each with its cause",
        node.positions.events.journaled()
    );
    println!("egress      what the clients are told:\n");
    for slot in &mut node.egress.poll().expect("events") {
        let outcome = Outcome::<Exchange>::decode(&slot.frame())?;
        println!("  event {} of command {}: {:?}", outcome.number, outcome.cause.0, outcome.result);
    }
    Ok(())
}

fn show(position: &str, value: u64) {
    println!("            {position} = {value}");
}

/// One instrument, two traders.
fn market(symbol: Symbol) -> Vec<Command> {
    let terms = Terms {
        symbol,
        tick: 100,
        lot: 1,
        lowest: 100,
        highest: 10_000_000,
        collar: 1_000_000,
        reference: 100_000,
    };
    let mut commands = vec![Command::AddInstrument(AddInstrument(terms))];
    for state in [State::PreOpen, State::Open] {
        commands.push(ChangeState { symbol, state, reserved: [0; 7] }.into());
    }
    for number in [1, 2] {
        let limits = SetParticipant {
            notional_max: 1_000_000_000,
            position_max: 1_000_000,
            quantity_max: 10_000,
            open_orders_max: 100,
            rate: 1_000,
            burst: 100,
            participant: number,
            ..SetParticipant::default()
        };
        commands.push(limits.into());
        let session = SetSession { session: number, participant: number, cancel_on_disconnect: 0 };
        commands.push(session.into());
    }
    commands
}
