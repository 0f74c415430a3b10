//! Orders are made smaller or taken out: by their owners, by the operator, by time.
//! `docs/EXCHANGE.md`, sections 8 and 11.

use super::Exchange;
use super::accounts::Accounts;
use super::book::{Book, Owner, Owners};
use super::command::Sides;
use super::event::{Canceled, Event, Killed, MassCanceled, Modified, Reason};
use super::ids::Side;
use super::orders::Order;
use crate::logic::{Emit, Moment};

impl<O: Owners> Book<O> {
    /// What is told when all that is open goes.
    #[inline]
    pub(super) fn canceled(
        &self,
        order: &Order,
        owner: Owner,
        decrement: u32,
        reason: Reason,
    ) -> Canceled {
        Canceled {
            order: self.order_id(order, owner),
            decrement,
            remaining: 0,
            displayed: 0,
            shown: self.orders.displayed(order),
            prevented: 0,
            price: self.instruments.get(order.instrument).price(order.tick),
            side: order.side(),
            reason,
            incoming: u8::from(!order.has(Order::LINKED)),
            reserved: [0; 5],
        }
    }

    /// Takes the whole order out.
    #[inline]
    pub fn cancel(&mut self, slot: u32, reason: Reason, emit: &mut Emit<'_, Event>) {
        let order = *self.orders.get(slot);
        let owner = self.owners.owner(order.number);
        emit.event(&Event::Canceled(self.canceled(&order, owner, order.open, reason)));
        self.end(slot, &order, owner);
    }

    /// Leaves so many shares open; the order keeps its place.
    #[inline]
    pub fn reduce(&mut self, slot: u32, left: u32, emit: &mut Emit<'_, Event>) {
        if left == 0 {
            return self.cancel(slot, Reason::User, emit);
        }
        let order = *self.orders.get(slot);
        let owner = self.owners.owner(order.number);
        let decrement = order.open - left;
        let whole = self.canceled(&order, owner, decrement, Reason::User);
        self.orders.reduce(slot, decrement);
        self.owners.reduced(owner.place, order.instrument, order.is_buy(), decrement);
        let displayed = self.orders.displayed(self.orders.get(slot));
        let shown = whole.shown - displayed;
        emit.event(&Event::Canceled(Canceled { remaining: left, displayed, shown, ..whole }));
    }

    pub(super) fn modify(&mut self, slot: u32, left: u32, side: Side, emit: &mut Emit<'_, Event>) {
        let before = *self.orders.get(slot);
        let decrement = before.open - left;
        let displayed_before = self.orders.displayed(&before);
        self.orders.reduce(slot, decrement);
        self.orders.get_mut(slot).set_side(side);
        let order = *self.orders.get(slot);
        let owner = self.owners.owner(order.number);
        self.owners.reduced(owner.place, order.instrument, order.is_buy(), decrement);
        let displayed = self.orders.displayed(&order);
        emit.event(&Event::Modified(Modified {
            order: self.order_id(&order, owner),
            remaining: left,
            displayed,
            decrement,
            shown: displayed_before - displayed,
            side,
            reserved: [0; 7],
        }));
    }
}

impl Exchange {
    pub(super) fn mass_cancel(
        &mut self,
        session: u16,
        instrument: Option<u16>,
        sides: Sides,
        emit: &mut Emit<'_, Event>,
    ) {
        let mut numbers = self.numbers_of(session);
        numbers.retain(|&number| {
            let order = self.book.orders.get(self.book.owners.tokens.get(number).slot);
            let is_side = match sides {
                Sides::Both => true,
                Sides::Buy => order.is_buy(),
                Sides::Sell => !order.is_buy(),
            };
            is_side && instrument.is_none_or(|instrument| instrument == order.instrument)
        });
        let count = self.cancel_all(numbers, Reason::Mass, emit);
        emit.event(&Event::MassCanceled(MassCanceled { session, reserved: 0, count }));
    }

    pub(super) fn disconnected(&mut self, session: u16, emit: &mut Emit<'_, Event>) {
        let cancels = self
            .book
            .owners
            .parties
            .session(session)
            .is_ok_and(|each| each.terms.cancel_on_disconnect != 0);
        let numbers = if cancels { self.numbers_of(session) } else { Vec::new() };
        let count = self.cancel_all(numbers, Reason::Disconnect, emit);
        emit.event(&Event::MassCanceled(MassCanceled { session, reserved: 0, count }));
    }

    pub(super) fn kill(
        &mut self,
        participant: u16,
        place: u16,
        on: bool,
        emit: &mut Emit<'_, Event>,
    ) {
        self.book.owners.parties.participant_mut(place).killed = on;
        emit.event(&Event::Killed(Killed { participant, on: u16::from(on) }));
        if on {
            let mut numbers = Vec::new();
            let Accounts { parties, tokens, .. } = &mut self.book.owners;
            for session in parties.sessions_mut().filter(|each| each.place == place) {
                session.live_numbers(tokens, &mut numbers);
            }
            self.cancel_all(numbers, Reason::Supervisory, emit);
        }
    }

    pub(super) fn tick(&mut self, at: &Moment, emit: &mut Emit<'_, Event>) {
        while let Some(number) = self.timers.pop(at.time.0) {
            if self.book.owners.tokens.is_live(number) {
                self.book.cancel(self.book.owners.tokens.get(number).slot, Reason::Timeout, emit);
            }
        }
    }

    fn numbers_of(&mut self, session: u16) -> Vec<u32> {
        let mut numbers = Vec::new();
        let Accounts { parties, tokens, .. } = &mut self.book.owners;
        if let Some(session) = parties.session_mut(session) {
            session.live_numbers(tokens, &mut numbers);
        }
        numbers
    }

    /// Cancels the live orders with these numbers, in order of their numbers; says how many.
    pub(super) fn cancel_all(
        &mut self,
        mut numbers: Vec<u32>,
        reason: Reason,
        emit: &mut Emit<'_, Event>,
    ) -> u32 {
        numbers.sort_unstable();
        for &number in &numbers {
            self.book.cancel(self.book.owners.tokens.get(number).slot, reason, emit);
        }
        numbers.len() as u32
    }
}
