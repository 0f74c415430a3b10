//! The exchange's steady state allocates nothing: what a day needs is taken before it begins.

use commands::{Market, Translator};
use loadgen::flow::{Equity, Flow, Mix, Regime};
use ringframe::exchange::Exchange;
use ringframe::exchange::command::Command;
use ringframe::logic::Logic;

#[path = "../benches/exchange/commands.rs"]
mod commands;

#[allow(dead_code, reason = "others count page faults, too")]
mod counting;

const BATCH: usize = 32;

/// Allocations of the second half of a flow; the first half is the warm-up.
fn allocations(flow: &Flow) -> u64 {
    let mut translator = Translator::new(flow);
    let mut market = Market::ready(flow, &mut translator);
    market.exchange.reserve(2 * flow.setup.len() + BATCH, flow.orders() as usize);
    let commands: Vec<Command> = flow.ops.iter().map(|op| translator.command(op)).collect();
    let (warm_up, steady) = commands.split_at(commands.len() / 2);
    play(&mut market, warm_up);
    let before = counting::allocations();
    play(&mut market, steady);
    counting::allocations() - before
}

fn play(market: &mut Market, commands: &[Command]) {
    for (place, command) in commands.iter().enumerate() {
        let upcoming = &commands[place + 1..];
        market.exchange.prefetch(&upcoming[..upcoming.len().min(Exchange::LOOKAHEAD)]);
        market.step(command);
        if place % BATCH == 0 {
            assert!(!market.outbox.is_empty(), "a command has an outcome");
            market.outbox.clear();
        }
    }
}

#[test]
fn the_mixes_allocate_nothing() {
    for mix in Mix::ALL {
        assert_eq!(allocations(&mix.flow(100_000)), 0, "{}", mix.name);
    }
}

/// All but the crash, which comes after the warm-up and reaches prices that nobody saw before.
#[test]
fn the_regimes_allocate_nothing() {
    for regime in Regime::ALL.into_iter().filter(|regime| *regime != Regime::FlashCrash) {
        let flow = Equity { regime, instruments: 1, resting: 10_000, seed: 1 }.flow(200_000);
        assert_eq!(allocations(&flow), 0, "{}", flow.name);
    }
}
