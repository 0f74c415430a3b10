//! `ringframe apply`: a node that is driven by lines: commands come in as JSON, events go out.
#![expect(clippy::disallowed_methods, reason = "standard input blocks, so a thread reads it")]

use std::io::{BufRead, Write};
use std::time::Duration;

use clap::Args;
use ringframe::embed::Submitter;
use ringframe::exchange::Exchange;
use ringframe::exchange_json::parse_command;

use super::local::{Local, Talk};
use super::replay::line;
use super::serve::NodeArgs;
use super::{Answer, Failure};

/// What was printed is flushed when no event came for so long.
const QUIET: Duration = Duration::from_micros(200);
/// Then it waits, and looks so often whether the input has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Run a node on lines: commands in JSON come in, released events go out
#[derive(Debug, Args)]
#[command(after_help = "Example:
  echo '{\"enter\":{\"session\":1,\"symbol\":\"AAPL\",\"token\":\"A1\",\"side\":\"buy\",\
\"price\":\"230.00\",\"quantity\":100}}' | ringframe apply --data data

The lines are described in docs/JSON.md. An event is printed once its command is as durable as
--release says: what you have read survives.")]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &ApplyArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let mut node = Local::start(&args.node, &Talk::Program)?;
    let submitter = node.embedded.take_submitter().expect("nobody has taken it");
    let reading = std::thread::spawn(move || read(&submitter));
    let mut longest = LOOK;
    while !reading.is_finished() {
        if let Some(outcome) = node.embedded.next(longest)? {
            writeln!(out, "{}", line(&outcome))?;
            longest = QUIET;
        } else {
            out.flush()?;
            longest = LOOK;
        }
    }
    let read = reading.join().expect("reading does not panic");
    let mut written = Ok(());
    node.finish(|outcome| {
        if written.is_ok() {
            written = writeln!(out, "{}", line(&outcome));
        }
    })?;
    written?;
    read.map(|()| Answer::Yes)
}

/// Submits every line of standard input; stops at the first that is no command.
fn read(submitter: &Submitter<Exchange>) -> Result<(), Failure> {
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let line = line.map_err(|error| Failure::Fault(format!("standard input: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let command = parse_command(&line).map_err(|why| {
            Failure::Usage(format!("line {number}: {why}; the lines before it are done"))
        })?;
        if !submitter.submit(command) {
            break;
        }
    }
    Ok(())
}
