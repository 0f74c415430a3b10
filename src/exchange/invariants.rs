//! What holds between any two commands. Tests and the fuzzer ask after each one; it walks over
//! everything, so nobody else should.

use std::collections::BTreeMap;

use super::Exchange;
use super::accounts::Accounts;
use super::command::State;
use super::instruments::{Half, Instrument, rank};
use super::ladder::{EMPTY, Ladder};
use super::orders::Order;
use super::parties::Exposure;
use super::tokens::Key;

/// Open shares and orders, by whose they are.
#[derive(Default)]
struct Counted {
    orders: u32,
    by_session: BTreeMap<u16, u32>,
    /// Buying and selling, by instrument and the participant's place.
    open: BTreeMap<(u16, u16), [u64; 2]>,
}

impl Exchange {
    /// Panics with what is wrong, if anything is.
    pub fn assert_invariants(&self) {
        assert!(self.book.elected.is_empty(), "stops wait between commands");
        let mut counted = Counted::default();
        for (number, instrument) in self.book.instruments.iter().enumerate() {
            self.assert_instrument(number as u16, instrument, &mut counted);
        }
        assert_eq!(counted.orders, self.book.orders.live(), "orders in queues and in slots");
        self.parties().assert_live(&counted.by_session);
        for (number, _) in (0..).zip(self.book.instruments.iter()) {
            assert_exposures(number, &self.book.owners, &counted);
        }
    }

    fn assert_instrument(&self, number: u16, instrument: &Instrument, counted: &mut Counted) {
        if matches!(instrument.state, State::Open | State::Halted) {
            let (bid, ask) = (instrument.buys.best(), instrument.sells.best());
            let crossed = bid != EMPTY && ask != EMPTY && !bid >= ask;
            assert!(!crossed, "bid {} and ask {ask} cross while trading", !bid);
        }
        for (is_buy, half) in [(true, &instrument.buys), (false, &instrument.sells)] {
            assert!(
                half.market.is_empty() || instrument.is_auction(),
                "market orders wait outside an auction"
            );
            self.assert_half(number, is_buy, half, counted);
        }
        for (is_buy, stops) in [(true, &instrument.buy_stops), (false, &instrument.sell_stops)] {
            self.assert_ladder(stops, &mut |order, at| {
                let stop = self.book.orders.extra(order).map_or(0, |extra| extra.stop);
                assert_eq!(at, rank(!is_buy, stop), "a stop at its price");
                assert!(order.has(Order::PARKED), "a stop sleeps");
                self.count(number, is_buy, order, counted);
            });
        }
    }

    fn assert_half(&self, number: u16, is_buy: bool, half: &Half, counted: &mut Counted) {
        for (ladder, hidden) in [(&half.displayed, false), (&half.hidden, true)] {
            self.assert_ladder(ladder, &mut |order, at| {
                assert_eq!(at, rank(is_buy, order.tick), "an order at its price");
                assert_eq!(order.has(Order::HIDDEN), hidden, "hidden orders among themselves");
                assert!(!order.has(Order::PARKED | Order::MARKET), "only limit orders at prices");
                assert!(self.book.orders.slice(order) <= order.open, "a slice is a part");
                assert!(self.book.orders.slice(order) > 0, "an order that can trade");
                self.count(number, is_buy, order, counted);
            });
        }
        for (_, order) in half.market.iter(&self.book.orders) {
            assert!(order.has(Order::MARKET), "only market orders without a price");
            self.count(number, is_buy, order, counted);
        }
    }

    fn assert_ladder(&self, ladder: &Ladder, each: &mut dyn FnMut(&Order, u32)) {
        for (at, queue) in ladder.assert_levels() {
            let mut before = super::orders::NONE;
            for (slot, order) in queue.iter(&self.book.orders) {
                assert_eq!(order.prev, before, "a list reads the same backwards");
                assert_eq!(self.tokens().get(order.number).slot, slot, "a token names its order");
                each(order, at);
                before = slot;
            }
            assert_eq!(queue.last(), Some(before), "a list ends with its last");
        }
    }

    fn count(&self, instrument: u16, is_buy: bool, order: &Order, counted: &mut Counted) {
        assert!(order.open > 0, "a live order has open shares");
        assert!(order.has(Order::LINKED), "an order in a queue says so");
        assert_eq!((order.is_buy(), order.instrument), (is_buy, instrument), "in its own book");
        let entry = self.tokens().get(order.number);
        let found = self.tokens().find(&Key::new(entry.session, entry.token));
        assert_eq!(found, Some(order.number), "a live token is found");
        let place = self.parties().owner(entry.session);
        counted.orders += 1;
        *counted.by_session.entry(entry.session).or_default() += 1;
        let open = counted.open.entry((instrument, place)).or_default();
        open[usize::from(!is_buy)] += u64::from(order.open);
    }
}

fn assert_exposures(number: u16, accounts: &Accounts, counted: &Counted) {
    let exposures = accounts.exposures(number);
    let positions: i64 = exposures.iter().map(|each| each.position).sum();
    assert_eq!(positions, 0, "what one bought another sold");
    let places = counted.open.keys().filter(|key| key.0 == number).map(|key| key.1);
    for place in places.chain((0..=u16::MAX).take(exposures.len())) {
        let [buying, selling] = counted.open.get(&(number, place)).copied().unwrap_or_default();
        let Exposure { position, .. } = accounts.exposure(number, place);
        let expected = Exposure { position, buying, selling };
        assert_eq!(accounts.exposure(number, place), expected, "open shares of a participant");
    }
}
