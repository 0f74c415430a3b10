//! `ringframe apply`: a node that is driven by lines: commands come in as JSON, events go out.
#![expect(clippy::disallowed_methods, reason = "standard input blocks, so a thread reads it")]

use std::io::{BufRead, ErrorKind, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
--release says: what you have read survives. When its output is closed it takes no more lines, does
those that it took, and ends with exit code 1 unless the input had ended.")]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) fn run(args: &ApplyArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let mut node = Local::start(&args.node, &Talk::Program, None)?;
    let submitter = node.embedded.take_submitter().expect("nobody has taken it");
    let intake = Arc::new(Mutex::new(Some(submitter)));
    let to_intake = Arc::clone(&intake);
    let reading = std::thread::spawn(move || {
        let read = read(&to_intake);
        // Nothing more comes.
        *lock(&to_intake) = None;
        read
    });
    let (mut longest, mut written) = (LOOK, Ok(()));
    while !reading.is_finished() && written.is_ok() {
        if let Some(outcome) = node.embedded.next(longest)? {
            written = writeln!(out, "{}", line(&outcome));
            longest = QUIET;
        } else {
            written = out.flush();
            longest = LOOK;
        }
    }
    // Where nobody reads what becomes of them, no more lines are taken; the reader of lines may
    // wait for the next one for ever.
    let is_cut_short = !reading.is_finished();
    while is_cut_short && !take_away(&intake) {
        node.embedded.next(QUIET)?;
    }
    let mut answer = node.finish(|outcome| {
        if written.is_ok() {
            written = writeln!(out, "{}", line(&outcome));
        }
    })?;
    if is_cut_short {
        answer = Answer::No;
    } else {
        reading.join().expect("reading does not panic")?;
    }
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(answer),
    }
}

/// The right to submit, until it is taken away.
type Intake = Mutex<Option<Submitter<Exchange>>>;

fn lock(intake: &Intake) -> MutexGuard<'_, Option<Submitter<Exchange>>> {
    intake.lock().unwrap_or_else(PoisonError::into_inner)
}

/// False while the reader of lines submits: that ends only if events are taken meanwhile.
fn take_away(intake: &Intake) -> bool {
    intake.try_lock().map(|mut submitter| *submitter = None).is_ok()
}

/// Submits every line of standard input; stops at the first that is no command.
fn read(intake: &Intake) -> Result<(), Failure> {
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let line = line.map_err(|error| Failure::Fault(format!("standard input: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let command = parse_command(&line).map_err(|why| {
            Failure::Usage(format!("line {number}: {why}; the lines before it are done"))
        })?;
        if !lock(intake).as_ref().is_some_and(|submitter| submitter.submit(command)) {
            break;
        }
    }
    Ok(())
}
