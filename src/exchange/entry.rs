//! An order comes in: it is announced, it trades with what waits for it, and what is left of it
//! rests, sleeps or is canceled. `docs/EXCHANGE.md`, sections 4, 5, 7 and 8.

use super::Exchange;
use super::book::{Book, Incoming, Owner, Owners};
use super::check::Entry;
use super::command::{Handling, Lifetime, State};
use super::event::{Event, Reason, Rested, Triggered};
use super::instruments::rank;
use super::ladder::EMPTY;
use super::matching::Traded;
use super::orders::Order;
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
    fn new(incoming: &Incoming) -> Self {
        let all = incoming.lifetime == Lifetime::AllOrNothing;
        Self {
            immediate: all || incoming.lifetime == Lifetime::Immediate,
            minimum: if all { incoming.quantity } else { incoming.minimum },
            post_only: incoming.handling == Handling::PostOnly,
            woken: false,
        }
    }
}

impl Exchange {
    #[inline]
    pub(super) fn enter(&mut self, entry: &Entry, at: &Moment, emit: &mut Emit<'_, Event>) {
        let number = self.admit(entry, at);
        self.book.enter(number, entry.owner(), &entry.order, emit);
    }

    pub(super) fn replace(
        &mut self,
        old: u32,
        entry: &Entry,
        at: &Moment,
        emit: &mut Emit<'_, Event>,
    ) {
        let number = self.admit(entry, at);
        self.book.replace(old, number, entry.owner(), &entry.order, emit);
    }

    /// Makes the accounts ready for the order; says its number.
    #[inline]
    fn admit(&mut self, entry: &Entry, at: &Moment) -> u32 {
        let Entry { key, place, order } = entry;
        let accounts = &mut self.book.owners;
        let shares = (order.instrument, order.side.is_buy(), order.quantity);
        let number = accounts.open(key, order.marks, *place, shares);
        accounts.parties.participant_mut(*place).entered(at.time);
        if order.lifetime == Lifetime::GoodTill {
            self.timers.set(order.expires, number, &accounts.tokens);
        }
        number
    }
}

impl<O: Owners> Book<O> {
    #[inline]
    pub(super) fn arrive(
        &mut self,
        slot: u32,
        owner: Owner,
        incoming: &Incoming,
        emit: &mut Emit<'_, Event>,
    ) {
        let instrument = self.instruments.get_mut(incoming.instrument);
        if instrument.state != State::Open {
            return instrument.link(slot, &mut self.orders);
        }
        let traded = if incoming.stop == 0 {
            self.run(slot, owner, Arrival::new(incoming), emit)
        } else {
            let reference = instrument.reference();
            let is_due = reference != 0
                && if incoming.side.is_buy() {
                    reference >= incoming.stop
                } else {
                    reference <= incoming.stop
                };
            if !is_due {
                return instrument.link(slot, &mut self.orders);
            }
            self.wake(slot, emit)
        };
        self.wake_stops(incoming.instrument, traded, emit);
    }

    /// Lets the order trade, and puts what is left where it belongs.
    #[inline]
    fn run(
        &mut self,
        slot: u32,
        owner: Owner,
        arrival: Arrival,
        emit: &mut Emit<'_, Event>,
    ) -> Traded {
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
            if arrival.minimum == 0 || self.available(slot, owner, limit, arrival.minimum) {
                traded = self.sweep(slot, owner, limit, emit);
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
            self.say_rested(slot, 0, emit);
        }
    }

    /// Says where a displayed order stands; `old_shown` is what was seen of it elsewhere.
    pub(super) fn say_rested(&self, slot: u32, old_shown: u32, emit: &mut Emit<'_, Event>) {
        let order = self.orders.get(slot);
        if order.has(Order::HIDDEN) {
            return;
        }
        emit.event(&Event::Rested(Rested {
            order: self.order_id(order, self.owners.owner(order.number)),
            price: self.instruments.get(order.instrument).price(order.tick),
            displayed: self.orders.displayed(order),
            remaining: order.open,
            old_shown,
            side: order.side(),
            reserved: [0; 7],
        }));
    }

    /// A stop, which stands nowhere any more, becomes an order like others.
    fn wake(&mut self, slot: u32, emit: &mut Emit<'_, Event>) -> Traded {
        let order = *self.orders.get(slot);
        let stop = self.orders.extra(&order).map_or(0, |extra| extra.stop);
        let owner = self.owners.owner(order.number);
        emit.event(&Event::Triggered(Triggered {
            order: self.order_id(&order, owner),
            stop: self.instruments.get(order.instrument).price(stop),
            quantity: order.open,
        }));
        self.orders.get_mut(slot).flags &= !Order::PARKED;
        if let Some(extra) = self.orders.extra_mut(slot) {
            extra.stop = 0;
        }
        let arrival = Arrival { immediate: false, minimum: 0, post_only: false, woken: true };
        self.run(slot, owner, arrival, emit)
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
