//! Order entry as a real client does it: `SoupBinTCP` sessions that speak OUCH 4.2, each with its
//! own numbers, that come back with them when a connection is lost.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use ringframe_wire::ouch::{self, Inbound, Outbound, time_in_force};
use ringframe_wire::soup::{
    FromClient, FromServer, HEADER_BYTES, LoginAccepted, LoginReject, LoginRequest,
    PACKET_BYTES_MAX, Password, Session as SessionName, Username,
};

use crate::engine::{Links, Talk, UPKEEP_NS};
use crate::flow::{Op, Side, TICK};
use crate::results::Fact;
use crate::schedule::nanos;
use crate::tally::{Sent, Tally, Wrong};

use checker::{Checker, Names};
use script::{Listing, Place, Script};

mod checker;
pub(crate) mod file;
mod itch;
pub mod script;

#[cfg(test)]
mod tests;

/// A client that said nothing for so long says that it is still there.
const HEARTBEAT_NS: u64 = 1_000_000_000;
/// A server that said nothing for so long is gone.
const SILENCE_NS: u64 = 15_000_000_000;
/// How long a host may take to answer a connection.
const CONNECT_NS: u64 = 2_000_000_000;
/// How long to wait between two rounds of tries to connect again: what it adds to the time in which
/// no server leads.
const RETRY_NS: u64 = 20_000_000;

/// What an order of a run takes.
pub(crate) const ORDER_BYTES: u64 = size_of::<checker::Order>() as u64;

/// Who logs in, and where.
#[derive(Clone, Debug)]
pub struct Login {
    /// Tried one after the other; the first that answers it is.
    pub targets: Vec<String>,
    /// A name for each session.
    pub users: Vec<String>,
    /// The same for all.
    pub password: String,
    /// How long to try to come back after a lost connection.
    pub give_up: Duration,
}

/// An address, and how it was given.
#[derive(Clone, Debug)]
struct Target {
    name: String,
    address: SocketAddr,
}

/// All addresses of all names: looked up before the run, because that may take any time.
fn resolve(names: &[String]) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for name in names {
        let addresses = name
            .to_socket_addrs()
            .map_err(|error| format!("{name}: {error}; write HOST:PORT, such as 127.0.0.1:9001"))?;
        let before = targets.len();
        targets.extend(addresses.map(|address| Target { name: name.clone(), address }));
        if targets.len() == before {
            return Err(format!("{name}: this name stands for no address"));
        }
    }
    Ok(targets)
}

/// Bytes of a command on the wire.
pub(crate) fn wire_bytes(op: &Op) -> usize {
    let message = match op {
        Op::Add { .. } => size_of::<ouch::Enter>(),
        Op::Cancel { .. } => size_of::<ouch::Cancel>(),
        Op::Replace { .. } => size_of::<ouch::Replace>(),
    };
    HEADER_BYTES + 1 + message
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has no connection and is about to get one.
    Down {
        /// When to try.
        retry: u64,
    },
    /// It has asked to be let in.
    Asking,
    /// It is in.
    In,
    /// It is over for good.
    Over,
}

/// A session: one user's numbered messages.
#[derive(Debug)]
struct Session {
    username: Username,
    /// Blank until the server has said which.
    name: SessionName,
    /// The number of the next message from the server; 0 before the first login.
    next: u64,
    standing: Standing,
    /// Which of the targets it is at.
    target: usize,
    /// Why the last try did not get it in, when there was one since it was last in.
    failed: Option<String>,
    /// When not to try any more, once it was in.
    give_up: u64,
    heard: u64,
}

/// The orders of a script, in the words of the protocol.
pub(crate) struct Orders {
    targets: Vec<Target>,
    password: Password,
    give_up_ns: u64,
    sessions: Vec<Session>,
    listings: Vec<Listing>,
    names: Names,
    places: Vec<Place>,
    /// Orders from this number on are asked so that every session has a last answer.
    first_last: u32,
    checker: Checker,
    ops: Vec<Op>,
    next: usize,
    /// How often a session began to get in, or got in.
    tries: u64,
    /// Why a session is over for good, when one is.
    over: Option<String>,
}

