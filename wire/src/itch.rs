//! ITCH 5.0: what the market sees. The struct of a message is its layout, type excepted. Nothing
//! inside says how long a message is: that comes from what carries it.

use zerocopy::byteorder::big_endian::{U16, U32, U64};

use crate::layout::{Alpha, U48, letters, messages, structs};

/// What is traded.
pub type Stock = Alpha<8>;

messages! {
    /// What the market sees.
    pub enum Message: "ITCH 5.0 message" {
        b'S' => SystemEvent, 12;
        b'R' => StockDirectory, 39;
        b'H' => TradingAction, 25;
        b'Y' => ShortSaleRule, 20;
        b'L' => ParticipantPosition, 26;
        b'A' => Added, 36;
        b'F' => AddedWithName, 40;
        b'E' => Executed, 31;
        b'C' => ExecutedAtPrice, 36;
        b'X' => Reduced, 23;
        b'D' => Deleted, 19;
        b'U' => Replaced, 35;
        b'P' => Traded, 44;
        b'Q' => Crossed, 40;
        b'B' => Broken, 19;
    }
}

letters! {
    /// What happens to the day.
    pub struct Day {
        /// Messages start.
        MESSAGES_START = b'O',
        /// System hours start.
        SYSTEM_START = b'S',
        /// The market opens.
        MARKET_OPEN = b'Q',
        /// The market closes.
        MARKET_CLOSE = b'M',
        /// System hours end.
        SYSTEM_END = b'E',
        /// Messages end.
        MESSAGES_END = b'C',
    }

    /// What may be done with a stock.
    pub struct State {
        /// Halted.
        HALTED = b'H',
        /// Paused.
        PAUSED = b'P',
        /// Orders are collected.
        QUOTING = b'Q',
        /// Orders trade.
        TRADING = b'T',
    }

    /// Which side of the book.
    pub struct Side {
        /// Buys.
        BUY = b'B',
        /// Sells.
        SELL = b'S',
    }

    /// Yes, no, or another letter that a field has.
    pub struct Flag {
        /// Yes.
        YES = b'Y',
        /// No.
        NO = b'N',
        /// Not said.
        NONE = b' ',
    }

    /// Where a stock is listed.
    pub struct Category {
        /// Not said.
        NONE = b' ',
    }

    /// How a stock's issuer stands to the rules.
    pub struct Finances {
        /// As it should.
        NORMAL = b'N',
        /// Not said.
        NONE = b' ',
    }

    /// What kind of paper.
    pub struct Class {
        /// A common stock.
        COMMON = b'C',
    }

    /// Whether a stock is one.
    pub struct Authenticity {
        /// It is.
        PRODUCTION = b'P',
        /// It is for tests.
        TEST = b'T',
    }

    /// How far the price may go in a short time.
    pub struct Tier {
        /// The narrow band.
        ONE = b'1',
        /// The wide band.
        TWO = b'2',
        /// Not said.
        NONE = b' ',
    }

    /// How a short sale is tested.
    pub struct ShortSale {
        /// Not at all.
        FREE = b'0',
        /// From a fall of today on.
        TODAY = b'1',
        /// Since a fall of yesterday.
        SINCE = b'2',
    }

    /// Which cross.
    pub struct Cross {
        /// The opening.
        OPENING = b'O',
        /// The closing.
        CLOSING = b'C',
        /// After a halt, or of a new stock.
        HALT = b'H',
        /// After hours.
        AFTER_HOURS = b'A',
    }
}

