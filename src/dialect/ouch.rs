//! OUCH 4.2 and the exchange. `docs/PROTOCOLS.md` says which letter means what, and why.

use ringframe_journal::planted::{Bug, is_planted};
use zerocopy::byteorder::big_endian::U64;

use super::{Names, since_midnight};
use crate::exchange::command::{
    Cancel, Command, Enter, Handling, Lifetime, Modify, Pricing, Replace,
};
use crate::exchange::event::{self, Event, OrderId, Reason, Venue};
use crate::exchange::ids::{Side, Symbol, Token};
use crate::exchange::reject::{Reject, Why};
use crate::types::Nanos;
use crate::wire::layout::Alpha;
use crate::wire::ouch::{
    self, CancelReason, Firm, Liquidity, Outbound, RejectReason, time_in_force,
};

/// What an order brought that the exchange gives no meaning and the wire wants back: letters, by
/// their places in these lists.
mod marks {
    use crate::wire::ouch::{Capacity, Sweep};

    const CAPACITIES: [Capacity; 4] =
        [Capacity::AGENCY, Capacity::PRINCIPAL, Capacity::RISKLESS, Capacity::OTHER];
    const SWEEPS: [Sweep; 3] = [Sweep::NO, Sweep::YES, Sweep::TRADE_AT];

    /// The bits of a capacity, which a replace leaves as they are.
    pub(super) const CAPACITY: u16 = 0b0011;
    const SWEEP_SHIFT: u16 = 2;
    /// Displayed with a name.
    pub(super) const ATTRIBUTABLE: u16 = 1 << 4;
    /// Market hours rather than system hours.
    pub(super) const MARKET_HOURS: u16 = 1 << 5;

    pub(super) fn of_capacity(capacity: Capacity) -> Option<u16> {
        CAPACITIES.iter().position(|each| *each == capacity).map(|place| place as u16)
    }

    pub(super) fn of_sweep(sweep: Sweep) -> Option<u16> {
        let place = SWEEPS.iter().position(|each| *each == sweep)?;
        Some((place as u16) << SWEEP_SHIFT)
    }

    pub(super) fn capacity(marks: u16) -> Capacity {
        CAPACITIES[usize::from(marks & CAPACITY)]
    }

