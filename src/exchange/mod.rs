//! The built-in logic: an exchange. `docs/EXCHANGE.md` holds its rules.
//!
//! In the order in which an order meets them:
//!
//! 1. [`command`]: what can be asked, in the words of [`ids`].
//! 2. `check`: whether it may be done, by the limits of `parties` and the terms of `instruments`.
//! 3. `accounts`: whose the orders are, by `tokens`, which are every token of the day.
//! 4. [`book`]: every live order, in `orders`. `entry`: one comes in; `matching`: it meets others,
//!    which wait in the `ladder`s of its instrument; `auction`: many meet at once.
//! 5. `takeaway`: orders are reduced and canceled; `timers`: when.
//! 6. `operator`: instruments, participants and sessions are set, and the day goes on.
//! 7. [`event`] and [`reject`]: what is told; [`view`]: what can be looked at afterwards.
//!
//! `layout` makes records of structs, `chunks` is an array that grows in place, `invariants` says
//! what holds between any two commands, [`demo`] is the market that a newcomer meets.

use serde::{Deserialize, Serialize};

mod accounts;
mod auction;
pub mod book;
mod check;
mod chunks;
pub mod command;
pub mod demo;
mod entry;
pub mod event;
pub mod ids;
mod instruments;
mod invariants;
mod ladder;
mod layout;
mod matching;
mod operator;
mod orders;
mod parties;
pub mod reject;
mod takeaway;
mod timers;
mod tokens;
pub mod view;

use accounts::Accounts;
use book::Book;
pub use check::Checked;
use check::Plan;
use command::{Command, Enter};
use event::Event;
use ladder::Ladder;
use orders::NONE;
use parties::Parties;
use reject::Reject;
use timers::Timers;
use tokens::{Key, Tokens};

use crate::logic::{Emit, Logic, Moment, Nanos};
use crate::prefetch::prefetch;

/// Any build of the exchange: logic that takes its commands and says what it says. A program has
/// one; the simulator has two.
pub trait AnyBuild: Logic<Command = Command, Event = Event, Reject = Reject> {}

impl<L: Logic<Command = Command, Event = Event, Reject = Reject>> AnyBuild for L {}

/// All state of the exchange.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Exchange {
    book: Book<Accounts>,
    timers: Timers,
}

impl Exchange {
    /// Takes the memory for this many live orders and tokens of a day now, so that none is asked
    /// for later. It changes nothing that anyone can see.
    pub fn reserve(&mut self, orders: usize, tokens: usize) {
        self.book.reserve(orders);
        self.book.owners.tokens.reserve(tokens);
    }

    /// How many orders are live.
    pub fn live_orders(&self) -> usize {
        self.book.orders.live() as usize
    }

    /// The memory that live orders and tokens take, unused room included.
    pub fn bytes(&self) -> usize {
        let books: usize = self.book.instruments.iter().map(instruments::Instrument::bytes).sum();
        let sessions: usize = self.parties().sessions().map(parties::Session::bytes).sum();
        self.book.orders.bytes() + self.tokens().bytes() + books + sessions
    }

    #[inline]
    fn tokens(&self) -> &Tokens {
        &self.book.owners.tokens
    }

    #[inline]
    fn parties(&self) -> &Parties {
        &self.book.owners.parties
    }

    /// Starts loading what the order's neighbours are.
    #[inline]
    fn prefetch_neighbours(&self, slot: u32) {
        let order = self.book.orders.get(slot);
        for neighbour in [order.prev, order.next] {
            if neighbour != NONE {
                prefetch(self.book.orders.get(neighbour));
            }
        }
    }

    /// Where a new order would queue.
    #[inline]
    fn queue_of(&self, enter: &Enter) -> Option<(&Ladder, u32)> {
        let instrument = self.book.instruments.find(enter.symbol).ok()?;
        Some(self.book.queue_of(instrument, enter.side, enter.price))
    }
}

/// How far ahead each step of [`Exchange::prefetch`] looks: the line of the index, then the token
/// that it names, then the token's order, then the order's neighbours. Each step reads what the
/// one before it loaded.
const AHEAD: [usize; 4] = [8, 6, 4, 2];
/// With fewer live orders all but the index is near enough without asking.
const FAR: u32 = 1 << 16;

