//! The command line: what every command shares. Each command has a file of its own.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ringframe::record::RecordError;
use ringframe::stage::Fault;
use ringframe_journal::Error;

/// A line for the log.
macro_rules! say {
    ($($line:tt)*) => {
        tracing::info!($($line)*)
    };
}

mod against;
mod apply;
mod check_config;
mod client;
mod demo;
mod doctor;
mod feed;
mod journal;
mod local;
mod manual;
mod nightly;
mod operate;
mod operators;
mod pair;
mod progress;
mod replay;
mod serve;
mod served;
mod settings;
mod spans;
mod user;
mod watch;

#[derive(Debug, Parser)]
#[command(name = "ringframe", version, about, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 a fault.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look into journals, check them, write them
    #[command(subcommand)]
    Journal(journal::Command),
    Serve(serve::ServeArgs),
    Apply(apply::ApplyArgs),
    Replay(replay::ReplayArgs),
    Feed(feed::FeedArgs),
    Status(operate::StatusArgs),
    Snapshot(operate::SnapshotArgs),
    Drain(operate::DrainArgs),
    #[expect(clippy::enum_variant_names, reason = "it is what operators type")]
    Command(operate::CommandArgs),
    Activate(operate::ActivateArgs),
    Promote(operate::PromoteArgs),
    Release(operate::ReleaseArgs),
    Nightly(nightly::NightlyArgs),
    Demo(demo::DemoArgs),
    Client(client::ClientArgs),
    Watch(watch::WatchArgs),
    /// Say who may log in
    #[command(subcommand)]
    User(user::UserCommand),
    CheckConfig(check_config::CheckConfigArgs),
    Doctor(doctor::DoctorArgs),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

/// What a command found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done; yes; whole; equal.
    Yes,
    /// Damaged; different; lost.
    No,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments make no sense here.
    Usage(String),
    /// They do, and the answer is no.
    No(String),
    /// The journal refused.
    Journal(Error),
    /// The node stopped, or cannot start.
    Node(Fault),
    /// Something else went wrong.
    Fault(String),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Journal(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Journal(error) => Self::Journal(error),
            other => Self::Node(other),
        }
    }
}

/// Only writing to standard output uses `?` on an `io::Error`; all else says what it was doing.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) | Self::No(why) | Self::Fault(why) => f.write_str(why),
            Self::Journal(error) => error.fmt(f),
            Self::Node(fault) => fault.fmt(f),
            Self::Output(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::No(_) => 1,
            // For the last ones it is the wrong build, whichever part of its files says so.
            Self::Usage(_)
            | Self::Node(
                Fault::Version { .. }
                | Fault::EventSchema { .. }
                | Fault::Record { error: RecordError::UnknownVersion { .. }, .. }
                | Fault::Event { error: RecordError::UnknownVersion { .. }, .. },
            ) => 2,
            Self::Journal(error) | Self::Node(Fault::EventLog(error))
                if is_asked_wrongly(error) =>
            {
                2
            }
            Self::Journal(_) | Self::Node(_) | Self::Fault(_) | Self::Output(_) => 3,
        }
    }
}

/// Nothing is wrong with the journal: it is another one, or another build's, or has no such frame.
fn is_asked_wrongly(error: &Error) -> bool {
    matches!(
        error,
        Error::Options(_)
            | Error::OtherLogic { .. }
            | Error::NewerLogic { .. }
            | Error::OutOfRange { .. }
    )
}

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    // Wrong arguments end in here, with code 2.
    let Cli { command } = Cli::parse();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = match command {
        Command::Journal(command) => journal::run(command, &mut out),
        Command::Serve(args) => serve::run(&args, &mut out),
        Command::Apply(args) => apply::run(&args, &mut out),
        Command::Replay(args) => replay::run(&args, &mut out),
        Command::Feed(args) => feed::run(&args, &mut out),
        Command::Status(args) => operate::status(&args, &mut out),
        Command::Snapshot(args) => operate::snapshot(&args, &mut out),
        Command::Drain(args) => operate::drain(&args, &mut out),
        Command::Command(args) => operate::command(&args, &mut out),
        Command::Activate(args) => operate::activate(&args, &mut out),
        Command::Promote(args) => operate::promote(&args, &mut out),
        Command::Release(args) => operate::release(&args, &mut out),
        Command::Nightly(args) => nightly::run(&args, &mut out),
        Command::Demo(args) => demo::run(&args, &mut out),
        Command::Client(args) => client::run(&args, &mut out),
        Command::Watch(args) => watch::run(&args, &mut out),
        Command::User(command) => user::run(&command, &mut out),
        Command::CheckConfig(args) => check_config::run(&args, &mut out),
        Command::Doctor(args) => doctor::run(&args, &mut out),
        Command::Completions(args) => manual::completions(&args, &mut out),
        Command::Man(args) => manual::man(&args),
    };
    let result = result.and_then(|answer| match out.flush() {
        // The answer is known, whoever reads the words.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(answer),
    });
    match result {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        // Whoever read our output has seen enough, like `head`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::from(failure.code())
        }
    }
}
