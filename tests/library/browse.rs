//! Searches of an event log, beside a plain walk over all of it.

use fastrand::Rng;
use ringframe::browse::{Begin, Browser, Search};
use ringframe::exchange::Exchange;
use ringframe::exchange::event::{Event, Killed};
use ringframe::record::Record;
use ringframe::types::{Nanos, Sequence};
use ringframe_journal::{Append, Frame, Journal, Options, SimulatedStorage};

/// More than two pieces of the browser's, in many segments.
const EVENTS: u64 = 20_000;
const SEGMENT_BYTES: u64 = 72 << 10;

/// Every command has three events, and a time of its own.
fn cause(number: u64) -> u64 {
    number.div_ceil(3)
}

fn time(number: u64) -> u64 {
    1_000 + 10 * cause(number)
}

fn participant(number: u64) -> u16 {
    (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u16
}

/// Begins with event `first`, as a log does that was begun behind a snapshot.
fn log(first: u64) -> SimulatedStorage {
    let storage = SimulatedStorage::default();
    let options = Options {
        segment_bytes: SEGMENT_BYTES,
        first_sequence: first,
        ..Options::new("browsed events", 1)
    };
    let mut log = Journal::open(storage.clone(), options).unwrap();
    let mut payload = [0; 8 + Event::BYTES_MAX];
    for number in first..first + EVENTS {
        let event = Event::from(Killed { participant: participant(number), on: 1 });
        payload[..8].copy_from_slice(&cause(number).to_le_bytes());
        let bytes = event.encode(&mut payload[8..]);
        let frame = Frame {
            sequence: number,
            timestamp: time(number),
            epoch: 1,
            kind: event.kind(),
            schema: Event::VERSION,
            payload: &payload[..8 + bytes],
        };
        while log.writer.append(&frame).unwrap() == Append::Wait {
            log.syncer.poll(number).unwrap();
            log.keeper.poll(number).unwrap();
        }
    }
    log.writer.publish().unwrap();
    storage
}

fn find(
    browser: &mut Browser<SimulatedStorage>,
    begin: Begin,
    wanted: Option<u16>,
    limit: usize,
    last: u64,
) -> (Vec<u64>, Option<Begin>) {
    let filter = Box::new(move |outcome: &ringframe::embed::Outcome<Exchange>| {
        wanted.is_none_or(|wanted| wanted == participant(outcome.number))
    });
    let search = Search::<Exchange> { begin, filter, limit };
    let found = browser.find(&search, last).unwrap();
    (found.events.iter().map(|event| event.number).collect(), found.next)
}

#[test]
fn a_search_finds_what_a_walk_over_all_events_finds() {
    for first in [1, 5_000] {
        let storage = log(first);
        let mut browser = Browser::new(storage);
        let mut rng = Rng::with_seed(first);
        for round in 0..60 {
            let last = first + rng.u64(..EVENTS);
            let at = rng.u64(first.saturating_sub(100)..first + EVENTS + 100);
            let begin = match rng.u8(..5) {
                0 => Begin::Newest,
                1 => Begin::Before(at),
                2 => Begin::From(at),
                3 => Begin::Sequence(Sequence(cause(at))),
                _ => Begin::Time(Nanos(time(at) - rng.u64(..10))),
            };
            let wanted = rng.bool().then(|| rng.u16(..256));
            let limit = rng.usize(1..80);
            let fits = |number: &u64| wanted.is_none_or(|wanted| wanted == participant(*number));
            let all = first..=last;
            let expected: Vec<u64> = match begin {
                Begin::Newest => all.rev().filter(fits).take(limit).collect(),
                Begin::Before(at) => {
                    all.rev().filter(|it| *it < at).filter(fits).take(limit).collect()
                }
                Begin::From(at) => all.filter(|it| *it >= at).filter(fits).take(limit).collect(),
                Begin::Sequence(sequence) => {
                    let is_there = |it: &u64| cause(*it) >= sequence.0;
                    all.filter(is_there).filter(fits).take(limit).collect()
                }
                Begin::Time(at) => {
                    let is_there = |it: &u64| time(*it) >= at.0;
                    all.filter(is_there).filter(fits).take(limit).collect()
                }
            };
            let (found, _) = find(&mut browser, begin, wanted, limit, last);
            assert_eq!(found, expected, "{round}: {begin:?} {wanted:?} {limit} to {last}");
        }
    }
}

#[test]
fn a_search_goes_on_where_it_stopped_until_the_log_s_end() {
    let storage = log(1);
    let mut browser = Browser::new(storage.clone());
    for start in [Begin::Newest, Begin::From(1)] {
        let (mut all, mut next) = (Vec::new(), Some(start));
        while let Some(begin) = next {
            let (found, then) = find(&mut browser, begin, Some(7), 9, EVENTS);
            all.extend(found);
            next = then.filter(|then| *then != Begin::From(EVENTS + 1));
        }
        if start == Begin::Newest {
            all.reverse();
        }
        let expected: Vec<u64> = (1..=EVENTS).filter(|it| participant(*it) == 7).collect();
        assert_eq!(all, expected, "{start:?}");
    }
    // At the end one asks again later, at the same place.
    let (found, next) = find(&mut browser, Begin::From(EVENTS + 1), None, 9, EVENTS);
    assert_eq!((found, next), (Vec::new(), Some(Begin::From(EVENTS + 1))));
    let empty = find(&mut Browser::new(SimulatedStorage::default()), Begin::Newest, None, 9, 0);
    assert_eq!(empty, (Vec::new(), None));
}
