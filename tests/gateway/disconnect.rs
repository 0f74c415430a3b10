//! Orders of a session that asks for it are canceled when its connection is lost, and no others.

use std::path::Path;

use ringframe::wire::ouch::{CancelReason, Outbound, Side};
use ringframe::wire::soup::FromClient;

use crate::peer::{PRICE, Peer, order};
use crate::program::{Serving, apply};

/// Asks for it.
const CAREFUL: u16 = 1;
const OTHER: u16 = 2;
const TAKER: u16 = 3;

fn prepared(data: &Path) -> Serving {
    let terms = format!("\"session\":{CAREFUL},\"participant\":{CAREFUL}");
    let line = format!("{{\"set_session\":{{{terms},\"cancel_on_disconnect\":true}}}}\n");
    apply(&[], data, &line).expect(0, &["session_set"]);
    Serving::start(&["--release", "journaled"], data)
}

/// Logs in and has an order in the book.
fn with_order(serving: &Serving, user: u16, number: u64) -> Peer {
    let mut peer = Peer::from(serving.addresses[0], user, 0);
    peer.order(&order(number, Side::BUY, 100, PRICE)).unwrap();
    assert!(matches!(peer.told(), Outbound::Accepted(_)));
    peer
}

#[track_caller]
fn is_canceled(serving: &Serving, from: u64) {
    let mut peer = Peer::from(serving.addresses[0], CAREFUL, from);
    match peer.told() {
        Outbound::Canceled(canceled) => {
            assert_eq!(canceled.reason, CancelReason::SYSTEM);
            assert_eq!(canceled.decrement.get(), 100);
        }
        other => panic!("{other:?}"),
    }
}

/// Sells so much, and says how much of it was bought at once.
fn sold(serving: &Serving, number: u64, shares: u32) -> u32 {
    let mut taker = Peer::from(serving.addresses[0], TAKER, 0);
    let mut order = order(number, Side::SELL, shares, PRICE);
    order.time_in_force = 0.into();
    taker.order(&order).unwrap();
    let mut sold = 0;
    loop {
        match taker.told() {
            Outbound::Accepted(_) => {}
            Outbound::Executed(executed) => sold += executed.shares.get(),
            Outbound::Canceled(_) => return sold,
            other => panic!("{other:?}"),
        }
        if sold == shares {
            return sold;
        }
    }
}

#[test]
fn a_lost_connection_cancels_where_the_session_asks_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let serving = prepared(directory.path());
    for (number, logs_out) in [(0, true), (1, false)] {
        let mut careful = with_order(&serving, CAREFUL, number);
        let other = with_order(&serving, OTHER, number);
        let next = careful.next;
        if logs_out {
            careful.say(FromClient::Logout).unwrap();
            careful.hear_the_end();
        }
        drop((careful, other));
        is_canceled(&serving, next);
        assert_eq!(sold(&serving, number, 200), 100, "only the other's is left");
    }
}

#[test]
fn a_session_that_is_taken_over_keeps_its_orders() {
    let directory = tempfile::tempdir().unwrap();
    let serving = prepared(directory.path());
    let mut before = with_order(&serving, CAREFUL, 0);
    let after = Peer::from(serving.addresses[0], CAREFUL, 0);
    before.hear_the_end();
    assert_eq!(sold(&serving, 0, 200), 100);
    drop(after);
}

#[test]
fn who_does_not_come_back_after_a_restart_loses_them_too() {
    let directory = tempfile::tempdir().unwrap();
    let serving = prepared(directory.path());
    let other = with_order(&serving, OTHER, 0);
    let careful = with_order(&serving, CAREFUL, 0);
    let next = careful.next;
    // It is killed before it knows of any connection that is lost.
    drop(serving);
    drop((careful, other));
    let serving = Serving::start(&["--release", "journaled"], directory.path());
    let mut watcher = Peer::from(serving.addresses[1], TAKER, 1);
    while watcher.message().1[0] != b'D' {}
    is_canceled(&serving, next);
    assert_eq!(sold(&serving, 0, 200), 100, "only the other's is left");
}
