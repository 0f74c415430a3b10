//! A naive exchange, written from `docs/EXCHANGE.md` alone: plain lists that are scanned, nothing
//! remembered that can be counted. What it says is right; the real one only says it faster.

use std::collections::{BTreeMap, BTreeSet};

use ringframe::exchange::command::{
    ChangeState, Command, Disconnected, Enter, Kill, MassCancel, SelfTrade, SetParticipant,
    SetSession, Sides, State, Terms,
};
use ringframe::exchange::event::{
    DayEnded, Event, InstrumentAdded, InstrumentChanged, Killed, MassCanceled, ParticipantSet,
    Reason, SessionSet, StateChanged, Venue,
};
use ringframe::exchange::ids::{Symbol, Token};
use ringframe::exchange::reject::{Reject, Rejected, Why};
use ringframe::logic::Moment;

use order::{Order, Standing};

mod auction;
mod entry;
mod limits;
mod order;
mod reduce;
mod trading;

/// What an engine says to a command, in order.
pub(crate) type Outcome = Result<Event, Reject>;

pub(crate) const QUANTITY_MAX: u32 = 999_999_999;
const PRICE_MAX: u32 = 1_999_999_900;
const TICKS_MAX: u32 = 1 << 22;
const INSTRUMENTS_MAX: usize = 65_535;

#[derive(Default)]
pub(crate) struct Naive {
    /// By id.
    instruments: Vec<Instrument>,
    ids: BTreeMap<Symbol, u16>,
    participants: BTreeMap<u16, Participant>,
    sessions: BTreeMap<u16, SetSession>,
    /// The tokens used up today.
    used: BTreeSet<(u16, Token)>,
    /// The live orders, by number.
    orders: Vec<Order>,
    /// Bought less sold, by participant and instrument.
    positions: BTreeMap<(u16, u16), i64>,
    /// How many trades there were.
    matches: u64,
    /// How many times an order took its place in a queue.
    places: u64,
    /// What this command says.
    out: Vec<Outcome>,
}

pub(crate) struct Instrument {
    pub(crate) terms: Terms,
    pub(crate) state: State,
    /// Whether the auction that is collected follows a halt.
    after_halt: bool,
    last_trade: u32,
    /// All ranges that it had since it was last closed.
    ranges: Vec<(u32, u32)>,
}

impl Instrument {
    /// 0 for none.
    pub(crate) fn reference(&self) -> u32 {
        if self.last_trade != 0 { self.last_trade } else { self.terms.reference }
    }
}

#[derive(Default)]
struct Participant {
    set: SetParticipant,
    killed: bool,
    /// When the next entry is due, if all come evenly.
    arrival: u128,
}

/// Why not, and whether that uses the token up.
struct Refusal {
    why: Why,
    used_up: bool,
}

impl From<Why> for Refusal {
    fn from(why: Why) -> Self {
        Self { why, used_up: false }
    }
}

impl Naive {
    pub(crate) fn step(&mut self, command: &Command, at: &Moment) -> Vec<Outcome> {
        if let Err(Refusal { why, used_up }) = self.run(command, at.time.0) {
            let (token, session) = asker(command);
            let reject = Rejected { token, session, why, used_up: u8::from(used_up) };
            self.out.push(Err(reject.into()));
        }
        std::mem::take(&mut self.out)
    }

    /// All live orders, by number.
    pub(crate) fn orders(&self) -> &[Order] {
        &self.orders
    }

    pub(crate) fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    fn run(&mut self, command: &Command, now: u64) -> Result<(), Refusal> {
        match command {
            Command::Enter(enter) => self.enter(enter, now)?,
            Command::Replace(replace) => self.replace(replace, now)?,
            Command::Cancel(cancel) => self.cancel(cancel)?,
            Command::Modify(modify) => self.modify(modify)?,
            Command::MassCancel(mass) => self.mass_cancel(mass)?,
            Command::Disconnected(disconnected) => self.disconnected(*disconnected)?,
            Command::AddInstrument(add) => self.add_instrument(&add.0)?,
            Command::ChangeInstrument(change) => self.change_instrument(&change.0)?,
            Command::ChangeState(change) => self.change_state(change)?,
            Command::SetParticipant(set) => {
                self.participants.entry(set.participant).or_default().set = *set;
                self.say(ParticipantSet(*set));
            }
            Command::SetSession(set) => self.set_session(*set)?,
            Command::Kill(kill) => self.kill(*kill)?,
            Command::Tick(_) => self.tick(now),
            Command::EndDay(_) => self.end_day()?,
        }
        Ok(())
    }

