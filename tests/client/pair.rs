//! Two addresses, of which one lets clients in: at first, after it was lost, and after both were.

use std::net::TcpStream;
use std::time::Duration;

use ringframe::client::{Client, ClientError, Login, Soup, Timing};
use ringframe::wire::soup::{FromServer, LoginReject};

use crate::server::{PATIENCE, Peer, Said, Server, order, taken};

/// An address where nobody listens any more.
fn nobody() -> String {
    let gone = Server::start(|_| ());
    let address = gone.address.clone();
    gone.end();
    address
}

fn reject(peer: &mut Peer, why: LoginReject) {
    peer.login();
    peer.send(FromServer::Rejected(why));
}

/// Of these two, the first is tried first.
fn pair(first: &str, second: &Server) -> Login {
    Login { addresses: vec![first.to_owned(), second.address.clone()], ..second.login() }
}

#[test]
fn a_client_waits_until_one_of_the_two_leads() {
    let server = Server::start(|listener| {
        drop(Peer::accept(listener));
        drop(Peer::accept(listener));
        Peer::accept(listener).accept_login(1);
    });
    Soup::connect(pair(&nobody(), &server)).unwrap();
    server.end();

    let timing = Timing { give_up: Duration::from_millis(20), ..Timing::default() };
    let addresses = vec![nobody(), nobody()];
    let error = Soup::connect(Login { addresses, timing, ..Login::new("", "A", "B") });
    let error = error.err().unwrap();
    assert!(matches!(error, ClientError::GaveUp { attempts: 1.., .. }), "{error}");
}

#[test]
fn what_a_server_says_at_first_is_final() {
    for why in [LoginReject::NotAuthorized, LoginReject::SessionNotAvailable] {
        let server = Server::start(move |listener| reject(&mut Peer::accept(listener), why));
        let error = Soup::connect(pair(&nobody(), &server)).err().unwrap();
        assert!(!error.is_lost(), "{error}");
        server.end();
    }
}

/// Takes an order, and is gone.
fn dies_with_an_order() -> Server {
    Server::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.accept_login(1);
        let Said::Message(_) = peer.next_said() else { panic!("no order") };
        peer.say(&taken(&order(1)));
        let Said::Message(_) = peer.next_said() else { panic!("no order") };
    })
}

/// Has heard one answer, and sent two orders.
fn in_doubt(login: Login) -> Client {
    let mut client = Client::connect(login).unwrap();
    client.send(order(1)).unwrap();
    assert_eq!(client.receive(PATIENCE).unwrap().unwrap().number, 1);
    client.send(order(2)).unwrap();
    assert!(client.receive(PATIENCE).unwrap_err().is_lost());
    client
}

#[test]
fn it_goes_on_at_the_other_once_that_one_has_all_it_was_told() {
    let first = dies_with_an_order();
    let second = Server::start(|listener| {
        // It does not lead yet.
        reject(&mut Peer::accept(listener), LoginReject::SessionNotAvailable);
        drop(Peer::accept(listener));
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.accept_login(2).sequence, 2);
        let said = peer.next_said();
        assert_eq!(said, Said::Message(order(2).into()), "the one in doubt, once");
        peer.say(&taken(&order(2)));
        assert_eq!(peer.next_said(), Said::Logout);
    });
    let mut client = in_doubt(pair(&first.address, &second));
    first.end();
    assert_eq!(client.reconnect(), Ok(1));
    assert!(matches!(client.send(order(3)), Err(ClientError::InDoubt { count: 1 })));
    assert_eq!(client.resend(), Ok(1));
    assert_eq!(client.receive(PATIENCE).unwrap().unwrap().number, 2);
    client.logout().unwrap();
    second.end();
}

#[test]
fn where_nobody_else_can_lead_a_refusal_is_final() {
    let first = dies_with_an_order();
    let second = Server::start(|listener| {
        reject(&mut Peer::accept(listener), LoginReject::NotAuthorized);
        reject(&mut Peer::accept(listener), LoginReject::SessionNotAvailable);
        reject(&mut Peer::accept(listener), LoginReject::SessionNotAvailable);
    });
    let mut client = in_doubt(pair(&first.address, &second));
    first.end();
    // Asked again and again with a wrong password, it would be locked out.
    let error = client.reconnect().unwrap_err();
    assert!(matches!(error, ClientError::NotAuthorized { .. }), "{error}");
    let timing = Timing { give_up: Duration::ZERO, ..second.login().timing };
    let first = dies_with_an_order();
    let mut client = in_doubt(Login { timing, ..pair(&first.address, &second) });
    first.end();
    let error = client.reconnect().unwrap_err();
    assert!(matches!(error, ClientError::NoSession { sequence: 2, .. }), "{error}");
    let first = Server::start(|listener| {
        Peer::accept(listener).accept_login(1);
        reject(&mut Peer::accept(listener), LoginReject::SessionNotAvailable);
    });
    let mut soup = Soup::connect(pair(&first.address, &second)).unwrap();
    assert!(soup.receive(PATIENCE).unwrap_err().is_lost());
    // Both say so, and there is no third.
    assert!(matches!(soup.reconnect(), Err(ClientError::NoSession { .. })));
    first.end();
    second.end();
}

#[test]
fn it_comes_back_first_where_it_was_last() {
    let first = Server::start(|listener| {
        drop(Peer::accept(listener));
        // Whoever comes here again is told what is final.
        let mut peer = Peer::accept(listener);
        if let Said::Login(_) = peer.next() {
            peer.send(FromServer::Rejected(LoginReject::NotAuthorized));
        }
    });
    let second = Server::start(|listener| {
        Peer::accept(listener).accept_login(1);
        Peer::accept(listener).accept_login(1);
    });
    let mut soup = Soup::connect(pair(&first.address, &second)).unwrap();
    assert!(soup.receive(PATIENCE).unwrap_err().is_lost());
    assert_eq!(soup.reconnect(), Ok(()));
    second.end();
    drop(TcpStream::connect(&first.address).unwrap());
    first.end();
}
