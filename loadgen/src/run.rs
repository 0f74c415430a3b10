//! A run: sessions log in, books are filled, the schedule is played, and what rests is taken back.
#![expect(clippy::disallowed_methods, reason = "the view and the hiccup recorder have threads")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{WallTime, time_of_day};
use crate::echo;
use crate::engine::{Ended, Engine, SILENCE, give_up};
use crate::flow::Op;
use crate::hiccup;
use crate::host;
use crate::live::{self, Live, View};
use crate::orders::script::{Listed, Place, Script, demo_instruments};
use crate::orders::{Login, ORDER_BYTES, Orders, file, wire_bytes};
use crate::results::{FORMAT, Fact, Measured, Results, ServerWork};
use crate::schedule::{Arrival, Length, Pace, Times, nanos};
use crate::server;
use crate::source::Source;
use crate::tally::{Recorded, Tally, Wrong};

/// What a message takes while it is decided and played: when it is due, what it is, whose it is,
/// what is known of its order; vectors that grow have as much room again.
const MESSAGE_MEMORY_BYTES: u64 =
    2 * (size_of::<u64>() + size_of::<Op>() + size_of::<Place>()) as u64 + ORDER_BYTES;
/// How long the sessions may take to get in.
const LOGIN: Duration = Duration::from_secs(30);
/// How long books may take to be filled, or emptied.
const FILL: Duration = Duration::from_mins(2);

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who logs in, and where; a name for each session.
    pub login: Login,
    /// How the messages are spread over time. A recorded flow that has times of its own ignores its
    /// rate and arrival when `own_times` is set, and plays what is within its length.
    pub pace: Pace,
    /// Whether a recorded flow is played when it was recorded.
    pub own_times: bool,
    /// What is played.
    pub source: Source,
    /// The instruments that the server lists.
    pub listed: Vec<Listed>,
    /// Play the same against a bare echo, just before.
    pub echo: bool,
    /// Leave what rests at the end in the books.
    pub keep_orders: bool,
    /// Sleep where nothing is due, instead of polling.
    pub is_polite: bool,
    /// How it is shown while it goes on.
    pub view: View,
    /// Counts the target's messages for whoever holds another hand of it.
    pub live: Arc<Live>,
    /// Write down what was played.
    pub record: Option<PathBuf>,
    /// Where the server says what it is.
    pub admin: Option<SocketAddr>,
    /// How long after the end answers may still come; as long again as the run and 2 s when it is
    /// not said.
    pub patience: Option<Duration>,
    /// How long a server may answer nothing at all while answers are waited for.
    pub silence: Duration,
}

impl Options {
    /// A run of `f1` by four demo users at a steady pace; change what differs.
    pub fn new(target: impl Into<String>, rate: std::num::NonZeroU64, time: Duration) -> Self {
        Self {
            login: Login {
                targets: vec![target.into()],
                users: demo_users(4),
                password: DEMO_PASSWORD.into(),
                give_up: Duration::from_secs(10),
            },
            pace: Pace {
                arrival: Arrival::Constant,
                rate,
                length: Length::Time(time),
                warm_up: Duration::from_secs(1),
                seed: 1,
            },
            own_times: false,
            source: Source::default(),
            listed: demo_instruments(),
            echo: false,
            keep_orders: false,
            is_polite: false,
            view: View::Quiet,
            live: Arc::default(),
            record: None,
            admin: None,
            patience: None,
            silence: SILENCE,
        }
    }
}

/// The password of [`demo_users`].
pub const DEMO_PASSWORD: &str = "secret";
/// A server without a list of users lets so many demo users in.
pub const DEMO_USERS: usize = 99;

/// The first demo users, TRDR01 and so on.
pub fn demo_users(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("TRDR{number:02}")).collect()
}

