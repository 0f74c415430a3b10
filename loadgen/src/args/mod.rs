//! The command line.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use loadgen::echo;
use loadgen::live::View;
use loadgen::orders::Login;
use loadgen::orders::script::{Listed, demo_instruments};
use loadgen::run::{DEMO_PASSWORD, DEMO_USERS, Options, demo_users};
use loadgen::schedule::{Arrival, Length, Pace};
use loadgen::source::Source;
use loadgen::sweep::{self, Limit};

use crate::pages::{CompareArgs, ReportArgs};

#[cfg(test)]
mod tests;

/// Open-loop load and honest latency.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunArgs),
    Echo(EchoArgs),
    Sweep(SweepArgs),
    Ceiling(CeilingArgs),
    Report(ReportArgs),
    Compare(CompareArgs),
}

/// Load a server with orders, check every reply, and measure how long each takes from the time when
/// it was due
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  loadgen run --rate 10000 --duration 5s --sessions 4 --out results
  loadgen run --rate 50000 --arrival bursts --burst 500 --flow fmod --echo
  loadgen run --flow mix:add=40,cancel=30,replace=20,take=10
  loadgen run --replay day.itch
  loadgen run --target 10.0.0.1:9001,10.0.0.2:9001

Flows: f1, f100, fmod, deep1, deep100; static, normal, swings25, swings40, flash-crash, also as
normal:INSTRUMENTS,RESTING; mix:add=…,cancel=…,replace=…,take=…, shares of 100, and if wanted
resting=…, instruments=…, width=….

