//! The books of all instruments: live orders, their queues, how they meet, and what is told of it.
//! Whose the orders are, and what that means, it asks its [`Owners`]; so it can be driven alone.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::command::{Handling, Lifetime, Pricing, SelfTrade, State, Terms};
use super::event::{Accepted, Event, OrderId, Replaced};
use super::ids::{Side, Token};
use super::instruments::{Instruments, rank};
use super::ladder::Ladder;
use super::orders::{Extra, NONE, Order, Orders};
use crate::logic::Emit;

/// Who has an order, and what that one calls it.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The client's name of the order.
    pub token: Token,
    /// Whose order.
    pub session: u16,
    /// Whose session: orders of the same place do not trade with each other, unless it allows that.
    pub place: u16,
}

/// The book's other half: those who have orders, by the numbers that the orders came with.
pub trait Owners {
    /// Who has the order with this number.
    fn owner(&self, number: u32) -> Owner;
    /// What happens when orders of this place meet each other.
    fn self_trade(&self, place: u16) -> SelfTrade;
    /// The order with this number is live, in this slot.
    fn entered(&mut self, number: u32, slot: u32);
    /// Shares changed hands.
    fn traded(&mut self, instrument: u16, buyer: u16, seller: u16, quantity: u32);
    /// Open shares of an order went.
    fn reduced(&mut self, place: u16, instrument: u16, is_buy: bool, quantity: u32);
    /// The order is live no more.
    fn ended(&mut self, number: u32, owner: Owner);
}

/// An order that may come in: its terms are sound and fit the instrument's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Incoming {
    /// The instrument's number.
    pub instrument: u16,
    /// What the wire wants back.
    pub marks: u16,
    /// Its side.
    pub side: Side,
    /// Limit or market.
    pub pricing: Pricing,
    /// How long it may wait.
    pub lifetime: Lifetime,
    /// How it stands in the book.
    pub handling: Handling,
    /// Its limit in ticks.
    pub tick: u32,
    /// Its limit; 0 for a market order.
    pub price: u32,
    /// What wakes it; 0 for an order that is no stop.
    pub stop: u32,
    /// The same in ticks.
    pub stop_tick: u32,
    /// Its open shares.
    pub quantity: u32,
    /// What traded of the order that it takes the place of.
    pub executed: u32,
    /// How many shares it shows at a time; 0 for all.
    pub display: u32,
    /// How many must trade at once.
    pub minimum: u32,
    /// When a good-till order ends.
    pub expires: u64,
}

/// All books.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Book<O> {
    pub(super) instruments: Instruments,
    pub(super) orders: Orders,
    /// Whose the orders are.
    pub owners: O,
    /// The number of the last trade.
    pub(super) matches: u64,
    /// Stops that are awake and wait their turn; empty between two commands.
    #[serde(skip)]
    pub(super) elected: VecDeque<u32>,
}

impl<O: Owners> Book<O> {
    /// Without instruments and orders.
    pub fn new(owners: O) -> Self {
        Self {
            instruments: Instruments::default(),
            orders: Orders::default(),
            owners,
            matches: 0,
            elected: VecDeque::new(),
        }
    }

    /// Adds an instrument; says its number.
    pub fn add_instrument(&mut self, terms: Terms) -> u16 {
        self.instruments.add(terms)
    }

    /// Lets the orders of an instrument trade as they come.
    pub fn open(&mut self, instrument: u16) {
        self.instruments.get_mut(instrument).go(State::Open);
    }

    /// Takes the memory for this many live orders now, so that none is asked for later.
    pub fn reserve(&mut self, orders: usize) {
        self.orders.reserve(orders);
    }

    /// What an order would be that took the place of the live one with this number; `None` where it
    /// is not, or not any more, in this slot.
    #[inline]
    pub fn live(&self, slot: u32, number: u32) -> Option<Incoming> {
        let order = self.orders.find(slot)?;
        (order.number == number && order.has(Order::LINKED)).then(|| Incoming {
            instrument: order.instrument,
            side: order.side(),
            tick: order.tick,
            price: self.instruments.get(order.instrument).price(order.tick),
            quantity: order.open,
            executed: order.executed,
            ..Incoming::default()
        })
    }

