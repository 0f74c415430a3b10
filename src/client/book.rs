//! One stock's displayed book, as a reader of the feed knows it.

use std::collections::BTreeMap;

use crate::wire::itch::{Added, Message, Side, State, Stock};

/// The displayed orders of one stock, from the feed's first message on.
#[derive(Clone, Debug)]
pub struct Book {
    stock: Stock,
    /// The stock's number, once its directory message came.
    locate: Option<u16>,
    state: Option<State>,
    orders: BTreeMap<u64, Order>,
    /// By price in ten-thousandths.
    bids: BTreeMap<u32, Level>,
    asks: BTreeMap<u32, Level>,
    last: Option<Trade>,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    side: Side,
    price: u32,
    shares: u32,
}

/// What is displayed at one price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// In all.
    pub shares: u64,
    /// How many.
    pub orders: u32,
}

/// A trade that was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// How many.
    pub shares: u64,
    /// In ten-thousandths.
    pub price: u32,
}

impl Book {
    /// An empty book.
    pub fn new(stock: Stock) -> Self {
        Self {
            stock,
            locate: None,
            state: None,
            orders: BTreeMap::new(),
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            last: None,
        }
    }

    /// Whether the stock is listed.
    pub fn is_listed(&self) -> bool {
        self.locate.is_some()
    }

    /// What may be done with the stock.
    pub fn state(&self) -> Option<State> {
        self.state
    }

    /// Prices that buyers pay, the highest first.
    pub fn bids(&self) -> impl Iterator<Item = (u32, Level)> {
        self.bids.iter().rev().map(|(price, level)| (*price, *level))
    }

    /// Prices that sellers ask, the lowest first.
    pub fn asks(&self) -> impl Iterator<Item = (u32, Level)> {
        self.asks.iter().map(|(price, level)| (*price, *level))
    }

    /// The last trade that was printed.
    pub fn last(&self) -> Option<Trade> {
        self.last
    }

    /// Takes the feed's next message; `true` when it was about this stock. An error says that
    /// messages are missing before it.
    pub fn apply(&mut self, message: &Message) -> Result<bool, String> {
        if let Message::StockDirectory(it) = message
            && it.stock == self.stock
        {
            self.locate = Some(it.header.locate.get());
        }
        if self.locate != locate_of(message) || self.locate.is_none() {
            return Ok(false);
        }
        match message {
            Message::TradingAction(it) => self.state = Some(it.state),
            Message::Added(it) => self.add(it)?,
            Message::AddedWithName(it) => self.add(&it.added)?,
            Message::Executed(it) => {
                let price = self.reduce(it.reference.get(), it.shares.get())?;
                self.last = Some(Trade { shares: it.shares.get().into(), price });
            }
            Message::ExecutedAtPrice(it) => {
                self.reduce(it.executed.reference.get(), it.executed.shares.get())?;
                if it.printable.0 == b'Y' {
                    let shares = it.executed.shares.get().into();
                    self.last = Some(Trade { shares, price: it.price.get() });
                }
            }
            Message::Reduced(it) => {
                self.reduce(it.reference.get(), it.shares.get())?;
            }
            Message::Deleted(it) => {
                self.remove(it.reference.get())?;
            }
            Message::Replaced(it) => {
                let side = self.remove(it.old.get())?.side;
                let order = Order { side, price: it.price.get(), shares: it.shares.get() };
                self.insert(it.new.get(), order)?;
            }
            Message::Traded(it) => {
                let shares = it.shares.get().into();
                self.last = Some(Trade { shares, price: it.price.get() });
            }
            Message::Crossed(it) if it.shares.get() > 0 => {
                self.last = Some(Trade { shares: it.shares.get(), price: it.price.get() });
            }
            _ => {}
        }
        Ok(true)
    }

    fn add(&mut self, added: &Added) -> Result<(), String> {
        let order =
            Order { side: added.side, price: added.price.get(), shares: added.shares.get() };
        self.insert(added.reference.get(), order)
    }

    fn insert(&mut self, reference: u64, order: Order) -> Result<(), String> {
        if self.orders.insert(reference, order).is_some() {
            return Err(format!("order {reference} was added twice"));
        }
        let level = self.side(order.side).entry(order.price).or_default();
        level.shares += u64::from(order.shares);
        level.orders += 1;
        Ok(())
    }

    /// Says at which price the order stands.
    fn reduce(&mut self, reference: u64, shares: u32) -> Result<u32, String> {
        let order = self.orders.get_mut(&reference).ok_or_else(|| unknown(reference))?;
        let left = order.shares.checked_sub(shares);
        let left = left.ok_or_else(|| {
            format!("order {reference} has {} shares and loses {shares}", order.shares)
        })?;
        order.shares = left;
        let Order { side, price, .. } = *order;
        if let Some(level) = self.side(side).get_mut(&price) {
            level.shares -= u64::from(shares);
        }
        if left == 0 {
            self.remove(reference)?;
        }
        Ok(price)
    }

    fn remove(&mut self, reference: u64) -> Result<Order, String> {
        let order = self.orders.remove(&reference).ok_or_else(|| unknown(reference))?;
        let levels = self.side(order.side);
        if let Some(level) = levels.get_mut(&order.price) {
            level.shares -= u64::from(order.shares);
            level.orders -= 1;
            if level.orders == 0 {
                levels.remove(&order.price);
            }
        }
        Ok(order)
    }

    fn side(&mut self, side: Side) -> &mut BTreeMap<u32, Level> {
        if side == Side::BUY { &mut self.bids } else { &mut self.asks }
    }
}

fn unknown(reference: u64) -> String {
    format!("order {reference} is unknown: messages are missing, begin again from number 1")
}

/// Of which stock a message is; `None` for all of them.
fn locate_of(message: &Message) -> Option<u16> {
    let header = match message {
        Message::SystemEvent(_) => return None,
        Message::StockDirectory(it) => it.header,
        Message::TradingAction(it) => it.header,
        Message::ShortSaleRule(it) => it.header,
        Message::ParticipantPosition(it) => it.header,
        Message::Added(it) => it.header,
        Message::AddedWithName(it) => it.added.header,
        Message::Executed(it) => it.header,
        Message::ExecutedAtPrice(it) => it.executed.header,
        Message::Reduced(it) => it.header,
        Message::Deleted(it) => it.header,
        Message::Replaced(it) => it.header,
        Message::Traded(it) => it.header,
        Message::Crossed(it) => it.header,
        Message::Broken(it) => it.header,
    };
    Some(header.locate.get())
}
