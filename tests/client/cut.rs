//! The connection is cut at every byte of a conversation, in either direction: each message comes
//! once, in order, and each order is executed once.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringframe::client::{Client, ClientError, Received};
use ringframe::wire::ouch::{Inbound, Outbound};
use ringframe::wire::soup::FromServer;

use crate::server::{PATIENCE, Peer, Said, Server, accepted, bytes_of, order, taken};

const ORDERS: u64 = 4;

/// What a venue keeps, whatever happens to connections.
#[derive(Default)]
struct Venue {
    tokens: BTreeSet<[u8; 14]>,
    log: Vec<Outbound>,
}

impl Venue {
    /// Serves a connection until it is cut, or the client goes.
    fn serve(&mut self, peer: &mut Peer) {
        let Said::Login(login) = peer.next() else { return };
        let mut told = login.sequence as usize - 1;
        if !peer.send(accepted(login.sequence)) {
            return;
        }
        loop {
            for message in &self.log[told..] {
                if !peer.send(FromServer::Heartbeat) || !peer.say(message) {
                    return;
                }
            }
            told = self.log.len();
            match peer.next_said() {
                Said::Message(Inbound::Enter(enter)) => {
                    if self.tokens.insert(enter.token.0) {
                        self.log.push(taken(&enter));
                    }
                }
                Said::Logout | Said::Gone => return,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Cuts the first connections so, in turn, and serves the rest whole, until a client is the last.
fn venue(listener: &TcpListener, cuts: &[(usize, usize)], is_over: &AtomicBool) {
    let mut venue = Venue::default();
    let mut cuts = cuts.iter();
    loop {
        let mut peer = Peer::accept(listener);
        if is_over.load(Ordering::SeqCst) {
            assert_eq!(venue.log.len() as u64, ORDERS, "each order once");
            return;
        }
        (peer.read_left, peer.write_left) = *cuts.next().unwrap_or(&(usize::MAX, usize::MAX));
        venue.serve(&mut peer);
    }
}

fn come_back(client: &mut Client) {
    loop {
        client.reconnect().unwrap();
        match client.resend() {
            Ok(_) => return,
            Err(error) => assert!(error.is_lost(), "{error}"),
        }
    }
}

fn a_cut_conversation_is_whole(cuts: Vec<(usize, usize)>) {
    let text = format!("{cuts:?}");
    let is_over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_over);
    let server = Server::start(move |listener| venue(listener, &cuts, &told));
    let mut client = loop {
        match Client::connect(server.login()) {
            Ok(client) => break client,
            Err(error) => assert!(error.is_lost(), "{text}: {error}"),
        }
    };
    for number in 1..=ORDERS {
        match client.send(order(number)) {
            Ok(()) => {}
            Err(ClientError::Lost { .. }) => come_back(&mut client),
            Err(error) => panic!("{text}: {error}"),
        }
    }
    let mut received = Vec::new();
    while received.len() < ORDERS as usize {
        match client.receive(PATIENCE) {
            Ok(Some(one)) => received.push(one),
            Ok(None) => panic!("{text}: only {received:?}"),
            Err(ClientError::Lost { .. }) => come_back(&mut client),
            Err(error) => panic!("{text}: {error}"),
        }
    }
    let expected = (1..=ORDERS).map(|number| Received { number, message: taken(&order(number)) });
    assert_eq!(received, expected.collect::<Vec<_>>(), "{text}");
    assert_eq!(client.unanswered().len(), 0, "{text}");
    drop(client);
    is_over.store(true, Ordering::SeqCst);
    TcpStream::connect(&server.address).unwrap();
    server.end();
}

/// The lengths of a login, an order, and their answers.
const LOGIN: usize = 49;
const ENTER: usize = 52;
const LOGIN_ACCEPTED: usize = 33;

#[test]
fn what_the_client_says_may_be_cut_anywhere() {
    for cut in 0..=LOGIN + ORDERS as usize * ENTER {
        a_cut_conversation_is_whole(vec![(cut, usize::MAX)]);
    }
}

#[test]
fn what_the_server_says_may_be_cut_anywhere() {
    let answer = 3 + 3 + bytes_of(&taken(&order(1))).len();
    for cut in 0..=LOGIN_ACCEPTED + ORDERS as usize * answer {
        a_cut_conversation_is_whole(vec![(usize::MAX, cut)]);
    }
}

#[test]
fn it_may_be_cut_again_and_again() {
    for cut in (0..LOGIN + 2 * ENTER).step_by(7) {
        let cuts = [(cut, usize::MAX), (usize::MAX, cut), (cut + 30, cut + 60), (cut, cut)];
        a_cut_conversation_is_whole(cuts.to_vec());
    }
}
