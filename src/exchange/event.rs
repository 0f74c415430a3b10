//! What happened in the exchange: enough for the order's owner, for market data and for a drop
//! copy, without asking the exchange again or remembering what orders there are. When, and by which
//! command, is the record's sequence.
//!
//! `displayed` is what the market sees of an order afterwards, `shown` what it saw go.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, TryFromBytes};

use super::command::{Handling, Lifetime, Pricing, SetParticipant, SetSession, State, Terms};
use super::ids::{Side, Symbol, Token};
use crate::exchange::layout::layouts;

layouts! {
    /// An event of the exchange.
    pub enum Event: "exchange event", version 1 {
        1 => Accepted,
        2 => Replaced,
        3 => Canceled,
        4 => Modified,
        5 => Traded,
        6 => Rested,
        7 => Triggered,
        8 => MassCanceled,
        9 => InstrumentAdded,
        10 => InstrumentChanged,
        11 => StateChanged,
        12 => Crossed,
        13 => ParticipantSet,
        14 => SessionSet,
        15 => Killed,
        16 => DayEnded,
    }
}

/// Which order, in everybody's words.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct OrderId {
    /// The market's name of the order; a new one with each new place in the displayed book.
    pub reference: u64,
    /// The client's name of it.
    pub token: Token,
    /// Whose it is.
    pub session: u16,
    /// What it trades.
    pub instrument: u16,
}

/// An order was taken in, as described.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Accepted {
    /// Which order.
    pub order: OrderId,
    /// When a good-till order ends.
    pub expires: u64,
    /// Its limit; 0 for a market order.
    pub price: u32,
    /// Its open shares.
    pub quantity: u32,
    /// The shares of it that stand in the displayed book from now on.
    pub displayed: u32,
    /// How many it shows at a time; 0 for all.
    pub display: u32,
    /// How many must trade at once.
    pub minimum: u32,
    /// What wakes it.
    pub stop: u32,
    /// Its side.
    pub side: Side,
    /// Limit or market.
    pub pricing: Pricing,
    /// How long it may wait.
    pub lifetime: Lifetime,
    /// How it stands in the book.
    pub handling: Handling,
    /// What the wire wanted back.
    pub marks: u16,
    /// Zeros.
    pub reserved: u16,
}

/// An order took another's place.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Replaced {
    /// The new order; `quantity` is what is open now.
    pub new: Accepted,
    /// The market's name of the old one, as it stood last.
    pub old_reference: u64,
    /// The client's name of the old one.
    pub old_token: Token,
    /// How many shares of the old one were displayed.
    pub old_shown: u32,
}

/// Why shares were taken out of an order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(u8)]
pub enum Reason {
    /// The client asked.
    #[default]
    User,
    /// The client asked for many.
    Mass,
    /// The session lost its connection.
    Disconnect,
    /// The participant was stopped.
    Supervisory,
    /// It could not trade at once.
    Immediate,
    /// It could not trade enough at once.
    Unfilled,
    /// It would have traded and must not.
    PostOnly,
    /// It would have traded with its own participant.
    SelfTrade,
    /// It would have traded too far from the reference price.
    Collar,
    /// Its time is over.
    Timeout,
    /// The auction left it over.
    Cross,
    /// The instrument closed.
    Closed,
}

/// Shares were taken out of an order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Canceled {
    /// Which order.
    pub order: OrderId,
    /// How many shares went.
    pub decrement: u32,
    /// How many are open still; at 0 the order is gone.
    pub remaining: u32,
    /// How many of them are displayed.
    pub displayed: u32,
    /// How many displayed shares went.
    pub shown: u32,
    /// What self-trade prevention kept from trading.
    pub prevented: u32,
    /// The order's limit (0 for a market order), or what the prevented trade's price would have
    /// been.
    pub price: u32,
    /// The order's side.
    pub side: Side,
    /// Why.
    pub reason: Reason,
    /// Whether it was coming in, and stood nowhere yet: 1 or 0.
    pub incoming: u8,
    /// Zeros.
    pub reserved: [u8; 5],
}

