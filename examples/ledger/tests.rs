//! What a logic's own tests look like: a story a test, then properties of any commands at all.

use proptest::prelude::*;
use ringframe::kit::{self, given};
use ringframe::logic::{Moment, Nanos, Outbox, Sequence, step};

use super::ledger::{Command, Event, Ledger, Limit, Order, Reject, Sum};

const BANK: u32 = 1;
const ALICE: u32 = 2;
const LOAN: u32 = 3;

fn open(account: u32, limit: Limit) -> Command {
    Command::Open { account, currency: *b"EUR", limit }
}

fn order(debit: u32, credit: u32, amount: u64) -> Order {
    Order { debit, credit, amount, expect_version: None }
}

fn transfer(debit: u32, credit: u32, amount: u64) -> Command {
    Command::Transfer(order(debit, credit, amount))
}

fn reserve(debit: u32, credit: u32, amount: u64) -> Command {
    Command::Reserve { order: order(debit, credit, amount), lifetime: 10 }
}

/// Four commands: the next one is number 5.
fn alice_has_100() -> [Command; 4] {
    [
        open(BANK, Limit::None),
        open(ALICE, Limit::DebitsWithinCredits),
        open(LOAN, Limit::CreditsWithinDebits),
        transfer(BANK, ALICE, 100),
    ]
}

#[test]
fn a_transfer_moves_the_amount() {
    let after = given::<Ledger>(alice_has_100())
        .when(transfer(ALICE, BANK, 40))
        .then([Event::Transferred { transfer: 5, debit: ALICE, credit: BANK, amount: 40 }]);
    let mut accounts = after.logic().accounts();
    let (_, alice) = accounts.find(|(id, _)| *id == ALICE).expect("opened above");
    assert_eq!((alice.credits.posted, alice.debits.posted, alice.version), (100, 40, 2));
}

#[test]
fn limits_hold_with_what_is_pending() {
    given::<Ledger>(alice_has_100())
        .when(transfer(ALICE, BANK, 101))
        .then_reject(Reject::ExceedsCredits)
        .when(reserve(ALICE, BANK, 60))
        .then([Event::Reserved { transfer: 6, order: order(ALICE, BANK, 60), expires: Nanos(10) }])
        .when(transfer(ALICE, BANK, 41))
        .then_reject(Reject::ExceedsCredits)
        .when(transfer(BANK, LOAN, 1))
        .then_reject(Reject::ExceedsDebits);
}

#[test]
fn a_reservation_is_posted_once_and_its_rest_is_free() {
    given::<Ledger>(alice_has_100())
        .when(reserve(ALICE, BANK, 100))
        .then([Event::Reserved { transfer: 5, order: order(ALICE, BANK, 100), expires: Nanos(10) }])
        .when(Command::Post { transfer: 5, amount: 101 })
        .then_reject(Reject::ExceedsReserved { reserved: 100 })
        .when(Command::Post { transfer: 5, amount: 0 })
        .then_reject(Reject::ZeroAmount)
        .when(Command::Post { transfer: 5, amount: 30 })
        .then([Event::Posted { transfer: 5, amount: 30 }])
        .when(Command::Void { transfer: 5 })
        .then_reject(Reject::NotPending { transfer: 5 })
        .when(transfer(ALICE, BANK, 70))
        .then([Event::Transferred { transfer: 10, debit: ALICE, credit: BANK, amount: 70 }]);
}

#[test]
fn a_reservation_is_voided_or_ends_by_a_tick() {
    let history =
        alice_has_100().into_iter().chain([reserve(ALICE, BANK, 50), reserve(ALICE, BANK, 50)]);
    given::<Ledger>(history)
        .when(Command::Void { transfer: 5 })
        .then([Event::Voided { transfer: 5 }])
        .travel_to(Nanos(9))
        .when(Command::Tick)
        .then([])
        .travel_to(Nanos(10))
        .when(Command::Tick)
        .then([Event::Expired { transfer: 6 }])
        .when(transfer(ALICE, BANK, 100))
        .then([Event::Transferred { transfer: 10, debit: ALICE, credit: BANK, amount: 100 }]);
}