impl Orders {
    /// Sessions that have not logged in yet. `run` tells its tokens from another run's.
    pub(crate) fn new(login: &Login, script: &Script, run: u64) -> Result<Self, String> {
        let too_long =
            |what: &str, letters: usize| format!("{what} has more than {letters} letters");
        let password =
            Password::new(&login.password).ok_or_else(|| too_long("the password", 10))?;
        let mut sessions = Vec::new();
        for user in &login.users {
            sessions.push(Session {
                username: Username::new(user)
                    .ok_or_else(|| too_long(&format!("the user '{user}'"), 6))?,
                name: SessionName::BLANK,
                next: 0,
                standing: Standing::Down { retry: 0 },
                target: 0,
                failed: None,
                give_up: 0,
                heard: 0,
            });
        }
        let places = script.places(sessions.len());
        let first_last = places.len() as u32;
        let names = Names::new(run);
        // Last orders are entered twice: before and after what is left is canceled.
        let checker = Checker::new(names, places.len() + 2 * sessions.len(), sessions.len());
        Ok(Self {
            targets: resolve(&login.targets)?,
            password,
            give_up_ns: nanos(login.give_up),
            sessions,
            listings: script.listings.clone(),
            names,
            places,
            first_last,
            checker,
            ops: Vec::new(),
            next: 0,
            tries: 0,
            over: None,
        })
    }

    /// What [`Talk::ask`] sends next.
    pub(crate) fn load(&mut self, ops: Vec<Op>) {
        (self.ops, self.next) = (ops, 0);
    }

    /// An order for each session that can neither trade nor rest: its answer tells that all before
    /// it were answered, or are silent. `round` is 0 or 1.
    pub(crate) fn last_orders(&self, round: u32) -> impl Iterator<Item = Op> + use<> {
        let sessions = self.sessions.len() as u32;
        let first = self.first_last + round * sessions;
        (first..first + sessions).map(|id| Op::Add {
            id,
            instrument: 0,
            side: Side::Buy,
            price: TICK,
            quantity: 1,
            immediate: true,
        })
    }

    /// A cancel for all that rests.
    pub(crate) fn cancels(&self) -> Vec<Op> {
        self.checker.open().map(|id| Op::Cancel { id }).collect()
    }

    pub(crate) fn give_up(&mut self, now: u64, tally: &mut Tally) {
        self.checker.give_up(now, tally);
    }

    pub(crate) fn kinds(&self) -> Vec<Fact> {
        self.checker.kinds()
    }

    pub(crate) fn rejections(&self) -> u64 {
        self.checker.rejections()
    }

    /// Says good-bye everywhere.
    pub(crate) fn log_out(&self, links: &mut Links, now: u64) {
        for index in 0..self.sessions.len() {
            write(links.link(index).outbox(), FromClient::Logout);
            // One that is gone needs no good-bye.
            let _ = links.link(index).flush(now);
        }
    }

    /// Whose a command is.
    #[inline]
    fn owner(&self, op: &Op) -> usize {
        let (Op::Add { id, .. } | Op::Cancel { id } | Op::Replace { old: id, .. }) = *op;
        match id.checked_sub(self.first_last) {
            None => usize::from(self.places[id as usize].session),
            Some(last) => last as usize % self.sessions.len(),
        }
    }

    #[inline]
    fn encode(&self, op: &Op, into: &mut Vec<u8>) {
        let mut bytes = [0; Inbound::BYTES_MAX];
        let length = self.message(op).encode(&mut bytes).expect("as long as the longest");
        write(into, FromClient::Data(&bytes[..length]));
    }

    #[inline]
    fn message(&self, op: &Op) -> Inbound {
        match *op {
            Op::Add { id, instrument, side, price, quantity, immediate } => {
                let listing = &self.listings[usize::from(instrument)];
                let is_last = id >= self.first_last;
                let price = if is_last { price } else { listing.price(price) };
                let time =
                    if immediate { time_in_force::IMMEDIATE } else { time_in_force::MARKET_HOURS };
                let side = match side {
                    Side::Buy => ouch::Side::BUY,
                    Side::Sell => ouch::Side::SELL,
                };
                let enter = ouch::Enter {
                    token: self.names.token(id),
                    side,
                    shares: quantity.into(),
                    stock: listing.stock,
                    price: price.into(),
                    time_in_force: time.into(),
                    firm: ouch::Firm::BLANK,
                    display: ouch::Display::ANONYMOUS,
                    capacity: ouch::Capacity::AGENCY,
                    sweep: ouch::Sweep::NO,
                    minimum: 0.into(),
                    cross: ouch::Cross::NONE,
                    customer: ouch::Customer::DEFAULT,
                };
                enter.into()
            }
            Op::Cancel { id } => {
                ouch::Cancel { token: self.names.token(id), shares: 0.into() }.into()
            }
            Op::Replace { old, new, price, quantity } => {
                let instrument = self.places[old as usize].instrument;
                let price = self.listings[usize::from(instrument)].price(price);
                let replace = ouch::Replace {
                    old: self.names.token(old),
                    new: self.names.token(new),
                    shares: quantity.into(),
                    price: price.into(),
                    time_in_force: time_in_force::MARKET_HOURS.into(),
                    display: ouch::Display::ANONYMOUS,
                    sweep: ouch::Sweep::NO,
                    minimum: 0.into(),
                };
                replace.into()
            }
        }
    }

