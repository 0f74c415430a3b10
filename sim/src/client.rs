//! Clients: they log in where somebody leads, send orders, lose their connections, come back from
//! a message on that they choose, and send again what has no answer. Each checks all that it is
//! told: every message once, in order, with the bytes that it had before.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};

use fastrand::Rng;
use ringframe::client::limit_order;
use ringframe::net::{Net, is_nothing};
use ringframe::streams::Stream;
use ringframe::types::Nanos;
use ringframe::wire::layout::Alpha;
use ringframe::wire::ouch::{
    Cancel, Display, Enter, Inbound, Outbound, Replace, Side, Sweep, Token, time_in_force,
};
use ringframe::wire::soup::{FromClient, FromServer, LoginReject, LoginRequest, Session};

use crate::net::{SimNet, SimStream, address};
use crate::node::{MARKET, ORDERS};
use crate::settings::{PRICE, SYMBOLS, Settings};
use crate::told::ToldDay;
use crate::wanted::Wanted;

/// Who hears nothing for so long goes elsewhere.
const SILENCE: u64 = 4 * Nanos::SECOND;
/// Who has nothing to say says so often that he is there.
const HEARTBEAT: u64 = Nanos::SECOND;
pub(crate) const PACKET_BYTES_MAX: usize = 4096;

/// What a client found wrong.
pub(crate) type Wrong = String;

/// How a user logs in.
pub(crate) fn login(user: u16, session: Session, sequence: u64) -> FromClient<'static> {
    FromClient::Login(LoginRequest {
        username: Alpha::new(&format!("TRDR{user:02}")).expect("six letters"),
        password: Alpha::new("secret").expect("six letters"),
        session,
        sequence,
        timeout: None,
    })
}

/// A client.
pub(crate) struct Client {
    user: u16,
    /// Whether it trades, or reads the market.
    trades: bool,
    /// Whether days end.
    knows_days: bool,
    net: SimNet,
    rng: Rng,
    stream: Option<SimStream>,
    is_in: bool,
    /// Which node it tries.
    node: usize,
    session: Session,
    /// The number of the next message on this connection.
    next: u64,
    input: Vec<u8>,
    /// What it reads into.
    piece: Box<[u8; 4096]>,
    output: Vec<u8>,
    retry_at: Nanos,
    heard_at: Nanos,
    spoke_at: Nanos,
    order_at: Nanos,
    /// Everything that it was told this day.
    pub(crate) log: Vec<Vec<u8>>,
    /// The days before, as far as it knows of them.
    days: Vec<PastDay>,
    /// It was told that there is no such session: another day may have begun.
    doubts: bool,
    orders: usize,
    /// So many tokens it gave this day, …
    tokens: usize,
    /// … and some orders went twice: of those one may arrive on the day after.
    resent: bool,
    unanswered: VecDeque<Enter>,
    known: BTreeMap<Token, Known>,
    wanted: Wanted,
    asks_all: bool,
    /// Where it was let in, and from which message on, since that was told.
    pub(crate) login: Option<String>,
    pub(crate) repeats: u64,
}

/// What it was told on a day that is over.
struct PastDay {
    session: Session,
    log: Vec<Vec<u8>>,
    /// It was there when the day ended.
    is_whole: bool,
}

/// What it knows of a token.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    answers: u32,
    shares: u32,
    executed: u32,
}

impl Client {
    /// Trades, or reads the market where there are enough who trade.
    pub(crate) fn new(user: u16, settings: &Settings, net: SimNet, rng: Rng) -> Self {
        Self {
            user,
            trades: user <= settings.traders,
            knows_days: settings.ends_days,
            net,
            rng,
            stream: None,
            is_in: false,
            node: 0,
            session: Session::BLANK,
            next: 1,
            input: Vec::new(),
            piece: Box::new([0; 4096]),
            output: Vec::new(),
            retry_at: Nanos(0),
            heard_at: Nanos(0),
            spoke_at: Nanos(0),
            order_at: Nanos(0),
            log: Vec::new(),
            days: Vec::new(),
            doubts: false,
            orders: 0,
            tokens: 0,
            resent: false,
            unanswered: VecDeque::new(),
            known: BTreeMap::new(),
            wanted: Wanted::default(),
            asks_all: false,
            login: None,
            repeats: 0,
        }
    }

    /// Sends and hears what it can; how much that was, or what is wrong.
    pub(crate) fn poll(
        &mut self,
        settings: &Settings,
        is_closing: bool,
        now: Nanos,
    ) -> Result<usize, Wrong> {
        if self.stream.is_none() {
            return Ok(self.connect(now));
        }
        let mut work = self.hear(now)?;
        if self.is_in && self.trades && !is_closing {
            work += self.trade(settings, now);
        }
        if now > self.spoke_at.after(HEARTBEAT) {
            self.say(&FromClient::Heartbeat, now);
        }
        work += self.send();
        if now > self.heard_at.after(SILENCE) {
            self.part(now);
        }
        Ok(work)
    }