    pub(super) fn sweep(marks: u16) -> Sweep {
        SWEEPS.get(usize::from(marks >> SWEEP_SHIFT & 0b11)).copied().unwrap_or(Sweep::NO)
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// The exchange's session.
    pub session: u16,
    /// The only firm that it may name.
    pub firm: Firm,
}

/// How a participant is called: a letter, then its number's last three digits of base 36.
///
/// A function of the number alone, so that the bytes depend on no setting. Three digits are not
/// enough for all: the rest is in the letter, F or G.
pub fn firm(participant: u16) -> Firm {
    const BASE: u16 = 36;
    let digit = |number: u16| b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[usize::from(number % BASE)];
    let [second, third, fourth] = [BASE * BASE, BASE, 1].map(|one| digit(participant / one));
    Alpha([if participant < BASE.pow(3) { b'F' } else { b'G' }, second, third, fourth])
}

/// What a message asks of the exchange; `None` when it names no token or no side, so that nobody
/// could be told what became of it.
///
/// Everything else that is wrong goes to the exchange, too, in a shape that it surely refuses: its
/// refusals are numbered, kept and sent again, and a gateway's would not be.
pub fn command(message: &ouch::Inbound, from: Account, now: Nanos) -> Option<Command> {
    match message {
        ouch::Inbound::Enter(enter) => self::enter(enter, from, now),
        ouch::Inbound::Replace(replace) => self::replace(replace, from, now),
        ouch::Inbound::Cancel(cancel) => Some(Command::Cancel(Cancel {
            token: token(cancel.token)?,
            quantity: cancel.shares.get(),
            session: from.session,
            reserved: 0,
        })),
        ouch::Inbound::Modify(modify) => Some(Command::Modify(Modify {
            token: token(modify.token)?,
            quantity: modify.shares.get(),
            session: from.session,
            side: side(modify.side)?,
            reserved: 0,
        })),
    }
}

fn enter(enter: &ouch::Enter, from: Account, now: Nanos) -> Option<Command> {
    let how = How::new(enter.time_in_force.get(), enter.display, enter.sweep, now);
    let capacity = marks::of_capacity(enter.capacity);
    let side = side(enter.side);
    let is_known = capacity.is_some()
        && side.is_some()
        && enter.cross == ouch::Cross::NONE
        && (enter.firm.is_blank() || enter.firm == from.firm);
    let How { lifetime, expires, handling, display, marks } =
        if is_known { how } else { how.spoiled() };
    let (price, pricing) = price(enter.price.get());
    Some(Command::Enter(Enter {
        expires,
        symbol: Symbol(enter.stock.0),
        token: token(enter.token)?,
        session: from.session,
        marks: marks | capacity.unwrap_or_default(),
        price,
        quantity: quantity(enter.shares.get()),
        display,
        minimum: enter.minimum.get(),
        stop: 0,
        side: side.unwrap_or_default(),
        pricing,
        lifetime,
        handling,
    }))
}

fn replace(replace: &ouch::Replace, from: Account, now: Nanos) -> Option<Command> {
    let How { lifetime, expires, handling, display, marks } =
        How::new(replace.time_in_force.get(), replace.display, replace.sweep, now);
    Some(Command::Replace(Replace {
        expires,
        old: token(replace.old)?,
        new: token(replace.new)?,
        session: from.session,
        marks,
        marks_kept: marks::CAPACITY,
        lifetime,
        handling,
        price: price(replace.price.get()).0,
        quantity: quantity(replace.shares.get()),
        display,
        minimum: replace.minimum.get(),
        stop: 0,
        reserved: 0,
    }))
}

/// How an order is to wait, and what stands for it in the exchange.
struct How {
    lifetime: Lifetime,
    expires: u64,
    handling: Handling,
    display: u32,
    marks: u16,
}

impl How {
    fn new(time_in_force: u32, display: ouch::Display, sweep: ouch::Sweep, now: Nanos) -> Self {
        let (lifetime, expires, mut marks) = match time_in_force {
            time_in_force::IMMEDIATE => (Lifetime::Immediate, 0, 0),
            seconds @ 1..=time_in_force::SECONDS_MAX => {
                (Lifetime::GoodTill, now.after(u64::from(seconds) * Nanos::SECOND).0, 0)
            }
            time_in_force::MARKET_HOURS => (Lifetime::Day, 0, marks::MARKET_HOURS),
            time_in_force::SYSTEM_HOURS => (Lifetime::Day, 0, 0),
            _ => (Lifetime::Day, Self::NO_EXPIRY_OF_A_DAY, 0),
        };
        let (handling, display) = match display {
            ouch::Display::ANONYMOUS => (Handling::Displayed, 0),
            ouch::Display::ATTRIBUTABLE => {
                marks |= marks::ATTRIBUTABLE;
                (Handling::Displayed, 0)
            }
            ouch::Display::HIDDEN => (Handling::Hidden, 0),
            ouch::Display::POST_ONLY => (Handling::PostOnly, 0),
            _ => (Handling::Hidden, Self::NO_DISPLAY_OF_A_HIDDEN),
        };
        let sweep = marks::of_sweep(sweep);
        let how =
            Self { lifetime, expires, handling, display, marks: marks | sweep.unwrap_or_default() };
        if sweep.is_some() { how } else { how.spoiled() }
    }

    /// A day order has no expiry: `InvalidLifetime`.
    const NO_EXPIRY_OF_A_DAY: u64 = 1;
    /// A hidden order shows nothing: `InvalidDisplay`.
    const NO_DISPLAY_OF_A_HIDDEN: u32 = 1;