    /// An order comes in.
    #[inline]
    pub fn enter(
        &mut self,
        number: u32,
        owner: Owner,
        incoming: &Incoming,
        emit: &mut Emit<'_, Event>,
    ) {
        let slot = self.admit(number, incoming);
        let accepted = self.accepted(slot, owner, incoming);
        emit.event(&Event::Accepted(accepted));
        self.arrive(slot, owner, incoming, emit);
    }

    /// An order takes the place of a live one.
    #[inline]
    pub fn replace(
        &mut self,
        old: u32,
        number: u32,
        owner: Owner,
        incoming: &Incoming,
        emit: &mut Emit<'_, Event>,
    ) {
        let order = *self.orders.get(old);
        let old_owner = self.owners.owner(order.number);
        let old_reference = self.orders.reference(&order);
        let old_shown = self.orders.displayed(&order);
        self.end(old, &order, old_owner);
        let slot = self.admit(number, incoming);
        let new = self.accepted(slot, owner, incoming);
        let old_token = old_owner.token;
        emit.event(&Event::Replaced(Replaced { new, old_reference, old_token, old_shown }));
        self.arrive(slot, owner, incoming, emit);
    }

    /// Makes the order, which stands nowhere yet.
    #[inline]
    fn admit(&mut self, number: u32, incoming: &Incoming) -> u32 {
        let mut flags = incoming.side as u16;
        if incoming.handling == Handling::Hidden {
            flags |= Order::HIDDEN;
        }
        if incoming.pricing == Pricing::Market {
            flags |= Order::MARKET;
        }
        let mut extra = NONE;
        if incoming.stop != 0 || incoming.display != 0 {
            let (display, stop) = (incoming.display, incoming.stop_tick);
            extra = self.orders.add_extra(Extra { slice: display, display, refreshes: 0, stop });
            if stop != 0 {
                flags |= Order::PARKED;
            }
        }
        let slot = self.orders.add(Order {
            next: NONE,
            prev: NONE,
            tick: incoming.tick,
            open: incoming.quantity,
            executed: incoming.executed,
            number,
            extra,
            instrument: incoming.instrument,
            flags,
        });
        self.owners.entered(number, slot);
        slot
    }

    #[inline]
    fn accepted(&self, slot: u32, owner: Owner, incoming: &Incoming) -> Accepted {
        let order = self.orders.get(slot);
        let instrument = self.instruments.get(incoming.instrument);
        let stands = if order.has(Order::PARKED | Order::MARKET | Order::HIDDEN) {
            false
        } else if instrument.state == State::Open {
            let is_buy = order.is_buy();
            !matches!(incoming.lifetime, Lifetime::Immediate | Lifetime::AllOrNothing)
                && instrument.half(!is_buy).best() > rank(!is_buy, order.tick)
        } else {
            true
        };
        Accepted {
            order: self.order_id(order, owner),
            expires: incoming.expires,
            price: incoming.price,
            quantity: incoming.quantity,
            displayed: if stands { self.orders.slice(order) } else { 0 },
            display: incoming.display,
            minimum: incoming.minimum,
            stop: incoming.stop,
            side: incoming.side,
            pricing: incoming.pricing,
            lifetime: incoming.lifetime,
            handling: incoming.handling,
            marks: incoming.marks,
            reserved: 0,
        }
    }

    #[inline]
    pub(super) fn order_id(&self, order: &Order, owner: Owner) -> OrderId {
        OrderId {
            reference: self.orders.reference(order),
            token: owner.token,
            session: owner.session,
            instrument: order.instrument,
        }
    }

    /// The order is no more: it leaves its queue, its slot and all counts. `order` is what it is.
    #[inline]
    pub(super) fn end(&mut self, slot: u32, order: &Order, owner: Owner) {
        self.owners.ended(order.number, owner);
        if order.open > 0 {
            self.owners.reduced(owner.place, order.instrument, order.is_buy(), order.open);
        }
        if order.has(Order::LINKED) {
            self.instruments.get_mut(order.instrument).unlink(slot, &mut self.orders);
        }
        self.orders.remove(slot);
    }

    /// Where a new order would queue.
    #[inline]
    pub(super) fn queue_of(&self, instrument: u16, side: Side, price: u32) -> (&Ladder, u32) {
        let instrument = self.instruments.get(instrument);
        let is_buy = side.is_buy();
        (&instrument.half(is_buy).displayed, rank(is_buy, instrument.ticks(price)))
    }
}
