//! Orders are made smaller or taken out: by their owners, by the operator, by time.
//! `docs/EXCHANGE.md`, sections 8 and 11.

use super::Exchange;
use super::command::Sides;
use super::event::{Canceled, Event, Killed, MassCanceled, Modified, Reason};
use super::ids::Side;
use super::orders::Order;
use crate::logic::{Emit, Moment};

impl Exchange {
    /// Takes `decrement` open shares out of what the participant has in the instrument.
    #[inline]
    pub(super) fn close_exposure(&mut self, order: &Order, decrement: u32) {
        let place = self.parties.owner(self.tokens.get(order.number).session);
        let instrument = self.instruments.get_mut(order.instrument);
        instrument.exposure_mut(place).close(order.is_buy(), decrement);
    }

    /// What is told when all that is open goes.
    #[inline]
    pub(super) fn canceled(&self, order: &Order, decrement: u32, reason: Reason) -> Canceled {
        Canceled {
            order: self.order_id(order),
            decrement,
            remaining: 0,
            displayed: 0,
            prevented: 0,
            price: self.instruments.get(order.instrument).price(order.tick),
            side: order.side(),
            reason,
            reserved: 0,
        }
    }

    /// Takes the whole order out.
    #[inline]
    pub(super) fn cancel(&mut self, slot: u32, reason: Reason, emit: &mut Emit<'_, Event>) {
        let order = self.orders.get(slot);
        emit.event(&Event::Canceled(self.canceled(order, order.open, reason)));
        self.end(slot);
    }

    /// Leaves so many shares open; the order keeps its place.
    #[inline]
    pub(super) fn reduce(&mut self, slot: u32, left: u32, emit: &mut Emit<'_, Event>) {
        if left == 0 {
            return self.cancel(slot, Reason::User, emit);
        }
        let order = *self.orders.get(slot);
        let decrement = order.open - left;
        self.orders.reduce(slot, decrement);
        self.close_exposure(&order, decrement);
        emit.event(&Event::Canceled(Canceled {
            remaining: left,
            displayed: self.orders.displayed(self.orders.get(slot)),
            ..self.canceled(&order, decrement, Reason::User)
        }));
    }

    pub(super) fn modify(&mut self, slot: u32, left: u32, side: Side, emit: &mut Emit<'_, Event>) {
        let decrement = self.orders.get(slot).open - left;
        self.orders.reduce(slot, decrement);
        self.orders.get_mut(slot).set_side(side);
        let order = *self.orders.get(slot);
        self.close_exposure(&order, decrement);
        emit.event(&Event::Modified(Modified {
            order: self.order_id(&order),
            remaining: left,
            displayed: self.orders.displayed(&order),
            decrement,
            side,
            reserved: [0; 3],
        }));
    }

    pub(super) fn mass_cancel(
        &mut self,
        session: u16,
        instrument: Option<u16>,
        sides: Sides,
        emit: &mut Emit<'_, Event>,
    ) {
        let mut numbers = self.numbers_of(session);
        numbers.retain(|&number| {
            let order = self.orders.get(self.tokens.get(number).slot);
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
        let cancels =
            self.parties.session(session).is_ok_and(|each| each.terms.cancel_on_disconnect != 0);
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
        self.parties.participant_mut(place).killed = on;
        emit.event(&Event::Killed(Killed { participant, on: u16::from(on) }));
        if on {
            let mut numbers = Vec::new();
            for session in self.parties.sessions_mut().filter(|each| each.place == place) {
                session.live_numbers(&self.tokens, &mut numbers);
            }
            self.cancel_all(numbers, Reason::Supervisory, emit);
        }
    }

    pub(super) fn tick(&mut self, at: &Moment, emit: &mut Emit<'_, Event>) {
        while let Some(number) = self.timers.pop(at.time.0) {
            if self.tokens.is_live(number) {
                self.cancel(self.tokens.get(number).slot, Reason::Timeout, emit);
            }
        }
    }

    fn numbers_of(&mut self, session: u16) -> Vec<u32> {
        let mut numbers = Vec::new();
        if let Some(session) = self.parties.session_mut(session) {
            session.live_numbers(&self.tokens, &mut numbers);
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
            self.cancel(self.tokens.get(number).slot, reason, emit);
        }
        numbers.len() as u32
    }
}
