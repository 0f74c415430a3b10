//! A client is cut at every byte of its conversation, and comes back: nothing is missing, nothing
//! comes twice, and every order is executed once.

use std::collections::BTreeSet;
use std::net::{Shutdown, SocketAddr};

use ringframe::wire::ouch::{Enter, Outbound, Side};
use ringframe::wire::soup::{FromClient, Session};

use crate::peer::{Heard, Peer, answered, login, order, packed, packed_order};
use crate::program::Serving;

const USER: u16 = 7;
/// In one conversation.
const ORDERS: u64 = 3;
/// The lengths of packets.
const LOGIN: usize = 49;
const ENTER: usize = 52;
const LOGIN_ACCEPTED: usize = 33;
const ACCEPTED: usize = 69;

/// Where a connection is cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// After so many bytes of the client.
    Said(usize),
    /// After so many bytes of the server.
    Heard(usize),
}

/// A session, as its client knows it.
struct Known {
    address: SocketAddr,
    session: Session,
    log: Vec<Vec<u8>>,
    orders: u64,
}

impl Known {
    fn login(&self) -> Vec<u8> {
        let next = self.log.len() as u64 + 1;
        packed(FromClient::Login(login(USER, self.session, next)))
    }

    /// A conversation that is cut, and then another that is not.
    fn converse(&mut self, cut: Cut) {
        let orders: Vec<Enter> = (self.orders..self.orders + ORDERS)
            .map(|number| order(number, Side::BUY, 100, 200_0000))
            .collect();
        self.orders += ORDERS;
        let mut said = self.login();
        said.extend(orders.iter().flat_map(packed_order));
        let mut open: BTreeSet<[u8; 14]> = orders.iter().map(|order| order.token.0).collect();
        let mut peer = Peer::open(self.address);
        match cut {
            Cut::Said(bytes) => {
                peer.write(&said[..bytes]).unwrap();
                if bytes % 2 == 0 {
                    peer.stream.shutdown(Shutdown::Both).unwrap();
                }
            }
            Cut::Heard(bytes) => {
                peer.write(&said).unwrap();
                peer.messages_of(bytes).into_iter().for_each(|it| self.hear(it, &mut open));
            }
        }
        drop(peer);
        while !open.is_empty() {
            self.come_back(&orders, &mut open);
        }
    }

    fn hear(&mut self, message: Vec<u8>, open: &mut BTreeSet<[u8; 14]>) {
        if let Some(token) = answered(&Outbound::decode(&message).unwrap()) {
            open.remove(&token.0);
        }
        self.log.push(message);
    }

    /// Sends all orders again and reads until each has its answer, or the connection is lost: one
    /// that was cut may be served later than this one, and take its session over.
    fn come_back(&mut self, orders: &[Enter], open: &mut BTreeSet<[u8; 14]>) {
        let mut peer = Peer::open(self.address);
        let sent = peer
            .write(&self.login())
            .and_then(|()| orders.iter().try_for_each(|order| peer.order(order)));
        let next = self.log.len() as u64 + 1;
        while sent.is_ok() && !open.is_empty() {
            match peer.next() {
                Heard::Accepted => assert_eq!(peer.next, next),
                Heard::Message(number, bytes) => {
                    assert_eq!(number, self.log.len() as u64 + 1);
                    self.hear(bytes, open);
                }
                Heard::Heartbeat => {}
                Heard::Gone | Heard::Debug(_) => return,
                other => panic!("{other:?}"),
            }
        }
    }

    /// All of it is there, as it was, and no more.
    fn is_whole(&self) {
        let mut peer = Peer::log_in(self.address, USER, self.session, 1).unwrap();
        let all = peer.all(self.log.len());
        assert!(all == self.log);
        let messages = all.iter().map(|bytes| Outbound::decode(bytes).unwrap());
        let tokens: Vec<_> = messages.filter_map(|message| answered(&message)).collect();
        let once: BTreeSet<[u8; 14]> = tokens.iter().map(|token| token.0).collect();
        assert_eq!((tokens.len(), once.len()), (self.orders as usize, self.orders as usize));
    }
}

#[test]
fn a_client_that_is_cut_anywhere_gets_each_message_once() {
    let directory = tempfile::tempdir().unwrap();
    let settings = ["--release", "journaled"];
    let serving = Serving::start(&settings, directory.path());
    let address = serving.addresses[0];
    let first = Peer::from(address, USER, 1);
    let mut known = Known { address, session: first.session, log: Vec::new(), orders: 0 };
    drop(first);
    for bytes in 0..=LOGIN + ORDERS as usize * ENTER {
        known.converse(Cut::Said(bytes));
    }
    for bytes in 0..=LOGIN_ACCEPTED + ORDERS as usize * ACCEPTED {
        known.converse(Cut::Heard(bytes));
    }
    known.is_whole();
    serving.drain();
    let serving = Serving::start(&settings, directory.path());
    known.address = serving.addresses[0];
    known.is_whole();
    known.converse(Cut::Said(LOGIN + 1));
    known.is_whole();
}
