//! What the operator does: instruments, participants and sessions are set, and the day goes on.
//! `docs/EXCHANGE.md`, sections 2, 3, 11 and 12.

use super::Exchange;
use super::command::{SetParticipant, SetSession, State, Terms};
use super::event::{
    DayEnded, Event, InstrumentAdded, InstrumentChanged, ParticipantSet, Reason, SessionSet,
    StateChanged, Venue,
};
use super::instruments::Instrument;
use crate::logic::Emit;

impl Exchange {
    pub(super) fn add_instrument(&mut self, terms: Terms, emit: &mut Emit<'_, Event>) {
        let instrument = u32::from(self.book.instruments.add(terms));
        emit.event(&Event::InstrumentAdded(InstrumentAdded { terms, instrument }));
    }

    pub(super) fn change_instrument(
        &mut self,
        instrument: u16,
        terms: Terms,
        emit: &mut Emit<'_, Event>,
    ) {
        self.book.instruments.get_mut(instrument).become_like(terms);
        let instrument = u32::from(instrument);
        emit.event(&Event::InstrumentChanged(InstrumentChanged { terms, instrument }));
    }

    pub(super) fn set_participant(&mut self, terms: SetParticipant, emit: &mut Emit<'_, Event>) {
        self.book.owners.parties.set_participant(terms);
        emit.event(&Event::ParticipantSet(ParticipantSet(terms)));
    }

    pub(super) fn set_session(
        &mut self,
        terms: SetSession,
        place: u16,
        emit: &mut Emit<'_, Event>,
    ) {
        let is_new = u32::from(self.book.owners.parties.set_session(terms, place));
        emit.event(&Event::SessionSet(SessionSet { terms, is_new }));
    }

    pub(super) fn change_state(&mut self, number: u16, to: State, emit: &mut Emit<'_, Event>) {
        let instrument = self.book.instruments.get_mut(number);
        let from = instrument.go(to);
        emit.event(&Event::StateChanged(StateChanged {
            symbol: instrument.terms.symbol,
            instrument: number,
            from,
            to,
            reserved: 0,
        }));
        match (from, to) {
            (State::Halted, State::PreOpen) => instrument.halted = true,
            (State::PreOpen, State::Open) => {
                let after_halt = std::mem::take(&mut instrument.halted);
                let venue = if after_halt { Venue::Halt } else { Venue::Opening };
                let traded = self.book.uncross(number, venue, emit);
                let instrument = self.book.instruments.get(number);
                let left = [&instrument.buys, &instrument.sells]
                    .into_iter()
                    .flat_map(|half| half.market.iter(&self.book.orders))
                    .map(|(_, order)| order.number)
                    .collect();
                self.cancel_all(left, Reason::Cross, emit);
                self.book.wake_stops(number, traded, emit);
            }
            (State::PreClose, State::Closed) => {
                self.book.uncross(number, Venue::Closing, emit);
                self.close(number, emit);
            }
            (_, State::Closed) => {
                instrument.halted = false;
                self.close(number, emit);
            }
            _ => {}
        }
    }

    /// Cancels every order of the instrument.
    fn close(&mut self, number: u16, emit: &mut Emit<'_, Event>) {
        let Instrument { buys, sells, buy_stops, sell_stops, .. } =
            self.book.instruments.get(number);
        let ladders =
            [&buys.displayed, &buys.hidden, &sells.displayed, &sells.hidden, buy_stops, sell_stops];
        let priced = ladders.into_iter().flat_map(|ladder| ladder.iter(&self.book.orders));
        let market = [buys, sells].into_iter().flat_map(|half| half.market.iter(&self.book.orders));
        let all = priced.chain(market).map(|(_, order)| order.number).collect();
        self.cancel_all(all, Reason::Closed, emit);
    }

    pub(super) fn end_day(&mut self, emit: &mut Emit<'_, Event>) {
        let tokens = self.book.owners.tokens.len() as u64;
        self.book.owners.tokens.clear();
        self.timers.clear();
        self.book.owners.parties.sessions_mut().for_each(super::parties::Session::forget);
        emit.event(&Event::DayEnded(DayEnded { tokens }));
    }
}
