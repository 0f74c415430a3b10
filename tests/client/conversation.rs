//! Logins and their answers, messages, heartbeats, ends.

use std::time::Duration;

use ringframe::client::{Client, ClientError, Feed, Login, Received, Soup, Timing};
use ringframe::wire::itch;
use ringframe::wire::layout::U48;
use ringframe::wire::soup::{FromServer, LoginReject};

use crate::server::{PATIENCE, Peer, Said, Server, accepted, order, session, taken};

#[test]
fn what_it_says_is_exact_to_the_byte() {
    let server = Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        let mut login = [0; 49];
        peer.bytes(&mut login);
        let fields = format!("trdr01{:10}{:10}{:>20}", "secret", "", 42);
        assert_eq!(login[..], [b"\0\x2fL", fields.as_bytes()].concat());
        peer.send(accepted(42));
        let mut enter = [0; 52];
        peer.bytes(&mut enter);
        let (fields, rest) = enter.split_at(18);
        assert_eq!(fields, b"\0\x32UOT1            ");
        assert_eq!(&rest[..17], b"B\0\0\0\x64AAPL    \0\x23\x18\x60");
        assert_eq!(&rest[17..], b"\0\x01\x86\x9e    YAN\0\0\0\0N ");
        let mut logout = [0; 3];
        peer.bytes(&mut logout);
        assert_eq!(&logout, b"\0\x01O");
    });
    let mut client = Client::connect(Login { sequence: 42, ..server.login() }).unwrap();
    assert_eq!((client.soup().next(), client.soup().session()), (42, session()));
    client.send(order(1)).unwrap();
    client.logout().unwrap();
    server.end();
}

#[test]
fn messages_come_with_their_numbers_and_nothing_else_counts() {
    let server = Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.login();
        peer.send(FromServer::Debug(b"hello"));
        peer.send(FromServer::Heartbeat);
        peer.send(accepted(1));
        for number in 1..=3 {
            peer.send(FromServer::Heartbeat);
            peer.send(FromServer::Debug(b"between"));
            peer.say(&taken(&order(number)));
        }
        peer.send(FromServer::Data(b"?"));
        peer.say(&taken(&order(5)));
        peer.hear_it_go();
    });
    let mut client = Client::connect(server.login()).unwrap();
    for number in 1..=3 {
        let received = client.receive(PATIENCE).unwrap();
        assert_eq!(received, Some(Received { number, message: taken(&order(number)) }));
    }
    let error = client.receive(PATIENCE).unwrap_err();
    assert!(matches!(error, ClientError::Malformed { number: 4, .. }), "{error}");
    assert_eq!(client.receive(PATIENCE).unwrap().unwrap().number, 5);
    assert_eq!(client.receive(Duration::ZERO), Ok(None));
    assert_eq!(client.receive(Duration::from_millis(1)), Ok(None));
    client.logout().unwrap();
    server.end();
}

#[test]
fn a_refused_login_says_what_to_do() {
    let server = Server::start(|listener| {
        for reject in [LoginReject::NotAuthorized, LoginReject::SessionNotAvailable] {
            let mut peer = Peer::accept(listener);
            peer.login();
            peer.send(FromServer::Rejected(reject));
        }
        let mut peer = Peer::accept(listener);
        peer.login();
        peer.send(accepted(8));
    });
    let refused = |login: Login| Soup::connect(login).err().unwrap();
    let error = refused(server.login());
    assert!(matches!(error, ClientError::NotAuthorized { .. }), "{error}");
    assert!(error.to_string().contains("user 'trdr01'"), "{error}");
    let error = refused(Login { sequence: 9, ..server.login() });
    assert!(matches!(error, ClientError::NoSession { sequence: 9, .. }), "{error}");
    assert!(!error.is_lost());
    let error = refused(Login { sequence: 9, session: "S1".into(), ..server.login() });
    let said = "offers message 8 of session 'S1' where message 9 of session 'S1' was asked for";
    assert!(error.to_string().contains(said), "{error}");
    let error = refused(Login { username: "TOOLONG".into(), ..server.login() });
    assert_eq!(error, ClientError::Login { field: "username", letters_max: 6 });
    server.end();
}

#[test]
fn an_ended_session_is_over_for_good() {
    let server = Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.accept_login(1);
        peer.say(&taken(&order(1)));
        peer.send(FromServer::End);
    });
    let mut client = Client::connect(server.login()).unwrap();
    assert_eq!(client.receive(PATIENCE).unwrap().unwrap().number, 1);
    let ended = ClientError::Ended { session: "S1".into() };
    assert_eq!(client.receive(PATIENCE), Err(ended.clone()));
    assert_eq!(client.send(order(1)), Err(ended.clone()));
    assert_eq!(client.reconnect(), Err(ended));
    server.end();
}