/// Why there are no results.
#[derive(Debug)]
pub enum RunError {
    /// What was asked for cannot be.
    Usage(String),
    /// The server took the connections and answered nothing.
    Silent(String),
    /// Something broke before anything was measured.
    Fault(String),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Usage(text) | Self::Silent(text) | Self::Fault(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for RunError {}

/// The figures, and the histograms behind them.
#[derive(Debug)]
pub struct Outcome {
    /// The figures.
    pub results: Results,
    /// The target's histograms.
    pub recorded: Recorded,
    /// The echo's.
    pub echo: Option<Recorded>,
    /// How many orders the server rejected.
    pub rejections: u64,
}

impl Outcome {
    /// Whether all that was due was sent, and answered as it must be; the echo's too.
    pub fn is_complete(&self) -> bool {
        let echo = self.results.echo.as_ref().is_none_or(Measured::is_complete);
        self.results.measured.is_complete() && echo
    }
}

/// Runs it. What went wrong with messages is in the results; an error means that there are none.
pub fn run(options: &Options) -> Result<Outcome, RunError> {
    let begun = time_of_day();
    let sessions = options.login.users.len();
    check(options, sessions)?;
    let (script, times) = if options.own_times {
        let (mut script, own) = recorded(&options.source).map_err(RunError::Usage)?;
        let times = Times::recorded(own, options.pace.warm_up, options.pace.length);
        script.ops.truncate(times.due.len());
        (script, times)
    } else {
        let mut times = options.pace.times().map_err(RunError::Usage)?;
        let wanted = times.due.len();
        let script = options.source.script(wanted, &options.listed).map_err(RunError::Usage)?;
        if script.ops.len() < wanted {
            // A recorded flow ends when it ends.
            times.until = times.due[script.ops.len()];
            times.due.truncate(script.ops.len());
        }
        (script, times)
    };
    if times.from >= times.until {
        let text = "what is played is over within the --warm-up: nothing would be measured";
        return Err(RunError::Usage(text.into()));
    }
    if let Some(path) = &options.record {
        file::write(path, &script, &times).map_err(RunError::Fault)?;
    }
    // Before anything is measured: who is not there is said at once.
    let server = options.admin.map(server::status).transpose().map_err(RunError::Fault)?;
    let mut server = server.map(|status| status.facts()).unwrap_or_default();
    let floor = if options.echo { Some(floor(options, &script, &times)?) } else { None };
    let mut playing = Playing::new(options, &script, begun)?;
    let Played { ended, hiccups, work } = playing.play(options, script, &times)?;
    let server_work = work.and_then(|work| {
        let not_told = |why| server.push(Fact { name: "its work".into(), value: why });
        work.map_err(not_told).ok()
    });
    let mut measured = playing.tally.measured(&hiccups, playing.orders.kinds());
    measured.behind_ns = ended.behind_ns();
    measured.given_up = ended.given_up();
    Ok(Outcome {
        results: Results {
            format: FORMAT,
            title: format!("run {}", options.source.name()),
            begun: rfc3339(begun),
            host: host::facts(None),
            load: facts(options, &times),
            server,
            server_work,
            measured,
            echo: floor.as_ref().map(|floor| floor.measured.clone()),
            hiccup_ns: Some(hiccup::summary(&hiccups)),
            sweep: Vec::new(),
        },
        recorded: playing.tally.recorded(),
        echo: floor.map(|floor| floor.recorded),
        rejections: playing.orders.rejections(),
    })
}

/// What was recorded, and when.
fn recorded(source: &Source) -> Result<(Script, Vec<u64>), String> {
    let silent = || "what is played says nothing of times: give --rate".to_owned();
    let Source::File(path) = source else { return Err(silent()) };
    let mut script = file::read(path, Times::MAX as usize + 1)?;
    let times = script.times.take().ok_or_else(silent)?;
    if times.len() as u64 > Times::MAX {
        return Err(format!(
            "{}: more than {} commands: give --rate, and a --count that is smaller",
            path.display(),
            Times::MAX
        ));
    }
    Ok((script, times))
}

fn check(options: &Options, sessions: usize) -> Result<(), RunError> {
    if sessions == 0 || options.login.targets.is_empty() {
        return Err(RunError::Usage("a run needs a target and a user for each session".into()));
    }
    echo::check_sessions(sessions, options.echo).map_err(RunError::Usage)?;
    if options.own_times {
        return Ok(());
    }
    check_size(&options.pace, host::memory_available())
}

/// Whether a pace has a schedule, and that has room in the memory that is available.
fn check_size(pace: &Pace, available: Option<u64>) -> Result<(), RunError> {
    let messages = pace.messages().map_err(RunError::Usage)?;
    let wanted = messages * MESSAGE_MEMORY_BYTES;
    match available {
        Some(available) if wanted > available => Err(RunError::Usage(format!(
            "{messages} messages take about {} MiB of memory, and {} MiB are available: lower \
             --rate, or give a shorter --duration or --count",
            wanted >> 20,
            available >> 20
        ))),
        _ => Ok(()),
    }
}

/// The same schedule, sessions and sizes against a bare echo.
fn floor(options: &Options, script: &Script, times: &Times) -> Result<echo::Report, RunError> {
    let sessions = options.login.users.len();
    let places = script.places(sessions);
    let owner = |op: &Op| {
        let (Op::Add { id, .. } | Op::Cancel { id } | Op::Replace { old: id, .. }) = *op;
        usize::from(places[id as usize].session)
    };
    let like = echo::Options {
        target: None,
        times: times.clone(),
        sessions,
        is_polite: options.is_polite,
        view: options.view,
        patience: options.patience,
    };
    echo::run_like(&like, script.ops.iter().map(|op| (owner(op), wire_bytes(op))))
        .map_err(|error| RunError::Fault(format!("the bare echo on loopback: {error}")))
}

/// What came of a play, besides what is in the tally.
struct Played {
    ended: Ended,
    hiccups: Vec<(u64, u64)>,
    /// Of the server, when it was asked; an error when it did not tell.
    work: Option<Result<ServerWork, String>>,
}

/// What the tokens of a run begin with: hundredths of a second, which differ for months. A token
/// that came already has no answer, so no two runs of a process have the same.
fn name(begun: WallTime) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = Timestamp::try_from(begun).unwrap_or_default().as_millisecond() as u64 / 10;
    let next = |last: u64| now.max(last + 1);
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
    next(last.unwrap_or_else(|last| last))
}

struct Playing {
    engine: Engine,
    orders: Orders,
    tally: Tally,
    live: Arc<Live>,
}

impl Playing {
    fn new(options: &Options, script: &Script, begun: WallTime) -> Result<Self, RunError> {
        let live = Arc::clone(&options.live);
        let tally = Tally::new(Arc::clone(&live));
        let run = name(begun);
        let orders = Orders::new(&options.login, script, run).map_err(RunError::Usage)?;
        let mut engine = Engine::new(options.login.users.len(), options.is_polite)
            .map_err(|error| RunError::Fault(format!("cannot make an epoll: {error}")))?;
        engine.silence_ns = nanos(options.silence);
        Ok(Self { engine, orders, tally, live })
    }

