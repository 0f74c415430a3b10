//! The gateway's steady state: messages cost it no allocation, also of those who are held back.

use ringframe::gateway::{AHEAD, GatewayOptions};
use ringframe::traffic::Count;
use ringframe::types::Nanos;
use ringframe::wire::ouch::Side;

use crate::counting::allocations;
use crate::peer::{PRICE, Peer, order, packed_order};
use crate::polled::Polled;

const SESSIONS: u16 = 8;
const ROUNDS: u64 = 400;
/// In so many of them all windows have gone round, and all buffers are as large as they get.
const WARM_UP: u64 = 200;
/// Orders of each session in a round; of one session in one of ten rounds more than have room.
const ORDERS: u64 = 20;
const MORE: u64 = 2 * AHEAD;

#[test]
fn messages_cost_no_allocation() {
    let options = GatewayOptions {
        window_bytes: 64 << 10,
        feed_window_bytes: 64 << 10,
        ..GatewayOptions::default()
    };
    let mut polled = Polled::open(options);
    let mut traders: Vec<Peer> = (1..=SESSIONS).map(|user| polled.log_in(0, user, 0)).collect();
    let mut watcher = polled.log_in(1, SESSIONS + 1, 0);
    let (mut number, mut counted) = (0, 0);
    for round in 0..ROUNDS {
        polled.now = polled.now.after(Nanos::SECOND / 100);
        for (place, trader) in traders.iter_mut().enumerate() {
            let count = if place == 0 && round % 10 == 0 { MORE } else { ORDERS };
            // Each second one trades with the one before.
            let side = if place % 2 == 0 { Side::BUY } else { Side::SELL };
            let bytes: Vec<u8> = (number..number + count)
                .flat_map(|number| packed_order(&order(number, side, 1, PRICE)))
                .collect();
            number += count;
            // The last packet comes in two pieces.
            let (most, rest) = bytes.split_at(bytes.len() - 7);
            trader.write(most).unwrap();
            counted += polled_once(&mut polled, round);
            trader.write(rest).unwrap();
        }
        // All of it is done before the next round: nobody falls behind his window.
        while polled.gateway.traffic().get(Count::Commands) < number || !polled.positions.is_quiet()
        {
            counted += polled_once(&mut polled, round);
            polled.turn_behind();
            traders.iter_mut().chain([&mut watcher]).for_each(|peer| drop(peer.heard()));
        }
    }
    let held = polled.gateway.traffic().get(Count::HeldBack);
    println!("{counted} allocations for {number} orders, held back {held} times");
    assert!(held >= ROUNDS / 10, "{held}");
    assert_eq!(counted, 0);
}

/// Polls the gateway, and says what that allocated once it is warm.
fn polled_once(polled: &mut Polled, round: u64) -> u64 {
    let before = allocations();
    polled.poll();
    if round < WARM_UP { 0 } else { allocations() - before }
}
