//! Random commands of every kind, the same for the same seed. Prices lie in a narrow range, so that
//! things trade; limits are small, so that they bind; about one command in twenty is careless, so
//! that every refusal happens.

use fastrand::Rng;
use ringframe::exchange::command::{
    AddInstrument, Cancel, ChangeInstrument, ChangeState, Command, Disconnected, EndDay, Enter,
    Handling, Kill, Lifetime, MassCancel, Modify, Pricing, Replace, SelfTrade, SetParticipant,
    SetSession, Sides, State, Terms, Tick,
};
use ringframe::exchange::ids::{Side, Symbol, Token};
use ringframe::logic::{Moment, Nanos, Sequence};

use crate::script::command::read_name;

/// What a command is about before anything is known of it: symbol, tick, lot, lowest, highest.
const INSTRUMENTS: [(&str, u32, u32, u32, u32); 3] =
    [("ABC", 1, 1, 40, 60), ("XYZ", 5, 10, 50, 150), ("QQQ", 1, 1, 1, 30)];
const PARTICIPANTS: u16 = 5;
const SESSIONS: u16 = 8;
/// How many of the last tokens are canceled, modified and replaced.
const REMEMBERED: usize = 80;

/// An order that may be live still.
#[derive(Clone, Copy, Default)]
struct Sent {
    session: u16,
    token: Token,
    instrument: usize,
    market: bool,
    stop: bool,
}

/// The commands of one market, endless.
pub(crate) struct Commands {
    rng: Rng,
    at: Moment,
    states: [State; INSTRUMENTS.len()],
    sent: Vec<Sent>,
    tokens: u32,
    /// What comes before anything else, last first.
    first: Vec<Command>,
}

impl Iterator for Commands {
    type Item = (Command, Moment);

    fn next(&mut self) -> Option<Self::Item> {
        self.at.sequence = Sequence(self.at.sequence.0 + 1);
        self.at.time = self.at.time.after(self.rng.u64(0..20_000_000));
        let command = self.first.pop().unwrap_or_else(|| self.any());
        if let Command::ChangeState(change) = &command {
            self.follow(change);
        }
        Some((command, self.at))
    }
}

impl Commands {
    pub(crate) fn new(seed: u64) -> Self {
        let mut commands = Self {
            rng: Rng::with_seed(seed),
            at: Moment { time: Nanos(Nanos::SECOND), ..Moment::default() },
            states: [State::Closed; INSTRUMENTS.len()],
            sent: vec![Sent { session: 1, ..Sent::default() }],
            tokens: 0,
            first: Vec::new(),
        };
        let mut first: Vec<Command> = Vec::new();
        for instrument in 0..INSTRUMENTS.len() {
            first.push(AddInstrument(commands.terms(instrument)).into());
            for state in [State::PreOpen, State::Open] {
                first.push(change_state(instrument, state));
            }
        }
        first.extend((1..=PARTICIPANTS).map(|number| Command::from(commands.participant(number))));
        first.extend((1..=SESSIONS).map(|number| Command::from(commands.session(number))));
        commands.first = first.into_iter().rev().collect();
        commands
    }

    /// Once in `n` times.
    fn once_in(&mut self, n: u32) -> bool {
        self.rng.u32(0..n) == 0
    }

    fn any(&mut self) -> Command {
        let instrument = self.rng.usize(0..INSTRUMENTS.len());
        let patience = match self.states[instrument] {
            State::Closed | State::Halted => 8,
            State::PreOpen | State::PreClose => 40,
            State::Open => 300,
        };
        if self.once_in(patience) {
            return self.state(instrument);
        }
        match self.rng.u32(0..1000) {
            0..600 => self.enter().into(),
            600..730 => self.cancel(),
            730..790 => self.modify(),
            790..920 => self.replace(),
            920..935 => self.mass_cancel().into(),
            935..940 => Disconnected { session: self.rng.u16(1..=SESSIONS + 1) }.into(),
            940..955 => self.change_instrument(instrument),
            955..968 => {
                let number = self.rng.u16(1..=PARTICIPANTS);
                self.participant(number).into()
            }
            968..973 => {
                let number = self.rng.u16(1..=SESSIONS + 1);
                self.session(number).into()
            }
            973..976 => self.kill(),
            976..995 => Tick.into(),
            995..998 => self.end_day(),
            _ => self.add_instrument(instrument),
        }
    }

