//! One who comes late to the market, again and again: he asks for a snapshot of its books, and
//! goes. At the end each snapshot is held against what the market said from its first message on.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{Read, Write};

use fastrand::Rng;
use ringframe::net::{Net, is_nothing};
use ringframe::types::Nanos;
use ringframe::wire::glimpse;
use ringframe::wire::itch::{Added, Message, Side};
use ringframe::wire::soup::{FromServer, Session};

use crate::client::{Client, PACKET_BYTES_MAX, Wrong, login};
use crate::net::{SimNet, SimStream, address};
use crate::node::GLIMPSE;
use crate::world::MILLISECOND;

/// A snapshot of which nothing comes for so long is given up; all of a big one takes longer over a
/// slow link.
const PATIENCE: u64 = 4 * Nanos::SECOND;

/// Who comes late.
pub(crate) struct Late {
    user: u16,
    net: SimNet,
    rng: Rng,
    node: usize,
    stream: Option<SimStream>,
    /// When he comes, or gives up.
    at: Nanos,
    output: Vec<u8>,
    input: Vec<u8>,
    session: Session,
    said: Vec<Message>,
    taken: Vec<Taken>,
    /// He stays until he has one more.
    wants: bool,
}

/// What keeps his draws apart from those of his world.
const APART: u64 = 603;

/// A snapshot.
struct Taken {
    node: usize,
    session: Session,
    /// The number of the first message that is not in it.
    next: u64,
    said: Vec<Message>,
}

impl Late {
    /// Comes as this user.
    pub(crate) fn new(user: u16, net: SimNet, seed: u64) -> Self {
        let rng = Rng::with_seed(seed ^ APART);
        Self {
            user,
            net,
            rng,
            node: 0,
            stream: None,
            at: Nanos(0),
            output: Vec::new(),
            input: Vec::new(),
            session: Session::BLANK,
            said: Vec::new(),
            taken: Vec::new(),
            wants: false,
        }
    }

    /// He has not come in vain.
    pub(crate) fn has_all(&self) -> bool {
        !self.wants
    }

    /// All is as it should be now: he gets one more.
    pub(crate) fn ask_again(&mut self) {
        self.wants = true;
    }

    /// Comes, or hears what there is: how much that was, and what he has got then, for the trace.
    pub(crate) fn poll(&mut self, now: Nanos) -> Result<(usize, Option<String>), Wrong> {
        if self.rng.u8(0..16) > 0 {
            return Ok((0, None));
        }
        match &self.stream {
            None if now >= self.at => self.come(now),
            Some(_) if now >= self.at => self.leave(now),
            Some(_) => return self.hear(now),
            None => return Ok((0, None)),
        }
        Ok((1, None))
    }

    fn come(&mut self, now: Nanos) {
        self.stream = self.net.connect(address(self.node, GLIMPSE)).ok();
        if self.stream.is_none() {
            return self.leave(now);
        }
        let mut bytes = [0; 256];
        let length = login(self.user, Session::BLANK, 1).encode(&mut bytes).expect("it has room");
        self.output = bytes[..length].to_vec();
        self.at = now.after(PATIENCE);
    }

    fn leave(&mut self, now: Nanos) {
        self.stream = None;
        self.input.clear();
        self.said.clear();
        self.node = 1 - self.node;
        self.at = now.after(self.rng.u64(10 * MILLISECOND..700 * MILLISECOND));
    }

    fn hear(&mut self, now: Nanos) -> Result<(usize, Option<String>), Wrong> {
        let Some(stream) = &mut self.stream else { return Ok((0, None)) };
        let said = stream.write(&self.output).unwrap_or_default();
        self.output.drain(..said);
        let mut piece = [0; 4096];
        let heard = match stream.read(&mut piece) {
            Ok(count) if count > 0 => count,
            Err(error) if is_nothing(&error) => return Ok((said, None)),
            _ => {
                self.leave(now);
                return Ok((1, None));
            }
        };
        self.input.extend(&piece[..heard]);
        let input = std::mem::take(&mut self.input);
        let mut used = 0;
        let malformed = |error: String| format!("a snapshot of the market: {error}");
        while let Some((packet, length)) = FromServer::split(&input[used..], PACKET_BYTES_MAX)
            .map_err(|error| malformed(error.to_string()))?
        {
            used += length;
            match packet {
                FromServer::Accepted(accepted) => self.session = accepted.session,
                FromServer::Data(bytes) => match glimpse::Message::decode(bytes) {
                    Ok(glimpse::Message::State(message)) => {
                        self.at = now.after(PATIENCE);
                        self.said.push(message);
                    }
                    Ok(glimpse::Message::End { next }) => {
                        return Ok((1, Some(self.take(next, now))));
                    }
                    Err(error) => return Err(malformed(error.to_string())),
                },
                FromServer::Rejected(_) | FromServer::End => {
                    self.leave(now);
                    return Ok((1, None));
                }
                FromServer::Heartbeat | FromServer::Debug(_) => {}
            }
        }
        self.input = input[used..].to_vec();
        Ok((1, None))
    }

