//! Who brings more than there is room for waits, and nobody else does: on a gateway polled by hand.

use ringframe::gateway::{AHEAD, GatewayOptions, TURN};
use ringframe::traffic::Count;
use ringframe::wire::ouch::Side;
use ringframe::wire::soup::FromClient;
use rustix::net::sockopt::set_socket_linger;

use crate::peer::{Heard, PRICE, Peer, order, packed, packed_order};
use crate::polled::{Polled, until};

const GOOD: u16 = 1;
/// Users from here on bring too much.
const FLOOD: u16 = 60;
/// More than a read takes, and more than may wait.
const MANY: u64 = 4 * AHEAD;

fn orders(numbers: std::ops::Range<u64>) -> Vec<u8> {
    numbers.flat_map(|number| packed_order(&order(number, Side::BUY, 1, PRICE / 2))).collect()
}

fn is_told(peer: &mut Peer) -> bool {
    peer.heard().iter().any(|heard| matches!(heard, Heard::Message(..)))
}

/// Clients that have brought too much and are held back: nobody takes anything from the ring.
fn floods(polled: &mut Polled, count: u16) -> Vec<Peer> {
    let mut floods: Vec<Peer> =
        (0..count).map(|flood| polled.log_in(0, FLOOD + flood, 0)).collect();
    for flood in &mut floods {
        flood.write(&orders(0..MANY)).unwrap();
    }
    held_back(polled, count.into());
    floods
}

/// Polls the gateway alone until so many were held back so far.
fn held_back(polled: &mut Polled, times: u64) {
    until(|| {
        polled.poll();
        polled.gateway.traffic().get(Count::HeldBack) >= times
    });
}

/// What is in the ring is done.
fn empty_ring(polled: &mut Polled) {
    until(|| {
        polled.turn_behind();
        polled.positions.waiting().commands == 0
    });
}

#[test]
fn who_floods_with_heartbeats_takes_turns_with_others() {
    let mut polled = Polled::open(GatewayOptions::default());
    let mut flood = polled.log_in(0, FLOOD, 0);
    let mut good = polled.log_in(0, GOOD, 0);
    let beat = packed(FromClient::Heartbeat);
    let beats = beat.repeat(1 << 16);
    let mut poured = 0;
    for number in 0..10 {
        let mut is_sent = false;
        until(|| {
            // There is always more than is read at a time, and it came first.
            while let more @ 1.. = flood.pour(&beats[poured % beat.len()..]) {
                poured += more;
            }
            if !std::mem::replace(&mut is_sent, true) {
                good.order(&order(number, Side::BUY, 1, PRICE / 2)).unwrap();
            }
            polled.turn();
            is_told(&mut good)
        });
    }
}

#[test]
fn a_flood_has_only_a_turn_of_commands_in_the_ring_and_others_pass_it() {
    let mut polled = Polled::open(GatewayOptions::default());
    let mut good = polled.log_in(0, GOOD, 0);
    let _flood = floods(&mut polled, 1);
    for _ in 0..100 {
        polled.poll();
        assert_eq!(polled.positions.waiting().commands, TURN);
    }
    good.order(&order(0, Side::BUY, 1, PRICE / 2)).unwrap();
    // There is room for who has none there.
    until(|| {
        polled.poll();
        polled.positions.waiting().commands == TURN + 1
    });
    until(|| {
        polled.turn();
        is_told(&mut good)
    });
    let done = polled.gateway.traffic().get(Count::Commands);
    assert!(done < MANY, "the flood was all there before: {done}");
}

#[test]
fn who_waits_for_room_gets_it_in_turn() {
    // Together they fill what may wait.
    const FLOODS: u16 = (AHEAD / TURN) as u16;
    let mut polled = Polled::open(GatewayOptions::default());
    let mut good = polled.log_in(0, GOOD, 0);
    let _floods = floods(&mut polled, FLOODS);
    good.order(&order(0, Side::BUY, 1, PRICE / 2)).unwrap();
    held_back(&mut polled, u64::from(FLOODS) + 1);
    // Each flood may have a turn before it.
    for _ in 0..=FLOODS {
        empty_ring(&mut polled);
        polled.poll();
    }
    polled.turn_behind();
    polled.poll();
    // Its answer is on its way, or there is none.
    until(|| is_told(&mut good));
}

#[test]
fn who_waits_is_not_passed_by_all_who_come() {
    let mut polled = Polled::open(GatewayOptions::default());
    let quick = FLOOD..FLOOD + (AHEAD / TURN) as u16;
    let mut quick: Vec<Peer> = quick.map(|user| polled.log_in(0, user, 0)).collect();
    let mut good = polled.log_in(0, GOOD, 0);
    // Together they fill the ring, and none of them waits.
    let mut fill = |polled: &mut Polled, round: u64| {
        let share = AHEAD / quick.len() as u64;
        for peer in &mut quick {
            peer.write(&orders(round * share..(round + 1) * share)).unwrap();
        }
        polled.poll();
    };
    fill(&mut polled, 0);
    until(|| {
        polled.poll();
        polled.positions.waiting().commands == AHEAD
    });
    good.order(&order(0, Side::BUY, 1, PRICE / 2)).unwrap();
    held_back(&mut polled, 1);
    for round in 1..5 {
        empty_ring(&mut polled);
        fill(&mut polled, round);
    }
    // Its answer is on its way, or there is none.
    until(|| is_told(&mut good));
}

#[test]
fn one_that_breaks_while_it_waits_is_gone() {
    // Nothing is said to it, which would tell that it is gone.
    let options = GatewayOptions { heartbeat_nanos: u64::MAX, ..GatewayOptions::default() };
    let mut polled = Polled::open(options);
    let floods = floods(&mut polled, 1);
    assert_eq!(polled.clients().connections, 1);
    set_socket_linger(&floods[0].stream, Some(std::time::Duration::ZERO)).unwrap();
    drop(floods);
    until(|| polled.clients().connections == 0);
}