    fn follow(&mut self, change: &ChangeState) {
        let is_it = |row: &(&str, u32, u32, u32, u32)| Symbol::new(row.0) == Some(change.symbol);
        if let Some(instrument) = INSTRUMENTS.iter().position(is_it) {
            self.states[instrument] = change.state;
        }
    }

    /// Mostly to a state that may come next.
    fn state(&mut self, instrument: usize) -> Command {
        use State::{Closed, Halted, Open, PreClose, PreOpen};
        let next: &[State] = match self.states[instrument] {
            Closed => &[PreOpen],
            PreOpen => &[Open, Open, Open, Closed],
            Open => &[Halted, Halted, PreClose, PreClose, Closed],
            Halted => &[Open, PreOpen, PreOpen, Closed],
            PreClose => &[Closed],
        };
        if self.once_in(30) {
            // It may be refused: then `follow` is wrong until the next change, which is no harm.
            let all = [Closed, PreOpen, Open, Halted, PreClose];
            return change_state(instrument, all[self.rng.usize(0..all.len())]);
        }
        change_state(instrument, next[self.rng.usize(0..next.len())])
    }

    fn terms(&mut self, instrument: usize) -> Terms {
        let (name, tick, lot, lowest, highest) = INSTRUMENTS[instrument];
        let middle = lowest.midpoint(highest) / tick * tick;
        Terms {
            symbol: Symbol::new(name).expect("it is short"),
            tick,
            lot,
            lowest: if self.once_in(6) { lowest + tick } else { lowest },
            highest: if self.once_in(6) { highest - tick } else { highest },
            collar: if self.once_in(2) { tick * self.rng.u32(2..8) } else { 0 },
            reference: if self.once_in(3) { 0 } else { middle },
        }
    }

    fn change_instrument(&mut self, instrument: usize) -> Command {
        let mut terms = self.terms(instrument);
        match self.rng.u32(0..12) {
            0 => terms.tick = self.rng.u32(0..3),
            1 => terms.lot = self.rng.u32(0..3),
            2 => terms.symbol = Symbol::BLANK,
            3 => terms.highest = terms.lowest - 1,
            4 => terms.reference = self.rng.u32(..),
            5 => terms.lowest = terms.lowest.midpoint(terms.highest) / terms.tick * terms.tick,
            6 => terms.highest = terms.lowest.midpoint(terms.highest) / terms.tick * terms.tick,
            _ => {}
        }
        ChangeInstrument(terms).into()
    }

    fn add_instrument(&mut self, instrument: usize) -> Command {
        let mut terms = self.terms(instrument);
        if self.once_in(2) {
            terms.symbol = Symbol::new(&format!("N{}", self.tokens)).expect("it is short");
            terms.tick = self.rng.u32(0..3);
        }
        AddInstrument(terms).into()
    }

    fn participant(&mut self, participant: u16) -> SetParticipant {
        let modes = [
            SelfTrade::Allow,
            SelfTrade::CancelNewest,
            SelfTrade::CancelOldest,
            SelfTrade::CancelBoth,
        ];
        let mut set = SetParticipant {
            participant,
            self_trade: modes[self.rng.usize(0..modes.len())],
            ..SetParticipant::default()
        };
        // Most have few limits, so that most of their orders come through.
        if self.once_in(8) {
            set.quantity_max = self.rng.u32(20..100);
        }
        if self.once_in(8) {
            set.notional_max = self.rng.u64(1000..10_000);
        }
        if self.once_in(4) {
            set.open_orders_max = self.rng.u32(3..20);
        }
        if self.once_in(4) {
            set.position_max = self.rng.u64(100..1000);
        }
        if self.once_in(4) {
            (set.rate, set.burst) = (self.rng.u32(5..40), self.rng.u32(0..4));
        }
        set
    }

