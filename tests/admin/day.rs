//! A day ends while clients are connected, and the next one begins, without a restart.

use ringframe::exchange::command::State;
use ringframe::wire::ouch::{Day, Outbound, Side};
use ringframe::wire::soup::LoginReject;

use crate::http::{admin, change, end_day, operate, status, status_when};
use crate::peer::{Heard, PRICE, Peer, order};
use crate::program::{Serving, run};

const USER: u16 = 5;

/// All that comes until the connection is closed, which an end of session announces.
#[track_caller]
fn to_the_end(peer: &mut Peer) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    loop {
        match peer.next() {
            Heard::Message(_, bytes) => messages.push(bytes),
            Heard::Heartbeat => {}
            Heard::End => break,
            other => panic!("{other:?} after {} messages", messages.len()),
        }
    }
    assert_eq!(peer.hear_the_end(), []);
    messages
}

#[test]
fn a_day_ends_under_clients_and_the_next_begins() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let serving = Serving::start(&["--release", "journaled"], data);
    let (to, [orders, market]) = (admin(&serving), serving.addresses);
    let mut sessions = Vec::new();
    for day in 0..3 {
        let mut peer = Peer::from(orders, USER, 1);
        let mut reader = Peer::from(market, USER, 1);
        assert!(peer.session == reader.session && !sessions.contains(&peer.session));
        let first = Outbound::decode(&peer.message().1).unwrap();
        assert!(matches!(first, Outbound::SystemEvent(said) if said.event == Day::START));
        // The same tokens, every day.
        for number in 0..3 {
            peer.order(&order(number, Side::BUY, 100, PRICE)).unwrap();
            assert!(matches!(peer.told(), Outbound::Accepted(_)), "day {day}");
        }
        let said = status_when(to, |it| it["clients"]["day"] == peer.session.to_string());
        assert_eq!(said["state"], "serving");
        // While an instrument is open, a day does not end.
        let said = end_day(to);
        assert_eq!(said["accepted"], false, "{said}");
        change(to, State::Closed);
        let said = end_day(to);
        assert_eq!(said["accepted"], true, "{said}");
        assert!(said["events"][0]["day_ended"]["tokens"].as_u64() >= Some(3), "{said}");
        let told = to_the_end(&mut peer);
        let last = Outbound::decode(told.last().unwrap()).unwrap();
        assert!(matches!(last, Outbound::SystemEvent(said) if said.event == Day::END), "{last:?}");
        let seen = to_the_end(&mut reader);
        let last = seen.last().unwrap();
        assert!(last[0] == b'S' && last.last() == Some(&b'C'), "{last:?}");
        sessions.push(peer.session);
        for address in [orders, market] {
            let gone = Peer::log_in(address, USER, peer.session, 1).err();
            assert_eq!(gone, Some(LoginReject::SessionNotAvailable));
        }
        change(to, State::PreOpen);
        change(to, State::Open);
    }
    let said = status(to);
    let (at, digest) = (said["sequence"].to_string(), said["digest"].as_str().unwrap());
    operate(to, &["drain"], "").expect(0, &["drained at"]);
    serving.end().expect(0, &["drained"]);
    run(&["replay", "--digest", "--until", &at], data).expect(0, &[digest]);
    // What was done by hand is in the journal, and agrees with the log.
    run(&["replay", "--verify"], data).expect(0, &[]);
}
