//! `ringframe demo`: kills a node in the middle of its work, again and again, and counts.

use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use clap::Args;
use loadgen::live::Live;
use loadgen::output;
use loadgen::run::{self, Options, Outcome, RunError};
use loadgen::schedule::Length;
use loadgen::table::Table;
use ringframe_journal::helpers::now;
use ringframe_journal::{MappedStorage, verify};
use rustix::process::{Pid, Signal, kill_process};

use super::{Answer, Failure};

/// What the first start may choose, and what clients of others need not meet.
const ANY: &str = "127.0.0.1:0";
/// How often it looks whether it is time for the next kill.
const LOOK: Duration = Duration::from_millis(2);
/// Clients wait so long for a node that comes back: a slow machine is no loss.
const PATIENCE: Duration = Duration::from_mins(1);
/// Messages a second, for clients and their echo alike.
const RATE: NonZeroU64 = NonZeroU64::new(5_000).expect("not zero");

/// Kill a node under load, start it again, and count what its clients missed; in under a minute
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ringframe demo --kills 5 --out demo

Four clients trade with a node of its own; an order's latency begins when it was due, so that the
node's absence counts. Exit code 1 says that something was lost, repeated or never asked for.")]
pub(crate) struct DemoArgs {
    /// How often to kill
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    kills: u16,
    /// Orders, cancels and replaces to send meanwhile
    #[arg(long, value_name = "N", default_value = "50000")]
    #[arg(value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    messages: u64,
    /// A directory for report.html and its figures [default: a new one for temporary files]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &DemoArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let directory = tempfile::tempdir().map_err(fault("create a temporary directory"))?;
    let data = directory.path().join("data");
    let mut node = Node::start(&data, ANY)?;
    writeln!(out, "Four clients trade with a node, which is killed (SIGKILL) meanwhile.\n")?;
    writeln!(out, "{:>5}  {:>12}  {:>12}", "kill", "after orders", "ready in ms")?;
    out.flush()?;
    let options = load(args, &node.address);
    let live = Arc::clone(&options.live);
    #[expect(clippy::disallowed_methods, reason = "clients go on while the node is killed")]
    let played = std::thread::scope(|scope| {
        let clients = scope.spawn(|| run::run(&options));
        let killed = kill_all(args, &mut node, &live, &clients, out);
        // Clients whose node does not come back give up by themselves.
        let outcome = clients.join().map_err(|_| Failure::Fault("the clients panicked".into()))?;
        killed.map(|()| outcome)
    })?;
    let outcome = played.map_err(|error| match error {
        RunError::Usage(why) | RunError::Silent(why) | RunError::Fault(why) => Failure::Fault(why),
    })?;
    node.drain()?;
    let findings = verify(&MappedStorage::new(data.join("journal")), 2, |_, _| {})?;
    report(args, &outcome, out)?;
    let verdict = Verdict { outcome: &outcome, is_whole: findings.findings().next().is_none() };
    verdict.tell(args.kills, out)
}

fn fault(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Fault(format!("cannot {what}: {error}"))
}

/// What the clients send, and the echo before them.
fn load(args: &DemoArgs, address: &str) -> Options {
    let mut options = Options::new(address, RATE, Duration::ZERO);
    options.source = "mix:add=50,cancel=30,replace=15,take=5".parse().expect("it is a mix");
    options.pace.length = Length::Count(args.messages);
    options.login.give_up = PATIENCE;
    options.patience = Some(PATIENCE);
    options.echo = true;
    // The node has the cores.
    options.is_polite = true;
    options
}

/// Kills the node each time that an equal part of the messages went out, and starts it again.
fn kill_all(
    args: &DemoArgs,
    node: &mut Node,
    live: &Live,
    clients: &ScopedJoinHandle<'_, Result<Outcome, RunError>>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    for kill in 1..=u64::from(args.kills) {
        let after = args.messages * kill / (u64::from(args.kills) + 1);
        while live.sent_so_far() < after {
            if clients.is_finished() {
                // They say why.
                return Ok(());
            }
            #[expect(clippy::disallowed_methods, reason = "the demo waits for its clients")]
            std::thread::sleep(LOOK);
        }
        node.kill()?;
        let sent = live.sent_so_far();
        let begun = now();
        *node = Node::start(&node.data, &node.address)?;
        writeln!(out, "{kill:>5}  {sent:>12}  {:>12.1}", (now() - begun) as f64 / 1e6)?;
        out.flush()?;
    }
    Ok(())
}

