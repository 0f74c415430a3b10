//! What must come of every message: the account of orders that each session keeps against the
//! server, fed with what goes out and what comes in. No sockets, no clock.
//!
//! Within a session answers come in the order of the messages, and executions, which come unasked,
//! come in the order in which they happened. So when the answer to a message is there, every
//! earlier message of the session was answered before, or rightly has no answer. OUCH is silent
//! about a cancel or replace of an order that is gone, and everything that made it go has been told
//! by then: silence is right if nothing of the order is open, and a lost answer otherwise. One
//! thing escapes: an order that goes in between, after the server swallowed a cancel that it should
//! have answered.

use std::collections::{BTreeMap, VecDeque};

use ringframe_wire::ouch::{self, CancelReason, OrderState, Outbound, RejectReason, Token};

use crate::flow::Op;
use crate::results::Fact;
use crate::tally::{Sent, Tally, Wrong};

/// What is known of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// In all, those of the orders that it replaced included.
    entered: u32,
    executed: u32,
    open: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    New,
    Asked,
    Accepted,
    Rejected,
}

/// A message that is not answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) op: Op,
    sent: Sent,
}

/// All orders of a run, and what each session waits for.
#[derive(Debug)]
pub(crate) struct Checker {
    names: Names,
    orders: Vec<Order>,
    pending: Vec<VecDeque<Pending>>,
    waiting: u64,
    settled: u64,
    kinds: Kinds,
}

/// The tokens of a run: what the run is called, and an order's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    run: [u8; RUN_LETTERS],
}

const RUN_LETTERS: usize = 6;
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

impl Names {
    /// `run` tells this run's tokens from another's of the same day: 30 bits of it count.
    pub(crate) fn new(run: u64) -> Self {
        let mut letters = [0; RUN_LETTERS];
        for (place, letter) in letters.iter_mut().rev().enumerate() {
            *letter = DIGITS[(run >> (5 * place)) as usize % 32];
        }
        Self { run: letters }
    }

    #[inline]
    pub(crate) fn token(self, id: u32) -> Token {
        let mut text = [0; 14];
        text[..RUN_LETTERS].copy_from_slice(&self.run);
        for (place, letter) in text[RUN_LETTERS..].iter_mut().rev().enumerate() {
            *letter = DIGITS[(id >> (4 * place)) as usize % 16];
        }
        ringframe_wire::layout::Alpha(text)
    }

    /// The number of an order of this run.
    #[inline]
    fn id(self, token: Token) -> Option<u32> {
        let digits = token.0.strip_prefix(&self.run)?;
        digits.iter().try_fold(0, |id: u32, digit| {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'A'..=b'F' => digit - b'A' + 10,
                _ => return None,
            };
            Some(id << 4 | u32::from(value))
        })
    }
}

/// What came, by kind.
#[derive(Clone, Debug, Default)]
struct Kinds {
    accepted: u64,
    replaced: u64,
    canceled: u64,
    executed: u64,
    self_matched: u64,
    other: u64,
    /// Executions and cancels of orders that an earlier run left.
    foreign: u64,
    /// By reason letter.
    rejected: BTreeMap<u8, u64>,
}

impl Checker {
    /// For orders numbered below `orders`. Takes all room, so that nothing allocates later.
    pub(crate) fn new(names: Names, orders: usize, sessions: usize) -> Self {
        let pending = (0..sessions).map(|_| VecDeque::with_capacity(1_024)).collect();
        let orders = vec![Order::default(); orders];
        Self { names, orders, pending, waiting: 0, settled: 0, kinds: Kinds::default() }
    }

    /// A message goes out.
    #[inline]
    pub(crate) fn asked(&mut self, session: usize, op: Op, sent: Sent) {
        if let Op::Add { id, quantity, .. } | Op::Replace { new: id, quantity, .. } = op {
            self.orders[id as usize] =
                Order { entered: quantity, executed: 0, open: 0, state: State::Asked };
        }
        self.pending[session].push_back(Pending { op, sent });
        self.waiting += 1;
    }

    /// How many messages are neither answered nor known to be silent.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// How many are answered, or known to be silent or lost.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// Those of a session, in order.
    pub(crate) fn pending(&self, session: usize) -> impl Iterator<Item = Op> {
        self.pending[session].iter().map(|pending| pending.op)
    }

