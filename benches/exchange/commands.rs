//! A flow in the exchange's words: sixteen participants with limits, a session each, eight for buys
//! and eight for sells, so that nobody meets itself although self-trade prevention is on.

use loadgen::flow::{Flow, NANOS, Op, START, Side, TICK, TICKS};
use ringframe::exchange::Exchange;
use ringframe::exchange::command::{
    AddInstrument, Cancel, ChangeState, Command, Enter, Lifetime, Replace, SelfTrade,
    SetParticipant, SetSession, State, Terms,
};
use ringframe::exchange::event::Event;
use ringframe::exchange::ids::{Side as OrderSide, Symbol, Token};
use ringframe::exchange::reject::Reject;
use ringframe::logic::{Moment, Nanos, Outbox, Sequence, step};

const SESSIONS: u32 = 16;
/// 2026-01-02, 14:30 UTC.
const OPENING: u64 = 1_767_364_200 * Nanos::SECOND;

/// An exchange, its outbox, and how many commands it had.
#[derive(Default)]
pub(crate) struct Market {
    pub(crate) exchange: Exchange,
    pub(crate) outbox: Outbox<Event, Reject>,
    commands: u64,
}

impl Market {
    /// Instruments are open, participants and sessions are there, the books are filled.
    pub(crate) fn ready(flow: &Flow, translator: &mut Translator) -> Self {
        let mut market = Self::default();
        for command in opening(flow.instruments) {
            market.step(&command);
            for outcome in market.outbox.outcomes() {
                assert!(outcome.is_ok(), "{command:?}: {outcome:?}");
            }
            market.outbox.clear();
        }
        for op in &flow.setup {
            market.step(&translator.command(op));
            market.outbox.clear();
        }
        market
    }

    #[inline]
    pub(crate) fn step(&mut self, command: &Command) {
        self.commands += 1;
        let time = Nanos(OPENING + self.commands * NANOS);
        let at = Moment { sequence: Sequence(self.commands), time };
        step(&mut self.exchange, command, &at, &mut self.outbox);
    }
}

pub(crate) fn opening(instruments: u16) -> Vec<Command> {
    let mut commands = Vec::new();
    for number in 0..SESSIONS as u16 {
        let participant = SetParticipant {
            notional_max: 1_000_000_000_000,
            position_max: 1_000_000_000_000,
            quantity_max: 1_000_000,
            open_orders_max: 100_000_000,
            rate: 10_000_000,
            burst: 1_000,
            participant: number,
            self_trade: SelfTrade::CancelNewest,
            reserved: [0; 5],
        };
        commands.push(participant.into());
        let session = SetSession { session: number, participant: number, cancel_on_disconnect: 0 };
        commands.push(session.into());
    }
    for instrument in 0..instruments {
        let symbol = symbol(instrument);
        commands.push(Command::AddInstrument(AddInstrument(Terms {
            symbol,
            tick: TICK,
            lot: 1,
            lowest: TICK,
            highest: TICK * (TICKS - 1),
            collar: START * TICK / 2,
            reference: START * TICK,
        })));
        for state in [State::PreOpen, State::Open] {
            commands.push(ChangeState { symbol, state, reserved: [0; 7] }.into());
        }
    }
    commands
}

fn symbol(instrument: u16) -> Symbol {
    Symbol::new(&format!("SYM{instrument}")).expect("up to eight letters")
}

/// Knows whose order each is; commands come out in the flow's order.
pub(crate) struct Translator {
    symbols: Vec<Symbol>,
    sessions: Vec<u16>,
}

impl Translator {
    pub(crate) fn new(flow: &Flow) -> Self {
        let symbols = (0..flow.instruments).map(symbol).collect();
        Self { symbols, sessions: Vec::with_capacity(flow.orders() as usize) }
    }

    pub(crate) fn command(&mut self, op: &Op) -> Command {
        match *op {
            Op::Add { id, instrument, side, price, quantity, immediate } => {
                let (first, side) = match side {
                    Side::Buy => (0, OrderSide::Buy),
                    Side::Sell => (SESSIONS / 2, OrderSide::Sell),
                };
                let session = (first + id % (SESSIONS / 2)) as u16;
                self.sessions.push(session);
                let lifetime = if immediate { Lifetime::Immediate } else { Lifetime::Day };
                let (symbol, token) = (self.symbols[usize::from(instrument)], token(id));
                Enter {
                    symbol,
                    token,
                    session,
                    price,
                    quantity,
                    side,
                    lifetime,
                    ..Enter::default()
                }
                .into()
            }
            Op::Cancel { id } => {
                let session = self.sessions[id as usize];
                Cancel { token: token(id), quantity: 0, session, reserved: 0 }.into()
            }
            Op::Replace { old, new, price, quantity } => {
                let session = self.sessions[old as usize];
                self.sessions.push(session);
                let (old, new) = (token(old), token(new));
                Replace { old, new, session, price, quantity, ..Replace::default() }.into()
            }
        }
    }
}

/// The number of the flow's order is its token.
fn token(id: u32) -> Token {
    Token::number(u64::from(id))
}