/// An order was made smaller, or marked otherwise, in place.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Modified {
    /// Which order.
    pub order: OrderId,
    /// How many shares are open now.
    pub remaining: u32,
    /// How many of them are displayed.
    pub displayed: u32,
    /// How many shares went.
    pub decrement: u32,
    /// How many displayed shares went.
    pub shown: u32,
    /// Its side now.
    pub side: Side,
    /// Zeros.
    pub reserved: [u8; 7],
}

/// What made a trade.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(u8)]
pub enum Venue {
    /// An order met a resting one.
    #[default]
    Continuous,
    /// The opening auction.
    Opening,
    /// The auction after a halt.
    Halt,
    /// The closing auction.
    Closing,
}

/// Two orders traded.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Traded {
    /// The trade's number.
    pub match_number: u64,
    /// The resting order; in an auction the buy.
    pub maker: OrderId,
    /// The incoming order; in an auction the sell.
    pub taker: OrderId,
    /// At this price.
    pub price: u32,
    /// So many shares.
    pub quantity: u32,
    /// The maker's open shares after it.
    pub maker_remaining: u32,
    /// How many of them are displayed.
    pub maker_displayed: u32,
    /// How many of the shares that traded were displayed at the maker.
    pub maker_shown: u32,
    /// The taker's open shares after it.
    pub taker_remaining: u32,
    /// How many of the shares that traded were displayed at the taker: only in auctions any.
    pub taker_shown: u32,
    /// The maker's side.
    pub maker_side: Side,
    /// The taker's side.
    pub taker_side: Side,
    /// What made it.
    pub venue: Venue,
    /// Whether the maker was hidden: 1 or 0.
    pub maker_hidden: u8,
}

/// Shares of an order stand in the displayed book from now on, at the end of their level.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Rested {
    /// Which order; `reference` is the one it has from now on.
    pub order: OrderId,
    /// Where.
    pub price: u32,
    /// How many.
    pub displayed: u32,
    /// How many are open, the reserve included.
    pub remaining: u32,
    /// How many were displayed until now, where it stood before: what an auction left of an
    /// iceberg's slice.
    pub old_shown: u32,
    /// Its side.
    pub side: Side,
    /// Zeros.
    pub reserved: [u8; 7],
}

/// A stop woke up.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Triggered {
    /// Which order.
    pub order: OrderId,
    /// Its stop price.
    pub stop: u32,
    /// Its open shares.
    pub quantity: u32,
}

/// Orders of a session were canceled together.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct MassCanceled {
    /// Whose.
    pub session: u16,
    /// Zeros.
    pub reserved: u16,
    /// How many.
    pub count: u32,
}

/// An instrument is there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct InstrumentAdded {
    /// What it is like.
    pub terms: Terms,
    /// Its number from now on.
    pub instrument: u32,
}

/// An instrument has other terms.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct InstrumentChanged {
    /// What it is like now.
    pub terms: Terms,
    /// Its number.
    pub instrument: u32,
}

/// An instrument went to another state.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct StateChanged {
    /// Its name.
    pub symbol: Symbol,
    /// Its number.
    pub instrument: u16,
    /// Where from.
    pub from: State,
    /// Where to.
    pub to: State,
    /// Zeros.
    pub reserved: u32,
}

/// An auction found its price.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Crossed {
    /// How many shares traded.
    pub volume: u64,
    /// The match number of its last trade.
    pub match_number: u64,
    /// At this price.
    pub price: u32,
    /// What it trades.
    pub instrument: u16,
    /// Which auction.
    pub venue: Venue,
    /// Zero.
    pub reserved: u8,
}

/// A participant is as told.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct ParticipantSet(pub SetParticipant);

/// A session is as told.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SessionSet {
    /// What it is like.
    pub terms: SetSession,
    /// 1: there was none of this number before; 0: there was.
    pub is_new: u32,
}

/// A participant was stopped, or goes on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Killed {
    /// Which one.
    pub participant: u16,
    /// 1: stopped; 0: goes on.
    pub on: u16,
}

/// The day's tokens are forgotten.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DayEnded {
    /// How many there were.
    pub tokens: u64,
}