    fn say(&mut self, event: impl Into<Event>) {
        self.out.push(Ok(event.into()));
    }

    // ---- section 12: instruments, participants, sessions ----

    fn find(&self, symbol: Symbol) -> Result<u16, Why> {
        self.ids.get(&symbol).copied().ok_or(Why::UnknownInstrument)
    }

    fn instrument(&self, id: u16) -> &Instrument {
        &self.instruments[usize::from(id)]
    }

    fn add_instrument(&mut self, terms: &Terms) -> Result<(), Why> {
        if self.ids.contains_key(&terms.symbol) {
            return Err(Why::InstrumentExists);
        }
        if self.instruments.len() == INSTRUMENTS_MAX {
            return Err(Why::TooMany);
        }
        check_terms(terms)?;
        let id = self.instruments.len() as u16;
        let state = State::Closed;
        self.ids.insert(terms.symbol, id);
        self.instruments.push(Instrument {
            terms: *terms,
            state,
            after_halt: false,
            last_trade: 0,
            ranges: vec![(terms.lowest, terms.highest)],
        });
        self.say(InstrumentAdded { terms: *terms, instrument: id.into() });
        Ok(())
    }

    fn change_instrument(&mut self, terms: &Terms) -> Result<(), Why> {
        let id = self.find(terms.symbol)?;
        check_terms(terms)?;
        let instrument = &mut self.instruments[usize::from(id)];
        let same = (instrument.terms.tick, instrument.terms.lot) == (terms.tick, terms.lot);
        if instrument.state == State::Closed {
            instrument.ranges.clear();
        }
        instrument.ranges.push((terms.lowest, terms.highest));
        let lowest = instrument.ranges.iter().map(|range| range.0).min().unwrap_or(0);
        let highest = instrument.ranges.iter().map(|range| range.1).max().unwrap_or(0);
        let far = (highest - lowest) / terms.tick > TICKS_MAX;
        if instrument.state != State::Closed && (!same || far) {
            instrument.ranges.pop();
            return Err(Why::NotClosed);
        }
        instrument.terms = *terms;
        self.say(InstrumentChanged { terms: *terms, instrument: id.into() });
        Ok(())
    }

    fn set_session(&mut self, set: SetSession) -> Result<(), Why> {
        if !self.participants.contains_key(&set.participant) {
            return Err(Why::UnknownParticipant);
        }
        let owner = self.sessions.get(&set.session).map(|session| session.participant);
        if owner.is_some_and(|owner| owner != set.participant) {
            return Err(Why::SessionOfAnother);
        }
        self.sessions.insert(set.session, set);
        self.say(SessionSet { terms: set, is_new: u32::from(owner.is_none()) });
        Ok(())
    }

    fn session(&self, session: u16) -> Result<&SetSession, Why> {
        self.sessions.get(&session).ok_or(Why::UnknownSession)
    }

    fn self_trade(&self, participant: u16) -> SelfTrade {
        self.participants[&participant].set.self_trade
    }

    // ---- section 3: states ----

    fn change_state(&mut self, change: &ChangeState) -> Result<(), Why> {
        let id = self.find(change.symbol)?;
        let (from, to) = (self.instrument(id).state, change.state);
        let allowed = matches!(
            (from, to),
            (State::Closed | State::Halted, State::PreOpen)
                | (State::PreOpen | State::Halted, State::Open)
                | (State::Open, State::Halted | State::PreClose)
                | (State::PreOpen | State::Open | State::Halted | State::PreClose, State::Closed)
        );
        if !allowed {
            return Err(Why::InvalidTransition);
        }
        self.say(StateChanged { symbol: change.symbol, instrument: id, from, to, reserved: 0 });
        let instrument = &mut self.instruments[usize::from(id)];
        instrument.state = to;
        if to == State::Closed {
            instrument.ranges = vec![(instrument.terms.lowest, instrument.terms.highest)];
        }
        if to == State::PreOpen {
            instrument.after_halt = from == State::Halted;
        }
        match (from, to) {
            (State::PreOpen, State::Open) => {
                let halt = self.instrument(id).after_halt;
                let prices = self.uncross(id, if halt { Venue::Halt } else { Venue::Opening });
                let markets = |order: &Order| order.standing == Standing::Book && order.is_market();
                self.cancel_all(Reason::Cross, |order| order.instrument == id && markets(order));
                let elected = self.elect(id, &prices);
                self.trigger(elected);
            }
            (State::PreClose, State::Closed) => {
                self.uncross(id, Venue::Closing);
            }
            _ => {}
        }
        if to == State::Closed {
            self.cancel_all(Reason::Closed, |order| order.instrument == id);
        }
        Ok(())
    }