    /// Whether all that it sent is answered.
    pub(crate) fn is_done(&self, settings: &Settings, is_closing: bool) -> bool {
        self.unanswered.is_empty() && (is_closing || self.orders >= settings.orders || !self.trades)
    }

    pub(crate) fn has_all_sent(&self, settings: &Settings) -> bool {
        !self.trades || self.orders >= settings.orders
    }

    /// What it listens to.
    pub(crate) fn stream(&self) -> Stream {
        if self.trades { Stream::Session(self.user) } else { Stream::Feed }
    }

    /// How it is, for who asks why nothing goes on.
    pub(crate) fn state(&self) -> String {
        format!(
            "c{}: {} on n{}, {} messages (the next is {}), {} orders, {} unanswered",
            self.user,
            if self.is_in { "logged in" } else { "not logged in" },
            self.node,
            self.log.len(),
            self.next,
            self.orders,
            self.unanswered.len()
        )
    }

    /// Comes back and asks for all of it once more.
    pub(crate) fn ask_again(&mut self) {
        self.stream = None;
        self.is_in = false;
        self.input.clear();
        self.output.clear();
        self.retry_at = Nanos(0);
        self.asks_all = true;
    }

    /// Whether it was told all of it again, if it asked for that.
    pub(crate) fn is_whole(&self) -> bool {
        !self.asks_all || (self.is_in && self.next == self.log.len() as u64 + 1)
    }

    /// Goes away, and comes back.
    pub(crate) fn part(&mut self, now: Nanos) {
        self.stream = None;
        self.is_in = false;
        self.input.clear();
        self.output.clear();
        self.retry_at = now.after(self.rng.u64(1_000_000..100_000_000));
        self.node = 1 - self.node;
    }

    fn connect(&mut self, now: Nanos) -> usize {
        if now < self.retry_at {
            return 0;
        }
        let port = if self.trades { ORDERS } else { MARKET };
        self.stream = self.net.connect(address(self.node, port)).ok();
        let next = self.log.len() as u64 + 1;
        let is_blank = self.doubts && self.rng.bool();
        let sequence = match self.rng.u8(0..4) {
            _ if self.asks_all || is_blank => 1,
            0 => 1,
            1 => self.rng.u64(1..=next),
            _ => next,
        };
        self.next = sequence;
        let session = if is_blank { Session::BLANK } else { self.session };
        self.say(&login(self.user, session, sequence), now);
        (self.heard_at, self.spoke_at) = (now, now);
        1
    }

    fn say(&mut self, packet: &FromClient<'_>, now: Nanos) {
        let mut bytes = [0; 256];
        let length = packet.encode(&mut bytes).expect("own packets are short");
        self.output.extend(&bytes[..length]);
        self.spoke_at = now;
    }

    fn say_message(&mut self, message: &Inbound, now: Nanos) {
        let mut bytes = [0; Inbound::BYTES_MAX];
        let length = message.encode(&mut bytes).expect("it has room");
        self.say(&FromClient::Data(&bytes[..length]), now);
    }

    fn send(&mut self) -> usize {
        let Some(stream) = &mut self.stream else { return 0 };
        if self.output.is_empty() {
            return 0;
        }
        let count = stream.write(&self.output).unwrap_or_default();
        self.output.drain(..count);
        usize::from(count > 0)
    }

    fn hear(&mut self, now: Nanos) -> Result<usize, Wrong> {
        let Some(stream) = &mut self.stream else { return Ok(0) };
        let count = match stream.read(&mut self.piece[..]) {
            Ok(0) => {
                self.part(now);
                return Ok(1);
            }
            Ok(count) => count,
            Err(error) if is_nothing(&error) => return Ok(0),
            Err(_) => {
                self.part(now);
                return Ok(1);
            }
        };
        self.heard_at = now;
        let mut input = std::mem::take(&mut self.input);
        input.extend(&self.piece[..count]);
        let mut used = 0;
        loop {
            let split = FromServer::split(&input[used..], PACKET_BYTES_MAX);
            let split = split.map_err(|error| format!("c{}: a packet: {error}", self.user))?;
            let Some((packet, length)) = split else { break };
            used += length;
            self.packet(packet, now)?;
            if self.stream.is_none() {
                return Ok(1);
            }
        }
        input.drain(..used);
        self.input = input;
        Ok(1)
    }

