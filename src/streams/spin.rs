//! How all displayed books stand, for those who come late: kept from the market's messages, and
//! said in as few of them as it takes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use ringframe_journal::planted::{Bug, is_planted};
use ringframe_journal::storage::Storage;

use super::past::push;
use super::{Index, Past, Stream};
use crate::dialect::Names;
use crate::stage::Fault;
use crate::wire::glimpse;
use crate::wire::itch::{Added, Message, Side, StockDirectory, SystemEvent, TradingAction};
use crate::wire::soup::{FromServer, HEADER_BYTES, PACKET_BYTES_MAX};

/// So many orders are a step of a snapshot: a fraction of a millisecond, however many there are.
const STEP: usize = 1024;
/// What a packet with one order takes, and a little more.
const ORDER_BYTES: usize = HEADER_BYTES + Message::BYTES_MAX;

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

/// Where an order stands: stock, side, price from the best on, and when it came.
type Place = (u16, bool, u32, u64);

/// A snapshot that is being made. Orders are kept by their names, so first they are put into the
/// order of their queues, some at a time, and then said.
#[derive(Debug)]
pub struct Making {
    /// The books must not go on meanwhile.
    next: u64,
    /// The last one that was put into its place.
    found: Option<u64>,
    orders: BTreeMap<Place, u64>,
    packets: Vec<u8>,
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

    /// A snapshot of all that is in it: the day so far, the stocks, and each one's orders, bids
    /// from the highest price down, then asks from the lowest up, at one price in the order of the
    /// queue.
    pub fn begin(&self) -> Making {
        let mut packets = Vec::with_capacity(self.orders.len() * ORDER_BYTES);
        self.said.iter().for_each(|it| say(&mut packets, (*it).into()));
        let (stocks, orders) = (self.stocks.values(), BTreeMap::new());
        stocks.clone().filter_map(|it| it.directory).for_each(|it| say(&mut packets, it.into()));
        stocks.filter_map(|it| it.action).for_each(|it| say(&mut packets, it.into()));
        Making { next: self.next, found: None, orders, packets }
    }

    /// Goes on with a snapshot by a thousand orders at most; it is there when the last of them is
    /// said.
    pub fn go_on(&self, making: &mut Making) -> Option<Snapshot> {
        assert_eq!(making.next, self.next, "the books have moved");
        let rest = (making.found.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut found = self.orders.range(rest).take(STEP).peekable();
        if found.peek().is_some() {
            for (reference, order) in found {
                making.found = Some(*reference);
                making.orders.insert(order.place(), *reference);
            }
            return None;
        }
        for _ in 0..STEP {
            let Some((_, reference)) = making.orders.pop_first() else { break };
            say(&mut making.packets, self.orders[&reference].added.into());
        }
        if !making.orders.is_empty() {
            return None;
        }
        let mut packets = std::mem::take(&mut making.packets);
        let next = self.next + u64::from(is_planted(Bug::BooksLate));
        push(&mut packets, &glimpse::Message::end(next));
        let mut end = [0; 8];
        let bytes = FromServer::End.encode(&mut end).expect("it has room");
        packets.extend_from_slice(&end[..bytes]);
        Some(Snapshot { day: self.day, next: self.next, packets })
    }
}

fn say(packets: &mut Vec<u8>, message: Message) {
    let mut buffer = [0; Message::BYTES_MAX];
    let bytes = message.encode(&mut buffer).expect("it has room");
    push(packets, &buffer[..bytes]);
}

impl Order {
    fn place(&self) -> Place {
        let Added { header, side, price, .. } = self.added;
        let (is_ask, price) = (side != Side::BUY, price.get());
        (header.locate.get(), is_ask, if is_ask { price } else { !price }, self.arrived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::itch::Header;
    use crate::wire::layout::{Alpha, U48};

    const ORDERS: u64 = 10 * STEP as u64 + 7;

    fn added(reference: u64) -> Added {
        let mixed = reference.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        Added {
            header: Header {
                locate: (mixed as u16 % 3).into(),
                tracking: 0.into(),
                time: U48::new(0),
            },
            reference: reference.into(),
            side: if mixed & 8 == 0 { Side::BUY } else { Side::SELL },
            shares: 100.into(),
            stock: Alpha::BLANK,
            price: (mixed as u32 >> 4 & 31).into(),
        }
    }

    #[test]
    fn a_snapshot_is_made_in_steps_and_has_all_queues_in_order() {
        let mut spin = Spin::new(0);
        (0..ORDERS).for_each(|reference| spin.add(added(reference)));
        let (mut making, mut steps) = (spin.begin(), 0);
        let snapshot = loop {
            let (found, said) = (making.orders.len(), making.packets.len());
            let made = spin.go_on(&mut making);
            steps += 1;
            if let Some(snapshot) = made {
                break snapshot;
            }
            assert!(making.orders.len() <= found + STEP);
            assert!(making.packets.len() <= said + STEP * ORDER_BYTES);
        };
        assert_eq!(steps, 2 * ORDERS.div_ceil(STEP as u64));
        let mut rest = &snapshot.packets[..];
        let mut told = Vec::new();
        while let Ok(Some((FromServer::Data(message), used))) =
            FromServer::split(rest, PACKET_BYTES_MAX)
        {
            if let Ok(Message::Added(added)) = Message::decode(message) {
                told.push(added);
            }
            rest = &rest[used..];
        }
        let mut sorted: Vec<&Order> = spin.orders.values().collect();
        sorted.sort_by_key(|order| order.place());
        assert_eq!(told, sorted.iter().map(|order| order.added).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_day_has_a_snapshot() {
        let spin = Spin::new(0);
        let snapshot = spin.go_on(&mut spin.begin()).unwrap();
        assert!((snapshot.day, snapshot.next) == (0, 1) && !snapshot.packets.is_empty());
    }
}
