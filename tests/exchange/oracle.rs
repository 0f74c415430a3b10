//! The exchange against the naive one on random commands: the same events and refusals, to the
//! byte, and what must hold between any two commands.
//!
//! `RINGFRAME_ORACLE=5000000 cargo test --release --test exchange oracle` runs that many commands,
//! from the seed in `RINGFRAME_SEED` on, if there is one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ringframe::exchange::Exchange;
use ringframe::exchange::command::{Cancel, Command, State};
use ringframe::exchange::reject::{Reject, Why};
use ringframe::kit;
use ringframe::logic::{Logic, Moment};

use crate::engine::{Engine, Real};
use crate::naive::{Naive, Outcome};
use crate::random::Commands;
use crate::script::outcome::{Said, kind, kinds};
use crate::script::{self, command};

/// How long each market lives.
const MARKET_COMMANDS: usize = 2_000;
/// Enough to see everything; seconds, also in a debug build.
const COMMANDS: u64 = 400_000;

type Stamped = (Command, Moment);

#[test]
fn oracle() {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let commands = number("RINGFRAME_ORACLE").unwrap_or(COMMANDS);
    let first = number("RINGFRAME_SEED").unwrap_or(1);
    let mut missing = kinds(&[Why::BookFull, Why::TooMany]);
    for seed in first..first + commands.div_ceil(MARKET_COMMANDS as u64) {
        let commands: Vec<Stamped> = Commands::new(seed).take(MARKET_COMMANDS).collect();
        match agree(&commands) {
            Ok(outcomes) => {
                for outcome in &outcomes {
                    missing.remove(&kind(outcome));
                }
            }
            Err(difference) => panic!("seed {seed}: {}", report(&commands, &difference)),
        }
    }
    assert!(missing.is_empty(), "random commands never led to {missing:?}");
}

/// Where two exchanges part: after so many commands, and how.
struct Difference {
    commands: usize,
    text: String,
}

/// Runs the commands on both; says all that both said.
fn agree(commands: &[Stamped]) -> Result<Vec<Outcome>, Difference> {
    let (mut naive, mut real) = (Naive::default(), Real::default());
    let mut all = Vec::new();
    for (place, (command, at)) in commands.iter().enumerate() {
        let differ = |text| Err(Difference { commands: place + 1, text });
        let expected = naive.step(command, at);
        let said = catch_unwind(AssertUnwindSafe(|| {
            let said = real.step(command, at);
            real.logic.assert_invariants();
            said
        }));
        let Ok(said) = said else { return differ("the exchange panics".into()) };
        if said != expected {
            return differ(format!("naive:\n{}exchange:\n{}", lines(&expected), lines(&said)));
        }
        if let Err(what) = check(&naive, &real, at) {
            return differ(what);
        }
        all.extend(said);
    }
    Ok(all)
}

fn lines(outcomes: &[Outcome]) -> String {
    let line = |outcome: &Outcome| {
        let said = Said::new(outcome);
        format!("    {said}    {}\n", said.details.join(" "))
    };
    outcomes.iter().map(line).collect()
}

/// What must hold after every command.
fn check(naive: &Naive, real: &Real, at: &Moment) -> Result<(), String> {
    for order in naive.orders() {
        let question =
            Cancel { token: order.token, session: order.session, quantity: u32::MAX, reserved: 0 };
        match real.logic.check(&question.into(), at) {
            Err(Reject::Rejected(reject)) if reject.why == Why::NothingToReduce => {}
            _ => return Err(format!("the live order {} is not found", order.token)),
        }
    }
    for (id, instrument) in (0..).zip(naive.instruments()) {
        let (bids, asks) = (naive.queue(id, true), naive.queue(id, false));
        if let (State::Open, Some(bid), Some(ask)) = (instrument.state, bids.first(), asks.first())
            && bid.price >= ask.price
        {
            return Err(format!("{} is crossed", instrument.terms.symbol));
        }
    }
    let mut sums: BTreeMap<u16, i64> = BTreeMap::new();
    for (instrument, position) in naive.positions() {
        *sums.entry(instrument).or_default() += position;
    }
    if sums.values().any(|sum| *sum != 0) {
        return Err(format!("positions do not cancel out: {sums:?}"));
    }
    Ok(())
}

/// The fewest commands that still make a difference, as a script.
fn report(commands: &[Stamped], difference: &Difference) -> String {
    let least = shrink(commands[..difference.commands].to_vec());
    let text = agree(&least).err().map(|difference| difference.text);
    let mut script = format!("{}: what random commands found\n", script::BARE);
    let mut time = None;
    for (command, at) in &least {
        if time.replace(at.time) != Some(at.time) {
            script += &format!("time {}\n", at.time.0);
        }
        script += &format!("{}\n", command::write(command));
    }
    let Difference { commands, text: first } = difference;
    format!("command {commands}\n{first}\nthe same in few:\n{script}{}", text.unwrap_or_default())
}

/// Leaves out, for as long as a difference stays, ever smaller parts.
fn shrink(mut commands: Vec<Stamped>) -> Vec<Stamped> {
    let mut part = commands.len() / 2;
    while part > 0 {
        let mut from = 0;
        while from < commands.len() {
            let mut fewer = commands.clone();
            fewer.drain(from..(from + part).min(commands.len()));
            match agree(&fewer) {
                Err(difference) => {
                    fewer.truncate(difference.commands);
                    commands = fewer;
                }
                Ok(_) => from += part,
            }
        }
        part /= 2;
    }
    commands
}

/// The first commands of a market, each with the nanoseconds since the one before.
fn steps(seed: u64, count: usize) -> impl Iterator<Item = (u64, Command)> {
    Commands::new(seed).take(count).scan(0, |before, (command, at)| {
        let after = at.time.0 - std::mem::replace(before, at.time.0);
        Some((after, command))
    })
}

#[test]
fn a_replay_has_the_same_digest() {
    kit::runs_twice_alike::<Exchange>(steps(7, 10_000));
    kit::replays_as_it_ran::<Exchange>(steps(7, 10_000));
}

#[test]
fn looking_changes_nothing() {
    kit::looks_without_touching::<Exchange>(steps(7, 1_000));
}

#[test]
fn a_snapshot_carries_all_at_every_point() {
    let (mut naive, mut real) = (Naive::default(), Real::default());
    for (command, at) in Commands::new(8).take(3_000) {
        let bytes = real.saved();
        real = real.restarted();
        assert_eq!(real.saved(), bytes, "saved again, before {}", command::write(&command));
        assert_eq!(real.step(&command, &at), naive.step(&command, &at), "{}", at.sequence.0);
    }
    let mut straight = Real::default();
    for (command, at) in Commands::new(8).take(3_000) {
        straight.step(&command, &at);
    }
    assert_eq!(real.outbox.digest(), straight.outbox.digest());
    assert_eq!(real.saved(), straight.saved());
}

/// What a script's line says and what is written of a command are the same.
#[test]
fn commands_are_written_as_they_are_read() {
    for (command, _) in Commands::new(9).take(5_000) {
        let text = command::write(&command);
        match command::read(&text) {
            Ok(command::Line::Command(read)) => assert_eq!(read, command, "{text}"),
            Ok(_) => panic!("{text} is no command"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}
