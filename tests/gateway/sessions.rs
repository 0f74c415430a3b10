//! What logins get, who has a session, and how long anything lasts.

use std::path::Path;
use std::time::Instant;

use ringframe::exchange::command::{ChangeState, Command, EndDay, State};
use ringframe::exchange::demo;
use ringframe::exchange_json::write_command;
use ringframe::wire::layout::Alpha;
use ringframe::wire::ouch::{Day, Outbound, Side};
use ringframe::wire::soup::{FromClient, LoginReject, LoginRequest, Session};

use crate::peer::{Heard, PATIENCE, PRICE, Peer, login, order};
use crate::program::{Serving, apply};

const USER: u16 = 5;
const JOURNALED: [&str; 2] = ["--release", "journaled"];

fn starts_a_day(message: &[u8]) -> bool {
    let message = Outbound::decode(message).unwrap();
    matches!(message, Outbound::SystemEvent(said) if said.event == Day::START)
}

#[test]
fn a_login_gets_what_it_asks_for_or_hears_why_not() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&JOURNALED, directory.path());
    let [address, market] = serving.addresses;
    let mut peer = Peer::from(address, USER, 1);
    let session = peer.session;
    let (number, message) = peer.message();
    assert!(number == 1 && starts_a_day(&message));
    for number in 0..3 {
        peer.order(&order(number, Side::BUY, 100, PRICE)).unwrap();
        assert!(matches!(peer.told(), Outbound::Accepted(_)));
    }
    assert_eq!(peer.next, 5);
    peer.say(FromClient::Logout).unwrap();
    assert_eq!(peer.hear_the_end(), []);
    let reject = |login: LoginRequest, why| {
        let mut peer = Peer::open(address);
        peer.say(FromClient::Login(login)).unwrap();
        assert_eq!(peer.hear_the_end(), [Heard::Rejected(why)], "{login:?}");
    };
    let good = login(USER, session, 5);
    let password = |text| Alpha::new(text).unwrap();
    reject(
        LoginRequest { username: Alpha::new("nobody").unwrap(), ..good },
        LoginReject::NotAuthorized,
    );
    reject(LoginRequest { password: password("secrets"), ..good }, LoginReject::NotAuthorized);
    reject(LoginRequest { password: password(""), ..good }, LoginReject::NotAuthorized);
    reject(
        LoginRequest { session: Alpha::new("1").unwrap(), ..good },
        LoginReject::SessionNotAvailable,
    );
    reject(LoginRequest { sequence: 6, ..good }, LoginReject::SessionNotAvailable);
    reject(LoginRequest { sequence: u64::MAX, ..good }, LoginReject::SessionNotAvailable);
    for (name, sequence) in [(session, 5), (Session::BLANK, 5), (session, 0)] {
        let mut peer = Peer::log_in(address, USER, name, sequence).unwrap();
        assert_eq!((peer.session, peer.next), (session, 5));
        assert_eq!(peer.all(0).len(), 0);
    }
    for sequence in 1..5 {
        let mut peer = Peer::log_in(address, USER, session, sequence).unwrap();
        assert_eq!(peer.all(5 - sequence as usize).len() as u64, 5 - sequence);
    }
    // The market has a session of the same name, and numbers of its own.
    let mut peer = Peer::log_in(market, USER, session, 0).unwrap();
    assert!(peer.session == session && peer.next > 5 && peer.all(0).is_empty());
    let upper = LoginRequest {
        username: Alpha::new("TRDR05").unwrap(),
        password: password("SECRET"),
        ..good
    };
    let mut peer = Peer::open(address);
    peer.say(FromClient::Login(upper)).unwrap();
    assert_eq!(peer.next(), Heard::Accepted);
}

