//! The `loadgen` binary: arguments in, a report out.
//!
//! Exit codes: 0 every message was answered, 1 some or all were not, a sweep held no rate or a
//! comparison found a regression, 2 wrong usage or a file that holds no results, 3 a fault.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use loadgen::ceiling::{self, Ceiling};
use loadgen::results::{Measured, Results};
use loadgen::run::{self, Outcome, RunError};
use loadgen::table::{Table, duration};
use loadgen::tally::Recorded;
use loadgen::{cores, echo, output, sweep};

use args::{CeilingArgs, Cli, Command, EchoArgs, RunArgs, SweepArgs};

mod args;
mod pages;

const NO: u8 = 1;
const USAGE: u8 = 2;
const FAULT: u8 = 3;

fn main() -> ExitCode {
    let answer = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Echo(args) => echo(&args),
        Command::Sweep(args) => sweep(&args),
        Command::Ceiling(args) => ceiling(&args),
        Command::Report(args) => return pages::report(&args),
        Command::Compare(args) => return pages::compare(&args),
    };
    match answer {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("loadgen: {error}");
            ExitCode::from(match error {
                RunError::Silent(_) => NO,
                RunError::Usage(_) => USAGE,
                RunError::Fault(_) => FAULT,
            })
        }
    }
}

fn run(args: &RunArgs) -> Result<u8, RunError> {
    let options = args.options().map_err(RunError::Usage)?;
    prepare(args.out())?;
    let outcome = run::run(&options)?;
    let Outcome { results, recorded, .. } = &outcome;
    let mut table = Table::new();
    if let Some(echo) = &results.echo {
        table = table.floor("bare echo, from due time", echo.latency_ns);
    }
    table = table.row("from due time", results.measured.latency_ns);
    if let Some(echo) = &results.echo {
        table = table.floor("bare echo, from sending", echo.service_ns);
    }
    print!("{}", table.row("from sending", results.measured.service_ns));
    counts(&results.measured);
    if !results.measured.kinds.is_empty() {
        println!("what came, with the warm-up, the filling and the emptying of the books:");
    }
    for fact in &results.measured.kinds {
        println!("  {}: {}", fact.name, fact.value);
    }
    if let Some(out) = args.out() {
        write(out, results, recorded, outcome.echo.as_ref())?;
    }
    if outcome.rejections > 0 {
        eprintln!("loadgen: {} orders were rejected: no load like any other", outcome.rejections);
    }
    Ok(verdict(&results.measured, outcome.is_complete()))
}

fn echo(args: &EchoArgs) -> Result<u8, RunError> {
    let options = args.options().map_err(RunError::Usage)?;
    prepare(args.out())?;
    let report =
        echo::run(&options).map_err(|error| RunError::Fault(format!("bare TCP echo: {error}")))?;
    let table = Table::new().row("bare echo, from due time", report.measured.latency_ns);
    print!("{}", table.row("bare echo, from sending", report.measured.service_ns));
    counts(&report.measured);
    if let Some(out) = args.out() {
        write(out, &run::echo_results(&options, &args.pace(), &report), &report.recorded, None)?;
    }
    Ok(verdict(&report.measured, report.measured.is_complete()))
}

fn sweep(args: &SweepArgs) -> Result<u8, RunError> {
    let options = args.options().map_err(RunError::Usage)?;
    prepare(args.run.out())?;
    let limit = format!("{} ≤ {}", options.limit.percentile, duration(options.limit.ns));
    println!(
        "{:>10}  {:>10}  {:>9}  {:>9}  {:>9}  {limit}",
        "wanted/s", "got/s", "p50", "p99", "p99.9"
    );
    let outcome = sweep::sweep(&options, |step| {
        let latency = &step.latency_ns;
        println!(
            "{:>10.0}  {:>10.0}  {:>9}  {:>9}  {:>9}  {}",
            step.wanted_per_second,
            step.answered_per_second,
            duration(latency.p50),
            duration(latency.p99),
            duration(latency.p99_9),
            if step.held { "held" } else { "not held" }
        );
    })?;
    if let Some(out) = args.run.out() {
        write(out, &outcome.results, &outcome.recorded, outcome.echo.as_ref())?;
    }
    let held = outcome.results.sweep.iter().rev().find(|step| step.held);
    match held {
        Some(step) => println!("holds {:.0}/s", step.wanted_per_second),
        None => println!("holds none of these rates"),
    }
    Ok(if held.is_some() { 0 } else { NO })
}

