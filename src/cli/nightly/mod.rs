//! `ringframe nightly`: both nodes of a pair are restarted, one after the other, and change their
//! roles; what could fail in a bad hour is rehearsed in a quiet one.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ringframe::clock::Clock;
use ringframe::types::Nanos;
use ringframe_journal::MappedStorage;
use ringframe_journal::storage::Storage;
use serde_json::Value;

use super::{Answer, Failure};
use node::Peer;
use report::{Done, Report, Stopped, timestamp, today};
use steps::{STEPS, Step};

mod check;
mod node;
mod report;
mod steps;

/// Held by the run that is at work.
const LOCK: &str = "nightly.lock";
/// What has no end of its own, as copying a year of segments, has this one.
const LONGEST: Duration = Duration::from_hours(24);

/// Restart both nodes of a pair, one after the other, and let them change their roles
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe nightly --admin 10.0.0.1:9000 --admin 10.0.0.2:9000 --dry-run
  ringframe nightly --admin 10.0.0.1:9000 --admin 10.0.0.2:9000 --reports reports
  ringframe nightly --admin 10.0.0.1:9000 --admin 10.0.0.2:9000 \\
      --start 'ssh $NODE_HOST systemctl start ringframe@node'

A snapshot on the standby, verified; the standby is restarted; the digests of both are compared at
the same command; the leader hands over and is restarted as the standby; both archive and prune. A
node that was ended is started again by its supervisor (systemd, Restart=always) or by --start.

The report, nightly-DAY.md and .json, grows step by step. A run that was interrupted at any point is
run again: it goes on where it was. When all of the day is done it says so. Exit code 1: the answer
is no, for instance because digests differ or no standby is there; nothing is handed over then.")]
pub(crate) struct NightlyArgs {
    /// The admin address of each of the two nodes, in any order
    #[arg(long, value_name = "ADDR", required = true)]
    admin: Vec<SocketAddr>,
    /// A file that holds a token of both nodes' `admin_tokens`; or set `RINGFRAME_ADMIN_TOKEN`
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where reports are
    #[arg(long, value_name = "DIR", default_value = ".")]
    reports: PathBuf,
    /// The day that it is for, as 2026-11-22 [default: today, in UTC]
    #[arg(long, value_name = "DAY")]
    day: Option<String>,
    /// Starts a node that has ended: a command for sh, which finds its address in `NODE_ADMIN` and
    /// `NODE_HOST` [default: its supervisor does]
    #[arg(long, value_name = "COMMAND")]
    start: Option<String>,
    /// A node has so long to end, to come back, and to catch up
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u64,
    /// Look whether all is as it must be, say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// One object of JSON: the report, or what a dry run found
    #[arg(long)]
    json: bool,
}

/// Why the routine goes no further.
#[derive(Debug)]
enum Stop {
    /// The answer is no.
    No(String),
    /// It is asked wrongly.
    Usage(String),
    /// Something is broken.
    Fault(String),
}

impl Stop {
    fn why(&self) -> &str {
        match self {
            Self::No(why) | Self::Usage(why) | Self::Fault(why) => why,
        }
    }
}

/// What a step found.
struct Found {
    said: String,
    facts: Value,
}

/// A run.
struct Routine {
    /// Who led before the night …
    old: Peer,
    /// … and who leads after it.
    new: Peer,
    report: Report,
    directory: PathBuf,
    patience: Duration,
    start: Option<String>,
    clock: Clock,
    /// Digests were compared in this run.
    compared: bool,
}

impl Routine {
    fn has_waited(&self, since: Nanos) -> bool {
        self.clock.now() > since.after(self.patience.as_nanos() as u64)
    }
}

pub(crate) fn run(args: &NightlyArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let clock = Clock::new();
    let [one, other] = peers(args)?;
    let day = day(args, clock)?;
    let known = Report::read(&args.reports, &day).map_err(Failure::Fault)?;
    if args.dry_run {
        return check::dry_run(args, [one, other], known.as_ref(), out);
    }
    let _lock = lock(args)?;
    // Another run may have ended just now.
    let known = Report::read(&args.reports, &day).map_err(Failure::Fault)?;
    if let Some(report) = known.as_ref().filter(|report| report.finished.is_some()) {
        return all_done(args, report, out);
    }
    let routine = match known {
        Some(report) => go_on(args, [one, other], report, clock),
        None => begin(args, [one, other], day, clock),
    };
    let mut routine = match routine {
        Ok(routine) => routine,
        Err(stop) => return ended(stop, out),
    };
    routine.report.write(&routine.directory).map_err(Failure::Fault)?;
    for step in STEPS {
        if routine.report.done(step.name).is_some() {
            continue;
        }
        if let Err(stop) = take(&mut routine, step, args.json, out) {
            let (at, why) = (timestamp(clock.now()), stop.why().to_owned());
            routine.report.stopped = Some(Stopped { step: step.name.into(), at, why });
            routine.report.write(&routine.directory).map_err(Failure::Fault)?;
            print(args, &routine.report, out)?;
            return ended(with_step(step, stop), out);
        }
    }
    routine.report.finished = Some(timestamp(clock.now()));
    routine.report.stopped = None;
    routine.report.write(&routine.directory).map_err(Failure::Fault)?;
    print(args, &routine.report, out)?;
    if !args.json {
        let Report { leads_after, led_before, .. } = &routine.report;
        writeln!(out, "done: {leads_after} leads, {led_before} stands by")?;
    }
    Ok(Answer::Yes)
}

