//! What is looked at before anything is done: `docs/EXCHANGE.md`, sections 4, 8, 9 and 12, in that
//! order. Nothing here can change the exchange, and nothing after it can refuse.

use super::Exchange;
use super::book::{Incoming, Owner};
use super::command::{
    AddInstrument, Cancel, ChangeInstrument, ChangeState, Command, Enter, Handling, Lifetime,
    MassCancel, Modify, Pricing, Replace, SetSession, Sides, State,
};
use super::ids::{Side, Symbol, Token};
use super::instruments::{self, Instrument};
use super::orders::Order;
use super::reject::{Rejected, Why};
use super::tokens::Key;
use crate::types::Moment;

/// Proof that a command is valid now, with what the check found out on its way.
#[derive(Debug)]
pub struct Checked(pub(super) Plan);

#[derive(Debug)]
pub(super) enum Plan {
    Enter(Entry),
    Replace { old: u32, entry: Entry },
    Reduce { slot: u32, left: u32 },
    Modify { slot: u32, left: u32, side: Side },
    MassCancel { session: u16, instrument: Option<u16>, sides: Sides },
    Disconnected { session: u16 },
    AddInstrument(AddInstrument),
    ChangeInstrument { instrument: u16, change: ChangeInstrument },
    ChangeState { instrument: u16, to: State },
    SetParticipant(super::command::SetParticipant),
    SetSession { terms: SetSession, place: u16 },
    Kill { participant: u16, place: u16, on: bool },
    Tick,
    EndDay,
}

/// An order that is let in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// The participant's place.
    pub(super) place: u16,
    pub(super) order: Incoming,
}

impl Entry {
    #[inline]
    pub(super) fn owner(&self) -> Owner {
        Owner { token: self.key.token(), session: self.key.session(), place: self.place }
    }
}

/// No order has more shares.
const QUANTITY_MAX: u32 = 999_999_999;
/// No iceberg has more slices: each is two events, and one order may trade with all of them.
const SLICES_MAX: u64 = 1_000;

type Result<T> = std::result::Result<T, Why>;

impl Exchange {
    #[inline]
    pub(super) fn look(
        &self,
        command: &Command,
        at: &Moment,
    ) -> std::result::Result<Checked, Rejected> {
        // One refusal for all: only an entry that got past its token uses it up.
        let refused = |session, token| move |why| Rejected { token, session, why, used_up: 0 };
        let by_operator = refused(0, Token::default());
        Ok(Checked(match command {
            Command::Enter(enter) => self.check_enter(enter, at).map(Plan::Enter)?,
            Command::Cancel(cancel) => {
                self.check_cancel(cancel).map_err(refused(cancel.session, cancel.token))?
            }
            Command::Replace(replace) => self.check_replace(replace, at)?,
            Command::Modify(modify) => {
                self.check_modify(modify).map_err(refused(modify.session, modify.token))?
            }
            Command::MassCancel(mass) => {
                self.check_mass(mass).map_err(refused(mass.session, Token::default()))?
            }
            Command::Disconnected(lost) => {
                self.parties()
                    .session(lost.session)
                    .map_err(refused(lost.session, Token::default()))?;
                Plan::Disconnected { session: lost.session }
            }
            Command::AddInstrument(add) => self.check_add(add).map_err(by_operator)?,
            Command::ChangeInstrument(change) => self.check_change(change).map_err(by_operator)?,
            Command::ChangeState(change) => self.check_state(change).map_err(by_operator)?,
            Command::SetParticipant(terms) => Plan::SetParticipant(*terms),
            Command::SetSession(terms) => {
                let place = self.parties().check_session(*terms).map_err(by_operator)?;
                Plan::SetSession { terms: *terms, place }
            }
            Command::Kill(kill) => {
                let place = self.parties().place(kill.participant).map_err(by_operator)?;
                Plan::Kill { participant: kill.participant, place, on: kill.on != 0 }
            }
            Command::Tick(_) => Plan::Tick,
            Command::EndDay(_) => {
                let closed = self.book.instruments.iter().all(|each| each.state == State::Closed);
                if !closed {
                    return Err(by_operator(Why::NotClosed));
                }
                Plan::EndDay
            }
        }))
    }