    /// For what the exchange has no word at all.
    fn spoiled(self) -> Self {
        Self { lifetime: Lifetime::Day, expires: Self::NO_EXPIRY_OF_A_DAY, ..self }
    }
}

fn token(token: ouch::Token) -> Option<Token> {
    Token::from_wire(&token.0)
}

fn side(side: ouch::Side) -> Option<Side> {
    match side {
        ouch::Side::BUY => Some(Side::Buy),
        ouch::Side::SELL => Some(Side::Sell),
        ouch::Side::SHORT => Some(Side::Short),
        ouch::Side::SHORT_EXEMPT => Some(Side::ShortExempt),
        _ => None,
    }
}

fn side_letter(side: Side) -> ouch::Side {
    match side {
        Side::Buy => ouch::Side::BUY,
        Side::Sell => ouch::Side::SELL,
        Side::Short => ouch::Side::SHORT,
        Side::ShortExempt => ouch::Side::SHORT_EXEMPT,
    }
}

/// More shares than the protocol has are more than the exchange takes.
fn quantity(shares: u32) -> u32 {
    if shares > ouch::SHARES_MAX { u32::MAX } else { shares }
}

/// A limit of 0 stays one, which the exchange refuses.
fn price(price: u32) -> (u32, Pricing) {
    if price == ouch::MARKET_PRICE { (0, Pricing::Market) } else { (price, Pricing::Limit) }
}

/// The refusal as its session hears it, if it does. It hears of those that use up a token; where
/// none is used up, the protocol says nothing.
pub fn rejected(reject: &Reject, time: Nanos) -> Option<(u16, Outbound)> {
    let Reject::Rejected(rejected) = reject;
    let told = ouch::Rejected {
        time: since_midnight(time).into(),
        token: Alpha(rejected.token.to_wire()),
        reason: reject_letter(rejected.why),
    };
    (rejected.used_up != 0).then(|| (rejected.session, told.into()))
}

fn reject_letter(why: Why) -> RejectReason {
    match why {
        Why::UnknownInstrument => RejectReason::STOCK,
        Why::KillSwitch => RejectReason::FIRM,
        Why::RateLimit => RejectReason::PORT_RATE,
        Why::Closed => RejectReason::CLOSED,
        Why::Halted => RejectReason::HALTED,
        Why::InvalidQuantity => RejectReason::SHARES,
        Why::InvalidPrice | Why::InvalidStop => RejectReason::PRICE,
        Why::InvalidDisplay => RejectReason::DISPLAY,
        Why::InvalidMinimum => RejectReason::MINIMUM,
        Why::NotInAuction => RejectReason::CROSS,
        Why::OrderQuantity => RejectReason::SHARES_RISK,
        Why::NoReference => RejectReason::NO_REFERENCE,
        Why::PriceCollar => RejectReason::FAT_FINGER,
        Why::Notional => RejectReason::NOTIONAL_RISK,
        Why::OpenOrders | Why::Position => RejectReason::EXPOSURE,
        // From the fourth on they use up no token, or answer operators.
        Why::NotInLots
        | Why::InvalidLifetime
        | Why::BookFull
        | Why::InvalidToken
        | Why::UnknownSession
        | Why::DuplicateToken
        | Why::UnknownOrder
        | Why::NothingToReduce
        | Why::InvalidSide
        | Why::UnknownParticipant
        | Why::InstrumentExists
        | Why::InvalidInstrument
        | Why::TooMany
        | Why::NotClosed
        | Why::InvalidTransition
        | Why::SessionOfAnother => RejectReason::OTHER,
    }
}

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// One session.
    Session(u16),
    /// Each of them.
    Everyone,
}

/// The first message of a day. A session's first day begins when it is set; no event begins the
/// others, so whoever keeps its messages does, before all that follow the day's end.
pub fn start_of_day(time: Nanos) -> Outbound {
    ouch::SystemEvent { time: since_midnight(time).into(), event: ouch::Day::START }.into()
}

/// Tells what the event is to each session that it concerns; `time` is its command's, `names` know
/// all that the log named up to it, or more.
pub fn tell(event: &Event, time: Nanos, names: &Names, mut tell: impl FnMut(To, Outbound)) {
    let at: U64 = since_midnight(time).into();
    let session = |order: &OrderId| To::Session(order.session);
    match event {
        Event::Accepted(accepted) => {
            let order = order(accepted, time, names);
            let told = ouch::Accepted { time: at, order, bbo: ouch::BboWeight::NONE };
            tell(session(&accepted.order), told.into());
        }
        Event::Replaced(replaced) => {
            let order = order(&replaced.new, time, names);
            let old = Alpha(replaced.old_token.to_wire());
            let told = ouch::Replaced { time: at, order, old, bbo: ouch::BboWeight::NONE };
            tell(session(&replaced.new.order), told.into());
        }
        Event::Canceled(it) => tell(session(&it.order), canceled(it, at)),
        Event::Modified(modified) => {
            let told = ouch::Modified {
                time: at,
                token: Alpha(modified.order.token.to_wire()),
                side: side_letter(modified.side),
                shares: modified.remaining.into(),
            };
            tell(session(&modified.order), told.into());
        }
        Event::Traded(traded) => {
            let [maker, taker] = liquidity(traded.venue);
            tell(session(&traded.maker), executed(traded, &traded.maker, maker, at));
            tell(session(&traded.taker), executed(traded, &traded.taker, taker, at));
        }
        Event::Rested(rested) if is_shown_anew(&rested.order) => {
            tell(session(&rested.order), shown_anew(rested, at));
        }
        Event::SessionSet(set) if set.is_new != 0 => {
            tell(To::Session(set.terms.session), start_of_day(time));
        }
        Event::DayEnded(_) => {
            let told = ouch::SystemEvent { time: at, event: ouch::Day::END };
            tell(To::Everyone, told.into());
        }
        Event::Rested(_)
        | Event::Triggered(_)
        | Event::MassCanceled(_)
        | Event::InstrumentAdded(_)
        | Event::InstrumentChanged(_)
        | Event::StateChanged(_)
        | Event::Crossed(_)
        | Event::ParticipantSet(_)
        | Event::SessionSet(_)
        | Event::Killed(_) => {}
    }
}