fn ceiling(args: &CeilingArgs) -> Result<u8, RunError> {
    let find = || ceiling::find(args.count, usize::from(args.sessions), args.duration);
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::InvalidInput => RunError::Usage(error.to_string()),
        _ => RunError::Fault(format!("bare TCP echo: {error}")),
    };
    let (core, on_one) =
        cores::on_one_core(|core| find().map(|found| (core, found))).map_err(failed)?;
    println!("on one core, core {core}, with the echo beside it:");
    limits(&on_one);
    match cores::usable() {
        1 => println!("\non all cores: this process may use no other"),
        all => {
            let on_all = find().map_err(failed)?;
            println!("\non all {all} cores:");
            limits(&on_all);
        }
    }
    Ok(0)
}

fn limits(found: &Ceiling) {
    let Ceiling { per_second, from_write, from_due } = found;
    println!(
        "as fast as they go: {:.2} million messages/s to the echo and back; a bare loop {:.2}, \
         so {:.2}×",
        per_second.ours / 1e6,
        per_second.bare / 1e6,
        per_second.ours / per_second.bare
    );
    let table = Table::new().floor("bare loop, from its write", from_write.bare);
    let table = table.row("the generator, from its write", from_write.ours);
    let table = table.floor("bare loop, from due time", from_due.bare);
    print!("{}", table.row("the generator, from due time", from_due.ours));
    for (how, beside) in [("from the write", from_write), ("from the due time", from_due)] {
        let [p50, p99] = beside.added_ns();
        println!("both {how}, it adds {p50} ns to the median, {p99} ns to the 99th percentile");
    }
}

fn prepare(out: Option<&PathBuf>) -> Result<(), RunError> {
    let Some(out) = out else { return Ok(()) };
    output::prepare(out)
        .map_err(|error| RunError::Fault(format!("--out: no results can be written: {error}")))
}

fn write(
    out: &Path,
    results: &Results,
    recorded: &Recorded,
    echo: Option<&Recorded>,
) -> Result<(), RunError> {
    output::write(out, results, recorded, echo)
        .map_err(|error| RunError::Fault(format!("cannot write the results: {error}")))?;
    println!("wrote {}", out.join(output::PAGE).display());
    Ok(())
}

fn counts(measured: &Measured) {
    let Measured { sent, answered, silent, lost, repeated, unexpected, .. } = measured;
    if let Some(caveat) = measured.caveat() {
        println!("these {caveat}");
    }
    println!(
        "sent {sent}, answered {answered}, rightly silent {silent}, lost {lost}, repeated \
         {repeated}, unexpected {unexpected}; {:.0}/s wanted, {:.0}/s answered",
        measured.wanted_per_second, measured.answered_per_second
    );
    if measured.wrong_early > 0 {
        println!("wrong before the measured part: {} of these", measured.wrong_early);
    }
    if measured.reconnected > 0 {
        println!("reconnected {}, sent again {}", measured.reconnected, measured.resent);
    }
}

fn verdict(measured: &Measured, is_complete: bool) -> u8 {
    for error in &measured.errors {
        eprintln!("loadgen: {error}");
    }
    let untold = measured.wrongs().saturating_sub(measured.errors.len() as u64);
    if untold > 0 {
        eprintln!("loadgen: … and {untold} more");
    }
    if let Some(why) = &measured.given_up {
        eprintln!("loadgen: given up, with {} messages unsent: {why}", measured.unsent);
    } else if let Some(behind_ns) = measured.behind_ns {
        let (behind, unsent) = (duration(behind_ns), measured.unsent);
        eprintln!(
            "loadgen: the target could not keep up: given up {behind} behind, with {unsent} \
             messages unsent; lower --rate"
        );
    }
    if is_complete { 0 } else { NO }
}