    fn session(&mut self, session: u16) -> SetSession {
        let usual = (session - 1) % PARTICIPANTS + 1;
        let other = self.once_in(20);
        let participant = if other { self.rng.u16(1..=PARTICIPANTS + 1) } else { usual };
        SetSession { session, participant, cancel_on_disconnect: self.rng.u32(0..2) }
    }

    fn kill(&mut self) -> Command {
        let unknown = u16::from(self.once_in(10));
        let participant = self.rng.u16(1..=PARTICIPANTS + unknown);
        // It goes on soon, or there is nobody left.
        let soon = Kill { participant, on: 0 };
        self.first.push(soon.into());
        for _ in 0..self.rng.u32(0..20) {
            let enter = self.enter().into();
            self.first.push(enter);
        }
        Kill { participant, on: 1 }.into()
    }

    fn end_day(&mut self) -> Command {
        if !self.once_in(4) {
            self.first.push(EndDay.into());
            for instrument in 0..INSTRUMENTS.len() {
                self.first.push(change_state(instrument, State::Closed));
            }
        }
        EndDay.into()
    }

    fn mass_cancel(&mut self) -> MassCancel {
        let sides = [Sides::Both, Sides::Buy, Sides::Sell];
        let names = ["", "ABC", "XYZ", "QQQ", "NONE"];
        MassCancel {
            symbol: Symbol::new(names[self.rng.usize(0..names.len())]).expect("it is short"),
            session: self.rng.u16(1..=SESSIONS + 1),
            sides: sides[self.rng.usize(0..sides.len())],
            ..MassCancel::default()
        }
    }

    fn recent(&mut self) -> Sent {
        self.sent[self.rng.usize(0..self.sent.len())]
    }

    fn cancel(&mut self) -> Command {
        let Sent { session, token, .. } = self.recent();
        let quantity = if self.once_in(2) { 0 } else { self.rng.u32(0..200) };
        Cancel { token, quantity, session, reserved: 0 }.into()
    }

    fn modify(&mut self) -> Command {
        let Sent { session, token, .. } = self.recent();
        let (quantity, side) = (self.rng.u32(0..150), self.side());
        Modify { token, quantity, session, side, reserved: 0 }.into()
    }

    fn side(&mut self) -> Side {
        [Side::Buy, Side::Buy, Side::Buy, Side::Sell, Side::Short, Side::ShortExempt]
            [self.rng.usize(0..6)]
    }

    /// Mostly a new one, of this session.
    fn token(&mut self, session: u16) -> Token {
        if self.once_in(50) {
            return self.recent().token;
        }
        self.tokens += 1;
        let letter = char::from(b'A' + session as u8 - 1);
        let bad = if self.once_in(200) { "~" } else { "" };
        read_name(&format!("{bad}{letter}{}", self.tokens)).expect("it is a name").1
    }

    fn enter(&mut self) -> Enter {
        let session = self.rng.u16(1..=SESSIONS);
        let instrument = self.rng.usize(0..INSTRUMENTS.len());
        let mut enter = Enter {
            session: if self.once_in(200) { 20 } else { session },
            token: self.token(session),
            side: self.side(),
            ..self.order(instrument)
        };
        if self.once_in(200) {
            enter.symbol = Symbol::new("NONE").expect("it is short");
        }
        let (market, stop) = (enter.pricing == Pricing::Market, enter.stop != 0);
        self.remember(Sent { session, token: enter.token, instrument, market, stop });
        enter
    }

    fn remember(&mut self, sent: Sent) {
        if self.sent.len() == REMEMBERED {
            let place = self.rng.usize(0..REMEMBERED);
            self.sent[place] = sent;
        } else {
            self.sent.push(sent);
        }
    }

