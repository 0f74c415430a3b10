//! `ringframe-sim`: lives through seeds until one fails.

use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Parser;
use ringframe::clock::Clock;
use ringframe::types::Nanos;
use ringframe_journal::planted::{Bug, plant};
use ringframe_sim::{LEGEND, Outcome, lives, run, shrink};

/// Where nobody reads, it goes on all the same.
macro_rules! tell {
    ($($line:tt)*) => {{
        let _ = writeln!(io::stdout(), $($line)*);
    }};
}

/// Simulate nodes, clients and bad luck, one world for each seed
#[derive(Debug, Parser)]
#[command(
    name = "ringframe-sim",
    after_help = "\
Examples:
  ringframe-sim --seeds 0..200              two hundred worlds
  ringframe-sim --minutes 60                new ones for an hour, from a seed that it prints
  ringframe-sim --seeds 4711 --trace        what happens in one of them
  ringframe-sim --seeds 4711 --shrink       which few of its mishaps make it fail

Exit code 1: a seed fails; what is wrong, and the command that shows it, are printed."
)]
struct Args {
    /// Which: one, or from one to before another
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<(u64, u64)>,
    /// For how long, where that comes first
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// So many worlds at once, each in a thread of its own; as many as there are cores without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Print what happens
    #[arg(long)]
    trace: bool,
    /// Make the list of mishaps of a seed that fails short
    #[arg(long)]
    shrink: bool,
    /// Go on after a seed that fails
    #[arg(long)]
    keep_going: bool,
    /// Put a bug in on purpose; `list` says which there are
    #[arg(long, value_name = "NAME", value_parser = bug)]
    plant: Option<Bug>,
    /// Put each bug in on purpose, and say how many seeds it takes to find it, up to so many
    #[arg(long, value_name = "N")]
    plants: Option<u64>,
}

fn bug(text: &str) -> Result<Bug, String> {
    let names = || Bug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    let found = Bug::ALL.iter().find(|bug| bug.name() == text);
    found.copied().ok_or_else(|| format!("there are: {}", names()))
}

/// A table of what is found.
fn plants(from: u64, most: u64) -> ExitCode {
    let mut missed = 0;
    tell!("| bug | what is wrong | seeds | what is seen |");
    tell!("|---|---|---|---|");
    for &bug in Bug::ALL {
        plant(Some(bug));
        let caught = (from..from + most).find_map(|seed| Some((seed, run(seed, false).wrong?)));
        let (seeds, seen) = if let Some((seed, wrong)) = caught {
            let line = wrong.lines().next().unwrap_or_default();
            let end = line.floor_char_boundary(100);
            ((seed - from + 1).to_string(), line[..end].to_owned())
        } else {
            missed += 1;
            (format!("not in {most}"), String::new())
        };
        tell!("| `{}` | {} | {seeds} | {seen} |", bug.name(), bug.what());
    }
    if missed > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| text.replace('_', "").parse().map_err(|error| format!("{error}"));
    match text.split_once("..") {
        None => number(text).map(|seed: u64| (seed, seed + 1)),
        Some((from, to)) => Ok((number(from)?, number(to)?)),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let clock = Clock::new();
    // Below what floating point would round, and never the same twice.
    let fresh = clock.now().0 % 1_000_000_000_000;
    let (from, to) = args.seeds.unwrap_or((fresh, u64::MAX));
    let minutes = args.minutes.or(args.seeds.is_none().then_some(1));
    let until = minutes.map(|minutes| clock.now().after(minutes * 60 * Nanos::SECOND));
    if args.plant.is_some() || args.plants.is_some() || args.shrink {
        // What is wrong is told in a line.
        std::panic::set_hook(Box::new(|_| ()));
        if !args.shrink && !cfg!(feature = "planted") {
            tell!("this build has no bugs on purpose: build it with --features planted");
            return ExitCode::from(2);
        }
    }
    plant(args.plant);
    if let Some(most) = args.plants {
        return plants(args.seeds.map_or(0, |(from, _)| from), most);
    }
    if args.shrink {
        return shorten(from);
    }
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell!("seed {} panics", lives());
        told(panic);
    }));
    tell!("seeds from {from} on");
    live_through(&args, from..to, until, &clock)
}

/// Each seed is dealt to whoever is next without one.
#[expect(clippy::disallowed_methods, reason = "a world knows of no other world")]
fn live_through(args: &Args, seeds: Range<u64>, until: Option<Nanos>, clock: &Clock) -> ExitCode {
    let began = clock.now();
    let (next, ends) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let live = || {
        while !ends.load(Ordering::Relaxed) && until.is_none_or(|until| clock.now() <= until) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let outcome = run(seed, args.trace);
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.add(&outcome);
            report(seed, &outcome, args.trace);
            if outcome.wrong.is_some() && !args.keep_going {
                ends.store(true, Ordering::Relaxed);
            }
            if io::stdout().is_terminal() && sum.seeds.is_multiple_of(16) {
                print!("\r{}", sum.line(clock.now().0 - began.0));
                let _ = io::stdout().flush();
            } else if sum.seeds.is_multiple_of(1000) {
                tell!("{}", sum.line(clock.now().0 - began.0));
            }
        }
    };
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or_else(cores, usize::from);
    thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(live))));
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    tell!("{}", sum.line(clock.now().0 - began.0));
    if sum.failed > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

/// What is wrong, and all of it where that is wanted.
fn report(seed: u64, outcome: &Outcome, traces: bool) {
    if traces {
        tell!("{LEGEND}");
        print_lines(&outcome.trace);
    }
    if let Some(wrong) = &outcome.wrong {
        tell!("seed {seed} fails: {wrong}");
        tell!("  ringframe-sim --seeds {seed} --trace     shows how it came to that");
        tell!("  ringframe-sim --seeds {seed} --shrink    makes it short");
    }
}

fn print_lines(lines: &[String]) {
    for line in lines {
        tell!("{line}");
    }
}

fn shorten(seed: u64) -> ExitCode {
    let (list, outcome) = shrink(seed);
    let Some(wrong) = outcome.wrong else {
        tell!("seed {seed} does not fail");
        return ExitCode::SUCCESS;
    };
    tell!("seed {seed} fails with {} mishaps: {wrong}", list.len());
    print_lines(&list);
    tell!("{LEGEND}");
    print_lines(&outcome.trace);
    ExitCode::from(1)
}

#[derive(Default)]
struct Sum {
    seeds: u64,
    failed: u64,
    released: u64,
    nanos: u64,
    polls: u64,
    messages: (u64, u64),
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.failed += u64::from(outcome.wrong.is_some());
        self.released += outcome.released;
        self.nanos += outcome.nanos;
        self.polls += outcome.polls;
        self.messages.0 += outcome.messages.0;
        self.messages.1 += outcome.messages.1;
    }

    fn line(&self, took: u64) -> String {
        format!(
            "{} seeds, {} failed, {:.1} seeds/s; {} commands released, {} messages told and {} \
             again, {:.2} simulated hours, {} turns",
            self.seeds,
            self.failed,
            self.seeds as f64 / (took as f64 / 1e9),
            self.released,
            self.messages.0,
            self.messages.1,
            self.nanos as f64 / 3.6e12,
            self.polls
        )
    }
}
