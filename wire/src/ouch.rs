//! OUCH 4.2: orders in, answers out. The struct of a message is its layout, type excepted.

use zerocopy::byteorder::big_endian::{U32, U64};

use crate::layout::{Alpha, letters, messages, structs};

/// The client's name for an order.
pub type Token = Alpha<14>;
/// What is traded.
pub type Stock = Alpha<8>;
/// For whom.
pub type Firm = Alpha<4>;

/// The price of an order that has none.
pub const MARKET_PRICE: u32 = 0x7FFF_FFFF;
/// An order has at most so many shares.
pub const SHARES_MAX: u32 = 999_999;

/// How long an order may wait: seconds, but for these.
pub mod time_in_force {
    /// Not at all.
    pub const IMMEDIATE: u32 = 0;
    /// The most seconds.
    pub const SECONDS_MAX: u32 = 99_997;
    /// Until the market closes.
    pub const MARKET_HOURS: u32 = 99_998;
    /// Until the system closes.
    pub const SYSTEM_HOURS: u32 = 99_999;
}

messages! {
    /// What a client says.
    pub enum Inbound: "OUCH 4.2 message from a client" {
        b'O' => Enter, 49 or 48;
        b'U' => Replace, 47;
        b'X' => Cancel, 19;
        b'M' => Modify, 20;
    }
}

messages! {
    /// What the host says.
    pub enum Outbound: "OUCH 4.2 message from a host" {
        b'S' => SystemEvent, 10;
        b'A' => Accepted, 66 or 65;
        b'U' => Replaced, 80 or 79;
        b'C' => Canceled, 28;
        b'D' => SelfMatch, 37;
        b'E' => Executed, 40;
        b'G' => ExecutedAtReference, 45;
        b'B' => Broken, 32;
        b'J' => Rejected, 24;
        b'P' => CancelPending, 23;
        b'I' => CancelRejected, 23;
        b'T' => PriorityUpdated, 36;
        b'M' => Modified, 28;
    }
}