structs! {
    /// What each message begins with.
    pub struct Header {
        /// The stock's number; 0 for all.
        pub locate: U16,
        /// The host's own.
        pub tracking: U16,
        /// When, in nanoseconds since midnight.
        pub time: U48,
    }

    /// Something happens to the day.
    pub struct SystemEvent {
        /// Of none, when.
        pub header: Header,
        /// What.
        pub event: Day,
    }

    /// A stock that can be traded.
    pub struct StockDirectory {
        /// Which, when.
        pub header: Header,
        /// Its name.
        pub stock: Stock,
        /// Where it is listed.
        pub category: Category,
        /// How its issuer stands.
        pub finances: Finances,
        /// How many shares are a round lot.
        pub round_lot: U32,
        /// Whether only round lots are taken.
        pub round_lots_only: Flag,
        /// What it is.
        pub class: Class,
        /// What it is, more finely.
        pub subtype: Alpha<2>,
        /// Whether it is one.
        pub authenticity: Authenticity,
        /// Whether a broken short sale threshold counts.
        pub short_sale_threshold: Flag,
        /// Whether it is new.
        pub new_issue: Flag,
        /// How far its price may go.
        pub tier: Tier,
        /// Whether it is a product that tracks another.
        pub tracks: Flag,
        /// How often it is that other.
        pub leverage: U32,
        /// Whether it goes the other way.
        pub inverse: Flag,
    }

    /// A stock goes to another state.
    pub struct TradingAction {
        /// Which, when.
        pub header: Header,
        /// Its name.
        pub stock: Stock,
        /// Where to.
        pub state: State,
        /// Nothing.
        pub reserved: u8,
        /// Why.
        pub reason: Alpha<4>,
    }

    /// Short sales of a stock have another rule.
    pub struct ShortSaleRule {
        /// Which, when.
        pub header: Header,
        /// Its name.
        pub stock: Stock,
        /// Which rule.
        pub rule: ShortSale,
    }

    /// Who makes a market in a stock.
    pub struct ParticipantPosition {
        /// Which, when.
        pub header: Header,
        /// Who.
        pub participant: Alpha<4>,
        /// Its name.
        pub stock: Stock,
        /// Whether it is a primary market maker.
        pub primary: Flag,
        /// How it makes a market.
        pub mode: u8,
        /// How the participant stands.
        pub standing: u8,
    }

    /// An order stands in the displayed book.
    pub struct Added {
        /// Of which stock, when.
        pub header: Header,
        /// The market's name of it.
        pub reference: U64,
        /// Which side.
        pub side: Side,
        /// How many.
        pub shares: U32,
        /// Of what.
        pub stock: Stock,
        /// At which price.
        pub price: U32,
    }

    /// An order of somebody stands in the displayed book.
    pub struct AddedWithName {
        /// The order.
        pub added: Added,
        /// Whose.
        pub participant: Alpha<4>,
    }

    /// A displayed order traded at its price.
    pub struct Executed {
        /// Of which stock, when.
        pub header: Header,
        /// Which order.
        pub reference: U64,
        /// How many of its shares are gone.
        pub shares: U32,
        /// The trade's number.
        pub match_number: U64,
    }

    /// A displayed order traded at another price.
    pub struct ExecutedAtPrice {
        /// The trade.
        pub executed: Executed,
        /// Whether the trade counts for volumes, or is said otherwise, too.
        pub printable: Flag,
        /// At which price.
        pub price: U32,
    }

    /// A displayed order has fewer shares.
    pub struct Reduced {
        /// Of which stock, when.
        pub header: Header,
        /// Which order.
        pub reference: U64,
        /// How many are gone.
        pub shares: U32,
    }

    /// A displayed order is gone.
    pub struct Deleted {
        /// Of which stock, when.
        pub header: Header,
        /// Which order.
        pub reference: U64,
    }

    /// A displayed order took another's place; side and stock are the old one's.
    pub struct Replaced {
        /// Of which stock, when.
        pub header: Header,
        /// Which order is gone.
        pub old: U64,
        /// Which one is there.
        pub new: U64,
        /// How many.
        pub shares: U32,
        /// At which price.
        pub price: U32,
    }

    /// An order that is not displayed traded.
    pub struct Traded {
        /// Of which stock, when.
        pub header: Header,
        /// 0.
        pub reference: U64,
        /// Buys, always.
        pub side: Side,
        /// How many.
        pub shares: U32,
        /// Of what.
        pub stock: Stock,
        /// At which price.
        pub price: U32,
        /// The trade's number.
        pub match_number: U64,
    }

    /// A cross traded.
    pub struct Crossed {
        /// Of which stock, when.
        pub header: Header,
        /// How many in all.
        pub shares: U64,
        /// Of what.
        pub stock: Stock,
        /// At which price.
        pub price: U32,
        /// The cross's number.
        pub match_number: U64,
        /// Which cross.
        pub cross: Cross,
    }

    /// A trade is none.
    pub struct Broken {
        /// Of which stock, when.
        pub header: Header,
        /// The trade's number.
        pub match_number: U64,
    }
}