Exit codes: 0 every message was answered once, by what was expected; 1 not; 2 wrong usage; 3 a
fault.")]
pub(crate) struct RunArgs {
    /// Where order entry is; more addresses, with commas, to come back to when one is lost
    #[arg(long, value_name = "ADDR", value_delimiter = ',', default_value = "127.0.0.1:9001")]
    target: Vec<String>,
    #[command(flatten)]
    pace: PaceArgs,
    /// What to play: see below
    #[arg(long, default_value = "f1")]
    flow: Source,
    /// Play a file: a flow that --record wrote, or ITCH 5.0 as `ringframe feed` writes it; at its
    /// own pace, or at --rate
    #[arg(long, value_name = "FILE", conflicts_with = "flow")]
    replay: Option<PathBuf>,
    /// Write down what is played
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// A file with a user's name a line, at least as many as sessions [default: the demo's,
    /// TRDR01 to TRDR99]
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// The password of all users
    #[arg(long, default_value = DEMO_PASSWORD, hide_default_value = true)]
    #[arg(env = "RINGFRAME_PASSWORD", hide_env_values = true)]
    password: String,
    /// The server's instruments and where they trade, as AAPL=230.00,MSFT=420.00 [default: the
    /// demo's]
    #[arg(long, value_delimiter = ',', value_parser = parse_listed)]
    symbols: Vec<Listed>,
    /// How long to try to come back after a lost connection
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    give_up: Duration,
    /// How long the server may answer nothing at all while answers are waited for
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    silence: Duration,
    /// The server's admin address, to note in the results what it says of itself and what its
    /// stages did: it is asked once a second
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Play the same against a bare echo just before: the machine's floor
    #[arg(long)]
    echo: bool,
    /// Leave what rests at the end in the books
    #[arg(long)]
    keep_orders: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Measure the machine's floor: a bare TCP echo, on loopback of this process or anywhere else
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  loadgen echo --rate 10000 --duration 5s --sessions 4")]
pub(crate) struct EchoArgs {
    /// Somebody else's echo [default: our own, on a thread that polls]
    #[arg(long, value_name = "ADDR")]
    target: Option<String>,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// Find the highest rate that a server holds: runs at rising rates, then between the last good one
/// and the first bad one
#[derive(Args, Debug)]
#[command(after_help = "Example:
  loadgen sweep --p99 1ms --rate 10000 --duration 2s --out results

--rate is the first rate. Exit code 1 when no rate was held.")]
pub(crate) struct SweepArgs {
    /// The 99th percentile of latency may be so long: a number with us, ms or s [default: 1ms]
    #[arg(long, value_name = "TIME", value_parser = parse_limit, group = "limit")]
    p99: Option<u64>,
    /// Limit the median instead
    #[arg(long, value_name = "TIME", value_parser = parse_limit, group = "limit")]
    p50: Option<u64>,
    /// Limit the 99.9th percentile instead
    #[arg(long = "p99.9", value_name = "TIME", value_parser = parse_limit, group = "limit")]
    p99_9: Option<u64>,
    /// No rate is above this
    #[arg(long, value_name = "N", default_value = "2000000", value_parser = parse_rate)]
    rate_max: NonZeroU64,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

impl SweepArgs {
    pub(crate) fn options(&self) -> Result<sweep::Options, String> {
        let limit = match (self.p50, self.p99, self.p99_9) {
            (Some(ns), ..) => Limit { percentile: "p50", ns },
            (_, _, Some(ns)) => Limit { percentile: "p99_9", ns },
            (_, p99, _) => Limit { percentile: "p99", ns: p99.unwrap_or(1_000_000) },
        };
        let run = self.run.options()?;
        if run.own_times {
            return Err("a sweep chooses its rates: give the first with --rate".into());
        }
        Ok(sweep::Options { run, limit, rate_max: self.rate_max })
    }
}

/// Find the generator's own limits against a bare echo, on one core and on all: messages a second
/// of its one thread, and what it adds to the latency of a bare loop
#[derive(Args, Debug)]
pub(crate) struct CeilingArgs {
    /// Messages to send as fast as they go
    #[arg(long, value_name = "N", default_value = "3000000")]
    pub(crate) count: NonZeroU64,
    /// Connections for those
    #[arg(long, value_name = "N", default_value = "4")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=400))]
    pub(crate) sessions: u16,
    /// How long to compare single messages
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
}

#[derive(Args, Debug)]
struct PaceArgs {
    /// Messages a second, over all sessions, at most 1000000000 [default: 10000]
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    rate: Option<NonZeroU64>,
    /// How long to measure: a number with ms, s or m [default: 5s, or all of what is replayed at
    /// its own pace]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Measure so many messages instead
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    count: Option<NonZeroU64>,
    /// How long to play before anything is measured
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration_or_0)]
    warm_up: Duration,
    /// How messages are spread over time
    #[arg(long, default_value = "constant")]
    arrival: ArrivalArg,
    /// Messages in each burst, when they arrive in bursts
    #[arg(long, value_name = "N", default_value = "32")]
    burst: NonZeroU32,
    /// The same seed gives the same schedule
    #[arg(long, default_value = "1")]
    seed: u64,
}

#[derive(Args, Debug)]
struct CommonArgs {
    /// Connections
    #[arg(long, value_name = "N", default_value = "4")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=60_000))]
    sessions: u16,
    /// A directory for summary.json, latency.hlog, latency.hgrm and report.html
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Sleep where nothing is due, instead of polling
    #[arg(long)]
    polite: bool,
    /// Show nothing while it goes on
    #[arg(long)]
    quiet: bool,
    /// Show plain lines while it goes on, also on a terminal
    #[arg(long, conflicts_with = "quiet")]
    plain: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ArrivalArg {
    /// One every 1/rate
    Constant,
    /// Independent senders: exponential gaps
    Poisson,
    /// Groups that are due at the same instant
    Bursts,
}

const DURATION: Duration = Duration::from_secs(5);
const RATE: NonZeroU64 = NonZeroU64::new(10_000).expect("not zero");
const RATE_MAX: u64 = 1_000_000_000;

impl PaceArgs {
    fn pace(&self) -> Pace {
        let arrival = match self.arrival {
            ArrivalArg::Constant => Arrival::Constant,
            ArrivalArg::Poisson => Arrival::Poisson,
            ArrivalArg::Bursts => Arrival::Bursts { size: self.burst },
        };
        let length = match self.count {
            Some(count) => Length::Count(count.get()),
            None => Length::Time(self.duration.unwrap_or(DURATION)),
        };
        let &Self { warm_up, seed, .. } = self;
        Pace { arrival, rate: self.rate.unwrap_or(RATE), length, warm_up, seed }
    }
}

impl CommonArgs {
    fn view(&self) -> View {
        match self {
            Self { quiet: true, .. } => View::Quiet,
            Self { plain: true, .. } => View::Plain,
            _ => View::fitting(),
        }
    }
}

impl EchoArgs {
    pub(crate) fn out(&self) -> Option<&PathBuf> {
        self.common.out.as_ref()
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace.pace()
    }

