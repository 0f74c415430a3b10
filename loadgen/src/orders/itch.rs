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
            other => reading.change(other).map_err(|error| format!("at byte {at}: {error}"))?,
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
    fn change(&mut self, message: &Message) -> Result<Option<Header>, String> {
        let (is_sent, header) = match message {
            Message::Executed(it) => (self.trade(it.reference.get(), it.shares.get())?, it.header),
            Message::ExecutedAtPrice(it) => {
                let it = &it.executed;
                (self.trade(it.reference.get(), it.shares.get())?, it.header)
            }
            Message::Deleted(it) => {
                let gone = self.waiting.remove(&it.reference.get());
                self.ops.extend(gone.map(|Waiting { id, .. }| Op::Cancel { id }));
                (gone.is_some(), it.header)
            }
            Message::Reduced(it) => {
                let reference = it.reference.get();
                let Some(&old) = self.waiting.get(&reference) else { return Ok(None) };
                let open = old.open.saturating_sub(it.shares.get());
                (self.replace(reference, reference, open, old.price)?, it.header)
            }
            Message::Replaced(it) => {
                let (old, new) = (it.old.get(), it.new.get());
                (self.replace(old, new, it.shares.get(), it.price.get())?, it.header)
            }
            _ => return Ok(None),
        };
        Ok(is_sent.then_some(header))
    }

    /// Whether an order waits that trades.
    fn trade(&mut self, reference: u64, shares: u32) -> Result<bool, String> {
        let Some(waiting) = self.waiting.get_mut(&reference) else { return Ok(false) };
        waiting.open = waiting.open.saturating_sub(shares);
        waiting.executed = waiting.executed.checked_add(shares).ok_or_else(too_many)?;
        let Waiting { instrument, side, price, open, .. } = *waiting;
        if open == 0 {
            self.waiting.remove(&reference);
        }
        let (id, side) = (self.new_order(), side.opposite());
        self.ops.push(Op::Add { id, instrument, side, price, quantity: shares, immediate: true });
        Ok(true)
    }

    /// Whether an order waits that is replaced.
    fn replace(&mut self, old: u64, new: u64, open: u32, price: u32) -> Result<bool, String> {
        let Some(before) = self.waiting.remove(&old) else { return Ok(false) };
        if open == 0 {
            self.ops.push(Op::Cancel { id: before.id });
            return Ok(true);
        }
        let id = self.new_order();
        self.waiting.insert(new, Waiting { id, price, open, ..before });
        let quantity = before.executed.checked_add(open).ok_or_else(too_many)?;
        self.ops.push(Op::Replace { old: before.id, new: id, price, quantity });
        Ok(true)
    }
}

fn too_many() -> String {
    format!("more shares than {}, with what was executed before", u32::MAX)
}

#[cfg(test)]
mod tests {
    use ringframe_wire::itch::{Added, Executed, Replaced};

    use super::*;
    use crate::random::Random;

    fn header(tag: u16) -> Header {
        Header { locate: 1.into(), tracking: tag.into(), time: ringframe_wire::layout::U48::new(5) }
    }

    fn added(reference: u64, shares: u32) -> Message {
        Added {
            header: header(0),
            reference: reference.into(),
            side: ItchSide::BUY,
            shares: shares.into(),
            stock: ringframe_wire::layout::Alpha(*b"AAPL    "),
            price: 100.into(),
        }
        .into()
    }

    fn executed(reference: u64, shares: u32) -> Message {
        let (reference, shares) = (reference.into(), shares.into());
        Executed { header: header(0), reference, shares, match_number: 1.into() }.into()
    }

    fn replaced(old: u64, new: u64, shares: u32) -> Message {
        let (old, new, shares) = (old.into(), new.into(), shares.into());
        Replaced { header: header(0), old, new, shares, price: 100.into() }.into()
    }

    fn file(messages: &[Message]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for message in messages {
            let mut room = [0; Message::BYTES_MAX];
            let length = message.encode(&mut room).expect("as long as the longest");
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
            bytes.extend_from_slice(&room[..length]);
        }
        bytes
    }

    #[test]
    fn more_shares_than_an_order_can_have_are_an_error_that_says_where() {
        let traded = [added(1, u32::MAX), executed(1, u32::MAX - 1), executed(1, 5)];
        let entered = [added(1, 9), executed(1, 5), replaced(1, 2, u32::MAX)];
        for messages in [traded, entered] {
            let at = file(&messages[..2]).len();
            let error = script(&file(&messages), "day".into()).expect_err("too many shares");
            assert!(error.contains(&format!("byte {at}")), "{error}");
        }
    }

    /// Whatever bytes are broken, and however: a script or an error, never an abort.
    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut random = Random::new(1);
        let mut any = |below: u32| random.below(below);
        for _ in 0..3_000 {
            let shares = [1, 9, u32::MAX / 2, u32::MAX];
            let mut messages = Vec::new();
            for _ in 0..12 {
                let shares = shares[any(4) as usize];
                let (one, other) = (u64::from(any(3)), u64::from(any(3)));
                messages.push(match any(3) {
                    0 => added(one, shares),
                    1 => executed(one, shares),
                    _ => replaced(one, other, shares),
                });
            }
            let mut bytes = file(&messages);
            for _ in 0..any(3) {
                let at = any(bytes.len() as u32) as usize;
                bytes[at] = any(256) as u8;
            }
            bytes.truncate(bytes.len() - any(20) as usize);
            if let Ok(script) = script(&bytes, "day".into()) {
                assert_eq!(script.times.map(|times| times.len()), Some(script.ops.len()));
            }
        }
    }
}
