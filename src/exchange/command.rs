//! What can be asked of the exchange. Each is a fixed layout: the bytes in the ring are the value.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, TryFromBytes};

use super::ids::{Side, Symbol, Token};
use crate::exchange::layout::layouts;

layouts! {
    /// A command of the exchange.
    pub enum Command: "exchange command", version 1 {
        1 => Enter,
        2 => Replace,
        3 => Cancel,
        4 => Modify,
        5 => MassCancel,
        6 => Disconnected,
        7 => AddInstrument,
        8 => ChangeInstrument,
        9 => ChangeState,
        10 => SetParticipant,
        11 => SetSession,
        12 => Kill,
        13 => Tick,
        14 => EndDay,
    }
}

impl Command {
    /// Whether it is an operator's, not a client's and not the node's own.
    pub fn is_operators(&self) -> bool {
        matches!(
            self,
            Self::MassCancel(_)
                | Self::AddInstrument(_)
                | Self::ChangeInstrument(_)
                | Self::ChangeState(_)
                | Self::SetParticipant(_)
                | Self::SetSession(_)
                | Self::Kill(_)
                | Self::EndDay(_)
        )
    }
}

/// How an order is priced.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(u8)]
pub enum Pricing {
    /// At its price or better.
    #[default]
    Limit,
    /// At what there is.
    Market,
}

/// How long an order may wait.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(u8)]
pub enum Lifetime {
    /// Until its instrument closes.
    #[default]
    Day,
    /// Not at all: what does not trade at once is canceled.
    Immediate,
    /// Not at all, and it trades whole or not.
    AllOrNothing,
    /// Until a tick at or after its expiry, or the close.
    GoodTill,
}

/// How an order stands in the book.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(u8)]
pub enum Handling {
    /// For all to see, or a slice of it: see [`Enter::display`].
    #[default]
    Displayed,
    /// For nobody to see, behind all displayed orders of its price.
    Hidden,
    /// Displayed, and canceled rather than trading on entry.
    PostOnly,
}

/// A new order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Enter {
    /// When a good-till order ends, in nanoseconds since 1970; 0 for any other.
    pub expires: u64,
    /// What to trade.
    pub symbol: Symbol,
    /// The client's name for the order.
    pub token: Token,
    /// Whose order.
    pub session: u16,
    /// What the wire wants back; the exchange gives it no meaning.
    pub marks: u16,
    /// The limit; 0 for a market order.
    pub price: u32,
    /// How many shares.
    pub quantity: u32,
    /// How many of them to show at a time; 0 for all.
    pub display: u32,
    /// How many must trade at once, or none; 0 for any.
    pub minimum: u32,
    /// The price that wakes a stop; 0 for an order that is none.
    pub stop: u32,
    /// Buy or which kind of sell.
    pub side: Side,
    /// Limit or market.
    pub pricing: Pricing,
    /// How long it may wait.
    pub lifetime: Lifetime,
    /// How it stands in the book.
    pub handling: Handling,
}

/// A new order in place of an old one: what it does not name carries over.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Replace {
    /// As [`Enter::expires`].
    pub expires: u64,
    /// The order to replace.
    pub old: Token,
    /// The name of the new one.
    pub new: Token,
    /// Whose order.
    pub session: u16,
    /// New marks …
    pub marks: u16,
    /// … where these bits are 0; where they are 1 the old ones stay.
    pub marks_kept: u16,
    /// How long it may wait.
    pub lifetime: Lifetime,
    /// How it stands in the book.
    pub handling: Handling,
    /// The limit; 0 for a market order.
    pub price: u32,
    /// How many shares in all, those already executed included.
    pub quantity: u32,
    /// As [`Enter::display`].
    pub display: u32,
    /// As [`Enter::minimum`].
    pub minimum: u32,
    /// The stop price of an order that is still a stop; 0 for the one it has.
    pub stop: u32,
    /// Zeros.
    pub reserved: u32,
}

/// Fewer shares, or none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Cancel {
    /// Which order.
    pub token: Token,
    /// How many shares the client still wants in all, those already executed included.
    pub quantity: u32,
    /// Whose order.
    pub session: u16,
    /// Zeros.
    pub reserved: u16,
}

