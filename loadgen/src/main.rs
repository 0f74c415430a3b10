//! The `loadgen` binary: arguments in, a report out.
//!
//! Exit codes: 0 every message was answered, 1 some were not, 2 wrong usage, 3 a fault.

use std::process::ExitCode;

use clap::Parser as _;
use loadgen::echo;
use loadgen::table::{Table, duration};

use args::{Cli, Command, EchoArgs};

mod args;

fn main() -> ExitCode {
    let Command::Echo(args) = Cli::parse().command;
    echo(&args)
}

fn echo(args: &EchoArgs) -> ExitCode {
    let report = match echo::run(&args.options()) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("loadgen: bare TCP echo on loopback: {error}");
            return ExitCode::from(3);
        }
    };
    print!("{}", Table::new().row("bare echo", report.latencies.summary()));
    println!("sent {}, answered {}, lost {}", report.sent, report.answered, report.lost());
    if report.is_complete() {
        return ExitCode::SUCCESS;
    }
    let behind = duration(report.behind_ns.unwrap_or(0));
    eprintln!("loadgen: the echo could not keep up: given up {behind} behind; lower --rate");
    ExitCode::from(1)
}
