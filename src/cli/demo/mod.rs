//! `ringframe demo`: a pair of nodes under load, each killed in turn, and what its clients missed.

use std::io::Write;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use loadgen::output;
use loadgen::run::{self, Options, Outcome, RunError};
use loadgen::schedule::Length;
use loadgen::table::Table;
use ringframe_journal::{MappedStorage, verify};

use super::{Answer, Failure};
use node::Node;
use story::{Clients, Story};

mod node;
mod story;

/// Anything that clients and the demo wait for may take so long: a slow machine is no loss.
const PATIENCE: Duration = Duration::from_mins(1);
/// Messages a second, for clients and their echo alike.
const RATE: NonZeroU64 = NonZeroU64::new(5_000).expect("not zero");

/// Kill the leader of a pair under load, let its standby lead, and count what clients missed; in
/// under a minute
#[derive(Debug, Args)]
#[command(after_help = "Example:
  ringframe demo --kills 3 --out demo

Four clients trade with a pair of nodes of its own. Whoever leads is killed, its standby is
promoted, the clients go on there by themselves, and the dead one comes back as the standby: --kills
times, in turn. At last one hands over in order. An order's latency begins when it was due, so that
the time without a leader counts. Exit code 1 says that something was lost, repeated or never asked
for, or that the two nodes differ.")]
pub(crate) struct DemoArgs {
    /// How often to kill whoever leads
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    kills: u16,
    /// Orders, cancels and replaces to send meanwhile
    #[arg(long, value_name = "N", default_value = "50000")]
    #[arg(value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    messages: u64,
    /// A directory for report.html, its figures, and the nodes' logs [default: a new one for
    /// temporary files]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &DemoArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let place = place(args)?;
    let directory = tempfile::tempdir().map_err(fault("create a temporary directory"))?;
    let nodes = [1, 2].map(|number| Node::new(number, directory.path(), &place));
    let options = load(args, &nodes);
    let live = Arc::clone(&options.live);
    let mut story = Story::new(nodes, out);
    story.begin()?;
    let seconds = args.messages / RATE;
    story.tell(format_args!(
        "four clients know both: {seconds} s of a bare echo, the machine's floor, and then \
         {seconds} s of orders, {RATE} messages a second"
    ))?;
    #[expect(clippy::disallowed_methods, reason = "clients go on while nodes are killed")]
    let played = std::thread::scope(|scope| {
        let clients = scope.spawn(|| run::run(&options));
        let told =
            story.play(args.kills, args.messages, &Clients { live: &live, thread: &clients });
        // Clients that find no node give up by themselves.
        let outcome = clients.join().map_err(|_| Failure::Fault("the clients panicked".into()))?;
        told.map(|()| outcome)
    })?;
    let mut outcome = played.map_err(|error| match error {
        RunError::Usage(why) | RunError::Silent(why) | RunError::Fault(why) => Failure::Fault(why),
    })?;
    let are_equal = story.end()?;
    let mut is_whole = true;
    for node in &story.nodes {
        let findings = verify(&MappedStorage::new(node.journal()), 2, |_, _| {})?;
        is_whole &= findings.findings().next().is_none();
    }
    let Story { kills, has_handed_over, facts, .. } = story;
    outcome.results.server.extend(facts);
    report(&place, &outcome, out)?;
    Verdict { outcome: &outcome, is_whole, are_equal, kills, has_handed_over }.tell(args, out)
}

fn fault(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Fault(format!("cannot {what}: {error}"))
}

/// Where the report will be, found writable before anything begins.
fn place(args: &DemoArgs) -> Result<PathBuf, Failure> {
    if let Some(place) = &args.out {
        output::prepare(place).map_err(fault("write the report; name another --out"))?;
        return Ok(place.clone());
    }
    let place = tempfile::Builder::new().prefix("ringframe-demo-").tempdir();
    Ok(place.map_err(fault("create a directory for the report; name one with --out"))?.keep())
}

/// What the clients send, and the echo before them.
fn load(args: &DemoArgs, nodes: &[Node; 2]) -> Options {
    let mut options = Options::new("", RATE, Duration::ZERO);
    options.login.targets = nodes.iter().map(|node| node.orders().to_string()).collect();
    options.source = "mix:add=50,cancel=30,replace=15,take=5".parse().expect("it is a mix");
    options.pace.length = Length::Count(args.messages);
    options.login.give_up = PATIENCE;
    options.patience = Some(PATIENCE);
    options.echo = true;
    // The nodes have the cores.
    options.is_polite = true;
    options
}

/// The table, and the page beside its figures.
fn report(place: &Path, outcome: &Outcome, out: &mut dyn Write) -> Result<(), Failure> {
    let results = &outcome.results;
    let mut table = Table::new();
    if let Some(echo) = &results.echo {
        table = table.floor("bare echo", echo.latency_ns);
    }
    table = table.row("order to reply, replicated", results.measured.latency_ns);
    if let Some(echo) = &results.echo {
        table = table.floor("bare echo, from sending", echo.service_ns);
    }
    write!(out, "\n{}", table.row("order to reply, from sending", results.measured.service_ns))?;
    output::write(place, results, &outcome.recorded, outcome.echo.as_ref())
        .map_err(fault("write the report; name another --out"))?;
    writeln!(out, "\nReport: {}", place.join(output::PAGE).display())?;
    Ok(())
}

/// What the clients found, and what is on disk.
struct Verdict<'a> {
    outcome: &'a Outcome,
    is_whole: bool,
    are_equal: bool,
    kills: u16,
    has_handed_over: bool,
}

impl Verdict<'_> {
    fn tell(&self, args: &DemoArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
        let measured = &self.outcome.results.measured;
        if self.kills < args.kills || !self.has_handed_over {
            writeln!(
                out,
                "The clients were done before all of it had happened: give more --messages."
            )?;
        }
        if self.outcome.is_complete() && self.is_whole && self.are_equal {
            writeln!(
                out,
                "Nothing was lost: {} kills{}, {} reconnects, {} messages, each answered as it \
                 must be, once and in order; both journals are whole, both nodes equal.",
                self.kills,
                if self.has_handed_over { ", a hand-over" } else { "" },
                measured.reconnected,
                measured.sent
            )?;
            return Ok(Answer::Yes);
        }
        for error in &measured.errors {
            writeln!(out, "  {error}")?;
        }
        let journals = if self.is_whole { "whole" } else { "damaged" };
        let nodes = if self.are_equal { "equal" } else { "different" };
        writeln!(
            out,
            "LOST: of {} messages {} were lost, {} repeated, {} unexpected; the journals are \
             {journals}, the nodes {nodes}.",
            measured.sent, measured.lost, measured.repeated, measured.unexpected
        )?;
        Ok(Answer::No)
    }
}
