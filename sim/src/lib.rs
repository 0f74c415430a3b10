//! Whole nodes, their clients, the network, disks and clocks between them, and all the bad luck
//! there is, one after the other: what happens is a function of one seed.
//!
//! The nodes are the project's own: the stages of `ringframe serve`, put together by the same
//! lines, over a simulated network and simulated disks. Read in this order: `settings` and `faults`
//! (what a seed draws), `net`, `disks`, `flips` and `refusals` (the simulated world), `newer`,
//! `node`, `client`, `late`, `operator`, `nightly`, `days`, `upgrade` and `third` (who lives in
//! it), `world` (who is next), `checker`, `told`, `wanted`, `rest`, `compare` and `conserve` (what
//! must hold), `trace`.

mod checker;
mod client;
mod compare;
mod conserve;
mod days;
mod disks;
mod faults;
mod flips;
mod late;
#[path = "../../tests/exchange/naive/mod.rs"]
#[expect(dead_code, reason = "the exchange's own tests look into it, too")]
mod naive;
mod net;
mod newer;
mod nightly;
mod node;
mod operator;
mod refusals;
mod rest;
mod settings;
mod third;
mod told;
mod trace;
mod upgrade;
mod wanted;
mod world;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use trace::LEGEND;

use faults::Mishap;
use trace::Trace;
use world::World;

/// What became of a seed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is wrong; nothing where all is as it should be.
    pub wrong: Option<String>,
    /// What happened, if that was asked for.
    pub trace: Vec<String>,
    /// Commands that were released.
    pub released: u64,
    /// Simulated time.
    pub nanos: u64,
    /// Turns that somebody had.
    pub polls: u64,
    /// Messages to clients, and how many of them came again.
    pub messages: (u64, u64),
    list: Vec<Mishap>,
}

thread_local! {
    /// A release build ends with a panic, and somebody must say where.
    static LIVES: Cell<u64> = const { Cell::new(0) };
}

/// The seed that this thread lives through, for who says that it panics.
pub fn lives() -> u64 {
    LIVES.get()
}

/// Lives through a seed.
pub fn run(seed: u64, traces: bool) -> Outcome {
    live(seed, None, traces)
}

/// From here on this thread lives through that seed.
pub(crate) fn live_in(seed: u64) {
    LIVES.set(seed);
}

fn live(seed: u64, list: Option<Vec<Mishap>>, traces: bool) -> Outcome {
    live_in(seed);
    let mut world = World::new(seed, list, Trace::new(traces));
    let (list, began) = (world.list.iter().copied().collect(), world.now);
    let lived = catch_unwind(AssertUnwindSafe(|| world.run()));
    let wrong = match lived {
        Ok(Ok(())) => None,
        Ok(Err(wrong)) => Some(wrong),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()));
            Some(format!("panic: {}", text.unwrap_or_default()))
        }
    };
    let told = world.told() as u64;
    let again = world.clients.iter().map(|client| client.repeats).sum();
    let (released, nanos) = (world.checker.released(), world.now.0 - began.0);
    let (polls, trace) = (world.polls, std::mem::take(&mut world.trace));
    // What a panic left may not be fit to be dropped.
    if wrong.is_some() {
        std::mem::forget(world);
    }
    let trace = trace.into_lines();
    Outcome { wrong, trace, released, nanos, polls, messages: (told, again), list }
}

/// Makes the list of mishaps of a seed that fails as short as it gets: the shorter list as lines,
/// and what is wrong then.
pub fn shrink(seed: u64) -> (Vec<String>, Outcome) {
    let mut worst = live(seed, None, false);
    let mut size = worst.list.len().max(1);
    while size >= 1 {
        let mut from = 0;
        while from < worst.list.len() {
            let mut list = worst.list.clone();
            list.drain(from..(from + size).min(list.len()));
            let outcome = live(seed, Some(list), false);
            if outcome.wrong.is_some() {
                worst = outcome;
            } else {
                from += size;
            }
        }
        if size == 1 {
            break;
        }
        size /= 2;
    }
    let lines = worst.list.iter().map(ToString::to_string).collect();
    let outcome = live(seed, Some(worst.list), true);
    (lines, outcome)
}