    fn take(&mut self, next: u64, now: Nanos) -> String {
        let (node, session, said) = (self.node, self.session, std::mem::take(&mut self.said));
        let user = self.user;
        let got = format!("c{user} gets a snapshot from n{node}, of all before message {next}");
        self.wants = false;
        self.taken.push(Taken { node, session, next, said });
        self.leave(now);
        got
    }

    /// Whether all that he got is what the market said up to there; of a day that ended while its
    /// reader was away, as far as that one knows.
    pub(crate) fn compare(&mut self, market: &Client) -> Result<(), Wrong> {
        self.taken.sort_by_key(|taken| (taken.session, taken.next));
        for taken in self.taken.chunk_by(|one, other| one.session == other.session) {
            let Some((log, is_whole)) = market.day(taken[0].session) else { continue };
            let (mut shown, mut before) = (Shown::default(), 0);
            for Taken { node, session, next, said } in taken {
                let wrong = |why| format!("n{node}'s snapshot of {session}, up to {next}, {why}");
                let to = next.checked_sub(1).map_or(usize::MAX, |last| last as usize);
                match log.get(before..to) {
                    Some(messages) => shown.on_all(messages)?,
                    None if is_whole => return Err(wrong("tells of what was never said")),
                    None => break,
                }
                before = to;
                if *said != shown.in_order() {
                    return Err(wrong("is not what was said"));
                }
            }
        }
        Ok(())
    }
}

/// What the market shows, in as few messages as it takes.
#[derive(Default)]
struct Shown {
    day: Vec<Message>,
    listed: BTreeMap<u16, Message>,
    states: BTreeMap<u16, Message>,
    /// The first in line first.
    orders: Vec<Added>,
}

impl Shown {
    fn on_all(&mut self, messages: &[Vec<u8>]) -> Result<(), Wrong> {
        for bytes in messages {
            let message = Message::decode(bytes).map_err(|error| format!("the market: {error}"))?;
            self.on(message);
        }
        Ok(())
    }

    fn on(&mut self, message: Message) {
        match message {
            Message::SystemEvent(_) => self.day.push(message),
            Message::StockDirectory(it) => {
                self.listed.insert(it.header.locate.get(), message);
            }
            Message::TradingAction(it) => {
                self.states.insert(it.header.locate.get(), message);
            }
            Message::Added(it) => self.orders.push(it),
            Message::AddedWithName(it) => self.orders.push(it.added),
            Message::Executed(it) => self.reduce(it.reference.get(), it.shares.get()),
            Message::ExecutedAtPrice(it) => {
                self.reduce(it.executed.reference.get(), it.executed.shares.get());
            }
            Message::Reduced(it) => self.reduce(it.reference.get(), it.shares.get()),
            Message::Deleted(it) => self.orders.retain(|order| order.reference != it.reference),
            Message::Replaced(it) => {
                let place = self.orders.iter().position(|order| order.reference == it.old);
                let old = place.map(|place| self.orders.remove(place));
                self.orders.extend(old.map(|old| Added {
                    header: it.header,
                    reference: it.new,
                    shares: it.shares,
                    price: it.price,
                    ..old
                }));
            }
            _ => {}
        }
    }

    fn reduce(&mut self, reference: u64, shares: u32) {
        for order in &mut self.orders {
            if order.reference.get() == reference {
                order.shares = order.shares.get().saturating_sub(shares).into();
            }
        }
        self.orders.retain(|order| order.shares.get() > 0);
    }

    /// Stock by stock, bids first, the best price first, and who came first first.
    fn in_order(&self) -> Vec<Message> {
        let mut orders = self.orders.clone();
        orders.sort_by_key(|order| {
            let (is_bid, price) = (order.side == Side::BUY, i64::from(order.price.get()));
            let better = if is_bid { price } else { -price };
            (order.header.locate.get(), Reverse(is_bid), Reverse(better))
        });
        let orders = orders.into_iter().map(Message::Added);
        let stocks = self.listed.values().chain(self.states.values());
        self.day.iter().chain(stocks).copied().chain(orders).collect()
    }
}
