//! `ringframe serve`: a node with the exchange, until it is told to end.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ringframe::log;
use ringframe::peers::Handle;
use ringframe::stage::Fault;

use super::local::{Local, Signals, Talk};
use super::settings::Settings;
use super::{Answer, Failure};

/// So often it looks for signals and faults.
const LOOK: Duration = Duration::from_millis(50);

/// Run a node
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ringframe serve
  ringframe serve --config ringframe.toml
  ringframe serve --data data --release journaled --layout 4
  ringframe serve --data data --at 23:30 --every-commands 5_000_000 --snapshot-at-drain

SIGTERM drains it: what was accepted is finished, released and made durable, and with
--snapshot-at-drain the state is saved, all within --drain-seconds; a snapshot that is not whole by
then is removed, which exit code 1 tells. A second SIGTERM ends it at once, which loses nothing that
was released. SIGUSR1 asks for a snapshot; SIGHUP reads the files of --tls-certificate and --tls-key
again, and of --tls-clients. `ringframe status`, `snapshot`, `drain` and `command` ask and do more,
at --admin.")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    node: NodeArgs,
}

/// What every command that runs a node takes.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Settings in TOML; `ringframe check-config` explains them
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// A setting by the name that files use, as snapshots.keep=5; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Begin an empty journal without the demo exchange
    #[arg(long)]
    pub(crate) empty: bool,
    /// Where the journal was pruned and events/ was lost, begin a new log of events behind the
    /// newest snapshot: the events before it are in no log any more
    #[arg(long)]
    pub(crate) begin_event_log: bool,
}

pub(crate) fn run(args: &ServeArgs, out: &mut dyn Write) -> Result<Answer, Failure> {
    let signals = Signals::note()?;
    let start = |after: Option<&Fault>| Local::start(&args.node, &Talk::Clients, after);
    let mut node = match start(None) {
        // It was to lead, and follows.
        Err(Failure::Node(fault @ Fault::Short { .. })) => {
            tracing::warn!("{fault}");
            start(Some(&fault))?
        }
        started => started?,
    };
    signals.note_ends()?;
    loop {
        match serve(&mut node, &signals, out) {
            Ok(()) => break,
            // Another one leads: this one follows it, from what both have.
            Err(Failure::Node(
                fault @ (Fault::Fenced { .. } | Fault::Surplus { .. } | Fault::Behind { .. }),
            )) if node.has_other() => {
                node.report_notes();
                tracing::warn!("{fault}");
                drop(node);
                node = start(Some(&fault))?;
            }
            Err(failure) => {
                node.report_notes();
                return Err(failure);
            }
        }
    }
    say!("draining; a second signal ends it at once");
    node.report_stages();
    let answer = node.finish(|_| ())?;
    tell(out, "drained")?;
    Ok(answer)
}

/// Runs the node until it is to end.
fn serve(node: &mut Local, signals: &Signals, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(served) = &node.served {
        let followers = node.others.as_ref().and_then(|others| others.address);
        let followers = followers.map_or_else(String::new, |at| format!(", other nodes at {at}"));
        let admin = node.admin().map_or_else(String::new, |at| format!(", operators at {at}"));
        tell(out, &format!("{}{followers}{admin}", served.places()))?;
    }
    let leads = node.others.as_ref().is_none_or(Handle::leads);
    tell(out, if leads { "ready" } else { "standing by" })?;
    loop {
        node.embedded.next(LOOK)?;
        node.report_notes();
        if signals.take_snapshot() {
            node.snapshot();
        }
        if signals.take_reload() {
            node.reload();
        }
        if signals.is_ending() || node.is_asked_to_end() {
            return Ok(());
        }
        node.report();
    }
}

/// Where nobody reads, the node goes on, and comes to its end, all the same.
fn tell(out: &mut dyn Write, line: &str) -> io::Result<()> {
    if !log::is_read(io::stdout()) {
        return Ok(());
    }
    writeln!(out, "{line}")?;
    out.flush()
}
