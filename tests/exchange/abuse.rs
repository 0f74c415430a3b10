//! What nobody does on purpose, unless to see it break.

use ringframe::exchange::command::{
    AddInstrument, ChangeInstrument, ChangeState, Command, Enter, SetParticipant, SetSession,
    State, Terms,
};
use ringframe::exchange::ids::{Symbol, Token};
use ringframe::logic::{Moment, Nanos};

use crate::engine::{Engine, Real};

const TERMS: Terms = Terms {
    symbol: Symbol(*b"ABC     "),
    tick: 1,
    lot: 1,
    lowest: 1,
    highest: 4_000_000,
    collar: 0,
    reference: 0,
};

/// An open instrument, and session 1 of participant 1.
fn market(terms: Terms) -> Real {
    let mut real = Real::default();
    say(&mut real, AddInstrument(terms));
    say(&mut real, SetParticipant { participant: 1, ..SetParticipant::default() });
    say(&mut real, SetSession { session: 1, participant: 1, cancel_on_disconnect: 0 });
    for state in [State::PreOpen, State::Open] {
        say(&mut real, ChangeState { symbol: terms.symbol, state, reserved: [0; 7] });
    }
    real
}

/// Whether the exchange did it.
fn say(real: &mut Real, command: impl Into<Command>) -> bool {
    let at = Moment { time: Nanos(Nanos::SECOND), ..Moment::default() };
    real.step(&command.into(), &at).iter().all(Result::is_ok)
}

fn bid(number: u64, price: u32) -> Enter {
    let token = Token::number(number);
    Enter { symbol: TERMS.symbol, token, session: 1, price, quantity: 1, ..Enter::default() }
}

/// An index of all prices between orders that a changing range left far apart took half a gigabyte
/// a side.
#[test]
fn orders_far_apart_take_no_memory_between_them() {
    let mut real = market(TERMS);
    for (number, lowest) in (1..).zip((1..1_900_000_000).step_by(100_000_000)) {
        let terms = Terms { lowest, highest: lowest + 4_000_000, ..TERMS };
        say(&mut real, ChangeInstrument(terms));
        say(&mut real, bid(number, lowest));
    }
    let bytes = real.logic.bytes();
    assert!(bytes < 32 << 20, "a few orders take {bytes} bytes");
}
