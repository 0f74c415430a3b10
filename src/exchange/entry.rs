//! An order comes in: it is announced, it trades with what waits for it, and what is left of it
//! rests, sleeps or is canceled. `docs/EXCHANGE.md`, sections 4, 5, 7 and 8.

use super::Exchange;
use super::check::Entry;
use super::command::{Handling, Lifetime, Pricing, State};
use super::event::{Accepted, Event, Reason, Replaced, Rested, Triggered};
use super::instruments::rank;
use super::ladder::EMPTY;
use super::matching::Traded;
use super::orders::{Extra, NONE, Order};
use crate::logic::{Emit, Moment};

/// What holds for an order only while it comes in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// What does not trade at once is canceled.
    immediate: bool,
    /// So many shares must trade at once, or none.
    minimum: u32,
    post_only: bool,
    /// It slept, so nobody was told where it stands.
    woken: bool,
}

impl Arrival {
    fn new(entry: &Entry) -> Self {
        let all = entry.lifetime == Lifetime::AllOrNothing;
        Self {
            immediate: all || entry.lifetime == Lifetime::Immediate,
            minimum: if all { entry.quantity } else { entry.minimum },
            post_only: entry.handling == Handling::PostOnly,
            woken: false,
        }
    }
}

impl Exchange {
    #[inline]
    pub(super) fn enter(&mut self, entry: &Entry, at: &Moment, emit: &mut Emit<'_, Event>) {
        let slot = self.admit(entry, at);
        let accepted = self.accepted(slot, entry);
        emit.event(&Event::Accepted(accepted));
        self.arrive(slot, entry, emit);
    }

    pub(super) fn replace(
        &mut self,
        old: u32,
        entry: &Entry,
        at: &Moment,
        emit: &mut Emit<'_, Event>,
    ) {
        let order = *self.orders.get(old);
        let old_reference = self.orders.reference(&order);
        let old_token = self.tokens.get(order.number).token;
        self.end(old);
        let slot = self.admit(entry, at);
        let new = self.accepted(slot, entry);
        emit.event(&Event::Replaced(Replaced { new, old_reference, old_token, reserved: 0 }));
        self.arrive(slot, entry, emit);
    }

    /// Makes the order, which stands nowhere yet.
    #[inline]
    fn admit(&mut self, entry: &Entry, at: &Moment) -> u32 {
        let slot = self.orders.next_slot();
        let number = self.tokens.add(&entry.key, entry.marks, slot);
        let mut flags = entry.side as u16;
        if entry.handling == Handling::Hidden {
            flags |= Order::HIDDEN;
        }
        if entry.pricing == Pricing::Market {
            flags |= Order::MARKET;
        }
        if entry.lifetime == Lifetime::GoodTill {
            flags |= Order::GOOD_TILL;
            self.timers.set(entry.expires, number, &self.tokens);
        }
        let mut extra = NONE;
        if entry.stop != 0 || entry.display != 0 {
            let (display, stop) = (entry.display, entry.stop_tick);
            extra = self.orders.add_extra(Extra { slice: display, display, refreshes: 0, stop });
            if stop != 0 {
                flags |= Order::PARKED;
            }
        }
        self.orders.add(Order {
            next: NONE,
            prev: NONE,
            tick: entry.tick,
            open: entry.quantity,
            executed: entry.executed,
            number,
            extra,
            instrument: entry.instrument,
            flags,
        });
        self.parties.opened(entry.session, number, &self.tokens);
        self.parties.participant_mut(entry.place).entered(at.time);
        let instrument = self.instruments.get_mut(entry.instrument);
        instrument.exposure_mut(entry.place).open(entry.side.is_buy(), entry.quantity);
        slot
    }

    #[inline]
    fn accepted(&self, slot: u32, entry: &Entry) -> Accepted {
        let order = self.orders.get(slot);
        let instrument = self.instruments.get(entry.instrument);
        let stands = if order.has(Order::PARKED | Order::MARKET | Order::HIDDEN) {
            false
        } else if instrument.state == State::Open {
            let is_buy = order.is_buy();
            !matches!(entry.lifetime, Lifetime::Immediate | Lifetime::AllOrNothing)
                && instrument.half(!is_buy).best() > rank(!is_buy, order.tick)
        } else {
            true
        };
        Accepted {
            order: self.order_id(order),
            expires: entry.expires,
            price: entry.price,
            quantity: entry.quantity,
            displayed: if stands { self.orders.slice(order) } else { 0 },
            display: entry.display,
            minimum: entry.minimum,
            stop: entry.stop,
            side: entry.side,
            pricing: entry.pricing,
            lifetime: entry.lifetime,
            handling: entry.handling,
            marks: entry.marks,
            reserved: 0,
        }
    }

    #[inline]
    fn arrive(&mut self, slot: u32, entry: &Entry, emit: &mut Emit<'_, Event>) {
        let instrument = self.instruments.get_mut(entry.instrument);
        if instrument.state != State::Open {
            return instrument.link(slot, &mut self.orders);
        }
        let traded = if entry.stop == 0 {
            self.run(slot, Arrival::new(entry), emit)
        } else {
            let reference = instrument.reference();
            let is_due = reference != 0
                && if entry.side.is_buy() {
                    reference >= entry.stop
                } else {
                    reference <= entry.stop
                };
            if !is_due {
                return instrument.link(slot, &mut self.orders);
            }
            self.wake(slot, emit)
        };
        self.wake_stops(entry.instrument, traded, emit);
    }