#[test]
fn heartbeats_are_sent_while_it_waits() {
    let server = Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.accept_login(1);
        for _ in 0..3 {
            assert_eq!(peer.next(), Said::Heartbeat);
        }
        peer.say(&taken(&order(1)));
        peer.hear_it_go();
    });
    let timing = Timing { heartbeat: Duration::from_millis(5), ..server.login().timing };
    let mut client = Client::connect(Login { timing, ..server.login() }).unwrap();
    assert_eq!(client.receive(PATIENCE).unwrap().unwrap().number, 1);
    drop(client);
    server.end();
}

#[test]
fn a_server_that_says_nothing_is_lost() {
    let server = Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.accept_login(1);
        peer.hear_it_go();
    });
    let timing = Timing { silence: Duration::from_millis(50), ..server.login().timing };
    let mut client = Client::connect(Login { timing, ..server.login() }).unwrap();
    let error = client.receive(PATIENCE).unwrap_err();
    assert!(error.is_lost() && error.to_string().contains("said nothing for 50ms"), "{error}");
    assert_eq!(client.receive(PATIENCE).unwrap_err(), error);
    server.end();
}

#[test]
fn the_second_address_is_tried_and_a_lost_server_waited_for() {
    let gone = Server::start(|_| ());
    let nobody = gone.address.clone();
    gone.end();
    let server = Server::start(|listener| {
        Peer::accept(listener).accept_login(1);
        let mut peer = Peer::accept(listener);
        let login = peer.accept_login(1);
        assert_eq!((login.session, login.sequence), (session(), 1));
        peer.hear_it_go();
    });
    let mut login = server.login();
    login.addresses.insert(0, nobody.clone());
    let mut soup = Soup::connect(login).unwrap();
    assert!(soup.receive(PATIENCE).unwrap_err().is_lost());
    soup.reconnect().unwrap();
    drop(soup);
    server.end();

    let server = Server::start(|listener| {
        Peer::accept(listener).accept_login(1);
    });
    let timing = Timing { give_up: Duration::from_millis(20), ..server.login().timing };
    let mut soup = Soup::connect(Login { timing, ..server.login() }).unwrap();
    assert!(soup.receive(PATIENCE).unwrap_err().is_lost());
    server.end();
    let error = soup.reconnect().unwrap_err();
    assert!(matches!(error, ClientError::GaveUp { attempts: 1.., .. }), "{error}");
    let error = Soup::connect(Login::new(&nobody, "A", "B")).err().unwrap();
    assert!(error.is_lost() && error.to_string().contains(&nobody), "{error}");
}

#[test]
fn what_is_no_packet_loses_the_connection_after_what_came_before() {
    let server = Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.accept_login(1);
        peer.say(&taken(&order(1)));
        peer.send(FromServer::Data(&[]));
        peer.send(accepted(2));
        peer.hear_it_go();
    });
    let mut client = Client::connect(server.login()).unwrap();
    assert_eq!(client.receive(PATIENCE).unwrap().unwrap().number, 1);
    let error = client.receive(PATIENCE).unwrap_err();
    assert!(error.to_string().starts_with("message 2 is not understood: no bytes"), "{error}");
    let error = client.receive(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("answered a login twice"), "{error}");
    assert!(client.send(order(1)).unwrap_err().is_lost());
    assert_eq!(client.unanswered().len(), 1);
    drop(client);
    server.end();
}

#[test]
fn a_feed_is_the_same_with_other_messages() {
    fn day(event: itch::Day) -> itch::Message {
        let header = itch::Header { locate: 0.into(), tracking: 0.into(), time: U48::new(5) };
        itch::SystemEvent { header, event }.into()
    }
    let events = [itch::Day::MESSAGES_START, itch::Day::SYSTEM_START, itch::Day::MARKET_OPEN];
    let server = Server::start(move |listener| {
        let mut bytes = [0; itch::Message::BYTES_MAX];
        for next in [1, 3] {
            let mut peer = Peer::accept(listener);
            assert_eq!(peer.accept_login(next as u64).sequence, next as u64);
            for event in &events[next - 1..events.len().min(next + 1)] {
                let length = day(*event).encode(&mut bytes).unwrap();
                peer.send(FromServer::Data(&bytes[..length]));
            }
        }
    });
    let mut feed = Feed::connect(server.login()).unwrap();
    for number in [1, 2] {
        let received = feed.receive(PATIENCE).unwrap().unwrap();
        assert_eq!(received, Received { number, message: day(events[number as usize - 1]) });
    }
    assert!(feed.receive(PATIENCE).unwrap_err().is_lost());
    feed.reconnect().unwrap();
    let received = feed.receive(PATIENCE).unwrap().unwrap();
    assert_eq!(received, Received { number: 3, message: day(events[2]) });
    assert_eq!(feed.soup().next(), 4);
    server.end();
}
