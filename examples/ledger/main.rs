//! A logic of one's own: a ledger. `cargo run --example ledger` prints each command and what comes
//! of it; `ledger.rs` is the logic, `tests.rs` shows what the test kit does for it.

#![expect(unreachable_pub, reason = "`ledger` stands as it would in a library")]

use ringframe::logic::{Moment, Nanos, Outbox, Sequence, step};

use ledger::{Command, Ledger, Limit, Order};

mod ledger;
#[cfg(test)]
mod tests;

fn main() {
    let mut ledger = Ledger::default();
    let mut outbox = Outbox::default();
    // In a node the sequencer decides order and time, and the journal has the command before
    // logic sees it. Here they are counted by hand.
    for (sequence, (second, command)) in (1..).zip(scenario()) {
        let at = Moment { sequence: Sequence(sequence), time: Nanos(second * Nanos::SECOND) };
        println!("{sequence:>2}  {second:>2} s  {command:?}");
        outbox.clear();
        step(&mut ledger, &command, &at, &mut outbox);
        for outcome in outbox.outcomes() {
            match outcome {
                Ok(event) => println!("            {event:?}"),
                Err(reject) => println!("            refused: {reject:?}"),
            }
        }
    }
    println!("\naccount  version  debits (pending)  credits (pending)");
    for (id, account) in ledger.accounts() {
        let (debits, credits) = (account.debits, account.credits);
        println!(
            "{id:>7}  {:>7}  {:>6} {:>9}  {:>7} {:>9}",
            account.version, debits.posted, debits.pending, credits.posted, credits.pending
        );
    }
    println!("\ndigest of everything emitted: {}", outbox.digest());
}

/// Alice is paid, pays Bob, and checks in at a hotel; each at a second.
fn scenario() -> Vec<(u64, Command)> {
    const BANK: u32 = 1;
    const ALICE: u32 = 2;
    const BOB: u32 = 3;
    const HOTEL: u32 = 4;
    let open = |account, limit| Command::Open { account, currency: *b"EUR", limit };
    let order = |debit, credit, amount| Order { debit, credit, amount, expect_version: None };
    let dated = |version, order| Order { expect_version: Some(version), ..order };
    let reserve = |order, seconds| Command::Reserve { order, lifetime: seconds * Nanos::SECOND };
    vec![
        (0, open(BANK, Limit::None)),
        (0, open(ALICE, Limit::DebitsWithinCredits)),
        (0, open(BOB, Limit::DebitsWithinCredits)),
        (0, open(HOTEL, Limit::DebitsWithinCredits)),
        (1, Command::Transfer(order(BANK, ALICE, 1_000))),
        // Bob has nothing yet.
        (2, Command::Transfer(order(BOB, ALICE, 1))),
        // Decided by a look at version 1 of Alice's account: the second one comes too late.
        (3, Command::Transfer(dated(1, order(ALICE, BOB, 300)))),
        (3, Command::Transfer(dated(1, order(ALICE, BOB, 300)))),
        // The hotel sets 500 aside, so Alice has 200 left to spend …
        (4, reserve(order(ALICE, HOTEL, 500), 60)),
        (5, Command::Transfer(order(ALICE, BOB, 201))),
        // … until it takes what the stay cost.
        (6, Command::Post { transfer: 9, amount: 420 }),
        (6, Command::Void { transfer: 9 }),
        // What nobody posts or voids ends by itself, at the next tick.
        (7, reserve(order(ALICE, BOB, 50), 10)),
        (16, Command::Tick),
        (17, Command::Tick),
    ]
}