/// A `ringframe serve` of our own.
struct Node {
    data: PathBuf,
    address: String,
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Node {
    /// Starts it, and waits until it is ready.
    fn start(data: &Path, listen: &str) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(fault("find this program"))?;
        let mut process = Command::new(program)
            .args(["serve", "--listen", listen, "--market-data", ANY, "--glimpse", ANY])
            .args(["--replication", ANY])
            .args(["--admin", ANY, "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Its warnings are about what a demo wants: demo users.
            .stderr(Stdio::null())
            .spawn()
            .map_err(fault("start the node"))?;
        let said = BufReader::new(process.stdout.take().expect("its output is piped"));
        let mut node = Self { data: data.into(), address: String::new(), process, said };
        while node.line()? != "ready" {}
        Ok(node)
    }

    /// The next line that it says, and where it listens if that is what it says.
    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let read = self.said.read_line(&mut line).map_err(fault("hear the node"))?;
        if read == 0 {
            return Err(Failure::Fault(format!(
                "the node does not start: see what `ringframe serve --listen {}` says",
                if self.address.is_empty() { ANY } else { &self.address }
            )));
        }
        if let Some(places) = line.strip_prefix("order entry on ") {
            self.address = places.split([',', '\n']).next().unwrap_or_default().into();
        }
        Ok(line.trim_end().into())
    }

    fn kill(&mut self) -> Result<(), Failure> {
        self.process.kill().map_err(fault("kill the node"))?;
        self.process.wait().map_err(fault("wait for the node"))?;
        Ok(())
    }

    /// Lets it end well.
    fn drain(mut self) -> Result<(), Failure> {
        kill_process(Pid::from_child(&self.process), Signal::TERM)
            .map_err(|error| Failure::Fault(format!("cannot stop the node: {error}")))?;
        let ended = self.process.wait().map_err(fault("wait for the node"))?;
        if ended.success() {
            return Ok(());
        }
        Err(Failure::Fault(format!("the node did not end well: {ended}")))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended, but where something else went wrong.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The table, and the page beside its figures.
fn report(args: &DemoArgs, outcome: &Outcome, out: &mut dyn Write) -> Result<(), Failure> {
    let results = &outcome.results;
    let mut table = Table::new();
    if let Some(echo) = &results.echo {
        table = table.floor("bare echo", echo.latency_ns);
    }
    table = table.row("order to reply, synced", results.measured.latency_ns);
    if let Some(echo) = &results.echo {
        table = table.floor("bare echo, from sending", echo.service_ns);
    }
    write!(out, "\n{}", table.row("order to reply, from sending", results.measured.service_ns))?;
    let place = match &args.out {
        Some(place) => place.clone(),
        None => tempfile::Builder::new()
            .prefix("ringframe-demo-")
            .tempdir()
            .map_err(fault("create a directory for the report; name one with --out"))?
            .keep(),
    };
    output::write(&place, results, &outcome.recorded, outcome.echo.as_ref())
        .map_err(fault("write the report; name another --out"))?;
    writeln!(out, "\nReport: {}", place.join(output::PAGE).display())?;
    Ok(())
}

/// What the clients found, and what is on disk.
struct Verdict<'a> {
    outcome: &'a Outcome,
    is_whole: bool,
}

impl Verdict<'_> {
    fn tell(&self, kills: u16, out: &mut dyn Write) -> Result<Answer, Failure> {
        let measured = &self.outcome.results.measured;
        if self.outcome.is_complete() && self.is_whole {
            writeln!(
                out,
                "Nothing was lost: {kills} kills, {} reconnects, {} messages, each answered as it \
                 must be, once and in order.",
                measured.reconnected, measured.sent
            )?;
            return Ok(Answer::Yes);
        }
        for error in &measured.errors {
            writeln!(out, "  {error}")?;
        }
        let journal = if self.is_whole { "whole" } else { "damaged" };
        writeln!(
            out,
            "LOST: of {} messages {} were lost, {} repeated, {} unexpected; the journal is \
             {journal}.",
            measured.sent, measured.lost, measured.repeated, measured.unexpected
        )?;
        Ok(Answer::No)
    }
}