    fn packet(&mut self, packet: FromServer<'_>, now: Nanos) -> Result<(), Wrong> {
        match packet {
            FromServer::Accepted(accepted) => {
                if accepted.sequence != self.next {
                    let (asked, got) = (self.next, accepted.sequence);
                    return Err(format!("c{}: asked for {asked}, gets {got}", self.user));
                }
                self.begin_day(accepted.session)?;
                (self.is_in, self.doubts) = (true, false);
                let (user, node, has) = (self.user, self.node, self.log.len());
                let from = self.next;
                self.login = Some(format!("c{user} is in on n{node}, from {from} on, has {has}"));
                self.resent |= !self.unanswered.is_empty();
                for order in self.unanswered.clone() {
                    self.say_message(&Inbound::from(order), now);
                }
                Ok(())
            }
            FromServer::Rejected(LoginReject::SessionNotAvailable) => {
                // Who has just begun to lead may not have counted all that it has. Where it really
                // lacks something, nobody gets in any more, and that is seen in the end.
                self.part(now);
                self.doubts = self.knows_days;
                Ok(())
            }
            FromServer::Rejected(why) => Err(format!("c{}: not let in: {why:?}", self.user)),
            FromServer::Data(message) => self.message(message),
            FromServer::Heartbeat | FromServer::Debug(_) => Ok(()),
            FromServer::End if self.knows_days => {
                self.end_day(true);
                self.part(now);
                Ok(())
            }
            FromServer::End => Err(format!("c{}: the day ended", self.user)),
        }
    }

    fn message(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let place = self.next as usize - 1;
        self.next += 1;
        if let Some(before) = self.log.get(place) {
            self.repeats += 1;
            if before != bytes {
                let other = self.log.iter().position(|told| told == bytes).map(|at| at + 1);
                return Err(format!(
                    "c{}: message {} was {before:02x?}, and is {bytes:02x?} now, which was \
                     {other:?}",
                    self.user,
                    place + 1
                ));
            }
            return Ok(());
        }
        self.log.push(bytes.to_vec());
        if !self.trades {
            return Ok(());
        }
        let message = Outbound::decode(bytes)
            .map_err(|error| format!("c{}: message {}: {error}", self.user, place + 1))?;
        self.account(&message).map_err(|why| format!("c{}: {why}", self.user))
    }

