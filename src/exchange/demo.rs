//! The exchange that a newcomer meets: three well-known names, a hundred invented ones, and a
//! participant with a session of the same number for each demo user.

use super::command::{
    AddInstrument, ChangeState, Command, SelfTrade, SetParticipant, SetSession, State, Terms,
};
use super::ids::Symbol;

/// The users TRDR01 to TRDR99.
pub const USERS: u16 = 99;
const INVENTED: u16 = 100;
/// A cent: prices are in ten-thousandths of a dollar.
const TICK: u32 = 100;
/// A thousand dollars.
const HIGHEST: u32 = 10_000_000;
/// Symbols and their reference prices.
const KNOWN: [(&str, u32); 3] = [("AAPL", 2_300_000), ("MSFT", 4_200_000), ("NVDA", 1_400_000)];

/// The commands after which a demo user may trade: a participant with wide limits, and a session of
/// the same number.
pub fn admit(user: u16) -> [Command; 2] {
    let participant = SetParticipant {
        notional_max: 1_000_000_000_000_000,
        position_max: 1_000_000_000,
        quantity_max: 1_000_000,
        open_orders_max: 1_000_000,
        rate: 1_000_000,
        burst: 100_000,
        participant: user,
        self_trade: SelfTrade::CancelNewest,
        reserved: [0; 5],
    };
    let session = SetSession { session: user, participant: user, cancel_on_disconnect: 0 };
    [participant.into(), session.into()]
}

/// The commands that make it, for an empty journal.
pub fn opening() -> Vec<Command> {
    let mut commands = Vec::new();
    commands.extend((1..=USERS).flat_map(admit));
    let known = KNOWN.map(|(symbol, reference)| (symbol.to_owned(), reference));
    let invented = (0..INVENTED).map(|number| {
        let reference = 100_000 + u32::from(number) * 20_000;
        (format!("SYN{number:03}"), reference)
    });
    for (symbol, reference) in known.into_iter().chain(invented) {
        let symbol = Symbol::new(&symbol).expect("up to eight letters and digits");
        commands.push(Command::AddInstrument(AddInstrument(Terms {
            symbol,
            tick: TICK,
            lot: 1,
            lowest: TICK,
            highest: HIGHEST,
            collar: reference / 2 / TICK * TICK,
            reference,
        })));
        for state in [State::PreOpen, State::Open] {
            commands.push(ChangeState { symbol, state, reserved: [0; 7] }.into());
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Exchange;
    use crate::logic::{Moment, Nanos, Outbox, Sequence, step};

    #[test]
    fn nothing_of_it_is_refused() {
        let mut exchange = Exchange::default();
        let mut outbox = Outbox::default();
        for (sequence, command) in (1..).zip(opening()) {
            let at = Moment { sequence: Sequence(sequence), time: Nanos(sequence) };
            step(&mut exchange, &command, &at, &mut outbox);
        }
        assert!(outbox.outcomes().all(|outcome| outcome.is_ok()));
    }
}
