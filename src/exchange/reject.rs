//! Why the exchange refused a command: `docs/EXCHANGE.md` says when, in this order.

use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};

use super::ids::Token;
use crate::exchange::layout::layouts;

layouts! {
    /// A refusal of the exchange.
    pub enum Reject: "exchange reject", version 1 {
        1 => Rejected,
    }
}

/// A command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Rejected {
    /// The order that the command named; a replace's new one. Blank where it named none.
    pub token: Token,
    /// Who asked; 0 for the operator.
    pub session: u16,
    /// Why.
    pub why: Why,
    /// Whether the token is used up by the refusal: 1 or 0.
    pub used_up: u8,
}

/// Why a command was refused.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    TryFromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(u8)]
pub enum Why {
    /// The token has bits that no token has.
    InvalidToken = 1,
    /// No such session.
    UnknownSession,
    /// The session used this token today. Silent on the wire.
    DuplicateToken,
    /// The session has no such live order. Silent on the wire.
    UnknownOrder,
    /// The order is as small already. Silent on the wire.
    NothingToReduce,
    /// No such instrument.
    UnknownInstrument,
    /// The participant is stopped.
    KillSwitch,
    /// Too many in too short a time.
    RateLimit,
    /// The instrument is closed.
    Closed,
    /// The instrument is halted.
    Halted,
    /// Zero or too large.
    InvalidQuantity,
    /// Not a multiple of the lot.
    NotInLots,
    /// Off the tick, outside the range, or where none belongs.
    InvalidPrice,
    /// The same of a stop price, or an order that cannot be a stop.
    InvalidStop,
    /// A display quantity or handling that does not go with the rest.
    InvalidDisplay,
    /// A lifetime that does not go with the rest.
    InvalidLifetime,
    /// A minimum quantity that does not go with the rest.
    InvalidMinimum,
    /// An order that an auction cannot take.
    NotInAuction,
    /// More than one order of the participant may hold.
    OrderQuantity,
    /// A market order that needs a reference price where there is none.
    NoReference,
    /// Too far beyond the reference price.
    PriceCollar,
    /// Worth more than one order of the participant may be.
    Notional,
    /// As many orders as the participant may have.
    OpenOrders,
    /// Farther from flat than the participant may be.
    Position,
    /// The exchange holds as many orders or tokens as it can count.
    BookFull,
    /// A side that the order cannot change to.
    InvalidSide,
    /// No such participant.
    UnknownParticipant,
    /// The symbol is taken.
    InstrumentExists,
    /// Terms that make no sense.
    InvalidInstrument,
    /// As many instruments as can be numbered.
    TooMany,
    /// Only while closed.
    NotClosed,
    /// No way from this state to that one.
    InvalidTransition,
    /// The session belongs to another participant.
    SessionOfAnother,
}

impl Why {
    /// So many reasons there are.
    pub const COUNT: usize = Self::SessionOfAnother as usize;

    /// All of them, each at its [`Self::place`].
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=Self::COUNT as u8).map(|number| {
            Self::try_read_from_bytes(&[number]).expect("they are numbered one by one from 1")
        })
    }

    /// Its place in a list of all.
    pub const fn place(self) -> usize {
        self as usize - 1
    }

    /// Whether the protocol says nothing to the client.
    pub const fn is_silent(self) -> bool {
        matches!(self, Self::DuplicateToken | Self::UnknownOrder | Self::NothingToReduce)
    }
}