letters! {
    /// Buy, or which kind of sell.
    pub struct Side {
        /// Buy.
        BUY = b'B',
        /// Sell.
        SELL = b'S',
        /// Sell short.
        SHORT = b'T',
        /// Sell short, exempt.
        SHORT_EXEMPT = b'E',
    }

    /// How an order stands in the book. The host knows more letters than these.
    pub struct Display {
        /// Shown, without a name.
        ANONYMOUS = b'Y',
        /// Shown, with a name.
        ATTRIBUTABLE = b'A',
        /// Not shown.
        HIDDEN = b'N',
        /// Canceled rather than trading on entry.
        POST_ONLY = b'P',
    }

    /// For whose account.
    pub struct Capacity {
        /// As agent.
        AGENCY = b'A',
        /// As principal.
        PRINCIPAL = b'P',
        /// Riskless principal.
        RISKLESS = b'R',
        /// Other.
        OTHER = b'O',
    }

    /// Whether an order is an intermarket sweep.
    pub struct Sweep {
        /// It is.
        YES = b'Y',
        /// It is not.
        NO = b'N',
        /// Trade-at.
        TRADE_AT = b'y',
    }

    /// Which cross an order is for.
    pub struct Cross {
        /// None.
        NONE = b'N',
        /// The opening.
        OPENING = b'O',
        /// The closing.
        CLOSING = b'C',
        /// After a halt.
        HALT = b'H',
        /// Supplemental.
        SUPPLEMENTAL = b'S',
        /// Retail.
        RETAIL = b'R',
        /// Extended life.
        EXTENDED_LIFE = b'E',
        /// After hours.
        AFTER_HOURS = b'A',
    }

    /// Whose order it is.
    pub struct Customer {
        /// Retail.
        RETAIL = b'R',
        /// Not retail.
        NOT_RETAIL = b'N',
        /// As the account says.
        DEFAULT = b' ',
    }

    /// What happens to the day.
    pub struct Day {
        /// It begins.
        START = b'S',
        /// It ends.
        END = b'E',
    }

    /// Whether an accepted order is there.
    pub struct OrderState {
        /// It is.
        LIVE = b'L',
        /// It was canceled at once.
        DEAD = b'D',
    }

    /// How an order stands to the best prices.
    pub struct BboWeight {
        /// Not said.
        NONE = b' ',
    }

    /// Why shares went.
    pub struct CancelReason {
        /// The client asked.
        USER = b'U',
        /// What could not trade at once.
        IMMEDIATE = b'I',
        /// Its time is over.
        TIMEOUT = b'T',
        /// The venue's people.
        SUPERVISORY = b'S',
        /// A rule.
        REGULATORY = b'D',
        /// It would have met its own.
        SELF_MATCH = b'Q',
        /// The system.
        SYSTEM = b'Z',
        /// What a cross left over.
        CROSS = b'C',
        /// Too far from the reference price.
        COLLAR = b'K',
        /// The stock is halted.
        HALTED = b'H',
        /// The opening protects.
        OPEN_PROTECTION = b'X',
        /// Closed.
        CLOSED = b'E',
        /// Post-only, beside a price elsewhere.
        POST_ONLY_AWAY = b'F',
        /// Post-only, beside a price here.
        POST_ONLY = b'G',
    }

    /// What an order was to the trade.
    pub struct Liquidity {
        /// It waited.
        ADDED = b'A',
        /// It came.
        REMOVED = b'R',
        /// The opening cross.
        OPENING = b'O',
        /// The closing cross.
        CLOSING = b'C',
        /// The cross after a halt.
        HALT = b'H',
    }

    /// What kind of price a reference price is.
    pub struct ReferenceKind {
        /// Between the best prices.
        MIDPOINT = b'I',
    }

    /// Why a trade is none.
    pub struct BrokenReason {
        /// Erroneous.
        ERRONEOUS = b'E',
        /// Both agreed.
        CONSENT = b'C',
        /// The venue's people.
        SUPERVISORY = b'S',
        /// Somebody else.
        EXTERNAL = b'X',
    }

    /// Why an order is not taken.
    pub struct RejectReason {
        /// Test mode.
        TEST_MODE = b'T',
        /// Halted.
        HALTED = b'H',
        /// Too many shares, or none.
        SHARES = b'Z',
        /// No such stock.
        STOCK = b'S',
        /// No such display.
        DISPLAY = b'D',
        /// Closed.
        CLOSED = b'C',
        /// The firm may not.
        FIRM = b'L',
        /// Outside clearing times.
        CLEARING = b'M',
        /// Not in a cross.
        CROSS = b'R',
        /// A price that is none.
        PRICE = b'X',
        /// A minimum quantity that is none.
        MINIMUM = b'N',
        /// Anything else.
        OTHER = b'O',
        /// Too far from the reference price.
        FAT_FINGER = b'e',
        /// More shares than the firm may.
        SHARES_RISK = b'm',
        /// Worth more than the firm may.
        NOTIONAL_RISK = b'n',
        /// More exposed than the firm may be.
        EXPOSURE = b'v',
        /// Too many orders in too short a time.
        PORT_RATE = b'x',
        /// There is no reference price.
        NO_REFERENCE = b'o',
    }
}