/// Does a step, and writes down that it is done.
fn take(routine: &mut Routine, step: &Step, json: bool, out: &mut dyn Write) -> Result<(), Stop> {
    let began = routine.clock.now();
    let Found { said, facts } = (step.run)(routine)?;
    let took_ms = (routine.clock.now().0 - began.0) / 1_000_000;
    if !json {
        // Where nobody reads, the routine goes on all the same.
        let _ = writeln!(out, "{}: {said} ({took_ms} ms)", step.name).and_then(|()| out.flush());
    }
    let (step, at) = (step.name.to_owned(), timestamp(began));
    routine.report.steps.push(Done { step, at, took_ms, said, found: facts });
    routine.report.write(&routine.directory).map_err(Stop::Fault)
}

fn with_step(step: &Step, stop: Stop) -> Stop {
    let at = |why: String| format!("at the step \"{}\": {why}", step.name);
    match stop {
        Stop::No(why) => Stop::No(at(format!("{why}; this step changed nothing"))),
        Stop::Usage(why) => Stop::Usage(at(why)),
        Stop::Fault(why) => Stop::Fault(at(why)),
    }
}

fn ended(stop: Stop, out: &mut dyn Write) -> Result<Answer, Failure> {
    match stop {
        Stop::No(why) => {
            out.flush()?;
            say!("no: {why}");
            Ok(Answer::No)
        }
        Stop::Usage(why) => Err(Failure::Usage(why)),
        Stop::Fault(why) => Err(Failure::Fault(why)),
    }
}

fn print(args: &NightlyArgs, report: &Report, out: &mut dyn Write) -> Result<(), Failure> {
    if args.json {
        writeln!(out, "{}", serde_json::to_string(report).expect("plain fields"))?;
    }
    Ok(())
}

fn all_done(args: &NightlyArgs, report: &Report, out: &mut dyn Write) -> Result<Answer, Failure> {
    print(args, report, out)?;
    if !args.json {
        let (day, at) = (&report.day, report.finished.as_deref().unwrap_or_default());
        let leads = report.leads_after;
        writeln!(out, "all of {day} is done, since {at}: {leads} leads; nothing was changed")?;
    }
    Ok(Answer::Yes)
}

fn peers(args: &NightlyArgs) -> Result<[Peer; 2], Failure> {
    let [one, other] = args.admin[..] else {
        let why = "--admin ADDR has to be given twice: once for each node of the pair";
        return Err(Failure::Usage(why.into()));
    };
    if one == other {
        let why = format!("both --admin are {one}: the two nodes have an address each");
        return Err(Failure::Usage(why));
    }
    Ok([one, other].map(|admin| Peer::new(admin, args.token_file.clone())))
}

fn day(args: &NightlyArgs, clock: Clock) -> Result<String, Failure> {
    let Some(day) = &args.day else { return Ok(today(clock)) };
    let date: Result<jiff::civil::Date, _> = day.parse();
    let date = date.map_err(|_| Failure::Usage(format!("'{day}' is no day: write 2026-11-22")))?;
    Ok(date.to_string())
}

/// Two routines at a time would restart what the other one waits for.
fn lock(args: &NightlyArgs) -> Result<impl Sized, Failure> {
    let directory = args.reports.display();
    let failed = |error| Failure::Fault(format!("cannot write reports to {directory}: {error}"));
    fs::create_dir_all(&args.reports).map_err(failed)?;
    let lock = MappedStorage::new(&args.reports).lock(LOCK).map_err(failed)?;
    lock.ok_or_else(|| {
        Failure::Usage(format!("another run is at work: it holds {directory}/{LOCK}; wait for it"))
    })
}

/// Finds out who leads, and looks whether all is as it must be before anything is changed.
fn begin(args: &NightlyArgs, pair: [Peer; 2], day: String, clock: Clock) -> Result<Routine, Stop> {
    let (old, new) = check::roles(pair)?;
    let (leader, _) = steps::whole(&old, &new)?;
    let found = check::found(&old, &new);
    if let Some(stop) = found.into_iter().find_map(Result::err) {
        return Err(stop);
    }
    let report = Report {
        day,
        led_before: old.admin,
        leads_after: new.admin,
        release: leader.release,
        begun: timestamp(clock.now()),
        finished: None,
        runs: 1,
        steps: Vec::new(),
        stopped: None,
        noted: std::collections::BTreeMap::new(),
    };
    Ok(routine(args, old, new, report, clock))
}

/// Goes on where a run of the same day was interrupted.
fn go_on(
    args: &NightlyArgs,
    pair: [Peer; 2],
    mut report: Report,
    clock: Clock,
) -> Result<Routine, Stop> {
    let (old, new) = check::as_reported(pair, &report)?;
    report.runs += 1;
    Ok(routine(args, old, new, report, clock))
}

fn routine(args: &NightlyArgs, old: Peer, new: Peer, report: Report, clock: Clock) -> Routine {
    let (directory, start) = (args.reports.clone(), args.start.clone());
    let patience = Duration::from_secs(args.wait);
    Routine { old, new, report, directory, patience, start, clock, compared: false }
}