impl Logic for Exchange {
    const NAME: &'static str = "ringframe exchange";
    const VERSION: u32 = 1;
    const SCHEMA: u32 = 2;
    const LOOKAHEAD: usize = AHEAD[0];

    type Command = Command;
    type Event = Event;
    type Reject = Reject;
    type Checked = Checked;

    #[inline]
    fn check(&self, command: &Command, at: &Moment) -> Result<Checked, Reject> {
        self.look(command, at).map_err(Reject::Rejected)
    }

    #[inline]
    fn apply(&mut self, checked: Checked, at: &Moment, emit: &mut Emit<'_, Event>) {
        match checked.0 {
            Plan::Enter(entry) => self.enter(&entry, at, emit),
            Plan::Replace { old, entry } => self.replace(old, &entry, at, emit),
            Plan::Reduce { slot, left } => self.book.reduce(slot, left, emit),
            Plan::Modify { slot, left, side } => self.book.modify(slot, left, side, emit),
            Plan::MassCancel { session, instrument, sides } => {
                self.mass_cancel(session, instrument, sides, emit);
            }
            Plan::Disconnected { session } => self.disconnected(session, emit),
            Plan::AddInstrument(add) => self.add_instrument(add.0, emit),
            Plan::ChangeInstrument { instrument, change } => {
                self.change_instrument(instrument, change.0, emit);
            }
            Plan::ChangeState { instrument, to } => self.change_state(instrument, to, emit),
            Plan::SetParticipant(terms) => self.set_participant(terms, emit),
            Plan::SetSession { terms, place } => self.set_session(terms, place, emit),
            Plan::Kill { participant, place, on } => self.kill(participant, place, on, emit),
            Plan::Tick => self.tick(at, emit),
            Plan::EndDay => self.end_day(emit),
        }
    }

    /// A refused order's token is used up, if it got that far.
    fn refused(&mut self, _command: &Command, reject: &Reject, _at: &Moment) {
        let Reject::Rejected(rejected) = reject;
        if rejected.used_up != 0 {
            let key = Key::new(rejected.session, rejected.token);
            self.book.owners.tokens.add(&key, 0, NONE);
        }
    }

    fn tick() -> Option<Command> {
        Some(command::Tick.into())
    }

    #[inline]
    fn wakes_at(&self) -> Option<Nanos> {
        self.timers.first().map(Nanos)
    }

    #[inline]
    fn prefetch(&self, upcoming: &[Command]) {
        let at = |ahead: usize| upcoming.get(ahead - 1);
        let named = |command: Option<&Command>| match command {
            Some(Command::Cancel(cancel)) => Some((cancel.session, cancel.token)),
            Some(Command::Replace(replace)) => Some((replace.session, replace.old)),
            _ => None,
        };
        if let Some(Command::Enter(enter)) = at(AHEAD[0]) {
            self.tokens().prefetch(&Key::new(enter.session, enter.token));
        } else if let Some((session, token)) = named(at(AHEAD[0])) {
            self.tokens().prefetch(&Key::new(session, token));
        }
        if self.book.orders.live() < FAR {
            return;
        }
        if let Some((session, token)) = named(at(AHEAD[1]))
            && let Some(number) = self.tokens().guess(&Key::new(session, token))
        {
            prefetch(self.tokens().get(number));
        }
        if let Some(Command::Enter(enter)) = at(AHEAD[2]) {
            if let Some((ladder, rank)) = self.queue_of(enter) {
                ladder.prefetch(rank);
            }
        } else if let Some((session, token)) = named(at(AHEAD[2]))
            && let Some(slot) = self.book.owners.guess(session, token)
        {
            prefetch(self.book.orders.get(slot));
        }
        if let Some(Command::Enter(enter)) = at(AHEAD[3]) {
            if let Some((ladder, rank)) = self.queue_of(enter)
                && let Some(tail) = ladder.tail(rank)
            {
                prefetch(self.book.orders.get(tail));
            }
        } else if let Some((session, token)) = named(at(AHEAD[3]))
            && let Some(slot) = self.book.owners.guess(session, token)
        {
            self.prefetch_neighbours(slot);
        }
    }
}