    #[inline]
    fn check_enter(&self, enter: &Enter, at: &Moment) -> std::result::Result<Entry, Rejected> {
        let rejected =
            |why, used_up| Rejected { token: enter.token, session: enter.session, why, used_up };
        if !enter.token.is_valid() {
            return Err(rejected(Why::InvalidToken, 0));
        }
        let session = self.parties().session(enter.session).map_err(|why| rejected(why, 0))?;
        let key = Key::new(enter.session, enter.token);
        if self.tokens().find(&key).is_some() {
            return Err(rejected(Why::DuplicateToken, 0));
        }
        let place = session.place;
        let mut order = Incoming {
            instrument: 0,
            marks: enter.marks,
            side: enter.side,
            pricing: enter.pricing,
            lifetime: enter.lifetime,
            handling: enter.handling,
            tick: 0,
            price: enter.price,
            stop: enter.stop,
            stop_tick: 0,
            quantity: enter.quantity,
            executed: 0,
            display: enter.display,
            minimum: enter.minimum,
            expires: enter.expires,
        };
        let checked = self
            .book
            .instruments
            .find(enter.symbol)
            .map(|instrument| order.instrument = instrument)
            .and_then(|()| self.check_entry(&mut order, place, None, at));
        match checked {
            Ok(()) => Ok(Entry { key, place, order }),
            Err(why) => Err(rejected(why, u8::from(!self.tokens().is_full()))),
        }
    }

    fn check_replace(&self, replace: &Replace, at: &Moment) -> std::result::Result<Plan, Rejected> {
        let rejected =
            |why, used_up| Rejected { token: replace.new, session: replace.session, why, used_up };
        if !replace.new.is_valid() {
            return Err(rejected(Why::InvalidToken, 0));
        }
        let slot = self.live(replace.session, replace.old).map_err(|why| rejected(why, 0))?;
        let key = Key::new(replace.session, replace.new);
        if self.tokens().find(&key).is_some() {
            return Err(rejected(Why::DuplicateToken, 0));
        }
        let old = self.book.orders.get(slot);
        let left = replace.quantity.saturating_sub(old.executed);
        if replace.quantity > QUANTITY_MAX || left == 0 {
            return Ok(Plan::Reduce { slot, left: 0 });
        }
        let parked = old.has(Order::PARKED);
        let old_stop = self.book.orders.extra(old).map_or(0, |extra| extra.stop);
        let stop = match replace.stop {
            0 if parked => self.book.instruments.get(old.instrument).price(old_stop),
            stop => stop,
        };
        let marks = self.tokens().get(old.number).marks;
        let place = self.parties().owner(replace.session);
        let mut order = Incoming {
            instrument: old.instrument,
            marks: (marks & replace.marks_kept) | (replace.marks & !replace.marks_kept),
            side: old.side(),
            pricing: if old.has(Order::MARKET) { Pricing::Market } else { Pricing::Limit },
            lifetime: replace.lifetime,
            handling: replace.handling,
            tick: 0,
            price: replace.price,
            stop,
            stop_tick: 0,
            quantity: left,
            executed: old.executed,
            display: replace.display,
            minimum: replace.minimum,
            expires: replace.expires,
        };
        match self.check_entry(&mut order, place, Some(old), at) {
            Ok(()) => Ok(Plan::Replace { old: slot, entry: Entry { key, place, order } }),
            Err(why) => Err(rejected(why, u8::from(!self.tokens().is_full()))),
        }
    }

