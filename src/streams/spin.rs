//! How all displayed books stand, for those who come late: kept from the market's messages, and
//! said in as few of them as it takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringframe_journal::storage::Storage;

use super::past::push;
use super::{Index, Past, Stream};
use crate::dialect::Names;
use crate::stage::Fault;
use crate::wire::glimpse;
use crate::wire::itch::{Added, Message, StockDirectory, SystemEvent, TradingAction};
use crate::wire::soup::{FromServer, PACKET_BYTES_MAX};

/// The books of a day as they stand before a message of the market.
#[derive(Debug)]
pub struct Spin {
    /// The event that began the day.
    day: u64,
    /// The number of the first message that is not in it.
    next: u64,
    said: Vec<SystemEvent>,
    stocks: BTreeMap<u16, Stock>,
    orders: BTreeMap<u64, Order>,
    arrived: u64,
}

#[derive(Debug, Default)]
struct Stock {
    directory: Option<StockDirectory>,
    action: Option<TradingAction>,
}

#[derive(Debug)]
struct Order {
    /// With the shares that are left.
    added: Added,
    /// Its place in the queue: who arrived later stands behind.
    arrived: u64,
}

/// All of it in packets of `wire::soup`, to the end of their session.
#[derive(Debug)]
pub struct Snapshot {
    /// The event that began the day.
    pub day: u64,
    /// The number of the market's next message.
    pub next: u64,
    /// As they are sent.
    pub packets: Vec<u8>,
}

impl Spin {
    /// Nothing of this day yet.
    pub fn new(day: u64) -> Self {
        Self {
            day,
            next: 1,
            said: Vec::new(),
            stocks: BTreeMap::new(),
            orders: BTreeMap::new(),
            arrived: 0,
        }
    }

    /// The number of the first message that is not in it.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes some more of the index's day; false where the log has no more.
    pub fn follow<S: Storage>(
        &mut self,
        past: &mut Past<S>,
        index: &Index,
        names: &Arc<Names>,
    ) -> Result<bool, Fault> {
        if self.day != index.day().event {
            *self = Self::new(index.day().event);
        }
        let piece = past.read(index, names, Stream::Feed, self.next)?;
        let mut rest = &piece.packets[..];
        while let Ok(Some((FromServer::Data(message), used))) =
            FromServer::split(rest, PACKET_BYTES_MAX)
        {
            let number = self.next;
            let taken = Message::decode(message).map_err(|error| error.to_string());
            taken.and_then(|message| self.take(&message)).map_err(|why| {
                Fault::Node(format!("message {number} of the market does not fit its book: {why}"))
            })?;
            self.next += 1;
            rest = &rest[used..];
        }
        Ok(!piece.packets.is_empty())
    }

    fn take(&mut self, message: &Message) -> Result<(), String> {
        match message {
            Message::SystemEvent(it) => self.said.push(*it),
            Message::StockDirectory(it) => self.stock(it.header.locate.get()).directory = Some(*it),
            Message::TradingAction(it) => self.stock(it.header.locate.get()).action = Some(*it),
            Message::Added(it) => self.add(*it),
            Message::AddedWithName(it) => self.add(it.added),
            Message::Executed(it) => self.reduce(it.reference.get(), it.shares.get())?,
            Message::ExecutedAtPrice(it) => {
                self.reduce(it.executed.reference.get(), it.executed.shares.get())?;
            }
            Message::Reduced(it) => self.reduce(it.reference.get(), it.shares.get())?,
            Message::Deleted(it) => {
                self.remove(it.reference.get())?;
            }
            Message::Replaced(it) => {
                let old = self.remove(it.old.get())?;
                let (header, reference) = (it.header, it.new);
                self.add(Added { header, reference, shares: it.shares, price: it.price, ..old });
            }
            _ => {}
        }
        Ok(())
    }

    fn stock(&mut self, locate: u16) -> &mut Stock {
        self.stocks.entry(locate).or_default()
    }

    fn add(&mut self, added: Added) {
        self.arrived += 1;
        self.orders.insert(added.reference.get(), Order { added, arrived: self.arrived });
    }

    fn remove(&mut self, reference: u64) -> Result<Added, String> {
        let order = self.orders.remove(&reference);
        order.map(|order| order.added).ok_or_else(|| format!("order {reference} is unknown"))
    }

    fn reduce(&mut self, reference: u64, shares: u32) -> Result<(), String> {
        let order = self.orders.get_mut(&reference);
        let order = order.ok_or_else(|| format!("order {reference} is unknown"))?;
        let left = order.added.shares.get().checked_sub(shares);
        match left.ok_or_else(|| format!("order {reference} has fewer than {shares} shares"))? {
            0 => drop(self.orders.remove(&reference)),
            left => order.added.shares = left.into(),
        }
        Ok(())
    }

    /// The day so far, the stocks, and each one's orders: bids from the highest price down, then
    /// asks from the lowest up, at one price in the order of the queue.
    pub fn snapshot(&self) -> Snapshot {
        let mut packets = Vec::new();
        let mut buffer = [0; Message::BYTES_MAX];
        let mut say = |message: Message| {
            let bytes = message.encode(&mut buffer).expect("it has room");
            push(&mut packets, &buffer[..bytes]);
        };
        self.said.iter().for_each(|it| say((*it).into()));
        self.stocks.values().filter_map(|stock| stock.directory).for_each(|it| say(it.into()));
        self.stocks.values().filter_map(|stock| stock.action).for_each(|it| say(it.into()));
        let mut orders: Vec<&Order> = self.orders.values().collect();
        orders.sort_unstable_by_key(|order| {
            let Added { header, side, price, .. } = order.added;
            let price = price.get();
            let is_ask = side != crate::wire::itch::Side::BUY;
            (header.locate.get(), is_ask, if is_ask { price } else { !price }, order.arrived)
        });
        for order in orders {
            say(order.added.into());
        }
        push(&mut packets, &glimpse::Message::end(self.next));
        let mut end = [0; 8];
        let bytes = FromServer::End.encode(&mut end).expect("it has room");
        packets.extend_from_slice(&end[..bytes]);
        Snapshot { day: self.day, next: self.next, packets }
    }
}