fn order(accepted: &event::Accepted, time: Nanos, names: &Names) -> ouch::Order {
    let event::Accepted { order, marks, .. } = *accepted;
    let is_market = accepted.pricing == Pricing::Market;
    ouch::Order {
        token: Alpha(order.token.to_wire()),
        side: side_letter(accepted.side),
        shares: accepted.quantity.into(),
        stock: Alpha(names.symbol(order.instrument).0),
        price: if is_market { ouch::MARKET_PRICE } else { accepted.price }.into(),
        time_in_force: time_in_force(accepted, time).into(),
        firm: names.account(order.session).map_or(Firm::BLANK, |account| account.firm),
        display: match accepted.handling {
            Handling::Displayed if marks & marks::ATTRIBUTABLE != 0 => ouch::Display::ATTRIBUTABLE,
            Handling::Displayed => ouch::Display::ANONYMOUS,
            Handling::Hidden => ouch::Display::HIDDEN,
            Handling::PostOnly => ouch::Display::POST_ONLY,
        },
        reference: order.reference.into(),
        capacity: marks::capacity(marks),
        sweep: marks::sweep(marks),
        minimum: accepted.minimum.into(),
        cross: ouch::Cross::NONE,
        state: ouch::OrderState::LIVE,
    }
}

fn canceled(canceled: &event::Canceled, time: U64) -> Outbound {
    let token = Alpha(canceled.order.token.to_wire());
    let decrement = canceled.decrement.into();
    let reason = cancel_letter(canceled.reason);
    if canceled.reason != Reason::SelfTrade {
        return ouch::Canceled { time, token, decrement, reason }.into();
    }
    ouch::SelfMatch {
        time,
        token,
        decrement,
        reason,
        prevented: canceled.prevented.into(),
        price: canceled.price.into(),
        liquidity: if canceled.incoming == 0 { Liquidity::ADDED } else { Liquidity::REMOVED },
    }
    .into()
}

/// Each stay of an iceberg in the displayed book has a reference of its own.
fn is_shown_anew(order: &OrderId) -> bool {
    order.reference >> 32 != 0
}

fn shown_anew(rested: &event::Rested, time: U64) -> Outbound {
    ouch::PriorityUpdated {
        time,
        token: Alpha(rested.order.token.to_wire()),
        price: rested.price.into(),
        display: ouch::Display::ANONYMOUS,
        reference: rested.order.reference.into(),
    }
    .into()
}

/// Of the maker, of the taker.
fn liquidity(venue: Venue) -> [Liquidity; 2] {
    match venue {
        Venue::Continuous => [Liquidity::ADDED, Liquidity::REMOVED],
        Venue::Opening => [Liquidity::OPENING; 2],
        Venue::Halt => [Liquidity::HALT; 2],
        Venue::Closing => [Liquidity::CLOSING; 2],
    }
}

fn executed(traded: &event::Traded, order: &OrderId, liquidity: Liquidity, time: U64) -> Outbound {
    ouch::Executed {
        time,
        token: Alpha(order.token.to_wire()),
        shares: traded.quantity.into(),
        price: (traded.price + u32::from(is_planted(Bug::OtherPrice))).into(),
        liquidity,
        match_number: traded.match_number.into(),
    }
    .into()
}

/// What the client asked for: the gateway looked at its clock before the sequencer did, so whole
/// seconds are found again by rounding up.
fn time_in_force(accepted: &event::Accepted, time: Nanos) -> u32 {
    match accepted.lifetime {
        Lifetime::Immediate | Lifetime::AllOrNothing => time_in_force::IMMEDIATE,
        Lifetime::GoodTill => {
            let seconds = accepted.expires.saturating_sub(time.0).div_ceil(Nanos::SECOND);
            seconds.min(u64::from(time_in_force::SECONDS_MAX)) as u32
        }
        Lifetime::Day if accepted.marks & marks::MARKET_HOURS != 0 => time_in_force::MARKET_HOURS,
        Lifetime::Day => time_in_force::SYSTEM_HOURS,
    }
}

fn cancel_letter(reason: Reason) -> CancelReason {
    match reason {
        Reason::User | Reason::Mass => CancelReason::USER,
        Reason::Disconnect => CancelReason::SYSTEM,
        Reason::Supervisory => CancelReason::SUPERVISORY,
        Reason::Immediate | Reason::Unfilled => CancelReason::IMMEDIATE,
        Reason::PostOnly => CancelReason::POST_ONLY,
        Reason::SelfTrade => CancelReason::SELF_MATCH,
        Reason::Collar => CancelReason::COLLAR,
        Reason::Timeout => CancelReason::TIMEOUT,
        Reason::Cross => CancelReason::CROSS,
        Reason::Closed => CancelReason::CLOSED,
    }
}