    /// Lets the order trade, and puts what is left where it belongs.
    #[inline]
    fn run(&mut self, slot: u32, arrival: Arrival, emit: &mut Emit<'_, Event>) -> Traded {
        let order = *self.orders.get(slot);
        let is_buy = order.is_buy();
        let is_market = order.has(Order::MARKET);
        let instrument = self.instruments.get(order.instrument);
        let worst = if is_market { instrument.collar(is_buy) } else { Some(order.tick) };
        // `EMPTY` itself is never reached.
        let limit = worst.map_or(EMPTY - 1, |tick| rank(!is_buy, tick).min(EMPTY - 1));
        let meets = instrument.half(!is_buy).best() <= limit;
        let mut traded = Traded::default();
        let price = instrument.price(order.tick);
        if arrival.woken && !is_market && instrument.is_beyond_collar(is_buy, price) {
            self.cancel(slot, Reason::Collar, emit);
            return traded;
        }
        if meets {
            if arrival.post_only {
                self.cancel(slot, Reason::PostOnly, emit);
                return traded;
            }
            if arrival.minimum == 0 || self.available(slot, limit, arrival.minimum) {
                traded = self.sweep(slot, limit, emit);
                if traded.is_over {
                    return traded;
                }
            } else {
                self.cancel(slot, Reason::Unfilled, emit);
                return traded;
            }
        } else if arrival.minimum > 0 {
            self.cancel(slot, Reason::Unfilled, emit);
            return traded;
        }
        if is_market || arrival.immediate {
            let instrument = self.instruments.get(order.instrument);
            let is_held = is_market && worst.is_some() && instrument.half(!is_buy).best() != EMPTY;
            self.cancel(slot, if is_held { Reason::Collar } else { Reason::Immediate }, emit);
        } else {
            self.rest(slot, meets || arrival.woken, emit);
        }
        traded
    }

    /// Puts the order into the book, and says so where its acceptance did not.
    #[inline]
    fn rest(&mut self, slot: u32, is_news: bool, emit: &mut Emit<'_, Event>) {
        let Order { open, instrument, .. } = *self.orders.get(slot);
        if let Some(extra) = self.orders.extra_mut(slot) {
            extra.slice = extra.display.min(open);
        }
        self.instruments.get_mut(instrument).link(slot, &mut self.orders);
        if is_news {
            self.say_rested(slot, emit);
        }
    }

    /// Says where a displayed order stands.
    pub(super) fn say_rested(&self, slot: u32, emit: &mut Emit<'_, Event>) {
        let order = self.orders.get(slot);
        if order.has(Order::HIDDEN) {
            return;
        }
        emit.event(&Event::Rested(Rested {
            order: self.order_id(order),
            price: self.instruments.get(order.instrument).price(order.tick),
            displayed: self.orders.displayed(order),
            remaining: order.open,
            side: order.side(),
            reserved: [0; 3],
        }));
    }

    /// A stop, which stands nowhere any more, becomes an order like others.
    fn wake(&mut self, slot: u32, emit: &mut Emit<'_, Event>) -> Traded {
        let order = *self.orders.get(slot);
        let stop = self.orders.extra(&order).map_or(0, |extra| extra.stop);
        emit.event(&Event::Triggered(Triggered {
            order: self.order_id(&order),
            stop: self.instruments.get(order.instrument).price(stop),
            quantity: order.open,
        }));
        self.orders.get_mut(slot).flags &= !Order::PARKED;
        if let Some(extra) = self.orders.extra_mut(slot) {
            extra.stop = 0;
        }
        let arrival = Arrival { immediate: false, minimum: 0, post_only: false, woken: true };
        self.run(slot, arrival, emit)
    }

    /// Wakes the stops that these trades elect, and those that theirs elect, until none is left.
    #[inline]
    pub(super) fn wake_stops(
        &mut self,
        instrument: u16,
        traded: Traded,
        emit: &mut Emit<'_, Event>,
    ) {
        if traded.highest == 0 {
            return;
        }
        self.elect(instrument, traded);
        while let Some(slot) = self.elected.pop_front() {
            let traded = self.wake(slot, emit);
            self.elect(instrument, traded);
        }
    }

    fn elect(&mut self, instrument: u16, traded: Traded) {
        if traded.highest == 0 {
            return;
        }
        let instrument = self.instruments.get_mut(instrument);
        let due = [
            (&mut instrument.buy_stops, rank(false, traded.highest)),
            (&mut instrument.sell_stops, rank(true, traded.lowest)),
        ];
        for (stops, last) in due {
            while stops.best() <= last
                && let Some(slot) = stops.first()
            {
                stops.unlink(stops.best(), slot, &mut self.orders);
                self.elected.push_back(slot);
            }
        }
    }
}