/// Fewer shares or another kind of sell, in place.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Modify {
    /// Which order.
    pub token: Token,
    /// How many shares the client still wants in all, those already executed included.
    pub quantity: u32,
    /// Whose order.
    pub session: u16,
    /// The side it shall have.
    pub side: Side,
    /// Zeros.
    pub reserved: u8,
}

/// Which sides a mass cancel means.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(u8)]
pub enum Sides {
    /// Buys and sells.
    #[default]
    Both,
    /// Buys.
    Buy,
    /// All kinds of sells.
    Sell,
}

/// No more orders of a session, as far as it says.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct MassCancel {
    /// Which instrument; blank for all.
    pub symbol: Symbol,
    /// Whose orders.
    pub session: u16,
    /// Which sides.
    pub sides: Sides,
    /// Zeros.
    pub reserved: u8,
    /// Zeros.
    pub reserved_too: u32,
}

/// A session lost its connection.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Disconnected {
    /// Which one.
    pub session: u16,
}

/// What an instrument is like.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Terms {
    /// Its name.
    pub symbol: Symbol,
    /// Prices are multiples of this.
    pub tick: u32,
    /// Quantities are multiples of this.
    pub lot: u32,
    /// The lowest price of an order.
    pub lowest: u32,
    /// The highest price of an order.
    pub highest: u32,
    /// How far beyond the reference price an order may trade; 0 for as far as it likes.
    pub collar: u32,
    /// The reference price until something trades; 0 for none.
    pub reference: u32,
}

/// A new instrument.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct AddInstrument(pub Terms);

/// Other terms for an instrument.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct ChangeInstrument(pub Terms);

/// What may be done with an instrument now.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    TryFromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    serde::Serialize,
    serde::Deserialize,
)]
#[repr(u8)]
pub enum State {
    /// Nothing.
    #[default]
    Closed,
    /// Orders are collected for the opening auction.
    PreOpen,
    /// Orders trade as they come.
    Open,
    /// Orders may only be taken back.
    Halted,
    /// Orders are collected for the closing auction.
    PreClose,
}

/// An instrument goes to another state.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, TryFromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ChangeState {
    /// Which one.
    pub symbol: Symbol,
    /// Where to.
    pub state: State,
    /// Zeros.
    pub reserved: [u8; 7],
}

/// What happens when a participant would trade with itself.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    TryFromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    serde::Serialize,
    serde::Deserialize,
)]
#[repr(u8)]
pub enum SelfTrade {
    /// It trades.
    #[default]
    Allow,
    /// The incoming order is canceled.
    CancelNewest,
    /// The resting order is canceled.
    CancelOldest,
    /// Both are.
    CancelBoth,
}

/// A participant and what it may do; each limit 0 for none.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    TryFromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    serde::Serialize,
    serde::Deserialize,
)]
#[repr(C)]
pub struct SetParticipant {
    /// The largest price × quantity of one order.
    pub notional_max: u64,
    /// The farthest that a position may be from flat, open orders included, per instrument.
    pub position_max: u64,
    /// The largest quantity of one order.
    pub quantity_max: u32,
    /// The most live orders.
    pub open_orders_max: u32,
    /// Entries and replaces per second.
    pub rate: u32,
    /// How many of them may come at once.
    pub burst: u32,
    /// Which one.
    pub participant: u16,
    /// What happens when it would trade with itself.
    pub self_trade: SelfTrade,
    /// Zeros.
    pub reserved: [u8; 5],
}

/// A session and whose it is.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    serde::Serialize,
    serde::Deserialize,
)]
#[repr(C)]
pub struct SetSession {
    /// Which one.
    pub session: u16,
    /// Whose.
    pub participant: u16,
    /// Not 0: its orders are canceled when it loses its connection.
    pub cancel_on_disconnect: u32,
}

/// Stops a participant, or lets it go on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Kill {
    /// Which one.
    pub participant: u16,
    /// Not 0: stop; 0: go on.
    pub on: u16,
}

/// Time passes: what ends by now ends.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Tick;

/// The day is over: its tokens are forgotten.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct EndDay;