    fn let_in(
        &mut self,
        links: &mut Links,
        index: usize,
        accepted: &LoginAccepted,
        tally: &mut Tally,
        now: u64,
    ) {
        let session = &mut self.sessions[index];
        let wanted = std::mem::replace(&mut session.next, accepted.sequence);
        session.name = accepted.session;
        session.standing = Standing::In;
        session.failed = None;
        self.tries += 1;
        if wanted == 0 {
            return;
        }
        let user = session.username;
        if accepted.sequence != wanted {
            let how = if accepted.sequence < wanted { Wrong::Repeated } else { Wrong::Unexpected };
            let offered = accepted.sequence;
            tally.wrong(how, now, || {
                format!("{user}: asked for message {wanted} on, and got {offered} on")
            });
        }
        tally.reconnected();
        // Nobody knows which of them arrived. Those that did are answered in what comes now, and
        // come to nothing when they arrive again.
        for op in self.checker.pending(index) {
            self.encode(&op, links.link(index).outbox());
            tally.resent();
        }
    }

    /// A packet that is no message of the exchange.
    fn hear_packet(
        &mut self,
        links: &mut Links,
        index: usize,
        packet: FromServer<'_>,
        now: u64,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let user = self.sessions[index].username;
        match packet {
            FromServer::Accepted(accepted) => {
                self.let_in(links, index, &accepted, tally, now);
                Ok(())
            }
            // This server lets it not in, or not yet: another may.
            FromServer::Rejected(why) => Err(match why {
                LoginReject::NotAuthorized => {
                    format!("{user} may not log in: see --users and --password")
                }
                LoginReject::SessionNotAvailable => format!(
                    "{user}: the server lacks message {} of session '{}', or all of it",
                    self.sessions[index].next, self.sessions[index].name
                ),
            }),
            FromServer::End => {
                let why = format!("{user}: the server says that the session is over for good");
                self.end(index, why.clone());
                Err(why)
            }
            FromServer::Debug(_) | FromServer::Heartbeat | FromServer::Data(_) => Ok(()),
        }
    }

    /// A try did not get a session in, so the next is at the next target, after a round of all a
    /// little later. An error when it never was in, and no target is left: nothing was measured, so
    /// nothing is lost.
    fn go_on(&mut self, index: usize, why: String, now: u64) -> io::Result<()> {
        let session = &mut self.sessions[index];
        session.target += 1;
        let is_round = session.target == self.targets.len();
        session.target %= self.targets.len();
        if session.next == 0 && is_round {
            return Err(io::Error::new(io::ErrorKind::NotConnected, why));
        }
        session.failed = Some(why);
        let retry = if is_round { now + RETRY_NS } else { now };
        session.standing = Standing::Down { retry };
        Ok(())
    }

    /// Tries to get a session in, unless the last try was in vain and time is up.
    fn come_back(&mut self, links: &mut Links, index: usize, now: u64) -> io::Result<()> {
        let session = &self.sessions[index];
        if session.next > 0
            && now > session.give_up
            && let Some(why) = &session.failed
        {
            let user = session.username;
            let why = format!("{user}: the connection was lost, and there is no other: {why}");
            self.end(index, why);
            return Ok(());
        }
        match self.connect(links, index, now) {
            Ok(()) => Ok(()),
            Err(why) => self.go_on(index, why, now),
        }
    }

    fn end(&mut self, index: usize, why: String) {
        self.sessions[index].standing = Standing::Over;
        self.over = Some(why);
    }

    fn connect(&mut self, links: &mut Links, index: usize, now: u64) -> Result<(), String> {
        let session = &mut self.sessions[index];
        let Target { name, address } = &self.targets[session.target];
        links.connect(index, *address).map_err(|error| format!("{name}: {error}"))?;
        let login = LoginRequest {
            username: session.username,
            password: self.password,
            session: session.name,
            sequence: session.next,
            timeout: None,
        };
        session.standing = Standing::Asking;
        session.heard = now;
        self.tries += 1;
        write(links.link(index).outbox(), FromClient::Login(login));
        Ok(())
    }
}

