//! What people ask of an exchange that stands still: books, accounts, open orders. It only reads,
//! and takes as long as what it shows is large.

use super::Exchange;
use super::book::Owners as _;
use super::command::{SetParticipant, SetSession, State, Terms};
use super::event::OrderId;
use super::ids::{Side, Symbol};
use super::instruments::{Half, Instrument, rank};
use super::ladder::Queue;
use super::orders::Order;

/// A book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// What is traded.
    pub terms: Terms,
    /// What may be done with it.
    pub state: State,
    /// What prices are compared with; 0 for nothing.
    pub reference: u32,
    /// Buys, the best price first.
    pub buys: Vec<Level>,
    /// Sells, the best price first.
    pub sells: Vec<Level>,
}

/// All orders of one side at one price. Sleeping stops are in no level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// The price; 0 for market orders that an auction collects.
    pub price: u32,
    /// How many orders there are.
    pub orders: u32,
    /// Their open shares, hidden ones and reserves included.
    pub quantity: u64,
    /// How many of them the market sees.
    pub displayed: u64,
}

/// A participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What it may do.
    pub terms: SetParticipant,
    /// Whether it is stopped.
    pub killed: bool,
    /// How many live orders it has.
    pub live: u32,
    /// What it has, by instrument; those where it has nothing are left out.
    pub holdings: Vec<Holding>,
}

/// What a participant has in one instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Which one.
    pub symbol: Symbol,
    /// Bought less sold.
    pub position: i64,
    /// Open shares of buys.
    pub buying: u64,
    /// Open shares of sells.
    pub selling: u64,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub terms: SetSession,
    /// Its live orders, the oldest first.
    pub orders: Vec<OpenOrder>,
}

/// A live order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOrder {
    /// Which one.
    pub order: OrderId,
    /// What it trades.
    pub symbol: Symbol,
    /// Its side.
    pub side: Side,
    /// Its limit; 0 for a market order.
    pub price: u32,
    /// Its open shares.
    pub quantity: u32,
    /// How many of them the market sees.
    pub displayed: u32,
    /// What wakes it; 0 for an order that does not sleep.
    pub stop: u32,
}

impl Exchange {
    /// The names of all instruments, in the order of their numbers.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol> {
        self.book.instruments.iter().map(|instrument| instrument.terms.symbol)
    }

    /// The book of an instrument.
    pub fn book(&self, symbol: Symbol) -> Option<Book> {
        self.top(symbol, usize::MAX)
    }

    /// So many best levels of each side.
    pub fn top(&self, symbol: Symbol, levels: usize) -> Option<Book> {
        let instrument = self.book.instruments.get(self.book.instruments.find(symbol).ok()?);
        Some(Book {
            terms: instrument.terms,
            state: instrument.state,
            reference: instrument.reference(),
            buys: self.levels(instrument, true, levels),
            sells: self.levels(instrument, false, levels),
        })
    }

    fn levels(&self, instrument: &Instrument, is_buy: bool, most: usize) -> Vec<Level> {
        let half: &Half = instrument.half(is_buy);
        let market = (!half.market.is_empty()).then(|| self.level(0, &[half.market]));
        let priced = half.ranks().map(|at| {
            // The rank of a rank is the tick again.
            let price = instrument.price(rank(is_buy, at));
            self.level(price, &[half.displayed.queue(at), half.hidden.queue(at)])
        });
        market.into_iter().chain(priced).take(most).collect()
    }

    fn level(&self, price: u32, queues: &[Queue]) -> Level {
        let mut level = Level { price, ..Level::default() };
        for (_, order) in queues.iter().flat_map(|queue| queue.iter(&self.book.orders)) {
            level.orders += 1;
            level.quantity += u64::from(order.open);
            level.displayed += u64::from(self.book.orders.displayed(order));
        }
        level
    }

    /// What a participant may do, and what it has.
    pub fn account(&self, participant: u16) -> Option<Account> {
        let place = self.parties().place(participant).ok()?;
        let participant = self.parties().participant(place);
        let holdings =
            (0..).zip(self.book.instruments.iter()).filter_map(|(number, instrument)| {
                let exposure = self.book.owners.exposure(number, place);
                let (position, buying, selling) =
                    (exposure.position, exposure.buying, exposure.selling);
                let symbol = instrument.terms.symbol;
                let holding = Holding { symbol, position, buying, selling };
                ((position, buying, selling) != (0, 0, 0)).then_some(holding)
            });
        Some(Account {
            terms: participant.terms,
            killed: participant.killed,
            live: participant.live,
            holdings: holdings.collect(),
        })
    }

    /// Every session, and how many live orders it has.
    pub fn sessions(&self) -> impl Iterator<Item = (SetSession, u32)> {
        self.parties().sessions().map(|session| (session.terms, session.live()))
    }

    /// A session and its live orders.
    pub fn session(&self, session: u16) -> Option<Session> {
        let session = self.parties().session(session).ok()?;
        let mut numbers: Vec<u32> =
            session.numbers().filter(|&number| self.tokens().is_live(number)).collect();
        numbers.sort_unstable();
        let orders = numbers.into_iter().map(|number| {
            let order = self.book.orders.get(self.tokens().get(number).slot);
            self.open_order(order)
        });
        Some(Session { terms: session.terms, orders: orders.collect() })
    }

    fn open_order(&self, order: &Order) -> OpenOrder {
        let instrument = self.book.instruments.get(order.instrument);
        let stop = self.book.orders.extra(order).map_or(0, |extra| extra.stop);
        OpenOrder {
            order: self.book.order_id(order, self.book.owners.owner(order.number)),
            symbol: instrument.terms.symbol,
            side: order.side(),
            price: instrument.price(order.tick),
            quantity: order.open,
            displayed: self.book.orders.displayed(order),
            stop: instrument.price(stop),
        }
    }
}