    /// Sections 4 (from 4 on) and 9, and the ticks of the prices on the way. `old` is the order
    /// that this one takes the place of.
    #[inline]
    fn check_entry(
        &self,
        order: &mut Incoming,
        place: u16,
        old: Option<&Order>,
        at: &Moment,
    ) -> Result<()> {
        let participant = self.parties().participant(place);
        if participant.killed {
            return Err(Why::KillSwitch);
        }
        if participant.is_too_fast(at.time) {
            return Err(Why::RateLimit);
        }
        let instrument = self.book.instruments.get(order.instrument);
        match instrument.state {
            State::Closed => return Err(Why::Closed),
            State::Halted => return Err(Why::Halted),
            State::PreOpen | State::Open | State::PreClose => {}
        }
        check_quantity(order, instrument)?;
        match order.pricing {
            Pricing::Limit => order.tick = instrument.tick(order.price).ok_or(Why::InvalidPrice)?,
            Pricing::Market if order.price != 0 => return Err(Why::InvalidPrice),
            Pricing::Market => {}
        }
        if order.stop != 0 {
            order.stop_tick = instrument.tick(order.stop).ok_or(Why::InvalidStop)?;
            if old.is_some_and(|old| !old.has(Order::PARKED)) {
                return Err(Why::InvalidStop);
            }
        }
        check_manner(order, instrument, at)?;
        self.check_limits(order, place, instrument, old)
    }

    #[inline]
    fn check_limits(
        &self,
        order: &Incoming,
        place: u16,
        instrument: &Instrument,
        old: Option<&Order>,
    ) -> Result<()> {
        let participant = self.parties().participant(place);
        let limits = &participant.terms;
        let is_buy = order.side.is_buy();
        if limits.quantity_max != 0 && order.quantity > limits.quantity_max {
            return Err(Why::OrderQuantity);
        }
        let reference = instrument.reference();
        let needs_reference = instrument.terms.collar != 0 || limits.notional_max != 0;
        let now = order.stop == 0;
        if order.pricing == Pricing::Market && now && needs_reference && reference == 0 {
            return Err(Why::NoReference);
        }
        if order.pricing == Pricing::Limit
            && now
            && instrument.state == State::Open
            && instrument.is_beyond_collar(is_buy, order.price)
        {
            return Err(Why::PriceCollar);
        }
        if limits.notional_max != 0 {
            let price = [order.price, order.stop, reference].into_iter().find(|&price| price != 0);
            let notional = u64::from(price.unwrap_or(0)) * u64::from(order.quantity);
            if notional > limits.notional_max {
                return Err(Why::Notional);
            }
        }
        let live = participant.live - u32::from(old.is_some());
        if limits.open_orders_max != 0 && live >= limits.open_orders_max {
            return Err(Why::OpenOrders);
        }
        let mut exposure = self.book.owners.exposure(order.instrument, place);
        if let Some(old) = old {
            exposure.close(is_buy, old.open);
        }
        if exposure.is_too_much(is_buy, order.quantity, limits.position_max) {
            return Err(Why::Position);
        }
        if self.tokens().is_full() || (old.is_none() && self.book.orders.is_full()) {
            return Err(Why::BookFull);
        }
        Ok(())
    }

    /// Where the session's live order of this token is.
    #[inline]
    fn live(&self, session: u16, token: Token) -> Result<u32> {
        if !token.is_valid() {
            return Err(Why::InvalidToken);
        }
        self.parties().session(session)?;
        self.book.owners.slot(session, token).ok_or(Why::UnknownOrder)
    }

    #[inline]
    fn check_cancel(&self, cancel: &Cancel) -> Result<Plan> {
        let slot = self.live(cancel.session, cancel.token)?;
        let order = self.book.orders.get(slot);
        let left = cancel.quantity.saturating_sub(order.executed);
        if left >= order.open {
            return Err(Why::NothingToReduce);
        }
        Ok(Plan::Reduce { slot, left })
    }

    fn check_modify(&self, modify: &Modify) -> Result<Plan> {
        let slot = self.live(modify.session, modify.token)?;
        let order = self.book.orders.get(slot);
        let left = modify.quantity.saturating_sub(order.executed);
        if left == 0 || left > order.open {
            return Err(Why::NothingToReduce);
        }
        if modify.side.is_buy() != order.is_buy() {
            return Err(Why::InvalidSide);
        }
        Ok(Plan::Modify { slot, left, side: modify.side })
    }

