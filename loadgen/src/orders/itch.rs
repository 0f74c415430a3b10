//! A market's day turned into orders that could have made it.
//!
//! What was added is entered, what was deleted is canceled, what was replaced is replaced. A trade
//! becomes the order that came to make it: immediate, of the other side, at the price of the order
//! that waited. A reduction becomes a replace, which loses its place in the queue. Hidden orders
//! and crosses leave no trace that could be played.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use ringframe_wire::itch::{Added, Header, Message, Side as ItchSide};

use super::script::{Listing, Script};
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

/// The instruments of a day, found by the number that the day gave each of its stocks.
struct Stocks {
    listings: Vec<Listing>,
    by_locate: Vec<Option<u16>>,
}

impl Stocks {
    fn new() -> Self {
        Self { listings: Vec::new(), by_locate: vec![None; 1 << u16::BITS] }
    }

    fn instrument(&mut self, added: &Added) -> Result<u16, String> {
        let (locate, stock) = (added.header.locate.get(), added.stock);
        let known = &mut self.by_locate[usize::from(locate)];
        // There are no more numbers than the day has.
        let number = *known.get_or_insert(self.listings.len() as u16);
        match self.listings.get(usize::from(number)) {
            None => self.listings.push(Listing { stock, shift: 0 }),
            Some(listing) if listing.stock == stock => {}
            Some(listing) => {
                let other = listing.stock;
                return Err(format!("the stock number {locate} is {other}'s and {stock}'s"));
            }
        }
        Ok(number)
    }
}

/// Messages, each behind its length of two bytes, until the end or a length of 0, or until there
/// are so many commands.
pub(super) fn script(mut from: impl BufRead, name: String, most: usize) -> Result<Script, String> {
    let mut reading = Reading::default();
    let (mut stocks, mut times, mut first) = (Stocks::new(), Vec::new(), None);
    let mut room = vec![0; usize::from(u16::MAX)];
    let mut at = 0;
    while reading.ops.len() < most {
        let length = next(&mut from, &mut room).map_err(|error| {
            format!("it is neither a recorded flow nor whole ITCH 5.0: at byte {at}: {error}")
        })?;
        if length == 0 {
            break;
        }
        let message = Message::decode(&room[..length])
            .map_err(|error| format!("it is no recorded flow, and at byte {at}: {error}"))?;
        let time = reading
            .read(&message, &mut stocks)
            .map_err(|error| format!("at byte {at}: {error}"))?;
        if let Some(time) = time {
            let now = time.time.get();
            let from = *first.get_or_insert(now);
            let last = times.last().copied().unwrap_or(0);
            times.resize(reading.ops.len(), now.saturating_sub(from).max(last));
        }
        at += 2 + length as u64;
    }
    let (listings, times) = (stocks.listings, Some(times));
    Ok(Script { name, listings, setup: Vec::new(), ops: reading.ops, times })
}

/// Reads a message to the start of `room`, and says how long it is: 0 at the end.
fn next(from: &mut impl BufRead, room: &mut [u8]) -> io::Result<usize> {
    if from.fill_buf()?.is_empty() {
        return Ok(0);
    }
    let mut length = [0; 2];
    from.read_exact(&mut length)?;
    let length = usize::from(u16::from_be_bytes(length));
    from.read_exact(&mut room[..length])?;
    Ok(length)
}

impl Reading {
    /// What becomes of a message; `None` when nothing can be sent for it.
    fn read(&mut self, message: &Message, stocks: &mut Stocks) -> Result<Option<Header>, String> {
        let added = match message {
            Message::Added(it) => it,
            Message::AddedWithName(it) => &it.added,
            other => return self.change(other),
        };
        Ok(Some(self.enter(added, stocks.instrument(added)?)))
    }

    fn new_order(&mut self) -> u32 {
        self.orders += 1;
        self.orders - 1
    }

    fn enter(&mut self, it: &Added, instrument: u16) -> Header {
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
    use ringframe_wire::itch::{Executed, Replaced};

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
            let error = script(&file(&messages)[..], "day".into(), usize::MAX)
                .expect_err("too many shares");
            assert!(error.contains(&format!("byte {at}")), "{error}");
        }
    }

    #[test]
    fn stocks_are_told_by_their_numbers_of_the_day() {
        let of = |locate: u16, stock: &[u8; 8], reference| {
            let Message::Added(mut it) = added(reference, 9) else { panic!("it was added") };
            it.header.locate = locate.into();
            it.stock = ringframe_wire::layout::Alpha(*stock);
            Message::from(it)
        };
        let (high, low) = (of(u16::MAX, b"ZVZZT   ", 1), of(0, b"AAPL    ", 2));
        let day = file(&[high, low, of(u16::MAX, b"ZVZZT   ", 3)]);
        let script = |bytes: &[u8], most| script(bytes, "day".into(), most);
        let read = script(&day, usize::MAX).expect("a day");
        let names: Vec<&[u8]> = read.listings.iter().map(|it| it.stock.text()).collect();
        assert_eq!(names, [&b"ZVZZT"[..], b"AAPL"]);
        let instrument = |op: &Op| match op {
            Op::Add { instrument, .. } => *instrument,
            _ => panic!("they are added"),
        };
        assert_eq!(read.ops.iter().map(instrument).collect::<Vec<_>>(), [0, 1, 0]);
        let part = script(&day, 2).expect("a part");
        assert_eq!((part.ops.len(), part.times), (2, Some(vec![0; 2])));
        let other = file(&[low, of(0, b"MSFT    ", 3)]);
        let error = script(&other, usize::MAX).expect_err("two stocks of one number");
        assert!(error.contains("at byte 38: the stock number 0 is AAPL's and MSFT's"), "{error}");
    }

    #[test]
    fn a_day_that_is_cut_short_is_refused_with_its_place() {
        let day = file(&[added(1, 9), added(2, 9)]);
        for cut in [1, 5, 37] {
            let error = script(&day[..day.len() - cut], "day".into(), usize::MAX);
            let error = error.expect_err("cut short");
            assert!(error.contains("at byte 38"), "{error}");
        }
        // A length of 0 is an end, whatever comes after it.
        let ended = [&day[..], &[0, 0, 7]].concat();
        assert_eq!(script(&ended[..], "day".into(), usize::MAX).expect("a day").ops.len(), 2);
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
            if let Ok(script) = script(&bytes[..], "day".into(), usize::MAX) {
                assert_eq!(script.times.map(|times| times.len()), Some(script.ops.len()));
            }
        }
    }
}