    fn play(
        &mut self,
        options: &Options,
        script: Script,
        times: &Times,
    ) -> Result<Played, RunError> {
        self.at_once(Vec::new(), LOGIN, "log in")?;
        let setup = script.setup;
        self.at_once(setup, FILL, "fill the books")?;
        let mut ops = script.ops;
        ops.extend(self.orders.last_orders(0));
        self.orders.load(ops);
        // Before the first message: whoever measures waits for the answer.
        let asked = options.admin.map(|admin| (admin, server::status(admin)));
        let begin = self.engine.clock.now();
        let Times { due, from, until } = times;
        self.tally.begin(begin + from, begin + until, times.measured());
        // Due at the end, they are not measured.
        let sessions = options.login.users.len();
        let last = std::iter::repeat_n(*until, sessions);
        let due = due.iter().copied().chain(last).map(|at| begin + at);
        let over = AtomicBool::new(false);
        let Self { engine, orders, tally, live } = self;
        let (ended, hiccups, work) = std::thread::scope(|scope| {
            scope.spawn(|| live::show(live, options.view, "run", *until, &over));
            let work = asked.map(|(admin, before)| {
                let over = &over;
                scope.spawn(move || server::watch(admin, &before?, over))
            });
            let clock = engine.clock;
            let hiccups = scope.spawn({
                let over = &over;
                move || hiccup::watch(clock, over)
            });
            let patience = give_up(begin, *until, options.patience);
            let ended = engine.play(orders, tally, due, patience);
            over.store(true, Ordering::Relaxed);
            let work = work.map(|work| {
                work.thread().unpark();
                work.join().unwrap_or_else(|_| Err("who asked it panicked".into()))
            });
            (ended, hiccups.join().unwrap_or_default(), work)
        });
        let ended = ended.map_err(|error| fault(&error))?;
        let is_whole = ended == Ended::Settled && self.tally.wrongs() == 0;
        if is_whole && !options.keep_orders {
            let mut ops = self.orders.cancels();
            ops.extend(self.orders.last_orders(1));
            // What was measured stands.
            if let Err(error) = self.at_once(ops, FILL, "take back what rests") {
                let now = self.engine.clock.now();
                self.tally.wrong(Wrong::Unexpected, now, || error.to_string());
            }
        }
        self.orders.give_up(self.engine.clock.now(), &mut self.tally);
        self.orders.log_out(&mut self.engine.links, self.engine.clock.now());
        Ok(Played { ended, hiccups, work })
    }

