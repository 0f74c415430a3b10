//! A machine that goes on from a snapshot does what the one does that wrote it.

use loadgen::flow::{Equity, Regime};
use ringframe::exchange::Exchange;
use ringframe::journal::{MappedStorage, SimulatedStorage};
use ringframe::logic::Nanos;
use ringframe::machine::Machine;
use ringframe::snapshot;
use ringframe::types::{Applied, Epoch, Sequence};

use crate::{Add, Counter1, counted, same};
use commands::{Market, Translator};
use ledger::{Command, Ledger, Limit, Order};

#[path = "../../benches/exchange/commands.rs"]
mod commands;
#[path = "../../examples/ledger/ledger.rs"]
#[allow(unreachable_pub, dead_code, reason = "`ledger` stands as it would in a library")]
mod ledger;

#[test]
fn the_exchange_goes_on_from_a_snapshot() {
    let equity = Equity { regime: Regime::Normal, instruments: 3, resting: 2_000, seed: 7 };
    let flow = equity.flow(4_000);
    let mut translator = Translator::new(&flow);
    let market = Market::ready(&flow, &mut translator);
    assert!(market.exchange.live_orders() > 1_000);
    let applied = Applied {
        sequence: Sequence(1 << 20),
        time: Nanos(1_700_000_000 * Nanos::SECOND),
        epoch: Epoch(3),
        version: 1,
        events: 77,
    };
    let mut machine = Machine::resume(market.exchange, applied, market.outbox.digest());
    let disk = SimulatedStorage::new();
    let info = snapshot::write(&disk, &machine).expect("room");
    assert_eq!(info.name, "00000000000001048576.snapshot");
    assert_eq!(snapshot::list(&disk).expect("a directory"), std::slice::from_ref(&info));
    let mut loaded: Machine<Exchange> = snapshot::load(&disk, &info).expect("as written");
    let next: Vec<_> = flow.ops.iter().map(|op| translator.command(op)).collect();
    same(&mut machine, &mut loaded, &next);
    assert!(machine.digest() != market.outbox.digest(), "nothing happened");
}

#[test]
fn the_ledger_goes_on_from_a_snapshot() {
    let mut machine = Machine::<Ledger>::default();
    let open = |account, limit| Command::Open { account, currency: *b"EUR", limit };
    let order = |amount| Order { debit: 1, credit: 2, amount, expect_version: None };
    crate::run(
        &mut machine,
        &[
            open(1, Limit::None),
            open(2, Limit::DebitsWithinCredits),
            Command::Transfer(order(100)),
            Command::Reserve { order: order(7), lifetime: Nanos::SECOND },
        ],
    );
    let disk = SimulatedStorage::new();
    let info = snapshot::write(&disk, &machine).expect("room");
    let mut loaded = snapshot::load(&disk, &info).expect("as written");
    let next = [Command::Post { transfer: 4, amount: 5 }, Command::Tick, open(1, Limit::None)];
    same(&mut machine, &mut loaded, &next);
}

/// Many pieces, and syncs between them, on a real disk in a directory that is not there yet.
#[test]
fn a_state_of_many_pieces_comes_back_from_a_real_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = MappedStorage::new(directory.path().join("snapshots"));
    assert_eq!(snapshot::list(&disk).expect("none is fine"), []);
    let mut machine: Machine<Counter1> = counted(5_000_000);
    let info = snapshot::write(&disk, &machine).expect("room");
    assert!(info.bytes > 40_000_000);
    assert_eq!(std::fs::metadata(&info.path).expect("a file").len(), info.bytes);
    let mut loaded = snapshot::load(&disk, &info).expect("as written");
    same(&mut machine, &mut loaded, &[Add(1), Add(0), Add(3)]);
}