    fn account(&mut self, message: &Outbound) -> Result<(), Wrong> {
        match message {
            Outbound::Accepted(accepted) => {
                self.wanted.taken(&accepted.order, true)?;
                self.answered(accepted.order.token, accepted.order.shares.get())
            }
            Outbound::Rejected(rejected) => self.answered(rejected.token, 0),
            Outbound::Replaced(replaced) => {
                self.wanted.taken(&replaced.order, false)?;
                let known = self.known.entry(replaced.order.token).or_default();
                known.answers += 1;
                known.shares = replaced.order.shares.get();
                match known.answers {
                    1 => Ok(()),
                    times => Err(format!("a replace was done {times} times")),
                }
            }
            Outbound::Executed(executed) => {
                self.wanted.executed(executed)?;
                let known = self.known.entry(executed.token).or_default();
                known.executed += executed.shares.get();
                if known.executed > known.shares {
                    return Err(format!(
                        "{:?} executed {} of {}",
                        executed.token, known.executed, known.shares
                    ));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn answered(&mut self, token: Token, shares: u32) -> Result<(), Wrong> {
        let known = self.known.entry(token).or_default();
        known.answers += 1;
        known.shares = shares;
        if known.answers > 1 {
            return Err(format!("{token:?} was answered {} times", known.answers));
        }
        self.unanswered.retain(|order| order.token != token);
        Ok(())
    }

    /// Sends what it is time for.
    fn trade(&mut self, settings: &Settings, now: Nanos) -> usize {
        let may = self.orders < settings.orders
            && self.unanswered.len() < settings.unanswered_max
            && now >= self.order_at
            && self.output.len() < 1024;
        if !may {
            return 0;
        }
        self.order_at = now.after(self.rng.u64(0..settings.pause_nanos));
        match self.rng.u8(0..10) {
            0 => self.cancel(now),
            1 => self.replace(now),
            _ => self.enter(now),
        }
        1
    }

    fn enter(&mut self, now: Nanos) {
        let side = if self.rng.bool() { Side::BUY } else { Side::SELL };
        let (token, shares, price) = (self.token(), self.rng.u32(1..100), self.price());
        let stock = Alpha::new(SYMBOLS[self.rng.usize(0..SYMBOLS.len())]).expect("four letters");
        let order = limit_order(token, side, shares, stock, price);
        self.wanted.enter(&order);
        self.unanswered.push_back(order);
        self.say_message(&Inbound::from(order), now);
    }

    fn price(&mut self) -> u32 {
        PRICE + 100 * self.rng.u32(0..20)
    }

    fn token(&mut self) -> Token {
        self.orders += 1;
        self.tokens += 1;
        Alpha::new(&format!("T{}", self.tokens)).expect("few letters")
    }

    /// One of its own that was answered.
    fn any(&mut self) -> Option<Token> {
        let number = self.rng.usize(1..=self.tokens.max(1));
        let token = Alpha::new(&format!("T{number}")).expect("few letters");
        self.known.get(&token).filter(|known| known.shares > known.executed).map(|_| token)
    }

    fn cancel(&mut self, now: Nanos) {
        if let Some(token) = self.any() {
            let shares = if self.rng.bool() { 0 } else { self.rng.u32(1..50) };
            self.say_message(&Inbound::from(Cancel { token, shares: shares.into() }), now);
        }
    }

    fn replace(&mut self, now: Nanos) {
        let Some(old) = self.any() else { return };
        let replace = Replace {
            old,
            new: self.token(),
            shares: self.rng.u32(1..100).into(),
            price: self.price().into(),
            time_in_force: time_in_force::MARKET_HOURS.into(),
            display: Display::ANONYMOUS,
            sweep: Sweep::NO,
            minimum: 0.into(),
        };
        self.wanted.replace(&replace);
        self.say_message(&Inbound::from(replace), now);
    }

    /// It is let in to this session: where that is not the one that it knows, that one is over.
    fn begin_day(&mut self, session: Session) -> Result<(), Wrong> {
        if !self.session.is_blank() && self.session != session {
            if !self.knows_days || self.next != 1 {
                return Err(format!("c{}: another day's session", self.user));
            }
            self.end_day(false);
        }
        if self.days.iter().any(|day| day.session == session) {
            return Err(format!("c{}: a day that was over, {session}", self.user));
        }
        self.session = session;
        Ok(())
    }

    /// Its day is over. What has no answer yet goes once more on the next day, and all tokens may
    /// be used again; but where some went twice, one of them may arrive late.
    fn end_day(&mut self, is_whole: bool) {
        let session = std::mem::replace(&mut self.session, Session::BLANK);
        self.days.push(PastDay { session, log: std::mem::take(&mut self.log), is_whole });
        self.known.clear();
        if self.unanswered.is_empty() && !std::mem::take(&mut self.resent) {
            self.tokens = 0;
        }
    }

    /// How many messages it was told, of all days.
    pub(crate) fn told(&self) -> usize {
        self.days.iter().map(|day| day.log.len()).sum::<usize>() + self.log.len()
    }

    /// Whether it was there at the end of each day that it knows.
    pub(crate) fn knows_ends(&self) -> bool {
        self.days.iter().all(|day| day.is_whole)
    }

    /// What it was told on a day, and whether that is all of it; where there is nothing to come.
    pub(crate) fn day(&self, session: Session) -> Option<(&[Vec<u8>], bool)> {
        match self.days.iter().find(|day| day.session == session) {
            Some(day) => Some((&day.log, day.is_whole)),
            None => (session == self.session).then_some((&self.log, true)),
        }
    }

    /// The days that it knows.
    pub(crate) fn days(&self) -> impl Iterator<Item = Session> {
        self.days.iter().map(|day| day.session).chain([self.session])
    }

    /// Compares what it was told with what there was to tell, from the first day on.
    pub(crate) fn compare(&self, told: &[ToldDay]) -> Result<(), Wrong> {
        let mut told = told.iter();
        let today = PastDay { session: self.session, log: self.log.clone(), is_whole: true };
        for day in self.days.iter().chain([&today]) {
            let is_it = |it: &&ToldDay| it.session == day.session;
            let messages = told.find(is_it).map_or(&[][..], |it| it.messages(self.stream()));
            let is_told =
                if day.is_whole { messages == day.log } else { messages.starts_with(&day.log) };
            if !is_told {
                let at =
                    messages.iter().zip(&day.log).take_while(|(one, other)| one == other).count();
                return Err(format!(
                    "{}: it was told otherwise than the log: on the day {} {} messages, as in the \
                     log up to {at} of {}",
                    self.state(),
                    day.session,
                    day.log.len(),
                    messages.len()
                ));
            }
        }
        match told.next() {
            Some(day) => {
                Err(format!("{}: it does not know of the day {}", self.state(), day.session))
            }
            None => Ok(()),
        }
    }

    /// How often each trade was told here, added up.
    pub(crate) fn trades(&self, into: &mut BTreeMap<u64, u32>) {
        let before = self.days.iter().flat_map(|day| &day.log);
        for bytes in before.chain(&self.log).filter(|_| self.trades) {
            if let Ok(Outbound::Executed(executed)) = Outbound::decode(bytes) {
                *into.entry(executed.match_number.get()).or_default() += 1;
            }
        }
    }
}
