//! Raw bytes as commands of the exchange: nothing panics, and its invariants hold after each one.
//!
//! A byte says the kind, and its highest bit whether the fields that name things are brought into
//! the small world below, so that orders meet, or left as they are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringframe::exchange::Exchange;
use ringframe::exchange::command::{
    AddInstrument, ChangeState, Command, SelfTrade, SetParticipant, SetSession, State, Terms,
};
use ringframe::exchange::ids::{Symbol, Token};
use ringframe::logic::{Moment, Nanos, Outbox, Sequence, step};
use ringframe::record::Record;

fuzz_target!(|bytes: &[u8]| {
    let mut world = World::new();
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let kind = u16::from(first & 0x0F);
        let mut payload = [0; Command::BYTES_MAX];
        let own = after.len().min(Command::BYTES_MAX);
        payload[..own].copy_from_slice(&after[..own]);
        // The first length that reads is the kind's own.
        let mut read = (0..=Command::BYTES_MAX)
            .filter_map(|length| Some((length, Command::read(kind, &payload[..length])?)));
        let Some((length, mut command)) = read.next() else {
            rest = after;
            continue;
        };
        rest = &after[length.min(after.len())..];
        if first & 0x80 != 0 {
            narrow(&mut command, usize::from(first >> 4 & 1));
        }
        world.step(&command);
        world.exchange.assert_invariants();
    }
});

struct World {
    exchange: Exchange,
    outbox: Outbox<ringframe::exchange::event::Event, ringframe::exchange::reject::Reject>,
    sequence: u64,
}

const SYMBOLS: [&str; 2] = ["AAPL", "MSFT"];

impl World {
    fn new() -> Self {
        let mut world =
            Self { exchange: Exchange::default(), outbox: Outbox::default(), sequence: 0 };
        for symbol in SYMBOLS {
            let symbol = Symbol::new(symbol).expect("short enough");
            world.step(&Command::AddInstrument(AddInstrument(Terms {
                symbol,
                tick: 100,
                lot: 1,
                lowest: 100,
                highest: 100_000,
                collar: 500,
                reference: 10_000,
            })));
            for state in [State::PreOpen, State::Open] {
                world.step(&Command::ChangeState(ChangeState { symbol, state, reserved: [0; 7] }));
            }
        }
        let modes = [SelfTrade::CancelNewest, SelfTrade::CancelOldest, SelfTrade::CancelBoth];
        for (id, self_trade) in (1..).zip(modes) {
            let terms = SetParticipant { participant: id, self_trade, ..SetParticipant::default() };
            world.step(&Command::SetParticipant(terms));
            let terms = SetSession { session: id, participant: id, cancel_on_disconnect: 1 };
            world.step(&Command::SetSession(terms));
        }
        world
    }

    fn step(&mut self, command: &Command) {
        self.sequence += 1;
        let time = Nanos(self.sequence * 1_000);
        let at = Moment { sequence: Sequence(self.sequence), time };
        step(&mut self.exchange, command, &at, &mut self.outbox);
        self.outbox.clear();
    }
}

/// Names, prices and quantities from the small world.
fn narrow(command: &mut Command, seed: usize) {
    let symbol = Symbol::new(SYMBOLS[seed % SYMBOLS.len()]).expect("short enough");
    let session = |session: &mut u16| *session = *session % 3 + 1;
    let token = |token: &mut Token, from: u32| *token = Token::number(u64::from(from % 16));
    let price = |price: &mut u32| *price = (*price % 8 + 96) * 100;
    match command {
        Command::Enter(enter) => {
            enter.symbol = symbol;
            session(&mut enter.session);
            token(&mut enter.token, enter.quantity >> 16);
            if enter.price != 0 {
                price(&mut enter.price);
            }
            if enter.stop != 0 {
                price(&mut enter.stop);
            }
            enter.quantity %= 1_000;
            enter.display %= 200;
            enter.minimum %= 200;
            enter.expires %= 100_000;
        }
        Command::Replace(replace) => {
            session(&mut replace.session);
            token(&mut replace.old, replace.quantity >> 16);
            token(&mut replace.new, replace.quantity >> 20);
            price(&mut replace.price);
            replace.quantity %= 1_000;
            replace.display %= 200;
            replace.minimum = 0;
            replace.stop = 0;
        }
        Command::Cancel(cancel) => {
            session(&mut cancel.session);
            token(&mut cancel.token, cancel.quantity >> 16);
            cancel.quantity %= 500;
        }
        Command::Modify(modify) => {
            session(&mut modify.session);
            token(&mut modify.token, modify.quantity >> 16);
            modify.quantity %= 500;
        }
        Command::MassCancel(mass) => {
            session(&mut mass.session);
            mass.symbol = symbol;
        }
        Command::ChangeState(change) => change.symbol = symbol,
        Command::ChangeInstrument(change) => change.0.symbol = symbol,
        Command::Disconnected(lost) => session(&mut lost.session),
        Command::Kill(kill) => kill.participant = kill.participant % 3 + 1,
        _ => {}
    }
}