structs! {
    /// A new order.
    pub struct Enter {
        /// Its name.
        pub token: Token,
        /// Its side.
        pub side: Side,
        /// How many.
        pub shares: U32,
        /// Of what.
        pub stock: Stock,
        /// At which price, or better.
        pub price: U32,
        /// How long.
        pub time_in_force: U32,
        /// For whom; blank for the account's own.
        pub firm: Firm,
        /// How it stands in the book.
        pub display: Display,
        /// For whose account.
        pub capacity: Capacity,
        /// Whether it is a sweep.
        pub sweep: Sweep,
        /// How many at once, or none.
        pub minimum: U32,
        /// For which cross.
        pub cross: Cross,
        /// Whose it is.
        pub customer: Customer,
    }

    /// Another order in place of one.
    pub struct Replace {
        /// The name of the old one.
        pub old: Token,
        /// The name of the new one.
        pub new: Token,
        /// How many in all, those already executed included.
        pub shares: U32,
        /// At which price, or better.
        pub price: U32,
        /// How long.
        pub time_in_force: U32,
        /// How it stands in the book.
        pub display: Display,
        /// Whether it is a sweep.
        pub sweep: Sweep,
        /// How many at once, or none.
        pub minimum: U32,
    }

    /// Fewer shares, or none.
    pub struct Cancel {
        /// Of which order.
        pub token: Token,
        /// How many are still wanted in all, those already executed included.
        pub shares: U32,
    }

    /// Fewer shares or another kind of sell, in place.
    pub struct Modify {
        /// Of which order.
        pub token: Token,
        /// Its side from now on.
        pub side: Side,
        /// How many are still wanted in all, those already executed included.
        pub shares: U32,
    }

    /// The day begins or ends.
    pub struct SystemEvent {
        /// When, in nanoseconds since midnight.
        pub time: U64,
        /// Which.
        pub event: Day,
    }

    /// An order as the host took it.
    pub struct Order {
        /// Its name.
        pub token: Token,
        /// Its side.
        pub side: Side,
        /// How many are open.
        pub shares: U32,
        /// Of what.
        pub stock: Stock,
        /// At which price, or better.
        pub price: U32,
        /// How long.
        pub time_in_force: U32,
        /// For whom.
        pub firm: Firm,
        /// How it stands in the book.
        pub display: Display,
        /// The market's name of it.
        pub reference: U64,
        /// For whose account.
        pub capacity: Capacity,
        /// Whether it is a sweep.
        pub sweep: Sweep,
        /// How many at once, or none.
        pub minimum: U32,
        /// For which cross.
        pub cross: Cross,
        /// Whether it is there.
        pub state: OrderState,
    }

    /// An order was taken.
    pub struct Accepted {
        /// When.
        pub time: U64,
        /// As what.
        pub order: Order,
        /// How it stands to the best prices.
        pub bbo: BboWeight,
    }

    /// An order took another's place.
    pub struct Replaced {
        /// When.
        pub time: U64,
        /// The new one.
        pub order: Order,
        /// The name of the old one.
        pub old: Token,
        /// How it stands to the best prices.
        pub bbo: BboWeight,
    }

    /// Shares went.
    pub struct Canceled {
        /// When.
        pub time: U64,
        /// Of which order.
        pub token: Token,
        /// How many.
        pub decrement: U32,
        /// Why.
        pub reason: CancelReason,
    }

    /// Shares went because the order would have met its own.
    pub struct SelfMatch {
        /// When.
        pub time: U64,
        /// Of which order.
        pub token: Token,
        /// How many.
        pub decrement: U32,
        /// Why: [`CancelReason::SELF_MATCH`].
        pub reason: CancelReason,
        /// How many would have traded.
        pub prevented: U32,
        /// At which price.
        pub price: U32,
        /// What the order would have been to the trade.
        pub liquidity: Liquidity,
    }

    /// An order traded.
    pub struct Executed {
        /// When.
        pub time: U64,
        /// Which order.
        pub token: Token,
        /// How many.
        pub shares: U32,
        /// At which price.
        pub price: U32,
        /// What the order was to the trade.
        pub liquidity: Liquidity,
        /// The trade's number.
        pub match_number: U64,
    }

    /// An order traded, and what it is compared with.
    pub struct ExecutedAtReference {
        /// The trade.
        pub executed: Executed,
        /// The reference price.
        pub reference_price: U32,
        /// What kind of price that is.
        pub kind: ReferenceKind,
    }

    /// A trade is none.
    pub struct Broken {
        /// When.
        pub time: U64,
        /// Of which order.
        pub token: Token,
        /// The trade's number.
        pub match_number: U64,
        /// Why.
        pub reason: BrokenReason,
    }

    /// An order was not taken.
    pub struct Rejected {
        /// When.
        pub time: U64,
        /// Which order.
        pub token: Token,
        /// Why.
        pub reason: RejectReason,
    }

    /// A cross order's cancel waits.
    pub struct CancelPending {
        /// When.
        pub time: U64,
        /// Which order.
        pub token: Token,
    }

    /// A cross order's cancel is refused.
    pub struct CancelRejected {
        /// When.
        pub time: U64,
        /// Which order.
        pub token: Token,
    }

    /// An order has another place in the book.
    pub struct PriorityUpdated {
        /// When.
        pub time: U64,
        /// Which order.
        pub token: Token,
        /// At which price.
        pub price: U32,
        /// How it stands there.
        pub display: Display,
        /// The market's name of it from now on.
        pub reference: U64,
    }

    /// An order was made smaller, or marked otherwise.
    pub struct Modified {
        /// When.
        pub time: U64,
        /// Which order.
        pub token: Token,
        /// Its side now.
        pub side: Side,
        /// How many are open now.
        pub shares: U32,
    }
}