    pub(crate) fn options(&self) -> Result<echo::Options, String> {
        echo::check_sessions(usize::from(self.common.sessions), self.target.is_none())?;
        let times = self.pace().times()?;
        Ok(echo::Options {
            target: self.target.clone(),
            times,
            sessions: usize::from(self.common.sessions),
            is_polite: self.common.polite,
            view: self.common.view(),
            patience: None,
        })
    }
}

impl RunArgs {
    pub(crate) fn out(&self) -> Option<&PathBuf> {
        self.common.out.as_ref()
    }

    pub(crate) fn options(&self) -> Result<Options, String> {
        let users = self.user_names()?;
        let source = match &self.replay {
            Some(path) => Source::File(path.clone()),
            None => self.flow.clone(),
        };
        let listed =
            if self.symbols.is_empty() { demo_instruments() } else { self.symbols.clone() };
        let login = Login {
            targets: self.target.clone(),
            users,
            password: self.password.clone(),
            give_up: self.give_up,
        };
        let own_times = self.replay.is_some() && self.pace.rate.is_none();
        let mut pace = self.pace.pace();
        if own_times && self.pace.duration.is_none() && self.pace.count.is_none() {
            pace.length = Length::Time(Duration::MAX);
        }
        Ok(Options {
            login,
            pace,
            own_times,
            source,
            listed,
            echo: self.echo,
            keep_orders: self.keep_orders,
            is_polite: self.common.polite,
            view: self.common.view(),
            live: Arc::default(),
            record: self.record.clone(),
            admin: self.admin,
            patience: None,
            silence: self.silence,
        })
    }

    fn user_names(&self) -> Result<Vec<String>, String> {
        let sessions = usize::from(self.common.sessions);
        let Some(path) = &self.users else {
            if sessions > DEMO_USERS {
                return Err(format!(
                    "there are {DEMO_USERS} demo users, too few for {sessions} sessions: name the \
                     server's own with --users FILE"
                ));
            }
            return Ok(demo_users(sessions));
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
        let users: Vec<String> = names.take(sessions).map(str::to_owned).collect();
        if users.len() < sessions {
            let (path, count) = (path.display(), users.len());
            return Err(format!("{path}: {count} users are too few for {sessions} sessions"));
        }
        Ok(users)
    }
}

/// `AAPL=230.00`.
fn parse_listed(text: &str) -> Result<Listed, String> {
    let advice = || "write as AAPL=230.00".to_owned();
    let (symbol, price) = text.split_once('=').ok_or_else(advice)?;
    let price: f64 = price.parse().map_err(|_| advice())?;
    if !(0.01..200_000.0).contains(&price) {
        return Err(advice());
    }
    // To a cent, the tick of the flows.
    Ok(Listed { symbol: symbol.to_owned(), reference: (price * 100.0).round() as u32 * 100 })
}

/// Times are in nanoseconds.
fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let rate = text.parse().ok().filter(|rate: &NonZeroU64| rate.get() <= RATE_MAX);
    rate.ok_or_else(|| format!("write a whole number from 1 to {RATE_MAX}"))
}

/// As nanoseconds; latencies are shorter than durations.
fn parse_limit(text: &str) -> Result<u64, String> {
    match text.strip_suffix("us").map(str::parse::<u32>) {
        Some(Ok(micros @ 1..)) => Ok(u64::from(micros) * 1_000),
        Some(_) => Err("write a whole number above 0 with us, ms or s, such as 500us".to_owned()),
        None => parse_duration(text).map(|limit| limit.as_nanos() as u64),
    }
}

fn parse_duration_or_0(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { parse_duration(text) }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let advice = "write a whole number above 0 with ms, s or m, such as 500ms or 5s";
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(advice.to_owned()),
    };
    match number.parse::<u32>() {
        Ok(0) | Err(_) => Err(advice.to_owned()),
        Ok(number) => Ok(Duration::from_millis(u64::from(number) * scale)),
    }
}