    /// Sends all of it as fast as the sockets take it, and waits for the answers.
    fn at_once(&mut self, ops: Vec<Op>, time: Duration, what: &str) -> Result<(), RunError> {
        let now = self.engine.clock.now();
        let due = std::iter::repeat_n(now, ops.len());
        self.orders.load(ops);
        // One who is silent is found so before time is up.
        let time = time.max(Duration::from_nanos(self.engine.silence_ns.saturating_mul(2)));
        let end = now.saturating_add(nanos(time));
        let ended = self.engine.play(&mut self.orders, &mut self.tally, due, end);
        match ended.map_err(|error| fault(&error))? {
            Ended::Settled => Ok(()),
            Ended::Late { .. } => {
                Err(RunError::Fault(format!("the server took longer than {time:?} to {what}")))
            }
            ended @ Ended::Silent { .. } => {
                let why = ended.given_up().unwrap_or_default();
                Err(RunError::Silent(format!("{why}, when it was to {what}")))
            }
            Ended::GaveUp { why, .. } => Err(RunError::Fault(format!("cannot {what}: {why}"))),
        }
    }
}

/// The results of a floor alone.
pub fn echo_results(options: &echo::Options, pace: &Pace, report: &echo::Report) -> Results {
    let fact = |name: &str, value: String| Fact { name: name.into(), value };
    let target = options.target.clone().unwrap_or_else(|| "a thread of this process".into());
    let mut load = vec![fact("target", target), fact("sessions", options.sessions.to_string())];
    load.extend(pace_facts(pace));
    Results {
        format: FORMAT,
        title: "echo".into(),
        begun: rfc3339(report.begun),
        host: host::facts(None),
        load,
        server: Vec::new(),
        server_work: None,
        measured: report.measured.clone(),
        echo: None,
        hiccup_ns: Some(hiccup::summary(&report.hiccups)),
        sweep: Vec::new(),
    }
}

fn rfc3339(time: WallTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn fault(error: &std::io::Error) -> RunError {
    RunError::Fault(error.to_string())
}

fn facts(options: &Options, times: &Times) -> Vec<Fact> {
    let fact = |name: &str, value: String| Fact { name: name.into(), value };
    let mut facts = vec![
        fact("target", options.login.targets.join(", ")),
        fact("flow", options.source.name()),
        fact("sessions", options.login.users.len().to_string()),
    ];
    if options.own_times {
        facts.push(fact("rate", "as recorded".into()));
        facts.push(fact("warm-up", format!("{:?}", options.pace.warm_up)));
    } else {
        facts.extend(pace_facts(&options.pace));
    }
    facts.push(fact("messages", times.due.len().to_string()));
    let waiting = if options.is_polite { "sleeps (--polite)" } else { "busy poll" };
    facts.push(fact("waiting", waiting.into()));
    facts
}

fn pace_facts(pace: &Pace) -> [Fact; 5] {
    let fact = |name: &str, value: String| Fact { name: name.into(), value };
    let arrival = match pace.arrival {
        Arrival::Constant => "constant".into(),
        Arrival::Poisson => "poisson".into(),
        Arrival::Bursts { size } => format!("bursts of {size}"),
    };
    let length = match pace.length {
        Length::Time(time) => format!("{time:?}"),
        Length::Count(count) => format!("{count} messages"),
    };
    [
        fact("rate", format!("{}/s", pace.rate)),
        fact("arrival", arrival),
        fact("length", length),
        fact("warm-up", format!("{:?}", pace.warm_up)),
        fact("seed", pace.seed.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn two_runs_of_the_same_moment_have_other_tokens() {
        let begun = WallTime::UNIX_EPOCH + Duration::from_secs(1_767_364_201);
        let [one, other] = [name(begun), name(begun)];
        assert!(one < other && other < name(begun + Duration::from_millis(100)));
    }

    #[test]
    fn a_load_that_memory_has_no_room_for_is_refused() {
        let rate = NonZeroU64::new(1_000).expect("not zero");
        let pace = Options::new("", rate, Duration::from_secs(9)).pace;
        let wanted = 10_000 * MESSAGE_MEMORY_BYTES;
        assert!(check_size(&pace, None).is_ok());
        assert!(check_size(&pace, Some(wanted)).is_ok());
        let error = check_size(&pace, Some(wanted - 1)).expect_err("a byte too few");
        assert!(matches!(&error, RunError::Usage(why) if why.contains("memory")), "{error}");
    }
}
