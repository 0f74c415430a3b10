//! A market's day turned into orders that could have made it.
//!
//! What was added is entered, what was deleted is canceled, what was replaced is replaced. A trade
//! becomes the order that came to make it: immediate, of the other side, at the price of the order
//! that waited. A reduction becomes a replace, which loses its place in the queue. Hidden orders
//! and crosses leave no trace that could be played.

use std::collections::BTreeMap;

use ringframe_wire::itch::{Header, Message, Side as ItchSide};

use super::file::listing;
use super::script::Script;
use crate::flow::{Op, Side};

/// An order that waits.
#[derive(Clone, Copy)]
struct Waiting {
    id: u32,
    instrument: u16,
    side: Side,
    price: u32,
    open: u32,
    executed: u32,
}

#[derive(Default)]
struct Reading {
    waiting: BTreeMap<u64, Waiting>,
    orders: u32,
    ops: Vec<Op>,
}

/// Messages, each behind its length of two bytes, until the end or a length of 0.
pub(super) fn script(bytes: &[u8], name: String) -> Result<Script, String> {
    let mut reading = Reading::default();
    let (mut listings, mut times, mut first) = (Vec::new(), Vec::new(), None);
    let mut at = 0;
    while let Some(length) = bytes.get(at..at + 2) {
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length == 0 {
            break;
        }
        let message = bytes.get(at + 2..at + 2 + length).ok_or_else(|| {
            format!("it is neither a recorded flow nor ITCH 5.0: {length} bytes end it at {at}")
        })?;
        let message = Message::decode(message)
            .map_err(|error| format!("it is no recorded flow, and at byte {at}: {error}"))?;
        let time = match &message {
            Message::Added(it) => {
                let instrument = listing(&mut listings, it.stock).ok_or("too many stocks")?;
                Some(reading.enter(it, instrument))
            }
            Message::AddedWithName(it) => {
                let it = &it.added;
                let instrument = listing(&mut listings, it.stock).ok_or("too many stocks")?;
                Some(reading.enter(it, instrument))
            }
            other => reading.change(other),
        };
        if let Some(time) = time {
            let now = time.time.get();
            let from = *first.get_or_insert(now);
            let last = times.last().copied().unwrap_or(0);
            times.resize(reading.ops.len(), now.saturating_sub(from).max(last));
        }
        at += 2 + length;
    }
    let times = Some(times);
    Ok(Script { name, listings, setup: Vec::new(), ops: reading.ops, times })
}

impl Reading {
    fn new_order(&mut self) -> u32 {
        self.orders += 1;
        self.orders - 1
    }

    fn enter(&mut self, it: &ringframe_wire::itch::Added, instrument: u16) -> Header {
        let side = if it.side == ItchSide::BUY { Side::Buy } else { Side::Sell };
        let (price, quantity) = (it.price.get(), it.shares.get());
        let id = self.new_order();
        let waiting = Waiting { id, instrument, side, price, open: quantity, executed: 0 };
        self.waiting.insert(it.reference.get(), waiting);
        self.ops.push(Op::Add { id, instrument, side, price, quantity, immediate: false });
        it.header
    }

    /// What happens to an order that waits; `None` when nothing can be sent for it.
    fn change(&mut self, message: &Message) -> Option<Header> {
        match message {
            Message::Executed(it) => self.trade(it.reference.get(), it.shares.get(), it.header),
            Message::ExecutedAtPrice(it) => {
                let it = &it.executed;
                self.trade(it.reference.get(), it.shares.get(), it.header)
            }
            Message::Deleted(it) => {
                let Waiting { id, .. } = self.waiting.remove(&it.reference.get())?;
                self.ops.push(Op::Cancel { id });
                Some(it.header)
            }
            Message::Reduced(it) => {
                let old = *self.waiting.get(&it.reference.get())?;
                let open = old.open.saturating_sub(it.shares.get());
                self.replace(it.reference.get(), it.reference.get(), open, old.price)?;
                Some(it.header)
            }
            Message::Replaced(it) => {
                let (old, new) = (it.old.get(), it.new.get());
                self.replace(old, new, it.shares.get(), it.price.get())?;
                Some(it.header)
            }
            _ => None,
        }
    }

    fn trade(&mut self, reference: u64, shares: u32, header: Header) -> Option<Header> {
        let waiting = self.waiting.get_mut(&reference)?;
        waiting.open = waiting.open.saturating_sub(shares);
        waiting.executed += shares;
        let Waiting { instrument, side, price, open, .. } = *waiting;
        if open == 0 {
            self.waiting.remove(&reference);
        }
        let (id, side) = (self.new_order(), side.opposite());
        self.ops.push(Op::Add { id, instrument, side, price, quantity: shares, immediate: true });
        Some(header)
    }

    fn replace(&mut self, old: u64, new: u64, open: u32, price: u32) -> Option<()> {
        let before = self.waiting.remove(&old)?;
        if open == 0 {
            self.ops.push(Op::Cancel { id: before.id });
            return Some(());
        }
        let id = self.new_order();
        self.waiting.insert(new, Waiting { id, price, open, ..before });
        let quantity = before.executed + open;
        self.ops.push(Op::Replace { old: before.id, new: id, price, quantity });
        Some(())
    }
}
