//! An exchange with both dialects in front of it: what goes in are messages, what comes out are
//! messages.

use std::collections::BTreeMap;

use ringframe::dialect::Names;
use ringframe::dialect::itch::Market;
use ringframe::dialect::ouch::{To, command, rejected, tell};
use ringframe::exchange::Exchange;
use ringframe::exchange::command::{
    AddInstrument, ChangeState, Command, SelfTrade, SetParticipant, SetSession, State, Terms,
};
use ringframe::exchange::event::Event;
use ringframe::exchange::ids::Symbol;
use ringframe::exchange::reject::Reject;
use ringframe::logic::{Moment, Nanos, Outbox, Sequence, step};
use ringframe::wire::layout::Alpha;
use ringframe::wire::{itch, ouch};

use crate::samples::alpha;

/// Whose session 1 is.
pub(crate) const FIRM: ouch::Firm = Alpha(*b"F001");
/// 09:30 of some day.
const MORNING: u64 = 20_000 * 86_400 * Nanos::SECOND + 34_200 * Nanos::SECOND;

pub(crate) struct Venue {
    pub(crate) exchange: Exchange,
    outbox: Outbox<Event, Reject>,
    sequence: u64,
    names: Names,
    market: Market,
    /// Its instrument's.
    pub(crate) terms: Terms,
    /// Every event, and its command's time.
    pub(crate) log: Vec<(Event, Nanos)>,
    pub(crate) told: Vec<(To, ouch::Outbound)>,
    pub(crate) seen: Vec<itch::Message>,
}

pub(crate) fn aapl() -> Symbol {
    Symbol::new("AAPL").expect("short enough")
}

impl Venue {
    /// One instrument; sessions 1 to 3, of a participant each, which cancels its newest order.
    pub(crate) fn new() -> Self {
        let terms = Terms {
            symbol: aapl(),
            tick: 100,
            lot: 1,
            lowest: 100,
            highest: 10_000_000,
            collar: 0,
            reference: 1_000_000,
        };
        let mut venue = Self {
            terms,
            exchange: Exchange::default(),
            outbox: Outbox::default(),
            sequence: 0,
            names: Names::default(),
            market: Market::default(),
            log: Vec::new(),
            told: Vec::new(),
            seen: Vec::new(),
        };
        for id in 1..=3 {
            let self_trade = SelfTrade::CancelOldest;
            let quantity_max = 500_000;
            let participant =
                SetParticipant { participant: id, self_trade, quantity_max, ..Default::default() };
            venue.run(&participant.into());
            let session = SetSession { session: id, participant: id, cancel_on_disconnect: 0 };
            venue.run(&session.into());
        }
        venue.run(&AddInstrument(terms).into());
        venue
    }

    pub(crate) fn go(&mut self, state: State) {
        self.run(&ChangeState { symbol: aapl(), state, reserved: [0; 7] }.into());
    }

    /// What time the next command has.
    pub(crate) fn now(&self) -> Nanos {
        Nanos(MORNING + self.sequence + 1)
    }

    pub(crate) fn run(&mut self, asked: &Command) {
        let time = self.now();
        self.sequence += 1;
        let at = Moment { sequence: Sequence(self.sequence), time };
        step(&mut self.exchange, asked, &at, &mut self.outbox);
        for outcome in self.outbox.outcomes() {
            match outcome {
                Ok(event) => {
                    self.names.on_event(&event);
                    tell(&event, time, &self.names, |to, said| self.told.push((to, said)));
                    self.market.on_event(&event, time, |said| self.seen.push(said));
                    self.log.push((event, time));
                }
                Err(reject) => self.told.extend(
                    rejected(&reject, time).map(|(session, said)| (To::Session(session), said)),
                ),
            }
        }
        self.outbox.clear();
    }

    /// What session 1, 2 or 3 asks for; says what was told because of it.
    pub(crate) fn ask(
        &mut self,
        session: u16,
        message: impl Into<ouch::Inbound>,
    ) -> Vec<(To, ouch::Outbound)> {
        let from = self.names.account(session).expect("it was set");
        let asked = command(&message.into(), from, self.now());
        self.told.clear();
        if let Some(asked) = asked {
            self.run(&asked);
        }
        std::mem::take(&mut self.told)
    }
}

/// An order of 100 at 100.00.
pub(crate) fn enter(token: &str, side: ouch::Side) -> ouch::Enter {
    ouch::Enter {
        token: alpha(token),
        side,
        shares: 100.into(),
        price: 1_000_000.into(),
        firm: Alpha::BLANK,
        ..crate::samples::enter()
    }
}

/// A reader of ITCH that keeps a book and bears no mistake.
#[derive(Default)]
pub(crate) struct Reader {
    /// Side, price, shares, by reference.
    orders: BTreeMap<u64, (itch::Side, u32, u32)>,
    pub(crate) counts: BTreeMap<char, usize>,
}

impl Reader {
    fn take(&mut self, reference: u64, shares: u32) {
        let order = self.orders.get_mut(&reference).expect("a known order");
        order.2 = order.2.checked_sub(shares).expect("no more than there are");
        assert!(shares > 0);
        if order.2 == 0 {
            self.orders.remove(&reference);
        }
    }

    pub(crate) fn read(&mut self, message: &itch::Message) {
        let mut bytes = [0; itch::Message::BYTES_MAX];
        message.encode(&mut bytes).expect("room");
        *self.counts.entry(char::from(bytes[0])).or_default() += 1;
        match message {
            itch::Message::Added(added) => {
                let order = (added.side, added.price.get(), added.shares.get());
                assert!(order.2 > 0 && added.stock.0 == aapl().0);
                assert!(self.orders.insert(added.reference.get(), order).is_none());
            }
            itch::Message::Executed(executed) => {
                self.take(executed.reference.get(), executed.shares.get());
            }
            itch::Message::ExecutedAtPrice(at) => {
                self.take(at.executed.reference.get(), at.executed.shares.get());
            }
            itch::Message::Reduced(reduced) => {
                self.take(reduced.reference.get(), reduced.shares.get());
            }
            itch::Message::Deleted(deleted) => {
                self.orders.remove(&deleted.reference.get()).expect("a known order");
            }
            itch::Message::Replaced(replaced) => {
                let old = self.orders.remove(&replaced.old.get()).expect("a known order");
                let order = (old.0, replaced.price.get(), replaced.shares.get());
                assert!(order.2 > 0);
                assert!(self.orders.insert(replaced.new.get(), order).is_none());
            }
            _ => {}
        }
    }

    /// Price and shares of each level.
    pub(crate) fn levels(&self, side: itch::Side) -> BTreeMap<u32, u64> {
        let mut levels = BTreeMap::new();
        for (_, price, shares) in self.orders.values().filter(|order| order.0 == side) {
            *levels.entry(*price).or_default() += u64::from(*shares);
        }
        levels
    }
}