#[test]
fn who_looked_too_early_is_refused() {
    let dated = |version| {
        Command::Transfer(Order { expect_version: Some(version), ..order(ALICE, BANK, 1) })
    };
    given::<Ledger>(alice_has_100())
        .when(dated(1))
        .then([Event::Transferred { transfer: 5, debit: ALICE, credit: BANK, amount: 1 }])
        .when(dated(1))
        .then_reject(Reject::WrongVersion { found: 2 });
}

#[test]
fn what_makes_no_sense_is_refused() {
    let dollars = Command::Open { account: 9, currency: *b"USD", limit: Limit::None };
    let history = alice_has_100().into_iter().chain([dollars]);
    given::<Ledger>(history)
        .when(open(ALICE, Limit::None))
        .then_reject(Reject::AccountExists)
        .when(transfer(ALICE, 77, 1))
        .then_reject(Reject::UnknownAccount { account: 77 })
        .when(transfer(BANK, BANK, 1))
        .then_reject(Reject::SameAccount)
        .when(transfer(BANK, 9, 1))
        .then_reject(Reject::OtherCurrency)
        .when(transfer(BANK, ALICE, 0))
        .then_reject(Reject::ZeroAmount)
        .when(transfer(BANK, ALICE, u64::MAX))
        .then_reject(Reject::Overflow { account: BANK });
}

/// Few accounts and transfers, so that commands meet; amounts small and huge, so that sums end.
fn command() -> impl Strategy<Value = Command> {
    let account = 1..5_u32;
    let amount = prop_oneof![4 => 0..50_u64, 1 => u64::MAX / 3..=u64::MAX];
    let limit = prop_oneof![
        Just(Limit::None),
        Just(Limit::DebitsWithinCredits),
        Just(Limit::CreditsWithinDebits)
    ];
    let order = (account.clone(), account.clone(), amount, prop::option::weighted(0.1, 0..4_u64))
        .prop_map(|(debit, credit, amount, expect_version)| Order {
            debit,
            credit,
            amount,
            expect_version,
        });
    let transfer = 1..40_u64;
    prop_oneof![
        3 => (account, limit).prop_map(|(account, limit)| open(account, limit)),
        4 => order.clone().prop_map(Command::Transfer),
        4 => (order, 0..30_u64)
            .prop_map(|(order, lifetime)| Command::Reserve { order, lifetime }),
        2 => (transfer.clone(), 0..50_u64)
            .prop_map(|(transfer, amount)| Command::Post { transfer, amount }),
        1 => transfer.prop_map(|transfer| Command::Void { transfer }),
        2 => Just(Command::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_kits_properties_hold(steps in prop::collection::vec((0..10_u64, command()), 0..60)) {
        kit::properties::<Ledger>(steps);
    }

    /// What a ledger is for: debits are credits, and nobody passes a limit.
    #[test]
    fn the_books_balance(steps in prop::collection::vec((0..10_u64, command()), 0..200)) {
        let (mut ledger, mut outbox, mut at) = (Ledger::default(), Outbox::default(), 0);
        for (sequence, (after, command)) in (1..).zip(steps) {
            at += after;
            let at = Moment { sequence: Sequence(sequence), time: Nanos(at) };
            step(&mut ledger, &command, &at, &mut outbox);
            let sum = |side: fn(&super::ledger::Account) -> Sum| {
                ledger.accounts().fold((0_u128, 0_u128), |(posted, pending), (_, account)| {
                    let sum = side(account);
                    (posted + u128::from(sum.posted), pending + u128::from(sum.pending))
                })
            };
            prop_assert_eq!(sum(|account| account.debits), sum(|account| account.credits));
            for (id, account) in ledger.accounts() {
                let (debits, credits) = (account.debits, account.credits);
                let within = |one: Sum, other: Sum| {
                    u128::from(one.posted) + u128::from(one.pending) <= u128::from(other.posted)
                };
                prop_assert!(match account.limit {
                    Limit::None => true,
                    Limit::DebitsWithinCredits => within(debits, credits),
                    Limit::CreditsWithinDebits => within(credits, debits),
                }, "account {id} passed its limit: {account:?}");
            }
        }
    }
}
