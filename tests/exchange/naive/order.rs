//! A live order and where it stands.

use std::cmp::Reverse;

use ringframe::exchange::command::{Handling, Lifetime, Pricing};
use ringframe::exchange::event::{Accepted, Canceled, OrderId, Reason, Rested, Triggered};
use ringframe::exchange::ids::{Side, Token};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It came with this command, or it is a stop that wakes up: in no queue.
    Entering,
    /// It is a stop that sleeps.
    Parked,
    /// It stands in the book.
    Book,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// Which token of the day.
    pub(crate) number: u64,
    /// How many times an iceberg was shown anew.
    pub(crate) refreshes: u64,
    pub(crate) token: Token,
    pub(crate) session: u16,
    pub(crate) participant: u16,
    pub(crate) instrument: u16,
    pub(crate) marks: u16,
    pub(crate) side: Side,
    pub(crate) pricing: Pricing,
    pub(crate) lifetime: Lifetime,
    pub(crate) handling: Handling,
    pub(crate) expires: u64,
    pub(crate) price: u32,
    pub(crate) display: u32,
    pub(crate) minimum: u32,
    /// 0 once it is awake.
    pub(crate) stop: u32,
    /// Shares that may trade still, …
    pub(crate) open: u32,
    /// … those of them that are shown, …
    pub(crate) displayed: u32,
    /// … and those that traded.
    pub(crate) executed: u32,
    pub(crate) standing: Standing,
    /// When it took its place in the queue.
    pub(crate) place: u64,
}

impl Order {
    pub(crate) fn is_buy(&self) -> bool {
        self.side.is_buy()
    }

    pub(crate) fn is_market(&self) -> bool {
        self.pricing == Pricing::Market
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.handling == Handling::Hidden
    }

    pub(crate) fn is_iceberg(&self) -> bool {
        self.display != 0
    }

    pub(crate) fn is_good_till(&self) -> bool {
        self.lifetime == Lifetime::GoodTill
    }

    /// Whether nothing of it may wait, as far as it says itself.
    pub(crate) fn is_immediate(&self) -> bool {
        matches!(self.lifetime, Lifetime::Immediate | Lifetime::AllOrNothing)
    }

    /// What the book shows of it when it stands there anew.
    pub(crate) fn slice(&self) -> u32 {
        if self.is_hidden() || self.is_market() {
            0
        } else if self.is_iceberg() {
            self.display.min(self.open)
        } else {
            self.open
        }
    }

    /// What can be had of it before it goes to the end of its queue.
    pub(crate) fn at_hand(&self) -> u32 {
        if self.is_hidden() { self.open } else { self.displayed }
    }

    /// Whether its price lets it trade at `price`.
    pub(crate) fn takes(&self, price: u32) -> bool {
        self.is_market() || reaches(self.is_buy(), self.price, price)
    }

    /// The smallest is the first in its side's queue: market, then price, displayed, time.
    pub(crate) fn priority(&self) -> (bool, u64, Reverse<u64>, bool, u64) {
        let price = u64::from(self.price);
        let (low, high) = if self.is_buy() { (0, price) } else { (price, 0) };
        (!self.is_market(), low, Reverse(high), self.is_hidden(), self.place)
    }

    pub(crate) fn id(&self) -> OrderId {
        OrderId {
            reference: self.number + (self.refreshes << 32),
            token: self.token,
            session: self.session,
            instrument: self.instrument,
        }
    }

    pub(crate) fn accepted(&self, displayed: u32) -> Accepted {
        Accepted {
            order: self.id(),
            expires: self.expires,
            price: self.price,
            quantity: self.open,
            displayed,
            display: self.display,
            minimum: self.minimum,
            stop: self.stop,
            side: self.side,
            pricing: self.pricing,
            lifetime: self.lifetime,
            handling: self.handling,
            marks: self.marks,
            reserved: 0,
        }
    }

    /// Once it is no more what it was `before`.
    pub(crate) fn canceled(&self, before: &Self, reason: Reason) -> Canceled {
        Canceled {
            order: self.id(),
            decrement: before.open - self.open,
            remaining: self.open,
            displayed: self.displayed,
            shown: before.displayed - self.displayed,
            prevented: 0,
            price: self.price,
            side: self.side,
            reason,
            incoming: u8::from(self.standing == Standing::Entering),
            reserved: [0; 5],
        }
    }

    /// Of `old_shown` shares that were displayed, where it stood before.
    pub(crate) fn rested(&self, old_shown: u32) -> Rested {
        Rested {
            order: self.id(),
            price: self.price,
            displayed: self.displayed,
            remaining: self.open,
            old_shown,
            side: self.side,
            reserved: [0; 7],
        }
    }

    pub(crate) fn triggered(&self) -> Triggered {
        Triggered { order: self.id(), stop: self.stop, quantity: self.open }
    }

    /// Takes shares out; an iceberg loses its reserve first.
    pub(crate) fn reduce_to(&mut self, left: u32) {
        self.open = left;
        self.displayed = self.displayed.min(left);
    }
}

/// Whether a buy (or sell) that goes as far as `limit` goes as far as `price`.
pub(crate) fn reaches(buy: bool, limit: u32, price: u32) -> bool {
    if buy { price <= limit } else { price >= limit }
}