#[test]
fn a_second_login_takes_the_session_over() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&JOURNALED, directory.path());
    let address = serving.addresses[0];
    let mut first = Peer::from(address, USER, 0);
    for number in 0..5 {
        let mut second = Peer::from(address, USER, 0);
        let ends = first.hear_the_end();
        assert!(matches!(&ends[..], [Heard::Debug(why)] if why.contains("another connection")));
        second.order(&order(number, Side::BUY, 100, PRICE)).unwrap();
        assert!(matches!(second.told(), Outbound::Accepted(_)));
        first = second;
    }
    // Market data is for any number of connections.
    let mut readers = [(); 3].map(|()| Peer::from(serving.addresses[1], USER, 0));
    first.order(&order(5, Side::BUY, 100, PRICE)).unwrap();
    assert!(readers.iter_mut().all(|reader| reader.message().1[0] == b'A'));
}

#[test]
fn both_sides_say_that_they_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&JOURNALED, directory.path());
    let address = serving.addresses[0];
    let mut alive = Peer::from(address, USER, 0);
    let mut silent = Peer::from(address, USER + 1, 0);
    silent.is_alive = false;
    let (mut heartbeats, give_up) = (0, Instant::now() + PATIENCE);
    // Both hear as much, and one says as much.
    let why = loop {
        assert_eq!(alive.next(), Heard::Heartbeat);
        assert!(Instant::now() < give_up, "{heartbeats} heartbeats for one that says none");
        match silent.next() {
            Heard::Heartbeat => heartbeats += 1,
            Heard::Debug(why) => break why,
            other => panic!("{other:?}"),
        }
    };
    assert!(why.contains("said nothing") && heartbeats > 0, "{why}");
    assert_eq!(silent.hear_the_end(), []);
    alive.order(&order(0, Side::BUY, 100, PRICE)).unwrap();
    while !matches!(alive.next(), Heard::Message(..)) {}
}

/// Closes the market, ends the day, and opens the market again.
pub(crate) fn next_day() -> Vec<Command> {
    let listed = demo::opening().into_iter().filter_map(|command| match command {
        Command::AddInstrument(added) => Some(added.0.symbol),
        _ => None,
    });
    let listed: Vec<_> = listed.collect();
    let all = |state| {
        listed.iter().map(move |symbol| {
            Command::from(ChangeState { symbol: *symbol, state, reserved: [0; 7] })
        })
    };
    let open = [State::PreOpen, State::Open].into_iter().flat_map(all);
    all(State::Closed).chain([EndDay.into()]).chain(open).collect()
}

/// Lets the next day begin.
pub(crate) fn end_day(data: &Path) {
    let mut lines = String::new();
    for command in next_day() {
        write_command(&mut lines, &command);
        lines.push('\n');
    }
    let done = apply(&[], data, &lines).expect(0, &["day_ended"]);
    assert!(!done.out.contains("rejected"), "{done:#?}");
}

#[test]
fn a_new_day_has_a_session_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for day in 0..3 {
        let serving = Serving::start(&JOURNALED, directory.path());
        let [address, market] = serving.addresses;
        let mut peer = Peer::from(address, USER, 1);
        assert!(!names.contains(&peer.session), "no two days have the same name");
        names.push(peer.session);
        assert!(starts_a_day(&peer.message().1));
        // A day's tokens are new, too.
        peer.order(&order(0, Side::BUY, 100, PRICE)).unwrap();
        assert!(matches!(peer.told(), Outbound::Accepted(_)));
        let mut reader = Peer::from(market, USER, 1);
        assert_eq!(reader.session, peer.session);
        let kinds: Vec<u8> =
            std::iter::repeat_with(|| reader.message().1[0]).take(2 + 103).collect();
        assert!(kinds[0] == b'S' && kinds.contains(&b'R'), "day {day}: {kinds:?}");
        for old in &names[..day] {
            for address in serving.addresses {
                let refused = Peer::log_in(address, USER, *old, 1).err();
                assert_eq!(refused, Some(LoginReject::SessionNotAvailable), "day {day}");
            }
        }
        serving.drain();
        end_day(directory.path());
    }
}
