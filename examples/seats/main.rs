//! The hall of `docs/TUTORIAL.md` on a whole node: each line of standard input is a command, each
//! line of output what came of it, as durable as a loss of power allows.
//! `echo 'sell 12 7' | cargo run --example seats -- DIRECTORY`
#![expect(unreachable_pub, reason = "`seats` stands as it would in a library")]
#![allow(clippy::print_stdout, reason = "the answers are the output")]

use std::path::Path;
use std::time::Duration;

use ringframe::clock::Clock;
use ringframe::embed::{AtEnd, Embedded, Saving};
use ringframe::host::Host;
use ringframe::layout::{Layout, groups};
use ringframe::node::{Node, NodeOptions, Stores};
use ringframe::runner::Idle;
use ringframe::stage::{Fault, Stage};

use seats::{Command, Hall};

mod seats;
#[cfg(test)]
mod tests;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Fault> {
    let data = std::env::args_os().nth(1).ok_or_else(|| wrong("which directory?"))?;
    let mut node = start(Path::new(&data))?;
    for line in std::io::stdin().lines() {
        let line = line.map_err(|error| wrong(&error.to_string()))?;
        let Some(command) = parse(&line) else {
            println!("? {line}");
            continue;
        };
        node.submit(command);
        let outcome = node.next(PATIENCE)?.ok_or_else(|| wrong("no answer"))?;
        match outcome.result {
            Ok(event) => println!("{event:?}"),
            Err(reject) => println!("refused: {reject:?}"),
        }
    }
    node.finish(PATIENCE, AtEnd::Nothing, |_| ()).map(|_| ())
}

/// A node on a directory, with the stages on threads as this machine allows.
fn start(data: &Path) -> Result<Embedded<Hall>, Fault> {
    let clock = Clock::new();
    let stores = Stores::mapped(data);
    let options = NodeOptions::default();
    let node = Node::open(&stores, &options, clock.now(), &mut |_, _| ())?;
    let host = Host::look().map_err(|error| wrong(&error.to_string()))?;
    let on_threads = |stages: Vec<Box<dyn Stage>>| {
        let names: Vec<_> = stages.iter().map(|stage| stage.name()).collect();
        let places = Layout::Auto.resolve(&names, &host).map_err(Fault::Node)?;
        Ok(groups(&places, stages, &host, options.release))
    };
    Embedded::start(node, Saving::Off, on_threads, Idle::Polite, clock)
}

/// `sell SEAT PERSON` or `back SEAT PERSON`.
fn parse(line: &str) -> Option<Command> {
    let mut words = line.split_whitespace();
    let what = words.next()?;
    let (seat, person) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    match what {
        "sell" => Some(Command::Sell { seat, to: person }),
        "back" => Some(Command::GiveBack { seat, by: person }),
        _ => None,
    }
}

fn wrong(what: &str) -> Fault {
    Fault::Node(what.to_owned())
}