    // ---- sections 8 and 11: many orders at once ----

    fn mass_cancel(&mut self, mass: &MassCancel) -> Result<(), Why> {
        self.session(mass.session)?;
        let instrument = match mass.symbol {
            Symbol::BLANK => None,
            symbol => Some(self.find(symbol)?),
        };
        let count = self.cancel_all(Reason::Mass, |order| {
            order.session == mass.session
                && instrument.is_none_or(|id| id == order.instrument)
                && match mass.sides {
                    Sides::Both => true,
                    Sides::Buy => order.is_buy(),
                    Sides::Sell => !order.is_buy(),
                }
        });
        self.say(MassCanceled { session: mass.session, reserved: 0, count });
        Ok(())
    }

    fn disconnected(&mut self, disconnected: Disconnected) -> Result<(), Why> {
        let session = disconnected.session;
        let cancels = self.session(session)?.cancel_on_disconnect != 0;
        let count =
            self.cancel_all(Reason::Disconnect, |order| cancels && order.session == session);
        self.say(MassCanceled { session, reserved: 0, count });
        Ok(())
    }

    fn kill(&mut self, kill: Kill) -> Result<(), Why> {
        let Kill { participant, on } = kill;
        let killed = on != 0;
        self.participants.get_mut(&participant).ok_or(Why::UnknownParticipant)?.killed = killed;
        self.say(Killed { participant, on: u16::from(killed) });
        if killed {
            self.cancel_all(Reason::Supervisory, |order| order.participant == participant);
        }
        Ok(())
    }

    /// Cancels what is wanted, in the order of numbers, and says how many that were.
    fn cancel_all(&mut self, reason: Reason, wanted: impl Fn(&Order) -> bool) -> u32 {
        let numbers = self.numbers(wanted);
        for &number in &numbers {
            self.cancel_whole(number, reason);
        }
        numbers.len() as u32
    }

    fn numbers(&self, wanted: impl Fn(&Order) -> bool) -> Vec<u64> {
        self.orders.iter().filter(|order| wanted(order)).map(|order| order.number).collect()
    }

    fn tick(&mut self, now: u64) {
        let mut ended = self.numbers(|order| order.is_good_till() && order.expires <= now);
        ended.sort_by_key(|number| (self.order(*number).expires, *number));
        for number in ended {
            self.cancel_whole(number, Reason::Timeout);
        }
    }

    fn end_day(&mut self) -> Result<(), Why> {
        if self.instruments.iter().any(|instrument| instrument.state != State::Closed) {
            return Err(Why::NotClosed);
        }
        self.say(DayEnded { tokens: self.used.len() as u64 });
        self.used.clear();
        Ok(())
    }
}

/// What a refusal calls the order and who asked.
fn asker(command: &Command) -> (Token, u16) {
    match command {
        Command::Enter(Enter { token, session, .. }) => (*token, *session),
        Command::Replace(replace) => (replace.new, replace.session),
        Command::Cancel(cancel) => (cancel.token, cancel.session),
        Command::Modify(modify) => (modify.token, modify.session),
        Command::MassCancel(mass) => (Token::default(), mass.session),
        Command::Disconnected(disconnected) => (Token::default(), disconnected.session),
        _ => (Token::default(), 0),
    }
}

fn check_terms(terms: &Terms) -> Result<(), Why> {
    let Terms { symbol, tick, lot, lowest, highest, reference, .. } = *terms;
    let good = tick != 0
        && lot != 0
        && lowest != 0
        && lowest % tick == 0
        && lowest <= highest
        && highest <= PRICE_MAX
        && highest % tick == 0
        && (highest - lowest) / tick <= TICKS_MAX
        && symbol != Symbol::BLANK
        && reference % tick == 0
        && reference <= PRICE_MAX;
    if good { Ok(()) } else { Err(Why::InvalidInstrument) }
}
