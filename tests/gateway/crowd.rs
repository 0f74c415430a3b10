//! A thousand connections at once.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use ringframe::wire::ouch::{Outbound, Side};
use ringframe::wire::soup::{FromClient, Session};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::peer::{Heard, PATIENCE, PRICE, Peer, Stops, login, order, packed};
use crate::program::Serving;

const SESSIONS: u16 = 99;
const CONNECTIONS: usize = 1_000;

/// Lets this process, and those that it starts, have as many files as it may.
pub(crate) fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[test]
fn a_thousand_connections_are_served_at_once() {
    raise_limit();
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&["--release", "journaled"], directory.path());
    let [orders, market] = serving.addresses;
    let mut peers: Vec<Peer> = (0..CONNECTIONS)
        .map(|place| {
            let user = place as u16 % SESSIONS + 1;
            let address = if place < usize::from(SESSIONS) { orders } else { market };
            let mut peer = Peer::open(address);
            peer.is_alive = false;
            peer.say(FromClient::Login(login(user, Session::BLANK, 1))).unwrap();
            peer
        })
        .collect();
    let sockets: Vec<TcpStream> =
        peers.iter().map(|peer| peer.stream.try_clone().unwrap()).collect();
    let is_over = AtomicBool::new(false);
    scope(|scope| {
        // They are served one after the other below: all of them are alive meanwhile.
        scope.spawn(|| {
            use std::io::Write;
            while !is_over.load(Ordering::SeqCst) {
                for mut socket in &sockets {
                    let _ = socket.write_all(&packed(FromClient::Heartbeat));
                }
                sleep(Duration::from_secs(1));
            }
        });
        let _stops = Stops(&is_over);
        for peer in &mut peers {
            assert_eq!(peer.next(), Heard::Accepted);
        }
        let (traders, watchers) = peers.split_at_mut(SESSIONS.into());
        trade(traders);
        // All of them are told the same.
        let first = watchers[0].all(from_the_market(usize::from(SESSIONS)));
        for watcher in &mut watchers[1..] {
            assert!((0..first.len()).all(|place| watcher.message().1 == first[place]));
        }
        for peer in &mut peers {
            assert_eq!(peer.next(), Heard::Heartbeat);
        }
    });
}

#[test]
fn one_address_takes_only_so_many_places() {
    const MOST: usize = 5;
    let directory = tempfile::tempdir().unwrap();
    let most = MOST.to_string();
    let settings = ["--release", "journaled", "--connections-per-address", &most];
    let serving = Serving::start(&settings, directory.path());
    let market = serving.addresses[1];
    let crowded = Ipv4Addr::new(127, 0, 0, 2);
    // Where it is turned away while it logs in, it does not get that far.
    let join = || {
        let mut peer = Peer::open_from(crowded, market, 1 << 16);
        let said = peer.say(FromClient::Login(login(2, Session::BLANK, 0)));
        (said.is_ok() && peer.next() == Heard::Accepted).then_some(peer)
    };
    let mut crowd: Vec<Peer> = (0..MOST).map(|_| join().expect("there is room")).collect();
    assert!(join().is_none());
    Peer::from(market, 3, 0);
    crowd.pop();
    // The server hears of that in a moment.
    let begun = Instant::now();
    while join().is_none() {
        assert!(begun.elapsed() < PATIENCE, "the place stays taken");
    }
    let done = serving.drain();
    done.expect(0, &["turned away: 5 connections come from its address", "from a crowded address"]);
}

/// Each has an order, and each hears of it.
fn trade(traders: &mut [Peer]) {
    for (place, peer) in traders.iter_mut().enumerate() {
        peer.order(&order(place as u64, Side::BUY, 100, PRICE)).unwrap();
    }
    for peer in traders {
        assert!(matches!(peer.told(), Outbound::SystemEvent(_)));
        assert!(matches!(peer.told(), Outbound::Accepted(_)));
    }
}

/// The day's three messages, four of each instrument, and one of each order.
fn from_the_market(orders: usize) -> usize {
    3 + 4 * 103 + orders
}
