//! Section 9: what a participant may do.

use ringframe::exchange::command::State;
use ringframe::exchange::reject::Why;

use super::Naive;
use super::order::{Order, reaches};

impl Naive {
    /// `old` is the order that this one replaces: it counts as gone.
    pub(super) fn check_limits(&self, order: &Order, old: Option<&Order>) -> Result<(), Why> {
        let set = &self.participants[&order.participant].set;
        let instrument = self.instrument(order.instrument);
        let reference = instrument.reference();
        let quantity = u64::from(order.open);
        let is_stop = order.stop != 0;

        if set.quantity_max != 0 && order.open > set.quantity_max {
            return Err(Why::OrderQuantity);
        }
        let needs_reference = instrument.terms.collar != 0 || set.notional_max != 0;
        if order.is_market() && !is_stop && needs_reference && reference == 0 {
            return Err(Why::NoReference);
        }
        if instrument.state == State::Open && !is_stop && self.is_beyond_collar(order) {
            return Err(Why::PriceCollar);
        }
        let price = [order.price, order.stop, reference].into_iter().find(|price| *price != 0);
        let notional = quantity * u64::from(price.unwrap_or(0));
        if set.notional_max != 0 && notional > set.notional_max {
            return Err(Why::Notional);
        }
        let others = || {
            let gone = old.map(|old| old.number);
            self.orders.iter().filter(move |other| {
                other.participant == order.participant && Some(other.number) != gone
            })
        };
        if set.open_orders_max != 0 && others().count() as u64 >= set.open_orders_max.into() {
            return Err(Why::OpenOrders);
        }
        let open: u64 = others()
            .filter(|other| other.instrument == order.instrument)
            .filter(|other| other.is_buy() == order.is_buy())
            .map(|other| u64::from(other.open))
            .sum();
        let position = self.position(order.participant, order.instrument);
        let position = if order.is_buy() { position } else { -position };
        let farthest = i128::from(position) + i128::from(open + quantity);
        if set.position_max != 0 && farthest > set.position_max.into() {
            return Err(Why::Position);
        }
        Ok(())
    }

    /// Bought less sold.
    pub(crate) fn position(&self, participant: u16, instrument: u16) -> i64 {
        self.positions.get(&(participant, instrument)).copied().unwrap_or(0)
    }

    /// All positions that ever were, by instrument.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (u16, i64)> {
        self.positions.iter().map(|((_, instrument), position)| (*instrument, *position))
    }

    /// How far an order on this side may trade, if there is a limit.
    pub(super) fn collar(&self, order: &Order) -> Option<u32> {
        let instrument = self.instrument(order.instrument);
        let (collar, reference) = (instrument.terms.collar, instrument.reference());
        let limit = if order.is_buy() {
            reference.saturating_add(collar)
        } else {
            reference.saturating_sub(collar)
        };
        (collar != 0 && reference != 0).then_some(limit)
    }

    pub(super) fn is_beyond_collar(&self, order: &Order) -> bool {
        let beyond = |limit| !reaches(order.is_buy(), limit, order.price);
        !order.is_market() && self.collar(order).is_some_and(beyond)
    }

    pub(super) fn check_rate(&self, participant: u16, now: u64) -> Result<(), Why> {
        let participant = &self.participants[&participant];
        let set = &participant.set;
        if set.rate == 0 {
            return Ok(());
        }
        let early = u128::from(set.burst.max(1) - 1) * interval(set.rate);
        let refused = participant.arrival > u128::from(now) + early;
        if refused { Err(Why::RateLimit) } else { Ok(()) }
    }

    pub(super) fn count_entry(&mut self, participant: u16, now: u64) {
        let participant = self.participants.get_mut(&participant).expect("it has a session");
        if participant.set.rate != 0 {
            let due = participant.arrival.max(now.into());
            participant.arrival = due + interval(participant.set.rate);
        }
    }
}

/// Nanoseconds between two entries.
fn interval(rate: u32) -> u128 {
    u128::from(1_000_000_000 / rate)
}
