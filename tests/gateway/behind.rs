//! Clients that are far behind: they get the past from the event log and join the live flow where
//! the two meet, while orders keep coming.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::scope;

use ringframe::wire::ouch::{Outbound, Side};

use crate::peer::{PRICE, Peer, Stops, answered, order, token};
use crate::program::Serving;

/// Who rests in the book, and who trades with him.
const MAKER: u16 = 1;
const TAKER: u16 = 2;
const WATCHER: u16 = 3;
/// Twice as many messages as a session's window has room for.
const FAR: u64 = 8_000;
/// So many orders of the taker are on their way.
const AHEAD: u64 = 64;

/// Sends sell orders of one share each, from number `first` on, until there were so many answers,
/// or it is told to stop; gives the number of the next order.
fn sell(address: SocketAddr, first: u64, count: u64, stop: &AtomicBool, told: &AtomicU64) -> u64 {
    let mut peer = Peer::from(address, TAKER, 0);
    let (mut sent, mut answers) = (first, first);
    loop {
        let ends = stop.load(Ordering::SeqCst) || answers - first >= count;
        if ends && answers == sent {
            return sent;
        }
        while !ends && sent < answers + AHEAD {
            peer.order(&order(sent, Side::SELL, 1, PRICE)).unwrap();
            sent += 1;
        }
        if answered(&peer.told()).is_some() {
            answers += 1;
            told.store(answers, Ordering::SeqCst);
        }
    }
}

/// All that the maker is told from a message on, up to the answer to its order of this number.
fn up_to(peer: &mut Peer, number: u64) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    loop {
        let (at, message) = peer.message();
        assert_eq!(at + 1, peer.next);
        let is_last = answered(&Outbound::decode(&message).unwrap()) == Some(token(number));
        messages.push(message);
        if is_last {
            return messages;
        }
    }
}

#[test]
fn a_session_that_is_far_behind_joins_the_live_flow_without_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let settings = ["--release", "journaled", "--set", "event_segment_bytes=256KiB"];
    let serving = Serving::start(&settings, directory.path());
    let address = serving.addresses[0];
    let mut maker = Peer::from(address, MAKER, 1);
    maker.order(&order(0, Side::BUY, 900_000, PRICE)).unwrap();
    let start = up_to(&mut maker, 0);
    assert_eq!(start.len(), 2, "the day, and the order");
    drop(maker);
    // It hears nothing of what is done to its order.
    let (stop, told) = (AtomicBool::new(false), AtomicU64::new(0));
    let next = sell(address, 0, FAR, &stop, &told);
    for from in [1, 2, FAR / 2, FAR] {
        stop.store(false, Ordering::SeqCst);
        let all = scope(|scope| {
            let (stop, told) = (&stop, &told);
            let first = told.load(Ordering::SeqCst).max(next);
            let stops = Stops(stop);
            let flow = scope.spawn(move || sell(address, first, u64::MAX, stop, told));
            let mut maker = Peer::from(address, MAKER, from);
            let mut all = Vec::new();
            // Well into what came after the login.
            let until = told.load(Ordering::SeqCst) + 1_000;
            while told.load(Ordering::SeqCst) < until || (all.len() as u64) < until {
                let (number, message) = maker.message();
                all.push(message);
                assert_eq!(number, from + all.len() as u64 - 1);
            }
            drop(stops);
            flow.join().unwrap();
            maker.order(&order(from, Side::BUY, 1, PRICE / 2)).unwrap();
            all.extend(up_to(&mut maker, from));
            all
        });
        // With the log alone, and nothing in memory, it is the same.
        let executed = all.iter().map(|message| Outbound::decode(message).unwrap());
        let executed: Vec<u64> = executed
            .filter_map(|message| match message {
                Outbound::Executed(executed) => Some(executed.match_number.get()),
                _ => None,
            })
            .collect();
        assert!(executed.is_sorted_by(|one, other| one + 1 == *other), "a trade is missing");
        let mut again = Peer::from(address, MAKER, from);
        assert!(again.all(all.len()) == all, "from {from}");
    }
}

#[test]
fn the_market_can_be_heard_from_any_number_on() {
    let directory = tempfile::tempdir().unwrap();
    let settings = ["--release", "journaled", "--set", "event_segment_bytes=256KiB"];
    let serving = Serving::start(&settings, directory.path());
    let (stop, told) = (AtomicBool::new(false), AtomicU64::new(0));
    let next = sell(serving.addresses[0], 0, FAR, &stop, &told);
    serving.drain();
    // Now all of it is in the log, and nothing in memory.
    let serving = Serving::start(&settings, directory.path());
    let [orders, market] = serving.addresses;
    let (before, heard) = scope(|scope| {
        let (stop, told) = (&stop, &told);
        let stops = Stops(stop);
        let flow = scope.spawn(move || sell(orders, next, u64::MAX, stop, told));
        let mut first = Peer::from(market, WATCHER, 1);
        let heard: Vec<_> = (0..FAR).map(|_| first.message().1).collect();
        let readers: Vec<_> = (0..8)
            .map(|reader| {
                let from = 1 + reader * FAR / 8;
                scope.spawn(move || {
                    let mut peer = Peer::from(market, WATCHER, from);
                    // Well into what came after the login.
                    let until = told.load(Ordering::SeqCst) + 1_000;
                    let messages: Vec<_> = (from..=until)
                        .map(|number| {
                            let (at, message) = peer.message();
                            assert_eq!(at, number);
                            message
                        })
                        .collect();
                    (from, messages)
                })
            })
            .collect();
        let read: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        let mut heard = heard;
        let longest = read.iter().map(|(from, all)| *from as usize + all.len()).max().unwrap();
        heard.extend((heard.len()..longest).map(|_| first.message().1));
        drop(stops);
        flow.join().unwrap();
        (heard, read)
    });
    for (from, messages) in heard {
        let from = from as usize - 1;
        assert!(before[from..from + messages.len()] == messages, "from {}", from + 1);
    }
}