#[inline]
fn write(into: &mut Vec<u8>, packet: FromClient<'_>) {
    let mut bytes = [0; 64];
    let length = packet.encode(&mut bytes).expect("an order, the longest, has 52 bytes");
    into.extend_from_slice(&bytes[..length]);
}

impl Talk for Orders {
    #[inline]
    fn ask(&mut self, links: &mut Links, due: u64, now: u64, tally: &mut Tally) -> Option<usize> {
        let op = *self.ops.get(self.next)?;
        let index = self.owner(&op);
        let link = links.link(index);
        if self.sessions[index].standing != Standing::In || !link.has_room(wire_bytes(&op)) {
            return None;
        }
        self.encode(&op, link.outbox());
        self.next += 1;
        let sent = Sent { due, out: now };
        self.checker.asked(index, op, sent);
        tally.sent(sent);
        Some(index)
    }

    fn hear(
        &mut self,
        links: &mut Links,
        index: usize,
        bytes: &[u8],
        now: u64,
        tally: &mut Tally,
    ) -> Result<usize, String> {
        self.sessions[index].heard = now;
        let mut taken = 0;
        loop {
            let packet = FromServer::split(&bytes[taken..], PACKET_BYTES_MAX)
                .map_err(|broken| format!("the server sent what is no packet: {broken}"))?;
            let Some((packet, length)) = packet else { return Ok(taken) };
            taken += length;
            let FromServer::Data(message) = packet else {
                self.hear_packet(links, index, packet, now, tally)?;
                continue;
            };
            self.sessions[index].next += 1;
            match Outbound::decode(message) {
                Ok(message) => self.checker.hear(index, &message, now, tally),
                Err(malformed) => tally.wrong(Wrong::Unexpected, now, || malformed.to_string()),
            }
        }
    }

    fn cut(&mut self, index: usize, why: String, now: u64) -> io::Result<()> {
        let session = &mut self.sessions[index];
        match session.standing {
            Standing::Over => Ok(()),
            Standing::In => {
                session.give_up = now + self.give_up_ns;
                session.standing = Standing::Down { retry: now };
                Ok(())
            }
            Standing::Down { .. } | Standing::Asking => {
                let (target, user) = (&self.targets[session.target].name, session.username);
                let why = format!("{target}: {user} did not get in: {why}");
                self.go_on(index, why, now)
            }
        }
    }

    fn upkeep(&mut self, links: &mut Links, now: u64) -> io::Result<u64> {
        for index in 0..self.sessions.len() {
            let session = &self.sessions[index];
            match session.standing {
                Standing::Down { retry } if now < retry => {}
                Standing::Down { .. } => self.come_back(links, index, now)?,
                Standing::Asking
                    if links.link(index).is_connecting() && now > session.heard + CONNECT_NS =>
                {
                    links.cut(index);
                    let seconds = CONNECT_NS / 1_000_000_000;
                    let why = format!("no answer to a connection within {seconds} s");
                    self.cut(index, why, now)?;
                }
                Standing::Asking | Standing::In if now > session.heard + SILENCE_NS => {
                    links.cut(index);
                    let seconds = SILENCE_NS / 1_000_000_000;
                    self.cut(index, format!("the server said nothing for {seconds} s"), now)?;
                }
                Standing::In if now > links.link(index).wrote + HEARTBEAT_NS => {
                    write(links.link(index).outbox(), FromClient::Heartbeat);
                }
                Standing::Asking | Standing::In | Standing::Over => {}
            }
        }
        let retries = self.sessions.iter().filter_map(|session| match session.standing {
            Standing::Down { retry } => Some(retry.saturating_sub(now)),
            _ => None,
        });
        Ok(retries.min().map_or(UPKEEP_NS, |retry| retry.min(UPKEEP_NS)))
    }

    /// Whoever tries to get in has a limit of its own.
    fn awaited(&self) -> Option<u64> {
        let is_in = |session: &Session| session.standing == Standing::In;
        let is_settled = self.checker.waiting() == 0 && self.sessions.iter().all(is_in);
        (!is_settled).then(|| self.tries + self.checker.settled())
    }

    fn given_up(&self) -> Option<&str> {
        self.over.as_deref()
    }
}
