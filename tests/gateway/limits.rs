//! What a session may do in a second, who has it, and how long a packet may take.

use std::time::{Duration, Instant};

use ringframe::gateway::GatewayOptions;
use ringframe::traffic::Count;
use ringframe::types::Nanos;
use ringframe::wire::ouch::Side;
use ringframe::wire::soup::{FromClient, LoginReject, Session};

use crate::peer::{PRICE, Peer, answered, order, packed, token};
use crate::polled::{Polled, until};
use crate::program::Serving;

const USER: u16 = 7;

fn bid(number: u64) -> ringframe::wire::ouch::Enter {
    order(number, Side::BUY, 1, PRICE / 2)
}

#[test]
fn a_session_is_read_at_its_rate_and_loses_nothing() {
    const RATE: u64 = 100;
    let directory = tempfile::tempdir().unwrap();
    let rate = RATE.to_string();
    let settings = ["--release", "journaled", "--rate", &rate];
    let serving = Serving::start(&settings, directory.path());
    let [mut quick, mut other] =
        [USER, USER + 1].map(|user| Peer::from(serving.addresses[0], user, 0));
    let begun = Instant::now();
    for number in 0..2 * RATE {
        quick.order(&bid(number)).unwrap();
    }
    other.order(&bid(0)).unwrap();
    assert_eq!(answered(&other.told()), Some(token(0)));
    for number in 0..2 * RATE {
        assert_eq!(answered(&quick.told()), Some(token(number)));
    }
    // All but the tenth of a second that it may be ahead.
    assert!(begun.elapsed() >= Duration::from_millis(1_800), "{:?}", begun.elapsed());
    serving.drain().expect(0, &["times a client was held back"]);
}

#[test]
fn who_comes_again_has_no_more_than_the_session_has() {
    let mut polled = Polled::open(GatewayOptions { rate: 10, ..GatewayOptions::default() });
    let commands = |polled: &Polled| polled.gateway.traffic().get(Count::Commands);
    for connection in 1..4 {
        let mut peer = polled.log_in(0, USER, 0);
        for number in 0..5 {
            peer.order(&bid(10 * connection + number)).unwrap();
        }
        until(|| {
            polled.turn();
            polled.gateway.traffic().get(Count::HeldBack) == connection
        });
        // One is due, and so is what may come a tenth of a second early.
        assert_eq!(commands(&polled), 2);
    }
    let mut peer = polled.log_in(0, USER, 0);
    peer.order(&bid(0)).unwrap();
    until(|| {
        polled.turn();
        polled.gateway.traffic().get(Count::HeldBack) == 4
    });
    polled.now = polled.now.after(Nanos::SECOND);
    until(|| {
        polled.turn();
        commands(&polled) == 3
    });
}

#[test]
fn what_is_no_order_counts_too() {
    let mut polled = Polled::open(GatewayOptions { rate: 10, ..GatewayOptions::default() });
    let mut peer = polled.log_in(0, USER, 0);
    peer.write(&packed(FromClient::Heartbeat).repeat(10)).unwrap();
    until(|| {
        polled.turn();
        polled.gateway.traffic().get(Count::HeldBack) == 1
    });
}

#[test]
fn a_second_login_is_refused_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let settings = ["--release", "journaled", "--second-login", "refused"];
    let mut serving = Serving::start(&settings, directory.path());
    let address = serving.addresses[0];
    let mut first = Peer::from(address, USER, 0);
    let second = Peer::log_in(address, USER, Session::BLANK, 0).err();
    assert_eq!(second, Some(LoginReject::SessionNotAvailable));
    serving.wait_for("refused: the session is in use");
    first.order(&bid(0)).unwrap();
    assert_eq!(answered(&first.told()), Some(token(0)));
    first.say(FromClient::Logout).unwrap();
    first.hear_the_end();
    // It was ended before its socket was.
    Peer::from(address, USER, 0);
}

#[test]
fn a_packet_that_does_not_come_to_its_end_is_silence() {
    let mut polled = Polled::open(GatewayOptions::default());
    let mut slow = polled.log_in(0, USER, 0);
    let mut live = polled.log_in(1, USER, 0);
    slow.write(&[1, 0xF0, b'+']).unwrap();
    // A fifth of a second passes with each: more than silence may last.
    for _ in 0..100 {
        if polled.clients().connections < 2 {
            break;
        }
        slow.write(b".").unwrap();
        live.write(&packed(FromClient::Heartbeat)).unwrap();
    }
    let clients = polled.clients();
    assert_eq!((clients.sessions, clients.readers), (0, 1));
    assert_eq!(polled.gateway.traffic().get(Count::Silent), 1);
}