    fn check_mass(&self, mass: &MassCancel) -> Result<Plan> {
        self.parties().session(mass.session)?;
        let instrument = match mass.symbol {
            Symbol::BLANK => None,
            symbol => Some(self.book.instruments.find(symbol)?),
        };
        Ok(Plan::MassCancel { session: mass.session, instrument, sides: mass.sides })
    }

    fn check_add(&self, add: &AddInstrument) -> Result<Plan> {
        if self.book.instruments.find(add.0.symbol).is_ok() {
            return Err(Why::InstrumentExists);
        }
        if self.book.instruments.is_full() {
            return Err(Why::TooMany);
        }
        instruments::check_terms(&add.0)?;
        Ok(Plan::AddInstrument(*add))
    }

    fn check_change(&self, change: &ChangeInstrument) -> Result<Plan> {
        let number = self.book.instruments.find(change.0.symbol)?;
        instruments::check_terms(&change.0)?;
        if !self.book.instruments.get(number).may_become(&change.0) {
            return Err(Why::NotClosed);
        }
        Ok(Plan::ChangeInstrument { instrument: number, change: *change })
    }

    fn check_state(&self, change: &ChangeState) -> Result<Plan> {
        use State::{Closed, Halted, Open, PreClose, PreOpen};
        let instrument = self.book.instruments.find(change.symbol)?;
        match (self.book.instruments.get(instrument).state, change.state) {
            (Closed | Halted, PreOpen)
            | (PreOpen | Halted, Open)
            | (Open, Halted | PreClose)
            | (PreOpen | Open | Halted | PreClose, Closed) => {
                Ok(Plan::ChangeState { instrument, to: change.state })
            }
            _ => Err(Why::InvalidTransition),
        }
    }
}

/// Section 4, 6.
#[inline]
fn check_quantity(order: &Incoming, instrument: &Instrument) -> Result<()> {
    if order.quantity == 0 || order.quantity > QUANTITY_MAX {
        return Err(Why::InvalidQuantity);
    }
    // The client counts in lots what it asks for, and that includes what a replaced order traded.
    let lot = instrument.terms.lot;
    if lot != 1 && !(order.quantity + order.executed).is_multiple_of(lot) {
        return Err(Why::NotInLots);
    }
    Ok(())
}

/// Section 4, 8 to 12.
#[inline]
fn check_manner(order: &Incoming, instrument: &Instrument, at: &Moment) -> Result<()> {
    let lot = instrument.terms.lot;
    let is_market = order.pricing == Pricing::Market;
    let is_displayed = order.handling == Handling::Displayed;
    if is_market && !is_displayed {
        return Err(Why::InvalidDisplay);
    }
    if order.display != 0 {
        let slices_at_most = u64::from(order.display) * SLICES_MAX;
        let fits = order.display < order.quantity
            && order.display.is_multiple_of(lot)
            && u64::from(order.quantity) <= slices_at_most;
        if !fits || !is_displayed || is_market {
            return Err(Why::InvalidDisplay);
        }
    }
    let is_at_once = matches!(order.lifetime, Lifetime::Immediate | Lifetime::AllOrNothing);
    let lifetime_is_sound = match order.lifetime {
        Lifetime::GoodTill => order.expires > at.time.0,
        _ => order.expires == 0,
    };
    if !lifetime_is_sound || (order.stop != 0 && is_at_once) {
        return Err(Why::InvalidLifetime);
    }
    if order.minimum != 0 {
        let fits = order.minimum <= order.quantity && order.minimum.is_multiple_of(lot);
        if !fits || order.lifetime != Lifetime::Immediate {
            return Err(Why::InvalidMinimum);
        }
    }
    let is_post_only = order.handling == Handling::PostOnly;
    if instrument.is_auction() && (is_at_once || is_post_only) {
        return Err(Why::NotInAuction);
    }
    if is_post_only && order.stop != 0 {
        return Err(Why::InvalidStop);
    }
    Ok(())
}