    fn replace(&mut self) -> Command {
        let old = self.recent();
        let order = self.order(old.instrument);
        let token = self.token(old.session);
        let careless = self.once_in(20);
        self.remember(Sent { token, ..old });
        let stop = if old.stop || careless { order.stop } else { 0 };
        let plain = old.market && !careless;
        Replace {
            expires: order.expires,
            old: old.token,
            new: token,
            session: old.session,
            marks: order.marks,
            marks_kept: self.rng.u16(0..8),
            lifetime: order.lifetime,
            handling: if plain { Handling::Displayed } else { order.handling },
            price: if plain {
                0
            } else if order.price == 0 {
                self.price(old.instrument)
            } else {
                order.price
            },
            quantity: if self.once_in(100) { u32::MAX } else { order.quantity },
            display: if plain { 0 } else { order.display },
            minimum: order.minimum,
            stop,
            reserved: 0,
        }
        .into()
    }

    /// Around the middle of the range.
    fn price(&mut self, instrument: usize) -> u32 {
        let (_, tick, _, lowest, highest) = INSTRUMENTS[instrument];
        let ticks = (highest - lowest) / tick;
        let place = self.rng.u32(0..=ticks) + self.rng.u32(0..=ticks) + self.rng.u32(0..=ticks);
        lowest + place / 3 * tick
    }

    /// All of an order but whose and which side.
    fn order(&mut self, instrument: usize) -> Enter {
        let (name, tick, lot, ..) = INSTRUMENTS[instrument];
        let lots = self.rng.u32(1..12);
        let mut order = Enter {
            symbol: Symbol::new(name).expect("it is short"),
            marks: self.rng.u16(0..8),
            price: self.price(instrument),
            quantity: lots * lot,
            ..Enter::default()
        };
        if self.once_in(8) {
            (order.pricing, order.price) = (Pricing::Market, 0);
        } else {
            match self.rng.u32(0..10) {
                0..2 => order.handling = Handling::Hidden,
                2 => order.handling = Handling::PostOnly,
                3..5 => order.display = lot * self.rng.u32(0..lots),
                _ => {}
            }
        }
        match self.rng.u32(0..20) {
            0..3 if order.pricing == Pricing::Limit => order.lifetime = Lifetime::Immediate,
            3..5 => order.lifetime = Lifetime::AllOrNothing,
            5..8 => order.lifetime = Lifetime::GoodTill,
            8..10 => {
                order.lifetime = Lifetime::Immediate;
                order.minimum = lot * self.rng.u32(1..=lots);
            }
            10..13 if order.handling != Handling::PostOnly => order.stop = self.price(instrument),
            _ => {}
        }
        if order.lifetime == Lifetime::GoodTill {
            order.expires = self.at.time.0 + self.rng.u64(1..Nanos::SECOND);
        }
        let collecting = matches!(self.states[instrument], State::PreOpen | State::PreClose);
        if collecting && !self.once_in(10) {
            let waits = order.lifetime == Lifetime::GoodTill;
            order.lifetime = if waits { Lifetime::GoodTill } else { Lifetime::Day };
            order.minimum = 0;
            if order.handling == Handling::PostOnly {
                order.handling = Handling::Displayed;
            }
        }
        if self.once_in(20) {
            self.spoil(&mut order, tick);
        }
        order
    }

    /// One thing wrong, probably.
    fn spoil(&mut self, order: &mut Enter, tick: u32) {
        match self.rng.u32(0..14) {
            0 => order.price += tick / 2 + 1,
            1 => order.price = 0,
            2 => order.price = u32::MAX,
            3 => order.quantity = 0,
            4 => order.quantity += 1,
            5 => order.quantity = 1_000_000_000,
            6 => order.display = order.quantity,
            7 => order.handling = Handling::Hidden,
            8 => order.expires = self.at.time.0,
            9 => order.minimum = order.quantity + 1,
            10 => order.minimum = 1,
            11 => order.stop = tick / 2 + 1,
            12 => order.handling = Handling::PostOnly,
            _ => order.lifetime = Lifetime::AllOrNothing,
        }
    }
}

fn change_state(instrument: usize, state: State) -> Command {
    let symbol = Symbol::new(INSTRUMENTS[instrument].0).expect("it is short");
    ChangeState { symbol, state, reserved: [0; 7] }.into()
}