    /// The orders that are in the market, so far as is known.
    pub(crate) fn open(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.orders).filter(|(_, order)| order.open > 0).map(|(id, _)| id)
    }

    /// No more answers come: what waits for one is lost, or was silent. Nothing that was answered
    /// later shows that the server saw it, so only what it had told to be gone was silent.
    pub(crate) fn give_up(&mut self, now: u64, tally: &mut Tally) {
        for session in 0..self.pending.len() {
            while let Some(pending) = self.pending[session].pop_front() {
                self.passed_over(session, &pending, false, now, tally);
            }
        }
    }

    /// The server said something to a session.
    pub(crate) fn hear(&mut self, session: usize, message: &Outbound, now: u64, tally: &mut Tally) {
        match message {
            Outbound::Executed(it) => self.executed(it, now, tally),
            Outbound::ExecutedAtReference(it) => self.executed(&it.executed, now, tally),
            Outbound::Accepted(it) => self.accepted(session, &it.order, now, tally),
            Outbound::Canceled(it) => self.canceled(session, it, now, tally),
            Outbound::Replaced(it) => self.replaced(session, it, now, tally),
            Outbound::Rejected(it) => self.rejected(session, it, now, tally),
            Outbound::SelfMatch(it) => {
                self.kinds.self_matched += 1;
                self.reduce(it.token, it.decrement.get(), now, tally);
            }
            Outbound::CancelRejected(it) => {
                self.kinds.other += 1;
                let id = self.names.id(it.token);
                let is = |op: &Op| matches!(*op, Op::Cancel { id: own } if Some(own) == id);
                if !self.settle(session, now, tally, is) {
                    wrong(tally, Wrong::Unexpected, now, it.token, "a cancel was refused");
                }
            }
            Outbound::SystemEvent(_)
            | Outbound::Broken(_)
            | Outbound::CancelPending(_)
            | Outbound::PriorityUpdated(_)
            | Outbound::Modified(_) => self.kinds.other += 1,
        }
    }

    fn accepted(&mut self, session: usize, order: &ouch::Order, now: u64, tally: &mut Tally) {
        self.kinds.accepted += 1;
        let token = order.token;
        let Some(id) = self.known(token) else {
            return wrong(tally, Wrong::Unexpected, now, token, "nobody entered what was accepted");
        };
        if !self.settle(
            session,
            now,
            tally,
            |op| matches!(*op, Op::Add { id: own, .. } if own == id),
        ) {
            return self.again(id, now, tally, "accepted");
        }
        let own = &mut self.orders[id as usize];
        own.state = State::Accepted;
        own.open = if order.state == OrderState::DEAD { 0 } else { order.shares.get() };
        if order.shares.get() != own.entered {
            wrong(tally, Wrong::Unexpected, now, token, "accepted with other shares than entered");
        }
    }

    fn replaced(&mut self, session: usize, it: &ouch::Replaced, now: u64, tally: &mut Tally) {
        self.kinds.replaced += 1;
        let token = it.order.token;
        let (Some(old), Some(new)) = (self.known(it.old), self.known(token)) else {
            return wrong(tally, Wrong::Unexpected, now, token, "nobody sent what was replaced");
        };
        let is =
            |op: &Op| matches!(*op, Op::Replace { old: a, new: b, .. } if (a, b) == (old, new));
        if !self.settle(session, now, tally, is) {
            return self.again(new, now, tally, "replaced");
        }
        let before = std::mem::take(&mut self.orders[old as usize].open);
        let executed = self.orders[old as usize].executed;
        let own = &mut self.orders[new as usize];
        own.state = State::Accepted;
        own.executed = executed;
        own.open = if it.order.state == OrderState::DEAD { 0 } else { it.order.shares.get() };
        if before == 0 {
            wrong(tally, Wrong::Unexpected, now, it.old, "replaced when nothing of it was open");
        } else if Some(it.order.shares.get()) != own.entered.checked_sub(executed) {
            wrong(tally, Wrong::Unexpected, now, token, "replaced with other shares than entered");
        }
    }

    fn rejected(&mut self, session: usize, it: &ouch::Rejected, now: u64, tally: &mut Tally) {
        let RejectReason(letter) = it.reason;
        *self.kinds.rejected.entry(letter).or_default() += 1;
        let Some(id) = self.known(it.token) else {
            return wrong(tally, Wrong::Unexpected, now, it.token, "nobody sent what was rejected");
        };
        let is = |op: &Op| match *op {
            Op::Add { id: own, .. } | Op::Replace { new: own, .. } => own == id,
            Op::Cancel { .. } => false,
        };
        if !self.settle(session, now, tally, is) {
            return self.again(id, now, tally, "rejected");
        }
        self.orders[id as usize].state = State::Rejected;
    }

    fn canceled(&mut self, session: usize, it: &ouch::Canceled, now: u64, tally: &mut Tally) {
        self.kinds.canceled += 1;
        if it.reason == CancelReason::USER {
            let Some(id) = self.known(it.token) else { return self.foreign(it.token, now, tally) };
            let is = |op: &Op| match *op {
                Op::Cancel { id: own } | Op::Replace { old: own, .. } => own == id,
                Op::Add { .. } => false,
            };
            if !self.settle(session, now, tally, is) {
                let open = self.orders[id as usize].open;
                let wrong_how = if open == 0 { Wrong::Repeated } else { Wrong::Unexpected };
                return wrong(tally, wrong_how, now, it.token, "canceled, and nobody asked");
            }
            if self.orders[id as usize].open > it.decrement.get() {
                wrong(tally, Wrong::Unexpected, now, it.token, "canceled in part");
            }
        }
        self.reduce(it.token, it.decrement.get(), now, tally);
    }

    #[inline]
    fn executed(&mut self, it: &ouch::Executed, now: u64, tally: &mut Tally) {
        self.kinds.executed += 1;
        if let Some(id) = self.reduce(it.token, it.shares.get(), now, tally) {
            let order = &mut self.orders[id as usize];
            order.executed = order.executed.saturating_add(it.shares.get());
        }
    }

    /// Shares of an order go, asked or unasked: it has to be there, and to have as many.
    fn reduce(&mut self, token: Token, by: u32, now: u64, tally: &mut Tally) -> Option<u32> {
        let Some(id) = self.known(token) else {
            self.foreign(token, now, tally);
            return None;
        };
        let order = &mut self.orders[id as usize];
        match order.open.checked_sub(by) {
            Some(open) if by > 0 => order.open = open,
            _ => {
                let what = format!("{by} shares went of {}", order.open);
                wrong(tally, Wrong::Unexpected, now, token, &what);
                order.open = 0;
            }
        }
        Some(id)
    }

    /// Orders that another run left may still trade; an order of this run that was never sent may
    /// not.
    fn foreign(&mut self, token: Token, now: u64, tally: &mut Tally) {
        self.kinds.foreign += 1;
        if self.names.id(token).is_some() {
            wrong(tally, Wrong::Unexpected, now, token, "nobody entered the order");
        }
    }

    /// An order of this run that was sent.
    #[inline]
    fn known(&self, token: Token) -> Option<u32> {
        let id = self.names.id(token)?;
        let order = self.orders.get(id as usize)?;
        (order.state != State::New).then_some(id)
    }

    fn again(&self, id: u32, now: u64, tally: &mut Tally, what: &str) {
        let is_first = self.orders[id as usize].state == State::Asked;
        let kind = if is_first { Wrong::Unexpected } else { Wrong::Repeated };
        let what = format!("{what}, {}", if is_first { "in another session" } else { "again" });
        wrong(tally, kind, now, self.names.token(id), &what);
    }

    /// The answer to a message is there: it is answered, and those before it have none. `false`
    /// when no such message waits.
    #[inline]
    fn settle(
        &mut self,
        session: usize,
        now: u64,
        tally: &mut Tally,
        is: impl Fn(&Op) -> bool,
    ) -> bool {
        let pending = &mut self.pending[session];
        let Some(before) = pending.iter().position(|pending| is(&pending.op)) else {
            return false;
        };
        for _ in 0..before {
            let Some(passed) = self.pending[session].pop_front() else { break };
            self.passed_over(session, &passed, true, now, tally);
        }
        if let Some(pending) = self.pending[session].pop_front() {
            self.waiting -= 1;
            self.settled += 1;
            tally.answered(pending.sent, now);
        }
        true
    }

    /// `is_seen` says that the server has seen it, because it has answered a later one.
    fn passed_over(
        &mut self,
        session: usize,
        pending: &Pending,
        is_seen: bool,
        now: u64,
        tally: &mut Tally,
    ) {
        self.waiting -= 1;
        self.settled += 1;
        let (id, may_be_silent, what) = match pending.op {
            Op::Add { id, .. } => (id, false, "the order"),
            Op::Cancel { id } => (id, true, "the cancel of"),
            Op::Replace { old, .. } => (old, true, "the replace of"),
        };
        let order = &self.orders[id as usize];
        let is_gone = order.open == 0 && (is_seen || order.state != State::Asked);
        if may_be_silent && is_gone {
            tally.silent(pending.sent);
        } else {
            let token = self.names.token(id);
            tally.lost(now, || format!("session {session}: no answer to {what} {token}"));
        }
    }

    /// What came, by kind, for people.
    pub(crate) fn kinds(&self) -> Vec<Fact> {
        let kinds = &self.kinds;
        let counts = [
            ("accepted", kinds.accepted),
            ("replaced", kinds.replaced),
            ("canceled", kinds.canceled),
            ("executed", kinds.executed),
            ("kept from meeting themselves", kinds.self_matched),
            ("of an earlier run's orders", kinds.foreign),
            ("others", kinds.other),
        ];
        let rejected = kinds
            .rejected
            .iter()
            .map(|(letter, count)| (format!("rejected for {}", letter.escape_ascii()), *count));
        let counts = counts.map(|(name, count)| (name.to_owned(), count)).into_iter();
        let there = counts.chain(rejected).filter(|(_, count)| *count > 0);
        there.map(|(name, count)| Fact { name, value: count.to_string() }).collect()
    }

    /// How many orders were rejected.
    pub(crate) fn rejections(&self) -> u64 {
        self.kinds.rejected.values().sum()
    }
}

fn wrong(tally: &mut Tally, wrong: Wrong, now: u64, token: Token, what: &str) {
    tally.wrong(wrong, now, || format!("{token}: {what}"));
}
